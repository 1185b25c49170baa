//! What a figure is worth: intervals of shares and of differences of shares, the area under a curve, and resampling. All with the same result
//! for the same seed.

use std::fmt;

use fastrand::Rng;

/// The normal distribution's two-sided 95 %.
const Z: f64 = 1.959_964;
/// How often the resampled figure is made anew: its 95 % bounds are then good to about a tenth of their width.
const RESAMPLES: usize = 1_000;
/// Both sides together are left out.
const LEFT_OUT: f64 = 0.05;

/// A figure, and between which bounds it is with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The figure.
    pub is: f64,
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

impl Interval {
    /// A share, by Wilson's score interval (1927): it holds for few and for extreme ones, too. Of none it says nothing.
    #[must_use]
    pub fn of_share(hits: usize, of: usize) -> Self {
        if of == 0 {
            return Self { is: 0.0, low: 0.0, high: 1.0 };
        }
        let (n, share) = (of as f64, hits as f64 / of as f64);
        let scale = 1.0 + Z * Z / n;
        let middle = (share + Z * Z / (2.0 * n)) / scale;
        let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
        Self { is: share, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
    }

    /// By how much one share is above another, by Newcombe's interval (1998, method 10) of independent shares.
    #[must_use]
    pub fn of_difference(one: (usize, usize), other: (usize, usize)) -> Self {
        let (a, b) = (Self::of_share(one.0, one.1), Self::of_share(other.0, other.1));
        let is = a.is - b.is;
        Self {
            is,
            low: is - ((a.is - a.low).powi(2) + (b.high - b.is).powi(2)).sqrt(),
            high: is + ((a.high - a.is).powi(2) + (b.is - b.low).powi(2)).sqrt(),
        }
    }

    /// The mean of values, by drawing them again with replacement: 95 of 100 means are within.
    #[must_use]
    pub fn of_mean(values: &[f64], seed: u64) -> Self {
        if values.is_empty() {
            return Self { is: 0.0, low: 0.0, high: 1.0 };
        }
        let mean = |sum: f64| sum / values.len() as f64;
        let mut random = Rng::with_seed(seed);
        let mut means: Vec<f64> =
            (0..RESAMPLES).map(|_| mean((0..values.len()).map(|_| values[random.usize(0..values.len())]).sum())).collect();
        means.sort_by(f64::total_cmp);
        let at = |share: f64| means[((means.len() - 1) as f64 * share).round() as usize];
        Self { is: mean(values.iter().sum()), low: at(LEFT_OUT / 2.0), high: at(1.0 - LEFT_OUT / 2.0) }
    }
}

/// As per cent.
impl fmt::Display for Interval {
    fn fmt(&self, form: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No "-0.0".
        let [is, low, high] = [self.is, self.low, self.high].map(|share| (share * 1000.0).round() / 10.0 + 0.0);
        write!(form, "{is:.1} % ({low:.1} to {high:.1})")
    }
}

/// Of one right answer and others: how many of the others it is above (equal ones count half), and its chance to be drawn among the best.
#[must_use]
pub fn placed(right: f64, others: &[f64]) -> (f64, f64) {
    if others.is_empty() {
        return (0.5, 1.0);
    }
    let (mut below, mut equal) = (0.0, 0.0);
    for other in others {
        if *other < right {
            below += 1.0;
        } else if *other == right {
            equal += 1.0;
        }
    }
    let best = below + equal >= others.len() as f64;
    ((below + equal / 2.0) / others.len() as f64, if best { 1.0 / (equal + 1.0) } else { 0.0 })
}

/// Kendall's tau-b of two rankings of the same things: 1 where they agree, -1 where one is the other's reverse.
#[must_use]
pub fn rank_correlation(pairs: &[(u64, u64)]) -> f64 {
    let (mut concordant, mut discordant, mut tied_one, mut tied_other) = (0_i64, 0_i64, 0_i64, 0_i64);
    for (index, one) in pairs.iter().enumerate() {
        for other in &pairs[index + 1..] {
            match (one.0.cmp(&other.0) as i64, one.1.cmp(&other.1) as i64) {
                (0, 0) => {}
                (0, _) => tied_one += 1,
                (_, 0) => tied_other += 1,
                (a, b) if a == b => concordant += 1,
                _ => discordant += 1,
            }
        }
    }
    let both = concordant + discordant;
    let scale = (((both + tied_one) * (both + tied_other)) as f64).sqrt();
    if scale == 0.0 { 1.0 } else { (concordant - discordant) as f64 / scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the true value is within.
    fn covered(truth: f64, times: usize, mut interval: impl FnMut(u64) -> Interval) -> f64 {
        let within = (0..times as u64).map(&mut interval).filter(|found| (found.low..=found.high).contains(&truth)).count();
        within as f64 / times as f64
    }

    fn hits(random: &mut Rng, share: f64, of: usize) -> usize {
        (0..of).filter(|_| random.f64() < share).count()
    }

    #[test]
    fn intervals_are_those_of_the_books() {
        // Newcombe 1998: 81 of 263, and 15 of 148, by the score interval; 56 of 70 against 48 of 80 by method 10.
        let near = |found: Interval, low: f64, high: f64| {
            assert!((found.low - low).abs() < 6e-4 && (found.high - high).abs() < 6e-4, "{found:?}");
        };
        near(Interval::of_share(81, 263), 0.2553, 0.3662);
        near(Interval::of_share(15, 148), 0.0624, 0.1605);
        near(Interval::of_share(0, 20), 0.0, 0.1611);
        near(Interval::of_difference((56, 70), (48, 80)), 0.0524, 0.3339);
    }

    #[test]
    fn they_hold_the_truth_in_95_of_100_cases() {
        for (share, of) in [(0.5, 40), (0.02, 300), (0.9, 100)] {
            let found = covered(share, 2_000, |seed| {
                let mut random = Rng::with_seed(seed);
                Interval::of_share(hits(&mut random, share, of), of)
            });
            assert!((0.92..=0.985).contains(&found), "share {share} of {of}: {found}");
        }
        let found = covered(0.1, 2_000, |seed| {
            let mut random = Rng::with_seed(seed);
            let (one, other) = (hits(&mut random, 0.3, 200), hits(&mut random, 0.2, 150));
            Interval::of_difference((one, 200), (other, 150))
        });
        assert!((0.92..=0.985).contains(&found), "difference: {found}");
        let found = covered(0.5, 200, |seed| {
            let mut random = Rng::with_seed(seed);
            let values: Vec<f64> = (0..120).map(|_| random.f64()).collect();
            Interval::of_mean(&values, seed)
        });
        assert!((0.90..=0.99).contains(&found), "mean: {found}");
    }

    #[test]
    fn rankings_are_compared() {
        assert_eq!(rank_correlation(&[(1, 10), (2, 20), (3, 30)]), 1.0);
        assert_eq!(rank_correlation(&[(1, 30), (2, 20), (3, 10)]), -1.0);
        let one_swap = rank_correlation(&[(1, 10), (2, 30), (3, 20), (4, 40)]);
        assert!((one_swap - 4.0 / 6.0).abs() < 1e-9, "{one_swap}");
    }

    #[test]
    fn of_nothing_nothing_is_known() {
        assert_eq!(Interval::of_share(0, 0), Interval { is: 0.0, low: 0.0, high: 1.0 });
        assert_eq!(Interval::of_mean(&[], 1), Interval { is: 0.0, low: 0.0, high: 1.0 });
    }

    #[test]
    fn a_place_among_others_counts_equals_half() {
        assert_eq!(placed(3.0, &[1.0, 2.0]), (1.0, 1.0));
        assert_eq!(placed(1.0, &[1.0, 2.0]), (0.25, 0.0));
        assert_eq!(placed(2.0, &[2.0, 2.0, 1.0]), (2.0 / 3.0, 1.0 / 3.0));
    }

    #[test]
    fn a_share_is_shown_with_its_bounds() {
        assert_eq!(Interval { is: -0.0001, low: -0.02, high: 0.0314 }.to_string(), "0.0 % (-2.0 to 3.1)");
    }
}
