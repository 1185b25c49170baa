//! `meta`: what Meta's pixel sends, to `<prefix>/tr`: one hit in the query (`GET`) or in a form (`POST`). The pixel's own script names its vendor's host in
//! itself, so only a stand-in for it sends here. `id`, the pixel's, is the vendor's key of the site.
//!
//! | Meta's | ours |
//! |---|---|
//! | `ev` of Meta's standard events | GA4's name: see [`META`] |
//! | any other `ev` | that name in canonical words |
//! | `dl`, `rl`, `sw` | page, referrer, screen |
//! | `ts` (milliseconds) | the time, where it is no more than 72 hours ago |
//! | `eid` | the client's event id, for recognising a retry |
//! | `cd[value]`, `cd[currency]`, `cd[order_id]` | value, currency, order id |
//! | `cd[contents]`, else `cd[content_ids]` with `cd[content_name]` | products |
//! | `cd[…]`, the rest | properties |
//! | `ud[…]` (digests of contact data), `fbp`, `fbc` | nowhere but in [a sealed envelope](crate::privacy::envelope) |
//! | `aud[…]`, `cud[…]`, `ncud[…]` (what the pixel gathered itself, and masks) | not taken |
//! | `dpo=LDU` (limited data use) | nobody is known again: the event is one of somebody who has not chosen |
//! | all else | the vendor's own, `meta.it` |

use std::borrow::Cow;

use http::Method;
use serde_json::value::RawValue;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, image, script},
    reading::{
        contact,
        loose::{Fields, flat, list},
        names,
        parameters::{Parameters, decoded, number},
        sender_clock::corrected,
    },
};
use crate::{
    clock::Timestamp,
    event::vocabulary::{META, exactly},
    privacy::{
        personal::Personal,
        raw::{PropertyValue, RawEvent, RawItem},
    },
};

/// Products looked at in one hit.
const ITEMS_MAX: usize = 200;
/// Properties looked at in one hit.
const PROPERTIES_MAX: usize = 64;
/// Parameters that have their place, carry the protocol, or say what is none of our business.
const KNOWN: [&str; 15] = ["id", "ev", "dl", "rl", "sw", "sh", "ts", "eid", "fbp", "fbc", "dpo", "dpoco", "dpost", "v", "r"];
/// Contact data, hashed or masked.
const CONTACTS: [&str; 4] = ["ud[", "aud[", "cud[", "ncud["];

/// The protocol of Meta's pixel.
pub struct Meta;

impl Protocol for Meta {
    fn name(&self) -> &'static str {
        "meta"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::GET, path: "/tr", action: Action::Collect },
            Route { method: Method::POST, path: "/tr", action: Action::Collect },
            Route { method: Method::GET, path: "/tr/", action: Action::Collect },
            Route { method: Method::POST, path: "/tr/", action: Action::Collect },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[Library {
            name: "Meta's fbevents.js",
            tried: None,
            code: Code::Vendors,
            change: None,
            before: &[
                script("https://connect.facebook.net/en_US/fbevents.js"),
                image(
                    "https://www.facebook.com/tr/?id=7&ev=PageView&dl=https%3A%2F%2Fwww.shop.example%2F&rl=&if=false&ts=1773480410000&sw=1440&sh=900&v=2.9.1&r=stable",
                ),
            ],
            known_before: &[List::EasyPrivacy],
            asks: &[],
            known: &[],
        }];
        LIBRARIES
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let hints = ReplyHints { events: 1, image: true, ..ReplyHints::default() };
        let bad = |reason| Decoded { bad: vec![(0, DecodeError { reason, byte: None })], hints, ..Decoded::default() };
        let Ok(form) = std::str::from_utf8(request.body()) else { return bad("the body is not UTF-8") };
        let hit = Parameters::of(form).and(Parameters::of(request.query().unwrap_or_default()));
        let key = Some(VendorKey::new(&hit.text("id").unwrap_or_default()));
        let anonymous = hit.first("dpo") == Some("LDU");
        match event(&hit, now) {
            Some(event) => Decoded { events: vec![event], key, anonymous, hints, ..Decoded::default() },
            None => Decoded { key, ..bad("a hit needs an event (ev)") },
        }
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

