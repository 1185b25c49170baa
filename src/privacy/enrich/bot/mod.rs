//! `bot`: whether an event looks like a program's, as data on the event: a score and its reasons, from signs that a request shows by itself.
//! Nothing is refused here; what a destination does about it is its document's to say. Address, user agent and headers end here, and so
//! does the network that an address belongs to: what goes on is the reasons' words.

pub mod declared;
pub mod headers;
pub mod network;
pub mod pace;

use std::borrow::Cow;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use self::{declared::Declared, network::NetworkDatabase, pace::Paces};
use super::agent::Agent;
use crate::{
    clock::Timestamp,
    event::SiteNumber,
    privacy::{policy::Treatment, raw::Arrival, visitor::Visitor},
};

/// From this score on an event is suspected. Half of all there is: no sign that people show, too (a rented server's network, a browser
/// extension that hides hints), reaches it alone.
pub const SUSPECTED_FROM: u8 = 50;
/// The highest score.
const SCORE_MAX: u8 = 100;

/// A sign, and with it a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The user agent says that it is a crawler.
    DeclaredCrawler,
    /// … a monitor of availability, speed or security.
    DeclaredMonitor,
    /// … what fetches a link's preview.
    DeclaredPreview,
    /// … an HTTP library or a command line's tool.
    DeclaredLibrary,
    /// The user agent or its client hints name a browser without a screen.
    Headless,
    /// No user agent, or an empty one.
    NoUserAgent,
    /// A user agent of a form that no browser has.
    NotABrowser,
    /// A combination in the user agent that no browser makes.
    ImpossibleUserAgent,
    /// The client hints contradict the user agent.
    ContradictingHints,
    /// A browser's user agent without `Accept-Language`, which every browser sends.
    NoLanguage,
    /// Chromium's user agent over TLS without `Sec-CH-UA`, which it sends with every request.
    NoHints,
    /// The address belongs to a network that rents out servers.
    DataCentre,
    /// Events faster than a person makes them.
    Brisk,
    /// Events so fast that no person makes them.
    Relentless,
    /// The browser fetched ahead of the person (`Sec-Purpose: prefetch`).
    Prefetch,
}

impl Reason {
    /// All of them, in the order of pages.
    pub const ALL: [Self; 15] = [
        Self::DeclaredCrawler,
        Self::DeclaredMonitor,
        Self::DeclaredPreview,
        Self::DeclaredLibrary,
        Self::Headless,
        Self::NoUserAgent,
        Self::NotABrowser,
        Self::ImpossibleUserAgent,
        Self::ContradictingHints,
        Self::NoLanguage,
        Self::NoHints,
        Self::DataCentre,
        Self::Brisk,
        Self::Relentless,
        Self::Prefetch,
    ];

    /// The name in events and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeclaredCrawler => "declared_crawler",
            Self::DeclaredMonitor => "declared_monitor",
            Self::DeclaredPreview => "declared_preview",
            Self::DeclaredLibrary => "declared_library",
            Self::Headless => "headless",
            Self::NoUserAgent => "no_user_agent",
            Self::NotABrowser => "not_a_browser",
            Self::ImpossibleUserAgent => "impossible_user_agent",
            Self::ContradictingHints => "contradicting_hints",
            Self::NoLanguage => "no_language",
            Self::NoHints => "no_hints",
            Self::DataCentre => "data_centre",
            Self::Brisk => "brisk",
            Self::Relentless => "relentless",
            Self::Prefetch => "prefetch",
        }
    }

    /// How much it adds to the score; `docs/bots.md` says why that much.
    #[must_use]
    pub const fn weight(self) -> u8 {
        match self {
            Self::DeclaredCrawler | Self::DeclaredMonitor | Self::DeclaredPreview | Self::DeclaredLibrary => SCORE_MAX,
            Self::Headless => 90,
            Self::ImpossibleUserAgent | Self::NoUserAgent | Self::Relentless => 60,
            Self::NotABrowser | Self::ContradictingHints => 50,
            Self::DataCentre => 40,
            Self::NoLanguage => 35,
            Self::Brisk => 30,
            Self::NoHints | Self::Prefetch => 20,
        }
    }

    /// Whether the sender says it of itself.
    const fn is_declared(self) -> bool {
        matches!(self, Self::DeclaredCrawler | Self::DeclaredMonitor | Self::DeclaredPreview | Self::DeclaredLibrary)
    }
}

