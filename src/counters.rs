//! Counters per (site, day, reason): what was stored and what was refused, and why; and which vendors' calls pages made that no shim covers. Added to in RAM, flushed to `state.db` twice a second
//! (a crash may lose that much).

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use foldhash::fast::RandomState;

use crate::{
    clock::Timestamp,
    documents::Documents,
    event::{
        Epoch, SiteNumber,
        shims::{UNCOVERED_CALLS, UncoveredCall},
    },
    metrics::Counter,
    privacy::{enrich::bot::BotClass, keys::visit::LocalDay, refusal::Refusal},
    state::{StateDb, StoreError},
};

/// The reason's name under which stored events are counted.
pub const STORED: &str = "stored";
const REASONS: usize = Refusal::ALL.len() + 1;
const COUNTERS: usize = REASONS + UNCOVERED_CALLS;

/// All counters of all sites.
#[derive(Default)]
pub struct Counters {
    sites: RwLock<HashMap<SiteNumber, Arc<SiteCounters>, RandomState>>,
}

/// One site's counters since the start, and how much of each is flushed.
pub struct SiteCounters {
    /// Stored events by the class of their verdict: none, suspected, declared. Since the start only.
    by_bot_class: [Counter; 3],
    /// Refusals, what was stored, and then the calls that no shim covers.
    counts: [Counter; COUNTERS],
    flushed: [Counter; COUNTERS],
}

impl Default for SiteCounters {
    fn default() -> Self {
        let none = || std::array::from_fn(|_| Counter::default());
        Self { by_bot_class: Default::default(), counts: none(), flushed: none() }
    }
}

impl SiteCounters {
    /// Counts a stored event, and what it looks like.
    pub fn stored(&self, class: Option<BotClass>) {
        self.counts[REASONS - 1].add(1);
        self.by_bot_class[class.map_or(0, |class| 1 + class as usize)].add(1);
    }

    /// How many stored events there were of each class of verdict since the start.
    pub fn by_bot_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["none", "suspected", "declared"].into_iter().zip(self.by_bot_class.iter().map(Counter::value))
    }

    /// Counts refused events.
    pub fn refused(&self, refusal: Refusal, events: u64) {
        self.counts[refusal.index()].add(events);
    }

    /// Every reason's name and count since the start.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().take(REASONS).enumerate().map(|(index, count)| (reason(index), count.value()))
    }

    /// Counts calls that no shim covers.
    pub fn uncovered(&self, call: UncoveredCall, times: u32) {
        self.counts[REASONS + call.index()].add(u64::from(times));
    }

    /// Those calls that were made since the start, and how often.
    pub fn uncovered_values(&self) -> impl Iterator<Item = (UncoveredCall, u64)> {
        UncoveredCall::all().map(|call| (call, self.counts[REASONS + call.index()].value())).filter(|(_, count)| *count > 0)
    }
}

fn reason(index: usize) -> &'static str {
    Refusal::ALL.get(index).map_or(STORED, |refusal| refusal.name())
}

/// Under which name a call that no shim covers is counted: `uncovered gtag.get`.
#[must_use]
pub fn name_of_uncovered(call: UncoveredCall) -> String {
    let (shim, name) = call.names();
    format!("uncovered {shim}.{name}")
}

/// Under which name a counter rests.
fn name(index: usize) -> Cow<'static, str> {
    match UncoveredCall::all().nth(index.wrapping_sub(REASONS)) {
        Some(call) => Cow::Owned(name_of_uncovered(call)),
        None => Cow::Borrowed(reason(index)),
    }
}

impl Counters {
    /// The counters of a site.
    #[must_use]
    pub fn of(&self, site: SiteNumber) -> Arc<SiteCounters> {
        if let Some(counters) = self.sites.read().unwrap_or_else(PoisonError::into_inner).get(&site) {
            return Arc::clone(counters);
        }
        Arc::clone(self.sites.write().unwrap_or_else(PoisonError::into_inner).entry(site).or_default())
    }

    /// Adds what has come since the last flush to the site's local day. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be written; the next flush brings it then.
    pub fn flush(&self, state: &StateDb, documents: &Documents, now: Timestamp) -> Result<(), StoreError> {
        let sites: Vec<_> = {
            let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
            sites.iter().map(|(number, counters)| (*number, Arc::clone(counters))).collect()
        };
        let mut due = Vec::new();
        for (number, counters) in &sites {
            let Some(site) = documents.site(*number) else { continue };
            for (index, count) in counters.counts.iter().enumerate() {
                let more = count.value() - counters.flushed[index].value();
                if more > 0 {
                    due.push((counters, index, more, number.0, LocalDay::of(&site.time_zone, now).epoch));
                }
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        state.with(|connection| {
            let transaction = connection.transaction()?;
            for (_, index, more, site, day) in &due {
                transaction
                    .prepare_cached(
                        "INSERT INTO counters (site, day, reason, count) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (site, day, reason) DO UPDATE SET count = count + excluded.count",
                    )?
                    .execute((site, day.0, name(*index), *more as i64))?;
            }
            transaction.commit()
        })?;
        for (counters, index, more, ..) in due {
            counters.flushed[index].add(more);
        }
        Ok(())
    }

    /// What rests for one site and day.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub fn of_day(state: &StateDb, site: SiteNumber, day: Epoch) -> Result<Vec<(String, u64)>, StoreError> {
        state.with(|connection| {
            let mut select =
                connection.prepare_cached("SELECT reason, count FROM counters WHERE site = ?1 AND day = ?2 ORDER BY reason")?;
            let rows = select.query_map((site.0, day.0), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
            rows.collect()
        })
    }
}
