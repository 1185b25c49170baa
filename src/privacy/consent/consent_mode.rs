//! Google's Consent Mode, as its tags say it: `gcs`, `gcd` and `npa`. The wire format is not documented by its vendor; what is read here is what
//! captures and public code agree on, and everything else counts as a no.
//!
//! `gcs` is `G1` and one sign each for `ad_storage` and `analytics_storage`: `1` granted, `0` denied, `-` not said. `G0…` means that the
//! page has no consent mode, which says nothing. `gcd` is `1`, a digit, and for each of `ad_storage`, `analytics_storage`,
//! `ad_user_data`, `ad_personalization` a letter with a digit behind it; more such pairs may follow:
//!
//! | letter | default, then update | here |
//! |---|---|---|
//! | `l` | neither was ever set | not said: it comes from pages without consent mode, too |
//! | `n` `r` `t` `v` | ends granted | granted |
//! | `m` `p` `q` `u`, capitals, any other | ends denied, or nobody knows | denied |

use super::{ConsentSignal, Stance};
use crate::event::Purposes;

/// The parameters that speak of it. `dma` and `dma_cps` speak of the region and of Google's own services, and are not among them.
pub const PARAMETERS: [&str; 3] = ["gcs", "gcd", "npa"];

/// Signals that a `gcd` may go on to speak of; four to six are seen.
const PAIRS_MAX: usize = 16;

/// What one parameter says of one of Google's signals. Ordered: the lesser one wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Denied,
    Nothing,
    Granted,
}

/// All that a request says of the visitor's choice. Where two parameters speak of the same signal, the more restrictive one wins.
#[derive(Clone, Copy, Default)]
pub struct ConsentMode {
    analytics_storage: Option<Said>,
    ad_storage: Option<Said>,
    ad_user_data: Option<Said>,
    ad_personalization: Option<Said>,
    malformed: bool,
}

impl ConsentMode {
    /// Takes one of [`PARAMETERS`] in.
    pub fn hear(&mut self, name: &str, value: &str) {
        match name {
            "gcs" => self.hear_gcs(value),
            "gcd" => self.hear_gcd(value),
            // Non-personalised ads: only ever takes away.
            "npa" if value != "0" => least(&mut self.ad_personalization, Said::Denied),
            _ => {}
        }
    }

    fn hear_gcs(&mut self, value: &str) {
        let &[b'G', mode @ (b'0' | b'1'), ads, analytics] = value.as_bytes() else {
            self.malformed = true;
            return;
        };
        let (Some(ads), Some(analytics)) = (sign(ads), sign(analytics)) else {
            self.malformed = true;
            return;
        };
        if mode == b'1' {
            least(&mut self.ad_storage, ads);
            least(&mut self.analytics_storage, analytics);
        }
    }

    fn hear_gcd(&mut self, value: &str) {
        let bytes = value.as_bytes();
        let (head, pairs) = bytes.split_at(bytes.len().min(2));
        let well_formed = matches!(head, [b'1', digit] if digit.is_ascii_digit())
            && (4..=PAIRS_MAX).contains(&pairs.len().div_ceil(2))
            && pairs.chunks(2).all(|pair| matches!(pair, [letter, digit] if letter.is_ascii_alphabetic() && digit.is_ascii_digit()));
        if !well_formed {
            self.malformed = true;
            return;
        }
        let order = [&mut self.ad_storage, &mut self.analytics_storage, &mut self.ad_user_data, &mut self.ad_personalization];
        for (signal, pair) in order.into_iter().zip(pairs.chunks(2)) {
            least(signal, letter(pair[0]));
        }
    }

    /// What follows for our purposes. A signal is granted where everything that speaks of it grants it; advertising needs all three of
    /// its signals, so that a request with `gcs` alone, which cannot say two of them, grants none. Nothing granted and anything denied
    /// is a no; nothing said at all is no choice yet.
    #[must_use]
    pub fn stance(&self) -> Stance {
        self.signal().into()
    }

