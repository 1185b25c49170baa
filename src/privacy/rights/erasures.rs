//! The erasure list, `erasures.db`, beside `keys.db`: who must not come back from a copy. A backup of the log and the state needs it no
//! more than `keys.db` does; a copy of `keys.db` that is older than an erasure, a withdrawal or an objection is put right by it.
//!
//! It holds marks: keyed hashes, under a key of its own, of handles, tokens and accounts. Without what is to be recognised (an old copy) a
//! mark tells nothing, and each is forgotten when nothing that it could recognise can be left.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension};
use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    event::{Epoch, Purposes, SiteNumber},
    privacy::{
        identifiers::Identifier,
        keys::{held::Held, locked::KEY_BYTES, mac::Keyed, random_key},
        visitor::COOKIE_AGE_MAX,
    },
    schema::Schema,
    state::StoreError,
};

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE list_key (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), key BLOB NOT NULL);
    CREATE TABLE erasures (
        mark BLOB PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX erasures_under_way ON erasures (state) WHERE state <> 'done';
    CREATE INDEX erasures_by_end ON erasures (until);
",
    "
    CREATE INDEX erasures_held ON erasures (kind) WHERE kind IN ('restricted', 'objects_to_profile');
",
    "
    CREATE INDEX erasures_objecting ON erasures (kind) WHERE kind IN ('objects_to_analytics', 'objects_to_ads');
",
];

/// erasures.db.
pub const ERASURES: Schema = Schema { file: "erasures.db", steps: MIGRATIONS, keeps: &["list_key", "erasures"] };

/// When something was asked for is kept to the minute: enough to show that it was done in time.
const CLOCK_STEP: Duration = Duration::from_secs(60);
/// Clocks of two machines may differ; a mark stays for so long beyond its time.
const MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// A customer system's export may hold for as long as it is kept what was erased here; nobody keeps one for longer than a person lives.
const IDENTIFIERS_KEPT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A keyed hash.
pub(in crate::privacy) type Mark = [u8; 16];
/// Some marks.
pub type Marks = HashSet<Mark>;

/// To what somebody's data are held.
#[derive(Clone, Copy)]
pub(in crate::privacy) enum HeldTo {
    /// They rest and are not used.
    Restriction,
    /// They are not used for a purpose, whatever a page goes on to say of it.
    Objection(Purposes),
}

impl HeldTo {
    const fn name(self) -> &'static str {
        match self {
            Self::Restriction => "restricted",
            Self::Objection(Purposes::PROFILE) => "objects_to_profile",
            Self::Objection(Purposes::ADS) => "objects_to_ads",
            Self::Objection(_) => "objects_to_analytics",
        }
    }
}

/// The open list.
pub struct Erasures {
    connection: Mutex<Connection>,
    key: Keyed,
    objections_kept: Duration,
}

impl Erasures {
    /// Opens the file, creating it as needed. An objection's mark is kept for as long as a record without consent is, which is told here.
    ///
    /// # Errors
    /// When it cannot be opened, or a newer program wrote it.
    pub fn open(path: &Path, records_without_consent: Duration) -> Result<Self, StoreError> {
        let connection = ERASURES.open(path)?;
        let fresh = Zeroizing::new(random_key().map_err(|_| rusqlite::Error::InvalidQuery)?);
        connection.execute("INSERT INTO list_key (only_row, key) VALUES (1, ?1) ON CONFLICT DO NOTHING", [&*fresh])?;
        let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(connection.query_row("SELECT key FROM list_key", [], |row| row.get(0))?);
        Ok(Self { connection: Mutex::new(connection), key: Keyed::with(&key), objections_kept: records_without_consent + MARGIN })
    }

    /// The mark of a person's handle.
    pub(in crate::privacy) fn of_person(&self, handle: &[u8; 16]) -> Mark {
        self.key.mac128(&[b"person", handle])
    }

