//! Person keys: the body of every granted record is sealed under the key of its person. Destroying the key row (withdrawal, erasure,
//! expiry) makes the log, parked events and backups of that person unreadable at once.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use rusqlite::{OptionalExtension, Row};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::{
    database::KeysDb,
    endings::{Ended, Endings},
    held::Held,
    locked::KEY_BYTES,
    mac::mac128,
    random_id, random_key,
};
use crate::{
    clock::Timestamp,
    event::{Epoch, Purposes, SiteNumber},
    privacy::{
        identifiers::Identifier,
        record::CorruptRecord,
        rights::erasures::{Erasures, Marks},
        rules::{Rule, holds},
        visitor::COOKIE_AGE_MAX,
    },
    state::StoreError,
    supervise,
};

/// Length of a seal's nonce in bytes (AES-GCM's own).
const NONCE_BYTES: usize = 12;
/// Persons kept in RAM; twice as many at most, for there are two generations.
const CACHED_PERSONS_MAX: usize = 32_768;
/// First events of new persons that may wait for their key row; more are told to come back.
const WAITING_PERSONS_MAX: usize = 4096;
/// Key rows in one transaction.
const PERSONS_PER_COMMIT: usize = 256;

/// A person who consented: the handle that records name them by, and their key. It knows neither cookie id nor anything else of them.
pub struct Person {
    handle: [u8; 16],
    site: SiteNumber,
    /// The keyed index of the cookie id, never the id.
    cookie: [u8; 16],
    key: Zeroizing<[u8; KEY_BYTES]>,
    expires: Timestamp,
    /// When they agreed, where they did so elsewhere and the end does not tell it.
    agreed: Option<Timestamp>,
    /// What the proof of this consent is found by. It rests nowhere else than here and there.
    consent: [u8; 16],
    /// What the proof has it that they granted.
    purposes: AtomicU8,
    /// The day on which the key was made, where this program made it: before it, they were a visitor without one. In RAM alone.
    made: Option<Epoch>,
}

/// What is left to say of a person whose key was destroyed.
pub(in crate::privacy) struct EndedConsent {
    /// The id of their consent.
    pub(in crate::privacy) consent: [u8; 16],
    /// When it would have ended.
    pub(in crate::privacy) expires: Timestamp,
}

impl Person {
    /// What records name this person by. Internal; it never leaves.
    pub(in crate::privacy) const fn handle(&self) -> [u8; 16] {
        self.handle
    }

    /// The id of their consent.
    pub(in crate::privacy) const fn consent(&self) -> [u8; 16] {
        self.consent
    }

    /// What is on record that they granted.
    pub(in crate::privacy) fn purposes(&self) -> Purposes {
        Purposes::from_bits(self.purposes.load(Ordering::Relaxed))
    }

    /// When their consent ends.
    pub(in crate::privacy) const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// When a contact agreed, or before when they did not: no consent is longer than a cookie may live.
    pub(in crate::privacy) fn agreed(&self) -> Timestamp {
        self.agreed.unwrap_or_else(|| self.expires.minus(COOKIE_AGE_MAX))
    }

    /// Whether their key was made on that day.
    pub(in crate::privacy) fn is_new_on(&self, day: Epoch) -> bool {
        self.made == Some(day)
    }

    /// What stands for them where only who has their key can tell that it does.
    pub(in crate::privacy) fn mark(&self, what: &[u8]) -> [u8; 16] {
        mac128(&self.key, &[b"mark", what])
    }

    /// Whether their consent has not ended.
    fn is_in_force(&self, now: Timestamp) -> bool {
        self.expires > now || !holds(Rule::ConsentEnds)
    }

