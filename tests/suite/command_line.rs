//! The commands as a person uses them: what they print, what they leave, and that a message names file, key, reason and fix.

use firsthand::prove::scanner::{Mark, Scanner};
use std::{fs, process::Output, time::Duration};

use crate::{
    http_client::Request,
    installation::{Installation, SITE, eventually, file_destination},
};

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    assert!(output.stderr.is_empty(), "{}", err(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What a command that fails says. It fails with exit code 1.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "it should have failed: {}", String::from_utf8_lossy(&output.stdout));
    err(output)
}

fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn doctor_says_what_is_wrong_what_to_do_and_what_to_write() {
    let machine = Installation::empty();
    out(&machine.run(&["init", "https://www.shop.example", ".", "--time-zone", "Europe/Berlin"]));
    let site = machine.path().join("sites/site.toml");
    let keys = "policy = \"site\"\nkeys = { posthog = [\"phc_7\"] }\n";
    let document = fs::read_to_string(&site).unwrap();
    assert!(document.contains("policy = \"site\"\n"), "init writes another document");
    fs::write(&site, document.replacen("policy = \"site\"\n", keys, 1)).unwrap();
    let said = out(&machine.run(&["doctor"]));
    assert_holds(
        &said,
        &[
            "note:     there is no place database",
            "fix: [places] database",
            "posthog-js",
            "posthog.init(\"phc_7\"",
            "more speak to other keys",
        ],
    );
    assert!(!said.contains("wrong:") && !said.contains("amplitude"), "{said}");
    assert!(!machine.data().exists(), "it writes nothing");
    assert_holds(&out(&machine.run(&["doctor", "--all"])), &["amplitude.init(\"KEY\"", "known by its form (EasyPrivacy)"]);
    let told: serde_json::Value = serde_json::from_str(&out(&machine.run(&["doctor", "--json"]))).unwrap();
    assert_eq!(told["sites"][0]["libraries"][1]["protocol"], "posthog");
    assert_holds(&failure(&machine.run(&["doctor", "--site", "nobody"])), &["there is no site \"nobody\"", "fix: "]);

    let file = machine.path().join("firsthand.toml");
    let configuration = fs::read_to_string(&file).unwrap();
    fs::write(&file, configuration.replace("trusted = [\"127.0.0.0/8\", \"::1/128\"]", "trusted = []")).unwrap();
    let output = machine.run(&["doctor"]);
    assert_holds(&failure(&output), &["one thing is wrong"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("wrong:    plain HTTP is taken on 127.0.0.1:8080"), "{said}");
}

#[test]
fn from_nothing_to_a_first_event() {
    let machine = Installation::empty();
    let said = out(&machine.run(&["init", "https://www.shop.example", ".", "--time-zone", "Europe/Berlin"]));
    assert_holds(
        &said,
        &["firsthand.toml", "sites/site.toml", "<script src=\"/", "push([\"consent\", [\"analytics\"]])", "firsthand run --config"],
    );
    let again = failure(&machine.run(&["init", "https://www.shop.example"]));
    assert_holds(&again, &["firsthand.toml: is there already", "fix: "]);
    assert_holds(&failure(&machine.run(&["init", "www.shop.example/page", "other"])), &["is no origin", "fix: firsthand init https://"]);

    let checked = out(&machine.run(&["check"]));
    assert_holds(
        &checked,
        &["firsthand.toml: is right", "sites: is right", "every country is ZZ", "www.shop.example", "exempt_measurement, strict"],
    );
    assert!(!machine.data().exists(), "check writes nothing");

    let server = machine.start_as(machine.command(&["run", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]));
    let site = fs::read_to_string(machine.path().join("sites/site.toml")).unwrap();
    let prefix = site.lines().find_map(|line| line.strip_prefix("prefix = \"")?.strip_suffix('"')).unwrap().to_owned();
    let beacon = Request { path: format!("{prefix}/e"), ..Request::beacon(r#"{"e":[{"k":"page_view"}]}"#) };
    assert_eq!(server.send(&beacon).status, 204);
    eventually("the first event", Duration::from_secs(20), || machine.outbox("measurement").len() == 1);
    assert!(server.stop().success());
}

#[test]
fn documents_are_applied_shown_and_exported() {
    let machine = Installation::new(SITE);
    let more = file_destination("warehouse", "exempt_measurement", "strict");
    machine.write("more.toml", &more);
    let dry = out(&machine.run(&["apply", "more.toml", "--dry-run"]));
    assert_holds(&dry, &["destination \"warehouse\": new", "+ type = \"file\"", "1 document would change. Nothing was changed"]);
    assert!(!out(&machine.run(&["export"])).contains("warehouse"), "a dry run changes nothing");
    assert_holds(&out(&machine.run(&["apply", "more.toml", "--reason", "a new warehouse"])), &["1 document changed"]);
    assert_holds(&out(&machine.run(&["apply", "more.toml"])), &["Nothing to change"]);

    let exported = out(&machine.run(&["export"]));
    assert_holds(&exported, &["[[policy]]", "[[site]]", "name = \"warehouse\"", "prefix = \"/keso\""]);
    machine.write("exported.toml", &exported);
    assert_holds(&out(&machine.run(&["apply", "exported.toml", "--prune"])), &["Nothing to change"]);

    machine.write("changed.toml", &more.replace("\"strict\"", "\"measurement\""));
    let changed = out(&machine.run(&["apply", "changed.toml", "--reason", "visits are counted"]));
    assert_holds(&changed, &["destination \"warehouse\": changed", "- transform = \"strict\"", "+ transform = \"measurement\""]);
    assert_eq!(
        machine.number("state.db", "SELECT count(*) FROM document_versions WHERE name = 'warehouse'"),
        2,
        "each change is a version"
    );

    machine.write("site.toml", SITE);
    let pruned = out(&machine.run(&["apply", "site.toml", "--prune"]));
    assert_holds(&pruned, &["destination \"warehouse\": removed"]);
    assert!(!out(&machine.run(&["export"])).contains("warehouse"));
    assert_holds(&out(&machine.run(&["check"])), &["site \"shop\""]);
}

#[test]
fn wrong_documents_are_refused_with_their_reasons_and_change_nothing() {
    let machine = Installation::new(SITE);
    let file = |name: &str| file_destination(name, "exempt_measurement", "strict");
    let cases: [(String, &[&str]); 10] = [
        (
            file("a").replace("basis", "kept_months = 26\nbasis"),
            &["destination \"a\": kept_months: 26 months: the audience-measurement exemption covers", "fix: kept_months = 25"],
        ),
        (
            file("a").replace("\"file\"", "\"flie\""),
            &["destination \"a\": type: there is no destination type \"flie\"", "did you mean \"file\"?"],
        ),
        (file("a").replace("\"shop\"", "\"shpo\""), &["sites: there is no site \"shpo\"", "did you mean \"shop\"?"]),
        (file("a").replace("directory", "dirctory"), &["settings.dirctory: is not a key", "did you mean \"directory\"?"]),
        (
            file("a").replace("\"strict\"", "\"consented-analytics\""),
            &["transform: \"consented-analytics\" shows what only a consent can allow"],
        ),
        (file("a").replace("basis", "bsais"), &["documents.toml: ", "line 6", "unknown field `bsais`"]),
        (
            file_destination("a", "consent", "strict").replace("[\"analytics\"]", "[]"),
            &["purposes: the basis \"consent\" names at least one"],
        ),
        (SITE.replace("/keso", "/tracker"), &["site \"shop\": prefix: filter lists match \"track\"", "fix: prefix = \"/"]),
        (SITE.replace("https://www.shop.example", "www.shop.example"), &["is no origin", "origins = [\"https://www.shop.example\"]"]),
        (SITE.replace("Europe/Paris", "Europe/Pari"), &["time_zone: there is no time zone \"Europe/Pari\""]),
    ];
    let before = out(&machine.run(&["export"]));
    for (documents, parts) in cases {
        machine.write("documents.toml", &documents);
        assert_holds(&failure(&machine.run(&["apply", "documents.toml"])), parts);
    }
    // All faults at once, not one after the other.
    machine.write("documents.toml", &[file("a").replace("\"file\"", "\"flie\""), file("b").replace("\"shop\"", "\"shpo\"")].concat());
    assert_holds(&failure(&machine.run(&["apply", "documents.toml"])), &["\"flie\"", "\"shpo\""]);
    assert_holds(&failure(&machine.run(&["apply", "nothing.toml"])), &["nothing.toml: cannot be read"]);
    assert_eq!(out(&machine.run(&["export"])), before);
}

#[test]
fn a_wrong_configuration_names_file_key_reason_and_fix() {
    let cases: [(&str, &[&str]); 7] = [
        ("[lisen]\nhttp = \"127.0.0.1:0\"", &["firsthand.toml: ", "line 1", "`lisen`", "fix: did you mean \"listen\"?"]),
        (
            "[listen]\nadmin = \"0.0.0.0:8081\"",
            &["listen.admin: the admin listener has no access control, ", "fix: admin = \"127.0.0.1:8081\""],
        ),
        ("[listen]\nhttps = \"127.0.0.1:0\"", &["tls: listen.https needs a certificate", "fix: [tls]"]),
        ("data_dir = 7", &["line 1", "data_dir", "string"]),
        ("[proxies]\ntrusted = [\"10.0.0.0/99\"]", &["line 2", "trusted"]),
        ("[places]\ndatabase = \"nowhere.mmdb\"", &["places.database", "cannot be read"]),
        ("[retention]\nwithout_consent_hours = 0", &["retention: ", "fix: without_consent_hours = 72"]),
    ];
    for (text, parts) in cases {
        let machine = Installation::empty();
        machine.write("firsthand.toml", text);
        for command in ["check", "run"] {
            assert_holds(&failure(&machine.run(&[command])), parts);
        }
    }
    let machine = Installation::empty();
    assert_holds(&failure(&machine.run(&["run", "--config", "nowhere.toml"])), &["nowhere.toml: cannot be read", "firsthand init"]);
    assert_holds(&failure(&machine.run(&["check"])), &["firsthand.toml: there is none here", "fix: `firsthand init` writes one"]);
    assert_holds(&failure(&machine.run(&["run", "--listen", "0.0.0.0:0"])), &["the demonstration is for this machine only", "fix: "]);
}

#[test]
fn a_data_directory_is_for_one_program_and_a_port_too() {
    let machine = Installation::new(SITE);
    let server = machine.start();
    assert_holds(&failure(&machine.run(&["run"])), &["another firsthand runs on this data directory", "fix: "]);
    let taken = server.http().to_string();
    assert_holds(&failure(&machine.run(&["run", "--listen", &taken])), &["cannot listen on", &taken, "fix: "]);
    assert!(server.stop().success());
}

/// A beacon with a mark in every place that nobody may see.
const BEACON: &str = r#"POST /keso/e HTTP/1.1
Host: www.shop.example
User-Agent: Mozilla/5.0 (X11; Linux x86_64; ZqAgentMk) Chrome/142.0.0.0 ZqAgentMk@mail.example
Cookie: _ga=ZqCookieMk; __Host-w=ZqOwnCookieMk
Accept-Language: fr-ZqHeaderMk
Referer: https://www.shop.example/ZqRefererMk
X-User: ZqUserHeaderMk

{"CONSENT","e":[{"k":"ZqNameMk","i":"ZqEventMk","t":0,"p":"https://www.shop.example/account/ZqPathMk@mail.example/orders?utm_source=newsletter&email=ZqQueryMk@mail.example#ZqFragmentMk",
"r":"https://search.example/ZqReferrerMk?q=ZqReferrerQueryMk","n":"ZqTitleMk","a":"ZqUserMk","x":"ZqOrderMk","v":12.5,"m":"EUR","l":"fr-ZqLanguageMk","w":1441,
"d":{"plan":"pro","number":3,"ZqPropertyNameMk":"ZqPropertyMk","gift":"ZqGiftMk"},"ZqUnknownMk":"ZqUnknownValueMk"}]}
"#;

#[test]
fn explain_says_what_leaves_and_never_what_does_not() {
    let documents = [
        SITE.to_owned(),
        file_destination("measurement", "exempt_measurement", "measurement"),
        file_destination("customers", "consent", "consented-analytics"),
    ];
    let machine = Installation::new(&documents.concat());
    let words = BEACON.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| word.starts_with("Zq"));
    let mut marks: Vec<Mark> = words.map(|word| Mark::text(word, word)).collect();
    assert!(marks.len() >= 22);
    marks.push(Mark::text("address", "203.0.113.98"));
    let scanner = Scanner::new(marks);
    let explain = |beacon: &str, more: &[&str]| {
        machine.write("beacon.http", beacon);
        machine.run(&[&["explain", "beacon.http", "--address", "203.0.113.98"], more].concat())
    };
    let consents =
        [("\"CONSENT\"", "\"s\":9", "visitor: unknown"), ("\"CONSENT\"", "\"s\":9,\"g\":[\"analytics\"]", "visitor: granted: analytics")];
    for (place, consent, visitor) in consents {
        let beacon = BEACON.replace(place, consent);
        let said = out(&explain(&beacon, &[]));
        assert_holds(
            &said,
            &[
                visitor,
                "to \"measurement\"",
                "to \"customers\"",
                "/account/{email}/orders",
                "\"pro\"",
                "client address",
                "rounded down to 5 minutes",
            ],
        );
        let granted = visitor.contains("granted");
        assert_eq!(said.contains("search.example") && said.contains("newsletter"), granted, "{said}");
        assert_eq!(said.contains("it needs a consent that this visitor has not given"), !granted);
        assert!(said.contains("country = \"BR\"") || said.contains("country = \"ZZ\""), "{said}");
        let json = out(&explain(&beacon, &["--json"]));
        assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap().is_array());
        for text in [said, json] {
            assert_eq!(scanner.scan(text.as_bytes()), [], "a value that would not leave is shown:\n{text}");
        }
    }
    for (consent, reason) in [("\"g\":[]", "the visitor said no"), ("\"o\":1", "the visitor opted out")] {
        let said = out(&explain(&BEACON.replace("\"CONSENT\"", consent), &[]));
        assert_holds(&said, &["visitor: objected", "nothing would be recorded", reason]);
        assert_eq!(scanner.scan(said.as_bytes()), []);
    }
    // What cannot be read is named by its place, and not repeated.
    let broken = failure(&explain(r#"{"e":[{"k":"ZqNameMk","n":ZqTitleMk}]}"#, &[]));
    assert_holds(&broken, &["the beacon cannot be read", "at byte"]);
    assert_eq!(scanner.scan(broken.as_bytes()), []);
    assert_holds(&failure(&explain(BEACON, &["--site", "shpo"])), &["there is no site \"shpo\"", "did you mean \"shop\"?"]);
    assert_holds(&failure(&explain(BEACON, &["--protocol", "natve"])), &["there is no protocol \"natve\"", "one of: native"]);
    assert!(!machine.data().join("log").exists() && !machine.data().join("keys.db").exists(), "explain stores nothing");
}

#[test]
fn help_says_what_there_is() {
    let machine = Installation::empty();
    let help = out(&machine.run(&["--help"]));
    assert_holds(
        &help,
        &["Server-side first-party tracking proxy", "Without a command", "Usage: firsthand [OPTIONS] [COMMAND]", "--data-dir", "--config"],
    );
    for command in ["run", "init", "check", "apply", "export", "explain"] {
        let line =
            help.lines().find(|line| line.trim_start().starts_with(command)).unwrap_or_else(|| panic!("{command} is not in the help"));
        assert!(line.trim().len() > command.len() + 10, "{command} is not described: {line}");
        let own = out(&machine.run(&[command, "--help"]));
        assert_holds(&own, &["Usage: firsthand", command]);
    }
    assert!(help.lines().all(|line| line.chars().count() <= 110), "a line is too long to read");
    let mistyped = machine.run(&["aply"]);
    assert_eq!(mistyped.status.code(), Some(2));
    assert_holds(&err(&mistyped), &["aply", "apply"]);
    assert!(!machine.data().exists(), "asking for help writes nothing");
}
