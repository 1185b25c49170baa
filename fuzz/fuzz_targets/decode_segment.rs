//! The Segment protocol's decoder on any body, as a single call, as a batch and as a pixel's address: it ends, panics at nothing, stays within its bounds, and
//! names only places that exist.
#![no_main]

use std::net::Ipv4Addr;

use bytes::Bytes;
use firsthand::{
    clock::Timestamp,
    privacy::{personal::Personal, raw::ClientAddress},
    protocol::{Outcome, PROTOCOLS, inbound::Inbound},
};
use http::{HeaderMap, Uri};
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// More calls than that are refused as a whole.
const EVENTS_MAX: usize = 250;
/// Further products of one event are not looked at.
const ITEMS_MAX: usize = 200;
/// Further fields of one object are only counted.
const FIELDS_MAX: usize = 100;

fuzz_target!(|body: &[u8]| {
    let protocol = PROTOCOLS.iter().find(|protocol| protocol.name() == "segment").expect("the protocol is in the table");
    let of_pixels = ["/v1/pixel/track?data=", "/v1/pixel/page?"].into_iter().filter_map(|start| pixel(start, body));
    for uri in ["/v1/t", "/v1/p", "/v1/b"].map(Uri::from_static).into_iter().chain(of_pixels) {
        let address = Personal::new(ClientAddress::new(Ipv4Addr::LOCALHOST.into()));
        let inbound = Inbound::new(uri, HeaderMap::new(), Bytes::copy_from_slice(body), address, true, NOW);
        let decoded = protocol.decode(&inbound, NOW);
        assert!(decoded.events.len() <= EVENTS_MAX && decoded.bad.len() <= EVENTS_MAX);
        assert!(decoded.hints.events == 0 || decoded.events.len() + decoded.bad.len() == decoded.hints.events);
        for (_, error) in &decoded.bad {
            assert!(error.byte.is_none_or(|byte| byte <= body.len()), "a place beyond the body");
        }
        for event in &decoded.events {
            assert!(event.items.len() <= ITEMS_MAX && event.properties.len() <= FIELDS_MAX);
            assert!(event.time.is_none_or(|time| time.0 <= NOW.0), "an event of tomorrow");
        }
        let bad = decoded.bad.clone();
        let reply = protocol.reply(&decoded.hints, &Outcome { bad, ..Outcome::default() });
        assert!(reply.status.is_success() || reply.status.is_client_error());
    }
});

/// A pixel's address, where these bytes can stand in one.
fn pixel(start: &str, query: &[u8]) -> Option<Uri> {
    Uri::from_maybe_shared(Bytes::from([start.as_bytes(), query].concat())).ok()
}
