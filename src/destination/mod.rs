//! What goes out: one file per outbound service, and the table of them.
//!
//! A destination does no I/O and knows no clock: disclosures in, parcels out; answers in, verdicts out. It can encode nothing but
//! [`Disclosure`]s. Adding one is a file here, a row in [`DESTINATIONS`], and golden files; see CONTRIBUTING.md.

pub mod amplitude;
#[cfg(feature = "parquet")]
pub mod columns;
pub mod file;
pub mod form;
pub mod ga4;
pub mod goatcounter;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod matomo;
pub mod meta;
pub mod mixpanel;
pub mod nats;
pub mod plausible;
pub mod postgres;
pub mod posthog;
pub mod publication;
pub mod segment;
pub mod settings;
pub mod snowplow;
pub mod tiktok;
pub mod umami;
pub mod webhook;
mod words;

use std::time::Duration;

use bytes::Bytes;

pub use self::file::FileAppend;
use self::publication::{Publication, PublishAnswer};
pub use self::words::likeness::{ADDRESS_HEADER, Likeness};
use crate::{
    event::Offset,
    privacy::{disclose::Disclosure, envelope::Dialect, scrub::parameters::Issuer},
};

/// An outbound service: how clean events are put into its words, and what its answers mean.
pub trait Destination: Send + Sync {
    /// The `type` that documents name it by.
    fn name(&self) -> &'static str;
    /// The address that its calls begin with; nothing where it makes none.
    fn url(&self) -> Option<&str>;
    /// How much one parcel may carry, and how old an event may get before the receiver would refuse it.
    fn limits(&self) -> BatchLimits;
    /// Puts a batch into parcels, in the order of its events. Every disclosure is in exactly one parcel, and each parcel is within
    /// [`Self::limits`], but that an event which is too large on its own is a parcel of its own: its receiver decides.
    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel>;
    /// Says what the answer means for each event of the parcel, in the order of `parcel.events`.
    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict>;
    /// Whether its receiver knows an event again by the id that it came with, so that one that is sent twice counts once there.
    fn knows_again(&self) -> bool {
        false
    }
    /// For a receiver whose yes proves nothing, and who has a validator that stores nothing: the same parcel addressed to that, where the
    /// `nth` accepted one (from 0) is to be tried out. It ends no event and is sent once.
    fn trial(&self, _parcel: &Parcel, _nth: u64) -> Option<Parcel> {
        None
    }
    /// What the validator found in a trial: one word of ours per fault, none where there is no fault. `None`: it did not say.
    fn findings(&self, _answer: &Answer) -> Option<Vec<&'static str>> {
        None
    }
}

/// One destination type: a row of the table.
pub struct DestinationType {
    /// The `type` in a destination document.
    pub name: &'static str,
    /// Who receives, in words for the site's visitors; without a full stop.
    pub receiver: &'static str,
    /// Whether the vendor uses the data for itself; then the basis `exempt_measurement` is refused.
    pub vendor_reuses_data: bool,
    /// Whose ids of clicks may go there: the vendor's own, where it issues any.
    pub issuer: Option<Issuer>,
    /// Whether it asks for what is in sealed envelopes, and in whose words; such a vendor is given events for advertising alone.
    pub envelope: Option<Dialect>,
    /// Older events end as `expired` here, whatever the settings.
    pub oldest: Duration,
    /// The names of the headers that its calls carry beside [`CALL_HEADERS`]. Nothing else is on the wire.
    pub headers: &'static [&'static str],
    /// The names that may stand in its calls' addresses and bodies. Nothing else is on the wire.
    pub form: form::Form,
    /// How a visitor's id is written there, for whoever has to find it there.
    pub visitor: fn(&str) -> String,
    /// What it is tried out with where there is no receiver.
    pub rehearsal: Rehearsal,
    /// Reads the document's `settings` table.
    pub open: fn(&toml::Table) -> Result<Box<dyn Destination>, SettingsError>,
}

