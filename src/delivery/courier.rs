//! A courier: takes the events of the log to one destination, at that destination's pace. It reads, discloses, sorts out what ends at
//! once, and hands the rest to its lanes. It stops reading when they are full: the log is the queue, and nothing else queues.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    awaiting::Awaiting,
    backoff::Backoff,
    breaker::Gate,
    carrier::Carriers,
    consumer::Consumer,
    group::Pending,
    held::HeldBack,
    lane::{CORRUPT, Lane, NOT_IN_LOG, TOO_OLD},
    lanes,
    ledger::{Ledger, LedgerState},
    offsets::OffsetSet,
    settle::{Exception, Report, Settler},
    status::Gauges,
    strands,
};
use crate::{
    clock::{self, Timestamp, agreement::Agreement},
    console::feed::Feed,
    destination::{BatchLimits, Destination, Parcel},
    event::{DestinationNumber, Offset},
    event_log::{EventLog, LogError, LogReader, LogRecord},
    privacy::{
        departure::Schema,
        disclose::{Disclosed, Disclosure, Standing},
        entitlement::Withheld,
        record,
    },
    supervise::{Supervisor, WorkThread},
};

/// Events read from the log at a time.
const READ_EVENTS_MAX: usize = 512;
/// Bytes read from the log at a time.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// Events that wait in all lanes together, by their number equally in each. Full lanes stop the reading; these are about 4 MB.
const WAITING_EVENTS_MAX: usize = 4_096;
/// Reports that wait to be settled: a few transactions' worth.
const REPORTS_MAX: usize = 256;
/// The wait before a log or key store that failed is read again.
const READ_RETRY: Duration = Duration::from_secs(1);
/// How often a paused courier looks for events that have become too old.
const PAUSED_SWEEP: Duration = Duration::from_secs(60);
/// How often a courier that holds events back looks whether their period is over.
const HELD_BACK_LOOK: Duration = Duration::from_secs(15);
/// How often a courier whose next event looks too old, by a clock that is not believed, looks again.
pub(super) const CLOCK_LOOK: Duration = Duration::from_secs(5);
/// How long attempts under way may go on when the courier stops. Longer ones are made again after the next start.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Makes one destination's disclosure of a record at a time. Blocks.
pub(super) type Disclose = dyn Fn(&LogRecord, Timestamp) -> Result<Disclosed, DiscloseError> + Send + Sync;

/// Says whether one of those may still leave. Does not block.
pub(super) type Stands = dyn Fn(&Disclosure, Timestamp) -> Standing + Send + Sync;

/// Says which fields are in one of those.
pub(super) type SchemaOf = dyn Fn(&Disclosure) -> Schema + Send + Sync;

/// Why there is no disclosure of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiscloseError {
    /// It is none of ours, and never will be.
    Corrupt,
    /// A key store cannot be used now.
    Unavailable,
}

/// What reader and lanes of one courier share.
pub(super) struct Courier {
    pub(super) number: DestinationNumber,
    pub(super) name: String,
    pub(super) paused: bool,
    pub(super) service: Box<dyn Destination>,
    pub(super) limits: BatchLimits,
    pub(super) disclose: Box<Disclose>,
    pub(super) stands: Box<Stands>,
    pub(super) schema: Box<SchemaOf>,
    /// None: what it may see is decided at once.
    pub(super) held: Option<HeldBack>,
    pub(super) log: Arc<EventLog>,
    /// Asked before an event ends for its age.
    pub(super) calendar: Arc<Agreement>,
    pub(super) carriers: Arc<Carriers>,
    pub(super) ledger: Ledger,
    pub(super) feed: Feed,
    pub(super) gate: Gate,
    pub(super) gauges: Arc<Gauges>,
    pub(super) supervisor: Supervisor,
    /// Reads the log and writes the ledger.
    pub(super) thread: WorkThread,
    pub(super) stop: CancellationToken,
    /// Whether it has been said that a record cannot be read.
    pub(super) corruption_said: AtomicBool,
    pub(super) accepted_parcels: AtomicU64,
    /// One at a time: a validator that stalls is not asked again meanwhile.
    pub(super) trial_under_way: AtomicBool,
}

