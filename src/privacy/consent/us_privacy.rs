//! US Privacy strings (`1YNN`): `us_privacy`, `usprivacy`, and GPP's section `uspv1`. Their publisher has retired them for GPP; they still come.

use super::{ConsentSignal, Stance, bits::Unreadable, us_sections::US_OBJECTION};

/// What the four characters say: a version, and three answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsPrivacy {
    /// Notice was given, and the opportunity to opt out.
    pub notice: Answer,
    /// The visitor opted out of the sale of their data.
    pub opted_out_of_sale: Answer,
    /// A transaction under the Limited Service Provider Agreement.
    pub limited_service_provider: Answer,
}

/// Yes, no, or that the question does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `Y`.
    Yes,
    /// `N`.
    No,
    /// `-`.
    NotApplicable,
}

impl UsPrivacy {
    /// Reads a string.
    ///
    /// # Errors
    /// It is not `1` and three of `Y`, `N` and `-`.
    pub fn decode(text: &str) -> Result<Self, Unreadable> {
        let &[version, notice, sale, provider] = text.as_bytes() else {
            return Err(if text.len() < 4 { Unreadable::TooShort } else { Unreadable::TooLong });
        };
        if version != b'1' {
            return Err(Unreadable::Version);
        }
        let answer = |character| match character {
            b'Y' => Ok(Answer::Yes),
            b'N' => Ok(Answer::No),
            b'-' => Ok(Answer::NotApplicable),
            _ => Err(Unreadable::Alphabet),
        };
        Ok(Self { notice: answer(notice)?, opted_out_of_sale: answer(sale)?, limited_service_provider: answer(provider)? })
    }

    /// In our words: an opt-out of sale is an objection to advertising and profiles. Its absence grants nothing.
    #[must_use]
    pub fn stance(&self) -> Stance {
        if self.opted_out_of_sale == Answer::Yes { Stance::objecting(US_OBJECTION) } else { Stance::default() }
    }
}

/// What a US Privacy string says in our words; one that cannot be read is a no.
#[must_use]
pub fn stance(text: &str) -> Stance {
    UsPrivacy::decode(text).map_or(ConsentSignal::Malformed.into(), |said| said.stance())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opt_out_of_sale_takes_away_and_nothing_else_gives() {
        let objection = Stance::objecting(US_OBJECTION);
        for (text, expected) in [
            ("1YNN", Ok(Stance::default())),
            ("1---", Ok(Stance::default())),
            ("1NNY", Ok(Stance::default())),
            ("1YYN", Ok(objection)),
            ("1-Y-", Ok(objection)),
            ("2YYN", Err(Unreadable::Version)),
            ("", Err(Unreadable::TooShort)),
            ("1YN", Err(Unreadable::TooShort)),
            ("1YNNN", Err(Unreadable::TooLong)),
            ("1yyn", Err(Unreadable::Alphabet)),
            ("1Y0N", Err(Unreadable::Alphabet)),
            ("1Yü", Err(Unreadable::Alphabet)),
        ] {
            assert_eq!(UsPrivacy::decode(text).map(|said| said.stance()), expected, "{text}");
        }
    }
}
