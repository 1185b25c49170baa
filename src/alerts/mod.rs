//! Alerts: what calls for a person is said as soon as it is so, and once more when it is over: on the live page, in the metrics, and to a
//! webhook or by mail where one is named. What is judged, and how, is in `judge`; `way` is how it is told.

pub mod judge;
mod way;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use self::{
    judge::{Alert, Condition, Figures, Judge},
    way::Way,
};
use crate::{
    clock::{self, Timestamp},
    config::Alerts as Settings,
    delivery::carrier::Carriers,
    destination::SettingsError,
    metrics::{Counter, Exposition},
    supervise::Supervisor,
};

/// How often the figures are judged.
const LOOK: Duration = Duration::from_secs(10);
/// How often it is looked for something to tell.
const TELL: Duration = Duration::from_secs(2);
/// What could not be told is told again this much later, then twice as much, and so on.
const TELL_AGAIN: Duration = Duration::from_secs(20);
/// But never later than this: who is away for a night is told in the morning.
const TELL_AGAIN_MOST: Duration = Duration::from_secs(10 * 60);
/// So many attempts (more than two days) for one message; then it is forgotten, and counted.
const ATTEMPTS_MAX: u32 = 300;
/// Messages that wait on one way; older ones are forgotten first, and counted.
const UNSENT_MAX: usize = 64;
/// So many messages in an hour on one way, where something comes and goes all the time; the others wait.
const TOLD_PER_HOUR_MAX: usize = 60;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What calls for a person now, and what is to be told of it.
pub struct Alerts {
    settings: Settings,
    ways: Vec<Way>,
    carriers: Arc<Carriers>,
    told: Mutex<Told>,
    forgotten: Counter,
}

#[derive(Default)]
struct Told {
    judge: Judge,
    /// What holds, and since when.
    raised: BTreeMap<Alert, Timestamp>,
    /// One for each way.
    queues: Vec<Queue>,
}

/// What is to be told on one way.
#[derive(Default)]
struct Queue {
    unsent: VecDeque<Message>,
    /// Attempts with the first of them.
    attempts: u32,
    /// Not before this moment.
    next: Option<Timestamp>,
    /// When the last ones were told.
    told: VecDeque<Timestamp>,
}

/// Something began, or is over.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    alert: Alert,
    since: Timestamp,
    over: Option<Timestamp>,
}

impl Alerts {
    /// With these settings; nothing is judged yet.
    ///
    /// # Errors
    /// When the webhook's address or secret, or the mail's settings, cannot be used. Reads files: blocks.
    pub fn new(settings: Settings, carriers: Arc<Carriers>) -> Result<Self, SettingsError> {
        let ways = Way::all(&settings)?;
        let queues = ways.iter().map(|_| Queue::default()).collect();
        let told = Mutex::new(Told { queues, ..Told::default() });
        Ok(Self { settings, ways, carriers, told, forgotten: Counter::default() })
    }

    /// Looks, and tells, until the program stops.
    pub fn start(self: &Arc<Self>, supervisor: &Supervisor, figures: impl Fn() -> Figures + Send + Sync + 'static) {
        let (alerts, stop, figures) = (Arc::clone(self), supervisor.stop_signal(), Arc::new(figures));
        let threads = supervisor.clone();
        supervisor.spawn("alerts", async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
                let (looking, figures) = (Arc::clone(&alerts), Arc::clone(&figures));
                threads.blocking(move || looking.look(&figures(), clock::now())).await;
            }
        });
        // Each way for itself: one that hangs keeps no other, nor the look.
        for place in 0..self.ways.len() {
            let (alerts, stop) = (Arc::clone(self), supervisor.stop_signal());
            supervisor.spawn("alerts told", async move {
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(TELL) => {}
                    }
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = alerts.tell(place) => {}
                    }
                }
            });
        }
    }

    /// What holds now: condition, site or destination, and since when.
    #[must_use]
    pub fn raised(&self) -> Vec<(Condition, String, Timestamp)> {
        self.told().raised.iter().map(|((condition, about), since)| (*condition, about.clone(), *since)).collect()
    }

    /// Writes it as metrics.
    pub fn write(&self, text: &mut Exposition) {
        for (condition, about, _) in self.raised() {
            let labels = [("alert", condition.name()), ("about", about.as_str())];
            text.sample("firsthand_alert", "gauge", "1 while something calls for a person.", &labels, 1);
        }
        let help = "Messages about alerts that webhook or mail server did not take for too long.";
        text.sample("firsthand_alert_messages_forgotten_total", "counter", help, &[], self.forgotten.value());
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, figures: &Figures, now: Timestamp) {
        let mut told = self.told();
        let told = &mut *told;
        let hold = told.judge.look(figures, &self.settings, now);
        let mut news = Vec::new();
        told.raised.retain(|alert, since| {
            let still = hold.contains(alert);
            if !still {
                news.push(Message { alert: alert.clone(), since: *since, over: Some(now) });
            }
            still
        });
        for alert in hold {
            if !told.raised.contains_key(&alert) {
                told.raised.insert(alert.clone(), now);
                news.push(Message { alert, since: now, over: None });
            }
        }
        for message in news {
            let (condition, about) = (message.alert.0.name(), message.alert.1.as_str());
            match message.over {
                None => tracing::warn!(alert = condition, about, "something calls for a person"),
                Some(_) => tracing::info!(alert = condition, about, "what called for a person is over"),
            }
            for queue in &mut told.queues {
                queue.unsent.push_back(message.clone());
                if queue.unsent.len() > UNSENT_MAX {
                    queue.forget_first();
                    self.forgotten.add(1);
                }
            }
        }
    }

    /// Tells on one way what was not told there yet, in order.
    async fn tell(&self, place: usize) {
        loop {
            let message = self.told().queues[place].due(clock::now());
            let Some(message) = message else { return };
            let taken = self.ways[place].tell(&message, &self.carriers).await;
            let mut told = self.told();
            if told.queues[place].answered(&message, taken, clock::now()) {
                self.forgotten.add(1);
            }
            if !taken {
                tracing::warn!(way = self.ways[place].name(), "a message about an alert was not taken; it is told again");
                return;
            }
        }
    }
}

