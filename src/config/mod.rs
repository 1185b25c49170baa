//! `firsthand.toml` → the typed, validated configuration of this machine.

pub mod secret;
