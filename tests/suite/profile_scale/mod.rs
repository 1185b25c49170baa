//! How the profile store grows: so many customers and ten times as many events pass through the line into a log on the disk, and from there through the
//! projector into a store on the disk. Measured are what that takes, how long it is behind, what looking up, parting, withdrawing and making again
//! cost, and how much rests.
//!
//! `FIRSTHAND_PROFILES` is the number of customers, `FIRSTHAND_PROFILE_STORE` the store, `FIRSTHAND_SEED` the seed; a normal run has few, in either.

mod workload;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fastrand::Rng;
use firsthand::{
    clock::Timestamp,
    config::secret::Secret,
    destination::Database,
    event::Offset,
    event_log::LogOptions,
    privacy::{
        identifiers::{IdentifierKind, identifier_of_site},
        personal::Personal,
        profiled::{PersonHandle, ProfileSeals},
    },
    profile::{
        Profiles,
        identity::Joined,
        postgres::PostgresProfiles,
        projector::{Projector, Round},
        sqlite::{PROFILES, SqliteProfiles},
        store::{Decision, ProfileStore, StrandKey},
    },
};
use serde_json::{Value, json};

use self::workload::{Customer, DEVICES_MAX, Visit, Workload};
use crate::{
    campaign::{Tell, most_resident_mib},
    installation::{Installation, SITE},
    left_out::left_out,
    line::{Line, RawRequest},
    profiles::{Browser, NOW, SECRET, projector, proving_at, purchase, request},
    real_postgres::{PASSWORD, ROLE, RealPostgres},
};

/// Customers of a normal run.
const CUSTOMERS: u64 = 200;
/// From as many on it is a campaign: it says how far it is, and measures for longer.
const CAMPAIGN: u64 = 5_000;
/// Visits that come at once.
const AT_ONCE: usize = 256;
/// Events that come before the projector gets on.
const EVENTS_AT_ONCE: u64 = 50_000;
/// Customers of whom is noted what there has to be.
const WATCHED: usize = 50;
/// The pace at which it is measured how far behind the projector is.
const EVENTS_PER_SECOND: u64 = 200;
/// Between two rounds of the projector, as the program has them: while there is more, and when there is none.
const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(500)];

