//! Alerts: what calls for a person is said as soon as it is so, and once more when it is over: on the live page, in the metrics, and to a
//! webhook where one is named. What is judged, and how, is in `judge`.

pub mod judge;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde_json::json;

use self::judge::{Alert, Condition, Figures, Judge};
use crate::{
    clock::{self, Timestamp},
    config::Alerts as Settings,
    delivery::carrier::Carriers,
    destination::{Answer, HttpCall, Parcel, SettingsError, Signing, Via, settings::check_url, webhook},
    metrics::{Counter, Exposition},
    supervise::Supervisor,
};

/// How often the figures are judged.
const LOOK: Duration = Duration::from_secs(10);
/// What could not be told to the webhook is told again this much later.
const TELL_AGAIN: Duration = Duration::from_secs(20);
/// Messages that wait for the webhook; older ones are forgotten first, and counted.
const UNSENT_MAX: usize = 64;

/// What calls for a person now, and what is to be told of it.
pub struct Alerts {
    settings: Settings,
    hook: Option<Hook>,
    carriers: Arc<Carriers>,
    told: Mutex<Told>,
    forgotten: Counter,
}

/// Where messages go.
struct Hook {
    url: String,
    keys: Vec<webhook::WebhookKey>,
}

#[derive(Default)]
struct Told {
    judge: Judge,
    /// What holds, and since when.
    raised: BTreeMap<Alert, Timestamp>,
    unsent: VecDeque<Message>,
    /// Not before this moment.
    next: Option<Timestamp>,
}

/// Something began, or is over.
#[derive(Clone)]
struct Message {
    alert: Alert,
    since: Timestamp,
    over: Option<Timestamp>,
}

impl Alerts {
    /// With these settings; nothing is judged yet.
    ///
    /// # Errors
    /// When the webhook's address or secret cannot be used.
    pub fn new(settings: Settings, carriers: Arc<Carriers>) -> Result<Self, SettingsError> {
        let hook = match (&settings.webhook, &settings.secret) {
            (None, _) => None,
            (Some(url), secret) => {
                check_url("webhook", url)?;
                let secret = secret.as_deref().unwrap_or_default();
                Some(Hook { url: url.clone(), keys: vec![webhook::key("secret", secret)?] })
            }
        };
        Ok(Self { settings, hook, carriers, told: Mutex::default(), forgotten: Counter::default() })
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
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = alerts.tell(clock::now()) => {}
                }
            }
        });
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
        let help = "Messages about alerts that the webhook did not take for too long.";
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
            if self.hook.is_some() {
                told.unsent.push_back(message);
            }
        }
        while told.unsent.len() > UNSENT_MAX {
            told.unsent.pop_front();
            self.forgotten.add(1);
        }
    }

    /// Tells the webhook what it was not told yet, in order.
    async fn tell(&self, now: Timestamp) {
        let Some(hook) = &self.hook else { return };
        loop {
            let message = {
                let told = self.told();
                let due = told.next.is_none_or(|next| now >= next);
                told.unsent.front().filter(|_| due).cloned()
            };
            let Some(message) = message else { return };
            let answer = self.carriers.send(&hook.parcel(&message), clock::now()).await;
            let mut told = self.told();
            if matches!(answer, Answer::Http { status: 200..=299, .. }) {
                told.unsent.pop_front();
                told.next = None;
            } else {
                told.next = Some(now.plus(TELL_AGAIN));
                tracing::warn!("the webhook for alerts did not take a message; it is told again");
                return;
            }
        }
    }
}

impl Hook {
    fn parcel(&self, Message { alert: (condition, about), since, over }: &Message) -> Parcel {
        let (kind, at) = over.map_or(("alert.raised", *since), |over| ("alert.over", over));
        let body = json!({
            "type": kind,
            "timestamp": at.rfc3339(),
            "data": { "alert": condition.name(), "about": about, "says": condition.says(), "since": since.rfc3339() },
        });
        // The same for every attempt, and no other message's.
        let message_id = format!("{kind}-{}-{}-{}", condition.name(), since.0, about);
        let signing = Signing::StandardWebhooks { message_id, keys: self.keys.clone() };
        let call = HttpCall::json(self.url.clone(), Some(signing));
        Parcel { via: Via::Http(call), body: Bytes::from(body.to_string()), events: Vec::new(), unsaid: 0 }
    }
}
