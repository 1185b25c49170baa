//! Whether the wall clock may be believed with what cannot be undone. A clock that is set to next year would make everything that is stored
//! look past its time; so what is destroyed by the calendar waits until the wall clock and the time since the system's start have agreed for
//! ten minutes. What is kept too long by those minutes is kept by minutes.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::Timestamp;

/// How much the two may differ from one look to the next. A clock that is steered (NTP slews by half a millisecond a second) stays far within it.
const TOLERANCE: Duration = Duration::from_secs(60);
/// For so long they have to agree after they did not.
const AGREED_FOR: Duration = Duration::from_secs(10 * 60);
/// At the start there is nothing to compare with but the newest record. A machine that was off for longer than this has as old a one, and waits
/// its ten minutes without need.
const LEAP_AT_START: Duration = Duration::from_secs(24 * 60 * 60);

/// Watches both clocks.
pub struct Agreement(Mutex<Watched>);

#[derive(Clone, Copy)]
struct Watched {
    /// What both said at the last look.
    last: (Timestamp, Duration),
    /// Since when, by the time since the system's start, they agree again; `None`: they never did not.
    again_since: Option<Duration>,
}

impl Agreement {
    /// At the start, with the newest record's time of receipt: a wall clock that is before it, or far beyond it, has to prove itself.
    #[must_use]
    pub fn new(wall: Timestamp, running: Duration, newest: Option<Timestamp>) -> Self {
        let doubtful = newest.is_some_and(|newest| wall.plus(TOLERANCE) < newest || wall.since(newest) > LEAP_AT_START);
        Self(Mutex::new(Watched { last: (wall, running), again_since: doubtful.then_some(running) }))
    }

    /// Looks at both clocks. Returns whether what is over by the wall clock may be destroyed.
    pub fn look(&self, wall: Timestamp, running: Duration) -> bool {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last_wall, last_running) = watched.last;
        let expected = last_wall.plus(running.saturating_sub(last_running));
        if wall.since(expected).max(expected.since(wall)) > TOLERANCE {
            watched.again_since = Some(running);
        }
        watched.last = (wall, running);
        watched.again_since.is_none_or(|since| running.saturating_sub(since) >= AGREED_FOR)
    }

    /// Whether the wall clock may be believed at this moment: the last look says so, and it has not been set since. For what is destroyed between looks.
    #[must_use]
    pub fn holds_now(&self) -> bool {
        // Without the time since the system's start there is nothing to compare with.
        super::since_boot().is_none_or(|running| self.holds_at(super::machine(), running))
    }

    fn holds_at(&self, wall: Timestamp, running: Duration) -> bool {
        let (last_wall, last_running) = self.0.lock().unwrap_or_else(PoisonError::into_inner).last;
        let expected = last_wall.plus(running.saturating_sub(last_running));
        self.holds() && wall.since(expected).max(expected.since(wall)) <= TOLERANCE
    }

    /// Whether the last look found that they agree, and had for long enough.
    #[must_use]
    pub fn holds(&self) -> bool {
        let watched = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.again_since.is_none_or(|since| watched.last.1.saturating_sub(since) >= AGREED_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn minutes(number: u64) -> Duration {
        Duration::from_secs(60 * number)
    }

    /// What ten looks a minute apart say, of a wall clock that is ahead by so many milliseconds at each.
    fn looks(ahead: impl Fn(u64) -> i64, newest: Option<i64>) -> Vec<bool> {
        let wall = |minute: u64| Timestamp(100 * DAY + ahead(minute)).plus(minutes(minute));
        let agreement = Agreement::new(wall(0), minutes(0), newest.map(Timestamp));
        (1..=25)
            .map(|minute| {
                let may = agreement.look(wall(minute), minutes(minute));
                assert_eq!(agreement.holds(), may);
                may
            })
            .collect()
    }

    fn waits(said: &[bool]) -> Vec<usize> {
        said.iter().enumerate().filter(|(_, may)| !**may).map(|(minute, _)| minute + 1).collect()
    }

    #[test]
    fn a_steady_clock_is_believed_at_once_and_a_steered_one_too() {
        assert!(waits(&looks(|_| 0, Some(100 * DAY - 1000))).is_empty());
        assert!(waits(&looks(|minute| 30 * minute as i64, None)).is_empty());
        assert!(waits(&looks(|minute| -20_000 * minute as i64, None)).is_empty());
    }

    #[test]
    fn after_a_jump_either_way_ten_minutes_pass() {
        for jump in [400 * DAY, 2 * 60_000, -2 * 60_000, -400 * DAY] {
            let said = looks(|minute| if minute < 5 { 0 } else { jump }, None);
            assert_eq!(waits(&said), (5..15).collect::<Vec<_>>(), "{jump}");
        }
        // Back again within them: they begin anew.
        let said = looks(|minute| if (5..9).contains(&minute) { 400 * DAY } else { 0 }, None);
        assert_eq!(waits(&said), (5..19).collect::<Vec<_>>());
    }

    #[test]
    fn between_two_looks_a_jump_is_seen_and_changes_nothing() {
        let agreement = Agreement::new(Timestamp(100 * DAY), minutes(1), None);
        for (wall, running, expected) in
            [(0, 1, true), (59_000, 1, true), (61_000, 1, false), (-61_000, 1, false), (400 * DAY, 2, false), (120_000, 3, true)]
        {
            assert_eq!(agreement.holds_at(Timestamp(100 * DAY + wall), minutes(running)), expected, "{wall} {running}");
        }
        assert!(agreement.look(Timestamp(100 * DAY + 60_000), minutes(2)));
        assert!(!agreement.look(Timestamp(101 * DAY), minutes(3)));
        assert!(!agreement.holds_at(Timestamp(101 * DAY), minutes(3)), "a look has found that it was set");
    }

    #[test]
    fn at_the_start_the_newest_record_is_asked() {
        for (newest, waiting) in [(99 * DAY + 1, 0), (100 * DAY + 30_000, 0), (98 * DAY, 9), (101 * DAY, 9)] {
            assert_eq!(waits(&looks(|_| 0, Some(newest))).len(), waiting, "{newest}");
        }
    }
}
