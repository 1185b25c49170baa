//! The ledger of what left, with the real binary: its figures are those that the receivers counted, through a kill and a restart too; days are
//! closed and signed by the clock; and what is changed afterwards, in the database or in an export, is found by the command.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    http_client::{Connection, Request},
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    receiver::{Behaviour, Receiver},
};

const PATIENCE: Duration = Duration::from_secs(90);
const KILLS: usize = 3;
/// Attempts that one courier has under way at once.
const LANES: u64 = 8;

fn event(number: usize, more: &Value) -> Request {
    let mut properties = json!({ "number": number });
    for (name, value) in more.as_object().unwrap() {
        properties[name] = value.clone();
    }
    let beacon = json!({ "e": [{ "k": "page_view", "d": properties }] });
    Request::beacon(beacon.to_string()).with("X-Forwarded-For", "192.0.2.7")
}

fn send(server: &Running, events: std::ops::Range<usize>, more: &Value) {
    let mut connection = Connection::open(server.http()).unwrap();
    for number in events {
        assert_eq!(connection.exchange(&event(number, more)).unwrap().status, 204, "event {number}");
    }
}

/// What the command says, or why it would not.
fn egress(installation: &Installation, arguments: &[&str]) -> Result<String, String> {
    let output = installation.run(&[&["egress"], arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Every record of a destination, whichever day it is of.
fn records(installation: &Installation, destination: &str) -> Vec<Value> {
    let shown = match egress(installation, &["show", "--json", "--destination", destination]) {
        // The program may have been killed before anything had come to its end.
        Err(said) if said.contains("nothing is on record") => return Vec::new(),
        shown => shown.unwrap(),
    };
    let days: Vec<Value> = serde_json::from_str(&shown).unwrap();
    days.iter().flat_map(|day| day["records"].as_array().unwrap().clone()).collect()
}

/// The sum over days of one group of a destination's counts. The test may run over midnight.
fn sums(installation: &Installation, destination: &str, group: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for record in records(installation, destination) {
        for (name, count) in record[group].as_object().unwrap() {
            *sums.entry(name.clone()).or_default() += count.as_u64().unwrap();
        }
    }
    sums
}

fn schemas(installation: &Installation, destination: &str) -> BTreeMap<String, (BTreeSet<String>, u64)> {
    let mut schemas: BTreeMap<String, (BTreeSet<String>, u64)> = BTreeMap::new();
    for record in records(installation, destination) {
        for schema in record["schemas"].as_array().unwrap() {
            let fields = schema["fields"].as_array().unwrap().iter().map(|field| field.as_str().unwrap().to_owned()).collect();
            schemas.entry(schema["sha256"].as_str().unwrap().to_owned()).or_insert((fields, 0)).1 += schema["sent"].as_u64().unwrap();
        }
    }
    schemas
}

/// The ends that the ledger of delivery has, as the ledger of what left writes them.
fn ends(installation: &Installation, destination: &str) -> BTreeMap<String, u64> {
    let name = |state: String, rule: &str| if rule.is_empty() { state } else { format!("{state}/{rule}") };
    installation.ledger(destination).into_iter().map(|(state, rule, count)| (name(state, &rule), count as u64)).collect()
}

/// What a receiver counted: calls, events in them, bytes of their bodies.
fn counted(receiver: &Receiver) -> BTreeMap<String, u64> {
    receiver.calls(|calls| {
        let body = |bytes: &[u8]| bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| bytes.len() - at - 4);
        let bytes: usize = calls.iter().map(|call| body(&call.bytes)).sum();
        let events: usize = calls.iter().map(|call| call.events.len()).sum();
        [("bytes", bytes), ("events", events), ("parcels", calls.len())].map(|(name, count)| (name.to_owned(), count as u64)).into()
    })
}

/// Where each value of an event's JSON stands and of what kind it is: what is in it, found without the program.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let kind = match value {
        Value::Object(fields) => return fields.iter().for_each(|(key, value)| paths(value, &below(key), found)),
        Value::Array(_) => "list",
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Null => "nothing",
    };
    found.insert(format!("{path}:{kind}"));
}

fn all_done(server: &Running, destinations: usize) -> bool {
    server.admin_page("/overview.json").text().matches("\"lag\":0,").count() == destinations
}

