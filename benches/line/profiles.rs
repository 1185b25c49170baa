//! What customer profiles cost the durable line: its own processor time with the projector at work, beside the same without profiles. The projector's own
//! work is counted apart: it is on a thread of its own, and no answer waits for it.

use std::fmt;

use crate::measure::{Comparison, Spread};

/// The line may cost so much more, as a multiple of the yardstick.
pub const LIMIT: f64 = 0.1;

/// What was measured.
pub struct ProfilesCost {
    /// What the line costs more in each pair of rounds, as a multiple of the bare server's cost.
    more: Spread,
    /// What the line costs without, in µs of processor time.
    without_us: f64,
    /// What the projector costs beside it, per event.
    projector_us: f64,
    /// The answers' p99 in ms, without and with.
    p99_ms: [f64; 2],
}

impl ProfilesCost {
    /// Of pairs of rounds: without profiles, and with the projector at work.
    pub fn of(comparison: &Comparison, bare_us: f64) -> Self {
        let pairs = || comparison.yardstick.iter().zip(&comparison.measured);
        let p99 = |rounds: &[crate::measure::Round]| Spread::of(rounds.iter().map(|round| round.tally.p99_ms)).median;
        Self {
            more: Spread::of(pairs().map(|(without, with)| (with.cost_us - without.cost_us) / bare_us)),
            without_us: Spread::of(comparison.yardstick.iter().map(|round| round.cost_us)).median,
            projector_us: Spread::of(comparison.measured.iter().map(|round| round.apart_us)).median,
            p99_ms: [p99(&comparison.yardstick), p99(&comparison.measured)],
        }
    }

    /// Whether it is within the limit.
    pub fn is_within(&self) -> bool {
        self.more.median <= LIMIT
    }
}

impl fmt::Display for ProfilesCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { more, without_us, projector_us, p99_ms: [without, with] } = self;
        let verdict = if self.is_within() { "pass" } else { "MISS" };
        write!(
            f,
            "profiles: {verdict}, with the projector at work the line itself moves by {:+.2} × bare hyper [{:+.2} to {:+.2}], at most {LIMIT} ({without_us:.1} µs \
             without; answers' p99 {without:.2} ms without, {with:.2} ms with); the projector costs {projector_us:.0} µs an event on its own thread",
            more.median, more.least, more.most
        )
    }
}
