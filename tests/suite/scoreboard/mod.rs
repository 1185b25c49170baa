//! The scoreboard: synthetic days of visitors pass through the line to three destinations, and what leaves is measured against the truth
//! that only the generator knows. Figures of synthetic traffic are method checks; `docs/anonymity.md` says what each row means.
//!
//! `FIRSTHAND_VISITORS` is how many come on a day; `tests/run campaign anonymity` runs several sizes. A normal run has few, and fails only
//! on what must hold at any size: a miss of another row is printed, not hidden, and not an error of the harness.

mod detectors;
mod figures;
mod held;
mod memory;
mod retention;
mod rows;
mod seen;

use std::{
    collections::HashMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use firsthand::{
    clock::Timestamp,
    event_log::Appended,
    privacy::{crowd::WINDOW_DAYS, enrich::place::PlaceDatabase, keys::visit::LocalDay, uniques::Estimate},
    prove::traffic::{Beacon, Traffic, Truth, persons::Choice},
};

use self::{
    figures::{DestinationFigures, Durations, Persons, Visits},
    held::HeldBack,
    rows::Row,
    seen::Seen,
};
use crate::{
    installation::{SITE, WITHOUT_CROWDS, file_destination},
    line::{Became, Line, RawRequest, log_in},
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
/// More events than a visitor of a day has on average.
const EVENTS_OF_A_VISITOR: usize = 4;
/// Events appended at a time.
const EVENTS_PER_APPEND: usize = 5_000;
const HOUR: Duration = Duration::from_hours(1);
/// Records of the last three days are at rest, as by default.
const RETENTION: Duration = Duration::from_hours(72);
/// How long after an hour's or a day's end it is decided on, and a little more.
const GRACE: Duration = Duration::from_secs(61);
/// So many ids of a destination are followed; of more, every so manyth is.
const FOLLOWED_IDS: u32 = 50_000;
/// What a day's second count of visitors and visits takes; that of the day before is still there.
const SECOND_COUNT_BYTES: usize = 4 << 20;
/// Where a destination is among the figures.
const STRICT: usize = 0;
const MEASUREMENT: usize = 1;
const CUSTOMERS: usize = 2;
const DESTINATIONS: [&str; 3] = ["strict", "measurement", "customers"];
/// Destinations like `measurement` that hold events back, and for how long. What they get is looked at on the last day.
const HELD_BACK: [&str; 2] = ["hourly", "daily"];

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
    /// Visitors and visits of the last day of whom something was recorded: in truth, by the program's own count, and the number of different
    /// ones that this count was given.
    captured: [usize; 2],
    counted: Estimate,
    given: Estimate,
    held: Vec<HeldBack>,
    /// What the harness's own tables take, at their largest.
    harness_bytes: usize,
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
    for id in ["S7", "S8 ids", "S10 held back", "S16", "S20"] {
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
    assert!(measured.held.iter().all(|held| held.events > 0), "nothing that was held back left");
    assert!(measured.given.visitors > 0 && measured.given.visits >= measured.given.visitors, "nobody was counted a second time");
    assert!(exempt.linked_events > 0 && customers.longest_link() > Duration::from_hours(24), "no id links anything anywhere");
}

/// A directory for databases and log: in memory that is a file system's where there is such a thing, since some million rows are to be durable
/// one by one.
fn resting_place() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn documents() -> String {
    let held = |name: &str| {
        let like = file_destination(name, "exempt_measurement", "measurement");
        like.replace("transform = ", &format!("release = \"{name}\"\ntransform = "))
    };
    let [hourly, daily] = HELD_BACK.map(held);
    [
        SITE.replace(WITHOUT_CROWDS, ""),
        file_destination("strict", "exempt_measurement", "strict"),
        file_destination("measurement", "exempt_measurement", "measurement"),
        file_destination("customers", "consent", "consented-analytics"),
        hourly,
        daily,
    ]
    .concat()
}

#[expect(clippy::print_stderr, reason = "a campaign says how far it is")]
fn measure(traffic: &Traffic) -> Measured {
    let directory = resting_place();
    let places = PlaceDatabase::from_bytes(traffic.places().database()).unwrap();
    let mut line = Line::at_rest(&documents(), places, directory.path(), Timestamp(FIRST_MIDNIGHT));
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
        given: Estimate::default(),
        held: HELD_BACK.iter().map(|name| HeldBack::new(&line, name, persons)).collect(),
        harness_bytes: 0,
    };
    let mut cookies = Cookies::default();
    let mut week = Persons::new(persons);
    let mut visits = Visits::new(traffic);
    for day in 0..LEARNING_DAYS + MEASURED_DAYS {
        let (learning, last) = (day < LEARNING_DAYS, day + 1 == LEARNING_DAYS + MEASURED_DAYS);
        let midnight = Timestamp(FIRST_MIDNIGHT).plus(Duration::from_hours(24) * day);
        let (site, epoch) =
            (line.documents.sites[0].number, LocalDay::of(&line.documents.sites[0].time_zone, midnight.plus(12 * HOUR)).epoch);
        measured.expected = line.uniques.expected(site, epoch).unwrap();
        if day > LEARNING_DAYS && measured.expected >= rows::COLLIDING_VISITORS_MIN {
            measured.destinations[STRICT].begin_spans_anew();
        }
        measured.destinations.iter_mut().for_each(DestinationFigures::begin_day);
        if !learning {
            let log = directory.path().join("log");
            line.logs.clear();
            fs::remove_dir_all(&log).unwrap();
            line.logs = vec![log_in(&log, midnight).into()];
        }
        visits.clear();
        cookies.by_person.retain(|person, _| visits.is_regular(*person));
        let mut waiting = Vec::with_capacity(EVENTS_PER_APPEND);
        // Of the last day: whose event each record is.
        // Room is taken at once, and memory as it fills; a table that grows is there twice for a moment.
        let mut who = Vec::with_capacity(if learning { 0 } else { traffic.visitors() as usize * EVENTS_OF_A_VISITOR });
        let mut hour = midnight;
        let (began, before) = (Instant::now(), measured.events);
        if day == LEARNING_DAYS {
            measured.durations = Durations::default();
        }
        for beacon in traffic.day(day) {
            if learning && beacon.truth.choice == Choice::Granted {
                // A quarter of the crowd is missing then, and no week of persons' keys is in memory.
                continue;
            }
            let now = Timestamp(FIRST_MIDNIGHT + beacon.at);
            while now >= hour.plus(HOUR) {
                hour = hour.plus(HOUR);
                look_at(&mut line, &mut waiting, &mut who, &mut measured, traffic);
                line.keep_house(hour, hour.minus(RETENTION));
                if last {
                    measured.held[0].close(&line, &who, rows::K, hour.plus(GRACE));
                }
            }
            measured.events += 1;
            let Truth { person, visit, city, .. } = beacon.truth;
            let clean_before = waiting.len();
            take_in(&line, beacon, &mut cookies, &mut measured, &mut waiting);
            if waiting.len() > clean_before {
                if week.insert(person) {
                    *measured.week_places.entry(traffic.places().code(city)).or_default() += 1;
                }
                visits.insert(person, visit);
            }
            if learning {
                waiting.clear();
            }
            if waiting.len() >= EVENTS_PER_APPEND {
                look_at(&mut line, &mut waiting, &mut who, &mut measured, traffic);
            }
            if measured.events.is_multiple_of(100_000) {
                eprintln!(
                    "day {day}: {} events, {:.0} a second",
                    measured.events - before,
                    rate(measured.events - before, began.elapsed())
                );
            }
        }
        look_at(&mut line, &mut waiting, &mut who, &mut measured, traffic);
        measured.destinations.iter_mut().for_each(DestinationFigures::end_day);
        measured.captured = visits.count();
        measured.counted = line.uniques.estimate(site, epoch).unwrap();
        measured.given = line.uniques.second_count(site, epoch).unwrap_or_default();
        // What the next day's ids are as long as.
        line.uniques.flush().unwrap();
        if last {
            let over = midnight.plus(Duration::from_hours(24)).plus(GRACE);
            measured.held.iter_mut().for_each(|held| held.close(&line, &who, rows::K, over));
            let own = week.bytes() + visits.bytes() + cookies.bytes() + who.capacity() * size_of::<u32>();
            // The generator has a start for each visitor of an hour, in which at most one in ten comes.
            let generator = traffic.visitors() as usize * size_of::<(u32, u32)>() / 10;
            let figures: usize = measured.destinations.iter().map(DestinationFigures::bytes).sum();
            measured.harness_bytes =
                own + generator + 2 * SECOND_COUNT_BYTES + figures + measured.held.iter().map(HeldBack::bytes).sum::<usize>();
        }
    }
    measured
}

/// Browsers' own cookies, from their first yes on: the values, which are all of one length, and the one name.
#[derive(Default)]
struct Cookies {
    name: String,
    by_person: HashMap<u32, [u8; COOKIE_ID_BYTES]>,
}

/// What a cookie's value says in base64url.
const COOKIE_ID_BYTES: usize = 16;

impl Cookies {
    fn insert(&mut self, person: u32, set: &str) {
        let (name, value) = set.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie has a name and a value");
        name.clone_into(&mut self.name);
        let id = BASE64.decode(value).expect("a visitor's cookie is base64url");
        self.by_person.insert(person, id.try_into().expect("a visitor's cookie has one length"));
    }

    fn of(&self, person: u32) -> Option<String> {
        let value = BASE64.encode(self.by_person.get(&person)?);
        Some(format!("{}={value}", self.name))
    }

    fn bytes(&self) -> usize {
        memory::table_bytes(&self.by_person)
    }
}

fn rate(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}

/// One clean event on its way to the log, and the truth about it.
type Waiting = (firsthand::privacy::record::Record, Truth, Timestamp);

fn take_in(line: &Line, beacon: Beacon, cookies: &mut Cookies, measured: &mut Measured, waiting: &mut Vec<Waiting>) {
    let received = Timestamp(FIRST_MIDNIGHT + beacon.at);
    let mut request = RawRequest::beacon(beacon.address, beacon.body)
        .with("user-agent", &beacon.user_agent)
        .with("accept-language", &beacon.accept_language);
    if beacon.global_privacy_control {
        request = request.with("sec-gpc", "1");
    }
    if let Some(cookie) = cookies.of(beacon.truth.person) {
        request = request.with("cookie", &cookie);
    }
    let began = Instant::now();
    let taken = line.receive(&request, received);
    measured.durations.add(began.elapsed());
    if beacon.truth.choice == Choice::Granted
        && let Some(cookie) = taken.cookies.first()
    {
        cookies.insert(beacon.truth.person, cookie);
    }
    for became in taken.events {
        if let Became::Clean(clean) = became {
            waiting.push((clean.record, beacon.truth, received));
        }
    }
}

/// Lets what waits rest, notes whose it is, and looks at what each destination gets of it at once.
fn look_at(line: &mut Line, waiting: &mut Vec<Waiting>, who: &mut Vec<u32>, measured: &mut Measured, traffic: &Traffic) {
    let Some((_, _, now)) = waiting.last() else { return };
    let now = *now;
    let (records, truths): (Vec<_>, Vec<_>) = waiting.drain(..).map(|(record, truth, at)| (record, (truth, at))).unzip();
    let appended = line.runtime.block_on(line.logs[0].append(records)).unwrap();
    let stored: Vec<_> = appended
        .iter()
        .zip(truths)
        .filter_map(|(end, truth)| if let Appended::Stored(offset) = end { Some((*offset, truth)) } else { None })
        .collect();
    let Some((first, _)) = stored.first() else { return };
    let records = line.records(0, *first);
    assert_eq!(stored.len(), records.len(), "the log has another number of records");
    let at_once: Vec<_> = DESTINATIONS
        .iter()
        .map(|name| line.documents.destinations.iter().find(|destination| destination.name == *name).unwrap())
        .enumerate()
        .collect();
    for (record, (offset, (truth, at))) in records.iter().zip(stored) {
        assert_eq!((record.offset, who.len() as u64), (offset, offset.0), "one record after the other");
        who.push(truth.person);
        measured.true_pages[truth.page] += 1;
        *measured.true_countries.entry(traffic.places().code(truth.city)).or_default() += 1;
        for (index, destination) in &at_once {
            let text = line.disclosure(record, destination, now);
            if *index != CUSTOMERS {
                measured.exempt_events += 1;
                measured.purged_events += u64::from(text == "purged");
            }
            if let Some(seen) = Seen::read(&text) {
                measured.destinations[*index].add(&seen, &truth, at);
            }
        }
    }
}
