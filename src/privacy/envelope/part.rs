//! What can be in a sealed envelope: each part, the field of the policy that lets it in, and the vendors whose words it is in.

use crate::privacy::policy::Field;

/// Whose normal form contact data are hashed in. Each vendor's is another, and so is the digest of one and the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// Meta's, <https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/customer-information-parameters>.
    Meta,
    /// TikTok's, <https://business-api.tiktok.com/portal/docs?id=1771100865818625>.
    TikTok,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Meta, Self::TikTok];
}

/// Whose normal forms are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialects(u8);

impl Dialects {
    /// Nobody's.
    pub const NONE: Self = Self(0);

    /// This one's, where there is one.
    #[must_use]
    pub fn of(dialect: Option<Dialect>) -> Self {
        Self(dialect.map_or(0, |dialect| 1 << dialect as u8))
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Each of them.
    pub(in crate::privacy) fn each(self) -> impl Iterator<Item = Dialect> {
        Dialect::ALL.into_iter().filter(move |dialect| self.0 & 1 << *dialect as u8 != 0)
    }
}

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The visitor's address.
    Address,
    /// The `User-Agent` header.
    UserAgent,
    /// Meta's cookie `_fbp`, as it came.
    BrowserId,
    /// Meta's cookie `_fbc`, as it came.
    ClickId,
    /// The page's own id of the event, by which the vendor knows the same event from its own script.
    EventId,
    /// A digest.
    Email,
    /// A digest.
    Phone,
    /// A digest.
    FirstName,
    /// A digest.
    LastName,
    /// A digest.
    City,
    /// A digest.
    Region,
    /// A digest.
    Postcode,
    /// A digest.
    Country,
    /// A digest of the id that the site knows the person by.
    UserId,
}

impl Part {
    /// All of them; each at the place of its number.
    pub const ALL: [Self; 14] = [
        Self::Address,
        Self::UserAgent,
        Self::BrowserId,
        Self::ClickId,
        Self::EventId,
        Self::Email,
        Self::Phone,
        Self::FirstName,
        Self::LastName,
        Self::City,
        Self::Region,
        Self::Postcode,
        Self::Country,
        Self::UserId,
    ];

    /// The field whose treatment lets it leave.
    #[must_use]
    pub const fn field(self) -> Field {
        match self {
            Self::Address => Field::Address,
            Self::UserAgent => Field::UserAgent,
            Self::BrowserId | Self::ClickId | Self::EventId => Field::VendorIds,
            _ => Field::Contact,
        }
    }

    /// The name in what is told of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "envelope.address",
            Self::UserAgent => "envelope.user_agent",
            Self::BrowserId => "envelope.browser_id",
            Self::ClickId => "envelope.click_id",
            Self::EventId => "envelope.event_id",
            Self::Email => "envelope.email",
            Self::Phone => "envelope.phone",
            Self::FirstName => "envelope.first_name",
            Self::LastName => "envelope.last_name",
            Self::City => "envelope.city",
            Self::Region => "envelope.region",
            Self::Postcode => "envelope.postcode",
            Self::Country => "envelope.country",
            Self::UserId => "envelope.user_id",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_at_the_place_of_their_number() {
        assert!(Part::ALL.into_iter().enumerate().all(|(at, part)| part as usize == at));
        assert_eq!(Dialects::of(Some(Dialect::Meta)).and(Dialects::of(Some(Dialect::TikTok))).each().count(), 2);
        assert_eq!(Dialects::of(None).each().count(), 0);
    }
}
