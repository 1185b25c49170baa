//! Contacts of the site's customer system in the store: each a strand of its own, with an event that says what was told of it.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::{
    Profiles,
    entry::{CONTACT, Entry},
    store::{Change, ProfileError, StrandKey},
    strand::Strand,
};
use crate::{
    clock::Timestamp,
    documents::Site,
    privacy::{
        contacts::{ContactTold, SOURCE},
        enrich::{device::DeviceClass, place::Country},
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
            event: told.event,
            at: told.agreed,
            received: now,
            name: SmolStr::new_static(CONTACT),
            source: SmolStr::new_static(SOURCE),
            by_backend: true,
            proven: account.is_some(),
            purposes: told.purposes,
            policy: site.policy.version.0,
            page: None,
            campaign: BTreeMap::new(),
            referrer: None,
            value: None,
            currency: None,
            order: None,
            items: Vec::new(),
            properties: told.properties.clone(),
            session: None,
            device: DeviceClass::UNKNOWN,
            country: Country::UNKNOWN,
            language: None,
            claims: None,
            known_by: told.known_by.iter().filter(|known| known.kind != IdentifierKind::Account).copied().collect(),
            claimed: Vec::new(),
        };
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
