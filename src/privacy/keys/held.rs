//! Persons whose data rest and are not used (Article 18 of the GDPR), and those who object to a purpose (Article 21): the erasure list's marks of
//! them, in memory, since every event of a person asks.

use crate::{
    event::Purposes,
    privacy::{keys::person::PersonKeys, rights::erasures::Marks},
    state::StoreError,
};

/// Who is held to what.
#[derive(Default, PartialEq, Eq)]
pub(in crate::privacy) struct Held {
    /// Whose data rest and are not used.
    pub(in crate::privacy) restricted: Marks,
    /// Who objects to a purpose, a mark for each.
    pub(in crate::privacy) objecting: Marks,
}

impl PersonKeys {
    /// Reads again whose data are not to be used, and who objects to what: another process may have said so. Blocks.
    ///
    /// # Errors
    /// When the list cannot be read; what was known before stays.
    pub fn look_who_is_held(&self) -> Result<(), StoreError> {
        let Some(list) = &self.list else { return Ok(()) };
        let held = list.held()?;
        if *self.held() == held {
            return Ok(());
        }
        *self.held_mut() = held;
        // What is known of them in memory may say what they do not agree to any more.
        self.forget_those(|person| self.is_restricted(&person.handle()) || !self.objected(&person.handle()).is_empty());
        Ok(())
    }

    /// Whether what rests of this person is not to be used.
    pub(in crate::privacy) fn is_restricted(&self, handle: &[u8; 16]) -> bool {
        let held = self.held();
        !held.restricted.is_empty() && self.list.as_ref().is_some_and(|list| held.restricted.contains(&list.of_restriction(handle)))
    }

    /// What this person objects to.
    pub(in crate::privacy) fn objected(&self, handle: &[u8; 16]) -> Purposes {
        let held = self.held();
        let Some(list) = self.list.as_ref().filter(|_| !held.objecting.is_empty()) else { return Purposes::NONE };
        let objected = Purposes::ALL.each().filter(|purpose| held.objecting.contains(&list.of_objection(handle, *purpose)));
        objected.fold(Purposes::NONE, Purposes::and)
    }

    /// Whether anybody does.
    pub(in crate::privacy) fn somebody_objects(&self) -> bool {
        !self.held().objecting.is_empty()
    }

    /// What is left of purposes for whoever has that handle.
    pub(in crate::privacy) fn as_far_as_unobjected(&self, handle: &[u8; 16], purposes: Purposes) -> Purposes {
        purposes.without(self.objected(handle))
    }
}
