//! Sessions: 8 random bytes per subject, in RAM; over after 30 minutes without an event, or after 24 hours. A crash starts new ones.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::record::Subject;
use crate::{clock::Timestamp, event::SiteNumber};

/// A session ends after this long without an event.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// A session ends after this long in any case.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Sessions in one generation; there are two. At 48 bytes each, some 10 MiB when both are full.
const SESSIONS_MAX: usize = 100_000;

/// All sessions under way.
#[derive(Default)]
pub struct Sessions {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    newer: HashMap<(SiteNumber, [u8; 16]), Session>,
    older: HashMap<(SiteNumber, [u8; 16]), Session>,
    turned: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct Session {
    id: [u8; 8],
    began: Timestamp,
    last: Timestamp,
}

impl Sessions {
    /// The id of the session that an event at `now` belongs to; `None` for an event of nobody.
    ///
    /// # Errors
    /// When the system has no randomness for a new session.
    pub(in crate::privacy) fn of(&self, site: SiteNumber, subject: Subject, now: Timestamp) -> io::Result<Option<[u8; 8]>> {
        let (Subject::Token(id) | Subject::Person(id)) = subject else { return Ok(None) };
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.turn(now);
        let key = (site, id);
        let known = generations.newer.get(&key).or_else(|| generations.older.get(&key)).copied();
        let session = match known {
            Some(session) if now.since(session.last) < IDLE_MAX && now.since(session.began) < AGE_MAX => Session { last: now, ..session },
            _ => {
                let mut id = [0; 8];
                getrandom::fill(&mut id).map_err(|_| io::Error::other("the system has no randomness to give"))?;
                Session { id, began: now, last: now }
            }
        };
        generations.newer.insert(key, session);
        Ok(Some(session.id))
    }
}

impl Generations {
    /// Whoever was idle for a whole turn is over; a turn also ends early when the newer generation is full.
    fn turn(&mut self, now: Timestamp) {
        let turned = *self.turned.get_or_insert(now);
        if now.since(turned) >= IDLE_MAX || self.newer.len() >= SESSIONS_MAX {
            self.older = std::mem::take(&mut self.newer);
            self.turned = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_idleness_and_by_age() {
        let sessions = Sessions::default();
        let visitor = Subject::Token([1; 16]);
        let minutes = |minutes: i64| Timestamp(minutes * 60_000);
        let at = |moment| sessions.of(SiteNumber(1), visitor, moment).unwrap().unwrap();
        let first = at(minutes(0));
        assert_eq!(at(minutes(29)), first);
        assert_eq!(at(minutes(58)), first);
        let second = at(minutes(88));
        assert_ne!(second, first);
        let mut last = second;
        for step in 1..200 {
            last = at(minutes(88 + step * 20));
        }
        assert_ne!(last, second, "no session is older than a day");
        assert_eq!(sessions.of(SiteNumber(1), Subject::None, minutes(0)).unwrap(), None);
    }

    #[test]
    fn memory_is_bounded() {
        let sessions = Sessions::default();
        for visitor in 0..(SESSIONS_MAX as u32 * 3) {
            let mut token = [0; 16];
            token[..4].copy_from_slice(&visitor.to_le_bytes());
            sessions.of(SiteNumber(1), Subject::Token(token), Timestamp(0)).unwrap();
        }
        let generations = sessions.generations.lock().unwrap();
        assert!(generations.newer.len() + generations.older.len() <= 2 * SESSIONS_MAX);
    }
}