/// What a destination is tried out with by `firsthand prove`, and by tests: nothing of it leads to a receiver or guards anything.
pub struct Rehearsal {
    /// The settings that it cannot do without, in TOML: `{url}` is where a stand-in for its receiver is, `{authority}` its host and port,
    /// `{broker}` those of a stand-in for a message server, `{secret}` a reference to `secret`, `{name}` the destination's own name.
    pub settings: &'static str,
    /// A secret of the right form; empty where there is none.
    pub secret: &'static str,
    /// What is certain to stand in what it is sent of a purchase.
    pub purchase: &'static str,
    /// What its receiver says to a body when it takes all of it.
    pub yes: fn(&[u8]) -> String,
}

/// Every destination there is.
pub const DESTINATIONS: &[DestinationType] = &[
    amplitude::TYPE,
    file::TYPE,
    ga4::TYPE,
    ga4::relay::TYPE,
    goatcounter::TYPE,
    #[cfg(feature = "kafka")]
    kafka::TYPE,
    matomo::TYPE,
    meta::TYPE,
    mixpanel::TYPE,
    nats::TYPE,
    plausible::TYPE,
    postgres::TYPE,
    posthog::TYPE,
    segment::TYPE,
    snowplow::TYPE,
    tiktok::TYPE,
    umami::TYPE,
    webhook::TYPE,
];

/// The names of the headers that every call carries: what HTTP itself needs, what any client accepts, and a constant name of the sender.
pub const CALL_HEADERS: [&str; 4] = ["accept", "content-length", "host", "user-agent"];

/// A visitor's id as it stands in the disclosure.
fn as_disclosed(visitor_id: &str) -> String {
    visitor_id.to_owned()
}

impl DestinationType {
    /// The row of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        DESTINATIONS.iter().find(|row| row.name == name)
    }
}

/// A `settings` table that a destination cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("settings.{key}: {reason}{}", fix.as_ref().map(|fix| format!(" ({fix})")).unwrap_or_default())]
pub struct SettingsError {
    /// Which key.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to write instead.
    pub fix: Option<String>,
}

/// How much one parcel may carry.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Events in one parcel.
    pub events: usize,
    /// Bytes of the parcel's body.
    pub bytes: usize,
    /// Older events end as `expired` here.
    pub oldest: Duration,
    /// Which events may share a parcel.
    pub group_by: GroupBy,
}

/// Which events may share a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Any.
    None,
    /// One visitor's only.
    Visitor,
    /// One event per parcel.
    Event,
}

/// One request, file write or publish: the unit of attempt, answer and ledger row.
pub struct Parcel {
    /// How it travels.
    pub via: Via,
    /// What travels.
    pub body: Bytes,
    /// Which events it carries, in order.
    pub events: Vec<Offset>,
    /// How many fields of its events could not be said in the receiver's words.
    pub unsaid: usize,
}

/// How a parcel travels: a closed list, one carrier each in `delivery/carrier/`.
pub enum Via {
    /// An HTTP POST.
    Http(HttpCall),
    /// Lines appended to a rotating file.
    File(FileAppend),
    /// Rows of a table.
    Rows(RowInsert),
    /// A message for a subject.
    Publish(Publication),
    /// Records for a topic.
    #[cfg(feature = "kafka")]
    Produce(kafka::production::Production),
}

/// An HTTP POST, but for what only the moment of the attempt can say (the signature's time).
pub struct HttpCall {
    /// Where to.
    pub url: String,
    /// Names, in lower case, and values from the destination's own file. They are constants of the program, so that nothing of a visitor's
    /// request can be among them.
    pub headers: &'static [(&'static str, &'static str)],
    /// What stands in for the visitor, where the receiver tells visitors apart by the request itself.
    pub visitor: Option<Likeness>,
    /// The header of the answer that [`Destination::judge`] reads, in lower case.
    pub notes: Option<&'static str>,
    /// Signed per attempt, where the receiver wants it.
    pub signing: Option<Signing>,
}

impl HttpCall {
    /// One with a JSON body and nothing more.
    #[must_use]
    pub const fn json(url: String, signing: Option<Signing>) -> Self {
        Self { url, headers: &[("content-type", "application/json")], visitor: None, notes: None, signing }
    }
}

