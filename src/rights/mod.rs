//! What the operator does for a person, and with copies of what rests: erasures are carried out in the event log, backups are made and
//! put back. What may be read of a person, and what becomes of a record, says [`privacy::rights`](crate::privacy::rights).
//!
//! | concept | file |
//! |---|---|
//! | who holds a data directory; how events ended, for an answer | here |
//! | an erasure's way through the log, beside a running server and without one | `sweep` |
//! | a copy of log and state, and one of the keys | `backup` |
//! | putting them back, with what was erased since taken out | `restore` |

pub mod backup;
pub mod restore;
pub mod sweep;

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use crate::{
    delivery::ledger::Ledger,
    documents::{Documents, Site},
    event::Offset,
    privacy::rights::recipients::Ended,
    state::StoreError,
};

/// A directory within the data directory in which a restore is prepared. While it is there, no server may start.
pub const RESTORING: &str = "restoring";

/// Takes hold of a data directory, as a server does. `None`: somebody has it, most likely a server.
///
/// # Errors
/// When the lock cannot be made or asked for.
pub fn hold(data_dir: &Path) -> io::Result<Option<File>> {
    let lock = File::options().create(true).append(true).open(data_dir.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// How an event ended at each of its site's destinations that it is or was for.
///
/// # Errors
/// When `state.db` cannot be read.
pub fn ends(ledger: &Ledger, documents: &Documents, site: &Site, offset: Offset) -> Result<Vec<Ended>, StoreError> {
    let mut ends = Vec::new();
    for destination in documents.destinations.iter().filter(|destination| destination.sites.contains(&site.number)) {
        let number = destination.number;
        match ledger.state_of(number, offset)? {
            Some(entry) => ends.push(Ended {
                destination: number,
                state: Some(entry.state.name()),
                rule: entry.rule,
                at: Some(entry.at),
                sent: entry.status.is_some(),
            }),
            // Below its low-water mark, what has no end there was never for it.
            None if ledger.low_water(number)?.is_none_or(|low_water| offset >= low_water) => {
                ends.push(Ended { destination: number, state: None, rule: String::new(), at: None, sent: false });
            }
            None => {}
        }
    }
    Ok(ends)
}
