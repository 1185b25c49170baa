//! A stand-in for every destination's receiver: takes each request on loopback, keeps its bytes under the destination's name, and says yes.
//! For a destination that is tee'd, the receiver behind the real address gets the same request from here.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;

use super::{broker, database, rehearsal::REFUSED, wire};
use crate::{clock, delivery::carrier::http::HttpCarrier, destination::Answer, supervise::thread};

/// No parcel of any destination is longer; what is, is cut off.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A courier keeps its connection; between two parcels it may be quiet this long.
const QUIET: Duration = Duration::from_secs(120);
/// So many requests are refused by the receiver that refuses: enough to halve a few parcels down to single events, which are then parked.
const REFUSED_MAX: usize = 150;

/// What a receiver says to a body when it takes all of it.
type Yes = fn(&[u8]) -> String;

/// What one destination was sent.
#[derive(Clone, Default)]
pub struct Captured {
    /// Whole requests, head and body, the body decoded where it was compressed.
    pub requests: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What became of the requests that were passed on.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Teed {
    /// The real receiver said yes.
    pub accepted: usize,
    /// It said no, or did not answer.
    pub refused: usize,
}

/// The stand-in. Dropping it ends it.
pub struct StandIn {
    address: SocketAddr,
    /// Where it is a message server: there the server speaks first, so that a port for all cannot be.
    broker: SocketAddr,
    state: Arc<State>,
    acceptors: Vec<JoinHandle<()>>,
}

struct State {
    captured: Mutex<BTreeMap<String, Captured>>,
    requests: AtomicUsize,
    voices: Mutex<BTreeMap<String, Yes>>,
    tees: BTreeMap<String, String>,
    teed: Mutex<BTreeMap<String, Teed>>,
    ended: AtomicBool,
}

impl StandIn {
    /// Listens on loopback. `tees`: the real address for each destination whose receiver is to get the same.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(tees: BTreeMap<String, String>) -> io::Result<Self> {
        let [calls, messages] =
            [TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?];
        let (address, broker) = (calls.local_addr()?, messages.local_addr()?);
        let state = Arc::new(State {
            captured: Mutex::default(),
            requests: AtomicUsize::new(0),
            voices: Mutex::default(),
            tees,
            teed: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let acceptors = vec![accept(calls, &state, State::serve), accept(messages, &state, State::serve_messages)];
        Ok(Self { address, broker, state, acceptors })
    }

    /// Where a destination of that name sends to.
    #[must_use]
    pub fn url(&self, destination: &str) -> String {
        let name = percent_encoding::utf8_percent_encode(destination, percent_encoding::NON_ALPHANUMERIC);
        format!("http://{}/{name}", self.address)
    }

    /// Host and port of the message server.
    #[must_use]
    pub fn broker(&self) -> String {
        self.broker.to_string()
    }

    /// Lets the receiver of a destination say yes in its own words.
    pub fn speak_for(&self, destination: &str, yes: Yes) {
        lock(&self.state.voices).insert(destination.to_owned(), yes);
    }

    /// How many requests there have been.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// What each destination was sent so far.
    #[must_use]
    pub fn captured(&self) -> BTreeMap<String, Captured> {
        lock(&self.state.captured).clone()
    }

    /// What became of what was passed on.
    #[must_use]
    pub fn teed(&self) -> BTreeMap<String, Teed> {
        lock(&self.state.teed).clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the acceptors, so that they see that it is over; where nobody listens any more it is over already.
        for (address, acceptor) in [self.address, self.broker].into_iter().zip(self.acceptors.drain(..)) {
            let _ = TcpStream::connect(address);
            let _ = acceptor.join();
        }
    }
}

/// Serves each connection in a thread of its own, until it is over.
fn accept(listener: TcpListener, state: &Arc<State>, serve: fn(&State, TcpStream)) -> JoinHandle<()> {
    let shared = Arc::clone(state);
    thread("stand-in", move || {
        for stream in listener.incoming().flatten() {
            if shared.ended.load(Ordering::SeqCst) {
                return;
            }
            let state = Arc::clone(&shared);
            thread("stand-in conn", move || serve(&state, stream));
        }
    })
}

/// A thread that panicked while it held the lock was only adding: what is there is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Answers the requests of one connection until either side has enough.
    fn serve(&self, stream: TcpStream) {
        if stream.set_read_timeout(Some(QUIET)).is_err() {
            return;
        }
        let Ok(mut writer) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        let tee = (!self.tees.is_empty()).then(Tee::new).and_then(Result::ok);
        #[cfg(feature = "kafka")]
        if reader.fill_buf().is_ok_and(super::cluster::is_spoken) {
            let Ok(address) = writer.local_addr() else { return };
            let _ = super::cluster::serve(&mut reader, &mut writer, address.port(), |topic, records| self.take_records(topic, records));
            return;
        }
        // A PostgreSQL's client begins with a length of less than 16 MB, others with a word.
        if reader.fill_buf().is_ok_and(|bytes| bytes.first() == Some(&0)) {
            let _ = database::serve(&mut reader, &mut writer, |name, statement, rows| self.take_rows(name, statement, rows));
            return;
        }
        while reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
            let (mut head, mut body) = (Vec::new(), Vec::new());
            if wire::read_head(&mut reader, &mut head).is_err() {
                return;
            }
            let length = wire::length(&head).unwrap_or(0).min(BODY_BYTES_MAX);
            if reader.by_ref().take(length).read_to_end(&mut body).is_err() {
                return;
            }
            let (status, said) = match self.take(&head, body, tee.as_ref()) {
                Some(yes) => ("200 OK", yes),
                None => ("400 Bad Request", String::from("{}")),
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{said}", said.len());
            if writer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// Answers one connection to the message server.
    fn serve_messages(&self, stream: TcpStream) {
        if stream.set_read_timeout(Some(QUIET)).is_err() {
            return;
        }
        let Ok(mut writer) = stream.try_clone() else { return };
        let _ = broker::serve(&mut BufReader::new(stream), &mut writer, |message| {
            let encoded = percent_encoding::utf8_percent_encode(message.sender, percent_encoding::NON_ALPHANUMERIC);
            let head = [format!("PUB /{encoded}/{} NATS/1.0\r\n", message.subject).as_bytes(), message.headers].concat();
            self.take(&head, message.body.to_vec(), None).is_some()
        });
    }

    /// Keeps rows as a request: the statement where a request has its address.
    fn take_rows(&self, name: &str, statement: &str, rows: &[u8]) -> bool {
        let encoded = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let head = format!("INSERT /{}/{} SQL\r\n\r\n", encoded(name), encoded(statement));
        self.take(head.as_bytes(), rows.to_vec(), None).is_some()
    }

    /// Keeps the records of a parcel as a request: their topic and keys where a request has its address, a line for each of them.
    #[cfg(feature = "kafka")]
    fn take_records(&self, topic: &str, records: &[crate::destination::kafka::wire::Said<'_>]) -> bool {
        let encoded = |bytes| percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string();
        let keys: Vec<String> = records.iter().map(|record| encoded(record.key)).collect();
        let id = |record: &crate::destination::kafka::wire::Said<'_>| {
            format!("{}: {}\r\n", crate::destination::kafka::wire::EVENT_ID, String::from_utf8_lossy(record.id))
        };
        let ids: String = records.iter().map(id).collect();
        let head = format!("PRODUCE /{topic}/{} KAFKA\r\n{ids}\r\n", keys.join(","));
        let body = records.iter().flat_map(|record| [record.value, b"\n"]).collect::<Vec<_>>().concat();
        self.take(head.as_bytes(), body, None).is_some()
    }

    /// Keeps a request. What is answered, where it is taken.
    fn take(&self, head: &[u8], body: Vec<u8>, tee: Option<&Tee>) -> Option<String> {
        let line = String::from_utf8_lossy(head).lines().next().unwrap_or_default().to_owned();
        let target = line.split(' ').nth(1).unwrap_or_default();
        let (name, rest) =
            target.trim_start_matches('/').split_at(target.trim_start_matches('/').find(['/', '?']).unwrap_or(target.len() - 1));
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
        if let (Some(tee), Some(real)) = (tee, self.tees.get(&name)) {
            let taken = tee.pass_on(real, rest, head, &body);
            let mut teed = lock(&self.teed);
            let counts = teed.entry(name.clone()).or_default();
            *(if taken { &mut counts.accepted } else { &mut counts.refused }) += 1;
        }
        let compressed = wire::header(head, "content-encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("gzip"));
        let decoded = if compressed { unpacked(&body) } else { body };
        self.requests.fetch_add(1, Ordering::SeqCst);
        let yes = lock(&self.voices).get(&name).map_or_else(String::new, |yes| yes(&decoded));
        let mut captured = lock(&self.captured);
        let refuses = name == REFUSED;
        let requests = &mut captured.entry(name).or_default().requests;
        requests.push((head.to_vec(), decoded));
        (!refuses || requests.len() > REFUSED_MAX).then_some(yes)
    }
}

/// What is in a gzip stream; where it is none, the bytes as they are.
fn unpacked(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match GzDecoder::new(body).take(BODY_BYTES_MAX).read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(_) => body.to_vec(),
    }
}

/// Passes requests on to real receivers, by the program's own carrier.
struct Tee {
    runtime: tokio::runtime::Runtime,
    carrier: HttpCarrier,
}

impl Tee {
    fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let carrier = HttpCarrier::new(None).map_err(io::Error::other)?;
        Ok(Self { runtime, carrier })
    }

    /// Sends the same body under the same headers. The rest of the path is what the destination adds to its address.
    fn pass_on(&self, real: &str, rest: &str, head: &[u8], body: &[u8]) -> bool {
        let own = [header::HOST, header::CONTENT_LENGTH, header::USER_AGENT, header::ACCEPT, header::CONNECTION];
        let text = String::from_utf8_lossy(head);
        let headers = text.lines().skip(1).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?);
            (!own.contains(&name)).then_some((name, value))
        });
        let (url, body) = (format!("{real}{rest}"), Bytes::copy_from_slice(body));
        let answer = self.runtime.block_on(self.carrier.pass_on(&url, headers.collect(), body, clock::now()));
        matches!(answer, Answer::Http { status: 200..=299, .. })
    }
}
