//! A day's vocabulary: which tuples, pages, places and referring hosts may be said of that day's events. It follows from the seven days
//! before and from the policy, and from nothing of the day itself: the first of a crowd would be told before there is one.

use std::collections::{HashMap, HashSet};

use super::{
    census::{DayCrowds, WordKind},
    gather::{Cells, gather},
    rules::{CrowdRules, PLACE_VISITORS_MIN},
    tuple::{Step, Tuple},
};
use crate::privacy::enrich::place::Country;

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
    fewest_in_place: Option<u64>,
    everything: bool,
}

/// How much a vocabulary lets say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VocabularySize {
    /// Tuples.
    pub tuples: usize,
    /// Pages.
    pub pages: usize,
    /// Places.
    pub places: usize,
    /// At least so many visitors of the seven days were in each place that may be said. `None`: no place may.
    pub fewest_in_place: Option<u64>,
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
        for (kind, best) in WordKind::ALL.into_iter().zip(&mut best) {
            let enough = if kind == WordKind::Place { crowd.max(u64::from(PLACE_VISITORS_MIN)) } else { crowd };
            best.retain(|_, visitors| *visitors >= enough);
        }
        let places = best[WordKind::Place as usize].iter().filter(|(place, _)| **place != Country::UNKNOWN.code());
        let fewest_in_place = places.map(|(_, visitors)| *visitors).min();
        let words = best.map(|words| words.into_keys().map(Box::from).collect());
        let mut vocabulary = Self { words, fewest_in_place, ..Self::default() };
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

    /// How much may be said.
    #[must_use]
    pub fn size(&self) -> VocabularySize {
        let [pages, places, _] = &self.words;
        VocabularySize { tuples: self.cells.len(), pages: pages.len(), places: places.len(), fewest_in_place: self.fewest_in_place }
    }

    fn with_place_said(&self, tuple: Tuple) -> Tuple {
        if self.has(WordKind::Place, tuple.country.code()) { tuple } else { tuple.without(Step::Place) }
    }
}
