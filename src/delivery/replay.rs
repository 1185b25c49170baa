//! Replays: events that have ended at a destination are sent to it again, because somebody asked for it and said why.
//!
//! A command writes the wish down; whoever starts that destination's courier carries it out before it reads: the events lose their end in
//! the ledger and are open again, in the transactions that say so. A running server starts the courier anew within a second. What may
//! leave is decided when they are read, by the documents and the consent of that moment, so a replay widens nothing.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{
    consumer::Consumer,
    ledger::{DAY_MS, LedgerState, count_less},
    offsets::{OffsetSet, stored},
    parking,
};
use crate::{
    clock::Timestamp,
    event::{DestinationNumber, Offset},
    state::{StateDb, StoreError},
};

/// How an event may have ended that is sent again. What was withheld or purged is not: nothing of it may leave.
pub const REPLAYED: [LedgerState; 5] =
    [LedgerState::Accepted, LedgerState::AcceptedUnproven, LedgerState::DroppedByReceiver, LedgerState::Rejected, LedgerState::Expired];
/// Runs of neighbouring events in one replay: each is looked for in the event log by itself, and written at every settling.
pub const RUNS_MAX: usize = 10_000;
/// Rows of the ledger that one transaction changes: others wait for the database meanwhile.
const ROWS_AT_ONCE: usize = 2_000;
/// How many replays a list shows.
const LISTED_MAX: u32 = 100;

/// Which of a destination's ended events are meant.
#[derive(Clone, Debug)]
pub struct Selection {
    /// How they ended.
    pub states: Vec<LedgerState>,
    /// They ended at this moment or later.
    pub from: Timestamp,
    /// They ended before this moment.
    pub until: Timestamp,
}

/// A replay that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where to.
    pub destination: DestinationNumber,
    /// How many events were meant.
    pub events: u64,
    /// Who asked.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// How many were opened again, and since when; `None`: no server has begun yet.
    pub begun: Option<(u64, Timestamp)>,
}

/// The ended events of a selection, by how they ended.
///
/// # Errors
/// When the database cannot be used.
pub fn select(state: &StateDb, destination: DestinationNumber, wanted: &Selection) -> Result<BTreeMap<LedgerState, OffsetSet>, StoreError> {
    state.with(|db| {
        let mut selected: BTreeMap<LedgerState, OffsetSet> = BTreeMap::new();
        for table in Table::ALL {
            let mut rows =
                db.prepare_cached(&format!("SELECT offsets, state FROM {} WHERE destination = ?1 AND at >= ?2 AND at < ?3", table.name()))?;
            let mut rows = rows.query(params![destination.0, wanted.from.0, wanted.until.0])?;
            while let Some(row) = rows.next()? {
                let ended = LedgerState::named(&row.get::<_, String>(1)?).filter(|state| wanted.states.contains(state));
                if let Some((ended, offsets)) = ended.zip(OffsetSet::parse(&row.get::<_, String>(0)?)) {
                    let of_state = selected.entry(ended).or_default();
                    offsets.ranges().for_each(|(first, last)| of_state.insert_range(first, last));
                }
            }
        }
        Ok(selected)
    })
}

/// Writes down that these events are to be sent again.
///
/// # Errors
/// When the database cannot be used.
pub fn ask(
    state: &StateDb,
    destination: DestinationNumber,
    offsets: &OffsetSet,
    (author, reason): (&str, &str),
    at: Timestamp,
) -> Result<(), StoreError> {
    state.with(|db| {
        db.execute(
            "INSERT INTO replays (destination, offsets, count, author, reason, asked, reopened) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
            params![destination.0, offsets.to_string(), stored(Offset(offsets.count())), author, reason, at.0],
        )?;
        Ok(())
    })
}

