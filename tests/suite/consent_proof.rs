//! The proof of consent: on record before the answer, the same reference from the grant to the withdrawal, nothing of a person in it, a
//! chain that shows every change; and what happens where it cannot be written.

use std::{fs, time::Duration};

use rusqlite::Connection as Database;

use crate::{
    http_client::Request,
    installation::{Installation, SITE, eventually, file_destination},
};

const PATIENCE: Duration = Duration::from_secs(30);
const AGENT_MARK: &str = "Chrome/142.0.7444.162";
const ADDRESS: &str = "192.0.2.77";

fn installation() -> Installation {
    let documents = [
        SITE.to_owned(),
        file_destination("customers", "consent", "consented-analytics"),
        file_destination("measurement", "exempt_measurement", "measurement"),
    ];
    Installation::new(&documents.concat())
}

fn said(body: &str) -> Request {
    Request::beacon(body).with("X-Forwarded-For", ADDRESS).instead("User-Agent", &format!("Mozilla/5.0 (X11; Linux x86_64) {AGENT_MARK}"))
}

fn granted(purposes: &str) -> Request {
    said(&format!("{{\"g\":[{purposes}],\"e\":[{{\"k\":\"page_view\"}}]}}"))
}

fn cookie_of(answer: &crate::http_client::Answer) -> String {
    answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned()
}

