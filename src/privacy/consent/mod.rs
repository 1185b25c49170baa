//! Consent: what a visitor has said, and what follows for one event. Most restrictive wins; what cannot be read is a no.
//! The ways in which a choice comes on the wire have a file each; `docs/consent-signals.md` has them all in one table.

mod bits;
pub mod chain;
pub mod consent_mode;
pub mod gpp;
pub mod matomo;
pub mod proof;
mod stance;
pub mod tcf;
pub mod us_privacy;
pub mod us_sections;
mod vendors;

pub use self::{
    bits::Unreadable,
    stance::Stance,
    vendors::{Restriction, Restrictions, VendorSet},
};
use super::{
    raw::{Arrival, RawEvent},
    record::Audience,
    refusal::Refusal,
};
use crate::{
    documents::{Site, site::Ceiling},
    event::Purposes,
};

/// What a beacon's body says of the visitor's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsentSignal {
    /// Nothing: the visitor has not chosen yet.
    #[default]
    Absent,
    /// Said yes to these; an empty set is a no. The consent ends after that many seconds, where the sender knows.
    Given {
        /// What was agreed to.
        purposes: Purposes,
        /// Seconds until the consent itself ends.
        seconds_left: Option<u32>,
    },
    /// An objection for this site from now on, whatever else is said.
    OptOut,
    /// The opt-out is taken back; nothing is granted by that.
    OptIn,
    /// Global Privacy Control, said in a consent string: as much as the header.
    GlobalPrivacyControl,
    /// Something that cannot be read. Counts as no.
    Malformed,
}

/// Where a visitor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentState {
    /// Said no, in whatever way; the refusal says which.
    Objected(Refusal),
    /// Has not chosen.
    Unknown,
    /// Said yes to at least one purpose.
    Granted(Purposes),
}

impl ConsentState {
    /// In words, for pages.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Objected(_) => String::from("objected"),
            Self::Unknown => String::from("unknown"),
            Self::Granted(purposes) => format!("granted: {}", purposes.names().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// A state that was decided from a request's own signals. Nothing but [`decide`] makes one, so nobody can permit an event by writing
/// `Granted` themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decision(ConsentState);

impl Decision {
    /// Where the visitor stands.
    #[must_use]
    pub const fn state(self) -> ConsentState {
        self.0
    }
}

/// Where the visitor of a request stands. An explicit objection comes before the browser's general ones, those before any yes.
#[must_use]
pub fn decide(arrival: &Arrival<'_>) -> Decision {
    let opted_out = arrival.opted_out && arrival.signal != ConsentSignal::OptIn;
    Decision(match arrival.signal {
        ConsentSignal::OptOut => ConsentState::Objected(Refusal::ObjectedOptOut),
        _ if opted_out => ConsentState::Objected(Refusal::ObjectedOptOut),
        ConsentSignal::Given { purposes, .. } if purposes.is_empty() => ConsentState::Objected(Refusal::ObjectedRefused),
        ConsentSignal::GlobalPrivacyControl => ConsentState::Objected(Refusal::ObjectedGpc),
        _ if arrival.global_privacy_control => ConsentState::Objected(Refusal::ObjectedGpc),
        _ if arrival.do_not_track => ConsentState::Objected(Refusal::ObjectedDnt),
        ConsentSignal::Malformed => ConsentState::Objected(Refusal::ObjectedMalformed),
        ConsentSignal::Given { purposes, .. } => ConsentState::Granted(purposes),
        ConsentSignal::Absent | ConsentSignal::OptIn => ConsentState::Unknown,
    })
}

/// An event that at least one destination may have, with the most that any of them may get. It holds its event: whoever has a
/// permit has not lost the event, and whoever has the event alone has no permit.
pub struct Permitted<'a> {
    pub(in crate::privacy) event: RawEvent<'a>,
    pub(in crate::privacy) purposes: Purposes,
    pub(in crate::privacy) ceiling: Ceiling,
    pub(in crate::privacy) audience: Audience,
}

/// Permits an event, or says why not.
///
/// # Errors
/// The visitor objected, or no destination of the site has a basis.
pub fn permit<'a>(event: RawEvent<'a>, decision: Decision, site: &Site) -> Result<Permitted<'a>, Refusal> {
    let (purposes, ceiling) = match decision.state() {
        ConsentState::Objected(refusal) => return Err(refusal),
        // A held copy is sent on a grant; without one the event itself was sent, and the copy has no business here.
        ConsentState::Unknown if event.held => return Err(Refusal::NoBasis),
        ConsentState::Unknown => (Purposes::NONE, site.ceilings.unknown),
        ConsentState::Granted(purposes) => (purposes, site.ceilings.of_granted(purposes, event.held)),
    };
    let ceiling = ceiling.ok_or(Refusal::NoBasis)?;
    let audience = if event.held { Audience::ConsentBasisOnly } else { Audience::All };
    Ok(Permitted { event, purposes, ceiling, audience })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        privacy::{personal::Personal, raw::ClientAddress},
    };

    fn state(signal: ConsentSignal, opted_out: bool, gpc: bool, dnt: bool) -> ConsentState {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        decide(&Arrival {
            address: &address,
            user_agent: None,
            accept_language: None,
            brands: None,
            prefetched: false,
            visitor_cookie: None,
            opted_out,
            global_privacy_control: gpc,
            do_not_track: dnt,
            secure: true,
            signal,
            received: Timestamp(0),
        })
        .state()
    }

    #[test]
    fn the_most_restrictive_signal_wins() {
        use ConsentState::{Granted, Objected, Unknown};
        let yes = ConsentSignal::Given { purposes: Purposes::ANALYTICS, seconds_left: None };
        let no = ConsentSignal::Given { purposes: Purposes::NONE, seconds_left: None };
        let cases = [
            (ConsentSignal::Absent, false, false, false, Unknown),
            (yes, false, false, false, Granted(Purposes::ANALYTICS)),
            (no, false, false, false, Objected(Refusal::ObjectedRefused)),
            (yes, true, false, false, Objected(Refusal::ObjectedOptOut)),
            (yes, false, true, false, Objected(Refusal::ObjectedGpc)),
            (yes, false, false, true, Objected(Refusal::ObjectedDnt)),
            (ConsentSignal::Absent, false, true, true, Objected(Refusal::ObjectedGpc)),
            (ConsentSignal::Malformed, false, false, false, Objected(Refusal::ObjectedMalformed)),
            (ConsentSignal::GlobalPrivacyControl, false, false, false, Objected(Refusal::ObjectedGpc)),
            (ConsentSignal::GlobalPrivacyControl, true, false, false, Objected(Refusal::ObjectedOptOut)),
            (ConsentSignal::OptOut, false, true, false, Objected(Refusal::ObjectedOptOut)),
            (ConsentSignal::OptIn, true, false, false, Unknown),
            (ConsentSignal::OptIn, true, true, false, Objected(Refusal::ObjectedGpc)),
        ];
        for (signal, opted_out, gpc, dnt, expected) in cases {
            assert_eq!(state(signal, opted_out, gpc, dnt), expected, "{signal:?} {opted_out} {gpc} {dnt}");
        }
    }
}
