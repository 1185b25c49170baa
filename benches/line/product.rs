//! Firsthand under measurement: how it is configured, started and read.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{Failure, bare::Certificate, process::Process, request::HOST};

/// The path in front of the site's routes.
const PREFIX: &str = "/keso";
/// Where the native protocol takes events in.
pub const PATH: &str = "/keso/e";
/// How long the product may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the couriers may take to end a round's events.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// What is attached to the log.
pub enum Destinations {
    /// One that needs no consent; its courier rests.
    ExemptPaused,
    /// One that needs consent to analytics; its courier rests.
    ConsentPaused,
    /// The same, and the site has customer profiles.
    Profiles,
    /// Those of the demonstration: a file and a webhook, both at work.
    Demonstration {
        /// Who takes the webhook's calls.
        sink: SocketAddr,
    },
}

/// Counters of the product, from its metrics.
pub struct Counters {
    /// Events that the log took.
    pub appended: u64,
    /// Syncs that made them durable.
    pub syncs: u64,
}

/// A running product.
pub struct Product {
    process: Process,
    /// Its plain listener.
    pub plain: SocketAddr,
    /// Its TLS listener.
    pub tls: SocketAddr,
    admin: SocketAddr,
}

impl Product {
    /// Starts it with a data directory of its own and waits until it is healthy.
    pub fn start(directory: &Path, files: &Certificate, destinations: &Destinations) -> Result<Self, Failure> {
        std::fs::create_dir_all(directory)?;
        let (plain, tls, admin) = (free_address()?, free_address()?, free_address()?);
        let machine = configure(directory, files, [plain, tls, admin], destinations)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_firsthand"));
        command.args(["run", "--config"]).arg(machine).current_dir(directory);
        let mut product = Self { process: Process::start(&mut command)?, plain, tls, admin };
        let started = Instant::now();
        while product.get("/healthz").is_err() {
            product.process.check_running()?;
            if started.elapsed() > START_TIMEOUT {
                return Err("the product did not become healthy".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(product)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Reads its counters.
    pub fn counters(&self) -> Result<Counters, Failure> {
        let metrics = self.get("/metrics")?;
        Ok(Counters { appended: sum(&metrics, "firsthand_log_appended_total")?, syncs: sum(&metrics, "firsthand_log_syncs_total")? })
    }

    /// Waits until every event has ended at every destination.
    pub fn wait_until_delivered(&self) -> Result<(), Failure> {
        let started = Instant::now();
        while sum(&self.get("/metrics")?, "firsthand_delivery_lag_records")? > 0 {
            if started.elapsed() > DELIVERY_TIMEOUT {
                return Err("the couriers do not catch up".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// How many events the projector has taken into profiles.
    pub fn projected(&self) -> Result<u64, Failure> {
        sum(&self.get("/metrics")?, "firsthand_profile_events_total")
    }

    /// Waits until the projector has read all of the log.
    pub fn wait_until_projected(&self) -> Result<(), Failure> {
        let started = Instant::now();
        // What it says that it has still to read is as of its last look, and it looks twice a second.
        while self.projected()? < self.counters()?.appended {
            if started.elapsed() > DELIVERY_TIMEOUT {
                return Err("the projector does not catch up".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn get(&self, path: &str) -> Result<String, Failure> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(format!("{path} of the product's admin listener does not answer 200").into());
        }
        Ok(answer)
    }
}

/// The sum of a metric's samples.
fn sum(metrics: &str, name: &str) -> Result<u64, Failure> {
    let samples: Vec<u64> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
        .collect();
    if samples.is_empty() {
        return Err(format!("the product's metrics have no {name}").into());
    }
    Ok(samples.iter().sum())
}

/// An address on which nobody listens at the moment.
fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Writes the machine's file and the documents, and says where the machine's file is. The one place that knows their form.
fn configure(
    directory: &Path,
    files: &Certificate,
    [plain, tls, admin]: [SocketAddr; 3],
    destinations: &Destinations,
) -> Result<PathBuf, Failure> {
    let machine = directory.join("firsthand.toml");
    let (certificate, key) = (files.certificate.display(), files.key.display());
    std::fs::write(
        &machine,
        format!(
            r#"data_dir = "data"
[listen]
http = "{plain}"
https = "{tls}"
admin = "{admin}"
[tls]
certificate = "{certificate}"
key = "{key}"
# The load generator is the proxy in front.
[proxies]
trusted = ["127.0.0.0/8"]
[limits]
client_events_per_second = 0
site_events_per_second = 0
total_events_per_second = 0
[managed]
from = "documents.toml"
"#
        ),
    )?;
    let profile = if matches!(destinations, Destinations::Profiles) { "[site.profile]\n" } else { "" };
    let destinations = match destinations {
        Destinations::ExemptPaused => destination("exempt", "exempt_measurement", true, FILE),
        Destinations::ConsentPaused | Destinations::Profiles => destination("consented", "consent", true, FILE),
        Destinations::Demonstration { sink } => {
            let secret = directory.join("secret");
            std::fs::write(&secret, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")?;
            let secret = format!("file:{}", secret.display());
            let webhook = format!("type = \"webhook\"\nsettings = {{ url = \"http://{sink}/\", secret = \"{secret}\" }}");
            destination("exempt", "exempt_measurement", false, FILE) + &destination("consented", "consent", false, &webhook)
        }
    };
    std::fs::write(
        directory.join("documents.toml"),
        format!(
            r#"[[policy]]
name = "shop"
properties = {{ template = "word", section = "word", words = "number", paywall = "flag", variant = "word" }}
[[site]]
name = "shop"
hosts = ["{HOST}"]
origins = ["https://{HOST}"]
prefix = "{PREFIX}"
policy = "shop"
{profile}{destinations}"#
        ),
    )?;
    Ok(machine)
}

const FILE: &str = "type = \"file\"\nsettings = { directory = \"outbox\" }";

fn destination(name: &str, basis: &str, paused: bool, kind: &str) -> String {
    let granted =
        if basis == "consent" { "purposes = [\"analytics\"]\ntransform = \"consented-analytics\"" } else { "transform = \"strict\"" };
    format!("[[destination]]\nname = \"{name}\"\nsites = [\"shop\"]\nbasis = \"{basis}\"\n{granted}\npaused = {paused}\n{kind}\n")
}
