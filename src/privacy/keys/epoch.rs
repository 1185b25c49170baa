//! K_epoch, one per site, destination and epoch: makes the ids of `strict` and `measurement`. It rests in `keys.db` as long as that
//! epoch's events do, so that a retry or replay gives the same ids, and is destroyed with them. It reveals no address, since K_visit
//! is gone; two destinations have two keys and cannot join.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use zeroize::Zeroizing;

use super::{database::KeysDb, locked::KEY_BYTES, mac, random_key};
use crate::{
    event::{DestinationNumber, Epoch, EventId, SiteNumber},
    privacy::{record::Subject, uniques::Uniques},
    state::StoreError,
};

/// From this many visitors a day on there is a length at which four in five share their id and counts stay within 2.5 %
///; below, `strict` sends no id across page views.
const COLLIDING_VISITORS_MIN: u32 = 6_800;
/// Visitors per id value, at least: the mean load is between this and twice this.
const VISITORS_PER_ID: f64 = 1.65;
/// How many keys stay in RAM before all are dropped and read again.
const CACHED_KEYS_MAX: usize = 4096;

/// One site's, destination's and epoch's key, with the id length that was fixed for that epoch.
pub struct EpochKey {
    key: Zeroizing<[u8; KEY_BYTES]>,
    /// Length of a colliding id in bits; `None`: no id across page views.
    bits: Option<u32>,
}

/// The ids of one disclosure without consent.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::privacy) struct EpochIds {
    /// What the destination takes for the visitor.
    pub(in crate::privacy) visitor: u64,
    /// What it takes for the session.
    pub(in crate::privacy) session: Option<u64>,
}

impl EpochKey {
    fn new(key: Zeroizing<[u8; KEY_BYTES]>, visitors: u32) -> Self {
        Self { key, bits: id_bits(visitors) }
    }

    /// `strict`'s ids: per event below 6,800 visitors a day, else cut so short that most visitors share theirs.
    /// The session id is a function of the collided id, so that it does not undo the collision.
    pub(in crate::privacy) fn strict_ids(&self, event_id: EventId, subject: Subject) -> EpochIds {
        let Some(bits) = self.bits else {
            return EpochIds { visitor: mac::mac64(&self.key, &[b"event", &event_id.0]), session: None };
        };
        let visitor = mac::mac64(&self.key, &[b"subject", &subject_bytes(subject)]) >> (64 - bits);
        let session = mac::mac64(&self.key, &[b"session of id", &visitor.to_be_bytes()]);
        EpochIds { visitor, session: Some(session) }
    }

    /// `measurement`'s ids: they live one epoch.
    pub(in crate::privacy) fn measurement_ids(&self, subject: Subject, session: Option<&[u8; 8]>) -> EpochIds {
        EpochIds {
            visitor: mac::mac64(&self.key, &[b"subject", &subject_bytes(subject)]),
            session: session.map(|session| mac::mac64(&self.key, &[b"session", session])),
        }
    }
}

fn subject_bytes(subject: Subject) -> [u8; 17] {
    let (kind, id) = match subject {
        Subject::None => (0, [0; 16]),
        Subject::Token(token) => (1, token),
        Subject::Person(handle) => (2, handle),
    };
    let mut bytes = [kind; 17];
    bytes[1..].copy_from_slice(&id);
    bytes
}

/// b = floor(log2(N / 1.65)), from 6,800 visitors a day on.
fn id_bits(visitors: u32) -> Option<u32> {
    (visitors >= COLLIDING_VISITORS_MIN).then(|| (f64::from(visitors) / VISITORS_PER_ID).log2().floor() as u32)
}

/// Every K_epoch whose events still rest.
pub struct EpochKeys {
    database: Arc<KeysDb>,
    cached: Mutex<HashMap<(SiteNumber, DestinationNumber, Epoch), Arc<EpochKey>>>,
    uniques: Option<Arc<Uniques>>,
}

impl EpochKeys {
    /// Keys from this database.
    #[must_use]
    pub fn new(database: Arc<KeysDb>) -> Self {
        Self { database, cached: Mutex::default(), uniques: None }
    }

    /// The same, whose ids are as long as the sites' own counts of their visitors allow. Without, every site is taken for a small one.
    #[must_use]
    pub fn sized_by(self, uniques: Arc<Uniques>) -> Self {
        Self { uniques: Some(uniques), ..self }
    }

