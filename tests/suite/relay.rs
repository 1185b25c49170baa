//! Relay fidelity: what a vendor's library said, once through the line under a policy that allows all it can, comes out at the destination of
//! the same vendor in words that the vendor's protocol reads as the same event. Events are generated; of each, the clean event of the
//! library's request is compared with the clean event of what leaves. What is not the same by intention is listed in [`Dialect::forgiven`].
//!
//! `FIRSTHAND_SEED` (64 hexadecimal digits, printed on failure) repeats a run.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Write as _,
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use firsthand::{
    clock::Timestamp,
    destination::{Destination, DestinationType, Parcel, Signing, Via},
    event::Offset,
    privacy::disclose::Disclosed,
};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::line::{Became, Line, RawRequest};

/// Every request comes in then: 2026-03-14T09:26:53.589Z.
const RECEIVED: Timestamp = Timestamp(1_773_480_413_589);
/// Generated events of each dialect.
const CASES: u32 = 400;
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// Lists whatever a dialect can say, and keeps what may be kept as it was said.
const SITE: &str = r#"
[[policy]]
name = "shop"
events = ["newsletter_opened", "cart_update", "goal", "content_impression", "content_interaction", "transaction_item", "trns_error", "identify", "group", "order_placed"]
crowd = 1
crowd_reason = "one visitor at a time is tested"

[policy.properties]
plan = "word"
number = "number"
gift = "flag"
event_category = "word"
event_label = "word"
event_property = "word"
event_value = "number"
goal = "number"
search_term = "word"
search_category = "word"
link_domain = "word"
outbound = "flag"
file_extension = "word"
content_name = "word"
content_piece = "word"
content_interaction = "word"
engagement_time_msec = "number"
name = "word"
"matomo.dimension1" = "word"
"matomo.pf_srv" = "number"
"matomo.ec_st" = "number"
"matomo.search_count" = "number"
"ga4.up.tier" = "word"
"ga4.upn.level" = "number"
"ga4._c" = "flag"
"segment.traits.plan" = "word"
"segment.app.name" = "word"
"segment.os.name" = "word"
"segment.network.wifi" = "flag"
"snowplow.pp_mix" = "number"
"snowplow.tr_af" = "word"
"snowplow.web_page.kind" = "word"
"posthog.$lib_version" = "word"
"amplitude.set.tier" = "word"
"umami.tag" = "word"

[[policy.deviation]]
field = "user_id"
treatment = "keep"
reason = "what the library said is compared"

[[site]]
name = "shop"
hosts = ["www.shop.example"]
origins = ["https://www.shop.example"]
prefix = "/keso"
policy = "shop"

[site.keys]
amplitude = ["amp_key"]
ga4 = ["G-SHOP123456"]
matomo = ["1"]
posthog = ["phc_token"]
segment = ["wk_shop"]
snowplow = ["shop-app"]
umami = ["11111111-2222-4333-8444-555555555555"]
"#;

/// A vendor whose words come in and go out.
#[derive(Clone, Copy, Debug)]
enum Dialect {
    Amplitude,
    Ga4,
    Matomo,
    PostHog,
    Segment,
    Snowplow,
    Umami,
}

impl Dialect {
    /// The destination's type, its settings, and the secret that they refer to.
    const fn destination(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Amplitude => ("amplitude", "url = \"https://relay.example\", api_key = \"file:{secret}\"", "amp_key"),
            Self::PostHog => ("posthog", "url = \"https://relay.example\", project_key = \"file:{secret}\"", "phc_token"),
            Self::Umami => ("umami", "url = \"https://relay.example\", website = \"11111111-2222-4333-8444-555555555555\"", ""),
            Self::Ga4 => ("ga4-relay", "measurement_id = \"G-SHOP123456\", endpoint = \"https://relay.example/g/collect\"", ""),
            Self::Matomo => {
                let settings = "url = \"https://relay.example/matomo.php\", site_id = 1, token = \"file:{secret}\"";
                ("matomo", settings, "00000000000000000000000000000000")
            }
            Self::Segment => ("segment", "url = \"https://relay.example\", write_key = \"file:{secret}\"", "wk_shop"),
            Self::Snowplow => {
                let settings = "url = \"https://relay.example\", app_id = \"shop-app\", schemas = { \
                                order_placed = \"iglu:com.acme/order_placed/jsonschema/1-0-0\", \
                                web_page = \"iglu:com.snowplowanalytics.snowplow/web_page/jsonschema/1-0-0\" }";
                ("snowplow", settings, "")
            }
        }
    }

    /// What is not the same in both clean events, by intention: where it stands, and why.
    const fn forgiven(self) -> &'static [(&'static str, &'static str)] {
        const ID: (&str, &str) = ("/granted/client_event_id", "each destination gets an event id of its own");
        match self {
            Self::Ga4 => &[ID, ("/time", "the tag has no word for when it was: it happens when it arrives")],
            Self::Matomo | Self::Umami => &[ID, ("/time", "whole seconds")],
            Self::Amplitude | Self::PostHog | Self::Segment | Self::Snowplow => &[ID],
        }
    }

    /// The library's request.
    fn request(self, said: &Said) -> RawRequest {
        match self {
            Self::Amplitude => amplitude(said),
            Self::Ga4 => ga4(said),
            Self::Matomo => matomo(said),
            Self::PostHog => posthog(said),
            Self::Segment => segment(said),
            Self::Snowplow => snowplow(said),
            Self::Umami => umami(said),
        }
    }
}

