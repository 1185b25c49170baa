//! The log on trial: a file layer in memory that fails like a disk does, and the suites that use it.

mod faults;
mod power_cut;
mod rewrite;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{AppendError, Appended, EventLog, LogError, LogFile, LogFiles, LogOptions};
use crate::{
    clock::Timestamp,
    event::{EventId, Offset, RetentionClass},
    privacy::record::{HEADER_BYTES, Header, Record},
};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
const EIO: i32 = 5;

/// A moment for tests.
pub(super) const START: Timestamp = Timestamp(1_800_000_000_000);

/// Small log segments, so that a test sees many.
pub(super) fn small() -> LogOptions {
    LogOptions { roll_bytes: 4096, preallocate_bytes: 1024, ..LogOptions::default() }
}

/// A record whose id and body follow from a number.
pub(super) fn record(number: u64, class: RetentionClass, body_bytes: usize) -> Record {
    record_at(number, class, body_bytes, START)
}

pub(super) fn record_at(number: u64, class: RetentionClass, body_bytes: usize, received: Timestamp) -> Record {
    let body: Vec<u8> = (0..body_bytes).map(|at| (number as usize * 31 + at * 7) as u8 | 1).collect();
    Record::for_test(id(number).0, class, received, &body)
}

/// That record's id.
pub(super) fn id(number: u64) -> EventId {
    EventId(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes())
}

/// Appends from a test that is not async.
pub(super) fn append(log: &EventLog, records: Vec<Record>) -> Result<Vec<Appended>, AppendError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(log.append(records))
}

/// Everything that a new reader finds: offset, id, bytes.
pub(super) fn read_all(log: &EventLog) -> Result<Vec<(Offset, EventId, Vec<u8>)>, LogError> {
    let mut reader = log.reader(Offset(0));
    let mut all = Vec::new();
    loop {
        let records = reader.read(7, 1500)?;
        if records.is_empty() {
            assert_eq!(reader.position(), *log.durable_head().borrow());
            return Ok(all);
        }
        for record in records {
            let bytes = record.bytes.as_slice().to_vec();
            assert!(bytes.len() >= HEADER_BYTES);
            all.push((record.offset, Header::decode(&bytes).unwrap().event_id, bytes));
        }
    }
}

/// Random numbers that follow from a seed (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    pub(super) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// A disk in memory. What is written is seen at once, and rests only after a sync; until then a power cut takes any part of it.
#[derive(Clone, Default)]
pub(super) struct TrialDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    /// What programs see, and what rests.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    faults: Faults,
}

/// How the disk fails.
#[derive(Clone, Default)]
pub(super) struct Faults {
    /// After so many more calls that change something the power is gone: this and every later call fails.
    pub(super) calls_left: Option<u64>,
    /// How many more bytes files may grow by.
    pub(super) free_bytes: Option<u64>,
    /// Overwriting needs space as well, as on file systems that copy on write.
    pub(super) copies_on_write: bool,
    /// How many more syncs of files fail. What they should have written is forgotten, as Linux does.
    pub(super) failing_syncs: u32,
    /// A failing sync writes everything all the same before it fails.
    pub(super) failing_syncs_write: bool,
    /// Syncs of files do nothing and report success: the negative control.
    pub(super) syncs_lie: bool,
    /// Syncs of the directory do nothing and report success.
    pub(super) directory_syncs_lie: bool,
    /// How many more reads fail.
    pub(super) failing_reads: u32,
}

#[derive(Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Self::SetLen(bytes) => contents.resize(*bytes, 0),
            Self::Write { position, bytes } => {
                let end = position + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[*position..end].copy_from_slice(bytes);
            }
        }
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }

    /// What the disk holds if everything waiting is written.
    fn written(&self) -> Vec<u8> {
        let mut contents = self.durable.clone();
        self.unsynced.iter().for_each(|change| change.apply(&mut contents));
        contents
    }

    /// What the disk holds if the power goes now: each sector, and the length, as of any moment since the last sync.
    fn cut(&self, random: &mut Random) -> Vec<u8> {
        let mut moments = vec![self.durable.clone()];
        for change in &self.unsynced {
            let mut next = moments[moments.len() - 1].clone();
            change.apply(&mut next);
            moments.push(next);
        }
        let latest = moments.len() - 1;
        // All written, nothing written, and everything between.
        let bias = random.below(5);
        let mut pick = |count: usize| match bias {
            0 => 0,
            1 => latest,
            2 if random.below(8) > 0 => latest,
            3 if random.below(8) > 0 => 0,
            _ => random.below(count),
        };
        let mut contents = vec![0; moments[pick(moments.len())].len()];
        for (index, sector) in contents.chunks_mut(SECTOR_BYTES).enumerate() {
            let source = &moments[pick(moments.len())];
            let start = (index * SECTOR_BYTES).min(source.len());
            let bytes = sector.len().min(source.len() - start);
            sector[..bytes].copy_from_slice(&source[start..start + bytes]);
        }
        contents
    }
}

