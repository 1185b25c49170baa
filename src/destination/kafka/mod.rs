//! Destination `kafka`: a record for each event, in a topic of a Kafka cluster that the site's owner chose, or of a server that speaks its protocol.
//! Records of one visitor are in one partition, in their order; all replicas in sync have a record before it is accepted.

pub mod production;
pub mod wire;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use self::{
    production::{Cluster, Code, Login, Mechanism, Production, Record},
    wire::EVENT_ID,
};
use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, Parcel, Rehearsal, SettingsError, Verdict, Via,
    settings::{Settings, error, is_loopback},
    words::{disclosed, figures},
};
use crate::privacy::disclose::Disclosure;

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "A message server that the website’s owner chose",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &[EVENT_ID],
    form: &[
        ("", disclosed::ONE),
        ("consent", disclosed::CONSENT),
        ("device", disclosed::DEVICE),
        ("page", disclosed::PAGE),
        ("referrer_page", disclosed::PAGE),
        ("campaign", disclosed::CAMPAIGN),
        ("items[]", disclosed::ITEM),
        ("bot", disclosed::BOT),
        ("click_ids", disclosed::LISTED),
        ("properties", disclosed::LISTED),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "brokers = \"{authority}\"\ntopic = \"{name}\"\nuser = \"firsthand\"\npassword = \"{secret}\"\nmechanism = \"PLAIN\"",
        secret: "a-password-that-guards-nothing",
        purchase: "purchase",
        yes: |_| String::new(),
    },
    open,
};

const NAME: &str = "kafka";
/// Few enough that bisecting takes ten attempts, and enough that a broker has whole batches to keep.
const EVENTS_MAX: usize = 200;
/// A broker takes 1 MB in one batch where its settings have no other bound (`message.max.bytes`). Around each record there is less than half again.
const BYTES_MAX: usize = 512 * 1024;
/// A topic takes events of any age.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const PORT: u16 = 9092;
const TOPIC: &str = "firsthand";
/// The longest name that Kafka takes, <https://kafka.apache.org/documentation>.
const TOPIC_BYTES_MAX: usize = 249;
/// Brokers that are asked for the others; one that answers is enough.
const BROKERS_MAX: usize = 16;

struct Kafka {
    cluster: Arc<Cluster>,
    topic: String,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["brokers", "topic", "tls", "user", "password", "mechanism"])?;
    let brokers = brokers(settings.text("brokers", "kafka-1.example.org:9093, kafka-2.example.org:9093")?)?;
    let topic = settings.optional_text("topic")?.unwrap_or(TOPIC);
    check_topic(topic)?;
    // To another machine, nothing goes in the clear.
    let encrypted = settings.flag("tls")? || !brokers.iter().all(|(host, _)| is_loopback(host));
    let cluster = Cluster { brokers, encrypted, login: login(&settings)? };
    Ok(Box::new(Kafka { cluster: Arc::new(cluster), topic: topic.to_owned() }))
}

/// Hosts and ports, with commas between them.
fn brokers(text: &str) -> Result<Vec<(String, u16)>, SettingsError> {
    let wrong = |reason: &str| error("brokers", reason, Some(String::from("write it as host:port, host:port")));
    let found = text.split(',').map(|broker| {
        let broker = broker.trim();
        let authority: http::uri::Authority = broker.parse().map_err(|_| wrong("holds what is no host and port"))?;
        if broker.contains('@') || authority.host().is_empty() {
            return Err(wrong("holds more than hosts and ports"));
        }
        let port = match authority.port() {
            None if broker.ends_with(authority.host()) => PORT,
            None => return Err(wrong("holds what is no port")),
            Some(port) => port.as_u16(),
        };
        Ok((authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(), port))
    });
    let found: Vec<_> = found.collect::<Result<_, _>>()?;
    if found.len() > BROKERS_MAX { Err(wrong("names too many: a few are enough to find the others")) } else { Ok(found) }
}

fn check_topic(topic: &str) -> Result<(), SettingsError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if topic.len() <= TOPIC_BYTES_MAX && topic.bytes().all(is_plain) && !matches!(topic, "." | "..") && !topic.starts_with("__") {
        return Ok(());
    }
    Err(error("topic", "is no topic to write to", Some(String::from("letters, digits, dots, _ and -, and not one of the cluster's own"))))
}

