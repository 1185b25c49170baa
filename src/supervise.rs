//! The one place that spawns: every task and thread has a name, is counted, hears the stop signal, and is waited for at shutdown.
//! A task that panics is reported by its name (never by the panic's message, which could hold a value) and does not take the program down.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Spawns and ends every task of the program. Clones share the same tasks and the same stop signal.
#[derive(Clone, Default)]
pub struct Supervisor {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Supervisor {
    /// A supervisor with no tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The stop signal: cancelled once, when shutdown begins.
    #[must_use]
    pub fn stop_signal(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a long-lived task. It must end soon after the stop signal.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        let handle = tokio::spawn(self.tasks.track_future(task));
        let watch = async move {
            if handle.await.is_err_and(|end| end.is_panic()) {
                tracing::error!(task = name, "a task ended by a panic");
            }
        };
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        drop(tokio::spawn(self.tasks.track_future(watch)));
    }

    /// Runs a short task, one of many of its kind (a connection, an attempt), without a watcher of its own.
    pub fn spawn_short<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        tokio::spawn(self.tasks.track_future(task))
    }

    /// Runs blocking work (SQLite, files) away from the event loop and waits for its result.
    ///
    /// # Panics
    /// When the work itself panicked.
    pub async fn blocking<T, F>(&self, work: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        let handle = tokio::task::spawn_blocking(work);
        match handle.await {
            Ok(value) => value,
            Err(end) => std::panic::resume_unwind(end.into_panic()),
        }
    }

    /// Gives the stop signal and waits until every task has ended, at most `patience`. Returns whether all ended.
    pub async fn shut_down(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }
}

/// Runs a named operating-system thread, for work that blocks all its life (the log's commit thread).
///
/// # Panics
/// When the operating system has no thread to give, which at start-up nothing could go on without.
pub fn thread<F>(name: &'static str, work: F) -> std::thread::JoinHandle<()>
where
    F: FnOnce() + Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("the operating system gives a thread at start-up")
}
