//! Destination `matomo`: the Tracking HTTP API of a Matomo of the site owner's, <https://developer.matomo.org/api-reference/tracking-api>, many
//! hits in one request.
//!
//! Matomo takes the visitor's address from the connection, or from `cip`, which it refuses without a token. Neither is a visitor's here: the
//! connection is ours, and `cip` is never sent. So that visits from one address stay apart, each hit names its visitor by `cid`.
//!
//! A time (`cdt`) of more than 24 hours ago is refused without a token, too: without one, events expire before.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Verdict, Via,
    settings::Settings,
    words::{
        address::{self, encoded},
        agent, answers, figures,
        parcels::{Bounds, Filled, Said, fill},
    },
};
use crate::{
    config::secret::Secret,
    privacy::{clean::Item, disclose::Disclosure, enrich::place::Country},
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "Matomo, on a server that the website’s owner chose",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &["content-type"],
    form: &[
        ("", &["token_auth"]),
        ("requests[]?", &["idsite", "rec", "apiv", "_id", "cid", "rand", "cdt", "url", "urlref", "ua", "lang", "res", "uid", "country"]),
        ("requests[]?", &["idgoal", "ec_id", "revenue", "ec_tx", "ec_sh", "ec_items", "_pks", "_pkn", "_pkc", "_pkp"]),
        ("requests[]?", &["search", "search_cat", "link", "download", "c_n", "c_p", "c_i", "ping", "ca", "e_c", "e_a", "e_n", "e_v"]),
        ("requests[]?", &["dimension#", "*"]),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}/matomo.php\"\nsite_id = 1\ntoken = \"{secret}\"",
        secret: "00000000000000000000000000000000",
        purchase: "ec_id=",
        yes: |body| {
            let hits = serde_json::from_slice::<Value>(body).ok().and_then(|body| Some(body["requests"].as_array()?.len()));
            json!({ "status": "success", "tracked": hits, "invalid": 0 }).to_string()
        },
    },
    open,
};

const NAME: &str = "matomo";
/// Matomo names no bound; its own importer of logs sends 200 at once.
const EVENTS_MAX: usize = 200;
/// Far below the 8 MB that PHP takes by default.
const BYTES_MAX: usize = 512 * 1024;
/// What of `BYTES_MAX` stands around the hits: two names and the token.
const AROUND_BYTES: usize = 1_024;
/// With a token, Matomo takes hits of any age; it makes the reports of their days again.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Without one, 24 hours: half of it may pass before an event comes in, the other half before it is sent, with an hour to spare for each.
const OLDEST_WITHOUT_TOKEN: Duration = Duration::from_secs(11 * 60 * 60);
/// Custom dimensions are numbered so.
const DIMENSION_MAX: u32 = 999;
/// What begins the names of Matomo's own fields, as policies list them.
const VENDOR: &str = "matomo.";
/// The category of events for which the site says none: Matomo takes no event without. No word that may rest has brackets, so that it is
/// never taken for one.
const NO_CATEGORY: &str = "(none)";
/// How a content was used, where the site does not say.
const USED: &str = "(used)";

struct Matomo {
    url: String,
    site_id: u32,
    token: Option<Secret>,
    currency: Option<String>,
    dimensions: BTreeMap<String, u32>,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "site_id", "token", "currency", "dimensions"])?;
    // A site's number must be there; 0 is none.
    let site_id = settings.whole_number("site_id", 1..=u32::MAX, 0)?;
    if site_id == 0 {
        return Err(super::settings::error("site_id", "is missing", Some(String::from("the number of the site in Matomo: site_id = 1"))));
    }
    Ok(Box::new(Matomo {
        url: settings.url("url", None, "https://matomo.example.org/matomo.php")?,
        site_id,
        token: settings.optional_secret("token")?,
        currency: settings.optional_text("currency")?.map(str::to_owned),
        dimensions: settings.numbers("dimensions", 1..=DIMENSION_MAX)?,
    }))
}