/// What a library is told.
#[derive(Clone, Debug)]
struct Said {
    kind: usize,
    number: u64,
    path: Vec<String>,
    campaign: BTreeMap<&'static str, String>,
    click: Option<String>,
    referrer: Option<&'static str>,
    language: Option<&'static str>,
    width: Option<u32>,
    user: Option<String>,
    milliseconds_ago: i64,
    money: Money,
    items: Vec<Item>,
    properties: BTreeMap<&'static str, Property>,
    vendor: [Property; 4],
}

#[derive(Clone, Debug)]
struct Money {
    value: Option<f64>,
    tax: Option<f64>,
    shipping: Option<f64>,
    currency: &'static str,
    coupon: Option<String>,
    order: String,
}

#[derive(Clone, Debug)]
struct Item {
    id: String,
    name: Option<String>,
    brand: Option<String>,
    category: Option<String>,
    variant: Option<String>,
    price: f64,
    quantity: Option<u8>,
}

#[derive(Clone, Debug)]
enum Property {
    Flag(bool),
    Number(f64),
    Word(String),
}

impl Property {
    fn json(&self) -> Value {
        match self {
            Self::Flag(flag) => json!(flag),
            Self::Number(number) => json!(number),
            Self::Word(word) => json!(word),
        }
    }

    /// As a query has it.
    fn text(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Word(word) => word.clone(),
        }
    }
}

impl Said {
    fn url(&self) -> String {
        let mut url = format!("https://www.shop.example/{}", self.path.join("/"));
        let campaign = self.campaign.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let click = self.click.iter().map(|id| format!("gclid={id}"));
        let query: Vec<String> = campaign.chain(click).collect();
        if !query.is_empty() {
            write!(url, "?{}", query.join("&")).unwrap();
        }
        url
    }

    fn happened(&self) -> i64 {
        RECEIVED.0 - self.milliseconds_ago
    }

    /// One of a dialect's kinds of events.
    fn one_of<T: Copy>(&self, kinds: &[T]) -> T {
        kinds[self.kind % kinds.len()]
    }
}

/// A query's parameters.
#[derive(Default)]
struct Query(String);

impl Query {
    fn say(&mut self, name: &str, value: impl AsRef<str>) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        write!(self.0, "{name}={}", encoded(value.as_ref())).unwrap();
    }

    fn maybe(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.say(name, value.to_string());
        }
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn ga4(said: &Said) -> RawRequest {
    let mut query = Query::default();
    query.say("v", "2");
    query.say("tid", "G-SHOP123456");
    query.say("cid", "812345.1773480000");
    query.say("_p", said.number.to_string());
    query.say("_s", "1");
    query.say("gcs", "G111");
    query.say("gcd", "13r3r3r3r5l1");
    let name = said.one_of(&["page_view", "purchase", "add_to_cart", "user_engagement", "newsletter_opened", "session_start", "scroll"]);
    query.say("en", name);
    query.say("dl", said.url());
    query.maybe("dr", said.referrer);
    query.maybe("ul", said.language);
    query.maybe("sr", said.width.map(|width| format!("{width}x900")));
    query.maybe("uid", said.user.as_ref());
    query.say("cu", said.money.currency);
    query.maybe("epn.value", said.money.value);
    query.maybe("epn.tax", said.money.tax);
    query.maybe("epn.shipping", said.money.shipping);
    query.maybe("ep.coupon", said.money.coupon.as_ref());
    query.say("ep.transaction_id", &said.money.order);
    for (number, item) in said.items.iter().enumerate() {
        let texts = [("nm", &item.name), ("br", &item.brand), ("ca", &item.category), ("va", &item.variant)];
        let mut product = format!("id{}", item.id);
        texts.iter().for_each(|(key, text)| text.iter().for_each(|text| write!(product, "~{key}{text}").unwrap()));
        write!(product, "~pr{}", item.price).unwrap();
        item.quantity.iter().for_each(|quantity| write!(product, "~qt{quantity}").unwrap());
        query.say(&format!("pr{}", number + 1), product);
    }
    for (name, value) in &said.properties {
        match value {
            Property::Number(number) if *name == "engagement_time_msec" => query.say("_et", number.to_string()),
            Property::Number(number) => query.say(&format!("epn.{name}"), number.to_string()),
            other => query.say(&format!("ep.{name}"), other.text()),
        }
    }
    let [word, number, ..] = &said.vendor;
    query.say("up.tier", word.text());
    query.say("upn.level", number.text());
    query.say("_c", "1");
    post(&format!("/keso/g/collect?{}", query.0), String::new())
}

