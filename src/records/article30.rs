//! The record of processing activities: Article 30(1), letter by letter, and 30(2) where the program is run on somebody's behalf.

use super::{
    Kind, changes, measures, people, recipients, retention,
    sheet::{Fact, Part, Section, Sheet, setting},
    sources::{Activity, Sources},
    words::Words,
};

pub(super) fn sheet(words: &Words, sources: &Sources) -> Sheet {
    let mut sections = vec![people::identity(words, sources)];
    for activity in sources.activities() {
        of_site(words, sources, &activity, &mut sections);
    }
    sections.push(changes::section(words, sources));
    let lead = ["article30.lead", "article30.lead_missing"].map(|key| words.say(key)).to_vec();
    Sheet { kind: Kind::Article30, language: words.language, title: words.say("article30.title"), lead, sections }
}

fn of_site(words: &Words, sources: &Sources, activity: &Activity<'_>, sections: &mut Vec<Section>) {
    let mut section = |key: &'static str, heading: &str, parts: Vec<Part>| {
        sections.push(Section { key, site: Some(activity.site.name.clone()), heading: words.say(heading), parts });
    };
    section("30.1.a", "article30.a", vec![Part::Facts(people::controller(words, activity))]);
    section("30.1.b", "article30.b", vec![Part::Facts(purposes(words, activity))]);
    let data = vec![
        Part::Facts(people_concerned(words, activity)),
        Part::Text(words.say("article30.c_data")),
        recipients::categories(words, activity),
        Part::Facts(technical(words, activity)),
    ];
    section("30.1.c", "article30.c", data);
    let mut received = vec![recipients::overview(words, activity)];
    if activity.receiving.is_empty() {
        received = vec![Part::Text(words.say("recipient.nobody"))];
    }
    received.extend(recipients::each(words, activity));
    section("30.1.d", "article30.d", received);
    let mut transfers = vec![Part::Facts(people::hosting(words, activity))];
    if !activity.receiving.is_empty() {
        transfers.push(recipients::transfers(words, activity));
    }
    transfers.push(Part::Text(words.say("transfer.note")));
    section("30.1.e", "article30.e", transfers);
    section(
        "30.1.f",
        "article30.f",
        vec![Part::Facts(retention::facts(words, sources, activity)), Part::Text(words.say("retention.there"))],
    );
    section("30.1.g", "article30.g", vec![Part::Facts(measures::facts(words, sources, activity))]);
    let processor = match &activity.document.processor {
        None => vec![Part::Text(words.fill("article30.no_processor", &[("site", &activity.site.name)]))],
        Some(processor) => {
            let mut facts = people::processor(words, activity, processor);
            let key = setting("site", &activity.site.name, "controller.name");
            let controller = activity.controller();
            facts.push(Fact::declared("on_behalf_of", words.say("processor.on_behalf_of"), controller.name.as_deref(), key));
            let categories = purposes_served(words, activity);
            facts.push(Fact::known("categories", words.say("processor.categories"), words.listed(&categories)));
            facts.push(Fact::known("transfers", words.say("processor.transfers"), words.say("processor.as_above_e")));
            facts.push(Fact::known("measures", words.say("processor.measures"), words.say("processor.as_above_g")));
            vec![Part::Facts(facts)]
        }
    };
    section("30.2", "article30.two", processor);
}

/// The purposes that destinations serve, each once.
fn purposes_served(words: &Words, activity: &Activity<'_>) -> Vec<String> {
    let mut served = Vec::new();
    if activity.exempt().next().is_some() {
        served.push(words.say("purpose.exempt_measurement"));
    }
    for name in ["analytics", "profile", "ads"] {
        if activity.consented().any(|receiving| receiving.serves(name)) {
            served.push(words.dynamic("purpose", name));
        }
    }
    served
}

pub(super) fn purposes(words: &Words, activity: &Activity<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    let for_whom = |names: Vec<String>| words.fill("purposes.served_by", &[("destinations", &words.listed(&names))]);
    if activity.exempt().next().is_some() {
        let names = activity.named(|receiving| receiving.is_exempt());
        let label = Words::capitalised(&words.say("purpose.exempt_measurement"));
        facts.push(Fact::known("purpose.exempt_measurement", label, for_whom(names)).written("exempt_measurement"));
        let controller = activity.controller();
        let key = setting("site", &activity.site.name, "controller.legal_basis");
        facts.push(Fact::declared("controller.legal_basis", words.say("controller.legal_basis"), controller.legal_basis.as_deref(), key));
    }
    for name in ["analytics", "profile", "ads"] {
        let names = activity.named(|receiving| receiving.serves(name));
        if !names.is_empty() {
            let value = format!("{} {}", for_whom(names), words.say("purposes.by_consent"));
            facts.push(Fact::known(&format!("purpose.{name}"), Words::capitalised(&words.dynamic("purpose", name)), value).written(name));
        }
    }
    if activity.consented().next().is_some() {
        facts.push(Fact::known("purpose.proof", words.say("purposes.proof"), words.say("purposes.proof_is")));
    }
    facts.push(Fact::known("purpose.objection", words.say("purposes.objection"), words.say("purposes.objection_is")));
    facts.push(Fact::known("purpose.security", words.say("purposes.security"), words.say("purposes.security_is")));
    facts
}

fn people_concerned(words: &Words, activity: &Activity<'_>) -> Vec<Fact> {
    let hosts = activity.site.hosts.join(", ");
    let mut facts = vec![Fact::known("people", words.say("people.visitors"), words.fill("people.visitors_are", &[("hosts", &hosts)]))];
    let undecided = if activity.site.ceilings.unknown.is_some() { "people.undecided_recorded" } else { "people.undecided_counted" };
    facts.push(Fact::known("people.undecided", words.say("people.undecided"), words.say(undecided)));
    if activity.consented().next().is_some() {
        facts.push(Fact::known("people.agreed", words.say("people.agreed"), words.say("people.agreed_are")));
    }
    facts.push(Fact::known("people.objected", words.say("people.objected"), words.say("people.objected_are")));
    facts
}

/// What the program itself needs of a request, beside what leaves.
pub(super) fn technical(words: &Words, activity: &Activity<'_>) -> Vec<Fact> {
    let said =
        |key: &str| Fact::known(&format!("technical.{key}"), words.dynamic("technical", key), words.say(&format!("technical.{key}_is")));
    let mut facts = vec![said("address"), said("user_agent")];
    if activity.site.ceilings.unknown.is_some() {
        facts.push(said("token"));
    }
    if activity.site.ceilings.lasting() {
        facts.push(said("cookie"));
        facts.push(said("consent"));
    }
    facts.push(said("opt_out"));
    facts
}
