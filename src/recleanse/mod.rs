//! `recleanse`: after the documents were tightened, what is stored is brought to what may rest under them. One log segment after another,
//! at a bounded pace, on a thread of its own; it goes on after a restart, and starts over when the documents are tightened once more.
//!
//! ```text
//!  documents change ─► tighter than those that the records were brought to? ─no─► their revision is noted
//!                                    │ yes: a run is begun, durably
//!                                    ▼
//!  requests under the old documents have ended ─► roll ─► each sealed log segment, oldest first: rewrite, note ─► over
//! ```
//! What each record becomes says [`privacy::recleanse`](crate::privacy::recleanse), how its log segment is replaced `event_log::rewrite`.

pub mod progress;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::progress::{Cause, Progress};
use crate::{
    clock,
    documents::{
        Documents, Site,
        store::{DocumentStore, DocumentStoreError},
    },
    event::Offset,
    event_log::{EventLog, LogRecord, Rewrite, RewriteError, SealedLogSegment},
    metrics::Counter,
    privacy::{
        keys::person::PersonKeys,
        recleanse::{RecleanseError, Recleansed, recleanse},
    },
    state::{StateDb, StoreError},
    supervise::{Supervisor, WorkThread},
};

/// Records are read and written at this pace at most, in bytes a second: a tenth or less of what a disk for such a log does, so that
/// beacons and couriers do not notice; a log of 50 GB takes an hour.
const BYTES_PER_SECOND: u64 = 16 << 20;
/// No sleep for the pace is longer, so that a stop is heard.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// How long requests under the documents before are waited for. A body may take 15 seconds to come, and its answer a few more.
const STRAGGLERS_PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether they have ended.
const STRAGGLERS_LOOK: Duration = Duration::from_millis(20);
/// Before what failed (a full disk, a busy database) is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What it works with.
#[derive(Clone)]
pub struct Parts {
    /// Where the records are.
    pub log: Arc<EventLog>,
    /// What their bodies are sealed under.
    pub persons: Arc<PersonKeys>,
    /// What the documents were before.
    pub store: DocumentStore,
    /// Where the progress rests.
    pub state: Arc<StateDb>,
    /// Who runs it.
    pub supervisor: Supervisor,
}

/// The one recleanse there is at a time, and what is known of it.
pub struct Recleanse {
    parts: Parts,
    bytes_per_second: u64,
    stop: CancellationToken,
    /// The documents in force.
    documents: Mutex<Arc<Documents>>,
    /// Of documents that were in force before, as long as requests are under way with them.
    before: Mutex<Vec<Weak<Site>>>,
    /// As it rests.
    progress: Mutex<Progress>,
    /// Held while that is changed there and here.
    writing: Mutex<()>,
    /// The run that is to be worked on: another number makes the one under way give up.
    run: AtomicI64,
    begun: Notify,
    replaced: Counter,
    said_unreadable: AtomicBool,
}

/// Why a run stopped before its end.
enum Interrupted {
    /// The program stops.
    Stopping,
    /// Another run was begun.
    Superseded,
    /// Something cannot be used now.
    Failed(&'static str),
}

impl Recleanse {
    /// Looks at what was left by the last program, and at the documents in force; then goes on until the stop signal. Blocks for a moment.
    ///
    /// # Errors
    /// When `state.db` cannot be used, or the system has no thread to give.
    pub fn start(parts: Parts, documents: Arc<Documents>) -> Result<Arc<Self>, StartError> {
        Self::start_at_pace(parts, documents, BYTES_PER_SECOND)
    }

    fn start_at_pace(parts: Parts, documents: Arc<Documents>, bytes_per_second: u64) -> Result<Arc<Self>, StartError> {
        let thread = WorkThread::in_background("recleanse").map_err(StartError::Thread)?;
        let stop = parts.supervisor.stop_signal();
        let now = clock::now();
        let known = progress::read(&parts.state)?;
        let progress = match known {
            Some(progress) => progress,
            None => {
                let anything = parts.log.first_offset() < *parts.log.durable_head().borrow();
                let first = if anything {
                    Progress::begun(1, documents.revision, Cause::Unknown, now)
                } else {
                    Progress::none(documents.revision, now)
                };
                progress::begin(&parts.state, &first)?;
                first
            }
        };
        let supervisor = parts.supervisor.clone();
        let recleanse = Arc::new(Self {
            parts,
            bytes_per_second,
            stop,
            documents: Mutex::new(Arc::clone(&documents)),
            before: Mutex::default(),
            run: AtomicI64::new(progress.run),
            progress: Mutex::new(progress),
            writing: Mutex::default(),
            begun: Notify::new(),
            replaced: Counter::default(),
            said_unreadable: AtomicBool::new(false),
        });
        recleanse.take_up(&documents, Vec::new())?;
        recleanse.look_for_request()?;
        recleanse.begun.notify_one();
        let worker = Arc::clone(&recleanse);
        supervisor.spawn("recleanse", async move { worker.work(&thread).await });
        Ok(recleanse)
    }

