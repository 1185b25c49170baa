//! Destination `segment`: Segment's HTTP tracking API, <https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api>,
//! in batches; RudderStack, Jitsu and others take the same calls under addresses of their own.
//!
//! Segment says yes to everything that is JSON and not too large, whoever's write key it is: its yes proves nothing.

use std::{collections::BTreeMap, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Signing, Verdict, Via,
    settings::{Settings, error},
    words::{
        address, agent, answers, figures,
        parcels::{Bounds, Filled, Said, fill},
        products,
    },
};
use crate::{
    config::secret::Secret,
    event::{
        Purposes,
        vocabulary::{self, Subject},
    },
    privacy::{
        disclose::Disclosure,
        enrich::{device::Form, place::Country},
    },
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "Segment, or another service that takes its calls",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &["authorization", "content-type"],
    form: &[
        ("batch[]", &["type", "event", "messageId", "timestamp", "anonymousId", "userId"]),
        ("batch[].context", &["ip", "locale", "userAgent", "screen.width", "device.type", "location.country"]),
        ("batch[].context", &["page.url", "page.path", "page.referrer", "app.*", "library.*", "network.*", "os.*", "traits.*"]),
        ("batch[].context.campaign", &["source", "medium", "name", "term", "content", "id"]),
        ("batch[].context.consent.categoryPreferences", &["{setting}"]),
        ("batch[].traits", &["*"]),
        ("batch[].properties", &["url", "referrer", "revenue", "value", "currency", "order_id", "tax", "shipping", "coupon", "*"]),
        ("batch[].properties", PRODUCT),
        ("batch[].properties.products[]", PRODUCT),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\nwrite_key = \"{secret}\"",
        secret: "prove-write-key",
        purchase: "Order Completed",
        yes: |_| String::from("{\"success\":true}"),
    },
    open,
};

const NAME: &str = "segment";
/// Segment takes 2,500; others, and Firsthand itself, as many as its own libraries send at most.
const EVENTS_MAX: usize = 250;
/// Segment takes 500 kB in one request, and 32 kB in one call.
const BYTES_MAX: usize = 500_000;
const CALL_BYTES_MAX: usize = 32_000;
/// What stands around the calls.
const HEAD: &[u8] = b"{\"batch\":[";
const TAIL: &[u8] = b"]}";
/// Calls are taken with the time that they say, however old.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What begins the names of Segment's own fields, as policies list them.
const VENDOR: &str = "segment.";
/// The names of what a product says.
const PRODUCT: &[&str] = &["product_id", "name", "brand", "category", "variant", "price", "quantity"];
/// Parts of the context that are kept as Segment's own fields.
const OF_THE_CONTEXT: [&str; 5] = ["app", "library", "network", "os", "traits"];
/// Purposes, and what Segment's own consent categories are called that mean them, where a site has no other names.
const CATEGORIES: [&str; 3] = ["analytics", "profile", "ads"];

struct Segment {
    url: String,
    authorization: Secret,
    categories: BTreeMap<String, String>,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "write_key", "categories"])?;
    let categories = settings.texts("categories")?;
    if categories.keys().any(|purpose| !CATEGORIES.contains(&purpose.as_str())) {
        let fix = "categories = { analytics = \"C0002\", ads = \"C0004\" }";
        return Err(error("categories", "names something else than analytics, profile and ads", Some(fix.to_owned())));
    }
    let url = settings.url("url", None, "https://events.eu1.segmentapis.com")?;
    let mut pair = settings.secret("write_key", "file:/run/secrets/segment")?.bytes().to_vec();
    // A user name without a password.
    pair.push(b':');
    let pair = Secret::new(pair);
    let authorization = Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair.bytes())).into_bytes());
    Ok(Box::new(Segment { url: format!("{url}/v1/batch"), authorization, categories }))
}

impl Destination for Segment {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        Some(&self.url)
    }

    /// By `messageId`, within its window of 24 hours <https://segment.com/docs/guides/duplicate-data/>.
    fn knows_again(&self) -> bool {
        true
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits { events: EVENTS_MAX, bytes: BYTES_MAX, oldest: OLDEST, group_by: GroupBy::None }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let bounds = Bounds { events: EVENTS_MAX, bytes: BYTES_MAX - HEAD.len() - TAIL.len() };
        fill(batch, bounds, |disclosure| call(disclosure, &self.categories)).into_iter().map(|filled| self.parcel(filled)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        let verdict = answers::taken(answer).map_or_else(|verdict| verdict, |_| Verdict::Accepted { proven: false });
        vec![verdict; parcel.events.len()]
    }
}

