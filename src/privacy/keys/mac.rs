//! The one keyed function: HMAC-SHA256 over length-prefixed parts, so that no two lists of parts are the same input.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::locked::KEY_BYTES;

/// A key that the function was begun with, for many inputs: two of five blocks less to hash for each. It holds as much as the key does, and is
/// wiped when dropped.
pub(in crate::privacy) struct Keyed(Hmac<Sha256>);

impl Keyed {
    pub(in crate::privacy) fn with(key: &[u8; KEY_BYTES]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// HMAC-SHA256 over the parts, each behind its length.
    pub(in crate::privacy) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        over(self.0.clone(), parts)
    }

    /// The first 16 bytes of it.
    pub(in crate::privacy) fn mac128(&self, parts: &[&[u8]]) -> [u8; 16] {
        *self.mac(parts).first_chunk().expect("32 bytes hold 16")
    }
}

/// HMAC-SHA256 over the parts, each behind its length.
pub(in crate::privacy) fn mac(key: &[u8; KEY_BYTES], parts: &[&[u8]]) -> [u8; 32] {
    over(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"), parts)
}

fn over(mut state: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    for part in parts {
        state.update(&(part.len() as u64).to_le_bytes());
        state.update(part);
    }
    state.finalize().into_bytes().into()
}

/// The first 16 bytes of [`mac`].
pub(in crate::privacy) fn mac128(key: &[u8; KEY_BYTES], parts: &[&[u8]]) -> [u8; 16] {
    *mac(key, parts).first_chunk().expect("32 bytes hold 16")
}

/// The first 8 bytes of [`mac`], as a number.
pub(in crate::privacy) fn mac64(key: &[u8; KEY_BYTES], parts: &[&[u8]]) -> u64 {
    u64::from_be_bytes(*mac(key, parts).first_chunk().expect("32 bytes hold 8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_length_prefixed() {
        let key = [7; KEY_BYTES];
        assert_ne!(mac(&key, &[b"ab", b"c"]), mac(&key, &[b"a", b"bc"]));
        assert_ne!(mac(&key, &[b"a"]), mac(&key, &[b"a", b""]));
        assert_eq!(mac(&key, &[b"a"]), mac(&key, &[b"a"]));
        assert_eq!(Keyed::with(&key).mac(&[b"a", b"bc"]), mac(&key, &[b"a", b"bc"]));
    }
}
