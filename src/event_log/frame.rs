//! One record's frame in a log segment, and reading frames one after another.
//!
//! ```text
//!  0         4        8          16
//!  length    CRC32C   offset     payload…
//!  u32       u32      u64        `Record::bytes()`
//! ```
//! All numbers are little-endian. The top bit of `length` marks the first frame of a commit. The checksum is over `length`, `offset`
//! and payload. A length of zero is the end: the file is preallocated with zeros.
//!
//! The mark is what tells a torn tail from damage. A commit is written after the one before it has been synced, so a power cut can
//! leave holes in the last commit only: a broken frame *with a whole commit start behind it* was durable once, and is never cut off.

use std::{io, sync::Arc};

use bytes::{Buf as _, Bytes};

use super::files::LogFile;
use crate::{event::Offset, privacy::record::HEADER_BYTES};

/// The largest record that the log takes: far above any event, small enough that a broken length cannot ask for much memory.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Width of what stands before the payload.
pub(super) const FRAME_HEADER_BYTES: usize = 16;
/// The least that a frame can measure.
pub(super) const FRAME_BYTES_MIN: usize = FRAME_HEADER_BYTES + HEADER_BYTES;
/// How much is read at a time: large enough for the disk's read-ahead, small enough to hold one per reader.
const CHUNK_BYTES: usize = 256 << 10;
const COMMIT_START: u32 = 1 << 31;

/// Appends a frame to a buffer.
pub(super) fn encode(buffer: &mut Vec<u8>, offset: Offset, payload: &[u8], starts_commit: bool) {
    // Callers keep payloads under RECORD_BYTES_MAX, so the length fits, below the mark.
    let length = (payload.len() as u32 | if starts_commit { COMMIT_START } else { 0 }).to_le_bytes();
    let offset = offset.0.to_le_bytes();
    buffer.reserve(FRAME_HEADER_BYTES + payload.len());
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&checksum(&length, &offset, payload).to_le_bytes());
    buffer.extend_from_slice(&offset);
    buffer.extend_from_slice(payload);
}

fn checksum(length: &[u8], offset: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(length), offset), payload)
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A whole frame of that many bytes.
    Frame { offset: Offset, starts_commit: bool, bytes: usize },
    /// The end, as far as this word says.
    Zero,
    /// Too few bytes to tell: this many are needed.
    Incomplete(usize),
    /// No frame.
    Bad,
}

pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Decoded::Incomplete(FRAME_HEADER_BYTES) };
    let word = u32::from_le_bytes(*length);
    if word == 0 {
        return Decoded::Zero;
    }
    let payload_bytes = (word & !COMMIT_START) as usize;
    if !(HEADER_BYTES..=RECORD_BYTES_MAX).contains(&payload_bytes) {
        return Decoded::Bad;
    }
    let frame_bytes = FRAME_HEADER_BYTES + payload_bytes;
    let (Some((crc, rest)), true) = (rest.split_first_chunk::<4>(), bytes.len() >= frame_bytes) else {
        return Decoded::Incomplete(frame_bytes);
    };
    let Some((offset, rest)) = rest.split_first_chunk::<8>() else { return Decoded::Incomplete(frame_bytes) };
    if checksum(length, offset, &rest[..payload_bytes]) != u32::from_le_bytes(*crc) {
        return Decoded::Bad;
    }
    Decoded::Frame { offset: Offset(u64::from_le_bytes(*offset)), starts_commit: word & COMMIT_START != 0, bytes: frame_bytes }
}

/// What comes next in a file.
pub(super) enum Next {
    /// A frame that begins at this position.
    Frame { offset: Offset, position: u64, payload: Bytes },
    /// The given end was reached exactly.
    End,
    /// Zeros before the given end.
    Zeros,
    /// Something that is no frame before the given end.
    Bad,
}

/// Reads frames one after another, in large chunks. A payload shares its chunk's memory.
pub(super) struct FrameSource {
    file: Arc<dyn LogFile>,
    position: u64,
    /// The bytes from `position` on that have been read already.
    chunk: Bytes,
}

