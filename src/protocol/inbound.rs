//! One request as it came in. It can be carried by anyone and read only by protocols (pure decoders with no way out) and, sealed, by
//! `crate::privacy`. It has no `Debug`, `Display` or `Clone`.

use std::{borrow::Cow, sync::OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Uri, header};

use crate::{
    clock::Timestamp,
    privacy::{
        consent::ConsentSignal,
        personal::Personal,
        raw::{Arrival, ClientAddress, Text},
    },
};

/// One request with its body, decompressed and within bounds.
pub struct Inbound {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    address: Personal<ClientAddress>,
    secure: bool,
    received: Timestamp,
    unpacked: OnceLock<Vec<u8>>,
}

/// The names of the two cookies that we set and read; every other cookie of the site stays unread.
pub struct CookieNames {
    /// Carries the cookie id, only with consent.
    pub visitor: CookieName,
    /// Says that this browser opted out; the same value for everyone.
    pub opt_out: CookieName,
}

/// One cookie's name. Over TLS it has the prefix that makes browsers hold it to this host, `Secure` and `Path=/`:
/// <https://www.rfc-editor.org/rfc/rfc6265#section-4.1.3> (6265bis, cookie name prefixes).
pub struct CookieName {
    plain: String,
    prefixed: String,
}

impl CookieName {
    /// A cookie of that name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { plain: name.to_owned(), prefixed: format!("__Host-{name}") }
    }

    /// The name on the wire.
    #[must_use]
    pub fn on_wire(&self, secure: bool) -> &str {
        if secure { &self.prefixed } else { &self.plain }
    }
}

impl Inbound {
    /// Takes a request. `uri` is as the client sent it, prefix included; `address` is what `server/client_address.rs` believes; `secure` is false only for a loopback host without TLS.
    #[must_use]
    pub const fn new(
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
        address: Personal<ClientAddress>,
        secure: bool,
        received: Timestamp,
    ) -> Self {
        Self { uri, headers, body, address, secure, received, unpacked: OnceLock::new() }
    }

    /// When it came in.
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// What the connection and the headers say of the visitor, sealed.
    #[must_use]
    pub fn arrival(&self, names: &CookieNames, signal: ConsentSignal) -> Arrival<'_> {
        let (visitor_cookie, opted_out) = self.own_cookies(names);
        Arrival {
            address: &self.address,
            user_agent: self.text(header::USER_AGENT.as_str()),
            accept_language: self.text(header::ACCEPT_LANGUAGE.as_str()),
            brands: self.text("sec-ch-ua"),
            prefetched: self.header("sec-purpose").is_some_and(|purpose| purpose.starts_with("prefetch")),
            visitor_cookie,
            opted_out,
            global_privacy_control: self.header("sec-gpc") == Some("1"),
            do_not_track: self.header("dnt") == Some("1") || self.header("x-do-not-track") == Some("1"),
            secure: self.secure,
            signal,
            received: self.received,
        }
    }

    /// Whether a visitor opened this address as a page, by the browser's own word, which no script can give
    /// (<https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header>).
    #[must_use]
    pub fn is_opened_page(&self) -> bool {
        self.header("sec-fetch-dest") == Some("document")
    }

    pub(in crate::protocol) fn body(&self) -> &[u8] {
        &self.body
    }

    /// What a protocol makes of the query's encoded text, once: it rests here, so that events can borrow from it as they do from the body.
    pub(in crate::protocol) fn unpacked(&self, unpack: impl FnOnce() -> Vec<u8>) -> &[u8] {
        self.unpacked.get_or_init(unpack)
    }

    /// The query, as it came; without its question mark.
    pub(in crate::protocol) fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The path, prefix included.
    pub(in crate::protocol) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The host that was asked, and the port behind it if one was named; as the client said it, but the site was found by that host.
    pub(in crate::protocol) fn authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str).or_else(|| self.header(header::HOST.as_str()))
    }

    /// Whether the browser reached us over TLS.
    pub(in crate::protocol) const fn secure(&self) -> bool {
        self.secure
    }

    /// The `Authorization` header.
    pub(in crate::protocol) fn authorization(&self) -> Option<&str> {
        self.header(header::AUTHORIZATION.as_str())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn text(&self, name: &str) -> Option<Text<'_>> {
        self.header(name).map(|value| Personal::new(Cow::Borrowed(value)))
    }

    /// A visitor cookie that comes twice is not ours to choose from, and counts as absent; one opt-out is enough.
    fn own_cookies(&self, names: &CookieNames) -> (Option<Text<'_>>, bool) {
        let (visitor_name, opt_out_name) = (names.visitor.on_wire(self.secure), names.opt_out.on_wire(self.secure));
        let mut visitor = None;
        let mut seen = 0;
        let mut opted_out = false;
        for line in self.headers.get_all(header::COOKIE) {
            let Ok(line) = line.to_str() else { continue };
            // A site's own cookies are many and none of our business: where our names are not, nothing is parsed.
            let names_us = |name: &str| memchr::memmem::find(line.as_bytes(), name.as_bytes()).is_some();
            if !names_us(visitor_name) && !names_us(opt_out_name) {
                continue;
            }
            for cookie in cookie::Cookie::split_parse(line).flatten() {
                if cookie.name() == visitor_name {
                    seen += 1;
                    visitor = Some(Personal::new(Cow::Owned(cookie.value().to_owned())));
                } else if cookie.name() == opt_out_name {
                    opted_out = true;
                }
            }
        }
        (if seen == 1 { visitor } else { None }, opted_out)
    }
}
