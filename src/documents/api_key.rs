//! An API key's document: of which site, for what, until when; and, of the key itself, its fingerprint alone.

use std::{collections::BTreeSet, sync::Arc};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Serialize};

use super::{
    compile::{DocumentError, fault, suggestion},
    parse::SiteDocument,
};
use crate::{clock::Timestamp, event::SiteNumber, protocol::server::is_fingerprint};

/// Keys of all sites together: each is compared with at every request, and nobody has so many systems.
pub const API_KEYS_MAX: usize = 256;

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// To look profiles up, and to have them handed out.
    #[serde(rename = "profiles:read")]
    ProfilesRead,
    /// To part and join profiles.
    #[serde(rename = "profiles:write")]
    ProfilesWrite,
    /// To erase whose profile it is.
    #[serde(rename = "profiles:erase")]
    ProfilesErase,
    /// To see how somebody is written to.
    #[serde(rename = "contacts:read")]
    ContactsRead,
    /// To take contacts over, or bring them up to date.
    #[serde(rename = "contacts:write")]
    ContactsWrite,
    /// To put on record what somebody agreed to elsewhere, and what they take back.
    #[serde(rename = "consents:write")]
    ConsentsWrite,
    /// To restrict what rests of somebody, to lift that, and to carry an objection to a profile out.
    #[serde(rename = "rights:write")]
    RightsWrite,
    /// To send events, as the site's backend does.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// To read who looked at whose profile.
    #[serde(rename = "audit:read")]
    AuditRead,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ProfilesRead,
        Self::ProfilesWrite,
        Self::ProfilesErase,
        Self::ContactsRead,
        Self::ContactsWrite,
        Self::ConsentsWrite,
        Self::RightsWrite,
        Self::EventsWrite,
        Self::AuditRead,
    ];

    /// The name in documents and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProfilesRead => "profiles:read",
            Self::ProfilesWrite => "profiles:write",
            Self::ProfilesErase => "profiles:erase",
            Self::ContactsRead => "contacts:read",
            Self::ContactsWrite => "contacts:write",
            Self::ConsentsWrite => "consents:write",
            Self::RightsWrite => "rights:write",
            Self::EventsWrite => "events:write",
            Self::AuditRead => "audit:read",
        }
    }

    /// The scope of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// A key of the profile API, as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyDocument {
    /// Its name: what stands in the audit and beside decisions.
    pub name: String,
    /// Of which site.
    pub site: String,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// Its fingerprint, as `firsthand api-key` writes it; never the key itself.
    pub key: String,
    /// The day, in UTC, from whose beginning on it is none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A key of the profile API, compiled.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name.
    pub name: String,
    /// Of which site.
    pub site: SiteNumber,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// SHA-256 of the key.
    pub fingerprint: [u8; 32],
    /// When it ends.
    pub expires: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it may be used for that.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The beginning of a day in UTC.
#[must_use]
pub fn day(text: &str) -> Option<Timestamp> {
    let date: jiff::civil::Date = text.parse().ok()?;
    Some(Timestamp(date.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

/// Compiles the documents of all keys.
pub(super) fn compile<'d>(
    documents: impl Iterator<Item = &'d ApiKeyDocument>,
    sites: &[(&SiteDocument, SiteNumber)],
    errors: &mut Vec<DocumentError>,
) -> Vec<Arc<ApiKey>> {
    let mut keys: Vec<Arc<ApiKey>> = Vec::new();
    for document in documents {
        let of = ("api_key", document.name.as_str());
        let before = errors.len();
        let site = sites.iter().find(|(site, _)| site.name == document.site).map(|(_, number)| *number);
        if site.is_none() {
            let known: Vec<_> = sites.iter().map(|(site, _)| site.name.as_str()).collect();
            fault(errors, of, "site", format!("there is no site \"{}\"", document.site), suggestion(&document.site, &known));
        }
        if document.scopes.is_empty() {
            fault(errors, of, "scopes", "a key is for something", "scopes = [\"profiles:read\"]");
        }
        if !is_fingerprint(&document.key) {
            fault(
                errors,
                of,
                "key",
                "it is the key's fingerprint, as `firsthand api-key make` writes it; never the key itself",
                "firsthand api-key make",
            );
        }
        let expires = document
            .expires
            .as_deref()
            .map(|text| day(text).ok_or_else(|| fault(errors, of, "expires", format!("\"{text}\" is no day"), "expires = \"2027-11-28\"")));
        let fingerprint = BASE64_URL_SAFE_NO_PAD.decode(&document.key).ok().and_then(|bytes| bytes.try_into().ok());
        if fingerprint.is_some_and(|fingerprint| keys.iter().any(|other| other.fingerprint == fingerprint)) {
            fault(errors, of, "key", "another document has the same key", "firsthand api-key make");
        }
        if let (Some(site), Some(fingerprint), true) = (site, fingerprint, errors.len() == before) {
            let expires = expires.and_then(Result::ok);
            keys.push(Arc::new(ApiKey { name: document.name.clone(), site, scopes: document.scopes.clone(), fingerprint, expires }));
        }
    }
    if keys.len() > API_KEYS_MAX {
        let name = keys.last().map_or("", |key| key.name.as_str()).to_owned();
        fault(errors, ("api_key", &name), "name", format!("there are more than {API_KEYS_MAX} keys"), "firsthand api-key revoke NAME");
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::server::fingerprint;

    fn faults(change: impl FnOnce(&mut ApiKeyDocument)) -> Vec<String> {
        let mut document = ApiKeyDocument {
            name: String::from("crm"),
            site: String::from("shop"),
            scopes: BTreeSet::from([Scope::ProfilesRead]),
            key: fingerprint("a key"),
            expires: Some(String::from("2027-11-28")),
        };
        change(&mut document);
        let site: SiteDocument =
            toml::from_str("name = \"shop\"\nhosts = []\norigins = []\nprefix = \"/kesolu\"\npolicy = \"shop\"\n").unwrap();
        let mut errors = Vec::new();
        compile([&document].into_iter(), &[(&site, SiteNumber(1))], &mut errors);
        errors.into_iter().map(|error| error.key).collect()
    }

    #[test]
    fn a_key_is_of_a_site_for_something_and_never_written_down() {
        assert_eq!(faults(|_| {}), [""; 0]);
        assert_eq!(faults(|key| key.site = String::from("shpo")), ["site"]);
        assert_eq!(faults(|key| key.scopes.clear()), ["scopes"]);
        assert_eq!(faults(|key| key.key = String::from("fhp_the_key_itself")), ["key"]);
        assert_eq!(faults(|key| key.expires = Some(String::from("2027-02-30"))), ["expires"]);
    }

    #[test]
    fn a_key_ends_when_its_day_begins() {
        let expires = day("2027-11-28").unwrap();
        let key =
            ApiKey { name: String::new(), site: SiteNumber(1), scopes: BTreeSet::new(), fingerprint: [0; 32], expires: Some(expires) };
        assert_eq!(expires.rfc3339(), "2027-11-28T00:00:00.000Z");
        assert!(key.is_over(expires) && !key.is_over(Timestamp(expires.0 - 1)));
        assert!(!key.may(Scope::ProfilesRead));
        assert!(
            Scope::ALL.iter().all(|scope| Scope::named(scope.name()) == Some(*scope)
                && serde_json::to_value(scope).unwrap() == serde_json::json!(scope.name()))
        );
    }
}
