//! The line through the library: raw request text in; clean events, records and disclosures out. Its time is the caller's, its keys are
//! its own and rest in memory, and it has as many event logs as are asked for, so that the same event can be appended more than once.

use std::{net::IpAddr, path::Path, sync::Arc, task::Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use firsthand::{
    clock::Timestamp,
    console::feed::Feed,
    counters::Counters,
    documents::{
        Destination, Documents, Site,
        parse::DocumentFile,
        store::{Author, DocumentStore},
    },
    event::Offset,
    event_log::{Appended, DiskFiles, EventLog, LogFiles, LogOptions, LogRecord, Rewrite},
    pipeline::Pipeline,
    privacy::{
        anonymise::anonymise,
        clean::CleanEvent,
        consent::{self, ConsentSignal, ConsentState, evidence::Evidence, proof::ConsentProof},
        crowd::Crowds,
        disclose::{Disclosed, Discloser},
        enrich::{
            self,
            agent::Agent,
            bot::{self, Bot, Bots, network::NetworkDatabase},
            place::PlaceDatabase,
        },
        envelope::{Contents, Envelopes},
        hand_over::Estate,
        keys::{database::KeysDb, epoch::EpochKeys, persistent::PersistentKeys, person::PersonKeys, visit::LocalDay},
        profiled::PersonHandle,
        purge_set::PurgeSet,
        recleanse::{Recleansed, recleanse},
        record::{Header, Record},
        refusal::Refusal,
        uniques::Uniques,
        visitor::{Sender, SetCookie, Visitors},
    },
    protocol::{DecodeError, PROTOCOLS, Protocol, fits, inbound::Inbound},
    server::{Peer, client_address::ClientAddresses},
    state::{IN_MEMORY, StateDb},
    supervise::Supervisor,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::memory_files::MemoryFiles;

/// The networks of the proxies that these tests believe.
const PROXIES: &str = "10.0.0.0/8";
/// The proxy that hands every request on.
const PROXY: &str = "10.0.0.1:40000";

/// Everything that a beacon passes through but the pipeline's own order, which `golden` compares with this one. It knows no pace: the same
/// request gives the same event, however often it comes.
pub(crate) struct Line {
    pub(crate) documents: Arc<Documents>,
    pub(crate) logs: Vec<Arc<EventLog>>,
    pub(crate) runtime: Runtime,
    visitors: Visitors,
    pub(crate) persistent: Arc<PersistentKeys>,
    places: PlaceDatabase,
    networks: NetworkDatabase,
    pub(crate) discloser: Arc<Discloser>,
    pub(crate) envelopes: Arc<Envelopes>,
    pub(crate) persons: Arc<PersonKeys>,
    epochs: Arc<EpochKeys>,
    purge_set: Arc<PurgeSet>,
    crowds: Arc<Crowds>,
    pub(crate) uniques: Arc<Uniques>,
    addresses: ClientAddresses,
    pub(crate) state: Arc<StateDb>,
}

/// What became of one request.
pub(crate) struct Received {
    pub(crate) state: ConsentState,
    pub(crate) events: Vec<Became>,
    pub(crate) unreadable: Vec<(usize, DecodeError)>,
    /// `Set-Cookie` values, as they go out.
    pub(crate) cookies: Vec<String>,
}

/// What became of one readable event.
pub(crate) enum Became {
    Clean(Box<Clean>),
    Refused(Refusal),
}

/// A clean event: what it says of itself without a key, what rests in its body, and the bytes that rest.
pub(crate) struct Clean {
    pub(crate) header: Header,
    pub(crate) body: Value,
    pub(crate) record: Record,
}

impl Line {
    pub(crate) fn new(documents: &str, logs: usize) -> Self {
        Self::with_places(documents, logs, places())
    }

    /// The same with other places.
    pub(crate) fn with_places(documents: &str, logs: usize, places: PlaceDatabase) -> Self {
        let in_memory = Path::new(IN_MEMORY);
        let state = Arc::new(StateDb::open(in_memory).unwrap());
        let uniques = Uniques::new(Arc::clone(&state));
        let log = |_| EventLog::open(Arc::new(MemoryFiles::default()), LogOptions::default(), Timestamp(0)).unwrap();
        Self::of(documents, state, KeysDb::open(in_memory).unwrap(), uniques, places, (0..logs).map(log).collect())
    }

    /// The same with its databases and one log in a directory, as the program has them. It also remembers exactly whom it counts.
    pub(crate) fn at_rest(documents: &str, places: PlaceDatabase, directory: &Path, now: Timestamp) -> Self {
        let state = Arc::new(StateDb::open(&directory.join("state.db")).unwrap());
        let keys = KeysDb::open(&directory.join("keys.db")).unwrap();
        let uniques = Uniques::counting_twice(Arc::clone(&state));
        Self::of(documents, state, keys, uniques, places, vec![log_in(&directory.join("log"), now)])
    }

    /// The same with a log that keeps records for so long, and nobody counted twice: as the program is, for as many persons as it may have.
    pub(crate) fn at_length(documents: &str, directory: &Path, options: LogOptions, now: Timestamp) -> Self {
        let state = Arc::new(StateDb::open(&directory.join("state.db")).unwrap());
        let keys = KeysDb::open(&directory.join("keys.db")).unwrap();
        let uniques = Uniques::new(Arc::clone(&state));
        let log = EventLog::open(Arc::new(DiskFiles::open(&directory.join("log")).unwrap()), options, now).unwrap();
        Self::of(documents, state, keys, uniques, places(), vec![log])
    }

    fn of(documents: &str, state: Arc<StateDb>, keys: KeysDb, uniques: Uniques, places: PlaceDatabase, logs: Vec<EventLog>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (keys, uniques) = (Arc::new(keys), Arc::new(uniques));
        let persistent = Arc::new(PersistentKeys::new(Arc::clone(&state)));
        let persons = Arc::new(PersonKeys::new(Arc::clone(&keys)));
        let purge_set = Arc::new(PurgeSet::open(Arc::clone(&keys)).unwrap());
        let epochs = Arc::new(EpochKeys::new(keys).sized_by(Arc::clone(&uniques)));
        let proof = Arc::new(ConsentProof::new(Arc::clone(&state)));
        let crowds = Arc::new(Crowds::new(Arc::clone(&state)));
        let envelopes = Arc::new(Envelopes::default());
        let discloser =
            Discloser::new(Arc::clone(&persistent), Arc::clone(&epochs), Arc::clone(&persons), Arc::clone(&purge_set), Arc::clone(&crowds))
                .with_envelopes(Arc::clone(&envelopes));
        Self {
            documents: Arc::new(compiled(documents, Arc::clone(&state))),
            logs: logs.into_iter().map(Arc::new).collect(),
            runtime,
            visitors: Visitors::new(Supervisor::new(), Arc::clone(&persistent), Arc::clone(&persons), Arc::clone(&purge_set), proof),
            persistent,
            places,
            networks: networks(),
            discloser: Arc::new(discloser),
            envelopes,
            persons,
            epochs,
            purge_set,
            crowds,
            uniques,
            addresses: addresses(),
            state,
        }
    }

    /// What the program does by the clock, where the oldest record at rest is from `oldest`.
    pub(crate) fn keep_house(&self, now: Timestamp, oldest: Timestamp) {
        self.visitors.destroy_old(now);
        self.uniques.flush().unwrap();
        self.persons.destroy_expired(now).unwrap();
        self.crowds.upkeep(&self.documents, now).unwrap();
        for site in &self.documents.sites {
            let oldest = LocalDay::of(&site.time_zone, oldest).epoch;
            self.epochs.destroy_before(site.number, oldest).unwrap();
            self.purge_set.forget_before(site.number, oldest).unwrap();
            self.crowds.forget_before(site.number, oldest).unwrap();
        }
    }

    /// Puts other documents in force, instead of those with the same names.
    pub(crate) fn put_in_force(&mut self, documents: &str) {
        self.documents = Arc::new(compiled(documents, Arc::clone(&self.state)));
    }

    /// The ticket that a page gets which asks for one.
    pub(crate) fn ticket(&self, request: &RawRequest, received: Timestamp) -> Option<String> {
        let (site, _) = self.documents.site_of("www.shop.example", &request.path).expect("the request is for a site of the documents");
        let inbound = request.inbound(&self.addresses, received);
        let arrival = inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default());
        self.runtime.block_on(self.visitors.ticket(&arrival, site, received)).unwrap()
    }

    /// Whose profile a page may be told of that sends this request.
    pub(crate) fn customer(&self, request: &RawRequest, received: Timestamp) -> Option<PersonHandle> {
        let (site, _) = self.documents.site_of("www.shop.example", &request.path).expect("the request is for a site of the documents");
        let inbound = request.inbound(&self.addresses, received);
        let arrival = inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default());
        self.runtime.block_on(self.visitors.customer(&arrival, site, received)).unwrap()
    }

    /// Takes over what another line knows in its memory alone, as the next process does.
    pub(crate) fn take_over(&self, before: &Self, now: Timestamp) {
        let estate = Estate::of(&before.visitors, &before.uniques, &before.crowds, &before.envelopes, now);
        estate.settle(&self.visitors, &self.uniques, &self.crowds, &self.envelopes, now).unwrap();
    }

    /// Takes a request through decode, consent, enrich and anonymise.
    pub(crate) fn receive(&self, request: &RawRequest, received: Timestamp) -> Received {
        self.runtime.block_on(self.take_in(request, received))
    }

    /// The same of many that came at once, so that whoever is new among them waits for the disk together.
    pub(crate) fn receive_all(&self, requests: &[(RawRequest, Timestamp)]) -> Vec<Received> {
        self.runtime.block_on(async {
            let mut waiting: Vec<_> = requests.iter().map(|(request, received)| Some(Box::pin(self.take_in(request, *received)))).collect();
            let mut done: Vec<Option<Received>> = waiting.iter().map(|_| None).collect();
            std::future::poll_fn(|context| {
                for (place, done) in waiting.iter_mut().zip(&mut done) {
                    if let Some(Poll::Ready(received)) = place.as_mut().map(|request| request.as_mut().poll(context)) {
                        (*place, *done) = (None, Some(received));
                    }
                }
                if waiting.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            done.into_iter().flatten().collect()
        })
    }

    async fn take_in(&self, request: &RawRequest, received: Timestamp) -> Received {
        let (site, protocol) = route(&self.documents, request);
        let inbound = request.inbound(&self.addresses, received);
        let decoded = protocol.decode(&inbound, received);
        let arrival = inbound.arrival(&site.cookies, decoded.signal, decoded.evidence).by_app(decoded.app);
        let arrival = match decoded.anonymous {
            _ if protocol.is_backend() => self.visitors.named_by_backend(&decoded.events, site, received).unwrap(),
            true => arrival.anonymously(),
            false => arrival.or_named_by(&decoded.events),
        };
        let (decision, agent) = (consent::decide(&arrival, &site.signals), Agent::of_arrival(&arrival));
        let decision = self.visitors.on_record(decision, &arrival, site, protocol.says_choices(), received).await.unwrap();
        let device = agent.device();
        let state = decision.state();
        let mut taken = Received { state, events: Vec::new(), unreadable: decoded.bad, cookies: Vec::new() };
        if let ConsentState::Objected(refusal) = state {
            let cookies = self.visitors.object(&arrival, &device, site, (refusal, protocol.name()), received).await.unwrap();
            taken.cookies.extend(cookies.into_iter().map(cookie_text));
            taken.events.extend(decoded.events.iter().map(|_| Became::Refused(refusal)));
            return taken;
        }
        if decoded.events.is_empty() {
            return taken;
        }
        let sender = Sender::of(protocol.name(), &decoded.events);
        let (visitor, cookie) = self.visitors.identify(&arrival, decision, &device, site, sender, received).await.unwrap();
        taken.cookies.extend(cookie.map(cookie_text));
        let site_key = self.persistent.site(site.number).unwrap();
        let bot = if protocol.is_backend() { Bot::default() } else { Bot::of(bot::signs(&arrival, &agent, &self.networks)) };
        for event in decoded.events {
            taken.events.push(match consent::permit(event, decision, site) {
                Err(refusal) => Became::Refused(refusal),
                Ok(permitted) => {
                    let enriched = enrich::enrich(permitted, &arrival, (device, bot), &self.places);
                    let beside = Contents::of(&enriched, &arrival, &visitor);
                    let mut clean: CleanEvent = anonymise(enriched, &visitor, site, &site_key, protocol.name(), received).unwrap();
                    beside.into_iter().for_each(|contents| self.envelopes.keep(&contents, &mut clean, &visitor).unwrap());
                    self.crowds.count(site, &clean);
                    if !protocol.is_backend() {
                        self.visitors.note_landing(&clean, site, &site_key);
                    }
                    let (header, body) = (clean.header().clone(), serde_json::to_value(&clean).unwrap());
                    Became::Clean(Box::new(Clean { header, body, record: clean.into_record(&visitor).unwrap() }))
                }
            });
        }
        if taken.events.iter().any(|became| matches!(became, Became::Clean(_))) && !protocol.is_backend() {
            self.uniques.count(site.number, &visitor);
        }
        taken
    }

    /// Appends the clean events to one of the logs. Returns where the first of them is.
    pub(crate) fn append(&self, log: usize, received: Received) -> Option<Offset> {
        self.append_all(log, [received])
    }

    /// The same of many, in one commit.
    pub(crate) fn append_all(&self, log: usize, received: impl IntoIterator<Item = Received>) -> Option<Offset> {
        let records: Vec<Record> = received
            .into_iter()
            .flat_map(|received| received.events)
            .filter_map(|became| match became {
                Became::Clean(clean) => Some(clean.record),
                Became::Refused(_) => None,
            })
            .collect();
        let appended = self.runtime.block_on(self.logs[log].append(records)).unwrap();
        appended.into_iter().find_map(|end| match end {
            Appended::Stored(offset) => Some(offset),
            Appended::Duplicate => None,
        })
    }

    /// What each destination may see of a record, as the text that leaves, or the reason for nothing.
    pub(crate) fn disclosures(&self, record: &LogRecord, now: Timestamp) -> Vec<(String, String)> {
        let destinations = self.documents.destinations.iter();
        destinations.map(|destination| (destination.name.clone(), self.disclosure(record, destination, now))).collect()
    }

    /// The same of one of them.
    pub(crate) fn disclosure(&self, record: &LogRecord, destination: &Destination, now: Timestamp) -> String {
        match self.discloser.disclose(record, &self.documents, destination, now).unwrap() {
            Disclosed::Disclosure(disclosure) => serde_json::to_string(&*disclosure).unwrap(),
            Disclosed::Awaiting(..) => String::from("awaits its twin"),
            Disclosed::NotAddressed => String::from("not addressed"),
            Disclosed::Withheld(rule) => format!("withheld: {}", rule.name()),
            Disclosed::Purged => String::from("purged"),
        }
    }

    /// Brings what one of the logs holds to the documents in force. Returns how many records others took the place of.
    pub(crate) fn recleanse(&self, log: usize, now: Timestamp) -> u64 {
        let log = &self.logs[log];
        let end = self.runtime.block_on(log.roll()).unwrap();
        let mut judge = |record: &LogRecord| match recleanse(&record.bytes, &self.documents, &self.persons, now).unwrap() {
            Recleansed::Same => Rewrite::Same,
            Recleansed::Narrower(instead) | Recleansed::Emptied(instead) => Rewrite::Instead(instead),
        };
        log.sealed_below(end).into_iter().map(|segment| log.rewrite(segment, &mut judge).unwrap().replaced).sum()
    }

    /// The records of a log from an offset on.
    pub(crate) fn records(&self, log: usize, from: Offset) -> Vec<LogRecord> {
        self.logs[log].reader(from).read(usize::MAX, usize::MAX).unwrap()
    }
}

/// A log on the disk.
pub(crate) fn log_in(directory: &Path, now: Timestamp) -> EventLog {
    let options = LogOptions { preallocate_bytes: 1 << 20, ..LogOptions::default() };
    EventLog::open(Arc::new(DiskFiles::open(directory).unwrap()), options, now).unwrap()
}

/// The pipeline itself, with keys in memory and a log in these files.
pub(crate) fn pipeline(documents: &str, files: Arc<dyn LogFiles>, now: Timestamp) -> Pipeline {
    let in_memory = Path::new(IN_MEMORY);
    pipeline_with(documents, (StateDb::open(in_memory).unwrap(), KeysDb::open(in_memory).unwrap()), files, now)
}

/// The same with these databases.
pub(crate) fn pipeline_with(documents: &str, (state, keys): (StateDb, KeysDb), files: Arc<dyn LogFiles>, now: Timestamp) -> Pipeline {
    let (state, keys) = (Arc::new(state), Arc::new(keys));
    let persistent = Arc::new(PersistentKeys::new(Arc::clone(&state)));
    let persons = Arc::new(PersonKeys::new(Arc::clone(&keys)));
    let purge_set = Arc::new(PurgeSet::open(keys).unwrap());
    let proof = Arc::new(ConsentProof::new(Arc::clone(&state)));
    let crowds = Arc::new(Crowds::new(Arc::clone(&state)));
    Pipeline {
        uniques: Arc::new(Uniques::new(Arc::clone(&state))),
        documents: ArcSwap::from_pointee(compiled(documents, state)),
        visitors: Visitors::new(Supervisor::new(), Arc::clone(&persistent), persons, purge_set, proof),
        persistent,
        places: ArcSwap::from_pointee(places()),
        bots: Bots::new(networks()),
        log: Arc::new(EventLog::open(files, LogOptions::default(), now).unwrap()),
        envelopes: Arc::default(),
        crowds,
        counters: Counters::default(),
        feed: Feed::default(),
    }
}

/// Documents as the program compiles them, with the store of `state`.
fn compiled(documents: &str, state: Arc<StateDb>) -> Documents {
    let store = DocumentStore::new(state);
    let author = Author { name: "test", reason: "test", at: Timestamp(0) };
    store.apply(DocumentFile::parse(documents).unwrap().into_documents(), false, false, &author).unwrap();
    store.compiled().unwrap()
}

/// The demonstration's places: four countries of documentation addresses.
fn places() -> PlaceDatabase {
    PlaceDatabase::from_bytes(firsthand::demonstration::PLACE_DATABASE.to_vec()).unwrap()
}

/// Parts of the documentation addresses as networks with owners.
fn networks() -> NetworkDatabase {
    NetworkDatabase::from_bytes(include_bytes!("networks.mmdb").to_vec()).unwrap()
}

pub(crate) fn addresses() -> ClientAddresses {
    ClientAddresses::new(&[PROXIES.parse().unwrap()], None)
}

/// The site that a request is for, and the protocol whose route it takes.
pub(crate) fn route<'d>(documents: &'d Documents, request: &RawRequest) -> (&'d Arc<Site>, &'static dyn Protocol) {
    let host = request.headers.get(header::HOST).unwrap().to_str().unwrap();
    let path = request.path.split('?').next().unwrap_or_default();
    let (site, below) = documents.site_of(host, path).expect("the request is for a site of the documents");
    let takes = |protocol: &&&dyn Protocol| {
        protocol.routes().iter().any(|route| fits(route.path, below) && route.method == request.method.as_str())
    };
    (site, *PROTOCOLS.iter().find(takes).expect("a protocol takes the request"))
}

pub(crate) fn cookie_text(cookie: SetCookie) -> String {
    let mut headers = HeaderMap::new();
    cookie.append_to(&mut headers);
    headers[header::SET_COOKIE].to_str().unwrap().to_owned()
}

/// A request as it stands in a file: request line, headers, an empty line, the body.
pub(crate) struct RawRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl RawRequest {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").expect("an empty line ends the head");
        let mut lines = head.lines();
        let mut start = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (start.next().unwrap_or_default(), start.next().expect("a request line names a path"));
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').expect("a header has a colon");
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value.trim()).unwrap());
        }
        Self { method: method.to_owned(), path: path.to_owned(), headers, body: body.trim_end().as_bytes().to_vec() }
    }

    /// The same with another header.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// As the server takes it in: from the proxy, by a browser that used https.
    pub(crate) fn inbound(&self, addresses: &ClientAddresses, received: Timestamp) -> Inbound {
        let client = addresses.believe(&Peer::new(PROXY.parse().unwrap(), false), &self.headers);
        let uri = self.path.parse().expect("a request line names an address");
        Inbound::new(uri, self.headers.clone(), Bytes::copy_from_slice(&self.body), client.address, true, received)
    }

    /// A beacon with a body, from an address.
    pub(crate) fn beacon(address: IpAddr, body: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("www.shop.example"));
        headers.insert("x-forwarded-for", HeaderValue::from_str(&address.to_string()).unwrap());
        Self { method: String::from("POST"), path: String::from("/keso/e"), headers, body: body.into_bytes() }
    }
}
