//! What is done by the clock rather than by a request: counters are flushed, changed documents taken up, old keys, records and
//! objections destroyed.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{self, Timestamp},
    delivery::Delivery,
    documents::{
        Documents,
        store::{DocumentStore, DocumentStoreError},
    },
    event_log::LogError,
    pipeline::Pipeline,
    privacy::{
        keys::{epoch::EpochKeys, person::PersonKeys, visit::LocalDay},
        purge_set::PurgeSet,
        record::header_of,
    },
    state::{StateDb, StoreError},
    supervise::Supervisor,
};

/// Counters are flushed, and changed documents noticed, this often: a crash may lose as much, a change takes as long.
const SHORT_ROUND: Duration = Duration::from_millis(500);
/// Keys, records and objections whose time is over are destroyed this often.
const LONG_ROUND: Duration = Duration::from_secs(60);

/// The parts that need it.
pub struct Housekeeping {
    /// Documents, visit keys, log and counters.
    pub pipeline: Arc<Pipeline>,
    /// Couriers, to be told of changed documents.
    pub delivery: Arc<Delivery>,
    /// The documents at rest.
    pub store: DocumentStore,
    /// Counters at rest.
    pub state: Arc<StateDb>,
    /// Keys that die with their events.
    pub epochs: Arc<EpochKeys>,
    /// Keys that die with their consent.
    pub persons: Arc<PersonKeys>,
    /// Objections that die with their events.
    pub purge_set: Arc<PurgeSet>,
    /// The store's revision, read before the documents in force were: whatever was changed since is noticed.
    pub revision: i64,
}

impl Housekeeping {
    /// Begins, and goes on until the stop signal.
    pub fn start(self, supervisor: &Supervisor) {
        let house = Arc::new(self);
        let (short, long) = (Arc::clone(&house), house);
        let (one, other) = (supervisor.clone(), supervisor.clone());
        supervisor.spawn("short round", async move { short.short_rounds(&one).await });
        supervisor.spawn("long round", async move { long.long_rounds(&other).await });
    }

    async fn short_rounds(self: Arc<Self>, supervisor: &Supervisor) {
        let stop = supervisor.stop_signal();
        let mut revision = self.revision;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SHORT_ROUND) => {}
            }
            let house = Arc::clone(&self);
            let (flushed, now_in_force) = supervisor
                .blocking(move || {
                    let documents = house.pipeline.documents.load_full();
                    let flushed = house.pipeline.counters.flush(&house.state, &documents, clock::now());
                    (flushed, house.store.revision())
                })
                .await;
            if let Err(error) = flushed {
                tracing::warn!(%error, "counters could not be flushed; the next round brings them");
            }
            match now_in_force {
                Ok(number) if number != revision => {
                    // A database that is busy now is asked again; documents that are wrong stay wrong until they change again.
                    if self.take_up_documents(supervisor).await {
                        revision = number;
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "changed documents could not be looked for"),
            }
        }
    }

    /// Couriers first: what is appended under new documents has its place in every ledger. Returns whether that revision is dealt with.
    async fn take_up_documents(&self, supervisor: &Supervisor) -> bool {
        let store = self.store.clone();
        match supervisor.blocking(move || store.compiled()).await {
            Ok(documents) => {
                let documents = Arc::new(documents);
                self.delivery.reload(Arc::clone(&documents)).await;
                self.pipeline.documents.store(documents);
                tracing::info!("changed documents are in force");
                true
            }
            Err(DocumentStoreError::Store(error)) => {
                tracing::warn!(%error, "changed documents cannot be read now; the next round tries again");
                false
            }
            Err(error) => {
                tracing::error!(%error, "changed documents cannot be used; the old ones stay in force");
                true
            }
        }
    }

    async fn long_rounds(self: Arc<Self>, supervisor: &Supervisor) {
        let stop = supervisor.stop_signal();
        loop {
            let house = Arc::clone(&self);
            supervisor.blocking(move || house.destroy_what_is_over(clock::now())).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LONG_ROUND) => {}
            }
        }
    }

    fn destroy_what_is_over(&self, now: Timestamp) {
        self.pipeline.visitors.visit_keys().destroy_old(now);
        let documents = self.pipeline.documents.load_full();
        if let Err(error) = self.begin_epochs(&documents, now) {
            tracing::warn!(%error, "the day's start could not be written down");
        }
        if let Err(error) = self.persons.destroy_expired(now) {
            tracing::warn!(%error, "keys whose consent has ended could not be destroyed; the next round tries again");
        }
        if let Err(error) = self.pipeline.visitors.proof().erase_expired(now) {
            tracing::warn!(%error, "records of consent past their time could not be erased; the next round tries again");
        }
        if let Err(error) = self.pipeline.crowds.upkeep(&documents, now) {
            tracing::warn!(%error, "the day's crowds could not be written; the next round tries again");
        }
        match self.drop_records(now) {
            Ok(oldest) => {
                for site in &documents.sites {
                    let oldest = LocalDay::of(&site.time_zone, oldest).epoch;
                    let destroyed = self.epochs.destroy_before(site.number, oldest);
                    let forgotten = self.purge_set.forget_before(site.number, oldest);
                    let dispersed = self.pipeline.crowds.forget_before(site.number, oldest);
                    if destroyed.is_err() || forgotten.is_err() || dispersed.is_err() {
                        tracing::warn!("keys and crowds of past days could not be destroyed; the next round tries again");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "old log segments could not be dropped; the next round tries again"),
        }
    }

    /// Drops what is past its retention, and says from when the oldest record is that is left.
    fn drop_records(&self, now: Timestamp) -> Result<Timestamp, LogError> {
        let log = &self.pipeline.log;
        log.drop_expired(now)?;
        let oldest = log.reader(log.first_offset()).read(1, 1)?;
        Ok(oldest.first().and_then(|record| header_of(&record.bytes).ok()).map_or(now, |header| header.received.min(now)))
    }

    /// Writes down that a site's day was begun by this program: a second start on the same day is an epoch break.
    fn begin_epochs(&self, documents: &Documents, now: Timestamp) -> Result<(), StoreError> {
        for site in &documents.sites {
            let epoch = LocalDay::of(&site.time_zone, now).epoch;
            if self.pipeline.visitors.begins(site.number, epoch) {
                self.state.with(|connection| {
                    connection.execute(
                        "INSERT INTO epoch_starts (site, epoch, starts) VALUES (?1, ?2, 1)
                         ON CONFLICT (site, epoch) DO UPDATE SET starts = starts + 1",
                        (site.number.0, epoch.0),
                    )
                })?;
            }
        }
        Ok(())
    }
}
