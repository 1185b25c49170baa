//! Looking profiles up: lists, one, its timeline, by an identifier, all of it, and who did so.

use std::collections::BTreeSet;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Answer, Call, place, written},
    desk::Desk,
    problem::Problem,
    whom::Whom,
};
use crate::{
    privacy::{
        identifiers::identifier_of_site,
        profiled::{browser_of_site, place_of, sealed_place},
    },
    profile::{
        audit::{Act, Noted},
        entry::Class,
        store::{Slice, StrandKey},
        view::{EventView, ProfileView},
    },
};

/// Of one profile, without being asked for: what somebody sees at a glance.
const NEWEST_EVENTS: usize = 10;
/// Events in what is handed out at once; what has more is read page by page. A customer who does something twenty times a day for 13 months has 8,000.
const EXPORTED_EVENTS_MAX: usize = 20_000;

/// A page of profiles.
#[derive(Serialize, JsonSchema)]
pub(super) struct Profiles {
    /// In no order that says anything.
    profiles: Vec<Summary>,
    /// What to say as `cursor` for the next page; there may be none behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A profile in a list.
#[derive(Serialize, JsonSchema)]
pub(super) struct Summary {
    /// Its id.
    id: String,
    /// What joins its parts: `proven_account`, `one_browser` or `nothing`.
    joined_by: String,
    /// How many parts.
    parts: usize,
    /// The time of its first event.
    first_seen: Option<String>,
    /// The time of its last event.
    last_seen: Option<String>,
}

impl Summary {
    fn of(view: &ProfileView) -> Self {
        Self {
            id: view.id.clone(),
            joined_by: view.joined_by.to_owned(),
            parts: view.parts.len(),
            first_seen: view.traits.first_seen.clone(),
            last_seen: view.traits.last_seen.clone(),
        }
    }
}

/// Profiles, a page at a time.
pub(super) fn list(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let rules = call.rules()?;
    let after = call.query.get("cursor").map(|cursor| {
        let (person, account) =
            place_of(&desk.persistent, rules.site(), cursor)?.ok_or_else(|| Problem::unreadable("the cursor is none of ours"))?;
        Ok::<_, Problem>(StrandKey { site: rules.site(), person, account })
    });
    let after = after.transpose()?;
    if !desk.profiles.are_there() {
        return Answer::of(&Profiles { profiles: Vec::new(), next: None });
    }
    let (page, more) = desk.profiles.page(rules, after, call.query.count("limit", 50))?;
    let mut profiles = Vec::with_capacity(page.len());
    for joined in &page {
        profiles.extend(desk.profiles.view(joined, rules, 0, call.now)?.as_ref().map(Summary::of));
    }
    let next = more.map(|key| sealed_place(&desk.persistent, rules.site(), &key.person, key.account.as_ref())).transpose();
    let next = next.map_err(|_| Problem::later("a database cannot be used now"))?;
    desk.audit.note(call.site.number, (&call.who(), Act::Listed), &[], profiles.len(), call.now)?;
    Answer::of(&Profiles { profiles, next })
}

/// One profile.
pub(super) fn one(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let joined = desk.joined(call)?;
    let view = desk.profiles.view(&joined, call.rules()?, NEWEST_EVENTS, call.now)?.ok_or_else(Problem::not_found)?;
    desk.note(call, Act::Seen, &joined.strands)?;
    Answer::of(&view)
}

/// A page of a timeline.
#[derive(Serialize, JsonSchema)]
pub(super) struct Timeline {
    /// The newest that came in first.
    events: Vec<EventView>,
    /// What to say as `cursor` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What happened, a page at a time.
pub(super) fn timeline(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let joined = desk.joined(call)?;
    let behind = call.query.get("cursor").map(|cursor| place(cursor).ok_or_else(|| Problem::unreadable("the cursor is none of ours")));
    let class = call.query.get("class").and_then(|name| Class::ALL.into_iter().find(|class| class.name() == name));
    let slice = Slice { behind: behind.transpose()?, from: call.query.moment("from"), until: call.query.moment("until"), class };
    let (events, next) = desk.profiles.timeline(&joined, &slice, call.query.count("limit", 50), call.now)?;
    desk.note(call, Act::Seen, &joined.strands)?;
    Answer::of(&Timeline { events, next: next.as_ref().map(written) })
}

/// Who was found.
#[derive(Serialize, JsonSchema)]
pub(super) struct Found {
    /// None, where nobody who agrees to a profile has it; several of a browser in which several accounts are used.
    profiles: Vec<Summary>,
}

/// Profiles by what somebody is known by, which stands in the body, and so in no address and no log.
pub(super) fn find(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let rules = call.rules()?;
    let (kind, said) = call.said::<Whom>()?.one()?;
    let parts: Vec<(StrandKey, String)> = match kind {
        _ if !desk.profiles.are_there() => Vec::new(),
        // Several people may have it, whom it does not join.
        Some(kind) => match identifier_of_site(&desk.persistent, &rules.destination, kind, &said)? {
            Some(identifier) => desk.profiles.parts_of_identifier(rules.site(), &identifier)?,
            None => Vec::new(),
        },
        None => match browser_of_site(&desk.persistent, &rules.destination, &said)? {
            Some(browser) => desk.profiles.parts_of_browser(rules.site(), browser)?,
            None => Vec::new(),
        },
    };
    let (mut profiles, mut strands) = (Vec::<Summary>::new(), BTreeSet::new());
    for (strand, id) in parts {
        if strands.contains(&strand) {
            continue;
        }
        let joined = match desk.named(call, &id) {
            Ok(joined) => joined,
            Err(problem) if problem.status == StatusCode::NOT_FOUND => continue,
            Err(problem) => return Err(problem),
        };
        let Some(view) = desk.profiles.view(&joined, rules, 0, call.now)? else { continue };
        if !profiles.iter().any(|known| known.id == view.id) {
            profiles.push(Summary::of(&view));
            strands.extend(joined.strands);
        }
    }
    if !profiles.is_empty() {
        desk.note(call, Act::Found, &strands)?;
    }
    Answer::of(&Found { profiles })
}

/// How whose profile it is is written to.
pub(super) fn contact(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let joined = desk.joined(call)?;
    let view = desk.profiles.contact(&joined, call.rules()?, call.now)?;
    desk.note(call, Act::Addressed, &joined.strands)?;
    Answer::of(&view)
}

/// All of a profile.
#[derive(Serialize, JsonSchema)]
pub(super) struct Exported {
    /// The site.
    site: String,
    /// When it was put together.
    made_at: String,
    /// Whether all of its events are in it; if not, the newest are, and the others on the pages of its timeline.
    whole: bool,
    /// For how many days events are kept in it: views, actions, orders.
    kept_days: Vec<u64>,
    /// The profile.
    profile: ProfileView,
}

/// A profile with all of its events.
pub(super) fn export(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let _room = desk.begin_large()?;
    let (joined, rules) = (desk.joined(call)?, call.rules()?);
    let view = desk.profiles.view(&joined, rules, EXPORTED_EVENTS_MAX, call.now)?.ok_or_else(Problem::not_found)?;
    desk.note(call, Act::Exported, &joined.strands)?;
    Answer::of(&Exported {
        site: call.site.name.clone(),
        made_at: call.now.rfc3339(),
        whole: view.timeline.len() < EXPORTED_EVENTS_MAX,
        kept_days: rules.kept.iter().map(|kept| kept.as_secs() / 86_400).collect(),
        profile: view,
    })
}

/// A page of the audit.
#[derive(Serialize, JsonSchema)]
pub(super) struct Audit {
    /// The newest first.
    entries: Vec<Noted>,
    /// What to say as `cursor` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Who looked at whose profile, or at this one.
pub(super) fn audit(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let before = call.query.get("cursor").map(|cursor| cursor.parse().map_err(|_| Problem::unreadable("the cursor is none of ours")));
    let marks = match call.query.get("profile") {
        Some(id) => Some(desk.profiles.marks(&desk.named(call, id)?.strands, call.now)?),
        None => None,
    };
    let most = call.query.count("limit", 50);
    let mut entries = desk.audit.read(call.site.number, marks.as_deref(), before.transpose()?, most + 1)?;
    let more = entries.len() > most;
    entries.truncate(most);
    let next = entries.last().filter(|_| more).map(|entry| entry.number.to_string());
    Answer::of(&Audit { entries, next })
}
