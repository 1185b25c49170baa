//! A long backlog: two destinations rest while events come in, then both begin. Each event reaches each of them once, the ledger says so, and
//! the server's memory does not grow with what waits.
//!
//! `FIRSTHAND_BACKLOG_EVENTS` is the number of events; a normal run has few.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    campaign::{Tell, numbers, resident_mib, wait_until_ended},
    http_client::{Connection, Request},
    installation::{Installation, SITE, destination},
    receiver::{Behaviour, Receiver, thread},
};

/// Events in a normal run.
const EVENTS: usize = 4_000;
/// From as many events on, it is a campaign, and says how far it is.
const CAMPAIGN: usize = 100_000;
/// Events in one request: the most that there may be.
const EACH: usize = 50;
/// Whose events they are.
const VISITORS: usize = 1_000;
/// Connections that fill the log at once.
const SENDERS: usize = 4;
/// The server's memory at most, in MiB, however long the backlog is.
const RESIDENT_MIB_MAX: f64 = 512.0;

const DESTINATIONS: [&str; 2] = ["measurement", "warehouse"];

/// How often each event has come: a bit for once, and the number of those that came again.
struct Arrived {
    once: Mutex<Vec<u64>>,
    again: AtomicUsize,
}

impl Arrived {
    fn none_of(events: usize) -> Arc<Self> {
        Arc::new(Self { once: Mutex::new(vec![0; events.div_ceil(64)]), again: AtomicUsize::new(0) })
    }

    fn see(&self, call: &[u8]) {
        let mut once = self.once.lock().unwrap();
        for number in numbers(call) {
            let bit = 1 << (number % 64);
            self.again.fetch_add(usize::from(once[number / 64] & bit != 0), Ordering::Relaxed);
            once[number / 64] |= bit;
        }
    }

    fn different(&self) -> usize {
        self.once.lock().unwrap().iter().map(|bits| bits.count_ones() as usize).sum()
    }
}

/// One connection's part of the events.
fn fill(address: SocketAddr, events: usize, sender: usize, sent: &AtomicUsize) {
    let mut connection = Connection::open(address).unwrap();
    for first in (sender * EACH..events).step_by(SENDERS * EACH) {
        let said: Vec<String> = (first..first + EACH).map(|number| format!(r#"{{"k":"page_view","d":{{"number":{number}}}}}"#)).collect();
        let visitor = first / EACH % VISITORS;
        let request = Request::beacon(format!(r#"{{"e":[{}]}}"#, said.join(",")))
            .with("X-Forwarded-For", &format!("10.1.{}.{}", visitor / 250, visitor % 250 + 1));
        assert_eq!(connection.exchange(&request).unwrap().status, 204);
        sent.fetch_add(EACH, Ordering::Relaxed);
    }
}

fn fill_all(address: SocketAddr, events: usize, tell: &Tell) {
    let sent = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let sent = Arc::clone(&sent);
            thread("sender", move || fill(address, events, sender, &sent))
        })
        .collect();
    while senders.iter().any(|sender| !sender.is_finished()) {
        std::thread::sleep(Duration::from_millis(50));
        tell.now_and_then(|| format!("{} of {events} events taken in", sent.load(Ordering::Relaxed)));
    }
    senders.into_iter().for_each(|sender| sender.join().expect("a sender ends"));
}

#[test]
fn a_long_backlog_leaves_whole_each_event_once_in_bounded_memory() {
    let wanted = std::env::var("FIRSTHAND_BACKLOG_EVENTS").ok();
    let events = wanted.map_or(EVENTS, |number| number.parse().expect("FIRSTHAND_BACKLOG_EVENTS is a number")).next_multiple_of(EACH);
    let tell = Tell::new(events >= CAMPAIGN);
    let arrived = DESTINATIONS.map(|_| Arrived::none_of(events));
    let receivers = [0, 1].map(|at| {
        let arrived: Arc<Arrived> = Arc::clone(&arrived[at]);
        Receiver::watched(Behaviour::Accept, move |call, _| arrived.see(call))
    });
    let documents = |paused: bool| {
        let settings = |receiver: &Receiver| format!("paused = {paused}\n{}", receiver.settings());
        [
            SITE.to_owned(),
            destination(DESTINATIONS[0], "webhook", "exempt_measurement", "measurement", &settings(&receivers[0])),
            destination(DESTINATIONS[1], "webhook", "exempt_measurement", "strict", &settings(&receivers[1])),
        ]
        .concat()
    };
    let installation = Installation::new(&documents(true));
    let server = installation.start();
    fill_all(server.http(), events, &tell);
    let waiting = resident_mib(&server);
    tell.say(&format!("{events} events wait, {waiting:.0} MiB of memory at most"));
    assert_eq!(arrived.iter().map(|arrived| arrived.different()).sum::<usize>(), 0, "they rest");

    installation.apply(&documents(false));
    let begun = Instant::now();
    wait_until_ended(&installation, &DESTINATIONS, events, &tell);
    let seconds = begun.elapsed().as_secs_f64();
    for (arrived, name) in arrived.iter().zip(DESTINATIONS) {
        assert_eq!((arrived.different(), arrived.again.load(Ordering::Relaxed)), (events, 0), "{name}: each event once");
        assert_eq!(installation.ledger(name), [(String::from("accepted"), String::new(), events as i64)], "{name}");
    }
    let memory = resident_mib(&server);
    assert!(memory <= RESIDENT_MIB_MAX, "{memory} MiB");
    assert!(server.stop().success());
    tell.say(&format!(
        "backlog: {events} events of {VISITORS} visitors waited, {waiting:.0} MiB at most; all left to two destinations in {seconds:.0} s, {:.0} \
         events/s each, every event once; {memory:.0} MiB at most",
        events as f64 / seconds
    ));
}
