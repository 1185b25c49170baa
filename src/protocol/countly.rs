//! `countly`: what Countly's SDKs send when their server is `<prefix>/c`: parameters in a form, or in the query, at `/i`:
//! <https://support.countly.com/hc/en-us/articles/9290669873305>. The application's key, `app_key`, is the vendor's key of the site.
//!
//! | Countly's | ours |
//! |---|---|
//! | `events`: a list of events, at most 250, each with `key`, `sum`, `segmentation`, `dur`, `timestamp`, `id` | as follows |
//! | `[CLY]_view` with `visit` | `page_view`, of `domain` and `view` (or `name`) |
//! | `[CLY]_view` without, at a view's end | `user_engagement`, with `dur` as the property `engagement_time_msec` |
//! | `[CLY]_action`, `[CLY]_nps`, … | the name behind `[CLY]_` in canonical words |
//! | `[CLY]_orientation` | not an event |
//! | any other `key` | that name in canonical words |
//! | `sum` | value, where the segmentation names none |
//! | `segmentation` | money, order and products by the names that shops give them, and the rest as properties, where they are flat |
//! | `user_details` | `identify`; its `custom` is the vendor's own, `countly.custom.plan`; names and addresses are not taken |
//! | `user_details` with nothing but a campaign (`utm_source`, …), which the SDK says when a page is opened | not an event: the page's address has it |
//! | `session_duration` | `user_engagement`, with the property `engagement_time_msec` |
//! | `consent`, where it takes all features back | a refusal; where it gives some, nothing: a feature is no purpose |
//! | `device_id` with `t=0` | user id as claimed: the site gave it |
//! | `device_id` else | tells, in the minute after a first yes, that several requests are one browser's; rests nowhere |
//! | `metrics`: `_locale`, `_resolution` | language, screen |
//! | `timestamp` of the request | the sender's clock, which is taken out of the events' |
//! | `ip_address`, `location`, `city`, `country_code`, `old_device_id`, `crash`, `apm`, `hc` | not taken |
//!
//! The SDK keeps what is not answered 2xx and sends it again, for ever: what cannot be read is answered as if it were taken, and counted.

use std::borrow::Cow;

use http::Method;
use serde_json::value::RawValue;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, xhr},
    reading::{
        commerce,
        loose::{Fields, flat, list},
        names,
        parameters::Parameters,
        sender_clock::corrected,
    },
};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::Purposes,
    privacy::{
        consent::ConsentSignal,
        personal::Personal,
        raw::{PropertyValue, RawEvent, Text},
    },
};

/// Events in one request; the browser's SDK sends at most 100.
const EVENTS_MAX: usize = 250;
/// What the names of the SDK's own events begin with.
const OWN: &str = "[CLY]_";

/// The protocol of Countly's SDKs.
pub struct Countly;

