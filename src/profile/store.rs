//! `ProfileStore`: where profiles rest. It knows strands and events as sealed bytes with the few ids by which they are found, and nothing of
//! what is in them; what joins strands into a profile is decided above it.

use std::collections::BTreeSet;

use super::entry::Class;
use crate::{
    clock::Timestamp,
    event::{Offset, SiteNumber},
    event_log::LogError,
    privacy::{
        identifiers::{Identifier, IdentifierKind},
        profiled::{AccountId, EventKey, PersonHandle, SealError},
    },
    state::StoreError,
};

/// Which strand: what one browser did, under one proven account or under none. A profile is one strand or several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrandKey {
    /// On which site.
    pub site: SiteNumber,
    /// Whose browser's consent it came under, and under whose key it is sealed.
    pub person: PersonHandle,
    /// The account that was proven.
    pub account: Option<AccountId>,
}

impl StrandKey {
    /// What a seal of something of it authenticates.
    pub(super) fn as_associated_data(&self, what: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(b"profile ");
        bytes.extend_from_slice(&self.site.0.to_le_bytes());
        bytes.extend_from_slice(self.person.at_rest());
        bytes.extend_from_slice(self.account.as_ref().map_or(&[][..], |account| account.bytes().as_slice()));
        bytes.extend_from_slice(what);
        bytes
    }
}

/// A strand at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct StrandRow {
    /// Which.
    pub key: StrandKey,
    /// Its visitor cookie, under the store's key.
    pub browser: u64,
    /// What is known, sealed.
    pub sealed: Vec<u8>,
}

/// An event at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// Of which strand.
    pub key: StrandKey,
    /// Which event.
    pub event: EventKey,
    /// For how long it stays.
    pub class: Class,
    /// When it came in.
    pub received: Timestamp,
    /// It, sealed.
    pub sealed: Vec<u8>,
}

/// What somebody decided of a strand: that it does not belong to its account's profile, or does after all. The last one counts.
#[derive(Clone, PartialEq, Eq)]
pub struct Decision {
    /// Of which strand.
    pub key: StrandKey,
    /// Whether it is apart.
    pub apart: bool,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// What is written at one stroke.
#[derive(Default)]
pub struct Change {
    /// Strands as they are from now on.
    pub strands: Vec<StrandRow>,
    /// What strands are known by from now on, beside their account: all of it of each.
    pub identifiers: Vec<(StrandKey, BTreeSet<Identifier>)>,
    /// Events that are kept from now on; one that is kept already stays as it is.
    pub entries: Vec<EntryRow>,
    /// Events that are not kept any more.
    pub dropped: Vec<(StrandKey, EventKey)>,
    /// Up to where the event log was read.
    pub position: Option<Offset>,
}

/// A place in a timeline: behind the event that came in then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When it came in.
    pub received: Timestamp,
    /// Which; of several that came in at the same moment, those of larger keys are behind it.
    pub event: EventKey,
}

/// Which events of a timeline are meant. By default all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Those behind that place.
    pub behind: Option<Place>,
    /// Those that came in at that moment or later.
    pub from: Option<Timestamp>,
    /// Those that came in before that moment.
    pub until: Option<Timestamp>,
    /// Those of a class.
    pub class: Option<Class>,
}

/// The same as numbers that a database compares with.
pub(super) struct Bounds {
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) class: i64,
    pub(super) behind: i64,
    pub(super) event: [u8; 16],
}

impl Slice {
    /// `class` is -1 for all; `behind` is beyond all time for the beginning.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            from: self.from.map_or(i64::MIN, |from| from.0),
            until: self.until.map_or(i64::MAX, |until| until.0),
            class: self.class.map_or(-1, |class| i64::from(class.number())),
            behind: self.behind.map_or(i64::MAX, |place| place.received.0),
            event: self.behind.map_or([0; 16], |place| *place.event.bytes()),
        }
    }
}

/// How much there is of one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteCounts {
    /// Which.
    pub site: SiteNumber,
    /// Browsers.
    pub browsers: u64,
    /// Proven accounts.
    pub accounts: u64,
    /// Events in timelines.
    pub events: u64,
}

/// Why profiles cannot be read or written. Nothing of it quotes what is stored.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A database of this machine cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The PostgreSQL of the configuration cannot be used.
    #[error("the database of profiles: {0}")]
    Database(String),
    /// It is of a newer program, or another one's.
    #[error("the database of profiles has schema {found}, this program knows {known}: start the program that wrote it, or a newer one")]
    Newer {
        /// The schema found.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// The event log cannot be read.
    #[error(transparent)]
    Log(LogError),
    /// Nothing can be sealed now.
    #[error("the system gives no randomness: {0}")]
    System(std::io::Error),
}

impl From<SealError> for ProfileError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Store(error) => Self::Store(error),
            SealError::System(error) => Self::System(error),
        }
    }
}

