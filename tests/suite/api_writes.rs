//! What the profile API writes, on the real binary: contacts with their consent, consents taken back, restrictions and objections, and erasures that reach what
//! the log alone knows. Each is said twice, and by who must not; the cases run on both stores.

use std::{process::Stdio, time::Duration};

use firsthand::{clock, event::Purposes};
use serde_json::{Value, json};

use crate::{
    api::{Shop, bought, request},
    http_client::{Connection, Request},
    installation::{Installation, eventually},
    left_out::left_out,
    real_postgres::{PASSWORD, ROLE, RealPostgres},
};

const PATIENCE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const JANE: &str = "jane@mail.example";

fn consent(ago: Duration) -> Value {
    json!({ "purposes": ["analytics", "profile"], "at": clock::now().minus(ago).rfc3339() })
}

impl Shop {
    fn say(&self, key: &str, path: &str, query: &str, body: Value) -> (u16, Value) {
        self.ask(key, "POST", path, "", query, Some(body))
    }

    /// Says it twice: the second answer is the first one.
    fn say_twice(&self, key: &str, path: &str, query: &str, body: Value) -> Value {
        let (status, first) = self.say(key, path, query, body.clone());
        assert_eq!(status, 200, "{path}: {first}");
        assert_eq!(self.say(key, path, query, body), (200, first.clone()), "{path} again");
        first
    }

    fn of_address(&self, address: &str) -> Option<Value> {
        let (status, said) = self.say("reader", "/profiles/find", "", json!({ "email": address }));
        assert_eq!(status, 200, "{said}");
        said["profiles"].as_array().unwrap().first().map(|found| self.get("reader", "/profiles/{id}", found["id"].as_str().unwrap(), ""))
    }

    fn persons(&self) -> i64 {
        self.installation.number("keys.db", "SELECT count(*) FROM persons")
    }

    fn noted(&self, key: &str, act: &str) -> i64 {
        self.installation.number("state.db", &format!("SELECT count(*) FROM profile_audit WHERE name = '{key}' AND act = '{act}'"))
    }

    /// What was said within the minute of an erasure was said before it.
    fn minutes_pass(&self) {
        self.installation.change("erasures.db", "UPDATE erasures SET at = at - 600000 WHERE kind = 'identifier'");
    }

    fn sent(&self) -> usize {
        self.installation.outbox("customers").len()
    }
}

/// All of it; every route is asked.
pub(crate) fn contacts_consents_and_rights(shop: &Shop) {
    contacts(shop);
    restrictions(shop);
    withdrawals_of_contacts(shop);
    withdrawals_of_browsers(shop);
    consents_in_their_order(shop);
    held_whatever_names_them(shop);
    what_others_have_too(shop);
    last_purposes(shop);
    others_keys(shop);
}

