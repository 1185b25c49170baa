//! S8 and S12 to S14: attacks on what left of synthetic days, each with an interval, and each tried before on something that it has to find: an
//! attack that is blind there is a miss, whatever it finds else.

use super::{
    Row,
    captured::Recipient,
    inferring::{self, Inferred},
    linking::{self, By, DaysLinked, LogsJoined},
    of_all,
    singling::{self, Predicate, Release, SingledOut},
    statistics::Interval,
    workload::Captured,
};

/// The most that a rate of singling out may be above the control's.
const ABOVE_CONTROL_MAX: f64 = 0.01;
/// The most that a match of records may be above the baseline.
const ABOVE_BASELINE_MAX: f64 = 0.05;
/// The largest area under the curve of days that are not linked.
const AUC_MAX: f64 = 0.55;
/// How many times more often than by chance the right one may be the best.
const TIMES_CHANCE_MAX: f64 = 2.0;
/// The most that may be gained over the most frequent value.
const GAIN_MAX: f64 = 0.05;
/// What is said where an attack did not find what it had to find.
const BLIND: &str = "the attack did not find what was put there for it; its figure says nothing";

/// All of them.
pub fn rows(captured: &Captured, seed: u64, progress: &mut dyn FnMut(&str, usize, usize)) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut attack = |number, made: Vec<Row>| {
        progress("attacks", number, 4);
        rows.extend(made);
    };
    attack(1, across(captured, seed));
    attack(2, singling_out(captured, seed));
    attack(3, over_days(captured, seed));
    attack(4, inference(captured, seed));
    rows
}

/// S8: any two destinations.
fn across(captured: &Captured, seed: u64) -> Vec<Row> {
    const IDS: (&str, &str, &str) = ("S8 ids", "ids that two destinations have in common", "0");
    const RECORDS: (&str, &str, &str) =
        ("S8 records", "records of two destinations matched without ids: how often that is right", "≤ by time and page alone + 5 points");
    let recipients = &captured.recipients;
    let mut joined: Vec<(String, LogsJoined)> = Vec::new();
    for (number, one) in recipients.iter().enumerate() {
        for other in &recipients[number + 1..] {
            let found = linking::join_logs(&one.days[1], &other.days[1], &captured.columns, seed);
            joined.extend(found.map(|found| (format!("{} and {}", one.name, other.name), found)));
        }
    }
    // A destination has everything in common with itself.
    let control = recipients.iter().find_map(|one| linking::join_logs(&one.days[1], &one.days[1], &captured.columns, seed));
    if joined.is_empty() {
        let why = "no two destinations of the site got the same event";
        return [IDS, RECORDS].map(|(id, what, target)| Row::not(id, what, target, why)).into();
    }
    let sees = control.is_some_and(|found| found.ids > 0 && found.ids * 2 == found.of_ids);
    let (ids, of_ids) = joined.iter().fold((0, 0), |(ids, of), (_, found)| (ids + found.ids, of + found.of_ids));
    let above = |found: &LogsJoined| found.precision.is - found.baseline;
    let by_ids = judged(IDS, format!("{ids} of {of_ids}"), ids == 0, sees);
    let worst = joined.iter().max_by(|(_, one), (_, other)| above(one).total_cmp(&above(other)));
    let says = |(names, found): &(String, LogsJoined)| {
        format!("{names}: {} right, by time and page alone {:.1} %", found.precision, found.baseline * 100.0)
    };
    let by_records =
        judged(RECORDS, worst.map(says).unwrap_or_default(), joined.iter().all(|(_, found)| above(found) <= ABOVE_BASELINE_MAX), sees);
    vec![by_ids, by_records.with(if joined.len() > 1 { joined.iter().map(says).collect() } else { Vec::new() })]
}

const fn release(to: &Recipient) -> Release<'_> {
    Release { released: to.days[1].as_slice(), original: to.original.as_slice(), control: to.control.as_slice() }
}

