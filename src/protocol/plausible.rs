//! `plausible`: what Plausible's script and npm tracker send when their endpoint is `<prefix>/api/event`:
//! <https://plausible.io/docs/events-api>. One event as JSON in the body, whatever its content type says; the domain, `d`, is the vendor's key of the
//! site, and where it is not said, the host of the page.
//!
//! | Plausible's | ours |
//! |---|---|
//! | `n` or `name`: `pageview` | `page_view` |
//! | `engagement`, with `sd` and `e` | `user_engagement`, with the properties `percent_scrolled` and `engagement_time_msec` |
//! | `Outbound Link: Click`, `File Download`, `Form: Submission` | `click`, `file_download`, `form_submit` |
//! | any other name | that name in canonical words |
//! | `u`/`url`, `r`/`referrer` | page, referrer |
//! | `$` or `revenue`: `amount`, `currency` | value and currency, where both are there |
//! | `m`, `meta`, `p` or `props`, an object or its text | properties, at most 30; what is not flat is counted |
//! | `h`, `v`, `i`/`interactive` | not taken |
//!
//! An event has no id: one that were sent twice would count twice, but the script sends once.

use std::borrow::Cow;

use http::{Method, StatusCode};
use serde_json::value::RawValue;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, xhr},
    native::describe,
    reading::{
        commerce,
        loose::{Fields, flat},
        names,
    },
};
use crate::{
    clock::Timestamp,
    privacy::{
        personal::Personal,
        raw::{PropertyValue, RawEvent},
    },
};

/// Plausible's own names, beside those that are canonical.
const NAMES: [(&str, &str); 5] = [
    ("pageview", "page_view"),
    ("engagement", "user_engagement"),
    ("Outbound Link: Click", "click"),
    ("File Download", "file_download"),
    ("Form: Submission", "form_submit"),
];

/// The protocol of Plausible's script.
pub struct Plausible;

impl Protocol for Plausible {
    fn name(&self) -> &'static str {
        "plausible"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[Route { method: Method::POST, path: "/api/event", action: Action::Collect }];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[Library {
            name: "@plausible-analytics/tracker",
            tried: Some("0.4.6"),
            code: Code::Own,
            change: Some(r#"init({ domain: "{key}", endpoint: "{base}/api/event" })"#),
            before: &[xhr("https://plausible.io/api/event")],
            known_before: &[List::EasyPrivacy],
            asks: &[xhr("/api/event")],
            known: &[],
        }];
        LIBRARIES
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, _: Timestamp) -> Decoded<'a> {
        let hints = ReplyHints { events: 1, ..ReplyHints::default() };
        let bad = |error| Decoded { bad: vec![(0, error)], hints, ..Decoded::default() };
        let mut fields: Fields<'a> = match serde_json::from_slice(request.body()) {
            Ok(fields) => fields,
            Err(error) => return bad(describe(&error, request.body(), 0)),
        };
        let url = either(&mut fields, ["u", "url"]);
        let domain = either(&mut fields, ["d", "domain"]);
        let domain = domain.as_deref().or_else(|| host(url.as_deref()?)).and_then(|domains| domains.split(',').next()).unwrap_or_default();
        let key = Some(VendorKey::new(domain.trim()));
        match event(fields, url) {
            Some(event) => Decoded { events: vec![event], key, hints, ..Decoded::default() },
            None => Decoded { key, ..bad(DecodeError { reason: "an event needs a name (n)", byte: None }) },
        }
    }

    /// The script looks at the status alone, and sends nothing again.
    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        match outcome.bad.first() {
            Some((_, error)) if outcome.bad.len() >= hints.events => Reply::unreadable(error),
            _ => Reply::text(StatusCode::ACCEPTED, "ok"),
        }
    }
}

/// The first of two fields that is a text: the short name, else the long one.
fn either<'a>(fields: &mut Fields<'a>, [short, long]: [&str; 2]) -> Option<Cow<'a, str>> {
    let (short, long) = (fields.words(short), fields.words(long));
    short.or(long)
}

/// The host of an address, without `www.`, as Plausible calls a site.
fn host(url: &str) -> Option<&str> {
    let host = url.split_once("://")?.1.split(['/', '?', '#', ':']).next()?;
    Some(host.strip_prefix("www.").unwrap_or(host))
}

/// An object, or the text of one.
fn object<'a>(value: &'a RawValue) -> Option<Fields<'a>> {
    // A text of JSON that needs unescaping cannot be borrowed from; the script sends an object.
    Fields::of(value).or_else(|| match flat(value)? {
        PropertyValue::Text(Cow::Borrowed(text)) => serde_json::from_str(text).ok(),
        _ => None,
    })
}

