//! Opening the log: what a crash or power cut left is made whole before anything is read or added.
//!
//! | found | meaning | done |
//! |---|---|---|
//! | a whole seal | ended in order | used as it is, not scanned |
//! | no seal, the family's last, ends in zeros or in a broken frame with no commit start behind it | the power went, or the program | cut off behind the last good frame, sealed; an empty one is used again |
//! | two generations of one, the higher with a whole seal | the rewrite was finished | the lower is removed |
//! | two generations of one, the higher without a seal | the rewrite was not | the higher is removed |
//! | no header, nothing behind it | the power went while it was made | removed |
//! | anything else: a broken frame with a later commit behind it, no seal though others follow, no header but frames | damage | left as it is, for a person to look at; readable up to there |
//!
//! New records always go to a new log segment.

use std::{io, sync::Arc};

use super::{
    dedup::Dedup,
    error::LogError,
    family,
    files::{LogFile, LogFiles},
    frame::{self, FRAME_BYTES_MIN, FrameSource, Next},
    log_segment::{self, Contents, Damage, FRAMES_START, FileHeader, HEADER_BYTES, LogSegment, LogSegmentName},
    stats::Counters,
};
use crate::{
    clock::Timestamp,
    event::{Offset, RetentionClass},
    privacy::record::Header,
};

/// What was found and made whole.
pub(super) struct Recovered {
    /// In the order of [`RetentionClass::ALL`], each in the order of offsets.
    pub(super) families: [Vec<Arc<LogSegment>>; 2],
    /// An empty last log segment of each family, to go on with.
    pub(super) reusable: [Option<Reusable>; 2],
    /// Above every offset that was ever given and may have been seen.
    pub(super) next: Offset,
    pub(super) dedup: Dedup,
}

/// An empty log segment and its open file.
pub(super) type Reusable = (Arc<LogSegment>, Arc<dyn LogFile>);

/// Reads the directory and makes it whole.
pub(super) fn recover(files: &dyn LogFiles, counters: &Counters, now: Timestamp) -> Result<Recovered, LogError> {
    let mut recovery = Recovery { files, counters, now, next: Offset(0), frames_lost_max: 0 };
    let names = recovery.names()?;
    let mut families = [Vec::new(), Vec::new()];
    let mut reusable = [None, None];
    for (index, class) in RetentionClass::ALL.into_iter().enumerate() {
        let of_class: Vec<_> = names.iter().copied().filter(|name| name.class == class).collect();
        for (place, name) in of_class.iter().enumerate() {
            match recovery.recover_file(*name, place + 1 == of_class.len())? {
                Found::Nothing => {}
                Found::Sealed(segment) => families[index].push(segment),
                Found::Empty(segment, file) => {
                    families[index].push(Arc::clone(&segment));
                    reusable[index] = Some((segment, file));
                }
            }
        }
    }
    files.sync_directory().map_err(LogError::io("sync", "the directory"))?;
    // Offsets that damaged frames may have had are not given again either.
    let next = Offset(recovery.next.0 + recovery.frames_lost_max);
    let dedup = recovery.recall(&families);
    counters.dedup_ids.set(dedup.len() as u64);
    Ok(Recovered { families, reusable, next, dedup })
}

enum Found {
    /// Nothing worth keeping; the file is gone.
    Nothing,
    Sealed(Arc<LogSegment>),
    Empty(Arc<LogSegment>, Arc<dyn LogFile>),
}

struct Recovery<'a> {
    files: &'a dyn LogFiles,
    counters: &'a Counters,
    now: Timestamp,
    next: Offset,
    frames_lost_max: u64,
}

