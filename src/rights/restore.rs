//! Putting a backup back. Everything is checked and prepared in a directory beside what is there, with all that was erased, withdrawn and
//! objected to since taken out; only then does it take the place of what is there.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    RESTORING,
    backup::{self, FORM, LOG, MANIFEST, Manifest, digest, list_beside, signing_key_beside, sync_directory},
    hold,
    sweep::{SweepError, sweep_closed},
};
use crate::{
    clock::Timestamp,
    egress::closing::KEY_FILE,
    event_log::LogOptions,
    privacy::{
        keys::database::{KEYS, KeysDb},
        rights::{
            Rights, RightsError,
            erase::{Reapplied, reapply},
            erasures::{ERASURES, Erasures},
        },
    },
    recleanse::progress,
    schema::Schema,
    state::{STATE, StateDb, StoreError},
};

/// Where a list that was still there is read from, while a restore is prepared.
const SURVIVED: &str = "survived";
/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// What is to be put back where.
pub struct Wanted<'a> {
    /// The backup.
    pub backup: &'a Path,
    /// Where to.
    pub data_dir: &'a Path,
    /// A copy of the keys, where the data directory has none.
    pub keys: Option<&'a Path>,
    /// Whether a log and state that are there may be replaced.
    pub replace: bool,
    /// How the log is written and kept.
    pub options: LogOptions,
    /// The moment of asking.
    pub now: Timestamp,
}

/// What was put back.
pub struct Restored {
    /// As it was made.
    pub manifest: Manifest,
    /// What was taken out again.
    pub reapplied: Reapplied,
    /// Records that were emptied.
    pub emptied: u64,
}

/// A backup cannot be put back. What was there is as it was, but with [`RestoreError::Unfinished`].
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is none.
    #[error("{}: is no whole backup: {reason}\n  fix: name a directory that `firsthand backup` made and finished", directory.display())]
    NoBackup {
        /// Where it was looked for.
        directory: PathBuf,
        /// Why.
        reason: String,
    },
    /// A newer program made it.
    #[error("the backup has form {found}, this program knows {FORM}: restore it with the program that made it, or a newer one")]
    Newer {
        /// Its form.
        found: u32,
    },
    /// A file is not what it was.
    #[error("{path}: is not as it was when the backup was made: it is damaged or was changed\n  fix: take another backup")]
    Changed {
        /// Which.
        path: String,
    },
    /// Somebody has the data directory.
    #[error("{}: a server runs on this data directory\n  fix: stop it first", directory.display())]
    Running {
        /// Which.
        directory: PathBuf,
    },
    /// There is something already.
    #[error(
        "{}: there is an event log or a state.db already, and it is not overwritten unasked\n  fix: --replace, if what is there may go; \
         take a backup of it first",
        directory.display()
    )]
    Occupied {
        /// Where.
        directory: PathBuf,
    },
    /// There are no keys.
    #[error(
        "{}: there is no keys.db: without the keys nothing of those who consented can be read\n  fix: --keys FILE names the newest copy that \
         `firsthand backup --keys` made",
        directory.display()
    )]
    NoKeys {
        /// Where.
        directory: PathBuf,
    },
    /// There is no erasure list.
    #[error(
        "{}: there is no erasure list: who has withdrawn or been erased since the backup is not known, so nothing is put back\n  fix: it lies \
         beside keys.db (erasures.db) and beside each copy of the keys (.erasures): bring it there",
        path.display()
    )]
    NoList {
        /// Where it should be.
        path: PathBuf,
    },
    /// There are keys already.
    #[error(
        "{}: there is a keys.db already, which is newer than any copy of it: an older one could bring back who was erased since\n  fix: leave \
         --keys out",
        directory.display()
    )]
    KeysThere {
        /// Where.
        directory: PathBuf,
    },
    /// Two lists that do not belong together.
    #[error("the erasure list beside the copy of the keys is of another installation than the one in the data directory")]
    OtherList,
    /// It was interrupted while things were put in their places.
    #[error("not everything could be put in its place: {0}\n  fix: run the same command again; until it succeeds no server starts here")]
    Unfinished(io::Error),
    /// A file cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// What was erased since cannot be taken out.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// The same, in the log.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RestoreError + use<> {
    let path = path.to_owned();
    move |reason| RestoreError::Io { path, reason }
}

