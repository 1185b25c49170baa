//! GPP strings: the IAB Tech Lab's Global Privacy Platform, which puts strings of several laws behind one header.
//! The format: <https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform> ("Core/Consent String Specification").
//!
//! `header~section~section…`: the header names the sections in ascending order. Read are 2 (`tcfeuv2`), 6 (`uspv1`), 7 (`usnat`, versions 1
//! and 2) and 8 to 27 (the states, version 1). A string with any other section cannot be read as a whole: what nobody here understands may
//! be a no. Which of its sections apply (`gpp_sid`) is not asked, since to read all of them is never less restrictive.

use super::{
    ConsentSignal, Stance,
    bits::{Bits, Unreadable},
    tcf::TcString,
    us_privacy::UsPrivacy,
    us_sections::UsSection,
};
use crate::clock::Timestamp;

/// Longer strings are malformed: no server takes a URL beyond 8 KiB, and they must fit into one.
pub const LENGTH_MAX: usize = 8 * 1024;
/// The highest section that is read. No string has more, since none comes twice.
const SECTION_MAX: u8 = 27;
const TCF_EU: u8 = 2;
const US_PRIVACY: u8 = 6;

/// A GPP string that could be read, with all of its sections.
#[derive(Clone, Debug, Default)]
pub struct Gpp<'a> {
    /// Section `tcfeuv2`.
    pub tcf_eu: Option<TcString<'a>>,
    /// Section `uspv1`.
    pub us_privacy: Option<UsPrivacy>,
    /// The sections of the United States, in their order.
    pub us: Vec<UsSection>,
}

impl<'a> Gpp<'a> {
    /// Reads a string.
    ///
    /// # Errors
    /// It is too long, its header is none of version 1, its sections are not those of the header, or one of them cannot be read.
    pub fn decode(text: &'a str) -> Result<Self, Unreadable> {
        if text.len() > LENGTH_MAX {
            return Err(Unreadable::TooLong);
        }
        let mut parts = text.split('~');
        let mut header = Bits::of(parts.next().unwrap_or_default())?;
        if header.take(6)? != 3 {
            return Err(Unreadable::Part);
        }
        if header.take(6)? != 1 {
            return Err(Unreadable::Version);
        }
        let mut gpp = Self::default();
        let mut last = 0;
        for _ in 0..header.take(12)? {
            let several = header.flag()?;
            let first = section_after(last, &mut header)?;
            last = if several { section_after(first, &mut header)? } else { first };
            for section in first..=last {
                gpp.take(section, parts.next().ok_or(Unreadable::Part)?)?;
            }
        }
        header.end()?;
        if parts.next().is_some() { Err(Unreadable::Part) } else { Ok(gpp) }
    }

    fn take(&mut self, section: u8, text: &'a str) -> Result<(), Unreadable> {
        match section {
            TCF_EU => self.tcf_eu = Some(TcString::decode(text)?),
            US_PRIVACY => self.us_privacy = Some(UsPrivacy::decode(text)?),
            _ => self.us.push(UsSection::decode(section, text)?),
        }
        Ok(())
    }

    /// What all sections say together, in our words. `now` is the time of receipt.
    #[must_use]
    pub fn stance(&self, now: Timestamp) -> Stance {
        let of_tcf = self.tcf_eu.iter().map(|string| string.stance(now));
        let of_us = self.us_privacy.iter().map(UsPrivacy::stance).chain(self.us.iter().map(UsSection::stance));
        of_tcf.chain(of_us).fold(Stance::default(), Stance::and)
    }
}

/// What a GPP string says in our words; one that cannot be read is a no. `now` is the time of receipt.
#[must_use]
pub fn stance(text: &str, now: Timestamp) -> Stance {
    Gpp::decode(text).map_or(ConsentSignal::Malformed.into(), |gpp| gpp.stance(now))
}

