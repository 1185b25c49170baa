//! One request as it came in. It can be carried by anyone and read only by protocols (pure decoders with no way out) and, sealed, by
//! `crate::privacy`. It has no `Debug`, `Display` or `Clone`.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Method, header};

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
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
    address: Personal<ClientAddress>,
    received: Timestamp,
}

/// The names of the two cookies that we set and read; every other cookie of the site stays unread.
pub struct CookieNames {
    /// Carries the cookie id, only with consent.
    pub visitor: String,
    /// Says that this browser opted out; the same value for everyone.
    pub opt_out: String,
}

impl Inbound {
    /// Takes a request. `path` is what follows the site's prefix; `address` is what `server/client_address.rs` believes.
    #[must_use]
    pub fn new(head: http::request::Parts, path: String, body: Bytes, address: Personal<ClientAddress>, received: Timestamp) -> Self {
        let query = head.uri.query().map(str::to_owned);
        Self { method: head.method, path, query, headers: head.headers, body, address, received }
    }

    /// What the connection and the headers say of the visitor, sealed.
    #[must_use]
    pub fn arrival(&self, names: &CookieNames, signal: ConsentSignal) -> Arrival<'_> {
        let (visitor_cookie, opted_out) = self.own_cookies(names);
        Arrival {
            address: &self.address,
            user_agent: self.text(header::USER_AGENT.as_str()),
            accept_language: self.text(header::ACCEPT_LANGUAGE.as_str()),
            visitor_cookie,
            opted_out,
            global_privacy_control: self.header("sec-gpc") == Some("1"),
            do_not_track: self.header("dnt") == Some("1") || self.header("x-do-not-track") == Some("1"),
            signal,
            received: self.received,
        }
    }

    pub(in crate::protocol) fn body(&self) -> &[u8] {
        &self.body
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn text(&self, name: &str) -> Option<Text<'_>> {
        self.header(name).map(|value| Personal::new(Cow::Borrowed(value)))
    }

    /// The last cookie of our name wins nothing: a name that comes twice is not ours to choose from, and counts as absent.
    fn own_cookies(&self, names: &CookieNames) -> (Option<Text<'_>>, bool) {
        let mut visitor = None;
        let mut seen = 0;
        let mut opted_out = false;
        for line in self.headers.get_all(header::COOKIE) {
            let Ok(line) = line.to_str() else { continue };
            for cookie in cookie::Cookie::split_parse(line).flatten() {
                if cookie.name() == names.visitor {
                    seen += 1;
                    visitor = Some(Personal::new(Cow::Owned(cookie.value().to_owned())));
                } else if cookie.name() == names.opt_out {
                    opted_out = true;
                }
            }
        }
        (if seen == 1 { visitor } else { None }, opted_out)
    }
}
