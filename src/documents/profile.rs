//! A site's profile document: that its customers who agree to it have a profile, what joins profiles, and how long what is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Basis, Bots, Destination, Release,
    compile::{DocumentError, fault, suggestion},
    parse::SiteDocument,
};
use crate::{
    event::{DestinationNumber, Purposes, SiteNumber},
    privacy::{contact_values::ContactField, identifiers::IdentifierKind, transform::Transform},
};

/// What stands in the place of a destination's type.
pub const KIND: &str = "profile";
/// Who receives, as people are told.
pub const RECEIVER: &str = "This website’s own customer profiles";
/// Numbers of profile stores begin here; those of destinations are given one by one, from 1 on.
const NUMBERS_FROM: u32 = 1 << 31;
/// Nobody has an identifier in more browsers within 13 months, and every one of them is read when a profile is shown.
const MOST_MAX: u32 = 100;
/// A household shares an address, or a number; what more browsers have is a shop's own.
const MOST_SHARED: u32 = 5;
/// A person's key lives for 13 months at most, and what is sealed under it no longer.
pub const KEPT_DAYS_MAX: u16 = 395;
/// The same in months, as the site's visitors are told.
const KEPT_MONTHS: u16 = 13;

/// Computed traits that a page may be told of its own visitor: coarse ones, by which nobody is known again.
pub const LOOKUPS: [&str; 6] = ["visits", "orders", "last_products", "last_categories", "country", "language"];

/// That a site has customer profiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileDocument {
    /// An account that is proven in more browsers than this joins none of them.
    #[serde(default = "default_browsers")]
    pub browsers_per_account: u32,
    /// For how many days page views and the like stay in the timeline.
    #[serde(default = "default_views_days")]
    pub keep_views_days: u16,
    /// The same for what a visitor does in a shop or a form.
    #[serde(default = "default_actions_days")]
    pub keep_actions_days: u16,
    /// The same for purchases and refunds.
    #[serde(default = "default_actions_days")]
    pub keep_orders_days: u16,
    /// What customers are known by, beside the cookie of a browser.
    #[serde(default, skip_serializing_if = "IdentifiersDocument::says_nothing")]
    pub identifiers: IdentifiersDocument,
    /// How customers are written to, as contacts say it: what is kept of it, sealed. Without a list it is nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keep_contacts: BTreeSet<ContactField>,
    /// Properties of events that are traits of their profile, and which of several values counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traits: BTreeMap<String, TraitRule>,
    /// Traits that the site's pages are told of their own visitor: of its own, and of those that are computed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lookup: BTreeSet<String>,
}

/// What customers are known by, in which order it counts, and what joins. Of a kind that is not named nothing is kept, but for accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentifiersDocument {
    /// The kinds, the one that counts most first. Default: `account`, `crm`, `email`, `phone`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<IdentifierKind>,
    /// Accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<IdentifierDocument>,
    /// Ids of the site's customer system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crm: Option<IdentifierDocument>,
    /// E-mail addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<IdentifierDocument>,
    /// Phone numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<IdentifierDocument>,
}

/// What one kind does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentifierDocument {
    /// Whether a proven one joins all that has it.
    pub joins: bool,
    /// One that is proven in more browsers than this joins none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
}

impl IdentifiersDocument {
    fn says_nothing(&self) -> bool {
        *self == Self::default()
    }

    const fn of(&self, kind: IdentifierKind) -> Option<IdentifierDocument> {
        match kind {
            IdentifierKind::Account => self.account,
            IdentifierKind::Crm => self.crm,
            IdentifierKind::Email => self.email,
            IdentifierKind::Phone => self.phone,
        }
    }
}

/// Which of several values of a trait counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraitRule {
    /// The one of the latest event.
    Last,
    /// The one of the earliest event.
    First,
    /// The largest number.
    Highest,
    /// The smallest number.
    Lowest,
    /// The latest of the site's backend, or said while its account was proven; another's only where there is none.
    Proven,
}

impl TraitRule {
    /// The name in documents and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::First => "first",
            Self::Highest => "highest",
            Self::Lowest => "lowest",
            Self::Proven => "proven",
        }
    }
}

const fn default_browsers() -> u32 {
    25
}

const fn default_views_days() -> u16 {
    90
}

const fn default_actions_days() -> u16 {
    KEPT_DAYS_MAX
}

/// A site's profile document, compiled.
#[derive(PartialEq)]
pub struct ProfileRules {
    /// What may be seen of the site's events: that of a destination with the basis `consent` to the purpose `profile` and the transform
    /// `consented-profile`.
    pub destination: Arc<Destination>,
    /// What customers are known by, the kind that counts most first.
    pub identifiers: Vec<IdentifierRule>,
    /// For how long events stay in the timeline: views, actions, orders.
    pub kept: [Duration; 3],
    /// Which properties are traits, and which of their values counts.
    pub traits: BTreeMap<String, TraitRule>,
    /// What its pages are told of their own visitor.
    pub lookup: BTreeSet<String>,
    /// How customers are written to: what is kept of it.
    pub keeps: BTreeSet<ContactField>,
}

/// What one kind of identifier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifierRule {
    /// Which.
    pub kind: IdentifierKind,
    /// Whether a proven one joins all that has it.
    pub joins: bool,
    /// One that is proven in more browsers than this joins none of them.
    pub most: usize,
}

