//! S8 and S13: whether what one destination got can be joined with what another got, or with what it got itself the day before.

use std::collections::{BTreeMap, HashMap, HashSet};

use fastrand::Rng;

use super::{
    captured::{Columns, Pair, Row, Tells, hashed, hour, slot},
    statistics::{Interval, placed},
};

/// Visitors who came on both days and are looked for; of more, these many are drawn.
const SOUGHT_MAX: usize = 1_000;
/// Of so many candidates of the next day, one is the right one.
pub const CANDIDATES: usize = 200;
/// Events of two logs that are matched; of more, these many are drawn.
const MATCHED_MAX: usize = 2_000;
/// A column is compared where it says the same in so many of the common events: then the two logs say it in the same words.
const COMPARABLE: f64 = 0.99;
/// How likely it is that somebody looks the next day as they did: what the attacker supposes.
const STAYS: f64 = 0.9;

/// What came of linking a day to the next.
#[derive(Clone, Copy, Debug)]
pub struct DaysLinked {
    /// How often the right one is above a wrong one; one half: by chance.
    pub auc: Interval,
    /// How often it is the best.
    pub best: Interval,
    /// How often by chance.
    pub chance: f64,
    /// Visitors who were looked for.
    pub sought: usize,
}

/// By what it is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Ids alone.
    Ids,
    /// All that left.
    Everything,
    /// A mark that the run itself gives each visitor: whether the attack sees.
    Mark,
}

/// For each visitor of both days: how high among candidates of the next day is the right one? `None`: too few came again.
#[must_use]
pub fn link_days(day: &[Row], next: &[Row], columns: &Columns, by: By, seed: u64) -> Option<DaysLinked> {
    let (before, after) = (profiles(day, columns, by), profiles(next, columns, by));
    let mut random = Rng::with_seed(seed);
    let mut sought: Vec<u32> = before.keys().copied().filter(|person| after.contains_key(person)).collect();
    random.shuffle(&mut sought);
    sought.truncate(SOUGHT_MAX);
    let all: Vec<u32> = after.keys().copied().collect();
    let candidates = CANDIDATES.min(all.len());
    if sought.len() < 10 || candidates < 10 {
        return None;
    }
    let mut frequency: HashMap<Pair, usize> = HashMap::new();
    for profile in after.values() {
        profile.all().for_each(|pair| *frequency.entry(pair).or_default() += 1);
    }
    let rarity = |pair: &Pair| (STAYS * all.len() as f64 / frequency.get(pair).copied().unwrap_or(1) as f64).ln();
    let (mut areas, mut bests) = (Vec::new(), Vec::new());
    for person in &sought {
        let mut others = HashSet::new();
        while others.len() + 1 < candidates {
            let other = all[random.usize(0..all.len())];
            if other != *person {
                others.insert(other);
            }
        }
        let score = |candidate: u32| before[person].likeness(&after[&candidate], &rarity);
        let scores: Vec<f64> = others.into_iter().map(score).collect();
        let (area, best) = placed(score(*person), &scores);
        areas.push(area);
        bests.push(best);
    }
    Some(DaysLinked {
        auc: Interval::of_mean(&areas, seed),
        best: Interval::of_mean(&bests, seed),
        chance: 1.0 / candidates as f64,
        sought: sought.len(),
    })
}

/// What is known of one visitor by one of their ids: for a destination without ids across page views, one event.
#[derive(Default)]
struct Profile {
    /// Of each column of what they look like, the values.
    looks: BTreeMap<u16, HashSet<u64>>,
    /// Ids, pages, hours.
    marks: HashSet<Pair>,
}

impl Profile {
    fn all(&self) -> impl Iterator<Item = Pair> {
        let looks = self.looks.iter().flat_map(|(column, values)| values.iter().map(|value| (*column, *value)));
        looks.chain(self.marks.iter().copied())
    }

    /// By how much it is more likely that both are one than that they are two: a sum of logarithms.
    fn likeness(&self, other: &Self, rarity: &impl Fn(&Pair) -> f64) -> f64 {
        let mut sum = 0.0;
        for (column, values) in &self.looks {
            let Some(others) = other.looks.get(column) else { continue };
            let same = values.intersection(others).map(|value| rarity(&(*column, *value))).fold(f64::NEG_INFINITY, f64::max);
            sum += if same.is_finite() { same } else { (1.0 - STAYS).ln() };
        }
        // Pages are many, so that one in common says less than a look that is; an id in common is rare, and says all.
        let mut marks: Vec<Pair> = self.marks.intersection(&other.marks).copied().collect();
        marks.sort_unstable();
        sum + marks.iter().map(|mark| rarity(mark).max(0.0)).sum::<f64>()
    }
}

