//! What a customer is known by beside the cookie of a browser: accounts, ids of the site's own customer system, e-mail addresses, phone numbers.
//! Here they are brought into one form and put under keys; in the clear they rest in no index and in no event.
//!
//! What is captured rests in the sealed body under K_site, and becomes the profile store's own under its K_dest when the event is disclosed to it;
//! so whoever has one of the two keys cannot try addresses on the other one's ids.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use smol_str::SmolStr;

use super::{
    identity::Assurance,
    keys::persistent::{DestinationKey, PersistentKeys, SiteKey},
    personal::Personal,
    profiled::{AccountId, IdentifierKey},
    raw::RawEvent,
};
use crate::{
    documents::{Destination, Site},
    state::StoreError,
};

/// E-mail addresses are no longer (RFC 5321: 254 within a path).
const EMAIL_BYTES_MAX: usize = 254;
/// E.164: a number has 15 digits at most.
const PHONE_DIGITS_MAX: usize = 15;
/// No number that is dialled from abroad has fewer.
const PHONE_DIGITS_MIN: usize = 7;
/// Ids of customer systems are UUIDs or numbers.
const CRM_BYTES_MAX: usize = 64;

/// A kind of identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    /// The id under which the site knows who has logged in.
    Account,
    /// The id of a contact in the site's customer system.
    Crm,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
}

impl IdentifierKind {
    /// All of them, in the order that documents have where they say none.
    pub const ALL: [Self; 4] = [Self::Account, Self::Crm, Self::Email, Self::Phone];

    /// The name in documents and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Crm => "crm",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// The number under which it rests.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind of that number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// An identifier in the profile store: of which kind, and under the store's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    /// Of which kind.
    pub kind: IdentifierKind,
    /// Under the store's key.
    pub key: IdentifierKey,
}

impl Identifier {
    /// An account.
    #[must_use]
    pub const fn of_account(account: &AccountId) -> Self {
        Self { kind: IdentifierKind::Account, key: IdentifierKey::of_bytes(*account.bytes()) }
    }

    /// The account that it is, where it is one.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        (self.kind == IdentifierKind::Account).then(|| AccountId::of_bytes(*self.key.bytes()))
    }

    /// As it is written: `email 0f3c…`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, key) = text.split_once(' ')?;
        let kind = IdentifierKind::ALL.into_iter().find(|known| known.name() == kind)?;
        Some(Self { kind, key: IdentifierKey::parse(key)? })
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.key)
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a kind and 32 hexadecimal digits"))
    }
}

/// An identifier as it rests in a granted body: under K_site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::privacy) struct Identified {
    pub(in crate::privacy) kind: IdentifierKind,
    pub(in crate::privacy) key: IdentifierKey,
    pub(in crate::privacy) assurance: Assurance,
}

/// What an event says of whom it is of, of the kinds that the site's document lists. Accounts are none of these: they rest by themselves.
pub(in crate::privacy) fn identified(raw: &RawEvent<'_>, site: &Site, key: &SiteKey) -> Vec<Identified> {
    let Some(contact) = raw.contact.as_deref() else { return Vec::new() };
    // A browser has nothing to prove them with.
    let assurance = if raw.vouched { Assurance::Proven } else { Assurance::Claimed };
    let said = |kind| match kind {
        IdentifierKind::Account => None,
        IdentifierKind::Crm => contact.crm.as_ref(),
        IdentifierKind::Email => contact.email.as_ref(),
        IdentifierKind::Phone => contact.phone.as_ref(),
    };
    let of = |kind: &IdentifierKind| {
        let normal = normal(*kind, said(*kind)?.expose())?;
        Some(Identified { kind: *kind, key: IdentifierKey::of_bytes(key.identifier(kind.name(), &normal)), assurance })
    };
    site.identified_by.iter().filter_map(of).collect()
}

impl Identified {
    /// In the profile store of that key.
    pub(in crate::privacy) fn in_store(&self, key: &DestinationKey) -> Identifier {
        Identifier { kind: self.kind, key: IdentifierKey::of_bytes(key.identifier(self.kind.name(), self.key.bytes())) }
    }
}

/// What somebody is asked for by: as it rests in bodies, and as the profile store has it. Nothing: it has not the form of one.
///
/// # Errors
/// When `state.db` cannot be used.
pub fn identifier_of_site(
    keys: &PersistentKeys,
    destination: &Destination,
    kind: IdentifierKind,
    said: &Personal<String>,
) -> Result<Option<Identifier>, StoreError> {
    Ok(match (kind, asked(keys, destination, kind, said.expose())?) {
        (IdentifierKind::Account, _) => Some(Identifier::of_account(&super::profiled::account_of_site(keys, destination, said)?)),
        (_, identified) => identified.map(|(_, identifier)| identifier),
    })
}

