//! The profile API, on the real binary: what it answers and what that does, that its document says so, and that whoever has no key, another
//! site's, or one for something else, learns nothing.

use std::{
    cell::RefCell,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use firsthand::{clock, protocol::server::fingerprint};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    api_writes as writes,
    http_client::{Answer, Connection, Request},
    installation::{Installation, Running, SITE, eventually, file_destination},
    left_out::left_out,
};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "thirty-two bytes are a good secret";
const UNKNOWN: &str = "00112233445566778899aabbccddeeff";

/// Keys, and what each is for.
const KEYS: [(&str, &str, &str); 12] = [
    ("crm", "shop", "\"profiles:read\", \"profiles:write\""),
    ("reader", "shop", "\"profiles:read\""),
    ("writer", "shop", "\"profiles:write\""),
    ("eraser", "shop", "\"profiles:erase\""),
    ("contacts", "shop", "\"contacts:write\""),
    ("letters", "shop", "\"contacts:read\""),
    ("consents", "shop", "\"consents:write\""),
    ("rights", "shop", "\"rights:write\""),
    ("sender", "shop", "\"events:write\""),
    ("officer", "shop", "\"audit:read\""),
    (
        "ended",
        "shop",
        "\"profiles:read\", \"profiles:write\", \"profiles:erase\", \"contacts:read\", \"contacts:write\", \"consents:write\", \"rights:write\", \"events:write\", \"audit:read\"",
    ),
    (
        "other",
        "other",
        "\"profiles:read\", \"profiles:write\", \"profiles:erase\", \"contacts:read\", \"contacts:write\", \"consents:write\", \"rights:write\", \"events:write\", \"audit:read\"",
    ),
];

/// A shop with profiles, its customers, and everything that was asked of it.
pub(crate) struct Shop {
    pub(crate) installation: Installation,
    pub(crate) server: Running,
    /// Method, path as in the document, status and body.
    answers: RefCell<Vec<Value>>,
    bodies: RefCell<Vec<Value>>,
}

