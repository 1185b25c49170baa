//! Forwarding headers of any form: nobody whose word is not trusted changes who they are taken for, and trusting ends at the first stranger.
#![no_main]

use std::net::SocketAddr;

use firsthand::server::client_address::{ClientAddresses, Peer};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|lines: Vec<&[u8]>| {
    let proxies: [IpNet; 2] = ["10.0.0.0/8".parse().expect("a network"), "fd00::/8".parse().expect("a network")];
    let addresses = ClientAddresses::new(&proxies, None);
    let stranger = Peer::new(SocketAddr::from(([203, 0, 113, 7], 40_000)), false);
    let proxy = Peer::new(SocketAddr::from(([10, 0, 0, 1], 40_000)), false);

    let mut headers = HeaderMap::new();
    let alone = addresses.believe(&stranger, &headers).key;
    for line in &lines {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("x-forwarded-for", value);
        }
    }
    let said = addresses.believe(&stranger, &headers);
    assert!(said.key == alone && !said.secure, "a stranger's word about itself was believed");

    // Whatever a client wrote, what our own proxy adds at the right decides.
    headers.append("x-forwarded-for", HeaderValue::from_static("198.51.100.9"));
    let forwarded = addresses.believe(&proxy, &headers).key;
    let direct = addresses.believe(&Peer::new(SocketAddr::from(([198, 51, 100, 9], 40_000)), false), &HeaderMap::new()).key;
    assert!(forwarded == direct, "a spoofed address won over the proxy's");
});
