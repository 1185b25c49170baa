//! `disclose`: what one destination may see of one clean event. Built from nothing, field by field, from an allow-list; never by
//! deleting from a copy. The least of four decides: the ceiling at capture, the policy now, the consent at capture, the consent now.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use super::{
    clean::{CampaignField, CleanBody, CleanEvent, Granted, Item, OpenError, Opened, Page, Property},
    enrich::{ScreenClass, bot::Bot, device::DeviceClass, language::Language, place::Country},
    entitlement::{Withheld, entitlement, is_kept_from},
    identity::Assurance,
    keys::{
        epoch::EpochKeys,
        persistent::{DestinationKey, PersistentKeys},
        person::PersonKeys,
    },
    policy::{Field, Treatment, Treatments},
    purge_set::PurgeSet,
    record::{Audience, Header, Subject},
    scrub::words,
    transform::Breadth,
};
use crate::{
    clock::Timestamp,
    documents::{Destination, Documents, Site, site::PropertyKind},
    event::{Epoch, Offset, PolicyVersion, Purposes, SiteNumber},
    event_log::LogRecord,
    state::StoreError,
};

/// Below consent, times that leave are rounded to this, whatever rests.
const TIME_STEP: Duration = Duration::from_secs(5 * 60);

/// What one destination may see of one event. Serialises to the fields that leave, and to nothing else.
#[derive(Serialize)]
pub struct Disclosure {
    #[serde(skip)]
    offset: Offset,
    #[serde(skip)]
    lane: u64,
    #[serde(skip)]
    received: Timestamp,
    #[serde(skip)]
    grounds: Grounds,
    event_id: String,
    name: String,
    time: String,
    site: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<Page>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    campaign: BTreeMap<CampaignField, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer_host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coupon: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<Item>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    properties: BTreeMap<String, Property>,
    visitor_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_assurance: Option<Assurance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    device: DeviceClass,
    country: Country,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    #[serde(skip_serializing_if = "Option::is_none")]
    screen: Option<ScreenClass>,
    #[serde(skip_serializing_if = "Bot::is_nothing")]
    bot: Bot,
    consent: Consent,
    policy_version: PolicyVersion,
}

/// What must still be so when it is sent.
struct Grounds {
    site: SiteNumber,
    epoch: Epoch,
    subject: Subject,
    /// What the person agrees to, where there is one.
    consent: Purposes,
    /// Of the documents that it was made under.
    revision: i64,
}

/// Whether a disclosure that was made a while ago may still leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has changed.
    Stands,
    /// The documents have changed, or the person's key is not at hand: it must be made again.
    Again,
    /// The person objected.
    Purged,
}

#[derive(Serialize)]
struct Consent {
    state: &'static str,
    purposes: Purposes,
}

impl Disclosure {
    /// Which record it is of.
    #[must_use]
    pub const fn offset(&self) -> Offset {
        self.offset
    }

    /// A number that is equal for events of one subject and says nothing else: which lane keeps their order.
    #[must_use]
    pub const fn lane(&self) -> u64 {
        self.lane
    }

    /// When the event came in (for expiry; what leaves is a rounded time).
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// The policy version that it was made under.
    #[must_use]
    pub const fn policy(&self) -> PolicyVersion {
        self.policy_version
    }

