//! A lane: one of the ordered queues of a courier. Events of one subject are in one lane, and a lane has one attempt under way at a
//! time, so their order holds. A retry holds up this lane alone; a refused parcel is bisected until the poison event stands alone.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    backoff::Backoff,
    breaker::{Opened, Pass},
    courier::{Courier, DiscloseError},
    ledger::{LedgerState, Status},
    offsets::OffsetSet,
    settle::{Answered, Exception, Report},
};
use crate::{
    clock::{self, Timestamp},
    destination::{Answer, GroupBy, Parcel, Verdict},
    event::Offset,
    privacy::disclose::{Disclosed, Disclosure, Withheld},
};

/// A disclosure older than this is made again before it is sent: by then the person may have withdrawn, or the policy may allow less.
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

/// An event on its way.
pub(super) struct Pending {
    pub(super) disclosure: Box<Disclosure>,
    /// When the disclosure was made.
    pub(super) disclosed: Timestamp,
}

/// Events that travel together as far as they fit, in order.
struct Group {
    events: Vec<Pending>,
    /// Attempts made so far.
    attempts: u32,
    /// Failures in a row: what the backoff counts.
    failures: u32,
}

/// The program stops; what is left stays open and is done again after the next start.
struct Stopped;

/// One ordered queue of a courier.
pub(super) struct Lane {
    pub(super) courier: Arc<Courier>,
    pub(super) queue: mpsc::Receiver<Pending>,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) backoff: Backoff,
}

