//! The admin listener's pages: live view, numbers, health, metrics. On a listener of its own, loopback only until access to it is configured.
//!
//! Everything shown here is clean already: the feed carries shapes and disclosures, the numbers are counts and our own names.

pub mod feed;
pub mod overview;

mod live;
pub(crate) mod own_host;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::sync::Semaphore;

use self::{
    feed::Feed,
    live::Watching,
    overview::{Health, Overview},
};
use crate::{
    server::{Looks, ReplyBody, client_address::OwnAddresses},
    supervise::Supervisor,
};

/// Live views open at once. Each costs one connection and one place in the feed; nobody watches from more windows than this.
const WATCHERS_MAX: usize = 16;

/// A sign of life on a quiet line, sooner than the shortest idle timeout that proxies are shipped with.
const HEARTBEAT: Duration = Duration::from_secs(15);

const LIVE_PAGE: &str = include_str!("pages/live.html");
const LIVE_SCRIPT: &str = include_str!("pages/live.js");
const LIVE_STYLE: &str = include_str!("pages/live.css");

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";
/// Prometheus' text format, <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const EVENT_STREAM: &str = "text/event-stream";
/// Where `doctor` opens a look from outside, and is told below what came in.
const LOOK: &str = "/look";

/// Where the console asks for what it shows. Each may block for a moment (the numbers read a database) and is called away from the event loop.
pub struct Sources {
    /// The metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether the program can take events.
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    /// The numbers of today.
    pub overview: Arc<dyn Fn() -> Overview + Send + Sync>,
    /// The looks from outside, which are opened and told here.
    pub looks: Arc<Looks>,
}

/// The admin listener's handler.
pub struct Console {
    feed: Feed,
    sources: Sources,
    supervisor: Supervisor,
    watchers: Arc<Semaphore>,
    page_policy: HeaderValue,
}

impl Console {
    /// A console. `framed_by`: the origins (`http://127.0.0.1:8080`) whose pages may show the live view in a frame; one that is no header text is
    /// left out.
    #[must_use]
    pub fn new(feed: Feed, sources: Sources, supervisor: Supervisor, framed_by: &[String]) -> Self {
        Self { feed, sources, supervisor, watchers: Arc::new(Semaphore::new(WATCHERS_MAX)), page_policy: page_policy(framed_by) }
    }

    /// Answers one request. The request's body is never read.
    pub async fn handle<B>(&self, request: &Request<B>) -> Response<ReplyBody> {
        let mut response = self.answer(request).await;
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        if request.method() == Method::HEAD {
            *response.body_mut() = ReplyBody::whole(Bytes::new());
        }
        response
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<ReplyBody> {
        if !own_host::is_ours(request) {
            return text(StatusCode::MISDIRECTED_REQUEST, "this listener answers to loopback names only: localhost, 127.0.0.1, [::1]\n");
        }
        let path = request.uri().path();
        let opens = path == LOOK && request.method() == Method::POST;
        if !opens && request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this listener is for reading: GET or HEAD\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if path != "/" && asked_by_a_foreign_page(request.headers()) {
            return text(StatusCode::FORBIDDEN, "asked by a page of another site\n");
        }
        if opens {
            return self.open_look(request.uri().query());
        }
        if let Some(word) = path.strip_prefix(LOOK).and_then(|rest| rest.strip_prefix('/')) {
            return json(StatusCode::OK, &self.sources.looks.told(word));
        }
        match path {
            "/" => self.live_page(),
            "/live.js" => reply(StatusCode::OK, JAVASCRIPT, LIVE_SCRIPT),
            "/live.css" => reply(StatusCode::OK, CSS, LIVE_STYLE),
            "/live" => self.live_stream(request.method()),
            "/overview.json" => json(StatusCode::OK, &self.ask(&self.sources.overview).await),
            "/healthz" => {
                let health = self.ask(&self.sources.health).await;
                json(if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &health)
            }
            "/metrics" => reply(StatusCode::OK, EXPOSITION, self.ask(&self.sources.metrics).await),
            _ => text(StatusCode::NOT_FOUND, "no such page: there are /, /overview.json, /healthz, /metrics\n"),
        }
    }

    /// A look for who has the addresses that the query says.
    fn open_look(&self, query: Option<&str>) -> Response<ReplyBody> {
        let own = query.and_then(|query| query.strip_prefix("own=")).and_then(OwnAddresses::parse);
        let Some(own) = own else { return text(StatusCode::BAD_REQUEST, "write it as /look?own=ADDRESS,ADDRESS\n") };
        match self.sources.looks.open(own) {
            Some(word) => reply(StatusCode::OK, PLAIN, word),
            None => text(StatusCode::INTERNAL_SERVER_ERROR, "the system gives no randomness\n"),
        }
    }

    async fn ask<T: Send + 'static>(&self, source: &Arc<dyn Fn() -> T + Send + Sync>) -> T {
        let source = Arc::clone(source);
        self.supervisor.blocking(move || source()).await
    }

