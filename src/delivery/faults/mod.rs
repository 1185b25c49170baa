//! Fault tests: couriers on a real event log and a real ledger, against receivers that are cut, stall, refuse or talk nonsense.
//! Here: the yard that they run in.

mod accounting;
mod network;
mod waiting;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff,
    breaker::{Breaker, Gate},
    carrier::{Carriers, file::FileCarrier, http::HttpCarrier, postgres::PostgresCarrier},
    courier::{Courier, DiscloseError},
    http_double::{HttpDouble, Reply, Taken},
    lane::Lane,
    ledger::{Ledger, LedgerState},
    settle::Report,
    status::{CourierState, Gauges},
};
use crate::{
    clock::{self, Timestamp, agreement::Agreement},
    console::feed::{Feed, Item},
    destination::{Answer, BatchLimits, Destination, DestinationType, FileAppend, GroupBy, Parcel, Verdict, Via, file::FileFormat},
    documents::Documents,
    egress::{closing::EgressLedger, record::DayRecord},
    event::{DestinationNumber, Offset, RetentionClass},
    event_log::{DiskFiles, EventLog, LogOptions, LogRecord},
    privacy::{
        departure::Schema,
        disclose::{Disclosed, Disclosure, Standing},
        entitlement::Withheld,
        record::{HEADER_BYTES, Record, header_of},
    },
    state::StateDb,
    supervise::{Supervisor, WorkThread},
};

const WEBHOOK: DestinationNumber = DestinationNumber(1);
const FILE: DestinationNumber = DestinationNumber(2);
const PATIENCE: Duration = Duration::from_secs(30);
/// Short enough that a stalled receiver does not hold the tests up.
const TIMEOUT: Duration = Duration::from_millis(400);

/// Records of this lane and above rest in the log's long family.
const LONG_LANE: u8 = 250;

/// What a test record says of itself: its lane, and what comes of it.
#[derive(Clone, Copy)]
struct Sample(u8, Fate);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Disclosed,
    Withheld,
    Purged,
    NotAddressed,
    Corrupt,
}

const FATES: [Fate; 5] = [Fate::Disclosed, Fate::Withheld, Fate::Purged, Fate::NotAddressed, Fate::Corrupt];

fn disclose(record: &LogRecord) -> Result<Disclosed, DiscloseError> {
    let (header, body) = (header_of(&record.bytes).unwrap(), &record.bytes.as_slice()[HEADER_BYTES..]);
    match FATES[body[1] as usize] {
        Fate::Disclosed => Ok(Disclosed::Disclosure(Box::new(Disclosure::for_test(record.offset, body[0].into(), header.received)))),
        Fate::Withheld => Ok(Disclosed::Withheld(Withheld::NoConsent)),
        Fate::Purged => Ok(Disclosed::Purged),
        Fate::NotAddressed => Ok(Disclosed::NotAddressed),
        Fate::Corrupt => Err(DiscloseError::Corrupt),
    }
}

struct Yard {
    directory: tempfile::TempDir,
    log: Arc<EventLog>,
    ledger: Ledger,
    egress: EgressLedger,
    carriers: Arc<Carriers>,
    feed: Feed,
    supervisor: Supervisor,
    calendar: Arc<Agreement>,
    appended: AtomicUsize,
}

/// What says whether the clock is believed: it is where there is no record yet; it is not where the newest one is of tomorrow.
fn calendar(newest: Option<Timestamp>) -> Arc<Agreement> {
    Arc::new(Agreement::new(clock::machine(), clock::since_boot().unwrap_or_default(), newest))
}

fn doubtful_calendar() -> Arc<Agreement> {
    calendar(Some(clock::machine().plus(Duration::from_secs(24 * 60 * 60))))
}

struct Running {
    courier: Arc<Courier>,
    ended: CancellationToken,
}

impl Running {
    async fn stop(&self) {
        self.courier.stop.cancel();
        self.ended.cancelled().await;
    }

    fn state(&self) -> CourierState {
        self.courier.gauges.phase(self.courier.gate.phase())
    }
}

impl Yard {
    fn new() -> Self {
        Self::that_waits(TIMEOUT)
    }

    /// One whose carrier waits so long for an answer.
    fn that_waits(timeout: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Arc::new(DiskFiles::open(&directory.path().join("log")).unwrap());
        let options = LogOptions { preallocate_bytes: 1 << 16, roll_bytes: 1 << 14, ..LogOptions::default() };
        let log = Arc::new(EventLog::open(files, options, clock::now()).unwrap());
        let state = Arc::new(StateDb::open(&directory.path().join("state.db")).unwrap());
        let (ledger, egress) = (Ledger::new(Arc::clone(&state)), EgressLedger::new(state, directory.path()));
        let supervisor = Supervisor::new();
        let http = HttpCarrier::with_timeouts(None, timeout, timeout).unwrap();
        let file = FileCarrier::new(directory.path().to_owned(), supervisor.clone());
        let carriers = Arc::new(Carriers::new(http, file, PostgresCarrier::new(supervisor.clone())));
        let (feed, calendar, appended) = (Feed::default(), calendar(None), AtomicUsize::new(0));
        Self { directory, log, ledger, egress, carriers, feed, supervisor, calendar, appended }
    }