    /// The event id that leaves.
    #[must_use]
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// The time that leaves, RFC 3339.
    #[must_use]
    pub fn time(&self) -> &str {
        &self.time
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The page, where there is one.
    #[must_use]
    pub const fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// The campaign that led to the page.
    #[must_use]
    pub const fn campaign(&self) -> &BTreeMap<CampaignField, String> {
        &self.campaign
    }

    /// The referring site's host.
    #[must_use]
    pub fn referrer_host(&self) -> Option<&str> {
        self.referrer_host.as_deref()
    }

    /// Amount of money, in [`Self::currency`].
    #[must_use]
    pub const fn value(&self) -> Option<f64> {
        self.value
    }

    /// ISO 4217 code.
    #[must_use]
    pub fn currency(&self) -> Option<&str> {
        self.currency.as_deref()
    }

    /// The order's id, under this destination's key.
    #[must_use]
    pub fn transaction_id(&self) -> Option<&str> {
        self.transaction_id.as_deref()
    }

    /// Tax within the value.
    #[must_use]
    pub const fn tax(&self) -> Option<f64> {
        self.tax
    }

    /// Shipping within the value.
    #[must_use]
    pub const fn shipping(&self) -> Option<f64> {
        self.shipping
    }

    /// A coupon of the whole order.
    #[must_use]
    pub fn coupon(&self) -> Option<&str> {
        self.coupon.as_deref()
    }

    /// The products that the event is about.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The site's own properties.
    #[must_use]
    pub const fn properties(&self) -> &BTreeMap<String, Property> {
        &self.properties
    }

    /// The visitor's id for this destination: 64 bits, as 16 hexadecimal digits.
    #[must_use]
    pub fn visitor_id(&self) -> &str {
        &self.visitor_id
    }

    /// Who the page says is visiting: the site's own id, or one under this destination's key, as its policy says; and how far that is to
    /// be believed.
    #[must_use]
    pub fn user(&self) -> Option<(&str, Assurance)> {
        self.user_id.as_deref().zip(self.user_assurance)
    }

    /// The session's id for this destination: 64 bits, as 16 hexadecimal digits.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// What is known of the device.
    #[must_use]
    pub const fn device(&self) -> &DeviceClass {
        &self.device
    }

    /// The country.
    #[must_use]
    pub const fn country(&self) -> Country {
        self.country
    }

    /// The language.
    #[must_use]
    pub const fn language(&self) -> Option<Language> {
        self.language
    }

    /// The width class of the screen.
    #[must_use]
    pub const fn screen(&self) -> Option<ScreenClass> {
        self.screen
    }

    /// How much it looks like a program's.
    #[must_use]
    pub const fn bot(&self) -> Bot {
        self.bot
    }

    /// What the person had consented to.
    #[must_use]
    pub const fn purposes(&self) -> Purposes {
        self.consent.purposes
    }

    /// A disclosure made of its parts, for tests of what comes after.
    #[cfg(test)]
    pub(crate) fn for_test(offset: Offset, lane: u64, received: Timestamp) -> Self {
        Self {
            offset,
            lane,
            received,
            grounds: Grounds { site: SiteNumber(1), epoch: Epoch(0), subject: Subject::None, consent: Purposes::NONE, revision: 0 },
            event_id: format!("00000000-0000-8000-8000-{:012x}", offset.0),
            name: "page_view".to_owned(),
            time: received.rounded(TIME_STEP).rfc3339(),
            site: "shop".to_owned(),
            page: None,
            campaign: BTreeMap::new(),
            referrer_host: None,
            value: None,
            currency: None,
            transaction_id: None,
            tax: None,
            shipping: None,
            coupon: None,
            items: Vec::new(),
            properties: BTreeMap::new(),
            visitor_id: format!("{lane:016x}"),
            user_id: None,
            user_assurance: None,
            session_id: None,
            device: DeviceClass::UNKNOWN,
            country: Country::UNKNOWN,
            language: None,
            screen: None,
            bot: Bot::NO_SIGN,
            consent: Consent { state: "unknown", purposes: Purposes::NONE },
            policy_version: PolicyVersion(1),
        }
    }

    /// The same with these fields, in the form in which a disclosure serialises, instead of its own.
    #[cfg(test)]
    pub(crate) fn saying(mut self, fields: &serde_json::Value) -> Self {
        fn put<T: serde::de::DeserializeOwned>(place: &mut T, said: &serde_json::Value) {
            *place = serde_json::from_value(said.clone()).expect("a field of a disclosure");
        }
        for (name, said) in fields.as_object().expect("fields of a disclosure") {
            match name.as_str() {
                "name" => put(&mut self.name, said),
                "time" => put(&mut self.time, said),
                "page" => put(&mut self.page, said),
                "campaign" => put(&mut self.campaign, said),
                "referrer_host" => put(&mut self.referrer_host, said),
                "value" => put(&mut self.value, said),
                "currency" => put(&mut self.currency, said),
                "transaction_id" => put(&mut self.transaction_id, said),
                "tax" => put(&mut self.tax, said),
                "shipping" => put(&mut self.shipping, said),
                "coupon" => put(&mut self.coupon, said),
                "items" => put(&mut self.items, said),
                "properties" => put(&mut self.properties, said),
                "visitor_id" => put(&mut self.visitor_id, said),
                "user_id" => put(&mut self.user_id, said),
                "user_assurance" => put(&mut self.user_assurance, said),
                "session_id" => put(&mut self.session_id, said),
                "device" => put(&mut self.device, said),
                "country" => put(&mut self.country, said),
                "language" => put(&mut self.language, said),
                "screen" => put(&mut self.screen, said),
                "bot" => put(&mut self.bot, said),
                "purposes" => put(&mut self.consent.purposes, said),
                other => panic!("a test may not set {other}"),
            }
        }
        self
    }
}

/// What became of one record for one destination.
pub enum Disclosed {
    /// It may see this.
    Disclosure(Box<Disclosure>),
    /// The record is of a site that this destination does not serve: no ledger entry.
    NotAddressed,
    /// It may not have it.
    Withheld(Withheld),
    /// The person withdrew or was erased; nothing can be read any more.
    Purged,
}

/// Makes disclosures: it holds the keys that their ids are made with.
pub struct Discloser {
    persistent: Arc<PersistentKeys>,
    epochs: Arc<EpochKeys>,
    persons: Arc<PersonKeys>,
    purge_set: Arc<PurgeSet>,
    lanes: RandomState,
}

impl Discloser {
    /// Puts the parts together.
    #[must_use]
    pub fn new(persistent: Arc<PersistentKeys>, epochs: Arc<EpochKeys>, persons: Arc<PersonKeys>, purge_set: Arc<PurgeSet>) -> Self {
        Self { persistent, epochs, persons, purge_set, lanes: RandomState::new() }
    }

