//! The line from a request to a durable record, readable on one screen: [`Pipeline::ingest`] and [`Pipeline::cleanse`].

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use crate::{
    clock::Timestamp,
    console::feed::{Feed, Item},
    counters::Counters,
    documents::{Documents, Site},
    event::{Offset, Purposes, aside::Tag},
    event_log::{Appended, EventLog},
    privacy::{
        anonymise::anonymise,
        consent::{self, ConsentSignal, ConsentState, Decision, evidence::Evidence},
        crowd::Crowds,
        enrich::{
            self,
            agent::Agent,
            bot::{Bot, Bots},
            device::DeviceClass,
            place::PlaceDatabase,
        },
        envelope::{Contents, Envelopes},
        keys::persistent::{PersistentKeys, SiteKey},
        raw::{Arrival, RawEvent},
        record::Record,
        refusal::Refusal,
        shape::Shape,
        uniques::Uniques,
        vendor_cookies,
        visitor::{Sender, SetCookie, Visitor, Visitors},
    },
    protocol::{Decoded, Outcome, Protocol, Reply, inbound::Inbound, native::Native},
};

/// How long a sender waits when something other than the log is in the way (keys, randomness, a full purge set).
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Everything that a beacon passes through.
pub struct Pipeline {
    /// The documents in force.
    pub documents: ArcSwap<Documents>,
    /// Tells visitors apart.
    pub visitors: Visitors,
    /// K_site and K_dest.
    pub persistent: Arc<PersistentKeys>,
    /// Countries by address; replaced as a whole on reload.
    pub places: ArcSwap<PlaceDatabase>,
    /// Judges whether a program sent a request.
    pub bots: Bots,
    /// The durable log.
    pub log: Arc<EventLog>,
    /// What is kept beside its events, in memory alone.
    pub envelopes: Arc<Envelopes>,
    /// How many visitors and visits there are.
    pub uniques: Arc<Uniques>,
    /// How many visitors have what in common.
    pub crowds: Arc<Crowds>,
    /// What was stored and refused.
    pub counters: Counters,
    /// The live pages.
    pub feed: Feed,
}

/// The answer to a request, and the cookies that go with it.
pub struct Ingested {
    /// The answer.
    pub reply: Reply,
    /// Our cookies, set or taken away.
    pub cookies: Vec<SetCookie>,
}

/// Nothing of the request can be recorded now.
struct Unavailable(Duration);

impl Pipeline {
    /// Takes one request through the whole line. `charge` takes the request's events from the sender's quota, or says how long to wait.
    pub async fn ingest(
        &self,
        site: &Site,
        protocol: &'static dyn Protocol,
        inbound: Inbound,
        charge: impl FnOnce(usize) -> Result<(), Duration>,
    ) -> Ingested {
        let Decoded { events, bad, signal, evidence, hints, key, anonymous, app, aside } = protocol.decode(&inbound, inbound.received());
        let mut cookies = Vec::new();
        let mut outcome = Outcome { bad, ..Outcome::default() };
        self.refuse(site, Refusal::Undecodable, outcome.bad.len());
        if key.is_some_and(|key| !key.is_of(site, protocol.name())) {
            self.refuse(site, Refusal::UnknownKey, events.len());
            // Also where there is no event: an opt-out that was not carried out must not look like one that was.
            outcome.refused.resize(events.len().max(1), Refusal::UnknownKey);
            return Ingested { reply: protocol.reply(&hints, &outcome), cookies };
        }
        match charge(hints.events) {
            Err(wait) => {
                self.refuse(site, Refusal::OverQuota, hints.events);
                outcome.over_quota = Some(wait);
            }
            Ok(()) => {
                for (call, times) in aside.uncovered {
                    self.counters.of(site.number).uncovered(call, times);
                }
                let arrival = inbound.arrival(&site.cookies, signal, evidence).by_app(app);
                let arrival = if anonymous { arrival.anonymously() } else { arrival.or_named_by(&events) };
                let taken = if protocol.is_backend() {
                    Box::pin(self.take_in_from_backend(site, protocol, inbound.received(), events, &mut outcome)).await
                } else {
                    self.take_in(site, protocol, &arrival, (events, &aside.tags), &mut outcome, &mut cookies).await
                };
                if let Err(Unavailable(wait)) = taken {
                    outcome.unavailable = Some(wait);
                }
            }
        }
        Ingested { reply: protocol.reply(&hints, &outcome), cookies }
    }