fn documents(secret: &Path) -> String {
    let mut text = format!(
        "{SITE}identify_secret = \"file:{}\"\n\n[site.profile]\ntraits = {{ plan = \"last\" }}\nkeep_contacts = [\"email\", \"name\"]\n\
         [site.profile.identifiers]\ncrm = {{ joins = true }}\nemail = {{ joins = true }}\n\n[[site]]\nname = \"other\"\n\
         hosts = [\"other.example\"]\norigins = [\"https://other.example\"]\nprefix = \"/keso\"\npolicy = \"shop\"\n\n[site.profile]\n{}",
        secret.display(),
        file_destination("customers", "consent", "consented-analytics"),
    );
    for (name, site, scopes) in KEYS {
        let expires = if name == "ended" { "\nexpires = \"2020-01-01\"" } else { "" };
        let key = fingerprint(&format!("fhp_{name}"));
        text += &format!("\n[[api_key]]\nname = \"{name}\"\nsite = \"{site}\"\nscopes = [{scopes}]\nkey = \"{key}\"{expires}\n");
    }
    text
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::on("")
    }

    /// On a machine of which this is said, too.
    pub(crate) fn on(machine: &str) -> Self {
        let installation = Installation::empty();
        let secret = installation.write("secret", SECRET);
        let text = documents(&secret);
        let shop = Installation::new(&text);
        let said = fs::read_to_string(shop.path().join("firsthand.toml")).unwrap();
        shop.write("firsthand.toml", &format!("{said}\n{machine}"));
        // The secret's directory lives as long as the process.
        std::mem::forget(installation);
        let server = shop.start();
        Self { installation: shop, server, answers: RefCell::default(), bodies: RefCell::default() }
    }

    /// A browser's beacon. Returns the value of its cookie.
    fn visit(&self, number: u8, cookie: Option<&str>, event: &Value) -> String {
        self.visit_under(&["analytics", "profile"], number, cookie, event)
    }

    /// The same, where the visitor agrees to that.
    pub(crate) fn visit_under(&self, granted: &[&str], number: u8, cookie: Option<&str>, event: &Value) -> String {
        let body = json!({ "g": granted, "e": [event] });
        let mut request = Request::beacon(body.to_string()).with("X-Forwarded-For", &format!("192.0.2.{number}"));
        if let Some(cookie) = cookie {
            request = request.with("Cookie", &format!("__Host-w={cookie}"));
        }
        let answer = self.server.send(&request);
        assert_eq!(answer.status, 204, "{}", answer.text());
        let set = answer.header("set-cookie").and_then(|set| set.split(['=', ';']).nth(1)).map(str::to_owned);
        set.or_else(|| cookie.map(str::to_owned)).expect("a cookie")
    }

    /// A browser that has visited, and bought under an account.
    pub(crate) fn customer(&self, number: u8, account: &str) -> String {
        let page = "https://www.shop.example/shoes";
        let cookie =
            self.visit(number, None, &json!({ "k": "page_view", "i": format!("view-{number}"), "p": page, "d": { "plan": "gold" } }));
        self.visit(number, Some(&cookie), &bought(&cookie, account, &number.to_string()))
    }

    fn send(&self, request: &Request) -> Answer {
        Connection::open(self.server.admin()).unwrap().exchange(request).unwrap()
    }

    /// Asks with a key, and notes what came for the document's check. `path` is as in the document, with `id` in its place.
    pub(crate) fn ask(&self, key: &str, method: &'static str, path: &str, id: &str, query: &str, body: Option<Value>) -> (u16, Value) {
        let request = request(key, method, &format!("/api/v1{}{query}", path.replace("{id}", id)), body.as_ref());
        let answer = self.send(&request);
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "no page is let in");
        let problem = answer.header("content-type") == Some("application/problem+json");
        assert_eq!(problem, answer.status != 200);
        self.answers.borrow_mut().push(json!([method, path, answer.status, said]));
        if let Some(body) = body.filter(|_| answer.status == 200) {
            self.bodies.borrow_mut().push(json!([method, path, body]));
        }
        (answer.status, said)
    }

    pub(crate) fn get(&self, key: &str, path: &str, id: &str, query: &str) -> Value {
        let (status, said) = self.ask(key, "GET", path, id, query, None);
        assert_eq!(status, 200, "{path}: {said}");
        said
    }

    /// The id of the profile that an account has.
    pub(crate) fn found(&self, account: &str) -> Option<String> {
        let (status, said) = self.ask("crm", "POST", "/profiles/find", "", "", Some(json!({ "account": account })));
        assert_eq!(status, 200, "{said}");
        said["profiles"].as_array().unwrap().first().map(|profile| profile["id"].as_str().unwrap().to_owned())
    }

    /// Waits until the projector has all of it.
    pub(crate) fn wait_for(&self, account: &str, events: usize) -> String {
        let mut id = None;
        eventually("the profile and its events", PATIENCE, || {
            // A key has twenty requests a second.
            std::thread::sleep(Duration::from_millis(100));
            id = self.found(account);
            id.as_ref().is_some_and(|id| self.get("crm", "/profiles/{id}/timeline", id, "")["events"].as_array().unwrap().len() == events)
        });
        id.unwrap()
    }

    /// The document says all that was answered, and a validator of others takes it for one.
    fn check_against_the_document(&self) {
        let document = self.get("reader", "/openapi.json", "", "");
        let printed = self.installation.run(&["api", "--openapi"]).stdout;
        assert_eq!(serde_json::from_slice::<Value>(&printed).unwrap(), document, "the command says the same");
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/openapi-validator/bin/python");
        if !python.exists() {
            return left_out("the OpenAPI document", "openapi-spec-validator is not in target/openapi-validator: tests/run installs it");
        }
        let answers = self.answers.borrow();
        let asked: std::collections::BTreeSet<_> = answers
            .iter()
            .filter(|answer| answer[2] == 200)
            .map(|answer| format!("{} {}", answer[0].as_str().unwrap(), answer[1].as_str().unwrap()))
            .collect();
        let operations =
            document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
            });
        let never: Vec<_> = operations.filter(|operation| !asked.contains(operation)).collect();
        assert!(never.is_empty(), "nobody has asked, and so nobody has checked: {never:?}");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/openapi/check.py");
        let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = json!({ "document": document, "answers": *answers, "bodies": *self.bodies.borrow() }).to_string();
        child.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success());
        assert_eq!(told.trim(), format!("{} answers and {} bodies", answers.len(), self.bodies.borrow().len()));
    }
}

