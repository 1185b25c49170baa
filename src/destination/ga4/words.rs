//! A disclosure in the words of the Measurement Protocol, made to fit its limits: what has no word, or no room, is counted.
//!
//! The limits are those of <https://developers.google.com/analytics/devguides/collection/protocol/ga4/sending-events#limitations>. The
//! vendor answers 2xx to what breaks them, and drops it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::{
    destination::words::{figures::number, products},
    event::vocabulary,
    privacy::{
        clean::{Item, Page, Property},
        disclose::Disclosure,
    },
};

/// Parameters of one event. Whether the vendor counts its own among them is not documented: all are counted.
const PARAMETERS_MAX: usize = 25;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 40;
/// Characters of a value.
const VALUE_CHARS_MAX: usize = 100;
/// Characters of a page's address.
const PAGE_LOCATION_CHARS_MAX: usize = 1_000;
/// Characters of a referrer.
const PAGE_REFERRER_CHARS_MAX: usize = 420;
/// Products of one event.
const ITEMS_MAX: usize = 200;
/// What names that the vendor keeps for itself, or does not take, are made to begin with.
const PREFIX: &str = "site_";
/// Beginnings of names that the vendor keeps for itself.
const RESERVED_PREFIXES: [&str; 3] = ["firebase_", "ga_", "google_"];
/// Event names that the vendor keeps for what it makes itself. The rest of its list is of apps.
const RESERVED_EVENTS: [&str; 31] = [
    "ad_activeview",
    "ad_click",
    "ad_exposure",
    "ad_query",
    "ad_reward",
    "adunit_exposure",
    "app_background",
    "app_clear_data",
    "app_exception",
    "app_install",
    "app_remove",
    "app_store_refund",
    "app_update",
    "app_upgrade",
    "dynamic_link_app_open",
    "dynamic_link_app_update",
    "dynamic_link_first_open",
    "error",
    "first_open",
    "first_visit",
    "in_app_purchase",
    "notification_dismiss",
    "notification_foreground",
    "notification_open",
    "notification_receive",
    "notification_send",
    "os_update",
    "screen_view",
    "session_start",
    "user_engagement",
    "user_property_set",
];
/// The property that says how long the page was looked at, where the site's policy lists it.
const ENGAGEMENT: &str = "engagement_time_msec";
/// What our own script calls it.
const ENGAGEMENT_OF_OURS: &str = "engagement_ms";
/// What may stand in a query's value as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// One event in the vendor's words, and how many of the disclosure's fields it could not say.
pub(super) struct Said {
    pub(super) event: Vec<u8>,
    pub(super) unsaid: usize,
}

/// Says an event in at most that many bytes, as long as it is the products that need the room.
pub(super) fn event(disclosure: &Disclosure, bytes_max: usize) -> Said {
    let mut parameters = Parameters::default();
    parameters.number(ENGAGEMENT, Some(engagement(disclosure)));
    parameters.text("session_id", disclosure.session_id().and_then(session_id).as_deref(), VALUE_CHARS_MAX);
    if let Some(page) = disclosure.page() {
        parameters.page(page, disclosure);
    }
    parameters.referrer(disclosure);
    parameters.text("currency", disclosure.currency(), VALUE_CHARS_MAX);
    parameters.number("value", disclosure.value());
    parameters.text("transaction_id", disclosure.transaction_id(), VALUE_CHARS_MAX);
    parameters.number("tax", disclosure.tax());
    parameters.number("shipping", disclosure.shipping());
    parameters.text("coupon", disclosure.coupon(), VALUE_CHARS_MAX);
    if !disclosure.items().is_empty() {
        // Takes its place before the site's own do; it is filled last, when it is known how much room there is.
        parameters.put("items", Value::Array(Vec::new()));
    }
    for (name, value) in disclosure.properties().iter().filter(|(name, _)| *name != ENGAGEMENT && *name != ENGAGEMENT_OF_OURS) {
        parameters.property(name, value);
    }
    // A width class is no width, and the vendor wants both sides in pixels.
    // And it looks for bots itself: a verdict of others has no parameter.
    let mut unsaid = parameters.unsaid + usize::from(disclosure.screen().is_some()) + usize::from(!disclosure.bot().is_nothing());
    let mut event = Map::new();
    event.insert("name".to_owned(), event_name(disclosure.name()).into());
    match disclosure.time().parse::<jiff::Timestamp>() {
        Ok(time) => drop(event.insert("timestamp_micros".to_owned(), time.as_microsecond().into())),
        Err(_) => unsaid += 1,
    }
    event.insert("params".to_owned(), Value::Object(parameters.said));
    let mut event = Value::Object(event);
    if !disclosure.items().is_empty() {
        let room = bytes_max.saturating_sub(bytes(&event).len());
        let (items, left_out) = items(disclosure.items(), room);
        unsaid += left_out;
        event["params"]["items"] = Value::Array(items);
    }
    Said { event: bytes(&event), unsaid }
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers can be written")
}