    /// Carries out what a visitor chose on a page of ours: the same as a native message without events. Returns the cookies that follow.
    ///
    /// # Errors
    /// When it cannot be done now: how long to wait.
    pub async fn choose(&self, site: &Site, inbound: &Inbound, choice: ConsentSignal) -> Result<Vec<SetCookie>, Duration> {
        let arrival = inbound.arrival(&site.cookies, choice, Evidence::default());
        let (mut outcome, mut cookies) = (Outcome::default(), Vec::new());
        match self.take_in(site, &Native, &arrival, (Vec::new(), &[]), &mut outcome, &mut cookies).await {
            Ok(()) => Ok(cookies),
            Err(Unavailable(wait)) => Err(wait),
        }
    }

    /// Takes in a backend's events: each run of one visitor's as if it had come alone, under the consent that this visitor gave. Where one run
    /// cannot be kept, those before it are: sent again, they are known.
    async fn take_in_from_backend(
        &self,
        site: &Site,
        protocol: &'static dyn Protocol,
        received: Timestamp,
        events: Vec<RawEvent<'_>>,
        outcome: &mut Outcome,
    ) -> Result<(), Unavailable> {
        let mut left = events.into_iter().peekable();
        while let Some(first) = left.next() {
            let mut run = vec![first];
            while let Some(next) = left.next_if(|next| next.is_of_visitor_of(&run[0])) {
                run.push(next);
            }
            let arrival = self.visitors.named_by_backend(&run, site, received).map_err(|_| Unavailable(RETRY_AFTER))?;
            // A backend keeps no cookies.
            self.take_in(site, protocol, &arrival, (run, &[]), outcome, &mut Vec::new()).await?;
        }
        Ok(())
    }

