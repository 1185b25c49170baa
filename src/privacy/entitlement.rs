//! Whether a destination gets a record at all, and how much of it at most: by what the record's header says, by the documents in force, and by
//! the verdict on bots.

use serde::Serialize;

use super::{
    clean::CleanEvent,
    policy::Allowed,
    record::{Audience, Header},
    transform::{Breadth, Transform},
};
use crate::documents::{Basis, Bots, Destination};

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
    /// A program seems to have sent it, and the destination is for people's events.
    Bot,
}

impl Withheld {
    /// The rule's name in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoConsent => "no_consent",
            Self::HeldCopy => "held_copy",
            Self::Policy => "policy",
            Self::Bot => "bot",
        }
    }
}

/// How much of a record a destination may see, by its header alone. `allowed` is what the documents say now.
///
/// # Errors
/// Why it may not see anything.
pub fn entitlement(header: &Header, destination: &Destination, allowed: &Allowed) -> Result<Breadth, Withheld> {
    let now = allowed.breadth.meet(header.ceiling);
    let breadth = match destination.basis {
        Basis::ExemptMeasurement if header.audience == Audience::ConsentBasisOnly => return Err(Withheld::HeldCopy),
        Basis::Consent(needed) if needed.is_empty() || !header.purposes.cover(needed) => return Err(Withheld::NoConsent),
        // The exemption never reaches what only a consent can allow.
        Basis::ExemptMeasurement => now.meet(Transform::Measurement.breadth()),
        Basis::Consent(_) => now,
    };
    if breadth.is_nothing() { Err(Withheld::Policy) } else { Ok(breadth) }
}

/// Whether a destination that is for people's events does not get this one.
pub(in crate::privacy) fn is_kept_from(destination: &Destination, event: &CleanEvent) -> bool {
    destination.bots == Bots::People && event.body().bot.class().is_some()
}
