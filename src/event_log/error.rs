//! Why the log could not be opened, read, trimmed, or appended to. Names files and positions, never contents.

use std::{io, path::PathBuf, time::Duration};

use crate::event::Offset;

/// How soon to try again when the commit thread has more waiting than it takes: it empties its queue many times a second.
const OVERLOADED_RETRY: Duration = Duration::from_secs(1);
/// How soon to try again when the disk is full: somebody has to make space, or retention has to.
const FULL_RETRY: Duration = Duration::from_secs(30);
/// How soon to try again after a sync error or during shutdown: about a repair, or a restart.
const INTERRUPTED_RETRY: Duration = Duration::from_secs(5);

/// The log could not be opened, read or trimmed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory cannot be made or opened.
    #[error("{}: {source}", path.display())]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error("{}: another process is using this event log; stop it first", path.display())]
    Locked {
        /// Which directory.
        path: PathBuf,
    },
    /// A call on a file failed. Trying again later may work.
    #[error("event log: could not {action} {file}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// Which file, or the directory's role.
        file: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Written by a program that is newer, or much older.
    #[error("event log: {file} has format {found}, this program reads up to {known}: start the program that wrote it")]
    Foreign {
        /// Which file.
        file: String,
        /// The format found.
        found: u8,
        /// The newest format known.
        known: u8,
    },
    /// Durable records are unreadable. The reader that reports it has moved on: its next `read` goes on behind the damage.
    #[error("event log: {file} is damaged at byte {position}: its records from offset {} up to, not including, {} are lost", from.0, to.0)]
    Corrupt {
        /// Which file.
        file: String,
        /// The byte at which the damage begins.
        position: u64,
        /// The first offset that may be lost.
        from: Offset,
        /// The first offset after the damage. Records of the other retention class in between are read as usual.
        to: Offset,
    },
}

impl LogError {
    pub(super) fn io(action: &'static str, file: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_string();
        move |source| Self::Io { action, file, source }
    }
}

/// Why records were not taken. None of the call's can be read then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// More waits to be written than is allowed.
    #[error("too much is waiting to be written")]
    Overloaded,
    /// The disk refused to make the records durable; the log is being reopened and verified.
    #[error("the disk failed to sync; the event log is being verified")]
    SyncFailed,
    /// The log has been closed.
    #[error("the event log is closed")]
    Closed,
    /// A record, or the call as a whole, is larger than the log ever takes. Trying again cannot help.
    #[error("larger than the event log takes")]
    TooLarge,
}

impl AppendError {
    /// How long a sender should wait before it tries again.
    #[must_use]
    pub const fn retry_after(&self) -> Duration {
        match self {
            Self::Full => FULL_RETRY,
            Self::Overloaded => OVERLOADED_RETRY,
            Self::SyncFailed | Self::Closed | Self::TooLarge => INTERRUPTED_RETRY,
        }
    }
}

/// Whether an error says that there is no space: it goes away when there is some, and the file is as sound as before.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
