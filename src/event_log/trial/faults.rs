//! Disks that fill up, refuse to sync, or lose what they held: what is acknowledged stays, what is refused leaves nothing behind, and the
//! log goes on without a restart.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Random, START, TrialDisk, append, id, read_all, record, small};
use crate::{
    event::{EventId, Offset, RetentionClass},
    event_log::{AppendError, Appended, EventLog, LogError, LogOptions, LogState},
    privacy::record::Record,
};

const SHORT: RetentionClass = RetentionClass::Short;
const LONG: RetentionClass = RetentionClass::Long;
const PATIENCE: Duration = Duration::from_secs(20);

fn open(disk: &TrialDisk) -> EventLog {
    open_with(disk, small())
}

fn open_with(disk: &TrialDisk, options: LogOptions) -> EventLog {
    EventLog::open(Arc::new(disk.clone()), options, START).unwrap()
}

fn ids(log: &EventLog) -> Vec<EventId> {
    read_all(log).unwrap().into_iter().map(|(_, id, _)| id).collect()
}

/// Both families, so that a failure between them is met too.
fn both(first: u64) -> Vec<Record> {
    vec![record(first, SHORT, 300), record(first + 1, LONG, 300)]
}

fn offset_of(outcome: Appended) -> Offset {
    match outcome {
        Appended::Stored(offset) => offset,
        Appended::Duplicate => panic!("a new record is no duplicate"),
    }
}

