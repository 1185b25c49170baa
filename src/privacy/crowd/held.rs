//! Decisions about periods that are over, for destinations that wait for that: made once, written before the first event of the period
//! leaves, and the same after a restart.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    Crowds, Frozen, came_from,
    census::WordKind,
    lock, short, store,
    tuple::{Step, Tuple},
    tuple_of,
    whole::{Decision, Stood, WholeCount},
};
use crate::{
    clock::Timestamp,
    documents::{Release, Site},
    event::{DestinationNumber, Epoch, SiteNumber},
    privacy::{
        clean::{CleanEvent, Page},
        policy::{Field, Treatments},
        record::{Header, Subject},
        rules::{Rule, holds},
    },
    state::StoreError,
};

/// The hour of an hourly release.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long after a period's end its records may still be on their way into the log. Later ones are said in the words that were decided.
const GRACE: Duration = Duration::from_secs(60);
/// Decisions that stay in memory; of more, they are read again.
const DECISIONS_MAX: usize = 64;

/// One hour, or one local day of a site, by receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    release: Release,
    /// Hours since 1970 in UTC, or the epoch.
    index: i64,
    epoch: Epoch,
}

impl Period {
    /// The period that an event belongs to. `None`: it does not wait for one.
    #[must_use]
    pub fn of(release: Release, epoch: Epoch, received: Timestamp) -> Option<Self> {
        let index = match release {
            Release::Live => return None,
            Release::Hourly => received.0.div_euclid(HOUR.as_millis() as i64),
            Release::Daily => i64::from(epoch.0),
        };
        Some(Self { release, index, epoch })
    }

    /// Whether it is over and what was received in it is in the log.
    #[must_use]
    pub fn is_over(&self, site: &Site, now: Timestamp) -> bool {
        if !holds(Rule::HeldBackUntilOver) {
            return true;
        }
        let settled = now.minus(GRACE);
        match self.release {
            Release::Live => true,
            Release::Hourly => settled.0.div_euclid(HOUR.as_millis() as i64) > self.index,
            Release::Daily => super::LocalDay::of(&site.time_zone, settled).epoch > self.epoch,
        }
    }

    /// Whether an event of the site belongs to it.
    #[must_use]
    pub fn holds(&self, header: &Header) -> bool {
        Self::of(self.release, header.epoch, header.received).is_some_and(|period| period.index == self.index)
    }
}

/// Whose decision holds for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Who it is decided for.
    pub destination: DestinationNumber,
    /// What it is decided on.
    pub period: Period,
}

/// Site, destination, and which period.
pub(super) type Key = (SiteNumber, DestinationNumber, Release, i64);

impl Hold {
    fn key(&self, site: SiteNumber) -> Key {
        (site, self.destination, self.period.release, self.period.index)
    }
}

/// Counts the events of one period as its destination would get them.
pub struct PeriodCount {
    hold: Hold,
    count: WholeCount,
    places: Arc<Frozen>,
}

impl PeriodCount {
    /// Counts an event that the destination may have.
    pub(in crate::privacy) fn add(&mut self, event: &CleanEvent, site: &Site, consented: bool, policy: &Treatments) {
        let (Subject::Token(id) | Subject::Person(id)) = event.header().subject else { return };
        if !site.policy.crowd.ask(consented) {
            return;
        }
        let body = event.body();
        let granted = body.granted.as_deref().filter(|_| consented && policy.lets(Field::Referrer));
        let referrer = granted.filter(|_| policy.keeps(Field::Referrer)).and_then(|granted| granted.referrer_host.as_deref());
        let tuple = tuple_of(body, came_from(granted));
        // A country needs its visitors of a week, whatever the period had.
        let tuple = if self.places.vocabulary.has(WordKind::Place, tuple.country.code()) { tuple } else { tuple.without(Step::Place) };
        let routes = &site.policy.routes;
        let page = body.page.as_ref().map(Page::path).map(|path| routes.template(path).unwrap_or(path));
        self.count.add(&Stood { visitor: short(&id), tuple, page, referrer });
    }
}

/// What may be said of an event.
pub(super) enum Sayable {
    ByTheDaysBefore(Arc<Frozen>),
    ByThePeriod(Arc<Decision>),
}

impl Sayable {
    pub(super) fn say(&self, tuple: Tuple) -> Tuple {
        match self {
            Self::ByTheDaysBefore(frozen) => frozen.vocabulary.say(tuple, &frozen.rules),
            Self::ByThePeriod(decision) => decision.say(tuple),
        }
    }

    pub(super) fn has(&self, kind: WordKind, word: &str) -> bool {
        match self {
            Self::ByTheDaysBefore(frozen) => frozen.vocabulary.has(kind, word),
            Self::ByThePeriod(decision) => decision.has(kind, word),
        }
    }
}

/// Decisions in memory.
#[derive(Default)]
pub(super) struct Held {
    decisions: Mutex<HashMap<Key, Arc<Decision>>>,
}

impl Crowds {
    /// Begins to count a period. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be used.
    pub fn count_period(&self, site: &Site, hold: Hold) -> Result<PeriodCount, StoreError> {
        let places = self.vocabulary(site, hold.period.epoch)?;
        Ok(PeriodCount { hold, count: WholeCount::new(&site.policy.crowd), places })
    }

    /// Whether it is decided what may be said of a period. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be used.
    pub fn is_decided(&self, site: SiteNumber, hold: Hold) -> Result<bool, StoreError> {
        Ok(self.state.is_none() || self.decision(site, hold)?.is_some())
    }

    /// Decides, durably, unless it is decided: what has left by a decision is never counted again. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be written.
    pub fn decide(&self, site: SiteNumber, counted: PeriodCount) -> Result<(), StoreError> {
        let Some(state) = &self.state else { return Ok(()) };
        let (hold, decision) = (counted.hold, counted.count.decide());
        state.with(|connection| store::write_decision(connection, &hold.key(site), hold.period.epoch, &decision))
    }

    /// What may be said of an event: of one that was held back and is not decided on, nothing.
    pub(super) fn sayable(&self, site: &Site, epoch: Epoch, held: Option<Hold>) -> Result<Sayable, StoreError> {
        let Some(hold) = held.filter(|_| self.state.is_some()) else {
            return Ok(Sayable::ByTheDaysBefore(self.vocabulary(site, epoch)?));
        };
        let decision = self.decision(site.number, hold)?.filter(|decision| decision.is_by(&site.policy.crowd));
        Ok(Sayable::ByThePeriod(decision.unwrap_or_default()))
    }

    fn decision(&self, site: SiteNumber, hold: Hold) -> Result<Option<Arc<Decision>>, StoreError> {
        let Some(state) = &self.state else { return Ok(None) };
        let key = hold.key(site);
        if let Some(decision) = lock(&self.held.decisions).get(&key) {
            return Ok(Some(Arc::clone(decision)));
        }
        let Some(decision) = state.with(|connection| store::read_decision(connection, &key))? else { return Ok(None) };
        let decision = Arc::new(decision);
        let mut decisions = lock(&self.held.decisions);
        if decisions.len() >= DECISIONS_MAX {
            decisions.clear();
        }
        decisions.insert(key, Arc::clone(&decision));
        Ok(Some(decision))
    }
}
