//! The ledger of what left in `state.db`: counts of the open day, closed days and their records. Every use blocks.

use std::{collections::BTreeMap, ops::ControlFlow};

use rusqlite::{Connection, Error, OptionalExtension as _, TransactionBehavior, params};

use super::{
    Day,
    chain::{ClosedDay, EgressFault, Head, Leaf, START, Verified, Walk},
    departures::{Departures, Times},
    record::{DayRecord, Figure, SCHEMAS_MAX},
};
use crate::{
    clock::Timestamp,
    event::DestinationNumber,
    signing::{PublicKey, SigningKey},
};

/// Where counts of a moment belong: its day, or the first that is not closed. A clock that was set back reopens nothing.
fn open_day(connection: &Connection, at: Timestamp) -> rusqlite::Result<Day> {
    let closed = last_closed(connection)?;
    Ok(closed.map_or(Day::of(at), |(_, last)| Day::of(at).max(last.next())))
}

/// Where the chain stands, and its last day; none where no day was closed yet.
///
/// # Errors
/// When the database cannot be read.
pub fn last_closed(connection: &Connection) -> rusqlite::Result<Option<(Head, Day)>> {
    connection
        .prepare_cached("SELECT number, link, last FROM egress_days ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((Head { number: row.get(0)?, link: row.get(1)? }, Day(row.get(2)?))))
        .optional()
}

/// A destination's counts, being added to.
pub struct OpenDay<'t> {
    transaction: &'t Connection,
    destination: DestinationNumber,
    day: Day,
}

impl<'t> OpenDay<'t> {
    /// Of the day that a moment belongs to. What is added is durable with the transaction.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn of(transaction: &'t Connection, destination: DestinationNumber, at: Timestamp) -> rusqlite::Result<Self> {
        Ok(Self { transaction, destination, day: open_day(transaction, at)? })
    }

    /// So many events ended in a state, by a rule where there is one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn ended(&self, state: &str, rule: &str, events: u64) -> rusqlite::Result<()> {
        if rule.is_empty() { self.add(Figure::End, state, events) } else { self.add(Figure::End, &format!("{state}/{rule}"), events) }
    }

    /// This left.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn left(&self, departures: &Departures) -> rusqlite::Result<()> {
        for (figure, name, count) in departures.figures() {
            self.add(figure, name, count)?;
        }
        for (fields, times) in departures.schemas() {
            self.schema(&fields, times)?;
        }
        Ok(())
    }

    fn schema(&self, fields: &[String], Times { sent, ended }: Times) -> rusqlite::Result<()> {
        let name = fields.join("\n");
        if !self.knows(&name)? && self.schemas()? >= SCHEMAS_MAX {
            self.add(Figure::Beyond, "sent", sent)?;
            self.add(Figure::Beyond, "ended", ended)?;
            return fields.iter().try_for_each(|field| self.add(Figure::BeyondField, field, sent));
        }
        // Both, also where one is nothing: from now on it is known.
        self.put(Figure::SchemaSent, &name, sent)?;
        self.put(Figure::SchemaEnded, &name, ended)
    }

    fn knows(&self, schema: &str) -> rusqlite::Result<bool> {
        self.transaction
            .prepare_cached("SELECT 1 FROM egress_open WHERE day = ?1 AND destination = ?2 AND figure = ?3 AND name = ?4")?
            .exists(params![self.day.0, self.destination.0, Figure::SchemaSent.name(), schema])
    }

    fn schemas(&self) -> rusqlite::Result<u64> {
        let count: i64 = self
            .transaction
            .prepare_cached("SELECT count(*) FROM egress_open WHERE day = ?1 AND destination = ?2 AND figure = ?3")?
            .query_row(params![self.day.0, self.destination.0, Figure::SchemaSent.name()], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn add(&self, figure: Figure, name: &str, more: u64) -> rusqlite::Result<()> {
        if more == 0 { Ok(()) } else { self.put(figure, name, more) }
    }

    fn put(&self, figure: Figure, name: &str, more: u64) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached(
                "INSERT INTO egress_open (day, destination, figure, name, count) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (day, destination, figure, name) DO UPDATE SET count = count + excluded.count",
            )?
            .execute(params![self.day.0, self.destination.0, figure.name(), name, i64::try_from(more).unwrap_or(i64::MAX)])?;
        Ok(())
    }
}

/// A courier begins. Where it was under way when the program last ended, nobody had asked for that end: it is counted.
///
/// # Errors
/// When the database cannot be used.
pub fn begin(connection: &mut Connection, destination: DestinationNumber, at: Timestamp) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if transaction.execute("INSERT OR IGNORE INTO egress_running (destination) VALUES (?1)", [destination.0])? == 0 {
        OpenDay::of(&transaction, destination, at)?.add(Figure::Interrupted, "", 1)?;
    }
    transaction.commit()
}

/// A courier ended, and everything that it handed over is counted.
///
/// # Errors
/// When the database cannot be used.
pub fn end(connection: &Connection, destination: DestinationNumber) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM egress_running WHERE destination = ?1", [destination.0]).map(drop)
}

/// What is counted of a destination.
struct Counts {
    name: String,
    counts: Vec<(Figure, String, u64)>,
}

/// The records that the counts of days from one to another make, without their crowds.
fn records(connection: &Connection, first: Day, last: Day) -> rusqlite::Result<Vec<DayRecord>> {
    let mut select = connection.prepare_cached(
        "SELECT destination, coalesce((SELECT name FROM destination_numbers WHERE number = destination), ''), figure, name, count
         FROM egress_open WHERE day BETWEEN ?1 AND ?2",
    )?;
    let mut rows = select.query([first.0, last.0])?;
    let mut counts: BTreeMap<u32, Counts> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let Some(figure) = Figure::named(&row.get::<_, String>(2)?) else { continue };
        let of_destination = counts.entry(row.get(0)?).or_insert(Counts { name: row.get(1)?, counts: Vec::new() });
        of_destination.counts.push((figure, row.get(3)?, u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0)));
    }
    Ok(counts.into_iter().map(|(number, Counts { name, counts })| DayRecord::of(number, name, counts)).collect())
}

