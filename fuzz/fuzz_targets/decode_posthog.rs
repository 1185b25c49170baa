//! The decoder of PostHog's SDKs.
#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &[u8])| decoding::decode("posthog", "/k/e/?", request));