/// An event's parameters on the way.
#[derive(Default)]
struct Parameters {
    said: Map<String, Value>,
    unsaid: usize,
}

impl Parameters {
    fn text(&mut self, name: &str, said: Option<&str>, chars_max: usize) {
        if let Some(said) = said {
            self.put(name, cut(said, chars_max).into());
        }
    }

    fn number(&mut self, name: &str, said: Option<f64>) {
        if let Some(said) = said {
            self.put(name, number(said));
        }
    }

    /// Puts a parameter where there is room, and no other of its name.
    fn put(&mut self, name: &str, value: Value) {
        if self.said.len() < PARAMETERS_MAX && !self.said.contains_key(name) {
            self.said.insert(name.to_owned(), value);
        } else {
            self.unsaid += 1;
        }
    }

    /// The page that led here. A kind of site has no address.
    fn referrer(&mut self, disclosure: &Disclosure) {
        let site = disclosure.referrer_host().map(|host| format!("https://{host}/"));
        let own = || disclosure.referrer_page().and_then(|page| Some(format!("https://{}{}", page.host()?, page.path())));
        match site.or_else(own) {
            Some(address) => self.text("page_referrer", Some(&address), PAGE_REFERRER_CHARS_MAX),
            None => self.unsaid += usize::from(!disclosure.referrer_kind().is_none()),
        }
    }

    /// The page's address. Campaign parameters and click ids are said where a browser's tag would say them, too.
    fn page(&mut self, page: &Page, disclosure: &Disclosure) {
        let Some(host) = page.host() else {
            // A path alone is no address.
            self.unsaid += 1 + disclosure.campaign().len() + disclosure.click_ids().len();
            return;
        };
        let campaign = disclosure.campaign().iter().map(|(field, value)| (vocabulary::campaign(field.name()).parameter, value));
        let clicks = disclosure.click_ids().iter().map(|(parameter, id)| (parameter.as_str(), id));
        let mut address = cut(&format!("https://{host}{}", page.path()), PAGE_LOCATION_CHARS_MAX).to_owned();
        let mut separator = '?';
        for (parameter, value) in campaign.chain(clicks) {
            let more = format!("{separator}{parameter}={}", utf8_percent_encode(value, PLAIN));
            if address.chars().count() + more.len() > PAGE_LOCATION_CHARS_MAX {
                self.unsaid += 1;
            } else {
                address.push_str(&more);
                separator = '&';
            }
        }
        self.put("page_location", address.into());
    }

    fn property(&mut self, said: &str, value: &Property) {
        let value = match value {
            // The vendor's own tag sends flags as words.
            Property::Flag(flag) => flag.to_string().into(),
            Property::Number(said) => number(*said),
            Property::Word(word) => cut(word, VALUE_CHARS_MAX).into(),
        };
        self.put(&name(said), value);
    }
}

