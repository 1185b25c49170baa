//! `recovery`: how many visits a vendor's own tag missed, where a site measures it.

use std::{io::Write, sync::Arc};

use clap::Args;
use serde::Serialize;

use super::{CommandError, Place};
use crate::{
    clock,
    documents::store::DocumentStore,
    event::Epoch,
    privacy::keys::visit::LocalDay,
    recovery::{DAYS, GROUP_MIN, Missed, of_site},
    state::StateDb,
};

#[derive(Debug, Args)]
pub(super) struct RecoveryArguments {
    /// Only this site. Default: all of them.
    #[arg(long)]
    site: Option<String>,
    /// How many days are looked at, today included.
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(i32).range(1..=1100))]
    days: i32,
    /// Print JSON for machines.
    #[arg(long)]
    json: bool,
}

/// What is printed for machines.
#[derive(Serialize)]
struct OfSite {
    site: String,
    days: i32,
    groups: Vec<Missed>,
}

pub(super) fn recovery(place: &Place, arguments: &RecoveryArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let file = place.data_dir()?.join("state.db");
    if !file.exists() {
        return Err(format!("{}: nothing was counted here yet\n  fix: `firsthand run`, and docs/recovery.md", file.display()).into());
    }
    let state = Arc::new(StateDb::open(&file)?);
    let documents = DocumentStore::new(Arc::clone(&state)).compiled()?;
    let mut told = Vec::new();
    for site in documents.sites.iter().filter(|site| arguments.site.as_deref().is_none_or(|name| site.name == name)) {
        let today = LocalDay::of(&site.time_zone, clock::now()).epoch;
        let groups = of_site(&state, site, Epoch(today.0 - arguments.days + 1))?;
        told.push((OfSite { site: site.name.clone(), days: arguments.days, groups }, !site.snippet.measure_recovery.is_empty()));
    }
    if let Some(name) = arguments.site.as_ref().filter(|_| told.is_empty()) {
        let known: Vec<_> = documents.sites.iter().map(|site| site.name.as_str()).collect();
        let fix = crate::documents::compile::suggestion(name, &known);
        return Err(format!("--site: there is no site \"{name}\"\n  fix: {fix}").into());
    }
    if arguments.json {
        let told: Vec<_> = told.into_iter().map(|(of_site, _)| of_site).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&told)?)?;
        return Ok(());
    }
    for (OfSite { site, days, groups }, measured) in &told {
        let measures = if *measured { "" } else { " (it measures none now: `measure_recovery` in its document)" };
        writeln!(out, "site \"{site}\": visits with consent in which a vendor's own tag did not run, last {days} days{measures}")?;
        if groups.is_empty() {
            writeln!(out, "  no group of {GROUP_MIN} visits that told")?;
            continue;
        }
        writeln!(out, "  {:<12}{:<18}{:>8}{:>10}   {:<8}95 % interval", "tag", "browsers", "visits", "missed", "share")?;
        for Missed { tag, browser, visits, missed, share, low, high } in groups {
            let percent = |share: f64| format!("{:.1} %", share * 100.0);
            let between = format!("{} to {}", percent(*low), percent(*high));
            writeln!(out, "  {tag:<12}{browser:<18}{visits:>8}{missed:>10}   {:<8}{between}", percent(*share))?;
        }
    }
    Ok(())
}
