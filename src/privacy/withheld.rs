//! Why a destination does not get an event that is in the log: the rules, by the names that the ledger has for them.

use serde::Serialize;

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
        }
    }
}
