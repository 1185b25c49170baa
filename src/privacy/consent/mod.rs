//! Consent: what a visitor has said, and what follows for one event. Most restrictive wins; what cannot be read is a no.
//! The ways in which a choice comes on the wire have a file each; `docs/consent-signals.md` has them all in one table.

pub mod amp;
mod bits;
pub mod chain;
pub mod consent_mode;
pub mod evidence;
pub mod gpp;
pub mod matomo;
pub mod proof;
mod stance;
pub mod tcf;
pub mod us_privacy;
pub mod us_sections;
pub mod vendor_decisions;
mod vendors;

pub use self::{
    bits::Unreadable,
    stance::Stance,
    vendor_decisions::VendorDecisions,
    vendors::{Restriction, Restrictions, VendorSet},
};
use super::{
    raw::{Arrival, RawEvent},
    record::Audience,
    refusal::Refusal,
    rules::{Rule, holds},
};
use crate::{
    documents::{
        Site,
        site::{Ceiling, SignalRules},
    },
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

/// A state that was decided from a request's own signals, or where there are none from the consent on record. Nothing but [`decide`] makes one, so nobody can permit an event by writing
/// `Granted` themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    state: ConsentState,
    vendors: Option<VendorDecisions>,
}

impl Decision {
    /// Where the visitor stands.
    #[must_use]
    pub const fn state(self) -> ConsentState {
        self.state
    }

    /// Whether a consent on record is asked for: nothing was said, and the library has no words to say it in. Who objects is not asked about.
    #[must_use]
    pub(in crate::privacy) fn asks_the_record(self, library_has_words: bool) -> bool {
        match self.state {
            ConsentState::Objected(_) => !holds(Rule::ObjectionBeforeRecord),
            ConsentState::Unknown => !library_has_words || !holds(Rule::RecordForTheWordless),
            ConsentState::Granted(_) => false,
        }
    }

    /// The same, or where a consent on record grants something, that. Destinations of single vendors get nothing of it: what a TC string
    /// decided on them is said with every request, and is not on record.
    #[must_use]
    pub(in crate::privacy) fn or_on_record(self, granted: Purposes, rules: &SignalRules) -> Self {
        if granted.is_empty() {
            return self;
        }
        let decides_on_vendors = rules.vendors.is_empty() || !holds(Rule::RecordDecidesOnNoVendor);
        Self { state: ConsentState::Granted(granted), vendors: (!decides_on_vendors).then(VendorDecisions::default) }
    }

    /// What follows where the site's backend names somebody who has no consent on record: a cookie is given with a yes alone, so that yes was
    /// taken back, or has ended, or nobody ever gave it.
    #[must_use]
    pub(in crate::privacy) const fn without_consent(self) -> Self {
        Self { state: ConsentState::Objected(Refusal::ConsentEnded), ..self }
    }

    /// What follows where whoever says this objects to single purposes: the others of their yes; where it has no others, they have not chosen.
    #[must_use]
    pub(in crate::privacy) fn but_for(self, objected: Purposes) -> Self {
        match self.state {
            ConsentState::Granted(purposes) if purposes.without(objected).is_empty() => {
                Self { state: ConsentState::Unknown, vendors: None }
            }
            ConsentState::Granted(purposes) => Self { state: ConsentState::Granted(purposes.without(objected)), ..self },
            ConsentState::Objected(_) | ConsentState::Unknown => self,
        }
    }

    /// What TC strings decided on the vendors of the site's destinations; nothing, where the yes came without one.
    #[must_use]
    pub const fn vendors(&self) -> Option<&VendorDecisions> {
        self.vendors.as_ref()
    }
}

