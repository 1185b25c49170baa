//! `snowplow`: what Snowplow's trackers send when their collector is the site's prefix: `POST <prefix>/com.snowplowanalytics.snowplow/tp2`, or any other two
//! segments of which the second is `tp2` (`postPath: "/x/tp2"`), and `GET <prefix>/i`: <https://docs.snowplow.io/docs/events/>. The application's id, `aid`, is the
//! vendor's key of the site.
//!
//! | Snowplow's | ours |
//! |---|---|
//! | `e` = `pv`, `pp` | `page_view`, `user_engagement` |
//! | `se` (`se_ca`, `se_ac`, `se_la`, `se_pr`, `se_va`) | the event named `se_ac` in canonical words; `event_category`, `event_label`, `event_property`, `event_value` as properties |
//! | `tr`, `ti` | `purchase` with its money; `transaction_item` with its product |
//! | `ue` (`ue_px` or `ue_pr`) | the event of [`SNOWPLOW`]'s table, else the schema's name in canonical words; its data are properties, where they are flat |
//! | `snowplow_ecommerce_action` | by its `type`: see [`SNOWPLOW_SHOP`]; money and products from the entities `transaction` and `product` |
//! | contexts (`cx` or `co`) | entities: products and orders as above, else the vendor's own, `snowplow.web_page.id` |
//! | `eid` | the client's event id, for recognising a retry |
//! | `dtm` or `ttm`, with `stm` | the time, with the sender's clock taken out |
//! | `url`, `page`, `refr`, `lang`, `res`, `uid` | page, title, referrer, language, screen, user id as claimed |
//! | `duid` | tells, in the minute after a first yes, that several requests are one browser's; rests nowhere |
//! | `ip`, `ua`, `tz`, `nuid`, `fp`, `sid`, `vid`, `cd`, `ds`, `vp`, `cookie` | not taken |
//! | all else | the vendor's own |
//!
//! The header `SP-Anonymous` asks for no cookie to be read or set: the event is then one of somebody who has not chosen, whoever it is.
//!
//! The browser's tracker sends again whatever is not answered 2xx, for ever: what cannot be read is answered 200, and counted.

use std::borrow::Cow;

use http::{Method, StatusCode};
use serde_json::value::RawValue;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, xhr},
    native::{describe, place},
    reading::{
        loose::{Fields, flat, list},
        names,
        parameters::Parameters,
        sender_clock::corrected,
        unpack,
    },
};
use crate::{
    clock::Timestamp,
    event::vocabulary::{self, SNOWPLOW, SNOWPLOW_SHOP},
    privacy::{
        personal::Personal,
        raw::{PropertyValue, RawEvent, RawItem},
    },
};

/// Events in one body; the browser's tracker keeps to 40,000 bytes.
const EVENTS_MAX: usize = 250;
/// Products looked at in one event.
const ITEMS_MAX: usize = 200;
/// Entities looked at in one event.
const ENTITIES_MAX: usize = 200;
/// Properties looked at in one event.
const PROPERTIES_MAX: usize = 64;

/// Fields that have their place, carry the protocol, or say what is none of our business.
const KNOWN: [&str; 49] = [
    "e", "eid", "aid", "p", "tna", "tv", "dtm", "stm", "ttm", "url", "page", "refr", "lang", "res", "uid", "duid", "ip", "ua", "tz",
    "nuid", "tnuid", "fp", "sid", "vid", "cd", "cs", "ds", "vp", "cookie", "ue_px", "ue_pr", "cx", "co", "se_ca", "se_ac", "se_la",
    "se_pr", "se_va", "tr_id", "tr_tt", "tr_tx", "tr_sh", "tr_cu", "ti_id", "ti_sk", "ti_nm", "ti_ca", "ti_pr", "ti_qu",
];

/// The protocol of Snowplow's trackers.
pub struct Snowplow;

