//! Visitors and visits of each site's day, counted by us in RAM, before any id is collapsed or withheld: what a receiver's counts are not to
//! be believed for, and what the length of collided ids follows from. Sketches (HyperLogLog) of ids that mean nothing once the day's key is
//! gone; only the two numbers of a day ever rest.

use std::{
    collections::HashMap,
    hash::DefaultHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cardinality_estimator::CardinalityEstimator;
use foldhash::fast::RandomState;
use zeroize::Zeroizing;

use super::{
    hand_over::bytes::{Unread, Unreadable, Written},
    visitor::Visitor,
};
use crate::{
    event::{Epoch, SiteNumber},
    state::{StateDb, StoreError},
};

/// Registers: 2^14, a standard error of 0.8 %, at most 12 KiB per sketch; less while it is small.
const PRECISION: usize = 14;
const REGISTER_BITS: usize = 6;
/// The days before a day whose mean says how many visitors to expect of it.
const DAYS_BEFORE: i32 = 7;

/// Places of a second count: 2 MB, and a standard error of 0.02 % at a million ids.
const PLACES: usize = 1 << 24;

/// The ids are uniformly random, so they are their own hashes, and the hasher is of no use.
type Sketch = CardinalityEstimator<u64, DefaultHasher, PRECISION, REGISTER_BITS>;

/// Every site's counts.
pub struct Uniques {
    state: Arc<StateDb>,
    /// The days under way, and those that are over and not yet written down.
    days: Mutex<Days>,
    /// Whether everything is counted a second time, closely.
    twice: bool,
}

type Days = HashMap<(SiteNumber, Epoch), Day, RandomState>;

/// One site's day so far.
#[derive(Default)]
struct Day {
    visitors: Sketch,
    visits: Sketch,
    /// What was counted of the day before this program began, once it has been read: those visitors cannot be known again.
    before: Option<Estimate>,
    /// Visitors and visits once more, where the sketches are measured.
    again: Option<[Places; 2]>,
}

/// A bit for each place that an id can fall on (linear counting): much larger than a sketch, and much closer.
struct Places(Box<[u64]>);

impl Default for Places {
    fn default() -> Self {
        Self(vec![0; PLACES / 64].into_boxed_slice())
    }
}

impl Places {
    fn insert(&mut self, id: u64) {
        let place = id as usize % PLACES;
        self.0[place / 64] |= 1 << (place % 64);
    }

    /// How many ids it takes to leave so many places empty, on average.
    fn count(&self) -> u64 {
        let empty: u64 = self.0.iter().map(|word| u64::from(word.count_zeros())).sum();
        (PLACES as f64 * (PLACES as f64 / empty.max(1) as f64).ln()).round() as u64
    }
}

/// How many there were, within a percent or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Different visitors.
    pub visitors: u64,
    /// Visits.
    pub visits: u64,
}

impl Uniques {
    /// Counts that rest in this database.
    #[must_use]
    pub fn new(state: Arc<StateDb>) -> Self {
        Self { state, days: Mutex::default(), twice: false }
    }

    /// The same, and everything is counted a second time, right to some 0.02 %: for measuring how well the sketches estimate. It takes 4 MB a
    /// day and site.
    #[must_use]
    pub fn counting_twice(state: Arc<StateDb>) -> Self {
        Self { twice: true, ..Self::new(state) }
    }

    /// Counts a visitor, and their visit, whose event was recorded. In RAM alone.
    pub fn count(&self, site: SiteNumber, visitor: &Visitor) {
        let Some((who, visit)) = visitor.counted() else { return };
        let mut days = self.days();
        let day = days.entry((site, visitor.epoch())).or_default();
        day.visitors.insert_hash(who);
        visit.into_iter().for_each(|visit| day.visits.insert_hash(visit));
        if self.twice {
            let [visitors, visits] = day.again.get_or_insert_default();
            visitors.insert(who);
            visit.into_iter().for_each(|visit| visits.insert(visit));
        }
    }

    /// The second count of a day; `None` where there is none.
    #[must_use]
    pub fn second_count(&self, site: SiteNumber, epoch: Epoch) -> Option<Estimate> {
        let days = self.days();
        let [visitors, visits] = days.get(&(site, epoch))?.again.as_ref()?;
        Some(Estimate { visitors: visitors.count(), visits: visits.count() })
    }