    /// The mark of an account of a site.
    pub(in crate::privacy) fn of_account(&self, site: SiteNumber, account: &str) -> Mark {
        self.key.mac128(&[b"account", &site.0.to_le_bytes(), account.as_bytes()])
    }

    /// The mark of something that a customer of a site is known by: of one who was erased, or of one who objects to a purpose.
    fn of_identifier(&self, site: SiteNumber, identifier: &Identifier, objected: Option<Purposes>) -> Mark {
        let what: &[u8] = match objected {
            None => b"identifier",
            Some(Purposes::PROFILE) => b"identifier, no profile",
            Some(Purposes::ADS) => b"identifier, no advertising",
            Some(_) => b"identifier, no analytics",
        };
        self.key.mac128(&[what, &site.0.to_le_bytes(), identifier.kind.name().as_bytes(), identifier.key.bytes()])
    }

    /// The mark of a person whose data rest and are not used.
    pub(in crate::privacy) fn of_restriction(&self, handle: &[u8; 16]) -> Mark {
        self.key.mac128(&[b"restricted", handle])
    }

    /// The mark of a person who objects to one purpose.
    pub(in crate::privacy) fn of_objection(&self, handle: &[u8; 16], purpose: Purposes) -> Mark {
        let to: &[u8] = match purpose {
            Purposes::PROFILE => b"objects to a profile",
            Purposes::ADS => b"objects to advertising",
            _ => b"objects to analytics",
        };
        self.key.mac128(&[to, handle])
    }

    /// The mark of a day's token.
    pub(in crate::privacy) fn of_token(&self, site: SiteNumber, epoch: Epoch, token: &[u8; 16]) -> Mark {
        self.key.mac128(&[b"token", &site.0.to_le_bytes(), &epoch.0.to_le_bytes(), token])
    }

    /// Notes that a person withdraws; durable when this returns. Blocks.
    pub(in crate::privacy) fn note_withdrawal(&self, handle: &[u8; 16], expires: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.note(&[(self.of_person(handle), expires)], "withdrawn", "done", now)
    }

    /// Notes that a visitor without a cookie objects; durable when this returns. Blocks.
    pub(in crate::privacy) fn note_objection(
        &self,
        (site, epoch, token): (SiteNumber, Epoch, &[u8; 16]),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.note(&[(self.of_token(site, epoch, token), now.plus(self.objections_kept))], "objected", "done", now)
    }

    /// Notes that somebody is to be erased, before anything of it is done; durable when this returns. Blocks.
    pub(in crate::privacy) fn begin(&self, people: &[(Mark, Timestamp)], now: Timestamp) -> Result<(), StoreError> {
        self.note(people, "erased", "begun", now)
    }

    /// Notes that an account is erased. No key is as old as a cookie may get that was not made by then.
    pub(in crate::privacy) fn note_account(&self, mark: Mark, now: Timestamp) -> Result<(), StoreError> {
        self.note(&[(mark, now.plus(COOKIE_AGE_MAX))], "account", "done", now)
    }

    /// Notes what somebody was known by who is erased, so that no import of what was said until now brings them back; durable when this returns.
    pub(in crate::privacy) fn note_identifiers(&self, site: SiteNumber, known_by: &[Identifier], now: Timestamp) -> Result<(), StoreError> {
        self.note_known(known_by.iter().map(|identifier| self.of_identifier(site, identifier, None)).collect(), now)
    }

    /// The same where they object to these purposes: what an import says of a consent to another one, it may say.
    pub(in crate::privacy) fn note_objected(
        &self,
        site: SiteNumber,
        known_by: &[Identifier],
        objected: Purposes,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let marks = known_by.iter().flat_map(|known| objected.each().map(|to| self.of_identifier(site, known, Some(to))));
        self.note_known(marks.collect(), now)
    }

