//! Delivery: takes what the event log holds to every destination, each at its own pace, and accounts for every event at each of them.
//!
//! ```text
//!             ┌ lane ┐   one per subject's hash: encode → send → judge, again after a backoff, in order
//! log → read →┤  …   ├→ settle: ledger and consumer state in one transaction, then shown
//!             └ lane ┘
//! ```
//! One courier per destination (`courier.rs`, `lane.rs`, `settle.rs`); they share nothing but the carriers. Sending is at least once until
//! an event has its one end in the [`ledger`].

mod awaiting;
pub mod backoff;
pub mod breaker;
pub mod carrier;
pub mod consumer;
mod courier;
#[cfg(test)]
mod faults;
mod group;
mod held;
#[cfg(test)]
mod http_double;
mod lane;
pub mod ledger;
pub mod offsets;
pub mod parking;
pub mod replay;
mod settle;
pub mod status;
mod withdrawn;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use self::{
    backoff::Backoff,
    breaker::{Breaker, Gate},
    carrier::Carriers,
    consumer::Consumer,
    courier::{Courier, DiscloseError},
    held::HeldBack,
    ledger::Ledger,
    status::{CourierState, DestinationStatus, Gauges},
};
use crate::{
    clock::{self, Timestamp, agreement::Agreement},
    console::feed::Feed,
    destination::{BatchLimits, Destination, DestinationType, GroupBy},
    documents::{self, Documents},
    event::DestinationNumber,
    event_log::EventLog,
    privacy::{clean::OpenError, departure::Schema, disclose::Discloser},
    state::StoreError,
    supervise::{Supervisor, WorkThread},
};

/// Ordered queues of a courier whose parcels hold many events: as many attempts may be under way at once.
const LANES: usize = 8;
/// The same where a parcel holds one event or one visitor's: of a receiver that takes 50 ms for an answer, each gets some fifteen a second
/// (`cargo bench --bench drain`). In calm times most of them rest; the receiver's own limit is a 429.
const LANES_OF_SMALL_PARCELS: usize = 160;

/// How many lanes a courier has whose parcels are as large as that.
const fn lanes(limits: &BatchLimits) -> usize {
    match limits.group_by {
        GroupBy::None => LANES,
        GroupBy::Visitor | GroupBy::Event => LANES_OF_SMALL_PARCELS,
    }
}

/// Events under way at a time of a courier with a backlog, where its parcels are full: of a receiver that takes 50 ms for an answer, as many
/// every 50 ms. Where eight parcels hold fewer, a lane has several attempts under way.
const UNDER_WAY_MAX: usize = 2_000;
/// Attempts of one lane at a time: all together, no more than small parcels have.
const STRANDS_MAX: usize = LANES_OF_SMALL_PARCELS / LANES;

/// How many attempts a lane may have under way while a backlog waits in it.
const fn strands(limits: &BatchLimits) -> usize {
    let events = if limits.events == 0 { 1 } else { limits.events };
    let strands = match limits.group_by {
        GroupBy::None => UNDER_WAY_MAX / (LANES * events),
        // Their lanes are many.
        GroupBy::Visitor | GroupBy::Event => 1,
    };
    if strands == 0 {
        1
    } else if strands > STRANDS_MAX {
        STRANDS_MAX
    } else {
        strands
    }
}

/// How often the ledger drops what has left the log, and couriers that could not be started are tried again.
const SWEEP: Duration = Duration::from_secs(60);
/// How often it is looked whether events are to be sent again.
const REPLAY_LOOK: Duration = Duration::from_secs(1);

/// What delivery works with.
#[derive(Clone)]
pub struct Parts {
    /// Where events are read.
    pub log: Arc<EventLog>,
    /// What a destination may see of them.
    pub discloser: Arc<Discloser>,
    /// Where it is written down what became of them.
    pub ledger: Ledger,
    /// How parcels travel.
    pub carriers: Arc<Carriers>,
    /// Where it is shown.
    pub feed: Feed,
    /// Who runs the tasks.
    pub supervisor: Supervisor,
    /// Whether the wall clock may be believed with what cannot be undone.
    pub calendar: Arc<Agreement>,
}

/// Every destination's courier.
pub struct Delivery {
    parts: Parts,
    documents: Arc<ArcSwap<Documents>>,
    posts: ArcSwap<Vec<Arc<Post>>>,
    reloading: tokio::sync::Mutex<()>,
}

