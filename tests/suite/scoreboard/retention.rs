//! How long records rest, by a clock that is turned: an event without consent and one with it, every hour for days and months, and what is
//! found that should be gone.

use std::{sync::Arc, time::Duration};

use firsthand::{
    clock::Timestamp,
    event::Offset,
    event_log::{EventLog, LogOptions},
    privacy::record::header_of,
};

use super::FIRST_MIDNIGHT;
use crate::{
    installation::{SITE, file_destination},
    line::{Line, RawRequest},
    memory_files::MemoryFiles,
};

/// Steps of six hours: 35 days, so that the longer retention of 30 is passed, too.
const STEPS: u32 = 35 * 4;
const STEP: Duration = Duration::from_secs(6 * 60 * 60);

/// What was found.
pub(super) struct Overdue {
    /// Records that were looked at after each clean-up, over all steps.
    pub(super) looked_at: usize,
    /// Those past their time.
    pub(super) overdue: usize,
    /// How many records were gone at the end.
    pub(super) dropped: usize,
}

pub(super) fn measure() -> Overdue {
    let documents = [
        SITE.to_owned(),
        file_destination("strict", "exempt_measurement", "strict"),
        file_destination("customers", "consent", "consented-analytics"),
    ];
    let mut line = Line::new(&documents.concat(), 0);
    // The log rolls its files by the monotonic clock, which nobody can turn, or by size: here with every commit.
    let options = LogOptions { roll_bytes: 1, preallocate_bytes: 1 << 12, ..LogOptions::default() };
    line.logs = vec![EventLog::open(Arc::new(MemoryFiles::default()), options, Timestamp(FIRST_MIDNIGHT)).unwrap().into()];
    let (mut looked_at, mut overdue, mut appended) = (0, 0, 0);
    for step in 0..STEPS {
        let now = Timestamp(FIRST_MIDNIGHT).plus(STEP * step);
        for body in [r#"{"e":[{"k":"page_view"}]}"#, r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#] {
            let request = RawRequest::beacon("192.0.2.41".parse().unwrap(), body.to_owned());
            line.append(0, line.receive(&request, now)).expect("an event rests");
            appended += 1;
        }
        line.logs[0].drop_expired(now).unwrap();
        for record in line.records(0, Offset(0)) {
            let header = header_of(&record.bytes).unwrap();
            looked_at += 1;
            overdue += usize::from(now.since(header.received) > line.logs[0].retention(header.class()));
        }
    }
    Overdue { looked_at, overdue, dropped: appended - line.records(0, Offset(0)).len() }
}
