//! The country of an address, looked up in memory. No database, no answer, or an answer that is no country code: `ZZ`.

use std::path::Path;

use maxminddb::{Reader, path};
use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, privacy::raw::ClientAddress};

/// An ISO 3166-1 code of two letters, or `ZZ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Nowhere in particular.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    fn of(code: &str) -> Option<Self> {
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// The two letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }
}

impl Serialize for Country {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::of(&code).ok_or_else(|| serde::de::Error::custom("not a country code"))
    }
}

/// The place database of this machine, in memory.
pub struct PlaceDatabase(Option<Reader<Vec<u8>>>);

/// A database of places or networks cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// It is no MaxMind DB.
    #[error("is not a MaxMind DB file")]
    Format,
}

impl PlaceDatabase {
    /// Every country is `ZZ`.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Reads a MaxMind DB file that has `country.iso_code`.
    ///
    /// # Errors
    /// When the file cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Self, PlaceError> {
        Self::from_bytes(std::fs::read(path).map_err(PlaceError::Read)?)
    }

    /// The same from memory.
    ///
    /// # Errors
    /// When the bytes are no MaxMind DB.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, PlaceError> {
        Reader::from_source(bytes).map(|reader| Self(Some(reader))).map_err(|_| PlaceError::Format)
    }

    /// When it was made, by its own word.
    #[must_use]
    pub fn built(&self) -> Option<Timestamp> {
        let seconds = self.0.as_ref()?.metadata().build_epoch;
        i64::try_from(seconds).ok()?.checked_mul(1000).map(Timestamp)
    }

    pub(in crate::privacy) fn country(&self, address: &ClientAddress) -> Country {
        let Some(reader) = &self.0 else { return Country::UNKNOWN };
        let code = reader.lookup(address.ip()).and_then(|found| found.decode_path::<&str>(&path!["country", "iso_code"]));
        code.ok().flatten().and_then(Country::of).unwrap_or(Country::UNKNOWN)
    }
}
