//! Destination `webhook`: Standard Webhooks 1.0.0, <https://www.standardwebhooks.com>. Batches of events as signed JSON, POSTed to a URL
//! of the site owner's, by a key that both know (HMAC-SHA256) or by one of our own, to which the receiver has the public one (Ed25519).
//! The message id is made from the events' ids, so that a retry has the same one, also after a restart.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, HttpCall, Parcel, Rehearsal, SettingsError, Signing, Verdict, Via,
    settings::{Settings, check_url, error},
    words::disclosed,
};
use crate::{
    config::secret::{self, Secret},
    event::Offset,
    privacy::disclose::Disclosure,
    signing::{PublicKey, SigningKey},
};

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "A server that the website’s owner chose",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &["content-type", "webhook-id", "webhook-signature", "webhook-timestamp"],
    form: &[
        ("", &["type", "timestamp"]),
        ("data.events[]", disclosed::ONE),
        ("data.events[].consent", disclosed::CONSENT),
        ("data.events[].device", disclosed::DEVICE),
        ("data.events[].page", disclosed::PAGE),
        ("data.events[].referrer_page", disclosed::PAGE),
        ("data.events[].campaign", disclosed::CAMPAIGN),
        ("data.events[].items[]", disclosed::ITEM),
        ("data.events[].bot", disclosed::BOT),
        ("data.events[].click_ids", disclosed::LISTED),
        ("data.events[].properties", disclosed::LISTED),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"{url}\"\nsecret = \"{secret}\"",
        secret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        purchase: "purchase",
        yes: |_| String::new(),
    },
    open,
};

const NAME: &str = "webhook";
const EVENT_TYPE: &str = "events.batch";
/// As many as one can read in a receiver's log, and few enough that bisecting one takes a dozen attempts.
const EVENTS_MAX: usize = 50;
/// The specification asks for payloads under 20 kB.
const BYTES_MAX: usize = 20_000;
/// The specification's retry schedule ends after about 75 hours.
const OLDEST: Duration = Duration::from_secs(75 * 60 * 60);
/// The specification's bounds of a secret.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const SECRET_PREFIX: &str = "whsec_";
/// The same of the two halves of a pair of keys.
const OWN_KEY_PREFIX: &str = "whsk_";
const PUBLIC_KEY_PREFIX: &str = "whpk_";
/// Bytes of the seed that a pair of keys is made of.
const SEED_BYTES: usize = 32;
/// How much of the hash of the events' ids is the message id: 128 bits.
const MESSAGE_ID_BYTES: usize = 16;

struct Webhook {
    url: String,
    keys: Vec<WebhookKey>,
}

/// What messages are signed with.
#[derive(Clone)]
pub enum WebhookKey {
    /// Both know it: HMAC-SHA256, `v1`.
    Shared(Secret),
    /// Nobody else knows it: Ed25519, `v1a`.
    Own(Arc<SigningKey>),
}

impl WebhookKey {
    /// What a receiver checks signatures with, where it may be known.
    #[must_use]
    pub fn public(&self) -> Option<String> {
        match self {
            Self::Shared(_) => None,
            Self::Own(key) => {
                let PublicKey(bytes) = key.public();
                Some(format!("{PUBLIC_KEY_PREFIX}{}", BASE64.encode(bytes)))
            }
        }
    }

    const fn signature(&self) -> &'static str {
        match self {
            Self::Shared(_) => "hmac",
            Self::Own(_) => "ed25519",
        }
    }
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "signature", "secret", "secret_previous"])?;
    let url = settings.text("url", "https://hooks.example.org/firsthand")?;
    check_url("url", url)?;
    let mut keys = vec![key("secret", settings.text("secret", "file:/run/secrets/webhook")?)?];
    let signature = settings.optional_text("signature")?.unwrap_or("hmac");
    if !["hmac", "ed25519"].contains(&signature) {
        return Err(error("signature", "is neither \"hmac\" nor \"ed25519\"", None));
    }
    if keys[0].signature() != signature {
        let fix = if signature == "hmac" { "signature = \"ed25519\", or a secret that begins with \"whsec_\"" } else { MAKE_OWN_KEY };
        return Err(error("secret", "leads to a key of the other kind of signature", Some(fix.to_owned())));
    }
    // Of either kind, so that one can go from one to the other.
    if let Some(reference) = settings.optional_text("secret_previous")? {
        keys.push(key("secret_previous", reference)?);
    }
    Ok(Box::new(Webhook { url: url.to_owned(), keys }))
}

