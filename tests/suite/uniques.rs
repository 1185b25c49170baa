//! Visitors and visits in our own count, through the program as a whole; and what the ids' length follows from.

use std::{collections::HashMap, time::Duration};

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, eventually, file_destination},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn view(address: usize, said: &str) -> Request {
    Request::beacon(format!(r#"{{{said}"e":[{{"k":"page_view"}}]}}"#)).with("X-Forwarded-For", &format!("192.0.2.{address}"))
}

/// Visitors and visits of the day, as the admin listener says.
fn counted(server: &Running) -> (u64, u64) {
    let site = &server.overview()["sites"][0];
    (site["visitors"].as_u64().unwrap(), site["visits"].as_u64().unwrap())
}

#[test]
fn a_visitor_who_consents_is_still_one_and_a_restart_forgets_none_of_the_count() {
    let documents = [
        SITE.to_owned(),
        file_destination("strict", "exempt_measurement", "strict"),
        file_destination("customers", "consent", "consented-analytics"),
    ];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    for address in 1..=3 {
        assert_eq!(server.send(&view(address, "")).status, 204);
        assert_eq!(server.send(&view(address, "")).status, 204);
    }
    assert_eq!(counted(&server), (3, 3));
    let yes = server.send(&view(1, r#""g":["analytics"],"#));
    let cookie = yes.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned();
    assert_eq!(server.send(&view(1, r#""g":["analytics"],"#).with("Cookie", &cookie)).status, 204);
    assert_eq!(counted(&server), (3, 3), "before and after the choice it is the same visitor");
    assert_eq!(server.send(&view(9, r#""g":[],"#)).status, 204);
    assert_eq!(counted(&server), (3, 3), "who objects is not counted");
    assert!(server.stop().success());

    let server = installation.start();
    eventually("the count of before", PATIENCE, || counted(&server) == (3, 3));
    assert_eq!(server.send(&view(2, "")).status, 204);
    assert_eq!(counted(&server), (4, 4), "the day's key is another one: they cannot be known again, which epoch breaks say");
    assert_eq!(server.overview()["sites"][0]["epoch_breaks"], 1);
    assert!(server.stop().success());
    assert_eq!(installation.number("state.db", "SELECT visitors FROM daily_uniques"), 4);
}

#[test]
fn from_enough_visitors_a_day_on_strict_ids_are_shared_by_most() {
    let installation = Installation::new(&(SITE.to_owned() + &file_destination("strict", "exempt_measurement", "strict")));
    let server = installation.start();
    let day = installation.number("state.db", "SELECT max(epoch) FROM epoch_starts");
    installation.change("state.db", &format!("INSERT INTO daily_uniques VALUES (1, {}, 6800, 9000)", day - 1));
    const VISITORS: usize = 250;
    for address in 1..=VISITORS {
        assert_eq!(server.send(&view(address, "")).status, 204);
        assert_eq!(server.send(&view(address, "")).status, 204);
    }
    eventually("all have left", PATIENCE, || installation.outbox("strict").len() == 2 * VISITORS);
    assert!(server.stop().success());
    let mut views: HashMap<String, usize> = HashMap::new();
    for event in installation.outbox("strict") {
        let id = event["visitor_id"].as_str().unwrap().to_owned();
        assert!(u64::from_str_radix(&id, 16).unwrap() < 1 << 12, "12 bits for 6,800 visitors: {id}");
        assert!(event["session_id"].is_string());
        *views.entry(id).or_default() += 1;
    }
    assert!(views.values().all(|count| count % 2 == 0), "both views of a visitor have one id");
    assert!(views.len() < VISITORS, "{} ids of {VISITORS} visitors", views.len());
}
