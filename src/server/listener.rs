//! A listening socket: it accepts within its limit, serves each connection in a task, and at shutdown waits for what is under way.
//! The same for beacons and for the admin pages: it knows a function from request to answer, and nothing of either.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    client_address::Peer,
    connection::{Http, Version, version_of},
    limits,
    metrics::ServerMetrics,
    reply::ReplyBody,
    sockets::{Role, Sockets},
    tls::Tls,
    watch::{Connections, Membership, Order},
};
use crate::supervise::Supervisor;

/// A socket that is bound and does not accept yet.
pub struct Listener {
    socket: TcpListener,
    sockets: Arc<Sockets>,
    tls: Option<Arc<Tls>>,
    connections: usize,
    metrics: Arc<ServerMetrics>,
    role: Role,
    only_from: Option<Arc<[IpNet]>>,
}

impl Listener {
    /// Binds a socket, or takes over the one that the process before had for this role and address; port 0 lets the kernel choose one. With `tls` it speaks nothing but TLS. At most `connections` are open at a time.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn bind(
        (sockets, role): (&Arc<Sockets>, Role),
        address: SocketAddr,
        tls: Option<Arc<Tls>>,
        connections: usize,
        metrics: Arc<ServerMetrics>,
    ) -> io::Result<(Self, SocketAddr)> {
        let socket = sockets.listen(role, address).await?;
        let local = socket.local_addr()?;
        Ok((Self { socket, sockets: Arc::clone(sockets), tls, connections: connections.max(1), metrics, role, only_from: None }, local))
    }

    /// Takes connections from these networks alone: another one is closed before a byte of it is read, and has no place among those that are open.
    #[must_use]
    pub fn only_from(self, networks: Arc<[IpNet]>) -> Self {
        Self { only_from: Some(networks), ..self }
    }

    /// Accepts and serves until the stop signal, then waits a bounded time for the requests under way.
    pub async fn run<S, F>(self, supervisor: Supervisor, service: S)
    where
        S: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Response<ReplyBody>> + Send + 'static,
    {
        let stop = supervisor.stop_signal();
        let connections = Arc::new(Connections::default());
        let permits = Arc::new(Semaphore::new(self.connections));
        let crowd = self.connections * limits::CROWDED / 100;
        let shared = Arc::new(Shared { tls: self.tls, metrics: self.metrics, http: Http::new(&supervisor, self.role), service });
        let mut sweeps = interval(limits::SWEEP);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);

        {
            // Inside, the socket is borrowed; after it, the socket is closed.
            let only_from = self.only_from.as_deref();
            let mut next = pin!(accept(&self.socket, only_from, &permits, &shared.metrics));
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    _ = sweeps.tick() => {
                        let ended = connections.sweep(Instant::now(), connections.count() > crowd);
                        shared.metrics.connections_timed_out.add(ended);
                    }
                    (stream, address, permit) = &mut next => {
                        next.set(accept(&self.socket, only_from, &permits, &shared.metrics));
                        let member = connections.join();
                        supervisor.spawn_short(Arc::clone(&shared).connection(stream, address, member, permit));
                    }
                }
            }
        }

        // From here on the kernel refuses new connections, and a proxy in front turns to another instance; or lets them wait for the next
        // process.
        self.sockets.let_go();
        drop(self.socket);
        if self.sockets.stay_open() {
            sleep(limits::FIRST_REQUEST).await;
        }
        connections.order_all(Order::Finish);
        let drained = async {
            while connections.count() > 0 {
                sleep(limits::DRAIN_SWEEP).await;
            }
        };
        if timeout(limits::DRAIN, drained).await.is_err() {
            tracing::warn!(connections = connections.count(), "connections were still busy at the end of the drain and are cut");
            connections.order_all(Order::End);
        }
    }
}

/// The next connection, with its permit. Without a free permit, clients wait in the kernel's queue.
async fn accept(
    socket: &TcpListener,
    only_from: Option<&[IpNet]>,
    permits: &Arc<Semaphore>,
    metrics: &ServerMetrics,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let permit = match Arc::clone(permits).try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => {
            metrics.connections_at_limit.add(1);
            Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed")
        }
    };
    let mut reported = false;
    loop {
        match socket.accept().await {
            Ok((stream, address)) if only_from.is_none_or(|networks| Peer::new(address, false).is_of(networks)) => {
                return (stream, address, permit);
            }
            // Of another network: it is closed here, and the permit is the next one's.
            Ok(_) => {}
            // The client was gone before it was accepted: nothing to wait for.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(_) => {
                metrics.accept_errors.add(1);
                if !reported {
                    reported = true;
                    tracing::warn!("the kernel hands out no connections (too many open files, or no memory); trying again");
                }
                sleep(limits::ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// What all connections of a listener share.
struct Shared<S> {
    tls: Option<Arc<Tls>>,
    metrics: Arc<ServerMetrics>,
    http: Http,
    service: S,
}

impl<S, F> Shared<S>
where
    S: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    async fn connection(self: Arc<Self>, stream: TcpStream, address: SocketAddr, member: Membership, permit: OwnedSemaphorePermit) {
        let _open = self.metrics.connection_opened();
        self.converse(stream, address, &member).await;
        drop(permit);
    }

    async fn converse(&self, stream: TcpStream, address: SocketAddr, member: &Membership) {
        // An answer is one small packet: waiting to fill a larger one would only delay it. A failure means the connection is gone.
        let _ = stream.set_nodelay(true);
        let peer = Peer::new(address, self.tls.is_some());
        let Some(tls) = &self.tls else {
            match member.watch.unless_ordered(version_of(&stream)).await {
                Some(Some(version)) => self.http.serve(version, stream, peer, &member.watch, &self.service).await,
                Some(None) => self.metrics.connections_timed_out.add(1),
                None => {}
            }
            return;
        };
        let handshake = timeout(limits::TLS_HANDSHAKE, tls.accept(stream));
        match member.watch.unless_ordered(Box::pin(handshake)).await {
            Some(Ok(Ok(stream))) => {
                let version = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Version::Http2,
                    _ => Version::Http1,
                };
                self.http.serve(version, stream, peer, &member.watch, &self.service).await;
            }
            Some(Ok(Err(_)) | Err(_)) => self.metrics.handshake_failures.add(1),
            None => {}
        }
    }
}
