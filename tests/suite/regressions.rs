//! What other products got wrong, R1 to R14: each is a test here, by name, through the line or the program itself. Where types carry the
//! rule, the case that must not compile is named, and what can be seen at run time is looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use firsthand::{clock::Timestamp, event::Offset, privacy::record::Subject};
use serde_json::{Value, json};

use firsthand::prove::scanner::{Mark, Scanner};

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    line::{Became, Clean, Line, RawRequest, addresses, pipeline, route},
    memory_files::MemoryFiles,
    receiver::{Behaviour, Receiver, SECRET_VARIABLE},
};

/// 2026-03-14T09:26:53.589Z.
const RECEIVED: Timestamp = Timestamp(1_773_480_413_589);
const PATIENCE: Duration = Duration::from_secs(60);
/// Of `192.0.2.0/24`, which the demonstration's database has in France.
const ADDRESS: &str = "192.0.2.41";
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

fn documents() -> String {
    [
        SITE.to_owned(),
        file_destination("strict", "exempt_measurement", "strict"),
        file_destination("measurement", "exempt_measurement", "measurement"),
        file_destination("customers", "consent", "consented-analytics"),
    ]
    .concat()
}

/// A request whose `X-Forwarded-For` says this, with one event.
fn forwarded(said: &str, event: &Value) -> RawRequest {
    let mut request = RawRequest::beacon(ADDRESS.parse().unwrap(), json!({ "e": [event] }).to_string()).with("user-agent", AGENT);
    request.headers.insert("x-forwarded-for", said.parse().unwrap());
    request
}

fn page_view() -> Value {
    json!({ "k": "page_view", "i": "event-1", "p": "https://www.shop.example/products" })
}

/// The one clean event of a request.
fn clean(line: &Line, request: &RawRequest) -> Box<Clean> {
    let mut events = line.receive(request, RECEIVED).events;
    assert_eq!(events.len(), 1);
    match events.remove(0) {
        Became::Clean(clean) => clean,
        Became::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn token(line: &Line, request: &RawRequest) -> [u8; 16] {
    match clean(line, request).header.subject {
        Subject::Token(token) => token,
        Subject::None | Subject::Person(_) => panic!("no visitor of the day"),
    }
}

/// The day's token and the country that an `X-Forwarded-For` leads to.
fn seen_as(line: &Line, said: &str) -> ([u8; 16], Value) {
    let request = forwarded(said, &page_view());
    (token(line, &request), clean(line, &request).body["country"].clone())
}

/// What every destination gets of a request, as one text per destination.
fn disclosed(line: &Line, log: usize, request: &RawRequest) -> Vec<(String, String)> {
    let received = line.receive(request, RECEIVED);
    assert!(received.unreadable.is_empty(), "{:?}", received.unreadable);
    let offset = line.append(log, received).expect("the request became a record");
    let records = line.records(log, offset);
    line.disclosures(&records[0], RECEIVED)
}

/// What one of them gets.
fn of<'d>(disclosures: &'d [(String, String)], destination: &str) -> &'d str {
    &disclosures.iter().find(|(name, _)| name == destination).expect("a destination of the documents").1
}

/// No destination sees a word. Ids are left out of account: chance may put a short word into them.
fn nothing_holds(disclosures: &[(String, String)], words: &[&str]) {
    for (destination, text) in disclosures {
        let mut seen: Value = serde_json::from_str(text).unwrap_or_else(|_| text.clone().into());
        if let Value::Object(fields) = &mut seen {
            ["event_id", "visitor_id", "session_id"].iter().for_each(|id| drop(fields.remove(*id)));
        }
        let seen = seen.to_string().to_lowercase();
        for word in words {
            assert!(!seen.contains(&word.to_lowercase()), "{destination} sees {word}: {text}");
        }
    }
}

/// Of a visitor who agreed to analytics: who sees most.
fn granted(line: &Line, event: &Value) -> Vec<(String, String)> {
    let body = json!({ "g": ["analytics"], "e": [event] }).to_string();
    disclosed(line, 0, &RawRequest::beacon(ADDRESS.parse().unwrap(), body).with("user-agent", AGENT))
}