impl Destination for Matomo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        Some(&self.url)
    }

    fn limits(&self) -> BatchLimits {
        let oldest = if self.token.is_some() { OLDEST } else { OLDEST_WITHOUT_TOKEN };
        BatchLimits { events: EVENTS_MAX, bytes: BYTES_MAX, oldest, group_by: GroupBy::None }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let bounds = Bounds { events: EVENTS_MAX, bytes: BYTES_MAX - AROUND_BYTES };
        fill(batch, bounds, |disclosure| self.hit(disclosure)).into_iter().map(|filled| self.parcel(filled)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        let sent = parcel.events.len();
        let body = match answers::taken(answer) {
            Ok(body) => body,
            Err(verdict) => return vec![verdict; sent],
        };
        let Ok(counted) = serde_json::from_slice::<Counted>(body) else {
            return vec![Verdict::EndpointRefuses { reason: "it does not answer as Matomo does: check the url" }; sent];
        };
        let refused = Verdict::Rejected { reason: "Matomo refuses the hit: check site_id and token" };
        match counted {
            // Only to a super user's token does it say which.
            Counted { invalid_indices: Some(which), .. } if which.len() < sent => {
                let verdict = |at| if which.contains(&at) { refused.clone() } else { Verdict::Accepted { proven: true } };
                (0..sent).map(verdict).collect()
            }
            Counted { invalid: 0, tracked, .. } if tracked >= sent => vec![Verdict::Accepted { proven: true }; sent],
            Counted { invalid, .. } if invalid >= sent => vec![refused; sent],
            // It took some and does not say which: sending all again would count those twice.
            _ => vec![Verdict::Accepted { proven: false }; sent],
        }
    }
}

/// What a bulk request is answered.
#[derive(Deserialize)]
struct Counted {
    tracked: usize,
    invalid: usize,
    #[serde(default)]
    invalid_indices: Option<Vec<usize>>,
}

impl Matomo {
    fn parcel(&self, filled: Filled) -> Parcel {
        let mut body = b"{\"requests\":[".to_vec();
        body.extend_from_slice(&filled.texts);
        body.push(b']');
        if let Some(token) = &self.token {
            body.extend_from_slice(b",\"token_auth\":");
            let token: String = token.bytes().iter().map(|byte| char::from(*byte)).collect();
            body.extend_from_slice(Value::from(token).to_string().as_bytes());
        }
        body.push(b'}');
        let call = HttpCall::json(self.url.clone(), None);
        Parcel { via: Via::Http(call), body: Bytes::from(body), events: filled.events, unsaid: filled.unsaid }
    }

    /// A hit is a query, and a JSON text in the body.
    fn hit(&self, disclosure: &Disclosure) -> Said {
        let mut hit = Hit::default();
        hit.say("idsite", Some(self.site_id.to_string()));
        hit.say("rec", Some("1"));
        hit.say("apiv", Some("1"));
        hit.say("_id", Some(disclosure.visitor_id()));
        hit.say("cid", Some(disclosure.visitor_id()));
        hit.say("rand", Some(disclosure.event_id()));
        self.circumstances(&mut hit, disclosure);
        let subject = Subject::of(disclosure);
        let said = subject.tell(&mut hit, disclosure, self.is_in_currency(disclosure));
        self.properties(&mut hit, disclosure, said);
        Said { text: Value::from(hit.query).to_string().into_bytes(), unsaid: hit.unsaid }
    }

