//! `policy diff`, on events that came in: what each destination would have received of them under the documents in force and under others, and
//! how the two differ. It runs the line's own disclosure, with destination keys that are thrown away; nothing is stored or sent.
//!
//! What did not rest cannot be replayed: a field that no destination may see today is in no record, and only the tables can say that it
//! would leave.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    clean::OpenError,
    crowd::Crowds,
    disclose::{Disclosed, Discloser, Disclosure},
    keys::{database::KeysDb, epoch::EpochKeys, persistent::PersistentKeys, person::PersonKeys},
    purge_set::PurgeSet,
};
use crate::{
    clock::Timestamp,
    documents::{Destination, Documents},
    event_log::LogRecord,
    state::{IN_MEMORY, StateDb, StoreError},
};

/// Examples of what would newly leave, per field: enough to see what it is.
const EXAMPLES_MAX: usize = 3;
/// These differ by what they are, or always.
const NOT_COMPARED: [&str; 2] = ["event_id", "policy_version"];

/// What the replay of some events showed.
#[derive(Debug, Default)]
pub struct Replay {
    /// Events that could be read.
    pub events: u64,
    /// When the first and the last of them came in.
    pub received: Option<(Timestamp, Timestamp)>,
    /// Events of people who have withdrawn or objected since, and damaged ones.
    pub unreadable: u64,
    /// Where something would be different, by site and destination.
    pub compared: BTreeMap<(String, String), Compared>,
}

/// One site's events at one destination.
#[derive(Debug, Default)]
pub struct Compared {
    /// Events that it would receive, and does not under the documents in force.
    pub newly: u64,
    /// Events that it receives, and would not.
    pub ended: u64,
    /// What differs in those that it receives both ways, and what the new ones hold, by the field's name.
    pub fields: BTreeMap<String, FieldCompared>,
}

/// One field.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FieldCompared {
    /// In so many events it would newly leave.
    pub newly: u64,
    /// In so many it would no longer leave.
    pub ended: u64,
    /// In so many it would leave as another value.
    pub otherwise: u64,
    /// What would newly leave, a few of them.
    pub examples: BTreeSet<String>,
}

/// Compares what would leave of some events under two sets of documents.
pub struct Replayer {
    discloser: Discloser,
}

