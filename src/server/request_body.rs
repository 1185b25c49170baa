//! A request's body: collected within its bounds of size and time, and inflated within its own.

use std::{
    future::poll_fn,
    io::Read as _,
    pin::{Pin, pin},
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};

use super::limits::{BODY_BYTES, INFLATED_BYTES, INFLATED_RATIO, LINGER, LINGER_BYTES, REQUEST_BODY};
use crate::protocol::Reply;

/// Small bodies may grow to this size whatever their ratio: a short text of one letter shrinks a lot, and harms nobody.
const INFLATED_FREELY_BYTES: usize = 8 * 1024;

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More than [`BODY_BYTES`].
    TooLarge,
    /// Inflated, more than [`INFLATED_BYTES`] or than [`INFLATED_RATIO`] times its size.
    TooLargeInflated,
    /// Not whole within [`REQUEST_BODY`].
    TooSlow,
    /// The connection ended first, or the framing was broken.
    Cut,
    /// A `Content-Encoding` other than gzip.
    UnknownEncoding,
    /// Said to be gzip, and is not.
    BrokenGzip,
}

impl BodyError {
    /// The answer. Where the rest of the body was not read, the connection ends with it.
    pub(super) fn reply(self) -> Reply {
        let (status, sentence, extra): (_, _, Option<(HeaderName, &'static str)>) = match self {
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB.\n", Some((header::CONNECTION, "close"))),
            Self::TooLargeInflated => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large when decompressed.\n", None),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.\n", Some((header::CONNECTION, "close"))),
            Self::Cut => (StatusCode::BAD_REQUEST, "The body ended early.\n", Some((header::CONNECTION, "close"))),
            Self::UnknownEncoding => {
                let sentence = "The body's Content-Encoding is not one of: gzip, identity.\n";
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence, Some((header::ACCEPT_ENCODING, "gzip")))
            }
            Self::BrokenGzip => (StatusCode::BAD_REQUEST, "The body is not valid gzip.\n", None),
        };
        let mut reply = Reply::text(status, sentence);
        reply.headers.extend(extra.map(|(name, value)| (name, value.into())));
        reply
    }
}

/// Reads a body to its end. One that its head says is too large is refused before a byte of it is read.
///
/// # Errors
/// Why it was not taken.
pub async fn collect<B>(body: &mut B) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > BODY_BYTES as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut collected = Collected::default();
    // Nearly every body came with its head, in one packet: the clock is started only for one that did not.
    if let Some(result) = poll_fn(|cx| Poll::Ready(collected.advance(Pin::new(body), cx))).await {
        return result;
    }
    let rest = pin!(poll_fn(|cx| collected.advance(Pin::new(body), cx).map_or(Poll::Pending, Poll::Ready)));
    tokio::time::timeout(REQUEST_BODY, rest).await.unwrap_or(Err(BodyError::TooSlow))
}

/// Throws away what still comes of a refused body, within bounds. For HTTP/2: an answer that comes before a body's end is followed by a
/// reset of the stream, and some clients (curl before 8) then drop the answer too. HTTP/1.1 has [`super::stream`] for this.
pub(super) async fn discard<B>(body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = LINGER_BYTES;
    let thrown_away = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Whether all came, or time is up: the answer goes out.
    let _ = tokio::time::timeout(LINGER, thrown_away).await;
}

/// What has come of a body so far: nothing, one piece (taken as it is), or several (copied together).
#[derive(Default)]
struct Collected {
    first: Bytes,
    joined: BytesMut,
}

impl Collected {
    /// Takes what is there. `None`: there is more to come.
    fn advance<B>(&mut self, mut body: Pin<&mut B>, cx: &mut std::task::Context<'_>) -> Option<Result<Bytes, BodyError>>
    where
        B: Body<Data = Bytes>,
    {
        loop {
            if body.is_end_stream() {
                return Some(Ok(self.take()));
            }
            match body.as_mut().poll_frame(cx) {
                Poll::Pending => return None,
                Poll::Ready(None) => return Some(Ok(self.take())),
                Poll::Ready(Some(Err(_))) => return Some(Err(BodyError::Cut)),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Err(refused) = self.add(frame) {
                        return Some(Err(refused));
                    }
                }
            }
        }
    }

    fn add(&mut self, frame: Frame<Bytes>) -> Result<(), BodyError> {
        // Trailers say nothing that anybody here asks for.
        let Ok(data) = frame.into_data() else { return Ok(()) };
        if self.first.len() + self.joined.len() + data.len() > BODY_BYTES {
            return Err(BodyError::TooLarge);
        }
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = data;
        } else {
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
            self.joined.extend_from_slice(&data);
        }
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        if self.joined.is_empty() { std::mem::take(&mut self.first) } else { std::mem::take(&mut self.joined).freeze() }
    }
}

