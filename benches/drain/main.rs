//! How fast what has waited leaves, at receivers that take 50 ms for an answer: one that takes an event in a request, and two that take many. The
//! product is a process of its own; its destinations rest while events come in, and then begin, one after the other.
//!
//! `cargo bench --bench drain`. Absolute figures are this machine's; what holds is how they stand to the aims, which are a distant receiver's
//! (its answers need no processor time here).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the bench reports to the terminal")]
#![expect(clippy::disallowed_methods, reason = "the receivers and the sender are programs of their own, outside the supervisor")]

use std::{
    convert::Infallible,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a distant receiver's answer takes.
const LATENCY: Duration = Duration::from_millis(50);
/// Visitors whose events wait, and how many each has.
const VISITORS: u32 = 10_000;
const EVENTS_EACH: u64 = 2;
const WAITING: u64 = VISITORS as u64 * EVENTS_EACH;
/// What is aimed at: requests a second where each has one event, and events a second where it has many.
const AIM_SINGLE: f64 = 2_000.0;
const AIM_BATCH: f64 = 20_000.0;
/// For anything that has to happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// A receiver, and what has come to it.
struct Receiver {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Receiver {
    fn start(runtime: &tokio::runtime::Runtime) -> Result<Self, Failure> {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let requests = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&requests);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let requests = Arc::clone(&counted);
                tokio::spawn(async move {
                    let answer = service_fn(move |request| answer(request, Arc::clone(&requests)));
                    // A connection's failure shows in the count.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Ok(Self { address, requests })
    }
}

async fn answer(request: Request<Incoming>, requests: Arc<AtomicU64>) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that was cut shows in what is left to send.
    let _ = request.into_body().collect().await;
    requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(LATENCY).await;
    // What PostHog says of a batch that it has taken; the others ask for the status alone.
    Ok(Response::new(Full::new(Bytes::from_static(b"{\"status\":1}"))))
}

/// The product; it ends with this.
struct Product(Child);

impl Drop for Product {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), Failure> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("after {} s: not {what}", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn apply(directory: &Path, receivers: &[(&str, bool, String)]) -> Result<(), Failure> {
    let destinations = receivers.iter().map(|(name, paused, settings)| {
        format!(
            "[[destination]]\nname = \"{name}\"\nsites = [\"shop\"]\nbasis = \"exempt_measurement\"\ntransform = \"measurement\"\npaused = {paused}\n{settings}\n"
        )
    });
    let documents = format!(
        "[[policy]]\nname = \"shop\"\n[[site]]\nname = \"shop\"\nhosts = [\"127.0.0.1\"]\norigins = [\"https://127.0.0.1\"]\nprefix = \"/keso\"\npolicy = \"shop\"\n{}",
        destinations.collect::<String>()
    );
    std::fs::write(directory.join("documents.toml"), documents)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_firsthand"));
    let applied =
        command.args(["apply", "documents.toml", "--reason", "the bench"]).current_dir(directory).stdout(Stdio::null()).status()?;
    if applied.success() { Ok(()) } else { Err("the documents were not applied".into()) }
}

/// Sends every visitor's events, over a few connections.
fn send(address: SocketAddr) -> Result<(), Failure> {
    let body = format!("{{\"e\":[{}]}}", ["{\"k\":\"page_view\"}"; EVENTS_EACH as usize].join(","));
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let body = body.clone();
            std::thread::spawn(move || -> Result<(), Failure> {
                let mut stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                let mut answer = [0; 1024];
                for visitor in (thread..VISITORS).step_by(8) {
                    let [_, one, two, three] = visitor.to_be_bytes();
                    let head = format!(
                        "POST /keso/e HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 11.{one}.{two}.{three}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept-Language: de\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
                    let read = stream.read(&mut answer)?;
                    if !answer[..read].starts_with(b"HTTP/1.1 204") {
                        return Err("an event was not taken".into());
                    }
                }
                Ok(())
            })
        })
        .collect();
    threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a sender panicked")?)
}

/// How many records a destination has still to end, by the product's metrics.
fn left(admin: SocketAddr, name: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(admin).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let sample = format!("firsthand_delivery_lag_records{{destination=\"{name}\"}} ");
    answer.lines().find_map(|line| line.strip_prefix(&sample))?.parse().ok()
}

/// How long a destination's events take, from its first request to the last one's end.
fn drain(receiver: &Receiver, admin: SocketAddr, name: &str) -> Result<Duration, Failure> {
    until("begun", || receiver.requests.load(Ordering::Relaxed) > 0)?;
    let begun = Instant::now();
    until("drained", || left(admin, name) == Some(0))?;
    Ok(begun.elapsed())
}

fn run() -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let [single, short, long] = [Receiver::start(&runtime)?, Receiver::start(&runtime)?, Receiver::start(&runtime)?];
    std::fs::write(directory.join("secret"), "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")?;
    let secret = directory.join("secret");
    let rows = [
        ("single", "Plausible, an event in a request", &single, Some(AIM_SINGLE)),
        ("short", "a webhook, 50 events in a request", &short, Some(AIM_BATCH)),
        ("long", "PostHog, 250 events in a request", &long, Some(AIM_BATCH)),
    ];
    let settings = |name: &str| match name {
        "single" => format!("type = \"plausible\"\nsettings = {{ url = \"http://{}\", domain = \"shop.example\" }}", single.address),
        "short" => {
            format!("type = \"webhook\"\nsettings = {{ url = \"http://{}/\", secret = \"file:{}\" }}", short.address, secret.display())
        }
        _ => format!("type = \"posthog\"\nsettings = {{ url = \"http://{}\", project_key = \"file:{}\" }}", long.address, secret.display()),
    };
    let all_but = |one: &str| rows.map(|(name, ..)| (name, name != one, settings(name)));
    let (plain, admin) = (free_address()?, free_address()?);
    std::fs::write(
        directory.join("firsthand.toml"),
        format!(
            "data_dir = \"data\"\n[listen]\nhttp = \"{plain}\"\nadmin = \"{admin}\"\n[proxies]\ntrusted = [\"127.0.0.0/8\"]\n[limits]\nclient_events_per_second = 0\nsite_events_per_second = 0\ntotal_events_per_second = 0\n"
        ),
    )?;
    apply(directory, &all_but(""))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_firsthand"));
    let _product = Product(command.arg("run").current_dir(directory).env("RUST_LOG", "warn").stdout(Stdio::null()).spawn()?);
    until("listening", || TcpStream::connect(plain).is_ok())?;
    send(plain)?;

    println!("{WAITING} events wait; a receiver's answer takes {} ms\n", LATENCY.as_millis());
    println!("| receiver | requests/s | events/s | aim | |\n|---|---:|---:|---:|---|");
    let mut reached = true;
    for (name, what, receiver, aim) in rows {
        apply(directory, &all_but(name))?;
        let took = drain(receiver, admin, name)?.as_secs_f64();
        let events = WAITING as f64 / took;
        let requests = receiver.requests.load(Ordering::Relaxed) as f64 / took;
        let verdict = aim.map_or("", |aim| if events >= aim { "reached" } else { "missed" });
        reached &= verdict != "missed";
        println!(
            "| {what} | {requests:.0} | {events:.0} | {} | {verdict} |",
            aim.map_or(String::new(), |aim| format!("{aim:.0} events/s"))
        );
    }
    Ok(reached)
}

fn main() -> ExitCode {
    // `cargo test` runs benches' programs, too, as debug builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("left out: the drain is measured on release builds; run it with `cargo bench --bench drain`");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