/// The time that the page was looked at; without any, the vendor does not count an active user.
fn engagement(disclosure: &Disclosure) -> f64 {
    let properties = disclosure.properties();
    match properties.get(ENGAGEMENT).or_else(|| properties.get(ENGAGEMENT_OF_OURS)) {
        Some(Property::Number(said)) if *said >= 1.0 => said.trunc(),
        _ => 1.0,
    }
}

/// The first products for which there is room, and how many fields could not be said: a product without id and name is none.
fn items(items: &[Item], mut room: usize) -> (Vec<Value>, usize) {
    let mut said = Vec::new();
    let mut unsaid = 0;
    for product in items {
        let fitting =
            item(product).map(|value| (bytes(&value).len() + 1, value)).filter(|(size, _)| said.len() < ITEMS_MAX && *size <= room);
        match fitting {
            Some((size, value)) => {
                room -= size;
                said.push(value);
            }
            None => unsaid += 1,
        }
    }
    (said, unsaid)
}

fn item(item: &Item) -> Option<Value> {
    item.id.as_ref().or(item.name.as_ref())?;
    let parts = products::parts(item, |word| word.ga4).into_iter().map(|(name, said)| {
        let said = said.as_str().map_or_else(|| said.clone(), |text| cut(text, VALUE_CHARS_MAX).into());
        (name.to_owned(), said)
    });
    Some(parts.collect::<Map<_, _>>().into())
}

fn event_name(said: &str) -> String {
    let name = name(said);
    if RESERVED_EVENTS.binary_search(&name.as_str()).is_ok() { format!("{PREFIX}{name}") } else { name }
}

/// A name of letters, digits and `_` that begins with a letter and is nobody else's.
fn name(said: &str) -> String {
    let mut name: String = said.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    let own = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if !own || RESERVED_PREFIXES.iter().any(|reserved| name.starts_with(reserved)) {
        name.insert_str(0, PREFIX);
    }
    name.truncate(NAME_CHARS_MAX);
    name
}

fn cut(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(end, _)| &text[..end])
}

/// The visitor's id in the vendor's form, two positive numbers with a point between them: the id's two halves, each and one more.
pub(super) fn client_id(visitor_id: &str) -> Option<String> {
    let id = u64::from_str_radix(visitor_id, 16).ok()?;
    Some(format!("{}.{}", (id >> 32) + 1, (id & 0xffff_ffff) + 1))
}

