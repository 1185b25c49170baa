//! The sealed envelope: off by default, each part by a deviation of its own, for those who agreed to advertising, in their vendor's words; gone with
//! a withdrawal, with the policy that let it in, and with the process: then its events end as `envelope_lost`, and nothing of it was on the disk.

use std::{fs, path::Path, time::Duration};

use firsthand::{
    clock::Timestamp,
    documents::{
        parse::DocumentFile,
        store::{Author, DocumentStore},
    },
    event::Offset,
    privacy::{
        disclose::{Disclosed, Disclosure},
        envelope::Part,
        policy::Field,
    },
    state::{IN_MEMORY, StateDb},
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    hand_over::take_over,
    http_client::Request,
    installation::{Installation, SITE, destination, eventually},
    line::{Became, Line, RawRequest},
    receiver::{Behaviour, Receiver, SECRET_VARIABLE},
};

const NOW: Timestamp = Timestamp(1_790_000_123_456);
const PATIENCE: Duration = Duration::from_secs(60);
const ADDRESS: &str = "192.0.2.7";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// Of `john_smith@gmail.com`, as both vendors document it.
const EMAIL: &str = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f";
/// Of one number, in Meta's words and in TikTok's.
const PHONES: [&str; 2] = [
    "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176",
    "1e231c66011e7a2d867a9cfae267a6aff103cf4913640b6e71a99850fc0ffbc8",
];

/// A purchase that says who makes it.
fn purchase(purposes: &str, id: &str) -> String {
    json!({ "g": serde_json::from_str::<Value>(purposes).unwrap(), "e": [{
        "k": "purchase", "i": id, "v": 62.55, "m": "EUR", "x": "A-1007", "a": "Customer-7", "p": "https://www.shop.example/thanks",
        "c": { "em": " John_Smith@gmail.com", "ph": "+1 (650) 555-1212", "fbp": "fb.1.1790000000000.123456789" },
    }] })
    .to_string()
}

fn request(purposes: &str, id: &str) -> RawRequest {
    let body = purchase(purposes, id);
    RawRequest::parse(&format!(
        "POST /keso/e HTTP/1.1\nHost: www.shop.example\nOrigin: https://www.shop.example\nUser-Agent: {AGENT}\nX-Forwarded-For: {ADDRESS}\n\n{body}"
    ))
}

/// A site with both vendors and what else is said, and with these deviations.
fn documents(secret: &Path, deviations: &[Field], more: &str) -> String {
    let token = format!("access_token = \"file:{}\"", secret.display());
    let of = |name: &str, id: &str| {
        destination(name, name, "consent", "consented-ads", &format!("settings = {{ {id}, {token} }}")).replace("\"analytics\"", "\"ads\"")
    };
    let deviations: String = deviations.iter().map(|field| deviation(*field, "[\"meta\", \"tiktok\"]")).collect();
    let site = SITE.replace("\n[[site]]", &format!("\n{deviations}\n[[site]]"));
    site + &of("meta", "dataset_id = \"123\"") + &of("tiktok", "pixel_code = \"C123\"") + more
}

fn deviation(field: Field, destinations: &str) -> String {
    format!(
        "[[policy.deviation]]\nfield = \"{}\"\ntreatment = \"keep\"\nstate = \"granted\"\ndestinations = {destinations}\nreason = \"a test\"\n",
        field.name()
    )
}

fn secret() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), "a-token-of-the-vendor").unwrap();
    file
}

fn disclosed(line: &Line, offset: Offset, name: &str) -> Disclosed {
    let record = line.records(0, offset).remove(0);
    let destination = line.documents.destinations.iter().find(|of| of.name == name).unwrap();
    line.discloser.disclose(&record, &line.documents, destination, NOW).unwrap()
}

fn gets(line: &Line, offset: Offset, name: &str) -> Box<Disclosure> {
    match disclosed(line, offset, name) {
        Disclosed::Disclosure(disclosure) => disclosure,
        Disclosed::Withheld(rule) => panic!("withheld: {}", rule.name()),
        _ => panic!("not disclosed"),
    }
}

fn parts(disclosure: &Disclosure) -> Vec<Part> {
    disclosure.envelope().into_iter().flat_map(|envelope| envelope.parts()).collect()
}

