//! Groups: events of one lane that travel together, and what an answer makes of them: ended, to be tried again, or halved. No I/O.

use std::collections::{HashMap, VecDeque};

use super::{ledger::LedgerState, settle::Answered, status::Tally};
use crate::{
    clock::Timestamp,
    destination::{GroupBy, Parcel, Verdict},
    privacy::{departure::Schema, disclose::Disclosure},
};

/// A receiver that fails this often in a row at the same events (over some minutes) may be failing because of them.
const POISON_FAILURES: u32 = 10;
/// The same for the halves of such a group, of which one is sound.
const SUSPECT_FAILURES: u32 = 3;
/// Why events end that a receiver always fails at.
const POISON: &str = "the receiver fails at it, and takes others";

/// An event on its way.
pub(super) struct Pending {
    pub(super) disclosure: Box<Disclosure>,
    /// Which fields are in it, by the documents that it was made under.
    pub(super) schema: Schema,
    /// When the disclosure was made.
    pub(super) disclosed: Timestamp,
}

/// Events that travel together as far as they fit, in order.
pub(super) struct Group {
    pub(super) events: Vec<Pending>,
    /// Attempts made so far.
    attempts: u32,
    /// Failures in a row.
    failures: u32,
    /// The courier's tally at the first of them.
    since: Option<Tally>,
    /// Half of a group at which the receiver kept failing.
    suspect: bool,
}

/// What an answer makes of a group.
pub(super) struct Judged {
    pub(super) ended: Vec<Answered>,
    /// In the order in which they are to be tried.
    pub(super) again: Vec<Group>,
    /// Which attempt it was, from 1.
    pub(super) attempt: u32,
}

/// Divides a batch into at most so many strands, whose groups may be tried at the same time: all events of a subject are in one of them, in
/// their order. Where there are several, each has what one parcel may hold; what then has no room, or comes after such an event of the same
/// subject, stays in the batch.
pub(super) fn in_strands(batch: &mut Vec<Pending>, group_by: GroupBy, parcel: usize, strands: usize) -> Vec<VecDeque<Group>> {
    if strands <= 1 {
        return vec![grouped(batch.drain(..), group_by)];
    }
    let mut events_of: HashMap<u64, usize> = HashMap::new();
    batch.iter().for_each(|event| *events_of.entry(event.disclosure.lane()).or_default() += 1);
    // With all of its events a subject goes where they fit: the strands are filled one after the other.
    let mut planned = vec![0; strands];
    let mut place = |events: usize| {
        let fits = (0..strands).find(|at| planned[*at] + events <= parcel);
        let at = fits.or_else(|| (0..strands).min_by_key(|at| planned[*at]))?;
        planned[at] += events;
        Some(at)
    };
    let mut divided: Vec<Vec<Pending>> = (0..strands).map(|_| Vec::with_capacity(parcel)).collect();
    // Where a subject's events are; `None`: in the rest.
    let mut strand_of: HashMap<u64, Option<usize>> = HashMap::new();
    let mut rest = Vec::new();
    for event in batch.drain(..) {
        let subject = event.disclosure.lane();
        let at = strand_of.entry(subject).or_insert_with(|| place(events_of[&subject]));
        *at = at.filter(|at| divided[*at].len() < parcel);
        match *at {
            Some(at) => divided[at].push(event),
            None => rest.push(event),
        }
    }
    *batch = rest;
    divided.retain(|strand| !strand.is_empty());
    divided.into_iter().map(|strand| grouped(strand.into_iter(), group_by)).collect()
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
            None => groups.push_back(Group::new(vec![event])),
        }
    }
    groups
}

impl Group {
    fn new(events: Vec<Pending>) -> Self {
        Self { events, attempts: 0, failures: 0, since: None, suspect: false }
    }

    /// Failures in a row: what the backoff counts.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Keeps the events of a parcel; the others become a group that comes after it.
    pub(super) fn split_off_what_is_not_in(&mut self, parcel: &Parcel) -> Option<Self> {
        let rest: Vec<Pending> = self.events.extract_if(.., |event| !parcel.events.contains(&event.disclosure.offset())).collect();
        (!rest.is_empty()).then(|| Self::new(rest))
    }

