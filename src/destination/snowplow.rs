//! Destination `snowplow`: the tracker protocol of Snowplow's collectors, <https://docs.snowplow.io/docs/events/going-deeper/http-requests/>, as
//! `payload_data`; self-describing events and entities as plain JSON (`ue_pr`, `co`), never in base64.
//!
//! A collector says yes to whatever it can put into its stream; whether an event keeps to its schema is found out later. So nothing is said
//! that a schema of Snowplow's own would refuse, and an event without what its schema needs is a structured one, which has none.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Verdict, Via,
    settings::{Settings, error},
    words::{
        address, agent, answers, figures,
        parcels::{Bounds, Filled, Said, fill},
    },
};
use crate::{
    event::vocabulary::{self, Subject},
    privacy::{clean::Item, disclose::Disclosure, enrich::place::Country},
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "Snowplow, with a collector that the website’s owner chose",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &["content-type", "sp-anonymous"],
    form: &[
        ("", &["schema"]),
        ("data[]", &["aid", "p", "tv", "eid", "duid", "sid", "uid", "ttm", "url", "refr", "ua", "lang", "res", "e"]),
        ("data[]", &["tr_id", "tr_tt", "tr_tx", "tr_sh", "tr_cu", "ti_id", "ti_sk", "ti_nm", "ti_ca", "ti_pr", "ti_qu"]),
        ("data[]", &["se_ca", "se_ac", "se_la", "se_pr", "se_va", "*"]),
        ("data[].co", &["schema", "data[].schema"]),
        ("data[].co.data[].data", &["id", "name", "brand", "category", "variant", "price", "quantity", "currency"]),
        ("data[].co.data[].data", &["transaction_id", "revenue", "payment_method", "total_quantity", "tax", "shipping"]),
        ("data[].co.data[].data", &["discount_code", "refund_amount", "*"]),
        ("data[].ue_pr", &["schema", "data.schema", "data.data.type", "data.data.name", "data.data.*"]),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\napp_id = \"prove\"",
        secret: "",
        purchase: "transaction_id",
        yes: |_| String::from("ok"),
    },
    open,
};

const NAME: &str = "snowplow";
/// Two hundred products and their event are some 100 kB; a body of so many usual events stays far below `BYTES_MAX`.
const EVENTS_MAX: usize = 100;
/// Below the 192 kB that a collector on SQS can put into one record.
const BYTES_MAX: usize = 180_000;
const HEAD: &[u8] = b"{\"schema\":\"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4\",\"data\":[";
const TAIL: &[u8] = b"]}";
/// Collectors take events of any age.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The tracker's name and version, which every event must have.
const TRACKER: &str = "firsthand-1";
/// What begins the names of Snowplow's own fields, as policies list them.
const VENDOR: &str = "snowplow.";
/// The category of structured events for which the site says none. No word that may rest has brackets.
const NO_CATEGORY: &str = "(none)";
/// How an order was paid, which its schema needs and which nobody tells.
const NO_METHOD: &str = "unknown";
/// Amounts in Snowplow's entities have two decimals, and are not below zero.
const AMOUNT_MAX: f64 = 9_999_999.0;
const UNSTRUCT: &str = "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0";
const CONTEXTS: &str = "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0";
const ACTION: &str = "iglu:com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2";
const PRODUCT: &str = "iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0";
const TRANSACTION: &str = "iglu:com.snowplowanalytics.snowplow.ecommerce/transaction/jsonschema/1-0-0";
const REFUND: &str = "iglu:com.snowplowanalytics.snowplow.ecommerce/refund/jsonschema/1-0-0";
/// Fields of an event that `payload_data` knows beside those that are said here: Snowplow's own that may be passed on.
const OF_THE_PAYLOAD: [&str; 28] = [
    "ad_ad", "ad_ba", "ad_ca", "ad_uid", "ctype", "f_ag", "f_dir", "f_fla", "f_gears", "f_java", "f_pdf", "f_qt", "f_realp", "f_wma",
    "mac", "pp_max", "pp_may", "pp_mix", "pp_miy", "sa", "sn", "sp", "st", "ti_cu", "tid", "tr_af", "tr_ci", "tr_co",
];

