//! What calls for a person: judged from figures alone, look after look. Each condition has a name, and a sentence that says what to do.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    clock::Timestamp,
    config::Alerts as Thresholds,
    delivery::status::{CourierState, DestinationStatus},
    event_log::LogState,
};

/// What grows is judged by how much it grew within this time.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// Too few events to judge a share by.
const SHARE_OF_AT_LEAST: u64 = 20;
/// Samples kept of each destination: a window of looks, and some.
const SAMPLES_MAX: usize = 512;

/// What calls for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// A site has had no event for too long.
    NoEvents,
    /// A destination's oldest event waits too long.
    Backlog,
    /// A receiver says yes and keeps nothing.
    ReceiverDrops,
    /// Events are refused, each by itself.
    ParkedGrowth,
    /// A courier does not work until somebody acts.
    CourierStopped,
    /// The event log takes nothing.
    LogStopped,
    /// Keys could be written to swap space.
    KeysNotLocked,
    /// The certificate that is served has nearly ended, or has.
    CertificateEnds,
}

impl Condition {
    /// The name in messages, metrics and the overview.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoEvents => "no_events",
            Self::Backlog => "backlog",
            Self::ReceiverDrops => "receiver_drops",
            Self::ParkedGrowth => "parked_growth",
            Self::CourierStopped => "courier_stopped",
            Self::LogStopped => "log_stopped",
            Self::KeysNotLocked => "keys_not_locked",
            Self::CertificateEnds => "certificate_ends",
        }
    }

    /// What it means, and where to look.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::NoEvents => {
                "No event has come in from this site for a long time: is the script on its pages, and does the way to here work?"
            }
            Self::Backlog => {
                "The oldest event for this destination has waited for a long time: its receiver is slow, away, or refuses everything."
            }
            Self::ReceiverDrops => {
                "This destination's receiver says yes to events and does not keep them: look at its own settings and limits."
            }
            Self::ParkedGrowth => {
                "This destination's receiver refuses many events, each by itself: the live page says why, `firsthand replay` sends them again."
            }
            Self::CourierStopped => "Nothing goes to this destination until somebody acts: its settings or its receiver's answers say why.",
            Self::LogStopped => "Events cannot be taken in: the disk is full or broken, and senders are told to come back.",
            Self::KeysNotLocked => {
                "Keys in use could not be locked into memory, and may be written to swap space: raise the limit of locked memory (ulimit -l)."
            }
            Self::CertificateEnds => {
                "The certificate that is served ends soon, or has ended: renew it; a new one in its files is taken up by itself."
            }
        }
    }
}

/// An alert: what, and of which site or destination (empty: of the program).
pub type Alert = (Condition, String);

/// What is judged.
pub struct Figures {
    /// Every site's name and how many events of it were stored since the start.
    pub sites: Vec<(String, u64)>,
    /// Every destination.
    pub destinations: Vec<DestinationStatus>,
    /// What the event log does.
    pub log: LogState,
    /// Whether every key in use is locked into memory.
    pub keys_locked: bool,
    /// Whether the certificate that is served is near its end.
    pub certificate_ends_soon: bool,
}

/// What was seen before, as far as a condition needs it.
#[derive(Default)]
pub struct Judge {
    sites: BTreeMap<String, (u64, Timestamp)>,
    destinations: BTreeMap<String, VecDeque<Sample>>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Timestamp,
    accepted: u64,
    rejected: u64,
    dropped: u64,
}

impl Judge {
    /// Every condition that holds now.
    pub fn look(&mut self, figures: &Figures, thresholds: &Thresholds, now: Timestamp) -> Vec<Alert> {
        let mut alerts = Vec::new();
        self.sites.retain(|name, _| figures.sites.iter().any(|(known, _)| known == name));
        for (name, stored) in &figures.sites {
            let (seen, since) = self.sites.entry(name.clone()).or_insert((*stored, now));
            if seen != stored {
                (*seen, *since) = (*stored, now);
            }
            if lasts(now.since(*since), thresholds.silent_minutes) {
                alerts.push((Condition::NoEvents, name.clone()));
            }
        }
        self.destinations.retain(|name, _| figures.destinations.iter().any(|known| known.name == *name));
        for status in &figures.destinations {
            let samples = self.destinations.entry(status.name.clone()).or_default();
            let grown = grown(samples, status, now);
            let mut alert = |condition| alerts.push((condition, status.name.clone()));
            if matches!(status.courier, CourierState::Stopped | CourierState::Refused) {
                alert(Condition::CourierStopped);
            }
            let waits_by_wish = matches!(status.courier, CourierState::Paused | CourierState::HoldingBack);
            let age = Duration::from_millis(status.oldest_open_ms.unwrap_or(0));
            if !waits_by_wish && lasts(age, thresholds.backlog_minutes) {
                alert(Condition::Backlog);
            }
            if thresholds.parked_per_hour > 0 && grown.rejected >= u64::from(thresholds.parked_per_hour) {
                alert(Condition::ParkedGrowth);
            }
            let answered = grown.accepted + grown.dropped;
            let share_max = u64::from(thresholds.dropped_percent);
            if share_max > 0 && answered >= SHARE_OF_AT_LEAST && grown.dropped * 100 >= answered * share_max {
                alert(Condition::ReceiverDrops);
            }
        }
        if matches!(figures.log, LogState::Full | LogState::Repairing) {
            alerts.push((Condition::LogStopped, String::new()));
        }
        if !figures.keys_locked {
            alerts.push((Condition::KeysNotLocked, String::new()));
        }
        if figures.certificate_ends_soon {
            alerts.push((Condition::CertificateEnds, String::new()));
        }
        alerts
    }
}

