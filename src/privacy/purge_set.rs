//! The purge set: the day's tokens of visitors who objected, durable until the last event of their epoch has left the log. A courier that
//! meets one of their events ends it as `purged`. Tokens of earlier days cannot be recomputed: there the answer is Art. 11.
//!
//! It rests in `keys.db`: a backup of the log and the state that is older than an objection, once restored, does not undo it.

use std::{
    collections::HashSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    keys::database::KeysDb,
    rights::erasures::Erasures,
    rules::{self, Rule},
};
use crate::{
    clock,
    event::{Epoch, SiteNumber},
    state::StoreError,
};

/// Objections that are remembered at once. When it is full, further ones are turned away (503), so that the page tries again: an objection
/// is never dropped with a yes.
const OBJECTIONS_MAX: usize = 1_000_000;

type Entry = (SiteNumber, Epoch, [u8; 16]);

/// Every token to be purged.
pub struct PurgeSet {
    database: Arc<KeysDb>,
    entries: RwLock<HashSet<Entry>>,
    added: AtomicU64,
    list: Option<Arc<Erasures>>,
}

/// The objection could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// There are too many.
    #[error("the purge set is full")]
    Full,
    /// `keys.db` cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PurgeSet {
    /// The set as it rests in the database.
    ///
    /// # Errors
    /// When `keys.db` cannot be read.
    pub fn open(database: Arc<KeysDb>) -> Result<Self, StoreError> {
        let entries = database.with(|connection| {
            let mut select = connection.prepare("SELECT site, epoch, token FROM purge_set")?;
            let rows = select.query_map([], |row| Ok((SiteNumber(row.get(0)?), Epoch(row.get(1)?), row.get(2)?)))?;
            rows.collect()
        })?;
        Ok(Self { database, entries: RwLock::new(entries), added: AtomicU64::new(0), list: None })
    }

    /// The same, which notes objections where an older copy of the set would not have them, too.
    #[must_use]
    pub fn listed_in(self, list: Arc<Erasures>) -> Self {
        Self { list: Some(list), ..self }
    }

    /// Whether this token's events are to be purged.
    pub(in crate::privacy) fn holds(&self, site: SiteNumber, epoch: Epoch, token: &[u8; 16]) -> bool {
        self.has(site, epoch, token) && rules::holds(Rule::PurgeSet)
    }

    /// Whether this token is in it, whatever follows from that.
    pub(in crate::privacy) fn has(&self, site: SiteNumber, epoch: Epoch, token: &[u8; 16]) -> bool {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).contains(&(site, epoch, *token))
    }

    /// Adds a token; durable when this returns. Blocks, but for a token that is there already.
    pub(in crate::privacy) fn add(&self, site: SiteNumber, epoch: Epoch, token: [u8; 16]) -> Result<(), PurgeError> {
        if self.entries.read().unwrap_or_else(PoisonError::into_inner).len() >= OBJECTIONS_MAX {
            return Err(PurgeError::Full);
        }
        if let Some(list) = &self.list {
            list.note_objection((site, epoch, &token), clock::now())?;
        }
        self.database.with(|connection| {
            connection
                .execute("INSERT INTO purge_set (site, epoch, token) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", (site.0, epoch.0, token))
        })?;
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert((site, epoch, token));
        self.added.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// How many tokens were added since the program started.
    pub(in crate::privacy) fn added(&self) -> u64 {
        self.added.load(Ordering::Acquire)
    }

    /// Forgets the tokens of a site's epochs before `oldest`, whose events have all left the log.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn forget_before(&self, site: SiteNumber, oldest: Epoch) -> Result<usize, StoreError> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).retain(|(of, epoch, _)| *of != site || *epoch >= oldest);
        self.database.with(|connection| connection.execute("DELETE FROM purge_set WHERE site = ?1 AND epoch < ?2", (site.0, oldest.0)))
    }
}
