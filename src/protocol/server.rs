//! `server`: what the site's own backend says: purchases, refunds, leads. `POST /v1/events` below the prefix, with the site's API key as
//! `Authorization: Bearer`; docs/server-events.md is for who writes the backend.
//!
//! The body is one call of Segment's or a `batch` of them, at most 1,000; `type` may be left out and is `track` then. What becomes of a
//! call's fields is said in [`segment`](super::segment). What differs:
//!
//! | said | here |
//! |---|---|
//! | `anonymousId` | the value of our visitor cookie, as the browser's request brought it to the backend: whose event it is, and whose consent on record counts |
//! | `userId` | proven: the backend says it |
//! | `messageId`, else the header `Idempotency-Key` and the place in the batch | by which a retry is known; one of them has to be there |
//! | `context.consent` | not taken: the person's own word to the site counts |
//!
//! Address, user agent and cookies of the request are the backend's own, and tell nothing of any visitor: nobody looks at them.

use std::borrow::Cow;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::{Method, StatusCode, header};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, SentBy, VendorKey,
    library::{Code, Library, xhr},
    native::{describe, place},
    reading::{
        loose::{self, Fields},
        sender_clock,
    },
    segment::calls::{self, Call},
};
use crate::{
    clock::Timestamp,
    privacy::{personal::Personal, raw::RawEvent, refusal::Refusal},
};

/// The protocol's name in documents: `keys = { server = ["…"] }`.
pub const NAME: &str = "server";
/// Keys that a site may have at a time: the one in use, and the next one while it is changed.
pub const KEYS_MAX: usize = 2;
/// Events in one body: an hour's orders of a large shop; what one request can make us hold is bounded by its bytes before that.
const EVENTS_MAX: usize = 1_000;
/// Bytes of an `Idempotency-Key`: a UUID has 36, a hash in hexadecimal 64.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// The protocol of a site's own backend.
pub struct Server;

/// What a site's document holds of an API key: SHA-256 in base64url. The key has 256 random bits, so that nobody guesses it from this.
#[must_use]
pub fn fingerprint(key: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(key))
}

/// The same as bytes.
#[must_use]
pub fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Whether a text has the form of a fingerprint: whoever writes the key itself into a document is told so.
#[must_use]
pub fn is_fingerprint(text: &str) -> bool {
    BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == Sha256::output_size())
}

impl Protocol for Server {
    fn name(&self) -> &'static str {
        NAME
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[Route { method: Method::POST, path: "/v1/events", action: Action::Collect }];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[Library {
            name: "your own backend",
            tried: None,
            code: Code::Server,
            change: Some("POST {base}/v1/events"),
            before: &[],
            known_before: &[],
            asks: &[xhr("/v1/events")],
            known: &[],
        }];
        LIBRARIES
    }

    fn says_choices(&self) -> bool {
        false
    }

    fn sent_by(&self) -> SentBy {
        SentBy::Backend
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        // Of what the profile API takes in, its own key was asked for.
        let asked = || VendorKey::new(&request.authorization().and_then(bearer).map(fingerprint).unwrap_or_default());
        let mut decoded = Decoded { key: (!request.is_of_admitted_backend()).then(asked), ..Decoded::default() };
        if let Err(error) = read(request, now, &mut decoded) {
            decoded.bad = vec![(0, error)];
        }
        decoded
    }

    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        if outcome.refused.first() == Some(&Refusal::UnknownKey) {
            return unknown_key("This is not the API key of a site here.\n");
        }
        match outcome.bad.first() {
            Some((_, error)) if hints.events == 0 => Reply::unreadable(error),
            _ => results(hints.events, outcome),
        }
    }
}

/// Reads the body's calls.
///
/// # Errors
/// What makes the body unreadable as a whole.
fn read<'a>(request: &'a Inbound, now: Timestamp, decoded: &mut Decoded<'a>) -> Result<(), DecodeError> {
    let whole = |reason| DecodeError { reason, byte: None };
    let bytes = request.body();
    let retry = request.idempotency_key();
    if retry.is_some_and(|key| key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX) {
        return Err(whole("an Idempotency-Key has 1 to 128 bytes"));
    }
    let mut body: Fields<'a> = serde_json::from_slice(bytes).map_err(|error| describe(&error, bytes, 0))?;
    let sent = body.take("sentAt").and_then(sender_clock::instant);
    let Some(batch) = body.take("batch") else {
        decoded.hints.events = 1;
        match event(body, (retry, 0), sent, now) {
            Ok(event) => decoded.events.push(event),
            Err(reason) => decoded.bad.push((0, DecodeError { reason, byte: Some(0) })),
        }
        return Ok(());
    };
    let said = loose::list(batch).filter(|said| !said.is_empty()).ok_or(whole("a batch is a list of calls, and has one at least"))?;
    if said.len() > EVENTS_MAX {
        return Err(whole("more than 1000 calls"));
    }
    decoded.hints.events = said.len();
    for (index, raw) in said.into_iter().enumerate() {
        let read = Fields::of(raw).ok_or("a call is an object").and_then(|fields| event(fields, (retry, index), sent, now));
        match read {
            Ok(event) => decoded.events.push(event),
            Err(reason) => decoded.bad.push((index, DecodeError { reason, byte: place(raw.get(), bytes) })),
        }
    }
    Ok(())
}

/// The event that a call is.
///
/// # Errors
/// In our words, why there is none.
fn event<'a>(
    mut fields: Fields<'a>,
    (retry, index): (Option<&str>, usize),
    sent: Option<i64>,
    now: Timestamp,
) -> Result<RawEvent<'a>, &'static str> {
    let call = match fields.words("type") {
        None => Call::Track,
        Some(name) => Call::named(&name).ok_or("the call's type is not one of Segment's")?,
    };
    // A page that was given none hands on an empty one.
    let ticket = fields.words("ticket").filter(|ticket| !ticket.is_empty()).map(Personal::new);
    let context = fields.object("context");
    let mut event = calls::event(call, fields, context, Fields::default(), sent, now)?;
    if event.client_id.is_none() {
        let retry = retry.ok_or("a call needs a messageId, or the request an Idempotency-Key: a retry would count twice")?;
        event.client_id = Some(Personal::new(Cow::Owned(format!("{retry} {index}"))));
    }
    event.vouched = true;
    event.ticket = ticket;
    Ok(event)
}

/// 401: whoever sends it has another site's key, or an old one.
pub(super) fn unknown_key(text: &'static str) -> Reply {
    let mut reply = Reply::text(StatusCode::UNAUTHORIZED, text);
    reply.headers.push((header::WWW_AUTHENTICATE, Cow::Borrowed("Bearer")));
    reply
}

/// The token of a `Bearer` authorization (RFC 6750).
#[must_use]
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What became of each call, in their order.
fn results(events: usize, outcome: &Outcome) -> Reply {
    let mut taken = outcome.each.iter();
    let results = (0..events).filter_map(|index| match outcome.bad.iter().find(|(bad, _)| *bad == index) {
        Some((_, DecodeError { reason, byte })) => Some(json!({ "index": index, "result": "unreadable", "reason": reason, "byte": byte })),
        None => Some(match taken.next()? {
            None => json!({ "index": index, "result": "stored" }),
            Some(refusal) => json!({ "index": index, "result": "refused", "reason": refusal.name() }),
        }),
    });
    let said = json!({ "stored": outcome.stored, "results": results.collect::<Vec<_>>() });
    let status = if outcome.bad.len() >= events { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Reply { status, ..Reply::json(said.to_string()) }
}