    /// Decides for the visitor, cleanses each event, and appends what is left of them: durable when this returns.
    async fn take_in(
        &self,
        site: &Site,
        protocol: &'static dyn Protocol,
        arrival: &Arrival<'_>,
        (events, tags): (Vec<RawEvent<'_>>, &[(Tag, bool)]),
        outcome: &mut Outcome,
        cookies: &mut Vec<SetCookie>,
    ) -> Result<(), Unavailable> {
        let now = arrival.received;
        let agent = Agent::of_arrival(arrival);
        let device = agent.device();
        let unavailable = |_| Unavailable(RETRY_AFTER);
        let decision = consent::decide(arrival, &site.signals);
        let decision = self.visitors.on_record(decision, arrival, site, protocol.says_choices(), now).await.map_err(unavailable)?;
        let state = decision.state();
        if let ConsentState::Objected(refusal) = state {
            // Boxed, so that the others' futures are not as large as this one.
            let objected = Box::pin(self.visitors.object(arrival, &device, site, (refusal, protocol.name()), now));
            cookies.extend(objected.await.map_err(unavailable)?);
            // An objection may come without an event; it counts as one.
            self.refuse(site, refusal, events.len().max(1));
            for event in &events {
                outcome.refused.push(refusal);
                outcome.each.extend(protocol.is_backend().then_some(Some(refusal)));
                self.show(site, protocol, Some(Shape::of(event, arrival)), state, Err(refusal), now);
            }
            if events.is_empty() {
                self.show(site, protocol, Some(Shape::default()), state, Err(refusal), now);
            }
            return Ok(());
        }
        if arrival.signal == ConsentSignal::OptIn {
            cookies.extend(SetCookie::forget_opt_out(site, arrival));
        }
        if events.is_empty() {
            return Ok(());
        }
        let sender = Sender::of(protocol.name(), &events);
        let (visitor, cookie) = self.visitors.identify(arrival, decision, &device, site, sender, now).await.map_err(unavailable)?;
        cookies.extend(cookie);
        cookies.extend(vendor_cookies::kept_alive(arrival, decision, &visitor, site, &events, now));
        let site_key = self.persistent.site(site.number).map_err(|_| Unavailable(RETRY_AFTER))?;
        // A backend is a program, and what it tells is what a person did: its own signs say nothing of them.
        let is_backend = protocol.is_backend();
        let bot = if is_backend { Bot::default() } else { self.bots.judge(arrival, &agent, (site.number, &visitor), events.len(), now) };
        if matches!(state, ConsentState::Granted(purposes) if purposes.cover(Purposes::ANALYTICS)) && bot.class().is_none() {
            self.counters.tell(site, &visitor, device.browser, tags, now);
        }
        let mut records = Vec::with_capacity(events.len());
        let mut shapes = Vec::new();
        for event in events {
            let shape = self.feed.watched().then(|| Shape::of(&event, arrival));
            match self.cleanse(event, decision, &visitor, (device, bot), arrival, site, &site_key, protocol) {
                Ok(record) => {
                    records.push(record?);
                    outcome.each.extend(is_backend.then_some(None));
                    shapes.extend(shape);
                }
                Err(refusal) => {
                    outcome.refused.push(refusal);
                    outcome.each.extend(is_backend.then_some(Some(refusal)));
                    self.refuse(site, refusal, 1);
                    self.show(site, protocol, shape, state, Err(refusal), now);
                }
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        let appended = self.log.append(records).await.map_err(|full| Unavailable(full.retry_after()))?;
        if !is_backend {
            self.uniques.count(site.number, &visitor);
        }
        let counters = self.counters.of(site.number);
        let mut shapes = shapes.into_iter();
        for end in appended {
            let end = match end {
                Appended::Stored(offset) => {
                    counters.stored(bot.class());
                    Ok(offset)
                }
                Appended::Duplicate => {
                    counters.refused(Refusal::Duplicate, 1);
                    Err(Refusal::Duplicate)
                }
            };
            outcome.stored += 1;
            self.show(site, protocol, shapes.next(), state, end, now);
        }
        Ok(())
    }

    /// One event, from what was said to what may rest: permit, enrich, anonymise, and the seal.
    #[expect(clippy::too_many_arguments, reason = "every stage's input, in the order of the line")]
    fn cleanse(
        &self,
        event: RawEvent<'_>,
        decision: Decision,
        visitor: &Visitor,
        derived: (DeviceClass, Bot),
        arrival: &Arrival<'_>,
        site: &Site,
        site_key: &SiteKey,
        protocol: &'static dyn Protocol,
    ) -> Result<Result<Record, Unavailable>, Refusal> {
        let permitted = consent::permit(event, decision, site)?;
        let enriched = enrich::enrich(permitted, arrival, derived, &self.places.load());
        let beside = Contents::of(&enriched, arrival, visitor);
        let clean = anonymise(enriched, visitor, site, site_key, protocol.name(), arrival.received).and_then(|mut clean| {
            beside.map_or(Ok(()), |contents| self.envelopes.keep(&contents, &mut clean, visitor))?;
            Ok(clean)
        });
        clean.iter().for_each(|clean| self.crowds.count(site, clean));
        if !protocol.is_backend() {
            clean.iter().for_each(|clean| self.visitors.note_landing(clean, site, site_key));
        }
        Ok(clean.and_then(|clean| clean.into_record(visitor)).map_err(|_| Unavailable(RETRY_AFTER)))
    }

    /// Shows an event's arrival to whoever watches: its shape, never a value.
    fn show(
        &self,
        site: &Site,
        protocol: &'static dyn Protocol,
        shape: Option<Shape>,
        state: ConsentState,
        end: Result<Offset, Refusal>,
        at: Timestamp,
    ) {
        let Some(shape) = shape.filter(|_| self.feed.watched()) else { return };
        self.feed.show(Item::Arrived {
            at,
            site: site.name.clone(),
            protocol: protocol.name(),
            shape,
            visitor: state.describe(),
            offset: end.ok(),
            refused: end.err().map(Refusal::name),
            because: end.err().map(Refusal::explanation),
        });
    }

    /// Counts refused events.
    pub fn refuse(&self, site: &Site, refusal: Refusal, events: usize) {
        if events > 0 {
            self.counters.of(site.number).refused(refusal, events as u64);
        }
    }
}