impl Courier {
    /// Delivers until it is stopped. `seed` is for the jitter.
    pub(super) async fn run(self: Arc<Self>, consumer: Consumer, seed: u64) {
        let (reports, reported) = mpsc::channel(REPORTS_MAX);
        let lanes = lanes(&self.limits);
        let mut queues = Vec::with_capacity(lanes);
        let mut tasks = Vec::with_capacity(lanes + 1);
        for index in 0..lanes {
            let (queue, queued) = mpsc::channel(WAITING_EVENTS_MAX / lanes);
            let backoff = Backoff::seeded(seed.wrapping_add(index as u64));
            let strands = strands(&self.limits);
            let lane = Lane { courier: Arc::clone(&self), queue: queued, reports: reports.clone(), backoff, strands };
            queues.push(queue);
            tasks.push(self.spawn(lane.run()));
        }
        let (courier, settled) = (Arc::clone(&self), consumer.clone());
        tasks.push(self.spawn(async move { courier.settler().run(settled, reported).await }));
        if self.paused {
            self.rest(consumer, &reports).await;
        } else {
            self.deliver(consumer, &queues, &reports).await;
        }
        self.stop.cancel();
        drop((queues, reports));
        for task in tasks {
            if task.await.is_err() {
                tracing::error!(destination = self.name, "a part of the courier broke; it is started again");
            }
        }
    }

    /// Runs a part of the courier. However it ends, by a panic too, all parts end.
    fn spawn(&self, part: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let stop_when_over = self.stop.clone().drop_guard();
        self.supervisor.spawn_short(async move {
            let _stop_when_over = stop_when_over;
            part.await;
        })
    }

    /// A disclosure that was made now, on its way.
    pub(super) fn pending(&self, disclosure: Box<Disclosure>, now: Timestamp) -> Pending {
        Pending { schema: (self.schema)(&disclosure), disclosure, disclosed: now }
    }

    /// Asks the receiver's validator about an accepted parcel, where the destination has one and this parcel's turn has come. Whatever
    /// comes of it, delivery goes on: the answer is counted, or there is none. Returns how many bytes
    /// it is sent, where it is asked.
    pub(super) fn try_out(self: &Arc<Self>, parcel: &Parcel) -> Option<usize> {
        let nth = self.accepted_parcels.fetch_add(1, Ordering::Relaxed);
        let trial = self.service.trial(parcel, nth)?;
        if self.trial_under_way.swap(true, Ordering::AcqRel) {
            return None;
        }
        let bytes = trial.body.len();
        let courier = Arc::clone(self);
        self.supervisor.spawn_short(async move {
            tokio::select! {
                answer = courier.carriers.send(&trial, clock::now()) => {
                    if let Some(findings) = courier.service.findings(&answer) {
                        if let Some(finding) = findings.first() {
                            tracing::warn!(destination = courier.name, finding, "the receiver's validator finds fault with what it is sent");
                        }
                        courier.gauges.tried_out(&findings);
                    }
                }
                () = courier.stop.cancelled() => {}
            }
            courier.trial_under_way.store(false, Ordering::Release);
        });
        Some(bytes)
    }

    /// Ends some time after the stop signal.
    pub(super) async fn patience_ended(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(STOP_PATIENCE).await;
    }

    /// Reads one record once more and makes its disclosure afresh. `None`: it is no longer in the log. Blocks.
    pub(super) fn disclose_again(&self, offset: Offset, now: Timestamp) -> Result<Option<Disclosed>, DiscloseError> {
        let mut reader = self.log.reader(offset);
        let mut lost = false;
        loop {
            match reader.read(1, READ_BYTES_MAX) {
                Ok(records) => {
                    return match records.into_iter().find(|record| record.offset == offset) {
                        Some(record) => (self.disclose)(&record, now).map(Some),
                        None if lost => Err(DiscloseError::Corrupt),
                        None => Ok(None),
                    };
                }
                // The reader steps over damage, so this ends.
                Err(LogError::Corrupt { from, to, .. }) => lost |= from <= offset && offset < to,
                Err(_) => return Err(DiscloseError::Unavailable),
            }
        }
    }

