//! The program under test: this very binary as `firsthand run`, in a directory of its own, with the run's documents applied; its output kept,
//! its memory readable by its parent.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::ProveError;
use crate::{
    clock::{self, Timestamp},
    config::Config,
    demonstration::PLACE_DATABASE,
    documents::{
        parse::Document,
        store::{Author, DocumentStore},
    },
    state::StateDb,
};

/// A start opens two databases and a log.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Shutdown's own patience is 25 s.
const STOP_PATIENCE: Duration = Duration::from_secs(40);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The environment variable whose value must be found in the program's memory.
pub const CONTROL_VARIABLE: &str = "FIRSTHAND_PROVE_CONTROL";
/// The environment variable that names the rule of privacy which a build with the feature `proof` leaves out.
pub const RULE_VARIABLE: &str = "FIRSTHAND_PROVE_WITHOUT";

/// The running program.
pub struct Program {
    child: Option<Child>,
    directory: PathBuf,
    http: SocketAddr,
    admin: SocketAddr,
}

/// With what it is started.
pub struct Start<'a> {
    /// Which binary.
    pub binary: &'a Path,
    /// An empty directory, which it keeps everything in.
    pub directory: &'a Path,
    /// The documents to apply.
    pub documents: Vec<Document>,
    /// The configuration that is proved: proxies' header, places and retention are taken from it.
    pub config: &'a Config,
    /// What must be found in its memory.
    pub control: &'a str,
    /// The rule that is left out.
    pub without: Option<&'a str>,
    /// The time that it begins at; nothing: the machine's.
    pub clock: Option<Timestamp>,
    /// What it says of what it does.
    pub traces: &'a str,
}

impl Program {
    /// Applies the documents and starts the program.
    ///
    /// # Errors
    /// When it does not start; what it said is in the error, since nobody has sent it anything yet.
    pub fn start(start: Start<'_>) -> Result<Self, ProveError> {
        let directory = start.directory.to_owned();
        let data = directory.join("data");
        fs::create_dir_all(&data)?;
        let places = match &start.config.places.database {
            Some(file) => std::path::absolute(file)?,
            None => directory.join("place.mmdb"),
        };
        if start.config.places.database.is_none() {
            fs::write(&places, PLACE_DATABASE)?;
        }
        let store = DocumentStore::new(Arc::new(StateDb::open(&data.join("state.db"))?));
        let author = Author { name: "prove", reason: "a run of `prove` on a copy", at: clock::now() };
        store.apply(start.documents, true, false, &author)?;
        drop(store);
        fs::write(directory.join("firsthand.toml"), machine(start.config, &places))?;
        let mut command = Command::new(start.binary);
        command.arg("--config").arg(directory.join("firsthand.toml")).arg("run");
        command.env(CONTROL_VARIABLE, start.control).env("RUST_LOG", start.traces);
        command.stdin(Stdio::null());
        if let Some(time) = start.clock {
            command.arg("--clock").arg(time.0.to_string()).stdin(Stdio::piped());
        }
        match start.without {
            Some(rule) => command.env(RULE_VARIABLE, rule),
            None => command.env_remove(RULE_VARIABLE),
        };
        let (said, traces) = (directory.join("said"), directory.join("traces"));
        command.stdout(File::create(&said)?).stderr(File::create(&traces)?);
        let mut child = command.spawn()?;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let text = fs::read_to_string(&said)?;
            let address = |before: &str| text.lines().find_map(|line| line.strip_prefix(before)?.trim_end_matches('/').parse().ok());
            if let (Some(http), Some(admin)) = (address("listening on http://"), address("admin on http://")) {
                return Ok(Self { child: Some(child), directory, http, admin });
            }
            let ended = child.try_wait()?.is_some();
            if ended || Instant::now() > deadline {
                // It may have ended by itself, which is fine.
                let _ = child.kill();
                let _ = child.wait();
                let traces = fs::read_to_string(&traces)?;
                let words = traces.lines().rev().find(|line| line.starts_with("error: ")).unwrap_or("it did not say why").to_owned();
                return Err(ProveError::Start(words));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Where beacons go.
    #[must_use]
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where pages and metrics are.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Everything it writes is below this directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Sets its clock, where it was started with one of its own. It hears of it within moments.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn set_clock(&mut self, time: Timestamp) -> io::Result<()> {
        let input = self.child.as_mut().and_then(|child| child.stdin.as_mut()).ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{}", time.0)?;
        input.flush()
    }

    /// Asks it to stop, and waits: couriers settle, databases are written back.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(mut self) -> Result<(), ProveError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).map_err(io::Error::from)?;
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child = Some(child);
                return Err(ProveError::Stop);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// This machine's configuration for the run: loopback, any port, everyone on this machine believed about the client's address, nobody limited.
fn machine(config: &Config, places: &Path) -> String {
    let mut table = toml::Table::new();
    let mut section = |name: &str, values: Vec<(&str, toml::Value)>| {
        let values: toml::Table = values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        table.insert(name.to_owned(), values.into());
    };
    section("listen", vec![("http", "127.0.0.1:0".into()), ("admin", "127.0.0.1:0".into())]);
    section("places", vec![("database", places.to_string_lossy().into_owned().into())]);
    let mut proxies = vec![("trusted", vec![toml::Value::from("127.0.0.0/8")].into())];
    proxies.extend(config.proxies.header.as_ref().map(|header| ("header", header.as_str().into())));
    section("proxies", proxies);
    let unlimited = ["client_events_per_second", "site_events_per_second", "total_events_per_second"];
    section("limits", unlimited.iter().map(|key| (*key, 0.into())).collect());
    section(
        "retention",
        vec![
            ("without_consent_hours", i64::from(config.retention.without_consent_hours).into()),
            ("with_consent_days", i64::from(config.retention.with_consent_days).into()),
        ],
    );
    table.insert(String::from("data_dir"), "data".into());
    toml::to_string(&table).expect("a table of texts and numbers is TOML")
}
