//! Tests over real sockets: what a client sees.

mod answers;
mod encrypted;
pub(super) mod fixture;
mod sockets;
mod transparency;
