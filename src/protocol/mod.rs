//! What comes in: one file per inbound protocol, and the table of them.
//!
//! A protocol is a pure decoder: bytes in, sealed values out; it does no I/O, keeps nothing, and is bounded. Adding one is a file here,
//! a row in [`PROTOCOLS`], and golden files; see CONTRIBUTING.md.

pub mod amplitude;
pub mod app;
pub mod cookies;
pub mod countly;
pub mod ga4;
pub mod goatcounter;
pub mod inbound;
pub mod library;
pub mod matomo;
pub mod meta;
pub mod mixpanel;
pub mod native;
pub mod plausible;
pub mod posthog;
pub mod segment;
pub mod server;
pub mod snowplow;
pub mod umami;

mod reading;

use std::{borrow::Cow, time::Duration};

use http::{HeaderName, Method, StatusCode, header};

use self::{inbound::Inbound, library::Library};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::aside::Aside,
    privacy::{
        consent::{ConsentSignal, evidence::Evidence},
        raw::{AppDevice, RawEvent},
        refusal::Refusal,
    },
};

/// An inbound protocol: how one family of trackers talks.
pub trait Protocol: Send + Sync {
    /// Its name in counters, goldens and documents.
    fn name(&self) -> &'static str;
    /// The routes that it answers, below the site's prefix.
    fn routes(&self) -> &'static [Route];
    /// The libraries that speak it, and how each is pointed here.
    fn libraries(&self) -> &'static [Library];
    /// Whether its libraries have words for the visitor's choice. Where they have none, a consent on record counts for their requests.
    fn says_choices(&self) -> bool {
        true
    }
    /// Who speaks it.
    fn sent_by(&self) -> SentBy {
        SentBy::Page
    }
    /// Whether the site's own backend speaks it.
    fn is_backend(&self) -> bool {
        self.sent_by() == SentBy::Backend
    }
    /// Request headers that its libraries set beside those that every form sets: a page may send them.
    fn request_headers(&self) -> &'static [&'static str] {
        &[]
    }
    /// Reads a request of one of its `Collect` routes. `now` is the time of receipt.
    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a>;
    /// The answer that this vendor's library expects.
    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply;
}

/// Who speaks a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentBy {
    /// A page in a browser, or a vendor's library wherever that runs.
    Page,
    /// The site's own app, of one visitor: no browser's user agent is to be expected. Its key stands in the app for anybody to read.
    App,
    /// The site's own backend, for many visitors at once: its address, user agent and cookies are no visitor's. Its requests always name a key
    /// that is a secret.
    Backend,
}

/// Every protocol there is.
pub const PROTOCOLS: &[&dyn Protocol] = &[
    &native::Native,
    &amplitude::Amplitude,
    &app::App,
    &countly::Countly,
    &ga4::Ga4,
    &goatcounter::GoatCounter,
    &matomo::Matomo,
    &meta::Meta,
    &mixpanel::Mixpanel,
    &plausible::Plausible,
    &posthog::PostHog,
    &segment::Segment,
    &server::Server,
    &snowplow::Snowplow,
    &umami::Umami,
];

/// An image of one pixel that cannot be seen.
const IMAGE: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// One route of a protocol, below the site's prefix.
pub struct Route {
    /// The method; `OPTIONS` is answered for every route by the server.
    pub method: Method,
    /// The path after the prefix, with its leading slash; a segment `*` stands for any one segment.
    pub path: &'static str,
    /// What it does.
    pub action: Action,
}

