//! `amplitude`: what Amplitude's SDKs send when their `serverUrl` is `<prefix>/2/httpapi`:
//! <https://amplitude.com/docs/apis/analytics/http-v2>. JSON with `api_key`, the vendor's key of the site, and at most 250 `events`.
//!
//! | Amplitude's | ours |
//! |---|---|
//! | `[Amplitude] Page Viewed` | `page_view` |
//! | `$identify`, `$groupidentify` | `identify`, `group`; what is `$set` the vendor's own (`amplitude.set.plan`) |
//! | `revenue_amount` | `purchase` |
//! | any other `event_type` | that name in canonical words |
//! | `insert_id` | the client's event id, for recognising a retry |
//! | `time` and `client_upload_time` | the time, with the sender's clock taken out |
//! | `user_id` | user id as claimed |
//! | `device_id` | tells, in the minute after a first yes, that several requests are one browser's; rests nowhere |
//! | `language` | language |
//! | `[Amplitude] Page Location` (else `Page URL`, which has no query), `[Amplitude] Page Title`, `referrer` of `event_properties` | page, title, referrer |
//! | `revenue`, `price`, `quantity`, `productId`, and `$revenue`, `$price`, `$quantity`, `$productId` | value and the product |
//! | `event_properties`, the rest | money, products and properties, where they are flat |
//! | `ip`, `location_*`, `idfa`, `adid`, `carrier` and what else tells of the terminal | not taken |

use std::borrow::Cow;

use http::Method;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, xhr},
    native::{describe, place},
    reading::{
        commerce,
        loose::{Fields, flat, list},
        names::{self, Subject},
        sender_clock::{corrected, instant},
    },
};
use crate::{
    clock::Timestamp,
    event::vocabulary,
    privacy::{
        personal::Personal,
        raw::{RawEvent, RawItem},
    },
};

/// Events in one body; the SDKs send 30 by default, some 200.
const EVENTS_MAX: usize = 250;

/// The protocol of Amplitude's SDKs.
pub struct Amplitude;

impl Protocol for Amplitude {
    fn name(&self) -> &'static str {
        "amplitude"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::POST, path: "/2/httpapi", action: Action::Collect },
            Route { method: Method::POST, path: "/2/batch", action: Action::Collect },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[
            Library {
                name: "@amplitude/analytics-browser",
                tried: Some("2.48.1"),
                code: Code::Own,
                change: Some(r#"amplitude.init("{key}", { serverUrl: "{base}/2/httpapi", fetchRemoteConfig: false })"#),
                before: &[xhr("https://api2.amplitude.com/2/httpapi")],
                known_before: &[List::EasyPrivacy],
                asks: &[xhr("/2/httpapi")],
                known: &[],
            },
            Library {
                name: "@amplitude/analytics-node",
                tried: Some("1.5.73"),
                code: Code::Server,
                change: Some(r#"init("{key}", { serverUrl: "{base}/2/httpapi" })"#),
                before: &[],
                known_before: &[],
                asks: &[xhr("/2/httpapi")],
                known: &[],
            },
        ];
        LIBRARIES
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let bytes = request.body();
        let mut body: Fields<'a> = match serde_json::from_slice(bytes) {
            Ok(body) => body,
            Err(error) => return unreadable(describe(&error, bytes, 0)),
        };
        let key = Some(VendorKey::new(&body.words("api_key").unwrap_or_default()));
        let Some(said) = body.take("events").and_then(list) else {
            return unreadable(DecodeError { reason: "a body needs a list of events (events)", byte: None });
        };
        if said.len() > EVENTS_MAX {
            return unreadable(DecodeError { reason: "more than 250 events", byte: None });
        }
        let sent = body.take("client_upload_time").and_then(instant);
        let hints = ReplyHints { events: said.len(), bytes: bytes.len(), ..ReplyHints::default() };
        let mut decoded = Decoded { key, hints, ..Decoded::default() };
        for (index, one) in said.into_iter().enumerate() {
            match Fields::of(one).ok_or("an event is an object").and_then(|fields| event(fields, sent, now)) {
                Ok(event) => decoded.events.push(event),
                Err(reason) => decoded.bad.push((index, DecodeError { reason, byte: place(one.get(), bytes) })),
            }
        }
        decoded
    }

    /// The SDKs keep what is answered 429 or 5xx and send it again, and drop what is answered 400 and names nothing.
    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        match outcome.bad.first() {
            Some((_, error)) if outcome.bad.len() >= hints.events => {
                let text = format!(r#"{{"code":400,"error":"{}"}}"#, error.reason);
                Reply { status: http::StatusCode::BAD_REQUEST, ..Reply::json(text) }
            }
            _ => {
                let taken = hints.events - outcome.bad.len();
                Reply::json(format!(r#"{{"code":200,"events_ingested":{taken},"payload_size_bytes":{}}}"#, hints.bytes))
            }
        }
    }
}

fn unreadable(error: DecodeError) -> Decoded<'static> {
    Decoded { bad: vec![(0, error)], ..Decoded::default() }
}

