//! The canary: marks go into every slot of the input, from visitors in every state, over HTTP/1.1 and HTTP/2, well-formed and broken. Then
//! every byte that the program wrote, printed, sent or showed is searched for them in every disguise that `scanner` knows. No hit.
//!
//! Controls: every mark is found in what was sent; a word that may pass is found where it may be; planted marks are found in a file of
//! the data directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use firsthand::prove::scanner::{Hit, Mark, NEEDLE_BYTES_MIN, Scanner};
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use crate::{
    http_client::{Answer, Connection, Request},
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    receiver::{Behaviour, Receiver, thread},
};

/// Marked beacons of visitors; broken requests come on top.
const BEACONS: usize = 600;
/// Different marks per slot and state.
const VARIANTS: usize = 4;
/// Every so manyth beacon goes over HTTP/2.
const HTTP2_EVERY: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);
/// What may pass: the value of a listed property.
const CONTROL: &str = "controlword";

/// Where a visitor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Unknown,
    Granted,
    Refused,
    Gpc,
    Dnt,
    OptedOut,
}

const STANDS: [Stand; 6] = [Stand::Unknown, Stand::Granted, Stand::Refused, Stand::Gpc, Stand::Dnt, Stand::OptedOut];

/// Makes marked values and remembers every mark.
#[derive(Default)]
struct Marks(BTreeSet<Mark>);

impl Marks {
    /// A word that stands in this slot alone.
    fn word(&mut self, slot: &str, stand: usize, variant: usize) -> String {
        let letters: String = slot.chars().filter(char::is_ascii_alphanumeric).collect();
        let word = format!("Zq{letters}{stand}v{variant}Mk");
        self.0.insert(Mark::text(slot, word.clone()));
        word
    }

    /// The same as an e-mail address: what stands where a plain word may pass.
    fn email(&mut self, slot: &str, stand: usize, variant: usize) -> String {
        let email = format!("{}@mail.example", self.word(slot, stand, variant));
        self.0.insert(Mark::text(slot, email.clone()));
        email
    }

    fn whole(&mut self, slot: &str, text: &str) {
        self.0.insert(Mark::text(slot, text));
    }

    fn address(&mut self, address: IpAddr) {
        let slot = "client address";
        self.whole(slot, &address.to_string());
        match address {
            IpAddr::V4(address) => {
                self.whole(slot, &u32::from(address).to_string());
                self.whole(slot, &address.octets().map(|octet| format!("{octet:03}")).join("."));
            }
            IpAddr::V6(address) => {
                self.whole(slot, &address.segments().map(|segment| format!("{segment:04x}")).join(":"));
                self.0.insert(Mark::bytes(slot, address.octets()));
                self.0.insert(Mark::bytes("client network", &address.octets()[..8]));
            }
        }
    }
}

fn address(stand: usize, variant: usize) -> IpAddr {
    let text = match variant % 4 {
        0 => format!("192.0.2.{}", 141 + stand),
        1 => format!("198.51.100.{}", 171 + stand),
        2 => format!("2001:db8:9a1:{:x}:7ac:{stand:x}bcd:11:93", 0x4a10 + stand),
        _ => format!("2001:db8:{:x}:77aa:123:4567:89ab:cdef", 0xb10 + stand),
    };
    text.parse().expect("an address")
}