impl Protocol for Countly {
    fn name(&self) -> &'static str {
        "countly"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::POST, path: "/c/i", action: Action::Collect },
            Route { method: Method::GET, path: "/c/i", action: Action::Collect },
            Route { method: Method::POST, path: "/c/o/sdk", action: Action::Serve(no_settings) },
            Route { method: Method::GET, path: "/c/o/sdk", action: Action::Serve(no_settings) },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[Library {
            name: "countly-sdk-web",
            tried: Some("26.1.1"),
            code: Code::Own,
            change: Some(r#"Countly.init({ app_key: "{key}", url: "{base}/c" })"#),
            before: &[xhr("https://shop.count.ly/i"), xhr("https://shop.count.ly/o/sdk")],
            known_before: &[List::EasyPrivacy],
            asks: &[xhr("/c/i"), xhr("/c/o/sdk")],
            known: &[],
        }];
        LIBRARIES
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let Ok(form) = std::str::from_utf8(request.body()) else { return unreadable("the body is not UTF-8") };
        let said = Parameters::of(form).and(Parameters::of(request.query().unwrap_or_default()));
        let key = Some(VendorKey::new(&said.text("app_key").unwrap_or_default()));
        let of_request = OfRequest::of(&said, now);
        // The events are unescaped into one buffer, so that they can borrow from it.
        let events = request.unpacked(|| {
            let query = request.query().unwrap_or_default();
            let text = Parameters::whole(form, "events").or_else(|| Parameters::whole(query, "events"));
            text.unwrap_or_default().into_owned().into_bytes()
        });
        let mut decoded = Decoded { key, signal: choice(&said), ..Decoded::default() };
        match serde_json::from_slice::<&RawValue>(events).ok().and_then(list) {
            None if events.is_empty() => {}
            None => return Decoded { key: decoded.key, ..unreadable("events are a list in JSON") },
            Some(events) if events.len() > EVENTS_MAX => return Decoded { key: decoded.key, ..unreadable("more than 250 events") },
            Some(events) => {
                for (index, one) in events.into_iter().enumerate() {
                    match Fields::of(one).ok_or("an event is an object").and_then(|fields| event(fields, &of_request)) {
                        Ok(event) => decoded.events.extend(event),
                        Err(reason) => decoded.bad.push((index, DecodeError { reason, byte: None })),
                    }
                }
            }
        }
        decoded.events.extend(person(&said, &of_request));
        decoded.events.extend(said.number("session_duration").map(|seconds| engagement(seconds, &of_request)));
        decoded.hints = ReplyHints { events: decoded.events.len() + decoded.bad.len(), ..ReplyHints::default() };
        decoded
    }

    fn reply(&self, _: &ReplyHints, outcome: &Outcome) -> Reply {
        Reply::come_back(outcome).unwrap_or_else(|| Reply::json(r#"{"result":"Success"}"#))
    }
}

fn unreadable(reason: &'static str) -> Decoded<'static> {
    Decoded {
        bad: vec![(0, DecodeError { reason, byte: None })],
        hints: ReplyHints { events: 1, ..ReplyHints::default() },
        ..Decoded::default()
    }
}

/// What the SDK asks its server for: settings, remote configuration, surveys. There are none.
fn no_settings(_: &Site, _: &Inbound) -> Reply {
    Reply::json("{}")
}

/// A visitor who takes every feature back has said no. Features that are given say nothing of purposes.
fn choice(said: &Parameters<'_>) -> ConsentSignal {
    let Some(consent) = said.text("consent") else { return ConsentSignal::Absent };
    let Some(features) = serde_json::from_str::<&RawValue>(&consent).ok().and_then(Fields::of) else { return ConsentSignal::Malformed };
    let mut flags = features.rest().filter_map(|(_, value)| flat(value)).peekable();
    let is_refusal = flags.peek().is_some() && flags.all(|value| matches!(value, PropertyValue::Flag(false)));
    if is_refusal { ConsentSignal::Given { purposes: Purposes::NONE, seconds_left: None } } else { ConsentSignal::Absent }
}

/// What a request says of all its events.
struct OfRequest<'a> {
    user_id: Option<Cow<'a, str>>,
    browser_id: Option<Cow<'a, str>>,
    language: Option<Cow<'a, str>>,
    screen_width: Option<u32>,
    sent: Option<i64>,
    now: Timestamp,
}

impl<'a> OfRequest<'a> {
    fn of(said: &Parameters<'a>, now: Timestamp) -> Self {
        let device = said.text("device_id");
        let (user_id, browser_id) = if said.first("t") == Some("0") { (device, None) } else { (None, device) };
        let metrics = said.text("metrics").unwrap_or_default();
        let mut metrics = serde_json::from_str::<&RawValue>(&metrics).ok().and_then(Fields::of).unwrap_or_default();
        let width = metrics.words("_resolution").and_then(|size| size.split_once('x')?.0.parse().ok());
        Self {
            user_id,
            browser_id,
            language: metrics.words("_locale").map(|locale| Cow::Owned(locale.into_owned())),
            screen_width: width.filter(|width| *width > 0),
            sent: said.number("timestamp").map(|sent| sent as i64),
            now,
        }
    }

    /// An event of that name, of whoever sent the request.
    fn event(&self, name: Cow<'a, str>) -> RawEvent<'a> {
        let text = |said: &Option<Cow<'a, str>>| said.clone().map(Personal::new);
        RawEvent {
            name: Some(Personal::new(name)),
            user_id: text(&self.user_id),
            browser_id: text(&self.browser_id),
            language: text(&self.language),
            screen_width: self.screen_width.map(Personal::new),
            ..RawEvent::default()
        }
    }
}

/// One event; none where it says nothing of what a visitor did.
fn event<'a>(mut fields: Fields<'a>, of_request: &OfRequest<'a>) -> Result<Option<RawEvent<'a>>, &'static str> {
    let key = fields.words("key").ok_or("an event needs a key")?;
    let own = key.strip_prefix(OWN);
    if own == Some("orientation") {
        return Ok(None);
    }
    let mut segmentation = fields.object("segmentation");
    let (name, subject) = names::canonical(own.unwrap_or(&key));
    let is_start = segmentation.take("visit").is_some();
    let name = match own {
        Some("view") if is_start => Cow::Borrowed("page_view"),
        Some("view") => Cow::Borrowed("user_engagement"),
        _ if name.is_empty() => Cow::Borrowed("custom"),
        _ => Cow::Owned(name),
    };
    let mut event = of_request.event(name);
    if own == Some("view") {
        event.page_url = page(&mut segmentation);
        if let Some(seconds) = fields.number("dur").filter(|_| !is_start) {
            event.properties.push(milliseconds(seconds));
        }
    }
    commerce::take(&mut event, &mut segmentation, subject);
    event.value = event.value.or_else(|| fields.amount("sum"));
    event.client_id = fields.text("id");
    event.time = fields.number("timestamp").and_then(|happened| corrected(happened as i64, of_request.sent, of_request.now));
    if let Some(count) = fields.take("count").and_then(flat).filter(|count| !matches!(count, PropertyValue::Number(1.0))) {
        event.keep("count", Some(count));
    }
    fields.leave(&["hour", "dow", "cvid", "pvid", "peid", "dur"]);
    let (properties, left_out) = segmentation.into_properties();
    event.properties.extend(properties);
    event.unknown_fields += left_out + fields.left();
    Ok(Some(event))
}

/// The address of a view: its host, and its path, which older SDKs say as its name.
fn page<'a>(segmentation: &mut Fields<'a>) -> Option<Text<'a>> {
    let (host, path, name) = (segmentation.words("domain"), segmentation.words("view"), segmentation.words("name"));
    segmentation.leave(&["start", "bounce", "exit", "segment"]);
    // A name that is an address says more than a path: it may have the campaign in it.
    let path = name.filter(|name| name.starts_with('/')).or(path)?;
    Some(Personal::new(Cow::Owned(format!("https://{}{path}", host?))))
}

