//! Documents as TOML, the form in which people write, `apply` and `export` them.
//!
//! ```toml
//! [[policy]]
//! name = "shop"
//! events = ["newsletter_opened"]
//! properties = { plan = "word", rating = "number" }
//! routes = ["/pricing", "/product/:slug", "/account/*"]
//!
//! [[policy.deviation]]
//! field = "referrer"
//! treatment = "drop"
//! destinations = ["warehouse"]
//! reason = "partners' names are theirs"
//!
//! [[site]]
//! name = "shop"
//! hosts = ["www.shop.example"]
//! origins = ["https://www.shop.example"]
//! prefix = "/keso"
//! time_zone = "Europe/Paris"
//! policy = "shop"
//!
//! [site.controller]
//! name = "Shop SARL"
//! contact = "privacy@shop.example"
//!
//! [[destination]]
//! name = "warehouse"
//! type = "file"
//! sites = ["shop"]
//! basis = "exempt_measurement"
//! transform = "strict"
//! recipient = { name = "Shop SARL", country = "FR" }
//! settings = { directory = "outbox/warehouse" }
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Bots,
    api_key::ApiKeyDocument,
    declared::{Controller, Party, Processor},
    deviation::Deviation,
    profile::ProfileDocument,
    site::PropertyKind,
    snippet::{ConsentTool, Shim, Watch},
};
use crate::{
    event::Purposes,
    privacy::{crowd::tuple::Step, transform::Transform, vendor_cookies::VendorCookie},
};

/// A file of documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentFile {
    /// Policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<PolicyDocument>,
    /// Sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub site: Vec<SiteDocument>,
    /// Destinations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destination: Vec<DestinationDocument>,
    /// Keys of the profile API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_key: Vec<ApiKeyDocument>,
}

/// What a site allows beside the built-in fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// Its name.
    pub name: String,
    /// Own event names that may be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// How many distinct visitors are a crowd: what fewer have in common does not leave. 1 asks for none, and says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crowd: Option<u32>,
    /// Why no crowd is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crowd_reason: Option<String>,
    /// Whether events of visitors who consented need a crowd, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crowd_consented: bool,
    /// What is given up to have a crowd, first to last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generalise: Vec<Step>,
    /// The forms of the site's own pages: `/product/:slug`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Own properties that may be kept, and as what; and vendors' fields, as `"<protocol>.<the vendor's name>"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, PropertyKind>,
    /// No destination of its sites may see more than this, whatever its own transform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Transform>,
    /// What it changes about its destinations' transforms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deviation: Vec<Deviation>,
}

/// Where beacons arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteDocument {
    /// Its name.
    pub name: String,
    /// The hosts that its beacons arrive at.
    pub hosts: Vec<String>,
    /// The origins of its pages, exact.
    pub origins: Vec<String>,
    /// The neutral path in front of every route.
    pub prefix: String,
    /// The script's name below the prefix.
    #[serde(default = "default_script")]
    pub script: String,
    /// The global name of the snippet's functions.
    #[serde(default = "default_global")]
    pub global: String,
    /// The visitor cookie's name.
    #[serde(default = "default_cookie")]
    pub cookie: String,
    /// The domain that its cookies are for, where its pages and its beacons' host are different names below one; else the host alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie_domain: Option<String>,
    /// Vendors' cookies that are kept alive, under the vendor's purpose.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub vendor_cookies: BTreeSet<VendorCookie>,
    /// Where its day begins and ends, by the IANA's name.
    #[serde(default = "default_time_zone")]
    pub time_zone: String,
    /// Which policy.
    pub policy: String,
    /// What vendors' libraries call this site, by protocol: `keys = { ga4 = ["G-ABC123"] }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, BTreeSet<String>>,
    /// Whose word on the visitor's choice is followed: a yes in Matomo's cookies (a refusal in them counts anyway), other tools' by the script.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub follow: BTreeSet<ConsentTool>,
    /// Whose calls on the page the script takes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub shims: BTreeSet<Shim>,
    /// What the script watches by itself, beside page views, links and the time in sight.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub watch: BTreeSet<Watch>,
    /// Vendors whose own tags are still on the pages, and of which is counted in how many visits with consent they did not run.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub measure_recovery: BTreeSet<Shim>,
    /// Whether the script sends nothing where a blocker is at work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub respect_blockers: bool,
    /// A yes that was given on this very site counts although the browser sends Global Privacy Control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpc_site_override: Option<GpcSiteOverride>,
    /// Where the secret is that its backend signs user ids with: `file:…` or `env:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identify_secret: Option<String>,
    /// That its backend sends every purchase, beside what pages tell of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_purchases: Option<ServerPurchases>,
    /// That its customers who agree to it have a profile here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileDocument>,
    /// Who decides why and how its data are processed; for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<Controller>,
    /// Who runs this program on the controller's behalf, where it is somebody else; for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<Processor>,
    /// Who keeps the server on which this program runs, and where; for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosting: Option<Party>,
}

/// That a yes on the site outranks Global Privacy Control, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpcSiteOverride {
    /// Why; the site's visitors are shown it.
    pub reason: String,
}

/// That a site's backend sends every purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerPurchases {
    /// So long a page's purchase waits for the backend's of the same order.
    #[serde(default = "default_twin_wait")]
    pub twin_wait_seconds: u32,
}

