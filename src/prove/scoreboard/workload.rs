//! Synthetic days through the program's own line, in memory, under the documents in force: what each destination gets of them, and the truth.
//! Six days teach the crowds, two are looked at; the last one goes through once more without crowds, and once with other visitors, as what
//! attacks are measured against.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header};
use tokio::runtime::Runtime;

use super::captured::{Columns, Recipient, Row, hashed};
use crate::{
    clock::Timestamp,
    console::feed::Feed,
    counters::Counters,
    documents::{
        Basis, Documents, Release, Site,
        parse::Document,
        store::{Author, DocumentStore},
    },
    event::Offset,
    event_log::{EventLog, LogOptions, LogReader, LogRecord, MemoryFiles},
    pipeline::Pipeline,
    privacy::{
        consent::proof::ConsentProof,
        crowd::{Crowds, Hold, Period, WINDOW_DAYS},
        disclose::{Disclosed, Discloser},
        enrich::{
            bot::{Bots, network::NetworkDatabase},
            place::PlaceDatabase,
        },
        keys::{database::KeysDb, epoch::EpochKeys, persistent::PersistentKeys, person::PersonKeys, visit::LocalDay},
        personal::Personal,
        purge_set::PurgeSet,
        raw::ClientAddress,
        record,
        uniques::{Estimate, Uniques},
        visitor::Visitors,
    },
    protocol::{inbound::Inbound, native::Native},
    prove::{
        ProveError,
        beacons::Target,
        traffic::{Beacon, Traffic, Truth, persons::Choice},
    },
    state::{IN_MEMORY, StateDb},
    supervise::Supervisor,
};

/// Days of which crowds are learnt: as many as a vocabulary is made of.
pub const LEARNING_DAYS: u32 = WINDOW_DAYS.unsigned_abs() - 1;
/// Days that are looked at: what an id links needs two.
pub const MEASURED_DAYS: u32 = 2;
/// The first day: far from every change of summer time, and the same in every run.
const FIRST_DAY: jiff::civil::Date = jiff::civil::date(2026, 3, 14);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A held period's records are in the log by then.
const AFTER_MIDNIGHT: Duration = Duration::from_secs(5 * 60);
/// What the visitors who were not there are made from.
const OTHERS: u64 = 0x6f74_6865_7273;
/// By how much a log's file grows in memory.
const LOG_STEP_BYTES: u64 = 1 << 20;
/// Events between two words about progress.
const EVENTS_PER_WORD: u64 = 500;
const PURPOSES: [&str; 3] = ["analytics", "profile", "ads"];

/// What is sent.
pub struct Workload<'a> {
    /// The documents in force, with receivers that are nowhere.
    pub documents: Vec<Document>,
    /// The site.
    pub target: &'a Target,
    /// Visitors a day.
    pub visitors: u32,
    /// What they are made from.
    pub seed: u64,
}

/// What came of it.
pub struct Captured {
    /// The columns of all rows.
    pub columns: Columns,
    /// Destination by destination.
    pub recipients: Vec<Recipient>,
    /// The last day's visitors of whom something was recorded.
    pub recorded: usize,
    /// The program's own count of them.
    pub counted: Estimate,
    /// A second, closer count of the same ids.
    pub given: Estimate,
    /// How many it expected: by that, ids collide or there is none across page views.
    pub expected: u32,
    /// The properties that the site's policy lists.
    pub properties: BTreeSet<String>,
    /// Visitors of the eight days by country, as its column's value.
    pub places: HashMap<u64, u32>,
    /// Views by page of the days that are looked at, as its column's value.
    pub pages: HashMap<u64, u64>,
    /// Their events by country.
    pub countries: HashMap<u64, u64>,
    /// From a request to its durable record (in memory), sorted.
    pub durations: Vec<Duration>,
    /// Requests of all days.
    pub requests: u64,
}

