//! Which log segments there are, and how far the log is durable. Shared by the commit thread, the readers and retention.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{error::LogError, files::LogFiles, log_segment::LogSegment, options::LogOptions, stats::Counters};
use crate::{
    clock::Timestamp,
    event::{Offset, RetentionClass},
};

/// The log segments of both families, each in the order of their offsets, and the durable head.
pub(super) struct Catalogue {
    pub(super) files: Arc<dyn LogFiles>,
    pub(super) counters: Counters,
    families: Mutex<[Vec<Arc<LogSegment>>; 2]>,
    head: watch::Sender<Offset>,
}

const fn index(class: RetentionClass) -> usize {
    match class {
        RetentionClass::Short => 0,
        RetentionClass::Long => 1,
    }
}

impl Catalogue {
    pub(super) fn new(files: Arc<dyn LogFiles>, families: [Vec<Arc<LogSegment>>; 2], counters: Counters, head: Offset) -> Self {
        Self { files, counters, families: Mutex::new(families), head: watch::Sender::new(head) }
    }

    fn lock(&self) -> MutexGuard<'_, [Vec<Arc<LogSegment>>; 2]> {
        // No code that can panic runs while it is held.
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first offset that is not durable yet.
    pub(super) fn head(&self) -> Offset {
        *self.head.borrow()
    }

    pub(super) fn watch_head(&self) -> watch::Receiver<Offset> {
        self.head.subscribe()
    }

    /// Moves the durable head. What lies below it must be in the log segments' contents already.
    pub(super) fn advance_head(&self, head: Offset) {
        self.head.send_replace(head);
    }

    /// Adds a log segment, whose records come after all others of its family.
    pub(super) fn add(&self, segment: Arc<LogSegment>) {
        self.lock()[index(segment.name().class)].push(segment);
    }

    /// Takes a log segment away that never had a record.
    pub(super) fn discard(&self, segment: &LogSegment) {
        self.lock()[index(segment.name().class)].retain(|other| other.name() != segment.name());
        segment.note_dropped();
    }

    /// The log segment of a family in which a record with that offset would be, or the family's oldest.
    pub(super) fn covering(&self, class: RetentionClass, offset: Offset) -> Option<Arc<LogSegment>> {
        let families = self.lock();
        let family = &families[index(class)];
        let after = family.partition_point(|segment| segment.first() <= offset);
        family.get(after.saturating_sub(1)).cloned()
    }

    /// The log segment that follows the one beginning at `first`.
    pub(super) fn after(&self, class: RetentionClass, first: Offset) -> Option<Arc<LogSegment>> {
        let families = self.lock();
        let family = &families[index(class)];
        family.get(family.partition_point(|segment| segment.first() <= first)).cloned()
    }

    /// The log segment that begins at `first`, in its present generation.
    pub(super) fn present(&self, class: RetentionClass, first: Offset) -> Option<Arc<LogSegment>> {
        self.lock()[index(class)].iter().find(|segment| segment.first() == first).cloned()
    }

    /// A family's sealed log segments that begin below an offset.
    pub(super) fn sealed_below(&self, class: RetentionClass, end: Offset) -> Vec<Arc<LogSegment>> {
        let families = self.lock();
        families[index(class)].iter().filter(|segment| segment.first() < end && segment.extent().sealed).cloned().collect()
    }

    /// Puts a log segment's next generation in its place. False: it is no longer there. Readers that have the old one open read on in it.
    pub(super) fn replace(&self, old: &LogSegment, next: &Arc<LogSegment>) -> bool {
        let mut families = self.lock();
        let place = families[index(old.name().class)].iter_mut().find(|segment| segment.name() == old.name());
        place.map(|place| *place = Arc::clone(next)).is_some()
    }

    /// The oldest offset that may still be read; the head when there is no record.
    pub(super) fn first_offset(&self) -> Offset {
        let families = self.lock();
        families
            .iter()
            .flatten()
            .filter(|segment| segment.records() > 0)
            .map(|segment| segment.first())
            .min()
            .unwrap_or_else(|| self.head())
    }