impl Recovery<'_> {
    /// The log segments' names in order, one per place: of several generations the highest whole one, the others removed.
    fn names(&self) -> Result<Vec<LogSegmentName>, LogError> {
        let found = self.files.list().map_err(LogError::io("list", "the directory"))?;
        let mut found: Vec<_> = found.iter().filter_map(|name| LogSegmentName::parse(name)).collect();
        found.sort_unstable();
        let mut names = Vec::with_capacity(found.len());
        for generations in found.chunk_by(|one, other| (one.class, one.first) == (other.class, other.first)) {
            let mut kept = generations[0];
            for name in &generations[1..] {
                let file = self.open(*name)?;
                // A rewrite that was not finished has no seal; what it was made from is still there. What the cache alone holds of a
                // seal may be lost yet: it must rest before the one it was made from goes.
                file.forget_cached().map_err(LogError::io("reread", name))?;
                let whole = read_seal(&*file).map_err(LogError::io("read", name))?.is_some();
                if whole {
                    file.sync_data().map_err(LogError::io("sync", name))?;
                }
                let dropped = if whole { std::mem::replace(&mut kept, *name) } else { *name };
                self.remove(dropped)?;
            }
            names.push(kept);
        }
        Ok(names)
    }

    fn open(&self, name: LogSegmentName) -> Result<Arc<dyn LogFile>, LogError> {
        self.files.open(&name.to_string()).map_err(LogError::io("open", name))
    }

    fn remove(&self, name: LogSegmentName) -> Result<(), LogError> {
        self.files.remove(&name.to_string()).map_err(LogError::io("remove", name))
    }

    fn recover_file(&mut self, name: LogSegmentName, last: bool) -> Result<Found, LogError> {
        let file = self.open(name)?;
        if last {
            // If the program ended after a failed sync, the cache may show what the disk does not hold and no later sync will write.
            file.forget_cached().map_err(LogError::io("reread", name))?;
        }
        let size = file.size().map_err(LogError::io("measure", name))?;
        let header = read(&*file, 0, HEADER_BYTES).map_err(LogError::io("read", name))?;
        self.next = self.next.max(name.first);
        match <[u8; HEADER_BYTES]>::try_from(header).map(|header| log_segment::decode_header(&header, name)) {
            Ok(FileHeader::Ours) => {}
            Ok(FileHeader::Foreign(found)) => return Err(LogError::Foreign { file: name.to_string(), found, known: log_segment::FORMAT }),
            Ok(FileHeader::Bad) | Err(_) => {
                let behind = read_rest(&*file, FRAMES_START, size).map_err(LogError::io("read", name))?;
                if used(&behind) == 0 {
                    self.remove(name)?;
                    return Ok(Found::Nothing);
                }
                return Ok(Found::Sealed(self.damaged(name, Contents::EMPTY, Damage { position: 0, bytes: size })));
            }
        }
        if let Some(contents) = read_seal(&*file).map_err(LogError::io("read", name))? {
            if last {
                // The program may have ended between writing the seal and syncing it.
                file.sync_data().map_err(LogError::io("sync", name))?;
            }
            self.next = self.next.max(contents.last.map_or(name.first, Offset::next));
            return Ok(Found::Sealed(Arc::new(LogSegment::sealed(name, contents, None))));
        }
        let contents = scan(&file, size).map_err(LogError::io("read", name))?;
        self.next = self.next.max(contents.last.map_or(name.first, Offset::next));
        let mut tail = read_rest(&*file, contents.end, size).map_err(LogError::io("read", name))?;
        tail.truncate(used(&tail));
        if !last && contents.records == 0 && tail.is_empty() {
            self.remove(name)?;
            return Ok(Found::Nothing);
        }
        if !last || frame::holds_commit_start(&tail, contents.last) {
            let damage = Damage { position: contents.end, bytes: tail.len() as u64 };
            return Ok(Found::Sealed(self.damaged(name, contents, damage)));
        }
        if !tail.is_empty() {
            self.counters.torn_bytes.add(tail.len() as u64);
            tracing::warn!(file = %name, position = contents.end, bytes = tail.len(), "an unfinished commit was cut off");
        }
        file.set_len(contents.end).map_err(LogError::io("cut off", name))?;
        if contents.records == 0 {
            file.sync_data().map_err(LogError::io("sync", name))?;
            return Ok(Found::Empty(Arc::new(LogSegment::active(name, contents)), file));
        }
        family::write_seal(&*file, &contents).map_err(LogError::io("seal", name))?;
        Ok(Found::Sealed(Arc::new(LogSegment::sealed(name, contents, None))))
    }

    fn damaged(&mut self, name: LogSegmentName, mut contents: Contents, damage: Damage) -> Arc<LogSegment> {
        self.counters.corruptions.add(1);
        tracing::error!(file = %name, position = damage.position, bytes = damage.bytes, "durable records are unreadable");
        self.frames_lost_max += damage.bytes / FRAME_BYTES_MIN as u64 + 1;
        // What cannot be read may be as new as this.
        contents.newest = self.now;
        let segment = LogSegment::sealed(name, contents, Some(damage));
        segment.damage_is_news();
        Arc::new(segment)
    }

    /// Reads the ids of the last two days' events back, newest log segment first.
    fn recall(&self, families: &[Vec<Arc<LogSegment>>; 2]) -> Dedup {
        let mut dedup = Dedup::new(self.now);
        let horizon = Dedup::horizon(self.now);
        let mut segments: Vec<_> = families.iter().flatten().filter(|segment| !segment.is_older_than(horizon)).collect();
        segments.sort_by_key(|segment| std::cmp::Reverse(segment.contents().newest));
        for segment in segments {
            match self.recall_from(segment, horizon, &mut dedup) {
                Ok(true) => {}
                Ok(false) => break,
                // The readers come by here too: they tell the damage and what it costs.
                Err(source) => {
                    tracing::warn!(file = %segment.name(), kind = %source.kind(), "event ids could not be read back; duplicates of them may pass");
                }
            }
        }
        self.counters.dedup_overflow.add(dedup.take_overflow());
        dedup
    }

    /// False: there is no room for more ids.
    fn recall_from(&self, segment: &LogSegment, horizon: Timestamp, dedup: &mut Dedup) -> io::Result<bool> {
        let mut source = FrameSource::new(self.files.open(&segment.name().to_string())?, FRAMES_START);
        let end = segment.extent().end;
        loop {
            match source.next(end)? {
                Next::Frame { payload, .. } => {
                    if let Ok(header) = Header::decode(&payload)
                        && header.received >= horizon
                        && !dedup.recall(header.event_id, header.received)
                    {
                        return Ok(false);
                    }
                }
                Next::End => return Ok(true),
                Next::Zeros | Next::Bad => source.jump(segment.next_mark(source.position()).0),
            }
        }
    }
}

