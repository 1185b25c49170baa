//! K_carry, one per site and change of its K_visit: random, in RAM only, from half an hour before the change until half an hour after it. It
//! finds the visits that go on over the change, so that K_visit itself can go on the dot, and is looked up in one table alone: `sessions`.
//! It is made for a change that is ahead, never kept from one that is past: there is no previous key.

use std::{
    collections::HashMap,
    io,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use foldhash::fast::RandomState;

use super::{age::Age, locked::LockedKey, visit};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::SiteNumber,
    privacy::{
        enrich::device::DeviceClass,
        hand_over::bytes::{Unread, Unreadable, Written},
        raw::ClientAddress,
    },
};

/// On either side of the change: a visit is over after as long without an event, so who was active earlier, or comes back later, begins a
/// new one in any case.
pub(in crate::privacy) const HALF_WINDOW: Duration = Duration::from_secs(30 * 60);

/// Every site's K_carry, in the hour in which it has one.
#[derive(Default)]
pub(in crate::privacy) struct CarryKeys {
    keys: RwLock<HashMap<SiteNumber, CarryKey, RandomState>>,
}

struct CarryKey {
    key: LockedKey,
    change: Timestamp,
    age: Age,
}

/// Under what a visit is carried over the change of K_visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::privacy) enum Carry {
    /// The change is ahead: the visit may go on after it.
    Ahead([u8; 16]),
    /// The change is past: the visit may have begun before it.
    Behind([u8; 16]),
}

impl CarryKey {
    fn new(change: Timestamp) -> io::Result<Self> {
        Ok(Self { key: LockedKey::random()?, change, age: Age::beginning_at(Duration::ZERO) })
    }

    /// By whichever clock says so first, as for K_visit.
    fn is_over(&self, now: Timestamp) -> bool {
        now < self.change.minus(HALF_WINDOW) || now >= self.change.plus(HALF_WINDOW) || self.age.now() >= 2 * HALF_WINDOW
    }
}

impl CarryKeys {
    /// Under what this visitor's visit is carried, where `left` is K_visit's time until its end; `None` away from a change. Makes the key
    /// for a change that has come near, and destroys the one of the change before.
    ///
    /// # Errors
    /// When the system gives no memory or no randomness for a new key.
    pub(in crate::privacy) fn of(
        &self,
        site: &Site,
        address: &ClientAddress,
        device: &DeviceClass,
        left: Duration,
        now: Timestamp,
    ) -> io::Result<Option<Carry>> {
        let near = left <= HALF_WINDOW;
        let id = |key: &CarryKey| visit::token(&key.key, site.number, address, device);
        let serves = |key: &&CarryKey| !key.is_over(now) && (!near || key.change > now);
        {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            match keys.get(&site.number).filter(serves) {
                Some(key) if near => return Ok(Some(Carry::Ahead(id(key)))),
                Some(key) => return Ok(Some(Carry::Behind(id(key)))),
                None if !near => return Ok(None),
                None => {}
            }
        }
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.get(&site.number).filter(serves).is_none() {
            keys.insert(site.number, CarryKey::new(now.plus(left))?);
        }
        Ok(keys.get(&site.number).map(|key| Carry::Ahead(id(key))))
    }

    /// Destroys the keys whose hour is over. Called every minute.
    pub(in crate::privacy) fn destroy_old(&self, now: Timestamp) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).retain(|_, key| !key.is_over(now));
    }

    /// Writes the keys down for the process that takes over.
    pub(in crate::privacy) fn give(&self, to: &mut Written) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        to.count(keys.len());
        for (site, key) in &*keys {
            to.u32(site.0);
            to.bytes(key.key.bytes());
            to.moment(key.change);
            to.span(key.age.now());
        }
    }

    /// Takes over the keys of the process before.
    ///
    /// # Errors
    /// When what it wrote cannot be read, or the system gives no memory.
    pub(in crate::privacy) fn take(&self, from: &mut Unread<'_>) -> Result<(), Unreadable> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..from.count()? {
            let site = SiteNumber(from.u32()?);
            let key = LockedKey::taken_over(from.array()?)?;
            keys.insert(site, CarryKey { key, change: from.moment()?, age: Age::beginning_at(from.age()?) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lives_half_an_hour_on_either_side_of_the_change() {
        let minutes = |minutes: i64| Timestamp(minutes * 60_000);
        let key = || CarryKey::new(minutes(1_000)).unwrap();
        for (moment, over) in [(969, true), (970, false), (1_000, false), (1_029, false), (1_030, true)] {
            assert_eq!(key().is_over(minutes(moment)), over, "{moment}");
        }
        // Wherever the wall clock stands.
        assert!(CarryKey { age: Age::beginning_at(2 * HALF_WINDOW), ..key() }.is_over(minutes(1_000)));
    }
}
