//! Destination `nats`: a message for each event on the site owner's own NATS, to a subject made of closed words. A stream of JetStream keeps
//! it and says so; without one (`core`) it is published, and nobody says whether anyone heard.
//!
//! A message has the event's id, by which a stream knows it again when it comes twice within its duplicate window.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Uri;

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, Parcel, Rehearsal, SettingsError, Verdict, Via,
    publication::{Login, MessageServer, Publication, PublishAnswer},
    settings::{Settings, error, is_loopback},
    words::disclosed,
};
use crate::{
    config::secret::{self, Secret},
    privacy::disclose::Disclosure,
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "A message server that the website’s owner chose",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &["nats-msg-id"],
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
        settings: "url = \"nats://{broker}\"\nuser = \"{name}\"\npassword = \"{secret}\"",
        secret: "a-password-that-guards-nothing",
        purchase: "purchase",
        yes: |_| String::new(),
    },
    open,
};

const NAME: &str = "nats";
/// The server's own bound of a message where its settings have no other, <https://docs.nats.io/running-a-nats-service/configuration>.
const BYTES_MAX: usize = 1024 * 1024;
/// A stream takes events of any age.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const PORT: u16 = 4222;
const SUBJECT: &str = "firsthand.{site}.{event}";
/// What a subject may be made of, beside words of the owner's.
const PLACEHOLDERS: [&str; 2] = ["{site}", "{event}"];
/// Subjects are on every message; a server takes lines of 4096 bytes, with the other names that stand there.
const SUBJECT_BYTES_MAX: usize = 256;
/// The header that a stream knows a message again by, <https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive>.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";
/// What a user's seed begins with, and how long it is: 32 bytes, two of kind and two of a checksum, in base32.
const SEED_PREFIX: &str = "SU";
const SEED_BYTES: usize = 58;
/// What stands in a file of credentials before its two parts.
const CREDENTIALS: [&str; 2] = ["-----BEGIN NATS USER JWT-----", "-----BEGIN USER NKEY SEED-----"];

struct Nats {
    server: Arc<MessageServer>,
    subject: String,
    to_stream: bool,
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "subject", "core", "user", "password", "token", "nkey", "credentials"])?;
    let (host, port, says_tls) = place(settings.text("url", "nats://nats.example.org")?)?;
    let subject = settings.optional_text("subject")?.unwrap_or(SUBJECT);
    check_subject(subject)?;
    let server = MessageServer {
        // To another machine, nothing goes in the clear.
        encrypted: says_tls || !is_loopback(&host),
        host,
        port,
        login: login(&settings)?,
    };
    Ok(Box::new(Nats { server: Arc::new(server), subject: subject.to_owned(), to_stream: !settings.flag("core")? }))
}

/// Host and port of an address, and whether it asks for TLS.
fn place(url: &str) -> Result<(String, u16, bool), SettingsError> {
    let wrong = |reason: &str| Err(error("url", reason, Some(String::from("write it as nats://host or tls://host, and :port"))));
    let Ok(uri) = url.parse::<Uri>() else { return wrong("is no URL") };
    let says_tls = match uri.scheme_str() {
        Some("nats") => false,
        Some("tls") => true,
        _ => return wrong("is no address of a NATS server"),
    };
    let Some(authority) = uri.authority() else { return wrong("names no host") };
    if authority.as_str().contains('@') || uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return wrong("holds more than host and port");
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), authority.port_u16().unwrap_or(PORT), says_tls))
}

/// One way to log in, or none.
fn login(settings: &Settings<'_>) -> Result<Login, SettingsError> {
    let user = settings.optional_text("user")?;
    let (token, key) = (settings.optional_secret("token")?, settings.optional_secret("nkey")?);
    let credentials = settings.optional_text("credentials")?.map(credentials).transpose()?;
    let ways = [user.is_some(), token.is_some(), key.is_some(), credentials.is_some()];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Err(error("user", "is one way to log in of several", Some(String::from("keep user, token, nkey or credentials"))));
    }
    let password = settings.optional_secret("password")?;
    match (user, password) {
        (Some(user), Some(password)) => return Ok(Login::Password { user: user.to_owned(), password }),
        (Some(_), None) => return Err(error("password", "is missing", Some(String::from("password = \"file:/run/secrets/nats\"")))),
        (None, Some(_)) => return Err(error("user", "is missing", Some(String::from("whose password it is")))),
        (None, None) => {}
    }
    if key.as_ref().is_some_and(|key| !is_seed(key.bytes())) {
        return Err(error(
            "nkey",
            "leads to no user's seed",
            Some(format!("{SEED_BYTES} signs that begin with {SEED_PREFIX}, of nk -gen user")),
        ));
    }
    Ok(match (token, key, credentials) {
        (Some(token), ..) => Login::Token(token),
        (_, Some(key), _) => Login::Key(key),
        (_, _, Some(credentials)) => Login::Credentials(credentials),
        _ => Login::Open,
    })
}

