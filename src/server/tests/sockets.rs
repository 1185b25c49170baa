//! Connections: slow ones, idle ones, too many of them, and their end at shutdown. The clock is paused: it jumps to the next timer when
//! nothing else is to be done, so that minutes pass in no time and are still measured.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::{Instant, sleep},
};

use super::{
    super::{Listener, Peer, ReplyBody, Role, ServerMetrics, Sockets, limits, respond},
    fixture::{LOOPBACK, exchange, parse},
};
use crate::{protocol::Reply, supervise::Supervisor};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A listener whose service answers 200 at once; but `/wait` when told to, and `/stream` with pieces that the test sends.
struct Stub {
    address: SocketAddr,
    sockets: Arc<Sockets>,
    metrics: Arc<ServerMetrics>,
    supervisor: Supervisor,
    go_on: Arc<Notify>,
    pieces: mpsc::UnboundedSender<Bytes>,
}

async fn stub(connections: usize) -> Stub {
    let (metrics, supervisor, go_on) = (Arc::new(ServerMetrics::default()), Supervisor::new(), Arc::new(Notify::new()));
    let (pieces, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let sockets = Arc::default();
    let (listener, address) =
        Listener::bind((&sockets, Role::Plain), LOOPBACK, None, connections, Arc::clone(&metrics)).await.expect("a free port");
    let waits = Arc::clone(&go_on);
    let service = move |request: Request<Incoming>, _: Peer| {
        let (waits, receiver) = (Arc::clone(&waits), Arc::clone(&receiver));
        async move {
            match request.uri().path() {
                "/wait" => waits.notified().await,
                "/stream" => return Response::new(stream_of(receiver.lock().expect("no panic").take().expect("one stream"))),
                _ => {}
            }
            respond(Reply::text(StatusCode::OK, "yes"))
        }
    };
    supervisor.spawn("listener", listener.run(supervisor.clone(), service));
    Stub { address, sockets, metrics, supervisor, go_on, pieces }
}

fn stream_of(receiver: mpsc::UnboundedReceiver<Bytes>) -> ReplyBody {
    struct Pieces(mpsc::UnboundedReceiver<Bytes>);
    impl hyper::body::Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
        }
    }
    ReplyBody::stream(Pieces(receiver))
}

/// Sends a request and reads its answer; the connection stays.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> u16 {
    stream.write_all(request).await.expect("an open connection");
    let mut answer = [0; 512];
    let read = stream.read(&mut answer).await.expect("an open connection");
    parse(&answer[..read]).status
}

/// How long until the server closes, by the paused clock.
async fn closed_after(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut rest = Vec::new();
    // A cut connection may end in a reset.
    let _ = stream.read_to_end(&mut rest).await;
    begun.elapsed()
}