fn login(settings: &Settings<'_>) -> Result<Option<Login>, SettingsError> {
    let said = settings.optional_text("mechanism")?;
    let known = || Mechanism::ALL.map(Mechanism::name).join(", ");
    let mechanism = match said {
        None => Mechanism::ScramSha256,
        Some(said) => Mechanism::ALL
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(said))
            .ok_or_else(|| error("mechanism", "is no way to log in that is known here", Some(known())))?,
    };
    match (settings.optional_text("user")?, settings.optional_secret("password")?) {
        (Some(user), Some(password)) => Ok(Some(Login { mechanism, user: user.to_owned(), password })),
        (Some(_), None) => Err(error("password", "is missing", Some(String::from("password = \"file:/run/secrets/kafka\"")))),
        (None, Some(_)) => Err(error("user", "is missing", Some(String::from("whose password it is")))),
        (None, None) if said.is_some() => Err(error("user", "is missing", Some(String::from("who logs in that way")))),
        (None, None) => Ok(None),
    }
}

impl Destination for Kafka {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        None
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits { events: EVENTS_MAX, bytes: BYTES_MAX, oldest: OLDEST, group_by: GroupBy::None }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let mut parcels: Vec<(Vec<u8>, Vec<Record>, Vec<crate::event::Offset>)> = Vec::new();
        for disclosure in batch {
            let mut line = serde_json::to_vec(disclosure).expect("a disclosure is made of texts, numbers and flags");
            line.push(b'\n');
            let record = Record {
                key: disclosure.visitor_id().to_owned(),
                event_id: disclosure.event_id().to_owned(),
                time: figures::milliseconds(disclosure).unwrap_or(-1),
            };
            let open = parcels.last_mut().filter(|(body, records, _)| records.len() < EVENTS_MAX && body.len() + line.len() <= BYTES_MAX);
            match open {
                Some((body, records, events)) => {
                    body.append(&mut line);
                    records.push(record);
                    events.push(disclosure.offset());
                }
                None => parcels.push((line, vec![record], vec![disclosure.offset()])),
            }
        }
        let parcel = |(body, records, events)| Parcel {
            via: Via::Produce(Production { cluster: Arc::clone(&self.cluster), topic: self.topic.clone(), records }),
            body: Bytes::from(body),
            events,
            unsaid: 0,
        };
        parcels.into_iter().map(parcel).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        let Answer::Produced(codes) = answer else { return vec![Verdict::Retry { after: None }; parcel.events.len()] };
        let verdicts: Vec<Verdict> = (0..parcel.events.len()).map(|at| verdict(codes.get(at).copied().unwrap_or(Code::UNKNOWN))).collect();
        // A partition refuses the records of a parcel that are for it together, and one of them may be to blame: they are tried again, by themselves.
        let refused = |verdict: &Verdict| matches!(verdict, Verdict::Rejected { .. });
        if verdicts.iter().filter(|verdict| refused(verdict)).count() > 1 && !verdicts.iter().all(refused) {
            return verdicts.into_iter().map(|verdict| if refused(&verdict) { Verdict::Retry { after: None } } else { verdict }).collect();
        }
        verdicts
    }
}

