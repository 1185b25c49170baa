//! One trial: documents in, marked beacons through a program of its own, every place searched.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    ProveError, Wish,
    allowance::Allowance,
    arrivals::{self, Arrivals},
    beacons::{self, NATIVE, Target},
    canaries::{Canaries, Canary, Stand, Voice},
    child::{Program, Start},
    grammar::{Grammar, Reader},
    memory,
    places::{Place, Search, Searched},
    rehearsal,
    spellings::Spelling,
    stand_in::{Captured, StandIn, Teed},
    vantage::{self, Compared},
    voice::{Heard, Line},
    wire::{Connection, Request},
};
use crate::{
    clock::Timestamp, config::Config, delivery::ledger::Ledger, documents::parse::Document, event_log, state::StateDb, supervise::thread,
};

/// Deliveries are over when nothing has come for so long: a courier's pause between two looks at the log is shorter.
const QUIET: Duration = Duration::from_millis(1_500);
/// Deliveries that take longer are not waited for; the trial says what came.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Connections with beacons of others before the memory is read: what the marked ones were held in has been used again by then.
const UNMARKED_CONNECTIONS: usize = 8;
/// Their events are numbered from here, so that they are no retries.
const FIRST_UNMARKED: usize = 10_000_000;
/// A slot is judged by at least so many canaries: of fewer, most could be in one buffer that was freed last.
const JUDGED_MIN: usize = 9;
/// From so many parts of so many on, a slot's canaries are kept and not just left.
const KEPT_PARTS: usize = 4;
const KEPT_OF: usize = 5;
/// More than the refusing receiver parks.
const PARKED_MAX: usize = 10_000;
/// More than a run writes.
const RECORDS_MAX: usize = 1_000_000;
/// An event that every destination gets.
const PURCHASE: &[u8] = b"purchase";
/// How much of a place its control is planted in.
const SAMPLE_BYTES: usize = 64 * 1024;

/// What is tried.
pub struct Trial<'a> {
    /// The documents, with a destination of every type.
    pub documents: &'a [Document],
    /// The configuration.
    pub config: &'a Config,
    /// The binary.
    pub binary: &'a Path,
    /// What canaries are made from.
    pub seed: u64,
    /// How many canaries each slot has.
    pub rounds: usize,
    /// How they are spelt.
    pub spellings: &'a [Spelling],
    /// What may leave.
    pub allowance: &'a Allowance,
    /// The real addresses of destinations that get the same.
    pub tees: BTreeMap<String, String>,
    /// Whether the memory is searched.
    pub memory: bool,
    /// The rule that is left out, where the build can.
    pub without: Option<&'a str>,
}

impl<'a> Trial<'a> {
    /// One canary a slot, as it is, and no look at the memory: enough to see a weakness.
    #[must_use]
    pub fn small(wish: &'a Wish<'a>, documents: &'a [Document], allowance: &'a Allowance) -> Self {
        Self {
            documents,
            config: wish.config,
            binary: wish.binary,
            seed: wish.seed,
            rounds: 1,
            spellings: &[Spelling::Plain],
            allowance,
            tees: BTreeMap::new(),
            memory: false,
            without: None,
        }
    }
}

/// What came of it.
pub struct Tried {
    /// Place by place.
    pub places: BTreeMap<Place, Searched>,
    /// Different canaries.
    pub canaries: usize,
    /// Marked beacons.
    pub beacons: usize,
    /// Those that were not answered as beacons are.
    pub unanswered: usize,
    /// What became of what was passed on to real receivers.
    pub teed: BTreeMap<String, Teed>,
    /// What receivers got, beside what the ledger of what left says, by destination.
    pub beside: BTreeMap<String, Compared>,
    /// Different canaries that are still in memory.
    pub in_memory: usize,
    /// Slots of which most canaries are still in memory: what came in them is kept.
    pub kept: Vec<String>,
    /// Slots by protocol.
    pub slots: BTreeMap<&'static str, Vec<String>>,
    /// The ledger of what left, closed and exported, and when; of the main run alone.
    pub ledger: Option<(Vec<u8>, Timestamp)>,
    /// Which protocols' events were kept.
    pub arrivals: Arrivals,
    /// The names in what was sent, and those that nobody declared.
    pub grammar: Grammar,
}