/// Where the visitor of a request stands. An explicit objection comes before the browser's general ones, those before any yes; but a yes
/// that was given on this very site outranks the header `Sec-GPC` where the site's document says so.
#[must_use]
pub fn decide(arrival: &Arrival<'_>, rules: &SignalRules) -> Decision {
    let said = Stance::from(arrival.signal).and(arrival.matomo.stance(rules.follow_matomo)).signal();
    let refused = matches!(said, ConsentSignal::Given { purposes, .. } if purposes.is_empty());
    let outranked = arrival.evidence.said_here && (rules.gpc_site_override.is_some() || !holds(Rule::GpcIsOutrankedByDocument));
    let controlled = arrival.global_privacy_control && !outranked || said == ConsentSignal::GlobalPrivacyControl;
    let objections = [
        (said == ConsentSignal::OptOut, Rule::OptOut, Refusal::ObjectedOptOut),
        (arrival.own.opted_out() && arrival.signal != ConsentSignal::OptIn, Rule::OptOutOutlastsYes, Refusal::ObjectedOptOut),
        (refused, Rule::Refusal, Refusal::ObjectedRefused),
        (controlled, Rule::GlobalPrivacyControl, Refusal::ObjectedGpc),
        (arrival.do_not_track, Rule::DoNotTrack, Refusal::ObjectedDnt),
        (said == ConsentSignal::Malformed, Rule::MalformedIsNo, Refusal::ObjectedMalformed),
    ];
    let objection = objections.into_iter().find(|(said, rule, _)| *said && holds(*rule));
    let state = match (objection, said) {
        (Some((.., refusal)), _) => ConsentState::Objected(refusal),
        (None, ConsentSignal::Given { purposes, .. }) => ConsentState::Granted(purposes),
        (None, ConsentSignal::Absent | ConsentSignal::OptIn) => ConsentState::Unknown,
        // Here only where a proof has taken their rule out.
        (None, ConsentSignal::OptOut | ConsentSignal::GlobalPrivacyControl | ConsentSignal::Malformed) => ConsentState::Unknown,
    };
    let vendors = match state {
        ConsentState::Granted(_) => VendorDecisions::of(&arrival.evidence, &rules.vendors, arrival.received),
        ConsentState::Objected(_) | ConsentState::Unknown => None,
    };
    Decision { state, vendors }
}

/// An event that at least one destination may have, with the most that any of them may get. It holds its event: whoever has a
/// permit has not lost the event, and whoever has the event alone has no permit.
pub struct Permitted<'a> {
    pub(in crate::privacy) event: RawEvent<'a>,
    pub(in crate::privacy) purposes: Purposes,
    pub(in crate::privacy) ceiling: Ceiling,
    pub(in crate::privacy) audience: Audience,
    pub(in crate::privacy) vendors: Option<VendorDecisions>,
}

/// Permits an event, or says why not.
///
/// # Errors
/// The visitor objected, or no destination of the site has a basis.
pub fn permit<'a>(event: RawEvent<'a>, decision: Decision, site: &Site) -> Result<Permitted<'a>, Refusal> {
    let (purposes, ceiling) = match decision.state() {
        ConsentState::Objected(refusal) => return Err(refusal),
        // A held copy is sent on a grant; without one the event itself was sent, and the copy has no business here.
        ConsentState::Unknown if event.held && holds(Rule::HeldCopyNeedsGrant) => return Err(Refusal::NoBasis),
        ConsentState::Unknown => (Purposes::NONE, site.ceilings.unknown),
        ConsentState::Granted(purposes) => (purposes, site.ceiling_of_granted(purposes, event.held, decision.vendors())),
    };
    let ceiling = ceiling.ok_or(Refusal::NoBasis)?;
    let audience = if event.held { Audience::ConsentBasisOnly } else { Audience::All };
    Ok(Permitted { event, purposes, ceiling, audience, vendors: decision.vendors })
}

#[cfg(test)]
mod tests {
    use super::{evidence::Evidence, matomo::MatomoCookies, *};
    use crate::{
        clock::Timestamp,
        privacy::{
            personal::Personal,
            raw::{ClientAddress, OwnCookies},
        },
    };

