//! Runs on a real directory, with documents that are changed under them: begun, interrupted, taken up again.

use std::path::Path;

use super::*;
use crate::{
    clock::Timestamp,
    documents::{parse::DocumentFile, store::Author},
    event::RetentionClass,
    event_log::{DiskFiles, LogOptions},
    privacy::{
        enrich::{device::DeviceClass, place::Country},
        keys::database::KeysDb,
        record::{HEADER_BYTES, Record},
    },
    state::IN_MEMORY,
};

const RECORDS: usize = 60;
const FAST: u64 = u64::MAX;
/// Some thirty milliseconds a record.
const SLOW: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(20);

const WIDE: &str = r#"
    [[policy]]
    name = "shop"
    [[site]]
    name = "shop"
    hosts = ["www.shop.example"]
    origins = ["https://www.shop.example"]
    prefix = "/kesolu"
    time_zone = "Europe/Paris"
    policy = "shop"
    [[destination]]
    name = "measurement"
    type = "file"
    sites = ["shop"]
    basis = "exempt_measurement"
    transform = "strict"
    settings = { directory = "a" }
"#;

/// The documents with these fields dropped.
fn without(fields: &[&str]) -> String {
    let deviation = |field: &&str| format!("[[policy.deviation]]\nfield = \"{field}\"\ntreatment = \"drop\"\nreason = \"a test\"\n");
    WIDE.replace("[[site]]", &(fields.iter().map(deviation).collect::<String>() + "[[site]]"))
}

/// A machine with a log of wide records in several log segments.
struct Machine {
    directory: tempfile::TempDir,
    parts: Parts,
    documents: Arc<Documents>,
}

