//! Marked beacons: for each protocol a request with a canary in every slot that it has, and the headers that every request has.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    canaries::{Canaries, Stand, Voice},
    scanner::compressed,
    spellings::Spelling,
    wire::Request,
};
use crate::privacy::{policy::Field, scrub::parameters::Issuer};

/// A property that no site lists: a weakened policy does.
pub const UNLISTED_PROPERTY: &str = "prove_unlisted";
/// The keys that the run's copy of each site has for vendors' libraries.
pub const GA4_KEY: &str = "G-PROVE00001";
/// As [`GA4_KEY`], for Segment's.
pub const SEGMENT_KEY: &str = "prove_write_key";
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
}

/// The protocols that beacons are made for.
pub const PROTOCOLS: [&str; 3] = ["native", "ga4", "segment"];

/// The beacon of one voice.
pub fn beacon(canaries: &mut Canaries, target: &Target, voice: Voice, number: usize) -> Request {
    let mut with = Slots { canaries, voice, target, number };
    let mut request = match voice.protocol {
        "ga4" => with.ga4(),
        "segment" => with.segment(),
        _ => with.native(),
    };
    with.add_headers(&mut request);
    match voice.spelling {
        Spelling::Gzip => {
            request.body = compressed(&request.body);
            request.headers.push((String::from("Content-Encoding"), String::from("gzip")));
        }
        Spelling::JsonEscapes if voice.protocol != "ga4" => {
            // A backslash that JSON would have to escape is one that escapes.
            let escaped = String::from_utf8_lossy(&request.body).replace("\\\\u", "\\u");
            request.body = escaped.into_bytes();
        }
        _ => {}
    }
    request
}

/// A request to a path that leads nowhere: answered with an error, which must not repeat it.
pub fn stray(canaries: &mut Canaries, target: &Target, voice: Voice) -> Request {
    let mut with = Slots { canaries, voice, target, number: 0 };
    let path = format!("{}/{}?{}=1", target.prefix, with.part("path: unknown path"), with.part("query: name on an unknown path"));
    let mut request = Request::new("GET", path, &target.host, Vec::new());
    with.add_headers(&mut request);
    request
}

/// What one beacon is made with.
struct Slots<'c> {
    canaries: &'c mut Canaries,
    voice: Voice,
    target: &'c Target,
    /// Each event's own.
    number: usize,
}

