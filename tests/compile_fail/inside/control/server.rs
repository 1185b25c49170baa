//! What the server may do with a visitor's address: seal it, and hand it on.

use crate::{
    clock::Timestamp,
    privacy::{personal::Personal, raw::ClientAddress},
    protocol::inbound::Inbound,
};

/// Seals and hands on.
pub(crate) fn hand_on(head: http::request::Parts, address: std::net::IpAddr) -> Inbound {
    Inbound::new(head, String::new(), bytes::Bytes::new(), Personal::new(ClientAddress::new(address)), Timestamp(0))
}
