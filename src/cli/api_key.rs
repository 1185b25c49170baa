//! `api-key`: makes the key of a site's backend. The key goes to the terminal and nowhere else; the site's document holds its fingerprint.

use std::io::Write;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use super::CommandError;
use crate::protocol::server::{NAME, fingerprint};

/// Random bytes of a key: so many that its fingerprint, which stands in documents and in git, helps nobody to guess it.
const KEY_BYTES: usize = 32;

pub(super) fn api_key(out: &mut dyn Write) -> Result<(), CommandError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| "the system has no randomness to give")?;
    let key = format!("fhk_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
    writeln!(out, "The key, for the backend alone. It is shown this once, and kept nowhere here:\n\n    {key}\n")?;
    writeln!(
        out,
        "In the site's document; while a key is changed, two are valid:\n\n    keys = {{ {NAME} = [\"{}\"] }}",
        fingerprint(&key)
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::server::is_fingerprint;

    #[test]
    fn what_is_said_for_the_document_is_the_fingerprint_of_the_key() {
        let made = || {
            let mut out = Vec::new();
            api_key(&mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let key = text.split_whitespace().find(|word| word.starts_with("fhk_")).unwrap().to_owned();
            (key, text.split('"').nth(1).unwrap().to_owned())
        };
        let (key, listed) = made();
        assert!(key.len() > 40 && listed == fingerprint(&key) && is_fingerprint(&listed) && !is_fingerprint(&key));
        assert_ne!(made().0, key);
    }
}
