//! `matomo`: what Matomo's trackers and SDKs send when their tracker's address is `<prefix>/mt`, or where they ask for that name `matomo.php` (or `piwik.php`):
//! <https://developer.matomo.org/api-reference/tracking-api>.
//!
//! - One hit: parameters in the query (`GET`), or in a form in the body, or in both; `rec=1` and `idsite`, the vendor's key of the site.
//! - Many: a body `{"requests": ["?idsite=1&rec=1&…", …]}`, whatever its content type says, at most 250, all of one `idsite`.
//!
//! | Matomo's | ours |
//! |---|---|
//! | a hit with none of the below | `page_view` |
//! | `_pkn`, `_pks`, `_pkp`, `_pkc` beside it | one `view_item` more, with that product |
//! | `e_c`, `e_a`, `e_n`, `e_v` | the event named `e_a` in canonical words; `event_category`, `event_label`, `event_value` as properties; a product beside it (`_pks`, …) is the event's |
//! | `idgoal=0`, `ec_id`, `revenue`, `ec_tx`, `ec_sh`, `ec_items` | `purchase`; without `ec_id` the event is `cart_update` |
//! | `idgoal=1` and on | `goal`, with the value `revenue` and the property `goal` |
//! | `search`, `search_cat` | `view_search_results`, with the properties `search_term`, `search_category` |
//! | `link`, `download` | `click` (`link_domain`, `outbound`), `file_download` (`link_domain`, `file_extension`) |
//! | `c_n`, `c_p`, `c_t`, `c_i` | `content_impression`, with `c_i` `content_interaction`; `content_name`, `content_piece`, `content_interaction` as properties |
//! | `ping=1` | `user_engagement`: no page view |
//! | `ca=1` with none of the above | `custom` |
//! | `url`, `urlref`, `action_name`, `lang`, `res`, `uid` | page, referrer, title, language, screen, user id as claimed |
//! | `cdt` | the time, where it is no more than 72 hours ago |
//! | `_id`, `cid` | tells, in the minute after a first yes, that several requests are one browser's; rests nowhere |
//! | `cip`, `ua`, `uadata`, `h`, `m`, `s`, `country`, `region`, `city`, `lat`, `long`, `token_auth` | not taken |
//! | all else (`dimension1`, `pf_srv`, …) | the vendor's own, `matomo.dimension1`, where the policy lists it |
//!
//! Money has no currency: Matomo's belongs to its site. What makes a hit recognisable when it is sent again is its page view's id (`pv_id`), its
//! random number (`rand`) and its kind.

mod products;

