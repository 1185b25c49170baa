//! The profile store: one profile per customer who agrees to it, which the site owns; joined by proof alone, explained, reversible, erasable.
//!
//! ```text
//! log → projector → strand: what one browser did under one proven account, or under none; sealed under that browser's consent's key
//!                     └ looked at: identity says which strands are one profile, and their traits are joined
//! ```
//! | concept | file |
//! |---|---|
//! | one event in a timeline, and how long it stays | `entry` |
//! | values that are joined in any order, and twice, to the same | `lattice` |
//! | what is known of a customer | `traits` |
//! | what is sealed, kept and removed as one | `strand` |
//! | which strands are one profile | `identity` |
//! | where they rest | `store`, `sqlite`, `postgres` |
//! | reading the event log | `projector` |
//! | removing what is of people who do not agree any more, and what is past its time | `upkeep` |
//! | making all traits again | `again` |
//! | a profile as it is shown | `view` |

mod again;
pub mod entry;
pub mod identity;
pub mod lattice;
pub mod postgres;
pub mod projector;
pub mod sqlite;
pub mod store;
pub mod strand;
pub mod traits;
mod upkeep;
pub mod view;

use std::{collections::BTreeSet, path::PathBuf, sync::OnceLock};

use self::{
    identity::{Joined, JoinedBy},
    postgres::PostgresProfiles,
    sqlite::{PROFILES, SqliteProfiles},
    store::{Decision, ProfileError, ProfileStore, StrandKey},
    view::ProfileView,
};
use tokio::runtime::Handle;

use crate::{
    clock::Timestamp,
    destination::{SettingsError, postgres::database},
    documents::ProfileRules,
    event::SiteNumber,
    privacy::profiled::{AccountId, PersonHandle, ProfileSeals},
};

/// All profiles of an installation: where they rest, and the keys that open them.
pub struct Profiles {
    place: Place,
    store: OnceLock<Box<dyn ProfileStore>>,
    seals: ProfileSeals,
}

enum Place {
    /// In a data directory. The file is made when something is to be kept.
    Directory(PathBuf),
    /// Opened already.
    Open,
}

impl Profiles {
    /// Those in a data directory.
    #[must_use]
    pub fn in_directory(data_dir: PathBuf, seals: ProfileSeals) -> Self {
        Self { place: Place::Directory(data_dir), store: OnceLock::new(), seals }
    }

    /// Those of a machine: in its data directory, or where `postgres` says. `runtime` moves a database's bytes; it is not to be asked on one of its
    /// own threads then.
    ///
    /// # Errors
    /// When what is said of the database is wrong.
    pub fn of_machine(
        data_dir: PathBuf,
        postgres: Option<&toml::Table>,
        seals: ProfileSeals,
        runtime: impl FnOnce() -> Handle,
    ) -> Result<Self, SettingsError> {
        Ok(match postgres {
            Some(settings) => Self::in_store(Box::new(PostgresProfiles::new(database(settings)?, runtime())), seals),
            None => Self::in_directory(data_dir, seals),
        })
    }

    /// Those in this store.
    #[must_use]
    pub fn in_store(store: Box<dyn ProfileStore>, seals: ProfileSeals) -> Self {
        Self { place: Place::Open, store: OnceLock::from(store), seals }
    }

    /// Whether anything may be kept already.
    #[must_use]
    pub fn are_there(&self) -> bool {
        match &self.place {
            Place::Directory(directory) => self.store.get().is_some() || directory.join(PROFILES.file).exists(),
            Place::Open => true,
        }
    }

