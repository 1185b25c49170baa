//! Server events: what a site's own backend sends with its API key. Each is the visitor's whom it names, under their consent on record; nobody
//! without the key sends one, and no browser takes one's place.

use std::{fs, path::Path, sync::Arc, time::Duration};

use firsthand::{
    clock::Timestamp,
    event::{Offset, Purposes},
    event_log::LogFiles,
    pipeline::Pipeline,
    privacy::{
        consent::{ConsentSignal, ConsentState, evidence::Evidence},
        record::Header,
        refusal::Refusal,
    },
    protocol::server::fingerprint,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    installation::{SITE, file_destination},
    line::{Became, Line, RawRequest, Received, addresses, cookie_text, pipeline, route},
    memory_files::MemoryFiles,
};

const NOW: Timestamp = Timestamp(1_773_480_413_589);
const KEY: &str = "fhk_of_the_shop";
const NEXT_KEY: &str = "fhk_of_the_shop_from_tomorrow";
/// Orders that a hostile browser guesses.
const GUESSES: usize = 1_000;

struct Site {
    pipeline: Pipeline,
    runtime: Runtime,
}

struct Answered {
    status: u16,
    said: Value,
    cookies: Vec<String>,
}

/// A site with two API keys, a destination for everyone, and one for those who agreed.
fn documents() -> String {
    let keys = format!("keys = {{ server = [\"{}\", \"{}\"] }}\n", fingerprint(KEY), fingerprint(NEXT_KEY));
    let destinations = file_destination("measurement", "exempt_measurement", "measurement")
        + &file_destination("customers", "consent", "consented-analytics");
    SITE.to_owned() + &keys + &destinations
}

impl Site {
    fn new() -> Self {
        let documents = documents();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let files = Arc::new(MemoryFiles::default()) as Arc<dyn LogFiles>;
        let pipeline = runtime.block_on(async { pipeline(&documents, files, NOW) });
        Self { pipeline, runtime }
    }

    fn send(&self, request: &RawRequest) -> Answered {
        let documents = self.pipeline.documents.load_full();
        let (site, protocol) = route(&documents, request);
        let ingested = self.runtime.block_on(self.pipeline.ingest(site, protocol, request.inbound(&addresses(), NOW), |_| Ok(())));
        Answered {
            status: ingested.reply.status.as_u16(),
            said: serde_json::from_slice(&ingested.reply.body).unwrap_or_default(),
            cookies: ingested.cookies.into_iter().map(cookie_text).collect(),
        }
    }

    /// A browser that says yes to analytics: the value of the cookie that it gets.
    fn visitor(&self, address: u8) -> String {
        let beacon = json!({ "g": ["analytics"], "e": [{ "k": "page_view", "i": format!("view-{address}") }] });
        let answered = self.send(&RawRequest::beacon([192, 0, 2, address].into(), beacon.to_string()));
        answered.cookies[0].split(['=', ';']).nth(1).expect("a value").to_owned()
    }

    /// What the page of that visitor is given for the shop.
    fn ticket(&self, visitor: &str) -> String {
        let documents = self.pipeline.documents.load_full();
        let request = RawRequest::beacon([192, 0, 2, 1].into(), String::new()).with("cookie", &format!("__Host-w={visitor}"));
        let (site, inbound) = (&documents.sites[0], request.inbound(&addresses(), NOW));
        let arrival = inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default());
        self.runtime.block_on(self.pipeline.visitors.ticket(&arrival, site, NOW)).unwrap().expect("they agreed")
    }

    /// What rests, by its headers.
    fn records(&self) -> Vec<Header> {
        let records = self.pipeline.log.reader(Offset(0)).read(usize::MAX, usize::MAX).unwrap();
        records.iter().map(|record| Header::decode(record.bytes.as_slice()).unwrap()).collect()
    }
}

fn by_backend(key: &str, body: &Value) -> RawRequest {
    let mut request = RawRequest::beacon([203, 0, 113, 80].into(), body.to_string()).with("authorization", &format!("Bearer {key}"));
    request.path = String::from("/keso/v1/events");
    request.with("user-agent", "python-requests/2.32.5")
}

fn order(id: &str, visitor: &str) -> Value {
    json!({ "event": "Order Completed", "messageId": format!("order-{id}"), "anonymousId": visitor,
            "properties": { "order_id": id, "revenue": 25, "currency": "EUR" } })
}