use std::borrow::Cow;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::products::{items, product};
use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, image, ping, script, xhr},
    native::describe,
    reading::{
        names,
        parameters::{self, Parameters},
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

/// Hits in one body; the trackers send at most 20 at once, importers of logs 200.
const HITS_MAX: usize = 250;
/// Parameters that carry the protocol itself, or say what is none of our business: not kept, and nothing is lost by that.
const OF_THE_PROTOCOL: [&str; 36] = [
    "_id",
    "_idn",
    "_idts",
    "_idvc",
    "_ects",
    "_rcn",
    "_rck",
    "_ref",
    "_refts",
    "_viewts",
    "apiv",
    "bots",
    "ca",
    "cid",
    "cip",
    "city",
    "cookie",
    "country",
    "h",
    "idsite",
    "lat",
    "long",
    "m",
    "new_visit",
    "ping",
    "pv_id",
    "queuedtracking",
    "rand",
    "rec",
    "recMode",
    "region",
    "s",
    "send_image",
    "token_auth",
    "ua",
    "uadata",
];

/// What every hit may say, and where it goes.
const OF_EVERY_HIT: [&str; 7] = ["url", "urlref", "action_name", "lang", "res", "uid", "cdt"];

/// The protocol of Matomo's trackers.
pub struct Matomo;

impl Protocol for Matomo {
    fn name(&self) -> &'static str {
        "matomo"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::POST, path: "/mt", action: Action::Collect },
            Route { method: Method::GET, path: "/mt", action: Action::Collect },
            Route { method: Method::POST, path: "/matomo.php", action: Action::Collect },
            Route { method: Method::GET, path: "/matomo.php", action: Action::Collect },
            Route { method: Method::POST, path: "/piwik.php", action: Action::Collect },
            Route { method: Method::GET, path: "/piwik.php", action: Action::Collect },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[
            Library {
                name: "Matomo's matomo.js",
                tried: None,
                code: Code::Own,
                change: Some(r#"_paq.push(["setTrackerUrl", "{base}/mt"], ["setSiteId", "{key}"])"#),
                before: &[
                    script("https://cdn.matomo.cloud/shop.matomo.cloud/matomo.js"),
                    ping(
                        "https://shop.matomo.cloud/matomo.php?action_name=A&idsite=1&rec=1&r=123456&h=9&m=26&s=53&url=https%3A%2F%2Fwww.shop.example%2F&_id=0123456789abcdef&_idn=1&send_image=0&pv_id=abc123&res=1440x900",
                    ),
                ],
                known_before: &[List::EasyPrivacy],
                asks: &[
                    ping(
                        "/mt?action_name=A&idsite=1&rec=1&r=123456&h=9&m=26&s=53&url=https%3A%2F%2Fwww.shop.example%2F&_id=0123456789abcdef&_idn=1&send_image=0&pv_id=abc123&res=1440x900",
                    ),
                    xhr("/mt"),
                    image(
                        "/mt?action_name=A&idsite=1&rec=1&r=123456&h=9&m=26&s=53&url=https%3A%2F%2Fwww.shop.example%2F&_id=0123456789abcdef&_idn=1&send_image=0&pv_id=abc123&res=1440x900",
                    ),
                ],
                known: &[],
            },
            Library {
                name: "matomo-tracker",
                tried: Some("2.2.4"),
                code: Code::Server,
                change: Some(r#"new MatomoTracker({key}, "{base}/matomo.php")"#),
                before: &[],
                known_before: &[],
                asks: &[xhr(
                    "/matomo.php?action_name=A&idsite=1&rec=1&r=123456&h=9&m=26&s=53&url=https%3A%2F%2Fwww.shop.example%2F&_id=0123456789abcdef&_idn=1&send_image=0&pv_id=abc123&res=1440x900",
                )],
                known: &[],
            },
        ];
        LIBRARIES
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let body = match std::str::from_utf8(request.body()) {
            Ok(body) => body,
            Err(error) => return unreadable(DecodeError { reason: "the body is not UTF-8", byte: Some(error.valid_up_to()) }),
        };
        if body.trim_start().starts_with('{') {
            return match serde_json::from_str::<Bulk<'a>>(body) {
                Ok(bulk) => many(request, &bulk, now),
                Err(error) => unreadable(describe(&error, body.as_bytes(), 0)),
            };
        }
        let hit = Parameters::of(body).and(Parameters::of(request.query().unwrap_or_default()));
        let image = hit.first("send_image") != Some("0");
        let mut decoded = Decoded {
            key: Some(VendorKey::new(&hit.text("idsite").unwrap_or_default())),
            hints: ReplyHints { events: 1, image, ..ReplyHints::default() },
            ..Decoded::default()
        };
        take(&mut decoded, 0, &hit, now);
        decoded.hints.events = decoded.events.len() + decoded.bad.len();
        decoded
    }

    /// A hit that cannot be read gets a reason; the tracker then tries once more as an image, and no more. To a bulk request, what Matomo says: how
    /// many were taken.
    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        match outcome.bad.first() {
            Some((_, error)) if outcome.bad.len() >= hints.events => Reply::unreadable(error),
            _ if hints.batch => {
                let (tracked, invalid) = (hints.events - outcome.bad.len(), outcome.bad.len());
                Reply::json(format!("{{\"status\":\"success\",\"tracked\":{tracked},\"invalid\":{invalid}}}"))
            }
            _ if hints.image => Reply::image(),
            _ => Reply::status(StatusCode::NO_CONTENT),
        }
    }
}

fn unreadable(error: DecodeError) -> Decoded<'static> {
    Decoded { bad: vec![(0, error)], ..Decoded::default() }
}

/// A body of several hits; the token beside them authorises nothing here.
#[derive(Deserialize)]
struct Bulk<'a> {
    #[serde(borrow)]
    requests: Vec<&'a RawValue>,
}