impl Segment {
    fn parcel(&self, filled: Filled) -> Parcel {
        let body = Bytes::from([HEAD, &filled.texts, TAIL].concat());
        let signing = Some(Signing::Authorization(self.authorization.clone()));
        let call = HttpCall::json(self.url.clone(), signing);
        Parcel { via: Via::Http(call), body, events: filled.events, unsaid: filled.unsaid }
    }
}

/// One event as a call, in at most as many bytes as Segment takes, as long as it is the products that need the room.
fn call(disclosure: &Disclosure, categories: &BTreeMap<String, String>) -> Said {
    let mut call = Map::new();
    let single = disclosure.items().len() == 1 && disclosure.coupon().is_none();
    // A call about one product is called so only where there is one; else a name of the other kind, or the canonical one, carries a list.
    let product = single.then(|| vocabulary::vendors(vocabulary::SEGMENT, disclosure.name(), Subject::Product)).flatten();
    let kind = match disclosure.name() {
        "page_view" => "page",
        "screen_view" => "screen",
        "identify" => "identify",
        name => {
            let theirs = product.or_else(|| vocabulary::vendors(vocabulary::SEGMENT, name, Subject::Order));
            call.insert(String::from("event"), theirs.unwrap_or(name).into());
            "track"
        }
    };
    call.insert(String::from("type"), kind.into());
    call.insert(String::from("messageId"), disclosure.event_id().into());
    call.insert(String::from("timestamp"), disclosure.time().into());
    call.insert(String::from("anonymousId"), disclosure.visitor_id().into());
    if let Some((user, _)) = disclosure.user() {
        call.insert(String::from("userId"), user.into());
    }
    let mut unsaid = usize::from(!disclosure.bot().is_nothing());
    let mut context = context(disclosure, &mut unsaid);
    if !disclosure.purposes().is_empty() {
        let preference = |purpose: &str| {
            let agreed = Purposes::named(purpose).is_some_and(|purpose| disclosure.purposes().cover(purpose));
            (categories.get(purpose).map_or(purpose, String::as_str).to_owned(), Value::from(agreed))
        };
        let preferences: Map<String, Value> = CATEGORIES.into_iter().map(preference).collect();
        context.insert(String::from("consent"), json!({ "categoryPreferences": preferences }));
    }
    let mut properties = Map::new();
    if kind == "page" {
        for name in ["url", "referrer"] {
            if let Some(said) = context.get("page").and_then(|page| page.get(name)) {
                properties.insert(name.to_owned(), said.clone());
            }
        }
    }
    let about_product = product.is_some();
    money(&mut properties, disclosure);
    if about_product {
        disclosure.items().iter().for_each(|one| products::put(&mut properties, one, |word| word.segment));
    }
    let mut traits = Map::new();
    for (name, value) in disclosure.properties() {
        let said = figures::value(value);
        let place = match name.strip_prefix(VENDOR).and_then(|field| field.split_once('.')) {
            Some(("traits", field)) if kind == "identify" => (&mut traits, field),
            Some((object, field)) if OF_THE_CONTEXT.contains(&object) => {
                let place = context.entry(object).or_insert_with(|| Map::new().into());
                let Value::Object(place) = place else { continue };
                place.insert(field.to_owned(), said);
                continue;
            }
            _ => (&mut properties, name.as_str()),
        };
        let (place, name) = place;
        if place.contains_key(name) {
            unsaid += 1;
        } else {
            place.insert(name.to_owned(), said);
        }
    }
    let listed = !about_product && !disclosure.items().is_empty();
    if listed {
        properties.insert(String::from("products"), Value::Array(Vec::new()));
    }
    if !traits.is_empty() {
        call.insert(String::from("traits"), traits.into());
    }
    call.insert(String::from("context"), context.into());
    call.insert(String::from("properties"), properties.into());
    if listed {
        let room = CALL_BYTES_MAX.saturating_sub(Value::from(call.clone()).to_string().len());
        let (list, left_out) = products::list(disclosure.items(), |word| word.segment, room);
        unsaid += left_out;
        call["properties"]["products"] = list.into();
    }
    Said { text: Value::from(call).to_string().into_bytes(), unsaid }
}

