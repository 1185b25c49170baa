//! What the server's tests share: a site, a line behind it, a running server, and a plain client.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::super::{Server, ServerMetrics, ServerSettings};
use crate::{
    clock,
    console::feed::Feed,
    counters::Counters,
    documents::{
        Documents, Site,
        site::{Ceiling, Ceilings, Policy, SignalRules},
    },
    event::{PolicyVersion, SiteNumber},
    event_log::{DiskFiles, EventLog, LogOptions},
    pipeline::Pipeline,
    privacy::{
        consent::proof::ConsentProof,
        crowd::Crowds,
        enrich::{
            bot::{Bots, network::NetworkDatabase},
            place::PlaceDatabase,
        },
        keys::{database::KeysDb, persistent::PersistentKeys, person::PersonKeys},
        profiled::ProfileSeals,
        purge_set::PurgeSet,
        refusal::Refusal,
        transform::Transform,
        uniques::Uniques,
        visitor::Visitors,
    },
    profile::Profiles,
    protocol::cookies::CookieNames,
    state::StateDb,
    supervise::Supervisor,
};

/// A site under `/keso` on `www.shop.example`, whose pages are of that origin.
pub(in crate::server) fn site(origin: &str) -> Site {
    let policy = Policy {
        name: String::from("default"),
        version: PolicyVersion(1),
        events: BTreeSet::new(),
        properties: BTreeMap::new(),
        vendor_fields: BTreeMap::new(),
        routes: Default::default(),
        preset: None,
        crowd: Default::default(),
        deviations: Vec::new(),
    };
    Site {
        number: SiteNumber(1),
        name: String::from("shop"),
        hosts: vec![String::from("www.shop.example")],
        prefix: String::from("/keso"),
        script: String::from("core.js"),
        global: String::from("mela"),
        snippet: Default::default(),
        origins: BTreeSet::from([origin.to_owned()]),
        page_hosts: vec![String::from("www.shop.example")],
        time_zone: TimeZone::UTC,
        cookies: CookieNames::new("v", None, &[]),
        signals: SignalRules::default(),
        policy: Arc::new(policy),
        keys: BTreeMap::new(),
        identify_secret: None,
        identified_by: Vec::new(),
        twin_wait: None,
        ceilings: Ceilings::default(),
        recipients: Vec::new(),
    }
}

/// Any free port of this machine.
pub(super) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A whole line behind one site, in a directory of its own.
pub(super) struct Line {
    pub(super) pipeline: Arc<Pipeline>,
    profiles: Arc<Profiles>,
    _directory: TempDir,
}

impl Line {
    /// Unknown visitors' events are kept, so that what comes in is stored or refused for a reason.
    pub(super) fn new(supervisor: &Supervisor, mut site: Site) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = Arc::new(StateDb::open(&directory.path().join("state.db")).expect("a new database"));
        let keys = Arc::new(KeysDb::open(&directory.path().join("keys.db")).expect("a new database"));
        let persistent = Arc::new(PersistentKeys::new(Arc::clone(&state)));
        let purge_set = Arc::new(PurgeSet::open(Arc::clone(&keys)).expect("an empty set"));
        let proof = Arc::new(ConsentProof::new(Arc::clone(&state)));
        let files = Arc::new(DiskFiles::open(&directory.path().join("log")).expect("a new directory"));
        let log = Arc::new(EventLog::open(files, LogOptions::default(), clock::now()).expect("a new log"));
        site.ceilings.unknown = Some(Ceiling::of(Transform::Strict.breadth(), false));
        let site = Arc::new(site);
        let by_host = HashMap::from_iter(site.hosts.iter().map(|host| (host.clone(), vec![Arc::clone(&site)])));
        let documents = Documents { sites: vec![site], by_host, ..Documents::default() };
        let persons = Arc::new(PersonKeys::new(keys));
        let profiles = Profiles::in_directory(directory.path().to_owned(), ProfileSeals::new(Arc::clone(&persons)));
        let visitors = Visitors::new(supervisor.clone(), Arc::clone(&persistent), persons, purge_set, proof);
        let pipeline = Pipeline {
            uniques: Arc::new(Uniques::new(state)),
            documents: ArcSwap::from_pointee(documents),
            visitors,
            persistent,
            places: ArcSwap::from_pointee(PlaceDatabase::none()),
            bots: Bots::new(NetworkDatabase::none()),
            log,
            envelopes: Arc::default(),
            crowds: Arc::new(Crowds::supposed()),
            counters: Counters::default(),
            feed: Feed::default(),
        };
        Self { pipeline: Arc::new(pipeline), profiles: Arc::new(profiles), _directory: directory }
    }

    /// How many events ended so.
    pub(super) fn count(&self, reason: &str) -> u64 {
        let counters = self.pipeline.counters.of(SiteNumber(1));
        counters.values().find(|(name, _)| *name == reason).map_or(0, |(_, count)| count)
    }

    pub(super) fn refused(&self, refusal: Refusal) -> u64 {
        self.count(refusal.name())
    }
}

/// A server that runs.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) line: Line,
    pub(super) metrics: Arc<ServerMetrics>,
    pub(super) supervisor: Supervisor,
}

/// Settings for one plain listener; loopback is a trusted proxy, so that requests can be given addresses.
pub(super) fn settings() -> ServerSettings {
    ServerSettings {
        plain: vec![LOOPBACK],
        encrypted: Vec::new(),
        tls: None,
        trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
        client_address_header: None,
        limits: super::super::Limits::default(),
        pages: None,
        sockets: Arc::default(),
    }
}

pub(super) async fn start(settings: ServerSettings) -> Running {
    let supervisor = Supervisor::new();
    let line = Line::new(&supervisor, site("https://www.shop.example"));
    let server = Server::bind(settings).await.expect("a free port");
    let (address, metrics) = (server.local_addresses()[0].address, server.metrics());
    server.run(&supervisor, Arc::clone(&line.pipeline), Arc::clone(&line.profiles), None);
    Running { address, line, metrics, supervisor }
}

/// An answer as it was on the wire.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
    /// Whether the server took all that was sent: where it does not, the client's system may throw the answer away with the connection.
    pub(super) all_sent: bool,
}

impl Answer {
    /// A header's value; several lines are joined as HTTP does.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let values: Vec<&str> = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// Sends bytes on a connection of their own and reads until the server closes. The sending goes on whatever comes back, as a naive
/// client's does.
pub(super) async fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    let all_sent = stream.write_all(bytes).await.is_ok();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(600), stream.read_to_end(&mut answer)).await.expect("an end in time").expect("an answer, not a reset");
    Answer { all_sent, ..parse(&answer) }
}

pub(super) fn parse(answer: &[u8]) -> Answer {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned(), all_sent: true }
}

/// One request to the site, with these header lines, and the connection ended after it.
pub(super) async fn request(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: www.shop.example\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for line in headers {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    exchange(address, &[head.as_bytes(), body].concat()).await
}