const MAKE_OWN_KEY: &str = "make one: printf 'whsk_%s' \"$(openssl genpkey -algorithm ed25519 -outform DER | tail -c 32 | base64)\"";

/// The public keys that a destination's settings lead to, newest first; none of those that are known to both. Reads files: blocks.
#[must_use]
pub fn public_keys(settings: &toml::Table) -> Vec<String> {
    let references = ["secret", "secret_previous"].into_iter().filter_map(|name| Some((name, settings.get(name)?.as_str()?)));
    references.filter_map(|(name, reference)| key(name, reference).ok()?.public()).collect()
}

/// The key that a reference leads to: `whsec_` and base64, or `whsk_` and base64.
///
/// # Errors
/// When it leads nowhere, or to something else.
pub fn key(setting: &str, reference: &str) -> Result<WebhookKey, SettingsError> {
    let resolved = secret::resolve(reference).map_err(|wrong| error(setting, &wrong.to_string(), None))?;
    if let Some(text) = resolved.bytes().strip_prefix(OWN_KEY_PREFIX.as_bytes()) {
        let reason = "the secret it refers to is not \"whsk_\" followed by base64 of an Ed25519 key";
        let key = own_key(text).ok_or_else(|| error(setting, reason, Some(MAKE_OWN_KEY.to_owned())))?;
        return Ok(WebhookKey::Own(Arc::new(key)));
    }
    let malformed = || {
        let reason = "the secret it refers to is not \"whsec_\" followed by base64 of 24 to 64 bytes";
        error(setting, reason, Some("make one: printf 'whsec_%s' \"$(openssl rand -base64 32)\"".to_owned()))
    };
    let text = resolved.bytes().strip_prefix(SECRET_PREFIX.as_bytes()).ok_or_else(malformed)?;
    let bytes = BASE64.decode(text).map_err(|_| malformed())?;
    let key = Secret::new(bytes);
    if SECRET_BYTES.contains(&key.bytes().len()) { Ok(WebhookKey::Shared(key)) } else { Err(malformed()) }
}

/// The specification says "standard key pair": some write the seed alone, others the public key behind it.
fn own_key(text: &[u8]) -> Option<SigningKey> {
    let bytes = Secret::new(BASE64.decode(text).ok()?);
    let (seed, public) = bytes.bytes().split_at_checked(SEED_BYTES)?;
    let key = SigningKey::from_seed(seed)?;
    (public.is_empty() || public == key.public().0).then_some(key)
}

impl Destination for Webhook {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        Some(&self.url)
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits { events: EVENTS_MAX, bytes: BYTES_MAX, oldest: OLDEST, group_by: GroupBy::None }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        let mut message = Message::default();
        for disclosure in batch {
            let event = serde_json::to_vec(disclosure).expect("a disclosure is made of texts, numbers and flags");
            if !message.takes(event.len()) {
                parcels.push(self.parcel(std::mem::take(&mut message)));
            }
            message.add(disclosure, &event);
        }
        if !message.offsets.is_empty() {
            parcels.push(self.parcel(message));
        }
        parcels
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        vec![verdict(answer); parcel.events.len()]
    }
}

impl Webhook {
    fn parcel(&self, message: Message) -> Parcel {
        let (message_id, body, events) = message.finish();
        let signing = Signing::StandardWebhooks { message_id, keys: self.keys.clone() };
        let call = HttpCall::json(self.url.clone(), Some(signing));
        Parcel { via: Via::Http(call), body: Bytes::from(body), events, unsaid: 0 }
    }
}

/// One message on the way to being a parcel.
#[derive(Default)]
struct Message {
    events: Vec<u8>,
    offsets: Vec<Offset>,
    ids: Sha256,
    latest: String,
}

impl Message {
    fn takes(&self, event_bytes: usize) -> bool {
        let filled = self.head().len() + self.events.len() + TAIL.len();
        self.offsets.is_empty() || (self.offsets.len() < EVENTS_MAX && filled + 1 + event_bytes <= BYTES_MAX)
    }

    fn add(&mut self, disclosure: &Disclosure, event: &[u8]) {
        if !self.offsets.is_empty() {
            self.events.push(b',');
        }
        self.events.extend_from_slice(event);
        self.offsets.push(disclosure.offset());
        self.ids.update(disclosure.event_id().as_bytes());
        self.ids.update(b"\n");
        // RFC 3339 in UTC with the same number of digits: the order of texts is the order of times.
        if disclosure.time() > self.latest.as_str() {
            self.latest = disclosure.time().to_owned();
        }
    }

