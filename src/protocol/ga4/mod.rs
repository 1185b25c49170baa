//! `ga4`: what Google's own tag (gtag.js, Tag Manager) and libraries that speak like it send, when their server address is the site's
//! prefix: `POST` or `GET <prefix>/g/collect`, parameters in the query.
//!
//! - One event: all of it in the query, and an empty body; or a body of further parameters without a line break.
//! - A batch: one event per line of the body, at most 20 from gtag.js. A parameter that all events of the batch have stands in the query, and
//!   in a line only where its value differs: the name (`en`) may be in the query, too, and then an empty line is an event.
//!
//! `v` must be 2; `tid` is the vendor's key of the site. Of what else is said, these are taken: `en`, `dl`, `dr`, `dt`, `ul`, `sr`, `uid`, `cu`,
//! `ep.*` (text, or a flag where the text is `true` or `false`), `epn.*` (numbers), `_et` (as the property `engagement_time_msec`),
//! products (see [`items`]) and consent (see [`consent`]). All else is kept as the vendor's own (`ga4.up.plan`) where the policy lists it. The vendor's visitor and session ids are no ids of ours: they are never kept.
//!
//! A hit has no time and no id of its own. What makes it recognisable when it is sent again is the load of the page (`_p`, random), the
//! request's number on that page (`_s`), its place in the batch, and its name.

mod consent;
mod items;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet, btree_map::Entry},
};

use http::{Method, StatusCode};

use self::consent::Choice;
use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, ping, script, xhr},
    reading::parameters::{Parameters, decoded, number},
};
use crate::{
    clock::Timestamp,
    privacy::{
        personal::Personal,
        raw::{PropertyValue, RawEvent, RawItem, Text},
    },
};

/// Events in one body; gtag.js sends at most 20.
const EVENTS_MAX: usize = 50;
/// Properties looked at in one event.
const PROPERTIES_MAX: usize = 64;
/// Parameters that carry the protocol itself, or say what is none of our business: not kept, and nothing is lost by that.
const OF_THE_PROTOCOL: [&str; 27] = [
    "_dbg",
    "_ee",
    "_fv",
    "_nsi",
    "_p",
    "_s",
    "_ss",
    "_z",
    "cid",
    "dma",
    "dma_cps",
    "gcd",
    "gcs",
    "gcu",
    "gdpr",
    "gdpr_consent",
    "gpp",
    "gpp_sid",
    "gtm",
    "npa",
    "sct",
    "seg",
    "sid",
    "tag_exp",
    "tid",
    "us_privacy",
    "v",
];
/// The name of the property that `_et` becomes: the vendor's own in its other protocols.
const ENGAGEMENT: &str = "engagement_time_msec";

/// The protocol of Google's tag.
pub struct Ga4;