    /// What an answer to the group's parcel means for it. `tally` is the courier's, this answer included.
    pub(super) fn judged(mut self, parcel: &Parcel, mut verdicts: Vec<Verdict>, tally: Tally) -> Judged {
        self.attempts = self.attempts.saturating_add(1);
        if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Retry { .. } | Verdict::EndpointRefuses { .. })) {
            self.failures = self.failures.saturating_add(1);
            let since = *self.since.get_or_insert(tally);
            if self.is_poisonous(&verdicts, since, tally) {
                verdicts.fill(Verdict::Rejected { reason: POISON });
                self.suspect = true;
            }
        } else {
            (self.failures, self.since) = (0, None);
        }
        let attempt = self.attempts;
        let all_rejected = !verdicts.is_empty() && verdicts.iter().all(|verdict| matches!(verdict, Verdict::Rejected { .. }));
        if all_rejected && self.events.len() > 1 {
            let second = self.events.split_off(self.events.len() / 2);
            let half = |events| Self { attempts: attempt, suspect: self.suspect, ..Self::new(events) };
            return Judged { ended: Vec::new(), again: vec![half(self.events), half(second)], attempt };
        }
        let mut verdicts: Vec<_> = parcel.events.iter().zip(verdicts).collect();
        let (mut ended, mut retry) = (Vec::new(), Vec::new());
        for event in std::mem::take(&mut self.events) {
            let place = verdicts.iter().position(|(offset, _)| **offset == event.disclosure.offset());
            match place.and_then(|at| end(&verdicts.swap_remove(at).1)) {
                Some((state, reason)) => ended.push(Answered { disclosure: event.disclosure, schema: event.schema, state, reason }),
                None => retry.push(event),
            }
        }
        let again = if retry.is_empty() { Vec::new() } else { vec![Self { events: retry, ..self }] };
        Judged { ended, again, attempt }
    }

    /// Whether it is these events that the receiver fails at, and not the receiver that is down: it has taken at least as many parcels
    /// since as it has failed at. Else one such event would hold up its lane, and in the end all of them, until it is too old.
    fn is_poisonous(&self, verdicts: &[Verdict], since: Tally, now: Tally) -> bool {
        let failed = now.failed.saturating_sub(since.failed);
        let taken = now.attempts.saturating_sub(since.attempts).saturating_sub(failed);
        let often = self.failures >= if self.suspect { SUSPECT_FAILURES } else { POISON_FAILURES };
        let no_pause_asked = verdicts.iter().all(|verdict| *verdict == Verdict::Retry { after: None });
        often && no_pause_asked && (self.suspect || taken >= failed)
    }
}

