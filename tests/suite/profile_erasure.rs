//! Somebody whom the shop knows by every kind of identifier, as a visitor and as a contact that was imported: once they are erased, no byte of it is left in
//! the data directory, nor any that can be read in a backup made before; with either store.

use std::{collections::BTreeSet, fs, io::Write as _, process::Stdio, time::Duration};

use firsthand::{clock, protocol::server::fingerprint};
use serde_json::{Value, json};

use crate::{
    http_client::Request,
    identifiers::KNOWN,
    installation::{Installation, SITE, eventually, file_destination},
    left_out::left_out,
    real_postgres::{PASSWORD, ROLE, RealPostgres},
    rights::{key_rows, residue},
};

const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "fhk_of_the_shop";
const ADDRESS: &str = "quartz.violet@mail.example";
const PHONE: &str = "+33123456789";
const CRM: &str = "crm-quartz-0001";
const ACCOUNT: &str = "account-quartz-0001";
/// What is said of them by a trait, and what they bought: each in no other's events.
const PLAN: &str = "quartzplan";

struct House {
    installation: Installation,
}

impl House {
    fn say(&self, arguments: &[&str], input: &str) -> String {
        let mut command = self.installation.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{arguments:?}: {printed}");
        printed
    }

    fn shown(&self) -> Option<Value> {
        serde_json::from_str(&self.say(&["profile", "show", "--by", "email", "--json"], ADDRESS)).ok()
    }
}

/// Everything said of them, in the clear.
fn clear() -> Vec<(&'static str, Vec<u8>)> {
    let digits = PHONE.trim_start_matches('+');
    [("address", ADDRESS), ("local part", "quartz.violet"), ("number", digits), ("crm id", CRM), ("account", ACCOUNT), ("trait", PLAN)]
        .map(|(name, said)| (name, said.as_bytes().to_vec()))
        .into()
}

/// What stands for them in the store, and is found by: identifiers of all kinds, and what their browsers are there.
fn keyed(shown: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let bytes =
        |digits: &str| (0..32).step_by(2).map(|place| u8::from_str_radix(&digits[place..place + 2], 16).unwrap()).collect::<Vec<_>>();
    let mut keyed = BTreeSet::new();
    for part in shown["parts"].as_array().unwrap() {
        let known = part["known_by"].as_array().into_iter().flatten();
        keyed.extend(known.map(|known| bytes(known["identifier"].as_str().unwrap().split_once(' ').unwrap().1)));
        keyed.extend(part["account"].as_str().map(bytes));
    }
    keyed.into_iter().map(|bytes| ("keyed identifier", bytes)).collect()
}

/// Which marks stand in what the store has of its own.
type Stored<'s> = dyn Fn(&Installation, &[(&'static str, Vec<u8>)]) -> BTreeSet<String> + 's;

