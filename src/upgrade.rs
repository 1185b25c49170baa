//! Bringing a data directory that an older program wrote to what this one works with, and refusing one that a newer program wrote.
//!
//! | at rest | its version | the list of its steps |
//! |---|---|---|
//! | `state.db` | SQLite's `user_version` | `MIGRATIONS` in `state.rs` |
//! | `keys.db` | the same | `MIGRATIONS` in `privacy/keys/database.rs` |
//! | `erasures.db` | the same | `MIGRATIONS` in `privacy/rights/erasures.rs` |
//! | `profiles.db` | the same | `MIGRATIONS` in `profile/sqlite.rs` |
//! | `log/*.log` | a byte in each file's header | none: formats N and N−1 are read, N is written |
//!
//! At a start, under the directory's lock: look at every version, writing nothing → refuse what is newer → copy `state.db` → take all
//! databases' steps, each in a transaction → check → commit all. Whatever fails or ends before the commits leaves all as they were. The next
//! start begins again, with a new copy.
//!
//! **The copy** is for going back to the program before: [`COPIES`]`/state-schema-N.db`, the newest alone, for [`COPY_KEPT`]. It holds no key
//! of a person. **`keys.db` is never copied**: a key that is destroyed after a copy was made would live on in it, whatever a file system does
//! with what is overwritten. Its steps may only add, and the transaction is what makes them safe.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    clock::Timestamp,
    event_log::{self, LogError},
    privacy::{keys::database::KEYS, rights::erasures::ERASURES},
    profile::sqlite::PROFILES,
    schema::{Schema, open_to_look},
    state::{STATE, StateDb, StoreError},
};

/// Where copies are, below the data directory.
pub const COPIES: &str = "copies";
/// How long a copy is kept: long enough to see a release through a whole week of a site's traffic, and no longer than crowds, the first thing that
/// `state.db` forgets, outlive their events.
pub const COPY_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Rows of the table of programs: years of releases, and of going back and forth between two.
const PROGRAMS_MAX: u32 = 200;

/// Why a data directory cannot be used by this program.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// A newer program wrote it.
    #[error(
        "{} has {what} {found}, and this program (firsthand {}) knows {what}s up to {known}: {}. Nothing was changed.\n  \
         fix: start the program that wrote it, or a newer one; docs/upgrades.md says how to go back",
        file.display(), env!("CARGO_PKG_VERSION"), written_by.as_ref().map_or_else(|| String::from("a newer program wrote it"), |program| format!("it was last used by firsthand {program}"))
    )]
    Newer {
        /// Which file.
        file: PathBuf,
        /// "schema" or "format".
        what: &'static str,
        /// The version found.
        found: u32,
        /// The newest that is known.
        known: u32,
        /// Which program had it last, if that can be told.
        written_by: Option<String>,
    },
    /// The log is of a program before the one before.
    #[error(
        "{} has format {found}, and this program reads formats from {oldest} on. Nothing was changed.\n  \
         fix: start a release in between once, and stop it when the log's oldest files are gone", file.display()
    )]
    TooOld {
        /// Which file.
        file: PathBuf,
        /// The format found.
        found: u32,
        /// The oldest that is read.
        oldest: u32,
    },
    /// No copy of the older data could be made.
    #[error("{}: no copy of {file} could be made before its upgrade ({bytes} bytes at most): {reason}. Nothing was changed.\n  fix: make room, and start again", directory.display())]
    Copy {
        /// Where.
        directory: PathBuf,
        /// Of which file.
        file: &'static str,
        /// How large it can get.
        bytes: u64,
        /// Why not.
        reason: String,
    },
    /// The steps could not be taken.
    #[error("the data could not be brought up to date: {0}\n  it is as it was; the program before can go on with it")]
    Steps(StoreError),
    /// The versions could not be looked at.
    #[error(transparent)]
    Look(StoreError),
    /// The log could not be looked at.
    #[error(transparent)]
    Log(LogError),
}

/// One database that has steps before it.
#[derive(Debug, PartialEq, Eq)]
pub struct Behind {
    /// Its file.
    pub file: &'static str,
    /// The schema that it has.
    pub found: u32,
    /// The schema that it will have.
    pub known: u32,
}

