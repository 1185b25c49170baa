//! What is stored is brought to documents that let less rest: in the bytes on the disk, for the couriers that come to it later, and
//! through kills at any moment.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use firsthand::{
    clock::Timestamp,
    event_log::LogRecord,
    privacy::{
        policy::Field,
        record::{HEADER_BYTES, Subject, header_of},
    },
};
use serde_json::Value;

use crate::{
    http_client::{Connection, Request},
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    line::{Line, RawRequest},
};

const NOW: Timestamp = Timestamp(1_790_000_123_456);
const PATIENCE: Duration = Duration::from_secs(60);
/// Everything that an event can say.
const PURCHASE: &str = r#"POST /keso/e HTTP/1.1
Host: www.shop.example
Origin: https://www.shop.example
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0
X-Forwarded-For: 192.0.2.7

{"g":["analytics","profile"],"e":[{"k":"newsletter_opened","i":"abcdefghijklmnop","t":1790000122111,
"p":"https://www.shop.example/thanks?utm_source=letter","r":"https://search.example/","v":62.55,"m":"EUR","x":"A-1007","tx":9.98,
"sh":4.25,"cp":"AUTUMN","a":"customer-7","l":"fr-FR","w":1440,"y":[{"id":"12","name":"Jug","price":38}],"d":{"plan":"pro"}}]}"#;

fn deviating(documents: &str, deviations: &[(&str, &str)]) -> String {
    let deviation = |(field, treatment): &(&str, &str)| {
        format!("[[policy.deviation]]\nfield = \"{field}\"\ntreatment = \"{treatment}\"\nreason = \"a test\"\n")
    };
    documents.replace("\n[[site]]", &format!("\n{}\n[[site]]", deviations.iter().map(deviation).collect::<String>()))
}

/// A destination that gets the most there is with consent, or one that measures without.
fn documents(granted: bool) -> String {
    if granted {
        SITE.to_owned() + &file_destination("profiles", "consent", "consented-profile").replace("[\"analytics\"]", "[\"profile\"]")
    } else {
        SITE.to_owned() + &file_destination("measurement", "exempt_measurement", "measurement")
    }
}

fn request(granted: bool) -> RawRequest {
    RawRequest::parse(&if granted { PURCHASE.to_owned() } else { PURCHASE.replace("\"g\":[\"analytics\",\"profile\"],", "") })
}

/// The one record of a log.
fn only(line: &Line, log: usize) -> LogRecord {
    let mut records = line.records(log, firsthand::event::Offset(0));
    assert_eq!(records.len(), 1);
    records.remove(0)
}

/// What is disclosed of a log's one record, but for what differs from visitor to visitor.
fn disclosed(line: &Line, log: usize) -> Value {
    let (_, text) = line.disclosures(&only(line, log), NOW).remove(0);
    let mut value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not disclosed: {text}"));
    for id in ["event_id", "visitor_id", "session_id", "user_id", "policy_version"] {
        if let Some(said) = value.get_mut(id) {
            *said = Value::Bool(true);
        }
    }
    value
}

