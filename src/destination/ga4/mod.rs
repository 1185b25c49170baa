//! Destination `ga4`: the Measurement Protocol of Google Analytics 4, one request per visitor. What the vendor would otherwise take from
//! elsewhere is said in so many words: no to advertising unless the person said yes to it, the country from our own place database, the
//! device from our own list; and the visitor's id is one that no tag of the vendor's ever used. An address is never sent.
//!
//! The vendor answers 2xx to whatever arrives, readable or not: nothing that it says proves an event. It takes events of the last 72 hours,
//! and moves older ones into them without a word: those expire here.

pub mod relay;
mod words;

use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Verdict, Via,
    settings::{Settings, check_url, error},
    words::flat,
};
use crate::{
    config::secret::{self, Secret},
    event::{Offset, Purposes},
    privacy::{
        disclose::Disclosure,
        enrich::{
            device::{Browser, DeviceClass, Form, System},
            place::Country,
        },
        rules::{Rule, holds},
        scrub::parameters::Issuer,
    },
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "Google Analytics 4, of Google",
    vendor_reuses_data: true,
    issuer: Some(Issuer::Google),
    envelope: None,
    headers: &["content-type"],
    form: &[
        ("?", &["measurement_id", "api_secret"]),
        ("", &["client_id", "user_id", "consent.ad_user_data", "consent.ad_personalization", "user_location.country_id"]),
        ("", &["validation_behavior"]),
        ("device", &["category", "language", "operating_system", "browser", "browser_version"]),
        ("events[]", &["name", "timestamp_micros"]),
        ("events[].params", &["page_location", "page_referrer", "session_id", "engagement_time_msec", "site_*", "*"]),
        ("events[].params", flat::MONEY),
        ("events[].params.items[]", flat::PRODUCT),
    ],
    oldest: OLDEST,
    visitor: |id| words::client_id(id).unwrap_or_default(),
    rehearsal: Rehearsal {
        settings: "measurement_id = \"G-PROVE00001\"\napi_secret = \"{secret}\"\nendpoint = \"{url}/mp/collect\"",
        secret: "prove-api-secret",
        purchase: "purchase",
        // Of the validator, where it finds nothing; to anything else an answer without meaning.
        yes: |_| String::from("{\"validationMessages\":[]}"),
    },
    open,
};

const NAME: &str = "ga4";
/// The vendor's bound of one request.
const EVENTS_MAX: usize = 25;
/// The vendor wants less than 130 kB, and does not say how much a kB is to it.
const BYTES_MAX: usize = 129_000;
/// What of `BYTES_MAX` may be used by what stands around the events: ids, consent, country, device.
const ENVELOPE_BYTES: usize = 1_000;
/// The vendor moves the time of older events.
const OLDEST: Duration = Duration::from_secs(72 * 60 * 60);
/// Real secrets have 22 characters.
const SECRET_BYTES_MAX: usize = 128;
const MEASUREMENT_ID_BYTES_MAX: usize = 20;
/// One request in so many is also sent to the validator, unless the settings say otherwise: enough to notice within a day that a name or a
/// bound has changed, too little to matter.
const VALIDATE_EVERY: u32 = 1_000;
const VALIDATE_EVERY_MAX: u32 = 1_000_000_000;
/// Messages of one answer of the validator that are read.
const MESSAGES_MAX: usize = 50;
/// The codes that the validator's documentation lists; an answer may say anything, so that nothing else of it is shown.
const CODES: [&str; 7] =
    ["VALUE_INVALID", "VALUE_REQUIRED", "NAME_INVALID", "NAME_RESERVED", "VALUE_OUT_OF_BOUNDS", "EXCEEDED_MAX_ENTITIES", "NAME_DUPLICATED"];
const ENDPOINT_EU: &str = "https://region1.google-analytics.com/mp/collect";
const ENDPOINT_GLOBAL: &str = "https://www.google-analytics.com/mp/collect";

