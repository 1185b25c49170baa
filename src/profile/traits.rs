//! What is known of a customer beside the events themselves: traits, each with where it is from and a rule for several values. They are taken in
//! event by event, and joined where profiles are; either way, and in whatever order, the same comes out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    entry::{CONTACT, Entry, PURCHASE, REFUND},
    lattice::{First, Join, Last, Moment, Recent, Said, Visits},
};
use crate::{
    documents::profile::TraitRule,
    privacy::{
        clean::{CampaignField, Property},
        enrich::{device::DeviceClass, language::Language, place::Country},
        profiled::EventKey,
    },
};

/// Products and categories that are remembered.
const RECENT: usize = 20;
/// Accounts that a browser claims: more is a machine that tries names.
const CLAIMS: usize = 5;
/// The same of other identifiers: some of each kind.
const CLAIMED: usize = 10;
/// Orders of one customer, and refunds: in 13 months a household has some hundred. Of more, the latest count.
pub const ORDERS_MAX: usize = 1_000;
/// Properties that are traits: a policy lets an event have 25.
const PROPERTIES_MAX: usize = 50;
/// Money is counted in millionths: sums of fractions would depend on their order.
const MILLIONTHS: f64 = 1e6;

/// An amount of money, in millionths of its currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Money {
    /// How much.
    pub millionths: i64,
    /// ISO 4217; empty: nobody said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub currency: String,
}

impl Money {
    fn of(entry: &Entry) -> Self {
        // What a clean event has is bounded far within.
        let millionths = (entry.value.unwrap_or(0.0) * MILLIONTHS).round() as i64;
        Self { millionths, currency: entry.currency.clone().unwrap_or_default() }
    }
}

/// A purchase or a refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// How much.
    pub money: Money,
    /// When, by which event.
    #[serde(flatten)]
    pub moment: Moment,
    /// Whether the site's backend told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_backend: bool,
}

/// Orders by their id, once each: a page that is loaded again, and a backend that tells of what the page told, are one. The backend's word
/// counts, then the earliest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Orders(pub BTreeMap<String, Order>);

impl Orders {
    fn take(&mut self, id: &str, order: Order) {
        let outranks =
            |known: &Order| (order.by_backend, std::cmp::Reverse(order.moment)) > (known.by_backend, std::cmp::Reverse(known.moment));
        match self.0.get_mut(id) {
            Some(known) if outranks(known) => *known = order,
            Some(_) => {}
            None => drop(self.0.insert(id.to_owned(), order)),
        }
        while self.0.len() > ORDERS_MAX {
            let oldest = self.0.iter().min_by_key(|(id, order)| (order.moment, *id)).map(|(id, _)| id.clone());
            oldest.iter().for_each(|id| drop(self.0.remove(id)));
        }
    }

    /// How many there are and what they come to, by currency.
    #[must_use]
    pub fn sums(&self) -> BTreeMap<&str, (u64, i64)> {
        let mut sums: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
        for order in self.0.values() {
            let (count, sum) = sums.entry(&order.money.currency).or_default();
            *count += 1;
            *sum = sum.saturating_add(order.money.millionths);
        }
        sums
    }
}

impl Join for Orders {
    fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|(id, order)| self.take(id, order.clone()));
    }
}

/// What may become of a property's several values, whichever rule the document names: it may be changed at any time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    #[serde(default)]
    first: First<Property>,
    #[serde(default)]
    last: Last<Property>,
    #[serde(default, skip_serializing_if = "is_unproven")]
    proven: Last<Property>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    highest: Option<Said<Property>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lowest: Option<Said<Property>>,
}

fn is_unproven(last: &Last<Property>) -> bool {
    last.0.is_none()
}

impl Values {
    fn take(&mut self, said: &Said<Property>) {
        self.first.take(said);
        self.last.take(said);
        if said.proven {
            self.proven.take(said);
        }
        self.take_number(said);
    }

    fn take_number(&mut self, said: &Said<Property>) {
        let Property::Number(number) = said.value else { return };
        // Of equal numbers, the earliest.
        let place = |said: &Said<Property>| match said.value {
            Property::Number(known) => (number.total_cmp(&known), said.moment),
            _ => (std::cmp::Ordering::Equal, said.moment),
        };
        let beats = |known: &Option<Said<Property>>, wanted: std::cmp::Ordering| {
            known.as_ref().is_none_or(|known| {
                let (order, moment) = place(known);
                order == wanted || order.is_eq() && said.moment < moment
            })
        };
        if beats(&self.highest, std::cmp::Ordering::Greater) {
            self.highest = Some(said.clone());
        }
        if beats(&self.lowest, std::cmp::Ordering::Less) {
            self.lowest = Some(said.clone());
        }
    }

