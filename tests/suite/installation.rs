//! The real binary in a temporary directory of its own: configuration, documents, data, and what it printed. Ports are the kernel's
//! choice; whatever is still running when an installation goes out of scope is ended by its own process id.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use rusqlite::{Connection as Database, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http_client::{Answer, Connection, Request},
    receiver::{SECRET, SECRET_VARIABLE},
};

/// A start reads keys and log, and may share two cores with the other tests.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Shutdown's own patience is 25 s.
const STOP_PATIENCE: Duration = Duration::from_secs(40);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What [`SITE`]'s policy says of crowds; without it, they are as they come.
pub(crate) const WITHOUT_CROWDS: &str = "crowd = 1\ncrowd_reason = \"one visitor at a time is tested\"\n";
/// A site and its policy, as most tests want them.
pub(crate) const SITE: &str = r#"
[[policy]]
name = "shop"
events = ["newsletter_opened"]
crowd = 1
crowd_reason = "one visitor at a time is tested"
properties = { plan = "word", number = "number", gift = "flag" }

[[site]]
name = "shop"
hosts = ["www.shop.example", "127.0.0.1"]
origins = ["https://www.shop.example"]
prefix = "/keso"
time_zone = "Europe/Paris"
policy = "shop"
"#;

/// Everybody on this machine is a trusted proxy, and nobody is limited.
const MACHINE: &str = r#"
data_dir = "data"

[listen]
http = "127.0.0.1:0"
admin = "127.0.0.1:0"

[places]
database = "place.mmdb"

[proxies]
trusted = ["127.0.0.0/8"]

[limits]
client_events_per_second = 0
site_events_per_second = 0
total_events_per_second = 0
"#;

/// A `file` destination of the site `shop`.
pub(crate) fn file_destination(name: &str, basis: &str, transform: &str) -> String {
    let settings = format!("settings = {{ directory = \"outbox/{name}\" }}");
    destination(name, "file", basis, transform, &settings)
}

/// A destination of the site `shop`; one with the basis `consent` is for analytics.
pub(crate) fn destination(name: &str, kind: &str, basis: &str, transform: &str, settings: &str) -> String {
    let purposes = if basis == "consent" { "purposes = [\"analytics\"]\n" } else { "" };
    format!(
        "\n[[destination]]\nname = \"{name}\"\ntype = \"{kind}\"\nsites = [\"shop\"]\nbasis = \"{basis}\"\n{purposes}\
         transform = \"{transform}\"\n{settings}\n"
    )
}

/// A directory with a configuration, and what the program makes in it.
pub(crate) struct Installation {
    directory: PathBuf,
    /// Takes the directory away with the installation; one that outlives a run has none.
    _temporary: Option<TempDir>,
}

impl Installation {
    /// With these documents, applied before the first start.
    pub(crate) fn new(documents: &str) -> Self {
        Self::with_machine(MACHINE, documents)
    }

    /// The same over TLS too, with this certificate and key (PEM).
    pub(crate) fn with_tls(documents: &str, certificate: &str, key: &str) -> Self {
        let machine =
            MACHINE.replace("[places]", "https = \"127.0.0.1:0\"\n\n[tls]\ncertificate = \"leaf.pem\"\nkey = \"key.pem\"\n\n[places]");
        let made = Self::bare(&machine);
        made.write("leaf.pem", certificate);
        made.write("key.pem", key);
        made.apply(documents);
        made
    }

    /// The same where no proxy is trusted.
    pub(crate) fn without_proxies(documents: &str) -> Self {
        Self::with_machine(&MACHINE.replace("trusted = [\"127.0.0.0/8\"]", "trusted = []"), documents)
    }

    fn with_machine(machine: &str, documents: &str) -> Self {
        let made = Self::bare(machine);
        made.apply(documents);
        made
    }

