//! What a data protection impact assessment needs from this program: Article 35(7), and the facts that bear on the nine criteria by which the
//! guidelines WP 248 tell whether one is due. The assessment itself is the controller's.

use super::{
    Kind, article30, changes, flow, measures, people, recipients, retention,
    sheet::{Cell, Fact, Part, Section, Sheet, Table, columns, setting},
    sources::{Activity, Receiving, Sources},
    words::Words,
};
use crate::privacy::policy::{Field, Treatment};

/// Risks to the people concerned that the program has something to do with.
const RISKS: [&str; 9] = ["singling_out", "linking", "raw", "content", "receiver", "transfer", "consent", "breach", "relaxing"];
/// The criteria of WP 248 rev.01, in its order.
const CRITERIA: [&str; 9] = [
    "evaluation",
    "automated_decisions",
    "systematic_monitoring",
    "sensitive_data",
    "large_scale",
    "matching",
    "vulnerable_people",
    "innovative_use",
    "prevents_a_right",
];

pub(super) fn sheet(words: &Words, sources: &Sources) -> Sheet {
    let mut sections = vec![people::identity(words, sources)];
    for activity in sources.activities() {
        of_site(words, sources, &activity, &mut sections);
    }
    sections.push(changes::section(words, sources));
    let lead = ["dpia.lead", "dpia.lead_missing"].map(|key| words.say(key)).to_vec();
    Sheet { kind: Kind::Dpia, language: words.language, title: words.say("dpia.title"), lead, sections }
}

fn of_site(words: &Words, sources: &Sources, activity: &Activity<'_>, sections: &mut Vec<Section>) {
    let mut section = |key: &'static str, heading: &str, parts: Vec<Part>| {
        sections.push(Section { key, site: Some(activity.site.name.clone()), heading: words.say(heading), parts });
    };
    section("wp248", "dpia.criteria", vec![Part::Text(words.say("dpia.criteria_note")), criteria(words, activity)]);
    let mut described = vec![
        Part::Text(words.say("dpia.description_is")),
        Part::Flow(flow::flow(words, sources, activity)),
        Part::Facts(people::controller(words, activity)),
        Part::Facts(article30::purposes(words, activity)),
        Part::Text(words.say("article30.c_data")),
        recipients::categories(words, activity),
        Part::Facts(article30::technical(words, activity)),
    ];
    described.extend(recipients::each(words, activity));
    described.push(Part::Text(words.say("dpia.a_retention")));
    described.push(Part::Facts(retention::facts(words, sources, activity)));
    section("35.7.a", "dpia.a", described);
    section("35.7.b", "dpia.b", vec![Part::Facts(necessity(words, activity))]);
    let risks = vec![Part::Text(words.say("dpia.c_note")), risks(words, sources, activity)];
    section("35.7.c", "dpia.c", risks);
    section("35.7.d", "dpia.d", vec![Part::Facts(measures::facts(words, sources, activity))]);
    let question = |key: &str| Fact::question(key, words.dynamic("dpia", key), words.say(&format!("dpia.{key}_is")));
    section("35.other", "dpia.other", vec![Part::Facts(["advice", "views", "review"].map(question).to_vec())]);
}

fn necessity(words: &Words, activity: &Activity<'_>) -> Vec<Fact> {
    let said = |key: &str, value: String| Fact::known(key, words.dynamic("necessity", key), value);
    let plain = |key: &str| said(key, words.say(&format!("necessity.{key}_is")));
    let mut facts = vec![Fact::question("need", words.say("necessity.need"), words.say("necessity.need_is"))];
    let nowhere = |field: &Field| {
        let mut receiving = activity.receiving.iter();
        receiving.clone().any(|receiving| receiving.destination.could_have(*field))
            && !receiving.any(|receiving| receiving.leaving.has(*field, activity.site))
    };
    let nowhere: Vec<_> = Field::ALL.into_iter().filter(nowhere).map(|field| words.dynamic("field", field.name())).collect();
    facts.push(said("minimisation", words.fill("necessity.minimisation_is", &[("fields", &Words::capitalised(&words.listed(&nowhere)))])));
    if activity.exempt().next().is_some() {
        facts.push(plain("before_the_choice"));
    }
    for deviation in &activity.site.policy.deviations {
        let label = words.fill("necessity.deviation", &[("field", &words.dynamic("field", deviation.field.name()))]);
        let whom = if deviation.destinations.is_empty() { words.say("necessity.deviation_all") } else { deviation.destinations.join(", ") };
        let treatment = words.dynamic("treatment", deviation.treatment.name());
        let values = [("treatment", treatment.as_str()), ("destinations", &whom), ("reason", &deviation.reason)];
        let key = setting("policy", &activity.site.policy.name, "deviation");
        facts.push(Fact::known("deviation", label, words.fill("necessity.deviation_is", &values)).by(key));
    }
    if let Some(reason) = &activity.site.signals.gpc_site_override {
        let value = words.fill("necessity.override_is", &[("reason", reason)]);
        facts.push(said("override", value).by(setting("site", &activity.site.name, "gpc_site_override")));
    }
    facts.push(said("information", words.fill("necessity.information_is", &[("address", &activity.about())])));
    facts.push(plain("objection"));
    if activity.consented().next().is_some() {
        facts.push(plain("withdrawal"));
    }
    facts.push(plain("access"));
    facts
}

