//! Whether something was seen before today: exact for a small site, a filter of fixed size for a large one. The filter errs in one
//! direction only: it takes something new for known, so that a count of what is new is never too high.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::privacy::hand_over::bytes::{Unread, Unreadable, Written};

/// So many are kept as they are: up to some 300 KB.
const EXACT_MAX: usize = 1 << 14;
/// Bits of the filter: 2 MB. At a million entries one in 500 new ones is taken for known, at six million one in three.
const FILTER_BITS: usize = 1 << 24;
/// Bits of a line of the processor's cache, and its words.
const LINE_BITS: usize = 512;
const LINE_WORDS: usize = LINE_BITS / 64;
/// Bits that one entry sets; with the line's place they take 51 of its 64.
const PROBES: u64 = 4;

/// A set that says whether an entry is new. Entries are 64 bits that are spread evenly: a part of a token, or a hash.
#[derive(Clone)]
pub(super) enum Seen {
    Exact(HashSet<u64, RandomState>),
    Filter(Box<[u64]>),
}

impl Default for Seen {
    fn default() -> Self {
        Self::Exact(HashSet::default())
    }
}

impl Seen {
    /// Puts an entry in. Returns whether it was certainly not there.
    pub(super) fn insert(&mut self, entry: u64) -> bool {
        match self {
            Self::Exact(entries) => {
                let new = entries.insert(entry);
                if entries.len() > EXACT_MAX {
                    let mut filter = vec![0; FILTER_BITS / 64].into_boxed_slice();
                    for entry in entries.iter() {
                        mark(&mut filter, *entry);
                    }
                    *self = Self::Filter(filter);
                }
                new
            }
            Self::Filter(filter) => mark(filter, entry),
        }
    }

    /// Writes it down for the process that takes over.
    pub(super) fn give(&self, to: &mut Written) {
        let mut words = |filter: bool, words: &mut dyn ExactSizeIterator<Item = u64>| {
            to.u8(u8::from(filter));
            to.count(words.len());
            words.for_each(|word| to.u64(word));
        };
        match self {
            Self::Exact(entries) => words(false, &mut entries.iter().copied()),
            Self::Filter(filter) => words(true, &mut filter.iter().copied()),
        }
    }

    /// What the process before wrote down.
    pub(super) fn take(from: &mut Unread<'_>) -> Result<Self, Unreadable> {
        let (filter, words) = (from.u8()?, from.count()?);
        let words = (0..words).map(|_| from.u64());
        match filter {
            0 if words.len() <= EXACT_MAX => Ok(Self::Exact(words.collect::<Result<_, _>>()?)),
            1 if words.len() == FILTER_BITS / 64 => Ok(Self::Filter(words.collect::<Result<_, _>>()?)),
            _ => Err(Unreadable::Form),
        }
    }
}

/// Sets an entry's bits, all of them in one line of the processor's cache: an event costs one wait for memory, not [`PROBES`]. Returns
/// whether one of them was not set.
fn mark(filter: &mut [u64], entry: u64) -> bool {
    let line = (entry % (FILTER_BITS / LINE_BITS) as u64) as usize * LINE_WORDS;
    let mut places = entry / (FILTER_BITS / LINE_BITS) as u64;
    let mut new = false;
    for _ in 0..PROBES {
        let place = places as usize % LINE_BITS;
        places /= LINE_BITS as u64;
        let (word, mask) = (line + place / 64, 1 << (place % 64));
        new |= filter[word] & mask == 0;
        filter[word] |= mask;
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads small numbers evenly, the same at every run.
    fn spread(number: u64) -> u64 {
        let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }

    #[test]
    fn what_was_seen_is_never_new_again() {
        let mut seen = Seen::default();
        let entries = (EXACT_MAX as u64) * 3;
        let new = (0..entries).filter(|number| seen.insert(spread(*number))).count() as u64;
        assert!(matches!(seen, Seen::Filter(_)));
        assert!(new <= entries && new * 1_000 >= entries * 999, "{new} of {entries}");
        assert_eq!((0..entries).filter(|number| seen.insert(spread(*number))).count(), 0);
    }

    #[test]
    fn what_is_handed_over_is_still_known() {
        for entries in [0, 100, EXACT_MAX as u64 * 2] {
            let mut seen = Seen::default();
            for number in 0..entries {
                seen.insert(spread(number));
            }
            let mut written = Written::default();
            seen.give(&mut written);
            let mut unread = Unread::of(written.as_bytes(), std::time::Duration::ZERO);
            let mut there = Seen::take(&mut unread).unwrap();
            assert!(unread.end().is_ok());
            assert_eq!((0..entries).filter(|number| there.insert(spread(*number))).count(), 0, "{entries}");
            assert!(there.insert(spread(entries)));
        }
    }

    #[test]
    fn memory_is_bounded_and_the_count_never_too_high() {
        let mut seen = Seen::default();
        let entries = 2_000_000;
        let new = (0..entries).filter(|number| seen.insert(spread(*number))).count() as u64;
        assert!(matches!(&seen, Seen::Filter(filter) if filter.len() * 64 == FILTER_BITS));
        assert!(new < entries && new * 100 > entries * 98, "{new} of {entries}");
    }
}