/// What is older than this program. Writes nothing.
///
/// # Errors
/// Where something is newer, or cannot be read.
pub fn look(directory: &Path) -> Result<Vec<Behind>, UpgradeError> {
    look_with(directory, [STATE, KEYS, ERASURES, PROFILES])
}

/// Brings the directory up to date. The caller holds its lock.
///
/// # Errors
/// As for [`look`]; where no copy can be made, or a step not be taken. The data is then as it was.
pub fn bring_up_to_date(directory: &Path, now: Timestamp) -> Result<(), UpgradeError> {
    bring_with(directory, [STATE, KEYS, ERASURES, PROFILES], now)
}

fn look_with<const N: usize>(directory: &Path, schemas: [Schema; N]) -> Result<Vec<Behind>, UpgradeError> {
    let mut behind = Vec::new();
    for schema in schemas {
        let path = directory.join(schema.file);
        let (found, known) = (schema.found(&path).map_err(UpgradeError::Look)?, schema.version());
        match found {
            Some(found) if found > known => {
                let written_by = last_program(directory);
                return Err(UpgradeError::Newer { file: path, what: "schema", found, known, written_by });
            }
            Some(found) if found < known => behind.push(Behind { file: schema.file, found, known }),
            _ => {}
        }
    }
    let log = directory.join("log");
    for (file, found) in event_log::formats(&log).map_err(UpgradeError::Log)? {
        let (file, found) = (log.join(file), u32::from(found));
        let (oldest, known) = (u32::from(*event_log::FORMATS_READ.start()), u32::from(*event_log::FORMATS_READ.end()));
        if found > known {
            return Err(UpgradeError::Newer { file, what: "format", found, known, written_by: last_program(directory) });
        }
        if found < oldest {
            return Err(UpgradeError::TooOld { file, found, oldest });
        }
    }
    Ok(behind)
}

fn bring_with<const N: usize>(directory: &Path, schemas: [Schema; N], now: Timestamp) -> Result<(), UpgradeError> {
    forget_old_copies(directory, now);
    let behind = look_with(directory, schemas)?;
    if let Some(state) = behind.iter().find(|behind| behind.file == STATE.file) {
        copy(directory, &schemas[0], state.found)?;
    }
    let migrations: Vec<_> =
        schemas.iter().map(|schema| schema.migrate(&directory.join(schema.file))).collect::<Result<_, _>>().map_err(UpgradeError::Steps)?;
    for migration in migrations.into_iter().flatten() {
        migration.commit().map_err(UpgradeError::Steps)?;
    }
    for Behind { file, found, known } in behind {
        tracing::info!(file, from = found, to = known, "older data was brought up to date");
    }
    Ok(())
}

/// Copies state.db in one piece or not at all, and removes the copies before.
fn copy(directory: &Path, state: &Schema, found: u32) -> Result<(), UpgradeError> {
    let (copies, path) = (directory.join(COPIES), directory.join(state.file));
    let bytes = fs::metadata(&path).map_or(0, |file| file.len());
    let failed = |reason: String| UpgradeError::Copy { directory: copies.clone(), file: state.file, bytes, reason };
    make_private_directory(&copies).map_err(|error| failed(error.to_string()))?;
    let (part, whole) = (copies.join("state.db.part"), copies.join(format!("state-schema-{found}.db")));
    let made = remove(&part).map_err(|error| error.to_string()).and_then(|()| state.copy(&path, &part).map_err(|error| error.to_string()));
    if let Err(reason) = made {
        // What there is of it would take the room that is missing.
        let _ = remove(&part);
        return Err(failed(reason));
    }
    let sync = || fs::File::open(&copies).and_then(|copies| copies.sync_all());
    fs::rename(&part, &whole).and_then(|()| sync()).map_err(|error| failed(error.to_string()))?;
    for other in list(&copies).into_iter().filter(|other| *other != whole) {
        if remove(&other).is_err() {
            tracing::warn!("a copy of older data could not be removed; the next start tries again");
        }
    }
    tracing::info!(schema = found, "a copy of state.db was made, to go back with");
    Ok(())
}

