//! `settle`: the last stage of the line. One task per courier owns its consumer state, gathers what reader and lanes report, and writes
//! ledger and consumer state together, a few times a second. Only then is it shown, so that nobody sees what a crash could undo.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    consumer::Consumer,
    ledger::{Entry, Ledger, LedgerState, Status},
    offsets::OffsetSet,
    status::Gauges,
};
use crate::{
    clock::{self, Timestamp},
    console::feed::{Feed, Item},
    egress::departures::Departures,
    event::{DestinationNumber, Offset, PolicyVersion},
    privacy::{departure::Schema, disclose::Disclosure},
    supervise::WorkThread,
};

/// An end is durable, and shown, at most this long after it happened.
const SETTLE_WITHIN: Duration = Duration::from_millis(200);
/// As many parcels are settled in one transaction.
const SETTLE_PARCELS_MAX: usize = 64;
/// Having read on without any end is written this seldom: after a crash it is merely read again.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// The wait before a database that failed is tried again; nothing is lost meanwhile, and nothing goes on.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// Items shown per transaction: what the feed's watchers can take.
const SHOWN_MAX: usize = 256;

/// What reader and lanes report.
pub(super) enum Report {
    /// The log was read on, up to `head` (not included).
    Read {
        head: Offset,
        /// What is on its way to a lane, and when it came in.
        open: Vec<(Offset, Timestamp)>,
        /// What ended at reading.
        exceptions: Vec<Exception>,
    },
    /// Events that were open ended without an answer.
    Ended(Vec<Exception>),
    /// A parcel is handed to its carrier, or a copy of one to the receiver's validator.
    Left(Departures),
    /// An answer came; it may have ended events.
    Answered { status: Status, attempt: u32, events: Vec<Answered> },
}

/// Events that end alike, without a parcel.
pub(super) struct Exception {
    pub(super) offsets: OffsetSet,
    pub(super) state: LedgerState,
    pub(super) rule: &'static str,
}

/// An event that an answer ended.
pub(super) struct Answered {
    pub(super) schema: Schema,
    pub(super) disclosure: Box<Disclosure>,
    pub(super) state: LedgerState,
    pub(super) reason: Option<&'static str>,
}

/// For whom is settled, and where to.
pub(super) struct Settler<'c> {
    pub(super) destination: DestinationNumber,
    pub(super) name: &'c str,
    pub(super) ledger: Ledger,
    pub(super) feed: Feed,
    pub(super) gauges: &'c Gauges,
    pub(super) thread: &'c WorkThread,
    pub(super) stop: CancellationToken,
}

/// What has been reported and is not yet written.
struct Unwritten {
    consumer: Consumer,
    /// When each open event came in. As many as lanes hold.
    ages: BTreeMap<Offset, Timestamp>,
    parcels: Vec<Entry>,
    departures: Departures,
    exceptions: HashMap<(LedgerState, &'static str), OffsetSet>,
    shown: Vec<Item>,
}

impl Settler<'_> {
    /// Settles until every reporter is gone. What cannot be written while the program stops is done again after the next start.
    pub(super) async fn run(&self, consumer: Consumer, mut reports: mpsc::Receiver<Report>) {
        self.gauges.stands_at(&consumer, None);
        let (ledger, destination) = (self.ledger.clone(), self.destination);
        if let Err(error) = self.thread.run(move || ledger.begin(destination, clock::now())).await {
            tracing::warn!(destination = self.name, %error, "that a courier begins could not be written down: a crash of it will not be counted");
        }
        let mut unwritten = Unwritten {
            consumer,
            ages: BTreeMap::new(),
            parcels: Vec::new(),
            departures: Departures::default(),
            exceptions: HashMap::new(),
            shown: Vec::new(),
        };
        let mut written = Instant::now();
        let mut read_on = false;
        loop {
            let report =
                if read_on { tokio::time::timeout_at(written + HEAD_WITHIN, reports.recv()).await } else { Ok(reports.recv().await) };
            let over = matches!(report, Ok(None));
            if let Ok(Some(report)) = report {
                self.take(&mut unwritten, report);
                let within = Instant::now() + SETTLE_WITHIN;
                while unwritten.parcels.len() < SETTLE_PARCELS_MAX
                    && let Ok(Some(report)) = tokio::time::timeout_at(within, reports.recv()).await
                {
                    self.take(&mut unwritten, report);
                }
                read_on = true;
            }
            self.gauges.stands_at(&unwritten.consumer, unwritten.ages.first_key_value().map(|(_, received)| *received));
            let news = !unwritten.parcels.is_empty() || !unwritten.exceptions.is_empty() || !unwritten.departures.is_empty();
            if news || (read_on && (over || written.elapsed() >= HEAD_WITHIN)) {
                if !self.write(&mut unwritten).await {
                    return;
                }
                (written, read_on) = (Instant::now(), false);
            }
            if over {
                let ledger = self.ledger.clone();
                if let Err(error) = self.thread.run(move || ledger.end(destination)).await {
                    tracing::warn!(destination = self.name, %error, "that a courier ended could not be written down: it will count as a crash");
                }
                return;
            }
        }
    }