impl Tried {
    /// Every leak.
    pub fn leaks(&self) -> impl Iterator<Item = &super::places::Leak> {
        self.places.values().flat_map(|searched| &searched.leaks)
    }
}

/// A word that is a canary's, for those who need to know it beforehand.
#[must_use]
pub fn word_of(seed: u64, stand: Stand, slot: &str) -> String {
    let voice = Voice { protocol: NATIVE, stand, round: 0, spelling: Spelling::Plain };
    Canaries::new(seed).word(&voice, slot, None)
}

/// How many rounds make at least so many canaries.
#[must_use]
pub fn rounds_for(canaries: usize, targets: &[Target]) -> usize {
    let mut made = Canaries::new(0);
    let Some(target) = targets.first() else { return 1 };
    for voice in voices(1, &[Spelling::Plain]) {
        beacons::beacons(&mut made, target, voice, 0, None);
        beacons::stray(&mut made, target, voice);
        beacons::form(&mut made, target, voice, 0);
    }
    canaries.div_ceil(made.len().max(1)).max(1)
}

/// Who says something: in each protocol, state and spelling.
pub(super) fn voices(rounds: usize, spellings: &[Spelling]) -> Vec<Voice> {
    let mut voices = Vec::new();
    for round in 0..rounds {
        for protocol in beacons::protocols() {
            for stand in Stand::ALL {
                voices.extend(spellings.iter().map(|spelling| Voice { protocol, stand, round, spelling: *spelling }));
            }
        }
    }
    voices
}

