//! What the console asks for: metrics, health and today's numbers, gathered from the parts.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    alerts::{Alerts, judge::Figures},
    clock::{self, Timestamp, agreement::Agreement},
    console::{
        Sources,
        overview::{
            self, AlertOverview, CrowdOverview, DestinationOverview, EgressOverview, Health, LeftOverview, LogOverview, MissedOverview,
            Overview, ProfilesOverview, RecleanseOverview, RefusedCount, ReleasedOverview, SiteOverview, UncoveredCount,
        },
    },
    counters::{self, Counters},
    delivery::{
        Delivery,
        status::{self, CourierState, DestinationStatus},
    },
    documents::Site,
    egress::{Day, closing::EgressLedger},
    event::{Epoch, shims::UncoveredCall},
    event_log::LogState,
    metrics::Exposition,
    pipeline::Pipeline,
    privacy::{
        crowd::{ReleasedDay, VocabularySize},
        keys::visit::LocalDay,
        refusal::Refusal,
        uniques::Estimate,
    },
    profile::projector,
    recleanse::Recleanse,
    recovery::{self, Missed},
    server::{Looks, ServerMetrics, tls::Tls},
    state::{StateDb, StoreError},
};

/// The parts that are asked.
pub struct Report {
    /// Counters, log, documents, keys.
    pub pipeline: Arc<Pipeline>,
    /// The couriers.
    pub delivery: Arc<Delivery>,
    /// Counters at rest.
    pub state: Arc<StateDb>,
    /// Connections and answers.
    pub server: Arc<ServerMetrics>,
    /// Looks from outside.
    pub looks: Arc<Looks>,
    /// The encrypted listeners' certificate.
    pub tls: Option<Arc<Tls>>,
    /// How far what is stored is brought to the documents in force.
    pub recleanse: Arc<Recleanse>,
    /// What left.
    pub egress: EgressLedger,
    /// What calls for a person.
    pub alerts: Arc<Alerts>,
    /// Whether the wall clock may be believed.
    pub agreement: Arc<Agreement>,
    /// How the profile store's reading stands.
    pub projecting: Arc<projector::Gauges>,
}

impl Report {
    /// The same, as the console wants it.
    #[must_use]
    pub fn sources(self: Arc<Self>) -> Sources {
        let (metrics, health, overview, looks) = (Arc::clone(&self), Arc::clone(&self), Arc::clone(&self), Arc::clone(&self.looks));
        Sources {
            looks,
            metrics: Arc::new(move || metrics.metrics()),
            health: Arc::new(move || health.health()),
            overview: Arc::new(move || overview.overview(clock::now())),
        }
    }

