//! Newcomers: people in the moment between their first yes and the cookie that answers it. A vendor's library may say several things at
//! once then, or say one again whose answer was lost; none of these requests has a cookie yet, and each would make a person of its own. The
//! library's own id of the browser, said with a yes, tells for a minute that they are one.
//!
//! The table is in RAM, holds that id as a keyed hash only, and serves nobody who has not agreed: no token is ever in it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::OnceCell;

use super::{
    hand_over::bytes::{Unread, Unreadable, Written},
    keys::person::Person,
};
use crate::{clock::Timestamp, event::SiteNumber};

/// A newcomer is known at least this long, at most twice as long: a library's first retries fall into it.
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// Newcomers in one generation; there are two. When it is full, the older generation goes early.
const NEWCOMERS_MAX: usize = 10_000;

/// A person made at a first yes, with the cookie that answers it.
#[derive(Clone)]
pub(in crate::privacy) struct Newcomer {
    /// The cookie's id.
    pub(in crate::privacy) cookie_id: [u8; 16],
    /// Their key. The cookie ends with it, whichever of the answers sets it.
    pub(in crate::privacy) person: Arc<Person>,
}

/// Filled by the first of several requests; the others wait for it.
pub(in crate::privacy) type Making = Arc<OnceCell<Newcomer>>;

/// All newcomers of the last minute or two.
#[derive(Default)]
pub(in crate::privacy) struct Newcomers {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    newer: HashMap<(SiteNumber, [u8; 16]), Making>,
    older: HashMap<(SiteNumber, [u8; 16]), Making>,
    turned: Option<Timestamp>,
}

impl Newcomers {
    /// The newcomer of this browser, made already, or to be made by whoever comes first. One who is not `wanted` any more is forgotten.
    pub(in crate::privacy) fn of(
        &self,
        site: SiteNumber,
        browser: [u8; 16],
        now: Timestamp,
        wanted: impl FnOnce(&Newcomer) -> bool,
    ) -> Making {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let turned = *generations.turned.get_or_insert(now);
        if now.since(turned) >= KNOWN_FOR || generations.newer.len() >= NEWCOMERS_MAX {
            generations.older = std::mem::take(&mut generations.newer);
            if now.since(turned) >= 2 * KNOWN_FOR {
                generations.older.clear();
            }
            generations.turned = Some(now);
        }
        let key = (site, browser);
        let known = generations.newer.get(&key).or_else(|| generations.older.get(&key)).map(Arc::clone);
        match known.filter(|making| making.get().is_none_or(wanted)) {
            Some(making) => making,
            None => {
                let making = Making::default();
                generations.newer.insert(key, Arc::clone(&making));
                making
            }
        }
    }

    /// Writes those who have been made down for the process that takes over.
    pub(in crate::privacy) fn give(&self, to: &mut Written) {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        to.optional(generations.turned, Written::moment);
        for generation in [&generations.newer, &generations.older] {
            let made: Vec<_> = generation.iter().filter_map(|(key, making)| Some((key, making.get()?))).collect();
            to.count(made.len());
            for ((site, browser), newcomer) in made {
                to.u32(site.0);
                to.bytes(browser);
                to.bytes(&newcomer.cookie_id);
            }
        }
    }

    /// Takes over those of the process before. Who is not found as a person any more is left out.
    ///
    /// # Errors
    /// When what it wrote cannot be read.
    pub(in crate::privacy) fn take(
        &self,
        from: &mut Unread<'_>,
        mut find: impl FnMut(SiteNumber, &[u8; 16]) -> Option<Arc<Person>>,
    ) -> Result<(), Unreadable> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { newer, older, turned } = &mut *generations;
        *turned = from.optional(Unread::moment)?;
        for generation in [newer, older] {
            for _ in 0..from.count()? {
                let (site, browser, cookie_id) = (SiteNumber(from.u32()?), *from.array()?, *from.array()?);
                if let Some(person) = find(site, &cookie_id) {
                    generation.insert((site, browser), Arc::new(OnceCell::new_with(Some(Newcomer { cookie_id, person }))));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_browser_is_one_newcomer_for_a_minute_or_two() {
        let newcomers = Newcomers::default();
        let seconds = |seconds: i64| Timestamp(seconds * 1000);
        let of = |site, browser, moment| newcomers.of(SiteNumber(site), [browser; 16], moment, |_| true);
        let first = of(1, 7, seconds(0));
        assert!(Arc::ptr_eq(&first, &of(1, 7, seconds(59))));
        assert!(!Arc::ptr_eq(&first, &of(1, 8, seconds(59))) && !Arc::ptr_eq(&first, &of(2, 7, seconds(59))));
        assert!(Arc::ptr_eq(&first, &of(1, 7, seconds(61))), "the older generation");
        assert!(!Arc::ptr_eq(&first, &of(1, 7, seconds(200))));
    }

    #[test]
    fn the_table_is_bounded() {
        let newcomers = Newcomers::default();
        for browser in 0..30_000u32 {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&browser.to_le_bytes());
            newcomers.of(SiteNumber(1), id, Timestamp(0), |_| true);
        }
        let generations = newcomers.generations.lock().unwrap();
        assert!(generations.newer.len() <= NEWCOMERS_MAX && generations.older.len() <= NEWCOMERS_MAX);
    }
}
