//! Contacts of the site's customer system in the store: each a strand of its own, with an event that says what was told of it.

use super::{
    Profiles,
    entry::{CONTACT, Entry, Told},
    store::{Change, ProfileError, StrandKey},
    strand::Strand,
};
use crate::{
    clock::Timestamp,
    documents::Site,
    privacy::{
        contacts::{ContactTold, SOURCE},
        identifiers::{Identifier, IdentifierKind},
    },
};

impl Profiles {
    /// Takes a contact in. One that was taken in before changes nothing. False: its person does not agree to a profile any more. Blocks.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn take_contact(&self, site: &Site, told: &ContactTold, now: Timestamp) -> Result<bool, ProfileError> {
        let (store, seals) = (self.store()?, self.seals());
        let account = told.known_by.iter().find_map(Identifier::account);
        let key = StrandKey { site: site.number, person: told.person, account };
        let entry = Entry {
            by_backend: true,
            proven: account.is_some(),
            properties: told.properties.clone(),
            known_by: told.known_by.iter().filter(|known| known.kind != IdentifierKind::Account).copied().collect(),
            ..Entry::beside_a_visit(&Told {
                name: CONTACT,
                source: SOURCE,
                event: told.event,
                at: told.agreed,
                received: now,
                purposes: told.purposes,
                policy: site.policy.version.0,
            })
        };
        let _changing = self.changing();
        let known = store.strand(&key)?.map(|row| Strand::opened(&row, seals, now)).transpose()?.flatten();
        let mut strand = known.unwrap_or_default();
        strand.take(&entry);
        let (Some(entry), Some(row)) = (entry.sealed(key, seals, now)?, strand.sealed(key, told.browser, seals, now)?) else {
            return Ok(false);
        };
        let change =
            Change { strands: vec![row], entries: vec![entry], identifiers: vec![(key, strand.identifiers())], ..Change::default() };
        store.write(&change)?;
        Ok(true)
    }
}
