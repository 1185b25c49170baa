//! The decoder of Meta's pixel.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("meta", "/k/tr?ev=PageView&", request));
