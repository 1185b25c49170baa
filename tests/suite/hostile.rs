//! Hostile requests: a thousand for every dialect, made from its golden requests by what breaks decoders: cut, doubled and swapped text, other types,
//! huge numbers, deep nesting, lone surrogates, bytes that are no UTF-8, broken escapes, bodies and queries in each other's place. Each gets an answer of the
//! protocol's own, nothing panics, and memory stays where it was.

use std::{fs, path::Path};

use bytes::Bytes;
use firsthand::{
    clock::Timestamp,
    privacy::{
        personal::Personal,
        raw::{ClientAddress, RawEvent},
    },
    protocol::{Outcome, PROTOCOLS, Protocol, ReplyHints, fits, inbound::Inbound},
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::line::RawRequest;

/// Requests for each dialect.
const REQUESTS: usize = 1_000;
/// The seed of the run, so that a failure repeats.
const SEED: u64 = 0x5eed;
/// How much more memory the process may have had at its most than before: bodies are small, and nothing of one outlives it.
const MEMORY_KIB_MAX: u64 = 64 * 1024;
const NOW: Timestamp = Timestamp(1_773_480_413_589);

/// Text that takes the place of a value somewhere in a request.
const VALUES: [&str; 16] = [
    "null",
    "true",
    "-1e999",
    "1e308",
    "99999999999999999999999999",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "{}",
    "[]",
    "[[[[]]]]",
    "\"\"",
    "\u{0}",
    "%ff%fe",
    "%",
    "%00",
    "\u{202e}x",
];

#[test]
fn a_thousand_hostile_requests_of_each_dialect_are_answered_and_cost_nothing() {
    let before = peak_kib();
    let mut random = fastrand::Rng::with_seed(SEED);
    for protocol in PROTOCOLS {
        let requests = golden_requests(protocol.name());
        assert!(!requests.is_empty(), "{} has golden requests", protocol.name());
        let (mut answered, mut kept) = (0, 0);
        for number in 0..REQUESTS {
            let request = &requests[random.usize(..requests.len())];
            let (mut body, mut query) = (request.body.clone(), request.path.split_once('?').map_or("", |(_, query)| query).to_owned());
            for _ in 0..random.usize(1..4) {
                break_something(&mut random, &mut body, &mut query);
            }
            // The server lets no longer body and address through.
            body.truncate(64 * 1024);
            let path = request.path.split('?').next().unwrap_or_default();
            // An address that is none never reaches a protocol.
            let Ok(uri) = format!("{path}?{query}").parse::<http::Uri>() else { continue };
            if uri.path().len() + query.len() > 8 * 1024 {
                continue;
            }
            let inbound = Inbound::new(uri, headers(&mut random, request), Bytes::from(body), address(), true, NOW);
            let decoded = protocol.decode(&inbound, NOW);
            assert!(decoded.events.len() + decoded.bad.len() <= 600, "{} request {number}", protocol.name());
            assert!(decoded.events.iter().all(is_bounded), "{} request {number}", protocol.name());
            kept += decoded.events.len();
            let reply = protocol.reply(&decoded.hints, &Outcome { bad: decoded.bad.clone(), ..Outcome::default() });
            let status = reply.status.as_u16();
            assert!((200..300).contains(&status) || (400..500).contains(&status), "{} request {number}: {status}", protocol.name());
            assert!(
                !reply.body.windows(4).any(|piece| piece.eq_ignore_ascii_case(b"jane")),
                "{} request {number} is echoed",
                protocol.name()
            );
            answered += 1;
        }
        // Not so broken that nothing of it were read: then decoders would not have been tried.
        assert!(answered > REQUESTS / 2 && kept > 20, "{}: {answered} answered, {kept} events", protocol.name());
    }
    if let (Some(before), Some(after)) = (before, peak_kib()) {
        assert!(after - before < MEMORY_KIB_MAX, "{} KiB more", after - before);
    }
}

#[test]
fn the_good_events_of_a_batch_are_kept_whatever_stands_beside_them() {
    // Dialects whose bodies are lists: where the list begins, in a body with one good event.
    let batches: [(&str, &str, &str, &str); 6] = [
        ("umami", "/k/api/batch", "[", r#"{"type":"event","payload":{"website":"w"}}]"#),
        ("mixpanel", "/k/m/track", "[", r#"{"event":"a","properties":{"token":"t"}}]"#),
        ("amplitude", "/k/2/httpapi", r#"{"api_key":"k","events":["#, r#"{"event_type":"a"}]}"#),
        ("posthog", "/k/batch/", r#"{"api_key":"k","batch":["#, r#"{"event":"a"}]}"#),
        ("segment", "/k/v1/batch", r#"{"writeKey":"k","batch":["#, r#"{"type":"page"}]}"#),
        ("snowplow", "/k/x/tp2", r#"{"data":["#, r#"{"e":"pv","aid":"a"}]}"#),
    ];
    for (name, path, start, end) in batches {
        let protocol = protocol(name);
        for bad in [
            "7",
            "null",
            "{}",
            "[]",
            "\"x\"",
            "{\"type\":7,\"event\":[],\"e\":{},\"payload\":\"x\",\"event_type\":null}",
            "[[[[[[[[]]]]]]]]",
        ] {
            let body = format!("{start}{bad},{end}");
            let inbound = Inbound::new(path.parse().expect("a path"), HeaderMap::new(), Bytes::from(body), address(), true, NOW);
            let decoded = protocol.decode(&inbound, NOW);
            assert_eq!((decoded.events.len(), decoded.bad.len()), (1, 1), "{name}: {bad}");
            assert_eq!(decoded.bad[0].0, 0, "{name} names the bad one");
        }
    }
}

#[test]
fn every_dialect_says_when_to_come_back_where_nothing_was_kept() {
    let wait = Some(std::time::Duration::from_secs(7));
    for protocol in PROTOCOLS {
        for image in [false, true] {
            let hints = ReplyHints { events: 1, image, ..ReplyHints::default() };
            for (outcome, status) in
                [(Outcome { unavailable: wait, ..Outcome::default() }, 503), (Outcome { over_quota: wait, ..Outcome::default() }, 429)]
            {
                let reply = protocol.reply(&hints, &outcome);
                if protocol.name() == "ga4" && status == 429 {
                    // What was over the quota is counted, and Google's tag would make more of it by other ways.
                    assert_eq!(reply.status.as_u16(), 204);
                    continue;
                }
                let after = reply.headers.iter().find(|(name, _)| name == "retry-after").map(|(_, seconds)| seconds.as_ref());
                assert_eq!((reply.status.as_u16(), after), (status, Some("7")), "{}", protocol.name());
            }
        }
    }
}

#[test]
fn every_route_of_a_protocol_has_a_golden_request_or_serves_something() {
    for protocol in PROTOCOLS {
        let requests = golden_requests(protocol.name());
        let taken = |request: &RawRequest| {
            let below = request.path.split('?').next().and_then(|path| path.strip_prefix("/keso")).unwrap_or_default();
            protocol.routes().iter().any(|route| fits(route.path, below) && route.method == request.method.as_str())
        };
        assert!(requests.iter().all(taken), "{}", protocol.name());
    }
}

fn protocol(name: &str) -> &'static dyn Protocol {
    *PROTOCOLS.iter().find(|protocol| protocol.name() == name).expect("it is in the table")
}

fn golden_requests(name: &str) -> Vec<RawRequest> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/protocol").join(name);
    let mut files: Vec<_> = fs::read_dir(directory).expect("golden files").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let requests = files.iter().filter(|file| file.extension().is_some_and(|found| found == "http"));
    requests.map(|file| RawRequest::parse(&fs::read_to_string(file).expect("a request"))).collect()
}

fn address() -> Personal<ClientAddress> {
    Personal::new(ClientAddress::new([192, 0, 2, 1].into()))
}

fn is_bounded(event: &RawEvent<'_>) -> bool {
    event.items.len() <= 200 && event.properties.len() <= 200 && event.vendor_fields.len() <= 100
}

/// One change for the worse.
fn break_something(random: &mut fastrand::Rng, body: &mut Vec<u8>, query: &mut String) {
    // A dialect says its hits in the body or in the query: whichever is there is broken, and at times they are swapped.
    if random.u8(..20) == 0 {
        let swapped = std::mem::take(query);
        *query = String::from_utf8_lossy(body).replace([' ', '"', '{', '}', '<', '>', '\\', '^', '`', '|', '\n', '\r'], "%20");
        query.retain(|letter| letter.is_ascii_graphic());
        *body = swapped.into_bytes();
        return;
    }
    let in_query = body.is_empty() || (!query.is_empty() && random.bool());
    let mut text = if in_query { query.clone().into_bytes() } else { body.clone() };
    let at = random.usize(..=text.len());
    match random.u8(..9) {
        0 => text.truncate(at),
        1 => {
            let piece = text[at..].to_vec();
            text.extend(piece);
        }
        2 => text.insert(at, random.u8(..)),
        3 => {
            let value = VALUES[random.usize(..VALUES.len())];
            let end = text[at..].iter().position(|byte| b",}]&".contains(byte)).map_or(text.len(), |found| at + found);
            text.splice(at..end, value.bytes());
        }
        4 => {
            let depth = random.usize(1..2_000);
            text.splice(at..at, std::iter::repeat_n(if in_query { b'%' } else { b'[' }, depth));
        }
        5 => text.splice(at..at, b"{\"a\":".repeat(random.usize(1..400))).for_each(drop),
        6 => text.iter_mut().skip(at).take(8).for_each(|byte| *byte = byte.wrapping_add(13)),
        7 => text.splice(at..at, b"\xff\xfe\xed\xa0\x80".iter().copied()).for_each(drop),
        // A name that is there twice.
        _ => {
            let separator: &[u8] = if in_query { b"&e=1&e=2&en=x&id=&rec=0" } else { b",\"event\":1,\"e\":{},\"events\":7,\"batch\":{}" };
            text.splice(at..at, separator.iter().copied());
        }
    }
    if in_query {
        *query = String::from_utf8_lossy(&text).chars().filter(char::is_ascii_graphic).collect();
    } else {
        *body = text;
    }
}

/// The request's headers, and at times some that no browser sends.
fn headers(random: &mut fastrand::Rng, request: &RawRequest) -> HeaderMap {
    let mut headers = request.headers.clone();
    const STRANGE: [(&str, &[u8]); 6] = [
        ("authorization", b"Basic \xff\xfe"),
        ("cookie", b"__Host-w=; __Host-w=x; mtm_consent=\xff; =; ;;;"),
        ("user-agent", b"\x80\x81"),
        ("accept-language", b"*,,;q=9,\xff"),
        ("sec-ch-ua", b"\"\\\";v=\"99999999999999999999\""),
        ("sp-anonymous", b""),
    ];
    for (name, value) in STRANGE {
        if random.u8(..6) == 0 {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).expect("bytes that a header may have"));
        }
    }
    headers
}

/// The most memory that this process ever had; `None` where the system does not say.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}
