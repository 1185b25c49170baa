//! A courier gets at clean events without `disclose`.

use crate::privacy::{
    clean::CleanEvent,
    record::{Header, Record},
    rights::export::PersonExport,
};

/// Parses one.
pub(crate) fn parse(bytes: &[u8]) -> Option<CleanEvent> {
    serde_json::from_slice(bytes).ok() //~ E0277
}

/// Reads what is in one.
pub(crate) fn look(event: &CleanEvent) -> String {
    event.body().name.clone() //~ E0624
}

/// Writes a record that no event stands behind.
pub(crate) fn forge(header: &Header) -> Record {
    Record::new(header, b"jane@example.org".to_vec()) //~ E0624
}

/// Takes what a person is handed apart.
pub(crate) fn take_apart(export: &PersonExport) -> String {
    export.document.to_string() //~ E0616
}
