//! A profile as it is shown and handed out: its strands with what joined them, its traits by the site's rules, the newest events.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Profiles, again,
    contact_view::ContactView,
    entry::Entry,
    identity::{Joined, rule_of},
    lattice::{Join as _, Said},
    store::{Decision, ProfileError, Slice, StrandKey},
    strand::{Proof, Strand},
    strand_id,
    traits::{ORDERS_MAX, Traits},
};
use crate::{
    clock::Timestamp,
    documents::{ProfileRules, profile::TraitRule},
    event::Purposes,
    privacy::{
        clean::{CampaignField, Property},
        enrich::device::DeviceClass,
        identifiers::{Identifier, IdentifierKind},
        profiled::AccountId,
        rules::{Rule, holds},
    },
};

/// A profile.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProfileView {
    /// Its id.
    pub id: String,
    /// What joins its parts: `proven_account`, `one_browser` or `nothing`.
    pub joined_by: &'static str,
    /// Whether an account was refused as a joiner, since too many browsers have it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub account_shared_by_too_many: bool,
    /// All identifiers that were refused as joiners, since too many browsers have them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub shared_by_too_many: BTreeSet<Identifier>,
    /// Identifiers that join nothing here, since one that counts more tells those apart who have them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub told_apart: BTreeSet<Identifier>,
    /// Whether so much hangs together with it that none of it was joined.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub too_many_together: bool,
    /// What it is made of.
    pub parts: Vec<PartView>,
    /// What is known.
    pub traits: TraitsView,
    /// The newest events, newest first.
    pub timeline: Vec<EventView>,
    /// How its person is written to: for themselves alone.
    #[serde(skip_serializing_if = "ContactView::is_empty")]
    #[schemars(skip)]
    pub contact: ContactView,
}

/// A strand.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PartView {
    /// Its id, by which it can be parted.
    pub id: String,
    /// The account that it is of, under the store's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub account: Option<AccountId>,
    /// What joined it: the first event that proved the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofView>,
    /// What else is proven of it, and what proved it first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_by: Vec<KnownView>,
    /// Its first event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// Its last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// What somebody decided of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionView>,
}

/// An identifier, with what proved it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KnownView {
    /// Of which kind it is, and its id under the store's key.
    #[schemars(with = "String")]
    pub identifier: Identifier,
    /// What proved it first.
    #[serde(flatten)]
    pub proof: ProofView,
}

/// What proved an account.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProofView {
    /// When.
    pub at: String,
    /// Which event, under the store's key.
    pub event: String,
    /// By which rule it joins.
    pub rule: &'static str,
    /// Which protocol brought it.
    pub source: String,
}

/// What somebody decided.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DecisionView {
    /// `parted` or `joined`.
    pub what: &'static str,
    /// When.
    pub at: String,
    /// Who.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// A value with where it is from.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SaidView<T> {
    /// It.
    pub value: T,
    /// When the event happened that said it.
    pub at: String,
    /// Which protocol brought it.
    pub source: String,
    /// Whether the site's backend said it, or it came with a proven account.
    pub proven: bool,
    /// What the person had agreed to.
    #[schemars(with = "Vec<String>")]
    pub agreed_to: Purposes,
    /// The version of the policy that it was cleaned under.
    pub policy_version: u32,
}

/// One of the site's own traits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnView {
    /// Which of several values counts.
    pub rule: &'static str,
    /// The one that does.
    #[serde(flatten)]
    pub said: SaidView<Property>,
}

/// What was bought in one currency.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct RevenueView {
    /// ISO 4217; empty: nobody said.
    pub currency: String,
    /// Orders.
    pub orders: u64,
    /// What they come to.
    pub revenue: f64,
    /// The average order.
    pub average: f64,
    /// What was refunded.
    pub refunded: f64,
}

/// A name, and when it was last met.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MetView {
    /// It.
    pub name: String,
    /// When.
    pub at: String,
}