fn matomo(said: &Said) -> RawRequest {
    let mut hit = Query::default();
    hit.say("idsite", "1");
    hit.say("rec", "1");
    hit.say("_id", "0123456789abcdef");
    hit.say("pv_id", "aB3xY9");
    hit.say("rand", said.number.to_string());
    hit.say("cdt", (said.happened() / 1_000).to_string());
    hit.say("url", said.url());
    hit.maybe("urlref", said.referrer);
    hit.maybe("lang", said.language);
    hit.maybe("res", said.width.map(|width| format!("{width}x900")));
    hit.maybe("uid", said.user.as_ref());
    let [word, number, other, _] = &said.vendor;
    hit.say("dimension1", word.text());
    hit.say("pf_srv", number.text());
    let first = said.items.first();
    let kinds =
        ["page", "product", "order", "cart", "goal", "event", "viewed", "search", "link", "download", "shown", "used", "ping", "other"];
    match said.one_of(&kinds) {
        "product" => {
            hit.maybe("_pks", first.map(|item| &item.id));
            hit.maybe("_pkn", first.and_then(|item| item.name.as_ref()));
            hit.maybe("_pkc", first.and_then(|item| item.category.as_ref()));
            hit.maybe("_pkp", first.map(|item| item.price));
        }
        kind @ ("order" | "cart") => {
            hit.say("idgoal", "0");
            hit.maybe("ec_id", (kind == "order").then_some(&said.money.order));
            hit.say("revenue", said.money.value.unwrap_or(0.0).to_string());
            hit.maybe("ec_tx", said.money.tax);
            hit.maybe("ec_sh", said.money.shipping);
            hit.say("ec_st", other.text());
            let item = |item: &Item| {
                json!([
                    item.id,
                    item.name.as_deref().unwrap_or_default(),
                    item.category.as_deref().unwrap_or_default(),
                    item.price,
                    item.quantity.unwrap_or(1)
                ])
            };
            let items: Vec<Value> = said.items.iter().map(item).collect();
            hit.maybe("ec_items", (!items.is_empty()).then(|| json!(items).to_string()));
        }
        "goal" => {
            hit.say("idgoal", (said.number % 9 + 1).to_string());
            hit.maybe("revenue", said.money.value);
        }
        kind @ ("event" | "viewed" | "other") => {
            let names = ["newsletter_opened", "purchase", "page_view_of_nobody", "select_item", "scroll"];
            hit.say("e_c", "Letters");
            hit.say("e_a", if kind == "viewed" { "view_item" } else { said.one_of(&names) });
            hit.maybe("e_n", first.and_then(|item| item.name.as_ref()));
            hit.maybe("e_v", said.money.tax);
            if let Some(item) = first.filter(|_| kind == "viewed") {
                hit.say("_pks", &item.id);
                hit.maybe("_pkn", item.name.as_ref());
                hit.say("_pkp", item.price.to_string());
            }
        }
        "search" => {
            hit.say("search", "red cups");
            hit.maybe("search_cat", first.and_then(|item| item.category.as_ref()));
            hit.say("search_count", other.text());
        }
        "link" => hit.say("link", "https://other.example/x"),
        "download" => hit.say("download", "https://www.shop.example/files/list.PDF"),
        kind @ ("shown" | "used") => {
            hit.say("c_n", "Banner");
            hit.maybe("c_p", first.and_then(|item| item.name.as_ref()));
            hit.say("c_t", "/sale");
            hit.maybe("c_i", (kind == "used").then_some("click"));
        }
        "ping" => hit.say("ping", "1"),
        _ => {}
    }
    post("/keso/matomo.php", hit.0)
}

/// Under the names of Segment's specification.
fn product(item: &Item, properties: &mut Map<String, Value>) {
    let texts = [("name", &item.name), ("brand", &item.brand), ("category", &item.category), ("variant", &item.variant)];
    properties.insert("product_id".into(), json!(item.id));
    properties.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?)))));
    properties.insert("price".into(), json!(item.price));
    properties.extend(item.quantity.map(|quantity| ("quantity".to_owned(), json!(quantity))));
}

