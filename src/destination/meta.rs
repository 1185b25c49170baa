//! Destination `meta`: Meta's Conversions API, <https://developers.facebook.com/docs/marketing-api/conversions-api>, for one dataset, which is what a
//! pixel's id names.
//!
//! One event that Meta does not take makes it refuse the whole request: delivery bisects until that one stands alone. Its answers are read by
//! their error's code, since a token that has ended and an event that is wrong both come as 400.

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
    receiver: "Meta, for its advertising",
    vendor_reuses_data: true,
    issuer: Some(Issuer::Meta),
    envelope: Some(Dialect::Meta),
    headers: &["authorization", "content-type"],
    form: &[
        ("", &["test_event_code"]),
        ("data[]", &["event_name", "event_time", "event_id", "action_source", "event_source_url", "referrer_url"]),
        ("data[]", &["data_processing_options[]", "data_processing_options_country", "data_processing_options_state"]),
        ("data[].user_data", &["external_id[]", "country[]", "client_user_agent", "fbc"]),
        ("data[].user_data", &["client_ip_address", "fbp", "em[]", "ph[]", "fn[]", "ln[]", "ct[]", "st[]", "zp[]"]),
        ("data[].custom_data", &["value", "currency", "order_id", "tax", "shipping", "coupon", "search_string", "*"]),
        ("data[].custom_data", &["content_type", "content_ids[]", "content_name", "content_category", "num_items"]),
        ("data[].custom_data.contents[]", &["id", "quantity", "item_price", "title", "brand", "category"]),
    ],
    oldest: OLDEST,
    visitor: digest::sha256,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\ndataset_id = \"1234567890\"\naccess_token = \"{secret}\"",
        secret: "prove-token",
        purchase: "Purchase",
        yes: |body| {
            let events = serde_json::from_slice::<Value>(body).map_or(0, |body| body["data"].as_array().map_or(0, Vec::len));
            json!({ "events_received": events, "messages": [], "fbtrace_id": "A" }).to_string()
        },
    },
    open,
};

const NAME: &str = "meta";
/// Meta takes as many in one request.
const EVENTS_MAX: usize = 1_000;
/// Meta documents none: 1,000 events of an ordinary size have room.
const BYTES_MAX: usize = 2_000_000;
/// Meta refuses a whole request for one event that happened more than 7 days ago. An event may have happened 72 hours before it came in; an hour is
/// for the way and for clocks.
const OLDEST: Duration = Duration::from_secs((7 * 24 - 72 - 1) * 60 * 60);
/// What Meta knows of where an event came from.
const ACTION_SOURCES: [&str; 8] = ["website", "app", "phone_call", "chat", "email", "physical_store", "system_generated", "other"];
/// What begins the names of Meta's own fields, as policies list them.
const VENDOR: &str = "meta.";
/// The names of Meta's standard events that are more there than ours are: a form that was submitted is an application, by which campaigns are steered.
const MORE_THAN_OURS: &str = "form_submit";
/// Digests as Meta calls them.
const DIGESTS: [(&str, Part); 7] = [
    ("em", Part::Email),
    ("ph", Part::Phone),
    ("fn", Part::FirstName),
    ("ln", Part::LastName),
    ("ct", Part::City),
    ("st", Part::Region),
    ("zp", Part::Postcode),
];
/// Names in `custom_data` that have their meaning there: a property of the site's own does not take their place.
const TAKEN: [&str; 6] = ["contents", "content_ids", "content_type", "content_name", "content_category", "num_items"];

struct Meta {
    url: String,
    authorization: Secret,
    test_event_code: Option<String>,
    words: Words,
}

/// What the settings say of every event.
struct Words {
    action_source: String,
    /// Where an event is on no page of the site's.
    event_source_url: Option<String>,
    limited: bool,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let known = ["url", "dataset_id", "access_token", "test_event_code", "action_source", "event_source_url", "limited_data_use"];
    let settings = Settings::read(table, &known)?;
    let url = settings.url("url", Some("https://graph.facebook.com/v24.0"), "https://graph.facebook.com/v24.0")?;
    let dataset = settings.text("dataset_id", "1234567890123456")?;
    if dataset.len() > 32 || !dataset.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(error(
            "dataset_id",
            "is not the id of a dataset or pixel: digits only",
            Some(String::from("in Meta's Events Manager")),
        ));
    }
    let action_source = settings.optional_text("action_source")?.unwrap_or("website");
    if !ACTION_SOURCES.contains(&action_source) {
        return Err(error("action_source", "is none that Meta knows", Some(format!("one of {}", ACTION_SOURCES.join(", ")))));
    }
    let event_source_url =
        settings.optional_text("event_source_url")?.map(|_| settings.url("event_source_url", None, "https://www.shop.example/"));
    let mut authorization = b"Bearer ".to_vec();
    authorization.extend_from_slice(settings.secret("access_token", "file:/run/secrets/meta")?.bytes());
    Ok(Box::new(Meta {
        url: format!("{url}/{dataset}/events"),
        authorization: Secret::new(authorization),
        test_event_code: settings.optional_text("test_event_code")?.map(str::to_owned),
        words: Words {
            action_source: action_source.to_owned(),
            event_source_url: event_source_url.transpose()?,
            limited: settings.flag("limited_data_use")?,
        },
    }))
}