#[test]
fn each_event_of_a_batch_is_its_own_visitors_as_far_as_they_agreed_now() {
    let site = Site::new();
    let (one, other) = (site.visitor(1), site.visitor(2));
    let seen = site.records();
    let batch =
        json!({ "batch": [order("A-1", &one), order("A-2", &other), order("A-3", &one), order("A-4", "nobody"), { "type": "ask" }] });
    let answered = site.send(&by_backend(KEY, &batch));
    assert_eq!((answered.status, &answered.said["stored"], answered.cookies.len()), (200, &json!(4), 0));
    let results: Vec<_> = answered.said["results"].as_array().unwrap().iter().map(|result| result["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["stored", "stored", "stored", "stored", "unreadable"]);

    let records = site.records();
    let of = |header: &Header| (header.subject, header.purposes, header.sealed);
    let [first, second, third, nobodys] = &records[seen.len()..] else { panic!("{} records", records.len()) };
    assert!(of(first) == of(&seen[0]) && of(third) == of(&seen[0]));
    assert!(of(second) == of(&seen[1]) && of(second) != of(first));
    assert_eq!((nobodys.purposes, nobodys.sealed), (Purposes::NONE, false));

    // One of them withdraws: from then on nobody sends theirs.
    let before = records.len();
    site.send(&RawRequest::beacon([192, 0, 2, 1].into(), String::from(r#"{"g":[]}"#)).with("cookie", &format!("__Host-w={one}")));
    let answered = site.send(&by_backend(KEY, &json!({ "batch": [order("A-5", &one), order("A-6", &other)] })));
    let refused = json!([{ "index": 0, "result": "refused", "reason": "consent_ended" }, { "index": 1, "result": "stored" }]);
    assert_eq!(answered.said, json!({ "stored": 1, "results": refused }));
    let records = site.records();
    assert_eq!((records.len(), records[before].purposes), (before + 1, Purposes::ANALYTICS));
}

#[test]
fn whom_a_backend_names_has_agreed_or_nothing_comes_in_and_nobody_else_is_touched() {
    let line = Line::new(&documents(), 1);
    let of = |address: u8, body: &str, cookie: &str| {
        RawRequest::beacon([192, 0, 2, address].into(), body.to_owned()).with("cookie", &format!("__Host-w={cookie}"))
    };
    let yes = r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#;
    let objections = [(r#"{"g":[]}"#, None), (r#"{"o":1}"#, None), (yes, Some("sec-gpc")), (yes, Some("dnt"))];
    for (address, (body, signal)) in (1..).zip(objections) {
        let yes = json!({ "g": ["analytics"], "e": [{ "k": "page_view", "i": format!("view-{address}") }] }).to_string();
        let agreed = line.receive(&RawRequest::beacon([192, 0, 2, address].into(), yes), NOW);
        let cookie = agreed.cookies[0].split(['=', ';']).nth(1).expect("a value").to_owned();
        let sent = |id: &str| line.receive(&by_backend(KEY, &order(id, &cookie)), NOW);
        assert!(matches!(sent("A-1").events[..], [Became::Clean(_)]), "the control: they agreed");
        let objects = of(address, body, &cookie);
        line.receive(&signal.into_iter().fold(objects, |request, signal| request.with(signal, "1")), NOW);
        assert!(matches!(sent("A-2").events[..], [Became::Refused(Refusal::ConsentEnded)]), "{body} {signal:?}");
    }
    let made_up = line.receive(&by_backend(KEY, &order("A-3", "AAECAwQFBgcICQoLDA0ODw")), NOW);
    assert!(matches!(made_up.events[..], [Became::Refused(Refusal::ConsentEnded)]), "a cookie that nobody was given");
    // What a backend is refused is no objection of all whose events it sends.
    let nobodys = line.receive(&by_backend(KEY, &order("A-4", "nobody")), NOW);
    let offset = line.append(0, nobodys).expect("it rests");
    let disclosures = line.disclosures(&line.records(0, offset)[0], NOW);
    let of = |destination: &str| disclosures.iter().find(|(name, _)| name == destination).map(|(_, text)| text.as_str());
    assert_eq!(of("customers"), Some("withheld: no_consent"));
    assert!(of("measurement").is_some_and(|text| text.starts_with('{')), "{disclosures:?}");
}

#[test]
fn what_is_sent_again_is_known_by_its_id_or_by_the_requests() {
    let site = Site::new();
    let visitor = site.visitor(1);
    let batch =
        json!({ "batch": [{ "event": "Order Refunded", "anonymousId": visitor }, { "event": "Generate Lead", "anonymousId": visitor }] });
    let with_key = by_backend(KEY, &batch).with("idempotency-key", "once");
    for request in [by_backend(KEY, &order("A-1", &visitor)), with_key] {
        let before = site.records().len();
        let first = site.send(&request);
        let there = site.records().len();
        let again = site.send(&request);
        assert_eq!((first.status, first.said["stored"].as_u64()), (200, Some((there - before) as u64)));
        assert_eq!((first.said, site.records().len()), (again.said, there), "answered as the first time, and stored once");
    }
    let neither = site.send(&by_backend(KEY, &batch));
    assert_eq!((neither.status, &neither.said["stored"]), (400, &json!(0)), "a retry would count twice");
    let long = site.send(&by_backend(KEY, &batch).with("idempotency-key", &"x".repeat(129)));
    assert_eq!(long.status, 400);
}

#[test]
fn without_a_key_of_the_site_nothing_is_taken_and_either_of_two_will_do() {
    let site = Site::new();
    for key in ["", "fhk_of_another", &fingerprint(KEY), &KEY[1..]] {
        assert_eq!(site.send(&by_backend(key, &order("A-1", "nobody"))).status, 401, "{key}");
    }
    let mut bare = by_backend(KEY, &order("A-1", "nobody"));
    bare.headers.remove("authorization");
    assert_eq!((site.send(&bare).status, site.records().len()), (401, 0));
    assert_eq!(site.send(&by_backend(KEY, &order("A-1", "nobody"))).status, 200);
    assert_eq!(site.send(&by_backend(NEXT_KEY, &order("A-2", "nobody"))).status, 200);
    assert_eq!(site.records().len(), 2);
}

#[test]
fn a_browser_that_guesses_orders_neither_suppresses_nor_alters_one() {
    let guessed = Site::new();
    let alone = Site::new();
    let hostile = guessed.visitor(1);
    alone.visitor(1);
    let cookie = format!("__Host-w={hostile}");
    let orders: Vec<String> = (0..GUESSES).map(|number| format!("A-{number}")).collect();
    // As its own events, and as Segment's library would, with the very ids that the backend uses.
    for some in orders.chunks(40) {
        let events: Vec<_> =
            some.iter().map(|id| json!({ "k": "purchase", "i": format!("order-{id}"), "x": id, "v": 0, "m": "EUR" })).collect();
        let beacon = json!({ "g": ["analytics"], "e": events }).to_string();
        guessed.send(&RawRequest::beacon([192, 0, 2, 1].into(), beacon).with("cookie", &cookie));
        let mut direct = by_backend("", &json!({ "batch": some.iter().map(|id| order(id, &hostile)).collect::<Vec<_>>() }));
        direct.headers.remove("authorization");
        assert_eq!(guessed.send(&direct).status, 401);
    }
    let before = guessed.records().len();
    assert!(before > GUESSES, "the guesses were taken as what they are: a browser's");
    let batch = |visitor: &str| json!({ "batch": orders.iter().map(|id| order(id, visitor)).collect::<Vec<_>>() });
    let answered = guessed.send(&by_backend(KEY, &batch(&hostile)));
    assert_eq!(answered.said["stored"], json!(GUESSES));
    assert_eq!(guessed.records().len(), before + GUESSES, "each of the backend's is there, as itself");
    let too_many = json!({ "batch": (0..=GUESSES).map(|_| json!({ "event": "Order Completed" })).collect::<Vec<_>>() });
    assert_eq!(guessed.send(&by_backend(KEY, &too_many)).status, 400);
    let there = alone.records().len();
    alone.send(&by_backend(KEY, &batch("nobody")));
    assert_eq!(alone.records().len(), there + GUESSES);
}

#[test]
fn the_requests_of_the_documentation_are_taken() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/server-events.md")).unwrap();
    let site = Site::new();
    let visitor = site.visitor(1);
    let before = site.records().len();
    let blocks: Vec<&str> = page.split("```").filter_map(|block| block.strip_prefix("sh\ncurl ")).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let body = block.split_once("--data '").and_then(|(_, rest)| rest.rsplit_once('\'')).expect("a body").0;
        let body = body.replace("AAECAwQFBgcICQoLDA0ODw", &visitor).replace("TICKET", &site.ticket(&visitor));
        let mut request = by_backend(KEY, &serde_json::from_str(&body).expect("it is JSON"));
        assert!(block.starts_with("https://www.shop.example/keso/v1/events ") && block.contains("Authorization: Bearer $API_KEY"));
        if let Some((_, rest)) = block.split_once("Idempotency-Key: ") {
            request = request.with("idempotency-key", rest.split('"').next().unwrap());
        }
        let answered = site.send(&request);
        assert_eq!(answered.status, 200, "{}", answered.said);
        if answered.said["results"].as_array().is_some_and(|results| results.len() > 1) {
            assert!(page.contains(&answered.said.to_string()), "the page has another answer: {}", answered.said);
        }
    }
    assert_eq!(site.records().len(), before + 4);
}

#[test]
fn a_ticket_says_whose_an_order_is_and_of_which_visit() {
    let line = Line::new(&documents(), 1);
    let page = "https://www.shop.example/?utm_source=newsletter&utm_campaign=autumn";
    let view = json!({ "g": ["analytics"], "e": [{ "k": "page_view", "i": "view", "p": page }] }).to_string();
    let viewed = line.receive(&RawRequest::beacon([192, 0, 2, 1].into(), view), NOW);
    let cookie = viewed.cookies[0].split(';').next().expect("a pair").to_owned();
    let customers = |received, at| {
        let offset = line.append(0, received).expect("it rests");
        let disclosures = line.disclosures(&line.records(0, offset)[0], at);
        let (_, text) = disclosures.into_iter().find(|(name, _)| name == "customers").expect("a destination");
        serde_json::from_str::<Value>(&text).unwrap_or_else(|_| panic!("{text}"))
    };
    let seen = customers(viewed, NOW);
    let asks = |cookie: &str| {
        let mut request = RawRequest::beacon([192, 0, 2, 1].into(), String::new()).with("cookie", cookie);
        request.path = String::from("/keso/v");
        line.ticket(&request, NOW)
    };
    let ticket = asks(&cookie).expect("they agreed");
    for nobody in ["a=1", "__Host-w=AAECAwQFBgcICQoLDA0ODw", &format!("{cookie}; __Host-wo=1")] {
        assert_eq!(asks(nobody), None, "{nobody}");
    }
    let later = NOW.plus(Duration::from_secs(2 * 60 * 60));
    let said = |ticket: &str, id: &str| {
        let mut order = order(id, "nobody");
        order["ticket"] = json!(ticket);
        line.receive(&by_backend(KEY, &order), later)
    };
    let paid = customers(said(&ticket, "A-1"), later);
    for field in ["visitor_id", "session_id", "campaign"] {
        assert!(!paid[field].is_null() && paid[field] == seen[field], "{field}: {paid}");
    }
    assert_eq!(paid["value"], json!(25.0));
    let by_cookie = order("A-2", cookie.split_once('=').expect("a value").1);
    let by_cookie = customers(line.receive(&by_backend(KEY, &by_cookie), later), later);
    assert_eq!(by_cookie["visitor_id"], seen["visitor_id"]);
    assert!(by_cookie["session_id"].is_null() && by_cookie["campaign"].is_null(), "that visit is over, and a backend begins none");

    let refused = |received: Received| matches!(received.events[..], [Became::Refused(Refusal::ConsentEnded)]);
    let forged = if ticket.ends_with('A') { "B" } else { "A" };
    assert!(matches!(said("", "A-3").state, ConsentState::Unknown), "who was given none");
    for odd in ["no", &ticket[1..], &(ticket[..ticket.len() - 1].to_owned() + forged)] {
        assert!(refused(said(odd, "A-3")), "{odd}");
    }
    line.receive(&RawRequest::beacon([192, 0, 2, 1].into(), String::from(r#"{"g":[]}"#)).with("cookie", &cookie), NOW);
    assert!(refused(said(&ticket, "A-4")), "they withdrew");
}