/// Puts a backup back. Blocks.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(wanted: &Wanted<'_>) -> Result<Restored, RestoreError> {
    let Wanted { backup, data_dir, .. } = wanted;
    let manifest = read_manifest(backup)?;
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(at(data_dir))?;
    let Some(_held) = hold(data_dir).map_err(at(data_dir))? else {
        return Err(RestoreError::Running { directory: data_dir.to_path_buf() });
    };
    let prepared = data_dir.join(RESTORING);
    // Where the last one was interrupted while it put things in their places, this one does it again.
    let unfinished = prepared.exists();
    if !wanted.replace && !unfinished && (data_dir.join(STATE.file).exists() || holds_records(&data_dir.join(LOG))) {
        return Err(RestoreError::Occupied { directory: data_dir.to_path_buf() });
    }
    // The keys may be in their place already then.
    let copy = wanted.keys.filter(|_| !(unfinished && data_dir.join(KEYS.file).exists()));
    check_keys(data_dir, copy)?;
    remove_all(&prepared).map_err(at(&prepared))?;
    let (reapplied, emptied) = prepare(wanted, copy, &manifest, &prepared).inspect_err(|_| {
        // Nothing has been put in its place. Unless the last one was interrupted: then this directory says that it still is.
        if !unfinished {
            let _ = remove_all(&prepared);
        }
    })?;
    put_in_place(data_dir, &prepared).map_err(RestoreError::Unfinished)?;
    Ok(Restored { manifest, reapplied, emptied })
}

fn read_manifest(backup: &Path) -> Result<Manifest, RestoreError> {
    let none = |reason: String| RestoreError::NoBackup { directory: backup.to_owned(), reason };
    let text = fs::read(backup.join(MANIFEST)).map_err(|error| none(format!("{MANIFEST}: {error}")))?;
    let form = serde_json::from_slice::<serde_json::Value>(&text).ok().and_then(|value| value["form"].as_u64());
    match form.and_then(|form| u32::try_from(form).ok()) {
        None => return Err(none(format!("{MANIFEST} cannot be read"))),
        Some(found) if found > FORM => return Err(RestoreError::Newer { found }),
        Some(_) => {}
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| none(format!("{MANIFEST} cannot be read")))?;
    let well_named =
        |path: &str| path == STATE.file || path.strip_prefix("log/").is_some_and(|name| name.ends_with(".log") && !name.contains('/'));
    if !manifest.files.iter().any(|file| file.path == STATE.file) || !manifest.files.iter().all(|file| well_named(&file.path)) {
        return Err(none(format!("{MANIFEST} names other files than a backup has")));
    }
    Ok(manifest)
}

/// Whether what is needed to take out what was erased is there.
fn check_keys(data_dir: &Path, copy: Option<&Path>) -> Result<(), RestoreError> {
    let directory = data_dir.to_path_buf();
    let list = match (data_dir.join(KEYS.file).exists(), copy) {
        (true, Some(_)) => return Err(RestoreError::KeysThere { directory }),
        (true, None) => data_dir.join(ERASURES.file),
        (false, None) => return Err(RestoreError::NoKeys { directory }),
        (false, Some(keys)) if !keys.exists() => return Err(at(keys)(io::ErrorKind::NotFound.into())),
        (false, Some(keys)) => list_beside(keys),
    };
    if list.exists() { Ok(()) } else { Err(RestoreError::NoList { path: list }) }
}

