//! A long backlog: two destinations rest while events come in, one whose requests hold many and one whose requests hold one each; then both
//! begin. Each event reaches each of them once, the ledger says so, and the server's memory does not grow with what waits.
//!
//! `FIRSTHAND_BACKLOG_EVENTS` is the number of events; a normal run has few. With `FIRSTHAND_BACKLOG_DIRECTORY` everything is kept there, and
//! a run that was interrupted while events left goes on with what is left; one that was interrupted before begins anew.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    campaign::{Tell, numbers, resident_mib, wait_until_ended},
    http_client::{Connection, Request},
    installation::{Installation, Running, SITE, destination, eventually, terminate},
    receiver::{Behaviour, Receiver, thread},
};

/// Events in a normal run.
const EVENTS: usize = 2_000;
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
/// What an event takes on the disk at most, in the log and in two destinations' ledgers: twice what was measured. A run that would fill the disk
/// does not begin.
const BYTES_EACH_MAX: u64 = 800;
/// Events of one destination that may have been on their way, or not yet written down, when a run was interrupted: they come again.
const UNDER_WAY_MAX: usize = 20_000;
/// A server that an interrupted run left behind ends within this.
const STOP_PATIENCE: Duration = Duration::from_secs(40);

/// A webhook, 50 events in a request; a Plausible, one event in a request.
const DESTINATIONS: [&str; 2] = ["batches", "singles"];

/// How often each event has come: a bit for once, and the number of those that came again. In a file too, where a run can be interrupted: what
/// the receiver has said yes to is in it, whatever becomes of this process.
struct Arrived {
    once: Mutex<Vec<u64>>,
    again: AtomicUsize,
    kept: Option<File>,
}

impl Arrived {
    fn none_of(events: usize) -> Self {
        Self { once: Mutex::new(vec![0; events.div_ceil(64)]), again: AtomicUsize::new(0), kept: None }
    }

    /// What came in this run and those before it. Behind the bits there is the number of those that came again.
    fn kept_in(file: &Path, events: usize) -> Self {
        let kept = File::options().create(true).truncate(false).read(true).write(true).open(file).expect("a file of arrivals");
        let mut bytes = fs::read(file).expect("a file of arrivals");
        bytes.resize((events.div_ceil(64) + 1) * 8, 0);
        let mut words: Vec<u64> = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
        let again = words.pop().unwrap_or(0);
        Self { once: Mutex::new(words), again: AtomicUsize::new(usize::try_from(again).unwrap()), kept: Some(kept) }
    }

    fn see(&self, call: &[u8]) {
        let mut once = self.once.lock().unwrap();
        let mut changed = None;
        for number in numbers(call).map(|thousandths| (thousandths * 1e3).round() as usize) {
            let (at, bit) = (number / 64, 1 << (number % 64));
            if once[at] & bit != 0 {
                let again = self.again.fetch_add(1, Ordering::Relaxed) + 1;
                self.keep(once.len(), again as u64);
            }
            once[at] |= bit;
            if let Some(before) = changed.replace(at).filter(|before| *before != at) {
                self.keep(before, once[before]);
            }
        }
        if let Some(at) = changed {
            self.keep(at, once[at]);
        }
    }

    fn keep(&self, at: usize, word: u64) {
        if let Some(file) = &self.kept {
            file.write_all_at(&word.to_le_bytes(), at as u64 * 8).expect("a file of arrivals can be written");
        }
    }

    fn different(&self) -> usize {
        self.once.lock().unwrap().iter().map(|bits| bits.count_ones() as usize).sum()
    }

    fn again(&self) -> usize {
        self.again.load(Ordering::Relaxed)
    }
}

/// Where everything is kept that the next run needs to go on.
struct Place(PathBuf);