/// A marked beacon. Numbered, so that each has an event id of its own.
fn beacon(marks: &mut Marks, number: usize, cookie: Option<&str>) -> Request {
    let (index, variant) = (number % STANDS.len(), number / STANDS.len() % VARIANTS);
    let stand = STANDS[index];
    let word = |marks: &mut Marks, slot: &str| marks.word(slot, index, variant);
    let email = |marks: &mut Marks, slot: &str| marks.email(slot, index, variant);

    let event_id = format!("{}-{number}", word(marks, "event id"));
    marks.whole("event id", &event_id);
    let path_number = format!("4917{:04}{:04}", 1000 + index * 37, 2000 + variant * 91);
    marks.whole("number in the path", &path_number);
    let uuid = format!("0b0e3a4c-8d0f-4a52-9d5e-1f5b4c7a{:04x}", 0x9e00 + index * 16 + variant);
    marks.whole("token in the path", &uuid);
    let other_address = format!("203.0.113.{}", 200 + index);
    marks.whole("address in the path", &other_address);
    let path = format!(
        "/{CONTROL}/{}/{}/{path_number}/{uuid}/{other_address};jsessionid={}",
        email(marks, "path"),
        email(marks, "encoded path").replace('@', "%2540"),
        word(marks, "path parameter")
    );
    let page = format!(
        "https://{}:{}@www.shop.example{path}?q={}&email={}&utm_source={}&utm_term={}&gclid={}&{}=1#{}",
        word(marks, "user in the URL"),
        word(marks, "password in the URL"),
        word(marks, "query"),
        email(marks, "e-mail in the query"),
        email(marks, "utm_source"),
        email(marks, "utm_term").replace('@', "%40"),
        word(marks, "click id"),
        word(marks, "query name"),
        word(marks, "fragment"),
    );
    // With consent, a referring host may leave.
    let referring_host = if stand == Stand::Granted { String::from("search") } else { word(marks, "referring host") };
    let referrer = format!("https://{referring_host}.example/{}?q={}", word(marks, "referring path"), word(marks, "referring query"));
    // Above what any amount may be.
    let value = 491_700_000.25 + (index * VARIANTS + variant) as f64 * 10_000.0;
    for more in 0..5 {
        marks.whole("amount", &(value + 1000.0 * f64::from(more)).to_string());
    }
    // With consent, what a catalogue says of a product may leave, if it names nobody.
    let label = |marks: &mut Marks, slot: &str| if stand == Stand::Granted { email(marks, slot) } else { word(marks, slot) };
    let event = json!({
        "k": word(marks, "event name"),
        "i": event_id,
        "t": 4_900,
        "p": page,
        "r": referrer,
        "n": format!("{} {}", word(marks, "title"), email(marks, "e-mail in the title")),
        "v": value,
        "m": "EUR",
        "x": word(marks, "order id"),
        "tx": value + 1000.0,
        "sh": value + 2000.0,
        "cp": label(marks, "coupon"),
        "y": [{
            "id": label(marks, "product id"),
            "name": label(marks, "product name"),
            "brand": label(marks, "product brand"),
            "category": label(marks, "product category"),
            "variant": label(marks, "product variant"),
            "price": value + 3000.0,
            "quantity": value + 4000.0,
            (word(marks, "unknown field of a product")): word(marks, "unknown value of a product"),
        }],
        "a": email(marks, "user id"),
        "l": format!("fr-{}", word(marks, "language")),
        "w": 1440,
        "d": {
            "plan": if number.is_multiple_of(2) { CONTROL.to_owned() } else { email(marks, "value of a listed property") },
            "gift": word(marks, "text for a flag"),
            (word(marks, "property name")): word(marks, "property value"),
            "email": email(marks, "e-mail property"),
        },
        (word(marks, "unknown field")): { (word(marks, "nested name")): [word(marks, "nested value")] },
    });
    let mut body = json!({ "s": 5_000, "e": [event], (word(marks, "unknown top-level field")): word(marks, "unknown top-level value") });
    match stand {
        Stand::Granted => body["g"] = json!(["analytics", word(marks, "purpose")]),
        Stand::Refused => body["g"] = json!([]),
        Stand::OptedOut => body = json!({ "o": 1, (word(marks, "unknown field of an opt-out")): word(marks, "value of an opt-out") }),
        Stand::Unknown | Stand::Gpc | Stand::Dnt => {}
    }
    let from = address(index, variant);
    marks.address(from);
    let mut own_cookie = cookie.map(str::to_owned);
    if cookie.is_none() {
        // Of nobody: 16 bytes that look like a cookie of ours.
        let made_up = [index as u8 ^ 0x5a, variant as u8, 0xca, 0x11, 0xed, 0x0f, 0xf1, 0xce, 9, 8, 7, 6, 5, 4, 3, 2];
        let text = URL_SAFE_NO_PAD.encode(made_up);
        marks.whole("a cookie that is not ours", &text);
        marks.0.insert(Mark::bytes("a cookie that is not ours", made_up));
        own_cookie = Some(format!("__Host-w={text}"));
    }
    let cookies = format!(
        "{}={}; {}; _ga=GA1.1.{}.1700000000",
        word(marks, "cookie name"),
        word(marks, "cookie value"),
        own_cookie.unwrap_or_default(),
        word(marks, "Google's cookie")
    );
    let agent = format!(
        "Mozilla/5.0 (X11; Linux x86_64; {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 {}",
        word(marks, "user agent"),
        email(marks, "e-mail in the user agent")
    );
    let mut request = Request::beacon(body.to_string())
        .instead("User-Agent", &agent)
        .with("X-Forwarded-For", &format!("{}, {from}", word(marks, "forwarded by anybody")))
        .with("Cookie", &cookies)
        .with("Accept-Language", &format!("fr-{};q=0.7, {}", word(marks, "header language"), word(marks, "second header language")))
        .with("Content-Type", &format!("text/plain; x={}", word(marks, "content type")));
    for name in [
        "Accept",
        "Authorization",
        "From",
        "If-None-Match",
        "Proxy-Authorization",
        "Range",
        "Referer",
        "Sec-CH-UA",
        "Sec-CH-UA-Model",
        "Traceparent",
        "User-Agent-Extra",
        "X-Api-Key",
        "X-Client-IP",
        "X-Real-IP",
        "X-User",
        "True-Client-IP",
    ] {
        request = request.with(name, &word(marks, name));
    }
    request = request.with(&format!("X-{}", word(marks, "header name")), "1");
    request.path = format!("/keso/e?{}={}", word(marks, "request query name"), word(marks, "request query"));
    match stand {
        Stand::Gpc => request.with("Sec-GPC", "1"),
        Stand::Dnt => request.with("DNT", "1"),
        _ => request,
    }
}

