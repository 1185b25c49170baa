//! `disclose`: what one destination may see of one clean event. Built from nothing, field by field, from an allow-list; never by
//! deleting from a copy. The least of four decides: the ceiling at capture, the policy now, the consent at capture, the consent now.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

pub use super::disclosure::Disclosure;
use smol_str::SmolStr;

use super::{
    clean::{CleanBody, CleanEvent, Granted, OpenError, Opened, Property},
    consent::vendor_decisions::vendor_is_allowed,
    crowd::{Crowds, Hold, Period, PeriodCount, referrer::ReferrerClass},
    departure::Dropped,
    disclosure::{Consent, Grounds},
    enrich::{device::DeviceClass, place::Country},
    entitlement::{Withheld, entitlement, is_kept_from},
    envelope::{Envelope, Envelopes},
    keys::{
        epoch::EpochKeys,
        persistent::{DestinationKey, PersistentKeys},
        person::PersonKeys,
    },
    policy::{Allowed, Field, Treatments},
    purge_set::PurgeSet,
    record::{Audience, Header, Subject},
    rules::{Rule, holds},
    scrub::{
        clicks::{ClickId, Issuers},
        words,
    },
    transform::Breadth,
    twin::{Twin, twin},
};
use crate::{
    clock::Timestamp,
    documents::{Destination, Documents, Site, site::PropertyKind},
    event::{DestinationNumber, Offset, Purposes},
    event_log::{EventLog, LogRecord},
    state::StoreError,
};

/// Below consent, times that leave are rounded to this, whatever rests.
pub(super) const TIME_STEP: Duration = Duration::from_secs(5 * 60);

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

/// What became of one record for one destination.
pub enum Disclosed {
    /// It may see this.
    Disclosure(Box<Disclosure>),
    /// The record is of a site that this destination does not serve: no ledger entry.
    NotAddressed,
    /// It may see this; but it is a page's purchase, and until then the site's backend may tell of the same order.
    Awaiting(Box<Disclosure>, Timestamp),
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
    crowds: Arc<Crowds>,
    lanes: RandomState,
    /// Where a purchase's twin is looked for.
    log: Option<Arc<EventLog>>,
    /// Where events' envelopes are.
    envelopes: Option<Arc<Envelopes>>,
}

