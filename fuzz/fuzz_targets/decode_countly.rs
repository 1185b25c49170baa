//! The decoder of Countly's SDKs.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("countly", "/k/c/i?", request));