impl Workload<'_> {
    /// Sends it all. `progress` hears which request of about how many is sent. Blocks.
    ///
    /// # Errors
    /// When the documents do not compile, or a log or database in memory fails.
    pub fn run(&self, progress: &mut dyn FnMut(&str, usize, usize)) -> Result<Captured, ProveError> {
        let traffic = Traffic::new(self.seed, self.visitors).on(&self.target.origin, &PURPOSES);
        let others = Traffic::new(self.seed ^ OTHERS, self.visitors).on(&self.target.origin, &PURPOSES);
        let mut line = Line::open(self.documents.clone(), &traffic, self.target)?;
        let mut captured = Captured {
            columns: Columns::default(),
            recipients: line.recipients(),
            recorded: 0,
            counted: Estimate::default(),
            given: Estimate::default(),
            expected: 0,
            properties: line.site.policy.properties.keys().cloned().collect(),
            places: HashMap::new(),
            pages: HashMap::new(),
            countries: HashMap::new(),
            durations: Vec::new(),
            requests: 0,
        };
        // A visitor views 3.4 pages a day: near enough for a bar.
        let about = self.visitors as usize * 17 / 5 * (LEARNING_DAYS + MEASURED_DAYS + 2) as usize;
        let mut week = HashSet::new();
        for day in 0..LEARNING_DAYS + MEASURED_DAYS {
            let measured = day.checked_sub(LEARNING_DAYS).map(|day| day as usize);
            line.begin_day(day)?;
            captured.expected = line.expected(day)?;
            let mut recorded = HashSet::new();
            for beacon in traffic.day(day) {
                captured.requests += 1;
                if captured.requests.is_multiple_of(EVENTS_PER_WORD) {
                    progress("synthetic visitors", captured.requests as usize, about);
                }
                let took = line.receive(&beacon)?;
                let records = line.new_records()?;
                if records.is_empty() {
                    continue;
                }
                let truth = beacon.truth;
                let place = hashed(traffic.places().code(truth.city));
                recorded.insert(truth.person);
                if week.insert(truth.person) {
                    *captured.places.entry(place).or_default() += 1;
                }
                if let Some(day) = measured {
                    captured.durations.push(took);
                    *captured.pages.entry(hashed(&traffic.pages().template(truth.page))).or_default() += 1;
                    *captured.countries.entry(place).or_default() += 1;
                    line.disclose_live(records, &beacon, (&mut captured.columns, &mut captured.recipients), |to, row| {
                        to.days[day].push(row)
                    })?;
                }
            }
            if let Some(measured) = measured {
                line.disclose_held(day, (&mut captured.columns, &mut captured.recipients), |to, row| to.days[measured].push(row))?;
            }
            captured.recorded = recorded.len();
            (captured.counted, captured.given) = line.end_day(day)?;
        }
        drop(line);
        let day = LEARNING_DAYS + MEASURED_DAYS - 1;
        self.without_crowds(&traffic, day, &mut captured, |to, row| to.original.push(row))?;
        progress("synthetic visitors", about - about / 10, about);
        self.without_crowds(&others, day, &mut captured, |to, row| to.control.push(row))?;
        captured.durations.sort_unstable();
        Ok(captured)
    }

    /// One day under the same documents, where one visitor is crowd enough.
    fn without_crowds(
        &self,
        traffic: &Traffic,
        day: u32,
        captured: &mut Captured,
        mut keep: impl FnMut(&mut Recipient, Row),
    ) -> Result<(), ProveError> {
        let mut documents = self.documents.clone();
        for document in &mut documents {
            if let Document::Policy(policy) = document {
                policy.crowd = Some(1);
                policy.crowd_reason = Some(String::from("what is known of whom is measured"));
            }
        }
        let mut line = Line::open(documents, traffic, self.target)?;
        line.begin_day(day)?;
        for beacon in traffic.day(day) {
            line.receive(&beacon)?;
            let records = line.new_records()?;
            line.disclose_live(records, &beacon, (&mut captured.columns, &mut captured.recipients), &mut keep)?;
        }
        line.disclose_held(day, (&mut captured.columns, &mut captured.recipients), &mut keep)
    }
}

/// The line, in memory, on a site.
struct Line {
    runtime: Runtime,
    documents: Arc<Documents>,
    site: Arc<Site>,
    pipeline: Pipeline,
    discloser: Discloser,
    reader: LogReader,
    target: (Uri, HeaderValue),
    midnight: Timestamp,
    /// What browsers keep of the cookies that they were given.
    cookies: HashMap<u32, HeaderValue>,
    /// The day's records for destinations that wait.
    held: Vec<(LogRecord, Truth, u64, Timestamp)>,
}

