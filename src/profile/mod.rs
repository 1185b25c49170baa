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
//! | contacts of the site's customer system | `contact` |
//! | how somebody is written to, opened | `contact_view` |
//! | an address that was confirmed by a mailed link | `confirmed` |
//! | removing what is of people who do not agree any more, and what is past its time | `upkeep` |
//! | making all traits again | `again` |
//! | a profile as it is shown to whose it is | `own` |
//! | a profile as it is shown | `view`, its events `timeline` |
//! | what a page is told of its visitor's own | `lookup` |
//! | what somebody decides of a part | `parting` |
//! | who looked at whose, and did what | `audit` |
//! | whose data an identifier or a cookie means | `whose` |

mod again;
pub mod audit;
mod confirmed;
pub mod contact;
pub mod contact_view;
pub mod entry;
pub mod identity;
pub mod lattice;
mod lookup;
pub mod own;
pub mod parting;
pub mod postgres;
pub mod projector;
pub mod sqlite;
pub mod store;
pub mod strand;
pub mod timeline;
pub mod traits;
mod upkeep;
pub mod view;
pub mod whose;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

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
    documents::{ProfileRules, profile::IdentifierRule},
    event::SiteNumber,
    privacy::{
        identifiers::{Identifier, IdentifierKind},
        profiled::{AccountId, IdentifierKey, PersonHandle, ProfileSeals},
    },
};

/// All profiles of an installation: where they rest, and the keys that open them.
pub struct Profiles {
    place: Place,
    store: OnceLock<Box<dyn ProfileStore>>,
    seals: ProfileSeals,
    /// Held from when a strand is read until it is written: the projector is not the only one who changes them.
    changing: Mutex<()>,
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
        Self { place: Place::Directory(data_dir), store: OnceLock::new(), seals, changing: Mutex::default() }
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
        Self { place: Place::Open, store: OnceLock::from(store), seals, changing: Mutex::default() }
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

    /// Nobody else of this process changes a strand while it is held.
    pub(super) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
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
        if let Some(key) = IdentifierKey::parse(id) {
            let mut first = None;
            // No two kinds have the same id.
            for kind in IdentifierKind::ALL {
                for row in store.of_identifier(site, &Identifier { kind, key }, identity::STRANDS_PER_BROWSER_MAX)? {
                    if !identity::is_apart(store, &row.key)? {
                        return Ok(Some(row.key));
                    }
                    first = first.or(Some(row.key));
                }
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

    /// A browser's parts with their ids, by its visitor cookie under the store's key.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn parts_of_browser(&self, site: SiteNumber, browser: u64) -> Result<Vec<(StrandKey, String)>, ProfileError> {
        let strands = self.store()?.of_browser(site, browser)?;
        Ok(strands.iter().take(identity::STRANDS_PER_BROWSER_MAX).map(|row| (row.key, strand_id(&row.key, row.browser))).collect())
    }

    /// The parts of all who have an identifier, with their ids; of one that very many have, the first.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn parts_of_identifier(&self, site: SiteNumber, identifier: &Identifier) -> Result<Vec<(StrandKey, String)>, ProfileError> {
        let strands = self.store()?.of_identifier(site, identifier, identity::STRANDS_PER_BROWSER_MAX)?;
        Ok(strands.iter().map(|row| (row.key, strand_id(&row.key, row.browser))).collect())
    }