impl Machine {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap());
        let options = LogOptions { roll_bytes: 2048, preallocate_bytes: 1024, ..LogOptions::default() };
        let log = EventLog::open(Arc::new(DiskFiles::open(directory.path()).unwrap()), options, clock::now()).unwrap();
        let parts = Parts {
            log: Arc::new(log),
            persons: Arc::new(PersonKeys::new(Arc::new(KeysDb::open(Path::new(IN_MEMORY)).unwrap()))),
            store: DocumentStore::new(Arc::clone(&state)),
            state,
            supervisor: Supervisor::new(),
        };
        let mut machine = Self { directory, parts, documents: Arc::default() };
        machine.put_in_force(WIDE);
        for number in 0..RECORDS {
            machine.append(number).await;
        }
        machine
    }

    fn put_in_force(&mut self, text: &str) {
        let author = Author { name: "test", reason: "a test", at: Timestamp(0) };
        self.parts.store.apply(DocumentFile::parse(text).unwrap().into_documents(), false, false, &author).unwrap();
        self.documents = Arc::new(self.parts.store.compiled().unwrap());
    }

    async fn append(&self, number: usize) {
        let body = serde_json::json!({
            "name": "page_view", "time": 0, "protocol": "native", "device": DeviceClass::UNKNOWN, "country": Country::UNKNOWN,
            "page": { "host": "www.shop.example", "path": format!("/a-path-{number}") }, "language": "fr",
        });
        let id = std::array::from_fn(|at| (number * 7 + at) as u8);
        let record = Record::for_test(id, RetentionClass::Short, clock::now(), body.to_string().as_bytes());
        self.parts.log.append(vec![record]).await.unwrap();
    }

    /// What a start of the program does.
    fn start(&mut self, bytes_per_second: u64) -> Arc<Recleanse> {
        self.parts.supervisor = Supervisor::new();
        Recleanse::start_at_pace(self.parts.clone(), Arc::clone(&self.documents), bytes_per_second).unwrap()
    }

    async fn stop(&self) {
        assert!(self.parts.supervisor.shut_down(PATIENCE).await, "it hears the stop signal");
    }

    /// How many records there are, and how many of them still hold a page and a language.
    fn stored(&self) -> (usize, usize, usize) {
        let (mut reader, mut found) = (self.parts.log.reader(Offset(0)), (0, 0, 0));
        loop {
            let records = reader.read(100, 1 << 20).unwrap();
            if records.is_empty() {
                return found;
            }
            for record in records {
                let body = String::from_utf8_lossy(&record.bytes.as_slice()[HEADER_BYTES..]).into_owned();
                found.0 += 1;
                found.1 += usize::from(body.contains("/a-path-"));
                found.2 += usize::from(body.contains("\"language\""));
            }
        }
    }

    /// Whether a byte of a page is anywhere in the log's directory.
    fn holds_a_page(&self) -> bool {
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        files.flatten().any(|file| std::fs::read(file.path()).unwrap().windows(8).any(|window| window == b"/a-path-"))
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "there was not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_brought_to_tightened_documents_and_relaxing_starts_nothing() {
    let mut machine = Machine::new().await;
    let recleanse = machine.start(FAST);
    until("a first look, for nobody knows the documents of then", || recleanse.progress().is_over()).await;
    let first = recleanse.progress();
    assert_eq!((first.run, first.cause, first.replaced), (1, Cause::Unknown, 0));
    assert!(machine.holds_a_page(), "the control");

    machine.put_in_force(&without(&["page"]));
    recleanse.take_up(&machine.documents, Vec::new()).unwrap();
    until("the end of the second", || recleanse.progress().run == 2 && recleanse.progress().is_over()).await;
    let second = recleanse.progress();
    assert_eq!((second.cause, second.replaced, second.segments_done), (Cause::Tightened, RECORDS as u64, second.segments));
    assert!(second.segments > 3);
    assert_eq!(machine.stored(), (RECORDS, 0, RECORDS));
    assert!(!machine.holds_a_page());

    machine.put_in_force(WIDE);
    recleanse.take_up(&machine.documents, Vec::new()).unwrap();
    assert_eq!(recleanse.progress(), Progress { revision: machine.documents.revision, ..second }, "relaxed: noted, and nothing begun");
    progress::ask(&machine.parts.state, clock::now()).unwrap();
    recleanse.look_for_request().unwrap();
    until("the one that was asked for", || recleanse.progress().is_over()).await;
    let third = recleanse.progress();
    assert_eq!((third.run, third.cause, third.replaced), (3, Cause::Asked, 0), "and it had nothing to do");
    assert!(!progress::read(&machine.parts.state).unwrap().unwrap().asked);
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was() {
    let mut machine = Machine::new().await;
    progress::begin(&machine.parts.state, &Progress::none(machine.documents.revision, clock::now())).unwrap();
    machine.put_in_force(&without(&["page"]));
    let recleanse = machine.start(SLOW);
    assert_eq!((recleanse.progress().run, recleanse.progress().cause), (1, Cause::Tightened), "a change while it did not run is seen");
    until("some log segments done", || recleanse.progress().segments_done >= 2).await;
    machine.stop().await;
    let left = progress::read(&machine.parts.state).unwrap().unwrap();
    assert!(!left.is_over() && left.segments_done < left.segments, "{left:?}");
    let (records, pages, _) = machine.stored();
    assert_eq!((records, pages), (RECORDS, RECORDS - left.replaced as usize));

    let recleanse = machine.start(FAST);
    until("the end", || recleanse.progress().is_over()).await;
    let end = recleanse.progress();
    assert_eq!((end.run, end.began, end.replaced), (1, left.began, RECORDS as u64));
    assert_eq!(recleanse.replaced(), RECORDS as u64 - left.replaced, "what was done is not done again");
    assert!(!machine.holds_a_page());
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tightening_during_the_first_starts_over_and_neither_is_lost() {
    let mut machine = Machine::new().await;
    progress::begin(&machine.parts.state, &Progress::none(machine.documents.revision, clock::now())).unwrap();
    let recleanse = machine.start(SLOW);
    machine.put_in_force(&without(&["page"]));
    recleanse.take_up(&machine.documents, Vec::new()).unwrap();
    until("a log segment done", || recleanse.progress().segments_done >= 1).await;
    machine.put_in_force(&without(&["page", "language"]));
    recleanse.take_up(&machine.documents, Vec::new()).unwrap();
    let second = recleanse.progress();
    assert_eq!((second.run, second.segments_done, second.is_over()), (2, 0, false));
    until("a log segment done again", || recleanse.progress().segments_done >= 1).await;
    machine.stop().await;
    let recleanse = machine.start(FAST);
    until("the end", || recleanse.progress().is_over()).await;
    assert_eq!((recleanse.progress().run, machine.stored()), (2, (RECORDS, 0, 0)));
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_the_documents_before_are_waited_for() {
    let mut machine = Machine::new().await;
    progress::begin(&machine.parts.state, &Progress::none(machine.documents.revision, clock::now())).unwrap();
    let recleanse = machine.start(FAST);
    let request = Arc::clone(&machine.documents.sites[0]);
    let before = std::mem::take(&mut machine.documents).sites.iter().map(Arc::downgrade).collect();
    machine.put_in_force(&without(&["page"]));
    recleanse.take_up(&machine.documents, before).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!recleanse.progress().is_over() && machine.stored().1 == RECORDS, "it waits");
    // The request appends what the old documents let rest, and ends.
    machine.append(RECORDS).await;
    drop(request);
    until("the end", || recleanse.progress().is_over()).await;
    assert_eq!(machine.stored(), (RECORDS + 1, 0, RECORDS + 1));
    machine.stop().await;
}