impl Destination for Meta {
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
        let (head, tail) = self.around();
        let bounds = Bounds { events: EVENTS_MAX, bytes: BYTES_MAX - head.len() - tail.len() };
        let parcel = |filled: Filled| {
            let body = Bytes::from([head.as_bytes(), &filled.texts, tail.as_bytes()].concat());
            let call = HttpCall::json(self.url.clone(), Some(Signing::Authorization(self.authorization.clone())));
            Parcel { via: Via::Http(call), body, events: filled.events, unsaid: filled.unsaid }
        };
        fill(batch, bounds, |disclosure| self.words.event(disclosure)).into_iter().map(parcel).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        vec![verdict(parcel.events.len(), answer); parcel.events.len()]
    }
}

/// What an answer means for each of `sent` events.
fn verdict(sent: usize, answer: &Answer) -> Verdict {
    #[derive(Deserialize)]
    struct Taken {
        events_received: usize,
    }
    #[derive(Deserialize)]
    struct Refused {
        error: Fault,
    }
    let fault = match answer {
        Answer::Http { body, .. } => serde_json::from_slice::<Refused>(body).ok(),
        _ => None,
    };
    match (fault, answers::taken(answer)) {
        // A proxy's or an overloaded server's word about the request, whatever stands below it.
        (_, Err(verdict @ Verdict::Retry { .. })) => verdict,
        (Some(Refused { error }), _) => error.means(),
        (None, Err(verdict)) => verdict,
        // Fewer than were sent: which of them it does not say.
        (None, Ok(body)) => {
            let proven = serde_json::from_slice::<Taken>(body).is_ok_and(|taken| taken.events_received >= sent);
            Verdict::Accepted { proven }
        }
    }
}

/// An error of the Graph API, <https://developers.facebook.com/docs/graph-api/guides/error-handling>.
#[derive(Deserialize)]
struct Fault {
    code: i64,
    #[serde(default)]
    error_subcode: i64,
    #[serde(default)]
    is_transient: bool,
}

impl Fault {
    fn means(&self) -> Verdict {
        match (self.code, self.error_subcode) {
            _ if self.is_transient => Verdict::Retry { after: None },
            // Unknown, unavailable; and too much: of the app, the person, the page, the account, the endpoint.
            (1 | 2 | 4 | 17 | 32 | 341 | 368 | 613 | 80_000..=80_014, _) => Verdict::Retry { after: None },
            (102 | 190, _) => Verdict::EndpointRefuses { reason: "Meta does not accept the access token: it has ended, or was taken back" },
            (3 | 10 | 200..=299, _) => Verdict::EndpointRefuses { reason: "the access token may not send to this dataset" },
            (100, 33) => Verdict::EndpointRefuses { reason: "Meta knows no dataset of this id that the access token may use" },
            (2_635, _) => Verdict::EndpointRefuses { reason: "Meta no longer takes this version of its API: check the url" },
            _ => Verdict::Rejected { reason: "Meta refuses the event" },
        }
    }
}

impl Meta {
    /// What stands around the events.
    fn around(&self) -> (&'static str, String) {
        let tail = match &self.test_event_code {
            Some(code) => format!("],\"test_event_code\":{}}}", Value::from(code.as_str())),
            None => String::from("]}"),
        };
        ("{\"data\":[", tail)
    }
}

impl Words {
    fn event(&self, disclosure: &Disclosure) -> Said {
        let (url, unsaid_of_page) = address::page(disclosure);
        let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
        let (custom, unsaid_of_custom) = custom_data(disclosure);
        let mut unsaid = unsaid_of_page + unsaid_of_referrer + unsaid_of_custom + usize::from(!disclosure.bot().is_nothing());
        // No words for them.
        unsaid += usize::from(disclosure.session_id().is_some())
            + usize::from(disclosure.language().is_some())
            + usize::from(disclosure.screen().is_some());
        let theirs = vocabulary::vendors(vocabulary::META, disclosure.name(), Subject::Order);
        let mut event = Map::new();
        let mut say = |name: &str, value: Option<Value>| event.extend(value.map(|value| (name.to_owned(), value)));
        say("event_name", Some(theirs.filter(|_| disclosure.name() != MORE_THAN_OURS).unwrap_or_else(|| disclosure.name()).into()));
        say("event_time", figures::milliseconds(disclosure).map(|milliseconds| (milliseconds / 1000).into()));
        // The page's own, by which Meta knows the event that its pixel told, too.
        let own_id = disclosure.envelope().and_then(|envelope| envelope.get(Part::EventId));
        say("event_id", Some(own_id.unwrap_or_else(|| disclosure.event_id()).into()));
        say("action_source", Some(self.action_source.as_str().into()));
        say("event_source_url", url.or_else(|| self.event_source_url.clone()).map(Value::from));
        say("referrer_url", referrer.map(Value::from));
        say("user_data", Some(user_data(disclosure)));
        say("custom_data", (!custom.is_empty()).then(|| custom.into()));
        if self.limited {
            // No country and no state: Meta looks for itself where the visitor is.
            say("data_processing_options", Some(json!(["LDU"])));
            say("data_processing_options_country", Some(0.into()));
            say("data_processing_options_state", Some(0.into()));
        }
        Said { text: Value::from(event).to_string().into_bytes(), unsaid }
    }
}

