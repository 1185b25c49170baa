//! The sealed envelope: what an advertising vendor recognises somebody by and nothing else of ours holds: address, user agent, the vendor's own ids,
//! digests of contact data. There is one beside an event only where a destination of the site asks for a part of it by a recorded deviation, and
//! for those who agreed to advertising. It is no part of the event, and rests nowhere but in memory, sealed twice:
//!
//! - under the person's key, so that a withdrawal, an objection or an erasure makes it unreadable at once, as it does the event;
//! - under the key of its generation of ten minutes, which is in locked memory alone and is destroyed after a day, so that a crash loses it.
//!
//! An event whose envelope is lost ends at the destinations that ask for it as withheld, `envelope_lost`: without it, it would be somebody else's
//! there. What a destination gets of it is what its policy lets through now, of what was let in then, and in its vendor's own words alone.

mod contents;
mod digest;
mod part;

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use self::{
    contents::{Contents, Envelope},
    part::{Dialect, Dialects, Part},
};
use super::{
    clean::CleanEvent,
    hand_over::bytes::{Unread, Unreadable, Written},
    keys::{envelope::EnvelopeKey, person::Person},
    policy::Treatments,
    record::Header,
    visitor::Visitor,
};

/// So long a key takes envelopes in.
const GENERATION: Duration = Duration::from_secs(10 * 60);
/// No envelope is older.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Envelopes at a time: the events with consent to advertising of a day of a large shop, or of some hours in which a receiver is down.
const ENVELOPES_MAX: usize = 131_072;
/// Their bytes: 640 each, which is an ordinary one of all parts for one vendor.
const BYTES_MAX: usize = 80 << 20;

/// Every event's name: its site and its id.
type Name = [u8; 20];

/// All envelopes there are.
#[derive(Default)]
pub struct Envelopes(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// The newest last.
    generations: VecDeque<Generation>,
}

struct Generation {
    key: EnvelopeKey,
    sealed: HashMap<Name, Box<[u8]>>,
    bytes: usize,
}

impl Generation {
    fn of(key: EnvelopeKey) -> Self {
        Self { key, sealed: HashMap::new(), bytes: 0 }
    }
}

impl Envelopes {
    /// Seals what was taken up beside an event, and notes on the event that there is an envelope: from then on one that is not found is lost. One
    /// that is there already stays as it is, for a retry says the same.
    ///
    /// # Errors
    /// When the system has no randomness or no memory for a key.
    pub fn keep(&self, contents: &Contents, clean: &mut CleanEvent, visitor: &Visitor) -> io::Result<()> {
        let Some(person) = visitor.person() else { return Ok(()) };
        let name = name_of(clean.header());
        let sealed = person.seal(&name, &contents.written())?;
        clean.has_envelope();
        self.table().insert(name, &sealed[name.len()..])
    }

    /// What a destination may see of an event's envelope; `None`: it is lost.
    pub(super) fn open(&self, header: &Header, person: &Person, dialect: Option<Dialect>, policy: &Treatments) -> Option<Envelope> {
        let name = name_of(header);
        let of_person = {
            let table = self.table();
            let (key, sealed) = table.in_force().find_map(|generation| Some((&generation.key, generation.sealed.get(&name)?)))?;
            key.open(&name, sealed)?
        };
        let contents = person.open(&name, &of_person).ok()?;
        Contents::read(&contents).map(|contents| contents.envelope(dialect, policy))
    }

    /// Destroys the generations that are over; all of them where nobody asks for envelopes any more. Called every minute.
    pub fn destroy_old(&self, wanted: bool) {
        let mut table = self.table();
        table.generations.retain(|generation| wanted && generation.key.age() < AGE_MAX);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every key of theirs could be locked into memory.
    #[must_use]
    pub fn all_locked(&self) -> bool {
        self.table().generations.iter().all(|generation| generation.key.is_locked())
    }

    /// Writes them down, sealed as they are, and their keys with their ages, for the process that takes over.
    pub(in crate::privacy) fn give(&self, to: &mut Written) {
        let table = self.table();
        to.count(table.generations.len());
        for Generation { key, sealed, .. } in &table.generations {
            key.give(to);
            to.count(sealed.len());
            for (name, sealed) in sealed {
                to.bytes(name);
                to.block(sealed);
            }
        }
    }

    /// Takes over those of the process before.
    ///
    /// # Errors
    /// When what it wrote cannot be read, or the system gives no memory.
    pub(in crate::privacy) fn take(&self, from: &mut Unread<'_>) -> Result<(), Unreadable> {
        let mut table = self.table();
        for _ in 0..from.count()? {
            let mut generation = Generation::of(EnvelopeKey::take(from)?);
            for _ in 0..from.count()? {
                let (name, sealed) = (*from.array()?, from.block()?);
                generation.bytes += sealed.len();
                generation.sealed.insert(name, sealed.into());
            }
            table.generations.push_back(generation);
        }
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Those that are not over, the newest first.
    fn in_force(&self) -> impl Iterator<Item = &Generation> {
        self.generations.iter().rev().filter(|generation| generation.key.age() < AGE_MAX)
    }

    fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.sealed.len()).sum()
    }

