//! S12: whether what left singles somebody out. After Anonymeter (Giomi et al. 2023): the attacker makes a predicate of what left ("uses
//! Firefox 115, from Belgium"), and is right where exactly one visitor of the day meets it. The same predicates are tried on visitors who were
//! not there; what is above that is the release's doing.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::{
    captured::{Columns, Pair, Row, Tells},
    statistics::Interval,
};

/// Predicates of each kind. The interval is then within a point.
pub const ATTACKS: usize = 2_000;
/// Enough to see that the attack can see.
const CONTROL_ATTACKS: usize = 200;

/// What a predicate is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// One value of what the visitor looks like.
    OneValue,
    /// All of it.
    Description,
    /// All of it, and what happened when.
    WithPageAndTime,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct SingledOut {
    /// Predicates that exactly one visitor meets, of those tried.
    pub hits: usize,
    /// That exactly one of the others meets.
    pub control_hits: usize,
    /// Tried.
    pub attacks: usize,
    /// By how much the first share is above the second.
    pub above: Interval,
}

/// What is attacked.
#[derive(Clone, Copy)]
pub struct Release<'a> {
    /// What left.
    pub released: &'a [Row],
    /// The same visitors, as somebody who knows them could know them.
    pub original: &'a [Row],
    /// As many who were not there.
    pub control: &'a [Row],
}

/// Tries predicates made of single released events of visitors who are drawn, each as likely as the other.
#[must_use]
pub fn single_out(release: Release<'_>, columns: &Columns, predicate: Predicate, seed: u64) -> SingledOut {
    attack(release, predicate, ATTACKS, seed, |column| match predicate {
        Predicate::OneValue | Predicate::Description => columns.tells(column) == Tells::Description,
        Predicate::WithPageAndTime => columns.tells(column) != Tells::Id,
    })
}

/// Whether the attack finds everybody where everybody has a value of their own.
#[must_use]
pub fn sees(release: Release<'_>, seed: u64) -> bool {
    let marked = |rows: &[Row]| -> Vec<Row> {
        let mark = |row: &Row| Row { pairs: vec![(0, u64::from(row.person))], ..row.clone() };
        rows.iter().map(mark).collect()
    };
    // Who was there is known by what left: the others have no such value.
    let (released, others) = (marked(release.released), Vec::new());
    let release = Release { released: &released, original: &released, control: &others };
    let found = attack(release, Predicate::OneValue, CONTROL_ATTACKS, seed, |_| true);
    found.hits == found.attacks
}

fn attack(release: Release<'_>, predicate: Predicate, attacks: usize, seed: u64, uses: impl Fn(u16) -> bool) -> SingledOut {
    let mut by_person: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
    for row in release.released {
        by_person.entry(row.person).or_default().push(row);
    }
    let persons: Vec<&Vec<&Row>> = by_person.values().collect();
    let mut random = Rng::with_seed(seed);
    let (mut hits, mut control_hits) = (0, 0);
    let attacks = if persons.is_empty() { 0 } else { attacks };
    for _ in 0..attacks {
        let rows = persons[random.usize(0..persons.len())];
        let row = rows[random.usize(0..rows.len())];
        let mut pairs: Vec<Pair> = row.pairs.iter().copied().filter(|pair| uses(pair.0)).collect();
        if predicate == Predicate::OneValue && !pairs.is_empty() {
            pairs = vec![pairs[random.usize(0..pairs.len())]];
        }
        let time = (predicate == Predicate::WithPageAndTime).then_some(row.time);
        // What says nothing of anybody is no predicate.
        if pairs.is_empty() && time.is_none() {
            continue;
        }
        hits += usize::from(exactly_one(release.original, &pairs, time));
        control_hits += usize::from(exactly_one(release.control, &pairs, time));
    }
    SingledOut { hits, control_hits, attacks, above: Interval::of_difference((hits, attacks), (control_hits, attacks)) }
}

/// Whether the events that meet a predicate are all one visitor's.
fn exactly_one(rows: &[Row], pairs: &[Pair], time: Option<i64>) -> bool {
    let mut found = BTreeSet::new();
    for row in rows {
        let meets = time.is_none_or(|time| row.time == time) && pairs.iter().all(|pair| row.pairs.binary_search(pair).is_ok());
        if meets && found.insert(row.person) && found.len() > 1 {
            return false;
        }
    }
    found.len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns 0 and 1 are descriptions.
    fn columns() -> Columns {
        let mut columns = Columns::default();
        let text = r#"{"time":"2026-03-14T10:05:00Z","country":"FR","language":"fr","name":"page_view","visitor_id":"1"}"#;
        Row::read(text, &mut columns).unwrap();
        assert_eq!(columns.tells(0), Tells::Description);
        columns
    }

    fn rows(persons: u32, value: impl Fn(u32, &mut Rng) -> (u64, u64), seed: u64) -> Vec<Row> {
        let mut random = Rng::with_seed(seed);
        let rows = (0..persons).map(|person| {
            let (one, other) = value(person, &mut random);
            Row { person, time: i64::from(person % 4), pairs: vec![(0, one), (1, other)], ..Row::default() }
        });
        rows.collect()
    }

    #[test]
    fn what_tells_everybody_apart_singles_everybody_out() {
        let own = rows(500, |person, _| (u64::from(person), 1), 1);
        let others = rows(500, |person, _| (u64::from(person) + 10_000, 1), 1);
        let release = Release { released: &own, original: &own, control: &others };
        let found = single_out(release, &columns(), Predicate::Description, 1);
        assert_eq!((found.hits, found.control_hits), (ATTACKS, 0));
        assert!(found.above.low > 0.99, "{:?}", found.above);
        let one = single_out(release, &columns(), Predicate::OneValue, 1);
        assert!((0.4..0.6).contains(&one.above.is), "one of two values does: {:?}", one.above);
        assert!(sees(release, 1));
    }

    #[test]
    fn what_is_as_true_of_others_is_nobodys_secret() {
        // Rare values in both populations, released at random from a third: what is met once here is met once there as often.
        let draw = |_: u32, random: &mut Rng| (random.u64(0..40), random.u64(0..10));
        let (released, original, control) = (rows(500, draw, 1), rows(500, draw, 2), rows(500, draw, 3));
        let found =
            single_out(Release { released: &released, original: &original, control: &control }, &columns(), Predicate::Description, 1);
        assert!(found.hits > 100 && found.control_hits > 100, "there is something to be met by one: {found:?}");
        assert!(found.above.is.abs() < 0.05 && found.above.high < 0.1, "{found:?}");
    }

    #[test]
    fn a_crowd_hides() {
        let of_25 = rows(500, |person, _| (u64::from(person % 20), 7), 1);
        let found = single_out(Release { released: &of_25, original: &of_25, control: &of_25 }, &columns(), Predicate::Description, 1);
        assert_eq!((found.hits, found.control_hits), (0, 0));
        assert!(found.above.high < 0.01, "{found:?}");
        let nothing: Vec<Row> = of_25.iter().map(|row| Row { pairs: Vec::new(), ..row.clone() }).collect();
        let found = single_out(Release { released: &nothing, original: &of_25, control: &of_25 }, &columns(), Predicate::Description, 1);
        assert_eq!(found.hits, 0, "who says nothing is not found");
    }
}
