//! One connection, from its first byte to its end: the choice of HTTP/1.1 or HTTP/2, and hyper with our bounds.

use std::{convert::Infallible, future::Future, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use http::{Request, Response, header};
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    client_address::Peer,
    limits,
    reply::ReplyBody,
    sockets::Role,
    stream::Stream,
    watch::{Order, Watch},
};
use crate::supervise::Supervisor;

/// What HTTP/2 without TLS begins with ("prior knowledge", RFC 9113 §3.3). No method of HTTP/1.1 does.
const HTTP2_PREFACE_START: &[u8] = b"PRI ";

/// The version that a connection talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Tells from the first bytes of a plain connection what it talks, without taking them. `None`: nothing came in time.
pub(super) async fn version_of(stream: &TcpStream) -> Option<Version> {
    let looked = async {
        loop {
            let mut start = [0; HTTP2_PREFACE_START.len()];
            let seen = stream.peek(&mut start).await.ok()?;
            match &start[..seen] {
                [] => return None,
                all if all == HTTP2_PREFACE_START => return Some(Version::Http2),
                some if HTTP2_PREFACE_START.starts_with(some) => sleep(limits::FIRST_BYTES_PAUSE).await,
                _ => return Some(Version::Http1),
            }
        }
    };
    timeout(limits::FIRST_BYTES, looked).await.ok().flatten()
}

/// How the connections of one listener are served.
pub(super) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

impl Http {
    pub(super) fn new(supervisor: &Supervisor, role: Role) -> Self {
        let mut http1 = http1::Builder::new();
        // The head's time is watched by the sweep (see `watch`).
        http1.header_read_timeout(None).max_header_size(limits::HEAD_BYTES).max_buf_size(limits::READ_BUFFER_BYTES);
        // While an event becomes durable, nobody looks whether its sender is still there: it is recorded, counted and answered in any case. To
        // look is to read, and to read needs a second buffer for every request, since its own still holds it. Live pages, which are all that
        // stays open for long, are the admin listener's: they end with their watcher.
        http1.half_close(role != Role::Admin);
        // An answer is one piece, and mostly a head without a body: the kernel takes one piece cheaper than a list of one.
        http1.writev(false);
        let mut http2 = http2::Builder::new(Streams(supervisor.clone()));
        http2
            .max_concurrent_streams(limits::HTTP2_STREAMS)
            .max_header_list_size(limits::HEAD_BYTES as u32)
            .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW)
            .max_send_buf_size(limits::HTTP2_SEND_BUFFER_BYTES)
            .max_local_error_reset_streams(limits::HTTP2_ERROR_RESETS);
        Self { http1, http2 }
    }

    /// Answers the requests of one connection until it ends, or is ordered to.
    pub(super) async fn serve<T, S, F>(&self, version: Version, stream: T, peer: Peer, watch: &Arc<Watch>, service: &S)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Fn(Request<Incoming>, Peer) -> F,
        F: Future<Output = Response<ReplyBody>> + Send + 'static,
    {
        let stream = TokioIo::new(Stream::new(stream, Arc::clone(watch)));
        let answer = service_fn(|request: Request<Incoming>| {
            let under_way = watch.begin();
            let answer = service(request, peer);
            async move {
                let mut response = answer.await.map(|body| body.of_request(under_way));
                if version == Version::Http2 {
                    // A word of HTTP/1.1 only (RFC 9113 §8.2.2): a stream ends by itself.
                    response.headers_mut().remove(header::CONNECTION);
                }
                Ok::<_, Infallible>(response)
            }
        });
        match version {
            Version::Http1 => {
                let connection = pin!(self.http1.serve_connection(stream, answer));
                obey(watch, connection, http1::Connection::graceful_shutdown).await;
            }
            Version::Http2 => {
                let connection = pin!(self.http2.serve_connection(stream, answer));
                obey(watch, connection, http2::Connection::graceful_shutdown).await;
            }
        }
    }
}

/// Runs a connection to its end, and earlier if ordered. Its errors (a reset, a broken frame) are the client's affair.
async fn obey<C, E>(watch: &Watch, mut connection: std::pin::Pin<&mut C>, finish: impl Fn(std::pin::Pin<&mut C>))
where
    C: Future<Output = Result<(), E>>,
{
    let mut told_to_finish = false;
    let mut awaits_orders = false;
    poll_fn(|cx| {
        if !awaits_orders {
            awaits_orders = true;
            watch.wake_with(cx.waker());
        }
        match watch.order() {
            Order::End => return Poll::Ready(()),
            Order::Finish if !told_to_finish => {
                told_to_finish = true;
                finish(connection.as_mut());
            }
            Order::Finish | Order::GoOn => {}
        }
        connection.as_mut().poll(cx).map(|_| ())
    })
    .await;
}

/// Runs the streams of an HTTP/2 connection as tasks of the supervisor.
#[derive(Clone)]
struct Streams(Supervisor);

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        drop(self.0.spawn_short(stream));
    }
}
