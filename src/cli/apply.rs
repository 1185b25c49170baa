//! `apply`: documents from files become the ones in force.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{CommandError, Place, recleanse::TIGHTENED};
use crate::{
    clock,
    documents::{
        files::read_documents,
        store::{Author, Change},
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
    /// Why; kept with each new version.
    #[arg(long, default_value = "applied from a file")]
    reason: String,
    /// Who; kept with each new version.
    #[arg(long, env = "USER", default_value = "command line")]
    author: String,
}

pub(super) fn apply(place: &Place, arguments: &ApplyArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let wanted = read_documents(&arguments.path)?;
    let author = Author { name: &arguments.author, reason: &arguments.reason, at: clock::now() };
    let store = place.documents(true)?;
    // Documents at rest that cannot be compiled any more say nothing of what could rest.
    let before = store.compiled().ok();
    let changes = store.apply(wanted, arguments.prune, arguments.dry_run, &author)?;
    if changes.is_empty() {
        writeln!(out, "Nothing to change: these documents are in force already.")?;
        return Ok(());
    }
    for change in &changes {
        print_change(change, out)?;
    }
    let count = changes.len();
    let plural = if count == 1 { "" } else { "s" };
    if arguments.dry_run {
        writeln!(out, "\n{count} document{plural} would change. Nothing was changed (--dry-run).")?;
    } else {
        writeln!(out, "\n{count} document{plural} changed. A running server takes them up within a second.")?;
        if before.is_some_and(|before| store.compiled().is_ok_and(|after| after.tighten(&before))) {
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