fn contacts(shop: &Shop) {
    let before = shop.persons();
    let who = json!({ "crm": "C-1", "email": "Jane@Mail.example" });
    let body =
        json!({ "who": who, "consent": consent(DAY * 2), "name": "Jane Doe-Smith", "properties": { "plan": "gold", "shoe_size": 38 } });
    let kept = shop.say_twice("contacts", "/contacts", "", body.clone());
    assert_eq!((&kept["agreed_to"], &kept["properties"]), (&json!(["analytics", "profile"]), &json!(["plan"])), "{kept}");
    assert_eq!((shop.persons(), shop.noted("contacts", "contacted")), (before + 1, 2));
    let profile = shop.of_address(JANE).expect("a profile");
    assert_eq!((&profile["id"], &profile["traits"]["own"]["plan"]["value"]), (&kept["profile"], &json!("gold")), "{profile}");
    let marks = "SELECT count(*) FROM profile_audit JOIN profile_audit_marks USING (number) WHERE act = 'contacted'";
    assert_eq!(shop.installation.number("state.db", marks), 2, "a new one, too, is found by whose it is");
    let later = json!({ "who": { "crm": "C-1" }, "consent": consent(DAY), "properties": { "plan": "silver" } });
    assert_eq!(shop.say_twice("contacts", "/contacts", "", later)["part"], kept["part"]);
    let plan = || shop.of_address(JANE).unwrap()["traits"]["own"]["plan"]["value"].clone();
    assert_eq!(plan(), json!("silver"));
    // What a program says last is so, also where it was so before, and whichever consent it rests on.
    for said in ["gold", "silver", "gold"] {
        let mut body = body.clone();
        body["properties"]["plan"] = json!(said);
        shop.say_twice("contacts", "/contacts", "", body);
        assert_eq!(plan(), json!(said));
    }
    assert_eq!(shop.get("reader", "/profiles/{id}/timeline", kept["profile"].as_str().unwrap(), "")["events"].as_array().unwrap().len(), 5);
    assert!(shop.installation.run(&["profile", "rebuild"]).status.success());
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(plan(), json!("gold"), "and all being made again says the same");

    // How they are written to: as the document keeps it, for a key of its own, and in the clear nowhere else.
    let id = kept["profile"].as_str().unwrap();
    let written = shop.get("letters", "/profiles/{id}/contact", id, "");
    assert_eq!(
        (&written["email"]["value"], &written["name"]["value"]),
        (&json!("Jane@Mail.example"), &json!("Jane Doe-Smith")),
        "{written}"
    );
    assert_eq!((written.get("phone"), shop.noted("letters", "addressed")), (None, 1));
    for (path, query) in [("/profiles/{id}", ""), ("/profiles/{id}/export", ""), ("/profiles/{id}/timeline", "")] {
        let shown = shop.get("reader", path, id, query).to_string();
        assert!(!shown.contains("Jane") && !shown.contains("contact\":"), "{shown}");
    }
    let mut files = vec![shop.installation.data()];
    let mut rests = false;
    while let Some(file) = files.pop() {
        if file.is_dir() {
            files.extend(std::fs::read_dir(file).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(file).unwrap_or_default();
            rests |= [&b"Doe-Smith"[..], b"jane@mail", b"Jane@Mail"].iter().any(|mark| memchr::memmem::find(&bytes, mark).is_some());
        }
    }
    assert!(!rests, "in no file");
    let mut export = shop.installation.command(&["person", "export", "--by", "email", "--site", "shop", "handed-out"]);
    let mut export = export.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut export.stdin.take().unwrap(), JANE.as_bytes()).unwrap();
    assert!(export.wait().unwrap().success());
    for file in ["person.json", "person.html"] {
        let handed = std::fs::read_to_string(shop.installation.path().join("handed-out").join(file)).unwrap();
        assert!(handed.contains("Jane Doe-Smith") && handed.contains("Jane@Mail.example"), "it is theirs: {file}");
    }

    // What no row of an import may do, this may not.
    let with = |key: &str, value: Value| {
        let mut body = body.clone();
        *body.pointer_mut(key).unwrap() = value;
        shop.say("contacts", "/contacts", "", body)
    };
    for (key, value) in [
        ("/consent/purposes", json!(["analytics"])),
        ("/consent/purposes", json!(["profile", "everything"])),
        ("/consent/purposes", json!([])),
        ("/consent/at", json!("yesterday")),
        ("/consent/at", json!(clock::now().plus(DAY).rfc3339())),
        ("/who", json!({})),
        ("/who", json!({ "email": "no address" })),
        ("/who", json!({ "email": "x".repeat(5_000) })),
        ("/who", json!({ "cookie": "AAECAwQFBgcICQoLDA0ODw" })),
        ("/properties", json!({ "E-Mail": "jo@mail.example", "email": "jo@mail.example" })),
        ("/properties", json!({ "consent_at": "2026-01-01" })),
        ("/name", json!(7)),
        ("/properties", json!({ "plan": { "is": "gold" } })),
    ] {
        let (status, said) = with(key, value.clone());
        assert_eq!(status, 400, "{key} {value}: {said}");
        assert!(!said.to_string().contains("mail.example") && !said.to_string().contains("yesterday"), "{said}");
    }
    assert_eq!(with("/consent/at", json!("2020-01-01")).1["code"], json!("consent_over"));
    assert_eq!((shop.persons(), shop.noted("contacts", "contacted")), (before + 1, 10), "nothing of that was kept, or written down");
    let granted = json!({ "who": { "email": "new@mail.example" }, "consent": consent(DAY) });
    assert_eq!(shop.say_twice("consents", "/consents/grant", "", granted)["properties"], json!([]));
}

