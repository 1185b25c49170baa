//! What is done by the clock rather than by a request: counters are flushed, changed documents taken up, days of what left closed, old keys,
//! records, objections and copies destroyed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    clock::{self, Timestamp, agreement::Agreement},
    counters::Counters,
    delivery::Delivery,
    documents::{
        Documents, Release, Site,
        store::{DocumentStore, DocumentStoreError},
    },
    egress::{
        Day,
        closing::EgressLedger,
        record::{CrowdRecord, DayRecord},
    },
    event::{DestinationNumber, Epoch},
    event_log::LogError,
    pipeline::Pipeline,
    privacy::{
        enrich::place_file::{PlaceFile, is_old},
        keys::{epoch::EpochKeys, person::PersonKeys, visit::LocalDay},
        purge_set::PurgeSet,
        record::header_of,
        rights::erasures::Erasures,
    },
    profile::audit::ProfileAudit,
    recleanse::Recleanse,
    state::{StateDb, StoreError},
    supervise::Supervisor,
    upgrade,
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
    /// What is stored, to be told of changed documents too.
    pub recleanse: Arc<Recleanse>,
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
    /// Marks that die with what they would recognise.
    pub erasures: Arc<Erasures>,
    /// What left, whose days are closed.
    pub egress: EgressLedger,
    /// Whether the wall clock may be believed with what cannot be undone.
    pub agreement: Arc<Agreement>,
    /// When the program began.
    pub began: Timestamp,
    /// The place database's file, where there is one.
    pub places: Option<PlaceFile>,
    /// Where copies of older data are.
    pub data_dir: PathBuf,
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
            let (flushed, asked, now_in_force) = supervisor
                .blocking(move || {
                    let documents = house.pipeline.documents.load_full();
                    let flushed = house.pipeline.counters.flush(&house.state, &documents, clock::now());
                    (flushed, house.recleanse.look_for_request(), house.store.revision())
                })
                .await;
            if let Err(error) = asked {
                tracing::warn!(%error, "whether somebody asks for a recleanse could not be looked for");
            }
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

    /// Couriers first: what is appended under new documents has its place in every ledger. What is stored last: by then nothing begins
    /// any more under the documents before. Returns whether that revision is dealt with.
    async fn take_up_documents(&self, supervisor: &Supervisor) -> bool {
        let store = self.store.clone();
        match supervisor.blocking(move || store.compiled()).await {
            Ok(documents) => {
                let documents = Arc::new(documents);
                self.delivery.reload(Arc::clone(&documents)).await;
                let before = self.pipeline.documents.swap(Arc::clone(&documents)).sites.iter().map(Arc::downgrade).collect();
                tracing::info!("changed documents are in force");
                let recleanse = Arc::clone(&self.recleanse);
                match supervisor.blocking(move || recleanse.take_up(&documents, before)).await {
                    Ok(()) => true,
                    Err(error) => {
                        tracing::warn!(%error, "whether less may rest now could not be looked for; the next round tries again");
                        false
                    }
                }
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
            let round = move || {
                house.renew_places(clock::now());
                house.destroy_what_is_over(clock::now());
            };
            supervisor.blocking(round).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LONG_ROUND) => {}
            }
        }
    }

    /// Takes up a place database that was put in the other one's place, and tells once of one that is old.
    fn renew_places(&self, now: Timestamp) {
        match self.places.as_ref().map_or(Ok(None), PlaceFile::renewed) {
            Ok(None) => {}
            Ok(Some(renewed)) => {
                tracing::info!("a new place database is in use");
                if is_old(renewed.built(), now) {
                    tracing::warn!("the place database is more than 60 days old: some countries will be wrong");
                }
                self.pipeline.places.store(Arc::new(renewed));
            }
            Err(error) => tracing::warn!(%error, "the new place database cannot be used; the one before stays"),
        }
    }

    /// What ends by its own age, or only in memory, and then what ends by the calendar, if that can be believed.
    fn destroy_what_is_over(&self, now: Timestamp) {
        self.pipeline.visitors.destroy_old(now);
        let wanted = self.pipeline.documents.load().sites.iter().any(|site| site.ceilings.have_envelopes());
        self.pipeline.envelopes.destroy_old(wanted);
        if let Err(error) = self.pipeline.uniques.flush() {
            tracing::warn!(%error, "the count of visitors could not be written down; the next round tries again");
        }
        let documents = self.pipeline.documents.load_full();
        if let Err(error) = self.begin_epochs(&documents, now) {
            tracing::warn!(%error, "the day's start could not be written down");
        }
        if let Err(error) = self.pipeline.crowds.upkeep(&documents, now) {
            tracing::warn!(%error, "the day's crowds could not be written; the next round tries again");
        }
        // Without the time since the system's start there is nothing to compare with.
        let believed = self.agreement.holds();
        if clock::since_boot().is_some_and(|running| !self.agreement.look(clock::machine(), running)) {
            if believed {
                tracing::warn!(
                    "the clock was set by more than a minute: nothing is destroyed by the calendar until it is steady for ten minutes"
                );
            }
            return;
        }
        upgrade::forget_old_copies(&self.data_dir, now);
        if let Err(error) = self.persons.destroy_expired(now) {
            tracing::warn!(%error, "keys whose consent has ended could not be destroyed; the next round tries again");
        }
        if let Err(error) = self.erasures.forget_expired(now) {
            tracing::warn!(%error, "marks whose time is over could not be taken off the erasure list; the next round tries again");
        }
        if let Err(error) = self.pipeline.visitors.proof().erase_expired(now) {
            tracing::warn!(%error, "records of consent past their time could not be erased; the next round tries again");
        }
        let with_crowds = |record: &mut DayRecord, day| record.crowds = self.measured(&documents, DestinationNumber(record.number), day);
        if let Err(error) = self.egress.close_due(now, with_crowds) {
            tracing::warn!(%error, "a day of what left could not be closed and signed; the next round tries again");
        }
        if let Err(error) = ProfileAudit::new(Arc::clone(&self.state)).forget_old(now) {
            tracing::warn!(%error, "old entries of the audit of profiles could not be dropped; the next round tries again");
        }
        if let Err(error) = Counters::forget_old(&self.state, LocalDay::of(&jiff::tz::TimeZone::UTC, now).epoch) {
            tracing::warn!(%error, "old counts could not be dropped; the next round tries again");
        }
        match self.drop_records(now) {
            Ok((oldest, epoch)) => {
                for site in &documents.sites {
                    // Where the site's time zone was changed since, its day is another one by now, and the record's own still has its keys,
                    // objections and decisions.
                    let oldest = LocalDay::of(&site.time_zone, oldest).epoch.min(epoch);
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

    /// How what left stood in crowds: of each site, the last of its own days that was over, and had left, when this day was over. None:
    /// nothing was measured.
    fn measured(&self, documents: &Documents, destination: DestinationNumber, day: Day) -> Option<Vec<CrowdRecord>> {
        let served = documents.destinations.iter().find(|document| document.number == destination)?;
        // What is held back for a day leaves on the day after.
        let back = if served.release == Release::Daily { 2 } else { 1 };
        let of_site = |site: &Arc<Site>| {
            let over = LocalDay::of(&site.time_zone, day.next().start()).epoch.0.saturating_sub(back);
            let released = self.pipeline.crowds.released(site, destination, Epoch(over));
            (released.events > 0).then(|| CrowdRecord {
                site: site.name.clone(),
                site_day: Day(over.into()),
                asked: site.policy.crowd.visitors,
                events: released.events,
                in_crowds: released.in_crowds,
                achieved: released.smallest,
                whole_day: LocalDay::of(&site.time_zone, self.began).epoch.0 < over,
            })
        };
        let measured: Vec<CrowdRecord> =
            documents.sites.iter().filter(|site| served.sites.contains(&site.number)).filter_map(of_site).collect();
        Some(measured).filter(|measured| !measured.is_empty())
    }

    /// Drops what is past its retention, and says from when the oldest record is that is left, and of which day.
    fn drop_records(&self, now: Timestamp) -> Result<(Timestamp, Epoch), LogError> {
        let log = &self.pipeline.log;
        log.drop_expired(now)?;
        let oldest = log.reader(log.first_offset()).read(1, 1)?;
        let header = oldest.first().and_then(|record| header_of(&record.bytes).ok());
        Ok(header.map_or((now, Epoch(i32::MAX)), |header| (header.received.min(now), header.epoch)))
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
