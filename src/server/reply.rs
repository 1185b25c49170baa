//! Answers on their way out: the one body type of all listeners, and what is set on every reply.

use std::{
    borrow::Cow,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, SizeHint};

use super::watch::InFlight;
use crate::protocol::Reply;

/// The body of an answer: whole, as nearly all are, or a stream (server-sent events). Until it is dropped, its connection counts as busy.
pub struct ReplyBody {
    content: Content,
    _request: Option<InFlight>,
}

enum Content {
    Whole(Bytes),
    Stream(UnsyncBoxBody<Bytes, Infallible>),
}

impl ReplyBody {
    /// A body that is there already; empty for none.
    #[must_use]
    pub const fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(bytes), _request: None }
    }

    /// A body that comes piece by piece.
    pub fn stream(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self { content: Content::Stream(body.boxed_unsync()), _request: None }
    }

    pub(super) fn of_request(mut self, request: InFlight) -> Self {
        self._request = Some(request);
        self
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(body) => body.size_hint(),
        }
    }
}

/// A reply as hyper sends it. A header whose value is no header value (a protocol's mistake) is left out rather than sent broken.
#[must_use]
pub fn respond(reply: Reply) -> Response<ReplyBody> {
    let body = match reply.body {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let has_body = !body.is_empty();
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    for (name, value) in reply.headers {
        let value = match value {
            Cow::Borrowed(value) => HeaderValue::from_str(value),
            Cow::Owned(value) => HeaderValue::try_from(value),
        };
        if let Ok(value) = value {
            headers.append(name, value);
        }
    }
    if has_body {
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_header_that_is_none_is_left_out() {
        let mut reply = Reply::text(StatusCode::OK, "yes");
        reply.headers.push((header::LOCATION, Cow::Borrowed("a\r\nset-cookie: b")));
        let response = respond(reply);
        assert_eq!(response.headers().len(), 2);
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.body().size_hint().exact(), Some(3));
    }
}
