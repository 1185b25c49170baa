//! What a person may ask, on the real program: what they are handed is what rests, field by field; after an erasure no byte of them is in the
//! data directory, and none that can be read in a backup; and what is put back from copies brings nobody back.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use firsthand::{
    clock::Timestamp,
    event_log::look,
    privacy::record::{HEADER_BYTES, Header, Subject},
};
use hmac::{Hmac, Mac as _};
use memchr::memmem;
use rusqlite::Connection as Database;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    receiver::{Behaviour, Receiver},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of an answer to an erasure, in a normal run: the specification's bound is a minute.
const ERASED_WITHIN: Duration = Duration::from_secs(60);
const SECRET: &str = "thirty-two bytes are a good secret";
const NONCE_BYTES: usize = 12;

/// A person as the test knows them.
struct Someone {
    /// As a browser sends it.
    header: String,
    /// The cookie's value.
    cookie: String,
    number: u64,
    account: Option<&'static str>,
    order: String,
}

/// The site with a destination for each kind of visitor. `waiting`: the one without consent is paused.
fn documents(secret: &Path, receiver: &Receiver, waiting: bool) -> String {
    let profile = |text: String| text.replace("[\"analytics\"]", "[\"profile\"]");
    let measurement = file_destination("measurement", "exempt_measurement", "measurement");
    let paused = if waiting { measurement.replace("\ntransform", "\npaused = true\ntransform") } else { measurement };
    [
        format!("{SITE}identify_secret = \"file:{}\"\n", secret.display()),
        file_destination("customers", "consent", "consented-analytics"),
        profile(destination("crm", "webhook", "consent", "consented-profile", &receiver.settings())),
        paused,
    ]
    .concat()
}

struct House {
    installation: Installation,
    receiver: Receiver,
    secret: PathBuf,
    _outside: Installation,
}

impl House {
    fn new() -> Self {
        Self::with("")
    }

    /// With more in the site's document.
    fn with(more: &str) -> Self {
        let receiver = Receiver::start(Behaviour::Accept);
        let outside = Installation::empty();
        let secret = outside.write("secret", SECRET);
        let identify = format!("identify_secret = \"file:{}\"\n", secret.display());
        let installation = Installation::new(&documents(&secret, &receiver, true).replace(&identify, &format!("{identify}{more}")));
        Self { installation, receiver, secret, _outside: outside }
    }

    fn data(&self) -> PathBuf {
        self.installation.data()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.installation.path().join(name)
    }

    /// The binary with something on its standard input: what it printed, and whether it succeeded.
    fn say(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut command = self.installation.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn does(&self, arguments: &[&str], input: &str) -> String {
        let (done, printed) = self.say(arguments, input);
        assert!(done, "{arguments:?}: {printed}");
        printed
    }

    fn export(&self, by: &str, id: &str, to: &str) -> (String, Value) {
        let printed = self.does(&["person", "export", "--by", by, to], id);
        let document = fs::read(self.path(to).join("person.json")).unwrap();
        (printed, serde_json::from_slice(&document).unwrap())
    }

    fn erase(&self, by: &str, id: &str, notice: &str) -> String {
        self.does(&["person", "erase", "--by", by, "--notice", notice], id)
    }
}

/// Three events of somebody who agrees to everything; with an account, the last two prove it.
fn visit(server: &Running, number: u64, account: Option<&'static str>, cookie: Option<&str>) -> Someone {
    let order = format!("ORDER-{number}-QZX");
    let from = |body: &Value| Request::beacon(body.to_string()).with("X-Forwarded-For", &format!("192.0.2.{}", number % 200 + 1));
    let event = |more: Value| {
        let mut event = json!({ "k": "purchase", "p": "https://www.shop.example/thanks?utm_source=quartzletter", "r": "https://search.example/",
            "v": 62.55, "m": "EUR", "x": order, "d": { "plan": "quartzviolet", "number": number, "gift": true },
            "y": [{ "id": "SKU-7", "n": "boots", "p": 31.0, "q": 2 }], "l": "fr-FR", "w": 1280 });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "g": ["analytics", "profile"], "e": [event] })
    };
    let send = |body: &Value, cookie: Option<&str>| {
        let request = cookie.into_iter().fold(from(body), |request, cookie| request.with("Cookie", cookie));
        let answer = server.send(&request);
        assert_eq!(answer.status, 204);
        answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(str::to_owned)
    };
    let made = send(&event(json!({ "i": format!("first-{number}-{}", cookie.is_some()) })), cookie);
    let cookie = cookie.map_or_else(|| made.expect("a cookie"), str::to_owned);
    let value = cookie.split_once('=').unwrap().1;
    let ends = firsthand::clock::now().0 / 1000 + 600;
    for _ in 0..2 {
        let proven = account.map_or_else(
            || json!({}),
            |account| {
                let mut state = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
                state.update(format!("{account}\n{value}\n{ends}").as_bytes());
                json!({ "a": account, "as": URL_SAFE_NO_PAD.encode(state.finalize().into_bytes()), "ae": ends })
            },
        );
        send(&event(proven), Some(&cookie));
    }
    Someone { number, account, order, cookie: value.to_owned(), header: cookie }
}