#[test]
fn its_figures_are_those_that_the_receivers_counted() {
    let (taking, refusing) = (Receiver::start(Behaviour::Accept), Receiver::start(Behaviour::Refuse(400, None)));
    let documents = [
        SITE.to_owned(),
        destination("taking", "webhook", "exempt_measurement", "measurement", &taking.settings()),
        destination("refusing", "webhook", "exempt_measurement", "strict", &refusing.settings()),
        destination("consenting", "webhook", "consent", "consented-analytics", &taking.settings()),
    ];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    send(&server, 0..40, &json!({}));
    eventually("every event at its end", PATIENCE, || all_done(&server, 3));
    assert!(server.stop().success());

    // The receiver that is down first, to see attempts and events apart.
    let server = installation.start();
    taking.behave(Behaviour::Refuse(500, None));
    let before = taking.calls(<[_]>::len);
    send(&server, 40..45, &json!({ "plan": "pro", "jane@mail.example": "x" }));
    eventually("an attempt that is refused", PATIENCE, || taking.calls(<[_]>::len) > before);
    taking.behave(Behaviour::Accept);
    eventually("every event at its end", PATIENCE, || all_done(&server, 3));
    let overview = server.overview();
    assert!(server.stop().success());

    for (name, receiver) in [("taking", &taking), ("refusing", &refusing)] {
        assert_eq!(sums(&installation, name, "sent"), counted(receiver), "{name}");
        assert_eq!(sums(&installation, name, "ended"), ends(&installation, name), "{name}");
        let mut left: BTreeMap<BTreeSet<String>, u64> = BTreeMap::new();
        receiver.calls(|calls| {
            for event in calls.iter().flat_map(|call| &call.events) {
                let mut found = BTreeSet::new();
                paths(event, "", &mut found);
                *left.entry(found).or_default() += 1;
            }
        });
        let told: BTreeMap<_, _> = schemas(&installation, name).into_values().collect();
        assert_eq!(told, left, "{name}: which fields left together, and how often");
        assert!(told.len() >= 2, "{name}: another property is another schema");
        assert!(records(&installation, name).iter().all(|record| record["interrupted"] == 0 && record["crowds"].is_null()));
    }
    assert_eq!(sums(&installation, "taking", "ended"), [("accepted".to_owned(), 45)].into());
    assert!(sums(&installation, "taking", "answers")["500"] >= 1 && sums(&installation, "taking", "answers")["204"] >= 2);
    let refused = sums(&installation, "refusing", "ended");
    assert_eq!((refused.len(), refused.values().sum::<u64>()), (1, 45), "{refused:?}");
    assert!(sums(&installation, "refusing", "sent")["events"] > 45, "what is bisected is handed over more than once");
    assert!(sums(&installation, "refusing", "dropped")["session"] > 0, "strict knows no sessions");
    assert_eq!(sums(&installation, "consenting", "ended"), ends(&installation, "consenting"));
    let taken = overview["destinations"].as_array().unwrap().iter().find(|destination| destination["name"] == "taking").unwrap();
    assert_eq!(taken["left"]["events"], json!(sums(&installation, "taking", "sent")["events"]), "{overview}");

    let texts = [egress(&installation, &["show"]).unwrap(), egress(&installation, &["show", "--json"]).unwrap()];
    assert!(texts.iter().all(|text| !text.contains("jane")), "a client's own names are nowhere");
    assert!(texts[0].contains("open: not signed yet"), "{}", texts[0]);
}

#[test]
fn what_it_says_agrees_with_the_ledger_of_delivery_through_kills() {
    let receiver = Receiver::start(Behaviour::AcceptAfter(Duration::from_millis(15)));
    let documents = [SITE.to_owned(), destination("hook", "webhook", "exempt_measurement", "strict", &receiver.settings())];
    let installation = Installation::new(&documents.concat());
    let mut sent = 0;
    for _ in 0..KILLS {
        let server = installation.start();
        let before = receiver.calls(<[_]>::len);
        send(&server, sent..sent + 60, &json!({}));
        sent += 60;
        eventually("calls under way", PATIENCE, || receiver.calls(<[_]>::len) > before + 2);
        server.kill();
        assert_eq!(sums(&installation, "hook", "ended"), ends(&installation, "hook"), "after a kill");
    }
    receiver.behave(Behaviour::Accept);
    let server = installation.start();
    eventually("every event at its end", PATIENCE, || all_done(&server, 1));
    assert!(server.stop().success());

    assert_eq!(sums(&installation, "hook", "ended"), ends(&installation, "hook"));
    assert_eq!(sums(&installation, "hook", "ended"), [("accepted".to_owned(), sent as u64)].into());
    let ended: u64 = records(&installation, "hook")
        .iter()
        .flat_map(|record| record["schemas"].as_array().unwrap().clone())
        .map(|schema| schema["ended"].as_u64().unwrap())
        .sum();
    assert_eq!(ended, sent as u64, "each event once, whatever was sent twice");
    let interrupted: u64 = records(&installation, "hook").iter().map(|record| record["interrupted"].as_u64().unwrap()).sum();
    assert_eq!(interrupted, KILLS as u64, "every kill is on record");
    // A kill loses the count of the last moment's calls, and may leave one of calls that never got there.
    let (told, counted) = (sums(&installation, "hook", "sent"), counted(&receiver));
    assert!(told["parcels"] <= counted["parcels"] + LANES * KILLS as u64, "{told:?} {counted:?}");
    assert!(told["events"] >= sent as u64 && counted["events"] >= sent as u64, "{told:?} {counted:?}");
}

