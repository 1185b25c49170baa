//! Looking at events and destinations from the outside, beside a running server or without one. Nothing is sent, and nothing is changed.
//!
//! | question | file |
//! |---|---|
//! | what became of one event at each destination, and what exactly was sent | `trace` |
//! | what a destination would make of the events that came in | `lint` |
//! | a request, as a person may see it | `shown` |

pub mod lint;
pub mod shown;
pub mod trace;

use std::{path::Path, sync::Arc};

use crate::{
    documents::store::DocumentStoreError,
    event_log::LogError,
    privacy::clean::OpenError,
    state::{StateDb, StoreError},
};

/// A question that cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The documents cannot be read.
    #[error(transparent)]
    Documents(#[from] DocumentStoreError),
    /// The event log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A destination's settings lead nowhere, here and now.
    #[error("destination \"{name}\": {reason}")]
    Settings {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// A record is damaged, or a key store cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing yet that could be looked at.
    #[error("{directory}: no event has come in yet\n  fix: name the data directory with --data-dir")]
    Nothing {
        /// Where it was looked for.
        directory: String,
    },
}

/// The state and the keys of a data directory, which must be there.
fn open(directory: &Path) -> Result<(Arc<StateDb>, Arc<crate::privacy::keys::database::KeysDb>), InspectError> {
    let (state, keys) = (directory.join("state.db"), directory.join("keys.db"));
    if !state.exists() || !keys.exists() {
        return Err(InspectError::Nothing { directory: directory.display().to_string() });
    }
    Ok((Arc::new(StateDb::open(&state)?), Arc::new(crate::privacy::keys::database::KeysDb::open(&keys)?)))
}