/// The hits of a bulk request. Their text is unescaped into one buffer, a line each, so that events can borrow from it.
fn many<'a>(request: &'a Inbound, bulk: &Bulk<'a>, now: Timestamp) -> Decoded<'a> {
    if bulk.requests.len() > HITS_MAX {
        return unreadable(DecodeError { reason: "more than 250 requests", byte: None });
    }
    let lines = request.unpacked(|| {
        let mut lines = Vec::new();
        for hit in &bulk.requests {
            // What is no text leaves its line empty. A line break has no place in a query: there it is written %0A.
            if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(hit.get()) {
                lines.extend(text.bytes().filter(|byte| *byte != b'\n'));
            }
            lines.push(b'\n');
        }
        lines
    });
    let hits: Vec<_> = std::str::from_utf8(lines).unwrap_or_default().lines().map(Parameters::of).collect();
    let site = hits.iter().find_map(|hit| hit.text("idsite")).unwrap_or_default();
    let mut decoded = Decoded { key: Some(VendorKey::new(&site)), ..Decoded::default() };
    for (index, hit) in hits.iter().enumerate() {
        if hit.text("idsite").is_some_and(|own| own != site) {
            decoded.bad.push((index, DecodeError { reason: "all requests of a body are of one idsite", byte: None }));
        } else {
            take(&mut decoded, index, hit, now);
        }
    }
    decoded.hints = ReplyHints { events: decoded.events.len() + decoded.bad.len(), batch: true, ..ReplyHints::default() };
    decoded
}

/// Takes one hit: its event or two, or why there is none.
fn take<'a>(decoded: &mut Decoded<'a>, index: usize, hit: &Parameters<'a>, now: Timestamp) {
    if hit.first("rec") != Some("1") {
        decoded.bad.push((index, DecodeError { reason: "a hit needs rec=1", byte: None }));
        return;
    }
    let subject = Subject::of(hit);
    let mut event = circumstances(hit, &subject.name(hit), now);
    subject.tell(&mut event, hit);
    for (name, value) in hit.pairs() {
        let name = parameters::decoded(name);
        let taken = [&OF_THE_PROTOCOL[..], &OF_EVERY_HIT, subject.parameters()].iter().any(|names| names.contains(&name.as_ref()));
        if !taken && !value.is_empty() {
            event.keep(name, Some(PropertyValue::Text(parameters::decoded(value))));
        }
    }
    event.unknown_fields += hit.left_out();
    decoded.events.push(event);
    if let Some(product) = (subject == Subject::Page).then(|| product(hit)).flatten() {
        let mut viewed = circumstances(hit, "view_item", now);
        viewed.value = hit.number("_pkp").map(Personal::new);
        viewed.items = vec![product];
        decoded.events.push(viewed);
    }
}

/// What a hit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Order,
    Cart,
    Goal,
    Event,
    Search,
    Link,
    Download,
    ContentShown,
    ContentUsed,
    Heartbeat,
    Custom,
    Page,
}

impl Subject {
    /// In Matomo's own order: a goal or an order first, a page view where nothing else is said.
    fn of(hit: &Parameters<'_>) -> Self {
        let said = |name| hit.first(name).is_some();
        match hit.first("idgoal") {
            Some("0") if said("ec_id") => Self::Order,
            Some("0") => Self::Cart,
            Some(_) => Self::Goal,
            None if said("e_c") && said("e_a") => Self::Event,
            None if said("search") => Self::Search,
            None if said("link") => Self::Link,
            None if said("download") => Self::Download,
            None if said("c_n") && said("c_i") => Self::ContentUsed,
            None if said("c_n") => Self::ContentShown,
            None if hit.first("ping") == Some("1") => Self::Heartbeat,
            None if hit.first("ca") == Some("1") => Self::Custom,
            None => Self::Page,
        }
    }

