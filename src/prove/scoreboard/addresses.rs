//! S6: the search for addresses behind tokens. `privacy::keys::search` makes the keys and searches; here it is said what that means.

use super::{Ask, Row, compiled_site};
use crate::{
    documents::parse::Document,
    privacy::keys::search::{AddressSearch, AddressesFound},
    prove::{ProveError, beacons::Target, traffic::agents::Agents},
};

/// Visitors who are looked for.
const TARGETS: usize = 20;
/// All of IPv4.
const WHOLE: f64 = 4_294_967_296.0;

/// Searches, and says what came of it.
///
/// # Errors
/// When the documents do not compile, or the system gives no key.
pub fn row(
    documents: &[Document],
    target: &Target,
    ask: &Ask,
    seed: u64,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Row, ProveError> {
    let site = compiled_site(documents, target)?;
    let agents: Vec<&str> = Agents::counted().texts().collect();
    let search = AddressSearch { site: &site, user_agents: &agents, classes: ask.classes, targets: TARGETS, budget: ask.search };
    let mut random = fastrand::Rng::with_seed(seed);
    let found = search.run(&mut |below| random.u64(0..below), &mut |what, done, of| progress(what, done as usize, of as usize))?;
    Ok(said(&found, ask.search.is_none()))
}

fn said(found: &AddressesFound, whole: bool) -> Row {
    let AddressesFound { targets, classes, addresses, with_key, without_key } = found;
    let chance = format!("{:.0e} by chance", found.by_chance());
    let figure = format!(
        "with the key {} of {targets} visitors found; with the key destroyed {} of {targets}, {} candidates ({chance})",
        with_key.recovered, without_key.recovered, without_key.candidates
    );
    let what = if whole {
        "all of IPv4 × kinds of device, searched for the address behind a visitor's token of the day"
    } else {
        "a network of IPv4 × kinds of device, searched for the address behind a visitor's token of the day"
    };
    let mut details = vec![format!(
        "{} addresses × {classes} kinds of device = {} tokens a search, {:.2} million a second; the token has 128 bits",
        grouped(*addresses),
        grouped(found.tried()),
        found.rate() / 1e6
    )];
    if !whole {
        let hours = WHOLE * *classes as f64 / found.rate() / 3600.0;
        details.push(format!("extrapolated, not measured: all of IPv4 would take {hours:.1} h on this machine; --full does it"));
    }
    // Chance is so small that one candidate is none by chance.
    let pass = with_key.recovered == *targets && *targets > 0 && without_key.candidates == 0;
    Row::here("S6", what, "with the key 100 % (control); without it chance alone", figure, pass).with(details)
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::privacy::keys::search::Search;

    #[test]
    fn it_passes_only_where_the_control_is_found_and_nothing_else() {
        let search = |recovered, candidates| Search { recovered, candidates, took: Duration::from_secs(1) };
        let found = |with_key, without_key| AddressesFound { targets: 20, classes: 50, addresses: 65_536, with_key, without_key };
        let verdict = |with_key, without_key| said(&found(with_key, without_key), false).verdict();
        assert_eq!(verdict(search(20, 20), search(0, 0)), "pass");
        assert_eq!(verdict(search(19, 19), search(0, 0)), "MISS", "who cannot find with the key shows nothing without");
        assert_eq!(verdict(search(20, 20), search(0, 1)), "MISS", "one of 2^128 is not by chance");
        let row = said(&found(search(20, 20), search(0, 0)), false);
        assert!(row.details[0].contains("65,536 addresses × 50") && row.details[1].contains("extrapolated, not measured"), "{row:?}");
        assert_eq!(said(&found(search(20, 20), search(0, 0)), true).details.len(), 1);
    }
}
