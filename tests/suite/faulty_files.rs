//! A real directory of log files that fails on demand: a full disk, a sync that errors, a sync that lies. For suites that need to see
//! what the whole line answers then; what the log itself does about it is tried beside it, in `src/event_log/trial/`.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use firsthand::event_log::{DiskFiles, LogError, LogFile, LogFiles};

/// The switches. All off at first.
#[derive(Default)]
pub(crate) struct Switches {
    /// Files cannot grow and nothing new can be made; every write fails, as on a file system that copies on write.
    pub(crate) full: AtomicBool,
    /// How many more syncs of files fail.
    pub(crate) failing_syncs: AtomicU32,
    /// Syncs of files report success and do nothing.
    pub(crate) lying_syncs: AtomicBool,
    /// Counts the syncs of files that were asked for.
    pub(crate) syncs: AtomicU64,
}

impl Switches {
    fn space(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

pub(crate) struct FaultyFiles {
    disk: DiskFiles,
    switches: Arc<Switches>,
}

impl FaultyFiles {
    pub(crate) fn open(path: &Path) -> Result<(Arc<Self>, Arc<Switches>), LogError> {
        let switches = Arc::new(Switches::default());
        Ok((Arc::new(Self { disk: DiskFiles::open(path)?, switches: Arc::clone(&switches) }), switches))
    }

    fn wrap(&self, file: Arc<dyn LogFile>) -> Arc<dyn LogFile> {
        Arc::new(FaultyFile { file, switches: Arc::clone(&self.switches) })
    }
}

impl LogFiles for FaultyFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.switches.space()?;
        Ok(self.wrap(self.disk.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.wrap(self.disk.open(name)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
}

struct FaultyFile {
    file: Arc<dyn LogFile>,
    switches: Arc<Switches>,
}

impl LogFile for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(position, buffer)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.switches.space()?;
        self.file.write_at(position, bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.switches.syncs.fetch_add(1, Ordering::SeqCst);
        let failing = &self.switches.failing_syncs;
        if failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        if self.switches.lying_syncs.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.file.sync_data()
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.file.forget_cached()
    }
}

#[test]
fn the_switches_do_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let (files, switches) = FaultyFiles::open(directory.path()).unwrap();
    let file = files.create("a.log").unwrap();
    file.write_at(0, b"abc").unwrap();
    switches.failing_syncs.store(1, Ordering::SeqCst);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(libc::EIO));
    file.sync_data().unwrap();
    switches.lying_syncs.store(true, Ordering::SeqCst);
    file.sync_data().unwrap();
    assert_eq!(switches.syncs.load(Ordering::SeqCst), 3);
    switches.full.store(true, Ordering::SeqCst);
    assert_eq!(file.write_at(3, b"d").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(files.create("b.log").is_err());
    switches.full.store(false, Ordering::SeqCst);
    file.write_at(3, b"d").unwrap();
    let mut buffer = [0; 8];
    assert_eq!(files.open("a.log").unwrap().read_at(0, &mut buffer).unwrap(), 4);
}