    /// The value that counts under a rule. One of numbers that meets none falls back on the latest.
    #[must_use]
    pub fn by(&self, rule: TraitRule) -> Option<&Said<Property>> {
        let last = self.last.0.as_ref();
        match rule {
            TraitRule::Last => last,
            TraitRule::First => self.first.0.as_ref(),
            TraitRule::Highest => self.highest.as_ref().or(last),
            TraitRule::Lowest => self.lowest.as_ref().or(last),
            TraitRule::Proven => self.proven.0.as_ref().or(last),
        }
    }
}

impl Join for Values {
    fn join(&mut self, other: &Self) {
        self.first.join(&other.first);
        self.last.join(&other.last);
        self.proven.join(&other.proven);
        other.highest.iter().chain(&other.lowest).for_each(|said| self.take_number(said));
    }
}

/// `utm_*` of one visit's beginning.
pub type Campaign = BTreeMap<CampaignField, String>;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traits {
    /// The earliest event.
    pub first_seen: First<()>,
    /// The latest event.
    pub last_seen: Last<()>,
    /// Visits.
    pub visits: Visits,
    /// Purchases.
    pub orders: Orders,
    /// Refunds, by their event.
    pub refunds: Orders,
    /// Products that were looked at, put into a cart or bought.
    pub products: Recent<RECENT>,
    /// Their categories.
    pub categories: Recent<RECENT>,
    /// The first campaign that led here.
    pub first_campaign: First<Campaign>,
    /// The last one.
    pub last_campaign: Last<Campaign>,
    /// The country last seen.
    pub country: Last<Country>,
    /// The device last seen.
    pub device: Last<DeviceClass>,
    /// The language last seen.
    pub language: Last<Language>,
    /// The site's own properties, by name.
    pub properties: BTreeMap<String, Values>,
    /// Accounts that a browser has said to be its, and nobody has proven. They join nothing.
    pub claims: Recent<CLAIMS>,
    /// The same of other identifiers.
    pub claimed: Recent<CLAIMED>,
}

impl Traits {
    /// Takes in an event. One that was taken in before changes nothing.
    pub fn take(&mut self, entry: &Entry) {
        let moment = entry.moment();
        // Who is written down has not been here.
        if entry.name != CONTACT {
            self.first_seen.take(&entry.said(()));
            self.last_seen.take(&entry.said(()));
        }
        if let Some(session) = entry.session.as_deref().and_then(|session| u64::from_str_radix(session, 16).ok()) {
            self.visits.take(session);
        }
        let order = || Order { money: Money::of(entry), moment, by_backend: entry.by_backend };
        match entry.name.as_str() {
            PURCHASE => self.orders.take(&entry.order.clone().unwrap_or_else(|| unnamed(entry.event)), order()),
            REFUND => self.refunds.take(&unnamed(entry.event), order()),
            _ => {}
        }
        for item in &entry.items {
            item.id.iter().chain(&item.name).take(1).for_each(|product| self.products.take(product, moment));
            item.category.iter().for_each(|category| self.categories.take(category, moment));
        }
        if !entry.campaign.is_empty() {
            let said = entry.said(entry.campaign.clone());
            self.first_campaign.take(&said);
            self.last_campaign.take(&said);
        }
        if !entry.by_backend {
            // A backend's events are of its own machine's place and kind.
            if entry.country != Country::UNKNOWN {
                self.country.take(&entry.said(entry.country));
            }
            if entry.device != DeviceClass::UNKNOWN {
                self.device.take(&entry.said(entry.device));
            }
            entry.language.iter().for_each(|language| self.language.take(&entry.said(*language)));
        }
        for (name, value) in &entry.properties {
            self.properties.entry(name.clone()).or_default().take(&entry.said(value.clone()));
        }
        self.bound_properties();
        entry.claims.iter().for_each(|account| self.claims.take(&account.to_string(), moment));
        entry.claimed.iter().for_each(|identifier| self.claimed.take(&identifier.to_string(), moment));
    }

    /// Of too many, those whose names come first.
    fn bound_properties(&mut self) {
        while self.properties.len() > PROPERTIES_MAX {
            self.properties.pop_last();
        }
    }

    /// Of the events of a timeline.
    #[must_use]
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut traits = Self::default();
        entries.into_iter().for_each(|entry| traits.take(entry));
        traits
    }
}

impl Join for Traits {
    fn join(&mut self, other: &Self) {
        self.first_seen.join(&other.first_seen);
        self.last_seen.join(&other.last_seen);
        self.visits.join(&other.visits);
        self.orders.join(&other.orders);
        self.refunds.join(&other.refunds);
        self.products.join(&other.products);
        self.categories.join(&other.categories);
        self.first_campaign.join(&other.first_campaign);
        self.last_campaign.join(&other.last_campaign);
        self.country.join(&other.country);
        self.device.join(&other.device);
        self.language.join(&other.language);
        for (name, values) in &other.properties {
            self.properties.entry(name.clone()).or_default().join(values);
        }
        self.bound_properties();
        self.claims.join(&other.claims);
        self.claimed.join(&other.claimed);
    }
}

