//! Which configuration and which data a command works on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::runtime::Runtime;

use super::{CommandError, Place};
use crate::{
    clock,
    config::Config,
    documents::{
        Documents,
        files::read_documents,
        parse::Document,
        store::{Author, DocumentStore},
    },
    event_log::LogOptions,
    privacy::{
        profiled::ProfileSeals,
        rules::{Rule, holds},
    },
    profile::Profiles,
    state::{IN_MEMORY, StateDb},
};

/// The configuration file that is used when none is named and this one is there.
pub(super) const DEFAULT_FILE: &str = "firsthand.toml";

impl Place {
    /// The configuration file: the one named, else the default one where it is there.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| Path::new(DEFAULT_FILE).exists().then(|| PathBuf::from(DEFAULT_FILE)))
    }

    /// The configuration; `None` where there is no file.
    pub(super) fn config(&self) -> Result<Option<Config>, CommandError> {
        Ok(self.config_file().map(|file| Config::read(&file)).transpose()?)
    }

    /// The data directory.
    pub(super) fn data_dir(&self) -> Result<PathBuf, CommandError> {
        if let Some(directory) = &self.data_dir {
            return Ok(directory.clone());
        }
        Ok(self.config()?.map_or_else(|| PathBuf::from("data"), |config| config.data_dir))
    }

    /// Its customer profiles, and what moves their bytes where they are in another program's database: it is kept as long as they are used.
    pub(super) fn profiles(&self, seals: ProfileSeals) -> Result<(Profiles, Option<Runtime>), CommandError> {
        let elsewhere = self.config()?.and_then(|config| config.profiles).map(|profiles| profiles.postgres);
        let runtime = match &elsewhere {
            Some(_) => Some(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?),
            None => None,
        };
        let handle = || runtime.as_ref().expect("made where it is asked for").handle().clone();
        let profiles = Profiles::of_machine(self.data_dir()?, elsewhere.as_ref(), seals, handle);
        Ok((profiles.map_err(|error| format!("profiles.postgres: {error}"))?, runtime))
    }

    /// How the event log is written and kept here.
    pub(super) fn log_options(&self) -> Result<LogOptions, CommandError> {
        Ok(self.config()?.map_or_else(|| Config::demonstration().log_options(), |config| config.log_options()))
    }

    /// The documents as the next start would put them in force: those at rest, and over them the managed files. Nothing is written.
    pub(super) fn documents_at_start(&self) -> Result<Documents, CommandError> {
        Ok(self.store_at_start()?.compiled()?)
    }

    /// The store that they would be in.
    pub(super) fn store_at_start(&self) -> Result<DocumentStore, CommandError> {
        let managed = self.config()?.and_then(|config| config.managed);
        let at_rest = self.data_dir()?.join("state.db").exists();
        if managed.is_none() {
            return self.documents(false);
        }
        let in_memory = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY))?));
        let author = Author { name: "managed file", reason: "from the files of [managed], at the next start", at: clock::now() };
        if at_rest {
            in_memory.apply(self.documents(false)?.export()?, false, false, &author)?;
        }
        if let Some(managed) = managed {
            in_memory.apply(read_documents(&managed.from)?, false, false, &author)?;
        }
        Ok(in_memory)
    }

    /// The same as they are written.
    pub(super) fn document_texts_at_start(&self) -> Result<Vec<Document>, CommandError> {
        let managed = self.config()?.and_then(|config| config.managed);
        let mut documents = match &managed {
            Some(_) if !self.data_dir()?.join("state.db").exists() => Vec::new(),
            _ => self.documents(false)?.export()?,
        };
        for theirs in managed.map(|managed| read_documents(&managed.from)).transpose()?.into_iter().flatten() {
            documents.retain(|document| (document.kind(), document.name()) != (theirs.kind(), theirs.name()));
            documents.push(theirs);
        }
        Ok(documents)
    }

    /// A document that a file is the master of is changed there: `wanted` may only say what the file says, and `removed` (kind and name) must
    /// not be in it.
    pub(super) fn refuse_managed(&self, wanted: &[Document], removed: &[(&str, &str)]) -> Result<(), CommandError> {
        let Some(managed) = self.config()?.and_then(|config| config.managed) else { return Ok(()) };
        for theirs in read_documents(&managed.from)? {
            let (kind, name) = (theirs.kind(), theirs.name());
            let other = wanted.iter().any(|document| (document.kind(), document.name()) == (kind, name) && *document != theirs);
            if (other || removed.contains(&(kind, name))) && holds(Rule::ManagedInTheirFile) {
                let file = managed.from.display();
                let problem =
                    format!("{kind} \"{name}\" is managed by file: it is read from {file} at every start\n  fix: change it there");
                return Err(problem.into());
            }
        }
        Ok(())
    }

    /// The documents of the data directory; made where there are none and `make` says so.
    pub(super) fn documents(&self, make: bool) -> Result<DocumentStore, CommandError> {
        let directory = self.data_dir()?;
        let file = directory.join("state.db");
        if make {
            std::fs::create_dir_all(&directory).map_err(|error| format!("{}: cannot be made: {error}", directory.display()))?;
        } else if !file.exists() {
            let problem = format!("{}: there are no documents yet\n  fix: `firsthand apply FILE` puts some in force", directory.display());
            return Err(problem.into());
        }
        Ok(DocumentStore::new(Arc::new(StateDb::open(&file)?)))
    }
}
