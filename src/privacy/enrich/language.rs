//! The primary subtag of a language tag, from the closed list of ISO 639-1.

use serde::{Deserialize, Serialize};

/// Every ISO 639-1 code, sorted, without separators.
const CODES: &str = "aaabaeafakamanarasavayazbabebgbhbibmbnbobrbscacechcocrcscucvcydadedvdzeeeleneoeseteufafffifjfofrfygagdglgugvhahehihohrhthuhyhziaidieigiiikioisitiujajvkakgkikjkkklkmknkokrkskukvkwkylalblglilnloltlulvmgmhmimkmlmnmrmsmtmynanbndnengnlnnnonrnvnyocojomorospapiplpsptqurmrnrorurwsascsdsesgsiskslsmsnsosqsrssstsusvswtatetgthtitktltntotrtstttwtyugukuruzvevivowawoxhyiyozazhzu";

/// A language by its two-letter code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Language([u8; 2]);

impl Language {
    /// The language of a tag or of the first range of an `Accept-Language` header: `fr-CA,fr;q=0.8` → `fr`. Others are none.
    #[must_use]
    pub(in crate::privacy) fn of(said: &str) -> Option<Self> {
        let primary = said.trim_start().split(['-', '_', ',', ';']).next()?;
        let code: [u8; 2] = primary.trim_end().as_bytes().try_into().ok()?;
        let code = code.map(|letter| letter.to_ascii_lowercase());
        let (codes, _) = CODES.as_bytes().as_chunks();
        codes.binary_search(&code).is_ok().then_some(Self(code))
    }

    /// The two letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }
}

impl Serialize for Language {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::of(&code).ok_or_else(|| serde::de::Error::custom("not a language code"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_primary_subtag_of_a_known_language_is_kept() {
        let code = |said| Language::of(said).map(|language| language.code().to_owned());
        assert_eq!(code("fr-CA,fr;q=0.8").as_deref(), Some("fr"));
        assert_eq!(code("DE").as_deref(), Some("de"));
        for (said, none) in [("jane", None), ("xx", None), ("", None), ("*", None), ("e", None), ("eén", None)] {
            assert_eq!(code(said), none);
        }
    }

    #[test]
    fn the_list_is_pairs_of_small_letters_sorted_for_the_search() {
        let (codes, rest) = CODES.as_bytes().as_chunks::<2>();
        assert!(rest.is_empty() && codes.is_sorted_by(|one, other| one < other));
        assert!(CODES.bytes().all(|byte| byte.is_ascii_lowercase()));
        for known in ["en", "es", "lb", "lg", "zh", "zu", "pt", "uk"] {
            assert_eq!(Language::of(known).map(|l| l.code().to_owned()).as_deref(), Some(known));
        }
    }
}
