//! Consent: what a visitor has said, and what follows for one event.

use crate::event::Purposes;

/// What a beacon's body says of the visitor's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsentSignal {
    /// Nothing: the visitor has not chosen yet.
    #[default]
    Absent,
    /// Said yes to these; an empty set is a no. The consent ends after that many seconds, where the sender knows.
    Given {
        /// What was agreed to.
        purposes: Purposes,
        /// Seconds until the consent itself ends.
        seconds_left: Option<u32>,
    },
    /// An objection for this site from now on, whatever else is said.
    OptOut,
    /// The opt-out is taken back; nothing is granted by that.
    OptIn,
    /// Something that cannot be read. Counts as no.
    Malformed,
}
