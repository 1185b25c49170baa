//! Log segments are rewritten while the log is used, the disk fails, and the power goes: every record is there under its offset, as it was
//! or as it became, and in the end as it became.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Faults, Random, START, TrialDisk, append, id, read_all, record, record_at, small};
use crate::{
    clock::Timestamp,
    event::{Offset, RetentionClass},
    event_log::{EventLog, LogError, LogRecord, Rewrite, RewriteError, Rewritten, SealedLogSegment},
    privacy::record::{HEADER_BYTES, Header},
};

const NUMBERS: u64 = 60;

fn open(disk: &TrialDisk, now: Timestamp) -> EventLog {
    EventLog::open(Arc::new(disk.clone()), small(), now).unwrap()
}

fn class_of(number: u64) -> RetentionClass {
    RetentionClass::ALL[(number % 3 % 2) as usize]
}

/// A log of both families, in several log segments each.
fn filled() -> (TrialDisk, EventLog) {
    let disk = TrialDisk::default();
    let log = open(&disk, START);
    for number in 0..NUMBERS {
        append(&log, vec![record(number, class_of(number), 300)]).unwrap();
    }
    (disk, log)
}

fn roll(log: &EventLog) -> Offset {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(log.roll()).unwrap()
}

/// The same event with an empty body; one that is so already stays.
fn emptied(record: &LogRecord) -> Rewrite {
    let bytes = record.bytes.as_slice();
    if bytes.len() == HEADER_BYTES {
        return Rewrite::Same;
    }
    let header = Header::decode(bytes).unwrap();
    Rewrite::Instead(crate::privacy::record::Record::for_test(header.event_id.0, header.class(), header.received, &[]))
}

fn rewrite_all(log: &EventLog) -> Result<Vec<Rewritten>, RewriteError> {
    let end = roll(log);
    log.sealed_below(end).into_iter().map(|segment| log.rewrite(segment, &mut emptied)).collect()
}

/// Every offset once, with its own id; and how many bodies are empty.
fn examine(log: &EventLog) -> usize {
    let all = read_all(log).unwrap();
    assert_eq!(all.len() as u64, NUMBERS);
    for (number, (offset, event_id, bytes)) in (0..).zip(&all) {
        assert_eq!((*offset, *event_id), (Offset(number), id(number)));
        assert!(bytes.len() == HEADER_BYTES || bytes == record(number, class_of(number), 300).bytes(), "half a record");
    }
    all.iter().filter(|(.., bytes)| bytes.len() == HEADER_BYTES).count()
}

#[test]
fn a_roll_seals_what_was_appended_and_makes_no_empty_log_segments() {
    let (disk, log) = filled();
    let end = roll(&log);
    assert_eq!(end, Offset(NUMBERS));
    let sealed = log.sealed_below(end);
    assert_eq!(sealed.iter().map(|segment| segment.records).sum::<u64>(), NUMBERS, "all of it");
    let names = disk.file_names();
    assert_eq!((roll(&log), disk.file_names()), (end, names), "again: nothing to do");
    append(&log, vec![record(NUMBERS, RetentionClass::Short, 10)]).unwrap();
    assert_eq!(log.sealed_below(Offset(u64::MAX)), sealed, "what comes after is in other log segments");
    log.close();
    assert!(tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(log.roll()).is_err(), "closed");
}

#[test]
fn offsets_stay_what_was_there_is_gone_and_nothing_is_written_twice() {
    let (disk, log) = filled();
    let mut before = log.reader(Offset(0));
    assert_eq!(before.read(5, 10_000).unwrap().len(), 5);
    let done = rewrite_all(&log).unwrap();
    assert_eq!(done.iter().map(|one| one.replaced).sum::<u64>(), NUMBERS);
    assert_eq!(examine(&log), NUMBERS as usize);
    for name in disk.file_names().iter().filter(|name| !name.contains(".0.log")) {
        let contents = disk.contents(name);
        assert!((0..NUMBERS).all(|number| {
            let old = record(number, class_of(number), 300);
            !contents.windows(64).any(|window| window == &old.bytes()[HEADER_BYTES..HEADER_BYTES + 64])
        }));
    }
    assert_eq!(disk.file_names().iter().filter(|name| name.contains(".0.log")).count(), 2, "only the two that are being written");
    let names = disk.file_names();
    assert!(rewrite_all(&log).unwrap().iter().all(|one| one.replaced == 0 && one.records > 0));
    assert_eq!(disk.file_names(), names, "where nothing changes, nothing is written");
    let mut rest = Vec::new();
    while let Some(record) = before.read(1, 1).unwrap().pop() {
        rest.push(record.offset.0);
    }
    assert_eq!(rest, (5..NUMBERS).collect::<Vec<_>>(), "whoever was reading is not disturbed");
    drop(log);
    assert_eq!(examine(&open(&disk, START)), NUMBERS as usize, "after a restart, too");
}

#[test]
fn whoever_gives_up_leaves_everything_as_it_was() {
    let (disk, log) = filled();
    let end = roll(&log);
    let names = disk.file_names();
    for after in [0, 1, 4] {
        let mut left = after;
        let mut judge = |record: &LogRecord| {
            left -= 1;
            if left < 0 { Rewrite::GiveUp } else { emptied(record) }
        };
        assert!(matches!(log.rewrite(log.sealed_below(end)[0], &mut judge), Err(RewriteError::GivenUp)));
        assert_eq!(disk.file_names(), names);
    }
    assert_eq!(examine(&log), 0);
}