impl ProfileRules {
    /// Of which site.
    #[must_use]
    pub fn site(&self) -> SiteNumber {
        self.destination.sites.first().copied().unwrap_or(SiteNumber(0))
    }
}

/// Compiles what a site's document says of profiles. Nothing: it has none.
pub(super) fn compile(document: &SiteDocument, number: SiteNumber, errors: &mut Vec<DocumentError>) -> Option<Arc<ProfileRules>> {
    let said = document.profile.as_ref()?;
    let of = ("site", document.name.as_str());
    let identifiers = identifiers(said, of, errors);
    let days = [
        ("profile.keep_views_days", said.keep_views_days),
        ("profile.keep_actions_days", said.keep_actions_days),
        ("profile.keep_orders_days", said.keep_orders_days),
    ];
    for (key, days) in days {
        if !(1..=KEPT_DAYS_MAX).contains(&days) {
            let reason = format!("1 to {KEPT_DAYS_MAX} days: a consent ends with its cookie, and what it allowed to keep with it");
            fault(errors, of, key, reason, format!("{} = {}", key.trim_start_matches("profile."), days.clamp(1, KEPT_DAYS_MAX)));
        }
    }
    for name in said.lookup.iter().filter(|name| !said.traits.contains_key(*name) && !LOOKUPS.contains(&name.as_str())) {
        let known: Vec<_> = said.traits.keys().map(String::as_str).chain(LOOKUPS).collect();
        fault(errors, of, "profile.lookup", format!("\"{name}\" is no trait that a page may be told"), suggestion(name, &known));
    }
    let destination = Destination {
        number: DestinationNumber(NUMBERS_FROM | number.0),
        // No destination's name has a colon.
        name: format!("{KIND}:{}", document.name),
        kind: KIND,
        sites: vec![number],
        basis: Basis::Consent(Purposes::PROFILE),
        tcf_vendor: None,
        transform: Transform::ConsentedProfile,
        kept_months: Some(KEPT_MONTHS),
        release: Release::Live,
        // A verdict may be wrong of somebody who agreed; programs do not agree.
        bots: Bots::All,
        paused: false,
        settings: toml::Table::new(),
    };
    Some(Arc::new(ProfileRules {
        destination: Arc::new(destination),
        identifiers,
        kept: days.map(|(_, days)| Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        traits: said.traits.clone(),
        lookup: said.lookup.clone(),
        keeps: said.keep_contacts.clone(),
    }))
}

/// The kinds beside accounts of which something is kept.
pub(super) fn identified_by(document: &SiteDocument) -> Vec<IdentifierKind> {
    let Some(said) = &document.profile else { return Vec::new() };
    let kinds = IdentifierKind::ALL.into_iter().filter(|kind| *kind != IdentifierKind::Account);
    kinds.filter(|kind| said.identifiers.of(*kind).is_some()).collect()
}

fn identifiers(said: &ProfileDocument, of: (&'static str, &str), errors: &mut Vec<DocumentError>) -> Vec<IdentifierRule> {
    let IdentifiersDocument { order, account, .. } = &said.identifiers;
    let twice = order.iter().enumerate().any(|(place, kind)| order[..place].contains(kind));
    if twice {
        let fix = "order = [\"account\", \"crm\", \"email\", \"phone\"]";
        fault(errors, of, "profile.identifiers.order", "a kind stands in it twice", fix);
    }
    for kind in order.iter().filter(|kind| **kind != IdentifierKind::Account && said.identifiers.of(**kind).is_none()) {
        let reason = format!("{} has a place in it, and nothing says what it does", kind.name());
        fault(errors, of, "profile.identifiers.order", reason, format!("{} = {{ joins = true }}", kind.name()));
    }
    if let Some(most) = account.and_then(|account| account.most)
        && said.browsers_per_account != default_browsers()
        && said.browsers_per_account != most
    {
        let reason = "it says something else than identifiers.account.most";
        fault(errors, of, "profile.browsers_per_account", reason, "leave it out");
    }
    // What the order leaves out stands behind it.
    let left = IdentifierKind::ALL.iter().filter(|kind| !order.contains(kind));
    let mut rules = Vec::new();
    for kind in order.iter().chain(left).copied() {
        let account = kind == IdentifierKind::Account;
        let Some(IdentifierDocument { joins, most }) =
            said.identifiers.of(kind).or_else(|| account.then_some(IdentifierDocument { joins: true, most: None }))
        else {
            continue;
        };
        let by_default = match kind {
            IdentifierKind::Account => said.browsers_per_account,
            IdentifierKind::Crm => default_browsers(),
            IdentifierKind::Email | IdentifierKind::Phone => MOST_SHARED,
        };
        let (key, most) = match most {
            None if account => (String::from("profile.browsers_per_account"), by_default),
            _ => (format!("profile.identifiers.{}.most", kind.name()), most.unwrap_or(by_default)),
        };
        if !(1..=MOST_MAX).contains(&most) {
            let reason = format!("it is of 1 to {MOST_MAX} browsers, or it is no one person's");
            let fix = format!("{} = {}", key.rsplit('.').next().unwrap_or_default(), by_default.clamp(1, MOST_MAX));
            fault(errors, of, &key, reason, fix);
        }
        rules.push(IdentifierRule { kind, joins, most: most as usize });
    }
    rules
}
