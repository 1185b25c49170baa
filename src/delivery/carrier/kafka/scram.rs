//! Logging in without saying the password: SCRAM, RFC 5802 and 7677. Pure but for the nonce, which is given.

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use std::num::NonZeroU32;

/// Without a channel binding: Kafka has none.
const HEADER: &str = "n,,";
/// A server that asks for more work than this is none that means well (Kafka itself goes up to 16,384): some hundredths of a second.
const ITERATIONS_MAX: u32 = 100_000;
/// With less, whoever listens could try passwords at leisure (RFC 7677 §4); Kafka has no less.
const ITERATIONS_MIN: u32 = 4096;

/// By which hash.
#[derive(Clone, Copy)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

/// The other side does not keep to it, or does not know the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotProven;

/// What the server has to say at the end.
pub(super) struct Expected(Vec<u8>);

impl Hash {
    fn mac(self, key: &[u8], said: &[u8]) -> hmac::Tag {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), said)
    }

    fn digest(self, bytes: &[u8]) -> digest::Digest {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes)
    }

    fn salted(self, password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            Self::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, iterations, salt, password, &mut salted);
        salted
    }
}

/// What the client says first, without its header.
fn first_bare(user: &str, nonce: &str) -> String {
    format!("n={},r={nonce}", user.replace('=', "=3D").replace(',', "=2C"))
}

/// What the client says first.
pub(super) fn first(user: &str, nonce: &str) -> Vec<u8> {
    format!("{HEADER}{}", first_bare(user, nonce)).into_bytes()
}

/// What the client says to the server's first words, and what it then has to hear.
pub(super) fn last(hash: Hash, (user, password): (&str, &[u8]), nonce: &str, server: &[u8]) -> Result<(Vec<u8>, Expected), NotProven> {
    let server = std::str::from_utf8(server).map_err(|_| NotProven)?;
    let said = |name: &str| server.split(',').find_map(|part| part.strip_prefix(name)).ok_or(NotProven);
    // An extension that has to be understood (RFC 5802 §5.1), and is not.
    if server.starts_with("m=") {
        return Err(NotProven);
    }
    let (both, salt, iterations) = (said("r=")?, said("s=")?, said("i=")?);
    let salt = BASE64.decode(salt).map_err(|_| NotProven)?;
    let iterations: NonZeroU32 = iterations.parse().map_err(|_| NotProven)?;
    if !both.starts_with(nonce) || both.len() == nonce.len() || !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations.get()) {
        return Err(NotProven);
    }
    let without_proof = format!("c={},r={both}", BASE64.encode(HEADER));
    let talk = format!("{},{server},{without_proof}", first_bare(user, nonce));
    let salted = hash.salted(password, &salt, iterations);
    let client_key = hash.mac(&salted, b"Client Key");
    let signature = hash.mac(hash.digest(client_key.as_ref()).as_ref(), talk.as_bytes());
    let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, signature)| key ^ signature).collect();
    let server_key = hash.mac(&salted, b"Server Key");
    let expected = Expected(hash.mac(server_key.as_ref(), talk.as_bytes()).as_ref().to_vec());
    Ok((format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes(), expected))
}

impl Expected {
    /// Whether the server knows the password, too.
    pub(super) fn is(&self, server: &[u8]) -> Result<(), NotProven> {
        let said = server.strip_prefix(b"v=").ok_or(NotProven)?;
        let signature = BASE64.decode(said.split(|byte| *byte == b',').next().unwrap_or_default()).map_err(|_| NotProven)?;
        constant_time::verify_slices_are_equal(&signature, &self.0).map_err(|_| NotProven)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_standards_own_conversation_is_held() {
        assert_eq!(first("user", NONCE), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (said, expected) = last(Hash::Sha256, ("user", b"pencil"), NONCE, SERVER.as_bytes()).unwrap();
        let proof = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(String::from_utf8(said).unwrap(), proof);
        assert_eq!(expected.is(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert_eq!(expected.is(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="), Err(NotProven));
        assert_eq!(expected.is(b"e=other-error"), Err(NotProven));
    }

    #[test]
    fn a_server_that_does_not_keep_to_it_is_told_nothing() {
        for server in [
            "",
            "r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
        ] {
            assert!(last(Hash::Sha512, ("user", b"pencil"), NONCE, server.as_bytes()).is_err(), "{server}");
        }
        assert_eq!(first("a=b,c", "x"), b"n,,n=a=3Db=2Cc,r=x");
    }
}
