//! What those who carry requests out work with, and what all of them do: find a profile that the key may see, and write down that it is seen.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{call::Call, problem::Problem};
use crate::{
    delivery::ledger::Ledger,
    pipeline::Pipeline,
    privacy::{
        keys::{database::KeysDb, epoch::EpochKeys, persistent::PersistentKeys, person::PersonKeys},
        profiled::PersonHandle,
        rights::{Rights, erasures::Erasures},
    },
    profile::{
        Profiles,
        audit::{Act, ProfileAudit},
        identity::Joined,
        store::StrandKey,
    },
    state::StateDb,
};

/// Requests at a time that read a whole timeline, or the whole event log: each may hold some ten MB.
const LARGE_AT_ONCE: usize = 2;

/// The parts.
pub struct Desk {
    /// The line, and who visitors are.
    pub pipeline: Arc<Pipeline>,
    /// Where profiles rest.
    pub profiles: Arc<Profiles>,
    /// What accounts and cookies are looked for with.
    pub persistent: Arc<PersistentKeys>,
    /// Days' keys, for ids at receivers.
    pub epochs: Arc<EpochKeys>,
    /// The databases.
    pub state: Arc<StateDb>,
    /// People's keys.
    pub keys: Arc<KeysDb>,
    /// The same, as the running program has them in memory.
    pub persons: Arc<PersonKeys>,
    /// Who is erased.
    pub list: Arc<Erasures>,
    /// How events ended.
    pub ledger: Ledger,
    /// The data directory.
    pub data_dir: PathBuf,
    /// For how long records are kept.
    pub kept: [Duration; 2],
    /// Who looked at whose profile.
    pub audit: ProfileAudit,
    /// Large requests that may begin.
    pub large: Large,
    /// Contacts are taken over one at a time.
    pub contacts: Mutex<()>,
}

/// Room for large requests.
pub struct Large(Semaphore);

impl Default for Large {
    fn default() -> Self {
        Self(Semaphore::new(LARGE_AT_ONCE))
    }
}

impl Desk {
    /// The profile that the address names, or of which it names a part: where the key's site has it, somebody of it agrees, and it may be used.
    pub(super) fn joined(&self, call: &Call) -> Result<Joined, Problem> {
        self.named(call, call.id()?)
    }

    /// The same by an id.
    pub(super) fn named(&self, call: &Call, id: &str) -> Result<Joined, Problem> {
        let rules = call.rules()?;
        if !self.profiles.are_there() {
            return Err(Problem::not_found());
        }
        let strand = self.profiles.named(rules.site(), id)?.ok_or_else(Problem::not_found)?;
        let joined = self.profiles.joined(&strand, rules)?;
        self.may_be_used(call, &joined)?;
        Ok(joined)
    }

    /// Refuses a profile that is not to be used, or of which nobody agrees any more.
    pub(super) fn may_be_used(&self, call: &Call, joined: &Joined) -> Result<(), Problem> {
        // What rests of somebody and is not to be used is nobody's here; who asked for that may not want it erased either: it is answered for by the command line.
        if self.profiles.is_restricted(joined) {
            return Err(Problem::not_found());
        }
        // Rows of somebody who has just withdrawn, be it this purpose alone, are there for a second more.
        let people: BTreeSet<PersonHandle> = joined.strands.iter().map(|strand| strand.person).collect();
        let people: Vec<PersonHandle> = people.into_iter().collect();
        let gone = self.profiles.seals().gone(&people, call.now)?;
        if gone.len() == people.len() { Err(Problem::not_found()) } else { Ok(()) }
    }

    /// What is looked up in for somebody's rights. The keys are opened anew, and forgotten with the request.
    pub(super) fn rights(&self) -> Rights {
        Rights::new(Arc::clone(&self.state), Arc::clone(&self.keys), &self.data_dir.join("log"))
    }

    /// Writes down what is about to be done with whose profile. Where that cannot be written, it is not done.
    pub(super) fn note<'s>(&self, call: &Call, act: Act, strands: impl IntoIterator<Item = &'s StrandKey>) -> Result<(), Problem> {
        let marks = self.profiles.marks(strands, call.now)?;
        self.audit.note(call.site.number, (&call.who(), act), &marks, 1, call.now)?;
        Ok(())
    }

    /// Begins a large request, if there is room for it.
    pub(super) fn begin_large(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.large.0.try_acquire().map_err(|_| Problem::later("other large requests are under way"))
    }
}