#[test]
fn r01_an_ipv4_address_mapped_into_ipv6_in_hexadecimal_is_the_same_address() {
    let line = Line::new(&documents(), 1);
    let plain = seen_as(&line, ADDRESS);
    assert_eq!(plain.1, "FR");
    for spelling in [
        "::ffff:192.0.2.41",
        "::ffff:c000:229",
        "::FFFF:C000:0229",
        "0:0:0:0:0:ffff:c000:229",
        "0000:0000:0000:0000:0000:ffff:c000:0229",
        "[::ffff:c000:229]:51234",
    ] {
        assert_eq!(seen_as(&line, spelling), plain, "{spelling}");
    }
    assert_ne!(seen_as(&line, "::ffff:c000:22a").0, plain.0, "another address is another visitor");
    let event = json!({ "k": "page_view", "p": "https://www.shop.example/from/::ffff:c000:229/x", "d": { "plan": "::ffff:c000:229" } });
    // Whole, or nearly: ids are random, and three digits are in one of them now and then.
    nothing_holds(&granted(&line, &event), &["c000:229", "c000:0229", ":ffff:"]);
}

#[test]
fn r02_an_ipv6_address_in_brackets_with_a_port_a_zone_or_another_tail_is_one_network_and_never_leaves() {
    let line = Line::new(&documents(), 1);
    let plain = seen_as(&line, "2001:db8:9a1:7::1");
    assert_eq!(plain.1, "JP");
    for spelling in [
        "[2001:db8:9a1:7::1]",
        "[2001:db8:9a1:7::1]:51234",
        "2001:db8:9a1:7::1%eth0",
        "[2001:db8:9a1:7::1%25eth0]:443",
        "2001:db8:9a1:7:dead:beef:cafe:f00d",
        "2001:0DB8:09A1:0007:DEAD:BEEF:CAFE:F00D",
    ] {
        assert_eq!(seen_as(&line, spelling), plain, "{spelling}");
    }
    assert_ne!(seen_as(&line, "2001:db8:9a1:8::1").0, plain.0, "another network is another visitor");
    for address in [
        "2001:db8:9a1:7:dead:beef:cafe:f00d",
        "[2001:db8:9a1:7:dead:beef:cafe:f00d]:8080",
        "2001:db8:9a1:7:dead:beef:cafe:f00d%eth0",
        "2001:db8:9a1:7:dead:beef:cafe:f00d%25eth0",
    ] {
        let page = format!("https://www.shop.example/from/{address}/x");
        let event = json!({ "k": "page_view", "p": page, "d": { "plan": address } });
        nothing_holds(&granted(&line, &event), &["dead", "beef", "cafe", "f00d", "9a1"]);
    }
}

#[test]
fn r03_a_referrer_or_page_with_a_query_but_no_path_loses_its_query() {
    let line = Line::new(&documents(), 1);
    let event = json!({
        "k": "page_view",
        "p": "https://www.shop.example?email=jane@mail.example&q=secretword",
        "r": "https://search.example?q=secretword&email=jane%40mail.example",
    });
    let seen = granted(&line, &event);
    nothing_holds(&seen, &["jane", "secretword", "email", "?"]);
    let customers: Value = serde_json::from_str(of(&seen, "customers")).unwrap();
    assert_eq!((&customers["referrer_host"], &customers["page"]["path"]), (&json!("search.example"), &json!("/")));
    for exempt in ["strict", "measurement"] {
        assert!(of(&seen, exempt).starts_with('{') && !of(&seen, exempt).contains("search.example"), "only with consent");
    }
}

#[test]
fn r04_a_token_in_a_fragment_never_leaves() {
    let line = Line::new(&documents(), 1);
    for fragment in ["access_token=secretword", "/route/secretword?id=jane", "!secretword", "%23secretword"] {
        let event = json!({
            "k": "page_view",
            "p": format!("https://www.shop.example/welcome#{fragment}"),
            "r": format!("https://login.example/#{fragment}"),
        });
        let seen = granted(&line, &event);
        nothing_holds(&seen, &["secretword", "jane", "access", "#"]);
        assert!(seen.iter().all(|(_, text)| text.contains("/welcome")), "the page itself is kept");
    }
}

#[test]
fn r05_a_secret_that_is_missing_or_empty_is_a_refusal_to_start() {
    let receiver = Receiver::start(Behaviour::Accept);
    let documents = [SITE.to_owned(), destination("hook", "webhook", "exempt_measurement", "strict", &receiver.settings())].concat();
    let installation = Installation::new(&documents);
    installation.start().stop();
    let refused = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        assert!(!output.status.success(), "it ran without its secret");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(installation.command(&["run"]).env_remove(SECRET_VARIABLE)).contains(SECRET_VARIABLE), "it says what is missing");
    for empty in ["", "\n"] {
        refused(installation.command(&["run"]).env(SECRET_VARIABLE, empty));
    }
    // The key of the visitors' tokens is no secret that anyone could give, leave empty or choose.
    let machine = fs::read_to_string(installation.path().join("firsthand.toml")).unwrap();
    for key in ["salt", "secret", "visit_key"] {
        installation.write("firsthand.toml", &format!("{key} = \"\"\n{machine}"));
        refused(&mut installation.command(&["run"]));
    }
}

