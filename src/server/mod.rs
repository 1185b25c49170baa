//! From the socket to the line and back: accept loops, TLS, HTTP, limits, the client's address, the routes, the served snippet.
//!
//! ```text
//! listener ─► connection ─► router ─► Inbound ─► Pipeline::ingest
//!  (tls)    (stream, watch)   │  client_address, cors, rate_limit, request_body
//!                            └► snippet, opt_out, transparency: the server's own answers
//! ```
//! Before an `Inbound` exists, nothing here reads more of a request than method, address, Host, Origin and the headers that describe and
//! negotiate content; and, in `client_address` alone, those that name the client.

pub mod certificate_dates;
pub mod client_address;
mod connection;
mod cors;
pub mod development_certificate;
mod limits;
mod listener;
mod looks;
mod lookup;
mod metrics;
mod opt_out;
mod own_data;
mod rate_limit;
mod reply;
mod request_body;
mod router;
mod routes;
mod snippet;
mod sockets;
mod stream;
mod ticket;
pub mod tls;
mod transparency;
mod watch;

use std::{io, net::SocketAddr, sync::Arc};

use http::HeaderName;
use ipnet::IpNet;

use self::{client_address::ClientAddresses, lookup::Lookups, rate_limit::RateLimiter, router::Router, tls::Tls};
pub use self::{
    client_address::Peer,
    limits::{BODY_BYTES, CONNECTIONS},
    listener::Listener,
    looks::Looks,
    metrics::ServerMetrics,
    own_data::{MailedLink, OwnData},
    rate_limit::{Meter, Rate, RateLimits, RetryAfter},
    reply::{ReplyBody, respond},
    request_body::{BodyError, collect, decompress},
    router::{Pages, SignFor},
    sockets::{ListeningSocket, Role, Sockets},
};
use crate::{pipeline::Pipeline, profile::Profiles, supervise::Supervisor};

/// What the public server is told.
pub struct ServerSettings {
    /// Where to listen for plain HTTP (behind a proxy, or on loopback).
    pub plain: Vec<SocketAddr>,
    /// Where to listen for TLS; needs `tls`.
    pub encrypted: Vec<SocketAddr>,
    /// The certificate, opened.
    pub tls: Option<Arc<Tls>>,
    /// The networks whose proxies are believed when they name the client.
    pub trusted_proxies: Vec<IpNet>,
    /// A header in which they name it alone (`cf-connecting-ip`); else `X-Forwarded-For`.
    pub client_address_header: Option<HeaderName>,
    /// What a site owner may limit.
    pub limits: Limits,
    /// Pages beside the sites' prefixes: the demonstration's.
    pub pages: Option<Pages>,
    /// Where the listening sockets come from.
    pub sockets: Arc<Sockets>,
}

/// The limits that a site owner may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at a time, per listener.
    pub connections: usize,
    /// Events per time.
    pub rates: RateLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS, rates: RateLimits::default() }
    }
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {reason}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// The system's reason.
        reason: io::Error,
    },
    /// A TLS address without a certificate.
    #[error("there is no certificate for the TLS address {address}")]
    NoCertificate {
        /// Which.
        address: SocketAddr,
    },
}

/// An address that is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// Host and port; the port that the kernel chose, where it was asked to.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// The public server, bound and not yet accepting.
pub struct Server {
    settings: ServerSettings,
    listeners: Vec<Listener>,
    addresses: Vec<LocalAddress>,
    metrics: Arc<ServerMetrics>,
    looks: Arc<Looks>,
}

impl Server {
    /// Binds all addresses, those excepted whose sockets are taken over.
    ///
    /// # Errors
    /// When one cannot be bound, or is for TLS and there is no certificate.
    pub async fn bind(settings: ServerSettings) -> Result<Self, BindError> {
        let metrics = Arc::new(ServerMetrics::default());
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        let wanted =
            settings.plain.iter().map(|address| (*address, false)).chain(settings.encrypted.iter().map(|address| (*address, true)));
        for (address, over_tls) in wanted {
            let tls = over_tls.then(|| settings.tls.clone().ok_or(BindError::NoCertificate { address })).transpose()?;
            let role = if over_tls { Role::Encrypted } else { Role::Plain };
            let bound = Listener::bind((&settings.sockets, role), address, tls, settings.limits.connections, Arc::clone(&metrics)).await;
            let (listener, local) = bound.map_err(|reason| BindError::Address { address, reason })?;
            listeners.push(listener);
            addresses.push(LocalAddress { address: local, tls: over_tls });
        }
        Ok(Self { settings, listeners, addresses, metrics, looks: Arc::default() })
    }

    /// The addresses that are listened on, plain ones first.
    #[must_use]
    pub fn local_addresses(&self) -> &[LocalAddress] {
        &self.addresses
    }

    /// What the server counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<ServerMetrics> {
        Arc::clone(&self.metrics)
    }

    /// The looks from outside that the admin listener opens.
    #[must_use]
    pub fn looks(&self) -> Arc<Looks> {
        Arc::clone(&self.looks)
    }

    /// The TLS of the encrypted listeners.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.settings.tls.clone()
    }

    /// Starts to accept, in tasks of the supervisor. At the stop signal they drain and end.
    pub fn run(self, supervisor: &Supervisor, pipeline: Arc<Pipeline>, profiles: Arc<Profiles>, own_data: Option<Arc<OwnData>>) {
        let Self { settings, listeners, metrics, looks, .. } = self;
        let addresses = ClientAddresses::new(&settings.trusted_proxies, settings.client_address_header);
        let limiter = RateLimiter::new(&settings.limits.rates);
        let router = Arc::new(Router::new(
            pipeline,
            addresses,
            limiter,
            settings.pages,
            (metrics, looks),
            (Lookups::new(profiles, supervisor.clone()), own_data),
        ));
        for listener in listeners {
            let router = Arc::clone(&router);
            let answer = move |request, peer| Arc::clone(&router).answer(request, peer);
            supervisor.spawn_on_line("listener", listener.run(supervisor.clone(), answer));
        }
        if let Some(tls) = settings.tls {
            supervisor.spawn("certificate files", tls.watch_files(supervisor.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
