//! Where a visitor came from, as a site and no more: the registrable domain, and of a domain under which anyone may have a name of their own
//! (`jane.github.io`), the provider's.

use super::{address, decode, detect::class_of, words};

/// A host longer than this is nobody's, in bytes (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// The site that a host is of: `news.shop.co.uk` → `shop.co.uk`, `jane.github.io` → `github.io`. None where it is an address, has no dot, or
/// looks like a person's.
pub(in crate::privacy) fn site_of(host: &str) -> Option<String> {
    if host.len() > HOST_BYTES_MAX || address::has_ip(host) {
        return None;
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let domain = registrable(&host)?;
    // What an internationalised name says is looked at; as it is written, it looks random.
    match decode::host(domain) {
        read if read == domain => words::host(domain),
        read => class_of(&read).is_none().then(|| domain.to_owned()),
    }
}

/// By the public suffix list's first part alone; its second, of private suffixes, says who gives names to anyone.
fn registrable(host: &str) -> Option<&str> {
    let suffix = psl::suffix(host.as_bytes())?;
    match suffix.typ() {
        // Unknown top-level domains are taken for one: tests have them, and so has the inside of a company.
        None | Some(psl::Type::Icann) => psl::domain_str(host),
        Some(psl::Type::Private) => {
            let mut domain = &host[host.len() - suffix.as_bytes().len()..];
            loop {
                let (_, above) = domain.split_once('.')?;
                let of_above = psl::suffix(above.as_bytes())?;
                match of_above.typ()? {
                    psl::Type::Icann if of_above.as_bytes().len() == above.len() => return Some(domain),
                    psl::Type::Icann => return psl::domain_str(above),
                    psl::Type::Private => domain = above,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_become_sites() {
        let cases = [
            ("www.Search.com.", Some("search.com")),
            ("news.shop.co.uk", Some("shop.co.uk")),
            ("jane.github.io", Some("github.io")),
            ("jane.blogspot.com", Some("blogspot.com")),
            ("jane-doe.s3.eu-west-1.amazonaws.com", Some("amazonaws.com")),
            ("xn--bcher-kva.de", Some("xn--bcher-kva.de")),
            ("github.io", Some("github.io")),
            ("com", None),
            ("localhost", None),
            ("192.0.2.1", None),
            ("[2001:db8::1]", None),
            ("wiki.intranet.corp", Some("intranet.corp")),
            ("d41d8cd98f00b204e9800998ecf8427e.com", None),
        ];
        for (host, site) in cases {
            assert_eq!(site_of(host).as_deref(), site, "{host}");
        }
    }
}
