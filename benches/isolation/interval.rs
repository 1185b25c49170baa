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

/// The value below which this share of all lies.
pub fn quantile(waits: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut waits: Vec<f64> = waits.collect();
    let at = ((waits.len() as f64 * share) as usize).min(waits.len().saturating_sub(1));
    *waits.select_nth_unstable_by(at, f64::total_cmp).1
}
