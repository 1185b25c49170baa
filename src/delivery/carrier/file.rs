//! The file carrier: appends lines to `events.ndjson` in a directory, and answers when they are on the disk. The file is closed and
//! renamed to `events-<time>.ndjson` when it has grown enough or is old enough; of closed files the newest are kept. Where closed files hold
//! columns, they are then made anew as `events-<time>.parquet`, under another name until they are whole.
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
    destination::{Answer, Failure, FileAppend, file::FileFormat},
    supervise::Supervisor,
};

const STEM: &str = "events";
const EXTENSION: &str = "ndjson";
const COLUMNS_EXTENSION: &str = "parquet";
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
        let how = append.clone();
        let outbox = {
            let mut outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                outboxes.entry(directory.clone()).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(Outbox { directory, active: None }))),
            )
        };
        // Waited for here, so that lanes which take turns hold one thread and not each its own.
        let mut outbox = outbox.lock_owned().await;
        let written = self.supervisor.blocking(move || outbox.append(&lines, &how, now)).await;
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
    /// Since when it is written, by this process.
    since: Timestamp,
}

impl Outbox {
    fn append(&mut self, lines: &[u8], how: &FileAppend, now: Timestamp) -> io::Result<()> {
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.open(how.format, now)?,
        };
        let is_full = active.bytes.saturating_add(lines.len() as u64) > how.rotate_bytes;
        let is_old = how.rotate_after.is_some_and(|after| now.since(active.since) >= after);
        if active.bytes > 0 && (is_full || is_old) {
            self.close(now, how)?;
            active = self.open(how.format, now)?;
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

    fn open(&self, format: FileFormat, now: Timestamp) -> io::Result<Active> {
        fs::create_dir_all(&self.directory)?;
        self.convert(format)?;
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.path())?;
        let bytes = whole_lines(&mut file)?;
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        sync_directory(&self.directory)?;
        Ok(Active { file, bytes, since: now })
    }

    fn close(&self, now: Timestamp, how: &FileAppend) -> io::Result<()> {
        // Colons and dots are trouble in file names on some systems: 2026-11-23T145027.000Z → 20261123T145027000Z.
        let time: String = now.rfc3339().chars().filter(char::is_ascii_alphanumeric).collect();
        let mut closed = self.directory.join(format!("{STEM}-{time}.{EXTENSION}"));
        for again in 1..SAME_NAME_MAX {
            if !closed.exists() && !closed.with_extension(COLUMNS_EXTENSION).exists() {
                break;
            }
            closed = self.directory.join(format!("{STEM}-{time}-{again:03}.{EXTENSION}"));
        }
        fs::rename(self.path(), closed)?;
        self.convert(how.format)?;
        let mut kept = self.closed()?;
        kept.sort();
        let surplus = kept.len().saturating_sub(how.keep);
        for old in kept.drain(..surplus) {
            fs::remove_file(old)?;
        }
        sync_directory(&self.directory)
    }

    /// Makes columns of the closed files that are lines, where that is wanted: also of one that an earlier process had just closed.
    fn convert(&self, format: FileFormat) -> io::Result<()> {
        match format {
            FileFormat::Lines => Ok(()),
            #[cfg(feature = "parquet")]
            FileFormat::Columns => {
                let lines = |path: &PathBuf| path.extension().is_some_and(|extension| extension == EXTENSION);
                self.closed()?.into_iter().filter(lines).try_for_each(|path| in_columns(&path))
            }
        }
    }

    /// The closed files. Their names begin with their time, so that the order of names is the order of age.
    fn closed(&self) -> io::Result<Vec<PathBuf>> {
        let mut closed = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let ours = path.extension().is_some_and(|extension| extension == EXTENSION || extension == COLUMNS_EXTENSION)
                && path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.starts_with(&format!("{STEM}-")));
            if ours {
                closed.push(path);
            }
        }
        Ok(closed)
    }
}

