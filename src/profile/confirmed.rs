//! An address that somebody has confirmed by a link that was mailed to it, in the browser that asked for it: proven of what that browser does under no account,
//! and joining it as the site's document says of addresses.

use super::{
    Profiles,
    entry::{CONFIRMED, Entry, Told},
    store::{Change, ProfileError, StrandKey},
    strand::Strand,
};
use crate::{
    clock::Timestamp,
    documents::{ProfileRules, Site},
    privacy::{contact_values::ContactField, identifiers::Identifier, own_links::Address, profiled::PersonHandle},
};

/// How it is named where it is said who brought something.
const SOURCE: &str = "mailed link";

impl Profiles {
    /// Notes that an address is of this person's browser. What was noted before changes nothing. False: they do not agree to a profile, or nothing that the
    /// browser did is in one yet. Blocks.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn confirm(
        &self,
        (site, rules): (&Site, &ProfileRules),
        person: &PersonHandle,
        (identifier, address): (Identifier, &Address),
        now: Timestamp,
    ) -> Result<bool, ProfileError> {
        let (store, seals) = (self.store()?, self.seals());
        let Some((purposes, event)) = seals.confirmation(person, &identifier, now)? else { return Ok(false) };
        let _changing = self.changing();
        let Some(browser) = store.of_person(site.number, person)?.first().map(|row| row.browser) else { return Ok(false) };
        let key = StrandKey { site: site.number, person: *person, account: None };
        let told = Told { name: CONFIRMED, source: SOURCE, event, at: now, received: now, purposes, policy: site.policy.version.0 };
        let entry = Entry { known_by: vec![identifier], ..Entry::beside_a_visit(&told) };
        let known = store.strand(&key)?.map(|row| Strand::opened(&row, seals, now)).transpose()?.flatten();
        let mut strand = known.unwrap_or_default();
        strand.take(&entry);
        if rules.keeps.contains(&ContactField::Email) {
            let kept = seals.seal_address((site.number, person), address, now)?;
            kept.iter().for_each(|kept| strand.contact.entry(ContactField::Email).or_default().take(&entry.said(kept.clone())));
        }
        let (Some(entry), Some(row)) = (entry.sealed(key, seals, now)?, strand.sealed(key, browser, seals, now)?) else {
            return Ok(false);
        };
        let identifiers = vec![(key, strand.identifiers())];
        store.write(&Change { strands: vec![row], entries: vec![entry], identifiers, ..Change::default() })?;
        Ok(true)
    }
}
