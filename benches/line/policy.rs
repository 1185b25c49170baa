//! What the policy costs on the way from a request to a record: the program's own stages, alone in a process, over many events.
//!
//! Five loops do ever more of the same work, and differences between their processor times are the stages: an event in memory; *decide* and
//! *permit* beside it; *enrich* beside these; the event's id beside these; *anonymise*, which makes that id too, beside *enrich*. The policy's
//! cost is deciding and permitting, and anonymising without the id, which is the same MAC under every policy. That is still the most that it
//! can be, for anonymising also cuts pages into templates and runs detectors over words. The divisor is the bare server's cost of a request
//! in the same run.

use std::{
    borrow::Cow,
    hint::black_box,
    io::{self, BufRead as _, Write as _},
    path::Path,
    sync::Arc,
};

use firsthand::{
    clock::Timestamp,
    documents::{
        Documents, Site,
        parse::DocumentFile,
        store::{Author, DocumentStore},
    },
    privacy::{
        anonymise::anonymise,
        consent::{self, ConsentSignal, evidence::Evidence, matomo::MatomoCookies, proof::ConsentProof},
        enrich::{self, bot::Bot, device::DeviceClass, place::PlaceDatabase},
        keys::{
            database::KeysDb,
            persistent::{PersistentKeys, SiteKey},
            person::PersonKeys,
        },
        personal::Personal,
        purge_set::PurgeSet,
        raw::{Arrival, ClientAddress, OwnCookies, PropertyValue, RawEvent},
        visitor::{Sender, Visitor, Visitors},
    },
    state::{IN_MEMORY, StateDb},
    supervise::Supervisor,
};

use crate::{
    Failure,
    measure::Spread,
    process::{Process, ThreadTimes},
    request::HOST,
};

/// What the policy may cost: this share of a bare server's request.
pub const AIM: f64 = 0.10;
/// Events of one loop: some seconds at most.
const EVENTS: u64 = 1_000_000;
/// How often the loops are run in turn.
const ROUNDS: usize = 5;
/// What all of it is the moment of.
const NOW: Timestamp = Timestamp(1_790_000_123_456);

/// The library's own id of each event.
const CLIENT_ID: &str = "0123456789abcdef0000000000000001";

/// A policy with a bound, lists, and a deviation of every kind, and a destination without consent.
const DOCUMENTS: &str = r#"
[[policy]]
name = "shop"
preset = "consented-analytics"
events = ["newsletter_opened"]
properties = { template = "word", section = "word", words = "number", paywall = "flag", variant = "word" }
[[policy.deviation]]
field = "screen"
treatment = "drop"
reason = "not needed"
[[policy.deviation]]
field = "value"
treatment = "generalise"
reason = "amounts tell people apart"
[[policy.deviation]]
field = "language"
treatment = "drop"
state = "unknown"
destinations = ["exempt"]
reason = "not needed"
[[site]]
name = "shop"
hosts = ["www.shop.example"]
origins = ["https://www.shop.example"]
prefix = "/keso"
policy = "shop"
[[destination]]
name = "exempt"
type = "file"
sites = ["shop"]
basis = "exempt_measurement"
transform = "measurement"
settings = { directory = "outbox" }
"#;

/// How far a loop goes.
#[derive(Clone, Copy)]
enum Until {
    Event,
    Permit,
    Enrich,
    Id,
    Anonymise,
}

impl Until {
    const ALL: [(&'static str, Self); 5] =
        [("event", Self::Event), ("permit", Self::Permit), ("enrich", Self::Enrich), ("id", Self::Id), ("anonymise", Self::Anonymise)];
}

/// What was measured, in µs of processor time per event.
pub struct PolicyCost {
    deciding: Spread,
    whole: Spread,
    yardstick_us: f64,
}

impl PolicyCost {
    /// Runs the loops in turn, in a process of their own. `yardstick_us`: the bare server's cost of a request in this run.
    pub fn measure(yardstick_us: f64) -> Result<Self, Failure> {
        println!("measuring: the policy alone");
        let mut process = Process::role("policy")?;
        let (mut deciding, mut whole) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let mut cost = [0.0; Until::ALL.len()];
            for ((name, _), cost) in Until::ALL.iter().zip(&mut cost) {
                let before = ThreadTimes::of(process.id())?;
                process.say(name)?;
                process.hear()?;
                let (used, _) = ThreadTimes::of(process.id())?.since(&before, None);
                *cost = used.as_secs_f64() * 1e6 / EVENTS as f64;
            }
            let [event, permit, enrich, id, anonymise] = cost;
            // The first round warms up.
            if round > 0 {
                deciding.push(permit - event);
                // What *anonymise* adds to *enrich*, less what the id adds.
                whole.push(permit - event + anonymise - enrich - (id - enrich));
            }
        }
        Ok(Self { deciding: Spread::of(deciding.into_iter()), whole: Spread::of(whole.into_iter()), yardstick_us })
    }
}

impl std::fmt::Display for PolicyCost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Spread { least, median, most } = self.whole;
        let ratio = median / self.yardstick_us;
        let aim = if ratio <= AIM { "within the aim" } else { "ABOVE the aim" };
        write!(
            f,
            "policy on the hot path, at most: {ratio:.3} × bare hyper, {aim} of {AIM:.2} ({median:.2} [{least:.2}–{most:.2}] µs per event to \
             decide, permit and anonymise, of which {:.2} µs to decide and permit; bare hyper {:.2} µs per request)",
            self.deciding.median, self.yardstick_us
        )
    }
}

