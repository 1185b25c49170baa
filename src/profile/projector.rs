//! The projector: reads the event log as a courier does, and takes what it may see of each event into the strand that it is of. Its place in the
//! log is written in the same transaction as what came of it; and since taking in an event twice changes nothing, it may begin anew at any
//! time, and does so after a restore, or when all is to be made again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Profiles,
    entry::Entry,
    store::{Change, ProfileError, StrandKey},
    strand::Strand,
    upkeep::{Refused, Upkeep},
};
use crate::{
    clock::{self, Timestamp},
    documents::Documents,
    event::{Offset, SiteNumber},
    event_log::{EventLog, LogError, LogReader},
    metrics::Exposition,
    privacy::{
        clean::OpenError,
        disclose::Discloser,
        identity::Assurance,
        profiled::{ProfileEvent, Profiled},
        record::header_of,
    },
    supervise::{Supervisor, WorkThread},
};

/// Events read from the log at a time, and written in one transaction.
const READ_EVENTS_MAX: usize = 512;
/// Bytes read at a time.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// Between two looks for what changed: documents, withdrawals, and whether all is to be made again.
const LOOK: Duration = Duration::from_millis(500);
/// Before what failed (a busy database) is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Between two batches while it catches up, so that beacons are answered first.
const BREATH: Duration = Duration::from_millis(2);

/// How the projector stands.
#[derive(Default)]
pub struct Gauges {
    /// Events that were taken in.
    pub taken: AtomicU64,
    /// Events that were not for a profile, by the rule that says so.
    pub left_out: Mutex<BTreeMap<&'static str, u64>>,
    /// Records that are none of ours.
    pub corrupt: AtomicU64,
    /// Strands that were removed, since their person does not agree any more.
    pub removed: AtomicU64,
    /// Records of the log that are still to be read.
    pub lag: AtomicU64,
    /// Identifiers that too many have to join anything: site, kind, how many.
    pub refused: Mutex<Vec<(String, &'static str, u64)>>,
    /// Whether it works: some site has profiles.
    pub on: AtomicBool,
    /// Whether it cannot go on now.
    pub stuck: AtomicBool,
}

impl Gauges {
    fn leave_out(&self, rule: &'static str) {
        *self.left_out.lock().unwrap_or_else(PoisonError::into_inner).entry(rule).or_default() += 1;
    }

    /// Writes them down for the metrics.
    pub fn write(&self, text: &mut Exposition) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        let samples: [(&'static str, &str, &str, &AtomicU64); 4] = [
            ("firsthand_profile_lag_records", "gauge", "Records of the log that the profile store has still to read.", &self.lag),
            ("firsthand_profile_events_total", "counter", "Events taken into profiles.", &self.taken),
            (
                "firsthand_profile_removed_total",
                "counter",
                "Parts of profiles removed, since nobody agrees to them any more.",
                &self.removed,
            ),
            ("firsthand_profile_corrupt_total", "counter", "Places of the log that the profile store could not read.", &self.corrupt),
        ];
        for (name, kind, help, value) in samples {
            text.sample(name, kind, help, &[], value.load(Ordering::Relaxed));
        }
        let help = "Events of sites with profiles that are for none, by the rule that says so.";
        for (rule, events) in &*self.left_out.lock().unwrap_or_else(PoisonError::into_inner) {
            text.sample("firsthand_profile_left_out_total", "counter", help, &[("rule", rule)], *events);
        }
        let help = "Identifiers of profiles that are shared by too many to join anything, counted every ten minutes.";
        for (site, kind, many) in &*self.refused.lock().unwrap_or_else(PoisonError::into_inner) {
            text.sample("firsthand_profile_refused_identifiers", "gauge", help, &[("site", site), ("kind", kind)], *many);
        }
        let help = "1 while profiles cannot be written; events wait in the log.";
        text.sample("firsthand_profile_stuck", "gauge", help, &[], u64::from(self.stuck.load(Ordering::Relaxed)));
    }
}

/// What the projector works with.
pub struct Parts {
    /// Where events are read.
    pub log: Arc<EventLog>,
    /// What may be seen of them.
    pub discloser: Arc<Discloser>,
    /// The documents in force.
    pub documents: Box<dyn Fn() -> Arc<Documents> + Send + Sync>,
    /// Whether the wall clock may be believed with what cannot be undone.
    pub calendar: Box<dyn Fn() -> bool + Send + Sync>,
    /// Where profiles rest.
    pub profiles: Arc<Profiles>,
}

/// Reads on.
pub struct Projector {
    parts: Parts,
    reading: Mutex<Option<LogReader>>,
    upkeep: Upkeep,
    gauges: Arc<Gauges>,
}

/// Counts with the names of their sites.
fn named(documents: &Documents, refused: &Refused) -> Vec<(String, &'static str, u64)> {
    let name =
        |number: SiteNumber| documents.sites.iter().find(|site| site.number == number).map_or(String::new(), |site| site.name.clone());
    refused.iter().map(|(site, kind, many)| (name(*site), kind.name(), *many)).collect()
}

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// There is nothing more to read now.
    CaughtUp,
    /// There is more.
    More,
    /// No site has profiles.
    Off,
}