impl Protocol for Snowplow {
    fn name(&self) -> &'static str {
        "snowplow"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::POST, path: "/*/tp2", action: Action::Collect },
            Route { method: Method::GET, path: "/i", action: Action::Collect },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[
            Library {
                name: "@snowplow/browser-tracker",
                tried: Some("4.10.1"),
                code: Code::Own,
                change: Some(r#"newTracker("sp", "{origin}{path}", { appId: "{key}", postPath: "/x/tp2" })"#),
                before: &[xhr("https://collector.shop-data.example/com.snowplowanalytics.snowplow/tp2")],
                known_before: &[List::EasyPrivacy],
                asks: &[xhr("/x/tp2")],
                known: &[],
            },
            Library {
                name: "@snowplow/node-tracker",
                tried: Some("4.8.0"),
                code: Code::Server,
                change: Some(r#"newTracker({ namespace: "sp", appId: "{key}" }, { endpoint: "{base}", bufferSize: 1 })"#),
                before: &[],
                known_before: &[],
                asks: &[xhr("/com.snowplowanalytics.snowplow/tp2")],
                known: &[],
            },
        ];
        LIBRARIES
    }

    fn request_headers(&self) -> &'static [&'static str] {
        &["sp-anonymous"]
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let anonymous = request.asks_for_anonymity();
        if request.path().ends_with("/i") {
            let json = request.unpacked(|| as_json(request.query().unwrap_or_default()));
            let hints = ReplyHints { events: 1, image: true, ..ReplyHints::default() };
            let said: Vec<&'a RawValue> = serde_json::from_slice::<&RawValue>(json).into_iter().collect();
            return Decoded { anonymous, ..read(&said, json, hints, now) };
        }
        let body = request.body();
        let mut payload: Fields<'a> = match serde_json::from_slice(body) {
            Ok(payload) => payload,
            Err(error) => return unreadable(describe(&error, body, 0)),
        };
        let Some(said) = payload.take("data").and_then(list) else {
            return unreadable(DecodeError { reason: "a body needs a list of events (data)", byte: None });
        };
        if said.len() > EVENTS_MAX {
            return unreadable(DecodeError { reason: "more than 250 events", byte: None });
        }
        let hints = ReplyHints { events: said.len(), ..ReplyHints::default() };
        Decoded { anonymous, ..read(&said, body, hints, now) }
    }

    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        if hints.image { Reply::image() } else { Reply::text(StatusCode::OK, "ok") }
    }
}

fn unreadable(error: DecodeError) -> Decoded<'static> {
    Decoded { bad: vec![(0, error)], ..Decoded::default() }
}

/// A query as the JSON object that it would be in a body.
fn as_json(query: &str) -> Vec<u8> {
    let parameters = Parameters::of(query);
    let mut object = serde_json::Map::new();
    for (name, value) in parameters.pairs() {
        let value = super::reading::parameters::decoded(value).into_owned();
        object.entry(name).or_insert(serde_json::Value::String(value));
    }
    serde_json::Value::Object(object).to_string().into_bytes()
}

fn read<'a>(said: &[&'a RawValue], body: &'a [u8], hints: ReplyHints, now: Timestamp) -> Decoded<'a> {
    let mut decoded = Decoded { hints, ..Decoded::default() };
    let mut key: Option<Cow<'a, str>> = None;
    for (index, one) in said.iter().enumerate() {
        let read = Fields::of(one).ok_or("an event is an object").and_then(|mut fields| {
            let application = fields.words("aid").ok_or("an event needs an application (aid)")?;
            if key.get_or_insert_with(|| application.clone()) != &application {
                return Err("all events of a body are of one application");
            }
            event(fields, now)
        });
        match read {
            Ok(event) => decoded.events.push(event),
            Err(reason) => decoded.bad.push((index, DecodeError { reason, byte: place(one.get(), body) })),
        }
    }
    decoded.key = Some(VendorKey::new(key.as_deref().unwrap_or_default()));
    decoded
}

fn event<'a>(mut fields: Fields<'a>, now: Timestamp) -> Result<RawEvent<'a>, &'static str> {
    let kind = fields.words("e").ok_or("an event needs a type (e)")?;
    let mut event = RawEvent::default();
    let mut name = String::new();
    match kind.as_ref() {
        "pv" => "page_view".clone_into(&mut name),
        "pp" => "user_engagement".clone_into(&mut name),
        "se" => {
            name = names::canonical(&fields.words("se_ac").unwrap_or_default()).0;
            let value = fields.number("se_va").map(PropertyValue::Number);
            for (theirs, ours) in [("se_ca", "event_category"), ("se_la", "event_label"), ("se_pr", "event_property")] {
                property(&mut event, ours.to_owned(), fields.words(theirs).map(PropertyValue::Text));
            }
            property(&mut event, String::from("event_value"), value);
        }
        "tr" => {
            "purchase".clone_into(&mut name);
            event.transaction = fields.text("tr_id");
            (event.value, event.tax, event.shipping) = (fields.amount("tr_tt"), fields.amount("tr_tx"), fields.amount("tr_sh"));
            event.currency = fields.text("tr_cu");
        }
        "ti" => {
            "transaction_item".clone_into(&mut name);
            event.transaction = fields.text("ti_id");
            event.items = vec![RawItem {
                id: fields.text("ti_sk"),
                name: fields.text("ti_nm"),
                category: fields.text("ti_ca"),
                price: fields.amount("ti_pr"),
                quantity: fields.amount("ti_qu"),
                ..RawItem::default()
            }];
        }
        "ue" => {
            let packed = document(&mut fields, "ue_px", "ue_pr").ok_or("a self-describing event needs its data (ue_px, ue_pr)")?;
            name = self_described(&mut event, &packed).ok_or("a self-describing event needs a schema and data")?;
        }
        _ => return Err("an event's type is pv, pp, se, ue, tr or ti"),
    }
    if let Some(packed) = document(&mut fields, "cx", "co") {
        entities(&mut event, &packed);
    }
    let number = |said: Option<f64>| said.map(|number| number as i64);
    let (device, sent, true_time) = (number(fields.number("dtm")), number(fields.number("stm")), number(fields.number("ttm")));
    let happened = true_time.map(|happened| (happened, None)).or_else(|| device.map(|happened| (happened, sent)));
    let width = fields.words("res").and_then(|size| size.split_once('x')?.0.parse().ok()).filter(|width| *width > 0);
    event = RawEvent {
        name: Some(Personal::new(if name.is_empty() { Cow::Borrowed("custom") } else { Cow::Owned(name) })),
        client_id: fields.text("eid"),
        time: happened.and_then(|(happened, sent)| corrected(happened, sent, now)),
        page_url: fields.text("url"),
        page_title: fields.text("page"),
        referrer: fields.text("refr"),
        language: fields.text("lang"),
        user_id: fields.text("uid"),
        browser_id: fields.text("duid"),
        screen_width: width.map(Personal::new),
        ..event
    };
    for (name, value) in fields.rest().filter(|(name, _)| !KNOWN.contains(name)) {
        event.keep(name.to_owned(), flat(value));
    }
    Ok(event)
}

