//! Destination `plausible`: the events API of a Plausible, its cloud or one of the site owner's, <https://plausible.io/docs/events-api>: one event a
//! request, which is counted when it arrives.
//!
//! Plausible tells visitors apart by the address and the user agent of the request (`plausible/analytics`, `lib/plausible/ingestion/request.ex`).
//! Both are stood in for ([`Likeness`]). It answers 202 also to what it drops, and says so in a header.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Verdict, Via,
    settings::{Settings, error},
    words::{
        address, answers, flat,
        likeness::{ADDRESS_HEADER, Likeness},
    },
};
use crate::privacy::{disclose::Disclosure, enrich::place::Country};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "Plausible, of Plausible Insights or on a server that the website’s owner chose",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &["content-type", ADDRESS_HEADER],
    form: &[
        ("", &["name", "url", "domain", "referrer", "interactive", "revenue.amount", "revenue.currency"]),
        ("props", &["*"]),
        ("props", flat::MONEY),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\ndomain = \"shop.example\"",
        secret: "",
        purchase: "purchase",
        yes: |_| String::from("ok"),
    },
    open,
};

const NAME: &str = "plausible";
const CLOUD: &str = "https://plausible.io";
/// There is no field for a time: what comes late would stand at the time of its coming.
const OLDEST: Duration = Duration::from_secs(60 * 60);
/// A body may have a million bytes; what stands in one that Plausible takes is far below.
const BYTES_MAX: usize = 256 * 1024;
/// The header that says of how many domains the event was dropped.
const DROPPED: &str = "x-plausible-dropped";
/// Of more properties the first are kept there.
const PROPS_MAX: usize = 30;
/// A longer key or value would have the whole event refused.
const KEY_BYTES_MAX: usize = 300;
const VALUE_BYTES_MAX: usize = 2_000;
/// A longer address, too; a longer referrer is cut there.
const URL_BYTES_MAX: usize = 2_000;
const NAME_CHARS_MAX: usize = 120;
/// Names with a meaning of their own there, which an event of the site's own does not have.
const RESERVED: [&str; 2] = ["pageview", "engagement"];
/// What begins the names of Plausible's own fields, as policies list them.
const VENDOR: &str = "plausible.";

struct Plausible {
    url: String,
    domain: String,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "domain"])?;
    let url = settings.url("url", Some(CLOUD), "https://plausible.example.org")?;
    let domain = settings.text("domain", "shop.example")?;
    let of_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte);
    if domain.is_empty() || !domain.bytes().all(of_a_host) {
        return Err(error("domain", "is no site's domain", Some(String::from("one, as Plausible's settings of the site have it"))));
    }
    Ok(Box::new(Plausible { url: format!("{url}/api/event"), domain: domain.to_owned() }))
}

impl Destination for Plausible {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        Some(&self.url)
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits { events: 1, bytes: BYTES_MAX, oldest: OLDEST, group_by: GroupBy::Event }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        batch.iter().map(|disclosure| self.parcel(disclosure)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        let verdict = match answers::taken(answer) {
            Err(verdict) => verdict,
            Ok(_) if matches!(answer, Answer::Http { noted: Some(dropped), .. } if dropped != "0") => Verdict::DroppedByReceiver,
            Ok(_) => Verdict::Accepted { proven: true },
        };
        vec![verdict; parcel.events.len()]
    }
}

impl Plausible {
    fn parcel(&self, disclosure: &Disclosure) -> Parcel {
        let (body, unsaid) = self.event(disclosure);
        let call = HttpCall { visitor: Some(Likeness::of(disclosure)), notes: Some(DROPPED), ..HttpCall::json(self.url.clone(), None) };
        Parcel { via: Via::Http(call), body: Bytes::from(body.to_string()), events: vec![disclosure.offset()], unsaid }
    }

    fn event(&self, disclosure: &Disclosure) -> (Value, usize) {
        let (mut own, mut unsaid) = flat::properties(disclosure);
        let (url, unsaid_of_page) = address::page(disclosure);
        let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
        unsaid += unsaid_of_page + unsaid_of_referrer + usize::from(!disclosure.bot().is_nothing());
        unsaid += usize::from(disclosure.session_id().is_some()) + usize::from(disclosure.user().is_some());
        unsaid += usize::from(disclosure.country() != Country::UNKNOWN);
        unsaid += usize::from(disclosure.language().is_some()) + usize::from(disclosure.screen().is_some());
        // Lists are dropped there.
        unsaid += usize::from(own.remove("items").is_some());
        let revenue = own.get("value").zip(own.get("currency")).map(|(amount, currency)| json!({ "amount": amount, "currency": currency }));
        if revenue.is_some() {
            own.remove("value");
            own.remove("currency");
        }
        let mut props = Map::new();
        for (name, value) in own {
            let name = name.strip_prefix(VENDOR).map(str::to_owned).unwrap_or(name);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let fits = name.len() <= KEY_BYTES_MAX && text.len() <= VALUE_BYTES_MAX && props.len() < PROPS_MAX;
            if fits && !text.is_empty() {
                props.insert(name, text.into());
            } else {
                unsaid += 1;
            }
        }
        let front = || format!("https://{}/", self.domain);
        let url = url.filter(|url| url.len() <= URL_BYTES_MAX).unwrap_or_else(front);
        let said = [
            ("name", Some(name_of(disclosure).into())),
            ("url", Some(url.into())),
            ("domain", Some(self.domain.as_str().into())),
            ("referrer", referrer.map(Value::from)),
            // How long somebody stayed ends no bounce.
            ("interactive", (disclosure.name() == "user_engagement").then(|| false.into())),
            ("revenue", revenue),
            ("props", (!props.is_empty()).then(|| props.into())),
        ];
        (said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into(), unsaid)
    }
}

fn name_of(disclosure: &Disclosure) -> String {
    match disclosure.name() {
        "page_view" => String::from("pageview"),
        name if RESERVED.contains(&name) => format!("site {name}"),
        name => name.chars().take(NAME_CHARS_MAX).collect(),
    }
}
