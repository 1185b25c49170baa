//! A copy of a log that another process may have open, as a backup has it: every log segment up to one offset, so that both families end at
//! the same moment. What is being written is copied frame by frame, whole ones alone; such a copy opens as a log does after a crash.

use std::{
    fs::File,
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::{
    error::LogError,
    files::LogFile,
    log_segment::{FRAMES_START, FileHeader, HEADER_BYTES, decode_header},
    look::Found,
};
use crate::event::{Offset, RetentionClass};

/// Copied at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A copy of a log.
pub struct Copied {
    /// The names of its files.
    pub files: Vec<String>,
    /// No record in it has this offset or a higher one.
    pub end: Offset,
    /// How many records it has.
    pub records: u64,
    /// Places that could not be read, and are as they were in the copy.
    pub unreadable: u64,
}

/// Copies the log in one directory into another, which is made. Durable when this returns.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<Copied, LogError> {
    let failed = |source| LogError::Directory { path: to.to_owned(), source };
    std::fs::DirBuilder::new().mode(0o700).create(to).map_err(failed)?;
    let mut copied = Copied { files: Vec::new(), end: end(from)?, records: 0, unreadable: 0 };
    for class in RetentionClass::ALL {
        let mut after = None;
        while let Some(found) = Found::next(from, class, after)? {
            after = Some(found.name.first);
            // One that begins there is empty as of that moment, and keeps the count of offsets.
            if found.name.first > copied.end {
                break;
            }
            copy_one(found, to, &mut copied)?;
        }
    }
    File::open(to).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok(copied)
}

/// The first offset that is in neither family now.
fn end(from: &Path) -> Result<Offset, LogError> {
    let mut end = Offset(0);
    for class in RetentionClass::ALL {
        let (mut after, mut last) = (None, None);
        while let Some(found) = Found::next(from, class, after)? {
            after = Some(found.name.first);
            last = Some(found);
        }
        let Some(last) = last else { continue };
        end = end.max(last.name.first);
        let failed = LogError::io("read", last.name);
        last.each(&mut 0, &mut |_, record| {
            end = end.max(record.offset.next());
            true
        })
        .map_err(failed)?;
    }
    Ok(end)
}

fn copy_one(found: Found, to: &Path, copied: &mut Copied) -> Result<(), LogError> {
    let (name, file) = (found.name, std::sync::Arc::clone(&found.file));
    let mut header = [0; HEADER_BYTES];
    let filled = file.read_at(0, &mut header).map_err(LogError::io("read", name))?;
    match decode_header(&header, name) {
        FileHeader::Ours if filled == HEADER_BYTES => {}
        // Its making was not finished when this looked; there is nothing in it.
        _ if found.sealed.is_none() => return Ok(()),
        _ => return Err(LogError::io("read", name)(io::ErrorKind::InvalidData.into())),
    }
    let whole = found.sealed.as_ref().is_some_and(|contents| contents.last.is_none_or(|last| last < copied.end));
    let size = file.size().map_err(LogError::io("read", name))?;
    let end = copied.end;
    let (mut position, mut records) = (FRAMES_START, 0);
    let failed = LogError::io("read", name);
    found
        .each(&mut copied.unreadable, &mut |behind, record| {
            let wanted = record.offset < end;
            if wanted {
                (position, records) = (behind, records + 1);
            }
            wanted
        })
        .map_err(failed)?;
    let bytes = if whole { size } else { position };
    copy_bytes(&*file, bytes, &to.join(name.to_string())).map_err(LogError::io("copy", name))?;
    copied.records += records;
    copied.files.push(name.to_string());
    Ok(())
}

fn copy_bytes(from: &dyn LogFile, bytes: u64, to: &Path) -> io::Result<()> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut position = 0;
    while position < bytes {
        let wanted = usize::try_from(bytes - position).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let read = from.read_at(position, &mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(&buffer[..read], position)?;
        position += read as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event_log::{
        Appended, DiskFiles, EventLog,
        trial::{START, append, read_all, record, small},
    };

    fn open(directory: &Path) -> EventLog {
        EventLog::open(Arc::new(DiskFiles::open(directory).unwrap()), small(), START).unwrap()
    }

    #[test]
    fn a_copy_of_a_log_that_is_written_opens_with_all_that_was_in_it_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("log"), directory.path().join("copy"));
        let log = open(&from);
        for number in 0..80 {
            append(&log, vec![record(number, RetentionClass::ALL[usize::from(number % 3 == 0)], 200)]).unwrap();
        }
        let copied = copy(&from, &to).unwrap();
        assert_eq!((copied.end, copied.records, copied.unreadable), (Offset(80), 80, 0));
        assert!(copied.files.len() > 4, "sealed ones and those being written: {:?}", copied.files);
        append(&log, vec![record(500, RetentionClass::Short, 200)]).unwrap();
        let again = open(&to);
        assert_eq!(read_all(&again).unwrap(), read_all(&log).unwrap()[..80]);
        assert_eq!(append(&again, vec![record(501, RetentionClass::Long, 10)]).unwrap(), [Appended::Stored(Offset(80))]);
        assert!(copy(&from, &to).is_err(), "it never writes into a directory that is there");
    }

    #[test]
    fn an_empty_log_is_copied_too() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("log"), directory.path().join("copy"));
        drop(open(&from));
        assert_eq!(copy(&from, &to).unwrap().end, Offset(0));
        assert!(read_all(&open(&to)).unwrap().is_empty());
    }
}