    /// The key; made on first use, with the id length that follows from the site's visitors on the days before, and keeps it.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn of(&self, site: SiteNumber, destination: DestinationNumber, epoch: Epoch) -> Result<Arc<EpochKey>, StoreError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = cached.get(&(site, destination, epoch)) {
            return Ok(Arc::clone(key));
        }
        let visitors = self.uniques.as_ref().map_or(Ok(0), |uniques| uniques.expected(site, epoch))?;
        let row = self.database.with(|connection| {
            let fresh = random_key().map_err(|_| rusqlite::Error::InvalidQuery)?;
            connection.execute(
                "INSERT INTO epochs (site, destination, epoch, key, visitors) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                (site.0, destination.0, epoch.0, fresh, visitors),
            )?;
            connection.query_row(
                "SELECT key, visitors FROM epochs WHERE site = ?1 AND destination = ?2 AND epoch = ?3",
                (site.0, destination.0, epoch.0),
                |row| Ok(EpochKey::new(Zeroizing::new(row.get(0)?), row.get(1)?)),
            )
        })?;
        if cached.len() >= CACHED_KEYS_MAX {
            cached.clear();
        }
        let key = Arc::new(row);
        cached.insert((site, destination, epoch), Arc::clone(&key));
        Ok(key)
    }

    /// Destroys the keys of epochs before `oldest`, whose events have all left the log. Returns how many.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn destroy_before(&self, site: SiteNumber, oldest: Epoch) -> Result<usize, StoreError> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _, epoch), _| *of != site || *epoch >= oldest);
        self.database.destroy(|connection| connection.execute("DELETE FROM epochs WHERE site = ?1 AND epoch < ?2", (site.0, oldest.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(visitors: u32) -> EpochKey {
        EpochKey::new(Zeroizing::new([7; KEY_BYTES]), visitors)
    }

    #[test]
    fn small_sites_get_an_id_per_event_and_no_session() {
        let (key, person) = (key(6_799), Subject::Token([1; 16]));
        let (one, two) = (key.strict_ids(EventId([1; 16]), person), key.strict_ids(EventId([2; 16]), person));
        assert_ne!(one.visitor, two.visitor);
        assert_eq!(one.session, None);
        assert_eq!(one, key.strict_ids(EventId([1; 16]), Subject::Token([9; 16])), "a retry repeats it, and no visitor is in it");
    }

    #[test]
    fn large_sites_get_ids_that_four_in_five_share() {
        assert_eq!([6_799, 6_800, 10_000, 100_000, 1_000_000].map(id_bits), [None, Some(12), Some(12), Some(15), Some(19)]);
        let visitors = 10_000u32;
        let key = key(visitors);
        let mut holders: HashMap<u64, u32> = HashMap::new();
        for visitor in 0..visitors {
            let mut token = [0; 16];
            token[..4].copy_from_slice(&visitor.to_le_bytes());
            let ids = key.strict_ids(EventId([0; 16]), Subject::Token(token));
            assert!(ids.session.is_some());
            *holders.entry(ids.visitor).or_default() += 1;
        }
        let sharing: u32 = holders.values().filter(|count| **count > 1).sum();
        assert!(sharing * 10 >= visitors * 8, "{sharing} of {visitors} share their id");
    }

    #[test]
    fn tokens_and_handles_of_equal_bytes_are_different_subjects() {
        let key = key(0);
        assert_ne!(key.measurement_ids(Subject::Token([1; 16]), None).visitor, key.measurement_ids(Subject::Person([1; 16]), None).visitor);
    }

    #[test]
    fn keys_are_kept_per_destination_and_destroyed_with_their_epoch() {
        let directory = tempfile::tempdir().unwrap();
        let database = Arc::new(KeysDb::open(&directory.path().join("keys.db")).unwrap());
        let (site, event) = (SiteNumber(1), EventId([3; 16]));
        let id = |keys: &EpochKeys, destination: u32, epoch: i32| {
            let key = keys.of(site, DestinationNumber(destination), Epoch(epoch)).unwrap();
            key.strict_ids(event, Subject::None).visitor
        };
        let keys = EpochKeys::new(Arc::clone(&database));
        let first = id(&keys, 1, 10);
        assert_ne!(first, id(&keys, 2, 10), "two destinations cannot join");
        assert_ne!(first, id(&keys, 1, 11));
        let reopened = EpochKeys::new(database);
        assert_eq!(first, id(&reopened, 1, 10), "a replay gives the same ids");
        assert_eq!(reopened.destroy_before(site, Epoch(11)).unwrap(), 2);
        assert_ne!(first, id(&reopened, 1, 10));
    }
}