    fn metrics(&self) -> String {
        let mut text = Exposition::default();
        let documents = self.pipeline.documents.load();
        for site in &documents.sites {
            for (reason, count) in self.pipeline.counters.of(site.number).values() {
                let help = "Events by what became of them at the door.";
                text.sample("firsthand_events_total", "counter", help, &[("site", &site.name), ("end", reason)], count);
            }
        }
        for site in &documents.sites {
            for (class, count) in self.pipeline.counters.of(site.number).by_bot_class() {
                let help = "Stored events by whether a program seems to have sent them.";
                text.sample("firsthand_events_by_bot_class_total", "counter", help, &[("site", &site.name), ("class", class)], count);
            }
        }
        for site in &documents.sites {
            for (call, count) in self.pipeline.counters.of(site.number).uncovered_values() {
                let ((shim, call), help) = (call.names(), "Vendors' calls that pages made and no shim covers.");
                text.sample(
                    "firsthand_uncovered_calls_total",
                    "counter",
                    help,
                    &[("site", &site.name), ("shim", shim), ("call", call)],
                    count,
                );
            }
        }
        for site in &documents.sites {
            let breaks = self.epoch_breaks(site, clock::now()).unwrap_or(0);
            let help = "How often the day's key was lost today; visitors before and after count as different ones.";
            text.sample("firsthand_epoch_breaks", "gauge", help, &[("site", &site.name)], breaks);
            let Estimate { visitors, visits } = self.uniques(site, clock::now());
            let help = "Different visitors of the site's day so far, by our own count (within 2 %).";
            text.sample("firsthand_visitors", "gauge", help, &[("site", &site.name)], visitors);
            let help = "Visits of the site's day so far, by our own count (within 2 %).";
            text.sample("firsthand_visits", "gauge", help, &[("site", &site.name)], visits);
        }
        let help = "1: the wall clock is steady. 0: it was set, and nothing is destroyed by the calendar until it has been steady for ten minutes.";
        text.sample("firsthand_clock_agrees", "gauge", help, &[], u64::from(self.agreement.holds()));
        if let Some(validity) = self.tls.as_ref().and_then(|tls| tls.validity()) {
            let help = "When the certificate that is served ends, in seconds since 1970.";
            text.sample(
                "firsthand_certificate_ends_timestamp_seconds",
                "gauge",
                help,
                &[],
                u64::try_from(validity.until.seconds()).unwrap_or(0),
            );
        }
        if let Some(built) = self.pipeline.places.load().built() {
            let days = clock::now().since(built).as_secs() / 86_400;
            text.sample("firsthand_place_database_age_days", "gauge", "How old the place database in use is, by its own date.", &[], days);
        }
        self.expose_crowds(&documents.sites, &mut text);
        let help = "The longest that a day's key has lived since the program began: without a lasting id, events further apart share none.";
        let longest = self.pipeline.visitors.visit_keys().longest_life().as_secs();
        text.sample("firsthand_visit_key_longest_seconds", "gauge", help, &[], longest);
        let locked = u64::from(self.pipeline.visitors.visit_keys().all_locked() && self.pipeline.envelopes.all_locked());
        text.sample("firsthand_keys_locked", "gauge", "1 when every key in use could be locked into memory.", &[], locked);
        let help = "Withdrawals that were carried out and could not be put on record.";
        text.sample("firsthand_consent_proof_unwritten_total", "counter", help, &[], self.pipeline.visitors.proof().unwritten());
        let log = self.pipeline.log.stats();
        let samples: [(&'static str, &str, &str, u64); 10] = [
            ("firsthand_log_appended_total", "counter", "Records made durable.", log.records),
            ("firsthand_log_bytes_total", "counter", "Bytes made durable.", log.bytes),
            ("firsthand_log_commits_total", "counter", "Group commits.", log.commits),
            ("firsthand_log_syncs_total", "counter", "Syncs to the disk.", log.syncs),
            ("firsthand_log_sync_errors_total", "counter", "Commits that the disk did not take or sync.", log.sync_errors),
            ("firsthand_log_full_errors_total", "counter", "Commits that found the disk full.", log.full_errors),
            ("firsthand_log_dedup_overflow_total", "counter", "Event ids forgotten early by deduplication.", log.dedup_overflow),
            ("firsthand_log_corruptions_total", "counter", "Places at which durable records are unreadable.", log.corruptions),
            ("firsthand_log_segments", "gauge", "Log segments.", log.segments),
            ("firsthand_log_stored_bytes", "gauge", "Bytes in them.", log.stored_bytes),
        ];
        for (name, kind, help, value) in samples {
            text.sample(name, kind, help, &[], value);
        }
        let recleanse = self.recleanse.progress();
        let help = "Log segments that are still to be brought to what may rest under the documents in force.";
        text.sample("firsthand_recleanse_segments_left", "gauge", help, &[], recleanse.segments.saturating_sub(recleanse.segments_done));
        let help = "1 while what is stored is being brought to what may rest under the documents in force.";
        text.sample("firsthand_recleanse_running", "gauge", help, &[], u64::from(!recleanse.is_over()));
        let help = "Stored records that narrower ones took the place of.";
        text.sample("firsthand_recleanse_replaced_total", "counter", help, &[], self.recleanse.replaced());
        status::expose(&self.delivery.status(clock::now()), &mut text);
        self.projecting.write(&mut text);
        self.alerts.write(&mut text);
        self.server.write(&mut text);
        text.into_text()
    }

    fn health(&self) -> Health {
        let mut reasons = Vec::new();
        match self.pipeline.log.stats().state {
            LogState::Accepting => {}
            LogState::Full => reasons.push("the disk is full: nothing can be taken in until there is room"),
            LogState::Repairing => reasons.push("a sync to the disk failed: the log is being reopened and verified"),
            LogState::Closed => reasons.push("the program is stopping"),
        }
        Health { ready: reasons.is_empty(), reasons }
    }

    fn overview(&self, now: Timestamp) -> Overview {
        let documents = self.pipeline.documents.load();
        let statuses = self.delivery.status(now);
        let log = self.pipeline.log.stats();
        // What cannot be read is shown as nothing; the log says why.
        let left = self.egress.open_records().unwrap_or_default();
        let today = left.iter().find(|(day, _)| *day == Day::of(now)).map_or(&[][..], |(_, records)| records);
        let destinations = documents.destinations.iter().map(|document| {
            let mut destination = DestinationOverview::new(document.name.clone(), document.kind, document.basis, document.transform);
            if let Some(status) = statuses.iter().find(|status| status.name == document.name) {
                take_over(&mut destination, status);
            }
            if let Some(record) = today.iter().find(|record| record.number == document.number.0) {
                let (parcels, events, bytes) = (record.sent("parcels"), record.sent("events"), record.sent("bytes"));
                destination.left = LeftOverview { parcels, events, bytes, fields: record.fields().len(), schemas: record.schemas.len() };
            }
            destination
        });
        Overview {
            at: now,
            sites: documents.sites.iter().map(|site| self.site(site, now)).collect(),
            destinations: destinations.collect(),
            log: LogOverview {
                records: log.records,
                events_per_sync: if log.syncs == 0 { 0.0 } else { log.records as f64 / log.syncs as f64 },
                state: match log.state {
                    LogState::Accepting => overview::LogState::Open,
                    LogState::Full => overview::LogState::Full,
                    LogState::Repairing | LogState::Closed => overview::LogState::Failed,
                },
            },
            recleanse: self.recleansing(),
            egress: self.closed_days(),
            profiles: self.profiles(),
            alerts: self
                .alerts
                .raised()
                .into_iter()
                .map(|(condition, about, since)| AlertOverview::new(condition.name(), about, condition.says(), since))
                .collect(),
        }
    }

    /// What alerts are judged by.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let documents = self.pipeline.documents.load();
        let stored = |site: &Arc<Site>| {
            self.pipeline.counters.of(site.number).values().filter(|(end, _)| *end == counters::STORED).map(|(_, count)| count).sum()
        };
        Figures {
            sites: documents.sites.iter().map(|site| (site.name.clone(), stored(site))).collect(),
            destinations: self.delivery.status(clock::now()),
            log: self.pipeline.log.stats().state,
            keys_locked: self.pipeline.visitors.visit_keys().all_locked() && self.pipeline.envelopes.all_locked(),
            certificate_ends_soon: self
                .tls
                .as_ref()
                .and_then(|tls| tls.validity())
                .is_some_and(|validity| validity.ends_soon(clock::now())),
        }
    }

