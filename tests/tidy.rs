//! Rules of the house that a compiler cannot check, read from the source tree: which module may name which, who alone may do what,
//! what a file must open with, and whether tables, golden files, links and decision records agree with each other.
//!
//! A rule is here because breaking it is a real mistake. A file that has a good reason becomes an exception by name, in this file,
//! where a reviewer sees it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A source file may have so many lines before it must be split.
const LINES_MAX: usize = 600;

/// Which modules of the crate a module's code may name. A module that is not listed here fails: draw its arrows first.
/// `app`, `cli`, `main` and `lib` wire everything together and may name anything.
const ARROWS: &[(&str, &[&str])] = &[
    ("alerts", &["clock", "config", "delivery", "destination", "event_log", "metrics", "supervise"]),
    (
        "api",
        &[
            "clock",
            "console",
            "delivery",
            "documents",
            "event",
            "pipeline",
            "privacy",
            "profile",
            "protocol",
            "rights",
            "server",
            "state",
            "supervise",
        ],
    ),
    ("clock", &[]),
    ("config", &["clock", "documents", "event_log"]),
    ("counters", &["clock", "documents", "event", "metrics", "privacy", "state"]),
    ("console", &["clock", "documents", "event", "metrics", "privacy", "supervise", "delivery", "server", "state", "config"]),
    (
        "delivery",
        &[
            "clock",
            "config",
            "console",
            "destination",
            "documents",
            "egress",
            "event",
            "event_log",
            "metrics",
            "privacy",
            "signing",
            "state",
            "supervise",
        ],
    ),
    ("destination", &["config", "event", "privacy", "signing"]),
    ("documents", &["clock", "config", "destination", "event", "privacy", "protocol", "state"]),
    ("egress", &["clock", "event", "privacy", "signing", "state"]),
    ("event", &["clock"]),
    ("hand_over", &["privacy", "server"]),
    ("event_log", &["clock", "event", "metrics", "privacy", "supervise"]),
    ("inspect", &["clock", "config", "delivery", "destination", "documents", "event", "event_log", "privacy", "state"]),
    ("metrics", &[]),
    (
        "pipeline",
        &["clock", "console", "counters", "documents", "event", "event_log", "metrics", "privacy", "protocol", "state", "supervise"],
    ),
    ("privacy", &["clock", "config", "documents", "event", "event_log", "protocol", "schema", "state", "supervise"]),
    ("profile", &["clock", "destination", "documents", "event", "event_log", "metrics", "privacy", "schema", "state", "supervise"]),
    ("protocol", &["clock", "documents", "event", "privacy"]),
    (
        "prove",
        &[
            "clock",
            "config",
            "console",
            "counters",
            "delivery",
            "demonstration",
            "destination",
            "documents",
            "egress",
            "event",
            "event_log",
            "pipeline",
            "privacy",
            "protocol",
            "signing",
            "state",
            "supervise",
        ],
    ),
    ("recovery", &["counters", "documents", "event", "privacy", "state"]),
    ("records", &["clock", "documents", "privacy"]),
    ("recleanse", &["clock", "documents", "event", "event_log", "metrics", "privacy", "state", "supervise"]),
    ("rights", &["clock", "delivery", "documents", "egress", "event", "event_log", "privacy", "recleanse", "schema", "state", "supervise"]),
    (
        "server",
        &[
            "clock",
            "config",
            "console",
            "documents",
            "event",
            "metrics",
            "pipeline",
            "privacy",
            "profile",
            "protocol",
            "state",
            "supervise",
        ],
    ),
    ("schema", &["state"]),
    ("signing", &[]),
    ("state", &["schema"]),
    ("supervise", &[]),
    ("upgrade", &["clock", "event_log", "privacy", "profile", "schema", "state"]),
];
const WIRING: [&str; 7] = ["app", "cli", "demonstration", "housekeeping", "lib", "main", "report"];

/// Directories and files of test code below `src/`.
const TESTS: [&str; 2] = ["tests", "trial"];