/// A self-describing document: in base64 under the one name, or as it is under the other.
fn document(fields: &mut Fields<'_>, packed: &str, plain: &str) -> Option<Vec<u8>> {
    match fields.words(packed) {
        Some(text) => unpack::base64(&text),
        None => fields.words(plain).map(|text| text.into_owned().into_bytes()),
    }
}

/// The name in a schema's address: `iglu:com.acme/order_placed/jsonschema/1-0-0` is about an `order_placed`.
fn schema_name(schema: &str) -> Option<&str> {
    schema.strip_prefix("iglu:")?.split('/').nth(1)
}

/// A schema's name and what is said under it.
fn described<'d>(said: &'d RawValue) -> Option<(Cow<'d, str>, Fields<'d>)> {
    let mut fields = Fields::of(said)?;
    let schema = fields.words("schema")?;
    let name = schema_name(&schema)?.to_owned();
    Some((Cow::Owned(name), fields.object("data")))
}

/// Takes what a self-describing event says, and tells its canonical name.
fn self_described(event: &mut RawEvent<'_>, packed: &[u8]) -> Option<String> {
    let mut outer: Fields<'_> = serde_json::from_slice(packed).ok()?;
    let (name, mut data) = described(outer.take("data")?)?;
    let canonical = if name == "snowplow_ecommerce_action" {
        let action = data.words("type").unwrap_or_default();
        canonical(SNOWPLOW_SHOP, &action)
    } else {
        canonical(SNOWPLOW, &name)
    };
    for (name, value) in data.rest() {
        property(event, names::property(name), flat(value).map(owned));
    }
    Some(canonical)
}

/// A name of Snowplow's own in canonical words, else one that shops use, else the sender's.
fn canonical(table: &[vocabulary::Named], theirs: &str) -> String {
    vocabulary::canonical(table, theirs).map_or_else(|| names::canonical(theirs).0, |(ours, _)| ours.to_owned())
}

/// Takes the entities that stand around an event.
fn entities(event: &mut RawEvent<'_>, packed: &[u8]) {
    let outer: Option<Fields<'_>> = serde_json::from_slice(packed).ok();
    let entities = outer.map(|mut outer| outer.list("data")).unwrap_or_default();
    for (name, mut data) in entities.into_iter().take(ENTITIES_MAX).filter_map(described) {
        match name.as_ref() {
            "product" if event.items.len() < ITEMS_MAX => {
                let mut text = |name: &str| data.words(name).map(|said| Personal::new(Cow::Owned(said.into_owned())));
                let (id, name, brand) = (text("id"), text("name"), text("brand"));
                let (category, variant) = (text("category"), text("variant"));
                let currency = text("currency");
                event.currency = event.currency.take().or(currency);
                let (price, quantity) = (data.amount("price"), data.amount("quantity"));
                event.items.push(RawItem { id, name, brand, category, variant, price, quantity });
            }
            "transaction" | "refund" => {
                let mut text = |name: &str| data.words(name).map(|said| Personal::new(Cow::Owned(said.into_owned())));
                (event.transaction, event.currency, event.coupon) = (text("transaction_id"), text("currency"), text("discount_code"));
                event.value = ["revenue", "refund_amount"].into_iter().find_map(|name| data.amount(name));
                (event.tax, event.shipping) = (data.amount("tax"), data.amount("shipping"));
            }
            name => {
                for (field, value) in data.rest() {
                    event.keep(format!("{name}.{field}"), flat(value).map(owned));
                }
            }
        }
    }
}