/// The rule: a record becomes what it would have been, had it come in under the documents of now.
#[test]
fn a_stored_event_becomes_what_it_would_have_been_and_never_wider_again() {
    let mut narrowed = BTreeSet::new();
    for granted in [false, true] {
        let wide = documents(granted);
        for field in Field::ALL {
            for treatment in field.offered() {
                let mut line = Line::new(&wide, 2);
                line.append(0, line.receive(&request(granted), NOW)).unwrap();
                assert_eq!(line.recleanse(0, NOW), 0, "under the same documents nothing changes");
                let whole = disclosed(&line, 0);
                line.put_in_force(&deviating(&wide, &[(field.name(), treatment.name())]));
                line.append(1, line.receive(&request(granted), NOW)).unwrap();
                let replaced = line.recleanse(0, NOW);
                assert_eq!(line.recleanse(0, NOW), 0, "twice is once");
                assert_eq!(line.recleanse(1, NOW), 0, "what came in under them is as narrow already");
                assert_eq!(disclosed(&line, 0), disclosed(&line, 1), "{field:?} {treatment:?}");
                line.put_in_force(&wide);
                assert_eq!(line.recleanse(0, NOW), 0, "wider documents give nothing back: {field:?} {treatment:?} {granted}");
                assert_eq!(disclosed(&line, 0), disclosed(&line, 1), "{field:?} {treatment:?}, relaxed");
                assert_eq!(replaced == 0, disclosed(&line, 0) == whole, "{field:?} {treatment:?}");
                if replaced == 1 {
                    narrowed.insert(field);
                    assert_eq!(header_of(&only(&line, 0).bytes).unwrap().policy.0, 2, "it says under which version");
                }
                if !granted {
                    let body = |log| {
                        let mut body: Value = serde_json::from_slice(&only(&line, log).bytes.as_slice()[HEADER_BYTES..]).unwrap();
                        body["session"].take();
                        body
                    };
                    assert_eq!(body(0), body(1), "in the bytes that rest, too: {field:?} {treatment:?}");
                }
            }
        }
    }
    // What ids are made of rests with every event of a person; click ids rest for their own vendors alone (`clicks`); envelopes beside (`envelope`).
    let elsewhere = |field: &Field| matches!(field, Field::Visitor | Field::ClickIds) || Field::OF_THE_ENVELOPE.contains(field);
    let all: BTreeSet<_> = Field::ALL.into_iter().filter(|field| !elsewhere(field)).collect();
    assert_eq!(narrowed, all);
}

#[test]
fn a_narrower_preset_takes_away_all_that_was_sealed_with_consent_alone() {
    let wide = documents(true);
    let mut line = Line::new(&wide, 1);
    line.append(0, line.receive(&request(true), NOW)).unwrap();
    let before = only(&line, 0).bytes.as_slice().len();
    line.put_in_force(&wide.replace("consented-profile", "strict"));
    assert_eq!(line.recleanse(0, NOW), 1);
    assert!(only(&line, 0).bytes.as_slice().len() < before / 2);
    line.put_in_force(&wide);
    let left = disclosed(&line, 0);
    assert!(left.get("transaction_id").is_none() && left.get("user_id").is_none() && left.get("items").is_none(), "{left}");
}

#[test]
fn of_an_event_that_nobody_may_have_the_header_stays_without_its_subject() {
    for granted in [false, true] {
        let wide = documents(granted);
        let mut line = Line::new(&wide, 1);
        line.append(0, line.receive(&request(granted), NOW)).unwrap();
        line.put_in_force(&wide.replace("name = \"shop\"\nevents", "name = \"shop\"\npreset = \"deny-all\"\nevents"));
        assert_eq!((line.recleanse(0, NOW), line.recleanse(0, NOW)), (1, 0));
        let record = only(&line, 0);
        assert_eq!(record.bytes.as_slice().len(), HEADER_BYTES);
        assert!(header_of(&record.bytes).unwrap().subject == Subject::None);
        for documents in [None, Some(&wide)] {
            documents.into_iter().for_each(|documents| line.put_in_force(documents));
            let ends: Vec<_> = line.disclosures(&record, NOW).into_iter().map(|(_, end)| end).collect();
            assert_eq!(ends, ["withheld: policy"], "one end, whatever the documents say later");
        }
    }
}

#[test]
fn the_body_of_one_whose_key_was_destroyed_goes_and_the_event_still_ends_as_purged() {
    let wide = documents(true);
    let mut line = Line::new(&wide, 1);
    let received = line.receive(&request(true), NOW);
    let cookie = received.cookies[0].split(';').next().unwrap().to_owned();
    line.append(0, received).unwrap();
    line.receive(&RawRequest::parse(&PURCHASE.replace("[\"analytics\",\"profile\"]", "[]")).with("cookie", &cookie), NOW);
    assert!(only(&line, 0).bytes.as_slice().len() > HEADER_BYTES);
    line.put_in_force(&deviating(&wide, &[("referrer", "drop")]));
    assert_eq!((line.recleanse(0, NOW), line.recleanse(0, NOW)), (1, 0));
    assert_eq!(only(&line, 0).bytes.as_slice().len(), HEADER_BYTES);
    assert_eq!(line.disclosures(&only(&line, 0), NOW)[0].1, "purged");
}