    /// Where they rest. Blocks when it is opened.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn store(&self) -> Result<&dyn ProfileStore, ProfileError> {
        if let (None, Place::Directory(directory)) = (self.store.get(), &self.place) {
            // Who comes second opens it in vain.
            let _ = self.store.set(Box::new(SqliteProfiles::open(&directory.join(PROFILES.file))?));
        }
        Ok(&**self.store.get().expect("it was opened"))
    }

    /// What they are sealed with.
    #[must_use]
    pub const fn seals(&self) -> &ProfileSeals {
        &self.seals
    }

    /// The strand that an id names: a profile's, a browser's, or a part of a browser.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn named(&self, site: SiteNumber, id: &str) -> Result<Option<StrandKey>, ProfileError> {
        let store = self.store()?;
        if let Some(account) = AccountId::parse(id) {
            let mut first = None;
            for row in store.of_account(site, &account, identity::STRANDS_PER_BROWSER_MAX)? {
                if !identity::is_apart(store, &row.key)? {
                    return Ok(Some(row.key));
                }
                first = first.or(Some(row.key));
            }
            return Ok(first);
        }
        let (browser, account) = match id.split_once('.') {
            Some((browser, account)) => (browser, AccountId::parse(account)),
            None => (id, None),
        };
        let Some(number) = browser_of(browser) else { return Ok(None) };
        let strands = store.of_browser(site, number)?;
        let whole = id.len() == browser.len();
        // Those without an account come first.
        Ok(strands.into_iter().map(|row| row.key).find(|key| whole || account.is_some() && key.account == account))
    }

    /// The strand of a browser that has an account: the one that is parted from that account's profile, or joined with it again. Nothing: it
    /// has none, or several, and then its id says which.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn holder(&self, site: SiteNumber, id: &str) -> Result<Option<StrandKey>, ProfileError> {
        if id.contains('.') {
            return self.named(site, id);
        }
        let Some(browser) = browser_of(id) else { return Ok(None) };
        let strands = self.store()?.of_browser(site, browser)?;
        let mut with_account = strands.into_iter().map(|row| row.key).filter(|key| key.account.is_some());
        Ok(with_account.next().filter(|_| with_account.next().is_none()))
    }

    /// The profile that a strand is of.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn joined(&self, strand: &StrandKey, rules: &ProfileRules) -> Result<Joined, ProfileError> {
        identity::joined(self.store()?, strand, rules.browsers_per_account)
    }

    /// Parts a strand from its account's profile, or joins it with it again. Nothing is moved: what came after stays where it is from, too.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn decide(&self, decision: &Decision) -> Result<(), ProfileError> {
        self.store()?.decide(decision)
    }

    /// In whose browsers an account was proven, and whether another one was, too.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn holders(&self, site: SiteNumber, account: &AccountId) -> Result<Vec<(PersonHandle, bool)>, ProfileError> {
        let store = self.store()?;
        let mut holders = Vec::new();
        for row in store.of_account(site, account, HOLDERS_MAX)? {
            let others = store.of_person(site, &row.key.person)?;
            let shared = others.iter().any(|other| other.key.account.is_some_and(|other| other != *account));
            holders.push((row.key.person, shared));
        }
        Ok(holders)
    }

    /// What is kept of these people, as one profile, with all of their events; where an account is asked for, what is certainly of it alone:
    /// nothing that was done under another one, nor in a browser that others use (`shared`) under none. Nothing: there is nothing.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn of_people(
        &self,
        rules: &ProfileRules,
        people: &[(PersonHandle, bool)],
        account: Option<&AccountId>,
        now: Timestamp,
    ) -> Result<Option<ProfileView>, ProfileError> {
        let store = self.store()?;
        let (mut strands, mut by) = (BTreeSet::new(), None);
        for (person, shared) in people {
            for row in store.of_person(rules.site(), person)? {
                let theirs = match (account, row.key.account) {
                    (None, _) => true,
                    (Some(asked), Some(of)) => *asked == of,
                    (Some(_), None) => !shared,
                };
                if theirs {
                    by = by.or(Some(JoinedBy::Browser(row.browser)));
                    strands.insert(row.key);
                }
            }
        }
        let Some(by) = account.map(|account| JoinedBy::Account(*account)).or(by).filter(|_| !strands.is_empty()) else { return Ok(None) };
        self.view(&Joined { by, strands, refused: None }, rules, again::TIMELINE_MAX, now)
    }

    /// Removes all that is kept of these people, to the last byte as far as the store can. Blocks for as long as that takes.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn erase(&self, people: &BTreeSet<PersonHandle>) -> Result<(), ProfileError> {
        let store = self.store()?;
        store.remove(people)?;
        store.wipe()
    }

    /// Profiles in the order in which they rest, from behind a strand on: of each, the strand that it is counted by. Returns also where to go on.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn page(
        &self,
        rules: &ProfileRules,
        after: Option<StrandKey>,
        most: usize,
    ) -> Result<(Vec<Joined>, Option<StrandKey>), ProfileError> {
        let store = self.store()?;
        let start = StrandKey { site: rules.site(), person: PersonHandle::from_rest([0; 16]), account: None };
        let mut at = after.unwrap_or(start);
        let mut found = Vec::new();
        loop {
            let rows = store.strands_after(Some(&at), PAGE)?;
            if rows.is_empty() {
                return Ok((found, None));
            }
            for row in rows {
                if row.key.site != rules.site() {
                    return Ok((found, None));
                }
                at = row.key;
                let joined = identity::joined(store, &row.key, rules.browsers_per_account)?;
                // A profile of several strands is met with each of them.
                if joined.strands.first() == Some(&row.key) {
                    found.push(joined);
                    if found.len() >= most {
                        return Ok((found, Some(at)));
                    }
                }
            }
        }
    }
}

/// Browsers of one account that are asked for: of a name for everyone, a part at a time.
const HOLDERS_MAX: usize = 10_000;

/// Strands read at a time.
const PAGE: usize = 256;

fn browser_of(id: &str) -> Option<u64> {
    (id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| u64::from_str_radix(id, 16).ok()).flatten()
}

/// A browser, or a part of one, as commands name it.
#[must_use]
pub fn strand_id(key: &StrandKey, browser: u64) -> String {
    match key.account {
        Some(account) => JoinedBy::Part(browser, account).id(),
        None => JoinedBy::Browser(browser).id(),
    }
}
