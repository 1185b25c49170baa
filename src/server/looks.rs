//! Looks from outside: `firsthand doctor URL` is given a word on the admin listener, brings it through the site's public address, and is then told, on the admin
//! listener again, as what it came in. Nothing rests but that, for a minute: an address is compared in `client_address` and goes no further.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::client_address::{OwnAddresses, Whence};

/// Looks that are open at a time; the oldest goes first. A person has one `doctor` running, which takes three.
const LOOKS_MAX: usize = 16;
/// A word that has not come in by then is forgotten.
const LOOK_LIFE: Duration = Duration::from_secs(60);
/// Random bytes of a word: nobody comes upon one.
const WORD_BYTES: usize = 16;

/// All looks.
#[derive(Default)]
pub struct Looks {
    open: Mutex<VecDeque<Look>>,
}

struct Look {
    word: String,
    asked: Instant,
    own: OwnAddresses,
    seen: Option<Whence>,
}

impl Looks {
    /// Opens a look for whoever has these addresses; its word. `None`: the system gives no randomness.
    #[must_use]
    pub fn open(&self, own: OwnAddresses) -> Option<String> {
        let mut bytes = [0; WORD_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        let word = bytes.iter().fold(String::with_capacity(2 * WORD_BYTES), |mut word, byte| {
            // Writing to a String cannot fail.
            let _ = write!(word, "{byte:02x}");
            word
        });
        let mut open = self.living();
        if open.len() >= LOOKS_MAX {
            open.pop_front();
        }
        open.push_back(Look { word: word.clone(), asked: Instant::now(), own, seen: None });
        Some(word)
    }

    /// A word comes in. Only its first coming counts; whether it is one of ours that had not come yet.
    pub(super) fn come_in(&self, word: &str, whence: impl FnOnce(&OwnAddresses) -> Whence) -> bool {
        match self.living().iter_mut().find(|look| look.word == word && look.seen.is_none()) {
            Some(look) => {
                look.seen = Some(whence(&look.own));
                true
            }
            None => false,
        }
    }

    /// As what a word came in; nothing where it has not. What has been told is forgotten.
    #[must_use]
    pub fn told(&self, word: &str) -> Option<Whence> {
        let mut open = self.living();
        let at = open.iter().position(|look| look.word == word && look.seen.is_some())?;
        open.remove(at)?.seen
    }

    fn living(&self) -> MutexGuard<'_, VecDeque<Look>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|look| look.asked.elapsed() < LOOK_LIFE);
        open
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{
        super::client_address::{ClientAddresses, Peer},
        *,
    };

    fn come_in(looks: &Looks, word: &str) -> bool {
        let peer = Peer::new(([192, 0, 2, 1], 4711).into(), false);
        looks.come_in(word, |own| ClientAddresses::new(&[], None).whence(&peer, &HeaderMap::new(), own))
    }

    #[test]
    fn a_word_comes_in_once_and_is_told_once() {
        let looks = Looks::default();
        let word = looks.open(OwnAddresses::parse("").unwrap()).unwrap();
        assert_eq!(looks.told(&word), None, "it has not come in");
        assert!(!come_in(&looks, "00112233445566778899aabbccddeeff"), "nobody was given this word");
        assert!(come_in(&looks, &word));
        assert!(!come_in(&looks, &word), "it was said twice");
        assert!(looks.told(&word).is_some());
        assert_eq!(looks.told(&word), None, "it was told");
    }

    #[test]
    fn looks_are_bounded() {
        let looks = Looks::default();
        let words: Vec<_> = (0..=LOOKS_MAX).map(|_| looks.open(OwnAddresses::parse("").unwrap()).unwrap()).collect();
        assert!(!come_in(&looks, &words[0]), "the oldest has made room");
        assert!(come_in(&looks, &words[1]) && come_in(&looks, &words[LOOKS_MAX]));
    }
}