/// Words that only the named files (or directories, with a slash at the end) may hold, and why.
const OWNERS: &[(&str, &[&str], &str)] = &[
    (".expose(", &["privacy/"], "personal data is opened in privacy/ alone"),
    ("reqwest::", &["delivery/carrier/http.rs", "delivery/carrier/looking.rs"], "one place makes HTTP clients"),
    (
        "rusqlite::",
        &[
            "schema.rs",
            "state.rs",
            "upgrade.rs",
            "privacy/consent/proof.rs",
            "privacy/uniques.rs",
            "privacy/crowd/store.rs",
            "privacy/keys/",
            "privacy/rights/erasures.rs",
            "delivery/consumer.rs",
            "delivery/ledger.rs",
            "delivery/parking.rs",
            "delivery/replay.rs",
            "documents/store.rs",
            "egress/store.rs",
            "profile/audit.rs",
            "profile/sqlite.rs",
            "profile/store.rs",
            "recleanse/progress.rs",
        ],
        "SQL is spoken by the stores alone",
    ),
    (".open_for_whom_it_is_shown(", &["profile/contact_view.rs"], "how somebody is written to is opened in one place"),
    (".for_the_mail_server(", &["app/own_data.rs"], "an address that somebody typed goes into the mail to it alone"),
    (
        ".hand_over_to_the_",
        &["cli/person.rs", "api/erasing.rs"],
        "what a person asks for is handed out by one command, and who is to be told by one route",
    ),
    (
        ".at_rest(",
        &["profile/store.rs", "profile/sqlite.rs", "profile/postgres.rs"],
        "whose a part of a profile is, is known to its stores alone",
    ),
    (
        ".envelope()",
        &["privacy/", "destination/meta.rs", "destination/tiktok.rs"],
        "what is in an envelope is for destinations whose row asks for it",
    ),
    ("maxminddb::", &["privacy/enrich/"], "the address is looked up in privacy/ alone"),
    ("UnixStream", &["hand_over.rs", "privacy/hand_over/"], "what is handed over goes to the next process alone"),
    ("forwarded", &["server/client_address.rs", "destination/words/likeness.rs"], "one place believes or disbelieves forwarding headers"),
    ("(unsafe_code", &["privacy/keys/"], "unsafe code may stand under privacy/keys/ alone"),
    ("std::process::exit", &["main.rs"], "one place ends the program"),
];

/// What a pure module may not name: it would be a way out for what it decodes or encodes.
const NO_WAY_OUT: &[(&str, &[&str])] = &[
    (
        "destination/",
        &["std::fs", "TcpStream", "UdpSocket", "ToSocketAddrs", "std::env", "tokio::", "tracing::", "hyper::", "clock::now", "println!"],
    ),
    ("privacy/", &["std::env", "tracing::", "hyper::", "std::process", "println!"]),
    (
        "protocol/",
        &["std::fs", "TcpStream", "UdpSocket", "ToSocketAddrs", "std::env", "tokio::", "tracing::", "hyper::", "clock::now", "println!"],
    ),
];

/// Who may name one of these all the same.
const WAYS_OUT: &[(&str, &str)] = &[
    // Says that new keys cannot be stored: someone must act.
    ("privacy/keys/person.rs", "tracing::"),
    // Says that consents cannot be put on record: someone must act.
    ("privacy/consent/proof.rs", "tracing::"),
];

/// Modules that answer requests: visitors', backends', those of programs with a key, those to the admin listener.
const ANSWERING: [&str; 4] = ["api/", "console/", "protocol/", "server/"];
/// What says where events go, or would change it: destinations and how they are reached; documents as they are written, read from text and put in
/// force; settings as an operator writes them.
const SAYS_WHERE: [&str; 9] = [
    "delivery::carrier",
    "destination::",
    "destination as",
    "documents::files",
    "documents::parse",
    "documents::store",
    "DocumentStore",
    "HttpCall",
    "toml::",
];

const BANNED_NAMES: [&str; 12] =
    ["base", "common", "context", "helper", "helpers", "manager", "misc", "shared", "types", "util", "utils", "v2"];

/// Directories that hold what was made, not what was written.
const MADE: [&str; 7] = [".git", "artifacts", "certs", "corpus", "data", "node_modules", "target"];

#[test]
fn every_source_file_says_what_it_owns() {
    let mut wrong = Vec::new();
    for file in files("", "rs") {
        if !text(&file).starts_with("//!") {
            wrong.push(format!("{}: does not open with `//!`", shown(&file)));
        }
    }
    none(wrong);
}

#[test]
fn no_source_file_is_too_long() {
    let too_long = files("src", "rs").into_iter().filter(|file| text(file).lines().count() > LINES_MAX);
    none(too_long.map(|file| format!("{}: more than {LINES_MAX} lines; split it by concept", shown(&file))).collect());
}

#[test]
fn names_say_something() {
    let named = |file: &PathBuf| {
        let path = file.strip_prefix(root()).unwrap_or(file).with_extension("");
        path.components().any(|part| BANNED_NAMES.iter().any(|banned| part.as_os_str() == *banned))
    };
    none(files("src", "rs").iter().filter(|file| named(file)).map(|file| format!("{}: a name that says nothing", shown(file))).collect());
}

