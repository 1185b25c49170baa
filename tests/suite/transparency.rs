//! The transparency page and `gpc.json` of a real installation: what a visitor sees follows the documents in force, their own consent and
//! its reference, and the button that needs no script does what an objection does.

use std::time::Duration;

use rusqlite::Connection as Database;
use serde_json::Value;

use crate::{
    http_client::{Answer, Request},
    installation::{Installation, Running, SITE, eventually, file_destination},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn documents(transform: &str) -> String {
    [
        SITE.to_owned(),
        file_destination("customers", "consent", "consented-analytics"),
        file_destination("count", "exempt_measurement", transform),
    ]
    .concat()
}

fn page(server: &Running, headers: &[(&str, &str)]) -> Answer {
    let request = Request::get("/keso/about").instead("Host", "www.shop.example");
    server.send(&headers.iter().fold(request, |request, (name, value)| request.with(name, value)))
}

fn press(server: &Running, button: &str, cookie: &str) -> Answer {
    let mut request = Request::beacon("").with("Cookie", cookie).instead("Content-Type", "application/x-www-form-urlencoded");
    request.path = format!("/keso/about/{button}");
    server.send(&request)
}

fn last_record(installation: &Installation) -> (String, String) {
    let state = Database::open(installation.data().join("state.db")).unwrap();
    state.busy_timeout(Duration::from_secs(5)).unwrap();
    let select = "SELECT lower(hex(consent)), said FROM consent_proof ORDER BY number DESC LIMIT 1";
    state.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn a_visitor_sees_their_consent_and_withdraws_it_without_a_script() {
    let installation = Installation::new(&documents("strict"));
    let server = installation.start();
    let granted = server.send(&Request::beacon(r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#));
    let cookie = granted.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned();
    let (reference, _) = last_record(&installation);
    let opened = page(&server, &[("Cookie", &cookie), ("Sec-Fetch-Dest", "document")]).text();
    assert!(opened.contains("You agreed</strong> to audience analysis") && opened.replace('-', "").contains(&reference));
    // A script's fetch, a frame, a browser that does not say: they get the page without the reference.
    for destination in [Some("empty"), Some("iframe"), None] {
        let mut headers = vec![("Cookie", cookie.as_str())];
        headers.extend(destination.map(|destination| ("Sec-Fetch-Dest", destination)));
        let text = page(&server, &headers).text();
        assert!(text.contains("You agreed</strong>") && !text.replace('-', "").contains(&reference), "{destination:?}");
    }
    let secret = cookie.split_once('=').unwrap().1;
    assert!(!opened.contains(secret), "the cookie's value is not on the page");

    let out = press(&server, "out", &cookie);
    assert_eq!((out.status, out.header("location")), (303, Some("../about")));
    let cookies = out.all("set-cookie");
    assert!(
        cookies.iter().any(|cookie| cookie.starts_with("__Host-w=;")) && cookies.iter().any(|cookie| cookie.starts_with("__Host-wo=1;"))
    );
    assert_eq!(last_record(&installation), (reference, String::from("opted_out")));
    assert_eq!(installation.number("keys.db", "SELECT count(*) FROM persons"), 0);
    let after = page(&server, &[("Cookie", "__Host-wo=1"), ("Sec-Fetch-Dest", "document")]).text();
    assert!(after.contains("You have opted out") && after.contains("action=\"about/in\""));
    let back = press(&server, "in", "__Host-wo=1");
    assert!(back.header("set-cookie").is_some_and(|cookie| cookie.starts_with("__Host-wo=;") && cookie.contains("Max-Age=0")));
    assert!(page(&server, &[("Sec-GPC", "1")]).text().contains("Your browser sends Global Privacy Control"));
    assert!(server.stop().success());
}

#[test]
fn the_page_is_what_the_documents_say_now() {
    let installation = Installation::new(&documents("strict"));
    let server = installation.start();
    assert!(page(&server, &[]).text().contains("an id of this one event"));
    installation.apply(&documents("measurement"));
    eventually("the page of the changed documents", PATIENCE, || page(&server, &[]).text().contains("an id that lives one day"));
    assert!(server.stop().success());
}

#[test]
fn a_browser_that_asks_is_told_that_its_signal_is_honoured_and_since_when() {
    let installation = Installation::new(&documents("strict"));
    let server = installation.start();
    let ask = |host: &str| server.send(&Request::get("/.well-known/gpc.json").instead("Host", host));
    let day = installation.number("state.db", "SELECT at / 1000 FROM document_versions WHERE kind = 'site'");
    let day = jiff::Timestamp::from_second(day).unwrap().strftime("%Y-%m-%d").to_string();
    for host in ["www.shop.example", "127.0.0.1"] {
        let answer: Value = serde_json::from_slice(&ask(host).body).unwrap();
        assert_eq!(answer, serde_json::json!({ "gpc": true, "lastUpdate": day }));
    }
    assert_eq!(ask("elsewhere.example").status, 404);
    assert!(server.stop().success());
}
