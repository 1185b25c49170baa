//! What is different from what was in force before, in plain words: what leaves, field by field, and every other key that changed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    recipients::ground_in_words,
    sheet::{Cell, Part, Section, Table, columns},
    sources::{Previous, Sources},
    words::Words,
};
use crate::{
    documents::{
        differences::{Difference, Visitors, What, differences},
        parse::Document,
    },
    privacy::policy::{Field, Treatment},
};

/// Keys whose changes are told as what leaves.
const TOLD: [(&str, &str); 10] = [
    ("policy", "crowd"),
    ("policy", "crowd_consented"),
    ("policy", "events"),
    ("policy", "properties"),
    ("policy", "routes"),
    ("site", "gpc_site_override"),
    ("destination", "release"),
    ("destination", "tcf_vendor"),
    ("destination", "name"),
    ("site", "name"),
];
/// A longer value is not quoted: the documents have it.
const QUOTED_CHARS_MAX: usize = 120;

/// What becomes of so many fields is said in one sentence; of more, their names: the destination's own table has the rest.
const EXPLAINED_MAX: usize = 3;

/// One line.
struct Line {
    site: String,
    subject: String,
    sentence: String,
    relaxes: Option<bool>,
}

pub(super) fn section(words: &Words, sources: &Sources) -> Section {
    let heading = words.say("changes.heading");
    let Some(previous) = &sources.previous else {
        return Section { key: "changes", site: None, heading, parts: vec![Part::Text(words.say("changes.first"))] };
    };
    let (was, is) = (previous.revision.to_string(), sources.change.revision.to_string());
    let mut parts = vec![Part::Text(words.fill("changes.compared", &[("was", &was), ("is", &is)]))];
    if previous.documents.is_none() {
        parts.push(Part::Text(words.say("changes.unreadable")));
    }
    let lines = lines(words, sources, previous);
    if lines.is_empty() {
        parts.push(Part::Text(words.say("changes.none")));
    } else {
        let row = |line: &Line| {
            let effect = match line.relaxes {
                Some(true) => Cell::known(words.say("changes.more")).written("more"),
                Some(false) => Cell::known(words.say("changes.not_more")).written("not_more"),
                None => Cell::known(words.say("changes.declaration")).written("other"),
            };
            vec![Cell::known(&line.subject), Cell::known(&line.site), Cell::known(&line.sentence), effect]
        };
        let rows = lines.iter().map(row).collect();
        parts.push(Part::Table(Table { key: "changes", columns: columns(words, &["document", "site", "change", "leaves"]), rows }));
    }
    Section { key: "changes", site: None, heading, parts }
}

fn lines(words: &Words, sources: &Sources, previous: &Previous) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(before) = &previous.documents {
        let found = differences(before, &sources.documents);
        let mut rest = found.as_slice();
        while let Some(first) = rest.first() {
            let together = rest.iter().take_while(|other| belong_together(first, other)).count();
            let (these, others) = rest.split_at(together);
            lines.extend(told(words, sources, before, these));
            rest = others;
        }
    }
    lines.extend(keys(words, &previous.texts, &sources.texts));
    lines.retain(|line| sources.only.as_ref().is_none_or(|only| line.site.is_empty() || line.site == *only));
    lines
}

/// Differences of the same site, destination and visitors, in the same direction, are one sentence.
fn belong_together(one: &Difference, other: &Difference) -> bool {
    let same = one.site == other.site && one.destination == other.destination;
    same && match (&one.what, &other.what) {
        (What::Field { of, .. }, What::Field { of: also, .. }) => of == also,
        (one, other) => std::ptr::eq(one, other),
    }
}

/// How a field's treatment changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Newly,
    More,
    Less,
    Gone,
}

fn step(field: Field, was: Treatment, is: Treatment) -> Step {
    // A dropped visitor id is still one of each event.
    match (field, was, is) {
        (Field::Visitor, was, is) if is > was => Step::More,
        (Field::Visitor, ..) => Step::Less,
        (_, Treatment::Drop, _) => Step::Newly,
        (_, _, Treatment::Drop) => Step::Gone,
        (_, was, is) if is > was => Step::More,
        _ => Step::Less,
    }
}

