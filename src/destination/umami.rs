//! Destination `umami`: the collection API of an Umami of the site owner's, <https://umami.is/docs/api/sending-stats>, in batches.
//!
//! Umami tells visitors apart by address and user agent, and takes both from the event where it says them. An event says an address that is
//! nobody's: of the range for documentation, 2001:db8::/32, made of this destination's id of the visitor, so that no place is found for it. The
//! user agent is made of the device's class. Umami drops what looks like a program without a word: where no device is disclosed, its own check
//! has to be off.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Verdict, Via,
    settings::{Settings, error},
    words::{
        address, agent, answers, figures, flat, likeness,
        parcels::{Bounds, Filled, Said, fill},
    },
};
use crate::privacy::{disclose::Disclosure, enrich::place::Country};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "Umami, on a server that the website’s owner chose",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &["content-type"],
    form: &[
        ("[]", &["type"]),
        (
            "[].payload",
            &["website", "id", "ip", "userAgent", "timestamp", "hostname", "url", "referrer", "language", "screen", "tag", "name"],
        ),
        ("[].payload.data", &["*"]),
        ("[].payload.data", flat::MONEY),
        ("[].payload.data.items[]", flat::PRODUCT),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\nwebsite = \"11111111-2222-4333-8444-555555555555\"",
        secret: "",
        purchase: "purchase",
        yes: |body| {
            let events = serde_json::from_slice::<Vec<Value>>(body).map_or(0, |events| events.len());
            json!({ "size": events, "processed": events, "errors": 0, "details": [] }).to_string()
        },
    },
    open,
};

const NAME: &str = "umami";
/// Umami takes them one after another before it answers.
const EVENTS_MAX: usize = 100;
const BYTES_MAX: usize = 256 * 1024;
/// Umami takes the time that an event says.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Characters of an event's name.
const NAME_CHARS_MAX: usize = 50;
/// What begins the names of Umami's own fields, as policies list them.
const VENDOR: &str = "umami.";

struct Umami {
    url: String,
    website: String,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "website"])?;
    let url = settings.url("url", None, "https://umami.example.org")?;
    let website = settings.text("website", "11111111-2222-4333-8444-555555555555")?;
    let is_uuid = website.len() == 36 && website.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !is_uuid {
        return Err(error("website", "is no website's id", Some(String::from("the UUID in Umami's settings of the website"))));
    }
    Ok(Box::new(Umami { url: format!("{url}/api/batch"), website: website.to_owned() }))
}

impl Destination for Umami {
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
        fill(batch, bounds, |disclosure| self.event(disclosure)).into_iter().map(|filled| self.parcel(filled)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        #[derive(Deserialize)]
        struct Processed {
            size: usize,
            errors: usize,
            #[serde(default)]
            details: Vec<Detail>,
        }
        #[derive(Deserialize)]
        struct Detail {
            index: usize,
        }
        let sent = parcel.events.len();
        let body = match answers::taken(answer) {
            Ok(body) => body,
            Err(verdict) => return vec![verdict; sent],
        };
        match serde_json::from_slice::<Processed>(body) {
            Err(_) => vec![Verdict::EndpointRefuses { reason: "it does not answer as Umami does: check the url" }; sent],
            // What its check for bots drops counts as processed.
            Ok(said) if said.errors == 0 && said.size == sent => vec![Verdict::Accepted { proven: false }; sent],
            Ok(said) => {
                let refused = |at| said.details.iter().any(|detail| detail.index == at) || said.errors >= sent;
                let verdict = Verdict::Rejected { reason: "Umami refuses the event: check the website's id" };
                (0..sent).map(|at| if refused(at) { verdict.clone() } else { Verdict::Accepted { proven: false } }).collect()
            }
        }
    }
}

/// What stands behind the host, which is said apart. An older Umami takes all of a whole address for the path.
fn on_its_host(url: String, host: Option<&str>) -> String {
    let rest = host.and_then(|host| url.strip_prefix("https://")?.strip_prefix(host));
    // Two slashes would begin another host.
    match rest.filter(|rest| rest.starts_with('/') && !rest.starts_with("//")) {
        Some(rest) => rest.to_owned(),
        None => url,
    }
}

impl Umami {
    fn parcel(&self, filled: Filled) -> Parcel {
        let body = Bytes::from([b"[", &filled.texts[..], b"]"].concat());
        let call = HttpCall::json(self.url.clone(), None);
        Parcel { via: Via::Http(call), body, events: filled.events, unsaid: filled.unsaid }
    }

    fn event(&self, disclosure: &Disclosure) -> Said {
        let (mut data, mut unsaid) = flat::properties(disclosure);
        let (url, unsaid_of_page) = address::page(disclosure);
        let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
        unsaid += unsaid_of_page + unsaid_of_referrer + usize::from(!disclosure.bot().is_nothing());
        unsaid += usize::from(disclosure.session_id().is_some()) + usize::from(disclosure.country() != Country::UNKNOWN);
        let host = disclosure.page().and_then(|page| page.host());
        let view = disclosure.name() == "page_view";
        let tag = data.remove(&format!("{VENDOR}tag"));
        let said = [
            ("website", Some(self.website.as_str().into())),
            ("id", disclosure.user().map(|(id, _)| id.into())),
            ("ip", Some(likeness::nobodys(disclosure.visitor_id()).into())),
            ("userAgent", agent::of(disclosure.device()).map(Value::from)),
            ("timestamp", figures::milliseconds(disclosure).map(|time| time.div_euclid(1_000).into())),
            ("hostname", host.map(Value::from)),
            ("url", Some(url.map_or_else(|| String::from("/"), |url| on_its_host(url, host)).into())),
            ("referrer", referrer.map(Value::from)),
            ("language", disclosure.language().map(|language| language.code().into())),
            ("screen", figures::resolution(disclosure).map(Value::from)),
            ("tag", tag),
            ("name", (!view).then(|| disclosure.name().chars().take(NAME_CHARS_MAX).collect::<String>().into())),
            ("data", (!data.is_empty()).then(|| data.into())),
        ];
        let payload: Map<String, Value> = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Said { text: json!({ "type": "event", "payload": payload }).to_string().into_bytes(), unsaid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_said_once_and_no_path_is_taken_for_one() {
        let said = |url: &str, host| on_its_host(url.to_owned(), host);
        assert_eq!(said("https://shop.example/a?utm_source=x", Some("shop.example")), "/a?utm_source=x");
        assert_eq!(said("https://shop.example//evil.example/a", Some("shop.example")), "https://shop.example//evil.example/a");
        assert_eq!(said("https://shop.example.org/a", Some("shop.example")), "https://shop.example.org/a");
        assert_eq!(said("https://shop.example/a", None), "https://shop.example/a");
    }
}
