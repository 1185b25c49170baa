//! The protocol as a whole: what is read of a request, whose it is, and what is answered.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::*;
use crate::{
    event::Purposes,
    privacy::{
        personal::Personal,
        raw::{ClientAddress, RawEvent},
        refusal::Refusal,
        shape::Shape,
    },
};

const NOW: Timestamp = Timestamp(1_773_480_413_589);

fn request(path: &'static str, authorization: Option<&'static str>, body: &str) -> Inbound {
    let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
    let mut headers = HeaderMap::new();
    headers.extend(authorization.map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))));
    Inbound::new(http::Uri::from_static(path), headers, Bytes::copy_from_slice(body.as_bytes()), address, true, NOW)
}

/// The names and lengths of an event's fields.
fn shape(event: &RawEvent<'_>) -> Vec<(&'static str, usize)> {
    let inbound = request("/", None, "");
    let names = crate::protocol::cookies::CookieNames::new("v", None, &[]);
    let arrival = inbound.arrival(&names, ConsentSignal::Absent, Default::default());
    Shape::of(event, &arrival).fields.into_iter().filter(|(name, _)| *name != "client address").collect()
}

fn counts(path: &'static str, body: &str) -> (usize, Vec<(usize, DecodeError)>, ConsentSignal) {
    let inbound = request(path, None, body);
    let decoded = Segment.decode(&inbound, NOW);
    (decoded.events.len(), decoded.bad, decoded.signal)
}

#[test]
fn an_order_keeps_its_money_and_its_items() {
    let body = r#"{"event":"Order Completed","messageId":"ajs-next-1","userId":7,"anonymousId":"b","writeKey":"wk",
        "timestamp":"2026-03-14T09:26:52.000Z","sentAt":"2026-03-14T09:26:53.000Z",
        "context":{"page":{"url":"https://www.shop.example/thanks?utm_source=x","referrer":"https://www.shop.example/","title":"Thanks"},
                   "locale":"fr-CA","screen":{"width":1280},"library":{"name":"analytics.js"}},
        "properties":{"order_id":"o-1","total":"27.50","revenue":25,"tax":2.5,"shipping":"0","currency":"EUR","coupon":"spring",
                      "products":[{"product_id":"p1","name":"Cup","price":"12.50","quantity":2},"nonsense",{"sku":"s2"}],
                      "gift":true,"nested":{"a":1}}}"#;
    let inbound = request("/keso/v1/t", None, body);
    let decoded = Segment.decode(&inbound, NOW);
    let [event] = decoded.events.as_slice() else { panic!("one event") };
    let known = [
        ("name", 8),
        ("event id", 10),
        ("time", 0),
        ("page URL", 44),
        ("page title", 6),
        ("referrer", 25),
        ("value", 0),
        ("currency", 3),
        ("order id", 3),
        ("tax", 0),
        ("shipping", 0),
        ("coupon", 6),
        ("items", 0),
        ("user id", 1),
        ("language", 5),
        ("screen width", 0),
    ];
    assert_eq!(shape(event), known);
    assert_eq!((event.items.len(), event.unknown_fields), (2, 1), "what is no product, and what is nested, is left out");
    assert_eq!(event.properties.len(), 2, "gift, and the total beside the revenue");
    assert_eq!(event.time, Some(NOW.minus(Duration::from_secs(1))));
    assert_eq!(decoded.signal, ConsentSignal::Absent);
}

#[test]
fn a_single_product_is_an_item() {
    let body = r#"{"event":"Product Added","properties":{"product_id":"p1","sku":"s1","name":"Cup","price":9,"quantity":1,"coupon":"c","url":"https://www.shop.example/cup"}}"#;
    let inbound = request("/keso/v1/track", None, body);
    let decoded = Segment.decode(&inbound, NOW);
    assert_eq!(shape(&decoded.events[0]), [("name", 11), ("items", 0)]);
    assert_eq!(decoded.events[0].properties.len(), 3, "sku, coupon and url are properties");
}

