//! What waits for the next commit. Callers put records in, the commit thread takes all there are at once: commits form by themselves,
//! as large as the time that the one before took. A lone call never waits for a group to fill; after a crowd, the thread gathers the next one.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    error::AppendError,
    frame::{FRAME_HEADER_BYTES, RECORD_BYTES_MAX},
    stats::LogState,
};
use crate::{event::Offset, privacy::record::Record};

/// Records waiting at most: some 16 commits' worth of a busy server, so that a slow disk is heard of before memory is.
const PENDING_RECORDS_MAX: usize = 16_384;
/// Bytes waiting at most, and so the largest single write.
const PENDING_BYTES_MAX: usize = 16 << 20;

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is durable, under this offset.
    Stored(Offset),
    /// An event with its id is durable already.
    Duplicate,
}

/// One call's records, and where its answer goes.
pub(super) struct Waiting {
    pub(super) call: Call,
    pub(super) reply: oneshot::Sender<Result<Call, AppendError>>,
}

/// What goes to the commit thread and comes back, so that its memory is freed where it was had: the allocator keeps that for each thread, and the
/// one commit thread has more to do than to wipe it.
pub(super) struct Call {
    pub(super) records: Vec<Record>,
    /// Filled by the commit thread, one per record.
    pub(super) outcome: Vec<Appended>,
}

impl Waiting {
    pub(super) fn refuse(self, reason: AppendError) {
        // A caller that has gone away needs no answer.
        let _ = self.reply.send(Err(reason));
    }
}

/// Whether calls are let in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// Shut until the commit thread opens it.
    Shut(AppendError),
    /// Shut for a moment: the next call after it finds out whether it works again.
    ShutUntil(AppendError, Instant),
    /// Shut for good.
    Closed,
}

struct Inner {
    waiting: Vec<Waiting>,
    records: usize,
    bytes: usize,
    /// Who waits for both families' active log segments to be sealed.
    rolls: Vec<oneshot::Sender<Result<Offset, AppendError>>>,
    door: Door,
    /// How many calls have to wait before the commit thread is woken; `None`: it does not sleep, which saves a system call per append.
    wakes_at: Option<usize>,
}

/// The queue between callers and the commit thread.
pub(super) struct Pending {
    inner: Mutex<Inner>,
    wake: Condvar,
}

/// Why the commit thread stopped waiting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There is something to commit.
    Batch,
    /// Somebody wants the active log segments sealed, and nothing waits to be committed first.
    Roll,
    /// The given time is over.
    Timeout,
    /// The log was closed and nothing waits any more.
    Closed,
}

