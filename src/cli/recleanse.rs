//! `recleanse`: how far what is stored has been brought to what may rest under the documents in force; and the wish for another one, for
//! those who put stored data back from a copy.

use std::{
    fs::{File, TryLockError},
    io::{IsTerminal as _, Write, stdout},
    path::Path,
    sync::Arc,
    time::Duration,
};

use clap::Args;

use super::{CommandError, Place};
use crate::{
    clock,
    documents::store::DocumentStore,
    recleanse::progress::{self, Progress},
    state::StateDb,
};

/// What those who tighten documents are told.
pub(super) const TIGHTENED: &str =
    "Less may rest now: a running server rewrites what is stored, too (`firsthand recleanse` shows how far it is).";
/// How often the progress is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct RecleanseArguments {
    /// Begin one, whether the documents ask for it or not. A running server begins within a second, one that does not run when it starts.
    #[arg(long)]
    start: bool,
    /// Wait until nothing is left to do.
    #[arg(long)]
    wait: bool,
}

pub(super) fn recleanse(place: &Place, arguments: &RecleanseArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let directory = place.data_dir()?;
    let file = directory.join("state.db");
    if !file.exists() {
        return Err(format!("{}: there is none yet\n  fix: name the data directory with --data-dir", file.display()).into());
    }
    let state = Arc::new(StateDb::open(&file)?);
    let store = DocumentStore::new(Arc::clone(&state));
    if arguments.start {
        progress::ask(&state, clock::now())?;
        writeln!(out, "Asked for. A running server begins within a second; one that does not run begins when it starts.")?;
    }
    if arguments.wait {
        wait(&state, &store, &directory, out)?;
    }
    let waits = waits(&state, &store)?;
    let Some(progress) = progress::read(&state)?.filter(|progress| progress.run > 0) else {
        let what = if waits {
            "One begins as soon as a server runs."
        } else {
            "None was ever needed: nothing that is stored is wider than what may rest."
        };
        writeln!(out, "{what}")?;
        return Ok(());
    };
    show(&progress, &store, out)?;
    if waits && progress.is_over() {
        writeln!(out, "Another look is due: a running server takes it within a second, one that does not run when it starts.")?;
    }
    Ok(())
}

/// Whether there is something that no running server has looked at yet.
fn waits(state: &StateDb, store: &DocumentStore) -> Result<bool, CommandError> {
    let newest = store.revision()?;
    Ok(progress::read(state)?.is_none_or(|progress| progress.asked || progress.revision < newest))
}

fn show(progress: &Progress, store: &DocumentStore, out: &mut dyn Write) -> Result<(), CommandError> {
    let Progress { run, revision, cause, began, ended, segments_done, segments, replaced, .. } = progress;
    match ended {
        None => writeln!(out, "Recleanse {run} is under way, since {}: {}.", began.rfc3339(), cause.explanation())?,
        Some(ended) => {
            writeln!(out, "Recleanse {run} is over, from {} to {}: {}.", began.rfc3339(), ended.rfc3339(), cause.explanation())?;
        }
    }
    writeln!(out, "  log segments  {segments_done} of {segments} done")?;
    writeln!(out, "  records       {replaced} made narrower")?;
    writeln!(out, "  documents     revision {revision}")?;
    // Without the documents of then, their versions cannot be said.
    if let Ok(documents) = store.compiled_as_of(*revision) {
        for site in documents.sites {
            writeln!(out, "  site \"{}\"    policy \"{}\" version {}", site.name, site.policy.name, site.policy.version.0)?;
        }
    }
    Ok(())
}

fn wait(state: &StateDb, store: &DocumentStore, directory: &Path, out: &mut dyn Write) -> Result<(), CommandError> {
    let live = stdout().is_terminal();
    let mut shown = None;
    loop {
        let progress = progress::read(state)?;
        let over = progress.is_some_and(|progress| progress.is_over()) && !waits(state, store)?;
        if over {
            break;
        }
        if !is_running(directory)? {
            let problem = "no server runs on this data directory, and only one can do it";
            return Err(format!("{}: {problem}\n  fix: start it; it goes on by itself", directory.display()).into());
        }
        let now = progress.filter(|progress| !progress.is_over()).map(|progress| (progress.segments_done, progress.segments));
        if let Some((done, segments)) = now.filter(|_| live && now != shown) {
            write!(out, "\r{done} of {segments} log segments done ")?;
            out.flush()?;
            shown = now;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    if shown.is_some() {
        writeln!(out, "\r{:40}\r", "")?;
    }
    Ok(())
}

/// Whether a server holds the data directory.
fn is_running(directory: &Path) -> Result<bool, CommandError> {
    let Ok(lock) = File::open(directory.join("lock")) else { return Ok(false) };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
