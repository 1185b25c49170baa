//! The server makes a visitor's token itself, and decides for the visitor.

use crate::{
    event::Purposes,
    privacy::consent::{ConsentState, Decision},
    privacy::keys::mac::mac128, //~ E0603
};

/// From the address, under a key of its own.
pub(crate) fn token(address: &[u8]) -> [u8; 16] {
    mac128(&[0; 32], &[address])
}

/// Says yes in the visitor's name.
pub(crate) fn agree() -> Decision {
    Decision(ConsentState::Granted(Purposes::ANALYTICS)) //~ E0423
}