fn restrictions(shop: &Shop) {
    let jane = json!({ "who": { "email": JANE } });
    let held = shop.say_twice("rights", "/rights/restrict", "", jane.clone());
    assert_eq!(held, json!({ "restricted": true, "browsers": 1, "shared": 0 }));
    assert!(shop.of_address(JANE).is_none());
    // Held, it is neither added to nor destroyed.
    let contact = json!({ "who": { "crm": "C-1" }, "consent": consent(DAY), "properties": { "plan": "bronze" } });
    assert_eq!(shop.say("contacts", "/contacts", "", contact).1["code"], json!("restricted"));
    for purposes in [json!(["profile"]), json!(["all"])] {
        let (status, said) = shop.say("consents", "/consents/withdraw", "", json!({ "who": { "email": JANE }, "purposes": purposes }));
        assert_eq!((status, &said["code"]), (409, &json!("restricted")));
    }
    assert_eq!(shop.say("rights", "/rights/object", "", jane.clone()).0, 409);
    assert_eq!(shop.say_twice("rights", "/rights/lift", "", jane)["restricted"], json!(false));
    eventually("that it is used again", PATIENCE, || shop.of_address(JANE).is_some());
    assert_eq!((shop.noted("rights", "restricted"), shop.noted("rights", "lifted")), (1, 1), "once each");
    for path in ["/rights/restrict", "/rights/lift"] {
        assert_eq!(shop.say("rights", path, "", json!({ "who": { "email": "nobody@mail.example" } })).0, 404);
    }
}

fn withdrawals_of_contacts(shop: &Shop) {
    let before = shop.persons();
    // A purpose that is taken back is no longer said by an older row; the others are.
    shop.say_twice("consents", "/consents/withdraw", "", json!({ "who": { "email": JANE }, "purposes": ["ads"] }));
    let with =
        |purposes: Value| json!({ "who": { "crm": "C-1" }, "consent": { "purposes": purposes, "at": clock::now().minus(DAY).rfc3339() } });
    assert_eq!(shop.say("contacts", "/contacts", "", with(json!(["profile", "ads"]))).1["code"], json!("erased_since"));
    assert_eq!(
        shop.say_twice("contacts", "/contacts", "", with(json!(["profile", "analytics"])))["agreed_to"],
        json!(["analytics", "profile"])
    );
    let all = json!({ "who": { "email": JANE }, "purposes": ["all"] });
    let withdrawn = shop.say_twice("consents", "/consents/withdraw", "", all);
    assert_eq!(withdrawn, json!({ "withdrawn": ["analytics", "profile", "ads"] }));
    let unknown = json!({ "who": { "email": "nobody@mail.example" }, "purposes": ["all"] });
    assert_eq!(shop.say("consents", "/consents/withdraw", "", unknown), (200, withdrawn), "who asks cannot tell");
    assert!(shop.of_address(JANE).is_none());
    assert_eq!((shop.persons(), shop.noted("consents", "withdrawn")), (before - 1, 1), "of what nobody had agreed to, nothing is noted");
    // What was agreed to before brings nobody back, whatever of them it names.
    for who in [json!({ "crm": "C-1" }), json!({ "email": JANE })] {
        let body = json!({ "who": who, "consent": consent(DAY) });
        for (key, path) in [("contacts", "/contacts"), ("consents", "/consents/grant")] {
            assert_eq!(shop.say(key, path, "", body.clone()).1["code"], json!("erased_since"), "{path}");
        }
    }
    let new = json!({ "who": { "email": "new@mail.example" } });
    assert_eq!(shop.say_twice("rights", "/rights/object", "", new), json!({ "withdrawn": ["profile"] }));
    assert!(shop.of_address("new@mail.example").is_none());
    let agreed = |ago| json!({ "who": { "email": "new@mail.example" }, "consent": consent(ago), "properties": { "plan": "gold" } });
    assert_eq!(shop.say("contacts", "/contacts", "", agreed(DAY)).1["code"], json!("erased_since"));
    shop.minutes_pass();
    shop.say_twice("contacts", "/contacts", "", agreed(Duration::ZERO));
    assert!(shop.of_address("new@mail.example").is_some(), "who agrees anew has one anew");
    for purposes in [json!([]), json!(["marketing"]), json!("all")] {
        let body = json!({ "who": { "email": JANE }, "purposes": purposes });
        assert_eq!(shop.say("consents", "/consents/withdraw", "", body).0, 400);
    }
}