#[test]
fn modules_name_only_what_the_drawing_allows() {
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let module = module_of(&file);
        if WIRING.contains(&module.as_str()) || is_test(&file) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: the module {module} has no arrows in tests/tidy.rs", shown(&file)));
            continue;
        };
        for named in crate_modules(&code(&text(&file))) {
            if named != module && !allowed.contains(&named.as_str()) {
                wrong.push(format!("{}: {module} may not name {named}", shown(&file)));
            }
        }
    }
    none(wrong);
}

#[test]
fn some_words_have_one_owner() {
    let mut wrong = Vec::new();
    for file in files("src", "rs").into_iter().filter(|file| !is_test(file)) {
        let path = below_src(&file);
        let code = code(&text(&file));
        for (word, owners, why) in OWNERS {
            let owned = owners.iter().any(|owner| if owner.ends_with('/') { path.starts_with(owner) } else { path == *owner });
            if !owned && code.contains(word) {
                wrong.push(format!("src/{path}: names `{word}`: {why}"));
            }
        }
        for (module, words) in NO_WAY_OUT {
            for word in words.iter().filter(|word| path.starts_with(module) && code.contains(**word)) {
                if WAYS_OUT.contains(&(path.as_str(), word)) {
                    continue;
                }
                wrong.push(format!("src/{path}: names `{word}`; {module} has no way out"));
            }
        }
    }
    none(wrong);
}

/// Receivers are the operator's: who runs `apply` or writes the files that are managed may send events to any address, a private one too. Whoever
/// makes a request may name none, so no request can have the program call an address of its sender's choice. A route or a page that takes one needs
/// what such addresses need first (public ones alone, resolved once for each attempt, no redirects, none of this machine's own and none where a cloud
/// tells its machines their secrets): build that, then change this test.
#[test]
fn no_request_says_where_events_go() {
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for file in files("src", "rs").into_iter().filter(|file| !is_test(file)) {
        let path = below_src(&file);
        if !ANSWERING.iter().any(|module| path.starts_with(module)) {
            continue;
        }
        looked_at += 1;
        let code = code(&text(&file));
        let code = imports(&code) + &code;
        let named = SAYS_WHERE.iter().filter(|word| code.contains(**word));
        wrong.extend(named.map(|word| format!("src/{path}: names `{word}`: what answers requests does not decide where events go")));
    }
    assert!(looked_at > 50, "the modules that answer requests are read");
    for module in ["api", "console", "protocol", "server"] {
        let (_, arrows) = ARROWS.iter().find(|(name, _)| *name == module).expect("its arrows are drawn");
        if arrows.contains(&"destination") {
            wrong.push(format!("{module} has an arrow to destination: what answers requests does not decide where events go"));
        }
    }
    none(wrong);
}

#[test]
fn trace_messages_are_constant() {
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        for message in trace_calls(&code(&text(&file))).into_iter().filter(|call| holds_a_formatted_string(call)) {
            wrong.push(format!("{}: a trace message is not constant: {message}", shown(&file)));
        }
    }
    none(wrong);
}

#[test]
fn every_protocol_and_destination_has_a_row_and_goldens() {
    let mut wrong = Vec::new();
    for (module, table, not_a_row) in [
        ("protocol", "PROTOCOLS", ["mod", "cookies", "inbound", "library"].as_slice()),
        ("destination", "DESTINATIONS", ["mod", "columns", "form", "publication", "settings"].as_slice()),
    ] {
        let home = text(&root().join("src").join(module).join("mod.rs"));
        let rows = home.split_once(&format!("const {table}")).and_then(|(_, rest)| rest.split_once(';')).map_or("", |(rows, _)| rows);
        for file in files(&format!("src/{module}"), "rs") {
            let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            if not_a_row.contains(&name.as_str()) || file.parent() != Some(&root().join("src").join(module)) {
                continue;
            }
            if !rows.contains(&format!("{name}::")) {
                wrong.push(format!("{}: has no row in {table}", shown(&file)));
            }
            let goldens = root().join("tests/golden").join(module).join(&name);
            if !goldens.is_dir() || entries(&goldens).is_empty() {
                wrong.push(format!("{}: has no golden files in tests/golden/{module}/{name}/", shown(&file)));
            }
        }
    }
    none(wrong);
}