    /// What the destination may see of the record. Blocks where a key is not in RAM.
    ///
    /// # Errors
    /// `Corrupt`: the record is none of ours and never will be. `Store`: a database cannot be used now; the record may be fine.
    pub fn disclose(
        &self,
        record: &LogRecord,
        documents: &Documents,
        destination: &Destination,
        now: Timestamp,
    ) -> Result<Disclosed, OpenError> {
        self.disclose_under(record, documents, destination, now, |header, _| Some(header.ceiling))
    }

    /// What the destination would see of the record's event if it came in now, under these documents: for comparing documents, never for
    /// sending, since its own ceiling is left out of account. What does not rest is not seen all the same.
    pub(in crate::privacy) fn disclose_as_if_new(
        &self,
        record: &LogRecord,
        documents: &Documents,
        destination: &Destination,
        now: Timestamp,
    ) -> Result<Disclosed, OpenError> {
        self.disclose_under(record, documents, destination, now, |header, site| {
            let ceiling = match header.purposes {
                Purposes::NONE => site.ceilings.unknown,
                granted => site.ceilings.of_granted(granted, header.audience == Audience::ConsentBasisOnly),
            };
            ceiling.map(|ceiling| ceiling.breadth)
        })
    }

    fn disclose_under(
        &self,
        record: &LogRecord,
        documents: &Documents,
        destination: &Destination,
        now: Timestamp,
        ceiling: impl FnOnce(&Header, &Site) -> Option<Breadth>,
    ) -> Result<Disclosed, OpenError> {
        let mut header = super::record::header_of(&record.bytes)?;
        if !destination.sites.contains(&header.site) {
            return Ok(Disclosed::NotAddressed);
        }
        if let Subject::Token(token) = header.subject
            && self.purge_set.holds(header.site, header.epoch, &token)
        {
            return Ok(Disclosed::Purged);
        }
        let mut consent_now = Purposes::NONE;
        if let Subject::Person(handle) = header.subject {
            let Some(person) = self.persons.of_handle(&handle, now)? else { return Ok(Disclosed::Purged) };
            consent_now = person.purposes();
            header.purposes = header.purposes.both(consent_now);
        }
        let Some(site) = documents.site(header.site) else { return Ok(Disclosed::Withheld(Withheld::Policy)) };
        match ceiling(&header, site) {
            Some(ceiling) => header.ceiling = ceiling,
            None => return Ok(Disclosed::Withheld(Withheld::Policy)),
        }
        let breadth = match entitlement(&header, destination, site.allowed(destination.number)) {
            Ok(breadth) => breadth,
            Err(rule) => return Ok(Disclosed::Withheld(rule)),
        };
        match CleanEvent::open(&record.bytes, &self.persons, now)? {
            Opened::Purged => Ok(Disclosed::Purged),
            Opened::Event(event) if is_kept_from(destination, &event) => Ok(Disclosed::Withheld(Withheld::Bot)),
            Opened::Event(event) => {
                let mut disclosure = self.build(record.offset, &event, breadth, site, destination)?;
                disclosure.grounds.revision = documents.revision;
                disclosure.grounds.consent = consent_now;
                disclosure.consent.purposes = header.purposes;
                Ok(Disclosed::Disclosure(Box::new(disclosure)))
            }
        }
    }

