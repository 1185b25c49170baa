//! How much of an event may be seen (DESIGN §5.1): a ladder, so that "the least of" is a minimum.

use serde::{Deserialize, Serialize};

/// How much of an event a destination may see. Ordered: a later one shows everything that an earlier one does, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// The seven proxy measures: no lasting id, no parameters, no external referrer.
    Strict,
    /// `strict`, and a visitor and session id that live one day.
    Measurement,
    /// With consent: `strict`'s fields, campaign parameters, the referrer's host and a lasting id.
    ConsentedAnalytics,
}

impl Transform {
    /// All of them, lowest first.
    pub const ALL: [Self; 3] = [Self::Strict, Self::Measurement, Self::ConsentedAnalytics];

    /// The byte that stands for it in a record's header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Strict => 1,
            Self::Measurement => 2,
            Self::ConsentedAnalytics => 3,
        }
    }

    /// The transform that a header byte stands for.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|transform| transform.code() == code)
    }

    /// The name in documents and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Measurement => "measurement",
            Self::ConsentedAnalytics => "consented-analytics",
        }
    }

    /// Whether it shows what only a person's consent can allow.
    #[must_use]
    pub const fn needs_consent(self) -> bool {
        matches!(self, Self::ConsentedAnalytics)
    }
}