impl FrameSource {
    /// Begins at a position, which must be the start of a frame.
    pub(super) fn new(file: Arc<dyn LogFile>, position: u64) -> Self {
        Self { file, position, chunk: Bytes::new() }
    }

    /// Where the next frame begins.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Goes on elsewhere, which must be the start of a frame.
    pub(super) fn jump(&mut self, position: u64) {
        self.position = position;
        self.chunk = Bytes::new();
    }

    /// The next frame that ends at or before `end`. Stays where it is unless it returns a frame.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn next(&mut self, end: u64) -> io::Result<Next> {
        loop {
            let remaining = usize::try_from(end.saturating_sub(self.position)).unwrap_or(usize::MAX);
            if remaining == 0 {
                return Ok(Next::End);
            }
            let known = self.chunk.len().min(remaining);
            let needed = match decode(&self.chunk[..known]) {
                Decoded::Frame { offset, bytes, .. } => {
                    let position = self.position;
                    let payload = self.chunk.slice(FRAME_HEADER_BYTES..bytes);
                    self.chunk.advance(bytes);
                    self.position += bytes as u64;
                    return Ok(Next::Frame { offset, position, payload });
                }
                Decoded::Zero => return Ok(Next::Zeros),
                Decoded::Bad => return Ok(Next::Bad),
                Decoded::Incomplete(needed) => needed,
            };
            if known == remaining {
                let zeros = self.chunk[..known].iter().all(|byte| *byte == 0);
                return Ok(if zeros { Next::Zeros } else { Next::Bad });
            }
            let mut chunk = vec![0; CHUNK_BYTES.max(needed).min(remaining)];
            let read = self.file.read_at(self.position, &mut chunk)?;
            if read <= known {
                // The file is shorter than it was said to be.
                return Ok(Next::Bad);
            }
            chunk.truncate(read);
            self.chunk = chunk.into();
        }
    }
}

/// Whether a whole frame that starts a commit stands somewhere in `bytes`, with an offset above `last`.
pub(super) fn holds_commit_start(bytes: &[u8], last: Option<Offset>) -> bool {
    bytes.windows(4).enumerate().any(|(at, word)| {
        word[3] & 0x80 != 0
            && matches!(decode(&bytes[at..]), Decoded::Frame { offset, starts_commit: true, .. } if last.is_none_or(|last| offset > last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(offset: u64, payload: &[u8], starts_commit: bool) -> Vec<u8> {
        let mut buffer = Vec::new();
        encode(&mut buffer, Offset(offset), payload, starts_commit);
        buffer
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = frame(7, &[0x5a; 80], true);
        assert_eq!(decode(&good), Decoded::Frame { offset: Offset(7), starts_commit: true, bytes: 96 });
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&bad), Decoded::Frame { .. }), "bit {bit}");
        }
    }

    #[test]
    fn every_prefix_is_incomplete_and_zeros_are_an_end() {
        let good = frame(7, &[1; 80], false);
        for length in 0..good.len() {
            assert!(matches!(decode(&good[..length]), Decoded::Incomplete(needed) if needed > length), "{length}");
        }
        assert_eq!(decode(&[0; 16]), Decoded::Zero);
    }

    #[test]
    fn a_length_out_of_bounds_is_bad_before_anything_is_read_for_it() {
        for length in [1, HEADER_BYTES as u32 - 1, RECORD_BYTES_MAX as u32 + 1, u32::MAX] {
            assert_eq!(decode(&length.to_le_bytes()), Decoded::Bad, "{length}");
        }
    }

    #[test]
    fn a_later_commit_is_found_and_a_later_frame_of_the_same_commit_is_not_one() {
        let mut tail = vec![3; 33];
        tail.extend(frame(8, &[1; 60], false));
        assert!(!holds_commit_start(&tail, Some(Offset(4))));
        tail.extend(frame(9, &[1; 60], true));
        assert!(holds_commit_start(&tail, Some(Offset(4))));
        assert!(!holds_commit_start(&tail, Some(Offset(9))), "an older offset is a leftover");
        assert!(!holds_commit_start(&tail[..tail.len() - 1], None), "a torn one does not count");
    }
}
