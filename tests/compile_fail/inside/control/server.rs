//! What the server may do with a visitor's address: seal it, and carry it.

use std::net::IpAddr;

use crate::privacy::{personal::Personal, raw::ClientAddress};

/// Seals it.
pub(crate) fn seal(address: IpAddr) -> Personal<ClientAddress> {
    Personal::new(ClientAddress::new(address))
}
