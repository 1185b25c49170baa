//! `apply`: documents from files become the ones in force.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{CommandError, Place, policy::print_differences, recleanse::TIGHTENED};
use crate::{
    clock,
    documents::{
        differences::{Difference, differences},
        files::read_documents,
        store::{Author, Change, DocumentStoreError, Proposal},
    },
};

#[derive(Debug, Args)]
pub(super) struct ApplyArguments {
    /// A TOML file of documents, or a directory of such files.
    path: PathBuf,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
    /// Remove documents that are in force and not in the files.
    #[arg(long)]
    prune: bool,
    /// Why; kept with each new version. Where more would leave than before, there must be one.
    #[arg(long, default_value = "")]
    reason: String,
    /// Who; kept with each new version.
    #[arg(long, env = "USER", default_value = "command line")]
    author: String,
}

pub(super) fn apply(place: &Place, arguments: &ApplyArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let wanted = read_documents(&arguments.path)?;
    let store = place.documents(true)?;
    let Proposal { changes, before, after } = store.propose(&wanted, arguments.prune)?;
    let removed: Vec<_> = changes.iter().filter(|change| change.after.is_none()).collect();
    let removed: Vec<_> = removed.iter().map(|change| (change.kind.as_str(), change.name.as_str())).collect();
    place.refuse_managed(&wanted, &removed)?;
    if changes.is_empty() {
        writeln!(out, "Nothing to change: these documents are in force already.")?;
        return Ok(());
    }
    for change in &changes {
        print_change(change, out)?;
    }
    let relaxes = differences(&before, &after).iter().any(Difference::relaxes);
    if relaxes {
        writeln!(out)?;
        print_differences(&before, &after, out)?;
    }
    let author = Author { name: &arguments.author, reason: &arguments.reason, at: clock::now() };
    match store.apply(wanted, arguments.prune, arguments.dry_run, &author) {
        Err(error @ DocumentStoreError::NoReason(_)) if !arguments.dry_run => {
            return Err(format!("{error}\n  fix: --reason \"why, for whoever asks in two years\"").into());
        }
        // What would be asked for then is said below.
        Err(DocumentStoreError::NoReason(_)) => {}
        other => drop(other?),
    }
    let count = changes.len();
    let plural = if count == 1 { "" } else { "s" };
    if arguments.dry_run {
        let asks = if relaxes { " More would leave than before: --reason will be asked for." } else { "" };
        writeln!(out, "\n{count} document{plural} would change. Nothing was changed (--dry-run).{asks}")?;
    } else {
        writeln!(out, "\n{count} document{plural} changed. A running server takes them up within a second.")?;
        if after.tighten(&before) {
            writeln!(out, "{TIGHTENED}")?;
        }
    }
    Ok(())
}

/// A change as the lines that differ.
fn print_change(change: &Change, out: &mut dyn Write) -> std::io::Result<()> {
    let (before, after) = (change.before.as_deref().unwrap_or(""), change.after.as_deref().unwrap_or(""));
    let what = match (&change.before, &change.after) {
        (None, _) => "new",
        (_, None) => "removed",
        _ => "changed",
    };
    writeln!(out, "{} \"{}\": {what}", change.kind, change.name)?;
    let lines = |text: &'_ str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(before), lines(after));
    for line in before.iter().filter(|line| !after.contains(line) && !line.is_empty()) {
        writeln!(out, "  - {line}")?;
    }
    for line in after.iter().filter(|line| !before.contains(line) && !line.is_empty()) {
        writeln!(out, "  + {line}")?;
    }
    Ok(())
}
