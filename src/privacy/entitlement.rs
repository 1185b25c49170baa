//! Entitlement: whether a destination may have a record at all, and how much of it; or why not. The least of what was allowed at capture and
//! what is allowed now; and the verdict on bots.

use serde::Serialize;

use super::{
    clean::CleanEvent,
    policy::Allowed,
    record::{Audience, Header},
    rules::{Rule, holds},
    transform::{Breadth, Transform},
};
use crate::{
    documents::{Basis, Bots, Destination},
    event::Purposes,
};

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
    /// The visitor's TC string does not consent to the vendor that this destination is of.
    Vendor,
    /// A program seems to have sent it, and the destination is for people's events.
    Bot,
    /// It is a page's purchase, and the site's backend has told of the same order: that one leaves.
    Twin,
    /// What its destination asks for beside it was in memory alone, and is gone.
    EnvelopeLost,
    /// What rests of its person is not to be used.
    Restricted,
    /// It is a page's purchase without consent, which names no order, and the site's backend tells of all.
    LeftToBackend,
}

impl Withheld {
    /// The rule's name in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoConsent => "no_consent",
            Self::HeldCopy => "held_copy",
            Self::Policy => "policy",
            Self::Vendor => "vendor_not_consented",
            Self::Bot => "bot",
            Self::Twin => "merged_into_twin",
            Self::LeftToBackend => "left_to_backend",
            Self::EnvelopeLost => "envelope_lost",
            Self::Restricted => "restricted",
        }
    }
}

/// How much of a record a destination may see, by its header alone. `allowed` is what the documents say now.
///
/// # Errors
/// Why it may not see anything.
pub fn entitlement(header: &Header, destination: &Destination, allowed: &Allowed) -> Result<Breadth, Withheld> {
    let policy_now = if holds(Rule::PolicyNow) { allowed.breadth } else { header.ceiling };
    let at_capture = if holds(Rule::CeilingAtCapture) { header.ceiling } else { allowed.breadth };
    let now = policy_now.meet(at_capture);
    let breadth = match destination.basis {
        Basis::ExemptMeasurement if header.audience == Audience::ConsentBasisOnly && holds(Rule::HeldCopyNotToExempt) => {
            return Err(Withheld::HeldCopy);
        }
        Basis::Consent(needed) if !agreed(header.purposes, needed) && holds(Rule::PurposesOfTheDestination) => {
            return Err(Withheld::NoConsent);
        }
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

/// Whether there is a consent to everything that is needed; to need nothing is not to have one.
fn agreed(purposes: Purposes, needed: Purposes) -> bool {
    !needed.is_empty() && purposes.cover(needed)
}