/// One destination document and its courier.
struct Post {
    document: Arc<documents::Destination>,
    gauges: Arc<Gauges>,
    courier: Result<Running, String>,
}

struct Running {
    courier: Arc<Courier>,
    /// Cancelled when the courier's last task has ended, however it ended.
    ended: CancellationToken,
}

impl Delivery {
    /// Starts a courier for every destination document. One that cannot be started (a secret is missing, say) is reported and tried
    /// again every minute; it holds up no other.
    pub async fn start(parts: Parts, documents: Arc<Documents>) -> Arc<Self> {
        let delivery = Arc::new(Self {
            parts,
            documents: Arc::new(ArcSwap::new(Arc::clone(&documents))),
            posts: ArcSwap::default(),
            reloading: tokio::sync::Mutex::new(()),
        });
        delivery.reload(documents).await;
        let sweeper = Arc::clone(&delivery);
        delivery.parts.supervisor.spawn("delivery sweep", async move { sweeper.sweep().await });
        delivery.parts.supervisor.spawn("parked events", Arc::clone(&delivery).purge_parked());
        delivery.parts.supervisor.spawn("replays", Arc::clone(&delivery).replay());
        delivery
    }

    /// Takes new documents: starts, stops and replaces couriers, and leaves those alone whose document is as it was.
    ///
    /// Call it before the new documents let events in: a new destination gets what is appended from now on, and what is appended
    /// before this has no place in its ledger.
    pub async fn reload(&self, documents: Arc<Documents>) {
        let one_at_a_time = self.reloading.lock().await;
        self.replace(documents, &[], &one_at_a_time).await;
    }

