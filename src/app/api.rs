//! Wires the profile API's listener for other machines: its certificate, and the networks that it answers to. The admin listener keeps the API for this one.

use std::{io, net::SocketAddr, sync::Arc};

use http::Request;
use hyper::body::Incoming;
use ipnet::IpNet;

use super::StartError;
use crate::{
    api::{Api, Caller},
    config::{Config, TlsFiles},
    server::{
        BindError, Listener, Peer, Role, ServerMetrics, Sockets,
        tls::{CertificateFiles, Tls},
    },
    supervise::Supervisor,
};

/// Connections to it: each of a shop's systems keeps a few. Strangers that fill it take nothing from beacons or from the admin listener.
const CONNECTIONS: usize = 256;

/// The listener, bound.
pub(super) struct Remote {
    listener: Listener,
    /// Where it is.
    pub(super) at: ApiAddress,
    /// A certificate of its own, which is looked at for changes.
    own: Option<Arc<Tls>>,
    from: Arc<[IpNet]>,
}

/// Where the profile API is reached by other machines.
#[derive(Clone, Copy, Debug)]
pub struct ApiAddress {
    /// The address.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// Whether its certificate can be used.
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    own_certificate(config).map(drop)
}

fn own_certificate(config: &Config) -> Result<Option<Arc<Tls>>, StartError> {
    let files = config.api.as_ref().and_then(|api| api.tls.as_ref());
    let open = |files: &TlsFiles| Tls::open(CertificateFiles { certificate: files.certificate.clone(), key: files.key.clone() });
    Ok(files.map(open).transpose()?)
}

/// Binds it, where the configuration has one. `of_all` is the certificate of `[tls]`.
pub(super) async fn bind(config: &Config, of_all: Option<&Arc<Tls>>, sockets: &Arc<Sockets>) -> Result<Option<Remote>, StartError> {
    let Some(api) = &config.api else { return Ok(None) };
    let own = own_certificate(config)?;
    let failed = |reason: io::Error| BindError::Address { address: api.listen, reason };
    let tls = own.clone().or_else(|| of_all.cloned());
    if tls.is_none() && !api.listen.ip().is_loopback() {
        // The configuration says so before; whoever starts this without one hears it here.
        return Err(failed(io::Error::other("beyond this machine it speaks TLS alone")).into());
    }
    let speaks_tls = tls.is_some();
    let listener = Listener::bind((sockets, Role::Api), api.listen, tls, CONNECTIONS, Arc::new(ServerMetrics::default())).await;
    let (listener, address) = listener.map_err(failed)?;
    Ok(Some(Remote { listener, at: ApiAddress { address, tls: speaks_tls }, own, from: api.from.clone().into() }))
}

impl Remote {
    /// Answers until the stop signal.
    pub(super) fn run(self, api: &Arc<Api>, supervisor: &Supervisor) {
        if let Some(own) = self.own {
            supervisor.spawn("certificate files of the API", own.watch_files(supervisor.clone()));
        }
        let (api, from) = (Arc::clone(api), self.from);
        // On loopback without a list, every program of this machine may ask; its key says what.
        let all = self.at.address.ip().is_loopback() && from.is_empty();
        let listener = if all { self.listener } else { self.listener.only_from(Arc::clone(&from)) };
        let answer = move |request: Request<Incoming>, peer: Peer| {
            let (api, known) = (Arc::clone(&api), all || peer.is_of(&from));
            async move { api.handle(request, if known { Caller::OfItsNetworks } else { Caller::Elsewhere }).await }
        };
        supervisor.spawn("api listener", listener.run(supervisor.clone(), answer));
    }
}