    fn settler(&self) -> Settler<'_> {
        Settler {
            destination: self.number,
            name: &self.name,
            ledger: self.ledger.clone(),
            feed: self.feed.clone(),
            gauges: &self.gauges,
            thread: &self.thread,
            stop: self.stop.clone(),
        }
    }

    /// Takes up what was open when the courier last stopped, then reads on from the head, as long as it is not stopped.
    async fn deliver(self: &Arc<Self>, consumer: Consumer, queues: &[mpsc::Sender<Pending>], reports: &mpsc::Sender<Report>) {
        let mut awaiting = Awaiting::default();
        for (first, last) in consumer.open().ranges() {
            if self.take_up(first, last, &mut awaiting, queues, reports).await.is_none() {
                return;
            }
        }
        let mut reading = self.reading(consumer.head(), None, Appetite::Everything);
        let mut durable = self.log.durable_head();
        loop {
            let due = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = awaiting.next_is_due() => awaiting.take_due(clock::now()),
                more = durable.wait_for(|head| *head > reading.position), if awaiting.has_room() => {
                    if more.is_err() {
                        return;
                    }
                    OffsetSet::default()
                }
            };
            if !due.is_empty() {
                for (first, last) in due.ranges() {
                    if self.take_up(first, last, &mut awaiting, queues, reports).await.is_none() {
                        return;
                    }
                }
                continue;
            }
            let Some((next, batch)) = self.read(reading).await else { return };
            reading = next;
            let held_back = batch.held_back;
            self.gauges.holding_back.store(held_back, Ordering::Relaxed);
            if self.hand_over(batch, &mut awaiting, queues, reports).await.is_none() {
                return;
            }
            if held_back && self.pause(HELD_BACK_LOOK).await.is_none() {
                return;
            }
        }
    }

    /// Takes up what was read before and is open, both ends inside. `None`: the courier is stopped.
    async fn take_up(
        self: &Arc<Self>,
        first: Offset,
        last: Offset,
        awaiting: &mut Awaiting,
        queues: &[mpsc::Sender<Pending>],
        reports: &mpsc::Sender<Report>,
    ) -> Option<()> {
        let mut reading = self.reading(first, Some(last.next()), Appetite::Reopened);
        while reading.position < last.next() {
            let (next, batch) = self.read(reading).await?;
            reading = next;
            self.hand_over(batch, awaiting, queues, reports).await?;
        }
        Some(())
    }

    /// `None`: the courier is stopped.
    pub(super) async fn pause(&self, pause: Duration) -> Option<()> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(pause) => Some(()),
        }
    }

    /// Delivers nothing; ends what becomes too old or leaves the log.
    async fn rest(self: &Arc<Self>, consumer: Consumer, reports: &mpsc::Sender<Report>) {
        let mut head = consumer.head();
        let mut open = consumer.open().clone();
        loop {
            for (first, last) in open.clone().ranges() {
                let mut reading = self.reading(first, Some(last.next()), Appetite::StaleReopened);
                while reading.position < last.next() {
                    let Some((next, batch)) = self.read(reading).await else { return };
                    reading = next;
                    batch
                        .exceptions
                        .iter()
                        .flat_map(|ended| ended.offsets.ranges())
                        .for_each(|(first, last)| open.remove_range(first, last));
                    if reports.send(Report::Ended(batch.exceptions)).await.is_err() {
                        return;
                    }
                }
            }
            let mut reading = self.reading(head, None, Appetite::Stale);
            loop {
                let Some((next, batch)) = self.read(reading).await else { return };
                reading = next;
                let nothing_more = batch.nothing_more;
                head = batch.head;
                if reports.send(Report::Read { head, open: Vec::new(), exceptions: batch.exceptions }).await.is_err() {
                    return;
                }
                if nothing_more {
                    break;
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(PAUSED_SWEEP) => {}
            }
        }
    }

    fn reading(&self, from: Offset, until: Option<Offset>, appetite: Appetite) -> Reading {
        Reading { reader: self.log.reader(from), position: from, until, lost: OffsetSet::default(), appetite }
    }

    /// Reads and sorts the next records, away from the event loop. `None`: the courier is stopped.
    async fn read(self: &Arc<Self>, mut reading: Reading) -> Option<(Reading, Batch)> {
        let mut said = false;
        loop {
            if self.stop.is_cancelled() {
                return None;
            }
            let courier = Arc::clone(self);
            let work = move || {
                let batch = courier.read_batch(&mut reading, clock::now());
                (reading, batch)
            };
            let (back, batch) = self.thread.run(work).await;
            match batch {
                Ok(batch) => return Some((back, batch)),
                Err(cause) => {
                    if !said {
                        tracing::error!(destination = self.name, cause, "events cannot be read: delivery stands still until they can");
                        said = true;
                    }
                    reading = back;
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(READ_RETRY) => {}
            }
        }
    }

    fn read_batch(&self, reading: &mut Reading, now: Timestamp) -> Result<Batch, &'static str> {
        let mut batch = Batch {
            head: reading.position,
            now,
            disclosures: Vec::new(),
            awaiting: Vec::new(),
            ended: HashMap::new(),
            exceptions: Vec::new(),
            nothing_more: false,
            held_back: false,
            doubted: false,
        };
        let believed = self.calendar.holds_now();
        let left = reading.until.map_or(u64::MAX, |until| until.0 - reading.position.0);
        let most = usize::try_from(left).unwrap_or(READ_EVENTS_MAX).clamp(1, READ_EVENTS_MAX);
        let records = match reading.reader.read(most, READ_BYTES_MAX) {
            Ok(records) => {
                batch.nothing_more = records.is_empty();
                records
            }
            Err(LogError::Corrupt { from, to, .. }) => {
                if to > from {
                    reading.lost.insert_range(from, Offset(to.0 - 1));
                }
                Vec::new()
            }
            Err(_) => return Err("event_log"),
        };
        let until = reading.until.unwrap_or(Offset(u64::MAX));
        for record in records.into_iter().take_while(|record| record.offset < until) {
            reading.pass_gap(record.offset, &mut batch);
            let too_old = record::header_of(&record.bytes).is_ok_and(|header| now.since(header.received) > self.limits.oldest);
            let fresh = reading.appetite.stale_only() && (!too_old || !believed) && record::header_of(&record.bytes).is_ok();
            if too_old && !believed && !reading.appetite.stale_only() {
                // It waits, and so do those behind it, which would look as old.
                batch.doubted = true;
                reading.start_again(&self.log);
                return Ok(batch.finished(reading.position));
            }
            if fresh && reading.appetite == Appetite::Stale {
                batch.nothing_more = true;
                reading.start_again(&self.log);
                return Ok(batch.finished(reading.position));
            }
            if let Some(held) = self.held.as_ref().filter(|_| !reading.appetite.stale_only()) {
                match held.is_released(&record, now) {
                    Ok(true) => {}
                    Ok(false) => {
                        batch.held_back = true;
                        reading.start_again(&self.log);
                        return Ok(batch.finished(reading.position));
                    }
                    Err(_) if reading.position > batch.head => {
                        reading.start_again(&self.log);
                        return Ok(batch.finished(reading.position));
                    }
                    Err(_) => {
                        reading.start_again(&self.log);
                        return Err("key_store");
                    }
                }
            }
            if !fresh {
                match (self.disclose)(&record, now) {
                    Ok(disclosed) => self.sort(record.offset, disclosed, reading.appetite, &mut batch),
                    Err(DiscloseError::Corrupt) => {
                        if !self.corruption_said.swap(true, Ordering::Relaxed) {
                            tracing::error!(destination = self.name, "a record of the event log is not one of ours; it is passed over");
                        }
                        batch.end(record.offset, LedgerState::Rejected, CORRUPT);
                    }
                    Err(DiscloseError::Unavailable) if reading.position > batch.head => {
                        reading.start_again(&self.log);
                        return Ok(batch.finished(reading.position));
                    }
                    Err(DiscloseError::Unavailable) => {
                        reading.start_again(&self.log);
                        return Err("key_store");
                    }
                }
            }
            reading.position = record.offset.next();
        }
        reading.pass_gap(reading.reader.position().min(until), &mut batch);
        Ok(batch.finished(reading.position))
    }

    fn sort(&self, offset: Offset, disclosed: Disclosed, appetite: Appetite, batch: &mut Batch) {
        match disclosed {
            Disclosed::Disclosure(disclosure) | Disclosed::Awaiting(disclosure, _)
                if batch.now.since(disclosure.received()) > self.limits.oldest =>
            {
                batch.end(offset, LedgerState::Expired, TOO_OLD);
            }
            Disclosed::Disclosure(disclosure) => batch.disclosures.push(self.pending(disclosure, batch.now)),
            Disclosed::Awaiting(disclosure, until) => batch.awaiting.push((offset, disclosure.received(), until)),
            Disclosed::Withheld(rule) => batch.end(offset, LedgerState::Withheld, rule.name()),
            Disclosed::Purged => batch.end(offset, LedgerState::Purged, ""),
            // It was addressed to this destination when it was read first: it needs an end.
            Disclosed::NotAddressed if appetite.reopened() => batch.end(offset, LedgerState::Withheld, Withheld::Policy.name()),
            Disclosed::NotAddressed => {}
        }
    }

    /// Reports a batch, notes what of it waits for its twin, and hands the other disclosures to the lanes, waiting where they are full. `None`:
    /// the courier is stopped.
    async fn hand_over(
        &self,
        batch: Batch,
        awaiting: &mut Awaiting,
        queues: &[mpsc::Sender<Pending>],
        reports: &mpsc::Sender<Report>,
    ) -> Option<()> {
        let doubted = batch.doubted;
        let leaves = batch.disclosures.iter().map(|pending| (pending.disclosure.offset(), pending.disclosure.received()));
        let open = leaves.chain(batch.awaiting.iter().map(|(offset, received, _)| (*offset, *received))).collect();
        batch.awaiting.iter().for_each(|(offset, _, until)| awaiting.add(*offset, *until));
        reports.send(Report::Read { head: batch.head, open, exceptions: batch.exceptions }).await.ok()?;
        for pending in batch.disclosures {
            let lane = usize::try_from(pending.disclosure.lane() % queues.len() as u64).unwrap_or(0);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                sent = queues[lane].send(pending) => sent.ok()?,
            }
        }
        if doubted { self.pause(CLOCK_LOOK).await } else { Some(()) }
    }
}

