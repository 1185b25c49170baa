//! A new process takes over from the one that runs: under load nobody is turned away, the day goes on with its keys, and these are nowhere
//! but in the two processes' memory. Where it cannot, the one before goes on; where that one is dead, the day breaks, and that is counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    net::SocketAddr,
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::Output,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use firsthand::{
    hand_over::SOCKET,
    privacy::hand_over::VERSION,
    prove::scanner::{Mark, Scanner},
};
use serde_json::{Value, json};

use crate::{
    http_client::{Connection, Request},
    installation::{Installation, Running, SITE, eventually, file_destination},
    left_out::left_out,
    receiver::thread as named_thread,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Clients that keep their connection, and as many that open one for each request.
const CLIENTS: usize = 4;
/// Events before a change of process, and after it.
const EVENTS: usize = 400;
const KEY_BYTES: usize = 32;
/// The smallest page there is: of a larger one, what is beyond its key is empty.
const PAGE_BYTES: usize = 4096;

fn installation() -> Installation {
    Installation::new(&(SITE.to_owned() + &file_destination("measured", "exempt_measurement", "measurement")))
}

fn event(visitor: usize, number: usize) -> Request {
    let beacon = json!({ "e": [{ "k": "page_view", "d": { "number": number } }] });
    Request::beacon(beacon.to_string()).with("X-Forwarded-For", &format!("192.0.2.{visitor}"))
}

/// The visitor and session ids of each event at the destination, by its number. After a crash some may be there twice.
fn left(installation: &Installation) -> BTreeMap<usize, (Value, Value)> {
    let ids = |event: &Value| {
        let number = event["properties"]["number"].as_f64().unwrap() as usize;
        (number, (event["visitor_id"].clone(), event["session_id"].clone()))
    };
    installation.outbox("measured").iter().map(ids).collect()
}

pub(crate) fn take_over(installation: &Installation) -> Running {
    installation.start_as(installation.command(&["run", "--take-over"]))
}

fn epoch_breaks(server: &Running) -> u64 {
    server.overview()["sites"][0]["epoch_breaks"].as_u64().unwrap()
}

/// Sends one event of the first visitor, and returns the ids under which it left.
fn ids(installation: &Installation, server: &Running, number: usize) -> (Value, Value) {
    assert_eq!(server.send(&event(1, number)).status, 204);
    eventually("the event at its destination", PATIENCE, || left(installation).contains_key(&number));
    left(installation).remove(&number).unwrap()
}

/// Clients under way until told to stop. What they sent is accounted for by its number.
struct Load<'a> {
    address: SocketAddr,
    next: &'a AtomicUsize,
    stop: &'a AtomicBool,
    ended: &'a AtomicUsize,
}

impl Load<'_> {
    /// One client that keeps its connection. One that ended before a word of the answer ended in order: the request goes on another.
    fn keep_alive(&self, visitor: usize) -> Vec<usize> {
        let mut sent = Vec::new();
        let mut connection = Connection::open(self.address).expect("nobody is turned away");
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let answer = connection.exchange(&event(visitor, number)).or_else(|_| {
                self.ended.fetch_add(1, Ordering::Relaxed);
                connection = Connection::open(self.address).expect("nobody is turned away");
                connection.exchange(&event(visitor, number))
            });
            let answer = answer.expect("a new connection is answered");
            assert_eq!(answer.status, 204);
            if answer.header("connection") == Some("close") {
                connection = Connection::open(self.address).expect("nobody is turned away");
            }
            sent.push(number);
        }
        sent
    }

    /// One client with a connection for each request.
    fn fresh(&self, visitor: usize) -> Vec<usize> {
        let mut sent = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let mut connection = Connection::open(self.address).expect("nobody is turned away");
            let answer = connection.exchange(&event(visitor, number)).expect("what came to be accepted is answered");
            assert_eq!(answer.status, 204);
            sent.push(number);
        }
        sent
    }
}

