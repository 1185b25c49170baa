//! The real file layer: one directory on a disk, held by one process.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    error::LogError,
    files::{LogFile, LogFiles},
};

/// The file whose lock says that a process has this directory.
const LOCK_NAME: &str = "lock";
/// Only the user that runs the program may read events.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory of log files. Holds an exclusive lock on it while it lives: two writers would overwrite each other's records.
pub struct DiskFiles {
    path: PathBuf,
    directory: File,
    /// Held, never read: the lock ends when it is closed, also by a crash.
    _lock: File,
}

impl DiskFiles {
    /// Opens the directory, making it (and its parents) where it is missing.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it; [`LogError::Directory`] when it cannot be made or opened.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let failed = |source| LogError::Directory { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(failed)?;
        let lock = options().create(true).truncate(false).open(path.join(LOCK_NAME)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let directory = File::open(path).map_err(failed)?;
        if let Some(parent) = path.parent() {
            // The directory's own entry must outlast a power cut too. A parent that is not ours to open was not made by us.
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            if let Ok(parent) = File::open(parent) {
                parent.sync_all().map_err(failed)?;
            }
        }
        Ok(Self { path: path.to_owned(), directory, _lock: lock })
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

impl LogFiles for DiskFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(DiskFile(options().create(true).truncate(true).open(self.path.join(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(DiskFile(options().open(self.path.join(name))?)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.directory.sync_all()
    }
}

struct DiskFile(File);

/// A log's file for reading alone, whoever holds the directory.
pub(super) fn open_to_look(path: &Path) -> io::Result<Arc<dyn LogFile>> {
    Ok(Arc::new(DiskFile(File::open(path)?)))
}

impl LogFile for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn forget_cached(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_and_is_for_nobody_else_to_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data").join("log");
        let first = DiskFiles::open(&path).unwrap();
        assert!(matches!(DiskFiles::open(&path), Err(LogError::Locked { .. })));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, DIRECTORY_MODE);
        drop(first.create("a.log").unwrap());
        assert_eq!(std::fs::metadata(path.join("a.log")).unwrap().permissions().mode() & 0o777, FILE_MODE);
        drop(first);
        assert!(DiskFiles::open(&path).is_ok(), "the lock ends with its owner");
    }

    #[test]
    fn files_keep_what_is_written() {
        let parent = tempfile::tempdir().unwrap();
        let files = DiskFiles::open(parent.path()).unwrap();
        let file = files.create("a.log").unwrap();
        file.write_at(2, b"xyz").unwrap();
        file.set_len(4).unwrap();
        file.sync_data().unwrap();
        file.forget_cached().unwrap();
        files.sync_directory().unwrap();
        let mut buffer = [9; 8];
        assert_eq!(files.open("a.log").unwrap().read_at(0, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"\0\0xy");
        assert_eq!(file.size().unwrap(), 4);
        assert!(files.list().unwrap().contains(&"a.log".to_owned()));
        files.remove("a.log").unwrap();
        assert!(files.open("a.log").is_err());
    }

    #[test]
    fn a_log_on_a_real_disk_is_there_after_a_restart() {
        use crate::{
            event::{Offset, RetentionClass},
            event_log::{
                Appended, EventLog, LogOptions,
                trial::{START, append, read_all, record},
            },
        };
        let parent = tempfile::tempdir().unwrap();
        let open = || EventLog::open(Arc::new(DiskFiles::open(parent.path()).unwrap()), LogOptions::default(), START).unwrap();
        let numbers = 0..50;
        for turn in 0..2 {
            let log = open();
            for number in numbers.clone() {
                let outcome = append(&log, vec![record(number, RetentionClass::ALL[(number % 2) as usize], 400)]).unwrap();
                assert_eq!(outcome, [if turn == 0 { Appended::Stored(Offset(number)) } else { Appended::Duplicate }]);
            }
            let active = std::fs::metadata(parent.path().join("short-00000000000000000000.0.log")).unwrap().len();
            assert_eq!(active > 1 << 20, turn == 0, "preallocated while it is active, cut off when it is sealed");
        }
        let found = read_all(&open()).unwrap();
        assert!(found.iter().map(|(offset, ..)| offset.0).eq(numbers));
    }
}
