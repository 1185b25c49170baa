//! What a policy says about crowds: how many visitors make one, what is given up first to have one, and whether those who consented need
//! one as well.

use super::tuple::{STEPS, Step};

/// How many distinct visitors make a crowd, where a policy says nothing; and the fewest that a policy may say.
pub const CROWD_MIN: u32 = 20;
/// More would leave nothing of the largest site.
pub const CROWD_MAX: u32 = 100_000;
/// Below so many distinct visitors a day, on the best of seven days, a place is not named.
pub const PLACE_VISITORS_MIN: u32 = 100;

/// A policy's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrowdRules {
    /// So many distinct visitors are a crowd; 1: none is asked for.
    pub visitors: u32,
    /// Why none is asked for, where that is so.
    pub reason: Option<String>,
    /// What is given up, first to last.
    pub order: [Step; STEPS],
    /// Whether events of visitors who consented need a crowd, too.
    pub consented: bool,
}

impl Default for CrowdRules {
    fn default() -> Self {
        Self { visitors: CROWD_MIN, reason: None, order: Step::ALL, consented: false }
    }
}

impl CrowdRules {
    /// Whether an event's tuple has to be a crowd's.
    #[must_use]
    pub const fn ask(&self, consented: bool) -> bool {
        self.visitors > 1 && (self.consented || !consented)
    }

    /// How many distinct visitors a cell must have had for it to rest or to be called a crowd in a report, whatever a policy asks for.
    #[must_use]
    pub const fn crowd(&self) -> u32 {
        if self.visitors > CROWD_MIN { self.visitors } else { CROWD_MIN }
    }
}