/// What a reading is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Appetite {
    /// New events, all of them.
    Everything,
    /// Events that were open at the last stop, all of them.
    Reopened,
    /// New events, as far as they are too old; stops at the first that is not.
    Stale,
    /// Events that were open at the last stop, those that are too old; the others stay open.
    StaleReopened,
}

impl Appetite {
    fn stale_only(self) -> bool {
        matches!(self, Self::Stale | Self::StaleReopened)
    }

    fn reopened(self) -> bool {
        matches!(self, Self::Reopened | Self::StaleReopened)
    }
}

/// A place in the log, and how far this courier has passed it.
struct Reading {
    reader: LogReader,
    position: Offset,
    /// Not included.
    until: Option<Offset>,
    /// Offsets that the log has reported as unreadable.
    lost: OffsetSet,
    appetite: Appetite,
}

impl Reading {
    /// Ends the offsets from the position up to `next` (not included), which the log does not have.
    fn pass_gap(&mut self, next: Offset, batch: &mut Batch) {
        if next <= self.position {
            return;
        }
        let last = Offset(next.0 - 1);
        let lost = self.lost.within(self.position, last);
        let mut missing = OffsetSet::of_range(self.position, last);
        lost.ranges().for_each(|(first, last)| missing.remove_range(first, last));
        batch.end_all(&lost, LedgerState::Rejected, CORRUPT);
        batch.end_all(&missing, LedgerState::Expired, NOT_IN_LOG);
        self.lost.remove_range(Offset(0), last);
        self.position = next;
    }

