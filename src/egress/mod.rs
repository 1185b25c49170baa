//! The ledger of what left: for each destination and day how many parcels and events were handed to its carrier, which fields were in them,
//! how the events ended, and what was kept back by which rule. Counts and names of our own lists; no event, no offset, no value.
//!
//! ```text
//! lane → Departures ─┐
//! ends of the ledger ┴→ open day (counts) → closed: a record per destination → root → link → signature
//! ```
//! Days are UTC: a parcel may carry events of several sites, whose own days begin at different times. The day is the one on which a parcel
//! was handed over or an event ended, not the one on which the event came in. Counts of the open day are written in the transaction that
//! writes the ledger of delivery; when the day is over it is closed, and never written again.

pub mod chain;
pub mod closing;
pub mod departures;
pub mod export;
pub mod record;
pub mod store;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, time::Duration};

use jiff::{ToSpan as _, civil};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const EPOCH: civil::Date = civil::date(1970, 1, 1);

/// A day in UTC, counted from 1970-01-01. Written as a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// The day of a moment.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.seconds().div_euclid(DAY.as_secs().cast_signed()))
    }

    /// The day after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i32::try_from(self.0).ok().and_then(|days| EPOCH.checked_add(days.days()).ok()) {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "day {}", self.0),
        }
    }
}

/// What is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is written as 2026-11-27")]
pub struct NoDay;

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let date: civil::Date = text.parse().map_err(|_| NoDay)?;
        let day = EPOCH.until(date).map_err(|_| NoDay)?;
        let day = Self(i64::from(day.get_days()));
        // One spelling a day: whatever else reads as one is not what was written.
        if day.to_string() == text { Ok(day) } else { Err(NoDay) }
    }
}

impl Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