fn event<'a>(mut fields: Fields<'a>, sent: Option<i64>, now: Timestamp) -> Result<RawEvent<'a>, &'static str> {
    let said = fields.words("event_type").ok_or("an event needs a type (event_type)")?;
    let (name, subject) = match vocabulary::exactly(vocabulary::AMPLITUDE, &said) {
        Some(ours) => (ours.to_owned(), Subject::Order),
        None => names::canonical(said.strip_prefix("[Amplitude] ").unwrap_or(&said)),
    };
    let mut properties = fields.object("event_properties");
    let mut text = |names: &[&str]| names.iter().find_map(|name| properties.text(name));
    let (page_url, page_title) = (text(&["[Amplitude] Page Location", "[Amplitude] Page URL"]), text(&["[Amplitude] Page Title"]));
    let referrer = text(&["referrer", "[Amplitude] Referrer"]);
    properties.leave(&["[Amplitude] Page URL", "[Amplitude] Page Domain", "[Amplitude] Page Path", "[Amplitude] Page Counter"]);
    let happened = fields.number("time").map(|time| time as i64);
    let mut event = RawEvent {
        name: Some(Personal::new(if name.is_empty() { Cow::Borrowed("custom") } else { Cow::Owned(name) })),
        client_id: fields.text("insert_id"),
        time: happened.and_then(|happened| corrected(happened, sent, now)),
        page_url,
        page_title,
        referrer,
        user_id: fields.text("user_id"),
        browser_id: fields.text("device_id"),
        language: fields.text("language"),
        ..RawEvent::default()
    };
    let sale = sale(&mut fields, &mut properties);
    commerce::take(&mut event, &mut properties, subject);
    if let Some((value, item)) = sale {
        event.value = value;
        event.items.extend(item);
    }
    for (object, kept) in [("user_properties", "set"), ("group_properties", "group")] {
        let mut updates = fields.object(object);
        for operation in ["$set", "$setOnce"] {
            for (name, value) in updates.object(operation).rest() {
                event.keep(format!("{kept}.{name}"), flat(value));
            }
        }
        for (name, value) in updates.rest().filter(|(name, _)| !name.starts_with('$')) {
            event.keep(format!("{kept}.{name}"), flat(value));
        }
    }
    for (name, value) in [("platform", fields.take("platform")), ("app_version", fields.take("app_version"))] {
        if let Some(value) = value {
            event.keep(name, flat(value));
        }
    }
    let (properties, left_out) = properties.into_properties();
    event.properties = properties;
    event.unknown_fields += left_out + fields.left();
    Ok(event)
}

/// What an event says of one product that was sold: by fields of its own, or by the properties that the SDKs' `revenue()` makes.
fn sale<'a>(fields: &mut Fields<'a>, properties: &mut Fields<'a>) -> Option<(Option<Personal<f64>>, Option<RawItem<'a>>)> {
    let mut number = |plain: &str, marked: &str| fields.number(plain).or_else(|| properties.number(marked));
    let (revenue, price, quantity) = (number("revenue", "$revenue"), number("price", "$price"), number("quantity", "$quantity"));
    let id = fields.text("productId").or_else(|| properties.text("$productId"));
    let value = revenue.or_else(|| Some(price? * quantity.unwrap_or(1.0)))?;
    let item =
        id.map(|id| RawItem { id: Some(id), price: price.map(Personal::new), quantity: quantity.map(Personal::new), ..RawItem::default() });
    Some((Some(Personal::new(value)), item))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::privacy::raw::ClientAddress;

    const NOW: Timestamp = Timestamp(1_773_480_413_589);

    fn inbound(body: &str) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let uri = http::Uri::from_static("/keso/2/httpapi");
        Inbound::new(uri, http::HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()), address, true, NOW)
    }

    #[test]
    fn the_good_events_are_taken_and_counted() {
        let body = r#"{"api_key":"k","client_upload_time":"2026-03-14T09:26:53.589Z","events":[{"event_type":"[Amplitude] Page Viewed","time":1773480410000,"ip":"$remote","event_properties":{"[Amplitude] Page URL":"https://a/"}},{"time":1},7]}"#;
        let inbound = inbound(body);
        let decoded = Amplitude.decode(&inbound, NOW);
        assert_eq!((decoded.events.len(), decoded.bad.len()), (1, 2));
        assert_eq!(decoded.events[0].time, Some(Timestamp(1_773_480_410_000)));
        assert!(decoded.events[0].page_url.is_some());
        let reply = Amplitude.reply(&decoded.hints, &Outcome { bad: decoded.bad.clone(), ..Outcome::default() });
        let text = String::from_utf8(reply.body.into_owned()).expect("text");
        assert_eq!(text, format!(r#"{{"code":200,"events_ingested":1,"payload_size_bytes":{}}}"#, body.len()));
    }

    #[test]
    fn a_sale_is_read_from_either_place() {
        for event in [
            r#"{"event_type":"revenue_amount","event_properties":{"$productId":"cup-1","$price":12.5,"$quantity":2,"$revenue":25}}"#,
            r#"{"event_type":"revenue_amount","productId":"cup-1","price":12.5,"quantity":2}"#,
        ] {
            let inbound = inbound(&format!(r#"{{"api_key":"k","events":[{event}]}}"#));
            let decoded = Amplitude.decode(&inbound, NOW);
            let event = &decoded.events[0];
            assert_eq!((event.value.is_some(), event.items.len(), event.properties.len()), (true, 1, 0));
        }
    }

    #[test]
    fn what_a_person_is_like_is_the_vendors_own() {
        let event = r#"{"event_type":"$identify","user_properties":{"$set":{"plan":"gold"},"$setOnce":{"first":1},"$unset":{"x":"-"}}}"#;
        let inbound = inbound(&format!(r#"{{"api_key":"k","events":[{event}]}}"#));
        assert_eq!(Amplitude.decode(&inbound, NOW).events[0].vendor_fields.len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_not_kept_for_later() {
        for body in ["", "[]", "{}", r#"{"events":{}}"#, r#"{"events":[{}]}"#] {
            let inbound = inbound(body);
            let decoded = Amplitude.decode(&inbound, NOW);
            let reply = Amplitude.reply(&decoded.hints, &Outcome { bad: decoded.bad.clone(), ..Outcome::default() });
            assert_eq!(reply.status.as_u16(), 400, "{body}");
        }
    }
}