/// The open day's records, and the day; several days where some that are over are not closed yet.
///
/// # Errors
/// When the database cannot be read.
pub fn open_records(connection: &Connection) -> rusqlite::Result<Vec<(Day, Vec<DayRecord>)>> {
    let mut select = connection.prepare_cached("SELECT DISTINCT day FROM egress_open ORDER BY day")?;
    let days: Vec<Day> = select.query_map([], |row| row.get(0).map(Day))?.collect::<rusqlite::Result<_>>()?;
    days.into_iter().map(|day| Ok((day, records(connection, day, day)?))).collect()
}

/// Closes the next day that is over at the end of `until`: one with counts, or as many as have none. Returns whether there was one.
///
/// # Errors
/// When the database cannot be used; nothing is closed then.
pub fn close_next(
    connection: &mut Connection,
    until: Day,
    key: &SigningKey,
    with_crowds: impl Fn(&mut DayRecord, Day),
) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let begin: Option<i64> = transaction.query_row("SELECT min(day) FROM egress_open", [], |row| row.get(0))?;
    let (before, first) = match (last_closed(&transaction)?, begin) {
        (Some((head, last)), _) => (head, last.next()),
        (None, Some(begin)) => (Head { number: 0, link: START }, Day(begin)),
        // Nothing has ever left: there is no first day.
        (None, None) => return Ok(false),
    };
    if first > until {
        return Ok(false);
    }
    let last = match begin.map(Day) {
        Some(next) if next <= first => first,
        Some(next) if next <= until => Day(next.0 - 1),
        _ => until,
    };
    let mut leaves = Vec::new();
    // Whatever is counted up to here: nothing is dropped that is in no record.
    for mut record in records(&transaction, Day(i64::MIN), last)? {
        with_crowds(&mut record, last);
        let bytes = serde_json::to_vec(&record).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        transaction.execute(
            "INSERT INTO egress_records (number, destination, record) VALUES (?1, ?2, ?3)",
            params![before.number + 1, record.number, bytes],
        )?;
        leaves.push(Leaf::of(record.number, &bytes));
    }
    let day = ClosedDay::close(before, (first, last), leaves, key);
    transaction.execute(
        "INSERT INTO egress_days (number, first, last, kept_until, root, link, key, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![day.number, day.first.0, day.last.0, day.kept_until.0, day.root, day.link, day.key.0, day.signature],
    )?;
    transaction.execute("DELETE FROM egress_open WHERE day <= ?1", [last.0])?;
    transaction.commit()?;
    Ok(true)
}

/// Erases the records of days that are past their time; their roots stay. Returns how many.
///
/// # Errors
/// When the database cannot be used.
pub fn erase_expired(connection: &Connection, today: Day) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM egress_records WHERE number IN (SELECT number FROM egress_days WHERE kept_until < ?1)", [today.0])
}

/// Hands on every closed day with its records, oldest first, until told to stop: a row that cannot be read is handed on as its number.
///
/// # Errors
/// When the database cannot be read.
pub fn each_day(
    connection: &Connection,
    mut take: impl FnMut(Result<(ClosedDay, Vec<Vec<u8>>), i64>) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let mut select =
        connection.prepare("SELECT number, first, last, kept_until, root, link, key, signature FROM egress_days ORDER BY number")?;
    let mut rows = select.query([])?;
    let mut of_day = connection.prepare("SELECT destination, record FROM egress_records WHERE number = ?1 ORDER BY destination")?;
    let mut before = 0;
    while let Some(row) = rows.next()? {
        let mut read = || -> rusqlite::Result<(ClosedDay, Vec<Vec<u8>>)> {
            let number = row.get(0)?;
            let records: Vec<(u32, Vec<u8>)> =
                of_day.query_map([number], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
            let day = ClosedDay {
                number,
                first: Day(row.get(1)?),
                last: Day(row.get(2)?),
                kept_until: Day(row.get(3)?),
                root: row.get(4)?,
                link: row.get(5)?,
                key: PublicKey(row.get(6)?),
                signature: row.get(7)?,
                leaves: records.iter().map(|(destination, record)| Leaf::of(*destination, record)).collect(),
            };
            Ok((day, records.into_iter().map(|(_, record)| record).collect()))
        };
        before += 1;
        let read = match read() {
            Ok(read) => Ok(read),
            // A value that is none of its column's is a changed one.
            Err(Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..)) => Err(before),
            Err(error) => return Err(error),
        };
        if take(read).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// Walks the whole chain, and says what is the first thing wrong with it.
///
/// # Errors
/// When the database cannot be read.
pub fn verify(connection: &Connection, mut walk: Walk<'_>) -> rusqlite::Result<Result<Verified, EgressFault>> {
    let mut fault = None;
    each_day(connection, |day| {
        let step = day.map_err(|_| EgressFault::Changed(walk.next())).and_then(|(day, _)| walk.step(&day));
        match step {
            Ok(()) => ControlFlow::Continue(()),
            Err(found) => {
                fault = Some(found);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(fault) = fault {
        return Ok(Err(fault));
    }
    let stray: Option<i64> =
        connection.query_row("SELECT min(number) FROM egress_records WHERE number NOT IN (SELECT number FROM egress_days)", [], |row| {
            row.get(0)
        })?;
    Ok(stray.map_or_else(|| walk.end(), |number| Err(EgressFault::Stray(number))))
}