    /// Whether a disclosure may still leave: asked again at every attempt, so that a withdrawal, an objection or a tightened policy acts on
    /// what is already on its way. Looks into RAM only.
    #[must_use]
    pub fn standing(&self, disclosure: &Disclosure, documents: &Documents, now: Timestamp) -> Standing {
        let Grounds { site, epoch, subject, consent, revision } = &disclosure.grounds;
        match subject {
            Subject::Token(token) if self.purge_set.holds(*site, *epoch, token) => Standing::Purged,
            Subject::Person(handle) if self.persons.consent_at_hand(handle, now) != Some(*consent) => Standing::Again,
            _ if *revision != documents.revision => Standing::Again,
            _ => Standing::Stands,
        }
    }

    /// The allow-list, one line per field.
    pub(in crate::privacy) fn build(
        &self,
        offset: Offset,
        event: &CleanEvent,
        breadth: Breadth,
        site: &Site,
        destination: &Destination,
    ) -> Result<Disclosure, StoreError> {
        let (header, body) = (event.header(), event.body());
        let key = self.persistent.destination(destination.number)?;
        let granted = body.granted.as_deref().filter(|_| breadth.needs_consent());
        let policy = site.allowed(destination.number).treatments(breadth, granted.is_some());
        let of_granted = |field| granted.filter(|_| policy.lets(field));
        let money = |field, amount: fn(&Granted) -> Option<f64>| {
            of_granted(field).and_then(amount).map(|said| if policy.get(field) == Treatment::Keep { said } else { words::two_digits(said) })
        };
        let ids = match granted {
            Some(granted) => ids_with_consent(&key, header, body, granted, &policy),
            None => self.ids_without_consent(event, breadth, &policy, destination)?,
        };
        let exact = granted.is_some() && policy.get(Field::Time) == Treatment::Keep;
        let name = if policy.get(Field::Name) == Treatment::Keep { body.name.as_str() } else { words::CUSTOM_EVENT };
        Ok(Disclosure {
            offset,
            lane: self.lanes.hash_one(subject_id(header.subject)),
            received: header.received,
            grounds: Grounds { site: header.site, epoch: header.epoch, subject: header.subject, consent: Purposes::NONE, revision: 0 },
            event_id: key.event_id(header.event_id),
            name: words::event_name(name, &site.policy).to_owned(),
            time: if exact { body.time } else { body.time.rounded(TIME_STEP) }.rfc3339(),
            site: site.name.clone(),
            page: body.page.clone().filter(|_| policy.lets(Field::Page)),
            campaign: of_granted(Field::Campaign).map(|granted| granted.campaign.iter().cloned().collect()).unwrap_or_default(),
            referrer_host: of_granted(Field::Referrer).and_then(|granted| granted.referrer_host.clone()),
            value: money(Field::Value, |granted| granted.value),
            currency: of_granted(Field::Currency).and_then(|granted| granted.currency.clone()),
            transaction_id: of_granted(Field::OrderId)
                .and_then(|granted| granted.transaction.as_deref())
                .map(|id| if policy.get(Field::OrderId) == Treatment::Keep { id.to_owned() } else { key.transaction_id(id) }),
            tax: money(Field::Tax, |granted| granted.tax),
            shipping: money(Field::Shipping, |granted| granted.shipping),
            coupon: of_granted(Field::Coupon).and_then(|granted| granted.coupon.clone()),
            items: of_granted(Field::Items).map(|granted| granted.items.clone()).unwrap_or_default(),
            properties: if policy.lets(Field::Properties) { properties(&body.properties, site) } else { BTreeMap::new() },
            visitor_id: format!("{:016x}", ids.visitor),
            user_id: of_granted(Field::UserId)
                .and_then(|granted| granted.user_id.as_deref())
                .map(|id| if policy.get(Field::UserId) == Treatment::Keep { id.to_owned() } else { key.user_id(id) }),
            user_assurance: of_granted(Field::UserId).and_then(|granted| granted.user_assurance),
            session_id: ids.session.map(|session| format!("{session:016x}")),
            device: if policy.lets(Field::Device) { body.device } else { DeviceClass::UNKNOWN },
            country: if policy.lets(Field::Place) { body.country } else { Country::UNKNOWN },
            language: body.language.filter(|_| policy.lets(Field::Language)),
            screen: body.screen.filter(|_| policy.lets(Field::Screen)),
            bot: body.bot.under(policy.get(Field::Bot)),
            consent: Consent { state: if header.purposes.is_empty() { "unknown" } else { "granted" }, purposes: header.purposes },
            policy_version: site.policy.version,
        })
    }