#[test]
fn readers_and_rewriters_do_not_lose_each_other() {
    let (_disk, log) = filled();
    let (log, done) = (Arc::new(log), AtomicBool::new(false));
    let end = roll(&log);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let read: Vec<u64> = read_all(&log).unwrap().into_iter().map(|(offset, ..)| offset.0).collect();
                assert_eq!(read, (0..NUMBERS).collect::<Vec<_>>());
            }
        });
        for turn in 0..40_usize {
            for segment in log.sealed_below(end) {
                let mut to_turn = |record: &LogRecord| {
                    let header = Header::decode(record.bytes.as_slice()).unwrap();
                    let body = vec![1; turn];
                    Rewrite::Instead(crate::privacy::record::Record::for_test(header.event_id.0, header.class(), header.received, &body))
                };
                log.rewrite(segment, &mut to_turn).unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn one_whose_time_is_over_meanwhile_does_not_come_back() {
    let disk = TrialDisk::default();
    let log = open(&disk, START);
    append(&log, (0..5).map(|number| record_at(number, RetentionClass::Short, 50, START)).collect()).unwrap();
    let end = roll(&log);
    let segment = log.sealed_below(end)[0];
    let later = START.plus(Duration::from_secs(100 * 3600));
    let mut judge = |record: &LogRecord| {
        log.drop_expired(later).unwrap();
        emptied(record)
    };
    log.rewrite(segment, &mut judge).unwrap();
    assert!(read_all(&log).unwrap().is_empty());
    assert!(log.sealed_below(end).is_empty());
    assert_eq!(disk.file_names().len(), 2, "{:?}", disk.file_names());
    assert_eq!(log.rewrite(segment, &mut emptied).unwrap(), Rewritten::default(), "gone is nothing to do");
}

#[test]
fn a_full_disk_and_a_failing_sync_leave_the_old_generation() {
    let (disk, log) = filled();
    let segment = log.sealed_below(roll(&log))[0];
    let names = disk.file_names();
    disk.fail(|faults| faults.free_bytes = Some(100));
    assert!(matches!(log.rewrite(segment, &mut emptied), Err(RewriteError::Log(LogError::Io { .. }))));
    assert_eq!(disk.file_names(), names);
    disk.fail(|faults| (faults.free_bytes, faults.failing_syncs) = (None, 1));
    assert!(log.rewrite(segment, &mut emptied).is_err());
    assert_eq!((disk.file_names(), examine(&log)), (names, 0));
    assert!(log.rewrite(segment, &mut emptied).unwrap().replaced > 0, "then it works");
}

#[test]
fn damage_is_stepped_over_and_the_rest_is_rewritten() {
    let (disk, log) = filled();
    let end = roll(&log);
    let SealedLogSegment { records, .. } = log.sealed_below(end)[0];
    let name = disk.file_names().into_iter().find(|name| name.starts_with("short-")).unwrap();
    // In the second record: the log segment is too small for a mark behind it.
    disk.damage(&name, 64 + 372 + 100, &[0xff; 4]);
    let done = log.rewrite(log.sealed_below(end)[0], &mut emptied).unwrap();
    assert_eq!((done.records, done.replaced), (1, 1));
    assert_eq!(log.stats().corruptions, 1, "told");
    assert_eq!(read_all(&log).unwrap().len() as u64, NUMBERS - records + 1);
}

/// The kill points: at every single call on the disk, by a kill (what the cache holds stays) and by a power cut (any part of what was
/// not synced is lost).
#[test]
fn at_whatever_call_it_ends_every_record_is_there_and_the_next_start_goes_on() {
    let mut random = Random(7);
    let (mut calls, mut between) = (0, 0);
    loop {
        let (disk, log) = filled();
        let end = roll(&log);
        disk.fail(|faults| faults.calls_left = Some(calls));
        let ended = log.sealed_below(end).into_iter().try_for_each(|segment| log.rewrite(segment, &mut emptied).map(drop));
        // The files are let go without the log's own end: the program is dead.
        for power_cut in [false, true] {
            let after = if power_cut { disk.cut(&mut random) } else { copy(&disk) };
            let log = open(&after, START);
            assert_eq!(log.stats().corruptions, 0, "after {calls} calls");
            let already = examine(&log);
            between += usize::from(already > 0 && already < NUMBERS as usize);
            assert!(after.file_names().len() <= disk.file_names().len(), "no unfinished file is left");
            rewrite_all(&log).unwrap();
            assert_eq!(examine(&log), NUMBERS as usize);
        }
        disk.fail(|faults| *faults = Faults::default());
        if ended.is_ok() {
            break;
        }
        calls += 1;
    }
    assert!(calls > 50 && between > 20, "{calls} calls, {between} ends half-way");
}

/// The negative control: with syncs that do nothing, the trial above must find records lost.
#[test]
fn a_rewrite_on_a_disk_that_lies_is_found_out() {
    let lost = (0..20).filter(|seed| {
        let (disk, log) = filled();
        let end = roll(&log);
        disk.fail(|faults| faults.syncs_lie = true);
        for segment in log.sealed_below(end) {
            log.rewrite(segment, &mut emptied).unwrap();
        }
        let after = EventLog::open(Arc::new(disk.cut(&mut Random(*seed))), small(), START);
        !after.is_ok_and(|log| read_all(&log).is_ok_and(|all| all.len() as u64 == NUMBERS))
    });
    assert!(lost.count() >= 18);
}

/// What a killed program leaves: everything that its calls reached.
fn copy(disk: &TrialDisk) -> TrialDisk {
    let copy = TrialDisk::default();
    for name in disk.file_names() {
        copy.put(&name, &disk.contents(&name));
    }
    copy
}