fn segment(said: &Said) -> RawRequest {
    let [word, number, flag, other] = &said.vendor;
    let campaign = said.campaign.iter().map(|(name, value)| (name.trim_start_matches("utm_").replace("campaign", "name"), json!(value)));
    let mut context = json!({
        "page": { "url": said.url(), "referrer": said.referrer, "title": "A page" },
        "campaign": campaign.collect::<Map<_, _>>(),
        "locale": said.language,
        "screen": { "width": said.width, "height": 900 },
        "app": { "name": word.json() },
        "os": { "name": other.text() },
        "network": { "wifi": matches!(flag, Property::Number(1.0)) },
        "consent": { "categoryPreferences": { "C0002": true, "C0004": true } },
    });
    if said.kind.is_multiple_of(2) {
        context["traits"] = json!({ "plan": number.text() });
    }
    let mut properties: Map<String, Value> = said.properties.iter().map(|(name, value)| ((*name).to_owned(), value.json())).collect();
    let kinds = [
        "page",
        "Order Completed",
        "Order Refunded",
        "Product Added",
        "Cart Viewed",
        "Signed Up",
        "Newsletter Opened",
        "Whatever",
        "identify",
        "group",
        "screen",
    ];
    let name = said.one_of(&kinds);
    if name == "Product Added" {
        properties.remove("name");
        said.items.iter().take(1).for_each(|item| product(item, &mut properties));
    } else if !said.items.is_empty() {
        let list = said.items.iter().map(|item| {
            let mut properties = Map::new();
            product(item, &mut properties);
            Value::from(properties)
        });
        properties.insert("products".into(), list.collect());
    }
    let value = if name.starts_with("Order") { "revenue" } else { "value" };
    let numbers = [(value, said.money.value), ("tax", said.money.tax), ("shipping", said.money.shipping)];
    properties.extend(numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), json!(number?)))));
    properties.insert("currency".into(), json!(said.money.currency));
    properties.insert("order_id".into(), json!(said.money.order));
    if name != "Product Added" {
        properties.extend(said.money.coupon.as_ref().map(|coupon| ("coupon".to_owned(), json!(coupon))));
    }
    let at = |milliseconds: i64| jiff::Timestamp::from_millisecond(milliseconds).unwrap().to_string();
    let mut call = json!({
        "messageId": format!("ajs-next-{}", said.number),
        "anonymousId": "a-1",
        "userId": said.user,
        "writeKey": "wk_shop",
        // A clock that is an hour late.
        "timestamp": at(said.happened() - 3_600_000),
        "sentAt": at(RECEIVED.0 - 3_600_000),
        "context": context,
        "properties": properties,
    });
    let path = match name {
        "page" | "identify" | "group" | "screen" => name,
        event => {
            call["event"] = json!(event);
            "track"
        }
    };
    if name == "identify" {
        call["traits"] = json!({ "plan": word.text() });
    }
    post(&format!("/keso/v1/{path}"), call.to_string())
}

