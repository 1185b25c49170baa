//! One log segment: its file's name, header and seal, and what is known of it in memory.
//!
//! ```text
//!  header, 64 bytes: "FHLOGSEG" format class 0 0 generation:u32 first:u64 created:i64 (ms)  zeros  CRC32C:u32
//!  frames…
//!  seal, once it is full: marks (offset:u64, position:u64)…  then 64 bytes:
//!                         "FHLOGEND" records:u64 last:u64 newest:i64 (ms) marks:u32 CRC32C of the marks:u32  zeros  CRC32C:u32
//! ```
//! All numbers are little-endian. The seal makes a start cheap (old log segments need not be scanned), proves that nothing is missing
//! at the end, and its marks are frame starts that a reader can go on from behind damage.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    clock::Timestamp,
    event::{Offset, RetentionClass},
};

/// The format of log segments that this program writes: of frames, seals and of the records in them. Whoever changes any of those adds one, and
/// [`FORMATS_READ`] then begins at the one before: `LogSegment` keeps its header's format, and its readers ask for it.
pub(super) const FORMAT: u8 = 1;
/// The formats that this program reads: its own, and the one before (of which there is none yet). An older log is left to a release in between.
pub const FORMATS_READ: RangeInclusive<u8> = 1..=FORMAT;
/// Width of the header, and of the seal's fixed part.
pub(super) const HEADER_BYTES: usize = 64;
/// Where the first frame begins.
pub(super) const FRAMES_START: u64 = HEADER_BYTES as u64;
/// Between two marks lie at least this many bytes of frames: what a seek reads too much, and what damage costs.
pub(super) const MARK_STEP_BYTES: u64 = 64 << 10;
const MARK_BYTES: usize = 16;
/// More marks than the largest log segment can have: a broken seal cannot ask for more memory.
const MARKS_MAX: usize = 1 << 16;
const HEADER_MAGIC: &[u8; 8] = b"FHLOGSEG";
const SEAL_MAGIC: &[u8; 8] = b"FHLOGEND";

/// Names a log segment and its file: `short-00000000000000000042.0.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogSegmentName {
    /// Which family it is of.
    pub(super) class: RetentionClass,
    /// No record in it has a lower offset.
    pub(super) first: Offset,
    /// How often its contents have been rewritten. Of two that differ only in this, the higher whole one counts.
    pub(super) generation: u32,
}

impl fmt::Display for LogSegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:020}.{}.log", family_name(self.class), self.first.0, self.generation)
    }
}

impl LogSegmentName {
    /// The name that a file name says, if it is one of ours.
    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let (class, rest) = file_name.strip_suffix(".log")?.split_once('-')?;
        let (first, generation) = rest.split_once('.')?;
        let class = RetentionClass::ALL.into_iter().find(|known| family_name(*known) == class)?;
        let name = Self { class, first: Offset(first.parse().ok()?), generation: generation.parse().ok()? };
        (name.to_string() == file_name).then_some(name)
    }
}

const fn family_name(class: RetentionClass) -> &'static str {
    match class {
        RetentionClass::Short => "short",
        RetentionClass::Long => "long",
    }
}

const fn class_code(class: RetentionClass) -> u8 {
    match class {
        RetentionClass::Short => 1,
        RetentionClass::Long => 2,
    }
}

/// The header's bytes.
pub(super) fn encode_header(name: LogSegmentName, created: Timestamp) -> [u8; HEADER_BYTES] {
    header(FORMAT, name, created)
}

fn header(format: u8, name: LogSegmentName, created: Timestamp) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(HEADER_MAGIC);
    bytes[8] = format;
    bytes[9] = class_code(name.class);
    bytes[12..16].copy_from_slice(&name.generation.to_le_bytes());
    bytes[16..24].copy_from_slice(&name.first.0.to_le_bytes());
    bytes[24..32].copy_from_slice(&created.0.to_le_bytes());
    finish(bytes)
}

/// What a file's first bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileHeader {
    /// A header of this very log segment.
    Ours,
    /// A sound header in a format that this program does not read.
    Foreign(u8),
    /// Unfinished, damaged, or of another file.
    Bad,
}

/// Reads a header back.
pub(super) fn decode_header(bytes: &[u8; HEADER_BYTES], name: LogSegmentName) -> FileHeader {
    if !bytes.starts_with(HEADER_MAGIC) || !is_finished(bytes) {
        return FileHeader::Bad;
    }
    if !FORMATS_READ.contains(&bytes[8]) {
        return FileHeader::Foreign(bytes[8]);
    }
    let created = Timestamp(number(bytes, 24).cast_signed());
    if header(bytes[8], name, created) == *bytes { FileHeader::Ours } else { FileHeader::Bad }
}

/// The format that a sound header says; nothing: it is none.
pub(super) fn format_of(bytes: &[u8; HEADER_BYTES]) -> Option<u8> {
    (bytes.starts_with(HEADER_MAGIC) && is_finished(bytes)).then_some(bytes[8])
}