#[test]
fn every_rule_of_privacy_is_decided_in_one_place() {
    let named = text(&root().join("src/privacy/rules.rs"));
    let (_, rules) = named.split_once("\nrules! {").expect("the rules are listed");
    let rules: Vec<&str> = rules.lines().skip(1).take_while(|line| *line != "}").filter_map(|line| line.trim().strip_suffix(',')).collect();
    assert!(rules.len() > 40, "the rules are read");
    let code: Vec<(String, String)> = files("src", "rs")
        .into_iter()
        .filter(|file| !is_test(file) && !shown(file).starts_with("src/prove/"))
        .map(|file| (shown(&file), code(&text(&file))))
        .collect();
    // `prove` takes rules out, and decides by none.
    let mut wrong = Vec::new();
    for rule in rules {
        let path = format!("Rule::{rule}");
        let asks = |code: &str| code.match_indices(&path).filter(|(at, _)| word(&code[at + "Rule::".len()..]) == rule).count();
        let places: Vec<&str> = code.iter().flat_map(|(file, code)| vec![file.as_str(); asks(code)]).collect();
        if places.len() != 1 {
            wrong.push(format!("the rule {rule} is decided in {} places, not in one: {}", places.len(), places.join(", ")));
        }
    }
    none(wrong);
}

#[test]
fn no_release_can_be_built_without_its_rules() {
    let manifest = text(&root().join("Cargo.toml"));
    let (_, features) = manifest.split_once("\n[features]\n").expect("the manifest lists its features");
    let features = features.split("\n[").next().unwrap_or_default();
    let others = features.lines().filter(|line| !line.starts_with('#') && !line.starts_with("proof ="));
    none(
        others
            .filter(|line| line.contains("proof"))
            .map(|line| format!("Cargo.toml: `{line}` brings the feature `proof` with it"))
            .collect(),
    );
    let guard = "#[cfg(all(feature = \"proof\", not(debug_assertions)))]\ncompile_error!(";
    assert!(text(&root().join("src/privacy/rules.rs")).contains(guard), "an optimised build refuses the feature `proof`");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in files("", "md") {
        for target in links(&text(&file)) {
            let path = target.split(['#', '?']).next().unwrap_or_default();
            let outward = target.contains("://") || target.starts_with("mailto:");
            if !outward && !path.is_empty() && !file.parent().unwrap_or(&file).join(path).exists() {
                wrong.push(format!("{}: the link to {target} leads nowhere", shown(&file)));
            }
        }
    }
    none(wrong);
}

#[test]
fn decision_records_have_date_and_status() {
    let mut wrong = Vec::new();
    for file in files("docs/adr", "md") {
        let text = text(&file);
        for key in ["Date: 20", "Status: "] {
            if !text.lines().any(|line| line.trim_start_matches("- ").starts_with(key)) {
                wrong.push(format!("{}: has no line `{}`", shown(&file), key.trim_end_matches("20")));
            }
        }
    }
    none(wrong);
}

#[test]
fn nothing_of_one_machine_is_in_the_tree() {
    // Written in pieces, so that this file does not hold them.
    let machine: Vec<String> = ["work/", "root/", "home/"].iter().map(|rest| format!("/{rest}")).collect();
    let key = format!("-----BEGIN {}PRIVATE KEY", "");
    let mut wrong = Vec::new();
    for file in files("", "") {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            let at_word = |path: &String| {
                line.match_indices(path.as_str())
                    .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || "./-_*}".contains(before)))
            };
            if machine.iter().any(at_word) {
                wrong.push(format!("{}:{}: a path of one machine", shown(&file), number + 1));
            }
            if line.trim_start().starts_with(&key) {
                wrong.push(format!("{}:{}: a private key", shown(&file), number + 1));
            }
            // Without an address, each machine asks its own registry; the integrity hash says that it is the same package.
            if file.ends_with("package-lock.json") && line.trim_start().starts_with("\"resolved\":") {
                wrong.push(format!("{}:{}: the address of a registry", shown(&file), number + 1));
            }
        }
    }
    none(wrong);
}

