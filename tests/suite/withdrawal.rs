//! Withdrawal under load: a backlog begins to leave at full speed, and one of its persons withdraws, one of its visitors without a cookie
//! objects. A second later nothing more of them is sent; what was still queued or being tried again ends `purged`; and a backup that was
//! taken before brings nothing of it back.
//!
//! `FIRSTHAND_WITHDRAWAL_EVENTS` is the number of granted events in the backlog; a normal run has few, and a receiver that takes its time.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection as Database;
use serde_json::json;

use crate::{
    campaign::{self, PATIENCE, Tell, numbers, resident_mib},
    http_client::{Connection, Request},
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    receiver::{Behaviour, Receiver, thread},
};

/// Granted events in a normal run.
const EVENTS: usize = 4_000;
/// From as many events on, it is a campaign: at full speed, and it says how far it is.
const CAMPAIGN: usize = 100_000;
/// An event without consent comes with so many granted ones.
const GRANTED_PER_UNKNOWN: usize = 10;
/// Events in one request: the most that there may be.
const EVENTS_PER_REQUEST: usize = 50;
/// Connections that fill the log at once.
const SENDERS: usize = 4;
/// A normal run's receiver takes so long for a call of 50 events, so that a small backlog lasts a few seconds.
const PAUSE: Duration = Duration::from_millis(150);
/// The last moment, after the answer to an objection, at which something may be sent.
const IN_FORCE_AFTER: Duration = Duration::from_secs(1);
/// Longer than any courier rests.
const LONGEST_REST: Duration = Duration::from_secs(15 * 60);
/// The server's memory at most, in MiB, however long the backlog is.
const RESIDENT_MIB_MAX: f64 = 512.0;

/// Who withdraws among the persons, and who objects among the visitors without a cookie. Neither is the first nor the last.
const WITHDRAWING: usize = 3;
const OBJECTING: usize = 2;

/// How much is sent, by whom.
struct Load {
    granted: usize,
    persons: usize,
    unknown: usize,
    visitors: usize,
}

impl Load {
    /// Whole requests of everyone: the same number of each person, and of each visitor.
    fn of(events: usize) -> Self {
        let persons = if events >= CAMPAIGN { 1_000 } else { 16 };
        let visitors = persons / 4;
        let whole = |events: usize, people: usize| events.div_ceil(people * EVENTS_PER_REQUEST) * people * EVENTS_PER_REQUEST;
        Self { granted: whole(events, persons), persons, unknown: whole(events / GRANTED_PER_UNKNOWN, visitors), visitors }
    }

    const fn all(&self) -> usize {
        self.granted + self.unknown
    }

    const fn of_each_person(&self) -> usize {
        self.granted / self.persons
    }

    const fn of_each_visitor(&self) -> usize {
        self.unknown / self.visitors
    }

    /// The number that a visitor's events carry; a person's carry the person's.
    const fn number_of_visitor(&self, visitor: usize) -> usize {
        self.persons + visitor
    }
}

/// What a receiver saw of one person or visitor.
#[derive(Clone, Copy, Default)]
struct Seen {
    sent: usize,
    accepted: usize,
    last: Option<Instant>,
}

/// What a receiver saw of everyone: as long as there are people, however many their events are.
struct Sightings {
    of: Mutex<Vec<Seen>>,
    accepted: AtomicUsize,
}

impl Sightings {
    fn of(people: usize) -> Arc<Self> {
        Arc::new(Self { of: Mutex::new(vec![Seen::default(); people]), accepted: AtomicUsize::new(0) })
    }

    fn see(&self, call: &[u8], accepted: bool) {
        let now = Instant::now();
        let mut all = self.of.lock().unwrap();
        for number in numbers(call) {
            let seen = &mut all[number as usize];
            seen.sent += 1;
            seen.accepted += usize::from(accepted);
            seen.last = Some(now);
            self.accepted.fetch_add(usize::from(accepted), Ordering::Relaxed);
        }
    }

