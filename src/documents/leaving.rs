//! What leaves to a destination of the visitors that it may have events of, as people are told it: on the transparency page and in records.

use super::{Basis, Destination, Site};
use crate::privacy::policy::{Field, Treatment, Treatments};

/// What becomes of each field on the way to one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Field by field.
    pub table: Treatments,
    /// Whether it is what a consent allows.
    pub consented: bool,
}

impl Site {
    /// What leaves to a destination: of those who agreed where it needs a consent, else of all who have not objected.
    #[must_use]
    pub fn leaving(&self, destination: &Destination) -> Leaving {
        let allowed = self.allowed(destination.number);
        let consented = matches!(destination.basis, Basis::Consent(_)) && allowed.breadth.needs_consent();
        Leaving { table: allowed.treatments(allowed.breadth, consented), consented }
    }
}

impl Leaving {
    /// Whether something of a field is in what leaves.
    #[must_use]
    pub fn has(&self, field: Field, site: &Site) -> bool {
        match field {
            // The list is the policy's; an empty one lets nothing through.
            Field::Properties => self.table.lets(field) && !site.policy.properties.is_empty(),
            // Without an own treatment, an id is still made for each event.
            Field::Visitor => self.table != Treatments::NOTHING,
            _ => self.table.lets(field),
        }
    }

    /// What becomes of a field, in words for a privacy officer.
    #[must_use]
    pub const fn effect(&self, field: Field) -> &'static str {
        field.effect(self.table.get(field), self.consented)
    }

    /// Names of the site's own that leave with a field: events, properties, routes.
    #[must_use]
    pub fn names(&self, field: Field, site: &Site) -> Vec<String> {
        match field {
            Field::Name if self.table.get(field) == Treatment::Keep => site.policy.events.iter().cloned().collect(),
            Field::Properties => site.policy.properties.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }
}
