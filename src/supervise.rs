//! The one place that spawns: every task and thread has a name, is counted, hears the stop signal, and is waited for at shutdown.
//! A task that panics is reported by its name (never by the panic's message, which could hold a value) and does not take the program down.

use std::{
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use tokio::{
    runtime::{self, Handle, Runtime},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Spawns and ends every task of the program. Clones share the same tasks and the same stop signal.
#[derive(Clone, Default)]
pub struct Supervisor {
    tasks: TaskTracker,
    stop: CancellationToken,
    line: Option<Handle>,
}

impl Supervisor {
    /// A supervisor with no tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with threads of their own for what answers beacons: those of [`line_runtime`].
    #[must_use]
    pub fn with_line(self, line: Handle) -> Self {
        Self { line: Some(line), ..self }
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
        self.spawn_among(&Handle::current(), name, task);
    }

    /// Runs a long-lived task on the threads that answer beacons, where they are threads of their own; what it spawns is there, too.
    pub fn spawn_on_line<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match &self.line {
            Some(line) => self.spawn_among(line, name, task),
            None => self.spawn(name, task),
        }
    }

    fn spawn_among<F>(&self, threads: &Handle, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handle = threads.spawn(self.tasks.track_future(task));
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
            Err(end) => resume_unwind(end.into_panic()),
        }
    }

    /// Gives the stop signal and waits until every task has ended, at most `patience`. Returns whether all ended.
    pub async fn shut_down(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }
}

/// The threads that answer beacons, apart from those on which couriers and pages are: one for each processor but one, which the log's commit
/// thread has. With one more they wake each other again and again for what one of them has done by then: an event costs a sixth more
/// of a processor where few come at a time, and a twelfth where many do (two processors; `docs/adr/0014-threads-of-the-line.md`).
///
/// # Errors
/// When the operating system has no thread to give.
pub fn line_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_multi_thread().worker_threads(line_threads()).thread_name("line").enable_all().build()
}

/// How many of them there are.
#[must_use]
pub fn line_threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    processors.saturating_sub(1).max(1)
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

/// Does work in as many parts at once as there are processors, and waits for all of them. Each hears which part of how many it is.
///
/// # Panics
/// When a part panics.
pub fn in_parallel<T: Send>(work: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
    let parts = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..parts).map(|part| scope.spawn(move || work(part, parts))).collect();
        let mut all = vec![work(0, parts)];
        all.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic))));
        all
    })
}

/// An operating-system thread for one owner's blocking work, one piece after the other. Where a task blocks again and again, this is
/// better than [`Supervisor::blocking`]: the allocator keeps what a thread has freed for that thread, and work that wanders over the
/// threads of the pool leaves its memory behind on each of them.
pub struct WorkThread {
    pieces: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

impl WorkThread {
    /// Starts the thread. It ends when this value is dropped.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub fn start(name: &'static str) -> io::Result<Self> {
        Self::start_after(name, || ())
    }

    /// The same for work that nobody waits for: where processors are short, it comes after the threads that answer.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub fn in_background(name: &'static str) -> io::Result<Self> {
        Self::start_after(name, give_way)
    }

    fn start_after(name: &'static str, begin: fn()) -> io::Result<Self> {
        // One piece waits at most per caller, each of which waits for its end.
        let (pieces, mut waiting) = mpsc::channel::<Box<dyn FnOnce() + Send>>(1);
        let work = move || {
            begin();
            while let Some(piece) = waiting.blocking_recv() {
                piece();
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { pieces })
    }

    /// Runs a piece of work there and waits for its result.
    ///
    /// # Panics
    /// When the work itself panicked.
    pub async fn run<T, F>(&self, work: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        #[cfg(test)]
        let _clock_stands = hold_paused_clock();
        let (done, result) = oneshot::channel();
        let piece = Box::new(move || {
            // Whoever asked may be gone.
            let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        });
        self.pieces.send(piece).await.expect("the thread lives as long as this value");
        match result.await.expect("the thread answers every piece, also one that panics") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// How far behind the others a thread in the background stands, whatever they have: it still gets a tenth of a processor that others want all of.
#[cfg(target_os = "linux")]
const BACKGROUND_NICENESS: i32 = 10;

/// Lets the calling thread come after the others. Linux has a niceness for each thread; elsewhere it is the whole program's, which stays.
fn give_way() {
    // Where it is refused, the thread is as important as the others.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(BACKGROUND_NICENESS);
}

/// A paused clock of tests runs on whenever all tasks wait, unless the runtime's own blocking work is under way: work on a thread of ours
/// must count as such, or hours pass in it.
#[cfg(test)]
fn hold_paused_clock() -> std::sync::mpsc::Sender<()> {
    let (held, released) = std::sync::mpsc::channel();
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    drop(tokio::task::spawn_blocking(move || released.recv()));
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_work_thread_runs_all_pieces_on_one_thread_and_outlives_a_panic() {
        let thread = std::sync::Arc::new(WorkThread::start("test").unwrap());
        let first = thread.run(|| std::thread::current().id()).await;
        let same = std::sync::Arc::clone(&thread);
        let panicking = Supervisor::new().spawn_short(async move { same.run(|| -> () { panic!("this piece alone") }).await });
        assert!(panicking.await.is_err_and(|end| end.is_panic()));
        assert_eq!(thread.run(|| std::thread::current().id()).await, first);
        assert_ne!(first, std::thread::current().id());
    }

    #[test]
    fn what_answers_beacons_and_all_that_it_spawns_is_on_threads_of_its_own() {
        let (line, others) = (line_runtime().unwrap(), runtime::Builder::new_current_thread().build().unwrap());
        let supervisor = Supervisor::new().with_line(line.handle().clone());
        let (told, mut heard) = mpsc::channel(3);
        let name = || std::thread::current().name().map(str::to_owned);
        others.block_on(async {
            let (short, from_short, from_line, elsewhere) = (supervisor.clone(), told.clone(), told.clone(), told);
            supervisor.spawn_on_line("test", async move {
                from_line.send(name()).await.unwrap();
                short.spawn_short(async move { from_short.send(name()).await.unwrap() });
            });
            assert_eq!([heard.recv().await, heard.recv().await], [(); 2].map(|()| Some(Some(String::from("line")))));
            supervisor.spawn("test", async move { elsewhere.send(name()).await.unwrap() });
            assert_eq!(heard.recv().await, Some(name()));
        });
        line.shutdown_background();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_in_the_background_comes_after_the_rest_alone() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let (here, before) = (niceness(), WorkThread::start("test").unwrap());
        let behind = WorkThread::in_background("test").unwrap();
        assert_eq!(
            (behind.run(niceness).await, before.run(niceness).await, niceness()),
            ((here + BACKGROUND_NICENESS).min(19), here, here)
        );
    }
}
