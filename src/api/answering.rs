//! What a person may ask beside a copy and an erasure, carried out for them by who has an identifier of theirs: a consent that is taken back, a restriction
//! and its end, an objection to a profile. As the command line does, and with the same answer however often it is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{
    call::{Answer, Call},
    desk::Desk,
    erasing,
    problem::Problem,
    whom::Whom,
};
use crate::{
    event::Purposes,
    privacy::rights::{Asked, Found, Rights, hold},
    profile::{audit::Act, whose::Whose},
};

/// Whom it is about.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// Who.
    who: Whom,
}

/// What somebody takes back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TakenBack {
    /// Who.
    who: Whom,
    /// What: purposes by name (`analytics`, `profile`, `ads`), or `all`. Of all, their keys are destroyed.
    #[schemars(length(min = 1, max = 3))]
    purposes: Vec<String>,
}

/// What is not agreed to from now on.
#[derive(Serialize, JsonSchema)]
pub(super) struct Withdrawn {
    /// The purposes: whatever rests of whoever was named, it is used for none of these.
    withdrawn: Vec<&'static str>,
}

/// How what rests is held.
#[derive(Serialize, JsonSchema)]
pub(super) struct HeldState {
    /// Whether it is kept and used for nothing.
    restricted: bool,
    /// Browsers and contacts that were found.
    browsers: usize,
    /// How many of them others have accounts in, too: what is theirs is held with it.
    shared: usize,
}

/// What is meant, found.
struct Meant {
    rights: Rights,
    asked: Asked,
    found: Found,
}

fn meant(desk: &Desk, call: &Call, who: Whom) -> Result<Meant, Problem> {
    call.rules()?;
    let (rights, asked) = (desk.rights(), who.asked()?);
    let found = whose(desk, call, &rights).find(&call.site, &asked, call.now).map_err(failed)?;
    Ok(Meant { rights, asked, found })
}

fn whose<'a>(desk: &'a Desk, call: &'a Call, rights: &'a Rights) -> Whose<'a> {
    Whose { rights, persistent: &desk.persistent, profiles: &desk.profiles, documents: &call.documents }
}

fn note(desk: &Desk, call: &Call, act: Act, found: &Found) -> Result<(), Problem> {
    let marks = desk.profiles.marks_of(found.people().map(|(person, _)| person), call.now)?;
    desk.audit.note(call.site.number, (&call.who(), act), &marks, 1, call.now)?;
    Ok(())
}

/// Takes a consent back, for purposes or for all of them.
pub(super) fn withdraw(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let _room = desk.begin_large()?;
    let TakenBack { who, purposes } = call.said()?;
    let named = |name: &String| if name == "all" { Some(Purposes::ALL) } else { Purposes::named(name) };
    let purposes = purposes.iter().map(named).try_fold(Purposes::NONE, |all, one| Some(all.and(one?)));
    let Some(purposes) = purposes.filter(|purposes| !purposes.is_empty()) else {
        return Err(Problem::unreadable("the purposes are of: analytics, profile, ads; or all"));
    };
    end(desk, call, who, (purposes, Act::Withdrawn))?;
    Answer::of(&Withdrawn { withdrawn: purposes.names().collect() })
}

/// Removes a person's profile, and makes none until they agree anew.
pub(super) fn object(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let _room = desk.begin_large()?;
    let About { who } = call.said()?;
    end(desk, call, who, (Purposes::PROFILE, Act::Objected))?;
    Answer::of(&Withdrawn { withdrawn: Purposes::PROFILE.names().collect() })
}

/// Ends what whoever is meant agreed to, as far as these purposes go.
fn end(desk: &Desk, call: &Call, who: Whom, (purposes, act): (Purposes, Act)) -> Result<(), Problem> {
    let Meant { rights, asked, found } = meant(desk, call, who)?;
    let known_by = whose(desk, call, &rights).known_by(&call.site, &asked, &found).map_err(failed)?;
    // An objection to a profile is none to what else they may agree to with the same key.
    let keys_end = act != Act::Objected && rights.somebody_is_left_without(&found, purposes);
    if keys_end || purposes.cover(Purposes::PROFILE) {
        // It would be destroyed, and whoever asked that it be kept may need it.
        if rights.is_restricted(&found, &desk.list).map_err(failed)? {
            return Err(Problem::conflict("restricted", "what rests of them is kept at their request: lift that first"));
        }
        erasing::refuse_where_shared(call, &found)?;
    }
    let (people, waiting) = (found.people().map(|(person, _)| person).collect(), Handle::current());
    if keys_end || rights.agree_to_any(&found, purposes) {
        note(desk, call, act, &found)?;
    }
    let site = (&*call.site, hold::SOURCE);
    let mut without_any: Vec<_> = found.people().map(|(person, _)| person).collect();
    if purposes != Purposes::ALL {
        let on = (&*desk.list, &**desk.pipeline.visitors.proof(), &*call.site);
        without_any = waiting.block_on(rights.object((&found, purposes), &known_by, on, call.now)).map_err(failed)?;
        // In force before this is answered, here and not only in the file.
        desk.persons.look_who_is_held()?;
    }
    // Of who is not found, what they are known by is noted all the same.
    if keys_end || purposes == Purposes::ALL {
        waiting.block_on(desk.pipeline.visitors.erase(without_any, known_by, site, call.now)).map_err(failed)?;
    }
    if purposes.cover(Purposes::PROFILE) && desk.profiles.are_there() {
        desk.profiles.store()?.remove(&people)?;
    }
    Ok(())
}

/// Keeps what rests of somebody, and uses it for nothing.
pub(super) fn restrict(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let _room = desk.begin_large()?;
    let About { who } = call.said()?;
    let Meant { rights, found, .. } = meant(desk, call, who)?;
    if found.is_nobody() {
        return Err(Problem::not_found());
    }
    if !rights.are_all_restricted(&found, &desk.list).map_err(failed)? {
        note(desk, call, Act::Restricted, &found)?;
        rights.restrict(&found, &desk.list, call.now).map_err(failed)?;
    }
    desk.persons.look_who_is_held()?;
    Answer::of(&HeldState { restricted: true, browsers: found.browsers(), shared: found.shared() })
}

/// Takes that back.
pub(super) fn lift(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let _room = desk.begin_large()?;
    let About { who } = call.said()?;
    let Meant { rights, found, .. } = meant(desk, call, who)?;
    if found.is_nobody() {
        return Err(Problem::not_found());
    }
    if rights.is_restricted(&found, &desk.list).map_err(failed)? {
        note(desk, call, Act::Lifted, &found)?;
        rights.lift(&found, &desk.list).map_err(failed)?;
        if desk.profiles.are_there() {
            // What came in meanwhile, as far as the log retains it.
            desk.profiles.store()?.ask_again()?;
        }
    }
    desk.persons.look_who_is_held()?;
    Answer::of(&HeldState { restricted: false, browsers: found.browsers(), shared: found.shared() })
}

fn failed(error: impl std::fmt::Display) -> Problem {
    tracing::warn!(%error, "the profile API cannot carry out what a person asks");
    Problem::later("it cannot be carried out now; the same request again goes on with what was begun")
}