    /// Seals a record's body: random nonce, ciphertext, tag. The header is authenticated with it.
    pub(in crate::privacy) fn seal(&self, header: &[u8], body: &[u8]) -> io::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| io::Error::other("the system has no randomness to give"))?;
        let cipher = Aes256Gcm::new((&*self.key).into());
        let sealed = cipher
            .encrypt((&nonce).into(), Payload { msg: body, aad: header })
            .map_err(|_| io::Error::other("the body is too long to seal"))?;
        let mut bytes = Vec::with_capacity(header.len() + NONCE_BYTES + sealed.len());
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }

    /// Opens what [`Self::seal`] made.
    pub(in crate::privacy) fn open(&self, header: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CorruptRecord> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(CorruptRecord::Short)?;
        let cipher = Aes256Gcm::new((&*self.key).into());
        cipher.decrypt(nonce.into(), Payload { msg: sealed, aad: header }).map_err(|_| CorruptRecord::BrokenSeal)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            handle: row.get(0)?,
            site: SiteNumber(row.get(1)?),
            cookie: row.get(2)?,
            key: Zeroizing::new(row.get(3)?),
            expires: Timestamp(row.get(4)?),
            consent: row.get(5)?,
            purposes: AtomicU8::new(row.get(6)?),
            made: None,
            agreed: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        })
    }
}

const SELECT: &str = "SELECT handle, site, cookie, key, expires, consent, purposes, agreed FROM persons";

/// All persons' keys: `keys.db`, a cache, and a thread that makes new rows durable, many at a time.
pub struct PersonKeys {
    database: Arc<KeysDb>,
    cache: Arc<Mutex<Cache>>,
    newcomers: mpsc::Sender<Newcomer>,
    destroyed: AtomicU64,
    ended: Mutex<Ended>,
    pub(super) list: Option<Arc<Erasures>>,
    held: RwLock<Held>,
}

struct Newcomer {
    person: Arc<Person>,
    durable: oneshot::Sender<bool>,
}

/// No key row could be made durable: the event that needed it cannot be recorded now.
#[derive(Debug, thiserror::Error)]
#[error("no key row can be made durable now")]
pub struct NoPersonKey;

impl PersonKeys {
    /// Keys from this database. The thread ends when this value is dropped.
    #[must_use]
    pub fn new(database: Arc<KeysDb>) -> Self {
        let (newcomers, queue) = mpsc::channel(WAITING_PERSONS_MAX);
        let cache = Arc::new(Mutex::new(Cache::default()));
        let committer = (Arc::clone(&database), Arc::clone(&cache));
        supervise::thread("person-keys", move || commit_newcomers(&committer.0, &committer.1, queue));
        Self { database, cache, newcomers, destroyed: AtomicU64::new(0), ended: Mutex::default(), list: None, held: RwLock::default() }
    }

    /// The same, who note whose key is destroyed, so that no older copy brings it back.
    #[must_use]
    pub fn listed_in(self, list: Arc<Erasures>) -> Self {
        Self { list: Some(list), ..self }
    }

    /// The person of this cookie index, if they are in RAM and their key has not ended.
    pub(in crate::privacy) fn cached(&self, site: SiteNumber, cookie: &[u8; 16], now: Timestamp) -> Option<Arc<Person>> {
        self.cache().by_cookie(site, cookie).filter(|person| person.is_in_force(now))
    }

    /// The same, from the database. Blocks.
    pub(in crate::privacy) fn find(&self, site: SiteNumber, cookie: &[u8; 16], now: Timestamp) -> Result<Option<Arc<Person>>, StoreError> {
        self.remember(|connection| {
            let mut select = connection.prepare_cached(&format!("{SELECT} WHERE site = ?1 AND cookie = ?2"))?;
            select.query_row((site.0, cookie), Person::from_row).optional()
        })
        .map(|person| person.filter(|person| person.is_in_force(now)))
    }

