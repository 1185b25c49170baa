//! Technical and organisational measures: those of the program, with the settings that decide on them, and the operator's own.

use super::{
    sheet::{Fact, setting},
    sources::{Activity, Sources},
    words::Words,
};

/// The measures, one after the other.
pub(super) fn facts(words: &Words, sources: &Sources, activity: &Activity<'_>) -> Vec<Fact> {
    let said = |key: &str, value: String| Fact::known(key, words.dynamic("measure", key), value);
    let plain = |key: &str| said(key, words.say(&format!("measure.{key}_is")));
    let mut facts = vec![plain("memory_only"), plain("allow_list"), plain("separate_ids")];
    let rules = &activity.site.policy.crowd;
    let policy = |key: &str| setting("policy", &activity.site.policy.name, key);
    facts.push(if rules.visitors == 1 {
        let reason = rules.reason.as_deref().unwrap_or_default();
        said("crowds", words.fill("measure.crowds_none", &[("reason", reason)])).written("1").by(policy("crowd"))
    } else {
        let visitors = rules.visitors.to_string();
        let whose = words.say(if rules.consented { "measure.crowds_everyone" } else { "measure.crowds_undecided" });
        let value = words.fill("measure.crowds_are", &[("visitors", &visitors), ("whose", &whose)]);
        said("crowds", value).written(visitors).by(policy("crowd"))
    });
    if activity.consented().next().is_some() {
        facts.push(plain("sealed"));
        facts.push(plain("consent_proof"));
    }
    facts.push(plain("objections"));
    facts.push(said("transport", words.say(if sources.machine.ends_tls { "measure.transport_here" } else { "measure.transport_proxy" })));
    facts.extend(["bounds", "admin", "versions", "tested"].map(plain));
    let controller = activity.controller();
    let key = setting("site", &activity.site.name, "controller.measures");
    facts.push(Fact::declared("controller.measures", words.say("controller.measures"), controller.measures.as_deref(), key));
    facts
}