    fn profiles(&self) -> Option<ProfilesOverview> {
        let projecting = &self.projecting;
        projecting.on.load(Ordering::Relaxed).then(|| ProfilesOverview {
            state: if projecting.stuck.load(Ordering::Relaxed) { overview::CourierState::Waiting } else { overview::CourierState::Running },
            lag: projecting.lag.load(Ordering::Relaxed),
            taken: projecting.taken.load(Ordering::Relaxed),
            removed: projecting.removed.load(Ordering::Relaxed),
        })
    }

    fn closed_days(&self) -> EgressOverview {
        let closed = self.egress.last_closed().ok().flatten();
        EgressOverview { entries: closed.map_or(0, |(head, _)| head.number), last: closed.map(|(_, day)| day.to_string()) }
    }

    fn recleansing(&self) -> RecleanseOverview {
        let progress = self.recleanse.progress();
        RecleanseOverview {
            running: !progress.is_over(),
            because: progress.cause.explanation(),
            revision: progress.revision,
            began: progress.began,
            ended: progress.ended,
            segments: progress.segments,
            segments_done: progress.segments_done,
            replaced: progress.replaced,
        }
    }

    fn site(&self, site: &Site, now: Timestamp) -> SiteOverview {
        let day = LocalDay::of(&site.time_zone, now).epoch;
        // What cannot be read is shown as nothing counted; the health page says why.
        let counts: BTreeMap<String, u64> = Counters::of_day(&self.state, site.number, day).unwrap_or_default().into_iter().collect();
        let refused = Refusal::ALL.into_iter().filter_map(|reason| Some(RefusedCount::new(reason, *counts.get(reason.name())?)));
        let uncovered = UncoveredCall::all().filter_map(|call| {
            let ((shim, name), count) = (call.names(), *counts.get(&counters::name_of_uncovered(call))?);
            Some(UncoveredCount { shim, call: name, count })
        });
        let Estimate { visitors, visits } = self.uniques(site, now);
        SiteOverview {
            name: site.name.clone(),
            stored: counts.get(counters::STORED).copied().unwrap_or(0),
            refused: refused.collect(),
            uncovered: uncovered.collect(),
            missed: recovery::of_site(&self.state, site, Epoch(day.0 - recovery::DAYS + 1))
                .unwrap_or_default()
                .iter()
                .map(missed)
                .collect(),
            epoch_breaks: self.epoch_breaks(site, now).unwrap_or(0),
            visitors,
            visits,
            crowds: self.crowds(site, day),
        }
    }

