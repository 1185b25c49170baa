//! Erasing: the marks first, then the keys, which is what makes log, parked events and backups unreadable at once; then the records' last
//! traces. Every step can be taken again after a crash, and all of them are taken again after a restore.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{
    AskedFor, Found, Rights, RightsError,
    erasures::{Erasures, Marks},
};
use crate::{
    clock::Timestamp,
    event::EventId,
    event_log::{LogBytes, look},
    privacy::{
        identifiers::Identifier,
        keys::{database::KeysDb, random_id},
        purge_set::{PurgeError, PurgeSet},
        record::{CorruptRecord, HEADER_BYTES, Header, Record, Subject},
        rules::{Rule, holds},
        transform::Breadth,
    },
    state::StoreError,
};

/// Handles that are remembered while records are looked at: a person's records lie close together.
const REMEMBERED_MAX: usize = 1 << 16;

impl Rights {
    /// Erases them, who are known by these identifiers: marks on the list, then the keys. When this returns nobody can read anything of them any more, but for a running
    /// server, which takes it up within a second. Blocks.
    ///
    /// # Errors
    /// When a database cannot be used. What was begun is finished by the next call, or the next start.
    pub fn erase(&self, found: &Found, known_by: &[Identifier], list: &Erasures, now: Timestamp) -> Result<(), RightsError> {
        // Also for an account of which nothing rests here: it may be in an older copy.
        if let Some(AskedFor::Account(account)) = &found.asked {
            list.note_account(list.of_account(found.site, account), now)?;
        }
        list.note_identifiers(found.site, known_by, now)?;
        let people: Vec<_> = found.people.iter().map(|found| (list.of_person(&found.person.handle()), found.person.expires())).collect();
        list.begin(&people, now)?;
        destroy_begun(list, &self.keys)?;
        Ok(())
    }
}

/// Destroys the keys of those whose erasure was begun. Returns how many. Blocks.
///
/// # Errors
/// When a database cannot be used. It can be called again.
pub fn destroy_begun(list: &Erasures, keys: &KeysDb) -> Result<usize, StoreError> {
    let begun = list.begun()?;
    if begun.is_empty() {
        return Ok(0);
    }
    let destroyed = keys.destroy_people(|handle| begun.contains(&list.of_person(handle)))?;
    list.keys_destroyed(&begun)?;
    Ok(destroyed)
}

/// Tells whose records are to be emptied.
pub struct Erased<'a> {
    list: &'a Erasures,
    marks: &'a Marks,
    known: HashMap<[u8; 16], bool>,
}

impl<'a> Erased<'a> {
    /// Those of these marks.
    #[must_use]
    pub fn new(list: &'a Erasures, marks: &'a Marks) -> Self {
        Self { list, marks, known: HashMap::new() }
    }

    fn holds(&mut self, handle: &[u8; 16]) -> bool {
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        *self.known.entry(*handle).or_insert_with(|| self.marks.contains(&self.list.of_person(handle)))
    }

    /// What rests of a record instead, where it is of one of them: that there was an event, on which site and when, so that its offset still
    /// comes to its end in every ledger. Neither the body nor the handle, and another event id, which leads nowhere.
    ///
    /// # Errors
    /// When the record is none of ours, or the system has no randomness to give.
    pub fn emptied(&mut self, bytes: &LogBytes) -> Result<Option<Record>, RightsOfRecord> {
        let mut header = Header::decode(bytes.as_slice())?;
        let Subject::Person(handle) = header.subject else { return Ok(None) };
        if !self.holds(&handle) || !holds(Rule::ErasedLeaveTheLog) {
            return Ok(None);
        }
        // Nobody's: no key row has this handle, and so the couriers take it for purged.
        header.subject = Subject::Person([0; 16]);
        header.event_id = EventId(random_id()?);
        header.ceiling = Breadth::NOTHING;
        let bytes = header.encode().to_vec();
        debug_assert_eq!(bytes.len(), HEADER_BYTES);
        Ok(Some(Record::new(&header, bytes)))
    }
}

/// A record cannot be emptied.
#[derive(Debug, thiserror::Error)]
pub enum RightsOfRecord {
    /// It is none of ours.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// The system has no randomness to give.
    #[error("the system gives no randomness: {0}")]
    System(#[from] std::io::Error),
}

/// What was done again to copies that are put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reapplied {
    /// Keys of people who withdrew or were erased since the copy was made.
    pub keys: usize,
    /// Objections of visitors without a cookie.
    pub objections: usize,
}

/// Does again what the list says, to a copy of `keys.db` and a log that are put back: nobody who is on it can be read afterwards. Blocks.
///
/// # Errors
/// When something cannot be read or written. It can be called again.
pub fn reapply(list: &Erasures, keys: &Arc<KeysDb>, rights: &Rights, log: &Path, now: Timestamp) -> Result<Reapplied, RightsError> {
    let mut done = Reapplied::default();
    if !holds(Rule::RestoreAppliesErasures) {
        return Ok(done);
    }
    destroy_begun(list, keys)?;
    let people = list.people()?;
    done.keys += keys.destroy_people(|handle| people.contains(&list.of_person(handle)))?;

    let (accounts, objections) = (list.accounts()?, list.objections()?);
    let purge_set = PurgeSet::open(Arc::clone(keys))?;
    let mut theirs: HashMap<[u8; 16], Timestamp> = HashMap::new();
    let mut failed: Option<RightsError> = None;
    look(log, &mut |record| {
        let Ok(header) = Header::decode(record.bytes.as_slice()) else { return true };
        let seen = match header.subject {
            Subject::Token(token) if !objections.is_empty() => {
                let listed = objections.contains(&list.of_token(header.site, header.epoch, &token));
                if listed && !purge_set.holds(header.site, header.epoch, &token) {
                    done.objections += 1;
                    purge_set.add(header.site, header.epoch, token).map_err(|error| match error {
                        PurgeError::Store(error) => error.into(),
                        PurgeError::Full => std::io::Error::other("the purge set is full").into(),
                    })
                } else {
                    Ok(())
                }
            }
            Subject::Person(handle) if !accounts.is_empty() => {
                rights.account(&record.bytes, now).map_err(RightsError::from).map(|account| {
                    if account.is_some_and(|account| accounts.contains(&list.of_account(header.site, &account))) {
                        theirs.insert(handle, now);
                    }
                })
            }
            _ => Ok(()),
        };
        failed = seen.err();
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let mut found = Vec::new();
    for handle in theirs.keys() {
        found.extend(rights.persons.of_handle(handle, now)?.map(|person| (list.of_person(handle), person.expires())));
    }
    list.begin(&found, now)?;
    done.keys += destroy_begun(list, keys)?;
    Ok(done)
}
