//! Crowds: what could tell a visitor from others leaves only where enough others are like them. Counted in memory as events come in, at
//! rest as crowds alone, and asked when a destination's disclosure is made. `docs/crowds.md` says it at length.

mod census;
mod gather;
mod held;
pub mod referrer;
mod released;
pub mod rules;
mod seen;
mod store;
pub mod tuple;
mod vocabulary;
mod whole;

#[cfg(test)]
mod tests;

pub use census::WordKind;
pub use held::{Hold, Period, PeriodCount};
pub use released::ReleasedDay;
pub use vocabulary::{OTHER_PAGE, Vocabulary, VocabularySize, WINDOW_DAYS};

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;

use self::{
    census::{Census, Said},
    held::Held,
    referrer::ReferrerClass,
    released::Released,
    rules::CrowdRules,
    tuple::{STEPS, Step, Tuple},
};
use super::{
    clean::{CleanBody, CleanEvent, Granted, Page},
    hand_over::bytes::{Unread, Unreadable, Written},
    keys::visit::LocalDay,
    policy::{Field, Treatments},
    record::{Audience, Subject},
};
use crate::{
    clock::Timestamp,
    documents::{Documents, Site},
    event::{DestinationNumber, Epoch, SiteNumber},
    state::{StateDb, StoreError},
};

/// Days of one site that are counted at once: today's, and yesterday's until it is written. A clock that jumps makes no more.
const OPEN_DAYS_MAX: usize = 3;
/// Vocabularies that stay in memory before all are made again: a day's records of this many sites, or fewer sites' replays.
const VOCABULARIES_MAX: usize = 256;
/// How often the day so far is written: what a crash may cost of it.
const WRITTEN_EVERY: Duration = Duration::from_secs(600);

/// All sites' crowds.
pub struct Crowds {
    /// None: everything may be said.
    state: Option<Arc<StateDb>>,
    censuses: Mutex<Censuses>,
    vocabularies: Mutex<HashMap<(SiteNumber, Epoch), Arc<Frozen>>>,
    written: Mutex<Option<Timestamp>>,
    released: Released,
    held: Held,
}

type Censuses = HashMap<SiteNumber, SiteCensus, RandomState>;

#[derive(Default)]
struct SiteCensus {
    open: VecDeque<Census>,
    /// Days before this one are written and done with.
    closed_before: Option<Epoch>,
}

struct Frozen {
    rules: CrowdRules,
    vocabulary: Vocabulary,
}

/// What may be said of one event's visitor.
pub(in crate::privacy) struct Shown {
    pub(in crate::privacy) tuple: Tuple,
    pub(in crate::privacy) page: Option<Page>,
    /// Whether the referring host may be named.
    pub(in crate::privacy) names_referrer: bool,
    /// The page of the site's own that led here.
    pub(in crate::privacy) referrer_page: Option<Page>,
    /// None for events of visitors who consented, where those need no crowd.
    pub(in crate::privacy) suppressed: Option<Suppressed>,
}

/// What was not said for want of a crowd, though the policy would have let it leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suppressed {
    steps: [bool; STEPS],
    page: bool,
}

impl Suppressed {
    /// The names of what was not said.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let steps = Step::ALL.into_iter().filter(move |step| self.steps[*step as usize]).map(Step::name);
        steps.chain(self.page.then_some("page"))
    }
}

impl Crowds {
    /// Those that rest in this database, and those that are counted from now on.
    #[must_use]
    pub fn new(state: Arc<StateDb>) -> Self {
        Self { state: Some(state), ..Self::supposed() }
    }

    /// As if everything were a crowd's: for an explanation of what leaves at most.
    #[must_use]
    pub fn supposed() -> Self {
        Self {
            state: None,
            censuses: Mutex::default(),
            vocabularies: Mutex::default(),
            written: Mutex::default(),
            released: Released::default(),
            held: Held::default(),
        }
    }

    /// Counts an event's visitor, before the event is appended. A copy that was held until the choice is not counted: its first one was.
    pub fn count(&self, site: &Site, event: &CleanEvent) {
        let header = event.header();
        let (Subject::Token(id) | Subject::Person(id)) = header.subject else { return };
        if header.audience == Audience::ConsentBasisOnly {
            return;
        }
        let rules = &site.policy.crowd;
        let body = event.body();
        let granted = body.granted.as_deref().filter(|_| rules.consented);
        let said = Said {
            visitor: short(&id),
            tuple: tuple_of(body, came_from(granted)),
            page: body.page.as_ref().map(Page::path),
            referrer: granted.and_then(|granted| granted.referrer_host.as_deref()),
        };
        let mut censuses = lock(&self.censuses);
        let census = censuses.entry(site.number).or_default();
        if census.closed_before.is_some_and(|closed| header.epoch < closed) {
            return;
        }
        if census.open.iter().all(|day| day.epoch != header.epoch) {
            if census.open.len() >= OPEN_DAYS_MAX {
                return;
            }
            census.open.push_back(Census::new(header.epoch));
        }
        if let Some(day) = census.open.iter_mut().find(|day| day.epoch == header.epoch) {
            day.count(&said, rules);
        }
    }