/// `user_details`, as an event.
fn person<'a>(said: &Parameters<'a>, of_request: &OfRequest<'a>) -> Option<RawEvent<'a>> {
    let details = said.text("user_details")?;
    let mut event = of_request.event(Cow::Borrowed("identify"));
    let mut fields = serde_json::from_str::<&RawValue>(&details).ok().and_then(Fields::of)?;
    let (of_campaign, custom) = fields.object("custom").parted(|name| name.starts_with("utm_"));
    if custom.left() + fields.left() == 0 && of_campaign.left() > 0 {
        return None;
    }
    for (name, value) in custom.rest() {
        let value = flat(value).map(|value| match value {
            PropertyValue::Text(text) => PropertyValue::Text(Cow::Owned(text.into_owned())),
            PropertyValue::Number(number) => PropertyValue::Number(number),
            PropertyValue::Flag(flag) => PropertyValue::Flag(flag),
        });
        event.keep(format!("custom.{name}"), value);
    }
    event.unknown_fields += fields.left();
    Some(event)
}

/// For how long a session has gone on since the last time.
fn engagement<'a>(seconds: f64, of_request: &OfRequest<'a>) -> RawEvent<'a> {
    let mut event = of_request.event(Cow::Borrowed("user_engagement"));
    event.properties.push(milliseconds(seconds));
    event
}