#[test]
fn every_call_is_an_event_and_none_fails() {
    let calls = [
        ("/keso/v1/p", r#"{"properties":{"url":"https://www.shop.example/","title":"Home"}}"#, 9),
        ("/keso/v1/page", "{}", 9),
        ("/keso/v1/s", r#"{"name":"Basket"}"#, 11),
        ("/keso/v1/i", r#"{"userId":"u1","traits":{"email":"jane@example.org","plan":"gold"}}"#, 8),
        ("/keso/v1/g", r#"{"groupId":"g1","traits":{}}"#, 5),
        ("/keso/v1/a", r#"{"userId":"u2","previousId":"u1"}"#, 5),
    ];
    for (path, body, name) in calls {
        let inbound = request(path, None, body);
        let decoded = Segment.decode(&inbound, NOW);
        assert_eq!((decoded.events.len(), decoded.bad.len()), (1, 0), "{path}");
        let event = &decoded.events[0];
        assert_eq!(shape(event)[0], ("name", name), "{path}");
        // A screen has no address, but a name.
        assert_eq!(event.properties.len(), usize::from(path.ends_with("/s")), "{path}: traits and page properties are no properties");
    }
}

#[test]
fn the_good_calls_of_a_batch_are_kept_and_the_bad_ones_named() {
    let body = r#"{"batch":[{"type":"page"},{"type":"track"},7,{"type":"nonsense"},{},{"type":"track","event":"x"}],"sentAt":"no date"}"#;
    let (good, bad, _) = counts("/keso/v1/b", body);
    assert_eq!(good, 2);
    assert_eq!(bad.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(bad[1].1.byte, body.find('7'));
}

#[test]
fn hostile_bodies_get_a_reason() {
    let many = format!(r#"{{"batch":[{}]}}"#, vec![r#"{"type":"page"}"#; EVENTS_MAX + 1].join(","));
    for body in ["", "{", "nonsense", "[]", "null", "{}", r#"{"batch":7}"#, r#"{"batch":{}}"#, &many] {
        let (good, bad, _) = counts("/keso/v1/batch", body);
        assert_eq!((good, bad.len()), (0, 1), "{}", &body[..body.len().min(40)]);
    }
    let deep = format!(r#"{{"event":"x","properties":{}1{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    assert_eq!(counts("/keso/v1/t", &deep).0, 1, "what we do not read costs nothing, however deep");
    let odd = r#"{"event":"x","context":7,"properties":"p","messageId":{},"userId":null,"timestamp":5,"sentAt":[],"traits":1}"#;
    assert_eq!(counts("/keso/v1/t", odd).0, 1, "a field of another type is not there, and the rest counts");
}

#[test]
fn the_strictest_choice_of_a_batch_holds() {
    let call = |choice: &str| format!(r#"{{"type":"page","context":{{"consent":{{"categoryPreferences":{choice}}}}}}}"#);
    let yes = call(r#"{"Analytics":true}"#);
    let no = call(r#"{"Analytics":false}"#);
    let given = |purposes| ConsentSignal::Given { purposes, seconds_left: None };
    let signal = |calls: &[&str]| counts("/v1/b", &format!(r#"{{"batch":[{}]}}"#, calls.join(","))).2;
    assert_eq!(signal(&[&yes, &yes]), given(Purposes::ANALYTICS));
    assert_eq!(signal(&["7", &yes]), given(Purposes::ANALYTICS), "what is no call has no say");
    assert_eq!(signal(&[&yes, &no]), given(Purposes::NONE));
    assert_eq!(signal(&[&yes, r#"{"type":"page"}"#]), ConsentSignal::Absent);
    let for_all = r#"{"batch":[{"type":"page"}],"context":{"consent":{"categoryPreferences":{"Analytics":true}}}}"#;
    assert_eq!(counts("/v1/b", for_all).2, given(Purposes::ANALYTICS));
}

/// A site with a write key.
fn site() -> Site {
    let documents = r#"
        [[policy]]
        name = "default"
        [[site]]
        name = "shop"
        hosts = ["www.shop.example"]
        origins = ["https://www.shop.example"]
        prefix = "/keso"
        policy = "default"
        keys = { segment = ["wk_1"] }
    "#;
    let state = std::sync::Arc::new(crate::state::StateDb::open(std::path::Path::new(crate::state::IN_MEMORY)).expect("a new database"));
    let store = crate::documents::store::DocumentStore::new(state);
    let author = crate::documents::store::Author { name: "test", reason: "test", at: NOW };
    let file = crate::documents::parse::DocumentFile::parse(documents).expect("documents");
    store.apply(file.into_documents(), false, false, &author).expect("they are right");
    let compiled = store.compiled().expect("they compile");
    let site = compiled.by_host.get("www.shop.example").and_then(|sites| sites.first()).cloned().expect("the site");
    drop(compiled);
    std::sync::Arc::into_inner(site).expect("nobody else has it")
}

#[test]
fn the_write_key_says_whose_it_is() {
    let site = site();
    let cases = [
        (r#"{"writeKey":"wk_1"}"#, None, true),
        (r#"{"writeKey":"other"}"#, None, false),
        ("{}", None, false),
        ("{}", Some("Basic d2tfMTo="), true),
        ("{}", Some("basic d2tfMQ=="), true),
        (r#"{"writeKey":"other"}"#, Some("Basic d2tfMTo="), false),
        ("{}", Some("Bearer d2tfMTo="), false),
        ("{}", Some("Basic !"), false),
    ];
    for (body, authorization, known) in cases {
        let inbound = request("/keso/v1/p", authorization, body);
        let key = Segment.decode(&inbound, NOW).key.expect("this protocol has keys");
        assert_eq!(key.is_of(&site, "segment"), known, "{body} {authorization:?}");
    }
}

#[test]
fn the_settings_document_keeps_the_library_here() {
    let site = site();
    let reply = settings::serve(&site, &request("/keso/v1/projects/wk_1/settings", None, ""));
    assert_eq!(reply.status, StatusCode::OK);
    let document: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    let expected = serde_json::json!({
        "integrations": { "Segment.io": { "apiKey": "wk_1", "apiHost": "www.shop.example/keso/v1", "protocol": "https" } },
        "metrics": { "sampleRate": 0, "host": "www.shop.example/keso/v1" },
    });
    assert_eq!(document, expected);
    for other in ["/keso/v1/projects/wk_2/settings", "/keso/v1/projects//settings"] {
        assert_eq!(settings::serve(&site, &request(other, None, "")).status, StatusCode::NOT_FOUND, "{other}");
    }
}

/// What the settings document names for a request with that `Host`, to a site with those origins.
fn api_host(host: &'static str, origins: &[&str]) -> String {
    let site = Site { origins: origins.iter().map(|origin| (*origin).to_owned()).collect(), ..site() };
    let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
    let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
    let uri = http::Uri::from_static("/keso/v1/projects/wk_1/settings");
    let reply = settings::serve(&site, &Inbound::new(uri, headers, Bytes::new(), address, true, NOW));
    let document: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    document["integrations"]["Segment.io"]["apiHost"]
        .as_str()
        .and_then(|here| here.strip_suffix("/keso/v1"))
        .expect("the prefix")
        .to_owned()
}

#[test]
fn the_settings_document_names_the_host_and_port_that_were_asked() {
    let plain = &["https://www.shop.example"][..];
    let odd = &["https://www.shop.example:8443", "https://other.example"][..];
    let cases = [
        ("www.shop.example", plain, "www.shop.example"),
        ("WWW.shop.example.:8443", plain, "www.shop.example:8443"),
        ("www.shop.example", odd, "www.shop.example:8443"),
        ("www.shop.example:9443", odd, "www.shop.example:9443"),
        ("www.shop.example", &["https://www.shop.example:8443", "https://www.shop.example"], "www.shop.example"),
        ("www.shop.example", &["https://www.shop.example:8443", "https://www.shop.example:9443"], "www.shop.example"),
        ("www.shop.example:443@evil.example", plain, "www.shop.example"),
        ("evil.example:8443", plain, "www.shop.example:8443"),
        ("[::1]", plain, "www.shop.example"),
    ];
    for (host, origins, expected) in cases {
        assert_eq!(api_host(host, origins), expected, "{host} {origins:?}");
    }
}

#[test]
fn a_pixel_is_a_call_and_is_answered_with_an_image() {
    let read = |uri: &'static str| {
        let inbound = request(uri, None, "");
        let decoded = Segment.decode(&inbound, NOW);
        let reply = Segment.reply(&decoded.hints, &Outcome { bad: decoded.bad.clone(), ..Outcome::default() });
        assert!(reply.status == StatusCode::OK && reply.body.starts_with(b"GIF89a"), "{uri}");
        (
            decoded.events.iter().map(shape).collect::<Vec<_>>(),
            decoded.bad.len(),
            decoded.key.is_some_and(|key| key.is_of(&site(), "segment")),
        )
    };
    // {"writeKey":"wk_1","event":"Email Opened","properties":{"plan":"gold"}}
    let encoded =
        "/keso/v1/pixel/track?data=eyJ3cml0ZUtleSI6IndrXzEiLCJldmVudCI6IkVtYWlsIE9wZW5lZCIsInByb3BlcnRpZXMiOnsicGxhbiI6ImdvbGQifX0";
    assert_eq!(read(encoded), (vec![vec![("name", 12)]], 0, true));
    let by_field = "/keso/v1/pixel/page?writeKey=wk_1&context.page.url=https%3A%2F%2Fwww.shop.example%2F";
    assert_eq!(read(by_field), (vec![vec![("name", 9), ("page URL", 25)]], 0, true));
    assert_eq!(read("/keso/v1/pixel/track?data=nonsense"), (vec![], 1, false));
    assert_eq!(read("/keso/v1/pixel/track"), (vec![], 1, false), "a track call without an event");
    let hints = ReplyHints { events: 1, image: true, ..ReplyHints::default() };
    let later = Outcome { unavailable: Some(Duration::from_secs(2)), ..Outcome::default() };
    assert_eq!(Segment.reply(&hints, &later).status, StatusCode::SERVICE_UNAVAILABLE, "nothing was kept, and nothing says so");
}

#[test]
fn answers_stop_the_library_or_make_it_come_back() {
    let bad = |index| (index, DecodeError { reason: "not JSON", byte: Some(3) });
    let hints = |events| ReplyHints { events, ..ReplyHints::default() };
    let wait = Some(Duration::from_millis(1_500));
    let cases = [
        (hints(1), Outcome { stored: 1, ..Outcome::default() }, 200),
        (hints(1), Outcome { refused: vec![Refusal::UnknownKey], ..Outcome::default() }, 200),
        (hints(2), Outcome { stored: 1, bad: vec![bad(1)], ..Outcome::default() }, 200),
        (hints(0), Outcome::default(), 200),
        (hints(2), Outcome { bad: vec![bad(0), bad(1)], ..Outcome::default() }, 400),
        (hints(0), Outcome { bad: vec![bad(0)], ..Outcome::default() }, 400),
        (hints(1), Outcome { over_quota: wait, ..Outcome::default() }, 429),
        (hints(1), Outcome { unavailable: wait, ..Outcome::default() }, 503),
    ];
    for (hints, outcome, status) in cases {
        let reply = Segment.reply(&hints, &outcome);
        assert_eq!(reply.status.as_u16(), status);
        match status {
            200 => assert_eq!(reply.body, br#"{"success":true}"#.as_slice()),
            400 => assert_eq!(reply.body, b"not JSON at byte 3\n".as_slice()),
            _ => assert!(reply.headers.contains(&(header::RETRY_AFTER, Cow::Borrowed("1")))),
        }
    }
}
