//! Erasing whose profile it is: as `firsthand person erase` does, of all browsers of the profile. Who has received something of them is said
//! before, and with it: afterwards nobody could tell any more.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    call::{Answer, Call},
    desk::Desk,
    problem::Problem,
};
use crate::{
    event::Offset,
    privacy::{
        identifiers::Identifier,
        profiled::PersonHandle,
        rights::{
            Found, Rights,
            export::{ErasureNotice, Facts},
            hold,
            parts::Part,
            recipients::Ids,
        },
    },
    profile::{audit::Act, identity::Joined, store::StrandKey},
    rights::ends,
};

/// What is or was erased, and who has to be told.
#[derive(Serialize, JsonSchema)]
pub(super) struct Receivers {
    /// Browsers whose key it is about.
    browsers: usize,
    /// How many of them others have accounts in, too. What those did there is sealed under the same key, and goes with it.
    shared: usize,
    /// Whether they are erased.
    erased: bool,
    /// Who has received something of them, or may have, and by which ids they find it: tell them to erase it, too.
    #[schemars(with = "serde_json::Map<String, Value>")]
    notice: Value,
}

/// Who would have to be told. Erases nothing.
pub(super) fn receivers(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let _room = desk.begin_large()?;
    let joined = desk.joined(call)?;
    let (rights, found) = found(desk, call, &joined)?;
    let notice = notice(desk, call, &rights, &found)?;
    desk.note(call, Act::Seen, &joined.strands)?;
    Answer::of(&Receivers {
        browsers: found.browsers(),
        shared: found.shared(),
        erased: false,
        notice: notice.hand_over_to_the_key_holder(),
    })
}

/// Erases them.
pub(super) fn erase(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let _room = desk.begin_large()?;
    let joined = desk.joined(call)?;
    let (rights, found) = found(desk, call, &joined)?;
    refuse_where_shared(call, &found)?;
    let notice = notice(desk, call, &rights, &found)?;
    let people: BTreeSet<PersonHandle> = found.people().map(|(person, _)| person).collect();
    // Not whose alone the profile is, but whose key goes.
    let marks = desk.profiles.marks_of(people.iter().copied(), call.now)?;
    desk.audit.note(call.site.number, (&call.who(), Act::Erased), &marks, 1, call.now)?;
    // An import may say them again.
    let mut known_by = BTreeSet::new();
    for strand in &joined.strands {
        known_by.extend(strand.account.map(|account| Identifier::of_account(&account)));
        known_by.extend(desk.profiles.store()?.identifiers(strand)?);
    }
    joined.retain_their_own(&mut known_by);
    // And an older copy may have more of the accounts than rests here.
    rights.note_accounts(&found, &desk.list, call.now).map_err(failed)?;
    let (handles, known_by) = (people.iter().copied().collect(), known_by.into_iter().collect());
    // By the keys that the running program has: nothing is to be read anew, and no file to be written anew while others wait for it.
    let erasing = desk.pipeline.visitors.erase(handles, known_by, (&call.site, hold::SOURCE), call.now);
    Handle::current().block_on(erasing).map_err(failed)?;
    desk.profiles.store()?.remove(&people)?;
    Answer::of(&Receivers {
        browsers: found.browsers(),
        shared: found.shared(),
        erased: true,
        notice: notice.hand_over_to_the_key_holder(),
    })
}

/// Others' data go with somebody's only where that is said.
pub(super) fn refuse_where_shared(call: &Call, found: &Found) -> Result<(), Problem> {
    if found.shared() > 0 && call.query.get("others") != Some("erase") {
        let detail = "others have accounts in a browser that is meant, and what they did there would go with it: ask with others=erase";
        return Err(Problem::conflict("others_share_a_browser", detail));
    }
    Ok(())
}

/// Whose keys a profile was sealed under, and in which browsers beside them the log has its accounts.
fn found(desk: &Desk, call: &Call, joined: &Joined) -> Result<(Rights, Found), Problem> {
    let (rights, rules) = (desk.rights(), call.rules()?);
    let part_of = |strand: &StrandKey| (strand.person, strand.account);
    let parts: BTreeSet<Part> = joined.strands.iter().map(part_of).collect();
    let mut others = BTreeSet::new();
    for (person, _) in &parts {
        let all = desk.profiles.store()?.of_person(call.site.number, person)?;
        others.extend(all.iter().map(|row| part_of(&row.key)).filter(|part| !parts.contains(part)));
    }
    let found = rights.of_parts((call.site.number, &rules.destination), (&parts, &others), call.now).map_err(failed)?;
    // As of the profile: also where the log alone has it, who had it restricted may want it kept.
    if rights.is_restricted(&found, &desk.list).map_err(failed)? {
        return Err(Problem::not_found());
    }
    Ok((rights, found))
}

fn notice(desk: &Desk, call: &Call, rights: &Rights, found: &Found) -> Result<ErasureNotice, Problem> {
    let facts = Facts {
        documents: &call.documents,
        site: &call.site,
        state: &desk.state,
        ids: Ids { persistent: &desk.persistent, epochs: &desk.epochs },
        kept: desk.kept,
        now: call.now,
    };
    let mut ask = |offset: Offset| ends(&desk.ledger, &call.documents, &call.site, offset);
    rights.notice(found, &facts, &mut ask).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Problem {
    tracing::warn!(%error, "the profile API cannot read or erase what rests of a person");
    Problem::later("what rests cannot be read now; what was begun is finished by the same request again, or by the next start")
}
