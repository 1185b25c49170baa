//! `keys.db`: the keys that must be destroyed one by one, and the objections that take their place where there is no key (the purge set). A
//! file of its own, so that a backup of the log and the state holds no key, and none that is older than an objection undoes it;
//! deleted rows are overwritten and the write-ahead log is truncated after each destruction.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use rusqlite::Connection;

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
];

/// keys.db.
pub const KEYS: Schema = Schema { file: "keys.db", steps: MIGRATIONS, keeps: &["persons", "epochs", "purge_set"] };

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
