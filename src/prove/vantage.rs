//! Another vantage on what left: the requests and bytes that the stand-ins captured, beside what the program's own ledger says that it handed
//! over. A ledger that leaves something out is found by who received it.

use std::{collections::BTreeMap, io, ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use serde::Serialize;

use super::stand_in::Captured;
use crate::{
    clock::{self, Timestamp},
    egress::{chain::ClosedDay, closing::EgressLedger, export::Exporter},
    state::{StateDb, StoreError},
};

/// Requests, and bytes in their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Requests.
    pub parcels: u64,
    /// Bytes, before compression.
    pub bytes: u64,
}

/// One destination, from both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// What its receiver got.
    pub captured: Counted,
    /// What the ledger says.
    pub told: Counted,
}

impl Compared {
    /// Whether both say the same.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.captured == self.told
    }
}

/// Compares both for each of these destinations, whose receivers the stand-in was.
///
/// # Errors
/// When the program's `state.db` cannot be read.
pub fn compare<'n>(
    data: &Path,
    captured: &BTreeMap<String, Captured>,
    destinations: impl Iterator<Item = &'n str>,
) -> Result<BTreeMap<String, Compared>, StoreError> {
    let told = EgressLedger::new(Arc::new(StateDb::open(&data.join("state.db"))?), data).handed_over()?;
    let of = |name: &str| {
        let got = captured.get(name).map(|captured| Counted {
            parcels: captured.requests.len() as u64,
            bytes: captured.requests.iter().map(|(_, body)| body.len() as u64).sum(),
        });
        let sum = |what: &str| told.get(name).and_then(|sums| sums.get(what)).copied().unwrap_or(0);
        let told = Counted { parcels: sum("parcels") + sum("trial_parcels"), bytes: sum("bytes") + sum("trial_bytes") };
        Compared { captured: got.unwrap_or_default(), told }
    };
    Ok(destinations.map(|name| (name.to_owned(), of(name))).collect())
}

/// The ledger of the run as an export, with its day closed as two days later, and that time.
///
/// # Errors
/// When it cannot be closed or read.
pub fn exported(data: &Path) -> io::Result<(Vec<u8>, Timestamp)> {
    /// The day of the run is over by then, wherever it is.
    const LATER: Duration = Duration::from_secs(2 * 24 * 60 * 60);
    let failed = |error: &dyn std::error::Error| io::Error::other(error.to_string());
    let later = clock::now().plus(LATER);
    let state = StateDb::open(&data.join("state.db")).map_err(|error| failed(&error))?;
    let ledger = EgressLedger::new(Arc::new(state), data);
    ledger.close_due(later, |_, _| {}).map_err(|error| failed(&error))?;
    let mut file = Vec::new();
    let mut exporter = Exporter::begin(&mut file, later.rfc3339(), None).map_err(|error| failed(&error))?;
    let mut written = Ok(());
    let each = |day: Result<(ClosedDay, Vec<Vec<u8>>), i64>| {
        written = day
            .map_err(|number| io::Error::other(format!("entry {number}")))
            .and_then(|(day, records)| exporter.day(&day, records).map_err(|error| failed(&error)));
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    ledger.each_day(each).map_err(|error| failed(&error))?;
    written?;
    exporter.end(&ledger.key().map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    Ok((file, later))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock,
        egress::{departures::Departures, store::OpenDay},
        event::DestinationNumber,
    };

    #[test]
    fn a_request_that_the_ledger_does_not_have_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDb::open(&directory.path().join("state.db")).unwrap();
        let hand_over = |bytes| {
            state.with(|db| {
                db.execute_batch("INSERT OR IGNORE INTO destination_numbers (name) VALUES ('hook')")?;
                OpenDay::of(db, DestinationNumber(1), clock::now())?.left(&Departures::handed_over([], bytes))
            })
        };
        hand_over(3).unwrap();
        let captured = |bodies: &[&[u8]]| -> BTreeMap<String, Captured> {
            let requests = bodies.iter().map(|body| (Vec::new(), body.to_vec())).collect();
            [(String::from("hook"), Captured { requests })].into()
        };
        let agrees = |bodies: &[&[u8]]| compare(directory.path(), &captured(bodies), ["hook"].into_iter()).unwrap()["hook"].agrees();
        assert!(agrees(&[b"abc"]));
        assert!(!agrees(&[b"abc", b""]) && !agrees(&[b"abcd"]) && !agrees(&[]));
        assert!(!compare(directory.path(), &BTreeMap::new(), ["hook"].into_iter()).unwrap()["hook"].agrees());
    }
}
