//! A ratio of two sides that were measured in turn, and between what bounds it lies: a bootstrap over pairs of blocks, so that whatever holds
//! for a whole block, or for two that lie beside each other, is drawn with it.

/// How often is drawn.
const DRAWS: usize = 2_000;
/// What is left out at either end: 99 % lie between. Wider than is usual, since it is looked at more than once before a row is done.
const OUTSIDE: f64 = 0.005;
/// The same blocks give the same bounds.
const SEED: u64 = 0x150_1a7e;

/// A ratio with its bounds.
#[derive(Clone, Copy)]
pub struct Ratio {
    /// What was measured.
    pub measured: f64,
    /// It is hardly less than this,
    pub from: f64,
    /// and hardly more than this.
    pub to: f64,
}

/// The ratio of what `of` makes of all blocks of the one side and of the other, which were measured in pairs.
pub fn ratio<B>(pairs: &[(B, B)], of: impl Fn(&mut dyn Iterator<Item = &B>) -> f64) -> Ratio {
    let measure = |chosen: &[usize]| {
        let well = of(&mut chosen.iter().map(|pair| &pairs[*pair].0));
        of(&mut chosen.iter().map(|pair| &pairs[*pair].1)) / well
    };
    let all: Vec<usize> = (0..pairs.len()).collect();
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let chosen: Vec<usize> = all.iter().map(|_| random.usize(..pairs.len())).collect();
            measure(&chosen)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn[((DRAWS - 1) as f64 * share).round() as usize];
    Ratio { measured: measure(&all), from: at(OUTSIDE), to: at(1.0 - OUTSIDE) }
}

/// What the interval says of an aim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All of the interval is within it.
    Within,
    /// The aim is inside the interval.
    TooNoisy,
    /// None of the interval is within it.
    Missed,
}

impl Verdict {
    /// Where the ratio may be so much at most.
    pub fn of_most(ratio: Ratio, most: f64) -> Self {
        Self::of(ratio.to <= most, ratio.from > most)
    }

    /// Where all of the interval is within the aim, and where all of it is beyond.
    pub const fn of(within: bool, beyond: bool) -> Self {
        match (within, beyond) {
            (true, _) => Self::Within,
            (false, true) => Self::Missed,
            (false, false) => Self::TooNoisy,
        }
    }

    /// The word on the terminal and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::TooNoisy => "TOO NOISY",
            Self::Missed => "MISSED",
        }
    }
}
