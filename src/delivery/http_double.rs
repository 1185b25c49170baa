//! A receiver for fault tests, on loopback: it takes requests and answers as it is told to, faults included. For faults only; that real
//! receivers accept what is sent is tested with real ones.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::supervise::Supervisor;

/// One request that came in.
#[derive(Clone)]
pub(super) struct Taken {
    pub(super) at: Instant,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
    /// What it was answered with.
    pub(super) reply: Reply,
}

impl Taken {
    /// The offsets of its events, from the ids that test disclosures have.
    pub(super) fn offsets(&self) -> Vec<u64> {
        let message: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let id =
            |event: &serde_json::Value| u64::from_str_radix(event["event_id"].as_str().unwrap().rsplit('-').next().unwrap(), 16).unwrap();
        message["data"]["events"].as_array().unwrap().iter().map(id).collect()
    }
}

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reply {
    Status(u16),
    /// 204, so much later, ms.
    Late(u64),
    Body(&'static str),
    RetryAfter(u16, u64),
    /// A redirect to where something listens that must not be reached.
    Redirect,
    /// The connection is closed without a byte.
    Cut,
    /// Half an answer, then the connection is closed.
    CutInBody,
    Garbage,
    /// Nothing for longer than anyone waits.
    Stall,
}

type Script = dyn Fn(&Taken, usize) -> Reply + Send + Sync;

/// The receiver.
pub(super) struct HttpDouble {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl HttpDouble {
    /// Answers by a script that sees the request and its number.
    pub(super) async fn start(supervisor: &Supervisor, script: impl Fn(&Taken, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let (all, tasks) = (Arc::clone(&taken), supervisor.clone());
        supervisor.spawn_short(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn_short(connection(stream, Arc::clone(&script), Arc::clone(&all)));
            }
        });
        Self { address, taken }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(super) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// The offsets of requests that were answered with a 2xx, in the order of the answers.
    pub(super) fn accepted(&self) -> Vec<u64> {
        self.taken().iter().filter(|taken| matches!(taken.reply, Reply::Status(200..=299))).flat_map(Taken::offsets).collect()
    }
}

async fn connection(mut stream: TcpStream, script: Arc<Script>, all: Arc<Mutex<Vec<Taken>>>) {
    let mut buffer = Vec::new();
    while let Some((headers, body)) = request(&mut stream, &mut buffer).await {
        let mut taken = Taken { at: Instant::now(), headers, body, reply: Reply::Cut };
        let reply = {
            let mut all = all.lock().unwrap();
            taken.reply = script(&taken, all.len());
            all.push(taken.clone());
            taken.reply
        };
        let answer = match reply {
            Reply::Status(status) => format!("HTTP/1.1 {status} Answer\r\ncontent-length: 2\r\n\r\nok"),
            Reply::Late(wait) => {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                "HTTP/1.1 204 Answer\r\n\r\n".to_owned()
            }
            Reply::Body(text) => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()),
            Reply::RetryAfter(status, seconds) => {
                format!("HTTP/1.1 {status} Later\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n")
            }
            Reply::Redirect => "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Reply::Cut => return,
            Reply::CutInBody => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_owned(),
            Reply::Garbage => "\u{1}\u{2}this is no HTTP\r\n\r\n".to_owned(),
            Reply::Stall => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
        };
        let written = stream.write_all(answer.as_bytes()).await;
        if written.is_err() || matches!(reply, Reply::CutInBody | Reply::Garbage) {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(HashMap<String, String>, Vec<u8>)> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let headers: HashMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[head_end..head_end + length].to_vec();
    buffer.drain(..head_end + length);
    Some((headers, body))
}
