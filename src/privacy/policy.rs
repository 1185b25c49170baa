//! What becomes of each field, for a destination and a state of the visitor: the presets as tables, and what a policy document may change
//! about them. Compiled once per document change; on the hot path it is an array of bytes.

use serde::{Deserialize, Serialize};

use super::{
    envelope::Dialect,
    rules::{Rule, holds},
    scrub::{clicks::Issuers, parameters::Issuer},
    transform::Breadth,
};

/// What becomes of a field, from nothing to everything. Not every field offers every treatment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// It does not leave.
    #[default]
    Drop,
    /// It leaves as a class of many: a country, a path's template, five minutes.
    Generalise,
    /// It leaves as another value under this destination's key, the same for the same.
    Pseudonymise,
    /// It leaves as it was said, once it has passed the scrubbers.
    Keep,
}

impl Treatment {
    /// The name in documents and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Generalise => "generalise",
            Self::Pseudonymise => "pseudonymise",
            Self::Keep => "keep",
        }
    }
}

/// A field of an event, as a policy names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The event's name.
    Name,
    /// When it happened.
    Time,
    /// The page's host and path.
    Page,
    /// Where the visitor came from.
    Referrer,
    /// `utm_*`.
    Campaign,
    /// Ids of clicks on advertisements, for whoever issued them.
    ClickIds,
    /// The visitor's id.
    Visitor,
    /// The session's id.
    Session,
    /// The id that the site knows the person by.
    UserId,
    /// Browser, system, form.
    Device,
    /// The country.
    Place,
    /// The language.
    Language,
    /// The screen's width.
    Screen,
    /// Amount of money.
    Value,
    /// Its currency.
    Currency,
    /// Tax within it.
    Tax,
    /// Shipping within it.
    Shipping,
    /// The order's coupon.
    Coupon,
    /// The order's id.
    OrderId,
    /// The products.
    Items,
    /// The site's own listed properties.
    Properties,
    /// Whether a program sent it.
    Bot,
    /// The visitor's address, in the sealed envelope.
    Address,
    /// The browser's own words of itself, in the sealed envelope.
    UserAgent,
    /// Digests of contact data, in the sealed envelope.
    Contact,
    /// A vendor's own ids, in the sealed envelope.
    VendorIds,
}

const FIELDS: usize = 26;

impl Field {
    /// All of them, in the order of pages.
    pub const ALL: [Self; FIELDS] = [
        Self::Name,
        Self::Time,
        Self::Page,
        Self::Referrer,
        Self::Campaign,
        Self::ClickIds,
        Self::Visitor,
        Self::Session,
        Self::UserId,
        Self::Device,
        Self::Place,
        Self::Language,
        Self::Screen,
        Self::Value,
        Self::Currency,
        Self::Tax,
        Self::Shipping,
        Self::Coupon,
        Self::OrderId,
        Self::Items,
        Self::Properties,
        Self::Bot,
        Self::Address,
        Self::UserAgent,
        Self::Contact,
        Self::VendorIds,
    ];

    /// Those of the sealed envelope: no preset lets them leave, and only a vendor that asks for them can get them.
    pub const OF_THE_ENVELOPE: [Self; 4] = [Self::Address, Self::UserAgent, Self::Contact, Self::VendorIds];

