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
/// As [`GA4_KEY`], for Matomo's.
pub const MATOMO_KEY: &str = "4711";
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

/// The protocols that beacons are made for.
pub const PROTOCOLS: [&str; 4] = ["native", "ga4", "segment", "matomo"];

/// The beacon of one voice.
pub fn beacon(canaries: &mut Canaries, target: &Target, voice: Voice, number: usize) -> Request {
    let mut with = Slots { canaries, voice, target, number };
    let mut request = with.beacon();
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

/// A form with a file, sent to where the protocol takes its beacons in: whatever becomes of it, nothing of it may come out.
pub fn form(canaries: &mut Canaries, target: &Target, voice: Voice, number: usize) -> Request {
    let mut with = Slots { canaries, voice, target, number };
    let beacon = with.beacon();
    let part = |name: &str, more: &str, content: &str| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}\r\n")
    };
    let (name, content) = (header_safe(&with.word("form: name of a part")), with.email("form: value of a part"));
    let file = format!("; filename=\"{}\"", header_safe(&with.word("form: name of a file")));
    let inside = with.word("form: content of a file");
    let body = [part(&name, "", &content), part("e", &file, &inside), format!("--{BOUNDARY}--\r\n")].concat();
    let mut request = Request::new("POST", beacon.path, &target.host, body.into_bytes());
    with.add_headers(&mut request);
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
}

impl Slots<'_> {
    fn beacon(&mut self) -> Request {
        match self.voice.protocol {
            "ga4" => self.ga4(),
            "segment" => self.segment(),
            "matomo" => self.matomo(),
            _ => self.native(),
        }
    }

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
        let mut before = self.target.origin.clone() + PATH;
        if self.target.word_in_path && self.voice.protocol == PROTOCOLS[0] {
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
            "ip": self.word("body: address said by the page"),
            "ua": self.word("body: user agent said by the page"),
            "title": self.email("body: title under another name"),
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
            ("_uip", self.part("query: address override of the server's API")),
            ("ua", self.part("query: user agent said by the page")),
            ("unknown", self.part("query: unknown value")),
        ];
        let query: String = query.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let unknown = self.part("query: unknown name");
        let page = 1_773_480_000 + self.number;
        let path = format!("{}/g/collect?v=2&tid={GA4_KEY}&_p={page}&_s={}{query}&{unknown}=1{consent}", self.target.prefix, self.number);
        let lines = [
            format!(
                "en={}&ep.{UNLISTED_PROPERTY}={}&ep.{}={}&up.tier={}&em={}&ep.nested={}&_et=100",
                self.part(NAME_SLOT),
                self.part("body: unlisted property"),
                self.part("body: name of a parameter"),
                self.part("body: value of a parameter"),
                self.email_part("body: user property"),
                self.part("body: hashed e-mail (em)"),
                whole(&nested(&self.word("body: eight levels down, as JSON")).to_string()),
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
            "more": nested(&self.word("body: eight levels down in the context")),
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
                "title": self.email("body: property title"),
                "ip": self.word("body: property ip"),
                "nested": nested(&self.word("body: eight levels down in the properties")),
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

    /// Two hits in one body: an event and an order.
    fn matomo(&mut self) -> Request {
        let event_id = self.event_id();
        let said = [
            ("url", whole(&self.page())),
            ("urlref", whole(&self.referrer())),
            ("action_name", self.email_part("body: title (action_name)")),
            ("uid", address_safe(&self.passing("body: user id", Field::UserId))),
            ("lang", format!("fr-{}", self.part("body: language"))),
            ("res", String::from("1440x900")),
            ("_id", self.part("body: visitor id (_id)")),
            ("cid", self.part("body: visitor id (cid)")),
            ("cip", self.part("body: address said by the page")),
            ("ua", self.part("body: user agent said by the page")),
            ("uadata", whole(&nested(&self.word("body: client hints, eight levels down")).to_string())),
            ("country", self.part("body: country")),
            ("region", self.part("body: region")),
            ("city", self.part("body: city")),
            ("lat", self.part("body: latitude")),
            ("token_auth", self.part("body: token_auth")),
            ("dimension1", self.email_part("body: custom dimension")),
            (
                "_cvar",
                whole(&json!({ "1": [self.word("body: name of a custom variable"), self.word("body: custom variable")] }).to_string()),
            ),
            ("pv_id", address_safe(&event_id)),
        ];
        let said: String = said.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let unknown = format!("&{}={}", self.part("body: unknown name"), self.part("body: unknown value"));
        let event = format!(
            "?idsite={MATOMO_KEY}&rec=1&rand={}{said}{unknown}&e_c={}&e_a={}&e_n={}&search={}&link={}&c_n={}",
            2 * self.number,
            self.email_part("body: category (e_c)"),
            self.part(NAME_SLOT),
            self.email_part("body: label (e_n)"),
            self.email_part("body: search"),
            self.email_part("body: link"),
            self.email_part("body: name of content"),
        );
        let items = json!([[
            self.passing("body: product id", Field::Items),
            self.email("body: e-mail as product name"),
            [self.email("body: e-mail as category")],
            12,
            1
        ]]);
        let order = format!(
            "?idsite={MATOMO_KEY}&rec=1&rand={}{said}&idgoal=0&ec_id={}&revenue={}&ec_tx={}&ec_sh={}&ec_items={}",
            2 * self.number + 1,
            address_safe(&self.passing("body: order id", Field::OrderId)),
            self.amount("body: amount", Field::Value),
            self.amount("body: tax", Field::Tax),
            self.amount("body: shipping", Field::Shipping),
            whole(&items.to_string()),
        );
        let body = json!({ "requests": [event, order], (self.word("body: unknown field")): self.word("body: its value") });
        let path = format!("{}/matomo.php?{}={}", self.target.prefix, self.part("query: name"), self.part("query: value"));
        Request::new("POST", path, &self.target.host, body.to_string().into_bytes())
    }

    fn add_headers(&mut self, request: &mut Request) {
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
        let cookies = cookies + yes;
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
