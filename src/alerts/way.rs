//! The ways on which an alert is told to somebody: a signed call to a webhook, and a mail.

use bytes::Bytes;
use serde_json::json;

use super::{Message, judge::Condition};
use crate::{
    clock,
    config::Alerts as Settings,
    delivery::carrier::{
        Carriers,
        mail::{Mail, MailCarrier},
    },
    destination::{Answer, HttpCall, Parcel, SettingsError, Signing, Via, settings::check_url, webhook},
};

/// One way.
pub(super) enum Way {
    Hook(Hook),
    Mail(Box<MailCarrier>),
}

/// Where calls go.
pub(super) struct Hook {
    url: String,
    keys: Vec<webhook::WebhookKey>,
}

impl Way {
    /// Those that the settings name.
    pub(super) fn all(settings: &Settings) -> Result<Vec<Self>, SettingsError> {
        let mut ways = Vec::new();
        if let Some(url) = &settings.webhook {
            check_url("webhook", url)?;
            let secret = settings.secret.as_deref().unwrap_or_default();
            ways.push(Self::Hook(Hook { url: url.clone(), keys: vec![webhook::key("secret", secret)?] }));
        }
        if let Some(mail) = &settings.mail {
            ways.push(Self::Mail(Box::new(MailCarrier::new(mail)?)));
        }
        Ok(ways)
    }

    /// Its name in the program's log.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Hook(_) => "webhook",
            Self::Mail(_) => "mail",
        }
    }

    /// Makes one attempt. Returns whether the message was taken.
    pub(super) async fn tell(&self, message: &Message, carriers: &Carriers) -> bool {
        match self {
            Self::Hook(hook) => {
                let answer = carriers.send(&hook.parcel(message), clock::now()).await;
                matches!(answer, Answer::Http { status: 200..=299, .. })
            }
            Self::Mail(carrier) => carrier.send(&mail(message)).await,
        }
    }
}

impl Hook {
    fn parcel(&self, message: &Message) -> Parcel {
        let Message { alert: (condition, about), since, over } = message;
        let (kind, at) = over.map_or(("alert.raised", *since), |over| ("alert.over", over));
        let body = json!({
            "type": kind,
            "timestamp": at.rfc3339(),
            "data": { "alert": condition.name(), "about": about, "says": condition.says(), "since": since.rfc3339() },
        });
        let signing = Signing::StandardWebhooks { message_id: message_id(message), keys: self.keys.clone() };
        let call = HttpCall::json(self.url.clone(), Some(signing));
        Parcel { via: Via::Http(call), body: Bytes::from(body.to_string()), events: Vec::new(), unsaid: 0 }
    }
}

/// The same for every attempt, and no other message's.
fn message_id(Message { alert: (condition, about), since, over }: &Message) -> String {
    let kind = if over.is_some() { "alert.over" } else { "alert.raised" };
    format!("{kind}-{}-{}-{}", condition.name(), since.0, about)
}

/// What a person reads.
fn mail(message: &Message) -> Mail {
    let Message { alert: (condition, about), since, over } = message;
    let what = headline(*condition, about);
    let (subject, times) = match over {
        None => (format!("[firsthand] {what}"), format!("Since:  {}\n", since.rfc3339())),
        Some(over) => (format!("[firsthand] over: {what}"), format!("Since:  {}\nUntil:  {}\n", since.rfc3339(), over.rfc3339())),
    };
    let whom = if about.is_empty() { String::from("this program") } else { about.clone() };
    let says = if over.is_some() { "This is over. It was said as:\n\n" } else { "" };
    let text = format!(
        "{says}{}\n\nAlert:  {}\nAbout:  {whom}\n{times}\n-- \nFirsthand says this once when it begins and once when it is over.\n\
         What each alert means is in docs/alerts.md. Nothing of a visitor is in it.\n",
        condition.says(),
        condition.name(),
    );
    let id = message_id(message).replace(|sign: char| !sign.is_ascii_alphanumeric() && sign != '-', "-");
    Mail { subject, text, id }
}

/// Of what, in a few words.
fn headline(condition: Condition, about: &str) -> String {
    let what = match condition {
        Condition::NoEvents => "no events come in",
        Condition::Backlog => "events wait for too long",
        Condition::ReceiverDrops => "the receiver drops events",
        Condition::ParkedGrowth => "many events are refused",
        Condition::CourierStopped => "nothing is delivered",
        Condition::LogStopped => "nothing is taken in",
        Condition::KeysNotLocked => "keys could reach swap space",
        Condition::CertificateEnds => "the certificate ends",
    };
    if about.is_empty() { what.to_owned() } else { format!("{about}: {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_mail_says_what_of_whom_since_when_and_what_to_do() {
        let message =
            |condition, about: &str, over| Message { alert: (condition, about.to_owned()), since: Timestamp(1_764_000_000_000), over };
        let began = mail(&message(Condition::Backlog, "crm", None));
        assert_eq!(began.subject, "[firsthand] crm: events wait for too long");
        assert!(began.text.starts_with(Condition::Backlog.says()), "{}", began.text);
        assert!(began.text.contains("About:  crm\nSince:  2025-11-24T16:00:00.000Z\n"), "{}", began.text);
        let over = mail(&message(Condition::Backlog, "crm", Some(Timestamp(1_764_000_060_000))));
        assert_eq!(over.subject, "[firsthand] over: crm: events wait for too long");
        assert!(over.text.contains("Until:  2025-11-24T16:01:00.000Z\n"), "{}", over.text);
        assert_ne!(began.id, over.id);
        let own = mail(&message(Condition::KeysNotLocked, "", None));
        assert_eq!(own.subject, "[firsthand] keys could reach swap space");
        assert!(own.text.contains("About:  this program\n"), "{}", own.text);
    }
}
