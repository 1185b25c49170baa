//! Sessions: 8 random bytes per subject, in RAM; over after 30 minutes without an event, or after 24 hours. A crash starts new ones.
//!
//! Where K_visit changes, so does the token of a visitor without consent, and with it the session's id: what rests and what leaves of one
//! day says nothing of the next. The visit goes on all the same, in our own count: for the half hour before the change, who is under way is
//! also noted under K_carry, as two times and without an id; whoever comes back within half an hour after it is found there once.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;

use super::{
    hand_over::bytes::{Unread, Unreadable, Written},
    keys::carry::Carry,
    record::Subject,
};
use crate::{
    clock::Timestamp,
    event::{Epoch, SiteNumber},
};

/// A session ends after this long without an event.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// A session ends after this long in any case.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Sessions in one generation; there are two. At 64 bytes each, some 13 MiB when both are full.
const SESSIONS_MAX: usize = 100_000;
/// Visits that can go on over a change of K_visit, of all sites together: as many as one generation has. Those beyond begin anew.
const CARRIED_MAX: usize = SESSIONS_MAX;

/// Visits of which it is kept what led to them, some 300 bytes each. Orders of those beyond have no campaign.
const LANDINGS_MAX: usize = 50_000;

/// All sessions under way.
#[derive(Default)]
pub struct Sessions {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    newer: Table<Session>,
    older: Table<Session>,
    turned: Option<Timestamp>,
    carried: Table<Carried>,
    /// What led to a visit, sealed, with the visit's id; of those who agreed alone, where a ticket may be asked for. It is not handed over to the
    /// next process.
    landings: Table<([u8; 8], Sealed)>,
}

/// Nobody outside can choose such a key (an output of an HMAC, or random), so that a fast hash will do.
type Table<T> = HashMap<(SiteNumber, [u8; 16]), T, RandomState>;

/// What led to a visit, as it is kept: `ticket` seals it.
type Sealed = Arc<[u8]>;

#[derive(Clone, Copy)]
struct Session {
    id: [u8; 8],
    began: Timestamp,
    last: Timestamp,
    /// The day whose visit it is; none where it was counted under another id.
    counts_on: Option<Epoch>,
}

/// A visit that may go on after K_visit's change. It holds no id: what rests of it before the change cannot be found from it.
#[derive(Clone, Copy)]
struct Carried {
    began: Timestamp,
    last: Timestamp,
}

/// The visit that an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::privacy) struct Visit {
    /// What records call it; none for an event of nobody.
    pub(in crate::privacy) session: Option<[u8; 8]>,
    counts: bool,
}

impl Visit {
    /// Its id in the day's count of visits; none where the day before has counted it.
    pub(in crate::privacy) fn counts(&self) -> Option<[u8; 8]> {
        self.session.filter(|_| self.counts)
    }
}

fn is_under_way(began: Timestamp, last: Timestamp, now: Timestamp) -> bool {
    now.since(last) < IDLE_MAX && now.since(began) < AGE_MAX
}

impl Sessions {
    /// The visit that an event of `epoch` at `now` belongs to, with how it is carried over a change of K_visit where one is near.
    ///
    /// # Errors
    /// When the system has no randomness for a new session.
    pub(in crate::privacy) fn of(
        &self,
        site: SiteNumber,
        subject: Subject,
        epoch: Epoch,
        carry: Option<Carry>,
        now: Timestamp,
    ) -> io::Result<Visit> {
        let (Subject::Token(id) | Subject::Person(id)) = subject else { return Ok(Visit { session: None, counts: false }) };
        let generations = &mut *self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.turn(now);
        let key = (site, id);
        let under_way = |session: &Session| is_under_way(session.began, session.last, now);
        let session = if let Some(known) = generations.newer.get_mut(&key).filter(|session| under_way(session)) {
            known.last = now;
            *known
        } else {
            let session = match generations.older.get(&key).filter(|session| under_way(session)) {
                Some(known) => Session { last: now, ..*known },
                None => {
                    let mut id = [0; 8];
                    getrandom::fill(&mut id).map_err(|_| io::Error::other("the system has no randomness to give"))?;
                    match generations.take_carried(site, carry, now) {
                        Some(visit) => Session { id, began: visit.began, last: now, counts_on: None },
                        None => Session { id, began: now, last: now, counts_on: Some(epoch) },
                    }
                }
            };
            generations.newer.insert(key, session);
            session
        };
        if let Some(Carry::Ahead(carry)) = carry {
            generations.note_carried((site, carry), Carried { began: session.began, last: now });
        }
        Ok(Visit { session: Some(session.id), counts: session.counts_on == Some(epoch) })
    }

    /// Notes what led to the visit that somebody is on: the last that did.
    pub(in crate::privacy) fn note_landing(&self, site: SiteNumber, subject: Subject, landing: Sealed) {
        let Subject::Person(id) = subject else { return };
        let generations = &mut *self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (site, id);
        if let Some(session) = generations.newer.get(&key)
            && (generations.landings.len() < LANDINGS_MAX || generations.landings.contains_key(&key))
        {
            generations.landings.insert(key, (session.id, landing));
        }
    }