    /// Writes down what has been counted, the numbers of each day and nothing else, and forgets the days that are over. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be used; the next flush writes it then.
    pub fn flush(&self) -> Result<(), StoreError> {
        let under_way: Vec<_> = self.days().keys().copied().collect();
        for (site, epoch) in &under_way {
            let estimate = self.estimate(*site, *epoch)?;
            self.write(*site, *epoch, estimate)?;
            if under_way.iter().any(|(other, later)| other == site && later > epoch) {
                self.days().remove(&(*site, *epoch));
            }
        }
        Ok(())
    }

    /// A site's count of a day so far. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub fn estimate(&self, site: SiteNumber, epoch: Epoch) -> Result<Estimate, StoreError> {
        let unread = self.days().get(&(site, epoch)).is_none_or(|day| day.before.is_none());
        let rests = if unread { self.of_day(site, epoch)? } else { Estimate::default() };
        Ok(self.days().get_mut(&(site, epoch)).map_or(rests, |day| {
            let before = *day.before.get_or_insert(rests);
            Estimate { visitors: before.visitors + day.visitors.estimate() as u64, visits: before.visits + day.visits.estimate() as u64 }
        }))
    }

    /// Writes the days' sketches down for the process that takes over, as far as all of it stays within so many bytes. A day that does not
    /// goes on from its two numbers at rest, as after any other restart.
    pub(in crate::privacy) fn give(&self, to: &mut Written, bytes_max: usize) {
        for ((site, epoch), day) in &*self.days() {
            let sketch = |sketch: &Sketch| Zeroizing::new(serde_json::to_vec(sketch).expect("two numbers and a list can be written"));
            let (visitors, visits) = (sketch(&day.visitors), sketch(&day.visits));
            if to.as_bytes().len() + visitors.len() + visits.len() > bytes_max {
                break;
            }
            to.u8(1);
            to.u32(site.0);
            to.i32(epoch.0);
            to.block(&visitors);
            to.block(&visits);
            to.optional(day.before, |to, before| {
                to.u64(before.visitors);
                to.u64(before.visits);
            });
        }
        to.u8(0);
    }

    /// Takes over the sketches of the process before.
    ///
    /// # Errors
    /// When what it wrote cannot be read.
    pub(in crate::privacy) fn take(&self, from: &mut Unread<'_>) -> Result<(), Unreadable> {
        while from.u8()? == 1 {
            let key = (SiteNumber(from.u32()?), Epoch(from.i32()?));
            let sketch = |from: &mut Unread<'_>| serde_json::from_slice(from.block()?).map_err(|_| Unreadable::Form);
            let (visitors, visits) = (sketch(from)?, sketch(from)?);
            let before = from.optional(|from| Ok(Estimate { visitors: from.u64()?, visits: from.u64()? }))?;
            self.days().insert(key, Day { visitors, visits, before, again: None });
        }
        Ok(())
    }

    fn days(&self) -> MutexGuard<'_, Days> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many visitors to expect of a day: the mean of the days before it that were counted. 0: not known. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub fn expected(&self, site: SiteNumber, epoch: Epoch) -> Result<u32, StoreError> {
        let mean: Option<f64> = self.state.with(|connection| {
            let select = "SELECT avg(visitors) FROM daily_uniques WHERE site = ?1 AND day < ?2 AND day >= ?3";
            connection.query_row(select, (site.0, epoch.0, epoch.0.saturating_sub(DAYS_BEFORE)), |row| row.get(0))
        })?;
        Ok(mean.unwrap_or(0.0) as u32)
    }

    fn of_day(&self, site: SiteNumber, epoch: Epoch) -> Result<Estimate, StoreError> {
        use rusqlite::OptionalExtension as _;
        let row = self.state.with(|connection| {
            let select = "SELECT visitors, visits FROM daily_uniques WHERE site = ?1 AND day = ?2";
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Estimate { visitors: row.get::<_, i64>(0)?.unsigned_abs(), visits: row.get::<_, i64>(1)?.unsigned_abs() })
            };
            connection.query_row(select, (site.0, epoch.0), read).optional()
        })?;
        Ok(row.unwrap_or_default())
    }

    fn write(&self, site: SiteNumber, epoch: Epoch, Estimate { visitors, visits }: Estimate) -> Result<(), StoreError> {
        self.state.with(|connection| {
            let insert = "INSERT INTO daily_uniques (site, day, visitors, visits) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (site, day) DO UPDATE SET visitors = excluded.visitors, visits = excluded.visits";
            connection.execute(insert, (site.0, epoch.0, visitors.cast_signed(), visits.cast_signed()))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{privacy::keys::mac::mac128, state::IN_MEMORY};

    const SITE: SiteNumber = SiteNumber(1);

    fn uniques() -> Uniques {
        Uniques::new(Arc::new(StateDb::open(std::path::Path::new(IN_MEMORY)).unwrap()))
    }

    fn visitor(epoch: i32, number: u64) -> Visitor {
        let id = |number: u64| mac128(&[7; 32], &[&number.to_le_bytes()]);
        let visit = *id(number % 1000 + (1 << 40)).first_chunk().unwrap();
        Visitor::counted_for_test(Epoch(epoch), id(number), visit)
    }

    fn count(uniques: &Uniques, epoch: i32, visitors: std::ops::Range<u64>) {
        visitors.for_each(|number| uniques.count(SITE, &visitor(epoch, number)));
    }

    #[test]
    fn visitors_are_counted_once_within_two_percent() {
        for visitors in [1, 10, 1_000, 20_000, 200_000] {
            let uniques = uniques();
            count(&uniques, 5, 0..visitors);
            count(&uniques, 5, 0..visitors);
            let found = uniques.estimate(SITE, Epoch(5)).unwrap();
            let error = (found.visitors as f64 / visitors as f64 - 1.0).abs();
            assert!(error <= 0.02, "{found:?} of {visitors}");
            assert!((found.visits as f64 / visitors.min(1000) as f64 - 1.0).abs() <= 0.03, "{found:?}");
        }
    }

    #[test]
    fn a_second_count_is_right_to_a_tenth_of_a_percent() {
        for visitors in [0, 5_000, 100_000] {
            let uniques = Uniques::counting_twice(Arc::clone(&uniques().state));
            count(&uniques, 5, 0..visitors);
            count(&uniques, 5, visitors / 2..visitors);
            let second = uniques.second_count(SITE, Epoch(5)).unwrap_or_default();
            assert!(second.visitors.abs_diff(visitors) * 1_000 <= visitors, "{second:?} of {visitors}");
            assert!(second.visits.abs_diff(visitors.min(1_000)) <= 1, "{second:?}");
            assert_eq!(self::uniques().second_count(SITE, Epoch(5)), None);
        }
    }

    #[test]
    fn a_day_begins_anew_and_a_restart_goes_on_from_what_rests() {
        let uniques = uniques();
        count(&uniques, 5, 0..100);
        count(&uniques, 6, 0..40);
        uniques.flush().unwrap();
        assert_eq!(uniques.days().keys().map(|(_, epoch)| epoch.0).collect::<Vec<_>>(), [6], "what is over is forgotten");
        assert_eq!(uniques.estimate(SITE, Epoch(5)).unwrap().visitors, 100);
        let restarted = Uniques::new(Arc::clone(&uniques.state));
        assert_eq!(restarted.estimate(SITE, Epoch(6)).unwrap().visitors, 40);
        count(&restarted, 6, 1000..1010);
        assert_eq!(restarted.estimate(SITE, Epoch(6)).unwrap().visitors, 50);
    }

    #[test]
    fn a_day_is_expected_to_be_like_the_week_before_it() {
        let uniques = uniques();
        assert_eq!(uniques.expected(SITE, Epoch(20)).unwrap(), 0);
        for (day, visitors) in [(12, 9_000), (13, 100), (14, 200), (19, 300)] {
            uniques.write(SITE, Epoch(day), Estimate { visitors, visits: 0 }).unwrap();
        }
        assert_eq!(uniques.expected(SITE, Epoch(20)).unwrap(), 200, "days 13 to 19");
        assert_eq!(uniques.expected(SITE, Epoch(19)).unwrap(), (9_000 + 100 + 200) / 3, "not the day itself");
    }
}