fn snowplow(said: &Said) -> RawRequest {
    let [word, number, other, _] = &said.vendor;
    let mut event = json!({
        "aid": "shop-app", "p": "web", "tv": "js-4", "eid": format!("00000000-0000-4000-8000-{:012x}", said.number), "duid": "d-1",
        "dtm": (said.happened() - 3_600_000).to_string(), "stm": (RECEIVED.0 - 3_600_000).to_string(),
        "url": said.url(), "pp_mix": number.text(),
    });
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            event[name] = json!(value);
        }
    };
    say("refr", said.referrer.map(str::to_owned));
    say("lang", said.language.map(str::to_owned));
    say("res", said.width.map(|width| format!("{width}x900")));
    say("uid", said.user.clone());
    let described = |schema: &str, data: Value| json!({ "schema": format!("iglu:{schema}/jsonschema/1-0-0"), "data": data });
    let of_shop = |name: &str| format!("com.snowplowanalytics.snowplow.ecommerce/{name}");
    let mut entities = vec![described("com.snowplowanalytics.snowplow/web_page", json!({ "kind": word.text() }))];
    let kinds =
        ["pv", "pp", "se", "tr", "ti", "transaction", "refund", "add_to_cart", "list_view", "trns_error", "order_placed", "link_click"];
    let kind = said.one_of(&kinds);
    let value = said.money.value.unwrap_or(1.0);
    let self_described = |data: Value| {
        let document = described("com.snowplowanalytics.snowplow/unstruct_event", data).to_string();
        ("ue_px", Some(BASE64_URL_SAFE_NO_PAD.encode(document)))
    };
    match kind {
        "pv" | "pp" => say("e", Some(kind.into())),
        "se" => {
            say("e", Some(kind.into()));
            say("se_ca", Some("Letters".into()));
            say("se_ac", Some("Newsletter Opened".into()));
            say("se_la", Some(word.text()));
            say("se_pr", Some("top".into()));
            say("se_va", Some(number.text()));
        }
        "tr" => {
            say("e", Some(kind.into()));
            say("tr_id", Some(said.money.order.clone()));
            say("tr_af", Some(other.text()));
            say("tr_tt", Some(value.to_string()));
            say("tr_tx", said.money.tax.map(|tax| tax.to_string()));
            say("tr_sh", said.money.shipping.map(|shipping| shipping.to_string()));
            say("tr_cu", said.number.is_multiple_of(2).then(|| said.money.currency.to_owned()));
        }
        "ti" => {
            let item = said.items.first();
            say("e", Some(kind.into()));
            say("ti_id", Some(said.money.order.clone()));
            say("ti_sk", item.map(|item| item.id.clone()));
            say("ti_nm", item.and_then(|item| item.name.clone()));
            say("ti_ca", item.and_then(|item| item.category.clone()));
            say("ti_pr", item.map(|item| item.price.to_string()));
            say("ti_qu", item.and_then(|item| item.quantity).map(|quantity| quantity.to_string()));
        }
        "order_placed" | "link_click" => {
            say("e", Some("ue".into()));
            let data = said.properties.iter().map(|(name, value)| ((*name).to_owned(), value.json())).collect::<Map<_, _>>();
            let data = if kind == "order_placed" { data } else { Map::new() };
            let (name, document) = self_described(described(&format!("com.acme/{kind}"), data.into()));
            say(name, document);
        }
        action => {
            say("e", Some("ue".into()));
            let list = (action == "list_view").then_some("search results");
            let (name, document) =
                self_described(described(&of_shop("snowplow_ecommerce_action"), json!({ "type": action, "name": list })));
            say(name, document);
            let currency = said.money.currency;
            match action {
                "refund" => entities.push(described(
                    &of_shop(action),
                    json!({ "transaction_id": said.money.order, "currency": currency, "refund_amount": value }),
                )),
                "transaction" | "trns_error" => entities.push(described(
                    &of_shop("transaction"),
                    json!({
                        "transaction_id": said.money.order, "currency": currency, "revenue": value, "tax": said.money.tax,
                        "shipping": said.money.shipping, "discount_code": said.money.coupon, "payment_method": "card", "total_quantity": 1,
                    }),
                )),
                _ => {}
            }
            entities.extend(said.items.iter().map(|item| {
                let data = json!({
                    "id": item.id, "name": item.name, "brand": item.brand, "variant": item.variant, "category": item.category.as_deref().unwrap_or_default(),
                    "price": item.price, "quantity": item.quantity, "currency": currency,
                });
                described(&of_shop("product"), data)
            }));
        }
    }
    event["cx"] = json!(BASE64_URL_SAFE_NO_PAD.encode(described("com.snowplowanalytics.snowplow/contexts", entities.into()).to_string()));
    let body = described("com.snowplowanalytics.snowplow/payload_data", json!([event]));
    post("/keso/com.snowplowanalytics.snowplow/tp2", body.to_string())
}

/// Names of events, and properties with money and products under the names of either specification, as shops use them with any library.
fn in_any_words(said: &Said) -> (&'static str, Map<String, Value>) {
    let name = said.one_of(&["", "Order Completed", "Product Added", "add_to_cart", "purchase", "Newsletter Opened", "Whatever"]);
    let mut properties: Map<String, Value> = said.properties.iter().map(|(name, value)| ((*name).to_owned(), value.json())).collect();
    if name == "Product Added" {
        said.items.iter().take(1).for_each(|item| product(item, &mut properties));
    } else if !said.items.is_empty() {
        let list = said.items.iter().map(|item| {
            let mut properties = Map::new();
            product(item, &mut properties);
            Value::from(properties)
        });
        let kind = if said.number.is_multiple_of(2) { "items" } else { "products" };
        properties.insert(kind.into(), list.collect());
    }
    let numbers = [("value", said.money.value), ("tax", said.money.tax), ("shipping", said.money.shipping)];
    properties.extend(numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), json!(number?)))));
    properties.insert("currency".into(), json!(said.money.currency));
    properties.insert("transaction_id".into(), json!(said.money.order));
    if name != "Product Added" {
        properties.extend(said.money.coupon.as_ref().map(|coupon| ("coupon".to_owned(), json!(coupon))));
    }
    (name, properties)
}

