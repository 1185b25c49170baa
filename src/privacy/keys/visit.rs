//! K_visit, one per site: random, in RAM only, at most 24 hours, never a previous one. It makes the day's token of a visitor.
//! Its death is what makes a token meaningless: the whole of IPv4 is searched in minutes by whoever has the key.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use jiff::{Unit, tz::TimeZone};

use super::{
    age::Age,
    locked::{KEY_BYTES, LockedKey},
    mac::mac128,
};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::{Epoch, SiteNumber},
    privacy::{
        enrich::device::DeviceClass,
        hand_over::bytes::{Unread, Unreadable, Written},
        raw::ClientAddress,
        rules::{Rule, holds},
    },
};

/// However long a site's local day is, no key is older.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Every site's K_visit.
#[derive(Default)]
pub struct VisitKeys {
    keys: RwLock<HashMap<SiteNumber, VisitKey, RandomState>>,
    /// Of those that are destroyed, the age of the oldest, in milliseconds.
    oldest_destroyed: AtomicU64,
}

pub(super) struct VisitKey {
    key: LockedKey,
    epoch: Epoch,
    day: LocalDay,
    age: Age,
}

impl VisitKey {
    fn new(zone: &TimeZone, now: Timestamp) -> io::Result<Self> {
        let day = LocalDay::of(zone, now);
        Ok(Self { key: LockedKey::random()?, epoch: day.epoch, day, age: Age::beginning_at(Duration::ZERO) })
    }

    pub(super) const fn key(&self) -> &LockedKey {
        &self.key
    }

    /// How long it will still be used; `None` where it is over. By the wall clock (also one that was set back), by the monotonic one, and by the
    /// one that counts a machine's sleep: whichever says so first.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        let by_age = AGE_MAX.saturating_sub(self.age.now());
        if (!self.day.holds(now) || by_age.is_zero()) && holds(Rule::VisitKeyEndsWithTheDay) {
            return None;
        }
        Some(self.day.end.since(now).min(by_age))
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.left(now).is_none()
    }
}

/// Who a visitor is today.
#[derive(Clone, Copy)]
pub(in crate::privacy) struct DayToken {
    pub(in crate::privacy) epoch: Epoch,
    pub(in crate::privacy) token: [u8; 16],
    /// How long the key that made it will still be used.
    pub(in crate::privacy) left: Duration,
}

impl VisitKeys {
    /// The site's epoch and the visitor's token for now. Makes a new key, and destroys the old, where its day is over.
    ///
    /// # Errors
    /// When the system gives no memory or no randomness for a new key: then there is no token, and nothing may be recorded.
    pub(in crate::privacy) fn token(
        &self,
        site: &Site,
        address: &ClientAddress,
        device: &DeviceClass,
        now: Timestamp,
    ) -> io::Result<DayToken> {
        self.with_key(site, now, |key, left| DayToken { epoch: key.epoch, token: token(&key.key, site.number, address, device), left })
    }

    /// The site's epoch now.
    ///
    /// # Errors
    /// As for [`Self::token`].
    pub(in crate::privacy) fn epoch(&self, site: &Site, now: Timestamp) -> io::Result<Epoch> {
        self.with_key(site, now, |key, _| key.epoch)
    }

    pub(super) fn with_key<T>(&self, site: &Site, now: Timestamp, work: impl FnOnce(&VisitKey, Duration) -> T) -> io::Result<T> {
        {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((key, left)) = keys.get(&site.number).and_then(|key| key.left(now).map(|left| (key, left))) {
                return Ok(work(key, left));
            }
        }
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.get(&site.number).is_none_or(|key| key.is_over(now))
            && let Some(destroyed) = keys.insert(site.number, VisitKey::new(&site.time_zone, now)?)
        {
            self.note_age(&destroyed);
        }
        let key = keys.get(&site.number).expect("inserted above, or was there");
        Ok(work(key, key.left(now).unwrap_or_default()))
    }

