//! The scoreboard: synthetic days of visitors pass through the line to three destinations, and what leaves is measured against the truth
//! that only the generator knows. Figures of synthetic traffic are method checks; `docs/anonymity.md` says what each row means.
//!
//! `FIRSTHAND_VISITORS` is how many come on a day; `tests/run campaign anonymity` runs several sizes. A normal run has few, and fails only
//! on what must hold at any size: a miss of another row is printed, not hidden, and not an error of the harness.

mod detectors;
mod figures;
mod memory;
mod retention;
mod rows;
mod seen;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use firsthand::{
    clock::Timestamp,
    event::Offset,
    event_log::{Appended, EventLog, LogOptions},
    privacy::{crowd::WINDOW_DAYS, enrich::place::PlaceDatabase, keys::visit::LocalDay, uniques::Estimate},
    prove::traffic::{Beacon, Traffic, Truth, persons::Choice},
};

use self::{
    figures::{DestinationFigures, Durations, Persons},
    rows::Row,
    seen::Seen,
};
use crate::{
    installation::{SITE, WITHOUT_CROWDS, file_destination},
    line::{Became, Line, RawRequest},
    memory_files::MemoryFiles,
};

/// Visitors a day in a normal run.
const VISITORS: u32 = 1_000;
/// Days of which crowds are learnt: as many as a vocabulary is made of. What leaves on them is not looked at.
const LEARNING_DAYS: u32 = WINDOW_DAYS.unsigned_abs() - 1;
/// Days that are measured: what is decided by the previous day's visitors, and what an id links, needs one before the last.
const MEASURED_DAYS: u32 = 2;
const SEED: u64 = 0x0f17_57a0;
/// Midnight in Paris, the time zone of the site: 2026-03-13T23:00:00Z.
const FIRST_MIDNIGHT: i64 = 1_773_442_800_000;
/// Events in one log; then a new one is begun, so that any number of events takes bounded memory.
const EVENTS_PER_LOG: usize = 5_000;
/// So many ids of a destination are followed; of more, every so manyth is.
const FOLLOWED_IDS: u32 = 50_000;
/// Where a destination is among the figures.
const STRICT: usize = 0;
const MEASUREMENT: usize = 1;
const CUSTOMERS: usize = 2;
const DESTINATIONS: [&str; 3] = ["strict", "measurement", "customers"];

/// Everything that was measured of some days.
struct Measured {
    visitors: u32,
    events: u64,
    destinations: [DestinationFigures; 3],
    /// From the bytes of a request to a clean event.
    durations: Durations,
    /// How many visitors the program expected of the last day: by that, ids collide or there is none across page views.
    expected: u32,
    /// Visitors of all days by country, whether or not anything of them left.
    week_places: HashMap<&'static str, u32>,
    /// Page views of visitors who did not object, by page.
    true_pages: Vec<u64>,
    /// Their events, by country.
    true_countries: HashMap<&'static str, u64>,
    /// Events for an exempt destination, and those of them that ended as purged.
    exempt_events: u64,
    purged_events: u64,
    /// Visitors and visits of the last day of whom something was recorded: in truth, and by the program's own count.
    captured: [usize; 2],
    counted: Estimate,
}

#[test]
fn the_scoreboard_of_synthetic_days() {
    let visitors = std::env::var("FIRSTHAND_VISITORS").map_or(VISITORS, |number| number.parse().expect("FIRSTHAND_VISITORS is a number"));
    let began = Instant::now();
    let traffic = Traffic::new(SEED, visitors);
    let measured = measure(&traffic);
    let overdue = retention::measure();
    let rows = rows::of(&measured, &traffic, &overdue);
    println!("{}", rows::table(&rows, &measured, began.elapsed()));
    must_hold(&measured, &rows);
}

/// What has nothing to do with how many visitors there are.
fn must_hold(measured: &Measured, rows: &[Row]) {
    for (name, figures) in DESTINATIONS.iter().zip(&measured.destinations) {
        assert!(figures.events > 0, "nothing reached {name}");
    }
    for id in ["S7", "S8 ids", "S16", "S20"] {
        let row = rows.iter().find(|row| row.id == id).unwrap();
        assert!(row.passed() == Some(true), "{id}: {}", row.figure);
    }
    if measured.expected < rows::COLLIDING_VISITORS_MIN {
        let row = rows.iter().find(|row| row.id == "S9").unwrap();
        assert!(row.passed() == Some(true), "S9: {}", row.figure);
    }
    // Controls: what was looked for can be found.
    let [_, exempt, customers] = &measured.destinations;
    assert!(exempt.ids_shared_with(exempt) > 0, "a destination has no id in common with itself");
    assert!(exempt.linked_events > 0 && customers.longest_link() > Duration::from_hours(24), "no id links anything anywhere");
}

