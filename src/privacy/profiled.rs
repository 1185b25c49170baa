//! What the profile store may see of an event: a disclosure under the site's own profile document, and whose it is. It is of a person who
//! consented to a profile, always: an event of nobody, or of a day's token, becomes none here, and there is no other way to one.
//!
//! What is kept of a person is sealed under that person's key, so that it dies with the key, in copies too; and it is opened only while they
//! agree to a profile.

use std::{fmt, io, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use smol_str::SmolStr;

use super::{
    clean::OpenError,
    disclose::{Disclosed, Discloser, Entitled},
    disclosure::{Disclosure, Grounds},
    entitlement::Withheld,
    identifiers::{Identified, Identifier},
    identity::Assurance,
    keys::{
        endings::Endings,
        persistent::PersistentKeys,
        person::{Person, PersonKeys},
    },
    personal::Personal,
    policy::Field,
    record::Subject,
    rules::{Rule, holds},
    ticket,
    visitor::parse_cookie_id,
};
use crate::{
    clock::Timestamp,
    documents::{Destination, Documents},
    event::{Purposes, SiteNumber},
    event_log::LogRecord,
    protocol::server,
    state::StoreError,
};

/// Whose a part of a profile is: the handle of their key row. It says nothing of them, leaves for nobody, and rests where their sealed events do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonHandle([u8; 16]);

impl PersonHandle {
    /// The form in which it rests; for the stores of profiles alone.
    #[must_use]
    pub const fn at_rest(&self) -> &[u8; 16] {
        &self.0
    }

    /// One that has rested; for the stores of profiles alone.
    #[must_use]
    pub const fn from_rest(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(in crate::privacy) const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Sixteen bytes, written as hexadecimal digits.
fn written(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn read(text: &str) -> Option<[u8; 16]> {
    (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes))
        .flatten()
}

macro_rules! hexadecimal {
    ($name:ident) => {
        impl $name {
            /// Its bytes.
            #[must_use]
            pub const fn bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Of its bytes.
            #[must_use]
            pub const fn of_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// As it is written: 32 hexadecimal digits.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                read(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                written(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = SmolStr::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| D::Error::custom("32 hexadecimal digits"))
            }
        }
    };
}

/// An account of the site's, under the key of its profile store. Not the id that the site knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 16]);
hexadecimal!(AccountId);

/// Some other identifier of a customer: under a key, of the site where it rests in bodies, of the profile store there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentifierKey([u8; 16]);
hexadecimal!(IdentifierKey);

/// An event, under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey([u8; 16]);
hexadecimal!(EventKey);

/// Whose profile it was, in the audit: made with the key of a person, and nobody's once that is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditMark([u8; 16]);
hexadecimal!(AuditMark);

/// An event for the profile store. Made here alone, of events of persons who agree to a profile.
pub struct ProfileEvent {
    disclosure: Disclosure,
    person: PersonHandle,
    event: EventKey,
    browser: u64,
    account: Option<(AccountId, Assurance)>,
    identifiers: Vec<(Identifier, Assurance)>,
    source: SmolStr,
}

impl ProfileEvent {
    /// What may be seen of it.
    #[must_use]
    pub const fn disclosure(&self) -> &Disclosure {
        &self.disclosure
    }

    /// Whose it is.
    #[must_use]
    pub const fn person(&self) -> PersonHandle {
        self.person
    }

    /// Which event it is: the same, however often it comes.
    #[must_use]
    pub const fn event(&self) -> EventKey {
        self.event
    }

    /// The visitor cookie that it came with, under the store's key.
    #[must_use]
    pub const fn browser(&self) -> u64 {
        self.browser
    }

    /// The account that it names, and how far that is to be believed.
    #[must_use]
    pub const fn account(&self) -> Option<(AccountId, Assurance)> {
        self.account
    }

    /// What else it says of whom it is of, each kind once at most.
    #[must_use]
    pub fn identifiers(&self) -> &[(Identifier, Assurance)] {
        &self.identifiers
    }

    /// Which protocol brought it.
    #[must_use]
    pub const fn source(&self) -> &SmolStr {
        &self.source
    }

    /// Whether the site's backend sent it.
    #[must_use]
    pub fn is_backends(&self) -> bool {
        self.source == server::NAME
    }
}

/// What became of a record for the profile store.
pub enum Profiled {
    /// It may see this.
    Event(Box<ProfileEvent>),
    /// The person withdrew, was erased, or does not agree to a profile; or it is nobody's. By which rule.
    Withheld(&'static str),
}

impl Discloser {
    /// What the profile store of the record's site may see of it. `destination` is the one of the site's profile document. Blocks where a key is
    /// not in RAM.
    ///
    /// # Errors
    /// As [`Self::disclose`].
    pub fn profiled(
        &self,
        record: &LogRecord,
        documents: &Documents,
        destination: &Destination,
        now: Timestamp,
    ) -> Result<Profiled, OpenError> {
        let Entitled { event, breadth, site, purposes, consent_now } =
            match self.entitled(record, documents, destination, now, |header, _| Some(header.ceiling))? {
                Ok(entitled) => *entitled,
                Err(Disclosed::Withheld(rule)) => return Ok(Profiled::Withheld(rule.name())),
                Err(Disclosed::Purged) => return Ok(Profiled::Withheld("purged")),
                Err(_) => return Ok(Profiled::Withheld(Withheld::Policy.name())),
            };
        // A token is no person, and no profile begins with it.
        let (Subject::Person(handle), Some(granted)) = (event.header().subject, event.body().granted.as_deref()) else {
            return Ok(Profiled::Withheld(Withheld::NoConsent.name()));
        };
        let policy = site.allowed(destination.number).treatments(breadth, true);
        // Without a visitor's id nothing may be joined, and a profile is nothing else.
        if !breadth.has_profile() || !policy.lets(Field::Visitor) {
            return Ok(Profiled::Withheld(Withheld::Policy.name()));
        }
        if !purposes.cover(Purposes::PROFILE) {
            return Ok(Profiled::Withheld(Withheld::NoConsent.name()));
        }
        let key = self.destination_key(destination.number)?;
        let mut disclosure = self.build(record.offset, &event, breadth, site, destination)?;
        disclosure.grounds = Grounds { consent: consent_now, revision: documents.revision, ..disclosure.grounds };
        disclosure.consent.purposes = purposes;
        let wanted = |said: &&Identified| policy.lets(Field::UserId) && site.identified_by.contains(&said.kind);
        let believed = |assurance| if holds(Rule::ClaimsJoinNothing) { assurance } else { Assurance::Proven };
        let identifiers = granted.identifiers.iter().filter(wanted).map(|said| (said.in_store(&key), believed(said.assurance))).collect();
        let named = granted.user_id.as_deref().zip(granted.user_assurance).filter(|_| policy.lets(Field::UserId));
        Ok(Profiled::Event(Box::new(ProfileEvent {
            disclosure,
            person: PersonHandle(handle),
            event: EventKey(key.event_id_bytes(event.header().event_id)),
            browser: key.visitor_id(&granted.cookie_id),
            account: named.map(|(account, assurance)| (AccountId(key.account_id(account)), believed(assurance))),
            identifiers,
            source: event.body().protocol.clone(),
        })))
    }
}

/// The account of that name, as the profile store of that destination knows it.
///
/// # Errors
/// When `state.db` cannot be used.
pub fn account_of_site(keys: &PersistentKeys, destination: &Destination, account: &Personal<String>) -> Result<AccountId, StoreError> {
    Ok(AccountId(keys.destination(destination.number)?.account_id(account.expose().trim())))
}

/// What the seal of a place in a list cannot be taken for another one's by.
const PLACE: &[u8] = b"profile place";

/// A place among a site's profiles, for whoever is to go on behind it: sealed, since whose it is leaves for nobody.
///
/// # Errors
/// When `state.db` cannot be used, or the system has no randomness to give.
pub fn sealed_place(
    keys: &PersistentKeys,
    site: SiteNumber,
    person: &PersonHandle,
    account: Option<&AccountId>,
) -> Result<String, SealError> {
    let mut plain = person.0.to_vec();
    plain.extend(account.iter().flat_map(|account| account.0));
    Ok(URL_SAFE_NO_PAD.encode(ticket::seal(&*keys.site(site)?, site, PLACE, &plain)?))
}

/// The place that a text of [`sealed_place`] says. Nothing: this site made no such text.
///
/// # Errors
/// When `state.db` cannot be used.
pub fn place_of(keys: &PersistentKeys, site: SiteNumber, text: &str) -> Result<Option<(PersonHandle, Option<AccountId>)>, StoreError> {
    let Ok(sealed) = URL_SAFE_NO_PAD.decode(text) else { return Ok(None) };
    let key = keys.site(site)?;
    let read = || {
        let plain = ticket::open(&key, site, PLACE, &sealed)?;
        let (person, account) = plain.split_first_chunk()?;
        let account = if account.is_empty() { None } else { Some(AccountId(account.try_into().ok()?)) };
        Some((PersonHandle(*person), account))
    };
    Ok(read())
}

/// A browser by the value of our cookie in it, as the profile store of that destination knows it. Nothing: it has not the form of one.
///
/// # Errors
/// When `state.db` cannot be used.
pub fn browser_of_site(keys: &PersistentKeys, destination: &Destination, cookie: &Personal<String>) -> Result<Option<u64>, StoreError> {
    let said = cookie.expose().trim();
    // As the browser shows it, or as its header has it.
    let value = said.rsplit_once('=').map_or(said, |(_, value)| value);
    let Some(id) = parse_cookie_id(value) else { return Ok(None) };
    Ok(Some(keys.destination(destination.number)?.visitor_id(&id)))
}

/// Nothing can be sealed or opened now.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// `keys.db` cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no randomness to give.
    #[error("the system gives no randomness: {0}")]
    System(#[from] io::Error),
}

/// Seals what is kept of persons in profiles, under their keys.
pub struct ProfileSeals {
    pub(in crate::privacy) persons: Arc<PersonKeys>,
}

impl ProfileSeals {
    /// With these keys.
    #[must_use]
    pub const fn new(persons: Arc<PersonKeys>) -> Self {
        Self { persons }
    }

    /// Seals something of a person's. What it is of (`of`) is authenticated with it. Nothing: they do not agree to a profile any more.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal(&self, person: &PersonHandle, of: &[u8], body: &[u8], now: Timestamp) -> Result<Option<Vec<u8>>, SealError> {
        let Some(person) = self.persons.of_handle(person.bytes(), now)?.filter(|person| person.purposes().cover(Purposes::PROFILE)) else {
            return Ok(None);
        };
        let mut sealed = person.seal(of, body)?;
        sealed.drain(..of.len());
        Ok(Some(sealed))
    }

    /// Opens it. Nothing: they do not agree to a profile any more, or it is not what was sealed.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn open(&self, person: &PersonHandle, of: &[u8], sealed: &[u8], now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        let agrees = |person: &Arc<Person>| person.purposes().cover(Purposes::PROFILE) || !holds(Rule::ProfileWhileTheyAgree);
        let person = self.persons.of_handle(person.bytes(), now)?.filter(agrees);
        Ok(person.and_then(|person| person.open(of, sealed).ok()))
    }

    /// The person's mark for the audit. Nothing: they do not agree to a profile any more.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn mark(&self, person: &PersonHandle, now: Timestamp) -> Result<Option<AuditMark>, StoreError> {
        Ok(self.persons.of_handle(person.bytes(), now)?.map(|person| AuditMark(person.mark(b"profile audit"))))
    }

    /// What this person agrees to, and the event that they confirmed an identifier: the same, however often they do. Nothing: they do not agree to a profile.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn confirmation(
        &self,
        person: &PersonHandle,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<Option<(Purposes, EventKey)>, StoreError> {
        let person = self.persons.of_handle(person.bytes(), now)?.filter(|person| person.purposes().cover(Purposes::PROFILE));
        let event = |identifier: &Identifier| [&b"confirmed "[..], identifier.kind.name().as_bytes(), identifier.key.bytes()].concat();
        Ok(person.map(|person| (person.purposes(), EventKey(person.mark(&event(identifier))))))
    }

    /// An event of this person's that says the same as another one, and came behind a third. Nothing: their key is gone.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn event_behind(
        &self,
        person: &PersonHandle,
        event: &EventKey,
        behind: &EventKey,
        now: Timestamp,
    ) -> Result<Option<EventKey>, StoreError> {
        let of = [&b"said again "[..], event.bytes(), behind.bytes()].concat();
        Ok(self.persons.of_handle(person.bytes(), now)?.map(|person| EventKey(person.mark(&of))))
    }

    /// Whether what rests of this person is not to be used.
    #[must_use]
    pub fn is_restricted(&self, person: &PersonHandle) -> bool {
        self.persons.is_restricted(person.bytes())
    }

    /// Those of them who do not agree to a profile any more. Blocks.
    ///
    /// # Errors
    /// When `keys.db` cannot be used.
    pub fn gone(&self, persons: &[PersonHandle], now: Timestamp) -> Result<Vec<PersonHandle>, StoreError> {
        let handles: Vec<[u8; 16]> = persons.iter().map(|person| person.0).collect();
        Ok(self.persons.without(Purposes::PROFILE, &handles, now)?.into_iter().map(PersonHandle).collect())
    }

    /// Reads again whose data are not to be used, which another process may have changed a moment ago. Blocks.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn look_who_is_held(&self) -> Result<(), StoreError> {
        self.persons.look_who_is_held()
    }

    /// Who may have ceased to agree to a profile since so many had (nothing: it could be anybody), and how many have by now.
    #[must_use]
    pub fn ended_since(&self, before: u64) -> (u64, Option<Vec<PersonHandle>>) {
        let (count, endings) = self.persons.ended_since(before);
        let those = match endings {
            Endings::Those(handles) => Some(handles.into_iter().map(PersonHandle).collect()),
            Endings::Anybody => None,
        };
        (count, those)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_and_read_as_the_same() {
        let id = AccountId(std::array::from_fn(|place| u8::try_from(place * 17).unwrap()));
        assert_eq!(AccountId::parse(&id.to_string()), Some(id));
        assert_eq!(serde_json::from_str::<AccountId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        for wrong in
            ["", "00", "zz112233445566778899aabbccddeeff", "+0112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff00"]
        {
            assert_eq!(AccountId::parse(wrong), None, "{wrong}");
        }
    }
}
