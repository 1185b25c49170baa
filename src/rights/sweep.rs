//! An erasure's way through the event log. The command destroys the keys, durably, and says so on the erasure list; a running server sees
//! that within half a second, forgets the keys that it has in memory, and then empties the records of those persons, one log segment
//! after another. Without a server the command does the same. After a crash it goes on.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    clock,
    event::{Offset, RetentionClass},
    event_log::{DiskFiles, EventLog, LogError, LogOptions, LogRecord, Rewrite, RewriteError},
    privacy::{
        keys::person::PersonKeys,
        rights::{
            erase::{Erased, RightsOfRecord},
            erasures::{Erasures, Marks},
        },
    },
    state::StoreError,
    supervise::{Supervisor, WorkThread},
};

/// How often a running server looks at the list: so long may pass until nobody can read anything any more.
const ROUND: Duration = Duration::from_millis(500);
/// A request that had a key in its hands when it was forgotten appends its events within this; they are swept with the rest.
const GRACE: Duration = Duration::from_secs(1);
/// Before what failed (a full disk, a busy database) is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Why the log could not be swept. It can be tried again, and goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A log segment cannot be read or written now.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The list cannot be used now.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told to stop, or the system gives no randomness.
    #[error("given up before its end")]
    GivenUp,
    /// The log takes no request to seal what is being written.
    #[error("the event log cannot be rolled now")]
    Roll,
}

/// What a running server needs to follow the list.
pub struct Following {
    /// Where the records are.
    pub log: Arc<EventLog>,
    /// The keys in memory.
    pub persons: Arc<PersonKeys>,
    /// The list.
    pub list: Arc<Erasures>,
}

impl Following {
    /// Follows the list until the stop signal.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(self, supervisor: &Supervisor) -> io::Result<()> {
        let thread = WorkThread::start("erasing")?;
        let (following, of) = (Arc::new(self), supervisor.clone());
        supervisor.spawn("erasing", async move { following.rounds(&of, &thread).await });
        Ok(())
    }

    async fn rounds(self: Arc<Self>, supervisor: &Supervisor, thread: &WorkThread) {
        let stop = supervisor.stop_signal();
        let mut pause = ROUND;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.round(supervisor, thread).await {
                Ok(()) => ROUND,
                Err(SweepError::GivenUp) if stop.is_cancelled() => return,
                Err(error) => {
                    tracing::error!(%error, "an erasure cannot be carried out in the event log now; it is tried again until it can");
                    RETRY
                }
            };
        }
    }

    async fn round(self: &Arc<Self>, supervisor: &Supervisor, thread: &WorkThread) -> Result<(), SweepError> {
        let following = Arc::clone(self);
        let marks = thread
            .run(move || {
                following.persons.look_who_is_held()?;
                let marks = following.list.under_way()?;
                if !marks.is_empty() {
                    following.persons.forget_erased(&following.list, &marks);
                }
                Ok::<_, StoreError>(marks)
            })
            .await?;
        if marks.is_empty() {
            return Ok(());
        }
        let stop = supervisor.stop_signal();
        tokio::select! {
            () = stop.cancelled() => return Err(SweepError::GivenUp),
            () = tokio::time::sleep(GRACE) => {}
        }
        let end = self.log.roll().await.map_err(|_| SweepError::Roll)?;
        let following = Arc::clone(self);
        let emptied = thread
            .run(move || {
                // Once more: a key that was read just before it was destroyed may have come into memory just after the others were forgotten.
                following.persons.forget_erased(&following.list, &marks);
                let emptied = sweep(&following.log, end, &following.list, &marks, &|| stop.is_cancelled())?;
                following.list.carried_out(&marks)?;
                Ok::<_, SweepError>(emptied)
            })
            .await?;
        tracing::info!(emptied, "an erasure is carried out in the event log");
        Ok(())
    }
}

/// Carries out on a log that nobody has open what the list has under way. Blocks. Returns how many records were emptied.
///
/// # Errors
/// See [`SweepError`].
pub fn sweep_at_rest(directory: &Path, options: LogOptions, list: &Erasures) -> Result<u64, SweepError> {
    let marks = list.under_way()?;
    if marks.is_empty() {
        return Ok(0);
    }
    let emptied = sweep_closed(directory, options, list, &marks)?;
    list.carried_out(&marks)?;
    Ok(emptied)
}

/// Empties the records of these in a log that nobody has open. Blocks.
pub(super) fn sweep_closed(directory: &Path, options: LogOptions, list: &Erasures, marks: &Marks) -> Result<u64, SweepError> {
    let log = EventLog::open(Arc::new(DiskFiles::open(directory)?), options, clock::now())?;
    // Seals what was being written; it stays readable, and can be rewritten.
    log.close();
    sweep(&log, Offset(u64::MAX), list, marks, &|| false)
}

/// Empties the records of these in all sealed log segments that begin below an offset. Blocks. Only those with consent are of persons.
fn sweep(log: &EventLog, end: Offset, list: &Erasures, marks: &Marks, stopped: &dyn Fn() -> bool) -> Result<u64, SweepError> {
    let mut emptied = 0;
    let mut erased = Erased::new(list, marks);
    for segment in log.sealed_below(end).into_iter().filter(|segment| segment.class == RetentionClass::Long) {
        let mut judge = |record: &LogRecord| {
            if stopped() {
                return Rewrite::GiveUp;
            }
            match erased.emptied(&record.bytes) {
                Ok(Some(instead)) => Rewrite::Instead(instead),
                Ok(None) | Err(RightsOfRecord::Corrupt(_)) => Rewrite::Same,
                Err(RightsOfRecord::System(_)) => Rewrite::GiveUp,
            }
        };
        match log.rewrite(segment, &mut judge) {
            Ok(rewritten) => emptied += rewritten.replaced,
            Err(RewriteError::GivenUp) => return Err(SweepError::GivenUp),
            Err(RewriteError::Log(error)) => return Err(error.into()),
        }
    }
    Ok(emptied)
}

/// Waits until nothing is under way any more, by a running server, or else does it. Blocks. False: a server runs, and is not finished
/// with it in time.
///
/// # Errors
/// See [`SweepError`], and when the data directory cannot be asked for.
pub fn finish(data_dir: &Path, options: &LogOptions, list: &Erasures, patience: Duration) -> Result<bool, FinishError> {
    const LOOK_AGAIN: Duration = Duration::from_millis(100);
    let deadline = Instant::now() + patience;
    loop {
        if list.under_way()?.is_empty() {
            return Ok(true);
        }
        if let Some(_held) = super::hold(data_dir).map_err(FinishError::Lock)? {
            sweep_at_rest(&data_dir.join("log"), options.clone(), list)?;
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// An erasure was made, and cannot be finished now.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The log cannot be swept.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// The list cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory's lock cannot be asked for.
    #[error("the data directory's lock cannot be asked for: {0}")]
    Lock(io::Error),
}
