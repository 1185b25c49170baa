//! What records are made of: the documents of one moment, compiled and as they are written, which versions they are, what was in force before
//! them, and what this machine keeps for how long.

use std::sync::Arc;

use super::sheet::setting;
use crate::{
    clock::Timestamp,
    documents::{
        Basis, Destination, Documents, Leaving, ProfileRules, Site,
        api_key::ApiKey,
        declared::{Controller, Party},
        fingerprint::fingerprint,
        history::Written,
        parse::{DestinationDocument, Document, SiteDocument},
        store::{DocumentStore, DocumentStoreError, Version},
    },
};

/// What is true of this machine, whatever the documents say.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// For how long events without consent are kept, in hours.
    pub without_consent_hours: u32,
    /// For how long events with consent are kept, in days.
    pub with_consent_days: u32,
    /// Whether it ends TLS itself; else a proxy in front of it does.
    pub ends_tls: bool,
}

/// What was in force before.
pub struct Previous {
    /// Which revision it was.
    pub revision: i64,
    /// Compiled; nothing, where this program cannot work with it any more.
    pub documents: Option<Documents>,
    /// As it was written.
    pub texts: Vec<Document>,
}

/// What records are made of.
pub struct Sources {
    /// The documents, compiled.
    pub documents: Documents,
    /// The same as they are written.
    pub texts: Vec<Document>,
    /// Which version each is: kind, name, version.
    pub versions: Vec<Version>,
    /// The change that led to them.
    pub change: Written,
    /// What was in force before that; nothing: they are the first.
    pub previous: Option<Previous>,
    /// Whether they are what is in force, not an earlier version.
    pub newest: bool,
    /// What this machine adds.
    pub machine: Machine,
    /// When the record is made.
    pub made: Timestamp,
    /// Only this site.
    pub only: Option<String>,
}

impl Sources {
    /// Those of a revision. `None`: nothing was in force then.
    ///
    /// # Errors
    /// When `state.db` cannot be read, or this program cannot work with the documents of then.
    pub fn of(store: &DocumentStore, revision: i64, machine: Machine, made: Timestamp) -> Result<Option<Self>, DocumentStoreError> {
        let history = store.history()?;
        let Some(change) = history.change_at(revision) else { return Ok(None) };
        let versions: Vec<Version> = history.in_force(revision).into_iter().cloned().collect();
        let previous = if change.before == 0 {
            None
        } else {
            let texts = store.export_as_of(change.before)?;
            Some(Previous { revision: change.before, documents: store.compiled_as_of(change.before).ok(), texts })
        };
        let newest = history.changes().last().is_some_and(|last| last.revision <= revision);
        let (documents, texts) = (store.compiled_as_of(change.revision)?, store.export_as_of(change.revision)?);
        Ok(Some(Self { documents, texts, versions, change, previous, newest, machine, made, only: None }))
    }

    /// The hash by which people compare documents.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.texts)
    }

    /// What happens at each site.
    pub(super) fn activities(&self) -> Vec<Activity<'_>> {
        let wanted = |site: &&Arc<Site>| self.only.as_ref().is_none_or(|only| *only == site.name);
        self.documents.sites.iter().filter(wanted).filter_map(|site| self.activity(site)).collect()
    }

    fn activity<'s>(&'s self, site: &'s Site) -> Option<Activity<'s>> {
        let document = self.texts.iter().find_map(|text| match text {
            Document::Site(document) if document.name == site.name => Some(document),
            _ => None,
        })?;
        let receiving = self.documents.destinations.iter().filter(|destination| destination.sites.contains(&site.number));
        let receiving = receiving.filter_map(|destination| {
            let document = self.texts.iter().find_map(|text| match text {
                Document::Destination(document) if document.name == destination.name => Some(document),
                _ => None,
            })?;
            Some(Receiving { destination, origin: Origin::Declared(document), leaving: site.leaving(destination) })
        });
        let profiles = self.documents.profile_of(site.number).map(|rules| {
            let hosting = document.hosting.as_ref();
            Receiving { destination: &rules.destination, origin: Origin::Own { rules, hosting }, leaving: site.leaving(&rules.destination) }
        });
        let version = |kind: &str, name: &str| {
            let found = self.versions.iter().find(|version| version.kind == kind && version.name == name);
            found.map_or(0, |version| version.version)
        };
        let policy_version = version("policy", &site.policy.name);
        let api_keys = self.documents.api_keys.iter().filter(|key| key.site == site.number).map(|key| &**key).collect();
        Some(Activity { site, document, policy_version, receiving: receiving.chain(profiles).collect(), api_keys })
    }
}

