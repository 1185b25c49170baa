//! The disclosure: what one destination may see of one event, and nothing else. Made in `disclose` alone; everyone may read it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    clean::{CampaignField, Item, Page, Property},
    crowd::{Suppressed, referrer::ReferrerClass, tuple::Tuple},
    departure::Dropped,
    enrich::{ScreenClass, bot::Bot, device::DeviceClass, language::Language, place::Country},
    envelope::Envelope,
    identity::Assurance,
    record::Subject,
};
use crate::{
    clock::Timestamp,
    event::{Epoch, Offset, PolicyVersion, Purposes, SiteNumber},
};

/// What one destination may see of one event. Serialises to the fields that leave, and to nothing else.
#[derive(Serialize)]
pub struct Disclosure {
    #[serde(skip)]
    pub(super) offset: Offset,
    #[serde(skip)]
    pub(super) lane: u64,
    #[serde(skip)]
    pub(super) received: Timestamp,
    #[serde(skip)]
    pub(super) grounds: Grounds,
    #[serde(skip)]
    pub(super) suppressed: Option<Suppressed>,
    #[serde(skip)]
    pub(super) dropped: Dropped,
    #[serde(skip)]
    pub(super) envelope: Option<Box<Envelope>>,
    pub(super) event_id: String,
    pub(super) name: String,
    pub(super) time: String,
    pub(super) site: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<Page>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) campaign: BTreeMap<CampaignField, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) click_ids: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "ReferrerClass::is_none")]
    pub(super) referrer_kind: ReferrerClass,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) referrer_host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) referrer_page: Option<Page>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transaction_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tax: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shipping: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) coupon: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) items: Vec<Item>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) properties: BTreeMap<String, Property>,
    pub(super) visitor_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_assurance: Option<Assurance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_id: Option<String>,
    pub(super) device: DeviceClass,
    pub(super) country: Country,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<Language>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) screen: Option<ScreenClass>,
    #[serde(skip_serializing_if = "Bot::is_nothing")]
    pub(super) bot: Bot,
    pub(super) consent: Consent,
    pub(super) policy_version: PolicyVersion,
}

/// What must still be so when it is sent.
pub(super) struct Grounds {
    pub(super) site: SiteNumber,
    pub(super) epoch: Epoch,
    pub(super) subject: Subject,
    /// What the person agrees to, where there is one.
    pub(super) consent: Purposes,
    /// Of the documents that it was made under.
    pub(super) revision: i64,
}

#[derive(Serialize)]
pub(super) struct Consent {
    pub(super) state: &'static str,
    pub(super) purposes: Purposes,
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

    /// The name of the site that it came in on.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
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

    /// Ids of clicks that the destination's own vendor issued, by parameter.
    #[must_use]
    pub const fn click_ids(&self) -> &BTreeMap<String, String> {
        &self.click_ids
    }

    /// What kind of site led here; [`Self::referrer_host`] names it where it may be named.
    #[must_use]
    pub const fn referrer_kind(&self) -> ReferrerClass {
        self.referrer_kind
    }

    /// The page of the site's own that led here.
    #[must_use]
    pub const fn referrer_page(&self) -> Option<&Page> {
        self.referrer_page.as_ref()
    }

    /// The referring site's registrable domain.
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

    /// What may be seen of the event's sealed envelope. It is no part of what this serialises to, and only a destination whose row asks for it is
    /// given one; `tests/tidy.rs` names the files that may look.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        self.envelope.as_deref()
    }

    /// What is in it by which a visitor could be told from others.
    pub(super) fn tuple(&self) -> Tuple {
        Tuple { device: self.device, country: self.country, language: self.language, screen: self.screen, referrer: self.referrer_kind }
    }

    /// The fields that rest of the event and whose treatment for this destination is to be dropped.
    #[must_use]
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// The names of what was not said for want of a crowd.
    pub fn without_crowd(&self) -> impl Iterator<Item = &'static str> {
        self.suppressed.into_iter().flat_map(Suppressed::names)
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
            suppressed: None,
            dropped: Dropped::default(),
            envelope: None,
            event_id: format!("00000000-0000-8000-8000-{:012x}", offset.0),
            name: "page_view".to_owned(),
            time: received.rounded(super::disclose::TIME_STEP).rfc3339(),
            site: "shop".to_owned(),
            page: None,
            campaign: BTreeMap::new(),
            click_ids: BTreeMap::new(),
            referrer_kind: ReferrerClass::None,
            referrer_host: None,
            referrer_page: None,
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
                "click_ids" => put(&mut self.click_ids, said),
                "referrer_kind" => put(&mut self.referrer_kind, said),
                "referrer_host" => put(&mut self.referrer_host, said),
                "referrer_page" => put(&mut self.referrer_page, said),
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
                "envelope" => self.envelope = Some(Box::new(Envelope::for_test(said))),
                other => panic!("a test may not set {other}"),
            }
        }
        self
    }
}
