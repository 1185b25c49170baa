//! `lint`: what a destination would make of the newest events, before it is switched on.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{CommandError, Place, trace::print_request};
use crate::{
    clock,
    documents::{Destination, Documents, compile::suggestion, files::read_documents},
    inspect::lint::{Lint, lint as try_out},
};

/// More are no preview; they are held in memory.
const EVENTS_MAX: u32 = 100_000;

#[derive(Debug, Args)]
pub(super) struct LintArguments {
    /// The destination's name.
    destination: String,
    /// As if the documents of this TOML file, or directory of such files, were applied: a destination is tried out before it is there.
    #[arg(long, value_name = "PATH")]
    with: Option<PathBuf>,
    /// How many of the newest events.
    #[arg(long, value_name = "EVENTS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(EVENTS_MAX)))]
    events: u32,
    /// Print JSON for machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn lint(place: &Place, arguments: &LintArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let store = place.documents(false)?;
    let documents = match &arguments.with {
        Some(path) => store.propose(&read_documents(path)?, false)?.after,
        None => store.compiled()?,
    };
    let destination = named(&documents, &arguments.destination)?;
    let lint = try_out(&place.data_dir()?, &documents, destination, arguments.events as usize, clock::now())?;
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&lint)?)?;
        return Ok(());
    }
    Ok(print(&lint, destination, out)?)
}

/// The destination of that name.
pub(super) fn named<'d>(documents: &'d Documents, name: &str) -> Result<&'d Destination, CommandError> {
    documents.destinations.iter().find(|destination| destination.name == name).map(AsRef::as_ref).ok_or_else(|| {
        let known: Vec<_> = documents.destinations.iter().map(|destination| destination.name.as_str()).collect();
        format!("there is no destination \"{name}\"\n  fix: {}", suggestion(name, &known)).into()
    })
}

fn print(lint: &Lint, destination: &Destination, out: &mut dyn Write) -> std::io::Result<()> {
    let Lint { events, received, kept_back, leave, too_old, too_large, requests, names, oldest_seconds, bytes_max, example } = lint;
    let Destination { name, kind, .. } = destination;
    if *events == 0 {
        return writeln!(out, "No event has come in yet that could be tried out on \"{name}\".");
    }
    writeln!(out, "The newest {events} events, as \"{name}\" ({kind}) would get them. Nothing was sent.\n")?;
    let span = received.as_ref().map_or_else(String::new, |(first, last)| format!(" ({first} to {last})"));
    writeln!(out, "  {leave:>8}  would leave{span}, in at least {requests} requests")?;
    for (why, count) in kept_back {
        writeln!(out, "  {count:>8}  would not: {why}")?;
    }
    let hours = oldest_seconds / 3600;
    writeln!(out, "  {too_old:>8}  are older than it takes ({hours} h): they would end as expired")?;
    writeln!(out, "  {too_large:>8}  are larger alone than a request may be ({bytes_max} bytes): its receiver may refuse them")?;
    if !names.is_empty() {
        writeln!(out, "\n  {:<32} {:>8} {:>14} {:>14}", "event", "events", "fields unsaid", "largest, bytes")?;
        for (name, of_name) in names {
            writeln!(out, "  {name:<32} {:>8} {:>14} {:>14}", of_name.events, of_name.unsaid, of_name.largest)?;
        }
        let unsaid: u64 = names.values().map(|of_name| of_name.unsaid).sum();
        if unsaid > 0 {
            writeln!(out, "\n  \"unsaid\": fields that may leave, and that {kind} has no words for.")?;
        }
    }
    if let Some(example) = example {
        writeln!(out, "\nThe first of them, alone:\n")?;
        print_request(example, out)?;
    }
    Ok(())
}