/// The end that a verdict is. `None`: it is not one; to be tried again.
fn end(verdict: &Verdict) -> Option<(LedgerState, Option<&'static str>)> {
    match verdict {
        Verdict::Accepted { proven: true } => Some((LedgerState::Accepted, None)),
        Verdict::Accepted { proven: false } => Some((LedgerState::AcceptedUnproven, None)),
        Verdict::DroppedByReceiver => Some((LedgerState::DroppedByReceiver, None)),
        Verdict::Rejected { reason } => Some((LedgerState::Rejected, Some(reason))),
        Verdict::Retry { .. } | Verdict::EndpointRefuses { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        destination::{FileAppend, Via, file::FileFormat},
        documents::Documents,
        event::Offset,
    };

    const QUIET: Tally = Tally { attempts: 0, failed: 0 };
    const REJECTED: Verdict = Verdict::Rejected { reason: "no" };
    const RETRY: Verdict = Verdict::Retry { after: None };
    const TAKEN: Verdict = Verdict::Accepted { proven: true };

    fn pending(offset: u64, lane: u64) -> Pending {
        let disclosure = Box::new(Disclosure::for_test(Offset(offset), lane, Timestamp(0)));
        Pending { schema: Schema::of(&disclosure, &Documents::default()), disclosure, disclosed: Timestamp(0) }
    }

    fn group(offsets: impl IntoIterator<Item = u64>) -> Group {
        Group::new(offsets.into_iter().map(|offset| pending(offset, 1)).collect())
    }

    fn parcel(offsets: impl IntoIterator<Item = u64>) -> Parcel {
        let append = FileAppend { directory: "x".into(), rotate_bytes: 1, rotate_after: None, keep: 1, format: FileFormat::Lines };
        Parcel { via: Via::File(append), body: bytes::Bytes::new(), events: offsets.into_iter().map(Offset).collect(), unsaid: 0 }
    }

    fn offsets(group: &Group) -> Vec<u64> {
        group.events.iter().map(|event| event.disclosure.offset().0).collect()
    }

    fn ends(judged: &Judged) -> Vec<(u64, LedgerState)> {
        judged.ended.iter().map(|end| (end.disclosure.offset().0, end.state)).collect()
    }

    #[test]
    fn grouping_keeps_the_order_of_each_subject() {
        let batch = || [(1, 7), (2, 8), (3, 7), (4, 9), (5, 8)].map(|(offset, lane)| pending(offset, lane)).into_iter();
        let by = |group_by| grouped(batch(), group_by).iter().map(offsets).collect::<Vec<_>>();
        assert_eq!(by(GroupBy::None), [vec![1, 2, 3, 4, 5]]);
        assert_eq!(by(GroupBy::Visitor), [vec![1, 3], vec![2, 5], vec![4]]);
        assert_eq!(by(GroupBy::Event), [vec![1], vec![2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn strands_are_filled_one_after_the_other_and_no_subject_is_in_two() {
        let divided = |events: &[(u64, u64)], strands| {
            let mut batch = events.iter().map(|(offset, lane)| pending(*offset, *lane)).collect();
            let strands = in_strands(&mut batch, GroupBy::None, 3, strands);
            let strands: Vec<Vec<u64>> = strands.iter().map(|groups| groups.iter().flat_map(offsets).collect()).collect();
            (strands, batch.iter().map(|event| event.disclosure.offset().0).collect::<Vec<_>>())
        };
        let each_another: Vec<(u64, u64)> = (1..=6).map(|offset| (offset, offset)).collect();
        assert_eq!(divided(&each_another, 2), (vec![vec![1, 2, 3], vec![4, 5, 6]], vec![]));
        assert_eq!(divided(&each_another, 1), (vec![vec![1, 2, 3, 4, 5, 6]], vec![]));
        assert_eq!(divided(&each_another[..2], 2), (vec![vec![1, 2]], vec![]));
        // A subject whose strand is full goes on in the next batch, with all that comes after.
        let events = [(1, 7), (2, 8), (3, 9), (4, 7), (5, 5), (6, 8), (7, 7)];
        assert_eq!(divided(&events, 2), (vec![vec![1, 4, 5], vec![2, 3, 6]], vec![7]));
        assert_eq!(divided(&[(1, 7), (2, 7), (3, 7), (4, 7), (5, 7)], 2), (vec![vec![1, 2, 3]], vec![4, 5]));
        // Also one that never had room.
        assert_eq!(divided(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 7)], 2).1, [7, 8]);
    }

    #[test]
    fn what_is_rejected_together_is_halved_and_alone_or_by_name_it_ends() {
        let judged = group(1..=5).judged(&parcel(1..=5), vec![REJECTED; 5], QUIET);
        assert_eq!(judged.again.iter().map(offsets).collect::<Vec<_>>(), [vec![1, 2], vec![3, 4, 5]]);
        assert!(judged.ended.is_empty());
        let judged = group([1]).judged(&parcel([1]), vec![REJECTED], QUIET);
        assert_eq!(ends(&judged), [(1, LedgerState::Rejected)]);
        let judged = group(1..=4).judged(&parcel(1..=4), vec![TAKEN, REJECTED, RETRY, Verdict::DroppedByReceiver], QUIET);
        assert_eq!(ends(&judged), [(1, LedgerState::Accepted), (2, LedgerState::Rejected), (4, LedgerState::DroppedByReceiver)]);
        assert_eq!(offsets(&judged.again[0]), [3]);
        assert_eq!((judged.again[0].failures(), judged.attempt), (1, 1));
    }

    #[test]
    fn an_event_without_a_verdict_is_tried_again() {
        let judged = group(1..=2).judged(&parcel(1..=2), vec![TAKEN], QUIET);
        assert_eq!((ends(&judged), offsets(&judged.again[0])), (vec![(1, LedgerState::Accepted)], vec![2]));
    }

    #[test]
    fn a_parcel_that_took_a_part_leaves_the_rest_for_later() {
        let mut all = group(1..=4);
        let rest = all.split_off_what_is_not_in(&parcel([1, 2])).unwrap();
        assert_eq!((offsets(&all), offsets(&rest)), (vec![1, 2], vec![3, 4]));
        assert!(all.split_off_what_is_not_in(&parcel([1, 2])).is_none());
    }

    /// Fails until something else comes of it; returns after how many failures, and what.
    fn fail(mut group: Group, verdict: &Verdict, taken_between: u64) -> Option<(u64, Judged)> {
        for failed in 1..100 {
            let (events, count) = (offsets(&group), group.events.len());
            let tally = Tally { attempts: failed * (1 + taken_between), failed };
            let mut judged = group.judged(&parcel(events), vec![verdict.clone(); count], tally);
            if judged.again.len() != 1 {
                return Some((failed, judged));
            }
            group = judged.again.remove(0);
        }
        None
    }

    #[test]
    fn events_that_a_sound_receiver_always_fails_at_are_isolated() {
        let (failures, judged) = fail(group(1..=2), &RETRY, 1).expect("they are suspected");
        assert_eq!(failures, u64::from(POISON_FAILURES));
        let [first, second] = <[Group; 2]>::try_from(judged.again).ok().expect("two halves");
        let (failures, judged) = fail(first, &RETRY, 1).expect("it is found");
        assert_eq!((failures, judged.ended[0].reason), (u64::from(SUSPECT_FAILURES), Some(POISON)));
        let judged = second.judged(&parcel([2]), vec![TAKEN], QUIET);
        assert_eq!(ends(&judged), [(2, LedgerState::Accepted)]);
    }

    #[test]
    fn no_event_is_to_blame_for_a_receiver_that_is_down_or_asks_for_a_pause() {
        assert!(fail(group(1..=2), &RETRY, 0).is_none(), "it takes nothing else either");
        assert!(fail(group(1..=2), &Verdict::Retry { after: Some(std::time::Duration::ZERO) }, 5).is_none(), "it asks for a pause");
        assert!(fail(group(1..=2), &Verdict::EndpointRefuses { reason: "gone" }, 5).is_none(), "it refuses whatever comes");
    }
}
