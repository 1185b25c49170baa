//! What a destination may do with a disclosure: say it.

use crate::privacy::disclose::Disclosure;

/// Says it.
pub(crate) fn say(disclosure: &Disclosure) -> Option<String> {
    serde_json::to_string(disclosure).ok()
}
