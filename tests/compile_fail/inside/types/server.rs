//! The server looks at what it only carries.

use crate::{
    privacy::{personal::Personal, raw::ClientAddress},
    protocol::inbound::Inbound,
};

/// Opens the address.
pub(crate) fn open(address: &Personal<ClientAddress>) -> String {
    address.expose().ip().to_string() //~ E0624
}

/// Reads the body.
pub(crate) fn read(request: &Inbound) -> usize {
    request.body().len() //~ E0624
}

/// Writes the request down.
pub(crate) fn write(request: &Inbound) -> String {
    format!("{request:?}") //~ E0277
}
