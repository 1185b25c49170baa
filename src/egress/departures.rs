//! Departures: what a courier's parcels carried since it was last written down, in memory. Counted from the disclosures that were encoded,
//! at the moment at which their parcel is handed to its carrier, and again, once, when an answer ends an event.

use std::collections::{BTreeMap, HashMap};

use super::record::Figure;
use crate::privacy::{departure::Schema, disclose::Disclosure};

/// How often something was in a parcel, and how many events ended that had been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Copies handed to the carrier: an event that is tried three times counts three times.
    pub sent: u64,
    /// Events that an answer ended: each counts once.
    pub ended: u64,
}

/// What left, and what was kept back of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departures {
    figures: BTreeMap<(Figure, String), u64>,
    schemas: HashMap<Schema, Times>,
}

impl Departures {
    /// A parcel is handed to its carrier, with disclosures of these schemas in a body of so many bytes.
    #[must_use]
    pub fn handed_over(schemas: impl IntoIterator<Item = Schema>, bytes: usize) -> Self {
        let mut departures = Self::default();
        let mut events = 0;
        for schema in schemas {
            departures.schemas.entry(schema).or_default().sent += 1;
            events += 1;
        }
        for (name, count) in [("parcels", 1), ("events", events), ("bytes", bytes as u64)] {
            departures.count(Figure::Sent, name, count);
        }
        departures
    }

    /// A copy of a parcel with so many events, in a body of so many bytes, goes to the receiver's validator, which keeps nothing of it.
    #[must_use]
    pub fn tried_out(events: usize, bytes: usize) -> Self {
        let mut departures = Self::default();
        for (name, count) in [("trial_parcels", 1), ("trial_events", events), ("trial_bytes", bytes)] {
            departures.count(Figure::Sent, name, count as u64);
        }
        departures
    }

    /// An answer came for a parcel: `204`, `timeout`.
    pub fn answered(&mut self, status: &str) {
        self.count(Figure::Answer, status, 1);
    }

    /// An answer ended an event whose disclosure was this.
    pub fn ended(&mut self, schema: Schema, disclosure: &Disclosure) {
        self.schemas.entry(schema).or_default().ended += 1;
        disclosure.dropped().names().for_each(|field| self.count(Figure::Dropped, field, 1));
        disclosure.without_crowd().for_each(|step| self.count(Figure::WithoutCrowd, step, 1));
    }

    fn count(&mut self, figure: Figure, name: &str, more: u64) {
        *self.figures.entry((figure, name.to_owned())).or_default() += more;
    }

    /// Takes what is in another one over.
    pub fn add(&mut self, other: Self) {
        for ((figure, name), count) in other.figures {
            *self.figures.entry((figure, name)).or_default() += count;
        }
        for (schema, Times { sent, ended }) in other.schemas {
            let times = self.schemas.entry(schema).or_default();
            times.sent += sent;
            times.ended += ended;
        }
    }

    /// Whether nothing left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.figures.is_empty() && self.schemas.is_empty()
    }

    /// What is counted, but for the schemas.
    pub(super) fn figures(&self) -> impl Iterator<Item = (Figure, &str, u64)> {
        self.figures.iter().map(|((figure, name), count)| (*figure, name.as_str(), *count))
    }

    /// The fields of each schema, and how often it left.
    pub(super) fn schemas(&self) -> impl Iterator<Item = (Vec<String>, Times)> {
        self.schemas.iter().map(|(schema, times)| (schema.fields(), *times))
    }
}
