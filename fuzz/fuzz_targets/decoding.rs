//! What every decoder of a vendor's dialect is held to, on any query and body: it ends, panics at nothing, stays within its bounds, and names
//! only places that exist.

use std::net::Ipv4Addr;

use bytes::Bytes;
use firsthand::{
    clock::Timestamp,
    privacy::{personal::Personal, raw::ClientAddress, shape::Shape},
    protocol::{
        Outcome, PROTOCOLS,
        cookies::CookieNames,
        inbound::Inbound,
    },
};
use http::{HeaderMap, Uri};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// More than that are refused as a whole; a hit that shows a product is two events.
const EVENTS_MAX: usize = 2 * 250;

/// Passes a request to the protocol of that name. `start` is the path and the beginning of the query.
pub fn decode(name: &str, start: &str, (query, body): (&str, &[u8])) {
    let Ok(uri) = Uri::try_from(format!("{start}{query}")) else { return };
    let protocol = PROTOCOLS.iter().find(|protocol| protocol.name() == name).expect("the protocol is in the table");
    let address = Personal::new(ClientAddress::new(Ipv4Addr::LOCALHOST.into()));
    let inbound = Inbound::new(uri, HeaderMap::new(), Bytes::copy_from_slice(body), address, true, NOW);
    let decoded = protocol.decode(&inbound, NOW);
    assert!(decoded.events.len() <= EVENTS_MAX && decoded.bad.len() <= EVENTS_MAX);
    for (_, error) in &decoded.bad {
        assert!(error.byte.is_none_or(|byte| byte <= body.len().max(4 * query.len())), "a place beyond the body");
    }
    let arrival = inbound.arrival(&CookieNames::new("a", None, &[]), decoded.signal, Default::default());
    for event in &decoded.events {
        assert!(event.items.len() <= 200 && event.properties.len() <= 128 && event.vendor_fields.len() <= 100);
        // Unpacked, a body may be as large as one that says its encoding.
        assert!(Shape::of(event, &arrival).fields.iter().all(|(_, length)| *length <= 512 * 1024), "a field longer than any body");
    }
    let bad = decoded.bad.clone();
    let reply = protocol.reply(&decoded.hints, &Outcome { bad, ..Outcome::default() });
    assert!(reply.status.is_success() || reply.status.is_client_error());
}