    /// How many log segments there are, and the bytes in them.
    pub(super) fn size(&self) -> (u64, u64) {
        self.lock().iter().flatten().fold((0, 0), |(count, bytes), segment| (count + 1, bytes + segment.extent().end))
    }

    /// Removes the log segments whose newest record is past its retention. The newest of each family stays, whatever its age: the offset
    /// counter goes on from it.
    pub(super) fn drop_expired(&self, options: &LogOptions, now: Timestamp) -> Result<usize, LogError> {
        let mut expired = Vec::new();
        for class in RetentionClass::ALL {
            let limit = now.minus(options.retention(class));
            let families = self.lock();
            if let Some((_newest, older)) = families[index(class)].split_last() {
                expired.extend(older.iter().filter(|segment| segment.is_older_than(limit)).cloned());
            }
        }
        for segment in &expired {
            let name = segment.name().to_string();
            match self.files.remove(&name) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(LogError::io("remove", name)(error)),
            }
            self.discard(segment);
        }
        if !expired.is_empty() {
            self.files.sync_directory().map_err(LogError::io("sync", "the directory"))?;
        }
        Ok(expired.len())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use crate::{
        clock::Timestamp,
        event::{Offset, RetentionClass},
        event_log::{
            Appended, EventLog, LogOptions,
            trial::{START, TrialDisk, append, read_all, record_at, small},
        },
    };

    const HOUR: Duration = Duration::from_secs(3600);

    fn open(disk: &TrialDisk, now: Timestamp) -> EventLog {
        EventLog::open(Arc::new(disk.clone()), small(), now).unwrap()
    }

    #[test]
    fn each_family_is_dropped_by_its_own_retention_and_only_in_whole_log_segments() {
        let disk = TrialDisk::default();
        let log = open(&disk, START);
        for number in 0..40 {
            let received = START.plus(HOUR * u32::try_from(number).unwrap());
            append(&log, vec![record_at(number, RetentionClass::ALL[(number % 2) as usize], 500, received)]).unwrap();
        }
        let LogOptions { short_retention, long_retention, .. } = LogOptions::default();
        let before = disk.file_names();
        assert_eq!(log.drop_expired(START.plus(short_retention)).unwrap(), 0, "not a moment early");
        let dropped = log.drop_expired(START.plus(short_retention).plus(24 * HOUR)).unwrap();
        let names = disk.file_names();
        assert!(dropped > 0);
        assert_eq!(names.len(), before.len() - dropped);
        let left: Vec<u64> = read_all(&log).unwrap().into_iter().map(|(offset, ..)| offset.0).collect();
        assert!((0..40).filter(|offset| offset % 2 == 1 || *offset >= 24).all(|offset| left.contains(&offset)), "{left:?}");
        assert!(!left.contains(&0));
        assert_eq!(log.first_offset(), Offset(0), "the long family still begins there");
        log.drop_expired(START.plus(long_retention).plus(1000 * HOUR)).unwrap();
        assert_eq!(disk.file_names().len(), 2, "the newest of each family stays");
    }

    #[test]
    fn offsets_go_on_after_everything_has_been_dropped() {
        let disk = TrialDisk::default();
        let log = open(&disk, START);
        for number in 0..10 {
            append(&log, vec![record_at(number, RetentionClass::Long, 100, START)]).unwrap();
        }
        drop(log);
        let later = START.plus(10_000 * HOUR);
        let log = open(&disk, later);
        assert!(log.drop_expired(later).unwrap() > 0);
        assert!(read_all(&log).unwrap().is_empty());
        assert_eq!(log.first_offset(), Offset(10));
        drop(log);
        let log = open(&disk, later);
        assert_eq!(append(&log, vec![record_at(77, RetentionClass::Short, 0, later)]).unwrap(), [Appended::Stored(Offset(10))]);
    }
}