    /// The visit that somebody is on, and what led to it. It goes on no longer for having been asked about.
    pub(in crate::privacy) fn under_way(&self, site: SiteNumber, subject: Subject, now: Timestamp) -> Option<([u8; 8], Option<Sealed>)> {
        let (Subject::Token(id) | Subject::Person(id)) = subject else { return None };
        let (key, generations) = ((site, id), self.generations.lock().unwrap_or_else(PoisonError::into_inner));
        let session = generations.newer.get(&key).or_else(|| generations.older.get(&key))?;
        let landing = generations.landings.get(&key).filter(|(of, _)| *of == session.id).map(|(_, landing)| Arc::clone(landing));
        is_under_way(session.began, session.last, now).then_some((session.id, landing))
    }

    /// Writes the visits under way down for the process that takes over.
    pub(in crate::privacy) fn give(&self, to: &mut Written) {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        to.optional(generations.turned, Written::moment);
        for generation in [&generations.newer, &generations.older] {
            to.count(generation.len());
            for ((site, subject), session) in generation {
                to.u32(site.0);
                to.bytes(subject);
                to.bytes(&session.id);
                to.moment(session.began);
                to.moment(session.last);
                to.optional(session.counts_on.map(|epoch| epoch.0), Written::i32);
            }
        }
        to.count(generations.carried.len());
        for ((site, carry), visit) in &generations.carried {
            to.u32(site.0);
            to.bytes(carry);
            to.moment(visit.began);
            to.moment(visit.last);
        }
    }

    /// Takes over the visits of the process before.
    ///
    /// # Errors
    /// When what it wrote cannot be read.
    pub(in crate::privacy) fn take(&self, from: &mut Unread<'_>) -> Result<(), Unreadable> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { newer, older, turned, carried, .. } = &mut *generations;
        *turned = from.optional(Unread::moment)?;
        for generation in [newer, older] {
            for _ in 0..from.count()? {
                let key = (SiteNumber(from.u32()?), *from.array()?);
                let (id, began, last) = (*from.array()?, from.moment()?, from.moment()?);
                generation.insert(key, Session { id, began, last, counts_on: from.optional(Unread::i32)?.map(Epoch) });
            }
        }
        for _ in 0..from.count()? {
            let key = (SiteNumber(from.u32()?), *from.array()?);
            carried.insert(key, Carried { began: from.moment()?, last: from.moment()? });
        }
        Ok(())
    }

    /// Forgets the visits that are over, also where no event comes. Called every minute.
    pub(in crate::privacy) fn forget_idle(&self, now: Timestamp) {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner).turn(now);
    }
}

impl Generations {
    /// Whoever was idle for a whole turn is over; a turn also ends early when the newer generation is full.
    fn turn(&mut self, now: Timestamp) {
        let turned = *self.turned.get_or_insert(now);
        if now.since(turned) >= IDLE_MAX || self.newer.len() >= SESSIONS_MAX {
            self.older = std::mem::take(&mut self.newer);
            self.landings.retain(|key, (of, _)| self.older.get(key).is_some_and(|session| session.id == *of));
            self.carried.retain(|_, visit| is_under_way(visit.began, visit.last, now));
            self.turned = Some(now);
        }
    }

    /// The visit that this one goes on with, once.
    fn take_carried(&mut self, site: SiteNumber, carry: Option<Carry>, now: Timestamp) -> Option<Carried> {
        let Some(Carry::Behind(carry)) = carry else { return None };
        self.carried.remove(&(site, carry)).filter(|visit| is_under_way(visit.began, visit.last, now))
    }

