//! The decoder of Matomo's trackers.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("matomo", "/k/matomo.php?rec=1&", request));