/// Requests that end in an answer that says what is wrong.
fn broken(marks: &mut Marks) -> Vec<Request> {
    let mark = |marks: &mut Marks, slot: &str| marks.word(slot, 9, 0);
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let deep = format!("{}\"{}\"{}", "[".repeat(100), mark(marks, "deep value"), "]".repeat(100));
    let bodies = vec![
        format!("{{\"e\":[{{\"k\":\"page_view\",\"n\":{}", mark(marks, "broken JSON")),
        mark(marks, "no JSON"),
        format!("{{\"e\":[{deep}]}}"),
        format!("{{\"e\":[{{\"k\":\"page_view\",\"d\":{{\"{}\":{deep}}}}}]}}", mark(marks, "name of a deep property")),
        format!("{{\"e\":[{{\"k\":7,\"n\":\"{}\"}},{{\"k\":\"click\"}}]}}", mark(marks, "bad event of a batch")),
        format!("{{\"g\":\"{}\",\"e\":[{{\"k\":\"page_view\"}}]}}", mark(marks, "malformed consent")),
        format!("{{\"e\":[{}]}}", vec![format!("{{\"k\":\"{}\"}}", mark(marks, "one of too many")); 51].join(",")),
        format!("{{\"n\":\"{}\"}}", mark(marks, "too large").repeat(8_000)),
    ];
    let from = |request: Request| request.with("X-Forwarded-For", "203.0.113.250");
    let mut requests: Vec<Request> = bodies.into_iter().map(|body| from(Request::beacon(body))).collect();
    let bomb = gzip(&mark(marks, "compression bomb").repeat(400_000).into_bytes());
    requests.push(from(Request::beacon(bomb).with("Content-Encoding", "gzip")));
    requests.push(from(Request::beacon(mark(marks, "no gzip")).with("Content-Encoding", "gzip")));
    requests.push(from(Request::beacon("{}").with("Content-Encoding", &mark(marks, "content encoding"))));
    requests.push(Request::beacon("{}").instead("Origin", &format!("https://{}.example", mark(marks, "foreign origin").to_lowercase())));
    requests.push(Request::beacon("{}").instead("Host", &format!("{}.example", mark(marks, "foreign host"))));
    let elsewhere = |marks: &mut Marks, method: &'static str, path: String| {
        let mut request = Request::beacon(mark(marks, "body of a request to nowhere"));
        (request.method, request.path) = (method, path);
        request
    };
    let unknown = mark(marks, "unknown path");
    requests.push(elsewhere(marks, "POST", format!("/{unknown}")));
    let below = mark(marks, "unknown path below the prefix");
    requests.push(elsewhere(marks, "GET", format!("/keso/{below}?{unknown}")));
    for (method, path) in [
        ("GET", "/keso/o"),
        ("GET", "/keso/about"),
        ("POST", "/keso/about/out"),
        ("GET", "/.well-known/gpc.json"),
        ("GET", "/keso/core.js"),
        ("OPTIONS", "/keso/e"),
        ("PUT", "/keso/e"),
        ("GET", "/keso/e"),
    ] {
        let query = mark(marks, "query of another route");
        requests.push(elsewhere(marks, method, format!("{path}?{query}")));
    }
    marks.whole("unknown method", "ZQMETHODMARK");
    requests.push(elsewhere(marks, "ZQMETHODMARK", String::from("/keso/e")));
    let long = mark(marks, "too long address");
    requests.push(elsewhere(marks, "GET", format!("/keso/{}", long.repeat(600))));
    let head = mark(marks, "too large head");
    requests.push(Request::beacon("{}").with("X-Large", &head.repeat(1_500)));
    requests
}