/// The newest that were asked for, newest first.
///
/// # Errors
/// When the database cannot be used.
pub fn newest(state: &StateDb) -> Result<Vec<Asked>, StoreError> {
    state.with(|db| {
        let select = "SELECT destination, count, author, reason, asked, reopened, begun FROM replays ORDER BY number DESC LIMIT ?1";
        let mut rows = db.prepare_cached(select)?;
        let rows = rows.query_map([LISTED_MAX], |row| {
            let begun: Option<i64> = row.get(6)?;
            let reopened = u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0);
            Ok(Asked {
                destination: DestinationNumber(row.get(0)?),
                events: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                author: row.get(2)?,
                reason: row.get(3)?,
                at: Timestamp(row.get(4)?),
                begun: begun.map(|at| (reopened, Timestamp(at))),
            })
        })?;
        rows.collect()
    })
}

/// The destinations for which one waits to be carried out.
pub(super) fn waiting(state: &StateDb) -> Result<Vec<DestinationNumber>, StoreError> {
    state.with(|db| {
        let mut rows = db.prepare_cached("SELECT DISTINCT destination FROM replays WHERE begun IS NULL")?;
        let rows = rows.query_map([], |row| row.get(0).map(DestinationNumber))?;
        rows.collect()
    })
}

/// Opens again what was asked for. Nobody may deliver to this destination meanwhile. Where it breaks off, the next call goes on.
pub(super) fn carry_out(state: &StateDb, destination: DestinationNumber, now: Timestamp) -> Result<(), StoreError> {
    while !state.with(|db| {
        let transaction = db.transaction()?;
        let over = carry_on(&transaction, destination, now)?;
        transaction.commit()?;
        Ok(over)
    })? {}
    Ok(())
}

/// A bounded piece of it. Returns whether nothing is left to do.
fn carry_on(transaction: &Connection, destination: DestinationNumber, now: Timestamp) -> rusqlite::Result<bool> {
    let select = "SELECT number, offsets FROM replays WHERE destination = ?1 AND begun IS NULL ORDER BY number LIMIT 1";
    let mut rows = transaction.prepare_cached(select)?;
    let mut rows = rows.query([destination.0])?;
    let Some(row) = rows.next()? else { return Ok(true) };
    let (number, text): (i64, String) = (row.get(0)?, row.get(1)?);
    let wanted = OffsetSet::parse(&text).unwrap_or_default();
    let mut reopened = OffsetSet::default();
    let mut whole = true;
    for table in Table::ALL {
        whole &= table.reopen(transaction, destination, &wanted, &mut reopened)?;
    }
    if let Some(mut consumer) = Consumer::load(transaction, destination)? {
        consumer.reopen(&reopened);
        consumer.save(transaction, destination)?;
    }
    transaction.prepare_cached("UPDATE replays SET reopened = reopened + ?2, begun = ?3 WHERE number = ?1")?.execute(params![
        number,
        stored(Offset(reopened.count())),
        whole.then_some(now.0)
    ])?;
    Ok(false)
}

/// Where the ledger says how events ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Parcels,
    Ranges,
}

/// One row of it.
struct Row {
    id: i64,
    offsets: OffsetSet,
    state: LedgerState,
    rule: String,
    at: Timestamp,
}

impl Table {
    const ALL: [Self; 2] = [Self::Parcels, Self::Ranges];

