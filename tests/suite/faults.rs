//! Faults, end to end with the real binary: receivers that are cut, slow, broken or refuse; a full disk; hostile clients; a stop while
//! requests are under way. After each, what was acknowledged is accounted for, and the server takes good events.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use firsthand::{clock, event::Offset, privacy::record::HEADER_BYTES};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::{
    faulty_files::FaultyFiles,
    http_client::{Connection, Request},
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    left_out::left_out,
    line::{RawRequest, addresses, pipeline, route},
    receiver::{Behaviour, Receiver},
};

const PATIENCE: Duration = Duration::from_secs(90);

fn event(number: usize) -> Request {
    let beacon = json!({ "e": [{ "k": "page_view", "d": { "number": number } }] });
    Request::beacon(beacon.to_string()).with("X-Forwarded-For", "192.0.2.7")
}

/// Sends so many events, all of which must be taken.
fn send(server: &Running, events: std::ops::Range<usize>) {
    let mut connection = Connection::open(server.http()).unwrap();
    for number in events {
        assert_eq!(connection.exchange(&event(number)).unwrap().status, 204, "event {number}");
    }
}

fn numbers(events: &[serde_json::Value]) -> Vec<usize> {
    let mut numbers: Vec<usize> = events.iter().map(|event| event["properties"]["number"].as_f64().unwrap() as usize).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_receiver_may_fail_in_every_way_and_gets_every_event_in_the_end() {
    let receiver = Receiver::start(Behaviour::Accept);
    let documents = [
        SITE.to_owned(),
        destination("hook", "webhook", "exempt_measurement", "strict", &receiver.settings()),
        file_destination("file", "exempt_measurement", "strict"),
    ];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    let ways = [Behaviour::Cut, Behaviour::Refuse(500, None), Behaviour::Garbage, Behaviour::Refuse(429, Some(2))];
    let mut sent = 0;
    for way in ways {
        receiver.behave(way);
        let before = receiver.calls(<[_]>::len);
        send(&server, sent..sent + 20);
        sent += 20;
        eventually("an attempt at a broken receiver", PATIENCE, || receiver.calls(<[_]>::len) > before);
        // The other destination is not held up.
        eventually("the events at the other destination", Duration::from_secs(10), || installation.outbox("file").len() == sent);
        assert!(receiver.accepted().len() <= sent - 20);
        receiver.behave(Behaviour::Accept);
        eventually("the backlog at the receiver", PATIENCE, || receiver.accepted().len() >= sent);
    }
    honours_retry_after(&receiver);
    assert!(server.stop().success());
    assert_eq!(numbers(&receiver.accepted()), (0..sent).collect::<Vec<_>>(), "each event once");
    assert_eq!(numbers(&installation.outbox("file")), (0..sent).collect::<Vec<_>>());
    for destination in ["hook", "file"] {
        assert_eq!(installation.ledger(destination), [(String::from("accepted"), String::new(), sent as i64)], "{destination}");
        assert_eq!(installation.ledger_offsets(destination), sent as i64, "{destination}");
    }
}

/// After the last 429, no call came for about the two seconds that it asked for.
fn honours_retry_after(receiver: &Receiver) {
    receiver.calls(|calls| {
        let refused = calls.iter().rposition(|call| !call.accepted).unwrap();
        let next = calls[refused + 1].at.duration_since(calls[refused].at);
        assert!(next >= Duration::from_millis(1_900), "it came back after {next:?}");
    });
}

#[test]
fn a_poison_event_is_parked_and_holds_up_nobody() {
    let receiver = Receiver::start(Behaviour::Refuse(400, None));
    let documents = [SITE.to_owned(), destination("hook", "webhook", "exempt_measurement", "strict", &receiver.settings())];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    send(&server, 0..3);
    eventually("three parked events", PATIENCE, || installation.number("state.db", "SELECT count(*) FROM parked") == 3);
    receiver.behave(Behaviour::Accept);
    send(&server, 3..6);
    eventually("the others", PATIENCE, || receiver.accepted().len() == 3);
    assert!(server.stop().success());
    let ledger = installation.ledger("hook");
    assert_eq!(ledger.iter().map(|(state, _, count)| (state.as_str(), *count)).collect::<Vec<_>>(), [("accepted", 3), ("rejected", 3)]);
}

#[test]
fn a_dead_receiver_holds_its_events_over_a_restart() {
    let receiver = Receiver::start(Behaviour::Refuse(503, Some(1)));
    let documents = [SITE.to_owned(), destination("hook", "webhook", "exempt_measurement", "strict", &receiver.settings())];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    send(&server, 0..10);
    eventually("an attempt", PATIENCE, || receiver.calls(<[_]>::len) > 0);
    assert!(server.stop().success());
    receiver.behave(Behaviour::Accept);
    let server = installation.start();
    eventually("the backlog", PATIENCE, || receiver.accepted().len() >= 10);
    assert!(server.stop().success());
    assert_eq!(numbers(&receiver.accepted()), (0..10).collect::<Vec<_>>());
    assert_eq!(installation.ledger("hook"), [(String::from("accepted"), String::new(), 10)]);
}

/// The log's own small file system: room for one step of preallocation (8 MiB), and for a second one when the filler is gone.
const LOG_MIB: usize = 20;
/// Events in one request, so that the first step is used up soon.
const EVENTS_PER_REQUEST: usize = 50;

/// A request with so many events from `first` on, each about as long as one may be.
fn long_events(first: usize) -> Request {
    let page = format!("https://www.shop.example{}", "/a-long-name-of-a-page-that-says-nothing-about-anybody-in-particular".repeat(12));
    let event = |number| json!({ "k": "page_view", "p": page, "d": { "number": number } });
    let events: Vec<_> = (first..first + EVENTS_PER_REQUEST).map(event).collect();
    Request::beacon(json!({ "e": events }).to_string()).with("X-Forwarded-For", "192.0.2.7")
}

/// The small file system is mounted in a mount namespace that ends with the server: nothing is left behind.
#[test]
fn a_full_disk_turns_events_away_and_recovers_without_a_restart() {
    let what = "a full disk";
    let Some(unshare) = unshare() else { return left_out(what, "a small file system cannot be mounted here") };
    let documents = [SITE.to_owned(), file_destination("file", "exempt_measurement", "strict")];
    let installation = Installation::new(&documents.concat());
    let log = installation.data().join("log");
    fs::create_dir_all(&log).unwrap();
    let script = format!("mount -t tmpfs -o size={LOG_MIB}m none '{}' && exec '{}' run", log.display(), env!("CARGO_BIN_EXE_firsthand"));
    let mut command = Command::new("unshare");
    command.args(unshare).args(["sh", "-c", &script]).current_dir(installation.path()).env_remove("RUST_LOG");
    let server = installation.start_as(command);
    // The file system as the server sees it.
    let filler = PathBuf::from(format!("/proc/{}/root{}/filler", server.pid(), log.display()));

    let mut connection = Connection::open(server.http()).unwrap();
    let mut take = |first| connection.exchange(&long_events(first)).unwrap();
    assert_eq!(take(0).status, 204);
    fill(&filler);
    let mut taken = EVENTS_PER_REQUEST;
    let refused = loop {
        let answer = take(taken);
        if answer.status != 204 {
            break answer;
        }
        taken += EVENTS_PER_REQUEST;
        assert!(taken < 100_000, "the disk is full and events are taken for ever");
    };
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok_and(|after| (1..=60).contains(&after))));
    assert_eq!(server.admin_page("/healthz").status, 503, "whoever watches is told");

    fs::remove_file(&filler).unwrap();
    eventually("the log takes events again", PATIENCE, || take(taken).status == 204);
    assert_eq!(take(taken + EVENTS_PER_REQUEST).status, 204);
    taken += 2 * EVENTS_PER_REQUEST;
    assert_eq!(server.admin_page("/healthz").status, 200);
    eventually("every acknowledged event", PATIENCE, || installation.outbox("file").len() >= taken);
    assert!(server.stop().success());
    assert_eq!(numbers(&installation.outbox("file")), (0..taken).collect::<Vec<_>>(), "each acknowledged event once, no other");
}

