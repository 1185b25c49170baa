//! The decoder of a site's own backend.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("server", "/k/v1/events?", request));
