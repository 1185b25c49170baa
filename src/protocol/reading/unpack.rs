//! What vendors' libraries pack a body or a parameter into: gzip without saying so, and base64 in either alphabet, padded or not.
//! Everything comes out bounded.

use std::io::Read as _;

use base64::{
    alphabet,
    engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig},
};
use flate2::read::GzDecoder;

/// What unpacks to more than this is not unpacked: as large as a body that says its encoding may become.
const UNPACKED_BYTES_MAX: u64 = 256 * 1024;
/// What unpacks to more than this many times its size is no body of a library's; small ones are let be, as for a body that says its encoding.
const RATIO_MAX: usize = 100;
/// Up to this, the ratio is not asked about.
const FREELY_BYTES: usize = 8 * 1024;

/// Takes both padded and unpadded text: senders are told that padding is optional.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Whether bytes begin as gzip does (RFC 1952), whatever their sender says of them.
pub(in crate::protocol) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 0x08])
}

/// What a gzip body unpacks to; `None`: it is none, or a bomb.
pub(in crate::protocol) fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut unpacked).ok()?;
    let fits = unpacked.len() as u64 <= UNPACKED_BYTES_MAX;
    (fits && unpacked.len() <= FREELY_BYTES.max(bytes.len() * RATIO_MAX)).then_some(unpacked)
}

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
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn a_body_is_unpacked_and_a_bomb_is_not() {
        let packed = gzip(b"{\"event\":1}");
        assert!(is_gzip(&packed) && !is_gzip(b"{}"));
        assert_eq!(gunzip(&packed).as_deref(), Some(b"{\"event\":1}".as_slice()));
        assert_eq!(gunzip(&gzip(&[b' '; FREELY_BYTES])).map(|bytes| bytes.len()), Some(FREELY_BYTES), "small ones may shrink a lot");
        assert_eq!(gunzip(&gzip(&vec![b' '; 200 * 1024])), None, "a body of spaces");
        assert_eq!(gunzip(&gzip(&vec![b' '; 10 << 20])), None);
        assert_eq!(gunzip(&packed[..12]), None, "cut off");
        assert_eq!(gunzip(b"\x1f\x8b\x08nothing"), None);
    }

    #[test]
    fn either_alphabet_of_base64_is_read() {
        for text in ["fn5+Pj4+Pz8/", "fn5-Pj4-Pz8_", "fn5 Pj4 Pz8/", " fn5+Pj4+Pz8/\n"] {
            assert_eq!(base64(text).as_deref(), Some(b"~~~>>>???".as_slice()), "{text}");
        }
        assert_eq!((base64("e30").as_deref(), base64("e30=").as_deref()), (Some(b"{}".as_slice()), Some(b"{}".as_slice())));
        assert_eq!(base64("{\"a\":1}"), None);
    }
}
