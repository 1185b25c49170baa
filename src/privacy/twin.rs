//! Twins: one purchase, of which the page tells and the site's backend too. Where a site's document says that its backend sends purchases, each
//! destination gets one of the two: the backend's, whenever it may have it.
//!
//! The two find each other by the order: a backend's purchase has an event id that follows from its order's alone, under the site's key, so that
//! the log itself knows whether it is there. A browser cannot make such an id: it can neither take a backend's purchase's place nor change it, and
//! whose order it is makes no difference to that.

use std::time::Duration;

use super::{clean::CleanEvent, keys::persistent::SiteKey, record::Header};
use crate::{
    clock::Timestamp,
    documents::{Basis, Destination, Site},
    event::EventId,
    protocol::server,
};

/// The one event whose twin is looked for.
const PURCHASE: &str = "purchase";

/// What becomes of an event at a destination, beside its twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::privacy) enum Twin {
    /// It has none, or none is looked for.
    None,
    /// It is a page's, and the backend's is not there yet: until then it waits for it.
    Awaited(Timestamp),
    /// It is a page's, and the backend's is there.
    There,
    /// It is a page's and tells of no order: the backend's tells as much.
    Left,
}

/// The id of a backend's purchase. Retries of it and calls with another id of their own are the same event.
pub(in crate::privacy) fn id_of_backends(key: &SiteKey, transaction: &str, consented: bool) -> EventId {
    key.order_id(transaction, consented)
}

/// Whether an event is a purchase that a backend tells of, on a site whose document says that it tells of all.
pub(in crate::privacy) fn is_backends(name: &str, protocol: &str, site: &Site) -> bool {
    site.twin_wait.is_some() && protocol == server::NAME && name == PURCHASE
}

/// What becomes of it. `is_known`: whether the log holds an event of that id.
pub(in crate::privacy) fn twin(
    event: &CleanEvent,
    site: &Site,
    destination: &Destination,
    key: &SiteKey,
    now: Timestamp,
    is_known: impl Fn(EventId) -> bool,
) -> Twin {
    let (header, body) = (event.header(), event.body());
    let Some(wait) = site.twin_wait.filter(|_| body.name == PURCHASE && body.protocol != server::NAME) else { return Twin::None };
    let Some(granted) = body.granted.as_deref() else { return Twin::Left };
    // A vendor that a consent string decides on gets nothing of a backend's: no string comes with it.
    if destination.tcf_vendor.is_some() {
        return Twin::None;
    }
    let Some(transaction) = granted.transaction.as_deref() else { return Twin::None };
    let of_somebody = is_known(id_of_backends(key, transaction, true));
    let of_nobody = || destination.basis == Basis::ExemptMeasurement && is_known(id_of_backends(key, transaction, false));
    match until(header, wait) {
        _ if of_somebody || of_nobody() => Twin::There,
        until if now < until => Twin::Awaited(until),
        _ => Twin::None,
    }
}

fn until(header: &Header, wait: Duration) -> Timestamp {
    header.received.plus(wait)
}