    /// Destroys the keys whose day is over, also of sites that nobody visits. Called every minute.
    pub fn destroy_old(&self, now: Timestamp) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).retain(|_, key| {
            let is_over = key.is_over(now);
            if is_over {
                self.note_age(key);
            }
            !is_over
        });
    }

    fn note_age(&self, key: &VisitKey) {
        let age = u64::try_from(key.age.now().as_millis()).unwrap_or(u64::MAX);
        self.oldest_destroyed.fetch_max(age, Ordering::Relaxed);
    }

    /// The longest that any key has lived since this process began, whichever are in use included: events of visitors who have no lasting id
    /// that are further apart share none. A key that was handed over brings its age along.
    #[must_use]
    pub fn longest_life(&self) -> Duration {
        let in_use = self.keys.read().unwrap_or_else(PoisonError::into_inner).values().map(|key| key.age.now()).max();
        in_use.unwrap_or_default().max(Duration::from_millis(self.oldest_destroyed.load(Ordering::Relaxed)))
    }

    /// Writes the keys down for the process that takes over: with their ages, so that none lives longer there.
    pub(in crate::privacy) fn give(&self, to: &mut Written) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        to.count(keys.len());
        for (site, key) in &*keys {
            to.u32(site.0);
            to.bytes(key.key.bytes());
            to.i32(key.epoch.0);
            to.moment(key.day.first);
            to.moment(key.day.end);
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
            let epoch = Epoch(from.i32()?);
            let day = LocalDay { epoch, first: from.moment()?, end: from.moment()? };
            keys.insert(site, VisitKey { key, epoch, day, age: Age::beginning_at(from.age()?) });
        }
        Ok(())
    }

    /// Whether every key there is could be locked into memory.
    #[must_use]
    pub fn all_locked(&self) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).values().all(|key| key.key.is_locked())
    }
}

/// A visitor under a key, of whichever family.
pub(super) fn token(key: &LockedKey, site: SiteNumber, address: &ClientAddress, device: &DeviceClass) -> [u8; 16] {
    token_under(key.bytes(), site, address, device)
}

pub(super) fn token_under(key: &[u8; KEY_BYTES], site: SiteNumber, address: &ClientAddress, device: &DeviceClass) -> [u8; 16] {
    let site = site.0.to_le_bytes();
    let device = device.code();
    match address.ip() {
        IpAddr::V4(whole) => mac128(key, &[&whole.octets(), &device, &site]),
        // One household or phone has a /64 and changes the rest of it at will.
        IpAddr::V6(whole) => mac128(key, &[&whole.octets()[..8], &device, &site]),
    }
}

/// One local day: its number and its bounds.
#[derive(Clone, Copy)]
pub struct LocalDay {
    /// The day's number.
    pub epoch: Epoch,
    first: Timestamp,
    end: Timestamp,
}

impl LocalDay {
    /// The local day that `now` lies in.
    #[must_use]
    pub fn of(zone: &TimeZone, now: Timestamp) -> Self {
        let moment = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned_datetime(zone.clone());
        let days = moment.date().since((Unit::Day, jiff::civil::date(1970, 1, 1))).map_or(0, |span| span.get_days());
        let bounds = moment.start_of_day().and_then(|first| {
            let end = first.tomorrow()?.start_of_day()?;
            Ok((Timestamp(first.timestamp().as_millisecond()), Timestamp(end.timestamp().as_millisecond())))
        });
        // At the calendar's very ends there is no next day: a day of no length, which ends every key at once.
        let (first, end) = bounds.unwrap_or((now, now));
        Self { epoch: Epoch(days), first, end }
    }