struct Ga4 {
    endpoint: String,
    /// The vendor's validator, where the endpoint has one beside it, and every how many requests one is tried out there.
    validator: Option<(String, u64)>,
    measurement_id: String,
    api_secret: Secret,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["measurement_id", "api_secret", "endpoint", "validate_every"])?;
    let measurement_id = measurement_id(&settings)?;
    let endpoint = match settings.optional_text("endpoint")?.unwrap_or("eu") {
        "eu" => ENDPOINT_EU,
        "global" => ENDPOINT_GLOBAL,
        url if url.contains(['?', '#']) => return Err(error("endpoint", "has a query", Some("end it with the path".to_owned()))),
        url if !url.contains(':') => {
            return Err(error("endpoint", "is none that is known", Some("\"eu\", \"global\" or an https URL".to_owned())));
        }
        url => {
            check_url("endpoint", url)?;
            url
        }
    };
    let validator = match settings.whole_number("validate_every", 0..=VALIDATE_EVERY_MAX, VALIDATE_EVERY)? {
        0 => None,
        every => validator_of(endpoint).map(|validator| (validator, u64::from(every))),
    };
    Ok(Box::new(Ga4 {
        endpoint: endpoint.to_owned(),
        validator,
        measurement_id,
        api_secret: api_secret(settings.text("api_secret", "file:/run/secrets/ga4")?)?,
    }))
}

fn measurement_id(settings: &Settings<'_>) -> Result<String, SettingsError> {
    let measurement_id = settings.text("measurement_id", "G-ABC123DEF4")?;
    let code = measurement_id.strip_prefix("G-").unwrap_or_default();
    if code.is_empty() || measurement_id.len() > MEASUREMENT_ID_BYTES_MAX || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let fix = "it is \"G-\" and letters and digits, in Analytics under Admin, Data streams";
        return Err(error("measurement_id", "is no measurement id", Some(fix.to_owned())));
    }
    Ok(measurement_id.to_owned())
}

/// The vendor's validator answers at the same host, below `/debug`.
fn validator_of(endpoint: &str) -> Option<String> {
    endpoint.strip_suffix("/mp/collect").map(|host| format!("{host}/debug/mp/collect"))
}

fn api_secret(reference: &str) -> Result<Secret, SettingsError> {
    let secret = secret::resolve(reference).map_err(|wrong| error("api_secret", &wrong.to_string(), None))?;
    let visible = secret.bytes().iter().all(u8::is_ascii_graphic);
    if visible && secret.bytes().len() <= SECRET_BYTES_MAX {
        return Ok(secret);
    }
    let fix = "make one in Analytics under Admin, Data streams, Measurement Protocol API secrets";
    Err(error("api_secret", "the secret it refers to is not 1 to 128 visible ASCII characters", Some(fix.to_owned())))
}

impl Destination for Ga4 {
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
            let envelope = Envelope::of(disclosure);
            let words::Said { event, unsaid } = words::event(disclosure, BYTES_MAX - ENVELOPE_BYTES);
            let open = requests.last_mut().filter(|open| open.envelope == envelope && open.takes(event.len()));
            match open {
                Some(open) => open.add(disclosure.offset(), &event, unsaid),
                None => {
                    let mut request = Request { envelope, events: Vec::new(), offsets: Vec::new(), unsaid: 0 };
                    request.add(disclosure.offset(), &event, unsaid);
                    requests.push(request);
                }
            }
        }
        requests.into_iter().map(|request| self.parcel(request)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        vec![verdict(answer); parcel.events.len()]
    }

    fn trial(&self, parcel: &Parcel, nth: u64) -> Option<Parcel> {
        let (validator, every) = self.validator.as_ref()?;
        if !nth.is_multiple_of(*every) {
            return None;
        }
        // Without this it accepts whatever it would not choke on.
        let mut body = parcel.body.strip_suffix(b"}")?.to_vec();
        body.extend_from_slice(br#","validation_behavior":"ENFORCE_RECOMMENDATIONS"}"#);
        Some(Parcel { via: self.call(validator), body: Bytes::from(body), events: parcel.events.clone(), unsaid: 0 })
    }

    fn findings(&self, answer: &Answer) -> Option<Vec<&'static str>> {
        #[derive(serde::Deserialize)]
        struct Said {
            #[serde(rename = "validationMessages", default)]
            messages: Vec<Message>,
        }
        #[derive(serde::Deserialize)]
        struct Message {
            #[serde(rename = "validationCode", default)]
            code: String,
        }
        let Answer::Http { status: 200..=299, body, .. } = answer else { return None };
        let said: Said = serde_json::from_slice(body).ok()?;
        let known = |message: &Message| CODES.into_iter().find(|code| *code == message.code).unwrap_or("OTHER");
        Some(said.messages.iter().take(MESSAGES_MAX).map(known).collect())
    }
}

