//! The HTTP carrier: the only place in the program that makes an HTTP client. It follows no redirect, keeps no cookie, asks no proxy,
//! names itself and nothing else, reads a bounded answer in bounded time, and signs each attempt at its moment.

use std::{error::Error as _, io, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::{Bytes, BytesMut};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::Sha256;

use crate::{
    clock::Timestamp,
    config::secret::Secret,
    destination::{Answer, Failure, HttpCall, Likeness, Signing, webhook::WebhookKey},
};

/// A receiver that does not even take the connection within this time is taken for unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte out to the last byte in. Standard Webhooks asks for 15 to 30 s.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// What a destination may look at of an answer; the rest is not read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Of a header of the answer that a destination looks at; what it says there is a number or a word.
const NOTED_CHARS_MAX: usize = 64;
/// Idle connections kept per receiver: one per lane.
const IDLE_CONNECTIONS_MAX: usize = crate::delivery::LANES_OF_SMALL_PARCELS;
/// All that a receiver learns about who is sending.
const USER_AGENT: &str = "firsthand";

/// Makes HTTP attempts.
pub struct HttpCarrier {
    client: reqwest::Client,
}

/// The HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpCarrierError {
    /// The file of additional certificate authorities cannot be read.
    #[error("the file of additional certificate authorities cannot be read: {0}")]
    RootsUnreadable(io::ErrorKind),
    /// It holds no PEM certificates.
    #[error("the file of additional certificate authorities holds no certificates in PEM form")]
    RootsMalformed,
    /// The TLS library refused the settings.
    #[error("the HTTP client cannot be made on this machine")]
    Client,
}

impl HttpCarrier {
    /// A carrier that trusts the machine's certificate authorities, and those of a PEM file of the operator's.
    ///
    /// # Errors
    /// When that file is not one, or the client cannot be made.
    pub fn new(additional_roots: Option<&Path>) -> Result<Self, HttpCarrierError> {
        Self::with_timeouts(additional_roots, CONNECT_TIMEOUT, TOTAL_TIMEOUT)
    }

    pub(in crate::delivery) fn with_timeouts(
        additional_roots: Option<&Path>,
        connect: Duration,
        total: Duration,
    ) -> Result<Self, HttpCarrierError> {
        let roots = additional_roots.map_or_else(|| Ok(Vec::new()), read_roots)?;
        Ok(Self { client: client(|| builder(connect, total), roots)? })
    }

    /// Makes one attempt. The error of a failed one is classified and dropped: a library's message could quote an address or a body.
    pub async fn post(&self, call: &HttpCall, body: Bytes, now: Timestamp) -> Answer {
        let constant = |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut headers: HeaderMap = call.headers.iter().map(constant).collect();
        let likeness = call.visitor.iter().flat_map(Likeness::headers);
        headers.extend(likeness.filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))));
        if let Some(signing) = &call.signing {
            headers.extend(signature_headers(signing, &body, now));
        }
        self.attempt(&call.url, headers, body, call.notes, now).await
    }

    /// Sends once more what a stand-in has captured of a destination's call (`firsthand prove --tee`), under the headers that it came with.
    pub async fn pass_on(&self, url: &str, captured: HeaderMap, body: Bytes, now: Timestamp) -> Answer {
        self.attempt(url, captured, body, None, now).await
    }

    async fn attempt(&self, url: &str, headers: HeaderMap, body: Bytes, notes: Option<&'static str>, now: Timestamp) -> Answer {
        match self.exchange(url, headers, body, notes, now).await {
            Ok(answer) => answer,
            Err(error) => Answer::Failed(failure_of(&error)),
        }
    }

    async fn exchange(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        notes: Option<&'static str>,
        now: Timestamp,
    ) -> reqwest::Result<Answer> {
        let mut response = self.client.post(url).headers(headers).body(body).send().await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
        let noted = notes.and_then(|name| response.headers().get(name)?.to_str().ok());
        let noted = noted.map(|value| value.chars().take(NOTED_CHARS_MAX).collect());
        let mut start = BytesMut::new();
        while start.len() < ANSWER_BYTES_MAX
            && let Some(chunk) = response.chunk().await?
        {
            start.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - start.len())]);
        }
        Ok(Answer::Http { status, retry_after, body: start.freeze(), noted })
    }
}

