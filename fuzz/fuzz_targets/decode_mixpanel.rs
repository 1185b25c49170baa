//! The decoder of Mixpanel's libraries.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("mixpanel", "/k/m/track?", request));
