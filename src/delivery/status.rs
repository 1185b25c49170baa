//! How one destination's delivery stands, for the console and for metrics. Numbers and constants only.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use serde::Serialize;

use super::{
    breaker::Phase,
    consumer::Consumer,
    ledger::{LedgerState, Status},
};
use crate::{
    clock::Timestamp,
    event::Offset,
    metrics::{Counter, Exposition, Gauge},
};

/// No event is open.
const NONE_OPEN: i64 = i64::MAX;

/// What a courier writes down while it works. Read by others at any time.
pub(super) struct Gauges {
    /// Attempts under way.
    pub(super) in_flight: Gauge,
    /// Lanes that wait before they try again.
    pub(super) backing_off: Gauge,
    /// Whether the next event waits for its period's end.
    pub(super) holding_back: AtomicBool,
    attempts: Counter,
    failed: Counter,
    low_water: AtomicU64,
    head: AtomicU64,
    open: Gauge,
    oldest_open: AtomicI64,
    ended: [AtomicU64; LedgerState::ALL.len()],
    last_status: Mutex<Option<Status>>,
    unsaid: Counter,
    trials: Counter,
    trials_faulty: Counter,
    last_finding: Mutex<Option<&'static str>>,
}

impl Gauges {
    pub(super) fn new(counts: &BTreeMap<LedgerState, u64>) -> Self {
        Self {
            in_flight: Gauge::default(),
            backing_off: Gauge::default(),
            holding_back: AtomicBool::new(false),
            attempts: Counter::default(),
            failed: Counter::default(),
            low_water: AtomicU64::new(0),
            head: AtomicU64::new(0),
            open: Gauge::default(),
            oldest_open: AtomicI64::new(NONE_OPEN),
            ended: LedgerState::ALL.map(|state| AtomicU64::new(counts.get(&state).copied().unwrap_or(0))),
            last_status: Mutex::new(None),
            unsaid: Counter::default(),
            trials: Counter::default(),
            trials_faulty: Counter::default(),
            last_finding: Mutex::new(None),
        }
    }

    pub(super) fn stands_at(&self, consumer: &Consumer, oldest_open: Option<Timestamp>) {
        self.low_water.store(consumer.low_water().0, Ordering::Relaxed);
        self.head.store(consumer.head().0, Ordering::Relaxed);
        self.open.set(consumer.open().count());
        self.oldest_open.store(oldest_open.map_or(NONE_OPEN, |oldest| oldest.0), Ordering::Relaxed);
    }

    pub(super) fn ended(&self, state: LedgerState, events: u64) {
        self.ended[state as usize].fetch_add(events, Ordering::Relaxed);
    }

    /// So many parked events had ended as rejected, and are purged after all.
    pub(super) fn purged_after_all(&self, events: u64) {
        self.ended[LedgerState::Rejected as usize].fetch_sub(events, Ordering::Relaxed);
        self.ended(LedgerState::Purged, events);
    }

    /// An attempt came to this end, and has to be made again or not.
    pub(super) fn answered(&self, status: Status, failed: bool) {
        self.attempts.add(1);
        self.failed.add(u64::from(failed));
        *self.last_status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    /// An attempt carried events of which so many fields could not be said in the receiver's words.
    pub(super) fn left_unsaid(&self, fields: usize) {
        self.unsaid.add(fields as u64);
    }

    /// The receiver's validator said what it thinks of a parcel.
    pub(super) fn tried_out(&self, findings: &[&'static str]) {
        self.trials.add(1);
        if let Some(finding) = findings.first() {
            self.trials_faulty.add(1);
            *self.last_finding.lock().unwrap_or_else(PoisonError::into_inner) = Some(finding);
        }
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { attempts: self.attempts.value(), failed: self.failed.value() }
    }

    /// What is written down, put together with what only others know.
    pub(super) fn read(
        &self,
        name: &str,
        kind: &'static str,
        courier: CourierState,
        log_head: Offset,
        now: Timestamp,
    ) -> DestinationStatus {
        let oldest = self.oldest_open.load(Ordering::Relaxed);
        let last_status = *self.last_status.lock().unwrap_or_else(PoisonError::into_inner);
        DestinationStatus {
            name: name.to_owned(),
            kind,
            courier,
            lag: log_head.0.saturating_sub(self.low_water.load(Ordering::Relaxed)),
            open: self.open.value(),
            in_flight: self.in_flight.value(),
            attempts: self.attempts.value(),
            failed: self.failed.value(),
            ended: LedgerState::ALL.map(|state| (state.name(), self.ended[state as usize].load(Ordering::Relaxed))).into(),
            last_status: last_status.map(|status| status.to_string()),
            unsaid: self.unsaid.value(),
            trials: self.trials.value(),
            trials_faulty: self.trials_faulty.value(),
            last_finding: *self.last_finding.lock().unwrap_or_else(PoisonError::into_inner),
            oldest_open_ms: (oldest != NONE_OPEN).then(|| u64::try_from(now.since(Timestamp(oldest)).as_millis()).unwrap_or(u64::MAX)),
            problem: None,
        }
    }

    /// What the courier does, as far as its lanes and its breaker say.
    pub(super) fn phase(&self, phase: Phase) -> CourierState {
        match phase {
            Phase::Refused => CourierState::Refused,
            Phase::Open => CourierState::BreakerOpen,
            Phase::Held => CourierState::BackingOff,
            Phase::Closed if self.backing_off.value() > 0 => CourierState::BackingOff,
            Phase::Closed if self.holding_back.load(Ordering::Relaxed) => CourierState::HoldingBack,
            Phase::Closed => CourierState::Running,
        }
    }
}

/// How the attempts of all lanes of a courier have gone so far.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    /// Attempts that came to an end.
    pub(super) attempts: u64,
    /// Those of them that had to be made again.
    pub(super) failed: u64,
}

/// What a courier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CourierState {
    /// It delivers, or has nothing to deliver.
    Running,
    /// The next event waits until its hour or day is over, and decided on.
    HoldingBack,
    /// At least one lane waits before it tries again.
    BackingOff,
    /// Too many failures in a row: one attempt at a time, seldom.
    BreakerOpen,
    /// The endpoint refuses everything: someone must act.
    Refused,
    /// The document says that it rests; its events wait, and expire.
    Paused,
    /// It could not be started: someone must act.
    Stopped,
}

