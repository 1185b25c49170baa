//! A lane: one of the ordered queues of a courier. Events of one subject are in one lane. A lane has one attempt under way at a time or, where
//! a backlog waits in it, one in each of a few strands, between which its subjects are divided; so their order holds. A retry holds up this
//! lane alone; a refused parcel is bisected until the poison event stands alone.

use std::{collections::VecDeque, future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use tokio::sync::mpsc;

use super::{
    backoff::Backoff,
    breaker::{Opened, Pass},
    courier::{CLOCK_LOOK, Courier, DiscloseError},
    group::{Group, Judged, Pending, in_strands},
    ledger::{LedgerState, Status},
    offsets::OffsetSet,
    settle::{Exception, Report},
};
use crate::{
    clock::{self, Timestamp},
    destination::{Answer, Parcel, Verdict},
    egress::departures::Departures,
    event::Offset,
    privacy::{
        disclose::{Disclosed, Disclosure, Standing},
        entitlement::Withheld,
        rules::{Rule, holds},
    },
};

/// A disclosure older than this is made again before it is sent, whatever its grounds say.
const DISCLOSED_FOR: Duration = Duration::from_secs(60);
/// The wait before a key store that failed is asked again.
const DISCLOSE_RETRY: Duration = Duration::from_secs(1);

/// The rule of an event that became too old.
pub(super) const TOO_OLD: &str = "too_old";
/// The rule of an event that is not, or no longer, in the event log.
pub(super) const NOT_IN_LOG: &str = "not_in_log";
/// The rule of a record that cannot be read.
pub(super) const CORRUPT: &str = "corrupt";
/// The rule of an event of which its destination made no parcel.
const NO_PARCEL: &str = "no_parcel";

/// The program stops; what is left stays open and is done again after the next start.
struct Stopped;

/// One ordered queue of a courier.
pub(super) struct Lane {
    pub(super) courier: Arc<Courier>,
    pub(super) queue: mpsc::Receiver<Pending>,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) backoff: Backoff,
    /// Attempts that may be under way at a time when as many full parcels wait.
    pub(super) strands: usize,
}

impl Lane {
    /// Delivers until the queue's other end is gone or the courier stops.
    pub(super) async fn run(mut self) {
        let parcel = self.courier.limits.events.max(1);
        let mut batch = Vec::new();
        loop {
            // Whole parcels and no more, so that they are as full as they would be one after the other.
            let strands = ((batch.len() + self.queue.len()) / parcel).clamp(1, self.strands);
            let room = (strands * parcel).saturating_sub(batch.len());
            if batch.is_empty() {
                tokio::select! {
                    biased;
                    () = self.courier.stop.cancelled() => return,
                    taken = self.queue.recv_many(&mut batch, room) => if taken == 0 { return },
                }
            } else {
                batch.extend(std::iter::from_fn(|| self.queue.try_recv().ok()).take(room));
            }
            let strands = in_strands(&mut batch, self.courier.limits.group_by, parcel, strands);
            let delivered = strands.into_iter().map(|groups| -> Delivered<'_> {
                let strand = Strand { courier: &self.courier, reports: &self.reports, backoff: self.backoff.another() };
                Box::pin(strand.deliver(groups))
            });
            if all(delivered.collect()).await.is_err() {
                return;
            }
        }
    }
}

type Delivered<'l> = Pin<Box<dyn Future<Output = Result<(), Stopped>> + Send + 'l>>;

/// Waits for all of them, also when one has heard of the end: the others may have an attempt under way.
async fn all(mut strands: Vec<Delivered<'_>>) -> Result<(), Stopped> {
    let mut end = Ok(());
    poll_fn(|context| {
        strands.retain_mut(|strand| match strand.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                if ended.is_err() {
                    end = ended;
                }
                false
            }
        });
        if strands.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    end
}

/// A part of a lane's subjects, for a while: one attempt after the other.
struct Strand<'l> {
    courier: &'l Arc<Courier>,
    reports: &'l mpsc::Sender<Report>,
    backoff: Backoff,
}

