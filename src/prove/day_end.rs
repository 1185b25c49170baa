//! The day's end: a child whose clock stands before a midnight and is then set past it, so that the day's keys die. Its memory is searched before,
//! when K_visit and a request under way have to be found, and after, when nothing of them and of no visitor may be.
//!
//! The key is found as an attacker would: bytes of the memory are tried as the key, and what they make of a visitor who objected is looked for
//! among the objections at rest. The child tells nobody anything, and has no way to be asked.

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    ProveError,
    beacons::{self, NATIVE, Target},
    canaries::{Canaries, Canary, Stand, Voice},
    child::{Program, Start},
    memory,
    places::{Leak, Place, Search, Searched},
    rehearsal,
    run::{Trial, settle, voices, word_of},
    scanner::{Mark, Scanner},
    spellings::Spelling,
    stand_in::StandIn,
    voice::{self, Line},
    wire::Request,
};
use crate::{
    clock::{self, Timestamp},
    documents::store::DocumentStore,
    privacy::{
        keys::{
            database::KeysDb,
            guess::{Objector, traces},
            locked::KEY_BYTES,
            visit::LocalDay,
        },
        purge_set::PurgeSet,
    },
    state::StateDb,
};

/// So long before midnight the child begins: within the hour in which visits that go on over it are kept, as on every evening.
const EVENING: Duration = Duration::from_secs(30 * 60);
/// So long after it the day is over.
const NIGHT: Duration = Duration::from_secs(60);
/// Between the last request and the search, with every connection closed.
const IDLE: Duration = Duration::from_secs(5);
/// A rotation follows the first request of the new day.
const HEARD: Duration = Duration::from_millis(500);
/// The head of a request that is under way comes in within this.
const UNDER_WAY: Duration = Duration::from_millis(500);
/// Beacons of the night are numbered from here, so that they are no retries.
const FIRST_OF_NIGHT: usize = 20_000_000;
/// What a key's copies are listed under, beside the protocols.
pub const KEYS: &str = "keys";

/// What has to be found while it is there.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Control {
    /// Sites whose day ended.
    pub sites: usize,
    /// Of how many of them K_visit was found before midnight.
    pub keys_before: usize,
    /// Whether the address of a request under way was found.
    pub address_before: bool,
    /// Whether its user agent was.
    pub agent_before: bool,
}

impl Control {
    fn holds(&self) -> bool {
        self.sites > 0 && self.keys_before == self.sites && self.address_before && self.agent_before
    }
}

