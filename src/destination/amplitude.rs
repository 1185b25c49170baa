//! Destination `amplitude`: Amplitude's HTTP V2 API, <https://amplitude.com/docs/apis/analytics/http-v2>. No address is sent, and none is asked to be
//! looked up.
//!
//! A request with one bad event is refused whole, and the answer names the bad ones: those are parked, and the others sent again.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Verdict, Via,
    settings::Settings,
    words::{
        address, answers, device, figures, flat,
        parcels::{Bounds, Filled, Said, fill},
    },
};
use crate::{
    config::secret::Secret,
    event::vocabulary::{self, Subject},
    privacy::{disclose::Disclosure, enrich::place::Country},
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "Amplitude",
    // What it does with data for itself is not known to us: decided as if it did.
    vendor_reuses_data: true,
    issuer: None,
    envelope: None,
    headers: &["content-type"],
    form: &[
        ("", &["api_key"]),
        (
            "events[]",
            &[
                "event_type",
                "device_id",
                "user_id",
                "insert_id",
                "time",
                "platform",
                "os_name",
                "os_version",
                "device_model",
                "language",
                "country",
            ],
        ),
        ("events[].event_properties", &["[Amplitude] Page Location", "[Amplitude] Page Domain", "[Amplitude] Page Path"]),
        ("events[].event_properties", &["referrer", "referring_domain", "screen_width", "*"]),
        ("events[].event_properties", flat::MONEY),
        ("events[].event_properties", flat::CAMPAIGN),
        ("events[].event_properties.items[]", flat::PRODUCT),
        ("events[].user_properties", &["*"]),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\napi_key = \"{secret}\"",
        secret: "prove-key",
        purchase: "purchase",
        yes: |body| {
            let events = serde_json::from_slice::<Value>(body).ok().and_then(|body| Some(body["events"].as_array()?.len()));
            json!({ "code": 200, "events_ingested": events }).to_string()
        },
    },
    open,
};

const NAME: &str = "amplitude";
/// Amplitude takes 2,000, and 1 MB; few enough that one visitor's are not too many at once.
const EVENTS_MAX: usize = 500;
const BYTES_MAX: usize = 900_000;
const AROUND_BYTES: usize = 1_024;
/// Events of any age are taken; what comes twice is recognised for seven days.
const OLDEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The vendor asks for a pause of this length where it says nothing of one.
const PAUSE: Duration = Duration::from_secs(30);
/// What begins the error of a request whose key is none, as the vendor's own libraries look for it. The status is that of a bad event.
const INVALID_KEY: &str = "Invalid API key";
/// What begins the names of Amplitude's own fields, as policies list them.
const VENDOR: &str = "amplitude.";

struct Amplitude {
    url: String,
    api_key: Secret,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "api_key"])?;
    let url = settings.url("url", None, "https://api.eu.amplitude.com")?;
    Ok(Box::new(Amplitude { url: format!("{url}/2/httpapi"), api_key: settings.secret("api_key", "file:/run/secrets/amplitude")? }))
}

impl Destination for Amplitude {
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
        let bounds = Bounds { events: EVENTS_MAX, bytes: BYTES_MAX - AROUND_BYTES };
        fill(batch, bounds, event).into_iter().map(|filled| self.parcel(filled)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        #[derive(Default, Deserialize)]
        struct Refused {
            #[serde(default)]
            error: String,
            #[serde(default)]
            events_with_invalid_fields: BTreeMap<String, Vec<usize>>,
            #[serde(default)]
            events_with_missing_fields: BTreeMap<String, Vec<usize>>,
            #[serde(default)]
            silenced_events: Vec<usize>,
        }
        let sent = parcel.events.len();
        match answer {
            Answer::Http { status: 400, body, .. } => {
                let said: Refused = serde_json::from_slice(body).unwrap_or_default();
                if said.error.starts_with(INVALID_KEY) {
                    return vec![Verdict::EndpointRefuses { reason: "it does not accept us: check the key or token" }; sent];
                }
                let named = said.events_with_invalid_fields.values().chain(said.events_with_missing_fields.values()).flatten();
                let bad: Vec<usize> = named.chain(&said.silenced_events).copied().filter(|at| *at < sent).collect();
                let refused = Verdict::Rejected { reason: "Amplitude refuses the event" };
                if bad.is_empty() {
                    return vec![refused; sent];
                }
                (0..sent).map(|at| if bad.contains(&at) { refused.clone() } else { Verdict::Retry { after: None } }).collect()
            }
            Answer::Http { status: 429, retry_after, .. } => vec![Verdict::Retry { after: retry_after.or(Some(PAUSE)) }; sent],
            answer => vec![answers::taken(answer).map_or_else(|verdict| verdict, |_| Verdict::Accepted { proven: true }); sent],
        }
    }
}