/// What is known of a customer.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/profiles.md has a table of them")]
pub struct TraitsView {
    pub first_seen: Option<String>,
    pub last_seen: Option<String>,
    pub visits: u64,
    pub orders: u64,
    /// Whether there may have been more orders than are counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub orders_are_the_latest: bool,
    pub revenue: Vec<RevenueView>,
    pub last_products: Vec<MetView>,
    pub last_categories: Vec<MetView>,
    pub first_campaign: Option<SaidView<BTreeMap<CampaignField, String>>>,
    pub last_campaign: Option<SaidView<BTreeMap<CampaignField, String>>>,
    pub country: Option<SaidView<String>>,
    pub device: Option<SaidView<DeviceClass>>,
    pub language: Option<SaidView<String>>,
    /// The site's own.
    pub own: BTreeMap<String, OwnView>,
    /// Accounts that a browser says are its, and nobody has proven.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claimed_accounts: Vec<MetView>,
    /// The same of other identifiers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claimed_identifiers: Vec<MetView>,
}

/// One event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventView {
    /// When it happened.
    pub happened: String,
    /// Of which part.
    pub part: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

pub(super) fn said<T, U>(said: &Said<T>, value: impl FnOnce(&T) -> U) -> SaidView<U> {
    SaidView {
        value: value(&said.value),
        at: said.moment.at.rfc3339(),
        source: said.source.to_string(),
        proven: said.proven,
        agreed_to: said.purposes,
        policy_version: said.policy,
    }
}

fn money(millionths: i64) -> f64 {
    millionths as f64 / 1e6
}

impl TraitsView {
    /// Traits under a site's rules.
    #[must_use]
    pub fn of(traits: &Traits, rules: &BTreeMap<String, TraitRule>) -> Self {
        let met = |all: Vec<(&str, super::lattice::Moment)>| {
            all.into_iter().map(|(name, moment)| MetView { name: name.to_owned(), at: moment.at.rfc3339() }).collect()
        };
        let refunds = traits.refunds.sums();
        let revenue = traits.orders.sums();
        let currencies: std::collections::BTreeSet<&str> = revenue.keys().chain(refunds.keys()).copied().collect();
        let revenue = currencies.into_iter().map(|currency| {
            let (orders, sum) = revenue.get(currency).copied().unwrap_or_default();
            let average = if orders == 0 { 0.0 } else { money(sum) / orders as f64 };
            let refunded = money(refunds.get(currency).map_or(0, |(_, sum)| *sum));
            RevenueView { currency: currency.to_owned(), orders, revenue: money(sum), average, refunded }
        });
        let own = rules.iter().filter_map(|(name, rule)| {
            let value = traits.properties.get(name)?.by(*rule)?;
            Some((name.clone(), OwnView { rule: rule.name(), said: said(value, Clone::clone) }))
        });
        Self {
            first_seen: traits.first_seen.0.as_ref().map(|said| said.moment.at.rfc3339()),
            last_seen: traits.last_seen.0.as_ref().map(|said| said.moment.at.rfc3339()),
            visits: traits.visits.count(),
            orders: traits.orders.0.len() as u64,
            orders_are_the_latest: traits.orders.0.len() >= ORDERS_MAX,
            revenue: revenue.collect(),
            last_products: met(traits.products.latest_first()),
            last_categories: met(traits.categories.latest_first()),
            first_campaign: traits.first_campaign.0.as_ref().map(|campaign| said(campaign, Clone::clone)),
            last_campaign: traits.last_campaign.0.as_ref().map(|campaign| said(campaign, Clone::clone)),
            country: traits.country.0.as_ref().map(|country| said(country, |country| country.code().to_owned())),
            device: traits.device.0.as_ref().map(|device| said(device, |device| *device)),
            language: traits.language.0.as_ref().map(|language| said(language, |language| language.code().to_owned())),
            own: own.collect(),
            claimed_accounts: met(traits.claims.latest_first()),
            claimed_identifiers: met(traits.claimed.latest_first()),
        }
    }
}