    /// A destination knows no clock: the message's time is the latest time that its events disclose.
    fn head(&self) -> String {
        format!(r#"{{"type":"{EVENT_TYPE}","timestamp":"{}","data":{{"events":["#, self.latest)
    }

    fn finish(self) -> (String, Vec<u8>, Vec<Offset>) {
        let mut body = self.head().into_bytes();
        body.extend_from_slice(&self.events);
        body.extend_from_slice(TAIL.as_bytes());
        let hash = self.ids.finalize();
        let hex: String = hash.iter().take(MESSAGE_ID_BYTES).map(|byte| format!("{byte:02x}")).collect();
        (format!("msg_{hex}"), body, self.offsets)
    }
}

const TAIL: &str = "]}}";

/// Success is 2xx and nothing else. What speaks of the endpoint (gone, moved, not allowed) rejects no event; what speaks of the message does.
fn verdict(answer: &Answer) -> Verdict {
    let (status, after) = match answer {
        Answer::Http { status, retry_after, .. } => (*status, *retry_after),
        _ => return Verdict::Retry { after: None },
    };
    match status {
        200..=299 => Verdict::Accepted { proven: true },
        300..=399 => Verdict::EndpointRefuses { reason: "it redirects, and redirects are not followed: set the new url" },
        401 | 403 | 407 => Verdict::EndpointRefuses { reason: "it does not accept our signature: check the secret" },
        404 | 405 => Verdict::EndpointRefuses { reason: "nothing takes messages at this url" },
        410 => Verdict::EndpointRefuses { reason: "it is gone and asks for no more messages" },
        408 | 425 | 429 => Verdict::Retry { after },
        400..=499 => Verdict::Rejected { reason: "the receiver refuses the message" },
        _ => Verdict::Retry { after },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn opened(url: &str, secret: &str) -> Result<Webhook, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, secret).unwrap();
        check_url("url", url)?;
        Ok(Webhook { url: url.to_owned(), keys: vec![key("secret", &format!("file:{}", file.display()))?] })
    }

    #[test]
    fn urls_that_would_leak_or_lead_nowhere_are_refused() {
        for good in
            ["https://hooks.example.org/x?y=1", "http://127.0.0.1:9000/", "http://[::1]/x", "http://localhost:1/", "https://10.0.0.7/"]
        {
            assert_eq!(check_url("url", good), Ok(()), "{good}");
        }
        let refused = [
            ("http://hooks.example.org/", "would send events unencrypted"),
            ("http://127.0.0.1.example.org/", "would send events unencrypted"),
            ("https://jane:secret@example.org/", "holds a user name"),
            ("ftp://example.org/", "is not an https URL"),
            ("/hook", "names no host"),
            ("not a url", "is no URL"),
        ];
        for (url, reason) in refused {
            let error = check_url("url", url).unwrap_err();
            assert_eq!((error.key.as_str(), error.reason.as_str()), ("url", reason), "{url}");
            assert!(!error.to_string().contains("jane"), "a value is not repeated");
        }
    }

    #[test]
    fn secrets_are_references_to_keys_of_the_right_length() {
        let base64 = |bytes: usize| format!("whsec_{}", BASE64.encode(vec![7; bytes]));
        for (text, good) in [
            (SECRET.to_owned(), true),
            (format!("{SECRET}\n"), true),
            (base64(24), true),
            (base64(64), true),
            (base64(23), false),
            (base64(65), false),
            (SECRET.trim_start_matches("whsec_").to_owned(), false),
            ("whsec_not base64!".to_owned(), false),
        ] {
            match opened("https://example.org/", &text) {
                Ok(webhook) => assert!(good && matches!(&webhook.keys[0], WebhookKey::Shared(key) if key.bytes().len() >= 24), "{text}"),
                Err(error) => assert!(!good && error.key == "secret" && !error.to_string().contains(&text), "{error}"),
            }
        }
        let literal: toml::Table = format!("url = \"https://example.org/\"\nsecret = {SECRET:?}").parse().unwrap();
        let error = open(&literal).err().unwrap().to_string();
        assert!(error.starts_with("settings.secret: a secret is given by reference") && !error.contains(SECRET), "{error}");
    }

