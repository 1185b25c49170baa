//! Who receives: an overview, where they are and what a transfer rests on, and per destination every field that leaves with what becomes of it.

use super::{
    people::country_of,
    profiles,
    sheet::{Cell, Fact, Part, Table, columns},
    sources::{Activity, Receiving},
    words::Words,
};
use crate::{
    documents::{Basis, Bots, deviation::State as Standing},
    privacy::policy::{Field, Treatment},
};

/// Where all of more destinations get a field, they are not named for each field again.
const NAMED_MAX: usize = 4;

/// One line for each.
pub(super) fn overview(words: &Words, activity: &Activity<'_>) -> Part {
    let columns = columns(words, &["destination", "recipient", "country", "ground", "reuse", "kept_there"]);
    let row = |receiving: &Receiving<'_>| {
        let reuse = if receiving.destination.vendor_reuses_data() { "reuse.yes" } else { "reuse.unknown" };
        let (name, country) = (name_of(words, activity, receiving), country_cell(words, activity, receiving));
        vec![
            Cell::known(&receiving.destination.name),
            name,
            country,
            ground(words, receiving),
            Cell::known(words.say(reuse)),
            kept(words, activity, receiving),
        ]
    };
    Part::Table(Table { key: "recipients", columns, rows: activity.receiving.iter().map(row).collect() })
}

fn name_of(words: &Words, activity: &Activity<'_>, receiving: &Receiving<'_>) -> Cell {
    if receiving.own().is_some() {
        return Cell::known(words.say("recipient.own"));
    }
    Cell::declared(receiving.party().name.as_deref(), receiving.setting(&activity.site.name, "recipient.name"))
}

fn country_cell(words: &Words, activity: &Activity<'_>, receiving: &Receiving<'_>) -> Cell {
    let party = receiving.party();
    let within = party.stays_in_the_area().unwrap_or_default();
    let shown = party.country.as_deref().map(|country| country_of(words, country, within));
    let cell = Cell::declared(shown.as_deref(), receiving.setting(&activity.site.name, "recipient.country"));
    party.country.clone().map_or(cell.clone(), |country| cell.written(country))
}

/// The ground on which a destination gets events, in words.
pub(super) fn ground_in_words(words: &Words, receiving: &Receiving<'_>) -> String {
    match receiving.destination.basis {
        Basis::ExemptMeasurement => words.say("ground.exempt_measurement"),
        Basis::Consent(purposes) => {
            let purposes: Vec<_> = purposes.names().map(|name| words.dynamic("purpose", name)).collect();
            words.fill("ground.consent", &[("purposes", &words.listed(&purposes))])
        }
    }
}

fn ground(words: &Words, receiving: &Receiving<'_>) -> Cell {
    Cell::known(ground_in_words(words, receiving)).written(ground_code(receiving))
}

fn ground_code(receiving: &Receiving<'_>) -> String {
    match receiving.destination.basis {
        Basis::ExemptMeasurement => String::from("exempt_measurement"),
        Basis::Consent(purposes) => format!("consent: {}", purposes.names().collect::<Vec<_>>().join(", ")),
    }
}

fn kept(words: &Words, activity: &Activity<'_>, receiving: &Receiving<'_>) -> Cell {
    let setting = receiving.setting(&activity.site.name, "kept_months");
    if let Some(rules) = receiving.own() {
        return Cell { setting: Some(setting), ..Cell::known(profiles::kept(words, rules)) };
    }
    match (receiving.kept_months(), receiving.is_exempt()) {
        (Some(months), _) => {
            let cell = Cell::declared(Some(&words.fill("kept.months", &[("months", &months.to_string())])), setting);
            cell.written(months.to_string())
        }
        (None, true) => Cell { setting: Some(setting), ..Cell::known(words.say("kept.bound")) },
        (None, false) => Cell::declared(None, setting),
    }
}

