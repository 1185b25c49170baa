//! A backup: the event log and `state.db`, in a directory of their own with a manifest of checksums, taken while a server runs or not. No key
//! is in it, so that what is erased later is gone from it, too. The keys are copied apart, with the erasure list, and only the newest
//! copy is kept.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    clock::Timestamp,
    egress::closing::KEY_FILE,
    event_log::{self, LogError},
    privacy::{keys::database::KEYS, rights::erasures::ERASURES},
    state::{STATE, StoreError},
};

/// The form of a backup. A program restores this one and older ones.
pub const FORM: u32 = 1;
/// The manifest's name; it is written last, so what has none is no whole backup.
pub const MANIFEST: &str = "manifest.json";
/// The log's directory, in a backup as in a data directory.
pub(super) const LOG: &str = "log";
/// Read at once while bytes are counted.
const CHUNK_BYTES: usize = 1 << 20;
/// What an SQLite file begins with.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// What is in a backup.
#[derive(Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORM`].
    pub form: u32,
    /// Which program made it.
    pub made_by: String,
    /// When, RFC 3339.
    pub made_at: String,
    /// No record in it has this offset or a higher one.
    pub log_end: u64,
    /// Records in its log.
    pub records: u64,
    /// Every file but this one.
    pub files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its path in the backup.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// A backup cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to copy.
    #[error("{}: there is no {what} here\n  fix: name the data directory with --data-dir", directory.display())]
    Nothing {
        /// Where it was looked for.
        directory: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The place is taken.
    #[error("{}: is there already, and a backup never overwrites anything\n  fix: name a new directory", directory.display())]
    Taken {
        /// Which.
        directory: PathBuf,
    },
    /// The file is none that this command wrote.
    #[error("{}: is there already and is no copy of keys, so it is not replaced\n  fix: name another file", file.display())]
    NoCopy {
        /// Which.
        file: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The log cannot be copied.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A database cannot be copied.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |reason| BackupError::Io { path, reason }
}

/// Copies log and state of a data directory into a new directory. Returns the manifest, and how many places of the log could not be read.
/// Blocks.
///
/// # Errors
/// See [`BackupError`]. What was written of it then is no whole backup.
pub fn backup(data_dir: &Path, to: &Path, now: Timestamp) -> Result<(Manifest, u64), BackupError> {
    let state = data_dir.join(STATE.file);
    if !state.exists() {
        return Err(BackupError::Nothing { directory: data_dir.to_owned(), what: STATE.file });
    }
    match DirBuilder::new().mode(0o700).create(to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(BackupError::Taken { directory: to.to_owned() }),
        made => made.map_err(at(to))?,
    }
    // The state first: what it says of the log must not be newer than the log, or deliveries would be left out after a restore.
    STATE.copy(&state, &to.join(STATE.file))?;
    let copied = event_log::copy(&data_dir.join(LOG), &to.join(LOG))?;
    let mut paths = vec![STATE.file.to_owned()];
    paths.extend(copied.files.iter().map(|name| format!("{LOG}/{name}")));
    let files = paths.into_iter().map(|path| listed(to, path)).collect::<Result<_, _>>()?;
    let manifest = Manifest {
        form: FORM,
        made_by: concat!("Firsthand ", env!("CARGO_PKG_VERSION")).to_owned(),
        made_at: now.rfc3339(),
        log_end: copied.end.0,
        records: copied.records,
        files,
    };
    let path = to.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from).map_err(at(&path))?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(at(&path))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(at(&path))?;
    sync_directory(to).map_err(at(to))?;
    Ok((manifest, copied.unreadable))
}

fn listed(directory: &Path, path: String) -> Result<Listed, BackupError> {
    let file = directory.join(&path);
    let (bytes, sha256) = digest(&file).map_err(at(&file))?;
    Ok(Listed { path, bytes, sha256 })
}

/// A file's length and its SHA-256.
pub(super) fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        hash.update(&chunk[..read]);
        bytes += read as u64;
    }
    Ok((bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Where the erasure list lies beside a copy of the keys.
#[must_use]
pub fn list_beside(keys: &Path) -> PathBuf {
    let mut name = keys.as_os_str().to_owned();
    name.push(".erasures");
    PathBuf::from(name)
}

/// Where the key that signs the ledger of what left lies beside a copy of the keys.
#[must_use]
pub fn signing_key_beside(keys: &Path) -> PathBuf {
    let mut name = keys.as_os_str().to_owned();
    name.push(".egress");
    PathBuf::from(name)
}

/// Copies `keys.db` into a file, and the erasure list and the ledger's signing key, where there is one, beside it. A copy that this made earlier is replaced and overwritten: an older one
/// holds keys of people who have been erased since. Blocks.
///
/// # Errors
/// See [`BackupError`].
pub fn backup_keys(data_dir: &Path, file: &Path) -> Result<(), BackupError> {
    let (keys, list) = (data_dir.join(KEYS.file), data_dir.join(ERASURES.file));
    if !keys.exists() || !list.exists() {
        return Err(BackupError::Nothing { directory: data_dir.to_owned(), what: KEYS.file });
    }
    let (beside, signing) = (list_beside(file), signing_key_beside(file));
    let before = earlier(file, &beside)?;
    let new = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        PathBuf::from(name)
    };
    for path in [file, beside.as_path(), signing.as_path()] {
        match fs::remove_file(new(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&new(path))(error)),
            _ => {}
        }
    }
    // The list last: it may know of more than the keys, and never of less.
    KEYS.copy(&keys, &new(file))?;
    ERASURES.copy(&list, &new(&beside))?;
    let signs = data_dir.join(KEY_FILE);
    let mut copied = vec![file, beside.as_path()];
    // It is made with the first closed day. What an earlier copy has of it stays: days may be signed with it.
    if signs.exists() {
        copy_private(&signs, &new(&signing)).map_err(at(&signs))?;
        copied.push(&signing);
    }
    for path in copied {
        fs::rename(new(path), path).map_err(at(path))?;
    }
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_directory(directory).map_err(at(directory))?;
    if let Some(before) = before {
        overwrite(&before).map_err(at(file))?;
    }
    Ok(())
}

/// Copies a file into a new one, which nobody else may read.
pub(super) fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut copy = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut copy)?;
    copy.sync_all()
}

/// The copy that is there already, open.
fn earlier(file: &Path, beside: &Path) -> Result<Option<File>, BackupError> {
    let open = match File::options().read(true).write(true).open(file) {
        Ok(open) => open,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(file)(error)),
    };
    let mut magic = [0; 16];
    let read = open.read_at(&mut magic, 0).map_err(at(file))?;
    if &magic[..read] != SQLITE_MAGIC || !beside.exists() {
        return Err(BackupError::NoCopy { file: file.to_owned() });
    }
    Ok(Some(open))
}

/// Zeros where the keys were. On a medium that writes elsewhere each time nothing more can be done from here.
fn overwrite(file: &File) -> io::Result<()> {
    let zeros = vec![0; CHUNK_BYTES];
    let bytes = file.metadata()?.len();
    let mut position = 0;
    while position < bytes {
        let part = usize::try_from(bytes - position).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        file.write_all_at(&zeros[..part], position)?;
        position += part as u64;
    }
    file.sync_all()
}