struct Snowplow {
    url: String,
    app_id: String,
    /// The schema's address for an event or an entity of the site's own, by name.
    schemas: BTreeMap<String, String>,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "path", "app_id", "schemas"])?;
    let url = settings.url("url", None, "https://collector.example.org")?;
    let path = settings.optional_text("path")?.unwrap_or("/com.snowplowanalytics.snowplow/tp2");
    let two_segments = path.starts_with('/') && path.split('/').filter(|part| !part.is_empty()).count() == 2;
    if !two_segments || path.contains(['?', '#']) {
        return Err(error("path", "is not two segments", Some(String::from("as the collector has it: path = \"/x/tp2\""))));
    }
    let schemas = settings.texts("schemas")?;
    if schemas.values().any(|schema| name_in(schema).is_none()) {
        let fix = "schemas = { order_placed = \"iglu:com.acme/order_placed/jsonschema/1-0-0\" }";
        return Err(error("schemas", "is not the address of a schema", Some(fix.to_owned())));
    }
    let app_id = settings.text("app_id", "shop")?.to_owned();
    Ok(Box::new(Snowplow { url: format!("{url}{path}"), app_id, schemas }))
}

/// The name in a schema's address.
fn name_in(schema: &str) -> Option<&str> {
    let mut parts = schema.strip_prefix("iglu:")?.split('/');
    let (_, name, format, version) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (format == "jsonschema" && !version.is_empty() && parts.next().is_none()).then_some(name)
}

impl Destination for Snowplow {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        Some(&self.url)
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits { events: EVENTS_MAX, bytes: BYTES_MAX, oldest: OLDEST, group_by: GroupBy::None }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let bounds = Bounds { events: EVENTS_MAX, bytes: BYTES_MAX - HEAD.len() - TAIL.len() };
        fill(batch, bounds, |disclosure| self.event(disclosure)).into_iter().map(|filled| self.parcel(filled)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        let verdict = answers::taken(answer).map_or_else(|verdict| verdict, |_| Verdict::Accepted { proven: false });
        vec![verdict; parcel.events.len()]
    }
}

impl Snowplow {
    fn parcel(&self, filled: Filled) -> Parcel {
        // The collector would note our address, and give each request an id of its own in a cookie.
        let headers = &[("content-type", "application/json; charset=UTF-8"), ("sp-anonymous", "*")];
        let call = HttpCall { headers, ..HttpCall::json(self.url.clone(), None) };
        let body = Bytes::from([HEAD, &filled.texts, TAIL].concat());
        Parcel { via: Via::Http(call), body, events: filled.events, unsaid: filled.unsaid }
    }

    fn event(&self, disclosure: &Disclosure) -> Said {
        let mut event = Event::default();
        event.say("aid", Some(&self.app_id));
        event.say("p", Some("web"));
        event.say("tv", Some(TRACKER));
        event.say("eid", Some(disclosure.event_id()));
        event.say("duid", Some(disclosure.visitor_id()));
        event.say("sid", disclosure.session_id().and_then(as_uuid));
        event.say("uid", disclosure.user().map(|(id, _)| id));
        // By our clock: with this, the collector does not look for an error of the sender's.
        event.say("ttm", figures::milliseconds(disclosure).map(|time| time.to_string()));
        for (name, (address, unsaid)) in [("url", address::page(disclosure)), ("refr", address::referrer(disclosure))] {
            event.say(name, address);
            event.unsaid += unsaid;
        }
        event.say("ua", agent::of(disclosure.device()));
        event.say("lang", disclosure.language().map(|language| language.code().to_owned()));
        event.say("res", figures::resolution(disclosure));
        event.unsaid += usize::from(disclosure.country() != Country::UNKNOWN) + usize::from(!disclosure.bot().is_nothing());
        let mut left: BTreeMap<&str, Value> =
            disclosure.properties().iter().map(|(name, value)| (name.as_str(), figures::value(value))).collect();
        self.fields_of_its_own(&mut event, &mut left);
        self.what_happened(&mut event, disclosure, &mut left);
        event.unsaid += left.len();
        if !event.entities.is_empty() {
            let entities = json!({ "schema": CONTEXTS, "data": event.entities }).to_string();
            event.said.insert(String::from("co"), entities.into());
        }
        Said { text: Value::from(event.said).to_string().into_bytes(), unsaid: event.unsaid }
    }

