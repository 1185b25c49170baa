//! What may be said of a period's events once the period is over: counted over all of them, so that no cell leaves with fewer distinct
//! visitors than a crowd. Pure: the answer depends on the events, their order and the rules alone.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    census::WordKind,
    rules::CrowdRules,
    tuple::{STEPS, Step, Tuple},
    vocabulary::{FRONT_PAGE, OTHER_PAGE},
};

/// Cells of one period; where there are more, all become coarser by a step of the officer's order.
const CELLS_MAX: usize = 16_384;
/// Visitors remembered in cells that are no crowds yet, twice where one visitor stands in two: about 10 MB. Of more, all cells become
/// coarser. More than the largest crowd that a policy may ask for, so that the coarsest cell always has room.
const CELL_VISITORS_MAX: usize = 524_288;
/// Words of one kind and period; one more is never said.
const WORDS_MAX: usize = 8_192;
/// Visitors remembered of words that are no crowd's yet: about 5 MB. When they are that many, no word gets nearer to a crowd.
const WORD_VISITORS_MAX: usize = 262_144;
/// A longer word is not counted, and so never a crowd's.
const WORD_BYTES_MAX: usize = 200;

/// One event of the period, as far as it matters here.
pub(super) struct Stood<'e> {
    pub(super) visitor: u64,
    /// With its country only where that may be said at all.
    pub(super) tuple: Tuple,
    pub(super) page: Option<&'e str>,
    pub(super) referrer: Option<&'e str>,
}

/// Counts a period.
pub(super) struct WholeCount {
    rules: CrowdRules,
    /// So many steps of the order are given up for all, for want of memory.
    coarser: usize,
    cells: HashMap<Tuple, Visitors>,
    cell_visitors: usize,
    words: [HashMap<Box<str>, Visitors>; 3],
    word_visitors: usize,
}

/// Distinct visitors: each of them, until they are a crowd.
enum Visitors {
    Few(HashSet<u64>),
    Crowd,
}

/// What may be said of a period. It holds crowds only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decision {
    /// How many visitors were a crowd.
    visitors: u32,
    order: Vec<Step>,
    consented: bool,
    coarser: usize,
    cells: HashSet<Tuple>,
    pages: HashSet<Box<str>>,
    places: HashSet<Box<str>>,
    referrers: HashSet<Box<str>>,
}

impl WholeCount {
    pub(super) fn new(rules: &CrowdRules) -> Self {
        Self { rules: rules.clone(), coarser: 0, cells: HashMap::new(), cell_visitors: 0, words: Default::default(), word_visitors: 0 }
    }

    /// Counts an event. The tuple's country is one that may be said.
    pub(super) fn add(&mut self, stood: &Stood<'_>) {
        let tuple = self.rules.order[..self.coarser].iter().fold(stood.tuple, |tuple, step| tuple.without(*step));
        let crowd = self.crowd();
        self.cell_visitors = self.cells.entry(tuple).or_default().add(stood.visitor, crowd, self.cell_visitors);
        while self.coarser < STEPS && (self.cells.len() > CELLS_MAX || self.cell_visitors > CELL_VISITORS_MAX) {
            self.coarsen();
        }
        let said = [(WordKind::Page, stood.page), (WordKind::Referrer, stood.referrer)];
        for (kind, word) in said {
            if let Some(word) = word.filter(|word| word.len() <= WORD_BYTES_MAX) {
                self.add_word(kind, word, stood.visitor);
            }
        }
        if stood.tuple.loses(Step::Place, &Tuple::NOTHING) {
            self.words[WordKind::Place as usize].entry(stood.tuple.country.code().into()).or_insert(Visitors::Crowd);
        }
    }

    fn add_word(&mut self, kind: WordKind, word: &str, visitor: u64) {
        let crowd = self.crowd();
        let words = &mut self.words[kind as usize];
        if self.word_visitors >= WORD_VISITORS_MAX || words.len() >= WORDS_MAX && !words.contains_key(word) {
            return;
        }
        if !words.contains_key(word) {
            words.insert(word.into(), Visitors::default());
        }
        if let Some(visitors) = words.get_mut(word) {
            self.word_visitors = visitors.add(visitor, crowd, self.word_visitors);
        }
    }

