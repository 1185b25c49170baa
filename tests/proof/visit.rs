//! A site with a destination of every kind, and what becomes of one visitor's events there, through the library.

use firsthand::{clock::Timestamp, event::Offset, event_log::LogRecord};
use serde_json::Value;

use crate::{
    installation::{SITE, destination, file_destination},
    line::{Became, Line, RawRequest, Received},
};

/// When everything happens: a moment at which the consent strings of the cases were made.
pub(crate) const NOW: Timestamp = Timestamp(1_773_480_413_589);

/// Destinations of the exemption and of each purpose; two of a kind where their ids are compared.
pub(crate) fn documents() -> String {
    let settings = |name: &str| format!("settings = {{ directory = \"outbox/{name}\" }}");
    let of = |name: &str, purpose: &str, transform: &str| {
        destination(name, "file", "consent", transform, &settings(name)).replace("\"analytics\"", &format!("\"{purpose}\""))
    };
    [
        SITE.to_owned(),
        file_destination("measurement", "exempt_measurement", "measurement"),
        file_destination("partner", "exempt_measurement", "measurement"),
        of("customers", "analytics", "consented-analytics"),
        of("warehouse", "analytics", "consented-analytics"),
        of("profiles", "profile", "consented-profile"),
        of("campaigns", "ads", "consented-ads"),
    ]
    .concat()
}

/// The site with one destination for everyone.
pub(crate) fn exempt(transform: &str) -> String {
    SITE.to_owned() + &file_destination("measurement", "exempt_measurement", transform)
}

/// The same documents with something more in the policy.
pub(crate) fn with_policy(documents: &str, more: &str) -> String {
    documents.replacen("\n[[site]]", &format!("\n{more}\n[[site]]"), 1)
}

/// A beacon that says this of the choice (`"g":["analytics"],`), with one event that says all it can, and this more (`,"h":1`).
pub(crate) fn beacon(choice: &str, more: &str) -> RawRequest {
    let event = format!(
        r#"{{"k":"purchase","p":"https://www.shop.example/thanks?utm_source=letter","r":"https://search.example/","v":62.55,"m":"EUR",
           "x":"A-1007","a":"customer-7","d":{{"plan":"pro"}}{more}}}"#
    );
    RawRequest::beacon([192, 0, 2, 7].into(), format!("{{{choice}\"e\":[{event}]}}"))
}

/// An objection or a choice without an event.
pub(crate) fn message(choice: &str) -> RawRequest {
    RawRequest::beacon([192, 0, 2, 7].into(), format!("{{{choice}}}"))
}

/// The name and value of the one cookie that was set.
pub(crate) fn cookie_of(received: &Received) -> String {
    assert_eq!(received.cookies.len(), 1, "one cookie is set");
    received.cookies[0].split(';').next().unwrap().to_owned()
}

/// Whether the one event of a request came to rest.
pub(crate) fn rests(received: &Received) -> bool {
    matches!(received.events[..], [Became::Clean(_)])
}

/// Takes a beacon in, which has to come to rest.
pub(crate) fn captured(line: &Line, request: &RawRequest) -> (Offset, Received) {
    let received = line.receive(request, NOW);
    assert!(rests(&received), "the event comes to rest");
    let cookies = Received { state: received.state, events: Vec::new(), unreadable: Vec::new(), cookies: received.cookies.clone() };
    (line.append(0, received).expect("it is new"), cookies)
}

pub(crate) fn record(line: &Line, offset: Offset) -> LogRecord {
    line.records(0, offset).remove(0)
}

/// What a destination gets of a record, if it gets something.
pub(crate) fn gets(line: &Line, offset: Offset, destination: &str) -> Option<Value> {
    gets_at(line, offset, destination, NOW)
}

pub(crate) fn gets_at(line: &Line, offset: Offset, destination: &str, now: Timestamp) -> Option<Value> {
    let disclosures = line.disclosures(&record(line, offset), now);
    let (_, text) = disclosures.into_iter().find(|(name, _)| name == destination).expect("a destination of the documents");
    serde_json::from_str(&text).ok()
}
