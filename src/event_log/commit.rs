//! The commit thread: takes all that waits, drops what is known, numbers the rest, writes and syncs each family once, answers.
//!
//! Order is everything here. Frames are written, then synced, then shown to readers, then the head moves, then callers hear of it. An
//! offset that a failed commit used is not used again: after a power cut a remnant of that commit may still be found.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    catalogue::Catalogue,
    dedup::Dedup,
    error::{AppendError, is_full},
    family::{Failure, Family},
    pending::{Appended, Pending, Taken, Waiting},
};
use crate::event::{Offset, RetentionClass};

/// From this many calls in one commit on, the next is expected to be as full, and waits for it: under load commits become several times as
/// full, so that each event costs less of a sync and of a wake-up. A lonely event never waits.
const CROWD: usize = 4;
/// So long at most for each call of the one before: a few calls wait about one sync of a quick disk,
const LINGER_PER_CALL: Duration = Duration::from_micros(30);
/// and many no longer than this, which is half of what an answer may take on a busy machine.
const LINGER_MAX: Duration = Duration::from_micros(500);
/// After the disk was found full, calls are refused at once for this long; then one finds out whether there is space.
const FULL_PAUSE: Duration = Duration::from_millis(250);
/// Between two attempts at a repair: at first, and at most.
const REPAIR_PAUSE_MIN: Duration = Duration::from_millis(50);
const REPAIR_PAUSE_MAX: Duration = Duration::from_secs(5);

/// All that the commit thread owns.
pub(super) struct Committer {
    pub(super) pending: Arc<Pending>,
    pub(super) catalogue: Arc<Catalogue>,
    /// In the order of [`RetentionClass::ALL`].
    pub(super) families: [Family; 2],
    /// Held while a commit is under way: who asks whether an id is known is told of what is durable.
    pub(super) dedup: Arc<Mutex<Dedup>>,
    /// The next offset to give.
    pub(super) next: Offset,
    batch: Vec<Waiting>,
    /// Whether the last commit found the disk full: it is told once, not at every attempt.
    full: bool,
}

/// Closes the door when the commit thread ends, however it ends: nobody may wait for it then.
struct CloseAtEnd(Arc<Pending>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
        self.0.shut(AppendError::Closed);
    }
}

impl Committer {
    pub(super) fn new(
        pending: Arc<Pending>,
        catalogue: Arc<Catalogue>,
        families: [Family; 2],
        dedup: Arc<Mutex<Dedup>>,
        next: Offset,
    ) -> Self {
        Self { pending, catalogue, families, dedup, next, batch: Vec::new(), full: false }
    }

    /// Commits until the log is closed and nothing waits any more.
    pub(super) fn run(mut self) {
        let _closes = CloseAtEnd(Arc::clone(&self.pending));
        loop {
            let roll_due = self.families.iter().filter_map(Family::roll_due).min();
            match self.pending.take(&mut self.batch, roll_due) {
                Taken::Batch => {
                    let calls = self.batch.len();
                    self.commit();
                    if calls >= CROWD {
                        self.pending.gather(calls, LINGER_MAX.min(LINGER_PER_CALL * u32::try_from(calls).unwrap_or(u32::MAX)));
                    }
                }
                Taken::Timeout => {
                    // Nobody waits for it: the next attempt to write says what is wrong.
                    let _ = self.roll(Family::roll_if_due);
                }
                Taken::Roll => {
                    let rolled = self.roll(Family::roll).map(|()| self.next);
                    for asker in self.pending.take_rolls() {
                        // An asker that has gone away needs no answer.
                        let _ = asker.send(rolled);
                    }
                }
                Taken::Closed => break,
            }
        }
        if self.families.iter_mut().any(|family| family.seal().is_err()) {
            tracing::warn!("a log segment could not be sealed; the next start scans it");
        }
    }

    fn commit(&mut self) {
        let first = self.next;
        let mut duplicates = 0;
        let shared = Arc::clone(&self.dedup);
        let mut dedup = shared.lock().unwrap_or_else(PoisonError::into_inner);
        for Waiting { call, .. } in &mut self.batch {
            for record in &call.records {
                call.outcome.push(if dedup.insert(record.event_id(), record.received()) {
                    let offset = self.next;
                    self.next = offset.next();
                    family(&mut self.families, record.class()).stage(offset, record);
                    Appended::Stored(offset)
                } else {
                    duplicates += 1;
                    Appended::Duplicate
                });
            }
        }
        match self.persist(first) {
            Ok(()) => self.succeed(dedup, first, duplicates),
            Err(failure) => self.fail(dedup, failure),
        }
    }