fn event<'a>(mut fields: Fields<'a>, url: Option<Cow<'a, str>>) -> Option<RawEvent<'a>> {
    let said = either(&mut fields, ["n", "name"])?;
    let own = NAMES.iter().find(|(theirs, _)| *theirs == said).map(|(_, ours)| (*ours).to_owned());
    let (name, subject) = match own {
        Some(name) => (name, names::Subject::Order),
        None => names::canonical(&said),
    };
    let mut event = RawEvent::default();
    let mut properties = ["m", "meta", "p", "props"].into_iter().filter_map(|name| fields.take(name)).find_map(object).unwrap_or_default();
    commerce::take(&mut event, &mut properties, subject);
    let revenue = ["revenue", "$"].into_iter().filter_map(|name| fields.take(name)).find_map(object);
    if let Some(mut revenue) = revenue {
        let (amount, currency) = (revenue.amount("amount"), revenue.text("currency"));
        if amount.is_some() && currency.is_some() {
            (event.value, event.currency) = (amount, currency);
        }
    }
    let (mut kept, left_out) = properties.into_properties();
    for (theirs, ours) in [("sd", "percent_scrolled"), ("e", "engagement_time_msec")] {
        let number = fields.number(theirs).map(PropertyValue::Number);
        kept.extend(number.map(|number| (Personal::new(Cow::Borrowed(ours)), Personal::new(number))));
    }
    fields.leave(&["h", "hashMode", "v", "i", "interactive"]);
    let referrer = either(&mut fields, ["r", "referrer"]);
    Some(RawEvent {
        name: Some(Personal::new(Cow::Owned(name))),
        page_url: url.map(Personal::new),
        referrer: referrer.map(Personal::new),
        properties: kept,
        unknown_fields: left_out + fields.left(),
        ..event
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::privacy::raw::ClientAddress;

    fn inbound(body: &str) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let uri = http::Uri::from_static("/keso/api/event");
        Inbound::new(uri, http::HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()), address, true, Timestamp(1_773_480_413_589))
    }

    fn answer(body: &str) -> (usize, u16) {
        let inbound = inbound(body);
        let decoded = Plausible.decode(&inbound, inbound.received());
        let reply = Plausible.reply(&decoded.hints, &Outcome { bad: decoded.bad.clone(), ..Outcome::default() });
        (decoded.events.len(), reply.status.as_u16())
    }

    #[test]
    fn short_and_long_names_are_read() {
        for body in [
            r#"{"n":"pageview","u":"https://shop.example/","d":"shop.example","r":null,"v":36}"#,
            r#"{"name":"pageview","url":"https://shop.example/","domain":"shop.example","props":"{\"a\":1}"}"#,
        ] {
            assert_eq!(answer(body), (1, 202), "{body}");
        }
        assert_eq!((answer("{}"), answer("[]"), answer("nothing")), ((0, 400), (0, 400), (0, 400)));
    }

    #[test]
    fn the_scripts_shim_has_the_same_names() {
        let shim = include_str!("../../js-snippet/src/shims/plausible.ts");
        for (theirs, ours) in NAMES {
            assert!(
                shim.contains(&format!("  {theirs}: \"{ours}\",\n")) || shim.contains(&format!("  \"{theirs}\": \"{ours}\",\n")),
                "{theirs}"
            );
        }
    }

    #[test]
    fn money_needs_an_amount_and_a_currency() {
        for (revenue, there) in [
            (r#"{"amount":"12.50","currency":"EUR"}"#, true),
            (r#"{"amount":12.5,"currency":"EUR"}"#, true),
            (r#"{"amount":12.5}"#, false),
            (r#""x""#, false),
        ] {
            let inbound = inbound(&format!(r#"{{"n":"Purchase","$":{revenue}}}"#));
            let decoded = Plausible.decode(&inbound, inbound.received());
            assert_eq!((decoded.events[0].value.is_some(), decoded.events[0].currency.is_some()), (there, there), "{revenue}");
        }
    }

    #[test]
    fn an_engagement_says_how_far_and_how_long() {
        let inbound = inbound(r#"{"n":"engagement","sd":40,"e":5200,"u":"https://shop.example/","d":"shop.example","v":36}"#);
        let decoded = Plausible.decode(&inbound, inbound.received());
        assert_eq!((decoded.events[0].properties.len(), decoded.events[0].unknown_fields), (2, 0));
    }

    #[test]
    fn a_site_that_is_not_named_is_that_of_the_page() {
        assert_eq!(host("https://www.shop.example:8443/a"), Some("shop.example"));
        assert_eq!((host("/a"), host("data:x")), (None, None));
    }
}