/// A row of `keys.db`, as the test reads it beside the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub(crate) handle: [u8; 16],
    pub(crate) index: [u8; 16],
    pub(crate) key: [u8; 32],
    consent: [u8; 16],
}

pub(crate) fn key_rows(data: &Path) -> Vec<KeyRow> {
    let keys = Database::open(data.join("keys.db")).unwrap();
    keys.busy_timeout(Duration::from_secs(5)).unwrap();
    let mut select = keys.prepare("SELECT handle, cookie, key, consent FROM persons ORDER BY handle").unwrap();
    let rows = select.query_map([], |row| Ok(KeyRow { handle: row.get(0)?, index: row.get(1)?, key: row.get(2)?, consent: row.get(3)? }));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// The bodies that rest under a key row, by offset.
fn stored(log: &Path, row: &KeyRow) -> Vec<(u64, Value)> {
    let mut bodies = Vec::new();
    look(log, &mut |record| {
        let bytes = record.bytes.as_slice();
        let header = Header::decode(bytes).unwrap();
        if matches!(header.subject, Subject::Person(handle) if handle == row.handle) && !header.ceiling.is_nothing() {
            let (head, sealed) = bytes.split_at(HEADER_BYTES);
            let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().unwrap();
            let opened = Aes256Gcm::new((&row.key).into()).decrypt(nonce.into(), Payload { msg: sealed, aad: head }).unwrap();
            bodies.push((record.offset.0, serde_json::from_slice(&opened).unwrap()));
        }
        true
    })
    .unwrap();
    bodies.sort_by_key(|(offset, _)| *offset);
    bodies
}

fn row_of(data: &Path, someone: &Someone) -> KeyRow {
    let cookie = URL_SAFE_NO_PAD.decode(&someone.cookie).unwrap();
    let is_theirs = |row: &KeyRow| stored(&data.join("log"), row).iter().any(|(_, body)| body["granted"]["cookie_id"] == json!(cookie));
    key_rows(data).into_iter().find(is_theirs).expect("they have a key")
}

/// A body as it is told to a person: ids and times in the forms that people know.
fn told(mut body: Value) -> Value {
    let bytes =
        |value: &Value| value.as_array().unwrap().iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect::<Vec<_>>();
    body["granted"]["cookie_id"] = json!(URL_SAFE_NO_PAD.encode(bytes(&body["granted"]["cookie_id"])));
    body["session"] = json!(bytes(&body["session"]).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    body["time"] = json!(Timestamp(body["time"].as_i64().unwrap()).rfc3339());
    body
}

/// The bytes of a mark in the spellings in which it could rest.
pub(crate) fn spellings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let percent: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
    let mut spellings =
        vec![bytes.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), list.into_bytes(), reversed, percent.into_bytes()];
    // Base64 in its three phases, without the characters that neighbours have a part in.
    for lead in 0..3 {
        let text = STANDARD.encode([&[0; 2][..lead.min(2)], bytes].concat());
        let inner = text[(lead * 4).div_ceil(3)..text.trim_end_matches('=').len() - 1].to_owned();
        spellings.push(inner.replace('+', "-").replace('/', "_").into_bytes());
        spellings.push(inner.into_bytes());
    }
    spellings
}

