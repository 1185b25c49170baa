//! `disclose`: what one destination may see of one clean event. Built from nothing, field by field, from an allow-list; never by
//! deleting from a copy. The least of four decides: the ceiling at capture, the policy now, the consent at capture, the consent now.

use serde::Serialize;

use crate::{clock::Timestamp, event::{Offset, PolicyVersion}};

/// What one destination may see of one event. Serialises to the fields that leave, and to nothing else.
#[derive(Serialize)]
pub struct Disclosure {
    #[serde(skip)]
    offset: Offset,
    #[serde(skip)]
    lane: u64,
    #[serde(skip)]
    received: Timestamp,
    event_id: String,
    time: String,
    policy_version: PolicyVersion,
}

impl Disclosure {
    /// Which record it is of.
    #[must_use]
    pub const fn offset(&self) -> Offset {
        self.offset
    }

    /// A number that is equal for events of one subject and says nothing else: which lane keeps their order.
    #[must_use]
    pub const fn lane(&self) -> u64 {
        self.lane
    }

    /// When the event came in (for expiry; what leaves is a rounded time).
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// The policy version that it was made under.
    #[must_use]
    pub const fn policy(&self) -> PolicyVersion {
        self.policy_version
    }

    /// The event id that leaves.
    #[must_use]
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// The time that leaves, RFC 3339.
    #[must_use]
    pub fn time(&self) -> &str {
        &self.time
    }

    /// A disclosure for tests of what comes after.
    #[cfg(test)]
    pub(crate) fn sample(offset: Offset, lane: u64, received: Timestamp) -> Self {
        Self { offset, lane, received, event_id: format!("00000000-0000-8000-8000-{:012x}", offset.0), time: received.rfc3339(), policy_version: PolicyVersion(1) }
    }
}

/// Why a destination does not get an event that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// The destination needs a consent that was not given.
    NoConsent,
    /// A copy for consent-basis destinations: this one had the event when it happened.
    HeldCopy,
    /// The policy in force now allows this destination nothing.
    Policy,
}

impl Withheld {
    /// The rule's name in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoConsent => "no_consent",
            Self::HeldCopy => "held_copy",
            Self::Policy => "policy",
        }
    }
}

/// What became of one record for one destination.
pub enum Disclosed {
    /// It may see this.
    Disclosure(Box<Disclosure>),
    /// The record is of a site that this destination does not serve: no ledger entry.
    NotAddressed,
    /// It may not have it.
    Withheld(Withheld),
    /// The person withdrew or was erased; nothing can be read any more.
    Purged,
}
