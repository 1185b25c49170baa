//! Contacts of the site's customer system in the store: each a strand of its own, with an event that says what was told of it.

use super::{
    Profiles,
    entry::{CONTACT, Entry, Told},
    store::{Change, ProfileError, Slice, StrandKey},
    strand::Strand,
};
use crate::{
    clock::Timestamp,
    documents::Site,
    privacy::{
        contacts::{ContactTold, SOURCE},
        identifiers::{Identifier, IdentifierKind},
        profiled::EventKey,
    },
};

/// What was told of one contact that is looked at, to see whether it was told before: in 13 months a nightly run tells four hundred times.
const TOLD_MAX: usize = 1_000;

/// What becomes of something that was told before, and of something else since.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It is known: a file may have several rows of one contact, and be imported again.
    IsKnown,
    /// It counts anew: a program tells how it is now.
    CountsAnew,
}

impl Profiles {
    /// Takes a contact in. One that was taken in before changes nothing. False: its person does not agree to a profile any more. Blocks.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn take_contact(&self, site: &Site, told: &ContactTold, again: Again, now: Timestamp) -> Result<bool, ProfileError> {
        let (store, seals) = (self.store()?, self.seals());
        let account = told.known_by.iter().find_map(Identifier::account);
        let key = StrandKey { site: site.number, person: told.person, account };
        let _changing = self.changing();
        let before: Vec<EventKey> = store.entries(&key, &Slice::default(), TOLD_MAX)?.iter().map(|row| row.event).collect();
        let event = match before.as_slice() {
            [] => told.event,
            [newest, others @ ..] => {
                // Said again after something else, it is another event, of that place.
                let anew = |behind: &EventKey| seals.event_behind(&told.person, &told.event, behind, now);
                let is_known = before.contains(&told.event);
                let said_anew = others.first().map(anew).transpose()?.flatten();
                if *newest == told.event || said_anew == Some(*newest) || is_known && again == Again::IsKnown {
                    return Ok(seals.gone(&[told.person], now)?.is_empty());
                }
                if is_known { anew(newest)?.unwrap_or(told.event) } else { told.event }
            }
        };
        let entry = Entry {
            by_backend: true,
            proven: account.is_some(),
            properties: told.properties.clone(),
            known_by: told.known_by.iter().filter(|known| known.kind != IdentifierKind::Account).copied().collect(),
            ..Entry::beside_a_visit(&Told {
                name: CONTACT,
                source: SOURCE,
                event,
                // Of two that rest on one consent the later counts.
                at: now.max(told.agreed),
                received: now,
                purposes: told.purposes,
                policy: site.policy.version.0,
            })
        };
        let known = store.strand(&key)?.map(|row| Strand::opened(&row, seals, now)).transpose()?.flatten();
        let mut strand = known.unwrap_or_default();
        strand.take(&entry);
        for (field, value) in &told.values {
            strand.contact.entry(*field).or_default().take(&entry.said(value.clone()));
        }
        let (Some(entry), Some(row)) = (entry.sealed(key, seals, now)?, strand.sealed(key, told.browser, seals, now)?) else {
            return Ok(false);
        };
        let change =
            Change { strands: vec![row], entries: vec![entry], identifiers: vec![(key, strand.identifiers())], ..Change::default() };
        store.write(&change)?;
        Ok(true)
    }
}
