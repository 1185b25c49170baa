//! What became of one event: how it ended at each destination and what came back, and the exact request, rebuilt from the clean event and
//! the policy version that it left under. Consent is asked as it is now: what its visitor has taken back is not shown.

use std::{path::Path, sync::Arc};

use serde::Serialize;

use super::{InspectError, open, shown::ShownParcel};
use crate::{
    clock::Timestamp,
    delivery::ledger::{Ledger, LedgerEntry},
    destination::DestinationType,
    documents::{Destination, Documents, store::DocumentStore},
    event::Offset,
    event_log::{LogRecord, look},
    privacy::{
        crowd::Crowds,
        disclose::{Disclosed, Discloser},
        keys::{epoch::EpochKeys, persistent::PersistentKeys, person::PersonKeys},
        named::EventName,
        profiled::Profiled,
        purge_set::PurgeSet,
        record::Header,
    },
    state::StateDb,
};

/// One event, and how it stands.
#[derive(Debug, Serialize)]
pub struct Trace {
    /// Its place in the event log.
    pub offset: Offset,
    /// Its own id; it never leaves.
    pub event_id: String,
    /// The site that it came in on.
    pub site: String,
    /// When it came in.
    pub received: String,
    /// What its visitor had agreed to; empty: they had not chosen.
    pub purposes: Vec<&'static str>,
    /// The most that any destination may see of it.
    pub ceiling: &'static str,
    /// How it stands at every destination of its site.
    pub destinations: Vec<Stand>,
    /// Whether it may be in a customer profile, where its site has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiles: Option<InProfiles>,
}

/// What the profile store may see of an event, as its visitor agrees now.
#[derive(Debug, Serialize)]
pub struct InProfiles {
    /// The store's name.
    pub store: String,
    /// Why it sees nothing: the rule. Nothing: it may see it, and has it in a profile as soon as it has read so far.
    pub withheld: Option<&'static str>,
}

/// How an event stands at one destination.
#[derive(Debug, Serialize)]
pub struct Stand {
    /// The destination's name.
    pub destination: String,
    /// Its type.
    pub kind: &'static str,
    /// How it ended; `None` where it has not, or was never for it.
    pub ended: Option<LedgerEntry>,
    /// Whether it waits to be sent, or for an answer.
    pub waits: bool,
    /// The id that the event has there, where it was sent.
    pub event_id: Option<String>,
    /// What was sent of it; it may have travelled with others in one request.
    pub request: Option<ShownParcel>,
    /// Why nothing can be shown of what was sent.
    pub not_rebuilt: Option<String>,
}

/// Looks for an event in a data directory and says how it stands. `None`: there is none of that name, or it has left the event log. Blocks.
///
/// # Errors
/// When something cannot be read.
pub fn trace(directory: &Path, name: EventName, now: Timestamp) -> Result<Option<Trace>, InspectError> {
    let (state, keys) = open(directory)?;
    let tracer = Tracer {
        store: DocumentStore::new(Arc::clone(&state)),
        ledger: Ledger::new(Arc::clone(&state)),
        persistent: Arc::new(PersistentKeys::new(Arc::clone(&state))),
        discloser: discloser(&state, keys)?,
        now,
    };
    let documents = tracer.store.compiled()?;
    let mut begun = Vec::new();
    for destination in &documents.destinations {
        if tracer.ledger.low_water(destination.number)?.is_some() {
            begun.push(tracer.persistent.destination(destination.number)?);
        }
    }
    let mut found = None;
    look(&directory.join("log"), &mut |record| {
        if let Some(header) = name.is_of(&record, &begun) {
            found = Some((record, header));
        }
        found.is_none()
    })?;
    found.map(|(record, header)| tracer.of(&record, &header, &documents)).transpose()
}

struct Tracer {
    store: DocumentStore,
    ledger: Ledger,
    persistent: Arc<PersistentKeys>,
    discloser: Discloser,
    now: Timestamp,
}

