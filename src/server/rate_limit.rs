//! Rate limits in fixed memory: the generic cell rate algorithm (GCRA), counted in events.
//!
//! GCRA keeps one number per client: the moment at which its allowance would be full again ("theoretical arrival time"). An event moves
//! that moment on by the interval between events; it is refused when the moment would lie further ahead than the burst allows. That is
//! a token bucket, in eight bytes and without a timer.
//!
//! Clients share a table of fixed size, indexed by their keyed hash. A map that grows with each new client would be memory that an
//! attacker with an IPv6 prefix can fill, and would keep who was here. Two clients in one cell share one allowance: a collision can
//! only make the limit stricter, and a sender cannot aim for one, since the hash's key is random per process.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::{
    client_address::RateKey,
    limits::{CLIENT_CELLS, SITE_CELLS},
};
use crate::event::SiteNumber;

/// A steady rate and a burst above it, in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Events per second, for ever.
    pub per_second: u32,
    /// Events at once, after a pause.
    pub burst: u32,
}

/// The four limits; `None` turns one off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Of one client: an IPv4 address or an IPv6 /64.
    pub client: Option<Rate>,
    /// Of one site's apps, so that whoever reads the key out of one cannot use up what the site's pages have.
    pub apps: Option<Rate>,
    /// Of one site, so that it cannot starve the others.
    pub site: Option<Rate>,
    /// Of all together, so that the log's disk is not filled faster than it can be read.
    pub global: Option<Rate>,
}

impl Default for RateLimits {
    /// One address may be a whole office (50 events a second are 150 people who click every three seconds); a site of 2,000 events a
    /// second has five million page views an hour; 20,000 a second is what one machine of two cores takes in.
    fn default() -> Self {
        Self {
            client: Some(Rate { per_second: 50, burst: 200 }),
            apps: Some(Rate { per_second: 500, burst: 2_000 }),
            site: Some(Rate { per_second: 2_000, burst: 10_000 }),
            global: Some(Rate { per_second: 20_000, burst: 40_000 }),
        }
    }
}

/// Over a limit: when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// For the `Retry-After` header: whole seconds, rounded up.
    #[must_use]
    pub(super) fn seconds(self) -> u64 {
        self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)
    }
}

/// The meters of all clients and sites.
pub(super) struct RateLimiter {
    started: Instant,
    client: Option<Meter>,
    apps: Option<Meter>,
    site: Option<Meter>,
    global: Option<Meter>,
}

impl RateLimiter {
    /// Meters that have counted nothing yet.
    #[must_use]
    pub(super) fn new(limits: &RateLimits) -> Self {
        Self {
            started: Instant::now(),
            client: limits.client.map(|rate| Meter::new(rate, CLIENT_CELLS)),
            apps: limits.apps.map(|rate| Meter::new(rate, SITE_CELLS)),
            site: limits.site.map(|rate| Meter::new(rate, SITE_CELLS)),
            global: limits.global.map(|rate| Meter::new(rate, 1)),
        }
    }

    /// The allowance that a request of this client to this site draws on.
    #[must_use]
    pub(super) const fn quota(&self, client: RateKey, site: SiteNumber) -> Quota<'_> {
        Quota { limiter: self, client, site, is_one_client: true, is_app: false }
    }
}

/// What one request may still take.
pub(super) struct Quota<'a> {
    limiter: &'a RateLimiter,
    client: RateKey,
    site: SiteNumber,
    is_one_client: bool,
    is_app: bool,
}

impl Quota<'_> {
    /// The same, drawn from the site's allowance and the machine's alone: for the site's own backend.
    #[must_use]
    pub(super) const fn of_site(self) -> Self {
        Self { is_one_client: false, ..self }
    }

    /// The same, drawn from what the site's apps have beside it.
    #[must_use]
    pub(super) const fn of_app(self) -> Self {
        Self { is_app: true, ..self }
    }

    /// Takes that many events. The server takes one before it reads a body; the line takes what a batch holds beyond that.
    ///
    /// # Errors
    /// When the client, its site or the whole machine is over its limit, and when to come back.
    pub(super) fn take(&self, events: u32) -> Result<(), RetryAfter> {
        if events == 0 {
            return Ok(());
        }
        self.take_at(self.limiter.started.elapsed(), events)
    }

    fn take_at(&self, now: Duration, events: u32) -> Result<(), RetryAfter> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let RateLimiter { client, apps, site, global, .. } = self.limiter;
        let of_site = self.site.0 as usize % SITE_CELLS;
        // The narrowest first: a client over its limit takes nothing from its site, nor a site from the machine.
        let meters = [
            (client.as_ref().filter(|_| self.is_one_client), self.client.cell(CLIENT_CELLS)),
            (apps.as_ref().filter(|_| self.is_app), of_site),
            (site.as_ref(), of_site),
            (global.as_ref(), 0),
        ];
        for (meter, cell) in meters {
            if let Some(meter) = meter {
                meter.take(cell, now, events)?;
            }
        }
        Ok(())
    }
}

/// One limit, for every cell of a table.
pub struct Meter {
    /// Nanoseconds between two events at the steady rate.
    interval: u64,
    burst: u32,
    /// Per cell, the theoretical arrival time: nanoseconds since the start.
    arrivals: Box<[AtomicU64]>,
}

