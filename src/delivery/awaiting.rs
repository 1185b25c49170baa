//! What a courier has read and does not hand on yet: pages' purchases that wait for the backend's of the same order. They are open in the consumer
//! state and rest in the log, where a restart finds them again; here are their offsets alone, and until when they wait.

use std::{collections::BTreeSet, time::Duration};

use super::offsets::OffsetSet;
use crate::{
    clock::{self, Timestamp},
    event::Offset,
};

/// So many wait at one destination; with more, it reads on when the first are due: events wait then, and none is passed over. As many
/// purchases in ten minutes are a hundred a second.
const AWAITING_MAX: usize = 65_536;
/// The longest sleep without a look at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(15);

/// They, soonest due first.
#[derive(Default)]
pub(super) struct Awaiting(BTreeSet<(Timestamp, Offset)>);

impl Awaiting {
    pub(super) fn add(&mut self, offset: Offset, until: Timestamp) {
        self.0.insert((until, offset));
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.len() < AWAITING_MAX
    }

    /// Takes those whose wait is over.
    pub(super) fn take_due(&mut self, now: Timestamp) -> OffsetSet {
        let mut due = OffsetSet::default();
        while let Some(first) = self.0.first().copied().filter(|(until, _)| *until <= now) {
            self.0.remove(&first);
            due.insert(first.1);
        }
        due
    }

    /// Ends when the first of them is due, or a little later; never, where none waits.
    pub(super) async fn next_is_due(&self) {
        let Some((until, _)) = self.0.first() else { return std::future::pending().await };
        loop {
            let left = until.since(clock::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_taken_once() {
        let mut awaiting = Awaiting::default();
        for (offset, until) in [(7, 30), (3, 20), (5, 10), (4, 20)] {
            awaiting.add(Offset(offset), Timestamp(until));
        }
        awaiting.add(Offset(5), Timestamp(10));
        let mut due = |at| awaiting.take_due(Timestamp(at)).ranges().collect::<Vec<_>>();
        assert_eq!(due(9), []);
        assert_eq!(due(20), [(Offset(3), Offset(5))]);
        assert_eq!(due(20), []);
        assert_eq!(due(30), [(Offset(7), Offset(7))]);
    }

    #[test]
    fn reading_stops_where_too_many_wait() {
        let mut awaiting = Awaiting::default();
        (0..AWAITING_MAX as u64).for_each(|offset| awaiting.add(Offset(offset), Timestamp(1)));
        assert!(!awaiting.has_room());
        awaiting.take_due(Timestamp(1));
        assert!(awaiting.has_room());
    }
}
