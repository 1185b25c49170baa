//! How old a key is: by the monotonic clock and by the one that counts a machine's sleep, whichever says more; and by what another process
//! told of it, where it was handed over. The wall clock has no say in it.

use std::time::{Duration, Instant};

use crate::clock;

/// A key's age.
pub(super) struct Age {
    /// When it came here.
    before: Duration,
    since: Instant,
    /// The same moment since the system's start; that clock goes on while the machine sleeps, which the monotonic one does not.
    since_boot: Option<Duration>,
}

impl Age {
    /// Of a key that is this old now.
    pub(super) fn beginning_at(before: Duration) -> Self {
        Self { before, since: Instant::now(), since_boot: clock::since_boot() }
    }

    /// Now.
    pub(super) fn now(&self) -> Duration {
        let with_sleep = self.since_boot.zip(clock::since_boot()).map_or(Duration::ZERO, |(then, now)| now.saturating_sub(then));
        self.before.saturating_add(self.since.elapsed().max(with_sleep))
    }

    /// As if the machine had been started when the key came here, and had slept since.
    #[cfg(test)]
    pub(super) fn slept_since_boot(self) -> Self {
        Self { since_boot: self.since_boot.map(|_| Duration::ZERO), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_age_counts() {
        assert!(Age::beginning_at(Duration::ZERO).now() < Duration::from_secs(60));
        let hour = Duration::from_secs(60 * 60);
        assert!(Age::beginning_at(hour).now() >= hour);
        if let Some(boot) = clock::since_boot() {
            assert!(Age::beginning_at(hour).slept_since_boot().now() >= boot + hour);
        }
        if let Some(since) = Instant::now().checked_sub(Duration::from_secs(5)) {
            assert!(Age { since, ..Age::beginning_at(hour) }.now() >= hour + Duration::from_secs(5));
        }
    }
}