/// Makes a closed file one of columns. It has its name when it is whole and on the disk, and only then the lines go.
#[cfg(feature = "parquet")]
fn in_columns(lines: &Path) -> io::Result<()> {
    use crate::destination::columns::{ColumnsError, write};

    let (columns, part) = (lines.with_extension(COLUMNS_EXTENSION), lines.with_extension("parquet.part"));
    let file = File::create(&part)?;
    match write(io::BufReader::new(File::open(lines)?), &file) {
        Ok(_) => {}
        Err(ColumnsError::Disk(error)) => return Err(error),
        Err(ColumnsError::Line | ColumnsError::Columns) => {
            // Somebody has changed it. Nothing is lost, and nothing waits for it.
            tracing::warn!("a closed file of lines is left as it is: they are not all events");
            fs::remove_file(&part)?;
            return fs::rename(lines, lines.with_extension("lines"));
        }
    }
    file.sync_all()?;
    fs::rename(&part, &columns)?;
    if let Some(directory) = lines.parent() {
        sync_directory(directory)?;
    }
    fs::remove_file(lines)
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

    fn how(rotate_bytes: u64, keep: usize) -> FileAppend {
        FileAppend { directory: "outbox".into(), rotate_bytes, rotate_after: None, keep, format: FileFormat::Lines }
    }

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
        outbox(directory.path()).append(b"{\"a\":1}\n{\"a\":2}\n", &how(1000, 2), Timestamp(0)).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"a\":").unwrap();
        outbox(directory.path()).append(b"{\"a\":3}\n", &how(1000, 2), Timestamp(0)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
        let torn = vec![b'x'; TAIL_BYTES as usize * 2 + 5];
        fs::write(&path, &torn).unwrap();
        outbox(directory.path()).append(b"{}\n", &how(1000, 2), Timestamp(0)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
    }

    #[test]
    fn a_full_file_is_closed_and_the_newest_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut outbox = outbox(directory.path());
        for line in 0..5 {
            outbox.append(format!("{{\"line\":{line}}}\n").as_bytes(), &how(12, 2), Timestamp(i64::from(line) * 1000)).unwrap();
        }
        assert_eq!(names(directory.path()), ["events-19700101T000003000Z.ndjson", "events-19700101T000004000Z.ndjson", "events.ndjson"]);
        let kept = fs::read_to_string(directory.path().join("outbox/events-19700101T000003000Z.ndjson")).unwrap();
        assert_eq!(kept, "{\"line\":2}\n");
        for _ in 0..2 {
            outbox.append(b"{\"line\":9}\n", &how(12, 9), Timestamp(4000)).unwrap();
        }
        assert!(names(directory.path()).contains(&"events-19700101T000004000Z-002.ndjson".to_owned()), "{:?}", names(directory.path()));
    }

    #[test]
    fn a_file_that_is_old_enough_is_closed_with_the_next_event() {
        let directory = tempfile::tempdir().unwrap();
        let mut outbox = outbox(directory.path());
        let how = FileAppend { rotate_after: Some(std::time::Duration::from_secs(60)), ..how(1000, 9) };
        for seconds in [0, 59, 60, 61, 130] {
            outbox.append(b"{}\n", &how, Timestamp(seconds * 1000)).unwrap();
        }
        assert_eq!(names(directory.path()), ["events-19700101T000100000Z.ndjson", "events-19700101T000210000Z.ndjson", "events.ndjson"]);
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_a_disk_failure_and_heals() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("outbox"), "a file in the way").unwrap();
        let carrier = FileCarrier::new(directory.path().to_owned(), Supervisor::new());
        let append = FileAppend { directory: "outbox".into(), rotate_bytes: 1000, rotate_after: None, keep: 1, format: FileFormat::Lines };
        let answer = carrier.append(&append, Bytes::from_static(b"{}\n"), Timestamp(0)).await;
        assert!(matches!(answer, Answer::Failed(Failure::Disk)));
        fs::remove_file(directory.path().join("outbox")).unwrap();
        let answer = carrier.append(&append, Bytes::from_static(b"{}\n"), Timestamp(0)).await;
        assert!(matches!(answer, Answer::Written));
    }
}
