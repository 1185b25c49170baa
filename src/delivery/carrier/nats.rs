//! The NATS carrier: one message per parcel, over one connection per destination, which all its lanes share. What a stream says to a message
//! is the answer. Nothing waits here for a connection that is away: each attempt has its end, and the lane that makes it decides what is next.
//!
//! Another machine is spoken to over TLS alone, and its certificate has to be one that this machine trusts.

use std::{
    error::Error as _,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Request, RequestErrorKind, ServerError,
    client::PublishErrorKind,
};
use bytes::Bytes;
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::destination::{
    Answer, Failure,
    nats::MESSAGE_ID,
    publication::{Login, MessageServer, Publication, PublishAnswer},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one attempt with all that belongs to it, as for a call over HTTP.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// A server that is silent for two of these is gone.
const PING: Duration = Duration::from_secs(20);
/// Messages on their way into the connection: each lane has one.
const CAPACITY: usize = crate::delivery::LANES_OF_SMALL_PARCELS;
/// The library counts the first connection as one, and needs a bound above zero. When a connection is lost it may so make one more, which nobody
/// uses any more: the next attempt has its own.
const CONNECTIONS_MADE_MAX: usize = 1;
/// How the server's complaints about permissions begin.
const NOT_PERMITTED: &str = "Permissions Violation";

/// Publishes.
pub struct NatsCarrier {
    tls: Option<ClientConfig>,
    /// One for each destination that has published. Those of destinations that are no more are closed.
    slots: Mutex<Vec<Slot>>,
}

/// Where a destination's connection is.
struct Slot {
    server: Arc<MessageServer>,
    line: Arc<tokio::sync::Mutex<Option<Arc<Line>>>>,
}

/// A connection.
struct Line {
    client: Client,
    /// The connection is lost.
    gone: CancellationToken,
    /// It is open, and not to be used again.
    worn: AtomicBool,
    /// The server's last complaint about what we may do.
    complaint: watch::Receiver<String>,
}

/// Why there was no connection. It carries no message of the library: that could quote an address or a secret.
enum Refused {
    Failed(Failure),
    NotLetIn,
}

/// What a stream says.
#[derive(Deserialize)]
#[serde(untagged)]
enum StreamSaid {
    Refused { error: StreamError },
    Kept { stream: String, seq: u64 },
}

#[derive(Deserialize)]
struct StreamError {
    code: u16,
    #[serde(default)]
    err_code: u16,
}

impl NatsCarrier {
    /// A carrier that trusts what this machine trusts. Where it trusts nobody, only servers on this machine can be reached.
    #[must_use]
    pub fn new() -> Self {
        Self { tls: ClientConfig::with_platform_verifier().ok(), slots: Mutex::default() }
    }

    /// Makes one attempt.
    pub async fn publish(&self, publication: &Publication, body: Bytes) -> Answer {
        match tokio::time::timeout(TOTAL_TIMEOUT, self.attempt(publication, body)).await {
            Err(_) => {
                self.wear(&publication.server);
                Answer::Failed(Failure::Timeout)
            }
            Ok(Err(Refused::Failed(failure))) => Answer::Failed(failure),
            Ok(Err(Refused::NotLetIn)) => Answer::Publish(PublishAnswer::NotLetIn),
            Ok(Ok(said)) => Answer::Publish(said),
        }
    }

    async fn attempt(&self, publication: &Publication, body: Bytes) -> Result<PublishAnswer, Refused> {
        let line = self.line(&publication.server).await?;
        let mut complaint = line.complaint.clone();
        let said = tokio::select! {
            biased;
            said = line.publish(publication, body) => said,
            () = line.gone.cancelled() => return Err(Refused::Failed(Failure::Connect)),
            Ok(_) = complaint.wait_for(|complaint| concerns(complaint, &publication.subject)) => Ok(PublishAnswer::NotPermitted),
        };
        if matches!(said, Ok(PublishAnswer::NotPermitted)) {
            // What was forbidden at its beginning stays so for this connection, whatever the owner changes.
            line.worn.store(true, Ordering::Relaxed);
        }
        said
    }

    /// The destination's connection, made where there is none. Lanes wait for each other here, so that there is one.
    async fn line(&self, server: &Arc<MessageServer>) -> Result<Arc<Line>, Refused> {
        let slot = self.slot(server);
        let mut kept = slot.lock().await;
        if let Some(line) = kept.as_ref().filter(|line| line.is_usable()) {
            return Ok(Arc::clone(line));
        }
        *kept = None;
        let line = Arc::new(self.connect(server).await?);
        *kept = Some(Arc::clone(&line));
        Ok(line)
    }

    fn slot(&self, server: &Arc<MessageServer>) -> Arc<tokio::sync::Mutex<Option<Arc<Line>>>> {
        let mut slots = self.slots();
        // The last one who knows it is this table.
        slots.retain(|slot| Arc::strong_count(&slot.server) > 1);
        if let Some(slot) = slots.iter().find(|slot| Arc::ptr_eq(&slot.server, server)) {
            return Arc::clone(&slot.line);
        }
        let line = Arc::default();
        slots.push(Slot { server: Arc::clone(server), line: Arc::clone(&line) });
        line
    }

    /// A panic while it is held leaves a table that is whole.
    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection on which an answer did not come is not used again: the library would keep the question for ever.
    fn wear(&self, server: &Arc<MessageServer>) {
        let slot = self.slot(server);
        // Who holds it makes a new one.
        if let Ok(kept) = slot.try_lock()
            && let Some(line) = kept.as_ref()
        {
            line.worn.store(true, Ordering::Relaxed);
        }
    }

    async fn connect(&self, server: &MessageServer) -> Result<Line, Refused> {
        let gone = CancellationToken::new();
        let (complain, complaint) = watch::channel(String::new());
        let (lost, complain) = (gone.clone(), Arc::new(complain));
        let options = ConnectOptions::new()
            .name("firsthand")
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(None)
            .ping_interval(PING)
            .client_capacity(CAPACITY)
            .max_reconnects(CONNECTIONS_MADE_MAX)
            .ignore_discovered_servers()
            .require_tls(server.encrypted)
            .event_callback(move |event| {
                let (lost, complain) = (lost.clone(), Arc::clone(&complain));
                async move {
                    match event {
                        Event::Disconnected | Event::Closed => lost.cancel(),
                        Event::ServerError(ServerError::Other(said)) if said.starts_with(NOT_PERMITTED) => drop(complain.send(said)),
                        _ => {}
                    }
                }
            });
        let options = match &self.tls {
            Some(tls) => options.tls_client_config(tls.clone()),
            None if server.encrypted => return Err(Refused::Failed(Failure::Tls)),
            None => options,
        };
        let options = logged_in(options, &server.login).ok_or(Refused::NotLetIn)?;
        let scheme = if server.encrypted { "tls" } else { "nats" };
        let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
        let client = options.connect(format!("{scheme}://{host}:{}", server.port)).await.map_err(|error| refused(&error))?;
        Ok(Line { client, gone, worn: AtomicBool::new(false), complaint })
    }
}

impl Default for NatsCarrier {
    fn default() -> Self {
        Self::new()
    }
}

/// The options with what the server knows us by. `None`: it is none.
fn logged_in(options: ConnectOptions, login: &Login) -> Option<ConnectOptions> {
    let text = |secret: &crate::config::secret::Secret| std::str::from_utf8(secret.bytes()).ok().map(str::to_owned);
    Some(match login {
        Login::Open => options,
        Login::Password { user, password } => options.user_and_password(user.clone(), text(password)?),
        Login::Token(token) => options.token(text(token)?),
        Login::Key(seed) => options.nkey(text(seed)?),
        // A secret is read without its last newline, and the library wants one behind the last line.
        Login::Credentials(credentials) => options.credentials(&(text(credentials)? + "\n")).ok()?,
    })
}

/// Whether the server complains about this subject, or about the one that answers come to.
fn concerns(complaint: &str, subject: &str) -> bool {
    complaint.contains(&format!("\"{subject}\"")) || complaint.contains("Subscription")
}

impl Line {
    fn is_usable(&self) -> bool {
        !self.gone.is_cancelled() && !self.worn.load(Ordering::Relaxed)
    }

    async fn publish(&self, publication: &Publication, body: Bytes) -> Result<PublishAnswer, Refused> {
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, publication.message_id.as_str());
        let subject = publication.subject.clone();
        if publication.to_stream {
            let request = Request::new().headers(headers).payload(body);
            return match self.client.send_request(subject, request).await {
                Ok(message) => said(&message.payload),
                Err(error) => match error.kind() {
                    RequestErrorKind::NoResponders => Ok(PublishAnswer::NoStream),
                    RequestErrorKind::MaxPayloadExceeded => Ok(PublishAnswer::TooLarge),
                    _ => Err(Refused::Failed(Failure::Connect)),
                },
            };
        }
        if let Err(error) = self.client.publish_with_headers(subject, headers, body).await {
            return match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => Ok(PublishAnswer::TooLarge),
                _ => Err(Refused::Failed(Failure::Connect)),
            };
        }
        self.client.flush().await.map_err(|_| Refused::Failed(Failure::Connect))?;
        Ok(PublishAnswer::Sent)
    }
}