/// Removes copies whose time is over.
pub fn forget_old_copies(directory: &Path, now: Timestamp) {
    for file in list(&directory.join(COPIES)) {
        let made = fs::metadata(&file).and_then(|file| file.modified()).ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        // One that does not say how old it is has no time left.
        let over = made.is_none_or(|made| now.since(Timestamp(0).plus(made)) >= COPY_KEPT);
        if over && remove(&file).is_err() {
            tracing::warn!("an old copy of state.db could not be removed; the next round tries again");
        }
    }
}

/// Removes every copy at once: for an erasure that must reach all there is.
///
/// # Errors
/// When one cannot be removed.
pub fn forget_copies(directory: &Path) -> io::Result<()> {
    list(&directory.join(COPIES)).iter().try_for_each(|file| remove(file))
}

/// Writes down that this program works with the data from now on, where another one did before.
///
/// # Errors
/// When it cannot be written.
pub fn note_program(state: &StateDb, now: Timestamp) -> Result<(), StoreError> {
    let log = *event_log::FORMATS_READ.end();
    let row = (env!("CARGO_PKG_VERSION"), STATE.version(), KEYS.version(), log);
    state.with(|connection| {
        let last = "SELECT program, state, keys, log FROM programs ORDER BY rowid DESC LIMIT 1";
        let last = connection
            .query_row(last, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, u32>(2)?, row.get::<_, u8>(3)?)));
        match last {
            Ok((program, state, keys, log)) if (program.as_str(), state, keys, log) == row => return Ok(()),
            Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
            Err(error) => return Err(error),
        }
        let insert = "INSERT INTO programs (started, program, state, keys, log) VALUES (?1, ?2, ?3, ?4, ?5)";
        connection.execute(insert, (now.0, row.0, row.1, row.2, row.3))?;
        connection.execute("DELETE FROM programs WHERE rowid <= (SELECT max(rowid) FROM programs) - ?1", [PROGRAMS_MAX])?;
        Ok(())
    })
}

/// Which program had the data last. A newer program's tables are only asked for what never changes in them.
fn last_program(directory: &Path) -> Option<String> {
    let connection = open_to_look(&directory.join(STATE.file)).ok()?;
    connection.query_row("SELECT program FROM programs ORDER BY rowid DESC LIMIT 1", [], |row| row.get(0)).ok()
}

