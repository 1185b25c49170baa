//! All records of a log that another process may have open, one after another, oldest first within each family. It takes no lock and writes
//! nothing. A log segment that is rewritten or dropped meanwhile is read in the generation that is found; what is appended meanwhile may be
//! seen or not.

use std::{io, path::Path, sync::Arc};

use super::{
    LogBytes, LogRecord,
    disk::open_to_look,
    error::LogError,
    files::LogFile,
    frame::{FrameSource, Next},
    log_segment::{Contents, FRAMES_START, LogSegment, LogSegmentName},
};
use crate::event::{Offset, RetentionClass};

/// Reads every record of the log in this directory, until `see` returns false. Returns how many places could not be read. None where there
/// is no log.
///
/// # Errors
/// When a file cannot be read.
pub fn look(directory: &Path, see: &mut dyn FnMut(LogRecord) -> bool) -> Result<u64, LogError> {
    let mut unreadable = 0;
    for class in RetentionClass::ALL {
        let mut after = None;
        while let Some(found) = Found::next(directory, class, after)? {
            after = Some(found.name.first);
            let failed = LogError::io("read", found.name);
            if !found.each(&mut unreadable, &mut |_, record| see(record)).map_err(failed)? {
                return Ok(unreadable);
            }
        }
    }
    Ok(unreadable)
}

/// A log segment as it is found on the disk.
pub(super) struct Found {
    pub(super) name: LogSegmentName,
    pub(super) file: Arc<dyn LogFile>,
    /// Where it has been sealed.
    pub(super) sealed: Option<Contents>,
}

impl Found {
    /// The family's next log segment behind that one, in the newest generation that is whole.
    pub(super) fn next(directory: &Path, class: RetentionClass, after: Option<Offset>) -> Result<Option<Self>, LogError> {
        loop {
            let mut names: Vec<_> =
                names(directory)?.into_iter().filter(|name| name.class == class && after.is_none_or(|after| name.first > after)).collect();
            names.sort_unstable();
            let Some(first) = names.first().map(|name| name.first) else { return Ok(None) };
            let generations = names.iter().take_while(|name| name.first == first).count();
            let mut vanished = false;
            for (place, name) in names[..generations].iter().enumerate().rev() {
                match Self::open(directory, *name) {
                    // One without a seal beside an older one is not finished.
                    Ok(found) if place == 0 || found.sealed.is_some() => return Ok(Some(found)),
                    Ok(_) => {}
                    // Rewritten or dropped a moment ago.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => vanished = true,
                    Err(error) => return Err(LogError::io("read", name)(error)),
                }
            }
            debug_assert!(vanished, "the oldest generation is taken, or is gone");
        }
    }

    fn open(directory: &Path, name: LogSegmentName) -> io::Result<Self> {
        let file = open_to_look(&directory.join(name.to_string()))?;
        let read = |position, bytes| {
            let mut buffer = vec![0; bytes];
            let filled = file.read_at(position, &mut buffer)?;
            buffer.truncate(filled);
            io::Result::Ok(buffer)
        };
        let sealed = Contents::decode_seal(file.size()?, read)?;
        Ok(Self { name, file, sealed })
    }

    /// Shows each record, with the position behind its frame, until `see` returns false. Returns whether it never did.
    pub(super) fn each(self, unreadable: &mut u64, see: &mut dyn FnMut(u64, LogRecord) -> bool) -> io::Result<bool> {
        let end = match &self.sealed {
            Some(contents) => contents.end,
            None => self.file.size()?,
        };
        let segment = self.sealed.map(|contents| LogSegment::sealed(self.name, contents, None));
        let mut source = FrameSource::new(self.file, FRAMES_START);
        let mut last: Option<Offset> = None;
        loop {
            match source.next(end)? {
                Next::Frame { offset, payload, .. } => {
                    // In the one that is being written, something older would be a leftover.
                    if last.is_some_and(|last| offset <= last) {
                        return Ok(true);
                    }
                    last = Some(offset);
                    if !see(source.position(), LogRecord { offset, bytes: LogBytes(payload) }) {
                        return Ok(false);
                    }
                }
                Next::End => return Ok(true),
                Next::Zeros | Next::Bad => {
                    // Behind what is written there are zeros; within a sealed one it is damage.
                    let Some(segment) = &segment else { return Ok(true) };
                    *unreadable += 1;
                    let position = source.position();
                    source.jump(segment.next_mark(position).0.max(position));
                }
            }
        }
    }
}

/// The names of the log segments in a directory; none where there is no directory.
pub(super) fn names(directory: &Path) -> Result<Vec<LogSegmentName>, LogError> {
    match std::fs::read_dir(directory) {
        Ok(entries) => Ok(entries.flatten().filter_map(|entry| LogSegmentName::parse(entry.file_name().to_str()?)).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(LogError::Directory { path: directory.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::{
        DiskFiles, EventLog, Rewrite,
        trial::{START, append, record, small},
    };

    #[test]
    fn every_record_is_seen_beside_their_writer_rewritten_ones_once() {
        let directory = tempfile::tempdir().unwrap();
        let seen = |most: usize| {
            let mut offsets = Vec::new();
            let unreadable = look(directory.path(), &mut |record| {
                offsets.push(record.offset.0);
                offsets.len() < most
            });
            offsets.sort_unstable();
            (offsets, unreadable.unwrap())
        };
        assert_eq!(seen(9), (Vec::new(), 0));
        let log = EventLog::open(Arc::new(DiskFiles::open(directory.path()).unwrap()), small(), START).unwrap();
        for number in 0..80 {
            append(&log, vec![record(number, RetentionClass::ALL[usize::from(number % 3 == 0)], 200)]).unwrap();
        }
        assert_eq!(seen(usize::MAX), ((0..80).collect(), 0));
        assert_eq!(seen(7).0.len(), 7, "it stops when told to");
        let first = log.sealed_below(Offset(80))[0];
        let mut judge = |found: &LogRecord| Rewrite::Instead(record(1000 + found.offset.0, first.class, 10));
        assert!(log.rewrite(first, &mut judge).unwrap().replaced > 0);
        assert_eq!(seen(usize::MAX), ((0..80).collect(), 0), "the next generation");
        log.close();
        assert_eq!(seen(usize::MAX), ((0..80).collect(), 0), "all is sealed");

        // A generation that is not finished is none; damage is stepped over.
        let name = names(directory.path()).unwrap().into_iter().min().unwrap();
        let unfinished = LogSegmentName { generation: name.generation + 1, ..name };
        std::fs::write(directory.path().join(unfinished.to_string()), [0; 64]).unwrap();
        assert_eq!(seen(usize::MAX), ((0..80).collect(), 0));
        let path = directory.path().join(name.to_string());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[70] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (offsets, unreadable) = seen(usize::MAX);
        assert!(unreadable == 1 && offsets.len() < 80);
    }
}