impl Protocol for Ga4 {
    fn name(&self) -> &'static str {
        "ga4"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::POST, path: "/g/collect", action: Action::Collect },
            Route { method: Method::GET, path: "/g/collect", action: Action::Collect },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[
            Library {
                name: "Google's gtag.js",
                tried: None,
                code: Code::Vendors,
                change: Some(r#"gtag("config", "{key}", { server_container_url: "{base}" })"#),
                before: &[
                    script("https://www.googletagmanager.com/gtag/js?id=G-ABC123DEF4"),
                    ping(
                        "https://www.google-analytics.com/g/collect?v=2&tid=G-ABC123DEF4&gtm=45je&_p=1&cid=1.2&ul=en&sr=1440x900&_s=1&sid=3&en=page_view",
                    ),
                ],
                known_before: &[List::EasyPrivacy, List::Ublock],
                asks: &[
                    ping("/g/collect?v=2&tid=G-ABC123DEF4&gtm=45je&_p=1&cid=1.2&ul=en&sr=1440x900&_s=1&sid=3&en=page_view"),
                    xhr("/g/collect?v=2&tid=G-ABC123DEF4&gtm=45je&_p=1&cid=1.2&ul=en&sr=1440x900&_s=1&sid=3&en=page_view"),
                ],
                known: &[List::EasyPrivacy],
            },
            Library {
                name: "@minimal-analytics/ga4",
                tried: Some("1.8.7"),
                code: Code::Own,
                change: Some(r#"window.minimalAnalytics = { trackingId: "{key}", analyticsEndpoint: "{path}/g/collect" }"#),
                before: &[ping(
                    "https://www.google-analytics.com/g/collect?v=2&tid=G-ABC123DEF4&gtm=45je&_p=1&cid=1.2&ul=en&sr=1440x900&_s=1&sid=3&en=page_view",
                )],
                known_before: &[List::EasyPrivacy],
                asks: &[ping("/g/collect?v=2&tid=G-ABC123DEF4&gtm=45je&_p=1&cid=1.2&ul=en&sr=1440x900&_s=1&sid=3&en=page_view")],
                known: &[List::EasyPrivacy],
            },
        ];
        LIBRARIES
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let query = request.query().unwrap_or_default();
        let body = match std::str::from_utf8(request.body()) {
            Ok(body) => body,
            Err(error) => return unreadable(DecodeError { reason: "the body is not UTF-8", byte: Some(error.valid_up_to()) }),
        };
        let shared = Parameters::of(query);
        if shared.first("v") != Some("2") {
            return unreadable(DecodeError { reason: "the query does not say v=2", byte: None });
        }
        let named = shared.first("en").is_some();
        // A query names the events of its lines or it does not; only where it does can a line without a word be an event.
        let lines: Vec<(usize, &'a str)> = match body {
            "" => vec![(0, "")],
            _ => lines(body).filter(|(_, line)| named || !line.is_empty()).take(EVENTS_MAX + 1).collect(),
        };
        if lines.len() > EVENTS_MAX {
            return unreadable(DecodeError { reason: "more than 50 events", byte: None });
        }
        let mut choice = Choice::default();
        hear(&shared, &mut choice, now);
        let key = shared.first("tid").map_or_else(|| VendorKey::new(""), |tid| VendorKey::new(&decoded(tid)));
        let mut events = Vec::with_capacity(lines.len());
        let mut bad = Vec::new();
        for (index, (start, line)) in lines.iter().enumerate() {
            let own = Parameters::of(line);
            hear(&own, &mut choice, now);
            match event(index, &own, &shared) {
                Some(event) => events.push(event),
                None => {
                    let byte = (!body.is_empty()).then_some(*start);
                    bad.push((index, DecodeError { reason: "an event needs a name (en)", byte }));
                }
            }
        }
        let hints = ReplyHints { events: lines.len(), ..ReplyHints::default() };
        Decoded { events, bad, signal: choice.signal(), evidence: choice.evidence(), key: Some(key), hints, ..Decoded::default() }
    }

    /// Nothing, to everything that could be read: the tag takes any other answer for a failure, and sends again by other ways. That is
    /// wanted only where nothing was kept and nothing refused; a library of beacons does not hear it.
    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(after) = outcome.unavailable {
            return Reply::later(StatusCode::SERVICE_UNAVAILABLE, after);
        }
        match outcome.bad.first() {
            Some((_, error)) if outcome.bad.len() >= hints.events => Reply::unreadable(error),
            _ => Reply::status(StatusCode::NO_CONTENT),
        }
    }
}

/// What a hit's parameters say of consent.
fn hear(parameters: &Parameters<'_>, choice: &mut Choice, now: Timestamp) {
    let speaking = parameters.pairs().filter(|(name, _)| consent::speaks(name));
    speaking.for_each(|(name, value)| choice.hear(name, &decoded(value), now));
}

fn unreadable(error: DecodeError) -> Decoded<'static> {
    Decoded { bad: vec![(0, error)], ..Decoded::default() }
}

/// The lines of a body, empty ones too, with the byte that each begins at.
fn lines(body: &str) -> impl Iterator<Item = (usize, &str)> {
    body.split('\n').scan(0, |next, line| {
        let start = *next;
        *next += line.len() + 1;
        Some((start, line.trim_ascii()))
    })
}

/// One event: what its line says, and what the query says where the line does not. `None`: it has no name.
fn event<'a>(index: usize, own: &Parameters<'a>, shared: &Parameters<'a>) -> Option<RawEvent<'a>> {
    let name = own.first("en").or_else(|| shared.first("en"))?;
    let mut event = RawEvent {
        name: Some(Personal::new(decoded(name))),
        client_id: recognised_by(index, own, shared).map(|id| Personal::new(Cow::Owned(id))),
        browser_id: own.first("cid").or_else(|| shared.first("cid")).map(|id| Personal::new(Cow::Borrowed(id))),
        unknown_fields: own.left_out() + shared.left_out(),
        ..RawEvent::default()
    };
    let mut items = BTreeMap::new();
    let said_itself: HashSet<&str> = own.pairs().map(|(name, _)| name).collect();
    let inherited = shared.pairs().filter(|(name, _)| !said_itself.contains(name));
    for (name, value) in own.pairs().chain(inherited) {
        if !value.is_empty() && !take(&mut event, &mut items, name, value) {
            event.keep(decoded(name), Some(PropertyValue::Text(decoded(value))));
        }
    }
    event.items = items.into_values().collect();
    Some(event)
}