    /// Snowplow's own fields as they came: of the event itself, and of entities whose schema is known.
    fn fields_of_its_own(&self, event: &mut Event, left: &mut BTreeMap<&str, Value>) {
        let mut entities: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        left.retain(|name, value| {
            let Some(field) = name.strip_prefix(VENDOR) else { return true };
            match field.split_once('.') {
                None if OF_THE_PAYLOAD.contains(&field) => event.say(field, Some(text(value))),
                Some((entity, field)) if self.schemas.contains_key(entity) => {
                    entities.entry(entity).or_default().insert(field.to_owned(), value.take());
                }
                _ => return true,
            }
            false
        });
        let described = entities.into_iter().map(|(entity, data)| json!({ "schema": self.schemas[entity], "data": data }));
        event.entities.extend(described);
    }

    fn what_happened(&self, event: &mut Event, disclosure: &Disclosure, left: &mut BTreeMap<&str, Value>) {
        let name = disclosure.name();
        let action = vocabulary::vendors(vocabulary::SNOWPLOW_SHOP, name, Subject::Order);
        let order = order(disclosure);
        // An order or a refund is one with its entity alone.
        let whole = order.is_some() || !matches!(name, "purchase" | "refund");
        let mut money_said = order.is_some();
        match (name, self.schemas.get(name), action.filter(|_| whole)) {
            ("page_view", ..) => event.say("e", Some("pv")),
            ("user_engagement", ..) => event.say("e", Some("pp")),
            (_, Some(schema), _) => {
                // A vendor's field is no property of the site's own.
                let own = left.extract_if(.., |name, _| !name.contains('.'));
                let data: Map<String, Value> = own.map(|(name, value)| (name.to_owned(), value)).collect();
                event.described(json!({ "schema": schema, "data": data }));
            }
            (_, None, Some(action)) => {
                let mut data = Map::new();
                data.insert(String::from("type"), action.into());
                if left.get("name").is_some_and(Value::is_string) {
                    data.extend(left.remove("name").map(|list| (String::from("name"), list)));
                }
                event.described(json!({ "schema": ACTION, "data": data }));
            }
            ("purchase", ..) => {
                money_said = true;
                event.say("e", Some("tr"));
                event.say("tr_id", disclosure.transaction_id().or(Some(disclosure.event_id())));
                event.number("tr_tt", Some(disclosure.value().unwrap_or(0.0)));
                event.number("tr_tx", disclosure.tax());
                event.number("tr_sh", disclosure.shipping());
                event.say("tr_cu", disclosure.currency());
                event.unsaid += usize::from(disclosure.coupon().is_some());
            }
            ("transaction_item", ..) if disclosure.transaction_id().is_some() && disclosure.items().len() == 1 => {
                event.say("e", Some("ti"));
                event.say("ti_id", disclosure.transaction_id());
                let item = &disclosure.items()[0];
                event.say("ti_sk", item.id.as_ref());
                event.say("ti_nm", item.name.as_ref());
                event.say("ti_ca", item.category.as_ref());
                event.number("ti_pr", item.price);
                event.number("ti_qu", item.quantity);
                event.unsaid += usize::from(item.brand.is_some()) + usize::from(item.variant.is_some());
                return;
            }
            _ => {
                event.say("e", Some("se"));
                let mut word = |name: &str| left.remove(name).as_ref().map(text);
                event.say("se_ca", Some(word("event_category").unwrap_or_else(|| NO_CATEGORY.to_owned())));
                event.say("se_ac", Some(name));
                event.say("se_la", word("event_label"));
                event.say("se_pr", word("event_property"));
                let value = word("event_value");
                let amount = disclosure.value().filter(|_| value.is_none() && order.is_none());
                money_said |= amount.is_some();
                event.say("se_va", value.or_else(|| amount.map(|amount| amount.to_string())));
            }
        }
        let products = disclosure.items().iter().filter_map(|item| product(item, disclosure.currency()));
        let before = event.entities.len();
        event.entities.extend(products);
        event.unsaid += disclosure.items().len() - (event.entities.len() - before);
        if !money_said {
            event.unsaid += usize::from(disclosure.value().is_some());
        }
        if (order.is_none() || name == "refund") && name != "purchase" {
            let no_id = order.is_none() && disclosure.transaction_id().is_some();
            let others = [disclosure.tax().is_some(), disclosure.shipping().is_some(), no_id];
            event.unsaid += others.into_iter().filter(|said| *said).count() + usize::from(disclosure.coupon().is_some());
        }
        event.entities.extend(order);
    }
}

