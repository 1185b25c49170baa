//! A database's schema: which one a file has (without writing anything), making it, and the steps from an older one.
//!
//! The number stands in SQLite's `user_version`: how many of the [`Schema::steps`] the file has behind it. All that are missing are taken in one
//! transaction, which is committed only if nothing that must stay is fewer than before and the file is whole. So a crash, a full disk or a
//! wrong step leaves the file as it was.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::state::{IN_MEMORY, StoreError};

/// How long a writer waits for another process (the CLI beside a running server) before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Where a SQLite file's header has `user_version`, as four bytes, the highest first.
const VERSION_AT: usize = 60;
const HEADER_BYTES: usize = 64;

/// One database's schema.
#[derive(Clone, Copy)]
pub struct Schema {
    /// The file's name in the data directory.
    pub file: &'static str,
    /// Each brings the schema from its index to the next.
    pub steps: &'static [&'static str],
    /// Tables of which no step may lose a row.
    pub keeps: &'static [&'static str],
}

/// Steps that were taken and are not in force yet: dropped, they are taken back.
pub struct Migration {
    connection: Connection,
    schema: Schema,
}

impl Schema {
    /// The schema that this program works with.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.steps.len() as u32
    }

    /// The schema that a file has; nothing: there is none yet. Writes nothing into it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn found(&self, path: &Path) -> Result<Option<u32>, StoreError> {
        let read = |reason| StoreError::Make { file: self.file.to_owned(), reason };
        if path == Path::new(IN_MEMORY) {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        match File::open(path) {
            Ok(mut file) if file.metadata().map_err(read)?.len() >= HEADER_BYTES as u64 => file.read_exact(&mut header).map_err(read)?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(error)),
        }
        let version = if has_journal(path) {
            version_of(&open_to_look(path).map_err(self.failed())?).map_err(self.failed())?
        } else if header.starts_with(MAGIC) {
            header[VERSION_AT..].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
        } else {
            0
        };
        Ok((version > 0).then_some(version))
    }

    /// Opens a file in WAL mode with full durability, making it where there is none.
    ///
    /// # Errors
    /// When it cannot be opened, or is not of this schema.
    pub fn open(&self, path: &Path) -> Result<Connection, StoreError> {
        let (file, known) = (self.file.to_owned(), self.version());
        match self.found(path)? {
            Some(found) if found > known => return Err(StoreError::Newer { file, found, known }),
            Some(found) if found < known => return Err(StoreError::Older { file, found, known }),
            _ => {}
        }
        let mut connection = self.connect(path)?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(self.failed())?;
        // Asked once more: another process may have been making it.
        if version_of(&transaction).map_err(self.failed())? == 0 {
            for step in self.steps {
                transaction.execute_batch(step).map_err(self.failed())?;
            }
            transaction.pragma_update(None, "user_version", known).map_err(self.failed())?;
        }
        transaction.commit().map_err(self.failed())?;
        Ok(connection)
    }

    /// Takes the steps from an older file's schema to this one. Nothing: there are none to take. They are in force with
    /// [`Migration::commit`].
    ///
    /// # Errors
    /// When a step cannot be taken, or loses something; the file is then as it was.
    pub fn migrate(&self, path: &Path) -> Result<Option<Migration>, StoreError> {
        let (file, known) = (self.file.to_owned(), self.version());
        match self.found(path)? {
            Some(found) if found > known => return Err(StoreError::Newer { file, found, known }),
            Some(found) if found < known => {}
            _ => return Ok(None),
        }
        let connection = self.connect(path)?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(self.failed())?;
        // From here on a return drops the connection, which takes everything back.
        let found = version_of(&connection).map_err(self.failed())?;
        let before = self.rows(&connection)?;
        for step in self.steps.get(found as usize..).unwrap_or_default() {
            connection.execute_batch(step).map_err(self.failed())?;
        }
        let wrong = |what| StoreError::Migration { file: self.file.to_owned(), to: known, what };
        for ((table, before), (_, after)) in before.iter().zip(self.rows(&connection)?) {
            if before.is_some_and(|before| after.is_none_or(|after| after < before)) {
                return Err(wrong(format!("would lose rows of {table}")));
            }
        }
        let whole: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(self.failed())?;
        if whole != "ok" {
            return Err(wrong(String::from("would leave it damaged")));
        }
        connection.pragma_update(None, "user_version", known).map_err(self.failed())?;
        Ok(Some(Migration { connection, schema: *self }))
    }

    /// Writes what a file holds now into another, which nobody else may read and must not be there yet. What was deleted in the one is not in
    /// the other.
    ///
    /// # Errors
    /// When it cannot be written; then there may be a part of it.
    pub fn copy(&self, path: &Path, to: &Path) -> Result<(), StoreError> {
        let made = |reason| StoreError::Make { file: to.display().to_string(), reason };
        make_private(to).map_err(made)?;
        let connection = self.connect(path)?;
        connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map_err(self.failed())?;
        File::open(to).and_then(|copy| copy.sync_all()).map_err(made)
    }

    fn connect(&self, path: &Path) -> Result<Connection, StoreError> {
        make_private(path).map_err(|reason| StoreError::Make { file: self.file.to_owned(), reason })?;
        let connection = Connection::open(path).map_err(self.failed())?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(self.failed())?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(self.failed())?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(self.failed())?;
        connection.pragma_update(None, "secure_delete", "ON").map_err(self.failed())?;
        Ok(connection)
    }

    /// How many rows the tables have that must stay; nothing for one that is not there.
    fn rows(&self, connection: &Connection) -> Result<Vec<(&'static str, Option<u32>)>, StoreError> {
        let rows = |table: &'static str| {
            let there = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
            let count = connection
                .query_row(there, [table], |row| row.get::<_, u32>(0))
                .and_then(|there| match there {
                    0 => Ok(None),
                    // Names of tables are constants of this program.
                    _ => connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).map(Some),
                })
                .map_err(self.failed())?;
            Ok((table, count))
        };
        self.keeps.iter().map(|table| rows(table)).collect()
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> StoreError {
        let file = self.file;
        move |reason| StoreError::Open { file: file.to_owned(), reason }
    }
}