    /// The name in documents and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Time => "time",
            Self::Page => "page",
            Self::Referrer => "referrer",
            Self::Campaign => "campaign",
            Self::ClickIds => "click_ids",
            Self::Visitor => "visitor",
            Self::Session => "session",
            Self::UserId => "user_id",
            Self::Device => "device",
            Self::Place => "place",
            Self::Language => "language",
            Self::Screen => "screen",
            Self::Value => "value",
            Self::Currency => "currency",
            Self::Tax => "tax",
            Self::Shipping => "shipping",
            Self::Coupon => "coupon",
            Self::OrderId => "order_id",
            Self::Items => "items",
            Self::Properties => "properties",
            Self::Bot => "bot",
            Self::Address => "address",
            Self::UserAgent => "user_agent",
            Self::Contact => "contact",
            Self::VendorIds => "vendor_ids",
        }
    }

    /// The field of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// What can be made of it at all, narrowest first.
    #[must_use]
    pub const fn offered(self) -> &'static [Treatment] {
        use Treatment::{Drop, Generalise, Keep, Pseudonymise};
        match self {
            Self::Name | Self::Time => &[Generalise, Keep],
            Self::Page | Self::Device | Self::Place | Self::Language | Self::Screen => &[Drop, Generalise],
            Self::Visitor | Self::Session => &[Drop, Pseudonymise],
            Self::UserId | Self::OrderId => &[Drop, Pseudonymise, Keep],
            Self::Referrer | Self::Value | Self::Tax | Self::Shipping | Self::Bot => &[Drop, Generalise, Keep],
            Self::Campaign | Self::ClickIds | Self::Currency | Self::Coupon | Self::Items | Self::Properties => &[Drop, Keep],
            Self::Address | Self::UserAgent | Self::Contact | Self::VendorIds => &[Drop, Keep],
        }
    }

    /// What a treatment means for this field, in words for a privacy officer.
    #[must_use]
    pub const fn effect(self, treatment: Treatment, consented: bool) -> &'static str {
        use Treatment::{Drop, Generalise, Keep, Pseudonymise};
        match (self, treatment) {
            (Self::Name, Keep) => "where our list or the policy's `events` has it, else \"custom\"",
            (Self::Name, _) => "\"custom\", whatever happened",
            (Self::Time, Keep) => "by our clock, to the second",
            (Self::Time, _) => "rounded down to 5 minutes",
            (Self::Page, Generalise) => "the site's own host and the path as a template; no parameter, no title",
            (Self::Referrer, Generalise) => "the kind of site: a search engine, a social network, another",
            (Self::Referrer, Keep) => {
                "another site's registrable domain (of a provider of names for anyone, the provider's), where a crowd came from it, else its \
                 kind; of the site's own pages, the path as a template"
            }
            (Self::Campaign, Keep) => "utm_* values that name nobody; no other parameter",
            (Self::ClickIds, Keep) => "those that this destination's own vendor issued, as they came; no other's",
            (Self::Visitor, Pseudonymise) if consented => {
                "an id under this destination's key, as long as the consent; no other destination's is like it"
            }
            (Self::Visitor, Pseudonymise) => "an id that lives one day, at this destination alone",
            (Self::Visitor, _) => "an id of this one event: page views cannot be joined",
            (Self::Session, Pseudonymise) if consented => "an id under this destination's key",
            (Self::Session, Pseudonymise) => "an id that lives no longer than the day",
            (Self::UserId, Pseudonymise) => "what the page says who is visiting, under this destination's key",
            (Self::UserId, Keep) => "what the page says who is visiting, as the site knows them",
            (Self::Device, Generalise) => "browser family, major version, system and form, each from a closed list",
            (Self::Place, Generalise) => "the country; the address itself is not in it",
            (Self::Language, Generalise) => "the primary language only",
            (Self::Screen, Generalise) => "one of six width classes",
            (Self::Value | Self::Tax | Self::Shipping, Generalise) => "rounded to two digits",
            (Self::Value | Self::Tax | Self::Shipping | Self::Currency, Keep) => "as said",
            (Self::Coupon, Keep) => "where it names nobody",
            (Self::OrderId, Pseudonymise) => "another id under this destination's key; equal orders stay equal",
            (Self::OrderId, Keep) => "the shop's own",
            (Self::Items, Keep) => "what the catalogue says of each product, where it names nobody",
            (Self::Properties, Keep) => {
                "those on the policy's `properties` list, of the listed kind, unless they have the form of somebody's data, which a person's name has not"
            }
            (Self::Bot, Generalise) => "\"suspected\" or \"declared\", where a program seems to have sent it",
            (Self::Bot, Keep) => "how much it looks like a program's (0 to 100), and why",
            (Self::Address, Keep) => "the visitor's address itself; until it leaves, kept here in memory alone, sealed, for a day at most",
            (Self::UserAgent, Keep) => {
                "the browser's own words of itself; until it leaves, kept here in memory alone, sealed, for a day at most"
            }
            (Self::Contact, Keep) => {
                "e-mail, phone, names, town, postcode, country and account as SHA-256 in the vendor's normal form, which is made for recognising \
                 people: personal data; until it leaves, kept here in memory alone, sealed, for a day at most"
            }
            (Self::VendorIds, Keep) => {
                "the vendor's own cookies and the page's own id of the event, as they came; until it leaves, kept here in memory alone, sealed, for a day at most"
            }
            (_, Drop) => "does not leave",
            _ => "not offered",
        }
    }
}

