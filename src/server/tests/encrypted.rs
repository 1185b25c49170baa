//! TLS: both protocols, and a certificate that changes under open connections.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    super::{
        Listener, Peer, Role, ServerMetrics,
        development_certificate::{DevelopmentCertificate, development_certificate},
        respond,
        tls::{CertificateError, CertificateFiles, Tls},
    },
    fixture::LOOPBACK,
};
use crate::{clock, protocol::Reply, supervise::Supervisor};

async fn listen(tls: &Arc<Tls>, supervisor: &Supervisor, metrics: &Arc<ServerMetrics>) -> SocketAddr {
    let (listener, address) = Listener::bind((&Arc::default(), Role::Plain), LOOPBACK, Some(Arc::clone(tls)), 10, Arc::clone(metrics))
        .await
        .expect("a free port");
    let service = |_: Request<hyper::body::Incoming>, _: Peer| async { respond(Reply::text(StatusCode::OK, "yes")) };
    supervisor.spawn("listener", listener.run(supervisor.clone(), service));
    address
}

async fn connect(address: SocketAddr, authority: &Path, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("https://localhost/").header("host", "localhost").body(Empty::new()).expect("a request")
}

/// Certificates of two authorities, in directories of their own.
fn certificates() -> (tempfile::TempDir, DevelopmentCertificate, DevelopmentCertificate) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let make = |name: &str| development_certificate(&directory.path().join(name), clock::now()).expect("a certificate");
    let (one, other) = (make("one"), make("other"));
    (directory, one, other)
}

#[tokio::test]
async fn the_client_chooses_the_protocol() {
    let (_directory, made, _) = certificates();
    let (supervisor, metrics) = (Supervisor::new(), Arc::new(ServerMetrics::default()));
    let address = listen(&Tls::open(made.files).expect("a certificate"), &supervisor, &metrics).await;

    let stream = connect(address, &made.authority, &[b"h2", b"http/1.1"]).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    supervisor.spawn_short(async { drop(connection.await) });
    let response = sender.send_request(get()).await.expect("an answer");
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));

    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let stream = connect(address, &made.authority, protocols).await.expect("a handshake");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        supervisor.spawn_short(async { drop(connection.await) });
        let response = sender.send_request(get()).await.expect("an answer");
        assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_11));
    }
    assert!(connect(address, &made.authority, &[b"spdy/3"]).await.is_err());
    assert_eq!(metrics.handshake_failures.value(), 1);
}

#[tokio::test]
async fn a_new_certificate_is_served_and_open_connections_go_on() {
    let (directory, one, other) = certificates();
    let (supervisor, metrics) = (Supervisor::new(), Arc::new(ServerMetrics::default()));
    let served = CertificateFiles { certificate: directory.path().join("chain.pem"), key: directory.path().join("key.pem") };
    let put = |files: &CertificateFiles| {
        fs::copy(&files.certificate, &served.certificate).expect("a copy");
        fs::copy(&files.key, &served.key).expect("a copy");
    };
    put(&one.files);
    let tls = Tls::open(served.clone()).expect("a certificate");
    let address = listen(&tls, &supervisor, &metrics).await;
    let stream = connect(address, &one.authority, &[b"http/1.1"]).await.expect("a handshake");
    let (mut old, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    supervisor.spawn_short(async { drop(connection.await) });
    assert_eq!(old.send_request(get()).await.expect("an answer").status(), StatusCode::OK);
    assert!(!tls.reload_if_changed().expect("nothing changed"));

    put(&other.files);
    assert!(tls.reload_if_changed().expect("a good certificate"));
    assert!(connect(address, &one.authority, &[b"h2"]).await.is_err(), "the old certificate is gone for new connections");
    connect(address, &other.authority, &[b"h2"]).await.expect("the new one is served");
    old.ready().await.expect("still open");
    assert_eq!(old.send_request(get()).await.expect("an answer").status(), StatusCode::OK);

    // A key that belongs to another certificate, garbage, and nothing at all: refused once, while the good one goes on.
    fs::copy(&one.files.key, &served.key).expect("a copy");
    assert!(matches!(tls.reload_if_changed(), Err(CertificateError::Mismatch { .. })));
    assert!(!tls.reload_if_changed().expect("refused once"));
    fs::write(&served.key, "garbage").expect("a file");
    let message = tls.reload_if_changed().expect_err("no key").to_string();
    assert!(message.contains("key.pem") && message.contains("no private key") && !message.contains("garbage"), "{message}");
    fs::remove_file(&served.key).expect("the file");
    assert!(!tls.reload_if_changed().expect("being exchanged"));
    connect(address, &other.authority, &[b"h2"]).await.expect("the good one is still served");

    put(&one.files);
    assert!(tls.reload_if_changed().expect("a good certificate"));
    connect(address, &one.authority, &[b"h2"]).await.expect("the first one again");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let (directory, made, _) = certificates();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).expect("a file");
        path
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let table = [
        (directory.path().join("absent.pem"), made.files.key.clone(), "absent.pem: No such file"),
        (file("empty.pem", ""), made.files.key.clone(), "empty.pem: there is no certificate in it"),
        (made.files.key.clone(), made.files.key.clone(), "there is no certificate in it"),
        (file("broken.pem", broken), made.files.key.clone(), "broken.pem: the first certificate cannot be read"),
        (made.files.certificate.clone(), made.files.certificate.clone(), "there is no private key in it"),
    ];
    for (certificate, key, expected) in table {
        let error = Tls::open(CertificateFiles { certificate, key }).err().expect("it is unusable").to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}