/// Money and order, under the names of Segment's e-commerce specification.
fn money(properties: &mut Map<String, Value>, disclosure: &Disclosure) {
    let order = matches!(disclosure.name(), "purchase" | "refund");
    let value = if order { "revenue" } else { "value" };
    let numbers = [(value, disclosure.value()), ("tax", disclosure.tax()), ("shipping", disclosure.shipping())];
    let texts = [("currency", disclosure.currency()), ("order_id", disclosure.transaction_id()), ("coupon", disclosure.coupon())];
    properties.extend(numbers.into_iter().filter_map(|(name, said)| Some((name.to_owned(), figures::number(said?)))));
    properties.extend(texts.into_iter().filter_map(|(name, said)| Some((name.to_owned(), said?.into()))));
}

/// Where and on what it happened. Whoever looks addresses up finds none: it is said to be nobody's.
fn context(disclosure: &Disclosure, unsaid: &mut usize) -> Map<String, Value> {
    let mut context = Map::new();
    context.insert(String::from("ip"), "0.0.0.0".into());
    let (url, unsaid_of_page) = address::page(disclosure);
    let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
    *unsaid += unsaid_of_page + unsaid_of_referrer;
    let path = disclosure.page().map(|page| page.path().to_owned());
    let page = [("url", url), ("path", path), ("referrer", referrer)];
    let page: Map<String, Value> = page.into_iter().filter_map(|(name, said)| Some((name.to_owned(), said?.into()))).collect();
    let campaign: Map<String, Value> = disclosure
        .campaign()
        .iter()
        .map(|(field, value)| (vocabulary::campaign(field.name()).segment.to_owned(), value.as_str().into()))
        .collect();
    for (name, said) in [("page", page), ("campaign", campaign)] {
        if !said.is_empty() {
            context.insert(name.to_owned(), said.into());
        }
    }
    if let Some(language) = disclosure.language() {
        context.insert(String::from("locale"), language.code().into());
    }
    if let Some(class) = disclosure.screen() {
        context.insert(String::from("screen"), json!({ "width": figures::width(class) }));
    }
    if let Some(agent) = agent::of(disclosure.device()) {
        context.insert(String::from("userAgent"), agent.into());
    }
    let form = match disclosure.device().form {
        Form::Desktop => Some("desktop"),
        Form::Mobile => Some("mobile"),
        Form::Tablet => Some("tablet"),
        Form::Other => None,
    };
    if let Some(form) = form {
        context.insert(String::from("device"), json!({ "type": form }));
    }
    if disclosure.country() != Country::UNKNOWN {
        context.insert(String::from("location"), json!({ "country": disclosure.country().code() }));
    }
    context
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, event::Offset};

    fn opened(settings: &str) -> Result<Box<dyn Destination>, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, TYPE.rehearsal.secret).unwrap();
        open(&settings.replace("{secret}", &format!("file:{}", file.display())).parse().unwrap())
    }

    #[test]
    fn settings_that_would_lead_nowhere_are_refused() {
        for (settings, key) in [
            ("write_key = \"{secret}\"", "url"),
            ("url = \"https://api.segment.io\"", "write_key"),
            ("url = \"https://api.segment.io\"\nwrite_key = \"wk\"", "write_key"),
            ("url = \"https://wk@api.segment.io\"\nwrite_key = \"{secret}\"", "url"),
        ] {
            assert_eq!(opened(settings).err().map(|error| error.key).as_deref(), Some(key), "{settings}");
        }
    }

    #[test]
    fn a_call_is_never_too_large_and_says_what_was_left_out() {
        let product = json!({ "id": "i".repeat(100), "name": "n".repeat(100), "brand": "b".repeat(100), "category": "c".repeat(100) });
        let disclosures: Vec<Disclosure> = (0..40)
            .map(|offset| {
                let items = json!({ "name": "purchase", "items": vec![product.clone(); 200] });
                Disclosure::for_test(Offset(offset), 1, Timestamp(0)).saying(&items)
            })
            .collect();
        let destination = opened("url = \"https://api.segment.io\"\nwrite_key = \"{secret}\"").unwrap();
        let parcels = destination.encode(&disclosures.iter().collect::<Vec<_>>());
        assert!(parcels.len() > 1 && parcels.iter().all(|parcel| parcel.body.len() <= BYTES_MAX));
        let body: Value = serde_json::from_slice(&parcels[0].body).unwrap();
        let calls = body["batch"].as_array().unwrap();
        assert!(calls.iter().all(|call| call.to_string().len() <= CALL_BYTES_MAX));
        let said = calls[0]["properties"]["products"].as_array().unwrap().len();
        assert!(said > 50 && parcels[0].unsaid == calls.len() * (200 - said), "{said}");
    }
}