/// What a retry has in common with the first attempt and no other event has. The signs between the parts are none that a word may have, so
/// that this text, which holds the vendor's visitor id, cannot pass for one that may rest.
fn recognised_by(index: usize, own: &Parameters<'_>, shared: &Parameters<'_>) -> Option<String> {
    let first = |name| own.first(name).or_else(|| shared.first(name));
    let (page, request, name) = (first("_p")?, first("_s")?, first("en")?);
    let (key, visitor) = (first("tid").unwrap_or_default(), first("cid").unwrap_or_default());
    Some(format!("{key}&{visitor}&{page}&{request}&{index}&{name}"))
}

/// Takes one parameter into the event; false where it has no place for it. The first one of a name counts.
fn take<'a>(event: &mut RawEvent<'a>, items: &mut BTreeMap<u16, RawItem<'static>>, name: &str, value: &'a str) -> bool {
    let text = |place: &mut Option<Text<'a>>| {
        place.get_or_insert_with(|| Personal::new(decoded(value)));
        true
    };
    match name {
        "en" => true,
        "dl" => text(&mut event.page_url),
        "dt" => text(&mut event.page_title),
        "dr" => text(&mut event.referrer),
        "ul" => text(&mut event.language),
        "uid" => text(&mut event.user_id),
        "cu" => text(&mut event.currency),
        "sr" => take_width(event, &decoded(value)),
        "_et" => take_property(event, Cow::Borrowed(ENGAGEMENT), number(value).map(PropertyValue::Number)),
        _ if OF_THE_PROTOCOL.contains(&name) => true,
        _ => {
            if let Some(number) = items::number(name) {
                if let Entry::Vacant(place) = items.entry(number) {
                    let (item, unknown) = items::item(&decoded(value));
                    place.insert(item);
                    event.unknown_fields += unknown;
                }
                return true;
            }
            if let Some(name) = name.strip_prefix("epn.") {
                return take_number(event, &decoded(name), &decoded(value));
            }
            name.strip_prefix("ep.").is_some_and(|name| take_text(event, &decoded(name), value))
        }
    }
}

/// `1440x900`: the width.
fn take_width(event: &mut RawEvent<'_>, said: &str) -> bool {
    let width = said.split_once('x').and_then(|(width, _)| width.parse().ok()).filter(|width| *width > 0);
    event.screen_width = event.screen_width.take().or_else(|| width.map(Personal::new));
    width.is_some()
}

fn take_number(event: &mut RawEvent<'_>, name: &str, said: &str) -> bool {
    let number = number(said);
    let place = match name {
        "value" => &mut event.value,
        "tax" => &mut event.tax,
        "shipping" => &mut event.shipping,
        // A shop whose order ids are numbers.
        "transaction_id" => {
            event.transaction.get_or_insert_with(|| Personal::new(Cow::Owned(said.to_owned())));
            return true;
        }
        _ => return take_property(event, Cow::Owned(name.to_owned()), number.map(PropertyValue::Number)),
    };
    *place = place.take().or_else(|| number.map(Personal::new));
    number.is_some()
}

fn take_text<'a>(event: &mut RawEvent<'a>, name: &str, value: &'a str) -> bool {
    let said = decoded(value);
    let place = match name {
        "currency" => &mut event.currency,
        "transaction_id" => &mut event.transaction,
        "coupon" => &mut event.coupon,
        // A page that passes its amounts as text.
        "value" | "tax" | "shipping" => return take_number(event, name, &said),
        _ => {
            let value = match said.as_ref() {
                "true" => PropertyValue::Flag(true),
                "false" => PropertyValue::Flag(false),
                _ => PropertyValue::Text(said),
            };
            return take_property(event, Cow::Owned(name.to_owned()), Some(value));
        }
    };
    place.get_or_insert_with(|| Personal::new(said));
    true
}

