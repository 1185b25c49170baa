//! How far a recleanse is, at rest: one row in `state.db`. It says to which revision of the documents the stored records have been
//! brought, or are being brought, and from where a start goes on.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{
    clock::Timestamp,
    event::{Offset, RetentionClass},
    state::{StateDb, StoreError},
};

/// Why records are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The documents have let less rest since.
    Tightened,
    /// Somebody asked for it.
    Asked,
    /// It is not known under which documents the records were stored.
    Unknown,
    /// Nothing was ever to be done.
    Never,
}

impl Cause {
    const ALL: [Self; 4] = [Self::Tightened, Self::Asked, Self::Unknown, Self::Never];

    /// The name at rest and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tightened => "tightened",
            Self::Asked => "asked",
            Self::Unknown => "unknown",
            Self::Never => "never",
        }
    }

    /// The same, said to a person.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Tightened => "the documents let less rest than before",
            Self::Asked => "somebody asked for it",
            Self::Unknown => "it was not known under which documents the records were stored",
            Self::Never => "nothing was ever to be done",
        }
    }
}

/// The row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many recleanses were begun, this one included.
    pub run: i64,
    /// The documents that the records are brought to.
    pub revision: i64,
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub began: Timestamp,
    /// Until when; `None`: it is not finished.
    pub ended: Option<Timestamp>,
    /// Below these offsets everything is done, in the order of [`RetentionClass::ALL`].
    pub done_below: [Offset; 2],
    /// Log segments that are done.
    pub segments_done: u64,
    /// Log segments that there are to do, as far as they are known.
    pub segments: u64,
    /// Records that others took the place of.
    pub replaced: u64,
    /// Whether somebody has asked for another one since.
    pub asked: bool,
}

impl Progress {
    /// One that begins.
    #[must_use]
    pub const fn begun(run: i64, revision: i64, cause: Cause, now: Timestamp) -> Self {
        let done_below = [Offset(0); 2];
        Self { run, revision, cause, began: now, ended: None, done_below, segments_done: 0, segments: 0, replaced: 0, asked: false }
    }

    /// Nothing to do.
    #[must_use]
    pub const fn none(revision: i64, now: Timestamp) -> Self {
        Self { ended: Some(now), ..Self::begun(0, revision, Cause::Never, now) }
    }

    /// Whether it is finished.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let cause: String = row.get("cause")?;
        Ok(Self {
            run: row.get("run")?,
            revision: row.get("revision")?,
            cause: Cause::ALL.into_iter().find(|known| known.name() == cause).unwrap_or(Cause::Unknown),
            began: Timestamp(row.get("began")?),
            ended: row.get::<_, Option<i64>>("ended")?.map(Timestamp),
            done_below: [offset(row.get("short_below")?), offset(row.get("long_below")?)],
            segments_done: count(row.get("segments_done")?),
            segments: count(row.get("segments")?),
            replaced: count(row.get("replaced")?),
            asked: row.get("asked")?,
        })
    }
}

fn offset(stored: i64) -> Offset {
    Offset(count(stored))
}

fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The row, where there is one.
///
/// # Errors
/// When `state.db` cannot be read.
pub fn read(state: &StateDb) -> Result<Option<Progress>, StoreError> {
    state.with(|connection| connection.query_row("SELECT * FROM recleanse", [], Progress::from_row).optional())
}

/// Writes the row, whatever it was.
pub(super) fn begin(state: &StateDb, progress: &Progress) -> Result<(), StoreError> {
    state.with(|connection| write(connection, progress))
}

/// Writes the row, unless another recleanse has been begun since. What somebody has asked for meanwhile stays asked. Returns whether it
/// was written.
pub(super) fn advance(state: &StateDb, progress: &Progress) -> Result<bool, StoreError> {
    state.with(|connection| {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let before = transaction.query_row("SELECT * FROM recleanse", [], Progress::from_row).optional()?;
        let Some(before) = before.filter(|before| before.run == progress.run) else { return Ok(false) };
        // The documents may have been relaxed meanwhile: what was noted of them counts.
        write(&transaction, &Progress { revision: before.revision, asked: before.asked, ..*progress })?;
        transaction.commit()?;
        Ok(true)
    })
}

/// Notes that the documents in force are others now, which ask for nothing more of what is stored.
pub(super) fn note_revision(state: &StateDb, revision: i64) -> Result<(), StoreError> {
    state.with(|connection| connection.execute("UPDATE recleanse SET revision = ?1", [revision]))?;
    Ok(())
}

/// Asks for a recleanse: the running program begins one, or the next start does.
///
/// # Errors
/// When `state.db` cannot be written.
pub fn ask(state: &StateDb, now: Timestamp) -> Result<(), StoreError> {
    state.with(|connection| {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        if transaction.execute("UPDATE recleanse SET asked = TRUE", [])? == 0 {
            write(&transaction, &Progress { asked: true, ..Progress::none(0, now) })?;
        }
        transaction.commit()
    })
}

fn write(connection: &Connection, progress: &Progress) -> rusqlite::Result<()> {
    let Progress { run, revision, cause, began, ended, done_below: [short, long], segments_done, segments, replaced, asked } = progress;
    connection.execute(
        "INSERT OR REPLACE INTO recleanse
         (only_row, run, revision, cause, began, ended, short_below, long_below, segments_done, segments, replaced, asked)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            run,
            revision,
            cause.name(),
            began.0,
            ended.map(|ended| ended.0),
            stored(short.0),
            stored(long.0),
            stored(*segments_done),
            stored(*segments),
            stored(*replaced),
            asked
        ],
    )?;
    Ok(())
}

/// The place of a family in [`Progress::done_below`].
pub(super) const fn place(class: RetentionClass) -> usize {
    match class {
        RetentionClass::Short => 0,
        RetentionClass::Long => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::state::IN_MEMORY;

    #[test]
    fn what_is_written_is_read_back_unless_another_was_begun() {
        let state = StateDb::open(Path::new(IN_MEMORY)).unwrap();
        assert_eq!(read(&state).unwrap(), None);
        let first = Progress::begun(1, 7, Cause::Tightened, Timestamp(5));
        begin(&state, &first).unwrap();
        let further = Progress { done_below: [Offset(9), Offset(3)], segments_done: 2, segments: 4, replaced: 11, ..first };
        ask(&state, Timestamp(6)).unwrap();
        note_revision(&state, 8).unwrap();
        assert!(advance(&state, &further).unwrap());
        assert_eq!(read(&state).unwrap(), Some(Progress { asked: true, revision: 8, ..further }), "neither was lost");
        let second = Progress::begun(2, 9, Cause::Asked, Timestamp(8));
        begin(&state, &second).unwrap();
        assert!(!advance(&state, &further).unwrap(), "the first has no say any more");
        assert_eq!(read(&state).unwrap(), Some(second));
    }

    #[test]
    fn one_can_be_asked_for_before_the_first_start() {
        let state = StateDb::open(Path::new(IN_MEMORY)).unwrap();
        ask(&state, Timestamp(6)).unwrap();
        let asked = read(&state).unwrap().unwrap();
        assert!(asked.asked && asked.is_over());
        assert!(Cause::ALL.into_iter().all(|cause| !cause.explanation().is_empty()));
    }
}
