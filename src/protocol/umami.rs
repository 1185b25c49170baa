//! `umami`: what Umami's tracker sends when its `data-host-url` is the site's prefix: `POST <prefix>/api/send`, and `/api/batch` with a list of the same:
//! <https://umami.is/docs/api/sending-stats>. The id of the website is the vendor's key of the site.
//!
//! | Umami's | ours |
//! |---|---|
//! | `type` `event` without `payload.name` | `page_view` |
//! | `event` with `name` | that name in canonical words |
//! | `identify` | `identify`, its `data` the vendor's own (`umami.data.plan`) |
//! | `performance` | `web_vitals`, with the properties `lcp`, `inp`, `cls`, `fcp`, `ttfb` |
//! | `url` (a path) and `hostname`, `referrer`, `title`, `language`, `screen` | page, referrer, title, language, screen |
//! | `data` | money, products and properties, where it is flat |
//! | `id` | user id as claimed |
//! | `timestamp` (seconds) | the time, where it is no more than 72 hours ago |
//! | `tag` | the vendor's own, `umami.tag` |
//! | `ip`, `userAgent`, `browser`, `os`, `device` | not taken |
//!
//! The tracker wants JSON with `cache` in it, which it says again in a header; ours is the same for everyone.

use std::borrow::Cow;

use http::Method;
use serde_json::value::RawValue;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, script, xhr},
    native::{describe, place},
    reading::{
        commerce,
        loose::{Fields, flat},
        names::{self, Subject},
        sender_clock::corrected,
    },
};
use crate::{
    clock::Timestamp,
    privacy::{
        personal::Personal,
        raw::{PropertyValue, RawEvent},
    },
};

/// Events in one batch; the tracker sends one at a time.
const EVENTS_MAX: usize = 100;
/// What a performance event measures.
const VITALS: [&str; 5] = ["lcp", "inp", "cls", "fcp", "ttfb"];

/// The protocol of Umami's tracker.
pub struct Umami;

impl Protocol for Umami {
    fn name(&self) -> &'static str {
        "umami"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::POST, path: "/api/send", action: Action::Collect },
            Route { method: Method::POST, path: "/api/batch", action: Action::Collect },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[
            Library {
                name: "Umami's script.js",
                tried: Some("2.10.0"),
                code: Code::Own,
                change: Some(r#"<script defer src="/script.js" data-website-id="{key}" data-host-url="{base}"></script>"#),
                before: &[script("https://cloud.umami.is/script.js"), xhr("https://api-gateway.umami.dev/api/send")],
                known_before: &[List::EasyPrivacy, List::Ublock],
                asks: &[xhr("/api/send")],
                known: &[],
            },
            Library {
                name: "@umami/node",
                tried: Some("0.4.0"),
                code: Code::Server,
                change: Some(r#"new Umami({ websiteId: "{key}", hostUrl: "{base}" })"#),
                before: &[],
                known_before: &[],
                asks: &[xhr("/api/send")],
                known: &[],
            },
        ];
        LIBRARIES
    }

    fn request_headers(&self) -> &'static [&'static str] {
        &["x-umami-cache"]
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let body = request.body();
        if request.path().ends_with("/batch") {
            return match serde_json::from_slice::<Vec<&RawValue>>(body) {
                Ok(events) if events.len() > EVENTS_MAX => unreadable(DecodeError { reason: "more than 100 events", byte: None }),
                Ok(events) => read(&events, body, true, now),
                Err(error) => unreadable(describe(&error, body, 0)),
            };
        }
        match serde_json::from_slice::<&RawValue>(body) {
            Ok(event) => read(&[event], body, false, now),
            Err(error) => unreadable(describe(&error, body, 0)),
        }
    }

    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        match outcome.bad.first() {
            Some((_, error)) if outcome.bad.len() >= hints.events => Reply::unreadable(error),
            _ if hints.batch => {
                let (size, errors) = (hints.events, outcome.bad.len());
                let processed = size - errors;
                Reply::json(format!(r#"{{"size":{size},"processed":{processed},"errors":{errors},"details":[],"cache":"1"}}"#))
            }
            _ => Reply::json(r#"{"cache":"1","sessionId":"","visitId":""}"#),
        }
    }
}

fn unreadable(error: DecodeError) -> Decoded<'static> {
    Decoded { bad: vec![(0, error)], ..Decoded::default() }
}

fn read<'a>(events: &[&'a RawValue], body: &'a [u8], batch: bool, now: Timestamp) -> Decoded<'a> {
    let mut decoded = Decoded { hints: ReplyHints { events: events.len(), batch, ..ReplyHints::default() }, ..Decoded::default() };
    let mut site: Option<Cow<'a, str>> = None;
    for (index, said) in events.iter().enumerate() {
        let read = Fields::of(said).ok_or("an event is an object").and_then(|mut fields| {
            let mut payload = fields.take("payload").and_then(Fields::of).ok_or("an event needs a payload")?;
            let website = payload.words("website").ok_or("a payload needs a website")?;
            if site.get_or_insert_with(|| website.clone()) != &website {
                return Err("all events of a batch are of one website");
            }
            event(&fields.words("type").unwrap_or_default(), payload, now)
        });
        match read {
            Ok(event) => decoded.events.push(event),
            Err(reason) => decoded.bad.push((index, DecodeError { reason, byte: place(said.get(), body) })),
        }
    }
    decoded.key = Some(VendorKey::new(site.as_deref().unwrap_or_default()));
    decoded
}

