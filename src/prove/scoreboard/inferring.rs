//! S14: whether what was dropped can be told from what left. The attacker knows the truth about one half of the visitors, learns from it (naive
//! Bayes over what left, or over one column alone, whichever tells more), and says it of the other half. What is told more often than by always
//! saying the most frequent is the release's doing.

use std::collections::BTreeMap;

use super::{
    captured::{Columns, Pair, Row, Tells},
    statistics::Interval,
};
use crate::prove::traffic::mix;

/// Nothing is impossible to who has seen half.
const SMOOTHING: f64 = 0.1;

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Inferred {
    /// Visitors whose value was told, by whichever of both tells more: with few examples, much knowledge misleads.
    pub hits: usize,
    /// By always saying the most frequent one.
    pub by_marginal: usize,
    /// By what left in one column alone, where one was named.
    pub by_one_column: usize,
    /// Visitors that it was said of.
    pub of: usize,
    /// By how much the first is above the second.
    pub gain: Interval,
}

/// Who, what left of them, and what did not.
type Known<'a> = (u32, &'a [Pair], u64);

/// Tells a value that did not leave. `one_column`: by which alone it is told, too.
#[must_use]
pub fn infer(rows: &[Row], columns: &Columns, dropped: impl Fn(&Row) -> u64, one_column: Option<u16>, seed: u64) -> Inferred {
    let looks: Vec<(u32, Vec<Pair>, u64)> = first_of_each(rows)
        .map(|row| {
            let pairs = row.pairs.iter().copied().filter(|pair| columns.tells(pair.0) == Tells::Description).collect();
            (row.person, pairs, dropped(row))
        })
        .collect();
    let known: Vec<Known<'_>> = looks.iter().map(|(person, pairs, value)| (*person, pairs.as_slice(), *value)).collect();
    let (learn, told) = halves(&known, seed);
    let of_one: Vec<(u32, Vec<Pair>, u64)> = looks
        .iter()
        .map(|(person, pairs, value)| (*person, pairs.iter().copied().filter(|pair| Some(pair.0) == one_column).collect(), *value))
        .collect();
    let of_one: Vec<Known<'_>> = of_one.iter().map(|(person, pairs, value)| (*person, pairs.as_slice(), *value)).collect();
    let (learn_one, told_one) = halves(&of_one, seed);
    let nothing: Vec<Known<'_>> = learn.iter().map(|(person, _, value)| (*person, [].as_slice(), *value)).collect();
    let most_frequent = Learnt::of(&nothing).most_likely(&[]);
    let by_one_column = right(&Learnt::of(&learn_one), &told_one);
    let hits = right(&Learnt::of(&learn), &told).max(by_one_column);
    let by_marginal = told.iter().filter(|(.., value)| Some(*value) == most_frequent).count();
    let of = told.len();
    Inferred { hits, by_marginal, by_one_column, of, gain: Interval::of_difference((hits, of), (by_marginal, of)) }
}

/// Whether the attack tells the value where it leaves as it is, of all whose value it has seen before.
#[must_use]
pub fn sees(rows: &[Row], dropped: impl Fn(&Row) -> u64, seed: u64) -> bool {
    let open: Vec<(u32, [Pair; 1], u64)> = first_of_each(rows).map(|row| (row.person, [(0, dropped(row))], dropped(row))).collect();
    let known: Vec<Known<'_>> = open.iter().map(|(person, pairs, value)| (*person, pairs.as_slice(), *value)).collect();
    let (learn, mut told) = halves(&known, seed);
    told.retain(|(.., value)| learn.iter().any(|(.., known)| known == value));
    !told.is_empty() && right(&Learnt::of(&learn), &told) == told.len()
}

fn first_of_each(rows: &[Row]) -> impl Iterator<Item = &Row> {
    let mut first: BTreeMap<u32, &Row> = BTreeMap::new();
    for row in rows {
        first.entry(row.person).or_insert(row);
    }
    first.into_values()
}

fn halves<'a>(known: &[Known<'a>], seed: u64) -> (Vec<Known<'a>>, Vec<Known<'a>>) {
    known.iter().copied().partition(|(person, ..)| mix(seed, &[u64::from(*person)]).is_multiple_of(2))
}

