//! Destination `posthog`: PostHog's batch API, <https://posthog.com/docs/api/capture>. Events are said to be nobody's profile's, and PostHog is
//! asked not to look an address up.
//!
//! PostHog answers 200 to whatever has the form of an event; where the project has used up its quota it says so in the body.

use std::time::Duration;

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
    receiver: "PostHog",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &["content-type"],
    form: &[
        ("", &["api_key"]),
        ("batch[]", &["event", "distinct_id", "uuid", "timestamp"]),
        (
            "batch[].properties",
            &[
                "$current_url",
                "$host",
                "$pathname",
                "$referrer",
                "$referring_domain",
                "$browser",
                "$browser_version",
                "$os",
                "$device_type",
                "$browser_language",
                "$screen_width",
                "$geoip_country_code",
                "$geoip_disable",
                "$ip",
                "$process_person_profile",
                "$user_id",
                "$lib",
                "*",
            ],
        ),
        ("batch[].properties", flat::MONEY),
        ("batch[].properties", flat::CAMPAIGN),
        ("batch[].properties.items[]", flat::PRODUCT),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\nproject_key = \"{secret}\"",
        secret: "phc_prove",
        purchase: "purchase",
        yes: |_| String::from("{\"status\":1}"),
    },
    open,
};

const NAME: &str = "posthog";
/// Far below the 20 MB that PostHog takes; few enough that bisecting a batch takes a dozen attempts.
const EVENTS_MAX: usize = 250;
const BYTES_MAX: usize = 1_000_000;
/// What stands around the events: names, and a key.
const AROUND_BYTES: usize = 1_024;
/// Older ones are to be marked as a migration, which PostHog keeps apart.
const OLDEST: Duration = Duration::from_secs(48 * 60 * 60);
/// What begins the names of PostHog's own fields, as policies list them.
const VENDOR: &str = "posthog.";

struct PostHog {
    url: String,
    project_key: Secret,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "project_key"])?;
    let url = settings.url("url", None, "https://eu.i.posthog.com")?;
    Ok(Box::new(PostHog { url: format!("{url}/batch/"), project_key: settings.secret("project_key", "file:/run/secrets/posthog")? }))
}

impl Destination for PostHog {
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
        #[derive(Deserialize)]
        struct Said {
            #[serde(default)]
            quota_limited: Vec<String>,
        }
        let verdict = match answers::taken(answer) {
            Err(verdict) => verdict,
            Ok(body) => match serde_json::from_slice::<Said>(body) {
                Ok(said) if said.quota_limited.iter().any(|what| what == "events") => Verdict::DroppedByReceiver,
                _ => Verdict::Accepted { proven: false },
            },
        };
        vec![verdict; parcel.events.len()]
    }
}

impl PostHog {
    fn parcel(&self, filled: Filled) -> Parcel {
        let key: String = self.project_key.bytes().iter().map(|byte| char::from(*byte)).collect();
        // When it was sent is not said: PostHog would move the times by it, and no longer recognise what comes twice.
        let mut body = format!("{{\"api_key\":{},\"batch\":[", Value::from(key)).into_bytes();
        body.extend_from_slice(&filled.texts);
        body.extend_from_slice(b"]}");
        let call = HttpCall::json(self.url.clone(), None);
        Parcel { via: Via::Http(call), body: Bytes::from(body), events: filled.events, unsaid: filled.unsaid }
    }
}

fn event(disclosure: &Disclosure) -> Said {
    let (own, mut unsaid) = flat::properties(disclosure);
    let mut properties = Map::new();
    for (name, value) in own {
        // PostHog's own field as it came, and of anything else a name that is none of PostHog's.
        let name = name.strip_prefix(VENDOR).map(str::to_owned).unwrap_or(name);
        properties.insert(name, value);
    }
    let mut say = |name: &str, value: Option<Value>| {
        properties.extend(value.map(|value| (name.to_owned(), value)));
    };
    let (url, unsaid_of_page) = address::page(disclosure);
    let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
    unsaid +=
        unsaid_of_page + unsaid_of_referrer + usize::from(!disclosure.bot().is_nothing()) + usize::from(disclosure.session_id().is_some());
    say("$current_url", url.map(Value::from));
    say("$host", disclosure.page().and_then(|page| page.host()).map(Value::from));
    say("$pathname", disclosure.page().map(|page| page.path().into()));
    say("$referrer", referrer.map(Value::from));
    say("$referring_domain", disclosure.referrer_host().map(Value::from));
    let class = disclosure.device();
    say("$browser", device::browser(class.browser).map(Value::from));
    say("$browser_version", (class.major > 0).then(|| class.major.into()));
    say("$os", device::system(class.system).map(Value::from));
    say("$device_type", device::form(class.form).map(Value::from));
    say("$browser_language", disclosure.language().map(|language| language.code().into()));
    say("$screen_width", disclosure.screen().map(|class| figures::width(class).into()));
    say(
        "$geoip_country_code",
        Some(disclosure.country()).filter(|country| *country != Country::UNKNOWN).map(|country| country.code().into()),
    );
    say("$geoip_disable", Some(true.into()));
    say("$ip", Some("0.0.0.0".into()));
    say("$process_person_profile", Some(false.into()));
    say("$user_id", disclosure.user().map(|(id, _)| id.into()));
    say("$lib", Some("firsthand".into()));
    properties.extend(flat::campaign(disclosure));
    let theirs = vocabulary::vendors(vocabulary::POSTHOG, disclosure.name(), Subject::Order);
    // Of persons and groups PostHog's own events would make profiles.
    let name = theirs.filter(|_| !matches!(disclosure.name(), "identify" | "group")).unwrap_or_else(|| disclosure.name());
    let event = json!({
        "event": name,
        "distinct_id": disclosure.visitor_id(),
        "uuid": disclosure.event_id(),
        "timestamp": disclosure.time(),
        "properties": properties,
    });
    Said { text: event.to_string().into_bytes(), unsaid }
}
