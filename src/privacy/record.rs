//! The record that rests in the event log: a header of fixed width that is readable without a key, and a body.
//!
//! ```text
//!  0      1      2        3         4       8        12        16         32        48          56
//!  format flags  ceiling  reserved  site    epoch    policy    event id   subject   received    body…
//!  u8     u8     u8       u8        u32     i32      u32       16 bytes   16 bytes  i64 (ms)
//! ```
//! All numbers are little-endian. `flags`: bits 0-1 subject kind (0 none, 1 token, 2 person handle), bit 2 audience (1: consent-basis
//! destinations only), bit 3 body is sealed, bits 4-6 purposes. The header of a sealed record is the associated data of its seal. A ceiling
//! of nothing (0) says that the header is all there is.

use super::transform::Breadth;
use crate::{
    clock::Timestamp,
    event::{Epoch, EventId, PolicyVersion, Purposes, RetentionClass, SiteNumber},
    event_log::LogBytes,
};

/// The format that this program writes. It reads this one and the one before. The log's own format rises with it, so that an older program
/// refuses the log instead of passing its records over.
pub const FORMAT: u8 = 1;
/// Width of the header in bytes.
pub const HEADER_BYTES: usize = 56;

/// Whose event a record is: one id, never two, so that no link between a token and a handle can rest anywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Nobody in particular.
    None,
    /// A visitor without consent: the day's token.
    Token([u8; 16]),
    /// A person who consented: the random handle of their key row.
    Person([u8; 16]),
}

/// Which destinations a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every destination that is entitled to it.
    All,
    /// Consent-basis destinations only: a copy held by the page until the choice; the exempt ones had it at once.
    ConsentBasisOnly,
}

/// What a record says of itself without a key.
#[derive(Clone)]
pub struct Header {
    /// Which site it came in on.
    pub site: SiteNumber,
    /// The site's local day of receipt.
    pub epoch: Epoch,
    /// The policy version it was cleaned under.
    pub policy: PolicyVersion,
    /// Our event id.
    pub event_id: EventId,
    /// Whose event it is.
    pub subject: Subject,
    /// Which destinations it is for.
    pub audience: Audience,
    /// What the person had consented to; empty: no choice was known.
    pub purposes: Purposes,
    /// The largest disclosure that any destination may get of it. Nothing: there is no body any more ([`recleanse`](super::recleanse)).
    pub ceiling: Breadth,
    /// Whether the body is sealed under the person's key.
    pub sealed: bool,
    /// When it came in, by our clock.
    pub received: Timestamp,
}

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let (kind, subject) = match self.subject {
            Subject::None => (0, [0; 16]),
            Subject::Token(token) => (1, token),
            Subject::Person(handle) => (2, handle),
        };
        let audience = u8::from(self.audience == Audience::ConsentBasisOnly);
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = FORMAT;
        bytes[1] = kind | audience << 2 | u8::from(self.sealed) << 3 | self.purposes.bits() << 4;
        bytes[2] = self.ceiling.code();
        bytes[4..8].copy_from_slice(&self.site.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.policy.0.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.event_id.0);
        bytes[32..48].copy_from_slice(&subject);
        bytes[48..56].copy_from_slice(&self.received.0.to_le_bytes());
        bytes
    }

    /// Reads a header back.
    ///
    /// # Errors
    /// When the bytes are none that this program or the one before it wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(CorruptRecord::Short)?;
        if header[0] != FORMAT {
            return Err(CorruptRecord::UnknownFormat(header[0]));
        }
        let four = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
        let sixteen = |at: usize| {
            let mut id = [0; 16];
            id.copy_from_slice(&header[at..at + 16]);
            id
        };
        let mut received = [0; 8];
        received.copy_from_slice(&header[48..56]);
        let flags = header[1];
        Ok(Self {
            site: SiteNumber(u32::from_le_bytes(four(4))),
            epoch: Epoch(i32::from_le_bytes(four(8))),
            policy: PolicyVersion(u32::from_le_bytes(four(12))),
            event_id: EventId(sixteen(16)),
            subject: match flags & 0b11 {
                0 => Subject::None,
                1 => Subject::Token(sixteen(32)),
                2 => Subject::Person(sixteen(32)),
                _ => return Err(CorruptRecord::Malformed),
            },
            audience: if flags & 0b100 == 0 { Audience::All } else { Audience::ConsentBasisOnly },
            purposes: Purposes::from_bits(flags >> 4),
            ceiling: Breadth::from_code(header[2]).ok_or(CorruptRecord::Malformed)?,
            sealed: flags & 0b1000 != 0,
            received: Timestamp(i64::from_le_bytes(received)),
        })
    }

    /// How long the record is kept.
    #[must_use]
    pub fn class(&self) -> RetentionClass {
        if self.sealed { RetentionClass::Long } else { RetentionClass::Short }
    }
}

/// A clean event as the bytes that may rest on a disk. Only `crate::privacy` makes one (from a `CleanEvent`).
pub struct Record {
    event_id: EventId,
    class: RetentionClass,
    received: Timestamp,
    bytes: Vec<u8>,
}

impl Record {
    pub(in crate::privacy) fn new(header: &Header, bytes: Vec<u8>) -> Self {
        Self { event_id: header.event_id, class: header.class(), received: header.received, bytes }
    }

    /// A record made of its parts, for tests of what only carries records.
    #[cfg(test)]
    pub(crate) fn for_test(event_id: [u8; 16], class: RetentionClass, received: Timestamp, body: &[u8]) -> Self {
        let sealed = class == RetentionClass::Long;
        let header = Header {
            site: SiteNumber(1),
            epoch: Epoch(0),
            policy: PolicyVersion(1),
            event_id: EventId(event_id),
            subject: Subject::None,
            audience: Audience::All,
            purposes: Purposes::NONE,
            ceiling: super::transform::Transform::Strict.breadth(),
            sealed,
            received,
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(body);
        Self::new(&header, bytes)
    }

    /// Our event id, which deduplication is on.
    #[must_use]
    pub const fn event_id(&self) -> EventId {
        self.event_id
    }

    /// Which family of log segments it goes to.
    #[must_use]
    pub const fn class(&self) -> RetentionClass {
        self.class
    }

    /// When it came in.
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// Header and body, as they rest.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A record that was read and cannot be one of ours, though its checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorruptRecord {
    /// Shorter than a header.
    #[error("the record is shorter than its header")]
    Short,
    /// Written by a newer (or much older) program.
    #[error("the record has format {0}; this program reads format {FORMAT}")]
    UnknownFormat(u8),
    /// Its fields contradict each other.
    #[error("the record's fields contradict each other")]
    Malformed,
    /// The body's seal does not open under the person's key.
    #[error("the record's seal is broken")]
    BrokenSeal,
}

/// The header of a record read from the event log.
///
/// # Errors
/// See [`Header::decode`].
pub fn header_of(bytes: &LogBytes) -> Result<Header, CorruptRecord> {
    Header::decode(bytes.as_slice())
}
