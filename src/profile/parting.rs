//! Parting a browser from its account's profile, and joining it again: what somebody decides, with who and why.

use super::{
    Profiles,
    identity::Joined,
    store::{Decision, ProfileError, StrandKey},
};
use crate::{clock::Timestamp, documents::ProfileRules};

/// A reason is a sentence or two.
pub const REASON_BYTES_MAX: usize = 1_000;

/// What somebody wants of a browser.
pub struct Wish<'a> {
    /// Which, as a profile's parts are named.
    pub part: &'a str,
    /// Only what it did under no account.
    pub without_account: bool,
    /// To part it; else to join it again.
    pub apart: bool,
    /// Who.
    pub author: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// What is to be decided, and of which profile it is so far.
pub struct Considered {
    key: StrandKey,
    /// The profile that it is a part of.
    pub profile: String,
    /// The profile of what is decided of.
    pub joined: Joined,
    /// Whose strands are looked at.
    pub strands: Vec<StrandKey>,
    /// Whether it is as wished already.
    pub is_so: bool,
}

/// Why nothing can be decided of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecidable {
    /// There is no browser of that name, or several accounts are used in it.
    NoSuchPart,
    /// It has done nothing under no account.
    NothingWithoutAccount,
}

impl Profiles {
    /// What a wish comes to.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn consider(&self, rules: &ProfileRules, wish: &Wish<'_>) -> Result<Result<Considered, Undecidable>, ProfileError> {
        let Some(holder) = self.holder(rules.site(), wish.part)? else {
            return Ok(Err(Undecidable::NoSuchPart));
        };
        let key = if wish.without_account { StrandKey { account: None, ..holder } } else { holder };
        if self.store()?.strand(&key)?.is_none() {
            return Ok(Err(if wish.without_account { Undecidable::NothingWithoutAccount } else { Undecidable::NoSuchPart }));
        }
        // Of the very part that is changed: another part of its browser, by which it may have been named, may be of another profile.
        let joined = self.joined(&key, rules)?;
        let is_apart = self.store()?.decisions(&key)?.last().is_some_and(|last| last.apart);
        let mut strands: Vec<_> = joined.strands.iter().copied().collect();
        strands.push(key);
        Ok(Ok(Considered { key, profile: joined.by.id(), joined, strands, is_so: is_apart == wish.apart }))
    }

    /// Does it. Returns the profile that it is a part of then.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn decide_as(
        &self,
        rules: &ProfileRules,
        considered: &Considered,
        wish: &Wish<'_>,
        now: Timestamp,
    ) -> Result<String, ProfileError> {
        if !considered.is_so {
            let (author, reason) = (wish.author.to_owned(), wish.reason.to_owned());
            self.decide(&Decision { key: considered.key, apart: wish.apart, at: now, author, reason })?;
        }
        Ok(self.joined(&considered.key, rules)?.by.id())
    }
}