    /// When and where it was, and on what.
    fn circumstances(&self, hit: &mut Hit, disclosure: &Disclosure) {
        match figures::milliseconds(disclosure) {
            Some(happened) => {
                let within = i64::try_from(OLDEST_WITHOUT_TOKEN.as_millis()).unwrap_or(i64::MAX);
                let earliest = if self.token.is_some() { i64::MIN } else { disclosure.received().0.saturating_sub(within) };
                hit.unsaid += usize::from(happened < earliest);
                hit.say("cdt", Some(happened.max(earliest).div_euclid(1_000).to_string()));
            }
            None => hit.unsaid += 1,
        }
        for (name, (address, unsaid)) in [("url", address::page(disclosure)), ("urlref", address::referrer(disclosure))] {
            hit.say(name, address);
            hit.unsaid += unsaid;
        }
        hit.say("ua", agent::of(disclosure.device()));
        hit.say("lang", disclosure.language().map(|language| language.code().to_owned()));
        hit.say("res", figures::resolution(disclosure));
        hit.say("uid", disclosure.user().map(|(id, _)| id));
        // Without a token it is not believed: the place would be that of our connection.
        let country = Some(disclosure.country()).filter(|country| *country != Country::UNKNOWN);
        match country {
            Some(country) if self.token.is_some() => hit.say("country", Some(country.code().to_ascii_lowercase())),
            country => hit.unsaid += usize::from(country.is_some()),
        }
        // Matomo looks for bots itself.
        hit.unsaid += usize::from(!disclosure.bot().is_nothing());
    }

    /// Money of a Matomo site has one currency: sums of several would be none.
    fn is_in_currency(&self, disclosure: &Disclosure) -> bool {
        match (&self.currency, disclosure.currency()) {
            (Some(own), Some(said)) => own == said,
            _ => true,
        }
    }

    /// Matomo's own fields as they came, and of the site's own properties those that are custom dimensions. `said`: what is said already.
    fn properties(&self, hit: &mut Hit, disclosure: &Disclosure, said: &[&str]) {
        for (name, value) in disclosure.properties().iter().filter(|(name, _)| !said.contains(&name.as_str())) {
            let dimension = self.dimensions.get(name).map(|number| format!("dimension{number}"));
            match dimension.as_deref().or_else(|| name.strip_prefix(VENDOR)) {
                Some(parameter) => hit.say(parameter, Some(figures::text(value))),
                None => hit.unsaid += 1,
            }
        }
    }
}

/// A hit on the way.
struct Hit {
    query: String,
    names: Vec<String>,
    unsaid: usize,
}

impl Default for Hit {
    fn default() -> Self {
        Self { query: String::from("?"), names: Vec::new(), unsaid: 0 }
    }
}

impl Hit {
    /// Says a parameter where there is something to say, the first of a name alone.
    fn say(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        let Some(value) = value else { return };
        if self.names.iter().any(|known| known == name) {
            self.unsaid += 1;
            return;
        }
        if !self.names.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(&encoded(name));
        self.query.push('=');
        self.query.push_str(&encoded(value.as_ref()));
        self.names.push(name.to_owned());
    }

    fn number(&mut self, name: &str, value: Option<f64>) {
        self.say(name, value.map(|value| value.to_string()));
    }
}

/// What a hit is about, in Matomo's words.
#[derive(Clone, Copy)]
enum Subject {
    Page,
    Order,
    Cart,
    Goal,
    Search,
    Link,
    Download,
    ContentShown,
    ContentUsed,
    Heartbeat,
    Event,
}

impl Subject {
    /// An event that lacks what one of Matomo's own needs is an event by its name.
    fn of(disclosure: &Disclosure) -> Self {
        let said = |name| figures::word(disclosure, name).is_some();
        match disclosure.name() {
            "page_view" => Self::Page,
            // An event that is called so and has nothing of an order is none.
            "purchase" if is_order(disclosure) => Self::Order,
            "cart_update" => Self::Cart,
            "goal" if figures::amount(disclosure, "goal").is_some_and(|number| number >= 1.0) => Self::Goal,
            "view_search_results" if said("search_term") => Self::Search,
            "click" if said("link_domain") => Self::Link,
            "file_download" if said("link_domain") && said("file_extension") => Self::Download,
            "content_impression" if said("content_name") => Self::ContentShown,
            "content_interaction" if said("content_name") => Self::ContentUsed,
            "user_engagement" => Self::Heartbeat,
            _ => Self::Event,
        }
    }

