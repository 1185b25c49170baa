//! One request as it came in. It can be carried by anyone and read only by protocols (pure decoders with no way out) and, sealed, by
//! `crate::privacy`. It has no `Debug`, `Display` or `Clone`.

use std::{borrow::Cow, sync::OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Uri, header};

use super::{
    cookies::{self, CookieNames},
    reading::parameters::Parameters,
};
use crate::{
    clock::Timestamp,
    privacy::{
        consent::{ConsentSignal, evidence::Evidence},
        personal::Personal,
        raw::{Arrival, ClientAddress, Text},
    },
};

// Made once: a name that is given as text is parsed anew at every look-up.
static BRANDS: HeaderName = HeaderName::from_static("sec-ch-ua");
static PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
static DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
static PRIVACY_CONTROL: HeaderName = HeaderName::from_static("sec-gpc");
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static DO_NOT_TRACK: HeaderName = HeaderName::from_static("x-do-not-track");

/// One request with its body, decompressed and within bounds.
pub struct Inbound {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    address: Personal<ClientAddress>,
    secure: bool,
    received: Timestamp,
    admitted: bool,
    unpacked: OnceLock<Vec<u8>>,
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
        Self { uri, headers, body, address, secure, received, admitted: false, unpacked: OnceLock::new() }
    }

    /// The same, of a backend whose right to send for the site was asked for elsewhere: the profile API's key.
    #[must_use]
    pub fn of_admitted_backend(self) -> Self {
        Self { admitted: true, ..self }
    }

    /// Whether it is of such a backend.
    pub(in crate::protocol) const fn is_of_admitted_backend(&self) -> bool {
        self.admitted
    }

    /// When it came in.
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// What the connection and the headers say of the visitor, sealed.
    #[must_use]
    pub fn arrival<'a>(&'a self, names: &CookieNames, signal: ConsentSignal, evidence: Evidence<'a>) -> Arrival<'a> {
        Arrival {
            address: &self.address,
            user_agent: self.text(&header::USER_AGENT),
            app: None,
            accept_language: self.text(&header::ACCEPT_LANGUAGE),
            brands: self.text(&BRANDS),
            prefetched: self.header(&PURPOSE).is_some_and(|purpose| purpose.starts_with("prefetch")),
            own: names.read(&self.headers, self.secure),
            matomo: cookies::matomo(&self.headers),
            global_privacy_control: self.header(&PRIVACY_CONTROL) == Some("1"),
            do_not_track: self.header(&header::DNT) == Some("1") || self.header(&DO_NOT_TRACK) == Some("1"),
            secure: self.secure,
            signal,
            evidence,
            received: self.received,
        }
    }

    /// Whether a visitor opened this address as a page, by the browser's own word, which no script can give
    /// (<https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header>).
    #[must_use]
    pub fn is_opened_page(&self) -> bool {
        self.header(&DESTINATION) == Some("document")
    }

    /// A field of a form of ours, sealed.
    #[must_use]
    pub fn form(&self, name: &str) -> Option<Personal<String>> {
        let body = std::str::from_utf8(&self.body).ok()?;
        Parameters::of(body).text(name).map(|said| Personal::new(said.into_owned()))
    }

    /// A parameter of one of our own addresses, sealed.
    #[must_use]
    pub fn asked_by_query(&self, name: &str) -> Option<Personal<String>> {
        Parameters::of(self.uri.query()?).text(name).map(|said| Personal::new(said.into_owned()))
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

    /// The page that asked, as far as its browser says it.
    pub(in crate::protocol) fn asking_page(&self) -> Option<Text<'_>> {
        self.text(&header::REFERER)
    }

    /// The host that was asked, and the port behind it if one was named; as the client said it, but the site was found by that host.
    pub(in crate::protocol) fn authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str).or_else(|| self.header(&header::HOST))
    }

    /// Whether this host was asked.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        self.authority()
            .and_then(|asked| asked.get(..host.len()).zip(asked.get(host.len()..)))
            .is_some_and(|(asked, behind)| asked.eq_ignore_ascii_case(host) && (behind.is_empty() || behind.starts_with([':', '.'])))
    }

    /// Whether the browser reached us over TLS.
    pub(in crate::protocol) const fn secure(&self) -> bool {
        self.secure
    }

    /// The `Authorization` header.
    pub(in crate::protocol) fn authorization(&self) -> Option<&str> {
        self.header(&header::AUTHORIZATION)
    }

    /// The `Idempotency-Key` header: the same request sent again has the same one.
    pub(in crate::protocol) fn idempotency_key(&self) -> Option<&str> {
        self.header(&IDEMPOTENCY_KEY)
    }

    /// Whether the page asked for nobody to be known again (Snowplow's `SP-Anonymous`).
    pub(in crate::protocol) fn asks_for_anonymity(&self) -> bool {
        self.headers.contains_key("sp-anonymous")
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn text(&self, name: &HeaderName) -> Option<Text<'_>> {
        self.header(name).map(|value| Personal::new(Cow::Borrowed(value)))
    }
}