/// How a request is signed at the moment of its attempt.
pub enum Signing {
    /// Standard Webhooks 1.0.0: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64>` or `v1a,<base64>`.
    StandardWebhooks {
        /// Stable across retries: the receiver's idempotency key.
        message_id: String,
        /// The keys, newest first; during a rotation there are two.
        keys: Vec<webhook::WebhookKey>,
    },
    /// By no signature, but a secret that is said: the value of the header `authorization`.
    Authorization(crate::config::secret::Secret),
    /// The same under a header of the receiver's own, in lower case.
    Token {
        /// The header.
        header: &'static str,
        /// What it says.
        secret: crate::config::secret::Secret,
    },
}

/// Rows for a table of a PostgreSQL. The parcel's body is the one parameter of the statement.
pub struct RowInsert {
    /// Where the table is.
    pub database: Database,
    /// Its name, which needs no quotes.
    pub table: String,
    /// How it is made and then changed, one step after the other; `{table}` is its name.
    pub steps: &'static [&'static str],
    /// What puts the rows in: all of them, or none.
    pub statement: String,
}

/// A PostgreSQL, and who asks.
#[derive(Clone)]
pub struct Database {
    /// Its machine.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database's name.
    pub name: String,
    /// The role.
    pub user: String,
    /// The role's password, where it has one.
    pub password: Option<crate::config::secret::Secret>,
    /// Over TLS alone, with a certificate that this machine trusts.
    pub encrypted: bool,
}

/// What came back.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An HTTP answer. The body is cut at a bound and may hold anything: it is read by `judge` and shown to nobody.
    Http {
        /// The status code.
        status: u16,
        /// `Retry-After`, as a span from now.
        retry_after: Option<Duration>,
        /// The first 64 KiB of the body.
        body: Bytes,
        /// What the header that the call notes said, cut at a bound.
        noted: Option<String>,
    },
    /// The lines are on disk, or the rows committed.
    Written,
    /// The database said no: its SQLSTATE.
    Database([u8; 5]),
    /// What a message server said.
    Publish(PublishAnswer),
    /// What the leaders of partitions said, for each record of the parcel.
    #[cfg(feature = "kafka")]
    Produced(Vec<kafka::production::Code>),
    /// No answer came.
    Failed(Failure),
}

/// Why no answer came. Never carries a library's message, which could quote an address or a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name did not resolve, or the connection was refused or cut.
    Connect,
    /// No answer in time.
    Timeout,
    /// The receiver's certificate is not to be trusted.
    Tls,
    /// The answer was no HTTP.
    Garbage,
    /// The file or its directory could not be written.
    Disk,
}

/// What an answer means for one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is there.
    Accepted {
        /// Whether the answer proves it; GA4 answers 2xx to everything.
        proven: bool,
    },
    /// The receiver said yes and meant no.
    DroppedByReceiver,
    /// The receiver refuses it. Where it refuses every event of a parcel, the parcel is bisected until each poison event stands alone;
    /// an event that is refused alone, or by name in an answer that takes others, is parked.
    Rejected {
        /// Why, in our words.
        reason: &'static str,
    },
    /// The endpoint refuses whatever is sent to it (it is gone, has moved, or does not know us): no event is to blame. The whole courier
    /// rests, tries again slowly, and someone must act.
    EndpointRefuses {
        /// Why, in our words.
        reason: &'static str,
    },
    /// Not now.
    Retry {
        /// The receiver's own wish.
        after: Option<Duration>,
    },
}

#[cfg(test)]
mod tests {
    //! Golden cases of every destination, `tests/golden/destination/<name>/`: `<case>.json` holds settings and disclosures, and under
    //! `parcels` what they must become; `answers.json` what answers must mean. `UPDATE_GOLDEN=1 cargo test golden` writes what they do become.

    use std::{fs, path::Path};

    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn golden_disclosures_become_parcels_and_answers_verdicts() {
        each_case(|row, name, case| if name == "answers.json" { judge(row, case) } else { encode(row, case) });
    }

