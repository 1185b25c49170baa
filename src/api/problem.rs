//! What is said where a request cannot be carried out: one form for all (RFC 9457), in our words, and nothing of the request in it.

use std::{borrow::Cow, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    profile::store::ProfileError,
    server::{BodyError, ReplyBody},
    state::StoreError,
};

/// How long somebody waits who comes while a database is busy or another large request is under way.
const LATER: Duration = Duration::from_secs(5);

/// Something that cannot be done.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// For programs; it stays as it is.
    code: &'static str,
    /// For people.
    detail: Cow<'static, str>,
    wait: Option<Duration>,
    allow: Option<String>,
    ends_connection: bool,
    results: Option<Value>,
}

/// As it is sent.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemDocument<'a> {
    /// Always `about:blank`: the status and the code say what it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What it is, for programs.
    code: &'a str,
    /// What it is, for people.
    detail: &'a str,
    /// Of several events: what became of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Map<String, Value>>>")]
    results: Option<&'a Value>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), wait: None, allow: None, ends_connection: false, results: None }
    }

    /// A page in a browser asks.
    pub(super) fn foreign_page() -> Self {
        Self::new(StatusCode::FORBIDDEN, "asked_by_a_page", "this is for programs with a key: no page of a website may ask")
    }

    /// It comes from a network that is not answered to.
    pub(super) fn from_elsewhere() -> Self {
        let problem = Self::new(StatusCode::FORBIDDEN, "from_elsewhere", "this listener answers to other networks");
        Self { ends_connection: true, ..problem }
    }

    /// The request names another host.
    pub(super) fn misdirected() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "other_host",
            "this listener answers to loopback names only: localhost, 127.0.0.1, [::1]",
        )
    }

    /// No key, one that is none, or one whose time is over: the same for all three.
    pub(super) fn no_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "no_valid_key", "send a valid API key as Authorization: Bearer")
    }

    /// The key is not for that.
    pub(super) fn wrong_scope() -> Self {
        Self::new(StatusCode::FORBIDDEN, "wrong_scope", "this key has not the scope that this needs")
    }

    /// There is nothing of that name that the key could see: the same whether there is one elsewhere or none.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing of this name")
    }

    /// The address takes other methods.
    pub(super) fn other_method(allow: String) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "other_method", "this address does not take this method");
        Self { allow: Some(allow), ..problem }
    }

    /// The request is not what the document says.
    pub(super) fn unreadable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unreadable", detail)
    }

    /// The body's type is another.
    pub(super) fn other_type() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "other_type", "send the body as Content-Type: application/json")
    }

    /// What is there stands against it.
    pub(super) fn conflict(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// Too much in too short a time.
    pub(super) fn too_many(wait: Duration) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "too much in too short a time: come back later");
        Self { wait: Some(wait), ..problem }
    }

    /// It cannot be done now.
    pub(super) fn later(detail: &'static str) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        Self { wait: Some(LATER), ..problem }
    }

    /// The body could not be taken in.
    pub(super) fn of_body(error: BodyError) -> Self {
        let (status, code, detail) = match error {
            BodyError::TooLarge | BodyError::TooLargeInflated => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a body has 64 KiB at most, and 256 KiB once gzip is taken off")
            }
            BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time"),
            BodyError::Cut => (StatusCode::BAD_REQUEST, "unreadable", "the body ended early"),
            BodyError::UnknownEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "other_type", "the Content-Encoding is not one of: gzip, identity")
            }
            BodyError::BrokenGzip => (StatusCode::BAD_REQUEST, "unreadable", "the body is not valid gzip"),
        };
        let ends_connection = matches!(error, BodyError::TooLarge | BodyError::TooSlow | BodyError::Cut);
        Self { ends_connection, ..Self::new(status, code, detail) }
    }

    /// What the line for a backend's events answered, where that is no success.
    pub(super) fn of_line(status: StatusCode, said: &[u8], wait: Option<Duration>) -> Self {
        let results = serde_json::from_slice::<Value>(said).ok().and_then(|said| said.get("results").cloned());
        let detail = match (&results, std::str::from_utf8(said)) {
            (None, Ok(sentence)) => Cow::Owned(sentence.trim().to_owned()),
            _ => Cow::Borrowed("none of the events can be read"),
        };
        let code = match status {
            StatusCode::TOO_MANY_REQUESTS => "too_many",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "unreadable",
        };
        Self { wait, results, ..Self::new(status, code, detail) }
    }

    /// As it is sent.
    pub(super) fn respond(&self) -> Response<ReplyBody> {
        let document = ProblemDocument {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Problem"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            results: self.results.as_ref(),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(ReplyBody::whole(body.into()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.wait {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(allow) = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        if self.ends_connection {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<ProfileError> for Problem {
    fn from(error: ProfileError) -> Self {
        tracing::warn!(%error, "the profile API cannot use the store of profiles");
        Self::later("the store of profiles cannot be used now")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the profile API cannot use a database");
        Self::later("a database cannot be used now")
    }
}
