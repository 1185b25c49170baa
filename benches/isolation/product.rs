//! The product, with two destinations: a webhook whose receiver is well, and a Plausible (an event in a request, up to 160 at once) whose receiver
//! may not be.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Failure, Manners, Receiver};

/// For anything that has to happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// A product that runs; it ends with this.
pub struct Product {
    child: Child,
    /// Where beacons go.
    pub address: SocketAddr,
    admin: SocketAddr,
    /// The receiver that is well in any case.
    pub good: Receiver,
    /// Whether the other one takes everything in the end.
    other_drains: bool,
    _other: Receiver,
    _directory: tempfile::TempDir,
}

impl Drop for Product {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Product {
    /// Starts one, and its receivers: the other one with these manners.
    pub fn start(runtime: &tokio::runtime::Runtime, manners: Manners) -> Result<Self, Failure> {
        let (good, other) = (Receiver::start(runtime, Manners::Well)?, Receiver::start(runtime, manners)?);
        let directory = tempfile::tempdir()?;
        let at = directory.path();
        let (address, admin) = (free_address()?, free_address()?);
        std::fs::write(at.join("secret"), "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")?;
        let destination = |name: &str, settings: String| {
            format!(
                "[[destination]]\nname = \"{name}\"\nsites = [\"shop\"]\nbasis = \"exempt_measurement\"\ntransform = \"measurement\"\n{settings}\n"
            )
        };
        let documents = [
            String::from(
                "[[policy]]\nname = \"shop\"\n[[site]]\nname = \"shop\"\nhosts = [\"127.0.0.1\"]\norigins = [\"https://127.0.0.1\"]\nprefix = \"/keso\"\npolicy = \"shop\"\n",
            ),
            destination(
                "good",
                format!(
                    "type = \"webhook\"\nsettings = {{ url = \"http://{}/\", secret = \"file:{}\" }}",
                    good.address,
                    at.join("secret").display()
                ),
            ),
            destination(
                "other",
                format!("type = \"plausible\"\nsettings = {{ url = \"http://{}\", domain = \"shop.example\" }}", other.address),
            ),
        ];
        std::fs::write(at.join("documents.toml"), documents.concat())?;
        std::fs::write(
            at.join("firsthand.toml"),
            format!(
                "data_dir = \"data\"\n[listen]\nhttp = \"{address}\"\nadmin = \"{admin}\"\n[proxies]\ntrusted = [\"127.0.0.0/8\"]\n[limits]\nclient_events_per_second = 0\nsite_events_per_second = 0\ntotal_events_per_second = 0\n"
            ),
        )?;
        let program = env!("CARGO_BIN_EXE_firsthand");
        let mut apply = Command::new(program);
        let applied = apply.args(["apply", "documents.toml", "--reason", "the bench"]).current_dir(at).stdout(Stdio::null()).status()?;
        if !applied.success() {
            return Err("the documents were not applied".into());
        }
        // It warns of the bad receiver, as it should.
        let child = Command::new(program).arg("run").current_dir(at).env("RUST_LOG", "error").stdout(Stdio::null()).spawn()?;
        let other_drains = matches!(manners, Manners::Well | Manners::Drop);
        let product = Self { child, address, admin, good, other_drains, _other: other, _directory: directory };
        until("listening", || TcpStream::connect(address).is_ok())?;
        Ok(product)
    }

    /// Waits until nothing is left to send that can be sent, so that it does not disturb the other product.
    pub fn settle(&self) -> Result<(), Failure> {
        until("drained", || self.left("good") == Some(0) && (!self.other_drains || self.left("other") == Some(0)))
    }

    /// How many records a destination has still to end, by the product's metrics.
    fn left(&self, name: &str) -> Option<u64> {
        let mut stream = TcpStream::connect(self.admin).ok()?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let sample = format!("firsthand_delivery_lag_records{{destination=\"{name}\"}} ");
        answer.lines().find_map(|line| line.strip_prefix(&sample))?.parse().ok()
    }
}

fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), Failure> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("after {} s: not {what}", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
