//! A site: where its beacons arrive, which pages may send them, and which policy cleans them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Basis, Bots, deviation::Deviation, snippet::SnippetParts};
use crate::{
    config::secret::Secret,
    event::{DestinationNumber, PolicyVersion, Purposes, SiteNumber},
    privacy::{
        consent::vendor_decisions::VendorDecisions,
        crowd::rules::CrowdRules,
        envelope::Dialects,
        identifiers::IdentifierKind,
        policy::{Allowed, Field, Treatment, Treatments},
        rules::{Rule, holds},
        scrub::{clicks::Issuers, routes::Routes},
        transform::{Breadth, Transform},
    },
    protocol::cookies::CookieNames,
};

/// A site document, compiled.
pub struct Site {
    /// Its number, never reused.
    pub number: SiteNumber,
    /// Its name in documents, metrics and pages.
    pub name: String,
    /// The hosts that its beacons arrive at: lower case, without port.
    pub hosts: Vec<String>,
    /// The neutral path in front of every route, made per installation: `/keso`.
    pub prefix: String,
    /// The script's name below the prefix, with `.js`: `core.js`.
    pub script: String,
    /// The global name under which the snippet's functions are on the page.
    pub global: String,
    /// What the snippet has beside its core.
    pub snippet: SnippetParts,
    /// The pages' origins, exact (`https://www.shop.example`). A request of another origin is refused.
    pub origins: BTreeSet<String>,
    /// The hosts of those origins: the only host names that may stand in a clean event.
    pub page_hosts: Vec<String>,
    /// Where its day begins and ends.
    pub time_zone: TimeZone,
    /// The two cookies that are ours.
    pub cookies: CookieNames,
    /// What its document changes about how signals are weighed.
    pub signals: SignalRules,
    /// What may be kept and seen of its events.
    pub policy: Arc<Policy>,
    /// What vendors' libraries call this site, by protocol: measurement ids, write keys.
    pub keys: BTreeMap<String, BTreeSet<String>>,
    /// What its backend signs user ids with.
    pub identify_secret: Option<Secret>,
    /// What its customers' profiles are joined by beside accounts: nothing else is kept of it.
    pub identified_by: Vec<IdentifierKind>,
    /// Its backend sends every purchase, and a page's own waits so long for it.
    pub twin_wait: Option<Duration>,
    /// The most that any destination may get, per state of the visitor.
    pub ceilings: Ceilings,
    /// What each of its destinations may see, and on what ground.
    pub recipients: Vec<Recipient>,
}

impl Site {
    /// What a destination may see of this site's events, under the documents in force.
    #[must_use]
    pub fn allowed(&self, destination: DestinationNumber) -> &Allowed {
        self.recipients.iter().find(|recipient| recipient.number == destination).map_or(&Allowed::NOTHING, |recipient| &recipient.allowed)
    }

    /// The most that any destination may get of a granted event, a held copy or not. Where TC strings decided on vendors, those that they do
    /// not consent to get nothing of it.
    #[must_use]
    pub fn ceiling_of_granted(&self, purposes: Purposes, held: bool, vendors: Option<&VendorDecisions>) -> Option<Ceiling> {
        let Some(vendors) = vendors.filter(|_| !self.signals.vendors.is_empty()) else { return self.ceilings.of_granted(purposes, held) };
        let refused = |recipient: &&Recipient| match (recipient.tcf_vendor, recipient.basis) {
            (Some(vendor), Basis::Consent(needed)) => !vendors.allow(vendor, needed),
            _ => false,
        };
        Ceiling::of_all(self.recipients.iter().filter(|recipient| !refused(recipient)), Some(purposes), held)
    }
}

/// A destination of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Which one.
    pub number: DestinationNumber,
    /// On what ground it gets events.
    pub basis: Basis,
    /// Which vendor of the global vendor list it is of, where TC strings are asked.
    pub tcf_vendor: Option<u16>,
    /// Whether it is for people's events alone.
    pub bots: Bots,
    /// What it may see.
    pub allowed: Allowed,
}

/// What a site's document changes about how a visitor's signals are weighed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignalRules {
    /// Why a yes that was given on this very site outranks the header `Sec-GPC`; nothing: it does not.
    pub gpc_site_override: Option<String>,
    /// Whether a yes in Matomo's cookies is one for the site.
    pub follow_matomo: bool,
    /// Vendors of the global vendor list that destinations are of; TC strings are asked for them.
    pub vendors: Vec<u16>,
}

/// A policy document: what a site allows beside the built-in fields.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Its version; every record names it.
    pub version: PolicyVersion,
    /// Own event names that may be kept; others become `custom`.
    pub events: BTreeSet<String>,
    /// Own properties that may be kept, and as what.
    pub properties: BTreeMap<String, PropertyKind>,
    /// Those of them that are a vendor's fields, by protocol and by the vendor's name of each: the whole name, and the kind.
    pub vendor_fields: BTreeMap<String, BTreeMap<String, (String, PropertyKind)>>,
    /// The forms of its own pages.
    pub routes: Routes,
    /// No destination may see more than this.
    pub preset: Option<Transform>,
    /// How many visitors are a crowd, and what is given up to have one.
    pub crowd: CrowdRules,
    /// What it changes about the presets.
    pub deviations: Vec<Deviation>,
}

