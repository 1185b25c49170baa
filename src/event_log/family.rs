//! The writing end of one family: its active log segment. Stages frames, writes them in one call, syncs, seals, starts the next.
//!
//! Nothing here is visible to readers or acknowledged before [`Family::publish`]; everything before it can be taken back.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    catalogue::Catalogue,
    error::is_full,
    files::LogFile,
    frame::{self, FrameSource, Next},
    log_segment::{self, Contents, FRAMES_START, LogSegment, LogSegmentName, MARK_STEP_BYTES, Mark},
    options::LogOptions,
};
use crate::{
    clock::{self, Timestamp},
    event::{Offset, RetentionClass},
    privacy::record::Record,
};

/// Zeros are written by this many at a time.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];
/// A buffer that a rare large commit has grown beyond this is given back.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// Why a commit failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no space. Everything is as it was before the commit.
    Full,
    /// A file is in doubt: the family must be repaired before anything else.
    Broken(io::Error),
}

/// A log segment that is being written.
struct Active {
    segment: Arc<LogSegment>,
    file: Arc<dyn LogFile>,
    /// Where the durable frames end.
    end: u64,
    /// How far the file is filled with zeros.
    allocated: u64,
    /// When the first record came.
    began: Option<Instant>,
}

/// What the commit at hand adds.
struct Staged {
    frames: Vec<u8>,
    records: u64,
    last: Offset,
    newest: Timestamp,
    /// Frame starts, relative to the first.
    marks: Vec<Mark>,
}

/// The writing end of one family.
pub(super) struct Family {
    class: RetentionClass,
    catalogue: Arc<Catalogue>,
    options: LogOptions,
    active: Option<Active>,
    staged: Staged,
}

impl Family {
    pub(super) fn new(class: RetentionClass, catalogue: Arc<Catalogue>, options: LogOptions) -> Self {
        let staged = Staged { frames: Vec::new(), records: 0, last: Offset(0), newest: Timestamp(i64::MIN), marks: Vec::new() };
        Self { class, catalogue, options, active: None, staged }
    }

    /// Goes on with an empty log segment that was found at start, and is in the catalogue.
    pub(super) fn adopt(&mut self, segment: Arc<LogSegment>, file: Arc<dyn LogFile>) {
        self.active = Some(Active { segment, file, end: FRAMES_START, allocated: FRAMES_START, began: None });
    }

    /// Adds a record to the commit at hand.
    pub(super) fn stage(&mut self, offset: Offset, record: &Record) {
        let staged = &mut self.staged;
        let position = staged.frames.len() as u64;
        // The log segment thins them out.
        if staged.marks.last().is_none_or(|mark| position >= mark.position + MARK_STEP_BYTES) {
            staged.marks.push(Mark { offset, position });
        }
        frame::encode(&mut staged.frames, offset, record.bytes(), staged.records == 0);
        staged.records += 1;
        staged.last = offset;
        staged.newest = staged.newest.max(record.received());
    }

    /// Whether the commit at hand has records of this family.
    pub(super) fn has_staged(&self) -> bool {
        self.staged.records > 0
    }

    /// Makes room for what is staged: a log segment that is not full, preallocated far enough. `first` is the commit's first offset.
    pub(super) fn prepare(&mut self, first: Offset) -> Result<(), Failure> {
        let bytes = self.staged.frames.len() as u64;
        let full = |active: &Active| active.end > FRAMES_START && active.end + bytes > self.options.roll_bytes;
        if self.active.as_ref().is_some_and(full) || self.roll_due().is_some_and(|left| left.is_zero()) {
            self.seal().map_err(Failure::Broken)?;
        }
        let step = self.options.preallocate_bytes.max(1);
        let active = self.ensure_active(first)?;
        let needed = active.end + bytes;
        if needed > active.allocated {
            let target = needed.div_ceil(step) * step;
            if let Err(error) = fill_with_zeros(&*active.file, active.allocated, target) {
                // What was filled before is still good to use, so only the failed part is given back.
                active.file.set_len(active.allocated).map_err(Failure::Broken)?;
                return Err(if is_full(&error) { Failure::Full } else { Failure::Broken(error) });
            }
            active.allocated = target;
        }
        Ok(())
    }