    fn state(signal: ConsentSignal, opted_out: bool, gpc: bool, dnt: bool) -> ConsentState {
        state_under(&SignalRules::default(), signal, true, (opted_out, gpc, dnt))
    }

    fn state_under(rules: &SignalRules, signal: ConsentSignal, said_here: bool, (opted_out, gpc, dnt): (bool, bool, bool)) -> ConsentState {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let arrival = Arrival {
            address: &address,
            user_agent: None,
            app: None,
            accept_language: None,
            brands: None,
            prefetched: false,
            own: OwnCookies { opt_outs: usize::from(opted_out), ..OwnCookies::default() },
            matomo: MatomoCookies::default(),
            global_privacy_control: gpc,
            do_not_track: dnt,
            secure: true,
            signal,
            evidence: Evidence::said_here(said_here),
            received: Timestamp(0),
        };
        decide(&arrival, rules).state()
    }

    #[test]
    fn a_consent_on_record_counts_where_nothing_was_said() {
        let decided = |state| Decision { state, vendors: None };
        let (analytics, ads) = (ConsentState::Granted(Purposes::ANALYTICS), ConsentState::Granted(Purposes::ADS));
        let asks = |state, words| decided(state).asks_the_record(words);
        assert!(asks(ConsentState::Unknown, false) && !asks(ConsentState::Unknown, true));
        assert!(!asks(ads, false), "what was said is what counts");
        for refusal in [Refusal::ObjectedGpc, Refusal::ObjectedOptOut, Refusal::ObjectedRefused] {
            assert!(!asks(ConsentState::Objected(refusal), false));
        }
        let rules = SignalRules::default();
        let unknown = decided(ConsentState::Unknown);
        assert_eq!(unknown.or_on_record(Purposes::ANALYTICS, &rules).state(), analytics);
        assert_eq!(unknown.or_on_record(Purposes::NONE, &rules).state(), ConsentState::Unknown);
        let rules = SignalRules { vendors: vec![755], ..SignalRules::default() };
        let on_record = unknown.or_on_record(Purposes::ADS, &rules);
        assert!(on_record.vendors().is_some_and(|vendors| !vendors.allow(755, Purposes::ADS)), "no vendor was decided on");
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

    #[test]
    fn a_yes_given_here_outranks_the_gpc_header_alone_and_only_where_the_site_says_so() {
        use ConsentState::{Granted, Objected};
        let rules = SignalRules { gpc_site_override: Some(String::from("a reason")), ..SignalRules::default() };
        let yes = ConsentSignal::Given { purposes: Purposes::ANALYTICS, seconds_left: None };
        let no = ConsentSignal::Given { purposes: Purposes::NONE, seconds_left: None };
        let gpc = (false, true, false);
        for (signal, said_here, flags, expected) in [
            (yes, true, gpc, Granted(Purposes::ANALYTICS)),
            (yes, false, gpc, Objected(Refusal::ObjectedGpc)),
            (ConsentSignal::Absent, false, gpc, Objected(Refusal::ObjectedGpc)),
            (ConsentSignal::OptIn, false, gpc, Objected(Refusal::ObjectedGpc)),
            (ConsentSignal::GlobalPrivacyControl, true, gpc, Objected(Refusal::ObjectedGpc)),
            (ConsentSignal::Malformed, true, gpc, Objected(Refusal::ObjectedMalformed)),
            (no, true, gpc, Objected(Refusal::ObjectedRefused)),
            (yes, true, (false, true, true), Objected(Refusal::ObjectedDnt)),
            (yes, true, (true, true, false), Objected(Refusal::ObjectedOptOut)),
        ] {
            assert_eq!(state_under(&rules, signal, said_here, flags), expected, "{signal:?} {said_here} {flags:?}");
        }
        assert_eq!(state_under(&SignalRules::default(), yes, true, gpc), Objected(Refusal::ObjectedGpc), "not by default");
    }
}
