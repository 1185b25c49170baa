//! Where a browser stands with a site, as its visitor is shown.

use super::{Unidentified, Visitors};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::Purposes,
    privacy::{
        consent::proof::reference,
        raw::Arrival,
        rules::{Rule, holds},
    },
};

impl Visitors {
    /// Where this browser stands, for the page that shows it to its visitor. The consent's reference is told only to a visitor who opened
    /// that page, never to a script: it would be an id that lasts, beside a cookie that no script can read.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub async fn standing(&self, arrival: &Arrival<'_>, opened: bool, site: &Site, now: Timestamp) -> Result<BrowserState, Unidentified> {
        let known = self.known_person(arrival, site, now).await?;
        Ok(BrowserState {
            opted_out: arrival.own.opted_out(),
            global_privacy_control: arrival.global_privacy_control,
            do_not_track: arrival.do_not_track,
            consent_outranks_gpc: site.signals.gpc_site_override.is_some(),
            consent: known.map(|(_, person)| ConsentInForce {
                purposes: person.purposes(),
                expires: person.expires(),
                reference: (opened || !holds(Rule::ReferenceForTheVisitor)).then(|| reference(&person.consent())),
            }),
        })
    }
}

/// Where a browser stands with a site.
pub struct BrowserState {
    /// It has the opt-out cookie.
    pub opted_out: bool,
    /// It sends Global Privacy Control.
    pub global_privacy_control: bool,
    /// It sends Do Not Track.
    pub do_not_track: bool,
    /// Its visitor consented.
    pub consent: Option<ConsentInForce>,
    /// Here, a consent outranks Global Privacy Control.
    pub consent_outranks_gpc: bool,
}

impl BrowserState {
    /// Whether it says no to everything, whatever else was said.
    #[must_use]
    pub const fn objects(&self) -> bool {
        let outranked = self.consent_outranks_gpc && self.consent.is_some();
        self.opted_out || self.do_not_track || (self.global_privacy_control && !outranked)
    }
}

/// A consent that is in force.
pub struct ConsentInForce {
    /// To what.
    pub purposes: Purposes,
    /// Until when.
    pub expires: Timestamp,
    /// What the visitor can quote it by.
    pub reference: Option<String>,
}
