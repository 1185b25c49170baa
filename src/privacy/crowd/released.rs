//! What left, looked at as its receivers could: how many of a day's events stand in cells of at least a crowd, and how often which field
//! was not said for want of one. Counted on the disclosures themselves, in memory; a restart begins anew.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
};

use super::{Suppressed, lock, seen::Seen, tuple::Tuple};
use crate::event::{DestinationNumber, Epoch, SiteNumber};

/// Days that are counted at once for one site and destination: today's events, and those of yesterday that were late.
const DAYS_MAX: usize = 2;
/// Cells of one day. There are more only where a policy asks for no crowd; events of the others then count as standing in none.
const CELLS_MAX: usize = 16_384;

#[derive(Default)]
pub(super) struct Released {
    days: Mutex<HashMap<(SiteNumber, DestinationNumber), VecDeque<Day>>>,
}

struct Day {
    epoch: Epoch,
    events: u64,
    /// Visitors per cell.
    seen: Seen,
    cells: HashMap<Tuple, Cell>,
    /// Something left from a cell that is not among them.
    overflowed: bool,
    suppressed: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    events: u64,
    visitors: u64,
}

/// One day's disclosures to one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleasedDay {
    /// Disclosures made. One that had to be made again counts again.
    pub events: u64,
    /// Those of them whose tuple at least a crowd of distinct visitors had, as far as the day has come.
    pub in_crowds: u64,
    /// How many distinct visitors the smallest cell had from which anything left; none where nothing did, or not every cell was counted.
    pub smallest: Option<u64>,
    /// In how many each thing was not said for want of a crowd.
    pub suppressed: BTreeMap<&'static str, u64>,
}

impl Released {
    /// Counts one disclosure as it left.
    pub(super) fn note(
        &self,
        (site, destination): (SiteNumber, DestinationNumber),
        epoch: Epoch,
        visitor: u64,
        tuple: Tuple,
        suppressed: Suppressed,
    ) {
        let mut days = lock(&self.days);
        let days = days.entry((site, destination)).or_default();
        if days.iter().all(|day| day.epoch != epoch) {
            // Of a replay of older events, nothing is counted.
            if days.front().is_some_and(|oldest| days.len() >= DAYS_MAX && epoch < oldest.epoch) {
                return;
            }
            if days.len() >= DAYS_MAX {
                days.pop_front();
            }
            let at = days.iter().take_while(|day| day.epoch < epoch).count();
            days.insert(
                at,
                Day { epoch, events: 0, seen: Seen::default(), cells: HashMap::new(), overflowed: false, suppressed: BTreeMap::new() },
            );
        }
        let Some(day) = days.iter_mut().find(|day| day.epoch == epoch) else { return };
        day.events += 1;
        for name in suppressed.names() {
            *day.suppressed.entry(name).or_default() += 1;
        }
        if day.cells.len() >= CELLS_MAX && !day.cells.contains_key(&tuple) {
            day.overflowed = true;
            return;
        }
        let mut hasher = DefaultHasher::new();
        (visitor, tuple).hash(&mut hasher);
        let cell = day.cells.entry(tuple).or_default();
        cell.events += 1;
        cell.visitors += u64::from(day.seen.insert(hasher.finish()));
    }

    /// How a day stands; `crowd` distinct visitors are one.
    pub(super) fn day(&self, of: (SiteNumber, DestinationNumber), epoch: Epoch, crowd: u32) -> ReleasedDay {
        let days = lock(&self.days);
        let day = days.get(&of).and_then(|days| days.iter().find(|day| day.epoch == epoch));
        day.map_or_else(ReleasedDay::default, |day| ReleasedDay {
            events: day.events,
            in_crowds: day.cells.values().filter(|cell| cell.visitors >= u64::from(crowd)).map(|cell| cell.events).sum(),
            smallest: day.cells.values().map(|cell| cell.visitors).min().filter(|_| !day.overflowed),
            suppressed: day.suppressed.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::{crowd::tuple::Step, enrich::device::Form};

    #[test]
    fn crowds_are_counted_by_visitors_and_days_are_few() {
        let of = (SiteNumber(1), DestinationNumber(2));
        let released = Released::default();
        let mut phone = Tuple::NOTHING;
        phone.device.form = Form::Mobile;
        let mut suppressed = Suppressed::default();
        suppressed.steps[Step::Version as usize] = true;
        for event in 0..60 {
            released.note(of, Epoch(3), event % 20, Tuple::NOTHING, suppressed);
            released.note(of, Epoch(3), event % 19, phone, Suppressed::default());
        }
        let day = released.day(of, Epoch(3), 20);
        assert_eq!((day.events, day.in_crowds), (120, 60), "events of nineteen are in no crowd, however many they are");
        assert_eq!(day.smallest, Some(19));
        assert_eq!(day.suppressed, BTreeMap::from([("version", 60)]));
        for epoch in [4, 5, 2] {
            released.note(of, Epoch(epoch), 1, phone, Suppressed::default());
        }
        let events = |epoch| released.day(of, Epoch(epoch), 20).events;
        assert_eq!([2, 3, 4, 5].map(events), [0, 0, 1, 1]);
    }
}
