//! Wires the parts by hand: start and shutdown order in one place.
//!
//! Start: bind every address, so that a taken port is said before anything is written · lock the data directory · bring older data up to date ·
//! databases · documents · event log (recovers) · keys · couriers · recleanse · accept. Shutdown: stop accepting and finish what is under way · couriers settle · counters · log.
//! Where another process takes over, the sockets stay open meanwhile, and what is known in memory alone is put together at the end.

mod api;
mod own_data;

use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::HeaderName;
use hyper::body::Incoming;
use tokio::runtime::Handle;

pub use self::api::ApiAddress;
use self::own_data::own_data;
use crate::{
    alerts::Alerts,
    api::{Api, Caller, Desk, Large},
    clock::{self, Timestamp, agreement::Agreement},
    config::{Config, ConfigError},
    console::{Console, feed::Feed},
    counters::Counters,
    delivery::{
        self, Delivery,
        carrier::{
            Carriers,
            file::FileCarrier,
            http::{HttpCarrier, HttpCarrierError},
            postgres::PostgresCarrier,
        },
        ledger::Ledger,
    },
    demonstration,
    destination::SettingsError,
    documents::{
        files::{FileError, read_documents},
        parse::Document,
        store::{Author, DocumentStore, DocumentStoreError},
    },
    egress::closing::EgressLedger,
    event::{Offset, RetentionClass},
    event_log::{DiskFiles, EventLog, LogError},
    hand_over::{Next, Offer},
    housekeeping::Housekeeping,
    pipeline::Pipeline,
    privacy::{
        consent::proof::ConsentProof,
        crowd::Crowds,
        disclose::Discloser,
        enrich::{
            bot::{Bots, network::NetworkDatabase},
            place::{PlaceDatabase, PlaceError},
            place_file::{PlaceFile, is_old},
        },
        envelope::Envelopes,
        hand_over::{Estate, Unreadable},
        keys::{database::KeysDb, epoch::EpochKeys, persistent::PersistentKeys, person::PersonKeys},
        profiled::ProfileSeals,
        purge_set::PurgeSet,
        record::header_of,
        rights::{
            erase::destroy_begun,
            erasures::{ERASURES, Erasures},
        },
        uniques::Uniques,
        visitor::Visitors,
    },
    profile::{
        Profiles,
        audit::ProfileAudit,
        projector::{self, Projector},
    },
    recleanse::{self, Recleanse},
    report::Report,
    rights::{self, sweep::Following},
    server::{
        BindError, Limits, Listener, ListeningSocket, LocalAddress, Pages, Rate, RateLimits, ReplyBody, Role, Server, ServerMetrics,
        ServerSettings, Sockets,
        development_certificate::{DevelopmentCertificateError, development_certificate},
        tls::{CertificateError, CertificateFiles, Tls},
    },
    state::{StateDb, StoreError},
    supervise::Supervisor,
    upgrade::{self, UpgradeError},
};

/// Connections to the admin listener: a few live views, a metrics scraper, a person.
const ADMIN_CONNECTIONS: usize = 64;
/// How long shutdown waits for requests and couriers. Orchestrators commonly kill after 30 s.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(25);
/// A limit's burst, in seconds of its rate.
const BURST_SECONDS: u32 = 4;

/// What to start.
#[derive(Clone)]
pub struct Setup {
    /// This machine's configuration.
    pub config: Config,
    /// Whether to serve the demonstration: its pages, documents, places and certificate.
    pub demonstration: bool,
}

/// What the process before had, and this one goes on with. Without anything, the day begins anew.
#[derive(Default)]
pub struct Inherited {
    /// Its listening sockets.
    pub sockets: Vec<ListeningSocket>,
    /// What it knew in its memory alone.
    pub estate: Option<Estate>,
}