#[test]
fn r06_a_stop_and_a_kill_leave_neither_address_nor_user_agent_nor_key_on_disk() {
    let installation = Installation::new(&documents());
    let visitors = |server: &Running| {
        let answer = server.send(&marked("measurement-visitor", &json!({ "e": [page_view()] })));
        assert_eq!(answer.status, 204);
    };
    // Each event's visitor; what is sent again after a kill is the same event.
    let seen = || -> BTreeMap<String, Value> {
        installation.outbox("measurement").iter().map(|event| (event["event_id"].to_string(), event["visitor_id"].clone())).collect()
    };
    for (before, kill) in [false, true, false].into_iter().enumerate() {
        let server = installation.start();
        visitors(&server);
        eventually("the event at its destination", PATIENCE, || seen().len() == before + 1);
        if kill {
            server.kill()
        } else {
            assert!(server.stop().success())
        }
        no_mark_below(installation.path());
    }
    // The same visitor, on the same day, under the same key of the destination: were K_visit anywhere on the disk, the ids were equal.
    let ids: BTreeSet<String> = seen().values().map(Value::to_string).collect();
    assert_eq!(ids.len(), 3, "a key outlived its process");
}

/// A beacon from an address and with a user agent that stand nowhere else.
fn marked(agent: &str, body: &Value) -> Request {
    Request::beacon(body.to_string())
        .instead("User-Agent", &format!("Mozilla/5.0 (X11; Linux x86_64; {AGENT_MARK}) AppleWebKit/537.36 Chrome/142.0.0.0 {agent}"))
        .with("X-Forwarded-For", ADDRESS_MARK)
}

const AGENT_MARK: &str = "ZqRegressionAgentMk";
const ADDRESS_MARK: &str = "2001:db8:9a1:7ac:4bcd:11:93:77";
const WORD_MARK: &str = "ZqRegressionWordMk";

fn scanner() -> Scanner {
    let address: std::net::Ipv6Addr = ADDRESS_MARK.parse().unwrap();
    Scanner::new(vec![
        Mark::text("user agent", AGENT_MARK),
        Mark::text("word", WORD_MARK),
        Mark::text("address", ADDRESS_MARK),
        Mark::bytes("address", address.octets()),
        Mark::bytes("network", &address.octets()[..8]),
    ])
}

/// Looks at every byte of every file.
fn no_mark_below(directory: &Path) {
    let scanner = scanner();
    let mut looked_at = 0;
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap_or_default();
            looked_at += bytes.len();
            assert_eq!(scanner.scan(&bytes), [], "{}", path.display());
        }
    }
    assert!(looked_at > 10_000, "there was nothing to look at");
    assert!(!scanner.scan(format!("… {AGENT_MARK} …").as_bytes()).is_empty(), "the search finds nothing at all");
}

#[test]
fn r07_no_key_follows_from_the_date_and_no_other_randomness_than_the_systems_makes_one() {
    let request = forwarded(ADDRESS, &page_view());
    let (one, other) = (Line::new(&documents(), 1), Line::new(&documents(), 1));
    assert_eq!(token(&one, &request), token(&one, &request), "one visitor of one day");
    assert_ne!(token(&one, &request), token(&other, &request), "two programs of the same date have the same key");

    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/privacy")];
    let (mut files, mut from_the_system) = (0, 0);
    while let Some(directory) = left.pop() {
        for path in fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for weak in ["fastrand", "rand::", "SmallRng", "StdRng", "seed_from", "with_seed"] {
                assert!(!code.replace("getrandom::", "").contains(weak), "{}: names {weak}", path.display());
            }
            files += 1;
            from_the_system += code.matches("getrandom::fill").count();
        }
    }
    assert!(files > 30 && from_the_system >= 3, "the lint looks in the wrong place");
}

