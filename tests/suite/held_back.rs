//! A destination that gets a day's events when the day is over, through the program as a whole: kills and restarts in the middle of the day and
//! behind it. Nothing leaves early, nothing twice, and what was decided stays decided.
//!
//! No clock is turned: the site moves from the world's last time zone to its first, where it is always another day.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, WITHOUT_CROWDS, eventually, file_destination},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// A courier has looked at what there is by then: it is told at once.
const LOOKED: Duration = Duration::from_millis(1_500);
/// UTC-11 and UTC+14: 25 hours apart.
const LAST: &str = "Pacific/Pago_Pago";
const FIRST: &str = "Pacific/Kiritimati";
const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const OPERA: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0";

fn documents(time_zone: &str) -> String {
    let daily = file_destination("daily", "exempt_measurement", "measurement").replace("transform = ", "release = \"daily\"\ntransform = ");
    let at_once = file_destination("at-once", "exempt_measurement", "measurement");
    SITE.replace(WITHOUT_CROWDS, "").replace("Europe/Paris", time_zone) + &at_once + &daily
}

/// A page view of each of these visitors.
fn visits(server: &Running, hosts: std::ops::RangeInclusive<u8>, agent: &str) {
    for host in hosts {
        let view = Request::beacon(r#"{"e":[{"k":"page_view","p":"https://www.shop.example/shoes"}]}"#);
        assert_eq!(server.send(&view.with("X-Forwarded-For", &format!("192.0.2.{host}")).instead("User-Agent", agent)).status, 204);
    }
}

/// What the destination has got, when nothing more can be on its way.
fn got(installation: &Installation, others: usize) -> Vec<Value> {
    eventually("all of it at the destination that waits for nothing", PATIENCE, || installation.outbox("at-once").len() == others);
    std::thread::sleep(LOOKED);
    installation.outbox("daily")
}

fn browsers(events: &[Value]) -> Vec<&str> {
    let mut browsers: Vec<&str> = events.iter().map(|event| event["device"]["browser"].as_str().unwrap()).collect();
    browsers.sort_unstable();
    browsers
}

fn ids(events: &[Value]) -> BTreeSet<&str> {
    events.iter().map(|event| event["event_id"].as_str().unwrap()).collect()
}

/// Where the destination's courier stands, and what it has decided, as they rest.
fn at_rest(installation: &Installation) -> (i64, i64) {
    let decided = installation.number("state.db", "SELECT count(*) FROM crowd_decisions");
    (decided, installation.ledger_offsets("daily"))
}

#[test]
fn a_day_that_is_held_back_survives_kills_and_leaves_once() {
    let installation = Installation::new(&documents(LAST));
    let server = installation.start();
    visits(&server, 1..=24, CHROME);
    assert_eq!(got(&installation, 24), Vec::<Value>::new(), "the day is not over");
    let objection = Request::beacon(r#"{"o":1}"#).with("X-Forwarded-For", "192.0.2.24").instead("User-Agent", CHROME);
    assert_eq!(server.send(&objection).status, 204);
    server.kill();

    // In the middle of the day: what waits is found again, and waits.
    let server = installation.start();
    visits(&server, 25..=30, OPERA);
    assert_eq!(got(&installation, 30), Vec::<Value>::new(), "nor is it after a restart");
    assert_eq!(at_rest(&installation), (0, 0), "nothing is decided and nothing has ended");
    assert!(server.stop().success());

    // The day is over now.
    installation.apply(&documents(FIRST));
    let server = installation.start();
    eventually("the day", PATIENCE, || installation.outbox("daily").len() == 29);
    let day = installation.outbox("daily");
    assert_eq!(browsers(&day), [vec!["chrome"; 23], vec!["other"; 6]].concat(), "six are no crowd, and one has objected");
    assert_eq!(ids(&day).len(), 29, "each once");
    // What comes now belongs to a day that is not over, however many they are.
    visits(&server, 31..=60, OPERA);
    assert_eq!(got(&installation, 60), day);
    eventually("the ledger", PATIENCE, || at_rest(&installation) == (1, 30));
    let decided = || installation.number("state.db", "SELECT sum(length(decision)) FROM crowd_decisions");
    let before = decided();
    server.kill();

    let server = installation.start();
    assert_eq!(got(&installation, 60), day, "behind a kill nothing of the day leaves again, and nothing of the next");
    assert_eq!((at_rest(&installation), decided()), ((1, 30), before), "what was decided stays decided");
    assert!(server.stop().success());
}