impl Queue {
    /// The message that is to be told now.
    fn due(&mut self, now: Timestamp) -> Option<Message> {
        while self.told.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.told.pop_front();
        }
        let waits = self.next.is_some_and(|next| now < next) || self.told.len() >= TOLD_PER_HOUR_MAX;
        self.unsent.front().filter(|_| !waits).cloned()
    }

    /// How an attempt went. Returns whether the message is given up. It may be gone meanwhile: of too many, the oldest are forgotten.
    fn answered(&mut self, message: &Message, taken: bool, now: Timestamp) -> bool {
        let is_first = self.unsent.front() == Some(message);
        if taken {
            self.told.push_back(now);
            self.next = None;
            if is_first {
                self.forget_first();
            }
            return false;
        }
        self.attempts += 1;
        let wait = TELL_AGAIN.saturating_mul(1 << (self.attempts - 1).min(16)).min(TELL_AGAIN_MOST);
        self.next = Some(now.plus(wait));
        let is_given_up = is_first && self.attempts >= ATTEMPTS_MAX;
        if is_given_up {
            self.forget_first();
        }
        is_given_up
    }

    fn forget_first(&mut self) {
        self.unsent.pop_front();
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: i64) -> Message {
        Message { alert: (Condition::Backlog, String::from("crm")), since: Timestamp(number), over: None }
    }

    const fn second(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    #[test]
    fn what_is_not_taken_is_told_again_ever_later_and_in_the_end_given_up() {
        let mut queue = Queue { unsent: [message(1), message(2)].into(), ..Queue::default() };
        let (mut now, mut waits) = (second(0), Vec::new());
        for attempt in 1..=ATTEMPTS_MAX {
            assert_eq!(queue.due(now), Some(message(1)), "attempt {attempt}");
            assert_eq!(queue.answered(&message(1), false, now), attempt == ATTEMPTS_MAX);
            assert_eq!(queue.due(now), None);
            let next = queue.next.unwrap();
            waits.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(waits[..6], [20, 40, 80, 160, 320, 600]);
        assert!(waits[6..].iter().all(|wait| *wait == 600));
        assert_eq!(queue.due(now), Some(message(2)), "the next one has its own attempts");
        assert!(!queue.answered(&message(2), true, now) && queue.unsent.is_empty());
    }

    #[test]
    fn what_comes_and_goes_all_the_time_is_told_so_often_in_an_hour_and_no_more() {
        let mut queue = Queue { unsent: (0..100).map(message).collect(), ..Queue::default() };
        let told = |queue: &mut Queue, at| {
            let mut told = 0;
            while let Some(message) = queue.due(at) {
                queue.answered(&message, true, at);
                told += 1;
            }
            told
        };
        assert_eq!(told(&mut queue, second(0)), TOLD_PER_HOUR_MAX);
        assert_eq!(told(&mut queue, second(3599)), 0);
        assert_eq!(told(&mut queue, second(3600)), 100 - TOLD_PER_HOUR_MAX);
    }

    #[test]
    fn a_message_that_was_forgotten_while_it_was_told_takes_no_other_with_it() {
        let mut queue = Queue { unsent: [message(2)].into(), ..Queue::default() };
        queue.answered(&message(1), true, second(0));
        assert_eq!(queue.due(second(0)), Some(message(2)));
    }
}