    /// Writes what is staged, in one call.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let active = self.active.as_ref().ok_or(io::ErrorKind::NotFound)?;
        active.file.write_at(active.end, &self.staged.frames)
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        let active = self.active.as_ref().ok_or(io::ErrorKind::NotFound)?;
        active.file.sync_data()
    }

    /// Shows what is durable now to the readers. Returns the bytes it took.
    pub(super) fn publish(&mut self) -> u64 {
        let bytes = self.staged.frames.len() as u64;
        if let Some(active) = &mut self.active {
            let (start, staged) = (active.end, &self.staged);
            active.segment.extend(|contents| {
                for mark in &staged.marks {
                    contents.mark(mark.offset, start + mark.position);
                }
                contents.end = start + bytes;
                contents.records += staged.records;
                contents.last = Some(staged.last);
                contents.newest = contents.newest.max(staged.newest);
            });
            active.end += bytes;
            active.began.get_or_insert_with(Instant::now);
        }
        self.clear();
        bytes
    }

    /// Forgets what is staged. What was written of it, if anything, must be gone or about to be overwritten by [`Self::repair`].
    pub(super) fn clear(&mut self) {
        let staged = &mut self.staged;
        staged.frames.clear();
        staged.frames.shrink_to(BUFFER_BYTES_KEPT);
        staged.records = 0;
        staged.newest = Timestamp(i64::MIN);
        staged.marks.clear();
    }

    /// Takes back what was written of a failed commit, durably: a half frame must never come to stand before a later one, and none of it
    /// may come back after a power cut beside the same events sent again.
    pub(super) fn take_back(&mut self) -> io::Result<()> {
        let active = self.active.as_mut().ok_or(io::ErrorKind::NotFound)?;
        active.file.set_len(active.end)?;
        active.allocated = active.end;
        active.file.sync_data()
    }

    /// How long until the active log segment must be sealed for its age; `None` while it is empty.
    pub(super) fn roll_due(&self) -> Option<Duration> {
        let began = self.active.as_ref()?.began?;
        Some(self.options.roll_age.saturating_sub(began.elapsed()))
    }

    /// Seals the active log segment, if it is old enough, and starts the next.
    pub(super) fn roll_if_due(&mut self, next: Offset) -> Result<(), Failure> {
        if self.roll_due().is_some_and(|left| left.is_zero()) { self.roll(next) } else { Ok(()) }
    }

    /// Seals the active log segment and starts the next. One without records stays.
    pub(super) fn roll(&mut self, next: Offset) -> Result<(), Failure> {
        if self.active.as_ref().is_some_and(|active| active.end > FRAMES_START) {
            self.seal().map_err(Failure::Broken)?;
        }
        self.ensure_active(next).map(|_| ())
    }

    /// Makes sure that there is an active log segment. `next`: no record after it has a lower offset.
    pub(super) fn start(&mut self, next: Offset) -> Result<(), Failure> {
        self.ensure_active(next).map(|_| ())
    }

    fn ensure_active(&mut self, next: Offset) -> Result<&mut Active, Failure> {
        match &mut self.active {
            Some(active) => Ok(active),
            none => {
                let name = LogSegmentName { class: self.class, first: next, generation: 0 };
                let file =
                    create(&self.catalogue, name).map_err(|error| if is_full(&error) { Failure::Full } else { Failure::Broken(error) })?;
                let segment = Arc::new(LogSegment::active(name, Contents::EMPTY));
                self.catalogue.add(Arc::clone(&segment));
                Ok(none.insert(Active { segment, file, end: FRAMES_START, allocated: FRAMES_START, began: None }))
            }
        }
    }

    /// Ends the active log segment: cut off behind its last frame, sealed, durable. An empty one is only cut off, and stays active.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        if active.end == FRAMES_START {
            active.file.set_len(FRAMES_START)?;
            active.allocated = FRAMES_START;
            return active.file.sync_data();
        }
        write_seal(&*active.file, &active.segment.contents())?;
        active.segment.seal();
        self.active = None;
        Ok(())
    }

    /// After a failure that left the file in doubt: opens it anew, cuts it off behind the last acknowledged frame, reads everything back
    /// from the disk, seals it, and starts another. On an error the same can be tried again.
    pub(super) fn repair(&mut self, next: Offset) -> io::Result<()> {
        if let Some(active) = &mut self.active {
            let name = active.segment.name();
            let file = self.catalogue.files.open(&name.to_string())?;
            file.set_len(active.end)?;
            if active.end == FRAMES_START {
                // Nothing was ever acknowledged from it, so it can go on. It must not be removed instead: until that were durable, a
                // power cut could bring it back beside its successor, with frames of the failed commit.
                file.write_at(0, &log_segment::encode_header(name, clock::now()))?;
                file.sync_data()?;
                (active.file, active.allocated) = (file, FRAMES_START);
                return Ok(());
            }
            file.sync_data()?;
            file.forget_cached()?;
            let contents = active.segment.contents();
            if let Some(position) = verify(&file, &contents)? {
                // Sealed all the same: its marks let readers go on behind the damage.
                self.catalogue.counters.corruptions.add(1);
                active.segment.damage_is_news();
                tracing::error!(file = %name, position, "acknowledged records did not survive a failed sync");
            }
            write_seal(&*file, &contents)?;
            active.segment.seal();
            self.active = None;
        }
        match self.ensure_active(next) {
            Ok(_) => Ok(()),
            Err(Failure::Full) => Err(io::ErrorKind::StorageFull.into()),
            Err(Failure::Broken(error)) => Err(error),
        }
    }
}

