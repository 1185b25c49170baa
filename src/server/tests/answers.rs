//! The router's answers, over a real line.

use std::{io::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::Instant};

use super::{
    super::{Rate, RateLimits, SignFor, limits},
    fixture::{exchange, request, settings, start},
};
use crate::{
    documents::Site,
    privacy::refusal::Refusal,
    protocol::{PROTOCOLS, Reply},
};

const OURS: &str = "origin: https://www.shop.example";
const FOREIGN: &str = "origin: https://evil.example";
const EVENT: &[u8] = br#"{"e":[{"k":"page_view","p":"https://www.shop.example/"}]}"#;

#[tokio::test]
async fn an_event_is_taken_and_counted() {
    let server = start(settings()).await;
    let answer = request(server.address, "POST", "/keso/e", &[OURS], EVENT).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(server.line.count("stored"), 1);
    let broken = request(server.address, "POST", "/keso/e", &[OURS], b"{\"jane@example.org").await;
    assert_eq!(broken.status, 400);
    assert!(!broken.body.contains("jane"), "{}", broken.body);
    assert_eq!(server.line.refused(Refusal::Undecodable), 1);
    assert_eq!((server.metrics.requests[1].value(), server.metrics.requests[3].value()), (1, 1));
}

#[tokio::test]
async fn origins_decide_who_may_send_and_read() {
    let server = start(settings()).await;
    let cors = |answer: &super::fixture::Answer| {
        let told = |name| answer.header(name);
        (told("access-control-allow-origin"), told("access-control-allow-credentials"), told("vary"))
    };
    let (origin, yes, vary) = (Some("https://www.shop.example".into()), Some("true".into()), Some("Origin".into()));

    let ours = request(server.address, "POST", "/keso/e", &[OURS], EVENT).await;
    assert_eq!((ours.status, cors(&ours)), (204, (origin.clone(), yes.clone(), vary.clone())));
    let absent = request(server.address, "POST", "/keso/e", &[], EVENT).await;
    assert_eq!((absent.status, cors(&absent)), (204, (None, None, vary.clone())));
    for foreign in [FOREIGN, "origin: null", "origin: http://www.shop.example"] {
        let answer = request(server.address, "POST", "/keso/e", &[foreign], EVENT).await;
        assert_eq!((answer.status, cors(&answer)), (403, (None, None, vary.clone())), "{foreign}");
        assert!(!answer.body.contains("evil"));
    }
    assert_eq!((server.line.refused(Refusal::ForeignOrigin), server.line.count("stored")), (3, 2));
    assert!(absent.header("cache-control").is_some_and(|caching| caching == "no-store"));
    let script = request(server.address, "GET", "/keso/core.js", &[FOREIGN], b"").await;
    assert_eq!((script.status, cors(&script)), (200, (None, None, vary)));
}

