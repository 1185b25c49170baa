//! `trace`: what became of one event at every destination, and the exact request that it left in.

use std::io::Write;

use clap::Args;

use super::{CommandError, Place};
use crate::{
    clock,
    inspect::{
        shown::ShownParcel,
        trace::{InProfiles, Stand, Trace, trace as look_for},
    },
    privacy::named::EventName,
};

#[derive(Debug, Args)]
pub(super) struct TraceArguments {
    /// The event: its number in the event log (the live page shows it), its own id, or the id that a destination has of it.
    event: String,
    /// Leave the requests out.
    #[arg(long)]
    brief: bool,
    /// Print JSON for machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn trace(place: &Place, arguments: &TraceArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let name = EventName::parse(&arguments.event)
        .ok_or("that is no event\n  fix: a number of the event log, or an id of 32 hexadecimal digits, with hyphens or without")?;
    let directory = place.data_dir()?;
    let mut trace = look_for(&directory, name, clock::now())?.ok_or(
        "there is no such event\n  fix: it may have left the event log (what was not agreed to is kept for the shortest time), \
         or never have got there: `firsthand explain` says what becomes of a beacon",
    )?;
    if arguments.brief {
        trace.destinations.iter_mut().for_each(|stand| stand.request = None);
    }
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&trace)?)?;
        return Ok(());
    }
    Ok(print(&trace, out)?)
}

fn print(trace: &Trace, out: &mut dyn Write) -> std::io::Result<()> {
    let Trace { offset, event_id, site, received, purposes, ceiling, destinations, profiles } = trace;
    writeln!(out, "Event {} of site \"{site}\", received {received}", offset.0)?;
    writeln!(out, "  its own id    {event_id} (it never leaves)")?;
    let agreed = if purposes.is_empty() { String::from("nothing: its visitor had not chosen") } else { purposes.join(", ") };
    writeln!(out, "  agreed to     {agreed}")?;
    writeln!(out, "  at most seen  {ceiling}")?;
    if destinations.is_empty() {
        writeln!(out, "\nNo destination serves its site.")?;
    }
    destinations.iter().try_for_each(|stand| print_stand(stand, out))?;
    let Some(InProfiles { store, withheld }) = profiles else { return Ok(()) };
    writeln!(out, "\n{store} (the site's own customer profiles)")?;
    match withheld {
        None => writeln!(out, "  for a profile: its visitor agrees to one"),
        Some(rule) => writeln!(out, "  withheld: {rule}"),
    }
}

fn print_stand(stand: &Stand, out: &mut dyn Write) -> std::io::Result<()> {
    let Stand { destination, kind, ended, waits, event_id, request, not_rebuilt } = stand;
    writeln!(out, "\n{destination} ({kind})")?;
    match ended {
        None if *waits => writeln!(out, "  it waits: to be read, sent or answered")?,
        None => writeln!(out, "  never for it: it came in before the destination was there, or is not addressed to it")?,
        Some(entry) => {
            let rule = if entry.rule.is_empty() { String::new() } else { format!(": {}", entry.rule) };
            writeln!(out, "  {}{rule}, {}", entry.state.name(), entry.at.rfc3339())?;
            if let Some(status) = &entry.status {
                let attempt = entry.attempt.map_or_else(String::new, |attempt| format!(", attempt {attempt}"));
                let policy = entry.policy.map_or_else(String::new, |policy| format!("; sent under policy version {}", policy.0));
                writeln!(out, "  answered {status}{attempt}{policy}")?;
            }
        }
    }
    if let Some(id) = event_id {
        writeln!(out, "  there it has the id {id}")?;
    }
    if let Some(why) = not_rebuilt {
        writeln!(out, "  what was sent cannot be shown: {why}")?;
    }
    request.as_ref().map_or(Ok(()), |request| print_request(request, out))
}

/// The request, indented.
pub(super) fn print_request(request: &ShownParcel, out: &mut dyn Write) -> std::io::Result<()> {
    let ShownParcel { to, headers, body, unsaid } = request;
    writeln!(out, "    {to}")?;
    headers.iter().try_for_each(|header| writeln!(out, "    {header}"))?;
    writeln!(out)?;
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(value) => serde_json::to_string_pretty(&value)?.lines().try_for_each(|line| writeln!(out, "    {line}"))?,
        Err(_) => body.lines().try_for_each(|line| writeln!(out, "    {line}"))?,
    }
    if *unsaid > 0 {
        writeln!(out, "    ({unsaid} fields of it have no words there)")?;
    }
    Ok(())
}