fn told(words: &Words, sources: &Sources, before: &crate::documents::Documents, these: &[Difference]) -> Vec<Line> {
    let Some(first) = these.first() else { return Vec::new() };
    let destination = first.destination.clone().unwrap_or_default();
    let quoted = words.quoted(&destination);
    let line = |sentence: String, relaxes: Option<bool>| {
        let subject = if destination.is_empty() { format!("site \"{}\"", first.site) } else { format!("destination \"{destination}\"") };
        Line { site: first.site.clone(), subject, sentence, relaxes }
    };
    if let What::Field { of, .. } = first.what {
        let known = |documents: &crate::documents::Documents| {
            let site = documents.sites.iter().find(|site| site.name == first.site);
            site.is_some_and(|site| {
                documents.destinations.iter().any(|known| known.name == destination && known.sites.contains(&site.number))
            })
        };
        if !known(before) {
            let fields: Vec<_> = these.iter().filter_map(|these| label(words, &these.what)).collect();
            let activities = sources.activities();
            let receiving = activities.iter().filter(|activity| activity.site.name == first.site).flat_map(|activity| &activity.receiving);
            let mut ground =
                receiving.filter(|receiving| receiving.destination.name == destination).map(|known| ground_in_words(words, known));
            let ground = ground.next_back().unwrap_or_default();
            let values = [("destination", quoted.as_str()), ("ground", &ground), ("fields", &fields.join(", "))];
            return vec![line(words.fill("changes.new_destination", &values), Some(true))];
        }
        let whom = words.say(match of {
            Visitors::Undecided => "changes.of_undecided",
            Visitors::Agreed => "changes.of_agreed",
            Visitors::All => "changes.of_all",
        });
        let of_step = |wanted: Step, key: &str| {
            let is_of = |these: &&Difference| matches!(these.what, What::Field { field, was, is, .. } if step(field, was, is) == wanted);
            let explained = wanted != Step::Gone && these.iter().filter(is_of).count() <= EXPLAINED_MAX;
            let what = |these: &Difference| match these.what {
                What::Field { field, was, is, of } if step(field, was, is) == wanted => {
                    let effect = words.said(field.effect(is, of == Visitors::Agreed));
                    let name = words.dynamic("field", field.name());
                    Some(if explained { format!("{name} ({effect})") } else { name })
                }
                _ => None,
            };
            let what: Vec<_> = these.iter().filter_map(what).collect();
            let relaxes = matches!(wanted, Step::Newly | Step::More);
            let values = [("destination", quoted.as_str()), ("whom", &whom), ("what", &what.join(if explained { "; " } else { ", " }))];
            (!what.is_empty()).then(|| line(words.fill(key, &values), Some(relaxes)))
        };
        let steps = [
            of_step(Step::Newly, "changes.field_newly"),
            of_step(Step::More, "changes.field_more"),
            of_step(Step::Less, "changes.field_less"),
            of_step(Step::Gone, "changes.field_gone"),
        ];
        return steps.into_iter().flatten().collect();
    }
    let crowd = |visitors: u32| if visitors == 1 { words.say("changes.no_crowd") } else { visitors.to_string() };
    let sentence = match &first.what {
        What::Field { .. } => return Vec::new(),
        What::Listed { field, name, newly } => {
            let key = match (field, newly) {
                (Field::Page, true) => "changes.route_new",
                (Field::Page, false) => "changes.route_gone",
                (Field::Name, true) => "changes.event_new",
                (Field::Name, false) => "changes.event_gone",
                (_, true) => "changes.property_new",
                (_, false) => "changes.property_gone",
            };
            words.fill(key, &[("name", name), ("destination", &quoted)])
        }
        What::Override { reason: Some(reason) } => words.fill("changes.override_new", &[("reason", reason)]),
        What::Override { reason: None } => words.say("changes.override_gone"),
        What::Vendor { is: Some(vendor), .. } => {
            words.fill("changes.vendor_new", &[("destination", &quoted), ("vendor", &vendor.to_string())])
        }
        What::Vendor { is: None, .. } => words.fill("changes.vendor_gone", &[("destination", &quoted)]),
        What::Crowd { was, is } => {
            let values = [("was", crowd(was.0)), ("is", crowd(is.0)), ("was_agreed", crowd(was.1)), ("is_agreed", crowd(is.1))];
            let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
            words.fill("changes.crowd", &[values.as_slice(), &[("destination", quoted.as_str())]].concat())
        }
        What::Release { was, is } => {
            let (was, is) = (words.said(was.in_words()), words.said(is.in_words()));
            words.fill("changes.release", &[("destination", &quoted), ("was", &was), ("is", &is)])
        }
        What::Ends => words.fill("changes.ends", &[("destination", &quoted)]),
    };
    vec![line(sentence, Some(first.relaxes()))]
}

fn label(words: &Words, what: &What) -> Option<String> {
    match what {
        What::Field { field, .. } => Some(words.dynamic("field", field.name())),
        _ => None,
    }
}

/// Every key of a document that changed and is not told as what leaves.
fn keys(words: &Words, before: &[Document], after: &[Document]) -> Vec<Line> {
    let mut lines = Vec::new();
    let key = |document: &Document| (document.kind(), document.name().to_owned());
    let all: BTreeSet<_> = before.iter().chain(after).map(key).collect();
    for (kind, name) in all {
        let of = |documents: &[Document]| documents.iter().find(|document| key(document) == (kind, name.clone())).map(leaves);
        let line = |sentence: String| {
            let site = if kind == "site" { name.clone() } else { String::new() };
            Line { site, subject: format!("{kind} \"{name}\""), sentence, relaxes: None }
        };
        match (of(before), of(after)) {
            (None, None) => {}
            (None, Some(_)) => lines.push(line(words.say("changes.document_new"))),
            (Some(_), None) => lines.push(line(words.say("changes.document_gone"))),
            (Some(was), Some(is)) => {
                let paths: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
                let told = |path: &str| TOLD.contains(&(kind, path.split('.').next().unwrap_or_default()));
                for path in paths.into_iter().filter(|path| was.get(*path) != is.get(*path) && !told(path)) {
                    let shown = |value: Option<&String>| match value {
                        None => words.say("changes.not_set"),
                        // An address or a reference to a secret is nobody's business here.
                        Some(_) if path.starts_with("settings") => words.say("changes.not_shown"),
                        Some(value) if value.chars().count() > QUOTED_CHARS_MAX => words.say("changes.not_shown"),
                        Some(value) => words.quoted(value),
                    };
                    let values = [("key", path.as_str()), ("was", &shown(was.get(path))), ("is", &shown(is.get(path)))];
                    lines.push(line(words.fill("changes.key", &values)));
                }
            }
        }
    }
    lines
}

/// A document's values by their keys, those of sections with a dot.
fn leaves(document: &Document) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let table: toml::Table = document.text().parse().unwrap_or_default();
    for (key, value) in &table {
        match value {
            toml::Value::Table(section) => {
                found.extend(section.iter().map(|(below, value)| (format!("{key}.{below}"), plain(value))));
            }
            value => drop(found.insert(key.clone(), plain(value))),
        }
    }
    found
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
