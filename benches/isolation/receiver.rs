//! The receivers: one that counts what it is sent and takes it, and those that do not behave.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Failure;

/// Longer than the bench.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How a receiver answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Takes everything.
    Well,
    /// Reads a request, and no more is heard of it.
    Hang,
    /// Answers what is no HTTP.
    Garbage,
    /// 429 with an hour's `Retry-After`.
    Pause,
    /// Nothing listens there.
    Refuse,
    /// 202, and a header that says that the event was dropped.
    Drop,
}

/// A receiver, and how many events have come to it.
pub struct Receiver {
    /// Where it is, or would be.
    pub address: SocketAddr,
    events: Arc<AtomicU64>,
}

impl Receiver {
    /// Starts one.
    pub fn start(runtime: &tokio::runtime::Runtime, manners: Manners) -> Result<Self, Failure> {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let events = Arc::<AtomicU64>::default();
        if manners != Manners::Refuse {
            let counted = Arc::clone(&events);
            runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, manners, Arc::clone(&counted)));
                }
            });
        }
        Ok(Self { address, events })
    }

    /// How many events have come.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: tokio::net::TcpStream, manners: Manners, events: Arc<AtomicU64>) {
    if manners == Manners::Garbage {
        let mut some = [0; 4096];
        // Whatever becomes of it: the connection ends here.
        let _ = stream.read(&mut some).await;
        let _ = stream.write_all(b"\x01\x02this is no HTTP\r\n\r\n").await;
        return;
    }
    let answer = service_fn(move |request| answer(request, manners, Arc::clone(&events)));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(request: Request<Incoming>, manners: Manners, events: Arc<AtomicU64>) -> Result<Response<Full<Bytes>>, Infallible> {
    const ONE: &[u8] = b"\"event_id\":";
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    events.fetch_add(memchr::memmem::find_iter(&body, ONE).count() as u64, Ordering::Relaxed);
    if manners == Manners::Hang {
        tokio::time::sleep(NEVER).await;
    }
    let answer = match manners {
        Manners::Pause => Response::builder().status(429).header("retry-after", "3600"),
        Manners::Drop => Response::builder().status(202).header("x-plausible-dropped", "1"),
        Manners::Well | Manners::Hang | Manners::Garbage | Manners::Refuse => Response::builder().status(202),
    };
    Ok(answer.body(Full::new(Bytes::from_static(b"ok"))).expect("constants make an answer"))
}
