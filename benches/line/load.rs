//! The load generator: keep-alive connections in a closed loop, each sending its next request when the last was answered. It reads
//! no more of an answer than it must (the status, and where the answer ends), so that it does not become what is measured.

use std::{
    io::{self, BufRead as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Failure, request, tls};

/// A round that takes so long has met a broken server, not a slow one.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is understood.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// One round: one line of JSON on standard input.
#[derive(Clone, Serialize, Deserialize)]
pub struct Orders {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Speaks TLS and trusts this certificate.
    pub certificate: Option<PathBuf>,
    /// The request's path.
    pub path: String,
    /// Connections, open from before the round to after it.
    pub connections: usize,
    /// Requests of the round, over all connections.
    pub requests: u64,
    /// The round's number; event ids hold it.
    pub round: u64,
    /// Whether the visitors consented to analytics and to a profile.
    pub granted: bool,
    /// Our cookies to send in turn, one a line.
    pub cookies: Option<PathBuf>,
    /// Every so many requests one goes without a cookie: a person seen for the first time.
    pub first_seen_every: Option<u64>,
    /// Writes the cookies that the server set to this file, one a line.
    pub harvest: Option<PathBuf>,
}

/// What came of a round: one line of JSON on standard output.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Answers with a status of 200 to 299.
    pub accepted: u64,
    /// Other answers.
    pub other: u64,
    /// The status of the last of those.
    pub other_status: u16,
    /// Connections that the server closed between requests.
    pub reconnected: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Half of the answers came within so many milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 answers came within so many milliseconds.
    pub p99_ms: f64,
}

/// Runs one round: connects, says `ready`, waits for `go`, sends, tells.
pub fn run() -> Result<(), Failure> {
    let mut lines = io::stdin().lock().lines();
    let orders: Orders = serde_json::from_str(&lines.next().ok_or("no orders")??)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let round = Arc::new(Round::new(orders)?);
    let wires = runtime.block_on(connect_all(&round))?;
    println!("ready");
    io::stdout().flush()?;
    lines.next().ok_or("no go")??;
    let tally = runtime.block_on(async { tokio::time::timeout(ROUND_TIMEOUT, drive_all(&round, wires)).await })??;
    println!("{}", serde_json::to_string(&tally)?);
    io::stdout().flush()?;
    // The connections stay open until the bench has read the server's counters.
    lines.next().transpose()?;
    Ok(())
}

/// What the connections of a round share.
struct Round {
    orders: Orders,
    connector: Option<TlsConnector>,
    cookies: Vec<String>,
    writer: request::Writer,
    next: AtomicU64,
    harvested: Mutex<Vec<String>>,
}

impl Round {
    fn new(orders: Orders) -> Result<Self, Failure> {
        let connector = orders.certificate.as_deref().map(tls::connector).transpose()?;
        let cookies = match &orders.cookies {
            Some(file) => std::fs::read_to_string(file)?.lines().map(str::to_owned).collect(),
            None => Vec::new(),
        };
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let writer = request::Writer::new(orders.path.clone(), orders.granted, orders.round, now_ms);
        Ok(Self { orders, connector, cookies, writer, next: AtomicU64::new(0), harvested: Mutex::default() })
    }

    fn cookie(&self, number: u64) -> Option<&str> {
        let first_seen = self.orders.first_seen_every.is_some_and(|every| number.is_multiple_of(every));
        if first_seen || self.cookies.is_empty() {
            return None;
        }
        self.cookies.get(number as usize % self.cookies.len()).map(String::as_str)
    }
}

async fn connect_all(round: &Arc<Round>) -> Result<Vec<Wire>, Failure> {
    let mut wires = Vec::with_capacity(round.orders.connections);
    for _ in 0..round.orders.connections {
        wires.push(Wire::connect(round).await?);
    }
    Ok(wires)
}