fn withdrawals_of_browsers(shop: &Shop) {
    let cookie = shop.customer(20, "u20");
    shop.wait_for("u20", 2);
    let view = |name: &str| json!({ "k": "page_view", "i": name, "p": "https://www.shop.example/hats" });
    let withdraw = |purposes: Value| json!({ "who": { "account": "u20" }, "purposes": purposes });
    eventually("both events", PATIENCE, || shop.installation.ledger_offsets("customers") > 0 && shop.sent() >= 2);
    shop.say_twice("consents", "/consents/withdraw", "", withdraw(json!(["analytics"])));
    let before = shop.sent();
    // The page goes on to say the yes of before.
    shop.visit_under(&["analytics", "profile"], 20, Some(&cookie), &view("after"));
    shop.wait_for("u20", 3);
    assert_eq!(shop.sent(), before, "for analytics it is not used, whatever the page says");
    let persons = shop.persons();
    shop.say_twice("consents", "/consents/withdraw", "", withdraw(json!(["profile"])));
    assert_eq!((shop.persons(), shop.found("u20")), (persons - 1, None), "nothing is left that they agree to");

    // What a browser took back, a contact of the same address that is new does not bring back, either.
    let other = shop.customer(24, "u24");
    let told = json!({ "type": "identify", "messageId": "told-24", "anonymousId": other, "traits": { "email": "kim@mail.example" } });
    assert_eq!(shop.say("sender", "/events", "", told).0, 200);
    eventually("that the address is known", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(100));
        shop.of_address("kim@mail.example").is_some()
    });
    let kim = |purposes: Value| json!({ "who": { "email": "kim@mail.example" }, "purposes": purposes });
    shop.say_twice("consents", "/consents/withdraw", "", kim(json!(["analytics"])));
    let row = |purposes: Value| {
        let consent = json!({ "purposes": purposes, "at": clock::now().minus(DAY).rfc3339() });
        shop.say("contacts", "/contacts", "", json!({ "who": { "email": "kim@mail.example" }, "consent": consent }))
    };
    assert_eq!(row(json!(["profile", "analytics"])).1["code"], json!("erased_since"));
    assert_eq!(row(json!(["profile", "ads"])).0, 200, "of another purpose it says what is so");

    // Two accounts in one browser: what one takes back takes nothing of the other's along unless that is said.
    let shared = shop.customer(21, "u21");
    shop.visit_under(&["analytics", "profile"], 21, Some(&shared), &bought(&shared, "u22", "22"));
    shop.wait_for("u22", 1);
    let all = json!({ "who": { "account": "u21" }, "purposes": ["all"] });
    assert_eq!(shop.say("consents", "/consents/withdraw", "", all.clone()).1["code"], json!("others_share_a_browser"));
    assert_eq!(shop.say("rights", "/rights/object", "", json!({ "who": { "account": "u21" } })).0, 409);
    shop.say_twice("consents", "/consents/withdraw", "?others=erase", all);
    assert_eq!((shop.found("u21"), shop.found("u22")), (None, None));
}

/// A consent that is older than what is on record widens and lengthens nothing; a newer one narrows, and ends earlier.
fn consents_in_their_order(shop: &Shop) {
    let now = clock::now();
    let row = |purposes: Value, ago: u32, until: Option<u32>| {
        let mut consent = json!({ "purposes": purposes, "at": now.minus(DAY * ago).rfc3339() });
        if let Some(days) = until {
            consent["until"] = json!(now.plus(DAY * days).rfc3339());
        }
        json!({ "who": { "crm": "C-9" }, "consent": consent, "properties": { "plan": "gold" } })
    };
    let say = |body: Value| {
        let kept = shop.say_twice("contacts", "/contacts", "", body);
        (kept["agreed_to"].clone(), kept["until"].clone())
    };
    let on_record = |purposes: Purposes, days: u32| {
        let (bits, until) = (purposes.bits(), now.plus(DAY * days).0);
        let kept =
            shop.installation.number("keys.db", &format!("SELECT count(*) FROM persons WHERE purposes = {bits} AND expires = {until}"));
        ((json!(purposes.names().collect::<Vec<_>>()), json!(now.plus(DAY * days).rfc3339())), kept == 1)
    };
    let wide = Purposes::PROFILE.and(Purposes::ADS);
    let old = row(json!(["profile", "ads"]), 300, Some(90));
    let (said, rests) = (say(old.clone()), on_record(wide, 90));
    assert_eq!((said, true), rests);
    let (said, rests) = (say(row(json!(["profile"]), 20, Some(100))), on_record(Purposes::PROFILE, 100));
    assert_eq!((said, true), rests);
    let (said, rests) = (say(old), on_record(Purposes::PROFILE, 100));
    assert_eq!((said, true), rests, "the nightly file of before widens nothing");
    let (said, rests) = (say(row(json!(["profile", "ads"]), 21, None)), on_record(Purposes::PROFILE, 100));
    assert_eq!((said, true), rests, "and lengthens nothing");
    let (said, rests) = (say(row(json!(["profile"]), 1, Some(10))), on_record(Purposes::PROFILE, 10));
    assert_eq!((said, true), rests, "a newer one ends it earlier");
    let (said, rests) = (say(row(json!(["profile", "ads"]), 0, Some(200))), on_record(wide, 200));
    assert_eq!((said, true), rests, "or later, and may widen it");
}

