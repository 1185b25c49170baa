//! What vendors' libraries pack a body or a parameter into: base64 in either alphabet, padded or not.

use base64::{
    alphabet,
    engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig},
};

/// Takes both padded and unpadded text: senders are told that padding is optional.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// What base64 text says, in either alphabet; a space is the plus that a form made one of. `None`: it is none.
pub(in crate::protocol) fn base64(text: &str) -> Option<Vec<u8>> {
    let standard: String = text.trim().chars().map(in_standard_alphabet).collect();
    BASE64.decode(standard).ok()
}

/// The letters of the alphabet for addresses, and the space that some libraries make of a plus, in those of the standard one.
const fn in_standard_alphabet(letter: char) -> char {
    match letter {
        '-' | ' ' => '+',
        '_' => '/',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_alphabet_of_base64_is_read() {
        for text in ["fn5+Pj4+Pz8/", "fn5-Pj4-Pz8_", "fn5 Pj4 Pz8/", " fn5+Pj4+Pz8/\n"] {
            assert_eq!(base64(text).as_deref(), Some(b"~~~>>>???".as_slice()), "{text}");
        }
        assert_eq!((base64("e30").as_deref(), base64("e30=").as_deref()), (Some(b"{}".as_slice()), Some(b"{}".as_slice())));
        assert_eq!(base64("{\"a\":1}"), None);
    }
}