    /// All cells give up the next step, those that are crowds as well: what is counted from here on has to meet what was.
    fn coarsen(&mut self) {
        let step = self.rules.order[self.coarser];
        self.coarser += 1;
        let all: Vec<_> = self.cells.drain().collect();
        self.fold(all, step);
    }

    fn fold(&mut self, cells: Vec<(Tuple, Visitors)>, step: Step) {
        let crowd = self.crowd();
        for (cell, visitors) in cells {
            self.cells.entry(cell.without(step)).or_default().unite(visitors, crowd);
        }
        self.cell_visitors = self.cells.values().map(Visitors::remembered).sum();
    }

    fn crowd(&self) -> usize {
        self.rules.crowd() as usize
    }

    /// What may be said. A cell below a crowd gives up one step after the other until it is in one; a cell that is a crowd stays, so that
    /// no visitor of a coarser one is counted in it who leaves as something finer.
    pub(super) fn decide(mut self) -> Decision {
        let order = self.rules.order;
        for step in &order[self.coarser..] {
            let small: Vec<_> = self.cells.extract_if(|_, visitors| !visitors.are_a_crowd()).collect();
            self.fold(small, *step);
        }
        let [pages, places, referrers] = self
            .words
            .map(|words| words.into_iter().filter(|(_, visitors)| visitors.are_a_crowd()).map(|(word, _)| word).collect::<HashSet<_>>());
        Decision {
            visitors: self.rules.visitors,
            order: self.rules.order.to_vec(),
            consented: self.rules.consented,
            coarser: self.coarser,
            cells: self.cells.into_iter().filter(|(_, visitors)| visitors.are_a_crowd()).map(|(cell, _)| cell).collect(),
            pages,
            places,
            referrers,
        }
    }
}

impl Default for Visitors {
    fn default() -> Self {
        Self::Few(HashSet::new())
    }
}

impl Visitors {
    /// Returns how many visitors are remembered in all, `remembered` having been before.
    fn add(&mut self, visitor: u64, crowd: usize, remembered: usize) -> usize {
        let Self::Few(few) = self else { return remembered };
        let before = few.len();
        few.insert(visitor);
        let after = few.len();
        if after >= crowd {
            *self = Self::Crowd;
            return remembered - before;
        }
        remembered + after - before
    }

    fn unite(&mut self, other: Self, crowd: usize) {
        match (&mut *self, other) {
            (Self::Few(few), Self::Few(others)) => {
                few.extend(others);
                if few.len() >= crowd {
                    *self = Self::Crowd;
                }
            }
            _ => *self = Self::Crowd,
        }
    }

    fn remembered(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Crowd => 0,
        }
    }

    fn are_a_crowd(&self) -> bool {
        matches!(self, Self::Crowd)
    }
}

impl Decision {
    /// Whether it was made by these rules. By others it says nothing: cells of two rules need not be crowds together.
    pub(super) fn is_by(&self, rules: &CrowdRules) -> bool {
        (self.visitors, self.order.as_slice(), self.consented) == (rules.visitors, &rules.order[..], rules.consented)
    }

    /// The tuple as it may be said; at worst nothing.
    pub(super) fn say(&self, tuple: Tuple) -> Tuple {
        let mut said = if self.places.contains(tuple.country.code()) { tuple } else { tuple.without(Step::Place) };
        for (given_up, step) in self.order.iter().enumerate() {
            if given_up >= self.coarser && self.cells.contains(&said) {
                return said;
            }
            said = said.without(*step);
        }
        // Of one that was decided by no rules, everything is unsaid.
        Tuple::NOTHING
    }