    /// What may be said of an event of a site and day. Blocks where that day's vocabulary is not in memory.
    pub(in crate::privacy) fn shown(
        &self,
        site: &Site,
        (epoch, held): (Epoch, Option<Hold>),
        body: &CleanBody,
        consented: bool,
        policy: &Treatments,
    ) -> Result<Shown, StoreError> {
        let rules = &site.policy.crowd;
        let granted = body.granted.as_deref().filter(|_| consented && policy.lets(Field::Referrer));
        let named = granted.filter(|_| policy.keeps(Field::Referrer));
        let host = named.and_then(|granted| granted.referrer_host.as_deref());
        let tuple = tuple_of(body, came_from(granted));
        let routes = &site.policy.routes;
        // A route that is newer than the record makes it coarser, and is not a crowd's doing.
        let by_routes = |page: &Page| match routes.template(page.path()) {
            Some(route) => Page { path: route.to_owned(), host: page.host.clone() },
            None => page.clone(),
        };
        let page = body.page.as_ref().map(by_routes);
        let referrer_page = named.and_then(|granted| granted.referrer_page.as_ref()).map(by_routes);
        let template = page.clone();
        let (said, page, referrer_page, names_referrer) = if rules.ask(consented) {
            let sayable = self.sayable(site, epoch, held)?;
            let said = sayable.say(tuple);
            let with_crowd = |page: Page| match routes.say(page.path()) || sayable.has(WordKind::Page, page.path()) {
                true => page,
                false => Page { path: OTHER_PAGE.to_owned(), ..page },
            };
            let names_referrer = said.referrer == tuple.referrer && host.is_some_and(|host| sayable.has(WordKind::Referrer, host));
            (said, page.map(with_crowd), referrer_page.map(with_crowd), names_referrer)
        } else {
            (tuple, page, referrer_page, host.is_some())
        };
        let mut suppressed = Suppressed { page: policy.lets(Field::Page) && page != template, ..Suppressed::default() };
        for step in Step::ALL {
            let unnamed = step == Step::Referrer && host.is_some() && !names_referrer;
            suppressed.steps[step as usize] = (unnamed || tuple.loses(step, &said)) && policy.lets(field_of(step));
        }
        let counted = !consented || rules.ask(true);
        Ok(Shown { tuple: said, page, referrer_page, names_referrer, suppressed: Some(suppressed).filter(|_| counted) })
    }

    /// Counts what a destination is shown of an event.
    pub(in crate::privacy) fn note_released(
        &self,
        of: (SiteNumber, DestinationNumber),
        epoch: Epoch,
        subject: Subject,
        tuple: Tuple,
        suppressed: Suppressed,
    ) {
        if let Subject::Token(id) | Subject::Person(id) = subject {
            self.released.note(of, epoch, short(&id), tuple, suppressed);
        }
    }

    /// What left of a site's day to a destination, of visitors who need a crowd.
    #[must_use]
    pub fn released(&self, site: &Site, destination: DestinationNumber, epoch: Epoch) -> ReleasedDay {
        self.released.day((site.number, destination), epoch, site.policy.crowd.crowd())
    }

    /// How much may be said of a site's events of a day.
    ///
    /// # Errors
    /// When `state.db` cannot be used.
    pub fn vocabulary_size(&self, site: &Site, epoch: Epoch) -> Result<VocabularySize, StoreError> {
        Ok(self.vocabulary(site, epoch)?.vocabulary.size())
    }

    /// The vocabulary of a day. What it is made of is written first and never changes again, so that it is the same whenever it is asked
    /// for, as long as the policy is.
    fn vocabulary(&self, site: &Site, epoch: Epoch) -> Result<Arc<Frozen>, StoreError> {
        let rules = &site.policy.crowd;
        // Held until the days before are written: nobody may read them half done.
        let mut vocabularies = lock(&self.vocabularies);
        if let Some(frozen) = vocabularies.get(&(site.number, epoch)).filter(|frozen| frozen.rules == *rules) {
            return Ok(Arc::clone(frozen));
        }
        let vocabulary = match &self.state {
            Some(state) => {
                self.close_before(state, site, epoch)?;
                Vocabulary::of(&state.with(|connection| store::window(connection, site.number, epoch))?, rules)
            }
            None => Vocabulary::everything(),
        };
        let frozen = Arc::new(Frozen { rules: rules.clone(), vocabulary });
        if vocabularies.len() >= VOCABULARIES_MAX {
            vocabularies.clear();
        }
        vocabularies.insert((site.number, epoch), Arc::clone(&frozen));
        Ok(frozen)
    }

