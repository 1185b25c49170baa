//! Whose key a request comes with, and how much a key, and whoever has none, may ask in how short a time.

use std::{sync::Arc, time::Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::problem::Problem;
use crate::{
    clock::Timestamp,
    documents::{Documents, api_key::ApiKey},
    protocol::server::{bearer, digest},
    server::{Meter, Rate},
};

/// Requests of one key: a call centre's hundred people who look somebody up every five seconds; a nightly run of 100,000 profiles takes
/// 80 minutes.
const OF_A_KEY: Rate = Rate { per_second: 20, burst: 100 };
/// Events of one key: an hour's orders of a large shop, in one request; and what a shop's peak has for good.
const EVENTS_OF_A_KEY: Rate = Rate { per_second: 500, burst: 2_000 };
/// Requests without a valid key, all together: somebody's misconfigured job is told so; nobody who tries keys gets far, and none of 256
/// random bits is found by trying.
const OF_STRANGERS: Rate = Rate { per_second: 5, burst: 50 };
/// Cells of the tables that meter keys. Two keys may share one.
const CELLS: usize = 1_024;

/// Knows keys, and what they have used.
pub(super) struct Authority {
    started: Instant,
    keys: Meter,
    events: Meter,
    strangers: Meter,
}

impl Authority {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            keys: Meter::new(OF_A_KEY, CELLS),
            events: Meter::new(EVENTS_OF_A_KEY, CELLS),
            strangers: Meter::new(OF_STRANGERS, 1),
        }
    }

    /// The key that a request comes with. Whoever has none learns nothing but that.
    pub(super) fn admit(&self, authorization: Option<&str>, documents: &Documents, now: Timestamp) -> Result<Arc<ApiKey>, Problem> {
        let presented = authorization.and_then(bearer).map(digest);
        let key = presented.and_then(|presented| key_of(&documents.api_keys, &presented)).filter(|key| !key.is_over(now));
        let Some(key) = key else {
            self.strangers.take(0, self.elapsed(), 1).map_err(|wait| Problem::too_many(wait.0))?;
            return Err(Problem::no_key());
        };
        self.keys.take(cell(key), self.elapsed(), 1).map_err(|wait| Problem::too_many(wait.0))?;
        Ok(Arc::clone(key))
    }

    /// Takes events from what a key may send.
    pub(super) fn charge(&self, key: &ApiKey, events: usize) -> Result<(), std::time::Duration> {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.events.take(cell(key), self.elapsed(), events).map_err(|wait| wait.0)
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn cell(key: &ApiKey) -> usize {
    let [one, two, ..] = key.fingerprint;
    usize::from(u16::from_le_bytes([one, two])) % CELLS
}

/// Every key is compared with, each in constant time: how long it takes says nothing of any.
fn key_of<'k>(keys: &'k [Arc<ApiKey>], presented: &[u8; 32]) -> Option<&'k Arc<ApiKey>> {
    keys.iter().fold(None, |found, key| if verify_slices_are_equal(&key.fingerprint, presented).is_ok() { Some(key) } else { found })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::StatusCode;

    use super::*;
    use crate::event::SiteNumber;

    fn documents(expires: Option<Timestamp>) -> Documents {
        let key = |name: &str, key: &str| {
            let (name, fingerprint) = (name.to_owned(), digest(key));
            Arc::new(ApiKey { name, site: SiteNumber(1), scopes: BTreeSet::new(), fingerprint, expires })
        };
        Documents { api_keys: vec![key("one", "fhp_one"), key("other", "fhp_other")], ..Documents::default() }
    }

    #[test]
    fn a_key_is_known_until_it_ends_and_nothing_else_is_one() {
        let (authority, now) = (Authority::new(), Timestamp(1_000));
        let admit = |said: Option<&str>, documents: &Documents| authority.admit(said, documents, now).map(|key| key.name.clone());
        let known = documents(None);
        assert_eq!(admit(Some("Bearer fhp_other"), &known).unwrap(), "other");
        assert_eq!(admit(Some("bearer  fhp_one "), &known).unwrap(), "one");
        for wrong in [None, Some("fhp_one"), Some("Basic fhp_one"), Some("Bearer fhp_on"), Some("Bearer fhp_one2"), Some("Bearer ")] {
            assert_eq!(admit(wrong, &known).unwrap_err().status, StatusCode::UNAUTHORIZED, "{wrong:?}");
        }
        let fingerprint = crate::protocol::server::fingerprint("fhp_one");
        assert!(admit(Some(&format!("Bearer {fingerprint}")), &known).is_err(), "what stands in documents is no key");
        assert!(admit(Some("Bearer fhp_one"), &documents(Some(now))).is_err(), "its time is over");
        assert!(admit(Some("Bearer fhp_one"), &documents(Some(Timestamp(1_001)))).is_ok());
    }

    #[test]
    fn who_tries_keys_is_slowed_down_and_nobody_with_one_is() {
        let (authority, known) = (Authority::new(), documents(None));
        let tried = (0..200).map(|_| authority.admit(Some("Bearer fhp_no"), &known, Timestamp(1)).unwrap_err().status);
        assert!(tried.filter(|status| *status == StatusCode::TOO_MANY_REQUESTS).count() > 100);
        assert!(authority.admit(Some("Bearer fhp_one"), &known, Timestamp(1)).is_ok());
        let asked = (0..300).filter(|_| authority.admit(Some("Bearer fhp_one"), &known, Timestamp(1)).is_ok()).count();
        assert!((90..200).contains(&asked), "{asked}");
        assert!(authority.admit(Some("Bearer fhp_other"), &known, Timestamp(1)).is_ok(), "another key has its own");
    }
}