/// The scene, up to the erasure and after it. `more` is what else the machine's file says.
fn nothing_is_left(more: &str, stored: &Stored<'_>) {
    let site = format!("{SITE}keys = {{ server = [\"{}\"] }}\n{KNOWN}", fingerprint(KEY));
    let house = House { installation: Installation::new(&(site + &file_destination("customers", "consent", "consented-analytics"))) };
    let machine = fs::read_to_string(house.installation.path().join("firsthand.toml")).unwrap();
    house.installation.write("firsthand.toml", &format!("{machine}\n{more}"));
    let server = house.installation.start();
    let visit = |number: u8, plan: &str| {
        let event = json!({ "k": "purchase", "i": format!("buys-{number}"), "x": format!("A-{number}"), "v": 10.0, "d": { "plan": plan } });
        let body = json!({ "g": ["analytics", "profile"], "e": [event] }).to_string();
        let answer = server.send(&Request::beacon(body).with("X-Forwarded-For", &format!("192.0.2.{number}")));
        answer.header("set-cookie").and_then(|cookie| cookie.split([';', '=']).nth(1)).unwrap().to_owned()
    };
    let (theirs, others) = (visit(1, PLAN), visit(2, "otherplan"));
    let tell = |cookie: &str, traits: &Value, account: &str| {
        let call = json!({ "type": "identify", "messageId": format!("told-{account}"), "anonymousId": cookie, "userId": account, "traits": traits });
        let mut request = Request::beacon(call.to_string()).with("Authorization", &format!("Bearer {KEY}"));
        request.path = String::from("/keso/v1/events");
        assert!((200..300).contains(&server.send(&request).status));
    };
    tell(&theirs, &json!({ "email": ADDRESS, "phone": PHONE, "crmId": CRM }), ACCOUNT);
    tell(&others, &json!({ "email": "other@mail.example", "crmId": "crm-other" }), "account-other");
    let agreed = clock::now().minus(Duration::from_secs(24 * 60 * 60)).rfc3339();
    let rows = format!("account,crm,email,phone,plan,consent,consent_at\n,{CRM},{ADDRESS},{PHONE},{PLAN},profile,{agreed}\n");
    house.installation.write("contacts.csv", &rows);
    eventually("their visit and what the shop says of it", PATIENCE, || {
        house.installation.outbox("customers").len() == 4 && house.shown().is_some()
    });
    assert!(house.say(&["profile", "import", "contacts.csv"], "").starts_with("1 rows: 1 are taken over as new"));
    fs::remove_file(house.installation.path().join("contacts.csv")).unwrap();
    let whole = || house.shown().filter(|shown| shown["parts"].as_array().unwrap().len() == 3);
    eventually("one profile: what was done before the account was known, under it, and the contact", PATIENCE, || whole().is_some());
    let shown = whole().unwrap();
    let keys = key_rows(&house.installation.data());
    house.say(&["backup", "before"], "");

    let (keyed, clear) = (keyed(&shown), clear());
    assert_eq!(keyed.len(), 4, "an identifier of each kind: {shown:#}");
    let control = stored(&house.installation, &keyed);
    assert!(
        control.iter().any(|found| found.contains("keyed identifier")),
        "the control: keyed identifiers rest in the store: {control:?}"
    );
    let data = house.installation.data();
    assert_eq!(residue(&data, &clear), BTreeSet::new(), "nothing is in the clear, ever");
    assert_eq!(stored(&house.installation, &clear), BTreeSet::new(), "nor in the store");

    let printed = house.say(&["person", "erase", "--by", "email", "--notice", "notice.json"], &ADDRESS.to_uppercase());
    assert!(printed.contains("Erased: the keys of 2 browsers") || printed.contains("Erased: the key of 2"), "{printed}");
    fs::remove_file(house.installation.path().join("notice.json")).unwrap();
    let after = key_rows(&data);
    let gone: Vec<_> = keys.iter().filter(|row| !after.contains(row)).collect();
    assert_eq!((gone.len(), after.len()), (2, 1), "the visitor and the contact");
    let mut marks = clear.clone();
    marks.extend(keyed);
    for row in &gone {
        marks.extend([("key", row.key.to_vec()), ("keyed hash of cookie or contact", row.index.to_vec()), ("handle", row.handle.to_vec())]);
    }
    eventually("nothing of them in the data directory", PATIENCE, || residue(&data, &marks).is_empty());
    assert_eq!(stored(&house.installation, &marks), BTreeSet::new(), "in the store");
    // The backup has records that nobody can read; they name their person by a handle that stands for nobody any more.
    let readable: Vec<_> = marks.iter().filter(|(name, _)| *name != "handle").cloned().collect();
    assert_eq!(residue(&house.installation.path().join("before"), &readable), BTreeSet::new(), "in the backup");

    assert!(house.shown().is_none());
    assert!(house.say(&["profile", "show", "--by", "crm"], "crm-other").contains("account"), "the other's is as before");
    house.installation.write("contacts.csv", &rows);
    assert!(house.say(&["profile", "import", "contacts.csv"], "").starts_with("1 rows: 0 are taken over as new, 0 are known"));
    assert!(server.stop().success());
}

#[test]
fn after_an_erasure_nothing_of_a_known_customer_is_left_with_sqlite() {
    nothing_is_left("", &|installation, marks| {
        let found = residue(&installation.data(), marks);
        found.into_iter().filter(|found| found.contains("profiles.db")).collect()
    });
}

#[test]
fn after_an_erasure_nothing_of_a_known_customer_is_left_with_postgresql() {
    let Some(postgres) = RealPostgres::start() else { return left_out("an erasure in PostgreSQL", "PostgreSQL is not installed here") };
    let outside = Installation::empty();
    let password = outside.write("password", PASSWORD);
    let url = format!("postgres://127.0.0.1:{}/analytics", postgres.port);
    let more = format!("[profiles]\npostgres = {{ url = \"{url}\", user = \"{ROLE}\", password = \"file:{}\" }}\n", password.display());
    // Rows that were deleted are ciphertext and keyed ids until the database writes over them; what it answers has nothing of them.
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    nothing_is_left(&more, &|_, marks| {
        let tables =
            ["strands", "entries", "identifiers", "decisions"].map(|table| format!("SELECT t::text FROM firsthand_profile_{table} t"));
        let all = postgres.ask(&tables.join(" UNION ALL "));
        let mut found: BTreeSet<String> =
            marks.iter().filter(|(_, mark)| all.contains(&hex(mark))).map(|(name, _)| format!("{name} in a row")).collect();
        let in_the_clear: Vec<_> = marks.iter().filter(|(name, _)| clear().iter().any(|(clear, _)| clear == name)).cloned().collect();
        found.extend(residue(&postgres.cluster(), &in_the_clear));
        found
    });
}
