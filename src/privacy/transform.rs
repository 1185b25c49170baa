//! How much of an event may be seen: the presets that documents name, and [`Breadth`], on which "the least of" is a meet.

use serde::{Deserialize, Serialize};

/// How much of an event a destination may see, by the name of a preset. What each means field by field says
/// [`policy`](super::policy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// Nothing leaves.
    DenyAll,
    /// The seven proxy measures: no lasting id, no parameters, no external referrer.
    Strict,
    /// `strict`, and a visitor and session id that live one day.
    Measurement,
    /// With consent to analytics: `strict`'s fields, campaign parameters, the referrer's host, orders and a lasting id.
    ConsentedAnalytics,
    /// With consent to a profile: the same, the site's own order ids, and who is visiting, under the destination's key.
    ConsentedProfile,
    /// With consent to advertising: what `consented-analytics` shows, and the site's own order ids, by which a sale is matched.
    ConsentedAds,
}

impl Transform {
    /// All of them, narrowest first.
    pub const ALL: [Self; 6] =
        [Self::DenyAll, Self::Strict, Self::Measurement, Self::ConsentedAnalytics, Self::ConsentedProfile, Self::ConsentedAds];

    /// The name in documents and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DenyAll => "deny-all",
            Self::Strict => "strict",
            Self::Measurement => "measurement",
            Self::ConsentedAnalytics => "consented-analytics",
            Self::ConsentedProfile => "consented-profile",
            Self::ConsentedAds => "consented-ads",
        }
    }

    /// Its place among all breadths.
    #[must_use]
    pub const fn breadth(self) -> Breadth {
        Breadth(match self {
            Self::DenyAll => 0,
            Self::Strict => STRICT,
            Self::Measurement => MEASUREMENT,
            Self::ConsentedAnalytics => CONSENTED,
            Self::ConsentedProfile => CONSENTED | PROFILE,
            Self::ConsentedAds => CONSENTED | ADS,
        })
    }

    /// Whether it shows what only a person's consent can allow.
    #[must_use]
    pub const fn needs_consent(self) -> bool {
        self.breadth().needs_consent()
    }
}

const STRICT: u8 = 1;
const MEASUREMENT: u8 = 2;
const CONSENTED: u8 = 3;
const LEVEL: u8 = 0b11;
const PROFILE: u8 = 0b0100;
const ADS: u8 = 0b1000;

/// How much of an event: a ladder of levels (nothing, strict, measurement, consented), and above it what only a profile's or only an
/// advertiser's consent adds, of which neither is more than the other. It is the byte that stands for a ceiling in a record's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Breadth(u8);

impl Breadth {
    /// Nothing at all.
    pub const NOTHING: Self = Self(0);

    /// What both allow.
    #[must_use]
    pub const fn meet(self, other: Self) -> Self {
        let level = if self.level() < other.level() { self.level() } else { other.level() };
        Self(level | (self.0 & other.0 & !LEVEL))
    }

    /// What at least one allows.
    #[must_use]
    pub const fn join(self, other: Self) -> Self {
        let level = if self.level() > other.level() { self.level() } else { other.level() };
        Self(level | ((self.0 | other.0) & !LEVEL))
    }

    const fn level(self) -> u8 {
        self.0 & LEVEL
    }

    /// Whether nothing may be seen.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.level() == 0
    }

    /// Whether a visitor and a session have an id for the day at least.
    #[must_use]
    pub const fn has_visits(self) -> bool {
        self.level() >= MEASUREMENT
    }

    /// Whether it shows what only a person's consent can allow.
    #[must_use]
    pub const fn needs_consent(self) -> bool {
        self.level() == CONSENTED
    }

    /// Whether it shows what consent to a profile adds.
    #[must_use]
    pub const fn has_profile(self) -> bool {
        self.0 & PROFILE != 0
    }

    /// Whether it shows what consent to advertising adds.
    #[must_use]
    pub const fn has_ads(self) -> bool {
        self.0 & ADS != 0
    }

    /// The byte that stands for it in a record's header.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The breadth that a header byte stands for. Nothing: the record's body was taken away.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        let breadth = Self(code);
        let more = code & !LEVEL;
        if more & !(PROFILE | ADS) != 0 || (more != 0 && !breadth.needs_consent()) { None } else { Some(breadth) }
    }

    /// In the presets' names, for pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.level(), self.has_profile(), self.has_ads()) {
            (0, ..) => "deny-all",
            (STRICT, ..) => "strict",
            (MEASUREMENT, ..) => "measurement",
            (_, false, false) => "consented-analytics",
            (_, true, false) => "consented-profile",
            (_, false, true) => "consented-ads",
            (_, true, true) => "consented-profile and consented-ads",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_profile_nor_an_advertiser_gets_what_only_the_other_may() {
        let [profile, ads] = [Transform::ConsentedProfile, Transform::ConsentedAds].map(Transform::breadth);
        assert_eq!(profile.meet(ads), Transform::ConsentedAnalytics.breadth());
        assert_eq!(profile.join(ads).meet(ads), ads);
        assert_eq!(profile.join(ads).meet(profile), profile);
    }

    #[test]
    fn meet_and_join_are_the_least_and_the_most_of_any_two() {
        for one in Transform::ALL.map(Transform::breadth) {
            for other in Transform::ALL.map(Transform::breadth) {
                let (least, most) = (one.meet(other), one.join(other));
                assert_eq!((least.meet(one), most.join(one)), (least, most), "{} {}", one.name(), other.name());
                assert_eq!((least, most), (other.meet(one), other.join(one)));
                assert_eq!((one.join(least), one.meet(most)), (one, one), "absorption");
            }
        }
    }

    #[test]
    fn a_header_byte_is_a_breadth_or_none() {
        for transform in Transform::ALL {
            assert_eq!(Breadth::from_code(transform.breadth().code()), Some(transform.breadth()));
            assert_eq!(transform.breadth().name(), transform.name());
        }
        for code in [4, 8, 5, 6, 16, 19, 255] {
            assert_eq!(Breadth::from_code(code), None, "{code}");
        }
    }
}
