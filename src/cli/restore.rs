//! `restore`: puts a backup back.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{CommandError, Place};
use crate::{
    clock,
    rights::restore::{Restored, Wanted, restore as put_back},
};

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// A directory that `firsthand backup` made.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Where the data directory has no keys.db: the newest copy that `firsthand backup --keys` made.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Replace the event log and the state.db that are there.
    #[arg(long)]
    replace: bool,
}

pub(super) fn restore(place: &Place, arguments: &RestoreArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let wanted = Wanted {
        backup: &arguments.directory,
        data_dir: &place.data_dir()?,
        keys: arguments.keys.as_deref(),
        replace: arguments.replace,
        options: place.log_options()?,
        now: clock::now(),
    };
    let Restored { manifest, reapplied, emptied } = put_back(&wanted)?;
    writeln!(out, "Put back: {} events, as of {} ({}).", manifest.records, manifest.made_at, manifest.made_by)?;
    writeln!(
        out,
        "Taken out again, for it was erased, withdrawn or objected to since: {emptied} events; {} keys and {} objections were missing here.",
        reapplied.keys, reapplied.objections
    )?;
    writeln!(out, "Documents are those of that day: `firsthand export` shows them; apply newer ones before you start.")?;
    writeln!(out, "What was delivered after the backup is delivered again, under the same event ids.")?;
    Ok(())
}