impl Pending {
    pub(super) fn new() -> Self {
        let inner = Inner { waiting: Vec::new(), records: 0, bytes: 0, rolls: Vec::new(), door: Door::Open, wakes_at: None };
        Self { inner: Mutex::new(inner), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Only allocation can panic while it is held, and that leaves the counts at worst too low.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts records in. The answer comes after they are durable, or not to be.
    pub(super) fn submit(&self, records: Vec<Record>) -> Result<oneshot::Receiver<Result<Call, AppendError>>, AppendError> {
        let mut bytes = 0;
        for record in &records {
            if record.bytes().len() > RECORD_BYTES_MAX {
                return Err(AppendError::TooLarge);
            }
            bytes += FRAME_HEADER_BYTES + record.bytes().len();
        }
        if records.len() > PENDING_RECORDS_MAX || bytes > PENDING_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let count = records.len();
        let outcome = Vec::with_capacity(count);
        let (reply, answer) = oneshot::channel();
        let mut inner = self.lock();
        match inner.door {
            Door::Open => {}
            Door::Closed => return Err(AppendError::Closed),
            Door::Shut(reason) => return Err(reason),
            Door::ShutUntil(reason, until) => {
                if Instant::now() < until {
                    return Err(reason);
                }
                inner.door = Door::Open;
            }
        }
        if inner.records + count > PENDING_RECORDS_MAX || inner.bytes + bytes > PENDING_BYTES_MAX {
            return Err(AppendError::Overloaded);
        }
        inner.records += count;
        inner.bytes += bytes;
        inner.waiting.push(Waiting { call: Call { records, outcome }, reply });
        let waiting = inner.waiting.len();
        let wake = inner.wakes_at.take_if(|enough| waiting >= *enough).is_some();
        drop(inner);
        if wake {
            self.wake.notify_one();
        }
        Ok(answer)
    }

    /// Asks for both families' active log segments to be sealed, after everything that waits now. The answer is the first offset that
    /// is in none of them.
    pub(super) fn ask_roll(&self) -> Result<oneshot::Receiver<Result<Offset, AppendError>>, AppendError> {
        let (reply, answer) = oneshot::channel();
        let mut inner = self.lock();
        if inner.door == Door::Closed {
            return Err(AppendError::Closed);
        }
        inner.rolls.push(reply);
        drop(inner);
        self.wake.notify_one();
        Ok(answer)
    }

    /// Who asked for it.
    pub(super) fn take_rolls(&self) -> Vec<oneshot::Sender<Result<Offset, AppendError>>> {
        std::mem::take(&mut self.lock().rolls)
    }

    /// Waits until there is something, then takes all of it into `batch`, which must be empty.
    pub(super) fn take(&self, batch: &mut Vec<Waiting>, timeout: Option<Duration>) -> Taken {
        let mut inner = self.lock();
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if !inner.waiting.is_empty() {
                std::mem::swap(&mut inner.waiting, batch);
                inner.records = 0;
                inner.bytes = 0;
                return Taken::Batch;
            }
            if inner.door == Door::Closed {
                return Taken::Closed;
            }
            if !inner.rolls.is_empty() {
                return Taken::Roll;
            }
            inner.wakes_at = Some(1);
            inner = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    inner.wakes_at = None;
                    return Taken::Timeout;
                }
                Some(left) => self.wake.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            inner.wakes_at = None;
        }
    }

    /// Waits until `answered` more calls than wait now have come, which is all that were just answered if they come again at once; no longer
    /// than `patience`, and not where the log is closed.
    pub(super) fn gather(&self, answered: usize, patience: Duration) {
        let mut inner = self.lock();
        let enough = inner.waiting.len() + answered;
        inner.wakes_at = Some(enough);
        let gathering = |inner: &mut Inner| inner.waiting.len() < enough && inner.door != Door::Closed;
        let (mut inner, _) = self.wake.wait_timeout_while(inner, patience, gathering).unwrap_or_else(PoisonError::into_inner);
        inner.wakes_at = None;
    }

    /// Refuses everything that waits and every call until [`Self::open`].
    pub(super) fn shut(&self, reason: AppendError) {
        self.refuse(reason, Door::Shut(reason));
    }

    /// Refuses everything that waits and every call until a moment has passed.
    pub(super) fn shut_for(&self, reason: AppendError, pause: Duration) {
        self.refuse(reason, Door::ShutUntil(reason, Instant::now() + pause));
    }

    fn refuse(&self, reason: AppendError, door: Door) {
        let mut inner = self.lock();
        if inner.door != Door::Closed {
            inner.door = door;
        }
        let waiting = std::mem::take(&mut inner.waiting);
        inner.records = 0;
        inner.bytes = 0;
        drop(inner);
        for call in waiting {
            call.refuse(reason);
        }
    }

    /// Lets calls in again.
    pub(super) fn open(&self) {
        let mut inner = self.lock();
        if inner.door != Door::Closed {
            inner.door = Door::Open;
        }
    }