const PROFILE: &str = "
[site.profile]
traits = { plan = \"last\", number = \"highest\" }
lookup = [\"plan\", \"visits\", \"orders\", \"last_products\"]
[site.profile.identifiers]
account = { joins = true, most = 25 }
crm = { joins = true }
email = { joins = true, most = 5 }
";

/// What comes out, in order.
type Figures = Vec<(&'static str, f64)>;

/// The store that is measured.
enum Kept {
    Sqlite,
    Postgres(RealPostgres),
}

/// What a customer's profile has to be, counted beside the line.
#[derive(Default)]
struct Watched {
    /// Orders on each device.
    orders: [u64; DEVICES_MAX as usize],
    /// Whether their account was proven there.
    proven: [bool; DEVICES_MAX as usize],
}

struct Shop {
    line: Line,
    profiles: Arc<Profiles>,
    projector: Projector,
    seed: u64,
    /// The cookie of each device, by customer; zeros: it has none yet.
    cookies: Vec<[u8; 16]>,
    watched: BTreeMap<u64, Watched>,
    now: Timestamp,
    sent: u64,
}

/// A moment's duration in milliseconds.
fn ms(of: Duration) -> f64 {
    of.as_secs_f64() * 1e3
}

/// Of durations that are sorted, the one at that part of them.
fn at(durations: &mut [Duration], part: f64) -> f64 {
    durations.sort_unstable();
    durations.get(((durations.len() as f64 * part) as usize).min(durations.len().saturating_sub(1))).copied().map_or(f64::NAN, ms)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (work(), begun.elapsed())
}

/// Bytes of all files of that name, its journals among them.
fn bytes_of(directory: &Path, name: &str) -> u64 {
    let files = fs::read_dir(directory).unwrap().map(Result::unwrap);
    files.filter(|file| file.file_name().to_string_lossy().starts_with(name)).map(|file| file.metadata().unwrap().len()).sum()
}

impl Shop {
    fn device(&self, visit: &Visit) -> usize {
        (visit.customer * DEVICES_MAX + visit.device) as usize
    }

    fn browser(&self, device: usize) -> Browser {
        let mut browser = Browser::new(0);
        browser.address = [10, (device >> 16) as u8, (device >> 8) as u8, device as u8];
        let cookie = self.cookies[device];
        browser.cookie = (cookie != [0; 16]).then(|| format!("__Host-w={}", URL_SAFE_NO_PAD.encode(cookie)));
        browser
    }

    /// What a visit sends.
    fn requests(&mut self, visit: &Visit, requests: &mut Vec<(RawRequest, Timestamp)>) {
        let (customer, browser) = (Customer::of(self.seed, visit.customer), self.browser(self.device(visit)));
        let knows = browser.cookie.is_some();
        let signed = visit.signed && customer.has_account && knows;
        let mut events = Vec::new();
        for number in 0..visit.events {
            let id = format!("{}-{}", self.sent, visit.customer);
            self.sent += 1;
            let event = if visit.buys && number + 1 == visit.events {
                purchase(&id, &id, 10.0 + (visit.customer % 90) as f64)
            } else {
                json!({ "k": "page_view", "i": id, "p": format!("https://www.shop.example/shoes/{}?utm_source=letter", self.sent % 500),
                        "d": { "plan": "gold", "number": number } })
            };
            events.push(if signed { proving_at(visit.at, &browser, &format!("c{}", visit.customer), event) } else { event });
        }
        if let Some(watched) = self.watched.get_mut(&visit.customer) {
            watched.orders[visit.device as usize] += u64::from(visit.buys);
            watched.proven[visit.device as usize] |= signed;
        }
        requests.push((of(&browser, events), visit.at));
        if let Some(email) = customer.email.filter(|_| visit.told && knows) {
            let mut traits = json!({ "email": email });
            if customer.crm {
                traits["crmId"] = json!(format!("C-{}", visit.customer));
            }
            requests.push((told(&browser, self.sent, &traits), visit.at));
            self.sent += 1;
        }
    }

    /// Visits that come at once; each device has one without a cookie at most.
    fn send(&mut self, visits: &[Visit]) {
        let mut requests = Vec::new();
        let mut devices = Vec::new();
        for visit in visits {
            let first = requests.len();
            self.requests(visit, &mut requests);
            devices.push((first, self.device(visit)));
        }
        self.now = visits.last().map_or(self.now, |visit| visit.at);
        let received = self.line.receive_all(&requests);
        for (request, device) in devices {
            if let Some(cookie) = received[request].cookies.iter().find_map(|cookie| cookie.strip_prefix("__Host-w=")) {
                let value = cookie.split(';').next().unwrap_or_default();
                self.cookies[device] = URL_SAFE_NO_PAD.decode(value).unwrap().try_into().unwrap();
            }
        }
        self.line.append_all(0, received);
    }

    /// The projector takes in all there is. Returns what that took.
    fn catch_up(&self) -> Duration {
        timed(|| while self.projector.round(self.now).unwrap() == Round::More {}).1
    }

    /// All visits, and all of them into profiles. Returns how long the projector worked for each part of the events.
    fn load(&mut self, workload: Workload, tell: &Tell) -> Vec<(u64, Duration)> {
        let (wanted, begun) = (workload.wanted(), Instant::now());
        let mut workload = workload;
        let (mut parts, mut visits, mut sent_before) = (Vec::new(), Vec::<Visit>::new(), 0);
        loop {
            let next = workload.next();
            let comes_twice = |visit: &Visit| {
                let device = self.device(visit);
                self.cookies[device] == [0; 16] && visits.iter().any(|other| self.device(other) == device)
            };
            if visits.len() == AT_ONCE || next.as_ref().is_none_or(comes_twice) {
                self.send(&visits);
                visits.clear();
                let part = self.sent - sent_before;
                if next.is_none() || part >= EVENTS_AT_ONCE.min(wanted / 4) {
                    parts.push((part, self.catch_up()));
                    sent_before = self.sent;
                    // What was read goes, so that a disk is enough for ten million events; the log itself is measured elsewhere.
                    self.line.runtime.block_on(self.line.logs[0].roll()).unwrap();
                    self.line.logs[0].drop_expired(self.now.plus(Duration::from_secs(3 * 60 * 60))).unwrap();
                    let pace = self.sent as f64 / begun.elapsed().as_secs_f64();
                    tell.now_and_then(|| format!("{} of {wanted} events in profiles, {pace:.0} a second", self.sent));
                }
            }
            let Some(visit) = next else { return parts };
            visits.push(visit);
        }
    }

    /// Devices that have a cookie, some of them.
    fn some_devices(&self, random: &mut Rng, many: usize) -> Vec<usize> {
        let any = std::iter::repeat_with(|| random.usize(..self.cookies.len()));
        any.filter(|device| self.cookies[*device] != [0; 16]).take(many).collect()
    }

    /// A page asks for its visitor's traits.
    fn looks_up(&self, device: usize) -> usize {
        let mut request = request(&self.browser(device), &[], json!({}));
        request.path = String::from("/keso/profile");
        let Some(person) = self.line.customer(&request, self.now) else { return 0 };
        self.profiles.lookup(&self.line.documents.profiles[0], &person, self.now).unwrap().len()
    }

    fn person(&self, device: usize) -> Option<PersonHandle> {
        self.line.customer(&request(&self.browser(device), &[], json!({})), self.now)
    }

    /// What the API's find does for one identifier: the profiles of all who have it.
    fn find(&self, kind: IdentifierKind, said: &str) -> Vec<Joined> {
        let (rules, mut found) = (&self.line.documents.profiles[0], Vec::<Joined>::new());
        let identifier = identifier_of_site(&self.line.persistent, &rules.destination, kind, &Personal::new(said.to_owned())).unwrap();
        let Some(identifier) = identifier else { return found };
        for (strand, id) in self.profiles.parts_of_identifier(rules.site(), &identifier).unwrap() {
            if found.iter().any(|joined| joined.strands.contains(&strand)) {
                continue;
            }
            let Some(strand) = self.profiles.named(rules.site(), &id).unwrap() else { continue };
            let joined = self.profiles.joined(&strand, rules).unwrap();
            if self.profiles.view(&joined, rules, 0, self.now).unwrap().is_some() {
                found.push(joined);
            }
        }
        found
    }

    /// One profile with its newest events, as it is shown.
    fn show(&self, strand: &StrandKey) -> (Joined, Value) {
        let rules = &self.line.documents.profiles[0];
        let joined = self.profiles.joined(strand, rules).unwrap();
        let view = self.profiles.view(&joined, rules, 10, self.now).unwrap().expect("somebody who agrees");
        (joined, serde_json::to_value(view).unwrap())
    }

    /// That those of whom it was noted have the profile that they ought to.
    fn is_right(&self) {
        let mut met = 0;
        for (customer, watched) in &self.watched {
            if !watched.proven.contains(&true) {
                continue;
            }
            let [found] = self.find(IdentifierKind::Account, &format!("c{customer}")).try_into().expect("one profile");
            let (_, view) = self.show(found.strands.first().unwrap());
            let orders: u64 = watched.orders.iter().zip(watched.proven).filter(|(_, proven)| *proven).map(|(orders, _)| orders).sum();
            assert_eq!(view["traits"]["orders"], json!(orders), "customer {customer}: {view:#}");
            met += 1;
        }
        assert!(met > 5, "{met} were looked at");
    }
}

fn of(browser: &Browser, events: Vec<Value>) -> RawRequest {
    let mut said = request(browser, &["analytics", "profile"], Value::Null);
    said.body = json!({ "g": ["analytics", "profile"], "e": events }).to_string().into_bytes();
    said
}

fn told(browser: &Browser, number: u64, traits: &Value) -> RawRequest {
    let call = json!({ "type": "identify", "messageId": format!("t-{number}"), "anonymousId": browser.value(), "traits": traits });
    let mut request = RawRequest::beacon([203, 0, 113, 80].into(), call.to_string()).with("authorization", "Bearer fhk_of_the_shop");
    request.path = String::from("/keso/v1/events");
    request
}

/// While events come at a steady pace: how long until each is in its profile, and how long a page waits meanwhile.
fn behind(shop: &mut Shop, workload: &mut Workload, seconds: u64, figures: &mut Figures) {
    let mut batches: Vec<Vec<(RawRequest, Timestamp)>> = Vec::new();
    let mut events = 0;
    while events < seconds * EVENTS_PER_SECOND {
        let Some(visit) = workload.next().filter(|visit| shop.cookies[shop.device(visit)] != [0; 16]) else { continue };
        let mut requests = Vec::new();
        shop.requests(&visit, &mut requests);
        shop.now = visit.at;
        events += visit.events;
        batches.push(requests);
    }
    let pause = Duration::from_secs(seconds) / batches.len() as u32;
    let devices = shop.some_devices(&mut Rng::with_seed(1), 10_000);
    let (shop, over) = (&*shop, AtomicBool::new(false));
    let head = || *shop.line.logs[0].durable_head().borrow();
    let (appended, read, mut looked) = std::thread::scope(|scope| {
        let projector = scope.spawn(|| {
            let mut read: Vec<(Instant, Offset)> = Vec::new();
            loop {
                let ends = over.load(Ordering::Acquire);
                let round = shop.projector.round(shop.now).unwrap();
                read.push((Instant::now(), shop.profiles.store().unwrap().position().unwrap().unwrap()));
                if ends && round != Round::More {
                    return read;
                }
                std::thread::sleep(PAUSES[usize::from(round != Round::More)]);
            }
        });
        let pages = scope.spawn(|| {
            let mut looked = Vec::new();
            for device in devices {
                if over.load(Ordering::Acquire) {
                    break;
                }
                looked.push(timed(|| shop.looks_up(device)).1);
                std::thread::sleep(Duration::from_millis(5));
            }
            looked
        });
        let mut appended = Vec::new();
        for requests in batches {
            let begun = Instant::now();
            let received = shop.line.receive_all(&requests);
            shop.line.append_all(0, received);
            appended.push((Instant::now(), head()));
            std::thread::sleep(pause.saturating_sub(begun.elapsed()));
        }
        over.store(true, Ordering::Release);
        (appended, projector.join().unwrap(), pages.join().unwrap())
    });
    let mut waited: Vec<Duration> = appended
        .iter()
        .map(|(when, end)| {
            let (then, _) = read.iter().find(|(then, position)| position >= end && then >= when).expect("all of it was read");
            *then - *when
        })
        .collect();
    figures.push(("lag p50 at 200 events/s, ms", at(&mut waited, 0.5)));
    figures.push(("lag p99 at 200 events/s, ms", at(&mut waited, 0.99)));
    figures.push(("page lookup p50 meanwhile, ms", at(&mut looked, 0.5)));
    figures.push(("page lookup p99 meanwhile, ms", at(&mut looked, 0.99)));
}

/// What looking at profiles costs.
fn lookups(shop: &Shop, many: usize, figures: &mut Figures) {
    let mut random = Rng::with_seed(2);
    let devices = shop.some_devices(&mut random, many);
    let mut pages: Vec<Duration> = devices.iter().map(|device| timed(|| assert!(shop.looks_up(*device) > 0)).1).collect();
    figures.push(("page lookup p50, ms", at(&mut pages, 0.5)));
    figures.push(("page lookup p99, ms", at(&mut pages, 0.99)));
    let customers = (shop.cookies.len() as u64) / DEVICES_MAX;
    let (mut found, mut took) = (0, Vec::new());
    for _ in 0..many {
        let customer = random.u64(..customers);
        let of = Customer::of(shop.seed, customer);
        let asked = if of.has_account {
            (IdentifierKind::Account, format!("c{customer}"))
        } else {
            (IdentifierKind::Email, of.email.unwrap_or_default())
        };
        let (profiles, time) = timed(|| shop.find(asked.0, &asked.1));
        found += profiles.len();
        took.push(time);
    }
    assert!(found > many / 8, "{found} of {many} were found");
    figures.push(("find p50, ms", at(&mut took, 0.5)));
    figures.push(("find p99, ms", at(&mut took, 0.99)));
}

/// What a profile costs that is made of several parts, and parting and joining one.
fn merges(shop: &mut Shop, many: usize, figures: &mut Figures) {
    // Somebody in as many browsers as an account may have.
    let last = shop.now.plus(Duration::from_secs(60));
    let mut browsers: Vec<Browser> = (0..25).map(Browser::new).collect();
    for browser in &mut browsers {
        let first = shop.line.receive(&of(browser, vec![json!({ "k": "page_view" })]), last);
        browser.cookie = first.cookies.iter().find_map(|cookie| cookie.split(';').next().map(str::to_owned));
        shop.line.append(0, first);
        let signed = proving_at(last, browser, "everywhere", purchase(&format!("e-{}", browser.address[3]), "E", 5.0));
        shop.line.append(0, shop.line.receive(&of(browser, vec![signed]), last));
    }
    shop.now = last;
    shop.catch_up();
    let (found, _) = timed(|| shop.find(IdentifierKind::Account, "everywhere"));
    assert_eq!(found.iter().map(|joined| joined.strands.len()).collect::<Vec<_>>(), [50], "one profile of 25 browsers");
    let everywhere = *found[0].strands.first().unwrap();

    let mut by_parts: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    let mut several = Vec::new();
    for device in shop.some_devices(&mut Rng::with_seed(3), many) {
        let Some(person) = shop.person(device) else { continue };
        let site = shop.line.documents.profiles[0].site();
        let Some(row) = shop.profiles.store().unwrap().of_person(site, &person).unwrap().pop() else { continue };
        let ((joined, _), time) = timed(|| shop.show(&row.key));
        by_parts.entry(joined.strands.len().min(4)).or_default().push(time);
        if joined.strands.len() > 1 {
            several.push(row.key);
        }
    }
    let names =
        ["", "profile of 1 part p50, ms", "profile of 2 parts p50, ms", "profile of 3 parts p50, ms", "profile of 4 parts or more p50, ms"];
    for (parts, mut took) in by_parts {
        figures.push((names[parts], at(&mut took, 0.5)));
    }
    let mut took: Vec<Duration> = (0..20).map(|_| timed(|| shop.show(&everywhere)).1).collect();
    figures.push(("profile of 50 parts p50, ms", at(&mut took, 0.5)));

    let mut decided = Vec::new();
    for strand in several.iter().take(many / 4) {
        let before = shop.show(strand).0;
        for apart in [true, false] {
            let decision = Decision { key: *strand, apart, at: shop.now, author: "anna".into(), reason: "the campaign".into() };
            decided.push(timed(|| shop.profiles.decide(&decision).unwrap()).1);
        }
        assert_eq!(shop.show(strand).0, before, "joined again it is what it was");
    }
    assert!(!decided.is_empty());
    figures.push(("link or unlink p50, ms", at(&mut decided, 0.5)));
}

/// What it costs that somebody withdraws, until nothing of theirs is left.
fn withdrawals(shop: &mut Shop, many: usize, figures: &mut Figures) {
    let mut took = Vec::new();
    for device in shop.some_devices(&mut Rng::with_seed(4), many) {
        shop.now = shop.now.plus(Duration::from_secs(1));
        let (Some(person), browser) = (shop.person(device), shop.browser(device)) else { continue };
        shop.line.append(0, shop.line.receive(&request(&browser, &[], json!({ "k": "page_view" })), shop.now));
        took.push(shop.catch_up());
        let site = shop.line.documents.profiles[0].site();
        assert!(shop.profiles.store().unwrap().of_person(site, &person).unwrap().is_empty(), "nothing is left");
    }
    figures.push(("withdrawal p50, ms", at(&mut took, 0.5)));
    let mut people = shop.some_devices(&mut Rng::with_seed(5), 3).into_iter().filter_map(|device| shop.person(device));
    let person = people.next().expect("somebody who is still there");
    let ((), time) = timed(|| shop.profiles.erase(&BTreeSet::from([person])).unwrap());
    figures.push(("erasure from the store, ms", ms(time)));
}

fn measure(customers: u64, kept: &Kept, seed: u64, tell: &Tell) -> Figures {
    let outside = Installation::empty();
    let documents = format!("{SITE}identify_secret = \"file:{}\"\n{PROFILE}", outside.write("secret", SECRET).display());
    let directory = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(60 * 60);
    let options = LogOptions { short_retention: hour, long_retention: hour, ..LogOptions::default() };
    let line = Line::at_length(&documents, directory.path(), options, NOW);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store: Box<dyn ProfileStore> = match kept {
        Kept::Sqlite => Box::new(SqliteProfiles::open(&directory.path().join(PROFILES.file)).unwrap()),
        Kept::Postgres(postgres) => {
            let password = Some(Secret::new(PASSWORD.into()));
            let (host, port, name) = ("127.0.0.1".into(), postgres.port, "analytics".into());
            Box::new(PostgresProfiles::new(
                Database { host, port, name, user: ROLE.into(), password, encrypted: false },
                runtime.handle().clone(),
            ))
        }
    };
    let profiles = Arc::new(Profiles::in_store(store, ProfileSeals::new(Arc::clone(&line.persons))));
    let projector = projector(&line, 0, &profiles, &Arc::new(AtomicBool::new(true)));
    // Those who come back most often, of whom an account alone joins what is theirs: what else joins or tells apart depends on others.
    let is_plain = |customer: &u64| matches!(Customer::of(seed, *customer), Customer { has_account: true, email: None, .. });
    let watched = (0..customers).filter(is_plain).take(WATCHED).map(|customer| (customer, Watched::default())).collect();
    let cookies = vec![[0; 16]; (customers * DEVICES_MAX) as usize];
    let mut shop = Shop { line, profiles, projector, seed, cookies, watched, now: NOW, sent: 0 };

    let mut figures = Figures::new();
    let parts = shop.load(Workload::new(seed, customers, NOW), tell);
    let rate = |parts: &[(u64, Duration)]| {
        let (events, time) = parts.iter().fold((0, Duration::ZERO), |(events, time), part| (events + part.0, time + part.1));
        events as f64 / time.as_secs_f64()
    };
    let tenth = parts.len().div_ceil(10);
    figures.push(("customers", customers as f64));
    figures.push(("devices", shop.cookies.iter().filter(|cookie| **cookie != [0; 16]).count() as f64));
    figures.push(("events", shop.sent as f64));
    figures.push(("taken in, events/s", rate(&parts)));
    figures.push(("taken in at the end, events/s", rate(&parts[parts.len() - tenth..])));
    tell.say("loaded");
    let counts = shop.profiles.store().unwrap().counts().unwrap();
    assert_eq!(counts.iter().map(|counts| counts.events).sum::<u64>(), shop.sent, "each event is in a timeline, once");
    shop.is_right();

    let store_bytes = match kept {
        Kept::Sqlite => bytes_of(directory.path(), PROFILES.file),
        Kept::Postgres(postgres) => postgres.ask("SELECT pg_database_size('analytics')").parse().unwrap(),
    };
    figures.push(("store, bytes/customer", store_bytes as f64 / customers as f64));
    figures.push(("keys.db, bytes/customer", bytes_of(directory.path(), "keys.db") as f64 / customers as f64));
    let campaign = customers >= CAMPAIGN;
    let many = if campaign { 2_000 } else { 60 };
    lookups(&shop, many, &mut figures);
    tell.say("looked up");
    let mut later = Workload::new(seed + 1, customers, shop.now);
    behind(&mut shop, &mut later, if campaign { 20 } else { 1 }, &mut figures);
    tell.say("kept pace");
    merges(&mut shop, many, &mut figures);
    tell.say("merged");
    withdrawals(&mut shop, if campaign { 50 } else { 5 }, &mut figures);
    tell.say("withdrawn");

    let shown = |shop: &Shop| -> Vec<String> {
        let of = |customer: &u64| shop.find(IdentifierKind::Account, &format!("c{customer}"));
        let found = shop.watched.keys().flat_map(of).flat_map(|joined| joined.strands.first().copied());
        found.map(|strand| shop.show(&strand).1.to_string()).collect()
    };
    let before = shown(&shop);
    let strands: usize = counts.iter().map(|counts| counts.browsers as usize).sum();
    shop.profiles.store().unwrap().ask_again().unwrap();
    // What it reads of the log once more in the same round is a batch.
    let (_, time) = timed(|| shop.projector.round(shop.now).unwrap());
    shop.catch_up();
    assert!(shown(&shop) == before, "made again, they are the same");
    figures.push(("made again, browsers/s", strands as f64 / time.as_secs_f64()));
    figures.push(("made again, events/s", shop.sent as f64 / time.as_secs_f64()));
    figures.push(("memory at most, MiB", most_resident_mib(std::process::id())));
    figures
}

fn run(of_store: &str, kept: impl FnOnce() -> Option<Kept>) {
    let wanted = std::env::var("FIRSTHAND_PROFILES").ok().map(|number| number.parse::<u64>().expect("FIRSTHAND_PROFILES is a number"));
    if std::env::var("FIRSTHAND_PROFILE_STORE").is_ok_and(|wanted| wanted != of_store) {
        return;
    }
    let customers = wanted.unwrap_or(CUSTOMERS);
    assert!(customers >= CUSTOMERS, "{CUSTOMERS} customers at least");
    let seed = std::env::var("FIRSTHAND_SEED").map_or(20_261_128, |seed| seed.parse().expect("FIRSTHAND_SEED is a number"));
    let tell = Tell::new(wanted.is_some());
    let Some(kept) = kept() else { return left_out("the growth of profiles in PostgreSQL", "PostgreSQL is not installed here") };
    let figures = measure(customers, &kept, seed, &tell);
    for (name, value) in figures {
        tell.say(&format!("profiles: {name}|{value:.3}"));
    }
}

#[test]
fn profiles_in_sqlite_grow() {
    run("sqlite", || Some(Kept::Sqlite));
}

#[test]
fn profiles_in_postgresql_grow() {
    run("postgres", || RealPostgres::start_to_measure().map(Kept::Postgres));
}