/// A purchase under an account that the shop's backend has signed for this browser.
pub(crate) fn bought(cookie: &str, account: &str, id: &str) -> Value {
    let mut order = json!({ "k": "purchase", "i": format!("order-{id}"), "x": format!("A-{id}"), "v": 10.0, "m": "EUR",
                            "p": "https://www.shop.example/shoes" });
    let ends = clock::now().0 / 1000 + 1_000;
    let mut state = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    state.update(format!("{account}\n{cookie}\n{ends}").as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(state.finalize().into_bytes());
    order.as_object_mut().unwrap().extend(json!({ "a": account, "as": signature, "ae": ends }).as_object().unwrap().clone());
    order
}

pub(crate) fn request(key: &str, method: &'static str, path: &str, body: Option<&Value>) -> Request {
    let mut request = Request { method, ..Request::get(path) };
    if !key.is_empty() {
        request = request.with("Authorization", &format!("Bearer fhp_{key}"));
    }
    if let Some(body) = body {
        request.body = body.to_string().into_bytes();
        request = request.with("Content-Type", "application/json");
    }
    request
}

#[test]
fn everything_that_can_be_asked_of_profiles_is_answered_as_the_document_says() {
    let shop = Shop::open();
    let phone = shop.customer(1, "u7");
    shop.customer(2, "u7");
    shop.customer(3, "u8");
    shop.customer(4, "u9");
    let id = shop.wait_for("u7", 4);
    shop.wait_for("u8", 2);
    shop.wait_for("u9", 2);

    // Looked up: by account, by cookie, in lists, one.
    assert_eq!(shop.found("nobody"), None);
    let (_, by_cookie) = shop.ask("reader", "POST", "/profiles/find", "", "", Some(json!({ "cookie": phone })));
    assert_eq!(by_cookie["profiles"][0]["id"], json!(id));
    let (mut listed, mut query) = (Vec::new(), String::from("?limit=2"));
    loop {
        let page = shop.get("reader", "/profiles", "", &query);
        listed.extend(page["profiles"].as_array().unwrap().iter().map(|profile| profile["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=2&cursor={next}"),
            None => break,
        }
    }
    listed.sort();
    listed.dedup();
    assert_eq!(listed.len(), 3, "each once: {listed:?}");
    let profile = shop.get("reader", "/profiles/{id}", &id, "");
    assert_eq!((&profile["joined_by"], &profile["traits"]["orders"]), (&json!("proven_account"), &json!(2)));
    let text = profile.to_string();
    assert!(!text.contains("u7") && !text.contains(&phone), "neither account nor cookie is said");

    // The timeline, by class, by time, and page by page.
    let timeline = |query: &str| shop.get("reader", "/profiles/{id}/timeline", &id, query);
    let orders = timeline("?class=orders");
    assert!(orders["events"].as_array().unwrap().iter().all(|event| event["name"] == "purchase"));
    assert_eq!(orders["events"].as_array().unwrap().len(), 2);
    let newest = timeline("?limit=1");
    let received = newest["events"][0]["received"].as_i64().unwrap();
    let moment = clock::Timestamp(received).rfc3339();
    assert_eq!(timeline(&format!("?from={moment}"))["events"].as_array().unwrap().len(), 1);
    assert_eq!(timeline(&format!("?until={moment}"))["events"].as_array().unwrap().len(), 3);
    let (mut seen, mut query) = (Vec::new(), String::from("?limit=1"));
    while let Some(page) = Some(timeline(&query)) {
        seen.extend(page["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=1&cursor={next}");
    }
    let whole: Vec<_> =
        timeline("")["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen, whole, "page by page it is the same");
    let export = shop.get("reader", "/profiles/{id}/export", &id, "");
    assert_eq!((&export["whole"], export["profile"]["timeline"].as_array().unwrap().len()), (&json!(true), 4));

    // Parted, twice, and joined, twice.
    let parts = profile["parts"].as_array().unwrap();
    let part = parts.iter().find(|part| part["account"].is_string()).unwrap()["id"].as_str().unwrap().to_owned();
    let reason = json!({ "reason": "her brother's" });
    for (what, changed) in [("unlink", true), ("unlink", false), ("link", true), ("link", false)] {
        let path = format!("/profiles/{{id}}/{what}");
        let (status, said) = shop.ask("crm", "POST", &path, &part, "", Some(reason.clone()));
        assert_eq!((status, &said["changed"]), (200, &json!(changed)), "{what}: {said}");
        let orders = shop.get("reader", "/profiles/{id}", &id, "")["traits"]["orders"].as_u64();
        assert_eq!(orders, Some(if what == "unlink" { 1 } else { 2 }));
        let (_, found) = shop.ask("crm", "POST", "/profiles/find", "", "", Some(json!({ "account": "u7" })));
        assert_eq!(found["profiles"].as_array().unwrap().len(), if what == "unlink" { 2 } else { 1 }, "all who have it: {found}");
    }
    let decided = shop.get("reader", "/profiles/{id}", &part, "");
    let of_part = decided["parts"].as_array().unwrap().iter().find(|of| of["id"] == json!(part)).unwrap();
    assert_eq!((&of_part["decisions"][0]["author"], &of_part["decisions"][0]["reason"]), (&json!("api key crm"), &json!("her brother's")));
    let before = shop.ask("crm", "POST", "/profiles/{id}/unlink", &part, "", Some(json!({ "reason": " " })));
    assert_eq!(before.0, 400);
    assert_eq!(shop.ask("crm", "POST", "/profiles/{id}/unlink", &id, "", Some(reason.clone())).0, 409, "an account is no part");

    // An event, sent twice, is one; and a batch says what became of each.
    let order = json!({ "event": "Order Completed", "messageId": "order-7", "anonymousId": phone, "userId": "u7",
                        "properties": { "order_id": "A-7", "revenue": 5, "currency": "EUR" } });
    for _ in 0..2 {
        let (status, said) = shop.ask("sender", "POST", "/events", "", "", Some(order.clone()));
        assert_eq!((status, &said["results"][0]["result"]), (200, &json!("stored")));
    }
    let (status, said) = shop.ask("sender", "POST", "/events", "", "", Some(json!({ "batch": [{ "type": "ask" }] })));
    assert_eq!((status, &said["code"], &said["results"][0]["result"]), (400, &json!("unreadable"), &json!("unreadable")));
    assert_eq!(shop.wait_for("u7", 5), id);

    // Erased, with who has to be told; and there is nothing of it then.
    let receivers = shop.get("eraser", "/profiles/{id}/receivers", &id, "");
    assert_eq!((&receivers["browsers"], &receivers["erased"], &receivers["shared"]), (&json!(2), &json!(false), &json!(0)));
    assert_eq!(receivers["notice"]["recipients"][0]["name"], json!("customers"), "{receivers}");
    let (status, erased) = shop.ask("eraser", "DELETE", "/profiles/{id}", &id, "", None);
    assert_eq!((status, &erased["erased"], &erased["browsers"]), (200, &json!(true), &json!(2)));
    assert_eq!(shop.ask("eraser", "DELETE", "/profiles/{id}", &id, "", None).0, 404);
    assert_eq!(shop.ask("reader", "GET", "/profiles/{id}", &id, "", None).0, 404);
    assert_eq!(shop.found("u7"), None);
    eventually("that the projector has nothing of it either", PATIENCE, || {
        shop.installation.number("profiles.db", "SELECT count(*) FROM strands") == 4
    });

    // Who did so stays, and says of nobody who it was.
    let audit = shop.get("officer", "/audit", "", "?limit=499");
    let did = |name: &str, act: &str| {
        audit["entries"].as_array().unwrap().iter().filter(|entry| entry["name"] == name && entry["did"] == act).count()
    };
    assert_eq!((did("eraser", "erased"), did("crm", "parted"), did("crm", "joined"), did("reader", "exported")), (1, 1, 1, 1), "{audit}");
    assert!(did("reader", "listed") == 2 && did("reader", "seen") > 5 && did("reader", "found") == 1);
    assert!(!audit.to_string().contains(&id), "no id that would outlive them");
    let other = shop.found("u8").unwrap();
    shop.get("reader", "/profiles/{id}", &other, "");
    let of_one = shop.get("officer", "/audit", "", &format!("?profile={other}&limit=1"));
    assert_eq!((&of_one["entries"][0]["did"], &of_one["entries"][0]["name"]), (&json!("seen"), &json!("reader")));
    let rest = shop.get("officer", "/audit", "", &format!("?profile={other}&cursor={}", of_one["next"].as_str().unwrap()));
    assert!(rest["entries"].as_array().unwrap().iter().all(|entry| entry["did"] != "erased" && entry["did"] != "listed"));
    let shown = shop.installation.run(&["profile", "show", &other, "--author", "carla", "--site", "shop"]);
    assert!(shown.status.success());
    let told = String::from_utf8(shop.installation.run(&["profile", "audit", "--profile", &other, "--most", "2", "--site", "shop"]).stdout)
        .unwrap();
    assert!(told.lines().nth(1).unwrap().contains("carla") && told.lines().nth(2).unwrap().contains("key reader"), "{told}");

    // What is restricted is there for nobody but its person.
    let mut restrict = shop.installation.command(&["person", "restrict", "--by", "account", "--site", "shop", "--author", "carla"]);
    let mut restrict = restrict.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    restrict.stdin.take().unwrap().write_all(b"u8\n").unwrap();
    assert!(restrict.wait().unwrap().success());
    let path = "/profiles/{id}/timeline";
    eventually("that it is not used", PATIENCE, || shop.ask("reader", "GET", path, &other, "", None).0 == 404);
    for path in ["/profiles/{id}", "/profiles/{id}/export"] {
        assert_eq!(shop.ask("reader", "GET", path, &other, "", None).0, 404, "{path}");
    }
    assert_eq!((shop.found("u8"), shop.ask("crm", "POST", "/profiles/{id}/link", &other, "", Some(reason)).0), (None, 404));
    assert_eq!(shop.get("reader", "/profiles", "", "")["profiles"].as_array().unwrap().len(), 1);
    for (method, path) in [("GET", "/profiles/{id}/receivers"), ("DELETE", "/profiles/{id}")] {
        assert_eq!(shop.ask("eraser", method, path, &other, "", None).0, 404, "who had it restricted may want it kept");
    }
    let newest = shop.get("officer", "/audit", "", "?limit=100")["entries"].clone();
    let did = newest.as_array().unwrap().iter().find(|entry| entry["name"] == "carla" && entry["did"] != "seen").unwrap();
    assert_eq!((&did["did"], &did["by"], &did["profiles"]), (&json!("restricted"), &json!("command_line"), &json!(1)));

    writes::contacts_consents_and_rights(&shop);

    shop.check_against_the_document();
    let printed = fs::read_to_string(shop.installation.path().join("stderr")).unwrap_or_default();
    assert!(!printed.contains("u7") && !printed.contains("fhp_") && !printed.contains("mail.example"), "{printed}");
    assert!(shop.server.stop().success());
}

#[test]
fn who_has_no_key_or_another_ones_learns_nothing() {
    let shop = Shop::open();
    shop.customer(1, "u7");
    let id = shop.wait_for("u7", 2);
    let one = format!("/api/v1/profiles/{id}");
    let unknown = format!("/api/v1/profiles/{UNKNOWN}");
    let answered = |request: &Request| {
        let answer = shop.send(request);
        (answer.status, answer.text())
    };

    // A stranger: the same for what is there and what is not.
    let stranger = answered(&request("", "GET", &one, None));
    assert_eq!(stranger.0, 401);
    for path in [unknown.as_str(), "/api/v1/profiles", "/api/v1/openapi.json", "/api/v1/nothing", "/api/", "/api/v1/audit"] {
        for key in ["", "nobody", "ended", "%00", "crm2"] {
            assert_eq!(answered(&request(key, "GET", path, None)), stranger, "{key} {path}");
        }
    }
    assert_eq!(answered(&request("", "DELETE", &one, None)), stranger);
    assert_eq!(answered(&request("", "OPTIONS", &one, None)), stranger);
    assert_eq!(answered(&request("", "POST", "/api/v1/profiles/find", Some(&json!({ "account": "u7" })))), stranger);

    // Another site's key sees nothing of it, and the same as of what there is not.
    let nothing = answered(&request("other", "GET", &unknown, None));
    assert_eq!(nothing.0, 404);
    for (method, path) in [
        ("GET", one.clone()),
        ("DELETE", one.clone()),
        ("GET", format!("{one}/timeline")),
        ("GET", format!("{one}/export")),
        ("GET", format!("{one}/contact")),
    ] {
        assert_eq!(answered(&request("other", method, &path, None)), nothing, "{method} {path}");
    }
    let reason = json!({ "reason": "curious" });
    assert_eq!(answered(&request("other", "POST", &format!("{one}/unlink"), Some(&reason))), nothing);
    assert_eq!(answered(&request("other", "GET", "/api/v1/profiles", None)), (200, String::from("{\"profiles\":[]}")));
    let found = answered(&request("other", "POST", "/api/v1/profiles/find", Some(&json!({ "account": "u7" }))));
    assert_eq!(found, (200, String::from("{\"profiles\":[]}")));
    let audit: Value = serde_json::from_str(&answered(&request("other", "GET", "/api/v1/audit", None)).1).unwrap();
    assert!(audit["entries"].as_array().unwrap().iter().all(|entry| entry["name"] == "other"), "{audit}");

    // A key for something else: refused before anything is looked for.
    let refused = answered(&request("officer", "GET", &one, None));
    assert_eq!(refused.0, 403);
    for (key, method, path) in [
        ("officer", "GET", &unknown),
        ("writer", "GET", &one),
        ("sender", "GET", &one),
        ("eraser", "GET", &one),
        ("crm", "DELETE", &one),
        ("eraser", "POST", &String::from("/api/v1/contacts")),
        ("reader", "GET", &format!("{one}/contact")),
        ("contacts", "GET", &format!("{one}/contact")),
        ("contacts", "POST", &String::from("/api/v1/consents/grant")),
        ("contacts", "POST", &String::from("/api/v1/consents/withdraw")),
        ("consents", "POST", &String::from("/api/v1/rights/restrict")),
        ("consents", "POST", &String::from("/api/v1/rights/lift")),
        ("crm", "POST", &String::from("/api/v1/rights/object")),
        ("reader", "DELETE", &unknown),
    ] {
        assert_eq!(answered(&request(key, method, path, None)), refused, "{key} {method}");
    }
    assert_eq!(answered(&request("crm", "POST", "/api/v1/events", Some(&json!({ "event": "x", "messageId": "1" })))), refused);
    assert_eq!(answered(&request("reader", "GET", "/api/v1/audit", None)), refused);
    // A key of the API is none of the backend's, nor the other way round.
    let as_backend = Request { path: String::from("/keso/v1/events"), ..Request::beacon("{\"event\":\"x\",\"messageId\":\"1\"}") };
    assert_eq!(shop.server.send(&as_backend.with("Authorization", "Bearer fhp_sender")).status, 401);

    // Ids that are guessed, and ones that are none.
    for id in ["0", "..", "%2e%2e", &id[..31], &id.replace('a', "b").replace('0', "1"), "'; --", "0000000000000000.x"] {
        let id = id.replace(' ', "%20");
        assert_eq!(answered(&request("reader", "GET", &format!("/api/v1/profiles/{id}"), None)).0, 404, "{id}");
    }
    // A page in a browser, whatever it brings; another name for this machine.
    for (name, value) in
        [("Origin", "https://www.shop.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")]
    {
        assert_eq!(shop.send(&request("reader", "GET", &one, None).with(name, value)).status, 403, "{name}: {value}");
    }
    assert_eq!(shop.send(&request("reader", "GET", &one, None).instead("Host", "attacker.example")).status, 421);

    // Bodies: too large, of another type, not what is asked for; and nothing of them is said again.
    let find = |body: &Value| request("reader", "POST", "/api/v1/profiles/find", Some(body));
    let large = json!({ "account": "x".repeat(70_000) });
    assert_eq!(shop.send(&find(&large)).status, 413);
    assert_eq!(shop.send(&find(&json!({ "account": "x".repeat(5_000) }))).status, 400);
    assert_eq!(shop.send(&find(&json!({ "account": "u7" })).instead("Content-Type", "text/plain")).status, 415);
    for wrong in
        [json!({}), json!([]), json!({ "account": 7 }), json!({ "account": "u7", "jane": 1 }), json!({ "account": "u7", "cookie": "x" })]
    {
        let (status, said) = answered(&find(&wrong));
        assert!(status == 400 && !said.contains("jane") && !said.contains("u7"), "{said}");
    }
    // Nothing of all that was written down as seen, and nothing is in a log.
    let seen = "SELECT count(*) FROM profile_audit WHERE name IN ('officer', 'writer', 'sender', 'eraser', 'ended')";
    assert_eq!(shop.installation.number("state.db", seen), 0);

    // A key that is revoked is none within a second.
    assert!(shop.installation.run(&["api-key", "revoke", "reader"]).status.success());
    eventually("that the key has ended", PATIENCE, || shop.send(&request("reader", "GET", &one, None)).status == 401);
    // And who tries keys is slowed down; whoever has one is not.
    let tried = (0..100).filter(|_| shop.send(&request("nobody", "GET", &one, None)).status == 429).count();
    assert!(tried > 20, "{tried}");
    assert_eq!(shop.send(&request("crm", "GET", &one, None)).status, 200);
    assert!(shop.server.stop().success());
}

#[test]
fn keys_are_made_listed_and_revoked_by_command() {
    let installation = Installation::new(SITE);
    let run = |arguments: &[&str]| {
        let output = installation.run(arguments);
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (made, told) = run(&["api-key", "make", "crm", "--scope", "profiles:read,audit:read", "--days", "30"]);
    let key = told.split_whitespace().find(|word| word.starts_with("fhp_")).unwrap().to_owned();
    assert!(made && key.len() == 47, "{told}");
    let (_, listed) = run(&["api-key", "list"]);
    assert!(listed.contains("crm") && listed.contains("profiles:read, audit:read") && !listed.contains(&key), "{listed}");
    let (_, exported) = run(&["export"]);
    assert!(exported.contains(&fingerprint(&key)) && !exported.contains(&key));
    let (again, told) = run(&["api-key", "make", "crm", "--scope", "profiles:read"]);
    assert!(!again && told.contains("already"), "{told}");
    let (wrong, told) = run(&["api-key", "make", "other", "--scope", "profile:read"]);
    assert!(!wrong && told.contains("did you mean \"profiles:read\""), "{told}");
    assert!(run(&["api-key", "revoke", "crm"]).0 && !run(&["api-key", "revoke", "crm"]).0);
    assert!(run(&["api-key", "list"]).1.contains("There is no key"));
    let (_, words) = run(&["api"]);
    assert!(words.contains("DELETE /api/v1/profiles/{id}") && words.contains("profiles:erase"), "{words}");
}
