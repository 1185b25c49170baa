//! Gives the log a record that no clean event stands behind.

use firsthand::privacy::record::{Header, Record};

fn forge(header: &Header) -> Record {
    Record::new(header, b"jane@example.org".to_vec())
}

fn main() {}
