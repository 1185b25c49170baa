//! The next generation of a sealed log segment: the same offsets, other records under them. For policies that let less rest than before.
//!
//! | step | a crash after it leaves | which a start takes for |
//! |---|---|---|
//! | the file of the next generation is made and filled | two files, the new one without a seal | not finished: the new one is removed |
//! | its frames are synced, read back, and then sealed; the seal and the directory are synced | two files, both whole | finished: the old one is removed |
//! | the catalogue names the new one; the old one is removed, the directory synced | one file, or both again | the same |
//!
//! The seal is what says that a file is whole, as it is for every log segment, so no other name is needed meanwhile: it is written after
//! everything before it rests. Readers that have the old file open read on in it to its end. The old bytes are given back to the file
//! system, not overwritten: on a medium that writes elsewhere each time (flash, copy on write), nothing could promise that.

use std::{
    io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    EventLog, LogBytes, LogRecord,
    catalogue::Catalogue,
    error::LogError,
    family::{verify, write_seal},
    files::LogFile,
    frame::{self, FrameSource, Next, RECORD_BYTES_MAX},
    log_segment::{self, Contents, FRAMES_START, LogSegment, LogSegmentName},
};
use crate::{
    clock,
    event::{Offset, RetentionClass},
    privacy::record::{Header, Record},
};

/// Written, and synced, by this many bytes at a time: small enough that a commit's own sync does not wait long behind it.
const CHUNK_BYTES: usize = 1 << 20;
/// A place that cannot be read is tried this often before it counts as damaged, as for readers.
const READ_ATTEMPTS_MAX: u32 = 5;
/// Between two such attempts.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// A log segment that nothing will be added to, as it can be asked to be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedLogSegment {
    /// Which family it is of.
    pub class: RetentionClass,
    /// No record in it has a lower offset, and none of the family's log segment before it has a higher one.
    pub first: Offset,
    /// How many records it has.
    pub records: u64,
}

/// What becomes of one record.
pub enum Rewrite {
    /// It stays as it is.
    Same,
    /// This rests under its offset instead.
    Instead(Record),
    /// The rewriting is given up. The log segment stays as it was.
    GiveUp,
}

/// What was done with a log segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Records that were looked at.
    pub records: u64,
    /// Records that others took the place of. None: its file is as it was.
    pub replaced: u64,
}

/// Why a log segment was not rewritten. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Whoever asked for it gave up.
    #[error("given up")]
    GivenUp,
    /// A file cannot be read or written now.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl EventLog {
    /// The sealed log segments that begin below an offset, each family's in the order of their offsets.
    #[must_use]
    pub fn sealed_below(&self, end: Offset) -> Vec<SealedLogSegment> {
        let of =
            |segment: Arc<LogSegment>| SealedLogSegment { class: segment.name().class, first: segment.first(), records: segment.records() };
        RetentionClass::ALL.into_iter().flat_map(|class| self.catalogue.sealed_below(class, end)).map(of).collect()
    }

    /// Rewrites a sealed log segment, record by record, as its next generation, and drops the old one. One of which no record changes is
    /// left alone; one that has left the log is nothing to do. Places that cannot be read are not in the next generation. Blocks, also
    /// while another one is rewritten.
    ///
    /// # Errors
    /// See [`RewriteError`]; it can be tried again.
    pub fn rewrite(&self, segment: SealedLogSegment, judge: &mut dyn FnMut(&LogRecord) -> Rewrite) -> Result<Rewritten, RewriteError> {
        let _one_at_a_time = self.rewriting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(old) = self.catalogue.present(segment.class, segment.first).filter(|old| old.extent().sealed) else {
            return Ok(Rewritten::default());
        };
        match rewrite_present(&self.catalogue, &old, judge) {
            // Its time was over meanwhile.
            Err(RewriteError::Log(_)) if old.is_dropped() => Ok(Rewritten::default()),
            done => done,
        }
    }
}

