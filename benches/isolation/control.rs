//! What the machine does by itself: a thread that only sleeps, and how late it wakes up. It knows nothing of the product, so a block in which
//! it was far too late tells of the machine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::Failure;

/// How long it sleeps at a time: shorter than any answer that would be missed.
const NAP: Duration = Duration::from_millis(1);

/// One that sleeps, until it is asked.
pub struct Control {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Control {
    /// Begins.
    pub fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut latest = Duration::ZERO;
            while !asked.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(NAP);
                latest = latest.max(before.elapsed().saturating_sub(NAP));
            }
            latest
        });
        Self { over, thread }
    }

    /// How much too late it woke up at the worst, in ms.
    pub fn end(self) -> Result<f64, Failure> {
        self.over.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the control panicked")?.as_secs_f64() * 1e3)
    }
}