/// How a process can be given mounts of its own here, if it can.
fn unshare() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["--mount"], &["--mount", "--map-root-user"]];
    WAYS.into_iter().find(|way| {
        let tried = Command::new("unshare").args(*way).args(["sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]).output();
        tried.is_ok_and(|output| output.status.success())
    })
}

/// Writes until there is no room at all.
fn fill(filler: &PathBuf) {
    let mut file = fs::File::create(filler).unwrap();
    for size in [64 << 10, 4 << 10, 1] {
        let bytes = vec![1; size];
        while file.write_all(&bytes).is_ok() {}
    }
}

/// Through the pipeline on a log whose files fail on demand: on any machine, and for what no real disk does when asked.
#[test]
fn a_failing_log_turns_events_away_with_a_time_to_come_back_and_loses_none() {
    let directory = tempfile::tempdir().unwrap();
    let (files, switches) = FaultyFiles::open(directory.path()).unwrap();
    let documents = [SITE.to_owned(), file_destination("file", "exempt_measurement", "strict")];
    let pipeline = pipeline(&documents.concat(), files, clock::now());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let documents = pipeline.documents.load_full();
    let mut acknowledged = Vec::new();
    let mut send = |number: usize| {
        let body = json!({ "e": [{ "k": "page_view", "d": { "number": number } }] });
        let request = RawRequest::beacon([192, 0, 2, 7].into(), body.to_string());
        let (site, protocol) = route(&documents, &request);
        let reply = runtime.block_on(pipeline.ingest(site, protocol, request.inbound(&addresses(), clock::now()), |_| Ok(()))).reply;
        if reply.status == 204 {
            acknowledged.push(number);
        } else {
            let after = reply.headers.iter().find(|(name, _)| name == "retry-after").map(|(_, after)| after.parse::<u32>().unwrap());
            assert_eq!(reply.status, 503);
            assert!(after.is_some_and(|after| (1..=60).contains(&after)));
        }
        reply.status == 204
    };
    assert!(send(0));
    let mut number = 1;
    let mut fail = |begin: &dyn Fn(), end: &dyn Fn()| {
        begin();
        assert!(!send(number) && !send(number + 1), "nothing is acknowledged that is not durable");
        end();
        number += 2;
        eventually("the log takes events again", PATIENCE, || {
            number += 1;
            send(number - 1)
        });
    };
    fail(&|| switches.full.store(true, Ordering::SeqCst), &|| switches.full.store(false, Ordering::SeqCst));
    fail(&|| switches.failing_syncs.store(u32::MAX, Ordering::SeqCst), &|| switches.failing_syncs.store(0, Ordering::SeqCst));
    pipeline.log.close();
    let records = pipeline.log.reader(Offset(0)).read(usize::MAX, usize::MAX).unwrap();
    let bodies =
        records.iter().map(|record| serde_json::from_slice::<serde_json::Value>(&record.bytes.as_slice()[HEADER_BYTES..]).unwrap());
    let kept: Vec<usize> = bodies.map(|body| body["properties"][0][1].as_f64().unwrap() as usize).collect();
    assert_eq!(kept, acknowledged, "what was acknowledged, once, and nothing else");
}

#[test]
fn hostile_clients_get_a_clear_answer_and_harm_nobody() {
    let documents = [SITE.to_owned(), file_destination("file", "exempt_measurement", "strict")];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    let mut good = 0;
    let mut still_well = || {
        send(&server, good..good + 1);
        good += 1;
    };
    let gzip = |bytes: Vec<u8>| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap()
    };
    let deep = format!(r#"{{"e":[{{"k":"page_view","d":{{"x":{}1{}}}}}]}}"#, "[".repeat(100), "]".repeat(100));
    let elsewhere = |method: &'static str, path: &str| Request { method, path: path.into(), ..Request::beacon("{}") };
    let large_head = Request::beacon("{}").with("X-Large", &"x".repeat(40_000));
    let bomb = Request::beacon(gzip(vec![b' '; 20 << 20])).with("Content-Encoding", "gzip");
    assert!(bomb.body.len() < 60_000, "the bomb is small before it goes off");
    let cases = [
        ("10 MB", Request::beacon(vec![b'x'; 10_000_000]), 413, "larger than 64 KiB"),
        ("broken JSON", Request::beacon(r#"{"e":[{"k":"page_view","n":jane}]}"#), 400, "not JSON at byte 27"),
        ("100 levels", Request::beacon(deep), 400, "nested at byte"),
        ("a bomb", bomb, 413, "too large when decompressed"),
        ("no gzip", Request::beacon("{}").with("Content-Encoding", "gzip"), 400, "not valid gzip"),
        ("brotli", Request::beacon("{}").with("Content-Encoding", "br"), 415, "not one of"),
        ("nowhere", elsewhere("GET", "/nowhere"), 404, "nothing at this address"),
        ("nowhere below the prefix", elsewhere("POST", "/keso/nowhere"), 404, "nothing at this address"),
        ("another method", elsewhere("PUT", "/keso/e"), 405, "does not take this method"),
        ("another host", Request::beacon("{}").instead("Host", "elsewhere.example"), 404, "No site"),
        ("another origin", Request::beacon("{}").instead("Origin", "https://elsewhere.example"), 403, "of this origin"),
        ("a large head", large_head, 431, ""),
        ("51 events", Request::beacon(format!(r#"{{"e":[{}]}}"#, vec![r#"{"k":"a"}"#; 51].join(","))), 400, "more than 50 events"),
    ];
    for (name, request, status, words) in cases {
        let mut connection = Connection::open(server.http()).unwrap();
        // The answer may come, and the connection end, before all of it is written.
        let _ = connection.write(&request.bytes());
        let answer = connection.read().unwrap_or_else(|error| panic!("{name}: no answer: {error}"));
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(answer.text().contains(words), "{name}: {}", answer.text());
        assert!(!answer.text().contains("jane"), "{name}: the input is said back");
        still_well();
    }
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnoise",
    ] {
        let mut connection = Connection::open(server.http()).unwrap();
        // Whatever the answer is, or none: the others go on.
        let _ = connection.write(noise);
        still_well();
    }
    eventually("every good event", PATIENCE, || installation.outbox("file").len() == good);
    eventually("the counters", PATIENCE, || installation.refused("foreign_origin") == 1 && installation.refused("undecodable") >= 7);
    assert!(server.stop().success());
    assert_eq!(numbers(&installation.outbox("file")), (0..good).collect::<Vec<_>>());
}

#[test]
fn a_slow_sender_is_told_so_and_holds_up_nobody() {
    let documents = [SITE.to_owned(), file_destination("file", "exempt_measurement", "strict")];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    let whole = event(1).bytes();
    let mut slow_body = Connection::open(server.http()).unwrap();
    slow_body.write(&whole[..whole.len() - 10]).unwrap();
    let mut slow_head = Connection::open(server.http()).unwrap();
    slow_head.write(&whole[..40]).unwrap();
    let begun = Instant::now();
    send(&server, 0..10);
    assert!(begun.elapsed() < Duration::from_secs(5), "others waited for the slow ones");
    let answer = slow_body.read().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (408, "The body did not arrive in time.\n"));
    // A head that does not come is no request: the connection ends.
    assert!(slow_head.read().map_or(true, |answer| answer.status == 408));
    assert!(begun.elapsed() < Duration::from_secs(25));
    send(&server, 10..11);
    eventually("every good event", PATIENCE, || installation.outbox("file").len() == 11);
    assert!(server.stop().success());
}

#[test]
fn a_spoofed_address_is_ignored_without_a_trusted_proxy() {
    let documents = [SITE.to_owned(), file_destination("file", "exempt_measurement", "strict")];
    let countries = |installation: Installation| {
        let server = installation.start();
        // From Brazil, if the sender is believed.
        let answer = server.send(&Request::beacon(r#"{"e":[{"k":"page_view"}]}"#).with("X-Forwarded-For", "203.0.113.98"));
        assert_eq!(answer.status, 204);
        eventually("the event", PATIENCE, || !installation.outbox("file").is_empty());
        assert!(server.stop().success());
        installation.outbox("file")[0]["country"].clone()
    };
    assert_eq!(countries(Installation::without_proxies(&documents.concat())), "ZZ");
    assert_eq!(countries(Installation::new(&documents.concat())), "BR");
}

#[test]
fn a_stop_answers_what_is_under_way_and_loses_nothing() {
    let documents = [SITE.to_owned(), file_destination("file", "exempt_measurement", "strict")];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    send(&server, 0..50);
    let whole = event(50).bytes();
    let (first, rest) = whole.split_at(whole.len() - 10);
    let mut under_way = Connection::open(server.http()).unwrap();
    under_way.write(first).unwrap();
    let mut idle = Connection::open(server.http()).unwrap();
    assert_eq!(idle.exchange(&event(51)).unwrap().status, 204);
    let address = server.http();
    server.ask_to_stop();
    eventually("no new connection is taken", Duration::from_secs(10), || !accepts(address));
    under_way.write(rest).unwrap();
    assert_eq!(under_way.read().unwrap().status, 204, "the request under way is answered");
    assert_eq!(server.wait().code(), Some(0));
    let restarted = installation.start();
    eventually("everything acknowledged", PATIENCE, || installation.outbox("file").len() >= 52);
    assert!(restarted.stop().success());
    assert_eq!(numbers(&installation.outbox("file")), (0..52).collect::<Vec<_>>());
    assert_eq!(installation.number("state.db", "SELECT sum(count) FROM counters WHERE reason = 'stored'"), 52);
}

fn accepts(address: SocketAddr) -> bool {
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    Connection::open(address).is_ok()
}