/// What becomes of every field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treatments([Treatment; FIELDS]);

impl Treatments {
    /// Nothing leaves.
    pub const NOTHING: Self = Self([Treatment::Drop; FIELDS]);

    /// What a preset's breadth makes of every field, for a visitor who consented or one who has not chosen.
    #[must_use]
    pub const fn of(breadth: Breadth, consented: bool) -> Self {
        use Field as F;
        use Treatment::{Generalise, Keep, Pseudonymise};
        if breadth.is_nothing() {
            return Self::NOTHING;
        }
        let mut table = Self::NOTHING
            .with(F::Name, Keep)
            .with(F::Time, Generalise)
            .with(F::Page, Generalise)
            .with(F::Device, Generalise)
            .with(F::Place, Generalise)
            .with(F::Language, Generalise)
            .with(F::Screen, Generalise)
            .with(F::Properties, Keep)
            .with(F::Bot, Generalise);
        // A consent-basis transform without what consent would have added is the least there is.
        if breadth.has_visits() && (consented || !breadth.needs_consent()) {
            table = table.with(F::Visitor, Pseudonymise).with(F::Session, Pseudonymise);
        }
        if !(breadth.needs_consent() && consented) {
            return table;
        }
        table = table
            .with(F::Time, Keep)
            .with(F::Referrer, Keep)
            .with(F::Campaign, Keep)
            .with(F::Value, Keep)
            .with(F::Currency, Keep)
            .with(F::Tax, Keep)
            .with(F::Shipping, Keep)
            .with(F::Coupon, Keep)
            .with(F::OrderId, Pseudonymise)
            .with(F::Items, Keep)
            .with(F::Bot, Keep);
        if breadth.has_profile() {
            table = table.with(F::UserId, Pseudonymise);
        }
        if breadth.has_profile() || breadth.has_ads() {
            table = table.with(F::OrderId, Keep);
        }
        if breadth.has_ads() {
            table = table.with(F::ClickIds, Keep);
        }
        table
    }

    /// The same but for one field.
    #[must_use]
    pub const fn with(mut self, field: Field, treatment: Treatment) -> Self {
        self.0[field as usize] = treatment;
        self
    }

    /// What becomes of a field.
    #[must_use]
    pub const fn get(&self, field: Field) -> Treatment {
        self.0[field as usize]
    }

    /// Whether anything of a field leaves.
    #[must_use]
    pub fn lets(&self, field: Field) -> bool {
        self.get(field) != Treatment::Drop || !holds(Rule::Drop)
    }

    /// Whether a field leaves as it was said.
    #[must_use]
    pub fn keeps(&self, field: Field) -> bool {
        match self.get(field) {
            Treatment::Drop => false,
            Treatment::Generalise => !holds(Rule::Generalise),
            Treatment::Pseudonymise => !holds(Rule::Pseudonymise),
            Treatment::Keep => true,
        }
    }

    /// Of each field what both allow.
    #[must_use]
    pub fn least(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(one, other)| *one = (*one).min(other));
        self
    }

    /// Of each field what at least one allows.
    #[must_use]
    pub fn most(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(one, other)| *one = (*one).max(other));
        self
    }
}

