//! Why something that came in did not become a record. Nothing disappears silently: every refusal is counted per site, day and reason.

use serde::Serialize;

/// Why an event or a request ended before the event log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The body, or one event of it, could not be read as what the route takes.
    Undecodable,
    /// The page's origin is not one of the site's.
    ForeignOrigin,
    /// The key in the body names no site, or another one.
    UnknownKey,
    /// The visitor objected: an explicit refusal or withdrawal.
    ObjectedRefused,
    /// The visitor objected: this site's opt-out.
    ObjectedOptOut,
    /// The visitor objected: Global Privacy Control.
    ObjectedGpc,
    /// The visitor objected: Do Not Track.
    ObjectedDnt,
    /// A consent signal that cannot be read is taken as no.
    ObjectedMalformed,
    /// No destination of this site has a basis for this visitor's events.
    NoBasis,
    /// An event with the same id is already in the log.
    Duplicate,
    /// More events than one client, one site or the whole machine may send.
    OverQuota,
    /// The site's backend names a visitor who has no consent on record, or none any more.
    ConsentEnded,
}

impl Refusal {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 12] = [
        Self::Undecodable,
        Self::ForeignOrigin,
        Self::UnknownKey,
        Self::ObjectedRefused,
        Self::ObjectedOptOut,
        Self::ObjectedGpc,
        Self::ObjectedDnt,
        Self::ObjectedMalformed,
        Self::NoBasis,
        Self::Duplicate,
        Self::OverQuota,
        Self::ConsentEnded,
    ];

    /// The name in counters, metrics and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::ForeignOrigin => "foreign_origin",
            Self::UnknownKey => "unknown_key",
            Self::ObjectedRefused => "objected_refused",
            Self::ObjectedOptOut => "objected_opt_out",
            Self::ObjectedGpc => "objected_gpc",
            Self::ObjectedDnt => "objected_dnt",
            Self::ObjectedMalformed => "objected_malformed",
            Self::NoBasis => "no_basis",
            Self::Duplicate => "duplicate",
            Self::OverQuota => "over_quota",
            Self::ConsentEnded => "consent_ended",
        }
    }

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The same, said to a person.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Undecodable => "could not be read",
            Self::ForeignOrigin => "sent from a page of another origin",
            Self::UnknownKey => "the key names no site",
            Self::ObjectedRefused => "the visitor said no",
            Self::ObjectedOptOut => "the visitor opted out",
            Self::ObjectedGpc => "the browser sends Global Privacy Control",
            Self::ObjectedDnt => "the browser sends Do Not Track",
            Self::ObjectedMalformed => "the consent signal could not be read, so it counts as no",
            Self::NoBasis => "no destination may have it without consent",
            Self::Duplicate => "already received",
            Self::OverQuota => "over the rate limit",
            Self::ConsentEnded => "of a visitor whom the site's backend names, and who has withdrawn or never agreed",
        }
    }
}