impl Line {
    fn open(documents: Vec<Document>, traffic: &Traffic, target: &Target) -> Result<Self, ProveError> {
        let in_memory = Path::new(IN_MEMORY);
        let state = Arc::new(StateDb::open(in_memory)?);
        let store = DocumentStore::new(Arc::clone(&state));
        store.apply(documents, false, false, &Author { name: "prove", reason: "a run of `prove` on a copy", at: Timestamp(0) })?;
        let documents = store.compiled()?;
        let path = format!("{}/e", target.prefix);
        let (Some((site, _)), Ok(uri), Ok(host)) = (documents.site_of(&target.host, &path), path.parse(), target.host.parse()) else {
            return Err(ProveError::NoSite);
        };
        let site = Arc::clone(site);
        let midnight = site.time_zone.to_timestamp(FIRST_DAY.at(0, 0, 0, 0)).map_err(|_| ProveError::NoSite)?.as_millisecond();
        let keys = Arc::new(KeysDb::open(in_memory)?);
        let persistent = Arc::new(PersistentKeys::new(Arc::clone(&state)));
        let persons = Arc::new(PersonKeys::new(Arc::clone(&keys)));
        let purge_set = Arc::new(PurgeSet::open(Arc::clone(&keys))?);
        let uniques = Arc::new(Uniques::counting_twice(Arc::clone(&state)));
        let epochs = Arc::new(EpochKeys::new(keys).sized_by(Arc::clone(&uniques)));
        let proof = Arc::new(ConsentProof::new(Arc::clone(&state)));
        let crowds = Arc::new(Crowds::new(state));
        let places = PlaceDatabase::from_bytes(traffic.places().database()).map_err(|_| ProveError::Places)?;
        let log = new_log(Timestamp(midnight))?;
        let reader = log.reader(Offset(0));
        let pipeline = Pipeline {
            documents: ArcSwap::from_pointee(store.compiled()?),
            visitors: Visitors::new(Supervisor::new(), Arc::clone(&persistent), Arc::clone(&persons), Arc::clone(&purge_set), proof),
            persistent: Arc::clone(&persistent),
            places: ArcSwap::from_pointee(places),
            bots: Bots::new(NetworkDatabase::none()),
            log,
            envelopes: Arc::default(),
            uniques,
            crowds: Arc::clone(&crowds),
            counters: Counters::default(),
            feed: Feed::default(),
        };
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            documents: Arc::new(documents),
            site,
            pipeline,
            discloser: Discloser::new(persistent, epochs, persons, purge_set, crowds),
            reader,
            target: (uri, host),
            midnight: Timestamp(midnight),
            cookies: HashMap::new(),
            held: Vec::new(),
        })
    }

    fn recipients(&self) -> Vec<Recipient> {
        let of_site = self.documents.destinations.iter().filter(|destination| destination.sites.contains(&self.site.number));
        let recipients = of_site.map(|destination| Recipient {
            name: destination.name.clone(),
            transform: destination.transform.name(),
            exempt: destination.basis == Basis::ExemptMeasurement,
            release: destination.release,
            allowed: *self.site.allowed(destination.number),
            days: Default::default(),
            original: Vec::new(),
            control: Vec::new(),
        });
        recipients.collect()
    }

    /// What is done by the clock at midnight, and an empty log.
    fn begin_day(&mut self, day: u32) -> Result<(), ProveError> {
        let morning = self.midnight.plus(DAY * day);
        self.pipeline.crowds.upkeep(&self.documents, morning)?;
        self.pipeline.visitors.visit_keys().destroy_old(morning);
        self.pipeline.log = new_log(morning)?;
        self.reader = self.pipeline.log.reader(Offset(0));
        Ok(())
    }

    fn epoch(&self, day: u32) -> crate::event::Epoch {
        LocalDay::of(&self.site.time_zone, self.midnight.plus(DAY * day + DAY / 2)).epoch
    }

    fn expected(&self, day: u32) -> Result<u32, ProveError> {
        Ok(self.pipeline.uniques.expected(self.site.number, self.epoch(day))?)
    }

    /// The day's own count, which the next day's ids are as long as.
    fn end_day(&self, day: u32) -> Result<(Estimate, Estimate), ProveError> {
        let (site, epoch) = (self.site.number, self.epoch(day));
        let counted = self.pipeline.uniques.estimate(site, epoch)?;
        let given = self.pipeline.uniques.second_count(site, epoch).unwrap_or_default();
        self.pipeline.uniques.flush()?;
        Ok((counted, given))
    }

    /// Takes a request in, as the server would. Returns how long it took.
    fn receive(&mut self, beacon: &Beacon) -> Result<Duration, ProveError> {
        let (uri, host) = &self.target;
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.clone());
        for (name, text) in [(header::USER_AGENT, &beacon.user_agent), (header::ACCEPT_LANGUAGE, &beacon.accept_language)] {
            headers.extend(HeaderValue::from_str(text).ok().map(|value| (name, value)));
        }
        if beacon.global_privacy_control {
            headers.insert("sec-gpc", HeaderValue::from_static("1"));
        }
        if let Some(cookie) = self.cookies.get(&beacon.truth.person) {
            headers.insert(header::COOKIE, cookie.clone());
        }
        let address = Personal::new(ClientAddress::new(beacon.address));
        let body = Bytes::copy_from_slice(beacon.body.as_bytes());
        let inbound = Inbound::new(uri.clone(), headers, body, address, true, self.received(beacon));
        let began = Instant::now();
        let ingested = self.runtime.block_on(self.pipeline.ingest(&self.site, &Native, inbound, |_| Ok(())));
        let took = began.elapsed();
        if !ingested.reply.status.is_success() {
            return Err(ProveError::Refused(ingested.reply.status.as_u16()));
        }
        if beacon.truth.choice == Choice::Granted {
            let mut set = HeaderMap::new();
            ingested.cookies.into_iter().for_each(|cookie| cookie.append_to(&mut set));
            let pair = set.get(header::SET_COOKIE).and_then(|cookie| cookie.to_str().ok()?.split(';').next()?.parse().ok());
            if let Some(pair) = pair {
                self.cookies.insert(beacon.truth.person, pair);
            }
        }
        Ok(took)
    }

    const fn received(&self, beacon: &Beacon) -> Timestamp {
        Timestamp(self.midnight.0 + beacon.at)
    }

    /// What the last request left in the log.
    fn new_records(&mut self) -> Result<Vec<LogRecord>, ProveError> {
        Ok(self.reader.read(usize::MAX, usize::MAX)?)
    }

    /// What every destination gets of it that does not wait.
    fn disclose_live(
        &mut self,
        records: Vec<LogRecord>,
        beacon: &Beacon,
        (columns, recipients): (&mut Columns, &mut [Recipient]),
        mut keep: impl FnMut(&mut Recipient, Row),
    ) -> Result<(), ProveError> {
        let (at, agent) = (self.received(beacon), hashed(&beacon.user_agent));
        let waits = recipients.iter().any(|recipient| !recipient.release.is_live());
        for record in records {
            for to in recipients.iter_mut().filter(|to| to.release.is_live()) {
                if let Some(row) = self.disclosed(&record, &to.name, (beacon.truth, agent, at), at, columns)? {
                    keep(to, row);
                }
            }
            if waits {
                self.held.push((record, beacon.truth, agent, at));
            }
        }
        Ok(())
    }

    /// What the others get when the day is over: each period is counted as a whole, decided, and then disclosed.
    fn disclose_held(
        &mut self,
        day: u32,
        (columns, recipients): (&mut Columns, &mut [Recipient]),
        mut keep: impl FnMut(&mut Recipient, Row),
    ) -> Result<(), ProveError> {
        let held = std::mem::take(&mut self.held);
        let now = self.midnight.plus(DAY * (day + 1) + AFTER_MIDNIGHT);
        for to in recipients.iter_mut().filter(|to| to.release != Release::Live) {
            let Some(destination) = self.documents.destinations.iter().find(|destination| destination.name == to.name) else { continue };
            let mut periods = HashMap::new();
            for (record, ..) in &held {
                let header = record::header_of(&record.bytes).map_err(|_| ProveError::Record)?;
                let Some(period) = Period::of(to.release, header.epoch, header.received) else { continue };
                let hold = Hold { destination: destination.number, period };
                let counted = match periods.entry(period) {
                    Entry::Occupied(counted) => counted.into_mut(),
                    Entry::Vacant(first) => first.insert(self.discloser.crowds().count_period(&self.site, hold)?),
                };
                let counted = self.discloser.count_held(record, &self.documents, destination, now, counted);
                counted.map_err(|_| ProveError::Record)?;
            }
            for counted in periods.into_values() {
                self.discloser.crowds().decide(self.site.number, counted)?;
            }
            for (record, truth, agent, at) in &held {
                if let Some(row) = self.disclosed(record, &to.name, (*truth, *agent, *at), now, columns)? {
                    keep(to, row);
                }
            }
        }
        Ok(())
    }

    fn disclosed(
        &self,
        record: &LogRecord,
        to: &str,
        (truth, agent, at): (Truth, u64, Timestamp),
        now: Timestamp,
        columns: &mut Columns,
    ) -> Result<Option<Row>, ProveError> {
        let Some(destination) = self.documents.destinations.iter().find(|destination| destination.name == to) else { return Ok(None) };
        let disclosed = self.discloser.disclose(record, &self.documents, destination, now).map_err(|_| ProveError::Record)?;
        let Disclosed::Disclosure(disclosure) = disclosed else { return Ok(None) };
        let text = serde_json::to_string(&*disclosure).map_err(|_| ProveError::Record)?;
        let row = Row::read(&text, columns).ok_or(ProveError::Record)?;
        Ok(Some(Row { person: truth.person, city: truth.city, agent, at: at.0, ..row }))
    }
}

fn new_log(now: Timestamp) -> Result<Arc<EventLog>, ProveError> {
    let options = LogOptions { preallocate_bytes: LOG_STEP_BYTES, ..LogOptions::default() };
    Ok(Arc::new(EventLog::open(Arc::new(MemoryFiles::default()), options, now)?))
}