/// Whether something has gone on for so many minutes; 0 minutes: nobody wants to know.
fn lasts(age: Duration, minutes: u32) -> bool {
    minutes > 0 && age >= Duration::from_secs(60) * minutes
}

/// How much a destination's ends have grown within the window.
fn grown(samples: &mut VecDeque<Sample>, status: &DestinationStatus, now: Timestamp) -> Sample {
    let ended = |name: &str| status.ended.get(name).copied().unwrap_or(0);
    let accepted = ended("accepted") + ended("accepted_unproven");
    let is = Sample { at: now, accepted, rejected: ended("rejected"), dropped: ended("dropped_by_receiver") };
    // Of those that are a window old or older, the newest is what is compared with.
    while samples.len() > 1 && now.since(samples[1].at) >= WINDOW || samples.len() >= SAMPLES_MAX {
        samples.pop_front();
    }
    samples.push_back(is);
    let was = samples.front().copied().unwrap_or(is);
    // They shrink where events are sent again or purged.
    Sample {
        at: was.at,
        accepted: is.accepted.saturating_sub(was.accepted),
        rejected: is.rejected.saturating_sub(was.rejected),
        dropped: is.dropped.saturating_sub(was.dropped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(courier: CourierState, oldest_open_ms: Option<u64>, [accepted, rejected, dropped]: [u64; 3]) -> DestinationStatus {
        DestinationStatus {
            name: String::from("crm"),
            kind: "webhook",
            courier,
            lag: 0,
            open: 0,
            in_flight: 0,
            attempts: 0,
            failed: 0,
            ended: [("accepted", accepted), ("rejected", rejected), ("dropped_by_receiver", dropped)].into(),
            last_status: None,
            unsaid: 0,
            trials: 0,
            trials_faulty: 0,
            last_finding: None,
            oldest_open_ms,
            problem: None,
        }
    }

    fn figures(stored: u64, status: DestinationStatus) -> Figures {
        Figures {
            sites: vec![(String::from("shop"), stored)],
            destinations: vec![status],
            log: LogState::Accepting,
            keys_locked: true,
            certificate_ends_soon: false,
        }
    }

    const fn minute(minutes: i64) -> Timestamp {
        Timestamp(minutes * 60_000)
    }

    fn well(ends: [u64; 3]) -> DestinationStatus {
        status(CourierState::Running, None, ends)
    }

    #[test]
    fn a_site_is_silent_from_its_last_event_on() {
        let (mut judge, thresholds) = (Judge::default(), Thresholds { silent_minutes: 30, ..Thresholds::default() });
        let mut at = |minutes, stored| judge.look(&figures(stored, well([0; 3])), &thresholds, minute(minutes));
        assert_eq!(at(0, 0), []);
        assert_eq!(at(29, 0), []);
        assert_eq!(at(30, 0), [(Condition::NoEvents, String::from("shop"))], "also where none has ever come");
        assert_eq!(at(31, 1), []);
        assert_eq!(at(60, 1), []);
        assert_eq!(at(61, 1), [(Condition::NoEvents, String::from("shop"))]);
        let never = Thresholds { silent_minutes: 0, ..Thresholds::default() };
        assert_eq!(judge.look(&figures(1, well([0; 3])), &never, minute(100_000)), []);
    }

    #[test]
    fn what_waits_by_wish_is_no_backlog() {
        let (hour, thresholds) = (Some(60 * 60 * 1000), Thresholds::default());
        for (courier, open, expected) in [
            (CourierState::BreakerOpen, hour, vec![Condition::Backlog]),
            (CourierState::BackingOff, Some(60 * 60 * 1000 - 1), vec![]),
            (CourierState::Paused, hour, vec![]),
            (CourierState::HoldingBack, hour, vec![]),
            (CourierState::Stopped, None, vec![Condition::CourierStopped]),
            (CourierState::Refused, hour, vec![Condition::CourierStopped, Condition::Backlog]),
        ] {
            let found = Judge::default().look(&figures(1, status(courier, open, [0; 3])), &thresholds, minute(0));
            assert_eq!(found.into_iter().map(|(condition, _)| condition).collect::<Vec<_>>(), expected, "{courier:?}");
        }
    }

    #[test]
    fn growth_is_what_came_within_the_hour() {
        let (mut judge, thresholds) = (Judge::default(), Thresholds { silent_minutes: 0, ..Thresholds::default() });
        let mut at = |minutes, ends| {
            let found = judge.look(&figures(1, well(ends)), &thresholds, minute(minutes));
            found.into_iter().map(|(condition, _)| condition).collect::<Vec<_>>()
        };
        assert_eq!(at(0, [1000, 5000, 900]), [], "what was there before the start is no growth");
        assert_eq!(at(10, [1010, 5050, 900]), []);
        assert_eq!(at(50, [1010, 5100, 900]), [Condition::ParkedGrowth]);
        assert_eq!(at(70, [1018, 5120, 901]), [], "50 of them are older than an hour");
        assert_eq!(at(200, [1038, 5120, 903]), [Condition::ReceiverDrops]);
        assert_eq!(at(300, [2038, 5120, 905]), [], "2 of 1000");
        assert_eq!(at(310, [2038, 4000, 905]), [], "what is sent again is not there any more");
    }

    #[test]
    fn the_programs_own_state_is_said_of_nobody() {
        let stopped = Figures { log: LogState::Full, keys_locked: false, certificate_ends_soon: true, ..figures(1, well([0; 3])) };
        let found = Judge::default().look(&stopped, &Thresholds::default(), minute(0));
        let expected = [Condition::LogStopped, Condition::KeysNotLocked, Condition::CertificateEnds];
        assert_eq!(found, expected.map(|condition| (condition, String::new())));
    }
}