impl Projector {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, reading: Mutex::new(None), upkeep: Upkeep::default(), gauges: Arc::default() }
    }

    /// How it stands.
    #[must_use]
    pub const fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    /// Works until the stop signal.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(self: Arc<Self>, supervisor: &Supervisor) -> io::Result<()> {
        let thread = WorkThread::in_background("profiles")?;
        let stop = supervisor.stop_signal();
        supervisor.spawn("profiles", async move {
            let mut said = false;
            loop {
                let projector = Arc::clone(&self);
                let round = thread.run(move || projector.round(clock::now())).await;
                self.gauges.stuck.store(round.is_err(), Ordering::Relaxed);
                let pause = match round {
                    Ok(Round::More) => BREATH,
                    Ok(Round::CaughtUp | Round::Off) => LOOK,
                    Err(error) => {
                        if !said {
                            tracing::error!(%error, "profiles stand still until they can be written; events wait in the log");
                        }
                        said = true;
                        RETRY
                    }
                };
                said &= pause == RETRY;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
        Ok(())
    }

    /// Reads some, and writes what comes of it; looks after what is there. Blocks.
    ///
    /// # Errors
    /// When something cannot be read or written; nothing is lost, and it can be called again.
    pub fn round(&self, now: Timestamp) -> Result<Round, ProfileError> {
        let documents = (self.parts.documents)();
        let on = !documents.profiles.is_empty();
        self.gauges.on.store(on, Ordering::Relaxed);
        if !on && !self.parts.profiles.are_there() {
            self.gauges.lag.store(0, Ordering::Relaxed);
            return Ok(Round::Off);
        }
        let kept = self.upkeep.look(&self.parts.profiles, &documents, now, (self.parts.calendar)())?;
        self.gauges.removed.fetch_add(kept.removed, Ordering::Relaxed);
        if let Some(refused) = kept.refused {
            *self.gauges.refused.lock().unwrap_or_else(PoisonError::into_inner) = named(&documents, &refused);
        }
        if !on {
            return Ok(if kept.more { Round::More } else { Round::Off });
        }
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if self.parts.profiles.store()?.is_asked_again()? {
            // Whoever lifts a restriction asks in the same breath: with what was known before, theirs would be passed over for good.
            self.parts.profiles.seals().look_who_is_held()?;
            super::again::make_again(&self.parts.profiles, &documents, now)?;
            // What it would read again must not be passed over, should it end before the first batch is written.
            let first = self.parts.log.first_offset();
            self.parts.profiles.store()?.write(&Change { position: Some(first), ..Change::default() })?;
            self.parts.profiles.store()?.done_again()?;
            *reading = Some(self.parts.log.reader(first));
        }
        let reader = match &mut *reading {
            Some(reader) => reader,
            none => none.insert(self.parts.log.reader(self.place()?)),
        };
        let more = self.read(reader, &documents, now).inspect_err(|_| *reading = None)?;
        Ok(if more || kept.more { Round::More } else { Round::CaughtUp })
    }

    /// Where it goes on. A log that ends before that is an older one, put back: all of it is read again.
    fn place(&self) -> Result<Offset, ProfileError> {
        let head = *self.parts.log.durable_head().borrow();
        let first = self.parts.log.first_offset();
        Ok(match self.parts.profiles.store()?.position()? {
            Some(position) if position <= head => position.max(first),
            _ => first,
        })
    }

    /// Returns whether there is more.
    fn read(&self, reader: &mut LogReader, documents: &Documents, now: Timestamp) -> Result<bool, ProfileError> {
        let head = *self.parts.log.durable_head().borrow();
        let before = reader.position();
        let records = match reader.read(READ_EVENTS_MAX, READ_BYTES_MAX) {
            Ok(records) => records,
            // Damage is told and stepped over.
            Err(LogError::Corrupt { .. }) => {
                self.gauges.corrupt.fetch_add(1, Ordering::Relaxed);
                Vec::new()
            }
            Err(error) => return Err(ProfileError::Log(error)),
        };
        let mut events = Vec::new();
        for record in &records {
            let Ok(header) = header_of(&record.bytes) else {
                self.gauges.corrupt.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let Some(rules) = documents.profile_of(header.site) else { continue };
            match self.parts.discloser.profiled(record, documents, &rules.destination, now) {
                Ok(Profiled::Event(event)) => events.push((header.site, event)),
                Ok(Profiled::Withheld(rule)) => self.gauges.leave_out(rule),
                Err(OpenError::Corrupt(_)) => drop(self.gauges.corrupt.fetch_add(1, Ordering::Relaxed)),
                Err(OpenError::Store(error)) => return Err(error.into()),
            }
        }
        let position = reader.position();
        let taken = events.len() as u64;
        if position > before || taken > 0 {
            self.take_in(events.iter().map(|(site, event)| (*site, &**event)), position, now)?;
        }
        self.gauges.taken.fetch_add(taken, Ordering::Relaxed);
        self.gauges.lag.store(head.0.saturating_sub(position.0), Ordering::Relaxed);
        Ok(position < head)
    }

    /// Takes events into their strands, and writes it down with the place in the log.
    fn take_in<'e>(
        &self,
        events: impl Iterator<Item = (SiteNumber, &'e ProfileEvent)>,
        position: Offset,
        now: Timestamp,
    ) -> Result<(), ProfileError> {
        let (store, seals) = (self.parts.profiles.store()?, self.parts.profiles.seals());
        let _changing = self.parts.profiles.changing();
        let mut strands: BTreeMap<StrandKey, (u64, Strand)> = BTreeMap::new();
        let mut change = Change { position: Some(position), ..Change::default() };
        let mut taken = Vec::new();
        for (site, event) in events {
            let account = match event.account() {
                Some((account, Assurance::Proven)) => Some(account),
                _ => None,
            };
            let (key, entry) = (StrandKey { site, person: event.person(), account }, Entry::of(event));
            if let Some(row) = entry.sealed(key, seals, now)? {
                change.entries.push(row);
                strands.entry(key).or_insert((event.browser(), Strand::default()));
                taken.push((key, entry));
            }
        }
        // All at once: a database elsewhere is asked once for a batch.
        for row in store.strands(&strands.keys().copied().collect::<Vec<_>>())? {
            if let (Some((_, strand)), Some(known)) = (strands.get_mut(&row.key), Strand::opened(&row, seals, now)?) {
                *strand = known;
            }
        }
        let mut known_by = BTreeSet::new();
        for (key, entry) in &taken {
            let Some((_, strand)) = strands.get_mut(key) else { continue };
            strand.take(entry);
            if !entry.known_by.is_empty() {
                known_by.insert(*key);
            }
        }
        for (key, (browser, strand)) in strands {
            // None: they withdrew meanwhile, and nothing of them is kept.
            match strand.sealed(key, browser, seals, now)? {
                Some(row) => {
                    change.strands.push(row);
                    change.identifiers.extend(known_by.contains(&key).then(|| (key, strand.identifiers())));
                }
                None => change.entries.retain(|entry| entry.key != key),
            }
        }
        store.write(&change)
    }
}
