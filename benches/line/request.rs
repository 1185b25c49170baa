//! What the load generator sends: a native page view of 705 bytes, as a browser sends it through a proxy in front of the product.

use std::io::Write as _;

/// The size of every event's body in bytes: that of the events which the published figures of other collectors were measured with.
pub const BODY_BYTES: usize = 705;
/// The site's host, in `Host`, `Origin` and the certificate.
pub const HOST: &str = "www.shop.example";

/// Browsers of visitors, so that the user agent is not the same each time.
const USER_AGENTS: [&str; 8] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
];
const PAGES: [&str; 4] = ["/culture/opera-season-opens", "/shop/shoes/red-trainers-42", "/", "/help/returns-and-refunds"];
const FILLING: &str = "the quick brown fox jumps over the lazy dog while the orchestra tunes and the lights go down ";

/// Writes requests, each with an event id of its own.
pub struct Writer {
    path: String,
    granted: bool,
    /// Makes the ids of this round unlike those of every other.
    round: u64,
    now_ms: i64,
}

impl Writer {
    /// Requests to `path`; with consent to analytics and a profile when `granted`.
    pub fn new(path: String, granted: bool, round: u64, now_ms: i64) -> Self {
        Self { path, granted, round, now_ms }
    }

    /// Replaces `request` by the request of that number.
    pub fn write(&self, request: &mut Vec<u8>, body: &mut Vec<u8>, number: u64, cookie: Option<&str>) {
        self.body(body, number);
        request.clear();
        let agent = USER_AGENTS[number as usize % USER_AGENTS.len()];
        let page = PAGES[number as usize % PAGES.len()];
        // Some ten thousand visitors, each with an address.
        let visitor = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50;
        let address = (100 + visitor / 100 % 100, 100 + visitor % 100);
        let own = cookie.unwrap_or("basket=3");
        // Writing to a Vec cannot fail.
        let _ = write!(
            request,
            "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: keep-alive\r\nContent-Length: {BODY_BYTES}\r\n\
             sec-ch-ua-platform: \"Windows\"\r\nUser-Agent: {agent}\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             sec-ch-ua-mobile: ?0\r\nAccept: */*\r\nOrigin: https://{HOST}\r\nSec-Fetch-Site: same-origin\r\n\
             Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: empty\r\nReferer: https://{HOST}{page}\r\n\
             Accept-Encoding: gzip, deflate, br\r\nAccept-Language: fr-FR,fr;q=0.9\r\nCookie: theme=dark; {own}\r\n\
             X-Forwarded-For: 198.18.{}.{}\r\nX-Forwarded-Proto: https\r\n\r\n",
            address.0,
            address.1,
            path = self.path,
        );
        request.extend_from_slice(body);
    }

    fn body(&self, body: &mut Vec<u8>, number: u64) {
        body.clear();
        let page = PAGES[number as usize % PAGES.len()];
        let choice = if self.granted { "\"g\":[\"analytics\",\"profile\"]," } else { "" };
        let now = self.now_ms;
        let _ = write!(
            body,
            "{{\"s\":{now},{choice}\"e\":[{{\"k\":\"page_view\",\"i\":\"{:016x}{number:016x}\",\"t\":{now},\
             \"p\":\"https://{HOST}{page}?utm_source=letter&utm_medium=email&ref=home\",\"r\":\"https://search.example/results?q=opera\",\
             \"n\":\"The season opens with a new production\",\"l\":\"fr-FR\",\"w\":1440,\"d\":{{\"template\":\"article\",\
             \"section\":\"culture\",\"words\":1840,\"paywall\":false,\"variant\":\"b\",\"summary\":\"",
            self.round,
        );
        let end = "\"}}]}";
        let missing = BODY_BYTES - end.len() - body.len();
        body.extend(FILLING.bytes().cycle().take(missing));
        body.extend_from_slice(end.as_bytes());
    }
}