    /// Makes what is staged durable, or leaves nothing of it behind unless it says `Broken`.
    fn persist(&mut self, first: Offset) -> Result<(), Failure> {
        for family in self.families.iter_mut().filter(|family| family.has_staged()) {
            family.prepare(first)?;
        }
        let written = self.families.iter_mut().filter(|family| family.has_staged()).try_for_each(Family::write);
        if let Err(error) = written {
            if !is_full(&error) {
                return Err(Failure::Broken(error));
            }
            let mut families = self.families.iter_mut().filter(|family| family.has_staged());
            return Err(families.try_for_each(Family::take_back).map_or_else(Failure::Broken, |()| Failure::Full));
        }
        self.families.iter().filter(|family| family.has_staged()).try_for_each(Family::sync).map_err(Failure::Broken)
    }

    fn succeed(&mut self, mut dedup: MutexGuard<'_, Dedup>, first: Offset, duplicates: u64) {
        let counters = &self.catalogue.counters;
        let records = self.next.0 - first.0;
        counters.duplicates.add(duplicates);
        counters.dedup_overflow.add(dedup.take_overflow());
        counters.dedup_ids.set(dedup.len() as u64);
        drop(dedup);
        if records > 0 {
            for family in self.families.iter_mut().filter(|family| family.has_staged()) {
                counters.bytes.add(family.publish());
                counters.syncs.add(1);
            }
            counters.commits.add(1);
            counters.records.add(records);
            self.catalogue.advance_head(self.next);
        }
        for Waiting { call, reply } in self.batch.drain(..) {
            // A caller that has gone away needs no answer.
            let _ = reply.send(Ok(call));
        }
        if records > 0 && std::mem::take(&mut self.full) {
            tracing::info!("the disk has space again: events are taken");
        }
    }

    fn fail(&mut self, mut dedup: MutexGuard<'_, Dedup>, failure: Failure) {
        for Waiting { call, .. } in &self.batch {
            for (record, outcome) in call.records.iter().zip(&call.outcome) {
                if matches!(outcome, Appended::Stored(_)) {
                    dedup.remove(record.event_id());
                }
            }
        }
        // A repair takes as long as it takes; nobody waits for it to be told what is known.
        drop(dedup);
        self.families.iter_mut().for_each(Family::clear);
        let reason = self.shut(&failure);
        for call in self.batch.drain(..) {
            call.refuse(reason);
        }
        if matches!(failure, Failure::Broken(_)) {
            self.repair();
        }
    }

    /// Stops taking records, and says why. To callers first: whoever hears of this commit's failure must not find the door open.
    fn shut(&mut self, failure: &Failure) -> AppendError {
        let counters = &self.catalogue.counters;
        match failure {
            Failure::Full => {
                counters.full_errors.add(1);
                self.pending.shut_for(AppendError::Full, FULL_PAUSE);
                if !std::mem::replace(&mut self.full, true) {
                    tracing::error!("the disk is full: events are refused until there is space");
                }
                AppendError::Full
            }
            Failure::Broken(error) => {
                counters.sync_errors.add(1);
                let reason = reason_of(error);
                self.pending.shut(reason);
                tracing::error!(kind = %error.kind(), code = error.raw_os_error(), "the disk failed: events are refused until the log is verified");
                reason
            }
        }
    }

    /// Reopens, verifies and restarts both families, again and again until it works or the log is closed.
    fn repair(&mut self) {
        let mut pause = REPAIR_PAUSE_MIN;
        loop {
            match self.families.iter_mut().try_for_each(|family| family.repair(self.next)) {
                Ok(()) => break,
                Err(error) => self.pending.shut(reason_of(&error)),
            }
            if self.pending.closed_within(pause) {
                return;
            }
            pause = (pause * 2).min(REPAIR_PAUSE_MAX);
        }
        self.pending.open();
        tracing::info!("the log was reopened and verified: events are taken");
    }

    /// Seals log segments, and starts the next ones.
    fn roll(&mut self, roll: fn(&mut Family, Offset) -> Result<(), Failure>) -> Result<(), AppendError> {
        let Err(failure) = self.families.iter_mut().try_for_each(|family| roll(family, self.next)) else { return Ok(()) };
        let reason = self.shut(&failure);
        if matches!(failure, Failure::Broken(_)) {
            self.repair();
        }
        Err(reason)
    }
}

fn reason_of(error: &io::Error) -> AppendError {
    if is_full(error) { AppendError::Full } else { AppendError::SyncFailed }
}