impl Profiles {
    /// A profile, with so many of its newest events. Nothing: nobody of it agrees to a profile any more, or it is not to be used. Blocks.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn view(&self, joined: &Joined, rules: &ProfileRules, events: usize, now: Timestamp) -> Result<Option<ProfileView>, ProfileError> {
        if self.is_restricted(joined) { Ok(None) } else { self.whole_view(joined, rules, events, now) }
    }

    /// Whether a profile is not to be used: no part of it is where one is not.
    #[must_use]
    pub fn is_restricted(&self, joined: &Joined) -> bool {
        joined.strands.iter().any(|strand| self.seals().is_restricted(&strand.person)) && holds(Rule::RestrictedIsNotShown)
    }

    /// The same for whose profile it is, with how they are written to, whether or not it is to be used.
    pub(super) fn own_view(
        &self,
        joined: &Joined,
        rules: &ProfileRules,
        events: usize,
        now: Timestamp,
    ) -> Result<Option<ProfileView>, ProfileError> {
        let Some(view) = self.whole_view(joined, rules, events, now)? else { return Ok(None) };
        Ok(Some(ProfileView { contact: self.contact(joined, rules, now)?, ..view }))
    }

    /// The same for whomever, whether or not it is to be used.
    fn whole_view(
        &self,
        joined: &Joined,
        rules: &ProfileRules,
        events: usize,
        now: Timestamp,
    ) -> Result<Option<ProfileView>, ProfileError> {
        let mut opened = Vec::new();
        for key in &joined.strands {
            let Some(row) = self.store()?.strand(key)? else { continue };
            if let Some(strand) = Strand::opened(&row, self.seals(), now)? {
                opened.push((*key, row.browser, strand));
            }
        }
        if opened.is_empty() {
            return Ok(None);
        }
        let (mut traits, mut parts, mut timeline) = (Traits::default(), Vec::new(), Vec::new());
        for (key, browser, strand) in &opened {
            traits.join(&strand.traits);
            parts.push(self.part(key, *browser, strand)?);
            timeline.extend(self.newest(key, strand_id(key, *browser), events, now)?);
            // Each time, so that no more than two of so many are in memory, of however many parts it is.
            timeline.sort_by_key(|event: &EventView| std::cmp::Reverse(event.entry.moment()));
            timeline.truncate(events);
        }
        Ok(Some(ProfileView {
            id: joined.by.id(),
            joined_by: joined.by.rule(),
            account_shared_by_too_many: joined.refused.iter().any(|identifier| identifier.kind == IdentifierKind::Account),
            shared_by_too_many: joined.refused.clone(),
            told_apart: joined.disputed.clone(),
            too_many_together: joined.too_many,
            parts,
            traits: TraitsView::of(&traits, &rules.traits),
            timeline,
            contact: ContactView::default(),
        }))
    }

    fn newest(&self, key: &StrandKey, part: String, events: usize, now: Timestamp) -> Result<Vec<EventView>, ProfileError> {
        let mut newest = Vec::new();
        for row in self.store()?.entries(key, &Slice::default(), events.min(again::TIMELINE_MAX))? {
            if let Some(entry) = Entry::opened(&row, self.seals(), now)? {
                newest.push(EventView { happened: entry.at.rfc3339(), part: part.clone(), entry });
            }
        }
        Ok(newest)
    }

    fn part(&self, key: &StrandKey, browser: u64, strand: &Strand) -> Result<PartView, ProfileError> {
        let proof = |kind, Proof { moment, source }: &Proof| ProofView {
            at: moment.at.rfc3339(),
            event: moment.event.to_string(),
            rule: rule_of(kind),
            source: source.to_string(),
        };
        let decision = |Decision { apart, at, author, reason, .. }: Decision| DecisionView {
            what: if apart { "parted" } else { "joined" },
            at: at.rfc3339(),
            author,
            reason,
        };
        Ok(PartView {
            id: strand_id(key, browser),
            account: key.account,
            proof: strand.proof.as_ref().filter(|_| key.account.is_some()).map(|said| proof(IdentifierKind::Account, said)),
            known_by: strand
                .known_by
                .iter()
                .map(|(known, said)| KnownView { identifier: *known, proof: proof(known.kind, said) })
                .collect(),
            first_seen: strand.traits.first_seen.0.as_ref().map(|said| said.moment.at.rfc3339()),
            last_seen: strand.traits.last_seen.0.as_ref().map(|said| said.moment.at.rfc3339()),
            decisions: self.store()?.decisions(key)?.into_iter().map(decision).collect(),
        })
    }
}
