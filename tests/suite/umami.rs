//! Destination `umami` against Umami's own server on a real PostgreSQL (`tests/receivers/umami/`): what is sent is stored and reported, and what
//! the ledger counts is what Umami counts.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    http_client::{Connection, Request},
    installation::{Installation, Running, SITE, destination, eventually},
    left_out::left_out,
    real_postgres::{PASSWORD, ROLE, RealPostgres},
};

/// Its routes are compiled when they are first asked for, beside other tests.
const PATIENCE: Duration = Duration::from_secs(120);
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receivers/umami");
/// A website that it does not know.
const NOBODYS: &str = "11111111-2222-4333-8444-555555555555";

/// The server, in a process of its own that ends with this.
struct Umami {
    server: Child,
    address: SocketAddr,
    token: String,
}

impl Umami {
    fn start(postgres: &RealPostgres) -> Self {
        if !Path::new(HOME).join("node_modules/next").is_dir() {
            let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps", "--prefix", HOME];
            assert!(Command::new("npm").args(arguments).status().unwrap().success());
        }
        let mut server = Command::new("node")
            .arg("serve.mjs")
            .current_dir(HOME)
            .env("DATABASE_URL", format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/analytics", postgres.port))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("Umami's server says its port");
        // What it would do itself, with a program that is not to be had from the registry.
        let mut steps: Vec<_> =
            std::fs::read_dir(Path::new(HOME).join("target/db/postgresql/migrations")).unwrap().map(|step| step.unwrap().path()).collect();
        steps.sort();
        for step in steps.iter().filter(|step| step.is_dir()) {
            postgres.ask(&std::fs::read_to_string(step.join("migration.sql")).unwrap());
        }
        let mut umami = Self { server, address: ([127, 0, 0, 1], port).into(), token: String::new() };
        let said = umami.asks("POST", "/api/auth/login", &json!({ "username": "admin", "password": "umami" }));
        umami.token = said["token"].as_str().expect("a token").to_owned();
        umami
    }

    fn asks(&self, method: &'static str, path: &str, body: &Value) -> Value {
        let request = Request { method, body: body.to_string().into_bytes(), ..Request::get(path) };
        let request = request.with("Content-Type", "application/json").with("Authorization", &format!("Bearer {}", self.token));
        let mut said = None;
        eventually("an answer of Umami's", PATIENCE, || {
            said = Connection::open(self.address).and_then(|mut connection| connection.exchange(&request)).ok();
            said.is_some()
        });
        let answer = said.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }
}

impl Drop for Umami {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn say(server: &Running, visitor: &str, events: &Value) {
    let beacon = Request::beacon(json!({ "g": ["analytics"], "e": events }).to_string()).with("X-Forwarded-For", visitor);
    assert_eq!(server.send(&beacon).status, 204);
}

fn ended(installation: &Installation, destination: &str, wanted: &str) -> i64 {
    installation.ledger(destination).iter().filter(|(state, ..)| state == wanted).map(|(.., events)| events).sum()
}

#[test]
#[ignore = "needs node and npm: run by tests/run"]
fn umamis_own_server_stores_and_reports_what_is_sent_and_counts_as_the_ledger_does() {
    let Some(postgres) = RealPostgres::start() else {
        left_out("destination umami", "PostgreSQL is not installed here");
        return;
    };
    let umami = Umami::start(&postgres);
    let website =
        umami.asks("POST", "/api/websites", &json!({ "name": "shop", "domain": "www.shop.example" }))["id"].as_str().unwrap().to_owned();
    let settings = |website: &str| format!("settings = {{ url = \"http://{}\", website = \"{website}\" }}", umami.address);
    let documents = [
        SITE.to_owned(),
        destination("umami", "umami", "consent", "consented-analytics", &settings(&website)),
        destination("mistaken", "umami", "consent", "consented-analytics", &settings(NOBODYS)),
    ];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    let page = |path: &str| format!("https://www.shop.example{path}");
    let view = |path: &str| json!({ "k": "page_view", "p": page(path) });
    let item = json!({ "id": "LK-bowl", "name": "Wide bowl", "price": 24, "quantity": 2 });
    let purchase = json!({ "k": "purchase", "p": page("/thanks"), "x": "LK-1", "v": 48, "m": "EUR", "y": [item] });
    say(&server, "192.0.2.1", &json!([view("/shoes?utm_source=letter&utm_medium=email"), view("/basket"), view("/thanks"), purchase]));
    say(&server, "192.0.2.2", &json!([view("/shoes"), view("/basket")]));
    say(
        &server,
        "192.0.2.3",
        &json!([view("/"), { "k": "newsletter_opened", "p": page("/"), "d": { "plan": "gold", "number": 7, "gift": true } }]),
    );
    let sent = 8;
    eventually("an end of everything", PATIENCE, || ended(&installation, "umami", "accepted_unproven") == sent);

    // Its tables.
    let one = |what: &str| postgres.ask(&format!("SELECT {what} FROM website_event WHERE website_id = '{website}'"));
    assert_eq!(one("count(*), count(*) FILTER (WHERE event_type = 1), count(*) FILTER (WHERE event_type = 2)"), format!("{sent}|6|2"));
    assert_eq!(one("count(DISTINCT session_id)"), "3", "each visitor is one there");
    assert_eq!(one("string_agg(DISTINCT url_path, ' ' ORDER BY url_path)"), "/ /basket /shoes /thanks");
    let query = one("string_agg(DISTINCT url_query, ' ') FILTER (WHERE url_query <> '')");
    assert_eq!(query.split('&').collect::<std::collections::BTreeSet<_>>(), ["utm_medium=email", "utm_source=letter"].into());
    let sessions = "SELECT DISTINCT hostname, browser, os, language, country FROM session";
    assert_eq!(postgres.ask(sessions).lines().count(), 1, "a class of device, and nobody's place: {}", postgres.ask(sessions));
    assert!(postgres.ask(sessions).starts_with("www.shop.example|chrome|Linux|"), "{}", postgres.ask(sessions));
    let data = "SELECT string_agg(event_key || '=' || coalesce(trim_scale(number_value)::text, string_value), ' ' ORDER BY event_key) \
                FROM event_data JOIN website_event ON event_id = website_event_id WHERE event_name =";
    let of_newsletter = postgres.ask(&format!("{data} 'newsletter_opened'"));
    assert_eq!(of_newsletter, "gift=true number=7 plan=gold");
    let of_purchase = postgres.ask(&format!("{data} 'purchase'"));
    for said in ["currency=EUR", "value=48", "LK-bowl"] {
        assert!(of_purchase.contains(said), "{of_purchase}");
    }

    // Its reports.
    let range = "startAt=0&endAt=4102444800000";
    let stats = umami.asks("GET", &format!("/api/websites/{website}/stats?{range}"), &Value::Null);
    assert_eq!((&stats["pageviews"]["value"], &stats["uniques"]["value"]), (&json!(6), &json!(3)), "{stats}");
    let metrics = |kind: &str| umami.asks("GET", &format!("/api/websites/{website}/metrics?type={kind}&{range}"), &Value::Null);
    let of = |metrics: &Value, name: &str| metrics.as_array().unwrap().iter().find(|row| row["x"] == name).map(|row| row["y"].clone());
    let (pages, events) = (metrics("url"), metrics("event"));
    assert_eq!((of(&pages, "/shoes"), of(&pages, "/basket")), (Some(json!(2)), Some(json!(2))), "{pages}");
    assert_eq!((of(&events, "purchase"), of(&events, "newsletter_opened")), (Some(json!(1)), Some(json!(1))), "{events}");

    // A website that it does not know: it says so, event by event, and so does the ledger.
    eventually("an end of the other's", PATIENCE, || ended(&installation, "mistaken", "rejected") == sent);
    assert_eq!(postgres.ask("SELECT count(*) FROM website_event"), sent.to_string());
    assert!(server.stop().success());
}
