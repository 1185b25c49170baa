//! Canaries: values that stand nowhere else, one for each slot of the input, made from the run's seed; and which of them are looked for.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    beacons::PATH_SLOT,
    scanner::{Mark, What},
    spellings::Spelling,
};
use crate::privacy::{policy::Field, scrub::parameters::Issuer};

/// Letters of a canary: 26¹⁴ of them, so that none stands anywhere by chance.
const LETTERS: usize = 14;

/// In a path so many: of more, the scrubbers ask whether a machine made them.
const PATH_LETTERS: usize = 11;

/// Where the visitor who sends it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// Sends Global Privacy Control beside a yes, so that the objection has to win.
    Objected,
    /// Has said nothing.
    Unknown,
    /// Agreed to every purpose.
    Granted,
}

impl Stand {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Objected, Self::Unknown, Self::Granted];

    /// The name on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Objected => "objected",
            Self::Unknown => "unknown",
            Self::Granted => "granted",
        }
    }
}

/// Which canary: its slot, whose it is, and which of that slot's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Canary {
    /// The protocol's name: `native`.
    pub protocol: &'static str,
    /// Where it was put, in words: `body: e-mail in the title`.
    pub slot: String,
    /// Who sent it.
    pub stand: Stand,
    /// Of several in that slot, which one.
    pub round: usize,
    /// The field of the event that the slot fills with what names nobody: it may leave where the destination's preset keeps that field.
    #[serde(skip)]
    pub field: Option<Field>,
    /// Of a click id: whose destinations alone may have it.
    #[serde(skip)]
    pub issuer: Option<Issuer>,
}

impl Canary {
    /// What people and machines know it by.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}/{}", self.protocol, self.slot, self.stand.name(), self.round)
    }
}

/// Makes canaries and remembers each.
pub struct Canaries {
    seed: u64,
    /// Each with the texts or bytes that it is looked for as.
    made: BTreeMap<Canary, Vec<What>>,
}

/// Whose canaries are wanted, and how they are spelt: what one beacon has in common.
#[derive(Clone, Copy)]
pub struct Voice {
    /// In which protocol.
    pub protocol: &'static str,
    /// Where the visitor stands.
    pub stand: Stand,
    /// Which of each slot's canaries.
    pub round: usize,
    /// How it spells them.
    pub spelling: Spelling,
}

impl Canaries {
    /// None yet.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, made: BTreeMap::new() }
    }

    fn canary(voice: &Voice, slot: &str, field: Option<Field>) -> Canary {
        Canary { protocol: voice.protocol, slot: slot.to_owned(), stand: voice.stand, round: voice.round, field, issuer: None }
    }

    /// Bytes that only this canary has.
    fn digest(&self, canary: &Canary) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(canary.name());
        hash.finalize().into()
    }

    fn letters(&self, canary: &Canary) -> String {
        let length = if canary.slot == PATH_SLOT { PATH_LETTERS } else { LETTERS };
        let letters = self.digest(canary).into_iter().take(length - 2).map(|byte| char::from(b'a' + byte % 26));
        ['z', 'q'].into_iter().chain(letters).collect()
    }

    /// A plain word, spelt as the voice spells; `field`: what it fills, where a plain word may pass with consent.
    pub fn word(&mut self, voice: &Voice, slot: &str, field: Option<Field>) -> String {
        self.spelt(voice, Self::canary(voice, slot, field))
    }

    /// The same in the place of a click id.
    pub fn click_id(&mut self, voice: &Voice, slot: &str, issuer: Issuer) -> String {
        self.spelt(voice, Canary { issuer: Some(issuer), ..Self::canary(voice, slot, Some(Field::ClickIds)) })
    }

    fn spelt(&mut self, voice: &Voice, canary: Canary) -> String {
        let word = self.letters(&canary);
        self.made.entry(canary).or_insert_with(|| vec![What::Text(word.clone())]);
        voice.spelling.spell(&word)
    }

    /// An e-mail address: it may leave nowhere, but as the envelope has it where a deviation keeps that `field`.
    pub fn email(&mut self, voice: &Voice, slot: &str, field: Option<Field>) -> String {
        let canary = Self::canary(voice, slot, field);
        let word = self.letters(&canary);
        let email = format!("{word}@mail.example");
        self.made.entry(canary).or_insert_with(|| vec![What::Text(word), What::Hashed(email.clone())]);
        voice.spelling.spell(&email)
    }

    /// An amount of money with six digits before the point, as large as may rest, and five behind, so that no time in a trace reads like it,
    /// forwards or backwards; it is a number, so nothing is spelt.
    pub fn amount(&mut self, voice: &Voice, slot: &str, field: Field) -> String {
        let canary = Self::canary(voice, slot, Some(field));
        let digest = self.digest(&canary);
        let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        // Neither part ends with a zero: JSON would not repeat it.
        let behind = u32::from_be_bytes([digest[4], digest[5], digest[6], digest[7]]) % 10_000;
        let text = format!("{}.{behind:04}{}", 100_000 + number % 900_000, 1 + digest[8] % 9);
        self.made.entry(canary).or_insert_with(|| vec![What::Text(text.clone())]);
        text
    }

    /// The address that the beacon comes from: of the range for benchmarks (RFC 2544) or for documentation (RFC 3849).
    pub fn address(&mut self, voice: &Voice) -> IpAddr {
        let canary = Self::canary(voice, "header: client address", Some(Field::Address));
        let digest = self.digest(&canary);
        // Three digits in each part, so that no address is the beginning of another.
        let part = |byte: u8| 100 + byte % 156;
        let address = if voice.round.is_multiple_of(2) {
            IpAddr::V4(Ipv4Addr::new(198, 18 + digest[0] % 2, part(digest[1]), part(digest[2])))
        } else {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
            octets[4..].copy_from_slice(&digest[..12]);
            // No run of zeros that would be written shorter.
            octets.iter_mut().skip(4).filter(|octet| **octet == 0).for_each(|octet| *octet = 1);
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        let mut whats = vec![What::Text(address.to_string())];
        match address {
            IpAddr::V4(address) => {
                whats.push(What::Text(u32::from(address).to_string()));
                let digits = crate::signing::hex(&address.octets());
                // As an IPv6 address has it (RFC 4291, 2.5.5.2): long enough to be told from chance within other digits, too.
                whats.push(What::Text(format!("ffff{digits}")));
                whats.push(What::Text(digits));
            }
            IpAddr::V6(address) => {
                whats.push(What::Bytes(address.octets().to_vec()));
                // The network of one household.
                whats.push(What::Bytes(address.octets()[..8].to_vec()));
                whats.push(What::Text(address.segments().map(|segment| format!("{segment:04x}")).join(":")));
            }
        }
        self.made.entry(canary).or_insert(whats);
        address
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.made.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = &Canary> {
        self.made.keys()
    }

    /// What a scanner looks for; a mark's slot is its canary's name.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        let marks = self.made.iter().flat_map(|(canary, whats)| {
            let slot = canary.name();
            whats.iter().map(move |what| Mark { slot: slot.clone(), what: what.clone() })
        });
        marks.collect()
    }
}