    fn seen(&self, number: usize) -> Seen {
        self.of.lock().unwrap()[number]
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    fn forget(&self) {
        self.of.lock().unwrap().fill(Seen::default());
        self.accepted.store(0, Ordering::Relaxed);
    }
}

/// A destination of the backlog and what reached it.
struct Receiving {
    receiver: Receiver,
    sightings: Arc<Sightings>,
}

impl Receiving {
    fn down(people: usize) -> Self {
        let sightings = Sightings::of(people);
        let watching = Arc::clone(&sightings);
        let receiver = Receiver::watched(Behaviour::Refuse(503, Some(1)), move |call, accepted| watching.see(call, accepted));
        Self { receiver, sightings }
    }
}

/// So many events of whoever has that number, from their own address.
fn beacon(number: usize, events: usize, granted: bool) -> Request {
    let event = json!({ "k": "page_view", "p": "https://www.shop.example/shoes", "d": { "number": number } });
    let mut body = json!({ "e": vec![event; events] });
    if granted {
        body["g"] = json!(["analytics"]);
    }
    from(number, &body.to_string())
}

fn from(number: usize, body: &str) -> Request {
    Request::beacon(body).with("X-Forwarded-For", &format!("10.1.{}.{}", number / 250, number % 250 + 1))
}

/// One connection's part of the backlog: everyone in turns, so that every part of the log holds some of each. Returns its persons' cookies.
fn fill(address: std::net::SocketAddr, load: &Load, sender: usize, sent: &AtomicUsize) -> Vec<(usize, String)> {
    let mut connection = Connection::open(address).unwrap();
    let mut send = |request: &Request| {
        let answer = connection.exchange(request).unwrap();
        assert_eq!(answer.status, 204);
        sent.fetch_add(EVENTS_PER_REQUEST, Ordering::Relaxed);
        answer
    };
    let mut persons: Vec<(usize, Option<String>)> = (sender..load.persons).step_by(SENDERS).map(|person| (person, None)).collect();
    let rounds = load.of_each_person() / EVENTS_PER_REQUEST;
    let visitors_rounds = load.of_each_visitor() / EVENTS_PER_REQUEST;
    for round in 0..rounds {
        for (person, cookie) in &mut persons {
            let request = beacon(*person, EVENTS_PER_REQUEST, true);
            let Some(cookie) = cookie else {
                let answer = send(&request);
                *cookie = Some(answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned());
                continue;
            };
            send(&request.with("Cookie", cookie));
        }
        for _ in round * visitors_rounds / rounds..(round + 1) * visitors_rounds / rounds {
            for visitor in (sender..load.visitors).step_by(SENDERS) {
                send(&beacon(load.number_of_visitor(visitor), EVENTS_PER_REQUEST, false));
            }
        }
    }
    persons.into_iter().map(|(person, cookie)| (person, cookie.expect("everyone said something"))).collect()
}

/// Fills the log over all connections.
fn fill_all(server: &Running, load: &Arc<Load>, tell: &Tell) -> Vec<(usize, String)> {
    let sent = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (address, load, sent) = (server.http(), Arc::clone(load), Arc::clone(&sent));
            thread("sender", move || fill(address, &load, sender, &sent))
        })
        .collect();
    while senders.iter().any(|sender| !sender.is_finished()) {
        std::thread::sleep(Duration::from_millis(50));
        tell.now_and_then(|| format!("{} of {} events taken in", sent.load(Ordering::Relaxed), load.all()));
    }
    senders.into_iter().flat_map(|sender| sender.join().expect("a sender ends")).collect()
}

const DESTINATIONS: [&str; 2] = ["customers", "measurement"];

/// Waits until every event has its end at both destinations, as long as there is progress.
fn wait_until_ended(installation: &Installation, load: &Load, tell: &Tell) {
    campaign::wait_until_ended(installation, &DESTINATIONS, load.all(), tell);
}

fn ended_as(installation: &Installation, destination: &str, wanted: &str) -> usize {
    installation.ledger(destination).iter().filter(|(state, ..)| state == wanted).map(|(.., count)| *count as usize).sum()
}

/// A copy of the log and of `state.db`, as an operator's backup has them. `keys.db` is no part of one.
fn back_up(installation: &Installation, to: &Path) {
    fs::create_dir_all(to.join("log")).unwrap();
    for entry in fs::read_dir(installation.data().join("log")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join("log").join(entry.file_name())).unwrap();
    }
    let state = Database::open(installation.data().join("state.db")).unwrap();
    state.busy_timeout(Duration::from_secs(30)).unwrap();
    state.execute("VACUUM INTO ?1", [to.join("state.db").to_str().unwrap()]).unwrap();
}

