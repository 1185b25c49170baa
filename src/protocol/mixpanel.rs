//! `mixpanel`: what Mixpanel's libraries send when their `api_host` is `<prefix>/m`: <https://developer.mixpanel.com/reference/track-event>.
//!
//! The routes are `/m/track`, `/m/engage`, `/m/groups` and `/m/import`, each with a slash at the end or without. The body is a form with `data`, JSON in base64 or
//! as it is, or JSON itself; an object or a list of at most 250. `token`, in the properties of an event or as `$token` beside an update, is the
//! vendor's key of the site.
//!
//! | Mixpanel's | ours |
//! |---|---|
//! | `$mp_web_page_view` | `page_view` |
//! | any other `event` | that name in canonical words |
//! | `engage`: an update of a person | `identify`, what is `$set` the vendor's own (`mixpanel.set.plan`) |
//! | `groups`: an update of a group | `group`, in the same way |
//! | `$insert_id` | the client's event id, for recognising a retry |
//! | `time`, in seconds or milliseconds | the time, where it is no more than 72 hours ago |
//! | `$current_url`, `current_page_title`, `$referrer`, `$screen_width` | page, title, referrer, screen |
//! | `$user_id` | user id as claimed |
//! | `$device_id`, `distinct_id` | tells, in the minute after a first yes, that several requests are one browser's; rests nowhere |
//! | properties without `$` or `mp_` in front | money, products and properties, where they are flat |
//! | `ip`, `$ip` | not taken |
//! | other properties | the vendor's own, `mixpanel.$browser` |
//!
//! `GET` with `data` in the query is read the same way.

use std::borrow::Cow;

use http::Method;
use serde_json::value::RawValue;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, xhr},
    reading::{
        commerce,
        loose::{Fields, flat},
        names,
        parameters::Parameters,
        sender_clock::corrected,
        unpack,
    },
};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::vocabulary,
    privacy::{personal::Personal, raw::RawEvent},
};

/// Events in one body; the browser's library sends 50.
const EVENTS_MAX: usize = 250;
/// A time above this is in milliseconds: as seconds it would be in the year 5138.
const SECONDS_MAX: f64 = 1e11;
/// Properties that carry the protocol itself, or say what is none of our business.
const OF_THE_PROTOCOL: [&str; 10] = [
    "token",
    "ip",
    "$ip",
    "mp_lib",
    "$lib_version",
    "mp_sent_by_lib_version",
    "mp_processing_time_ms",
    "$device_id",
    "distinct_id",
    "$had_persisted_distinct_id",
];

/// The protocol of Mixpanel's libraries.
pub struct Mixpanel;

impl Protocol for Mixpanel {
    fn name(&self) -> &'static str {
        "mixpanel"
    }

    fn routes(&self) -> &'static [Route] {
        const fn route(method: Method, path: &'static str) -> Route {
            Route { method, path, action: Action::Collect }
        }
        const ROUTES: &[Route] = &[
            route(Method::POST, "/m/track"),
            route(Method::POST, "/m/track/"),
            route(Method::GET, "/m/track"),
            route(Method::GET, "/m/track/"),
            route(Method::POST, "/m/import"),
            route(Method::POST, "/m/import/"),
            route(Method::POST, "/m/engage"),
            route(Method::POST, "/m/engage/"),
            route(Method::GET, "/m/engage"),
            route(Method::GET, "/m/engage/"),
            route(Method::POST, "/m/groups"),
            route(Method::POST, "/m/groups/"),
            Route { method: Method::GET, path: "/m/flags/", action: Action::Serve(no_flags) },
            Route { method: Method::GET, path: "/m/settings/", action: Action::Serve(no_settings) },
            // Recordings of the screen: dropped.
            Route { method: Method::POST, path: "/m/record/", action: Action::Serve(drop_recording) },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[
            Library {
                name: "mixpanel-browser",
                tried: Some("2.83.0"),
                code: Code::Own,
                change: Some(r#"mixpanel.init("{key}", { api_host: "{base}/m" })"#),
                before: &[
                    xhr("https://api-js.mixpanel.com/track/?verbose=1&ip=1&_=1773480410000"),
                    xhr("https://api-js.mixpanel.com/engage/?verbose=1&ip=1&_=1773480410000"),
                ],
                known_before: &[List::EasyPrivacy, List::Ublock],
                asks: &[xhr("/m/track/?verbose=1&ip=1&_=1773480410000"), xhr("/m/engage/?verbose=1&ip=1&_=1773480410000")],
                known: &[],
            },
            Library {
                name: "mixpanel",
                tried: Some("0.24.0"),
                code: Code::Server,
                change: Some(r#"Mixpanel.init("{key}", { host: "{host}", path: "{path}/m" })"#),
                before: &[],
                known_before: &[],
                asks: &[xhr("/m/track"), xhr("/m/engage")],
                known: &[],
            },
        ];
        LIBRARIES
    }

    fn request_headers(&self) -> &'static [&'static str] {
        &["authorization"]
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let updates = match request.path().trim_end_matches('/').rsplit('/').next() {
            Some("engage") => Some("identify"),
            Some("groups") => Some("group"),
            _ => None,
        };
        let json = request.unpacked(|| json(request));
        let said: Vec<&'a RawValue> = match serde_json::from_slice(json) {
            Ok(events) => events,
            Err(_) => match serde_json::from_slice::<&RawValue>(json) {
                Ok(one) => vec![one],
                Err(_) => return unreadable("the data is JSON, in base64 or not"),
            },
        };
        if said.len() > EVENTS_MAX {
            return unreadable("more than 250 events");
        }
        let verbose = Parameters::of(request.query().unwrap_or_default()).first("verbose") == Some("1");
        let hints = ReplyHints { events: said.len(), verbose, ..ReplyHints::default() };
        let mut decoded = Decoded { hints, ..Decoded::default() };
        let mut key: Option<Cow<'a, str>> = None;
        for (index, one) in said.into_iter().enumerate() {
            let read = Fields::of(one).ok_or("an event is an object").and_then(|fields| match updates {
                Some(name) => update(name, fields, &mut key),
                None => event(fields, &mut key, now),
            });
            match read {
                Ok(event) => decoded.events.push(event),
                Err(reason) => decoded.bad.push((index, DecodeError { reason, byte: None })),
            }
        }
        decoded.key = Some(VendorKey::new(key.as_deref().unwrap_or_default()));
        decoded
    }

    /// `1`, or with `verbose=1` the same in JSON. What cannot be read will not be readable later: 400, which the library does not send again.
    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        match outcome.bad.first() {
            Some((_, error)) if outcome.bad.len() >= hints.events => Reply::unreadable(error),
            _ if hints.verbose => Reply::json(r#"{"status":1,"error":null}"#),
            _ => Reply::json("1"),
        }
    }
}

