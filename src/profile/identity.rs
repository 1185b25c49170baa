//! Which strands are one profile. The graph has two kinds of identifiers, a browser's visitor cookie and an account of the site's, and only
//! what is proven is in it: a strand is tied to its browser because it came with that cookie, and to an account because the site's backend has
//! signed that this browser is its. What a browser merely claims ties nothing.
//!
//! An identifier joins what is tied to it, unless it is shared by too many: an account by more browsers than the site's document says (a
//! name for everyone, such as "guest"), a browser by more than one account (a family's tablet: what nobody's account says whose it is stays
//! apart). Nothing here depends on the order in which anything was learnt.

use std::collections::BTreeSet;

use super::store::{ProfileError, ProfileStore, StrandKey};
use crate::privacy::profiled::AccountId;

/// With more accounts than this, a browser joins nothing: what it did under none of them could be anybody's.
pub const ACCOUNTS_PER_BROWSER: usize = 1;
/// Strands of one browser that are read: a hundred people at one shop's terminal.
pub const STRANDS_PER_BROWSER_MAX: usize = 100;

/// What joins the strands of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JoinedBy {
    /// An account that was proven in each of its browsers.
    Account(AccountId),
    /// One browser's cookie.
    Browser(u64),
    /// Nothing: a part of a browser that others have accounts in.
    Part(u64, AccountId),
}

impl JoinedBy {
    /// The profile's id.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Account(account) => account.to_string(),
            Self::Browser(browser) => format!("{browser:016x}"),
            Self::Part(browser, account) => format!("{browser:016x}.{account}"),
        }
    }

    /// The rule, in a word.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Account(_) => "proven_account",
            Self::Browser(_) => "one_browser",
            Self::Part(..) => "nothing",
        }
    }
}

/// The strands of one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// What joins them.
    pub by: JoinedBy,
    /// Which they are.
    pub strands: BTreeSet<StrandKey>,
    /// An account that is shared by too many to join anything.
    pub refused: Option<AccountId>,
}

impl std::fmt::Debug for StrandKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not whose.
        f.debug_struct("StrandKey").field("site", &self.site.0).field("account", &self.account).finish_non_exhaustive()
    }
}

/// A browser's own strands.
struct Browser {
    browser: u64,
    strands: BTreeSet<StrandKey>,
}

impl Browser {
    fn read(store: &dyn ProfileStore, key: &StrandKey) -> Result<Self, ProfileError> {
        let rows = store.of_person(key.site, &key.person)?;
        let browser = rows.first().map_or(0, |row| row.browser);
        Ok(Self { browser, strands: rows.into_iter().map(|row| row.key).take(STRANDS_PER_BROWSER_MAX).collect() })
    }

    fn joins(&self) -> bool {
        self.strands.iter().filter(|strand| strand.account.is_some()).count() <= ACCOUNTS_PER_BROWSER
    }

    /// What it did under no account, where that is certainly of whoever has its one account.
    fn without_account(&self, store: &dyn ProfileStore) -> Result<Option<StrandKey>, ProfileError> {
        let Some(strand) = self.strands.iter().find(|strand| strand.account.is_none()).filter(|_| self.joins()) else { return Ok(None) };
        Ok(if is_apart(store, strand)? { None } else { Some(*strand) })
    }
}

/// Whether somebody has decided that a strand is not its account's.
pub(super) fn is_apart(store: &dyn ProfileStore, strand: &StrandKey) -> Result<bool, ProfileError> {
    Ok(store.decisions(strand)?.last().is_some_and(|decision| decision.apart))
}

/// The profile that a strand is of.
///
/// # Errors
/// When the store cannot be used.
pub fn joined(store: &dyn ProfileStore, strand: &StrandKey, browsers_per_account: usize) -> Result<Joined, ProfileError> {
    let own = Browser::read(store, strand)?;
    let alone = |by| Joined { by, strands: BTreeSet::from([*strand]), refused: None };
    let account = match strand.account {
        Some(account) => account,
        // The browser's one account, if that is what this is joined with.
        None => match own.without_account(store)?.and_then(|_| own.strands.iter().find_map(|strand| strand.account)) {
            Some(account) => account,
            None => return Ok(alone(JoinedBy::Browser(own.browser))),
        },
    };
    let with_account = StrandKey { account: Some(account), ..*strand };
    let holders = store.of_account(strand.site, &account, browsers_per_account.saturating_add(1))?;
    let refused = holders.len() > browsers_per_account;
    if refused || is_apart(store, &with_account)? {
        let mut strands = BTreeSet::from([with_account]);
        strands.extend(own.without_account(store)?);
        let by = if own.joins() { JoinedBy::Browser(own.browser) } else { JoinedBy::Part(own.browser, account) };
        return Ok(Joined { by, strands, refused: refused.then_some(account) });
    }
    let mut strands = BTreeSet::new();
    for holder in holders {
        if is_apart(store, &holder.key)? {
            continue;
        }
        strands.insert(holder.key);
        strands.extend(Browser::read(store, &holder.key)?.without_account(store)?);
    }
    Ok(Joined { by: JoinedBy::Account(account), strands, refused: None })
}
