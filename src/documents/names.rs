//! Names that a browser sees: neutral, and made anew for each installation, so that no rule on a list fits them all.

/// What filter lists look for in paths (some engines match substrings, so substrings are what is avoided).
const STOP_WORDS: [&str; 34] = [
    "ad",
    "analytic",
    "banner",
    "beacon",
    "click",
    "clk",
    "collect",
    "count",
    "event",
    "ga4",
    "gtag",
    "gtm",
    "hit",
    "log",
    "matomo",
    "metric",
    "mp4",
    "ping",
    "piwik",
    "pixel",
    "plausible",
    "popup",
    "promo",
    "pv",
    "rum",
    "sponsor",
    "stat",
    "tag",
    "trace",
    "track",
    "trk",
    "umami",
    "utm",
    "visit",
];

const CONSONANTS: &[u8] = b"bdfjklmnprstvz";
const VOWELS: &[u8] = b"aeiou";

/// The stop word that this one holds, if it holds one.
#[must_use]
pub fn stop_word_in(word: &str) -> Option<&'static str> {
    STOP_WORDS.into_iter().find(|stop| word.contains(stop))
}

/// A new prefix: a slash and a pronounceable word of six letters that means nothing.
///
/// # Panics
/// When the system has no randomness to give.
#[must_use]
pub fn neutral_prefix() -> String {
    loop {
        let mut random = [0u8; 6];
        getrandom::fill(&mut random).expect("the system has randomness");
        let word: String = random
            .iter()
            .enumerate()
            .map(|(place, byte)| {
                let letters = if place % 2 == 0 { CONSONANTS } else { VOWELS };
                char::from(letters[usize::from(*byte) % letters.len()])
            })
            .collect();
        if stop_word_in(&word).is_none() {
            return format!("/{word}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_hold_no_stop_word() {
        for _ in 0..2_000 {
            let prefix = neutral_prefix();
            assert_eq!(prefix.len(), 7);
            assert_eq!(stop_word_in(&prefix), None);
        }
        assert_eq!(stop_word_in("kohita"), Some("hit"));
    }
}