    /// The person of this handle; `None`: they withdrew, were erased, or their time is over. Blocks.
    pub(in crate::privacy) fn of_handle(&self, handle: &[u8; 16], now: Timestamp) -> Result<Option<Arc<Person>>, StoreError> {
        let cached = self.cache().by_handle(handle);
        let person = match cached {
            Some(person) => Some(person),
            None => self.remember(|connection| {
                connection.prepare_cached(&format!("{SELECT} WHERE handle = ?1"))?.query_row([handle], Person::from_row).optional()
            })?,
        };
        Ok(person.filter(|person| person.is_in_force(now)))
    }

    /// What this person agrees to now, if their key is in RAM and has not ended. It is not once it was destroyed.
    pub(in crate::privacy) fn consent_at_hand(&self, handle: &[u8; 16], now: Timestamp) -> Option<Purposes> {
        let person = self.cache().by_handle(handle).filter(|person| person.is_in_force(now) && !self.is_restricted(handle));
        person.map(|person| person.purposes())
    }

    /// Makes a key row for a new person and waits until it is durable.
    pub(in crate::privacy) async fn make(
        &self,
        (site, today): (SiteNumber, Epoch),
        cookie: [u8; 16],
        purposes: Purposes,
        expires: Timestamp,
    ) -> Result<Arc<Person>, NoPersonKey> {
        let handle = random_id().map_err(|_| NoPersonKey)?;
        let consent = random_id().map_err(|_| NoPersonKey)?;
        let key = Zeroizing::new(random_key().map_err(|_| NoPersonKey)?);
        let (agreed, purposes, made) = (None, AtomicU8::new(purposes.bits()), Some(today));
        let person = Arc::new(Person { handle, site, cookie, key, expires, agreed, consent, purposes, made });
        let (durable, answer) = oneshot::channel();
        self.newcomers.try_send(Newcomer { person: Arc::clone(&person), durable }).map_err(|_| NoPersonKey)?;
        match answer.await {
            Ok(true) => Ok(person),
            Ok(false) | Err(_) => Err(NoPersonKey),
        }
    }

    /// Notes what is on record now that this person granted, so that it is recorded once. Blocks.
    pub(in crate::privacy) fn note_purposes(&self, person: &Person, purposes: Purposes) -> Result<(), StoreError> {
        let update = "UPDATE persons SET purposes = ?1 WHERE handle = ?2";
        self.database.with(|connection| connection.execute(update, (purposes.bits(), person.handle)))?;
        let before = Purposes::from_bits(person.purposes.swap(purposes.bits(), Ordering::Relaxed));
        if !purposes.cover(before) {
            self.note_ended([Some(person.handle)]);
        }
        Ok(())
    }

    /// Notes when a contact agreed last, and until when. Another process that has them in memory learns of a later end when their time was over, and of
    /// an earlier one when that has come. Blocks.
    pub(in crate::privacy) fn note_agreed(&self, person: &Person, agreed: Timestamp, until: Timestamp) -> Result<(), StoreError> {
        let update = "UPDATE persons SET agreed = ?1, expires = ?2 WHERE handle = ?3";
        self.database.with(|connection| connection.execute(update, (agreed.0, until.0, person.handle)))?;
        self.cache().forget(person.site, &person.cookie);
        Ok(())
    }

    /// Those of these whose key is gone, or who do not agree to that purpose. Blocks.
    pub(in crate::privacy) fn without(&self, purpose: Purposes, handles: &[[u8; 16]], now: Timestamp) -> Result<Vec<[u8; 16]>, StoreError> {
        self.database.with(|connection| {
            let mut select = connection.prepare_cached("SELECT purposes, expires FROM persons WHERE handle = ?1")?;
            let mut without = Vec::new();
            for handle in handles {
                let person = select.query_row([handle], |row| Ok((Purposes::from_bits(row.get(0)?), Timestamp(row.get(1)?)))).optional()?;
                let agrees = |agreed: Purposes| self.as_far_as_unobjected(handle, agreed).cover(purpose);
                if person.is_none_or(|(agreed, expires)| !agrees(agreed) || expires <= now) {
                    without.push(*handle);
                }
            }
            Ok(without)
        })
    }

