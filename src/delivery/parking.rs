//! Parking: an event that a receiver refused alone is set aside, with the reason, for a person to look at. The event itself stays
//! where it is, in the event log; only its offset and our words for the reason are kept, as long as the event is.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    ledger::{LedgerState, ROW_SPAN_MAX},
    offsets::{OffsetSet, from_stored, stored},
};
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

/// Where an event is parked: at which destination, which record.
pub type ParkedAt = (DestinationNumber, Offset);

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

/// The next parked events after one, at most `most`, in the order of destinations and records.
pub(super) fn after(connection: &Connection, after: Option<ParkedAt>, most: usize) -> rusqlite::Result<Vec<ParkedAt>> {
    let (destination, record) = after.map_or((-1, -1), |(destination, offset)| (i64::from(destination.0), stored(offset)));
    connection
        .prepare_cached(
            "SELECT destination, record FROM parked WHERE (destination, record) > (?1, ?2) ORDER BY destination, record LIMIT ?3",
        )?
        .query_map(params![destination, record, i64::try_from(most).unwrap_or(i64::MAX)], |row| {
            Ok((DestinationNumber(row.get(0)?), from_stored(row.get(1)?)))
        })?
        .collect()
}

/// Takes an event back out. Returns why and when it was set aside, if it was.
pub(super) fn release(
    transaction: &Connection,
    destination: DestinationNumber,
    offset: Offset,
) -> rusqlite::Result<Option<(String, Timestamp)>> {
    transaction
        .prepare_cached("DELETE FROM parked WHERE destination = ?1 AND record = ?2 RETURNING reason, at")?
        .query_row(params![destination.0, stored(offset)], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))
        .optional()
}

/// The row of the parcel that an event was refused in speaks of the others alone from now on; without any, it goes.
pub(super) fn take_out_of_parcel(transaction: &Connection, destination: DestinationNumber, offset: Offset) -> rusqlite::Result<()> {
    let rows: Vec<(i64, String)> = transaction
        .prepare_cached(
            "SELECT id, offsets FROM ledger_parcels WHERE destination = ?1 AND first BETWEEN ?2 AND ?3 AND last >= ?3 AND state = ?4",
        )?
        .query_map(
            params![destination.0, stored(Offset(offset.0.saturating_sub(ROW_SPAN_MAX))), stored(offset), LedgerState::Rejected.name()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    for (id, text) in rows {
        let Some(mut offsets) = OffsetSet::parse(&text) else { continue };
        if !offsets.remove(offset) {
            continue;
        }
        match offsets.first().zip(offsets.last()) {
            Some((first, last)) => transaction
                .prepare_cached("UPDATE ledger_parcels SET first = ?2, last = ?3, offsets = ?4, count = ?5 WHERE id = ?1")?
                .execute(params![id, stored(first), stored(last), offsets.to_string(), stored(Offset(offsets.count()))])?,
            None => transaction.prepare_cached("DELETE FROM ledger_parcels WHERE id = ?1")?.execute([id])?,
        };
    }
    Ok(())
}

/// Drops the entries of records that have left the event log.
pub(super) fn forget_before(transaction: &Connection, destination: DestinationNumber, first: Offset) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM parked WHERE destination = ?1 AND record < ?2")?
        .execute(params![destination.0, stored(first)])?;
    Ok(())
}