fn family(families: &mut [Family; 2], class: RetentionClass) -> &mut Family {
    let [short, long] = families;
    match class {
        RetentionClass::Short => short,
        RetentionClass::Long => long,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::task::JoinSet;

    use crate::{
        event::{Offset, RetentionClass},
        event_log::{
            AppendError, Appended, EventLog, LogOptions, LogState,
            trial::{START, TrialDisk, append, read_all, record},
        },
    };

    fn open(disk: &TrialDisk, options: LogOptions) -> Arc<EventLog> {
        Arc::new(EventLog::open(Arc::new(disk.clone()), options, START).unwrap())
    }

    #[tokio::test]
    async fn callers_at_once_share_commits_and_each_gets_its_own_answer() {
        let log = open(&TrialDisk::default(), LogOptions::default());
        let mut calls = JoinSet::new();
        for caller in 0..64 {
            let log = Arc::clone(&log);
            calls.spawn(async move {
                let mut offsets = Vec::new();
                for turn in 0..20 {
                    let class = RetentionClass::ALL[usize::from(turn % 2 == 0)];
                    let outcome = log.append(vec![record(caller * 100 + turn, class, 50)]).await.unwrap();
                    let [Appended::Stored(offset)] = outcome[..] else { panic!("a new record is stored") };
                    offsets.push((offset.0, caller * 100 + turn));
                }
                offsets
            });
        }
        let answers: Vec<_> = calls.join_all().await.into_iter().flatten().collect();
        let found = read_all(&log).unwrap();
        assert_eq!(found.len(), 64 * 20);
        assert!(answers.iter().all(|(offset, number)| found[*offset as usize].1 == crate::event_log::trial::id(*number)));
        let stats = log.stats();
        assert_eq!(stats.records, 64 * 20);
        assert!(stats.commits < stats.records / 4, "{stats:?}");
        assert!(stats.syncs <= 2 * stats.commits && stats.syncs >= stats.commits, "{stats:?}");
    }

    #[test]
    fn duplicates_in_a_call_and_across_calls_are_told_and_cost_no_sync() {
        let log = open(&TrialDisk::default(), LogOptions::default());
        let one = || record(1, RetentionClass::Short, 5);
        let outcome = append(&log, vec![one(), record(2, RetentionClass::Long, 5), one()]).unwrap();
        assert_eq!(outcome, [Appended::Stored(Offset(0)), Appended::Stored(Offset(1)), Appended::Duplicate]);
        let before = log.stats();
        assert_eq!(append(&log, vec![one()]).unwrap(), [Appended::Duplicate]);
        assert_eq!((log.stats().commits, log.stats().syncs), (before.commits, before.syncs));
        assert!(append(&log, Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn only_the_families_written_are_synced_and_the_head_follows() {
        let log = open(&TrialDisk::default(), LogOptions::default());
        let head = log.durable_head();
        append(&log, vec![record(1, RetentionClass::Short, 5)]).unwrap();
        assert_eq!(log.stats().syncs, 1);
        append(&log, vec![record(2, RetentionClass::Short, 5), record(3, RetentionClass::Long, 5)]).unwrap();
        assert_eq!(log.stats().syncs, 3);
        assert_eq!(*head.borrow(), Offset(3));
        assert!(head.has_changed().unwrap());
    }

    #[test]
    fn a_log_segment_is_sealed_when_it_is_old_though_nothing_comes() {
        let disk = TrialDisk::default();
        let log = open(&disk, LogOptions { roll_age: Duration::from_millis(30), ..LogOptions::default() });
        append(&log, vec![record(1, RetentionClass::Short, 5)]).unwrap();
        assert_eq!(disk.file_names().len(), 2);
        let began = std::time::Instant::now();
        while disk.file_names().len() < 3 {
            assert!(began.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(disk.file_names().len(), 3, "an empty one is not sealed again and again");
        append(&log, vec![record(2, RetentionClass::Short, 5)]).unwrap();
        assert_eq!(read_all(&log).unwrap().len(), 2);
    }

    #[test]
    fn a_closed_log_takes_nothing_and_stays_readable() {
        let log = open(&TrialDisk::default(), LogOptions::default());
        append(&log, vec![record(1, RetentionClass::Short, 5)]).unwrap();
        log.close();
        log.close();
        assert_eq!(log.stats().state, LogState::Closed);
        assert_eq!(append(&log, vec![record(2, RetentionClass::Short, 5)]), Err(AppendError::Closed));
        assert_eq!(read_all(&log).unwrap().len(), 1);
    }
}
