//! What a site's script has beside its core: shims for vendors' calls, consent tools, and what it watches. A site that asks for none of it is served none of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A vendor whose calls on the page are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shim {
    /// Google's tag and Tag Manager: `gtag()`, `dataLayer`.
    Gtag,
    /// Matomo: `_paq`.
    Matomo,
    /// Meta's pixel: `fbq()`.
    Meta,
    /// Mixpanel: `mixpanel.track`.
    Mixpanel,
    /// Plausible: `plausible()`.
    Plausible,
    /// PostHog: `posthog.capture`.
    Posthog,
    /// Segment: `analytics.track`.
    Segment,
    /// Umami: `umami.track`.
    Umami,
}

impl Shim {
    /// Every shim.
    pub const ALL: [Self; 8] =
        [Self::Gtag, Self::Matomo, Self::Meta, Self::Mixpanel, Self::Plausible, Self::Posthog, Self::Segment, Self::Umami];

    /// The name in documents and counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gtag => "gtag",
            Self::Matomo => "matomo",
            Self::Meta => "meta",
            Self::Mixpanel => "mixpanel",
            Self::Plausible => "plausible",
            Self::Posthog => "posthog",
            Self::Segment => "segment",
            Self::Umami => "umami",
        }
    }
}

/// What the script watches by itself, beside page views, links and the time in sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// Forms: begun and sent, never what is in them.
    Forms,
    /// Pages that are not there.
    NotFound,
    /// How far down a page was read.
    Scroll,
    /// The site's own search.
    Search,
    /// Videos of the page itself.
    Video,
    /// Web vitals.
    Vitals,
}

/// A tool that knows a visitor's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentTool {
    /// Axeptio, by its own events.
    Axeptio,
    /// Cookiebot, by its own events.
    Cookiebot,
    /// vanilla-cookieconsent, by its own events.
    Cookieconsent,
    /// Didomi, by its own events.
    Didomi,
    /// Klaro, by what it tells those who watch it.
    Klaro,
    /// Matomo's script, by its cookies.
    Matomo,
    /// OneTrust, by its own events.
    Onetrust,
    /// tarteaucitron, by its own events.
    Tarteaucitron,
    /// Usercentrics, by what it puts into the data layer.
    Usercentrics,
}

/// What a site's script has beside its core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnippetParts {
    /// Whose calls are taken.
    pub shims: BTreeSet<Shim>,
    /// Whose word on the visitor's choice is followed.
    pub tools: BTreeSet<ConsentTool>,
    /// What is watched.
    pub watch: BTreeSet<Watch>,
    /// Of which vendors' own tags is said whether they ran.
    pub measure_recovery: BTreeSet<Shim>,
    /// Whether it sends nothing where a blocker is at work.
    pub respect_blockers: bool,
}
