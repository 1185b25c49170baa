//! Holding back: a destination that decides by whole periods gets an event when its period is over and decided. The log is the queue: the
//! courier stops in front of the first event that has to wait, so that nothing of it is open, and a restart finds it there again.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::courier::DiscloseError;
use crate::{
    clock::Timestamp,
    documents::{Destination, Documents, Site},
    event_log::{EventLog, LogError, LogRecord},
    privacy::{
        clean::OpenError,
        crowd::{Hold, Period},
        disclose::Discloser,
        record,
    },
    state::StoreError,
};

/// Records counted at a time.
const READ_EVENTS_MAX: usize = 512;
/// Bytes read at a time.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// What one courier holds back.
pub(super) struct HeldBack {
    pub(super) document: Arc<Destination>,
    pub(super) documents: Arc<ArcSwap<Documents>>,
    pub(super) discloser: Arc<Discloser>,
    pub(super) log: Arc<EventLog>,
    pub(super) stop: CancellationToken,
}

impl HeldBack {
    /// Whether a record may be disclosed now. What its period comes to is decided here, at its first record after its end. Blocks.
    pub(super) fn is_released(&self, record: &LogRecord, now: Timestamp) -> Result<bool, DiscloseError> {
        // One that is none of ours has no period, and ends where it is disclosed.
        let Ok(header) = record::header_of(&record.bytes) else { return Ok(true) };
        let Some(period) = Period::of(self.document.release, header.epoch, header.received) else { return Ok(true) };
        if !self.document.sites.contains(&header.site) {
            return Ok(true);
        }
        let documents = self.documents.load_full();
        let Some(site) = documents.site(header.site) else { return Ok(true) };
        if !period.is_over(site, now) {
            return Ok(false);
        }
        let hold = Hold { destination: self.document.number, period };
        if !self.discloser.crowds().is_decided(site.number, hold).map_err(unavailable)? {
            self.decide(record, site, hold, &documents, now)?;
        }
        Ok(true)
    }

    /// Counts the period from its first record on, which is where the courier stands, to the end of the log.
    fn decide(&self, first: &LogRecord, site: &Site, hold: Hold, documents: &Documents, now: Timestamp) -> Result<(), DiscloseError> {
        let mut counted = self.discloser.crowds().count_period(site, hold).map_err(unavailable)?;
        let mut reader = self.log.reader(first.offset);
        loop {
            if self.stop.is_cancelled() {
                return Err(DiscloseError::Unavailable);
            }
            let records = match reader.read(READ_EVENTS_MAX, READ_BYTES_MAX) {
                Ok(records) if records.is_empty() => break,
                Ok(records) => records,
                // The reader steps over damage; what cannot be read does not leave either.
                Err(LogError::Corrupt { .. }) => continue,
                Err(_) => return Err(DiscloseError::Unavailable),
            };
            for record in &records {
                let Ok(header) = record::header_of(&record.bytes) else { continue };
                if header.site != site.number || !hold.period.holds(&header) {
                    continue;
                }
                match self.discloser.count_held(record, documents, &self.document, now, &mut counted) {
                    Ok(()) | Err(OpenError::Corrupt(_)) => {}
                    Err(OpenError::Store(_)) => return Err(DiscloseError::Unavailable),
                }
            }
        }
        self.discloser.crowds().decide(site.number, counted).map_err(unavailable)
    }
}

fn unavailable(_: StoreError) -> DiscloseError {
    DiscloseError::Unavailable
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::{
        clock,
        delivery::{Delivery, status::CourierState, tests::parts},
        documents::{
            parse::DocumentFile,
            store::{Author, DocumentStore},
        },
        event::RetentionClass,
        privacy::record::Record,
        state::{IN_MEMORY, StateDb},
    };

    const DOCUMENTS: &str = r#"
        policy = [{ name = "shop" }]
        [[site]]
        name = "shop"
        hosts = ["www.shop.example"]
        origins = ["https://www.shop.example"]
        prefix = "/keso"
        time_zone = "Europe/Paris"
        policy = "shop"
        [[destination]]
        name = "warehouse"
        type = "file"
        sites = ["shop"]
        basis = "exempt_measurement"
        transform = "measurement"
        release = "hourly"
        settings = { directory = "outbox" }
    "#;

    fn documents() -> Arc<Documents> {
        let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let author = Author { name: "test", reason: "test", at: Timestamp(0) };
        store.apply(DocumentFile::parse(DOCUMENTS).unwrap().into_documents(), false, false, &author).unwrap();
        Arc::new(store.compiled().unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_courier_stops_in_front_of_an_hour_that_is_not_over() {
        let directory = tempfile::tempdir().unwrap();
        let (parts, documents, now) = (parts(directory.path()), documents(), clock::now());
        let delivery = Delivery::start(parts.clone(), Arc::clone(&documents)).await;
        let record = |id, received| Record::for_test([id; 16], RetentionClass::Short, received, b"no event");
        let earlier = now.minus(Duration::from_secs(3 * 60 * 60));
        parts.log.append(vec![record(1, earlier), record(2, now), record(3, earlier)]).await.unwrap();
        let stands = || delivery.status(clock::now()).remove(0);
        for _ in 0..1_000 {
            if stands().courier == CourierState::HoldingBack && stands().lag == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let status = stands();
        assert_eq!((status.courier, status.lag), (CourierState::HoldingBack, 2), "the first one's hour is over");

        let held = HeldBack {
            document: Arc::clone(&documents.destinations[0]),
            documents: Arc::new(ArcSwap::new(Arc::clone(&documents))),
            discloser: Arc::clone(&parts.discloser),
            log: Arc::clone(&parts.log),
            stop: CancellationToken::new(),
        };
        let waits = parts.log.reader(crate::event::Offset(1)).read(1, READ_BYTES_MAX).unwrap().remove(0);
        let header = record::header_of(&waits.bytes).unwrap();
        let period = Period::of(documents.destinations[0].release, header.epoch, header.received).unwrap();
        let decided =
            || parts.discloser.crowds().is_decided(header.site, Hold { destination: documents.destinations[0].number, period }).unwrap();
        assert!(!held.is_released(&waits, now).unwrap() && !decided());
        assert!(held.is_released(&waits, now.plus(Duration::from_secs(2 * 60 * 60))).unwrap() && decided());
        parts.supervisor.stop_signal().cancel();
    }
}