    fn bytes(&self) -> usize {
        self.generations.iter().map(|generation| generation.bytes).sum()
    }

    /// Where there is no room, the oldest generation goes. Where there is none but the newest, the envelope is not kept, and so lost.
    fn insert(&mut self, name: Name, of_person: &[u8]) -> io::Result<()> {
        if self.in_force().any(|generation| generation.sealed.contains_key(&name)) {
            return Ok(());
        }
        if self.generations.back().is_none_or(|generation| generation.key.age() >= GENERATION) {
            self.generations.push_back(Generation::of(EnvelopeKey::random()?));
        }
        while self.len() >= ENVELOPES_MAX || self.bytes() >= BYTES_MAX {
            if self.generations.len() < 2 {
                return Ok(());
            }
            self.generations.pop_front();
        }
        let Some(generation) = self.generations.back_mut() else { return Ok(()) };
        let sealed = generation.key.seal(&name, of_person)?;
        generation.bytes += sealed.len();
        generation.sealed.insert(name, sealed.into());
        Ok(())
    }
}

fn name_of(header: &Header) -> Name {
    let mut name = [0; 20];
    name[..4].copy_from_slice(&header.site.0.to_le_bytes());
    name[4..].copy_from_slice(&header.event_id.0);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_of(count: usize, age: Duration) -> Generation {
        let mut generation = Generation::of(EnvelopeKey::of_age(age));
        for number in 0..count {
            let mut name = [0; 20];
            name[..8].copy_from_slice(&(number as u64).to_le_bytes());
            name[8] = age.as_secs() as u8;
            generation.sealed.insert(name, Box::default());
        }
        generation
    }

    #[test]
    fn a_generation_takes_in_for_ten_minutes_and_ends_after_a_day() {
        let envelopes = Envelopes::default();
        envelopes.table().insert([1; 20], b"one").unwrap();
        envelopes.table().insert([2; 20], b"two").unwrap();
        assert_eq!((envelopes.len(), envelopes.table().generations.len()), (2, 1));
        envelopes.table().generations[0].key = EnvelopeKey::of_age(GENERATION);
        envelopes.table().insert([3; 20], b"three").unwrap();
        assert_eq!(envelopes.table().generations.len(), 2);
        envelopes.destroy_old(true);
        assert_eq!(envelopes.len(), 3);
        envelopes.table().generations[0].key = EnvelopeKey::of_age(AGE_MAX);
        assert_eq!(envelopes.table().in_force().count(), 1, "no longer read, also before it is destroyed");
        envelopes.destroy_old(true);
        assert_eq!(envelopes.len(), 1);
        envelopes.destroy_old(false);
        assert!(envelopes.is_empty(), "nobody asks for them any more");
    }

    #[test]
    fn where_there_is_no_room_the_oldest_go_and_never_the_bound() {
        let envelopes = Envelopes::default();
        let (old, older) = (Duration::from_secs(1_201), Duration::from_secs(2_402));
        envelopes.table().generations.extend([full_of(ENVELOPES_MAX / 2, older), full_of(ENVELOPES_MAX / 2, old)]);
        envelopes.table().insert([255; 20], b"new").unwrap();
        assert_eq!(envelopes.len(), ENVELOPES_MAX / 2 + 1, "the oldest generation went");
        envelopes.table().generations.clear();
        envelopes.table().generations.push_back(full_of(ENVELOPES_MAX, Duration::ZERO));
        envelopes.table().insert([255; 20], b"new").unwrap();
        assert_eq!(envelopes.len(), ENVELOPES_MAX, "there is nothing older to go");
        let mut large = full_of(1, old);
        large.bytes = BYTES_MAX;
        envelopes.table().generations.clear();
        envelopes.table().generations.push_back(large);
        envelopes.table().insert([255; 20], b"new").unwrap();
        assert_eq!(envelopes.len(), 1, "their bytes are bounded as well");
    }

    #[test]
    fn what_is_handed_over_is_opened_there_and_is_as_old_as_it_was() {
        let (here, there) = (Envelopes::default(), Envelopes::default());
        here.table().generations.push_back(full_of(2, AGE_MAX - Duration::from_secs(5)));
        here.table().insert([7; 20], b"one").unwrap();
        let mut written = Written::default();
        here.give(&mut written);
        there.take(&mut Unread::of(written.as_bytes(), Duration::from_secs(6))).unwrap();
        assert_eq!(there.len(), 3);
        let table = there.table();
        assert_eq!(table.in_force().count(), 1, "the way counts too");
        let newest = table.in_force().next().unwrap();
        assert_eq!(newest.key.open(&[7; 20], &newest.sealed[&[7; 20]]).unwrap().as_slice(), b"one");
    }
}
