//! `prove`: marked beacons through the live documents, to stand-ins of every destination, and a search for the marks in everything that was
//! sent, stored, printed, shown or kept in memory. Works on a copy in a directory of its own; the running installation is not touched.
//!
//! canaries → spellings → beacons → voice → child (the program under test) → stand_in, places, memory → search → weaken → pack
//!
//! Beside it the scoreboard: `traffic` through the line in memory, attacks on what leaves, and a figure beside each target.

pub mod allowance;
pub mod arrivals;
pub mod beacons;
pub mod broker;
pub mod canaries;
pub mod child;
#[cfg(feature = "kafka")]
pub mod cluster;
pub mod database;
pub mod day_end;
pub mod grammar;
pub mod html;
pub mod memory;
pub mod pack;
pub mod places;
pub mod rehearsal;
pub mod run;
pub mod scanner;
pub mod scoreboard;
pub mod spellings;
pub mod stand_in;
pub mod traffic;
pub mod vantage;
pub mod voice;
pub mod weaken;
pub mod wire;

use std::{collections::BTreeSet, io, path::Path};

use self::{
    allowance::Allowance,
    places::{Leak, Place, Searched},
    run::{Trial, Tried},
    scoreboard::Scoreboard,
    spellings::Spelling,
    vantage::Compared,
    weaken::Weakening,
};
use crate::{
    config::Config,
    documents::{fingerprint::fingerprint, parse::Document, store::DocumentStoreError},
    event_log::LogError,
    privacy::policy::Field,
    state::StoreError,
};

/// Why a run could not be made; that it is red is no error.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// A file, a connection.
    #[error("the run could not go on: {0}")]
    Io(#[from] io::Error),
    /// The documents are wrong, or let more leave without a reason.
    #[error(transparent)]
    Documents(#[from] DocumentStoreError),
    /// A database could not be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The program under test did not start; its own words.
    #[error("the program under test did not start: {0}")]
    Start(String),
    /// It did not stop.
    #[error("the program under test did not stop in time")]
    Stop,
    /// There is no such site.
    #[error("--site {0}: there is no site of that name with a host and an origin\n  fix: `firsthand export` lists them")]
    NoSuchSite(String),
    /// There is nothing to send to.
    #[error("the documents have no site with a host and an origin\n  fix: `firsthand apply FILE` puts one in force")]
    NoSite,
    /// No such destination to pass on to.
    #[error("--tee {0}: there is no destination of that name that sends to an address\n  fix: `firsthand export` lists them")]
    NoTee(String),
    /// A log in memory cannot be opened or read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A place database that the run made is none.
    #[error("the run's own places cannot be read")]
    Places,
    /// A record that the line made is none.
    #[error("a record of the run's own cannot be read")]
    Record,
    /// The line does not take what the run sends.
    #[error("the line did not take a synthetic beacon: {0}")]
    Refused(u16),
}

/// What is wanted.
pub struct Wish<'a> {
    /// The documents in force.
    pub documents: Vec<Document>,
    /// The configuration in force.
    pub config: &'a Config,
    /// The binary to run: this one.
    pub binary: &'a Path,
    /// What canaries are made from.
    pub seed: u64,
    /// At least so many canaries.
    pub canaries: usize,
    /// Whether deviations that keep more than a preset are taken as allowed.
    pub with_deviations: bool,
    /// Whether destinations of missing types are left out.
    pub only_mine: bool,
    /// Destinations whose real receivers get the same.
    pub tee: Vec<String>,
    /// Whether weakened runs are made.
    pub weaken: bool,
}

/// What came of it.
pub struct Outcome {
    /// The hash of the documents in force, as they are, without what the run added.
    pub policy_hash: String,
    /// What canaries were made from.
    pub seed: u64,
    /// Which destinations there were.
    pub destinations: Vec<rehearsal::Rehearsed>,
    /// What was declared that may leave.
    pub allowance: Allowance,
    /// The properties that the policies list: plain words in them may leave, and are no find.
    pub listed_properties: BTreeSet<String>,
    /// How canaries were spelt.
    pub spellings: Vec<Spelling>,
    /// How many canaries each slot had.
    pub rounds: usize,
    /// The run.
    pub tried: Tried,
    /// What had to be found in memory before the day ended.
    pub day_end: day_end::Control,
    /// The weakened runs.
    pub weakened: Vec<Weakened>,
    /// The scoreboard, where it was asked for.
    pub scoreboard: Option<Scoreboard>,
}

/// A weakened run.
pub struct Weakened {
    /// What was weakened.
    pub says: String,
    /// Whether a rule was left out of the program; else a version of the policy was weaker.
    pub by_rule: bool,
    /// Whether it had to go red.
    pub must_show: bool,
    /// The first canary that got out.
    pub example: Option<Leak>,
    /// How many different ones got out.
    pub leaks: usize,
}