/// A client that trusts the machine's certificate authorities and these.
pub(super) fn client(
    builder: impl Fn() -> reqwest::ClientBuilder,
    roots: Vec<reqwest::Certificate>,
) -> Result<reqwest::Client, HttpCarrierError> {
    builder().tls_certs_merge(roots).build().or_else(|_| {
        // A machine without any certificate authority can still deliver to files and to loopback.
        tracing::warn!("this machine has no certificate authorities: destinations over https will fail until it has");
        builder().tls_certs_only([]).build().map_err(|_| HttpCarrierError::Client)
    })
}

pub(super) fn builder(connect: Duration, total: Duration) -> reqwest::ClientBuilder {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes HTTP clients")]
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .user_agent(USER_AGENT)
        .connect_timeout(connect)
        .timeout(total)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
}

pub(super) fn read_roots(path: &Path) -> Result<Vec<reqwest::Certificate>, HttpCarrierError> {
    let pem = std::fs::read(path).map_err(|error| HttpCarrierError::RootsUnreadable(error.kind()))?;
    let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| HttpCarrierError::RootsMalformed)?;
    if roots.is_empty() { Err(HttpCarrierError::RootsMalformed) } else { Ok(roots) }
}

/// Why there was no answer, from the kinds of the errors alone.
pub(super) fn failure_of(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Timeout;
    }
    if tls_error(error).is_some() {
        return Failure::Tls;
    }
    let is_garbage = causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse));
    if is_garbage { Failure::Garbage } else { Failure::Connect }
}

/// What TLS found wrong, where that is why there was no answer.
pub(super) fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| {
        let mut cause = cause;
        // An io::Error hides the error that it carries from `source`, and may carry another one.
        while let Some(carried) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            cause = carried;
        }
        cause.downcast_ref()
    })
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

/// `Retry-After`: seconds, or an HTTP date, as a span from now.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Timestamp(date.as_millisecond()).since(now))
}

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A secret as a header's value. A destination takes none that could not stand there.
fn said_in(name: HeaderName, said: &Secret) -> HeaderMap {
    let value = HeaderValue::from_bytes(said.bytes()).ok().map(|mut value| {
        value.set_sensitive(true);
        value
    });
    value.into_iter().map(|value| (name.clone(), value)).collect()
}

fn signature_headers(signing: &Signing, body: &[u8], now: Timestamp) -> HeaderMap {
    let (message_id, keys) = match signing {
        Signing::StandardWebhooks { message_id, keys } => (message_id, keys),
        Signing::Authorization(said) => return said_in(header::AUTHORIZATION, said),
        Signing::Token { header, secret } => return said_in(HeaderName::from_static(header), secret),
    };
    let seconds = now.seconds().to_string();
    let signatures: Vec<String> = keys.iter().map(|key| standard_webhooks_signature(key, message_id, &seconds, body)).collect();
    let said = [(WEBHOOK_ID, message_id.clone()), (WEBHOOK_TIMESTAMP, seconds), (WEBHOOK_SIGNATURE, signatures.join(" "))];
    said.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))).collect()
}