    fn note_known(&self, marks: Vec<Mark>, now: Timestamp) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        for mark in marks {
            // What was said within the same minute was said before.
            let at = now.rounded(CLOCK_STEP).plus(CLOCK_STEP);
            transaction.execute(
                "INSERT INTO erasures (mark, kind, at, until, state) VALUES (?1, 'identifier', ?2, ?3, 'done')
                 ON CONFLICT (mark) DO UPDATE SET at = max(at, excluded.at), until = excluded.until",
                (mark, at.0, now.plus(IDENTIFIERS_KEPT).0),
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// When whoever is known by one of these was erased last, or objected to one of these purposes.
    pub(in crate::privacy) fn erased_at(
        &self,
        site: SiteNumber,
        known_by: &[Identifier],
        purposes: Purposes,
    ) -> Result<Option<Timestamp>, StoreError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached("SELECT at FROM erasures WHERE mark = ?1 AND kind = 'identifier'")?;
        let mut last = None;
        for identifier in known_by {
            for objected in std::iter::once(None).chain(purposes.each().map(Some)) {
                let mark = self.of_identifier(site, identifier, objected);
                last = last.max(select.query_row([mark], |row| row.get(0).map(Timestamp)).optional()?);
            }
        }
        Ok(last)
    }

    /// Notes that data of these people rest and are not used, or that they object to a purpose; durable when this returns. A mark goes with its
    /// person's key.
    pub(in crate::privacy) fn note_held(&self, marks: &[(Mark, Timestamp)], kind: HeldTo, now: Timestamp) -> Result<(), StoreError> {
        self.note(marks, kind.name(), "done", now)
    }

    /// Takes that back.
    pub(in crate::privacy) fn let_go(&self, marks: &[Mark]) -> Result<usize, StoreError> {
        let connection = self.lock();
        let mut gone = 0;
        for mark in marks {
            gone += connection.execute("DELETE FROM erasures WHERE mark = ?1 AND kind = 'restricted'", [mark])?;
        }
        Ok(gone)
    }

    /// Who is held to what.
    pub(in crate::privacy) fn held(&self) -> Result<Held, StoreError> {
        let connection = self.lock();
        // Each half has an index of its own: this is asked twice a second, of a list that may be long.
        let mut select = connection.prepare_cached(
            "SELECT mark, kind FROM erasures WHERE kind IN ('restricted', 'objects_to_profile') UNION ALL
             SELECT mark, kind FROM erasures WHERE kind IN ('objects_to_analytics', 'objects_to_ads')",
        )?;
        let mut rows = select.query([])?;
        let mut held = Held::default();
        while let Some(row) = rows.next()? {
            let restricts = row.get::<_, String>(1)? == HeldTo::Restriction.name();
            let marks = if restricts { &mut held.restricted } else { &mut held.objecting };
            marks.insert(row.get(0)?);
        }
        Ok(held)
    }

    fn note(&self, marks: &[(Mark, Timestamp)], kind: &str, state: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        for (mark, until) in marks {
            // An erasure outranks a withdrawal: it has to be carried out in the log, too.
            transaction.execute(
                "INSERT INTO erasures (mark, kind, at, until, state) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (mark) DO UPDATE SET kind = excluded.kind, state = excluded.state, until = max(until, excluded.until)
                 WHERE excluded.kind = 'erased'",
                (mark, kind, now.rounded(CLOCK_STEP).0, until.plus(MARGIN).0, state),
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The marks of those whose keys are to be destroyed.
    pub(in crate::privacy) fn begun(&self) -> Result<Marks, StoreError> {
        self.marks("state = 'begun'")
    }

    /// The marks of those whose keys are destroyed, and of whom records may be left in the log.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn under_way(&self) -> Result<Marks, StoreError> {
        self.marks("state = 'keys destroyed'")
    }

    /// The marks of everyone who withdrew or was erased.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn people(&self) -> Result<Marks, StoreError> {
        self.marks("kind IN ('erased', 'withdrawn')")
    }

    /// The marks of accounts that were erased.
    pub(in crate::privacy) fn accounts(&self) -> Result<Marks, StoreError> {
        self.marks("kind = 'account'")
    }

    /// The marks of tokens that objected.
    pub(in crate::privacy) fn objections(&self) -> Result<Marks, StoreError> {
        self.marks("kind = 'objected'")
    }

    fn marks(&self, which: &str) -> Result<Marks, StoreError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(&format!("SELECT mark FROM erasures WHERE {which}"))?;
        let marks = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(marks)
    }

    /// Notes that the keys of these are destroyed.
    pub(in crate::privacy) fn keys_destroyed(&self, marks: &Marks) -> Result<(), StoreError> {
        self.advance(marks, "begun", "keys destroyed")
    }

    /// Notes that nothing of these is left in the log.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn carried_out(&self, marks: &Marks) -> Result<(), StoreError> {
        self.advance(marks, "keys destroyed", "done")
    }

