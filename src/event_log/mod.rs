//! The durable event log between the two lines: it appends, syncs, reads by offset, and drops whole log segments. Nothing else queues.
//!
//! ```text
//!  append ─► pending ─► commit thread ─┬─► family short ─► short-…0042.0.log   72 h      ─┐
//!                        dedup, number │                                                  ├─► reader: merged by offset,
//!                                      └─► family long  ─► long-…0040.0.log    30 days   ─┘    below the durable head
//! ```
//! What an acknowledgement promises: the record survives a crash of the program, the system, or the power, provided that the disk keeps
//! what `fdatasync` returned for. It is in the log once, under one offset, and no other record ever gets that offset.
//!
//! | concept | file |
//! |---|---|
//! | calls on files | `files`, on a real disk `disk`, in memory `memory_files` |
//! | bytes of a record, of a log segment | `frame`, `log_segment` |
//! | what waits, committing, one family's writing end | `pending`, `commit`, `family` |
//! | known event ids | `dedup` |
//! | which log segments there are, the durable head, retention | `catalogue` |
//! | after a crash | `recovery` |
//! | reading | `reader`, from outside `recent` and `look`; a copy `copy`; which formats there are `formats` |
//! | the next generation of a log segment | `rewrite` |
//! | power cuts, full disks, failing syncs | `trial` (tests) |

mod catalogue;
mod commit;
mod copy;
mod dedup;
mod disk;
mod error;
mod family;
mod files;
mod formats;
mod frame;
mod log_segment;
mod look;
mod memory_files;
mod options;
mod pending;
mod reader;
mod recent;
mod recovery;
mod rewrite;
mod stats;
#[cfg(test)]
mod trial;

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::watch;

use self::{catalogue::Catalogue, commit::Committer, dedup::Dedup, family::Failure, family::Family, pending::Pending, stats::Counters};
pub use self::{
    copy::{Copied, copy},
    disk::DiskFiles,
    error::{AppendError, LogError},
    files::{LogFile, LogFiles},
    formats::formats,
    frame::RECORD_BYTES_MAX,
    log_segment::FORMATS_READ,
    look::look,
    memory_files::MemoryFiles,
    options::LogOptions,
    pending::Appended,
    reader::LogReader,
    recent::recent,
    rewrite::{Rewrite, RewriteError, Rewritten, SealedLogSegment},
    stats::{LogState, LogStats},
};
use crate::{
    clock::Timestamp,
    event::{EventId, Offset, RetentionClass},
    privacy::record::Record,
    supervise,
};

/// A record's bytes as read from the log. Only this module can make one, so `crate::privacy` knows where they come from.
pub struct LogBytes(Bytes);

impl LogBytes {
    /// Header and body.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// One record of the log.
pub struct LogRecord {
    /// Its number.
    pub offset: Offset,
    /// Its bytes, checksum verified.
    pub bytes: LogBytes,
}

/// The open log. Closed when dropped.
pub struct EventLog {
    pending: Arc<Pending>,
    catalogue: Arc<Catalogue>,
    options: LogOptions,
    committer: Mutex<Option<JoinHandle<()>>>,
    dedup: Arc<Mutex<Dedup>>,
    /// Held while a log segment is rewritten: one at a time.
    rewriting: Mutex<()>,
}

impl EventLog {
    /// Opens the log, making whole what a crash left, and starts its commit thread. Blocks: it reads the last two days' records.
    ///
    /// # Errors
    /// When a file cannot be read or written, or a newer program wrote it. Damaged records are no reason not to open.
    pub fn open(files: Arc<dyn LogFiles>, options: LogOptions, now: Timestamp) -> Result<Self, LogError> {
        let counters = Counters::default();
        let recovered = recovery::recover(&*files, &counters, now)?;
        let catalogue = Arc::new(Catalogue::new(files, recovered.families, counters, recovered.next));
        let mut families = RetentionClass::ALL.map(|class| Family::new(class, Arc::clone(&catalogue), options.clone()));
        for (family, reusable) in families.iter_mut().zip(recovered.reusable) {
            if let Some((segment, file)) = reusable {
                family.adopt(segment, file);
            }
            match family.start(recovered.next) {
                // A full disk is no reason not to start: what is there can be delivered, and retention makes space.
                Ok(()) | Err(Failure::Full) => {}
                Err(Failure::Broken(error)) => return Err(LogError::io("start", "a log segment")(error)),
            }
        }
        let pending = Arc::new(Pending::new());
        let dedup = Arc::new(Mutex::new(recovered.dedup));
        let committer = Committer::new(Arc::clone(&pending), Arc::clone(&catalogue), families, Arc::clone(&dedup), recovered.next);
        let committer = supervise::thread("event-log", move || committer.run());
        Ok(Self { pending, catalogue, options, committer: Mutex::new(Some(committer)), dedup, rewriting: Mutex::default() })
    }

