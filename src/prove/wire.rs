//! A client of one kept connection over HTTP/1.1 that sends exactly the bytes that it is told to, and reads what comes back; for loopback.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// No answer on loopback takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest body that is read: a page of metrics.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One request, sent as it is.
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Headers, without the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request to a host.
    #[must_use]
    pub fn new(method: &'static str, path: String, host: &str, body: Vec<u8>) -> Self {
        Self { method, path, headers: vec![(String::from("Host"), host.to_owned())], body }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// What came back.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head as it came.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

/// One connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn exchange(&mut self, request: &Request) -> io::Result<Answer> {
        self.stream.get_mut().write_all(&request.bytes())?;
        let mut head = Vec::new();
        read_head(&mut self.stream, &mut head)?;
        let status = String::from_utf8_lossy(&head).split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let mut body = Vec::new();
        match length(&head) {
            Some(length) => {
                self.stream.by_ref().take(length.min(BODY_BYTES_MAX)).read_to_end(&mut body)?;
            }
            None if chunked(&head) => read_chunks(&mut self.stream, &mut body)?,
            None => {}
        }
        Ok(Answer { status, head, body })
    }
}

/// Reads a head, up to and with its empty line.
///
/// # Errors
/// When the connection ends first.
pub fn read_head(reader: &mut impl io::BufRead, head: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let begin = head.len();
        if reader.read_until(b'\n', head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if &head[begin..] == b"\r\n" {
            return Ok(());
        }
    }
}

/// What `Content-Length` of a head says.
#[must_use]
pub fn length(head: &[u8]) -> Option<u64> {
    header(head, "content-length")?.parse().ok()
}

fn chunked(head: &[u8]) -> bool {
    header(head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
}

/// The value of a header.
#[must_use]
pub fn header(head: &[u8], wanted: &str) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned())
}

fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if body.len() as u64 + size > BODY_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        reader.by_ref().take(size).read_to_end(body)?;
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(());
        }
    }
}
