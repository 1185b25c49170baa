//! One event in a profile's timeline: what the profile store may see of it, in the form in which it is sealed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::lattice::{Moment, Said};
use crate::{
    clock::Timestamp,
    event::Purposes,
    privacy::{
        clean::{CampaignField, Item, Page, Property},
        enrich::{device::DeviceClass, language::Language, place::Country},
        identifiers::Identifier,
        identity::Assurance,
        profiled::{AccountId, EventKey, ProfileEvent},
    },
};

/// For how long an event stays in the timeline: by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Page views and the like.
    Views,
    /// What a visitor does in a shop, a form or an account; the site's own events.
    Actions,
    /// Purchases and refunds.
    Orders,
}

/// Events that say only that somebody was there.
const VIEWS: [&str; 10] = [
    "page_view",
    "screen_view",
    "scroll",
    "user_engagement",
    "click",
    "file_download",
    "video_progress",
    "view_item_list",
    "view_promotion",
    "session_start",
];

impl Class {
    /// All of them, in the order of [`ProfileRules::kept`](crate::documents::ProfileRules::kept).
    pub const ALL: [Self; 3] = [Self::Views, Self::Actions, Self::Orders];

    /// Of an event of that name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            PURCHASE | REFUND => Self::Orders,
            name if VIEWS.contains(&name) => Self::Views,
            _ => Self::Actions,
        }
    }

    /// The name in documents and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Views => "views",
            Self::Actions => "actions",
            Self::Orders => "orders",
        }
    }

    /// The number under which it rests.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A purchase's canonical name.
pub(super) const PURCHASE: &str = "purchase";
/// What a contact that was imported is called.
pub(super) const CONTACT: &str = "contact";
/// What it is called that somebody confirmed an address by a mailed link.
pub(super) const CONFIRMED: &str = "address_confirmed";
/// A refund's.
pub(super) const REFUND: &str = "refund";

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Which.
    #[schemars(with = "String")]
    pub event: EventKey,
    /// When it happened, in milliseconds since 1970.
    #[schemars(with = "i64")]
    pub at: Timestamp,
    /// When it came in, in milliseconds since 1970.
    #[schemars(with = "i64")]
    pub received: Timestamp,
    /// Its name.
    pub name: SmolStr,
    /// Which protocol brought it.
    pub source: SmolStr,
    /// Whether the site's backend sent it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_backend: bool,
    /// Whether it came with a proven account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proven: bool,
    /// What the person had agreed to.
    #[schemars(with = "Vec<String>")]
    pub purposes: Purposes,
    /// The version of the policy that it was cleaned under.
    pub policy: u32,
    /// The page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// What led there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub campaign: BTreeMap<CampaignField, String>,
    /// The site that led there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// Amount of money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Its currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The products.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// The site's own properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Property>,
    /// The visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Browser, system, form.
    pub device: DeviceClass,
    /// The country.
    #[schemars(with = "String")]
    pub country: Country,
    /// The language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub language: Option<Language>,
    /// An account that a browser says is its, and nobody has proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub claims: Option<AccountId>,
    /// What else the site's backend says that they are known by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub known_by: Vec<Identifier>,
    /// The same, as a browser says it, and nobody has proven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub claimed: Vec<Identifier>,
}

/// From where something is that was told beside a visit.
pub(super) struct Told {
    /// What it is called.
    pub(super) name: &'static str,
    /// Who brought it.
    pub(super) source: &'static str,
    /// Which it is: the same, however often it is told.
    pub(super) event: EventKey,
    /// When it was so.
    pub(super) at: Timestamp,
    /// When it was told.
    pub(super) received: Timestamp,
    /// What the person agrees to.
    pub(super) purposes: Purposes,
    /// The version of the policy.
    pub(super) policy: u32,
}

impl Entry {
    /// What was told beside a visit: of no page, device or place.
    pub(super) fn beside_a_visit(told: &Told) -> Self {
        Self {
            event: told.event,
            at: told.at,
            received: told.received,
            name: SmolStr::new_static(told.name),
            source: SmolStr::new_static(told.source),
            by_backend: false,
            proven: false,
            purposes: told.purposes,
            policy: told.policy,
            page: None,
            campaign: BTreeMap::new(),
            referrer: None,
            value: None,
            currency: None,
            order: None,
            items: Vec::new(),
            properties: BTreeMap::new(),
            session: None,
            device: DeviceClass::UNKNOWN,
            country: Country::UNKNOWN,
            language: None,
            claims: None,
            known_by: Vec::new(),
            claimed: Vec::new(),
        }
    }

    /// What the timeline keeps of an event.
    #[must_use]
    pub fn of(event: &ProfileEvent) -> Self {
        let seen = event.disclosure();
        let received = seen.received();
        let at = seen.time().parse::<jiff::Timestamp>().map_or(received, |time| Timestamp(time.as_millisecond()));
        let claims = match event.account() {
            Some((account, Assurance::Claimed)) => Some(account),
            _ => None,
        };
        let known_by = |assurance| event.identifiers().iter().filter(|said| said.1 == assurance).map(|said| said.0).collect();
        Self {
            event: event.event(),
            at,
            received,
            name: SmolStr::new(seen.name()),
            source: event.source().clone(),
            by_backend: event.is_backends(),
            proven: matches!(event.account(), Some((_, Assurance::Proven))),
            purposes: seen.purposes(),
            policy: seen.policy().0,
            page: seen.page().cloned(),
            campaign: seen.campaign().clone(),
            referrer: seen.referrer_host().map(str::to_owned),
            value: seen.value(),
            currency: seen.currency().map(str::to_owned),
            order: seen.transaction_id().map(str::to_owned),
            items: seen.items().to_vec(),
            properties: seen.properties().clone(),
            session: seen.session_id().map(str::to_owned),
            device: *seen.device(),
            country: seen.country(),
            language: seen.language(),
            claims,
            known_by: known_by(Assurance::Proven),
            claimed: known_by(Assurance::Claimed),
        }
    }

    /// Its place among all.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        Moment { at: self.at, event: self.event }
    }

    /// For how long it stays.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::of(&self.name)
    }

    /// Something that it says, with where that is from.
    pub(super) fn said<T>(&self, value: T) -> Said<T> {
        Said {
            value,
            moment: self.moment(),
            source: self.source.clone(),
            proven: self.proven || self.by_backend,
            purposes: self.purposes,
            policy: self.policy,
        }
    }
}
