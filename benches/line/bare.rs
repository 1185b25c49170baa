//! The yardstick: a hyper server that reads the body and answers 204. It also is the sink that a webhook destination sends to.

use std::{
    convert::Infallible,
    io::{self, BufRead as _, Write as _},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{Failure, tls};

/// How the yardstick is to run: one line of JSON on its standard input.
#[derive(Serialize, Deserialize)]
pub struct Orders {
    /// Worker threads of the runtime.
    pub workers: usize,
    /// Serves TLS with this certificate and key.
    pub tls: Option<Certificate>,
}

/// Where a certificate and its key are.
#[derive(Clone, Serialize, Deserialize)]
pub struct Certificate {
    /// PEM, the certificate alone; clients trust it as it is.
    pub certificate: PathBuf,
    /// PEM, PKCS#8.
    pub key: PathBuf,
}

/// Serves until standard input closes. The first line of output is the port.
pub fn run() -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let orders: Orders = serde_json::from_str(&line)?;
    let acceptor = orders.tls.as_ref().map(tls::acceptor).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(orders.workers).enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    runtime.spawn(accept(listener, acceptor));
    let mut rest = String::new();
    while io::stdin().lock().read_line(&mut rest)? > 0 {}
    runtime.shutdown_background();
    Ok(())
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>) {
    let acceptor = Arc::new(acceptor);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let acceptor = Arc::clone(&acceptor);
        tokio::spawn(async move {
            // A connection's failure is the load generator's to report: it counts answers.
            let _ = stream.set_nodelay(true);
            match acceptor.as_ref() {
                None => serve(stream).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let status = match request.into_body().collect().await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    Ok(response)
}