fn rewrite_present(
    catalogue: &Catalogue,
    old: &LogSegment,
    judge: &mut dyn FnMut(&LogRecord) -> Rewrite,
) -> Result<Rewritten, RewriteError> {
    // What an earlier call could not remove.
    drop_predecessor(catalogue, old.name())?;
    let unchanged = first_change(catalogue, old, judge)?;
    let Some(first) = unchanged.changed else { return Ok(Rewritten { records: unchanged.records, replaced: 0 }) };
    let name = LogSegmentName { generation: old.name().generation + 1, ..old.name() };
    let written = write_next(catalogue, old, name, first, judge);
    let (next, rewritten) = match written {
        Ok(written) => written,
        Err(error) => {
            // A start knows an unfinished file when it sees one; this only gives its space back now.
            let _ = catalogue.files.remove(&name.to_string());
            return Err(error);
        }
    };
    if catalogue.replace(old, &next) {
        drop_predecessor(catalogue, name)?;
    } else {
        // Its time was over meanwhile.
        catalogue.files.remove(&name.to_string()).map_err(LogError::io("remove", name))?;
        catalogue.files.sync_directory().map_err(LogError::io("sync", "the directory"))?;
    }
    Ok(rewritten)
}

/// Removes the file of the generation before this one, where there is one.
fn drop_predecessor(catalogue: &Catalogue, name: LogSegmentName) -> Result<(), LogError> {
    let Some(generation) = name.generation.checked_sub(1) else { return Ok(()) };
    let before = LogSegmentName { generation, ..name };
    match catalogue.files.remove(&before.to_string()) {
        Ok(()) => catalogue.files.sync_directory().map_err(LogError::io("sync", "the directory")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(LogError::io("remove", before)(error)),
    }
}

/// How far a log segment can stay as it is.
struct Unchanged {
    /// Records looked at.
    records: u64,
    /// The first that changes.
    changed: Option<Offset>,
}

/// Looks for the first record that changes, so that nothing is written where none does.
fn first_change(catalogue: &Catalogue, old: &LogSegment, judge: &mut dyn FnMut(&LogRecord) -> Rewrite) -> Result<Unchanged, RewriteError> {
    let mut records = Records::open(catalogue, old)?;
    let mut unchanged = Unchanged { records: 0, changed: None };
    while let Some(record) = records.next()? {
        match judge(&record) {
            Rewrite::Same => unchanged.records += 1,
            Rewrite::Instead(_) => {
                unchanged.changed = Some(record.offset);
                break;
            }
            Rewrite::GiveUp => return Err(RewriteError::GivenUp),
        }
    }
    Ok(unchanged)
}

/// Writes the next generation, durable when this returns.
fn write_next(
    catalogue: &Catalogue,
    old: &LogSegment,
    name: LogSegmentName,
    first: Offset,
    judge: &mut dyn FnMut(&LogRecord) -> Rewrite,
) -> Result<(Arc<LogSegment>, Rewritten), RewriteError> {
    let mut records = Records::open(catalogue, old)?;
    let mut next = NextGeneration::create(catalogue, name)?;
    let mut rewritten = Rewritten::default();
    while let Some(record) = records.next()? {
        rewritten.records += 1;
        // Those before the first change have been judged.
        let verdict = if record.offset < first { Rewrite::Same } else { judge(&record) };
        match verdict {
            Rewrite::Same => next.add(record.offset, record.bytes.as_slice())?,
            Rewrite::Instead(instead) => {
                rewritten.replaced += 1;
                next.add(record.offset, instead.bytes())?;
            }
            Rewrite::GiveUp => return Err(RewriteError::GivenUp),
        }
    }
    Ok((Arc::new(next.finish(catalogue)?), rewritten))
}

/// A log segment's records, one after another. What cannot be read is told and stepped over, as readers do.
struct Records<'a> {
    catalogue: &'a Catalogue,
    segment: &'a LogSegment,
    source: FrameSource,
    failures: u32,
}

impl<'a> Records<'a> {
    fn open(catalogue: &'a Catalogue, segment: &'a LogSegment) -> Result<Self, LogError> {
        let name = segment.name().to_string();
        let file = catalogue.files.open(&name).map_err(LogError::io("open", name))?;
        Ok(Self { catalogue, segment, source: FrameSource::new(file, FRAMES_START), failures: 0 })
    }

