//! Counters per (site, day, reason): what was stored and what was refused, and why; which vendors' calls pages made that no shim covers; and in which visits vendors' own tags ran. Added to in RAM, flushed to `state.db` twice a second
//! (a crash may lose that much).

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use foldhash::fast::RandomState;

use crate::{
    clock::Timestamp,
    documents::{Documents, Site},
    event::{
        Epoch, SiteNumber,
        aside::{TAGS, Tag},
        shims::{UNCOVERED_CALLS, UncoveredCall},
    },
    metrics::Counter,
    privacy::{
        enrich::{bot::BotClass, device::Browser},
        keys::visit::LocalDay,
        refusal::Refusal,
        tellers::Tellers,
        visitor::Visitor,
    },
    state::{StateDb, StoreError},
};

/// The reason's name under which stored events are counted.
pub const STORED: &str = "stored";
/// Counts are kept this long, as the ledger's are: 36 months.
const KEPT_DAYS: i32 = 3 * 366;
const REASONS: usize = Refusal::ALL.len() + 1;
const BROWSERS: usize = Browser::ALL.len();
/// Where those of tags begin: each by family of browsers, and by whether it ran.
const OF_TAGS: usize = REASONS + UNCOVERED_CALLS;
const COUNTERS: usize = OF_TAGS + TAGS * BROWSERS * 2;

/// All counters of all sites.
#[derive(Default)]
pub struct Counters {
    sites: RwLock<HashMap<SiteNumber, Arc<SiteCounters>, RandomState>>,
    tellers: Tellers,
}

/// One site's counters since the start, and how much of each is flushed.
pub struct SiteCounters {
    /// Stored events by the class of their verdict: none, suspected, declared. Since the start only.
    by_bot_class: [Counter; 3],
    /// Refusals, what was stored, then the calls that no shim covers, then visits by tag.
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

/// Under which name a visit is counted in which a vendor's own tag ran, or did not.
#[must_use]
pub fn name_of_tag(tag: Tag, browser: Browser, ran: bool) -> String {
    format!("tag {} {} {}", tag.name(), browser.name(), if ran { "ran" } else { "missed" })
}

const fn index_of_tag(tag: Tag, browser: Browser, ran: bool) -> usize {
    OF_TAGS + (tag.index() * BROWSERS + browser as usize) * 2 + ran as usize
}

/// Under which name a counter rests.
fn name(index: usize) -> Cow<'static, str> {
    if let Some(of_tags) = index.checked_sub(OF_TAGS) {
        let browser = Browser::ALL[of_tags / 2 % BROWSERS];
        let tag = Tag::all().nth(of_tags / 2 / BROWSERS);
        return tag.map_or(Cow::Borrowed(STORED), |tag| Cow::Owned(name_of_tag(tag, browser, of_tags % 2 == 1)));
    }
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

    /// Counts a visit by whether vendors' own tags ran in it, as far as the site measures them: as its first page that tells says.
    pub fn tell(&self, site: &Site, visitor: &Visitor, browser: Browser, tags: &[(Tag, bool)], now: Timestamp) {
        let is_measured = |tag: Tag| site.snippet.measure_recovery.iter().any(|vendor| vendor.name() == tag.name());
        let mut measured = tags.iter().filter(|(tag, _)| is_measured(*tag)).peekable();
        if measured.peek().is_some() && self.tellers.is_first(site.number, visitor, now) {
            let counters = self.of(site.number);
            measured.for_each(|(tag, ran)| counters.counts[index_of_tag(*tag, browser, *ran)].add(1));
        }
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

    /// Drops what has been kept for long enough.
    ///
    /// # Errors
    /// When `state.db` cannot be written; the next round does it then.
    pub fn forget_old(state: &StateDb, today: Epoch) -> Result<(), StoreError> {
        state.with(|connection| connection.execute("DELETE FROM counters WHERE day < ?1", [today.0 - KEPT_DAYS]).map(drop))
    }

    /// What rests for one site from a day on, summed.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub fn since(state: &StateDb, site: SiteNumber, from: Epoch) -> Result<Vec<(String, u64)>, StoreError> {
        state.with(|connection| {
            let mut select =
                connection.prepare_cached("SELECT reason, sum(count) FROM counters WHERE site = ?1 AND day >= ?2 GROUP BY reason")?;
            let rows = select.query_map((site.0, from.0), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
            rows.collect()
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_for_36_months() {
        let state = StateDb::open(std::path::Path::new(crate::state::IN_MEMORY)).unwrap();
        let insert = "INSERT INTO counters (site, day, reason, count) VALUES (1, ?1, 'stored', 1)";
        for day in [1_000, 3_902, 3_901, 5_000] {
            state.with(|connection| connection.execute(insert, [day])).unwrap();
        }
        Counters::forget_old(&state, Epoch(5_000)).unwrap();
        assert_eq!(Counters::since(&state, SiteNumber(1), Epoch(0)).unwrap(), [(String::from("stored"), 2)]);
    }

    #[test]
    fn every_counter_has_a_name_of_its_own() {
        let names: std::collections::HashSet<_> = (0..COUNTERS).map(name).collect();
        assert_eq!(names.len(), COUNTERS);
        let meta = Tag::named("meta").unwrap();
        assert_eq!(name(index_of_tag(meta, Browser::Safari, false)), "tag meta safari missed");
        assert_eq!(name(index_of_tag(meta, Browser::Safari, true)), name_of_tag(meta, Browser::Safari, true));
    }
}
