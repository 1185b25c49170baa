//! What was acknowledged is there, whatever happens next: `kill -9` at any moment under load, and the order of system calls before an
//! answer. (The power cut is in `event_log`, on files that lose what was not synced.)
//!
//! `FIRSTHAND_KILLS` is the number of kills; a normal run makes few.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use firsthand::{
    clock::Timestamp,
    event::Offset,
    event_log::{DiskFiles, EventLog, LogOptions},
    privacy::record::{HEADER_BYTES, header_of},
};
use serde_json::{Value, json};

use crate::{
    http_client::{Connection, Request},
    installation::{Installation, SITE, eventually, file_destination, terminate},
    left_out::left_out,
    receiver::thread,
    system_calls,
};

/// Kills in a normal run.
const KILLS: u32 = 10;
/// Kills of one data directory; then a new one is begun, so that any number of kills takes bounded space.
const KILLS_PER_DIRECTORY: u32 = 40;
/// Connections that send at the same time: half of them are visitors without consent, half with.
const SENDERS: usize = 4;
/// A kill comes so many milliseconds after the senders have begun.
const KILL_AFTER_MS: std::ops::Range<u64> = 30..500;
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests under strace.
const TRACED: usize = 200;

#[test]
fn what_was_acknowledged_survives_kills() {
    let kills = std::env::var("FIRSTHAND_KILLS").ok().map_or(KILLS, |number| number.parse().expect("FIRSTHAND_KILLS is a number"));
    let mut done = 0;
    while done < kills {
        let now = KILLS_PER_DIRECTORY.min(kills - done);
        let (acknowledged, without_record) = survive(now);
        done += now;
        if kills > KILLS {
            eprintln!(
                "{done} of {kills} kills; {acknowledged} acknowledged events of the last {now} are all there; {without_record} offsets have no record"
            );
        }
    }
}

/// A visitor on one connection: sends one event after another, and what was not acknowledged again after the next start.
struct Sender {
    cookie: Option<String>,
    /// The number of an event that was sent and not answered. Only with consent is a retry known after a start: a token's key is gone.
    unanswered: Option<u32>,
    acknowledged: BTreeSet<u32>,
    sent: BTreeSet<u32>,
}

impl Sender {
    fn request(&self, number: u32) -> Request {
        let mut body = json!({ "e": [{ "k": "page_view", "i": format!("event-{number}"), "d": { "number": number } }] });
        let request = |body: Value| Request::beacon(body.to_string()).with("X-Forwarded-For", "192.0.2.7");
        match &self.cookie {
            None => request(body),
            Some(cookie) => {
                body["g"] = json!(["analytics"]);
                request(body).with("Cookie", cookie)
            }
        }
    }

    /// Sends until the connection breaks or it is told to stop.
    fn send(&mut self, address: SocketAddr, numbers: &AtomicU32, stop: &AtomicBool) {
        let Ok(mut connection) = Connection::open(address) else { return };
        while !stop.load(Ordering::Relaxed) {
            let again = self.unanswered.take().filter(|_| self.cookie.is_some());
            let number = again.unwrap_or_else(|| numbers.fetch_add(1, Ordering::Relaxed));
            self.sent.insert(number);
            let Ok(answer) = connection.exchange(&self.request(number)) else {
                self.unanswered = Some(number);
                return;
            };
            assert_eq!(answer.status, 204, "event {number}");
            self.acknowledged.insert(number);
        }
    }
}

/// Kills the server so many times under load on one data directory, and compares log and destinations with what was acknowledged.
/// Returns how many events that is, and how many offsets have no record.
fn survive(kills: u32) -> (usize, i64) {
    let documents = [
        SITE.to_owned(),
        file_destination("measurement", "exempt_measurement", "strict"),
        file_destination("customers", "consent", "consented-analytics"),
    ];
    let installation = Installation::new(&documents.concat());
    let numbers = Arc::new(AtomicU32::new(1));
    let senders: Vec<_> = (0..SENDERS).map(|index| Arc::new(Mutex::new(new_sender(&installation, index, &numbers)))).collect();
    for _ in 0..kills {
        let server = installation.start();
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = senders
            .iter()
            .map(|sender| {
                let (sender, numbers, stop, address) = (Arc::clone(sender), Arc::clone(&numbers), Arc::clone(&stop), server.http());
                thread("sender", move || sender.lock().unwrap().send(address, &numbers, &stop))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(fastrand::u64(KILL_AFTER_MS)));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|sender| sender.join().expect("a sender ends"));
    }
    let server = installation.start();
    let mut acknowledged = BTreeSet::new();
    let mut sent = BTreeSet::new();
    for sender in &senders {
        let sender = sender.lock().unwrap();
        acknowledged.extend(sender.acknowledged.iter().copied());
        sent.extend(sender.sent.iter().copied());
    }
    assert!(acknowledged.len() > kills as usize, "the senders hardly got to send: {}", acknowledged.len());
    eventually("every event at its destination", PATIENCE, || {
        server.admin_page("/overview.json").text().matches("\"lag\":0,").count() == 2
    });
    assert!(server.stop().success());
    (acknowledged.len(), compare(&installation, &acknowledged, &sent))
}