impl Ga4 {
    fn parcel(&self, request: Request) -> Parcel {
        let Request { envelope, events, offsets, unsaid } = request;
        let mut body = serde_json::to_vec(&envelope).expect("an envelope is made of texts");
        body.pop();
        body.extend_from_slice(b",\"events\":[");
        body.extend_from_slice(&events);
        body.extend_from_slice(b"]}");
        Parcel { via: self.call(&self.endpoint), body: Bytes::from(body), events: offsets, unsaid }
    }

    fn call(&self, endpoint: &str) -> Via {
        // The protocol knows no other place for its secret than the address; nothing that prints one may print this one.
        let secret = self.api_secret.bytes().iter().map(|byte| char::from(*byte)).collect::<String>();
        let secret = utf8_percent_encode(&secret, NON_ALPHANUMERIC);
        let url = format!("{endpoint}?measurement_id={}&api_secret={secret}", self.measurement_id);
        Via::Http(HttpCall::json(url, None))
    }
}

/// One request on the way to being a parcel.
struct Request {
    envelope: Envelope,
    events: Vec<u8>,
    offsets: Vec<Offset>,
    unsaid: usize,
}

impl Request {
    fn takes(&self, event_bytes: usize) -> bool {
        self.offsets.len() < EVENTS_MAX && ENVELOPE_BYTES + self.events.len() + 1 + event_bytes <= BYTES_MAX
    }

    fn add(&mut self, offset: Offset, event: &[u8], unsaid: usize) {
        if !self.offsets.is_empty() {
            self.events.push(b',');
        }
        self.events.extend_from_slice(event);
        self.offsets.push(offset);
        self.unsaid += unsaid;
    }
}

/// What a request says of all its events.
#[derive(PartialEq, Serialize)]
struct Envelope {
    client_id: String,
    /// Only where the policy lets one through; the vendor's bound of 256 characters is beyond what may.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    consent: Consent,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_location: Option<UserLocation>,
    #[serde(skip_serializing_if = "Device::says_nothing")]
    device: Device,
}

/// Left out, the vendor would take what its own tags heard of the same client.
#[derive(PartialEq, Serialize)]
struct Consent {
    ad_user_data: &'static str,
    ad_personalization: &'static str,
}

#[derive(PartialEq, Serialize)]
struct UserLocation {
    country_id: String,
}

#[derive(Default, PartialEq, Serialize)]
struct Device {
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operating_system: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    browser: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    browser_version: Option<String>,
}

impl Envelope {
    fn of(disclosure: &Disclosure) -> Self {
        let agreed = disclosure.purposes().cover(Purposes::ADS) || !holds(Rule::VendorConsentDerived);
        let advertising = if agreed { "GRANTED" } else { "DENIED" };
        let country = Some(disclosure.country()).filter(|country| *country != Country::UNKNOWN);
        Self {
            client_id: words::client_id(disclosure.visitor_id()).expect("a visitor's id is 16 hexadecimal digits"),
            user_id: disclosure.user().map(|(id, _)| id.to_owned()),
            consent: Consent { ad_user_data: advertising, ad_personalization: advertising },
            user_location: country.map(|country| UserLocation { country_id: country.code().to_owned() }),
            device: Device::of(disclosure.device(), disclosure.language().map(|language| language.code().to_owned())),
        }
    }
}

impl Device {
    fn of(class: &DeviceClass, language: Option<String>) -> Self {
        let browser = match class.browser {
            Browser::Chrome => Some("Chrome"),
            Browser::Edge => Some("Edge"),
            Browser::Firefox => Some("Firefox"),
            Browser::Opera => Some("Opera"),
            Browser::Safari => Some("Safari"),
            Browser::SamsungInternet => Some("Samsung Internet"),
            Browser::Other | Browser::App => None,
        };
        Self {
            category: match class.form {
                Form::Desktop => Some("desktop"),
                Form::Mobile => Some("mobile"),
                Form::Tablet => Some("tablet"),
                Form::Other => None,
            },
            language,
            operating_system: match class.system {
                System::Android => Some("Android"),
                System::ChromeOs => Some("Chrome OS"),
                System::Ios => Some("iOS"),
                System::Linux => Some("Linux"),
                System::Macos => Some("Macintosh"),
                System::Windows => Some("Windows"),
                System::Other => None,
            },
            browser,
            browser_version: browser.filter(|_| class.major > 0).map(|_| class.major.to_string()),
        }
    }

