//! Makes clean events and disclosures out of words of its own.

use firsthand::privacy::{clean::CleanEvent, disclose::Disclosure};

fn main() {
    let _ = serde_json::from_str::<CleanEvent>("{}");
    let _ = serde_json::from_str::<Disclosure>("{}");
}
