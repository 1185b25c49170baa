//! Every limit and timeout between the socket and the line, by name, each with its reason. What a site owner may change is in
//! [`super::Limits`] and takes its default from here.
//!
//! Two limits are hyper's own and stay as they are: at most 100 header fields in HTTP/1.1 (setting the number, even to the same one,
//! costs a heap allocation per request), and at most 20 streams that a client reset before we saw them (the "rapid reset" attack).

use std::time::Duration;

/// Open connections per listener. One costs about 12 KiB with its read buffer (50 KiB with TLS): 8,192 stay under 0.5 GiB, and under the
/// 65,536 open files that service managers commonly allow. Further clients wait in the kernel's queue.
pub const CONNECTIONS: usize = 8_192;

/// How long the accept loop rests when the kernel refuses (out of file descriptors or memory): long enough not to spin, short enough
/// that nobody notices once it has passed.
pub(super) const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// From a connection's acceptance to its first bytes. A browser or proxy that opens a connection ahead of need loses nothing when it is
/// closed; a socket that says nothing holds a permit.
pub(super) const FIRST_BYTES: Duration = Duration::from_secs(10);

/// While the first bytes do not yet tell HTTP/1.1 from HTTP/2, how long to wait before looking again: the kernel reports the same
/// bytes as readable at once, so without a pause this would spin.
pub(super) const FIRST_BYTES_PAUSE: Duration = Duration::from_millis(10);

/// For a whole TLS handshake: two round trips on a bad mobile network, with lost packets, take about five seconds.
pub(super) const TLS_HANDSHAKE: Duration = Duration::from_secs(10);

/// For a request's head to arrive whole, once it has begun. It fits into one or two packets.
pub(super) const REQUEST_HEAD: Duration = Duration::from_secs(10);

/// For a request's body to arrive whole: 64 KiB on a 64 kbit/s uplink take eight seconds.
pub(super) const REQUEST_BODY: Duration = Duration::from_secs(15);

/// A connection on which no request is under way is closed after this. Longer than the idle timeout that proxies have for their side
/// (nginx 60 s, load balancers 60 s, Go 90 s, Caddy 120 s), so that it is they who close: a proxy that sends into a connection just
/// closed by us cannot repeat a POST.
pub(super) const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(150);

/// The same, while more than [`CROWDED`] of the permits are taken: idle connections make room for new ones.
pub(super) const KEEP_ALIVE_IDLE_CROWDED: Duration = Duration::from_secs(5);

/// The share of the connection permits, in percent, above which idle connections are closed early.
pub(super) const CROWDED: usize = 75;

/// After an answer that ends its connection (413, a broken request), how long what the client still sends is thrown away, so that the
/// answer reaches it (HTTP/2: before the answer).
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// The same, in bytes: a client that sends 10 MB by mistake still learns why that was refused.
pub(super) const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// How often the listener looks for connections whose time is up: the precision of the timeouts above. One pass over 8,192 costs less
/// than a millisecond.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// How long a shutdown waits for requests under way. Above [`REQUEST_BODY`], so that a slow but honest sender is still answered.
pub(super) const DRAIN: Duration = Duration::from_secs(20);

/// Where the sockets go to the next process, how long connections that were just accepted have to say what they came for, before those
/// that say nothing are ended: nobody is to be turned away. A request follows its connection within a round trip, two with TLS.
pub(super) const FIRST_REQUEST: Duration = Duration::from_millis(300);

/// How often a draining listener looks whether its connections have ended.
pub(super) const DRAIN_SWEEP: Duration = Duration::from_millis(20);

/// A request's whole head. A site's own cookies travel with a beacon: browsers allow 4 KiB each, and nginx takes 4 × 8 KiB by default,
/// but a site whose cookies exceed 16 KiB fails at most proxies before it reaches us.
pub(super) const HEAD_BYTES: usize = 16 * 1024;

/// The read buffer of an HTTP/1.1 connection at most: the bound while a head is not yet complete. Twice [`HEAD_BYTES`], so that a head that
/// is too large is told so rather than cut off.
pub(super) const READ_BUFFER_BYTES: usize = 2 * HEAD_BYTES;

/// Header fields in one request. Browsers send about 20, proxies add 10.
pub(super) const HEADER_FIELDS: usize = 100;

/// Path and query. Pixels carry a page's address (2 KiB at most browsers' address bars) and its referrer, percent-encoded.
pub(super) const URI_BYTES: usize = 8 * 1024;

/// A request's body as sent. `sendBeacon` and `fetch` with `keepalive` refuse more than 64 KiB in browsers.
pub const BODY_BYTES: usize = 64 * 1024;

/// A compressed body, inflated.
pub(super) const INFLATED_BYTES: usize = 256 * 1024;

/// How many times its size a compressed body may grow. JSON of real batches shrinks 5 to 20 times; a bomb 1,000 times.
pub(super) const INFLATED_RATIO: usize = 100;

/// Streams of one HTTP/2 connection at a time: what browsers and proxies expect at least (RFC 9113 §6.5.2 advises 100).
pub(super) const HTTP2_STREAMS: u32 = 100;

/// What one HTTP/2 stream may send before we have read it: a whole body.
pub(super) const HTTP2_STREAM_WINDOW: u32 = BODY_BYTES as u32;

/// What all streams of one HTTP/2 connection may send before we have read it: what one connection can make us hold.
pub(super) const HTTP2_CONNECTION_WINDOW: u32 = 4 * HTTP2_STREAM_WINDOW;

/// What one HTTP/2 stream may have waiting to be sent. Our largest answer, the snippet, is smaller.
pub(super) const HTTP2_SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Streams that an HTTP/2 client may make us reset by breaking the protocol before its connection is closed. An honest one makes none.
pub(super) const HTTP2_ERROR_RESETS: usize = 64;

/// Addresses of `X-Forwarded-For` that are looked at, from the right. A request passes two or three proxies, not sixteen.
pub(super) const FORWARDING_HOPS: usize = 16;

/// Cells of the table that meters clients: 512 KiB. With 10,000 clients at a time, one in seven shares its allowance with another.
pub(super) const CLIENT_CELLS: usize = 65_536;

/// Cells of the table that meters sites, by site number.
pub(super) const SITE_CELLS: usize = 4_096;

/// Languages of an `Accept-Language` header that are looked at. Browsers send about five.
pub(super) const ACCEPTED_LANGUAGES: usize = 16;

/// Rendered snippets that are kept. More sites than this on one machine render theirs again now and then, which costs microseconds.
pub(super) const RENDERED_SNIPPETS: usize = 1_024;

/// How often the certificate's files are looked at: a renewed certificate is served within seconds, at the cost of two `stat` calls.
pub(super) const CERTIFICATE_POLL: Duration = Duration::from_secs(5);