/// What was unpacked lives no longer than its reading.
fn owned(value: PropertyValue<'_>) -> PropertyValue<'static> {
    match value {
        PropertyValue::Text(text) => PropertyValue::Text(Cow::Owned(text.into_owned())),
        PropertyValue::Number(number) => PropertyValue::Number(number),
        PropertyValue::Flag(flag) => PropertyValue::Flag(flag),
    }
}

fn property<'a>(event: &mut RawEvent<'a>, name: String, value: Option<PropertyValue<'a>>) {
    match value {
        Some(value) if event.properties.len() < PROPERTIES_MAX => {
            event.properties.push((Personal::new(Cow::Owned(name)), Personal::new(value)));
        }
        Some(_) => event.unknown_fields += 1,
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    use bytes::Bytes;

    use super::*;
    use crate::privacy::raw::ClientAddress;

    const NOW: Timestamp = Timestamp(1_773_480_413_589);

    fn inbound(path: &str, body: &str) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let uri = path.parse().expect("an address");
        Inbound::new(uri, http::HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()), address, true, NOW)
    }

    fn payload(events: &str) -> Inbound {
        let schema = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4";
        inbound("/k/com.snowplowanalytics.snowplow/tp2", &format!(r#"{{"schema":"{schema}","data":[{events}]}}"#))
    }

    const ORDER: &str = r#"{"schema":"iglu:x/unstruct_event/jsonschema/1-0-0","data":{"schema":"iglu:com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2","data":{"type":"transaction"}}}"#;
    const AROUND: &str = r#"{"schema":"iglu:x/contexts/jsonschema/1-0-0","data":[{"schema":"iglu:x/transaction/jsonschema/1-0-0","data":{"transaction_id":"A-1","revenue":25,"currency":"EUR","tax":2}},{"schema":"iglu:x/product/jsonschema/1-0-0","data":{"id":"cup-1","name":"Cup","price":12.5,"quantity":2,"currency":"EUR","category":"Tableware"}},{"schema":"iglu:x/web_page/jsonschema/1-0-0","data":{"id":"0190"}}]}"#;

    #[test]
    fn an_order_stands_in_its_entities_packed_or_plain() {
        let text = |json: &str| serde_json::to_string(json).expect("text");
        let packed = |json: &str| text(&BASE64_URL_SAFE_NO_PAD.encode(json));
        for fields in
            [format!(r#""ue_px":{},"cx":{}"#, packed(ORDER), packed(AROUND)), format!(r#""ue_pr":{},"co":{}"#, text(ORDER), text(AROUND))]
        {
            let inbound =
                payload(&format!(r#"{{"e":"ue","aid":"shop","eid":"0190","dtm":"1773480410000","stm":"1773480413589",{fields}}}"#));
            let decoded = Snowplow.decode(&inbound, NOW);
            let event = &decoded.events[0];
            assert_eq!((event.items.len(), event.properties.len(), event.vendor_fields.len()), (1, 0, 1));
            assert!(event.transaction.is_some() && event.value.is_some() && event.currency.is_some());
            assert_eq!(event.time, Some(Timestamp(1_773_480_410_000)));
        }
    }

    #[test]
    fn a_query_is_read_as_a_body_is() {
        let inbound =
            inbound("/k/i?stm=1773480413589&e=se&aid=shop&se_ca=Letters&se_ac=Newsletter+Opened&se_va=7&url=https%3A%2F%2Fa&pp_mix=0", "");
        let decoded = Snowplow.decode(&inbound, NOW);
        let event = &decoded.events[0];
        assert_eq!((event.properties.len(), event.vendor_fields.len(), event.page_url.is_some()), (2, 1, true));
        assert_eq!(Snowplow.reply(&decoded.hints, &Outcome::default()).body, Reply::image().body);
    }

    #[test]
    fn nothing_that_cannot_be_read_is_asked_for_again() {
        for body in [
            "",
            "{",
            "{}",
            r#"{"data":[7]}"#,
            r#"{"data":[{"e":"pv"}]}"#,
            r#"{"data":[{"e":"xx","aid":"a"}]}"#,
            r#"{"data":[{"e":"ue","aid":"a"}]}"#,
        ] {
            let inbound = inbound("/k/x/tp2", body);
            let decoded = Snowplow.decode(&inbound, NOW);
            assert!(decoded.events.is_empty() && decoded.bad.len() == 1, "{body}");
            assert_eq!(Snowplow.reply(&decoded.hints, &Outcome { bad: decoded.bad, ..Outcome::default() }).status, StatusCode::OK);
        }
    }
}
