//! The power goes, or the program dies, at any call; any part of what was not synced is lost, on top of failing syncs and full disks: every acknowledged record is there exactly once afterwards, its bytes
//! and offset as told, and no offset is given twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{Faults, Random, START, TrialDisk, id, read_all, record, small};
use crate::{
    event::{Offset, RetentionClass},
    event_log::{AppendError, Appended, EventLog, LogState},
    privacy::record::Record,
};

/// How many disks are tried, unless the environment asks for more.
const LINEAGES: u64 = 250;
const LINEAGES_VARIABLE: &str = "FIRSTHAND_POWER_CUT_LINEAGES";
/// The first of them, so that a campaign can go on where it was interrupted.
const FIRST_VARIABLE: &str = "FIRSTHAND_POWER_CUT_FIRST";
const CUTS_PER_LINEAGE: usize = 4;
const ROUNDS_PER_LIFE: usize = 10;
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn every_acknowledged_record_survives_every_power_cut() {
    let mut tally = Tally::default();
    let asked = |variable| std::env::var(variable).ok().and_then(|asked| asked.parse::<u64>().ok());
    let first = asked(FIRST_VARIABLE).unwrap_or(0);
    for seed in first..first + asked(LINEAGES_VARIABLE).unwrap_or(LINEAGES).max(LINEAGES) {
        if let Err(loss) = Lineage::new(seed, TrialDisk::default()).live(&mut tally) {
            panic!("seed {seed}: {loss}");
        }
    }
    // The trial itself must be hard enough to mean something.
    assert!(tally.acknowledged > 5_000, "{tally:?}");
    assert!(tally.torn_tails > 50, "{tally:?}");
    assert!(tally.unacknowledged_survivors > 20, "{tally:?}");
    assert!(tally.sync_failures > 50, "{tally:?}");
    assert!(tally.failed_openings > 10, "{tally:?}");
    assert!(tally.duplicates > 500, "{tally:?}");
    assert!(tally.full > 50, "{tally:?}");
    assert!(tally.kills > 100, "{tally:?}");
}

/// The negative controls: a disk that lies must be found out, or the test above proves nothing.
#[test]
fn a_sync_that_does_nothing_is_found_out() {
    let found_out = (0..20).filter(|seed| lives_badly(*seed, |disk| disk.fail(|faults| faults.syncs_lie = true))).count();
    assert!(found_out >= 18, "{found_out} of 20");
}

#[test]
fn a_directory_sync_that_does_nothing_is_found_out() {
    let found_out = (0..20).filter(|seed| lives_badly(*seed, |disk| disk.fail(|faults| faults.directory_syncs_lie = true))).count();
    assert!(found_out >= 18, "{found_out} of 20");
}

fn lives_badly(seed: u64, make_it_lie: impl Fn(&TrialDisk)) -> bool {
    let disk = TrialDisk::default();
    make_it_lie(&disk);
    Lineage::new(seed, disk).live(&mut Tally::default()).is_err()
}

#[derive(Debug, Default)]
struct Tally {
    acknowledged: usize,
    duplicates: usize,
    torn_tails: usize,
    unacknowledged_survivors: usize,
    sync_failures: usize,
    failed_openings: usize,
    full: usize,
    kills: usize,
}

/// One disk through several power cuts.
struct Lineage {
    random: Random,
    disk: TrialDisk,
    numbers: u64,
    acknowledged: BTreeMap<u64, Offset>,
    /// Answered with `Duplicate`: durable too.
    duplicates: BTreeSet<u64>,
    /// Refused, or never answered: each may have survived.
    unanswered: BTreeSet<u64>,
}

impl Lineage {
    fn new(seed: u64, disk: TrialDisk) -> Self {
        Self {
            random: Random(seed),
            disk,
            numbers: 0,
            acknowledged: BTreeMap::new(),
            duplicates: BTreeSet::new(),
            unanswered: BTreeSet::new(),
        }
    }

    /// Class and size follow from the number, so that a record can be sent again and compared.
    fn record(number: u64) -> Record {
        let class = RetentionClass::ALL[(number * number % 7 % 2) as usize];
        record(number, class, (number * 131 % 700) as usize)
    }

    fn live(mut self, tally: &mut Tally) -> Result<(), String> {
        for _ in 0..CUTS_PER_LINEAGE {
            let calls_left = (!self.random.one_in(8)).then(|| self.random.below(120) as u64);
            self.disk.fail(|faults| faults.calls_left = calls_left);
            match EventLog::open(Arc::new(self.disk.clone()), small(), START) {
                Err(_) if calls_left.is_some() => tally.failed_openings += 1,
                Err(error) => return Err(format!("does not open: {error}")),
                Ok(log) => {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(self.write(Arc::new(log), tally))?;
                }
            }
            let faults = self.disk.faults();
            if self.random.one_in(4) {
                tally.kills += 1;
            } else {
                self.disk = self.disk.cut(&mut self.random);
            }
            self.disk.fail(|after| {
                *after = Faults { syncs_lie: faults.syncs_lie, directory_syncs_lie: faults.directory_syncs_lie, ..Faults::default() };
            });
            self.examine(tally)?;
        }
        Ok(())
    }