    /// Starts the couriers anew that serve other documents, that have ended, or that are named.
    async fn replace(&self, documents: Arc<Documents>, named: &[DestinationNumber], _one_at_a_time: &tokio::sync::MutexGuard<'_, ()>) {
        let before = self.posts.load_full();
        let stays = |post: &Post| !named.contains(&post.document.number);
        let kept = |document: &documents::Destination| before.iter().find(|post| post.serves(document) && stays(post)).cloned();
        let plan: Vec<_> = documents.destinations.iter().map(|document| (Arc::clone(document), kept(document))).collect();
        let is_kept = |post: &Arc<Post>| plan.iter().any(|(_, kept)| kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, post)));
        let leaving: Vec<&Running> = before.iter().filter(|post| !is_kept(post)).filter_map(|post| post.courier.as_ref().ok()).collect();
        leaving.iter().for_each(|running| running.courier.stop.cancel());
        for running in leaving {
            running.ended.cancelled().await;
        }
        self.documents.store(Arc::clone(&documents));
        let mut posts = Vec::with_capacity(plan.len());
        for (document, kept) in plan {
            posts.push(match kept {
                Some(post) => post,
                None => {
                    let post = self.start_courier(document).await;
                    let known = before.iter().any(|old| old.document.number == post.document.number && old.courier.is_err());
                    if let Err(problem) = &post.courier
                        && !known
                    {
                        tracing::error!(destination = post.document.name, problem, "a destination cannot be delivered to; its events wait");
                    }
                    Arc::new(post)
                }
            });
        }
        self.posts.store(Arc::new(posts));
    }

    /// How every destination's delivery stands.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Vec<DestinationStatus> {
        let head = *self.parts.log.durable_head().borrow();
        self.posts.load().iter().map(|post| post.status(head, now)).collect()
    }

    /// The ledger, for pages that look up what became of an event.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    async fn start_courier(&self, document: Arc<documents::Destination>) -> Post {
        let number = document.number;
        let head = *self.parts.log.durable_head().borrow();
        let ledger = self.parts.ledger.clone();
        let stored = move || -> Result<_, StoreError> {
            replay::carry_out(ledger.database(), number, clock::now())?;
            Ok((ledger.consumer(number, head)?, ledger.counts(number)?))
        };
        // Before anything that can go wrong with the document: its place in the log is fixed from now on.
        let (consumer, counts) = match self.parts.supervisor.blocking(stored).await {
            Ok(stored) => stored,
            Err(error) => {
                return Post { document, gauges: Arc::new(Gauges::new(&BTreeMap::new())), courier: Err(error.to_string()) };
            }
        };
        let gauges = Arc::new(Gauges::new(&counts));
        gauges.stands_at(&consumer, None);
        let to_open = Arc::clone(&document);
        let courier = match self.parts.supervisor.blocking(move || open(&to_open)).await {
            Ok(service) => match WorkThread::start("courier") {
                Ok(thread) => Ok(self.run_courier(&document, service, thread, consumer, Arc::clone(&gauges))),
                Err(error) => Err(format!("the system gives no thread: {error}")),
            },
            Err(problem) => Err(problem),
        };
        Post { document, gauges, courier }
    }

    fn run_courier(
        &self,
        document: &Arc<documents::Destination>,
        service: Box<dyn Destination>,
        thread: WorkThread,
        consumer: Consumer,
        gauges: Arc<Gauges>,
    ) -> Running {
        let stop = self.parts.supervisor.stop_signal().child_token();
        let seed = jitter_seed();
        let courier = Arc::new(Courier {
            number: document.number,
            name: document.name.clone(),
            paused: document.paused,
            limits: service.limits(),
            service,
            disclose: self.disclose(document),
            stands: self.stands(),
            schema: self.schema(),
            held: self.held_back(document, &stop),
            log: Arc::clone(&self.parts.log),
            calendar: Arc::clone(&self.parts.calendar),
            carriers: Arc::clone(&self.parts.carriers),
            ledger: self.parts.ledger.clone(),
            feed: self.parts.feed.clone(),
            gate: Gate::new(Breaker::new(Backoff::seeded(!seed))),
            gauges,
            supervisor: self.parts.supervisor.clone(),
            thread,
            stop,
            corruption_said: AtomicBool::new(false),
            accepted_parcels: AtomicU64::new(0),
            trial_under_way: AtomicBool::new(false),
        });
        let ended = CancellationToken::new();
        let (task, end) = (Arc::clone(&courier), ended.clone().drop_guard());
        self.parts.supervisor.spawn("courier", async move {
            let _ended_when_dropped = end;
            task.run(consumer, seed).await;
        });
        Running { courier, ended }
    }

    fn disclose(&self, document: &Arc<documents::Destination>) -> Box<courier::Disclose> {
        let (discloser, documents, document) = (Arc::clone(&self.parts.discloser), Arc::clone(&self.documents), Arc::clone(document));
        Box::new(move |record, now| {
            discloser.disclose(record, &documents.load(), &document, now).map_err(|error| match error {
                OpenError::Corrupt(_) => DiscloseError::Corrupt,
                OpenError::Store(_) => DiscloseError::Unavailable,
            })
        })
    }

    fn held_back(&self, document: &Arc<documents::Destination>, stop: &CancellationToken) -> Option<HeldBack> {
        (!document.release.is_live()).then(|| HeldBack {
            document: Arc::clone(document),
            documents: Arc::clone(&self.documents),
            discloser: Arc::clone(&self.parts.discloser),
            log: Arc::clone(&self.parts.log),
            stop: stop.clone(),
        })
    }

    fn stands(&self) -> Box<courier::Stands> {
        let (discloser, documents) = (Arc::clone(&self.parts.discloser), Arc::clone(&self.documents));
        Box::new(move |disclosure, now| discloser.standing(disclosure, &documents.load(), now))
    }

    fn schema(&self) -> Box<courier::SchemaOf> {
        let documents = Arc::clone(&self.documents);
        Box::new(move |disclosure| Schema::of(disclosure, &documents.load()))
    }

    async fn sweep(&self) {
        let stop = self.parts.supervisor.stop_signal();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
            let (ledger, first) = (self.parts.ledger.clone(), self.parts.log.first_offset());
            let believed = self.parts.calendar.holds_now().then(clock::now);
            let forgotten = self.parts.supervisor.blocking(move || ledger.forget_before(first, believed)).await;
            if let Err(error) = forgotten {
                tracing::warn!(%error, "the ledger could not drop old rows; it is tried again");
            }
            if self.posts.load().iter().any(|post| !post.is_well()) {
                let one_at_a_time = self.reloading.lock().await;
                self.replace(self.documents.load_full(), &[], &one_at_a_time).await;
            }
        }
    }

    /// Starts couriers anew whose events are to be sent again: that is when it is carried out.
    async fn replay(self: Arc<Self>) {
        let stop = self.parts.supervisor.stop_signal();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(REPLAY_LOOK) => {}
            }
            let ledger = self.parts.ledger.clone();
            // Where it cannot be read now, the next look may.
            let waiting = self.parts.supervisor.blocking(move || replay::waiting(ledger.database())).await.unwrap_or_default();
            let served = |number: &DestinationNumber| self.posts.load().iter().any(|post| post.document.number == *number);
            let waiting: Vec<_> = waiting.into_iter().filter(served).collect();
            if !waiting.is_empty() {
                let one_at_a_time = self.reloading.lock().await;
                self.replace(self.documents.load_full(), &waiting, &one_at_a_time).await;
            }
        }
    }
}

