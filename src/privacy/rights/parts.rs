//! Whose data a profile's parts are: whose keys they rest under, and whose browsers beside them the event log alone knows by an account of theirs. Others'
//! accounts in the same browsers are seen there, too.

use std::collections::{BTreeMap, BTreeSet};

use super::{AskedFor, Found, FoundPerson, Rights, RightsError, account_of};
use crate::{
    clock::Timestamp,
    documents::Destination,
    event::SiteNumber,
    event_log::look,
    privacy::profiled::{AccountId, PersonHandle},
};

/// What one browser did under one proven account, or under none.
pub type Part = (PersonHandle, Option<AccountId>);

/// What is seen of a browser.
#[derive(Default)]
struct Browser {
    /// Accounts of the profile, as the site knows them.
    theirs: BTreeSet<String>,
    /// Whether accounts of others are used in it.
    shared: bool,
    /// Whether what was done under no account is of the profile.
    without_account: bool,
}

impl Rights {
    /// Whose data these parts of a profile are. `others` are parts of the same browsers that are not of the profile. Blocks: it reads the whole event log.
    ///
    /// # Errors
    /// When a database or the log cannot be read.
    pub fn of_parts(
        &self,
        (site, store): (SiteNumber, &Destination),
        (parts, others): (&BTreeSet<Part>, &BTreeSet<Part>),
        now: Timestamp,
    ) -> Result<Found, RightsError> {
        let key = self.persistent.destination(store.number)?;
        let accounts: BTreeSet<AccountId> = parts.iter().filter_map(|(_, account)| *account).collect();
        let mut browsers: BTreeMap<PersonHandle, Browser> = BTreeMap::new();
        for (person, account) in parts {
            let browser = browsers.entry(*person).or_default();
            browser.without_account |= account.is_none();
            browser.shared |= others.iter().any(|(other, _)| other == person);
        }
        // Of browsers that are in no part of it, only those in which one of its accounts is proven.
        let mut elsewhere: BTreeMap<PersonHandle, Browser> = BTreeMap::new();
        let mut failed = None;
        look(&self.log, &mut |record| {
            match self.proven(&record.bytes, site, now) {
                Ok(Some((handle, event))) => {
                    if let Some(account) = account_of(&event) {
                        let (person, id) = (PersonHandle::from_rest(handle), AccountId::of_bytes(key.account_id(&account)));
                        let is_theirs = accounts.contains(&id) && !others.contains(&(person, Some(id)));
                        let browser = match browsers.get_mut(&person) {
                            Some(browser) => browser,
                            None => elsewhere.entry(person).or_default(),
                        };
                        if is_theirs {
                            browser.theirs.insert(account);
                        } else {
                            browser.shared = true;
                        }
                    }
                }
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
            failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        browsers.extend(elsewhere.into_iter().filter(|(_, browser)| !browser.theirs.is_empty()));
        let mut people = Vec::with_capacity(browsers.len());
        for (handle, Browser { theirs, shared, without_account }) in browsers {
            let person = self.persons.of_handle(handle.bytes(), now)?;
            people.extend(person.map(|person| FoundPerson { person, accounts: theirs, shared, without_account }));
        }
        Ok(Found { site, people, asked: Some(AskedFor::Parts) })
    }

    /// Notes the accounts of a profile that is erased, as far as the log tells them: so that no older copy brings them back.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn note_accounts(&self, found: &Found, list: &super::erasures::Erasures, now: Timestamp) -> Result<(), RightsError> {
        for account in found.people.iter().flat_map(|found| &found.accounts) {
            list.note_account(list.of_account(found.site, account), now)?;
        }
        Ok(())
    }
}
