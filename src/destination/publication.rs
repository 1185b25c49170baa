//! What a message server is asked to publish, who asks, and what it says to it.

use std::{fmt, sync::Arc};

use crate::config::secret::Secret;

/// One message for a subject. The parcel's body is what it says.
pub struct Publication {
    /// Where to. A destination has one, and so one connection.
    pub server: Arc<MessageServer>,
    /// The subject: tokens with dots between them.
    pub subject: String,
    /// The same for every attempt: by it a stream knows a message again.
    pub message_id: String,
    /// Whether a stream has to say that it keeps the message. Without, nobody says anything.
    pub to_stream: bool,
}

/// A NATS server, and who asks.
pub struct MessageServer {
    /// Its machine.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Over TLS alone, with a certificate that this machine trusts.
    pub encrypted: bool,
    /// How we say who we are.
    pub login: Login,
}

/// How a message server knows us.
pub enum Login {
    /// It does not ask.
    Open,
    /// By a name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// By a token.
    Token(Secret),
    /// By an Ed25519 key: its seed, as `nk` writes it.
    Key(Secret),
    /// By a file of a user's credentials: a token that the account has signed, and the user's seed.
    Credentials(Secret),
}

/// What a message server says to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishAnswer {
    /// A stream keeps it, or has kept it before.
    Kept,
    /// It is written to the connection; nobody says more.
    Sent,
    /// No stream takes its subject now.
    NoStream,
    /// The stream refuses it.
    Refused {
        /// The class: 400, 503.
        status: u16,
        /// JetStream's own code.
        code: u16,
    },
    /// The server takes no message that large.
    TooLarge,
    /// We may not publish to its subject, or not hear the answer.
    NotPermitted,
    /// The server does not let us in.
    NotLetIn,
}

/// As the ledger and the status pages say it.
impl fmt::Display for PublishAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Sent => f.write_str("sent"),
            Self::NoStream => f.write_str("no stream"),
            Self::Refused { code, .. } => write!(f, "jetstream {code}"),
            Self::TooLarge => f.write_str("too large"),
            Self::NotPermitted => f.write_str("not permitted"),
            Self::NotLetIn => f.write_str("not let in"),
        }
    }
}

#[cfg(test)]
impl PublishAnswer {
    /// As golden files say it: by its words, or by JetStream's code and its class.
    pub(super) fn read(said: &serde_json::Value) -> Option<Self> {
        if let Some(code) = said["jetstream"].as_u64() {
            let number = |value: u64| u16::try_from(value).unwrap();
            return Some(Self::Refused { status: number(said["class"].as_u64().unwrap()), code: number(code) });
        }
        let all = [Self::Kept, Self::Sent, Self::NoStream, Self::TooLarge, Self::NotPermitted, Self::NotLetIn];
        all.into_iter().find(|answer| said.as_str() == Some(&answer.to_string()))
    }
}
