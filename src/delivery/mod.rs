pub mod backoff;
pub mod breaker;
pub mod carrier;
pub mod consumer;
pub mod ledger;
pub mod offsets;
pub mod parking;

/// Lanes per destination.
pub const LANES: usize = 8;