    /// A directory with nothing in it.
    pub(crate) fn empty() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        Self { directory: temporary.path().to_owned(), _temporary: Some(temporary) }
    }

    /// In a directory that is there, and stays: nothing of it is changed.
    pub(crate) fn found(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), _temporary: None }
    }

    /// With a configuration and these documents, in an empty directory that stays.
    pub(crate) fn staying(directory: &Path, documents: &str) -> Self {
        let made = Self::found(directory);
        made.configure(MACHINE);
        made.apply(documents);
        made
    }

    /// With a configuration and nothing else.
    pub(crate) fn without_documents() -> Self {
        Self::bare(MACHINE)
    }

    fn bare(machine: &str) -> Self {
        let made = Self::empty();
        made.configure(machine);
        made
    }

    fn configure(&self, machine: &str) {
        self.write("firsthand.toml", machine);
        fs::write(self.path().join("place.mmdb"), firsthand::demonstration::PLACE_DATABASE).expect("the place database is written");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path().join(name);
        fs::write(&file, text).expect("a file of the installation is written");
        file
    }

    /// Puts documents in force, as a person would.
    pub(crate) fn apply(&self, documents: &str) {
        self.write("documents.toml", documents);
        let output = self.command(&["apply", "documents.toml", "--reason", "a test"]).output().expect("the binary runs");
        assert!(output.status.success(), "apply: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The binary with these arguments, in this directory, with nothing of the caller's environment that would change it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_firsthand")), arguments)
    }

    /// The same of another binary.
    pub(crate) fn command_of(&self, binary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.args(arguments).current_dir(self.path()).env_remove("RUST_LOG").env(SECRET_VARIABLE, SECRET).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    pub(crate) fn start(&self) -> Running {
        self.start_as(self.command(&["run"]))
    }

    /// Starts the server by a command that becomes it, or runs it.
    pub(crate) fn start_as(&self, mut command: Command) -> Running {
        let (out, err) = (self.path().join("stdout"), self.path().join("stderr"));
        let file = |path: &Path| File::options().create(true).append(true).open(path).expect("an output file is made");
        let printed_before = fs::metadata(&out).map_or(0, |meta| meta.len() as usize);
        let child = command.stdout(file(&out)).stderr(file(&err)).spawn().expect("the server starts");
        let mut running = Running { child: Some(child), inner: None, http: None, https: None, admin: None };
        let deadline = Instant::now() + START_PATIENCE;
        while running.admin.is_none() {
            let printed = fs::read_to_string(&out).unwrap_or_default();
            running.read_addresses(printed.get(printed_before..).unwrap_or_default());
            let ended = running.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|status| status.is_some()));
            assert!(!ended && Instant::now() < deadline, "the server did not start: {}", fs::read_to_string(&err).unwrap_or_default());
            std::thread::sleep(LOOK_AGAIN);
        }
        running
    }

    /// What a `file` destination has got so far: one value per whole line, oldest first.
    pub(crate) fn outbox(&self, name: &str) -> Vec<Value> {
        let directory = self.data().join("outbox").join(name);
        let mut files: Vec<PathBuf> =
            fs::read_dir(&directory).map(|found| found.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
        // `events-<time>.ndjson` sorts before the one being written, `events.ndjson`.
        files.sort();
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }

    /// How many events ended how at a destination: (state, rule, count), from the ledger's counts.
    pub(crate) fn ledger(&self, destination: &str) -> Vec<(String, String, i64)> {
        let database = self.state();
        let mut rows = database
            .prepare(
                "SELECT state, rule, sum(count) FROM ledger_counts JOIN destination_numbers ON number = destination
                 WHERE name = ?1 GROUP BY state, rule ORDER BY state, rule",
            )
            .expect("the ledger's tables are there");
        let rows = rows.query_map([destination], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("the ledger can be read");
        rows.collect::<Result<_, _>>().expect("the ledger can be read")
    }

    /// How many of a destination's events the ledger accounts for by their offsets: counts of parcels and of exceptions.
    pub(crate) fn ledger_offsets(&self, destination: &str) -> i64 {
        let database = self.state();
        let count = |table: &str| -> i64 {
            let select = format!(
                "SELECT coalesce(sum(count), 0) FROM {table} WHERE destination = (SELECT number FROM destination_numbers WHERE name = ?1)"
            );
            database.query_row(&select, [destination], |row| row.get(0)).expect("the ledger can be read")
        };
        count("ledger_parcels") + count("ledger_ranges")
    }

    /// How many events were refused for a reason, over all days.
    pub(crate) fn refused(&self, reason: &str) -> i64 {
        let select = "SELECT coalesce(sum(count), 0) FROM counters WHERE reason = ?1";
        self.state().query_row(select, [reason], |row| row.get(0)).expect("the counters can be read")
    }

    /// One number out of a database of the data directory.
    pub(crate) fn number(&self, file: &str, select: &str) -> i64 {
        let database = Database::open_with_flags(self.data().join(file), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database opens");
        database.busy_timeout(Duration::from_secs(5)).expect("a timeout can be set");
        database.query_row(select, [], |row| row.get(0)).expect("the database can be read")
    }

    /// Changes a database of the data directory, as the passing of days would have.
    pub(crate) fn change(&self, file: &str, statement: &str) {
        let database = Database::open(self.data().join(file)).expect("the database opens");
        database.busy_timeout(Duration::from_secs(5)).expect("a timeout can be set");
        database.execute(statement, []).expect("the database can be changed");
    }

    fn state(&self) -> Database {
        let database = Database::open_with_flags(self.data().join("state.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("state.db opens");
        database.busy_timeout(Duration::from_secs(5)).expect("a timeout can be set");
        database
    }
}

/// A server that runs. Dropping it ends it.
pub(crate) struct Running {
    child: Option<Child>,
    /// A process that the child started, and that would outlive it.
    inner: Option<u32>,
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Running {
    fn read_addresses(&mut self, printed: &str) {
        // Only whole lines: the last one may still be being written.
        for line in printed.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let address = |prefix: &str| line.trim_end().strip_prefix(prefix).and_then(|rest| rest.trim_end_matches('/').parse().ok());
            self.http = address("listening on http://").or(self.http);
            self.https = address("listening on https://").or(self.https);
            self.admin = address("admin on http://").or(self.admin);
        }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http.expect("the server listens on plain HTTP")
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.https.expect("the server listens on HTTPS")
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.expect("the server has an admin listener")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// The one process that this one started: a server under strace. It is ended with this one.
    pub(crate) fn only_child(&mut self) -> u32 {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("the system tells a process's children");
        let child = children.trim().parse().expect("there is one child");
        self.inner = Some(child);
        child
    }

    /// One request on a connection of its own.
    pub(crate) fn send(&self, request: &Request) -> Answer {
        let mut connection = Connection::open(self.http()).expect("the server accepts");
        connection.exchange(request).expect("the server answers")
    }

    /// A page of the admin listener.
    pub(crate) fn admin_page(&self, path: &str) -> Answer {
        let mut connection = Connection::open(self.admin()).expect("the admin listener accepts");
        connection.exchange(&Request::get(path)).expect("the admin listener answers")
    }

    /// The numbers that the admin listener shows.
    pub(crate) fn overview(&self) -> Value {
        serde_json::from_slice(&self.admin_page("/overview.json").body).expect("the overview is JSON")
    }

    /// SIGKILL: no warning, no goodbye.
    pub(crate) fn kill(mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("one's own child can be killed");
            child.wait().expect("one's own child can be waited for");
        }
    }

    /// SIGTERM to the process itself; it goes on until it has drained.
    pub(crate) fn ask_to_stop(&self) {
        terminate(self.pid());
    }

    /// SIGTERM, and the wait for its end.
    pub(crate) fn stop(self) -> ExitStatus {
        self.ask_to_stop();
        self.wait()
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let deadline = Instant::now() + STOP_PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("one's own child can be waited for") {
                return status;
            }
            if Instant::now() > deadline {
                child.kill().expect("one's own child can be killed");
                child.wait().expect("one's own child can be waited for");
                panic!("the server did not stop within {STOP_PATIENCE:?}");
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Either may have ended by itself, which is fine.
            self.inner.into_iter().for_each(|inner| signal(inner, Signal::KILL));
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// SIGTERM to one process, by its id.
pub(crate) fn terminate(pid: u32) {
    signal(pid, Signal::TERM);
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    // It may have ended by itself, which is fine.
    let _ = kill_process(pid, signal);
}

/// Waits until something is so, and says what was waited for when it does not come.
pub(crate) fn eventually(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "within {patience:?} there was not: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}
