//! What of the log can be set.

use std::time::Duration;

use crate::event::RetentionClass;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The log's settings.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// How long events without consent are kept.
    pub short_retention: Duration,
    /// How long granted events are kept.
    pub long_retention: Duration,
    /// A log segment is sealed before it grows beyond this many bytes (one commit may be larger than that by itself).
    pub roll_bytes: u64,
    /// A log segment is sealed this long after its first record.
    pub roll_age: Duration,
    /// By how many bytes of zeros a log segment's file grows at a time. Overwriting written blocks costs the file system no journal
    /// commit; growing, or overwriting unwritten extents, costs one at each `fdatasync`.
    pub preallocate_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            short_retention: 72 * HOUR,
            long_retention: 30 * 24 * HOUR,
            roll_bytes: 64 << 20,
            roll_age: HOUR,
            preallocate_bytes: 8 << 20,
        }
    }
}

impl LogOptions {
    /// For how long a class of records is kept.
    #[must_use]
    pub fn retention(&self, class: RetentionClass) -> Duration {
        match class {
            RetentionClass::Short => self.short_retention,
            RetentionClass::Long => self.long_retention,
        }
    }
}
