//! What `doctor` asks of a deployment from outside: its page, its paths, its receivers. By the carrier's own client (no redirect, no cookie, no proxy), with bounds
//! of its own. No event is in any of it.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};

use super::http::{HttpCarrierError, builder, client, failure_of, read_roots, tls_error};
use crate::{
    clock::{self, Timestamp},
    destination::Failure,
};

/// A person waits in front of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte out to the last byte in.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of an answer. Pages that people wait for are a tenth of this.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// Looks at addresses from outside.
pub struct Looking {
    client: reqwest::Client,
}

/// What came back.
pub struct Seen {
    /// The status code.
    pub status: u16,
    /// The version of HTTP: 1 or 2.
    pub http: u8,
    /// The version of TLS, where there was one.
    pub tls: Option<&'static str>,
    /// The certificate that was shown, DER.
    pub certificate: Option<Bytes>,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// The first 2 MiB of the body.
    pub body: Bytes,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When its head was there.
    pub answered: Timestamp,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// The name leads nowhere.
    NoAddress,
    /// What is there cannot be used: refused, silent, cut, or no HTTP.
    Failed(Failure),
    /// The certificate is not to be trusted.
    Untrusted(Untrusted),
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untrusted {
    /// It has ended.
    Ended,
    /// It has not begun.
    NotYet,
    /// It is another name's.
    OtherName,
    /// It leads to no authority that is trusted here: one in between is missing, or the authority is nobody's.
    Authority,
    /// Something else.
    Other,
}

impl Looking {
    /// Trusts the machine's certificate authorities, and those of a PEM file. `from`: the address of this machine that it asks from; `instead`: where
    /// these names lead to, whatever the name service says.
    ///
    /// # Errors
    /// When that file is not one, or the client cannot be made.
    pub fn new(
        additional_roots: Option<&Path>,
        from: Option<IpAddr>,
        instead: Option<(&[String], SocketAddr)>,
    ) -> Result<Self, HttpCarrierError> {
        let roots = additional_roots.map_or_else(|| Ok(Vec::new()), read_roots)?;
        let named = || {
            let builder = builder(CONNECT_TIMEOUT, TOTAL_TIMEOUT).tls_info(true).local_address(from);
            let (names, address) = instead.unwrap_or((&[], SocketAddr::from(([0, 0, 0, 0], 0))));
            names.iter().fold(builder, |builder, name| builder.resolve(name, address))
        };
        Ok(Self { client: client(named, roots)? })
    }

    /// Asks once.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(&self, method: Method, url: &str, headers: HeaderMap) -> Result<Seen, Unseen> {
        let asked = clock::now();
        self.exchange(method, url, headers, asked).await.map_err(|error| unseen(&error))
    }

    async fn exchange(&self, method: Method, url: &str, headers: HeaderMap, asked: Timestamp) -> reqwest::Result<Seen> {
        let mut response = self.client.request(method, url).headers(headers).send().await?;
        let answered = clock::now();
        let tls = response.extensions().get::<reqwest::tls::TlsInfo>();
        let (version, certificate) = (tls.and_then(reqwest::tls::TlsInfo::version), tls.and_then(|tls| tls.peer_certificate()));
        let (tls, certificate) = (version.and_then(name), certificate.map(Bytes::copy_from_slice));
        let http = if response.version() >= http::Version::HTTP_2 { 2 } else { 1 };
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        while body.len() < BYTES_MAX
            && let Some(chunk) = response.chunk().await?
        {
            body.extend_from_slice(&chunk[..chunk.len().min(BYTES_MAX - body.len())]);
        }
        Ok(Seen { status, http, tls, certificate, headers, body: body.freeze(), asked, answered })
    }
}

fn name(version: reqwest::tls::Version) -> Option<&'static str> {
    match version {
        reqwest::tls::Version::TLS_1_2 => Some("TLS 1.2"),
        reqwest::tls::Version::TLS_1_3 => Some("TLS 1.3"),
        _ => None,
    }
}

/// From the kinds of the errors alone.
fn unseen(error: &reqwest::Error) -> Unseen {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(reason)) => Unseen::Untrusted(match reason {
            Expired | ExpiredContext { .. } => Untrusted::Ended,
            NotValidYet | NotValidYetContext { .. } => Untrusted::NotYet,
            NotValidForName | NotValidForNameContext { .. } => Untrusted::OtherName,
            UnknownIssuer => Untrusted::Authority,
            _ => Untrusted::Other,
        }),
        _ if error.is_dns() => Unseen::NoAddress,
        _ => Unseen::Failed(failure_of(error)),
    }
}
