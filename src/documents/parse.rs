//! Documents as TOML, the form in which people write, `apply` and `export` them.
//!
//! ```toml
//! [[policy]]
//! name = "shop"
//! events = ["newsletter_opened"]
//! properties = { plan = "word", rating = "number" }
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
//! [[destination]]
//! name = "warehouse"
//! type = "file"
//! sites = ["shop"]
//! basis = "exempt_measurement"
//! transform = "strict"
//! settings = { directory = "outbox/warehouse" }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Bots, deviation::Deviation, site::PropertyKind};
use crate::{event::Purposes, privacy::transform::Transform};

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
    /// Own properties that may be kept, and as what.
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
    /// Where its day begins and ends, by the IANA's name.
    #[serde(default = "default_time_zone")]
    pub time_zone: String,
    /// Which policy.
    pub policy: String,
    /// What vendors' libraries call this site, by protocol: `keys = { ga4 = ["G-ABC123"] }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, BTreeSet<String>>,
    /// Where the secret is that its backend signs user ids with: `file:…` or `env:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identify_secret: Option<String>,
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
    /// How much it may see.
    pub transform: Transform,
    /// For how many months the receiver keeps what it gets, as the site has agreed with it or set it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_months: Option<u16>,
    /// Whether it gets events that a program seems to have sent, or people's only.
    #[serde(default, skip_serializing_if = "Bots::are_all")]
    pub bots: Bots,
    /// Whether its courier rests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// What that kind of service needs to know.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub settings: toml::Table,
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

/// A document of one of the three kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A policy.
    Policy(PolicyDocument),
    /// A site.
    Site(SiteDocument),
    /// A destination.
    Destination(DestinationDocument),
}

impl Document {
    /// `policy`, `site` or `destination`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Policy(_) => "policy",
            Self::Site(_) => "site",
            Self::Destination(_) => "destination",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Policy(document) => &document.name,
            Self::Site(document) => &document.name,
            Self::Destination(document) => &document.name,
        }
    }

    /// The form in which it rests: TOML, always the same for the same document.
    #[must_use]
    pub fn text(&self) -> String {
        let text = match self {
            Self::Policy(document) => toml::to_string(document),
            Self::Site(document) => toml::to_string(document),
            Self::Destination(document) => toml::to_string(document),
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
            _ => toml::from_str(text).map(Self::Destination),
        }
    }
}

impl DocumentFile {
    /// All documents, policies first and destinations last, so that each comes after what it names.
    #[must_use]
    pub fn into_documents(self) -> Vec<Document> {
        let policies = self.policy.into_iter().map(Document::Policy);
        let sites = self.site.into_iter().map(Document::Site);
        policies.chain(sites).chain(self.destination.into_iter().map(Document::Destination)).collect()
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