/// What one destination may see of a site's events, under the documents in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// At most.
    pub breadth: Breadth,
    /// Of a visitor who has not chosen.
    pub unknown: Treatments,
    /// Of one who consented to what the destination needs.
    pub granted: Treatments,
    /// Whose click ids, where the table lets any.
    pub clicks: Issuers,
    /// In whose words contact data leave, where the table lets any.
    pub dialect: Option<Dialect>,
}

impl Allowed {
    /// Nothing.
    pub const NOTHING: Self = Self {
        breadth: Breadth::NOTHING,
        unknown: Treatments::NOTHING,
        granted: Treatments::NOTHING,
        clicks: Issuers::NONE,
        dialect: None,
    };

    /// A preset's, unchanged, but that it is not said whose click ids may leave: nobody's.
    #[must_use]
    pub const fn of(breadth: Breadth) -> Self {
        Self {
            breadth,
            unknown: Treatments::of(breadth, false),
            granted: Treatments::of(breadth, true),
            clicks: Issuers::NONE,
            dialect: None,
        }
    }

    /// The same for a destination of this vendor: its own click ids leave under `consented-ads`, as far as the table lets them, and no other's.
    #[must_use]
    pub fn with_clicks_of(mut self, issuer: Option<Issuer>) -> Self {
        if self.breadth.has_ads() || !holds(Rule::ClickIdsForAds) {
            self.clicks = if holds(Rule::ClickIdsToTheirIssuer) { issuer.map_or(Issuers::NONE, Issuers::of) } else { Issuers::ALL };
        }
        if self.clicks.is_empty() {
            self.granted = self.granted.with(Field::ClickIds, Treatment::Drop);
        }
        self
    }

    /// The same for a destination of a vendor with these words, or of one that asks for no envelope: what is in envelopes leaves under
    /// `consented-ads` to a vendor that asks, as far as the table lets it, and to no other.
    #[must_use]
    pub fn with_envelope_of(mut self, dialect: Option<Dialect>) -> Self {
        let asked = dialect.is_some() || !holds(Rule::EnvelopeToWhoAsks);
        let for_ads = self.breadth.has_ads() || !holds(Rule::EnvelopeForAds);
        if !(asked && for_ads) {
            self.granted = Field::OF_THE_ENVELOPE.into_iter().fold(self.granted, |table, field| table.with(field, Treatment::Drop));
        }
        self.dialect = dialect;
        self
    }

    /// What becomes of every field of one event: never more than the event's own breadth allows, whatever the documents say now.
    #[must_use]
    pub fn treatments(&self, breadth: Breadth, consented: bool) -> Treatments {
        if !holds(Rule::Deviations) {
            return Treatments::of(breadth, consented);
        }
        if consented { self.granted } else { self.unknown.least(&Treatments::of(breadth, false)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::transform::Transform, *};

    #[test]
    fn every_preset_gives_every_field_a_treatment_that_it_offers() {
        for transform in Transform::ALL.into_iter().skip(1) {
            for consented in [false, true] {
                let table = Treatments::of(transform.breadth(), consented);
                for field in Field::ALL {
                    let treatment = table.get(field);
                    assert!(field.offered().contains(&treatment), "{} {field:?} {treatment:?}", transform.name());
                    assert_ne!(field.effect(treatment, consented), "not offered", "{field:?} {treatment:?}");
                }
            }
        }
        assert_eq!(Treatments::of(Breadth::NOTHING, true), Treatments::NOTHING);
    }

    #[test]
    fn fields_stand_at_their_own_place() {
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!((field as usize, Field::named(field.name())), (index, Some(field)));
        }
    }

    #[test]
    fn a_broader_preset_never_shows_less() {
        for one in Transform::ALL.map(Transform::breadth) {
            for other in Transform::ALL.map(Transform::breadth) {
                if one.meet(other) == one {
                    for consented in [false, true].into_iter().filter(|consented| *consented || !other.needs_consent()) {
                        let (narrow, broad) = (Treatments::of(one, consented), Treatments::of(other, consented));
                        assert_eq!(narrow.least(&broad), narrow, "{} within {}", one.name(), other.name());
                    }
                }
            }
        }
    }
}
