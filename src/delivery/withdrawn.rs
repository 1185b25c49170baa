//! Parked events of people who withdrew, objected or were erased: their end was `rejected`, and becomes `purged`.
//!
//! What is queued, deferred or being tried again ends `purged` where it is (`lane.rs`, `courier.rs`). A parked event has ended already, and no
//! lane looks at it again; so after every such ending all that is parked is gone through, a bounded step at a time.

use std::{sync::Arc, time::Duration};

use super::{Delivery, offsets::OffsetSet, parking::ParkedAt};
use crate::{
    clock,
    event::{DestinationNumber, Offset},
    event_log::LogError,
    privacy::clean::OpenError,
};

/// How often it is looked whether somebody withdrew or objected.
const ROUND: Duration = Duration::from_secs(1);
/// Parked events that are looked at in one step: some tens of milliseconds of reading, and one transaction.
const STEP: usize = 500;
/// One record is wanted at a time.
const READ_BYTES_MAX: usize = 1;

/// A step could not be done now.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] crate::state::StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Delivery {
    /// Goes through what is parked once at the start, and after whatever may have made some of it somebody's who withdrew; until the stop
    /// signal.
    pub(super) async fn purge_parked(self: Arc<Self>) {
        let stop = self.parts.supervisor.stop_signal();
        let mut done = None;
        loop {
            let endings = self.parts.discloser.endings();
            if done != Some(endings) {
                match self.walk_parked().await {
                    // Who withdrew meanwhile makes another walk.
                    Ok(()) => done = Some(endings),
                    Err(error) => tracing::warn!(%error, "whose parked events are to be purged could not be looked for; it is tried again"),
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(ROUND) => {}
            }
        }
    }

    async fn walk_parked(self: &Arc<Self>) -> Result<(), StepError> {
        let stop = self.parts.supervisor.stop_signal();
        let mut after = None;
        while !stop.is_cancelled() {
            // No courier is replaced meanwhile, so that what its gauges say stays what the ledger says.
            let _one_at_a_time = self.reloading.lock().await;
            let delivery = Arc::clone(self);
            match self.parts.supervisor.blocking(move || delivery.purge_step(after)).await? {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        Ok(())
    }

    /// Looks at the next parked events. Returns the last of them; `None`: that were all. Blocks.
    fn purge_step(&self, after: Option<ParkedAt>) -> Result<Option<ParkedAt>, StepError> {
        let now = clock::now();
        let parked = self.parts.ledger.parked_after(after, STEP)?;
        let mut destinations: Vec<(DestinationNumber, OffsetSet)> = Vec::new();
        for (destination, offset) in &parked {
            if !self.is_purged(*offset, now)? {
                continue;
            }
            match destinations.last_mut().filter(|(last, _)| last == destination) {
                Some((_, offsets)) => _ = offsets.insert(*offset),
                None => destinations.push((*destination, OffsetSet::of_range(*offset, *offset))),
            }
        }
        for (destination, offsets) in destinations {
            let purged = self.parts.ledger.purge_parked(destination, &offsets, now)?;
            if let Some(post) = self.posts.load().iter().find(|post| post.document.number == destination) {
                post.gauges.purged_after_all(purged);
            }
        }
        Ok(parked.last().copied().filter(|_| parked.len() == STEP))
    }

    fn is_purged(&self, offset: Offset, now: clock::Timestamp) -> Result<bool, StepError> {
        let records = match self.parts.log.reader(offset).read(1, READ_BYTES_MAX) {
            // What cannot be read keeps its end.
            Err(LogError::Corrupt { .. }) => return Ok(false),
            read => read?,
        };
        let Some(record) = records.first().filter(|record| record.offset == offset) else { return Ok(false) };
        match self.parts.discloser.is_purged(record, now) {
            Ok(purged) => Ok(purged),
            Err(OpenError::Corrupt(_)) => Ok(false),
            Err(OpenError::Store(error)) => Err(error.into()),
        }
    }
}