impl Replayer {
    /// With the persons' keys and the purge set of this installation, and ids under keys that are thrown away.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub fn new(state: Arc<StateDb>, keys: Arc<KeysDb>) -> Result<Self, StoreError> {
        let in_memory = std::path::Path::new(IN_MEMORY);
        let passing = PersistentKeys::new(Arc::new(StateDb::open(in_memory)?));
        let epochs = EpochKeys::new(Arc::new(KeysDb::open(in_memory)?));
        let (purge_set, crowds) = (PurgeSet::open(Arc::clone(&keys))?, Crowds::new(state));
        let (epochs, persons) = (Arc::new(epochs), Arc::new(PersonKeys::new(keys)));
        Ok(Self { discloser: Discloser::new(Arc::new(passing), epochs, persons, Arc::new(purge_set), Arc::new(crowds)) })
    }

    /// Replays the records under both.
    ///
    /// # Errors
    /// When a database cannot be read. A record that is damaged is counted.
    pub fn compare(&self, records: &[LogRecord], before: &Documents, after: &Documents, now: Timestamp) -> Result<Replay, StoreError> {
        let mut replay = Replay::default();
        for record in records {
            let Ok(header) = super::record::header_of(&record.bytes) else {
                replay.unreadable += 1;
                continue;
            };
            let Some(site) = after.site(header.site).or_else(|| before.site(header.site)) else { continue };
            let mut readable = true;
            for (name, was, is) in destinations(before, after) {
                let (Some(old), Some(new)) = (self.seen(record, before, was, now)?, self.seen(record, after, is, now)?) else {
                    readable = false;
                    break;
                };
                compare_one(old.as_ref(), new.as_ref(), || replay.compared.entry((site.name.clone(), name.to_owned())).or_default());
            }
            if readable {
                replay.events += 1;
                let (first, last) = replay.received.unwrap_or((header.received, header.received));
                replay.received = Some((first.min(header.received), last.max(header.received)));
            } else {
                replay.unreadable += 1;
            }
        }
        Ok(replay)
    }

    /// Shows what the destination would see of each record that it may have, and counts why it may not have the others. Nothing of it is for
    /// sending: the ids are made with keys that are thrown away.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub fn try_out(
        &self,
        records: &[LogRecord],
        documents: &Documents,
        destination: &Destination,
        now: Timestamp,
        see: &mut dyn FnMut(&Disclosure),
    ) -> Result<BTreeMap<&'static str, u64>, StoreError> {
        let mut kept_back = BTreeMap::new();
        for record in records {
            let why = match self.discloser.disclose_as_if_new(record, documents, destination, now) {
                Ok(Disclosed::Disclosure(disclosure) | Disclosed::Awaiting(disclosure, _)) => {
                    see(&disclosure);
                    continue;
                }
                Ok(Disclosed::NotAddressed) => continue,
                Ok(Disclosed::Withheld(rule)) => rule.name(),
                Ok(Disclosed::Purged) => "purged",
                Err(OpenError::Corrupt(_)) => "unreadable",
                Err(OpenError::Store(error)) => return Err(error),
            };
            *kept_back.entry(why).or_default() += 1;
        }
        Ok(kept_back)
    }

    /// What the destination would see of it. `None`: it cannot be read. `Some(None)`: nothing.
    fn seen(
        &self,
        record: &LogRecord,
        documents: &Documents,
        to: Option<&Destination>,
        now: Timestamp,
    ) -> Result<Option<Option<Value>>, StoreError> {
        let Some(destination) = to else { return Ok(Some(None)) };
        match self.discloser.disclose_as_if_new(record, documents, destination, now) {
            Ok(Disclosed::Disclosure(disclosure) | Disclosed::Awaiting(disclosure, _)) => Ok(Some(serde_json::to_value(&*disclosure).ok())),
            Ok(Disclosed::NotAddressed | Disclosed::Withheld(_)) => Ok(Some(None)),
            Ok(Disclosed::Purged) | Err(OpenError::Corrupt(_)) => Ok(None),
            Err(OpenError::Store(error)) => Err(error),
        }
    }
}

/// Every destination that either has, by name.
fn destinations<'d>(
    before: &'d Documents,
    after: &'d Documents,
) -> impl Iterator<Item = (&'d str, Option<&'d Destination>, Option<&'d Destination>)> {
    let names: BTreeSet<&str> =
        before.destinations.iter().chain(&after.destinations).map(|destination| destination.name.as_str()).collect();
    let named = |documents: &'d Documents, name: &str| documents.destinations.iter().find(|known| known.name == name).map(AsRef::as_ref);
    names.into_iter().map(move |name| (name, named(before, name), named(after, name)))
}

fn compare_one<'c>(old: Option<&Value>, new: Option<&Value>, place: impl FnOnce() -> &'c mut Compared) {
    let (was, is) = (flat(old), flat(new));
    if was == is && old.is_some() == new.is_some() {
        return;
    }
    let compared = place();
    match (old, new) {
        (None, Some(_)) => compared.newly += 1,
        (Some(_), None) => {
            compared.ended += 1;
            return;
        }
        _ => {}
    }
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for name in names.into_iter().filter(|name| was.get(*name) != is.get(*name)) {
        let field = compared.fields.entry(name.clone()).or_default();
        match (was.get(name), is.get(name)) {
            (None, Some(value)) => {
                field.newly += 1;
                if field.examples.len() < EXAMPLES_MAX {
                    field.examples.insert(value.clone());
                }
            }
            (Some(_), None) => field.ended += 1,
            _ => field.otherwise += 1,
        }
    }
}

/// A disclosure's fields and their values as text, those of a map each by itself.
fn flat(disclosure: Option<&Value>) -> BTreeMap<String, String> {
    let fields = disclosure.and_then(Value::as_object).into_iter().flatten().filter(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
    let mut flat = BTreeMap::new();
    for (name, value) in fields {
        match value {
            Value::Object(parts) => flat.extend(parts.iter().map(|(part, value)| (format!("{name}.{part}"), value.to_string()))),
            value => {
                flat.insert(name.clone(), value.to_string());
            }
        }
    }
    flat
}