/// How many beacons of visitors who have not chosen, and as many of those who agreed, are sent before anything is tightened.
const EVENTS: usize = 120;
/// Words of a page and a property, which rest as they are.
const PAGE: &str = "quiet-garden";
const PLAN: &str = "marzipan";

/// Both destinations, resting or not.
fn both(paused: bool) -> String {
    let paused = if paused { "paused = true\n" } else { "" };
    let to = |name: &str, basis: &str, transform: &str| {
        destination(name, "file", basis, transform, &format!("{paused}settings = {{ directory = \"outbox/{name}\" }}"))
    };
    SITE.to_owned() + &to("measurement", "exempt_measurement", "measurement") + &to("analytics", "consent", "consented-analytics")
}

fn send(server: &Running, times: usize) {
    let mut connection = Connection::open(server.http()).unwrap();
    for number in 0..times {
        for choice in ["", "\"g\":[\"analytics\"],"] {
            let event = format!(r#"{{"k":"purchase","p":"https://www.shop.example/{PAGE}","v":{number},"d":{{"plan":"{PLAN}"}}}}"#);
            assert_eq!(connection.exchange(&Request::beacon(format!("{{{choice}\"e\":[{event}]}}"))).unwrap().status, 204);
        }
    }
}

/// Whether some file below a directory holds a word.
fn holds(directory: &Path, word: &str) -> bool {
    fs::read_dir(directory).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, word);
        }
        // A log segment may be dropped between the list and the look.
        fs::read(&path).unwrap_or_default().windows(word.len()).any(|window| window == word.as_bytes())
    })
}