fn captured(line: &Line, request: &RawRequest) -> Offset {
    line.append(0, line.receive(request, NOW)).expect("it is new, and somebody may have it")
}

#[test]
fn it_is_off_by_default_and_each_part_comes_by_its_own_deviation() {
    let secret = secret();
    let line = Line::new(&documents(secret.path(), &[], ""), 1);
    let offset = captured(&line, &request("[\"ads\"]", "the-first"));
    assert!(line.envelopes.is_empty() && gets(&line, offset, "meta").envelope().is_none());
    for (field, expected) in [
        (Field::Address, &[Part::Address][..]),
        (Field::UserAgent, &[Part::UserAgent]),
        (Field::Contact, &[Part::Email, Part::Phone, Part::UserId]),
        (Field::VendorIds, &[Part::BrowserId, Part::EventId]),
    ] {
        let line = Line::new(&documents(secret.path(), &[field], ""), 1);
        let disclosure = gets(&line, captured(&line, &request("[\"ads\"]", "the-first")), "meta");
        assert_eq!(parts(&disclosure), expected, "{field:?}");
        let text = serde_json::to_string(&*disclosure).unwrap();
        assert!(
            [ADDRESS, AGENT, EMAIL].iter().all(|value| !text.contains(value)),
            "it is no part of what a disclosure serialises to: {text}"
        );
    }
}

#[test]
fn every_vendor_has_it_in_its_own_words_and_nobody_in_the_clear() {
    let secret = secret();
    let line = Line::new(&documents(secret.path(), &Field::OF_THE_ENVELOPE, ""), 1);
    let offset = captured(&line, &request("[\"ads\"]", "the-first"));
    for (name, phone) in ["meta", "tiktok"].into_iter().zip(PHONES) {
        let disclosure = gets(&line, offset, name);
        let envelope = disclosure.envelope().unwrap();
        let said = [Part::Address, Part::UserAgent, Part::Email, Part::Phone, Part::EventId].map(|part| envelope.get(part).unwrap());
        assert_eq!(said, [ADDRESS, AGENT, EMAIL, phone, "the-first"], "{name}");
    }
}

/// A request in another dialect, of the visitor with that cookie.
fn in_dialect(path: &str, kind: &str, body: &str, cookie: &str) -> RawRequest {
    RawRequest::parse(&format!(
        "POST /keso{path} HTTP/1.1\nHost: www.shop.example\nOrigin: https://www.shop.example\nContent-Type: {kind}\nCookie: {cookie}\nUser-Agent: {AGENT}\nX-Forwarded-For: {ADDRESS}\n\n{body}"
    ))
}