    /// Makes the reader go on at the position, where it had read further.
    fn start_again(&mut self, log: &EventLog) {
        self.reader = log.reader(self.position);
    }
}

/// What came of one reading.
struct Batch {
    /// Everything below it has been read.
    head: Offset,
    now: Timestamp,
    disclosures: Vec<Pending>,
    /// Which wait for their twins, when they came in, and until when they wait.
    awaiting: Vec<(Offset, Timestamp, Timestamp)>,
    ended: HashMap<(LedgerState, &'static str), OffsetSet>,
    exceptions: Vec<Exception>,
    /// Whether reading on at once would find nothing to do.
    nothing_more: bool,
    /// Whether the next event has to wait for its period's end.
    held_back: bool,
    /// Whether the next event looks too old, by a clock that is not believed.
    doubted: bool,
}

impl Batch {
    fn end(&mut self, offset: Offset, state: LedgerState, rule: &'static str) {
        self.ended.entry((state, rule)).or_default().insert(offset);
    }

    fn end_all(&mut self, offsets: &OffsetSet, state: LedgerState, rule: &'static str) {
        if !offsets.is_empty() {
            let ended = self.ended.entry((state, rule)).or_default();
            offsets.ranges().for_each(|(first, last)| ended.insert_range(first, last));
        }
    }

    fn finished(mut self, head: Offset) -> Self {
        self.head = head;
        self.exceptions =
            std::mem::take(&mut self.ended).into_iter().map(|((state, rule), offsets)| Exception { offsets, state, rule }).collect();
        self
    }
}