/// Every other one has given consent, and a cookie.
fn new_sender(installation: &Installation, index: usize, numbers: &AtomicU32) -> Sender {
    let mut sender = Sender { cookie: None, unanswered: None, acknowledged: BTreeSet::new(), sent: BTreeSet::new() };
    if index % 2 == 1 {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        // Any cookie makes it a request with consent; nobody has this one, so a new one comes back.
        sender.cookie = Some(String::from("__Host-w=nobody"));
        let server = installation.start();
        let answer = server.send(&sender.request(number));
        assert!(server.stop().success());
        let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie with consent");
        sender.cookie = Some(cookie.to_owned());
        sender.acknowledged.insert(number);
        sender.sent.insert(number);
    }
    sender
}

/// Returns how many offsets have no record.
fn compare(installation: &Installation, acknowledged: &BTreeSet<u32>, sent: &BTreeSet<u32>) -> i64 {
    // The exempt destination gets every event; the one with consent the granted ones.
    let arrived = arrivals(installation, "measurement");
    let lost: Vec<_> = acknowledged.iter().filter(|number| !arrived.contains_key(number)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(arrived.keys().all(|number| sent.contains(number)), "something arrived that was never sent");
    for destination in ["measurement", "customers"] {
        let ids_of_one_number = arrivals(installation, destination).into_values().map(|ids| ids.len()).max();
        assert_eq!(ids_of_one_number, Some(1), "one event arrived at {destination} under two ids: it was in the log twice");
    }

    let files = DiskFiles::open(&installation.data().join("log")).unwrap();
    let log = EventLog::open(Arc::new(files), LogOptions::default(), Timestamp(0)).unwrap();
    let records = log.reader(Offset(0)).read(usize::MAX, usize::MAX).unwrap();
    let ids: BTreeSet<_> = records.iter().map(|record| header_of(&record.bytes).unwrap().event_id).collect();
    assert_eq!(ids.len(), records.len(), "an event id is in the log twice");
    let mut unsealed = BTreeSet::new();
    for record in records.iter().filter(|record| !header_of(&record.bytes).unwrap().sealed) {
        let body: Value = serde_json::from_slice(&record.bytes.as_slice()[HEADER_BYTES..]).unwrap();
        assert!(unsealed.insert(number_in(&body)), "an event is in the log twice");
    }
    assert_eq!(arrived.len(), records.len(), "what is in the log arrived, and nothing else did");
    // Every record has exactly one end at each destination. A kill between the writes of the two families may leave an offset below the head
    // whose record is nowhere: it was never acknowledged, and ends as not in the log.
    let mut without_record = 0;
    for destination in ["measurement", "customers"] {
        let ended = installation.ledger(destination);
        let never_there: i64 = ended.iter().filter(|(_, rule, _)| rule == "not_in_log").map(|(.., count)| count).sum();
        assert!(never_there <= i64::from(KILLS_PER_DIRECTORY), "{destination}: {never_there} offsets without a record");
        assert_eq!(
            installation.ledger_offsets(destination) - never_there,
            i64::try_from(records.len()).unwrap(),
            "{destination}: {ended:?}"
        );
        without_record = never_there;
    }
    without_record
}

/// The number that an unsealed body holds among its properties.
fn number_in(body: &Value) -> u32 {
    let properties = body["properties"].as_array().expect("the event has its property");
    properties.iter().find(|pair| pair[0] == "number").map(|pair| whole(&pair[1])).expect("the event has its number")
}

fn whole(value: &Value) -> u32 {
    let number = value.as_f64().expect("a number");
    number as u32
}

/// Which numbers arrived, and under which event ids.
fn arrivals(installation: &Installation, destination: &str) -> BTreeMap<u32, BTreeSet<String>> {
    let mut arrived: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for event in installation.outbox(destination) {
        let id = event["event_id"].as_str().expect("an event id").to_owned();
        arrived.entry(whole(&event["properties"]["number"])).or_default().insert(id);
    }
    arrived
}

#[test]
fn an_answer_follows_the_sync_of_what_it_acknowledges() {
    let what = "the order of system calls before an answer";
    match Command::new("strace").args(["-o", "/dev/null", "-e", "trace=none", env!("CARGO_BIN_EXE_firsthand"), "--version"]).output() {
        Err(_) => return left_out(what, "strace is not installed"),
        Ok(output) if !output.status.success() => return left_out(what, "ptrace is not permitted here"),
        Ok(_) => {}
    }
    let documents = [SITE.to_owned(), file_destination("measurement", "exempt_measurement", "strict")];
    let installation = Installation::new(&documents.concat());
    let mut command = Command::new("strace");
    command.args(["-f", "-yy", "-e", system_calls::CALLS, "-o", "trace", env!("CARGO_BIN_EXE_firsthand"), "run"]);
    command.current_dir(installation.path()).env_remove("RUST_LOG");
    let mut server = installation.start_as(command);
    let traced = server.only_child();
    let mut connection = Connection::open(server.http()).unwrap();
    for number in 0..TRACED {
        let beacon = json!({ "e": [{ "k": "page_view", "d": { "number": number } }] });
        assert_eq!(connection.exchange(&Request::beacon(beacon.to_string())).unwrap().status, 204);
    }
    terminate(traced);
    assert!(server.wait().success());
    let trace = std::fs::read_to_string(installation.path().join("trace")).unwrap();
    let checked = system_calls::check(&trace);
    assert_eq!(checked, system_calls::Checked { kept: TRACED, ..Default::default() });

    // With the syncs taken out of the same trace, every answer is too early.
    let unsynced: String = trace.lines().filter(|line| !line.contains("fdatasync")).fold(String::new(), |all, line| all + line + "\n");
    assert_eq!(system_calls::check(&unsynced).too_early.len(), TRACED, "the check would not notice a missing sync");
}