/// The profile of each person's first id.
fn profiles(rows: &[Row], columns: &Columns, by: By) -> BTreeMap<u32, Profile> {
    let visitor = columns.named("visitor_id");
    let id_of = |row: &Row| visitor.and_then(|column| row.get(column));
    let mut first: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    let mut profiles: BTreeMap<u32, Profile> = BTreeMap::new();
    for (number, row) in rows.iter().enumerate() {
        let id = id_of(row).or_else(|| u64::try_from(number).ok());
        if *first.entry(row.person).or_insert(id) != id {
            continue;
        }
        let profile = profiles.entry(row.person).or_default();
        if by == By::Mark {
            profile.marks.insert((u16::MAX, u64::from(row.person)));
            continue;
        }
        for (column, value) in &row.pairs {
            match columns.tells(*column) {
                Tells::Id => {
                    profile.marks.insert((*column, *value));
                }
                _ if by == By::Ids => {}
                Tells::Description => {
                    profile.looks.entry(*column).or_default().insert(*value);
                }
                Tells::Content => {
                    profile.marks.insert((*column, *value));
                }
            }
        }
        if by == By::Everything {
            profile.marks.insert((u16::MAX, hour(row.time).unsigned_abs()));
        }
    }
    profiles
}

/// What came of joining two destinations' logs.
#[derive(Clone, Copy, Debug)]
pub struct LogsJoined {
    /// Ids that both have.
    pub ids: usize,
    /// Of how many.
    pub of_ids: usize,
    /// Events that both got.
    pub common: usize,
    /// How often one who matches records by everything but ids, drawing among equals, is right.
    pub precision: Interval,
    /// By time and page alone, which both get anyway.
    pub baseline: f64,
}