/// Tries until the log takes records again.
fn append_again(log: &EventLog, records: impl Fn() -> Vec<Record>) -> Vec<Appended> {
    let began = Instant::now();
    loop {
        match append(log, records()) {
            Ok(outcomes) => return outcomes,
            Err(error) => assert!(began.elapsed() < PATIENCE, "still {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for(log: &EventLog, state: LogState) {
    let began = Instant::now();
    while log.stats().state != state {
        assert!(began.elapsed() < PATIENCE, "still {:?}", log.stats().state);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What follows every fault: nothing is in the log but these, in memory and on the disk, also after the power goes.
fn expect_exactly(log: EventLog, disk: &TrialDisk, numbers: &[u64]) {
    let mut expected: Vec<_> = numbers.iter().map(|number| id(*number)).collect();
    expected.sort_unstable();
    let sorted = |log: &EventLog| {
        let mut found = ids(log);
        found.sort_unstable();
        found
    };
    assert_eq!(sorted(&log), expected);
    for seed in 0..20 {
        let after = disk.cut(&mut Random(seed));
        let log = open(&after);
        assert_eq!(sorted(&log), expected, "after power cut {seed}");
        assert_eq!(log.stats().corruptions, 0);
    }
    drop(log);
    assert_eq!(sorted(&open(disk)), expected, "after a restart");
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let disk = TrialDisk::default();
    let log = open(&disk);
    let first = append(&log, both(1)).unwrap();
    disk.fail(|faults| faults.free_bytes = Some(100));
    // What is preallocated still takes some, then no more.
    let mut number = 3;
    while append(&log, both(number)).is_ok() {
        number += 2;
    }
    assert_eq!(append(&log, both(number)), Err(AppendError::Full));
    assert_eq!(log.stats().state, LogState::Full);
    assert!(log.stats().full_errors > 0);
    assert_eq!(ids(&log).len() as u64, number - 1, "what was acknowledged can be read while the disk is full");
    disk.fail(|faults| faults.free_bytes = None);
    let again = append_again(&log, || both(number));
    assert!(offset_of(again[0]) > offset_of(first[1]), "refused records are no duplicates of themselves");
    assert_eq!(log.stats().state, LogState::Accepting);
    let all: Vec<u64> = (1..number + 2).collect();
    expect_exactly(log, &disk, &all);
}

#[test]
fn a_half_written_frame_is_taken_back_before_later_ones_follow() {
    // Less than the two frames of 372 bytes need.
    for free in (0..744).step_by(62) {
        let disk = TrialDisk::default();
        let log = open(&disk);
        append(&log, both(1)).unwrap();
        // Overwriting preallocated zeros fails in the middle, in the first family or in the second.
        disk.fail(|faults| {
            faults.copies_on_write = true;
            faults.free_bytes = Some(free);
        });
        assert_eq!(append(&log, both(3)), Err(AppendError::Full), "{free}");
        disk.fail(|faults| faults.free_bytes = None);
        append_again(&log, || vec![record(5, SHORT, 10), record(6, LONG, 10)]);
        expect_exactly(log, &disk, &[1, 2, 5, 6]);
    }
}

#[test]
fn a_log_opens_on_a_full_disk_and_takes_records_when_there_is_space() {
    let disk = TrialDisk::default();
    let log = open(&disk);
    append(&log, both(1)).unwrap();
    drop(log);
    disk.fail(|faults| faults.free_bytes = Some(0));
    let log = open(&disk);
    assert_eq!(append(&log, both(3)), Err(AppendError::Full));
    disk.fail(|faults| faults.free_bytes = None);
    append_again(&log, || both(5));
    expect_exactly(log, &disk, &[1, 2, 5, 6]);
}

#[test]
fn a_failed_sync_is_not_acknowledged_and_leaves_nothing_behind() {
    // The disk may have written nothing, or everything; and the failure may hit the first family's file, or the second's.
    for written in [false, true] {
        for records in [both as fn(u64) -> Vec<Record>, |first| vec![record(first, LONG, 200)], |first| vec![record(first, SHORT, 200)]] {
            let disk = TrialDisk::default();
            let log = open(&disk);
            let first = append(&log, both(1)).unwrap();
            disk.fail(|faults| {
                faults.failing_syncs = 1;
                faults.failing_syncs_write = written;
            });
            assert_eq!(append(&log, records(3)), Err(AppendError::SyncFailed));
            wait_for(&log, LogState::Accepting);
            assert_eq!(log.stats().sync_errors, 1);
            assert_eq!(ids(&log), [id(1), id(2)], "a refused record is not readable");
            let again = append(&log, records(3)).unwrap();
            let refused = again.len() as u64;
            assert_eq!(offset_of(again[0]).0, offset_of(first[1]).0 + 1 + refused, "a refused record's offset is not given again");
            let all: Vec<u64> = (1..3 + again.len() as u64).collect();
            expect_exactly(log, &disk, &all);
        }
    }
}

/// A visitor consents between an attempt and its retry: the same event goes to the other family.
#[test]
fn a_refused_record_does_not_come_back_in_one_family_after_it_was_stored_in_the_other() {
    for earlier in [0, 2] {
        let disk = TrialDisk::default();
        let log = open(&disk);
        append(&log, both(1).into_iter().take(earlier).collect()).unwrap();
        disk.fail(|faults| {
            faults.failing_syncs = 1;
            faults.failing_syncs_write = true;
        });
        assert_eq!(append(&log, vec![record(3, SHORT, 300)]), Err(AppendError::SyncFailed));
        append_again(&log, || vec![record(3, LONG, 300)]);
        expect_exactly(log, &disk, &[1, 2, 3][2 - earlier..]);
    }
    let disk = TrialDisk::default();
    let log = open(&disk);
    append(&log, both(1)).unwrap();
    // Room for the first family's frame and a part of the second's.
    disk.fail(|faults| {
        faults.copies_on_write = true;
        faults.free_bytes = Some(500);
    });
    assert_eq!(append(&log, both(3)), Err(AppendError::Full));
    disk.fail(|faults| faults.free_bytes = None);
    append_again(&log, || vec![record(3, LONG, 300)]);
    expect_exactly(log, &disk, &[1, 2, 3]);
}

#[test]
fn a_repair_reads_what_was_acknowledged_from_the_disk_and_tells_what_is_gone() {
    let disk = TrialDisk::default();
    let log = open(&disk);
    append(&log, vec![record(1, SHORT, 100)]).unwrap();
    append(&log, vec![record(2, SHORT, 100)]).unwrap();
    disk.damage_unseen(&short_names(&disk)[0], 64 + 172 + 40, &[0xff]);
    disk.fail(|faults| faults.failing_syncs = 1);
    assert_eq!(append(&log, vec![record(3, SHORT, 100)]), Err(AppendError::SyncFailed));
    wait_for(&log, LogState::Accepting);
    assert_eq!(log.stats().corruptions, 1);
    append(&log, vec![record(3, SHORT, 100)]).unwrap();
    let mut reader = log.reader(Offset(0));
    assert_eq!(reader.read(10, 10_000).unwrap().len(), 1);
    assert!(matches!(reader.read(10, 10_000), Err(LogError::Corrupt { from: Offset(1), to: Offset(2), .. })));
    assert_eq!(reader.read(10, 10_000).unwrap().len(), 1, "the log goes on");
    assert_eq!(log.stats().corruptions, 1, "counted once");
}

#[test]
fn while_the_disk_does_not_sync_calls_fail_at_once_and_nobody_is_answered() {
    let disk = TrialDisk::default();
    let log = open(&disk);
    append(&log, both(1)).unwrap();
    disk.fail(|faults| faults.failing_syncs = 6);
    assert_eq!(append(&log, both(3)), Err(AppendError::SyncFailed));
    assert_eq!(log.stats().state, LogState::Repairing, "the door is shut before anyone hears of the failure");
    let began = Instant::now();
    assert_eq!(append(&log, both(3)), Err(AppendError::SyncFailed));
    assert!(began.elapsed() < Duration::from_secs(1));
    append_again(&log, || both(3));
    assert_eq!(disk.faults().failing_syncs, 0);
    expect_exactly(log, &disk, &[1, 2, 3, 4]);
}

#[test]
fn closing_ends_a_repair_that_does_not_succeed() {
    let disk = TrialDisk::default();
    let log = open(&disk);
    append(&log, both(1)).unwrap();
    disk.fail(|faults| faults.failing_syncs = u32::MAX);
    assert_eq!(append(&log, both(3)), Err(AppendError::SyncFailed));
    let began = Instant::now();
    log.close();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(append(&log, both(3)), Err(AppendError::Closed));
    disk.fail(|faults| faults.failing_syncs = 0);
    // What was refused may have come to rest all the same; sent again, it is known or stored, and there once.
    let log = open(&disk);
    append(&log, both(3)).unwrap();
    expect_exactly(log, &disk, &[1, 2, 3, 4]);
}

#[test]
fn a_torn_tail_is_cut_off_and_counted() {
    let disk = TrialDisk::default();
    let log = open(&disk);
    append(&log, vec![record(1, SHORT, 100), record(2, SHORT, 100)]).unwrap();
    let name = short_names(&disk)[0].clone();
    // As a crash leaves it: not sealed, a part of a commit behind the last acknowledged one.
    let mut contents = disk.contents(&name);
    let end = contents.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let torn = contents[64..164].to_vec();
    contents[end..end + torn.len()].copy_from_slice(&torn);
    drop(log);
    disk.put(&name, &contents);
    let log = open(&disk);
    assert_eq!(log.stats().torn_bytes, 100);
    assert_eq!(log.stats().corruptions, 0);
    expect_exactly(log, &disk, &[1, 2]);
}

#[test]
fn damage_before_a_later_commit_is_never_taken_for_a_torn_tail() {
    let disk = TrialDisk::default();
    let log = open(&disk);
    let mut highest = Offset(0);
    for number in 1..=4 {
        highest = offset_of(append(&log, vec![record(number, SHORT, 100)]).unwrap()[0]);
    }
    let name = short_names(&disk)[0].clone();
    let mut contents = disk.contents(&name);
    contents[64 + 172 + 50] ^= 1;
    drop(log);
    disk.put(&name, &contents);
    for _ in 0..2 {
        let log = open(&disk);
        assert_eq!((log.stats().corruptions, log.stats().torn_bytes), (1, 0));
        assert_eq!(disk.contents(&name), contents, "left as it is, for a person to look at");
        let mut reader = log.reader(Offset(0));
        assert_eq!(reader.read(10, 10_000).unwrap().len(), 1);
        let Err(LogError::Corrupt { file, position, from, to }) = reader.read(10, 10_000) else { panic!("the damage is told") };
        assert_eq!((file.as_str(), position, from), (name.as_str(), 64 + 172, Offset(1)));
        assert!(to.0 > 3, "{to:?}");
        let number = 100 + highest.0;
        let next = offset_of(append(&log, vec![record(number, SHORT, 10)]).unwrap()[0]);
        assert!(next > highest, "an offset that the unreadable records may have is not given again");
        highest = next;
    }
}

#[test]
fn a_damaged_sealed_log_segment_is_told_and_stepped_over() {
    let disk = TrialDisk::default();
    let log = open(&disk);
    for number in 1..=60 {
        append(&log, vec![record(number, if number % 3 == 0 { LONG } else { SHORT }, 100)]).unwrap();
    }
    let names = short_names(&disk);
    assert!(names.len() > 1);
    drop(log);
    disk.damage(&names[0], 64 + 172 * 2 + 30, &[0xff; 4]);
    let log = open(&disk);
    for _ in 0..2 {
        let mut reader = log.reader(Offset(0));
        let (mut found, mut lost) = (Vec::new(), None);
        loop {
            match reader.read(5, 100_000) {
                Ok(records) if records.is_empty() => break,
                Ok(records) => found.extend(records.into_iter().map(|record| record.offset.0)),
                Err(LogError::Corrupt { file, position, from, to }) => {
                    assert!(lost.replace((from.0, to.0)).is_none(), "told once");
                    assert_eq!((file.as_str(), position), (names[0].as_str(), 64 + 172 * 2));
                }
                Err(other) => panic!("{other}"),
            }
        }
        let (from, to) = lost.expect("the damage is told");
        assert_eq!(from, 2, "offsets 0 and 1 were read");
        // Of the damaged family everything outside that range, of the other everything.
        let expected: Vec<u64> = (0..60).filter(|offset| (offset + 1) % 3 == 0 || !(from..to).contains(offset)).collect();
        assert_eq!(found, expected);
    }
    assert_eq!(log.stats().corruptions, 1, "counted once, however many readers meet it");
}

#[test]
fn damage_costs_no_more_than_up_to_the_next_mark() {
    let disk = TrialDisk::default();
    let log = open_with(&disk, LogOptions::default());
    for number in 1..=40 {
        append(&log, vec![record(number, SHORT, 10_000)]).unwrap();
    }
    drop(log);
    disk.damage(&short_names(&disk)[0], 30_000, &[0; 512]);
    let log = open_with(&disk, LogOptions::default());
    let mut reader = log.reader(Offset(0));
    assert_eq!(reader.read(100, usize::MAX).unwrap().len(), 2);
    let Err(LogError::Corrupt { from: Offset(2), to, .. }) = reader.read(100, usize::MAX) else { panic!("the damage is told") };
    assert!(to.0 > 2 && to.0 < 12, "{to:?}");
    let rest = reader.read(100, usize::MAX).unwrap();
    assert_eq!((rest[0].offset, rest.len() as u64), (to, 40 - to.0));
}

#[test]
fn a_read_that_fails_is_tried_again_before_it_counts_as_damage() {
    let disk = TrialDisk::default();
    let log = open(&disk);
    append(&log, vec![record(1, SHORT, 100)]).unwrap();
    let mut reader = log.reader(Offset(0));
    disk.fail(|faults| faults.failing_reads = 4);
    for _ in 0..4 {
        assert!(matches!(reader.read(10, 10_000), Err(LogError::Io { action: "read", .. })));
    }
    assert_eq!(reader.read(10, 10_000).unwrap().len(), 1);
    let mut reader = log.reader(Offset(0));
    disk.fail(|faults| faults.failing_reads = u32::MAX);
    for _ in 0..4 {
        assert!(matches!(reader.read(10, 10_000), Err(LogError::Io { .. })));
    }
    assert!(matches!(reader.read(10, 10_000), Err(LogError::Corrupt { from: Offset(0), to: Offset(1), .. })));
    assert!(reader.read(10, 10_000).unwrap().is_empty(), "the reader goes on");
}

fn short_names(disk: &TrialDisk) -> Vec<String> {
    disk.file_names().into_iter().filter(|name| name.starts_with("short-")).collect()
}
