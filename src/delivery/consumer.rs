//! Consumer state: how far one destination is in the event log. A low-water mark, below which everything has a terminal ledger state,
//! and the open offsets above it. It is written in the same transaction as the ledger, so the two can never disagree.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::offsets::{OffsetSet, from_stored, stored};
use crate::event::{DestinationNumber, Offset};

/// Why an offset is open: it was read, and its parcel has no answer yet.
const IN_FLIGHT: &str = "in_flight";

/// How far one destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    head: Offset,
    open: OffsetSet,
}

impl Consumer {
    /// A consumer to which nothing before `head` matters.
    #[must_use]
    pub fn starting_at(head: Offset) -> Self {
        Self { head, open: OffsetSet::default() }
    }

    /// The first offset that was never read.
    #[must_use]
    pub fn head(&self) -> Offset {
        self.head
    }

    /// The first offset that has no terminal state.
    #[must_use]
    pub fn low_water(&self) -> Offset {
        self.open.first().unwrap_or(self.head)
    }

    /// What was read and has no terminal state yet.
    #[must_use]
    pub fn open(&self) -> &OffsetSet {
        &self.open
    }

    /// Everything up to `head` (not included) has been read; of it, `open` is still to be settled and the rest is done with.
    pub fn read_to(&mut self, head: Offset, open: impl IntoIterator<Item = Offset>) {
        for offset in open {
            if offset >= self.head && offset < head {
                self.open.insert(offset);
            }
        }
        self.head = self.head.max(head);
    }

    /// The offset has reached a terminal state. Returns whether it was open.
    pub fn settle(&mut self, offset: Offset) -> bool {
        self.open.remove(offset)
    }

    /// A run of offsets, both ends inside, has reached a terminal state.
    pub fn settle_range(&mut self, first: Offset, last: Offset) {
        self.open.remove_range(first, last);
    }

    /// Offsets that had a terminal state have none any more. Those that were never read stay as they are.
    pub(super) fn reopen(&mut self, offsets: &OffsetSet) {
        for (first, last) in offsets.ranges().take_while(|(first, _)| *first < self.head) {
            self.open.insert_range(first, last.min(Offset(self.head.0 - 1)));
        }
    }

    /// Reads a destination's state; one that was never there begins at `start`, durably.
    ///
    /// # Errors
    /// SQLite's.
    pub fn load_or_start(connection: &mut Connection, destination: DestinationNumber, start: Offset) -> rusqlite::Result<Self> {
        let transaction = connection.transaction()?;
        let consumer = match Self::load(&transaction, destination)? {
            Some(consumer) => consumer,
            None => {
                let consumer = Self::starting_at(start);
                consumer.save(&transaction, destination)?;
                consumer
            }
        };
        transaction.commit()?;
        Ok(consumer)
    }

    /// Reads a destination's state, where it has begun.
    pub(super) fn load(connection: &Connection, destination: DestinationNumber) -> rusqlite::Result<Option<Self>> {
        let select = "SELECT head FROM consumers WHERE destination = ?1";
        let Some(head) = connection.query_row(select, [destination.0], |row| row.get(0)).optional()? else { return Ok(None) };
        let mut consumer = Self::starting_at(from_stored(head));
        let mut rows = connection.prepare("SELECT first, last FROM consumer_open WHERE destination = ?1 ORDER BY first")?;
        let ranges = rows.query_map([destination.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for range in ranges {
            let (first, last) = range?;
            consumer.open.insert_range(from_stored(first), from_stored(last));
        }
        Ok(Some(consumer))
    }

    /// Writes the state, within a transaction of the caller's.
    ///
    /// # Errors
    /// SQLite's.
    pub fn save(&self, transaction: &Connection, destination: DestinationNumber) -> rusqlite::Result<()> {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO consumers (destination, low_water, head) VALUES (?1, ?2, ?3)")?
            .execute(params![destination.0, stored(self.low_water()), stored(self.head)])?;
        transaction.prepare_cached("DELETE FROM consumer_open WHERE destination = ?1")?.execute([destination.0])?;
        let mut insert =
            transaction.prepare_cached("INSERT INTO consumer_open (destination, first, last, why, until) VALUES (?1, ?2, ?3, ?4, NULL)")?;
        for (first, last) in self.open.ranges() {
            insert.execute(params![destination.0, stored(first), stored(last), IN_FLIGHT])?;
        }
        Ok(())
    }
}

/// How far a destination is, where it has begun.
pub(super) fn low_water(connection: &Connection, destination: DestinationNumber) -> rusqlite::Result<Option<Offset>> {
    let select = "SELECT low_water FROM consumers WHERE destination = ?1";
    Ok(connection.query_row(select, [destination.0], |row| row.get(0)).optional()?.map(from_stored))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::state::StateDb;

    const DESTINATION: DestinationNumber = DestinationNumber(3);

    fn database() -> (tempfile::TempDir, StateDb) {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDb::open(&directory.path().join("state.db")).unwrap();
        (directory, state)
    }

    #[test]
    fn a_new_destination_begins_where_it_is_told_and_only_once() {
        let (_directory, state) = database();
        let first = state.with(|db| Consumer::load_or_start(db, DESTINATION, Offset(40))).unwrap();
        let again = state.with(|db| Consumer::load_or_start(db, DESTINATION, Offset(90))).unwrap();
        assert_eq!(first, Consumer::starting_at(Offset(40)));
        assert_eq!(again, first);
    }

    #[test]
    fn what_was_read_and_not_addressed_is_done_with() {
        let mut consumer = Consumer::starting_at(Offset(10));
        consumer.read_to(Offset(20), [Offset(12), Offset(19)]);
        assert_eq!((consumer.low_water(), consumer.head()), (Offset(12), Offset(20)));
        assert!(consumer.settle(Offset(12)));
        assert!(!consumer.settle(Offset(12)), "settled once");
        assert!(!consumer.settle(Offset(13)), "never open");
        assert_eq!(consumer.low_water(), Offset(19));
        consumer.settle(Offset(19));
        assert_eq!(consumer.low_water(), Offset(20));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Settle in any order, restart at any moment: exactly what has no terminal state is open again.
        #[test]
        fn a_restart_reproduces_exactly_what_is_not_terminal(
            reads in prop::collection::vec(prop::collection::vec(any::<bool>(), 1..20), 1..6),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let (_directory, state) = database();
            let mut consumer = state.with(|db| Consumer::load_or_start(db, DESTINATION, Offset(7))).unwrap();
            let (mut model, mut head) = (BTreeSet::new(), 7);
            for read in reads {
                let open: Vec<Offset> = read.iter().enumerate().filter(|(_, open)| **open).map(|(at, _)| Offset(head + at as u64)).collect();
                head += read.len() as u64;
                model.extend(open.iter().copied());
                consumer.read_to(Offset(head), open);
            }
            for step in order {
                if model.is_empty() {
                    break;
                }
                let settled = *model.iter().nth(step.index(model.len())).unwrap();
                model.remove(&settled);
                prop_assert!(consumer.settle(settled));
                state.with(|db| consumer.save(db, DESTINATION)).unwrap();
                let restarted = state.with(|db| Consumer::load_or_start(db, DESTINATION, Offset(0))).unwrap();
                prop_assert_eq!(&restarted, &consumer);
                prop_assert_eq!(restarted.open().iter().collect::<BTreeSet<_>>(), model.clone());
                prop_assert_eq!(restarted.low_water(), model.first().copied().unwrap_or(Offset(head)));
            }
        }
    }
}
