//! Reads the log by offset: both families merged, nothing above the durable head.
//!
//! Damage is told and stepped over: the reader that meets it returns [`LogError::Corrupt`] once, with the offsets that are lost, and goes
//! on at the next frame start that is known (by a mark), else at the next log segment. To stop there would hold back every later event
//! of every site for one bad sector; to look for frames by their bytes could take a frame out of the middle of someone's payload.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{
    LogBytes, LogRecord,
    catalogue::Catalogue,
    error::LogError,
    frame::{FrameSource, Next},
    log_segment::{Extent, LogSegment},
};
use crate::event::{Offset, RetentionClass};

/// A place that cannot be read is tried this often before it counts as damaged; the caller pauses in between.
const READ_ATTEMPTS_MAX: u32 = 5;

/// Reads records in the order of their offsets. Blocks: use it away from the event loop.
pub struct LogReader {
    catalogue: Arc<Catalogue>,
    position: Offset,
    /// In the order of [`RetentionClass::ALL`].
    cursors: [Cursor; 2],
    /// Met after some records of the last call, for the next one to return.
    failure: Option<LogError>,
}

impl LogReader {
    pub(super) fn new(catalogue: Arc<Catalogue>, from: Offset) -> Self {
        Self { catalogue, position: from, cursors: RetentionClass::ALL.map(Cursor::new), failure: None }
    }

    /// The offset that the next record has at least. Every record below it has been returned, reported as lost, or does not exist.
    #[must_use]
    pub const fn position(&self) -> Offset {
        self.position
    }

    /// The next records: at most `max_events`, and at most `max_bytes` of them, though at least one if there is one. None: the durable
    /// head is reached.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when durable records are unreadable; the next call goes on behind them. [`LogError::Io`] when a file cannot be
    /// read now; the next call tries again.
    pub fn read(&mut self, max_events: usize, max_bytes: usize) -> Result<Vec<LogRecord>, LogError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        // Everything below this head is in the log segments' contents, so what the cursors find below it is complete.
        let head = self.catalogue.head();
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < max_events {
            for cursor in &mut self.cursors {
                if let Err(failure) = cursor.look_ahead(&self.catalogue, self.position) {
                    if records.is_empty() {
                        return Err(failure);
                    }
                    self.failure = Some(failure);
                    return Ok(records);
                }
            }
            let nearest = self
                .cursors
                .iter_mut()
                .filter_map(|cursor| cursor.ahead.as_ref().map(|(offset, _)| *offset).map(|offset| (offset, cursor)));
            let Some((offset, cursor)) = nearest.filter(|(offset, _)| *offset < head).min_by_key(|(offset, _)| *offset) else {
                self.position = self.position.max(head);
                break;
            };
            let length = cursor.ahead.as_ref().map_or(0, |(_, payload)| payload.len());
            if !records.is_empty() && bytes + length > max_bytes {
                break;
            }
            if let Some((_, payload)) = cursor.ahead.take() {
                bytes += length;
                self.position = offset.next();
                records.push(LogRecord { offset, bytes: LogBytes(payload) });
            }
        }
        Ok(records)
    }
}

/// Where a reader is in one family.
struct Cursor {
    class: RetentionClass,
    current: Option<Current>,
    /// The first offset of the log segment last finished.
    finished: Option<Offset>,
    /// The next record, read but not yet returned.
    ahead: Option<(Offset, Bytes)>,
    failures: u32,
}

struct Current {
    segment: Arc<LogSegment>,
    source: FrameSource,
    /// As of the last look.
    extent: Extent,
    /// Above every offset seen in it.
    after_seen: Offset,
}

impl Cursor {
    const fn new(class: RetentionClass) -> Self {
        Self { class, current: None, finished: None, ahead: None, failures: 0 }
    }

    /// Reads the family's next record at or above `position`, unless that has been done.
    fn look_ahead(&mut self, catalogue: &Catalogue, position: Offset) -> Result<(), LogError> {
        while self.ahead.is_none() {
            let Some(current) = &mut self.current else {
                if self.open_next(catalogue, position)? {
                    continue;
                }
                return Ok(());
            };
            if current.segment.is_dropped() {
                self.finish();
                continue;
            }
            match current.source.next(current.extent.end) {
                Ok(Next::Frame { offset, payload, .. }) => {
                    self.failures = 0;
                    current.after_seen = offset.next();
                    if offset >= position {
                        self.ahead = Some((offset, payload));
                    }
                }
                Ok(Next::End) if current.extent.sealed => {
                    let damage = current.extent.damage.map(|damage| current.tell(catalogue, damage.position, damage.bytes, None));
                    self.finish();
                    if let Some(damage) = damage {
                        return Err(damage);
                    }
                }
                Ok(Next::End) => {
                    let before = current.extent.end;
                    current.extent = current.segment.extent();
                    if current.extent.end == before && !current.extent.sealed {
                        return Ok(());
                    }
                }
                Ok(Next::Zeros | Next::Bad) => return Err(self.step_over(catalogue)),
                Err(source) => return Err(self.unreadable(catalogue, source)),
            }
        }
        Ok(())
    }

