//! The data of every release opens with this program, is brought up to date, and delivers what waited in it; through a crash or a full disk
//! at any moment of that, too. What a newer program wrote is refused, and left as it is.
//!
//! `tests/releases/README.md` says how the data of a release is made.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use firsthand::{clock, event_log::FORMATS_READ, privacy::keys::database::KEYS, state::STATE};
use rusqlite::Connection as Database;
use serde_json::{Value, json};

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    left_out::left_out,
    receiver::{Behaviour, Receiver},
};

const PATIENCE: Duration = Duration::from_secs(30);
/// What waits for `hook` in the data of a release, by the events' numbers.
const WAITING: [u64; 3] = [5, 6, 7];
/// So long after it was made the data is opened.
const LATER_MS: i64 = 5 * 60 * 1000;
/// The exit code where a newer program wrote the data.
const NEWER: i32 = 3;

fn event(number: u64, visitor: u8) -> Value {
    json!({ "k": "page_view", "p": format!("https://www.shop.example/shoes/{visitor}"), "d": { "number": number } })
}

fn said(visitor: u8, body: &Value) -> Request {
    Request::beacon(body.to_string()).with("X-Forwarded-For", &format!("192.0.2.{visitor}"))
}

fn person(number: u64, cookie: &str, purposes: &[&str]) -> Request {
    said(1, &json!({ "g": purposes, "e": [event(number, 1)] })).with("Cookie", cookie)
}

fn visitor(number: u64) -> Request {
    said(2, &json!({ "e": [event(number, 2)] }))
}

fn number_of(event: &Value) -> u64 {
    event["properties"]["number"].as_f64().expect("events have a number") as u64
}

fn releases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/releases")
}

