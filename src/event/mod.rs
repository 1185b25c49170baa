//! The canonical model: the words in which every protocol's beacons and every destination's hits are said.
//! Numbers and ids that name things; no personal data rests in a type of this module.

pub mod aside;
pub mod shims;
pub mod vocabulary;

use serde::{Deserialize, Serialize};

/// A site's number. Given once, never reused, so that a record of a removed site can never be taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SiteNumber(pub u32);

/// A destination's number. Given once, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DestinationNumber(pub u32);

/// The version of the policy document that an event was cleaned under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PolicyVersion(pub u32);

/// One site's local day of receipt, counted in days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub i32);

/// A global record number of the event log: one per event, in order of append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offset(pub u64);

impl Offset {
    /// The next record's number.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Our own event id: stable across a client's retries, meaningless without the site's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 16]);

/// What a person may consent to. A set, as bit flags: the form in which it rests in a record's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Purposes(u8);

impl Purposes {
    /// Analytics with a lasting id.
    pub const ANALYTICS: Self = Self(1);
    /// A profile in the site's own customer store.
    pub const PROFILE: Self = Self(2);
    /// Advertising.
    pub const ADS: Self = Self(4);
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(7);
    const NAMES: [(&'static str, Self); 3] = [("analytics", Self::ANALYTICS), ("profile", Self::PROFILE), ("ads", Self::ADS)];

    /// The purpose of that name, if it is one of ours.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, purpose)| *purpose)
    }

    /// The set whose header bits these are; bits that mean nothing are dropped.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & 0b111)
    }

    /// The header bits of this set.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every purpose of `needed` is in this set.
    #[must_use]
    pub fn cover(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The same, in the form that serde's attributes want.
    #[must_use]
    pub fn is_empty_ref(&self) -> bool {
        self.is_empty()
    }

    /// Each purpose that is in it, by itself.
    pub fn each(self) -> impl Iterator<Item = Self> {
        Self::NAMES.into_iter().map(|(_, purpose)| purpose).filter(move |purpose| self.cover(*purpose))
    }

    /// The names of what is in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, purpose)| self.cover(*purpose)).map(|(name, _)| name)
    }
}

impl Serialize for Purposes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for Purposes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().try_fold(Self::NONE, |all, name| {
            Self::named(name)
                .map(|one| all.and(one))
                .ok_or_else(|| serde::de::Error::custom("a purpose is one of \"analytics\", \"profile\", \"ads\""))
        })
    }
}

/// How long a record is kept: two families of log segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RetentionClass {
    /// Events without consent.
    Short,
    /// Events of people who consented; their bodies are sealed under that person's key.
    Long,
}

impl RetentionClass {
    /// Both, in the order of their file names.
    pub const ALL: [Self; 2] = [Self::Short, Self::Long];
}
