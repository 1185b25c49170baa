//! Golden files: `tests/golden/protocol/<protocol>/<sentence>.http` is a request; beside it, `<sentence>.json` is what may rest of it and
//! what is answered. Whoever reviews one asks of every byte in it: may this rest? `UPDATE_GOLDEN=1 cargo test --test suite golden` writes
//! them anew. What is random is shown as `random`. A file `key` beside them is what the protocol's libraries call the site.
//!
//! The clean events come from the stages one by one; the answer, and what is in the log then, from the pipeline itself. Both must agree.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use firsthand::{
    clock::Timestamp,
    event::Offset,
    privacy::record::{HEADER_BYTES, Header, Subject, header_of},
    protocol::Reply,
};
use serde_json::{Map, Value, json};

use crate::{
    line::{Became, Line, RawRequest, Received, addresses, pipeline, route},
    memory_files::MemoryFiles,
};

/// 2026-03-14T09:26:53.589Z: every request comes in then.
const RECEIVED: Timestamp = Timestamp(1_773_480_413_589);

/// Five sites, told apart by their hosts: `www` has an exempt destination that may see `measurement`, `strict` one that may see `strict`,
/// the others none; on `own-word`, a yes outranks Global Privacy Control, and `matomo` follows Matomo's cookies. All have one with consent.
const DOCUMENTS: &str = r#"
[[policy]]
name = "shop"
events = ["newsletter_opened"]
properties = { plan = "word", number = "number", gift = "flag", "matomo.dimension1" = "word", "matomo.pf_srv" = "number", "posthog.set.plan" = "word", "umami.tag" = "word", "mixpanel.$browser" = "word" }

[[site]]
name = "shop"
hosts = ["www.shop.example"]
origins = ["https://www.shop.example"]
prefix = "/keso"
policy = "shop"
keys = { KEYS }

[[site]]
name = "strict"
hosts = ["strict.shop.example"]
origins = ["https://strict.shop.example"]
prefix = "/keso"
policy = "shop"

[[site]]
name = "consent-only"
hosts = ["consent-only.shop.example"]
origins = ["https://consent-only.shop.example"]
prefix = "/keso"
policy = "shop"

[[site]]
name = "own-word"
hosts = ["own-word.shop.example"]
origins = ["https://own-word.shop.example"]
prefix = "/keso"
policy = "shop"
gpc_site_override = { reason = "our dialogue asks about it" }

[[site]]
name = "matomo"
hosts = ["matomo.shop.example"]
origins = ["https://matomo.shop.example"]
prefix = "/keso"
policy = "shop"
follow = ["matomo"]
keys = { KEYS }

[[destination]]
name = "measurement"
type = "file"
sites = ["shop"]
basis = "exempt_measurement"
transform = "measurement"
settings = { directory = "outbox/measurement" }

[[destination]]
name = "strict"
type = "file"
sites = ["strict"]
basis = "exempt_measurement"
transform = "strict"
settings = { directory = "outbox/strict" }

[[destination]]
name = "customers"
type = "file"
sites = ["shop", "strict", "consent-only", "own-word", "matomo"]
basis = "consent"
purposes = ["analytics"]
transform = "consented-analytics"
settings = { directory = "outbox/customers" }
"#;

/// The documents, with the keys that lie beside the protocols' requests.
fn documents() -> String {
    let mut keys: Vec<String> = directories()
        .filter_map(|directory| {
            let key = fs::read_to_string(directory.join("key")).ok()?;
            Some(format!("{} = [\"{}\"]", directory.file_name()?.to_str()?, key.trim()))
        })
        .collect();
    keys.sort();
    assert!(keys.len() >= 10, "keys are missing");
    DOCUMENTS.replace("KEYS", &keys.join(", "))
}

fn directories() -> impl Iterator<Item = PathBuf> {
    let protocols = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/protocol");
    fs::read_dir(protocols).unwrap().flatten().map(|protocol| protocol.path())
}

