//! The newest records of a log that another process may have open: a look from outside, for previews. It takes no lock, writes nothing, and
//! promises nothing about what is being written at that moment.

use std::{collections::VecDeque, io, path::Path, sync::Arc};

use super::{
    LogBytes, LogRecord,
    disk::open_to_look,
    error::LogError,
    frame::{FrameSource, Next},
    log_segment::{FRAMES_START, LogSegmentName},
};
use crate::event::{Offset, RetentionClass};

/// The newest records of the log in this directory, at most `max` of them, in the order of their offsets. None where there is no log.
///
/// # Errors
/// When a file cannot be read. Damage ends a file's part of what is seen, and is no error here.
pub fn recent(directory: &Path, max: usize) -> Result<Vec<LogRecord>, LogError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(LogError::Directory { path: directory.to_owned(), source }),
    };
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| LogSegmentName::parse(entry.file_name().to_str()?)).collect();
    // Of what has been rewritten, the newest.
    names.sort_unstable();
    names.dedup_by(|later, earlier| {
        let same = (later.class, later.first) == (earlier.class, earlier.first);
        if same {
            *earlier = *later;
        }
        same
    });
    let mut records = Vec::new();
    for class in RetentionClass::ALL {
        let mut of_class: Vec<LogRecord> = Vec::new();
        for name in names.iter().rev().filter(|name| name.class == class) {
            if of_class.len() >= max {
                break;
            }
            let earlier = newest_of(directory, *name, max - of_class.len())?;
            of_class.splice(..0, earlier);
        }
        records.extend(of_class);
    }
    records.sort_unstable_by_key(|record| record.offset);
    records.drain(..records.len().saturating_sub(max));
    Ok(records)
}

fn newest_of(directory: &Path, name: LogSegmentName, max: usize) -> Result<VecDeque<LogRecord>, LogError> {
    let name = name.to_string();
    let mut newest: VecDeque<LogRecord> = VecDeque::new();
    let file = match open_to_look(&directory.join(&name)) {
        Ok(file) => file,
        // Dropped or rewritten a moment ago.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(newest),
        Err(error) => return Err(LogError::io("open", name)(error)),
    };
    let end = file.size().map_err(LogError::io("read", name.clone()))?;
    let mut source = FrameSource::new(Arc::clone(&file), FRAMES_START);
    let mut last: Option<Offset> = None;
    // A seal or zeros follow the last frame, and neither is one.
    while let Next::Frame { offset, payload, .. } = source.next(end).map_err(LogError::io("read", name.clone()))? {
        if last.is_some_and(|last| offset <= last) {
            break;
        }
        last = Some(offset);
        if newest.len() == max {
            newest.pop_front();
        }
        newest.push_back(LogRecord { offset, bytes: LogBytes(payload) });
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::{
        DiskFiles, EventLog,
        trial::{START, append, record, small},
    };

    #[test]
    fn the_newest_records_of_both_families_are_seen_beside_their_writer() {
        let directory = tempfile::tempdir().unwrap();
        assert!(recent(&directory.path().join("none"), 10).unwrap().is_empty());
        let log = EventLog::open(Arc::new(DiskFiles::open(directory.path()).unwrap()), small(), START).unwrap();
        for number in 0..80 {
            append(&log, vec![record(number, RetentionClass::ALL[usize::from(number % 3 == 0)], 200)]).unwrap();
        }
        let offsets = |max| recent(directory.path(), max).unwrap().iter().map(|record| record.offset.0).collect::<Vec<_>>();
        assert_eq!(offsets(7), (73..80).collect::<Vec<_>>());
        assert_eq!(offsets(70), (10..80).collect::<Vec<_>>());
        assert_eq!(offsets(1000), (0..80).collect::<Vec<_>>());
        log.close();
        assert_eq!(offsets(1000), (0..80).collect::<Vec<_>>(), "also once all is sealed");
    }
}
