//! One closed day of the ledger of what left: its root, its link to the day before, its signature, and what breaks the chain. Pure.
//!
//! ```text
//! leaf = SHA-256(words ‖ destination ‖ length ‖ record)           one for each destination
//! root = SHA-256(words ‖ how many ‖ each destination and its leaf)
//! link = SHA-256(words ‖ link before ‖ number ‖ first day ‖ last day ‖ day until which its records are kept ‖ root ‖ public key)
//! signature = Ed25519(words ‖ link)
//! ```
//! Every day since the first has its place: an entry is of one day, or of several on which nothing left at all, and begins where the one
//! before ended. Records whose day has passed can be erased; roots stay, so every link can be computed again.

use sha2::{Digest as _, Sha256};

use super::Day;
pub use crate::privacy::consent::chain::Head;
use crate::signing::{PublicKey, SIGNATURE_BYTES, SigningKey};

/// The link before the first.
pub const START: [u8; 32] = [0; 32];
/// Records are kept this long after their last day: 36 months. Nothing of a person is in them; they show what a past receiver can have.
pub const KEPT_DAYS: i64 = 3 * 366;

/// A destination's record, as the root has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The destination's number.
    pub destination: u32,
    /// The hash of its record.
    pub hash: [u8; 32],
}

impl Leaf {
    /// The leaf of a record.
    #[must_use]
    pub fn of(destination: u32, record: &[u8]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"firsthand egress record 1");
        hash.update(destination.to_be_bytes());
        hash.update((record.len() as u64).to_be_bytes());
        hash.update(record);
        Self { destination, hash: hash.finalize().into() }
    }
}

/// The root of a day.
#[must_use]
pub fn root(leaves: &[Leaf]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"firsthand egress day 1");
    hash.update((leaves.len() as u64).to_be_bytes());
    for leaf in leaves {
        hash.update(leaf.destination.to_be_bytes());
        hash.update(leaf.hash);
    }
    hash.finalize().into()
}

/// An entry of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedDay {
    /// Which entry it is, from 1.
    pub number: i64,
    /// Its first day.
    pub first: Day,
    /// Its last day; another one than the first only where nothing left.
    pub last: Day,
    /// Until when its records are kept.
    pub kept_until: Day,
    /// What its records add up to.
    pub root: [u8; 32],
    /// Its link.
    pub link: [u8; 32],
    /// Whose signature it has.
    pub key: PublicKey,
    /// The signature.
    pub signature: [u8; SIGNATURE_BYTES],
    /// Its records' leaves; none where nothing left, or they are erased.
    pub leaves: Vec<Leaf>,
}

impl ClosedDay {
    /// Closes the days from `first` to `last` after the entry before.
    #[must_use]
    pub fn close(before: Head, (first, last): (Day, Day), leaves: Vec<Leaf>, key: &SigningKey) -> Self {
        let mut day = Self {
            number: before.number + 1,
            first,
            last,
            kept_until: Day(last.0.saturating_add(KEPT_DAYS)),
            root: root(&leaves),
            link: START,
            key: key.public(),
            signature: [0; SIGNATURE_BYTES],
            leaves,
        };
        day.link = day.link_after(&before.link);
        day.signature = key.sign(&signed(&day.link));
        day
    }

    fn link_after(&self, before: &[u8; 32]) -> [u8; 32] {
        let mut link = Sha256::new_with_prefix(b"firsthand egress link 1");
        link.update(before);
        for number in [self.number, self.first.0, self.last.0, self.kept_until.0] {
            link.update(number.to_be_bytes());
        }
        link.update(self.root);
        link.update(self.key.0);
        link.finalize().into()
    }
}

fn signed(link: &[u8; 32]) -> Vec<u8> {
    [b"firsthand egress signature 1".as_slice(), link].concat()
}

