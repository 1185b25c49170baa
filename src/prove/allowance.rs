//! What may leave, declared before anything is sent: per destination the fields that its preset keeps as they were said, of visitors who
//! agreed. What a policy's deviations keep beyond the preset counts only where the run is told so.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use serde::Serialize;

use super::{
    ProveError,
    canaries::{Canary, Stand},
    rehearsal,
};
use crate::{
    clock::Timestamp,
    documents::{
        Basis,
        parse::Document,
        store::{Author, DocumentStore},
    },
    privacy::{
        policy::{Field, Treatment, Treatments},
        scrub::clicks::Issuers,
    },
    state::{IN_MEMORY, StateDb},
};

/// One field that a destination may have as it was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Exception {
    /// Which destination.
    pub destination: String,
    /// Which field, of visitors who agreed.
    pub field: Field,
    /// Of click ids: whose.
    #[serde(skip)]
    pub clicks: Issuers,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Allowance(BTreeSet<Exception>);

impl Allowance {
    /// Those of documents that are in force; `with_deviations`: what they keep beyond the presets, too.
    ///
    /// # Errors
    /// When the documents do not compile, or there is no place for a made-up secret.
    pub fn of(documents: &[Document], with_deviations: bool) -> Result<Self, ProveError> {
        let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY))?));
        let author = Author { name: "prove", reason: "what may leave", at: Timestamp(0) };
        let directory = tempfile::Builder::new().prefix("firsthand-prove-").tempdir()?;
        rehearsal::write_secrets(directory.path())?;
        store.apply(rehearsal::for_reading(documents, directory.path()), false, false, &author)?;
        let compiled = store.compiled()?;
        let mut exceptions = BTreeSet::new();
        for destination in compiled.destinations.iter().filter(|destination| matches!(destination.basis, Basis::Consent(_))) {
            for site in compiled.sites.iter().filter(|site| destination.sites.contains(&site.number)) {
                let allowed = site.allowed(destination.number);
                let preset = Treatments::of(allowed.breadth, true);
                let table = if with_deviations { allowed.granted } else { preset.least(&allowed.granted) };
                let kept = Field::ALL.into_iter().filter(|field| table.get(*field) == Treatment::Keep);
                exceptions.extend(kept.map(|field| Exception { destination: destination.name.clone(), field, clicks: allowed.clicks }));
            }
        }
        Ok(Self(exceptions))
    }

    /// Each of them, in order.
    pub fn all(&self) -> impl Iterator<Item = &Exception> {
        self.0.iter()
    }

    /// Whether a canary may be at a destination; `None`: at any of them.
    #[must_use]
    pub fn covers(&self, canary: &Canary, destination: Option<&str>) -> bool {
        let Some(field) = canary.field.filter(|_| canary.stand == Stand::Granted) else { return false };
        self.0.iter().any(|exception| {
            // The account is among contact data, as a digest.
            (exception.field == field || exception.field == Field::Contact && field == Field::UserId)
                && canary.issuer.is_none_or(|issuer| exception.clicks.have(issuer))
                && destination.is_none_or(|name| name == exception.destination)
        })
    }
}