    fn live_page(&self) -> Response<ReplyBody> {
        let mut response = reply(StatusCode::OK, HTML, LIVE_PAGE);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, self.page_policy.clone());
        response
    }

    fn live_stream(&self, method: &Method) -> Response<ReplyBody> {
        if method == Method::HEAD {
            return reply(StatusCode::OK, EVENT_STREAM, "");
        }
        let Ok(seat) = Arc::clone(&self.watchers).try_acquire_owned() else {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "as many live views are open as there may be; close one\n");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            return response;
        };
        let watching = Watching::new(self.feed.watch(), self.supervisor.stop_signal(), HEARTBEAT, seat);
        let mut response = Response::new(ReplyBody::stream(watching.into_body()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        response
    }
}

/// Whether a browser asks on behalf of a page that is not ours: it could read nothing, but hold live views open and the numbers busy.
/// The live page itself may be asked for: `frame-ancestors` says who may show it.
fn asked_by_a_foreign_page(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

/// The live page runs its own script and style and talks to its own origin; nothing else.
fn page_policy(framed_by: &[String]) -> HeaderValue {
    const REST: &str =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; ";
    let is_origin = |origin: &&String| origin.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';' && byte != b',');
    let origins: Vec<&str> = framed_by.iter().filter(is_origin).map(String::as_str).collect();
    let ancestors = if origins.is_empty() { String::from("'none'") } else { origins.join(" ") };
    HeaderValue::from_str(&format!("{REST}frame-ancestors {ancestors}")).expect("visible ASCII is header text")
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn text(status: StatusCode, sentence: &'static str) -> Response<ReplyBody> {
    reply(status, PLAIN, sentence)
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<ReplyBody> {
    serde_json::to_vec(value).map_or_else(
        |_| text(StatusCode::INTERNAL_SERVER_ERROR, "the numbers could not be written as JSON\n"),
        |body| reply(status, JSON, body),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http_body_util::BodyExt as _;

    use super::{
        feed::Item,
        overview::{EgressOverview, LogOverview, LogState, RecleanseOverview},
        *,
    };
    use crate::clock::Timestamp;

    fn console(ready: bool, feed: &Feed) -> Console {
        let health = move || Health { ready, reasons: if ready { Vec::new() } else { vec!["the event log takes nothing"] } };
        let overview = || Overview {
            at: Timestamp(1),
            sites: Vec::new(),
            destinations: Vec::new(),
            log: LogOverview { records: 3, events_per_sync: 1.5, state: LogState::Open },
            recleanse: RecleanseOverview {
                running: true,
                because: "a test",
                revision: 2,
                began: Timestamp(1),
                ended: None,
                segments: 5,
                segments_done: 3,
                replaced: 7,
            },
            egress: EgressOverview::default(),
            profiles: None,
            alerts: Vec::new(),
        };
        let sources = Sources {
            metrics: Arc::new(|| String::from("x_total 1\n")),
            health: Arc::new(health),
            overview: Arc::new(overview),
            looks: Arc::default(),
        };
        Console::new(feed.clone(), sources, Supervisor::new(), &[String::from("http://127.0.0.1:8080"), String::from("bad; script-src *")])
    }

    fn request(path: &str) -> http::request::Builder {
        Request::builder().uri(path).header(header::HOST, "127.0.0.1:8081")
    }

    async fn get(console: &Console, path: &str) -> (StatusCode, HeaderMap, String) {
        let (head, body) = console.handle(&request(path).body(()).unwrap()).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_route_answers_in_its_own_type() {
        let console = console(true, &Feed::default());
        for (path, content_type, part) in [
            ("/", HTML, "<title>"),
            ("/live.js", JAVASCRIPT, "EventSource"),
            ("/live.css", CSS, "prefers-color-scheme"),
            ("/overview.json", JSON, "\"events_per_sync\":1.5"),
            ("/healthz", JSON, "\"ready\":true"),
            ("/metrics", EXPOSITION, "x_total 1"),
        ] {
            let (status, headers, body) = get(&console, path).await;
            assert_eq!((status, headers[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, content_type), "{path}");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert!(body.contains(part), "{path}");
        }
        assert_eq!(get(&console, "/nothing").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn ill_health_is_a_503_with_its_reasons() {
        let (status, _, body) = get(&console(false, &Feed::default()), "/healthz").await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":false,"reasons":["the event log takes nothing"]}"#)
        );
    }

    #[tokio::test]
    async fn only_the_given_origins_may_frame_the_live_view() {
        let (_, headers, body) = get(&console(true, &Feed::default()), "/").await;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.ends_with("frame-ancestors http://127.0.0.1:8080"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!body.contains("<style") && !body.contains("style=") && body.matches("<script").count() == 1, "nothing inline");
    }

    #[tokio::test]
    async fn a_foreign_host_a_foreign_page_and_a_write_are_refused() {
        let console = console(true, &Feed::default());
        let status = async |request: Request<()>| console.handle(&request).await.status();
        let rebound = Request::builder().uri("/").header(header::HOST, "attacker.example").body(()).unwrap();
        assert_eq!(status(rebound).await, StatusCode::MISDIRECTED_REQUEST);
        let foreign = request("/overview.json").header("sec-fetch-site", "cross-site").body(()).unwrap();
        assert_eq!(status(foreign).await, StatusCode::FORBIDDEN);
        let framed = request("/").header("sec-fetch-site", "same-site").body(()).unwrap();
        assert_eq!(status(framed).await, StatusCode::OK);
        let write = request("/").method(Method::POST).body(()).unwrap();
        assert_eq!(status(write).await, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn a_look_is_opened_here_by_no_foreign_page_and_told_once_it_has_come_in() {
        let console = console(true, &Feed::default());
        let open = async |query: &str, site: &str| {
            let request = request(&format!("/look{query}")).method(Method::POST).header("sec-fetch-site", site).body(()).unwrap();
            let (head, body) = console.handle(&request).await.into_parts();
            (head.status, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
        };
        let (status, word) = open("?own=192.0.2.7,2001:db8::7", "none").await;
        assert_eq!((status, word.len()), (StatusCode::OK, 32));
        assert_eq!(get(&console, &format!("/look/{word}")).await.2, "null", "it has not come in");
        assert_eq!(open("?own=nobody", "none").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(open("?own=192.0.2.7", "cross-site").await.0, StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn live_views_are_bounded_and_a_closed_one_makes_room() {
        let feed = Feed::default();
        let console = console(true, &feed);
        let live = request("/live").body(()).unwrap();
        let mut open = Vec::new();
        for _ in 0..WATCHERS_MAX {
            open.push(console.handle(&live).await);
        }
        assert!(feed.watched());
        assert_eq!(console.handle(&live).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        open.pop();
        assert_eq!(console.handle(&live).await.status(), StatusCode::OK);
        open.clear();
        assert!(!feed.watched(), "nothing is prepared for nobody");
    }

    #[tokio::test]
    async fn an_item_travels_as_one_event_and_the_stream_ends_with_the_program() {
        let feed = Feed::default();
        let console = console(true, &feed);
        let mut body = console.handle(&request("/live").body(()).unwrap()).await.into_body();
        feed.show(Item::Settled {
            at: Timestamp(5),
            destination: String::from("measurement"),
            offset: crate::event::Offset(7),
            state: "withheld",
            rule: Some("no_consent"),
            received: None,
        });
        let mut seen = String::new();
        while !seen.contains("event: item") {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            seen.push_str(std::str::from_utf8(&frame).unwrap());
        }
        let data = seen.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let item: BTreeMap<String, serde_json::Value> = serde_json::from_str(data).unwrap();
        assert_eq!(item["kind"], "settled");
        assert_eq!(item["offset"], 7);
        assert!(seen.ends_with("\n\n"));
        console.supervisor.stop_signal().cancel();
        assert!(body.frame().await.is_none());
    }
}
