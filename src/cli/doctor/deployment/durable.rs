//! How long Safari keeps the cookie: by where the page's name and that of the beacons lead to. The rules are WebKit's own
//! (`NetworkTaskCocoa::setCookieTransformForFirstPartyRequest`); nothing of it is asked of a browser.

use std::net::{IpAddr, SocketAddr};

use http::Uri;

use super::{
    super::{
        Finding,
        Weight::{Doubtful, Note, Wrong},
    },
    LookArguments,
    names::{Lead, lead, name_server},
    transport::is_of_this_machine,
};

/// Leading bits that two addresses must share to be one party's for WebKit: `4 * sizeof(in_addr)`, `4 * sizeof(in6_addr)`.
const SHARED_BITS: (u32, u32) = (16, 64);

/// What becomes of the cookie.
#[derive(Debug, PartialEq, Eq)]
enum Durability {
    /// It lives as long as it was made to.
    Full,
    /// Beacons are another site's.
    OtherSite,
    /// Beacons lead to another party by this name.
    OtherParty(String),
    /// Pages and beacons may come from these two.
    Apart(IpAddr, IpAddr),
}

pub(super) fn findings(page: &Uri, script: &Uri, arguments: &LookArguments, findings: &mut Vec<Finding>) {
    let (Some(pages), Some(beacons)) = (page.host(), script.host()) else { return };
    if is_of_this_machine(pages) || pages.parse::<IpAddr>().is_ok() {
        return;
    }
    let of_pages = look_up(arguments, pages);
    let of_beacons = if pages == beacons { of_pages.clone() } else { look_up(arguments, beacons) };
    let (Some(of_pages), Some(of_beacons)) = (of_pages, of_beacons) else {
        let what = format!("{pages}: no name server said where it leads to, so how long Safari keeps the cookie is not known");
        findings.push(Finding::new(Note, what, "`--name-server 192.0.2.53:53` asks another one"));
        return;
    };
    let own_path = "route the prefix on the pages' own host, in whatever answers for it: page and beacons then share name and address";
    findings.push(match durability((pages, &of_pages), (beacons, &of_beacons)) {
        Durability::Full if of_pages.addresses.is_empty() => {
            Finding::new(Note, format!("{pages}: leads nowhere yet, as far as the name server knows"), "look again when it does")
        }
        Durability::Full => Finding::right(format!("{beacons}: Safari keeps the cookie for as long as it was made to last")),
        Durability::OtherSite => {
            let what = format!("{beacons}: is another site than {pages}: Safari, Firefox and Brave keep no cookie of it there");
            Finding::new(Wrong, what, own_path)
        }
        Durability::OtherParty(name) => {
            let what = format!(
                "{beacons}: leads to {name}, another party's name: Safari ends the cookie after 7 days, and blockers that look through names know that one"
            );
            Finding::new(Doubtful, what, own_path)
        }
        Durability::Apart(one, other) if pages == beacons => {
            let what = format!(
                "{pages}: leads to {one} and to {other}, which share too little for Safari: where page and beacon come from different ones, the cookie ends after 7 days"
            );
            Finding::new(Doubtful, what, "let the name lead to addresses of one network, or to one of them alone")
        }
        Durability::Apart(one, other) => {
            let what = format!("{pages} is at {one} and {beacons} at {other}, which share too little for Safari: the cookie ends after 7 days");
            Finding::new(Doubtful, what, own_path)
        }
    });
}

fn look_up(arguments: &LookArguments, host: &str) -> Option<Lead> {
    let server: SocketAddr = arguments.name_server.or_else(name_server)?;
    lead(server, host)
}

fn durability((pages, of_pages): (&str, &Lead), (beacons, of_beacons): (&str, &Lead)) -> Durability {
    let site = |name: &str| psl::domain_str(&name.to_ascii_lowercase()).map(str::to_owned);
    if pages != beacons && site(pages) != site(beacons) {
        return Durability::OtherSite;
    }
    if let Some(name) = &of_beacons.other_name {
        let to = site(name);
        let of_the_page = of_pages.other_name.as_deref().map(site);
        // A name within the site, or where the page itself leads to, is the first party's; addresses are then not looked at.
        return if to == site(pages) || Some(to) == of_the_page { Durability::Full } else { Durability::OtherParty(name.clone()) };
    }
    let pairs = of_pages.addresses.iter().flat_map(|one| of_beacons.addresses.iter().map(move |other| (*one, *other)));
    let apart = pairs.filter(|(one, other)| one.is_ipv4() == other.is_ipv4()).find(|(one, other)| !share(*one, *other));
    apart.map_or(Durability::Full, |(one, other)| Durability::Apart(one, other))
}

fn share(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u32::from(one) ^ u32::from(other)).leading_zeros() >= SHARED_BITS.0,
        (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one) ^ u128::from(other)).leading_zeros() >= SHARED_BITS.1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(other_name: Option<&str>, addresses: &[&str]) -> Lead {
        Lead { other_name: other_name.map(str::to_owned), addresses: addresses.iter().map(|address| address.parse().unwrap()).collect() }
    }

    #[test]
    fn safari_judges_names_first_and_addresses_where_there_is_none() {
        let www = ("www.shop.example", &to(None, &["192.0.2.1", "2001:db8:1:2::1"]));
        let of = |host: &str, lead: &Lead| durability(www, (host, lead));
        assert_eq!(of("www.shop.example", www.1), Durability::Full);
        assert_eq!(of("m.shop.example", &to(None, &["192.0.9.9", "2001:db8:1:2:3::1"])), Durability::Full, "the same halves");
        assert_eq!(
            of("m.shop.example", &to(None, &["192.1.2.1"])),
            Durability::Apart("192.0.2.1".parse().unwrap(), "192.1.2.1".parse().unwrap())
        );
        assert_eq!(
            of("m.shop.example", &to(None, &["2001:db8:1:3::1"])),
            Durability::Apart("2001:db8:1:2::1".parse().unwrap(), "2001:db8:1:3::1".parse().unwrap())
        );
        assert_eq!(of("m.shop.example", &to(Some("edge.shop.example"), &["198.51.100.1"])), Durability::Full, "a name of the site's");
        let elsewhere = to(Some("eu.collector.example.net"), &["192.0.2.1"]);
        assert_eq!(of("m.shop.example", &elsewhere), Durability::OtherParty(String::from("eu.collector.example.net")));
        assert_eq!(of("www.shop.example.net", &to(None, &["192.0.2.1"])), Durability::OtherSite);
        let behind = ("www.shop.example", &to(Some("shop.cdn.net"), &["192.0.2.1"]));
        assert_eq!(durability(behind, ("m.shop.example", &to(Some("other.cdn.net"), &["198.51.100.1"]))), Durability::Full);
        let two = to(None, &["192.0.2.1", "198.51.100.1"]);
        assert!(matches!(durability(("www.shop.example", &two), ("www.shop.example", &two)), Durability::Apart(..)));
    }
}
