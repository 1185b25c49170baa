//! The memory of the program under test, region by region, from `/proc`. Its parent may read it; where the system refuses, the run says so.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
};

/// Read and searched at a time.
const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// Two pieces share so much, so that nothing is cut by their border: no needle is longer.
const SHARED_BYTES: usize = 1024;
const PAGE_BYTES: usize = 4096;

/// Hands every piece of what a process can write to, and has written to, to `look`. Returns how many bytes that were.
///
/// # Errors
/// When the system does not let its memory be read.
pub fn search(process: u32, mut look: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut searched = 0;
    pieces(process, SHARED_BYTES, |piece| {
        for run in written(piece) {
            look(run);
            searched += run.len() as u64;
        }
    })?;
    Ok(searched)
}

/// The same page by page.
///
/// # Errors
/// When the system does not let its memory be read.
pub fn pages(process: u32, mut look: impl FnMut(&[u8])) -> io::Result<()> {
    pieces(process, 0, |piece| {
        for run in written(piece) {
            run.chunks_exact(PAGE_BYTES).for_each(&mut look);
        }
    })
}

/// Hands over what can be written to; two pieces of one region have so many bytes in common.
fn pieces(process: u32, shared: usize, mut look: impl FnMut(&[u8])) -> io::Result<()> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let memory = File::open(format!("/proc/{process}/mem"))?;
    let mut piece = vec![0; PIECE_BYTES];
    let (mut first_error, mut any) = (None, false);
    for (begin, end) in maps.lines().filter_map(writable) {
        let mut at = begin;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let read = match memory.read_at(&mut piece[..wanted], at) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => {
                    // A region may have gone since; a refusal concerns them all.
                    first_error.get_or_insert(error);
                    break;
                }
            };
            any = true;
            look(&piece[..read]);
            at += (if read == PIECE_BYTES { read - shared } else { read }) as u64;
        }
    }
    match first_error {
        Some(error) if !any => Err(error),
        _ => Ok(()),
    }
}

/// The bounds of a region that can be read and written.
fn writable(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    let (bounds, rights) = (words.next()?, words.next()?);
    if !rights.starts_with("rw") {
        return None;
    }
    let (begin, end) = bounds.split_once('-')?;
    Some((u64::from_str_radix(begin, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

/// The runs of pages that are not all zeros: an allocator reserves far more than it uses.
fn written(piece: &[u8]) -> Vec<&[u8]> {
    const ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
    let mut runs = Vec::new();
    let mut begin = None;
    for (index, page) in piece.chunks(PAGE_BYTES).enumerate() {
        let at = index * PAGE_BYTES;
        if *page == ZEROS[..page.len()] {
            runs.extend(begin.take().map(|begin: usize| &piece[begin..at]));
        } else {
            begin.get_or_insert(at);
        }
    }
    runs.extend(begin.map(|begin| &piece[begin..]));
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_written_pages_are_whole() {
        let mut piece = vec![0; 5 * PAGE_BYTES + 10];
        assert!(written(&piece).is_empty());
        piece[PAGE_BYTES + 5] = 1;
        piece[2 * PAGE_BYTES] = 1;
        piece[5 * PAGE_BYTES + 9] = 1;
        let lengths: Vec<usize> = written(&piece).iter().map(|run| run.len()).collect();
        assert_eq!(lengths, [2 * PAGE_BYTES, 10]);
    }

    #[test]
    fn only_what_can_be_written_is_searched() {
        assert_eq!(writable("7f00-7fff rw-p 00000000 00:00 0"), Some((0x7f00, 0x7fff)));
        assert_eq!(writable("7f00-7fff r-xp 00000000 00:00 0 /bin/x"), None);
    }

    #[test]
    fn a_value_of_ones_own_is_found() {
        let made: Vec<u8> = (0..64_u8).map(|byte| byte.wrapping_mul(37) ^ 0x5a).collect();
        let mut found = false;
        search(std::process::id(), |bytes| found |= memchr::memmem::find(bytes, &made).is_some()).unwrap();
        assert!(found);
    }
}
