//! Which strands are one profile. A strand is tied to its browser because it came with that cookie, and to an account, an id of the customer system,
//! an e-mail address or a phone number because the site's backend has said or signed so. What a browser merely claims ties nothing.
//!
//! **The rule**: kinds count in the order of the site's document; an identifier joins all that has it, unless those whom it and others of its kind
//! would bring together differ in an identifier of a kind before it: then none of these joins anything. A browser's cookie comes last: it
//! joins what was done in it under no account with its one account.
//!
//! An identifier that is proven in more browsers than the document says (a name for everyone, such as "guest") is nobody's: it joins nothing and
//! tells nobody apart. Nothing here depends on the order in which anything was learnt, and nothing rests of it but what somebody decided.

mod groups;

use std::collections::{BTreeMap, BTreeSet, btree_map};

use self::groups::Groups;
use super::store::{ProfileError, ProfileStore, StrandKey};
use crate::{
    documents::profile::IdentifierRule,
    privacy::{
        identifiers::{Identifier, IdentifierKind},
        profiled::{AccountId, PersonHandle},
    },
};

/// With more accounts than this, a browser joins nothing: what it did under none of them could be anybody's.
pub const ACCOUNTS_PER_BROWSER: usize = 1;
/// Strands of one browser that are read: a hundred people at one shop's terminal.
pub const STRANDS_PER_BROWSER_MAX: usize = 100;
/// Strands that are looked at together: a hundred browsers of one person, each with what was done under no account, and their household's. Where more
/// hang together nobody can say who is who, and each stands for itself.
const STRANDS_TOGETHER_MAX: usize = 400;

/// What joins the strands of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JoinedBy {
    /// An identifier that was proven: of those that there are, of the kind that counts most.
    Identifier(Identifier),
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
            Self::Identifier(identifier) => identifier.key.to_string(),
            Self::Browser(browser) => format!("{browser:016x}"),
            Self::Part(browser, account) => format!("{browser:016x}.{account}"),
        }
    }

    /// The rule, in a word.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Identifier(identifier) => rule_of(identifier.kind),
            Self::Browser(_) => "one_browser",
            Self::Part(..) => "nothing",
        }
    }
}

/// The rule by which an identifier of that kind joins, in a word.
#[must_use]
pub const fn rule_of(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Account => "proven_account",
        IdentifierKind::Crm => "proven_crm",
        IdentifierKind::Email => "proven_email",
        IdentifierKind::Phone => "proven_phone",
    }
}

/// The strands of one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// What joins them.
    pub by: JoinedBy,
    /// Which they are.
    pub strands: BTreeSet<StrandKey>,
    /// Identifiers of theirs that are shared by too many to join anything.
    pub refused: BTreeSet<Identifier>,
    /// Identifiers of theirs that join nothing here, since one that counts more tells those apart who have it.
    pub disputed: BTreeSet<Identifier>,
    /// Identifiers of theirs that are proven in a browser, or said of a contact, beside these, too.
    pub others: BTreeSet<Identifier>,
    /// So many hang together with them that none of it was joined.
    pub too_many: bool,
}

impl Joined {
    /// These strands and no more, whatever else would be joined with them.
    pub(super) const fn alone(by: JoinedBy, strands: BTreeSet<StrandKey>) -> Self {
        let none = BTreeSet::new;
        Self { by, strands, refused: none(), disputed: none(), others: none(), too_many: false }
    }

    /// Leaves what these are known by and nobody else: what others have, too, would keep them out with an import of theirs.
    pub fn retain_their_own(&self, known_by: &mut BTreeSet<Identifier>) {
        known_by.retain(|identifier| ![&self.refused, &self.disputed, &self.others].iter().any(|shared| shared.contains(identifier)));
    }
}

impl std::fmt::Debug for StrandKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not whose.
        f.debug_struct("StrandKey").field("site", &self.site.0).field("account", &self.account).finish_non_exhaustive()
    }
}

/// Whether somebody has decided that a strand is not its identifiers'.
pub(super) fn is_apart(store: &dyn ProfileStore, strand: &StrandKey) -> Result<bool, ProfileError> {
    Ok(store.decisions(strand)?.last().is_some_and(|decision| decision.apart))
}

/// A strand, as far as it matters here.
struct Node {
    browser: u64,
    /// All that it is known by, its account among it.
    known_by: BTreeSet<Identifier>,
    /// Whether somebody has parted it, or the account of its browser with which it goes: no identifier joins it then.
    cut: bool,
    /// What its browser's cookie joins it with.
    tied: Option<StrandKey>,
    /// Whether its browser has so few accounts that the cookie may name what is in it.
    names_browser: bool,
}