/// What is held of a contact is held whichever of their identifiers a contact is brought by.
fn held_whatever_names_them(shop: &Shop) {
    let who = json!({ "email": "held@mail.example" });
    let with = |who: Value| json!({ "who": who, "consent": consent(DAY) });
    shop.say_twice("contacts", "/contacts", "", with(json!({ "crm": "C-20", "email": "held@mail.example" })));
    shop.say_twice("rights", "/rights/restrict", "", json!({ "who": who }));
    let persons = shop.persons();
    let (status, said) = shop.say("contacts", "/contacts", "", with(who.clone()));
    assert_eq!((status, &said["code"]), (409, &json!("restricted")), "{said}");
    let day = &clock::now().minus(DAY).rfc3339()[..10];
    let rows = shop.installation.write("held.csv", &format!("email,consent,consent_at\nheld@mail.example,profile,{day}\n"));
    let imported = shop.installation.run(&["profile", "import", "--site", "shop", rows.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&imported.stdout).into_owned();
    assert!(said.contains("1 are not taken over, since they are of people whose data rest and are not used"), "{said}");
    assert_eq!(shop.persons(), persons);
    shop.say_twice("rights", "/rights/lift", "", json!({ "who": who }));
    shop.say_twice("contacts", "/contacts", "", with(who));
}

/// An erasure keeps nobody else's rows out.
fn what_others_have_too(shop: &Shop) {
    let row = |crm: &str| json!({ "who": { "crm": crm, "email": "house@mail.example" }, "consent": consent(DAY) });
    let ada = shop.say_twice("contacts", "/contacts", "", row("A-1"));
    for crm in ["B-1", "A-2"] {
        shop.say_twice("contacts", "/contacts", "", row(crm));
    }
    let bens = || shop.say("contacts", "/contacts", "", row("B-1"));
    let (status, said) = shop.ask("eraser", "DELETE", "/profiles/{id}", ada["profile"].as_str().unwrap(), "", None);
    assert_eq!((status, &said["browsers"]), (200, &json!(1)), "{said}");
    assert_eq!(shop.say("contacts", "/contacts", "", row("A-1")).1["code"], json!("erased_since"));
    assert_eq!(bens().0, 200, "Ben's address is not hers alone");
    shop.say_twice("consents", "/consents/withdraw", "", json!({ "who": { "crm": "A-2" }, "purposes": ["all"] }));
    assert_eq!(shop.say("contacts", "/contacts", "", row("A-2")).1["code"], json!("erased_since"));
    assert_eq!(bens().0, 200);
}

/// Whatever it is that is taken back last, a key ends with it: not one that is held, nor with what is others', and not unwritten.
fn last_purposes(shop: &Shop) {
    let view = |name: &str| json!({ "k": "page_view", "i": name, "p": "https://www.shop.example/hats" });
    let withdraw = |who: &Value, purposes: Value| json!({ "who": who, "purposes": purposes });
    let who = json!({ "cookie": shop.visit_under(&["analytics"], 30, None, &view("of-30")) });
    shop.say_twice("rights", "/rights/restrict", "", json!({ "who": who }));
    let persons = shop.persons();
    let (status, said) = shop.say("consents", "/consents/withdraw", "", withdraw(&who, json!(["analytics"])));
    assert_eq!((status, &said["code"], shop.persons()), (409, &json!("restricted"), persons), "{said}");
    shop.say_twice("rights", "/rights/lift", "", json!({ "who": who }));
    shop.say_twice("consents", "/consents/withdraw", "", withdraw(&who, json!(["analytics"])));
    assert_eq!(shop.persons(), persons - 1);

    let shared = shop.customer(31, "u31");
    shop.visit_under(&["analytics", "profile"], 31, Some(&shared), &bought(&shared, "u32", "32"));
    shop.wait_for("u32", 1);
    let (who, persons) = (json!({ "account": "u31" }), shop.persons());
    shop.say_twice("rights", "/rights/object", "?others=erase", json!({ "who": who }));
    let (status, said) = shop.say("consents", "/consents/withdraw", "", withdraw(&who, json!(["analytics"])));
    assert_eq!((status, &said["code"], shop.persons()), (409, &json!("others_share_a_browser"), persons), "{said}");
    shop.say_twice("consents", "/consents/withdraw", "?others=erase", withdraw(&who, json!(["analytics"])));
    assert_eq!(shop.persons(), persons - 1);

    let who = json!({ "cookie": shop.visit_under(&["profile"], 33, None, &view("of-33")) });
    shop.say_twice("rights", "/rights/object", "", json!({ "who": who }));
    let (persons, noted) = (shop.persons(), shop.noted("consents", "withdrawn"));
    shop.say_twice("consents", "/consents/withdraw", "", withdraw(&who, json!(["all"])));
    assert_eq!((shop.persons(), shop.noted("consents", "withdrawn")), (persons - 1, noted + 1), "no key ends unwritten");
}

/// Another site's key changes nothing here, and is told nothing.
fn others_keys(shop: &Shop) {
    shop.customer(23, "u23");
    let id = shop.wait_for("u23", 2);
    let (persons, who) = (shop.persons(), json!({ "account": "u23" }));
    assert_eq!(shop.say("other", "/rights/restrict", "", json!({ "who": who })).0, 404);
    assert_eq!(shop.say("other", "/consents/withdraw", "", json!({ "who": who, "purposes": ["all"] })).0, 200);
    assert_eq!(shop.say("other", "/rights/object", "", json!({ "who": who })).0, 200);
    assert_eq!((shop.persons(), shop.found("u23")), (persons, Some(id.clone())));
    shop.minutes_pass();
    shop.say_twice("other", "/contacts", "", json!({ "who": who, "consent": consent(Duration::ZERO) }));
    let parts = shop.get("reader", "/profiles/{id}", &id, "")["parts"].as_array().unwrap().len();
    assert_eq!((shop.persons(), parts), (persons + 1, 2), "it is a contact of the other site");
}

#[test]
fn what_is_written_over_the_api_is_the_same_in_postgresql() {
    let Some(postgres) = RealPostgres::start() else {
        return left_out("the profile API on PostgreSQL", "PostgreSQL is not installed here");
    };
    let outside = Installation::empty();
    let password = outside.write("password", PASSWORD);
    let url = format!("postgres://127.0.0.1:{}/analytics", postgres.port);
    let shop =
        Shop::on(&format!("[profiles]\npostgres = {{ url = \"{url}\", user = \"{ROLE}\", password = \"file:{}\" }}\n", password.display()));
    contacts_consents_and_rights(&shop);
    assert!(!shop.installation.data().join("profiles.db").exists());
    assert!(shop.server.stop().success());
}

#[test]
fn an_erasure_over_the_api_sees_what_the_log_alone_knows() {
    let shop = Shop::open();
    // Two accounts of one browser: who has received something of one is told none of the other's ids.
    let shared = shop.customer(1, "u1");
    shop.visit_under(&["analytics", "profile"], 1, Some(&shared), &bought(&shared, "u2", "of-u2"));
    let (one, two) = (shop.wait_for("u1", 1), shop.wait_for("u2", 1));
    eventually("three events", PATIENCE, || shop.sent() == 3);
    let ids: Vec<String> =
        shop.installation.outbox("customers").iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect();
    let told = |id: &str| shop.get("eraser", "/profiles/{id}/receivers", id, "").to_string();
    let of = |told: &str| ids.iter().map(|id| told.contains(id.as_str())).collect::<Vec<_>>();
    assert_eq!((of(&told(&one)), of(&told(&two))), (vec![false, true, false], vec![false, false, true]));

    // An account of which the store knows nothing any more, since its browser does not agree to a profile, or did not for a while.
    let gone_from_the_store = |number: u8, account: &str| {
        let cookie = shop.customer(number, account);
        eventually("that the store has it", PATIENCE, || {
            std::thread::sleep(Duration::from_millis(100));
            shop.ask("reader", "POST", "/profiles/find", "", "", Some(json!({ "cookie": cookie }))).1["profiles"] != json!([])
        });
        let view = json!({ "k": "page_view", "i": format!("without-{number}") });
        shop.visit_under(&["analytics"], number, Some(&cookie), &view);
        eventually("that the store has none of it", PATIENCE, || {
            std::thread::sleep(Duration::from_millis(100));
            shop.ask("reader", "POST", "/profiles/find", "", "", Some(json!({ "cookie": cookie }))).1["profiles"] == json!([])
        });
        std::thread::sleep(Duration::from_millis(700));
        cookie
    };
    let later = gone_from_the_store(3, "u4");
    shop.visit_under(&["analytics", "profile"], 3, Some(&later), &bought(&later, "u3", "of-u3"));
    let three = shop.wait_for("u3", 1);
    let (status, said) = shop.ask("eraser", "DELETE", "/profiles/{id}", &three, "", None);
    assert_eq!((status, &said["code"]), (409, &json!("others_share_a_browser")), "{said}");

    // A browser in which an account was proven without a consent to a profile goes with it; and what was held there is not erased.
    shop.customer(5, "u5");
    let elsewhere = gone_from_the_store(6, "u5");
    let five = shop.wait_for("u5", 2);
    let cookie = json!({ "who": { "cookie": elsewhere } });
    assert_eq!(shop.ask("rights", "POST", "/rights/restrict", "", "", Some(cookie.clone())).0, 200);
    assert_eq!(shop.ask("eraser", "DELETE", "/profiles/{id}", &five, "", None).0, 404);
    assert_eq!(shop.ask("rights", "POST", "/rights/lift", "", "", Some(cookie)).0, 200);
    let five = shop.wait_for("u5", 2);
    let (persons, accounts) = (shop.persons(), "SELECT count(*) FROM erasures WHERE kind = 'account'");
    let (status, erased) = shop.ask("eraser", "DELETE", "/profiles/{id}", &five, "", None);
    assert_eq!((status, &erased["browsers"], shop.persons()), (200, &json!(2), persons - 2), "{erased}");
    assert_eq!(
        shop.installation.number("erasures.db", accounts),
        1,
        "an older copy brings the account back no more than after the command"
    );

    // A part is parted by the profile that it is changed in: one that is held is not.
    let phone = shop.customer(7, "u7");
    let laptop = shop.customer(8, "u7");
    let seven = shop.wait_for("u7", 4);
    let parts = shop.get("crm", "/profiles/{id}", &seven, "")["parts"].clone();
    let part = parts.as_array().unwrap().iter().find(|part| part["account"].is_null()).unwrap()["id"].as_str().unwrap().to_owned();
    let alone = json!({ "reason": "another one's visit", "without_account": true });
    assert_eq!(shop.ask("crm", "POST", "/profiles/{id}/unlink", &part, "", Some(alone)).0, 200);
    let (_, by_cookie) = shop.ask("crm", "POST", "/profiles/find", "", "", Some(json!({ "cookie": phone })));
    let of_phone = by_cookie.to_string().contains(&part);
    let other = if of_phone { laptop } else { phone };
    assert_eq!(shop.ask("rights", "POST", "/rights/restrict", "", "", Some(json!({ "who": { "cookie": other } }))).0, 200);
    let reason = json!({ "reason": "curious" });
    assert_eq!(shop.ask("reader", "GET", "/profiles/{id}", &part, "", None).0, 200, "the part by itself is not held");
    assert_eq!(shop.ask("crm", "POST", "/profiles/{id}/unlink", &part, "", Some(reason)).0, 404, "the profile that it would change is");
    assert!(shop.server.stop().success());
}

#[test]
fn what_somebody_sees_and_erases_on_their_own_page_is_in_the_audit_as_theirs() {
    let shop = Shop::open();
    let cookie = shop.customer(1, "u1");
    shop.wait_for("u1", 2);
    let page = |path: &str, method: &'static str| {
        let mut request = Request::beacon("").instead("Content-Type", "application/x-www-form-urlencoded");
        (request.method, request.path) = (method, path.to_owned());
        shop.server.send(&request.with("Cookie", &format!("__Host-w={cookie}")).with("Sec-Fetch-Dest", "document")).text()
    };
    assert!(page("/keso/about/you", "GET").contains("10.00 EUR"));
    let audit = || {
        let printed = shop.installation.command(&["profile", "audit", "--site", "shop"]).stderr(Stdio::null()).output().unwrap().stdout;
        String::from_utf8(printed).unwrap()
    };
    let line = |act: &str| audit().lines().find(|line| line.contains("the person") && line.contains(act)).map(str::to_owned);
    let mark = line("seen").expect("it is there").split_whitespace().last().unwrap().to_owned();
    assert!(page("/keso/about/you/erase", "POST").contains("It is erased"));
    let erased = line("erased").expect("it is there");
    assert!(mark.len() == 8 && erased.ends_with(&mark), "{erased}");
    let entries = shop.get("officer", "/audit", "", "")["entries"].clone();
    assert_eq!((&entries[0]["by"], &entries[0]["name"]), (&json!("person"), &json!("")));
    // A stranger's look is nobody's.
    let seen = "SELECT count(*) FROM profile_audit WHERE by = 'person'";
    let before = shop.installation.number("state.db", seen);
    page("/keso/about/you", "GET");
    assert_eq!(shop.installation.number("state.db", seen), before);
    assert!(shop.server.stop().success());
}

