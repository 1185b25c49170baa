//! The native protocol's decoder on any body: it ends, panics at nothing, stays within its bounds, and names only places that exist.
#![no_main]

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
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// More events than that are refused as a whole.
const EVENTS_MAX: usize = 50;

fuzz_target!(|body: &[u8]| {
    let protocol = PROTOCOLS.iter().find(|protocol| protocol.name() == "native").expect("the protocol is in the table");
    let address = Personal::new(ClientAddress::new(Ipv4Addr::LOCALHOST.into()));
    let inbound = Inbound::new(http::Uri::from_static("/e"), HeaderMap::new(), Bytes::copy_from_slice(body), address, true, NOW);
    let decoded = protocol.decode(&inbound, NOW);
    assert!(decoded.events.len() <= EVENTS_MAX && decoded.bad.len() <= EVENTS_MAX);
    assert!(decoded.hints.events == 0 || decoded.events.len() + decoded.bad.len() == decoded.hints.events);
    for (_, error) in &decoded.bad {
        assert!(error.byte.is_none_or(|byte| byte <= body.len()), "a place beyond the body");
    }
    let names = CookieNames::new("w", None, &[]);
    let arrival = inbound.arrival(&names, decoded.signal, Default::default());
    for event in &decoded.events {
        let shape = Shape::of(event, &arrival);
        assert!(shape.fields.iter().all(|(_, length)| *length <= body.len()), "a field longer than the body");
    }
    let bad = decoded.bad.clone();
    let reply = protocol.reply(&decoded.hints, &Outcome { bad, ..Outcome::default() });
    assert!(reply.status.is_success() || reply.status.is_client_error());
});
