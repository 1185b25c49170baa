//! An event as a person names it: by its place in the event log, by its own id, or by the id that a destination was given. Ids that leave
//! are made with a destination's key, so the way back is to make them again for each record that is looked at.

use std::sync::Arc;

use super::{
    keys::persistent::DestinationKey,
    record::{self, Header},
};
use crate::{
    event::{EventId, Offset},
    event_log::LogRecord,
};

/// An event that somebody looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventName(Said);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Offset(Offset),
    Id([u8; 16]),
}

impl EventName {
    /// Reads an offset (`1204`), or an id of 32 hexadecimal digits, with hyphens or without.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        if digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit) {
            let mut id = [0; 16];
            for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
            }
            return Some(Self(Said::Id(id)));
        }
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| plain).map(|offset| Self(Said::Offset(Offset(offset))))
    }

    /// Whether this record is it, and then its header. A record that is none of ours is nobody's.
    #[must_use]
    pub fn is_of(&self, record: &LogRecord, keys: &[Arc<DestinationKey>]) -> Option<Header> {
        match self.0 {
            Said::Offset(offset) if offset != record.offset => None,
            Said::Offset(_) => record::header_of(&record.bytes).ok(),
            Said::Id(id) => record::header_of(&record.bytes)
                .ok()
                .filter(|header| header.event_id == EventId(id) || keys.iter().any(|key| key.event_id_bytes(header.event_id) == id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_offsets_and_ids() {
        assert_eq!(EventName::parse("1204"), Some(EventName(Said::Offset(Offset(1204)))));
        let id = EventName::parse("00112233-4455-8677-8899-aabbccddeeff").unwrap();
        assert_eq!(EventName::parse("00112233445586778899AABBCCDDEEFF"), Some(id));
        for text in
            ["", "-", "12x", "00112233-4455-8677-8899-aabbccddeef", "0011223344558677889900112233445g", "+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1"]
        {
            assert_eq!(EventName::parse(text), None, "{text}");
        }
    }
}