#[test]
fn other_machines_reach_the_api_over_tls_from_its_networks_and_nothing_else_of_the_admin_listener() {
    let made = rcgen::generate_simple_self_signed([String::from("api.shop.example")]).expect("a certificate can be made");
    let outside = Installation::empty();
    let (certificate, key) = (outside.write("api.pem", &made.cert.pem()), outside.write("api.key", &made.signing_key.serialize_pem()));
    let table = |from: &str| {
        format!(
            "[api]\nlisten = \"0.0.0.0:0\"\nfrom = [\"{from}\"]\ntls = {{ certificate = \"{}\", key = \"{}\" }}\n",
            certificate.display(),
            key.display()
        )
    };
    let shop = Shop::on(&table("127.0.0.0/8"));
    let address = |installation: &Installation| -> std::net::SocketAddr {
        let printed = std::fs::read_to_string(installation.path().join("stdout")).unwrap();
        let port = printed.rsplit_once("profile API on https://0.0.0.0:").unwrap().1.split('/').next().unwrap().parse().unwrap();
        ([127, 0, 0, 1], port).into()
    };
    let exchange = |at: std::net::SocketAddr, request: &Request| {
        let mut connection = Connection::open_tls(at, made.cert.der().clone(), "api.shop.example").expect("a TLS connection");
        let answer = connection.exchange(request).expect("an answer");
        (answer.status, answer.text())
    };
    let (at, path) = (address(&shop.installation), "/api/v1/profiles");
    let ask = |key: &str, path: &str| request(key, "GET", path, None).instead("Host", "api.shop.example");
    assert_eq!(exchange(at, &ask("reader", path)), (200, String::from("{\"profiles\":[]}")));
    // What needs no key on the admin listener is not here; and a page of a website asks in vain.
    let stranger = exchange(at, &ask("", path));
    assert_eq!(stranger.0, 401);
    for path in ["/", "/metrics", "/healthz", "/overview.json", "/live", "/look?own=127.0.0.1"] {
        assert_eq!(exchange(at, &ask("", path)), stranger, "{path}");
        assert_eq!(exchange(at, &ask("reader", path)).0, 404, "{path}");
    }
    assert_eq!(exchange(at, &ask("reader", path).with("Origin", "https://www.shop.example")).0, 403);
    assert!(Connection::open(at).unwrap().exchange(&ask("reader", path)).is_err(), "it speaks TLS alone");
    let tried = (0..100).filter(|_| exchange(at, &ask("nobody", path)).0 == 429).count();
    assert!(tried > 20, "{tried}");
    assert_eq!(exchange(at, &ask("reader", path)).0, 200, "who tries keys locks nobody out");
    assert!(shop.server.stop().success());

    // Another network is not listened to: it is closed before TLS, and has no place among the connections; the admin listener goes on as it was.
    let said = std::fs::read_to_string(shop.installation.path().join("firsthand.toml")).unwrap();
    shop.installation.write("firsthand.toml", &said.replace("127.0.0.0/8\"]\ntls", "10.0.0.0/8\"]\ntls"));
    let server = shop.installation.start();
    let at = address(&shop.installation);
    for _ in 0..300 {
        let mut stranger = std::net::TcpStream::connect(at).unwrap();
        stranger.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // Without a word from this side: the end, or that it was cut.
        let read = std::io::Read::read(&mut stranger, &mut [0; 1]);
        assert!(read.as_ref().is_ok_and(|read| *read == 0) || read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    }
    let tried = Connection::open_tls(at, made.cert.der().clone(), "api.shop.example");
    assert!(tried.and_then(|mut connection| connection.exchange(&ask("reader", path).with("X-Forwarded-For", "10.0.0.1"))).is_err());
    let mut admin = Connection::open(server.admin()).unwrap();
    assert_eq!(admin.exchange(&request("reader", "GET", path, None)).unwrap().status, 200);
    assert!(server.stop().success());
}
