//! Backoff: how long to wait after a failure. Exponential with full jitter, so that many waiting senders do not come back together.

use std::time::Duration;

/// The wait after the first failure is at most this.
const BASE: Duration = Duration::from_millis(500);
/// No wait is longer: a receiver that comes back is found within this time.
const CEILING: Duration = Duration::from_secs(5 * 60);
/// `BASE` doubled this often has passed `CEILING`.
const DOUBLINGS_MAX: u32 = 10;

/// Draws waiting times.
pub struct Backoff {
    random: fastrand::Rng,
}

impl Backoff {
    /// Draws from this seed: the same seed gives the same waits.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed) }
    }

    /// One that draws others, also repeated with the seed.
    pub fn another(&mut self) -> Self {
        Self { random: self.random.fork() }
    }

    /// The wait after this many failures in a row: uniform between nothing and the doubled base, within the ceiling.
    pub fn wait(&mut self, failures: u32) -> Duration {
        let most = BASE.saturating_mul(1 << failures.saturating_sub(1).min(DOUBLINGS_MAX)).min(CEILING);
        Duration::from_millis(self.random.u64(0..=u64::try_from(most.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_the_ceiling_and_repeat_with_the_seed() {
        let waits = |seed| {
            let mut backoff = Backoff::seeded(seed);
            (1..40).map(|failures| backoff.wait(failures)).collect::<Vec<_>>()
        };
        let drawn = waits(7);
        assert_eq!(drawn, waits(7));
        assert_ne!(drawn, waits(8));
        for (index, wait) in drawn.iter().enumerate() {
            let most = BASE.saturating_mul(1 << (index as u32).min(20)).min(CEILING);
            assert!(*wait <= most, "after {} failures: {wait:?} > {most:?}", index + 1);
        }
        assert!(drawn.iter().any(|wait| *wait > Duration::from_secs(60)), "the ceiling is used");
        assert!(Backoff::seeded(1).wait(u32::MAX) <= CEILING);
    }

    #[test]
    fn jitter_is_full() {
        let mut backoff = Backoff::seeded(1);
        let waits: Vec<_> = (0..200).map(|_| backoff.wait(4)).collect();
        let most = BASE * 8;
        assert!(waits.iter().any(|wait| *wait < most / 10) && waits.iter().any(|wait| *wait > most * 9 / 10));
    }
}
