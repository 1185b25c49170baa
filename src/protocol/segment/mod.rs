//! `segment`: what analytics.js and other libraries of Segment's dialect send, pointed at us by `cdnURL` (`https://<host><prefix>`).
//!
//! | route below the prefix | what |
//! |---|---|
//! | `POST /v1/{identify,track,page,screen,group,alias}`, `/v1/{i,t,p,s,g,a}` | one call; the browser's library sends the letter |
//! | `POST /v1/{batch,import}`, `/v1/b` | `batch`: a list of calls, each with its `type`; at most 250 |
//! | `GET /v1/pixel/{identify,track,page,screen,group,alias}` | one call in an image's address: see [`pixel`] |
//! | `POST /v1/m` | the library's measurements of itself: answered and dropped |
//! | `GET /v1/projects/<write key>/settings`, `GET /sourceConfig/` | see [`settings`] |
//! | `POST /api/s/{identify,track,page,screen,group,alias}`, `/api/s/s2s/…` | one call, as Jitsu's libraries send it |
//!
//! The body is JSON, as `application/json` or `text/plain`. The write key is `writeKey` in the call or batch, else the user name of
//! `Authorization: Basic`; of Jitsu's `id:secret`, the id. What becomes of a call:
//!
//! | Segment's | ours |
//! |---|---|
//! | `track` | the event of [`names`](super::reading::names)' table, else the sender's own name in small letters and underscores |
//! | `page`, `screen` | `page_view`, `screen_view` |
//! | `identify`, `group`, `alias` | events of these names, kept as `custom` unless the policy lists them; `userId` is taken as claimed, traits, `groupId` and `previousId` are dropped |
//! | `messageId` | the client's event id, for recognising a retry |
//! | `timestamp`, `sentAt` | the time, with the sender's clock taken out |
//! | `context.page.{url,referrer,title}`, `.locale`, `.screen.width`, `.campaign` | page, referrer, language, screen, campaign |
//! | `context.consent`, RudderStack's `context.consentManagement` | see [`choice`]; of several calls in a body, the strictest choice holds for all |
//! | `properties.{revenue,total,value}`, `currency`, `order_id`, `tax`, `shipping`, `coupon`, `products` | money, order and items |
//! | `properties`, the rest | properties, where they are flat |
//! | `anonymousId` | tells, in the minute after a first yes, that several requests are one browser's; rests nowhere |
//! | `context.ip`, everything else | not taken |

pub(super) mod calls;
mod choice;
mod pixel;
mod settings;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Method;
use serde_json::value::RawValue;

use self::calls::Call;
use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, VendorKey,
    library::{Code, Library, List, script, xhr},
    native::{describe, place},
    reading::{
        loose::{self, Fields},
        sender_clock,
    },
};
use crate::{clock::Timestamp, documents::Site, privacy::consent::ConsentSignal};

/// The protocol's name in documents: `keys = { segment = ["…"] }`.
const NAME: &str = "segment";
/// What a batch is without calls.
const NO_LIST: DecodeError = DecodeError { reason: "a batch needs a list of calls (batch)", byte: None };
/// Calls in one body: the largest batch that a library of Segment's sends by default; the browser's sends 10.
const EVENTS_MAX: usize = 250;

/// The protocol of Segment's libraries.
pub struct Segment;