/// Joins two logs. `None`: they have no event in common.
#[must_use]
pub fn join_logs(one: &[Row], other: &[Row], columns: &Columns, seed: u64) -> Option<LogsJoined> {
    let ids = |rows: &[Row]| -> HashSet<u64> {
        rows.iter().flat_map(|row| row.pairs.iter().filter(|pair| columns.tells(pair.0) == Tells::Id).map(|pair| pair.1)).collect()
    };
    let (ids_of_one, ids_of_other) = (ids(one), ids(other));
    // An event is known by who made it when: nobody makes two at once.
    let of_other: HashMap<(u32, i64), &Row> = other.iter().map(|row| ((row.person, row.at), row)).collect();
    let common: Vec<(&Row, &Row)> = one.iter().filter_map(|row| of_other.get(&(row.person, row.at)).map(|twin| (row, *twin))).collect();
    if common.is_empty() {
        return None;
    }
    let agree = |same: &dyn Fn(&Row, &Row) -> bool| {
        common.iter().filter(|(row, twin)| same(row, twin)).count() as f64 >= COMPARABLE * common.len() as f64
    };
    let all: HashSet<u16> = one.iter().flat_map(|row| row.pairs.iter().map(|pair| pair.0)).collect();
    let comparable: HashSet<u16> = all
        .into_iter()
        .filter(|column| columns.tells(*column) != Tells::Id && agree(&|row, twin| row.get(*column) == twin.get(*column)))
        .collect();
    let exact = agree(&|row, twin| row.time == twin.time);
    let page = columns.named("page.path").filter(|page| comparable.contains(page));
    let key = |row: &Row, all: bool| {
        let time = if exact { row.time } else { slot(row.time) };
        let said: Vec<&Pair> =
            row.pairs.iter().filter(|pair| if all { comparable.contains(&pair.0) } else { Some(pair.0) == page }).collect();
        hashed(&format!("{time} {said:?}"))
    };
    let right = |all: bool| -> Vec<f64> {
        let mut equals: HashMap<u64, usize> = HashMap::new();
        other.iter().for_each(|row| *equals.entry(key(row, all)).or_default() += 1);
        let chance = |(row, twin): &(&Row, &Row)| {
            let key_of_one = key(row, all);
            if key_of_one == key(twin, all) { 1.0 / equals.get(&key_of_one).copied().unwrap_or(1) as f64 } else { 0.0 }
        };
        common.iter().map(chance).collect()
    };
    let mut chances = right(true);
    let mut random = Rng::with_seed(seed);
    random.shuffle(&mut chances);
    chances.truncate(MATCHED_MAX);
    let baseline = right(false);
    Some(LogsJoined {
        ids: ids_of_one.intersection(&ids_of_other).count(),
        of_ids: ids_of_one.len() + ids_of_other.len(),
        common: common.len(),
        precision: Interval::of_mean(&chances, seed),
        baseline: baseline.iter().sum::<f64>() / baseline.len() as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::traffic::mix;

    const ID: &str = "visitor_id";

    /// Columns by name, in an order of their own.
    fn columns() -> (Columns, impl Fn(&str) -> u16) {
        let mut columns = Columns::default();
        let text = r#"{"time":"2026-03-14T10:05:00Z","country":"FR","page":{"path":"/a"},"visitor_id":"1","language":"fr"}"#;
        Row::read(text, &mut columns).unwrap();
        let numbers = ["country", "page.path", ID, "language"].map(|name| (name, columns.named(name).unwrap()));
        (columns, move |name: &str| numbers.iter().find(|(known, _)| *known == name).unwrap().1)
    }

    fn day(persons: u32, seed: u64, pairs: impl Fn(u32, &mut Rng) -> Vec<Pair>) -> Vec<Row> {
        // Numbers that follow each other make days that are like each other.
        let mut random = Rng::with_seed(mix(7, &[seed]));
        let rows = (0..persons).map(|person| {
            let mut pairs = pairs(person, &mut random);
            pairs.sort_unstable();
            Row { person, at: i64::from(person), time: random.i64(0..86_400_000), pairs, ..Row::default() }
        });
        rows.collect()
    }

    #[test]
    fn a_lasting_id_links_everybody_and_a_new_one_nobody() {
        let (columns, number) = columns();
        let lasting = |seed| day(400, seed, |person, _| vec![(number(ID), u64::from(person))]);
        let found = link_days(&lasting(1), &lasting(2), &columns, By::Ids, 1).unwrap();
        assert!(found.auc.low > 0.999 && found.best.low > 0.999, "{found:?}");
        assert!((found.chance - 1.0 / CANDIDATES as f64).abs() < 1e-9 && found.sought == 400);
        let fresh = |seed| day(400, seed, |_, random| vec![(number(ID), random.u64(..))]);
        let found = link_days(&fresh(1), &fresh(2), &columns, By::Ids, 1).unwrap();
        assert!(found.auc.is == 0.5 && found.best.high <= found.chance * 1.01, "{found:?}");
        let marked = link_days(&fresh(1), &fresh(2), &columns, By::Mark, 1).unwrap();
        assert!(marked.auc.low > 0.999, "what the run marks itself is found: {marked:?}");
    }

    #[test]
    fn looks_that_stay_link_and_looks_that_are_drawn_anew_do_not() {
        let (columns, number) = columns();
        let stays = |seed| day(500, seed, |person, random| vec![(number("country"), u64::from(person % 50)), (number(ID), random.u64(..))]);
        let found = link_days(&stays(1), &stays(2), &columns, By::Everything, 1).unwrap();
        assert!(found.auc.low > 0.9 && found.best.low > 10.0 * found.chance, "{found:?}");
        let drawn = |seed| day(500, seed, |_, random| vec![(number("country"), random.u64(0..50)), (number(ID), random.u64(..))]);
        let found = link_days(&drawn(1), &drawn(2), &columns, By::Everything, 1).unwrap();
        assert!((0.45..0.55).contains(&found.auc.is) && found.auc.low <= 0.5 && found.auc.high >= 0.5, "{found:?}");
        assert!(link_days(&drawn(1)[..5], &drawn(2), &columns, By::Ids, 1).is_none(), "of five nothing is said");
    }

    #[test]
    fn two_logs_join_by_an_id_in_common_and_by_looks_that_only_one_visitor_has() {
        let (columns, number) = columns();
        let log = |id: fn(u32) -> u64, looks: u64| {
            let rows = day(1_000, 1, |person, _| {
                vec![(number(ID), id(person)), (number("page.path"), 1), (number("language"), u64::from(person) % looks)]
            });
            rows.into_iter().map(|row| Row { time: row.time / 3_600_000 * 3_600_000, ..row }).collect::<Vec<_>>()
        };
        let own = |person: u32| u64::from(person);
        let joined = join_logs(&log(own, 1), &log(own, 1), &columns, 1).unwrap();
        assert_eq!((joined.ids, joined.of_ids, joined.common), (1_000, 2_000, 1_000));
        let apart = join_logs(&log(own, 1), &log(|person| u64::from(person) + 5_000, 1), &columns, 1).unwrap();
        assert_eq!(apart.ids, 0);
        assert!((apart.precision.is - apart.baseline).abs() < 1e-9 && apart.baseline < 0.05, "{apart:?}");
        let alone = join_logs(&log(own, 1_000), &log(|person| u64::from(person) + 5_000, 1_000), &columns, 1).unwrap();
        assert!(alone.precision.low > 0.999 && alone.baseline < 0.05, "{alone:?}");
        assert!(join_logs(&log(own, 1), &[], &columns, 1).is_none());
    }
}
