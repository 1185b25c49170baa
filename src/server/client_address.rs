//! The one owner of the client's address: which address a request came from, believed from right to left.
//!
//! The peer of the connection is a fact. What it says of those before it is believed only if it is a trusted proxy, and so on, hop by
//! hop: the first address from the right that is not a trusted proxy's is the client. Everything to the left of it is what anybody may
//! have written. An entry that cannot be read ends the walk at the last trusted hop, never further left.
//!
//! The address leaves here sealed, as [`Personal<ClientAddress>`], and as a [`RateKey`], a number that only this process can make. Of the request that
//! `doctor` makes to find out who is believed, a [`Whence`] leaves: of which kind the word was, and never the address.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

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

    /// Whether it is in one of these networks. No header is asked.
    #[must_use]
    pub fn is_of(&self, networks: &[IpNet]) -> bool {
        networks.iter().any(|network| network.contains(&self.address))
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

/// Whose word the believed address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nobody's: the other end of the connection is the client.
    Peer,
    /// The header of one address.
    Header,
    /// `X-Forwarded-For`, the entry of this number from the right, from 1.
    Hop(usize),
}

/// From where an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// From this very machine.
    Loopback,
    /// From its own network.
    Private,
    /// From nowhere: an address for examples (RFC 5737, RFC 3849).
    Example,
    /// From everywhere.
    Public,
}

impl Range {
    /// An address's.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) if address.is_loopback() => Self::Loopback,
            IpAddr::V4(address) => {
                let [first, second, ..] = address.octets();
                // 100.64.0.0/10 belongs to providers' own networks (RFC 6598).
                let of_a_provider = first == 100 && (64..128).contains(&second);
                match address {
                    _ if address.is_private() || address.is_link_local() || address.is_unspecified() || of_a_provider => Self::Private,
                    _ if address.is_documentation() => Self::Example,
                    _ => Self::Public,
                }
            }
            IpAddr::V6(address) if address.is_loopback() => Self::Loopback,
            IpAddr::V6(address) if address.is_unspecified() || address.is_unique_local() || address.is_unicast_link_local() => {
                Self::Private
            }
            IpAddr::V6(address) if address.segments()[..2] == [0x2001, 0xdb8] => Self::Example,
            IpAddr::V6(_) => Self::Public,
        }
    }
}

/// What is believed of where one request came from, and why: all that `doctor` is told of its own one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whence {
    /// Whose word it is.
    pub source: Source,
    /// How many entries `X-Forwarded-For` had, those beyond the bound not counted.
    pub hops: usize,
    /// Whether the other end of the connection is a trusted proxy.
    pub peer_trusted: bool,
    /// Whether the believed address is one of a trusted proxy itself.
    pub trusted: bool,
    /// Whether it is one of those that the asker has.
    pub own: bool,
    /// From where it is reached.
    pub range: Range,
    /// Whether it came by https, as far as is said.
    pub secure: bool,
}

/// The addresses that whoever asks for a look has; they can be compared here only.
pub struct OwnAddresses(Vec<IpAddr>);

impl OwnAddresses {
    /// Addresses with commas between them; nothing where one is none, or there are too many.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let addresses = text.split(',').filter(|address| !address.is_empty()).take(FORWARDING_HOPS + 1);
        let addresses: Vec<_> =
            addresses.map(|address| address.parse().map(|address: IpAddr| address.to_canonical())).collect::<Result<_, _>>().ok()?;
        (addresses.len() <= FORWARDING_HOPS).then_some(Self(addresses))
    }
}