impl Protocol for Segment {
    fn name(&self) -> &'static str {
        NAME
    }

    fn routes(&self) -> &'static [Route] {
        const fn collect(path: &'static str) -> Route {
            Route { method: Method::POST, path, action: Action::Collect }
        }
        const fn pixel(path: &'static str) -> Route {
            Route { method: Method::GET, path, action: Action::Collect }
        }
        const ROUTES: &[Route] = &[
            collect("/v1/identify"),
            collect("/v1/track"),
            collect("/v1/page"),
            collect("/v1/screen"),
            collect("/v1/group"),
            collect("/v1/alias"),
            collect("/v1/batch"),
            collect("/v1/import"),
            collect("/v1/i"),
            collect("/v1/t"),
            collect("/v1/p"),
            collect("/v1/s"),
            collect("/v1/g"),
            collect("/v1/a"),
            collect("/v1/b"),
            pixel("/v1/pixel/identify"),
            pixel("/v1/pixel/track"),
            pixel("/v1/pixel/page"),
            pixel("/v1/pixel/screen"),
            pixel("/v1/pixel/group"),
            pixel("/v1/pixel/alias"),
            collect("/api/s/identify"),
            collect("/api/s/track"),
            collect("/api/s/page"),
            collect("/api/s/screen"),
            collect("/api/s/group"),
            collect("/api/s/alias"),
            collect("/api/s/s2s/identify"),
            collect("/api/s/s2s/track"),
            collect("/api/s/s2s/page"),
            collect("/api/s/s2s/screen"),
            collect("/api/s/s2s/group"),
            collect("/api/s/s2s/alias"),
            Route { method: Method::GET, path: "/sourceConfig/", action: Action::Serve(settings::serve_source) },
            Route { method: Method::POST, path: "/v1/m", action: Action::Serve(drop_measurements) },
            Route { method: Method::GET, path: "/v1/projects/*/settings", action: Action::Serve(settings::serve) },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[
            Library {
                name: "@segment/analytics-next",
                tried: Some("1.84.3"),
                code: Code::Own,
                change: Some(
                    r#"AnalyticsBrowser.load({ writeKey: "{key}", cdnURL: "{base}" }, { integrations: { "Segment.io": { apiHost: "{host}{path}/v1" } } })"#,
                ),
                before: &[xhr("https://cdn.segment.com/v1/projects/1/settings"), xhr("https://api.segment.io/v1/t")],
                known_before: &[List::EasyPrivacy],
                asks: &[
                    xhr("/v1/projects/*/settings"),
                    xhr("/v1/p"),
                    xhr("/v1/t"),
                    xhr("/v1/i"),
                    xhr("/v1/g"),
                    xhr("/v1/s"),
                    xhr("/v1/a"),
                    xhr("/v1/b"),
                ],
                known: &[],
            },
            Library {
                name: "@rudderstack/analytics-js",
                tried: Some("3.34.1"),
                code: Code::Own,
                change: Some(r#"new RudderAnalytics().load("{key}", "{base}", { configUrl: "{base}" })"#),
                before: &[
                    script("https://cdn.rudderlabs.com/v3/modern/rsa.min.js"),
                    xhr("https://shop.dataplane.rudderstack.com/v1/track"),
                ],
                known_before: &[List::EasyPrivacy],
                asks: &[
                    xhr("/sourceConfig/?p=npm&v=3.34.1&build=modern&writeKey=*&lockIntegrationsVersion=true&lockPluginsVersion=true"),
                    xhr("/v1/page"),
                    xhr("/v1/track"),
                    xhr("/v1/identify"),
                    xhr("/v1/screen"),
                    xhr("/v1/group"),
                    xhr("/v1/alias"),
                ],
                known: &[],
            },
            Library {
                name: "@jitsu/js",
                tried: Some("1.11.0"),
                code: Code::Own,
                change: Some(r#"jitsuAnalytics({ host: "{base}", writeKey: "{key}:secret" })"#),
                before: &[xhr("https://shop.d.jitsu.com/api/s/track")],
                known_before: &[],
                asks: &[
                    xhr("/api/s/page"),
                    xhr("/api/s/track"),
                    xhr("/api/s/identify"),
                    xhr("/api/s/screen"),
                    xhr("/api/s/group"),
                    xhr("/api/s/alias"),
                ],
                known: &[],
            },
            Library {
                name: "@segment/analytics-node",
                tried: Some("3.1.0"),
                code: Code::Server,
                change: Some(r#"new Analytics({ writeKey: "{key}", host: "{origin}", path: "{path}/v1/batch" })"#),
                before: &[],
                known_before: &[],
                asks: &[xhr("/v1/batch")],
                known: &[],
            },
        ];
        LIBRARIES
    }

    fn request_headers(&self) -> &'static [&'static str] {
        &["authorization", "x-retry-count", "anonymousid", "sentat", "x-write-key", "x-ip-policy", "x-enable-debug"]
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let (image, bytes) = match pixel::call(request) {
            Some(call) => (true, call),
            None => (false, request.body()),
        };
        let mut body: Fields<'a> = match serde_json::from_slice(bytes) {
            Ok(body) => body,
            Err(_) if image => {
                return Decoded { hints: ReplyHints { events: 1, image, ..ReplyHints::default() }, ..unreadable(pixel::UNREADABLE) };
            }
            Err(error) => return unreadable(describe(&error, bytes, 0)),
        };
        let key = write_key(&mut body, request.authorization());
        let calls = Calls::new(&mut body, None, now);
        let decoded = if let Some(call) = Call::named(request.path().rsplit('/').next().unwrap_or_default()) {
            let hints = ReplyHints { image, ..ReplyHints::default() };
            calls.hinting(hints).of_one(body, Some(call))
        } else {
            let Some(batch) = body.take("batch") else {
                return unreadable(NO_LIST);
            };
            calls.of_batch(body.take("context"), batch, bytes)
        };
        Decoded { key: Some(key), ..decoded }
    }

    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        match outcome.bad.first() {
            _ if hints.image => Reply::image(),
            Some((_, error)) if outcome.bad.len() >= hints.events => Reply::unreadable(error),
            // What was refused is refused for good, and what could not be read will not be readable later: sending it again is no use.
            _ => success(),
        }
    }
}

