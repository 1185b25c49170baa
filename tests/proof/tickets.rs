//! Tickets: who gets one, and for how long it tells of a visit.

use std::time::Duration;

use firsthand::{clock::Timestamp, protocol::server::fingerprint};
use serde_json::{Value, json};

use crate::{
    Found,
    line::{Line, RawRequest},
    unless,
    visit::{NOW, beacon, cookie_of, documents, gets_at},
};

/// A site whose backend has a key, and the cookie of somebody who agreed and came by a campaign.
fn visited() -> (Line, String) {
    let keys = format!("\nkeys = {{ server = [\"{}\"] }}\n[[destination]]", fingerprint("fhk_proof"));
    let line = Line::new(&documents().replacen("\n[[destination]]", &keys, 1), 1);
    let cookie = cookie_of(&line.receive(&beacon("\"g\":[\"analytics\"],", ""), NOW));
    (line, cookie)
}

fn asks(cookie: &str) -> RawRequest {
    let mut request = RawRequest::beacon([192, 0, 2, 7].into(), String::new()).with("cookie", cookie);
    request.path = String::from("/keso/v");
    request
}

/// What customers get of an order with this ticket.
fn order(line: &Line, ticket: &str, at: Timestamp) -> Value {
    let body = json!({ "event": "Order Completed", "messageId": at.0.to_string(), "ticket": ticket }).to_string();
    let mut request = RawRequest::beacon([203, 0, 113, 80].into(), body).with("authorization", "Bearer fhk_proof");
    request.path = String::from("/keso/v1/events");
    let received = line.receive(&request, at);
    let offset = line.append(0, received).expect("it rests");
    gets_at(line, offset, "customers", at).expect("they agreed")
}

pub(crate) fn a_browser_that_objects() -> Found {
    let (line, cookie) = visited();
    assert!(line.ticket(&asks(&cookie), NOW).is_some(), "the control: who agreed gets one");
    unless(line.ticket(&asks(&cookie).with("sec-gpc", "1"), NOW).is_some(), "a ticket of a browser that sends Global Privacy Control")
}

pub(crate) fn an_old_ticket() -> Found {
    let (line, cookie) = visited();
    let ticket = line.ticket(&asks(&cookie), NOW).expect("they agreed");
    let soon = order(&line, &ticket, NOW.plus(Duration::from_secs(3600)));
    assert!(soon["campaign"]["source"] == "letter" && soon["session_id"].is_string(), "the control: an hour later it tells of the visit");
    let late = order(&line, &ticket, NOW.plus(Duration::from_secs(73 * 3600)));
    unless(!late["campaign"].is_null() || late["session_id"].is_string(), "the campaign and the visit of an order, three days after it")
}
