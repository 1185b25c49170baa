//! What a receiver on the network can do wrong: delivery goes on when it is well again, in order, and nobody else has waited.

use super::*;

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
        assert!(receiver.taken().len() <= crate::delivery::LANES, "tried no more often than lanes had begun");
        assert_eq!(yard.accounted(WEBHOOK), 0, "{reply:?}: no event is to blame");
        refused.stop().await;
        repaired.store(true, Ordering::Relaxed);
        yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
        yard.until_done(WEBHOOK).await;
        assert_eq!(receiver.accepted().len(), 200);
    }
}

/// A receiver that takes one visitor's events at a time.
struct OneVisitorEach(Box<dyn Destination>);

impl Destination for OneVisitorEach {
    fn name(&self) -> &'static str {
        "one_visitor_each"
    }
    fn url(&self) -> Option<&str> {
        self.0.url()
    }
    fn limits(&self) -> BatchLimits {
        BatchLimits { group_by: GroupBy::Visitor, ..self.0.limits() }
    }
    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        self.0.encode(batch)
    }
    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        self.0.judge(parcel, answer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distant_receiver_of_small_parcels_is_asked_many_times_at_once_and_in_order_for_each_visitor() {
    const LATE_MS: u64 = 150;
    // A machine with other work is no timeout, after which an event would come twice.
    let yard = Yard::that_waits(PATIENCE);
    let receiver = HttpDouble::start(&yard.supervisor, |_, _| Reply::Late(LATE_MS)).await;
    for _ in 0..3 {
        let samples: Vec<Sample> = (0..200).map(|lane| Sample(lane, Fate::Disclosed)).collect();
        yard.append(&samples, clock::now()).await;
    }
    yard.start(WEBHOOK, Box::new(OneVisitorEach(yard.webhook(&receiver.url()))), false);
    yard.until_done(WEBHOOK).await;
    let taken = receiver.taken();
    let window = Duration::from_millis(LATE_MS);
    // What came within one answer's time was under way together.
    let together =
        taken.iter().map(|first| taken.iter().filter(|other| other.at >= first.at && other.at - first.at < window).count()).max();
    assert!(together > Some(64), "{together:?} at once");
    let arrived: Vec<u64> = taken.iter().flat_map(Taken::offsets).collect();
    assert_eq!(arrived.len(), 600);
    assert_in_order(&arrived, |offset| (offset % 200) as u8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_leaves_in_well_filled_parcels_many_at_once_and_in_order_for_each_visitor() {
    const LATE_MS: u64 = 100;
    const SUBJECTS: u8 = 240;
    // A machine with other work is no timeout, after which an event would come twice.
    let yard = Yard::that_waits(PATIENCE);
    // Some fail, and come again while others of the same lane go on.
    let receiver =
        HttpDouble::start(&yard.supervisor, |_, index| if index % 10 == 3 { Reply::Status(503) } else { Reply::Late(LATE_MS) }).await;
    for _ in 0..25 {
        let samples: Vec<Sample> = (0..SUBJECTS).map(|lane| Sample(lane, Fate::Disclosed)).collect();
        yard.append(&samples, clock::now()).await;
    }
    yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
    yard.until_done(WEBHOOK).await;
    let taken = receiver.taken();
    let window = Duration::from_millis(LATE_MS);
    let together =
        taken.iter().map(|first| taken.iter().filter(|other| other.at >= first.at && other.at - first.at < window).count()).max();
    assert!(together > Some(2 * crate::delivery::LANES), "{together:?} at once");
    let accepted: Vec<Vec<u64>> = taken.iter().filter(|taken| taken.reply == Reply::Late(LATE_MS)).map(Taken::offsets).collect();
    let arrived = accepted.concat();
    assert!(arrived.len() > 40 * accepted.len(), "{} parcels are well filled", accepted.len());
    assert_eq!(arrived.len(), 25 * usize::from(SUBJECTS));
    assert_in_order(&arrived, |offset| (offset % u64::from(SUBJECTS)) as u8);
}
