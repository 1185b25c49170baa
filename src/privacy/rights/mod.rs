//! What a person may ask of what rests about them: to have it, and to have it erased. Whoever asks names a cookie id, or an account that the
//! site's backend has proven; here it is found whose keys that means.
//!
//! | concept | file |
//! |---|---|
//! | whose keys an id means | here |
//! | what they are handed, and the only way out for it | `export`, as a page `page` |
//! | who has received something of them, and under which ids | `recipients` |
//! | the erasure list: who must not come back, as keyed marks | `erasures` |
//! | destroying keys, emptying records, and both again after a restore | `erase` |

pub mod erase;
pub mod erasures;
pub mod export;
mod page;
pub mod recipients;

use std::{collections::HashMap, path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    clean::{CleanEvent, OpenError, Opened},
    identity::Assurance,
    keys::{
        database::KeysDb,
        persistent::PersistentKeys,
        person::{Person, PersonKeys},
    },
    personal::Personal,
    profiled::PersonHandle,
    record::{Header, Subject},
    rules::{Rule, holds},
};
use crate::{
    clock::Timestamp,
    event::SiteNumber,
    event_log::{LogBytes, LogError, look},
    state::{StateDb, StoreError},
};

/// How a body says that its account is proven: [`Assurance::Proven`] as it rests.
const PROVEN: &[u8] = b"\"proven\"";

/// By what somebody is looked for, on one site.
pub enum Asked {
    /// By the value of our cookie in their browser.
    Cookie(Personal<String>),
    /// By their account, where the site's backend has proven that it is theirs.
    Account(Personal<String>),
}

/// The people whom an id means: one key each. An account may have been used in several browsers.
pub struct Found {
    pub(in crate::privacy) site: SiteNumber,
    pub(in crate::privacy) people: Vec<FoundPerson>,
    /// The account that was asked for, where it was one.
    pub(in crate::privacy) account: Option<String>,
}

/// One of them.
pub(in crate::privacy) struct FoundPerson {
    pub(in crate::privacy) person: Arc<Person>,
    /// Other accounts have been proven in the same browser.
    pub(in crate::privacy) shared: bool,
}

impl Found {
    /// Whether the id means nobody of whom anything rests.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.people.is_empty()
    }

    /// How many browsers are meant.
    #[must_use]
    pub fn browsers(&self) -> usize {
        self.people.len()
    }

    /// How many of them other accounts have been used in, too.
    #[must_use]
    pub fn shared(&self) -> usize {
        self.people.iter().filter(|found| found.shared).count()
    }

    /// Who they are, for the store of profiles, and whether other accounts are used in their browser.
    pub fn people(&self) -> impl Iterator<Item = (PersonHandle, bool)> {
        self.people.iter().map(|found| (PersonHandle::from_rest(found.person.handle()), found.shared))
    }

    fn of(&self, header: &Header) -> Option<&FoundPerson> {
        let Subject::Person(handle) = header.subject else { return None };
        self.people.iter().find(|found| found.person.handle() == handle && header.site == self.site)
    }
}

/// A look-up could not be made or finished.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system has no randomness to give.
    #[error("the system gives no randomness: {0}")]
    System(#[from] std::io::Error),
}

/// The keys and records of an installation, as the command line opens them beside a running server.
pub struct Rights {
    persons: PersonKeys,
    persistent: PersistentKeys,
    keys: Arc<KeysDb>,
    log: std::path::PathBuf,
}

impl Rights {
    /// Of these databases, and the event log in this directory.
    #[must_use]
    pub fn new(state: Arc<StateDb>, keys: Arc<KeysDb>, log: &Path) -> Self {
        Self { persons: PersonKeys::new(Arc::clone(&keys)), persistent: PersistentKeys::new(state), keys, log: log.to_owned() }
    }

    /// Whose keys the id means. One that is none of ours, or that nobody has, means nobody. Blocks; an account is looked for in every record
    /// that was sealed.
    ///
    /// # Errors
    /// When a database or the log cannot be read.
    pub fn find(&self, site: SiteNumber, asked: &Asked, now: Timestamp) -> Result<Found, RightsError> {
        match asked {
            Asked::Cookie(cookie) => {
                let cookie = cookie.expose().trim();
                // As the browser shows it, or as its header has it.
                let value = cookie.rsplit_once('=').map_or(cookie, |(_, value)| value);
                let id: Option<[u8; 16]> = URL_SAFE_NO_PAD.decode(value).ok().and_then(|id| id.try_into().ok());
                let person = match id {
                    Some(id) => self.persons.find(site, &self.persistent.site(site)?.cookie_index(&id), now)?,
                    None => None,
                };
                let people = person.into_iter().map(|person| FoundPerson { person, shared: false }).collect();
                Ok(Found { site, people, account: None })
            }
            Asked::Account(account) => self.find_account(site, account.expose().trim(), now),
        }
    }