    /// Its canonical name.
    fn name(self, hit: &Parameters<'_>) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Order => "purchase",
            Self::Cart => "cart_update",
            Self::Goal => "goal",
            Self::Event => {
                let (name, _) = names::canonical(&hit.text("e_a").unwrap_or_default());
                return Cow::Owned(name);
            }
            Self::Search => "view_search_results",
            Self::Link => "click",
            Self::Download => "file_download",
            Self::ContentShown => "content_impression",
            Self::ContentUsed => "content_interaction",
            Self::Heartbeat => "user_engagement",
            Self::Custom => "custom",
            Self::Page => "page_view",
        })
    }

    /// The parameters that say it.
    const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Order | Self::Cart => &["idgoal", "ec_id", "revenue", "ec_tx", "ec_sh", "ec_items"],
            Self::Goal => &["idgoal", "revenue"],
            Self::Event => &["e_c", "e_a", "e_n", "e_v", "_pks", "_pkn", "_pkp", "_pkc"],
            Self::Search => &["search", "search_cat"],
            Self::Link => &["link"],
            Self::Download => &["download"],
            Self::ContentShown | Self::ContentUsed => &["c_n", "c_p", "c_t", "c_i"],
            Self::Page => &["_pks", "_pkn", "_pkp", "_pkc"],
            Self::Heartbeat | Self::Custom => &[],
        }
    }

    /// Says it in the event.
    fn tell<'a>(self, event: &mut RawEvent<'a>, hit: &Parameters<'a>) {
        let text = |name| hit.text(name).map(PropertyValue::Text);
        let amount = |name| hit.number(name).map(Personal::new);
        let said: Vec<(&'static str, Option<PropertyValue<'a>>)> = match self {
            Self::Order | Self::Cart => {
                (event.value, event.tax, event.shipping) = (amount("revenue"), amount("ec_tx"), amount("ec_sh"));
                event.transaction = hit.text("ec_id").map(Personal::new);
                event.items = hit.text("ec_items").map(|said| items(&said)).unwrap_or_default();
                Vec::new()
            }
            Self::Goal => {
                event.value = amount("revenue");
                vec![("goal", hit.number("idgoal").map(PropertyValue::Number))]
            }
            Self::Event => {
                event.items = product(hit).into_iter().collect();
                event.value = amount("_pkp");
                let number = hit.number("e_v").map(PropertyValue::Number);
                vec![("event_category", text("e_c")), ("event_label", text("e_n")), ("event_value", number)]
            }
            Self::Search => vec![("search_term", text("search")), ("search_category", text("search_cat"))],
            Self::Link => vec![("link_domain", hit.text("link").and_then(domain)), ("outbound", Some(PropertyValue::Flag(true)))],
            Self::Download => {
                let address = hit.text("download").unwrap_or_default();
                vec![("link_domain", domain(address.clone())), ("file_extension", extension(&address))]
            }
            Self::ContentShown | Self::ContentUsed => {
                vec![("content_name", text("c_n")), ("content_piece", text("c_p")), ("content_interaction", text("c_i"))]
            }
            Self::Heartbeat | Self::Custom | Self::Page => Vec::new(),
        };
        let there = said.into_iter().filter_map(|(name, value)| Some((Personal::new(Cow::Borrowed(name)), Personal::new(value?))));
        event.properties.extend(there);
    }
}

/// The host of an address.
fn domain(address: Cow<'_, str>) -> Option<PropertyValue<'static>> {
    let host = address.split_once("://")?.1.split(['/', '?', '#', ':']).next()?;
    Some(PropertyValue::Text(Cow::Owned(host.to_owned())))
}

/// The ending of the file that an address leads to, in small letters.
fn extension(address: &str) -> Option<PropertyValue<'static>> {
    let (_, ending) = address.split(['?', '#']).next()?.rsplit('/').next()?.rsplit_once('.')?;
    Some(PropertyValue::Text(Cow::Owned(ending.to_lowercase())))
}

/// What an event of that name is called, and when, where and whose it is.
fn circumstances<'a>(hit: &Parameters<'a>, name: &str, now: Timestamp) -> RawEvent<'a> {
    let text = |name| hit.text(name).map(Personal::new);
    RawEvent {
        name: Some(Personal::new(Cow::Owned(name.to_owned()))),
        client_id: recognised_by(hit, name).map(|id| Personal::new(Cow::Owned(id))),
        time: hit.text("cdt").and_then(|said| instant(&said)).and_then(|happened| corrected(happened, None, now)),
        page_url: text("url"),
        page_title: text("action_name"),
        referrer: text("urlref"),
        language: text("lang"),
        user_id: text("uid"),
        browser_id: text("_id").or_else(|| text("cid")),
        screen_width: hit.text("res").and_then(|size| size.split_once('x')?.0.parse().ok()).filter(|width| *width > 0).map(Personal::new),
        ..RawEvent::default()
    }
}