impl Migration {
    /// Puts the steps in force.
    ///
    /// # Errors
    /// When they cannot be made durable; the file is then as it was.
    pub fn commit(self) -> Result<(), StoreError> {
        self.connection.execute_batch("COMMIT").map_err(self.schema.failed())?;
        // Old pages rest in the journal until they are checkpointed; a step may have replaced what is to be gone.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(self.schema.failed())
    }
}

/// Whether what a file holds now may be in its journal alone.
fn has_journal(path: &Path) -> bool {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-wal");
    std::fs::metadata(journal).is_ok_and(|journal| journal.len() > 0)
}

/// Opens a file without writing anything. SQLite makes a journal even for that where there is none, unless it is told that nobody writes.
///
/// # Errors
/// SQLite's own.
pub fn open_to_look(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    if !has_journal(path) {
        let encoded = percent_encoding::percent_encode(path.as_os_str().as_encoded_bytes(), percent_encoding::NON_ALPHANUMERIC);
        return Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI);
    }
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn version_of(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Makes the file readable by nobody else before anything is in it; SQLite gives its companions the same permissions.
fn make_private(path: &Path) -> io::Result<()> {
    if path == Path::new(IN_MEMORY) {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::*;

    const FIRST: &str = "CREATE TABLE things (name TEXT)";
    const SECOND: &str = "ALTER TABLE things ADD COLUMN size INTEGER; CREATE TABLE more (number INTEGER)";
    const OLD: Schema = Schema { file: "a.db", steps: &[FIRST], keeps: &["things", "more"] };
    const NEW: Schema = Schema { steps: &[FIRST, SECOND], ..OLD };

    struct Files {
        directory: tempfile::TempDir,
    }

    impl Files {
        /// A file of the old schema with so many rows.
        fn old(rows: usize) -> Self {
            let files = Self { directory: tempfile::tempdir().unwrap() };
            let connection = OLD.open(&files.path()).unwrap();
            for row in 0..rows {
                connection.execute("INSERT INTO things (name) VALUES (?1)", [format!("{row:0>600}")]).unwrap();
            }
            files
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("a.db")
        }

        /// Every file's bytes, but for SQLite's index of the journal, which holds nothing.
        fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
            let paths = std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
            paths
                .filter(|path| !path.to_string_lossy().ends_with("-shm"))
                .map(|path| (path.clone(), std::fs::read(path).unwrap()))
                .collect()
        }
    }

    #[test]
    fn a_new_file_is_made_and_an_existing_one_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        assert_eq!(NEW.found(&path).unwrap(), None);
        drop(NEW.open(&path).unwrap());
        assert_eq!(NEW.found(&path).unwrap(), Some(2));
        drop(NEW.open(&path).unwrap());
        assert!(NEW.migrate(&path).unwrap().is_none(), "there is nothing to do");
    }

    #[test]
    fn an_older_file_is_not_opened_but_by_its_steps() {
        let files = Files::old(3);
        let before = files.bytes();
        assert!(matches!(NEW.open(&files.path()), Err(StoreError::Older { found: 1, known: 2, .. })));
        assert_eq!(files.bytes(), before);
        NEW.migrate(&files.path()).unwrap().expect("a step").commit().unwrap();
        let connection = NEW.open(&files.path()).unwrap();
        assert_eq!(connection.query_row("SELECT count(*) FROM things WHERE size IS NULL", [], |row| row.get::<_, u32>(0)).unwrap(), 3);
    }

    #[test]
    fn a_newer_file_is_refused_and_nothing_is_written_also_with_a_journal() {
        let files = Files::old(3);
        drop(NEW.migrate(&files.path()).unwrap().expect("a step").commit());
        let before = files.bytes();
        assert!(matches!(OLD.open(&files.path()), Err(StoreError::Newer { found: 2, known: 1, .. })));
        assert!(matches!(OLD.migrate(&files.path()), Err(StoreError::Newer { .. })));
        assert_eq!(files.bytes(), before);
        // A program that ended without closing leaves its last words in the journal alone.
        let open = NEW.open(&files.path()).unwrap();
        open.pragma_update(None, "user_version", 7).unwrap();
        let before = files.bytes();
        assert!(before.len() == 2, "a journal is there");
        assert!(matches!(OLD.open(&files.path()), Err(StoreError::Newer { found: 7, .. })));
        assert_eq!(files.bytes(), before);
        drop(open);
    }

    #[test]
    fn steps_that_are_not_committed_are_taken_back() {
        let files = Files::old(3);
        drop(NEW.migrate(&files.path()).unwrap().expect("a step"));
        assert_eq!(NEW.found(&files.path()).unwrap(), Some(1));
        drop(OLD.open(&files.path()).unwrap());
    }

    #[test]
    fn a_crash_in_the_middle_of_the_steps_leaves_the_file_as_it_was() {
        const REWRITES: Schema = Schema { steps: &[FIRST, "UPDATE things SET name = name || '.'"], ..OLD };
        let files = Files::old(2000);
        let under_way = REWRITES.migrate(&files.path()).unwrap().expect("a step");
        under_way.connection.cache_flush().unwrap();
        // What a power cut would leave: the files as they are now, with pages of the step in the journal.
        let after = tempfile::tempdir().unwrap();
        for (path, bytes) in files.bytes() {
            assert!(!path.to_string_lossy().ends_with("-wal") || bytes.len() > 500_000, "the step is in the journal: {}", bytes.len());
            std::fs::write(after.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        drop(under_way);
        let path = after.path().join("a.db");
        assert_eq!(REWRITES.found(&path).unwrap(), Some(1));
        let rows = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM things WHERE name LIKE '%.'", [], |row| row.get::<_, u32>(0)).unwrap()
        };
        assert_eq!(rows(&OLD.open(&path).unwrap()), 0, "the program before goes on");
        REWRITES.migrate(&path).unwrap().expect("the same step, again").commit().unwrap();
        assert_eq!(rows(&REWRITES.open(&path).unwrap()), 2000);
    }

    #[test]
    fn a_step_that_fails_or_loses_rows_is_taken_back() {
        const LOSES: &str = "DELETE FROM things WHERE rowid = 2";
        const DROPS: &str = "DROP TABLE things";
        const WRONG: &str = "CREATE TABLE more (number INTEGER); INSERT INTO nowhere VALUES (1)";
        let files = Files::old(3);
        for (step, says) in [(LOSES, "would lose rows of things"), (DROPS, "would lose rows of things"), (WRONG, "no such table")] {
            let steps: &'static [&'static str] = Box::leak(Box::new([FIRST, step]));
            let error = Schema { steps, ..OLD }.migrate(&files.path()).map(drop).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            let connection = OLD.open(&files.path()).unwrap();
            assert_eq!(connection.query_row("SELECT count(*) FROM things", [], |row| row.get::<_, u32>(0)).unwrap(), 3);
            assert!(connection.query_row("SELECT count(*) FROM more", [], |_| Ok(())).is_err());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_copy_holds_what_the_file_does_and_is_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let files = Files::old(3);
        let connection = OLD.open(&files.path()).unwrap();
        connection.execute("INSERT INTO things (name) VALUES ('in the journal alone')", []).unwrap();
        connection.execute("DELETE FROM things WHERE rowid = 1", []).unwrap();
        let copy = files.directory.path().join("copy.db");
        OLD.copy(&files.path(), &copy).unwrap();
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(OLD.found(&copy).unwrap(), Some(1));
        let names = "SELECT count(*), max(name) FROM things";
        let found = Connection::open(&copy).unwrap().query_row(names, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)));
        assert_eq!(found.unwrap(), (3, String::from("in the journal alone")));
    }
}