impl Strand<'_> {
    async fn deliver(mut self, mut groups: VecDeque<Group>) -> Result<(), Stopped> {
        while let Some(group) = groups.pop_front() {
            self.attempt(group, &mut groups).await?;
        }
        Ok(())
    }

    /// Makes one attempt with the first parcel of a group. What is left of the group goes back to the front.
    async fn attempt(&mut self, mut group: Group, groups: &mut VecDeque<Group>) -> Result<(), Stopped> {
        let courier = Arc::clone(self.courier);
        let pass = self.turn(&courier, group.failures()).await?;
        group.events = self.still_wanted(group.events).await?;
        if group.events.is_empty() {
            return Ok(());
        }
        let references: Vec<&Disclosure> = group.events.iter().map(|event| &*event.disclosure).collect();
        let parcel = courier.service.encode(&references).into_iter().next();
        let Some(parcel) = parcel.filter(|parcel| !parcel.events.is_empty()) else {
            tracing::error!(destination = courier.name, "the destination made no parcel of its events: this is a fault of the program");
            let offsets = group.events.iter().map(|event| event.disclosure.offset()).collect();
            return self.report(Report::Ended(vec![Exception { offsets, state: LedgerState::Rejected, rule: NO_PARCEL }])).await;
        };
        if let Some(rest) = group.split_off_what_is_not_in(&parcel) {
            groups.push_front(rest);
        }
        let schemas = group.events.iter().map(|event| event.schema.clone());
        self.report(Report::Left(Departures::handed_over(schemas, parcel.body.len()))).await?;
        let answer = self.send(&courier, &parcel).await?;
        let verdicts = courier.service.judge(&parcel, &answer);
        let status = Status::of(&answer);
        let failed = tell(&courier, pass, &verdicts);
        courier.gauges.answered(status, failed);
        if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Accepted { .. })) {
            courier.gauges.left_unsaid(parcel.unsaid);
            if let Some(bytes) = courier.try_out(&parcel) {
                self.report(Report::Left(Departures::tried_out(parcel.events.len(), bytes))).await?;
            }
        }
        let Judged { ended, again, attempt } = group.judged(&parcel, verdicts, courier.gauges.tally());
        again.into_iter().rev().for_each(|group| groups.push_front(group));
        self.report(Report::Answered { status, attempt, events: ended }).await
    }

    /// Waits for the backoff of this strand, then for the breaker of the courier.
    async fn turn<'c>(&mut self, courier: &'c Courier, failures: u32) -> Result<Pass<'c>, Stopped> {
        let wait = if failures == 0 { Duration::ZERO } else { self.backoff.wait(failures) };
        let turn = async {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            courier.gate.pass().await
        };
        if failures > 0 {
            courier.gauges.backing_off.add(1);
        }
        let pass = tokio::select! {
            biased;
            () = courier.stop.cancelled() => Err(Stopped),
            pass = turn => Ok(pass),
        };
        if failures > 0 {
            courier.gauges.backing_off.subtract(1);
        }
        pass
    }

    async fn send(&self, courier: &Courier, parcel: &Parcel) -> Result<Answer, Stopped> {
        courier.gauges.in_flight.add(1);
        let answer = tokio::select! {
            answer = courier.carriers.send(parcel, clock::now()) => Ok(answer),
            () = courier.patience_ended() => Err(Stopped),
        };
        courier.gauges.in_flight.subtract(1);
        answer
    }

    /// Ends what has become too old or may no longer leave; makes disclosures again that are old or whose grounds have changed.
    async fn still_wanted(&self, mut events: Vec<Pending>) -> Result<Vec<Pending>, Stopped> {
        let mut ended = Vec::new();
        let is_old = |event: &Pending, now: Timestamp| now.since(event.disclosure.received()) > self.courier.limits.oldest;
        // By a clock that is not believed no event ends: it waits until that is, or was set back.
        let now = loop {
            let now = clock::now();
            if self.courier.calendar.holds_now() || !events.iter().any(|event| is_old(event, now)) {
                break now;
            }
            self.courier.pause(CLOCK_LOOK).await.ok_or(Stopped)?;
        };
        let too_old = |event: &mut Pending| is_old(event, now);
        let old: OffsetSet = events.extract_if(.., too_old).map(|event| event.disclosure.offset()).collect();
        if !old.is_empty() {
            ended.push(Exception { offsets: old, state: LedgerState::Expired, rule: TOO_OLD });
        }
        let standing = |event: &Pending| match (self.courier.stands)(&event.disclosure, now) {
            _ if !holds(Rule::AskedAtEveryAttempt) => Standing::Stands,
            Standing::Stands if now.since(event.disclosed) > DISCLOSED_FOR => Standing::Again,
            standing => standing,
        };
        let mut wanted = Vec::with_capacity(events.len());
        for event in events {
            let offset = event.disclosure.offset();
            let again = match standing(&event) {
                Standing::Stands => {
                    wanted.push(event);
                    continue;
                }
                Standing::Purged => Err((LedgerState::Purged, "")),
                Standing::Again => self.disclosed_again(offset, now).await?,
            };
            match again {
                Ok(disclosure) => wanted.push(self.courier.pending(disclosure, now)),
                Err((state, rule)) => ended.push(Exception { offsets: OffsetSet::of_range(offset, offset), state, rule }),
            }
        }
        if !ended.is_empty() {
            self.report(Report::Ended(ended)).await?;
        }
        Ok(wanted)
    }

    async fn disclosed_again(
        &self,
        offset: Offset,
        now: Timestamp,
    ) -> Result<Result<Box<Disclosure>, (LedgerState, &'static str)>, Stopped> {
        loop {
            let courier = Arc::clone(self.courier);
            let disclosed = self.courier.supervisor.blocking(move || courier.disclose_again(offset, now)).await;
            return Ok(match disclosed {
                Ok(None) => Err((LedgerState::Expired, NOT_IN_LOG)),
                // Its wait is over, or it would not be here.
                Ok(Some(Disclosed::Disclosure(disclosure) | Disclosed::Awaiting(disclosure, _))) => Ok(disclosure),
                Ok(Some(Disclosed::Purged)) => Err((LedgerState::Purged, "")),
                Ok(Some(Disclosed::Withheld(rule))) => Err((LedgerState::Withheld, rule.name())),
                Ok(Some(Disclosed::NotAddressed)) => Err((LedgerState::Withheld, Withheld::Policy.name())),
                Err(DiscloseError::Corrupt) => Err((LedgerState::Rejected, CORRUPT)),
                Err(DiscloseError::Unavailable) => {
                    tokio::select! {
                        () = self.courier.stop.cancelled() => return Err(Stopped),
                        () = tokio::time::sleep(DISCLOSE_RETRY) => continue,
                    }
                }
            });
        }
    }

    async fn report(&self, report: Report) -> Result<(), Stopped> {
        self.reports.send(report).await.map_err(|_| Stopped)
    }
}

/// Tells the breaker how an attempt went, and people when someone must act. Returns whether something has to be tried again.
fn tell(courier: &Courier, pass: Pass<'_>, verdicts: &[Verdict]) -> bool {
    let refusing = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::EndpointRefuses { reason } => Some(*reason),
        _ => None,
    });
    let longest = verdicts.iter().filter_map(|verdict| if let Verdict::Retry { after } = verdict { Some(*after) } else { None }).max();
    if let Some(reason) = refusing {
        if pass.refused() == Opened::Now {
            tracing::error!(destination = courier.name, reason, "the endpoint refuses everything: its events wait, and expire");
        }
    } else if let Some(after) = longest {
        if pass.failed(after) == Opened::Now {
            tracing::warn!(destination = courier.name, "the destination does not answer as it should: trying seldom until it does");
        }
    } else if pass.answered() {
        tracing::info!(destination = courier.name, "the destination takes events again");
    }
    refusing.is_some() || longest.is_some()
}
