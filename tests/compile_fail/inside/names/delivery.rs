//! A courier looks at what rests instead of what is disclosed.

use crate::privacy::clean::CleanBody; //~ E0603

/// Sends all of it.
pub(crate) fn send(body: &CleanBody) -> Option<Vec<u8>> {
    serde_json::to_vec(body).ok()
}