/// The first broken frame before the durable end, if there is one.
pub(super) fn verify(file: &Arc<dyn LogFile>, contents: &Contents) -> io::Result<Option<u64>> {
    let mut source = FrameSource::new(Arc::clone(file), FRAMES_START);
    loop {
        match source.next(contents.end)? {
            Next::Frame { .. } => {}
            Next::End => return Ok(None),
            Next::Zeros | Next::Bad => return Ok(Some(source.position())),
        }
    }
}

/// Makes a log segment's file, durable with its name before anything is written to it.
fn create(catalogue: &Catalogue, name: LogSegmentName) -> io::Result<Arc<dyn LogFile>> {
    let file_name = name.to_string();
    let made = (|| {
        let file = catalogue.files.create(&file_name)?;
        file.write_at(0, &log_segment::encode_header(name, clock::now()))?;
        file.sync_data()?;
        catalogue.files.sync_directory()?;
        Ok(file)
    })();
    if made.is_err() {
        // Recovery knows an unfinished file when it sees one; this only keeps the directory tidy.
        let _ = catalogue.files.remove(&file_name);
    }
    made
}

fn fill_with_zeros(file: &dyn LogFile, from: u64, to: u64) -> io::Result<()> {
    let mut position = from;
    while position < to {
        let bytes = ZEROS.len().min(usize::try_from(to - position).unwrap_or(usize::MAX));
        file.write_at(position, &ZEROS[..bytes])?;
        position += bytes as u64;
    }
    Ok(())
}

/// Seals a file: behind the last frame comes the seal, and then nothing. Durable when it returns.
pub(super) fn write_seal(file: &dyn LogFile, contents: &Contents) -> io::Result<()> {
    let seal = contents.encode_seal();
    file.write_at(contents.end, &seal)?;
    file.set_len(contents.end + seal.len() as u64)?;
    file.sync_data()
}