/// Copies, checks, and takes out what was erased since.
fn prepare(wanted: &Wanted<'_>, copy: Option<&Path>, manifest: &Manifest, prepared: &Path) -> Result<(Reapplied, u64), RestoreError> {
    let log = prepared.join(LOG);
    DirBuilder::new().recursive(true).mode(0o700).create(&log).map_err(at(&log))?;
    for file in &manifest.files {
        copy_checked(&wanted.backup.join(&file.path), &prepared.join(&file.path), file.bytes, &file.sha256, &file.path)?;
    }
    let kept = wanted.options.short_retention;
    let list_file = wanted.data_dir.join(ERASURES.file);
    let keys_file = match copy {
        None => wanted.data_dir.join(KEYS.file),
        Some(copy) => {
            let keys = prepared.join(KEYS.file);
            copy_private(copy, &keys)?;
            let beside = prepared.join(ERASURES.file);
            copy_private(&list_beside(copy), &beside)?;
            bring_up_to_date(ERASURES, prepared)?;
            // A list that has survived in the data directory knows more than the copy, and the copy may know more than it. Whichever program
            // wrote it: it is read from a copy.
            if list_file.exists() {
                let survived = prepared.join(SURVIVED);
                DirBuilder::new().mode(0o700).create(&survived).map_err(at(&survived))?;
                ERASURES.copy(&list_file, &survived.join(ERASURES.file))?;
                bring_up_to_date(ERASURES, &survived)?;
                if !Erasures::open(&beside, kept)?.take_from(&Erasures::open(&survived.join(ERASURES.file), kept)?)? {
                    return Err(RestoreError::OtherList);
                }
            }
            // One that is still there signs on: days may be signed with it that the copy knows nothing of.
            let signs = signing_key_beside(copy);
            if signs.exists() && !wanted.data_dir.join(KEY_FILE).exists() {
                copy_private(&signs, &prepared.join(KEY_FILE))?;
            }
            keys
        }
    };
    let list_file = if copy.is_some() { prepared.join(ERASURES.file) } else { list_file };
    let list = Erasures::open(&list_file, kept)?;
    // An older program's is brought up to date here: it is a copy.
    bring_up_to_date(STATE, prepared)?;
    if copy.is_some() {
        bring_up_to_date(KEYS, prepared)?;
    }
    let state = Arc::new(StateDb::open(&prepared.join(STATE.file))?);
    let keys = Arc::new(KeysDb::open(&keys_file)?);
    let rights = Rights::new(Arc::clone(&state), Arc::clone(&keys), &log);
    let reapplied = reapply(&list, &keys, &rights, &log, wanted.now)?;
    let marks = list.people()?;
    let emptied = sweep_closed(&log, wanted.options.clone(), &list, &marks)?;
    list.carried_out(&marks)?;
    // What rests was cleaned under documents that may be narrower by now.
    progress::ask(&state, wanted.now)?;
    Ok((reapplied, emptied))
}

fn bring_up_to_date(schema: Schema, directory: &Path) -> Result<(), RestoreError> {
    if let Some(migration) = schema.migrate(&directory.join(schema.file))? {
        migration.commit()?;
    }
    Ok(())
}

fn copy_checked(from: &Path, to: &Path, bytes: u64, sha256: &str, path: &str) -> Result<(), RestoreError> {
    match copy_private(from, to) {
        Err(RestoreError::Io { reason, .. }) if reason.kind() == io::ErrorKind::NotFound => {
            return Err(RestoreError::Changed { path: path.to_owned() });
        }
        copied => copied?,
    }
    let (found_bytes, found) = digest(to).map_err(at(to))?;
    if (found_bytes, found.as_str()) == (bytes, sha256) { Ok(()) } else { Err(RestoreError::Changed { path: path.to_owned() }) }
}

fn copy_private(from: &Path, to: &Path) -> Result<(), RestoreError> {
    backup::copy_private(from, to).map_err(at(from))
}

/// What was prepared takes the place of what is there.
fn put_in_place(data_dir: &Path, prepared: &Path) -> io::Result<()> {
    // The list before the keys that need it, and each at one stroke.
    for name in [ERASURES.file, KEYS.file] {
        if prepared.join(name).exists() {
            replace_database(prepared, data_dir, name)?;
        }
    }
    if prepared.join(KEY_FILE).exists() {
        fs::rename(prepared.join(KEY_FILE), data_dir.join(KEY_FILE))?;
    }
    remove_all(&data_dir.join(LOG))?;
    fs::rename(prepared.join(LOG), data_dir.join(LOG))?;
    replace_database(prepared, data_dir, STATE.file)?;
    sync_directory(data_dir)?;
    remove_all(prepared)?;
    sync_directory(data_dir)
}

/// What SQLite keeps beside a database is gone once the last who had it open has closed it; what still lies beside the old one is of no
/// use to the new one.
fn replace_database(from: &Path, to: &Path, name: &str) -> io::Result<()> {
    COMPANIONS.into_iter().try_for_each(|companion| remove_all(&to.join(format!("{name}{companion}"))))?;
    fs::rename(from.join(name), to.join(name))
}

/// Removes a file or a whole directory, where there is one.
fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn holds_records(log: &Path) -> bool {
    let mut any = false;
    // One that cannot be read holds something, too.
    crate::event_log::look(log, &mut |_| {
        any = true;
        false
    })
    .is_err()
        || any
}