/// What is read of the store for one profile.
struct Reading<'a> {
    store: &'a dyn ProfileStore,
    rules: &'a [IdentifierRule],
    people: BTreeSet<PersonHandle>,
    nodes: BTreeMap<StrandKey, Node>,
    /// Who has an identifier; nothing: too many.
    holders: BTreeMap<Identifier, Option<Vec<StrandKey>>>,
}

impl Reading<'_> {
    /// Reads the strands of a person's browser.
    fn read_person(&mut self, key: &StrandKey) -> Result<(), ProfileError> {
        if !self.people.insert(key.person) {
            return Ok(());
        }
        let rows: Vec<_> = self.store.of_person(key.site, &key.person)?.into_iter().take(STRANDS_PER_BROWSER_MAX).collect();
        let with_account: Vec<StrandKey> = rows.iter().map(|row| row.key).filter(|key| key.account.is_some()).collect();
        let sole = with_account.first().copied().filter(|_| with_account.len() <= ACCOUNTS_PER_BROWSER);
        let without = rows.iter().map(|row| row.key).find(|key| key.account.is_none());
        let mut apart = BTreeMap::new();
        for row in &rows {
            apart.insert(row.key, is_apart(self.store, &row.key)?);
        }
        let is_apart = |key: Option<StrandKey>| key.is_some_and(|key| apart.get(&key) == Some(&true));
        let more_than_accounts = self.rules.iter().any(|rule| rule.kind != IdentifierKind::Account);
        for row in &rows {
            let mut known_by = if more_than_accounts { self.store.identifiers(&row.key)? } else { BTreeSet::new() };
            known_by.extend(row.key.account.map(|account| Identifier::of_account(&account)));
            let tied = match row.key.account {
                Some(_) => without.filter(|_| sole.is_some()),
                None => sole,
            };
            self.nodes.insert(
                row.key,
                Node {
                    browser: row.browser,
                    known_by,
                    cut: is_apart(Some(row.key)) || row.key.account.is_none() && is_apart(sole),
                    tied: tied.filter(|_| !is_apart(without)),
                    names_browser: with_account.len() <= ACCOUNTS_PER_BROWSER,
                },
            );
        }
        Ok(())
    }

    /// Reads who has an identifier, where it is of a kind that is listed.
    fn read_holders(&mut self, strand: &StrandKey, identifier: Identifier) -> Result<(), ProfileError> {
        let Some(rule) = self.rules.iter().find(|rule| rule.kind == identifier.kind) else { return Ok(()) };
        if let btree_map::Entry::Vacant(place) = self.holders.entry(identifier) {
            let rows = self.store.of_identifier(strand.site, &identifier, rule.most.saturating_add(1))?;
            let browsers: BTreeSet<PersonHandle> = rows.iter().map(|row| row.key.person).collect();
            place.insert((browsers.len() <= rule.most).then(|| rows.into_iter().map(|row| row.key).collect()));
        }
        Ok(())
    }

    /// All that hangs together with a strand by anything that could join it. Nothing: too many.
    fn gather(&mut self, strand: &StrandKey) -> Result<Option<BTreeSet<StrandKey>>, ProfileError> {
        let (mut together, mut waiting) = (BTreeSet::from([*strand]), vec![*strand]);
        while let Some(key) = waiting.pop() {
            self.read_person(&key)?;
            let Some(node) = self.nodes.get(&key) else { continue };
            let (known_by, cut) = (node.known_by.clone(), node.cut);
            let mut near: Vec<StrandKey> = node.tied.into_iter().collect();
            for identifier in known_by {
                self.read_holders(&key, identifier)?;
                let joins = self.rules.iter().any(|rule| rule.kind == identifier.kind && rule.joins);
                if joins && !cut {
                    near.extend(self.holders.get(&identifier).into_iter().flatten().flatten());
                }
            }
            for other in near {
                self.read_person(&other)?;
                let tied = self.nodes.get(&key).and_then(|node| node.tied) == Some(other);
                let reached = tied || self.nodes.get(&other).is_some_and(|node| !node.cut);
                if reached && together.insert(other) {
                    waiting.push(other);
                }
            }
            if together.len() > STRANDS_TOGETHER_MAX {
                return Ok(None);
            }
        }
        Ok(Some(together))
    }

    fn is_refused(&self, identifier: &Identifier) -> bool {
        self.holders.get(identifier) == Some(&None)
    }

    /// What tells a strand apart from others: what it is known by, but what is nobody's.
    fn tells(&self, strand: &StrandKey) -> BTreeSet<Identifier> {
        let known_by = self.nodes.get(strand).into_iter().flat_map(|node| &node.known_by);
        known_by.filter(|identifier| !self.is_refused(identifier)).copied().collect()
    }

    /// Which strands identifiers of a kind would join, one list for each.
    fn joining(&self, rule: &IdentifierRule, together: &[StrandKey]) -> BTreeMap<Identifier, Vec<usize>> {
        let mut joining: BTreeMap<Identifier, Vec<usize>> = BTreeMap::new();
        for (place, strand) in together.iter().enumerate() {
            let Some(node) = self.nodes.get(strand).filter(|node| !node.cut) else { continue };
            for identifier in node.known_by.iter().filter(|known| known.kind == rule.kind && !self.is_refused(known)) {
                joining.entry(*identifier).or_default().push(place);
            }
        }
        joining
    }
}