#[test]
fn contact_data_come_under_the_names_of_every_dialect_that_has_some() {
    let secret = secret();
    let keys = documents(secret.path(), &[Field::Contact, Field::VendorIds], "").replacen(
        "policy = \"shop\"\n",
        "policy = \"shop\"\nkeys = { segment = [\"k\"], meta = [\"7\"] }\n",
        1,
    );
    let line = Line::new(&keys, 1);
    let received = line.receive(&request("[\"ads\"]", "the-first"), NOW);
    let cookie = received.cookies[0].split(';').next().unwrap().to_owned();
    line.append(0, received).unwrap();
    let consent = r#""consent":{"categoryPreferences":{"Advertising":true}}"#;
    let traits = r#"{"email":"John_Smith@gmail.com","phone":"+16505551212","address":{"country":"FR"}}"#;
    let of_call = format!(r#"{{"writeKey":"k","event":"Lead","messageId":"in-the-context","context":{{"traits":{traits},{consent}}}}}"#);
    let of_identify = format!(r#"{{"writeKey":"k","messageId":"of-the-call","traits":{traits},"context":{{{consent}}}}}"#);
    let of_pixel =
        format!("id=7&ev=Lead&eid=of-the-pixel&ud[em]={EMAIL}&ud[ph]={}&ud[country]=fr&fbp=fb.1.1790000000000.123456789", PHONES[0]);
    for (request, browser_id) in [
        (in_dialect("/v1/t", "application/json", &of_call, &cookie), None),
        (in_dialect("/v1/i", "application/json", &of_identify, &cookie), None),
        (in_dialect("/tr/", "application/x-www-form-urlencoded", &of_pixel, &cookie), Some("fb.1.1790000000000.123456789")),
    ] {
        let disclosure = gets(&line, captured(&line, &request), "meta");
        let envelope = disclosure.envelope().unwrap_or_else(|| panic!("an envelope beside {}", request.path));
        assert_eq!([Part::Email, Part::Phone].map(|part| envelope.get(part)), [Some(EMAIL), Some(PHONES[0])], "{}", request.path);
        assert!(envelope.get(Part::Country).is_some(), "{}", request.path);
        assert_eq!(envelope.get(Part::BrowserId), browser_id, "{}", request.path);
    }
}

#[test]
fn it_is_for_those_who_agreed_to_advertising() {
    let secret = secret();
    let customers = destination("customers", "file", "consent", "consented-analytics", "settings = { directory = \"outbox/customers\" }");
    let line = Line::new(&documents(secret.path(), &Field::OF_THE_ENVELOPE, &customers), 1);
    let offset = captured(&line, &request("[\"analytics\"]", "the-first"));
    assert!(line.envelopes.is_empty() && gets(&line, offset, "customers").envelope().is_none());
    let offset = captured(&line, &request("[\"analytics\",\"ads\"]", "the-second"));
    assert_eq!(line.envelopes.len(), 1);
    assert!(gets(&line, offset, "customers").envelope().is_none(), "nor for a destination that is for something else");
}

#[test]
fn a_withdrawal_a_tightened_policy_and_the_end_of_its_key_end_it() {
    let secret = secret();
    let mut line = Line::new(&documents(secret.path(), &Field::OF_THE_ENVELOPE, ""), 1);
    let received = line.receive(&request("[\"ads\"]", "the-first"), NOW);
    let cookie = received.cookies[0].split(';').next().unwrap().to_owned();
    assert!(matches!(received.events[..], [Became::Clean(_)]));
    let offset = line.append(0, received).unwrap();
    line.put_in_force(&documents(secret.path(), &[Field::UserAgent], ""));
    assert_eq!(parts(&gets(&line, offset, "meta")), [Part::UserAgent], "what the policy lets through now");
    line.put_in_force(&documents(secret.path(), &[], ""));
    assert!(gets(&line, offset, "meta").envelope().is_none());
    line.put_in_force(&documents(secret.path(), &Field::OF_THE_ENVELOPE, ""));
    let other = captured(&line, &request("[\"ads\"]", "another"));
    line.receive(&RawRequest::beacon([192, 0, 2, 7].into(), String::from("{\"g\":[]}")).with("cookie", &cookie), NOW);
    assert!(matches!(disclosed(&line, offset, "meta"), Disclosed::Purged));
    line.envelopes.destroy_old(false);
    assert!(matches!(disclosed(&line, other, "meta"), Disclosed::Withheld(rule) if rule.name() == "envelope_lost"));
}

#[test]
fn a_destination_that_asks_for_none_cannot_be_given_one() {
    let secret = secret();
    let file = destination("campaigns", "file", "consent", "consented-ads", "settings = { directory = \"outbox/campaigns\" }");
    let file = file.replace("\"analytics\"", "\"ads\"");
    let refused = |deviation: &str, more: &str| {
        let text = documents(secret.path(), &[], more).replace("\n[[site]]", &format!("\n{deviation}\n[[site]]"));
        let store = DocumentStore::new(std::sync::Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let author = Author { name: "test", reason: "test", at: Timestamp(0) };
        store.apply(DocumentFile::parse(&text).unwrap().into_documents(), false, false, &author).err().map(|error| error.to_string())
    };
    let said = refused(&deviation(Field::Address, "[\"meta\", \"campaigns\"]"), &file).expect("it is refused");
    assert!(said.contains("which \"campaigns\" cannot have"), "{said}");
    assert_eq!(refused(&deviation(Field::Address, "[\"meta\"]"), &file), None, "the control");
    let line = Line::new(
        &documents(secret.path(), &[], &file).replace("\n[[site]]", &format!("\n{}\n[[site]]", deviation(Field::Address, "[]"))),
        1,
    );
    let offset = captured(&line, &request("[\"ads\"]", "the-first"));
    assert_eq!((parts(&gets(&line, offset, "meta")), parts(&gets(&line, offset, "campaigns"))), (vec![Part::Address], Vec::new()));
}

/// The site with one destination that sends here.
fn sending_to(receiver: &Receiver) -> Installation {
    let settings = format!("settings = {{ url = \"{}\", dataset_id = \"123\", access_token = \"env:{SECRET_VARIABLE}\" }}", receiver.url());
    let meta = destination("meta", "meta", "consent", "consented-ads", &settings).replace("\"analytics\"", "\"ads\"");
    let deviations: String = Field::OF_THE_ENVELOPE.iter().map(|field| deviation(*field, "[\"meta\"]")).collect();
    Installation::new(&(SITE.replace("\n[[site]]", &format!("\n{deviations}\n[[site]]")) + &meta))
}

fn beacon(number: usize) -> Request {
    Request::beacon(purchase("[\"ads\"]", &format!("event-{number:04}"))).with("X-Forwarded-For", ADDRESS).instead("User-Agent", AGENT)
}

/// The address that stands in each event that was taken.
fn addresses(receiver: &Receiver) -> Vec<String> {
    receiver.calls(|calls| {
        let taken = calls.iter().filter(|call| call.accepted);
        let bodies = taken.map(|call| {
            let at = call.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            serde_json::from_slice::<Value>(&call.bytes[at..]).unwrap()
        });
        let events = bodies.flat_map(|body| body["data"].as_array().unwrap().clone());
        events.map(|event| event["user_data"]["client_ip_address"].as_str().unwrap_or("none").to_owned()).collect()
    })
}

/// Whether a file below the directory has these bytes.
fn is_on_disk(directory: &Path, what: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().flatten().any(|entry| {
        if entry.path().is_dir() {
            return is_on_disk(&entry.path(), what);
        }
        fs::read(entry.path()).unwrap_or_default().windows(what.len()).any(|bytes| bytes == what)
    })
}

#[test]
fn after_a_crash_every_event_was_accepted_or_ends_as_envelope_lost_and_nothing_of_it_was_on_the_disk() {
    let receiver = Receiver::start(Behaviour::Accept);
    let installation = sending_to(&receiver);
    let count = |state: &str, rule: &str| {
        let all = installation.ledger("meta");
        all.iter().filter(|(is, why, _)| is == state && why.contains(rule)).map(|(.., count)| *count).sum::<i64>()
    };
    let server = installation.start();
    (0..10).for_each(|number| assert_eq!(server.send(&beacon(number)).status, 204));
    eventually("the first at their destination", PATIENCE, || count("accepted_unproven", "") == 10);
    receiver.behave(Behaviour::Refuse(503, Some(1)));
    (10..30).for_each(|number| assert_eq!(server.send(&beacon(number)).status, 204));
    eventually("an attempt", PATIENCE, || receiver.calls(|calls| calls.iter().any(|call| !call.accepted)));
    server.kill();
    for value in [ADDRESS, AGENT, EMAIL, PHONES[0], "John_Smith", "555-1212", "event-0012"] {
        assert!(!is_on_disk(&installation.data(), value.as_bytes()), "{value} is in a file");
    }
    receiver.behave(Behaviour::Accept);
    let server = installation.start();
    eventually("an end of each", PATIENCE, || count("withheld", "envelope_lost") == 20);
    (30..35).for_each(|number| assert_eq!(server.send(&beacon(number)).status, 204));
    eventually("what comes afterwards", PATIENCE, || count("accepted_unproven", "") == 15);
    assert!(server.stop().success());
    assert_eq!(addresses(&receiver), vec![ADDRESS; 15], "each with its own envelope");
    let all: i64 = installation.ledger("meta").iter().map(|(.., count)| *count).sum();
    assert_eq!((count("accepted_unproven", ""), count("withheld", "envelope_lost"), all), (15, 20, 35));
}

#[test]
fn the_process_that_takes_over_has_the_envelopes() {
    let receiver = Receiver::start(Behaviour::Refuse(503, Some(1)));
    let installation = sending_to(&receiver);
    let server = installation.start();
    (0..10).for_each(|number| assert_eq!(server.send(&beacon(number)).status, 204));
    eventually("an attempt", PATIENCE, || receiver.calls(<[_]>::len) > 0);
    let successor = take_over(&installation);
    assert!(server.wait().success());
    receiver.behave(Behaviour::Accept);
    eventually("all of them", PATIENCE, || addresses(&receiver).len() == 10);
    assert_eq!(addresses(&receiver), vec![ADDRESS; 10]);
    assert!(successor.stop().success());
}