impl Amplitude {
    fn parcel(&self, filled: Filled) -> Parcel {
        let key: String = self.api_key.bytes().iter().map(|byte| char::from(*byte)).collect();
        let mut body = format!("{{\"api_key\":{},\"events\":[", Value::from(key)).into_bytes();
        body.extend_from_slice(&filled.texts);
        body.extend_from_slice(b"]}");
        let call = HttpCall::json(self.url.clone(), None);
        Parcel { via: Via::Http(call), body: Bytes::from(body), events: filled.events, unsaid: filled.unsaid }
    }
}

fn event(disclosure: &Disclosure) -> Said {
    let (own, mut unsaid) = flat::properties(disclosure);
    let (url, unsaid_of_page) = address::page(disclosure);
    let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
    unsaid += unsaid_of_page + unsaid_of_referrer + usize::from(!disclosure.bot().is_nothing());
    // Amplitude's sessions are named by the moment that they began at, which does not leave.
    unsaid += usize::from(disclosure.session_id().is_some());
    let mut properties = Map::new();
    let mut set = Map::new();
    for (name, value) in own {
        match name.strip_prefix(VENDOR) {
            Some(field) if field.starts_with("set.") => drop(set.insert(field[4..].to_owned(), value)),
            field => drop(properties.insert(field.unwrap_or(&name).to_owned(), value)),
        }
    }
    let page = [
        ("[Amplitude] Page Location", url.map(Value::from)),
        ("[Amplitude] Page Domain", disclosure.page().and_then(|page| page.host()).map(Value::from)),
        ("[Amplitude] Page Path", disclosure.page().map(|page| page.path().into())),
        ("referrer", referrer.map(Value::from)),
        ("referring_domain", disclosure.referrer_host().map(Value::from)),
        ("screen_width", disclosure.screen().map(|class| figures::width(class).into())),
    ];
    properties.extend(page.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    properties.extend(flat::campaign(disclosure));
    let class = disclosure.device();
    let country = Some(disclosure.country()).filter(|country| *country != Country::UNKNOWN);
    let theirs = vocabulary::vendors(vocabulary::AMPLITUDE, disclosure.name(), Subject::Order);
    // Its own events of persons, groups and sales are more than names.
    let name = theirs.filter(|_| disclosure.name() == "page_view").unwrap_or_else(|| disclosure.name());
    let said = [
        ("event_type", Some(name.into())),
        ("device_id", Some(disclosure.visitor_id().into())),
        ("user_id", disclosure.user().map(|(id, _)| id.into())),
        ("insert_id", Some(disclosure.event_id().into())),
        ("time", figures::milliseconds(disclosure).map(Value::from)),
        ("platform", Some("Web".into())),
        ("os_name", device::browser(class.browser).map(Value::from)),
        ("os_version", (class.major > 0).then(|| class.major.to_string().into())),
        ("device_model", device::system(class.system).map(Value::from)),
        ("language", disclosure.language().map(|language| language.code().into())),
        ("country", country.map(|country| country.code().into())),
        ("user_properties", (!set.is_empty()).then(|| set.into())),
        ("event_properties", Some(properties.into())),
    ];
    let event: Map<String, Value> = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Said { text: Value::from(event).to_string().into_bytes(), unsaid }
}