fn is_seed(bytes: &[u8]) -> bool {
    bytes.len() == SEED_BYTES
        && bytes.starts_with(SEED_PREFIX.as_bytes())
        && bytes.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

/// The file of credentials that a reference leads to. It has several lines, and so is no secret like the others.
fn credentials(reference: &str) -> Result<Secret, SettingsError> {
    let resolved = secret::resolve(reference).map_err(|wrong| error("credentials", &wrong.to_string(), None))?;
    let text = std::str::from_utf8(resolved.bytes()).unwrap_or_default();
    if !CREDENTIALS.iter().all(|part| text.contains(part)) {
        return Err(error("credentials", "leads to no file of a user's credentials", Some(String::from("the one of nsc generate creds"))));
    }
    Ok(resolved)
}

/// Subjects that lead somewhere, and to nobody else: no wildcards, nothing of the server's own.
fn check_subject(subject: &str) -> Result<(), SettingsError> {
    let fix = || Some(format!("words of letters, digits, _ and - with dots between them, and {}: {SUBJECT:?}", PLACEHOLDERS.join(" and ")));
    let plain = PLACEHOLDERS.iter().fold(subject.to_owned(), |text, placeholder| text.replace(placeholder, "x"));
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(is_plain);
    if !plain.split('.').all(is_word) || subject.len() > SUBJECT_BYTES_MAX {
        return Err(error("subject", "is no subject to publish to", fix()));
    }
    if subject.starts_with("_INBOX") {
        return Err(error("subject", "is one of the server's own", fix()));
    }
    Ok(())
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// A word of ours as one token of a subject.
fn token(word: &str) -> String {
    let safe: String = word.bytes().map(|byte| if is_plain(byte) { char::from(byte) } else { '_' }).collect();
    if safe.is_empty() { String::from("_") } else { safe }
}

impl Destination for Nats {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        None
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits { events: 1, bytes: BYTES_MAX, oldest: OLDEST, group_by: GroupBy::Event }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        batch.iter().map(|disclosure| self.parcel(disclosure)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        vec![verdict(answer); parcel.events.len()]
    }
}

impl Nats {
    fn parcel(&self, disclosure: &Disclosure) -> Parcel {
        let subject = self.subject.replace("{site}", &token(disclosure.site())).replace("{event}", &token(disclosure.name()));
        let publication = Publication {
            server: Arc::clone(&self.server),
            subject,
            message_id: disclosure.event_id().to_owned(),
            to_stream: self.to_stream,
        };
        let body = serde_json::to_vec(disclosure).expect("a disclosure is made of texts, numbers and flags");
        Parcel { via: Via::Publish(publication), body: Bytes::from(body), events: vec![disclosure.offset()], unsaid: 0 }
    }
}

/// By the codes of <https://github.com/nats-io/nats-server/blob/main/server/errors.json>.
fn verdict(answer: &Answer) -> Verdict {
    /// An account's limits say 400, and are nobody's fault.
    const ACCOUNT_IS_FULL: u16 = 10002;
    const NO_JETSTREAM: [u16; 2] = [10039, 10076];
    const TOO_LARGE: [u16; 2] = [10054, 10097];
    const SEALED: u16 = 10109;
    let Answer::Publish(said) = answer else { return Verdict::Retry { after: None } };
    match said {
        PublishAnswer::Kept => Verdict::Accepted { proven: true },
        PublishAnswer::Sent => Verdict::Accepted { proven: false },
        PublishAnswer::TooLarge => Verdict::Rejected { reason: "it is larger than the server takes" },
        PublishAnswer::NotPermitted => {
            Verdict::EndpointRefuses { reason: "the user may not publish to this subject, or not receive in _INBOX.>" }
        }
        PublishAnswer::NotLetIn => Verdict::EndpointRefuses { reason: "the server does not let us in: check how we log in" },
        PublishAnswer::Refused { code, .. } if NO_JETSTREAM.contains(code) => {
            Verdict::EndpointRefuses { reason: "JetStream is not switched on there" }
        }
        PublishAnswer::Refused { code: SEALED, .. } => Verdict::EndpointRefuses { reason: "the stream is sealed" },
        PublishAnswer::Refused { code, .. } if TOO_LARGE.contains(code) => {
            Verdict::Rejected { reason: "it is larger than the stream takes" }
        }
        PublishAnswer::Refused { code: ACCOUNT_IS_FULL, .. } => Verdict::Retry { after: None },
        PublishAnswer::Refused { status: 400..=428, .. } => Verdict::Rejected { reason: "the stream refuses it" },
        // Full, for now; or its servers elect a leader, during which nobody takes the subject. A subject that no stream has is the same to see:
        // an event that nothing but its subject is wrong with is parked in the end, by being tried while others are taken.
        PublishAnswer::Refused { .. } | PublishAnswer::NoStream => Verdict::Retry { after: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, event::Offset};

    fn opened(text: &str) -> Result<Box<dyn Destination>, SettingsError> {
        open(&text.parse().unwrap())
    }

    #[test]
    fn an_address_is_host_and_port_and_nothing_else() {
        for (url, expected) in [
            ("nats://nats.example.org", Ok(("nats.example.org", 4222, false))),
            ("tls://127.0.0.1:6000", Ok(("127.0.0.1", 6000, true))),
            ("nats://[::1]:4223/", Ok(("::1", 4223, false))),
            ("https://nats.example.org", Err("is no address of a NATS server")),
            ("nats.example.org:4222", Err("is no address of a NATS server")),
            ("nats://jane:secret@nats.example.org", Err("holds more than host and port")),
            ("nats://nats.example.org/stream", Err("holds more than host and port")),
            ("nats://nats.example.org?tls=no", Err("holds more than host and port")),
        ] {
            let found = place(url);
            let found = found.as_ref().map(|(host, port, tls)| (host.as_str(), *port, *tls)).map_err(|error| error.reason.as_str());
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn a_subject_is_made_of_closed_words() {
        for subject in ["events", "firsthand.{site}.{event}", "a.b-c_2.{event}", "all.of-{site}"] {
            assert_eq!(check_subject(subject), Ok(()), "{subject}");
        }
        for subject in ["", "a..b", ".a", "a.", "a.*", "a.>", "a b", "{visitor}", "a.{site", "$JS.API", "_INBOX.x", "ä", &"x".repeat(257)]
        {
            assert_eq!(check_subject(subject).unwrap_err().key, "subject", "{subject}");
        }
    }

    #[test]
    fn a_name_is_one_token_whatever_is_in_it() {
        for (word, expected) in
            [("page_view", "page_view"), ("a.b", "a_b"), ("*", "_"), (">", "_"), ("a b\r\nPUB", "a_b__PUB"), ("", "_"), ("é", "__")]
        {
            assert_eq!(token(word), expected);
        }
        let nats = opened("url = \"nats://localhost\"\nsubject = \"x.{event}\"").unwrap();
        let odd = Disclosure::for_test(Offset(1), 1, Timestamp(0)).saying(&serde_json::json!({ "name": "{site}.>" }));
        let Via::Publish(publication) = nats.encode(&[&odd]).remove(0).via else { panic!("not published") };
        assert_eq!(publication.subject, "x._site___");
    }

    #[test]
    fn there_is_one_way_to_log_in() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            format!("\"file:{}\"", path.display())
        };
        let seed = file("seed", "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY\n");
        let account = file("account", "SAANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY\n");
        let word = file("word", "a-password");
        let creds = file("creds", &format!("{}\nx\n---\n{}\ny\n---\n", CREDENTIALS[0], CREDENTIALS[1]));
        for (said, key) in [
            (String::new(), ""),
            (format!("user = \"u\"\npassword = {word}"), ""),
            (format!("token = {word}"), ""),
            (format!("nkey = {seed}"), ""),
            (format!("credentials = {creds}"), ""),
            (format!("nkey = {word}"), "nkey"),
            (format!("nkey = {account}"), "nkey"),
            (format!("credentials = {word}"), "credentials"),
            (String::from("user = \"u\""), "password"),
            (format!("password = {word}"), "user"),
            (format!("user = \"u\"\npassword = {word}\ntoken = {word}"), "user"),
            (format!("token = {word}\nnkey = {seed}"), "user"),
            (String::from("token = \"a-password\""), "token"),
        ] {
            let found = opened(&format!("url = \"nats://localhost\"\n{said}")).err();
            assert_eq!(found.as_ref().map_or("", |error| error.key.as_str()), key, "{said}");
            assert!(!found.is_some_and(|error| error.to_string().contains("a-password")), "a secret is not repeated");
        }
    }

    #[test]
    fn nothing_goes_to_another_machine_in_the_clear() {
        for (url, expected) in [("nats://localhost", false), ("tls://localhost", true), ("nats://nats.example.org", true)] {
            let nats = opened(&format!("url = \"{url}\"")).unwrap();
            let Via::Publish(publication) = nats.encode(&[&Disclosure::for_test(Offset(1), 1, Timestamp(0))]).remove(0).via else {
                panic!("not published")
            };
            assert_eq!(publication.server.encrypted, expected, "{url}");
        }
    }
}
