//! How somebody is written to, as it was said: e-mail address, phone number, name. Kept where the site's document asks for it, and sealed under the person's key,
//! so that it dies with that; it is in no index and in no event. It is opened here, for who has a right to see it.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    keys::person::Person,
    own_links::Address,
    profiled::{PersonHandle, ProfileSeals},
};
use crate::{
    clock::Timestamp,
    event::{Purposes, SiteNumber},
    state::StoreError,
};

/// A name is no longer, with all that belongs to it.
pub(in crate::privacy) const NAME_BYTES_MAX: usize = 200;

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactField {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A name.
    Name,
}

impl ContactField {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Email, Self::Phone, Self::Name];

    /// The name in documents, in files of contacts and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Name => "name",
        }
    }
}

/// One of them, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedValue(String);

fn associated(site: SiteNumber, handle: &[u8; 16], field: ContactField) -> Vec<u8> {
    [&b"contact value "[..], field.name().as_bytes(), &site.0.to_le_bytes(), handle].concat()
}

/// Seals one. Nothing: the system has no randomness to give, and then it is not kept.
pub(in crate::privacy) fn seal(person: &Person, site: SiteNumber, field: ContactField, value: &str) -> Option<SealedValue> {
    let of = associated(site, &person.handle(), field);
    let sealed = person.seal(&of, value.as_bytes()).ok()?;
    Some(SealedValue(STANDARD_NO_PAD.encode(sealed.get(of.len()..)?)))
}

impl ProfileSeals {
    /// Seals an address that its person has confirmed. Nothing: they do not agree to a profile any more.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn seal_address(
        &self,
        (site, person): (SiteNumber, &PersonHandle),
        address: &Address,
        now: Timestamp,
    ) -> Result<Option<SealedValue>, StoreError> {
        let found = self.persons.of_handle(person.bytes(), now)?.filter(|person| person.purposes().cover(Purposes::PROFILE));
        Ok(found.and_then(|found| seal(&found, site, ContactField::Email, address.0.expose())))
    }

    /// Opens one, for whose it is or who may write to them. Nothing: they do not agree to a profile any more, or it is not what was sealed.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn open_for_whom_it_is_shown(
        &self,
        (site, person): (SiteNumber, &PersonHandle),
        field: ContactField,
        value: &SealedValue,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let Ok(sealed) = STANDARD_NO_PAD.decode(&value.0) else { return Ok(None) };
        let found = self.persons.of_handle(person.bytes(), now)?.filter(|person| person.purposes().cover(Purposes::PROFILE));
        let opened = found.and_then(|found| found.open(&associated(site, person.bytes(), field), &sealed).ok());
        Ok(opened.and_then(|bytes| String::from_utf8(bytes).ok()))
    }
}
