//! `state.db`: the small state beside the event log (SQLite). Documents, consumer state, ledger, counters, persistent keys,
//! proof of consent, crowds, how far a recleanse is.
//! Nothing in it is on the path of an acknowledgement, but for the record of a consent that begins, changes or ends.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rusqlite::Connection;

/// How long a writer waits for another process (the CLI beside a running server) before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLite's name for a database that rests nowhere.
pub const IN_MEMORY: &str = ":memory:";

/// Each entry brings the schema from its index to the next; never edited once released.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE site_numbers (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
    CREATE TABLE destination_numbers (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
    CREATE TABLE document_versions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
        body TEXT, author TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL, UNIQUE (kind, name, version));
    CREATE TABLE counters (
        site INTEGER NOT NULL, day INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (site, day, reason)) WITHOUT ROWID;
    CREATE TABLE epoch_starts (
        site INTEGER NOT NULL, epoch INTEGER NOT NULL, starts INTEGER NOT NULL, PRIMARY KEY (site, epoch)) WITHOUT ROWID;
    CREATE TABLE site_keys (site INTEGER PRIMARY KEY, key BLOB NOT NULL);
    CREATE TABLE destination_keys (destination INTEGER PRIMARY KEY, key BLOB NOT NULL);
    CREATE TABLE purge_set (
        site INTEGER NOT NULL, epoch INTEGER NOT NULL, token BLOB NOT NULL, PRIMARY KEY (site, epoch, token)) WITHOUT ROWID;
    CREATE TABLE consumers (destination INTEGER PRIMARY KEY, low_water INTEGER NOT NULL, head INTEGER NOT NULL);
    CREATE TABLE consumer_open (
        destination INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, why TEXT NOT NULL, until INTEGER,
        PRIMARY KEY (destination, first)) WITHOUT ROWID;
    CREATE TABLE ledger_parcels (
        id INTEGER PRIMARY KEY AUTOINCREMENT, destination INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        offsets TEXT NOT NULL, count INTEGER NOT NULL, state TEXT NOT NULL, status TEXT NOT NULL, attempt INTEGER NOT NULL,
        policy_version INTEGER NOT NULL, at INTEGER NOT NULL);
    CREATE INDEX ledger_parcels_by_offset ON ledger_parcels (destination, first, last);
    CREATE TABLE ledger_ranges (
        destination INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, offsets TEXT NOT NULL, count INTEGER NOT NULL,
        state TEXT NOT NULL, rule TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (destination, first)) WITHOUT ROWID;
    CREATE TABLE ledger_counts (
        destination INTEGER NOT NULL, day INTEGER NOT NULL, state TEXT NOT NULL, rule TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (destination, day, state, rule)) WITHOUT ROWID;
    CREATE TABLE parked (
        destination INTEGER NOT NULL, record INTEGER NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (destination, record)) WITHOUT ROWID;
",
    "
    CREATE TABLE consent_proof (
        number INTEGER PRIMARY KEY, hash BLOB NOT NULL, link BLOB NOT NULL, kept_until INTEGER NOT NULL,
        consent BLOB, site INTEGER, said TEXT, purposes INTEGER, source TEXT, policy TEXT, policy_version INTEGER, at INTEGER,
        expires INTEGER);
    CREATE INDEX consent_proof_by_consent ON consent_proof (consent) WHERE consent IS NOT NULL;
    CREATE INDEX consent_proof_by_end ON consent_proof (kept_until) WHERE consent IS NOT NULL;
",
    "
    CREATE TABLE daily_uniques (
        site INTEGER NOT NULL, day INTEGER NOT NULL, visitors INTEGER NOT NULL, visits INTEGER NOT NULL,
        PRIMARY KEY (site, day)) WITHOUT ROWID;
",
    // It rests in keys.db.
    "DROP TABLE purge_set",
    "
    CREATE TABLE recleanse (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1), run INTEGER NOT NULL, revision INTEGER NOT NULL, cause TEXT NOT NULL,
        began INTEGER NOT NULL, ended INTEGER, short_below INTEGER NOT NULL, long_below INTEGER NOT NULL,
        segments_done INTEGER NOT NULL, segments INTEGER NOT NULL, replaced INTEGER NOT NULL, asked INTEGER NOT NULL);
",
    "
    CREATE TABLE crowd_days (
        site INTEGER NOT NULL, epoch INTEGER NOT NULL, visitors INTEGER NOT NULL, PRIMARY KEY (site, epoch)) WITHOUT ROWID;
    CREATE TABLE crowds (
        site INTEGER NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, cell TEXT NOT NULL, visitors INTEGER NOT NULL,
        PRIMARY KEY (site, epoch, kind, cell)) WITHOUT ROWID;
",
    "
    CREATE TABLE crowd_decisions (
        site INTEGER NOT NULL, destination INTEGER NOT NULL, release TEXT NOT NULL, period INTEGER NOT NULL, epoch INTEGER NOT NULL,
        decision TEXT NOT NULL, PRIMARY KEY (site, destination, release, period)) WITHOUT ROWID;
",
];

/// The open database. One connection, one user at a time; every use is short.
pub struct StateDb {
    connection: Mutex<Connection>,
}

/// The database could not be opened, read or written. Carries SQLite's own words, which name tables and never values.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Opening or migrating failed.
    #[error("{file}: {reason}")]
    Open {
        /// Which file.
        file: String,
        /// SQLite's reason.
        reason: rusqlite::Error,
    },
    /// The file could not be made.
    #[error("{file}: cannot be made: {reason}")]
    Make {
        /// Which file.
        file: String,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// Written by a newer program.
    #[error("{file} has schema {found}, this program knows {known}: start the program that wrote it, or a newer one")]
    Newer {
        /// Which file.
        file: String,
        /// The schema found.
        found: usize,
        /// The newest schema known.
        known: usize,
    },
    /// A read or write failed.
    #[error("state.db: {0}")]
    Use(#[from] rusqlite::Error),
}

impl StateDb {
    /// Opens the file, creating and migrating it as needed.
    ///
    /// # Errors
    /// When it cannot be opened, or a newer program wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open_database(path, MIGRATIONS)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Uses the connection. Blocks: call it through `Supervisor::blocking` from async code.
    ///
    /// # Errors
    /// What the work returns.
    pub fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        // A poisoned lock means that a panic unwound through an open transaction, which SQLite rolled back: the connection is sound.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(&mut connection)?)
    }
}

/// Opens a SQLite file in WAL mode with full durability and brings its schema up to date.
///
/// # Errors
/// When it cannot be opened, or a newer program wrote it.
pub fn open_database(path: &Path, migrations: &[&str]) -> Result<Connection, StoreError> {
    let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let failed = |reason| StoreError::Open { file: file.clone(), reason };
    make_private(path).map_err(|reason| StoreError::Make { file: file.clone(), reason })?;
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "secure_delete", "ON").map_err(failed)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
    let found = transaction.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).map_err(failed)?;
    let found = found as usize;
    if found > migrations.len() {
        return Err(StoreError::Newer { file, found, known: migrations.len() });
    }
    for step in &migrations[found..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", migrations.len() as u32).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(connection)
}

/// Makes the file readable by nobody else before anything is in it; SQLite gives its companions the same permissions.
fn make_private(path: &Path) -> std::io::Result<()> {
    if path == Path::new(IN_MEMORY) {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_twice_and_refuses_a_newer_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("state.db");
        drop(StateDb::open(&path).expect("a new file opens"));
        drop(StateDb::open(&path).expect("an existing file opens"));
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(StateDb::open(&path), Err(StoreError::Newer { found: 99, .. })));
    }
}