/// S12.
fn singling_out(captured: &Captured, seed: u64) -> Vec<Row> {
    const TARGET: &str = "≤ 1 point above the control, upper bound";
    let kinds = [
        (Predicate::OneValue, ("S12 one", "visitors singled out by one value of what they look like", TARGET)),
        (Predicate::Description, ("S12 all", "visitors singled out by all that is said of what they look like", TARGET)),
        (Predicate::WithPageAndTime, ("S12 event", "visitors singled out by that and one event's page and time", TARGET)),
    ];
    let sees = captured.recipients.iter().any(|to| !to.days[1].is_empty() && singling::sees(release(to), seed));
    let rows = kinds.map(|(predicate, texts)| {
        let (worst, details) = of_all(
            &captured.recipients,
            |to| Some(singling::single_out(release(to), &captured.columns, predicate, seed)).filter(|found| found.attacks > 0),
            |found: &SingledOut| found.above.high,
            |found| {
                let share = |hits: usize| Interval::of_share(hits, found.attacks).is * 100.0;
                format!(
                    "{} above the control ({:.1} % and {:.1} % of {})",
                    found.above,
                    share(found.hits),
                    share(found.control_hits),
                    found.attacks
                )
            },
        );
        let verdict =
            worst.map(|(found, name)| (format!("{} above the control, {name}", found.above), found.above.high <= ABOVE_CONTROL_MAX));
        row(texts, verdict, details, sees)
    });
    rows.into()
}

/// S13.
fn over_days(captured: &Captured, seed: u64) -> Vec<Row> {
    const TARGET: &str = "AUC ≤ 0.55, best of the candidates ≤ 2 × chance";
    let kinds = [
        (By::Ids, ("S13 ids", "a visitor's day linked to the next by ids", TARGET)),
        (By::Everything, ("S13 all", "a visitor's day linked to the next by all that left", TARGET)),
    ];
    let linked = |to: &Recipient, by| linking::link_days(&to.days[0], &to.days[1], &captured.columns, by, seed);
    let sees = captured.recipients.iter().filter_map(|to| linked(to, By::Mark)).any(|found| found.auc.is > 0.99 && found.best.is > 0.99);
    let times = |found: &DaysLinked| found.best.is / found.chance;
    let rows = kinds.map(|(by, texts)| {
        let says = |found: &DaysLinked| {
            format!(
                "AUC {:.3} ({:.3} to {:.3}); best {}, by chance {:.1} %; {} visitors",
                found.auc.is,
                found.auc.low,
                found.auc.high,
                found.best,
                found.chance * 100.0,
                found.sought
            )
        };
        let (worst, details) = of_all(&captured.recipients, |to| linked(to, by), |found: &DaysLinked| found.auc.is, says);
        let verdict =
            worst.map(|(found, name)| (format!("{}, {name}", says(&found)), found.auc.is <= AUC_MAX && times(&found) <= TIMES_CHANCE_MAX));
        row(texts, verdict, details, sees)
    });
    rows.into()
}

/// S14.
fn inference(captured: &Captured, seed: u64) -> Vec<Row> {
    const TARGET: &str = "≤ 5 points above the most frequent one";
    type Dropped = fn(&super::captured::Row) -> u64;
    let city: Dropped = |row| u64::from(row.city);
    let agent: Dropped = |row| row.agent;
    let kinds = [
        (city, "country", ("S14 city", "a visitor's city, which never leaves, told from what leaves", TARGET)),
        (agent, "device.browser", ("S14 agent", "a visitor's exact user agent, which never leaves, told from what leaves", TARGET)),
    ];
    let rows = kinds.map(|(dropped, column, texts)| {
        let sees = captured.recipients.iter().any(|to| inferring::sees(&to.days[1], dropped, seed));
        let number = captured.columns.named(column);
        let share = |hits: usize, found: &Inferred| hits as f64 / found.of.max(1) as f64 * 100.0;
        let (worst, details) = of_all(
            &captured.recipients,
            |to| Some(inferring::infer(&to.days[1], &captured.columns, dropped, number, seed)).filter(|found| found.of > 0),
            |found: &Inferred| found.gain.is,
            |found| {
                format!(
                    "{:.1} % told, the most frequent is {:.1} %, by {column} alone {:.1} %; gain {}",
                    share(found.hits, found),
                    share(found.by_marginal, found),
                    share(found.by_one_column, found),
                    found.gain
                )
            },
        );
        let verdict = worst.map(|(found, name)| (format!("gain {}, {name}", found.gain), found.gain.is <= GAIN_MAX));
        row(texts, verdict, details, sees)
    });
    rows.into()
}

fn row(
    texts: (&'static str, &'static str, &'static str),
    verdict: Result<(String, bool), &'static str>,
    details: Vec<String>,
    sees: bool,
) -> Row {
    match verdict {
        Ok((figure, pass)) => judged(texts, figure, pass, sees).with(details),
        Err(why) => Row::not(texts.0, texts.1, texts.2, why).with(details),
    }
}

fn judged((id, what, target): (&'static str, &'static str, &'static str), figure: String, pass: bool, sees: bool) -> Row {
    if sees {
        Row::synthetic(id, what, target, figure, pass)
    } else {
        Row::synthetic(id, what, target, format!("{BLIND} ({figure})"), false)
    }
}
