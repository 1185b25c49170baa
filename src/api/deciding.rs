//! Parting a browser from its account's profile, and joining it again. Said twice, it changes nothing the second time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    call::{Answer, Call},
    desk::Desk,
    problem::Problem,
};
use crate::profile::{
    audit::Act,
    parting::{REASON_BYTES_MAX, Undecidable, Wish},
};

/// Why, and of what.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reasoned {
    /// Why; it stays on record with the name of the key, as long as the person agrees.
    #[schemars(length(min = 1, max = 1000))]
    reason: String,
    /// Only what the browser did under no account.
    #[serde(default)]
    without_account: bool,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Decided {
    /// Whether something was changed: not where it was so already.
    changed: bool,
    /// The profile that it was a part of.
    was: String,
    /// The profile that it is a part of now.
    profile: String,
}

/// Parts a browser from its account's profile.
pub(super) fn unlink(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    decide(desk, call, true)
}

/// Joins it again.
pub(super) fn link(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    decide(desk, call, false)
}

fn decide(desk: &Desk, call: &Call, apart: bool) -> Result<Answer, Problem> {
    let (rules, Reasoned { reason, without_account }) = (call.rules()?, call.said()?);
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
        return Err(Problem::unreadable("a reason is a sentence or two, on one line"));
    }
    // Whose nobody agrees to is not there.
    desk.joined(call)?;
    let author = format!("api key {}", call.key.name);
    let wish = Wish { part: call.id()?, without_account, apart, author: &author, reason: reason.trim() };
    let considered = match desk.profiles.consider(rules, &wish)? {
        Ok(considered) => considered,
        Err(Undecidable::NoSuchPart) => {
            return Err(Problem::conflict(
                "not_a_part",
                "a browser is parted and joined, or the part of one account in it: name it as the profile's parts do",
            ));
        }
        Err(Undecidable::NothingWithoutAccount) => {
            return Err(Problem::conflict("nothing_without_account", "that browser has done nothing under no account"));
        }
    };
    // The part that is changed may be of another profile than the one that the address names.
    desk.may_be_used(call, &considered.joined)?;
    if !considered.is_so {
        desk.note(call, if apart { Act::Parted } else { Act::Joined }, &considered.strands)?;
    }
    let profile = desk.profiles.decide_as(rules, &considered, &wish, call.now)?;
    Answer::of(&Decided { changed: !considered.is_so, was: considered.profile, profile })
}