    fn crowds(&self, site: &Site, day: Epoch) -> CrowdOverview {
        let crowds = &self.pipeline.crowds;
        let visitors = site.policy.crowd.visitors;
        let VocabularySize { tuples, pages, places, fewest_in_place } = crowds.vocabulary_size(site, day).unwrap_or_default();
        let documents = self.pipeline.documents.load();
        let served = documents.destinations.iter().filter(|destination| destination.sites.contains(&site.number));
        let released = served.filter_map(|destination| {
            let ReleasedDay { events, in_crowds, suppressed, smallest: _ } = crowds.released(site, destination.number, day);
            (events > 0).then(|| (destination.name.clone(), ReleasedOverview { events, in_crowds, suppressed }))
        });
        CrowdOverview {
            visitors,
            tuples,
            pages,
            places,
            fewest_in_place,
            none_yet: visitors > 1 && tuples == 0,
            released: released.collect(),
        }
    }

    fn expose_crowds(&self, sites: &[Arc<Site>], text: &mut Exposition) {
        let today = |site: &Arc<Site>| LocalDay::of(&site.time_zone, clock::now()).epoch;
        let crowds: Vec<_> = sites.iter().map(|site| (site.name.as_str(), self.crowds(site, today(site)))).collect();
        for (site, crowds) in &crowds {
            for (kind, size) in [("tuple", crowds.tuples), ("page", crowds.pages), ("place", crowds.places)] {
                let help = "What may be said today: what a crowd had in the seven days before.";
                text.sample("firsthand_crowd_vocabulary", "gauge", help, &[("site", site), ("kind", kind)], size as u64);
            }
        }
        for (site, crowds) in &crowds {
            if let Some(visitors) = crowds.fewest_in_place {
                let help = "At least so many visitors of the seven days before were in each place that may be named today.";
                text.sample("firsthand_crowd_place_visitors_min", "gauge", help, &[("site", site)], visitors);
            }
        }
        let released: Vec<_> =
            crowds.iter().flat_map(|(site, crowds)| crowds.released.iter().map(move |(name, day)| (*site, name.as_str(), day))).collect();
        for (site, destination, day) in &released {
            for (stands, events) in [("crowd", day.in_crowds), ("smaller", day.events - day.in_crowds)] {
                let labels = [("site", *site), ("destination", destination), ("cell", stands)];
                text.sample("firsthand_crowd_events", "gauge", "Today's disclosures by the cell that they stand in.", &labels, events);
            }
        }
        for (site, destination, day) in &released {
            for (field, events) in &day.suppressed {
                let labels = [("site", *site), ("destination", destination), ("field", field)];
                let help = "Today's disclosures in which a field was withheld for want of a crowd.";
                text.sample("firsthand_crowd_suppressed", "gauge", help, &labels, *events);
            }
        }
    }

    fn uniques(&self, site: &Site, now: Timestamp) -> Estimate {
        self.pipeline.uniques.estimate(site.number, LocalDay::of(&site.time_zone, now).epoch).unwrap_or_default()
    }

    fn epoch_breaks(&self, site: &Site, now: Timestamp) -> Result<u64, StoreError> {
        epoch_breaks(&self.state, site, LocalDay::of(&site.time_zone, now).epoch)
    }
}

/// The same for the console.
fn missed(group: &Missed) -> MissedOverview {
    let Missed { tag, browser, visits, missed, share, low, high } = *group;
    MissedOverview { tag, browser, visits, missed, share, low, high }
}

/// How often a site's day was begun anew: each start but the first.
fn epoch_breaks(state: &StateDb, site: &Site, epoch: Epoch) -> Result<u64, StoreError> {
    let starts: i64 = state.with(|connection| {
        let query = "SELECT coalesce(max(starts), 0) FROM epoch_starts WHERE site = ?1 AND epoch = ?2";
        connection.query_row(query, (site.number.0, epoch.0), |row| row.get(0))
    })?;
    Ok(u64::try_from(starts - 1).unwrap_or(0))
}

fn take_over(destination: &mut DestinationOverview, status: &DestinationStatus) {
    destination.state = match status.courier {
        CourierState::Running => overview::CourierState::Running,
        CourierState::HoldingBack => overview::CourierState::HoldingBack,
        CourierState::BackingOff => overview::CourierState::Waiting,
        CourierState::BreakerOpen | CourierState::Refused | CourierState::Stopped => overview::CourierState::BreakerOpen,
        CourierState::Paused => overview::CourierState::Paused,
    };
    destination.lag = status.lag;
    destination.in_flight = status.in_flight;
    destination.ledger.clone_from(&status.ended);
    destination.last_answer.clone_from(&status.last_status);
    destination.unsaid = status.unsaid;
    (destination.trials, destination.trials_faulty) = (status.trials, status.trials_faulty);
    destination.last_finding = status.last_finding;
}