/// Everything that came out, by where it came from.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    fn answer(&mut self, place: &str, answer: &Answer) {
        self.add(place, format!("{:?}", answer.headers));
        self.add(place, answer.body.clone());
    }

    /// Every file below a directory.
    fn directory(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.directory(&path);
            } else {
                // One that has gone since is not there to leak.
                self.add(path.display().to_string(), fs::read(&path).unwrap_or_default());
            }
        }
    }

    fn hits(&self, scanner: &Scanner) -> Vec<(String, Hit)> {
        self.0.iter().flat_map(|(place, bytes)| scanner.scan(bytes).into_iter().map(move |hit| (place.clone(), hit))).collect()
    }

    fn holds(&self, place: &str, text: &str) -> bool {
        let scanner = Scanner::new(vec![Mark::text("control", text)]);
        self.0.iter().any(|(found, bytes)| found.contains(place) && !scanner.scan(bytes).is_empty())
    }
}

#[test]
fn no_mark_is_in_any_byte_that_rests_or_leaves() {
    let receiver = Receiver::start(Behaviour::Accept);
    let documents = [
        SITE.to_owned(),
        file_destination("measurement", "exempt_measurement", "measurement"),
        destination("hook", "webhook", "exempt_measurement", "strict", &receiver.settings()),
        file_destination("customers", "consent", "consented-analytics"),
    ];
    let installation = Installation::new(&documents.concat());
    let mut command = installation.command(&["run"]);
    command.env("RUST_LOG", "trace");
    let server = installation.start_as(command);
    let live = watch(server.admin());

    let mut marks = Marks::default();
    let mut seen = Seen::default();
    let mut sent = Vec::new();
    let cookies = send_beacons(&server, &mut marks, &mut sent, &mut seen);
    for request in broken(&mut marks) {
        sent.push(request.bytes());
        // A head that is too large may end the connection before its answer is read.
        let mut connection = Connection::open(server.http()).expect("the server accepts");
        if let Ok(answer) = connection.exchange(&request) {
            assert!((200..500).contains(&answer.status), "{} {}: {}", request.method, request.path.len(), answer.status);
            seen.answer("answer to a broken request", &answer);
        }
    }

    // Two exempt destinations have the unknown and the granted ones, the other one the granted ones.
    let (exempt, granted) = (BEACONS / 6 * 2, BEACONS / 6);
    eventually("every event at its destinations", PATIENCE, || {
        installation.outbox("measurement").len() >= exempt
            && installation.outbox("customers").len() >= granted
            && receiver.accepted().len() >= exempt
    });
    for page in ["/", "/metrics", "/overview.json", "/healthz", "/live.js"] {
        seen.answer(page, &server.admin_page(page));
    }
    seen.directory(&installation.data());
    assert!(server.stop().success());
    seen.add("live view", live.lock().unwrap().clone());
    receiver.calls(|calls| calls.iter().for_each(|call| seen.add("webhook", call.bytes.clone())));
    seen.directory(installation.path());

    let scanner = Scanner::new(marks.0.into_iter().collect());
    controls(&scanner, &sent, &seen, installation.path());
    report(&seen.hits(&scanner));

    // The visitors' own ids rest nowhere but in sealed bodies, and leave only to the browser that has them.
    let own = cookies.iter().flat_map(|text| {
        let bytes = URL_SAFE_NO_PAD.decode(text).expect("our cookie is base64url");
        [Mark::text("own cookie", text.clone()), Mark::bytes("own cookie", bytes)]
    });
    report(&seen.hits(&Scanner::new(own.collect())));
}

