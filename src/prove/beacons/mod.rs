//! Marked beacons: for each protocol its requests, with a canary in every slot that they have, and the headers that every request has. The
//! older protocols' beacons are code, a file each; the vendors' that came later are data, in `templates`.

mod app;
mod ga4;
mod matomo;
mod native;
mod segment;
mod server;
mod templates;

use serde_json::{Value, json};

use super::{
    canaries::{Canaries, Stand, Voice},
    scanner::compressed,
    spellings::Spelling,
    wire::Request,
};
use crate::{
    privacy::{policy::Field, scrub::parameters::Issuer},
    protocol::{self, Protocol},
};

/// A property that no site lists: a weakened policy does.
pub const UNLISTED_PROPERTY: &str = "prove_unlisted";
/// The keys that the run's copy of each site has for vendors' libraries.
pub const GA4_KEY: &str = "G-PROVE00001";
/// As [`GA4_KEY`], for Segment's.
pub const SEGMENT_KEY: &str = "prove_write_key";
/// As [`GA4_KEY`], for Matomo's.
pub const MATOMO_KEY: &str = "4711";
/// What the run's copy of each site has as the key of its apps.
pub const APP_KEY: &str = "prove_app_key";
/// The key of each site's backend; the documents hold its fingerprint.
pub const SERVER_KEY: &str = "prove_api_key";
/// A plain word as a part of the path. Where no detector knows it, it leaves with consent as part of the page's name: that is what a page's name
/// is. So it is sent only where a weakened policy lists it, to see that the search sees paths.
pub const PATH_SLOT: &str = "body: word in the path";
/// In front of it.
pub const PATH: &str = "/prove/";
/// Between the parts of a form. No canary has a hyphen.
const BOUNDARY: &str = "----prove-boundary";
/// The slot of the event's own name; a weakened policy lists what is in it.
pub const NAME_SLOT: &str = "body: event name";

/// Headers of every request that hold a canary and nothing else.
const MARKED_HEADERS: [&str; 18] = [
    "Accept",
    "From",
    "If-None-Match",
    "Proxy-Authorization",
    "Referer",
    "Sec-CH-UA",
    "Sec-CH-UA-Full-Version-List",
    "Sec-CH-UA-Model",
    "Sec-CH-UA-Platform",
    "Sec-CH-UA-Platform-Version",
    "Traceparent",
    "True-Client-IP",
    "Via",
    "X-Api-Key",
    "X-Client-IP",
    "X-Real-IP",
    "X-Request-Id",
    "X-User",
];

/// Where beacons are sent, as the site's document says.
#[derive(Clone)]
pub struct Target {
    /// The site's name.
    pub site: String,
    /// The `Host` of its beacons.
    pub host: String,
    /// The page's origin.
    pub origin: String,
    /// The path in front of every route.
    pub prefix: String,
    /// The header that the configuration believes about the client's address, beside `X-Forwarded-For`.
    pub address_header: Option<String>,
    /// Properties that its policy lists as words.
    pub words: Vec<String>,
    /// Whether pages have a plain word as a part of their path: only in the run whose policy lists that path.
    pub word_in_path: bool,
}

/// The protocol whose beacons say most.
pub const NATIVE: &str = "native";

/// The protocols that beacons are made for: all that there are.
pub fn protocols() -> impl Iterator<Item = &'static str> {
    protocol::PROTOCOLS.iter().map(|protocol| protocol.name())
}

/// What the run's copy of each site is called by the libraries of a protocol; nothing where they have no name for it.
#[must_use]
pub fn key(protocol: &str) -> Option<String> {
    match protocol {
        "ga4" => Some(GA4_KEY.to_owned()),
        "segment" => Some(SEGMENT_KEY.to_owned()),
        "matomo" => Some(MATOMO_KEY.to_owned()),
        protocol::app::NAME => Some(APP_KEY.to_owned()),
        protocol::server::NAME => Some(protocol::server::fingerprint(SERVER_KEY)),
        other => templates::has_key(other).then(|| format!("prove_{other}")),
    }
}

