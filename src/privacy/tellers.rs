//! Which visits have told already whether vendors' tags ran: each is counted once, however many of its pages say so. Their random ids, in RAM, for a day at most as
//! visits themselves; a crash, or a process that takes over, forgets them, and who is under way then may count twice.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::visitor::Visitor;
use crate::{clock::Timestamp, event::SiteNumber};

/// A visit lives no longer.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Visits in one generation; there are two. Beyond that the oldest are forgotten early.
const VISITS_MAX: usize = 100_000;

/// All visits that have told.
#[derive(Default)]
pub struct Tellers {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    newer: HashSet<(SiteNumber, [u8; 8])>,
    older: HashSet<(SiteNumber, [u8; 8])>,
    turned: Option<Timestamp>,
}

impl Tellers {
    /// Whether this visitor's visit tells for the first time. Who has no visit that is known again does not count.
    pub fn is_first(&self, site: SiteNumber, visitor: &Visitor, now: Timestamp) -> bool {
        visitor.session().is_some_and(|visit| self.tells(site, visit, now))
    }

    fn tells(&self, site: SiteNumber, visit: [u8; 8], now: Timestamp) -> bool {
        let generations = &mut *self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.newer.len() >= VISITS_MAX || now.since(*generations.turned.get_or_insert(now)) >= AGE_MAX {
            generations.older = std::mem::take(&mut generations.newer);
            generations.turned = Some(now);
        }
        !generations.older.contains(&(site, visit)) && generations.newer.insert((site, visit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_counts_once() {
        let (tellers, day) = (Tellers::default(), 24 * 60 * 60 * 1000);
        let tells = |site, visit, at| tellers.tells(SiteNumber(site), [visit; 8], Timestamp(at));
        assert!(tells(1, 7, 0) && !tells(1, 7, 1), "the same visit");
        assert!(tells(2, 7, 2) && tells(1, 8, 3), "another one's");
        assert!(!tells(1, 7, day), "a day later it is still known");
        assert!(tells(1, 9, day + 1));
        assert!(!tells(1, 9, 2 * day));
        assert!(tells(1, 7, 2 * day + 1), "and then forgotten");
    }
}
