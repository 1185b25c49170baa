//! A day's vocabulary: which tuples, pages, places and referring hosts may be said of that day's events. It follows from the seven days
//! before and from the policy, and from nothing of the day itself: the first of a crowd would be told before there is one.

use std::collections::{HashMap, HashSet};

use super::{
    census::{DayCrowds, WordKind},
    gather::{Cells, gather},
    rules::{CrowdRules, PLACE_VISITORS_MIN},
    tuple::{Step, Tuple},
};

/// Days that a vocabulary is made of: the ones before its own.
pub const WINDOW_DAYS: i32 = 7;
/// A cell has this many crowds on an average day, so that on a poor one it still has one.
const CROWDS_A_DAY: u64 = 2;
/// The page that every site has, and that says nothing.
pub(super) const FRONT_PAGE: &str = "/";
/// What a page is called that too few have seen.
pub const OTHER_PAGE: &str = "/(other)";

/// What may be said.
#[derive(Debug, Default)]
pub struct Vocabulary {
    cells: HashSet<Tuple>,
    words: [HashSet<Box<str>>; 3],
    everything: bool,
}

impl Vocabulary {
    /// Everything may be said: what leaves where no crowd is asked for, and the most that an explanation can promise.
    pub(super) fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Of the days before; a day of which nothing rests had nobody.
    pub(super) fn of(days: &[DayCrowds], rules: &CrowdRules) -> Self {
        let crowd = u64::from(rules.crowd());
        let mut best: [HashMap<&str, u64>; 3] = Default::default();
        for day in days {
            for (best, words) in best.iter_mut().zip(&day.words) {
                for (word, visitors) in words {
                    let known = best.entry(word).or_default();
                    *known = (*known).max(*visitors);
                }
            }
        }
        // Nobody is known again the next day, so the visitors of a week are at least those of its best day, and no more is certain.
        let words = WordKind::ALL.map(|kind| {
            let enough = if kind == WordKind::Place { crowd.max(u64::from(PLACE_VISITORS_MIN)) } else { crowd };
            best[kind as usize].iter().filter(|(_, visitors)| **visitors >= enough).map(|(word, _)| Box::from(*word)).collect()
        });
        let mut vocabulary = Self { words, ..Self::default() };
        let mut cells = Cells::new();
        for (cell, visitors) in days.iter().flat_map(|day| &day.cells) {
            *cells.entry(vocabulary.with_place_said(*cell)).or_default() += visitors;
        }
        let enough = crowd * CROWDS_A_DAY * WINDOW_DAYS.unsigned_abs() as u64;
        vocabulary.cells = gather(cells, &rules.order, enough, |_| false).into_keys().collect();
        vocabulary
    }

    /// The tuple as it may be said: itself, or the first coarser one, in the officer's order, that is in the vocabulary; at worst nothing.
    #[must_use]
    pub fn say(&self, tuple: Tuple, rules: &CrowdRules) -> Tuple {
        if self.everything {
            return tuple;
        }
        let mut said = self.with_place_said(tuple);
        for step in rules.order {
            if self.cells.contains(&said) {
                return said;
            }
            said = said.without(step);
        }
        said
    }

    /// Whether a word may be said.
    #[must_use]
    pub fn has(&self, kind: WordKind, word: &str) -> bool {
        self.everything || (kind == WordKind::Page && word == FRONT_PAGE) || self.words[kind as usize].contains(word)
    }

    /// Whether a tuple may be said as it is.
    #[must_use]
    pub fn has_cell(&self, cell: &Tuple) -> bool {
        self.everything || self.cells.contains(cell)
    }

    /// How many tuples, pages and places there are.
    #[must_use]
    pub fn size(&self) -> (usize, usize, usize) {
        let [pages, places, _] = &self.words;
        (self.cells.len(), pages.len(), places.len())
    }

    fn with_place_said(&self, tuple: Tuple) -> Tuple {
        if self.has(WordKind::Place, tuple.country.code()) { tuple } else { tuple.without(Step::Place) }
    }
}