    /// Adds one more whom the id means, as the store of profiles knows: a proof may be older than what is in the log. One who is found already
    /// stays. Blocks.
    ///
    /// # Errors
    /// When `keys.db` cannot be read.
    pub fn add(&self, found: &mut Found, person: &PersonHandle, shared: bool, now: Timestamp) -> Result<(), StoreError> {
        if let Some(known) = found.people.iter_mut().find(|known| known.person.handle() == *person.bytes()) {
            known.shared |= shared;
            return Ok(());
        }
        found.people.extend(self.persons.of_handle(person.bytes(), now)?.map(|person| FoundPerson { person, shared }));
        Ok(())
    }

    fn find_account(&self, site: SiteNumber, account: &str, now: Timestamp) -> Result<Found, RightsError> {
        // By handle: whether the account was proven there, and whether another one was.
        let mut seen: HashMap<[u8; 16], (bool, bool)> = HashMap::new();
        let mut failed = None;
        look(&self.log, &mut |record| {
            match self.proven_account(&record.bytes, site, now) {
                Ok(Some((handle, proven))) => {
                    let (theirs, others) = seen.entry(handle).or_default();
                    if proven == account { *theirs = true } else { *others = true }
                }
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
            failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        let mut people = Vec::new();
        for (handle, (_, shared)) in seen.into_iter().filter(|(_, (theirs, _))| *theirs) {
            people.extend(self.persons.of_handle(&handle, now)?.map(|person| FoundPerson { person, shared }));
        }
        people.sort_by_key(|found| found.person.handle());
        Ok(Found { site, people, account: Some(account.to_owned()) })
    }

    /// The account that the record's event proves, and the handle of the person whose it is.
    fn proven_account(&self, bytes: &LogBytes, site: SiteNumber, now: Timestamp) -> Result<Option<([u8; 16], String)>, StoreError> {
        let Ok(header) = super::record::header_of(bytes) else { return Ok(None) };
        let Subject::Person(handle) = header.subject else { return Ok(None) };
        if header.site != site {
            return Ok(None);
        }
        Ok(self.account(bytes, now)?.map(|account| (handle, account)))
    }

    /// The account that the record's event proves. Bodies that prove none are not read: in a log of millions that is the longest part.
    fn account(&self, bytes: &LogBytes, now: Timestamp) -> Result<Option<String>, StoreError> {
        let may_prove = |body: &[u8]| memchr::memmem::find(body, PROVEN).is_some() || claimed_ones_find();
        Ok(event(CleanEvent::open_where(bytes, &self.persons, now, may_prove))?.and_then(|event| account_of(&event)))
    }

    /// The record's event. None: nobody can read it any more.
    fn event(&self, bytes: &LogBytes, now: Timestamp) -> Result<Option<CleanEvent>, StoreError> {
        event(CleanEvent::open(bytes, &self.persons, now))
    }
}

fn event(opened: Result<Opened, OpenError>) -> Result<Option<CleanEvent>, StoreError> {
    match opened {
        Ok(Opened::Event(event)) => Ok(Some(event)),
        Ok(Opened::Purged) | Err(OpenError::Corrupt(_)) => Ok(None),
        Err(OpenError::Store(error)) => Err(error),
    }
}

fn claimed_ones_find() -> bool {
    !holds(Rule::OnlyProvenAccountsFind)
}

/// The account that an event proves. What a browser merely claims finds nobody: else whoever types in another's name had their data.
fn account_of(event: &CleanEvent) -> Option<String> {
    let granted = event.body().granted.as_deref()?;
    let proven = granted.user_assurance == Some(Assurance::Proven) || claimed_ones_find();
    granted.user_id.clone().filter(|_| proven)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proven_account_is_seen_before_its_body_is_read() {
        assert_eq!(serde_json::to_vec(&Assurance::Proven).unwrap(), PROVEN);
        assert_ne!(serde_json::to_vec(&Assurance::Claimed).unwrap(), PROVEN);
    }
}
