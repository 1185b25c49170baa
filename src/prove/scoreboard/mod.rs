//! The scoreboard: what is aimed at (S1 to S25), each with a target and a figure that was measured here, in this run, or read from the
//! installation that runs, or with the reason why it was not measured. Never anything that was not measured.
//!
//! | file | rows |
//! |---|---|
//! | `elsewhere` | what no run of this command can measure, and where it is measured |
//! | `canaries` | S2, S4 and S5, from the canary run |
//! | `ledger` | S21: bits of the run's own ledger of what left, changed |
//! | `addresses` | S6: the search for addresses, with the key and without |
//! | `workload`, `captured` | synthetic days through the line, and what left of them |
//! | `synthetic` | S4, S7, S9 to S11, S23, of those days |
//! | `attacks` | S8, S12 to S14, of those days: by `singling`, `linking`, `inferring`; `statistics` says what a figure is worth |
//! | `live` | what the running installation says of itself |
//! | `table`, `page` | for the terminal, and for the pack |

pub mod addresses;
pub mod attacks;
pub mod canaries;
pub mod captured;
pub mod elsewhere;
pub mod inferring;
pub mod ledger;
pub mod linking;
pub mod live;
pub mod page;
pub mod singling;
pub mod statistics;
pub mod synthetic;
pub mod table;
pub mod workload;

use std::time::{Duration, Instant};

use serde::Serialize;

use self::{captured::Recipient, live::Live, workload::Workload};
use super::{Outcome, ProveError, Wish, beacons::Target, rehearsal};
use crate::documents::{
    parse::Document,
    store::{Author, DocumentStore},
};

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// S1 to S25; a word behind it where there are several of one.
    pub id: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// What is aimed at.
    pub target: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub found: Found,
    /// Destination by destination, where that says more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// What came of a row.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "measured", rename_all = "snake_case")]
pub enum Found {
    /// In this run.
    Here {
        /// The figure, in words.
        figure: String,
        /// Whether the target is met.
        pass: bool,
        /// Whether on made-up visitors: then it is a check of the method, and says nothing of real ones.
        synthetic: bool,
    },
    /// By the running installation, of its own visitors.
    Live {
        /// The figure, in words.
        figure: String,
        /// Whether the target is met, where the figure decides that.
        pass: Option<bool>,
    },
    /// Not.
    Not {
        /// Why, and where it is.
        why: String,
    },
}

impl Row {
    /// A row that was measured here.
    #[must_use]
    pub const fn here(id: &'static str, what: &'static str, target: &'static str, figure: String, pass: bool) -> Self {
        Self { id, what, target, found: Found::Here { figure, pass, synthetic: false }, details: Vec::new() }
    }

    /// One that was measured on synthetic visitors.
    #[must_use]
    pub const fn synthetic(id: &'static str, what: &'static str, target: &'static str, figure: String, pass: bool) -> Self {
        Self { id, what, target, found: Found::Here { figure, pass, synthetic: true }, details: Vec::new() }
    }

    /// One that was not.
    #[must_use]
    pub fn not(id: &'static str, what: &'static str, target: &'static str, why: impl Into<String>) -> Self {
        Self { id, what, target, found: Found::Not { why: why.into() }, details: Vec::new() }
    }

    /// The same with details.
    #[must_use]
    pub fn with(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    /// Whether it was measured and misses its target.
    #[must_use]
    pub const fn misses(&self) -> bool {
        matches!(self.found, Found::Here { pass: false, .. } | Found::Live { pass: Some(false), .. })
    }

    /// Its verdict, in a word.
    #[must_use]
    pub const fn verdict(&self) -> &'static str {
        match self.found {
            Found::Here { pass: true, .. } | Found::Live { pass: Some(true), .. } => "pass",
            Found::Here { pass: false, .. } | Found::Live { pass: Some(false), .. } => "MISS",
            Found::Live { pass: None, .. } => "live",
            Found::Not { .. } => "–",
        }
    }

    /// Where it was measured, in words.
    #[must_use]
    pub const fn measured(&self) -> &'static str {
        match self.found {
            Found::Here { synthetic: true, .. } => "measured here, on synthetic visitors: a check of the method",
            Found::Here { .. } => "measured here",
            Found::Live { .. } => "measured live, by the running installation",
            Found::Not { .. } => "not measured",
        }
    }

    /// Its figure, or why there is none.
    #[must_use]
    pub fn figure(&self) -> &str {
        match &self.found {
            Found::Here { figure, .. } | Found::Live { figure, .. } => figure,
            Found::Not { why } => why,
        }
    }
}

/// What is asked of the scoreboard.
pub struct Ask {
    /// The site whose visitors are made up; the first, where none is named.
    pub site: Option<String>,
    /// How many come on a day.
    pub visitors: u32,
    /// How long one search for addresses may take; `None`: all of IPv4.
    pub search: Option<Duration>,
    /// Classes of device that are tried with each address.
    pub classes: usize,
}

