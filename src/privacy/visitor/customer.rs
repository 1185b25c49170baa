//! Whose profile a page may be told of: that of the browser that asks, as far as its visitor agrees to one now.

use super::{Unidentified, Visitors};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::Purposes,
    privacy::{
        profiled::PersonHandle,
        raw::Arrival,
        rules::{Rule, holds},
    },
};

impl Visitors {
    /// The person whose browser asks. Nothing: it has no cookie of ours, or its visitor does not agree to a profile, or objects by whatever means.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub async fn customer(&self, arrival: &Arrival<'_>, site: &Site, now: Timestamp) -> Result<Option<PersonHandle>, Unidentified> {
        if self.standing(arrival, false, site, now).await?.objects() && holds(Rule::LookupNeedsConsent) {
            return Ok(None);
        }
        let known = self.known_person(arrival, site, now).await?;
        Ok(known
            .filter(|(_, person)| person.purposes().cover(Purposes::PROFILE))
            .map(|(_, person)| PersonHandle::from_rest(person.handle())))
    }
}
