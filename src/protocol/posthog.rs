//! `posthog`: what PostHog's SDKs send when their `api_host` is the site's prefix: <https://posthog.com/docs/api/capture>.
//!
//! The routes are `/e/`, `/i/v0/e/`, `/batch/` and `/capture/`, each with a slash at the end or without. A body is gzip where it begins as gzip does, whatever the
//! request says of it; else a form with `data` in base64; else JSON: one event, a list, or an object with `batch`; at most 250. `api_key`, `token` or
//! `properties.token` is the vendor's key of the site, the same for a whole body.
//!
//! | PostHog's | ours |
//! |---|---|
//! | `$pageview`, `$screen`, `$pageleave` | `page_view`, `screen_view`, `user_engagement` |
//! | `$identify`, `$set`, `$groupidentify` | `identify`, `identify`, `group`; what is `$set` the vendor's own (`posthog.set.plan`) |
//! | any other `event` | that name in canonical words (`$autocapture` → `autocapture`) |
//! | `uuid` | the client's event id, for recognising a retry |
//! | `timestamp` and `sent_at`, or `offset` | the time, with the sender's clock taken out |
//! | `$current_url`, `title`, `$referrer`, `$screen_width`, `$browser_language` | page, title, referrer, screen, language |
//! | `$user_id`; `distinct_id` where `$is_identified` says so | user id as claimed |
//! | `$device_id`, `distinct_id` | tells, in the minute after a first yes, that several requests are one browser's; rests nowhere |
//! | properties without `$` in front | money, products and properties, where they are flat |
//! | `$ip`, `$geoip_…`, `$raw_user_agent`, `$session_id`, `$window_id`, `$initial_…` | not taken |
//! | other properties | the vendor's own, `posthog.$lib` |
//!
//! Recordings (`/s/`) are answered and dropped. There are no feature flags here: `/flags/`, `/decide/` and the configuration say so, which lets the SDK
//! start without asking its vendor.

use std::borrow::Cow;

use http::{Method, StatusCode, header};
use serde_json::value::RawValue;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, ping, script, xhr},
    reading::{
        commerce,
        loose::{Fields, flat, list},
        names::{self, Subject},
        parameters::Parameters,
        sender_clock::{corrected, instant},
        unpack,
    },
};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::vocabulary,
    privacy::{
        personal::Personal,
        raw::{PropertyValue, RawEvent},
    },
};

const NAME: &str = "posthog";
/// Events in one body; the browser's SDK sends a few seconds' worth.
const EVENTS_MAX: usize = 250;
/// Properties that carry the protocol itself, or say what is none of our business.
const OF_THE_PROTOCOL: [&str; 16] = [
    "token",
    "distinct_id",
    "$device_id",
    "$user_id",
    "$is_identified",
    "$ip",
    "$raw_user_agent",
    "$session_id",
    "$window_id",
    "$pageview_id",
    "$insert_id",
    "$time",
    "$timezone",
    "$timezone_offset",
    "$sent_at",
    "$configured_session_timeout_ms",
];
/// What a property begins with that tells of where and who somebody was.
const OF_THE_PERSON: [&str; 3] = ["$geoip_", "$initial_", "$session_entry_"];
/// Says that there are no flags, no recordings and no surveys, and where events go.
const CONFIGURATION: &str = r#"{"supportedCompression":["gzip","gzip-js"],"hasFeatureFlags":false,"autocapture_opt_out":false,"sessionRecording":false,"surveys":false,"analytics":{"endpoint":"/i/v0/e/"}}"#;

/// The protocol of PostHog's SDKs.
pub struct PostHog;

