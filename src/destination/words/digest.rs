//! SHA-256 as receivers of advertising match by it: lower-case hexadecimal of a text that is already in the receiver's own normal form.

use sha2::{Digest as _, Sha256};

/// The digest of a text.
pub(in crate::destination) fn sha256(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(text);
    digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_one_that_the_vendor_documents() {
        // <https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/customer-information-parameters>
        assert_eq!(sha256("mary"), "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec");
    }
}