/// Makes the trial. What it found is for [`Place::Night`].
///
/// # Errors
/// When the program under test does not start, answer or stop.
pub fn run(trial: &Trial<'_>, progress: &mut dyn FnMut(&str, usize, usize)) -> Result<(Searched, Control), ProveError> {
    let directory = tempfile::Builder::new().prefix("firsthand-prove-").tempdir()?;
    let stand_in = StandIn::start(std::collections::BTreeMap::new())?;
    rehearsal::write_secrets(directory.path())?;
    let documents = rehearsal::rehearsed(trial.documents, &stand_in, &std::collections::BTreeMap::new(), directory.path());
    let targets = rehearsal::targets(&documents, trial.config);
    let midnight = LocalDay::of(&rehearsal::time_zone(&documents), clock::now()).end();
    let (evening, night) = (midnight.minus(EVENING), midnight.plus(NIGHT));
    let control = word_of(trial.seed, Stand::Unknown, "control of memory");
    let start = Start {
        binary: trial.binary,
        directory: directory.path(),
        documents,
        config: trial.config,
        control: &control,
        without: trial.without,
        clock: Some(evening),
        // As it runs in earnest.
        traces: "firsthand=info,warn",
    };
    let mut program = Program::start(start)?;
    let process = program.id().ok_or(ProveError::Stop)?;

    // The evening: marked traffic, and a request that is still under way when the memory is read.
    let mut canaries = Canaries::new(trial.seed);
    let mut objectors = Vec::new();
    {
        let mut line = Line::open(program.http())?;
        let voices = voices(1, &Spelling::SOME);
        for (number, (target, voice)) in targets.iter().flat_map(|target| voices.iter().map(move |voice| (target, voice))).enumerate() {
            progress("evening", number + 1, voices.len() * targets.len());
            line.say(&mut canaries, target, *voice, number)?;
            if (voice.protocol, voice.stand, voice.spelling) == (NATIVE, Stand::Objected, Spelling::Plain) {
                let request = native(&mut canaries, target, *voice, number)?;
                objectors.push((target.site.clone(), canaries.address(voice), voice::said(&request, "User-Agent")));
            }
        }
    }
    settle(&stand_in, &program, progress);
    let known: Vec<Canary> = canaries.all().cloned().collect();
    let mut search =
        Search::new(canaries.marks(), known.iter(), trial.allowance, &word_of(trial.seed, Stand::Unknown, "control of places"));
    let (under_way, agent, address) = under_way(trial, &program, targets.first().ok_or(ProveError::NoSite)?)?;

    progress("searching memory before midnight", 0, 0);
    let sites = sites_whose_day_ends(program.directory(), evening, night, objectors)?;
    let objections = PurgeSet::open(Arc::new(KeysDb::open(&program.directory().join("data/keys.db"))?))?;
    let mut control_found = Control { sites: sites.len(), ..Control::default() };
    let mut keys: BTreeSet<(String, [u8; KEY_BYTES])> = BTreeSet::new();
    let scanner = Scanner::new(vec![Mark::text("address", &address), Mark::text("agent", &agent)]);
    let looked = memory::pages(process, |page| {
        // A key has a page of its own, and the rest of it is empty.
        let (head, rest) = page.split_at(KEY_BYTES);
        if let Ok(candidate) = <[u8; KEY_BYTES]>::try_from(head)
            && candidate != [0; KEY_BYTES]
            && rest.iter().all(|byte| *byte == 0)
        {
            let of = sites.iter().filter(|(_, objector)| objector.proves(&candidate, &objections));
            keys.extend(of.map(|(site, _)| (site.clone(), candidate)));
        }
    });
    if let Err(error) = looked {
        let why = format!("the system does not let the memory of the process be read ({})", error.kind());
        return Ok((Searched { not_searched: Some(why), ..Searched::default() }, control_found));
    }
    control_found.keys_before = keys.len();
    memory::search(process, |bytes| {
        for hit in scanner.scan(bytes) {
            control_found.address_before |= hit.mark.slot == "address";
            control_found.agent_before |= hit.mark.slot == "agent";
        }
    })?;
    drop(under_way);

    // The night: the first request of the new day, then nothing.
    program.set_clock(night)?;
    std::thread::sleep(HEARD);
    let mut others = Canaries::new(!trial.seed);
    for (number, target) in targets.iter().enumerate() {
        let voice = Voice { protocol: NATIVE, stand: Stand::Unknown, round: 0, spelling: Spelling::Plain };
        Line::open(program.http())?.beacons(&mut others, target, voice, FIRST_OF_NIGHT + number)?;
    }
    let idle_since = Instant::now();
    while idle_since.elapsed() < IDLE {
        progress("night", usize::try_from(idle_since.elapsed().as_secs()).unwrap_or(0), 0);
        std::thread::sleep(Duration::from_millis(100));
    }
    progress("searching memory after midnight", 0, 0);
    let needles: Vec<(String, &'static str, Vec<u8>)> =
        keys.iter().flat_map(|(site, key)| traces(key).into_iter().map(|(trace, bytes)| (site.clone(), trace, bytes))).collect();
    let mut sample = Vec::new();
    let mut copies = BTreeSet::new();
    memory::search(process, |bytes| {
        search.look_as(&Place::Night, bytes, control.as_bytes(), Some("(memory)"));
        for (site, trace, needle) in &needles {
            if memchr::memmem::find(bytes, needle).is_some() {
                copies.insert(copy(site, trace));
            }
        }
        if sample.is_empty() {
            sample = bytes[..bytes.len().min(64 * 1024)].to_vec();
        }
    })?;
    program.stop()?;
    search.control(&Place::Night, &sample);
    let mut searched = search.found.remove(&Place::Night).unwrap_or_default();
    searched.leaks.append(&mut copies);
    searched.genuine &= control_found.holds();
    Ok((searched, control_found))
}

/// Those whose day is another one at night, each with a visitor who objected on it.
fn sites_whose_day_ends(
    directory: &Path,
    evening: Timestamp,
    night: Timestamp,
    objectors: Vec<(String, std::net::IpAddr, String)>,
) -> Result<Vec<(String, Objector)>, ProveError> {
    let documents = DocumentStore::new(Arc::new(StateDb::open(&directory.join("data/state.db"))?)).compiled()?;
    let of = |(name, address, agent): (String, std::net::IpAddr, String)| {
        let site = documents.sites.iter().find(|site| site.name == name)?;
        let day = LocalDay::of(&site.time_zone, evening).epoch;
        let ends = day != LocalDay::of(&site.time_zone, night).epoch;
        ends.then(|| (name, Objector::new(site.number, day, address, &agent)))
    };
    Ok(objectors.into_iter().filter_map(of).collect())
}

/// A request whose body has not come: its head is in the program's memory. Returns its connection, its user agent and its address.
fn under_way(trial: &Trial<'_>, program: &Program, target: &Target) -> Result<(TcpStream, String, String), ProveError> {
    let mut canaries = Canaries::new(trial.seed);
    let voice = Voice { protocol: NATIVE, stand: Stand::Unknown, round: 2, spelling: Spelling::Plain };
    let request = native(&mut canaries, target, voice, FIRST_OF_NIGHT - 1)?;
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("Content-Length: 100\r\n\r\n{");
    let mut stream = TcpStream::connect(program.http())?;
    stream.write_all(head.as_bytes())?;
    std::thread::sleep(UNDER_WAY);
    let agent = canaries.word(&voice, "header: User-Agent", None);
    Ok((stream, agent, canaries.address(&voice).to_string()))
}

/// The one beacon that a voice of the native protocol has.
fn native(canaries: &mut Canaries, target: &Target, voice: Voice, number: usize) -> Result<Request, ProveError> {
    beacons::beacons(canaries, target, voice, number, None).pop().ok_or(ProveError::NoSite)
}

fn copy(site: &str, trace: &'static str) -> Leak {
    let canary = Canary { protocol: KEYS, slot: format!("K_visit of {site}"), stand: Stand::Unknown, round: 0, field: None, issuer: None };
    Leak { canary, place: Place::Night, field: String::from("(memory)"), found_as: trace }
}