fn make_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn list(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [Schema; 3] = [
        Schema { file: STATE.file, steps: &["CREATE TABLE things (name TEXT)"], keeps: &[] },
        Schema { file: KEYS.file, steps: &["CREATE TABLE persons (key BLOB)"], keeps: &["persons"] },
        Schema { file: ERASURES.file, steps: &["CREATE TABLE erasures (mark BLOB)"], keeps: &["erasures"] },
    ];
    const NEW: [Schema; 3] = [
        Schema { steps: &["CREATE TABLE things (name TEXT)", "ALTER TABLE things ADD COLUMN size INTEGER"], ..OLD[0] },
        Schema { steps: &["CREATE TABLE persons (key BLOB)", "ALTER TABLE persons ADD COLUMN until INTEGER"], ..OLD[1] },
        Schema { steps: &["CREATE TABLE erasures (mark BLOB)", "ALTER TABLE erasures ADD COLUMN why TEXT"], ..OLD[2] },
    ];

    fn old() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for schema in OLD {
            drop(schema.open(&directory.path().join(schema.file)).unwrap());
        }
        directory
    }

    fn versions(directory: &Path) -> [Option<u32>; 3] {
        NEW.map(|schema| schema.found(&directory.join(schema.file)).unwrap())
    }

    fn now() -> Timestamp {
        crate::clock::now()
    }

    #[test]
    fn all_are_brought_up_state_is_copied_and_keys_are_not() {
        let directory = old();
        let directory = directory.path();
        assert_eq!(look_with(directory, NEW).unwrap().len(), 3);
        assert_eq!(versions(directory), [Some(1); 3], "looking changes nothing");
        bring_with(directory, NEW, now()).unwrap();
        assert_eq!(versions(directory), [Some(2); 3]);
        let copies = list(&directory.join(COPIES));
        assert_eq!(copies, [directory.join(COPIES).join("state-schema-1.db")]);
        assert_eq!(OLD[0].found(&copies[0]).unwrap(), Some(1), "the program before can go on with it");
        bring_with(directory, NEW, now()).unwrap();
        assert_eq!(list(&directory.join(COPIES)).len(), 1, "there is nothing to do");
    }

    #[test]
    fn where_one_cannot_be_brought_up_the_others_stay_too() {
        let directory = old();
        let directory = directory.path();
        let wrong = Schema { steps: &["CREATE TABLE persons (key BLOB)", "CREATE TABLE persons (key BLOB)"], ..OLD[1] };
        assert!(matches!(bring_with(directory, [NEW[0], wrong, NEW[2]], now()), Err(UpgradeError::Steps(_))));
        assert_eq!(versions(directory), [Some(1); 3]);
        // Where the power went between the two commits, the next start does what is left.
        NEW[0].migrate(&directory.join(STATE.file)).unwrap().expect("a step").commit().unwrap();
        assert_eq!(versions(directory), [Some(2), Some(1), Some(1)]);
        bring_with(directory, NEW, now()).unwrap();
        assert_eq!(versions(directory), [Some(2); 3]);
    }

    #[test]
    fn without_a_copy_nothing_is_changed() {
        let directory = old();
        let directory = directory.path();
        // Where its directory would be there is a file.
        fs::write(directory.join(COPIES), "").unwrap();
        assert!(matches!(bring_with(directory, NEW, now()), Err(UpgradeError::Copy { .. })));
        assert_eq!(versions(directory), [Some(1); 3]);
    }

    #[test]
    fn the_newest_copy_alone_is_kept_and_not_for_long() {
        let directory = old();
        let directory = directory.path();
        make_private_directory(&directory.join(COPIES)).unwrap();
        for left in ["state-schema-0.db", "state.db.part"] {
            fs::write(directory.join(COPIES).join(left), "left by an earlier start").unwrap();
        }
        bring_with(directory, NEW, now()).unwrap();
        let copy = directory.join(COPIES).join("state-schema-1.db");
        assert_eq!(list(&directory.join(COPIES)), std::slice::from_ref(&copy));
        forget_old_copies(directory, now().plus(COPY_KEPT).minus(Duration::from_secs(60)));
        assert!(copy.exists());
        forget_old_copies(directory, now().plus(COPY_KEPT));
        assert!(!copy.exists());
        fs::write(&copy, "").unwrap();
        forget_copies(directory).unwrap();
        assert!(!copy.exists());
    }

    #[test]
    fn what_is_newer_is_refused_by_name_before_anything_is_done() {
        let directory = old();
        let directory = directory.path();
        NEW[1].migrate(&directory.join(KEYS.file)).unwrap().expect("a step").commit().unwrap();
        // state.db has a step before it, keys.db has one too many.
        let error = bring_with(directory, [NEW[0], OLD[1]], now()).unwrap_err();
        assert!(
            matches!(&error, UpgradeError::Newer { file, found: 2, known: 1, written_by: None, .. } if file.ends_with(KEYS.file)),
            "{error}"
        );
        assert_eq!(versions(directory), [Some(1), Some(2), Some(1)]);
        assert!(!directory.join(COPIES).exists());
    }

    #[test]
    fn which_program_has_the_data_is_written_down_once_and_told() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDb::open(&directory.path().join(STATE.file)).unwrap();
        note_program(&state, Timestamp(1)).unwrap();
        note_program(&state, Timestamp(2)).unwrap();
        let rows = |state: &StateDb| {
            state.with(|connection| {
                connection
                    .query_row("SELECT count(*), min(started) FROM programs", [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))
            })
        };
        assert_eq!(rows(&state).unwrap(), (1, 1));
        assert_eq!(last_program(directory.path()).as_deref(), Some(env!("CARGO_PKG_VERSION")));
        for other in 0..2 * PROGRAMS_MAX {
            let insert = "INSERT INTO programs VALUES (3, ?1, 1, 1, 1)";
            state.with(|connection| connection.execute(insert, [other.to_string()])).unwrap();
        }
        note_program(&state, Timestamp(4)).unwrap();
        assert_eq!(rows(&state).unwrap(), (PROGRAMS_MAX, 3));
    }
}