    fn next(&mut self) -> Result<Option<LogRecord>, LogError> {
        let end = self.segment.extent().end;
        loop {
            match self.source.next(end) {
                Ok(Next::Frame { offset, payload, .. }) => {
                    self.failures = 0;
                    return Ok(Some(LogRecord { offset, bytes: LogBytes(payload) }));
                }
                Ok(Next::End) => return Ok(None),
                Ok(Next::Zeros | Next::Bad) => self.step_over(),
                Err(error) => {
                    self.failures += 1;
                    if error.raw_os_error() != Some(libc::EIO) {
                        return Err(LogError::io("read", self.segment.name())(error));
                    }
                    if self.failures < READ_ATTEMPTS_MAX {
                        std::thread::sleep(READ_PAUSE);
                    } else {
                        self.step_over();
                    }
                }
            }
        }
    }

    fn step_over(&mut self) {
        self.failures = 0;
        let position = self.source.position();
        self.source.jump(self.segment.next_mark(position).0.max(position));
        if self.segment.damage_is_news() {
            self.catalogue.counters.corruptions.add(1);
            let file = self.segment.name().to_string();
            tracing::error!(file, position, "durable records are unreadable and are not in the log segment's next generation");
        }
    }
}

/// The file that is being written.
struct NextGeneration {
    name: LogSegmentName,
    file: Arc<dyn LogFile>,
    contents: Contents,
    /// Frames that are not written yet. They begin at `written`.
    chunk: Vec<u8>,
    written: u64,
}

impl NextGeneration {
    fn create(catalogue: &Catalogue, name: LogSegmentName) -> Result<Self, LogError> {
        let file = catalogue.files.create(&name.to_string()).map_err(LogError::io("make", name))?;
        file.write_at(0, &log_segment::encode_header(name, clock::now())).map_err(LogError::io("write", name))?;
        Ok(Self { name, file, contents: Contents::EMPTY, chunk: Vec::with_capacity(CHUNK_BYTES), written: FRAMES_START })
    }

    fn add(&mut self, offset: Offset, payload: &[u8]) -> Result<(), LogError> {
        if payload.len() > RECORD_BYTES_MAX {
            return Err(LogError::io("write", self.name)(io::ErrorKind::FileTooLarge.into()));
        }
        let contents = &mut self.contents;
        contents.mark(offset, contents.end);
        // Each was durable before: what is found broken later is damage, and never a commit that was not finished.
        frame::encode(&mut self.chunk, offset, payload, true);
        contents.end = self.written + self.chunk.len() as u64;
        contents.records += 1;
        contents.last = Some(offset);
        if let Ok(header) = Header::decode(payload) {
            contents.newest = contents.newest.max(header.received);
        }
        if self.chunk.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is gathered, and makes it durable.
    fn flush(&mut self) -> Result<(), LogError> {
        self.file.write_at(self.written, &self.chunk).map_err(LogError::io("write", self.name))?;
        self.file.sync_data().map_err(LogError::io("sync", self.name))?;
        self.written = self.contents.end;
        self.chunk.clear();
        Ok(())
    }

    /// Reads everything back from the disk, since the only other copy is about to go, and only then says that it is whole.
    fn finish(mut self, catalogue: &Catalogue) -> Result<LogSegment, LogError> {
        let name = self.name;
        self.flush()?;
        self.file.forget_cached().map_err(LogError::io("reread", name))?;
        if verify(&self.file, &self.contents).map_err(LogError::io("read back", name))?.is_some() {
            return Err(LogError::io("read back", name)(io::ErrorKind::InvalidData.into()));
        }
        write_seal(&*self.file, &self.contents).map_err(LogError::io("seal", name))?;
        catalogue.files.sync_directory().map_err(LogError::io("sync", "the directory"))?;
        Ok(LogSegment::sealed(name, self.contents, None))
    }
}
