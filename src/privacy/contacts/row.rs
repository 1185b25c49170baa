//! What a row of a file of contacts says, and why nothing of it is kept.

use smol_str::SmolStr;

use zeroize::Zeroizing;

use super::file::Rows;
use crate::{
    clock::Timestamp,
    documents::{ProfileRules, site::Policy},
    event::Purposes,
    privacy::{
        anonymise::property_of_text,
        clean::Property,
        contact_values::{ContactField, NAME_BYTES_MAX},
        identifiers::{IdentifierKind, normal},
        visitor::COOKIE_AGE_MAX,
    },
};

/// What their customer agreed to: purposes, in any order.
pub(super) const CONSENT: &str = "consent";
/// When.
pub(super) const CONSENT_AT: &str = "consent_at";
/// Until when at most.
pub(super) const CONSENT_UNTIL: &str = "consent_until";

/// Whether a column says who somebody is.
pub(super) fn names_somebody(name: &str) -> bool {
    IdentifierKind::ALL.iter().any(|kind| kind.name() == name)
}

/// Whether something is done with a column of that name, whatever the policy says.
pub(super) fn is_a_column(name: &str) -> bool {
    names_somebody(name) || [CONSENT, CONSENT_AT, CONSENT_UNTIL].contains(&name)
}

/// Why nothing of a row is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// It has another number of values than there are columns, or is no JSON object.
    Unreadable,
    /// It names nobody by a kind of identifier that the site's document lists, in its form.
    NoIdentifier,
    /// It says no consent to a profile, or not when.
    NoConsent,
    /// The consent that it says has ended.
    ConsentOver,
    /// Who it names was erased, or objected, since.
    ErasedBefore,
    /// What rests of who it names is not to be used.
    Restricted,
}

impl Left {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Unreadable, Self::NoIdentifier, Self::NoConsent, Self::ConsentOver, Self::ErasedBefore, Self::Restricted];

    /// In words.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::Unreadable => "cannot be read",
            Self::NoIdentifier => "name nobody, by what the site's document lists",
            Self::NoConsent => "say no consent to \"profile\", or not when it was given",
            Self::ConsentOver => "say a consent that has ended",
            Self::Restricted => "are of people whose data rest and are not used",
            Self::ErasedBefore => "are of people who were erased or objected since they agreed",
        }
    }
}

/// What a row says.
pub(super) struct Contact {
    /// What they are known by, the kind that counts most first.
    pub(super) known_by: Vec<(IdentifierKind, String)>,
    pub(super) purposes: Purposes,
    pub(super) agreed: Timestamp,
    pub(super) until: Timestamp,
    pub(super) properties: Vec<(String, Property)>,
    /// As it was said, where the site's document keeps it.
    pub(super) values: Vec<(ContactField, Zeroizing<String>)>,
}

impl Contact {
    /// All that it says, for telling it from another.
    pub(super) fn told(&self) -> String {
        use std::fmt::Write as _;
        let mut told = format!("{} {} {}", self.agreed.0, self.until.0, self.purposes.bits());
        for (kind, said) in &self.known_by {
            let _ = write!(told, " {}={said}", kind.name());
        }
        for (name, value) in &self.properties {
            let _ = write!(told, " {name}={value:?}");
        }
        for (field, value) in &self.values {
            let _ = write!(told, " kept {}={}", field.name(), value.as_str());
        }
        told
    }
}

/// What rows are read with.
pub(super) struct Reading<'a> {
    pub(super) policy: &'a Policy,
    pub(super) rules: &'a ProfileRules,
}

impl Reading<'_> {
    pub(super) fn contact(&self, rows: &Rows, row: usize, now: Timestamp) -> Result<Contact, Left> {
        let said = rows.row(row).ok_or(Left::Unreadable)?;
        let kinds = self.rules.identifiers.iter().map(|rule| rule.kind);
        let known_by: Vec<_> = kinds.filter_map(|kind| Some((kind, normal(kind, said.get(kind.name())?)?))).collect();
        if known_by.is_empty() {
            return Err(Left::NoIdentifier);
        }
        let purposes = said.get(CONSENT).map_or(Purposes::NONE, purposes);
        let agreed = said.get(CONSENT_AT).and_then(moment).filter(|agreed| *agreed <= now).ok_or(Left::NoConsent)?;
        if !purposes.cover(Purposes::PROFILE) {
            return Err(Left::NoConsent);
        }
        let longest = agreed.plus(COOKIE_AGE_MAX);
        let until = match said.get(CONSENT_UNTIL) {
            Some(until) => moment(until).ok_or(Left::NoConsent)?.min(longest),
            None => longest,
        };
        if until <= now {
            return Err(Left::ConsentOver);
        }
        let properties = self.policy.properties.iter().filter_map(|(name, kind)| {
            let column = SmolStr::new(name.to_lowercase());
            Some((name.clone(), property_of_text(said.get(&column)?, *kind)?))
        });
        let kept = ContactField::ALL.into_iter().filter(|field| self.rules.keeps.contains(field));
        let values = kept.filter_map(|field| Some((field, Zeroizing::new(kept_form(field, said.get(field.name())?)?))));
        Ok(Contact { known_by, purposes, agreed, until, properties: properties.collect(), values: values.collect() })
    }
}

/// A value as it is kept. Nothing: it is none of its kind.
fn kept_form(field: ContactField, said: &str) -> Option<String> {
    match field {
        ContactField::Email => normal(IdentifierKind::Email, said).map(|_| said.to_owned()),
        ContactField::Phone => normal(IdentifierKind::Phone, said),
        ContactField::Name => (said.len() <= NAME_BYTES_MAX && !said.contains(char::is_control)).then(|| said.to_owned()),
    }
}

/// Purposes as a row names them: `profile`, `analytics profile`, `profile|ads`. A word that is none makes all of it none.
fn purposes(said: &str) -> Purposes {
    let words = said.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty());
    let all = words.map(|word| Purposes::named(&word.to_lowercase())).try_fold(Purposes::NONE, |all, one| Some(all.and(one?)));
    all.unwrap_or(Purposes::NONE)
}

/// A moment (RFC 3339), or the beginning of a day in UTC.
fn moment(said: &str) -> Option<Timestamp> {
    let whole = if said.len() == 10 { format!("{said}T00:00:00Z") } else { said.to_owned() };
    whole.parse::<jiff::Timestamp>().ok().map(|moment| Timestamp(moment.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_agreed_to_is_read_in_whole_or_not_at_all() {
        for (said, expected) in [
            ("profile", Purposes::PROFILE),
            ("Analytics, profile", Purposes::ANALYTICS.and(Purposes::PROFILE)),
            ("profile|ads", Purposes::PROFILE.and(Purposes::ADS)),
            ("yes", Purposes::NONE),
            ("profile maybe", Purposes::NONE),
            ("no profile", Purposes::NONE),
            ("", Purposes::NONE),
        ] {
            assert_eq!(purposes(said), expected, "{said}");
        }
        assert_eq!(moment("2026-11-28"), moment("2026-11-28T00:00:00Z"));
        assert_eq!(moment("2026-11-28T01:00:00+01:00"), moment("2026-11-28"));
        assert_eq!(moment("28.11.2026"), None);
    }
}
