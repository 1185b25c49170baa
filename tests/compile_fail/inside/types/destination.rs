//! A destination takes an event before it was anonymised.

use crate::privacy::{disclose::Disclosure, enrich::Enriched};

/// Passes it off as a disclosure.
pub(crate) fn take(event: Enriched<'_>) -> Disclosure {
    event //~ E0308
}
