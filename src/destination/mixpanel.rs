//! Destination `mixpanel`: Mixpanel's import API, <https://docs.mixpanel.com/reference/import-events>, in its strict form, which says of each
//! event whether it was taken.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Signing, Verdict, Via,
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
    receiver: "Mixpanel",
    // What it does with data for itself is not known to us: decided as if it did.
    vendor_reuses_data: true,
    issuer: None,
    envelope: None,
    headers: &["authorization", "content-type"],
    form: &[
        ("?", &["strict", "project_id"]),
        ("[]", &["event"]),
        (
            "[].properties",
            &[
                "time",
                "distinct_id",
                "$device_id",
                "$user_id",
                "$insert_id",
                "$current_url",
                "$referrer",
                "$referring_domain",
                "$browser",
                "$browser_version",
                "$os",
                "$device",
                "$screen_width",
                "language",
                "mp_country_code",
                "session_id",
                "mp_lib",
                "*",
            ],
        ),
        ("[].properties", flat::MONEY),
        ("[].properties", flat::CAMPAIGN),
        ("[].properties.items[]", flat::PRODUCT),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\nproject_id = 1\nuser = \"prove\"\nsecret = \"{secret}\"",
        secret: "prove-secret",
        purchase: "purchase",
        yes: |body| {
            let events = serde_json::from_slice::<Vec<Value>>(body).map_or(0, |events| events.len());
            json!({ "code": 200, "num_records_imported": events, "status": "OK" }).to_string()
        },
    },
    open,
};

const NAME: &str = "mixpanel";
/// Mixpanel takes 2,000.
const EVENTS_MAX: usize = 500;
/// Its documents say 10 MB, and its answers 2 MiB.
const BYTES_MAX: usize = 2_000_000;
/// Imports may be of any age.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What begins the names of Mixpanel's own fields, as policies list them.
const VENDOR: &str = "mixpanel.";

struct Mixpanel {
    url: String,
    authorization: Secret,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "project_id", "user", "secret"])?;
    let url = settings.url("url", None, "https://api-eu.mixpanel.com")?;
    let project = settings.whole_number("project_id", 1..=u32::MAX, 0)?;
    if project == 0 {
        return Err(super::settings::error("project_id", "is missing", Some(String::from("in Mixpanel under Project Settings"))));
    }
    let mut pair = settings.text("user", "firsthand.1a2b3c.mp-service-account")?.as_bytes().to_vec();
    pair.push(b':');
    pair.extend_from_slice(settings.secret("secret", "file:/run/secrets/mixpanel")?.bytes());
    let pair = Secret::new(pair);
    let authorization = Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair.bytes())).into_bytes());
    Ok(Box::new(Mixpanel { url: format!("{url}/import?strict=1&project_id={project}"), authorization }))
}

impl Destination for Mixpanel {
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
        let bounds = Bounds { events: EVENTS_MAX, bytes: BYTES_MAX - 2 };
        fill(batch, bounds, event).into_iter().map(|filled| self.parcel(filled)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        #[derive(Deserialize)]
        struct Imported {
            num_records_imported: usize,
            #[serde(default)]
            failed_records: Vec<Failed>,
        }
        #[derive(Deserialize)]
        struct Failed {
            index: usize,
        }
        let sent = parcel.events.len();
        let said = match answer {
            Answer::Http { status: 200..=299 | 400, body, .. } => serde_json::from_slice::<Imported>(body).ok(),
            _ => None,
        };
        match said {
            // Those that are not named are there.
            Some(said)
                if !said.failed_records.is_empty() && said.num_records_imported.checked_add(said.failed_records.len()) == Some(sent) =>
            {
                let failed = |at| said.failed_records.iter().any(|record| record.index == at);
                let refused = Verdict::Rejected { reason: "Mixpanel refuses the event" };
                (0..sent).map(|at| if failed(at) { refused.clone() } else { Verdict::Accepted { proven: true } }).collect()
            }
            said => {
                let proven = said.is_some_and(|said| said.num_records_imported >= sent);
                let verdict = answers::taken(answer).map_or_else(|verdict| verdict, |_| Verdict::Accepted { proven });
                vec![verdict; sent]
            }
        }
    }
}

impl Mixpanel {
    fn parcel(&self, filled: Filled) -> Parcel {
        let body = Bytes::from([b"[", &filled.texts[..], b"]"].concat());
        let signing = Some(Signing::Authorization(self.authorization.clone()));
        let call = HttpCall::json(self.url.clone(), signing);
        Parcel { via: Via::Http(call), body, events: filled.events, unsaid: filled.unsaid }
    }
}

fn event(disclosure: &Disclosure) -> Said {
    let (own, mut unsaid) = flat::properties(disclosure);
    let mut properties: serde_json::Map<String, Value> =
        own.into_iter().map(|(name, value)| (name.strip_prefix(VENDOR).map(str::to_owned).unwrap_or(name), value)).collect();
    let (url, unsaid_of_page) = address::page(disclosure);
    let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
    unsaid += unsaid_of_page + unsaid_of_referrer + usize::from(!disclosure.bot().is_nothing());
    let class = disclosure.device();
    let country = Some(disclosure.country()).filter(|country| *country != Country::UNKNOWN);
    let said = [
        ("time", figures::milliseconds(disclosure).map(Value::from)),
        ("distinct_id", Some(disclosure.visitor_id().into())),
        ("$device_id", Some(disclosure.visitor_id().into())),
        ("$user_id", disclosure.user().map(|(id, _)| id.into())),
        ("$insert_id", Some(disclosure.event_id().into())),
        ("$current_url", url.map(Value::from)),
        ("$referrer", referrer.map(Value::from)),
        ("$referring_domain", disclosure.referrer_host().map(Value::from)),
        ("$browser", device::browser(class.browser).map(Value::from)),
        ("$browser_version", (class.major > 0).then(|| class.major.into())),
        ("$os", device::system(class.system).map(Value::from)),
        ("$device", device::form(class.form).map(Value::from)),
        ("$screen_width", disclosure.screen().map(|class| figures::width(class).into())),
        ("language", disclosure.language().map(|language| language.code().into())),
        ("mp_country_code", country.map(|country| country.code().into())),
        ("session_id", disclosure.session_id().map(Value::from)),
        ("mp_lib", Some("firsthand".into())),
    ];
    properties.extend(said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    properties.extend(flat::campaign(disclosure));
    let name = vocabulary::vendors(vocabulary::MIXPANEL, disclosure.name(), Subject::Order).unwrap_or_else(|| disclosure.name());
    Said { text: json!({ "event": name, "properties": properties }).to_string().into_bytes(), unsaid }
}