    /// Says it, and which properties are said by that.
    fn tell(self, hit: &mut Hit, disclosure: &Disclosure, in_currency: bool) -> &'static [&'static str] {
        let word = |name| figures::word(disclosure, name);
        let money = |said: Option<f64>| said.filter(|_| in_currency);
        let mut orders = false;
        let mut products = 0;
        let said: &'static [&'static str] = match self {
            Self::Page => &[],
            Self::Order | Self::Cart => {
                orders = true;
                hit.say("idgoal", Some("0"));
                if matches!(self, Self::Order) {
                    // An order has an id, or it is none.
                    hit.say("ec_id", disclosure.transaction_id().or(Some(disclosure.event_id())));
                }
                hit.number("revenue", Some(money(disclosure.value()).unwrap_or(0.0)));
                hit.number("ec_tx", money(disclosure.tax()));
                hit.number("ec_sh", money(disclosure.shipping()));
                products = disclosure.items().len();
                let items: Vec<Value> = disclosure.items().iter().map(|product| item(hit, product, in_currency)).collect();
                hit.say("ec_items", (!items.is_empty()).then(|| Value::from(items).to_string()));
                &[]
            }
            Self::Goal => {
                hit.number("idgoal", figures::amount(disclosure, "goal").map(f64::trunc));
                hit.number("revenue", money(disclosure.value()));
                &["goal"]
            }
            Self::Search => {
                hit.say("search", word("search_term"));
                hit.say("search_cat", word("search_category"));
                &["search_term", "search_category"]
            }
            Self::Link => {
                hit.say("link", word("link_domain").map(|domain| format!("https://{domain}/")));
                &["link_domain", "outbound"]
            }
            Self::Download => {
                let file = word("link_domain").zip(word("file_extension"));
                hit.say("download", file.map(|(domain, extension)| format!("https://{domain}/file.{extension}")));
                &["link_domain", "file_extension"]
            }
            Self::ContentShown | Self::ContentUsed => {
                hit.say("c_n", word("content_name"));
                hit.say("c_p", word("content_piece"));
                if matches!(self, Self::ContentUsed) {
                    hit.say("c_i", word("content_interaction").or(Some(USED)));
                }
                &["content_name", "content_piece", "content_interaction"]
            }
            Self::Heartbeat => {
                hit.say("ping", Some("1"));
                &[]
            }
            Self::Event => {
                hit.say("ca", Some("1"));
                hit.say("e_c", word("event_category").or(Some(NO_CATEGORY)));
                hit.say("e_a", Some(disclosure.name()));
                hit.say("e_n", word("event_label"));
                let viewed = disclosure.items().first().filter(|_| disclosure.name() == "view_item");
                if let Some(product) = viewed {
                    products = 1;
                    viewed_product(hit, product, money(product.price.or(disclosure.value())));
                }
                let value = figures::amount(disclosure, "event_value").or_else(|| money(disclosure.value()).filter(|_| viewed.is_none()));
                hit.number("e_v", value);
                &["event_category", "event_label", "event_value"]
            }
        };
        let value_said = in_currency && !matches!(self, Self::Page | Self::Search | Self::Heartbeat);
        let unsaid = [
            disclosure.value().is_some() && !value_said,
            disclosure.tax().is_some() && !(orders && in_currency),
            disclosure.shipping().is_some() && !(orders && in_currency),
            disclosure.transaction_id().is_some() && !matches!(self, Self::Order),
            disclosure.coupon().is_some(),
        ];
        hit.unsaid += unsaid.into_iter().filter(|unsaid| *unsaid).count() + disclosure.items().len() - products;
        said
    }
}

fn is_order(disclosure: &Disclosure) -> bool {
    disclosure.value().is_some() || disclosure.transaction_id().is_some() || !disclosure.items().is_empty()
}