fn restore(installation: &Installation, backup: &Path) {
    let data = installation.data();
    fs::remove_dir_all(data.join("log")).unwrap();
    fs::rename(backup.join("log"), data.join("log")).unwrap();
    for left in ["state.db-wal", "state.db-shm"] {
        // SQLite has taken them away where it closed the file in peace.
        let _ = fs::remove_file(data.join(left));
    }
    fs::rename(backup.join("state.db"), data.join("state.db")).unwrap();
}

/// How long after `answered` something was last sent to anyone.
fn late(receiving: &[Receiving; 2], number: usize, answered: Instant) -> Duration {
    let last = receiving.iter().filter_map(|receiving| receiving.sightings.seen(number).last).max();
    last.map_or(Duration::ZERO, |last| last.saturating_duration_since(answered))
}

#[test]
fn nothing_of_whoever_withdraws_leaves_a_second_later_nor_from_a_backup() {
    let wanted = std::env::var("FIRSTHAND_WITHDRAWAL_EVENTS").ok();
    let events = wanted.map_or(EVENTS, |number| number.parse().expect("FIRSTHAND_WITHDRAWAL_EVENTS is a number"));
    let is_campaign = events >= CAMPAIGN;
    let tell = Tell::new(is_campaign);
    let load = Arc::new(Load::of(events));
    let receiving = DESTINATIONS.map(|_| Receiving::down(load.persons + load.visitors));
    let [customers, measurement] = [&receiving[0], &receiving[1]];
    let documents = [
        SITE.to_owned(),
        destination("customers", "webhook", "consent", "consented-analytics", &customers.receiver.settings()),
        destination("measurement", "webhook", "exempt_measurement", "measurement", &measurement.receiver.settings()),
    ];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();

    let cookies = fill_all(&server, &load, &tell);
    let tried = |receiving: &Receiving| receiving.sightings.of.lock().unwrap().iter().any(|seen| seen.sent > 0);
    eventually("attempts that fail, and wait", PATIENCE, || receiving.iter().all(tried));
    tell.say(&format!("{} events wait, {:.0} MiB of memory at most; a backup is taken", load.all(), resident_mib(&server)));
    let backup = installation.path().join("backup");
    back_up(&installation, &backup);

    // The destinations come back, and the backlog begins to leave.
    let behaviour = if is_campaign { Behaviour::Accept } else { Behaviour::AcceptAfter(PAUSE) };
    receiving.iter().for_each(|receiving| receiving.receiver.behave(behaviour));
    // A courier whose receiver was down for as long as a large backlog takes to come in rests for minutes before it tries again.
    let (some, patience) = ((load.all() / 50).min(20_000), if is_campaign { LONGEST_REST } else { PATIENCE });
    let flows = |receiving: &Receiving| receiving.sightings.accepted() > some;
    eventually("the backlog leaves", patience, || receiving.iter().all(flows));
    let visitor = load.number_of_visitor(OBJECTING);
    let (_, cookie) = cookies.iter().find(|(person, _)| *person == WITHDRAWING).expect("they have a cookie");
    let mut button = from(WITHDRAWING, "").with("Cookie", cookie).instead("Content-Type", "application/x-www-form-urlencoded");
    button.path = String::from("/keso/about/out");
    let asked = Instant::now();
    assert_eq!(server.send(&button).status, 303);
    let withdrawn = Instant::now();
    assert_eq!(server.send(&from(visitor, r#"{"o":1}"#)).status, 204);
    let objected = Instant::now();
    tell.say("a person withdrew, and a visitor without a cookie objected");
    wait_until_ended(&installation, &load, &tell);

    let [after_withdrawal, after_objection] = [late(&receiving, WITHDRAWING, withdrawn), late(&receiving, visitor, objected)];
    assert!(after_withdrawal <= IN_FORCE_AFTER, "something of a person left {after_withdrawal:?} after their withdrawal");
    assert!(after_objection <= IN_FORCE_AFTER, "something of a visitor left {after_objection:?} after their objection");
    // Visitors who have not chosen are none of `customers`' business; where one of them objected, that is what is said of it.
    let others = [(customers, "customers", load.unknown), (measurement, "measurement", load.of_each_visitor())];
    let mut ended = Vec::new();
    for (receiving, name, unknown) in others {
        let left = [WITHDRAWING, visitor].map(|number| receiving.sightings.seen(number).accepted).iter().sum::<usize>();
        let [purged, withheld] = ["purged", "withheld"].map(|state| ended_as(&installation, name, state));
        assert!(purged > 0, "{name}: nothing of them was left to purge: the backlog was gone before they spoke");
        assert_eq!(left + purged + withheld, load.of_each_person() + unknown, "{name}: each of their events left before, or was purged");
        ended.push(purged);
    }
    let memory = resident_mib(&server);
    assert!(memory <= RESIDENT_MIB_MAX, "{memory} MiB");
    assert!(server.stop().success());

    // What the backup holds is sent once more, but nothing of theirs.
    restore(&installation, &backup);
    receiving.iter().for_each(|receiving| receiving.sightings.forget());
    receiving.iter().for_each(|receiving| receiving.receiver.behave(Behaviour::Accept));
    tell.say("the backup is restored, and delivered");
    let server = installation.start();
    wait_until_ended(&installation, &load, &tell);
    for (receiving, name) in receiving.iter().zip(DESTINATIONS) {
        assert_eq!([WITHDRAWING, visitor].map(|number| receiving.sightings.seen(number).sent), [0, 0], "{name}: from the backup");
        let theirs = load.of_each_person() + load.of_each_visitor();
        assert_eq!(ended_as(&installation, name, "purged"), theirs, "{name}: from the backup");
    }
    assert!(server.stop().success());
    tell.say(&format!(
        "withdrawal: {} events of {} persons and {} visitors queued; answers after {:.0} and {:.0} ms; the last events left {:.0} and {:.0} ms \
         after them; {ended:?} purged; nothing came back from a backup; {memory:.0} MiB at most",
        load.all(),
        load.persons,
        load.visitors,
        withdrawn.duration_since(asked).as_secs_f64() * 1e3,
        objected.duration_since(withdrawn).as_secs_f64() * 1e3,
        after_withdrawal.as_secs_f64() * 1e3,
        after_objection.as_secs_f64() * 1e3,
    ));
}

/// So many events of each person and visitor are refused and parked.
const PARKED_OF_EACH: usize = 3;

#[test]
fn parked_events_of_whoever_withdraws_or_objects_end_purged() {
    let receiver = Receiver::start(Behaviour::Refuse(400, None));
    let documents = [
        SITE.to_owned(),
        destination("measurement", "webhook", "exempt_measurement", "measurement", &receiver.settings()),
        file_destination("customers", "consent", "consented-analytics"),
    ];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    let [withdrawing, staying, objecting] = [1, 2, 3];
    let answer = server.send(&beacon(withdrawing, PARKED_OF_EACH, true));
    let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a person has a cookie").to_owned();
    assert_eq!(server.send(&beacon(staying, PARKED_OF_EACH, true)).status, 204);
    assert_eq!(server.send(&beacon(objecting, PARKED_OF_EACH, false)).status, 204);
    let ends = || ["rejected", "purged"].map(|state| ended_as(&installation, "measurement", state));
    eventually("all are refused, and parked", PATIENCE, || ends() == [3 * PARKED_OF_EACH, 0]);

    let mut button = from(withdrawing, "").with("Cookie", &cookie).instead("Content-Type", "application/x-www-form-urlencoded");
    button.path = String::from("/keso/about/out");
    assert_eq!(server.send(&button).status, 303);
    eventually("the person's are purged", PATIENCE, || ends() == [2 * PARKED_OF_EACH, PARKED_OF_EACH]);
    assert_eq!(server.send(&from(objecting, r#"{"o":1}"#)).status, 204);
    eventually("the visitor's are purged, too", PATIENCE, || ends() == [PARKED_OF_EACH, 2 * PARKED_OF_EACH]);
    let metrics = server.admin_page("/metrics").text();
    for (state, events) in [("rejected", PARKED_OF_EACH), ("purged", 2 * PARKED_OF_EACH)] {
        let line = format!("firsthand_delivery_events_total{{destination=\"measurement\",state=\"{state}\"}} {events}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(server.stop().success());
    assert_eq!(installation.number("state.db", "SELECT count(*) FROM parked"), PARKED_OF_EACH as i64, "who stays is looked at still");
}