impl Post {
    /// Whether this is the document, as it is now, and its courier is well.
    fn serves(&self, document: &documents::Destination) -> bool {
        *self.document == *document && self.is_well()
    }

    fn is_well(&self) -> bool {
        self.courier.as_ref().is_ok_and(|running| !running.ended.is_cancelled())
    }

    fn status(&self, log_head: crate::event::Offset, now: Timestamp) -> DestinationStatus {
        let state = match &self.courier {
            Err(_) => CourierState::Stopped,
            Ok(Running { ended, .. }) if ended.is_cancelled() => CourierState::Stopped,
            Ok(Running { courier, .. }) if courier.paused => CourierState::Paused,
            Ok(Running { courier, .. }) => self.gauges.phase(courier.gate.phase()),
        };
        let problem = self.courier.as_ref().err().cloned();
        DestinationStatus { problem, ..self.gauges.read(&self.document.name, self.document.kind, state, log_head, now) }
    }
}

fn open(document: &documents::Destination) -> Result<Box<dyn Destination>, String> {
    let row = DestinationType::named(document.kind).ok_or("there is no such destination type")?;
    (row.open)(&document.settings).map_err(|error| error.to_string())
}

/// Different per courier and start, so that several machines do not wait in step. Not a secret.
fn jitter_seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| clock::now().0.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        delivery::carrier::{file::FileCarrier, http::HttpCarrier, postgres::PostgresCarrier},
        documents::Basis,
        event::{DestinationNumber, RetentionClass},
        event_log::{DiskFiles, LogOptions},
        metrics::Exposition,
        privacy::{
            crowd::Crowds,
            keys::{database::KeysDb, epoch::EpochKeys, persistent::PersistentKeys, person::PersonKeys},
            purge_set::PurgeSet,
            record::Record,
            transform::Transform,
        },
        state::StateDb,
    };

    pub(super) fn parts(directory: &Path) -> Parts {
        let state = Arc::new(StateDb::open(&directory.join("state.db")).unwrap());
        let keys = Arc::new(KeysDb::open(&directory.join("keys.db")).unwrap());
        let purge_set = Arc::new(PurgeSet::open(Arc::clone(&keys)).unwrap());
        let discloser = Discloser::new(
            Arc::new(PersistentKeys::new(Arc::clone(&state))),
            Arc::new(EpochKeys::new(Arc::clone(&keys))),
            Arc::new(PersonKeys::new(keys)),
            purge_set,
            Arc::new(Crowds::new(Arc::clone(&state))),
        );
        let options = LogOptions { preallocate_bytes: 1 << 16, ..LogOptions::default() };
        let log = EventLog::open(Arc::new(DiskFiles::open(&directory.join("log")).unwrap()), options, clock::now()).unwrap();
        let supervisor = Supervisor::new();
        let carriers = Carriers::new(
            HttpCarrier::new(None).unwrap(),
            FileCarrier::new(directory.to_owned(), supervisor.clone()),
            PostgresCarrier::new(supervisor.clone()),
        );
        Parts {
            log: Arc::new(log),
            discloser: Arc::new(discloser),
            ledger: Ledger::new(state),
            carriers: Arc::new(carriers),
            feed: Feed::default(),
            supervisor,
            calendar: Arc::new(Agreement::new(clock::machine(), clock::since_boot().unwrap_or_default(), None)),
        }
    }

    fn documents(destinations: &[(u32, &'static str, String, bool)]) -> Arc<Documents> {
        let destination = |(number, kind, settings, paused): &(u32, &'static str, String, bool)| {
            Arc::new(documents::Destination {
                number: DestinationNumber(*number),
                name: format!("{kind} {number}"),
                kind,
                sites: Vec::new(),
                basis: Basis::ExemptMeasurement,
                tcf_vendor: None,
                transform: Transform::Strict,
                kept_months: None,
                release: documents::Release::Live,
                bots: documents::Bots::All,
                paused: *paused,
                settings: settings.parse().unwrap(),
            })
        };
        Arc::new(Documents { destinations: destinations.iter().map(destination).collect(), ..Documents::default() })
    }

    fn states(delivery: &Delivery) -> Vec<(String, CourierState)> {
        delivery.status(clock::now()).into_iter().map(|status| (status.name, status.courier)).collect()
    }

    fn running(delivery: &Delivery, number: u32) -> *const Courier {
        let posts = delivery.posts.load();
        let post = posts.iter().find(|post| post.document.number == DestinationNumber(number)).unwrap();
        Arc::as_ptr(&post.courier.as_ref().ok().unwrap().courier)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reload_replaces_what_changed_and_leaves_the_rest_alone() {
        let directory = tempfile::tempdir().unwrap();
        let parts = parts(directory.path());
        let file = |name: &str| format!("directory = {name:?}");
        let before = documents(&[(1, "file", file("a"), false), (2, "file", file("b"), false), (3, "file", file("c"), false)]);
        let delivery = Delivery::start(parts.clone(), before).await;
        let (kept, replaced) = (running(&delivery, 1), running(&delivery, 2));
        delivery.reload(documents(&[(1, "file", file("a"), false), (2, "file", file("b"), true), (4, "file", file("d"), false)])).await;
        assert_eq!(running(&delivery, 1), kept);
        assert_ne!(running(&delivery, 2), replaced);
        let expected = [("file 1", CourierState::Running), ("file 2", CourierState::Paused), ("file 4", CourierState::Running)];
        assert_eq!(states(&delivery), expected.map(|(name, state)| (name.to_owned(), state)));
        assert!(parts.supervisor.shut_down(Duration::from_secs(10)).await, "every task ends");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_destination_without_its_secret_waits_where_it_is_and_starts_when_it_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let parts = parts(directory.path());
        let secret = directory.path().join("secret");
        let webhook = format!("url = \"http://127.0.0.1:9/\"\nsecret = \"file:{}\"", secret.display());
        let both = documents(&[(1, "webhook", webhook, true), (2, "file", "directory = \"b\"".to_owned(), false)]);
        let delivery = Delivery::start(parts.clone(), Arc::clone(&both)).await;
        let status = delivery.status(clock::now());
        assert_eq!((status[0].courier, status[1].courier), (CourierState::Stopped, CourierState::Running));
        let problem = status[0].problem.as_ref().unwrap();
        assert!(problem.starts_with("settings.secret: the file") && problem.ends_with("cannot be read: entity not found"), "{problem}");
        parts.log.append(vec![Record::for_test([1; 16], RetentionClass::Short, clock::now(), b"")]).await.unwrap();
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        delivery.reload(both).await;
        let status = delivery.status(clock::now()).remove(0);
        assert_eq!((status.courier, status.problem), (CourierState::Paused, None));
        assert_eq!(status.lag, 1, "its place in the log is that of its document, not of its secret");
        let mut text = Exposition::default();
        status::expose(&delivery.status(clock::now()), &mut text);
        let text = text.into_text();
        assert!(text.contains("firsthand_delivery_lag_records{destination=\"webhook 1\"} 1\n"), "{text}");
        assert!(text.contains("firsthand_delivery_courier{destination=\"webhook 1\",state=\"paused\"} 1\n"), "{text}");
        assert!(parts.supervisor.shut_down(Duration::from_secs(10)).await, "every task ends");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_courier_that_broke_is_seen_and_started_again() {
        let directory = tempfile::tempdir().unwrap();
        let parts = parts(directory.path());
        let one = documents(&[(1, "file", "directory = \"a\"".to_owned(), false)]);
        let delivery = Delivery::start(parts.clone(), Arc::clone(&one)).await;
        let broken = running(&delivery, 1);
        // As a part's end by a panic does.
        let posts = delivery.posts.load_full();
        let post = posts[0].courier.as_ref().ok().unwrap();
        post.courier.stop.cancel();
        post.ended.cancelled().await;
        assert_eq!(states(&delivery)[0].1, CourierState::Stopped);
        delivery.reload(one).await;
        assert_ne!(running(&delivery, 1), broken);
        assert_eq!(states(&delivery)[0].1, CourierState::Running);
        assert!(parts.supervisor.shut_down(Duration::from_secs(10)).await, "every task ends");
    }
}