    /// Who has ceased to agree to something since so many had; and how many have by now.
    pub(in crate::privacy) fn ended_since(&self, before: u64) -> (u64, Endings) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).since(before)
    }

    /// Notes whose key was destroyed, or who agrees to less; nothing stands for somebody of whom that is not known.
    fn note_ended(&self, people: impl IntoIterator<Item = Option<[u8; 16]>>) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).note(people);
    }

    /// Destroys the key row of this cookie index. Returns whose consent that ended, if there was one. Blocks.
    pub(in crate::privacy) fn destroy(
        &self,
        site: SiteNumber,
        cookie: &[u8; 16],
        now: Timestamp,
    ) -> Result<Option<EndedConsent>, StoreError> {
        if let Some(list) = &self.list {
            let select = "SELECT handle, expires FROM persons WHERE site = ?1 AND cookie = ?2";
            let person = self.database.with(|connection| {
                connection.query_row(select, (site.0, cookie), |row| Ok((row.get::<_, [u8; 16]>(0)?, Timestamp(row.get(1)?)))).optional()
            })?;
            if let Some((handle, expires)) = person {
                list.note_withdrawal(&handle, expires, now)?;
            }
        }
        let mut ended = None;
        self.database.destroy(|connection| {
            let delete = "DELETE FROM persons WHERE site = ?1 AND cookie = ?2 RETURNING handle, consent, expires";
            let of_row = |row: &Row<'_>| Ok((row.get(0)?, EndedConsent { consent: row.get(1)?, expires: Timestamp(row.get(2)?) }));
            ended = connection.query_row(delete, (site.0, cookie), of_row).optional()?;
            Ok(usize::from(ended.is_some()))
        })?;
        self.cache().forget(site, cookie);
        self.destroyed.fetch_add(u64::from(ended.is_some()), Ordering::Release);
        Ok(ended.map(|(handle, ended)| {
            self.note_ended([Some(handle)]);
            ended
        }))
    }

    /// Destroys this person's key, since they ask for it, and has what rests of them in the event log emptied. Blocks.
    pub(in crate::privacy) fn erase(&self, person: &Person, now: Timestamp) -> Result<(), StoreError> {
        if let Some(list) = &self.list {
            list.begin(&[(list.of_person(&person.handle), person.expires)], now)?;
        }
        let delete = "DELETE FROM persons WHERE handle = ?1";
        let destroyed = self.database.destroy(|connection| connection.execute(delete, [person.handle]))?;
        if let Some(list) = &self.list {
            list.keys_destroyed(&Marks::from([list.of_person(&person.handle)]))?;
        }
        self.cache().forget(person.site, &person.cookie);
        self.destroyed.fetch_add(destroyed as u64, Ordering::Release);
        self.note_ended([Some(person.handle)]);
        Ok(())
    }

    /// Notes what somebody was known by who is erased, so that no import of what was said until now brings them back. Blocks.
    pub(in crate::privacy) fn note_known_by(&self, site: SiteNumber, known_by: &[Identifier], now: Timestamp) -> Result<(), StoreError> {
        self.list.as_ref().map_or(Ok(()), |list| list.note_identifiers(site, known_by, now))
    }

    /// Destroys the key rows whose time is over. Returns how many. Blocks.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn destroy_expired(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.cache().drop_expired(now);
        let mut ended: Vec<Option<[u8; 16]>> = Vec::new();
        let destroyed = self.database.destroy(|connection| {
            let mut delete = connection.prepare_cached("DELETE FROM persons WHERE expires <= ?1 RETURNING handle")?;
            ended = delete.query_map([now.0], |row| row.get(0).map(Some))?.collect::<rusqlite::Result<_>>()?;
            Ok(ended.len())
        })?;
        // One whose end another process has set earlier is here still.
        let gone: HashSet<[u8; 16]> = ended.iter().flatten().copied().collect();
        self.cache().drop_those(|person| gone.contains(&person.handle));
        self.destroyed.fetch_add(destroyed as u64, Ordering::Release);
        self.note_ended(ended);
        Ok(destroyed)
    }

    /// Forgets those whose keys another process has destroyed.
    pub fn forget_erased(&self, list: &Erasures, marks: &Marks) {
        self.cache().drop_those(|person| marks.contains(&list.of_person(&person.handle)));
        self.destroyed.fetch_add(marks.len() as u64, Ordering::Release);
        self.note_ended([None]);
    }

    /// How many key rows were destroyed since the program started.
    pub(in crate::privacy) fn destroyed(&self) -> u64 {
        self.destroyed.load(Ordering::Acquire)
    }

    /// Who is held to what, in memory.
    pub(super) fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, to be changed.
    pub(super) fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is in memory of those; it is read again when it is asked for. They may agree to less than before.
    pub(super) fn forget_those(&self, are_meant: impl Fn(&Person) -> bool) {
        self.cache().drop_those(are_meant);
        self.note_ended([None]);
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a row and caches it in one step under the database's lock, so that a row destroyed meanwhile cannot come back through the cache.
    fn remember(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<Option<Person>>,
    ) -> Result<Option<Arc<Person>>, StoreError> {
        self.database.with(|connection| {
            let person = read(connection)?.map(Arc::new);
            if let Some(person) = &person {
                person.purposes.store(self.as_far_as_unobjected(&person.handle, person.purposes()).bits(), Ordering::Relaxed);
            }
            if let Some(person) = &person {
                self.cache().insert(Arc::clone(person));
            }
            Ok(person)
        })
    }
}

