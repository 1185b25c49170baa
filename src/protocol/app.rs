//! `app`: what a site's own app for phones, tablets or computers says. `POST /v1/app` below the prefix, with the app's key as
//! `Authorization: Bearer`; docs/apps.md is for who writes the app.
//!
//! | route | what |
//! |---|---|
//! | `POST /v1/app` | one call of Segment's or a `batch` of them, at most 250; `type` may be left out and is `track` then |
//! | `POST /v1/app/b` | the same, as Segment's libraries for phones ask for it, with the key as `writeKey` or user name |
//!
//! What becomes of a call's fields is said in [`segment`](super::segment). What differs, once for the whole body, since one body is of one
//! visitor:
//!
//! | said | here |
//! |---|---|
//! | `consent` | list of `analytics`, `profile`, `ads`; empty: refused; absent: not chosen yet, or as Segment's `context.consent` says |
//! | `consentSeconds` | seconds until that consent ends |
//! | `optOut` | `true`: opt out of everything here; `false`: take that back |
//! | `anonymousId` | the value of our visitor cookie, where the app keeps that itself and sends no cookie |
//! | `context.os.name`, `context.device.type`, `context.app.version` | what stands in place of a browser: system, form, and the app's major version |
//!
//! The key can be read out of the app by whoever has it, so it proves nothing: what is said under it counts as what a browser says. It only
//! tells that no browser speaks, whose user agent and hints would be missed.

use std::borrow::Cow;

use http::Method;
use serde_json::value::RawValue;

use super::{
    Action, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route, SentBy, VendorKey,
    library::{Code, Library, xhr},
    native::describe,
    reading::loose::{self, Fields, flat},
    segment::{Calls, calls::Call, write_key},
    server::{bearer, unknown_key},
};
use crate::{
    clock::Timestamp,
    event::Purposes,
    privacy::{
        consent::{ConsentSignal, Stance, evidence::Evidence},
        raw::{AppDevice, PropertyValue},
        refusal::Refusal,
    },
};

/// The protocol's name in documents: `keys = { app = ["…"] }`.
pub const NAME: &str = "app";

/// The protocol of a site's own app.
pub struct App;

impl Protocol for App {
    fn name(&self) -> &'static str {
        NAME
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::POST, path: "/v1/app", action: Action::Collect },
            Route { method: Method::POST, path: "/v1/app/b", action: Action::Collect },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[Library {
            name: "your own app",
            tried: None,
            code: Code::App,
            change: Some("POST {base}/v1/app"),
            before: &[],
            known_before: &[],
            asks: &[xhr("/v1/app")],
            known: &[],
        }];
        LIBRARIES
    }

    fn sent_by(&self) -> SentBy {
        SentBy::App
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        let bytes = request.body();
        let bearer = request.authorization().and_then(bearer).map(VendorKey::new);
        let mut body: Fields<'a> = match serde_json::from_slice(bytes) {
            Ok(body) => body,
            Err(error) => return Decoded { bad: vec![(0, describe(&error, bytes, 0))], ..Decoded::default() },
        };
        let key = bearer.unwrap_or_else(|| write_key(&mut body, request.authorization()));
        let listed = choice(&mut body);
        let said = Stance::from(opt_out(&mut body)).and(listed.into());
        let calls = Calls::new(&mut body, Some(Call::Track), now);
        let context = body.get("context");
        let (device, decoded) = match body.take("batch") {
            Some(batch) => (device(context.or_else(|| first_context(batch))), calls.of_batch(context, batch, bytes)),
            None => (device(context), calls.of_one(body, None)),
        };
        Decoded {
            signal: said.and(decoded.signal.into()).signal(),
            // What a consent tool's categories are called is the site's affair; the list's words are ours.
            evidence: Evidence::said_here(Stance::from(listed).grants()),
            key: Some(key),
            app: Some(device),
            ..decoded
        }
    }

    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        if outcome.refused.first() == Some(&Refusal::UnknownKey) {
            return unknown_key("This is not the key of an app of a site here.\n");
        }
        match outcome.bad.first() {
            Some((_, error)) if outcome.bad.len() >= hints.events => Reply::unreadable(error),
            // What was refused is refused for good, and what could not be read will not be readable later: sending it again is no use.
            _ => Reply::json(r#"{"success":true}"#),
        }
    }
}

/// What the list of purposes says.
fn choice(body: &mut Fields<'_>) -> ConsentSignal {
    let ends = said(body, "consentSeconds");
    let Some(said) = said(body, "consent") else { return ConsentSignal::Absent };
    // An end that nobody can read must not count as none.
    let seconds_left = match ends.map(flat) {
        None => None,
        Some(Some(PropertyValue::Number(seconds))) if seconds >= 0.0 => Some(seconds as u32),
        Some(_) => return ConsentSignal::Malformed,
    };
    match serde_json::from_str::<Vec<Cow<'_, str>>>(said.get()) {
        // A purpose that we do not know is not granted by being named.
        Ok(names) => ConsentSignal::Given {
            purposes: names.iter().filter_map(|name| Purposes::named(name)).fold(Purposes::NONE, Purposes::and),
            seconds_left,
        },
        Err(_) => ConsentSignal::Malformed,
    }
}

fn opt_out(body: &mut Fields<'_>) -> ConsentSignal {
    match said(body, "optOut").map(flat) {
        None => ConsentSignal::Absent,
        Some(Some(PropertyValue::Flag(false))) => ConsentSignal::OptIn,
        // Whatever else stands there was meant as something.
        Some(_) => ConsentSignal::OptOut,
    }
}

/// A field that is there, and not null.
fn said<'a>(body: &mut Fields<'a>, name: &str) -> Option<&'a RawValue> {
    body.take(name).filter(|said| said.get() != "null")
}

/// What the app says of itself and of what it runs on.
fn device<'a>(context: Option<&'a RawValue>) -> AppDevice<'a> {
    let mut context = context.and_then(Fields::of).unwrap_or_default();
    let (mut app, mut system, mut device) = (context.object("app"), context.object("os"), context.object("device"));
    AppDevice { version: app.text("version"), system: system.text("name"), form: device.text("type"), model: device.text("model") }
}

/// The context of a batch's first call; all its calls are of one app.
fn first_context(batch: &RawValue) -> Option<&RawValue> {
    Fields::of(loose::list(batch)?.first()?)?.take("context")
}