#[test]
fn under_load_nobody_is_turned_away_and_the_day_goes_on() {
    let installation = installation();
    let mut server = installation.start();
    let address = server.http();
    let (next, ended, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let load = Load { address, next: &next, stop: &stop, ended: &ended };
    let mut longest = Duration::ZERO;
    let sent: Vec<Vec<usize>> = thread::scope(|scope| {
        let clients: Vec<_> = (1..=2 * CLIENTS)
            .map(|visitor| {
                let load = &load;
                scope.spawn(move || if visitor <= CLIENTS { load.keep_alive(visitor) } else { load.fresh(visitor) })
            })
            .collect();
        for change in 1..=3 {
            eventually("events before the change", PATIENCE, || next.load(Ordering::Relaxed) >= change * EVENTS);
            let (pid, began) = (server.pid(), Instant::now());
            let successor = take_over(&installation);
            longest = longest.max(began.elapsed());
            assert_ne!(successor.pid(), pid);
            assert_eq!(successor.http(), address);
            let before = std::mem::replace(&mut server, successor);
            assert_eq!(before.wait().code(), Some(0), "the one before ends in order");
        }
        let so_far = next.load(Ordering::Relaxed);
        eventually("events after the last change", PATIENCE, || next.load(Ordering::Relaxed) >= so_far + EVENTS);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("a client's every request is answered")).collect()
    });
    let all: usize = sent.iter().map(Vec::len).sum();
    println!(
        "{all} events, {} connections ended before an answer, a start that takes over at most {longest:?}",
        ended.load(Ordering::Relaxed)
    );
    eventually("all at the destination", PATIENCE, || left(&installation).len() >= all);
    assert_eq!(epoch_breaks(&server), 0);
    let site = &server.overview()["sites"][0];
    assert_eq!((&site["visitors"], &site["visits"]), (&json!(2 * CLIENTS), &json!(2 * CLIENTS)), "nobody is counted twice");
    assert!(server.stop().success());
    let left = left(&installation);
    assert_eq!(installation.outbox("measured").len(), left.len(), "no event twice");
    assert_eq!(left.keys().copied().collect::<BTreeSet<_>>(), sent.iter().flatten().copied().collect(), "each event, once");
    let ids: Vec<BTreeSet<String>> =
        sent.iter().map(|numbers| numbers.iter().map(|number| format!("{} {}", left[number].0, left[number].1)).collect()).collect();
    assert!(ids.iter().all(|ids| ids.len() == 1), "each visitor and session has one id in all four processes");
    assert_eq!(ids.iter().flatten().collect::<BTreeSet<_>>().len(), 2 * CLIENTS);
    assert_eq!(installation.number("state.db", "SELECT sum(count) FROM counters WHERE reason = 'stored'"), all as i64);
}

/// The keys in a process's memory: each at the start of a page that is kept out of core dumps. `None` where the system does not let it be read.
fn keys_of(pid: u32) -> Option<BTreeSet<[u8; KEY_BYTES]>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let (mut keys, mut range) = (BTreeSet::new(), 0..0);
    for line in maps.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-') {
            range = u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
        } else if first == "VmFlags:" && line.split(' ').any(|flag| flag == "dd") && line.contains(" wr ") {
            for at in range.clone().step_by(PAGE_BYTES) {
                let mut key = [0; KEY_BYTES];
                memory.seek(SeekFrom::Start(at)).ok()?;
                memory.read_exact(&mut key).ok()?;
                keys.insert(key);
            }
        }
    }
    keys.remove(&[0; KEY_BYTES]);
    Some(keys)
}

fn files_below(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    entries
        .flat_map(
            |path| if path.is_dir() { files_below(&path) } else { vec![(path.display().to_string(), fs::read(&path).unwrap_or_default())] },
        )
        .collect()
}

#[test]
fn keys_go_from_memory_to_memory_and_rest_on_no_disk() {
    let installation = installation();
    let server = installation.start();
    let before = ids(&installation, &server, 1);
    let socket = installation.data().join(SOCKET);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let Some(keys) = keys_of(server.pid()) else {
        left_out("keys in memory", "the system does not let a process's memory be read");
        return;
    };
    assert!(!keys.is_empty(), "K_visit is found in memory");
    let successor = take_over(&installation);
    assert!(server.wait().success());
    let there = keys_of(successor.pid()).unwrap();
    assert!(keys.is_subset(&there), "the next process has the same keys");
    assert_eq!(ids(&installation, &successor, 2), before);
    let scanner = Scanner::new(keys.union(&there).map(|key| Mark::bytes("key", *key)).collect());
    let look = || files_below(installation.path()).into_iter().map(|(name, bytes)| (name, scanner.scan(&bytes))).collect::<Vec<_>>();
    for (name, hits) in look() {
        assert!(hits.is_empty(), "{name}: {} keys", hits.len());
    }
    assert!(successor.stop().success());
    assert!(look().iter().all(|(_, hits)| hits.is_empty()));
    fs::write(installation.data().join("planted"), keys.first().unwrap()).unwrap();
    assert!(look().iter().any(|(_, hits)| !hits.is_empty()), "a key on the disk is found");
}

#[test]
fn a_newcomer_stays_one_person() {
    let site = SITE.to_owned() + "keys = { ga4 = [\"G-SHOP123456\"] }\n";
    let documents = [site, file_destination("customers", "consent", "consented-analytics")];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    // Google's tag says a browser's id with every request; the answer with the cookie is lost.
    let hit = |number: usize| {
        let mut request = Request::beacon("").with("X-Forwarded-For", "192.0.2.1");
        let said = "v=2&tid=G-SHOP123456&cid=1.2&gcs=G111&gcd=13r3r3r3r5l1&_p=1773480410123&en=page_view";
        request.path = format!("/keso/g/collect?{said}&_s={number}&dl=https%3A%2F%2Fwww.shop.example%2F");
        request
    };
    assert!(server.send(&hit(1)).status < 300);
    let successor = take_over(&installation);
    assert!(server.wait().success());
    assert!(successor.send(&hit(2)).status < 300);
    assert!(successor.stop().success());
    assert_eq!(installation.number("state.db", "SELECT sum(count) FROM counters WHERE reason = 'stored'"), 2);
    assert_eq!(installation.number("keys.db", "SELECT count(*) FROM persons"), 1);
}

