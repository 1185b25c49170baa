//! The durable event log between the two lines: it appends, syncs, reads by offset, and drops whole log segments. Nothing else queues.

use bytes::Bytes;

use crate::event::Offset;

/// A record's bytes as read from the log. Only this module can make one, so `crate::privacy` knows where they come from.
pub struct LogBytes(Bytes);

impl LogBytes {
    /// Header and body.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// One record of the log.
pub struct LogRecord {
    /// Its number.
    pub offset: Offset,
    /// Its bytes, checksum verified.
    pub bytes: LogBytes,
}
