//! Which formats the files of a log have: a look from outside, before anything is opened. It takes no lock and writes nothing.

use std::{fs::File, io, io::Read as _, path::Path};

use super::{
    error::LogError,
    log_segment::{HEADER_BYTES, LogSegmentName, format_of},
};

/// The name and the format of each log segment in this directory that has a sound header, in order. None where there is no log.
///
/// # Errors
/// When a file cannot be read.
pub fn formats(directory: &Path) -> Result<Vec<(String, u8)>, LogError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(LogError::Directory { path: directory.to_owned(), source }),
    };
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| LogSegmentName::parse(entry.file_name().to_str()?)).collect();
    names.sort_unstable();
    let mut found = Vec::new();
    for name in names {
        let mut header = [0; HEADER_BYTES];
        let read = File::open(directory.join(name.to_string())).and_then(|mut file| file.read_exact(&mut header));
        match read {
            Ok(()) => found.extend(format_of(&header).map(|format| (name.to_string(), format))),
            // Dropped a moment ago, or not yet begun.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {}
            Err(error) => return Err(LogError::io("read", name)(error)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event_log::{
        DiskFiles, EventLog, FORMATS_READ, LogOptions,
        trial::{START, append, record},
    };

    #[test]
    fn the_files_of_a_log_say_their_formats_while_it_is_open() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(formats(&directory.path().join("nowhere")).unwrap(), []);
        let files = Arc::new(DiskFiles::open(directory.path()).unwrap());
        let log = EventLog::open(files, LogOptions::default(), START).unwrap();
        append(&log, vec![record(1, crate::event::RetentionClass::Short, 10)]).unwrap();
        std::fs::write(directory.path().join("short-00000000000000000009.0.log"), "no header").unwrap();
        let found = formats(directory.path()).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|(_, format)| format == FORMATS_READ.end()));
    }
}