impl Outcome {
    /// Why the run is red; nothing: it is green.
    #[must_use]
    pub fn red(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let leaks = self.tried.leaks().count();
        let kept = self.tried.kept.iter().map(|slot| format!("memory of the process: what came in {slot} is kept"));
        if leaks > 0 {
            reasons.push(format!("{leaks} times a canary is where it must not be"));
        }
        reasons.extend(kept);
        for (place, searched) in &self.tried.places {
            reasons.extend(blind(place, searched));
        }
        if self.tried.unanswered > 0 {
            reasons.push(format!("{} of {} beacons were not taken", self.tried.unanswered, self.tried.beacons));
        }
        if !self.tried.grammar.undeclared.is_empty() {
            let names: Vec<&str> = self.tried.grammar.undeclared.iter().take(5).map(String::as_str).collect();
            reasons.push(format!(
                "{} names that no form declares are in what was sent: {}",
                self.tried.grammar.undeclared.len(),
                names.join(", ")
            ));
        }
        reasons.extend(arrivals::missing(&self.tried.arrivals));
        let beside = self.tried.beside.iter().filter(|(_, compared)| !compared.agrees());
        reasons.extend(beside.map(|(name, Compared { captured, told })| {
            format!(
                "{name}: its receiver got {} requests of {} bytes, and the ledger of what left says {} of {}",
                captured.parcels, captured.bytes, told.parcels, told.bytes
            )
        }));
        let blind = self.weakened.iter().filter(|run| run.must_show && run.example.is_none());
        reasons.extend(blind.map(|run| format!("a weakened run stayed green: {}", run.says)));
        reasons
    }
}

/// Whether the search saw what was certain to be there.
fn blind(place: &Place, searched: &Searched) -> Option<String> {
    if searched.not_searched.is_some() {
        return None;
    }
    if searched.recovered < searched.planted || searched.planted == 0 {
        return Some(format!("{}: {} of {} planted controls were found", place.name(), searched.recovered, searched.planted));
    }
    (!searched.genuine).then(|| format!("{}: what is certain to be there was not found", place.name()))
}

/// Makes the run and the weakened ones.
///
/// # Errors
/// When no run can be made at all.
pub fn prove(wish: &Wish<'_>, progress: &mut dyn FnMut(&str, usize, usize)) -> Result<Outcome, ProveError> {
    let documents = rehearsal::with_every_type(wish.documents.clone(), wish.only_mine);
    let tees = rehearsal::tees(&documents, &wish.tee).map_err(ProveError::NoTee)?;
    let targets = rehearsal::targets(&documents, wish.config);
    if targets.is_empty() {
        return Err(ProveError::NoSite);
    }
    let allowance = Allowance::of(&documents, wish.with_deviations)?;
    let rounds = run::rounds_for(wish.canaries, &targets);
    let run = Trial { tees, rounds, ..Trial::small(wish, &documents, &allowance) };
    let mut tried = run::run(&Trial { spellings: &Spelling::ALL, memory: true, ..run }, progress)?;
    let (night, day_end) = day_end::run(&Trial::small(wish, &documents, &allowance), progress)?;
    tried.places.insert(Place::Night, night);
    let known: BTreeSet<&Leak> = tried.leaks().collect();
    let mut weakened = Vec::new();
    if wish.weaken {
        let weakenings = weakenings(&documents, wish.seed, &allowance);
        let of = weakenings.len();
        for (index, Weakening { says, documents, without, at_night, must_show }) in weakenings.into_iter().enumerate() {
            progress("weakened runs", index + 1, of);
            let run = Trial { without: without.as_deref(), ..Trial::small(wish, &documents, &allowance) };
            let found: BTreeSet<Leak> = if at_night {
                day_end::run(&run, &mut |_, _, _| {})?.0.leaks
            } else {
                run::run(&run, &mut |_, _, _| {})?.leaks().cloned().collect()
            };
            // What gets out anyway shows nothing of this weakness, nor does the policy's own text in the store.
            let shows = |leak: &Leak| without.is_some() || matches!(leak.place, Place::Sent(_) | Place::Outbox(_));
            let leaks: BTreeSet<&Leak> = found.iter().filter(|leak| !known.contains(leak) && shows(leak)).collect();
            let example = leaks.iter().min_by_key(|leak| (leak.is_at_an_added_one(), &leak.place, **leak)).map(|leak| (*leak).clone());
            weakened.push(Weakened { says, by_rule: without.is_some(), must_show, leaks: leaks.len(), example });
        }
    }
    Ok(Outcome {
        policy_hash: fingerprint(&wish.documents),
        listed_properties: rehearsal::policies(&wish.documents).flat_map(|policy| policy.properties.keys().cloned()).collect(),
        seed: wish.seed,
        destinations: rehearsal::listed(&documents),
        allowance,
        spellings: Spelling::ALL.to_vec(),
        rounds,
        tried,
        day_end,
        weakened,
        scoreboard: None,
    })
}

#[cfg_attr(not(feature = "proof"), expect(unused_mut, reason = "a build without rules that can be left out has no more"))]
fn weakenings(documents: &[Document], seed: u64, allowance: &Allowance) -> Vec<Weakening> {
    let mut all = weaken::by_policy(documents, seed, |field: Field| kept_everywhere(documents, allowance, field));
    #[cfg(feature = "proof")]
    all.append(&mut weaken::by_rule(documents));
    all
}

/// Whether every destination with the basis `consent` may have a field as it was said.
fn kept_everywhere(documents: &[Document], allowance: &Allowance, field: Field) -> bool {
    rehearsal::destinations(documents)
        .filter(|destination| destination.basis == crate::documents::parse::BasisName::Consent)
        .all(|destination| allowance.all().any(|exception| exception.field == field && exception.destination == destination.name))
}