/// The number of the section that lies so far behind `last` as the next Fibonacci-coded number says: sums of 1, 2, 3, 5, 8…, a bit for each,
/// and a second set bit in a row as the end.
fn section_after(last: u8, bits: &mut Bits<'_>) -> Result<u8, Unreadable> {
    let (mut summand, mut next) = (1, 2);
    let mut section = last;
    let mut before = false;
    while section <= SECTION_MAX && summand <= SECTION_MAX {
        let bit = bits.flag()?;
        if bit && before {
            return Ok(section);
        }
        section += if bit { summand } else { 0 };
        (summand, next, before) = (next, summand + next, bit);
    }
    // The end may stand behind the last summand.
    if section <= SECTION_MAX && before && bits.flag()? { Ok(section) } else { Err(Unreadable::Part) }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{us_privacy::Answer, us_sections::US_OBJECTION},
        *,
    };

    const NOW: Timestamp = Timestamp(1_773_480_413_589);

    #[test]
    fn headers_name_their_sections() {
        let sections = |text: &str| {
            let gpp = Gpp::decode(text)?;
            let names = gpp.us.iter().map(|section| format!("{} {}", section.name(), section.version()));
            let privacy = gpp.us_privacy.map(|said| format!("uspv1 {:?}", said.opted_out_of_sale == Answer::Yes));
            Ok(privacy.into_iter().chain(names).collect::<Vec<_>>().join(", "))
        };
        for (text, expected) in [
            ("DBAA", Ok("")),
            ("DBABTA~1YNN", Ok("uspv1 false")),
            ("DBABTA~1YYN", Ok("uspv1 true")),
            ("DBABTAA~1YYN", Ok("uspv1 true")),
            ("DBABLA~BAAQAAAAAQA.QA", Ok("usnat 1")),
            ("DBABLA~CAAQAAAAAABA.YA", Ok("usnat 2")),
            ("DBABzw~1YNN~CAAQAAAAAABA", Ok("uspv1 false, usnat 2")),
            ("", Err(Unreadable::TooShort)),
            ("DBA", Err(Unreadable::TooShort)),
            ("CBAA", Err(Unreadable::Part)),
            ("DCAA", Err(Unreadable::Version)),
            ("DBAAB", Err(Unreadable::Trailing)),
            ("DBAA~1YNN", Err(Unreadable::Part)),
            ("DBABTA", Err(Unreadable::Part)),
            ("DBABTA~", Err(Unreadable::TooShort)),
            ("DBABTA~1YNN~1YNN", Err(Unreadable::Part)),
            ("DBABTA~1YNx", Err(Unreadable::Alphabet)),
            ("DBAChtTA~BAgAAABA.QA~BAQAABA~BAgAAEA.QA~BQCA.AAA", Ok("usca 1, usva 1, usco 1, usri 1")),
            ("DBABLA~DAAQAAAAAABA.YA", Err(Unreadable::Version)),
        ] {
            assert_eq!(sections(text), expected.map(str::to_owned), "{text}");
        }
        assert_eq!(Gpp::decode(&format!("DBAA{}", "A".repeat(LENGTH_MAX))).map(|_| ()), Err(Unreadable::TooLong));
    }

    #[test]
    fn fibonacci_numbers_end_with_the_section_that_is_known() {
        // 1 is `11`, 2 `011`, 3 `0011`, 4 `1011`; padded to whole characters.
        let next = |last: u8, bits: &str| {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let digits = bits.as_bytes().chunks(6).map(|chunk| {
                let digit = chunk.iter().fold(0, |digit, bit| digit << 1 | (bit - b'0')) << (6 - chunk.len());
                char::from(alphabet[usize::from(digit)])
            });
            section_after(last, &mut Bits::of(&digits.collect::<String>()).unwrap())
        };
        for (last, bits, expected) in [
            (0, "11", Ok(1)),
            (0, "011", Ok(2)),
            (2, "1011", Ok(6)),
            (0, "1001011", Ok(19)),
            (0, "00000011", Ok(21)),
            (0, "10010011", Ok(27)),
            (6, "00000011", Ok(27)),
            (7, "00000011", Err(Unreadable::Part)),
            (0, "01010011", Err(Unreadable::Part)),
            (0, "000000011", Err(Unreadable::Part)),
            (0, "000000000000", Err(Unreadable::Part)),
            (0, "10101", Err(Unreadable::TooShort)),
        ] {
            assert_eq!(next(last, bits), expected, "{last} {bits}");
        }
    }

    #[test]
    fn the_sections_say_together_what_is_most_restrictive() {
        let signal = |text: &str| Gpp::decode(text).unwrap().stance(NOW);
        assert_eq!(signal("DBAA"), Stance::default());
        assert_eq!(signal("DBABTA~1YYN"), Stance::objecting(US_OBJECTION));
        assert_eq!(signal("DBABzw~1YYN~CAAAAAAAAABA.QA"), Stance::objecting(US_OBJECTION));
        assert_eq!(signal("DBABzw~1YNN~CAAAAAAAAABA.YA").signal(), ConsentSignal::GlobalPrivacyControl);
    }
}