    fn signal(&self) -> ConsentSignal {
        if self.malformed {
            return ConsentSignal::Malformed;
        }
        let all = [self.analytics_storage, self.ad_storage, self.ad_user_data, self.ad_personalization];
        let [analytics, ads @ ..] = all.map(|said| said == Some(Said::Granted));
        let mut purposes = Purposes::NONE;
        if analytics {
            purposes = purposes.and(Purposes::ANALYTICS);
        }
        if ads == [true; 3] {
            purposes = purposes.and(Purposes::ADS);
        }
        let refused = all.contains(&Some(Said::Denied));
        let storage_granted = analytics || self.ad_storage == Some(Said::Granted);
        if purposes.is_empty() && !refused && !storage_granted {
            return ConsentSignal::Absent;
        }
        ConsentSignal::Given { purposes, seconds_left: None }
    }
}

fn least(signal: &mut Option<Said>, said: Said) {
    *signal = Some(signal.map_or(said, |before| before.min(said)));
}

fn sign(sign: u8) -> Option<Said> {
    Some(match sign {
        b'1' => Said::Granted,
        b'0' => Said::Denied,
        b'-' => Said::Nothing,
        _ => return None,
    })
}

fn letter(letter: u8) -> Said {
    match letter {
        b'n' | b'r' | b't' | b'v' => Said::Granted,
        b'l' => Said::Nothing,
        _ => Said::Denied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(query: &str) -> ConsentSignal {
        let mut choice = ConsentMode::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            choice.hear(name, value);
        }
        choice.signal()
    }

    #[test]
    fn every_letter_and_sign_has_its_meaning_and_the_rest_is_a_no() {
        use ConsentSignal::{Absent, Malformed};
        let given = |purposes| ConsentSignal::Given { purposes, seconds_left: None };
        let (no, analytics, ads) = (given(Purposes::NONE), given(Purposes::ANALYTICS), given(Purposes::ADS));
        let both = given(Purposes::ANALYTICS.and(Purposes::ADS));
        let cases = [
            ("", Absent),
            ("gcd=13l3l3l3l1", Absent),
            ("gcd=13l3l3l3l1l1", Absent),
            ("gcs=G1--", Absent),
            ("gcs=G1--&gcd=13l3l3l3l1l1", Absent),
            ("gcs=G000", Absent),
            ("npa=0", Absent),
            ("gcs=G100", no),
            ("gcs=G101", analytics),
            ("gcs=G110", no),
            ("gcs=G111", analytics),
            ("gcs=G1-1", analytics),
            ("gcs=G1-0", no),
            ("gcs=G10-", no),
            ("gcs=G11-", no),
            ("npa=1", no),
            ("gcs=G111&gcd=13v3v3v3v5", both),
            ("gcs=G111&gcd=13v3v3v3v5l1", both),
            ("gcs=G111&gcd=13r3r3r3r5", both),
            ("gcs=G111&gcd=13n3n3n3n5&npa=1", analytics),
            ("gcs=G111&gcd=13r3r3r3q7&npa=1", analytics),
            ("gcs=G110&gcd=13t3q3t3t5", ads),
            ("gcs=G100&gcd=13p3p3p2p5l1", no),
            ("gcs=G111&gcd=13p3p3p2p5l1", no),
            ("gcs=G100&gcd=13v3v3v3v5", no),
            ("gcd=11p1t1p1t5", analytics),
            ("gcd=13l3l3R3l5l1", no),
            ("gcd=13v3V3v3v5", ads),
            ("gcd=13v3x3v3v5", ads),
            ("gcd=13V3v3v3v5", analytics),
            ("gcd=13v3v3x3v5", analytics),
            ("gcd=13v3m3v3v5", ads),
            ("gcd=13v3u3v3v5", ads),
            ("gcs=G111&gcs=G100", no),
            ("gcs=", Malformed),
            ("gcs=G11", Malformed),
            ("gcs=G1111", Malformed),
            ("gcs=G1x1", Malformed),
            ("gcs=g111", Malformed),
            ("gcs=G211", Malformed),
            ("gcs=G111&gcd=", Malformed),
            ("gcd=13v3v3v", Malformed),
            ("gcd=13v3v3v3v", Malformed),
            ("gcd=13v3v3v3v5l", Malformed),
            ("gcd=23v3v3v3v5", Malformed),
            ("gcd=1vvvvv", Malformed),
            ("gcd=13v3v3v3vü", Malformed),
        ];
        for (query, expected) in cases {
            assert_eq!(signal(query), expected, "{query}");
        }
        let endless = format!("gcd=13{}", "v3".repeat(PAIRS_MAX + 1));
        assert_eq!(signal(&endless), Malformed);
    }
}