/// The session's id in the vendor's form, a positive number: 63 of its bits, since the vendor's numbers have a sign.
pub(super) fn session_id(session_id: &str) -> Option<String> {
    let id = u64::from_str_radix(session_id, 16).ok()?;
    Some((id >> 1).max(1).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{clock::Timestamp, event::Offset};

    fn said(fields: Value) -> (Value, usize) {
        let disclosure = Disclosure::for_test(Offset(1), 1, Timestamp(0)).saying(&fields);
        let Said { event, unsaid } = event(&disclosure, 100_000);
        (serde_json::from_slice(&event).unwrap(), unsaid)
    }

    #[test]
    fn names_are_made_to_be_taken() {
        assert!(RESERVED_EVENTS.is_sorted(), "for the search");
        for (said, expected) in [
            ("plan", "plan"),
            ("plan name-2", "plan_name_2"),
            ("2nd", "site_2nd"),
            ("_x", "site__x"),
            ("ga_id", "site_ga_id"),
            ("google_x", "site_google_x"),
            ("größe", "gr__e"),
            ("", "site_"),
        ] {
            assert_eq!(name(said), expected);
        }
        assert_eq!(name(&"a".repeat(41)), "a".repeat(40));
        assert_eq!(name(&"9".repeat(41)).len(), 40);
        assert_eq!(event_name("session_start"), "site_session_start");
        assert_eq!(event_name("purchase"), "purchase");
    }

    #[test]
    fn ids_have_the_vendors_form_and_stay_apart() {
        assert_eq!(client_id("0000000000000000").unwrap(), "1.1");
        assert_eq!(client_id("ffffffffffffffff").unwrap(), "4294967296.4294967296");
        assert_eq!(client_id("00000001ffffffff").unwrap(), "2.4294967296");
        assert_eq!(client_id("no number"), None);
        assert_eq!(session_id("ffffffffffffffff").unwrap(), i64::MAX.to_string());
        assert_eq!(session_id("0000000000000001").unwrap(), "1");
    }

    #[test]
    fn values_are_cut_at_characters_and_addresses_keep_what_fits() {
        let long = "ü".repeat(1_200);
        let (event, unsaid) = said(json!({
            "page": { "host": "www.shop.example", "path": format!("/{long}") },
            "campaign": { "source": "newsletter", "name": "spring sale" },
            "coupon": long,
        }));
        assert_eq!(event["params"]["page_location"].as_str().unwrap().chars().count(), 1_000);
        assert_eq!(event["params"]["coupon"].as_str().unwrap().chars().count(), 100);
        assert_eq!(unsaid, 2, "the campaign has no room");
        let (event, unsaid) = said(json!({
            "page": { "host": "www.shop.example", "path": "/a" }, "campaign": { "source": "newsletter", "name": "spring sale" } }));
        assert_eq!(event["params"]["page_location"], "https://www.shop.example/a?utm_source=newsletter&utm_campaign=spring%20sale");
        assert_eq!(unsaid, 0);
        assert_eq!(said(json!({ "page": { "path": "/a" }, "campaign": { "source": "x" } })).1, 2, "a path without a host is no address");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let properties: Map<String, Value> = (0..30).map(|number| (format!("p{number:02}"), json!(number))).collect();
        let (event, unsaid) = said(json!({ "properties": properties, "value": 5.0, "items": [{ "id": "A" }, { "brand": "B" }] }));
        let parameters = event["params"].as_object().unwrap();
        assert_eq!(parameters.len(), PARAMETERS_MAX);
        assert_eq!(unsaid, 30 - (PARAMETERS_MAX - 3) + 1, "and a product without id and name");
        assert_eq!((&parameters["value"], &parameters["items"]), (&json!(5), &json!([{ "item_id": "A" }])));
        let (event, unsaid) = said(json!({ "properties": { "a-b": 1.5, "a.b": true, "value": "x" }, "value": 2.0, "screen": "<576" }));
        assert_eq!(event["params"], json!({ "a_b": 1.5, "value": 2, "engagement_time_msec": 1 }));
        assert_eq!(unsaid, 3, "two that would overwrite another, and a screen");
    }

    #[test]
    fn products_fill_the_room_there_is() {
        let product = json!({ "id": "i".repeat(100), "name": "\u{1}".repeat(100), "brand": "ü".repeat(100), "category": "c".repeat(100) });
        let disclosure = Disclosure::for_test(Offset(1), 1, Timestamp(0)).saying(&json!({ "items": vec![product; 200] }));
        let Said { event, unsaid } = super::event(&disclosure, 50_000);
        assert!(event.len() <= 50_000 && event.len() > 48_000, "{}", event.len());
        let event: Value = serde_json::from_slice(&event).unwrap();
        assert_eq!(event["params"]["items"].as_array().unwrap().len() + unsaid, 200);
    }

    #[test]
    fn engagement_is_what_the_page_measured_or_a_millisecond() {
        let engagement = |said_time: Value| said(json!({ "properties": { "engagement_time_msec": said_time } })).0["params"].clone();
        assert_eq!(engagement(json!(1200.7)), json!({ "engagement_time_msec": 1200 }));
        assert_eq!(engagement(json!(0.0)), json!({ "engagement_time_msec": 1 }));
        let ours = said(json!({ "properties": { "engagement_ms": 3_400 } })).0["params"].clone();
        assert_eq!(ours, json!({ "engagement_time_msec": 3_400 }));
        assert_eq!(engagement(json!("long")), json!({ "engagement_time_msec": 1 }));
    }
}
