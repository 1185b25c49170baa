//! What a person may ask of what rests about them: to have it, and to have it erased. Whoever asks names a cookie id, or an account that the
//! site's backend has proven; here it is found whose keys that means.
//!
//! | concept | file |
//! |---|---|
//! | whose keys an id means | here |
//! | what they are handed, and the only way out for it | `export`, as a page `page` |
//! | who has received something of them, and under which ids | `recipients` |
//! | the erasure list: who must not come back, as keyed marks | `erasures` |
//! | keeping without using, and no profile | `hold` |
//! | whose data a profile's parts are | `parts` |
//! | destroying keys, emptying records, and both again after a restore | `erase` |

pub mod erase;
pub mod erasures;
pub mod export;
pub mod hold;
mod page;
pub mod parts;
pub mod recipients;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    clean::{CleanEvent, OpenError, Opened},
    identifiers::{IdentifierKind, normal},
    identity::Assurance,
    keys::{
        database::KeysDb,
        persistent::PersistentKeys,
        person::{Person, PersonKeys},
    },
    personal::Personal,
    profiled::{IdentifierKey, PersonHandle},
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
    /// By something else that the site's backend has said they are known by.
    Known(IdentifierKind, Personal<String>),
}

/// The people whom an id means: one key each. An account may have been used in several browsers.
pub struct Found {
    pub(in crate::privacy) site: SiteNumber,
    pub(in crate::privacy) people: Vec<FoundPerson>,
    /// What was asked for, where it was not a browser.
    pub(in crate::privacy) asked: Option<AskedFor>,
}

/// What events carry that are certainly of whoever is asked for.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::privacy) enum AskedFor {
    /// The account.
    Account(String),
    /// The identifier, as it rests in bodies.
    Known(IdentifierKind, IdentifierKey),
    /// A profile, of these parts.
    Parts,
}

/// One of them.
pub(in crate::privacy) struct FoundPerson {
    pub(in crate::privacy) person: Arc<Person>,
    /// Accounts that were proven together with what was asked for.
    pub(in crate::privacy) accounts: BTreeSet<String>,
    /// Other accounts have been proven in the same browser.
    pub(in crate::privacy) shared: bool,
    /// What was done there under no account is theirs all the same.
    pub(in crate::privacy) without_account: bool,
}

impl Found {
    /// Nobody yet; [`Rights::add`] says who.
    #[must_use]
    pub const fn nobody(site: SiteNumber) -> Self {
        Self { site, people: Vec::new(), asked: None }
    }

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
                let people = person
                    .into_iter()
                    .map(|person| FoundPerson { person, accounts: BTreeSet::new(), shared: false, without_account: false })
                    .collect();
                Ok(Found { site, people, asked: None })
            }
            Asked::Account(account) => self.find_in_log(site, AskedFor::Account(account.expose().trim().to_owned()), now),
            Asked::Known(kind, said) => match normal(*kind, said.expose()) {
                Some(normal) => {
                    let key = self.persistent.site(site)?.identifier(kind.name(), &normal);
                    self.find_in_log(site, AskedFor::Known(*kind, IdentifierKey::of_bytes(key)), now)
                }
                // What has not the form of one is nobody's.
                None => Ok(Found { site, people: Vec::new(), asked: None }),
            },
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
        let accounts: BTreeSet<String> = match &found.asked {
            Some(AskedFor::Account(account)) => BTreeSet::from([account.clone()]),
            _ => BTreeSet::new(),
        };
        found.people.extend(self.persons.of_handle(person.bytes(), now)?.map(|person| FoundPerson {
            person,
            accounts,
            shared,
            without_account: false,
        }));
        Ok(())
    }

    fn find_in_log(&self, site: SiteNumber, asked: AskedFor, now: Timestamp) -> Result<Found, RightsError> {
        // By handle: whether what is asked for was proven there, the accounts proven together with it, and all that were proven.
        let mut seen: HashMap<[u8; 16], (bool, BTreeSet<String>, BTreeSet<String>)> = HashMap::new();
        let mut failed = None;
        look(&self.log, &mut |record| {
            match self.proven(&record.bytes, site, now) {
                Ok(Some((handle, event))) => {
                    let (theirs, together, all) = seen.entry(handle).or_default();
                    let account = account_of(&event);
                    if asked.is_carried_by(&event) {
                        *theirs = true;
                        together.extend(account.clone());
                    }
                    all.extend(account);
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
        for (handle, (_, accounts, all)) in seen.into_iter().filter(|(_, (theirs, ..))| *theirs) {
            let shared = !all.is_subset(&accounts);
            let person = self.persons.of_handle(&handle, now)?;
            people.extend(person.map(|person| FoundPerson { person, accounts, shared, without_account: false }));
        }
        people.sort_by_key(|found| found.person.handle());
        Ok(Found { site, people, asked: Some(asked) })
    }

    /// The record's event, where it may prove something, and the handle of the person whose it is.
    fn proven(&self, bytes: &LogBytes, site: SiteNumber, now: Timestamp) -> Result<Option<([u8; 16], CleanEvent)>, StoreError> {
        let Ok(header) = super::record::header_of(bytes) else { return Ok(None) };
        let Subject::Person(handle) = header.subject else { return Ok(None) };
        if header.site != site {
            return Ok(None);
        }
        Ok(self.proving(bytes, now)?.map(|event| (handle, event)))
    }

    /// The account that the record's event proves.
    fn account(&self, bytes: &LogBytes, now: Timestamp) -> Result<Option<String>, StoreError> {
        Ok(self.proving(bytes, now)?.and_then(|event| account_of(&event)))
    }

    /// The record's event, where it may prove something. Bodies that prove nothing are not read: in a log of millions that is the longest part.
    fn proving(&self, bytes: &LogBytes, now: Timestamp) -> Result<Option<CleanEvent>, StoreError> {
        let may_prove = |body: &[u8]| memchr::memmem::find(body, PROVEN).is_some() || claimed_ones_find();
        event(CleanEvent::open_where(bytes, &self.persons, now, may_prove))
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

impl AskedFor {
    /// Whether an event proves it.
    fn is_carried_by(&self, event: &CleanEvent) -> bool {
        match self {
            Self::Account(account) => account_of(event).as_ref() == Some(account),
            Self::Known(kind, key) => event.body().granted.iter().flat_map(|granted| &granted.identifiers).any(|said| {
                let proven = said.assurance == Assurance::Proven || claimed_ones_find();
                (said.kind, said.key) == (*kind, *key) && proven
            }),
            // Its accounts are known for each browser.
            Self::Parts => false,
        }
    }
}

impl FoundPerson {
    /// Whether an event is certainly of whoever is asked for: in a browser that others have used, too, only what carries what was asked for, or an account
    /// that was proven together with it.
    fn is_theirs(&self, asked: Option<&AskedFor>, event: &CleanEvent) -> bool {
        let Some(asked) = asked.filter(|_| self.shared) else { return true };
        match account_of(event) {
            Some(account) if self.accounts.contains(&account) => true,
            account => asked.is_carried_by(event) || account.is_none() && self.without_account,
        }
    }
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
