//! `api-key`: makes the key of a site's backend, which goes to the terminal and nowhere else while the site's document holds its fingerprint; or the
//! key of its app, which is no secret.

use std::io::Write;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use super::CommandError;
use crate::protocol::{
    app,
    server::{NAME, fingerprint},
};

/// Random bytes of a key: so many that its fingerprint, which stands in documents and in git, helps nobody to guess it.
const KEY_BYTES: usize = 32;

/// How the key of an app begins, so that nobody takes one for the other.
const APP_PREFIX: &str = "fha_";
/// Random bytes of an app's key. It is a name more than a secret; nobody should come by another site's by trying.
const APP_KEY_BYTES: usize = 12;

/// For whom the key is.
#[derive(Debug, clap::Args)]
pub(super) struct ApiKeyArguments {
    /// For the site's app, which anybody can read it in: events under it count as a browser's do
    #[arg(long)]
    app: bool,
}

pub(super) fn api_key(arguments: &ApiKeyArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| "the system has no randomness to give")?;
    if arguments.app {
        let key = format!("{APP_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(&bytes[..APP_KEY_BYTES]));
        writeln!(
            out,
            "The key, for the app. Whoever has the app can read it there: it is no secret, and gives no rights but to send.\n\n    {key}\n"
        )?;
        writeln!(
            out,
            "In the site's document; as many as versions of the app with different ones are about:\n\n    keys = {{ {} = [\"{key}\"] }}",
            app::NAME
        )?;
        return Ok(());
    }
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
            api_key(&ApiKeyArguments { app: false }, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let key = text.split_whitespace().find(|word| word.starts_with("fhk_")).unwrap().to_owned();
            (key, text.split('"').nth(1).unwrap().to_owned())
        };
        let (key, listed) = made();
        assert!(key.len() > 40 && listed == fingerprint(&key) && is_fingerprint(&listed) && !is_fingerprint(&key));
        assert_ne!(made().0, key);
    }

    #[test]
    fn the_key_of_an_app_stands_in_the_document_as_it_is() {
        let mut out = Vec::new();
        api_key(&ApiKeyArguments { app: true }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let key = text.split_whitespace().find(|word| word.starts_with(APP_PREFIX)).unwrap();
        assert!(key.len() == APP_PREFIX.len() + 16 && text.contains(&format!("keys = {{ app = [\"{key}\"] }}")), "{text}");
    }
}