    fn encode(row: &DestinationType, case: &mut Value) {
        let destination = open(row, &case["settings"]);
        let disclosures: Vec<Disclosure> = case["disclosures"].as_array().unwrap().iter().map(disclosure).collect();
        let parcels = destination.encode(&disclosures.iter().collect::<Vec<_>>());
        let carried: Vec<Offset> = parcels.iter().flat_map(|parcel| parcel.events.clone()).collect();
        assert_eq!(carried, disclosures.iter().map(Disclosure::offset).collect::<Vec<_>>(), "each in exactly one parcel, in order");
        for parcel in &parcels {
            let beyond = undeclared(row, parcel, &case["disclosures"]);
            assert!(beyond.is_empty(), "{}: names that its form does not declare: {beyond:?}", row.name);
            let called = if let Via::Http(call) = &parcel.via { call.url.as_str() } else { "" };
            let within = destination.url().map_or(called.is_empty(), |url| called.starts_with(url));
            assert!(within, "{}: calls another address", row.name);
        }
        case["parcels"] = parcels.iter().map(shown).collect();
    }

    /// Names in what a parcel says that the row's form does not declare; a policy would list the properties and clicks of the case's disclosures.
    fn undeclared(row: &DestinationType, parcel: &Parcel, disclosures: &Value) -> Vec<String> {
        let of = |disclosure: &Value, field: &str| {
            disclosure["fields"][field].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let all = disclosures.as_array().into_iter().flatten();
        let listed: Vec<String> = all.flat_map(|disclosure| [of(disclosure, "properties"), of(disclosure, "click_ids")].concat()).collect();
        let url = if let Via::Http(call) = &parcel.via { call.url.as_str() } else { "" };
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let mut beyond = Vec::new();
        form::read(query, &parcel.body, &mut |path, part| {
            if matches!(part, form::Part::Value(_)) && !form::declares(row.form, path, &|name| form::is_listed(name, &listed)) {
                beyond.push(path.to_owned());
            }
        });
        beyond
    }

    /// A line may say of how many events the answer is; without a word it is of one.
    fn judge(row: &DestinationType, case: &mut Value) {
        let destination = open(row, &case["settings"]);
        for line in case["answers"].as_array_mut().unwrap() {
            let events = line["events"].as_u64().unwrap_or(1);
            let disclosures: Vec<Disclosure> = (1..=events).map(|offset| Disclosure::for_test(Offset(offset), 1, Timestamp(0))).collect();
            let parcel = destination.encode(&disclosures.iter().collect::<Vec<_>>()).remove(0);
            assert_eq!(parcel.events.len() as u64, events, "a parcel of as many");
            let verdicts = destination.judge(&parcel, &answer(&line["answer"]));
            assert_eq!(verdicts.len(), parcel.events.len(), "one verdict per event");
            line["verdict"] = if events == 1 { said(&verdicts[0]) } else { verdicts.iter().map(said).collect() };
        }
    }

    /// Runs a case as it is read, and compares what came of it with what was read.
    fn each_case(run: impl Fn(&DestinationType, &str, &mut Value)) {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/destination");
        for row in DESTINATIONS {
            let mut cases = 0;
            for entry in fs::read_dir(home.join(row.name)).unwrap() {
                let path = entry.unwrap().path();
                let read: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                let mut ran = read.clone();
                run(row, path.file_name().unwrap().to_str().unwrap(), &mut ran);
                if std::env::var_os("UPDATE_GOLDEN").is_some() {
                    fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&ran).unwrap())).unwrap();
                } else {
                    assert_eq!(ran, read, "{}", path.display());
                }
                cases += 1;
            }
            assert!(cases > 1, "{} has golden cases", row.name);
        }
    }

    #[test]
    fn what_is_tried_out_is_taken_whole_and_a_purchase_is_seen_in_it() {
        for row in DESTINATIONS {
            let destination = rehearsed(row);
            let disclosure = |offset| Disclosure::for_test(Offset(offset), 1, Timestamp(0));
            let purchase = disclosure(4).saying(&json!({ "name": "purchase", "value": 5.0, "currency": "EUR", "transaction_id": "1" }));
            let plain = destination.encode(&[&disclosure(1), &disclosure(2)]);
            let sees = |parcel: &Parcel| String::from_utf8_lossy(&parcel.body).contains(row.rehearsal.purchase);
            assert!(!plain.iter().any(sees) && destination.encode(&[&purchase]).iter().any(sees), "{}", row.name);
            for parcel in plain.into_iter().chain(destination.encode(&[&purchase])) {
                let yes = match parcel.via {
                    Via::File(_) | Via::Rows(_) => Answer::Written,
                    Via::Publish(_) => Answer::Publish(PublishAnswer::Kept),
                    #[cfg(feature = "kafka")]
                    Via::Produce(_) => Answer::Produced(vec![kafka::production::Code::KEPT; parcel.events.len()]),
                    Via::Http(_) => {
                        Answer::Http { status: 200, retry_after: None, body: (row.rehearsal.yes)(&parcel.body).into(), noted: None }
                    }
                };
                let verdicts = destination.judge(&parcel, &yes);
                assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Accepted { .. })), "{}: {verdicts:?}", row.name);
            }
        }
    }

    #[test]
    fn whatever_is_answered_every_event_has_one_verdict() {
        const BODIES: [&str; 16] = [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            "\u{0}",
            r#"{"status":"success","tracked":1,"invalid":18446744073709551615}"#,
            r#"{"tracked":0,"invalid":0,"invalid_indices":[0,0,99,18446744073709551615]}"#,
            r#"{"tracked":-1,"invalid":"x"}"#,
            r#"{"num_records_imported":18446744073709551615,"failed_records":[{"index":7}]}"#,
            r#"{"num_records_imported":2,"failed_records":[{"index":99}]}"#,
            r#"{"errors":{"99":1,"x":2}}"#,
            r#"{"errors":{"2":null}}"#,
            r#"{"size":3,"errors":1,"details":[{"index":99}]}"#,
            r#"{"code":400,"events_with_invalid_fields":{"time":[99,99]},"silenced_events":[18446744073709551615]}"#,
            r#"{"quota_limited":"events"}"#,
        ];
        for row in DESTINATIONS {
            let destination = rehearsed(row);
            let disclosures: Vec<Disclosure> = (1..=3).map(|offset| Disclosure::for_test(Offset(offset), 1, Timestamp(0))).collect();
            let parcel = destination.encode(&disclosures.iter().collect::<Vec<_>>()).remove(0);
            for status in [100, 200, 202, 204, 301, 400, 401, 404, 408, 413, 418, 429, 500, 503, 999] {
                for body in BODIES {
                    let answer = Answer::Http { status, retry_after: None, body: body.into(), noted: None };
                    let verdicts = destination.judge(&parcel, &answer);
                    assert_eq!(verdicts.len(), parcel.events.len(), "{} {status} {body}", row.name);
                    let accepted = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Accepted { .. }));
                    assert!(!accepted || matches!(status, 200..=299 | 400), "{} takes {status} {body} for a yes", row.name);
                }
            }
        }
    }

    /// One as it is tried out, with nobody behind its address.
    fn rehearsed(row: &DestinationType) -> Box<dyn Destination> {
        let settings: toml::Table = row.rehearsal.settings.parse().unwrap();
        let nobody = |text: String, placeholder: &str| text.replace(placeholder, "127.0.0.1:9");
        let settings = serde_json::to_string(&settings).unwrap().replace("{url}", "http://127.0.0.1:9").replace("{name}", "x");
        open(row, &serde_json::from_str(&["{authority}", "{broker}"].into_iter().fold(settings, nobody)).unwrap())
    }

    fn open(row: &DestinationType, settings: &Value) -> Box<dyn Destination> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        fs::write(&file, row.rehearsal.secret).unwrap();
        let text = serde_json::to_string(settings).unwrap().replace("{secret}", &format!("file:{}", file.display()));
        let settings: toml::Table = serde_json::from_str(&text).unwrap();
        (row.open)(&settings).unwrap()
    }

    fn disclosure(said: &Value) -> Disclosure {
        let number = |key: &str| said[key].as_u64().unwrap();
        let plain = Disclosure::for_test(Offset(number("offset")), number("lane"), Timestamp(number("received") as i64));
        if said["fields"].is_null() { plain } else { plain.saying(&said["fields"]) }
    }

    fn shown(parcel: &Parcel) -> Value {
        let via = match &parcel.via {
            Via::Http(call) => json!({
                "url": call.url,
                "headers": call.headers.iter().copied().chain(call.visitor.iter().flat_map(Likeness::headers)).map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>(),
                "signing": call.signing.as_ref().map(|signing| match signing {
                    Signing::StandardWebhooks { message_id, keys } => json!({ "message_id": message_id, "keys": keys.len() }),
                    Signing::Authorization(said) => json!({ "authorization": String::from_utf8_lossy(said.bytes()) }),
                    Signing::Token { header, secret } => json!({ *header: String::from_utf8_lossy(secret.bytes()) }),
                }),
            }),
            Via::Rows(RowInsert { database, table, statement, .. }) => json!({
                "host": database.host, "port": database.port, "database": database.name, "user": database.user,
                "encrypted": database.encrypted, "table": table, "statement": statement,
            }),
            Via::Publish(publication) => json!({
                "host": publication.server.host, "port": publication.server.port, "encrypted": publication.server.encrypted,
                "subject": publication.subject, "message_id": publication.message_id, "to_stream": publication.to_stream,
            }),
            #[cfg(feature = "kafka")]
            Via::Produce(production) => json!({
                "brokers": production.cluster.brokers, "encrypted": production.cluster.encrypted, "topic": production.topic,
                "records": production.records.iter().map(|record| json!([record.key, record.event_id, record.time])).collect::<Vec<_>>(),
            }),
            Via::File(append) => json!({ "directory": append.directory, "rotate_bytes": append.rotate_bytes, "keep": append.keep }),
        };
        let body: Vec<&str> = std::str::from_utf8(&parcel.body).unwrap().lines().collect();
        json!({ "via": via, "body": body, "events": parcel.events, "unsaid": parcel.unsaid })
    }

    fn answer(said: &Value) -> Answer {
        if let Some(status) = said["status"].as_u64() {
            let retry_after = said["retry_after"].as_u64().map(Duration::from_secs);
            let body = said["body"].as_str().unwrap_or_default().to_owned().into();
            return Answer::Http {
                status: u16::try_from(status).unwrap(),
                retry_after,
                body,
                noted: said["noted"].as_str().map(str::to_owned),
            };
        }
        if let Some(code) = said["sqlstate"].as_str() {
            return Answer::Database(code.as_bytes().try_into().unwrap());
        }
        #[cfg(feature = "kafka")]
        if let Some(codes) = said["kafka"].as_array() {
            let code = |code: &Value| kafka::production::Code(i16::try_from(code.as_i64().unwrap()).unwrap());
            return Answer::Produced(codes.iter().map(code).collect());
        }
        if let Some(answer) = PublishAnswer::read(said) {
            return Answer::Publish(answer);
        }
        match said.as_str().unwrap() {
            "written" => Answer::Written,
            "connect" => Answer::Failed(Failure::Connect),
            "timeout" => Answer::Failed(Failure::Timeout),
            "tls" => Answer::Failed(Failure::Tls),
            "garbage" => Answer::Failed(Failure::Garbage),
            "disk" => Answer::Failed(Failure::Disk),
            other => panic!("no answer is called {other}"),
        }
    }

    fn said(verdict: &Verdict) -> Value {
        match verdict {
            Verdict::Accepted { proven } => json!({ "accepted": { "proven": proven } }),
            Verdict::DroppedByReceiver => json!("dropped_by_receiver"),
            Verdict::Rejected { reason } => json!({ "rejected": reason }),
            Verdict::EndpointRefuses { reason } => json!({ "endpoint_refuses": reason }),
            Verdict::Retry { after } => json!({ "retry_after_seconds": after.map(|after| after.as_secs()) }),
        }
    }
}