fn unreadable(reason: &'static str) -> Decoded<'static> {
    Decoded { bad: vec![(0, DecodeError { reason, byte: None })], ..Decoded::default() }
}

fn no_flags(_: &Site, _: &Inbound) -> Reply {
    Reply::json(r#"{"flags":{}}"#)
}

fn no_settings(_: &Site, _: &Inbound) -> Reply {
    Reply::json("{}")
}

fn drop_recording(_: &Site, _: &Inbound) -> Reply {
    Reply::json(r#"{"code":200,"status":"OK"}"#)
}

/// The JSON of a request: the body itself, or what `data` in its form or query says.
fn json(request: &Inbound) -> Vec<u8> {
    let body = request.body();
    if matches!(body.trim_ascii_start().first(), Some(b'[' | b'{')) {
        return body.to_vec();
    }
    if unpack::is_gzip(body) {
        return unpack::gunzip(body).unwrap_or_default();
    }
    let form = std::str::from_utf8(body).unwrap_or_default();
    let Some(data) = Parameters::whole(form, "data").or_else(|| Parameters::whole(request.query()?, "data")) else { return Vec::new() };
    if data.trim_start().starts_with(['[', '{']) {
        return data.into_owned().into_bytes();
    }
    unpack::base64(&data).unwrap_or_default()
}

/// Whether a value belongs to the same site as those before it.
fn same_site<'a>(key: &mut Option<Cow<'a, str>>, token: Option<Cow<'a, str>>) -> Result<(), &'static str> {
    let token = token.ok_or("an event needs a token")?;
    if key.get_or_insert_with(|| token.clone()) == &token { Ok(()) } else { Err("all events of a body are of one token") }
}

fn event<'a>(mut fields: Fields<'a>, key: &mut Option<Cow<'a, str>>, now: Timestamp) -> Result<RawEvent<'a>, &'static str> {
    let said = fields.words("event").ok_or("an event needs a name (event)")?;
    let mut properties = fields.object("properties");
    same_site(key, properties.words("token"))?;
    let (name, subject) = match vocabulary::exactly(vocabulary::MIXPANEL, &said) {
        Some(ours) => (ours.to_owned(), names::Subject::Order),
        None => names::canonical(&said),
    };
    let happened = properties.number("time").map(|time| if time > SECONDS_MAX { time as i64 } else { (time * 1e3) as i64 });
    let mut event = RawEvent {
        name: Some(Personal::new(if name.is_empty() { Cow::Borrowed("custom") } else { Cow::Owned(name) })),
        client_id: properties.text("$insert_id"),
        time: happened.and_then(|happened| corrected(happened, None, now)),
        page_url: properties.text("$current_url"),
        page_title: properties.text("current_page_title"),
        referrer: properties.text("$referrer"),
        user_id: properties.text("$user_id"),
        browser_id: ["$device_id", "distinct_id"].into_iter().find_map(|name| properties.text(name)),
        // Widths beyond any screen saturate into the widest class.
        screen_width: properties.number("$screen_width").filter(|width| *width > 0.0).map(|width| Personal::new(width as u32)),
        ..RawEvent::default()
    };
    properties.leave(&OF_THE_PROTOCOL);
    commerce::take(&mut event, &mut properties, subject);
    let own = |name: &str| !name.starts_with(['$', '_']) && !name.starts_with("mp_") && !name.starts_with("current_");
    let (own, theirs) = properties.parted(own);
    for (name, value) in theirs.rest() {
        event.keep(name.to_owned(), flat(value));
    }
    let (properties, left_out) = own.into_properties();
    event.properties = properties;
    event.unknown_fields += left_out + fields.left();
    Ok(event)
}

/// An update of a person or a group.
fn update<'a>(name: &'static str, mut fields: Fields<'a>, key: &mut Option<Cow<'a, str>>) -> Result<RawEvent<'a>, &'static str> {
    same_site(key, fields.words("$token"))?;
    let mut event = RawEvent { name: Some(Personal::new(Cow::Borrowed(name))), ..RawEvent::default() };
    if name == "identify" {
        event.browser_id = fields.text("$device_id").or_else(|| fields.text("$distinct_id"));
    }
    for (operation, kept) in [("$set", "set"), ("$set_once", "set_once")] {
        for (name, value) in fields.object(operation).rest() {
            event.keep(format!("{kept}.{name}"), flat(value));
        }
    }
    event.unknown_fields += fields.left();
    Ok(event)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use bytes::Bytes;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;
    use crate::privacy::raw::ClientAddress;

    const NOW: Timestamp = Timestamp(1_773_480_413_589);
    const EVENT: &str = r#"{"event":"Newsletter Opened","properties":{"token":"t","time":1773480410.5,"$insert_id":"i","distinct_id":"$device:d","$browser":"Chrome","mp_lib":"web","Plan Type":"gold","$ip":"203.0.113.9","deep":{}}}"#;

    fn inbound(path: &str, body: &str) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let uri = path.parse().expect("an address");
        Inbound::new(uri, http::HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()), address, true, NOW)
    }

    fn encoded(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    #[test]
    fn an_event_is_read_however_it_is_packed() {
        let list = format!("[{EVENT}]");
        let (base64, text) = (BASE64_STANDARD.encode(&list), encoded(&list));
        for (path, body) in [
            ("/k/m/track/?verbose=1", format!("data={}", encoded(&base64))),
            ("/k/m/track", format!("data={base64}&x=1")),
            ("/k/m/track/", format!("data={text}")),
            ("/k/m/import", list.clone()),
            ("/k/m/track", EVENT.to_owned()),
            (&format!("/k/m/track?data={}", encoded(&base64)), String::new()),
        ] {
            let inbound = inbound(path, &body);
            let decoded = Mixpanel.decode(&inbound, NOW);
            let [event] = decoded.events.as_slice() else { panic!("one event in {path}") };
            assert_eq!(event.time, Some(Timestamp(1_773_480_410_500)));
            assert_eq!((event.properties.len(), event.vendor_fields.len(), event.unknown_fields), (1, 1, 1), "{path}");
            let reply = Mixpanel.reply(&decoded.hints, &Outcome::default());
            let expected: &[u8] = if path.contains("verbose") { br#"{"status":1,"error":null}"# } else { b"1" };
            assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, expected));
        }
    }

    #[test]
    fn an_update_is_a_person_or_a_group() {
        let update = r#"{"$token":"t","$distinct_id":"d","$set":{"plan":"gold","$email":"jane@example.org"},"$add":{"n":1}}"#;
        for path in ["/k/m/engage/", "/k/m/groups/"] {
            let inbound = inbound(path, &format!("[{update}]"));
            let decoded = Mixpanel.decode(&inbound, NOW);
            assert_eq!((decoded.events[0].vendor_fields.len(), decoded.bad.len()), (2, 0), "{path}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let other = EVENT.replace("\"t\"", "\"u\"");
        let reasons = |body: &str| {
            let inbound = inbound("/k/m/track", body);
            Mixpanel.decode(&inbound, NOW).bad.into_iter().map(|(index, error)| (index, error.reason)).collect::<Vec<_>>()
        };
        assert_eq!(reasons(""), [(0, "the data is JSON, in base64 or not")]);
        assert_eq!(reasons("data=!!"), [(0, "the data is JSON, in base64 or not")]);
        assert_eq!(reasons(&format!("[{EVENT},{other},7]")), [(1, "all events of a body are of one token"), (2, "an event is an object")]);
        assert_eq!(
            reasons(r#"[{"event":"a"},{"properties":{"token":"t"}}]"#),
            [(0, "an event needs a token"), (1, "an event needs a name (event)")]
        );
        assert_eq!(reasons(&format!("[{}]", vec!["1"; EVENTS_MAX + 1].join(","))), [(0, "more than 250 events")]);
    }
}
