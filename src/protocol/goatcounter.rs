//! `goatcounter`: what GoatCounter's `count.js` sends when its endpoint is `<prefix>/count`: one hit in the query, as an image or a beacon:
//! <https://www.goatcounter.com/help/pixel>. It names its site by the address alone, so there is no vendor's key.
//!
//! | GoatCounter's | ours |
//! |---|---|
//! | `p` | the page's path on the host that was asked; with `e`, the event's name in canonical words |
//! | `q` | the page's query |
//! | `t`, `r`, `s` (width, height, scale) | title, referrer, screen |
//! | `b` (why it may be a program), `rnd` | not taken |

use std::borrow::Cow;

use http::Method;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route,
    library::{Code, Library, List, image, ping, script},
    reading::{names, parameters::Parameters},
};
use crate::{
    clock::Timestamp,
    privacy::{
        personal::Personal,
        raw::{PropertyValue, RawEvent},
    },
};

/// Parameters that have their place.
const KNOWN: [&str; 8] = ["p", "q", "t", "r", "s", "e", "b", "rnd"];

/// The protocol of GoatCounter's script.
pub struct GoatCounter;

impl Protocol for GoatCounter {
    fn name(&self) -> &'static str {
        "goatcounter"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::GET, path: "/count", action: Action::Collect },
            Route { method: Method::POST, path: "/count", action: Action::Collect },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[Library {
            name: "GoatCounter's count.js",
            tried: None,
            code: Code::Own,
            change: Some(r#"<script data-goatcounter="{base}/count" async src="/count.js"></script>"#),
            before: &[
                script("https://gc.zgo.at/count.js"),
                ping("https://shop.goatcounter.com/count?p=%2F&t=A&s=1440%2C900%2C2&b=0&rnd=abc12"),
            ],
            known_before: &[List::EasyPrivacy],
            asks: &[ping("/count?p=%2F&t=A&s=1440%2C900%2C2&b=0&rnd=abc12"), image("/count?p=%2F&t=A&s=1440%2C900%2C2&b=0&rnd=abc12")],
            known: &[],
        }];
        LIBRARIES
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, _: Timestamp) -> Decoded<'a> {
        let hints = ReplyHints { events: 1, image: true, ..ReplyHints::default() };
        let hit = Parameters::of(request.query().unwrap_or_default());
        let Some(said) = hit.text("p") else {
            let error = DecodeError { reason: "a hit needs a path (p)", byte: None };
            return Decoded { bad: vec![(0, error)], hints, ..Decoded::default() };
        };
        let is_event = hit.first("e").is_some_and(|flag| matches!(flag, "true" | "1"));
        let name = if is_event { Cow::Owned(names::canonical(&said).0) } else { Cow::Borrowed("page_view") };
        let page = (!is_event).then(|| address(request.authority().unwrap_or_default(), &said, hit.text("q").as_deref()));
        let text = |name| hit.text(name).map(Personal::new);
        let width = hit.text("s").and_then(|size| size.split(',').next()?.parse().ok()).filter(|width| *width > 0);
        let mut event = RawEvent {
            name: Some(Personal::new(name)),
            page_url: page.map(|page| Personal::new(Cow::Owned(page))),
            page_title: text("t"),
            referrer: text("r"),
            screen_width: width.map(Personal::new),
            unknown_fields: hit.left_out(),
            ..RawEvent::default()
        };
        for (name, value) in hit.pairs().filter(|(name, _)| !KNOWN.contains(name)) {
            event.keep(name, Some(PropertyValue::Text(super::reading::parameters::decoded(value))));
        }
        Decoded { events: vec![event], hints, ..Decoded::default() }
    }

    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        match outcome.bad.first() {
            Some((_, error)) if outcome.bad.len() >= hints.events => Reply::unreadable(error),
            _ => Reply::image(),
        }
    }
}

/// The page's address: the script says its path, and is served by the page's own host.
fn address(authority: &str, path: &str, query: Option<&str>) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let query = query.map(|query| query.strip_prefix('?').unwrap_or(query)).filter(|query| !query.is_empty());
    match query {
        Some(query) if !path.contains('?') => format!("https://{authority}{slash}{path}?{query}"),
        _ => format!("https://{authority}{slash}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        privacy::{raw::ClientAddress, shape::Shape},
        protocol::cookies::CookieNames,
    };

    fn read(query: &str) -> (Vec<(&'static str, usize)>, u16) {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let mut headers = http::HeaderMap::new();
        headers.insert("host", http::HeaderValue::from_static("shop.example"));
        let uri = format!("/keso/count?{query}").parse().expect("an address");
        let inbound = Inbound::new(uri, headers, Bytes::new(), address, true, Timestamp(1_773_480_413_589));
        let decoded = GoatCounter.decode(&inbound, inbound.received());
        let arrival = inbound.arrival(&CookieNames::new("a", None, &[]), decoded.signal, Default::default());
        let status = GoatCounter.reply(&decoded.hints, &Outcome { bad: decoded.bad.clone(), ..Outcome::default() }).status.as_u16();
        let of_event = |(name, _): &(&'static str, usize)| *name != "client address";
        let fields = decoded.events.iter().flat_map(|event| Shape::of(event, &arrival).fields).filter(of_event).collect();
        (fields, status)
    }

    #[test]
    fn a_hit_is_a_page_or_an_event() {
        let page = [("name", 9), ("page URL", "https://shop.example/a?utm_source=x".len()), ("page title", 1), ("screen width", 0)];
        assert_eq!(read("p=%2Fa&q=%3Futm_source%3Dx&t=A&s=1440%2C900%2C2&b=0&rnd=abc12"), (page.to_vec(), 200));
        assert_eq!(read("p=newsletter-opened&e=true"), (vec![("name", "newsletter_opened".len())], 200));
        assert_eq!(read("t=A"), (vec![], 400));
    }

    #[test]
    fn a_page_has_one_query() {
        assert_eq!(address("h", "a?b", Some("?c")), "https://h/a?b");
        assert_eq!(address("h", "/a", Some("?")), "https://h/a");
    }
}