fn finish(mut bytes: [u8; HEADER_BYTES]) -> [u8; HEADER_BYTES] {
    let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn is_finished(bytes: &[u8; HEADER_BYTES]) -> bool {
    crc32c::crc32c(&bytes[..HEADER_BYTES - 4]).to_le_bytes() == bytes[HEADER_BYTES - 4..]
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

fn short_number(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

/// A frame start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: Offset,
    pub(super) position: u64,
}

/// Durable records that cannot be read, from a position to the end of the log segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) position: u64,
    pub(super) bytes: u64,
}

/// What is in a log segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// Where the durable frames end.
    pub(super) end: u64,
    /// How many they are.
    pub(super) records: u64,
    /// The last one's offset; `None` when there are none.
    pub(super) last: Option<Offset>,
    /// The latest receipt among them.
    pub(super) newest: Timestamp,
    /// Frame starts, in order, at least `MARK_STEP_BYTES` apart.
    marks: Vec<Mark>,
}

impl Contents {
    /// No frames yet.
    pub(super) const EMPTY: Self = Self { end: FRAMES_START, records: 0, last: None, newest: Timestamp(i64::MIN), marks: Vec::new() };

    /// Notes a frame that begins at a position, if it is far enough from the last one noted.
    pub(super) fn mark(&mut self, offset: Offset, position: u64) {
        if self.marks.last().is_none_or(|last| position >= last.position + MARK_STEP_BYTES) {
            self.marks.push(Mark { offset, position });
        }
    }

    /// The seal's bytes.
    pub(super) fn encode_seal(&self) -> Vec<u8> {
        let mut seal = Vec::with_capacity(self.marks.len() * MARK_BYTES + HEADER_BYTES);
        for mark in &self.marks {
            seal.extend_from_slice(&mark.offset.0.to_le_bytes());
            seal.extend_from_slice(&mark.position.to_le_bytes());
        }
        let mut fixed = [0; HEADER_BYTES];
        fixed[..8].copy_from_slice(SEAL_MAGIC);
        fixed[8..16].copy_from_slice(&self.records.to_le_bytes());
        fixed[16..24].copy_from_slice(&self.last.map_or(0, |last| last.0).to_le_bytes());
        fixed[24..32].copy_from_slice(&self.newest.0.to_le_bytes());
        // One mark per MARK_STEP_BYTES of a file: the count fits.
        fixed[32..36].copy_from_slice(&(self.marks.len() as u32).to_le_bytes());
        fixed[36..40].copy_from_slice(&crc32c::crc32c(&seal).to_le_bytes());
        seal.extend_from_slice(&finish(fixed));
        seal
    }

    /// Reads a seal back from the end of a file of `size` bytes, through `read_at(position, bytes)`. `None`: there is no whole seal.
    ///
    /// # Errors
    /// What reading says.
    pub(super) fn decode_seal<E>(size: u64, mut read_at: impl FnMut(u64, usize) -> Result<Vec<u8>, E>) -> Result<Option<Self>, E> {
        let Some(fixed_at) = size.checked_sub(HEADER_BYTES as u64).filter(|at| *at >= FRAMES_START) else { return Ok(None) };
        let Ok(fixed) = <[u8; HEADER_BYTES]>::try_from(read_at(fixed_at, HEADER_BYTES)?) else { return Ok(None) };
        if !fixed.starts_with(SEAL_MAGIC) || !is_finished(&fixed) {
            return Ok(None);
        }
        let count = short_number(&fixed, 32) as usize;
        let end = fixed_at.checked_sub((count * MARK_BYTES) as u64).filter(|end| *end >= FRAMES_START && count <= MARKS_MAX);
        let Some(end) = end else { return Ok(None) };
        let marks = read_at(end, count * MARK_BYTES)?;
        if crc32c::crc32c(&marks) != short_number(&fixed, 36) {
            return Ok(None);
        }
        let marks =
            marks.chunks_exact(MARK_BYTES).map(|mark| Mark { offset: Offset(number(mark, 0)), position: number(mark, 8) }).collect();
        let records = number(&fixed, 8);
        let last = (records > 0).then(|| Offset(number(&fixed, 16)));
        Ok(Some(Self { end, records, last, newest: Timestamp(number(&fixed, 24).cast_signed()), marks }))
    }
}

/// What a reader needs to know of a log segment's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Where the durable frames end.
    pub(super) end: u64,
    /// Whether nothing will follow.
    pub(super) sealed: bool,
    /// What lies behind the end and should not.
    pub(super) damage: Option<Damage>,
}

/// One log segment, shared by the commit thread and the readers.
pub(super) struct LogSegment {
    name: LogSegmentName,
    inner: Mutex<Inner>,
    dropped: AtomicBool,
    damage_told: AtomicBool,
}

struct Inner {
    contents: Contents,
    sealed: bool,
    damage: Option<Damage>,
}

impl LogSegment {
    /// One that is still written.
    pub(super) fn active(name: LogSegmentName, contents: Contents) -> Self {
        Self::new(name, contents, false, None)
    }

    /// One that nothing will be added to.
    pub(super) fn sealed(name: LogSegmentName, contents: Contents, damage: Option<Damage>) -> Self {
        Self::new(name, contents, true, damage)
    }

