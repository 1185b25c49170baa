//! What a customer's own page shows of their profile, and what it may erase: by a browser's cookie what that browser produced, by a proven address the
//! profile that it joins.

use std::collections::BTreeSet;

use super::{
    Profiles,
    identity::{self, Joined, JoinedBy},
    store::{ProfileError, StrandKey},
    view::ProfileView,
};
use crate::{
    clock::Timestamp,
    documents::ProfileRules,
    privacy::{identifiers::Identifier, profiled::PersonHandle},
};

/// Events that the page shows.
const EVENTS_SHOWN: usize = 100;

/// What a mailed link opens.
pub struct OwnProfile {
    /// What there is.
    pub view: ProfileView,
    /// Whose browsers and contacts are in it.
    pub everyone: BTreeSet<PersonHandle>,
    /// Those that are in it, and in no other profile.
    pub people: BTreeSet<PersonHandle>,
    /// What they are known by, and nobody else.
    pub known_by: BTreeSet<Identifier>,
    /// Whether a part of it is in a browser that others use, too, and so goes with none of these people.
    pub shared: bool,
    /// Whether somebody asked that it be kept and not used.
    pub restricted: bool,
}

impl Profiles {
    /// What one browser produced. Where several accounts were used in it, what was done under none of them: the rest is for who has the account. Nothing:
    /// there is nothing.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn of_browser(&self, rules: &ProfileRules, person: &PersonHandle, now: Timestamp) -> Result<Option<ProfileView>, ProfileError> {
        let rows = self.store()?.of_person(rules.site(), person)?;
        let accounts = rows.iter().filter(|row| row.key.account.is_some()).count();
        let theirs = rows.iter().filter(|row| accounts <= 1 || row.key.account.is_none());
        let strands: BTreeSet<_> = theirs.map(|row| row.key).collect();
        let Some(row) = rows.first().filter(|_| !strands.is_empty()) else { return Ok(None) };
        let joined = Joined::alone(JoinedBy::Browser(row.browser), strands);
        self.own_view(&joined, rules, EVENTS_SHOWN, now)
    }

    /// The profile that an address joins. Nothing: nobody has it, several people do, or it joins nothing, and then it says of no profile whose it is.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn of_address(&self, rules: &ProfileRules, address: &Identifier, now: Timestamp) -> Result<Option<OwnProfile>, ProfileError> {
        let store = self.store()?;
        if !rules.identifiers.iter().any(|rule| rule.kind == address.kind && rule.joins) {
            return Ok(None);
        }
        let Some(strand) = self.named(rules.site(), &address.key.to_string())? else { return Ok(None) };
        let joined = self.joined(&strand, rules)?;
        if joined.too_many || joined.disputed.contains(address) || joined.refused.contains(address) {
            return Ok(None);
        }
        // A part that somebody has parted is not the address's, and whoever has it beside this profile makes it nobody's.
        let mut holders = Vec::new();
        for row in store.of_identifier(rules.site(), address, identity::STRANDS_PER_BROWSER_MAX)? {
            if !identity::is_apart(store, &row.key)? {
                holders.push(row.key);
            }
        }
        if holders.is_empty() || holders.iter().any(|holder| !joined.strands.contains(holder)) {
            return Ok(None);
        }
        let reached = self.reached(rules, &joined, holders)?;
        let beside: Vec<StrandKey> = joined.strands.difference(&reached).copied().collect();
        let joined = Joined { strands: reached, ..joined };
        let Some(view) = self.own_view(&joined, rules, EVENTS_SHOWN, now)? else { return Ok(None) };
        let (mut people, mut known_by, mut shared) = (BTreeSet::new(), BTreeSet::new(), false);
        for strand in &joined.strands {
            let all = store.of_person(rules.site(), &strand.person)?;
            if all.iter().all(|row| joined.strands.contains(&row.key)) {
                people.insert(strand.person);
                known_by.append(&mut store.identifiers(strand)?);
                known_by.extend(strand.account.map(|account| Identifier::of_account(&account)));
            } else {
                shared = true;
            }
        }
        joined.retain_their_own(&mut known_by);
        for strand in beside {
            known_by.retain(|known| strand.account.is_none_or(|account| *known != Identifier::of_account(&account)));
            for others in store.identifiers(&strand)? {
                known_by.remove(&others);
            }
        }
        // Whoever else was parted from it: what was agreed to under the address before goes.
        known_by.insert(*address);
        let everyone = joined.strands.iter().map(|strand| strand.person).collect();
        Ok(Some(OwnProfile { view, everyone, people, known_by, shared, restricted: self.is_restricted(&joined) }))
    }

    /// What of a profile those reach who have an address: by what is proven of it, and from an account on to what was done in its browser under none. Never the
    /// other way round: of a browser that others use, too, whoever has confirmed an address in it has not proven to be the one who has the account.
    fn reached(&self, rules: &ProfileRules, joined: &Joined, holders: Vec<StrandKey>) -> Result<BTreeSet<StrandKey>, ProfileError> {
        let joins = |known: &Identifier| {
            let rule = rules.identifiers.iter().find(|rule| rule.kind == known.kind);
            rule.is_some_and(|rule| rule.joins) && !joined.refused.contains(known) && !joined.disputed.contains(known)
        };
        let mut left = Vec::new();
        for strand in &joined.strands {
            let mut known_by = self.store()?.identifiers(strand)?;
            known_by.extend(strand.account.map(|account| Identifier::of_account(&account)));
            known_by.retain(joins);
            left.push((*strand, known_by));
        }
        let (mut reached, mut proven, mut browsers) = (BTreeSet::from_iter(holders), BTreeSet::new(), BTreeSet::new());
        loop {
            let before = left.len();
            left.retain(|(strand, known_by)| {
                let tied = strand.account.is_none() && browsers.contains(&strand.person);
                let near = tied || reached.contains(strand) || known_by.iter().any(|known| proven.contains(known));
                if near {
                    reached.insert(*strand);
                    proven.extend(known_by.iter().copied());
                    browsers.extend(strand.account.map(|_| strand.person));
                }
                !near
            });
            if left.len() == before {
                return Ok(reached);
            }
        }
    }
}
