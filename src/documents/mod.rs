//! Sites, destinations and policies: versioned documents in the store, and the compiled form that the line reads.
//! Every change is a version with author, reason and difference, and goes through one function, [`store::DocumentStore::apply`].

pub mod api_key;
pub mod compile;
mod cookies;
mod crowds;
pub mod declared;
pub mod deviation;
pub mod differences;
pub mod files;
pub mod fingerprint;
pub mod history;
mod leaving;
mod listed_names;
pub mod names;
pub mod parse;
pub mod profile;
mod routes;
pub mod site;
pub mod snippet;
pub mod store;
pub mod tightened;

pub use leaving::Leaving;
pub use parse::Release;
pub use profile::ProfileRules;
pub use site::Site;

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    destination::DestinationType,
    event::{DestinationNumber, Purposes, SiteNumber},
    privacy::{envelope::Dialect, policy::Field, scrub::parameters::Issuer, transform::Transform},
};

/// All documents in force, compiled. Replaced as a whole when one changes.
#[derive(Default)]
pub struct Documents {
    /// Grows with every change of any document.
    pub revision: i64,
    /// Every site.
    pub sites: Vec<Arc<Site>>,
    /// Every destination.
    pub destinations: Vec<Arc<Destination>>,
    /// The rules of every site that has customer profiles.
    pub profiles: Vec<Arc<ProfileRules>>,
    /// Every key of the profile API.
    pub api_keys: Vec<Arc<api_key::ApiKey>>,
    /// Sites by host name (lower case, without port), longest prefix first.
    pub by_host: HashMap<String, Vec<Arc<Site>>>,
    /// When each site's document was last changed.
    pub changed: HashMap<SiteNumber, Timestamp>,
}

impl Documents {
    /// The site that a request to `host` and `path` is for, and the path below its prefix.
    #[must_use]
    pub fn site_of<'p>(&self, host: &str, path: &'p str) -> Option<(&Arc<Site>, &'p str)> {
        self.by_host.get(host)?.iter().find_map(|site| {
            let below = path.strip_prefix(site.prefix.as_str())?;
            below.starts_with('/').then_some((site, below))
        })
    }

    /// When a site's document was last changed.
    #[must_use]
    pub fn changed_at(&self, site: SiteNumber) -> Option<Timestamp> {
        self.changed.get(&site).copied()
    }

    /// The rules of a site's customer profiles, where it has any.
    #[must_use]
    pub fn profile_of(&self, site: SiteNumber) -> Option<&Arc<ProfileRules>> {
        self.profiles.iter().find(|rules| rules.site() == site)
    }

    /// All who are given a site's events: its destinations, and its own profile store.
    pub fn receiving(&self, site: SiteNumber) -> impl Iterator<Item = &Arc<Destination>> {
        let all = self.destinations.iter().chain(self.profiles.iter().map(|rules| &rules.destination));
        all.filter(move |destination| destination.sites.contains(&site))
    }

    /// The site of that number.
    #[must_use]
    pub fn site(&self, number: SiteNumber) -> Option<&Arc<Site>> {
        self.sites.iter().find(|site| site.number == number)
    }
}

/// The audience-measurement exemption lets what is collected be kept for 25 months (the CNIL's guidelines on cookies and other trackers), and a
/// tracker live for 13; ours lives a day.
pub const EXEMPT_MONTHS_MAX: u16 = 25;

/// A destination document, compiled.
#[derive(PartialEq)]
pub struct Destination {
    /// Its number, never reused.
    pub number: DestinationNumber,
    /// Its name in documents, metrics and ledger pages.
    pub name: String,
    /// Which row of `destination::DESTINATIONS` it is.
    pub kind: &'static str,
    /// Which sites' events it gets.
    pub sites: Vec<SiteNumber>,
    /// Whether events may go to it at all.
    pub basis: Basis,
    /// Its number in the framework's global vendor list, where TC strings are asked for it.
    pub tcf_vendor: Option<u16>,
    /// How much of them it may see.
    pub transform: Transform,
    /// For how many months the receiver keeps what it gets, where the site has said so. On the basis `exempt_measurement` at most
    /// [`EXEMPT_MONTHS_MAX`], also where nothing is said.
    pub kept_months: Option<u16>,
    /// When what it may see is decided.
    pub release: Release,
    /// Which events it gets by who seems to have sent them.
    pub bots: Bots,
    /// Whether its courier rests; its events wait, and expire.
    pub paused: bool,
    /// The settings that `destination::DestinationType::open` reads.
    pub settings: toml::Table,
}

impl Destination {
    /// Who receives, in words for the site's visitors.
    #[must_use]
    pub fn receiver(&self) -> &'static str {
        if self.kind == profile::KIND {
            return profile::RECEIVER;
        }
        DestinationType::named(self.kind).map_or(self.kind, |row| row.receiver)
    }

    /// How a visitor's id is written there.
    #[must_use]
    pub fn writes_visitor(&self, visitor_id: &str) -> String {
        DestinationType::named(self.kind).map_or_else(|| visitor_id.to_owned(), |row| (row.visitor)(visitor_id))
    }

    /// Whose click ids are its own vendor's.
    #[must_use]
    pub fn issuer(&self) -> Option<Issuer> {
        DestinationType::named(self.kind).and_then(|row| row.issuer)
    }

    /// In whose words it asks for what is in sealed envelopes, where it does.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        DestinationType::named(self.kind).and_then(|row| row.envelope)
    }

    /// Whether it could have a field at all: those of the envelope are for whoever asks for them.
    #[must_use]
    pub fn could_have(&self, field: Field) -> bool {
        self.dialect().is_some() || !Field::OF_THE_ENVELOPE.contains(&field)
    }

    /// Whether the vendor uses the data for itself.
    #[must_use]
    pub fn vendor_reuses_data(&self) -> bool {
        DestinationType::named(self.kind).is_some_and(|row| row.vendor_reuses_data)
    }
}

/// What a destination gets of events that a program seems to have sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bots {
    /// Them, too, with the verdict where its policy lets it leave.
    #[default]
    All,
    /// Only people's: where the verdict is `suspected` or `declared`, the event ends as `withheld` in the ledger, by the rule `bot`.
    People,
}

impl Bots {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    const fn are_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// On what ground events may go to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Audience measurement for the site's own account: also for visitors who have not chosen.
    ExemptMeasurement,
    /// These purposes, all of them, consented to.
    Consent(Purposes),
}