/// What a stream says. Anybody who listens to the subject can answer: what is no stream's answer proves nothing.
fn said(answer: &[u8]) -> Result<PublishAnswer, Refused> {
    match serde_json::from_slice(answer) {
        Ok(StreamSaid::Kept { stream, seq }) if !stream.is_empty() && seq > 0 => Ok(PublishAnswer::Kept),
        Ok(StreamSaid::Refused { error }) => Ok(PublishAnswer::Refused { status: error.code, code: error.err_code }),
        _ => Err(Refused::Failed(Failure::Garbage)),
    }
}

fn refused(error: &ConnectError) -> Refused {
    Refused::Failed(match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => return Refused::NotLetIn,
        ConnectErrorKind::TimedOut => Failure::Timeout,
        ConnectErrorKind::Tls => Failure::Tls,
        ConnectErrorKind::Io => {
            let mut cause = error.source();
            while let Some(one) = cause {
                if let Some(said) = one.downcast_ref::<ServerError>() {
                    return refused_by(said);
                }
                let wrapped = one.downcast_ref::<io::Error>();
                if one.is::<rustls::Error>() || wrapped.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>()) {
                    return Refused::Failed(Failure::Tls);
                }
                if wrapped.is_some_and(|error| error.kind() == io::ErrorKind::InvalidInput) {
                    return Refused::Failed(Failure::Garbage);
                }
                cause = one.source();
            }
            Failure::Connect
        }
        _ => Failure::Connect,
    })
}

