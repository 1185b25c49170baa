//! Puts a header of its own on a clean event.

use firsthand::privacy::{clean::CleanEvent, record::Header};

fn widen(header: Header, event: CleanEvent) -> CleanEvent {
    CleanEvent { header, ..event }
}

fn main() {}