    fn new(name: LogSegmentName, contents: Contents, sealed: bool, damage: Option<Damage>) -> Self {
        let inner = Mutex::new(Inner { contents, sealed, damage });
        Self { name, inner, dropped: AtomicBool::new(false), damage_told: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code that can panic runs while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn name(&self) -> LogSegmentName {
        self.name
    }

    pub(super) const fn first(&self) -> Offset {
        self.name.first
    }

    pub(super) fn extent(&self) -> Extent {
        let inner = self.lock();
        Extent { end: inner.contents.end, sealed: inner.sealed, damage: inner.damage }
    }

    pub(super) fn contents(&self) -> Contents {
        self.lock().contents.clone()
    }

    /// Durable records in it.
    pub(super) fn records(&self) -> u64 {
        self.lock().contents.records
    }

    /// Adds what a commit made durable.
    pub(super) fn extend(&self, more: impl FnOnce(&mut Contents)) {
        more(&mut self.lock().contents);
    }

    pub(super) fn seal(&self) {
        self.lock().sealed = true;
    }

    /// Whether nothing will be added and every record was received before this moment.
    pub(super) fn is_older_than(&self, moment: Timestamp) -> bool {
        let inner = self.lock();
        inner.sealed && inner.contents.newest < moment
    }

    /// A frame start at or before the first record with that offset or a higher one.
    pub(super) fn seek(&self, offset: Offset) -> u64 {
        let inner = self.lock();
        let marks = &inner.contents.marks;
        let after = marks.partition_point(|mark| mark.offset <= offset);
        after.checked_sub(1).map_or(FRAMES_START, |index| marks[index].position)
    }

    /// The first known frame start behind a position: where reading can go on behind damage, and the first offset there. The end of the
    /// durable frames, and no offset, when none is known.
    pub(super) fn next_mark(&self, position: u64) -> (u64, Option<Offset>) {
        let inner = self.lock();
        let marks = &inner.contents.marks;
        let after = marks.partition_point(|mark| mark.position <= position);
        marks.get(after).map_or((inner.contents.end, None), |mark| (mark.position, Some(mark.offset)))
    }

    pub(super) fn note_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// True the first time: damage is told once per log segment, however many readers meet it.
    pub(super) fn damage_is_news(&self) -> bool {
        !self.damage_told.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: LogSegmentName = LogSegmentName { class: RetentionClass::Long, first: Offset(42), generation: 3 };

    #[test]
    fn names_are_read_back_and_others_are_not_ours() {
        assert_eq!(NAME.to_string(), "long-00000000000000000042.3.log");
        assert_eq!(LogSegmentName::parse(&NAME.to_string()), Some(NAME));
        for other in [
            "lock",
            "long-42.3.log",
            "long-00000000000000000042.03.log",
            "mid-00000000000000000042.3.log",
            "long-00000000000000000042.3.log~",
        ] {
            assert_eq!(LogSegmentName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let good = encode_header(NAME, Timestamp(5));
        assert_eq!(decode_header(&good, NAME), FileHeader::Ours);
        assert_eq!(decode_header(&good, LogSegmentName { generation: 4, ..NAME }), FileHeader::Bad, "a renamed file");
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_header(&bad, NAME), FileHeader::Bad, "bit {bit}");
        }
        for foreign in [FORMAT + 1, FORMATS_READ.start() - 1] {
            let other = header(foreign, NAME, Timestamp(5));
            assert_eq!((decode_header(&other, NAME), format_of(&other)), (FileHeader::Foreign(foreign), Some(foreign)));
        }
    }

    #[test]
    fn a_seal_is_read_back_and_every_flipped_bit_of_it_is_noticed() {
        let mut contents = Contents { end: 300_000, records: 9, last: Some(Offset(80)), newest: Timestamp(7), marks: Vec::new() };
        for (offset, position) in [(42, 64), (43, 200), (50, 64 + MARK_STEP_BYTES), (60, 250_000)] {
            contents.mark(Offset(offset), position);
        }
        assert_eq!(contents.marks.len(), 3, "marks keep their distance");
        let seal = contents.encode_seal();
        let size = contents.end + seal.len() as u64;
        let read = |seal: &[u8]| {
            Contents::decode_seal(size, |position, bytes| {
                let at = (position as usize).checked_sub(300_000).ok_or(())?;
                seal.get(at..at + bytes).map(<[u8]>::to_vec).ok_or(())
            })
        };
        assert_eq!(read(&seal), Ok(Some(contents.clone())));
        for bit in 0..seal.len() * 8 {
            let mut bad = seal.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(read(&bad), Ok(Some(contents.clone())), "bit {bit}");
        }
        let segment = LogSegment::sealed(NAME, contents, None);
        assert_eq!(segment.seek(Offset(42)), 64);
        assert_eq!(segment.seek(Offset(59)), 64 + MARK_STEP_BYTES);
        assert_eq!(segment.seek(Offset(1)), FRAMES_START);
        assert_eq!(segment.next_mark(64), (64 + MARK_STEP_BYTES, Some(Offset(50))));
        assert_eq!(segment.next_mark(250_000), (300_000, None));
    }
}