    /// When the next one begins.
    #[must_use]
    pub const fn end(&self) -> Timestamp {
        self.end
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn holds(&self, moment: Timestamp) -> bool {
        self.first <= moment && moment < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_key_is_over_by_whichever_clock_says_so_first() {
        let now = at("2026-11-23T12:00:00Z");
        let key = || VisitKey::new(&TimeZone::UTC, now).unwrap();
        let fresh = key();
        assert!(!fresh.is_over(now) && fresh.is_over(at("2026-11-24T00:00:00Z")) && fresh.is_over(at("2026-11-22T23:59:59Z")));
        // The wall clock stands still, or was set back within the day.
        let mut old = key();
        assert!(old.left(now).unwrap() <= AGE_MAX / 2);
        old.age = Age::beginning_at(AGE_MAX - Duration::from_secs(60));
        assert!(old.left(now).unwrap() <= Duration::from_secs(60));
        old.age = Age::beginning_at(AGE_MAX);
        assert!(old.is_over(now));
    }

    #[test]
    fn the_longest_life_is_of_keys_in_use_and_of_those_that_are_gone() {
        let (noon, next_day) = (at("2026-11-23T12:00:00Z"), at("2026-11-24T00:00:00Z"));
        let keys = VisitKeys::default();
        assert_eq!(keys.longest_life(), Duration::ZERO);
        for (site, hours) in [(3, 5), (4, 7)] {
            let key =
                VisitKey { age: Age::beginning_at(Duration::from_secs(hours * 3600)), ..VisitKey::new(&TimeZone::UTC, noon).unwrap() };
            keys.keys.write().unwrap().insert(SiteNumber(site), key);
        }
        let seven_hours = |life: Duration| life.as_secs() / 60 == 7 * 60;
        assert!(seven_hours(keys.longest_life()));
        keys.destroy_old(next_day);
        assert!(keys.keys.read().unwrap().is_empty() && seven_hours(keys.longest_life()));
    }

    #[test]
    fn a_key_that_is_handed_over_makes_the_same_tokens_and_is_as_old_as_it_was() {
        let now = at("2026-11-23T12:00:00Z");
        let (here, there) = (VisitKeys::default(), VisitKeys::default());
        let key = VisitKey { age: Age::beginning_at(AGE_MAX - Duration::from_secs(5)), ..VisitKey::new(&TimeZone::UTC, now).unwrap() };
        here.keys.write().unwrap().insert(SiteNumber(3), key);
        let mut written = Written::default();
        here.give(&mut written);
        there.take(&mut Unread::of(written.as_bytes(), Duration::from_secs(4))).unwrap();
        let (before, after) = (here.keys.read().unwrap(), there.keys.read().unwrap());
        let (before, after) = (&before[&SiteNumber(3)], &after[&SiteNumber(3)]);
        assert_eq!((before.key.bytes(), before.epoch), (after.key.bytes(), after.epoch));
        assert!(after.left(now).unwrap() <= Duration::from_secs(1), "the way counts too");
        assert!(after.is_over(at("2026-11-24T00:00:00Z")) && after.is_over(at("2026-11-22T23:59:59Z")), "its day is the same");
    }

    #[test]
    fn days_are_local_and_follow_summer_time() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        let day = LocalDay::of(&paris, at("2026-11-23T22:59:59Z"));
        let next = LocalDay::of(&paris, at("2026-11-23T23:00:00Z"));
        assert_eq!(next.epoch.0, day.epoch.0 + 1);
        assert_eq!(day.epoch, LocalDay::of(&paris, at("2026-11-22T23:00:00Z")).epoch);
        // The day of the change back to winter time has 25 hours.
        let long = LocalDay::of(&paris, at("2026-10-25T10:00:00Z"));
        assert_eq!(long.end.since(long.first), Duration::from_secs(25 * 3600));
        assert_eq!(LocalDay::of(&TimeZone::UTC, Timestamp(0)).epoch, Epoch(0));
        assert_eq!(LocalDay::of(&TimeZone::UTC, Timestamp(-1)).epoch, Epoch(-1));
    }
}