/// Reads frames up to the first thing that is none.
fn scan(file: &Arc<dyn LogFile>, size: u64) -> io::Result<Contents> {
    let mut contents = Contents::EMPTY;
    let mut source = FrameSource::new(Arc::clone(file), FRAMES_START);
    while let Next::Frame { offset, position, payload } = source.next(size)? {
        // Offsets rise. One that does not is a leftover of an older commit, which only a broken disk can bring back.
        if contents.last.is_some_and(|last| offset <= last) {
            break;
        }
        contents.mark(offset, position);
        contents.end = source.position();
        contents.records += 1;
        contents.last = Some(offset);
        if let Ok(header) = Header::decode(&payload) {
            contents.newest = contents.newest.max(header.received);
        }
    }
    Ok(contents)
}

fn read_seal(file: &dyn LogFile) -> io::Result<Option<Contents>> {
    Contents::decode_seal(file.size()?, |position, bytes| read(file, position, bytes))
}

/// Up to `bytes` from a position; fewer where the file ends.
fn read(file: &dyn LogFile, position: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    let filled = file.read_at(position, &mut buffer)?;
    buffer.truncate(filled);
    Ok(buffer)
}

/// Everything from a position on: at most the size of one log segment, once, at start.
fn read_rest(file: &dyn LogFile, position: u64, size: u64) -> io::Result<Vec<u8>> {
    read(file, position, usize::try_from(size.saturating_sub(position)).unwrap_or(usize::MAX))
}

