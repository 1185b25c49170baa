//! A record's header from any bytes: what can be read says the same when it is written again.
#![no_main]

use firsthand::privacy::record::{HEADER_BYTES, Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = Header::decode(bytes) else { return };
    assert!(bytes.len() >= HEADER_BYTES, "a header out of too few bytes");
    let written = header.encode();
    let again = Header::decode(&written).expect("what was written can be read");
    assert_eq!(written, again.encode(), "reading and writing change a header");
});