/// The whole.
#[derive(Clone, Debug, Serialize)]
pub struct Scoreboard {
    /// Row by row.
    pub rows: Vec<Row>,
    /// Of which site.
    pub site: String,
    /// Synthetic visitors a day.
    pub visitors: u32,
    /// Their requests.
    pub requests: u64,
    /// In milliseconds, without the canary run.
    pub took_ms: u64,
}

impl Scoreboard {
    /// Rows that pass, miss, are live without a verdict, and were not measured.
    #[must_use]
    pub fn counts(&self) -> [usize; 4] {
        ["pass", "MISS", "live", "–"].map(|verdict| self.rows.iter().filter(|row| row.verdict() == verdict).count())
    }

    /// How many of S1 to S25 have a figure.
    #[must_use]
    pub fn measured(&self) -> usize {
        let measured = self.rows.iter().filter(|row| !matches!(row.found, Found::Not { .. }));
        let ids: std::collections::BTreeSet<&str> = measured.map(Row::number).collect();
        ids.len()
    }

    /// Those that were measured here and miss.
    pub fn missed_here(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.misses() && matches!(row.found, Found::Here { .. }))
    }
}

impl Row {
    /// Of which of S1 to S25 it is.
    #[must_use]
    pub fn number(&self) -> &str {
        self.id.split(' ').next().unwrap_or(self.id)
    }

    fn place(&self) -> u32 {
        self.number().trim_start_matches('S').parse().unwrap_or(u32::MAX)
    }
}

/// Makes all rows. `outcome` is the canary run's.
///
/// # Errors
/// When there is no such site, or something in memory fails.
pub fn measure(
    wish: &Wish<'_>,
    outcome: &Outcome,
    ask: &Ask,
    live: Option<&Live>,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Scoreboard, ProveError> {
    let began = Instant::now();
    let directory = tempfile::Builder::new().prefix("firsthand-prove-").tempdir()?;
    rehearsal::write_secrets(directory.path())?;
    let documents = rehearsal::for_reading(&wish.documents, directory.path());
    let targets = rehearsal::targets(&documents, wish.config);
    let target = match &ask.site {
        Some(name) => targets.iter().find(|target| target.site == *name).ok_or_else(|| ProveError::NoSuchSite(name.clone()))?,
        None => targets.first().ok_or(ProveError::NoSite)?,
    };
    let mut rows = elsewhere::rows();
    rows.push(canaries::row(outcome));
    rows.push(canaries::memory(outcome));
    rows.push(canaries::grammar(outcome));
    rows.push(ledger::row(outcome));
    rows.push(addresses::row(&documents, target, ask, wish.seed, progress)?);
    let workload = Workload { documents: documents.clone(), target, visitors: ask.visitors, seed: wish.seed };
    let captured = workload.run(progress)?;
    rows.extend(synthetic::rows(&captured));
    rows.extend(attacks::rows(&captured, wish.seed, progress));
    rows.extend(live::rows(live));
    // In the order of their numbers; those of one number as they were made.
    rows.sort_by_key(Row::place);
    Ok(Scoreboard {
        rows,
        site: target.site.clone(),
        visitors: ask.visitors,
        requests: captured.requests,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// The site, compiled.
fn compiled_site(documents: &[Document], target: &Target) -> Result<std::sync::Arc<crate::documents::Site>, ProveError> {
    let state = crate::state::StateDb::open(std::path::Path::new(crate::state::IN_MEMORY))?;
    let store = DocumentStore::new(std::sync::Arc::new(state));
    let author = Author { name: "prove", reason: "a run of `prove` on a copy", at: crate::clock::Timestamp(0) };
    store.apply(documents.to_vec(), false, false, &author)?;
    store.compiled()?.sites.into_iter().find(|site| site.name == target.site).ok_or(ProveError::NoSite)
}

/// The worst of the destinations that get events without a consent, and all of them in words: those with a consent, too, which the target is not
/// for.
fn of_all<T: Copy>(
    recipients: &[Recipient],
    figure: impl Fn(&Recipient) -> Option<T>,
    worse: impl Fn(&T) -> f64,
    says: impl Fn(&T) -> String,
) -> (Result<(T, String), &'static str>, Vec<String>) {
    let mut worst: Option<(T, String)> = None;
    let mut details = Vec::new();
    for recipient in recipients {
        let Some(found) = figure(recipient) else {
            details.push(format!("{}: too little left for it", recipient.name));
            continue;
        };
        let with_consent = if recipient.exempt { "" } else { ", with consent: the target is not for it" };
        details.push(format!("{} ({}{with_consent}): {}", recipient.name, recipient.transform, says(&found)));
        if recipient.exempt && worst.as_ref().is_none_or(|(known, _)| worse(&found) > worse(known)) {
            worst = Some((found, recipient.name.clone()));
        }
    }
    let why = if recipients.iter().any(|recipient| recipient.exempt) { TOO_LITTLE } else { ONLY_WITH_CONSENT };
    (worst.ok_or(why), details)
}

/// Why a row has no figure where there are too few visitors, or too few who came again.
const TOO_LITTLE: &str = "too little left, or too few visitors came again: --visitors makes more";
/// Why a row has no figure where all destinations need a consent.
const ONLY_WITH_CONSENT: &str = "every destination needs a consent, for which this target is not meant; its figures are in the details";