impl From<rusqlite::Error> for ProfileError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Where profiles rest. All calls block.
pub trait ProfileStore: Send + Sync {
    /// Up to where the event log was read; nothing: nothing was.
    ///
    /// # Errors
    /// When the store cannot be used; so for all.
    fn position(&self) -> Result<Option<Offset>, ProfileError>;

    /// Writes all of it, or nothing.
    ///
    /// # Errors
    /// As above.
    fn write(&self, change: &Change) -> Result<(), ProfileError>;

    /// One strand.
    ///
    /// # Errors
    /// As above.
    fn strand(&self, key: &StrandKey) -> Result<Option<StrandRow>, ProfileError>;

    /// Those of these strands that there are, in any order.
    ///
    /// # Errors
    /// As above.
    fn strands(&self, keys: &[StrandKey]) -> Result<Vec<StrandRow>, ProfileError>;

    /// Whose browsers' there is something, in the order of their handles, from behind that one on; no more than so many.
    ///
    /// # Errors
    /// As above.
    fn people_after(&self, after: Option<&PersonHandle>, most: usize) -> Result<Vec<PersonHandle>, ProfileError>;

    /// All strands of a browser's consent, in the order of their keys.
    ///
    /// # Errors
    /// As above.
    fn of_person(&self, site: SiteNumber, person: &PersonHandle) -> Result<Vec<StrandRow>, ProfileError>;

    /// The strands of an identifier in the order of their keys: those of no more browsers than so many.
    ///
    /// # Errors
    /// As above.
    fn of_identifier(&self, site: SiteNumber, identifier: &Identifier, browsers: usize) -> Result<Vec<StrandRow>, ProfileError>;

    /// What a strand is known by beside its account.
    ///
    /// # Errors
    /// As above.
    fn identifiers(&self, key: &StrandKey) -> Result<BTreeSet<Identifier>, ProfileError>;

    /// How many identifiers of a kind are of more browsers than so many.
    ///
    /// # Errors
    /// As above.
    fn shared(&self, site: SiteNumber, kind: IdentifierKind, browsers: usize) -> Result<u64, ProfileError>;

    /// The strands of a browser, by its visitor cookie under the store's key.
    ///
    /// # Errors
    /// As above.
    fn of_browser(&self, site: SiteNumber, browser: u64) -> Result<Vec<StrandRow>, ProfileError>;

    /// Strands of all sites in the order of their keys, from behind that one on; no more than so many.
    ///
    /// # Errors
    /// As above.
    fn strands_after(&self, after: Option<&StrandKey>, most: usize) -> Result<Vec<StrandRow>, ProfileError>;

    /// Events of a strand that are meant, the newest that came in first; no more than so many.
    ///
    /// # Errors
    /// As above.
    fn entries(&self, key: &StrandKey, slice: &Slice, most: usize) -> Result<Vec<EntryRow>, ProfileError>;

    /// Events of a class that came in before a moment; no more than so many.
    ///
    /// # Errors
    /// As above.
    fn older(&self, site: SiteNumber, class: Class, than: Timestamp, most: usize) -> Result<Vec<EntryRow>, ProfileError>;

    /// Puts a decision on record.
    ///
    /// # Errors
    /// As above.
    fn decide(&self, decision: &Decision) -> Result<(), ProfileError>;

    /// What was decided of a strand, oldest first.
    ///
    /// # Errors
    /// As above.
    fn decisions(&self, key: &StrandKey) -> Result<Vec<Decision>, ProfileError>;

    /// Removes everything of these people, so that it cannot be found in the store's files either. Returns how many strands there were.
    ///
    /// # Errors
    /// As above.
    fn remove(&self, persons: &BTreeSet<PersonHandle>) -> Result<u64, ProfileError>;

    /// Sees to it that nothing of what was removed is left in the store's own files, as far as that is in its hands. It may take a while; where it would
    /// take too long, it is noted to be done.
    ///
    /// # Errors
    /// As above.
    fn wipe(&self) -> Result<(), ProfileError>;

    /// Does what was noted so. Returns whether there was something.
    ///
    /// # Errors
    /// As above.
    fn wipe_what_is_due(&self) -> Result<bool, ProfileError>;

    /// How much there is, by site.
    ///
    /// # Errors
    /// As above.
    fn counts(&self) -> Result<Vec<SiteCounts>, ProfileError>;

    /// Asks that all be made again from what is kept.
    ///
    /// # Errors
    /// As above.
    fn ask_again(&self) -> Result<(), ProfileError>;

    /// Whether that was asked.
    ///
    /// # Errors
    /// As above.
    fn is_asked_again(&self) -> Result<bool, ProfileError>;

    /// Notes that it is done.
    ///
    /// # Errors
    /// As above.
    fn done_again(&self) -> Result<(), ProfileError>;
}
