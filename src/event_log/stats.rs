//! What the log counts, for metrics and tests.

use crate::metrics::{Counter, Gauge};

/// Whether the log takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// It does.
    Accepting,
    /// Not until there is space on the disk.
    Full,
    /// Not until a failed sync is repaired.
    Repairing,
    /// It has been closed.
    Closed,
}

/// The log's numbers since it was opened.
#[derive(Clone, Copy, Debug)]
pub struct LogStats {
    /// Records made durable.
    pub records: u64,
    /// Bytes of frames made durable.
    pub bytes: u64,
    /// Records recognised as duplicates.
    pub duplicates: u64,
    /// Group commits that wrote something. `records / commits` is the number of events per commit.
    pub commits: u64,
    /// `fdatasync` calls of commits that succeeded: one per commit and family written.
    pub syncs: u64,
    /// Commits that failed because the disk did not take or sync them.
    pub sync_errors: u64,
    /// Commits that failed because the disk was full.
    pub full_errors: u64,
    /// Event ids that deduplication forgot earlier than a day after it saw them, because there were too many.
    pub dedup_overflow: u64,
    /// Event ids that deduplication knows now.
    pub dedup_ids: u64,
    /// Bytes of unfinished commits that recovery cut off when the log was opened.
    pub torn_bytes: u64,
    /// Places found at which durable records are unreadable.
    pub corruptions: u64,
    /// Log segments now.
    pub segments: u64,
    /// Bytes of frames and headers in them.
    pub stored_bytes: u64,
    /// Whether it takes records.
    pub state: LogState,
}

/// The counters behind [`LogStats`].
#[derive(Default)]
pub(super) struct Counters {
    pub(super) records: Counter,
    pub(super) bytes: Counter,
    pub(super) duplicates: Counter,
    pub(super) commits: Counter,
    pub(super) syncs: Counter,
    pub(super) sync_errors: Counter,
    pub(super) full_errors: Counter,
    pub(super) dedup_overflow: Counter,
    pub(super) dedup_ids: Gauge,
    pub(super) torn_bytes: Counter,
    pub(super) corruptions: Counter,
}
