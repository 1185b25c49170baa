//! What several carriers on one request say together: the most restrictive wins.

use super::ConsentSignal;
use crate::{
    event::Purposes,
    privacy::rules::{Rule, holds},
};

/// What one carrier of consent, or several together, say in our words.
///
/// A choice may grant; an objection to single purposes (the opt-outs of the United States' laws) only ever takes away, and grants nothing
/// where nobody chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stance {
    choice: ConsentSignal,
    objected: Purposes,
}

impl Stance {
    /// A choice, without objections to single purposes.
    #[must_use]
    pub const fn choosing(choice: ConsentSignal) -> Self {
        Self { choice, objected: Purposes::NONE }
    }

    /// Objections to these purposes, and no choice.
    #[must_use]
    pub const fn objecting(to: Purposes) -> Self {
        Self { choice: ConsentSignal::Absent, objected: to }
    }

    /// Both together. The stronger word stands: opt-out, refusal, Global Privacy Control, something that cannot be read, the end of an
    /// opt-out, a grant, nothing. Of two grants stands what is in both, for the shorter time; grants that have nothing in common are a
    /// refusal, since every purpose was refused by one of them.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        use ConsentSignal::Given;
        let choice = match (self.choice, other.choice) {
            (Given { purposes: one, seconds_left: left }, Given { purposes: two, seconds_left: right })
                if holds(Rule::GrantsHaveInCommon) =>
            {
                let purposes = Purposes::from_bits(one.bits() & two.bits());
                Given { purposes, seconds_left: left.into_iter().chain(right).min() }
            }
            (one, two) if (weight(one) >= weight(two)) == holds(Rule::MostRestrictiveWins) => one,
            (_, two) => two,
        };
        Self { choice, objected: self.objected.and(other.objected) }
    }

    /// The purposes that were objected to one by one.
    #[must_use]
    pub const fn objected(&self) -> Purposes {
        self.objected
    }

    /// Whether it says yes to something.
    #[must_use]
    pub fn grants(self) -> bool {
        matches!(self.signal(), ConsentSignal::Given { purposes, .. } if !purposes.is_empty())
    }

    /// What follows for the request. A grant of which the objections leave nothing is a refusal; objections without a choice leave the
    /// visitor where they were, with nothing granted.
    #[must_use]
    pub fn signal(self) -> ConsentSignal {
        match self.choice {
            ConsentSignal::Given { purposes, seconds_left } if holds(Rule::ObjectionToPurposes) => {
                ConsentSignal::Given { purposes: Purposes::from_bits(purposes.bits() & !self.objected.bits()), seconds_left }
            }
            other => other,
        }
    }
}

impl From<ConsentSignal> for Stance {
    fn from(choice: ConsentSignal) -> Self {
        Self::choosing(choice)
    }
}

/// How strong a word is.
fn weight(choice: ConsentSignal) -> u8 {
    match choice {
        ConsentSignal::OptOut => 6,
        ConsentSignal::Given { purposes, .. } if purposes.is_empty() => 5,
        ConsentSignal::GlobalPrivacyControl => 4,
        ConsentSignal::Malformed => 3,
        ConsentSignal::OptIn => 2,
        ConsentSignal::Given { .. } => 1,
        ConsentSignal::Absent => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn given(purposes: Purposes, seconds_left: Option<u32>) -> ConsentSignal {
        ConsentSignal::Given { purposes, seconds_left }
    }

    #[test]
    fn the_more_restrictive_of_two_wins_in_either_order() {
        use ConsentSignal::{Absent, GlobalPrivacyControl, Malformed, OptIn, OptOut};
        let (analytics, ads) = (Purposes::ANALYTICS, Purposes::ADS);
        let no = given(Purposes::NONE, None);
        let cases = [
            (Absent, Absent, Absent),
            (Absent, given(analytics, Some(9)), given(analytics, Some(9))),
            (given(analytics.and(ads), None), given(analytics, None), given(analytics, None)),
            (given(analytics, Some(9)), given(analytics, Some(7)), given(analytics, Some(7))),
            (given(analytics, Some(9)), given(analytics, None), given(analytics, Some(9))),
            (given(analytics, None), given(ads, None), no),
            (given(analytics, None), no, no),
            (given(analytics, None), Malformed, Malformed),
            (given(analytics, None), GlobalPrivacyControl, GlobalPrivacyControl),
            (given(analytics, None), OptIn, OptIn),
            (OptIn, Malformed, Malformed),
            (OptIn, Absent, OptIn),
            (Absent, Malformed, Malformed),
            (Malformed, no, no),
            (Malformed, GlobalPrivacyControl, GlobalPrivacyControl),
            (no, GlobalPrivacyControl, no),
            (no, OptOut, OptOut),
            (OptIn, OptOut, OptOut),
        ];
        for (one, two, expected) in cases {
            assert_eq!(Stance::from(one).and(two.into()).signal(), expected, "{one:?} {two:?}");
            assert_eq!(Stance::from(two).and(one.into()).signal(), expected, "{two:?} {one:?}");
        }
    }

    #[test]
    fn an_objection_to_purposes_only_takes_away() {
        let all = Purposes::ANALYTICS.and(Purposes::ADS).and(Purposes::PROFILE);
        let objection = Stance::objecting(Purposes::ADS.and(Purposes::PROFILE));
        assert_eq!(objection.signal(), ConsentSignal::Absent);
        assert_eq!(objection.and(given(all, None).into()).signal(), given(Purposes::ANALYTICS, None));
        assert_eq!(Stance::from(given(Purposes::ADS, None)).and(objection).signal(), given(Purposes::NONE, None));
        assert_eq!(objection.and(ConsentSignal::Malformed.into()).signal(), ConsentSignal::Malformed);
        assert_eq!(objection.and(Stance::objecting(Purposes::ANALYTICS)).objected(), all);
    }
}
