//! What a Kafka cluster is asked to keep, who asks, and what it says to it.

use std::{fmt, sync::Arc};

use crate::config::secret::Secret;

/// Records for a topic. The parcel's body has what each says, a line each, in the same order.
pub struct Production {
    /// Where to. A destination has one.
    pub cluster: Arc<Cluster>,
    /// The topic.
    pub topic: String,
    /// The records.
    pub records: Vec<Record>,
}

/// A record but for what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The visitor's id as it is disclosed: records of one key are in one partition, and so in order.
    pub key: String,
    /// The event's id as it is disclosed: a header, by which a reader knows it again.
    pub event_id: String,
    /// Its time as it is disclosed, in milliseconds since 1970.
    pub time: i64,
}

/// A Kafka cluster, and who asks.
pub struct Cluster {
    /// Those of its brokers that are asked for the others: host and port.
    pub brokers: Vec<(String, u16)>,
    /// Over TLS alone, with certificates that this machine trusts.
    pub encrypted: bool,
    /// How we say who we are; nothing where it does not ask.
    pub login: Option<Login>,
}

/// How a cluster knows us.
pub struct Login {
    /// By which of SASL's ways.
    pub mechanism: Mechanism,
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The password is said; over TLS alone, but on this very machine.
    Plain,
    /// It is proven, by SHA-256.
    ScramSha256,
    /// By SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// Its name among SASL's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// An error of Kafka's protocol, <https://kafka.apache.org/protocol#protocol_error_codes>; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub i16);

impl Code {
    /// The partition keeps it.
    pub const KEPT: Self = Self(0);
    /// Nobody has said.
    pub const UNKNOWN: Self = Self(-1);
    /// There is no such topic, or not yet.
    pub const NO_TOPIC: Self = Self(3);
    /// Nobody leads the partition now.
    pub const NO_LEADER: Self = Self(5);
    /// Another broker leads it.
    pub const NOT_THE_LEADER: Self = Self(6);
    /// The broker knows us by no such way to log in.
    pub const NO_SUCH_LOGIN: Self = Self(33);
    /// The broker does not let us in.
    pub const NOT_LET_IN: Self = Self(58);

    /// The worst of several: what a person is to see.
    #[must_use]
    pub fn worst(codes: &[Self]) -> Self {
        codes.iter().copied().find(|code| *code != Self::KEPT).unwrap_or(Self::KEPT)
    }
}

/// As the ledger and the status pages say it.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::KEPT { f.write_str("kept") } else { write!(f, "kafka {}", self.0) }
    }
}