#[expect(clippy::print_stderr, reason = "a campaign says how far it is")]
fn measure(traffic: &Traffic) -> Measured {
    let documents = [
        SITE.replace(WITHOUT_CROWDS, ""),
        file_destination("strict", "exempt_measurement", "strict"),
        file_destination("measurement", "exempt_measurement", "measurement"),
        file_destination("customers", "consent", "consented-analytics"),
    ];
    let places = PlaceDatabase::from_bytes(traffic.places().database()).unwrap();
    let mut line = Line::with_places(&documents.concat(), 0, places);
    let every = u64::from(traffic.visitors().div_ceil(FOLLOWED_IDS).max(1));
    let persons = traffic.persons(LEARNING_DAYS + MEASURED_DAYS);
    let mut measured = Measured {
        visitors: traffic.visitors(),
        events: 0,
        destinations: std::array::from_fn(|_| DestinationFigures::new(every, persons)),
        durations: Durations::default(),
        true_pages: vec![0; traffic.pages().len()],
        true_countries: HashMap::new(),
        expected: 0,
        week_places: HashMap::new(),
        exempt_events: 0,
        purged_events: 0,
        captured: [0; 2],
        counted: Estimate::default(),
    };
    // A browser's own cookie, from its first yes on.
    let mut cookies: HashMap<u32, Box<str>> = HashMap::new();
    let mut week = Persons::new(persons);
    for day in 0..LEARNING_DAYS + MEASURED_DAYS {
        let learning = day < LEARNING_DAYS;
        let noon = Timestamp(FIRST_MIDNIGHT).plus(Duration::from_hours(24) * day + Duration::from_hours(12));
        let (site, epoch) = (line.documents.sites[0].number, LocalDay::of(&line.documents.sites[0].time_zone, noon).epoch);
        measured.expected = line.uniques.expected(site, epoch).unwrap();
        if day > LEARNING_DAYS && measured.expected >= rows::COLLIDING_VISITORS_MIN {
            measured.destinations[STRICT].begin_spans_anew();
        }
        measured.destinations.iter_mut().for_each(DestinationFigures::begin_day);
        let mut waiting = Vec::with_capacity(EVENTS_PER_LOG);
        let (mut visitors, mut visits) = (HashSet::new(), HashSet::new());
        let (began, before) = (Instant::now(), measured.events);
        if day == LEARNING_DAYS {
            measured.durations = Durations::default();
        }
        for beacon in traffic.day(day) {
            if learning && beacon.truth.choice == Choice::Granted {
                // A quarter of the crowd is missing then, and no week of persons' keys is in memory.
                continue;
            }
            measured.events += 1;
            let Truth { person, visit, city, .. } = beacon.truth;
            let clean_before = waiting.len();
            take_in(&line, beacon, &mut cookies, &mut measured, &mut waiting);
            if waiting.len() > clean_before {
                if week.insert(person) {
                    *measured.week_places.entry(traffic.places().code(city)).or_default() += 1;
                }
                visitors.insert(person);
                visits.insert((person, visit));
            }
            if learning {
                waiting.clear();
            }
            if waiting.len() >= EVENTS_PER_LOG {
                look_at(&mut line, &mut waiting, &mut measured, traffic);
            }
            if measured.events.is_multiple_of(100_000) {
                eprintln!(
                    "day {day}: {} events, {:.0} a second",
                    measured.events - before,
                    rate(measured.events - before, began.elapsed())
                );
            }
        }
        look_at(&mut line, &mut waiting, &mut measured, traffic);
        measured.destinations.iter_mut().for_each(DestinationFigures::end_day);
        measured.captured = [visitors.len(), visits.len()];
        measured.counted = line.uniques.estimate(site, epoch).unwrap();
        // What the next day's ids are as long as.
        line.uniques.flush().unwrap();
    }
    measured
}

fn rate(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}

/// One clean event on its way to the log, and the truth about it.
type Waiting = (firsthand::privacy::record::Record, Truth, Timestamp);

fn take_in(line: &Line, beacon: Beacon, cookies: &mut HashMap<u32, Box<str>>, measured: &mut Measured, waiting: &mut Vec<Waiting>) {
    let received = Timestamp(FIRST_MIDNIGHT + beacon.at);
    let mut request = RawRequest::beacon(beacon.address, beacon.body)
        .with("user-agent", &beacon.user_agent)
        .with("accept-language", &beacon.accept_language);
    if beacon.global_privacy_control {
        request = request.with("sec-gpc", "1");
    }
    if let Some(cookie) = cookies.get(&beacon.truth.person) {
        request = request.with("cookie", cookie);
    }
    let began = Instant::now();
    let taken = line.receive(&request, received);
    measured.durations.add(began.elapsed());
    if beacon.truth.choice == Choice::Granted
        && let Some(cookie) = taken.cookies.first()
    {
        cookies.insert(beacon.truth.person, cookie.split(';').next().unwrap_or_default().into());
    }
    for became in taken.events {
        if let Became::Clean(clean) = became {
            waiting.push((clean.record, beacon.truth, received));
        }
    }
}

/// Lets what waits rest in a new log, and looks at what each destination gets of it.
fn look_at(line: &mut Line, waiting: &mut Vec<Waiting>, measured: &mut Measured, traffic: &Traffic) {
    let Some((_, _, now)) = waiting.last() else { return };
    let now = *now;
    let options = LogOptions { preallocate_bytes: 1 << 20, ..LogOptions::default() };
    line.logs = vec![EventLog::open(Arc::new(MemoryFiles::default()), options, now).unwrap()];
    let (records, truths): (Vec<_>, Vec<_>) = waiting.drain(..).map(|(record, truth, at)| (record, (truth, at))).unzip();
    let appended = line.runtime.block_on(line.logs[0].append(records)).unwrap();
    let stored = appended.iter().zip(truths).filter(|(end, _)| matches!(end, Appended::Stored(_)));
    let records = line.records(0, Offset(0));
    let mut looked_at = 0;
    for (record, (_, (truth, at))) in records.iter().zip(stored) {
        looked_at += 1;
        measured.true_pages[truth.page] += 1;
        *measured.true_countries.entry(traffic.places().code(truth.city)).or_default() += 1;
        for (name, text) in line.disclosures(record, now) {
            let index = DESTINATIONS.iter().position(|known| *known == name).unwrap();
            if index != CUSTOMERS {
                measured.exempt_events += 1;
                measured.purged_events += u64::from(text == "purged");
            }
            if let Some(seen) = Seen::read(&text) {
                measured.destinations[index].add(&seen, &truth, at);
            }
        }
    }
    assert_eq!(looked_at, records.len(), "the log has another number of records");
}
