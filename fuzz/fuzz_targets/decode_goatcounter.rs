//! The decoder of GoatCounter's script.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("goatcounter", "/k/count?p=a&", request));
