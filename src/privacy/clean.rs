//! The clean event: what a site's policy lets rest on disk. It is the ceiling; a [`Disclosure`](super::disclose::Disclosure) is what one
//! destination may see of it. It can be written by anyone and made or read back only here.

use std::{io, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{
    consent::vendor_decisions::VendorDecisions,
    crowd::referrer::ReferrerClass,
    enrich::{ScreenClass, bot::Bot, device::DeviceClass, language::Language, place::Country},
    identifiers::Identified,
    identity::Assurance,
    keys::person::{Person, PersonKeys},
    record::{CorruptRecord, HEADER_BYTES, Header, Record, Subject},
    scrub::clicks::ClickId,
    visitor::Visitor,
};
use crate::{clock::Timestamp, event_log::LogBytes, state::StoreError};

/// A clean event: header and body. Serialises to what rests in its body; there is no way to deserialise one outside this module.
#[derive(Serialize)]
#[serde(transparent)]
pub struct CleanEvent {
    #[serde(skip)]
    header: Header,
    body: CleanBody,
}

/// What rests in a record's body, as JSON. Fields that are absent were not said, or may not rest. Names and words are short: as [`SmolStr`] they are
/// in place, and an event without consent is made with two allocations instead of a dozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::privacy) struct CleanBody {
    pub(in crate::privacy) name: SmolStr,
    pub(in crate::privacy) time: Timestamp,
    pub(in crate::privacy) protocol: SmolStr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) page: Option<Page>,
    pub(in crate::privacy) device: DeviceClass,
    pub(in crate::privacy) country: Country,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) language: Option<Language>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) screen: Option<ScreenClass>,
    /// Absent in records of before there were verdicts, too.
    #[serde(default, skip_serializing_if = "Bot::is_nothing")]
    pub(in crate::privacy) bot: Bot,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::privacy) properties: Vec<(SmolStr, Property)>,
    /// What a TC string decided on the vendors of the site's destinations, where the yes came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) vendors: Option<VendorDecisions>,
    /// 8 random bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) session: Option<[u8; 8]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) granted: Option<Box<Granted>>,
}

/// What rests only with consent, in a body that is sealed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::privacy) struct Granted {
    pub(in crate::privacy) cookie_id: [u8; 16],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) client_event_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::privacy) campaign: Vec<(CampaignField, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::privacy) click_ids: Vec<ClickId>,
    /// Where the referring site may be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) referrer_host: Option<String>,
    /// Where it may not, and only its kind rests.
    #[serde(default, skip_serializing_if = "ReferrerClass::is_none")]
    pub(in crate::privacy) referrer_kind: ReferrerClass,
    /// Where it was a page of the site's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) referrer_page: Option<Page>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) currency: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) transaction: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) tax: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) shipping: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) coupon: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::privacy) items: Vec<Item>,
    /// The site's own id of the person, as the page says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) user_id: Option<String>,
    /// How far that is to be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) user_assurance: Option<Assurance>,
    /// What else they are known by, under K_site; only where the site has profiles that are joined by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::privacy) identifiers: Vec<Identified>,
    /// Whether there was a sealed envelope beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::privacy) enveloped: bool,
}

impl Granted {
    /// What kind of site led here.
    pub(in crate::privacy) fn came_from(&self) -> ReferrerClass {
        self.referrer_host.as_deref().map_or(self.referrer_kind, |host| ReferrerClass::of(Some(host)))
    }
}

/// One product of an event: what a shop's catalogue says of it, never what a customer does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// The shop's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Its category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Its size, colour or the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The price of one, in the event's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<f64>,
}

/// Which page: one of the site's own hosts, and a path template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::privacy) host: Option<SmolStr>,
    pub(in crate::privacy) path: String,
}

impl Page {
    /// The site's own host that it is on, where it is on one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The path's template, with its leading slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// An allow-listed property's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Property {
    /// True or false.
    Flag(bool),
    /// A finite number.
    Number(f64),
    /// A word that names nobody.
    Word(SmolStr),
}

