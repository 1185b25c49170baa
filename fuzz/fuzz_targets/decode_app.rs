//! The decoder of a site's own app.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("app", "/k/v1/app?", request));