/// Where the data go then, and what that rests on.
pub(super) fn transfers(words: &Words, activity: &Activity<'_>) -> Part {
    let columns = columns(words, &["destination", "recipient", "country", "safeguard"]);
    let row = |receiving: &Receiving<'_>| {
        let party = receiving.party();
        let setting = receiving.setting(&activity.site.name, "recipient.safeguard");
        let safeguard = match (party.safeguard.as_deref(), party.stays_in_the_area()) {
            (Some(safeguard), _) => Cell::declared(Some(safeguard), setting),
            (None, Some(true)) => Cell::known(words.say("transfer.none_declared")),
            (None, Some(false)) => Cell::declared(None, setting),
            (None, None) => Cell::known(words.say("transfer.country_first")),
        };
        vec![
            Cell::known(&receiving.destination.name),
            name_of(words, activity, receiving),
            country_cell(words, activity, receiving),
            safeguard,
        ]
    };
    Part::Table(Table { key: "transfers", columns, rows: activity.receiving.iter().map(row).collect() })
}

/// All that is known of each, with the fields that leave to it.
pub(super) fn each(words: &Words, activity: &Activity<'_>) -> Vec<Part> {
    activity.receiving.iter().map(|receiving| group(words, activity, receiving)).collect()
}

fn group(words: &Words, activity: &Activity<'_>, receiving: &Receiving<'_>) -> Part {
    let destination = receiving.destination;
    let heading = if receiving.own().is_some() { "recipient.heading_own" } else { "recipient.heading" };
    let heading = words.fill(heading, &[("destination", &destination.name)]);
    let mut parts = vec![Part::Facts(facts(words, activity, receiving))];
    parts.extend(receiving.own().map(|rules| Part::Facts(profiles::facts(words, activity, rules))));
    if activity.site.allowed(destination.number).breadth.is_nothing() {
        parts.push(Part::Text(words.say("recipient.gets_nothing")));
    } else {
        let whom = if receiving.leaving.consented { "recipient.fields_agreed" } else { "recipient.fields_all" };
        let whom = if receiving.is_exempt() { whom } else { "recipient.fields_agreed" };
        parts.push(Part::Text(words.say(whom)));
        parts.push(fields(words, activity, receiving));
        let stays = |field: &Field| !receiving.leaving.has(*field, activity.site) && destination.could_have(*field);
        let stays: Vec<_> = Field::ALL.into_iter().filter(stays).map(|field| words.dynamic("field", field.name())).collect();
        if !stays.is_empty() {
            parts.push(Part::Text(words.fill("recipient.stays", &[("fields", &words.listed(&stays))])));
        }
    }
    Part::Group { item: destination.name.clone(), heading, parts }
}

fn facts(words: &Words, activity: &Activity<'_>, receiving: &Receiving<'_>) -> Vec<Fact> {
    let (destination, party) = (receiving.destination, receiving.party());
    let label = |key: &str| words.dynamic("recipient", key);
    let said = |key: &str, value: String| Fact::known(key, label(key), value);
    let key = |key: &str| receiving.setting(&activity.site.name, key);
    let from_cell = |name: &str, cell: Cell| Fact {
        key: name.to_owned(),
        label: label(name),
        value: cell.text,
        code: cell.code,
        state: cell.state,
        setting: cell.setting,
        source: None,
    };
    let mut facts = vec![
        said("receiver", words.said(destination.receiver())).written(destination.kind).by(key("type")),
        from_cell("name", name_of(words, activity, receiving)),
        from_cell("country", country_cell(words, activity, receiving)),
    ];
    if receiving.own().is_none() {
        let contract = words.declared(party.contract.as_deref());
        facts.push(Fact::declared("contract", label("contract"), contract.as_deref(), key("recipient.contract")));
        let reuse = if destination.vendor_reuses_data() { "reuse.yes_long" } else { "reuse.unknown_long" };
        facts.push(said("reuse", words.say(reuse)).written(destination.vendor_reuses_data().to_string()));
    }
    facts.push(said("ground", ground_in_words(words, receiving)).written(ground_code(receiving)).by(key("basis")));
    facts.push(said("signal", signal(words, receiving)));
    let breadth = activity.site.allowed(destination.number).breadth.name();
    facts.push(said("transform", words.dynamic("transform", destination.transform.name())).written(breadth).by(key("transform")));
    if destination.bots == Bots::People {
        facts.push(said("bots", words.say("recipient.bots_people")).by(key("bots")));
    }
    if !destination.release.is_live() {
        facts.push(said("release", words.said(destination.release.in_words())).written(destination.release.name()).by(key("release")));
    }
    if destination.paused {
        facts.push(said("paused", words.say("recipient.paused_now")).by(key("paused")));
    }
    facts.push(from_cell("kept_there", kept(words, activity, receiving)));
    facts
}