    /// Appends from several callers at once until the power goes or there is nothing more to do.
    async fn write(&mut self, log: Arc<EventLog>, tally: &mut Tally) -> Result<(), String> {
        for _ in 0..1 + self.random.below(ROUNDS_PER_LIFE) {
            if self.random.one_in(6) {
                let written = self.random.one_in(2);
                self.disk.fail(|faults| {
                    faults.failing_syncs = 1;
                    faults.failing_syncs_write = written;
                });
            }
            if self.random.one_in(40) {
                let (bytes, copies) = (self.random.below(3000) as u64, self.random.one_in(2));
                self.disk.fail(|faults| {
                    faults.free_bytes = Some(bytes);
                    faults.copies_on_write = copies;
                });
            }
            let mut calls = JoinSet::new();
            for _ in 0..1 + self.random.below(5) {
                let numbers: Vec<u64> = (0..1 + self.random.below(4)).map(|_| self.choose()).collect();
                let log = Arc::clone(&log);
                calls.spawn(async move {
                    let answer = log.append(numbers.iter().map(|number| Self::record(*number)).collect()).await;
                    (numbers, answer)
                });
            }
            let (mut refused, mut full) = (false, false);
            for (numbers, answer) in calls.join_all().await {
                match answer {
                    Ok(outcomes) => {
                        for (number, outcome) in numbers.into_iter().zip(outcomes) {
                            self.note(number, outcome, tally)?;
                        }
                    }
                    Err(AppendError::SyncFailed) => {
                        tally.sync_failures += 1;
                        refused = true;
                    }
                    Err(AppendError::Full) => {
                        tally.full += 1;
                        full = true;
                    }
                    Err(other) => return Err(format!("refused for no reason: {other}")),
                }
            }
            if full {
                // The log pauses then; this life ends instead.
                return Ok(());
            }
            if refused {
                // Either the power is gone, or the repair is quick, once there is space for it.
                self.disk.fail(|faults| faults.free_bytes = None);
                let began = Instant::now();
                while self.disk.faults().calls_left != Some(0) && log.stats().state != LogState::Accepting {
                    if began.elapsed() > PATIENCE {
                        return Err(format!("still {:?}", log.stats().state));
                    }
                    std::thread::yield_now();
                }
            }
        }
        if self.random.one_in(3) {
            log.close();
        }
        Ok(())
    }

    /// A new record, one that was refused, or one that is known.
    fn choose(&mut self) -> u64 {
        let again = match self.random.below(8) {
            0 => self.unanswered.iter().nth(self.random.below(self.unanswered.len().max(1))).copied(),
            1 => self.acknowledged.keys().nth(self.random.below(self.acknowledged.len().max(1))).copied(),
            _ => None,
        };
        again.unwrap_or_else(|| {
            self.numbers += 1;
            self.unanswered.insert(self.numbers);
            self.numbers
        })
    }

    fn note(&mut self, number: u64, outcome: Appended, tally: &mut Tally) -> Result<(), String> {
        match outcome {
            Appended::Stored(offset) => {
                tally.acknowledged += 1;
                if self.acknowledged.insert(number, offset).is_some() {
                    return Err(format!("record {number} was stored twice"));
                }
                self.unanswered.remove(&number);
            }
            Appended::Duplicate => {
                tally.duplicates += 1;
                self.duplicates.insert(number);
            }
        }
        Ok(())
    }

    /// Opens what is left and compares.
    fn examine(&mut self, tally: &mut Tally) -> Result<(), String> {
        let log = EventLog::open(Arc::new(self.disk.clone()), small(), START).map_err(|error| format!("does not open: {error}"))?;
        tally.torn_tails += usize::from(log.stats().torn_bytes > 0);
        if log.stats().corruptions > 0 {
            return Err(String::from("a power cut was taken for damage"));
        }
        let found = read_all(&log).map_err(|error| format!("does not read: {error}"))?;
        if let Some(pair) = found.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(format!("offset {:?} comes after {:?}", pair[1].0, pair[0].0));
        }
        let mut offsets = BTreeMap::new();
        for (offset, id, bytes) in found {
            if offsets.insert(id, (offset, bytes)).is_some() {
                return Err(format!("offset {offset:?} is a record that is there already"));
            }
        }
        if let Some(number) = self.duplicates.iter().find(|number| !offsets.contains_key(&id(**number))) {
            return Err(format!("record {number}, said to be durable already, is lost"));
        }
        for (number, offset) in &self.acknowledged {
            match offsets.remove(&id(*number)) {
                None => return Err(format!("record {number}, acknowledged at {offset:?}, is lost")),
                Some((found, _)) if found != *offset => return Err(format!("record {number} moved from {offset:?} to {found:?}")),
                Some((_, bytes)) if bytes != Self::record(*number).bytes() => return Err(format!("record {number} changed")),
                Some(_) => {}
            }
        }
        for number in self.unanswered.clone() {
            if let Some((offset, bytes)) = offsets.remove(&id(number)) {
                if bytes != Self::record(number).bytes() {
                    return Err(format!("record {number} changed"));
                }
                // It is durable now, and sending it again must say so.
                tally.unacknowledged_survivors += 1;
                self.unanswered.remove(&number);
                self.acknowledged.insert(number, offset);
            }
        }
        if !offsets.is_empty() {
            return Err(format!("{} records that nobody sent", offsets.len()));
        }
        let known: Vec<u64> = self.acknowledged.keys().rev().take(20).copied().collect();
        let again = super::append(&log, known.iter().map(|number| Self::record(*number)).collect());
        match again {
            Ok(outcomes) if outcomes.iter().all(|outcome| *outcome == Appended::Duplicate) => Ok(()),
            other => Err(format!("known records sent again: {other:?}")),
        }
    }
}
