//! A deviation: what a policy changes about its destinations' presets, for which field, with its reason.

use serde::{Deserialize, Serialize};

use crate::privacy::policy::{Allowed, Field, Treatment, Treatments};

/// One change of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// Of which field.
    pub field: Field,
    /// What becomes of it instead.
    pub treatment: Treatment,
    /// For which visitors; none: for all. Without consent it can only narrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// For which destinations; none: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// Why, for whoever asks later.
    pub reason: String,
}

/// A visitor's state, as far as something may leave at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Has not chosen.
    Unknown,
    /// Consented to what the destination needs.
    Granted,
}

impl State {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Unknown, Self::Granted];

    /// The name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Granted => "granted",
        }
    }
}

impl Deviation {
    /// Whether it is for this destination.
    #[must_use]
    pub fn is_for(&self, destination: &str) -> bool {
        self.destinations.is_empty() || self.destinations.iter().any(|name| name == destination)
    }

    /// Whether it is for visitors in this state.
    #[must_use]
    pub fn is_in(&self, state: State) -> bool {
        self.state.is_none_or(|only| only == state)
    }

    /// Makes the change in one destination's tables.
    pub fn apply(&self, allowed: &mut Allowed) {
        if self.is_in(State::Unknown) {
            let narrower = self.treatment.min(allowed.unknown.get(self.field));
            allowed.unknown = allowed.unknown.with(self.field, narrower);
        }
        if self.is_in(State::Granted) && allowed.granted != Treatments::NOTHING {
            allowed.granted = allowed.granted.with(self.field, self.treatment);
        }
    }
}
