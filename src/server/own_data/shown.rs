//! A profile as its customer sees it: what is known and what happened, and none of the ids by which it is found.

use std::fmt::Write as _;

use super::words::Words;
use crate::profile::view::{MetView, ProfileView};

/// Names of a list that are shown.
const NAMES_SHOWN: usize = 10;

/// What is known, and the newest events.
pub(super) fn shown(view: &ProfileView, words: &Words) -> String {
    let traits = &view.traits;
    let mut text = String::from("<dl class=\"facts\">");
    let mut row = |what: &str, is: &str| {
        if !is.is_empty() {
            let _ = write!(text, "<div><dt>{what}</dt><dd>{}</dd></div>", escaped(is));
        }
    };
    let names = |met: &[MetView]| met.iter().take(NAMES_SHOWN).map(|met| met.name.as_str()).collect::<Vec<_>>().join(", ");
    for (what, kept) in [(words.name, &view.contact.name), (words.email, &view.contact.email), (words.phone, &view.contact.phone)] {
        row(what, kept.as_ref().map_or("", |said| said.value.as_str()));
    }
    row(words.first_seen, &minute(traits.first_seen.as_deref()));
    row(words.last_seen, &minute(traits.last_seen.as_deref()));
    row(words.visits, &traits.visits.to_string());
    for of in &traits.revenue {
        row(words.orders, &format!("{} {} {:.2} {}", of.orders, words.for_sum, of.revenue, of.currency));
    }
    row(words.products, &names(&traits.last_products));
    row(words.categories, &names(&traits.last_categories));
    if let Some(campaign) = &traits.last_campaign {
        row(words.campaign, &campaign.value.values().cloned().collect::<Vec<_>>().join(", "));
    }
    row(words.country, traits.country.as_ref().map_or("", |said| said.value.as_str()));
    row(words.language, traits.language.as_ref().map_or("", |said| said.value.as_str()));
    for (name, own) in &traits.own {
        row(&escaped(name), serde_json::to_string(&own.said.value).unwrap_or_default().trim_matches('"'));
    }
    text.push_str("</dl>");
    if view.timeline.is_empty() {
        return text;
    }
    let Words { events, when, what, page, value, .. } = words;
    let _ = write!(
        text,
        "<h3>{events}</h3><table class=\"events\"><thead><tr><th>{when}</th><th>{what}</th><th>{page}</th><th>{value}</th></tr></thead><tbody>"
    );
    for event in &view.timeline {
        let entry = &event.entry;
        let path = entry.page.as_ref().map_or("", |page| page.path());
        let money = entry.value.map_or_else(String::new, |value| format!("{value:.2} {}", entry.currency.as_deref().unwrap_or("")));
        let name = entry.name.replace('_', " ");
        let _ = write!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            minute(Some(&event.happened)),
            escaped(&name),
            escaped(path),
            escaped(&money)
        );
    }
    text.push_str("</tbody></table>");
    text
}

/// `2026-11-28 17:05`.
fn minute(at: Option<&str>) -> String {
    at.and_then(|at| at.get(..16)).unwrap_or_default().replace('T', " ")
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
