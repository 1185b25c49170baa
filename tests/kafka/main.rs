//! Destination `kafka`, by the real binary: every event is one record under its visitor's key, on a real broker that was away at first, and on a
//! cluster whose partitions are led by several brokers. Read back by librdkafka. Built with the feature `kafka` alone.
#![expect(clippy::unwrap_used, reason = "in a test, what fails is told by the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);
const TOPIC: &str = "shop.events";
/// More than a destination has lanes, so that a lane's events have several leaders.
const VISITORS: usize = 32;
const EVENTS: usize = 320;

/// A process that ends with this.
struct Running(Child);

impl Running {
    /// Ends it as an operator does.
    fn stop(mut self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The Python of the tests that has librdkafka and a broker; nothing where there is none, which is said.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tests-run/kafka/bin/python");
    let has = Command::new(&python).args(["-c", "import confluent_kafka"]).output();
    let has = has.ok().filter(|_| python.with_file_name("tansu").exists());
    if has.is_some_and(|has| has.status.success()) {
        return Some(python);
    }
    // A closed standard error is no reason to fail.
    let _ = writeln!(std::io::stderr(), "left out: destination kafka: there is no broker, or no librdkafka, in target/tests-run/kafka");
    None
}

fn cluster(python: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/cluster.py")).args(arguments);
    command
}

/// A real broker, which keeps what it has in memory.
fn tansu(python: &Path, at: SocketAddr) -> Running {
    let url = format!("tcp://{at}");
    let arguments = ["broker", "--storage-engine", "memory://tansu/", "--listener-url", &url, "--advertised-listener-url", &url];
    let mut command = Command::new(python.with_file_name("tansu"));
    Running(command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The program, with that destination.
struct Installation {
    directory: tempfile::TempDir,
    http: SocketAddr,
    admin: SocketAddr,
}

impl Installation {
    fn new(brokers: &str) -> Self {
        let made = Self { directory: tempfile::tempdir().unwrap(), http: free_address(), admin: free_address() };
        let directory = made.directory.path();
        let machine = format!(
            "data_dir = \"data\"\n[listen]\nhttp = \"{}\"\nadmin = \"{}\"\n[proxies]\ntrusted = [\"127.0.0.0/8\"]\n[limits]\nclient_events_per_second = 0\n",
            made.http, made.admin
        );
        fs::write(directory.join("firsthand.toml"), machine).unwrap();
        made.apply(brokers, false);
        made
    }

    /// Puts the documents in force, also where the program runs.
    fn apply(&self, brokers: &str, paused: bool) {
        let documents = format!(
            r#"
[[policy]]
name = "shop"
crowd = 1
crowd_reason = "one visitor at a time is tested"
properties = {{ number = "number" }}
[[site]]
name = "shop"
hosts = ["127.0.0.1"]
origins = ["https://127.0.0.1"]
prefix = "/keso"
policy = "shop"
[[destination]]
name = "own"
type = "kafka"
sites = ["shop"]
basis = "exempt_measurement"
transform = "measurement"
paused = {paused}
settings = {{ brokers = "{brokers}", topic = "{TOPIC}" }}
"#
        );
        fs::write(self.directory.path().join("documents.toml"), documents).unwrap();
        let applied = self.command(&["apply", "documents.toml"]).output().unwrap();
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firsthand"));
        command.args(arguments).current_dir(self.directory.path());
        command
    }

    fn start(&self) -> Running {
        let child = self.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("a listener", || TcpStream::connect(self.http).is_ok());
        Running(child)
    }

    /// Sends events in turn for each visitor.
    fn send(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let body = format!(r#"{{"e":[{{"k":"page_view","p":"https://127.0.0.1/shoes","d":{{"number":{number}}}}}]}}"#);
            let visitor = number % VISITORS + 1;
            let request = format!(
                "POST /keso/e HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 192.0.2.{visitor}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            assert!(exchange(self.http, &request).starts_with("HTTP/1.1 204"));
        }
    }

    /// What the destination is doing.
    fn overview(&self) -> Value {
        let answer = exchange(self.admin, &format!("GET /overview.json HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin));
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let overview: Value = serde_json::from_str(body).unwrap();
        overview["destinations"][0].clone()
    }

    fn accepted(&self) -> usize {
        usize::try_from(self.overview()["ledger"]["accepted"].as_u64().unwrap_or(0)).unwrap()
    }
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A cluster of several brokers, which can be told to be slow.
struct Cluster {
    process: Running,
    said: BufReader<ChildStdout>,
    /// All of them, as clients are told.
    brokers: String,
    /// Who leads each partition.
    leaders: BTreeMap<i64, u32>,
}

impl Cluster {
    fn of(python: &Path, brokers: &str) -> Self {
        let mut command = cluster(python, &["mock", brokers, TOPIC]);
        let mut process = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let mut said = BufReader::new(process.0.stdout.take().unwrap());
        let brokers = line_of(&mut said);
        let leaders: BTreeMap<String, u32> = serde_json::from_str(&line_of(&mut said)).unwrap();
        let leaders = leaders.into_iter().map(|(partition, leader)| (partition.parse().unwrap(), leader)).collect();
        Self { process, said, brokers, leaders }
    }

    /// Any one of them tells of the others: broker 1.
    fn first(&self) -> &str {
        self.brokers.split(',').next().unwrap()
    }

    /// Has a broker wait with each answer.
    fn delay(&mut self, broker: u32, delay: Duration) {
        writeln!(self.process.0.stdin.as_mut().unwrap(), "{broker} {}", delay.as_millis()).unwrap();
        assert_eq!(line_of(&mut self.said), "0", "librdkafka does it");
    }
}

fn line_of(said: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// Reads the topic back.
fn records(python: &Path, brokers: &str, events: usize) -> Vec<Value> {
    let output = cluster(python, &["read", brokers, TOPIC, &events.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn leader_of(cluster: &Cluster, record: &Value) -> u32 {
    cluster.leaders[&record["partition"].as_i64().unwrap()]
}

fn number_of(record: &Value) -> u64 {
    record["value"]["properties"]["number"].as_f64().unwrap() as u64
}

/// Reads the topic back, and compares it with what was sent: each event once, under its visitor's key, in order.
fn is_whole(python: &Path, brokers: &str, events: usize) -> BTreeSet<i64> {
    let records = records(python, brokers, events);
    assert_eq!(records.len(), events);
    let mut visitors: BTreeMap<&str, (i64, Vec<u64>)> = BTreeMap::new();
    for record in &records {
        let (key, value) = (record["key"].as_str().unwrap(), &record["value"]);
        assert_eq!((value["visitor_id"].as_str(), &value["page"]["path"]), (Some(key), &Value::from("/shoes")));
        assert_eq!(record["headers"], serde_json::json!({ "event-id": value["event_id"] }));
        let time: jiff::Timestamp = value["time"].as_str().unwrap().parse().unwrap();
        assert_eq!(record["time"], time.as_millisecond());
        let partition = record["partition"].as_i64().unwrap();
        let (of_key, numbers) = visitors.entry(key).or_insert((partition, Vec::new()));
        assert_eq!(*of_key, partition, "one visitor's records are in one partition");
        numbers.push(number_of(record));
    }
    let numbers: BTreeSet<u64> = visitors.values().flat_map(|(_, numbers)| numbers.iter().copied()).collect();
    assert_eq!((visitors.len(), numbers.len()), (VISITORS, events), "each event once");
    assert!(visitors.values().all(|(_, numbers)| numbers.is_sorted()), "each visitor's in order");
    visitors.into_values().map(|(partition, _)| partition).collect()
}

#[test]
fn every_event_is_one_record_on_a_broker_that_was_away_at_first() {
    let Some(python) = python() else { return };
    let broker = free_address();
    let installation = Installation::new(&broker.to_string());
    let server = installation.start();
    installation.send(0..EVENTS / 2);
    eventually("a failed attempt", || installation.overview()["last_answer"] == "connect");
    let broker_runs = tansu(&python, broker);
    let made = cluster(&python, &["make", &broker.to_string(), TOPIC, "3"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    installation.send(EVENTS / 2..EVENTS);
    eventually("every event accepted", || installation.accepted() == EVENTS);
    assert_eq!(installation.overview()["last_answer"], "kept");
    let partitions = is_whole(&python, &broker.to_string(), EVENTS);
    assert!(partitions.len() > 1, "several partitions are written to: {partitions:?}");
    server.stop();
    drop(broker_runs);
}

#[test]
fn every_event_is_one_record_where_several_brokers_lead() {
    let Some(python) = python() else { return };
    let cluster = Cluster::of(&python, "3");
    let installation = Installation::new(cluster.first());
    let server = installation.start();
    installation.send(0..EVENTS);
    eventually("every event accepted", || installation.accepted() == EVENTS);
    let partitions = is_whole(&python, &cluster.brokers, EVENTS);
    assert!(partitions.len() > 1, "several partitions are written to: {partitions:?}");
    server.stop();
}

#[test]
fn one_silent_broker_has_none_of_the_others_records_sent_again() {
    let Some(python) = python() else { return };
    let mut cluster = Cluster::of(&python, "3");
    let installation = Installation::new(cluster.first());
    let server = installation.start();
    installation.send(0..VISITORS);
    eventually("the first events accepted", || installation.accepted() == VISITORS);
    let first = records(&python, &cluster.brokers, VISITORS);
    let leads: BTreeMap<usize, u32> = first.iter().map(|record| (number_of(record) as usize, leader_of(&cluster, record))).collect();
    let silent = *leads.values().max().unwrap();
    assert!(silent > 1, "it is another one who tells of them");
    // They wait, so that what is sent at once is for several leaders.
    installation.apply(cluster.first(), true);
    eventually("a pause", || installation.overview()["state"] == "paused");
    installation.send(VISITORS..EVENTS);
    cluster.delay(silent, 2 * PATIENCE);
    installation.apply(cluster.first(), false);
    eventually("more of the others' events accepted", || installation.accepted() > VISITORS);
    // Longer than it is waited for: what went to several of them together has its answers from all others.
    std::thread::sleep(Duration::from_secs(20));
    assert!(installation.accepted() < EVENTS, "one is silent");
    cluster.delay(silent, Duration::ZERO);
    eventually("every event accepted", || installation.accepted() == EVENTS);
    let (theirs, others): (Vec<Value>, Vec<Value>) =
        records(&python, &cluster.brokers, EVENTS + 1).into_iter().partition(|record| leader_of(&cluster, record) == silent);
    let numbers = |records: &[Value]| records.iter().map(number_of).collect::<BTreeSet<_>>();
    assert_eq!(others.len(), numbers(&others).len(), "each once");
    assert_eq!(numbers(&others).len() + numbers(&theirs).len(), EVENTS, "and none is missing");
    // What it kept without a word was sent to it again.
    assert!(theirs.len() > numbers(&theirs).len(), "it was silent for longer than it was waited for");
    server.stop();
}

#[test]
fn a_topic_that_is_not_there_is_waited_for_and_not_made() {
    let Some(python) = python() else { return };
    let broker = free_address();
    let broker_runs = tansu(&python, broker);
    eventually("a broker", || TcpStream::connect(broker).is_ok());
    let installation = Installation::new(&broker.to_string());
    let server = installation.start();
    installation.send(0..VISITORS);
    eventually("a topic that is missed", || installation.overview()["last_answer"] == "kafka 3");
    let ended: u64 = installation.overview()["ledger"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!((ended, &installation.overview()["lag"]), (0, &Value::from(VISITORS)));
    server.stop();
    drop(broker_runs);
}