#[test]
fn after_a_crash_there_is_nothing_to_take_over_and_the_break_is_counted() {
    let installation = installation();
    let server = installation.start();
    let before = ids(&installation, &server, 1);
    server.kill();
    assert!(installation.data().join(SOCKET).exists(), "it could not clear up");
    let restarted = take_over(&installation);
    let after = ids(&installation, &restarted, 2);
    assert_ne!(before.0, after.0);
    eventually("the break is counted", PATIENCE, || epoch_breaks(&restarted) == 1);
    assert!(restarted.stop().success());
    let first = take_over(&installation);
    assert!(first.stop().success(), "without anyone before it, it is an ordinary start");
}

/// Plays the process that takes over, up to where it has been told that the other one closes.
fn begin(installation: &Installation) -> UnixStream {
    let (mut next, word) = greet(installation, VERSION);
    assert_eq!(word, 1);
    next.set_read_timeout(Some(PATIENCE)).unwrap();
    next.write_all(&[]).unwrap();
    next
}

fn greet(installation: &Installation, form: u32) -> (UnixStream, u8) {
    let mut next = UnixStream::connect(installation.data().join(SOCKET)).unwrap();
    next.write_all(b"firsthand\0").unwrap();
    next.write_all(&form.to_le_bytes()).unwrap();
    let mut word = [0];
    next.read_exact(&mut word).unwrap();
    (next, word[0])
}

#[test]
fn whoever_does_not_take_over_leaves_the_one_before_as_it_was() {
    let installation = installation();
    let server = installation.start();
    let before = ids(&installation, &server, 1);
    // Another form of the message: nothing stops.
    let (_other, word) = greet(&installation, VERSION + 1);
    assert_eq!(word, 2);
    assert_eq!(ids(&installation, &server, 2), before);

    // One that ends in the middle; a client waits meanwhile, and is answered.
    let mut next = begin(&installation);
    next.read_exact(&mut [0]).unwrap();
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| server.send(&event(1, 3)).status);
        thread::sleep(Duration::from_millis(200));
        drop(next);
        waiting.join().unwrap()
    });
    assert_eq!(waiting, 204);
    assert_eq!(ids(&installation, &server, 4), before);

    // A configuration under which the next one cannot start, found out before anything stops, and after.
    let machine = fs::read_to_string(installation.path().join("firsthand.toml")).unwrap();
    for (wrong, because) in
        [(machine.replace("place.mmdb", "nowhere.mmdb"), "places.database"), (format!("{machine}\n[managed]\nfrom = \"sites\"\n"), "sites")]
    {
        installation.write("wrong.toml", &wrong);
        let Output { status, stderr, .. } = installation.run(&["run", "--take-over", "--config", "wrong.toml"]);
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(!status.success() && stderr.contains(because), "{stderr}");
        assert_eq!(ids(&installation, &server, 5 + because.len()), before);
    }
    assert_eq!(epoch_breaks(&server), 0);
    let successor = take_over(&installation);
    assert!(server.wait().success());
    assert_eq!(ids(&installation, &successor, 6), before, "and another one still can");
    assert_eq!(epoch_breaks(&successor), 0);
    assert!(successor.stop().success());
}

/// Plays a process that runs, and answers with this one byte.
fn play(installation: &Installation, word: u8) -> thread::JoinHandle<io::Result<()>> {
    let path = installation.data().join(SOCKET);
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(path).unwrap();
    named_thread("a process that runs", move || {
        let (mut next, _) = listener.accept()?;
        next.read_exact(&mut [0; 14])?;
        next.write_all(&[word])
    })
}

#[test]
fn one_that_dies_while_it_hands_over_is_an_epoch_break_and_another_form_is_none() {
    let installation = installation();
    let server = installation.start();
    let before = ids(&installation, &server, 1);
    server.kill();
    let other_form = play(&installation, 2);
    let Output { status, stderr, .. } = installation.run(&["run", "--take-over"]);
    other_form.join().unwrap().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(!status.success() && stderr.contains("in another form") && stderr.contains("fix:"), "{stderr}");

    let dies = play(&installation, 1);
    let restarted = take_over(&installation);
    dies.join().unwrap().unwrap();
    assert!(fs::read_to_string(installation.path().join("stderr")).unwrap().contains("an epoch break"));
    assert_ne!(ids(&installation, &restarted, 2).0, before.0);
    eventually("the break is counted", PATIENCE, || epoch_breaks(&restarted) == 1);
    assert!(restarted.stop().success());
}