/// What else a server says instead of letting us in: that it is full; or in other words, that it does not know us (any more).
fn refused_by(said: &ServerError) -> Refused {
    let is_about_us = said.to_string().to_ascii_lowercase().contains("auth");
    if is_about_us { Refused::NotLetIn } else { Refused::Failed(Failure::Connect) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stream_says_that_a_message_is_kept() {
        let told = |text: &str| said(text.as_bytes()).map_err(|_| ());
        assert_eq!(told(r#"{"stream":"EVENTS","seq":7}"#), Ok(PublishAnswer::Kept));
        assert_eq!(told(r#"{"stream":"EVENTS","seq":7,"duplicate":true}"#), Ok(PublishAnswer::Kept));
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"EVENTS","seq":0}"#;
        assert_eq!(told(full), Ok(PublishAnswer::Refused { status: 503, code: 10077 }));
        for other in ["", "ok", "{}", r#"{"stream":"","seq":1}"#, r#"{"stream":"EVENTS","seq":0}"#, r#"{"stream":"EVENTS"}"#, "null"] {
            assert_eq!(told(other), Err(()), "{other}");
        }
    }

    #[test]
    fn a_complaint_concerns_its_own_subject_or_the_way_back() {
        let publish = r#"Permissions Violation for Publish to "firsthand.shop.page_view""#;
        assert!(concerns(publish, "firsthand.shop.page_view") && !concerns(publish, "firsthand.shop.page"));
        assert!(concerns(r#"Permissions Violation for Subscription to "_INBOX.x.*""#, "firsthand.shop.page"));
        assert!(!concerns("", "a"));
    }
}
