//! Destinations that hold events back: when an hour or a day is over, it is decided on as the courier does it, and what leaves is looked at.

use std::{collections::HashMap, sync::Arc};

use firsthand::{
    clock::Timestamp,
    documents::Destination,
    event::Offset,
    event_log::LogReader,
    privacy::{
        crowd::{Hold, Period},
        record::header_of,
    },
};

use super::{
    figures::{Cell, Persons, hashed},
    memory::table_bytes,
    seen::Seen,
};
use crate::line::Line;

/// Records read at a time.
const READ_EVENTS_MAX: usize = 512;
const READ_BYTES_MAX: usize = 1 << 20;

/// What left to one of them.
pub(super) struct HeldBack {
    destination: Arc<Destination>,
    /// The first record of the period that is under way.
    from: Offset,
    persons: Persons,
    pub(super) periods: u32,
    /// Cells of visitors who look alike, over all periods, but the one that says nothing.
    pub(super) cells: usize,
    /// Those of fewer visitors than a crowd.
    pub(super) below: usize,
    pub(super) events: u64,
    /// Events that say something of their visitor.
    pub(super) telling: u64,
    largest_table: usize,
}

impl HeldBack {
    pub(super) fn new(line: &Line, name: &str, persons: u32) -> Self {
        let destination = line.documents.destinations.iter().find(|destination| destination.name == name).unwrap();
        Self {
            destination: Arc::clone(destination),
            from: Offset(0),
            persons: Persons::new(persons),
            periods: 0,
            cells: 0,
            below: 0,
            events: 0,
            telling: 0,
            largest_table: 0,
        }
    }

    /// The period under way is over, and all of it is in the log; `who` has the person of every record there.
    pub(super) fn close(&mut self, line: &Line, who: &[u32], crowd: u32, now: Timestamp) {
        let site = &line.documents.sites[0];
        let reader = || line.logs[0].reader(self.from);
        let Some(first) = reader().read(1, READ_BYTES_MAX).unwrap().pop() else { return };
        let header = header_of(&first.bytes).unwrap();
        let period = Period::of(self.destination.release, header.epoch, header.received).expect("this destination waits");
        assert!(period.is_over(site, now), "it is decided on when it is over");
        let hold = Hold { destination: self.destination.number, period };
        let crowds = line.discloser.crowds();
        assert!(!crowds.is_decided(site.number, hold).unwrap(), "it is decided on once");
        let mut counted = crowds.count_period(site, hold).unwrap();
        for record in records(reader()) {
            assert!(period.holds(&header_of(&record.bytes).unwrap()), "the log has records of this period only");
            line.discloser.count_held(&record, &line.documents, &self.destination, now, &mut counted).unwrap();
        }
        crowds.decide(site.number, counted).unwrap();

        self.persons.clear();
        let mut cells: HashMap<u64, Cell> = HashMap::new();
        let mut next = self.from;
        for record in records(reader()) {
            next = record.offset.next();
            let text = line.disclosure(&record, &self.destination, now);
            let Some(seen) = Seen::read(&text) else { continue };
            self.events += 1;
            if seen.says_nothing() {
                continue;
            }
            self.telling += 1;
            let person = who[usize::try_from(record.offset.0).unwrap()];
            let cell = cells.entry(hashed(seen.description())).or_default();
            cell.events += 1;
            cell.persons += u32::from(self.persons.insert(person));
        }
        self.periods += 1;
        self.cells += cells.len();
        self.below += cells.values().filter(|cell| cell.persons < crowd).count();
        self.largest_table = self.largest_table.max(table_bytes(&cells));
        self.from = next;
    }

    /// What this takes of the harness's memory.
    pub(super) fn bytes(&self) -> usize {
        self.persons.bytes() + self.largest_table
    }
}

fn records(mut reader: LogReader) -> impl Iterator<Item = firsthand::event_log::LogRecord> {
    let mut batch = Vec::new().into_iter();
    std::iter::from_fn(move || {
        batch.next().or_else(|| {
            batch = reader.read(READ_EVENTS_MAX, READ_BYTES_MAX).unwrap().into_iter();
            batch.next()
        })
    })
}