/// The profile that a strand is of.
///
/// # Errors
/// When the store cannot be used.
pub fn joined(store: &dyn ProfileStore, strand: &StrandKey, rules: &[IdentifierRule]) -> Result<Joined, ProfileError> {
    let mut reading = Reading { store, rules, people: BTreeSet::new(), nodes: BTreeMap::new(), holders: BTreeMap::new() };
    let gathered = reading.gather(strand)?;
    let too_many = gathered.is_none();
    let together: Vec<StrandKey> = gathered.unwrap_or_else(|| BTreeSet::from([*strand])).into_iter().collect();
    let mut groups = Groups::new(together.iter().map(|strand| reading.tells(strand)).collect());
    let (mut disputed, mut before) = (BTreeSet::new(), Vec::new());
    for rule in rules {
        if rule.joins && !too_many {
            let joining = reading.joining(rule, &together);
            let lists: Vec<&[usize]> = joining.values().map(Vec::as_slice).collect();
            let refused = groups.join(&lists, &before);
            disputed.extend(joining.keys().zip(refused).filter(|(_, refused)| *refused).map(|(identifier, _)| *identifier));
        }
        before.push(rule.kind);
    }
    let place_of = |key: &StrandKey| together.binary_search(key).ok();
    let ties: Vec<[usize; 2]> = together
        .iter()
        .enumerate()
        .filter(|(_, key)| key.account.is_some())
        .filter_map(|(place, key)| Some([place, place_of(&reading.nodes.get(key)?.tied?)?]))
        .collect();
    groups.join(&ties.iter().map(<[usize; 2]>::as_slice).collect::<Vec<_>>(), &before);

    let own = place_of(strand).unwrap_or_default();
    let strands: BTreeSet<StrandKey> =
        together.iter().enumerate().filter(|(place, _)| groups.are_one(own, *place)).map(|(_, key)| *key).collect();
    let known_by: BTreeSet<Identifier> =
        strands.iter().filter_map(|key| reading.nodes.get(key)).flat_map(|node| &node.known_by).copied().collect();
    disputed.retain(|identifier| known_by.contains(identifier));
    let people: BTreeSet<PersonHandle> = strands.iter().map(|strand| strand.person).collect();
    let has_others = |identifier: &Identifier| {
        reading.holders.get(identifier).into_iter().flatten().flatten().any(|holder| !people.contains(&holder.person))
    };
    let others = known_by.iter().filter(|identifier| has_others(identifier)).copied().collect();
    let refused = known_by.into_iter().filter(|identifier| reading.is_refused(identifier)).collect();
    let by = named_by(&reading, &strands, &disputed, strand, too_many);
    Ok(Joined { by, strands, refused, disputed, others, too_many })
}

/// What names a profile: an identifier that nobody else can be joined by, else its one browser.
fn named_by(
    reading: &Reading<'_>,
    strands: &BTreeSet<StrandKey>,
    disputed: &BTreeSet<Identifier>,
    strand: &StrandKey,
    too_many: bool,
) -> JoinedBy {
    let uncut = || strands.iter().filter_map(|key| reading.nodes.get(key)).filter(|node| !node.cut && !too_many);
    for rule in reading.rules.iter().filter(|rule| rule.joins) {
        let of_kind = uncut().flat_map(|node| &node.known_by).filter(|known| known.kind == rule.kind);
        if let Some(first) = of_kind.filter(|known| !reading.is_refused(known) && !disputed.contains(known)).min() {
            return JoinedBy::Identifier(*first);
        }
    }
    let node = reading.nodes.get(strand);
    let browser = node.map_or(0, |node| node.browser);
    let has = |key: &StrandKey| reading.nodes.contains_key(key);
    let without = StrandKey { account: None, ..*strand };
    let all_of_it = strands.contains(&without) || !has(&without);
    let account = strands.iter().find_map(|key| key.account);
    match account {
        Some(account) if !(all_of_it && node.is_some_and(|node| node.names_browser)) => JoinedBy::Part(browser, account),
        _ => JoinedBy::Browser(browser),
    }
}
