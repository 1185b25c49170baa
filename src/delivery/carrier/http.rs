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
    destination::{Answer, Failure, HttpCall, Signing},
};

/// A receiver that does not even take the connection within this time is taken for unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte out to the last byte in. Standard Webhooks asks for 15 to 30 s.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// What a destination may look at of an answer; the rest is not read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Idle connections kept per receiver: one per lane.
const IDLE_CONNECTIONS_MAX: usize = crate::delivery::LANES;
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

    fn with_timeouts(additional_roots: Option<&Path>, connect: Duration, total: Duration) -> Result<Self, HttpCarrierError> {
        let roots = additional_roots.map_or_else(|| Ok(Vec::new()), read_roots)?;
        let client = match builder(connect, total).tls_certs_merge(roots).build() {
            Ok(client) => client,
            Err(_) => {
                // A machine without any certificate authority can still deliver to files and to loopback.
                tracing::warn!("this machine has no certificate authorities: destinations over https will fail until it has");
                builder(connect, total).tls_certs_only([]).build().map_err(|_| HttpCarrierError::Client)?
            }
        };
        Ok(Self { client })
    }

    /// Makes one attempt. The error of a failed one is classified and dropped: a library's message could quote an address or a body.
    pub async fn post(&self, call: &HttpCall, body: Bytes, now: Timestamp) -> Answer {
        let mut headers: HeaderMap = call.headers.iter().cloned().collect();
        if let Some(signing) = &call.signing {
            headers.extend(signature_headers(signing, &body, now));
        }
        match self.exchange(&call.url, headers, body, now).await {
            Ok(answer) => answer,
            Err(error) => Answer::Failed(failure_of(&error)),
        }
    }

    async fn exchange(&self, url: &str, headers: HeaderMap, body: Bytes, now: Timestamp) -> reqwest::Result<Answer> {
        let mut response = self.client.post(url).headers(headers).body(body).send().await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
        let mut start = BytesMut::new();
        while start.len() < ANSWER_BYTES_MAX
            && let Some(chunk) = response.chunk().await?
        {
            start.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - start.len())]);
        }
        Ok(Answer::Http { status, retry_after, body: start.freeze() })
    }
}

fn builder(connect: Duration, total: Duration) -> reqwest::ClientBuilder {
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

fn read_roots(path: &Path) -> Result<Vec<reqwest::Certificate>, HttpCarrierError> {
    let pem = std::fs::read(path).map_err(|error| HttpCarrierError::RootsUnreadable(error.kind()))?;
    let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| HttpCarrierError::RootsMalformed)?;
    if roots.is_empty() { Err(HttpCarrierError::RootsMalformed) } else { Ok(roots) }
}

/// Why there was no answer, from the kinds of the errors alone.
fn failure_of(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Timeout;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        // An io::Error hides the error that it carries from `source`.
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<rustls::Error>() || carried.is_some_and(|carried| carried.is::<rustls::Error>()) {
            return Failure::Tls;
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return Failure::Garbage;
        }
        cause = error.source();
    }
    Failure::Connect
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

fn signature_headers(signing: &Signing, body: &[u8], now: Timestamp) -> HeaderMap {
    let Signing::StandardWebhooks { message_id, keys } = signing;
    let seconds = now.seconds().to_string();
    let signatures: Vec<String> = keys.iter().map(|key| standard_webhooks_signature(key, message_id, &seconds, body)).collect();
    let said = [(WEBHOOK_ID, message_id.clone()), (WEBHOOK_TIMESTAMP, seconds), (WEBHOOK_SIGNATURE, signatures.join(" "))];
    said.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))).collect()
}

/// Standard Webhooks 1.0.0: `v1,` and the base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`.
fn standard_webhooks_signature(key: &Secret, message_id: &str, seconds: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).expect("HMAC takes keys of any length");
    mac.update(message_id.as_bytes());
    mac.update(b".");
    mac.update(seconds.as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}
