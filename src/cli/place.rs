//! Which configuration and which data a command works on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{CommandError, Place};
use crate::{config::Config, documents::store::DocumentStore, state::StateDb};

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
