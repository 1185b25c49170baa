//! S4, S7, S9 to S11 and S23, of synthetic days: counted on what left, against the truth that only the generator knows.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use super::{
    Row,
    captured::{Columns, Pair, Recipient, Row as Event, Tells},
    of_all,
    statistics::rank_correlation,
    workload::{Captured, LEARNING_DAYS, MEASURED_DAYS},
};
use crate::{documents::Release, privacy::policy::Field};

/// The crowd of the target, whatever a policy asks for.
const CROWD: usize = 20;
/// Visitors of a place within the days.
const PLACE_VISITORS: u32 = 100;
/// From so many expected visitors a day on ids collide; below, `strict` has none across page views.
const COLLIDING_VISITORS_MIN: u32 = 6_800;
/// Ids of twelve bits, the shortest that there are, recur by chance for one in 4,096; a few more among few.
const RECURRING_MAX: f64 = 0.005;
const SHARING_MIN: f64 = 0.8;
const COUNT_ERROR_MAX: f64 = 0.025;
const CROWDED_MIN: f64 = 0.99;
const UNIQUES_ERROR_MAX: f64 = 0.02;
const RANK_MIN: f64 = 0.95;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const HOUR_MS: i64 = 60 * 60 * 1000;
/// How many of the most frequent are ranked.
const RANKED: usize = 50;
const MILLISECOND: Duration = Duration::from_millis(1);

/// All of them.
#[must_use]
pub fn rows(captured: &Captured) -> Vec<Row> {
    let mut rows = vec![grammar(captured), linkage(captured)];
    rows.extend(collisions(captured));
    rows.extend([crowds(captured), places(captured)]);
    rows.extend(cost(captured));
    rows
}