fn criteria(words: &Words, activity: &Activity<'_>) -> Part {
    let row = |key: &str| {
        vec![Cell::known(words.dynamic("criterion", key)).written(key), Cell::known(bearing(words, activity, key)), Cell::to_answer()]
    };
    let columns = columns(words, &["criterion", "bears_on_it", "answer"]);
    Part::Table(Table { key: "criteria", columns, rows: CRITERIA.map(row).to_vec() })
}

/// The facts that bear on a criterion.
fn bearing(words: &Words, activity: &Activity<'_>, key: &str) -> String {
    let keeps = |field: Field| move |receiving: &Receiving<'_>| receiving.leaving.table.get(field) != Treatment::Drop;
    let mut facts = Vec::new();
    let mut names = |names: Vec<String>, key: &str| {
        if !names.is_empty() {
            facts.push(words.fill(key, &[("destinations", &words.listed(&names))]));
        }
    };
    match key {
        "evaluation" => {
            let breadth = |receiving: &Receiving<'_>| activity.site.allowed(receiving.destination.number).breadth;
            let broad = |receiving: &Receiving<'_>| breadth(receiving).has_profile() || breadth(receiving).has_ads();
            names(activity.named(broad), "criterion.evaluation_profiles");
            names(activity.named(|one| one.leaving.consented && !broad(one)), "criterion.evaluation_lasting");
        }
        "matching" => {
            names(activity.named(keeps(Field::UserId)), "criterion.matching_user");
            let own_order = |receiving: &Receiving<'_>| receiving.leaving.table.get(Field::OrderId) == Treatment::Keep;
            names(activity.named(own_order), "criterion.matching_order");
            names(activity.named(keeps(Field::ClickIds)), "criterion.matching_clicks");
            let recognises = |receiving: &Receiving<'_>| Field::OF_THE_ENVELOPE.into_iter().any(|field| keeps(field)(receiving));
            names(activity.named(recognises), "criterion.matching_envelope");
        }
        "sensitive_data" => {
            let listed: Vec<_> = activity.site.policy.properties.keys().map(|name| format!("`{name}`")).collect();
            if !listed.is_empty() {
                facts.push(words.fill("criterion.sensitive_listed", &[("properties", &words.listed(&listed))]));
            }
        }
        _ => {}
    }
    facts.push(words.say(&format!("criterion.{key}_is")));
    facts.join(" ")
}

fn risks(words: &Words, sources: &Sources, activity: &Activity<'_>) -> Part {
    let row = |key: &str| {
        vec![Cell::known(words.dynamic("risk", key)).written(key), Cell::known(towards(words, sources, activity, key)), Cell::to_answer()]
    };
    let columns = columns(words, &["risk", "against_it", "rating"]);
    Part::Table(Table { key: "risks", columns, rows: RISKS.map(row).to_vec() })
}

/// What of the configuration makes a risk smaller or larger.
fn towards(words: &Words, sources: &Sources, activity: &Activity<'_>, key: &str) -> String {
    let mut facts = Vec::new();
    let with = |key: &str, names: Vec<String>| (!names.is_empty()).then(|| words.fill(key, &[("destinations", &words.listed(&names))]));
    match key {
        "singling_out" => {
            let rules = &activity.site.policy.crowd;
            let visitors = rules.visitors.to_string();
            facts.push(if rules.visitors == 1 {
                words.say("risk.singling_out_no_crowd")
            } else {
                words.fill("risk.singling_out_crowd", &[("visitors", &visitors)])
            });
            if !rules.ask(true) && activity.consented().next().is_some() {
                facts.push(words.say("risk.singling_out_agreed"));
            }
        }
        "linking" => {
            facts.extend(with("risk.linking_lasting", activity.named(|receiving| receiving.leaving.consented)));
            let known = |receiving: &Receiving<'_>| receiving.leaving.table.get(Field::UserId) == Treatment::Keep;
            facts.extend(with("risk.linking_user", activity.named(known)));
        }
        "receiver" => {
            facts.extend(with("risk.receiver_reuses", activity.named(|receiving| receiving.destination.vendor_reuses_data())));
            facts.extend(with(
                "risk.receiver_no_contract",
                activity.named(|receiving| receiving.own().is_none() && receiving.party().contract.is_none()),
            ));
        }
        "transfer" => {
            facts.extend(with("risk.transfer_third", activity.named(|one| one.party().stays_in_the_area() == Some(false))));
            facts.extend(with("risk.transfer_unknown", activity.named(|one| one.party().stays_in_the_area().is_none())));
        }
        "consent" => {
            if let Some(reason) = &activity.site.signals.gpc_site_override {
                facts.push(words.fill("risk.consent_override", &[("reason", reason)]));
            }
        }
        "breach" => {
            let (hours, days) = (sources.machine.without_consent_hours.to_string(), sources.machine.with_consent_days.to_string());
            facts.push(words.fill("risk.breach_spans", &[("hours", &hours), ("days", &days)]));
        }
        "relaxing" => {
            let count = activity.site.policy.deviations.len().to_string();
            let version = activity.policy_version.to_string();
            facts.push(words.fill("risk.relaxing_now", &[("count", &count), ("version", &version)]));
        }
        _ => {}
    }
    facts.push(words.say(&format!("risk.{key}_is")));
    facts.join(" ")
}