    fn says_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// 2xx is all that is ever heard in good times. The vendor asks not to send a refused request again; what the network or the vendor's own
/// machines got wrong is tried again.
fn verdict(answer: &Answer) -> Verdict {
    let (status, after) = match answer {
        Answer::Http { status, retry_after, .. } => (*status, *retry_after),
        _ => return Verdict::Retry { after: None },
    };
    match status {
        200..=299 => Verdict::Accepted { proven: false },
        300..=399 => Verdict::EndpointRefuses { reason: "it redirects, and redirects are not followed: check the endpoint" },
        401 | 403 | 407 => Verdict::EndpointRefuses { reason: "it does not accept us: check the measurement id and the secret" },
        404 | 405 | 410 => Verdict::EndpointRefuses { reason: "nothing takes events at this endpoint" },
        408 | 425 | 429 => Verdict::Retry { after },
        400..=499 => Verdict::Rejected { reason: "the receiver refuses the request" },
        _ => Verdict::Retry { after },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Timestamp;

    const SECRET: &str = "a+b/c=d e";

    fn opened(settings: &str, secret: &str) -> Result<Box<dyn Destination>, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, secret).unwrap();
        open(&format!("api_secret = \"file:{}\"\n{settings}", file.display()).parse().unwrap())
    }

    fn url(settings: &str) -> String {
        let destination = opened(settings, "s3cret_-x").unwrap_or_else(|error| panic!("{settings}: {error}"));
        let parcel = destination.encode(&[&Disclosure::for_test(Offset(1), 1, Timestamp(0))]).remove(0);
        let Via::Http(call) = parcel.via else { panic!("not a call") };
        call.url
    }

    #[test]
    fn the_endpoint_is_in_the_eu_unless_said_otherwise() {
        let with = |rest: &str| url(&format!("measurement_id = \"G-ABC123\"\n{rest}"));
        let query = "?measurement_id=G-ABC123&api_secret=s3cret%5F%2Dx";
        assert_eq!(with(""), format!("https://region1.google-analytics.com/mp/collect{query}"));
        assert_eq!(with("endpoint = \"eu\""), format!("https://region1.google-analytics.com/mp/collect{query}"));
        assert_eq!(with("endpoint = \"global\""), format!("https://www.google-analytics.com/mp/collect{query}"));
        assert_eq!(with("endpoint = \"http://127.0.0.1:9/mp\""), format!("http://127.0.0.1:9/mp{query}"));
    }

