//! Who answers for what: the controller and, where somebody else runs the program, the processor; and which documents a record is made from.

use super::{
    sheet::{Fact, Part, Section, setting},
    sources::{Activity, Sources},
    words::Words,
};
use crate::documents::{declared::Processor, store::Version};

/// Keys of a controller that say who it is.
const WHO: [&str; 5] = ["name", "contact", "joint", "representative", "dpo"];

/// Which documents, which program, when.
pub(super) fn identity(words: &Words, sources: &Sources) -> Section {
    let change = &sources.change;
    let said = |key: &str, value: String| Fact::known(key, words.dynamic("identity", key), value);
    let version = |version: &Version| format!("{} {} {}", version.kind, words.quoted(&version.name), version.version);
    let versions: Vec<_> = sources.versions.iter().map(version).collect();
    let reason = if change.reason.is_empty() { words.say("identity.no_reason") } else { words.quoted(&change.reason) };
    let when = words.fill("identity.changed_form", &[("date", &words.date(change.at)), ("author", &change.author), ("reason", &reason)]);
    let in_force = if sources.newest { "identity.in_force" } else { "identity.earlier" };
    let facts = vec![
        said("documents_sha256", format!("`{}`", sources.fingerprint())).written(sources.fingerprint()),
        said("revision", words.fill(in_force, &[("revision", &change.revision.to_string())])).written(change.revision.to_string()),
        said("versions", versions.join(" · ")),
        said("changed", when).written(change.at.rfc3339()),
        said("made", words.date(sources.made)).written(sources.made.rfc3339()),
        said("program", format!("Firsthand {}", env!("CARGO_PKG_VERSION"))).written(env!("CARGO_PKG_VERSION")),
    ];
    Section { key: "identity", site: None, heading: words.say("identity.heading"), parts: vec![Part::Facts(facts)] }
}

/// Who decides why and how.
pub(super) fn controller(words: &Words, activity: &Activity<'_>) -> Vec<Fact> {
    let controller = activity.controller();
    let entries = controller.entries().into_iter().filter(|(key, _)| WHO.contains(key));
    let fact = |(key, value): (&str, Option<&str>)| {
        let setting = setting("site", &activity.site.name, &format!("controller.{key}"));
        Fact::declared(&format!("controller.{key}"), words.dynamic("controller", key), words.declared(value).as_deref(), setting)
    };
    entries.map(fact).collect()
}

/// Who runs the program for them.
pub(super) fn processor(words: &Words, activity: &Activity<'_>, processor: &Processor) -> Vec<Fact> {
    let fact = |(key, value): (&str, Option<&str>)| {
        let setting = setting("site", &activity.site.name, &format!("processor.{key}"));
        Fact::declared(&format!("processor.{key}"), words.dynamic("processor", key), words.declared(value).as_deref(), setting)
    };
    processor.entries().into_iter().map(fact).collect()
}

/// Who keeps the server, and where.
pub(super) fn hosting(words: &Words, activity: &Activity<'_>) -> Vec<Fact> {
    let hosting = activity.document.hosting.clone().unwrap_or_default();
    let abroad = hosting.stays_in_the_area() == Some(false);
    let entries = hosting.entries().into_iter().filter(|(key, value)| *key != "safeguard" || abroad || value.is_some());
    let fact = |(key, value): (&str, Option<&str>)| {
        let setting = setting("site", &activity.site.name, &format!("hosting.{key}"));
        let shown = if key == "country" { value.map(|country| country_of(words, country, !abroad)) } else { words.declared(value) };
        let fact = Fact::declared(&format!("hosting.{key}"), words.dynamic("hosting", key), shown.as_deref(), setting);
        if key == "country" && value.is_some() { fact.written(value.unwrap_or_default()) } else { fact }
    };
    entries.map(fact).collect()
}

/// A country's code, and whether the data are still in the European Economic Area there.
pub(super) fn country_of(words: &Words, country: &str, within: bool) -> String {
    words.fill(if within { "country.within" } else { "country.third" }, &[("country", country)])
}