/// As what a property may be kept; a value of another kind is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyKind {
    /// True or false.
    Flag,
    /// A finite number.
    Number,
    /// A short word from a closed alphabet (`[A-Za-z0-9 _.-]`, at most 64), and nothing that a detector knows.
    Word,
}

impl PropertyKind {
    /// The name in documents and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Number => "number",
            Self::Word => "word",
        }
    }
}

/// The most that any entitled destination may get of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// In the presets' terms.
    pub breadth: Breadth,
    /// Field by field: what may rest, since at least one destination may see it.
    pub rests: Treatments,
    /// Whose click ids may rest.
    pub clicks: Issuers,
    /// In whose words contact data may be kept beside it, in the sealed envelope.
    pub dialects: Dialects,
}

impl Ceiling {
    /// A preset's.
    #[must_use]
    pub const fn of(breadth: Breadth, consented: bool) -> Self {
        Self { breadth, rests: Treatments::of(breadth, consented), clicks: Issuers::NONE, dialects: Dialects::NONE }
    }

    /// The highest of these destinations', of those that are entitled: by what was granted, or while nothing was chosen. Of a held copy, those
    /// alone that need a consent.
    fn of_all<'r>(recipients: impl Iterator<Item = &'r Recipient>, granted: Option<Purposes>, held: bool) -> Option<Self> {
        let of_one = |recipient: &Recipient| {
            let allowed = &recipient.allowed;
            let consented = match recipient.basis {
                Basis::ExemptMeasurement if held => return None,
                Basis::ExemptMeasurement => false,
                Basis::Consent(needed) if granted.is_some_and(|granted| granted.cover(needed) || !holds(Rule::CeilingOfTheEntitled)) => {
                    allowed.breadth.needs_consent()
                }
                Basis::Consent(_) => return None,
            };
            let mut rests = allowed.treatments(allowed.breadth, consented);
            if recipient.bots == Bots::People {
                // The verdict's class has to rest, even where nothing of it leaves.
                rests = rests.with(Field::Bot, rests.get(Field::Bot).max(Treatment::Generalise));
            }
            let clicks = if rests.lets(Field::ClickIds) { allowed.clicks } else { Issuers::NONE };
            let dialects = if rests.keeps(Field::Contact) { Dialects::of(allowed.dialect) } else { Dialects::NONE };
            (!allowed.breadth.is_nothing()).then_some(Self { breadth: allowed.breadth, rests, clicks, dialects })
        };
        recipients.filter_map(of_one).reduce(|one, other| Self {
            breadth: one.breadth.join(other.breadth),
            rests: one.rests.most(&other.rests),
            clicks: one.clicks.and(other.clicks),
            dialects: one.dialects.and(other.dialects),
        })
    }
}

/// The ceilings per state of an event's visitor; `None`: no destination may have it.
#[derive(Debug, Default)]
pub struct Ceilings {
    /// The visitor has not chosen.
    pub unknown: Option<Ceiling>,
    /// The visitor granted the purposes whose bits are the index.
    pub granted: [Option<Ceiling>; 8],
    /// A held copy, after a grant of those purposes: consent-basis destinations only.
    pub held: [Option<Ceiling>; 8],
}

impl Ceilings {
    /// Those of a site with these destinations.
    #[must_use]
    pub fn of(recipients: &[Recipient]) -> Self {
        // A grant of nothing is none.
        let granted = |bits: usize| u8::try_from(bits).ok().filter(|bits| *bits > 0).map(Purposes::from_bits);
        let of = |bits, held| Ceiling::of_all(recipients.iter(), granted(bits), held);
        Self {
            unknown: of(0, false),
            granted: std::array::from_fn(|bits| of(bits, false)),
            held: std::array::from_fn(|bits| of(bits, true)),
        }
    }

    /// Whether some destination may be shown a lasting id, so that a visitor who consents gets a cookie.
    #[must_use]
    pub fn lasting(&self) -> bool {
        self.held.iter().flatten().any(|ceiling| ceiling.breadth.needs_consent())
    }

    /// Whether some destination asks for a part of the sealed envelope.
    #[must_use]
    pub fn have_envelopes(&self) -> bool {
        let of = |ceiling: &Ceiling| Field::OF_THE_ENVELOPE.into_iter().any(|field| ceiling.rests.keeps(field));
        self.held.iter().flatten().any(of)
    }

    /// The ceiling for a granted event.
    #[must_use]
    pub fn of_granted(&self, purposes: Purposes, held: bool) -> Option<Ceiling> {
        let table = if held { &self.held } else { &self.granted };
        table.get(usize::from(purposes.bits())).copied().flatten()
    }
}
