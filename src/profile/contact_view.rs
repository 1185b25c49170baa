//! How a profile's person is written to, as it is shown to themselves and to who has a key for it: the one place that opens it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Profiles,
    identity::Joined,
    lattice::Said,
    store::ProfileError,
    strand::Strand,
    view::{SaidView, said},
};
use crate::{
    clock::Timestamp,
    documents::ProfileRules,
    privacy::contact_values::{ContactField, SealedValue},
};

/// What is kept of it: of each what was said last.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct ContactView {
    /// An e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<SaidView<String>>,
    /// A phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<SaidView<String>>,
    /// A name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SaidView<String>>,
}

impl ContactView {
    /// Whether nothing is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.email.is_none() && self.phone.is_none() && self.name.is_none()
    }
}

impl Profiles {
    /// How whose profile it is is written to, as far as the site's document keeps it now. Blocks.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn contact(&self, joined: &Joined, rules: &ProfileRules, now: Timestamp) -> Result<ContactView, ProfileError> {
        let mut view = ContactView::default();
        if rules.keeps.is_empty() {
            return Ok(view);
        }
        let mut last: BTreeMap<ContactField, Said<String>> = BTreeMap::new();
        for key in &joined.strands {
            let Some(row) = self.store()?.strand(key)? else { continue };
            let Some(strand) = Strand::opened(&row, self.seals(), now)? else { continue };
            for (field, kept) in strand.contact.iter().filter(|(field, _)| rules.keeps.contains(field)) {
                let Some(kept) = &kept.0 else { continue };
                let value = self.seals().open_for_whom_it_is_shown((key.site, &key.person), *field, &kept.value, now)?;
                let Some(value) = value.filter(|_| last.get(field).is_none_or(|known| known.moment < kept.moment)) else { continue };
                last.insert(*field, opened(kept, value));
            }
        }
        for (field, kept) in last {
            let shown = Some(said(&kept, Clone::clone));
            match field {
                ContactField::Email => view.email = shown,
                ContactField::Phone => view.phone = shown,
                ContactField::Name => view.name = shown,
            }
        }
        Ok(view)
    }
}

fn opened(kept: &Said<SealedValue>, value: String) -> Said<String> {
    let Said { moment, source, proven, purposes, policy, .. } = kept;
    Said { value, moment: *moment, source: source.clone(), proven: *proven, purposes: *purposes, policy: *policy }
}
