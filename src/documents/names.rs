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

/// First labels of hosts that rules on lists know whatever comes behind them; `tests/names.rs` asks the lists.
pub const LABELS_ON_LISTS: [&str; 4] = ["fathom", "matomo", "piwik", "posthog"];

/// The first label of a host, where lists know it.
#[must_use]
pub fn label_on_a_list(host: &str) -> Option<&'static str> {
    let (first, _) = host.split_once('.')?;
    LABELS_ON_LISTS.into_iter().find(|label| *label == first)
}

const CONSONANTS: &[u8] = b"bdfjklmnprstvz";
const VOWELS: &[u8] = b"aeiou";
/// Syllables of a prefix, each a consonant and a vowel.
const SYLLABLES: u32 = 3;

/// The stop word that this one holds, if it holds one.
#[must_use]
pub fn stop_word_in(word: &str) -> Option<&'static str> {
    STOP_WORDS.into_iter().find(|stop| word.contains(stop))
}

/// How many prefixes there are to choose from, those that hold a stop word included.
pub const PREFIXES: u32 = (CONSONANTS.len() * VOWELS.len()).pow(SYLLABLES) as u32;

/// A new prefix: a slash and a pronounceable word of six letters that means nothing.
///
/// # Panics
/// When the system has no randomness to give.
#[must_use]
pub fn neutral_prefix() -> String {
    loop {
        let number = getrandom::u32().expect("the system has randomness");
        if let Some(prefix) = numbered_prefix(number % PREFIXES) {
            return prefix;
        }
    }
}

/// The prefix of that number, from 0 up to [`PREFIXES`]; none where its word holds a stop word.
#[must_use]
pub fn numbered_prefix(number: u32) -> Option<String> {
    let mut word = String::with_capacity(1 + 2 * SYLLABLES as usize);
    word.push('/');
    let mut rest = number as usize;
    for _ in 0..SYLLABLES {
        word.push(char::from(CONSONANTS[rest % CONSONANTS.len()]));
        rest /= CONSONANTS.len();
        word.push(char::from(VOWELS[rest % VOWELS.len()]));
        rest /= VOWELS.len();
    }
    stop_word_in(&word).is_none().then_some(word)
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

    #[test]
    fn every_number_is_another_word() {
        let words: std::collections::HashSet<String> = (0..PREFIXES).filter_map(numbered_prefix).collect();
        let without = (0..PREFIXES).filter(|number| numbered_prefix(*number).is_none()).count();
        assert_eq!(words.len() + without, PREFIXES as usize);
        assert!(without * 4 < PREFIXES as usize, "the stop-list leaves most words");
    }
}