/// By <https://kafka.apache.org/protocol#protocol_error_codes>.
fn verdict(code: Code) -> Verdict {
    match code {
        Code::KEPT => Verdict::Accepted { proven: true },
        Code(10 | 18) => Verdict::Rejected { reason: "it is larger than the topic takes" },
        Code(32) => Verdict::Rejected { reason: "the topic takes no event of that time" },
        Code(87) => Verdict::Rejected { reason: "the topic refuses it" },
        Code(17) => Verdict::EndpointRefuses { reason: "the cluster has no topic of such a name" },
        Code(29 | 31) => Verdict::EndpointRefuses { reason: "the user may not write to the topic" },
        Code::NO_SUCH_LOGIN => Verdict::EndpointRefuses { reason: "the cluster knows nobody by that mechanism" },
        Code(34) | Code::NOT_LET_IN => Verdict::EndpointRefuses { reason: "the cluster does not let us in: check user and password" },
        // A partition without a leader, or with too few replicas: it is no event's fault, however long that lasts. No pause is asked for; that one is named
        // says so.
        Code::NO_LEADER | Code::NOT_THE_LEADER | Code(7 | 19 | 20) => Verdict::Retry { after: Some(Duration::ZERO) },
        // A topic that is not there is the same to see as one that is about to be; the rest passes.
        Code(_) => Verdict::Retry { after: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, event::Offset};

    fn opened(text: &str) -> Result<Box<dyn Destination>, SettingsError> {
        open(&text.parse().unwrap())
    }

    fn cluster(text: &str) -> Arc<Cluster> {
        let parcel = opened(text).unwrap().encode(&[&Disclosure::for_test(Offset(1), 1, Timestamp(0))]).remove(0);
        let Via::Produce(production) = parcel.via else { panic!("not produced") };
        production.cluster
    }

    #[test]
    fn brokers_are_hosts_and_ports_and_nothing_else() {
        let found = cluster("brokers = \"a.example.org:9093, 10.0.0.1 ,[::1]:1\"");
        let expected = [("a.example.org", 9093), ("10.0.0.1", 9092), ("::1", 1)].map(|(host, port)| (host.to_owned(), port));
        assert_eq!(found.brokers, expected);
        for wrong in ["", "a,", "kafka://a:9092", "jane:secret@a:9092", "a:99999", "a/b", &vec!["a"; 17].join(",")] {
            let text = format!("brokers = {wrong:?}");
            assert_eq!(opened(&text).err().map(|error| error.key).as_deref(), Some("brokers"), "{wrong}");
        }
    }

    #[test]
    fn nothing_goes_to_another_machine_in_the_clear() {
        for (text, expected) in [
            ("brokers = \"localhost\"", false),
            ("brokers = \"127.0.0.1:9093,[::1]\"", false),
            ("brokers = \"localhost\"\ntls = true", true),
            ("brokers = \"localhost,a.example.org\"", true),
        ] {
            assert_eq!(cluster(text).encrypted, expected, "{text}");
        }
    }

    #[test]
    fn a_topic_is_one_that_kafka_takes() {
        for (topic, expected) in [("a.b-c_D1", true), ("a/b", false), ("..", false), ("__consumer_offsets", false), ("ä", false)] {
            assert_eq!(check_topic(topic).is_ok(), expected, "{topic}");
        }
        assert!(check_topic(&"x".repeat(249)).is_ok() && check_topic(&"x".repeat(250)).is_err());
    }

    #[test]
    fn there_is_a_user_with_a_password_and_a_known_way_or_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("word");
        std::fs::write(&path, "a-password").unwrap();
        let word = format!("\"file:{}\"", path.display());
        for (said, key) in [
            (String::new(), ""),
            (format!("user = \"u\"\npassword = {word}"), ""),
            (format!("user = \"u\"\npassword = {word}\nmechanism = \"scram-sha-512\""), ""),
            (format!("user = \"u\"\npassword = {word}\nmechanism = \"GSSAPI\""), "mechanism"),
            (String::from("mechanism = \"PLAIN\""), "user"),
            (String::from("user = \"u\""), "password"),
            (format!("password = {word}"), "user"),
            (String::from("user = \"u\"\npassword = \"a-password\""), "password"),
        ] {
            let found = opened(&format!("brokers = \"localhost\"\n{said}")).err();
            assert_eq!(found.as_ref().map_or("", |error| error.key.as_str()), key, "{said}");
            assert!(!found.is_some_and(|error| error.to_string().contains("a-password")), "a secret is not repeated");
        }
    }

    #[test]
    fn a_parcel_is_within_its_bounds_and_a_record_is_found_in_its_line() {
        let kafka = opened("brokers = \"localhost\"").unwrap();
        let disclosures: Vec<Disclosure> = (0..450).map(|offset| Disclosure::for_test(Offset(offset), offset, Timestamp(0))).collect();
        let parcels = kafka.encode(&disclosures.iter().collect::<Vec<_>>());
        assert_eq!(parcels.iter().map(|parcel| parcel.events.len()).collect::<Vec<_>>(), [200, 200, 50]);
        for parcel in &parcels {
            let Via::Produce(production) = &parcel.via else { panic!("not produced") };
            let lines: Vec<&[u8]> = parcel.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
            assert_eq!(lines.len(), production.records.len());
            for (line, record) in lines.iter().zip(&production.records) {
                let said: serde_json::Value = serde_json::from_slice(line).unwrap();
                assert_eq!((&said["event_id"], &said["visitor_id"]), (&record.event_id.as_str().into(), &record.key.as_str().into()));
            }
        }
    }

    #[test]
    fn what_a_partition_refuses_of_a_parcel_is_tried_by_itself_before_it_is_parked() {
        let kafka = opened("brokers = \"localhost\"").unwrap();
        let disclosures: Vec<Disclosure> = (0..3).map(|offset| Disclosure::for_test(Offset(offset), offset, Timestamp(0))).collect();
        let parcel = kafka.encode(&disclosures.iter().collect::<Vec<_>>()).remove(0);
        let (kept, again) = (Verdict::Accepted { proven: true }, Verdict::Retry { after: None });
        let (large, nobodys) =
            (Verdict::Rejected { reason: "it is larger than the topic takes" }, Verdict::Retry { after: Some(Duration::ZERO) });
        for (codes, expected) in [
            ([0, 0, 0], [&kept, &kept, &kept]),
            ([10, 0, 10], [&again, &kept, &again]),
            ([10, 0, 0], [&large, &kept, &kept]),
            ([10, 10, 10], [&large, &large, &large]),
            ([6, 0, -1], [&nobodys, &kept, &again]),
        ] {
            assert_eq!(kafka.judge(&parcel, &Answer::Produced(codes.map(Code).to_vec())).iter().collect::<Vec<_>>(), expected);
        }
    }
}
