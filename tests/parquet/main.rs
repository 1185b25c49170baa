//! Destination `file` with `format = "parquet"`, by the real binary: closed files are Parquet, what is open is lines, and every event is in one of
//! them once. Read by the library that wrote them, and by DuckDB where a Python has it. Built with the feature `parquet` alone.
#![expect(clippy::unwrap_used, reason = "in a test, what fails is told by the test")]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use firsthand::destination::columns::{ColumnsError, write};
use parquet::{
    file::{reader::FileReader as _, serialized_reader::SerializedFileReader},
    record::{Row, RowAccessor as _},
};

const VIEW: &str = r#"{"event_id":"e-1","name":"page_view","time":"2025-11-24T16:00:00.000Z","site":"shop"}"#;
const PURCHASE: &str = r#"{"event_id":"e-2","name":"purchase","time":"2025-11-24T16:00:02.500Z","site":"shop","visitor_id":"v","page":{"host":"www.shop.example","path":"/thanks"},"campaign":{"source":"letter"},"value":98.3,"currency":"EUR","items":[{"id":"a"}]}"#;
const PATIENCE: Duration = Duration::from_secs(60);

fn rows(file: Vec<u8>) -> Vec<Row> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn at(row: &Row, name: &str) -> usize {
    row.get_column_iter().position(|(known, _)| known == name).unwrap()
}

fn text(row: &Row, name: &str) -> String {
    row.get_string(at(row, name)).unwrap().clone()
}

#[test]
fn lines_become_rows_with_what_is_there() {
    let mut file = Vec::new();
    assert_eq!(write(format!("{VIEW}\n{PURCHASE}\n").as_bytes(), &mut file).unwrap(), 2);
    let [view, purchase] = <[Row; 2]>::try_from(rows(file)).unwrap();
    assert_eq!((text(&view, "event_id").as_str(), text(&purchase, "name").as_str()), ("e-1", "purchase"));
    assert_eq!(purchase.get_timestamp_millis(at(&purchase, "time")).unwrap(), 1_764_000_002_500);
    assert_eq!((purchase.get_double(at(&purchase, "value")).unwrap(), text(&purchase, "campaign_source").as_str()), (98.3, "letter"));
    assert!(view.get_double(at(&view, "value")).is_err() && view.get_string(at(&view, "page_path")).is_err(), "nothing is nothing");
    assert_eq!([&view, &purchase].map(|row| text(row, "event")), [VIEW, PURCHASE]);
}

#[test]
fn a_long_file_is_several_row_groups() {
    let (mut file, lines) = (Vec::new(), format!("{VIEW}\n").repeat(10_001));
    assert_eq!(write(lines.as_bytes(), &mut file).unwrap(), 10_001);
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    assert_eq!(reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect::<Vec<_>>(), [10_000, 1]);
}

#[test]
fn what_is_no_event_is_no_row() {
    for line in ["{", "{}", r#"{"event_id":"e","name":"x","time":"yesterday","site":"shop"}"#] {
        assert!(matches!(write(line.as_bytes(), Vec::new()), Err(ColumnsError::Line)), "{line}");
    }
}

/// The program, which ends with this.
struct Running(Child);

