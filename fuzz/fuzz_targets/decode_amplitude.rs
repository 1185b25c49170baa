//! The decoder of Amplitude's SDKs.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("amplitude", "/k/2/httpapi?", request));
