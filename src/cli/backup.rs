//! `backup`: a copy of event log and state, or of the keys.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{CommandError, Place};
use crate::{
    clock,
    egress::closing::KEY_FILE,
    privacy::rights::erasures::{ERASURES, Erasures},
    rights::backup::{backup as copy, backup_keys, list_beside, signing_key_beside},
};

#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// A new directory: event log and state.db, without any key.
    #[arg(value_name = "DIR", required_unless_present = "keys", conflicts_with = "keys")]
    directory: Option<PathBuf>,
    /// Copy keys.db into this file instead, and the erasure list and the ledger's signing key beside it, over the last such copy. Keep it apart from the other backups.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

pub(super) fn backup(place: &Place, arguments: &BackupArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let data_dir = place.data_dir()?;
    if let Some(directory) = &arguments.directory {
        let (manifest, unreadable) = copy(&data_dir, directory, clock::now())?;
        let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        writeln!(
            out,
            "{}: {} events in {} files, {:.1} MB, as of {}.",
            directory.display(),
            manifest.records,
            manifest.files.len(),
            bytes as f64 / 1e6,
            manifest.made_at
        )?;
        if unreadable > 0 {
            writeln!(out, "{unreadable} places of the event log could not be read; they are damaged in the copy, too.")?;
        }
        writeln!(
            out,
            "No key is in it: `firsthand backup --keys FILE` copies those, apart. What destinations keep in files is not in it either."
        )?;
        return Ok(());
    }
    let Some(file) = &arguments.keys else { return Err("name a directory, or --keys FILE".into()) };
    if !data_dir.join("keys.db").exists() {
        return Err(format!("{}: there is no keys.db here\n  fix: name the data directory with --data-dir", data_dir.display()).into());
    }
    let list = Erasures::open(&data_dir.join(ERASURES.file), place.log_options()?.short_retention)?;
    let [erased, withdrawn, objected, _] = list.counts()?;
    backup_keys(&data_dir, file)?;
    writeln!(out, "{}: the keys; {}: the erasure list.", file.display(), list_beside(file).display())?;
    if data_dir.join(KEY_FILE).exists() {
        writeln!(out, "{}: the key that signs the ledger of what left.", signing_key_beside(file).display())?;
    }
    writeln!(
        out,
        "On the list: {erased} erased, {withdrawn} withdrawn, {objected} objections. Older copies of the keys hold theirs still: delete them."
    )?;
    Ok(())
}
