//! The admin listener's pages: health, metrics, live view. On a listener of its own, loopback only until access to it is configured.

pub mod feed;
