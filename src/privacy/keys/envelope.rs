//! K_envelope: random, in locked memory alone, of one generation of ten minutes; it seals what is kept beside the log of that generation's events. What
//! was sealed under it ends with it: after a day, or with the process.

use std::{io, time::Duration};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use super::{age::Age, locked::LockedKey};
use crate::privacy::hand_over::bytes::{Unread, Unreadable, Written};

/// Length of a seal's nonce in bytes (AES-GCM's own).
const NONCE_BYTES: usize = 12;

/// The key of one generation.
pub(in crate::privacy) struct EnvelopeKey {
    key: LockedKey,
    age: Age,
}

impl EnvelopeKey {
    /// A new one.
    pub(in crate::privacy) fn random() -> io::Result<Self> {
        Ok(Self { key: LockedKey::random()?, age: Age::beginning_at(Duration::ZERO) })
    }

    /// How old it is, by whichever clock says more.
    pub(in crate::privacy) fn age(&self) -> Duration {
        self.age.now()
    }

    pub(in crate::privacy) fn is_locked(&self) -> bool {
        self.key.is_locked()
    }

    /// Seals under a random nonce; `name` is authenticated with it.
    pub(in crate::privacy) fn seal(&self, name: &[u8], contents: &[u8]) -> io::Result<Vec<u8>> {
        let mut sealed = vec![0; NONCE_BYTES];
        getrandom::fill(&mut sealed).map_err(|_| io::Error::other("the system has no randomness to give"))?;
        let nonce: [u8; NONCE_BYTES] = *sealed.first_chunk().expect("it is as long");
        let cipher = Aes256Gcm::new(self.key.bytes().into());
        let text = cipher.encrypt((&nonce).into(), Payload { msg: contents, aad: name });
        sealed.extend_from_slice(&text.map_err(|_| io::Error::other("the contents are too long to seal"))?);
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] made under the same name.
    pub(in crate::privacy) fn open(&self, name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let cipher = Aes256Gcm::new(self.key.bytes().into());
        cipher.decrypt(nonce.into(), Payload { msg: sealed, aad: name }).ok().map(Zeroizing::new)
    }

    /// Writes it down for the process that takes over: with its age, so that it lives no longer there.
    pub(in crate::privacy) fn give(&self, to: &mut Written) {
        to.bytes(self.key.bytes());
        to.span(self.age());
    }

    /// Takes over one of the process before.
    pub(in crate::privacy) fn take(from: &mut Unread<'_>) -> Result<Self, Unreadable> {
        Ok(Self { key: LockedKey::taken_over(from.array()?)?, age: Age::beginning_at(from.age()?) })
    }

    /// One that is so old.
    #[cfg(test)]
    pub(in crate::privacy) fn of_age(age: Duration) -> Self {
        Self { age: Age::beginning_at(age), ..Self::random().expect("a key") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_key_under_its_name_alone() {
        let (key, other) = (EnvelopeKey::random().unwrap(), EnvelopeKey::random().unwrap());
        let sealed = key.seal(b"one", b"192.0.2.1").unwrap();
        assert!(!sealed.windows(9).any(|bytes| bytes == b"192.0.2.1"));
        assert_eq!(key.open(b"one", &sealed).unwrap().as_slice(), b"192.0.2.1");
        assert!(key.open(b"two", &sealed).is_none() && other.open(b"one", &sealed).is_none());
        assert!(key.open(b"one", &sealed[..10]).is_none());
        assert_ne!(sealed, key.seal(b"one", b"192.0.2.1").unwrap(), "a nonce is never used twice");
    }
}
