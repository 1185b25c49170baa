//! Two kinds of load: a block of beacons at an even pace, whose answers are timed; and a flood, as many events as fast as they are taken, until the
//! good receiver has them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::{
    Failure,
    control::Control,
    product::{Product, until},
};

/// Beacons of a block, and their pace: what a busy site has, and far less than the machine could. A block is short, so that what drifts is in
/// both sides alike.
const BEACONS: u32 = 800;
const BEACONS_PER_SECOND: u32 = 800;
/// Events in a flood, and in each of its requests: as many as there may be.
const FLOOD: u32 = 6_000;
const FLOOD_EACH: u32 = 50;
const CONNECTIONS: u32 = 8;

/// A new visitor for every request.
static VISITORS: AtomicU32 = AtomicU32::new(0);

/// What came of a block.
pub struct Block {
    /// How long each answer took, in ms, from the moment at which its beacon was to be sent: what holds one up holds up those behind it.
    pub waits: Vec<f64>,
    /// How much too late a thread that only sleeps woke up meanwhile, at the worst, in ms.
    pub control: f64,
}

/// Runs a block, and waits until it leaves no work behind.
pub fn paced(product: &Product) -> Result<Block, Failure> {
    let before = product.good.events();
    let control = Control::begin();
    let waits = beacons(product.address)?;
    let control = control.end()?;
    until("as many events as beacons", || product.good.events() >= before + u64::from(BEACONS))?;
    product.settle()?;
    Ok(Block { waits, control })
}

/// Sends a flood, and waits until it leaves no work behind. Events a second that the good receiver got of it.
pub fn flood(product: &Product) -> Result<f64, Failure> {
    let before = product.good.events();
    let begun = Instant::now();
    on_all_connections(product.address, |connection, wire| {
        for _ in (connection..FLOOD / FLOOD_EACH).step_by(CONNECTIONS as usize) {
            wire.send(VISITORS.fetch_add(1, Ordering::Relaxed), FLOOD_EACH)?;
        }
        Ok(Vec::new())
    })?;
    until("the flood at the good receiver", || product.good.events() >= before + u64::from(FLOOD))?;
    let throughput = f64::from(FLOOD) / begun.elapsed().as_secs_f64();
    product.settle()?;
    Ok(throughput)
}

/// Times the answers to beacons that are sent at their moments, or as soon as the connection is free.
fn beacons(address: SocketAddr) -> Result<Vec<f64>, Failure> {
    let begun = Instant::now();
    on_all_connections(address, |connection, wire| {
        let mut waits = Vec::with_capacity((BEACONS / CONNECTIONS) as usize + 1);
        for number in (connection..BEACONS).step_by(CONNECTIONS as usize) {
            let moment = begun + Duration::from_secs(1) * number / BEACONS_PER_SECOND;
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
            wire.send(VISITORS.fetch_add(1, Ordering::Relaxed), 1)?;
            waits.push(moment.elapsed().as_secs_f64() * 1e3);
        }
        Ok(waits)
    })
}

fn on_all_connections(address: SocketAddr, work: impl Fn(u32, &mut Wire) -> Result<Vec<f64>, Failure> + Sync) -> Result<Vec<f64>, Failure> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            (0..CONNECTIONS).map(|connection| scope.spawn(move || work(connection, &mut Wire::connect(address)?))).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a sender panicked")??);
        }
        Ok(all)
    })
}

/// A connection to the product.
struct Wire(TcpStream);

impl Wire {
    fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends so many events of a visitor in one request, and waits for the answer.
    fn send(&mut self, visitor: u32, events: u32) -> Result<(), Failure> {
        let [_, one, two, three] = visitor.to_be_bytes();
        let body = format!("{{\"e\":[{}]}}", vec!["{\"k\":\"page_view\"}"; events as usize].join(","));
        let head = format!(
            "POST /keso/e HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 11.{one}.{two}.{three}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept-Language: de\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let mut answer = [0; 1024];
        let read = self.0.read(&mut answer)?;
        if answer[..read].starts_with(b"HTTP/1.1 204") { Ok(()) } else { Err("an event was not taken".into()) }
    }
}