fn discloser(state: &Arc<StateDb>, keys: Arc<crate::privacy::keys::database::KeysDb>) -> Result<Discloser, InspectError> {
    let persistent = Arc::new(PersistentKeys::new(Arc::clone(state)));
    let epochs = Arc::new(EpochKeys::new(Arc::clone(&keys)));
    let persons = Arc::new(PersonKeys::new(Arc::clone(&keys)));
    let purge_set = Arc::new(PurgeSet::open(keys)?);
    Ok(Discloser::new(persistent, epochs, persons, purge_set, Arc::new(Crowds::new(Arc::clone(state)))))
}

impl Tracer {
    fn of(&self, record: &LogRecord, header: &Header, documents: &Documents) -> Result<Trace, InspectError> {
        let mut destinations = Vec::new();
        for destination in documents.destinations.iter().filter(|destination| destination.sites.contains(&header.site)) {
            destinations.push(self.stand(record, header, destination, documents)?);
        }
        let profiles = documents.profile_of(header.site).map(|rules| {
            let withheld = match self.discloser.profiled(record, documents, &rules.destination, self.now)? {
                Profiled::Event(_) => None,
                Profiled::Withheld(rule) => Some(rule),
            };
            Ok::<_, InspectError>(InProfiles { store: rules.destination.name.clone(), withheld })
        });
        Ok(Trace {
            profiles: profiles.transpose()?,
            offset: record.offset,
            event_id: header.event_id.0.iter().map(|byte| format!("{byte:02x}")).collect(),
            site: documents.site(header.site).map_or_else(|| String::from("(a site that is gone)"), |site| site.name.clone()),
            received: header.received.rfc3339(),
            purposes: header.purposes.names().collect(),
            ceiling: header.ceiling.name(),
            destinations,
        })
    }

    fn stand(&self, record: &LogRecord, header: &Header, destination: &Destination, documents: &Documents) -> Result<Stand, InspectError> {
        let number = destination.number;
        let ended = self.ledger.state_of(number, record.offset)?;
        let waits = ended.is_none() && self.ledger.low_water(number)?.is_some_and(|low_water| record.offset >= low_water);
        let mut stand = Stand {
            destination: destination.name.clone(),
            kind: destination.kind,
            ended,
            waits,
            event_id: None,
            request: None,
            not_rebuilt: None,
        };
        // Only what was sent is built again: to disclose anything else would make ids and decisions that nobody asked for.
        let Some(version) = stand.ended.as_ref().and_then(|entry| entry.policy) else { return Ok(stand) };
        let policy = documents.site(header.site).map(|site| site.policy.name.clone());
        let then = policy.map(|policy| self.store.compiled_at(&policy, version.0)).transpose()?.flatten();
        match then {
            None => stand.not_rebuilt = Some(String::from("the policy that it left under does not fit the documents of today")),
            Some(then) => match self.discloser.disclose(record, &then, destination, self.now)? {
                Disclosed::Disclosure(disclosure) | Disclosed::Awaiting(disclosure, _) => {
                    stand.event_id = Some(disclosure.event_id().to_owned());
                    let row = DestinationType::named(destination.kind);
                    let service = row.map(|row| (row.open)(&destination.settings));
                    match service {
                        Some(Ok(service)) => {
                            let parcels = service.encode(&[&disclosure]);
                            stand.request = parcels.first().map(|parcel| ShownParcel::of(parcel, destination));
                        }
                        Some(Err(error)) => stand.not_rebuilt = Some(error.to_string()),
                        None => {}
                    }
                }
                Disclosed::Purged => {
                    stand.not_rebuilt = Some(String::from("its visitor has withdrawn or was erased: nothing of it can be read any more"));
                }
                Disclosed::Withheld(_) | Disclosed::NotAddressed => {
                    stand.not_rebuilt = Some(String::from(
                        "it may not leave any more: its visitor, or what rests of it, allows less than when it was sent",
                    ));
                }
            },
        }
        Ok(stand)
    }
}
