//! The decoder of Umami's tracker.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("umami", "/k/api/send?", request));