async fn drive_all(round: &Arc<Round>, wires: Vec<Wire>) -> Result<Tally, Failure> {
    let started = Instant::now();
    let mut drivers = JoinSet::new();
    for wire in wires {
        drivers.spawn(drive(Arc::clone(round), wire));
    }
    let mut tally = Tally::default();
    let mut waits = Vec::with_capacity(round.orders.requests as usize);
    let mut open = Vec::new();
    while let Some(driven) = drivers.join_next().await {
        let driven = driven??;
        tally.accepted += driven.tally.accepted;
        tally.other += driven.tally.other;
        tally.other_status = tally.other_status.max(driven.tally.other_status);
        tally.reconnected += driven.tally.reconnected;
        waits.extend(driven.waits);
        open.push(driven.wire);
    }
    tally.seconds = started.elapsed().as_secs_f64();
    waits.sort_unstable();
    let at = |share: f64| waits.get((waits.len() as f64 * share) as usize).map_or(0.0, |wait| wait.as_secs_f64() * 1e3);
    (tally.p50_ms, tally.p99_ms) = (at(0.5), at(0.99));
    if let Some(file) = &round.orders.harvest {
        let cookies = round.harvested.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::write(file, cookies.join("\n"))?;
    }
    Ok(tally)
}

/// One connection's part of a round.
struct Driven {
    tally: Tally,
    waits: Vec<Duration>,
    wire: Wire,
}

async fn drive(round: Arc<Round>, mut wire: Wire) -> Result<Driven, Failure> {
    let mut tally = Tally::default();
    let mut waits = Vec::new();
    let (mut request, mut body, mut answer) = (Vec::with_capacity(2048), Vec::with_capacity(1024), Vec::with_capacity(2048));
    loop {
        let number = round.next.fetch_add(1, Ordering::Relaxed);
        if number >= round.orders.requests {
            return Ok(Driven { tally, waits, wire });
        }
        round.writer.write(&mut request, &mut body, number, round.cookie(number));
        let sent = Instant::now();
        let head = wire.ask(&request, &mut answer).await?;
        waits.push(sent.elapsed());
        if (200..300).contains(&head.status) {
            tally.accepted += 1;
        } else {
            tally.other += 1;
            tally.other_status = head.status;
        }
        if round.orders.harvest.is_some()
            && let Some(cookie) = head.cookie
        {
            round.harvested.lock().unwrap_or_else(PoisonError::into_inner).push(cookie);
        }
        if head.closes {
            tally.reconnected += 1;
            wire = Wire::connect(&round).await?;
        }
    }
}

/// What is read of an answer.
struct AnswerHead {
    status: u16,
    closes: bool,
    cookie: Option<String>,
}

/// A connection to the server.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    async fn connect(round: &Round) -> Result<Self, Failure> {
        let stream = TcpStream::connect(round.orders.address).await?;
        stream.set_nodelay(true)?;
        Ok(match &round.connector {
            None => Self::Plain(stream),
            Some(connector) => Self::Tls(Box::new(connector.connect(request::HOST.try_into()?, stream).await?)),
        })
    }

    async fn ask(&mut self, request: &[u8], answer: &mut Vec<u8>) -> Result<AnswerHead, Failure> {
        match self {
            Self::Plain(stream) => stream.write_all(request).await?,
            Self::Tls(stream) => {
                stream.write_all(request).await?;
                stream.flush().await?;
            }
        }
        answer.clear();
        loop {
            let read = match self {
                Self::Plain(stream) => stream.read_buf(answer).await?,
                Self::Tls(stream) => stream.read_buf(answer).await?,
            };
            if read == 0 {
                return Err("the server closed the connection instead of answering".into());
            }
            if let Some(head) = read_answer(answer)? {
                return Ok(head);
            }
            if answer.len() > ANSWER_BYTES_MAX {
                return Err("an answer longer than anything the line says".into());
            }
        }
    }
}

/// The head of an answer, once all of the answer is there.
fn read_answer(answer: &[u8]) -> Result<Option<AnswerHead>, Failure> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)).ok_or("an answer without a status")?.parse()?;
    let (mut length, mut closes, mut cookie) = (0, false, None);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>()?;
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("set-cookie") {
            cookie = value.split(';').next().map(str::to_owned);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("an answer in chunks, which this generator does not read".into());
        }
    }
    Ok((answer.len() >= end + 4 + length).then_some(AnswerHead { status, closes, cookie }))
}
