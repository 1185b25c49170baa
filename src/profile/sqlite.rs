//! Profiles in `profiles.db`, beside the event log: the embedded store.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    entry::Class,
    store::{Bounds, Change, Decision, EntryRow, ProfileError, ProfileStore, SiteCounts, Slice, StrandKey, StrandRow},
};
use crate::{
    clock::Timestamp,
    event::{Offset, SiteNumber},
    privacy::{
        identifiers::{Identifier, IdentifierKind},
        profiled::{AccountId, EventKey, IdentifierKey, PersonHandle},
    },
    schema::Schema,
    state::{IN_MEMORY, StoreError},
};

/// An account is 16 bytes; none is none. What is found by an id is not sealed; the rest is.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE strands (
        site INTEGER NOT NULL, person BLOB NOT NULL, account BLOB NOT NULL, browser INTEGER NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (site, person, account)) WITHOUT ROWID;
    CREATE INDEX strands_by_account ON strands (site, account) WHERE length(account) > 0;
    CREATE INDEX strands_by_browser ON strands (site, browser);
    CREATE INDEX strands_by_person ON strands (person);
    CREATE TABLE entries (
        site INTEGER NOT NULL, person BLOB NOT NULL, account BLOB NOT NULL, event BLOB NOT NULL, class INTEGER NOT NULL,
        received INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (site, person, account, event)) WITHOUT ROWID;
    CREATE INDEX entries_by_time ON entries (site, person, account, received);
    CREATE INDEX entries_by_age ON entries (site, class, received);
    CREATE INDEX entries_by_person ON entries (person);
    CREATE TABLE decisions (
        number INTEGER PRIMARY KEY AUTOINCREMENT, site INTEGER NOT NULL, person BLOB NOT NULL, account BLOB NOT NULL,
        apart INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL);
    CREATE INDEX decisions_by_strand ON decisions (person, site, account);
    CREATE TABLE progress (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), position INTEGER, again INTEGER NOT NULL);
    INSERT INTO progress VALUES (1, NULL, 0);
",
    "
    CREATE TABLE identifiers (
        site INTEGER NOT NULL, person BLOB NOT NULL, account BLOB NOT NULL, kind INTEGER NOT NULL, id BLOB NOT NULL,
        PRIMARY KEY (site, person, account, kind, id)) WITHOUT ROWID;
    CREATE INDEX identifiers_by_id ON identifiers (site, kind, id, person);
    CREATE INDEX identifiers_by_person ON identifiers (person);
",
];

/// profiles.db.
pub const PROFILES: Schema = Schema { file: "profiles.db", steps: MIGRATIONS, keeps: &["strands", "entries", "decisions", "identifiers"] };

const STRAND: &str = "SELECT site, person, account, browser, sealed FROM strands";
const ENTRY: &str = "SELECT site, person, account, event, class, received, sealed FROM entries";

/// Pages that are kept in memory for writing, in KiB: strands and indexes of those who come again soon. With the 2 MB that SQLite has by itself every event
/// reads several pages of a large file anew.
const CACHE_KIB: i64 = 32 * 1024;

/// A file that is larger is not written anew at each erasure, but once a day at most: that reads and writes all of it, and needs as much room on the disk
/// again. At 300 MB a second it is some seconds.
const WIPED_AT_ONCE_BYTES: u64 = 1 << 30;
/// SQLite's `application_id`, which nobody else has a use for here: it stands in the file itself, and says that it is to be written anew.
const WIPE_IS_DUE: i32 = 0x7769_7065;

/// The open file, twice: whoever reads does not wait for a batch that is being written, nor for all that is made again.
pub struct SqliteProfiles {
    writing: Mutex<Connection>,
    /// Nothing for one in memory, which is there for its one connection alone.
    reading: Option<Mutex<Connection>>,
    /// How large a file may be that is written anew at once.
    wiped_at_once: u64,
}