fn posthog(said: &Said) -> RawRequest {
    let (name, mut properties) = in_any_words(said);
    let [word, ..] = &said.vendor;
    let more = [
        ("$current_url", json!(said.url())),
        ("$referrer", json!(said.referrer)),
        ("$browser_language", json!(said.language)),
        ("$screen_width", json!(said.width)),
        ("$user_id", json!(said.user)),
        ("$lib_version", json!(word.text())),
        ("distinct_id", json!("d-1")),
        ("token", json!("phc_token")),
    ];
    properties.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let event = match name {
        "" => said.one_of(&["$pageview", "$pageleave", "$screen"]),
        name => name,
    };
    let at = jiff::Timestamp::from_millisecond(said.happened()).unwrap().to_string();
    let uuid = format!("00000000-0000-4000-8000-{:012x}", said.number);
    let event = json!({ "event": event, "uuid": uuid, "timestamp": at, "properties": properties });
    post("/keso/batch/", json!({ "api_key": "phc_token", "batch": [event] }).to_string())
}

fn amplitude(said: &Said) -> RawRequest {
    let (name, mut properties) = in_any_words(said);
    let [word, ..] = &said.vendor;
    properties.insert("[Amplitude] Page Location".into(), json!(said.url()));
    properties.insert("referrer".into(), json!(said.referrer));
    let mut event = json!({
        "event_type": if name.is_empty() { "[Amplitude] Page Viewed" } else { name },
        "device_id": "d-1", "user_id": said.user, "insert_id": format!("i-{}", said.number), "time": said.happened(), "language": said.language,
        "user_properties": { "$set": { "tier": word.text() } }, "event_properties": properties,
    });
    if name.is_empty() && said.number.is_multiple_of(2) {
        event["event_type"] = json!("revenue_amount");
        event["event_properties"] = json!({ "[Amplitude] Page Location": said.url() });
        event["productId"] = json!("cup-1");
        event["price"] = json!(12.5);
        event["quantity"] = json!(2);
    }
    post("/keso/2/httpapi", json!({ "api_key": "amp_key", "events": [event] }).to_string())
}

fn umami(said: &Said) -> RawRequest {
    let (name, data) = in_any_words(said);
    let [word, ..] = &said.vendor;
    let mut payload = json!({
        "website": "11111111-2222-4333-8444-555555555555", "hostname": "www.shop.example", "url": said.url(), "referrer": said.referrer,
        "language": said.language, "id": said.user, "tag": word.text(), "timestamp": said.happened() / 1_000, "data": data,
    });
    if let Some(width) = said.width {
        payload["screen"] = json!(format!("{width}x900"));
    }
    if !name.is_empty() {
        payload["name"] = json!(name);
    }
    post("/keso/api/send", json!({ "type": "event", "payload": payload }).to_string())
}

fn post(path: &str, body: String) -> RawRequest {
    let mut request = RawRequest::beacon([192, 0, 2, 7].into(), body);
    path.clone_into(&mut request.path);
    request.with("user-agent", AGENT)
}

/// A line with one destination, and a visitor who agreed.
struct Relay {
    dialect: Dialect,
    line: Line,
    service: Box<dyn Destination>,
    cookie: String,
}

impl Relay {
    fn new(dialect: Dialect) -> Self {
        let (kind, settings, secret) = dialect.destination();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), secret).unwrap();
        let settings = settings.replace("{secret}", &file.path().display().to_string());
        let destination = format!(
            "\n[[destination]]\nname = \"relay\"\ntype = \"{kind}\"\nsites = [\"shop\"]\nbasis = \"consent\"\n\
             purposes = [\"analytics\", \"ads\"]\ntransform = \"consented-ads\"\nsettings = {{ {settings} }}\n"
        );
        let line = Line::new(&(SITE.to_owned() + &destination), 1);
        let service = (DestinationType::named(kind).unwrap().open)(&line.documents.destinations[0].settings).unwrap();
        let first = RawRequest::beacon([192, 0, 2, 7].into(), r#"{"g":["analytics","ads"],"e":[{"k":"page_view"}]}"#.into());
        let received = line.receive(&first.with("user-agent", AGENT), RECEIVED);
        let cookie = received.cookies[0].split(';').next().unwrap().to_owned();
        Self { dialect, line, service, cookie }
    }

    /// What rests of a request, as one value per event, and where the first of its events is once it is appended.
    fn rests(&self, request: RawRequest, append: bool) -> (Vec<Value>, Option<Offset>) {
        let received = self.line.receive(&request.with("cookie", &self.cookie), RECEIVED);
        assert!(received.unreadable.is_empty(), "{:?}", received.unreadable);
        let clean = received.events.iter().map(|became| match became {
            Became::Clean(clean) => self.compared(clean.body.clone()),
            Became::Refused(refusal) => panic!("refused: {refusal:?}"),
        });
        let clean = clean.collect();
        (clean, append.then(|| self.line.append(0, received).expect("new")))
    }

    fn compared(&self, mut body: Value) -> Value {
        for (place, _) in self.dialect.forgiven() {
            let (parent, name) = place.rsplit_once('/').unwrap();
            if let Some(parent) = body.pointer_mut(parent).and_then(Value::as_object_mut) {
                match (*place, self.dialect, parent.get(name).and_then(Value::as_i64)) {
                    ("/time", Dialect::Matomo | Dialect::Umami, Some(time)) => {
                        drop(parent.insert(name.to_owned(), json!(time.div_euclid(1_000))))
                    }
                    _ => drop(parent.remove(name)),
                }
            }
        }
        body
    }

    /// What leaves of the records from an offset on.
    fn leaves(&self, from: Offset) -> Vec<Parcel> {
        let destination = &self.line.documents.destinations[0];
        let disclose = |record| match self.line.discloser.disclose(record, &self.line.documents, destination, RECEIVED).unwrap() {
            Disclosed::Disclosure(disclosure) => disclosure,
            _ => panic!("not disclosed"),
        };
        let records = self.line.records(0, from);
        let disclosures: Vec<_> = records.iter().map(disclose).collect();
        self.service.encode(&disclosures.iter().map(|disclosure| &**disclosure).collect::<Vec<_>>())
    }

    /// A parcel as a request to the site itself.
    fn back(&self, parcel: Parcel) -> RawRequest {
        let Via::Http(call) = parcel.via else { panic!("no call") };
        let path = call.url.strip_prefix("https://relay.example").unwrap();
        let mut request = post(&format!("/keso{path}"), String::from_utf8(parcel.body.to_vec()).unwrap());
        if let Some(Signing::Authorization(said)) = &call.signing {
            request = request.with("authorization", std::str::from_utf8(said.bytes()).unwrap());
        }
        request
    }
}

