//! The one owner of the client's address: which address a request came from, believed from right to left.
//!
//! The peer of the connection is a fact. What it says of those before it is believed only if it is a trusted proxy, and so on, hop by
//! hop: the first address from the right that is not a trusted proxy's is the client. Everything to the left of it is what anybody may
//! have written. An entry that cannot be read ends the walk at the last trusted hop, never further left.
//!
//! The address leaves here sealed, as [`Personal<ClientAddress>`], and as a [`RateKey`], a number that only this process can make.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv4Net};

use super::limits::FORWARDING_HOPS;
use crate::privacy::{personal::Personal, raw::ClientAddress};

/// How many bits of an IPv6 address stand for one client: a household or host is given a /64, and may use any address in it.
const IPV6_CLIENT_BITS: u32 = 64;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The other end of a connection. It can be carried by anyone and read only here.
#[derive(Clone, Copy)]
pub struct Peer {
    address: IpAddr,
    over_tls: bool,
}

impl Peer {
    /// The other end of a connection that came over our own TLS, or did not.
    #[must_use]
    pub const fn new(address: SocketAddr, over_tls: bool) -> Self {
        Self { address: address.ip().to_canonical(), over_tls }
    }
}

/// A number that stands for a client's address prefix (an IPv4 address, an IPv6 /64) in this process only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RateKey(u64);

impl RateKey {
    /// The cell of a table of `cells` that this client's allowance is in.
    pub(super) const fn cell(self, cells: usize) -> usize {
        (self.0 % cells as u64) as usize
    }

    #[cfg(test)]
    pub(super) const fn for_test(key: u64) -> Self {
        Self(key)
    }
}

/// What is believed of the sender of one request.
pub struct Client {
    /// Its address, sealed.
    pub address: Personal<ClientAddress>,
    /// Which allowance it uses.
    pub key: RateKey,
    /// Whether it reached us over https: by our own TLS, or by that of a trusted proxy. Decides the cookie's `Secure`.
    pub secure: bool,
}

/// Which proxies are trusted to name the client, and how they name it.
pub struct ClientAddresses {
    trusted: Vec<IpNet>,
    header: Option<HeaderName>,
    hasher: RandomState,
}

impl ClientAddresses {
    /// Trusts the proxies in these networks. `header`, if given, is one that carries a single address (`cf-connecting-ip`) and wins over
    /// `X-Forwarded-For` when a trusted peer sends it. Name one only where every way in passes the proxy that sets it.
    #[must_use]
    pub fn new(trusted: &[IpNet], header: Option<HeaderName>) -> Self {
        Self { trusted: trusted.iter().map(canonical_network).collect(), header, hasher: RandomState::new() }
    }

    /// What is believed of the sender of a request.
    #[must_use]
    pub fn believe(&self, peer: &Peer, headers: &HeaderMap) -> Client {
        let (address, secure) = if self.trusts(peer.address) {
            (self.named_by_proxies(peer.address, headers), peer.over_tls || proxied_https(headers))
        } else {
            (peer.address, peer.over_tls)
        };
        Client { address: Personal::new(ClientAddress::new(address)), key: self.key(address), secure }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    fn named_by_proxies(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if let Some(name) = &self.header {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => {} // Not set on this way in: the forwarding chain decides.
                (Some(only), None) => return parse_hop(only.as_bytes()).unwrap_or(peer),
                (Some(_), Some(_)) => return peer,
            }
        }
        let mut believed = peer;
        let hops = headers.get_all(&FORWARDED_FOR).iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(FORWARDING_HOPS) {
            let Some(address) = parse_hop(hop) else { break };
            believed = address;
            if !self.trusts(address) {
                break;
            }
        }
        believed
    }

    fn key(&self, address: IpAddr) -> RateKey {
        RateKey(match address {
            IpAddr::V4(address) => self.hasher.hash_one((4_u8, u64::from(u32::from(address)))),
            IpAddr::V6(address) => self.hasher.hash_one((6_u8, (u128::from(address) >> (128 - IPV6_CLIENT_BITS)) as u64)),
        })
    }
}

/// The nearest proxy's word on how the request came to it: the last value of the last line.
fn proxied_https(headers: &HeaderMap) -> bool {
    let last_line = headers.get_all(&FORWARDED_PROTO).iter().next_back().map(HeaderValue::as_bytes);
    let last = last_line.and_then(|line| line.rsplit(|byte| *byte == b',').next());
    last.is_some_and(|scheme| scheme.trim_ascii().eq_ignore_ascii_case(b"https"))
}

