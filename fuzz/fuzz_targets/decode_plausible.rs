//! The decoder of Plausible's script.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("plausible", "/k/api/event?", request));
