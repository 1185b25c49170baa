//! A secret of the configuration: it can be used, and never printed.

use std::{fmt, fs::File, io, io::Read as _};

use zeroize::Zeroizing;

/// Bytes that must not be shown. `Debug` prints a placeholder; dropping it wipes it.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that signs or authenticates with them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// No secret is longer than this; a longer file is not one (a device, a log).
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A reference that leads to no secret. Names the reference, never what was found there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is no reference. It is not repeated: it may be the secret itself.
    #[error("a secret is given by reference: \"file:/run/secrets/name\" or \"env:NAME\", never by its value")]
    NoReference,
    /// The environment variable is not set.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("the file {file} cannot be read: {reason}")]
    Unreadable {
        /// Which file.
        file: String,
        /// Why.
        reason: io::ErrorKind,
    },
    /// There is nothing in it, or far too much.
    #[error("{0} holds nothing, or more than 64 KiB")]
    Size(String),
}

/// Fetches the secret that a reference in a document names: `file:/run/secrets/name` or `env:NAME`. One newline at its end is no part
/// of it. Reads a file: blocks.
///
/// # Errors
/// When the text is no reference, or nothing usable is where it leads.
pub fn resolve(reference: &str) -> Result<Secret, SecretError> {
    let mut bytes = Zeroizing::new(Vec::new());
    if let Some(name) = reference.strip_prefix("env:") {
        let value = std::env::var_os(name).ok_or_else(|| SecretError::NotSet(name.to_owned()))?;
        bytes.extend_from_slice(Zeroizing::new(value.into_encoded_bytes()).as_slice());
    } else if let Some(file) = reference.strip_prefix("file:") {
        let unreadable = |error: io::Error| SecretError::Unreadable { file: file.to_owned(), reason: error.kind() };
        // Room for all of it at once: a growing buffer would leave copies behind.
        bytes.reserve(usize::try_from(SECRET_BYTES_MAX).unwrap_or(usize::MAX) + 1);
        File::open(file).map_err(unreadable)?.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        return Err(SecretError::NoReference);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() || bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(SecretError::Size(reference.to_owned()));
    }
    Ok(Secret(bytes))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_without_its_last_newline() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let reference = format!("file:{}", path.display());
        assert!(matches!(resolve(&reference), Err(SecretError::Unreadable { .. })));
        for (held, meant) in [("abc", "abc"), ("abc\n", "abc"), ("abc\r\n", "abc"), ("abc\n\n", "abc\n"), (" a ", " a ")] {
            std::fs::write(&path, held).unwrap();
            assert_eq!(resolve(&reference).unwrap().bytes(), meant.as_bytes(), "{held:?}");
        }
        for held in [String::new(), "\n".into(), "x".repeat(SECRET_BYTES_MAX as usize + 1)] {
            std::fs::write(&path, held).unwrap();
            assert!(matches!(resolve(&reference), Err(SecretError::Size(_))));
        }
    }

    #[test]
    fn an_environment_variable_is_read() {
        assert!(!resolve("env:PATH").unwrap().bytes().is_empty());
        assert_eq!(resolve("env:FIRSTHAND_TEST_NOT_SET").unwrap_err(), SecretError::NotSet("FIRSTHAND_TEST_NOT_SET".into()));
    }

    #[test]
    fn a_literal_secret_is_refused_and_not_repeated() {
        let error = resolve("whsec_c2VjcmV0").unwrap_err();
        assert_eq!(error, SecretError::NoReference);
        assert!(!error.to_string().contains("whsec"));
        assert_eq!(format!("{:?}", Secret::new(b"abc".to_vec())), "Secret(…)");
    }
}