    fn take(&self, unwritten: &mut Unwritten, report: Report) {
        match report {
            Report::Read { head, open, exceptions } => {
                unwritten.consumer.read_to(head, open.iter().map(|(offset, _)| *offset));
                unwritten.ages.extend(open);
                self.except(unwritten, exceptions);
            }
            Report::Ended(exceptions) => self.except(unwritten, exceptions),
            Report::Left(departures) => unwritten.departures.add(departures),
            Report::Answered { status, attempt, events } => self.answer(unwritten, status, attempt, events),
        }
    }

    fn except(&self, unwritten: &mut Unwritten, exceptions: Vec<Exception>) {
        let watched = self.feed.watched();
        for Exception { offsets, state, rule } in exceptions {
            let together = unwritten.exceptions.entry((state, rule)).or_default();
            for (first, last) in offsets.ranges() {
                together.insert_range(first, last);
                unwritten.consumer.settle_range(first, last);
                while let Some((&next, _)) = unwritten.ages.range(first..=last).next() {
                    unwritten.ages.remove(&next);
                }
            }
            if watched {
                for offset in offsets.iter().take(SHOWN_MAX.saturating_sub(unwritten.shown.len())) {
                    unwritten.shown.push(self.item(offset, state, Some(rule), None));
                }
            }
        }
    }

    fn answer(&self, unwritten: &mut Unwritten, status: Status, attempt: u32, events: Vec<Answered>) {
        let watched = self.feed.watched();
        let mut alike: HashMap<(LedgerState, Option<&'static str>, PolicyVersion), OffsetSet> = HashMap::new();
        unwritten.departures.answered(&status.to_string());
        for Answered { disclosure, schema, state, reason } in events {
            unwritten.departures.ended(schema, &disclosure);
            let offset = disclosure.offset();
            alike.entry((state, reason, disclosure.policy())).or_default().insert(offset);
            unwritten.consumer.settle(offset);
            unwritten.ages.remove(&offset);
            if watched && unwritten.shown.len() < SHOWN_MAX {
                unwritten.shown.push(self.item(offset, state, reason, serde_json::to_value(&disclosure).ok()));
            }
        }
        unwritten.parcels.extend(alike.into_iter().map(|((state, reason, policy), offsets)| Entry::Parcel {
            offsets,
            state,
            reason,
            status,
            attempt,
            policy,
        }));
    }

    fn item(&self, offset: Offset, state: LedgerState, rule: Option<&'static str>, received: Option<serde_json::Value>) -> Item {
        let rule = rule.filter(|rule| !rule.is_empty());
        Item::Settled { at: clock::now(), destination: self.name.to_owned(), offset, state: state.name(), rule, received }
    }

    /// Writes until it is written. Returns false when it could not be and the program is stopping.
    async fn write(&self, unwritten: &mut Unwritten) -> bool {
        let mut entries = std::mem::take(&mut unwritten.parcels);
        let mut departures = std::mem::take(&mut unwritten.departures);
        entries.extend(unwritten.exceptions.drain().map(|((state, rule), offsets)| Entry::Exception { offsets, state, rule }));
        let mut said = false;
        loop {
            let (ledger, destination, consumer) = (self.ledger.clone(), self.destination, unwritten.consumer.clone());
            let at = clock::now();
            let settle = move || (ledger.settle(destination, (&entries, &departures), &consumer, at), entries, departures);
            let (result, back, left) = self.thread.run(settle).await;
            match result {
                Ok(()) => {
                    back.iter().for_each(|entry| self.gauges.ended(entry.state(), entry.offsets().count()));
                    break;
                }
                Err(_) if self.stop.is_cancelled() => return false,
                Err(error) if !said => {
                    tracing::error!(destination = self.name, %error, "the ledger cannot be written: delivery stands still until it can");
                    said = true;
                }
                Err(_) => {}
            }
            (entries, departures) = (back, left);
            tokio::time::sleep(STORE_RETRY).await;
        }
        for item in unwritten.shown.drain(..) {
            self.feed.show(item);
        }
        true
    }
}
