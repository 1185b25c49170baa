//! Whose event it is: the day's token without consent, a person with it; and the cookies that follow. No link between the two is made.

mod backend;
mod customer;
mod own;
mod standing;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};

pub use self::{
    own::OWN_PAGE,
    standing::{BrowserState, ConsentInForce},
};
use super::{
    consent::{
        ConsentSignal, ConsentState, Decision,
        chain::{ConsentRecord, Said},
        proof::{ConsentProof, Unproven},
    },
    enrich::device::DeviceClass,
    hand_over::bytes::{Unread, Unreadable, Written},
    keys::{
        carry::CarryKeys,
        persistent::PersistentKeys,
        person::{NoPersonKey, Person, PersonKeys},
        random_id,
        visit::{DayToken, VisitKeys},
    },
    newcomers::{Making, Newcomer, Newcomers},
    personal::Personal,
    purge_set::{PurgeError, PurgeSet},
    raw::{Arrival, OwnCookies, RawEvent, Text},
    record::Subject,
    refusal::Refusal,
    rules::{Rule, holds},
    sessions::{Sessions, Visit},
    ticket::Landing,
    vendor_cookies::{self, VendorCookie},
};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::{Epoch, Purposes, SiteNumber},
    protocol::cookies::CookieName,
    state::StoreError,
    supervise::Supervisor,
};

/// The visitor cookie lives at most 13 months (the CNIL's bound for trackers), and never longer than the consent.
pub const COOKIE_AGE_MAX: Duration = Duration::from_secs(395 * 24 * 60 * 60);
/// The opt-out is kept as long as browsers keep anything (Chrome caps at 400 days).
pub const OPT_OUT_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Whose event it is, as records say it.
pub struct Visitor {
    epoch: Epoch,
    subject: Subject,
    session: Option<[u8; 8]>,
    cookie_id: Option<[u8; 16]>,
    person: Option<Arc<Person>>,
    /// As whom, and as which visit, our own counters know them.
    counted: Option<([u8; 16], Option<[u8; 8]>)>,
    /// What led to the visit, where the event itself does not say it: of a backend's alone.
    landing: Landing,
}

impl Visitor {
    /// Somebody who does not exist, for an explanation.
    pub(in crate::privacy) fn imagined(with_consent: bool) -> io::Result<Self> {
        let id = random_id()?;
        Ok(Self {
            epoch: Epoch(0),
            subject: if with_consent { Subject::Person(id) } else { Subject::Token(id) },
            session: Some(*id.first_chunk().expect("16 bytes hold 8")),
            cookie_id: with_consent.then(random_id).transpose()?,
            person: None,
            counted: None,
            landing: Landing::default(),
        })
    }

    pub(in crate::privacy) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(in crate::privacy) const fn subject(&self) -> Subject {
        self.subject
    }

    pub(in crate::privacy) const fn subject_bytes(&self) -> [u8; 16] {
        match self.subject {
            Subject::None => [0; 16],
            Subject::Token(id) | Subject::Person(id) => id,
        }
    }

    pub(in crate::privacy) const fn session(&self) -> Option<[u8; 8]> {
        self.session
    }

    pub(in crate::privacy) const fn cookie_id(&self) -> Option<[u8; 16]> {
        self.cookie_id
    }

    /// As whom and as which visit our own counters know them: 64 bits of each id.
    pub(in crate::privacy) fn counted(&self) -> Option<(u64, Option<u64>)> {
        let (who, visit) = self.counted?;
        let who = u64::from_le_bytes(*who.first_chunk().expect("16 bytes hold 8"));
        Some((who, visit.map(u64::from_le_bytes)))
    }

    /// A visitor for tests of the counting.
    #[cfg(test)]
    pub(in crate::privacy) fn counted_for_test(epoch: Epoch, who: [u8; 16], visit: [u8; 8]) -> Self {
        let (counted, landing) = (Some((who, Some(visit))), Landing::default());
        Self { epoch, subject: Subject::None, session: None, cookie_id: None, person: None, counted, landing }
    }

