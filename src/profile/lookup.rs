//! What a page is told of the profile of whoever looks at it: traits that the site's document lists, and nothing by which anybody could be known.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Profiles,
    identity::{self, Joined, JoinedBy},
    store::ProfileError,
    view::{MetView, TraitsView},
};
use crate::{
    clock::Timestamp,
    documents::{ProfileRules, profile::LOOKUPS},
    privacy::{
        clean::Property,
        identifiers::IdentifierKind,
        profiled::PersonHandle,
        rules::{Rule, holds},
    },
};

/// Of lists that may be long: what is on a page.
const LISTED_MAX: usize = 5;

impl Profiles {
    /// What a page may be told of this browser's profile: as far as its cookie and the account that was proven in it join it. An address or a number that a
    /// shop has passed on may have been typed in here by anybody. Where several accounts are used in it, that is what was done under none. Empty:
    /// nothing. Blocks.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn lookup(&self, rules: &ProfileRules, person: &PersonHandle, now: Timestamp) -> Result<Map<String, Value>, ProfileError> {
        if rules.lookup.is_empty() || !self.are_there() {
            return Ok(Map::new());
        }
        let strands = self.store()?.of_person(rules.site(), person)?;
        let (with_account, without): (Vec<_>, Vec<_>) = strands.iter().partition(|strand| strand.key.account.is_some());
        let joined = match (with_account.as_slice(), without.first()) {
            ([], None) => return Ok(Map::new()),
            ([one], _) | ([], Some(one)) => {
                let accounts: Vec<_> = rules.identifiers.iter().filter(|rule| rule.kind == IdentifierKind::Account).copied().collect();
                identity::joined(self.store()?, &one.key, &accounts)?
            }
            (_, Some(nobodys)) => Joined::alone(JoinedBy::Browser(nobodys.browser), BTreeSet::from([nobodys.key])),
            (_, None) => return Ok(Map::new()),
        };
        let Some(view) = self.view(&joined, rules, 0, now)? else { return Ok(Map::new()) };
        let known = rules.traits.keys().map(String::as_str).chain(LOOKUPS);
        let listed = known.filter(|name| rules.lookup.contains(*name) || !holds(Rule::LookupTellsListedTraits));
        Ok(listed.filter_map(|name| Some((name.to_owned(), told(&view.traits, name)?))).collect())
    }
}

/// One trait. The site's own go before those that are computed. Nothing: it is not known.
fn told(traits: &TraitsView, name: &str) -> Option<Value> {
    if let Some(own) = traits.own.get(name) {
        return Some(match &own.said.value {
            Property::Flag(flag) => Value::from(*flag),
            Property::Number(number) => Value::from(*number),
            Property::Word(word) => Value::from(word.as_str()),
        });
    }
    let names = |met: &[MetView]| (!met.is_empty()).then(|| met.iter().take(LISTED_MAX).map(|met| met.name.as_str()).collect());
    match name {
        "visits" => Some(Value::from(traits.visits)),
        "orders" => Some(Value::from(traits.orders)),
        "last_products" => names(&traits.last_products),
        "last_categories" => names(&traits.last_categories),
        "country" => traits.country.as_ref().map(|country| Value::from(country.value.as_str())),
        "language" => traits.language.as_ref().map(|language| Value::from(language.value.as_str())),
        _ => None,
    }
}
