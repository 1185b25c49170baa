//! Every event has its one end in the ledger, whatever becomes of it.

use super::*;
use crate::egress::record::SchemaRecord;

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

#[tokio::test(flavor = "multi_thread")]
async fn by_a_clock_that_is_not_believed_no_event_is_too_old() {
    for paused in [false, true] {
        let mut yard = Yard::new();
        yard.calendar = doubtful_calendar();
        let receiver = HttpDouble::start(&yard.supervisor, |_, _| Reply::Status(204)).await;
        let young = yard.disclosed(2).await;
        let old = yard.append(&[Sample(1, Fate::Disclosed); 3], clock::now().minus(Duration::from_secs(80 * 60 * 60))).await;
        let waiting = yard.start(WEBHOOK, yard.webhook(&receiver.url()), paused);
        until(|| paused || yard.accounted(WEBHOOK) == 2).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(old.iter().all(|offset| yard.state(WEBHOOK, *offset).is_none()), "they wait");
        assert_eq!(receiver.accepted().len(), if paused { 0 } else { young.len() }, "nor do they leave");
        waiting.stop().await;
        yard.calendar = calendar(None);
        yard.start(WEBHOOK, yard.webhook(&receiver.url()), false);
        yard.until_done(WEBHOOK).await;
        assert!(old.iter().all(|offset| yard.state(WEBHOOK, *offset) == Some((LedgerState::Expired, "too_old".to_owned()))));
    }
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

    fn url(&self) -> Option<&str> {
        None
    }
    fn limits(&self) -> BatchLimits {
        BatchLimits { events: 16, bytes: 10_000, oldest: Duration::from_secs(3600), group_by: self.group_by }
    }
    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let chunks = batch.chunks(5).map(|chunk| Parcel {
            via: Via::File(FileAppend {
                directory: self.directory.clone(),
                rotate_bytes: 1 << 20,
                rotate_after: None,
                keep: 1,
                format: FileFormat::Lines,
            }),
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
            let left = yard.left(WEBHOOK);
            let sum = |of: &dyn Fn(&DayRecord) -> u64| left.iter().map(of).sum::<u64>();
            let mut by_answer = 0;
            for (state, count) in yard.ledger.counts(WEBHOOK).unwrap() {
                assert_eq!(sum(&|record| record.ended(state.name())), count, "{state:?} among what left");
                let corrupt = sum(&|record| record.ended.get("rejected/corrupt").copied().unwrap_or(0));
                by_answer += match state {
                    LedgerState::Accepted | LedgerState::AcceptedUnproven | LedgerState::DroppedByReceiver => count,
                    LedgerState::Rejected => count - corrupt,
                    LedgerState::Expired | LedgerState::Withheld | LedgerState::Purged => 0,
                };
            }
            let schemas = |of: &dyn Fn(&SchemaRecord) -> u64| sum(&|record| record.schemas.iter().map(of).sum());
            assert_eq!(schemas(&|schema| schema.ended), by_answer, "what an answer ended, ended in a schema, once");
            assert_eq!(schemas(&|schema| schema.sent), sum(&|record| record.sent("events")));
            assert!(schemas(&|schema| schema.sent) >= by_answer, "and had left before");
            assert_eq!(sum(&|record| record.interrupted), 0, "to be stopped is no crash");
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_out_with_a_validator_ends_nothing_and_holds_nothing_up() {
    const IS_TRIAL: &[u8] = b"validation_behavior";
    let is_trial = |taken: &Taken| taken.body.windows(IS_TRIAL.len()).any(|part| part == IS_TRIAL);
    let faulty = Reply::Body(r#"{"validationMessages":[{"fieldPath":"events","description":"x","validationCode":"NAME_INVALID"}]}"#);
    for (said, faults) in [(faulty, true), (Reply::Stall, false)] {
        let yard = Yard::new();
        let receiver = HttpDouble::start(&yard.supervisor, move |taken, _| if is_trial(taken) { said } else { Reply::Status(204) }).await;
        let offsets = yard.disclosed(40).await;
        let running = yard.start(WEBHOOK, yard.ga4(&receiver.url().replace("/hook", "/mp/collect")), false);
        yard.until_done(WEBHOOK).await;
        for offset in offsets {
            assert_eq!(yard.state(WEBHOOK, offset).unwrap().0, LedgerState::AcceptedUnproven);
        }
        let status = || running.courier.gauges.read("", "ga4", CourierState::Running, Offset(40), clock::now());
        let trials_left = || yard.left(WEBHOOK).iter().map(|record| record.sent("trial_parcels")).sum::<u64>() as usize;
        until(|| trials_left() > 0 && trials_left() == receiver.taken().iter().filter(|taken| is_trial(taken)).count()).await;
        if faults {
            until(|| status().trials > 0).await;
            assert_eq!((status().trials_faulty, status().last_finding), (status().trials, Some("NAME_INVALID")));
        } else {
            assert_eq!((status().trials, status().last_finding), (0, None));
            assert_eq!(receiver.taken().iter().filter(|taken| is_trial(taken)).count(), 1, "one that stalls is not asked again meanwhile");
        }
    }
}