impl Protocol for PostHog {
    fn name(&self) -> &'static str {
        NAME
    }

    fn routes(&self) -> &'static [Route] {
        const fn collect(path: &'static str) -> Route {
            Route { method: Method::POST, path, action: Action::Collect }
        }
        const fn serve(method: Method, path: &'static str, what: fn(&Site, &Inbound) -> Reply) -> Route {
            Route { method, path, action: Action::Serve(what) }
        }
        const ROUTES: &[Route] = &[
            collect("/i/v0/e/"),
            collect("/i/v0/e"),
            collect("/e/"),
            collect("/batch/"),
            collect("/batch"),
            collect("/capture/"),
            collect("/capture"),
            Route { method: Method::GET, path: "/e/", action: Action::Collect },
            serve(Method::POST, "/s/", drop_recording),
            serve(Method::POST, "/flags/", no_flags),
            serve(Method::POST, "/flags", no_flags),
            serve(Method::POST, "/decide/", no_flags),
            serve(Method::POST, "/decide", no_flags),
            serve(Method::GET, "/array/*/config", configuration),
            serve(Method::GET, "/array/*/config.js", configuration),
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[
            Library {
                name: "posthog-js",
                tried: Some("1.449.2"),
                code: Code::Own,
                change: Some(
                    r#"posthog.init("{key}", { api_host: "{base}", ui_host: null, disable_session_recording: true, disable_surveys: true })"#,
                ),
                before: &[
                    script("https://us-assets.i.posthog.com/array/phc_1/config.js"),
                    xhr("https://us.i.posthog.com/i/v0/e/?ip=0&_=1773480410000&ver=1.449.2"),
                ],
                known_before: &[List::EasyPrivacy],
                asks: &[
                    script("/array/*/config.js"),
                    xhr("/array/*/config?ip=0&_=1773480410000&ver=1.449.2"),
                    xhr("/i/v0/e/?ip=0&_=1773480410000&ver=1.449.2"),
                    ping("/i/v0/e/?ip=0&_=1773480410000&ver=1.449.2&beacon=1"),
                    xhr("/e/?ip=0&_=1773480410000&ver=1.449.2"),
                    ping("/e/?ip=0&_=1773480410000&ver=1.449.2&beacon=1"),
                    xhr("/flags/?v=2&ip=0&_=1773480410000&ver=1.449.2"),
                ],
                known: &[],
            },
            Library {
                name: "posthog-node",
                tried: Some("5.70.0"),
                code: Code::Server,
                change: Some(r#"new PostHog("{key}", { host: "{base}" })"#),
                before: &[],
                known_before: &[],
                asks: &[xhr("/batch/")],
                known: &[],
            },
        ];
        LIBRARIES
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let json = request.unpacked(|| json(request));
        let Some(Body { events: said, key, sent }) = Body::of(json) else { return unreadable("the body is JSON, in gzip, base64 or not") };
        if said.len() > EVENTS_MAX {
            return unreadable("more than 250 events");
        }
        let mut decoded = Decoded { hints: ReplyHints { events: said.len(), ..ReplyHints::default() }, ..Decoded::default() };
        let mut key = key;
        for (index, one) in said.into_iter().enumerate() {
            match Fields::of(one).ok_or("an event is an object").and_then(|fields| event(fields, &mut key, sent, now)) {
                Ok(event) => decoded.events.push(event),
                Err(reason) => decoded.bad.push((index, DecodeError { reason, byte: None })),
            }
        }
        decoded.key = Some(VendorKey::new(key.as_deref().unwrap_or_default()));
        decoded
    }

    /// The SDK keeps what is answered 5xx, or not at all, and drops what is answered 4xx.
    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        match outcome.bad.first() {
            Some((_, error)) if outcome.bad.len() >= hints.events => Reply::unreadable(error),
            _ => Reply::json(r#"{"status":"Ok"}"#),
        }
    }
}