impl Place {
    /// How many runs there were since the log was full, this one included; nothing where it has still to be filled. What is left of a run
    /// that has not come so far is taken away.
    fn goes_on(&self, events: usize) -> Option<usize> {
        self.end_what_still_runs();
        let filled =
            fs::read_to_string(self.filled()).ok().and_then(|said| said.split_once(' ').map(|(of, runs)| (of.to_owned(), runs.to_owned())));
        let before = filled.filter(|(of, _)| *of == events.to_string()).and_then(|(_, runs)| runs.trim().parse::<usize>().ok());
        if before.is_none() {
            let _ = fs::remove_dir_all(&self.0);
            fs::create_dir_all(&self.0).expect("a directory can be made");
            return None;
        }
        before.map(|runs| {
            self.fill_is_over(events, runs + 1);
            runs + 1
        })
    }

    fn fill_is_over(&self, events: usize, runs: usize) {
        fs::write(self.filled(), format!("{events} {runs}\n")).expect("a mark can be made");
    }

    fn filled(&self) -> PathBuf {
        self.0.join("filled")
    }

    fn server(&self) -> PathBuf {
        self.0.join("server.pid")
    }

    /// Ends the server of a run that was killed: it is known by its number and by where it is.
    fn end_what_still_runs(&self) {
        let Some(pid) = fs::read_to_string(self.server()).ok().and_then(|pid| pid.parse().ok()) else { return };
        let is_there = |pid: u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|at| at == self.0);
        if is_there(pid) {
            terminate(pid);
            eventually("the end of a server that was left behind", STOP_PATIENCE, || !is_there(pid));
        }
    }

    /// The server is started, and can be found if this process is killed.
    fn runs(&self, server: &Running) {
        fs::write(self.server(), server.pid().to_string()).expect("a mark can be made");
    }
}