    /// For how long a class of records is kept.
    #[must_use]
    pub fn retention(&self, class: RetentionClass) -> Duration {
        self.options.retention(class)
    }

    /// Appends records: all of them, or none. Returns one outcome per record, in order, after they are durable.
    ///
    /// # Errors
    /// See [`AppendError`]. Nothing of the call can be read then, and the same records can be appended again. (If the program ends before
    /// a failed sync is repaired, records refused with `SyncFailed` may be found by the next start: sent again, they are duplicates.)
    pub async fn append(&self, records: Vec<Record>) -> Result<Vec<Appended>, AppendError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.pending.submit(records)?;
        answer.await.unwrap_or(Err(AppendError::Closed)).map(|call| call.outcome)
    }

    /// Whether a record with that event id is durable, as long as ids are known for duplicates: at least a day, where there are not too many.
    /// Blocks while a commit is under way.
    #[must_use]
    pub fn knows(&self, id: EventId) -> bool {
        self.dedup.lock().unwrap_or_else(PoisonError::into_inner).knows(id)
    }

    /// A reader that begins at the first record with this offset or a higher one.
    #[must_use]
    pub fn reader(&self, from: Offset) -> LogReader {
        LogReader::new(Arc::clone(&self.catalogue), from)
    }

    /// The first offset that is not durable yet. Changes after each commit.
    #[must_use]
    pub fn durable_head(&self) -> watch::Receiver<Offset> {
        self.catalogue.watch_head()
    }

    /// No record below this offset is retained; the durable head when there is no record at all.
    #[must_use]
    pub fn first_offset(&self) -> Offset {
        self.catalogue.first_offset()
    }

    /// Removes the log segments whose newest record is past its class's retention, and returns how many. Blocks.
    ///
    /// # Errors
    /// When a file cannot be removed; the next call tries again.
    pub fn drop_expired(&self, now: Timestamp) -> Result<usize, LogError> {
        self.catalogue.drop_expired(&self.options, now)
    }

    /// Seals the log segments that are being written, after everything that waits to be appended now, and starts the next ones. Returns
    /// the offset from which on they are in those.
    ///
    /// # Errors
    /// When the disk is full or fails, or the log is closed.
    pub async fn roll(&self) -> Result<Offset, AppendError> {
        self.pending.ask_roll()?.await.unwrap_or(Err(AppendError::Closed))
    }

    /// The log's numbers.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let (segments, stored_bytes) = self.catalogue.size();
        let counters = &self.catalogue.counters;
        LogStats {
            records: counters.records.value(),
            bytes: counters.bytes.value(),
            duplicates: counters.duplicates.value(),
            commits: counters.commits.value(),
            syncs: counters.syncs.value(),
            sync_errors: counters.sync_errors.value(),
            full_errors: counters.full_errors.value(),
            dedup_overflow: counters.dedup_overflow.value(),
            dedup_ids: counters.dedup_ids.value(),
            torn_bytes: counters.torn_bytes.value(),
            corruptions: counters.corruptions.value(),
            segments,
            stored_bytes,
            state: self.pending.state(),
        }
    }

    /// Takes no more records, commits what waits, seals the log segments and ends the commit thread. Blocks until then. Readers stay usable.
    pub fn close(&self) {
        self.pending.close();
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if committer.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the log's commit thread had ended by a panic");
        }
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.close();
    }
}