/// What is wrong with the chain, and at which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressFault {
    /// An entry is not there.
    #[error("entry {0} is missing")]
    Missing(i64),
    /// An entry or one of its records does not say what it said when it was written.
    #[error("entry {0} was changed")]
    Changed(i64),
    /// An entry is not the successor of the one before.
    #[error("entry {0} does not follow the one before it")]
    Unlinked(i64),
    /// Days between two entries have no place, or two.
    #[error("entry {0} does not begin on the day after the one before it")]
    Gap(i64),
    /// The signature is not one of this entry.
    #[error("entry {0} is not signed by the key that it names")]
    Unsigned(i64),
    /// The key is none of those that were expected.
    #[error("entry {0} is signed by another key than the ones named")]
    OtherKey(i64),
    /// Records were erased before their time.
    #[error("entry {0} has lost its records before their time")]
    ErasedEarly(i64),
    /// A record belongs to no entry.
    #[error("there is a record of entry {0}, and no such entry")]
    Stray(i64),
    /// The head that was noted is not part of the chain.
    #[error("the noted head, entry {0}, is not part of the chain: entries were cut off, or the chain was written anew")]
    NotedHead(i64),
}

/// A chain in which nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Where it stands.
    pub head: Head,
    /// Its first and its last day; none where no day was closed yet.
    pub days: Option<(Day, Day)>,
    /// Entries whose records were erased, each after its time.
    pub erased: u64,
    /// Which keys signed, and from which entry on each.
    pub keys: Vec<(i64, PublicKey)>,
}

/// Walks the chain, entry by entry.
pub struct Walk<'k> {
    today: Day,
    noted: Option<Head>,
    known: Option<&'k dyn Fn(&PublicKey) -> bool>,
    verified: Verified,
}

impl<'k> Walk<'k> {
    /// From the start. `known`: whether a key is one of those that are expected; none: any is taken, and told.
    #[must_use]
    pub fn new(today: Day, noted: Option<Head>, known: Option<&'k dyn Fn(&PublicKey) -> bool>) -> Self {
        let head = Head { number: 0, link: START };
        Self { today, noted, known, verified: Verified { head, days: None, erased: 0, keys: Vec::new() } }
    }

    /// The number of the next entry.
    #[must_use]
    pub const fn next(&self) -> i64 {
        self.verified.head.number + 1
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn step(&mut self, day: &ClosedDay) -> Result<(), EgressFault> {
        let number = self.next();
        if day.number != number {
            return Err(EgressFault::Missing(number));
        }
        let erased = root(&day.leaves) != day.root;
        if erased && !day.leaves.is_empty() {
            return Err(EgressFault::Changed(number));
        }
        if day.link_after(&self.verified.head.link) != day.link {
            return Err(EgressFault::Unlinked(number));
        }
        if !day.key.has_signed(&signed(&day.link), &day.signature) {
            return Err(EgressFault::Unsigned(number));
        }
        if erased && self.today <= day.kept_until {
            return Err(EgressFault::ErasedEarly(number));
        }
        let follows = self.verified.days.is_none_or(|(_, last)| last.next() == day.first);
        if !follows || day.first > day.last || (day.first < day.last && !day.leaves.is_empty()) {
            return Err(EgressFault::Gap(number));
        }
        if self.known.is_some_and(|known| !known(&day.key)) {
            return Err(EgressFault::OtherKey(number));
        }
        self.verified.erased += u64::from(erased);
        self.verified.head = Head { number, link: day.link };
        self.verified.days = Some((self.verified.days.map_or(day.first, |(first, _)| first), day.last));
        if self.verified.keys.last().is_none_or(|(_, key)| *key != day.key) {
            self.verified.keys.push((number, day.key));
        }
        if self.noted.is_some_and(|noted| noted.number == number && noted.link != day.link) {
            return Err(EgressFault::NotedHead(number));
        }
        Ok(())
    }

    /// There is no more.
    ///
    /// # Errors
    /// When there should be.
    pub fn end(self) -> Result<Verified, EgressFault> {
        match self.noted {
            Some(noted) if noted.number > self.verified.head.number => Err(EgressFault::NotedHead(noted.number)),
            Some(noted) if noted.number <= 0 && noted != (Head { number: 0, link: START }) => Err(EgressFault::NotedHead(noted.number)),
            _ => Ok(self.verified),
        }
    }
}