fn commit_newcomers(database: &KeysDb, cache: &Mutex<Cache>, mut queue: mpsc::Receiver<Newcomer>) {
    let mut batch = Vec::with_capacity(PERSONS_PER_COMMIT);
    while queue.blocking_recv_many(&mut batch, PERSONS_PER_COMMIT) > 0 {
        let stored = database.with(|connection| {
            let transaction = connection.transaction()?;
            let mut made = Vec::with_capacity(batch.len());
            {
                let mut insert = transaction.prepare_cached(
                    // A contact may be made by two at once, and by another process; whoever comes second takes nobody else's row along.
                    "INSERT INTO persons (handle, site, cookie, key, expires, consent, purposes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                     ON CONFLICT DO NOTHING",
                )?;
                for Newcomer { person, .. } in &batch {
                    let Person { handle, site, cookie, key, expires, consent, .. } = &**person;
                    made.push(insert.execute((handle, site.0, cookie, &**key, expires.0, consent, person.purposes().bits()))? == 1);
                }
            }
            transaction.commit()?;
            let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            for (Newcomer { person, .. }, _) in batch.iter().zip(&made).filter(|(_, made)| **made) {
                cache.insert(Arc::clone(person));
            }
            Ok(made)
        });
        let made = stored.unwrap_or_else(|_| {
            tracing::error!("new person keys could not be stored; granted events of new visitors are turned away");
            vec![false; batch.len()]
        });
        for (newcomer, made) in batch.drain(..).zip(made) {
            // An error means that the request is gone; its key row stays unused until it expires.
            let _ = newcomer.durable.send(made);
        }
    }
}

/// Two generations: when the newer is full, the older is dropped and the newer takes its place.
#[derive(Default)]
struct Cache {
    newer: Generation,
    older: Generation,
}

#[derive(Default)]
struct Generation {
    by_cookie: HashMap<(SiteNumber, [u8; 16]), Arc<Person>>,
    by_handle: HashMap<[u8; 16], Arc<Person>>,
}

impl Cache {
    fn by_cookie(&mut self, site: SiteNumber, cookie: &[u8; 16]) -> Option<Arc<Person>> {
        let key = (site, *cookie);
        if let Some(person) = self.newer.by_cookie.get(&key) {
            return Some(Arc::clone(person));
        }
        let person = self.older.by_cookie.get(&key).cloned()?;
        self.insert(Arc::clone(&person));
        Some(person)
    }