/// How often any of these marks stands in the files below a directory, `file` destinations' own left out. Holes are no bytes.
pub(crate) fn residue(directory: &Path, marks: &[(&str, Vec<u8>)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() && entry.file_name() != "outbox" {
                open.push(path);
            } else if kind.is_file() {
                let bytes = fs::read(&path).unwrap();
                for (name, mark) in marks {
                    if spellings(mark).iter().any(|spelling| memmem::find(&bytes, spelling).is_some()) {
                        found.insert(format!("{name} in {}", entry.file_name().to_string_lossy()));
                    }
                }
            }
        }
    }
    found
}

fn marks(someone: &Someone, row: &KeyRow) -> Vec<(&'static str, Vec<u8>)> {
    let mut marks = vec![
        ("handle", row.handle.to_vec()),
        ("key", row.key.to_vec()),
        ("keyed hash of the cookie", row.index.to_vec()),
        ("cookie id", URL_SAFE_NO_PAD.decode(&someone.cookie).unwrap()),
        ("cookie", someone.cookie.clone().into_bytes()),
        ("order", someone.order.clone().into_bytes()),
        ("property", b"quartzviolet".to_vec()),
        ("campaign", b"quartzletter".to_vec()),
    ];
    marks.extend(someone.account.map(|account| ("account", account.as_bytes().to_vec())));
    marks
}

/// Numbers of those of whom a `file` destination has received events.
fn numbers(installation: &Installation, name: &str) -> BTreeSet<u64> {
    installation.outbox(name).iter().filter_map(|event| event["properties"]["number"].as_f64().map(|number| number as u64)).collect()
}

fn delivered(house: &House, events: usize) -> bool {
    let ended = |name| house.installation.ledger_offsets(name) >= events as i64;
    house.installation.outbox("customers").len() >= events
        && house.receiver.accepted().len() >= events
        && ended("customers")
        && ended("crm")
}

