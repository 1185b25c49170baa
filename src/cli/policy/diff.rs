//! `policy diff`: what documents in a file would change about what leaves, before they are applied: as tables say it, and of the newest events.

use std::{io::Write, path::PathBuf, sync::Arc};

use clap::Args;

use super::{CommandError, Place};
use crate::{
    clock,
    documents::{
        Documents,
        differences::{Difference, Visitors, What, differences},
        files::read_documents,
        store::Proposal,
    },
    event_log::recent,
    privacy::{
        keys::database::KeysDb,
        policy::{Field, Treatment},
        replay::{Compared, FieldCompared, Replay, Replayer},
    },
    state::StateDb,
};

/// More events than this are no preview; they are held in memory.
const REPLAYED_MAX: u32 = 100_000;
/// An example longer than this is cut: a line of a terminal.
const EXAMPLE_CHARS_MAX: usize = 48;

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArguments {
    /// A TOML file of documents, or a directory of such files.
    path: PathBuf,
    /// As if documents that are not in the files were removed.
    #[arg(long)]
    prune: bool,
    /// How many of the newest events are replayed under the documents in force and under those of the files.
    #[arg(long, value_name = "EVENTS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=i64::from(REPLAYED_MAX)))]
    replay: u32,
}

pub(super) fn diff(place: &Place, arguments: &DiffArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let wanted = read_documents(&arguments.path)?;
    let Proposal { before, after, .. } = place.documents(false)?.propose(&wanted, arguments.prune)?;
    print_differences(&before, &after, out)?;
    if arguments.replay == 0 {
        return Ok(());
    }
    let directory = place.data_dir()?;
    let keys = directory.join("keys.db");
    if !keys.exists() {
        return Ok(writeln!(out, "\nNo event has come in yet that could be replayed.")?);
    }
    let records = recent(&directory.join("log"), arguments.replay as usize)?;
    let state = Arc::new(StateDb::open(&directory.join("state.db"))?);
    let replayer = Replayer::new(state, Arc::new(KeysDb::open(&keys)?))?;
    print_replay(&replayer.compare(&records, &before, &after, clock::now())?, out)?;
    Ok(())
}

/// What would newly leave, and what no longer, per site, destination and state.
pub(in crate::cli) fn print_differences(before: &Documents, after: &Documents, out: &mut dyn Write) -> std::io::Result<()> {
    let differences = differences(before, after);
    if differences.is_empty() {
        return writeln!(out, "What leaves would stay the same.");
    }
    let mut heading = String::new();
    for difference in &differences {
        let now = heading_of(difference);
        if now != heading {
            writeln!(out, "{now}")?;
            heading = now;
        }
        print_difference(difference, out)?;
    }
    Ok(())
}

fn heading_of(Difference { site, destination, what, .. }: &Difference) -> String {
    let who = match what {
        What::Field { of: Visitors::Undecided, .. } => ", of visitors who have not chosen:",
        What::Field { of: Visitors::Agreed, .. } => ", of visitors who agreed:",
        What::Field { of: Visitors::All, .. } => ", of every visitor who has not objected:",
        What::Listed { .. } => ", of the policy's lists:",
        What::Crowd { .. } => ", of the crowds that leave:",
        What::Ends => ": nothing would leave any more",
        What::Override { .. } | What::Vendor { .. } | What::Release { .. } => ":",
    };
    let destination = destination.as_ref().map_or_else(String::new, |destination| format!(" to \"{destination}\""));
    format!("site \"{site}\"{destination}{who}")
}

fn print_difference(difference: &Difference, out: &mut dyn Write) -> std::io::Result<()> {
    match &difference.what {
        What::Field { of, field, was, is } => {
            let what = match is {
                Treatment::Drop => "would no longer leave",
                _ if is > was => "would newly leave",
                _ => "would leave less",
            };
            let effect = field.effect(*is, *of == Visitors::Agreed);
            writeln!(out, "  {what}: {} ({} → {}): {effect}", field.name(), was.name(), is.name())
        }
        What::Listed { field: Field::Page, name, newly: true } => {
            writeln!(out, "  would newly leave without a crowd, where pages do: what has the form {name}, under that name")
        }
        What::Listed { field: Field::Page, name, newly: false } => {
            writeln!(out, "  the route {name} would go: such pages would leave as their paths say, cleaned, once a crowd has seen them")
        }
        What::Listed { field, name, newly: true } => writeln!(out, "  would newly leave, where it does at all: {} {name}", field.name()),
        What::Listed { field, name, newly: false } => writeln!(out, "  would no longer leave: {} {name}", field.name()),
        What::Override { reason: Some(reason) } => {
            writeln!(out, "  a yes on the site would newly count although the browser sends GPC: {reason}")
        }
        What::Override { reason: None } => writeln!(out, "  GPC would outrank a yes on the site again"),
        What::Vendor { is: Some(vendor), .. } => writeln!(out, "  a TC string would have to consent to vendor {vendor}, too"),
        What::Vendor { is: None, .. } => writeln!(out, "  a TC string would no longer be asked for a vendor"),
        What::Crowd { was, is } => {
            let say = |visitors: u32| if visitors == 1 { String::from("none") } else { format!("of {visitors}") };
            writeln!(out, "  crowds asked for: {} → {}; of who agreed: {} → {}", say(was.0), say(is.0), say(was.1), say(is.1))
        }
        What::Release { was, is } => writeln!(out, "  crowds would be decided on {} instead of {}", is.in_words(), was.in_words()),
        What::Ends => Ok(()),
    }
}

fn print_replay(replay: &Replay, out: &mut dyn Write) -> std::io::Result<()> {
    let Some((first, last)) = replay.received else {
        return writeln!(out, "\nNo event has come in yet that could be replayed.");
    };
    let count = replay.events;
    writeln!(out, "\nThe newest {count} events ({} to {}), replayed:", first.rfc3339(), last.rfc3339())?;
    if replay.compared.is_empty() {
        writeln!(out, "  what each destination receives of them would stay the same")?;
    }
    for ((site, destination), compared) in &replay.compared {
        writeln!(out, "  site \"{site}\" to \"{destination}\":")?;
        print_compared(compared, out)?;
    }
    if replay.unreadable > 0 {
        writeln!(
            out,
            "  {} more were left out: their visitors have withdrawn or objected since, or they cannot be read",
            replay.unreadable
        )?;
    }
    writeln!(
        out,
        "  (A field that no destination sees today rests nowhere, and an event that none may have was counted only: the tables above speak of those.)"
    )
}

fn print_compared(Compared { newly, ended, fields }: &Compared, out: &mut dyn Write) -> std::io::Result<()> {
    if *newly > 0 {
        writeln!(out, "    {newly} events would newly leave")?;
    }
    if *ended > 0 {
        writeln!(out, "    {ended} events would no longer leave")?;
    }
    for (name, FieldCompared { newly, ended, otherwise, examples }) in fields {
        let counts = [(newly, "newly leave"), (ended, "no longer leave"), (otherwise, "leave as another value")];
        let counts: Vec<_> =
            counts.into_iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!("would {what} in {count}")).collect();
        let examples: Vec<_> = examples.iter().map(|example| shortened(example)).collect();
        let examples = if examples.is_empty() { String::new() } else { format!(", e.g. {}", examples.join(", ")) };
        writeln!(out, "    {name}: {}{examples}", counts.join(", "))?;
    }
    Ok(())
}

fn shortened(example: &str) -> String {
    let cut: String = example.chars().take(EXAMPLE_CHARS_MAX).collect();
    if cut.len() < example.len() { format!("{cut}…") } else { cut }
}