/// The loops' process: one loop for each line of standard input, until it closes.
pub fn run() -> Result<(), Failure> {
    let stages = Stages::new()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (_, until) = Until::ALL.iter().find(|(name, _)| *name == line).ok_or("there is no such loop")?;
        for _ in 0..EVENTS {
            stages.take(*until)?;
        }
        println!("done");
        io::stdout().flush()?;
    }
    Ok(())
}

/// A site, a visitor who has not chosen, and all that the stages need.
struct Stages {
    site: Arc<Site>,
    site_key: Arc<SiteKey>,
    places: PlaceDatabase,
    visitor: Visitor,
    address: Personal<ClientAddress>,
    device: DeviceClass,
    _runtime: tokio::runtime::Runtime,
}

impl Stages {
    fn new() -> Result<Self, Failure> {
        let in_memory = Path::new(IN_MEMORY);
        let state = Arc::new(StateDb::open(in_memory)?);
        let keys = Arc::new(KeysDb::open(in_memory)?);
        let documents = compiled(&state)?;
        let (site, _) = documents.site_of(HOST, "/keso/e").ok_or("the documents have the site")?;
        let persistent = Arc::new(PersistentKeys::new(Arc::clone(&state)));
        let (persons, purge_set) = (Arc::new(PersonKeys::new(Arc::clone(&keys))), Arc::new(PurgeSet::open(keys)?));
        let proof = Arc::new(ConsentProof::new(state));
        let visitors = Visitors::new(Supervisor::new(), Arc::clone(&persistent), persons, purge_set, proof);
        let address = Personal::new(ClientAddress::new([192, 0, 2, 7].into()));
        let device = DeviceClass::of_arrival(&arrival(&address));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let decision = consent::decide(&arrival(&address), &site.signals);
        let sender = Sender::of("native", &[]);
        let (visitor, _) = runtime.block_on(visitors.identify(&arrival(&address), decision, &device, site, sender, NOW))?;
        let site_key = persistent.site(site.number)?;
        let places = PlaceDatabase::from_bytes(firsthand::demonstration::PLACE_DATABASE.to_vec())?;
        Ok(Self { site: Arc::clone(site), site_key, places, visitor, address, device, _runtime: runtime })
    }

    /// Takes one event as far as that.
    fn take(&self, until: Until) -> Result<(), Failure> {
        let arrival = black_box(arrival(&self.address));
        let event = black_box(event());
        if matches!(until, Until::Event) {
            return Ok(());
        }
        let decision = consent::decide(&arrival, &self.site.signals);
        let permitted = black_box(consent::permit(event, decision, &self.site)).map_err(|_| "the event is permitted")?;
        if matches!(until, Until::Permit) {
            return Ok(());
        }
        let enriched = black_box(enrich::enrich(permitted, &arrival, (self.device, Bot::NO_SIGN), &self.places));
        if matches!(until, Until::Enrich) {
            return Ok(());
        }
        if matches!(until, Until::Id) {
            black_box((self.site_key.event_id("native", black_box(CLIENT_ID), &[0; 16]), enriched));
            return Ok(());
        }
        black_box(anonymise(enriched, &self.visitor, &self.site, &self.site_key, "native", NOW)?);
        Ok(())
    }
}

fn compiled(state: &Arc<StateDb>) -> Result<Documents, Failure> {
    let store = DocumentStore::new(Arc::clone(state));
    let author = Author { name: "bench", reason: "bench", at: NOW };
    store.apply(DocumentFile::parse(DOCUMENTS)?.into_documents(), false, false, &author)?;
    Ok(store.compiled()?)
}

fn arrival(address: &Personal<ClientAddress>) -> Arrival<'_> {
    let text = |text| Some(Personal::new(Cow::Borrowed(text)));
    Arrival {
        address,
        user_agent: text("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"),
        app: None,
        accept_language: text("fr-FR,fr;q=0.9"),
        brands: None,
        prefetched: false,
        own: OwnCookies::default(),
        matomo: MatomoCookies::default(),
        evidence: Evidence::default(),
        global_privacy_control: false,
        do_not_track: false,
        secure: true,
        signal: ConsentSignal::Absent,
        received: NOW,
    }
}

/// What the load generator's page views say.
fn event() -> RawEvent<'static> {
    let text = |text| Some(Personal::new(Cow::Borrowed(text)));
    let word = |name, value| (Personal::new(Cow::Borrowed(name)), Personal::new(PropertyValue::Text(Cow::Borrowed(value))));
    RawEvent {
        name: text("page_view"),
        client_id: text(CLIENT_ID),
        time: Some(NOW),
        page_url: text("https://www.shop.example/culture/opera-season-opens?utm_source=letter&utm_medium=email&ref=home"),
        page_title: text("The season opens with a new production"),
        referrer: text("https://search.example/results?q=opera"),
        language: text("fr-FR"),
        screen_width: Some(Personal::new(1440)),
        properties: vec![
            word("template", "article"),
            word("section", "culture"),
            (Personal::new(Cow::Borrowed("words")), Personal::new(PropertyValue::Number(1840.0))),
            (Personal::new(Cow::Borrowed("paywall")), Personal::new(PropertyValue::Flag(false))),
            word("variant", "b"),
            word("summary", "the quick brown fox jumps over the lazy dog while the orchestra tunes and the lights go down"),
        ],
        ..RawEvent::default()
    }
}
