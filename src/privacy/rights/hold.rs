//! Restricting (Article 18 of the GDPR): what rests of a person stays, and is not used. And objecting to a purpose (Article 21, and a consent that is taken back
//! for one): of a profile there is none until they agree anew.

use super::{
    Found, Rights, RightsError,
    erasures::{Erasures, HeldTo, Mark},
};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::Purposes,
    privacy::{
        consent::{
            chain::{ConsentRecord, Said},
            proof::{ConsentProof, Unproven},
        },
        identifiers::Identifier,
        profiled::PersonHandle,
    },
};

/// How an answer to a person is named where it is said who brought something.
pub const SOURCE: &str = "request";

/// An objection could not be carried out, or not in whole; it can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Something cannot be read or written.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// It cannot be put on record.
    #[error(transparent)]
    Proof(#[from] Unproven),
}

impl Rights {
    /// Sees to it that what rests of them is not used: durable when this returns, and in force in a running server within a second. Blocks.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn restrict(&self, found: &Found, list: &Erasures, now: Timestamp) -> Result<(), RightsError> {
        let of = |handle: &[u8; 16], expires| (list.of_restriction(handle), expires);
        let marks: Vec<_> = found.people.iter().map(|found| of(&found.person.handle(), found.person.expires())).collect();
        Ok(list.note_held(&marks, HeldTo::Restriction, now)?)
    }

    /// Takes that back. Returns of how many browsers it was so. Blocks.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn lift(&self, found: &Found, list: &Erasures) -> Result<usize, RightsError> {
        let marks: Vec<Mark> = found.people.iter().map(|found| list.of_restriction(&found.person.handle())).collect();
        Ok(list.let_go(&marks)?)
    }

    /// Whether data of any of them rest and are not to be used.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn is_restricted(&self, found: &Found, list: &Erasures) -> Result<bool, RightsError> {
        let restricted = list.held()?.restricted;
        Ok(found.people.iter().any(|found| restricted.contains(&list.of_restriction(&found.person.handle()))))
    }

    /// Whether data of all of them rest and are not to be used.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn are_all_restricted(&self, found: &Found, list: &Erasures) -> Result<bool, RightsError> {
        let restricted = list.held()?.restricted;
        Ok(found.people.iter().all(|found| restricted.contains(&list.of_restriction(&found.person.handle()))))
    }

    /// Whether one of them agrees to one of these purposes still.
    #[must_use]
    pub fn agree_to_any(&self, found: &Found, purposes: Purposes) -> bool {
        found.people.iter().any(|found| !found.person.purposes().both(purposes).is_empty())
    }

    /// Whether one of them agrees to nothing without these purposes: their key would not be kept.
    #[must_use]
    pub fn somebody_is_left_without(&self, found: &Found, purposes: Purposes) -> bool {
        found.people.iter().any(|found| found.person.purposes().without(purposes).is_empty())
    }

    /// Notes that they, who are known by these identifiers, object to these purposes; `Purposes::PROFILE` is a profile. What they had agreed to stays as far as
    /// it is something else; the same yes said again brings nothing back, and no import of what was said until now. Returns of whom nothing is left that they
    /// agree to.
    ///
    /// # Errors
    /// See [`ObjectError`].
    pub async fn object(
        &self,
        (found, objected): (&Found, Purposes),
        known_by: &[Identifier],
        (list, proof, site): (&Erasures, &ConsentProof, &Site),
        now: Timestamp,
    ) -> Result<Vec<PersonHandle>, ObjectError> {
        for purpose in objected.each() {
            let of = |handle: &[u8; 16], expires| (list.of_objection(handle, purpose), expires);
            let marks: Vec<_> = found.people.iter().map(|found| of(&found.person.handle(), found.person.expires())).collect();
            list.note_held(&marks, HeldTo::Objection(purpose), now).map_err(RightsError::from)?;
        }
        // Without a profile there is no contact; without another purpose, none to that.
        if objected.cover(Purposes::PROFILE) {
            list.note_identifiers(found.site, known_by, now).map_err(RightsError::from)?;
        }
        list.note_objected(found.site, known_by, objected, now).map_err(RightsError::from)?;
        let mut without_any = Vec::new();
        for found in &found.people {
            let person = &found.person;
            let left = person.purposes().without(objected);
            if left != person.purposes() {
                let record =
                    ConsentRecord::new(person.consent(), (site.number, &*site.policy), Said::Changed, left, SOURCE, now, person.expires());
                proof.append(record).await?;
                self.persons.note_purposes(person, left).map_err(RightsError::from)?;
            }
            without_any.extend(left.is_empty().then(|| PersonHandle::from_rest(person.handle())));
        }
        Ok(without_any)
    }
}