/// Whether a voice's yes has to be on record before its beacons are sent, since their protocol has no words for it.
#[must_use]
pub fn says_yes_before(voice: &Voice) -> bool {
    let of = |protocol: &&&dyn Protocol| protocol.name() == voice.protocol;
    voice.stand != Stand::Unknown && protocol::PROTOCOLS.iter().find(of).is_some_and(|protocol| !protocol.says_choices())
}

/// A yes to everything, with a page view that is marked nowhere: its answer brings the visitor's cookie.
#[must_use]
pub fn yes(target: &Target, number: usize) -> Request {
    let event = json!({ "k": "page_view", "i": format!("yes-{number}"), "p": format!("{}/", target.origin) });
    let body = json!({ "s": 5_000, "e": [event], "g": ["analytics", "profile", "ads"] });
    let mut request = Request::new("POST", format!("{}/e", target.prefix), &target.host, body.to_string().into_bytes());
    request.headers.push((String::from("Origin"), target.origin.clone()));
    request.headers.push((String::from("Content-Type"), String::from("text/plain")));
    request
}

/// Whether a voice's objection has to be said before its beacons are sent: a backend's request carries nobody's signals but its own.
#[must_use]
pub fn says_no_before(voice: &Voice) -> bool {
    voice.stand == Stand::Objected && voice.protocol == protocol::server::NAME
}

/// A no to everything, by the visitor with that cookie.
#[must_use]
pub fn no(target: &Target, cookie: &str) -> Request {
    let mut request =
        Request::new("POST", format!("{}/e", target.prefix), &target.host, json!({ "s": 6_000, "g": [] }).to_string().into_bytes());
    request.headers.push((String::from("Origin"), target.origin.clone()));
    request.headers.push((String::from("Content-Type"), String::from("text/plain")));
    request.headers.push((String::from("Cookie"), cookie.to_owned()));
    request
}

/// The beacons of one voice. `cookie`: the visitor's, where they have one.
pub fn beacons(canaries: &mut Canaries, target: &Target, voice: Voice, number: usize, cookie: Option<&str>) -> Vec<Request> {
    let mut with = Slots { canaries, voice, target, number, cookie };
    let mut requests = with.beacons();
    for request in &mut requests {
        with.add_headers(request, cookie);
        if voice.spelling == Spelling::Gzip && !request.body.is_empty() {
            request.body = compressed(&request.body);
            request.headers.push((String::from("Content-Encoding"), String::from("gzip")));
        }
    }
    requests
}

/// A request to a path that leads nowhere: answered with an error, which must not repeat it.
pub fn stray(canaries: &mut Canaries, target: &Target, voice: Voice) -> Request {
    let mut with = Slots { canaries, voice, target, number: 0, cookie: None };
    let path = format!("{}/{}?{}=1", target.prefix, with.part("path: unknown path"), with.part("query: name on an unknown path"));
    let mut request = Request::new("GET", path, &target.host, Vec::new());
    with.add_headers(&mut request, None);
    request
}

/// A form with a file, sent to where the protocol takes its beacons in: whatever becomes of it, nothing of it may come out.
pub fn form(canaries: &mut Canaries, target: &Target, voice: Voice, number: usize) -> Request {
    let mut with = Slots { canaries, voice, target, number, cookie: None };
    let path = with.beacons().into_iter().next().map_or_else(|| target.prefix.clone(), |beacon| beacon.path);
    let part = |name: &str, more: &str, content: &str| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}\r\n")
    };
    let (name, content) = (header_safe(&with.word("form: name of a part")), with.email("form: value of a part"));
    let file = format!("; filename=\"{}\"", header_safe(&with.word("form: name of a file")));
    let inside = with.word("form: content of a file");
    let body = [part(&name, "", &content), part("e", &file, &inside), format!("--{BOUNDARY}--\r\n")].concat();
    let mut request = Request::new("POST", path, &target.host, body.into_bytes());
    with.add_headers(&mut request, None);
    for (name, value) in &mut request.headers {
        if name == "Content-Type" {
            *value = format!("multipart/form-data; boundary={BOUNDARY}");
        }
    }
    request
}