/// The records as they rest: number, consent id, what, purposes.
fn records(installation: &Installation) -> Vec<(i64, Vec<u8>, String, u8)> {
    let state = Database::open(installation.data().join("state.db")).unwrap();
    state.busy_timeout(Duration::from_secs(5)).unwrap();
    let mut select = state.prepare("SELECT number, consent, said, purposes FROM consent_proof ORDER BY number").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn change(installation: &Installation, statement: &str) {
    let state = Database::open(installation.data().join("state.db")).unwrap();
    state.busy_timeout(Duration::from_secs(5)).unwrap();
    state.execute_batch(statement).unwrap();
}

fn verify(installation: &Installation, head: Option<&str>) -> Result<String, String> {
    let mut arguments = vec!["proof", "verify"];
    arguments.extend(head.into_iter().flat_map(|head| ["--head", head]));
    let output = installation.run(&arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn what_a_person_says_is_on_record_before_the_answer_under_one_reference() {
    let installation = installation();
    let server = installation.start();
    let cookie = cookie_of(&server.send(&granted("\"analytics\"")));
    assert_eq!(records(&installation).len(), 1, "before the answer");
    for _ in 0..3 {
        assert_eq!(server.send(&granted("\"analytics\"").with("Cookie", &cookie)).status, 204);
    }
    assert_eq!(records(&installation).len(), 1, "once, not with every event");
    assert_eq!(server.send(&granted("\"analytics\",\"ads\"").with("Cookie", &cookie)).status, 204);
    assert_eq!(records(&installation).len(), 2, "a change is one more");

    // A restart forgets nothing of it.
    assert!(server.stop().success());
    let server = installation.start();
    assert_eq!(server.send(&granted("\"ads\",\"analytics\"").with("Cookie", &cookie)).status, 204);
    assert_eq!(server.send(&said("{\"g\":[]}").with("Cookie", &cookie)).status, 204);
    // Nobody's cookie now; and somebody without a cookie. Neither has a consent that could end.
    assert_eq!(server.send(&said("{\"o\":1}").with("Cookie", &cookie)).status, 204);
    assert_eq!(server.send(&said("{\"g\":[]}")).status, 204);
    let found = records(&installation);
    let said: Vec<_> = found.iter().map(|(number, _, said, purposes)| (*number, said.as_str(), *purposes)).collect();
    assert_eq!(said, [(1, "granted", 1), (2, "changed", 5), (3, "refused", 0)]);
    assert!(found.iter().all(|(_, consent, ..)| *consent == found[0].1), "one consent, one reference");

    let reference: String = found[0].1.iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = String::from_utf8(installation.run(&["proof", "show", &reference]).stdout).unwrap();
    for part in [
        "record 1: granted",
        "record 2: changed",
        "record 3: refused",
        "site      shop",
        "purposes  analytics, ads",
        "policy    shop, version 1",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    assert!(!installation.run(&["proof", "show", &"0".repeat(32)]).status.success());
    assert!(server.stop().success());

    // The reference is nowhere but in the proof: with the key it was destroyed.
    let holds = |file: &str, bytes: &[u8]| {
        let data = installation.data();
        let all: Vec<u8> =
            [file.to_owned(), format!("{file}-wal")].iter().flat_map(|file| fs::read(data.join(file)).unwrap_or_default()).collect();
        all.windows(bytes.len()).any(|window| window == bytes)
    };
    assert!(holds("state.db", &found[0].1) && !holds("keys.db", &found[0].1));
    for nothing in [AGENT_MARK, ADDRESS] {
        assert!(!holds("state.db", nothing.as_bytes()), "{nothing}");
    }
    let secret = cookie.split_once('=').unwrap().1;
    assert!(!holds("state.db", secret.as_bytes()));
}

#[test]
fn every_way_to_withdraw_is_on_record() {
    let installation = installation();
    let server = installation.start();
    let ways: [(&str, Request); 5] = [
        ("refused", said("{\"g\":[]}")),
        ("opted_out", said("{\"o\":1}")),
        ("gpc", said("{}").with("Sec-GPC", "1")),
        ("dnt", said("{}").with("DNT", "1")),
        ("malformed", said("{\"g\":\"analytics\"}")),
    ];
    for (way, request) in &ways {
        let cookie = cookie_of(&server.send(&granted("\"analytics\"")));
        assert_eq!(server.send(&request.clone().with("Cookie", &cookie)).status, 204, "{way}");
        let last = records(&installation).pop().expect("a record");
        assert_eq!((last.2.as_str(), last.3), (*way, 0));
    }
    assert!(server.stop().success());
    assert!(verify(&installation, None).unwrap().starts_with("the chain is whole: 10 records, 0 of them erased"));
}

#[test]
fn a_consent_that_cannot_be_proven_is_turned_away_and_an_objection_is_not() {
    let installation = installation();
    let server = installation.start();
    let cookie = cookie_of(&server.send(&granted("\"analytics\"")));
    change(&installation, "CREATE TRIGGER broken BEFORE INSERT ON consent_proof BEGIN SELECT RAISE(FAIL, 'a broken disk'); END");
    let turned_away = server.send(&granted("\"analytics\""));
    assert_eq!((turned_away.status, turned_away.header("set-cookie")), (503, None));
    assert!(turned_away.header("retry-after").is_some());
    assert_eq!(server.send(&granted("\"analytics\",\"ads\"").with("Cookie", &cookie)).status, 503, "nor is a change");
    assert_eq!(server.send(&granted("\"analytics\"").with("Cookie", &cookie)).status, 204, "what is on record holds");
    assert_eq!(server.send(&said("{\"e\":[{\"k\":\"page_view\"}]}")).status, 204, "nobody else is concerned");

    let persons = || installation.number("keys.db", "SELECT count(*) FROM persons WHERE purposes = 1 AND handle IS NOT NULL");
    let before = persons();
    let objected = server.send(&said("{\"g\":[]}").with("Cookie", &cookie));
    assert_eq!(objected.status, 204);
    assert!(objected.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(persons(), before - 1, "the key is destroyed all the same");
    let unwritten = || server.admin_page("/metrics").text().lines().any(|line| line == "firsthand_consent_proof_unwritten_total 1");
    eventually("the missing record in the metrics", PATIENCE, unwritten);

    change(&installation, "DROP TRIGGER broken");
    assert!(server.send(&granted("\"analytics\"")).header("set-cookie").is_some(), "it goes on without a restart");
    assert!(server.stop().success());
    let numbers: Vec<_> = records(&installation).into_iter().map(|(number, ..)| number).collect();
    assert_eq!(numbers, [1, 2]);
    verify(&installation, None).unwrap();
}

#[test]
fn the_command_line_sees_what_was_done_to_the_chain() {
    let installation = installation();
    let server = installation.start();
    for _ in 0..4 {
        cookie_of(&server.send(&granted("\"analytics\"")));
    }
    let whole = verify(&installation, None).expect("while the server runs, too");
    let head = whole.lines().find_map(|line| line.strip_prefix("head ")).expect("the head").to_owned();
    assert!(server.stop().success());
    // Whatever the server left in the write-ahead log goes into the file that is copied.
    change(&installation, "PRAGMA wal_checkpoint(TRUNCATE)");
    let pristine = fs::read(installation.data().join("state.db")).unwrap();
    let swapped = "UPDATE consent_proof SET number = -2 WHERE number = 2; UPDATE consent_proof SET number = 2 WHERE number = 3;
                   UPDATE consent_proof SET number = 3 WHERE number = -2";
    for (attack, fault) in [
        ("UPDATE consent_proof SET purposes = 7 WHERE number = 2", "record 2 was changed"),
        ("DELETE FROM consent_proof WHERE number = 2", "record 2 is missing"),
        (swapped, "record 2 was changed"),
        ("DELETE FROM consent_proof WHERE number = 4", "the noted head, record 4, is not part of the chain"),
    ] {
        change(&installation, attack);
        let told = verify(&installation, Some(&head)).expect_err(attack);
        assert!(told.contains(fault), "{attack}: {told}");
        fs::write(installation.data().join("state.db"), &pristine).unwrap();
    }
    verify(&installation, Some(&head)).expect("as it was");
}
