//! One site's day: how many distinct visitors each cell, page, country and referring host has had so far. In memory only; of it rests what
//! [`Census::crowds`] says, which is crowds.

use std::{
    collections::{HashMap, HashSet},
    hash::BuildHasher,
};

use foldhash::quality::FixedState;

use super::{
    gather::{Cells, gather, make_room},
    rules::{CrowdRules, PLACE_VISITORS_MIN},
    seen::Seen,
    tuple::{Step, Tuple},
    vocabulary::Vocabulary,
};
use crate::{
    event::Epoch,
    privacy::hand_over::bytes::{Unread, Unreadable, Written},
};

/// Cells of one site and day; where there are more, the rarest become coarser. At 24 bytes each, under 1 MB.
const CELLS_MAX: usize = 16_384;
/// Words of one kind, site and day; where there are more, the rarest are forgotten, and count from nothing if they come again.
const WORDS_MAX: usize = 8_192;
/// When there are too many of anything, it is brought down to this share at once, so that it is done seldom: three in four.
const fn after_clearing(most: usize) -> usize {
    most / 4 * 3
}
/// A word longer than this is not counted, and so never a crowd's.
const WORD_BYTES_MAX: usize = 200;

/// What has a vocabulary of its own, apart from the tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WordKind {
    /// A page's path, as a template.
    Page,
    /// A country.
    Place,
    /// A referring host.
    Referrer,
}

impl WordKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Page, Self::Place, Self::Referrer];

    /// The name at rest.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Place => "place",
            Self::Referrer => "referrer",
        }
    }
}

/// What one event says.
pub(super) struct Said<'e> {
    /// The visitor, as 64 bits that are spread evenly and mean nothing tomorrow.
    pub(super) visitor: u64,
    pub(super) tuple: Tuple,
    pub(super) page: Option<&'e str>,
    pub(super) referrer: Option<&'e str>,
}

/// A day of a site, being counted.
#[derive(Clone)]
pub(super) struct Census {
    pub(super) epoch: Epoch,
    visitors: Seen,
    words_seen: Seen,
    counted: u64,
    cells: Cells,
    words: [HashMap<Box<str>, u64>; 3],
}

/// A day's crowds: what may rest.
#[derive(Debug, Default, PartialEq)]
pub(super) struct DayCrowds {
    /// Distinct visitors, in crowds or not.
    pub(super) visitors: u64,
    pub(super) cells: Cells,
    pub(super) words: [HashMap<Box<str>, u64>; 3],
}

impl Census {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { epoch, visitors: Seen::default(), words_seen: Seen::default(), counted: 0, cells: Cells::new(), words: Default::default() }
    }

    /// Counts one event. A visitor stands in the cell and in the country of their first event; pages and hosts have each visitor once.
    pub(super) fn count(&mut self, said: &Said<'_>, rules: &CrowdRules) {
        if self.visitors.insert(said.visitor) {
            self.counted += 1;
            *self.cells.entry(said.tuple).or_default() += 1;
            if self.cells.len() > CELLS_MAX {
                make_room(&mut self.cells, &rules.order, after_clearing(CELLS_MAX));
            }
            self.count_word(WordKind::Place, said.tuple.country.code());
        }
        for (kind, word) in [(WordKind::Page, said.page), (WordKind::Referrer, said.referrer)] {
            if let Some(word) = word.filter(|word| word.len() <= WORD_BYTES_MAX)
                && self.words_seen.insert(hash_of(said.visitor, kind, word))
            {
                self.count_word(kind, word);
            }
        }
    }

    fn count_word(&mut self, kind: WordKind, word: &str) {
        let words = &mut self.words[kind as usize];
        match words.get_mut(word) {
            Some(visitors) => *visitors += 1,
            None => {
                words.insert(word.into(), 1);
                let mut fewest = 1;
                while words.len() > WORDS_MAX && fewest < u64::MAX / 2 {
                    words.retain(|_, visitors| *visitors > fewest);
                    fewest *= 2;
                }
            }
        }
    }

    /// What may rest of the day: cells and words of at least a crowd. A cell that is too small is counted with a coarser one, unless the
    /// day's vocabulary had it: then its visitors left as what they are, and stand for nothing else.
    pub(super) fn crowds(&self, rules: &CrowdRules, vocabulary: &Vocabulary) -> DayCrowds {
        let enough = u64::from(rules.crowd());
        let [_, places, _] = &self.words;
        let named: HashSet<&str> = places
            .iter()
            .filter(|(place, visitors)| **visitors >= u64::from(PLACE_VISITORS_MIN) || vocabulary.has(WordKind::Place, place))
            .map(|(place, _)| &**place)
            .collect();
        let mut cells = Cells::new();
        for (cell, visitors) in &self.cells {
            let cell = if named.contains(cell.country.code()) { *cell } else { cell.without(Step::Place) };
            *cells.entry(cell).or_default() += visitors;
        }
        let mut words = self.words.clone();
        words.iter_mut().for_each(|words| words.retain(|_, visitors| *visitors >= enough));
        DayCrowds { visitors: self.counted, cells: gather(cells, &rules.order, enough, |cell| vocabulary.has_cell(cell)), words }
    }

    /// Writes it down for the process that takes over.
    pub(super) fn give(&self, to: &mut Written) {
        to.i32(self.epoch.0);
        to.u64(self.counted);
        self.visitors.give(to);
        // Hashes mean the same only where they are made the same way, which another release may not.
        to.u64(hash_of(0, WordKind::Page, ""));
        self.words_seen.give(to);
        to.count(self.cells.len());
        for (cell, visitors) in &self.cells {
            to.block(&serde_json::to_vec(cell).expect("a cell rests in this form, too"));
            to.u64(*visitors);
        }
        for words in &self.words {
            to.count(words.len());
            for (word, visitors) in words {
                to.block(word.as_bytes());
                to.u64(*visitors);
            }
        }
    }

    /// What the process before wrote down. `None`: it hashed otherwise, and the count begins anew, since else some would be counted twice.
    pub(super) fn take(from: &mut Unread<'_>) -> Result<Option<Self>, Unreadable> {
        let (epoch, counted, visitors) = (Epoch(from.i32()?), from.u64()?, Seen::take(from)?);
        let same_hashes = from.u64()? == hash_of(0, WordKind::Page, "");
        let mut census = Self { counted, visitors, words_seen: Seen::take(from)?, ..Self::new(epoch) };
        for _ in 0..from.count()? {
            let cell = serde_json::from_slice(from.block()?).map_err(|_| Unreadable::Form)?;
            census.cells.insert(cell, from.u64()?);
        }
        for words in &mut census.words {
            for _ in 0..from.count()? {
                let word = std::str::from_utf8(from.block()?).map_err(|_| Unreadable::Form)?;
                words.insert(word.into(), from.u64()?);
            }
        }
        let bounded = census.cells.len() <= CELLS_MAX && census.words.iter().all(|words| words.len() <= WORDS_MAX);
        if bounded { Ok(same_hashes.then_some(census)) } else { Err(Unreadable::Form) }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.cells.len(), self.words.iter().map(HashMap::len).max().unwrap_or_default())
    }
}

fn hash_of(visitor: u64, kind: WordKind, word: &str) -> u64 {
    FixedState::default().hash_one((visitor, kind, word))
}
