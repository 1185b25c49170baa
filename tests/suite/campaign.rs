//! What tests share that can also be run as long campaigns: how far they are, how much memory the server took, and what a receiver that keeps
//! nothing saw.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use memchr::memmem;

use crate::installation::{Installation, Running};

/// A backlog that does not get shorter for so long has come to rest.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Says every few seconds how far a campaign is; a normal run says nothing.
pub(crate) struct Tell {
    wanted: bool,
    begun: Instant,
    last: AtomicU64,
}

impl Tell {
    pub(crate) fn new(wanted: bool) -> Self {
        Self { wanted, begun: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(crate) fn now_and_then(&self, what: impl FnOnce() -> String) {
        let seconds = self.begun.elapsed().as_secs();
        if self.wanted && seconds >= self.last.load(Ordering::Relaxed) + 10 {
            self.last.store(seconds, Ordering::Relaxed);
            self.say(&what());
        }
    }

    #[expect(clippy::print_stderr, reason = "a campaign says how far it is")]
    pub(crate) fn say(&self, what: &str) {
        if self.wanted {
            eprintln!("{:>5} s: {what}", self.begun.elapsed().as_secs());
        }
    }
}

/// The most memory that the server ever had resident, in MiB; nothing where the system does not tell.
pub(crate) fn resident_mib(server: &Running) -> f64 {
    most_resident_mib(server.pid())
}

/// The same of a process.
pub(crate) fn most_resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// The property `number` of each event in a call, said as a number or as text.
pub(crate) fn numbers(call: &[u8]) -> impl Iterator<Item = f64> + '_ {
    const KEY: &[u8] = b"\"number\":";
    memmem::find_iter(call, KEY).map(|at| {
        let value = &call[at + KEY.len()..];
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let end = value.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.')).unwrap_or(value.len());
        str::from_utf8(&value[..end]).ok().and_then(|number| number.parse().ok()).expect("a number")
    })
}

/// Waits until so many events have their end at each of these destinations, as long as there is progress.
pub(crate) fn wait_until_ended(installation: &Installation, destinations: &[&str], events: usize, tell: &Tell) {
    let ended = || -> Vec<usize> {
        destinations.iter().map(|name| installation.ledger(name).iter().map(|(.., count)| *count as usize).sum()).collect()
    };
    let (mut before, mut since) = (ended(), Instant::now());
    while before.iter().any(|ended| *ended != events) {
        std::thread::sleep(Duration::from_millis(200));
        let now = ended();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "delivery stands still at {before:?} of {events}");
        tell.now_and_then(|| format!("ended at {destinations:?}: {before:?} of {events}"));
    }
}
