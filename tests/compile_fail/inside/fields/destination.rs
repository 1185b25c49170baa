//! A destination says more than it was given.

use crate::privacy::disclose::Disclosure;

/// Adds a referrer.
pub(crate) fn add(disclosure: Disclosure) -> Disclosure {
    Disclosure { referrer_host: Some("jane.example".to_owned()), ..disclosure } //~ E0451
}