impl Running {
    /// Ends it as an operator does. Killed, it would send again what it has not yet written down as sent.
    fn stop(mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
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

fn start(directory: &Path, address: SocketAddr) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firsthand"));
    let child = command.arg("run").current_dir(directory).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("a listener", || TcpStream::connect(address).is_ok());
    Running(child)
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(address: SocketAddr, number: usize) {
    let body = format!(r#"{{"e":[{{"k":"page_view","i":"view-{number}","p":"https://www.shop.example/shoes"}}]}}"#);
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "POST /keso/e HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

fn files(outbox: &Path, extension: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(outbox).into_iter().flatten().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|known| known == extension)).collect()
}

/// The ids of all events, closed or open.
fn ids(outbox: &Path) -> Vec<String> {
    let closed = files(outbox, "parquet").into_iter().flat_map(|path| rows(fs::read(path).unwrap()));
    let mut ids: Vec<String> = closed.map(|row| text(&row, "event_id")).collect();
    let open = fs::read_to_string(outbox.join("events.ndjson")).unwrap_or_default();
    ids.extend(open.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned()));
    ids
}

#[test]
fn closed_files_are_parquet_and_every_event_is_in_one() {
    const EVENTS: usize = 60;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let machine =
        format!("data_dir = \"data\"\n[listen]\nhttp = \"{address}\"\nadmin = \"127.0.0.1:0\"\n[limits]\nclient_events_per_second = 0\n");
    fs::write(directory.join("firsthand.toml"), machine).unwrap();
    let documents = r#"
[[policy]]
name = "shop"
crowd = 1
crowd_reason = "one visitor at a time is tested"
[[site]]
name = "shop"
hosts = ["127.0.0.1"]
origins = ["https://127.0.0.1"]
prefix = "/keso"
policy = "shop"
[[destination]]
name = "lake"
type = "file"
sites = ["shop"]
basis = "exempt_measurement"
transform = "measurement"
settings = { directory = "outbox/lake", format = "parquet", rotate_bytes = 4096, keep = 100 }
"#;
    fs::write(directory.join("documents.toml"), documents).unwrap();
    let applied = Command::new(env!("CARGO_BIN_EXE_firsthand")).args(["apply", "documents.toml"]).current_dir(directory).output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let outbox = directory.join("data/outbox/lake");
    let server = start(directory, address);
    (0..EVENTS).for_each(|number| send(address, number));
    eventually("every event", || ids(&outbox).len() >= EVENTS);
    server.stop();
    // As if it had been cut off there: a file that was closed and not yet made Parquet is made so with the next event.
    let left = files(&outbox, "parquet").remove(0);
    let lines: String = rows(fs::read(&left).unwrap()).iter().map(|row| text(row, "event") + "\n").collect();
    fs::write(left.with_extension("ndjson"), lines).unwrap();
    fs::rename(&left, left.with_extension("parquet.part")).unwrap();
    let server = start(directory, address);
    send(address, EVENTS);
    eventually("every event, and one more", || ids(&outbox).len() > EVENTS);
    server.stop();
    let (all, closed) = (ids(&outbox), files(&outbox, "parquet"));
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (EVENTS + 1, EVENTS + 1), "each once");
    assert!(closed.len() > 2 && closed.contains(&left), "{closed:?}");
    assert_eq!((files(&outbox, "part").len(), files(&outbox, "ndjson").len()), (0, 1), "nothing half done is left");
    of_another_reader(&outbox, all.len());
}

/// What DuckDB reads, where a Python of the tests has it.
fn of_another_reader(outbox: &Path, events: usize) {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tests-run/python/bin/python");
    let question = "import duckdb, sys\n\
                    parquet = duckdb.sql(f\"SELECT count(*), count(DISTINCT event_id), min(typeof(time)), min(page_path), min(event->>'$.site') FROM '{sys.argv[1]}/*.parquet'\").fetchall()\n\
                    print(*parquet[0])";
    let answer = Command::new(python).args(["-c", question]).arg(outbox).output();
    let Some(answer) = answer.ok().filter(|answer| answer.status.success()) else {
        // A closed standard error is no reason to fail.
        let _ = writeln!(std::io::stderr(), "left out: Parquet read by DuckDB: no Python of the tests has it");
        return;
    };
    let open = fs::read_to_string(outbox.join("events.ndjson")).unwrap_or_default().lines().count();
    let closed = events - open;
    assert_eq!(String::from_utf8(answer.stdout).unwrap().trim(), format!("{closed} {closed} TIMESTAMP WITH TIME ZONE /shoes shop"));
}
