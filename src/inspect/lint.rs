//! What a destination would make of the events that came in, before it is switched on: how many it would get and why not the others, what
//! does not fit its limits, and how much it has no words for.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Serialize;

use super::{InspectError, open, shown::ShownParcel};
use crate::{
    clock::Timestamp,
    destination::{BatchLimits, DestinationType, GroupBy, Parcel},
    documents::{Destination, Documents},
    event_log::recent,
    privacy::replay::Replayer,
};

/// What a destination would make of events.
#[derive(Debug, Default, Serialize)]
pub struct Lint {
    /// Events that were looked at.
    pub events: u64,
    /// When the first and the last of them came in; `None`: there are none.
    pub received: Option<(String, String)>,
    /// Why it would not get so many of them.
    pub kept_back: BTreeMap<&'static str, u64>,
    /// Events that it would get.
    pub leave: u64,
    /// Of them, those that are older than it takes.
    pub too_old: u64,
    /// Of them, those that are larger than a whole request may be.
    pub too_large: u64,
    /// Requests that they would make, as full as they can be.
    pub requests: u64,
    /// By the event's name.
    pub names: BTreeMap<String, OfName>,
    /// How old an event may be, in seconds.
    pub oldest_seconds: u64,
    /// How many bytes a request may have.
    pub bytes_max: usize,
    /// The first request, for one to look at.
    pub example: Option<ShownParcel>,
}

/// What a destination would make of the events of one name.
#[derive(Debug, Default, Serialize)]
pub struct OfName {
    /// How many there are.
    pub events: u64,
    /// Events of which it has no words for something.
    pub unsaid_in: u64,
    /// Fields that it has no words for, in all of them together.
    pub unsaid: u64,
    /// The largest, in bytes, alone in a request.
    pub largest: usize,
}

/// Tries the newest events of a data directory out on one destination of these documents. Blocks; sends nothing.
///
/// # Errors
/// When something cannot be read, or the destination's settings cannot be used.
pub fn lint(
    directory: &Path,
    documents: &Documents,
    destination: &Destination,
    events: usize,
    now: Timestamp,
) -> Result<Lint, InspectError> {
    let unusable = |reason: String| InspectError::Settings { name: destination.name.clone(), reason };
    let row = DestinationType::named(destination.kind).ok_or_else(|| unusable(String::from("there is no such type")))?;
    let service = (row.open)(&destination.settings).map_err(|error| unusable(error.to_string()))?;
    let (state, keys) = open(directory)?;
    let records = recent(&directory.join("log"), events)?;
    let BatchLimits { events: batch_max, bytes, oldest, group_by } = service.limits();
    let mut lint = Lint { events: records.len() as u64, oldest_seconds: oldest.as_secs(), bytes_max: bytes, ..Lint::default() };
    let mut span: Option<(Timestamp, Timestamp)> = None;
    let mut batch = Batches { max: if group_by == GroupBy::Event { 1 } else { batch_max }, bytes, ..Batches::default() };
    let kept_back = Replayer::new(state, keys)?.try_out(&records, documents, destination, now, &mut |disclosure| {
        let received = disclosure.received();
        let (first, last) = span.unwrap_or((received, received));
        span = Some((first.min(received), last.max(received)));
        lint.leave += 1;
        lint.too_old += u64::from(is_older(received, oldest, now));
        let of_name = lint.names.entry(disclosure.name().to_owned()).or_default();
        of_name.events += 1;
        for parcel in service.encode(&[disclosure]) {
            let Parcel { body, unsaid, .. } = &parcel;
            of_name.unsaid_in += u64::from(*unsaid > 0);
            of_name.unsaid += *unsaid as u64;
            of_name.largest = of_name.largest.max(body.len());
            lint.too_large += u64::from(body.len() > bytes);
            batch.add(body.len());
            if lint.example.is_none() {
                lint.example = Some(ShownParcel::of(&parcel, destination));
            }
        }
    })?;
    lint.kept_back = kept_back;
    lint.requests = batch.count;
    lint.received = span.map(|(first, last)| (first.rfc3339(), last.rfc3339()));
    Ok(lint)
}

fn is_older(received: Timestamp, oldest: Duration, now: Timestamp) -> bool {
    now.since(received) > oldest
}

/// How many requests events make: each takes as many as fit.
#[derive(Default)]
struct Batches {
    max: usize,
    bytes: usize,
    count: u64,
    events_in: usize,
    bytes_in: usize,
}

impl Batches {
    fn add(&mut self, bytes: usize) {
        if self.count == 0 || self.events_in >= self.max || self.bytes_in + bytes > self.bytes {
            self.count += 1;
            (self.events_in, self.bytes_in) = (0, 0);
        }
        self.events_in += 1;
        self.bytes_in += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_full_as_they_can_be() {
        let mut batches = Batches { max: 3, bytes: 100, ..Batches::default() };
        for (bytes, count) in [(10, 1), (10, 1), (10, 1), (10, 2), (95, 3), (200, 4), (1, 5)] {
            batches.add(bytes);
            assert_eq!(batches.count, count, "{bytes}");
        }
    }
}