/// A product of an order or a cart, `[sku, name, category, price, quantity]`. Matomo takes none without an id.
fn item(hit: &mut Hit, product: &Item, in_currency: bool) -> Value {
    hit.unsaid += usize::from(product.brand.is_some()) + usize::from(product.variant.is_some());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let id = product.id.as_ref().or(product.name.as_ref());
    hit.unsaid += usize::from(id.is_none());
    let mut said = vec![json!(id.map_or("", String::as_str)), json!(text(&product.name)), json!(text(&product.category))];
    let price = product.price.filter(|_| in_currency);
    if price.is_some() || product.quantity.is_some() {
        said.push(figures::number(price.unwrap_or(0.0)));
    }
    said.extend(product.quantity.map(figures::number));
    Value::from(said)
}

/// A product that is looked at. Beside an event, it is no page view more.
fn viewed_product(hit: &mut Hit, product: &Item, price: Option<f64>) {
    hit.unsaid += usize::from(product.brand.is_some()) + usize::from(product.variant.is_some()) + usize::from(product.quantity.is_some());
    hit.say("_pks", product.id.as_ref());
    hit.say("_pkn", product.name.as_ref());
    hit.say("_pkc", product.category.as_ref());
    hit.number("_pkp", price);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, event::Offset};

    const HOUR: i64 = 3_600_000;

    fn opened(settings: &str) -> Result<Box<dyn Destination>, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, TYPE.rehearsal.secret).unwrap();
        open(&settings.replace("{secret}", &format!("file:{}", file.display())).parse().unwrap())
    }

    const PLAIN: &str = "url = \"https://matomo.example.org/matomo.php\"\nsite_id = 1\n";

    #[test]
    fn settings_that_would_lead_nowhere_are_refused() {
        for (settings, key) in [
            ("url = \"https://matomo.example.org/matomo.php\"", "site_id"),
            ("site_id = 1", "url"),
            ("url = \"http://matomo.example.org/\"\nsite_id = 1", "url"),
            ("url = \"https://matomo.example.org/matomo.php?token_auth=x\"\nsite_id = 1", "url"),
            (&format!("{PLAIN}dimensions = {{ plan = 1000 }}"), "dimensions"),
            (&format!("{PLAIN}token = \"0123\""), "token"),
        ] {
            assert_eq!(opened(settings).err().map(|error| error.key).as_deref(), Some(key), "{settings}");
        }
    }

    #[test]
    fn without_a_token_nothing_is_said_that_is_refused_without_one() {
        let (with, without) = (opened(&format!("{PLAIN}token = \"{{secret}}\"")).unwrap(), opened(PLAIN).unwrap());
        assert_eq!((with.limits().oldest, without.limits().oldest), (OLDEST, OLDEST_WITHOUT_TOKEN));
        // 40 hours before it came in, by its sender's word.
        let fields = json!({ "time": "1970-01-01T08:00:00.000Z", "country": "FR" });
        let disclosure = Disclosure::for_test(Offset(1), 1, Timestamp(48 * HOUR)).saying(&fields);
        let said = |destination: &dyn Destination| {
            let parcel = destination.encode(&[&disclosure]).remove(0);
            (String::from_utf8(parcel.body.to_vec()).unwrap(), parcel.unsaid)
        };
        let (body, unsaid) = said(&*with);
        assert!(body.contains("&cdt=28800&") && body.contains("&country=fr") && body.contains("\"token_auth\"") && unsaid == 0, "{body}");
        let (body, unsaid) = said(&*without);
        let earliest = format!("&cdt={}", 37 * HOUR / 1_000);
        assert!(body.contains(&earliest) && !body.contains("country") && !body.contains("token_auth") && unsaid == 2, "{body}");
        assert!(!body.contains("cip="));
    }

    #[test]
    fn nothing_that_is_said_is_said_twice() {
        let fields = json!({ "properties": { "matomo.idsite": 7.0, "matomo.dimension1": "a", "matomo.token_auth": "b" } });
        let disclosure = Disclosure::for_test(Offset(1), 1, Timestamp(0)).saying(&fields);
        let parcel = opened(PLAIN).unwrap().encode(&[&disclosure]).remove(0);
        let body = String::from_utf8(parcel.body.to_vec()).unwrap();
        assert_eq!((body.matches("idsite=").count(), body.contains("dimension1=a"), parcel.unsaid), (1, true, 1));
    }
}