/// One request's calls while they are read.
pub(super) struct Calls<'a> {
    /// The sender's clock when it sent.
    sent: Option<i64>,
    now: Timestamp,
    /// What a call is that does not say it.
    unsaid: Option<Call>,
    /// A batch's context, which holds for all calls that do not say otherwise.
    for_all: Option<&'a RawValue>,
    choice: Option<ConsentSignal>,
    decoded: Decoded<'a>,
}

impl<'a> Calls<'a> {
    /// Those of a body. `unsaid`: what a call is that does not say it; without one, such a call cannot be read.
    pub(super) fn new(body: &mut Fields<'a>, unsaid: Option<Call>, now: Timestamp) -> Self {
        let sent = body.take("sentAt").and_then(sender_clock::instant);
        Self { sent, now, unsaid, for_all: None, choice: None, decoded: Decoded::default() }
    }

    /// With what the reply has to know.
    fn hinting(mut self, hints: ReplyHints) -> Self {
        self.decoded.hints = hints;
        self
    }

    /// The body is one call.
    pub(super) fn of_one(mut self, mut body: Fields<'a>, call: Option<Call>) -> Decoded<'a> {
        self.decoded.hints.events = 1;
        let call = call.or_else(|| self.call(&mut body));
        self.take(0, body, call, Some(0));
        self.finish()
    }

    /// The body is a list of calls.
    pub(super) fn of_batch(mut self, context: Option<&'a RawValue>, batch: &'a RawValue, bytes: &[u8]) -> Decoded<'a> {
        let Some(said) = loose::list(batch) else {
            return unreadable(NO_LIST);
        };
        if said.len() > EVENTS_MAX {
            return unreadable(DecodeError { reason: "more than 250 calls", byte: None });
        }
        self.decoded.hints.events = said.len();
        self.for_all = context;
        for (index, raw) in said.into_iter().enumerate() {
            let byte = place(raw.get(), bytes);
            match Fields::of(raw) {
                Some(mut fields) => {
                    let call = self.call(&mut fields);
                    self.take(index, fields, call, byte);
                }
                None => self.decoded.bad.push((index, DecodeError { reason: "a call is an object", byte })),
            }
        }
        self.finish()
    }

    fn call(&self, fields: &mut Fields<'a>) -> Option<Call> {
        fields.words("type").map_or(self.unsaid, |name| Call::named(&name))
    }

    /// Takes one call: its event, or why there is none, and its share of the visitor's choice.
    fn take(&mut self, index: usize, mut fields: Fields<'a>, call: Option<Call>, byte: Option<usize>) {
        let mut context = fields.object("context");
        let mut batch = self.for_all.and_then(Fields::of).unwrap_or_default();
        let said = choice::signal(context.take("consent").or_else(|| batch.take("consent")));
        let managed = choice::managed(context.take("consentManagement").or_else(|| batch.take("consentManagement")));
        let said = if managed == ConsentSignal::Absent { said } else { choice::beside(said, managed) };
        self.choice = Some(self.choice.map_or(said, |before| choice::stricter(before, said)));
        let event = call
            .ok_or("the call has no type, or one that is not Segment's")
            .and_then(|call| calls::event(call, fields, context, batch, self.sent, self.now));
        match event {
            Ok(event) => self.decoded.events.push(event),
            Err(reason) => self.decoded.bad.push((index, DecodeError { reason, byte })),
        }
    }

    fn finish(self) -> Decoded<'a> {
        Decoded { signal: self.choice.unwrap_or_default(), ..self.decoded }
    }
}

/// The key in the body, else the one in the header; an empty one where there is none, which is no site's.
pub(super) fn write_key(body: &mut Fields<'_>, authorization: Option<&str>) -> VendorKey {
    if let Some(said) = body.words("writeKey") {
        return VendorKey::new(said.split(':').next().unwrap_or_default());
    }
    VendorKey::new(authorization.and_then(user_name).as_deref().unwrap_or_default())
}

/// The user name of a `Basic` authorization (RFC 7617).
fn user_name(authorization: &str) -> Option<String> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    let pair = BASE64_STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let pair = String::from_utf8(pair).ok()?;
    Some(pair.split_once(':').map_or(pair.as_str(), |(name, _)| name).to_owned())
}

fn unreadable(error: DecodeError) -> Decoded<'static> {
    // There is no event that a consent signal could let through.
    Decoded { bad: vec![(0, error)], ..Decoded::default() }
}

fn drop_measurements(_: &Site, _: &Inbound) -> Reply {
    success()
}

fn success() -> Reply {
    Reply::json(r#"{"success":true}"#)
}

#[cfg(test)]
mod tests;