fn about(span: Duration, limit: Duration) -> bool {
    span >= limit.saturating_sub(Duration::from_millis(100)) && span <= limit + 3 * limits::SWEEP
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_half_a_head_is_closed() {
    let stub = stub(10).await;
    let mut silent = TcpStream::connect(stub.address).await.expect("a connection");
    let span = closed_after(&mut silent).await;
    assert!(about(span, limits::FIRST_BYTES), "{span:?}");

    for half in [&b"P"[..], b"PRI", b"PO", b"POST /e HTTP/1.1\r\nhost: www.shop.exam", b"GET / HTTP/1.1\r\n"] {
        let mut slow = TcpStream::connect(stub.address).await.expect("a connection");
        slow.write_all(half).await.expect("an open connection");
        let span = closed_after(&mut slow).await;
        assert!(about(span, limits::REQUEST_HEAD), "{span:?} for {half:?}");
    }
    assert_eq!(stub.metrics.connections_timed_out.value(), 6);

    let mut drip = TcpStream::connect(stub.address).await.expect("a connection");
    assert_eq!(ask(&mut drip, GET).await, 200);
    let begun = Instant::now();
    for byte in GET.iter().cycle() {
        if drip.write_all(&[*byte]).await.is_err() || begun.elapsed() > 10 * limits::REQUEST_HEAD {
            break;
        }
        sleep(Duration::from_secs(3)).await;
    }
    assert!(begun.elapsed() < 2 * limits::REQUEST_HEAD, "a byte now and then keeps no head open");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_a_while_and_sooner_closed_in_a_crowd() {
    let stub = stub(4).await;
    let mut kept = TcpStream::connect(stub.address).await.expect("a connection");
    assert_eq!(ask(&mut kept, GET).await, 200);
    sleep(limits::KEEP_ALIVE_IDLE - Duration::from_secs(10)).await;
    assert_eq!(ask(&mut kept, GET).await, 200);
    let span = closed_after(&mut kept).await;
    assert!(about(span, limits::KEEP_ALIVE_IDLE), "{span:?}");

    let mut crowd = Vec::new();
    for _ in 0..4 {
        let mut one = TcpStream::connect(stub.address).await.expect("a connection");
        assert_eq!(ask(&mut one, GET).await, 200);
        crowd.push(one);
    }
    // The fifth waits for a permit, and gets one when the idle ones make room.
    let begun = Instant::now();
    let mut fifth = TcpStream::connect(stub.address).await.expect("the kernel's queue takes it");
    assert_eq!(ask(&mut fifth, GET).await, 200);
    assert!(about(begun.elapsed(), limits::KEEP_ALIVE_IDLE_CROWDED), "{:?}", begun.elapsed());
    assert!(stub.metrics.connections_at_limit.value() >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_no_idle_connection() {
    let stub = stub(10).await;
    let mut watcher = TcpStream::connect(stub.address).await.expect("a connection");
    assert_eq!(ask(&mut watcher, b"GET /stream HTTP/1.1\r\nhost: localhost\r\n\r\n").await, 200);
    sleep(10 * limits::KEEP_ALIVE_IDLE).await;
    stub.pieces.send(Bytes::from("still here")).expect("the stream is open");
    let mut piece = [0; 64];
    let read = watcher.read(&mut piece).await.expect("an open connection");
    assert!(String::from_utf8_lossy(&piece[..read]).contains("still here"));
}

#[tokio::test(start_paused = true)]
async fn heads_are_bounded() {
    let stub = stub(10).await;
    let head = |more: &str| format!("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n");
    let answer = exchange(stub.address, head("").as_bytes()).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "yes"));
    let many = (0..200).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    assert_eq!(exchange(stub.address, head(&many).as_bytes()).await.status, 431);
    let long = format!("cookie: {}\r\n", "c".repeat(limits::HEAD_BYTES));
    assert_eq!(exchange(stub.address, head(&long).as_bytes()).await.status, 431);
    let endless = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}", "y".repeat(1024 * 1024));
    assert_eq!(exchange(stub.address, endless.as_bytes()).await.status, 431);
    let address = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70_000));
    assert!([414, 431].contains(&exchange(stub.address, address.as_bytes()).await.status));
    assert_eq!(exchange(stub.address, b"\x16\x03\x01 not HTTP at all\r\n\r\n").await.status, 400);
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge() {
    let stub = stub(10).await;
    let stream = TcpStream::connect(stub.address).await.expect("a connection");
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    stub.supervisor.spawn_short(async { drop(connection.await) });
    for _ in 0..3 {
        let request = Request::get("http://localhost/").body(Empty::<Bytes>::new()).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!((response.status(), response.version()), (StatusCode::OK, http::Version::HTTP_2));
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_sent_all_and_closes_that_way_is_still_answered() {
    let stub = stub(10).await;
    let mut half = TcpStream::connect(stub.address).await.expect("a connection");
    half.write_all(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("an open connection");
    half.shutdown().await.expect("an open connection");
    sleep(Duration::from_secs(1)).await;
    stub.go_on.notify_one();
    let mut answer = Vec::new();
    half.read_to_end(&mut answer).await.expect("an orderly end");
    assert_eq!(parse(&answer).body, "yes");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stub.metrics.connections_open.value(), 0, "and then the connection ends");
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_is_under_way_and_takes_nothing_new() {
    let stub = stub(10).await;
    let mut idle = TcpStream::connect(stub.address).await.expect("a connection");
    assert_eq!(ask(&mut idle, GET).await, 200);
    let silent = TcpStream::connect(stub.address).await.expect("a connection");
    let mut busy = TcpStream::connect(stub.address).await.expect("a connection");
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("an open connection");
    sleep(Duration::from_secs(1)).await;

    let supervisor = stub.supervisor.clone();
    let shutdown = stub.supervisor.spawn_short({
        let stop = supervisor.stop_signal();
        async move { stop.cancel() }
    });
    shutdown.await.expect("no panic");
    assert!(closed_after(&mut idle).await < Duration::from_secs(1), "an idle connection has nothing to finish");
    sleep(Duration::from_secs(5)).await;
    assert!(TcpStream::connect(stub.address).await.is_err(), "the socket is closed");
    assert_eq!(stub.metrics.connections_open.value(), 1, "only the busy one is left");
    drop(silent);

    stub.go_on.notify_one();
    let mut answer = Vec::new();
    busy.read_to_end(&mut answer).await.expect("an orderly end");
    assert_eq!(parse(&answer).body, "yes");
    let begun = Instant::now();
    assert!(supervisor.shut_down(Duration::from_secs(60)).await);
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn where_another_process_takes_over_who_was_just_accepted_is_answered_and_who_comes_waits() {
    let stub = stub(10).await;
    let mut silent = TcpStream::connect(stub.address).await.expect("a connection");
    let mut accepted = TcpStream::connect(stub.address).await.expect("a connection");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stub.metrics.connections_open.value(), 2);
    stub.sockets.keep_open();
    stub.supervisor.stop_signal().cancel();
    sleep(limits::FIRST_REQUEST / 2).await;
    assert_eq!(ask(&mut accepted, GET).await, 200, "its request was on the way");
    assert!(closed_after(&mut silent).await < Duration::from_secs(1), "and nobody is waited for who says nothing");
    assert!(stub.supervisor.shut_down(Duration::from_secs(60)).await);
    let waiting = TcpStream::connect(stub.address).await.expect("the socket is open");
    assert_eq!(stub.sockets.take().len(), 1);
    drop(waiting);
    assert!(TcpStream::connect(stub.address).await.is_err(), "until it is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_ever() {
    let stub = stub(10).await;
    let mut busy = TcpStream::connect(stub.address).await.expect("a connection");
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("an open connection");
    sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    assert!(stub.supervisor.shut_down(Duration::from_secs(60)).await);
    assert!(about(begun.elapsed(), limits::DRAIN), "{:?}", begun.elapsed());
}
