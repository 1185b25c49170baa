//! What is counted of one destination's disclosures: hashes and numbers only, so that memory is bounded. Of ids, every so manyth is followed
//! through all of its events; which ones is decided by the id alone, so that the same ones are followed everywhere.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use firsthand::{
    clock::Timestamp,
    prove::traffic::{Traffic, Truth},
};

use super::{
    memory::{set_bytes, table_bytes},
    seen::Seen,
};

/// No site has more pages than this; what comes on top is counted together.
const PATHS_MAX: usize = 20_000;

/// Always the same number for the same thing.
pub(super) fn hashed(thing: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

/// One bit per person.
pub(super) struct Persons(Vec<u64>);

impl Persons {
    pub(super) fn new(persons: u32) -> Self {
        Self(vec![0; persons as usize / 64 + 1])
    }

    /// Whether this person was not there before.
    pub(super) fn insert(&mut self, person: u32) -> bool {
        let (word, bit) = (person as usize / 64, 1 << (person % 64));
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len() * size_of::<u64>()
    }
}

/// Which visits of a day something was recorded of: a bit per visit, for each of the persons who may come on a day.
pub(super) struct Visits {
    regulars: u32,
    once: u32,
    recorded: Vec<u16>,
}

impl Visits {
    /// Those of one day alone have numbers in a row behind the regular visitors', day after day.
    pub(super) fn new(traffic: &Traffic) -> Self {
        let regulars = traffic.persons(0);
        let once = traffic.persons(1) - regulars;
        Self { regulars, once, recorded: vec![0; (regulars + once) as usize] }
    }

    pub(super) fn insert(&mut self, person: u32, visit: u32) {
        let place = if person < self.regulars { person } else { self.regulars + (person - self.regulars) % self.once };
        self.recorded[place as usize] |= 1 << visit;
    }

    /// Whether a person comes again and again.
    pub(super) fn is_regular(&self, person: u32) -> bool {
        person < self.regulars
    }

    /// How many visitors and visits.
    pub(super) fn count(&self) -> [usize; 2] {
        let visits = self.recorded.iter().map(|visits| visits.count_ones() as usize);
        [self.recorded.iter().filter(|visits| **visits != 0).count(), visits.sum()]
    }

    pub(super) fn clear(&mut self) {
        self.recorded.fill(0);
    }

    pub(super) fn bytes(&self) -> usize {
        self.recorded.len() * size_of::<u16>()
    }
}

/// A cell of visitors who look alike.
#[derive(Clone, Copy, Default)]
pub(super) struct Cell {
    pub(super) persons: u32,
    pub(super) events: u32,
}

/// When an id was used, and how often.
#[derive(Clone, Copy)]
pub(super) struct Span {
    first: i64,
    last: i64,
}

/// The counts of one destination.
pub(super) struct DestinationFigures {
    every: u64,
    pub(super) events: u64,
    /// By visitor and session id: over all days.
    pub(super) spans: HashMap<u64, Span>,
    /// The longest of spans that were begun anew since.
    longest_of_past_days: Duration,
    /// Events that had an id which an earlier event had, too.
    pub(super) linked_events: u64,
    /// How many visitors of the day began with this tuple of ids, and with this visitor id.
    id_tuples: HashMap<u64, u32>,
    visitor_ids: HashMap<u64, u32>,
    day: Persons,
    ever: Persons,
    /// By what visitors look like, on the day.
    cells: HashMap<u64, Cell>,
    /// Every so manyth of what an attacker with two logs would match by: the whole record without its ids, and time and page alone.
    alike: [Match; 2],
    pub(super) pages: HashMap<String, u64>,
    pub(super) countries: HashMap<String, Cell>,
    /// Of the last day.
    pub(super) last_day: LastDay,
    /// The first visitor id of every so manyth person on the day before, and on the day.
    firsts: [HashMap<u32, u64>; 2],
}

#[derive(Default)]
struct Match {
    cells: HashSet<u64>,
    events: u64,
}

/// What is known at the end of a day.
#[derive(Clone, Default)]
pub(super) struct LastDay {
    pub(super) visitors: u32,
    /// Distinct visitor ids, and visitors among those followed.
    pub(super) distinct_ids: u64,
    /// Followed visitors who share their tuple of ids, and all who were followed.
    pub(super) sharing: (u64, u64),
    pub(super) cells: Vec<Cell>,
}

impl DestinationFigures {
    pub(super) fn new(every: u64, persons: u32) -> Self {
        Self {
            every,
            events: 0,
            spans: HashMap::new(),
            longest_of_past_days: Duration::ZERO,
            linked_events: 0,
            id_tuples: HashMap::new(),
            visitor_ids: HashMap::new(),
            day: Persons::new(persons),
            ever: Persons::new(persons),
            cells: HashMap::new(),
            alike: Default::default(),
            pages: HashMap::new(),
            countries: HashMap::new(),
            last_day: LastDay::default(),
            firsts: Default::default(),
        }
    }

    pub(super) fn add(&mut self, seen: &Seen<'_>, truth: &Truth, at: Timestamp) {
        self.events += 1;
        let visitor = hashed(("visitor", seen.visitor_id));
        let ids = [Some(visitor), seen.session_id.map(|id| hashed(("session", id)))];
        let mut linked = false;
        for id in ids.into_iter().flatten().filter(|id| id.is_multiple_of(self.every)) {
            let span = self.spans.entry(id).and_modify(|_| linked = true).or_insert(Span { first: at.0, last: at.0 });
            (span.first, span.last) = (span.first.min(at.0), span.last.max(at.0));
        }
        self.linked_events += u64::from(linked);

        let new_today = self.day.insert(truth.person);
        let new_ever = self.ever.insert(truth.person);
        let cell = self.cells.entry(hashed(seen.description())).or_default();
        cell.events += 1;
        let country = match self.countries.get_mut(seen.country) {
            Some(country) => country,
            None => self.countries.entry(seen.country.to_owned()).or_default(),
        };
        country.events += 1;
        country.persons += u32::from(new_ever);
        if new_today {
            if u64::from(truth.person).is_multiple_of(self.every) {
                self.firsts[1].insert(truth.person, visitor);
            }
            cell.persons += 1;
            self.last_day.visitors += 1;
            for (counts, id) in [(&mut self.id_tuples, hashed(ids)), (&mut self.visitor_ids, visitor)] {
                if id.is_multiple_of(self.every) {
                    *counts.entry(id).or_default() += 1;
                }
            }
        }
        let whole = hashed((seen.description(), seen.time, seen.path()));
        for (matched, key) in self.alike.iter_mut().zip([whole, hashed((seen.time, seen.path()))]) {
            if key.is_multiple_of(self.every) {
                matched.events += 1;
                matched.cells.insert(key);
            }
        }
        if let Some(count) = self.pages.get_mut(seen.path()) {
            *count += 1;
        } else {
            let name = if self.pages.len() < PATHS_MAX { seen.path() } else { "(more)" };
            *self.pages.entry(name.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn begin_day(&mut self) {
        self.day.clear();
        self.cells.clear();
        self.id_tuples.clear();
        self.visitor_ids.clear();
        self.last_day = LastDay::default();
        self.firsts = [std::mem::take(&mut self.firsts[1]), HashMap::new()];
    }

    /// How many of those who came on both of the last two days had the same visitor id on both, and how many they are.
    pub(super) fn same_again(&self) -> (usize, usize) {
        let [before, day] = &self.firsts;
        let both = day.iter().filter_map(|(person, id)| before.get(person).map(|was| was == id));
        both.fold((0, 0), |(same, all), is_same| (same + usize::from(is_same), all + 1))
    }

    /// What an id was used for is looked at day by day from now on: ids that are short on purpose recur by chance under the next day's key.
    pub(super) fn begin_spans_anew(&mut self) {
        self.longest_of_past_days = self.longest_link();
        self.spans.clear();
    }

    pub(super) fn end_day(&mut self) {
        let counts = |counts: &HashMap<u64, u32>, at_least: u32| -> u64 {
            counts.values().filter(|count| **count >= at_least).map(|count| u64::from(*count)).sum()
        };
        self.last_day.sharing = (counts(&self.id_tuples, 2), counts(&self.id_tuples, 1));
        self.last_day.distinct_ids = self.visitor_ids.len() as u64 * self.every;
        self.last_day.cells = self.cells.values().copied().collect();
    }

    /// What these counts take of the harness's memory.
    pub(super) fn bytes(&self) -> usize {
        let tables = table_bytes(&self.spans) + table_bytes(&self.id_tuples) + table_bytes(&self.visitor_ids) + table_bytes(&self.cells);
        let alike: usize = self.alike.iter().map(|alike| set_bytes(&alike.cells)).sum();
        let firsts: usize = self.firsts.iter().map(table_bytes).sum();
        self.day.bytes() + self.ever.bytes() + tables + alike + firsts + table_bytes(&self.pages)
    }

    /// The longest time between two events that share an id.
    pub(super) fn longest_link(&self) -> Duration {
        let longest = self.spans.values().map(|span| span.last - span.first).max().unwrap_or(0);
        Duration::from_millis(longest.unsigned_abs()).max(self.longest_of_past_days)
    }

    /// How many of the followed ids another destination has, too.
    pub(super) fn ids_shared_with(&self, other: &Self) -> usize {
        self.spans.keys().filter(|id| other.spans.contains_key(id)).count()
    }

    /// How often one who matches the records of two logs by everything but ids is right (drawing among equals), and by time and page alone.
    pub(super) fn match_precision(&self) -> [f64; 2] {
        [0, 1].map(|which| self.alike[which].cells.len() as f64 / self.alike[which].events.max(1) as f64)
    }

    /// The share of the last day's events in cells of at least `k` visitors, and how many cells are below.
    pub(super) fn crowds(&self, k: u32) -> (f64, usize) {
        let all: u64 = self.last_day.cells.iter().map(|cell| u64::from(cell.events)).sum();
        let (crowded, alone): (Vec<&Cell>, Vec<&Cell>) = self.last_day.cells.iter().partition(|cell| cell.persons >= k);
        let events: u64 = crowded.iter().map(|cell| u64::from(cell.events)).sum();
        (events as f64 / all.max(1) as f64, alone.len())
    }
}

/// How long something took, in classes that grow by a fifth.
#[derive(Default)]
pub(super) struct Durations {
    classes: HashMap<i32, u64>,
    all: u64,
}

const GROWTH: f64 = 1.2;

impl Durations {
    pub(super) fn add(&mut self, took: Duration) {
        let class = (took.as_nanos().max(1) as f64).log(GROWTH).ceil() as i32;
        *self.classes.entry(class).or_default() += 1;
        self.all += 1;
    }

    /// At most this for so large a share.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let mut classes: Vec<_> = self.classes.iter().collect();
        classes.sort();
        let mut sum = 0;
        let found = classes.into_iter().find(|(_, count)| {
            sum += **count;
            sum as f64 >= share * self.all as f64
        });
        Duration::from_nanos(found.map_or(0, |(class, _)| GROWTH.powi(*class) as u64))
    }
}