/// A set of reasons. Serialises to the list of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u16);

impl Reasons {
    /// No reason.
    pub const NONE: Self = Self(0);

    /// The same and this one.
    #[must_use]
    pub const fn and(self, reason: Reason) -> Self {
        Self(self.0 | 1 << reason as u16)
    }

    /// The same, and this one where that is so.
    #[must_use]
    pub const fn and_if(self, so: bool, reason: Reason) -> Self {
        if so { self.and(reason) } else { self }
    }

    /// Those of both.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |reason| self.0 & (1 << *reason as u16) != 0)
    }

    /// The sum of the weights, at most 100: the same reasons, the same score.
    fn score(self) -> u8 {
        self.iter().fold(0u8, |sum, reason| sum.saturating_add(reason.weight())).min(SCORE_MAX)
    }
}

impl Serialize for Reasons {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Reasons {
    /// A name that this version does not know is left out: the score beside it stays what it was.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<Cow<'de, str>>::deserialize(deserializer)?;
        let known = |reasons: Self, name: Cow<'_, str>| {
            Reason::ALL.into_iter().find(|reason| reason.name() == name).map_or(reasons, |reason| reasons.and(reason))
        };
        Ok(names.into_iter().fold(Self::NONE, known))
    }
}

/// What a site owner acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BotClass {
    /// Its signs add up to [`SUSPECTED_FROM`] at least.
    Suspected,
    /// It says so itself.
    Declared,
}

/// How much an event looks like a program's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<BotClass>,
    /// 0 to 100.
    #[serde(default, skip_serializing_if = "is_zero")]
    score: u8,
    #[serde(default, skip_serializing_if = "Reasons::is_empty")]
    reasons: Reasons,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(score: &u8) -> bool {
    *score == 0
}

impl Bot {
    /// Nothing speaks for a program.
    pub const NO_SIGN: Self = Self { class: None, score: 0, reasons: Reasons::NONE };

    /// The verdict that these reasons make.
    #[must_use]
    pub fn of(reasons: Reasons) -> Self {
        let score = reasons.score();
        let class = if reasons.iter().any(Reason::is_declared) {
            Some(BotClass::Declared)
        } else {
            (score >= SUSPECTED_FROM).then_some(BotClass::Suspected)
        };
        Self { class, score, reasons }
    }

    /// The class; none where too little speaks for a program.
    #[must_use]
    pub const fn class(&self) -> Option<BotClass> {
        self.class
    }

    /// The score, 0 to 100; 0 also where only the class is known.
    #[must_use]
    pub const fn score(&self) -> u8 {
        self.score
    }

    /// The reasons, where more than the class is known.
    #[must_use]
    pub const fn reasons(&self) -> Reasons {
        self.reasons
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.class.is_none() && self.score == 0
    }

    /// What is left of it under a policy's treatment: all, the class, or nothing.
    #[must_use]
    pub const fn under(self, treatment: Treatment) -> Self {
        match treatment {
            Treatment::Keep => self,
            Treatment::Generalise | Treatment::Pseudonymise => Self { class: self.class, ..Self::NO_SIGN },
            Treatment::Drop => Self::NO_SIGN,
        }
    }
}

/// What one request shows by itself; its pace is known to [`Bots`] alone.
#[must_use]
pub fn signs(arrival: &Arrival<'_>, agent: &Agent, networks: &NetworkDatabase) -> Reasons {
    let declared = agent.declared.map(|declared| match declared {
        Declared::Crawler => Reason::DeclaredCrawler,
        Declared::Monitor => Reason::DeclaredMonitor,
        Declared::Preview => Reason::DeclaredPreview,
        Declared::Library => Reason::DeclaredLibrary,
        Declared::Headless => Reason::Headless,
    });
    let reasons = declared.map_or_else(|| headers::signs(arrival, agent.form), |reason| Reasons::NONE.and(reason));
    reasons.and_if(networks.is_data_centre(arrival.address.expose()), Reason::DataCentre)
}