#[test]
fn what_rests_of_a_request_is_what_its_golden_file_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let requests = request_files();
    assert!(requests.len() >= 15, "golden requests are missing");
    for file in &requests {
        let outcome = serde_json::to_string_pretty(&outcome(file)).unwrap() + "\n";
        let golden = file.with_extension("json");
        if update {
            fs::write(&golden, outcome).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != outcome {
            wrong.push(format!("{}: it is now\n{outcome}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_golden_outcome_has_its_request() {
    for file in files("json") {
        assert!(file.with_extension("http").exists(), "{}: of no request", file.display());
    }
}

fn request_files() -> Vec<PathBuf> {
    files("http")
}

fn files(extension: &str) -> Vec<PathBuf> {
    let of_protocols = directories().flat_map(|protocol| fs::read_dir(protocol).unwrap().flatten());
    let mut files: Vec<PathBuf> =
        of_protocols.map(|entry| entry.path()).filter(|file| file.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn outcome(file: &Path) -> Value {
    let request = RawRequest::parse(&fs::read_to_string(file).unwrap());
    let line = Line::new(&documents(), 0);
    let received = line.receive(&request, RECEIVED);
    let protocol_of_file = file.parent().and_then(Path::file_name).unwrap();
    assert_eq!(route(&line.documents, &request).1.name(), protocol_of_file, "{}: another protocol takes it", file.display());
    let (reply, cookies) = compare_with_pipeline(&request, &received);
    let mut outcome = Map::new();
    outcome.insert("visitor".into(), received.state.describe().into());
    outcome.insert("events".into(), received.events.iter().map(event).collect());
    if !received.unreadable.is_empty() {
        let unreadable = received.unreadable.iter();
        let unreadable = unreadable.map(|(event, error)| json!({ "event": event, "reason": error.reason, "byte": error.byte }));
        outcome.insert("unreadable".into(), unreadable.collect());
    }
    if !cookies.is_empty() {
        outcome.insert("cookies".into(), cookies.into());
    }
    let text = String::from_utf8(reply.body.into_owned()).unwrap_or_else(|image| format!("no text, {} bytes", image.into_bytes().len()));
    outcome.insert("reply".into(), json!({ "status": reply.status.as_u16(), "text": text }));
    outcome.into()
}

fn event(became: &Became) -> Value {
    match became {
        Became::Refused(refusal) => json!({ "refused": refusal }),
        Became::Clean(clean) => json!({ "header": header(&clean.header), "body": redacted(&clean.body) }),
    }
}

fn header(header: &Header) -> Value {
    let subject = match header.subject {
        Subject::None => "none",
        Subject::Token(_) => "token",
        Subject::Person(_) => "person",
    };
    json!({
        "subject": subject,
        "audience": format!("{:?}", header.audience),
        "purposes": header.purposes,
        "ceiling": header.ceiling.name(),
        "sealed": header.sealed,
        "class": format!("{:?}", header.class()),
        "received": header.received.rfc3339(),
    })
}

fn redacted(body: &Value) -> Value {
    let mut body = body.clone();
    for place in ["/session", "/granted/cookie_id"] {
        if let Some(value) = body.pointer_mut(place) {
            *value = "random".into();
        }
    }
    body
}

/// Takes the same request through the pipeline, and compares what rests then.
fn compare_with_pipeline(request: &RawRequest, expected: &Received) -> (Reply, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pipeline = pipeline(&documents(), Arc::new(MemoryFiles::default()), RECEIVED);
    let documents = pipeline.documents.load_full();
    let (site, protocol) = route(&documents, request);
    let inbound = request.inbound(&addresses(), RECEIVED);
    let ingested = runtime.block_on(pipeline.ingest(site, protocol, inbound, |_| Ok(())));
    let clean: Vec<_> = expected
        .events
        .iter()
        .filter_map(|became| match became {
            Became::Clean(clean) => Some(clean),
            Became::Refused(_) => None,
        })
        .collect();
    let records = pipeline.log.reader(Offset(0)).read(usize::MAX, usize::MAX).unwrap();
    assert_eq!(records.len(), clean.len(), "the pipeline keeps another number of events");
    for (record, clean) in records.iter().zip(clean) {
        let found = header_of(&record.bytes).unwrap();
        assert_eq!(header(&found), header(&clean.header));
        let body = &record.bytes.as_slice()[HEADER_BYTES..];
        if found.sealed {
            assert!(serde_json::from_slice::<Value>(body).is_err(), "a sealed body can be read");
        } else {
            assert_eq!(redacted(&serde_json::from_slice(body).unwrap()), redacted(&clean.body));
        }
    }
    let mut headers = http::HeaderMap::new();
    ingested.cookies.into_iter().for_each(|cookie| cookie.append_to(&mut headers));
    let cookies = headers.get_all(http::header::SET_COOKIE).iter().map(|cookie| without_value(cookie.to_str().unwrap()));
    (ingested.reply, cookies.collect())
}

/// A cookie's text with its value as `random`, where it is 16 random bytes.
fn without_value(cookie: &str) -> String {
    let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let value = if value.len() == 22 { "random" } else { value };
    format!("{name}={value};{attributes}")
}
