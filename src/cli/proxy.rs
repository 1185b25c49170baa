//! What the web server in front is told, one template for each kind in `proxy/`: a site's own paths, this machine's listener, and the limit
//! that a body has here anyway. The README's example is one of them; `tests/suite/proxies.rs` runs them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::ValueEnum;

use crate::server::BODY_BYTES;

/// A web server that can stand in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Proxy {
    Nginx,
    Caddy,
    Apache,
    Haproxy,
    Cloudflare,
}

impl Proxy {
    /// The name of the file that `init` writes.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Nginx => "proxy-nginx.conf",
            Self::Caddy => "proxy-Caddyfile",
            Self::Apache => "proxy-apache.conf",
            Self::Haproxy => "proxy-haproxy.cfg",
            Self::Cloudflare => "proxy-cloudflare.txt",
        }
    }

    /// What to write there for a site below this prefix, with the program listening here.
    pub(super) fn snippet(self, prefix: &str, listener: SocketAddr) -> String {
        let template = match self {
            Self::Nginx => include_str!("proxy/nginx.conf"),
            Self::Caddy => include_str!("proxy/Caddyfile"),
            Self::Apache => include_str!("proxy/apache.conf"),
            Self::Haproxy => include_str!("proxy/haproxy.cfg"),
            Self::Cloudflare => include_str!("proxy/cloudflare.txt"),
        };
        template
            .replace("{{prefix}}", prefix)
            .replace("{{listener}}", &reachable(listener).to_string())
            .replace("{{body_bytes}}", &BODY_BYTES.to_string())
    }
}

/// Where a program on this machine reaches what listens everywhere.
fn reachable(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        listener.set_ip(if listener.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    listener
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENER: &str = "127.0.0.1:8080";

    #[test]
    fn every_snippet_has_the_sites_paths_and_nothing_left_to_fill_in() {
        for proxy in Proxy::value_variants() {
            let text = proxy.snippet("/kesolu", "0.0.0.0:8090".parse().unwrap());
            for part in ["/kesolu/", "/.well-known/gpc.json", "127.0.0.1:8090"] {
                assert!(text.contains(part), "{proxy:?} has no {part}");
            }
            assert!(!text.contains("{{") && !text.contains("}}"), "{proxy:?}: {text}");
        }
    }

    #[test]
    fn the_readme_has_nginxs_snippet() {
        let snippet = Proxy::Nginx.snippet("/kesolu", LISTENER.parse().unwrap());
        let block = format!("```nginx\n{snippet}```\n");
        assert!(include_str!("../../README.md").contains(&block), "README.md has another block than this one:\n{block}");
    }
}