    /// Lets no call in any more. What waits is still committed.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.door = Door::Closed;
        // Whoever waits for a roll hears that there is none.
        inner.rolls.clear();
        drop(inner);
        self.wake.notify_one();
    }

    /// Waits for a while; true as soon as the log is closed.
    pub(super) fn closed_within(&self, pause: Duration) -> bool {
        let inner = self.lock();
        let (inner, _) =
            self.wake.wait_timeout_while(inner, pause, |inner| inner.door != Door::Closed).unwrap_or_else(PoisonError::into_inner);
        inner.door == Door::Closed
    }

    pub(super) fn state(&self) -> LogState {
        match self.lock().door {
            Door::Open => LogState::Accepting,
            Door::Shut(AppendError::Full) | Door::ShutUntil(AppendError::Full, _) => LogState::Full,
            Door::Shut(_) | Door::ShutUntil(..) => LogState::Repairing,
            Door::Closed => LogState::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, event::RetentionClass};

    fn record(bytes: usize) -> Record {
        Record::for_test([1; 16], RetentionClass::Short, Timestamp(0), &vec![0; bytes])
    }

    fn refusal(pending: &Pending, records: Vec<Record>) -> AppendError {
        pending.submit(records).map(drop).unwrap_err()
    }

    #[test]
    fn what_waits_is_bounded_in_records_and_bytes() {
        let pending = Pending::new();
        let _first = pending.submit((0..PENDING_RECORDS_MAX).map(|_| record(0)).collect()).unwrap();
        assert_eq!(refusal(&pending, vec![record(0)]), AppendError::Overloaded);
        let mut batch = Vec::new();
        assert_eq!(pending.take(&mut batch, None), Taken::Batch);
        let large = || record(RECORD_BYTES_MAX - 1000);
        let _second = pending.submit((0..15).map(|_| large()).collect()).unwrap();
        assert_eq!(refusal(&pending, vec![large(), large()]), AppendError::Overloaded);
        assert_eq!(refusal(&pending, vec![record(RECORD_BYTES_MAX)]), AppendError::TooLarge);
        assert_eq!(refusal(&pending, (0..17).map(|_| large()).collect()), AppendError::TooLarge);
    }

    #[test]
    fn a_crowd_is_gathered_until_it_is_back_or_patience_ends() {
        let (pending, forever) = (Pending::new(), Duration::from_secs(600));
        let submit = || pending.submit(vec![record(0)]).unwrap();
        let _early = submit();
        let mut batch = Vec::new();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                // Those who come before anybody gathers are not waited for.
                while pending.lock().wakes_at.is_none() {
                    std::thread::yield_now();
                }
                [submit(), submit(), submit()]
            });
            pending.gather(3, forever);
        });
        assert_eq!((pending.take(&mut batch, None), batch.len()), (Taken::Batch, 4));
        let began = Instant::now();
        pending.gather(1, Duration::from_millis(20));
        assert!(began.elapsed() >= Duration::from_millis(20), "nobody came");
        std::thread::scope(|threads| {
            threads.spawn(|| pending.close());
            pending.gather(1, forever);
        });
    }

    #[test]
    fn a_shut_door_refuses_what_waits_and_what_comes() {
        let pending = Pending::new();
        let mut waiting = pending.submit(vec![record(0)]).unwrap();
        pending.shut(AppendError::SyncFailed);
        assert_eq!(waiting.try_recv().unwrap().err(), Some(AppendError::SyncFailed));
        assert_eq!(refusal(&pending, vec![record(0)]), AppendError::SyncFailed);
        assert_eq!(pending.state(), LogState::Repairing);
        pending.open();
        let _probe = pending.submit(vec![record(0)]).unwrap();
        pending.shut_for(AppendError::Full, Duration::from_secs(60));
        assert_eq!(pending.state(), LogState::Full);
        assert_eq!(refusal(&pending, vec![record(0)]), AppendError::Full);
        pending.shut_for(AppendError::Full, Duration::ZERO);
        assert!(pending.submit(vec![record(0)]).is_ok(), "the pause is over: one may try");
        pending.close();
        pending.open();
        assert_eq!(refusal(&pending, vec![record(0)]), AppendError::Closed, "closing is for good");
        let mut batch = Vec::new();
        assert_eq!(pending.take(&mut batch, None), Taken::Batch, "what waits is still committed");
        batch.clear();
        assert_eq!(pending.take(&mut batch, None), Taken::Closed);
        assert!(pending.closed_within(Duration::from_secs(60)));
    }
}