/// Takes what SQLite left in a journal into the file.
fn settle(directory: &Path) {
    for schema in [STATE, KEYS] {
        let database = Database::open(directory.join(schema.file)).unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("log")).unwrap();
    for file in ["state.db", "keys.db"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    for file in fs::read_dir(from.join("log")).unwrap().map(|file| file.unwrap().path()).filter(|file| file.extension().is_some()) {
        fs::copy(&file, to.join("log").join(file.file_name().unwrap())).unwrap();
    }
}

/// A day at a shop, run by this binary, as the data of a release: two events delivered, one parked, three that wait, a consent that was given
/// and changed, an objection.
fn make(binary: &Path, to: &Path) {
    let receiver = Receiver::start(Behaviour::Accept);
    let installation = Installation::without_documents();
    let documents = [
        SITE.to_owned(),
        file_destination("customers", "consent", "consented-analytics"),
        file_destination("measurement", "exempt_measurement", "measurement"),
        destination("hook", "webhook", "exempt_measurement", "measurement", &receiver.settings()),
    ];
    installation.write("documents.toml", &documents.concat());
    let run = |arguments: &[&str]| {
        let output = installation.command_of(binary, arguments).output().expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    };
    run(&["apply", "documents.toml", "--reason", "a release"]);
    let server = installation.start_as(installation.command_of(binary, &["run"]));
    let send = |request: &Request| {
        let answer = server.send(request);
        assert_eq!(answer.status, 204);
        answer
    };
    let answer = send(&person(1, "", &["analytics"]));
    let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned();
    send(&person(2, &cookie, &["analytics", "ads"]));
    eventually("two are delivered", PATIENCE, || receiver.accepted().len() == 2);
    receiver.behave(Behaviour::Refuse(400, None));
    send(&visitor(3));
    let parked = || installation.number("state.db", "SELECT count(*) FROM parked") == 1;
    eventually("one is parked", PATIENCE, parked);
    send(&said(3, &json!({ "e": [event(4, 3)], "o": 1 })));
    receiver.behave(Behaviour::Refuse(503, Some(1)));
    let calls = receiver.calls(<[_]>::len);
    send(&person(WAITING[0], &cookie, &["analytics", "ads"]));
    WAITING[1..].iter().for_each(|number| drop(send(&visitor(*number))));
    eventually("three are refused, and wait", PATIENCE, || receiver.calls(|all| all.len() > calls));
    eventually("everything is at the customers'", PATIENCE, || installation.outbox("customers").len() == 3);
    let ids: BTreeSet<String> =
        installation.outbox("customers").iter().map(|event| event["visitor_id"].as_str().unwrap().to_owned()).collect();
    assert!(server.stop().success());
    let proof = run(&["proof", "verify"]);
    let head = proof.lines().find_map(|line| line.strip_prefix("head ")).expect("a head");
    settle(&installation.data());
    copy(&installation.data(), to);
    // It signs, so it is nobody's to commit; the program that opens the directory makes another. An older one made none.
    let _ = fs::remove_file(to.join("egress.key"));
    let story = json!({
        "program": run(&["--version"]).trim(), "made": clock::now().0, "cookie": cookie, "proof_head": head, "ids_of_the_person": ids,
        "hook": receiver.settings().split('"').nth(1),
    });
    fs::write(to.join("story.json"), serde_json::to_string_pretty(&story).unwrap() + "\n").unwrap();
}

/// The data of a release in an installation of its own, not opened yet.
struct Released {
    installation: Installation,
    story: Value,
    versions: [u32; 2],
}

impl Released {
    fn of(directory: &Path) -> Self {
        let installation = Installation::without_documents();
        copy(directory, &installation.data());
        let story = serde_json::from_slice(&fs::read(directory.join("story.json")).unwrap()).unwrap();
        let mut released = Self { installation, story, versions: [0; 2] };
        released.versions = released.versions();
        released
    }

    fn versions(&self) -> [u32; 2] {
        [STATE, KEYS].map(|schema| schema.found(&self.installation.data().join(schema.file)).unwrap().expect("a schema"))
    }

    /// The server at a time at which the data is not yet past its retention.
    fn command(&self) -> Command {
        let time = self.story["made"].as_i64().unwrap() + LATER_MS;
        self.installation.command(&["run", "--clock", &time.to_string()])
    }

    fn start(&self) -> Running {
        self.installation.start_as(self.command())
    }

    fn copies(&self) -> Vec<String> {
        let names = |entries: fs::ReadDir| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        fs::read_dir(self.installation.data().join("copies")).map(names).unwrap_or_default()
    }

    /// Whether everything in it is still there and goes on.
    fn goes_on(&self) {
        let Self { installation, story, .. } = self;
        let server = self.start();
        assert_eq!(self.versions(), [STATE.version(), KEYS.version()]);
        let receiver = Receiver::start(Behaviour::Accept);
        let documents = String::from_utf8(installation.run(&["export"]).stdout).unwrap();
        let old = story["hook"].as_str().unwrap();
        assert!(documents.contains(old), "the documents are there: {documents}");
        let url = receiver.settings().split('"').nth(1).unwrap().to_owned();
        installation.apply(&documents.replace(old, &url));
        let arrived = || receiver.accepted().iter().map(number_of).collect::<Vec<_>>();
        eventually("what waited is delivered", PATIENCE, || arrived().len() >= WAITING.len());

        let cookie = story["cookie"].as_str().unwrap();
        assert_eq!(server.send(&person(8, cookie, &["analytics", "ads"])).status, 204);
        eventually("the person's next event", PATIENCE, || !installation.outbox("customers").is_empty() && arrived().len() == 4);
        let mut all = arrived();
        all.sort_unstable();
        assert_eq!(all, [5, 6, 7, 8], "each once, and nothing that was delivered, parked or refused");
        let ids: BTreeSet<String> =
            installation.outbox("customers").iter().map(|event| event["visitor_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(json!(ids), story["ids_of_the_person"], "who consented is the same to a destination");
        assert_eq!(installation.number("state.db", "SELECT count(*) FROM parked"), 1);
        assert_eq!(installation.number("keys.db", "SELECT count(*) FROM purge_set"), 1, "an objection");
        let ended =
            |wanted: &str| installation.ledger("hook").iter().filter(|(state, ..)| state == wanted).map(|(.., count)| count).sum::<i64>();
        eventually("all have their end in the ledger", PATIENCE, || (ended("accepted"), ended("rejected")) == (6, 1));
        assert!(server.stop().success());
        let proof = installation.run(&["proof", "verify", "--head", story["proof_head"].as_str().unwrap()]);
        let proof = String::from_utf8_lossy(&[proof.stdout, proof.stderr].concat()).into_owned();
        assert!(proof.starts_with("the chain is whole: 2 records, 0 of them erased"), "{proof}");
    }
}

fn all_releases() -> Vec<PathBuf> {
    let entries = fs::read_dir(releases()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.join("story.json").exists()).collect()
}

/// One whose state.db has steps before it.
fn older() -> Released {
    let mut all = all_releases().into_iter().map(|directory| Released::of(&directory));
    all.find(|released| released.versions[0] < STATE.version()).expect("a release with an older schema")
}

/// A checksum of every file below a directory, but for the journals' indexes, which hold nothing.
fn sums_below(directory: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.append(&mut sums_below(&entry.path())),
            kind if kind.is_file() && !entry.path().to_string_lossy().ends_with("-shm") => {
                found.insert(entry.path(), crc32c::crc32c(&fs::read(entry.path()).unwrap()));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn the_data_of_every_release_opens_and_delivers_what_waited() {
    let all = all_releases();
    assert!(!all.is_empty());
    for directory in all {
        let released = Released::of(&directory);
        let behind = released.versions != [STATE.version(), KEYS.version()];
        let state_is_behind = released.versions[0] < STATE.version();
        if state_is_behind {
            let before = sums_below(&released.installation.data());
            let refused = released.installation.run(&["export"]);
            let told = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(!refused.status.success() && told.contains("brings it up to date"), "{told}");
            let checked = String::from_utf8_lossy(&released.installation.run(&["check"]).stdout).into_owned();
            let wanted = format!("has schema {}; the next start brings it to {}", released.versions[0], STATE.version());
            assert!(checked.contains(&wanted), "{checked}");
            assert_eq!(sums_below(&released.installation.data()), before, "a command changes nothing of older data");
        }
        released.goes_on();
        let copies = if state_is_behind { vec![format!("state-schema-{}.db", released.versions[0])] } else { Vec::new() };
        assert_eq!(released.copies(), copies, "{}", directory.display());
        let above = |path: &Path| path.parent() == Some(&released.installation.data());
        let databases = sums_below(&released.installation.data()).into_keys().filter(|path| above(path) && path.extension().is_some());
        let databases = databases.map(|path| path.file_name().unwrap().to_owned());
        // The key that signs days is made when one is closed: of data that is older than a day, once the clock is believed.
        let databases: Vec<_> = databases.filter(|name| name != "egress.key").collect();
        assert_eq!(databases, ["erasures.db", "keys.db", "state.db"], "no copy of keys, behind or not: {behind}");
        released.installation.number("state.db", "SELECT 1 FROM programs");
    }
}

#[test]
fn what_this_program_writes_can_be_kept_as_the_data_of_a_release() {
    let directory = tempfile::tempdir().unwrap();
    let wanted = std::env::var("FIRSTHAND_MAKE_RELEASE").ok().map(|name| releases().join(name));
    let binary = std::env::var("FIRSTHAND_RELEASE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_firsthand").to_owned());
    let to = wanted.unwrap_or_else(|| directory.path().join("data"));
    make(Path::new(&binary), &to);
    Released::of(&to).goes_on();
}

#[test]
fn a_crash_at_any_moment_of_an_upgrade_costs_nothing() {
    let released = older();
    for pause in (0..14).map(|step| Duration::from_millis(step * 15)) {
        let mut server = released.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(pause);
        server.kill().unwrap();
        server.wait().unwrap();
        let found = released.versions();
        let whole = [(released.versions[0], STATE.version()), (released.versions[1], KEYS.version())];
        assert!(found.iter().zip(whole).all(|(found, (old, new))| *found == old || *found == new), "after {pause:?}: {found:?}");
    }
    released.goes_on();
}

#[test]
fn without_room_for_the_copy_nothing_is_changed() {
    if !cfg!(target_os = "linux") {
        left_out("a full disk at an upgrade", "the limit on a file's size is set by a Linux shell");
        return;
    }
    let released = older();
    let before = sums_below(&released.installation.data());
    let server = released.command();
    let mut limited = Command::new("bash");
    // Writing beyond 64 KiB fails as it does on a full disk; without the trap, the signal would end the process.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "bash"]).arg(server.get_program()).args(server.get_args());
    let output = limited.current_dir(released.installation.path()).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no copy of state.db could be made") && told.contains("make room, and start again"), "{told}");
    let mut after = sums_below(&released.installation.data());
    after.retain(|path, _| !["lock", "state.db-wal"].iter().any(|name| path.ends_with(name)));
    assert_eq!(after, before, "nothing is left of the attempt");
    released.goes_on();
}

#[test]
fn what_a_newer_program_wrote_is_refused_and_left_as_it_is() {
    let newer_log = |data: &Path| {
        let log = fs::read_dir(data.join("log")).unwrap().map(|file| file.unwrap().path());
        let file = log.filter(|file| file.extension().is_some()).min().expect("a log segment");
        let mut bytes = fs::read(&file).unwrap();
        bytes[8] = FORMATS_READ.end() + 1;
        let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&crc);
        fs::write(&file, bytes).unwrap();
    };
    let database =
        |name: &'static str| move |data: &Path| Database::open(data.join(name)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    type Change = Box<dyn Fn(&Path)>;
    let (log, known) = (format!("has format {}", FORMATS_READ.end() + 1), |known: u32| format!("knows schemas up to {known}"));
    let cases: [(&str, Change, String, String); 3] = [
        ("state.db", Box::new(database("state.db")), String::from("has schema 99"), known(STATE.version())),
        ("keys.db", Box::new(database("keys.db")), String::from("has schema 99"), known(KEYS.version())),
        (".0.log", Box::new(newer_log), log, format!("knows formats up to {}", FORMATS_READ.end())),
    ];
    for (name, change, found, known) in cases {
        let installation = Installation::new(&(SITE.to_owned() + &file_destination("measurement", "exempt_measurement", "measurement")));
        assert!(installation.start().stop().success());
        installation.change("state.db", "UPDATE programs SET program = '9.8.7'");
        settle(&installation.data());
        change(&installation.data());
        let before = sums_below(&installation.data());
        let refused = |arguments: &[&str]| {
            let output = installation.run(arguments);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(NEWER), "{arguments:?}: {told}");
            assert_eq!(sums_below(&installation.data()), before, "{name}: {arguments:?} wrote something");
            told
        };
        for arguments in [["run"].as_slice(), &["run", "--take-over"], &["check"]] {
            let told = refused(arguments);
            let parts = [name, &found, &known, "firsthand 9.8.7", "Nothing was changed", "fix: start the program that wrote it"];
            assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        }
        if name == "state.db" {
            refused(&["export"]);
        }
    }
}