/// The same, in both forms; an account has the second alone.
pub(in crate::privacy) fn asked(
    keys: &PersistentKeys,
    destination: &Destination,
    kind: IdentifierKind,
    said: &str,
) -> Result<Option<(IdentifierKey, Identifier)>, StoreError> {
    let (Some(normal), Some(site)) = (normal(kind, said), destination.sites.first()) else { return Ok(None) };
    let key = IdentifierKey::of_bytes(keys.site(*site)?.identifier(kind.name(), &normal));
    let identified = Identified { kind, key, assurance: Assurance::Proven };
    Ok(Some((key, identified.in_store(&*keys.destination(destination.number)?))))
}

/// The one form in which it counts. Nothing: it is none of its kind. No provider's own rules are applied: at one, dots in an address mean
/// nothing, at another they are another person.
pub(in crate::privacy) fn normal(kind: IdentifierKind, said: &str) -> Option<String> {
    let said = said.trim();
    match kind {
        IdentifierKind::Account | IdentifierKind::Crm => {
            ((1..=CRM_BYTES_MAX).contains(&said.len()) && !said.contains(char::is_control)).then(|| said.to_owned())
        }
        IdentifierKind::Email => {
            let small = said.to_lowercase();
            let whole = small.len() <= EMAIL_BYTES_MAX && !small.contains(|sign: char| sign.is_whitespace() || sign.is_control());
            let parts = small.split_once('@').filter(|(local, host)| !local.is_empty() && !host.contains('@'));
            let host_is_one = |host: &str| host.split('.').count() > 1 && host.split('.').all(|label| !label.is_empty());
            (whole && parts.is_some_and(|(_, host)| host_is_one(host))).then_some(small)
        }
        IdentifierKind::Phone => {
            let plain: String = said.chars().filter(|sign| !sign.is_whitespace() && !matches!(sign, '(' | ')' | '-' | '.' | '/')).collect();
            // Of a number without its country nobody knows whose it is.
            let digits = plain.strip_prefix('+').or_else(|| plain.strip_prefix("00"))?;
            let is_one = (PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX).contains(&digits.len()) && !digits.starts_with('0');
            (is_one && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| format!("+{digits}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_identifier_has_one_form_and_what_is_none_has_none() {
        use IdentifierKind::{Crm, Email, Phone};
        for (kind, said, expected) in [
            (Email, " Jane.Doe+Shop@Mail.Example ", Some("jane.doe+shop@mail.example")),
            (Email, "JÜRGEN@mail.example", Some("jürgen@mail.example")),
            (Email, "jane", None),
            (Email, "@mail.example", None),
            (Email, "jane@mail", None),
            (Email, "jane@mail..example", None),
            (Email, "jane@mail.example.", None),
            (Email, "jane doe@mail.example", None),
            (Email, "a@b@mail.example", None),
            // A digest that somebody sends instead is no address.
            (Email, "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f", None),
            (Phone, "+33 (1) 23-45.67/89", Some("+33123456789")),
            (Phone, "0033123456789", Some("+33123456789")),
            (Phone, "01 23 45 67 89", None),
            (Phone, "+0123456789", None),
            (Phone, "+12345", None),
            (Phone, "+1234567890123456", None),
            (Phone, "+33 12 34 call me", None),
            (Crm, " C-0007 ", Some("C-0007")),
            (Crm, "", None),
            (Crm, "C-\n1", None),
        ] {
            assert_eq!(normal(kind, said).as_deref(), expected, "{kind:?} {said}");
        }
        assert_eq!(normal(Email, &format!("{}@mail.example", "a".repeat(250))), None);
    }

    #[test]
    fn identifiers_are_written_and_read_as_the_same() {
        for kind in IdentifierKind::ALL {
            let identifier = Identifier { kind, key: IdentifierKey::of_bytes([kind.number() + 7; 16]) };
            assert_eq!(Identifier::parse(&identifier.to_string()), Some(identifier));
            assert_eq!(IdentifierKind::of_number(kind.number()), Some(kind));
        }
        assert_eq!(Identifier::parse("email 00"), None);
        assert_eq!(Identifier::parse("browser 00112233445566778899aabbccddeeff"), None);
    }
}
