//! What a page of the site asks to be personalised by: listed traits of its visitor's own profile. By our cookie alone, which no script can read; from the
//! very origin that is asked; and the same answer whether there is nobody, nothing, or no consent.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{StatusCode, header};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    documents::Site,
    pipeline::Pipeline,
    privacy::consent::{ConsentSignal, evidence::Evidence},
    profile::Profiles,
    protocol::{Reply, inbound::Inbound},
    supervise::Supervisor,
};

/// Profiles that are opened at a time: each reads up to some hundred rows, and beacons go first.
const AT_ONCE: usize = 8;
/// How long a page waits that comes while there is no room.
const LATER: Duration = Duration::from_secs(2);

/// Answers pages.
pub(super) struct Lookups {
    profiles: Arc<Profiles>,
    supervisor: Supervisor,
    room: Semaphore,
}

impl Lookups {
    pub(super) fn new(profiles: Arc<Profiles>, supervisor: Supervisor) -> Self {
        Self { profiles, supervisor, room: Semaphore::new(AT_ONCE) }
    }

    /// The traits that the site's document lists, as far as they are known of this browser's visitor; or `{}`.
    pub(super) async fn answer(&self, pipeline: &Pipeline, site: &Site, inbound: &Inbound) -> Reply {
        let Some(traits) = self.traits(pipeline, site, inbound).await else {
            return private(Reply::later(StatusCode::SERVICE_UNAVAILABLE, LATER));
        };
        private(Reply::json(if traits.is_empty() { String::from("{}") } else { json!({ "traits": traits }).to_string() }))
    }

    /// Nothing: it cannot be said now, of nobody.
    async fn traits(&self, pipeline: &Pipeline, site: &Site, inbound: &Inbound) -> Option<serde_json::Map<String, serde_json::Value>> {
        let documents = pipeline.documents.load_full();
        let Some(rules) = documents.profile_of(site.number).filter(|rules| !rules.lookup.is_empty()).cloned() else {
            return Some(serde_json::Map::new());
        };
        // Before anything is known of whoever asks, so that nothing is told by it.
        let _place = self.room.try_acquire().ok()?;
        let (arrival, now) = (inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default()), inbound.received());
        let Some(person) = pipeline.visitors.customer(&arrival, site, now).await.ok()? else { return Some(serde_json::Map::new()) };
        let profiles = Arc::clone(&self.profiles);
        self.supervisor.blocking(move || profiles.lookup(&rules, &person, now)).await.ok()
    }
}

/// It is for one browser, and for now.
fn private(mut reply: Reply) -> Reply {
    reply.headers.retain(|(name, _)| *name != header::CACHE_CONTROL);
    reply.headers.push((header::CACHE_CONTROL, Cow::Borrowed("private, no-store")));
    reply
}