/// What one beacon is made with.
struct Slots<'c> {
    canaries: &'c mut Canaries,
    voice: Voice,
    target: &'c Target,
    /// Each event's own.
    number: usize,
    /// The visitor's, where they have one: `name=value`.
    cookie: Option<&'c str>,
}

impl Slots<'_> {
    fn beacons(&mut self) -> Vec<Request> {
        match self.voice.protocol {
            NATIVE => vec![self.native()],
            "ga4" => vec![self.ga4()],
            "segment" => vec![self.segment()],
            "matomo" => vec![self.matomo()],
            protocol::app::NAME => vec![self.app()],
            protocol::server::NAME => vec![self.server()],
            protocol => self.of_templates(protocol),
        }
    }

    /// A body of JSON.
    fn json(&self, said: &Value) -> Vec<u8> {
        let text = said.to_string();
        match self.voice.spelling {
            // A backslash that JSON would have to escape is one that escapes.
            Spelling::JsonEscapes => text.replace("\\\\u", "\\u").into_bytes(),
            _ => text.into_bytes(),
        }
    }

    fn word(&mut self, slot: &str) -> String {
        self.canaries.word(&self.voice, slot, enclosed(slot))
    }

    /// A plain word in a slot that may pass where a destination's preset keeps the field.
    fn passing(&mut self, slot: &str, field: Field) -> String {
        self.canaries.word(&self.voice, slot, Some(field))
    }

    fn email(&mut self, slot: &str) -> String {
        self.canaries.email(&self.voice, slot, enclosed(slot))
    }

    fn amount(&mut self, slot: &str, field: Field) -> Value {
        let text = self.canaries.amount(&self.voice, slot, field);
        text.parse::<f64>().map_or(Value::Null, |number| json!(number))
    }

    /// A word as part of an address.
    fn part(&mut self, slot: &str) -> String {
        address_safe(&self.word(slot))
    }

    fn email_part(&mut self, slot: &str) -> String {
        address_safe(&self.email(slot))
    }

    /// The page's address, marked wherever an address can be.
    fn page(&mut self) -> String {
        let mut before = self.target.origin.clone() + PATH;
        if self.target.word_in_path && self.voice.protocol == NATIVE {
            before = before + &self.part(PATH_SLOT) + "/";
        }
        format!(
            "{before}{};jsessionid={}?q={}&email={}&{}=1&utm_source={}&utm_medium=email&utm_campaign={}&utm_term={}&utm_content={}&gclid={}&fbclid={}#{}",
            self.email_part("body: path of the page"),
            self.part("body: parameter of the path"),
            self.part("body: query of the page"),
            self.email_part("body: e-mail in the query"),
            self.part("body: name in the query"),
            address_safe(&self.passing("body: utm_source", Field::Campaign)),
            address_safe(&self.passing("body: utm_campaign", Field::Campaign)),
            self.email_part("body: e-mail in utm_term"),
            self.email_part("body: e-mail in utm_content"),
            address_safe(&self.canaries.click_id(&self.voice, "body: gclid", Issuer::Google)),
            address_safe(&self.canaries.click_id(&self.voice, "body: fbclid", Issuer::Meta)),
            self.part("body: fragment"),
        )
    }

    fn referrer(&mut self) -> String {
        format!(
            "https://search.example/{}?q={}#{}",
            self.part("body: path of the referrer"),
            self.part("body: query of the referrer"),
            self.part("body: fragment of the referrer")
        )
    }

    fn event_id(&mut self) -> String {
        format!("{}-{}", self.word("body: event id"), self.number)
    }

    fn add_headers(&mut self, request: &mut Request, cookie: Option<&str>) {
        let agent = format!(
            "Mozilla/5.0 (X11; Linux x86_64; {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 {}",
            self.word("header: User-Agent"),
            self.email("header: e-mail in the User-Agent")
        );
        let cookies = format!(
            "{}={}; _ga=GA1.1.{}.1700000000; ajs_user_id={}; _pk_id.1.1fff={}.1700000000; session={}",
            self.part("header: name of a cookie"),
            self.part("header: value of a cookie"),
            self.part("header: Google's cookie"),
            self.part("header: Segment's cookie"),
            self.part("header: Matomo's cookie"),
            self.email_part("header: e-mail in a cookie"),
        );
        // Where the site follows Matomo's word, this is its yes.
        let yes = if self.voice.protocol == "matomo" && self.voice.stand != Stand::Unknown { "; mtm_consent=1773480000000" } else { "" };
        let cookies = cookies + yes + &cookie.map_or_else(String::new, |cookie| format!("; {cookie}"));
        let languages = format!("fr-{};q=0.7, {}", self.word("header: region of Accept-Language"), self.word("header: Accept-Language"));
        let address = self.canaries.address(&self.voice).to_string();
        let mut headers = vec![
            (String::from("Origin"), self.target.origin.clone()),
            (String::from("Content-Type"), format!("text/plain; x={}", header_safe(&self.word("header: Content-Type")))),
            (String::from("User-Agent"), agent),
            (String::from("Accept-Language"), languages),
            (String::from("Cookie"), cookies),
            // What anybody wrote comes first; the proxy adds the address that it saw.
            (String::from("X-Forwarded-For"), format!("{}, {address}", self.word("header: X-Forwarded-For by anybody"))),
            (String::from("Forwarded"), format!("for={};host={}", self.part("header: Forwarded for"), self.part("header: Forwarded host"))),
        ];
        headers.extend(self.target.address_header.clone().map(|name| (name, address)));
        for name in MARKED_HEADERS {
            headers.push((name.to_owned(), self.word(&format!("header: {name}"))));
        }
        if self.voice.spelling == Spelling::Plain {
            headers.push((format!("X-{}", self.word("header: name of a header")), String::from("1")));
        }
        if self.voice.stand == Stand::Objected {
            headers.push((String::from("Sec-GPC"), String::from("1")));
        }
        request.headers.append(&mut headers);
    }
}

