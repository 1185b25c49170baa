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
use crate::{
    clock::Timestamp,
    documents::Documents,
    event::SiteNumber,
    privacy::{
        identifiers::IdentifierKind,
        profiled::PersonHandle,
        rules::{Rule, holds},
    },
};

/// People of whom it is looked at a time whether they still agree; between two times beacons and lookups have their turn.
const PEOPLE_AT_ONCE: usize = 10_000;
/// Events that leave at a time.
const EVENTS_AT_ONCE: usize = 500;
/// How often it is looked for what is past its time.
const UPKEEP: Duration = Duration::from_secs(60);
/// How often everybody is looked at, where nobody said that somebody does not agree any more: what another process did to `keys.db` alone. With a million
/// people that takes some seconds.
const EVERYBODY: Duration = Duration::from_secs(60 * 60);
/// How often it is counted which identifiers are refused: with a million people that reads some hundred MB of an index.
const COUNTED: Duration = Duration::from_secs(10 * 60);
/// How often a large store is written anew, if somebody was erased since.
const WIPED: Duration = Duration::from_secs(24 * 60 * 60);

/// At this moment nobody's consent has ended by its time.
const BEFORE_ALL_TIME: Timestamp = Timestamp(i64::MIN);

/// When it was last looked for what.
#[derive(Default)]
pub(super) struct Upkeep {
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// How many had ceased to agree to something by then; nothing: it was never asked.
    endings: Option<u64>,
    /// A look at everybody that is under way.
    look: Option<Look>,
    /// Whether another one has to follow, since somebody may have been passed by.
    again: bool,
    looked: Option<Timestamp>,
    kept: Option<Timestamp>,
    counted: Option<Timestamp>,
    wiped: Option<Timestamp>,
}

/// How far a look at everybody is.
#[derive(Clone, Copy, Default)]
struct Look {
    behind: Option<PersonHandle>,
}

/// What upkeep came to.
#[derive(Default)]
pub(super) struct Kept {
    /// How many strands were removed.
    pub(super) removed: u64,
    /// Whether it has more to do at once.
    pub(super) more: bool,
    /// How many identifiers of each site and kind are refused as joiners; nothing: it was not counted now.
    pub(super) refused: Option<Refused>,
}

/// Identifiers that too many have: site, kind, how many.
pub(super) type Refused = Vec<(SiteNumber, IdentifierKind, u64)>;

impl Upkeep {
    /// Does what is due. Where the calendar is not to be believed, nothing is taken for past its time.
    pub(super) fn look(&self, profiles: &Profiles, documents: &Documents, now: Timestamp, believed: bool) -> Result<Kept, ProfileError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |since: Option<Timestamp>, every: Duration| since.is_none_or(|since| now.since(since) >= every || now < since);
        let by = if believed { now } else { BEFORE_ALL_TIME };
        let mut kept = Kept::default();

        let (endings, who) = profiles.seals().ended_since(last.endings.unwrap_or_default());
        match who {
            // Whoever had ended before this process asked for the first time is looked for among everybody.
            Some(who) if last.endings.is_some() => kept.removed += remove_gone(profiles, &who, by)?,
            _ => last.again = true,
        }
        last.endings = Some(endings);
        if last.look.is_none() && (last.again || due(last.looked, EVERYBODY)) {
            (last.look, last.again, last.looked) = (Some(Look::default()), false, Some(now));
        }
        if let Some(look) = last.look {
            let people = profiles.store()?.people_after(look.behind.as_ref(), PEOPLE_AT_ONCE)?;
            kept.removed += remove_gone(profiles, &people, by)?;
            last.look = people.last().filter(|_| people.len() >= PEOPLE_AT_ONCE).map(|person| Look { behind: Some(*person) });
            kept.more = last.look.is_some() || last.again;
        }

        if believed && due(last.kept, UPKEEP) {
            let_go(profiles, documents, now)?;
            last.kept = Some(now);
        }
        if due(last.counted, COUNTED) {
            kept.refused = Some(refused(profiles, documents)?);
            last.counted = Some(now);
        }
        if due(last.wiped, WIPED) {
            last.wiped = Some(now);
            // A disk without room for it must not hold up the rest.
            if let Err(error) = profiles.store()?.wipe_what_is_due() {
                tracing::error!(%error, "the profile store could not be written anew after an erasure; it is tried again tomorrow");
            }
        }
        Ok(kept)
    }
}

/// Removes what is of those of these people who do not agree to a profile any more. Returns how many strands that were.
fn remove_gone(profiles: &Profiles, people: &[PersonHandle], now: Timestamp) -> Result<u64, ProfileError> {
    let gone: BTreeSet<PersonHandle> = profiles.seals().gone(people, now)?.into_iter().collect();
    if gone.is_empty() || !holds(Rule::GoneLeaveTheProfiles) { Ok(0) } else { profiles.store()?.remove(&gone) }
}

fn refused(profiles: &Profiles, documents: &Documents) -> Result<Refused, ProfileError> {
    let mut refused = Vec::new();
    for rules in &documents.profiles {
        refused.extend(profiles.refused(rules)?.into_iter().map(|(rule, many)| (rules.site(), rule.kind, many)));
    }
    Ok(refused)
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