/// A ledger with a closed day, closed days on which nothing left, and an open one.
fn closed() -> (Installation, String) {
    let documents = [
        SITE.to_owned(),
        file_destination("one", "exempt_measurement", "strict"),
        file_destination("two", "exempt_measurement", "measurement"),
    ];
    let installation = Installation::new(&documents.concat());
    let at_both = |events: usize| {
        eventually("the events at both", PATIENCE, || ["one", "two"].iter().all(|name| installation.outbox(name).len() == events));
    };
    let server = installation.start();
    send(&server, 0..5, &json!({}));
    at_both(5);
    assert!(server.stop().success());
    assert_eq!(egress(&installation, &["verify"]).unwrap(), "no day is closed yet\n");
    // Three midnights, and the next start finds days that are over.
    installation.change("state.db", "UPDATE egress_open SET day = day - 3");
    let server = installation.start();
    let entries = || installation.number("state.db", "SELECT count(*) FROM egress_days");
    eventually("the days closed", PATIENCE, || entries() == 2);
    send(&server, 5..6, &json!({}));
    at_both(6);
    assert!(server.stop().success());
    let verified = egress(&installation, &["verify"]).unwrap();
    (installation, verified)
}

#[test]
fn the_command_line_closes_shows_and_checks() {
    let (installation, verified) = closed();
    assert!(verified.starts_with("the ledger is whole: 2 entries, every day from "), "{verified}");
    let head = verified.lines().find_map(|line| line.strip_prefix("head ")).unwrap().to_owned();
    let key = egress(&installation, &["key"]).unwrap();
    let fingerprint = key.lines().find_map(|line| line.strip_prefix("fingerprint  ")).unwrap().to_owned();
    assert!(verified.contains(&format!("key  {fingerprint} from entry 1 on")), "{verified}");
    installation.write("noted.txt", &key);
    egress(&installation, &["verify", "--key", &fingerprint, "--head", &head]).unwrap();
    egress(&installation, &["verify", "--key", "noted.txt"]).unwrap();
    let other = "0".repeat(64);
    assert!(egress(&installation, &["verify", "--key", &other]).unwrap_err().contains("entry 1 is signed by another key"));
    assert!(egress(&installation, &["verify", "--key", "firsthand.toml"]).unwrap_err().contains("names no key"));

    // Five events at each, the sixth on the open day.
    let shown = egress(&installation, &["show"]).unwrap();
    let line = |state: &str| shown.lines().filter(|line| line.ends_with(state)).count();
    assert_eq!((line("entry 1"), line("(entry 2)"), line("open: not signed yet")), (2, 1, 2), "{shown}");
    assert_eq!(sums(&installation, "one", "ended"), [("accepted".to_owned(), 6)].into());
    let day = shown.lines().find(|line| line.ends_with("entry 1")).unwrap()[..10].to_owned();
    let in_full = egress(&installation, &["show", "--day", &day, "--destination", "two"]).unwrap();
    for part in ["closed, entry 1, signed by", "accepted 5", "device.browser:text", "not measured", "written "] {
        assert!(in_full.contains(part), "{part} is not in:\n{in_full}");
    }
    assert!(!in_full.contains("\none\n"), "{in_full}");
    assert!(egress(&installation, &["show", "--day", "1999-12-31"]).unwrap_err().contains("nothing is on record of 1999-12-31"));
    assert!(egress(&installation, &["show", "--destination", "nobody"]).unwrap_err().contains("nothing is on record"));

    // The export is checked on its own, on any machine.
    egress(&installation, &["export", "ledger.jsonl"]).unwrap();
    assert!(egress(&installation, &["export", "ledger.jsonl"]).is_err(), "nothing is written over");
    egress(&installation, &["export", "ofone.jsonl", "--destination", "one"]).unwrap();
    let elsewhere = Installation::empty();
    for name in ["ledger.jsonl", "ofone.jsonl"] {
        fs::copy(installation.path().join(name), elsewhere.path().join(name)).unwrap();
        let told = egress(&elsewhere, &["verify", "--file", name, "--key", &fingerprint, "--head", &head]).unwrap();
        assert!(told.contains("the file is as it was signed") && told.contains("the ledger is whole: 2 entries"), "{told}");
        assert!(egress(&elsewhere, &["verify", "--file", name, "--key", &other]).is_err());
    }
    assert!(!fs::read_to_string(elsewhere.path().join("ofone.jsonl")).unwrap().contains("\"destination\":\"two\""));
    let mut changed = fs::read(elsewhere.path().join("ledger.jsonl")).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(elsewhere.path().join("changed.jsonl"), changed).unwrap();
    assert!(egress(&elsewhere, &["verify", "--file", "changed.jsonl"]).is_err());

    // The key rests for its owner alone; and one bit of a closed day's record is enough.
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(installation.data().join("egress.key")).unwrap().permissions()) & 0o777,
        0o600
    );
    installation.change(
        "state.db",
        "UPDATE egress_records SET record = CAST(replace(CAST(record AS TEXT), '\"accepted\":5', '\"accepted\":4') AS BLOB) WHERE destination = 1",
    );
    assert!(egress(&installation, &["verify"]).unwrap_err().contains("entry 1 was changed"));
}
