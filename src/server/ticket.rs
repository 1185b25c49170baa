//! The ticket of a visit, for a page that asks: the shop keeps it with an order, and its backend says it with the event of that order.

use http::StatusCode;

use crate::{
    documents::Site,
    pipeline::Pipeline,
    privacy::consent::{ConsentSignal, evidence::Evidence},
    protocol::{Reply, inbound::Inbound},
};

/// A ticket as text; or 204, where there is none for this browser.
pub(super) async fn answer(pipeline: &Pipeline, site: &Site, inbound: &Inbound) -> Reply {
    let arrival = inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default());
    match pipeline.visitors.ticket(&arrival, site, inbound.received()).await {
        Ok(Some(ticket)) => Reply::text(StatusCode::OK, ticket),
        Ok(None) => Reply::status(StatusCode::NO_CONTENT),
        Err(_) => Reply::text(StatusCode::SERVICE_UNAVAILABLE, "That cannot be done now. Please try again in a moment.\n"),
    }
}