impl Discloser {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        persistent: Arc<PersistentKeys>,
        epochs: Arc<EpochKeys>,
        persons: Arc<PersonKeys>,
        purge_set: Arc<PurgeSet>,
        crowds: Arc<Crowds>,
    ) -> Self {
        Self { persistent, epochs, persons, purge_set, crowds, lanes: RandomState::new(), log: None, envelopes: None }
    }

    /// The same, for what is sent: a purchase's twin is looked for in this log.
    #[must_use]
    pub fn beside(self, log: Arc<EventLog>) -> Self {
        Self { log: Some(log), ..self }
    }

    /// The same, for what is sent: events' envelopes are here. Without them, what is in one is left out, and no event is taken for having lost it.
    #[must_use]
    pub fn with_envelopes(self, envelopes: Arc<Envelopes>) -> Self {
        Self { envelopes: Some(envelopes), ..self }
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
        let disclosed = self.disclose_under(record, documents, destination, now, |header, _| Some(header.ceiling))?;
        if let Disclosed::Disclosure(disclosure) = &disclosed
            && let Some(suppressed) = disclosure.suppressed
        {
            let Grounds { site, epoch, subject, .. } = disclosure.grounds;
            self.crowds.note_released((site, destination.number), epoch, subject, disclosure.tuple(), suppressed);
        }
        Ok(disclosed)
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
            if header.ceiling.is_nothing() {
                // A recleanse has left nothing of it but its header.
                return None;
            }
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
        let Entitled { event, breadth, site, purposes, consent_now } = match self.entitled(record, documents, destination, now, ceiling)? {
            Ok(entitled) => *entitled,
            Err(ended) => return Ok(ended),
        };
        let until = match self.twin(&event, site, destination, now)? {
            Twin::There => return Ok(Disclosed::Withheld(Withheld::Twin)),
            Twin::Left => return Ok(Disclosed::Withheld(Withheld::LeftToBackend)),
            Twin::Awaited(until) => Some(until),
            Twin::None => None,
        };
        let mut disclosure = self.build(record.offset, &event, breadth, site, destination)?;
        match self.envelope(&event, site.allowed(destination.number), breadth, now)? {
            Enclosed::Nothing => {}
            Enclosed::Envelope(envelope) => disclosure.envelope = Some(Box::new(envelope)),
            Enclosed::Lost => return Ok(Disclosed::Withheld(Withheld::EnvelopeLost)),
        }
        disclosure.grounds.revision = documents.revision;
        disclosure.grounds.consent = consent_now;
        disclosure.consent.purposes = purposes;
        Ok(match until {
            Some(until) => Disclosed::Awaiting(Box::new(disclosure), until),
            None => Disclosed::Disclosure(Box::new(disclosure)),
        })
    }

    /// What a destination may see of the event's envelope.
    fn envelope(&self, event: &CleanEvent, allowed: &Allowed, breadth: Breadth, now: Timestamp) -> Result<Enclosed, StoreError> {
        let (Some(envelopes), Some(true)) = (&self.envelopes, event.body().granted.as_deref().map(|granted| granted.enveloped)) else {
            return Ok(Enclosed::Nothing);
        };
        let policy = allowed.treatments(breadth, breadth.needs_consent());
        let Subject::Person(handle) = event.header().subject else { return Ok(Enclosed::Nothing) };
        if !Field::OF_THE_ENVELOPE.into_iter().any(|field| policy.keeps(field)) {
            return Ok(Enclosed::Nothing);
        }
        let Some(person) = self.persons.of_handle(&handle, now)? else { return Ok(Enclosed::Lost) };
        let opened = envelopes.open(event.header(), &person, allowed.dialect, &policy);
        Ok(opened.map_or(Enclosed::Lost, Enclosed::Envelope))
    }

    /// What becomes of it beside its twin. Where nothing is sent, nothing waits.
    fn twin(&self, event: &CleanEvent, site: &Site, destination: &Destination, now: Timestamp) -> Result<Twin, StoreError> {
        if site.twin_wait.is_none() {
            return Ok(Twin::None);
        }
        let key = self.persistent.site(site.number)?;
        let is_known = |id| self.log.as_ref().is_some_and(|log| log.knows(id));
        Ok(match twin(event, site, destination, &key, now, is_known) {
            Twin::Awaited(_) if self.log.is_none() => Twin::None,
            twin => twin,
        })
    }

    /// Counts the record for the decision about its period, if the destination may have its event. Blocks.
    ///
    /// # Errors
    /// As [`Self::disclose`].
    pub fn count_held(
        &self,
        record: &LogRecord,
        documents: &Documents,
        destination: &Destination,
        now: Timestamp,
        counted: &mut PeriodCount,
    ) -> Result<(), OpenError> {
        let entitled = self.entitled(record, documents, destination, now, |header, _| Some(header.ceiling))?;
        if let Ok(Entitled { event, breadth, site, .. }) = entitled.as_deref() {
            let consented = event.body().granted.is_some() && breadth.needs_consent();
            let policy = site.allowed(destination.number).treatments(*breadth, consented);
            counted.add(event, site, consented, &policy);
        }
        Ok(())
    }

    /// What crowds there are.
    #[must_use]
    pub fn crowds(&self) -> &Crowds {
        &self.crowds
    }

    /// The key that a destination's ids are made with.
    pub(super) fn destination_key(&self, destination: DestinationNumber) -> Result<Arc<DestinationKey>, StoreError> {
        self.persistent.destination(destination)
    }

    /// The record's event and how much of it the destination may see; or what becomes of it instead.
    pub(super) fn entitled<'d>(
        &self,
        record: &LogRecord,
        documents: &'d Documents,
        destination: &Destination,
        now: Timestamp,
        ceiling: impl FnOnce(&Header, &Site) -> Option<Breadth>,
    ) -> Result<Result<Box<Entitled<'d>>, Disclosed>, OpenError> {
        let mut header = super::record::header_of(&record.bytes)?;
        if !destination.sites.contains(&header.site) {
            return Ok(Err(Disclosed::NotAddressed));
        }
        if let Subject::Token(token) = header.subject
            && self.purge_set.holds(header.site, header.epoch, &token)
        {
            return Ok(Err(Disclosed::Purged));
        }
        let mut consent_now = Purposes::NONE;
        if let Subject::Person(handle) = header.subject {
            let Some(person) = self.persons.of_handle(&handle, now)? else { return Ok(Err(Disclosed::Purged)) };
            if self.persons.is_restricted(&handle) {
                return Ok(Err(Disclosed::Withheld(Withheld::Restricted)));
            }
            consent_now = person.purposes();
            let now = if holds(Rule::ConsentNow) { consent_now } else { header.purposes };
            let at_capture = if holds(Rule::ConsentAtCapture) { header.purposes } else { consent_now };
            header.purposes = now.both(at_capture);
        }
        let Some(site) = documents.site(header.site) else { return Ok(Err(Disclosed::Withheld(Withheld::Policy))) };
        match ceiling(&header, site) {
            Some(ceiling) => header.ceiling = ceiling,
            None => return Ok(Err(Disclosed::Withheld(Withheld::Policy))),
        }
        let breadth = match entitlement(&header, destination, site.allowed(destination.number)) {
            Ok(breadth) => breadth,
            Err(rule) => return Ok(Err(Disclosed::Withheld(rule))),
        };
        match CleanEvent::open(&record.bytes, &self.persons, now)? {
            Opened::Purged => Ok(Err(Disclosed::Purged)),
            Opened::Event(event) if !vendor_is_allowed(event.body().vendors.as_ref(), destination) => {
                Ok(Err(Disclosed::Withheld(Withheld::Vendor)))
            }
            Opened::Event(event) if is_kept_from(destination, &event) => Ok(Err(Disclosed::Withheld(Withheld::Bot))),
            Opened::Event(event) => Ok(Ok(Box::new(Entitled { event, breadth, site, purposes: header.purposes, consent_now }))),
        }
    }

    /// Whether nobody may read the record any more: its person's key is gone, or its token is in the purge set. Blocks where a key is not in
    /// RAM.
    ///
    /// # Errors
    /// `Corrupt`: the record is none of ours. `Store`: a database cannot be used now.
    pub fn is_purged(&self, record: &LogRecord, now: Timestamp) -> Result<bool, OpenError> {
        let header = super::record::header_of(&record.bytes)?;
        Ok(match header.subject {
            Subject::None => false,
            Subject::Token(token) => self.purge_set.holds(header.site, header.epoch, &token),
            Subject::Person(handle) => self.persons.of_handle(&handle, now)?.is_none(),
        })
    }

    /// Grows whenever somebody withdraws or objects, or their key's time ends: records that could be read before may be purged since.
    #[must_use]
    pub fn endings(&self) -> u64 {
        self.persons.destroyed() + self.purge_set.added()
    }

    /// Whether a disclosure may still leave: asked again at every attempt, so that a withdrawal, an objection or a tightened policy acts on
    /// what is already on its way. Looks into RAM only.
    #[must_use]
    pub fn standing(&self, disclosure: &Disclosure, documents: &Documents, now: Timestamp) -> Standing {
        let Grounds { site, epoch, subject, consent, revision } = &disclosure.grounds;
        match subject {
            Subject::Token(token) if self.purge_set.holds(*site, *epoch, token) => Standing::Purged,
            Subject::Person(handle) if self.persons.consent_at_hand(handle, now) != Some(*consent) && holds(Rule::ConsentOnTheWay) => {
                Standing::Again
            }
            _ if *revision != documents.revision && holds(Rule::DocumentsOnTheWay) => Standing::Again,
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
        let allowed = site.allowed(destination.number);
        let (policy, clicks) = (allowed.treatments(breadth, granted.is_some()), allowed.clicks);
        let of_granted = |field| granted.filter(|_| policy.lets(field));
        let money = |field, amount: fn(&Granted) -> Option<f64>| {
            of_granted(field).and_then(amount).map(|said| if policy.keeps(field) { said } else { words::two_digits(said) })
        };
        let ids = match granted {
            Some(granted) => ids_with_consent(&key, header, body, granted, &policy),
            None => self.ids_without_consent(event, breadth, &policy, destination)?,
        };
        let exact = granted.is_some() && policy.keeps(Field::Time);
        let held =
            Period::of(destination.release, header.epoch, header.received).map(|period| Hold { destination: destination.number, period });
        let shown = self.crowds.shown(site, (header.epoch, held), body, granted.is_some(), &policy)?;
        let name = if policy.keeps(Field::Name) { body.name.as_str() } else { words::CUSTOM_EVENT };
        Ok(Disclosure {
            offset,
            lane: self.lanes.hash_one(subject_id(header.subject)),
            received: header.received,
            grounds: Grounds { site: header.site, epoch: header.epoch, subject: header.subject, consent: Purposes::NONE, revision: 0 },
            suppressed: shown.suppressed,
            dropped: Dropped::of(event, &policy),
            envelope: None,
            event_id: key.event_id(header.event_id),
            name: words::event_name(name, &site.policy).to_owned(),
            time: if exact { body.time } else { body.time.rounded(TIME_STEP) }.rfc3339(),
            site: site.name.clone(),
            page: shown.page.filter(|_| policy.lets(Field::Page)),
            campaign: of_granted(Field::Campaign).map(|granted| granted.campaign.iter().cloned().collect()).unwrap_or_default(),
            click_ids: of_granted(Field::ClickIds).map(|granted| own_clicks(granted, clicks)).unwrap_or_default(),
            referrer_kind: of_granted(Field::Referrer).map_or(ReferrerClass::None, |_| shown.tuple.referrer),
            referrer_host: of_granted(Field::Referrer).filter(|_| shown.names_referrer).and_then(|granted| granted.referrer_host.clone()),
            referrer_page: shown.referrer_page,
            value: money(Field::Value, |granted| granted.value),
            currency: of_granted(Field::Currency).and_then(|granted| granted.currency.clone()),
            transaction_id: of_granted(Field::OrderId)
                .and_then(|granted| granted.transaction.as_deref())
                .map(|id| if policy.keeps(Field::OrderId) { id.to_owned() } else { key.transaction_id(id) }),
            tax: money(Field::Tax, |granted| granted.tax),
            shipping: money(Field::Shipping, |granted| granted.shipping),
            coupon: of_granted(Field::Coupon).and_then(|granted| granted.coupon.clone()),
            items: of_granted(Field::Items).map(|granted| granted.items.clone()).unwrap_or_default(),
            properties: if policy.lets(Field::Properties) { properties(&body.properties, site) } else { BTreeMap::new() },
            visitor_id: format!("{:016x}", ids.visitor),
            user_id: of_granted(Field::UserId)
                .and_then(|granted| granted.user_id.as_deref())
                .map(|id| if policy.keeps(Field::UserId) { id.to_owned() } else { key.user_id(id) }),
            user_assurance: of_granted(Field::UserId).and_then(|granted| granted.user_assurance),
            session_id: ids.session.map(|session| format!("{session:016x}")),
            device: if policy.lets(Field::Device) { shown.tuple.device } else { DeviceClass::UNKNOWN },
            country: if policy.lets(Field::Place) { shown.tuple.country } else { Country::UNKNOWN },
            language: shown.tuple.language.filter(|_| policy.lets(Field::Language)),
            screen: shown.tuple.screen.filter(|_| policy.lets(Field::Screen)),
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
        let key = self.epochs.of(header.site, destination.number, header.epoch)?;
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

/// The click ids that these issued.
fn own_clicks(granted: &Granted, issuers: Issuers) -> BTreeMap<String, String> {
    let own = |click: &&ClickId| click.issuer().is_some_and(|issuer| issuers.have(issuer));
    granted.click_ids.iter().filter(own).map(|click| (click.parameter.clone(), click.id.clone())).collect()
}

/// Without a visitor's id there is none of their session either: it would join what the other keeps apart.
fn ids_with_consent(key: &DestinationKey, header: &Header, body: &CleanBody, granted: &Granted, policy: &Treatments) -> Ids {
    if !policy.lets(Field::Visitor) {
        return Ids { visitor: key.visitor_id(&header.event_id.0), session: None };
    }
    let session = body.session.as_ref().filter(|_| policy.lets(Field::Session));
    Ids { visitor: key.visitor_id(&granted.cookie_id), session: session.map(|session| key.session_id(session)) }
}

/// A record's event that a destination may have.
pub(super) struct Entitled<'d> {
    pub(super) event: CleanEvent,
    pub(super) breadth: Breadth,
    pub(super) site: &'d Site,
    pub(super) purposes: Purposes,
    pub(super) consent_now: Purposes,
}

/// What a destination may see of an event's envelope.
enum Enclosed {
    /// There was none, or nothing in it is for this destination.
    Nothing,
    /// This.
    Envelope(Envelope),
    /// There was one, and it is gone.
    Lost,
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
pub(super) fn properties(resting: &[(SmolStr, Property)], site: &Site) -> BTreeMap<String, Property> {
    resting
        .iter()
        .filter(|(name, value)| {
            let listed = site.policy.properties.get(name.as_str()).is_some_and(|kind| {
                matches!(
                    (kind, value),
                    (PropertyKind::Flag, Property::Flag(_))
                        | (PropertyKind::Number, Property::Number(_))
                        | (PropertyKind::Word, Property::Word(_))
                )
            });
            listed || !holds(Rule::ListedPropertiesNow)
        })
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect()
}