/// Sends every marked beacon, and returns the cookie values that were given out.
fn send_beacons(server: &Running, marks: &mut Marks, sent: &mut Vec<Vec<u8>>, seen: &mut Seen) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut http2 = runtime.block_on(Http2::open(server.http()));
    let mut http1 = Connection::open(server.http()).expect("the server accepts");
    // One cookie for each address that grants.
    let mut given: [Option<String>; VARIANTS] = Default::default();
    let mut values = Vec::new();
    for number in 0..BEACONS {
        let stand = STANDS[number % STANDS.len()];
        let variant = number / STANDS.len() % VARIANTS;
        let cookie = if stand == Stand::Granted { given[variant].as_deref() } else { None };
        let request = beacon(marks, number, cookie);
        sent.push(request.bytes());
        let answer = if number.is_multiple_of(HTTP2_EVERY) {
            runtime.block_on(http2.exchange(&request))
        } else {
            http1.exchange(&request).expect("the server answers")
        };
        assert_eq!((answer.status, answer.text().as_str()), (204, ""), "beacon {number}");
        for cookie in answer.all("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default().to_owned();
            if let Some(value) = pair.strip_prefix("__Host-w=").filter(|value| !value.is_empty()) {
                assert_eq!(stand, Stand::Granted, "a cookie without consent");
                values.push(value.to_owned());
                given[variant] = Some(pair.clone());
            }
        }
        seen.add("answer to a beacon", format!("{:?}", without_own_cookie(&answer)));
    }
    assert_eq!(values.len(), VARIANTS, "one cookie per visitor who granted");
    values
}

fn without_own_cookie(answer: &Answer) -> Vec<&(String, String)> {
    answer.headers.iter().filter(|(name, value)| name != "set-cookie" || value.contains("w=;") || value.contains("wo=")).collect()
}