    pub(in crate::privacy) const fn landing(&self) -> &Landing {
        &self.landing
    }

    pub(in crate::privacy) const fn is_person(&self) -> bool {
        self.person.is_some()
    }

    pub(in crate::privacy) fn person(&self) -> Option<&Person> {
        self.person.as_deref()
    }
}

/// Tells visitors apart as far as their choice allows.
pub struct Visitors {
    supervisor: Supervisor,
    visit_keys: VisitKeys,
    carry_keys: CarryKeys,
    persistent: Arc<PersistentKeys>,
    persons: Arc<PersonKeys>,
    newcomers: Newcomers,
    sessions: Sessions,
    purge_set: Arc<PurgeSet>,
    proof: Arc<ConsentProof>,
    begun: Mutex<HashMap<SiteNumber, Epoch>>,
}

/// What sent a request.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// The protocol that it spoke.
    pub protocol: &'static str,
    /// Its own id of the browser, where it has one.
    pub browser_id: Option<&'a Text<'a>>,
}

impl<'a> Sender<'a> {
    /// What sent these events. A request with events of several browsers is no browser's.
    #[must_use]
    pub fn of(protocol: &'static str, events: &'a [RawEvent<'_>]) -> Self {
        let id = |event: &'a RawEvent<'_>| event.browser_id.as_ref();
        let first = events.first().and_then(id);
        let same = |event| id(event).map(Personal::expose) == first.map(Personal::expose);
        Self { protocol, browser_id: first.filter(|_| events.iter().all(same)) }
    }
}

/// Nothing can be recorded of this visitor now.
#[derive(Debug, thiserror::Error)]
pub enum Unidentified {
    /// No randomness or no memory for a key.
    #[error("the system gives no key: {0}")]
    System(#[from] io::Error),
    /// No key row for a new person.
    #[error(transparent)]
    Person(#[from] NoPersonKey),
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The objection cannot be made durable.
    #[error(transparent)]
    Purge(#[from] PurgeError),
    /// What was said cannot be put on record.
    #[error(transparent)]
    Proof(#[from] Unproven),
}

impl Visitors {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        supervisor: Supervisor,
        persistent: Arc<PersistentKeys>,
        persons: Arc<PersonKeys>,
        purge_set: Arc<PurgeSet>,
        proof: Arc<ConsentProof>,
    ) -> Self {
        Self {
            supervisor,
            visit_keys: VisitKeys::default(),
            carry_keys: CarryKeys::default(),
            persistent,
            persons,
            newcomers: Newcomers::default(),
            sessions: Sessions::default(),
            purge_set,
            proof,
            begun: Mutex::default(),
        }
    }

    /// K_visit of every site, for its rotation and its report.
    #[must_use]
    pub const fn visit_keys(&self) -> &VisitKeys {
        &self.visit_keys
    }

    /// Whether this program has not begun that day of the site before: then its key is a new one.
    pub fn begins(&self, site: SiteNumber, epoch: Epoch) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(site, epoch) != Some(epoch)
    }

    /// The proof of what visitors said, for its upkeep and its report.
    #[must_use]
    pub const fn proof(&self) -> &Arc<ConsentProof> {
        &self.proof
    }

    /// Whose events a request's are. A person is made of a visitor only where a destination is entitled by their consent: the key row is
    /// durable, what they said is on record, and the cookie set, before the first event is.
    ///
    /// # Errors
    /// When keys cannot be had; nothing may be recorded then.
    pub async fn identify(
        &self,
        arrival: &Arrival<'_>,
        decision: Decision,
        device: &DeviceClass,
        site: &Site,
        sender: Sender<'_>,
        now: Timestamp,
    ) -> Result<(Visitor, Option<SetCookie>), Unidentified> {
        let state = decision.state();
        let source = sender.protocol;
        let on = (site.number, &*site.policy);
        let granted = match state {
            ConsentState::Granted(purposes) => purposes,
            ConsentState::Unknown | ConsentState::Objected(_) => Purposes::NONE,
        };
        // What only persons need is boxed where it is waited for: every request's future is moved about, as large as its largest branch.
        let known = if granted.is_empty() { None } else { Box::pin(self.known_person(arrival, site, now)).await? };
        if let Some((_, person)) = &known
            && person.purposes() != granted
        {
            let record = ConsentRecord::new(person.consent(), on, Said::Changed, granted, source, now, person.expires());
            Box::pin(self.note_change(record, Arc::clone(person), granted)).await?;
        }
        if arrival.own.by_backend && !granted.is_empty() {
            return Ok((self.named(arrival, known, site, now)?, None));
        }
        let entitled = site.ceiling_of_granted(granted, true, decision.vendors()).is_some_and(|ceiling| ceiling.breadth.needs_consent());
        let lasting = entitled || !holds(Rule::LastingIdNeedsConsent);
        if !lasting {
            let (DayToken { epoch, token, .. }, visit) = self.today(arrival, device, site, now)?;
            let subject = Subject::Token(token);
            let ceiling = match state {
                ConsentState::Granted(purposes) => site.ceiling_of_granted(purposes, false, decision.vendors()),
                ConsentState::Unknown | ConsentState::Objected(_) => site.ceilings.unknown,
            };
            // Under `strict` visits are in our own count alone.
            let session = visit.session.filter(|_| ceiling.is_some_and(|ceiling| ceiling.breadth.has_visits()));
            let counted = Some((token, visit.counts()));
            return Ok((Visitor { epoch, subject, session, cookie_id: None, person: None, counted, landing: Landing::default() }, None));
        }
        let (cookie_id, person, cookie) = match known {
            Some((cookie_id, person)) => {
                let extended = || SetCookie::visitor(site, arrival.secure, &cookie_id, COOKIE_AGE_MAX);
                let cookie = (!holds(Rule::CookieIsNotExtended)).then(extended);
                (cookie_id, person, cookie)
            }
            None => {
                let site_key = self.persistent.site(site.number)?;
                let making = match sender.browser_id {
                    // Whose key was destroyed meanwhile has withdrawn: this is a new yes.
                    Some(id) => self.newcomers.of(site.number, site_key.browser_index(source, id.expose()), now, |newcomer| {
                        self.persons.consent_at_hand(&newcomer.person.handle(), now) == Some(granted)
                    }),
                    None => Making::default(),
                };
                let make = async || -> Result<Newcomer, Unidentified> {
                    let cookie_id = random_id()?;
                    let age = match arrival.signal {
                        ConsentSignal::Given { seconds_left: Some(seconds), .. } if holds(Rule::CookieEndsWithConsent) => {
                            Duration::from_secs(seconds.into())
                        }
                        _ => COOKIE_AGE_MAX,
                    };
                    let age = if holds(Rule::CookieAtMostThirteenMonths) { age.min(COOKIE_AGE_MAX) } else { age };
                    let today = self.visit_keys.epoch(site, now)?;
                    let person = self.persons.make((site.number, today), site_key.cookie_index(&cookie_id), granted, now.plus(age)).await?;
                    let record = ConsentRecord::new(person.consent(), on, Said::Granted, granted, source, now, person.expires());
                    self.proof.append(record).await?;
                    Ok(Newcomer { cookie_id, person })
                };
                let Newcomer { cookie_id, person } = Box::pin(making.get_or_try_init(make)).await?.clone();
                let age = person.expires().since(now);
                (cookie_id, person, Some(SetCookie::visitor(site, arrival.secure, &cookie_id, age)))
            }
        };
        let subject = Subject::Person(person.handle());
        let epoch = self.visit_keys.epoch(site, now)?;
        let visit = self.sessions.of(site.number, subject, epoch, None, now)?;
        let session = visit.session;
        // On the day of the choice they may have been counted without a cookie before it: they stay who they were, for that day. No one
        // else learns that the two are one.
        let (who, visit) = if person.is_new_on(epoch) {
            let (today, visit) = self.today(arrival, device, site, now)?;
            (today.token, visit)
        } else {
            (person.handle(), visit)
        };
        let counted = Some((who, visit.counts()));
        Ok((
            Visitor { epoch, subject, session, cookie_id: Some(cookie_id), person: Some(person), counted, landing: Landing::default() },
            cookie,
        ))
    }

    /// Who somebody without a cookie is today, and the visit that they are on, which may have begun before the day's key did.
    fn today(&self, arrival: &Arrival<'_>, device: &DeviceClass, site: &Site, now: Timestamp) -> io::Result<(DayToken, Visit)> {
        let address = arrival.address.expose();
        let today = self.visit_keys.token(site, address, device, now)?;
        let carry = self.carry_keys.of(site, address, device, today.left, now)?;
        let visit = self.sessions.of(site.number, Subject::Token(today.token), today.epoch, carry, now)?;
        Ok((today, visit))
    }

    /// Destroys what is over: keys, and visits. Called every minute.
    pub fn destroy_old(&self, now: Timestamp) {
        self.visit_keys.destroy_old(now);
        self.carry_keys.destroy_old(now);
        self.sessions.forget_idle(now);
    }

    /// Writes down for the process that takes over who is visiting: keys, days begun, newcomers, visits.
    pub(in crate::privacy) fn give(&self, to: &mut Written) {
        self.visit_keys.give(to);
        self.carry_keys.give(to);
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        to.count(begun.len());
        for (site, epoch) in &*begun {
            to.u32(site.0);
            to.i32(epoch.0);
        }
        self.newcomers.give(to);
        self.sessions.give(to);
    }

    /// Takes over what the process before wrote down. Blocks.
    ///
    /// # Errors
    /// When it cannot be read, or the system gives no memory for its keys.
    pub(in crate::privacy) fn take(&self, from: &mut Unread<'_>, now: Timestamp) -> Result<(), Unreadable> {
        self.visit_keys.take(from)?;
        self.carry_keys.take(from)?;
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..from.count()? {
            begun.insert(SiteNumber(from.u32()?), Epoch(from.i32()?));
        }
        self.newcomers.take(from, |site, cookie_id| {
            let index = self.persistent.site(site).ok()?.cookie_index(cookie_id);
            // Where the database does not answer, the newcomer's next request without a cookie makes another person.
            self.persons.find(site, &index, now).ok()?
        })?;
        self.sessions.take(from)
    }

    /// Carries out an objection: the person's key is destroyed, the day's token is purged, both durably, before this returns. Then the
    /// withdrawal of a consent is put on record; an objection does not fail where that does.
    ///
    /// # Errors
    /// When that cannot be done now; the sender must come back.
    pub async fn object(
        &self,
        arrival: &Arrival<'_>,
        device: &DeviceClass,
        site: &Site,
        (refusal, source): (Refusal, &'static str),
        now: Timestamp,
    ) -> Result<Vec<SetCookie>, Unidentified> {
        let own = &arrival.own;
        if own.by_backend {
            // It tells of somebody who said so before, which is carried out; and its address is that of all whose events it sends.
            return Ok(Vec::new());
        }
        let mut cookies = Vec::new();
        let mut ended = Vec::new();
        if own.visitor.len() + own.left_over.len() > 0 && holds(Rule::ObjectionClearsCookie) {
            cookies.extend(SetCookie::forget(
                site,
                &site.cookies.visitor,
                arrival.secure,
                own.visitor.len() > 1 || !own.left_over.is_empty(),
            ));
        }
        let destroyed = own.visitor.iter().chain(&own.left_over).filter(|_| holds(Rule::ObjectionDestroysKey));
        for cookie_id in destroyed.filter_map(|cookie| parse_cookie_id(cookie.expose())) {
            let index = self.persistent.site(site.number)?.cookie_index(&cookie_id);
            let (persons, number) = (Arc::clone(&self.persons), site.number);
            ended.extend(self.supervisor.blocking(move || persons.destroy(number, &index, now)).await?);
        }
        cookies.extend(vendor_cookies::forgotten(arrival, site));
        match arrival.signal {
            ConsentSignal::OptOut => cookies.push(SetCookie::opt_out(site, arrival.secure)),
            ConsentSignal::OptIn => cookies.extend(SetCookie::forget_opt_out(site, arrival)),
            _ => {}
        }
        let DayToken { epoch, token, .. } = self.visit_keys.token(site, arrival.address.expose(), device, now)?;
        if holds(Rule::ObjectionPurgesToken) && !self.purge_set.holds(site.number, epoch, &token) {
            let (purge_set, number) = (Arc::clone(&self.purge_set), site.number);
            self.supervisor.blocking(move || purge_set.add(number, epoch, token)).await?;
        }
        for ended in ended.into_iter().filter(|ended| ended.expires > now) {
            let said = Said::withdrawn(refusal);
            let record = ConsentRecord::new(ended.consent, (site.number, &*site.policy), said, Purposes::NONE, source, now, ended.expires);
            self.proof.append_withdrawal(record).await;
        }
        Ok(cookies)
    }

    /// Puts a changed choice on record, and beside the person's key.
    async fn note_change(&self, record: ConsentRecord, person: Arc<Person>, granted: Purposes) -> Result<(), Unidentified> {
        self.proof.append(record).await?;
        let persons = Arc::clone(&self.persons);
        Ok(self.supervisor.blocking(move || persons.note_purposes(&person, granted)).await?)
    }

    /// A decision; and where it asks for one, a consent on record in its place, while that is in force. `library_has_words`: whether what
    /// sent the request could have said a choice.
    ///
    /// # Errors
    /// When keys cannot be read now.
    pub async fn on_record(
        &self,
        decision: Decision,
        arrival: &Arrival<'_>,
        site: &Site,
        library_has_words: bool,
        now: Timestamp,
    ) -> Result<Decision, Unidentified> {
        if let ConsentState::Granted(purposes) = decision.state()
            && self.persons.somebody_objects()
            && let Some((_, person)) = Box::pin(self.known_person(arrival, site, now)).await?
            && let objected = self.persons.objected(&person.handle()).both(purposes)
            && !objected.is_empty()
        {
            // A page that repeats the yes of before brings nothing back.
            return Ok(decision.but_for(objected));
        }
        if !decision.asks_the_record(library_has_words) {
            return Ok(decision);
        }
        let known = Box::pin(self.known_person(arrival, site, now)).await?;
        let granted = known.map_or(Purposes::NONE, |(_, person)| person.purposes());
        let is_named = arrival.own.by_backend && !arrival.own.visitor.is_empty();
        if is_named && granted.is_empty() && holds(Rule::NamedNeedsConsent) {
            return Ok(decision.without_consent());
        }
        Ok(decision.or_on_record(granted, &site.signals))
    }

    /// The person whose cookie came along. A cookie that we do not know (or whose person withdrew) is nobody's: it is not for a browser
    /// to choose an id.
    async fn known_person(
        &self,
        arrival: &Arrival<'_>,
        site: &Site,
        now: Timestamp,
    ) -> Result<Option<([u8; 16], Arc<Person>)>, Unidentified> {
        for cookie_id in arrival.own.visitor.iter().filter_map(|cookie| parse_cookie_id(cookie.expose())) {
            let index = self.persistent.site(site.number)?.cookie_index(&cookie_id);
            if let Some(person) = self.persons.cached(site.number, &index, now) {
                return Ok(Some((cookie_id, person)));
            }
            let (persons, number) = (Arc::clone(&self.persons), site.number);
            if let Some(person) = self.supervisor.blocking(move || persons.find(number, &index, now)).await? {
                return Ok(Some((cookie_id, person)));
            }
        }
        Ok(None)
    }
}

/// A cookie id as its cookie's value.
fn cookie_value(cookie_id: &[u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(cookie_id)
}

pub(in crate::privacy) fn parse_cookie_id(value: &str) -> Option<[u8; 16]> {
    URL_SAFE_NO_PAD.decode(value).ok()?.try_into().ok()
}

/// A cookie to be set or taken away. Its value can be written into a reply's headers, and not looked at.
pub struct SetCookie(HeaderValue);

impl SetCookie {
    fn visitor(site: &Site, secure: bool, cookie_id: &[u8; 16], age: Duration) -> Self {
        Self::own(site, &site.cookies.visitor, &cookie_value(cookie_id), secure, age)
    }

    fn opt_out(site: &Site, secure: bool) -> Self {
        Self::own(site, &site.cookies.opt_out, "1", secure, OPT_OUT_AGE)
    }

    /// Takes the opt-out back, in every form in which it came.
    pub fn forget_opt_out(site: &Site, arrival: &Arrival<'_>) -> Vec<Self> {
        let OwnCookies { opt_outs, left_over_opt_outs, .. } = arrival.own;
        Self::forget(site, &site.cookies.opt_out, arrival.secure, opt_outs > 1 || left_over_opt_outs > 0)
    }

    /// Takes a cookie away: in the form that is in use, and where one came that is not it, in every form that it can have. Of one that came a
    /// browser does not say which domain it is for.
    fn forget(site: &Site, name: &CookieName, secure: bool, left_over: bool) -> Vec<Self> {
        let mut cookies = vec![Self::own(site, name, "", secure, Duration::ZERO)];
        if left_over {
            let prefixed = site.cookies.are_prefixed(secure);
            if secure && !prefixed {
                cookies.push(Self::new(name.on_wire(true), "", None, secure, Duration::ZERO));
            }
            let plain = |domain| Self::new(name.on_wire(false), "", domain, secure, Duration::ZERO);
            cookies.push(plain(None));
            cookies.extend(site.cookies.reach().iter().map(|domain| plain(Some(domain))));
        }
        cookies
    }

    /// One of ours, in the form that is in use.
    fn own(site: &Site, name: &CookieName, value: &str, secure: bool, age: Duration) -> Self {
        let domain = site.cookies.domain().filter(|_| secure);
        Self::new(name.on_wire(site.cookies.are_prefixed(secure)), value, domain, secure, age)
    }

    /// A vendor's, as its script had set it, but that a server has. The script reads it.
    pub(in crate::privacy) fn of_vendor(cookie: VendorCookie, value: &str, domain: &str, age: Duration) -> Self {
        Self::written(cookie.name(), value, (Some(domain), true), false, age)
    }

    /// Takes a vendor's cookie away, from wherever its script may have set it.
    pub(in crate::privacy) fn forget_of_vendor(cookie: VendorCookie, site: &Site) -> Vec<Self> {
        let domains = std::iter::once(None).chain(site.cookies.reach().iter().map(|domain| Some(domain.as_str())));
        domains.map(|domain| Self::written(cookie.name(), "", (domain, true), false, Duration::ZERO)).collect()
    }

    fn new(name: &str, value: &str, domain: Option<&str>, secure: bool, age: Duration) -> Self {
        Self::written(name, value, (domain, secure), true, age)
    }

    fn written(name: &str, value: &str, (domain, secure): (Option<&str>, bool), http_only: bool, age: Duration) -> Self {
        let mut cookie = cookie::Cookie::build((name, value))
            .path("/")
            .http_only(http_only)
            .secure(secure)
            .same_site(cookie::SameSite::Lax)
            .max_age(cookie::time::Duration::seconds(i64::try_from(age.as_secs()).unwrap_or(0)));
        if let Some(domain) = domain {
            cookie = cookie.domain(domain);
        }
        let mut header =
            HeaderValue::try_from(cookie.build().to_string()).expect("names, values and domains were checked to be plain ASCII");
        header.set_sensitive(true);
        Self(header)
    }

    /// Writes it into a reply.
    pub fn append_to(self, headers: &mut HeaderMap) {
        headers.append(header::SET_COOKIE, self.0);
    }
}
