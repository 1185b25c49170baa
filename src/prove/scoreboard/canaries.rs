//! S2 and S5: what the canary run found, and its search of the memory after the day's end.

use std::collections::BTreeSet;

use super::Row;
use crate::{
    destination::DESTINATIONS,
    prove::{Outcome, day_end::Control, grammar::Grammar, places::Place},
};

const CANARIES_MIN: usize = 2_000;
const SPELLINGS_MIN: usize = 12;
const DESTINATIONS_MIN: usize = 6;

/// S5: the memory after the day's end.
#[must_use]
pub fn memory(outcome: &Outcome) -> Row {
    const WHAT: &str = "copies of the day's key, addresses, user agents and any marked value in memory, five seconds after the day's end";
    const TARGET: &str = "0, and the key, an address and a user agent found before";
    let Some(searched) = outcome.tried.places.get(&Place::Night) else { return Row::not("S5", WHAT, TARGET, "it was not tried") };
    if let Some(why) = &searched.not_searched {
        return Row::not("S5", WHAT, TARGET, why.as_str());
    }
    let Control { sites, keys_before, address_before, agent_before } = &outcome.day_end;
    let found = |there: bool| if there { "found" } else { "not found" };
    let leaks = searched.leaks.len();
    let figure = format!(
        "{leaks}; before, keys of {keys_before} of {sites} sites, the address {}, the user agent {}",
        found(*address_before),
        found(*agent_before)
    );
    Row::here("S5", WHAT, TARGET, figure, leaks == 0 && searched.genuine && searched.recovered == searched.planted)
}

/// S4: what was sent, name by name.
#[must_use]
pub fn grammar(outcome: &Outcome) -> Row {
    const WHAT: &str = "names in captured requests and files that the destination's declared form or the policy's lists do not have";
    let Grammar { read, names, undeclared, .. } = &outcome.tried.grammar;
    if *read == 0 {
        return Row::not("S4", WHAT, "0", "nothing was sent");
    }
    let figure = format!("{}; {read} requests and files, {names} names in the words of {} receivers", undeclared.len(), receivers(outcome));
    Row::here("S4", WHAT, "0", figure, undeclared.is_empty()).with(undeclared.iter().cloned().collect())
}

fn receivers(outcome: &Outcome) -> usize {
    outcome.destinations.iter().map(|destination| destination.kind.as_str()).collect::<BTreeSet<_>>().len()
}

/// The row. A run that is smaller than the target asks for can miss it, and not meet it.
#[must_use]
pub fn row(outcome: &Outcome) -> Row {
    const WHAT: &str = "marked values found where they must not be: sent, log, databases, traces, metrics, pages, memory";
    const TARGET: &str = "0; ≥ 2,000 values × ≥ 12 spellings × ≥ 6 destinations or every type there is, all controls found";
    let tried = &outcome.tried;
    let searched = || tried.places.values().filter(|searched| searched.not_searched.is_none());
    let (planted, recovered) =
        searched().fold((0, 0), |(planted, recovered), place| (planted + place.planted, recovered + place.recovered));
    let (canaries, spellings, destinations) = (tried.canaries, outcome.spellings.len(), outcome.destinations.len());
    let leaks = tried.leaks().count() + tried.kept.len();
    let figure = format!(
        "{leaks}; {canaries} values × {spellings} spellings × {destinations} destinations, {recovered} of {planted} controls found"
    );
    let every_type = DESTINATIONS.iter().all(|row| outcome.destinations.iter().any(|destination| destination.kind == row.name));
    let enough = canaries >= CANARIES_MIN && spellings >= SPELLINGS_MIN && (destinations >= DESTINATIONS_MIN || every_type);
    let sound = outcome.red().is_empty();
    let row = if sound && !enough {
        Row::not("S2", WHAT, TARGET, format!("a smaller run than the target asks for: {figure}"))
    } else {
        Row::here("S2", WHAT, TARGET, figure, sound)
    };
    let not_searched = tried
        .places
        .iter()
        .filter_map(|(place, searched)| searched.not_searched.as_ref().map(|why| format!("{} was not searched: {why}", place.name())));
    row.with(not_searched.collect())
}