/// Standard Webhooks 1.0.0: the base64 of HMAC-SHA256 (`v1,`) or Ed25519 (`v1a,`) over `{id}.{timestamp}.{body}`.
fn standard_webhooks_signature(key: &WebhookKey, message_id: &str, seconds: &str, body: &[u8]) -> String {
    let parts = [message_id.as_bytes(), b".", seconds.as_bytes(), b".", body];
    match key {
        WebhookKey::Shared(key) => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).expect("HMAC takes keys of any length");
            parts.iter().for_each(|part| mac.update(part));
            format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
        }
        WebhookKey::Own(key) => format!("v1a,{}", BASE64.encode(key.sign(&parts.concat()))),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };

    use super::*;
    use crate::{
        clock,
        delivery::http_double::{HttpDouble, Reply},
        destination::{CALL_HEADERS, DESTINATIONS, Via},
        event::Offset,
        privacy::disclose::Disclosure,
        supervise::Supervisor,
    };

    const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn call(url: String, keys: &[&str]) -> HttpCall {
        let keys = keys.iter().map(|key| WebhookKey::Shared(Secret::new(BASE64.decode(key).unwrap()))).collect();
        HttpCall::json(url, Some(Signing::StandardWebhooks { message_id: "msg_1".to_owned(), keys }))
    }

    async fn answer_to(reply: Reply) -> Answer {
        let supervisor = Supervisor::new();
        let receiver = HttpDouble::start(&supervisor, move |_, _| reply).await;
        let carrier = HttpCarrier::with_timeouts(None, Duration::from_millis(500), Duration::from_millis(500)).unwrap();
        let answer = carrier.post(&call(receiver.url(), &[SECRET]), Bytes::from_static(b"{}"), clock::now()).await;
        assert_eq!(receiver.taken().len(), 1, "one attempt is one request");
        answer
    }

    #[tokio::test]
    async fn every_fault_has_its_name() {
        let failures = [
            (Reply::Cut, Failure::Connect),
            (Reply::CutInBody, Failure::Connect),
            (Reply::Garbage, Failure::Garbage),
            (Reply::Stall, Failure::Timeout),
        ];
        for (reply, expected) in failures {
            match answer_to(reply).await {
                Answer::Failed(failure) => assert_eq!(failure, expected, "{reply:?}"),
                other => panic!("{reply:?}: {other:?}"),
            }
        }
        let carrier = HttpCarrier::with_timeouts(None, Duration::from_secs(2), Duration::from_secs(2)).unwrap();
        // Bound and dropped: nothing listens there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let answer = carrier.post(&call(format!("http://{free}/"), &[SECRET]), Bytes::new(), clock::now()).await;
        assert!(matches!(answer, Answer::Failed(Failure::Connect)), "{answer:?}");
        let supervisor = Supervisor::new();
        let plain = HttpDouble::start(&supervisor, |_, _| Reply::Status(204)).await;
        let answer = carrier.post(&call(plain.url().replace("http:", "https:"), &[SECRET]), Bytes::new(), clock::now()).await;
        assert!(matches!(answer, Answer::Failed(Failure::Tls | Failure::Connect | Failure::Timeout)), "{answer:?}");
    }

    #[tokio::test]
    async fn answers_are_told_as_they_are_and_redirects_are_not_followed() {
        let Answer::Http { status, retry_after, body, noted: _ } = answer_to(Reply::Status(200)).await else { panic!("no answer") };
        assert_eq!((status, retry_after, &body[..]), (200, None, &b"ok"[..]));
        let Answer::Http { status, retry_after, .. } = answer_to(Reply::RetryAfter(429, 7)).await else { panic!("no answer") };
        assert_eq!((status, retry_after), (429, Some(Duration::from_secs(7))));
        let Answer::Http { status, .. } = answer_to(Reply::Redirect).await else { panic!("no answer") };
        assert_eq!(status, 302);
    }

    #[tokio::test]
    async fn a_receiver_learns_nothing_but_the_call() {
        let supervisor = Supervisor::new();
        let receiver = HttpDouble::start(&supervisor, |_, _| Reply::Status(204)).await;
        let carrier = HttpCarrier::new(None).unwrap();
        carrier.post(&call(receiver.url(), &[SECRET, SECRET]), Bytes::from_static(b"{}"), Timestamp(1_614_265_330_000)).await;
        let taken = receiver.taken().remove(0);
        let mut names: Vec<&str> = taken.headers.keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected =
            ["accept", "content-length", "content-type", "host", "user-agent", "webhook-id", "webhook-signature", "webhook-timestamp"];
        assert_eq!(names, expected);
        assert_eq!((taken.headers["user-agent"].as_str(), taken.headers["webhook-timestamp"].as_str()), (USER_AGENT, "1614265330"));
        assert_eq!(taken.headers["webhook-signature"].split(' ').count(), 2, "one per key");
    }

    #[tokio::test]
    async fn every_destinations_calls_carry_the_headers_that_its_row_declares_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new();
        let carrier = HttpCarrier::new(None).unwrap();
        for row in DESTINATIONS {
            let secret = directory.path().join(row.name);
            std::fs::write(&secret, row.rehearsal.secret).unwrap();
            let settings = row.rehearsal.settings.replace("{secret}", &format!("file:{}", secret.display()));
            let receiver = HttpDouble::start(&supervisor, |_, _| Reply::Status(204)).await;
            let destination = (row.open)(
                &settings
                    .replace("{url}", &receiver.url())
                    .replace("{authority}", "127.0.0.1:9")
                    .replace("{broker}", "127.0.0.1:9")
                    .replace("{name}", "x")
                    .parse()
                    .unwrap(),
            )
            .unwrap();
            let parcel = destination.encode(&[&Disclosure::for_test(Offset(1), 1, Timestamp(0))]).remove(0);
            let Via::Http(call) = parcel.via else {
                // What is published has its own headers, which `prove` reads back.
                assert!(row.headers.is_empty() || !matches!(parcel.via, Via::File(_) | Via::Rows(_)), "{}: makes no calls", row.name);
                continue;
            };
            carrier.post(&HttpCall { url: receiver.url(), ..call }, parcel.body, Timestamp(1_614_265_330_000)).await;
            let taken = receiver.taken().remove(0);
            let mut names: Vec<String> = taken.headers.keys().cloned().collect();
            names.sort_unstable();
            let mut declared = [&CALL_HEADERS, row.headers].concat();
            declared.sort_unstable();
            assert_eq!(names, declared, "{}", row.name);
            if let Some(address) = taken.headers.get(crate::destination::ADDRESS_HEADER) {
                let address: std::net::Ipv6Addr = address.parse().expect("an address");
                assert_eq!(address.segments()[..2], [0x2001, 0xdb8], "{}: of the range for documentation", row.name);
            }
        }
    }

    /// But for an address that is nobody's, which `Likeness` alone can make.
    #[test]
    fn no_destination_declares_a_header_that_tells_of_a_visitor() {
        const OF_A_VISITOR: [&str; 13] = [
            "accept-language",
            "cf-connecting-ip",
            "client-ip",
            "cookie",
            "fastly-client-ip",
            "forwarded",
            "from",
            "origin",
            "referer",
            "traceparent",
            "true-client-ip",
            "via",
            "x-real-ip",
        ];
        for row in DESTINATIONS {
            assert!(row.headers.iter().all(|name| !OF_A_VISITOR.contains(name) && !name.starts_with("sec-")), "{}", row.name);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp(784_111_777_000);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO), "in the past");
        for text in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(text, now), None, "{text:?}");
        }
    }

    #[test]
    fn the_signature_is_that_of_the_specifications_libraries() {
        let key = WebhookKey::Shared(Secret::new(BASE64.decode(SECRET).unwrap()));
        let signature = standard_webhooks_signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn additional_roots_must_be_certificates() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("roots.pem");
        assert!(matches!(HttpCarrier::new(Some(&path)), Err(HttpCarrierError::RootsUnreadable(io::ErrorKind::NotFound))));
        std::fs::write(&path, "no certificates").unwrap();
        assert!(matches!(HttpCarrier::new(Some(&path)), Err(HttpCarrierError::RootsMalformed)));
    }

    #[tokio::test]
    #[ignore = "needs node and npm: run by tests/run"]
    async fn the_standard_webhooks_library_verifies_what_is_sent() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receivers/standard-webhooks");
        assert!(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--prefix", directory]).status().unwrap().success());
        let mut receiver = Command::new("node")
            .args([&format!("{directory}/receiver.mjs"), &format!("whsec_{SECRET}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(receiver.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let url = format!("http://127.0.0.1:{}/", port.trim());
        let body = Bytes::from_static(r#"{"type":"events.batch","timestamp":"","data":{"events":[{"page":"/käse"}]}}"#.as_bytes());
        let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let carrier = HttpCarrier::new(None).unwrap();
        let now = clock::now();
        let attempts = [
            ("our key", vec![SECRET], now, 204),
            ("the receiver still has the previous key", vec![other, SECRET], now, 204),
            ("another key", vec![other], now, 400),
            ("an old message played again", vec![SECRET], now.minus(Duration::from_secs(3600)), 400),
        ];
        for (what, keys, at, expected) in attempts {
            let Answer::Http { status, .. } = carrier.post(&call(url.clone(), &keys), body.clone(), at).await else { panic!("{what}") };
            assert_eq!(status, expected, "{what}");
        }
        drop(receiver.stdin.take());
        receiver.wait().unwrap();
    }
}