impl Slots<'_> {
    fn word(&mut self, slot: &str) -> String {
        self.canaries.word(&self.voice, slot, None)
    }

    /// A plain word in a slot that may pass where a destination's preset keeps the field.
    fn passing(&mut self, slot: &str, field: Field) -> String {
        self.canaries.word(&self.voice, slot, Some(field))
    }

    fn email(&mut self, slot: &str) -> String {
        self.canaries.email(&self.voice, slot)
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
        let origin = self.target.origin.clone();
        format!(
            "{origin}/prove/{};jsessionid={}?q={}&email={}&{}=1&utm_source={}&utm_medium=email&utm_campaign={}&utm_term={}&utm_content={}&gclid={}&fbclid={}#{}",
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
        format!("https://search.example/{}?q={}", self.part("body: path of the referrer"), self.part("body: query of the referrer"))
    }

    fn event_id(&mut self) -> String {
        format!("{}-{}", self.word("body: event id"), self.number)
    }

    fn native(&mut self) -> Request {
        let mut properties = serde_json::Map::new();
        for name in self.target.words.clone() {
            properties.insert(name, json!(self.email("body: e-mail in a listed property")));
        }
        properties.insert(String::from(UNLISTED_PROPERTY), json!(self.word("body: unlisted property")));
        properties.insert(self.word("body: name of a property"), json!(self.word("body: value of a property")));
        properties.insert(String::from("email"), json!(self.email("body: property email")));
        let event = json!({
            "k": self.word(NAME_SLOT),
            "i": self.event_id(),
            "t": 4_900,
            "p": self.page(),
            "r": self.referrer(),
            "n": format!("{} {}", self.word("body: title"), self.email("body: e-mail in the title")),
            "l": format!("fr-{}", self.word("body: language")),
            "w": 1440,
            "a": self.passing("body: user id", Field::UserId),
            "d": properties,
            (self.word("body: unknown field")): { (self.word("body: nested name")): nested(&self.word("body: eight levels down")) },
        });
        let order = json!({
            "k": "purchase",
            "i": self.event_id() + "-order",
            "p": self.page(),
            "a": self.passing("body: user id", Field::UserId),
            "v": self.amount("body: amount", Field::Value),
            "m": "EUR",
            "x": self.passing("body: order id", Field::OrderId),
            "tx": self.amount("body: tax", Field::Tax),
            "sh": self.amount("body: shipping", Field::Shipping),
            "cp": self.passing("body: coupon", Field::Coupon),
            "y": [
                { "id": self.passing("body: product id", Field::Items), "name": self.passing("body: product name", Field::Items), "price": 12 },
                { "id": "cup", "name": self.email("body: e-mail as product name"), "brand": self.email("body: e-mail as brand"),
                  "category": self.email("body: e-mail as category"), "variant": self.email("body: e-mail as variant"),
                  (self.word("body: unknown field of a product")): self.word("body: unknown value of a product") },
            ],
        });
        let mut body =
            json!({ "s": 5_000, "e": [event, order], (self.word("body: unknown top-level field")): self.word("body: its value") });
        if self.voice.stand != Stand::Unknown {
            body["g"] = json!(["analytics", "profile", "ads"]);
        }
        let path = format!("{}/e?{}={}", self.target.prefix, self.part("query: name"), self.part("query: value"));
        Request::new("POST", path, &self.target.host, body.to_string().into_bytes())
    }

    fn ga4(&mut self) -> Request {
        let consent = if self.voice.stand == Stand::Unknown { "" } else { "&gcs=G111&gcd=13r3r3r3r5l1" };
        let query = [
            ("cid", format!("{}.{}", self.part("query: client id (cid)"), self.part("query: second half of cid"))),
            ("sid", self.part("query: session id")),
            ("ul", format!("fr-{}", self.part("query: language"))),
            ("sr", String::from("1440x900")),
            ("uaa", self.part("query: architecture hint")),
            ("uafvl", self.part("query: full version hint")),
            ("uam", self.part("query: model hint")),
            ("uid", address_safe(&self.passing("query: user id", Field::UserId))),
            ("dl", whole(&self.page())),
            ("dr", whole(&self.referrer())),
            ("dt", self.email_part("query: e-mail in the title")),
            ("dh", self.part("query: host")),
            ("uip", self.part("query: address override")),
            ("unknown", self.part("query: unknown value")),
        ];
        let query: String = query.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let unknown = self.part("query: unknown name");
        let page = 1_773_480_000 + self.number;
        let path = format!("{}/g/collect?v=2&tid={GA4_KEY}&_p={page}&_s={}{query}&{unknown}=1{consent}", self.target.prefix, self.number);
        let lines = [
            format!(
                "en={}&ep.{UNLISTED_PROPERTY}={}&ep.{}={}&up.tier={}&em={}&_et=100",
                self.part(NAME_SLOT),
                self.part("body: unlisted property"),
                self.part("body: name of a parameter"),
                self.part("body: value of a parameter"),
                self.email_part("body: user property"),
                self.part("body: hashed e-mail (em)"),
            ),
            format!(
                "en=purchase&cu=EUR&epn.value={}&epn.tax={}&epn.shipping={}&ep.transaction_id={}&ep.coupon={}&pr1=id{}~nm{}~pr12&_et=100",
                self.canaries.amount(&self.voice, "body: amount", Field::Value),
                self.canaries.amount(&self.voice, "body: tax", Field::Tax),
                self.canaries.amount(&self.voice, "body: shipping", Field::Shipping),
                address_safe(&self.passing("body: transaction id", Field::OrderId)),
                address_safe(&self.passing("body: coupon", Field::Coupon)),
                address_safe(&self.passing("body: item id", Field::Items)),
                self.email_part("body: e-mail as item name"),
            ),
        ];
        Request::new("POST", path, &self.target.host, lines.join("\r\n").into_bytes())
    }

    fn segment(&mut self) -> Request {
        let mut context = json!({
            "page": { "url": self.page(), "path": self.email_part("body: context.page.path"), "referrer": self.referrer(),
                      "search": format!("?{}", self.part("body: context.page.search")),
                      "title": self.email("body: context.page.title") },
            "userAgent": self.word("body: context.userAgent"),
            "locale": format!("fr-{}", self.word("body: context.locale")),
            "timezone": self.word("body: context.timezone"),
            "ip": self.word("body: context.ip"),
            "campaign": { "source": self.passing("body: context.campaign.source", Field::Campaign) },
            "device": { "id": self.word("body: context.device.id"), "model": self.word("body: context.device.model") },
            "traits": { "email": self.email("body: context.traits.email") },
            "os": { "name": self.word("body: context.os.name") },
        });
        if self.voice.stand != Stand::Unknown {
            context["consent"] = json!({ "categoryPreferences": { "Analytics": true, "Advertising": true } });
        }
        let user = self.passing("body: userId", Field::UserId);
        let anonymous = self.word("body: anonymousId");
        let call = json!({
            "type": "track", "event": self.word(NAME_SLOT), "messageId": self.event_id(), "userId": user, "anonymousId": anonymous,
            "properties": {
                (UNLISTED_PROPERTY): self.word("body: unlisted property"),
                (self.word("body: name of a property")): self.word("body: value of a property"),
                "email": self.email("body: property email"),
            },
            "context": context, "integrations": { (self.word("body: integration")): true },
        });
        let order = json!({
            "type": "track", "event": "Order Completed", "messageId": self.event_id() + "-order", "userId": user, "anonymousId": anonymous,
            "properties": {
                "order_id": self.passing("body: order id", Field::OrderId),
                "revenue": self.amount("body: revenue", Field::Value),
                "tax": self.amount("body: tax", Field::Tax),
                "shipping": self.amount("body: shipping", Field::Shipping),
                "currency": "EUR",
                "coupon": self.passing("body: coupon", Field::Coupon),
                "products": [{ "product_id": self.passing("body: product id", Field::Items), "name": self.email("body: e-mail as product name"), "price": 12 }],
            },
            "context": context,
        });
        let identify = json!({
            "type": "identify", "messageId": self.event_id() + "-identify", "userId": user, "anonymousId": anonymous,
            "traits": { "name": self.word("body: traits.name"), "email": self.email("body: traits.email"), "phone": self.word("body: traits.phone") },
            "context": context,
        });
        let body = json!({ "batch": [call, order, identify], "writeKey": SEGMENT_KEY, (self.word("body: unknown field")): self.word("body: unknown value") });
        let path = format!("{}/v1/b?{}={}", self.target.prefix, self.part("query: name"), self.part("query: value"));
        let mut request = Request::new("POST", path, &self.target.host, body.to_string().into_bytes());
        request.headers.push((String::from("Authorization"), format!("Basic {}", STANDARD.encode(format!("{SEGMENT_KEY}:")))));
        request
    }

    fn add_headers(&mut self, request: &mut Request) {
        let agent = format!(
            "Mozilla/5.0 (X11; Linux x86_64; {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 {}",
            self.word("header: User-Agent"),
            self.email("header: e-mail in the User-Agent")
        );
        let cookies = format!(
            "{}={}; _ga=GA1.1.{}.1700000000; ajs_user_id={}; session={}",
            self.part("header: name of a cookie"),
            self.part("header: value of a cookie"),
            self.part("header: Google's cookie"),
            self.part("header: Segment's cookie"),
            self.email_part("header: e-mail in a cookie"),
        );
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
