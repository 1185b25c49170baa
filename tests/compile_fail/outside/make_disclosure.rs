//! Makes a disclosure of its own words, from a file.

use firsthand::privacy::disclose::Disclosure;

fn main() {
    let _: Disclosure = serde_json::from_str("{}").unwrap();
}