    async fn append(&self, samples: &[Sample], received: Timestamp) -> Vec<Offset> {
        let records = samples.iter().map(|Sample(lane, fate)| {
            let id = (self.appended.fetch_add(1, Ordering::Relaxed) as u128).to_be_bytes();
            let fate = FATES.iter().position(|known| known == fate).unwrap() as u8;
            let class = if *lane < LONG_LANE { RetentionClass::Short } else { RetentionClass::Long };
            Record::for_test(id, class, received, &[*lane, fate])
        });
        let before = *self.log.durable_head().borrow();
        self.log.append(records.collect()).await.unwrap();
        (before.0..self.log.durable_head().borrow().0).map(Offset).collect()
    }

    async fn disclosed(&self, events: usize) -> Vec<Offset> {
        let samples: Vec<Sample> = (0..events).map(|index| Sample((index * 7 % 20) as u8, Fate::Disclosed)).collect();
        self.append(&samples, clock::now()).await
    }

    fn webhook(&self, url: &str) -> Box<dyn Destination> {
        let secret = self.directory.path().join("secret");
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let settings = format!("url = {url:?}\nsecret = \"file:{}\"", secret.display()).parse().unwrap();
        (DestinationType::named("webhook").unwrap().open)(&settings).unwrap()
    }

    /// Tries out every other request.
    fn ga4(&self, endpoint: &str) -> Box<dyn Destination> {
        let secret = self.directory.path().join("secret");
        std::fs::write(&secret, "secret").unwrap();
        let secret = secret.display();
        let settings = format!("measurement_id = \"G-A\"\nendpoint = {endpoint:?}\napi_secret = \"file:{secret}\"\nvalidate_every = 2");
        (DestinationType::named("ga4").unwrap().open)(&settings.parse().unwrap()).unwrap()
    }

    fn file(&self) -> Box<dyn Destination> {
        (DestinationType::named("file").unwrap().open)(&"directory = \"outbox\"".parse().unwrap()).unwrap()
    }

    /// Starts a courier whose consumer state begins at the log's first record.
    fn start(&self, number: DestinationNumber, service: Box<dyn Destination>, paused: bool) -> Running {
        let consumer = self.ledger.consumer(number, Offset(0)).unwrap();
        let courier = Arc::new(Courier {
            number,
            name: format!("destination {}", number.0),
            paused,
            limits: service.limits(),
            service,
            disclose: Box::new(|record, _| disclose(record)),
            stands: Box::new(|_, _| Standing::Stands),
            schema: Box::new(|disclosure| Schema::of(disclosure, &Documents::default())),
            held: None,
            log: Arc::clone(&self.log),
            calendar: Arc::clone(&self.calendar),
            carriers: Arc::clone(&self.carriers),
            ledger: self.ledger.clone(),
            feed: self.feed.clone(),
            gate: Gate::new(Breaker::new(Backoff::seeded(1))),
            gauges: Arc::new(Gauges::new(&BTreeMap::new())),
            supervisor: self.supervisor.clone(),
            thread: WorkThread::start("courier").unwrap(),
            stop: self.supervisor.stop_signal().child_token(),
            corruption_said: AtomicBool::new(false),
            accepted_parcels: AtomicU64::new(0),
            trial_under_way: AtomicBool::new(false),
        });
        let ended = CancellationToken::new();
        let (task, end) = (Arc::clone(&courier), ended.clone().drop_guard());
        self.supervisor.spawn("courier", async move {
            let _ended_when_dropped = end;
            task.run(consumer, 1).await;
        });
        Running { courier, ended }
    }

    fn done(&self, number: DestinationNumber) -> bool {
        self.ledger.consumer(number, Offset(0)).unwrap().low_water() == *self.log.durable_head().borrow()
    }

    async fn until_done(&self, number: DestinationNumber) {
        until(|| self.done(number)).await;
    }

    fn state(&self, number: DestinationNumber, offset: Offset) -> Option<(LedgerState, String)> {
        self.ledger.state_of(number, offset).unwrap().map(|entry| (entry.state, entry.rule))
    }

    /// What left to a destination. The test may run over midnight, so it is of several days.
    fn left(&self, number: DestinationNumber) -> Vec<DayRecord> {
        let records = self.egress.open_records().unwrap().into_iter().flat_map(|(_, records)| records);
        records.filter(|record| record.number == number.0).collect()
    }

    fn accounted(&self, number: DestinationNumber) -> u64 {
        self.ledger.counts(number).unwrap().values().sum()
    }
}

async fn until(done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it is done in time");
}
