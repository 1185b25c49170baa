//! Ed25519 keys that rest in files: made at first use, for their owner's eyes alone; what they sign, and how keys are written and compared.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use sha2::{Digest as _, Sha256};

/// Bytes of a public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// No key's file is longer: PKCS#8 of Ed25519 has about a hundred bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// A key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file cannot be read or made.
    #[error("{}: {reason}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// Its file holds something else.
    #[error("{}: holds no Ed25519 key in PKCS#8 DER\n  fix: name no key, or take this file away, and one is made", .0.display())]
    Form(PathBuf),
    /// None could be made.
    #[error("this machine gives no randomness to make a key of")]
    NoRandomness,
}

/// A key that signs.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key in that file.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        let read = || {
            let mut bytes = Vec::new();
            fs::File::open(file)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|reason| KeyError::File { file: file.to_owned(), reason })?;
        Ed25519KeyPair::from_pkcs8(&bytes).map(Self).map_err(|_| KeyError::Form(file.to_owned()))
    }

    /// The same; where there is no such file, one is made that its owner alone can read. It is there whole or not at all, also where two
    /// programs make it at the same time.
    ///
    /// # Errors
    /// When it cannot be read or made, or is none.
    pub fn read_or_make(file: &Path) -> Result<Self, KeyError> {
        if !file.exists() {
            let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoRandomness)?;
            let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let save = || {
                // A temporary file is its owner's alone from the beginning.
                let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
                temporary.write_all(made.as_ref())?;
                temporary.as_file().sync_all()?;
                match temporary.persist_noclobber(file) {
                    Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                    Err(error) => Err(error.error),
                    Ok(_) => Ok(()),
                }
            };
            save().map_err(|reason| KeyError::File { file: file.to_owned(), reason })?;
        }
        Self::read(file)
    }

    /// The key of this seed. `None`: it has not 32 bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// What others need to check its signatures.
    ///
    /// # Panics
    /// Never: the public key of Ed25519 has that length.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().try_into().expect("the public key of Ed25519 has 32 bytes"))
    }

    /// Its signature.
    ///
    /// # Panics
    /// Never: a signature of Ed25519 has that length.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).as_ref().try_into().expect("a signature of Ed25519 has 64 bytes")
    }
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    /// Whether it is this key's signature of exactly this.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }

    /// SHA-256 of it, by which people compare keys.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(self.0))
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// What so many bytes are written as in hexadecimal, of either case.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("some.key");
        assert!(matches!(SigningKey::read(&file), Err(KeyError::File { .. })));
        let made = SigningKey::read_or_make(&file).unwrap();
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        let again = SigningKey::read_or_make(&file).unwrap();
        assert_eq!(made.public(), again.public());
        assert!(again.public().has_signed(b"this", &made.sign(b"this")));
        assert!(!again.public().has_signed(b"that", &made.sign(b"this")));
        fs::write(&file, b"something else").unwrap();
        assert!(matches!(SigningKey::read_or_make(&file), Err(KeyError::Form(_))), "nor is anything written over");
    }

    #[test]
    fn hexadecimal_is_read_as_it_is_written() {
        let bytes = [0x00, 0x0f, 0xf0, 0xab];
        assert_eq!(hex(&bytes), "000ff0ab");
        assert_eq!(from_hex("000FF0ab"), Some(bytes));
        for wrong in ["", "000ff0a", "000ff0ab00", "000ff0ag", "+00ff0ab", "000ff0é"] {
            assert_eq!(from_hex::<4>(wrong), None, "{wrong}");
        }
    }
}
