//! Weakened runs: the same search under documents that let more out, or without one rule of privacy. Each has to go red, or the search could
//! not have seen a leak.

use super::{
    beacons::{NAME_SLOT, PATH, PATH_SLOT, UNLISTED_PROPERTY},
    canaries::Stand,
    rehearsal::{destinations, policies},
    run::word_of,
};
use crate::{
    documents::{
        deviation::{Deviation, State},
        parse::{BasisName, Document, PolicyDocument},
        site::PropertyKind,
    },
    privacy::policy::{Field, Treatment},
};

/// One way to let more out.
pub struct Weakening {
    /// In words.
    pub says: String,
    /// The documents of this run.
    pub documents: Vec<Document>,
    /// The rule that is left out, for builds that can.
    pub without: Option<String>,
    /// Whether it is shown by the search of memory after the day's end; else by the search of everything.
    pub at_night: bool,
    /// Whether the run has to go red; else nothing that a beacon shows depends on the rule, and its case is in `tests/proof/`.
    pub must_show: bool,
}

const REASON: &str = "a weakened run of `prove`: this has to be found";
/// Fields that a deviation can keep as they were said.
const KEPT: [Field; 8] =
    [Field::UserId, Field::OrderId, Field::Coupon, Field::Campaign, Field::Items, Field::Value, Field::Tax, Field::Shipping];

/// The weakenings that a version of the policies can make. `kept`: whether every destination may have the field as it is said anyway.
#[must_use]
pub fn by_policy(documents: &[Document], seed: u64, kept: impl Fn(Field) -> bool) -> Vec<Weakening> {
    let mut weakenings = Vec::new();
    let mut add = |says: String, change: &dyn Fn(&mut PolicyDocument)| {
        let documents = documents.iter().cloned().map(|document| match document {
            Document::Policy(mut policy) => {
                change(&mut policy);
                Document::Policy(policy)
            }
            other => other,
        });
        weakenings.push(Weakening { says, documents: documents.collect(), without: None, at_night: false, must_show: true });
    };
    if policies(documents).all(|policy| !policy.properties.contains_key(UNLISTED_PROPERTY)) {
        add(format!("the policy lists the property \"{UNLISTED_PROPERTY}\" as a word"), &|policy| {
            policy.properties.insert(UNLISTED_PROPERTY.to_owned(), PropertyKind::Word);
        });
    }
    add(String::from("the policy lists an event's name that is a canary"), &|policy| {
        policy.events.extend(Stand::ALL.map(|stand| word_of(seed, stand, NAME_SLOT)));
    });
    add(String::from("the policy lists a page's path with a canary in it as a route"), &|policy| {
        policy.routes.extend(Stand::ALL.map(|stand| format!("{PATH}{}/*", word_of(seed, stand, PATH_SLOT))));
    });
    let consented: Vec<String> = destinations(documents)
        .filter(|destination| destination.basis == BasisName::Consent)
        .map(|destination| destination.name.clone())
        .collect();
    // What a policy keeps already gets out in every run, and another one would show nothing of it.
    let kept_by_policy = |field: Field| {
        let keeps = |deviation: &Deviation| deviation.field == field && deviation.treatment == Treatment::Keep;
        policies(documents).any(|policy| policy.deviation.iter().any(keeps))
    };
    for field in KEPT.into_iter().filter(|field| !consented.is_empty() && !kept(*field) && !kept_by_policy(*field)) {
        add(format!("a deviation keeps \"{}\" as it was said, for those who agreed", field.name()), &|policy| {
            policy.deviation.retain(|deviation| deviation.field != field);
            policy.deviation.push(Deviation {
                field,
                treatment: Treatment::Keep,
                state: Some(State::Granted),
                destinations: consented.clone(),
                reason: REASON.to_owned(),
            });
        });
    }
    weakenings
}

/// One run for each rule of privacy, without it.
#[cfg(feature = "proof")]
#[must_use]
pub fn by_rule(documents: &[Document]) -> Vec<Weakening> {
    use crate::privacy::rules::Rule;
    let of = |rule: &Rule| {
        let at_night = matches!(rule, Rule::VisitKeyEndsWithTheDay | Rule::FreedMemoryIsWiped);
        Weakening {
            says: format!("without the rule {rule:?}: {}", rule.says()),
            documents: documents.to_vec(),
            without: Some(format!("{rule:?}")),
            at_night,
            // Without these something is found whatever the documents say.
            must_show: at_night || matches!(rule, Rule::ListedNamesOnly | Rule::Pseudonymise),
        }
    };
    Rule::ALL.iter().map(of).collect()
}