    /// Takes new documents, which must be in force already; `before` are the sites of those that were. Where they let less rest, a run is
    /// begun: durably when this returns. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be used now. Call it again.
    pub fn take_up(&self, documents: &Arc<Documents>, before: Vec<Weak<Site>>) -> Result<(), StoreError> {
        lock(&self.before).extend(before);
        let one_at_a_time = lock(&self.writing);
        let progress = self.progress();
        if progress.revision == documents.revision {
            return Ok(());
        }
        let tightened = match self.parts.store.compiled_as_of(progress.revision) {
            Ok(before) => documents.tighten(&before),
            Err(DocumentStoreError::Store(error)) => return Err(error),
            // What they let rest cannot be told any more.
            Err(_) => true,
        };
        if tightened {
            return self.begin(documents, Cause::Tightened, &one_at_a_time);
        }
        progress::note_revision(&self.parts.state, documents.revision)?;
        *lock(&self.documents) = Arc::clone(documents);
        lock(&self.progress).revision = documents.revision;
        Ok(())
    }

    /// Begins a run if somebody has asked for one. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be used now.
    pub fn look_for_request(&self) -> Result<(), StoreError> {
        let one_at_a_time = lock(&self.writing);
        if progress::read(&self.parts.state)?.is_some_and(|progress| progress.asked) {
            let documents = Arc::clone(&lock(&self.documents));
            self.begin(&documents, Cause::Asked, &one_at_a_time)?;
        }
        Ok(())
    }

    fn begin(&self, documents: &Arc<Documents>, cause: Cause, _one_at_a_time: &MutexGuard<'_, ()>) -> Result<(), StoreError> {
        let begun = Progress::begun(self.progress().run + 1, documents.revision, cause, clock::now());
        progress::begin(&self.parts.state, &begun)?;
        *lock(&self.documents) = Arc::clone(documents);
        *lock(&self.progress) = begun;
        self.run.store(begun.run, Ordering::Release);
        self.begun.notify_one();
        tracing::info!(run = begun.run, cause = cause.name(), "a recleanse begins: what is stored is brought to the documents in force");
        Ok(())
    }

    /// How it stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *lock(&self.progress)
    }