/// Undoes the body's `Content-Encoding`.
///
/// # Errors
/// Why that cannot be done.
pub fn decompress(body: Bytes, headers: &HeaderMap) -> Result<Bytes, BodyError> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return Ok(body) };
    let encoding = encoding.as_bytes().trim_ascii();
    if encodings.next().is_some() {
        return Err(BodyError::UnknownEncoding);
    }
    if encoding.eq_ignore_ascii_case(b"identity") {
        return Ok(body);
    }
    if !encoding.eq_ignore_ascii_case(b"gzip") && !encoding.eq_ignore_ascii_case(b"x-gzip") {
        return Err(BodyError::UnknownEncoding);
    }
    let most = INFLATED_BYTES.min(INFLATED_FREELY_BYTES.max(body.len().saturating_mul(INFLATED_RATIO)));
    let mut inflated = Vec::with_capacity(most.min(body.len().saturating_mul(4)));
    // One byte more than allowed tells "just fits" from "goes on".
    let bound = most as u64 + 1;
    GzDecoder::new(body.as_ref()).take(bound).read_to_end(&mut inflated).map_err(|_| BodyError::BrokenGzip)?;
    if inflated.len() > most { Err(BodyError::TooLargeInflated) } else { Ok(Bytes::from(inflated)) }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, io::Write as _, task::Context};

    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;

    use super::*;

    /// A body of these pieces; after the last, it ends or hangs.
    struct Pieces(Vec<&'static [u8]>, bool);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.is_empty() {
                false => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.0.remove(0)))))),
                true if self.1 => Poll::Pending,
                true => Poll::Ready(None),
            }
        }
    }

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("a Vec takes everything");
        Bytes::from(encoder.finish().expect("a Vec takes everything"))
    }

    fn encoded(encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(encoding))])
    }

    #[tokio::test]
    async fn pieces_are_joined_and_bounded() {
        static LARGE: [u8; BODY_BYTES] = [b'x'; BODY_BYTES];
        assert_eq!(collect(&mut Pieces(vec![], false)).await, Ok(Bytes::new()));
        assert_eq!(collect(&mut Pieces(vec![b"one"], false)).await, Ok(Bytes::from("one")));
        assert_eq!(collect(&mut Pieces(vec![b"", b"one", b"two", b"", b"three"], false)).await, Ok(Bytes::from("onetwothree")));
        assert_eq!(collect(&mut Pieces(vec![&LARGE], false)).await.map(|body| body.len()), Ok(BODY_BYTES));
        assert_eq!(collect(&mut Pieces(vec![&LARGE, b"x"], false)).await, Err(BodyError::TooLarge));
        assert_eq!(collect(&mut Pieces(vec![b"x", &LARGE], true)).await, Err(BodyError::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_hangs_ends_in_time() {
        assert_eq!(collect(&mut Pieces(vec![b"half"], true)).await, Err(BodyError::TooSlow));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_body_is_thrown_away_within_bounds() {
        static PIECE: [u8; 1024 * 1024] = [b'x'; 1024 * 1024];
        let mut finite = Pieces(vec![&PIECE; 4], false);
        discard(&mut finite).await;
        assert!(finite.0.is_empty());
        let mut huge = Pieces(vec![&PIECE; 100], false);
        discard(&mut huge).await;
        assert_eq!(100 - huge.0.len(), LINGER_BYTES / PIECE.len());
        let begun = tokio::time::Instant::now();
        discard(&mut Pieces(vec![b"half"], true)).await;
        assert_eq!(begun.elapsed().as_secs(), LINGER.as_secs());
    }

    #[test]
    fn gzip_is_inflated_within_bounds() {
        let text = b"{\"e\":[]}".repeat(100);
        assert_eq!(decompress(gzip(&text), &encoded("gzip")), Ok(Bytes::from(text.clone())));
        assert_eq!(decompress(gzip(&text), &encoded(" GZIP ")), Ok(Bytes::from(text.clone())));
        assert_eq!(decompress(Bytes::from(text.clone()), &encoded("identity")), Ok(Bytes::from(text.clone())));
        assert_eq!(decompress(Bytes::from(text.clone()), &HeaderMap::new()), Ok(Bytes::from(text.clone())));
        for unknown in ["br", "deflate", "gzip, gzip", "zstd", ""] {
            assert_eq!(decompress(gzip(&text), &encoded(unknown)), Err(BodyError::UnknownEncoding), "{unknown}");
        }
        let mut twice = encoded("gzip");
        twice.append(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(decompress(gzip(&text), &twice), Err(BodyError::UnknownEncoding));
        assert_eq!(decompress(Bytes::from(text), &encoded("gzip")), Err(BodyError::BrokenGzip));
        let whole = gzip(b"whole");
        assert_eq!(decompress(whole.slice(..whole.len() - 4), &encoded("gzip")), Err(BodyError::BrokenGzip));
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let by_ratio = gzip(&[0; 200 * 1024]);
        assert!(by_ratio.len() * INFLATED_RATIO < 200 * 1024);
        assert_eq!(decompress(by_ratio, &encoded("gzip")), Err(BodyError::TooLargeInflated));
        let by_size: Vec<u8> = (0..INFLATED_BYTES + 1).map(|n| (n % 251 * n % 256) as u8).collect();
        let by_size = gzip(&by_size);
        assert!(by_size.len() * INFLATED_RATIO > INFLATED_BYTES);
        assert_eq!(decompress(by_size, &encoded("gzip")), Err(BodyError::TooLargeInflated));
        let short_but_dull = gzip(&[b'a'; INFLATED_FREELY_BYTES]);
        assert_eq!(decompress(short_but_dull, &encoded("gzip")).map(|body| body.len()), Ok(INFLATED_FREELY_BYTES));
    }
}