/// Whether a path fits a route's, in which a segment `*` stands for any one segment.
#[must_use]
pub fn fits(route: &str, path: &str) -> bool {
    let (mut wanted, mut said) = (route.split('/'), path.split('/'));
    loop {
        match (wanted.next(), said.next()) {
            (None, None) => return true,
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// What a route does.
pub enum Action {
    /// Takes events in.
    Collect,
    /// Answers from the site's document alone (settings and flags stubs).
    Serve(fn(&Site, &Inbound) -> Reply),
}

/// What a request held.
#[derive(Default)]
pub struct Decoded<'a> {
    /// The events that could be read.
    pub events: Vec<RawEvent<'a>>,
    /// Those that could not, by their place in the batch. A body that is unreadable as a whole is `bad[0]` with no events.
    pub bad: Vec<(usize, DecodeError)>,
    /// What the body says of the visitor's choice; for the whole request.
    pub signal: ConsentSignal,
    /// What stands behind that.
    pub evidence: Evidence<'a>,
    /// The vendor's key (measurement id, write key) that the request names its site by; `None` for a protocol that has none.
    pub key: Option<VendorKey>,
    /// Whether the page asked for nobody to be known again: no cookie of ours is read or set then.
    pub anonymous: bool,
    /// What an app says of itself, in place of a browser's user agent.
    pub app: Option<AppDevice<'a>>,
    /// What the page says of vendors' calls and tags, beside its events.
    pub aside: Aside,
    /// What `reply` needs to know of the request; never personal.
    pub hints: ReplyHints,
}

/// What a vendor's library calls the site: a measurement id, a write key. An alias that the site's document lists; the sender chose
/// the text, so it can be compared and not looked at.
pub struct VendorKey(String);

impl VendorKey {
    /// The key that a request named; an empty one if it named none where the protocol wants one.
    #[must_use]
    pub fn new(said: &str) -> Self {
        Self(said.to_owned())
    }

    /// Whether it is one of the site's keys for that protocol.
    #[must_use]
    pub fn is_of(&self, site: &Site, protocol: &str) -> bool {
        site.keys.get(protocol).is_some_and(|keys| keys.contains(&self.0))
    }
}

/// What `reply` needs to know of the request: parsed, never personal.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplyHints {
    /// How many events the request carried, readable or not.
    pub events: usize,
    /// Whether an image was asked for.
    pub image: bool,
    /// Whether it was a batch, of however many.
    pub batch: bool,
    /// Whether a wordy answer was asked for.
    pub verbose: bool,
    /// How many bytes the body has.
    pub bytes: usize,
}

/// Why a body or one event of it could not be read: a constant and a place, never the input's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub reason: &'static str,
    /// Where, in bytes from the start of the body.
    pub byte: Option<usize>,
}

/// What became of a request's events.
#[derive(Default)]
pub struct Outcome {
    /// How many are durable now (or were before, for a retry).
    pub stored: usize,
    /// How many were refused, and why.
    pub refused: Vec<Refusal>,
    /// What became of each readable event of a backend, in their order: nothing, or why it was refused. Of other senders', nothing is kept apart.
    pub each: Vec<Option<Refusal>>,
    /// Those that could not be read.
    pub bad: Vec<(usize, DecodeError)>,
    /// Nothing was kept, since the log cannot take more: come back after that long.
    pub unavailable: Option<Duration>,
    /// Nothing was kept, since the sender has sent too much: come back after that long.
    pub over_quota: Option<Duration>,
}

/// An answer to a browser or a library.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers beside those that the server sets on every reply.
    pub headers: Vec<(HeaderName, Cow<'static, str>)>,
    /// The body; empty for most.
    pub body: Cow<'static, [u8]>,
}

impl Reply {
    /// A reply with a status and nothing else.
    #[must_use]
    pub const fn status(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Cow::Borrowed(&[]) }
    }

    /// A short plain-text reply: what is wrong, in a sentence of ours.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let body = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        let headers = vec![(header::CONTENT_TYPE, Cow::Borrowed("text/plain; charset=utf-8"))];
        Self { status, headers, body }
    }

    /// 200 and JSON.
    #[must_use]
    pub fn json(text: impl Into<Cow<'static, str>>) -> Self {
        let headers = vec![(header::CONTENT_TYPE, Cow::Borrowed("application/json"))];
        Self { headers, ..Self::text(StatusCode::OK, text) }
    }

    /// 200 and an image of one pixel that cannot be seen: what a tag expects that asked for one.
    #[must_use]
    pub fn image() -> Self {
        let headers = vec![(header::CONTENT_TYPE, Cow::Borrowed("image/gif"))];
        Self { status: StatusCode::OK, headers, body: Cow::Borrowed(IMAGE) }
    }

    /// Not now: come back after that long.
    #[must_use]
    pub fn later(status: StatusCode, after: Duration) -> Self {
        let mut reply = Self::status(status);
        reply.headers.push((header::RETRY_AFTER, Cow::Owned(after.as_secs().max(1).to_string())));
        reply
    }

    /// 503 where the log could not take more, 429 where the sender has sent too much: for libraries that keep events and send them again.
    #[must_use]
    pub fn come_back(outcome: &Outcome) -> Option<Self> {
        let unavailable = outcome.unavailable.map(|after| Self::later(StatusCode::SERVICE_UNAVAILABLE, after));
        unavailable.or_else(|| outcome.over_quota.map(|after| Self::later(StatusCode::TOO_MANY_REQUESTS, after)))
    }

    /// 400: the reason, and the place in the body where there is one.
    #[must_use]
    pub fn unreadable(error: &DecodeError) -> Self {
        let place = error.byte.map_or_else(String::new, |byte| format!(" at byte {byte}"));
        Self::text(StatusCode::BAD_REQUEST, format!("{}{place}\n", error.reason))
    }
}