    /// The strand of a browser that is parted from a profile, or joined with it again: the one with an account, where one has. Nothing: several
    /// have, and then the id says which.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn holder(&self, site: SiteNumber, id: &str) -> Result<Option<StrandKey>, ProfileError> {
        if id.contains('.') {
            return self.named(site, id);
        }
        let Some(browser) = browser_of(id) else { return Ok(None) };
        let strands = self.store()?.of_browser(site, browser)?;
        let mut with_account = strands.iter().map(|row| row.key).filter(|key| key.account.is_some());
        Ok(match (with_account.next(), with_account.next()) {
            (None, _) => strands.first().map(|row| row.key),
            (Some(sole), None) => Some(sole),
            (Some(_), Some(_)) => None,
        })
    }

    /// The profile that a strand is of.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn joined(&self, strand: &StrandKey, rules: &ProfileRules) -> Result<Joined, ProfileError> {
        identity::joined(self.store()?, strand, &rules.identifiers)
    }

    /// Parts a strand from its account's profile, or joins it with it again. Nothing is moved: what came after stays where it is from, too.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn decide(&self, decision: &Decision) -> Result<(), ProfileError> {
        self.store()?.decide(decision)
    }

    /// In whose browsers an identifier was proven, and whether others are used there, too: another account, or one without the identifier.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn holders(&self, site: SiteNumber, identifier: &Identifier) -> Result<Vec<(PersonHandle, bool)>, ProfileError> {
        let store = self.store()?;
        let mut holders: BTreeMap<PersonHandle, BTreeSet<Option<AccountId>>> = BTreeMap::new();
        for row in store.of_identifier(site, identifier, HOLDERS_MAX)? {
            holders.entry(row.key.person).or_default().insert(row.key.account);
        }
        let mut found = Vec::new();
        for (person, theirs) in holders {
            let others = store.of_person(site, &person)?;
            let shared = others.iter().any(|other| other.key.account.is_some() && !theirs.contains(&other.key.account));
            found.push((person, shared));
        }
        Ok(found)
    }

    /// Whether what rests of somebody who is known by one of these is not to be used. One that so many have that it tells nobody apart says so of nobody.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn holds_of_any(&self, rules: &ProfileRules, known_by: &[Identifier]) -> Result<bool, ProfileError> {
        if !self.are_there() {
            return Ok(false);
        }
        for identifier in known_by {
            let Some(rule) = rules.identifiers.iter().find(|rule| rule.kind == identifier.kind) else { continue };
            let rows = self.store()?.of_identifier(rules.site(), identifier, rule.most.saturating_add(1))?;
            let people: BTreeSet<PersonHandle> = rows.iter().map(|row| row.key.person).collect();
            if people.len() <= rule.most && people.iter().any(|person| self.seals.is_restricted(person)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What somebody is known by who is known by this: of the parts of their browser that have it, what nobody else has.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn known_by(
        &self,
        rules: &ProfileRules,
        person: &PersonHandle,
        identifier: &Identifier,
    ) -> Result<BTreeSet<Identifier>, ProfileError> {
        let store = self.store()?;
        let mut known_by = BTreeSet::new();
        for row in store.of_person(rules.site(), person)? {
            let mut of_part = store.identifiers(&row.key)?;
            of_part.extend(row.key.account.map(|account| Identifier::of_account(&account)));
            if of_part.contains(identifier) {
                self.joined(&row.key, rules)?.retain_their_own(&mut of_part);
                known_by.append(&mut of_part);
            }
        }
        Ok(known_by)
    }

    /// How many identifiers of each kind are shared by too many to join anything.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn refused(&self, rules: &ProfileRules) -> Result<Vec<(IdentifierRule, u64)>, ProfileError> {
        let store = self.store()?;
        rules.identifiers.iter().map(|rule| Ok((*rule, store.shared(rules.site(), rule.kind, rule.most)?))).collect()
    }

    /// What is kept of these people, as one profile, with all of their events; where an identifier is asked for, what is certainly of it alone:
    /// nothing that was done under another account, nor in a browser that others use (`shared`) under none. Nothing: there is nothing.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn of_people(
        &self,
        rules: &ProfileRules,
        people: &[(PersonHandle, bool)],
        asked: Option<&Identifier>,
        now: Timestamp,
    ) -> Result<Option<ProfileView>, ProfileError> {
        let store = self.store()?;
        let (mut strands, mut by) = (BTreeSet::new(), None);
        for (person, shared) in people {
            for row in store.of_person(rules.site(), person)? {
                let theirs = match (asked, row.key.account) {
                    (None, _) => true,
                    (Some(_), _) if !shared => true,
                    (Some(asked), of) if asked.account().is_some() => asked.account() == of,
                    (Some(asked), _) => store.identifiers(&row.key)?.contains(asked),
                };
                if theirs {
                    by = by.or(Some(JoinedBy::Browser(row.browser)));
                    strands.insert(row.key);
                }
            }
        }
        let Some(by) = asked.map(|asked| JoinedBy::Identifier(*asked)).or(by).filter(|_| !strands.is_empty()) else { return Ok(None) };
        let joined = Joined::alone(by, strands);
        self.own_view(&joined, rules, again::TIMELINE_MAX, now)
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
                let joined = identity::joined(store, &row.key, &rules.identifiers)?;
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