impl State {
    /// Every call that changes something. The call that finds the power gone may have reached the cache.
    fn charge(&mut self) -> io::Result<()> {
        match &mut self.faults.calls_left {
            Some(0) => Err(io::Error::from_raw_os_error(EIO)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn powered(&self) -> io::Result<()> {
        if self.faults.calls_left == Some(0) { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl TrialDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Changes how it fails from now on.
    pub(super) fn fail(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.lock().faults);
    }

    /// How it fails now.
    pub(super) fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// What is on the disk after a power cut now. It works; the old one is as it was.
    pub(super) fn cut(&self, random: &mut Random) -> Self {
        let state = self.lock();
        let mut after = State::default();
        let names: Vec<_> = state.names.keys().chain(state.durable_names.keys()).collect();
        for name in names {
            let directory = if random.one_in(2) { &state.names } else { &state.durable_names };
            if let Some(inode) = directory.get(name)
                && !after.names.contains_key(name)
            {
                let contents = state.inodes[*inode].cut(random);
                after.names.insert(name.clone(), after.inodes.len());
                after.inodes.push(Inode { seen: contents.clone(), durable: contents, unsynced: Vec::new() });
            }
        }
        after.durable_names = after.names.clone();
        Self(Arc::new(Mutex::new(after)))
    }

    /// Overwrites bytes that rest, behind the log's back.
    pub(super) fn damage(&self, name: &str, position: usize, bytes: &[u8]) {
        let mut state = self.lock();
        let inode = state.inode(name).unwrap();
        let Inode { seen, durable, .. } = &mut state.inodes[inode];
        for contents in [seen, durable] {
            contents[position..position + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Overwrites bytes that rest, unseen until the cached copy is forgotten.
    pub(super) fn damage_unseen(&self, name: &str, position: usize, bytes: &[u8]) {
        let mut state = self.lock();
        let inode = state.inode(name).unwrap();
        state.inodes[inode].durable[position..position + bytes.len()].copy_from_slice(bytes);
    }

    /// A file's bytes as programs see them.
    pub(super) fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.lock();
        state.inodes[state.inode(name).unwrap()].seen.clone()
    }

    /// The files' names, in order.
    pub(super) fn file_names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// Puts a file there that rests.
    pub(super) fn put(&self, name: &str, contents: &[u8]) {
        let mut state = self.lock();
        let inode = state.inodes.len();
        state.inodes.push(Inode { seen: contents.to_vec(), durable: contents.to_vec(), unsynced: Vec::new() });
        state.names.insert(name.to_owned(), inode);
        state.durable_names.insert(name.to_owned(), inode);
    }

    fn handle(&self, inode: usize) -> Arc<dyn LogFile> {
        Arc::new(TrialFile { disk: self.clone(), inode })
    }
}

impl LogFiles for TrialDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.lock().powered()?;
        Ok(self.file_names())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.lock();
        state.charge()?;
        let inode = match state.inode(name) {
            Ok(inode) => {
                state.inodes[inode].change(Change::SetLen(0));
                inode
            }
            Err(_) => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.names.insert(name.to_owned(), inode);
                inode
            }
        };
        drop(state);
        Ok(self.handle(inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let state = self.lock();
        state.powered()?;
        let inode = state.inode(name)?;
        drop(state);
        Ok(self.handle(inode))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.charge()?;
        let inode = state.inode(name)?;
        state.names.remove(name);
        let freed = state.inodes[inode].seen.len() as u64;
        if let Some(free) = &mut state.faults.free_bytes {
            *free += freed;
        }
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.charge()?;
        if !state.faults.directory_syncs_lie {
            state.durable_names = state.names.clone();
        }
        Ok(())
    }
}

struct TrialFile {
    disk: TrialDisk,
    inode: usize,
}

impl LogFile for TrialFile {
    fn size(&self) -> io::Result<u64> {
        let state = self.disk.lock();
        state.powered()?;
        Ok(state.inodes[self.inode].seen.len() as u64)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.lock();
        state.powered()?;
        if state.faults.failing_reads > 0 {
            state.faults.failing_reads -= 1;
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let seen = &state.inodes[self.inode].seen;
        let start = (position as usize).min(seen.len());
        let bytes = buffer.len().min(seen.len() - start);
        buffer[..bytes].copy_from_slice(&seen[start..start + bytes]);
        Ok(bytes)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let charged = state.charge();
        let position = position as usize;
        let seen = state.inodes[self.inode].seen.len();
        let growth = if state.faults.copies_on_write { bytes.len() } else { (position + bytes.len()).saturating_sub(seen) } as u64;
        let mut fits = bytes.len();
        if let Some(free) = &mut state.faults.free_bytes {
            let lacking = growth.saturating_sub(*free);
            *free -= growth - lacking;
            fits -= lacking as usize;
        }
        state.inodes[self.inode].change(Change::Write { position, bytes: bytes[..fits].to_vec() });
        charged?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.charge()?;
        let freed = (state.inodes[self.inode].seen.len() as u64).saturating_sub(bytes);
        if let Some(free) = &mut state.faults.free_bytes {
            *free += freed;
        }
        state.inodes[self.inode].change(Change::SetLen(bytes as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.charge()?;
        if state.faults.syncs_lie {
            return Ok(());
        }
        let fails = state.faults.failing_syncs > 0;
        state.faults.failing_syncs = state.faults.failing_syncs.saturating_sub(1);
        let writes = !fails || state.faults.failing_syncs_write;
        let inode = &mut state.inodes[self.inode];
        if writes {
            inode.durable = inode.written();
        }
        inode.unsynced.clear();
        if fails { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    fn forget_cached(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.powered()?;
        let inode = &mut state.inodes[self.inode];
        inode.seen = inode.written();
        Ok(())
    }
}