    fn note_carried(&mut self, key: (SiteNumber, [u8; 16]), visit: Carried) {
        if self.carried.len() < CARRIED_MAX || self.carried.contains_key(&key) {
            self.carried.insert(key, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: SiteNumber = SiteNumber(1);
    const TODAY: Epoch = Epoch(5);
    const TOMORROW: Epoch = Epoch(6);

    fn minutes(minutes: i64) -> Timestamp {
        Timestamp(minutes * 60_000)
    }

    #[test]
    fn a_session_ends_by_idleness_and_by_age() {
        let sessions = Sessions::default();
        let visitor = Subject::Token([1; 16]);
        let at = |moment| sessions.of(SITE, visitor, TODAY, None, moment).unwrap().session.unwrap();
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
        assert_eq!(sessions.of(SITE, Subject::None, TODAY, None, minutes(0)).unwrap().session, None);
    }

    #[test]
    fn a_visit_over_a_change_of_key_is_counted_once_and_has_another_id() {
        let sessions = Sessions::default();
        let of = |token, epoch, carry, moment| sessions.of(SITE, Subject::Token([token; 16]), epoch, carry, minutes(moment)).unwrap();
        let (ahead, behind) = (Some(Carry::Ahead([7; 16])), Some(Carry::Behind([7; 16])));
        let before = of(1, TODAY, ahead, 0);
        assert!(before.counts().is_some());
        let after = of(2, TOMORROW, behind, 20);
        assert_ne!(after.session, before.session, "what rests of the two days has nothing in common");
        assert_eq!(after.counts(), None, "the day before has counted it");
        assert_eq!(of(2, TOMORROW, behind, 25), after);
        assert!(of(3, TOMORROW, behind, 25).counts().is_some(), "it goes on once");
        assert!(of(4, TOMORROW, Some(Carry::Behind([8; 16])), 25).counts().is_some(), "another visitor's begins");
        assert!(of(2, TOMORROW, None, 60).counts().is_some(), "after half an hour's rest the next one begins");
    }

    #[test]
    fn what_is_idle_or_a_day_old_is_not_carried() {
        let (ahead, behind) = (Some(Carry::Ahead([7; 16])), Some(Carry::Behind([7; 16])));
        for (last, back, goes_on) in [(0, 29, true), (0, 30, false)] {
            let sessions = Sessions::default();
            sessions.of(SITE, Subject::Token([1; 16]), TODAY, ahead, minutes(last)).unwrap();
            let visit = sessions.of(SITE, Subject::Token([2; 16]), TOMORROW, behind, minutes(back)).unwrap();
            assert_eq!(visit.counts().is_none(), goes_on, "{back}");
        }
        let sessions = Sessions::default();
        for step in 0..=71 {
            sessions.of(SITE, Subject::Token([1; 16]), TODAY, ahead, minutes(step * 20)).unwrap();
        }
        let visit = |token, moment| sessions.of(SITE, Subject::Token([token; 16]), TOMORROW, behind, minutes(moment)).unwrap();
        let carried = visit(2, 24 * 60 - 5);
        assert_eq!(carried.counts(), None);
        assert!(visit(2, 24 * 60 + 1).counts().is_some(), "its age goes with it: a day after it began it is over");
    }

    #[test]
    fn a_lasting_visitor_s_visit_over_midnight_is_counted_once() {
        let sessions = Sessions::default();
        let of = |epoch, moment| sessions.of(SITE, Subject::Person([1; 16]), epoch, None, minutes(moment)).unwrap();
        let (before, after) = (of(TODAY, 0), of(TOMORROW, 10));
        assert_eq!(before.session, after.session);
        assert!(before.counts().is_some() && after.counts().is_none());
    }

    #[test]
    fn what_led_to_a_visit_is_known_as_long_as_it_lasts() {
        let sessions = Sessions::default();
        let person = |id| Subject::Person([id; 16]);
        let landing = |id, moment| sessions.under_way(SITE, person(id), minutes(moment)).and_then(|(_, landing)| landing);
        let visit = sessions.of(SITE, person(1), TODAY, None, minutes(0)).unwrap().session;
        sessions.note_landing(SITE, person(1), [7].into());
        assert_eq!(sessions.under_way(SITE, person(1), minutes(29)).map(|(id, _)| id), visit);
        assert_eq!(landing(1, 29).as_deref(), Some(&[7][..]));
        assert!(sessions.under_way(SITE, person(1), minutes(30)).is_none(), "to be asked about makes no visit longer");
        for moment in (20..=140).step_by(20) {
            sessions.of(SITE, person(1), TODAY, None, minutes(moment)).unwrap();
        }
        assert_eq!(landing(1, 150).as_deref(), Some(&[7][..]), "over turns of the table");
        sessions.of(SITE, person(1), TODAY, None, minutes(200)).unwrap();
        assert_eq!(landing(1, 200), None, "the next visit has its own");
        sessions.of(SITE, Subject::Token([2; 16]), TODAY, None, minutes(200)).unwrap();
        sessions.note_landing(SITE, Subject::Token([2; 16]), [8].into());
        let of_token = sessions.under_way(SITE, Subject::Token([2; 16]), minutes(200));
        assert!(of_token.is_some_and(|(_, landing)| landing.is_none()), "of nobody who has not agreed");
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let sessions = Sessions::default();
        for visitor in 0..(SESSIONS_MAX as u32 * 3) {
            let mut token = [0; 16];
            token[..4].copy_from_slice(&visitor.to_le_bytes());
            sessions.of(SITE, Subject::Token(token), TODAY, Some(Carry::Ahead(token)), Timestamp(0)).unwrap();
        }
        let size = || {
            let generations = sessions.generations.lock().unwrap();
            (generations.newer.len() + generations.older.len(), generations.carried.len())
        };
        assert!(size().0 <= 2 * SESSIONS_MAX && size().1 <= CARRIED_MAX, "{:?}", size());
        sessions.forget_idle(minutes(30));
        sessions.forget_idle(minutes(60));
        assert_eq!(size(), (0, 0), "without a single event more");
    }
}