#[tokio::test]
async fn options_are_answered_for_every_route() {
    let server = start(settings()).await;
    let mut paths: Vec<&str> = PROTOCOLS.iter().flat_map(|protocol| protocol.routes()).map(|route| route.path).collect();
    paths.extend(["/about", "/about/out", "/about/in", "/o", "/core.js"]);
    for path in paths {
        let path = format!("/keso{path}");
        let ask = ["access-control-request-method: POST", "access-control-request-headers: content-type"];
        let ours = request(server.address, "OPTIONS", &path, &[OURS, ask[0], ask[1]], b"").await;
        let allow = ours.header("allow").expect("every answer says what is allowed");
        assert_eq!(ours.status, 204, "{path}");
        assert!(allow.ends_with("OPTIONS"), "{allow}");
        assert_eq!(ours.header("access-control-allow-origin").as_deref(), Some("https://www.shop.example"), "{path}");
        assert_eq!(ours.header("access-control-allow-methods"), Some(allow), "{path}");
        assert!(ours.header("access-control-allow-headers").is_some_and(|headers| headers.contains("content-type")));
        let foreign = request(server.address, "OPTIONS", &path, &[FOREIGN, ask[0]], b"").await;
        assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (204, None), "{path}");
        assert_eq!(foreign.header("vary").as_deref(), Some("Origin"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_a_sentence() {
    let mut with_pages = settings();
    with_pages.pages = Some(Arc::new(|path: &str, site: &Site, _: &SignFor<'_>| {
        (path == "/shop").then(|| Reply::text(StatusCode::OK, site.name.clone()))
    }));
    let server = start(with_pages).await;
    let table = [
        ("GET", "/", 404),
        ("GET", "/keso", 404),
        ("GET", "/keso/", 404),
        ("GET", "/keso/jane@example.org", 404),
        ("GET", "/kesox/e", 404),
        ("POST", "/e", 404),
        ("GET", "/keso/e", 405),
        ("DELETE", "/keso/e", 405),
        ("JANE", "/keso/core.js", 405),
        ("POST", "/keso/o", 405),
        ("HEAD", "/keso/core.js", 200),
        ("HEAD", "/keso/o", 200),
        ("GET", "/shop", 200),
        ("POST", "/shop", 405),
    ];
    for (method, path, status) in table {
        let answer = request(server.address, method, path, &[], b"").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(!answer.body.contains("jane"));
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
        assert!(method == "HEAD" || !answer.body.is_empty(), "{method} {path}");
    }
    let elsewhere = b"GET /keso/e HTTP/1.1\r\nhost: jane.example\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(server.address, elsewhere).await.body, "No site is served under this host name.\n");
    let two_hosts = b"GET / HTTP/1.1\r\nhost: a.example\r\nhost: b.example\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(server.address, two_hosts).await.status, 400);
    let long = format!("/keso/e?{}", "a".repeat(limits::URI_BYTES));
    assert_eq!(request(server.address, "POST", &long, &[], EVENT).await.status, 414);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = start(settings()).await;
    let ten_megabytes = vec![b'x'; 10 * 1024 * 1024];
    let answer = request(server.address, "POST", "/keso/e", &[OURS], &ten_megabytes).await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "The body is larger than 64 KiB.\n"));
    assert!(answer.all_sent, "the rest was thrown away, not reset");

    let mut chunked = Vec::from(*b"POST /keso/e HTTP/1.1\r\nhost: www.shop.example\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..1000 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b'x'; 0x400]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(exchange(server.address, &chunked).await.status, 413);

    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("a Vec takes everything");
        encoder.finish().expect("a Vec takes everything")
    };
    let encoding = |name: &str| format!("content-encoding: {name}");
    let bomb = request(server.address, "POST", "/keso/e", &[&encoding("gzip")], &gzip(&vec![b' '; 30 * 1024 * 1024])).await;
    assert_eq!((bomb.status, bomb.body.as_str()), (413, "The body is too large when decompressed.\n"));
    assert_eq!(request(server.address, "POST", "/keso/e", &[&encoding("gzip")], b"plain").await.status, 400);
    let unknown = request(server.address, "POST", "/keso/e", &[&encoding("br")], EVENT).await;
    assert_eq!((unknown.status, unknown.header("accept-encoding").as_deref()), (415, Some("gzip")));
    assert_eq!(server.line.refused(Refusal::Undecodable), 5);
    assert_eq!(request(server.address, "POST", "/keso/e", &[&encoding("gzip")], &gzip(EVENT)).await.status, 204);
    assert_eq!(server.line.count("stored"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_too_slowly_is_answered() {
    let server = start(settings()).await;
    let begun = Instant::now();
    let half = b"POST /keso/e HTTP/1.1\r\nhost: www.shop.example\r\ncontent-length: 100\r\n\r\n{\"e\":[";
    let answer = exchange(server.address, half).await;
    assert_eq!((answer.status, answer.body.as_str()), (408, "The body did not arrive in time.\n"));
    assert!(begun.elapsed() >= limits::REQUEST_BODY && begun.elapsed() < limits::REQUEST_BODY + Duration::from_secs(5));
    assert_eq!(server.line.refused(Refusal::Undecodable), 1);

    let mut gone = TcpStream::connect(server.address).await.expect("a connection");
    gone.write_all(half).await.expect("an open connection");
    drop(gone);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.line.refused(Refusal::Undecodable), 1, "who went away sent nothing");
}

#[tokio::test]
async fn http2_is_refused_without_words_of_http1() {
    let server = start(settings()).await;
    let stream = TcpStream::connect(server.address).await.expect("a connection");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.expect("HTTP/2");
    server.supervisor.spawn_short(async { drop(connection.await) });
    let post = |body: &[u8]| {
        let request = Request::post("http://www.shop.example/keso/e").header("origin", "https://www.shop.example");
        request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request")
    };
    let large = sender.send_request(post(&vec![b'x'; 10 * 1024 * 1024])).await.expect("an answer");
    assert_eq!((large.status(), large.headers().get("connection")), (StatusCode::PAYLOAD_TOO_LARGE, None));
    // The stream ends without a reset, which some clients take for the answer.
    large.into_body().collect().await.expect("an orderly end");
    let good = sender.send_request(post(EVENT)).await.expect("the connection goes on");
    assert_eq!(good.status(), StatusCode::NO_CONTENT);
    assert_eq!(server.line.count("stored"), 1);
}

#[tokio::test]
async fn limits_are_per_client_and_a_spoofed_address_is_the_same_client() {
    let mut limited = settings();
    limited.limits.rates = RateLimits { client: Some(Rate { per_second: 1, burst: 3 }), apps: None, site: None, global: None };
    let server = start(limited).await;
    let send = async |address: &str, body: &[u8]| {
        request(server.address, "POST", "/keso/e", &[OURS, &format!("x-forwarded-for: {address}")], body).await
    };
    for n in 0..3 {
        // What stands to the left of the right-most address is whatever the client wrote.
        assert_eq!(send(&format!("203.0.113.{n}, 198.51.100.7"), EVENT).await.status, 204);
    }
    let refused = send("203.0.113.99, 198.51.100.7", EVENT).await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some_and(|wait| wait == "1"), "{:?}", refused.header("retry-after"));
    assert_eq!(send("198.51.100.8", EVENT).await.status, 204);
    assert_eq!((server.line.refused(Refusal::OverQuota), server.line.count("stored")), (1, 4));

    // A batch is charged for what it holds.
    let batch = [br#"{"e":["#.as_slice(), [br#"{"k":"page_view"}"#.as_slice(); 3].join(&b","[..]).as_slice(), b"]}"].concat();
    assert_eq!(send("198.51.100.9", &batch).await.status, 204);
    assert_eq!(send("198.51.100.9", EVENT).await.status, 429);
    assert_eq!(server.line.count("stored"), 7);
}

#[tokio::test]
async fn what_apps_send_has_a_limit_of_its_own_and_pages_keep_theirs() {
    let mut limited = settings();
    limited.limits.rates = RateLimits { client: None, apps: Some(Rate { per_second: 1, burst: 2 }), site: None, global: None };
    let server = start(limited).await;
    let app =
        async |headers: &[&str]| request(server.address, "POST", "/keso/v1/app", headers, br#"{"event":"tap","messageId":"1"}"#).await;
    // The site has no key for apps, which is asked for after the limit.
    assert_eq!([app(&[]).await.status, app(&[]).await.status, app(&[]).await.status], [401, 401, 429]);
    assert_eq!(request(server.address, "POST", "/keso/e", &[OURS], EVENT).await.status, 204);
    // Another site's page is told so before that: it is no app.
    assert_eq!(app(&["origin: https://www.elsewhere.example"]).await.status, 403);
}

#[tokio::test]
async fn the_snippet_and_the_opt_out_page_are_served() {
    let server = start(settings()).await;
    let script = request(server.address, "GET", "/keso/core.js", &[], b"").await;
    assert_eq!(script.header("content-type").as_deref(), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("x-content-type-options").as_deref(), Some("nosniff"));
    assert!(script.body.contains(r#""e":"/keso/e""#));
    let tag = format!("if-none-match: {}", script.header("etag").expect("a tag"));
    let again = request(server.address, "GET", "/keso/core.js", &[&tag], b"").await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));

    let page = request(server.address, "GET", "/keso/o", &["accept-language: fr-FR,en;q=0.5"], b"").await;
    assert_eq!((page.status, page.header("content-language").as_deref()), (200, Some("fr")));
    assert_eq!(page.header("vary").as_deref(), Some("Accept-Language, Origin"));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));

    // What the page's buttons send, from a page of the very host that is asked.
    let same = "origin: https://www.shop.example";
    let out = request(server.address, "POST", "/keso/e", &[same], br#"{"o":1}"#).await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").is_some_and(|cookie| cookie.contains("Secure") && cookie.contains("HttpOnly")));
}