impl Meter {
    /// A meter that has counted nothing yet.
    #[must_use]
    pub fn new(rate: Rate, cells: usize) -> Self {
        let interval = 1_000_000_000 / u64::from(rate.per_second.max(1));
        Self { interval, burst: rate.burst.max(1), arrivals: (0..cells).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Takes that many events in a cell. `now`: nanoseconds since the start.
    ///
    /// # Errors
    /// When the cell is over the limit, and when to come back.
    pub fn take(&self, cell: usize, now: u64, events: u32) -> Result<(), RetryAfter> {
        // A batch larger than the burst passes when the allowance is full: otherwise its sender would come back with it for ever.
        let cost = self.interval.saturating_mul(u64::from(events.min(self.burst)));
        let tolerance = self.interval.saturating_mul(u64::from(self.burst));
        let arrival = &self.arrivals[cell];
        let mut seen = arrival.load(Ordering::Relaxed);
        loop {
            let next = seen.max(now).saturating_add(cost);
            let ahead = next - now;
            if ahead > tolerance {
                return Err(RetryAfter(Duration::from_nanos(ahead - tolerance)));
            }
            match arrival.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limiter(client: Option<Rate>, site: Option<Rate>, global: Option<Rate>) -> RateLimiter {
        RateLimiter::new(&RateLimits { client, apps: None, site, global })
    }

    fn taken(limiter: &RateLimiter, client: u64, site: u32, at: Duration, attempts: u32) -> u32 {
        let quota = limiter.quota(RateKey::for_test(client), SiteNumber(site));
        (0..attempts).map(|_| u32::from(quota.take_at(at, 1).is_ok())).sum()
    }

    #[test]
    fn a_burst_and_then_the_steady_rate() {
        let limiter = limiter(Some(Rate { per_second: 10, burst: 30 }), None, None);
        assert_eq!(taken(&limiter, 1, 1, SECOND, 100), 30);
        assert_eq!(taken(&limiter, 1, 1, SECOND, 100), 0);
        assert_eq!(taken(&limiter, 1, 1, 2 * SECOND, 100), 10);
        assert_eq!(taken(&limiter, 1, 1, 60 * SECOND, 100), 30);
    }

    #[test]
    fn clients_do_not_share_unless_they_collide() {
        let limiter = limiter(Some(Rate { per_second: 1, burst: 5 }), None, None);
        assert_eq!(taken(&limiter, 1, 1, SECOND, 10), 5);
        assert_eq!(taken(&limiter, 2, 1, SECOND, 10), 5);
        assert_eq!(taken(&limiter, 1 + CLIENT_CELLS as u64, 1, SECOND, 10), 0, "a collision is stricter, never looser");
    }

    #[test]
    fn one_client_cannot_starve_its_site_nor_a_site_the_machine() {
        let narrow = Some(Rate { per_second: 1, burst: 5 });
        let wide = Some(Rate { per_second: 1, burst: 12 });
        let sites = limiter(narrow, wide, None);
        assert_eq!([1, 2, 3].map(|client| taken(&sites, client, 1, SECOND, 100)), [5, 5, 2]);
        assert_eq!(taken(&sites, 4, 2, SECOND, 100), 5);
        let machine = limiter(None, narrow, wide);
        assert_eq!([1, 2, 3].map(|site| taken(&machine, 1, site, SECOND, 100)), [5, 5, 2]);
    }

    #[test]
    fn apps_that_use_up_theirs_leave_the_pages_their_own() {
        let apps = Some(Rate { per_second: 1, burst: 5 });
        let limiter = RateLimiter::new(&RateLimits { client: None, apps, site: Some(Rate { per_second: 1, burst: 12 }), global: None });
        let taken = |is_app: bool, site: u32| -> u32 {
            let quota = limiter.quota(RateKey::for_test(1), SiteNumber(site));
            let quota = if is_app { quota.of_app() } else { quota };
            (0..100).map(|_| u32::from(quota.take_at(SECOND, 1).is_ok())).sum()
        };
        assert_eq!([taken(true, 1), taken(false, 1), taken(true, 2)], [5, 7, 5]);
    }

    #[test]
    fn refusal_says_when_to_come_back_and_means_it() {
        let limiter = limiter(Some(Rate { per_second: 2, burst: 4 }), None, None);
        let quota = limiter.quota(RateKey::for_test(1), SiteNumber(1));
        quota.take_at(SECOND, 4).expect("a full allowance");
        let RetryAfter(wait) = quota.take_at(SECOND, 3).expect_err("it is empty");
        assert_eq!(wait, Duration::from_millis(1500));
        assert_eq!(RetryAfter(wait).seconds(), 2);
        assert!(quota.take_at(SECOND + wait - Duration::from_millis(1), 3).is_err());
        assert!(quota.take_at(SECOND + wait, 3).is_ok());
    }

    #[test]
    fn a_batch_above_the_burst_passes_when_the_allowance_is_full() {
        let limiter = limiter(Some(Rate { per_second: 1, burst: 10 }), None, None);
        let quota = limiter.quota(RateKey::for_test(1), SiteNumber(1));
        assert!(quota.take_at(SECOND, 1000).is_ok());
        assert!(quota.take_at(SECOND, 1).is_err());
        assert!(quota.take_at(12 * SECOND, u32::MAX).is_ok());
    }

    #[test]
    fn no_limit_is_no_limit() {
        assert_eq!(taken(&limiter(None, None, None), 1, 1, SECOND, 100_000), 100_000);
    }

    #[test]
    fn many_threads_together_get_no_more_than_the_burst() {
        let limiter = limiter(None, None, Some(Rate { per_second: 1, burst: 1_000 }));
        let total: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    scope.spawn({
                        let limiter = &limiter;
                        move || taken(limiter, thread, 1, SECOND, 1_000)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread that ends")).sum()
        });
        assert_eq!(total, 1_000);
    }
}