    fn advance(&self, marks: &Marks, from: &str, to: &str) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        for mark in marks {
            transaction.execute("UPDATE erasures SET state = ?1 WHERE mark = ?2 AND state = ?3", (to, mark, from))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// How many are on it: people who were erased, withdrawals, objections, accounts.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn counts(&self) -> Result<[u64; 4], StoreError> {
        let connection = self.lock();
        let mut counts = [0; 4];
        for (count, kind) in counts.iter_mut().zip(["erased", "withdrawn", "objected", "account"]) {
            let number: i64 = connection.query_row("SELECT count(*) FROM erasures WHERE kind = ?1", [kind], |row| row.get(0))?;
            *count = number.unsigned_abs();
        }
        Ok(counts)
    }

    /// Forgets the marks whose time is over.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn forget_expired(&self, now: Timestamp) -> Result<usize, StoreError> {
        Ok(self.lock().execute("DELETE FROM erasures WHERE until < ?1 AND state = 'done'", [now.0])?)
    }

    /// Takes the marks of another copy of this list, and of one that is in both the later time. False: it is another list, under another key.
    ///
    /// # Errors
    /// When either cannot be used.
    pub fn take_from(&self, other: &Self) -> Result<bool, StoreError> {
        let theirs = other.lock();
        let mut connection = self.lock();
        let key = |connection: &Connection| {
            connection.query_row("SELECT key FROM list_key", [], |row| row.get(0).map(Zeroizing::<[u8; KEY_BYTES]>::new)).optional()
        };
        if key(&theirs)? != key(&connection)? {
            return Ok(false);
        }
        let transaction = connection.transaction()?;
        {
            let mut select = theirs.prepare("SELECT mark, kind, at, until, state FROM erasures")?;
            let mut rows = select.query([])?;
            let mut insert = transaction.prepare(
                "INSERT INTO erasures (mark, kind, at, until, state) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (mark) DO UPDATE SET at = max(at, excluded.at), until = max(until, excluded.until)",
            )?;
            while let Some(row) = rows.next()? {
                let (mark, kind, at, until, state): (Mark, String, i64, i64, String) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
                insert.execute((mark, kind, at, until, state))?;
            }
        }
        transaction.commit()?;
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A poisoned lock means that a panic unwound through an open transaction, which SQLite rolled back: the connection is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::{identifiers::IdentifierKind, profiled::IdentifierKey};

    const NOW: Timestamp = Timestamp(1_800_000_012_345);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn list() -> Erasures {
        Erasures::open(Path::new(crate::state::IN_MEMORY), 3 * DAY).unwrap()
    }

    #[test]
    fn an_erasure_goes_on_where_it_was_and_outranks_a_withdrawal() {
        let list = list();
        let (one, other) = (list.of_person(&[1; 16]), list.of_person(&[2; 16]));
        list.note_withdrawal(&[1; 16], NOW.plus(DAY), NOW).unwrap();
        assert!(list.begun().unwrap().is_empty() && list.people().unwrap() == Marks::from([one]));
        list.begin(&[(one, NOW.plus(DAY)), (other, NOW.plus(DAY))], NOW).unwrap();
        assert_eq!(list.begun().unwrap(), Marks::from([one, other]));
        list.carried_out(&Marks::from([one])).unwrap();
        assert_eq!(list.begun().unwrap().len(), 2, "not before its keys are destroyed");
        list.keys_destroyed(&Marks::from([one])).unwrap();
        assert_eq!((list.begun().unwrap(), list.under_way().unwrap()), (Marks::from([other]), Marks::from([one])));
        list.note_withdrawal(&[1; 16], NOW.plus(DAY), NOW).unwrap();
        assert_eq!(list.under_way().unwrap(), Marks::from([one]), "a withdrawal takes nothing back");
        list.carried_out(&Marks::from([one])).unwrap();
        assert!(list.under_way().unwrap().is_empty());
        assert_eq!(list.counts().unwrap(), [2, 0, 0, 0]);
    }

    #[test]
    fn a_mark_lives_as_long_as_there_is_something_to_recognise_by_it() {
        let list = list();
        list.note_withdrawal(&[1; 16], NOW.plus(10 * DAY), NOW).unwrap();
        list.note_objection((SiteNumber(1), Epoch(5), &[2; 16]), NOW).unwrap();
        list.note_account(list.of_account(SiteNumber(1), "u7"), NOW).unwrap();
        for (days, left) in [(0, 3), (4, 3), (6, 2), (10, 2), (12, 1), (394, 1), (397, 0)] {
            list.forget_expired(NOW.plus(DAY * days)).unwrap();
            assert_eq!(list.counts().unwrap().iter().sum::<u64>(), left, "after {days} days");
        }
    }

    #[test]
    fn who_objects_to_a_purpose_objects_to_no_other_one() {
        let list = list();
        let (site, jane) = (SiteNumber(1), [Identifier { kind: IdentifierKind::Email, key: IdentifierKey::of_bytes([7; 16]) }]);
        list.note_objected(site, &jane, Purposes::ADS, NOW).unwrap();
        let at = |purposes| list.erased_at(site, &jane, purposes).unwrap().is_some();
        assert_eq!([Purposes::ADS, Purposes::PROFILE.and(Purposes::ANALYTICS), Purposes::ALL].map(at), [true, false, true]);
        list.note_identifiers(site, &jane, NOW).unwrap();
        assert!(at(Purposes::PROFILE));
    }

    #[test]
    fn marks_tell_nothing_without_the_key_and_copies_come_together_again() {
        let (list, another) = (list(), list());
        assert_ne!(list.of_person(&[1; 16]), another.of_person(&[1; 16]));
        assert_ne!(list.of_account(SiteNumber(1), "u7"), list.of_account(SiteNumber(2), "u7"));
        assert!(!list.take_from(&another).unwrap(), "another list");
        let directory = tempfile::tempdir().unwrap();
        let (original, file) = (directory.path().join("erasures.db"), directory.path().join("copy"));
        let list = Erasures::open(&original, DAY).unwrap();
        list.note_withdrawal(&[1; 16], NOW.plus(DAY), NOW).unwrap();
        let jane = [Identifier { kind: IdentifierKind::Email, key: IdentifierKey::of_bytes([7; 16]) }];
        list.note_identifiers(SiteNumber(1), &jane, NOW).unwrap();
        ERASURES.copy(&original, &file).unwrap();
        let copy = Erasures::open(&file, DAY).unwrap();
        copy.note_withdrawal(&[2; 16], NOW.plus(DAY), NOW).unwrap();
        list.note_withdrawal(&[3; 16], NOW.plus(DAY), NOW).unwrap();
        copy.note_identifiers(SiteNumber(1), &jane, NOW.plus(DAY)).unwrap();
        assert!(list.take_from(&copy).unwrap());
        assert!(
            list.erased_at(SiteNumber(1), &jane, Purposes::NONE).unwrap() > Some(NOW.plus(DAY)),
            "the later erasure counts, whichever list has it"
        );
        assert_eq!(list.people().unwrap(), [1, 2, 3].map(|handle| list.of_person(&[handle; 16])).into());
    }
}