/// An event on the way. All of its values are texts.
#[derive(Default)]
struct Event {
    said: Map<String, Value>,
    entities: Vec<Value>,
    unsaid: usize,
}

impl Event {
    fn say(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.said.entry(name).or_insert_with(|| value.as_ref().into());
        }
    }

    fn number(&mut self, name: &str, value: Option<f64>) {
        self.say(name, value.map(|value| value.to_string()));
    }

    fn described(&mut self, event: Value) {
        self.say("e", Some("ue"));
        self.say("ue_pr", Some(json!({ "schema": UNSTRUCT, "data": event }).to_string()));
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// An id of 64 bits in the form of a UUID, which Snowplow wants a session's to have: version 8, the digits one after another, then zeros.
fn as_uuid(id: &str) -> Option<String> {
    let (one, two, three, four) = (id.get(..8)?, id.get(8..12)?, id.get(12..15)?, id.get(15..16)?);
    Some(format!("{one}-{two}-8{three}-8{four}00-000000000000"))
}

/// An amount as Snowplow's entities take it: two decimals, not below zero.
fn amount(said: f64) -> Option<Value> {
    let cents = (said * 100.0).round();
    ((0.0..=AMOUNT_MAX).contains(&said)).then(|| figures::number(cents / 100.0))
}

/// The entity of a product. Its schema takes none without an id, a price and its currency.
fn product(item: &Item, currency: Option<&str>) -> Option<Value> {
    let mut data = Map::new();
    data.insert(String::from("id"), item.id.as_deref()?.into());
    data.insert(String::from("category"), item.category.as_deref().unwrap_or_default().into());
    data.insert(String::from("price"), amount(item.price?)?);
    data.insert(String::from("currency"), currency?.into());
    let texts = [("name", &item.name), ("brand", &item.brand), ("variant", &item.variant)];
    data.extend(texts.into_iter().filter_map(|(name, said)| Some((name.to_owned(), said.as_deref()?.into()))));
    let quantity = item.quantity.filter(|said| said.fract() == 0.0 && (0.0..=AMOUNT_MAX).contains(said));
    data.extend(quantity.map(|said| (String::from("quantity"), figures::number(said))));
    Some(json!({ "schema": PRODUCT, "data": data }))
}

/// The entity of an order, or of a refund. Their schemas take none without an id, an amount and its currency.
fn order(disclosure: &Disclosure) -> Option<Value> {
    let (value, currency) = (amount(disclosure.value()?)?, disclosure.currency()?);
    let id = disclosure.transaction_id();
    if disclosure.name() == "refund" {
        return Some(json!({ "schema": REFUND, "data": { "transaction_id": id?, "currency": currency, "refund_amount": value } }));
    }
    // An order has an id, or it is none; of anything else, an amount makes no order.
    let id = id.or_else(|| (disclosure.name() == "purchase").then(|| disclosure.event_id()))?;
    let quantity: f64 = disclosure.items().iter().map(|item| item.quantity.unwrap_or(1.0)).sum();
    let mut data = Map::new();
    data.insert(String::from("transaction_id"), id.into());
    data.insert(String::from("revenue"), value);
    data.insert(String::from("currency"), currency.into());
    data.insert(String::from("payment_method"), NO_METHOD.into());
    data.insert(String::from("total_quantity"), figures::number(quantity.clamp(0.0, AMOUNT_MAX).round()));
    for (name, said) in [("tax", disclosure.tax()), ("shipping", disclosure.shipping())] {
        data.extend(said.and_then(amount).map(|said| (name.to_owned(), said)));
    }
    data.extend(disclosure.coupon().filter(|code| code.len() < 100).map(|code| (String::from("discount_code"), code.into())));
    Some(json!({ "schema": TRANSACTION, "data": data }))
}
