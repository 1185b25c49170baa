//! Recognises an event id that is in the log already: exact, in memory, for at least a day after it was first seen.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
    time::Duration,
};

use crate::{clock::Timestamp, event::EventId};

/// How long a generation takes in ids. An id is known until the generation after its own ends.
const GENERATION_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many ids a generation takes in: what a table of 2^20 slots holds before it doubles (about 18 MB each).
const GENERATION_IDS_MAX: usize = 917_504;

/// Event ids are outputs of an HMAC under the site's key, or random: nobody outside can choose them, so their own
/// bits serve as hash and a flood of ids for one bucket cannot be made.
#[derive(Default)]
struct OwnBits(u64);

impl Hasher for OwnBits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, id: u128) {
        // Truncation takes eight of the sixteen keyed bytes.
        self.0 = id as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

type Ids = HashSet<u128, BuildHasherDefault<OwnBits>>;

/// The ids of the last one to two days.
pub(super) struct Dedup {
    current: Ids,
    previous: Ids,
    /// When `current` began.
    began: Timestamp,
    ids_max: usize,
    overflow: u64,
}

impl Dedup {
    pub(super) fn new(now: Timestamp) -> Self {
        Self::bounded(now, GENERATION_IDS_MAX)
    }

    fn bounded(now: Timestamp, ids_max: usize) -> Self {
        Self { current: Ids::default(), previous: Ids::default(), began: now, ids_max, overflow: 0 }
    }

    /// The moment before which no event's id needs to be known, for an event received at `now`.
    pub(super) fn horizon(now: Timestamp) -> Timestamp {
        now.minus(2 * GENERATION_AGE)
    }

    /// Notes an id. False: it was known.
    pub(super) fn insert(&mut self, id: EventId, received: Timestamp) -> bool {
        if received.since(self.began) >= GENERATION_AGE {
            self.previous = std::mem::take(&mut self.current);
            self.began = received;
        } else if self.current.len() >= self.ids_max {
            self.overflow += self.previous.len() as u64;
            self.previous = std::mem::take(&mut self.current);
        }
        let id = u128::from_le_bytes(id.0);
        !self.previous.contains(&id) && self.current.insert(id)
    }

    /// Whether it is known.
    pub(super) fn knows(&self, id: EventId) -> bool {
        let id = u128::from_le_bytes(id.0);
        self.current.contains(&id) || self.previous.contains(&id)
    }

    /// Forgets an id whose record did not become durable.
    pub(super) fn remove(&mut self, id: EventId) {
        let id = u128::from_le_bytes(id.0);
        if !self.current.remove(&id) {
            self.previous.remove(&id);
        }
    }

    /// Notes an id that was found in the log at start. They come newest log segment first. False: there is no room for more.
    pub(super) fn recall(&mut self, id: EventId, received: Timestamp) -> bool {
        let id = u128::from_le_bytes(id.0);
        let young = self.began.since(received) < GENERATION_AGE;
        if young && self.current.len() < self.ids_max {
            self.current.insert(id);
        } else if self.previous.len() < self.ids_max {
            self.previous.insert(id);
        } else {
            self.overflow += u64::from(young);
            return false;
        }
        true
    }

    /// How many ids are known.
    pub(super) fn len(&self) -> usize {
        self.current.len() + self.previous.len()
    }

    /// How many were forgotten before their day was over, since the last call.
    pub(super) fn take_overflow(&mut self) -> u64 {
        std::mem::take(&mut self.overflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> EventId {
        EventId(u128::from(number).to_le_bytes())
    }

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const START: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn an_id_is_known_for_a_day_and_then_until_the_next_generation_ends() {
        let mut dedup = Dedup::new(START);
        assert!(dedup.insert(id(1), START.plus(23 * HOUR)));
        assert!(!dedup.insert(id(1), START.plus(23 * HOUR)));
        assert!(!dedup.insert(id(1), START.plus(47 * HOUR)), "a day later it is in the previous generation");
        assert!(!dedup.insert(id(1), START.plus(70 * HOUR)));
        assert!(dedup.insert(id(1), START.plus(71 * HOUR)), "two generations later it is forgotten");
        assert_eq!(dedup.take_overflow(), 0);
    }

    #[test]
    fn too_many_ids_are_forgotten_oldest_first_and_counted() {
        let mut dedup = Dedup::bounded(START, 10);
        for number in 0..25 {
            assert!(dedup.insert(id(number), START));
        }
        assert_eq!(dedup.take_overflow(), 10);
        assert!(dedup.len() <= 20);
        assert!(!dedup.insert(id(24), START));
        assert!(!dedup.insert(id(10), START));
        assert!(dedup.insert(id(9), START));
    }

    #[test]
    fn a_removed_id_is_new_again() {
        let mut dedup = Dedup::new(START);
        assert!(dedup.insert(id(1), START));
        dedup.remove(id(1));
        assert!(dedup.insert(id(1), START));
    }

    #[test]
    fn what_is_recalled_fits_the_bound_and_keeps_the_newest() {
        let mut dedup = Dedup::bounded(START, 10);
        let recalled = (0..30).take_while(|number| dedup.recall(id(*number), START)).count();
        assert_eq!(recalled, 20);
        assert_eq!(dedup.take_overflow(), 1);
        assert!(!dedup.insert(id(0), START), "the first recalled is the newest");
    }
}