/// How many bytes there are up to the last that is not zero.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event_log::{
        Appended, EventLog, LogOptions,
        trial::{START, TrialDisk, append, read_all, record, record_at, small},
    };

    const SHORT: RetentionClass = RetentionClass::Short;

    fn open(disk: &TrialDisk) -> Result<EventLog, LogError> {
        EventLog::open(Arc::new(disk.clone()), small(), START)
    }

    fn log_of(disk: &TrialDisk, numbers: std::ops::Range<u64>) {
        let log = open(disk).unwrap();
        for number in numbers {
            append(&log, vec![record(number, SHORT, 100)]).unwrap();
        }
    }

    #[test]
    fn a_log_closed_in_order_is_sealed_and_goes_on_in_a_new_log_segment() {
        let disk = TrialDisk::default();
        log_of(&disk, 0..5);
        let name = &disk.file_names()[1];
        let contents = disk.contents(name);
        assert_eq!(contents.len() as u64, FRAMES_START + 5 * 172 + 16 + 64, "header, frames, one mark, seal: no zeros");
        let log = open(&disk).unwrap();
        assert_eq!(log.stats().torn_bytes, 0);
        assert_eq!(append(&log, vec![record(9, SHORT, 100)]).unwrap(), [Appended::Stored(Offset(5))]);
        assert_eq!(disk.contents(name), contents, "what was sealed is not touched");
        assert_eq!(read_all(&log).unwrap().len(), 6);
    }

    #[test]
    fn many_restarts_without_records_leave_no_files() {
        let disk = TrialDisk::default();
        for _ in 0..5 {
            drop(open(&disk).unwrap());
        }
        assert_eq!(disk.file_names().len(), 2);
    }

    #[test]
    fn event_ids_are_known_after_a_restart_unless_they_are_too_old() {
        let disk = TrialDisk::default();
        let now = START.plus(Duration::from_secs(100 * 3600));
        let log = open(&disk).unwrap();
        append(&log, vec![record_at(1, SHORT, 0, START), record_at(2, RetentionClass::Long, 0, now)]).unwrap();
        drop(log);
        let log = EventLog::open(Arc::new(disk), LogOptions::default(), now).unwrap();
        let again = append(&log, vec![record_at(1, SHORT, 0, now), record_at(2, SHORT, 0, now), record_at(2, SHORT, 0, now)]).unwrap();
        assert_eq!(again, [Appended::Stored(Offset(2)), Appended::Duplicate, Appended::Duplicate]);
        assert_eq!((log.stats().records, log.stats().duplicates, log.stats().dedup_ids), (1, 2, 2));
    }

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let disk = TrialDisk::default();
        log_of(&disk, 0..3);
        let name = disk.file_names()[1].clone();
        let mut contents = disk.contents(&name);
        contents[8] = 2;
        let crc = crc32c::crc32c(&contents[..60]);
        contents[60..64].copy_from_slice(&crc.to_le_bytes());
        disk.put(&name, &contents);
        assert!(matches!(open(&disk), Err(LogError::Foreign { file, found: 2, known: 1 }) if file == name));
        assert_eq!(disk.contents(&name), contents);
    }

    #[test]
    fn an_unfinished_file_is_removed_and_a_damaged_header_is_damage() {
        let disk = TrialDisk::default();
        log_of(&disk, 0..3);
        disk.put("short-00000000000000000003.0.log", &[0; 64]);
        disk.put("long-00000000000000000003.0.log", b"FHLOG");
        let log = open(&disk).unwrap();
        assert_eq!(log.stats().corruptions, 0);
        assert_eq!(read_all(&log).unwrap().len(), 3);
        drop(log);
        let name = disk.file_names().into_iter().find(|name| name.starts_with("short-")).unwrap();
        disk.damage(&name, 3, &[0xff]);
        let log = open(&disk).unwrap();
        assert_eq!(log.stats().corruptions, 1);
        assert!(matches!(read_all(&log), Err(LogError::Corrupt { position: 0, from: Offset(0), .. })));
        assert!(disk.file_names().contains(&name), "it is kept for a person to look at");
        let Appended::Stored(next) = append(&log, vec![record(50, SHORT, 0)]).unwrap()[0] else { panic!("its id is not known") };
        assert!(next >= Offset(3));
    }

    #[test]
    fn of_two_generations_the_higher_whole_one_counts() {
        for whole in [true, false] {
            let disk = TrialDisk::default();
            log_of(&disk, 0..3);
            let old = disk.file_names()[1].clone();
            let name = LogSegmentName { generation: 1, ..LogSegmentName::parse(&old).unwrap() };
            // The rewritten file has the second record only, under the same offset.
            let mut contents = Contents::EMPTY;
            (contents.end, contents.records, contents.last) = (FRAMES_START + 172, 1, Some(Offset(1)));
            contents.mark(Offset(1), FRAMES_START);
            let mut bytes = log_segment::encode_header(name, START).to_vec();
            frame::encode(&mut bytes, Offset(1), record(1, SHORT, 100).bytes(), true);
            if whole {
                bytes.extend(contents.encode_seal());
            }
            disk.put(&name.to_string(), &bytes);
            let log = open(&disk).unwrap();
            let offsets: Vec<u64> = read_all(&log).unwrap().into_iter().map(|(offset, ..)| offset.0).collect();
            assert_eq!(offsets, if whole { vec![1] } else { vec![0, 1, 2] });
            assert_eq!(disk.file_names().contains(&old), !whole);
            assert_eq!(disk.file_names().contains(&name.to_string()), whole);
        }
    }
}
