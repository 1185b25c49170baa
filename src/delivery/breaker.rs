//! The circuit breaker that the lanes of one courier share: after several failures in a row nobody tries, then one of them does.
//! A receiver's `Retry-After` holds all lanes too. The rules are plain data; [`Gate`] is where lanes wait for them.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::backoff::Backoff;

/// Failures in a row, over all lanes, that open the breaker: less would take one lane's bad luck for an outage.
const FAILURES_TO_OPEN: u32 = 5;
/// An open breaker rests at least this long; the drawn backoff comes on top.
const REST_LEAST: Duration = Duration::from_secs(1);
/// A receiver's `Retry-After` is honoured up to here; a longer one would be a way to switch a destination off unseen.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// The rest after an endpoint refused everything (gone, moved, wrong credentials): someone must act, and hammering would not help.
const REFUSED_REST: Duration = Duration::from_secs(10 * 60);

/// Whether the lanes of one courier may try.
pub struct Breaker {
    circuit: Circuit,
    failures: u32,
    openings: u32,
    held_until: Option<Instant>,
    backoff: Backoff,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Circuit {
    Closed,
    Open {
        until: Instant,
        refused: bool,
    },
    /// One attempt is under way that decides.
    Probing {
        refused: bool,
    },
}

/// What a lane that wants to try is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Try.
    Go,
    /// Ask again then, or when something has changed; without a moment: when something has changed.
    Wait(Option<Instant>),
}

/// What the breaker is at, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Attempts go through.
    Closed,
    /// The receiver asked for a pause.
    Held,
    /// Too many failures in a row.
    Open,
    /// The endpoint refuses everything; someone must act.
    Refused,
}

/// What a failure did to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It has just gone from letting through to resting.
    Now,
    /// It is as it was.
    Unchanged,
}

impl Breaker {
    /// A breaker that lets through.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        Self { circuit: Circuit::Closed, failures: 0, openings: 0, held_until: None, backoff }
    }

    /// Asks for an attempt. Whoever is told to go reports how it went, or that there was none.
    pub fn admit(&mut self, now: Instant) -> Admission {
        if let Some(until) = self.held_until {
            if now < until {
                return Admission::Wait(Some(until));
            }
            self.held_until = None;
        }
        match self.circuit {
            Circuit::Closed => Admission::Go,
            Circuit::Open { until, .. } if now < until => Admission::Wait(Some(until)),
            Circuit::Open { refused, .. } => {
                self.circuit = Circuit::Probing { refused };
                Admission::Go
            }
            Circuit::Probing { .. } => Admission::Wait(None),
        }
    }

    /// The receiver answered, whatever it said. Returns whether the breaker had been open.
    pub fn answered(&mut self) -> bool {
        let was_open = self.circuit != Circuit::Closed;
        (self.circuit, self.failures, self.openings) = (Circuit::Closed, 0, 0);
        was_open
    }

    /// No answer, or a "not now", with the receiver's own wish.
    pub fn failed(&mut self, now: Instant, after: Option<Duration>) -> Opened {
        if let Some(after) = after {
            let until = now + after.min(RETRY_AFTER_MAX);
            self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
        }
        self.failures = self.failures.saturating_add(1);
        match self.circuit {
            Circuit::Closed if self.failures < FAILURES_TO_OPEN => Opened::Unchanged,
            Circuit::Closed => {
                self.rest(now, false);
                Opened::Now
            }
            Circuit::Probing { refused } => {
                self.rest(now, refused);
                Opened::Unchanged
            }
            Circuit::Open { .. } => Opened::Unchanged,
        }
    }

    /// The endpoint refuses everything, whatever the event.
    pub fn refused(&mut self, now: Instant) -> Opened {
        let known = matches!(self.circuit, Circuit::Open { refused: true, .. } | Circuit::Probing { refused: true });
        self.circuit = Circuit::Open { until: now + REFUSED_REST, refused: true };
        if known { Opened::Unchanged } else { Opened::Now }
    }

    /// The one who was told to go had nothing to send after all.
    pub fn unused(&mut self, now: Instant) {
        if let Circuit::Probing { refused } = self.circuit {
            self.circuit = Circuit::Open { until: now, refused };
        }
    }

    /// What it is at.
    #[must_use]
    pub fn phase(&self, now: Instant) -> Phase {
        match self.circuit {
            Circuit::Open { refused: true, .. } | Circuit::Probing { refused: true } => Phase::Refused,
            Circuit::Open { .. } | Circuit::Probing { .. } => Phase::Open,
            Circuit::Closed if self.held_until.is_some_and(|until| now < until) => Phase::Held,
            Circuit::Closed => Phase::Closed,
        }
    }

    fn rest(&mut self, now: Instant, refused: bool) {
        self.openings = self.openings.saturating_add(1);
        let until = now + REST_LEAST + self.backoff.wait(self.openings);
        self.circuit = Circuit::Open { until, refused };
    }
}

/// Where the lanes of one courier wait until the breaker lets them try.
pub struct Gate {
    breaker: watch::Sender<Breaker>,
}

/// The right to one attempt. Dropped without a report, it counts as not used.
pub struct Pass<'g> {
    gate: &'g Gate,
    used: bool,
}

impl Gate {
    /// A gate with this breaker.
    #[must_use]
    pub fn new(breaker: Breaker) -> Self {
        Self { breaker: watch::Sender::new(breaker) }
    }