impl Lane {
    /// Delivers until the queue's other end is gone or the courier stops.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let most = self.courier.limits.events.max(1);
            let taken = tokio::select! {
                biased;
                () = self.courier.stop.cancelled() => return,
                taken = self.queue.recv_many(&mut batch, most) => taken,
            };
            if taken == 0 {
                return;
            }
            let mut groups = grouped(batch.drain(..), self.courier.limits.group_by);
            while let Some(group) = groups.pop_front() {
                if self.attempt(group, &mut groups).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Makes one attempt with the first parcel of a group. What is left of the group goes back to the front.
    async fn attempt(&mut self, group: Group, groups: &mut VecDeque<Group>) -> Result<(), Stopped> {
        let courier = Arc::clone(&self.courier);
        let pass = self.turn(&courier, group.failures).await?;
        let (attempts, failures) = (group.attempts, group.failures);
        let mut events = self.still_wanted(group.events).await?;
        if events.is_empty() {
            return Ok(());
        }
        let references: Vec<&Disclosure> = events.iter().map(|event| &*event.disclosure).collect();
        let parcel = courier.service.encode(&references).into_iter().next();
        let Some(parcel) = parcel.filter(|parcel| !parcel.events.is_empty()) else {
            tracing::error!(destination = courier.name, "the destination made no parcel of its events: this is a fault of the program");
            let offsets = events.iter().map(|event| event.disclosure.offset()).collect();
            return self.report(Report::Ended(vec![Exception { offsets, state: LedgerState::Rejected, rule: NO_PARCEL }])).await;
        };
        let rest: Vec<Pending> = events.extract_if(.., |event| !parcel.events.contains(&event.disclosure.offset())).collect();
        if !rest.is_empty() {
            groups.push_front(Group { events: rest, attempts: 0, failures: 0 });
        }
        let answer = self.send(&courier, &parcel).await?;
        let verdicts = courier.service.judge(&parcel, &answer);
        tell(&courier, pass, &verdicts);
        let status = Status::of(&answer);
        courier.gauges.answered(status);
        let judged = judged(events, &parcel, verdicts);
        let attempts = attempts.saturating_add(1);
        // Front to back: bisected halves, what is to be tried again, the rest of the group.
        if !judged.retry.is_empty() {
            groups.push_front(Group { events: judged.retry, attempts, failures: failures.saturating_add(1) });
        }
        if let Some((first, second)) = judged.halves {
            groups.push_front(Group { events: second, attempts, failures: 0 });
            groups.push_front(Group { events: first, attempts, failures: 0 });
        }
        if judged.ended.is_empty() {
            return Ok(());
        }
        self.report(Report::Answered { status, attempt: attempts, events: judged.ended }).await
    }

    /// Waits for the backoff of this lane, then for the breaker of the courier.
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

    /// Ends what has become too old or may no longer leave; makes old disclosures again.
    async fn still_wanted(&self, mut events: Vec<Pending>) -> Result<Vec<Pending>, Stopped> {
        let mut ended = Vec::new();
        let now = clock::now();
        let too_old = |event: &mut Pending| now.since(event.disclosure.received()) > self.courier.limits.oldest;
        let old: OffsetSet = events.extract_if(.., too_old).map(|event| event.disclosure.offset()).collect();
        if !old.is_empty() {
            ended.push(Exception { offsets: old, state: LedgerState::Expired, rule: TOO_OLD });
        }
        if events.iter().any(|event| now.since(event.disclosed) > DISCLOSED_FOR) {
            let mut wanted = Vec::with_capacity(events.len());
            for event in events {
                match self.disclosed_again(event.disclosure.offset(), now).await? {
                    Ok(disclosure) => wanted.push(Pending { disclosure, disclosed: now }),
                    Err((state, rule)) => {
                        let offset = event.disclosure.offset();
                        ended.push(Exception { offsets: OffsetSet::of_range(offset, offset), state, rule });
                    }
                }
            }
            events = wanted;
        }
        if !ended.is_empty() {
            self.report(Report::Ended(ended)).await?;
        }
        Ok(events)
    }

    async fn disclosed_again(
        &self,
        offset: Offset,
        now: Timestamp,
    ) -> Result<Result<Box<Disclosure>, (LedgerState, &'static str)>, Stopped> {
        loop {
            let courier = Arc::clone(&self.courier);
            let disclosed = self.courier.supervisor.blocking(move || courier.disclose_again(offset, now)).await;
            return Ok(match disclosed {
                Ok(None) => Err((LedgerState::Expired, NOT_IN_LOG)),
                Ok(Some(Disclosed::Disclosure(disclosure))) => Ok(disclosure),
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

/// Puts events that may share a parcel into groups, keeping the order of each subject.
fn grouped(batch: impl Iterator<Item = Pending>, group_by: GroupBy) -> VecDeque<Group> {
    let mut groups: VecDeque<Group> = VecDeque::new();
    for event in batch {
        let place = match group_by {
            GroupBy::None => groups.front_mut(),
            GroupBy::Event => None,
            GroupBy::Visitor => {
                let lane = event.disclosure.lane();
                groups.iter_mut().find(|group| group.events.first().is_some_and(|first| first.disclosure.lane() == lane))
            }
        };
        match place {
            Some(group) => group.events.push(event),
            None => groups.push_back(Group { events: vec![event], attempts: 0, failures: 0 }),
        }
    }
    groups
}

/// Tells the breaker how an attempt went, and people when someone must act.
fn tell(courier: &Courier, pass: Pass<'_>, verdicts: &[Verdict]) {
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
}

/// What an answer makes of the events of a parcel.
#[derive(Default)]
struct Judged {
    ended: Vec<Answered>,
    retry: Vec<Pending>,
    halves: Option<(Vec<Pending>, Vec<Pending>)>,
}

fn judged(mut events: Vec<Pending>, parcel: &Parcel, verdicts: Vec<Verdict>) -> Judged {
    let all_rejected = !verdicts.is_empty() && verdicts.iter().all(|verdict| matches!(verdict, Verdict::Rejected { .. }));
    if all_rejected && events.len() > 1 {
        let second = events.split_off(events.len() / 2);
        return Judged { halves: Some((events, second)), ..Judged::default() };
    }
    let mut judged = Judged::default();
    let mut verdicts = parcel.events.iter().zip(verdicts).collect::<Vec<_>>();
    for event in events {
        let offset = event.disclosure.offset();
        let verdict = verdicts.iter().position(|(of, _)| **of == offset).map(|at| verdicts.swap_remove(at).1);
        let end = match verdict {
            Some(Verdict::Accepted { proven: true }) => LedgerState::Accepted,
            Some(Verdict::Accepted { proven: false }) => LedgerState::AcceptedUnproven,
            Some(Verdict::DroppedByReceiver) => LedgerState::DroppedByReceiver,
            Some(Verdict::Rejected { reason }) => {
                judged.ended.push(rejected(event, reason));
                continue;
            }
            // An event without a verdict has not been answered.
            Some(Verdict::Retry { .. } | Verdict::EndpointRefuses { .. }) | None => {
                judged.retry.push(event);
                continue;
            }
        };
        judged.ended.push(Answered { disclosure: event.disclosure, state: end, reason: None });
    }
    judged
}

fn rejected(event: Pending, reason: &'static str) -> Answered {
    Answered { disclosure: event.disclosure, state: LedgerState::Rejected, reason: Some(reason) }
}
