//! Rounds, pairs of rounds, and what follows from them.

use std::time::Duration;

use crate::{
    Failure,
    interval::{Ratio, ratio},
    load::{Orders, Tally},
    process::{Process, ThreadTimes},
};

/// The load of every row.
pub const CONNECTIONS: usize = 64;

/// One server under load: the product, or a yardstick.
pub struct Side<'a> {
    /// The server's process id.
    pub process: u32,
    /// What the load generator is to send; its requests and round are set for each round.
    pub orders: Orders,
    /// Waits for work that a round leaves behind and that is part of its cost.
    pub settle: Option<&'a dyn Fn() -> Result<(), Failure>>,
    /// A thread whose work is not the line's, and is counted apart.
    pub apart: Option<&'static str>,
}

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Pairs of rounds at least.
    pub pairs: usize,
    /// Pairs of rounds at most: there are more than the least only while the ratio's interval holds one of `bounds`.
    pub pairs_max: usize,
    /// What the ratio is held against.
    pub bounds: &'static [f64],
    /// Requests of one round. A round of a bare server should last a second: in its first tenths it runs on one thread or on several, by chance, and
    /// what is measured then is which.
    pub requests: u64,
    /// Requests of each side's uncounted first round.
    pub warm_up: u64,
}

/// One round of one side.
pub struct Round {
    /// Processor time per request in µs.
    pub cost_us: f64,
    /// The same of the thread that is counted apart.
    pub apart_us: f64,
    /// What the load generator saw.
    pub tally: Tally,
}

/// Middle and ends of some figures.
#[derive(Clone, Copy)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The one in the middle.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of at least one figure.
    pub fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_unstable_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) };
        Self { least: figures[0], median, most: figures[figures.len() - 1] }
    }
}

/// Two sides measured in turn.
pub struct Comparison {
    /// The yardstick's rounds.
    pub yardstick: Vec<Round>,
    /// The other side's rounds.
    pub measured: Vec<Round>,
}

impl Comparison {
    /// What all measured rounds cost, as a multiple of what the yardstick's cost. Of all of them together: a bare server has two ways to run
    /// on few cores, one of which is half as dear again, and no round in the middle stands for both.
    pub fn ratio(&self) -> Ratio {
        let pairs: Vec<(f64, f64)> =
            self.yardstick.iter().zip(&self.measured).map(|(yardstick, measured)| (yardstick.cost_us, measured.cost_us)).collect();
        ratio(&pairs, |costs| costs.sum())
    }

    /// Whether the ratio lies beyond each of these, on whichever side.
    fn is_apart_from(&self, bounds: &[f64]) -> bool {
        let Ratio { from, to, .. } = self.ratio();
        bounds.iter().all(|bound| *bound < from || to < *bound)
    }
}

/// The cost of some rounds.
pub fn cost(rounds: &[Round]) -> Spread {
    Spread::of(rounds.iter().map(|round| round.cost_us))
}

/// Counts rounds, so that no event id comes twice.
pub struct Rounds(u64);

impl Rounds {
    /// Starts at a number of this run's own.
    pub fn new() -> Self {
        Self(jiff::Timestamp::now().as_microsecond().unsigned_abs() << 10)
    }

    /// Measures both sides in turn, after a warm-up of each, until the ratio can be told from the effort's bounds.
    pub fn compare(&mut self, yardstick: &Side<'_>, measured: &Side<'_>, effort: Effort) -> Result<Comparison, Failure> {
        self.round(yardstick, effort.warm_up)?;
        self.round(measured, effort.warm_up)?;
        let mut comparison = Comparison { yardstick: Vec::new(), measured: Vec::new() };
        while comparison.measured.len() < effort.pairs
            || comparison.measured.len() < effort.pairs_max && !comparison.is_apart_from(effort.bounds)
        {
            comparison.yardstick.push(self.round(yardstick, effort.requests)?);
            comparison.measured.push(self.round(measured, effort.requests)?);
        }
        Ok(comparison)
    }

    /// Runs one round in a load generator of its own.
    pub fn round(&mut self, side: &Side<'_>, requests: u64) -> Result<Round, Failure> {
        self.0 += 1;
        let orders = Orders { requests, round: self.0, ..side.orders.clone() };
        let mut generator = Process::role("load")?;
        generator.say(&serde_json::to_string(&orders)?)?;
        generator.hear()?;
        let before = ThreadTimes::of(side.process)?;
        generator.say("go")?;
        let tally: Tally = serde_json::from_str(&generator.hear()?)?;
        // What is counted apart goes on when the line's own work is done, and to wait for it is not the line's work.
        let answered = ThreadTimes::of(side.process)?;
        if let Some(settle) = side.settle {
            settle()?;
        }
        let settled = ThreadTimes::of(side.process)?;
        let (used, apart) = match side.apart {
            None => settled.since(&before, None),
            Some(_) => (answered.since(&before, side.apart).0, settled.since(&before, side.apart).1),
        };
        if tally.accepted != requests {
            let (accepted, other, status) = (tally.accepted, tally.other, tally.other_status);
            return Err(format!("of {requests} requests {accepted} were accepted and {other} were not (status {status})").into());
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
        Ok(Round { cost_us: each(used), apart_us: each(apart), tally })
    }
}