/// Which signal of the visitor's an event needs to go there.
fn signal(words: &Words, receiving: &Receiving<'_>) -> String {
    let Basis::Consent(purposes) = receiving.destination.basis else { return words.say("signal.none_objects") };
    let names: Vec<_> = purposes.names().map(|name| format!("`{name}`")).collect();
    let mut text = words.fill("signal.consent", &[("purposes", &words.listed(&names))]);
    if let Some(vendor) = receiving.destination.tcf_vendor {
        text.push(' ');
        text.push_str(&words.fill("signal.vendor", &[("vendor", &vendor.to_string())]));
    }
    text
}

/// Every field that leaves, with what becomes of it, and why where the policy departs from the preset.
fn fields(words: &Words, activity: &Activity<'_>, receiving: &Receiving<'_>) -> Part {
    let standing = if receiving.leaving.consented { Standing::Granted } else { Standing::Unknown };
    let row = |field: Field| {
        let treatment = receiving.leaving.table.get(field);
        let mut effect = words.said(receiving.leaving.effect(field));
        let names: Vec<_> = receiving.leaving.names(field, activity.site).iter().map(|name| format!("`{name}`")).collect();
        if !names.is_empty() {
            effect.push_str(&words.fill("recipient.own_names", &[("names", &names.join(", "))]));
        }
        for deviation in &activity.site.policy.deviations {
            if deviation.field == field && deviation.is_for(&receiving.destination.name) && deviation.is_in(standing) {
                effect.push_str(&words.fill("recipient.deviation", &[("reason", &deviation.reason)]));
            }
        }
        let label = Words::capitalised(&words.dynamic("field", field.name()));
        let shown = match (field, treatment) {
            (Field::Visitor, Treatment::Drop) => words.say("treatment.per_event"),
            _ => words.dynamic("treatment", treatment.name()),
        };
        vec![Cell::known(label).written(field.name()), Cell::known(shown).written(treatment.name()), Cell::known(effect)]
    };
    let leaves = |field: &Field| receiving.leaving.has(*field, activity.site);
    let rows = Field::ALL.into_iter().filter(leaves).map(row).collect();
    Part::Table(Table { key: "fields", columns: columns(words, &["field", "treatment", "effect"]), rows })
}

/// Which categories of data there are, and to whom each leaves.
pub(super) fn categories(words: &Words, activity: &Activity<'_>) -> Part {
    let row = |field: Field| {
        let of = |exempt: bool| {
            let has = |receiving: &Receiving<'_>| receiving.is_exempt() == exempt && receiving.leaving.has(field, activity.site);
            let names = activity.named(has);
            let all = activity.receiving.iter().filter(|receiving| receiving.is_exempt() == exempt).count();
            let cell = Cell::known(match names.len() {
                0 => words.say("list.nobody"),
                count if count == all && count > NAMED_MAX => words.fill("list.all", &[("count", &count.to_string())]),
                _ => names.join(", "),
            });
            cell.written(names.join(", "))
        };
        vec![Cell::known(Words::capitalised(&words.dynamic("field", field.name()))).written(field.name()), of(true), of(false)]
    };
    let anyone = |field: &Field| activity.receiving.iter().any(|receiving| receiving.leaving.has(*field, activity.site));
    let rows = Field::ALL.into_iter().filter(anyone).map(row).collect();
    Part::Table(Table { key: "categories", columns: columns(words, &["field", "without_consent_to", "with_consent_to"]), rows })
}
