//! Fault tests: couriers on a real event log and a real ledger, against a receiver that is cut, stalls, refuses or talks nonsense.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff,
    breaker::{Breaker, Gate},
    carrier::{Carriers, file::FileCarrier, http::HttpCarrier},
    courier::{Courier, DiscloseError},
    group::Pending,
    http_double::{HttpDouble, Reply},
    lane::Lane,
    ledger::{Ledger, LedgerState},
    settle::Report,
    status::{CourierState, Gauges},
};
use crate::{
    clock::{self, Timestamp},
    console::feed::{Feed, Item},
    destination::{Answer, BatchLimits, Destination, DestinationType, FileAppend, GroupBy, Parcel, Verdict, Via},
    event::{DestinationNumber, Offset, RetentionClass},
    event_log::{DiskFiles, EventLog, LogOptions, LogRecord},
    privacy::{
        disclose::{Disclosed, Disclosure, Withheld},
        record::{HEADER_BYTES, Record, header_of},
    },
    state::StateDb,
    supervise::Supervisor,
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
    carriers: Arc<Carriers>,
    feed: Feed,
    supervisor: Supervisor,
    appended: AtomicUsize,
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
        let directory = tempfile::tempdir().unwrap();
        let files = Arc::new(DiskFiles::open(&directory.path().join("log")).unwrap());
        let options = LogOptions { preallocate_bytes: 1 << 16, roll_bytes: 1 << 14, ..LogOptions::default() };
        let log = Arc::new(EventLog::open(files, options, clock::now()).unwrap());
        let ledger = Ledger::new(Arc::new(StateDb::open(&directory.path().join("state.db")).unwrap()));
        let supervisor = Supervisor::new();
        let http = HttpCarrier::with_timeouts(None, TIMEOUT, TIMEOUT).unwrap();
        let file = FileCarrier::new(directory.path().to_owned(), supervisor.clone());
        let carriers = Arc::new(Carriers::new(http, file));
        Self { directory, log, ledger, carriers, feed: Feed::default(), supervisor, appended: AtomicUsize::new(0) }
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
            log: Arc::clone(&self.log),
            carriers: Arc::clone(&self.carriers),
            ledger: self.ledger.clone(),
            feed: self.feed.clone(),
            gate: Gate::new(Breaker::new(Backoff::seeded(1))),
            gauges: Arc::new(Gauges::new(&BTreeMap::new())),
            supervisor: self.supervisor.clone(),
            stop: self.supervisor.stop_signal().child_token(),
            corruption_said: AtomicBool::new(false),
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

/// Within each lane, what arrived first arrived in the order of the log.
fn assert_in_order(arrived: &[u64], lane: impl Fn(u64) -> u8) {
    let mut last: BTreeMap<u8, u64> = BTreeMap::new();
    for offset in arrived {
        let before = last.insert(lane(*offset), *offset);
        assert!(before.is_none_or(|before| before < *offset), "{offset} came after {before:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_every_fault_everything_arrives_in_order_and_nobody_else_waited() {
    let yard = Yard::new();
    let faults = [Reply::Cut, Reply::Garbage, Reply::Status(500), Reply::CutInBody, Reply::Stall, Reply::Status(503), Reply::Status(502)];
    let well = Arc::new(AtomicBool::new(false));
    let repaired = Arc::clone(&well);
    let receiver = HttpDouble::start(&yard.supervisor, move |_, index| {
        if repaired.load(Ordering::Relaxed) && index % 9 != 0 { Reply::Status(204) } else { faults[index % faults.len()] }
    })
    .await;
    let offsets = yard.disclosed(400).await;
    let troubled = yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
    yard.start(FILE, yard.file(), false);
    yard.until_done(FILE).await;
    assert_eq!(yard.accounted(FILE), 400, "the file is complete while the webhook has trouble");
    until(|| troubled.state() == CourierState::BreakerOpen).await;
    assert!(yard.accounted(WEBHOOK) == 0 && !yard.done(WEBHOOK));
    well.store(true, Ordering::Relaxed);
    yard.until_done(WEBHOOK).await;
    let accepted = receiver.accepted();
    assert_eq!(accepted.len(), 400);
    assert_in_order(&accepted, |offset| (offset * 7 % 20) as u8);
    for offset in offsets {
        assert_eq!(yard.state(WEBHOOK, offset).unwrap().0, LedgerState::Accepted);
    }
    assert_eq!(yard.accounted(WEBHOOK), 400);
    let lines = std::fs::read_to_string(yard.directory.path().join("outbox/events.ndjson")).unwrap();
    assert_eq!(lines.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_holds_all_lanes_and_a_retry_is_the_same_message() {
    let yard = Yard::new();
    let receiver =
        HttpDouble::start(&yard.supervisor, |_, index| if index == 0 { Reply::RetryAfter(429, 1) } else { Reply::Status(200) }).await;
    yard.append(&[Sample(1, Fate::Disclosed)], clock::now()).await;
    yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
    until(|| !receiver.taken().is_empty()).await;
    yard.disclosed(100).await;
    yard.until_done(WEBHOOK).await;
    let taken = receiver.taken();
    assert!(taken[1].at - taken[0].at >= Duration::from_secs(1), "no lane tried earlier");
    let again = taken.iter().skip(1).find(|again| again.offsets() == taken[0].offsets()).unwrap();
    assert_eq!(again.headers["webhook-id"], taken[0].headers["webhook-id"]);
    assert_eq!(again.body, taken[0].body);
    assert_eq!(receiver.accepted().len(), 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn bisecting_isolates_one_poison_event_out_of_fifty() {
    let yard = Yard::new();
    for poison in [0_u64, 31, 49] {
        let receiver = HttpDouble::start(&yard.supervisor, move |taken, _| {
            if taken.offsets().iter().any(|offset| offset % 50 == poison) { Reply::Status(422) } else { Reply::Status(204) }
        })
        .await;
        let number = DestinationNumber(100 + poison as u32);
        let begin = *yard.log.durable_head().borrow();
        yard.ledger.consumer(number, begin).unwrap();
        let offsets = yard.append(&[Sample(3, Fate::Disclosed); 50], clock::now()).await;
        yard.start(number, yard.webhook(&receiver.url()), false);
        yard.until_done(number).await;
        for offset in &offsets {
            let expected = if offset.0 % 50 == poison { LedgerState::Rejected } else { LedgerState::Accepted };
            assert_eq!(yard.state(number, *offset).unwrap().0, expected);
        }
        let parked = yard.ledger.parked(number).unwrap();
        assert_eq!(parked.iter().map(|parked| parked.offset.0 % 50).collect::<Vec<_>>(), [poison]);
        assert_eq!(parked[0].reason, "the receiver refuses the message");
        // One for all fifty, then two per halving: 50, 25, 13, 7, 4, 2, 1.
        let attempts = receiver.taken().len();
        assert!(attempts <= 1 + 2 * 6, "{attempts} attempts");
        let order = receiver.accepted();
        assert!(order.is_sorted() && order.len() == 49, "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_refuses_everything_costs_no_event() {
    for reply in [Reply::Status(410), Reply::Redirect, Reply::Status(401)] {
        let yard = Yard::new();
        let repaired = Arc::new(AtomicBool::new(false));
        let well = Arc::clone(&repaired);
        let receiver =
            HttpDouble::start(&yard.supervisor, move |_, _| if well.load(Ordering::Relaxed) { Reply::Status(204) } else { reply }).await;
        yard.disclosed(200).await;
        let refused = yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
        until(|| refused.state() == CourierState::Refused).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(receiver.taken().len() <= super::LANES, "tried no more often than lanes had begun");
        assert_eq!(yard.accounted(WEBHOOK), 0, "{reply:?}: no event is to blame");
        refused.stop().await;
        repaired.store(true, Ordering::Relaxed);
        yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
        yard.until_done(WEBHOOK).await;
        assert_eq!(receiver.accepted().len(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exception_has_its_place_in_the_ledger_and_is_shown() {
    let yard = Yard::new();
    let receiver = HttpDouble::start(&yard.supervisor, |_, _| Reply::Status(204)).await;
    let mut watcher = yard.feed.watch();
    let long_ago = clock::now().minus(Duration::from_secs(80 * 60 * 60));
    let old = yard.append(&[Sample(1, Fate::Disclosed), Sample(2, Fate::Withheld)], long_ago).await;
    let fates = FATES.map(|fate| Sample(4, fate));
    let new = yard.append(&fates, clock::now()).await;
    yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
    yard.until_done(WEBHOOK).await;
    let expected = [
        (old[0], Some((LedgerState::Expired, "too_old"))),
        (old[1], Some((LedgerState::Withheld, "no_consent"))),
        (new[0], Some((LedgerState::Accepted, ""))),
        (new[1], Some((LedgerState::Withheld, "no_consent"))),
        (new[2], Some((LedgerState::Purged, ""))),
        (new[3], None),
        (new[4], Some((LedgerState::Rejected, "corrupt"))),
    ];
    for (offset, state) in expected {
        let found = yard.state(WEBHOOK, offset);
        assert_eq!(found.as_ref().map(|(state, rule)| (*state, rule.as_str())), state, "{offset:?}");
    }
    assert_eq!(yard.ledger.parked(WEBHOOK).unwrap(), [], "what cannot be read is not parked one by one");
    until(|| watcher.len() >= 6).await;
    let mut shown = BTreeMap::new();
    while let Ok(item) = watcher.try_recv() {
        if let Item::Settled { offset, state, received, .. } = &*item {
            shown.insert(offset.0, (*state, received.as_ref().map(|received| received["event_id"].clone())));
        }
    }
    assert_eq!(shown.len(), 6);
    assert_eq!(shown[&new[0].0], ("accepted", Some(format!("00000000-0000-8000-8000-{:012x}", new[0].0).into())));
    assert_eq!(shown[&new[1].0], ("withheld", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_the_log_before_it_was_delivered_is_counted() {
    let yard = Yard::new();
    let long_ago = clock::now().minus(Duration::from_secs(80 * 60 * 60));
    // Two families of log segments, interleaved; only the short one is past its retention.
    let mut old = Vec::new();
    for _ in 0..6 {
        old.extend(yard.append(&[Sample(1, Fate::Disclosed), Sample(LONG_LANE, Fate::Disclosed)].repeat(100), long_ago).await);
    }
    assert!(yard.log.drop_expired(clock::now()).unwrap() > 0, "something is dropped");
    let kept = yard.append(&[Sample(1, Fate::Disclosed); 10], clock::now()).await;
    let mut reader = yard.log.reader(Offset(0));
    let there: Vec<Offset> = std::iter::from_fn(|| reader.read(512, 1 << 20).ok().filter(|records| !records.is_empty()))
        .flatten()
        .map(|record| record.offset)
        .collect();
    let receiver = HttpDouble::start(&yard.supervisor, |_, _| Reply::Status(204)).await;
    yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
    yard.until_done(WEBHOOK).await;
    for offset in &old {
        let rule = if there.contains(offset) { "too_old" } else { "not_in_log" };
        assert_eq!(yard.state(WEBHOOK, *offset), Some((LedgerState::Expired, rule.to_owned())), "{offset:?}");
    }
    assert!(old.iter().any(|offset| !there.contains(offset)));
    assert_eq!(receiver.accepted(), kept.iter().map(|offset| offset.0).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_destination_loses_only_what_is_too_old() {
    let yard = Yard::new();
    let receiver = HttpDouble::start(&yard.supervisor, |_, _| Reply::Status(204)).await;
    let long_ago = clock::now().minus(Duration::from_secs(80 * 60 * 60));
    let old = yard.append(&[Sample(1, Fate::Disclosed); 3], long_ago).await;
    let new = yard.disclosed(5).await;
    let paused = yard.start(WEBHOOK, yard.webhook(&receiver.url()), true);
    until(|| yard.accounted(WEBHOOK) == 3).await;
    assert_eq!(yard.state(WEBHOOK, old[2]), Some((LedgerState::Expired, "too_old".to_owned())));
    assert_eq!(receiver.taken().len(), 0);
    paused.stop().await;
    yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
    yard.until_done(WEBHOOK).await;
    let mut accepted = receiver.accepted();
    accepted.sort_unstable();
    assert_eq!(accepted, new.iter().map(|offset| offset.0).collect::<Vec<_>>());
}

/// Puts events into a lane whose disclosures were made some time ago, and waits until the lane has done with them.
async fn lane_of_old_disclosures(courier: &Arc<Courier>, offsets: &[Offset], disclosed: Timestamp) -> Vec<Report> {
    let (queue, queued) = mpsc::channel(10);
    let (reports, mut reported) = mpsc::channel(10);
    for offset in offsets {
        let disclosure = Box::new(Disclosure::for_test(*offset, 1, clock::now()));
        queue.send(Pending { disclosure, disclosed }).await.ok().unwrap();
    }
    drop(queue);
    Lane { courier: Arc::clone(courier), queue: queued, reports, backoff: Backoff::seeded(1) }.run().await;
    std::iter::from_fn(|| reported.try_recv().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_while_it_waited_does_not_leave() {
    let yard = Yard::new();
    let samples = [Fate::Disclosed, Fate::Purged, Fate::Withheld, Fate::NotAddressed].map(|fate| Sample(1, fate));
    let offsets = yard.append(&samples, clock::now()).await;
    let receiver = HttpDouble::start(&yard.supervisor, |_, _| Reply::Status(204)).await;
    let courier = yard.start(WEBHOOK, yard.webhook(&receiver.url()), true).courier;
    let reports = lane_of_old_disclosures(&courier, &offsets, clock::now().minus(Duration::from_secs(61))).await;
    assert_eq!(receiver.accepted(), [offsets[0].0]);
    let ended: BTreeMap<Offset, (LedgerState, &str)> = reports
        .iter()
        .filter_map(|report| if let Report::Ended(exceptions) = report { Some(exceptions) } else { None })
        .flatten()
        .flat_map(|ended| ended.offsets.iter().map(|offset| (offset, (ended.state, ended.rule))))
        .collect();
    let expected = [(LedgerState::Purged, ""), (LedgerState::Withheld, "no_consent"), (LedgerState::Withheld, "policy")];
    assert_eq!(ended, offsets[1..].iter().copied().zip(expected).collect());
    lane_of_old_disclosures(&courier, &offsets, clock::now()).await;
    assert_eq!(receiver.taken().len(), 2, "a disclosure of this minute is good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_disclosed_again_as_it_stands_now() {
    let yard = Yard::new();
    let offsets = yard.append(&[Sample(1, Fate::Disclosed), Sample(1, Fate::Purged), Sample(1, Fate::Withheld)], clock::now()).await;
    let running = yard.start(WEBHOOK, yard.file(), true);
    let again = |offset| running.courier.disclose_again(offset, clock::now());
    assert!(matches!(again(offsets[0]), Ok(Some(Disclosed::Disclosure(disclosure))) if disclosure.offset() == offsets[0]));
    assert!(matches!(again(offsets[1]), Ok(Some(Disclosed::Purged))));
    assert!(matches!(again(offsets[2]), Ok(Some(Disclosed::Withheld(Withheld::NoConsent)))));
    assert!(matches!(again(offsets[2].next()), Ok(None)));
}

/// Answers by a rule of the test, without a network: its lines go to a file, and the answer to them is made up. So that tests can run on
/// a clock that jumps over waiting times.
struct Scripted<F> {
    answer: F,
    judge: Box<dyn Destination>,
}

impl<F: Fn(&[Offset]) -> u16 + Send + Sync> Destination for Scripted<F> {
    fn name(&self) -> &'static str {
        "scripted"
    }
    fn limits(&self) -> BatchLimits {
        self.judge.limits()
    }
    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let append = FileAppend { directory: "scripted".into(), rotate_bytes: 1 << 20, keep: 1 };
        let events = batch.iter().map(|disclosure| disclosure.offset()).collect();
        vec![Parcel { via: Via::File(append), body: bytes::Bytes::from_static(b"\n"), events, unsaid: 0 }]
    }
    fn judge(&self, parcel: &Parcel, _: &Answer) -> Vec<Verdict> {
        let status = (self.answer)(&parcel.events);
        self.judge.judge(parcel, &Answer::Http { status, retry_after: None, body: bytes::Bytes::new() })
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_at_which_the_receiver_always_fails_is_parked_and_holds_nobody_up() {
    let yard = Yard::new();
    let poison = Offset(77);
    let answer = move |events: &[Offset]| if events.contains(&poison) { 500 } else { 204 };
    yard.start(WEBHOOK, Box::new(Scripted { answer, judge: yard.webhook("https://example.org/") }), false);
    let mut appended = 0;
    // Events keep coming, for hours by the tests' clock.
    while !yard.done(WEBHOOK) || appended < 400 {
        if appended < 4000 {
            appended += yard.disclosed(10).await.len();
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(yard.state(WEBHOOK, poison), Some((LedgerState::Rejected, "the receiver fails at it, and takes others".to_owned())));
    assert_eq!(yard.ledger.counts(WEBHOOK).unwrap()[&LedgerState::Rejected], 1);
    assert_eq!(yard.accounted(WEBHOOK), appended as u64);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_fails_at_everything_costs_no_event() {
    let yard = Yard::new();
    let begun = tokio::time::Instant::now();
    let down = Duration::from_secs(6 * 60 * 60);
    let answer = move |_: &[Offset]| if begun.elapsed() < down { 500 } else { 204 };
    let running = yard.start(WEBHOOK, Box::new(Scripted { answer, judge: yard.webhook("https://example.org/") }), false);
    yard.disclosed(300).await;
    while !yard.done(WEBHOOK) {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(begun.elapsed() < down + Duration::from_secs(10 * 60), "found again soon");
    assert_eq!(yard.ledger.counts(WEBHOOK).unwrap(), BTreeMap::from([(LedgerState::Accepted, 300)]));
    assert!(running.courier.gauges.tally().failed < 6 * 60, "tried seldom");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refused_is_found_again_without_a_restart() {
    let yard = Yard::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let begun = tokio::time::Instant::now();
    let answer = move |_: &[Offset]| {
        count.fetch_add(1, Ordering::Relaxed);
        if begun.elapsed() < Duration::from_secs(3600) { 410 } else { 204 }
    };
    yard.start(WEBHOOK, Box::new(Scripted { answer, judge: yard.webhook("https://example.org/") }), false);
    yard.disclosed(5).await;
    while !yard.done(WEBHOOK) {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(yard.ledger.counts(WEBHOOK).unwrap(), BTreeMap::from([(LedgerState::Accepted, 5)]));
    assert!(asked.load(Ordering::Relaxed) <= 2 * super::LANES + 6, "asked every ten minutes");
}

/// Judges by chance.
struct ByChance {
    directory: std::path::PathBuf,
    random: Mutex<fastrand::Rng>,
    group_by: GroupBy,
}

impl ByChance {
    fn new(directory: &Path, seed: u64, group_by: GroupBy) -> Box<Self> {
        Box::new(Self { directory: directory.join("chance"), random: Mutex::new(fastrand::Rng::with_seed(seed)), group_by })
    }
}

impl Destination for ByChance {
    fn name(&self) -> &'static str {
        "by_chance"
    }
    fn limits(&self) -> BatchLimits {
        BatchLimits { events: 16, bytes: 10_000, oldest: Duration::from_secs(3600), group_by: self.group_by }
    }
    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let chunks = batch.chunks(5).map(|chunk| Parcel {
            via: Via::File(FileAppend { directory: self.directory.clone(), rotate_bytes: 1 << 20, keep: 1 }),
            body: chunk.iter().flat_map(|disclosure| format!("{}\n", disclosure.offset().0).into_bytes()).collect::<Vec<_>>().into(),
            events: chunk.iter().map(|disclosure| disclosure.offset()).collect(),
            unsaid: 0,
        });
        chunks.collect()
    }
    fn judge(&self, parcel: &Parcel, _: &Answer) -> Vec<Verdict> {
        let mut random = self.random.lock().unwrap();
        if random.u8(..8) == 0 {
            return vec![Verdict::Rejected { reason: "all of it" }; parcel.events.len()];
        }
        let mut one = |_: &Offset| match random.u8(..12) {
            0 => Verdict::Rejected { reason: "this one" },
            1 => Verdict::DroppedByReceiver,
            2 => Verdict::Accepted { proven: false },
            3 if random.bool() => Verdict::Retry { after: None },
            _ => Verdict::Accepted { proven: true },
        };
        parcel.events.iter().map(&mut one).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Whatever becomes of events, and whenever the courier is stopped and started: each has exactly one end, or none if it is not
    /// addressed, and the counts add up.
    #[test]
    fn the_ledger_accounts_for_every_offset_exactly_once(
        samples in prop::collection::vec((any::<u8>(), 0..FATES.len() + 4), 30..150),
        stops in prop::collection::vec(0..120_u64, 0..3),
        seed in any::<u64>(),
        group_by in prop::sample::select(vec![GroupBy::None, GroupBy::Visitor, GroupBy::Event]),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let yard = Yard::new();
            let samples: Vec<Sample> =
                samples.iter().map(|(lane, fate)| Sample(*lane, FATES.get(*fate).copied().unwrap_or(Fate::Disclosed))).collect();
            let (early, late) = samples.split_at(samples.len() / 2);
            let mut offsets = yard.append(early, clock::now()).await;
            for (index, stop) in stops.iter().enumerate() {
                let running = yard.start(WEBHOOK, ByChance::new(yard.directory.path(), seed.wrapping_add(index as u64), group_by), false);
                tokio::time::sleep(Duration::from_millis(*stop)).await;
                running.stop().await;
            }
            offsets.extend(yard.append(late, clock::now()).await);
            yard.start(WEBHOOK, ByChance::new(yard.directory.path(), !seed, group_by), false);
            yard.until_done(WEBHOOK).await;
            for (offset, Sample(_, fate)) in offsets.iter().zip(&samples) {
                let state = yard.state(WEBHOOK, *offset).map(|(state, _)| state);
                match fate {
                    Fate::Disclosed => assert!(matches!(
                        state,
                        Some(LedgerState::Accepted | LedgerState::AcceptedUnproven | LedgerState::DroppedByReceiver | LedgerState::Rejected)
                    ), "{offset:?}: {state:?}"),
                    Fate::Withheld => assert_eq!(state, Some(LedgerState::Withheld)),
                    Fate::Purged => assert_eq!(state, Some(LedgerState::Purged)),
                    Fate::NotAddressed => assert_eq!(state, None),
                    Fate::Corrupt => assert_eq!(state, Some(LedgerState::Rejected)),
                }
            }
            let addressed = samples.iter().filter(|Sample(_, fate)| *fate != Fate::NotAddressed).count();
            assert_eq!(yard.accounted(WEBHOOK), addressed as u64, "each exactly once");
        });
    }
}