/// Ten minutes: payment services tell a shop of a payment within seconds, and try again for minutes where it does not answer.
const fn default_twin_wait() -> u32 {
    600
}

/// Where clean events go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationDocument {
    /// Its name.
    pub name: String,
    /// Which kind of service.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which sites' events it gets.
    pub sites: Vec<String>,
    /// On what ground.
    pub basis: BasisName,
    /// For the basis `consent`: which purposes, all of them.
    #[serde(default, skip_serializing_if = "Purposes::is_empty_ref")]
    pub purposes: Purposes,
    /// The receiver's number in the IAB's global vendor list: where a yes comes with a TC string, it must be one to this vendor too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcf_vendor: Option<u16>,
    /// How much it may see.
    pub transform: Transform,
    /// When what it may see is decided.
    #[serde(default, skip_serializing_if = "Release::is_live")]
    pub release: Release,
    /// For how many months the receiver keeps what it gets, as the site has agreed with it or set it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_months: Option<u16>,
    /// Whether it gets events that a program seems to have sent, or people's only.
    #[serde(default, skip_serializing_if = "Bots::are_all")]
    pub bots: Bots,
    /// Whether its courier rests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Who that is, where, and under which contract; for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Party>,
    /// What that kind of service needs to know.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub settings: toml::Table,
}

/// When it is decided what may be said of a day's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// At once, by the days before.
    #[default]
    Live,
    /// When the hour (of UTC) of their receipt is over, by all of its events.
    Hourly,
    /// When the site's local day of their receipt is over, by all of its events.
    Daily,
}

impl Release {
    /// What decides who stands in a crowd, in words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Live => "the days before, at once",
            Self::Hourly => "all of the hour's events, at its end",
            Self::Daily => "all of the day's events, at its end",
        }
    }

    /// Whether it is the one that needs not be said.
    #[must_use]
    pub fn is_live(&self) -> bool {
        *self == Self::Live
    }

    /// The name in documents and at rest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
        }
    }

    /// How old an event may be when it is released: its own period, and that of another site whose day ends later and that stands before
    /// it in the log.
    #[must_use]
    pub const fn longest_wait(self) -> Duration {
        match self {
            Self::Live => Duration::ZERO,
            Self::Hourly => Duration::from_secs(2 * 60 * 60),
            Self::Daily => Duration::from_secs(50 * 60 * 60),
        }
    }
}

/// The ground on which events may go somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BasisName {
    /// The site's own audience measurement.
    ExemptMeasurement,
    /// The visitor's consent.
    Consent,
}

fn default_script() -> String {
    String::from("core.js")
}

fn default_global() -> String {
    String::from("fpw")
}

fn default_cookie() -> String {
    String::from("w")
}

fn default_time_zone() -> String {
    String::from("UTC")
}

/// A document of one of the four kinds.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are a handful, read at a start or a change")]
pub enum Document {
    /// A policy.
    Policy(PolicyDocument),
    /// A site.
    Site(SiteDocument),
    /// A destination.
    Destination(DestinationDocument),
    /// A key of the profile API.
    ApiKey(ApiKeyDocument),
}

impl Document {
    /// `policy`, `site`, `destination` or `api_key`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Policy(_) => "policy",
            Self::Site(_) => "site",
            Self::Destination(_) => "destination",
            Self::ApiKey(_) => "api_key",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Policy(document) => &document.name,
            Self::Site(document) => &document.name,
            Self::Destination(document) => &document.name,
            Self::ApiKey(document) => &document.name,
        }
    }

    /// The form in which it rests: TOML, always the same for the same document.
    #[must_use]
    pub fn text(&self) -> String {
        let text = match self {
            Self::Policy(document) => toml::to_string(document),
            Self::Site(document) => toml::to_string(document),
            Self::Destination(document) => toml::to_string(document),
            Self::ApiKey(document) => toml::to_string(document),
        };
        text.expect("a document is made of what TOML can say")
    }

    /// Reads one back from the form in which it rests.
    ///
    /// # Errors
    /// When the text is none.
    pub fn from_text(kind: &str, text: &str) -> Result<Self, toml::de::Error> {
        match kind {
            "policy" => toml::from_str(text).map(Self::Policy),
            "site" => toml::from_str(text).map(Self::Site),
            "api_key" => toml::from_str(text).map(Self::ApiKey),
            _ => toml::from_str(text).map(Self::Destination),
        }
    }
}

impl DocumentFile {
    /// All documents, policies first, then sites, destinations and keys, so that each comes after what it names.
    #[must_use]
    pub fn into_documents(self) -> Vec<Document> {
        let policies = self.policy.into_iter().map(Document::Policy);
        let sites = self.site.into_iter().map(Document::Site);
        let destinations = self.destination.into_iter().map(Document::Destination);
        policies.chain(sites).chain(destinations).chain(self.api_key.into_iter().map(Document::ApiKey)).collect()
    }

    /// The file that holds these documents.
    #[must_use]
    pub fn of(documents: Vec<Document>) -> Self {
        let mut file = Self::default();
        for document in documents {
            match document {
                Document::Policy(document) => file.policy.push(document),
                Document::Site(document) => file.site.push(document),
                Document::Destination(document) => file.destination.push(document),
                Document::ApiKey(document) => file.api_key.push(document),
            }
        }
        file
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// With the parser's words: line, column, key, what was expected.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}
