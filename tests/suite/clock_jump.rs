//! A wall clock that is set to next year while the program runs: what is stored would be past its time, and nothing of it is destroyed until the
//! clock has been steady for ten minutes; nor does an event that waits for its receiver end for its age. The clock is the real one, moved by libfaketime; how long the minutes are is `Agreement`'s own test.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    left_out::left_out,
    receiver::SECRET_VARIABLE,
};

/// What was destroyed is looked for once a minute.
const ROUND: Duration = Duration::from_secs(120);

fn library() -> Option<PathBuf> {
    let directories = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    directories.chain([PathBuf::from("/usr/lib64/faketime/libfaketimeMT.so.1")]).find(|path| path.exists())
}

fn log_segments(installation: &Installation) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(installation.data().join("log"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    found.sort();
    found
}

fn start(installation: &Installation, library: &Path) -> Running {
    let mut command = installation.command(&["run"]);
    let clock = installation.path().join("clock");
    // Time that passes is the machine's: the wall clock alone is moved.
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_NO_CACHE", "1");
    installation.start_as(command)
}

#[test]
fn what_is_stored_outlives_a_clock_that_is_set_to_next_year() {
    let Some(library) = library() else { return left_out("a clock that jumps", "libfaketime is not installed") };
    // One that takes everything, one that is not there, one that rests.
    let away = format!("settings = {{ url = \"http://127.0.0.1:9/\", secret = \"env:{SECRET_VARIABLE}\" }}");
    let documents = [
        format!("{SITE}[site.profile]\n"),
        file_destination("customers", "consent", "consented-analytics"),
        file_destination("measurement", "exempt_measurement", "measurement"),
        destination("away", "webhook", "exempt_measurement", "measurement", &away),
        destination("resting", "webhook", "exempt_measurement", "measurement", &format!("paused = true\n{away}")),
    ];
    let installation = Installation::new(&documents.concat());
    installation.write("clock", "+0d");
    let server = start(&installation, &library);
    for number in 0..3 {
        let beacon = json!({ "e": [{ "k": "page_view", "i": number.to_string() }] }).to_string();
        assert_eq!(server.send(&Request::beacon(beacon).with("X-Forwarded-For", "192.0.2.7")).status, 204);
    }
    let customer = json!({ "g": ["analytics", "profile"], "e": [{ "k": "page_view", "i": "customer" }] }).to_string();
    assert_eq!(server.send(&Request::beacon(customer)).status, 204);
    let profiles = || installation.number("profiles.db", "SELECT count(*) FROM strands");
    eventually("a profile", ROUND, || profiles() == 1);
    assert!(server.stop().success());
    let stored = log_segments(&installation);
    assert!(!stored.is_empty());

    let server = start(&installation, &library);
    let steady = |server: &Running, is: u8| server.admin_page("/metrics").text().contains(&format!("firsthand_clock_agrees {is}\n"));
    assert!(steady(&server, 1));
    installation.write("clock", "+400d");
    eventually("the jump is noticed", ROUND, || steady(&server, 0));
    // The round that noticed it is the one that would have destroyed them.
    std::thread::sleep(Duration::from_secs(1));
    let left = log_segments(&installation);
    assert!(stored.iter().all(|segment| left.contains(segment)), "{stored:?} are now {left:?}");
    assert_eq!(profiles(), 1, "a profile whose consent would have ended, too");
    assert!(fs::read_to_string(installation.path().join("stderr")).unwrap().contains("the clock was set"));
    for name in ["away", "resting"] {
        assert_eq!(installation.ledger(name), [], "{name}: what waits is as old as before");
    }
}