    /// Opens the log segment that comes next. False: there is none yet.
    fn open_next(&mut self, catalogue: &Catalogue, position: Offset) -> Result<bool, LogError> {
        let next = match self.finished {
            Some(first) => catalogue.after(self.class, first),
            None => catalogue.covering(self.class, position),
        };
        let Some(segment) = next else { return Ok(false) };
        let name = segment.name().to_string();
        match catalogue.files.open(&name) {
            Ok(file) => {
                let source = FrameSource::new(file, segment.seek(position));
                let extent = segment.extent();
                let after_seen = position.max(segment.first());
                self.current = Some(Current { segment, source, extent, after_seen });
            }
            // Rewritten a moment ago, then the next look finds its next generation; or dropped.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let present = catalogue.present(self.class, segment.first());
                if present.is_none_or(|present| present.name() == segment.name()) {
                    self.finished = Some(segment.first());
                }
            }
            Err(error) => return Err(LogError::io("open", name)(error)),
        }
        Ok(true)
    }

    fn finish(&mut self) {
        if let Some(current) = self.current.take() {
            self.finished = Some(current.segment.first());
        }
        self.failures = 0;
    }

    /// Goes on behind a place that is no frame. The damage is the error to return.
    fn step_over(&mut self, catalogue: &Catalogue) -> LogError {
        self.failures = 0;
        let Some(current) = &mut self.current else { return LogError::io("read", "the log")(io::ErrorKind::NotFound.into()) };
        current.extent = current.segment.extent();
        let position = current.source.position();
        let (next, offset) = current.segment.next_mark(position);
        let next = next.max(position);
        current.source.jump(next);
        current.tell(catalogue, position, next - position, offset)
    }

    fn unreadable(&mut self, catalogue: &Catalogue, source: io::Error) -> LogError {
        self.failures += 1;
        // Anything else (too many open files, say) passes without a byte being lost.
        if source.raw_os_error() == Some(libc::EIO) && self.failures >= READ_ATTEMPTS_MAX {
            return self.step_over(catalogue);
        }
        let file = self.current.as_ref().map_or_else(String::new, |current| current.segment.name().to_string());
        LogError::Io { action: "read", file, source }
    }
}

impl Current {
    /// The damage as an error, and in the trace if it is news.
    fn tell(&self, catalogue: &Catalogue, position: u64, bytes: u64, next: Option<Offset>) -> LogError {
        let file = self.segment.name().to_string();
        let following = || catalogue.after(self.segment.name().class, self.segment.first()).map(|segment| segment.first());
        let to = next.or_else(|| self.segment.contents().last.map(Offset::next).filter(|_| self.extent.damage.is_none()));
        let to = to.or_else(following).unwrap_or_else(|| catalogue.head()).max(self.after_seen);
        if self.segment.damage_is_news() {
            catalogue.counters.corruptions.add(1);
            tracing::error!(file, position, bytes, "durable records are unreadable and were stepped over");
        }
        LogError::Corrupt { file, position, from: self.after_seen, to }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::Timestamp,
        event_log::{
            EventLog, LogOptions,
            trial::{START, TrialDisk, append, record, record_at, small},
        },
    };

    fn log_of(numbers: impl IntoIterator<Item = u64>) -> (TrialDisk, EventLog) {
        let disk = TrialDisk::default();
        let log = EventLog::open(Arc::new(disk.clone()), small(), START).unwrap();
        for number in numbers {
            append(&log, vec![record(number, class_of(number), 200)]).unwrap();
        }
        (disk, log)
    }

    fn class_of(number: u64) -> RetentionClass {
        RetentionClass::ALL[usize::from(number.is_multiple_of(3))]
    }

    fn offsets(records: &[LogRecord]) -> Vec<u64> {
        records.iter().map(|record| record.offset.0).collect()
    }

