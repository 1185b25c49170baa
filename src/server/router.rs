//! From a request to its answer: host, route, origin, rate limit, body, and then the line. In this order, so that what can be refused
//! cheaply costs little. Every refusal is a short sentence of ours, and counted where a site is known.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;

use super::{
    client_address::{Client, ClientAddresses, Peer},
    cors::Origin,
    limits::{HEADER_FIELDS, URI_BYTES},
    looks::Looks,
    lookup::Lookups,
    metrics::ServerMetrics,
    opt_out::OptOutPage,
    own_data::{OwnData, Step},
    rate_limit::{RateLimiter, RetryAfter},
    reply::{ReplyBody, respond},
    request_body::{BodyError, collect, decompress, discard},
    routes::{Routes, Target, Work},
    snippet::Snippets,
    ticket,
    transparency::{TransparencyPage, Wish, day},
};
use crate::{
    clock,
    documents::{Documents, Site},
    pipeline::{Ingested, Pipeline},
    privacy::{
        consent::{ConsentSignal, evidence::Evidence},
        identity,
        refusal::Refusal,
        rules::{Rule, holds},
    },
    protocol::{Action, PROTOCOLS, Reply, inbound::Inbound},
};

/// Where a browser may ask whether this host honours Global Privacy Control:
/// <https://www.w3.org/TR/gpc/#gpc-support-resource>.
const GPC_PATH: &str = "/.well-known/gpc.json";

