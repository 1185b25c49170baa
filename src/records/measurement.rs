//! The self-assessment sheet for audience measurement without consent, as French law exempts it (Article 82 of the law of 6 January 1978). It
//! goes by the conditions that the CNIL has published, each with its source. The CNIL's own table of 14 criteria was not read by whoever wrote
//! this file: it has its lines here, and nothing is said about them.

use super::{
    Kind, changes, people,
    sheet::{Cell, Fact, Part, Section, Sheet, State, Table, columns, setting},
    sources::{Activity, Receiving, Sources},
    words::Words,
};
use crate::documents::EXEMPT_MONTHS_MAX;

/// How many criteria the CNIL's own table has.
const OFFICIAL_CRITERIA: usize = 14;

/// The CNIL's page of 4 July 2025.
const PAGE: &str = "CNIL, « Cookies : solutions pour les outils de mesure d’audience », 4 juillet 2025, https://www.cnil.fr/fr/node/167364";
/// The guidelines in force.
const GUIDELINES: &str = "CNIL, délibération n° 2020-091 du 17 septembre 2020, article 5 (§ 51-52)";
/// The recommendation in force.
const RECOMMENDATION: &str = "CNIL, délibération n° 2020-092 du 17 septembre 2020, article 5";
/// What was asked for before the guidelines in force, and is good practice.
const BEFORE: &str = "CNIL, délibérations n° 2013-378 et n° 2019-093 (remplacées depuis)";
/// The table that was not read.
const OFFICIAL: &str = "https://www.cnil.fr/sites/default/files/2025-07/outil_d_auto-evaluation_mesure_d_audience.pdf";

pub(super) fn sheet(words: &Words, sources: &Sources) -> Sheet {
    let mut sections = vec![people::identity(words, sources)];
    let mut any = false;
    for activity in sources.activities() {
        let site = Some(activity.site.name.clone());
        if activity.exempt().next().is_none() {
            let parts = vec![Part::Text(words.say("measurement.no_destination"))];
            sections.push(Section { key: "nothing", site, heading: words.say("measurement.conditions"), parts });
            continue;
        }
        any = true;
        let parts = vec![
            Part::Text(words.say("measurement.scope")),
            scope(words, &activity),
            Part::Text(words.say("measurement.conditions_note")),
            Part::Facts(conditions(words, sources, &activity)),
        ];
        sections.push(Section { key: "conditions", site, heading: words.say("measurement.conditions"), parts });
    }
    if any {
        sections.push(official(words));
    }
    sections.push(changes::section(words, sources));
    let lead = ["measurement.lead", "measurement.lead_states"].map(|key| words.say(key)).to_vec();
    Sheet { kind: Kind::Measurement, language: words.language, title: words.say("measurement.title"), lead, sections }
}

/// Which destinations get events without consent, and as what.
fn scope(words: &Words, activity: &Activity<'_>) -> Part {
    let row = |receiving: &Receiving<'_>| {
        let destination = receiving.destination;
        let name = receiving.party().name;
        vec![
            Cell::known(&destination.name),
            Cell::declared(name.as_deref(), setting("destination", &destination.name, "recipient.name")),
            Cell::known(words.said(destination.receiver())).written(destination.kind),
            Cell::known(words.dynamic("transform", destination.transform.name())).written(destination.transform.name()),
        ]
    };
    let columns = columns(words, &["destination", "recipient", "kind", "transform"]);
    Part::Table(Table { key: "scope", columns, rows: activity.exempt().map(row).collect() })
}