/// What happens at one site.
pub(super) struct Activity<'s> {
    pub(super) site: &'s Site,
    pub(super) document: &'s SiteDocument,
    pub(super) policy_version: u32,
    pub(super) receiving: Vec<Receiving<'s>>,
    /// The keys of its profile API.
    pub(super) api_keys: Vec<&'s ApiKey>,
}

/// Who receives, and what it gets of a site.
pub(super) struct Receiving<'s> {
    pub(super) destination: &'s Destination,
    pub(super) origin: Origin<'s>,
    pub(super) leaving: Leaving,
}

/// Where it is written that somebody receives.
#[derive(Clone, Copy)]
pub(super) enum Origin<'s> {
    /// In a document of its own.
    Declared(&'s DestinationDocument),
    /// In the site's: it is the site's own profile store, which rests where the server stands.
    Own {
        /// What it keeps.
        rules: &'s ProfileRules,
        /// Where the server stands, as far as that is declared.
        hosting: Option<&'s Party>,
    },
}

impl Activity<'_> {
    pub(super) fn controller(&self) -> Controller {
        self.document.controller.clone().unwrap_or_default()
    }

    pub(super) fn exempt(&self) -> impl Iterator<Item = &Receiving<'_>> {
        self.receiving.iter().filter(|receiving| receiving.is_exempt())
    }

    pub(super) fn consented(&self) -> impl Iterator<Item = &Receiving<'_>> {
        self.receiving.iter().filter(|receiving| !receiving.is_exempt())
    }

    /// The names of those for which something is so.
    pub(super) fn named(&self, is_so: impl Fn(&Receiving<'_>) -> bool) -> Vec<String> {
        self.receiving.iter().filter(|receiving| is_so(receiving)).map(|receiving| receiving.destination.name.clone()).collect()
    }

    /// The address of the public page that says what is measured.
    pub(super) fn about(&self) -> String {
        let host = self.site.hosts.first().map_or("", String::as_str);
        format!("https://{host}{}/about", self.site.prefix)
    }
}

impl Receiving<'_> {
    pub(super) fn is_exempt(&self) -> bool {
        self.destination.basis == Basis::ExemptMeasurement
    }

    /// The site's own profile store, if it is that.
    pub(super) const fn own(&self) -> Option<&ProfileRules> {
        match self.origin {
            Origin::Own { rules, .. } => Some(rules),
            Origin::Declared(_) => None,
        }
    }

    /// Under which purpose it gets events, if under one.
    pub(super) fn serves(&self, purpose: &str) -> bool {
        matches!(self.destination.basis, Basis::Consent(purposes) if purposes.names().any(|name| name == purpose))
    }

    /// For how many months it keeps what it gets, as far as that was declared.
    pub(super) const fn kept_months(&self) -> Option<u16> {
        match self.origin {
            Origin::Declared(document) => document.kept_months,
            Origin::Own { .. } => None,
        }
    }

    /// Whose it is. Of the site's own it is known where it is, if it is known where the server stands.
    pub(super) fn party(&self) -> Party {
        match self.origin {
            Origin::Declared(document) => document.recipient.clone().unwrap_or_default(),
            Origin::Own { hosting, .. } => {
                let country = hosting.and_then(|hosting| hosting.country.clone());
                Party { country, safeguard: hosting.and_then(|hosting| hosting.safeguard.clone()), ..Party::default() }
            }
        }
    }

    /// Where a key of whoever receives stands, or would.
    pub(super) fn setting(&self, site: &str, key: &str) -> String {
        match (self.origin, key.strip_prefix("recipient.")) {
            (Origin::Declared(_), _) => setting("destination", &self.destination.name, key),
            (Origin::Own { .. }, Some(key)) => setting("site", site, &format!("hosting.{key}")),
            (Origin::Own { .. }, None) => setting("site", site, "profile"),
        }
    }
}