#[test]
fn what_a_person_is_handed_is_what_rests_field_by_field() {
    let house = House::new();
    let server = house.installation.start();
    let jane = visit(&server, 11, Some("u-jane-7f3a9"), None);
    let john = visit(&server, 12, Some("u-john-b2c4d"), None);
    let second = visit(&server, 13, Some("u-jane-7f3a9"), None);
    eventually("all is delivered", PATIENCE, || delivered(&house, 9));

    let row = row_of(&house.data(), &jane);
    let (printed, export) = house.export("cookie", &jane.cookie, "jane");
    assert!(printed.contains("3 events of 1 browser"), "{printed}");
    assert!(!printed.contains(&jane.cookie) && !printed.contains("u-jane"), "no id is repeated");
    let rests = stored(&house.data().join("log"), &row);
    let events = export["events"].as_array().unwrap();
    assert_eq!((events.len(), rests.len()), (3, 3));
    for (event, (offset, body)) in events.iter().zip(rests) {
        assert_eq!((event["number"].as_u64(), &event["event"]), (Some(offset), &told(body)));
        let ends: Vec<_> = event["recipients"].as_array().unwrap().iter().map(|end| [&end["recipient"], &end["ended"]]).collect();
        // In the order of the documents; the paused one has not had its turn.
        assert_eq!(ends, [["crm", "accepted"], ["customers", "accepted"], ["measurement", "under_way"]]);
    }
    let granted = &events[2]["event"]["granted"];
    assert_eq!(
        (&granted["transaction"], &granted["user_id"], &granted["value"]),
        (&json!(jane.order), &json!("u-jane-7f3a9"), &json!(62.55))
    );
    assert_eq!(granted["user_assurance"], "proven");
    let consent = &export["browsers"][0];
    assert_eq!(consent["agreed_to_now"], json!(["analytics", "profile"]));
    assert_eq!(
        (&consent["consents_on_record"][0]["said"], consent["consents_on_record"].as_array().unwrap().len()),
        (&json!("granted"), 1)
    );
    let hex: String = row.consent.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(consent["consent_reference"].as_str().unwrap().replace('-', ""), hex);
    // As who the receivers know them: what these have received.
    let of = |name: &str| export["recipients"].as_array().unwrap().iter().find(|recipient| recipient["name"] == name).unwrap().clone();
    let customers: Vec<_> =
        house.installation.outbox("customers").into_iter().filter(|event| event["properties"]["number"] == 11.0).collect();
    assert_eq!(of("customers")["ids_there"]["visitor"], json!([customers[0]["visitor_id"]]));
    let ids: BTreeSet<_> = customers.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(of("customers")["ids_there"]["event"], json!(ids));
    let crm: BTreeSet<_> = house
        .receiver
        .accepted()
        .iter()
        .filter(|event| event["properties"]["number"] == 11.0)
        .filter_map(|event| event["user_id"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(of("crm")["ids_there"]["account"], json!(crm));

    // By the account: both browsers, and nobody else's.
    let (_, both) = house.export("account", "u-jane-7f3a9", "both");
    let whose: BTreeSet<_> = both["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"]["granted"]["transaction"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(whose, BTreeSet::from([jane.order.clone(), second.order.clone()]));
    assert_eq!(both["events"].as_array().unwrap().len(), 6, "those before the account was proven, too");

    // Nobody's ids get one and the same answer, whatever they look like, and are not repeated.
    let mut answers = BTreeSet::new();
    for (number, (by, id)) in
        [("account", "u-nobody"), ("cookie", "AAAAAAAAAAAAAAAAAAAAAA"), ("cookie", "<b>no cookie</b>"), ("account", "")]
            .into_iter()
            .enumerate()
    {
        let to = format!("nobody-{number}");
        let (printed, mut answer) = house.export(by, id, &to);
        let page = fs::read_to_string(house.path(&to).join("person.html")).unwrap();
        assert!(id.is_empty() || (!printed.contains(id) && !answer.to_string().contains(id) && !page.contains(id)));
        assert!(page.contains("Article 11") && answer["found"] == false);
        answer["made_at"] = Value::Null;
        answers.insert((printed.replace(&to, ""), answer.to_string()));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");

    // A shared browser: who asks by an account gets their own events alone.
    visit(&server, 14, Some("u-jane-7f3a9"), Some(&john.header));
    let (printed, of_john) = house.export("account", "u-john-b2c4d", "john");
    assert!(printed.contains("Other accounts were used"), "{printed}");
    assert!(of_john["events"].as_array().unwrap().iter().all(|event| event["event"]["granted"]["user_id"] == "u-john-b2c4d"));
    assert_eq!(of_john["events_left_out_as_another_account_s"], 4);
    assert!(server.stop().success());
    // And without a server.
    let (_, again) = house.export("cookie", &jane.cookie, "again");
    assert_eq!(again["events"], export["events"]);
    let (done, refused) = house.say(&["person", "export", "--by", "cookie", "jane"], &jane.cookie);
    assert!(!done && refused.contains("is there already"), "{refused}");
    let mode =
        |name: &str| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(house.path("jane").join(name)).unwrap().permissions()) & 0o777;
    assert_eq!((mode("person.json"), mode("person.html"), mode("")), (0o600, 0o600, 0o700));
}

#[test]
fn after_an_erasure_no_byte_of_the_person_is_left_and_nobody_else_is_touched() {
    let house = House::new();
    let server = house.installation.start();
    let jane = visit(&server, 21, Some("u-jane-7f3a9"), None);
    let john = visit(&server, 22, Some("u-john-b2c4d"), None);
    eventually("all is delivered", PATIENCE, || delivered(&house, 6));
    house.does(&["backup", "before"], "");
    let (row, johns) = (row_of(&house.data(), &jane), row_of(&house.data(), &john));
    let marks_of_jane = marks(&jane, &row);
    let control = residue(&house.data(), &marks_of_jane);
    for mark in ["handle", "key", "keyed hash of the cookie"] {
        assert!(
            control.iter().any(|found| found.starts_with(&format!("{mark} in"))),
            "the control: {mark} rests while she agrees: {control:?}"
        );
    }
    assert!(
        stored(&house.data().join("log"), &row).iter().all(|(_, body)| body.to_string().contains("quartzviolet")),
        "the control: bodies"
    );
    let johns_events = stored(&house.data().join("log"), &johns);

    let begun = Instant::now();
    let printed = house.erase("account", "u-jane-7f3a9", "notice.json");
    assert!(begun.elapsed() < ERASED_WITHIN);
    assert!(printed.contains("Nothing of it is left in the event log") && printed.contains("3 receivers"), "{printed}");
    assert!(!printed.contains("u-jane"), "{printed}");
    let left = residue(&house.data(), &marks_of_jane);
    assert!(left.is_empty(), "while the server runs: {left:?}");
    let readable: Vec<_> = marks_of_jane.iter().filter(|(name, _)| *name != "handle").cloned().collect();
    let left = residue(&house.path("before"), &readable);
    assert!(left.is_empty(), "in the backup: {left:?}");

    // Who was told what of her is on the notice, by the ids that they know.
    let notice: Value = serde_json::from_slice(&fs::read(house.path("notice.json")).unwrap()).unwrap();
    let told = |name: &str| {
        notice["recipients"].as_array().unwrap().iter().find(|recipient| recipient["name"] == name).unwrap()["ids_there"]["event"].clone()
    };
    let received = |events: Vec<Value>| {
        let ids: BTreeSet<_> = events
            .iter()
            .filter(|event| event["properties"]["number"] == 21.0)
            .map(|event| event["event_id"].as_str().unwrap().to_owned())
            .collect();
        json!(ids)
    };
    assert_eq!(told("customers"), received(house.installation.outbox("customers")));
    assert_eq!(told("crm"), received(house.receiver.accepted()));

    // The other is as before, and events of both go on; hers as somebody new's.
    assert_eq!(stored(&house.data().join("log"), &johns), johns_events);
    visit(&server, 23, None, Some(&john.header));
    let back = Request::beacon(r#"{"g":["analytics","profile"],"e":[{"k":"purchase","d":{"number":24}}]}"#).with("Cookie", &jane.header);
    let answer = server.send(&back.with("X-Forwarded-For", "192.0.2.24"));
    assert!(answer.header("set-cookie").is_some_and(|cookie| !cookie.contains(&jane.cookie)), "her old cookie is nobody's");
    assert_eq!(stored(&house.data().join("log"), &johns).len(), 6);
    house.installation.apply(&documents(&house.secret, &house.receiver, false));
    eventually("each event has its end", PATIENCE, || house.installation.ledger_offsets("measurement") == 10);
    assert_eq!(numbers(&house.installation, "measurement"), [22, 23, 24].into());
    assert_eq!(house.installation.ledger("measurement").iter().find(|(state, ..)| state == "purged").map(|(.., count)| *count), Some(3));
    let verified = house.does(&["proof", "verify"], "");
    assert!(verified.contains("the chain is whole"), "{verified}");
    let (_, gone) = house.export("cookie", &jane.cookie, "gone");
    assert_eq!(gone["found"], false);
    assert!(server.stop().success());

    // Without a server, too; and twice is once.
    house.erase("cookie", &john.cookie, "second.json");
    let left = residue(&house.data(), &marks(&john, &johns));
    assert_eq!(left.iter().filter(|found| !found.starts_with("property") && !found.starts_with("campaign")).count(), 0, "{left:?}");
    let again = house.erase("cookie", &john.cookie, "third.json");
    assert!(again.contains("There is nothing to erase") && !house.path("third.json").exists(), "{again}");
    let server = house.installation.start();
    assert!(server.stop().success());
}

#[test]
fn a_person_can_be_erased_while_their_events_are_being_delivered() {
    let house = House::new();
    house.receiver.behave(Behaviour::AcceptAfter(Duration::from_millis(100)));
    let server = house.installation.start();
    let people: Vec<_> = (0..12).map(|number| visit(&server, 100 + number, None, None)).collect();
    let mut took: Vec<Duration> = Vec::new();
    for (place, person) in people.iter().take(10).enumerate() {
        // Also while events come in, of them and of others.
        visit(&server, 100 + place as u64, None, Some(&person.header));
        let row = row_of(&house.data(), person);
        let begun = Instant::now();
        house.erase("cookie", &format!("{}\n", person.header), &format!("notice-{place}"));
        took.push(begun.elapsed());
        let sent = || {
            house.receiver.calls(|calls| {
                calls.iter().flat_map(|call| &call.events).filter(|event| event["properties"]["number"] == person.number as f64).count()
            })
        };
        let before = sent();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(sent(), before, "nothing more of them leaves");
        let theirs: Vec<_> = marks(person, &row).into_iter().filter(|(name, _)| !matches!(*name, "property" | "campaign")).collect();
        assert!(residue(&house.data(), &theirs).is_empty());
    }
    took.sort_unstable();
    let slowest = took[took.len() - 1];
    assert!(slowest < ERASED_WITHIN, "{took:?}");
    eprintln!(
        "erasures beside a server that delivers: median {:.2} s, slowest of {} {:.2} s",
        took[took.len() / 2].as_secs_f64(),
        took.len(),
        slowest.as_secs_f64()
    );
    eventually("the others' are delivered", PATIENCE, || {
        let numbers: BTreeSet<_> = house
            .receiver
            .accepted()
            .iter()
            .filter_map(|event| event["properties"]["number"].as_f64())
            .map(|number| number as u64)
            .collect();
        numbers.is_superset(&[110, 111].into())
    });
    assert!(server.stop().success());
}

/// Events in one request: the most that there may be.
const EVENTS_PER_REQUEST: usize = 50;

#[test]
fn what_waits_of_an_erased_person_leaves_no_more() {
    let house = House::new();
    house.receiver.behave(Behaviour::AcceptAfter(Duration::from_millis(400)));
    let server = house.installation.start();
    let jane = visit(&server, 51, None, None);
    let events = vec![json!({ "k": "purchase", "d": { "number": 51 } }); EVENTS_PER_REQUEST];
    let body = json!({ "g": ["analytics", "profile"], "e": events }).to_string();
    for _ in 0..20 {
        assert_eq!(
            server.send(&Request::beacon(body.clone()).with("Cookie", &jane.header).with("X-Forwarded-For", "192.0.2.52")).status,
            204
        );
    }
    let sent = || house.receiver.calls(|calls| calls.iter().map(|call| call.events.len()).sum::<usize>());
    eventually("some of it leaves", PATIENCE, || sent() > 3);
    let printed = house.erase("cookie", &jane.cookie, "notice.json");
    let left = sent();
    assert!(left < 20 * EVENTS_PER_REQUEST / 2, "the control: most of it still waited: {left} of 1003 had left");
    std::thread::sleep(Duration::from_secs(2));
    // One call may have been under way.
    assert!(sent() <= left + EVENTS_PER_REQUEST, "{} more left after: {printed}", sent() - left);
    let purged = || {
        house.installation.ledger("crm").iter().filter(|(state, ..)| state == "purged").map(|(.., count)| *count as usize).sum::<usize>()
    };
    eventually("what did not leave is purged", PATIENCE, || house.installation.ledger_offsets("crm") == 1003);
    assert_eq!(sent() + purged(), 1003, "each event left before, or was purged");
    assert!(server.stop().success());
}

#[test]
fn what_is_put_back_brings_back_nobody_who_was_erased_withdrew_or_objected_since() {
    let house = House::new();
    let server = house.installation.start();
    let jane = visit(&server, 31, Some("u-jane-7f3a9"), None);
    let john = visit(&server, 32, None, None);
    let staying = visit(&server, 33, None, None);
    let visitor = |number: u64, body: &str| {
        server.send(
            &Request::beacon(body.replace("NUMBER", &number.to_string())).with("X-Forwarded-For", &format!("192.0.2.{}", number + 100)),
        )
    };
    for number in [34, 35] {
        assert_eq!(visitor(number, r#"{"e":[{"k":"page_view","d":{"number":NUMBER}}]}"#).status, 204);
    }
    eventually("all is delivered", PATIENCE, || delivered(&house, 9));
    let (row, johns) = (row_of(&house.data(), &jane), row_of(&house.data(), &john));
    house.does(&["backup", "backup"], "");
    let signing = fs::read(house.data().join("egress.key")).unwrap();
    house.does(&["backup", "--keys", "keys-copy"], "");
    assert_eq!(fs::read(house.path("keys-copy.egress")).unwrap(), signing);
    house.erase("account", "u-jane-7f3a9", "notice.json");
    assert_eq!(
        server.send(&Request::beacon(r#"{"g":[]}"#).with("Cookie", &john.header).with("X-Forwarded-For", "192.0.2.250")).status,
        204
    );
    assert_eq!(visitor(34, r#"{"o":1}"#).status, 204);
    let (done, refused) = house.say(&["restore", "backup", "--replace"], "");
    assert!(!done && refused.contains("a server runs"), "{refused}");
    assert!(server.stop().success());
    let (done, refused) = house.say(&["restore", "backup"], "");
    assert!(!done && refused.contains("not overwritten unasked"), "{refused}");
    let (done, refused) = house.say(&["backup", "backup"], "");
    assert!(!done && refused.contains("never overwrites"), "{refused}");

    // Over what is there, with the keys that are there; and with the keys lost but for a copy that is older than all of it.
    for lost in [false, true] {
        let mut arguments = vec!["restore", "backup", "--replace"];
        if lost {
            fs::remove_file(house.data().join("keys.db")).unwrap();
            let (done, refused) = house.say(&arguments, "");
            assert!(!done && refused.contains("there is no keys.db"), "{refused}");
            arguments.extend(["--keys", "keys-copy"]);
        }
        let printed = house.does(&arguments, "");
        assert!(
            printed.contains(if lost { "6 events; 2 keys and 1 objections" } else { "6 events; 0 keys and 0 objections" }),
            "{printed}"
        );
        let theirs: Vec<_> = [marks(&jane, &row), marks(&john, &johns)].concat();
        let left = residue(&house.data(), &theirs);
        assert!(left.is_empty(), "keys lost: {lost}: {left:?}");
        assert_eq!(key_rows(&house.data()).len(), 1);
        let server = house.installation.start();
        fs::remove_dir_all(house.data().join("outbox")).unwrap();
        house.installation.apply(&documents(&house.secret, &house.receiver, false));
        eventually("each event has its end", PATIENCE, || house.installation.ledger_offsets("measurement") == 11);
        assert_eq!(numbers(&house.installation, "measurement"), [33, 35].into(), "keys lost: {lost}");
        let (_, gone) = house.export("cookie", &jane.cookie, &format!("gone-{lost}"));
        let (_, stays) = house.export("cookie", &staying.cookie, &format!("stays-{lost}"));
        assert_eq!((&gone["found"], stays["events"].as_array().unwrap().len()), (&json!(false), 3));
        assert!(house.does(&["proof", "verify"], "").contains("the chain is whole"));
        assert!(server.stop().success());
    }

    // The control: with a list that is as old as the copy of the keys, they do come back; so it is the list that keeps them out.
    for name in ["keys.db", "erasures.db", "egress.key"] {
        fs::remove_file(house.data().join(name)).unwrap();
    }
    house.does(&["restore", "backup", "--replace", "--keys", "keys-copy"], "");
    assert_eq!(fs::read(house.data().join("egress.key")).unwrap(), signing, "the ledger of what left is signed on");
    assert_eq!(stored(&house.data().join("log"), &row).len(), 3, "the control");
    assert_eq!(key_rows(&house.data()).len(), 3);
}

#[test]
fn what_is_no_whole_backup_is_not_put_back() {
    let house = House::new();
    let server = house.installation.start();
    visit(&server, 41, None, None);
    house.does(&["backup", "backup"], "");
    house.does(&["backup", "--keys", "keys-copy"], "");
    house.does(&["backup", "--keys", "keys-copy"], "");
    assert!(server.stop().success());
    let refuses = |arguments: &[&str], because: &str| {
        let before = fs::read(house.data().join("state.db")).unwrap();
        let (done, refused) = house.say(arguments, "");
        assert!(!done && refused.contains(because), "{because}: {refused}");
        assert_eq!(fs::read(house.data().join("state.db")).unwrap(), before);
        assert!(!house.data().join("restoring").exists());
    };
    let over = ["restore", "backup", "--replace"];
    refuses(&["restore", "nowhere", "--replace"], "is no whole backup");
    refuses(&["restore", "backup", "--replace", "--keys", "keys-copy"], "there is a keys.db already");
    let manifest = house.path("backup/manifest.json");
    let whole = fs::read_to_string(&manifest).unwrap();
    for (text, because) in [
        (whole.replace("\"form\": 1", "\"form\": 9"), "the backup has form 9"),
        (whole.replace("\"state.db\"", "\"../state.db\""), "names other files"),
        (whole.replace("\"log/", "\"log/../"), "names other files"),
        (whole[..whole.len() / 2].to_owned(), "cannot be read"),
    ] {
        assert_ne!(text, whole);
        fs::write(&manifest, text).unwrap();
        refuses(&over, because);
    }
    fs::write(&manifest, &whole).unwrap();
    let log = fs::read_dir(house.path("backup/log"))
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("long"))
        .unwrap()
        .path();
    let bytes = fs::read(&log).unwrap();
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&log, damaged).unwrap();
    refuses(&over, "is not as it was when the backup was made");
    fs::remove_file(&log).unwrap();
    refuses(&over, "is not as it was when the backup was made");
    fs::write(&log, bytes).unwrap();
    let newer = Database::open(house.path("backup/state.db")).unwrap();
    newer.pragma_update(None, "user_version", 999).unwrap();
    drop(newer);
    refuses(&over, "is not as it was when the backup was made");
    let hidden = house.path("hidden");
    fs::rename(house.data().join("erasures.db"), &hidden).unwrap();
    refuses(&over, "there is no erasure list");
    fs::rename(&hidden, house.data().join("erasures.db")).unwrap();
    fs::write(house.path("notes.txt"), "not keys").unwrap();
    let (done, refused) = house.say(&["backup", "--keys", "notes.txt"], "");
    assert!(!done && refused.contains("is no copy of keys"), "{refused}");
    assert_eq!(fs::read_to_string(house.path("notes.txt")).unwrap(), "not keys");

    fs::create_dir(house.data().join("restoring")).unwrap();
    let (done, refused) = house.say(&["run"], "");
    assert!(!done && refused.contains("a restore was not finished here"), "{refused}");
}

#[test]
fn a_profile_is_handed_out_to_its_person_and_erased_with_them() {
    let house = House::with("[site.profile]\ntraits = { plan = \"last\" }\n");
    let server = house.installation.start();
    let (someone, other) = (visit(&server, 1, Some("quartz-1"), None), visit(&server, 2, Some("quartz-2"), None));
    let listed = || house.does(&["profile", "list"], "").lines().count() - 1;
    eventually("two profiles", PATIENCE, || house.data().join("profiles.db").exists() && listed() == 2);

    let (_, document) = house.export("account", "quartz-1", "handed-out");
    let profile = &document["profiles"][0];
    assert_eq!(profile["traits"]["orders"], 1, "told three times, by its id one");
    assert_eq!(profile["traits"]["own"]["plan"]["value"], "quartzviolet");
    assert_eq!(profile["timeline"].as_array().unwrap().len(), 3);
    assert!(!profile.to_string().contains(&other.order));
    let page = fs::read_to_string(house.path("handed-out").join("person.html")).unwrap();
    assert!(page.contains("<h2>Your customer profile</h2>") && page.contains("<dt>Orders</dt><dd>1 for 62.55 EUR</dd>"));
    let (_, by_cookie) = house.export("cookie", &other.cookie, "by-cookie");
    assert_eq!(by_cookie["profiles"][0]["timeline"].as_array().unwrap().len(), 3);
    assert!(!by_cookie["profiles"].to_string().contains(&someone.order));

    let row = row_of(&house.data(), &someone);
    let marks = marks(&someone, &row);
    let found = residue(&house.data(), &marks);
    assert!(found.iter().any(|found| found.starts_with("handle in profiles.db")), "the control: it rests there until then: {found:?}");
    assert!(!found.iter().any(|found| found.starts_with("order") || found.starts_with("account")), "and nothing that is sealed: {found:?}");
    house.erase("account", "quartz-1", "notice.json");
    let theirs = &marks[..marks.len() - 3];
    eventually("nothing that is left", PATIENCE, || residue(&house.data(), theirs).is_empty());
    assert_eq!(listed(), 1);
    assert!(house.does(&["profile", "show"], "quartz-1").contains("Nobody"));

    // A proof that is older than what the log has finds its browser all the same.
    assert!(server.stop().success());
    fs::remove_dir_all(house.data().join("log")).unwrap();
    let erased = house.erase("account", "quartz-2", "second.json");
    assert!(erased.contains("the key of 1 browser"), "{erased}");
    assert!(house.does(&["profile", "list"], "").contains("There is no profile yet."));
}
