//! What a visitor's own browser may see and erase by its cookie, and what a mailed link may.

use super::{SetCookie, Unidentified, Visitors, parse_cookie_id};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::Purposes,
    privacy::{
        consent::chain::{ConsentRecord, Said},
        identifiers::Identifier,
        profiled::PersonHandle,
        raw::Arrival,
        vendor_cookies,
    },
};

/// How the page is named where it is said who brought something.
pub const OWN_PAGE: &str = "own page";

impl Visitors {
    /// Whose browser this is, by its cookie alone.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub async fn own_person(&self, arrival: &Arrival<'_>, site: &Site, now: Timestamp) -> Result<Option<PersonHandle>, Unidentified> {
        let known = self.known_person(arrival, site, now).await?;
        Ok(known.map(|(_, person)| PersonHandle::from_rest(person.handle())))
    }

    /// Destroys the keys of these people of a site, who are known by these identifiers: from here on nobody can read anything of them, and what rests of
    /// them in the event log is emptied. Those whose key is gone stay gone. `source` says who brought it, on their consent's record.
    ///
    /// # Errors
    /// When something cannot be written now; what was begun goes on.
    pub async fn erase(
        &self,
        people: Vec<PersonHandle>,
        known_by: Vec<Identifier>,
        (site, source): (&Site, &'static str),
        now: Timestamp,
    ) -> Result<(), Unidentified> {
        let (persons, number) = (std::sync::Arc::clone(&self.persons), site.number);
        let ended = self
            .supervisor
            .blocking(move || {
                persons.note_known_by(number, &known_by, now)?;
                let mut ended = Vec::new();
                for handle in people {
                    let Some(person) = persons.of_handle(handle.bytes(), now)? else { continue };
                    persons.erase(&person, now)?;
                    ended.push((person.consent(), person.expires()));
                }
                Ok::<_, crate::state::StoreError>(ended)
            })
            .await?;
        for (consent, expires) in ended {
            let record = ConsentRecord::new(consent, (site.number, &*site.policy), Said::Refused, Purposes::NONE, source, now, expires);
            self.proof.append_withdrawal(record).await;
        }
        Ok(())
    }

    /// The same for whose browser this is. Returns the cookies that are taken away.
    ///
    /// # Errors
    /// As there.
    pub async fn erase_own(&self, arrival: &Arrival<'_>, site: &Site, now: Timestamp) -> Result<Vec<SetCookie>, Unidentified> {
        let mut people = Vec::new();
        for cookie_id in arrival.own.visitor.iter().chain(&arrival.own.left_over).filter_map(|cookie| parse_cookie_id(cookie.expose())) {
            let index = self.persistent.site(site.number)?.cookie_index(&cookie_id);
            let (persons, number) = (std::sync::Arc::clone(&self.persons), site.number);
            let person = self.supervisor.blocking(move || persons.find(number, &index, now)).await?;
            people.extend(person.map(|person| PersonHandle::from_rest(person.handle())));
        }
        self.erase(people, Vec::new(), (site, OWN_PAGE), now).await?;
        let left_over = arrival.own.visitor.len() > 1 || !arrival.own.left_over.is_empty();
        let mut cookies = SetCookie::forget(site, &site.cookies.visitor, arrival.secure, left_over);
        cookies.extend(vendor_cookies::forgotten(arrival, site));
        Ok(cookies)
    }
}
