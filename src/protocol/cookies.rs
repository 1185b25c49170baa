//! The site's own cookies: what they are called, which hosts they are for, and which of them a request carries; and what Matomo's say of the
//! visitor's choice, and vendors' cookies that the site lists. Every other cookie stays unread.

use std::borrow::Cow;

use http::{HeaderMap, header};

use crate::privacy::{
    consent::matomo::MatomoCookies,
    personal::Personal,
    raw::{OwnCookies, Text},
    vendor_cookies::VendorCookie,
};

/// Visitor cookies of one form that are looked at: one for each domain that the site's cookies may once have been for.
const SAME_NAME_MAX: usize = 4;
/// Domains that a left cookie is taken away from: five labels of three hosts.
const DOMAINS_MAX: usize = 15;

/// What stands for a cookie's value that is no text.
const UNREADABLE: &str = "\u{fffd}";

/// The two cookies that we set and read.
///
/// They have one of two forms. Host-only: over TLS with the prefix that makes browsers hold it to this host, `Secure` and `Path=/`
/// (<https://www.rfc-editor.org/rfc/rfc6265#section-4.1.3>, 6265bis, cookie name prefixes). For a domain: without the prefix, with `Domain`.
pub struct CookieNames {
    /// Carries the cookie id, only with consent.
    pub visitor: CookieName,
    /// Says that this browser opted out; the same value for everyone.
    pub opt_out: CookieName,
    domain: Option<String>,
    reach: Vec<String>,
    of_vendors: Vec<VendorCookie>,
}

/// One cookie's name.
pub struct CookieName {
    plain: String,
    prefixed: String,
}

impl CookieName {
    fn new(name: &str) -> Self {
        Self { plain: name.to_owned(), prefixed: format!("__Host-{name}") }
    }

    /// The name on the wire, in the one form or the other.
    #[must_use]
    pub fn on_wire(&self, prefixed: bool) -> &str {
        if prefixed { &self.prefixed } else { &self.plain }
    }
}

impl CookieNames {
    /// The cookies of a site whose visitor cookie has that name, and which is reached at these hosts; for one host alone, or for a domain.
    #[must_use]
    pub fn new(name: &str, domain: Option<&str>, hosts: &[String]) -> Self {
        let mut reach: Vec<String> = hosts.iter().flat_map(|host| domains_of(host)).map(str::to_owned).collect();
        // The higher a domain is, the more of the hosts it reaches.
        reach.sort_by_cached_key(|domain| (domain.split('.').count(), domain.clone()));
        reach.dedup();
        reach.truncate(DOMAINS_MAX);
        let opt_out = CookieName::new(&format!("{name}o"));
        Self { visitor: CookieName::new(name), opt_out, domain: domain.map(str::to_owned), reach, of_vendors: Vec::new() }
    }

    /// The same, and of vendors' cookies these.
    #[must_use]
    pub fn and_of_vendors(self, of_vendors: impl IntoIterator<Item = VendorCookie>) -> Self {
        Self { of_vendors: of_vendors.into_iter().collect(), ..self }
    }

    /// Vendors' cookies that the site lists.
    #[must_use]
    pub fn of_vendors(&self) -> &[VendorCookie] {
        &self.of_vendors
    }

    /// Whether they have the prefix: only `secure` ones that are for one host.
    #[must_use]
    pub const fn are_prefixed(&self, secure: bool) -> bool {
        secure && self.domain.is_none()
    }

    /// The domain that they are for; none: the host alone.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// Every domain that a cookie which reaches the site's hosts can be for.
    #[must_use]
    pub fn reach(&self) -> &[String] {
        &self.reach
    }

    /// Those that a request carries.
    pub(in crate::protocol) fn read<'r>(&self, headers: &'r HeaderMap, secure: bool) -> OwnCookies<'r> {
        let prefixed = self.are_prefixed(secure);
        let mut own = OwnCookies::default();
        for (name, value) in pairs(headers) {
            if name == self.visitor.on_wire(prefixed) {
                push(&mut own.visitor, value);
            } else if name == self.visitor.on_wire(!prefixed) {
                push(&mut own.left_over, value);
            } else if name == self.opt_out.on_wire(prefixed) {
                own.opt_outs += 1;
            } else if name == self.opt_out.on_wire(!prefixed) {
                own.left_over_opt_outs += 1;
            } else if let Some(cookie) = self.of_vendors.iter().find(|cookie| cookie.name() == name)
                && own.of_vendors.iter().filter(|(other, _)| other == cookie).count() < 2
            {
                own.of_vendors.push((*cookie, Personal::new(Cow::Borrowed(value))));
            }
        }
        if self.domain.is_none() && own.visitor.len() > 1 {
            // A cookie for one host is there once. Another one is not ours to choose from; a withdrawal ends both.
            own.left_over.append(&mut own.visitor);
        }
        own
    }
}

fn push<'r>(cookies: &mut Vec<Text<'r>>, value: &'r str) {
    if cookies.len() < SAME_NAME_MAX {
        cookies.push(Personal::new(Cow::Borrowed(value)));
    }
}