/// The field of the sealed envelope that a slot fills: what is in it may leave where a deviation keeps that field, and nowhere else.
fn enclosed(slot: &str) -> Option<Field> {
    let ends = |names: &[&str]| names.iter().any(|name| slot.ends_with(name));
    if ends(&["User-Agent"]) {
        Some(Field::UserAgent)
    } else if ends(&[" fbp", " fbc", ": event id", "vendor's id"]) {
        Some(Field::VendorIds)
    } else if slot.contains(" ud[") || slot.contains(": contact ") || ends(&["traits.email", "traits.phone"]) {
        Some(Field::Contact)
    } else {
        None
    }
}

/// Eight levels of JSON.
fn nested(value: &str) -> Value {
    (0..8).fold(json!(value), |inner, _| json!([inner]))
}

/// As part of an address: what would end it or is not ASCII is percent-encoded; a percent sign stays what it is.
fn address_safe(text: &str) -> String {
    text.bytes().fold(String::new(), |mut safe, byte| {
        if byte.is_ascii_alphanumeric() || b"%@.-_~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
        safe
    })
}

/// A whole address as the value of a query.
fn whole(address: &str) -> String {
    percent_encoding::utf8_percent_encode(address, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// In a parameter of a header, which a semicolon would end.
fn header_safe(text: &str) -> String {
    text.replace([';', '&', '#'], "")
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    use bytes::Bytes;
    use flate2::read::GzDecoder;
    use http::HeaderMap;

    use super::*;
    use crate::{
        clock::Timestamp,
        privacy::{personal::Personal, raw::ClientAddress},
        protocol::{Action, inbound::Inbound},
    };

    fn target() -> Target {
        Target {
            site: String::from("shop"),
            host: String::from("www.shop.example"),
            origin: String::from("https://www.shop.example"),
            prefix: String::from("/keso"),
            address_header: None,
            words: vec![String::from("plan")],
            word_in_path: false,
        }
    }

    /// How many events a protocol reads in a request; nothing where the path is only served. What it cannot read fails.
    fn events(protocol: &'static dyn Protocol, request: &Request, what: &str) -> Option<usize> {
        let uri: http::Uri = request.path.parse().unwrap_or_else(|error| panic!("{what}: {error}"));
        let below = uri.path().strip_prefix("/keso").unwrap();
        let fits = |route: &&protocol::Route| route.method == request.method && protocol::fits(route.path, below);
        let route = protocol.routes().iter().find(fits).unwrap_or_else(|| panic!("{what}: {} leads nowhere", request.path));
        let Action::Collect = route.action else { return None };
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers.iter().filter(|(name, _)| !name.starts_with("X-z")) {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let mut body = request.body.clone();
        if headers.contains_key("content-encoding") {
            body.clear();
            std::io::Read::read_to_end(&mut GzDecoder::new(request.body.as_slice()), &mut body).unwrap();
        }
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let inbound = Inbound::new(uri, headers, Bytes::from(body), address, true, Timestamp(1_773_480_413_589));
        let decoded = protocol.decode(&inbound, inbound.received());
        assert!(decoded.bad.is_empty(), "{what}: {:?}", decoded.bad);
        Some(decoded.events.len())
    }

    #[test]
    fn every_protocol_has_beacons_and_reads_each_of_them_in_every_spelling() {
        for protocol in protocol::PROTOCOLS {
            for stand in Stand::ALL {
                for spelling in Spelling::ALL {
                    let what = format!("{} of {}, {}", protocol.name(), stand.name(), spelling.name());
                    let voice = Voice { protocol: protocol.name(), stand, round: 0, spelling };
                    let mut canaries = Canaries::new(1);
                    let requests = beacons(&mut canaries, &target(), voice, 7, Some("kept=1"));
                    let read: usize = requests.iter().filter_map(|request| events(*protocol, request, &what)).sum();
                    assert!(
                        read >= 2,
                        "{what}: {read} events in {} requests; src/prove/beacons/templates.rs has the table",
                        requests.len()
                    );
                    let with_cookie = |request: &Request| request.headers.iter().any(|(_, value)| value.ends_with("; kept=1"));
                    assert!(requests.iter().all(with_cookie), "{what}");
                }
            }
        }
    }

    #[test]
    fn every_canary_of_a_beacon_is_in_it() {
        for protocol in protocols() {
            let voice = Voice { protocol, stand: Stand::Granted, round: 0, spelling: Spelling::Plain };
            let mut canaries = Canaries::new(1);
            let requests = beacons(&mut canaries, &target(), voice, 7, None);
            let mut sent = String::new();
            for request in &requests {
                sent += &format!("{} {:?} {}", request.path, request.headers, String::from_utf8_lossy(&request.body));
                // What is packed once more, in a form or inside JSON.
                let said = String::from_utf8_lossy(&request.body).into_owned() + " " + &request.path;
                let said = percent_encoding::percent_decode_str(&said).decode_utf8_lossy().into_owned();
                sent += &said;
                for piece in said.split(|letter: char| !letter.is_ascii_alphanumeric() && !"+/".contains(letter)) {
                    sent +=
                        &STANDARD_NO_PAD.decode(piece).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
                }
            }
            let all: Vec<_> = canaries.all().cloned().collect();
            assert!(all.len() >= 50, "{protocol}: {}", all.len());
            for canary in all {
                let mut again = Canaries::new(1);
                let word =
                    if canary.field == Some(Field::Value) || canary.field == Some(Field::Tax) || canary.field == Some(Field::Shipping) {
                        again.amount(&voice, &canary.slot, Field::Value)
                    } else if canary.slot == "header: client address" {
                        again.address(&voice).to_string()
                    } else {
                        again.word(&voice, &canary.slot, None)
                    };
                assert!(sent.contains(&word), "{protocol}: {} is in no request", canary.slot);
            }
        }
    }
}
