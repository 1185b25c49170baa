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
//! | where they rest | `store`, `sqlite` |
//! | reading the event log | `projector` |
//! | removing what is of people who do not agree any more, and what is past its time | `upkeep` |
//! | making all traits again | `again` |
//! | a profile as it is shown | `view` |

mod again;
pub mod entry;
pub mod identity;
pub mod lattice;
pub mod projector;
pub mod sqlite;
pub mod store;
pub mod strand;
pub mod traits;
mod upkeep;
pub mod view;

use std::{path::PathBuf, sync::OnceLock};

use self::{
    identity::{Joined, JoinedBy},
    sqlite::{PROFILES, SqliteProfiles},
    store::{Decision, ProfileError, ProfileStore, StrandKey},
};
use crate::{
    documents::ProfileRules,
    event::SiteNumber,
    privacy::profiled::{AccountId, ProfileSeals},
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
        let start = StrandKey { site: rules.site(), person: crate::privacy::profiled::PersonHandle::from_rest([0; 16]), account: None };
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