fn event<'a>(hit: &Parameters<'a>, now: Timestamp) -> Option<RawEvent<'a>> {
    let said = hit.text("ev")?;
    let name = match exactly(META, &said) {
        Some(ours) => Cow::Borrowed(ours),
        None => Cow::Owned(names::canonical(&names::property(&said)).0),
    };
    let text = |name| hit.text(name).map(Personal::new);
    let mut event = RawEvent {
        name: Some(Personal::new(if name.is_empty() { Cow::Borrowed("custom") } else { name })),
        client_id: text("eid"),
        time: hit.number("ts").and_then(|happened| corrected(happened as i64, None, now)),
        page_url: text("dl"),
        referrer: text("rl"),
        // Widths beyond any screen saturate into the widest class.
        screen_width: hit.number("sw").filter(|width| *width > 0.0).map(|width| Personal::new(width as u32)),
        contact: contact::of_pixel(hit),
        unknown_fields: hit.left_out(),
        ..RawEvent::default()
    };
    let (mut contents, mut ids, mut product) = (Vec::new(), Vec::new(), None);
    for (name, value) in hit.pairs().filter(|(_, value)| !value.is_empty()) {
        let name = decoded(name);
        let value = decoded(value);
        if KNOWN.contains(&name.as_ref()) || CONTACTS.iter().any(|contact| name.starts_with(contact)) {
            continue;
        }
        let Some(said) = name.strip_prefix("cd[").and_then(|rest| rest.strip_suffix(']')) else {
            event.keep(name, Some(PropertyValue::Text(value)));
            continue;
        };
        match said {
            "value" => event.value = number(&value).map(Personal::new),
            "currency" => event.currency = Some(Personal::new(value)),
            "order_id" => event.transaction = Some(Personal::new(value)),
            "contents" => contents = items(&value),
            "content_ids" => ids = self::ids(&value),
            "content_name" => product = Some(value),
            _ if event.properties.len() < PROPERTIES_MAX => {
                let value = number(&value).map_or(PropertyValue::Text(value), PropertyValue::Number);
                event.properties.push((Personal::new(Cow::Owned(names::property(said))), Personal::new(value)));
            }
            _ => event.unknown_fields += 1,
        }
    }
    event.items = if contents.is_empty() { ids } else { contents };
    // One name is one product's.
    if let [item] = event.items.as_mut_slice() {
        item.name = item.name.take().or_else(|| product.map(|name| Personal::new(Cow::Owned(name.into_owned()))));
    }
    Some(event)
}

/// `[{"id":"cup-1","quantity":2,"item_price":12.5}]`.
fn items(said: &str) -> Vec<RawItem<'static>> {
    let contents: Vec<&RawValue> = serde_json::from_str(said).unwrap_or_default();
    let item = |mut fields: Fields<'_>| RawItem {
        id: fields.words("id").map(|id| Personal::new(Cow::Owned(id.into_owned()))),
        price: fields.amount("item_price"),
        quantity: fields.amount("quantity"),
        ..RawItem::default()
    };
    contents.into_iter().take(ITEMS_MAX).filter_map(Fields::of).map(item).collect()
}

/// `["cup-1","tea-9"]`.
fn ids(said: &str) -> Vec<RawItem<'static>> {
    let text = |value: &RawValue| match flat(value)? {
        PropertyValue::Text(id) => Some(id.into_owned()),
        PropertyValue::Number(id) => Some(id.to_string()),
        PropertyValue::Flag(_) => None,
    };
    let one: Option<&RawValue> = serde_json::from_str(said).ok();
    let ids = one.and_then(list).unwrap_or_default();
    let item = |id: String| RawItem { id: Some(Personal::new(Cow::Owned(id))), ..RawItem::default() };
    ids.into_iter().take(ITEMS_MAX).filter_map(text).map(item).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::privacy::raw::ClientAddress;

    const NOW: Timestamp = Timestamp(1_773_480_413_589);

    fn inbound(query: &str, body: &str) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let uri = format!("/k/tr/?{query}").parse().expect("an address");
        Inbound::new(uri, http::HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()), address, true, NOW)
    }

    #[test]
    fn an_order_is_read_from_a_query_or_a_form() {
        let hit = "id=7&ev=Purchase&ts=1773480410000&sw=1440&eid=e1&cd%5Bvalue%5D=25&cd%5Bcurrency%5D=EUR&cd%5Bnum_items%5D=2\
                   &cd%5Bcontents%5D=%5B%7B%22id%22%3A%22cup-1%22%2C%22quantity%22%3A2%2C%22item_price%22%3A12.5%7D%5D\
                   &ud%5Bem%5D=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08&fbp=fb.1.2.3&it=12";
        for (query, body) in [(hit, ""), ("", hit)] {
            let inbound = inbound(query, body);
            let decoded = Meta.decode(&inbound, NOW);
            let [event] = decoded.events.as_slice() else { panic!("one event") };
            assert_eq!((event.items.len(), event.properties.len(), event.vendor_fields.len()), (1, 1, 1));
            assert!(event.value.is_some() && event.currency.is_some() && event.client_id.is_some());
            assert_eq!(event.time, Some(Timestamp(1_773_480_410_000)));
        }
    }

    #[test]
    fn products_are_known_by_their_ids_alone_too() {
        let inbound = inbound("id=7&ev=ViewContent&cd[content_ids]=%5B%22cup-1%22%5D&cd[content_name]=Cup&cd[content_type]=product", "");
        let decoded = Meta.decode(&inbound, NOW);
        assert!(decoded.events[0].items.len() == 1 && decoded.events[0].items[0].name.is_some());
    }

    #[test]
    fn the_scripts_shim_has_the_same_names() {
        let shim = include_str!("../../js-snippet/src/shims/meta.ts");
        assert!(META.iter().all(|(theirs, ours, _)| shim.contains(&format!("  {theirs}: \"{ours}\",\n"))));
    }

    #[test]
    fn a_hit_without_an_event_is_named_bad() {
        let inbound = inbound("id=7", "");
        let decoded = Meta.decode(&inbound, NOW);
        assert_eq!((decoded.events.len(), decoded.bad[0].1.reason), (0, "a hit needs an event (ev)"));
    }
}
