//! What a courier may do: have a record disclosed, and look at what it was given.

use crate::{
    clock::Timestamp,
    documents::{Destination, Documents},
    event_log::LogRecord,
    privacy::disclose::{Disclosed, Discloser},
};

/// Has it disclosed.
pub(crate) fn disclose(discloser: &Discloser, record: &LogRecord, documents: &Documents, to: &Destination, now: Timestamp) -> Option<u64> {
    match discloser.disclose(record, documents, to, now) {
        Ok(Disclosed::Disclosure(disclosure)) => Some(disclosure.lane()),
        _ => None,
    }
}