/// The program, started.
pub struct App {
    supervisor: Supervisor,
    pipeline: Arc<Pipeline>,
    state: Arc<StateDb>,
    addresses: Vec<LocalAddress>,
    admin: SocketAddr,
    api: Option<ApiAddress>,
    certificate_authority: Option<PathBuf>,
    sockets: Arc<Sockets>,
    /// Gone before the lock is: the next process makes its own in its place.
    offer: Option<Offer>,
    /// Held until the end: two programs on one data directory would break both.
    _lock: File,
}

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("{0}\n  fix: stop what listens there, or choose another address (--listen, --tls-listen, --admin-listen)")]
    Bind(#[from] BindError),
    /// The data directory cannot be used.
    #[error("{}: {reason}", directory.display())]
    DataDirectory {
        /// Which.
        directory: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// Another program uses the data directory.
    #[error("{}: another firsthand runs on this data directory\n  fix: stop it, or choose another with --data-dir", directory.display())]
    Locked {
        /// Which.
        directory: PathBuf,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A managed file of documents is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// The documents are wrong.
    #[error(transparent)]
    Documents(#[from] DocumentStoreError),
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data is of a newer program, or could not be brought up to date.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// The event log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No development certificate could be made.
    #[error(transparent)]
    DevelopmentCertificate(#[from] DevelopmentCertificateError),
    /// The place database cannot be used.
    #[error("places.database: {0}")]
    Places(#[from] PlaceError),
    /// What is stored cannot be brought to the documents in force.
    #[error(transparent)]
    Recleanse(#[from] recleanse::StartError),
    /// The network database cannot be used.
    #[error("places.networks: {0}")]
    Networks(PlaceError),
    /// Nobody could be told of what calls for a person.
    #[error("alerts: {0}")]
    Alerts(SettingsError),
    /// No link could be mailed.
    #[error("own_data: {0}")]
    OwnData(SettingsError),
    /// Where profiles are kept cannot be used.
    #[error("profiles.postgres: {0}")]
    Profiles(SettingsError),
    /// What was handed over cannot be used.
    #[error(transparent)]
    Estate(#[from] Unreadable),
    /// A restore was interrupted.
    #[error("{}: a restore was not finished here\n  fix: run the same `firsthand restore` again", directory.display())]
    Restoring {
        /// Where.
        directory: PathBuf,
    },
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(io::Error),
    /// No HTTP client could be made.
    #[error(transparent)]
    HttpClient(#[from] HttpCarrierError),
}

impl App {
    /// Starts everything. Accepts from when this returns.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn start(setup: Setup, supervisor: Supervisor) -> Result<Self, StartError> {
        Self::start_from(Inherited::default(), setup, supervisor).await
    }

    /// Whether the data and the files that the configuration names can be used: asked before another process is stopped for this one.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub fn check(setup: &Setup) -> Result<(), StartError> {
        upgrade::look(&setup.config.data_dir)?;
        open_tls(&setup.config, setup.demonstration)?;
        api::check(&setup.config)?;
        open_places(&setup.config, setup.demonstration)?;
        open_networks(&setup.config).map(drop).map_err(StartError::Networks)
    }

    /// The same, with what another process had.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn start_from(inherited: Inherited, setup: Setup, supervisor: Supervisor) -> Result<Self, StartError> {
        let Setup { config, demonstration } = setup;
        let sockets = Arc::new(Sockets::taken_over(inherited.sockets));
        let (tls, certificate_authority) = open_tls(&config, demonstration)?;
        let admin_metrics = Arc::new(ServerMetrics::default());
        let admin = Listener::bind((&sockets, Role::Admin), config.listen.admin, None, ADMIN_CONNECTIONS, admin_metrics).await;
        let (admin_listener, admin) = admin.map_err(|reason| BindError::Address { address: config.listen.admin, reason })?;
        let remote = api::bind(&config, tls.as_ref(), &sockets).await?;
        let remote_at = remote.as_ref().map(|remote| remote.at);
        let pages = demonstration.then(|| demonstration::pages(admin));
        let server = Server::bind(server_settings(&config, tls, pages, Arc::clone(&sockets))).await?;
        let addresses = server.local_addresses().to_vec();

        // Before the lock, which writes a file: nothing is written into what a newer program has.
        upgrade::look(&config.data_dir)?;
        let lock = lock_data_directory(&config.data_dir)?;
        if config.data_dir.join(rights::RESTORING).exists() {
            return Err(StartError::Restoring { directory: config.data_dir });
        }
        upgrade::bring_up_to_date(&config.data_dir, clock::now())?;
        let offer = offer(&config.data_dir);
        let state = Arc::new(StateDb::open(&config.data_dir.join("state.db"))?);
        upgrade::note_program(&state, clock::now())?;
        let store = DocumentStore::new(Arc::clone(&state));
        if demonstration {
            apply(&store, demonstration::documents(&store, page_origins(&addresses), &config.data_dir)?, "demonstration")?;
        }
        if let Some(managed) = &config.managed {
            apply(&store, read_documents(&managed.from)?, "managed by file")?;
        }
        // Read first, so that a change that comes in between is taken up in the next round.
        let revision = store.revision()?;
        let documents = Arc::new(store.compiled()?);

        let log_directory = config.data_dir.join("log");
        let log = Arc::new(EventLog::open(Arc::new(DiskFiles::open(&log_directory)?), config.log_options(), clock::now())?);
        let keys = Arc::new(KeysDb::open(&config.data_dir.join("keys.db"))?);
        let list = Arc::new(Erasures::open(&config.data_dir.join(ERASURES.file), config.log_options().short_retention)?);
        // Of an erasure that was interrupted.
        destroy_begun(&list, &keys)?;
        let uniques = Arc::new(Uniques::new(Arc::clone(&state)));
        let persistent = Arc::new(PersistentKeys::new(Arc::clone(&state)));
        let epochs = Arc::new(EpochKeys::new(Arc::clone(&keys)).sized_by(Arc::clone(&uniques)));
        let persons = Arc::new(PersonKeys::new(Arc::clone(&keys)).listed_in(Arc::clone(&list)));
        persons.look_who_is_held()?;
        let purge_set = Arc::new(PurgeSet::open(Arc::clone(&keys))?.listed_in(Arc::clone(&list)));
        let proof = Arc::new(ConsentProof::new(Arc::clone(&state)));
        let feed = Feed::default();
        let crowds = Arc::new(Crowds::new(Arc::clone(&state)));
        let visitors = Visitors::new(supervisor.clone(), Arc::clone(&persistent), Arc::clone(&persons), Arc::clone(&purge_set), proof);
        let envelopes = Arc::new(Envelopes::default());
        if let Some(estate) = inherited.estate {
            estate.settle(&visitors, &uniques, &crowds, &envelopes, clock::now())?;
        }
        let discloser =
            Discloser::new(Arc::clone(&persistent), Arc::clone(&epochs), Arc::clone(&persons), Arc::clone(&purge_set), Arc::clone(&crowds))
                .beside(Arc::clone(&log))
                .with_envelopes(Arc::clone(&envelopes));
        let profile_discloser =
            Discloser::new(Arc::clone(&persistent), Arc::clone(&epochs), Arc::clone(&persons), Arc::clone(&purge_set), Arc::clone(&crowds));
        let carriers = Arc::new(Carriers::new(
            HttpCarrier::new(None)?,
            FileCarrier::new(config.data_dir.clone(), supervisor.clone()),
            PostgresCarrier::new(supervisor.clone()),
        ));
        let alerts = Arc::new(Alerts::new(config.alerts.clone(), Arc::clone(&carriers)).map_err(StartError::Alerts)?);
        let agreement = Arc::new(Agreement::new(clock::machine(), clock::since_boot().unwrap_or_default(), newest_record(&log)));
        let parts = delivery::Parts {
            log: Arc::clone(&log),
            discloser: Arc::new(discloser),
            ledger: Ledger::new(Arc::clone(&state)),
            carriers,
            feed: feed.clone(),
            supervisor: supervisor.clone(),
            calendar: Arc::clone(&agreement),
        };
        let delivery = Delivery::start(parts, Arc::clone(&documents)).await;
        let parts = recleanse::Parts {
            log: Arc::clone(&log),
            persons: Arc::clone(&persons),
            store: store.clone(),
            state: Arc::clone(&state),
            supervisor: supervisor.clone(),
        };
        let recleanse = Recleanse::start(parts, Arc::clone(&documents))?;
        let elsewhere = config.profiles.as_ref().map(|profiles| &profiles.postgres);
        let seals = ProfileSeals::new(Arc::clone(&persons));
        let profiles = Profiles::of_machine(config.data_dir.clone(), elsewhere, seals, Handle::current);
        let profiles = Arc::new(profiles.map_err(StartError::Profiles)?);
        let following = Following { log: Arc::clone(&log), persons: Arc::clone(&persons), list: Arc::clone(&list) };
        following.start(&supervisor).map_err(StartError::Thread)?;
        let (place_file, places) = open_places(&config, demonstration)?;
        let pipeline = Arc::new(Pipeline {
            documents: ArcSwap::new(documents),
            visitors,
            persistent,
            places: ArcSwap::from_pointee(places),
            bots: Bots::new(open_networks(&config).map_err(StartError::Networks)?),
            log: Arc::clone(&log),
            envelopes,
            uniques,
            crowds,
            counters: Counters::default(),
            feed: feed.clone(),
        });

        let (in_force, calendar) = (Arc::clone(&pipeline), Arc::clone(&agreement));
        let projector = Arc::new(Projector::new(projector::Parts {
            log: Arc::clone(&log),
            // It waits for no twin: an order that is told of twice is one order of a profile anyway.
            discloser: Arc::new(profile_discloser),
            documents: Box::new(move || in_force.documents.load_full()),
            // At this moment: its rounds are many between two looks.
            calendar: Box::new(move || calendar.holds_now()),
            profiles: Arc::clone(&profiles),
        }));
        let projecting = Arc::clone(projector.gauges());
        projector.start(&supervisor).map_err(StartError::Thread)?;
        let own_data = own_data(&config, (&profiles, ProfileAudit::new(Arc::clone(&state))), &pipeline.persistent, &supervisor)
            .map_err(StartError::OwnData)?;
        let egress = EgressLedger::new(Arc::clone(&state), &config.data_dir);
        let report = Arc::new(Report {
            pipeline: Arc::clone(&pipeline),
            delivery: Arc::clone(&delivery),
            state: Arc::clone(&state),
            server: server.metrics(),
            looks: server.looks(),
            tls: server.tls(),
            recleanse: Arc::clone(&recleanse),
            egress: egress.clone(),
            alerts: Arc::clone(&alerts),
            agreement: Arc::clone(&agreement),
            projecting,
        });
        let figures = Arc::clone(&report);
        alerts.start(&supervisor, move || figures.figures());
        let framed_by: Vec<String> = if demonstration { page_origins(&addresses) } else { Vec::new() };
        let console = Arc::new(Console::new(feed, report.sources(), supervisor.clone(), &framed_by));
        let desk = Desk {
            pipeline: Arc::clone(&pipeline),
            profiles: Arc::clone(&profiles),
            persistent: Arc::clone(&pipeline.persistent),
            epochs: Arc::clone(&epochs),
            state: Arc::clone(&state),
            keys,
            persons: Arc::clone(&persons),
            list: Arc::clone(&list),
            ledger: Ledger::new(Arc::clone(&state)),
            data_dir: config.data_dir.clone(),
            kept: RetentionClass::ALL.map(|class| log.retention(class)),
            audit: ProfileAudit::new(Arc::clone(&state)),
            large: Large::default(),
            contacts: Mutex::default(),
        };
        let api = Arc::new(Api::new(Arc::clone(&pipeline), desk, supervisor.clone()));
        if let Some(remote) = remote {
            remote.run(&api, &supervisor);
        }
        let admin_pages = move |request, _| answer(Arc::clone(&console), Arc::clone(&api), request);
        supervisor.spawn("admin listener", admin_listener.run(supervisor.clone(), admin_pages));
        let housekeeping = Housekeeping {
            pipeline: Arc::clone(&pipeline),
            delivery,
            recleanse,
            store,
            state: Arc::clone(&state),
            epochs,
            persons,
            purge_set,
            erasures: list,
            egress,
            agreement,
            began: clock::now(),
            places: place_file,
            data_dir: config.data_dir,
            revision,
        };
        housekeeping.start(&supervisor);
        server.run(&supervisor, Arc::clone(&pipeline), profiles, Some(own_data));
        Ok(Self { supervisor, pipeline, state, addresses, admin, api: remote_at, certificate_authority, sockets, offer, _lock: lock })
    }

    /// The addresses that beacons are taken on.
    #[must_use]
    pub fn addresses(&self) -> &[LocalAddress] {
        &self.addresses
    }

    /// The admin listener's address.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where other machines reach the profile API, if they do.
    #[must_use]
    pub const fn api(&self) -> Option<ApiAddress> {
        self.api
    }

    /// The development authority's certificate file, where one is used.
    #[must_use]
    pub fn certificate_authority(&self) -> Option<&Path> {
        self.certificate_authority.as_deref()
    }

    /// Stops: finishes what is under way, settles, and closes the log. Returns whether everything ended in time.
    pub async fn stop(self) -> bool {
        self.close().await
    }

    /// Waits until another process asks to take over.
    pub async fn next(&self) -> Next {
        match &self.offer {
            Some(offer) => offer.next().await,
            None => std::future::pending().await,
        }
    }

    /// Stops as [`Self::stop`] does, but for the listening sockets, on which clients wait from now on. Returns those, and what is known in
    /// memory alone; everything on the disk is closed then, and the data directory is free.
    pub async fn close_for_next(self) -> (Vec<ListeningSocket>, Estate) {
        self.sockets.keep_open();
        if !self.close().await {
            tracing::warn!("some requests or deliveries did not end in time; what was acknowledged is in the log");
        }
        let Pipeline { visitors, uniques, crowds, envelopes, .. } = &*self.pipeline;
        let estate = Estate::of(visitors, uniques, crowds, envelopes, clock::now());
        (self.sockets.take(), estate)
    }

    async fn close(&self) -> bool {
        let ended = self.supervisor.shut_down(SHUTDOWN_PATIENCE).await;
        let documents = self.pipeline.documents.load();
        let flushed = self.pipeline.counters.flush(&self.state, &documents, clock::now());
        let written = self.pipeline.crowds.write_all(&documents, clock::now());
        if written.is_err() {
            tracing::warn!("the last minutes' crowds could not be written: tomorrow fewer are known");
        }
        let counted = self.pipeline.uniques.flush();
        if flushed.is_err() || counted.is_err() {
            tracing::error!("the last second's counters could not be written");
        }
        self.pipeline.log.close();
        ended
    }
}

/// The console reads no body, so the request's is dropped before anything else; the API reads its own.
async fn answer(console: Arc<Console>, api: Arc<Api>, request: http::Request<Incoming>) -> http::Response<ReplyBody> {
    if Api::is_for(request.uri().path()) {
        return api.handle(request, Caller::ThisMachine).await;
    }
    let (head, unread) = request.into_parts();
    drop(unread);
    console.handle(&http::Request::from_parts(head, ())).await.map(ReplyBody::stream)
}

fn open_tls(config: &Config, demonstration: bool) -> Result<(Option<Arc<Tls>>, Option<PathBuf>), StartError> {
    if let Some(files) = &config.tls {
        let files = CertificateFiles { certificate: files.certificate.clone(), key: files.key.clone() };
        return Ok((Some(Tls::open(files)?), None));
    }
    if !demonstration || config.listen.https.is_none() {
        return Ok((None, None));
    }
    let made = development_certificate(Path::new("certs"), clock::now())?;
    Ok((Some(Tls::open(made.files)?), Some(made.authority)))
}

fn open_places(config: &Config, demonstration: bool) -> Result<(Option<PlaceFile>, PlaceDatabase), PlaceError> {
    match &config.places.database {
        Some(path) => {
            let (file, database) = PlaceFile::open(path)?;
            if is_old(database.built(), clock::now()) {
                tracing::warn!("the place database is more than 60 days old: some countries will be wrong");
            }
            Ok((Some(file), database))
        }
        None if demonstration => Ok((None, PlaceDatabase::from_bytes(demonstration::PLACE_DATABASE.to_vec())?)),
        None => Ok((None, PlaceDatabase::none())),
    }
}

/// When the newest record came in, if there is one.
fn newest_record(log: &EventLog) -> Option<Timestamp> {
    let last = log.durable_head().borrow().0.checked_sub(1).map(Offset)?;
    // Where it cannot be read, the couriers will say so.
    let records = log.reader(last).read(1, 1).ok()?;
    header_of(&records.first()?.bytes).ok().map(|header| header.received)
}

fn open_networks(config: &Config) -> Result<NetworkDatabase, PlaceError> {
    config.places.networks.as_deref().map_or_else(|| Ok(NetworkDatabase::none()), NetworkDatabase::open)
}

fn server_settings(config: &Config, tls: Option<Arc<Tls>>, pages: Option<Pages>, sockets: Arc<Sockets>) -> ServerSettings {
    let rate = |per_second: u32| (per_second > 0).then(|| Rate { per_second, burst: per_second.saturating_mul(BURST_SECONDS) });
    ServerSettings {
        plain: config.listen.http.into_iter().collect(),
        encrypted: config.listen.https.into_iter().collect(),
        tls,
        trusted_proxies: config.proxies.trusted.clone(),
        client_address_header: config.proxies.header.as_deref().and_then(|name| HeaderName::try_from(name).ok()),
        limits: Limits {
            rates: RateLimits {
                client: rate(config.limits.client_events_per_second),
                apps: rate(config.limits.app_events_per_second),
                site: rate(config.limits.site_events_per_second),
                global: rate(config.limits.total_events_per_second),
            },
            ..Limits::default()
        },
        pages,
        sockets,
    }
}

fn lock_data_directory(directory: &Path) -> Result<File, StartError> {
    let failed = |reason| StartError::DataDirectory { directory: directory.to_owned(), reason };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(failed)?;
    let lock = File::create(directory.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::Locked { directory: directory.to_owned() }),
        Err(std::fs::TryLockError::Error(reason)) => Err(failed(reason)),
    }
}

/// Where it cannot be made the program runs all the same, and another one can only begin after it.
fn offer(directory: &Path) -> Option<Offer> {
    Offer::make(directory)
        .inspect_err(|error| tracing::warn!(%error, "no other process can take over from this one: the socket for it cannot be made"))
        .ok()
}

fn apply(store: &DocumentStore, documents: Vec<Document>, author: &str) -> Result<(), StartError> {
    store.apply(documents, false, false, &Author { name: author, reason: "applied at start", at: clock::now() })?;
    Ok(())
}

/// The origins under which a browser on this machine sees the listeners.
fn page_origins(addresses: &[LocalAddress]) -> Vec<String> {
    let schemes = addresses.iter().map(|local| (if local.tls { "https" } else { "http" }, local.address.port()));
    schemes.flat_map(|(scheme, port)| ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{scheme}://{host}:{port}"))).collect()
}
