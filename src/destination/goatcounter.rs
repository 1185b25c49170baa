//! Destination `goatcounter`: the API of a GoatCounter, <https://www.goatcounter.com/help/api>. It counts page views and events by name, and
//! nothing of money or products. Visits are told apart by a name of the session's, which GoatCounter does not store; no address is sent.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Signing, Verdict, Via,
    settings::Settings,
    words::{
        address, agent, answers, flat,
        parcels::{Bounds, Filled, Said, fill},
    },
};
use crate::{
    config::secret::Secret,
    privacy::{disclose::Disclosure, enrich::place::Country},
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "GoatCounter",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &["authorization", "content-type"],
    form: &[("hits[]", &["path", "event", "ref", "query", "user_agent", "location", "created_at", "session"])],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\ntoken = \"{secret}\"",
        secret: "prove-token",
        purchase: "purchase",
        yes: |_| String::from("{\"status\":\"ok\"}"),
    },
    open,
};

const NAME: &str = "goatcounter";
/// Older releases take so many, newer ones 500; a request every two seconds is all that any of them takes for long.
const EVENTS_MAX: usize = 100;
const BYTES_MAX: usize = 256 * 1024;
const HEAD: &[u8] = b"{\"hits\":[";
const TAIL: &[u8] = b"]}";
/// Hits may be of any age.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

struct GoatCounter {
    url: String,
    authorization: Secret,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "token"])?;
    let url = settings.url("url", None, "https://stats.example.org")?;
    let mut authorization = b"Bearer ".to_vec();
    authorization.extend_from_slice(settings.secret("token", "file:/run/secrets/goatcounter")?.bytes());
    Ok(Box::new(GoatCounter { url: format!("{url}/api/v0/count"), authorization: Secret::new(authorization) }))
}

impl Destination for GoatCounter {
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
        fill(batch, bounds, hit).into_iter().map(|filled| self.parcel(filled)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        /// Of each bad hit, by its place, what is wrong. What is not named is counted and must not be sent again.
        #[derive(Deserialize)]
        struct Refused<'a> {
            #[serde(borrow)]
            errors: BTreeMap<usize, &'a RawValue>,
        }
        let sent = parcel.events.len();
        // What its own settings leave out is taken all the same.
        let taken = Verdict::Accepted { proven: false };
        if let Answer::Http { status: 400, body, .. } = answer
            && let Ok(said) = serde_json::from_slice::<Refused<'_>>(body)
            && !said.errors.is_empty()
        {
            let refused = Verdict::Rejected { reason: "GoatCounter refuses the hit" };
            return (0..sent).map(|at| if said.errors.contains_key(&at) { refused.clone() } else { taken.clone() }).collect();
        }
        vec![answers::taken(answer).map_or_else(|verdict| verdict, |_| taken); sent]
    }
}

impl GoatCounter {
    fn parcel(&self, filled: Filled) -> Parcel {
        let body = Bytes::from([HEAD, &filled.texts, TAIL].concat());
        let signing = Some(Signing::Authorization(self.authorization.clone()));
        let call = HttpCall::json(self.url.clone(), signing);
        Parcel { via: Via::Http(call), body, events: filled.events, unsaid: filled.unsaid }
    }
}

fn hit(disclosure: &Disclosure) -> Said {
    let (own, taken) = flat::properties(disclosure);
    let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
    let mut unsaid = own.len() + taken + unsaid_of_referrer;
    unsaid += [disclosure.language().is_some(), disclosure.screen().is_some(), disclosure.user().is_some(), !disclosure.bot().is_nothing()]
        .into_iter()
        .filter(|unsaid| *unsaid)
        .count();
    let view = disclosure.name() == "page_view";
    let path = disclosure.page().filter(|_| view).map_or(if view { "/" } else { disclosure.name() }, |page| page.path());
    let query: Vec<String> = flat::campaign(disclosure)
        .map(|(name, value)| format!("{name}={}", address::encoded(value.as_str().unwrap_or_default())))
        .collect();
    let country = Some(disclosure.country()).filter(|country| *country != Country::UNKNOWN);
    let said = [
        ("path", Some(path.into())),
        ("event", (!view).then(|| true.into())),
        ("ref", referrer.map(Value::from)),
        ("query", (!query.is_empty()).then(|| query.join("&").into())),
        ("user_agent", agent::of(disclosure.device()).map(Value::from)),
        ("location", country.map(|country| country.code().into())),
        ("created_at", Some(disclosure.time().into())),
        ("session", Some(disclosure.session_id().unwrap_or_else(|| disclosure.visitor_id()).into())),
    ];
    let hit: Map<String, Value> = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Said { text: Value::from(hit).to_string().into_bytes(), unsaid }
}
