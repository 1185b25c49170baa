//! Which pages may talk to a site: the request's `Origin`, compared exactly, and the headers that tell the browser the outcome.
//!
//! A request without `Origin` is taken: browsers send it with every POST (and with every request across origins that a page can read the
//! answer of), so one without comes from a server, an app or a plain image, where CORS protects nobody.

use http::{HeaderMap, HeaderValue, header};

use super::routes::Endpoint;
use crate::documents::Site;

/// What a page may send beside what every form may, to any route; vendors' libraries set more, which each protocol names.
const ALLOWED_REQUEST_HEADERS: [&str; 2] = ["content-type", "content-encoding"];
/// How long a browser may remember a preflight's answer, in seconds: two hours, the most that Chromium does.
const PREFLIGHT_SECONDS: &str = "7200";

/// What a request's `Origin` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing.
    Absent,
    /// A page of the site, or of the very host that was asked (the opt-out page is one).
    Ours(HeaderValue),
    /// Another page, `null`, or several.
    Foreign,
}

impl Origin {
    /// Judges the `Origin` of a request to `site`, sent to `authority` (host, and port if any), by https or not.
    pub(super) fn of(headers: &HeaderMap, site: &Site, authority: &str, secure: bool) -> Self {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let (origin, further) = (origins.next(), origins.next());
        let Some(origin) = origin else { return Self::Absent };
        let ours = further.is_none()
            && origin.to_str().is_ok_and(|origin| site.origins.contains(origin) || is_same_origin(origin, authority, secure));
        if ours { Self::Ours(origin.clone()) } else { Self::Foreign }
    }

    /// Whether a page of the very origin that is asked sends it, by its browser's word.
    pub(super) fn is_same(&self, authority: &str, secure: bool) -> bool {
        matches!(self, Self::Ours(origin) if origin.to_str().is_ok_and(|origin| is_same_origin(origin, authority, secure)))
    }

    /// Says in an answer who may read it. Every answer that depends on `Origin` says so, also to caches.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Self::Ours(origin) = self {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Adds what a preflight asks for.
    pub(super) fn tell_preflight(&self, headers: &mut HeaderMap, endpoint: &Endpoint) {
        if let Self::Ours(_) = self {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, endpoint.allow.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, endpoint.request_headers.clone());
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS));
        }
    }
}

/// The request headers that a page may send to a route of these protocols.
pub(super) fn request_headers<'a>(of_protocols: impl Iterator<Item = &'a &'static str>) -> HeaderValue {
    let mut all = ALLOWED_REQUEST_HEADERS.to_vec();
    for name in of_protocols {
        if !all.contains(name) {
            all.push(name);
        }
    }
    HeaderValue::try_from(all.join(", ")).expect("names of headers are header values")
}

fn is_same_origin(origin: &str, authority: &str, secure: bool) -> bool {
    let scheme = if secure { "https://" } else { "http://" };
    origin.strip_prefix(scheme).is_some_and(|sender| sender.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{routes::Routes, tests::fixture::site},
        *,
    };
    use crate::protocol::PROTOCOLS;

    #[test]
    fn origins_are_compared_exactly() {
        let site = site("https://www.shop.example");
        let table: &[(&[&'static str], bool, bool)] = &[
            // Origins, over https, ours.
            (&["https://www.shop.example"], true, true),
            (&["https://www.shop.example"], false, true),
            (&["https://WWW.shop.example"], true, false),
            (&["http://www.shop.example"], false, false),
            (&["https://www.shop.example:443"], true, false),
            (&["https://www.shop.example."], true, false),
            (&["https://www.shop.example.evil.example"], true, false),
            (&["https://evil.example/https://www.shop.example"], true, false),
            (&["https://shop.example"], true, false),
            (&["https://www.shop.example, https://evil.example"], true, false),
            (&["https://www.shop.example", "https://evil.example"], true, false),
            (&["https://www.shop.example", "https://www.shop.example"], true, false),
            (&["null"], true, false),
            (&[""], true, false),
            // The host that was asked, by the scheme that it was asked by.
            (&["https://t.shop.example:8443"], true, true),
            (&["http://t.shop.example:8443"], false, true),
            (&["https://t.shop.example:8443"], false, false),
            (&["http://t.shop.example:8443"], true, false),
            (&["https://t.shop.example"], true, false),
        ];
        for (lines, secure, ours) in table {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(header::ORIGIN, HeaderValue::from_static(line));
            }
            let origin = Origin::of(&headers, &site, "t.shop.example:8443", *secure);
            let expected = if *ours { Origin::Ours(HeaderValue::from_static(lines[0])) } else { Origin::Foreign };
            assert_eq!(origin, expected, "{lines:?} secure={secure}");
        }
        assert_eq!(Origin::of(&HeaderMap::new(), &site, "t.shop.example", true), Origin::Absent);
    }

    #[test]
    fn only_ours_is_told_that_it_may_read() {
        for (origin, headers_told) in
            [(Origin::Ours(HeaderValue::from_static("https://a.example")), 6), (Origin::Foreign, 1), (Origin::Absent, 1)]
        {
            let mut headers = HeaderMap::new();
            origin.tell(&mut headers);
            let routes = Routes::new(PROTOCOLS);
            origin.tell_preflight(&mut headers, routes.find(&site("https://a.example"), "/v1/t").expect("Segment's"));
            assert_eq!(headers.len(), headers_told, "{origin:?}");
            assert_eq!(headers[header::VARY], "Origin");
            let allowed = headers.get(header::ACCESS_CONTROL_ALLOW_HEADERS).map(|value| value.to_str().expect("text"));
            assert!(
                allowed.is_none_or(|allowed| allowed.starts_with("content-type, content-encoding, authorization, x-retry-count")),
                "{allowed:?}"
            );
        }
    }
}
