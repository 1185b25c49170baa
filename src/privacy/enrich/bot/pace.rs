//! The pace of a visitor's events: how many within a minute, in a bounded table in RAM by subject. It rests nowhere.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;

use super::{Reason, Reasons};
use crate::{clock::Timestamp, event::SiteNumber, privacy::record::Subject};

/// Events are counted over this long.
const WINDOW: Duration = Duration::from_secs(60);
/// One event a second for a whole minute: a page view, a click and a scroll mark of a person in a hurry make half of it.
const BRISK: u64 = 60;
/// Four a second for a whole minute: no hand does that, and no page of a person's makes it without one.
const RELENTLESS: u64 = 240;
/// Without consent, a subject is everyone behind one address with the same browser: an office, a school, a mobile carrier's gateway. Five
/// people in a hurry at once are then no program.
const SHARED_BY: u64 = 5;
/// Subjects in one generation; there are two. At 56 bytes each, some 12 MiB when both are full.
const SUBJECTS_MAX: usize = 100_000;

/// The pace of all visitors.
#[derive(Default)]
pub struct Paces {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    newer: Table,
    older: Table,
    turned: Option<Timestamp>,
}

/// Nobody outside can choose such a key (an output of an HMAC, or random), so that a fast hash will do.
type Table = HashMap<(SiteNumber, [u8; 16]), Pace, RandomState>;

/// Two windows one after the other: the current one from its beginning, and how many there were in the one before.
#[derive(Clone, Copy)]
struct Pace {
    began: Timestamp,
    count: u64,
    before: u64,
}

impl Pace {
    /// The same, moved on to the window that `now` is in.
    fn at(self, now: Timestamp) -> Self {
        match now.since(self.began) {
            since if since < WINDOW => self,
            since if since < 2 * WINDOW => Self { began: self.began.plus(WINDOW), count: 0, before: self.count },
            _ => Self { began: now, count: 0, before: 0 },
        }
    }

    /// Events in the last minute, where those of the window before came evenly.
    fn per_minute(&self, now: Timestamp) -> u64 {
        let left = WINDOW.saturating_sub(now.since(self.began));
        self.count + self.before * u64::try_from(left.as_millis()).unwrap_or(0) / WINDOW.as_secs() / 1000
    }
}

impl Paces {
    /// Counts a visitor's events that came in at `now`, and says what that makes of their pace.
    pub(in crate::privacy) fn of(&self, site: SiteNumber, subject: Subject, events: usize, now: Timestamp) -> Reasons {
        let (id, shared_by) = match subject {
            Subject::None => return Reasons::NONE,
            Subject::Token(id) => (id, SHARED_BY),
            Subject::Person(id) => (id, 1),
        };
        let generations = &mut *self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.turn(now);
        let Generations { newer, older, .. } = generations;
        let key = (site, id);
        let pace = newer.entry(key).or_insert_with(|| older.get(&key).copied().unwrap_or(Pace { began: now, count: 0, before: 0 }));
        *pace = pace.at(now);
        pace.count = pace.count.saturating_add(events as u64);
        match pace.per_minute(now) / shared_by {
            RELENTLESS.. => Reasons::NONE.and(Reason::Relentless),
            BRISK.. => Reasons::NONE.and(Reason::Brisk),
            _ => Reasons::NONE,
        }
    }
}

impl Generations {
    /// Whoever sent nothing for two windows is at rest; a turn also comes early when the newer generation is full.
    fn turn(&mut self, now: Timestamp) {
        let turned = *self.turned.get_or_insert(now);
        if now.since(turned) >= 2 * WINDOW || self.newer.len() >= SUBJECTS_MAX {
            self.older = std::mem::take(&mut self.newer);
            self.turned = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: SiteNumber = SiteNumber(1);
    const PERSON: Subject = Subject::Person([1; 16]);
    const TOKEN: Subject = Subject::Token([1; 16]);

    /// What the last of one event every `every` milliseconds makes, for `seconds`.
    fn steady(paces: &Paces, subject: Subject, every: i64, seconds: i64) -> Reasons {
        let moments = (0..seconds * 1000).step_by(usize::try_from(every).unwrap());
        moments.fold(Reasons::NONE, |_, moment| paces.of(SITE, subject, 1, Timestamp(moment)))
    }

    #[test]
    fn a_person_is_below_and_a_program_above() {
        let cases = [
            (PERSON, 2_000, Reasons::NONE),
            (PERSON, 700, Reasons::NONE.and(Reason::Brisk)),
            (PERSON, 200, Reasons::NONE.and(Reason::Relentless)),
            (TOKEN, 700, Reasons::NONE),
            (TOKEN, 150, Reasons::NONE.and(Reason::Brisk)),
            (TOKEN, 40, Reasons::NONE.and(Reason::Relentless)),
            (Subject::None, 10, Reasons::NONE),
        ];
        for (subject, every, reasons) in cases {
            assert_eq!(steady(&Paces::default(), subject, every, 150), reasons, "every {every} ms");
        }
    }

    #[test]
    fn a_burst_is_forgotten_after_two_minutes_and_a_site_is_not_another() {
        let paces = Paces::default();
        assert_eq!(paces.of(SITE, PERSON, 300, Timestamp(0)), Reasons::NONE.and(Reason::Relentless));
        assert_eq!(paces.of(SiteNumber(2), PERSON, 1, Timestamp(0)), Reasons::NONE);
        assert_eq!(paces.of(SITE, PERSON, 1, Timestamp(90_000)), Reasons::NONE.and(Reason::Brisk), "half of the burst still counts");
        assert_eq!(paces.of(SITE, PERSON, 1, Timestamp(180_000)), Reasons::NONE);
    }

    #[test]
    fn memory_is_bounded() {
        let paces = Paces::default();
        for visitor in 0..(SUBJECTS_MAX as u32 * 3) {
            let mut token = [0; 16];
            token[..4].copy_from_slice(&visitor.to_le_bytes());
            paces.of(SITE, Subject::Token(token), 1, Timestamp(0));
        }
        let generations = paces.generations.lock().unwrap();
        assert!(generations.newer.len() + generations.older.len() <= 2 * SUBJECTS_MAX);
    }
}