/// What somebody would send who wants to be taken for another: an address for examples, in the header that proxies name clients in. Who is then
/// believed to come from there ([`Range::Example`]) can be anybody.
#[must_use]
pub fn pretence(header: Option<&str>) -> HeaderMap {
    let name = header.and_then(|name| HeaderName::try_from(name).ok()).unwrap_or_else(|| FORWARDED_FOR.clone());
    HeaderMap::from_iter([(name, HeaderValue::from_static("192.0.2.1"))])
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
        let (address, _, secure) = self.walk(peer, headers);
        Client { address: Personal::new(ClientAddress::new(address)), key: self.key(address), secure }
    }

    /// The same, told as `doctor` is: as what the request came in.
    #[must_use]
    pub fn whence(&self, peer: &Peer, headers: &HeaderMap, own: &OwnAddresses) -> Whence {
        let (address, source, secure) = self.walk(peer, headers);
        Whence {
            source,
            hops: entries(headers).take(FORWARDING_HOPS + 1).count(),
            peer_trusted: self.trusts(peer.address),
            trusted: self.trusts(address),
            own: own.0.contains(&address),
            range: Range::of(address),
            secure,
        }
    }

    /// The believed address, whose word it is, and whether it came by https.
    fn walk(&self, peer: &Peer, headers: &HeaderMap) -> (IpAddr, Source, bool) {
        if !self.trusts(peer.address) {
            return (peer.address, Source::Peer, peer.over_tls);
        }
        let (address, source) = self.named_by_proxies(peer.address, headers);
        (address, source, peer.over_tls || proxied_https(headers))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    fn named_by_proxies(&self, peer: IpAddr, headers: &HeaderMap) -> (IpAddr, Source) {
        if let Some(name) = &self.header {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => {} // Not set on this way in: the forwarding chain decides.
                (Some(only), None) => {
                    return parse_hop(only.as_bytes()).map_or((peer, Source::Peer), |address| (address, Source::Header));
                }
                (Some(_), Some(_)) => return (peer, Source::Peer),
            }
        }
        let mut believed = (peer, Source::Peer);
        for (number, hop) in entries(headers).take(FORWARDING_HOPS).enumerate() {
            let Some(address) = parse_hop(hop) else { break };
            believed = (address, Source::Hop(number + 1));
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

/// Whom proxies forward for, the nearest proxy's word first.
fn entries(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(&FORWARDED_FOR).iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
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
    fn whence_says_whose_word_it_is_and_no_address() {
        let own = OwnAddresses::parse("198.51.100.7,2001:db8:1::7").expect("addresses");
        let whence = |header, from: &str, lines: &[(&'static str, &str)]| addresses(header).whence(&peer(from), &headers(lines), &own);
        let xff = "x-forwarded-for";
        let told =
            Whence { source: Source::Hop(2), hops: 3, peer_trusted: true, trusted: false, own: true, range: Range::Example, secure: false };
        assert_eq!(whence(None, "10.0.0.1", &[(xff, "8.8.8.8, ::ffff:198.51.100.7, 10.0.0.2")]), told);
        let json = serde_json::to_string(&told).expect("JSON");
        assert!(!json.contains("198") && json.contains(r#""source":{"hop":2}"#), "{json}");
        let unnamed = whence(None, "10.0.0.1", &[(xff, "unknown")]);
        assert_eq!((unnamed.source, unnamed.hops, unnamed.trusted, unnamed.own), (Source::Peer, 1, true, false));
        assert_eq!(unnamed.range, Range::Private);
        let untrusted = whence(None, "8.8.8.8", &[(xff, "198.51.100.7")]);
        assert_eq!((untrusted.source, untrusted.peer_trusted, untrusted.range), (Source::Peer, false, Range::Public));
        let header = whence(Some("cf-connecting-ip"), "10.0.0.1", &[("cf-connecting-ip", "2001:db8:1::7")]);
        assert_eq!((header.source, header.own, header.hops), (Source::Header, true, 0));
        assert!(OwnAddresses::parse("198.51.100.7,x").is_none() && OwnAddresses::parse(&["::1"; 17].join(",")).is_none());
    }

    #[test]
    fn a_pretence_is_known_again() {
        let believed =
            |header: Option<&'static str>, from| addresses(header).whence(&peer(from), &pretence(header), &OwnAddresses(Vec::new()));
        assert_eq!(believed(None, "10.0.0.1").range, Range::Example);
        assert_eq!(believed(Some("cf-connecting-ip"), "10.0.0.1").source, Source::Header);
        assert_eq!(believed(None, "8.8.8.8").range, Range::Public);
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