/// Runs it. `progress` is told how many of how many beacons are sent, and then what is looked at.
///
/// # Errors
/// When the program under test does not start, answer or stop.
pub fn run(trial: &Trial<'_>, progress: &mut dyn FnMut(&str, usize, usize)) -> Result<Tried, ProveError> {
    let directory = tempfile::Builder::new().prefix("firsthand-prove-").tempdir()?;
    let stand_in = StandIn::start(trial.tees.clone())?;
    rehearsal::write_secrets(directory.path())?;
    let documents = rehearsal::rehearsed(trial.documents, &stand_in, &trial.tees, directory.path());
    let targets = rehearsal::targets(&documents, trial.config);
    let control = word_of(trial.seed, Stand::Unknown, "control of memory");
    let start = Start {
        binary: trial.binary,
        directory: directory.path(),
        documents,
        config: trial.config,
        control: &control,
        without: trial.without,
        clock: None,
        traces: "trace",
    };
    let program = Program::start(start)?;
    let live = watch(program.admin())?;
    let mut canaries = Canaries::new(trial.seed);
    let mut sent = send(trial, &program, &targets, &mut canaries, progress)?;
    settle(&stand_in, &program, progress);

    let known: Vec<Canary> = canaries.all().cloned().collect();
    let control_of_places = word_of(trial.seed, Stand::Unknown, "control of places");
    progress("preparing the search", 0, 0);
    let mut search = Search::new(canaries.marks(), known.iter(), trial.allowance, &control_of_places);
    for answer in sent.answers.drain(..) {
        search.look(&Place::Answers, &answer.head, b"HTTP/1.1 ");
        search.look(&Place::Answers, &answer.body, b"HTTP/1.1 ");
    }
    progress("searching pages", 0, 0);
    let mut admin = Connection::open(program.admin())?;
    for page in ["/", "/overview.json", "/healthz", "/live.js", "/metrics"] {
        let answer = admin.exchange(&Request::new("GET", page.to_owned(), "127.0.0.1", Vec::new()))?;
        let (place, genuine): (_, &[u8]) = if page == "/metrics" { (Place::Metrics, b"firsthand_") } else { (Place::Console, b"<html") };
        search.look(&place, &answer.head, genuine);
        search.look(&place, &answer.body, genuine);
        search.control(&place, &answer.body);
    }
    // Before it stops, too: a stop writes journals back.
    progress("searching files", 0, 0);
    look_at_files(&mut search, program.directory(), &targets)?;
    if trial.memory {
        progress("searching memory", 0, 0);
        look_at_memory(&mut search, trial, &program, &targets, &control)?;
    }
    let directory_path = program.directory().to_owned();
    program.stop()?;
    progress("searching files and what was sent", 0, 0);
    look_at_files(&mut search, &directory_path, &targets)?;
    let live = live.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let arrivals = arrivals::seen(&live);
    search.look(&Place::Console, &live, b"<html");
    let captured = stand_in.captured();
    let sending = rehearsal::destinations(trial.documents).filter(|destination| destination.kind != "file");
    let beside = vantage::compare(&directory_path.join("data"), &captured, sending.map(|destination| destination.name.as_str()))?;
    let mut reader = Reader::new(trial.documents);
    for (name, captured) in captured {
        reader.requests(&name, &captured);
        let purchase = rehearsal::purchase_in(trial.documents, &name).as_bytes();
        let place = Place::Sent(name);
        for (head, body) in &captured.requests {
            search.look_as(&place, head, purchase, Some("(head)"));
            search.look(&place, body, purchase);
        }
        if let Some((_, body)) = captured.requests.last() {
            search.control(&place, body);
        }
    }
    for destination in rehearsal::destinations(trial.documents).filter(|destination| destination.kind == "file") {
        for file in files_below(&directory_path.join("data/outbox").join(&destination.name)) {
            reader.file(&destination.name, "", &fs::read(&file)?);
        }
    }
    for destination in rehearsal::destinations(trial.documents) {
        let place = match destination.kind.as_str() {
            "file" => Place::Outbox(destination.name.clone()),
            _ => Place::Sent(destination.name.clone()),
        };
        let why = if destination.release.is_live() { "nothing left for it" } else { "it is released later than the run lasts" };
        search.found.entry(place).or_insert_with(|| Searched { not_searched: Some(why.to_owned()), ..Searched::default() });
    }
    look_at_parked(&mut search, &directory_path, stand_in.captured().get(rehearsal::REFUSED))?;
    search.control(&Place::Answers, b"HTTP/1.1 204 No Content\r\n\r\n");
    let mut slots: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for canary in &known {
        let of_protocol = slots.entry(canary.protocol).or_default();
        if of_protocol.last() != Some(&canary.slot) {
            of_protocol.push(canary.slot.clone());
        }
    }
    let (in_memory, kept) = residue(&known, search.found.get_mut(&Place::Memory));
    Ok(Tried {
        in_memory,
        kept,
        places: search.found,
        canaries: known.len(),
        beacons: sent.beacons,
        unanswered: sent.unanswered,
        teed: stand_in.teed(),
        beside,
        slots,
        arrivals,
        grammar: reader.grammar,
        ledger: if trial.memory { Some(vantage::exported(&directory_path.join("data"))?) } else { None },
    })
}

