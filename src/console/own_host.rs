//! Which names this listener answers to. A page of another site can make a browser ask 127.0.0.1 under that site's own name (DNS rebinding),
//! and would then read the answer: so only loopback names and addresses are taken.

use std::net::IpAddr;

use http::{Request, header, uri::Authority};

/// Whether the request names this machine's loopback: `localhost`, a name below it, or a loopback address, with any port.
pub(crate) fn is_ours<B>(request: &Request<B>) -> bool {
    // HTTP/2 has the name in the request's address, HTTP/1.1 in its Host header.
    if let Some(authority) = request.uri().authority() {
        return is_loopback(authority.host());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    Authority::try_from(host.as_bytes()).is_ok_and(|authority| is_loopback(authority.host()))
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = address.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_ours() {
        let cases = [
            ("localhost:8081", true),
            ("LOCALHOST", true),
            ("admin.localhost:8081", true),
            ("127.0.0.1:8081", true),
            ("127.9.9.9", true),
            ("[::1]:8081", true),
            ("attacker.example:8081", false),
            ("localhost.attacker.example", false),
            ("127.0.0.1.attacker.example", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]", false),
            ("user@attacker.example", false),
            ("", false),
        ];
        for (host, ours) in cases {
            let request = Request::builder().uri("/").header(header::HOST, host).body(()).unwrap();
            assert_eq!(is_ours(&request), ours, "{host}");
        }
        assert!(!is_ours(&Request::builder().uri("/").body(()).unwrap()), "no name at all");
        assert!(is_ours(&Request::builder().uri("http://localhost:8081/").body(()).unwrap()), "HTTP/2");
        let twice = Request::builder().uri("/").header(header::HOST, "localhost").header(header::HOST, "attacker.example");
        assert!(!is_ours(&twice.body(()).unwrap()), "two names");
    }
}