/// By what Meta may find whom an event is of.
fn user_data(disclosure: &Disclosure) -> Value {
    let mut data = Map::new();
    let mut say = |name: &str, value: Option<Value>| data.extend(value.map(|value| (name.to_owned(), value)));
    let enveloped = |part| disclosure.envelope().and_then(|envelope| envelope.get(part)).map(str::to_owned);
    // Both are ids of the site's own making; Meta recommends the digest.
    let account = enveloped(Part::UserId).or_else(|| disclosure.user().map(|(id, _)| digest::sha256(&normal_id(id))));
    let ids = account.into_iter().chain([digest::sha256(disclosure.visitor_id())]);
    say("external_id", Some(ids.map(Value::from).collect::<Vec<_>>().into()));
    let place = Some(disclosure.country()).filter(|country| *country != Country::UNKNOWN);
    let place = place.map(|country| digest::sha256(&country.code().to_ascii_lowercase()));
    say("country", enveloped(Part::Country).or(place).map(|digest| json!([digest])));
    say("client_ip_address", enveloped(Part::Address).map(Value::from));
    say("client_user_agent", enveloped(Part::UserAgent).or_else(|| agent::of(disclosure.device())).map(Value::from));
    say("fbp", enveloped(Part::BrowserId).map(Value::from));
    say("fbc", enveloped(Part::ClickId).or_else(|| click(disclosure)).map(Value::from));
    for (name, part) in DIGESTS {
        say(name, enveloped(part).map(|digest| json!([digest])));
    }
    data.into()
}

/// An id as Meta's own libraries make it before they hash it.
fn normal_id(id: &str) -> String {
    id.split_whitespace().collect::<String>().to_lowercase()
}

/// The click id in the form of Meta's cookie, which is what the pixel would have made of it:
/// <https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/fbp-and-fbc>.
fn click(disclosure: &Disclosure) -> Option<String> {
    let id = disclosure.click_ids().get("fbclid")?;
    Some(format!("fb.1.{}.{id}", figures::milliseconds(disclosure)?))
}

/// What an event is about; and how much of it could not be said.
fn custom_data(disclosure: &Disclosure) -> (Map<String, Value>, usize) {
    let mut data = Map::new();
    let mut unsaid = 0;
    let items = disclosure.items();
    let ids: Vec<&str> = items.iter().filter_map(|item| item.id.as_deref()).collect();
    let mut say = |name: &str, value: Option<Value>| data.extend(value.map(|value| (name.to_owned(), value)));
    say("value", disclosure.value().map(figures::number));
    say("currency", disclosure.currency().map(Value::from));
    say("order_id", disclosure.transaction_id().map(Value::from));
    say("tax", disclosure.tax().map(figures::number));
    say("shipping", disclosure.shipping().map(figures::number));
    say("coupon", disclosure.coupon().map(Value::from));
    if !ids.is_empty() {
        say("content_type", Some("product".into()));
        say("contents", Some(items.iter().filter(|item| item.id.is_some()).map(content).collect()));
        say("num_items", Some(figures::number(items.iter().map(|item| item.quantity.unwrap_or(1.0)).sum())));
        say("content_ids", Some(ids.into()));
    }
    if let [item] = items {
        say("content_name", item.name.as_deref().map(Value::from));
        say("content_category", item.category.as_deref().map(Value::from));
    }
    // A product without an id is none of the catalogue's.
    unsaid += items.iter().filter(|item| item.id.is_none()).count() + items.iter().filter(|item| item.variant.is_some()).count();
    for (name, value) in disclosure.properties() {
        let name = match name.strip_prefix(VENDOR).unwrap_or(name) {
            "search_term" if !data.contains_key("search_string") => "search_string",
            name => name,
        };
        if TAKEN.contains(&name) || data.contains_key(name) {
            unsaid += 1;
        } else {
            data.insert(name.to_owned(), figures::value(value));
        }
    }
    (data, unsaid)
}

fn content(item: &Item) -> Value {
    let text = |said: &Option<String>| said.as_deref().map(Value::from);
    let said = [
        ("id", text(&item.id)),
        ("quantity", item.quantity.map(figures::number)),
        ("item_price", item.price.map(figures::number)),
        ("title", text(&item.name)),
        ("brand", text(&item.brand)),
        ("category", text(&item.category)),
    ];
    said.into_iter().filter_map(|(name, said)| Some((name.to_owned(), said?))).collect::<Map<_, _>>().into()
}