    #[test]
    fn one_request_in_so_many_is_tried_out_with_the_validator_and_its_words_are_not_repeated() {
        let with = |rest: &str| opened(&format!("measurement_id = \"G-A\"\n{rest}"), "x").unwrap();
        let trial = |destination: &dyn Destination, nth| {
            let parcel = destination.encode(&[&Disclosure::for_test(Offset(1), 1, Timestamp(0))]).remove(0);
            destination.trial(&parcel, nth)
        };
        let plain = with("");
        let tried = trial(&*plain, 0).unwrap();
        let Via::Http(call) = tried.via else { panic!("not a call") };
        assert_eq!(call.url, "https://region1.google-analytics.com/debug/mp/collect?measurement_id=G-A&api_secret=x");
        let body: Value = serde_json::from_slice(&tried.body).unwrap();
        assert_eq!((&body["validation_behavior"], &body["events"][0]["name"]), (&json!("ENFORCE_RECOMMENDATIONS"), &json!("page_view")));
        let every = |destination: &dyn Destination| (0..4001).filter(|nth| trial(destination, *nth).is_some()).count();
        assert_eq!((every(&*plain), every(&*with("validate_every = 100"))), (5, 41));
        assert_eq!((every(&*with("validate_every = 0")), every(&*with("endpoint = \"http://127.0.0.1:9/mp\""))), (0, 0));
        let answer =
            |status, body: &str| Answer::Http { status, retry_after: None, body: Bytes::copy_from_slice(body.as_bytes()), noted: None };
        let found = |status, body: &str| plain.findings(&answer(status, body));
        assert_eq!(found(200, r#"{"validationMessages":[]}"#), Some(vec![]));
        let faults = r#"{"validationMessages":[{"fieldPath":"events","description":"jane","validationCode":"NAME_INVALID"},{"validationCode":"jane"}]}"#;
        assert_eq!(found(200, faults), Some(vec!["NAME_INVALID", "OTHER"]));
        assert_eq!((found(200, "jane"), found(500, "{}"), plain.findings(&Answer::Written)), (None, None, None));
    }

    #[test]
    fn settings_that_would_lead_nowhere_are_refused_and_not_repeated() {
        let refused = [
            ("measurement_id = \"UA-1-1\"", "x", "measurement_id"),
            ("measurement_id = \"G-\"", "x", "measurement_id"),
            ("measurement_id = \"G-A&B\"", "x", "measurement_id"),
            ("", "x", "measurement_id"),
            ("measurement_id = \"G-A\"", SECRET, "api_secret"),
            ("measurement_id = \"G-A\"\nendpoint = \"us\"", "x", "endpoint"),
            ("measurement_id = \"G-A\"\nendpoint = \"http://example.org/\"", "x", "endpoint"),
            ("measurement_id = \"G-A\"\nendpoint = \"https://example.org/?api_secret=x\"", "x", "endpoint"),
            ("measurement_id = \"G-A\"\nendpiont = \"eu\"", "x", "endpiont"),
        ];
        for (settings, secret, key) in refused {
            let error = opened(settings, secret).err().unwrap_or_else(|| panic!("{settings}: taken"));
            assert_eq!(error.key, key, "{settings}");
            assert!(!error.to_string().contains(SECRET) && !error.to_string().contains("api_secret=x"));
        }
        let literal = open(&"measurement_id = \"G-A\"\napi_secret = \"hidden\"".parse().unwrap()).err().unwrap().to_string();
        assert!(literal.contains("by reference") && !literal.contains("hidden"), "{literal}");
    }

    #[test]
    fn a_request_is_one_visitors_and_within_its_bounds() {
        let destination = opened("measurement_id = \"G-A\"", "x").unwrap();
        let item = json!({ "id": "i".repeat(100), "name": "n".repeat(100), "brand": "b".repeat(100) });
        let disclosures: Vec<Disclosure> = (0..90)
            .map(|offset| {
                let items = if offset < 5 { vec![item.clone(); 200] } else { Vec::new() };
                let disclosure = Disclosure::for_test(Offset(offset), offset / 60, Timestamp(0));
                // In the middle, the same visitor takes consent to advertising back.
                let purposes = if offset < 50 { json!(["analytics", "ads"]) } else { json!(["analytics"]) };
                disclosure.saying(&json!({ "items": items, "purposes": purposes }))
            })
            .collect();
        let parcels = destination.encode(&disclosures.iter().collect::<Vec<_>>());
        let mut carried = Vec::new();
        for parcel in &parcels {
            assert!(parcel.body.len() <= BYTES_MAX && parcel.events.len() <= EVENTS_MAX);
            let body: Value = serde_json::from_slice(&parcel.body).unwrap();
            assert_eq!(body["events"].as_array().unwrap().len(), parcel.events.len());
            for offset in &parcel.events {
                let visitor = if offset.0 < 60 { "1.1" } else { "1.2" };
                let advertising = if offset.0 < 50 { "GRANTED" } else { "DENIED" };
                assert_eq!((&body["client_id"], &body["consent"]["ad_user_data"]), (&json!(visitor), &json!(advertising)));
                carried.push(offset.0);
            }
        }
        assert_eq!(carried, (0..90).collect::<Vec<_>>());
        assert!(parcels.iter().any(|parcel| parcel.events.len() == EVENTS_MAX));
    }

    #[test]
    fn around_the_events_there_is_always_room() {
        let everything = json!({ "visitor_id": "ffffffffffffffff", "country": "FR", "language": "fr", "device":
            { "browser": "samsung_internet", "major": 399, "system": "chrome_os", "form": "desktop" } });
        let envelope = Envelope::of(&Disclosure::for_test(Offset(1), 1, Timestamp(0)).saying(&everything));
        assert!(serde_json::to_vec(&envelope).unwrap().len() + b",\"events\":[]}".len() < ENVELOPE_BYTES);
    }

    #[test]
    #[ignore = "needs node and npm: run by tests/run"]
    fn another_mapping_of_the_same_events_says_the_same() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receivers/ga4-oracle");
        let run = |program: &str, arguments: &[&str]| std::process::Command::new(program).args(arguments).status().unwrap().success();
        assert!(run("npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", directory]));
        assert!(run("node", &[&format!("{directory}/compare.mjs")]));
    }
}