impl SqliteProfiles {
    /// Opens the file, making it where there is none.
    ///
    /// # Errors
    /// When it cannot be opened, or is not of this program's schema.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writing = PROFILES.open(path)?;
        writing.pragma_update(None, "cache_size", -CACHE_KIB).map_err(StoreError::from)?;
        let reading = if path == Path::new(IN_MEMORY) { None } else { Some(Mutex::new(PROFILES.open(path)?)) };
        Ok(Self { writing: Mutex::new(writing), reading, wiped_at_once: WIPED_AT_ONCE_BYTES })
    }

    fn write_lock(&self) -> MutexGuard<'_, Connection> {
        // A poisoned lock means that a panic unwound through an open transaction, which SQLite rolled back: the connection is sound.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_lock(&self) -> MutexGuard<'_, Connection> {
        self.reading.as_ref().unwrap_or(&self.writing).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file anew: the slack of a page may hold a copy of what stood there before the page was arranged anew.
    fn write_anew(&self, connection: &Connection) -> Result<(), ProfileError> {
        connection.execute_batch("VACUUM")?;
        // Where another process reads, the pages of before rest in the file: it stays due.
        if self.empty_journal(connection)? {
            connection.pragma_update(None, "application_id", 0)?;
        }
        Ok(())
    }

    /// Empties the journal, where what was overwritten in the file rests still. Nobody of this process reads meanwhile. False: somebody of another does.
    fn empty_journal(&self, connection: &Connection) -> Result<bool, ProfileError> {
        let _nobody = self.reading.as_ref().map(|reading| reading.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))? == 0)
    }

    /// Strands that meet a condition. Where another index than the table's own is meant, it is named: SQLite would rather walk all of a site's strands,
    /// which are in the order that is asked for, than put two into it.
    fn strands_where(&self, select: &str, parameters: impl rusqlite::Params) -> Result<Vec<StrandRow>, ProfileError> {
        let connection = self.read_lock();
        let mut select = connection.prepare_cached(&format!("{STRAND} {select}"))?;
        let rows = select.query_map(parameters, strand_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn entries_where(&self, select: &str, parameters: impl rusqlite::Params) -> Result<Vec<EntryRow>, ProfileError> {
        let connection = self.read_lock();
        let mut select = connection.prepare_cached(&format!("{ENTRY} {select}"))?;
        let rows = select.query_map(parameters, entry_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn account_at_rest(account: Option<&AccountId>) -> &[u8] {
    account.map_or(&[], |account| account.bytes().as_slice())
}

fn key_of(row: &Row<'_>) -> rusqlite::Result<StrandKey> {
    let account: Vec<u8> = row.get(2)?;
    Ok(StrandKey {
        site: SiteNumber(row.get(0)?),
        person: PersonHandle::from_rest(row.get(1)?),
        account: account.try_into().ok().map(AccountId::of_bytes),
    })
}

fn strand_row(row: &Row<'_>) -> rusqlite::Result<StrandRow> {
    Ok(StrandRow { key: key_of(row)?, browser: row.get::<_, i64>(3)?.cast_unsigned(), sealed: row.get(4)? })
}

fn entry_row(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    let number: u8 = row.get(4)?;
    Ok(EntryRow {
        key: key_of(row)?,
        event: EventKey::of_bytes(row.get(3)?),
        class: Class::ALL.into_iter().find(|class| class.number() == number).unwrap_or(Class::Views),
        received: Timestamp(row.get(5)?),
        sealed: row.get(6)?,
    })
}

fn stored(offset: Offset) -> i64 {
    i64::try_from(offset.0).unwrap_or(i64::MAX)
}

fn at_most(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

impl ProfileStore for SqliteProfiles {
    fn position(&self) -> Result<Option<Offset>, ProfileError> {
        let position: Option<i64> = self.read_lock().query_row("SELECT position FROM progress", [], |row| row.get(0))?;
        Ok(position.and_then(|position| u64::try_from(position).ok()).map(Offset))
    }

    fn write(&self, change: &Change) -> Result<(), ProfileError> {
        let mut connection = self.write_lock();
        let transaction = connection.transaction()?;
        {
            let mut put = transaction.prepare_cached(
                "INSERT INTO strands (site, person, account, browser, sealed) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (site, person, account) DO UPDATE SET browser = excluded.browser, sealed = excluded.sealed",
            )?;
            for StrandRow { key, browser, sealed } in &change.strands {
                let account = account_at_rest(key.account.as_ref());
                put.execute(params![key.site.0, key.person.at_rest(), account, browser.cast_signed(), sealed])?;
            }
            let mut forget = transaction.prepare_cached("DELETE FROM identifiers WHERE site = ?1 AND person = ?2 AND account = ?3")?;
            let mut know =
                transaction.prepare_cached("INSERT INTO identifiers (site, person, account, kind, id) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for (key, identifiers) in &change.identifiers {
                let account = account_at_rest(key.account.as_ref());
                forget.execute((key.site.0, key.person.at_rest(), account))?;
                for identifier in identifiers {
                    know.execute(params![key.site.0, key.person.at_rest(), account, identifier.kind.number(), identifier.key.bytes()])?;
                }
            }
            let mut keep = transaction.prepare_cached(
                "INSERT INTO entries (site, person, account, event, class, received, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO NOTHING",
            )?;
            for EntryRow { key, event, class, received, sealed } in &change.entries {
                let account = account_at_rest(key.account.as_ref());
                keep.execute(params![key.site.0, key.person.at_rest(), account, event.bytes(), class.number(), received.0, sealed])?;
            }
            let mut drop =
                transaction.prepare_cached("DELETE FROM entries WHERE site = ?1 AND person = ?2 AND account = ?3 AND event = ?4")?;
            for (key, event) in &change.dropped {
                drop.execute(params![key.site.0, key.person.at_rest(), account_at_rest(key.account.as_ref()), event.bytes()])?;
            }
        }
        if let Some(position) = change.position {
            transaction.execute("UPDATE progress SET position = ?1", [stored(position)])?;
        }
        Ok(transaction.commit()?)
    }

    fn strand(&self, key: &StrandKey) -> Result<Option<StrandRow>, ProfileError> {
        let connection = self.read_lock();
        let mut select = connection.prepare_cached(&format!("{STRAND} WHERE site = ?1 AND person = ?2 AND account = ?3"))?;
        Ok(select.query_row((key.site.0, key.person.at_rest(), account_at_rest(key.account.as_ref())), strand_row).optional()?)
    }

    fn strands(&self, keys: &[StrandKey]) -> Result<Vec<StrandRow>, ProfileError> {
        let connection = self.read_lock();
        let mut select = connection.prepare_cached(&format!("{STRAND} WHERE site = ?1 AND person = ?2 AND account = ?3"))?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let of = (key.site.0, key.person.at_rest(), account_at_rest(key.account.as_ref()));
            found.extend(select.query_row(of, strand_row).optional()?);
        }
        Ok(found)
    }

    fn people_after(&self, after: Option<&PersonHandle>, most: usize) -> Result<Vec<PersonHandle>, ProfileError> {
        let connection = self.read_lock();
        let mut select = connection.prepare_cached("SELECT DISTINCT person FROM strands WHERE person > ?1 ORDER BY person LIMIT ?2")?;
        let after: &[u8] = after.map_or(&[], |after| after.at_rest());
        let rows = select.query_map((after, at_most(most)), |row| row.get(0).map(PersonHandle::from_rest))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn of_person(&self, site: SiteNumber, person: &PersonHandle) -> Result<Vec<StrandRow>, ProfileError> {
        self.strands_where("WHERE site = ?1 AND person = ?2 ORDER BY account", (site.0, person.at_rest()))
    }

    fn of_identifier(&self, site: SiteNumber, identifier: &Identifier, browsers: usize) -> Result<Vec<StrandRow>, ProfileError> {
        let id = identifier.key.bytes().as_slice();
        if identifier.kind == IdentifierKind::Account {
            let select = "INDEXED BY strands_by_account WHERE site = ?1 AND account = ?2 AND length(account) > 0 ORDER BY person LIMIT ?3";
            return self.strands_where(select, (site.0, id, at_most(browsers)));
        }
        self.strands_where(
            "JOIN identifiers USING (site, person, account) WHERE site = ?1 AND kind = ?2 AND id = ?3 AND person IN
             (SELECT DISTINCT person FROM identifiers WHERE site = ?1 AND kind = ?2 AND id = ?3 ORDER BY person LIMIT ?4)
             ORDER BY person, account",
            (site.0, identifier.kind.number(), id, at_most(browsers)),
        )
    }

    fn identifiers(&self, key: &StrandKey) -> Result<BTreeSet<Identifier>, ProfileError> {
        let connection = self.read_lock();
        let mut select = connection.prepare_cached("SELECT kind, id FROM identifiers WHERE site = ?1 AND person = ?2 AND account = ?3")?;
        let of = (key.site.0, key.person.at_rest(), account_at_rest(key.account.as_ref()));
        let rows = select.query_map(of, |row| {
            let kind = IdentifierKind::of_number(row.get(0)?);
            Ok((kind, IdentifierKey::of_bytes(row.get(1)?)))
        })?;
        let known = rows.map(|row| row.map(|(kind, key)| kind.map(|kind| Identifier { kind, key })));
        Ok(known.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?)
    }

    fn shared(&self, site: SiteNumber, kind: IdentifierKind, browsers: usize) -> Result<u64, ProfileError> {
        let connection = self.write_lock();
        let count = |row: &Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
        Ok(if kind == IdentifierKind::Account {
            let select = "SELECT count(*) FROM (SELECT 1 FROM strands WHERE site = ?1 AND length(account) > 0 GROUP BY account HAVING count(*) > ?2)";
            connection.query_row(select, (site.0, at_most(browsers)), count)?
        } else {
            let select = "SELECT count(*) FROM (SELECT 1 FROM identifiers WHERE site = ?1 AND kind = ?2 GROUP BY id HAVING count(DISTINCT person) > ?3)";
            connection.query_row(select, (site.0, kind.number(), at_most(browsers)), count)?
        })
    }

    fn of_browser(&self, site: SiteNumber, browser: u64) -> Result<Vec<StrandRow>, ProfileError> {
        let select = "INDEXED BY strands_by_browser WHERE site = ?1 AND browser = ?2 ORDER BY person, account";
        self.strands_where(select, (site.0, browser.cast_signed()))
    }

    fn strands_after(&self, after: Option<&StrandKey>, most: usize) -> Result<Vec<StrandRow>, ProfileError> {
        match after {
            None => self.strands_where("ORDER BY site, person, account LIMIT ?1", [at_most(most)]),
            Some(key) => self.strands_where(
                "WHERE (site, person, account) > (?1, ?2, ?3) ORDER BY site, person, account LIMIT ?4",
                (key.site.0, key.person.at_rest(), account_at_rest(key.account.as_ref()), at_most(most)),
            ),
        }
    }

    fn entries(&self, key: &StrandKey, slice: &Slice, most: usize) -> Result<Vec<EntryRow>, ProfileError> {
        let Bounds { from, until, class, behind, event } = slice.bounds();
        self.entries_where(
            "WHERE site = ?1 AND person = ?2 AND account = ?3 AND received >= ?4 AND received < ?5 AND received <= ?6
             AND (received < ?6 OR event > ?7) AND (?8 < 0 OR class = ?8) ORDER BY received DESC, event LIMIT ?9",
            params![
                key.site.0,
                key.person.at_rest(),
                account_at_rest(key.account.as_ref()),
                from,
                until,
                behind,
                event,
                class,
                at_most(most)
            ],
        )
    }

    fn older(&self, site: SiteNumber, class: Class, than: Timestamp, most: usize) -> Result<Vec<EntryRow>, ProfileError> {
        self.entries_where(
            "WHERE site = ?1 AND class = ?2 AND received < ?3 ORDER BY received LIMIT ?4",
            (site.0, class.number(), than.0, at_most(most)),
        )
    }

    fn decide(&self, Decision { key, apart, at, author, reason }: &Decision) -> Result<(), ProfileError> {
        let account = account_at_rest(key.account.as_ref());
        self.write_lock().execute(
            "INSERT INTO decisions (site, person, account, apart, at, author, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![key.site.0, key.person.at_rest(), account, apart, at.0, author, reason],
        )?;
        Ok(())
    }

    fn decisions(&self, key: &StrandKey) -> Result<Vec<Decision>, ProfileError> {
        let connection = self.read_lock();
        let mut select = connection.prepare_cached(
            "SELECT apart, at, author, reason FROM decisions WHERE site = ?1 AND person = ?2 AND account = ?3 ORDER BY number",
        )?;
        let of = (key.site.0, key.person.at_rest(), account_at_rest(key.account.as_ref()));
        let rows = select.query_map(of, |row| {
            Ok(Decision { key: *key, apart: row.get(0)?, at: Timestamp(row.get(1)?), author: row.get(2)?, reason: row.get(3)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn remove(&self, persons: &BTreeSet<PersonHandle>) -> Result<u64, ProfileError> {
        let mut connection = self.write_lock();
        let transaction = connection.transaction()?;
        let mut removed = 0;
        for person in persons {
            removed += transaction.execute("DELETE FROM strands WHERE person = ?1", [person.at_rest()])?;
            transaction.execute("DELETE FROM entries WHERE person = ?1", [person.at_rest()])?;
            transaction.execute("DELETE FROM identifiers WHERE person = ?1", [person.at_rest()])?;
            transaction.execute("DELETE FROM decisions WHERE person = ?1", [person.at_rest()])?;
        }
        if removed > 0 {
            // Copies in the slack of pages go when it is: at once where that is asked for, with the next upkeep where it is not.
            transaction.pragma_update(None, "application_id", WIPE_IS_DUE)?;
        }
        transaction.commit()?;
        if removed > 0 {
            // What was deleted is overwritten in the file (`secure_delete`), and rests in the journal until that is emptied.
            self.empty_journal(&connection)?;
        }
        Ok(removed as u64)
    }

    fn wipe(&self) -> Result<(), ProfileError> {
        let connection = self.write_lock();
        let of = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
        if of("page_count")?.saturating_mul(of("page_size")?) <= self.wiped_at_once {
            return self.write_anew(&connection);
        }
        connection.pragma_update(None, "application_id", WIPE_IS_DUE)?;
        self.empty_journal(&connection).map(drop)
    }

    fn wipe_what_is_due(&self) -> Result<bool, ProfileError> {
        let connection = self.write_lock();
        let due = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))? == WIPE_IS_DUE;
        if due {
            self.write_anew(&connection)?;
        }
        Ok(due)
    }

    fn counts(&self) -> Result<Vec<SiteCounts>, ProfileError> {
        let connection = self.write_lock();
        let mut select = connection.prepare_cached(
            "SELECT site, count(DISTINCT person), count(DISTINCT nullif(account, x'')),
                    (SELECT count(*) FROM entries WHERE entries.site = strands.site)
             FROM strands GROUP BY site ORDER BY site",
        )?;
        let count = |row: &Row<'_>, column: usize| row.get::<_, i64>(column).map(i64::unsigned_abs);
        let rows = select.query_map([], |row| {
            Ok(SiteCounts { site: SiteNumber(row.get(0)?), browsers: count(row, 1)?, accounts: count(row, 2)?, events: count(row, 3)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn ask_again(&self) -> Result<(), ProfileError> {
        self.write_lock().execute("UPDATE progress SET again = 1", [])?;
        Ok(())
    }

    fn is_asked_again(&self) -> Result<bool, ProfileError> {
        Ok(self.read_lock().query_row("SELECT again FROM progress", [], |row| row.get(0))?)
    }

    fn done_again(&self) -> Result<(), ProfileError> {
        self.write_lock().execute("UPDATE progress SET again = 0", [])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_written_anew_later_and_says_so_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(PROFILES.file);
        let person = PersonHandle::from_rest([9; 16]);
        let key = StrandKey { site: SiteNumber(1), person, account: None };
        let row = |number: u8| EntryRow {
            key,
            event: EventKey::of_bytes([number; 16]),
            class: Class::Views,
            received: Timestamp(0),
            sealed: vec![7; 3_000],
        };
        let change = Change {
            strands: vec![StrandRow { key, browser: 1, sealed: vec![1] }],
            entries: (0..99).map(row).collect(),
            ..Change::default()
        };
        let pages = |store: &SqliteProfiles| store.write_lock().pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0)).unwrap();
        // Also where nobody asks for it: what is erased over the API or on a page.
        for (asked_for_up_to, at_once) in [(Some(WIPED_AT_ONCE_BYTES), true), (Some(0), false), (None, false)] {
            let mut store = SqliteProfiles::open(&path).unwrap();
            store.write(&change).unwrap();
            let large = pages(&store);
            store.remove(&BTreeSet::from([person])).unwrap();
            if let Some(bytes) = asked_for_up_to {
                store.wiped_at_once = bytes;
                store.wipe().unwrap();
            }
            assert_eq!(pages(&store) < large / 2, at_once);
            drop(store);
            // Whoever opens it next, in another process too.
            let store = SqliteProfiles::open(&path).unwrap();
            assert_eq!(store.wipe_what_is_due().unwrap(), !at_once);
            assert!(pages(&store) < large / 2);
            assert!(!store.wipe_what_is_due().unwrap(), "once");
        }
    }

    #[test]
    fn a_store_of_before_there_were_identifiers_is_brought_up_and_keeps_all_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(PROFILES.file);
        let before = Schema { steps: &MIGRATIONS[..1], keeps: &["strands", "entries", "decisions"], ..PROFILES };
        let account = AccountId::of_bytes([7; 16]);
        let insert = "INSERT INTO strands VALUES (1, ?1, ?2, 9, x'aa')";
        before.open(&path).unwrap().execute(insert, ([1_u8; 16].as_slice(), account.bytes().as_slice())).unwrap();
        assert!(matches!(SqliteProfiles::open(&path), Err(StoreError::Older { found: 1, known: 2, .. })));
        PROFILES.migrate(&path).unwrap().expect("a step").commit().unwrap();
        let store = SqliteProfiles::open(&path).unwrap();
        let rows = store.of_identifier(SiteNumber(1), &Identifier::of_account(&account), 5).unwrap();
        let [row] = rows.as_slice() else { panic!("one strand") };
        assert_eq!((row.browser, row.sealed.as_slice()), (9, &[0xaa][..]));
        let email = Identifier { kind: IdentifierKind::Email, key: IdentifierKey::of_bytes([3; 16]) };
        store.write(&Change { identifiers: vec![(row.key, BTreeSet::from([email]))], ..Change::default() }).unwrap();
        assert!(store.of_identifier(SiteNumber(1), &email, 5).unwrap().first().is_some_and(|found| found.key == row.key));
        assert_eq!(store.identifiers(&row.key).unwrap(), BTreeSet::from([email]));
        assert_eq!(
            (
                store.shared(SiteNumber(1), IdentifierKind::Email, 0).unwrap(),
                store.shared(SiteNumber(1), IdentifierKind::Email, 1).unwrap()
            ),
            (1, 0)
        );
        assert_eq!(store.remove(&BTreeSet::from([row.key.person])).unwrap(), 1);
        assert!(store.identifiers(&row.key).unwrap().is_empty() && store.of_identifier(SiteNumber(1), &email, 5).unwrap().is_empty());
    }
}