/// Pages at paths that no route has (the demonstration's shop): path, site and what its backend could sign in, a page out.
pub type Pages = Arc<dyn Fn(&str, &Site, &SignFor<'_>) -> Option<Reply> + Send + Sync>;

/// The signature that makes an account (its id, and until when in seconds since 1970) the one of the browser that asks.
pub type SignFor<'r> = dyn Fn(&str, i64) -> Option<String> + 'r;

/// What follows from a request's head.
enum Decision {
    /// The answer.
    Answer(Response<ReplyBody>),
    /// Its body is wanted.
    Receive(Admitted),
}

impl From<Response<ReplyBody>> for Decision {
    fn from(response: Response<ReplyBody>) -> Self {
        Self::Answer(response)
    }
}

/// A request that may send a body: of a known site and route, not of a foreign page, within the rate.
struct Admitted {
    site: Arc<Site>,
    client: Client,
    secure: bool,
    origin: Origin,
    work: Work,
}

/// Answers the requests of the public listeners.
pub(super) struct Router {
    pipeline: Arc<Pipeline>,
    addresses: ClientAddresses,
    limiter: RateLimiter,
    pages: Option<Pages>,
    metrics: Arc<ServerMetrics>,
    looks: Arc<Looks>,
    routes: Routes,
    snippets: Snippets,
    opt_out: OptOutPage,
    transparency: TransparencyPage,
    lookups: Lookups,
    own_data: Option<Arc<OwnData>>,
}

impl Router {
    pub(super) fn new(
        pipeline: Arc<Pipeline>,
        addresses: ClientAddresses,
        limiter: RateLimiter,
        pages: Option<Pages>,
        (metrics, looks): (Arc<ServerMetrics>, Arc<Looks>),
        (lookups, own_data): (Lookups, Option<Arc<OwnData>>),
    ) -> Self {
        let (routes, snippets, opt_out) = (Routes::new(PROTOCOLS), Snippets::default(), OptOutPage::new());
        let transparency = TransparencyPage::new();
        Self { pipeline, addresses, limiter, pages, metrics, looks, routes, snippets, opt_out, transparency, lookups, own_data }
    }

    /// Answers one request, counts the answer, and writes its line of the access log: nothing in it was chosen by the client.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Response<ReplyBody> {
        let logged = tracing::enabled!(tracing::Level::DEBUG).then(|| (Instant::now(), method_name(request.method())));
        let mut route = "none";
        let response = match self.decide(&request, &peer, &mut route) {
            Decision::Answer(response) => response,
            Decision::Receive(admitted) => self.receive(request, admitted).await,
        };
        let status = response.status();
        self.metrics.answered(status);
        if let Some((begun, method)) = logged {
            let duration_ms = begun.elapsed().as_secs_f64() * 1e3;
            tracing::debug!(method, route, status = status.as_u16(), duration_ms, "request answered");
        }
        response
    }

    /// All that can be said from a request's head.
    fn decide(&self, request: &Request<Incoming>, peer: &Peer, route: &mut &'static str) -> Decision {
        let (uri, headers) = (request.uri(), request.headers());
        if uri.path().len() + uri.query().map_or(0, str::len) > URI_BYTES {
            return sentence(StatusCode::URI_TOO_LONG, "The address is longer than 8 KiB.\n").into();
        }
        if headers.len() > HEADER_FIELDS {
            return sentence(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "There are more than 100 header fields.\n").into();
        }
        let Some(authority) = authority(request) else {
            return sentence(StatusCode::BAD_REQUEST, "The request does not name its host.\n").into();
        };
        let host = host(authority);
        let documents = self.pipeline.documents.load();
        let (site, endpoint) = match documents.site_of(&host, uri.path()) {
            Some((site, below)) => (site, self.routes.find(site, below)),
            None => match documents.by_host.get(host.as_ref()).and_then(|sites| sites.first()) {
                Some(site) => (site, None),
                None => return sentence(StatusCode::NOT_FOUND, "No site is served under this host name.\n").into(),
            },
        };
        let Some(endpoint) = endpoint else {
            if uri.path() == GPC_PATH {
                *route = GPC_PATH;
                return gpc_support(request.method(), &documents, &host).into();
            }
            return self.page(request, peer, site, route).into();
        };
        *route = endpoint.template;

        let client = self.addresses.believe(peer, headers);
        let secure = is_secure(&client, &host);
        let origin = Origin::of(headers, site, authority, secure);
        let mut response = match endpoint.target(request.method()) {
            _ if request.method() == Method::OPTIONS => {
                let mut response = endpoint.bare(StatusCode::NO_CONTENT, "");
                origin.tell_preflight(response.headers_mut(), endpoint);
                response
            }
            None => endpoint.bare(StatusCode::METHOD_NOT_ALLOWED, "This address does not take this method.\n"),
            Some(Target::Snippet) => self.snippets.serve(site, headers),
            Some(Target::OptOut) => self.opt_out.serve(headers),
            Some(Target::Look) => self.look(uri.path(), peer, headers),
            Some(Target::Bait) => endpoint.bare(StatusCode::NO_CONTENT, ""),
            Some(Target::Receive(work))
                if origin == Origin::Foreign
                    && !matches!(work, Work::Transparency(Wish::See) | Work::OwnData(Step::See))
                    && holds(Rule::OwnOriginsOnly) =>
            {
                let reply = Reply::text(StatusCode::FORBIDDEN, "Pages of this origin may not send to this site.\n");
                self.turn_away(site, Refusal::ForeignOrigin, reply)
            }
            Some(Target::Receive(Work::Lookup)) if !origin.is_same(authority, secure) => {
                endpoint.bare(StatusCode::FORBIDDEN, "A page asks its own origin for this.\n")
            }
            Some(Target::Receive(work)) => match work.quota(self.limiter.quota(client.key, site.number)).take(work.cost()) {
                Err(wait) => self.turn_away(site, Refusal::OverQuota, over_quota(wait)),
                Ok(()) => {
                    let site = Arc::clone(site);
                    return Decision::Receive(Admitted { site, client, secure, origin, work });
                }
            },
        };
        origin.tell(response.headers_mut());
        Decision::Answer(response)
    }

    /// `doctor` brings a word; for whoever was given none, there is nothing here.
    fn look(&self, path: &str, peer: &Peer, headers: &HeaderMap) -> Response<ReplyBody> {
        let word = path.rsplit('/').next().unwrap_or_default();
        let mut response = if self.looks.come_in(word, |own| self.addresses.whence(peer, headers, own)) {
            respond(Reply::status(StatusCode::NO_CONTENT))
        } else {
            sentence(StatusCode::NOT_FOUND, "There is nothing at this address.\n")
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Takes an admitted request's body in and hands it to the line.
    async fn receive(&self, request: Request<Incoming>, admitted: Admitted) -> Response<ReplyBody> {
        let Admitted { site, client, secure, origin, work } = admitted;
        let (head, mut body) = request.into_parts();
        let collected = collect(&mut body).await;
        if collected == Err(BodyError::TooLarge) && head.version == Version::HTTP_2 {
            discard(&mut body).await;
        }
        let mut response = match collected.and_then(|body| decompress(body, &head.headers)) {
            // The client went away: nothing came in that could be counted.
            Err(BodyError::Cut) => respond(BodyError::Cut.reply()),
            Err(unusable) => self.turn_away(&site, Refusal::Undecodable, unusable.reply()),
            Ok(body) => {
                let languages = head.headers.get(header::ACCEPT_LANGUAGE).cloned();
                let inbound = Inbound::new(head.uri, head.headers, body, client.address, secure, clock::now());
                match work {
                    Work::Transparency(wish) => Box::pin(self.transparency.answer(&self.pipeline, &site, &inbound, wish)).await,
                    Work::OwnData(step) => match &self.own_data {
                        Some(page) => Box::pin(page.answer(&self.pipeline, &site, &inbound, languages.as_ref(), step)).await,
                        None => sentence(StatusCode::NOT_FOUND, "There is nothing at this address.\n"),
                    },
                    Work::Ticket => respond(Box::pin(ticket::answer(&self.pipeline, &site, &inbound)).await),
                    Work::Lookup => respond(Box::pin(self.lookups.answer(&self.pipeline, &site, &inbound)).await),
                    Work::Protocol(_, Action::Serve(serve)) => respond(serve(&site, &inbound)),
                    Work::Protocol(protocol, Action::Collect) => {
                        let quota = work.quota(self.limiter.quota(client.key, site.number));
                        // A backend speaks for all of a site's visitors from one address; that it is the site's is asked before it is charged.
                        let quota = if protocol.is_backend() { quota.of_site() } else { quota };
                        // The first event was taken at admission.
                        let charge = |events: usize| {
                            let more = u32::try_from(events.saturating_sub(1)).unwrap_or(u32::MAX);
                            quota.take(more).map_err(|RetryAfter(wait)| wait)
                        };
                        let Ingested { reply, cookies } = self.pipeline.ingest(&site, protocol, inbound, charge).await;
                        let mut response = respond(reply);
                        for cookie in cookies {
                            cookie.append_to(response.headers_mut());
                        }
                        response
                    }
                }
            }
        };
        if holds(Rule::CookiesAreNotCached) {
            response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        }
        origin.tell(response.headers_mut());
        response
    }

    /// Refuses a request, and counts that.
    fn turn_away(&self, site: &Site, refusal: Refusal, reply: Reply) -> Response<ReplyBody> {
        self.pipeline.refuse(site, refusal, 1);
        respond(reply)
    }

    /// What is at a path that no route has.
    fn page(&self, request: &Request<Incoming>, peer: &Peer, site: &Site, route: &mut &'static str) -> Response<ReplyBody> {
        let method = request.method();
        let sign_for = |account: &str, ends: i64| {
            let client = self.addresses.believe(peer, request.headers());
            let secure = is_secure(&client, &host(authority(request)?));
            let (uri, headers) = (request.uri().clone(), request.headers().clone());
            let inbound = Inbound::new(uri, headers, Bytes::new(), client.address, secure, clock::now());
            let arrival = inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default());
            identity::signature(site.identify_secret.as_ref()?, account, &arrival, ends)
        };
        let Some(page) = self.pages.as_ref().and_then(|pages| pages(request.uri().path(), site, &sign_for)) else {
            return sentence(StatusCode::NOT_FOUND, "There is nothing at this address.\n");
        };
        *route = "page";
        if method == Method::GET || method == Method::HEAD {
            return respond(page);
        }
        let mut response = sentence(StatusCode::METHOD_NOT_ALLOWED, "This address does not take this method.\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    }
}

/// A proxy that does not say how it was reached is taken to be reached by https, except on this very machine: a cookie that goes without
/// `Secure` is worse than one that a browser does not take.
fn is_secure(client: &Client, host: &str) -> bool {
    client.secure || !is_loopback(host)
}

/// Global Privacy Control is honoured on every host of every site; since when the newest of its documents says so.
fn gpc_support(method: &Method, documents: &Documents, host: &str) -> Response<ReplyBody> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = sentence(StatusCode::METHOD_NOT_ALLOWED, "This address does not take this method.\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let sites = documents.by_host.get(host).into_iter().flatten();
    let changed = sites.filter_map(|site| documents.changed_at(site.number)).max();
    let body = match changed {
        Some(at) => format!("{{\"gpc\": true, \"lastUpdate\": \"{}\"}}\n", day(at)),
        None => String::from("{\"gpc\": true}\n"),
    };
    let mut reply = Reply::text(StatusCode::OK, body);
    reply.headers = vec![(header::CONTENT_TYPE, Cow::Borrowed("application/json")), (header::CACHE_CONTROL, Cow::Borrowed("max-age=3600"))];
    respond(reply)
}

fn sentence(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    respond(Reply::text(status, text))
}

fn over_quota(wait: RetryAfter) -> Reply {
    let mut reply = Reply::text(StatusCode::TOO_MANY_REQUESTS, "Too many events. Please send them later.\n");
    reply.headers.push((header::RETRY_AFTER, Cow::Owned(wait.seconds().to_string())));
    reply
}

/// The host and port that a request names: HTTP/2 and absolute addresses in the address itself, others in `Host`, once.
fn authority(request: &Request<Incoming>) -> Option<&str> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    host.to_str().ok()
}

/// The host of an authority: without port and final dot, in lower case.
fn host(authority: &str) -> Cow<'_, str> {
    let host = match authority.find(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or_default(),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) { Cow::Owned(host.to_ascii_lowercase()) } else { Cow::Borrowed(host) }
}

/// Whether a host name means this very machine, where plain HTTP is as good as TLS.
fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A method's name for the log: a client may make names up.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [(Method, &str); 7] = [
        (Method::POST, "POST"),
        (Method::GET, "GET"),
        (Method::OPTIONS, "OPTIONS"),
        (Method::HEAD, "HEAD"),
        (Method::PUT, "PUT"),
        (Method::DELETE, "DELETE"),
        (Method::PATCH, "PATCH"),
    ];
    KNOWN.iter().find(|(known, _)| known == method).map_or("other", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_ports_and_spellings() {
        let table = [
            ("www.shop.example", "www.shop.example"),
            ("WWW.Shop.Example:8443", "www.shop.example"),
            ("www.shop.example.", "www.shop.example"),
            ("www.shop.example.:443", "www.shop.example"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("user@www.shop.example", "user@www.shop.example"),
            (":80", ""),
            ("", ""),
        ];
        for (authority, expected) in table {
            assert_eq!(host(authority), expected, "{authority}");
        }
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_that_sounds_like_it() {
        for host in ["localhost", "shop.localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "notlocalhost", "127.0.0.1.example", "[::2]", "10.0.0.1", "", "[", "::2"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn what_waits_for_an_answer_is_small() {
        fn bytes<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        // hyper moves it into place for every request.
        assert!(bytes(Router::answer) <= 4 * 1024, "{}", bytes(Router::answer));
    }

    #[test]
    fn a_made_up_method_is_not_logged() {
        assert_eq!(method_name(&Method::from_bytes(b"JANE").expect("a token")), "other");
        assert_eq!(method_name(&Method::POST), "POST");
    }
}