/// What Matomo's cookies say.
pub(in crate::protocol) fn matomo(headers: &HeaderMap) -> MatomoCookies {
    let mut said = MatomoCookies::default();
    pairs(headers).for_each(|(name, value)| said.hear(name, value));
    said
}

/// The names and values of a request's cookies, as they came (<https://www.rfc-editor.org/rfc/rfc6265#section-5.4>). One that is no text costs the
/// others nothing, and is there all the same: a no must not be lost because a cookie beside it, or its own value, cannot be read.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let (name, value) = pair.split_at_checked(memchr::memchr(b'=', pair)?)?;
        let value = std::str::from_utf8(&value[1..]).unwrap_or(UNREADABLE);
        Some((std::str::from_utf8(name).ok()?.trim(), value.trim()))
    })
}

/// The domains that a cookie which is sent to this host can be for: itself and those above it, as far as they are nobody's in particular.
fn domains_of(host: &str) -> impl Iterator<Item = &str> {
    let named = !host.starts_with('[') && !host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let own = Some(host).filter(|_| named);
    std::iter::successors(own, |domain| domain.split_once('.').map(|(_, above)| above))
        .filter(|domain| domain.contains('.') && !is_public_suffix(domain))
}

/// Whether names below it belong to different owners: browsers refuse a cookie for such a domain (<https://publicsuffix.org>).
#[must_use]
pub fn is_public_suffix(domain: &str) -> bool {
    psl::suffix(domain.as_bytes()).is_some_and(|suffix| suffix.as_bytes() == domain.as_bytes())
}

/// Whether it is a domain that someone registered: one label below a public suffix.
#[must_use]
pub fn is_registrable(domain: &str) -> bool {
    psl::domain(domain.as_bytes()).is_some_and(|registered| registered.as_bytes() == domain.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::{event::Purposes, privacy::consent::ConsentSignal};

    fn read(names: &CookieNames, secure: bool, lines: &[&'static str]) -> (usize, usize, usize, usize) {
        let headers = HeaderMap::from_iter(lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line))));
        let own = names.read(&headers, secure);
        (own.visitor.len(), own.left_over.len(), own.opt_outs, own.left_over_opt_outs)
    }

    #[test]
    fn a_cookie_is_ours_by_its_whole_name_and_the_form_that_the_site_has_now() {
        let host = CookieNames::new("w", None, &[]);
        let domain = CookieNames::new("w", Some("shop.example"), &[]);
        for (lines, on_host, on_domain) in [
            (&["a=1; b=2"][..], (0, 0, 0, 0), (0, 0, 0, 0)),
            (&["a=1;__Host-w=x ; ww=3"], (1, 0, 0, 0), (0, 1, 0, 0)),
            (&["w=x"], (0, 1, 0, 0), (1, 0, 0, 0)),
            (&["w=x; w=y", "__Host-w=z"], (1, 2, 0, 0), (2, 1, 0, 0)),
            (&["__Host-w=x; __Host-w=y"], (0, 2, 0, 0), (0, 2, 0, 0)),
            (&["wo=1; __Host-wo=1; wo=1"], (0, 0, 1, 2), (0, 0, 2, 1)),
            (&["x__Host-w=1; W=1; __host-w=1; w"], (0, 0, 0, 0), (0, 0, 0, 0)),
            (&["w=1; w=2; w=3; w=4; w=5"], (0, 4, 0, 0), (4, 0, 0, 0)),
        ] {
            assert_eq!(read(&host, true, lines), on_host, "{lines:?}");
            assert_eq!(read(&domain, true, lines), on_domain, "{lines:?}");
        }
        assert_eq!(read(&host, false, &["w=x; __Host-w=y"]), (1, 1, 0, 0), "without TLS there is no prefix");
    }

    #[test]
    fn what_cannot_be_read_hides_no_no() {
        let line = HeaderValue::from_bytes(b"name=J\xfcrgen; __Host-wo=1; matomo_ignore=\xff; mtm_consent=\xff").unwrap();
        let headers = HeaderMap::from_iter([(header::COOKIE, line)]);
        assert!(CookieNames::new("w", None, &[]).read(&headers, true).opted_out());
        let no = ConsentSignal::Given { purposes: Purposes::NONE, seconds_left: None };
        assert_eq!(matomo(&headers).stance(false).signal(), no);
        let line = HeaderValue::from_bytes(b"mtm_consent=\xff").unwrap();
        assert_eq!(matomo(&HeaderMap::from_iter([(header::COOKIE, line)])).stance(true).signal(), ConsentSignal::Malformed);
    }

    #[test]
    fn a_cookie_reaches_a_host_from_itself_and_what_is_above_it() {
        let reach = |hosts: &[&str]| CookieNames::new("w", None, &hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).reach;
        assert_eq!(reach(&["www.shop.example", "t.shop.example"]), ["shop.example", "t.shop.example", "www.shop.example"]);
        assert_eq!(reach(&["www.shop.co.uk"]), ["shop.co.uk", "www.shop.co.uk"]);
        assert_eq!(reach(&["localhost", "127.0.0.1", "[::1]"]), [""; 0]);
        assert!(is_public_suffix("co.uk") && is_public_suffix("example") && !is_public_suffix("shop.example"));
    }
}
