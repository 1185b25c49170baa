//! A courier gives an event a wider ceiling.

use crate::privacy::{clean::CleanEvent, record::Header, transform::Transform};

/// Keeps the body, changes the header.
pub(crate) fn widen(event: CleanEvent, header: Header) -> CleanEvent {
    CleanEvent { header: Header { ceiling: Transform::ConsentedAnalytics, ..header }, ..event } //~ E0451
}