/// What a hit that is sent again has in common with the first attempt. The signs between the parts are none that a word may have, so that this
/// text, which holds the vendor's id of the browser, cannot pass for one that may rest.
fn recognised_by(hit: &Parameters<'_>, name: &str) -> Option<String> {
    let (page, random) = (hit.first("pv_id")?, hit.first("rand")?);
    let (site, browser) = (hit.first("idsite").unwrap_or_default(), hit.first("_id").unwrap_or_default());
    Some(format!("{site}&{browser}&{page}&{random}&{name}"))
}

/// `2026-03-14 09:26:53` (UTC) or seconds since 1970, in milliseconds.
fn instant(said: &str) -> Option<i64> {
    if let Ok(seconds) = said.parse::<i64>() {
        return seconds.checked_mul(1_000);
    }
    let text = format!("{}Z", said.trim().replacen(' ', "T", 1));
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        privacy::{raw::ClientAddress, shape::Shape},
        protocol::cookies::CookieNames,
    };

    const NOW: Timestamp = Timestamp(1_773_480_413_589);
    const HIT: &str = "idsite=1&rec=1&_id=0123456789abcdef&pv_id=aB3xY9&rand=123456";

    fn inbound(query: &str, body: &str) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let uri = format!("/keso/matomo.php?{query}").parse().unwrap();
        Inbound::new(uri, http::HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()), address, true, NOW)
    }

    /// Fields by name and length, and how many properties, fields of the vendor's and products there are.
    type Seen = (Vec<(&'static str, usize)>, [usize; 3]);

    fn read(query: &str, body: &str) -> Vec<Seen> {
        let inbound = inbound(query, body);
        let decoded = Matomo.decode(&inbound, NOW);
        let arrival = inbound.arrival(&CookieNames::new("a", None, &[]), decoded.signal, Default::default());
        let of_event = |(name, _): &(&'static str, usize)| !matches!(*name, "client address" | "event id");
        let seen = |event: &RawEvent<'_>| {
            let fields = Shape::of(event, &arrival).fields.into_iter().filter(of_event).collect();
            (fields, [event.properties.len(), event.vendor_fields.len(), event.items.len()])
        };
        decoded.events.iter().map(seen).collect()
    }

    #[test]
    fn every_kind_of_hit_is_known() {
        for (said, name, counts) in [
            ("", "page_view", [0, 0, 0]),
            ("&dimension1=a&pf_srv=12&h=11&m=5&ua=x&cip=192.0.2.9", "page_view", [0, 2, 0]),
            ("&e_c=Videos&e_a=Play+Pressed&e_n=Film&e_v=3&ca=1", "play_pressed", [3, 0, 0]),
            ("&idgoal=0&ec_id=A-1&revenue=20&ec_st=15&ec_items=%5B%5B%22s%22,%22n%22,%5B%22c%22%5D,5,2%5D%5D", "purchase", [0, 1, 1]),
            ("&idgoal=0&revenue=20", "cart_update", [0, 0, 0]),
            ("&idgoal=3&revenue=20", "goal", [1, 0, 0]),
            ("&search=cups&search_cat=all&search_count=3", "view_search_results", [2, 1, 0]),
            ("&link=https%3A%2F%2Fother.example%2Fx", "click", [2, 0, 0]),
            ("&download=https%3A%2F%2Fwww.shop.example%2Fa.PDF%3Fx", "file_download", [2, 0, 0]),
            ("&c_n=Banner&c_p=blue.png&c_t=%2Fsale", "content_impression", [2, 0, 0]),
            ("&c_n=Banner&c_i=click", "content_interaction", [2, 0, 0]),
            ("&e_c=Shop&e_a=view_item&_pks=cup-1&_pkp=12.5", "view_item", [1, 0, 1]),
            ("&ping=1", "user_engagement", [0, 0, 0]),
            ("&ca=1&ma_id=7", "custom", [0, 1, 0]),
        ] {
            let read = read(&format!("{HIT}{said}"), "");
            let [(fields, found)] = read.as_slice() else { panic!("one event of {said}") };
            assert_eq!((fields[0], *found), (("name", name.len()), counts), "{said}");
        }
    }

    #[test]
    fn a_page_that_shows_a_product_is_two_events() {
        let two = read(&format!("{HIT}&_pks=cup-1&_pkn=Cup&_pkp=12.5&_pkc=%5B%22Tableware%22,%22Sale%22%5D&url=https%3A%2F%2Fa"), "");
        let names: Vec<_> = two.iter().map(|(fields, [_, _, items])| (fields[0].1, *items)).collect();
        assert_eq!(names, [("page_view".len(), 0), ("view_item".len(), 1)]);
        assert!(two.iter().all(|(fields, _)| fields.contains(&("page URL", 9))));
    }

    #[test]
    fn a_form_and_a_query_are_one_hit() {
        let [(fields, _)] = <[_; 1]>::try_from(read("idsite=1&rec=1&url=https%3A%2F%2Fquery", "url=https%3A%2F%2Fbody&uid=u1")).unwrap();
        assert_eq!(fields, [("name", 9), ("page URL", 12), ("user id", 2)]);
    }

    #[test]
    fn many_hits_in_a_body_keep_their_places() {
        let body = format!(r#"{{"requests":["?{HIT}","?{HIT}&ping=1\u0026x=\"",7,"?rec=0","?idsite=2&rec=1"],"token_auth":"t"}}"#);
        let inbound = inbound("", &body);
        let decoded = Matomo.decode(&inbound, NOW);
        let places: Vec<_> = decoded.bad.iter().map(|(index, error)| (*index, error.reason)).collect();
        let rec = "a hit needs rec=1";
        assert_eq!((decoded.events.len(), places), (2, vec![(2, rec), (3, rec), (4, "all requests of a body are of one idsite")]));
        let outcome = Outcome { bad: decoded.bad.clone(), ..Outcome::default() };
        let reply = Matomo.reply(&decoded.hints, &outcome);
        assert_eq!(reply.body, Cow::Borrowed(br#"{"status":"success","tracked":2,"invalid":3}"#.as_slice()));
        let many = format!(r#"{{"requests":[{}]}}"#, vec!["\"\""; HITS_MAX + 1].join(","));
        assert_eq!(Matomo.decode(&self::inbound("", &many), NOW).bad[0].1.reason, "more than 250 requests");
    }

    #[test]
    fn an_answer_is_what_was_asked_for() {
        let status = |query: &str| {
            let inbound = inbound(query, "");
            let decoded = Matomo.decode(&inbound, NOW);
            let reply = Matomo.reply(&decoded.hints, &Outcome { bad: decoded.bad.clone(), ..Outcome::default() });
            (reply.status.as_u16(), reply.body.len())
        };
        assert_eq!((status(HIT), status(&format!("{HIT}&send_image=0"))), ((200, Reply::image().body.len()), (204, 0)));
        assert_eq!(status("idsite=1"), (400, "a hit needs rec=1\n".len()));
    }

    #[test]
    fn the_trackers_time_is_taken_while_it_is_near() {
        let time = |cdt: &str| {
            let inbound = inbound(&format!("{HIT}&cdt={cdt}"), "");
            Matomo.decode(&inbound, NOW).events[0].time
        };
        assert_eq!(time("2026-03-14%2009:26:50"), Some(Timestamp(1_773_480_410_000)));
        assert_eq!(time("1773480410"), Some(Timestamp(1_773_480_410_000)));
        assert_eq!((time("2025-01-01%2000:00:00"), time("tomorrow"), time("9223372036854775807")), (None, None, None));
    }

    #[test]
    fn a_hit_that_is_sent_again_is_recognised_and_no_other_is() {
        let id = |query: &str| recognised_by(&Parameters::of(query), "page_view");
        let first = id(HIT).unwrap();
        assert_eq!(id(&format!("{HIT}&url=x")), Some(first.clone()));
        for other in [HIT.replace("rand=123456", "rand=123457"), HIT.replace("aB3xY9", "aB3xY8"), HIT.replace("abcdef", "abcdee")] {
            assert_ne!(id(&other), Some(first.clone()), "{other}");
        }
        assert_eq!(id("idsite=1&rec=1"), None);
        assert!(first.contains('&'), "no word that may rest");
    }
}