    /// Whether a word may be said.
    pub(super) fn has(&self, kind: WordKind, word: &str) -> bool {
        match kind {
            WordKind::Page => word == FRONT_PAGE || word == OTHER_PAGE || self.pages.contains(word),
            WordKind::Place => self.places.contains(word),
            WordKind::Referrer => self.referrers.contains(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::enrich::device::{Browser, Form, System};

    fn tuple(major: u16, browser: Browser, system: System, form: Form) -> Tuple {
        let mut tuple = Tuple::NOTHING;
        tuple.device.major = major;
        tuple.device.browser = browser;
        tuple.device.system = system;
        tuple.device.form = form;
        tuple
    }

    /// Which distinct visitors leave in which cell.
    fn left(events: &[(u64, Tuple)], decision: &Decision) -> HashMap<Tuple, HashSet<u64>> {
        let mut left: HashMap<Tuple, HashSet<u64>> = HashMap::new();
        for (visitor, tuple) in events {
            left.entry(decision.say(*tuple)).or_default().insert(*visitor);
        }
        left
    }

    fn decided(events: &[(u64, Tuple)], rules: &CrowdRules) -> Decision {
        let mut count = WholeCount::new(rules);
        for (visitor, tuple) in events {
            count.add(&Stood { visitor: *visitor, tuple: *tuple, page: None, referrer: None });
        }
        count.decide()
    }

    /// A day in which visitors are few and many per cell, and some have more than one device.
    fn day(mut seed: u64) -> Vec<(u64, Tuple)> {
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let count = 50 + next(1_500);
        (0..count)
            .map(|_| {
                let spread = 1 + next(40);
                let browser = [Browser::Chrome, Browser::Firefox, Browser::Other][next(3) as usize];
                let system = [System::Linux, System::Other][next(2) as usize];
                let form = [Form::Desktop, Form::Mobile, Form::Other][next(3) as usize];
                (next(count / 2), tuple(next(spread) as u16, browser, system, form))
            })
            .collect()
    }

    #[test]
    fn whatever_the_day_every_cell_that_leaves_is_a_crowds_or_says_nothing() {
        let mut said_something = 0;
        for seed in 0..300 {
            let mut rules = CrowdRules::default();
            rules.order.rotate_left(seed as usize % STEPS);
            let events = day(seed);
            let decision = decided(&events, &rules);
            for (cell, visitors) in left(&events, &decision) {
                assert!(visitors.len() >= 20 || cell == Tuple::NOTHING, "seed {seed}: {} visitors in {cell:?}", visitors.len());
                said_something += usize::from(cell != Tuple::NOTHING);
            }
            assert_eq!(decision, decided(&events, &rules), "seed {seed}: the same events, the same decision");
        }
        assert!(said_something > 300, "{said_something}");
    }

    #[test]
    fn visitors_are_counted_and_events_are_not() {
        let rare = tuple(9, Browser::Firefox, System::Linux, Form::Desktop);
        let often: Vec<_> = (0..500).map(|event| (event % 19, rare)).collect();
        assert_eq!(decided(&often, &CrowdRules::default()).say(rare), Tuple::NOTHING);
        let enough: Vec<_> = (0..500).map(|event| (event % 20, rare)).collect();
        assert_eq!(decided(&enough, &CrowdRules::default()).say(rare), rare);
    }

    #[test]
    fn what_does_not_fit_makes_everything_coarser_and_stays_a_crowds() {
        let mut events = Vec::new();
        for visitor in 0..40_000_u64 {
            let form = if visitor % 2 == 0 { Form::Desktop } else { Form::Mobile };
            events.push((visitor, tuple(visitor as u16, Browser::Firefox, System::Linux, form)));
        }
        events.extend((0..30).map(|visitor| (visitor, tuple(1, Browser::Chrome, System::Linux, Form::Desktop))));
        let decision = decided(&events, &CrowdRules::default());
        assert_eq!(decision.coarser, 1, "the version goes, for all");
        let left = left(&events, &decision);
        assert_eq!(left.len(), 3);
        assert!(left.iter().all(|(cell, visitors)| cell.device.major == 0 && visitors.len() >= 20));
    }

    #[test]
    fn a_decision_by_other_rules_or_by_none_says_nothing() {
        let common = tuple(9, Browser::Firefox, System::Linux, Form::Desktop);
        let events: Vec<_> = (0..100).map(|visitor| (visitor, common)).collect();
        let decision = decided(&events, &CrowdRules::default());
        assert!(decision.is_by(&CrowdRules::default()));
        assert!(!decision.is_by(&CrowdRules { visitors: 30, ..CrowdRules::default() }));
        assert_eq!(Decision::default().say(common), Tuple::NOTHING);
        let text = serde_json::to_string(&decision).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision, "it rests and comes back as it was");
    }
}