impl CourierState {
    const ALL: [Self; 7] =
        [Self::Running, Self::HoldingBack, Self::BackingOff, Self::BreakerOpen, Self::Refused, Self::Paused, Self::Stopped];

    const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::HoldingBack => "holding_back",
            Self::BackingOff => "backing_off",
            Self::BreakerOpen => "breaker_open",
            Self::Refused => "refused",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// How one destination's delivery stands.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationStatus {
    /// The destination's name.
    pub name: String,
    /// Its type.
    pub kind: &'static str,
    /// What its courier does.
    pub courier: CourierState,
    /// Records in the event log that have not ended here (of all sites).
    pub lag: u64,
    /// Events that were read and have not ended.
    pub open: u64,
    /// Attempts under way.
    pub in_flight: u64,
    /// Attempts since the program started.
    pub attempts: u64,
    /// Those of them that had to be made again.
    pub failed: u64,
    /// How many events ended how, over all that is kept.
    pub ended: BTreeMap<&'static str, u64>,
    /// What came back last: `204`, `timeout`.
    pub last_status: Option<String>,
    /// Fields that could not be said in the receiver's words, since the program started.
    pub unsaid: u64,
    /// Parcels that the receiver's own validator was asked about, since the program started.
    pub trials: u64,
    /// Those of them that it found a fault in.
    pub trials_faulty: u64,
    /// The last fault that it found.
    pub last_finding: Option<&'static str>,
    /// How long the oldest open event has been in the log, in milliseconds.
    pub oldest_open_ms: Option<u64>,
    /// Why the courier could not be started.
    pub problem: Option<String>,
}

/// Writes all of it as metrics.
pub fn expose(statuses: &[DestinationStatus], text: &mut Exposition) {
    type Figure = fn(&DestinationStatus) -> u64;
    let gauges: [(&'static str, &str, Figure); 4] = [
        ("firsthand_delivery_lag_records", "Records of the event log that have not ended at the destination.", |status| status.lag),
        ("firsthand_delivery_open_events", "Events that were read for the destination and have not ended.", |status| status.open),
        ("firsthand_delivery_attempts_in_flight", "Attempts under way.", |status| status.in_flight),
        ("firsthand_delivery_oldest_open_seconds", "How long the oldest open event has waited.", |status| {
            status.oldest_open_ms.unwrap_or(0) / 1000
        }),
    ];
    for (name, help, figure) in gauges {
        for status in statuses {
            text.sample(name, "gauge", help, &[("destination", &status.name)], figure(status));
        }
    }
    let counters: [(&'static str, &str, Figure); 5] = [
        ("firsthand_delivery_attempts_total", "Attempts since the program started.", |status| status.attempts),
        ("firsthand_delivery_attempts_failed_total", "Attempts that had to be made again.", |status| status.failed),
        ("firsthand_delivery_unsaid_fields_total", "Fields that the receiver has no words for.", |status| status.unsaid),
        ("firsthand_delivery_trials_total", "Parcels that the receiver's validator was asked about.", |status| status.trials),
        ("firsthand_delivery_trials_faulty_total", "Those of them that it found a fault in.", |status| status.trials_faulty),
    ];
    for (name, help, figure) in counters {
        for status in statuses {
            text.sample(name, "counter", help, &[("destination", &status.name)], figure(status));
        }
    }
    for status in statuses {
        for (state, events) in &status.ended {
            let labels = [("destination", status.name.as_str()), ("state", *state)];
            text.sample("firsthand_delivery_events_total", "counter", "Events by their end in the ledger.", &labels, *events);
        }
    }
    for status in statuses {
        for state in CourierState::ALL {
            let labels = [("destination", status.name.as_str()), ("state", state.name())];
            let help = "1 for what the destination's courier does.";
            text.sample("firsthand_delivery_courier", "gauge", help, &labels, u64::from(status.courier == state));
        }
    }
}
