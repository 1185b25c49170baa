//! The ledger of what left as a whole: closing its days by the clock, the key that signs them, and walking its chain.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Day,
    chain::{ClosedDay, EgressFault, Head, Verified, Walk},
    record::DayRecord,
    store,
};
use crate::{
    clock::Timestamp,
    signing::{KeyError, PublicKey, SigningKey},
    state::{StateDb, StoreError},
};

/// The key's file in the data directory.
pub const KEY_FILE: &str = "egress.key";
/// A day is closed this long after its end: what was handed over before midnight is written down within a second, where the disk does not
/// stall. Later counts have their place in the day after.
const GRACE: Duration = Duration::from_secs(10 * 60);
/// Days that are closed at once; after a long downtime the next round goes on. Days without traffic are closed together.
const CLOSED_AT_ONCE: usize = 100;

/// What leaves cannot be put on record, or its record not be read.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// `state.db` cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The ledger of what left. Every use blocks.
#[derive(Clone)]
pub struct EgressLedger {
    state: Arc<StateDb>,
    key_file: PathBuf,
}

impl EgressLedger {
    /// The one of this data directory.
    #[must_use]
    pub fn new(state: Arc<StateDb>, data_dir: &Path) -> Self {
        Self { state, key_file: data_dir.join(KEY_FILE) }
    }

    /// The key that signs closed days, made where there is none yet.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub fn key(&self) -> Result<SigningKey, KeyError> {
        SigningKey::read_or_make(&self.key_file)
    }

    /// The same, without what signs.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        Ok(self.key()?.public())
    }

    /// Closes every day that is over and not closed yet, oldest first, and erases records past their time. `with_crowds` adds what was
    /// measured of crowds when the day given was over. Returns how many were closed.
    ///
    /// # Errors
    /// When the key or the database cannot be used; the next round goes on.
    pub fn close_due(&self, now: Timestamp, with_crowds: impl Fn(&mut DayRecord, Day)) -> Result<usize, EgressError> {
        let key = self.key()?;
        let until = Day(Day::of(now.minus(GRACE)).0 - 1);
        let mut closed = 0;
        while closed < CLOSED_AT_ONCE && self.state.with(|connection| store::close_next(connection, until, &key, &with_crowds))? {
            closed += 1;
        }
        self.state.with(|connection| store::erase_expired(connection, Day::of(now)))?;
        Ok(closed)
    }

    /// Walks the whole chain. `known`: whether a key is one of those that are expected.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn verify(
        &self,
        now: Timestamp,
        noted: Option<Head>,
        known: Option<&dyn Fn(&PublicKey) -> bool>,
    ) -> Result<Result<Verified, EgressFault>, StoreError> {
        self.state.with(|connection| store::verify(connection, Walk::new(Day::of(now), noted, known)))
    }

    /// The days that are not closed yet, and their records so far.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_records(&self) -> Result<Vec<(Day, Vec<DayRecord>)>, StoreError> {
        self.state.with(|connection| store::open_records(connection))
    }

    /// Hands on every closed day with its records, oldest first; what cannot be read is handed on as the place at which it stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn each_day(&self, take: impl FnMut(Result<(ClosedDay, Vec<Vec<u8>>), i64>) -> ControlFlow<()>) -> Result<(), StoreError> {
        self.state.with(|connection| store::each_day(connection, take))
    }

    /// Where the chain stands, and its last day; none where no day was closed yet.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_closed(&self) -> Result<Option<(Head, Day)>, StoreError> {
        self.state.with(|connection| store::last_closed(connection))
    }

    /// The sums of what was handed over, by destination and over all days on record.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn handed_over(&self) -> Result<BTreeMap<String, BTreeMap<String, u64>>, StoreError> {
        let mut all: Vec<DayRecord> = self.open_records()?.into_iter().flat_map(|(_, records)| records).collect();
        self.each_day(|day| {
            let records = day.map(|(_, records)| records).unwrap_or_default();
            all.extend(records.iter().filter_map(|record| serde_json::from_slice(record).ok()));
            ControlFlow::Continue(())
        })?;
        let mut sums: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for record in all {
            let of_destination = sums.entry(record.destination).or_default();
            record.sent.into_iter().for_each(|(what, count)| *of_destination.entry(what).or_default() += count);
        }
        Ok(sums)
    }
}
