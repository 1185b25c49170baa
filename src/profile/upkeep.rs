//! Looking after what is there: what is of people who do not agree any more is removed, and what is past its time leaves the timelines.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    Profiles,
    entry::{Class, Entry},
    store::{Change, EntryRow, ProfileError, StrandKey},
    strand::Strand,
};
use crate::{clock::Timestamp, documents::Documents, privacy::profiled::PersonHandle};

/// Strands whose people are asked for at a time.
const STRANDS_AT_ONCE: usize = 1_000;
/// Events that leave at a time.
const EVENTS_AT_ONCE: usize = 500;
/// How often it is looked for what is past its time; and for who does not agree any more, where nobody said so (a key whose time is over, an
/// erasure by another process while this one did not run).
const UPKEEP: Duration = Duration::from_secs(60);

/// At this moment nobody's consent has ended by its time.
const BEFORE_ALL_TIME: Timestamp = Timestamp(i64::MIN);

/// When it was last looked for what.
#[derive(Default)]
pub(super) struct Upkeep {
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// How many had ceased to agree to something by then.
    endings: Option<u64>,
    looked: Option<Timestamp>,
    kept: Option<Timestamp>,
}

impl Upkeep {
    /// Does what is due. Returns how many strands were removed. Where the calendar is not to be believed, nothing is taken for past its time.
    pub(super) fn look(&self, profiles: &Profiles, documents: &Documents, now: Timestamp, believed: bool) -> Result<u64, ProfileError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |since: Option<Timestamp>| since.is_none_or(|since| now.since(since) >= UPKEEP || now < since);
        let endings = profiles.seals().endings();
        let mut removed = 0;
        if last.endings != Some(endings) || due(last.looked) {
            removed = remove_gone(profiles, if believed { now } else { BEFORE_ALL_TIME })?;
            (last.endings, last.looked) = (Some(endings), Some(now));
        }
        if believed && due(last.kept) {
            let_go(profiles, documents, now)?;
            last.kept = Some(now);
        }
        Ok(removed)
    }
}

/// Removes what is of people who do not agree to a profile any more. Returns how many strands that were.
pub(super) fn remove_gone(profiles: &Profiles, now: Timestamp) -> Result<u64, ProfileError> {
    let store = profiles.store()?;
    let (mut after, mut gone) = (None, BTreeSet::new());
    loop {
        let rows = store.strands_after(after.as_ref(), STRANDS_AT_ONCE)?;
        let Some(last) = rows.last() else { break };
        after = Some(last.key);
        let people: BTreeSet<PersonHandle> = rows.iter().map(|row| row.key.person).collect();
        gone.extend(profiles.seals().gone(&people.into_iter().collect::<Vec<_>>(), now)?);
    }
    if gone.is_empty() { Ok(0) } else { store.remove(&gone) }
}

/// Takes out of the timelines what is past its time; what is known from it stays.
fn let_go(profiles: &Profiles, documents: &Documents, now: Timestamp) -> Result<(), ProfileError> {
    let store = profiles.store()?;
    for rules in &documents.profiles {
        for (class, kept) in Class::ALL.into_iter().zip(rules.kept) {
            loop {
                let rows = store.older(rules.site(), class, now.minus(kept), EVENTS_AT_ONCE)?;
                let enough = rows.len() < EVENTS_AT_ONCE;
                if !rows.is_empty() {
                    let _changing = profiles.changing();
                    store.write(&letting_go(profiles, rows, now)?)?;
                }
                if enough {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn letting_go(profiles: &Profiles, rows: Vec<EntryRow>, now: Timestamp) -> Result<Change, ProfileError> {
    let (store, seals) = (profiles.store()?, profiles.seals());
    let mut change = Change::default();
    let mut by_strand: BTreeMap<StrandKey, Vec<Entry>> = BTreeMap::new();
    for row in rows {
        change.dropped.push((row.key, row.event));
        by_strand.entry(row.key).or_default().extend(Entry::opened(&row, seals, now)?);
    }
    for (key, entries) in by_strand {
        let Some(row) = store.strand(&key)? else { continue };
        let Some(mut strand) = Strand::opened(&row, seals, now)? else { continue };
        strand.let_go(&entries);
        change.strands.extend(strand.sealed(key, row.browser, seals, now)?);
    }
    Ok(change)
}
