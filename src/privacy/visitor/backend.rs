//! What a site's backend sends, and what a page gets for it: whose events they are, and of which visit.

use std::sync::Arc;

use super::{Unidentified, Visitor, Visitors};
use crate::{
    clock::Timestamp,
    documents::Site,
    privacy::{
        clean::CleanEvent,
        keys::{
            persistent::SiteKey,
            person::{NoPersonKey, Person},
        },
        personal::Personal,
        raw::{Arrival, RawEvent},
        record::Subject,
        rules::{Rule, holds},
        ticket::{self, Landing, Visit},
    },
    protocol::server,
};

impl Visitors {
    /// The ticket of the visit that this browser is on: for the shop to keep with an order, and to say with the event of it. There is none for
    /// whoever has not agreed to a lasting id, or objects, or is not visiting.
    ///
    /// # Errors
    /// When a database cannot be read, or the system has no randomness for a seal.
    pub async fn ticket(&self, arrival: &Arrival<'_>, site: &Site, now: Timestamp) -> Result<Option<String>, Unidentified> {
        let standing = self.standing(arrival, false, site, now).await?;
        if (standing.objects() && holds(Rule::TicketNeedsConsent)) || !takes_events_of_a_backend(site) {
            return Ok(None);
        }
        let Some((cookie_id, person)) = self.known_person(arrival, site, now).await? else { return Ok(None) };
        let key = self.persistent.site(site.number)?;
        let Visit { session: Some(session), landing } = self.visit_of(&person, site, &key, now) else { return Ok(None) };
        Ok(Some(ticket::ticket(&key, site.number, &cookie_id, session, &landing, now)?))
    }

    /// What a backend's request says of the visitor whose these events are: what their ticket says, or the value of their cookie.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub fn named_by_backend<'a>(&self, events: &[RawEvent<'a>], site: &Site, received: Timestamp) -> Result<Arrival<'a>, Unidentified> {
        let mut arrival = Arrival::of_backend(received);
        let Some(said) = events.first().and_then(|event| event.ticket.as_ref()) else { return Ok(arrival.or_named_by(events)) };
        let key = self.persistent.site(site.number)?;
        // A ticket that this site did not make names somebody all the same, and nobody who agreed: "no" is one of those.
        let (cookie_id, visit) = ticket::read(&key, site.number, said.expose(), received).unzip();
        arrival.own.visitor.push(Personal::new(cookie_id.map(|id| super::cookie_value(&id)).unwrap_or_default().into()));
        arrival.own.visit = visit;
        Ok(arrival)
    }

    /// Whose events a backend's are: the person's whom it names, of the visit that their ticket tells, or that they are on. It makes no person, no
    /// cookie and no visit.
    ///
    /// # Errors
    /// When keys cannot be had, or the person has just withdrawn.
    pub(super) fn named(
        &self,
        arrival: &Arrival<'_>,
        known: Option<([u8; 16], Arc<Person>)>,
        site: &Site,
        now: Timestamp,
    ) -> Result<Visitor, Unidentified> {
        let (cookie_id, person) = known.ok_or(NoPersonKey)?;
        let key = self.persistent.site(site.number)?;
        let Visit { session, landing } = match &arrival.own.visit {
            Some(visit) => visit.clone(),
            None => self.visit_of(&person, site, &key, now),
        };
        let (epoch, subject) = (self.visit_keys.epoch(site, now)?, Subject::Person(person.handle()));
        Ok(Visitor { epoch, subject, session, cookie_id: Some(cookie_id), person: Some(person), counted: None, landing })
    }

    /// Notes what led to a visit, where a backend's events may be told it.
    pub fn note_landing(&self, event: &CleanEvent, site: &Site, key: &SiteKey) {
        let landing = event.body().granted.as_deref().and_then(Landing::of).filter(|_| takes_events_of_a_backend(site));
        // Without randomness the visit has no campaign, and an event of it none.
        if let Some(sealed) = landing.and_then(|landing| landing.sealed(key, site.number).ok()) {
            self.sessions.note_landing(site.number, event.header().subject, sealed.into());
        }
    }

    fn visit_of(&self, person: &Person, site: &Site, key: &SiteKey, now: Timestamp) -> Visit {
        let Some((session, landing)) = self.sessions.under_way(site.number, Subject::Person(person.handle()), now) else {
            return Visit::default();
        };
        let landing = landing.and_then(|sealed| Landing::unsealed(key, site.number, &sealed)).unwrap_or_default();
        Visit { session: Some(session), landing }
    }
}

fn takes_events_of_a_backend(site: &Site) -> bool {
    site.keys.contains_key(server::NAME)
}
