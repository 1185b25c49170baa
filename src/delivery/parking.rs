//! Parking: an event that a receiver refused alone is set aside, with the reason, for a person to look at. The event itself stays
//! where it is, in the event log; only its offset and our words for the reason are kept, as long as the event is.

use rusqlite::{Connection, params};

use super::offsets::{from_stored, stored};
use crate::{
    clock::Timestamp,
    event::{DestinationNumber, Offset},
};

/// One event set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Which record.
    pub offset: Offset,
    /// Why, in our words.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// Sets an event aside, within a transaction of the caller's.
pub(super) fn park(
    transaction: &Connection,
    destination: DestinationNumber,
    offset: Offset,
    reason: &str,
    at: Timestamp,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO parked (destination, record, reason, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![destination.0, stored(offset), reason, at.0])?;
    Ok(())
}

/// Why an event was set aside, if it was.
pub(super) fn reason_of(connection: &Connection, destination: DestinationNumber, offset: Offset) -> rusqlite::Result<Option<String>> {
    use rusqlite::OptionalExtension as _;
    connection
        .prepare_cached("SELECT reason FROM parked WHERE destination = ?1 AND record = ?2")?
        .query_row(params![destination.0, stored(offset)], |row| row.get(0))
        .optional()
}

/// The newest events set aside for a destination, at most `most`.
pub(super) fn newest(connection: &Connection, destination: DestinationNumber, most: usize) -> rusqlite::Result<Vec<Parked>> {
    connection
        .prepare_cached("SELECT record, reason, at FROM parked WHERE destination = ?1 ORDER BY record DESC LIMIT ?2")?
        .query_map(params![destination.0, i64::try_from(most).unwrap_or(i64::MAX)], |row| {
            Ok(Parked { offset: from_stored(row.get(0)?), reason: row.get(1)?, at: Timestamp(row.get(2)?) })
        })?
        .collect()
}

/// Drops the entries of records that have left the event log.
pub(super) fn forget_before(transaction: &Connection, destination: DestinationNumber, first: Offset) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM parked WHERE destination = ?1 AND record < ?2")?
        .execute(params![destination.0, stored(first)])?;
    Ok(())
}