/// Judges requests.
pub struct Bots {
    /// Which networks rent out servers; replaced as a whole on reload.
    pub networks: ArcSwap<NetworkDatabase>,
    paces: Paces,
}

impl Bots {
    /// With these networks, and no pace known yet.
    #[must_use]
    pub fn new(networks: NetworkDatabase) -> Self {
        Self { networks: ArcSwap::from_pointee(networks), paces: Paces::default() }
    }

    /// How much a request with that many events looks like a program's. The one verdict is for all its events.
    #[must_use]
    pub fn judge(
        &self,
        arrival: &Arrival<'_>,
        agent: &Agent,
        (site, visitor): (SiteNumber, &Visitor),
        events: usize,
        now: Timestamp,
    ) -> Bot {
        let signs = signs(arrival, agent, &self.networks.load());
        Bot::of(signs.with(self.paces.of(site, visitor.subject(), events, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_bit_a_weight_and_a_name_of_its_own() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            assert!((1..=SCORE_MAX).contains(&reason.weight()), "{reason:?}");
            assert_eq!(Reasons::NONE.and(reason).iter().collect::<Vec<_>>(), [reason]);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
    }

    #[test]
    fn reasons_add_up_and_the_score_has_an_end() {
        let of = |reasons: &[Reason]| Bot::of(reasons.iter().fold(Reasons::NONE, |all, one| all.and(*one)));
        use Reason::{DataCentre, DeclaredLibrary, Headless, NoHints, NoLanguage, Prefetch};
        let cases: [(&[Reason], u8, Option<BotClass>); 6] = [
            (&[], 0, None),
            (&[DataCentre], 40, None),
            (&[Prefetch, NoHints], 40, None),
            (&[NoLanguage, NoHints], 55, Some(BotClass::Suspected)),
            (&[Headless, DataCentre, NoLanguage], 100, Some(BotClass::Suspected)),
            (&[DeclaredLibrary], 100, Some(BotClass::Declared)),
        ];
        for (reasons, score, class) in cases {
            assert_eq!((of(reasons).score(), of(reasons).class()), (score, class), "{reasons:?}");
        }
    }

    #[test]
    fn what_people_show_too_is_no_suspicion_alone() {
        for reason in [Reason::DataCentre, Reason::NoHints, Reason::NoLanguage, Reason::Brisk, Reason::Prefetch] {
            assert_eq!(Bot::of(Reasons::NONE.and(reason)).class(), None, "{reason:?}");
        }
    }

    #[test]
    fn a_treatment_leaves_all_the_class_or_nothing() {
        let bot = Bot::of(Reasons::NONE.and(Reason::Headless));
        assert_eq!(
            serde_json::to_value(bot.under(Treatment::Keep)).unwrap(),
            serde_json::json!({
            "class": "suspected", "score": 90, "reasons": ["headless"] })
        );
        assert_eq!(serde_json::to_value(bot.under(Treatment::Generalise)).unwrap(), serde_json::json!({ "class": "suspected" }));
        assert!(bot.under(Treatment::Drop).is_nothing());
        assert!(Bot::of(Reasons::NONE.and(Reason::DataCentre)).under(Treatment::Generalise).is_nothing());
    }

    #[test]
    fn what_rests_is_read_back_and_an_unknown_reason_is_left_out() {
        let bot = Bot::of(Reasons::NONE.and(Reason::Brisk).and(Reason::DataCentre));
        assert_eq!(serde_json::from_str::<Bot>(&serde_json::to_string(&bot).unwrap()).unwrap(), bot);
        let newer: Bot = serde_json::from_str(r#"{"class":"suspected","score":70,"reasons":["brisk","of_next_year"]}"#).unwrap();
        assert_eq!((newer.score(), newer.reasons()), (70, Reasons::NONE.and(Reason::Brisk)));
        assert_eq!(serde_json::from_str::<Bot>("{}").unwrap(), Bot::NO_SIGN);
    }
}
