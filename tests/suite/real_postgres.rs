//! A real PostgreSQL of a test's own: a new cluster in a directory, on a port of loopback, with one role that needs a password. It is ended
//! by its process id. PostgreSQL refuses to run as root; there it runs as the user that its package made.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::installation::{eventually, terminate};

const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const ROLE: &str = "firsthand";
pub(crate) const PASSWORD: &str = "a-password-of-the-test";

pub(crate) struct RealPostgres {
    directory: tempfile::TempDir,
    programs: PathBuf,
    server: Option<Child>,
    pub(crate) port: u16,
    /// Whether it waits for the disk, as a real one does; tests need not.
    syncs: bool,
}

impl RealPostgres {
    /// A running one with a database `analytics`; `None` where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::started(false)
    }

    /// The same as it is by default, to be measured.
    pub(crate) fn start_to_measure() -> Option<Self> {
        Self::started(true)
    }

    fn started(syncs: bool) -> Option<Self> {
        let programs = programs()?;
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut postgres = Self { directory, programs, server: None, port, syncs };
        let password = postgres.directory.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        if is_root() {
            let owned = Command::new("chown").args(["-R", "postgres"]).arg(postgres.directory.path()).status().unwrap();
            assert!(owned.success(), "the package made no user postgres");
        }
        let made = postgres
            .program("initdb")
            .args(["--auth=scram-sha-256", "--username", ROLE, "--encoding=UTF8", "--no-sync", "--pwfile"])
            .arg(&password)
            .arg("-D")
            .arg(postgres.cluster())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        postgres.resume();
        assert_eq!(postgres.ask_in("postgres", "CREATE DATABASE analytics"), "CREATE DATABASE");
        Some(postgres)
    }

    /// Starts it again after [`Self::pause`].
    pub(crate) fn resume(&mut self) {
        let log = fs::File::create(std::env::temp_dir().join(format!("postgres-{}.log", self.port))).unwrap();
        let server = self
            .program("postgres")
            .arg("-D")
            .arg(self.cluster())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", if self.syncs { "fsync=on" } else { "fsync=off" }, "-k"])
            .arg(self.directory.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
        eventually("a database that answers", PATIENCE, || self.psql("postgres", "SELECT 1").status().is_ok_and(|status| status.success()));
    }

    /// Ends the server; what it holds stays.
    pub(crate) fn pause(&mut self) {
        if let Some(mut server) = self.server.take() {
            // The fast shutdown: it does not wait for whoever is connected.
            let id = rustix::process::Pid::from_child(&server);
            rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
            server.wait().unwrap();
        }
        let _ = fs::remove_file(std::env::temp_dir().join(format!("postgres-{}.log", self.port)));
    }

    /// What a statement says, without ornament: columns with `|` between them.
    pub(crate) fn ask(&self, statement: &str) -> String {
        self.ask_in("analytics", statement)
    }

    fn ask_in(&self, database: &str, statement: &str) -> String {
        let output = self.psql(database, statement).stderr(Stdio::piped()).stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn psql(&self, database: &str, statement: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-At", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", ROLE, "-d", database, "-c", statement]);
        command.env("PGPASSWORD", PASSWORD).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.directory.path());
        command
    }

    /// Where its files are.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.directory.path().join("cluster")
    }
}

impl Drop for RealPostgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            terminate(server.id());
            let _ = server.wait();
        }
        let _ = fs::remove_file(std::env::temp_dir().join(format!("postgres-{}.log", self.port)));
    }
}

/// Where its programs are: the newest version of Debian's packages, or what is in the path's usual places.
fn programs() -> Option<PathBuf> {
    let of_packages = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let mut found: Vec<PathBuf> = of_packages.chain(["/usr/bin", "/usr/local/bin"].map(PathBuf::from)).filter(|at| has_all(at)).collect();
    found.sort();
    found.pop()
}

fn has_all(directory: &Path) -> bool {
    ["initdb", "postgres", "psql"].iter().all(|program| directory.join(program).exists())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
