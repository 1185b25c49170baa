//! A receiver of webhooks on loopback: keeps every byte that reaches it, and answers as it is told.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The secret that its destination signs with: "whsec_" and base64 of 32 zero bytes.
pub(crate) const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// The environment variable under which the server finds it.
pub(crate) const SECRET_VARIABLE: &str = "FIRSTHAND_SUITE_WEBHOOK_SECRET";

/// How the receiver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Takes everything.
    Accept,
    /// Answers with this status, and `Retry-After` where there are seconds.
    Refuse(u16, Option<u32>),
    /// Cuts the connection when the request is there.
    Cut,
    /// Says something that is no HTTP.
    Garbage,
    /// Takes everything, each call after a pause.
    AcceptAfter(Duration),
}

/// One request as it came.
pub(crate) struct Call {
    pub(crate) at: Instant,
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: Vec<Value>,
    /// Whether it was taken.
    pub(crate) accepted: bool,
}

/// The receiver. Dropping it ends it.
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

/// Sees the bytes of every call as it comes, and whether it is taken.
type Watch = dyn Fn(&[u8], bool) + Send + Sync;

struct State {
    behaviour: Mutex<Behaviour>,
    calls: Mutex<Vec<Call>>,
    watch: Option<Box<Watch>>,
    ended: AtomicBool,
}

impl Receiver {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        Self::open(behaviour, None)
    }

    /// One that keeps nothing: every call goes to `watch` instead.
    pub(crate) fn watched(behaviour: Behaviour, watch: impl Fn(&[u8], bool) + Send + Sync + 'static) -> Self {
        Self::open(behaviour, Some(Box::new(watch)))
    }

    fn open(behaviour: Behaviour, watch: Option<Box<Watch>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State { behaviour: Mutex::new(behaviour), calls: Mutex::default(), watch, ended: AtomicBool::new(false) });
        let shared = Arc::clone(&state);
        let acceptor = thread("receiver", move || {
            for stream in listener.incoming().flatten() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                thread("receiver connection", move || state.serve(&stream));
            }
        });
        Self { address, state, acceptor: Some(acceptor) }
    }

    /// The settings of a `webhook` destination that sends here.
    pub(crate) fn settings(&self) -> String {
        format!("settings = {{ url = \"http://{}/hook\", secret = \"env:{SECRET_VARIABLE}\" }}", self.address)
    }

    /// Where it is, for other types of destination.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    /// Looks at every call so far.
    pub(crate) fn calls<T>(&self, look: impl FnOnce(&[Call]) -> T) -> T {
        look(&self.state.calls.lock().unwrap())
    }

    /// Every event of a call that was taken.
    pub(crate) fn accepted(&self) -> Vec<Value> {
        self.calls(|calls| calls.iter().filter(|call| call.accepted).flat_map(|call| call.events.clone()).collect())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the acceptor, so that it sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl State {
    /// Answers the requests of one connection until either side has enough. An error ends the connection, which is what a receiver does.
    fn serve(&self, stream: &TcpStream) {
        if stream.set_read_timeout(Some(Duration::from_secs(60))).is_err() {
            return;
        }
        let mut reader = BufReader::new(stream);
        while let Some(bytes) = request(&mut reader) {
            let behaviour = *self.behaviour.lock().unwrap();
            let accepted = matches!(behaviour, Behaviour::Accept | Behaviour::AcceptAfter(_));
            match &self.watch {
                Some(watch) => watch(&bytes, accepted),
                None => self.calls.lock().unwrap().push(Call { at: Instant::now(), events: events(&bytes), bytes, accepted }),
            }
            if let Behaviour::AcceptAfter(pause) = behaviour {
                std::thread::sleep(pause);
            }
            let answer = match behaviour {
                Behaviour::Accept | Behaviour::AcceptAfter(_) => String::from("HTTP/1.1 204 No Content\r\n\r\n"),
                Behaviour::Refuse(status, after) => {
                    let after = after.map_or_else(String::new, |seconds| format!("Retry-After: {seconds}\r\n"));
                    format!("HTTP/1.1 {status} No\r\n{after}Content-Length: 0\r\n\r\n")
                }
                Behaviour::Cut => return,
                Behaviour::Garbage => String::from("\u{1}\u{2}this is not HTTP\r\n\r\n"),
            };
            let mut writer = stream;
            if writer.write_all(answer.as_bytes()).is_err() || behaviour == Behaviour::Garbage {
                return;
            }
        }
    }
}

/// One whole request, head and body.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut length = 0;
    loop {
        let begin = bytes.len();
        if reader.read_until(b'\n', &mut bytes).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&bytes[begin..]).to_ascii_lowercase();
        if let Some(said) = line.strip_prefix("content-length:") {
            length = said.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let begin = bytes.len();
    bytes.resize(begin + length, 0);
    reader.read_exact(&mut bytes[begin..]).ok()?;
    Some(bytes)
}

fn events(call: &[u8]) -> Vec<Value> {
    let body = call.windows(4).position(|four| four == b"\r\n\r\n").map_or(&[][..], |at| &call[at + 4..]);
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    message["data"]["events"].as_array().cloned().unwrap_or_default()
}

/// A thread with a name.
pub(crate) fn thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system gives a thread")
}