/// Every mark was really sent, what may pass did, and planted marks are found.
fn controls(scanner: &Scanner, sent: &[Vec<u8>], seen: &Seen, directory: &Path) {
    let found: BTreeSet<_> = sent.iter().flat_map(|bytes| scanner.scan(bytes)).map(|hit| hit.mark.slot).collect();
    let not_as_text = ["client network", "compression bomb"];
    let slots: BTreeSet<_> = scanner.marks().iter().map(|mark| mark.slot.clone()).collect();
    let unsent: Vec<_> = slots.difference(&found).filter(|slot| !not_as_text.contains(&slot.as_str())).collect();
    assert!(unsent.is_empty() && slots.len() >= 60, "marks that were never sent: {unsent:?}");
    for place in ["webhook", "outbox/measurement", "outbox/customers", "/log/short-", "live view"] {
        assert!(seen.holds(place, CONTROL), "what may pass is not in {place}: the search looks in the wrong place");
    }
    for (place, text) in [("state.db", "page_view"), ("stderr", "request answered"), ("/metrics", "firsthand_delivery_events_total")] {
        let there = seen.0.iter().any(|(found, bytes)| found.contains(place) && (place == "state.db" || contains(bytes, text)));
        assert!(there, "{place} was not looked at");
    }
    let planted = directory.join("planted");
    for mark in scanner.marks().iter().step_by(97) {
        let mut bytes = Vec::new();
        let mut places = BTreeSet::new();
        for (_, needle) in mark.disguises().into_iter().filter(|(_, needle)| needle.len() >= NEEDLE_BYTES_MIN) {
            bytes.extend_from_slice(b" | ");
            places.insert(bytes.len());
            bytes.extend_from_slice(&needle);
        }
        fs::write(&planted, bytes).expect("a file is written");
        let mut again = Seen::default();
        again.directory(directory);
        let hits = again.hits(scanner).into_iter().filter(|(place, hit)| place.ends_with("planted") && hit.mark == *mark);
        let found: BTreeSet<_> = hits.map(|(_, hit)| hit.at).collect();
        assert!(found.is_superset(&places), "a disguise of {:?} was planted and not found", mark.what);
    }
    fs::remove_file(planted).expect("one's own file can be removed");
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// One line for each slot, place and disguise, with how often and the first one.
fn report(hits: &[(String, Hit)]) {
    let mut leaks: BTreeMap<(&str, &str, &str), Vec<&Hit>> = BTreeMap::new();
    for (place, hit) in hits {
        leaks.entry((&hit.mark.slot, place, hit.disguise)).or_default().push(hit);
    }
    let line = |((slot, place, disguise), hits): (&(&str, &str, &str), &Vec<&Hit>)| {
        format!("{slot}: {} times in {place} as {disguise}, first {:?} at byte {}", hits.len(), hits[0].mark.what, hits[0].at)
    };
    let lines: Vec<String> = leaks.iter().map(line).collect();
    assert!(lines.is_empty(), "{} leaks:\n{}", hits.len(), lines.join("\n"));
}

/// Reads the live view until the server ends it.
fn watch(admin: SocketAddr) -> Arc<Mutex<Vec<u8>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&seen);
    let mut connection = Connection::open(admin).expect("the admin listener accepts");
    connection.write(&Request::get("/live").bytes()).expect("the live view is asked for");
    thread("live view", move || connection.read_all_into(&shared));
    eventually("the live view", PATIENCE, || !seen.lock().unwrap().is_empty());
    seen
}

/// One HTTP/2 connection without TLS.
struct Http2(http2::SendRequest<Full<Bytes>>);

impl Http2 {
    async fn open(address: SocketAddr) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await.expect("the server accepts");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("the server speaks HTTP/2");
        #[expect(clippy::disallowed_methods, reason = "a test has no supervisor")]
        tokio::spawn(connection);
        Self(sender)
    }

    async fn exchange(&mut self, request: &Request) -> Answer {
        let host = &request.headers.iter().find(|(name, _)| name == "Host").expect("a host").1;
        let mut builder = http::Request::builder().method(request.method).uri(format!("http://{host}{}", request.path));
        for (name, value) in request.headers.iter().filter(|(name, _)| name != "Host") {
            builder = builder.header(name, value);
        }
        let request = builder.body(Full::new(Bytes::from(request.body.clone()))).expect("a request");
        let (head, body) = self.0.send_request(request).await.expect("the server answers").into_parts();
        let body = body.collect().await.expect("the answer is whole").to_bytes().to_vec();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Answer { status: head.status.as_u16(), headers, body }
    }
}