fn right(learnt: &Learnt, told: &[Known<'_>]) -> usize {
    // Many look alike.
    let mut said: BTreeMap<&[Pair], Option<u64>> = BTreeMap::new();
    told.iter().filter(|(_, pairs, value)| *said.entry(pairs).or_insert_with(|| learnt.most_likely(pairs)) == Some(*value)).count()
}

/// What was learnt: how often each value was, and each pair with it.
struct Learnt {
    values: BTreeMap<u64, (f64, BTreeMap<Pair, f64>)>,
    /// How many values each column has.
    widths: BTreeMap<u16, f64>,
}

impl Learnt {
    fn of(known: &[Known<'_>]) -> Self {
        let mut values: BTreeMap<u64, (f64, BTreeMap<Pair, f64>)> = BTreeMap::new();
        let mut seen: BTreeMap<Pair, ()> = BTreeMap::new();
        for (_, pairs, value) in known {
            let (count, with) = values.entry(*value).or_default();
            *count += 1.0;
            for pair in *pairs {
                *with.entry(*pair).or_default() += 1.0;
                seen.insert(*pair, ());
            }
        }
        let mut widths: BTreeMap<u16, f64> = BTreeMap::new();
        for (column, _) in seen.keys() {
            *widths.entry(*column).or_default() += 1.0;
        }
        Self { values, widths }
    }

    /// Of equals, the first.
    fn most_likely(&self, pairs: &[Pair]) -> Option<u64> {
        let mut best = None;
        for (value, (count, with)) in &self.values {
            let mut score = count.ln();
            for pair in pairs {
                let width = self.widths.get(&pair.0).copied().unwrap_or(0.0) + 1.0;
                score += ((with.get(pair).copied().unwrap_or(0.0) + SMOOTHING) / (count + SMOOTHING * width)).ln();
            }
            if best.is_none_or(|(_, highest)| score > highest) {
                best = Some((*value, score));
            }
        }
        best.map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    fn columns() -> Columns {
        let mut columns = Columns::default();
        Row::read(r#"{"time":"2026-03-14T10:05:00Z","country":"FR","language":"fr"}"#, &mut columns).unwrap();
        columns
    }

    /// One in three has the first of 20 cities.
    fn rows(look: impl Fn(u32, &mut Rng) -> u64) -> Vec<Row> {
        let mut random = Rng::with_seed(5);
        let rows = (0..2_000).map(|person| {
            let city = if random.u32(0..3) == 0 { 0 } else { random.u32(1..20) };
            Row { person, city, pairs: vec![(0, look(city, &mut random)), (1, random.u64(0..3))], ..Row::default() }
        });
        rows.collect()
    }

    #[test]
    fn what_leaves_in_other_words_is_told_and_what_has_nothing_to_do_with_it_is_not() {
        let of = |row: &Row| u64::from(row.city);
        let found = infer(&rows(|city, _| u64::from(city) * 7), &columns(), of, Some(0), 1);
        assert!(found.hits == found.of && found.by_one_column == found.of && found.gain.is > 0.6, "{found:?}");
        assert!((850..1_150).contains(&found.of), "{found:?}");
        let found = infer(&rows(|_, random| random.u64(0..20)), &columns(), of, None, 1);
        assert!(found.gain.high < 0.05 && found.gain.is.abs() < 0.04, "{found:?}");
        assert!((0.28..0.4).contains(&(found.by_marginal as f64 / found.of as f64)), "{found:?}");
        // A country of four cities.
        let found = infer(&rows(|city, _| u64::from(city / 4)), &columns(), of, Some(1), 1);
        assert!((0.1..0.4).contains(&found.gain.is) && found.by_one_column <= found.by_marginal + 20, "{found:?}");
    }

    #[test]
    fn the_attack_knows_whether_it_sees() {
        let all = rows(|_, _| 0);
        assert!(sees(&all, |row| u64::from(row.city), 1));
        assert!(!sees(&all, |row| u64::from(row.person), 1), "nobody has been seen before");
    }
}