    const fn name(self) -> &'static str {
        match self {
            Self::Parcels => "ledger_parcels",
            Self::Ranges => "ledger_ranges",
        }
    }

    /// What names a row, and by which rule its events ended.
    const fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Parcels => ("id", "''"),
            Self::Ranges => ("first", "rule"),
        }
    }

    /// Takes the wanted events out of their rows and counts, and puts them into `reopened`. Returns whether none is left.
    fn reopen(
        self,
        transaction: &Connection,
        destination: DestinationNumber,
        wanted: &OffsetSet,
        reopened: &mut OffsetSet,
    ) -> rusqlite::Result<bool> {
        let (mut changed, mut looked_from) = (0, None);
        let Some((first, last)) = wanted.first().zip(wanted.last()) else { return Ok(true) };
        loop {
            let rows = self.rows(transaction, destination, (first, last), looked_from)?;
            let Some(end) = rows.last().map(|row| row.id) else { return Ok(true) };
            looked_from = Some(end);
            for row in rows {
                let again = common(&row.offsets, wanted);
                if again.is_empty() || !REPLAYED.contains(&row.state) {
                    continue;
                }
                self.take_out(transaction, destination, &row, &again)?;
                again.ranges().for_each(|(first, last)| reopened.insert_range(first, last));
                changed += 1;
            }
            if changed >= ROWS_AT_ONCE {
                return Ok(false);
            }
        }
    }

    /// The next rows that may hold some of a run.
    fn rows(
        self,
        transaction: &Connection,
        destination: DestinationNumber,
        (first, last): (Offset, Offset),
        after: Option<i64>,
    ) -> rusqlite::Result<Vec<Row>> {
        let (table, (id, rule)) = (self.name(), self.columns());
        let select = format!(
            "SELECT {id}, offsets, state, {rule}, at FROM {table}
             WHERE destination = ?1 AND last >= ?2 AND first <= ?3 AND {id} > ?4 ORDER BY {id} LIMIT ?5"
        );
        let limit = i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX);
        transaction
            .prepare_cached(&select)?
            .query_map(params![destination.0, stored(first), stored(last), after.unwrap_or(-1), limit], |row| {
                Ok(Row {
                    id: row.get(0)?,
                    offsets: OffsetSet::parse(&row.get::<_, String>(1)?).unwrap_or_default(),
                    // A state that this program does not know is none that is sent again.
                    state: LedgerState::named(&row.get::<_, String>(2)?).unwrap_or(LedgerState::Purged),
                    rule: row.get(3)?,
                    at: Timestamp(row.get(4)?),
                })
            })?
            .collect()
    }

    /// The row speaks of the others alone from now on; without any, it goes.
    fn take_out(self, transaction: &Connection, destination: DestinationNumber, row: &Row, again: &OffsetSet) -> rusqlite::Result<()> {
        let (table, (id, _)) = (self.name(), self.columns());
        let mut left = row.offsets.clone();
        again.ranges().for_each(|(first, last)| left.remove_range(first, last));
        match left.first().zip(left.last()) {
            Some((first, last)) => transaction
                .prepare_cached(&format!(
                    "UPDATE {table} SET first = ?3, last = ?4, offsets = ?5, count = ?6 WHERE destination = ?1 AND {id} = ?2"
                ))?
                .execute(params![destination.0, row.id, stored(first), stored(last), left.to_string(), stored(Offset(left.count()))])?,
            None => transaction
                .prepare_cached(&format!("DELETE FROM {table} WHERE destination = ?1 AND {id} = ?2"))?
                .execute(params![destination.0, row.id])?,
        };
        let mut counted = again.count();
        if row.state == LedgerState::Rejected {
            // Each was counted under its own reason, on the day when it was set aside.
            for offset in again.iter() {
                let Some((reason, parked)) = parking::release(transaction, destination, offset)? else { continue };
                count_less(transaction, destination, (row.state, &reason), parked.0.div_euclid(DAY_MS), 1)?;
                counted -= 1;
            }
        }
        if counted > 0 {
            count_less(transaction, destination, (row.state, &row.rule), row.at.0.div_euclid(DAY_MS), counted)?;
        }
        Ok(())
    }
}