    /// Waits until an attempt may be made.
    pub async fn pass(&self) -> Pass<'_> {
        let mut changes = self.breaker.subscribe();
        loop {
            let mut admission = Admission::Go;
            self.breaker.send_if_modified(|breaker| {
                admission = breaker.admit(Instant::now());
                false
            });
            // `changed` fails only when the sender is gone, and the sender is in `self`.
            match admission {
                Admission::Go => return Pass { gate: self, used: false },
                Admission::Wait(Some(until)) => {
                    let _ = tokio::time::timeout_at(until, changes.changed()).await;
                }
                Admission::Wait(None) => {
                    let _ = changes.changed().await;
                }
            }
        }
    }

    /// What the breaker is at.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.breaker.borrow().phase(Instant::now())
    }

    fn report<T>(&self, change: impl FnOnce(&mut Breaker, Instant) -> T) -> Option<T> {
        let mut result = None;
        self.breaker.send_modify(|breaker| result = Some(change(breaker, Instant::now())));
        result
    }
}

impl Pass<'_> {
    /// See [`Breaker::answered`].
    pub fn answered(mut self) -> bool {
        self.used = true;
        self.gate.report(|breaker, _| breaker.answered()).unwrap_or_default()
    }

    /// See [`Breaker::failed`].
    pub fn failed(mut self, after: Option<Duration>) -> Opened {
        self.used = true;
        self.gate.report(|breaker, now| breaker.failed(now, after)).unwrap_or(Opened::Unchanged)
    }

    /// See [`Breaker::refused`].
    pub fn refused(mut self) -> Opened {
        self.used = true;
        self.gate.report(|breaker, now| breaker.refused(now)).unwrap_or(Opened::Unchanged)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.used {
            self.gate.report(|breaker, now| breaker.unused(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(Backoff::seeded(1));
        for _ in 1..FAILURES_TO_OPEN {
            assert_eq!(breaker.failed(now, None), Opened::Unchanged);
            assert_eq!(breaker.admit(now), Admission::Go);
        }
        assert_eq!(breaker.failed(now, None), Opened::Now);
        breaker
    }

    fn until(admission: Admission) -> Instant {
        match admission {
            Admission::Wait(Some(until)) => until,
            other => panic!("not a wait with a moment: {other:?}"),
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_probe() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let then = until(breaker.admit(now));
        assert!(then >= now + REST_LEAST);
        assert_eq!(breaker.admit(then), Admission::Go);
        assert_eq!(breaker.admit(then), Admission::Wait(None), "one probe only");
        assert_eq!(breaker.failed(then, None), Opened::Unchanged, "not reported again");
        assert_eq!(breaker.phase(then), Phase::Open);
        let later = until(breaker.admit(then));
        assert_eq!(breaker.admit(later), Admission::Go);
        assert!(breaker.answered());
        assert_eq!((breaker.admit(later), breaker.admit(later)), (Admission::Go, Admission::Go));
    }

    #[test]
    fn an_answer_between_failures_keeps_it_closed() {
        let now = Instant::now();
        let mut breaker = Breaker::new(Backoff::seeded(1));
        for _ in 0..3 * FAILURES_TO_OPEN {
            assert_eq!(breaker.failed(now, None), Opened::Unchanged);
            assert!(!breaker.answered());
        }
        assert_eq!(breaker.phase(now), Phase::Closed);
    }

    #[test]
    fn retry_after_holds_every_lane_within_its_bound() {
        let now = Instant::now();
        let mut breaker = Breaker::new(Backoff::seeded(1));
        breaker.failed(now, Some(Duration::from_secs(30)));
        breaker.failed(now, Some(Duration::from_secs(10)));
        assert_eq!(until(breaker.admit(now)), now + Duration::from_secs(30), "the longer one counts");
        assert_eq!(breaker.phase(now), Phase::Held);
        assert_eq!(breaker.admit(now + Duration::from_secs(30)), Admission::Go);
        breaker.failed(now, Some(Duration::from_secs(1_000_000)));
        assert_eq!(until(breaker.admit(now)), now + RETRY_AFTER_MAX);
    }

    #[test]
    fn a_refusing_endpoint_is_said_once_and_tried_slowly() {
        let now = Instant::now();
        let mut breaker = Breaker::new(Backoff::seeded(1));
        assert_eq!(breaker.refused(now), Opened::Now);
        assert_eq!(breaker.refused(now), Opened::Unchanged);
        let then = until(breaker.admit(now));
        assert_eq!(then, now + REFUSED_REST);
        assert_eq!(breaker.admit(then), Admission::Go);
        assert_eq!(breaker.phase(then), Phase::Refused);
        assert_eq!(breaker.refused(then), Opened::Unchanged);
        assert!(breaker.answered());
        assert_eq!(breaker.refused(then), Opened::Now, "it had been well in between");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_was_not_used_is_the_next_ones() {
        let gate = Gate::new(opened(Instant::now()));
        let first = gate.pass().await;
        {
            let second = gate.pass();
            tokio::pin!(second);
            assert!(tokio::time::timeout(Duration::from_secs(600), second.as_mut()).await.is_err(), "one probe only");
            drop(first);
            let second = tokio::time::timeout(Duration::from_secs(1), second).await.expect("the probe is free again");
            assert!(second.answered());
        }
        drop(gate.pass().await);
        assert_eq!(gate.phase(), Phase::Closed);
    }
}
