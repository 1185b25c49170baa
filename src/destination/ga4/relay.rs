//! Destination `ga4-relay`: what Google's own tag sends (`/g/collect`), said again, one visitor's events in one request. The form is documented by
//! nobody but the tags that use it, and may change without a word. It has no place for a time, a country or a device: an event happens when it
//! arrives, so that late ones expire.
//!
//! The vendor answers 2xx to whatever arrives: nothing that it says proves an event.

use std::time::Duration;

use bytes::Bytes;

use super::{measurement_id, words};
use crate::{
    destination::{
        Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Verdict, Via,
        settings::Settings,
        words::{
            address::{self, encoded},
            answers, figures, products,
        },
    },
    event::{Offset, Purposes},
    privacy::{
        clean::{Item, Property},
        disclose::Disclosure,
        enrich::{device::DeviceClass, place::Country},
        scrub::parameters::Issuer,
    },
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "Google Analytics 4, of Google, as its own tag would tell it",
    vendor_reuses_data: true,
    issuer: Some(Issuer::Google),
    envelope: None,
    headers: &["content-type"],
    form: &[
        ("?", &["v", "tid", "cid", "sid", "uid", "gcs", "gcd", "npa", "_uip", "ul", "sr", "_p", "_s"]),
        ("&", &["en", "dl", "dr", "cu", "_et", "pr#", "ep.transaction_id", "ep.coupon", "epn.value", "epn.tax", "epn.shipping"]),
        ("&", &["ep.*", "epn.*", "*"]),
    ],
    oldest: OLDEST,
    visitor: |id| words::client_id(id).unwrap_or_default(),
    rehearsal: Rehearsal {
        settings: "measurement_id = \"G-PROVE00001\"\nendpoint = \"{url}/g/collect\"",
        secret: "",
        purchase: "purchase",
        yes: |_| String::new(),
    },
    open,
};

const NAME: &str = "ga4-relay";
/// The tag sends so many in one request at most.
const EVENTS_MAX: usize = 20;
/// The tag's own requests stay below 16 kB but for a single event with many products.
const BYTES_MAX: usize = 15_000;
/// There is no word for when something happened: what is older than this would be told of a wrong time.
const OLDEST: Duration = Duration::from_secs(15 * 60);
/// Products of one event.
const ITEMS_MAX: usize = 200;
/// What begins the names of the vendor's own fields, as policies list them.
const VENDOR: &str = "ga4.";
/// The property that the tag has a parameter of its own for.
const ENGAGEMENT: &str = "engagement_time_msec";
const ENDPOINT_EU: &str = "https://region1.google-analytics.com/g/collect";
const ENDPOINT_GLOBAL: &str = "https://www.google-analytics.com/g/collect";

struct Relay {
    endpoint: String,
    measurement_id: String,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["measurement_id", "endpoint"])?;
    let measurement_id = measurement_id(&settings)?;
    let endpoint = match settings.optional_text("endpoint")? {
        None | Some("eu") => ENDPOINT_EU.to_owned(),
        Some("global") => ENDPOINT_GLOBAL.to_owned(),
        Some(_) => settings.url("endpoint", None, "https://collect.example.org/g/collect")?,
    };
    Ok(Box::new(Relay { endpoint, measurement_id }))
}

impl Destination for Relay {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        Some(&self.endpoint)
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits { events: EVENTS_MAX, bytes: BYTES_MAX, oldest: OLDEST, group_by: GroupBy::Visitor }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let mut requests: Vec<Request> = Vec::new();
        for disclosure in batch {
            let shared = self.shared(disclosure);
            let (line, unsaid) = line(disclosure);
            let takes = |open: &&mut Request| {
                open.shared == shared && open.offsets.len() < EVENTS_MAX && open.lines.len() + 2 + line.len() <= BYTES_MAX
            };
            match requests.last_mut().filter(takes) {
                Some(open) => {
                    open.lines.push_str("\r\n");
                    open.lines.push_str(&line);
                    open.offsets.push(disclosure.offset());
                    open.unsaid += unsaid;
                }
                None => {
                    // The load of a page, which the vendor's tag draws: here, of the request's first event.
                    let page = disclosure.event_id().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                    requests.push(Request { shared, page, lines: line, offsets: vec![disclosure.offset()], unsaid });
                }
            }
        }
        requests.into_iter().map(|request| self.parcel(request)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        let verdict = answers::taken(answer).map_or_else(|verdict| verdict, |_| Verdict::Accepted { proven: false });
        vec![verdict; parcel.events.len()]
    }
}

/// One request on the way to being a parcel.
struct Request {
    shared: String,
    page: u32,
    lines: String,
    offsets: Vec<Offset>,
    unsaid: usize,
}

impl Relay {
    fn parcel(&self, request: Request) -> Parcel {
        let Request { shared, page, lines, offsets, unsaid } = request;
        let url = format!("{}?{shared}&_p={page}&_s=1", self.endpoint);
        let call = HttpCall { headers: &[("content-type", "text/plain;charset=UTF-8")], ..HttpCall::json(url, None) };
        Parcel { via: Via::Http(call), body: Bytes::from(lines), events: offsets, unsaid }
    }

