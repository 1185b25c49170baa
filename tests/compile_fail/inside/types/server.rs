//! The server tries to look at what it carries.

use crate::{
    privacy::{personal::Personal, raw::ClientAddress},
    protocol::inbound::Inbound,
};

/// Opens the address.
pub(crate) fn open(address: &Personal<ClientAddress>) -> String {
    address.expose().ip().to_string() //~ E0624
}

/// Reads the body, and a header.
pub(crate) fn read(request: &Inbound) -> (usize, bool) {
    (request.body().len(), request.headers.contains_key("cookie")) //~ E0624 E0616
}

/// Writes the request down.
pub(crate) fn write(request: &Inbound) -> String {
    format!("{request:?}") //~ E0277
}
