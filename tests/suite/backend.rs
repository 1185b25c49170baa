//! A site's backend that sends events by a vendor's SDK: where it says the value of the visitor's cookie as the library's id of the visitor, the events
//! are that visitor's, with the consent that they gave; any other id tells nothing.

use std::time::Duration;

use firsthand::clock::Timestamp;
use serde_json::{Value, json};

use crate::{
    installation::{SITE, file_destination},
    line::{Line, RawRequest, Received},
};

const NOW: Timestamp = Timestamp(1_773_480_413_589);

fn line() -> Line {
    let destinations = file_destination("measurement", "exempt_measurement", "measurement")
        + &file_destination("customers", "consent", "consented-analytics");
    Line::new(&(SITE.to_owned() + &destinations), 1)
}

/// A request of the backend's, in PostHog's words: from its own address, without a cookie.
fn by_backend(ids: &[&str]) -> RawRequest {
    let event = |id: &&str| json!({ "event": "Order Completed", "distinct_id": id, "properties": { "order_id": "A-1", "revenue": 25, "currency": "EUR" } });
    let body = json!({ "api_key": "phc_1", "batch": ids.iter().map(event).collect::<Vec<_>>() });
    let mut request = RawRequest::beacon([203, 0, 113, 80].into(), body.to_string());
    request.path = String::from("/keso/batch/");
    request
}

fn by_browser(said: &str) -> RawRequest {
    RawRequest::beacon([192, 0, 2, 7].into(), said.to_owned())
}

fn cookie_of(received: &Received) -> String {
    received.cookies[0].split(['=', ';']).nth(1).expect("a value").to_owned()
}

/// What customers get of a request's first event.
fn customers(line: &Line, received: Received) -> Option<Value> {
    let offset = line.append(0, received)?;
    let disclosures = line.disclosures(&line.records(0, offset)[0], NOW);
    let (_, text) = disclosures.into_iter().find(|(name, _)| name == "customers").expect("it is in the documents");
    serde_json::from_str(&text).ok()
}

#[test]
fn what_a_backend_sends_of_a_visitor_is_theirs_as_far_as_they_agreed() {
    let line = line();
    let first = line.receive(&by_browser(r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#), NOW);
    let cookie = cookie_of(&first);
    let seen = customers(&line, first).expect("they agreed");

    let later = NOW.plus(Duration::from_secs(2));
    let sent = line.receive(&by_backend(&[&cookie]), later);
    assert!(sent.cookies.is_empty(), "a backend is given no cookie");
    let order = customers(&line, sent).expect("their consent counts");
    assert_eq!(order["visitor_id"], seen["visitor_id"]);
    assert_eq!((&order["value"], &order["currency"]), (&json!(25.0), &json!("EUR")));

    for (ids, what) in [
        (vec!["AAECAwQFBgcICQoLDA0ODw"], "a value that is nobody's cookie"),
        (vec!["jane-1"], "an id of the site's"),
        (vec![cookie.as_str(), "jane-1"], "a batch of several visitors"),
    ] {
        assert!(customers(&line, line.receive(&by_backend(&ids), later)).is_none(), "{what}");
    }

    line.receive(&by_browser(r#"{"g":[]}"#).with("cookie", &format!("__Host-w={cookie}")), later);
    assert!(customers(&line, line.receive(&by_backend(&[&cookie]), later)).is_none(), "they withdrew");
}
