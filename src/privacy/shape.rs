//! The shape of what came in: which fields, how long. Known fields by name; a sender's own names are only counted, since a client
//! chooses names too.

use serde::Serialize;

/// Names and lengths, never values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Known fields that were there, and the length of each in characters (numbers and flags: 0).
    pub fields: Vec<(&'static str, usize)>,
    /// How many fields and properties we have no name for.
    pub unknown: usize,
}
