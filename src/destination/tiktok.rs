//! Destination `tiktok`: TikTok's Events API 2.0, <https://business-api.tiktok.com/portal/docs?id=1771100865818625>, for the events of a website.
//!
//! TikTok answers 200 to what it refuses; the code in the answer's body is what counts.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Signing, Verdict, Via,
    settings::{Settings, error},
    words::{
        address, agent, answers, digest, figures,
        parcels::{Bounds, Filled, Said, fill},
    },
};
use crate::{
    config::secret::Secret,
    event::vocabulary::{self, Subject},
    privacy::{
        clean::Item,
        disclose::Disclosure,
        enrich::place::Country,
        envelope::{Dialect, Part},
        scrub::parameters::Issuer,
    },
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "TikTok, for its advertising",
    vendor_reuses_data: true,
    issuer: Some(Issuer::TikTok),
    envelope: Some(Dialect::TikTok),
    headers: &[TOKEN_HEADER, "content-type"],
    form: &[
        ("", &["event_source", "event_source_id", "test_event_code"]),
        ("data[]", &["event", "event_time", "event_id", "limited_data_use"]),
        ("data[].user", &["external_id[]", "country", "locale", "user_agent", "ttclid"]),
        ("data[].user", &["ip", "email[]", "phone[]", "first_name", "last_name", "zip_code"]),
        ("data[].page", &["url", "referrer"]),
        ("data[].properties", &["value", "currency", "order_id", "tax", "shipping", "coupon", "query", "content_type", "num_items", "*"]),
        ("data[].properties.contents[]", &["content_id", "content_name", "content_category", "brand", "price", "quantity"]),
    ],
    oldest: OLDEST,
    visitor: digest::sha256,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\npixel_code = \"PROVE0PIXEL0CODE\"\naccess_token = \"{secret}\"",
        secret: "prove-token",
        purchase: "CompletePayment",
        yes: |_| String::from("{\"code\":0,\"message\":\"OK\",\"request_id\":\"A\",\"data\":{}}"),
    },
    open,
};

const NAME: &str = "tiktok";
const TOKEN_HEADER: &str = "access-token";
/// TikTok takes as many in one request.
const EVENTS_MAX: usize = 1_000;
/// TikTok documents none that we know of: others keep below a megabyte.
const BYTES_MAX: usize = 1_000_000;
/// How old an event may be is not known to us for certain: one who sends there says 28 days, most assume 7.
const OLDEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What begins the names of TikTok's own fields, as policies list them.
const VENDOR: &str = "tiktok.";
/// Names in `properties` that have their meaning there: a property of the site's own does not take their place.
const TAKEN: [&str; 3] = ["contents", "content_type", "num_items"];

struct TikTok {
    url: String,
    token: Secret,
    head: String,
    limited: bool,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "pixel_code", "access_token", "test_event_code", "limited_data_use"])?;
    let url =
        settings.url("url", Some("https://business-api.tiktok.com/open_api/v1.3"), "https://business-api.tiktok.com/open_api/v1.3")?;
    let pixel = settings.text("pixel_code", "C123ABC456DEF789GHIJ")?;
    if pixel.len() > 64 || !pixel.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let fix = String::from("in TikTok's Events Manager, under the name of the pixel");
        return Err(error("pixel_code", "is not the code of a pixel: letters and digits only", Some(fix)));
    }
    let test = settings.optional_text("test_event_code")?.map(|code| format!("\"test_event_code\":{},", Value::from(code)));
    let head = format!("{{\"event_source\":\"web\",\"event_source_id\":\"{pixel}\",{}\"data\":[", test.unwrap_or_default());
    let token = settings.secret("access_token", "file:/run/secrets/tiktok")?;
    // With its slash: without one, TikTok redirects.
    Ok(Box::new(TikTok { url: format!("{url}/event/track/"), token, head, limited: settings.flag("limited_data_use")? }))
}

impl Destination for TikTok {
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
        const TAIL: &[u8] = b"]}";
        let bounds = Bounds { events: EVENTS_MAX, bytes: BYTES_MAX - self.head.len() - TAIL.len() };
        let parcel = |filled: Filled| {
            let body = Bytes::from([self.head.as_bytes(), &filled.texts, TAIL].concat());
            let signing = Signing::Token { header: TOKEN_HEADER, secret: self.token.clone() };
            Parcel { via: Via::Http(HttpCall::json(self.url.clone(), Some(signing))), body, events: filled.events, unsaid: filled.unsaid }
        };
        fill(batch, bounds, |disclosure| self.event(disclosure)).into_iter().map(parcel).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        #[derive(Deserialize)]
        struct Answered {
            code: i64,
        }
        let verdict = match answers::taken(answer) {
            Err(verdict) => verdict,
            Ok(body) => match serde_json::from_slice::<Answered>(body) {
                Ok(Answered { code }) => means(code),
                // A 2xx of somebody else's.
                Err(_) => Verdict::Accepted { proven: false },
            },
        };
        vec![verdict; parcel.events.len()]
    }
}

/// What a code of TikTok's means, <https://business-api.tiktok.com/portal/docs?id=1737172488964097>.
fn means(code: i64) -> Verdict {
    match code {
        0 => Verdict::Accepted { proven: true },
        // Some of what was sent; which, it does not say.
        20_001 => Verdict::Accepted { proven: false },
        // Too much in too short a time; and faults of its own.
        40_016 | 40_100 | 40_132 | 40_133 | 50_000..=59_999 => Verdict::Retry { after: None },
        40_102..=40_105 => Verdict::EndpointRefuses { reason: "TikTok does not accept the access token: it has ended, or was taken back" },
        40_001 => Verdict::EndpointRefuses { reason: "the access token may not send to this pixel" },
        40_007 => Verdict::EndpointRefuses { reason: "TikTok knows no pixel of this code" },
        _ => Verdict::Rejected { reason: "TikTok refuses the event" },
    }
}