    #[test]
    fn both_families_are_merged_from_any_offset_also_after_a_restart() {
        let (disk, log) = log_of(0..80);
        for from in [0, 1, 2, 3, 37, 79] {
            let records = log.reader(Offset(from)).read(1000, usize::MAX).unwrap();
            assert_eq!(offsets(&records), (from..80).collect::<Vec<_>>());
            assert!(records.iter().all(|read| read.bytes.as_slice() == record(read.offset.0, class_of(read.offset.0), 200).bytes()));
        }
        drop(log);
        let log = EventLog::open(Arc::new(disk), small(), START).unwrap();
        let mut reader = log.reader(Offset(41));
        assert_eq!(offsets(&reader.read(1000, usize::MAX).unwrap()), (41..80).collect::<Vec<_>>());
        assert_eq!(reader.position(), Offset(80));
    }

    #[test]
    fn a_reader_takes_what_it_asked_for_and_at_least_one() {
        let (_disk, log) = log_of(0..20);
        let mut reader = log.reader(Offset(0));
        assert_eq!(offsets(&reader.read(3, usize::MAX).unwrap()), [0, 1, 2]);
        assert_eq!(reader.position(), Offset(3));
        assert_eq!(offsets(&reader.read(100, 256 * 2 + 255).unwrap()), [3, 4]);
        assert_eq!(offsets(&reader.read(100, 1).unwrap()), [5]);
        assert!(reader.read(0, usize::MAX).unwrap().is_empty());
        assert_eq!(reader.position(), Offset(6));
    }

    #[test]
    fn a_reader_at_the_head_sees_what_comes() {
        let (_disk, log) = log_of(0..1);
        let mut reader = log.reader(Offset(0));
        for number in 1..60 {
            let read = reader.read(100, usize::MAX).unwrap();
            assert_eq!(offsets(&read), [number - 1]);
            assert!(reader.read(100, usize::MAX).unwrap().is_empty());
            assert_eq!(reader.position(), Offset(number));
            append(&log, vec![record(number, class_of(number), 200)]).unwrap();
        }
    }

    #[test]
    fn a_reader_ahead_of_the_log_waits_for_its_offset() {
        let (_disk, log) = log_of(0..2);
        let mut reader = log.reader(Offset(5));
        assert!(reader.read(100, usize::MAX).unwrap().is_empty());
        assert_eq!(reader.position(), Offset(5));
        for number in 2..8 {
            append(&log, vec![record(number, class_of(number), 200)]).unwrap();
        }
        assert_eq!(offsets(&reader.read(100, usize::MAX).unwrap()), [5, 6, 7]);
    }

    #[test]
    fn log_segments_dropped_under_a_reader_are_passed_over() {
        let disk = TrialDisk::default();
        let log = EventLog::open(Arc::new(disk), small(), START).unwrap();
        for number in 0..60 {
            let received = Timestamp(START.0 + i64::try_from(number).unwrap() * 1000);
            append(&log, vec![record_at(number, RetentionClass::Short, 200, received)]).unwrap();
        }
        let mut reader = log.reader(Offset(0));
        assert_eq!(offsets(&reader.read(2, usize::MAX).unwrap()), [0, 1]);
        let mut idle = log.reader(Offset(0));
        let now = START.plus(LogOptions::default().short_retention).plus(std::time::Duration::from_secs(40));
        assert!(log.drop_expired(now).unwrap() > 1);
        let first = log.first_offset();
        assert!(first > Offset(20) && first <= Offset(40), "{first:?}");
        assert_eq!(idle.read(1, usize::MAX).unwrap()[0].offset, first);
        // One record had been read ahead already.
        let rest = offsets(&reader.read(100, usize::MAX).unwrap());
        assert!(rest.starts_with(&[first.0]) || rest.starts_with(&[2, first.0]), "{rest:?}");
        assert!(rest.ends_with(&[59]));
    }

    #[test]
    fn nothing_above_the_durable_head_is_returned() {
        let (_disk, log) = log_of(0..6);
        // As between a commit's records becoming visible and its head: what one family shows may still lack the other's.
        log.catalogue.advance_head(Offset(3));
        let mut reader = log.reader(Offset(0));
        assert_eq!(offsets(&reader.read(100, usize::MAX).unwrap()), [0, 1, 2]);
        assert_eq!(reader.position(), Offset(3));
        log.catalogue.advance_head(Offset(6));
        assert_eq!(offsets(&reader.read(100, usize::MAX).unwrap()), [3, 4, 5]);
    }
}
