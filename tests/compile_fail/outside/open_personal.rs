//! Opens what is sealed.

use firsthand::privacy::{personal::Personal, raw::ClientAddress};

fn main() {
    let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
    address.expose();
}