type Texts = (&'static str, &'static str, &'static str);

fn judged((id, what, target): Texts, verdict: Result<(String, bool), &'static str>, details: Vec<String>) -> Row {
    match verdict {
        Ok((figure, pass)) => Row::synthetic(id, what, target, figure, pass),
        Err(why) => Row::not(id, what, target, why),
    }
    .with(details)
}

/// S4.
fn grammar(captured: &Captured) -> Row {
    let columns = &captured.columns;
    let mut beyond = BTreeSet::new();
    let mut disclosures = 0;
    for to in &captured.recipients {
        let seen: BTreeSet<u16> = to.days.iter().flatten().flat_map(|event| event.pairs.iter().map(|pair| pair.0)).collect();
        disclosures += to.days.iter().map(Vec::len).sum::<usize>();
        let names = seen.into_iter().map(|column| columns.name(column)).filter(|name| !is_declared(name, to, &captured.properties));
        beyond.extend(names.map(|name| format!("{} at {}", name, to.name)));
    }
    let list = beyond.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let figure = format!("{} of {disclosures} disclosures' fields{}{list}", beyond.len(), if list.is_empty() { "" } else { ": " });
    let what = "fields that left and are not in the policy's table for that destination";
    if disclosures == 0 {
        Row::not("S4 synthetic", what, "0", "nothing left for any destination")
    } else {
        Row::synthetic("S4 synthetic", what, "0", figure, beyond.is_empty())
    }
}

/// Whether the policy's table lets a column leave: of visitors who agreed, where a destination needs that.
fn is_declared(column: &str, to: &Recipient, properties: &BTreeSet<String>) -> bool {
    let table = if to.exempt { &to.allowed.unknown } else { &to.allowed.granted };
    let field = match column.split('.').next().unwrap_or_default() {
        "event_id" | "visitor_id" | "name" => return true,
        "page" => Field::Page,
        "campaign" => Field::Campaign,
        "click_ids" => Field::ClickIds,
        "referrer_kind" | "referrer_host" | "referrer_page" => Field::Referrer,
        "value" => Field::Value,
        "currency" => Field::Currency,
        "transaction_id" => Field::OrderId,
        "tax" => Field::Tax,
        "shipping" => Field::Shipping,
        "coupon" => Field::Coupon,
        "items" => Field::Items,
        "properties" if column.strip_prefix("properties.").is_some_and(|name| properties.contains(name)) => Field::Properties,
        "user_id" | "user_assurance" => Field::UserId,
        "session_id" => Field::Session,
        "device" => Field::Device,
        "country" => Field::Place,
        "language" => Field::Language,
        "screen" => Field::Screen,
        "bot" => Field::Bot,
        _ => return false,
    };
    table.lets(field)
}

/// Whether ids of a destination are cut short, so that they recur by chance.
fn collide(captured: &Captured, to: &Recipient) -> bool {
    to.transform == "strict" && captured.expected >= COLLIDING_VISITORS_MIN
}

/// S7.
fn linkage(captured: &Captured) -> Row {
    let texts = ("S7", "longest time between two events that share an id", "≤ 24 h");
    let longest = |to: &Recipient| {
        let days: Vec<Vec<&Event>> = if collide(captured, to) {
            to.days.iter().map(|day| day.iter().collect()).collect()
        } else {
            vec![to.days.iter().flatten().collect()]
        };
        let longest = days.iter().filter_map(|events| longest_link(events, &captured.columns)).max()?;
        Some((longest, same_again(to, &captured.columns)))
    };
    let says = |(longest, (same, again)): &(i64, (usize, usize))| {
        format!("{:.1} h; {same} of {again} who came again have the same id", *longest as f64 / HOUR_MS as f64)
    };
    let (worst, details) = of_all(&captured.recipients, longest, |found| found.0 as f64, says);
    let verdict = worst.map(|(found, name)| {
        let (longest, (same, again)) = found;
        (format!("{}, {name}", says(&found)), longest <= DAY_MS && same as f64 <= again as f64 * RECURRING_MAX)
    });
    judged(texts, verdict, details)
}

fn longest_link(events: &[&Event], columns: &Columns) -> Option<i64> {
    let mut spans: HashMap<(u16, u64), (i64, i64)> = HashMap::new();
    for event in events {
        for pair in event.pairs.iter().filter(|pair| columns.tells(pair.0) == Tells::Id) {
            let span = spans.entry(*pair).or_insert((event.at, event.at));
            *span = (span.0.min(event.at), span.1.max(event.at));
        }
    }
    spans.values().map(|(first, last)| last - first).max()
}

/// Of those who came on both days, how many had the same visitor id.
fn same_again(to: &Recipient, columns: &Columns) -> (usize, usize) {
    let ids = |day: &[Event]| -> HashMap<u32, HashSet<u64>> {
        let mut ids: HashMap<u32, HashSet<u64>> = HashMap::new();
        for event in day {
            ids.entry(event.person).or_default().extend(columns.named("visitor_id").and_then(|column| event.get(column)));
        }
        ids
    };
    let (before, after) = (ids(&to.days[0]), ids(&to.days[1]));
    let both = after.iter().filter_map(|(person, ids)| before.get(person).map(|others| !ids.is_disjoint(others)));
    both.fold((0, 0), |(same, all), is_same| (same + usize::from(is_same), all + 1))
}

/// S9.
fn collisions(captured: &Captured) -> Vec<Row> {
    const WHAT: &str = "strict: visitors whose ids of the day are somebody else's, too; below 6,800 a day no id across page views";
    let strict: Vec<&Recipient> = captured.recipients.iter().filter(|to| to.transform == "strict" && !to.days[1].is_empty()).collect();
    let ids = if strict.is_empty() {
        Row::not("S9", WHAT, "≥ 80 %; none", "no destination has the transform strict")
    } else if captured.expected < COLLIDING_VISITORS_MIN {
        let (linked, events) =
            strict.iter().map(|to| across_views(&to.days[1], &captured.columns)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Row::synthetic("S9", WHAT, "≥ 80 %; none", format!("{linked} of {events} events have an id of an earlier one"), linked == 0)
    } else {
        let shares: Vec<f64> = strict.iter().map(|to| sharing(&to.days[1], &captured.columns)).collect();
        let least = shares.iter().copied().fold(1.0, f64::min);
        Row::synthetic("S9", WHAT, "≥ 80 %; none", format!("{:.1} % share theirs", least * 100.0), least >= SHARING_MIN)
    };
    let own = |id, what, truth: u64| {
        let counted = captured.counted.visitors;
        let error = (counted as f64 - truth as f64).abs() / (truth as f64).max(1.0);
        let figure = format!("{:.1} % ({counted} for {truth})", error * 100.0);
        Row::synthetic(id, what, "within 2.5 %", figure, error <= COUNT_ERROR_MAX)
    };
    let of_ids = "our own estimate of visitors, before ids collide, against a second count of the same ids that is right to 0.1 %";
    let of_persons = "the same estimate against the persons of whom something was recorded: without a cookie a visitor is an address and a kind of browser";
    vec![ids, own("S9 count", of_ids, captured.given.visitors), own("S9 persons", of_persons, captured.recorded as u64)]
}

/// Events that have an id of an earlier event, and all.
fn across_views(day: &[Event], columns: &Columns) -> (usize, usize) {
    let mut seen = HashSet::new();
    let linked = day.iter().filter(|event| {
        let ids = event.pairs.iter().filter(|pair| columns.tells(pair.0) == Tells::Id);
        // All of them are remembered, also behind a known one.
        ids.filter(|id| !seen.insert(**id)).count() > 0
    });
    (linked.count(), day.len())
}

/// The share of visitors whose first visitor and session id of the day, together, somebody else has.
fn sharing(day: &[Event], columns: &Columns) -> f64 {
    let columns = ["visitor_id", "session_id"].map(|name| columns.named(name));
    let mut first: HashMap<u32, [Option<u64>; 2]> = HashMap::new();
    for event in day {
        first.entry(event.person).or_insert_with(|| columns.map(|column| column.and_then(|column| event.get(column))));
    }
    let mut owners: HashMap<[Option<u64>; 2], usize> = HashMap::new();
    first.values().for_each(|ids| *owners.entry(*ids).or_default() += 1);
    let shared: usize = owners.values().filter(|owners| **owners > 1).sum();
    shared as f64 / first.len().max(1) as f64
}

/// How many look alike.
#[derive(Clone, Copy)]
struct Crowded {
    /// The share of events in cells of a crowd.
    share: f64,
    /// Cells below, without the one that says nothing.
    below: usize,
    cells: usize,
    live: bool,
}

impl Crowded {
    fn says(&self) -> String {
        let release = if self.live { "live" } else { "held back" };
        format!("{:.1} % of the events; {} of {} cells below ({release})", self.share * 100.0, self.below, self.cells)
    }

    const fn passes(&self) -> bool {
        if self.live { self.share >= CROWDED_MIN } else { self.below == 0 }
    }
}

/// A period, and what is said in it of what a visitor looks like.
type Cell = (i64, Vec<Pair>);

/// S10.
fn crowds(captured: &Captured) -> Row {
    let texts = (
        "S10",
        "events of the last day that look like those of at least 20 visitors (device, country, language, screen, referrer)",
        "live ≥ 99 %; held back: no cell below 20",
    );
    let crowded = |to: &Recipient| (!to.days[1].is_empty()).then(|| crowded(to, &captured.columns));
    // One that is held back and fails is worse than any that is live.
    let worse = |found: &Crowded| if found.passes() { -found.share } else { 1.0 - found.share + found.below as f64 };
    let (worst, details) = of_all(&captured.recipients, crowded, worse, Crowded::says);
    let verdict = worst.map(|(found, name)| (format!("{}, {name}", found.says()), found.passes()));
    judged(texts, verdict, details)
}

fn crowded(to: &Recipient, columns: &Columns) -> Crowded {
    let mut cells: HashMap<Cell, (HashSet<u32>, usize)> = HashMap::new();
    for event in &to.days[1] {
        let looks = |column: u16| columns.tells(column) == Tells::Description && !columns.name(column).starts_with("bot.");
        let cell = event.pairs.iter().copied().filter(|pair| looks(pair.0)).collect();
        let period = if to.release == Release::Hourly { event.at.div_euclid(HOUR_MS) } else { 0 };
        let (persons, events) = cells.entry((period, cell)).or_default();
        persons.insert(event.person);
        *events += 1;
    }
    let in_crowds: usize = cells.values().filter(|(persons, _)| persons.len() >= CROWD).map(|(_, events)| events).sum();
    let below = cells.iter().filter(|((_, cell), (persons, _))| persons.len() < CROWD && !cell.is_empty()).count();
    Crowded { share: in_crowds as f64 / to.days[1].len().max(1) as f64, below, cells: cells.len(), live: to.release.is_live() }
}

/// S11.
fn places(captured: &Captured) -> Row {
    let texts = ("S11", "places that left with fewer than 100 visitors in the eight days (a country is the finest)", "0");
    let country = captured.columns.named("country");
    let small = |to: &Recipient| {
        let left: HashSet<u64> = to.days.iter().flatten().filter_map(|event| country.and_then(|country| event.get(country))).collect();
        let small = left.iter().filter(|place| captured.places.get(place).copied().unwrap_or(0) < PLACE_VISITORS).count();
        (!to.days[1].is_empty()).then_some((small, left.len()))
    };
    let says = |(small, left): &(usize, usize)| format!("{small} of {left}");
    let (worst, details) = of_all(&captured.recipients, small, |found| found.0 as f64, says);
    let verdict = worst.map(|(found, name)| (format!("{}, {name}", says(&found)), found.0 == 0));
    judged(texts, verdict, details)
}

/// S23.
fn cost(captured: &Captured) -> Vec<Row> {
    let slow = captured.durations.len() * 99 / 100;
    let at = |index: usize| captured.durations.get(index).copied().unwrap_or_default();
    let (p99, median) = (at(slow), at(captured.durations.len() / 2));
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let figure = format!("{:.0} µs, half of them {:.0} µs (in memory, one at a time)", micros(p99), micros(median));
    let (id, what, target) =
        ("S23 time", "from a request to its record, 99 of 100: all stages and the log in memory, more than privacy alone adds", "≤ 1 ms");
    let time = if cfg!(debug_assertions) {
        Row::not(id, what, target, format!("this is a debug build, whose times say nothing: {figure}"))
    } else {
        Row::synthetic(id, what, target, figure, p99 <= MILLISECOND)
    };
    let visitors = {
        let distinct = |to: &Recipient| {
            let id = captured.columns.named("visitor_id")?;
            let ids: HashSet<u64> = to.days[1].iter().filter_map(|event| event.get(id)).collect();
            let persons: HashSet<u32> = to.days[1].iter().map(|event| event.person).collect();
            (to.transform != "strict" && !persons.is_empty()).then_some((ids.len(), persons.len()))
        };
        let error = |(ids, persons): &(usize, usize)| (*ids as f64 - *persons as f64).abs() / *persons as f64;
        let says = |found: &(usize, usize)| format!("{:.1} % ({} for {})", error(found) * 100.0, found.0, found.1);
        let texts =
            ("S23 visitors", "ids on the last day against the visitors behind them (strict has none: our own count is S9)", "≤ 2 %");
        let counts: Vec<&Recipient> = captured.recipients.iter().filter(|to| distinct(to).is_some() && to.exempt).collect();
        if counts.is_empty() {
            Row::not(texts.0, texts.1, texts.2, "no destination without a consent has a visitor's id")
        } else {
            let (worst, details) = of_all(&captured.recipients, distinct, error, says);
            judged(texts, worst.map(|(found, name)| (format!("{}, {name}", says(&found)), error(&found) <= UNIQUES_ERROR_MAX)), details)
        }
    };
    let ranks = |texts: Texts, column: &str, truth: &HashMap<u64, u64>| {
        let column = captured.columns.named(column);
        let rank = |to: &Recipient| {
            let mut said: HashMap<u64, u64> = HashMap::new();
            for value in to.days.iter().flatten().filter_map(|event| event.get(column?)) {
                *said.entry(value).or_default() += 1;
            }
            let mut pairs: Vec<(u64, u64)> = truth.iter().map(|(thing, count)| (*count, said.get(thing).copied().unwrap_or(0))).collect();
            pairs.sort_unstable_by(|one, other| other.cmp(one));
            pairs.truncate(RANKED);
            (!to.days[1].is_empty()).then(|| rank_correlation(&pairs))
        };
        let (worst, details) = of_all(&captured.recipients, rank, |found| -found, |found| format!("τ = {found:.3}"));
        judged(texts, worst.map(|(found, name)| (format!("τ = {found:.3}, {name}"), found >= RANK_MIN)), details)
    };
    vec![
        time,
        visitors,
        ranks(("S23 pages", "whether the 50 most viewed pages keep their ranks", "τ ≥ 0.95"), "page.path", &captured.pages),
        ranks(("S23 countries", "whether the countries keep their ranks", "τ ≥ 0.95"), "country", &captured.countries),
    ]
}

/// For whoever reads the figures.
#[must_use]
pub const fn days() -> u32 {
    LEARNING_DAYS + MEASURED_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::policy::Allowed;

    fn recipient(release: Release, day: Vec<Event>) -> Recipient {
        Recipient {
            name: String::from("one"),
            transform: "measurement",
            exempt: true,
            release,
            allowed: Allowed::NOTHING,
            days: [Vec::new(), day],
            original: Vec::new(),
            control: Vec::new(),
        }
    }

    fn columns() -> (Columns, u16, u16) {
        let mut columns = Columns::default();
        Event::read(r#"{"time":"2026-03-14T10:05:00Z","country":"FR","visitor_id":"1"}"#, &mut columns).unwrap();
        let (country, id) = (columns.named("country").unwrap(), columns.named("visitor_id").unwrap());
        (columns, country, id)
    }

    fn event(person: u32, at: i64, pairs: Vec<(u16, u64)>) -> Event {
        Event { person, at, pairs, ..Event::default() }
    }

    #[test]
    fn cells_are_of_visitors_and_of_their_period() {
        let (columns, country, _) = columns();
        let mut day: Vec<Event> = (0..20).map(|person| event(person, 0, vec![(country, 1)])).collect();
        day.extend((0..40).map(|number| event(100 + number % 19, 0, vec![(country, 2)])));
        day.push(event(300, 0, Vec::new()));
        let live = crowded(&recipient(Release::Live, day.clone()), &columns);
        assert_eq!((live.cells, live.below, live.passes()), (3, 1, false));
        assert!((live.share - 20.0 / 61.0).abs() < 1e-9);
        day.retain(|event| event.person < 20 || event.person == 300);
        assert!(crowded(&recipient(Release::Daily, day.clone()), &columns).passes(), "what says nothing needs no crowd");
        day[3].at = 2 * HOUR_MS;
        assert!(!crowded(&recipient(Release::Hourly, day.clone()), &columns).passes(), "19 of them in one hour");
        assert!(crowded(&recipient(Release::Daily, day), &columns).passes());
    }

    #[test]
    fn an_id_links_as_long_as_it_lasts() {
        let (columns, _, id) = columns();
        let events = [event(1, 0, vec![(id, 7)]), event(2, 5, vec![(id, 8)]), event(1, 3 * HOUR_MS, vec![(id, 7)])];
        assert_eq!(longest_link(&events.iter().collect::<Vec<_>>(), &columns), Some(3 * HOUR_MS));
        assert_eq!(across_views(&events, &columns), (1, 3));
        assert!((sharing(&events, &columns)).abs() < 1e-9);
        let shared = [event(1, 0, vec![(id, 7)]), event(2, 5, vec![(id, 7)]), event(3, 5, vec![(id, 9)])];
        assert!((sharing(&shared, &columns) - 2.0 / 3.0).abs() < 1e-9);
        let mut to = recipient(Release::Live, shared.to_vec());
        to.days[0] = vec![event(1, 0, vec![(id, 7)]), event(3, 0, vec![(id, 10)])];
        assert_eq!(same_again(&to, &columns), (1, 2));
    }

    #[test]
    fn a_field_that_the_table_does_not_let_is_not_declared() {
        let to = recipient(Release::Live, Vec::new());
        let listed = BTreeSet::from([String::from("plan")]);
        assert!(is_declared("event_id", &to, &listed) && !is_declared("page.path", &to, &listed) && !is_declared("ip", &to, &listed));
        let mut all = to;
        for field in Field::ALL {
            all.allowed.unknown = all.allowed.unknown.with(field, crate::privacy::policy::Treatment::Keep);
        }
        assert!(is_declared("page.path", &all, &listed) && is_declared("properties.plan", &all, &listed));
        assert!(!is_declared("properties.card", &all, &listed) && !is_declared("ip", &all, &listed));
    }
}