/// The campaign parameters that may be kept with consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CampaignField {
    /// `utm_source`.
    Source,
    /// `utm_medium`.
    Medium,
    /// `utm_campaign`.
    Name,
    /// `utm_term`.
    Term,
    /// `utm_content`.
    Content,
    /// `utm_id`.
    Id,
}

impl CampaignField {
    /// The canonical word, as it stands in documents and disclosures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Medium => "medium",
            Self::Name => "name",
            Self::Term => "term",
            Self::Content => "content",
            Self::Id => "id",
        }
    }
}

impl CleanEvent {
    pub(in crate::privacy) const fn new(header: Header, body: CleanBody) -> Self {
        Self { header, body }
    }

    /// What it says of itself without a key.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    pub(in crate::privacy) const fn body(&self) -> &CleanBody {
        &self.body
    }

    /// Notes that there is a sealed envelope beside it.
    pub(in crate::privacy) fn has_envelope(&mut self) {
        if let Some(granted) = &mut self.body.granted {
            granted.enveloped = true;
        }
    }

    /// The bytes that rest. A granted event's body is sealed under its person's key.
    ///
    /// # Errors
    /// When the system has no randomness for the seal, or the visitor is not the one whom the event is of.
    pub fn into_record(self, visitor: &Visitor) -> io::Result<Record> {
        self.into_record_of(visitor.person())
    }

    /// The same for a person whose key is at hand already.
    pub(in crate::privacy) fn into_record_of(self, person: Option<&Person>) -> io::Result<Record> {
        let head = self.header.encode();
        let bytes = match person.filter(|_| self.header.sealed) {
            Some(person) => person.seal(&head, &serde_json::to_vec(&self.body)?)?,
            None if self.header.sealed => return Err(io::Error::other("a granted event without its person's key")),
            None => {
                let mut bytes = Vec::with_capacity(512);
                bytes.extend_from_slice(&head);
                serde_json::to_writer(&mut bytes, &self.body)?;
                bytes
            }
        };
        Ok(Record::new(&self.header, bytes))
    }

    /// Reads a record back. Blocks where the person's key is not in RAM.
    ///
    /// # Errors
    /// The bytes are none of ours, or `keys.db` cannot be used.
    pub(in crate::privacy) fn open(bytes: &LogBytes, persons: &PersonKeys, now: Timestamp) -> Result<Opened, OpenError> {
        Self::open_where(bytes, persons, now, |_| true)
    }

    /// The same, where `wanted` says so of the body before it is read, which is the longest part; else [`Opened::Purged`]. For a look through a
    /// whole log.
    pub(in crate::privacy) fn open_where(
        bytes: &LogBytes,
        persons: &PersonKeys,
        now: Timestamp,
        wanted: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Opened, OpenError> {
        let bytes = bytes.as_slice();
        let header = Header::decode(bytes)?;
        let (head, rest) = bytes.split_at(HEADER_BYTES);
        if header.ceiling.is_nothing() {
            return Ok(Opened::Purged);
        }
        let unsealed;
        let body = if header.sealed {
            let Subject::Person(handle) = header.subject else { return Err(CorruptRecord::Malformed.into()) };
            let Some(person): Option<Arc<Person>> = persons.of_handle(&handle, now)? else { return Ok(Opened::Purged) };
            unsealed = person.open(head, rest)?;
            unsealed.as_slice()
        } else {
            rest
        };
        if !wanted(body) {
            return Ok(Opened::Purged);
        }
        Ok(Opened::Event(Self { body: parse(body)?, header }))
    }
}

fn parse(body: &[u8]) -> Result<CleanBody, CorruptRecord> {
    serde_json::from_slice(body).map_err(|_| CorruptRecord::Malformed)
}

/// A record read back.
#[expect(clippy::large_enum_variant, reason = "it lives for one match; a box would cost more than the move")]
pub(in crate::privacy) enum Opened {
    /// The event.
    Event(CleanEvent),
    /// Its person's key is gone, and with it the event; or it was emptied by [`recleanse`](super::recleanse); or nobody wanted it.
    Purged,
}

/// A record could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is none of ours.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// The keys cannot be reached now; the record may be fine.
    #[error(transparent)]
    Store(#[from] StoreError),
}
