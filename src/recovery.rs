//! How many visits a vendor's own tag missed: of those of visitors who agreed and whose page told, the share in which that tag did not run, by family of browsers.
//! Counts alone, with how far they can be trusted (Wilson's interval); nothing of a group that is too small.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    counters::{self, Counters},
    documents::Site,
    event::{Epoch, aside::Tag},
    privacy::enrich::device::Browser,
    state::{StateDb, StoreError},
};

/// A smaller group is not shown: neither its count, nor by what is left when others are taken away.
pub const GROUP_MIN: u64 = 20;
/// Days that are looked at where nobody says how many: four weeks have each weekday four times.
pub const DAYS: i32 = 28;
/// Of the normal distribution: 95 % lie within so many standard deviations.
const WITHIN_95: f64 = 1.959_964;

/// One group: a vendor's tag in a family of browsers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Missed {
    /// The vendor, by its name among shims.
    pub tag: &'static str,
    /// The family of browsers; `others`: families that are too small to be named; `all`: those that are shown.
    pub browser: &'static str,
    /// Visits whose page told.
    pub visits: u64,
    /// Those of them in which the tag did not run.
    pub missed: u64,
    /// Their share.
    pub share: f64,
    /// With 95 % confidence, the share of all such visits lies between this
    pub low: f64,
    /// and this.
    pub high: f64,
}

impl Missed {
    fn of(tag: &'static str, browser: &'static str, (missed, visits): (u64, u64)) -> Option<Self> {
        if visits < GROUP_MIN {
            return None;
        }
        let (low, high) = wilson(missed, visits);
        Some(Self { tag, browser, visits, missed, share: missed as f64 / visits as f64, low, high })
    }
}

/// What was counted of a site from a day on. Each vendor's families first, largest first, then all of them together.
///
/// # Errors
/// When `state.db` cannot be read.
pub fn of_site(state: &StateDb, site: &Site, from: Epoch) -> Result<Vec<Missed>, StoreError> {
    Ok(grouped(&Counters::since(state, site.number, from)?.into_iter().collect()))
}

fn grouped(counts: &BTreeMap<String, u64>) -> Vec<Missed> {
    let mut shown = Vec::new();
    for tag in Tag::all() {
        let mut families = Vec::new();
        let mut others = (0, 0);
        for browser in Browser::ALL {
            let count = |ran| counts.get(&counters::name_of_tag(tag, browser, ran)).copied().unwrap_or(0);
            let (ran, missed) = (count(true), count(false));
            if let Some(group) = Missed::of(tag.name(), browser.name(), (missed, ran + missed)) {
                families.push(group);
            } else {
                others = (others.0 + missed, others.1 + ran + missed);
            }
        }
        families.sort_by_key(|group| std::cmp::Reverse(group.visits));
        families.extend(Missed::of(tag.name(), "others", others));
        let sum = families.iter().fold((0, 0), |(missed, visits), group| (missed + group.missed, visits + group.visits));
        if families.len() > 1 {
            families.extend(Missed::of(tag.name(), "all", sum));
        }
        shown.extend(families);
    }
    shown
}

/// Wilson's score interval: it stays within 0 and 1 and holds for small counts and shares near either end, where the simple one does not.
fn wilson(hits: u64, of: u64) -> (f64, f64) {
    let (n, z2) = (of as f64, WITHIN_95 * WITHIN_95);
    let share = hits as f64 / n;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = WITHIN_95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        let near = |(low, high): (f64, f64), expected: (f64, f64)| (low - expected.0).abs() < 5e-4 && (high - expected.1).abs() < 5e-4;
        // By hand: 0 of 20 → z²/(n + z²); 10 of 100 and 50 of 100, as in Wilson's own form.
        assert!(near(wilson(0, 20), (0.0, 0.1611)), "{:?}", wilson(0, 20));
        assert!(near(wilson(10, 100), (0.0552, 0.1744)), "{:?}", wilson(10, 100));
        assert!(near(wilson(50, 100), (0.4038, 0.5962)), "{:?}", wilson(50, 100));
        assert!(near(wilson(20, 20), (0.8389, 1.0)), "{:?}", wilson(20, 20));
    }

    #[test]
    fn small_groups_are_not_shown_nor_to_be_found_by_taking_others_away() {
        let gtag = Tag::named("gtag").unwrap();
        let counts = |rows: &[(Browser, u64, u64)]| {
            let both = rows.iter().flat_map(|(browser, ran, missed)| [(*browser, true, *ran), (*browser, false, *missed)]);
            grouped(&both.map(|(browser, ran, count)| (counters::name_of_tag(gtag, browser, ran), count)).collect())
        };
        let shown = |rows: &[(Browser, u64, u64)]| -> Vec<_> {
            counts(rows).iter().map(|group| (group.browser, group.missed, group.visits)).collect()
        };
        assert_eq!(shown(&[(Browser::Firefox, 10, 9)]), [], "19 visits");
        assert_eq!(shown(&[(Browser::Firefox, 10, 10)]), [("firefox", 10, 20)]);
        assert_eq!(
            shown(&[(Browser::Firefox, 15, 5), (Browser::Chrome, 97, 3), (Browser::Safari, 9, 10)]),
            [("chrome", 3, 100), ("firefox", 5, 20), ("all", 8, 120)],
            "19 of Safari are in no sum"
        );
        assert_eq!(
            shown(&[(Browser::Chrome, 97, 3), (Browser::Safari, 9, 10), (Browser::Edge, 1, 0)]),
            [("chrome", 3, 100), ("others", 10, 20), ("all", 13, 120)]
        );
    }
}