    /// What a request says of all its events.
    fn shared(&self, disclosure: &Disclosure) -> String {
        let mut shared = Parameters::default();
        shared.say("v", "2");
        shared.say("tid", &self.measurement_id);
        shared.say("cid", &words::client_id(disclosure.visitor_id()).unwrap_or_default());
        if let Some(session) = disclosure.session_id().and_then(words::session_id) {
            shared.say("sid", &session);
        }
        if let Some((user, _)) = disclosure.user() {
            shared.say("uid", user);
        }
        // Advertising and analytics, as the tag's own consent mode says them: storage first, then the four kinds one by one.
        let granted = |purpose| disclosure.purposes().cover(purpose);
        let (ads, analytics) = (granted(Purposes::ADS), granted(Purposes::ANALYTICS));
        shared.say("gcs", &format!("G1{}{}", u8::from(ads), u8::from(analytics)));
        let letter = |agreed| if agreed { 'v' } else { 'p' };
        let (of_ads, of_analytics) = (letter(ads), letter(analytics));
        shared.say("gcd", &format!("13{of_ads}3{of_analytics}3{of_ads}3{of_ads}5l1"));
        if !ads {
            shared.say("npa", "1");
        }
        // As the vendor's own gateways say it where the address is nobody's business; else it would be that of our connection.
        shared.say("_uip", "::");
        if let Some(language) = disclosure.language() {
            shared.say("ul", language.code());
        }
        if let Some(resolution) = figures::resolution(disclosure) {
            shared.say("sr", &resolution);
        }
        shared.text
    }
}

/// One event, and how many of its fields could not be said.
fn line(disclosure: &Disclosure) -> (String, usize) {
    let mut line = Parameters::default();
    line.say("en", disclosure.name());
    let (page, unsaid_of_page) = address::page(disclosure);
    let (referrer, unsaid_of_referrer) = address::referrer(disclosure);
    line.unsaid = unsaid_of_page + unsaid_of_referrer;
    for (name, said) in [("dl", page), ("dr", referrer)] {
        if let Some(said) = said {
            line.say(name, &said);
        }
    }
    if let Some(currency) = disclosure.currency() {
        line.say("cu", currency);
    }
    let texts = [("ep.transaction_id", disclosure.transaction_id()), ("ep.coupon", disclosure.coupon())];
    texts.into_iter().filter_map(|(name, said)| Some((name, said?))).for_each(|(name, said)| line.say(name, said));
    let numbers = [("epn.value", disclosure.value()), ("epn.tax", disclosure.tax()), ("epn.shipping", disclosure.shipping())];
    numbers.into_iter().filter_map(|(name, said)| Some((name, said?))).for_each(|(name, said)| line.say(name, &said.to_string()));
    for (number, product) in disclosure.items().iter().enumerate() {
        if number < ITEMS_MAX {
            line.say(&format!("pr{}", number + 1), &item(product));
        } else {
            line.unsaid += 1;
        }
    }
    for (name, value) in disclosure.properties() {
        match (name.strip_prefix(VENDOR), value) {
            (Some(parameter), value) => line.say(parameter, &figures::text(value)),
            (None, Property::Number(number)) if name == ENGAGEMENT => line.say("_et", &number.to_string()),
            (None, Property::Number(number)) => line.say(&format!("epn.{name}"), &number.to_string()),
            // The tag sends flags as words.
            (None, Property::Flag(flag)) => line.say(&format!("ep.{name}"), if *flag { "true" } else { "false" }),
            (None, Property::Word(word)) => line.say(&format!("ep.{name}"), word),
        }
    }
    let device = *disclosure.device() != DeviceClass::UNKNOWN;
    line.unsaid +=
        usize::from(device) + usize::from(disclosure.country() != Country::UNKNOWN) + usize::from(!disclosure.bot().is_nothing());
    (line.text, line.unsaid)
}

/// A product as a list of two-letter keys with their values; a `~` within one is doubled.
fn item(product: &Item) -> String {
    let parts = products::parts(product, |word| word.tag);
    let parts = parts
        .into_iter()
        .map(|(key, said)| format!("{key}{}", said.as_str().map_or_else(|| said.to_string(), |said| said.replace('~', "~~"))));
    parts.collect::<Vec<_>>().join("~")
}

/// Parameters on the way, the first of a name alone.
#[derive(Default)]
struct Parameters {
    text: String,
    names: Vec<String>,
    unsaid: usize,
}

impl Parameters {
    fn say(&mut self, name: &str, value: &str) {
        if self.names.iter().any(|known| known == name) {
            self.unsaid += 1;
            return;
        }
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.push_str(&encoded(name));
        self.text.push('=');
        self.text.push_str(&encoded(value));
        self.names.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_request_is_one_visitors_and_its_lines_are_within_bounds() {
        let destination = open(&"measurement_id = \"G-A\"".parse().unwrap()).unwrap();
        let disclosures: Vec<Disclosure> = (0..60)
            .map(|offset| {
                let fields = json!({ "properties": { "plan": "x".repeat(64) }, "purposes": if offset < 50 { json!(["analytics"]) } else { json!([]) } });
                Disclosure::for_test(Offset(offset), offset / 30, Timestamp(0)).saying(&fields)
            })
            .collect();
        let parcels = destination.encode(&disclosures.iter().collect::<Vec<_>>());
        let sizes: Vec<usize> = parcels.iter().map(|parcel| parcel.events.len()).collect();
        assert_eq!(sizes, [20, 10, 20, 10], "of two visitors, the second of whom takes their consent back");
        for parcel in &parcels {
            let lines = String::from_utf8(parcel.body.to_vec()).unwrap();
            assert!(lines.lines().count() == parcel.events.len() && lines.len() <= BYTES_MAX);
        }
    }

    #[test]
    fn a_tilde_within_a_product_is_doubled() {
        let product = Item { id: Some(String::from("a~b")), price: Some(5.0), quantity: Some(0.5), ..Item::default() };
        assert_eq!(item(&product), "ida~~b~pr5~qt0.5");
    }
}