/// What is in both.
fn common(some: &OffsetSet, others: &OffsetSet) -> OffsetSet {
    let mut common = OffsetSet::default();
    for (first, last) in some.ranges() {
        others.within(first, last).ranges().for_each(|(first, last)| common.insert_range(first, last));
    }
    common
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        delivery::ledger::{Entry, Ledger, Status},
        destination::Answer,
        egress::departures::Departures,
        event::PolicyVersion,
    };

    const HERE: DestinationNumber = DestinationNumber(1);
    const THERE: DestinationNumber = DestinationNumber(2);
    /// So many that no table is done in one transaction.
    const EVENTS: u64 = ROWS_AT_ONCE as u64 * 4 + 7;

    fn parcel(offsets: OffsetSet, state: LedgerState) -> Entry {
        let status = Status::of(&Answer::Http { status: 200, retry_after: None, body: bytes::Bytes::new(), noted: None });
        let reason = (state == LedgerState::Rejected).then_some("no");
        Entry::Parcel { offsets, state, reason, status, attempt: 1, policy: PolicyVersion(1) }
    }

    /// A ledger in which every third event was refused, every third has become too old, and the others were accepted, at both destinations.
    fn ledger(directory: &std::path::Path) -> (Arc<StateDb>, Ledger) {
        let state = Arc::new(StateDb::open(&directory.join("state.db")).unwrap());
        let ledger = Ledger::new(Arc::clone(&state));
        let of = |offset: u64| OffsetSet::of_range(Offset(offset), Offset(offset));
        let entries: Vec<Entry> = (0..EVENTS)
            .map(|offset| match offset % 3 {
                0 => parcel(of(offset), LedgerState::Rejected),
                1 => Entry::Exception { offsets: of(offset), state: LedgerState::Expired, rule: "too_old" },
                _ => parcel(of(offset), LedgerState::Accepted),
            })
            .collect();
        for destination in [HERE, THERE] {
            let consumer = Consumer::starting_at(Offset(EVENTS));
            ledger.settle(destination, (&entries, &Departures::default()), &consumer, Timestamp(5)).unwrap();
        }
        (state, ledger)
    }

    fn wanted(states: &[LedgerState]) -> Selection {
        Selection { states: states.to_vec(), from: Timestamp(0), until: Timestamp(10) }
    }

    #[test]
    fn what_is_asked_for_is_open_again_and_nothing_else_changes() {
        let directory = tempfile::tempdir().unwrap();
        let (state, ledger) = ledger(directory.path());
        let selected = select(&state, HERE, &wanted(&[LedgerState::Rejected, LedgerState::Expired])).unwrap();
        let meant = common(
            &selected.values().fold(OffsetSet::default(), |mut all, some| {
                some.ranges().for_each(|(first, last)| all.insert_range(first, last));
                all
            }),
            &OffsetSet::of_range(Offset(2), Offset(EVENTS)),
        );
        ask(&state, HERE, &meant, ("me", "a test"), Timestamp(6)).unwrap();
        assert_eq!(waiting(&state).unwrap(), [HERE]);
        carry_out(&state, HERE, Timestamp(7)).unwrap();
        assert_eq!(waiting(&state).unwrap(), []);
        let consumer = ledger.consumer(HERE, Offset(0)).unwrap();
        assert_eq!(consumer.open(), &meant);
        assert_eq!((consumer.head(), consumer.low_water()), (Offset(EVENTS), Offset(3)));
        for offset in (0..EVENTS).map(Offset) {
            assert_eq!(ledger.state_of(HERE, offset).unwrap().is_none(), meant.contains(offset), "{offset:?}");
        }
        let accepted = (0..EVENTS).filter(|offset| offset % 3 == 2).count() as u64;
        let counts = BTreeMap::from([(LedgerState::Accepted, accepted), (LedgerState::Rejected, 1), (LedgerState::Expired, 1)]);
        assert_eq!(ledger.counts(HERE).unwrap(), counts, "0 was refused and 1 is too old: they were not meant");
        assert_eq!(ledger.parked_after(None, 10_000).unwrap().iter().filter(|(at, _)| *at == HERE).count(), 1);
        assert_eq!(ledger.counts(THERE).unwrap().values().sum::<u64>(), EVENTS, "the other destination is as it was");
        let asked = newest(&state).unwrap();
        assert_eq!((asked.len(), asked[0].events, asked[0].begun), (1, meant.count(), Some((meant.count(), Timestamp(7)))));
    }

    #[test]
    fn a_selection_is_of_its_states_and_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let (state, _) = ledger(directory.path());
        let all = select(&state, HERE, &wanted(&REPLAYED)).unwrap();
        assert_eq!(all.values().map(OffsetSet::count).sum::<u64>(), EVENTS);
        let later = Selection { from: Timestamp(6), ..wanted(&REPLAYED) };
        let earlier = Selection { until: Timestamp(5), ..wanted(&REPLAYED) };
        assert!(select(&state, HERE, &later).unwrap().is_empty() && select(&state, HERE, &earlier).unwrap().is_empty());
        let one = select(&state, HERE, &wanted(&[LedgerState::Expired])).unwrap();
        assert_eq!(one.keys().collect::<Vec<_>>(), [&LedgerState::Expired]);
    }
}
