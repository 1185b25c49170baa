//! A courier gives an event another ceiling.

use crate::privacy::{clean::CleanEvent, record::Header, transform::Breadth};

/// Keeps the body, changes the header.
pub(crate) fn change(event: CleanEvent, header: Header) -> CleanEvent {
    CleanEvent { header: Header { ceiling: Breadth::NOTHING, ..header }, ..event } //~ E0451
}