    /// The first test vector of RFC 8032, 7.1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn own(bytes: &[u8]) -> String {
        format!("whsk_{}", BASE64.encode(bytes))
    }

    #[test]
    fn an_own_key_is_a_seed_or_a_seed_and_its_public_key() {
        let [seed, public] = [SEED, PUBLIC].map(|hex| crate::signing::from_hex::<32>(hex).unwrap());
        for (text, good) in [
            (own(&seed), true),
            (own(&[seed, public].concat()), true),
            (own(&[seed, seed].concat()), false),
            (own(&seed[1..]), false),
            (own(&[1]), false),
            ("whsk_not base64!".to_owned(), false),
        ] {
            match opened("https://example.org/", &text) {
                Ok(webhook) => {
                    assert!(good, "{text}");
                    assert_eq!(webhook.keys[0].public(), Some(format!("whpk_{}", BASE64.encode(public))));
                }
                Err(error) => assert!(!good && error.key == "secret" && !error.to_string().contains(&text), "{error}"),
            }
        }
    }

    #[test]
    fn the_kind_of_signature_is_said_and_its_key_is_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
            format!("\"file:{}\"", directory.path().join(name).display())
        };
        let (shared, own) = (file("shared", SECRET), file("own", &own(&[7; 32])));
        for (said, key) in [
            (format!("secret = {shared}"), ""),
            (format!("secret = {shared}\nsignature = \"hmac\""), ""),
            (format!("secret = {own}\nsignature = \"ed25519\""), ""),
            (format!("secret = {own}\nsignature = \"ed25519\"\nsecret_previous = {shared}"), ""),
            (format!("secret = {shared}\nsecret_previous = {own}"), ""),
            (format!("secret = {own}"), "secret"),
            (format!("secret = {shared}\nsignature = \"ed25519\""), "secret"),
            (format!("secret = {shared}\nsignature = \"rsa\""), "signature"),
        ] {
            let settings: toml::Table = format!("url = \"https://example.org/\"\n{said}").parse().unwrap();
            assert_eq!(open(&settings).err().map_or(String::new(), |error| error.key), key, "{said}");
            assert_eq!(public_keys(&settings).len(), said.matches(&own).count(), "{said}");
        }
    }

    #[test]
    fn messages_stay_within_their_bounds_and_carry_everything_in_order() {
        let webhook = opened("https://example.org/", SECRET).unwrap();
        let disclosures: Vec<Disclosure> =
            (0..130).map(|offset| Disclosure::for_test(Offset(offset), 1, Timestamp(offset as i64))).collect();
        let references: Vec<&Disclosure> = disclosures.iter().collect();
        let parcels = webhook.encode(&references);
        assert!(parcels.len() > 2);
        for parcel in &parcels {
            assert!(parcel.body.len() < BYTES_MAX && parcel.events.len() <= EVENTS_MAX);
            let message: serde_json::Value = serde_json::from_slice(&parcel.body).unwrap();
            assert_eq!(message["data"]["events"].as_array().unwrap().len(), parcel.events.len());
        }
        let fuller = |parcel: &Parcel| parcel.body.len() + serde_json::to_vec(&disclosures[0]).unwrap().len() + 1 > BYTES_MAX;
        assert!(parcels[0].events.len() == EVENTS_MAX || fuller(&parcels[0]), "no smaller than need be");
        let carried: Vec<u64> = parcels.iter().flat_map(|parcel| parcel.events.iter().map(|offset| offset.0)).collect();
        assert_eq!(carried, (0..130).collect::<Vec<_>>());
    }

    #[test]
    fn the_message_id_is_the_events_and_nothing_else() {
        let webhook = opened("https://example.org/", SECRET).unwrap();
        let id = |offsets: &[u64], received| {
            let disclosures: Vec<Disclosure> =
                offsets.iter().map(|offset| Disclosure::for_test(Offset(*offset), 1, Timestamp(received))).collect();
            let parcel = webhook.encode(&disclosures.iter().collect::<Vec<_>>()).remove(0);
            let Via::Http(HttpCall { signing: Some(Signing::StandardWebhooks { message_id, .. }), .. }) = parcel.via else {
                panic!("not a signed call")
            };
            message_id
        };
        assert_eq!(id(&[1, 2], 0), id(&[1, 2], 9_000_000));
        assert_ne!(id(&[1, 2], 0), id(&[1], 0));
        assert_ne!(id(&[1, 2], 0), id(&[2, 1], 0));
        assert!(!id(&[1], 0).contains('.'), "the specification forbids it");
    }
}
