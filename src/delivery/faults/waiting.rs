//! What waiting does: for hours, on a clock that jumps; and to disclosures, which go stale meanwhile.

use super::*;

/// Puts events into a lane whose disclosures were made some time ago, and waits until the lane has done with them.
async fn lane_of_old_disclosures(courier: &Arc<Courier>, offsets: &[Offset], disclosed: Timestamp) -> Vec<Report> {
    let (queue, queued) = mpsc::channel(10);
    let (reports, mut reported) = mpsc::channel(10);
    for offset in offsets {
        let disclosure = Box::new(Disclosure::for_test(*offset, 1, clock::now()));
        queue.send(courier.pending(disclosure, disclosed)).await.ok().unwrap();
    }
    drop(queue);
    Lane { courier: Arc::clone(courier), queue: queued, reports, backoff: Backoff::seeded(1), strands: 1 }.run().await;
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
async fn what_waits_for_an_attempt_when_the_clock_jumps_goes_on_waiting() {
    let mut yard = Yard::new();
    yard.calendar = doubtful_calendar();
    let receiver = HttpDouble::start(&yard.supervisor, |_, _| Reply::Status(204)).await;
    let courier = yard.start(WEBHOOK, yard.webhook(&receiver.url()), true).courier;
    let (queue, queued) = mpsc::channel(10);
    let (reports, mut reported) = mpsc::channel(10);
    let long_ago = clock::now().minus(Duration::from_secs(80 * 60 * 60));
    queue.send(courier.pending(Box::new(Disclosure::for_test(Offset(1), 1, long_ago)), clock::now())).await.ok().unwrap();
    let lane = Lane { courier: Arc::clone(&courier), queue: queued, reports, backoff: Backoff::seeded(1), strands: 1 };
    let over = tokio::time::timeout(Duration::from_millis(300), lane.run()).await;
    assert!(over.is_err() && reported.try_recv().is_err() && receiver.taken().is_empty(), "neither sent nor ended");
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

    fn url(&self) -> Option<&str> {
        None
    }
    fn limits(&self) -> BatchLimits {
        self.judge.limits()
    }
    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let append =
            FileAppend { directory: "scripted".into(), rotate_bytes: 1 << 20, rotate_after: None, keep: 1, format: FileFormat::Lines };
        let events = batch.iter().map(|disclosure| disclosure.offset()).collect();
        vec![Parcel { via: Via::File(append), body: bytes::Bytes::from_static(b"\n"), events, unsaid: 0 }]
    }
    fn judge(&self, parcel: &Parcel, _: &Answer) -> Vec<Verdict> {
        let status = (self.answer)(&parcel.events);
        self.judge.judge(parcel, &Answer::Http { status, retry_after: None, body: bytes::Bytes::new(), noted: None })
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
    assert!(asked.load(Ordering::Relaxed) <= 2 * crate::delivery::LANES + 6, "asked every ten minutes");
}
