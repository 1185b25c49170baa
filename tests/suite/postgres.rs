//! Destination `postgres` against a real PostgreSQL: each event is one row there, however often it is sent, and what the ledger counts is
//! what the table has.

use std::{fs, time::Duration};

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, destination, eventually},
    left_out::left_out,
    real_postgres::{PASSWORD, ROLE, RealPostgres},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn started() -> Option<RealPostgres> {
    let postgres = RealPostgres::start();
    if postgres.is_none() {
        left_out("destination postgres", "PostgreSQL is not installed here");
    }
    postgres
}

fn documents(postgres: &RealPostgres, table: &str) -> String {
    let settings = format!(
        "settings = {{ url = \"postgres://127.0.0.1:{}/analytics\", user = \"{ROLE}\", password = \"file:password\", table = \"{table}\" }}",
        postgres.port
    );
    [SITE, &destination("own", "postgres", "exempt_measurement", "measurement", &settings)].concat()
}

/// The program with that destination; its secret is a file beside its configuration.
fn installation(postgres: &RealPostgres, table: &str) -> Installation {
    let installation = Installation::without_documents();
    let password = installation.write("password", PASSWORD);
    let documents = documents(postgres, table).replace("file:password", &format!("file:{}", password.display()));
    installation.write("documents.toml", &documents);
    let applied = installation.run(&["apply", "documents.toml"]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    installation
}

fn view(server: &Running, number: u32) {
    let body = format!(r#"{{"e":[{{"k":"page_view","i":"view-{number}","p":"https://www.shop.example/shoes?utm_source=letter"}}]}}"#);
    assert_eq!(server.send(&Request::beacon(body).with("X-Forwarded-For", "192.0.2.1")).status, 204);
}

fn accepted(installation: &Installation) -> i64 {
    installation.ledger("own").iter().filter(|(state, ..)| state == "accepted").map(|(.., events)| events).sum()
}

/// Whether someone is told that they must act. Figures are judged every ten seconds.
fn stands_still(server: &Running) -> bool {
    server.admin_page("/metrics").text().contains(r#"firsthand_alert{alert="courier_stopped",about="own"} 1"#)
}

/// How many events were handed to the carrier, also again.
fn left(server: &Running) -> u64 {
    server.overview()["destinations"][0]["left"]["events"].as_u64().unwrap()
}

#[test]
fn every_event_is_one_row_and_the_ledger_counts_the_rows() {
    let Some(mut postgres) = started() else { return };
    let installation = installation(&postgres, "firsthand_events");
    let server = installation.start();
    (0..40).for_each(|number| view(&server, number));
    eventually("forty rows", PATIENCE, || accepted(&installation) == 40);
    assert_eq!(postgres.ask("SELECT count(*), count(DISTINCT event_id), count(DISTINCT visitor_id) FROM firsthand_events"), "40|40|1");
    let row = postgres.ask(
        "SELECT site, name, event->'page'->>'path', event->'device'->>'form', time > now() - interval '1 hour', \
         event->>'visitor_id' = visitor_id FROM firsthand_events LIMIT 1",
    );
    assert_eq!(row, "shop|page_view|/shoes|desktop|t|t");
    assert!(!postgres.ask("SELECT * FROM firsthand_events").contains("192.0.2.1"));
    assert_eq!(postgres.ask("SELECT obj_description('firsthand_events'::regclass)"), "events of Firsthand, version 1");

    // The database is away for a while: nothing is lost, and nothing is there twice.
    postgres.pause();
    (40..60).for_each(|number| view(&server, number));
    eventually("a failed attempt", PATIENCE, || {
        server.admin_page("/metrics").text().contains("firsthand_delivery_lag_records{destination=\"own\"} 20")
    });
    postgres.resume();
    eventually("sixty rows", PATIENCE, || accepted(&installation) == 60);
    assert_eq!(postgres.ask("SELECT count(*) FROM firsthand_events"), "60");

    // What is sent once more is there already.
    let before = left(&server);
    let replayed = installation.run(&["replay", "own", "--state", "accepted", "--reason", "a second time"]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    eventually("sixty that left again", PATIENCE, || left(&server) >= before + 60);
    eventually("an end of all of it", PATIENCE, || {
        server.overview()["destinations"][0]["lag"] == 0 && server.overview()["destinations"][0]["in_flight"] == 0
    });
    assert!(
        installation.ledger("own").iter().all(|(state, ..)| state == "accepted"),
        "a row that is there is no fault: {:?}",
        installation.ledger("own")
    );
    assert_eq!(postgres.ask("SELECT count(*) FROM firsthand_events"), "60");
    assert!(server.stop().success(), "open connections do not keep the program");
}

#[test]
fn a_table_of_somebody_elses_is_left_alone_and_the_owner_hears_of_it() {
    let Some(postgres) = started() else { return };
    // Rows would fit into it; it is not ours for that.
    postgres.ask(
        "CREATE TABLE events (event_id uuid PRIMARY KEY, time timestamptz, site text, name text, visitor_id text, session_id text, event jsonb)",
    );
    let installation = installation(&postgres, "events");
    let server = installation.start();
    view(&server, 1);
    eventually("a stopped courier", PATIENCE, || stands_still(&server));
    assert_eq!(postgres.ask("SELECT count(*) FROM events"), "0");
    // Out of the way, its name is free.
    postgres.ask("ALTER TABLE events RENAME TO old_events");
    drop(server);
    let server = installation.start();
    eventually("one row", PATIENCE, || accepted(&installation) == 1);
    assert_eq!(postgres.ask("SELECT count(*) FROM events"), "1");
    drop(server);
}

#[test]
fn what_the_owners_own_rule_refuses_is_parked_and_the_others_are_there() {
    let Some(postgres) = started() else { return };
    let installation = installation(&postgres, "firsthand_events");
    let server = installation.start();
    view(&server, 0);
    eventually("a table", PATIENCE, || accepted(&installation) == 1);
    postgres.ask("ALTER TABLE firsthand_events ADD CHECK (name <> 'newsletter_opened')");
    let events: Vec<String> = (0..20)
        .map(|number| format!(r#"{{"k":"{}","i":"mixed-{number}"}}"#, if number == 7 { "newsletter_opened" } else { "page_view" }))
        .collect();
    let body = format!(r#"{{"e":[{}]}}"#, events.join(","));
    assert_eq!(server.send(&Request::beacon(body).with("X-Forwarded-For", "192.0.2.1")).status, 204);
    eventually("all but one", PATIENCE, || accepted(&installation) == 20);
    eventually("one that is parked", PATIENCE, || installation.ledger("own").iter().any(|(state, ..)| state == "rejected"));
    assert_eq!(postgres.ask("SELECT count(*) FROM firsthand_events"), "20");
    drop(server);
}

#[test]
fn a_wrong_password_is_nobody_elses_fault() {
    let Some(postgres) = started() else { return };
    let installation = installation(&postgres, "firsthand_events");
    fs::write(installation.path().join("password"), "another").unwrap();
    let server = installation.start();
    view(&server, 1);
    eventually("a stopped courier", PATIENCE, || stands_still(&server));
    assert!(installation.ledger("own").is_empty(), "no event is to blame");
    drop(server);
}
