//! The decoder of Matomo's hits on any query and body: it ends, panics at nothing, stays within its bounds, and names only places that exist.
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
use http::{HeaderMap, Uri};
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// More hits than that are refused as a whole; one that shows a product is two events.
const EVENTS_MAX: usize = 2 * 250;

fuzz_target!(|request: (&str, &[u8])| {
    let (query, body) = request;
    let Ok(uri) = Uri::try_from(format!("/keso/matomo.php?rec=1&{query}")) else { return };
    let protocol = PROTOCOLS.iter().find(|protocol| protocol.name() == "matomo").expect("the protocol is in the table");
    let address = Personal::new(ClientAddress::new(Ipv4Addr::LOCALHOST.into()));
    let inbound = Inbound::new(uri, HeaderMap::new(), Bytes::copy_from_slice(body), address, true, NOW);
    let decoded = protocol.decode(&inbound, NOW);
    assert!(decoded.events.len() <= EVENTS_MAX && decoded.bad.len() <= EVENTS_MAX);
    assert!(decoded.hints.events == 0 || decoded.events.len() + decoded.bad.len() == decoded.hints.events);
    for (_, error) in &decoded.bad {
        assert!(error.byte.is_none_or(|byte| byte <= body.len()), "a place beyond the body");
    }
    let names = CookieNames::new("a", None, &[]);
    let arrival = inbound.arrival(&names, decoded.signal, Default::default());
    // The id that recognises a retry is made of parts: their separators and the place in the batch come on top.
    let longest = query.len() + body.len() + 16;
    for event in &decoded.events {
        assert!(event.items.len() <= 200 && event.vendor_fields.len() <= 100);
        assert!(Shape::of(event, &arrival).fields.iter().all(|(_, length)| *length <= longest), "a field longer than the request");
    }
    let bad = decoded.bad.clone();
    let reply = protocol.reply(&decoded.hints, &Outcome { bad, ..Outcome::default() });
    assert!(reply.status.is_success() || reply.status.is_client_error());
});