fn send(
    trial: &Trial<'_>,
    program: &Program,
    targets: &[Target],
    canaries: &mut Canaries,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Heard, ProveError> {
    let mut line = Line::open(program.http())?;
    let voices = voices(trial.rounds, trial.spellings);
    let of = voices.len() * targets.len();
    let mut sent = Heard::default();
    for (number, (target, voice)) in targets.iter().flat_map(|target| voices.iter().map(move |voice| (target, voice))).enumerate() {
        let mut heard = line.say(canaries, target, *voice, number)?;
        sent.beacons += heard.beacons;
        sent.unanswered += heard.unanswered;
        sent.answers.append(&mut heard.answers);
        progress("visitors", number + 1, of);
    }
    Ok(sent)
}

/// Waits until deliveries are quiet.
pub(super) fn settle(stand_in: &StandIn, program: &Program, progress: &mut dyn FnMut(&str, usize, usize)) {
    let outbox = program.directory().join("data/outbox");
    let deadline = Instant::now() + PATIENCE;
    let (mut last, mut since) = ((0, 0), Instant::now());
    while Instant::now() < deadline && since.elapsed() < QUIET {
        let now = (stand_in.requests(), bytes_below(&outbox));
        if now != last {
            (last, since) = (now, Instant::now());
        }
        progress("deliveries", now.0, 0);
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn bytes_below(directory: &Path) -> u64 {
    files_below(directory).iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
}

/// Every file below a directory, in order; one that goes meanwhile is not there to leak.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.append(&mut files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn look_at_files(search: &mut Search<'_>, directory: &Path, targets: &[Target]) -> io::Result<()> {
    let site = targets.first().map_or_else(String::new, |target| target.site.clone());
    for file in files_below(directory) {
        let below = file.strip_prefix(directory).unwrap_or(&file).to_string_lossy().into_owned();
        let (place, genuine): (_, &[u8]) = match below.split('/').collect::<Vec<_>>().as_slice() {
            // Where every destination needs consent, all that rests is sealed: its files are known by their heads.
            ["data", "log", ..] => (Place::Log, b"FHLOGSEG"),
            ["data", name] if name.starts_with("state.db") => (Place::State, site.as_bytes()),
            ["data", name] if name.starts_with("keys.db") => (Place::Keys, b"SQLite format 3"),
            ["data", "outbox", destination, ..] => (Place::Outbox((*destination).to_owned()), b"purchase"),
            ["traces"] => (Place::Traces, b"TRACE"),
            _ => (Place::Files, b""),
        };
        let Ok(bytes) = fs::read(&file) else { continue };
        search.look(&place, &bytes, genuine);
        search.control(&place, &bytes[..bytes.len().min(SAMPLE_BYTES)]);
    }
    Ok(())
}

/// What is parked: its record, our words for the reason, and what was sent of it. A run without the receiver that refuses has none.
fn look_at_parked(search: &mut Search<'_>, directory: &Path, refused: Option<&Captured>) -> Result<(), ProveError> {
    let Some(refused) = refused else { return Ok(()) };
    let data = directory.join("data");
    let ledger = Ledger::new(Arc::new(StateDb::open(&data.join("state.db"))?));
    let parked: BTreeSet<_> = ledger.parked_after(None, PARKED_MAX)?.into_iter().collect();
    let records = event_log::recent(&data.join("log"), RECORDS_MAX).map_err(|error| io::Error::other(error.to_string()))?;
    for record in records.iter().filter(|record| parked.iter().any(|(_, offset)| *offset == record.offset)) {
        search.look(&Place::Parked, record.bytes.as_slice(), PURCHASE);
    }
    for destination in parked.iter().map(|(destination, _)| *destination).collect::<BTreeSet<_>>() {
        for event in ledger.parked(destination)? {
            search.look(&Place::Parked, event.reason.as_bytes(), PURCHASE);
        }
    }
    // Without a parked event there was nothing to look at, and what is certain to be there is not.
    let mut refused = refused.requests.iter().filter(|_| !parked.is_empty());
    refused.clone().for_each(|(_, body)| search.look(&Place::Parked, body, PURCHASE));
    if let Some((_, body)) = refused.next_back() {
        search.control(&Place::Parked, &body[..body.len().min(SAMPLE_BYTES)]);
    }
    search.found.entry(Place::Parked).or_default();
    Ok(())
}

/// Sends beacons of others first, whose marks are not looked for: what was freed is used again by then, and what is left is what is kept.
fn look_at_memory(
    search: &mut Search<'_>,
    trial: &Trial<'_>,
    program: &Program,
    targets: &[Target],
    control: &str,
) -> Result<(), ProveError> {
    let mut others = Canaries::new(!trial.seed);
    let voices = voices(1, &Spelling::SOME);
    for number in 0..UNMARKED_CONNECTIONS {
        let mut line = Line::open(program.http())?;
        for (index, voice) in voices.iter().enumerate() {
            let Some(target) = targets.get(index % targets.len().max(1)) else { break };
            line.beacons(&mut others, target, *voice, FIRST_UNMARKED + number * voices.len() + index)?;
        }
    }
    let Some(process) = program.id() else { return Ok(()) };
    let mut sample = Vec::new();
    let searched = memory::search(process, |bytes| {
        search.look_as(&Place::Memory, bytes, control.as_bytes(), Some("(memory)"));
        if sample.is_empty() {
            sample = bytes[..bytes.len().min(SAMPLE_BYTES)].to_vec();
        }
    });
    match searched {
        Ok(_) => search.control(&Place::Memory, &sample),
        Err(error) => search.skip(Place::Memory, format!("the system does not let it be read ({})", error.kind())),
    }
    Ok(())
}

/// Right after the traffic a buffer may still be in use. What a program keeps is there of every visitor: a slot most of whose canaries are there
/// is kept. So the finds are counted here, and those of kept slots alone are leaks; after the day's end every find is one.
fn residue(known: &[Canary], memory: Option<&mut Searched>) -> (usize, Vec<String>) {
    let Some(memory) = memory else { return (0, Vec::new()) };
    let slot = |canary: &Canary| format!("{} {}", canary.protocol, canary.slot);
    let found: BTreeSet<Canary> = memory.leaks.iter().map(|leak| leak.canary.clone()).collect();
    let mut slots: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for canary in known {
        let (sent, left) = slots.entry(slot(canary)).or_default();
        *sent += 1;
        *left += usize::from(found.contains(canary));
    }
    let kept = |(sent, left): &(usize, usize)| *sent >= JUDGED_MIN && left * KEPT_OF >= sent * KEPT_PARTS;
    let kept: Vec<String> = slots.into_iter().filter(|(_, counts)| kept(counts)).map(|(slot, _)| slot).collect();
    memory.leaks.retain(|leak| kept.contains(&slot(&leak.canary)));
    (found.len(), kept)
}

/// Reads the live view until the program ends it.
fn watch(admin: SocketAddr) -> io::Result<Arc<Mutex<Vec<u8>>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&seen);
    let mut stream = TcpStream::connect(admin)?;
    stream.write_all(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    thread("live view", move || {
        let mut piece = [0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            shared.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..read]);
        }
    });
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::{super::places::Leak, *};

    fn canaries(slot: &str) -> Vec<Canary> {
        let of = |round| Canary { protocol: "native", slot: slot.to_owned(), stand: Stand::Granted, round, field: None, issuer: None };
        (0..10).map(of).collect()
    }

    fn memory(left: &[Canary]) -> Searched {
        let leak = |canary: &Canary| Leak { canary: canary.clone(), place: Place::Memory, field: String::new(), found_as: "plain" };
        Searched { leaks: left.iter().map(leak).collect(), ..Searched::default() }
    }

    #[test]
    fn what_is_kept_is_told_from_what_is_left() {
        let known = [canaries("kept"), canaries("left")].concat();
        let mut searched = memory(&[&known[..8], &known[10..13]].concat());
        assert_eq!(residue(&known, Some(&mut searched)), (11, vec![String::from("native kept")]));
        assert_eq!(searched.leaks.len(), 8, "what is left in buffers is counted and no leak");
        let few = canaries("few");
        assert_eq!(residue(&few[..3], Some(&mut memory(&few[..3]))), (3, Vec::new()), "three are too few to judge by");
    }
}
