//! The file carrier: appends lines to `events.ndjson` in a directory, and answers when they are on the disk. The file is closed and
//! renamed to `events-<time>.ndjson` when it has grown enough; of closed files the newest are kept.
//!
//! A crash may leave a last line without its end. Nobody was told that it is written, so it will come again: opening cuts it off.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use crate::{
    clock::Timestamp,
    destination::{Answer, Failure, FileAppend},
    supervise::Supervisor,
};

const STEM: &str = "events";
const EXTENSION: &str = "ndjson";
/// How much of the file's end is read at a time when its last whole line is looked for.
const TAIL_BYTES: u64 = 64 * 1024;
/// Two files closed in the same millisecond get different names; more than this many is no accident.
const SAME_NAME_MAX: u32 = 1000;

/// Appends to the files of all destinations that write files.
pub struct FileCarrier {
    data_directory: PathBuf,
    supervisor: Supervisor,
    /// One per directory, so that two destinations that share one take turns. As many as there are destination documents.
    outboxes: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<Outbox>>>>,
}

impl FileCarrier {
    /// A carrier for which relative directories lie in `data_directory`.
    #[must_use]
    pub fn new(data_directory: PathBuf, supervisor: Supervisor) -> Self {
        Self { data_directory, supervisor, outboxes: Mutex::default() }
    }

    /// Appends whole lines and waits until they are on the disk.
    pub async fn append(&self, append: &FileAppend, lines: Bytes, now: Timestamp) -> Answer {
        let directory = self.data_directory.join(&append.directory);
        let (rotate_bytes, keep) = (append.rotate_bytes, append.keep);
        let outbox = {
            let mut outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                outboxes.entry(directory.clone()).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(Outbox { directory, active: None }))),
            )
        };
        // Waited for here, so that lanes which take turns hold one thread and not each its own.
        let mut outbox = outbox.lock_owned().await;
        let written = self.supervisor.blocking(move || outbox.append(&lines, rotate_bytes, keep, now)).await;
        match written {
            Ok(()) => Answer::Written,
            Err(_) => Answer::Failed(Failure::Disk),
        }
    }
}

/// One directory of files.
struct Outbox {
    directory: PathBuf,
    active: Option<Active>,
}

/// The file that is being written.
struct Active {
    file: File,
    bytes: u64,
}

impl Outbox {
    fn append(&mut self, lines: &[u8], rotate_bytes: u64, keep: usize, now: Timestamp) -> io::Result<()> {
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.open()?,
        };
        if active.bytes > 0 && active.bytes.saturating_add(lines.len() as u64) > rotate_bytes {
            self.close(now, keep)?;
            active = self.open()?;
        }
        // On an error, and on a panic, `active` is dropped: the next append opens the file again and cuts off what may be half a line.
        active.file.write_all(lines)?;
        active.file.sync_data()?;
        active.bytes += lines.len() as u64;
        self.active = Some(active);
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.directory.join(format!("{STEM}.{EXTENSION}"))
    }

    fn open(&self) -> io::Result<Active> {
        fs::create_dir_all(&self.directory)?;
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.path())?;
        let bytes = whole_lines(&mut file)?;
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        sync_directory(&self.directory)?;
        Ok(Active { file, bytes })
    }

    fn close(&self, now: Timestamp, keep: usize) -> io::Result<()> {
        // Colons and dots are trouble in file names on some systems: 2026-11-23T145027.000Z → 20261123T145027000Z.
        let time: String = now.rfc3339().chars().filter(char::is_ascii_alphanumeric).collect();
        let mut closed = self.directory.join(format!("{STEM}-{time}.{EXTENSION}"));
        for again in 1..SAME_NAME_MAX {
            if !closed.exists() {
                break;
            }
            closed = self.directory.join(format!("{STEM}-{time}-{again:03}.{EXTENSION}"));
        }
        fs::rename(self.path(), closed)?;
        let mut kept = self.closed()?;
        kept.sort();
        let surplus = kept.len().saturating_sub(keep);
        for old in kept.drain(..surplus) {
            fs::remove_file(old)?;
        }
        sync_directory(&self.directory)
    }

    /// The closed files. Their names begin with their time, so that the order of names is the order of age.
    fn closed(&self) -> io::Result<Vec<PathBuf>> {
        let mut closed = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let ours = path.extension().is_some_and(|extension| extension == EXTENSION)
                && path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.starts_with(&format!("{STEM}-")));
            if ours {
                closed.push(path);
            }
        }
        Ok(closed)
    }
}

/// How many bytes of the file are whole lines.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut tail = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        tail.clear();
        io::Read::by_ref(file).take(end - start).read_to_end(&mut tail)?;
        if let Some(at) = tail.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Makes a creation or a rename in the directory durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(directory: &Path) -> Outbox {
        Outbox { directory: directory.join("outbox"), active: None }
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory.join("outbox")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_whole_ones_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox/events.ndjson");
        outbox(directory.path()).append(b"{\"a\":1}\n{\"a\":2}\n", 1000, 2, Timestamp(0)).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"a\":").unwrap();
        outbox(directory.path()).append(b"{\"a\":3}\n", 1000, 2, Timestamp(0)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
        let torn = vec![b'x'; TAIL_BYTES as usize * 2 + 5];
        fs::write(&path, &torn).unwrap();
        outbox(directory.path()).append(b"{}\n", 1000, 2, Timestamp(0)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
    }

    #[test]
    fn a_full_file_is_closed_and_the_newest_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut outbox = outbox(directory.path());
        for line in 0..5 {
            outbox.append(format!("{{\"line\":{line}}}\n").as_bytes(), 12, 2, Timestamp(i64::from(line) * 1000)).unwrap();
        }
        assert_eq!(names(directory.path()), ["events-19700101T000003000Z.ndjson", "events-19700101T000004000Z.ndjson", "events.ndjson"]);
        let kept = fs::read_to_string(directory.path().join("outbox/events-19700101T000003000Z.ndjson")).unwrap();
        assert_eq!(kept, "{\"line\":2}\n");
        for _ in 0..2 {
            outbox.append(b"{\"line\":9}\n", 12, 9, Timestamp(4000)).unwrap();
        }
        assert!(names(directory.path()).contains(&"events-19700101T000004000Z-002.ndjson".to_owned()), "{:?}", names(directory.path()));
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_a_disk_failure_and_heals() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("outbox"), "a file in the way").unwrap();
        let carrier = FileCarrier::new(directory.path().to_owned(), Supervisor::new());
        let append = FileAppend { directory: "outbox".into(), rotate_bytes: 1000, keep: 1 };
        let answer = carrier.append(&append, Bytes::from_static(b"{}\n"), Timestamp(0)).await;
        assert!(matches!(answer, Answer::Failed(Failure::Disk)));
        fs::remove_file(directory.path().join("outbox")).unwrap();
        let answer = carrier.append(&append, Bytes::from_static(b"{}\n"), Timestamp(0)).await;
        assert!(matches!(answer, Answer::Written));
    }
}