fn said(installation: &Installation, arguments: &[&str]) -> String {
    let output = installation.run(arguments);
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn the_bytes_are_gone_and_a_backlog_is_delivered_as_narrow_as_it_rests() {
    let installation = Installation::new(&both(true));
    let server = installation.start();
    assert!(said(&installation, &["recleanse"]).contains("None was ever needed"));
    send(&server, EVENTS);
    assert!(holds(&installation.data(), PAGE) && holds(&installation.data(), PLAN), "the control");

    let set = said(&installation, &["policy", "set", "page", "drop", "--reason", "a test"]);
    assert!(set.contains("rewrites what is stored"), "{set}");
    installation.apply(&deviating(&both(true), &[("page", "drop"), ("properties", "drop"), ("value", "generalise")]));
    let waited = said(&installation, &["recleanse", "--wait"]);
    assert!(waited.contains("is over") && waited.contains("let less rest") && waited.contains("policy \"shop\" version 3"), "{waited}");
    for word in [PAGE, PLAN] {
        assert!(!holds(&installation.data(), word), "{word}");
    }
    let overview: Value = serde_json::from_str(&server.admin_page("/overview.json").text()).unwrap();
    assert_eq!(overview["recleanse"]["running"], false);
    let replaced = overview["recleanse"]["replaced"].as_u64().unwrap();
    let metrics = server.admin_page("/metrics").text();
    assert!(
        replaced > 0 && metrics.contains("firsthand_recleanse_segments_left 0\n") && metrics.contains("firsthand_recleanse_running 0\n")
    );

    // Relaxed again, and let out: what rests is all there is.
    let runs = installation.number("state.db", "SELECT run FROM recleanse");
    installation.apply(&both(false));
    eventually("everything delivered", PATIENCE, || {
        installation.outbox("measurement").len() == 2 * EVENTS && installation.outbox("analytics").len() == EVENTS
    });
    for event in installation.outbox("measurement").iter().chain(&installation.outbox("analytics")) {
        assert!(event.get("page").is_none() && event.get("properties").is_none(), "{event}");
    }
    let values: BTreeSet<_> = installation.outbox("analytics").iter().map(|event| event["value"].as_f64().unwrap() as u64).collect();
    assert!(values.contains(&110) && !values.contains(&111), "two digits: {values:?}");
    assert_eq!(installation.number("state.db", "SELECT run FROM recleanse"), runs, "relaxing starts nothing");
    let state = || (installation.ledger_offsets("measurement"), installation.ledger_offsets("analytics"));
    eventually("each offset at its end", PATIENCE, || state() == (2 * EVENTS as i64, 2 * EVENTS as i64));
    assert!(server.stop().success());
    assert_eq!(state(), (2 * EVENTS as i64, 2 * EVENTS as i64), "and at one only");
}

#[test]
fn of_what_nobody_may_have_any_more_each_offset_ends_as_withheld() {
    let installation = Installation::new(&both(true));
    let server = installation.start();
    send(&server, EVENTS);
    let deny = |paused| both(paused).replace("name = \"shop\"\nevents", "name = \"shop\"\npreset = \"deny-all\"\nevents");
    installation.apply(&deny(true));
    said(&installation, &["recleanse", "--wait"]);
    assert!(!holds(&installation.data().join("log"), "native"), "no body is left");
    installation.apply(&both(false));
    let ends = |name, rows: &[(&str, i64)]| {
        let expected: Vec<_> = rows.iter().map(|(rule, count)| (String::from("withheld"), (*rule).to_owned(), *count)).collect();
        eventually("every end", PATIENCE, || installation.ledger(name) == expected);
    };
    ends("measurement", &[("policy", 2 * EVENTS as i64)]);
    ends("analytics", &[("no_consent", EVENTS as i64), ("policy", EVENTS as i64)]);
    assert!(installation.outbox("measurement").is_empty() && installation.outbox("analytics").is_empty());
    assert!(server.stop().success());
}

#[test]
fn killed_at_any_moment_it_goes_on_and_loses_nothing() {
    let installation = Installation::new(&both(true));
    let server = installation.start();
    send(&server, EVENTS);
    let said_running = said(&installation, &["recleanse", "--start"]);
    assert!(said_running.contains("Asked for"), "{said_running}");
    eventually("the one that was asked for", PATIENCE, || installation.number("state.db", "SELECT run FROM recleanse") == 1);
    server.kill();

    let mut tightened: Vec<(&str, &str)> = Vec::new();
    for (round, field) in ["page", "properties", "language", "screen", "device", "place"].into_iter().enumerate() {
        tightened.push((field, "drop"));
        installation.apply(&deviating(&both(true), &tightened));
        if round == 0 {
            let waiting = said(&installation, &["recleanse", "--wait"]);
            assert!(waiting.contains("no server runs on this data directory"), "{waiting}");
        }
        let server = installation.start();
        // From before the first log segment is begun to after the last.
        std::thread::sleep(Duration::from_millis(round as u64 * 4));
        server.kill();
    }
    let server = installation.start();
    let waited = said(&installation, &["recleanse", "--wait"]);
    assert!(waited.contains("is over"), "{waited}");
    assert!(!holds(&installation.data(), PAGE) && !holds(&installation.data(), PLAN));
    let names: Vec<_> = fs::read_dir(installation.data().join("log")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let places: BTreeSet<_> = names.iter().map(|name| name.to_str().unwrap().split('.').next().unwrap().to_owned()).collect();
    assert_eq!(places.len(), names.len(), "one generation of each: {names:?}");
    installation.apply(&deviating(&both(false), &tightened));
    eventually("everything delivered", PATIENCE, || {
        installation.outbox("measurement").len() == 2 * EVENTS && installation.outbox("analytics").len() == EVENTS
    });
    assert!(server.stop().success());
    assert_eq!(installation.ledger_offsets("measurement"), 2 * EVENTS as i64);
}
