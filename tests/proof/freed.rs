//! What is left in memory of a buffer that was freed.

use std::{fs::File, os::unix::fs::FileExt as _};

use crate::{Found, unless};

/// Longer than what an allocator writes into memory that is free.
const BYTES: usize = 3_000;
const MARK: u8 = 0xa7;

/// A buffer as a request's body has one is freed, and its place read as another process would read it.
pub(crate) fn a_freed_buffer() -> Found {
    let buffer = vec![MARK; BYTES];
    let place = buffer.as_ptr().addr();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut seen = [0; BYTES];
    memory.read_exact_at(&mut seen, place as u64).unwrap();
    assert!(seen.iter().all(|byte| *byte == MARK), "it is read where it is");
    drop(buffer);
    memory.read_exact_at(&mut seen, place as u64).unwrap();
    unless(seen.iter().filter(|byte| **byte == MARK).count() > BYTES / 2, "what was in a buffer is read after it was freed")
}
