//! The ledger: what became of every event at every destination. One row per parcel and rows of offset ranges for exceptions, never a
//! row per event, so that any event's state is found by its offset. Rows live as long as their events; after that only counts stay.

use std::{collections::BTreeMap, fmt, sync::Arc};

use rusqlite::{Connection, params};
use serde::Serialize;

use super::{
    consumer::{self, Consumer},
    offsets::{OffsetSet, stored},
    parking::{self, Parked, ParkedAt},
};
use crate::{
    clock::Timestamp,
    destination::{Answer, Failure, publication::PublishAnswer},
    egress::{
        departures::Departures,
        store::{self as egress, OpenDay},
    },
    event::{DestinationNumber, Offset, PolicyVersion},
    state::{StateDb, StoreError},
};

/// No row spans more offsets than this from its first to its last, so that finding an offset looks at a bounded stretch of the index.
pub(super) const ROW_SPAN_MAX: u64 = 1 << 16;
/// Counts are kept this long: 36 months.
const COUNTS_KEPT_DAYS: i64 = 3 * 366;
/// How many parked events a page shows.
const PARKED_SHOWN: usize = 200;
/// By what parked events are told from others that ended purged, among what left.
const PARKED: &str = "parked";
pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The end of an event at a destination. There is exactly one per event and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerState {
    /// The receiver has it, and its answer proves so.
    Accepted,
    /// The receiver said yes, which with this receiver proves nothing.
    AcceptedUnproven,
    /// The receiver said yes and meant no.
    DroppedByReceiver,
    /// The receiver refused it alone, or it could not be read; it is parked.
    Rejected,
    /// It became older than the receiver accepts, or left the event log, before it was delivered.
    Expired,
    /// The destination may not have it, by a rule.
    Withheld,
    /// Its person withdrew or was erased.
    Purged,
}

impl LedgerState {
    /// All of them, in the order of pages.
    pub const ALL: [Self; 7] =
        [Self::Accepted, Self::AcceptedUnproven, Self::DroppedByReceiver, Self::Rejected, Self::Expired, Self::Withheld, Self::Purged];

