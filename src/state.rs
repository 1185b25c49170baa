//! `state.db`: the small state beside the event log (SQLite). Documents, consumer state, ledger, counters, persistent keys,
//! proof of consent, crowds, what left, how far a recleanse is, what is to be sent again, who looked at whose profile.
//! Nothing in it is on the path of an acknowledgement, but for the record of a consent that begins, changes or ends.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use rusqlite::Connection;

use crate::schema::Schema;

/// SQLite's name for a database that rests nowhere.
pub const IN_MEMORY: &str = ":memory:";

/// The steps of state.db's schema, and the one place to add to: **append one entry, at the end**, with what brings the tables from the schema
/// before to the new one; the schema's number is how many entries there are. An entry that is in a released program is never edited, moved or
/// removed. Nothing else is to be done: the start makes a copy of older data and takes the step (`upgrade.rs`), and the fixtures in
/// `tests/releases/` are brought up by it in the tests. What [`Schema::keeps`] lists may not lose a row.
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
    // Older programs read it, to say who wrote what they refuse: its columns stay.
    "
    CREATE TABLE programs (
        started INTEGER NOT NULL, program TEXT NOT NULL, state INTEGER NOT NULL, keys INTEGER NOT NULL, log INTEGER NOT NULL);
",
    "
    CREATE TABLE egress_open (
        day INTEGER NOT NULL, destination INTEGER NOT NULL, figure TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (day, destination, figure, name)) WITHOUT ROWID;
    CREATE TABLE egress_running (destination INTEGER PRIMARY KEY);
    CREATE TABLE egress_days (
        number INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, kept_until INTEGER NOT NULL, root BLOB NOT NULL,
        link BLOB NOT NULL, key BLOB NOT NULL, signature BLOB NOT NULL);
    CREATE TABLE egress_records (
        number INTEGER NOT NULL, destination INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (number, destination)) WITHOUT ROWID;
",
    "
    CREATE TABLE replays (
        number INTEGER PRIMARY KEY AUTOINCREMENT, destination INTEGER NOT NULL, offsets TEXT NOT NULL, count INTEGER NOT NULL,
        author TEXT NOT NULL, reason TEXT NOT NULL, asked INTEGER NOT NULL, reopened INTEGER NOT NULL, begun INTEGER);
    CREATE INDEX replays_asked ON replays (destination) WHERE begun IS NULL;
",
    "
    CREATE TABLE profile_audit (
        number INTEGER PRIMARY KEY AUTOINCREMENT, site INTEGER NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL, name TEXT NOT NULL,
        act TEXT NOT NULL, profiles INTEGER NOT NULL);
    CREATE INDEX profile_audit_by_age ON profile_audit (at);
    CREATE INDEX profile_audit_of_site ON profile_audit (site, number);
    CREATE TABLE profile_audit_marks (mark BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (mark, number)) WITHOUT ROWID;
    CREATE INDEX profile_audit_marks_by_number ON profile_audit_marks (number);
",
];

/// state.db.
pub const STATE: Schema = Schema {
    file: "state.db",
    steps: MIGRATIONS,
    keeps: &["document_versions", "site_keys", "destination_keys", "consent_proof", "egress_days", "egress_records"],
};

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
    #[error("{file} has schema {found}, this program knows {known}: start the program that wrote it, or a newer one; nothing was changed")]
    Newer {
        /// Which file.
        file: String,
        /// The schema found.
        found: u32,
        /// The newest schema known.
        known: u32,
    },
    /// Written by an older program. A server's start brings it up to date; nobody else does.
    #[error(
        "{file} has schema {found}, this program works with {known}: nothing was changed\n  \
         fix: start the server with this program, which copies older data and brings it up to date; while the older one runs, use its commands"
    )]
    Older {
        /// Which file.
        file: String,
        /// The schema found.
        found: u32,
        /// The schema that this program works with.
        known: u32,
    },
    /// A step to a newer schema would have lost rows, or left the file damaged. It was taken back.
    #[error(
        "{file}: the step to schema {to} {what}; it was taken back, and the file is as it was\n  fix: go on with the program before, and report this"
    )]
    Migration {
        /// Which file.
        file: String,
        /// The schema that was to be reached.
        to: u32,
        /// What was wrong.
        what: String,
    },
    /// A read or write failed.
    #[error("state.db: {0}")]
    Use(#[from] rusqlite::Error),
}

impl StateDb {
    /// Opens the file, making it where there is none.
    ///
    /// # Errors
    /// When it cannot be opened, or is not of this program's schema.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: Mutex::new(STATE.open(path)?) })
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