    fn by_handle(&mut self, handle: &[u8; 16]) -> Option<Arc<Person>> {
        if let Some(person) = self.newer.by_handle.get(handle) {
            return Some(Arc::clone(person));
        }
        let person = self.older.by_handle.get(handle).cloned()?;
        self.insert(Arc::clone(&person));
        Some(person)
    }

    fn insert(&mut self, person: Arc<Person>) {
        if self.newer.by_cookie.len() >= CACHED_PERSONS_MAX {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.by_handle.insert(person.handle, Arc::clone(&person));
        self.newer.by_cookie.insert((person.site, person.cookie), person);
    }

    fn forget(&mut self, site: SiteNumber, cookie: &[u8; 16]) {
        for generation in [&mut self.newer, &mut self.older] {
            if let Some(person) = generation.by_cookie.remove(&(site, *cookie)) {
                generation.by_handle.remove(&person.handle);
            }
        }
    }

    fn drop_expired(&mut self, now: Timestamp) {
        self.drop_those(|person| person.expires <= now);
    }

    fn drop_those(&mut self, are_meant: impl Fn(&Person) -> bool) {
        for generation in [&mut self.newer, &mut self.older] {
            generation.by_cookie.retain(|_, person| !are_meant(person));
            generation.by_handle.retain(|_, person| !are_meant(person));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_second_with_an_index_has_no_key_and_takes_nobody_along() {
        let keys = PersonKeys::new(Arc::new(KeysDb::open(std::path::Path::new(crate::state::IN_MEMORY)).unwrap()));
        let (today, until) = ((SiteNumber(1), Epoch(0)), Timestamp(2_000));
        let make = |cookie| keys.make(today, [cookie; 16], Purposes::PROFILE, until);
        let (first, second, other) = tokio::join!(make(5), make(5), make(6));
        assert!(first.is_ok() != second.is_ok() && other.is_ok());
        let found = keys.find(SiteNumber(1), &[5; 16], Timestamp(1_000)).unwrap().expect("one of them");
        assert_eq!(found.handle(), first.or(second).unwrap().handle());
    }

    #[tokio::test]
    async fn a_destroyed_key_opens_nothing_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.db");
        let keys = PersonKeys::new(Arc::new(KeysDb::open(&path).unwrap()));
        let (site, cookie, now) = (SiteNumber(1), [5; 16], Timestamp(1_000));
        let person = keys.make((site, Epoch(0)), cookie, Purposes::ANALYTICS, Timestamp(2_000)).await.unwrap();
        let sealed = person.seal(b"header", b"body").unwrap();
        let found = keys.find(site, &cookie, now).unwrap().expect("durable");
        assert_eq!(found.open(b"header", &sealed[6..]).unwrap(), b"body");
        assert_eq!(found.open(b"another", &sealed[6..]).unwrap_err(), CorruptRecord::BrokenSeal);
        assert!(keys.of_handle(&person.handle(), Timestamp(2_000)).unwrap().is_none(), "its time is over");

        let key = person.key.to_vec();
        let everything = || {
            std::fs::read_dir(directory.path())
                .unwrap()
                .flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
                .collect::<Vec<u8>>()
        };
        let holds_key = |bytes: &[u8]| bytes.windows(KEY_BYTES).any(|window| window == key);
        assert!(holds_key(&everything()), "the control: the key rests while the person consents");
        assert!(keys.destroy(site, &cookie, now).unwrap().is_some_and(|ended| ended.consent == person.consent()));
        assert!(!holds_key(&everything()), "no byte of it is left in the data directory");
        assert!(keys.cached(site, &cookie, now).is_none());
        assert!(keys.of_handle(&person.handle(), now).unwrap().is_none());
        assert!(keys.destroy(site, &cookie, now).unwrap().is_none());
    }
}