    fn ids_without_consent(
        &self,
        event: &CleanEvent,
        breadth: Breadth,
        policy: &Treatments,
        destination: &Destination,
    ) -> Result<Ids, StoreError> {
        let header = event.header();
        // Visitors are counted from B2 on; until then every site is taken for a small one, whose ids are per event.
        let key = self.epochs.of(header.site, destination.number, header.epoch, 0)?;
        // A consent-basis transform without what consent would have added is the least there is.
        let visits = breadth.has_visits() && !breadth.needs_consent() && policy.lets(Field::Visitor);
        let ids = if visits {
            key.measurement_ids(header.subject, event.body().session.as_ref().filter(|_| policy.lets(Field::Session)))
        } else {
            key.strict_ids(header.event_id, header.subject)
        };
        Ok(Ids { visitor: ids.visitor, session: ids.session })
    }
}

/// Without a visitor's id there is none of their session either: it would join what the other keeps apart.
fn ids_with_consent(key: &DestinationKey, header: &Header, body: &CleanBody, granted: &Granted, policy: &Treatments) -> Ids {
    if !policy.lets(Field::Visitor) {
        return Ids { visitor: key.visitor_id(&header.event_id.0), session: None };
    }
    let session = body.session.as_ref().filter(|_| policy.lets(Field::Session));
    Ids { visitor: key.visitor_id(&granted.cookie_id), session: session.map(|session| key.session_id(session)) }
}

struct Ids {
    visitor: u64,
    session: Option<u64>,
}

fn subject_id(subject: Subject) -> [u8; 16] {
    match subject {
        Subject::None => [0; 16],
        Subject::Token(id) | Subject::Person(id) => id,
    }
}

/// The policy now, not the one at capture: a property taken off the list since then no longer leaves.
fn properties(resting: &[(String, Property)], site: &Site) -> BTreeMap<String, Property> {
    resting
        .iter()
        .filter(|(name, value)| {
            site.policy.properties.get(name).is_some_and(|kind| {
                matches!(
                    (kind, value),
                    (PropertyKind::Flag, Property::Flag(_))
                        | (PropertyKind::Number, Property::Number(_))
                        | (PropertyKind::Word, Property::Word(_))
                )
            })
        })
        .cloned()
        .collect()
}