fn milliseconds<'a>(seconds: f64) -> (Text<'a>, Personal<PropertyValue<'a>>) {
    (Personal::new(Cow::Borrowed("engagement_time_msec")), Personal::new(PropertyValue::Number(seconds * 1e3)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::privacy::raw::ClientAddress;

    const NOW: Timestamp = Timestamp(1_773_480_413_589);

    fn inbound(query: &str, body: &str) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let uri = format!("/k/c/i?{query}").parse().expect("an address");
        Inbound::new(uri, http::HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()), address, true, NOW)
    }

    fn form(events: &str, more: &str) -> String {
        let events = percent_encoding::utf8_percent_encode(events, percent_encoding::NON_ALPHANUMERIC);
        format!("app_key=ak&device_id=d-1&t=1&timestamp=1773480413000&events={events}{more}")
    }

    #[test]
    fn a_form_and_a_query_say_the_same() {
        let said = form(
            r#"[{"key":"[CLY]_orientation","segmentation":{"mode":"landscape"}},
                {"key":"[CLY]_view","count":1,"segmentation":{"name":"/a?utm_source=x","visit":1,"view":"/a","domain":"www.shop.example","start":1},"timestamp":1773480410000,"id":"e1"},
                {"key":"Order Completed","count":1,"sum":25,"segmentation":{"currency":"EUR","plan":"gold","order_id":"A"},"id":"e2"}]"#,
            "",
        );
        for (query, body) in [("", said.as_str()), (said.as_str(), "")] {
            let inbound = inbound(query, body);
            let decoded = Countly.decode(&inbound, NOW);
            let [view, order] = decoded.events.as_slice() else { panic!("two events") };
            assert!(view.page_url.is_some() && view.client_id.is_some() && view.browser_id.is_some() && view.user_id.is_none());
            assert_eq!((view.time, view.unknown_fields), (Some(Timestamp(1_773_480_410_589)), 0));
            assert!(order.value.is_some() && order.currency.is_some() && order.transaction.is_some());
            assert_eq!((order.properties.len(), order.unknown_fields), (1, 0));
        }
    }

    #[test]
    fn a_person_a_heartbeat_and_an_id_of_the_sites() {
        let inbound = inbound(
            "",
            "app_key=ak&device_id=jane-1&t=0&session_duration=60&user_details=%7B%22name%22%3A%22J%22%2C%22custom%22%3A%7B%22plan%22%3A%22gold%22%7D%7D",
        );
        let decoded = Countly.decode(&inbound, NOW);
        let [identify, engaged] = decoded.events.as_slice() else { panic!("two events") };
        assert_eq!((identify.vendor_fields.len(), identify.unknown_fields, engaged.properties.len()), (1, 1, 1));
        assert!(identify.user_id.is_some() && identify.browser_id.is_none());
        let campaign = self::inbound("", "app_key=ak&device_id=d&user_details=%7B%22custom%22%3A%7B%22utm_source%22%3A%22news%22%7D%7D");
        assert!(Countly.decode(&campaign, NOW).events.is_empty(), "a campaign is no person");
    }

    #[test]
    fn taking_every_feature_back_is_a_refusal() {
        let said = |consent: &str| {
            let consent = percent_encoding::utf8_percent_encode(consent, percent_encoding::NON_ALPHANUMERIC);
            let inbound = inbound("", &format!("app_key=ak&consent={consent}"));
            Countly.decode(&inbound, NOW).signal
        };
        assert_eq!(said(r#"{"events":false,"views":false}"#), ConsentSignal::Given { purposes: Purposes::NONE, seconds_left: None });
        assert_eq!(said(r#"{"events":false,"views":true}"#), ConsentSignal::Absent);
        assert_eq!((said("{}"), said("7")), (ConsentSignal::Absent, ConsentSignal::Malformed));
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_not_asked_for_again() {
        for (body, events, bad) in [(form("7", ""), 0, 1), (form(r#"[{"sum":1},7,{"key":"a"}]"#, ""), 1, 2), (form("", ""), 0, 0)] {
            let inbound = inbound("", &body);
            let decoded = Countly.decode(&inbound, NOW);
            assert_eq!((decoded.events.len(), decoded.bad.len()), (events, bad), "{body}");
            let outcome = Outcome { bad: decoded.bad.clone(), ..Outcome::default() };
            assert_eq!(Countly.reply(&decoded.hints, &outcome).status.as_u16(), 200);
        }
    }
}
