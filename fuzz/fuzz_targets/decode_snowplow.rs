//! The decoder of Snowplow's trackers.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("snowplow", "/k/x/tp2?", request));
