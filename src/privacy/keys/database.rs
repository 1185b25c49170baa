//! `keys.db`: the keys that must be destroyed one by one, and the objections that take their place where there is no key (the purge set). A
//! file of its own, so that a backup of the log and the state holds no key, and none that is older than an objection undoes it;
//! deleted rows are overwritten and the write-ahead log is truncated after each destruction.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior, ffi};

use crate::{schema::Schema, state::StoreError};

/// The steps of keys.db's schema, and the one place to add to: append one entry, as in `state.rs`. Two rules more, because of what it holds.
/// There is **no copy** of older keys (a copy would outlive the destruction of a key in it), so a step must be one that the transaction alone
/// makes safe: it adds columns and tables, and leaves every key as it is. And a table of keys belongs into [`KEYS`], among those that may
/// not lose a row.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE persons (
        handle BLOB PRIMARY KEY, site INTEGER NOT NULL, cookie BLOB NOT NULL, key BLOB NOT NULL, expires INTEGER NOT NULL,
        UNIQUE (site, cookie)) WITHOUT ROWID;
    CREATE INDEX persons_by_expiry ON persons (expires);
    CREATE TABLE epochs (
        site INTEGER NOT NULL, destination INTEGER NOT NULL, epoch INTEGER NOT NULL, key BLOB NOT NULL, visitors INTEGER NOT NULL,
        PRIMARY KEY (site, destination, epoch)) WITHOUT ROWID;
",
    "
    ALTER TABLE persons ADD COLUMN consent BLOB;
    ALTER TABLE persons ADD COLUMN purposes INTEGER NOT NULL DEFAULT 0;
    UPDATE persons SET consent = randomblob(16);
",
    "
    CREATE TABLE purge_set (
        site INTEGER NOT NULL, epoch INTEGER NOT NULL, token BLOB NOT NULL, PRIMARY KEY (site, epoch, token)) WITHOUT ROWID;
",
    "
    ALTER TABLE persons ADD COLUMN agreed INTEGER;
",
];

/// keys.db.
pub const KEYS: Schema = Schema { file: "keys.db", steps: MIGRATIONS, keeps: &["persons", "epochs", "purge_set"] };

/// How often the write-ahead log is tried to be wiped while somebody reads it; each time SQLite itself waits for seconds.
const WIPE_ATTEMPTS_MAX: u32 = 5;
/// Between two such attempts.
const WIPE_PAUSE: Duration = Duration::from_millis(200);

/// The open `keys.db`.
pub struct KeysDb {
    connection: Mutex<Connection>,
}

impl KeysDb {
    /// Opens the file, making it where there is none.
    ///
    /// # Errors
    /// When it cannot be opened, or is not of this program's schema.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: Mutex::new(KEYS.open(path)?) })
    }

    pub(in crate::privacy) fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        // A poisoned lock means that a panic unwound through an open transaction, which SQLite rolled back: the connection is sound.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(&mut connection)?)
    }

    /// Destroys the key rows of those whose handle is meant, and writes the whole file anew, so that neither the slack of a page nor the
    /// write-ahead log holds anything of them. Returns how many there were. Blocks, and holds up other writers for as long as the file takes.
    pub(in crate::privacy) fn destroy_people(&self, mut is_meant: impl FnMut(&[u8; 16]) -> bool) -> Result<usize, StoreError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let meant: Vec<[u8; 16]> = {
                let mut select = transaction.prepare("SELECT handle FROM persons")?;
                let handles = select.query_map([], |row| row.get(0))?;
                handles.filter(|handle| handle.as_ref().map_or(true, &mut is_meant)).collect::<rusqlite::Result<_>>()?
            };
            for handle in &meant {
                transaction.execute("DELETE FROM persons WHERE handle = ?1", [handle])?;
            }
            transaction.commit()?;
            connection.execute_batch("VACUUM")?;
            for attempt in 1.. {
                let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
                if !busy {
                    break;
                }
                if attempt == WIPE_ATTEMPTS_MAX {
                    return Err(rusqlite::Error::SqliteFailure(
                        ffi::Error { code: ErrorCode::DatabaseBusy, extended_code: ffi::SQLITE_BUSY },
                        None,
                    ));
                }
                std::thread::sleep(WIPE_PAUSE);
            }
            Ok(meant.len())
        })
    }

    /// Deletes key rows, and wipes what the write-ahead log still holds of them.
    pub(super) fn destroy(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<usize>) -> Result<usize, StoreError> {
        self.with(|connection| {
            let destroyed = work(connection)?;
            if destroyed > 0 {
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            }
            Ok(destroyed)
        })
    }
}