#[test]
fn what_googles_tag_says_leaves_as_it_would_say_it() {
    round_trips(Dialect::Ga4);
}

#[test]
fn what_matomos_tracker_says_leaves_as_it_would_say_it() {
    round_trips(Dialect::Matomo);
}

#[test]
fn what_posthogs_library_says_leaves_as_it_would_say_it() {
    round_trips(Dialect::PostHog);
}

#[test]
fn what_amplitudes_library_says_leaves_as_it_would_say_it() {
    round_trips(Dialect::Amplitude);
}

#[test]
fn what_umamis_tracker_says_leaves_as_it_would_say_it() {
    round_trips(Dialect::Umami);
}

#[test]
fn what_segments_library_says_leaves_as_it_would_say_it() {
    round_trips(Dialect::Segment);
}

#[test]
fn what_snowplows_tracker_says_leaves_as_it_would_say_it() {
    round_trips(Dialect::Snowplow);
}

fn round_trips(dialect: Dialect) {
    let relay = Relay::new(dialect);
    let number = Cell::new(1_000_u64);
    check(CASES, said(), |said| {
        number.set(number.get() + 1);
        let said = Said { number: number.get(), ..said };
        let (before, from) = relay.rests(dialect.request(&said), true);
        let parcels = relay.leaves(from.unwrap());
        prop_assert_eq!(parcels.iter().map(|parcel| parcel.events.len()).sum::<usize>(), before.len());
        let after: Vec<Value> = parcels.into_iter().flat_map(|parcel| relay.rests(relay.back(parcel), false).0).collect();
        prop_assert_eq!(before, after);
        Ok(())
    });
}

/// What a Snowplow is sent of so many generated events, each said by its own tracker and by three other libraries.
pub(crate) fn bodies_for_snowplow(cases: u32) -> Vec<String> {
    let relay = Relay::new(Dialect::Snowplow);
    let (number, bodies) = (Cell::new(1_000_u64), RefCell::new(Vec::new()));
    check(cases, said(), |said| {
        for words in [Dialect::Snowplow, Dialect::Ga4, Dialect::Segment, Dialect::Matomo] {
            number.set(number.get() + 1);
            let (_, from) = relay.rests(words.request(&Said { number: number.get(), ..said.clone() }), true);
            let parcels = relay.leaves(from.unwrap());
            bodies.borrow_mut().extend(parcels.into_iter().map(|parcel| String::from_utf8(parcel.body.to_vec()).unwrap()));
        }
        Ok(())
    });
    bodies.into_inner()
}