/// Takes a property that has a name and a value, as long as there is room.
fn take_property<'a>(event: &mut RawEvent<'a>, name: Cow<'a, str>, value: Option<PropertyValue<'a>>) -> bool {
    match value {
        Some(value) if !name.is_empty() && event.properties.len() < PROPERTIES_MAX => {
            event.properties.push((Personal::new(name), Personal::new(value)));
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header;

    use super::*;
    use crate::{
        event::Purposes,
        privacy::{consent::ConsentSignal, raw::ClientAddress, shape::Shape},
        protocol::{cookies::CookieNames, reading::parameters::VALUE_BYTES_MAX},
    };

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const HIT: &str = "v=2&tid=G-TEST123456&_p=812345&_s=1&cid=1.2&sid=1800000000";

    fn inbound(query: &str, body: &[u8]) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let uri = format!("/keso/g/collect?{query}").parse().unwrap();
        Inbound::new(uri, http::HeaderMap::new(), Bytes::copy_from_slice(body), address, true, NOW)
    }

    fn shapes(inbound: &Inbound, decoded: &Decoded<'_>) -> Vec<Vec<(&'static str, usize)>> {
        let names = CookieNames::new("a", None, &[]);
        let arrival = inbound.arrival(&names, decoded.signal, Default::default());
        let of_event = |(name, _): &(&'static str, usize)| !matches!(*name, "client address" | "event id");
        decoded.events.iter().map(|event| Shape::of(event, &arrival).fields.into_iter().filter(of_event).collect()).collect()
    }

    fn fields(query: &str, body: &str) -> Vec<Vec<(&'static str, usize)>> {
        let inbound = inbound(&format!("{HIT}&{query}"), body.as_bytes());
        let decoded = Ga4.decode(&inbound, NOW);
        assert!(decoded.bad.is_empty());
        shapes(&inbound, &decoded)
    }

    #[test]
    fn one_event_is_in_the_query_and_may_go_on_in_the_body() {
        let query = "en=page_view&dl=https%3A%2F%2Fwww.shop.example%2Fk%C3%A4se&dt=K%C3%A4se+und%20Brot&dr=https%3A%2F%2Fa.example&ul=de-de&sr=1440x900&uid=u1";
        let expected =
            vec![("name", 9), ("page URL", 29), ("page title", 13), ("referrer", 17), ("user id", 2), ("language", 5), ("screen width", 0)];
        assert_eq!(fields(query, ""), [expected.as_slice()]);
        assert_eq!(
            fields(query, "em=tv.1~em.abc"),
            [expected.as_slice()],
            "what one event has no room for in the query is no second event"
        );
    }

    #[test]
    fn a_batch_shares_what_its_lines_do_not_say_otherwise() {
        let lines = "en=scroll&epn.percent_scrolled=90\r\nen=purchase&dl=https%3A%2F%2Fb&cu=EUR&epn.value=3&ep.transaction_id=T1\n";
        let two = fields("dl=https%3A%2F%2Fwww", lines);
        assert_eq!(two[0], [("name", 6), ("page URL", 11)]);
        assert_eq!(two[1], [("name", 8), ("page URL", 9), ("value", 0), ("currency", 3), ("order id", 2)]);
        assert_eq!(two.len(), 2, "no event in the empty line at the end");
        let named = fields("en=page_view&dl=https%3A%2F%2Fwww", "\r\nen=click");
        assert_eq!(named, [[("name", 9), ("page URL", 11)], [("name", 5), ("page URL", 11)]], "an event of which all stands in the query");
    }

    #[test]
    fn an_order_is_read_whole() {
        let query = "en=purchase&cu=EUR&epn.value=29.5&ep.tax=4.71&epn.shipping=4.9&ep.coupon=SPRING&epn.transaction_id=1001\
                     &pr2=idB~pr2&pr1=idA~nmRed~qt1&pr201=idC&_et=1200&ep.gift=true&ep.plan=gold&up.tier=x";
        let inbound = inbound(&format!("{HIT}&{query}"), b"");
        let decoded = Ga4.decode(&inbound, NOW);
        let expected =
            [("name", 8), ("value", 0), ("currency", 3), ("order id", 4), ("tax", 0), ("shipping", 0), ("coupon", 6), ("items", 0)];
        assert_eq!(shapes(&inbound, &decoded), [expected]);
        let event = &decoded.events[0];
        assert_eq!(
            (event.items.len(), event.properties.len(), event.vendor_fields.len()),
            (2, 3, 2),
            "pr201 and up.tier are the vendor's own"
        );
        assert!(event.items[0].name.is_some() && event.items[1].name.is_none(), "in the order of their numbers");
    }

    #[test]
    fn a_retry_is_recognised_and_nothing_else_is_taken_for_one() {
        let id = |index, line: &str, query: &str| recognised_by(index, &Parameters::of(line), &Parameters::of(query));
        let first = id(0, "en=click", HIT).unwrap();
        assert_eq!(id(0, "en=click", HIT).unwrap(), first);
        assert_eq!(id(0, "", &format!("{HIT}&en=click")).unwrap(), first, "by whichever place the name came");
        for (index, line, query) in [
            (1, "en=click", HIT.to_owned()),
            (0, "en=scroll", HIT.to_owned()),
            (0, "en=click", HIT.replace("_s=1", "_s=2")),
            (0, "en=click", HIT.replace("_p=812345", "_p=812346")),
            (0, "en=click", HIT.replace("cid=1.2", "cid=1.3")),
        ] {
            assert_ne!(id(index, line, &query).unwrap(), first, "{line} {query}");
        }
        assert_eq!(id(0, "en=click", &HIT.replace("_p=", "x=")), None, "nothing tells two hits apart: each is its own");
        assert!(first.contains('&'), "no word that may rest");
    }

    #[test]
    fn a_no_in_any_line_is_a_no() {
        let signal = |query: &str, body: &str| Ga4.decode(&inbound(&format!("{HIT}&{query}"), body.as_bytes()), NOW).signal;
        assert_eq!(signal("en=a", ""), ConsentSignal::Absent);
        let analytics = ConsentSignal::Given { purposes: Purposes::ANALYTICS, seconds_left: None };
        assert_eq!(signal("gcs=G101", "en=a\r\nen=b"), analytics);
        let none = ConsentSignal::Given { purposes: Purposes::NONE, seconds_left: None };
        assert_eq!(signal("gcs=G101", "en=a\r\nen=b&gcs=G100"), none);
        assert_eq!(signal("gcs=%471x1&en=a", ""), ConsentSignal::Malformed);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_what_can_be_is_answered_with_nothing() {
        let read = |query: &str, body: &[u8]| {
            let inbound = inbound(query, body);
            let decoded = Ga4.decode(&inbound, NOW);
            let outcome = Outcome { bad: decoded.bad.clone(), ..Outcome::default() };
            (decoded.events.len(), decoded.bad, Ga4.reply(&decoded.hints, &outcome).status.as_u16())
        };
        let bad = |index, reason, byte| vec![(index, DecodeError { reason, byte })];
        let no_name = "an event needs a name (en)";
        assert_eq!(read(&format!("{HIT}&en=a"), b""), (1, vec![], 204));
        assert_eq!(read(HIT, b""), (0, bad(0, no_name, None), 400));
        assert_eq!(read(HIT, b"en=a\r\nep.x=1\r\nen=b"), (2, bad(1, no_name, Some(6)), 204));
        assert_eq!(read("tid=G-1&en=a", b""), (0, bad(0, "the query does not say v=2", None), 400));
        assert_eq!(read(HIT, b"en=\xff"), (0, bad(0, "the body is not UTF-8", Some(3)), 400));
        assert_eq!(read(HIT, "en=a\n".repeat(51).as_bytes()), (0, bad(0, "more than 50 events", None), 400));
        assert_eq!(read(&format!("{HIT}&en=a"), &b"\n".repeat(60_000)), (0, bad(0, "more than 50 events", None), 400));
        assert_eq!(read(HIT, "en=a\n".repeat(50).as_bytes()), (50, vec![], 204));
    }

    #[test]
    fn a_yes_is_not_said_to_what_was_not_kept() {
        let hints = ReplyHints { events: 1, ..ReplyHints::default() };
        let wait = Some(std::time::Duration::from_millis(1_500));
        let reply = Ga4.reply(&hints, &Outcome { unavailable: wait, ..Outcome::default() });
        assert_eq!((reply.status, reply.headers), (StatusCode::SERVICE_UNAVAILABLE, vec![(header::RETRY_AFTER, Cow::Borrowed("1"))]));
        let refused = Outcome { over_quota: wait, ..Outcome::default() };
        assert_eq!(Ga4.reply(&hints, &refused).status, StatusCode::NO_CONTENT, "it was counted, and another attempt would be more of it");
    }

    #[test]
    fn nothing_of_one_hit_is_without_bound() {
        let many = "&ep.x=1".repeat(2_000);
        let inbound = inbound(HIT, format!("en=a{many}&dt={}\r\nen=b&dt={}", "t".repeat(10), "t".repeat(VALUE_BYTES_MAX + 1)).as_bytes());
        let decoded = Ga4.decode(&inbound, NOW);
        let [first, second] = decoded.events.as_slice() else { panic!("two events") };
        assert_eq!(first.properties.len(), PROPERTIES_MAX);
        assert_eq!(first.vendor_fields.len() + first.unknown_fields, 2_002 - 1 - PROPERTIES_MAX, "each is counted");
        assert_eq!(first.vendor_fields.len(), 100);
        assert!(first.page_title.is_none() && second.page_title.is_none());
    }
}