/// One entry of a forwarding header: an address, maybe in brackets, maybe with a port or a zone. `None`: anything else.
fn parse_hop(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let address = if let Some(bracketed) = entry.strip_prefix('[') {
        let (inside, after) = bracketed.split_once(']')?;
        if !after.is_empty() {
            parse_port(after.strip_prefix(':')?)?;
        }
        IpAddr::V6(parse_ipv6(inside)?)
    } else if entry.bytes().filter(|byte| *byte == b':').count() > 1 {
        IpAddr::V6(parse_ipv6(entry)?)
    } else if let Some((address, port)) = entry.split_once(':') {
        parse_port(port)?;
        IpAddr::V4(address.parse().ok()?)
    } else {
        IpAddr::V4(entry.parse().ok()?)
    };
    Some(address.to_canonical())
}

fn parse_ipv6(text: &str) -> Option<Ipv6Addr> {
    let address = match text.split_once('%') {
        Some((_, "")) => return None,
        Some((address, _zone)) => address,
        None => text,
    };
    address.parse().ok()
}

fn parse_port(text: &str) -> Option<u16> {
    // `parse` would also take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`: addresses are compared in their canonical form, so networks must be too.
fn canonical_network(network: &IpNet) -> IpNet {
    if let IpNet::V6(six) = network
        && let Some(four) = six.addr().to_ipv4_mapped()
        && let Some(bits) = six.prefix_len().checked_sub(96)
        && let Ok(network) = Ipv4Net::new(four, bits)
    {
        return IpNet::V4(network);
    }
    *network
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10/8 and 2001:db8:ffff::/48 are ours; `cf-connecting-ip` is believed where `header` says so.
    fn addresses(header: Option<&'static str>) -> ClientAddresses {
        let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48", "::ffff:172.16.0.0/108"].map(|network| network.parse().expect("a network"));
        ClientAddresses::new(&trusted, header.map(HeaderName::from_static))
    }

    fn peer(address: &str) -> Peer {
        Peer::new(SocketAddr::new(address.parse().expect("an address"), 4711), false)
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        headers
    }

    /// Sealed addresses cannot be looked at here either: their keys are compared.
    #[track_caller]
    fn expect(addresses: &ClientAddresses, from: &str, lines: &[(&'static str, &str)], client: &str) {
        let believed = addresses.believe(&peer(from), &headers(lines)).key.0;
        let expected = addresses.key(client.parse::<IpAddr>().expect("an address")).0;
        assert_eq!(believed, expected, "from {from} with {lines:?}: expected {client}");
    }

    /// A peer, header lines, and who is believed.
    type Row<'a> = (&'a str, &'a [(&'static str, &'a str)], &'a str);

    #[test]
    fn the_right_most_untrusted_hop_is_the_client() {
        let xff = "x-forwarded-for";
        let table: &[Row<'_>] = &[
            // Nobody is believed but trusted proxies.
            ("192.0.2.1", &[], "192.0.2.1"),
            ("192.0.2.1", &[(xff, "198.51.100.7")], "192.0.2.1"),
            ("192.0.2.1", &[(xff, "10.0.0.1")], "192.0.2.1"),
            ("192.0.2.1", &[("cf-connecting-ip", "198.51.100.7")], "192.0.2.1"),
            // One proxy.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "203.0.113.9, 198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "10.0.0.99, 198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[("x-real-ip", "203.0.113.9")], "10.0.0.1"),
            ("10.0.0.1", &[("cf-connecting-ip", "203.0.113.9")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "for=203.0.113.9")], "10.0.0.1"),
            // Several proxies, several lines.
            ("10.0.0.1", &[(xff, "198.51.100.7,10.0.0.3 ,\t10.0.0.2")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "203.0.113.9, 198.51.100.7, 10.0.0.2")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "203.0.113.9"), (xff, "198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "203.0.113.9, 198.51.100.7"), (xff, "10.0.0.2")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("2001:db8:ffff::1", &[(xff, "2001:db8:1::7, 2001:db8:ffff::2")], "2001:db8:1::7"),
            // IPv4 in IPv6 clothing, in all spellings (R1), as peer, hop and network.
            ("::ffff:10.0.0.1", &[(xff, "198.51.100.7")], "198.51.100.7"),
            ("::ffff:192.0.2.1", &[(xff, "198.51.100.7")], "192.0.2.1"),
            ("10.0.0.1", &[(xff, "::ffff:198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "::ffff:c633:6407")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "::FFFF:C633:6407")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "0:0:0:0:0:ffff:c633:6407")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "0000:0000:0000:0000:0000:ffff:198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "[::ffff:c633:6407]:443")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "203.0.113.9, 198.51.100.7, ::ffff:a00:2")], "198.51.100.7"),
            ("172.16.3.4", &[(xff, "198.51.100.7")], "198.51.100.7"),
            ("172.32.3.4", &[(xff, "198.51.100.7")], "172.32.3.4"),
            // Brackets, ports, zones, hex tails (R2).
            ("10.0.0.1", &[(xff, "198.51.100.7:51234")], "198.51.100.7"),
            ("10.0.0.1", &[(xff, "[2001:db8:1::7]")], "2001:db8:1::7"),
            ("10.0.0.1", &[(xff, "[2001:db8:1::7]:51234")], "2001:db8:1::7"),
            ("10.0.0.1", &[(xff, "2001:db8:1:0:dead:beef:cafe:f00d")], "2001:db8:1::7"),
            ("10.0.0.1", &[(xff, "fe80:1::7%eth0")], "fe80:1::7"),
            ("10.0.0.1", &[(xff, "[fe80:1::7%25eth0]:443")], "fe80:1::7"),
            // What cannot be read ends the walk at the last trusted hop (R13).
            ("10.0.0.1", &[(xff, "")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7, unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7, ")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7, _hidden, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(xff, "198.51.100.7 203.0.113.9")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "\"198.51.100.7\"")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.007")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "0xc6336407")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7%eth0")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "[198.51.100.7]")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7:")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7:+80")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7:99999")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "[2001:db8:1::7")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "[2001:db8:1::7]x")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "fe80:1::7%")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.7\u{e9}")], "10.0.0.1"),
        ];
        let addresses = addresses(None);
        for (from, lines, client) in table {
            expect(&addresses, from, lines, client);
        }
    }

    #[test]
    fn a_header_of_one_address_is_believed_from_trusted_peers_only() {
        let cf = "cf-connecting-ip";
        let xff = "x-forwarded-for";
        let addresses = addresses(Some(cf));
        expect(&addresses, "10.0.0.1", &[(cf, "198.51.100.7"), (xff, "203.0.113.9")], "198.51.100.7");
        expect(&addresses, "10.0.0.1", &[(cf, "::ffff:c633:6407")], "198.51.100.7");
        expect(&addresses, "10.0.0.1", &[(xff, "203.0.113.9")], "203.0.113.9");
        expect(&addresses, "192.0.2.1", &[(cf, "198.51.100.7")], "192.0.2.1");
        expect(&addresses, "10.0.0.1", &[(cf, "198.51.100.7"), (cf, "203.0.113.9")], "10.0.0.1");
        expect(&addresses, "10.0.0.1", &[(cf, "198.51.100.7, 203.0.113.9")], "10.0.0.1");
        expect(&addresses, "10.0.0.1", &[(cf, "garbage"), (xff, "203.0.113.9")], "10.0.0.1");
    }

    #[test]
    fn hops_are_bounded() {
        let all_trusted = ["10.0.0.9"; 1_000].join(",");
        let line = format!("198.51.100.7,{all_trusted}");
        expect(&addresses(None), "10.0.0.1", &[("x-forwarded-for", &line)], "10.0.0.9");
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        let addresses = addresses(None);
        let key = |address: &str| addresses.key(address.parse().expect("an address")).0;
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_ne!(key("192.0.2.1"), super::ClientAddresses::new(&[], None).key("192.0.2.1".parse().expect("an address")).0);
    }

    #[test]
    fn https_is_our_own_tls_or_a_trusted_proxys_word() {
        let addresses = addresses(None);
        let proto = "x-forwarded-proto";
        let over_tls = Peer::new("192.0.2.1:443".parse().expect("an address"), true);
        let secure = |from: &str, lines: &[(&'static str, &str)]| addresses.believe(&peer(from), &headers(lines)).secure;
        assert!(addresses.believe(&over_tls, &HeaderMap::new()).secure);
        assert!(!secure("192.0.2.1", &[]));
        assert!(!secure("192.0.2.1", &[(proto, "https")]));
        assert!(secure("10.0.0.1", &[(proto, "https")]));
        assert!(secure("10.0.0.1", &[(proto, "HTTPS ")]));
        assert!(secure("10.0.0.1", &[(proto, "http, https")]));
        assert!(!secure("10.0.0.1", &[(proto, "https, http")]));
        assert!(!secure("10.0.0.1", &[(proto, "https"), (proto, "http")]));
        assert!(!secure("10.0.0.1", &[(proto, "http")]));
        assert!(!secure("10.0.0.1", &[]));
    }
}