#[test]
fn r08_an_address_a_user_agent_or_a_time_zone_that_the_sender_claims_is_not_believed() {
    let line = Line::new(&documents(), 2);
    let head = |start: &str| {
        format!(
            "{start} HTTP/1.1\nHost: www.shop.example\nOrigin: https://www.shop.example\nX-Forwarded-For: {ADDRESS}\nUser-Agent: {AGENT}\n\n"
        )
    };
    let native = |more: &str| {
        format!(r#"{}{{{more}"e":[{{"k":"page_view","i":"native-1",{more}"d":{{{more}"plan":"gold"}}}}]}}"#, head("POST /keso/e"))
    };
    let segment = |context: &str| {
        format!(
            r#"{}{{"type":"page","messageId":"segment-1","anonymousId":"a","context":{{{context}"page":{{"url":"https://www.shop.example/"}}}}}}"#,
            head("POST /keso/v1/p")
        )
    };
    let ga4 = |more: &str| {
        head(&format!(
            "POST /keso/g/collect?v=2&tid=G-SHOP123456&cid=1.2&_p=1773480410123&_s=1&en=page_view&dl=https%3A%2F%2Fwww.shop.example%2F{more}"
        ))
    };
    let claims = r#""ip":"203.0.113.98","ua":"iPhone","userAgent":"Mozilla/5.0 (iPhone)","timezone":"Asia/Tokyo","tz":-540,"timeZone":"Asia/Tokyo","#;
    for (protocol, plain, claimed) in [
        ("native", native(""), native(claims)),
        ("segment", segment(""), segment(claims)),
        ("ga4", ga4(""), ga4("&_uip=203.0.113.98&uip=203.0.113.98&ua=Mozilla%2F5.0%20(iPhone)&ip_override=203.0.113.98&tz=Asia%2FTokyo")),
    ] {
        let (plain, claimed) = (RawRequest::parse(&plain), RawRequest::parse(&claimed));
        assert_eq!(token(&line, &plain), token(&line, &claimed), "{protocol}: another visitor");
        let (one, other) = (clean(&line, &plain), clean(&line, &claimed));
        for field in ["country", "device", "time", "properties", "language", "screen"] {
            assert_eq!(one.body[field], other.body[field], "{protocol}: {field}");
        }
        assert_eq!((&other.body["country"], &other.body["device"]["system"]), (&json!("FR"), &json!("windows")), "{protocol}");
        nothing_holds(&disclosed(&line, 0, &claimed), &["203.0.113", "iphone", "tokyo"]);
    }
}

#[test]
fn r09_a_field_that_nobody_knows_is_dropped_and_counted() {
    let line = Line::new(&documents(), 2);
    let unknown = json!({
        "k": "page_view", "i": "event-1", "p": "https://www.shop.example/products", "zz": WORD_MARK, "deep": { (WORD_MARK): [WORD_MARK] },
        "d": { "plan": "gold", "nickname": WORD_MARK, (WORD_MARK): 1 },
    });
    let known = json!({ "k": "page_view", "i": "event-1", "p": "https://www.shop.example/products", "d": { "plan": "gold" } });
    let (one, other) = (disclosed(&line, 0, &forwarded(ADDRESS, &unknown)), disclosed(&line, 1, &forwarded(ADDRESS, &known)));
    assert_eq!(one, other, "what nobody knows makes a difference");
    nothing_holds(&one, &[WORD_MARK]);
    // Names that the policy has no place for are told by their number, never by themselves.
    let installation = Installation::new(&documents());
    let file = installation.write("event.http", &as_file(&forwarded(ADDRESS, &unknown)));
    let output = installation.run(&["explain", "--json", &file.display().to_string()]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !told.contains(WORD_MARK), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(numbers_of(&told, "unknown"), [3], "three properties, of which the policy lists one: {told}");
}

/// Every number that stands under a name, at any depth.
fn numbers_of(value: &Value, name: &str) -> Vec<u64> {
    match value {
        Value::Object(fields) => {
            let below = fields.values().flat_map(|value| numbers_of(value, name));
            fields.get(name).and_then(Value::as_u64).into_iter().chain(below).collect()
        }
        Value::Array(values) => values.iter().flat_map(|value| numbers_of(value, name)).collect(),
        _ => Vec::new(),
    }
}

fn as_file(request: &RawRequest) -> String {
    let headers = request.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
    let head: String = headers.collect();
    format!("{} {} HTTP/1.1\n{head}\n{}", request.method, request.path, String::from_utf8_lossy(&request.body))
}

#[test]
fn r10_a_beacon_that_asks_for_nothing_is_cleaned_all_the_same() {
    let line = Line::new(&documents(), 1);
    // No header but the host, no consent, no word of how it wants to be treated.
    let said = json!({
        "k": "page_view", "p": format!("https://www.shop.example/products/jane@mail.example?q={WORD_MARK}"),
        "r": format!("https://{WORD_MARK}.example/"), "n": WORD_MARK, "a": WORD_MARK, "x": WORD_MARK,
    });
    for more in ["", r#","anonymize":false"#, r#","aip":0,"mode":"raw""#] {
        let body = format!(r#"{{"e":[{said}]{more}}}"#);
        let mut request = RawRequest::beacon(ADDRESS.parse().unwrap(), body);
        for (name, value) in [("x-anonymize", "false"), ("x-do-not-anonymize", "1"), ("x-privacy", "off")] {
            if !more.is_empty() {
                request = request.with(name, value);
            }
        }
        let seen = disclosed(&line, 0, &request);
        nothing_holds(&seen, &[WORD_MARK, "jane", ADDRESS]);
        assert_eq!(of(&seen, "customers"), "withheld: no_consent");
        assert!(of(&seen, "strict").contains("/products/{email}"), "{}", of(&seen, "strict"));
    }
    // A consent that nobody can read is a no, not a silence.
    let malformed = RawRequest::beacon(ADDRESS.parse().unwrap(), r#"{"g":"analytics","e":[{"k":"page_view"}]}"#.into());
    assert!(line.receive(&malformed, RECEIVED).events.iter().all(|became| matches!(became, Became::Refused(_))));
}

/// A marked event in every place that says something of somebody, with a consent or without.
fn marked_event(consented: bool) -> Value {
    let event = json!({
        "k": "purchase", "p": format!("https://www.shop.example/u/{WORD_MARK}@mail.example?q={WORD_MARK}#{WORD_MARK}"), "n": WORD_MARK,
        "r": format!("https://search.example/?q={WORD_MARK}"), "a": WORD_MARK, "x": WORD_MARK, "l": format!("fr-{WORD_MARK}"),
        "d": { "plan": format!("{WORD_MARK}@mail.example"), (WORD_MARK): WORD_MARK }, (WORD_MARK): WORD_MARK,
    });
    if consented { json!({ "g": ["analytics"], "e": [event] }) } else { json!({ "e": [event] }) }
}

#[test]
fn r11_what_is_parked_after_a_receivers_no_holds_only_what_was_cleaned() {
    let receiver = Receiver::start(Behaviour::Refuse(400, None));
    let documents = [
        SITE.to_owned(),
        destination("hook", "webhook", "exempt_measurement", "strict", &receiver.settings()),
        destination("customers", "webhook", "consent", "consented-analytics", &receiver.settings()),
    ];
    let installation = Installation::new(&documents.concat());
    let mut command = installation.command(&["run"]);
    command.env("RUST_LOG", "trace");
    let server = installation.start_as(command);
    for consented in [false, true] {
        assert_eq!(server.send(&marked("receiver-says-no", &marked_event(consented))).status, 204);
    }
    let parked = || installation.number("state.db", "SELECT count(*) FROM parked");
    eventually("three parked events", PATIENCE, || parked() == 3);
    for broken in
        [format!("{{\"e\":[{{\"k\":7,\"n\":\"{WORD_MARK}\""), format!("[\"{WORD_MARK}\"]"), format!("{{\"e\":{{\"{WORD_MARK}\":1}}}}")]
    {
        let mut request = marked("unreadable", &json!(null)).with("Referer", WORD_MARK);
        request.body = broken.into_bytes();
        let answer = server.send(&request);
        assert_eq!((answer.status, scanner().scan(&answer.body)), (400, Vec::new()), "an error repeats what was said");
    }
    assert!(server.stop().success());
    no_mark_below(installation.path());
    receiver.calls(|calls| {
        assert!(calls.len() >= 3);
        calls.iter().for_each(|call| assert_eq!(scanner().scan(&call.bytes), []));
    });
}

#[test]
fn r12_what_is_kept_as_proof_or_shown_to_an_officer_never_holds_an_original() {
    let installation = Installation::new(&documents());
    let server = installation.start();
    let first = server.send(&marked("visitor", &marked_event(true)));
    let cookie = first.header("set-cookie").expect("a consent is answered with a cookie").split(';').next().unwrap().to_owned();
    let value = cookie.split_once('=').unwrap().1.to_owned();
    // A yes, a narrower one, a withdrawal, an opt-out, a refusal: each leaves its trace.
    for body in [marked_event(true), json!({ "g": [], (WORD_MARK): WORD_MARK }), json!({ "o": 1, (WORD_MARK): WORD_MARK })] {
        server.send(&marked("visitor", &body).with("Cookie", &format!("{cookie}; {WORD_MARK}={WORD_MARK}")));
    }
    server.send(&marked("visitor", &marked_event(false)).with("Sec-GPC", "1"));
    let scanner = Scanner::new(scanner().marks().iter().cloned().chain([Mark::text("cookie", value)]).collect());
    for page in ["/", "/metrics", "/overview.json"] {
        assert_eq!(scanner.scan(&server.admin_page(page).body), [], "{page}");
    }
    assert!(server.stop().success());
    assert!(installation.number("state.db", "SELECT count(*) FROM consent_proof") >= 2, "there is proof to look at");
    for arguments in [&["proof", "verify"][..], &["export"], &["policy", "show"]] {
        let output = installation.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(scanner.scan(&[output.stdout, output.stderr].concat()), [], "{arguments:?}");
    }
    no_mark_below(installation.path());
}

#[test]
fn r13_a_forwarding_header_is_believed_from_trusted_hops_only() {
    let line = Line::new(&documents(), 1);
    let plain = seen_as(&line, ADDRESS);
    for spoofed in
        ["203.0.113.98, 192.0.2.41", "198.51.100.7,203.0.113.98,192.0.2.41", "unknown, 192.0.2.41", "203.0.113.98, 192.0.2.41, 10.0.0.2"]
    {
        assert_eq!(seen_as(&line, spoofed), plain, "{spoofed}");
    }
    for header in ["forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip", "x-cluster-client-ip"] {
        let value = if header == "forwarded" { "for=203.0.113.98" } else { "203.0.113.98" };
        assert_eq!(token(&line, &forwarded(ADDRESS, &page_view()).with(header, value)), plain.0, "{header}");
    }
    // A peer that is no trusted proxy is itself the client, whatever it says.
    let installation = Installation::without_proxies(&documents());
    let server = installation.start();
    for said in ["203.0.113.98", "192.0.2.41", "2001:db8::1"] {
        assert_eq!(
            server
                .send(&Request::beacon(json!({ "e": [{ "k": "page_view", "i": said }] }).to_string()).with("X-Forwarded-For", said))
                .status,
            204
        );
    }
    eventually("three events", PATIENCE, || installation.outbox("measurement").len() == 3);
    let seen = installation.outbox("measurement");
    assert!(seen.iter().all(|event| event["country"] == "ZZ" && event["visitor_id"] == seen[0]["visitor_id"]), "{seen:?}");
    assert!(server.stop().success());
}

/// Types carry this one: the log takes nothing but a record, a record is made of nothing but a clean event, and there is no queue before
/// it. `tests/compile_fail/outside/forge_record.rs` and `skip_a_stage.rs` attack that. Here: what the log's files are given.
#[test]
fn r14_no_event_rests_in_any_queue_before_it_is_cleaned() {
    let attacks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail/outside");
    for attack in ["forge_record", "skip_a_stage", "forge_log_bytes", "build_from_fields"] {
        let refused = fs::read_to_string(attacks.join(attack).with_extension("stderr")).unwrap();
        assert!(refused.contains("error"), "{attack} compiles");
    }
    let files = Arc::new(MemoryFiles::default());
    let pipeline = pipeline(&documents(), Arc::clone(&files) as Arc<dyn firsthand::event_log::LogFiles>, RECEIVED);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let current = pipeline.documents.load_full();
    for consented in [false, true] {
        let agent = format!("Mozilla/5.0 (X11; Linux x86_64; {AGENT_MARK}) Chrome/142.0.0.0");
        let request = RawRequest::beacon(ADDRESS_MARK.parse().unwrap(), marked_event(consented).to_string()).with("user-agent", &agent);
        let (site, protocol) = route(&current, &request);
        runtime.block_on(pipeline.ingest(site, protocol, request.inbound(&addresses(), RECEIVED), |_| Ok(())));
    }
    assert_eq!(pipeline.log.reader(Offset(0)).read(usize::MAX, usize::MAX).unwrap().len(), 2);
    let mut looked_at = 0;
    for name in firsthand::event_log::LogFiles::list(&*files).unwrap() {
        let file = firsthand::event_log::LogFiles::open(&*files, &name).unwrap();
        let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
        let read = file.read_at(0, &mut bytes).unwrap();
        looked_at += bytes[..read].iter().filter(|byte| **byte != 0).count();
        assert_eq!(scanner().scan(&bytes[..read]), [], "{name}");
    }
    assert!(looked_at > 200, "the log is empty");
}
