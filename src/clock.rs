//! The one place that reads the wall clock. Everything else is handed a `Timestamp`, so that it can be tested with any.

pub mod agreement;

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, by this machine's clock unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment plus a span.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// This moment minus a span.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// How long ago `earlier` was, zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This moment rounded down to a multiple of `step` (which must be at least a millisecond).
    #[must_use]
    pub fn rounded(self, step: Duration) -> Self {
        let step = millis(step).max(1);
        Self(self.0.div_euclid(step) * step)
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// RFC 3339, in UTC, with milliseconds: `2026-11-23T14:50:27.000Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| String::from("out of range"), |moment| format!("{moment:.3}"))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// By how much this process's clock is ahead of the machine's: by nothing, but in a rehearsal.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// The wall clock, now.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp(machine().0.saturating_add(AHEAD.load(Ordering::Relaxed)))
}

/// Sets this process's clock, for a rehearsal: one that has to see a day end, or to open data of another time. No more than what the machine's
/// clock could be set to; how old a key is has a clock of its own.
pub fn set(to: Timestamp) {
    AHEAD.store(to.0.saturating_sub(machine().0), Ordering::Relaxed);
}

/// The machine's clock, whatever a rehearsal has set this process's to.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
#[must_use]
pub fn machine() -> Timestamp {
    let span = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(millis(span))
}

/// Time since the system started, also while it slept. Where a system does not say so: `None`, and the monotonic clock has to do.
#[must_use]
pub fn since_boot() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_down_also_before_1970() {
        assert_eq!(Timestamp(61_999).rounded(Duration::from_secs(60)), Timestamp(60_000));
        assert_eq!(Timestamp(-1).rounded(Duration::from_secs(60)), Timestamp(-60_000));
    }

    #[test]
    fn rfc3339_has_milliseconds() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00.000Z");
    }
}
