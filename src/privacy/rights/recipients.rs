//! Who has received something of a person, how each of their events ended there, and by which ids the receiver knows them: what the
//! person is told (Art. 15), and what the receivers must be told when the person is erased (Art. 19).
//!
//! Ids are made anew as they were for the receiver, under its own key. Those of an earlier transform of it are not among them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    documents::{Basis, Destination, Documents, Site},
    event::DestinationNumber,
    privacy::{
        clean::CleanEvent,
        keys::{epoch::EpochKeys, persistent::PersistentKeys},
        policy::Field,
        transform::Transform,
    },
    state::StoreError,
};

/// How an event ended at a destination, as the ledger has it.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which destination.
    pub destination: DestinationNumber,
    /// The state's name; none: it has not ended.
    pub state: Option<&'static str>,
    /// By which rule, or for which reason.
    pub rule: String,
    /// When.
    pub at: Option<Timestamp>,
    /// Whether it was sent, so that the receiver may have it whatever it answered.
    pub sent: bool,
}

/// The keys that the receivers' ids are made with.
pub struct Ids<'a> {
    /// Lasting ids.
    pub persistent: &'a PersistentKeys,
    /// A day's ids.
    pub epochs: &'a EpochKeys,
}

/// Everyone who has, or may have, received something.
#[derive(Default)]
pub(in crate::privacy) struct Recipients {
    of: BTreeMap<DestinationNumber, Recipient>,
}

#[derive(Default, Serialize)]
struct Recipient {
    /// Events by how they ended there.
    ends: BTreeMap<&'static str, u64>,
    /// Events that were sent there.
    sent: u64,
    visitor_ids: BTreeSet<String>,
    session_ids: BTreeSet<String>,
    accounts: BTreeSet<String>,
    event_ids: BTreeSet<String>,
}

impl Recipients {
    /// Notes how one event of theirs ended.
    pub(in crate::privacy) fn note(
        &mut self,
        event: &CleanEvent,
        site: &Site,
        destination: &Destination,
        ended: &Ended,
        ids: &Ids<'_>,
    ) -> Result<(), StoreError> {
        let recipient = self.of.entry(destination.number).or_default();
        *recipient.ends.entry(ended.state.unwrap_or("under_way")).or_default() += 1;
        // What has not ended may be on its way at this moment.
        if !ended.sent && ended.state.is_some() {
            return Ok(());
        }
        recipient.sent += u64::from(ended.sent);
        let (header, body) = (event.header(), event.body());
        let key = ids.persistent.destination(destination.number)?;
        recipient.event_ids.insert(key.event_id(header.event_id));
        match (destination.basis, body.granted.as_deref()) {
            (Basis::Consent(_), Some(granted)) => {
                recipient.visitor_ids.insert(destination.writes_visitor(&format!("{:016x}", key.visitor_id(&granted.cookie_id))));
                recipient.session_ids.extend(body.session.map(|session| format!("{:016x}", key.session_id(&session))));
                let allowed = site.allowed(destination.number);
                let treatments = allowed.treatments(allowed.breadth, true);
                if let Some(account) = granted.user_id.as_deref().filter(|_| treatments.lets(Field::UserId)) {
                    recipient.accounts.insert(if treatments.keeps(Field::UserId) { account.to_owned() } else { key.user_id(account) });
                }
            }
            _ => {
                let key = ids.epochs.of(header.site, destination.number, header.epoch)?;
                let made = if destination.transform == Transform::Strict {
                    key.strict_ids(header.event_id, header.subject)
                } else {
                    key.measurement_ids(header.subject, body.session.as_ref())
                };
                recipient.visitor_ids.insert(destination.writes_visitor(&format!("{:016x}", made.visitor)));
                recipient.session_ids.extend(made.session.map(|session| format!("{session:016x}")));
            }
        }
        Ok(())
    }

    /// One value for each.
    pub(in crate::privacy) fn described(&self, documents: &Documents) -> Vec<Value> {
        let known = |number: &DestinationNumber| documents.destinations.iter().find(|known| known.number == *number);
        let described = self.of.iter().filter_map(|(number, recipient)| Some((known(number)?, recipient)));
        described
            .map(|(destination, recipient)| {
                json!({
                    "name": destination.name,
                    "service": destination.kind,
                    "receiver": destination.receiver(),
                    "uses_it_for_itself": destination.vendor_reuses_data(),
                    "ground": ground(destination.basis),
                    "purposes": purposes(destination.basis),
                    "kept_there": destination.kept_months.map_or_else(
                        || String::from("as long as the receiver's own rules say"),
                        |months| format!("{months} months at most, as the settings of this website say"),
                    ),
                    "events_sent": recipient.sent,
                    "how_events_ended": recipient.ends,
                    "ids_there": {
                        "visitor": recipient.visitor_ids,
                        "session": recipient.session_ids,
                        "account": recipient.accounts,
                        "event": recipient.event_ids,
                    },
                })
            })
            .collect()
    }

    /// How many have, or may have, received something.
    pub(in crate::privacy) fn count(&self) -> usize {
        self.of.values().filter(|recipient| !recipient.event_ids.is_empty()).count()
    }

    /// The same for each that has, or may have, received something.
    pub(in crate::privacy) fn who_received(&self, documents: &Documents) -> Vec<Value> {
        let mut described = self.described(documents);
        described.retain(|recipient| recipient["ids_there"]["event"].as_array().is_some_and(|events| !events.is_empty()));
        described
    }
}

/// The legal ground, in words.
pub(in crate::privacy) const fn ground(basis: Basis) -> &'static str {
    match basis {
        Basis::ExemptMeasurement => "audience measurement for the website's own account",
        Basis::Consent(_) => "consent",
    }
}

fn purposes(basis: Basis) -> Vec<&'static str> {
    match basis {
        Basis::ExemptMeasurement => vec!["audience measurement"],
        Basis::Consent(purposes) => purposes.names().collect(),
    }
}
