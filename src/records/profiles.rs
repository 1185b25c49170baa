//! What a site's own customer profiles hold, what joins them, for how long it is kept, and who reads it.

use std::time::Duration;

use super::{
    sheet::{Fact, setting},
    sources::Activity,
    words::Words,
};
use crate::documents::{
    ProfileRules,
    api_key::{ApiKey, Scope},
    profile::IdentifierRule,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// All of it, line by line.
pub(super) fn facts(words: &Words, activity: &Activity<'_>, rules: &ProfileRules) -> Vec<Fact> {
    let key = |key: &str| setting("site", &activity.site.name, &format!("profile{key}"));
    let said = |name: &str, value: String| Fact::known(&format!("profile.{name}"), words.dynamic("profile", name), value);
    let mut facts = vec![said("what", words.say("profile.what_is"))];
    let identifiers: Vec<_> = rules.identifiers.iter().map(|rule| identifier(words, rule)).collect();
    facts.push(said("identifiers", identifiers.join(" ")).written(names_of(rules).join(", ")).by(key(".identifiers")));
    let contacts: Vec<_> = rules.keeps.iter().map(|field| format!("`{}`", field.name())).collect();
    facts.push(said("contacts", words.fill("profile.contacts_are", &[("names", &words.listed(&contacts))])).by(key(".keep_contacts")));
    facts.push(said("claimed", words.say("profile.claimed_is")));
    facts.push(said("computed", words.say("profile.computed_is")));
    let own: Vec<_> = rules.traits.iter().map(|(name, rule)| format!("`{name}` ({})", rule.name())).collect();
    facts.push(said("own_traits", words.listed(&own)).by(key(".traits")));
    facts.push(said("readers", readers(words, &activity.api_keys)));
    let told: Vec<_> = rules.lookup.iter().map(|name| format!("`{name}`")).collect();
    facts.push(said("pages", words.fill("profile.pages_are", &[("names", &words.listed(&told))])).by(key(".lookup")));
    facts.push(said("person", words.fill("profile.person_is", &[("address", &format!("{}/you", activity.about()))])));
    facts.push(said("rests", words.say("profile.rests_is")));
    facts
}

/// For how long what is kept, class by class.
pub(super) fn retention(words: &Words, activity: &Activity<'_>, rules: &ProfileRules) -> Vec<Fact> {
    let classes = [
        ("profile_views", "profile.keep_views_days"),
        ("profile_actions", "profile.keep_actions_days"),
        ("profile_orders", "profile.keep_orders_days"),
    ];
    let mut facts: Vec<_> = classes
        .into_iter()
        .zip(rules.kept)
        .map(|((name, key), kept)| {
            let days = (kept.as_secs() / DAY.as_secs()).to_string();
            let value = words.fill("retention.profile_days", &[("days", &days)]);
            Fact::known(name, words.dynamic("retention", name), value).written(days).by(setting("site", &activity.site.name, key))
        })
        .collect();
    facts.push(Fact::known("profile_traits", words.dynamic("retention", "profile_traits"), words.say("retention.profile_traits_are")));
    facts
}

/// In one line, for a table.
pub(super) fn kept(words: &Words, rules: &ProfileRules) -> String {
    let [views, actions, orders] = rules.kept.map(|kept| (kept.as_secs() / DAY.as_secs()).to_string());
    words.fill("kept.profile", &[("views", &views), ("actions", &actions), ("orders", &orders)])
}

fn names_of(rules: &ProfileRules) -> Vec<&'static str> {
    rules.identifiers.iter().map(|rule| rule.kind.name()).collect()
}

fn identifier(words: &Words, rule: &IdentifierRule) -> String {
    let (name, most) = (format!("`{}`", rule.kind.name()), rule.most.to_string());
    let key = if rule.joins { "profile.joins" } else { "profile.found_by" };
    words.fill(key, &[("name", &name), ("most", &most)])
}

/// The commands' readers, and the holders of keys that may read or change.
fn readers(words: &Words, keys: &[&ApiKey]) -> String {
    let of = |key: &&ApiKey| format!("`{}` ({})", key.name, key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", "));
    let reads = |key: &&ApiKey| key.scopes.iter().any(|scope| !matches!(scope, Scope::EventsWrite));
    let named: Vec<_> = keys.iter().copied().filter(reads).map(|key| of(&key)).collect();
    words.fill("profile.readers_are", &[("keys", &words.listed(&named))])
}
