//! A strand: what one browser did, under one proven account or under none. It is what is sealed, kept and removed as one; profiles are made of
//! strands when they are looked at, and so nothing is moved when they are joined, and nothing is lost when they are parted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{
    entry::Entry,
    lattice::{Join, Last, Moment},
    store::{EntryRow, ProfileError, StrandKey, StrandRow},
    traits::Traits,
};
use crate::{
    clock::Timestamp,
    privacy::{
        contact_values::{ContactField, SealedValue},
        identifiers::Identifier,
        profiled::ProfileSeals,
    },
};

/// What is known of a strand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Strand {
    /// Of all of its events, those included that are not in the timeline any more.
    pub traits: Traits,
    /// Of those alone that are not in the timeline any more.
    #[serde(skip_serializing_if = "is_nothing")]
    pub past: Traits,
    /// What proved the account: the earliest event that did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What proved the other identifiers: of each the earliest event that did.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub known_by: BTreeMap<Identifier, Proof>,
    /// How its person is written to, sealed, where the site keeps it: of each what was said last.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contact: BTreeMap<ContactField, Last<SealedValue>>,
}

/// Identifiers of one kind that one browser has under one account: who has more is a shop's own terminal. Of more, those count that were proven first.
pub const OF_A_KIND_MAX: usize = 5;

fn is_nothing(traits: &Traits) -> bool {
    *traits == Traits::default()
}

/// What proved that an account is of a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// When, by which event.
    #[serde(flatten)]
    pub moment: Moment,
    /// Which protocol brought it.
    pub source: SmolStr,
}

impl Strand {
    /// Takes in an event.
    pub fn take(&mut self, entry: &Entry) {
        self.traits.take(entry);
        if entry.proven && self.proof.as_ref().is_none_or(|known| entry.moment() < known.moment) {
            self.proof = Some(Proof { moment: entry.moment(), source: entry.source.clone() });
        }
        for identifier in &entry.known_by {
            self.is_known_by(*identifier, Proof { moment: entry.moment(), source: entry.source.clone() });
        }
    }

    /// One that falls out of those proven first can come back only by an earlier proof, so that what is left does not depend on the order.
    fn is_known_by(&mut self, identifier: Identifier, proof: Proof) {
        match self.known_by.get_mut(&identifier) {
            Some(known) if proof.moment < known.moment => *known = proof,
            Some(_) => return,
            None => drop(self.known_by.insert(identifier, proof)),
        }
        let of_kind = |(known, _): &(&Identifier, &Proof)| known.kind == identifier.kind;
        while self.known_by.iter().filter(of_kind).count() > OF_A_KIND_MAX {
            let latest = self.known_by.iter().filter(of_kind).max_by_key(|(known, proof)| (proof.moment, **known)).map(|(known, _)| *known);
            latest.iter().for_each(|known| drop(self.known_by.remove(known)));
        }
    }

    /// What it is known by beside its account.
    #[must_use]
    pub fn identifiers(&self) -> BTreeSet<Identifier> {
        self.known_by.keys().copied().collect()
    }

    /// Notes that events leave the timeline.
    pub fn let_go(&mut self, entries: &[Entry]) {
        self.past.join(&Traits::of(entries));
    }

    /// Makes the traits again: from the timeline, and what is left of events that are no longer in it.
    pub fn make_again(&mut self, timeline: &[Entry]) {
        let mut traits = Traits::of(timeline);
        traits.join(&self.past);
        self.traits = traits;
    }

    /// Seals it. Nothing: its person does not agree to a profile any more.
    pub(super) fn sealed(
        &self,
        key: StrandKey,
        browser: u64,
        seals: &ProfileSeals,
        now: Timestamp,
    ) -> Result<Option<StrandRow>, ProfileError> {
        let body = serde_json::to_vec(self).expect("a strand is made of texts, numbers and flags");
        let sealed = seals.seal(&key.person, &key.as_associated_data(b"strand"), &body, now)?;
        Ok(sealed.map(|sealed| StrandRow { key, browser, sealed }))
    }

    /// Opens it. Nothing: its person does not agree to a profile any more, or it is damaged.
    pub(super) fn opened(row: &StrandRow, seals: &ProfileSeals, now: Timestamp) -> Result<Option<Self>, ProfileError> {
        let body = seals.open(&row.key.person, &row.key.as_associated_data(b"strand"), &row.sealed, now)?;
        Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
    }
}

impl Entry {
    /// Seals it.
    pub(super) fn sealed(&self, key: StrandKey, seals: &ProfileSeals, now: Timestamp) -> Result<Option<EntryRow>, ProfileError> {
        let body = serde_json::to_vec(self).expect("an event is made of texts, numbers and flags");
        let sealed = seals.seal(&key.person, &key.as_associated_data(self.event.bytes()), &body, now)?;
        Ok(sealed.map(|sealed| EntryRow { key, event: self.event, class: self.class(), received: self.received, sealed }))
    }

    /// Opens it.
    pub(super) fn opened(row: &EntryRow, seals: &ProfileSeals, now: Timestamp) -> Result<Option<Self>, ProfileError> {
        let body = seals.open(&row.key.person, &row.key.as_associated_data(row.event.bytes()), &row.sealed, now)?;
        Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
    }
}