/// The comparison above must be able to fail: a product that is lost on the way is seen.
#[test]
fn what_is_lost_on_the_way_is_seen() {
    use Dialect::{Amplitude, Ga4, Matomo, PostHog, Segment, Snowplow, Umami};
    for dialect in [Amplitude, Ga4, Matomo, PostHog, Segment, Snowplow, Umami] {
        let relay = Relay::new(dialect);
        // Of each dialect an order.
        let kind = match dialect {
            Amplitude | Ga4 | PostHog | Segment | Umami => 1,
            Matomo => 2,
            Snowplow => 5,
        };
        let item = Item { id: "LOST".into(), name: None, brand: None, category: None, variant: None, price: 5.0, quantity: Some(1) };
        let money = Money { value: Some(5.0), tax: None, shipping: None, currency: "EUR", coupon: None, order: "A-1".into() };
        let said = Said {
            kind,
            number: 7,
            path: vec!["order".into()],
            campaign: BTreeMap::new(),
            click: None,
            referrer: None,
            language: None,
            width: None,
            user: None,
            milliseconds_ago: 1_000,
            money,
            items: vec![item],
            properties: BTreeMap::new(),
            vendor: [Property::Word("a".into()), Property::Number(1.0), Property::Flag(true), Property::Word("b".into())],
        };
        let (before, from) = relay.rests(dialect.request(&said), true);
        let mut parcel = relay.leaves(from.unwrap()).remove(0);
        let body = String::from_utf8(parcel.body.to_vec()).unwrap();
        assert!(body.contains("LOST"), "{dialect:?}");
        parcel.body = body.replace("LOST", "SOLD").into();
        assert_ne!(before, relay.rests(relay.back(parcel), false).0, "{dialect:?}");
    }
}

fn said() -> impl Strategy<Value = Said> {
    let word = || "[a-z]{3,8}( [a-z]{2,6})?".prop_map(|word| word);
    let money = || (0_u32..100_000).prop_map(|cents| f64::from(cents) / 100.0);
    let item = (
        "[A-Z]{2,4}-[0-9]{1,3}",
        option::of(word()),
        option::of(word()),
        option::of(word()),
        option::of(word()),
        money(),
        option::of(1_u8..9),
    )
        .prop_map(|(id, name, brand, category, variant, price, quantity)| Item { id, name, brand, category, variant, price, quantity });
    let of_order =
        (option::of(money()), option::of(money()), option::of(money()), select(vec!["EUR", "USD"]), option::of(word()), "[A-Z]-[0-9]{1,4}")
            .prop_map(|(value, tax, shipping, currency, coupon, order)| Money { value, tax, shipping, currency, coupon, order });
    let property = (any::<bool>(), 0_i32..5_000, word());
    let properties = (option::of(word()), option::of(0_i32..5_000), option::of(any::<bool>()), option::of(1_i32..5_000)).prop_map(
        |(plan, number, gift, engagement)| {
            let mut properties = BTreeMap::new();
            properties.extend(plan.map(|plan| ("plan", Property::Word(plan))));
            properties.extend(number.map(|number| ("number", Property::Number(f64::from(number) / 4.0))));
            properties.extend(gift.map(|gift| ("gift", Property::Flag(gift))));
            properties.extend(engagement.map(|time| ("engagement_time_msec", Property::Number(f64::from(time)))));
            properties
        },
    );
    let vendor = (property, word()).prop_map(|((flag, number, word), other)| {
        [
            Property::Word(word),
            Property::Number(f64::from(number) / 4.0),
            Property::Number(f64::from(u8::from(flag))),
            Property::Word(other),
        ]
    });
    let names = vec!["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id"];
    let referrers = vec!["https://www.search.example/find?q=jane", "https://www.shop.example/sale/cups?x=1"];
    let circumstances = (
        0_usize..1_000,
        vec("[a-z]{2,7}", 0..4),
        btree_map(select(names), word(), 0..4),
        option::of("[A-Za-z0-9_-]{6,20}"),
        option::of(select(referrers)),
        option::of(select(vec!["fr", "de-AT", "en-GB"])),
        option::of(200_u32..3_000),
        option::of("[a-z]{3,9}-[0-9]{1,3}"),
        0_i64..3_600_000,
    );
    (circumstances, of_order, vec(item, 0..4), properties, vendor).prop_map(|(circumstances, money, items, properties, vendor)| {
        let (kind, path, campaign, click, referrer, language, width, user, milliseconds_ago) = circumstances;
        Said { kind, number: 0, path, campaign, click, referrer, language, width, user, milliseconds_ago, money, items, properties, vendor }
    })
}

/// Runs a property on so many cases, from a seed that is printed when one fails.
fn check<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut seed = [0; 32];
    match std::env::var("FIRSTHAND_SEED") {
        Ok(text) => {
            assert_eq!(text.len(), 64, "FIRSTHAND_SEED has 64 hexadecimal digits");
            for (byte, digits) in seed.iter_mut().zip(text.as_bytes().chunks(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
            }
        }
        Err(_) => getrandom::fill(&mut seed).unwrap(),
    }
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    if let Err(failure) = runner.run(&strategy, property) {
        let seed: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{failure}\nFIRSTHAND_SEED={seed} repeats it");
    }
}
