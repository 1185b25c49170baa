//! Whose data somebody means who names an account, an address, a number or a cookie: as the event log has it, and as the store of profiles does, which knows
//! older proofs. One look-up for the command line and for the profile API.

use std::collections::BTreeSet;

use super::{Profiles, store::ProfileError};
use crate::{
    clock::Timestamp,
    documents::{Documents, Site},
    privacy::{
        identifiers::{Identifier, IdentifierKind, identifier_of_site},
        keys::persistent::PersistentKeys,
        rights::{Asked, Found, Rights, RightsError},
    },
    state::StoreError,
};

/// What is looked up in.
pub struct Whose<'a> {
    /// The event log, and people's keys.
    pub rights: &'a Rights,
    /// What identifiers are looked for with.
    pub persistent: &'a PersistentKeys,
    /// The store of profiles.
    pub profiles: &'a Profiles,
    /// The documents in force.
    pub documents: &'a Documents,
}

/// Nothing can be looked up now.
#[derive(Debug, thiserror::Error)]
pub enum WhoseError {
    /// The log or a database of this machine cannot be read.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// The store of profiles cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl From<StoreError> for WhoseError {
    fn from(error: StoreError) -> Self {
        Self::Rights(error.into())
    }
}

impl Whose<'_> {
    /// Whose data the id means. Blocks: an account is looked for in every record that was sealed.
    ///
    /// # Errors
    /// See [`WhoseError`].
    pub fn find(&self, site: &Site, asked: &Asked, now: Timestamp) -> Result<Found, WhoseError> {
        let mut found = self.rights.find(site.number, asked, now)?;
        if let Some(identifier) = self.identifier(site, asked)?
            && self.profiles.are_there()
        {
            for (person, shared) in self.profiles.holders(site.number, &identifier)? {
                self.rights.add(&mut found, &person, shared, now)?;
            }
        }
        Ok(found)
    }

    /// What is asked for, as the store of profiles knows it. Nothing: a browser is, or the site has no profiles.
    ///
    /// # Errors
    /// See [`WhoseError`].
    pub fn identifier(&self, site: &Site, asked: &Asked) -> Result<Option<Identifier>, WhoseError> {
        let Some(rules) = self.documents.profile_of(site.number) else { return Ok(None) };
        let (kind, said) = match asked {
            Asked::Cookie(_) => return Ok(None),
            Asked::Account(account) => (IdentifierKind::Account, account),
            Asked::Known(kind, said) => (*kind, said),
        };
        Ok(identifier_of_site(self.persistent, &rules.destination, kind, said)?)
    }

    /// What they are known by, where they were asked for by any of it: by a browser's cookie, what was done in that browser alone is meant.
    ///
    /// # Errors
    /// See [`WhoseError`].
    pub fn known_by(&self, site: &Site, asked: &Asked, found: &Found) -> Result<Vec<Identifier>, WhoseError> {
        let Some(asked) = self.identifier(site, asked)? else { return Ok(Vec::new()) };
        let mut known_by = BTreeSet::from([asked]);
        if let Some(rules) = self.documents.profile_of(site.number)
            && self.profiles.are_there()
        {
            for (person, _) in found.people() {
                known_by.extend(self.profiles.known_by(rules, &person, &asked)?);
            }
        }
        Ok(known_by.into_iter().collect())
    }
}