fn unreadable(reason: &'static str) -> Decoded<'static> {
    Decoded { bad: vec![(0, DecodeError { reason, byte: None })], ..Decoded::default() }
}

fn drop_recording(_: &Site, _: &Inbound) -> Reply {
    Reply::json(r#"{"status":"Ok"}"#)
}

fn no_flags(_: &Site, _: &Inbound) -> Reply {
    Reply::json(
        r#"{"flags":{},"featureFlags":{},"featureFlagPayloads":{},"errorsWhileComputingFlags":false,"supportedCompression":["gzip","gzip-js"]}"#,
    )
}

/// The configuration that the SDK asks for at its start: as JSON, or as a script that puts it where the SDK looks. A token that is not the site's gets none.
fn configuration(site: &Site, request: &Inbound) -> Reply {
    let mut segments = request.path().rsplit('/');
    let (file, token) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !plain || !VendorKey::new(token).is_of(site, NAME) {
        return Reply::text(StatusCode::NOT_FOUND, "This site has no such token.\n");
    }
    if file == "config" {
        return Reply::json(CONFIGURATION);
    }
    let global = "window._POSTHOG_REMOTE_CONFIG";
    let script = format!("{global}={global}||{{}};{global}['{token}']={{config:{CONFIGURATION},siteApps:[]}};");
    let headers = vec![(header::CONTENT_TYPE, Cow::Borrowed("application/javascript; charset=utf-8"))];
    Reply { headers, ..Reply::json(script) }
}

/// The JSON of a request.
fn json(request: &Inbound) -> Vec<u8> {
    let body = request.body();
    if unpack::is_gzip(body) {
        return unpack::gunzip(body).unwrap_or_default();
    }
    if matches!(body.trim_ascii_start().first(), Some(b'[' | b'{')) {
        return body.to_vec();
    }
    let form = std::str::from_utf8(body).unwrap_or_default();
    let data = Parameters::whole(form, "data").or_else(|| Parameters::whole(request.query()?, "data"));
    let Some(unpacked) = data.and_then(|data| unpack::base64(&data)) else { return Vec::new() };
    if unpack::is_gzip(&unpacked) { unpack::gunzip(&unpacked).unwrap_or_default() } else { unpacked }
}

/// What a body holds, whatever its form.
struct Body<'a> {
    events: Vec<&'a RawValue>,
    key: Option<Cow<'a, str>>,
    /// The sender's clock when it sent.
    sent: Option<i64>,
}

impl<'a> Body<'a> {
    fn of(json: &'a [u8]) -> Option<Self> {
        if json.trim_ascii_start().first() == Some(&b'[') {
            return Some(Self { events: serde_json::from_slice(json).ok()?, key: None, sent: None });
        }
        let one: &RawValue = serde_json::from_slice(json).ok()?;
        let mut fields = Fields::of(one)?;
        let sent = fields.take("sent_at").and_then(instant);
        let key = token(&mut fields);
        match fields.take("batch").and_then(list) {
            Some(events) => Some(Self { events, key, sent }),
            None => Some(Self { events: vec![one], key: None, sent }),
        }
    }
}

fn token<'a>(fields: &mut Fields<'a>) -> Option<Cow<'a, str>> {
    ["api_key", "token", "$token"].into_iter().find_map(|name| fields.words(name))
}

fn event<'a>(
    mut fields: Fields<'a>,
    key: &mut Option<Cow<'a, str>>,
    sent: Option<i64>,
    now: Timestamp,
) -> Result<RawEvent<'a>, &'static str> {
    let said = fields.words("event").ok_or("an event needs a name (event)")?;
    let mut properties = fields.object("properties");
    let own_token = token(&mut fields).or_else(|| properties.words("token"));
    let token = own_token.or_else(|| key.clone()).ok_or("an event needs a token")?;
    if key.get_or_insert_with(|| token.clone()) != &token {
        return Err("all events of a body are of one token");
    }
    let sent = fields.take("sent_at").and_then(instant).or(sent);
    let offset = fields.number("offset").map(|offset| now.0.saturating_sub(offset as i64));
    let happened = fields.take("timestamp").and_then(instant);
    let (name, subject) = match vocabulary::exactly(vocabulary::POSTHOG, &said) {
        Some(ours) => (ours.to_owned(), Subject::Order),
        None => names::canonical(&said),
    };
    let distinct = fields.words("distinct_id").or_else(|| fields.words("$distinct_id")).or_else(|| properties.words("distinct_id"));
    let is_identified = matches!(properties.take("$is_identified").and_then(flat), Some(PropertyValue::Flag(true))) || said == "$identify";
    let (device, user) = (properties.text("$device_id"), properties.text("$user_id"));
    let (user_id, browser_id) = match user {
        Some(user) => (Some(user), device.or(distinct.map(Personal::new))),
        // A server's SDK knows no device: what it calls somebody is all there is.
        None if is_identified => (distinct.clone().map(Personal::new), device.or(distinct.map(Personal::new))),
        None => (None, device.or(distinct.map(Personal::new))),
    };
    let time = match (happened, offset) {
        (Some(happened), _) => corrected(happened, sent, now),
        (None, Some(happened)) => corrected(happened, None, now),
        (None, None) => None,
    };
    let mut event = RawEvent {
        name: Some(Personal::new(if name.is_empty() { Cow::Borrowed("custom") } else { Cow::Owned(name) })),
        client_id: fields.text("uuid"),
        time,
        page_url: properties.text("$current_url"),
        page_title: properties.text("title"),
        referrer: properties.text("$referrer"),
        language: properties.text("$browser_language"),
        user_id,
        browser_id,
        // Widths beyond any screen saturate into the widest class.
        screen_width: properties.number("$screen_width").filter(|width| *width > 0.0).map(|width| Personal::new(width as u32)),
        ..RawEvent::default()
    };
    properties.leave(&OF_THE_PROTOCOL);
    for (object, kept) in [("$set", "set"), ("$set_once", "set_once")] {
        for holder in [&mut fields, &mut properties] {
            for (name, value) in holder.object(object).rest().filter(|(name, _)| is_kept(name)) {
                event.keep(format!("{kept}.{name}"), flat(value));
            }
        }
    }
    commerce::take(&mut event, &mut properties, subject);
    let (own, theirs) = properties.parted(|name| !name.starts_with('$'));
    for (name, value) in theirs.rest().filter(|(name, _)| is_kept(name)) {
        event.keep(name.to_owned(), flat(value));
    }
    let (properties, left_out) = own.into_properties();
    event.properties = properties;
    event.unknown_fields += left_out + fields.left();
    Ok(event)
}