fn event<'a>(kind: &str, mut payload: Fields<'a>, now: Timestamp) -> Result<RawEvent<'a>, &'static str> {
    let mut event = RawEvent::default();
    let mut data = payload.object("data");
    let said = payload.words("name");
    let name = match kind {
        "event" => match said {
            None => Cow::Borrowed("page_view"),
            Some(said) => {
                let (name, subject) = names::canonical(&said);
                commerce::take(&mut event, &mut data, subject);
                if name.is_empty() { Cow::Borrowed("custom") } else { Cow::Owned(name) }
            }
        },
        "identify" => {
            for (name, value) in std::mem::take(&mut data).rest() {
                event.keep(format!("data.{name}"), flat(value));
            }
            Cow::Borrowed("identify")
        }
        "performance" => {
            for name in VITALS {
                let number = payload.number(name).map(PropertyValue::Number);
                event.properties.extend(number.map(|number| (Personal::new(Cow::Borrowed(name)), Personal::new(number))));
            }
            Cow::Borrowed("web_vitals")
        }
        _ => return Err("an event's type is event, identify or performance"),
    };
    if name == "page_view" {
        commerce::take(&mut event, &mut data, Subject::Order);
    }
    let (properties, left_out) = data.into_properties();
    event.properties.extend(properties);
    let host = payload.words("hostname");
    let url = payload.words("url").map(|url| match host {
        Some(host) if url.starts_with('/') => Cow::Owned(format!("https://{host}{url}")),
        _ => url,
    });
    let seconds = payload.number("timestamp").map(|seconds| (seconds * 1e3) as i64);
    let width = payload.words("screen").and_then(|size| size.split_once('x')?.0.parse().ok()).filter(|width| *width > 0);
    if let Some(tag) = payload.take("tag") {
        event.keep("tag", flat(tag));
    }
    payload.leave(&["ip", "userAgent", "browser", "os", "device"]);
    let id = payload.words("id");
    Ok(RawEvent {
        name: Some(Personal::new(name)),
        time: seconds.and_then(|happened| corrected(happened, None, now)),
        page_url: url.map(Personal::new),
        page_title: payload.text("title"),
        referrer: payload.text("referrer"),
        language: payload.text("language"),
        user_id: id.clone().map(Personal::new),
        // What a server's client calls somebody is all that it knows of them.
        browser_id: id.map(Personal::new),
        screen_width: width.map(Personal::new),
        unknown_fields: event.unknown_fields + left_out + payload.left(),
        ..event
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::privacy::raw::ClientAddress;

    const NOW: Timestamp = Timestamp(1_773_480_413_589);

    fn inbound(path: &'static str, body: &str) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        Inbound::new(http::Uri::from_static(path), http::HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()), address, true, NOW)
    }

    fn answer(path: &'static str, body: &str) -> (usize, usize, u16, String) {
        let inbound = inbound(path, body);
        let decoded = Umami.decode(&inbound, NOW);
        let reply = Umami.reply(&decoded.hints, &Outcome { bad: decoded.bad.clone(), ..Outcome::default() });
        (decoded.events.len(), decoded.bad.len(), reply.status.as_u16(), String::from_utf8(reply.body.into_owned()).expect("text"))
    }

    #[test]
    fn one_event_is_answered_with_a_cache_and_a_batch_with_counts() {
        let one = r#"{"type":"event","payload":{"website":"w1","hostname":"shop.example","url":"/a?b","screen":"1440x900"}}"#;
        assert_eq!(answer("/k/api/send", one), (1, 0, 200, String::from(r#"{"cache":"1","sessionId":"","visitId":""}"#)));
        let other = one.replace("w1", "w2");
        let batch = format!(r#"[{one},7,{{"type":"x","payload":{{"website":"w1"}}}},{other}]"#);
        let counts = r#"{"size":4,"processed":1,"errors":3,"details":[],"cache":"1"}"#;
        assert_eq!(answer("/k/api/batch", &batch), (1, 3, 200, String::from(counts)));
        assert_eq!(answer("/k/api/send", "{").2, 400);
        assert_eq!(answer("/k/api/batch", &format!("[{}]", vec!["1"; EVENTS_MAX + 1].join(","))).2, 400);
    }

    #[test]
    fn what_the_sender_says_of_its_terminal_is_not_taken() {
        let body = r#"{"type":"identify","payload":{"website":"w1","ip":"203.0.113.9","userAgent":"x","os":"y","id":"u1","tag":"b","data":{"plan":"gold","deep":{}}}}"#;
        let inbound = inbound("/k/api/send", body);
        let decoded = Umami.decode(&inbound, NOW);
        let event = &decoded.events[0];
        assert_eq!((event.vendor_fields.len(), event.unknown_fields, event.user_id.is_some()), (2, 1, true));
    }

    #[test]
    fn vitals_are_numbers() {
        let inbound = inbound("/k/api/send", r#"{"type":"performance","payload":{"website":"w1","lcp":1200.5,"cls":"0.1","inp":null}}"#);
        let decoded = Umami.decode(&inbound, NOW);
        assert_eq!((decoded.events[0].properties.len(), decoded.events[0].unknown_fields), (2, 0));
    }
}