    /// The name in the ledger, in metrics and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AcceptedUnproven => "accepted_unproven",
            Self::DroppedByReceiver => "dropped_by_receiver",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Withheld => "withheld",
            Self::Purged => "purged",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What came back for a parcel, as the ledger and the status pages say it: `204`, `timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(Came);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Http(u16),
    Written,
    Database([u8; 5]),
    Publish(PublishAnswer),
    #[cfg(feature = "kafka")]
    Produced(crate::destination::kafka::production::Code),
    Failed(Failure),
}

impl Status {
    /// The status of an answer.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Http { status, .. } => Self(Came::Http(*status)),
            Answer::Written => Self(Came::Written),
            Answer::Database(code) => Self(Came::Database(*code)),
            Answer::Publish(said) => Self(Came::Publish(*said)),
            #[cfg(feature = "kafka")]
            Answer::Produced(codes) => Self(Came::Produced(crate::destination::kafka::production::Code::worst(codes))),
            Answer::Failed(failure) => Self(Came::Failed(*failure)),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Came::Http(status) => write!(f, "{status}"),
            Came::Written => f.write_str("written"),
            Came::Database(code) => write!(f, "sqlstate {}", String::from_utf8_lossy(&code)),
            Came::Publish(said) => write!(f, "{said}"),
            #[cfg(feature = "kafka")]
            Came::Produced(code) => write!(f, "{code}"),
            Came::Failed(Failure::Connect) => f.write_str("connect"),
            Came::Failed(Failure::Timeout) => f.write_str("timeout"),
            Came::Failed(Failure::Tls) => f.write_str("tls"),
            Came::Failed(Failure::Garbage) => f.write_str("garbage"),
            Came::Failed(Failure::Disk) => f.write_str("disk"),
        }
    }
}

/// Something to be written: events that ended alike.
pub enum Entry {
    /// Events of one parcel.
    Parcel {
        /// Which.
        offsets: OffsetSet,
        /// How they ended.
        state: LedgerState,
        /// Why, where they were rejected; they are parked with it.
        reason: Option<&'static str>,
        /// What came back.
        status: Status,
        /// The attempt that ended it, from 1.
        attempt: u32,
        /// The policy version that they were disclosed under.
        policy: PolicyVersion,
    },
    /// Events that ended without a parcel.
    Exception {
        /// Which.
        offsets: OffsetSet,
        /// How they ended.
        state: LedgerState,
        /// By which rule.
        rule: &'static str,
    },
}

impl Entry {
    /// Which events it is about.
    #[must_use]
    pub const fn offsets(&self) -> &OffsetSet {
        match self {
            Self::Parcel { offsets, .. } | Self::Exception { offsets, .. } => offsets,
        }
    }

    /// How they ended.
    #[must_use]
    pub const fn state(&self) -> LedgerState {
        match self {
            Self::Parcel { state, .. } | Self::Exception { state, .. } => *state,
        }
    }

    const fn rule(&self) -> &'static str {
        match self {
            Self::Parcel { reason: Some(reason), .. } => reason,
            Self::Parcel { reason: None, .. } => "",
            Self::Exception { rule, .. } => rule,
        }
    }
}

/// One event's end at one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    /// How it ended.
    pub state: LedgerState,
    /// By which rule, or for which reason; empty where there is none to say.
    pub rule: String,
    /// What came back (`204`, `timeout`), where something was sent.
    pub status: Option<String>,
    /// Which attempt it was, where something was sent.
    pub attempt: Option<u32>,
    /// Under which policy version, where something was sent.
    pub policy: Option<PolicyVersion>,
    /// When.
    pub at: Timestamp,
}

/// The ledger in `state.db`. Every use blocks: from async code, through `Supervisor::blocking`.
#[derive(Clone)]
pub struct Ledger {
    state: Arc<StateDb>,
}

impl Ledger {
    /// The ledger in that database.
    #[must_use]
    pub fn new(state: Arc<StateDb>) -> Self {
        Self { state }
    }

    /// Reads how far a destination is; a new one begins at `start`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn consumer(&self, destination: DestinationNumber, start: Offset) -> Result<Consumer, StoreError> {
        self.state.with(|db| Consumer::load_or_start(db, destination, start))
    }

    /// Writes ends, what left, and how far the destination is, in one transaction: all of it is durable, or none.
    ///
    /// # Errors
    /// When the database cannot be used; nothing was written then.
    pub fn settle(
        &self,
        destination: DestinationNumber,
        (entries, departures): (&[Entry], &Departures),
        consumer: &Consumer,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.state.with(|db| {
            let transaction = db.transaction()?;
            let egress = OpenDay::of(&transaction, destination, at)?;
            for entry in entries {
                write(&transaction, destination, entry, at)?;
                egress.ended(entry.state().name(), entry.rule(), entry.offsets().count())?;
            }
            egress.left(departures)?;
            consumer.save(&transaction, destination)?;
            transaction.commit()
        })
    }

    /// A courier begins: from now on it hands parcels over.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn begin(&self, destination: DestinationNumber, at: Timestamp) -> Result<(), StoreError> {
        self.state.with(|db| egress::begin(db, destination, at))
    }

    /// A courier ended, and all that it handed over is written.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn end(&self, destination: DestinationNumber) -> Result<(), StoreError> {
        self.state.with(|db| egress::end(db, destination))
    }

    pub(super) fn database(&self) -> &StateDb {
        &self.state
    }

    /// How one event ended at one destination. `None`: it has not yet, is not addressed to it, or has left the event log.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn state_of(&self, destination: DestinationNumber, offset: Offset) -> Result<Option<LedgerEntry>, StoreError> {
        self.state.with(|db| match parcel_of(db, destination, offset)? {
            Some(entry) => Ok(Some(entry)),
            None => exception_of(db, destination, offset),
        })
    }

    /// Below this offset every event has ended at a destination, or is not for it. `None`: it has not begun.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn low_water(&self, destination: DestinationNumber) -> Result<Option<Offset>, StoreError> {
        self.state.with(|db| consumer::low_water(db, destination))
    }

    /// How many events ended how at one destination, over all that is kept.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn counts(&self, destination: DestinationNumber) -> Result<BTreeMap<LedgerState, u64>, StoreError> {
        self.state.with(|db| {
            let mut counts = BTreeMap::new();
            let mut rows = db.prepare_cached("SELECT state, sum(count) FROM ledger_counts WHERE destination = ?1 GROUP BY state")?;
            let rows = rows.query_map([destination.0], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            for row in rows {
                let (state, count) = row?;
                if let Some(state) = LedgerState::named(&state) {
                    counts.insert(state, u64::try_from(count).unwrap_or(0));
                }
            }
            Ok(counts)
        })
    }

    /// The newest events that were rejected alone.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn parked(&self, destination: DestinationNumber) -> Result<Vec<Parked>, StoreError> {
        self.state.with(|db| parking::newest(db, destination, PARKED_SHOWN))
    }

    /// The next parked events after one, of all destinations, at most `most`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn parked_after(&self, after: Option<ParkedAt>, most: usize) -> Result<Vec<ParkedAt>, StoreError> {
        self.state.with(|db| parking::after(db, after, most))
    }

    /// Gives parked events another end, in one transaction: they were rejected, and are purged. Those that are not parked stay as they are.
    /// Returns how many were.
    ///
    /// # Errors
    /// When the database cannot be used; nothing was changed then.
    pub fn purge_parked(&self, destination: DestinationNumber, offsets: &OffsetSet, at: Timestamp) -> Result<u64, StoreError> {
        self.state.with(|db| {
            let transaction = db.transaction()?;
            let mut purged = OffsetSet::default();
            for offset in offsets.iter() {
                let Some((reason, parked)) = parking::release(&transaction, destination, offset)? else { continue };
                parking::take_out_of_parcel(&transaction, destination, offset)?;
                count_less(&transaction, destination, (LedgerState::Rejected, &reason), parked.0.div_euclid(DAY_MS), 1)?;
                purged.insert(offset);
            }
            let count = purged.count();
            if count > 0 {
                // It left, and was counted as rejected; that day may be closed.
                OpenDay::of(&transaction, destination, at)?.ended(LedgerState::Purged.name(), PARKED, count)?;
                write(&transaction, destination, &Entry::Exception { offsets: purged, state: LedgerState::Purged, rule: "" }, at)?;
            }
            transaction.commit()?;
            Ok(count)
        })
    }

    /// Drops the rows of records before `first`, which have left the event log, and counts that are older than 36 months by a clock that is believed.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn forget_before(&self, first: Offset, believed: Option<Timestamp>) -> Result<(), StoreError> {
        self.state.with(|db| {
            let transaction = db.transaction()?;
            let destinations: Vec<u32> = transaction
                .prepare_cached("SELECT destination FROM consumers")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for destination in destinations {
                for table in ["ledger_parcels", "ledger_ranges"] {
                    transaction
                        .prepare_cached(&format!("DELETE FROM {table} WHERE destination = ?1 AND first < ?2 AND last < ?2"))?
                        .execute(params![destination, stored(first)])?;
                }
                parking::forget_before(&transaction, DestinationNumber(destination), first)?;
            }
            if let Some(now) = believed {
                let oldest = now.0.div_euclid(DAY_MS) - COUNTS_KEPT_DAYS;
                transaction.prepare_cached("DELETE FROM ledger_counts WHERE day < ?1")?.execute([oldest])?;
            }
            transaction.commit()
        })
    }
}

fn write(transaction: &Connection, destination: DestinationNumber, entry: &Entry, at: Timestamp) -> rusqlite::Result<()> {
    let (offsets, state, rule) = (entry.offsets(), entry.state(), entry.rule());
    for piece in offsets.clone().pieces(ROW_SPAN_MAX) {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { continue };
        let (first, last, count, text) = (stored(first), stored(last), stored(Offset(piece.count())), piece.to_string());
        match entry {
            Entry::Parcel { status, attempt, policy, .. } => transaction
                .prepare_cached(
                    "INSERT INTO ledger_parcels (destination, first, last, offsets, count, state, status, attempt, policy_version, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                )?
                .execute(params![destination.0, first, last, text, count, state.name(), status.to_string(), attempt, policy.0, at.0])?,
            Entry::Exception { .. } => transaction
                .prepare_cached(
                    "INSERT INTO ledger_ranges (destination, first, last, offsets, count, state, rule, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![destination.0, first, last, text, count, state.name(), rule, at.0])?,
        };
    }
    if state == LedgerState::Rejected && matches!(entry, Entry::Parcel { .. }) {
        for offset in offsets.iter() {
            parking::park(transaction, destination, offset, rule, at)?;
        }
    }
    transaction
        .prepare_cached(
            "INSERT INTO ledger_counts (destination, day, state, rule, count) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (destination, day, state, rule) DO UPDATE SET count = count + excluded.count",
        )?
        .execute(params![destination.0, at.0.div_euclid(DAY_MS), state.name(), rule, stored(Offset(offsets.count()))])?;
    Ok(())
}

/// So many fewer events ended so on that day.
pub(super) fn count_less(
    transaction: &Connection,
    destination: DestinationNumber,
    (state, rule): (LedgerState, &str),
    day: i64,
    less: u64,
) -> rusqlite::Result<()> {
    let of_the_day = "WHERE destination = ?1 AND day = ?2 AND state = ?3 AND rule = ?4";
    transaction.prepare_cached(&format!("UPDATE ledger_counts SET count = count - ?5 {of_the_day}"))?.execute(params![
        destination.0,
        day,
        state.name(),
        rule,
        stored(Offset(less))
    ])?;
    transaction.prepare_cached(&format!("DELETE FROM ledger_counts {of_the_day} AND count <= 0"))?.execute(params![
        destination.0,
        day,
        state.name(),
        rule
    ])?;
    Ok(())
}

fn parcel_of(connection: &Connection, destination: DestinationNumber, offset: Offset) -> rusqlite::Result<Option<LedgerEntry>> {
    let columns = "SELECT offsets, state, at, status, attempt, policy_version FROM ledger_parcels";
    row_of(connection, columns, destination, offset, |row| {
        let rule = parking::reason_of(connection, destination, offset)?.unwrap_or_default();
        Ok((rule, Some((row.get(3)?, row.get(4)?, PolicyVersion(row.get(5)?)))))
    })
}

fn exception_of(connection: &Connection, destination: DestinationNumber, offset: Offset) -> rusqlite::Result<Option<LedgerEntry>> {
    let columns = "SELECT offsets, state, at, rule FROM ledger_ranges";
    row_of(connection, columns, destination, offset, |row| Ok((row.get(3)?, None)))
}

/// The rule, and what only a parcel has: status, attempt and policy version.
type RowDetails = (String, Option<(String, u32, PolicyVersion)>);

fn row_of(
    connection: &Connection,
    columns: &str,
    destination: DestinationNumber,
    offset: Offset,
    details: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<RowDetails>,
) -> rusqlite::Result<Option<LedgerEntry>> {
    let mut rows = connection
        .prepare_cached(&format!("{columns} WHERE destination = ?1 AND first BETWEEN ?2 AND ?3 AND last >= ?3 ORDER BY first DESC"))?;
    let mut rows = rows.query(params![destination.0, stored(Offset(offset.0.saturating_sub(ROW_SPAN_MAX))), stored(offset)])?;
    while let Some(row) = rows.next()? {
        if !OffsetSet::parse(&row.get::<_, String>(0)?).is_some_and(|offsets| offsets.contains(offset)) {
            continue;
        }
        let Some(state) = LedgerState::named(&row.get::<_, String>(1)?) else { continue };
        let (rule, sent) = details(row)?;
        let (status, attempt, policy) =
            sent.map_or((None, None, None), |(status, attempt, policy)| (Some(status), Some(attempt), Some(policy)));
        return Ok(Some(LedgerEntry { state, rule, status, attempt, policy, at: Timestamp(row.get(2)?) }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const HERE: DestinationNumber = DestinationNumber(1);
    const THERE: DestinationNumber = DestinationNumber(2);

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDb::open(&directory.path().join("state.db")).unwrap();
        (directory, Ledger::new(Arc::new(state)))
    }

    fn parcel(offsets: &str, state: LedgerState, reason: Option<&'static str>) -> Entry {
        let status = Status::of(&Answer::Http { status: 204, retry_after: None, body: bytes::Bytes::new(), noted: None });
        Entry::Parcel { offsets: OffsetSet::parse(offsets).unwrap(), state, reason, status, attempt: 2, policy: PolicyVersion(5) }
    }

    fn exception(offsets: &str, state: LedgerState, rule: &'static str) -> Entry {
        Entry::Exception { offsets: OffsetSet::parse(offsets).unwrap(), state, rule }
    }

    #[test]
    fn any_event_is_found_by_its_offset() {
        let (_directory, ledger) = ledger();
        let consumer = Consumer::starting_at(Offset(100));
        let entries = [
            parcel("1-3,7", LedgerState::Accepted, None),
            parcel("9", LedgerState::Rejected, Some("the receiver refuses it")),
            exception("4,6,8", LedgerState::Withheld, "no_consent"),
            exception("200000-400000", LedgerState::Expired, "left_the_log"),
        ];
        ledger.settle(HERE, (&entries, &Departures::default()), &consumer, Timestamp(DAY_MS)).unwrap();
        let state = |offset| ledger.state_of(HERE, Offset(offset)).unwrap();
        let accepted = state(7).unwrap();
        assert_eq!((accepted.state, accepted.rule.as_str()), (LedgerState::Accepted, ""));
        assert_eq!((accepted.status.as_deref(), accepted.attempt, accepted.policy), (Some("204"), Some(2), Some(PolicyVersion(5))));
        assert_eq!(state(9).unwrap().rule, "the receiver refuses it");
        assert_eq!((state(6).unwrap().state, state(6).unwrap().rule), (LedgerState::Withheld, "no_consent".to_owned()));
        assert_eq!(state(399_999).unwrap().state, LedgerState::Expired);
        assert_eq!(state(5), None);
        assert_eq!(ledger.state_of(THERE, Offset(7)).unwrap(), None);
        assert_eq!(ledger.parked(HERE).unwrap().len(), 1);
    }

    #[test]
    fn rows_go_with_their_events_and_counts_stay_for_36_months() {
        let (_directory, ledger) = ledger();
        let consumer = ledger.consumer(HERE, Offset(0)).unwrap();
        let long_ago = Timestamp(0);
        ledger.settle(HERE, (&[parcel("1-3", LedgerState::Rejected, Some("no"))], &Departures::default()), &consumer, long_ago).unwrap();
        ledger.settle(HERE, (&[parcel("4-9", LedgerState::Accepted, None)], &Departures::default()), &consumer, long_ago).unwrap();
        ledger.forget_before(Offset(5), Some(long_ago)).unwrap();
        assert_eq!(ledger.state_of(HERE, Offset(2)).unwrap(), None);
        assert!(ledger.state_of(HERE, Offset(9)).unwrap().is_some(), "a row of which something is still there stays");
        assert_eq!(ledger.parked(HERE).unwrap(), []);
        let counts = BTreeMap::from([(LedgerState::Accepted, 6), (LedgerState::Rejected, 3)]);
        assert_eq!(ledger.counts(HERE).unwrap(), counts);
        ledger.forget_before(Offset(5), None).unwrap();
        assert_eq!(ledger.counts(HERE).unwrap(), counts, "by no clock that is believed");
        ledger.forget_before(Offset(5), Some(Timestamp((COUNTS_KEPT_DAYS + 1) * DAY_MS))).unwrap();
        assert_eq!(ledger.counts(HERE).unwrap(), BTreeMap::new());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However events end, the ledger says of each exactly how, once, and the counts add up.
        #[test]
        fn every_offset_is_accounted_for_once(ends in prop::collection::vec(0..8_usize, 1..200), per_row in 1..40_usize) {
            let (_directory, ledger) = ledger();
            let mut model = HashMap::new();
            let mut rows: HashMap<usize, OffsetSet> = HashMap::new();
            let mut entries = Vec::new();
            for (offset, end) in ends.iter().enumerate() {
                let offset = Offset(offset as u64);
                if *end < LedgerState::ALL.len() {
                    model.insert(offset, LedgerState::ALL[*end]);
                    rows.entry(*end).or_default().insert(offset);
                }
                for end in 0..LedgerState::ALL.len() {
                    if rows.get(&end).is_some_and(|set| set.count() as usize >= per_row) {
                        entries.push((end, rows.remove(&end).unwrap()));
                    }
                }
            }
            entries.extend(rows);
            let entries: Vec<Entry> = entries.into_iter().map(|(end, offsets)| match end {
                0..=3 => parcel(&offsets.to_string(), LedgerState::ALL[end], (end == 3).then_some("no")),
                _ => exception(&offsets.to_string(), LedgerState::ALL[end], "rule"),
            }).collect();
            ledger.settle(HERE, (&entries, &Departures::default()), &Consumer::starting_at(Offset(0)), Timestamp(0)).unwrap();
            for offset in (0..ends.len() as u64).map(Offset) {
                prop_assert_eq!(ledger.state_of(HERE, offset).unwrap().map(|entry| entry.state), model.get(&offset).copied());
            }
            // Some of those that are parked become purged, and some that are not are asked for in vain.
            let again: OffsetSet = (0..ends.len() as u64).filter(|offset| offset % 3 != 0).map(Offset).fold(OffsetSet::default(), |mut set, offset| {
                set.insert(offset);
                set
            });
            let expected = model.iter().filter(|(offset, state)| **state == LedgerState::Rejected && again.contains(**offset)).count();
            prop_assert_eq!(ledger.purge_parked(HERE, &again, Timestamp(3 * DAY_MS)).unwrap() as usize, expected);
            for (offset, state) in &mut model {
                if *state == LedgerState::Rejected && again.contains(*offset) {
                    *state = LedgerState::Purged;
                }
            }
            prop_assert_eq!(ledger.purge_parked(HERE, &again, Timestamp(3 * DAY_MS)).unwrap(), 0);
            for offset in (0..ends.len() as u64).map(Offset) {
                prop_assert_eq!(ledger.state_of(HERE, offset).unwrap().map(|entry| entry.state), model.get(&offset).copied());
            }
            let still = model.values().filter(|state| **state == LedgerState::Rejected).count();
            prop_assert_eq!(ledger.parked_after(None, 1000).unwrap().len(), still);
            for (state, count) in ledger.counts(HERE).unwrap() {
                prop_assert_eq!(count as usize, model.values().filter(|found| **found == state).count());
            }
        }
    }
}