/// The name of an order that has none: no shop's own has a colon in front.
fn unnamed(event: EventKey) -> String {
    format!(":{event}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        clock::Timestamp,
        event::Purposes,
        privacy::{
            identifiers::{Identifier, IdentifierKind},
            profiled::IdentifierKey,
        },
        profile::strand::Strand,
    };

    /// What one event of a made-up shop says; its place in the list is its id.
    #[derive(Clone, Debug)]
    struct Told {
        minute: i64,
        kind: u8,
        session: u8,
        order: Option<u8>,
        cents: u16,
        backend: bool,
        proven: bool,
        product: u8,
        plan: u8,
        campaign: Option<u8>,
    }

    fn told() -> impl Strategy<Value = Told> {
        let numbers = (0..200_i64, 0..4_u8, 0..12_u8, prop::option::of(0..4_u8), any::<u16>());
        let words = (any::<bool>(), any::<bool>(), 0..30_u8, 0..5_u8, prop::option::of(0..3_u8));
        (numbers, words).prop_map(|((minute, kind, session, order, cents), (backend, proven, product, plan, campaign))| Told {
            minute,
            kind,
            session,
            order,
            cents,
            backend,
            proven,
            product,
            plan,
            campaign,
        })
    }

    fn email(number: u8) -> Identifier {
        Identifier { kind: IdentifierKind::Email, key: IdentifierKey::of_bytes([number; 16]) }
    }

    fn entry(number: usize, told: &Told) -> Entry {
        let mut id = [0; 16];
        id[15] = u8::try_from(number).unwrap();
        // So that order by id is not order of the list.
        id[0] = (number * 37 % 251).try_into().unwrap();
        Entry {
            event: EventKey::of_bytes(id),
            at: Timestamp(1_790_000_000_000 + told.minute * 60_000),
            received: Timestamp(1_790_000_000_000 + told.minute * 60_000),
            name: ["page_view", PURCHASE, REFUND, "add_to_cart"][usize::from(told.kind)].into(),
            source: if told.backend { "server".into() } else { "native".into() },
            by_backend: told.backend,
            proven: told.proven,
            purposes: Purposes::PROFILE,
            policy: 1,
            page: None,
            campaign: told.campaign.iter().map(|word| (CampaignField::Source, format!("letter-{word}"))).collect(),
            referrer: None,
            value: Some(f64::from(told.cents) / 100.0),
            currency: Some(if told.cents.is_multiple_of(2) { "EUR".into() } else { "CHF".into() }),
            order: told.order.map(|order| format!("A-{order}")),
            items: vec![crate::privacy::clean::Item { id: Some(format!("SKU-{}", told.product)), ..Default::default() }],
            properties: BTreeMap::from([
                ("plan".into(), Property::Word(format!("plan-{}", told.plan).into())),
                ("rating".into(), Property::Number(f64::from(told.plan))),
            ]),
            session: Some(format!("{:016x}", u64::from(told.session) * 0x1234_5678_9abc)),
            device: DeviceClass::UNKNOWN,
            country: serde_json::from_str(if told.backend { "\"DE\"" } else { "\"FR\"" }).unwrap(),
            language: None,
            claims: (told.plan == 4).then(|| crate::privacy::profiled::AccountId::of_bytes([told.product; 16])),
            known_by: if told.backend { vec![email(told.product)] } else { Vec::new() },
            claimed: if told.backend { Vec::new() } else { vec![email(told.product)] },
        }
    }

    fn entries(told: &[Told]) -> Vec<Entry> {
        told.iter().enumerate().map(|(number, told)| entry(number, told)).collect()
    }

    proptest! {
        /// In any order, some of them twice, in any number of strands that are joined in any order: the same.
        #[test]
        fn order_repetition_and_merges_leave_the_same(
            told in prop::collection::vec(told(), 0..60),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            strands in prop::collection::vec(0..5_usize, 100),
            shuffle in any::<u64>(),
        ) {
            let straight = entries(&told);
            let expected = Traits::of(&straight);
            let mut muddled = straight.clone();
            muddled.extend(picks.iter().filter(|_| !straight.is_empty()).map(|pick| pick.get(&straight).clone()));
            let key = |entry: &Entry| shuffle.rotate_left(u32::from(entry.event.bytes()[15])).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            muddled.sort_by_key(key);
            prop_assert_eq!(&Traits::of(&muddled), &expected);
            let mut parts = vec![Traits::default(); 5];
            muddled.iter().zip(strands).for_each(|(entry, strand)| parts[strand].take(entry));
            let (mut forth, mut back) = (Traits::default(), Traits::default());
            parts.iter().for_each(|part| forth.join(part));
            parts.iter().rev().for_each(|part| back.join(part));
            prop_assert_eq!(&forth, &expected);
            prop_assert_eq!(&back, &expected);
            forth.join(&back);
            prop_assert_eq!(&forth, &expected, "joined with itself");
            let rested: Traits = serde_json::from_slice(&serde_json::to_vec(&expected).unwrap()).unwrap();
            prop_assert_eq!(&rested, &expected);
        }

        /// What is made again from what is left of the timeline is what was kept as events came.
        #[test]
        fn made_again_in_bulk_is_kept_as_events_came(told in prop::collection::vec(told(), 0..60), cuts in prop::collection::vec(0..200_i64, 0..4)) {
            let mut strand = Strand::default();
            let mut timeline = entries(&told);
            timeline.iter().for_each(|entry| strand.take(entry));
            let kept = strand.traits.clone();
            for minute in cuts {
                let (left, gone): (Vec<_>, Vec<_>) = timeline.into_iter().partition(|entry| entry.at.0 >= 1_790_000_000_000 + minute * 60_000);
                timeline = left;
                strand.let_go(&gone);
                strand.make_again(&timeline);
                prop_assert_eq!(&strand.traits, &kept);
            }
        }

        /// The figures are those that a person would count.
        #[test]
        fn figures_are_those_of_a_plain_count(told in prop::collection::vec(told(), 1..60)) {
            let all = entries(&told);
            let traits = Traits::of(&all);
            prop_assert_eq!(traits.first_seen.0.unwrap().moment.at, all.iter().map(|entry| entry.at).min().unwrap());
            prop_assert_eq!(traits.last_seen.0.unwrap().moment.at, all.iter().map(|entry| entry.at).max().unwrap());
            prop_assert_eq!(traits.visits.count(), told.iter().map(|told| told.session).collect::<BTreeSet<_>>().len() as u64);
            let purchases = told.iter().zip(&all).filter(|(told, _)| told.kind == 1);
            let named: BTreeSet<_> = purchases.clone().filter_map(|(told, _)| told.order).collect();
            let unnamed = purchases.filter(|(told, _)| told.order.is_none()).count();
            prop_assert_eq!(traits.orders.0.len(), named.len() + unnamed);
            let refunded: i64 = told.iter().filter(|told| told.kind == 2).map(|told| i64::from(told.cents) * 10_000).sum();
            prop_assert_eq!(traits.refunds.sums().values().map(|(_, sum)| sum).sum::<i64>(), refunded);
            let latest = all.iter().max_by_key(|entry| entry.moment()).unwrap();
            prop_assert_eq!(&traits.properties["plan"].by(TraitRule::Last).unwrap().value, &latest.properties["plan"]);
            let highest = told.iter().map(|told| told.plan).max().unwrap();
            prop_assert_eq!(&traits.properties["rating"].by(TraitRule::Highest).unwrap().value, &Property::Number(f64::from(highest)));
            let proven = all.iter().filter(|entry| entry.proven || entry.by_backend).max_by_key(|entry| entry.moment());
            if let Some(proven) = proven {
                prop_assert_eq!(&traits.properties["plan"].by(TraitRule::Proven).unwrap().value, &proven.properties["plan"]);
            }
        }
    }

    #[test]
    fn an_order_that_is_told_of_twice_is_one_and_the_backends_word_counts() {
        let told = |cents, backend| Told {
            minute: i64::from(cents),
            kind: 1,
            session: 0,
            order: Some(1),
            cents,
            backend,
            proven: false,
            product: 0,
            plan: 0,
            campaign: None,
        };
        // The page first, again when it was loaded again, and the backend with what was really paid.
        let all = entries(&[told(100, false), told(102, false), told(198, true)]);
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let traits = Traits::of(order.map(|place: usize| &all[place]));
            assert_eq!(traits.orders.sums(), BTreeMap::from([("EUR", (1, 1_980_000))]));
            assert_eq!(traits.country.0.as_ref().unwrap().value.code(), "FR", "a backend's machine is in no customer's place");
        }
    }

    #[test]
    fn visits_beyond_the_exact_count_are_estimated() {
        let mut visits = Visits::default();
        let mut id: u64 = 1;
        for number in 1..=4_000_u64 {
            id = id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            visits.take(id ^ (id >> 33));
            if number as usize <= super::super::lattice::VISITS_EXACT {
                assert_eq!(visits.count(), number);
            }
        }
        assert!((3_400..4_600).contains(&visits.count()), "{}", visits.count());
    }
}
