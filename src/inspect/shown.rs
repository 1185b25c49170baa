//! A request as a person may see it: address, headers and body, with the destination's secrets taken out.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::{
    config::secret,
    destination::{Likeness, Parcel, Signing, Via},
    documents::Destination,
};

/// What stands where a secret is.
const HIDDEN: &str = "‹secret›";

/// One request, file write or publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownParcel {
    /// Where it goes.
    pub to: String,
    /// The headers that the destination sets, `name: value`; without those that any client sets.
    pub headers: Vec<String>,
    /// What it says.
    pub body: String,
    /// How many of the event's fields its receiver has no words for.
    pub unsaid: usize,
}

impl ShownParcel {
    /// A parcel that this destination made.
    #[must_use]
    pub fn of(parcel: &Parcel, destination: &Destination) -> Self {
        let secrets = secrets(&destination.settings);
        let hide = |text: &str| secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN));
        let (to, headers) = match &parcel.via {
            Via::Http(call) => {
                let mut headers: Vec<String> = call.headers.iter().map(|(name, value)| hide(&format!("{name}: {value}"))).collect();
                headers.extend(call.visitor.iter().flat_map(Likeness::headers).map(|(name, value)| format!("{name}: {value}")));
                match &call.signing {
                    None => {}
                    Some(Signing::Authorization(_)) => headers.push(format!("authorization: {HIDDEN}")),
                    Some(Signing::Token { header, .. }) => headers.push(format!("{header}: {HIDDEN}")),
                    Some(Signing::StandardWebhooks { message_id, .. }) => {
                        headers.extend([
                            format!("webhook-id: {message_id}"),
                            String::from("webhook-timestamp: ‹the moment of the attempt›"),
                            format!("webhook-signature: {HIDDEN}"),
                        ]);
                    }
                }
                (format!("POST {}", hide(&call.url)), headers)
            }
            Via::Rows(insert) => {
                let database = &insert.database;
                let to = format!("postgres://{}:{}/{}\n{}", database.host, database.port, database.name, insert.statement);
                (to, vec![format!("user: {}", database.user)])
            }
            Via::Publish(publication) => {
                let server = &publication.server;
                let to = format!("nats://{}:{}\nsubject: {}", server.host, server.port, publication.subject);
                (to, vec![format!("nats-msg-id: {}", publication.message_id)])
            }
            #[cfg(feature = "kafka")]
            Via::Produce(production) => {
                let brokers: Vec<String> = production.cluster.brokers.iter().map(|(host, port)| format!("{host}:{port}")).collect();
                let record =
                    |record: &crate::destination::kafka::production::Record| format!("event-id: {}; key: {}", record.event_id, record.key);
                (format!("kafka://{}\ntopic: {}", brokers.join(","), production.topic), production.records.iter().map(record).collect())
            }
            Via::File(append) => (format!("lines of {}/events.ndjson", append.directory.display()), Vec::new()),
        };
        Self { to, headers, body: hide(&String::from_utf8_lossy(&parcel.body)), unsaid: parcel.unsaid }
    }
}

/// The secrets that the settings refer to, as they may stand in a request: longest first, so that none is cut by another.
fn secrets(settings: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    let mut tables = vec![settings];
    while let Some(table) = tables.pop() {
        for value in table.values() {
            let said = match value {
                toml::Value::String(text) => vec![text.as_str()],
                toml::Value::Array(list) => list.iter().filter_map(toml::Value::as_str).collect(),
                toml::Value::Table(inner) => {
                    tables.push(inner);
                    Vec::new()
                }
                _ => Vec::new(),
            };
            for reference in said {
                let Ok(secret) = secret::resolve(reference) else { continue };
                let text = String::from_utf8_lossy(secret.bytes()).into_owned();
                found.push(utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string());
                found.push(text);
            }
        }
    }
    found.retain(|secret| !secret.is_empty());
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.dedup();
    found
}