/// The conditions, with what is known towards each.
fn conditions(words: &Words, sources: &Sources, activity: &Activity<'_>) -> Vec<Fact> {
    let met = |key: &str, value: String, by: String, source: &str| Fact {
        state: State::Met,
        source: Some(source.to_owned()),
        ..Fact::known(key, words.dynamic("condition", key), value).by(by)
    };
    let ask = |key: &str, value: String, source: &str| Fact {
        source: Some(source.to_owned()),
        ..Fact::question(key, words.dynamic("condition", key), value)
    };
    let plain = |key: &str| words.say(&format!("condition.{key}_is"));
    let names: Vec<_> = activity.exempt().map(|receiving| receiving.destination.name.clone()).collect();
    let of_each = |key: &str| names.iter().map(|name| setting("destination", name, key)).collect::<Vec<_>>().join("; ");
    let hours = sources.machine.without_consent_hours.to_string();
    let (law, page) = (format!("{GUIDELINES}; {PAGE}"), PAGE);
    let mut facts = vec![
        ask("purpose", plain("purpose"), &law),
        ask("own_account", plain("own_account"), &law),
        ask("anonymous_statistics", anonymous(words, activity), &law),
        met("no_matching_by_id", plain("no_matching_by_id"), of_each("transform"), &law),
        ask("no_matching_there", plain("no_matching_there"), &law),
        ask("no_third_party", plain("no_third_party"), page),
        met("no_tracking_across_sites", plain("no_tracking_across_sites"), of_each("transform"), &law),
        met("tracker_life", plain("tracker_life"), of_each("basis"), RECOMMENDATION),
        met(
            "kept_here",
            words.fill("condition.kept_here_is", &[("hours", &hours)]),
            String::from("firsthand.toml: retention.without_consent_hours"),
            RECOMMENDATION,
        ),
    ];
    facts.push(kept_there(words, activity, &met, &ask));
    facts.push(ask("review", plain("review"), RECOMMENDATION));
    facts.push(ask("information", words.fill("condition.information_is", &[("address", &activity.about())]), RECOMMENDATION));
    facts.push(met("objection", plain("objection"), setting("site", &activity.site.name, "prefix"), BEFORE));
    facts.push(met("place", plain("place"), of_each("transform"), BEFORE));
    facts.push(ask("evidence", plain("evidence"), page));
    facts
}

fn anonymous(words: &Words, activity: &Activity<'_>) -> String {
    let rules = &activity.site.policy.crowd;
    let mut text = if rules.visitors == 1 {
        words.fill("condition.anonymous_no_crowd", &[("reason", rules.reason.as_deref().unwrap_or_default())])
    } else {
        words.fill("condition.anonymous_crowd", &[("visitors", &rules.visitors.to_string())])
    };
    let daily = activity.named(|receiving| receiving.is_exempt() && has_daily_id(activity, receiving));
    if !daily.is_empty() {
        text = format!("{} {text}", words.fill("condition.anonymous_daily", &[("destinations", &words.listed(&daily))]));
    }
    format!("{text} {}", words.say("condition.anonymous_question"))
}

fn has_daily_id(activity: &Activity<'_>, receiving: &Receiving<'_>) -> bool {
    activity.site.allowed(receiving.destination.number).breadth.has_visits()
}

fn kept_there(
    words: &Words,
    activity: &Activity<'_>,
    met: &impl Fn(&str, String, String, &str) -> Fact,
    ask: &impl Fn(&str, String, &str) -> Fact,
) -> Fact {
    let bound = EXEMPT_MONTHS_MAX.to_string();
    let silent = activity.named(|receiving| receiving.is_exempt() && receiving.kept_months().is_none());
    if !silent.is_empty() {
        let values = [("destinations", words.listed(&silent)), ("months", bound)];
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        return ask("kept_there", words.fill("condition.kept_there_silent", &values), RECOMMENDATION);
    }
    let said: Vec<_> = activity
        .exempt()
        .filter_map(|receiving| receiving.kept_months().map(|months| format!("{}: {months}", receiving.destination.name)))
        .collect();
    let keys = activity.exempt().map(|receiving| setting("destination", &receiving.destination.name, "kept_months"));
    let value = words.fill("condition.kept_there_is", &[("said", &said.join(", ")), ("months", &bound)]);
    met("kept_there", value, keys.collect::<Vec<_>>().join("; "), RECOMMENDATION)
}

/// The CNIL's own criteria: lines to be filled in beside its table.
fn official(words: &Words) -> Section {
    let row = |number: usize| {
        let name = words.fill("measurement.official_row", &[("number", &number.to_string()), ("of", &OFFICIAL_CRITERIA.to_string())]);
        let unread = Cell { state: State::NotRead, ..Cell::known("") };
        vec![Cell::known(name).written(number.to_string()), unread, Cell::to_answer()]
    };
    let columns = columns(words, &["official", "standing", "answer"]);
    let table = Table { key: "official", columns, rows: (1..=OFFICIAL_CRITERIA).map(row).collect() };
    let parts = vec![Part::Text(words.fill("measurement.official_note", &[("address", OFFICIAL)])), Part::Table(table)];
    Section { key: "official", site: None, heading: words.say("measurement.official"), parts }
}