impl TikTok {
    fn event(&self, disclosure: &Disclosure) -> Said {
        let (url, unsaid_of_page) = address::page(disclosure);
        let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
        let (properties, unsaid_of_properties) = properties(disclosure);
        let mut unsaid = unsaid_of_page + unsaid_of_referrer + unsaid_of_properties + usize::from(!disclosure.bot().is_nothing());
        // No words for them.
        unsaid += usize::from(disclosure.session_id().is_some()) + usize::from(disclosure.screen().is_some());
        let theirs = vocabulary::vendors(vocabulary::TIKTOK, disclosure.name(), Subject::Order);
        let mut event = Map::new();
        let mut say = |name: &str, value: Option<Value>| event.extend(value.map(|value| (name.to_owned(), value)));
        say("event", Some(theirs.unwrap_or_else(|| disclosure.name()).into()));
        say("event_time", figures::milliseconds(disclosure).map(|milliseconds| (milliseconds / 1000).into()));
        // The page's own, by which TikTok knows the event that its pixel told, too.
        let own_id = disclosure.envelope().and_then(|envelope| envelope.get(Part::EventId));
        say("event_id", Some(own_id.unwrap_or_else(|| disclosure.event_id()).into()));
        say("user", Some(user(disclosure)));
        let page: Map<String, Value> =
            [("url", url), ("referrer", referrer)].into_iter().filter_map(|(name, said)| Some((name.to_owned(), said?.into()))).collect();
        say("page", (!page.is_empty()).then(|| page.into()));
        say("properties", (!properties.is_empty()).then(|| properties.into()));
        say("limited_data_use", self.limited.then(|| true.into()));
        Said { text: Value::from(event).to_string().into_bytes(), unsaid }
    }
}

/// By what TikTok may find whom an event is of.
fn user(disclosure: &Disclosure) -> Value {
    let mut user = Map::new();
    let mut say = |name: &str, value: Option<Value>| user.extend(value.map(|value| (name.to_owned(), value)));
    let enveloped = |part| disclosure.envelope().and_then(|envelope| envelope.get(part)).map(str::to_owned);
    let account = enveloped(Part::UserId).or_else(|| disclosure.user().map(|(id, _)| digest::sha256(&id.trim().to_lowercase())));
    let ids = account.into_iter().chain([digest::sha256(disclosure.visitor_id())]);
    say("external_id", Some(ids.map(Value::from).collect::<Vec<_>>().into()));
    say("email", enveloped(Part::Email).map(|digest| json!([digest])));
    say("phone", enveloped(Part::Phone).map(|digest| json!([digest])));
    say("first_name", enveloped(Part::FirstName).map(Value::from));
    say("last_name", enveloped(Part::LastName).map(Value::from));
    say("zip_code", enveloped(Part::Postcode).map(Value::from));
    say("ip", enveloped(Part::Address).map(Value::from));
    let country = Some(disclosure.country()).filter(|country| *country != Country::UNKNOWN);
    say("country", country.map(|country| country.code().to_ascii_lowercase().into()));
    say("locale", disclosure.language().map(|language| language.code().into()));
    say("user_agent", enveloped(Part::UserAgent).or_else(|| agent::of(disclosure.device())).map(Value::from));
    say("ttclid", disclosure.click_ids().get("ttclid").map(|id| json!(id)));
    user.into()
}

/// What an event is about; and how much of it could not be said.
fn properties(disclosure: &Disclosure) -> (Map<String, Value>, usize) {
    let mut said = Map::new();
    let items = disclosure.items();
    let mut say = |name: &str, value: Option<Value>| said.extend(value.map(|value| (name.to_owned(), value)));
    say("value", disclosure.value().map(figures::number));
    say("currency", disclosure.currency().map(Value::from));
    say("order_id", disclosure.transaction_id().map(Value::from));
    say("tax", disclosure.tax().map(figures::number));
    say("shipping", disclosure.shipping().map(figures::number));
    say("coupon", disclosure.coupon().map(Value::from));
    if !items.is_empty() {
        say("content_type", Some("product".into()));
        say("contents", Some(items.iter().map(content).collect()));
        say("num_items", Some(figures::number(items.iter().map(|item| item.quantity.unwrap_or(1.0)).sum())));
    }
    let mut unsaid = items.iter().filter(|item| item.variant.is_some()).count();
    for (name, value) in disclosure.properties() {
        let name = match name.strip_prefix(VENDOR).unwrap_or(name) {
            "search_term" if !said.contains_key("query") => "query",
            name => name,
        };
        if TAKEN.contains(&name) || said.contains_key(name) {
            unsaid += 1;
        } else {
            said.insert(name.to_owned(), figures::value(value));
        }
    }
    (said, unsaid)
}

fn content(item: &Item) -> Value {
    let text = |said: &Option<String>| said.as_deref().map(Value::from);
    let said = [
        ("content_id", text(&item.id)),
        ("content_name", text(&item.name)),
        ("content_category", text(&item.category)),
        ("brand", text(&item.brand)),
        ("price", item.price.map(figures::number)),
        ("quantity", item.quantity.map(figures::number)),
    ];
    said.into_iter().filter_map(|(name, said)| Some((name.to_owned(), said?))).collect::<Map<_, _>>().into()
}