    /// Ends the counting of the days before `epoch`, oldest first, each durably.
    fn close_before(&self, state: &StateDb, site: &Site, epoch: Epoch) -> Result<(), StoreError> {
        loop {
            let day = {
                let mut censuses = lock(&self.censuses);
                let census = censuses.entry(site.number).or_default();
                // From here on, what comes in late for those days is not counted: what they were is being written.
                census.closed_before = census.closed_before.max(Some(epoch));
                census.open.iter().filter(|day| day.epoch < epoch).min_by_key(|day| day.epoch).cloned()
            };
            let Some(day) = day else { return Ok(()) };
            write(state, site, &day)?;
            if let Some(census) = lock(&self.censuses).get_mut(&site.number) {
                census.open.retain(|open| open.epoch != day.epoch);
            }
        }
    }

    /// Ends the days that are over, and writes those under way now and then. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be written; the next round brings it.
    pub fn upkeep(&self, documents: &Documents, now: Timestamp) -> Result<(), StoreError> {
        let Some(state) = &self.state else { return Ok(()) };
        for site in &documents.sites {
            let _one_at_a_time = lock(&self.vocabularies);
            self.close_before(state, site, LocalDay::of(&site.time_zone, now).epoch)?;
        }
        let due = lock(&self.written).is_none_or(|written| now < written || now.since(written) >= WRITTEN_EVERY);
        if due { self.write_all(documents, now) } else { Ok(()) }
    }

    /// Writes what is counted of the days under way. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be written.
    pub fn write_all(&self, documents: &Documents, now: Timestamp) -> Result<(), StoreError> {
        let Some(state) = &self.state else { return Ok(()) };
        for site in &documents.sites {
            let _one_at_a_time = lock(&self.vocabularies);
            let open = lock(&self.censuses).get(&site.number).map(|census| census.open.clone()).unwrap_or_default();
            for day in &open {
                write(state, site, day)?;
            }
        }
        *lock(&self.written) = Some(now);
        Ok(())
    }

    /// Writes the days under way down for the process that takes over, as far as all of it stays within so many bytes. A day that does not is
    /// counted anew there, and is known by what of it rests.
    pub(in crate::privacy) fn give(&self, to: &mut Written, bytes_max: usize) {
        for (site, census) in &*lock(&self.censuses) {
            let mut one = Written::default();
            one.u32(site.0);
            one.optional(census.closed_before.map(|epoch| epoch.0), Written::i32);
            one.count(census.open.len());
            census.open.iter().for_each(|day| day.give(&mut one));
            if to.as_bytes().len() + one.as_bytes().len() >= bytes_max {
                break;
            }
            to.u8(1);
            to.bytes(one.as_bytes());
        }
        to.u8(0);
    }

    /// Takes over the days of the process before.
    ///
    /// # Errors
    /// When what it wrote cannot be read.
    pub(in crate::privacy) fn take(&self, from: &mut Unread<'_>) -> Result<(), Unreadable> {
        while from.u8()? == 1 {
            let site = SiteNumber(from.u32()?);
            let mut census = SiteCensus { closed_before: from.optional(Unread::i32)?.map(Epoch), open: VecDeque::new() };
            for _ in 0..from.count()? {
                census.open.extend(Census::take(from)?);
            }
            if census.open.len() > OPEN_DAYS_MAX {
                return Err(Unreadable::Form);
            }
            lock(&self.censuses).insert(site, census);
        }
        Ok(())
    }

    /// Forgets the crowds that only events before `oldest` needed. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be written.
    pub fn forget_before(&self, site: SiteNumber, oldest: Epoch) -> Result<(), StoreError> {
        let Some(state) = &self.state else { return Ok(()) };
        state.with(|connection| store::forget_before(connection, site, oldest))?;
        state.with(|connection| store::forget_decisions_before(connection, site, oldest))
    }
}

/// The day's own vocabulary is needed to write it: it says what left as it was.
fn write(state: &StateDb, site: &Site, day: &Census) -> Result<(), StoreError> {
    let rules = &site.policy.crowd;
    state.with(|connection| {
        let vocabulary = Vocabulary::of(&store::window(connection, site.number, day.epoch)?, rules);
        store::write(connection, site.number, day.epoch, &day.crowds(rules, &vocabulary))
    })
}

/// Ids are random or keyed hashes: half of one is spread as evenly as the whole.
fn short(id: &[u8; 16]) -> u64 {
    u64::from_le_bytes(*id.first_chunk().expect("16 bytes hold 8"))
}

fn tuple_of(body: &CleanBody, referrer: ReferrerClass) -> Tuple {
    Tuple { device: body.device, country: body.country, language: body.language, screen: body.screen, referrer }
}

fn came_from(granted: Option<&Granted>) -> ReferrerClass {
    granted.map_or(ReferrerClass::None, Granted::came_from)
}

/// The field of a policy that a step belongs to.
const fn field_of(step: Step) -> Field {
    match step {
        Step::Version | Step::System | Step::Browser | Step::Device => Field::Device,
        Step::Screen => Field::Screen,
        Step::Language => Field::Language,
        Step::Place => Field::Place,
        Step::Referrer => Field::Referrer,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in here leaves counts that are too low, which is the safe side.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