fn is_kept(name: &str) -> bool {
    !OF_THE_PERSON.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use bytes::Bytes;
    use flate2::{Compression, write::GzEncoder};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;
    use crate::privacy::raw::ClientAddress;

    const NOW: Timestamp = Timestamp(1_773_480_413_589);
    const EVENT: &str = r#"{"event":"$pageview","uuid":"0190","timestamp":"2026-03-14T09:26:50Z","properties":{"token":"phc_t","distinct_id":"d","$device_id":"d","$current_url":"https://a/","$lib":"web","$ip":"203.0.113.9","$geoip_city_name":"x","$initial_referrer":"y","plan":"gold","list":[1]}}"#;

    fn inbound(body: &[u8]) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        Inbound::new(http::Uri::from_static("/k/e/"), http::HeaderMap::new(), Bytes::copy_from_slice(body), address, true, NOW)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn a_body_is_read_however_it_is_packed() {
        let batch = format!(r#"{{"api_key":"phc_t","batch":[{EVENT}],"sent_at":"2026-03-14T09:26:53.589Z"}}"#);
        let form =
            |bytes: &[u8]| format!("data={}&compression=base64", utf8_percent_encode(&BASE64_STANDARD.encode(bytes), NON_ALPHANUMERIC));
        let bodies = [
            EVENT.as_bytes().to_vec(),
            format!("[{EVENT}]").into_bytes(),
            batch.clone().into_bytes(),
            gzip(&batch),
            form(batch.as_bytes()).into_bytes(),
            form(&gzip(&batch)).into_bytes(),
        ];
        for (index, body) in bodies.iter().enumerate() {
            let inbound = inbound(body);
            let decoded = PostHog.decode(&inbound, NOW);
            let [event] = decoded.events.as_slice() else { panic!("one event in body {index}") };
            assert_eq!((event.time, event.client_id.is_some()), (Some(Timestamp(1_773_480_410_000)), true), "body {index}");
            assert_eq!((event.properties.len(), event.vendor_fields.len(), event.unknown_fields), (1, 1, 1), "body {index}");
            assert!(event.user_id.is_none() && event.browser_id.is_some(), "an anonymous visitor's id is no user's");
        }
    }

    #[test]
    fn whoever_is_identified_has_an_id_of_the_sites() {
        let event = EVENT.replace("$pageview", "$identify").replace(r#""plan":"gold""#, r#""$set":{"plan":"gold"}"#);
        let inbound = inbound(event.as_bytes());
        let decoded = PostHog.decode(&inbound, NOW);
        assert!(decoded.events[0].user_id.is_some());
        assert_eq!(decoded.events[0].vendor_fields.len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_kept() {
        let reasons = |body: &str| {
            let inbound = inbound(body.as_bytes());
            let decoded = PostHog.decode(&inbound, NOW);
            (decoded.events.len(), decoded.bad.into_iter().map(|(_, error)| error.reason).collect::<Vec<_>>())
        };
        for body in ["", "data=!", "{", "null"] {
            assert_eq!(reasons(body), (0, vec!["the body is JSON, in gzip, base64 or not"]), "{body}");
        }
        let other = EVENT.replace("phc_t", "phc_u");
        assert_eq!(reasons(&format!("[{EVENT},{other},7,{{}}]")).0, 1);
        assert_eq!(reasons(r#"{"event":"a"}"#), (0, vec!["an event needs a token"]));
        assert_eq!(reasons(&format!("[{}]", vec!["1"; EVENTS_MAX + 1].join(","))), (0, vec!["more than 250 events"]));
    }
}
