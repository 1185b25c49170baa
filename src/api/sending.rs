//! Events that come over the API: the line of `POST <prefix>/v1/events` takes them in, with everything that it asks and answers; the API's key
//! stands in the place of the backend's.

use std::{net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    authority::Authority,
    call::{Answer, Call},
    problem::Problem,
};
use crate::{
    pipeline::Pipeline,
    privacy::{personal::Personal, raw::ClientAddress},
    protocol::{PROTOCOLS, inbound::Inbound, server},
};

/// What became of each event, as `POST <prefix>/v1/events` says it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Sent {
    /// How many are durable.
    stored: u64,
    /// Each by its place: `stored`, `refused` with a reason, or `unreadable` with a reason and a byte.
    results: Vec<Map<String, Value>>,
}

/// One of Segment's calls, or `{"batch": […]}` of up to 1,000: docs/server-events.md.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "it describes a body that the line reads itself")]
pub(super) struct Calls(Map<String, Value>);

/// Takes them in.
pub(super) async fn send(
    pipeline: &Pipeline,
    authority: &Authority,
    call: &Call,
    (uri, headers, body): (Uri, HeaderMap, Bytes),
) -> Result<Answer, Problem> {
    let protocol = PROTOCOLS.iter().find(|protocol| protocol.name() == server::NAME).ok_or_else(Problem::not_found)?;
    // A backend's address is nobody's, and no one looks at it.
    let address = Personal::new(ClientAddress::new(Ipv4Addr::UNSPECIFIED.into()));
    let inbound = Inbound::new(uri, headers, body, address, true, call.now).of_admitted_backend();
    let charge = |events: usize| authority.charge(&call.key, events);
    let reply = Box::pin(pipeline.ingest(&call.site, *protocol, inbound, charge)).await.reply;
    if reply.status == StatusCode::OK {
        return Ok(Answer { status: StatusCode::OK, body: reply.body.into_owned() });
    }
    let wait = reply.headers.iter().find(|(name, _)| *name == header::RETRY_AFTER).and_then(|(_, value)| value.parse().ok());
    Err(Problem::of_line(reply.status, &reply.body, wait.map(Duration::from_secs)))
}
