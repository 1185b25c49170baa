//! What traits are made of: values that are joined by a rule for which neither order nor repetition matters, so that an event that comes late,
//! twice, or after a merge was undone leaves the same as if all had come once and in order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::{clock::Timestamp, event::Purposes, privacy::profiled::EventKey};

/// Something that grows by being joined with others of its kind. Joining is associative, commutative, and joining the same again changes
/// nothing.
pub trait Join {
    /// Takes in what the other has.
    fn join(&mut self, other: &Self);
}

/// When something was said, and by which event: a total order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// When it happened.
    pub at: Timestamp,
    /// Which event.
    pub event: EventKey,
}

/// A value, with where it is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said<T> {
    /// It.
    pub value: T,
    /// When, by which event.
    #[serde(flatten)]
    pub moment: Moment,
    /// Which protocol brought it.
    pub source: SmolStr,
    /// Whether the site's backend said it, or it came with a proven account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proven: bool,
    /// What the person had agreed to.
    pub purposes: Purposes,
    /// The version of the policy that it was cleaned under.
    pub policy: u32,
}

/// The value of the earliest event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct First<T>(pub Option<Said<T>>);

/// The value of the latest event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Last<T>(pub Option<Said<T>>);

impl<T> Default for First<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> First<T> {
    /// Takes in a value.
    pub fn take(&mut self, said: &Said<T>) {
        if self.0.as_ref().is_none_or(|known| said.moment < known.moment) {
            self.0 = Some(said.clone());
        }
    }
}

impl<T: Clone> Last<T> {
    /// Takes in a value.
    pub fn take(&mut self, said: &Said<T>) {
        if self.0.as_ref().is_none_or(|known| said.moment > known.moment) {
            self.0 = Some(said.clone());
        }
    }
}

impl<T: Clone> Join for First<T> {
    fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|said| self.take(said));
    }
}

impl<T: Clone> Join for Last<T> {
    fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|said| self.take(said));
    }
}

/// The names met most recently, each with its latest moment: `N` of them at most. One that falls out can come back only by a later moment,
/// so what is left does not depend on the order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent<const N: usize>(pub BTreeMap<String, Moment>);

impl<const N: usize> Recent<N> {
    /// Takes in a name.
    pub fn take(&mut self, name: &str, moment: Moment) {
        match self.0.get_mut(name) {
            Some(known) => *known = moment.max(*known),
            None => {
                self.0.insert(name.to_owned(), moment);
            }
        }
        while self.0.len() > N {
            let oldest = self.0.iter().min_by_key(|(name, moment)| (**moment, *name)).map(|(name, _)| name.clone());
            oldest.iter().for_each(|name| {
                self.0.remove(name);
            });
        }
    }

    /// Latest first.
    #[must_use]
    pub fn latest_first(&self) -> Vec<(&str, Moment)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, moment)| (name.as_str(), *moment)).collect();
        all.sort_by(|one, other| (other.1, other.0).cmp(&(one.1, one.0)));
        all
    }
}

impl<const N: usize> Join for Recent<N> {
    fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, moment)| self.take(name, *moment));
    }
}

/// Visits, counted once each. Beyond [`VISITS_EXACT`] only the smallest ids are kept, and the rest is estimated from them: ids are keyed hashes,
/// and so lie evenly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Visits(BTreeSet<u64>);

/// So many visits are counted exactly; the error of an estimate beyond is some 4 %.
pub const VISITS_EXACT: usize = 512;

impl Visits {
    /// Takes in a visit.
    pub fn take(&mut self, id: u64) {
        self.0.insert(id);
        while self.0.len() > VISITS_EXACT + 1 {
            self.0.pop_last();
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self.0.last() {
            // So many of the smallest ids take up their share of all ids.
            Some(largest) if self.0.len() > VISITS_EXACT => (VISITS_EXACT as f64 * (u64::MAX as f64 / *largest as f64)) as u64,
            _ => self.0.len() as u64,
        }
    }
}

impl Join for Visits {
    fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|id| self.take(*id));
    }
}