    /// Records that others took the place of since the program started.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced.value()
    }

    async fn work(self: Arc<Self>, thread: &WorkThread) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.begun.notified() => {}
            }
            let mut said = false;
            while !self.progress().is_over() {
                match self.run(thread).await {
                    Ok(()) => {}
                    Err(Interrupted::Stopping) => return,
                    Err(Interrupted::Superseded) => continue,
                    Err(Interrupted::Failed(what)) => {
                        if !said {
                            tracing::error!(what, "a recleanse cannot go on now; it tries again until it can");
                            said = true;
                        }
                        tokio::select! {
                            () = self.stop.cancelled() => return,
                            () = tokio::time::sleep(RETRY) => {}
                        }
                    }
                }
            }
        }
    }

    /// One run, from where it is to its end.
    async fn run(self: &Arc<Self>, thread: &WorkThread) -> Result<(), Interrupted> {
        self.stragglers_ended().await?;
        let end = self.parts.log.roll().await.map_err(|_| Interrupted::Failed("the event log cannot be rolled"))?;
        let mut progress = self.progress();
        let left: Vec<_> = self.parts.log.sealed_below(end).into_iter().filter(|segment| !is_done(&progress, segment)).collect();
        progress.segments = progress.segments_done + left.len() as u64;
        for segment in left {
            let recleanse = Arc::clone(self);
            progress = thread.run(move || recleanse.rewrite(segment, progress)).await?;
        }
        let recleanse = Arc::clone(self);
        thread.run(move || recleanse.advance(Progress { ended: Some(clock::now()), ..progress })).await?;
        tracing::info!(run = progress.run, replaced = progress.replaced, "a recleanse is over");
        Ok(())
    }

    /// Requests that were decoded under documents before these may still append what those let rest.
    async fn stragglers_ended(&self) -> Result<(), Interrupted> {
        let deadline = tokio::time::Instant::now() + STRAGGLERS_PATIENCE;
        while self.stragglers() > 0 && tokio::time::Instant::now() < deadline {
            tokio::select! {
                () = self.stop.cancelled() => return Err(Interrupted::Stopping),
                () = tokio::time::sleep(STRAGGLERS_LOOK) => {}
            }
        }
        Ok(())
    }

    fn stragglers(&self) -> usize {
        let mut before = lock(&self.before);
        before.retain(|site| site.strong_count() > 0);
        before.len()
    }

    /// Rewrites one log segment and notes that it is done. Blocks.
    fn rewrite(&self, segment: SealedLogSegment, progress: Progress) -> Result<Progress, Interrupted> {
        let documents = Arc::clone(&lock(&self.documents));
        let mut pace = Pace { bytes_per_second: self.bytes_per_second, began: Instant::now(), bytes: 0 };
        let mut unavailable = None;
        let mut judge = |record: &LogRecord| {
            if self.interrupted(progress.run).is_some() {
                return Rewrite::GiveUp;
            }
            pace.passed(record.bytes.as_slice().len());
            match recleanse(&record.bytes, &documents, &self.parts.persons, clock::now()) {
                Ok(Recleansed::Same) => Rewrite::Same,
                Ok(Recleansed::Narrower(instead) | Recleansed::Emptied(instead)) => Rewrite::Instead(instead),
                Err(RecleanseError::Corrupt(_)) => {
                    if !self.said_unreadable.swap(true, Ordering::Relaxed) {
                        tracing::error!("a record of the event log is not one of ours; a recleanse leaves it as it is");
                    }
                    Rewrite::Same
                }
                Err(RecleanseError::Store(_) | RecleanseError::Seal(_)) => {
                    unavailable = Some("a key cannot be used");
                    Rewrite::GiveUp
                }
            }
        };
        let rewritten = self.parts.log.rewrite(segment, &mut judge).map_err(|error| match error {
            RewriteError::GivenUp => {
                self.interrupted(progress.run).unwrap_or(Interrupted::Failed(unavailable.unwrap_or("a log segment cannot be read")))
            }
            RewriteError::Log(_) => Interrupted::Failed("a log segment cannot be rewritten"),
        })?;
        self.replaced.add(rewritten.replaced);
        let mut done = Progress { segments_done: progress.segments_done + 1, replaced: progress.replaced + rewritten.replaced, ..progress };
        done.done_below[progress::place(segment.class)] = segment.first.next();
        self.advance(done)
    }

    fn interrupted(&self, run: i64) -> Option<Interrupted> {
        if self.stop.is_cancelled() {
            return Some(Interrupted::Stopping);
        }
        (self.run.load(Ordering::Acquire) != run).then_some(Interrupted::Superseded)
    }

    /// Notes how far this run is: at rest, then for whoever looks. Blocks.
    fn advance(&self, done: Progress) -> Result<Progress, Interrupted> {
        let _one_at_a_time = lock(&self.writing);
        let written = progress::advance(&self.parts.state, &done).map_err(|_| Interrupted::Failed("state.db cannot be written"))?;
        if !written {
            return Err(Interrupted::Superseded);
        }
        let noted = Progress { revision: self.progress().revision, ..done };
        *lock(&self.progress) = noted;
        Ok(noted)
    }
}

/// Whether a log segment was done before.
fn is_done(progress: &Progress, segment: &SealedLogSegment) -> bool {
    let below: Offset = progress.done_below[progress::place(segment.class)];
    segment.first < below
}

/// Holds the work back to a number of bytes per second.
struct Pace {
    bytes_per_second: u64,
    began: Instant,
    bytes: u64,
}

impl Pace {
    /// So many bytes have been dealt with: sleeps when that was too soon.
    fn passed(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let due = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_second as f64);
        let ahead = due.saturating_sub(self.began.elapsed());
        // Many short sleeps would be longer than they say.
        if ahead >= SLEEP_MAX / 10 {
            std::thread::sleep(ahead.min(SLEEP_MAX));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is written under these locks is written in one piece.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why it cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `state.db` cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no thread.
    #[error("the system gives no thread for recleanse: {0}")]
    Thread(io::Error),
}