#[test]
fn the_readers_of_this_file_see_what_they_should() {
    let source = "use crate::{\n    clock::Timestamp,\n    event::{Epoch, crate_like},\n    privacy::{raw::{A, B}, record},\n};\n\
                  fn f() { crate::state::open(); }\n#[cfg(test)]\nmod tests { use crate::server; }\n";
    assert_eq!(crate_modules(&code(source)), ["clock", "event", "privacy", "state"].map(str::to_owned).into());
    let written_out = imports(&code(
        "use crate::{\n    delivery::{Delivery, carrier::{Carriers, http}},\n    documents::{self, parse},\n};\nuse std::fs;\n",
    ));
    for path in [
        "crate::delivery::Delivery\n",
        "delivery::carrier::Carriers\n",
        "delivery::carrier::http\n",
        "documents::self\n",
        "crate::documents::parse\n",
        "std::fs\n",
    ] {
        assert!(written_out.contains(path), "{path}: {written_out}");
    }
    assert!(!code("// crate::server\nlet a = 1; // .expose(\n").contains("expose"));
    assert!(code("let url = \"https://example.org\"; call()").contains("call()"));
    let calls = trace_calls("tracing::warn!(count = 1, \"all is {count}\"); tracing::info!(task = name(\"}\"), \"all is well\");");
    assert_eq!(calls.iter().map(|call| holds_a_formatted_string(call)).collect::<Vec<_>>(), [true, false]);
    assert_eq!(links("[a](b.md) `[no](c.md)` ![d](e.png)\n```\n[f](g.md)\n```\n"), ["b.md", "e.png"]);
}

/// Every path that code imports, written out, one a line: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn imports(code: &str) -> String {
    fn write_out(above: &str, tree: &str, to: &mut String) {
        let tree = tree.trim();
        let Some((path, inner)) = tree.split_once('{').and_then(|(path, rest)| Some((path, rest.strip_suffix('}')?))) else {
            to.extend([above, tree, "\n"]);
            return;
        };
        let (above, mut depth, mut from) = (format!("{above}{path}"), 0_usize, 0);
        for (at, character) in inner.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    write_out(&above, &inner[from..at], to);
                    from = at + 1;
                }
                _ => {}
            }
        }
        write_out(&above, &inner[from..], to);
    }
    let mut found = String::new();
    for (at, _) in code.match_indices("use ") {
        let begins = !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        if let Some(end) = code[at..].find(';').filter(|_| begins) {
            write_out("", &code[at + "use ".len()..at + end], &mut found);
        }
    }
    found
}

/// The top-level modules that code names as `crate::…`, in paths and in groups.
fn crate_modules(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if !rest.starts_with('{') {
            found.insert(word(rest));
            continue;
        }
        let mut depth = 0_usize;
        let mut at_start = false;
        for (place, character) in rest.char_indices() {
            match character {
                '{' => {
                    depth += 1;
                    at_start = depth == 1;
                }
                '}' => depth -= 1,
                ',' => at_start = depth == 1,
                _ if at_start && !character.is_whitespace() => {
                    found.insert(word(&rest[place..]));
                    at_start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// The calls of `tracing`'s event macros, each up to its closing bracket.
fn trace_calls(code: &str) -> Vec<String> {
    let mut calls = Vec::new();
    for level in ["trace!(", "debug!(", "info!(", "warn!(", "error!("] {
        for (at, _) in code.match_indices(&format!("tracing::{level}")) {
            let mut depth = 0_usize;
            let call = code[at..].chars().take_while(|character| {
                let inside = depth != 1 || *character != ')';
                match character {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
                inside
            });
            calls.push((at, call.collect::<String>()));
        }
    }
    calls.sort();
    calls.into_iter().map(|(_, call)| call).collect()
}

/// Whether one of its string literals has a placeholder.
fn holds_a_formatted_string(call: &str) -> bool {
    call.split('"').skip(1).step_by(2).any(|literal| literal.contains('{'))
}

/// The targets of a document's links, without those in code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        for (at, _) in prose.match_indices("](") {
            let target: String = prose[at + 2..].chars().take_while(|character| !matches!(character, ')' | ' ')).collect();
            found.push(target);
        }
    }
    found
}

/// A file's code without its comments and its tests, which stand at the end.
fn code(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    code.lines().map(without_comment).collect::<Vec<_>>().join("\n")
}

fn without_comment(line: &str) -> &str {
    // `://` is an address in a string, not a comment.
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// Whether a file below `src/` is test code by its place.
fn is_test(file: &Path) -> bool {
    below_src(file).split('/').any(|part| TESTS.contains(&part.trim_end_matches(".rs")))
}

fn module_of(file: &Path) -> String {
    let path = below_src(file);
    path.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

fn below_src(file: &Path) -> String {
    file.strip_prefix(root().join("src")).unwrap_or(file).to_string_lossy().into_owned()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", shown(file)))
}

/// All files below a directory with that extension (any, when it is empty), without what was made.
fn files(below: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(below)];
    while let Some(directory) = open.pop() {
        for entry in entries(&directory) {
            let made = entry.file_name().is_some_and(|name| MADE.iter().any(|made| name == *made));
            if made {
                continue;
            }
            if entry.is_dir() {
                open.push(entry);
            } else if entry.is_file() && (extension.is_empty() || entry.extension().is_some_and(|found| found == extension)) {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