/// One connection's part of the events. Each carries its number in thousandths: of numbers above a million none leaves.
fn fill(address: SocketAddr, events: usize, sender: usize, sent: &AtomicUsize) {
    let mut connection = Connection::open(address).unwrap();
    for first in (sender * EACH..events).step_by(SENDERS * EACH) {
        let event = |number| format!(r#"{{"k":"page_view","d":{{"number":{}.{:03}}}}}"#, number / 1_000, number % 1_000);
        let said: Vec<String> = (first..first + EACH).map(event).collect();
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

/// What all files of a directory have, in bytes. Those that go meanwhile have nothing.
fn bytes_in(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { bytes_in(&entry.path()) } else { entry.metadata().map_or(0, |of| of.len()) }).sum()
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// How many events ended so at a destination.
fn ended(installation: &Installation, name: &str, wanted: &str) -> usize {
    let ended = installation.ledger(name).into_iter().filter(|(state, ..)| state == wanted);
    ended.map(|(.., count)| usize::try_from(count).unwrap()).sum()
}

#[test]
fn a_long_backlog_leaves_whole_each_event_once_in_bounded_memory() {
    let wanted = std::env::var("FIRSTHAND_BACKLOG_EVENTS").ok();
    let events = wanted.map_or(EVENTS, |number| number.parse().expect("FIRSTHAND_BACKLOG_EVENTS is a number")).next_multiple_of(EACH);
    let tell = Tell::new(events >= CAMPAIGN);
    let place = std::env::var("FIRSTHAND_BACKLOG_DIRECTORY").ok().map(|at| Place(std::path::absolute(at).expect("a directory")));
    let runs = place.as_ref().and_then(|place| place.goes_on(events));
    let at = place.as_ref().map_or_else(std::env::temp_dir, |place| place.0.clone());
    let free = rustix::fs::statvfs(&at).map(|disk| disk.f_bavail * disk.f_frsize).expect("the system tells what is free");
    let needed = events as u64 * BYTES_EACH_MAX;
    assert!(runs.is_some() || free > needed, "{events} events take up to {:.1} GB, {:.1} are free", gigabytes(needed), gigabytes(free));

    let arrived = DESTINATIONS.map(|name| {
        Arc::new(place.as_ref().map_or_else(|| Arrived::none_of(events), |place| Arrived::kept_in(&place.0.join(name), events)))
    });
    let receivers = [0, 1].map(|at| {
        let arrived: Arc<Arrived> = Arc::clone(&arrived[at]);
        Receiver::watched(Behaviour::Accept, move |call, _| arrived.see(call))
    });
    let documents = |paused: bool| {
        let paused = format!("paused = {paused}\n");
        let single = format!("{paused}settings = {{ url = \"{}\", domain = \"shop.example\" }}", receivers[1].url());
        [
            SITE.to_owned(),
            destination(DESTINATIONS[0], "webhook", "exempt_measurement", "measurement", &(paused + &receivers[0].settings())),
            destination(DESTINATIONS[1], "plausible", "exempt_measurement", "strict", &single),
        ]
        .concat()
    };
    let installation = match (&place, runs) {
        (Some(place), Some(_)) => {
            // The receivers are elsewhere now.
            let found = Installation::found(&place.0);
            found.apply(&documents(false));
            found
        }
        (Some(place), None) => Installation::staying(&place.0, &documents(true)),
        (None, _) => Installation::new(&documents(true)),
    };
    let server = installation.start();
    place.as_ref().inspect(|place| place.runs(&server));
    let before = [0, 1].map(|at| arrived[at].different());
    let waited = if runs.is_none() {
        let begun = Instant::now();
        fill_all(server.http(), events, &tell);
        let waiting = format!("taken in in {:.0} s, {:.0} MiB of memory at most", begun.elapsed().as_secs_f64(), resident_mib(&server));
        tell.say(&format!("{events} events wait, {waiting}"));
        assert_eq!(arrived.iter().map(|arrived| arrived.different()).sum::<usize>(), 0, "they rest");
        place.as_ref().inspect(|place| place.fill_is_over(events, 1));
        installation.apply(&documents(false));
        waiting
    } else {
        tell.say(&format!("going on: of {events} events, {before:?} had left to {DESTINATIONS:?}"));
        String::from("taken in by a run before")
    };

    let begun = Instant::now();
    let speeds = [0, 1].map(|at| {
        wait_until_ended(&installation, &DESTINATIONS[at..=at], events, &tell);
        let seconds = begun.elapsed().as_secs_f64();
        format!("{} to {} in {seconds:.0} s, {:.0} a second", events - before[at], DESTINATIONS[at], (events - before[at]) as f64 / seconds)
    });
    let again_at_most = UNDER_WAY_MAX * (runs.unwrap_or(1) - 1);
    let mut again = Vec::new();
    for (arrived, name) in arrived.iter().zip(DESTINATIONS) {
        let (accepted, expired) = (ended(&installation, name, "accepted"), ended(&installation, name, "expired"));
        assert_eq!(accepted + expired, events, "{name}: {:?}", installation.ledger(name));
        assert!(arrived.different() >= accepted && arrived.again() <= again_at_most, "{name}: {} of {events}", arrived.different());
        if runs.is_none() {
            assert_eq!((arrived.different(), accepted), (events, events), "{name}: each event once");
        }
        again.push((arrived.again(), expired));
    }
    let memory = resident_mib(&server);
    assert!(memory <= RESIDENT_MIB_MAX, "{memory} MiB");
    assert!(server.stop().success());
    let [batches, singles] = speeds;
    let once = if runs.is_none() {
        String::from("each event once, as the receivers counted")
    } else {
        format!("in {} runs, so that (came again, too old by then) is {again:?}", runs.unwrap_or(1))
    };
    tell.say(&format!(
        "backlog: {events} events of {VISITORS} visitors, {waited}; then they left, {batches} (50 in a request), {singles} (one in a request); \
         {once}; {memory:.0} MiB of memory at most, {:.2} GB on the disk",
        gigabytes(bytes_in(&installation.data()))
    ));
}
