//! The profile API: JSON over HTTP on the admin listener below `/api/v1`, with keys of its own. docs/profile-api.md is for who uses it.
//!
//! ```text
//! request → no page of a website → key (authority) → route (routes) → scope → body → carried out (reading, contacting, answering, deciding, erasing, sending)
//! ```
//! In this order, so that whoever has no key learns nothing at all, and who has one nothing beyond its site and scopes. Whatever is shown, changed or
//! erased is written down before (`profile::audit`). Everything that can be asked stands in one table (`routes`), which the OpenAPI document is
//! made from, too.

mod answering;
mod authority;
mod call;
mod contacting;
mod deciding;
mod desk;
mod erasing;
pub mod openapi;
mod problem;
mod reading;
mod routes;
mod sending;
mod whom;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use self::{
    authority::Authority,
    call::{Answer, Call, Query},
    problem::Problem,
    routes::{Lead, Route, Work},
};
pub use self::{
    desk::{Desk, Large},
    routes::BASE,
};
use crate::{
    clock,
    console::own_host,
    pipeline::Pipeline,
    server::{ReplyBody, collect, decompress},
    supervise::Supervisor,
};

/// Requests with a valid key that are under way at a time: each may hold a body of 256 KiB.
const UNDER_WAY_MAX: usize = 64;

/// What all addresses of APIs begin with, whatever version they name.
const PREFIX: &str = "/api/";

/// From where a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Over the admin listener: from this machine, and by a name of its loopback.
    ThisMachine,
    /// Over the API's own listener, from a network that it answers to.
    OfItsNetworks,
    /// Over that, from another one.
    Elsewhere,
}

/// Answers the API's requests.
pub struct Api {
    pipeline: Arc<Pipeline>,
    desk: Arc<Desk>,
    supervisor: Supervisor,
    authority: Authority,
    under_way: Semaphore,
}

impl Api {
    /// With these parts.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, desk: Desk, supervisor: Supervisor) -> Self {
        Self { pipeline, desk: Arc::new(desk), supervisor, authority: Authority::new(), under_way: Semaphore::new(UNDER_WAY_MAX) }
    }

    /// Whether a path is one for it.
    #[must_use]
    pub fn is_for(path: &str) -> bool {
        path.starts_with(PREFIX) || path == "/api"
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Incoming>, caller: Caller) -> Response<ReplyBody> {
        let mut response = match Box::pin(self.answer(request, caller)).await {
            Ok(Answer { status, body }) => {
                let mut response = Response::new(ReplyBody::whole(Bytes::from(body)));
                *response.status_mut() = status;
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(problem) => problem.respond(),
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        response
    }

    async fn answer(&self, request: Request<Incoming>, caller: Caller) -> Result<Answer, Problem> {
        match caller {
            Caller::ThisMachine if !own_host::is_ours(&request) => return Err(Problem::misdirected()),
            Caller::Elsewhere => return Err(Problem::from_elsewhere()),
            Caller::ThisMachine | Caller::OfItsNetworks => {}
        }
        if is_of_a_page(request.headers()) {
            return Err(Problem::foreign_page());
        }
        let now = clock::now();
        let documents = self.pipeline.documents.load_full();
        let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = self.authority.admit(authorization, &documents, now)?;
        let Ok(_place) = self.under_way.try_acquire() else { return Err(Problem::later("too many requests are under way")) };
        let (head, mut body) = request.into_parts();
        let (route, id) = match routes::find(&head.method, head.uri.path()) {
            Lead::Route(route, id) => (route, id.map(str::to_owned)),
            Lead::Methods(methods) => return Err(Problem::other_method(methods)),
            Lead::Nowhere => return Err(Problem::not_found()),
        };
        if !route.scope.is_none_or(|scope| key.may(scope)) {
            return Err(Problem::wrong_scope());
        }
        let site = documents.site(key.site).cloned().ok_or_else(Problem::not_found)?;
        let query = Query::read(head.uri.query(), route.parameters)?;
        let body = if route.body.is_some() { taken(&head, &mut body).await? } else { Bytes::new() };
        let call = Call { key, documents, site, id, query, body, now };
        self.carry_out(route, call, head).await
    }

    async fn carry_out(&self, route: &'static Route, mut call: Call, head: Parts) -> Result<Answer, Problem> {
        match route.work {
            Work::Look(look) => {
                let desk = Arc::clone(&self.desk);
                self.supervisor.blocking(move || look(&desk, &call)).await
            }
            Work::Send => {
                let body = std::mem::take(&mut call.body);
                sending::send(&self.pipeline, &self.authority, &call, (head.uri, head.headers, body)).await
            }
            Work::Describe => Ok(Answer { status: StatusCode::OK, body: openapi::document().to_string().into_bytes() }),
        }
    }
}

/// Whether a page in a browser asks. None has a key; and none is to have this machine carry out something for it.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.get("sec-fetch-site").is_some_and(|site| site != "none")
}

/// A body of JSON, within the bounds that the public listeners have.
async fn taken(head: &Parts, body: &mut Incoming) -> Result<Bytes, Problem> {
    let is_json = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|said| said.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")));
    if !is_json {
        return Err(Problem::other_type());
    }
    collect(body).await.and_then(|body| decompress(body, &head.headers)).map_err(Problem::of_body)
}
