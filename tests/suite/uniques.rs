//! Visitors and visits in our own count, through the program as a whole; and what the ids' length follows from.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use firsthand::{
    clock::Timestamp,
    event::{Epoch, SiteNumber},
    privacy::record::Subject,
};
use serde_json::Value;

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, eventually, file_destination},
    line::{Became, Line, RawRequest},
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

/// One page view of a visitor without consent at this moment: its epoch, every string that rests in its body, and every string that leaves.
fn seen(line: &Line, address: u8, moment: &str) -> (Epoch, BTreeSet<String>, BTreeSet<String>) {
    let now = Timestamp(moment.parse::<jiff::Timestamp>().unwrap().as_millisecond());
    let request = RawRequest::beacon([192, 0, 2, address].into(), String::from(r#"{"e":[{"k":"page_view"}]}"#));
    let received = line.receive(&request, now);
    let [Became::Clean(clean)] = &received.events[..] else { panic!("one event is let in") };
    let Subject::Token(token) = clean.header.subject else { panic!("without consent there is a token") };
    let (epoch, mut rests) = (clean.header.epoch, BTreeSet::from([format!("{token:?}")]));
    ids(&clean.body, &mut rests);
    let offset = line.append(0, received).expect("it is stored");
    let record = &line.records(0, offset)[0];
    let mut leaves = BTreeSet::new();
    for (_, text) in line.disclosures(record, now) {
        ids(&serde_json::from_str(&text).unwrap(), &mut leaves);
    }
    (epoch, rests, leaves)
}

/// The values under keys that name an id or a session.
fn ids(value: &Value, found: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        if key.ends_with("id") || key.contains("session") {
            found.insert(value.to_string());
        }
        ids(value, found);
    }
}

/// A visit over midnight is one in our own count, and nothing that rests or leaves of its two halves has an id in common.
#[test]
fn a_visit_over_midnight_is_counted_once_and_its_halves_cannot_be_joined() {
    const SHOP: SiteNumber = SiteNumber(1);
    let documents = SITE.to_owned()
        + &file_destination("measured", "exempt_measurement", "measurement")
        + &file_destination("strict", "exempt_measurement", "strict");
    let line = Line::new(&documents, 1);
    let counted = |epoch| line.uniques.estimate(SHOP, epoch).map(|day| (day.visitors, day.visits)).unwrap();
    // Midnight in Paris is 23:00 in UTC. The first visitor goes on over it, the second comes back after 31 minutes.
    let (today, rests, leaves) = seen(&line, 1, "2026-11-23T22:50:00Z");
    let again = seen(&line, 1, "2026-11-23T22:55:00Z");
    assert!(leaves.intersection(&again.2).count() >= 2, "within the day, visitor and session are known again");
    seen(&line, 2, "2026-11-23T22:50:00Z");
    assert_eq!(counted(today), (2, 2));

    let (tomorrow, rests_then, leave_then) = seen(&line, 1, "2026-11-23T23:05:00Z");
    assert_eq!(tomorrow.0, today.0 + 1);
    assert_eq!(counted(tomorrow), (1, 0), "a visitor of the new day, on the visit of the day before");
    assert!(!rests.is_empty() && !leaves.is_empty());
    assert_eq!((rests.intersection(&rests_then).count(), leaves.intersection(&leave_then).count()), (0, 0));
    let after = seen(&line, 1, "2026-11-23T23:25:00Z");
    assert!(leave_then.intersection(&after.2).count() >= 2, "and the new day's halves belong together");
    assert_eq!(counted(tomorrow), (1, 0));

    seen(&line, 2, "2026-11-23T23:21:00Z");
    assert_eq!(counted(tomorrow), (2, 1), "after half an hour's rest it is another visit");
    seen(&line, 3, "2026-11-23T23:21:00Z");
    seen(&line, 1, "2026-11-23T23:56:00Z");
    assert_eq!(counted(tomorrow), (3, 3), "a visitor who is new, and a visit after a rest");
    assert_eq!(counted(today), (2, 2));
}

/// The same where another process takes over in the minutes before and after.
#[test]
fn a_visit_over_midnight_goes_on_in_the_process_that_takes_over() {
    const SHOP: SiteNumber = SiteNumber(1);
    let documents = SITE.to_owned() + &file_destination("measured", "exempt_measurement", "measurement");
    let [first, second, third] = [0; 3].map(|_| Line::new(&documents, 1));
    let at = |moment: &str| Timestamp(moment.parse::<jiff::Timestamp>().unwrap().as_millisecond());
    let counted = |line: &Line, epoch| line.uniques.estimate(SHOP, epoch).map(|day| (day.visitors, day.visits)).unwrap();
    let (today, rests, _) = seen(&first, 1, "2026-11-23T22:50:00Z");
    second.take_over(&first, at("2026-11-23T22:52:00Z"));
    let (_, rests_there, _) = seen(&second, 1, "2026-11-23T22:55:00Z");
    assert_eq!(rests, rests_there, "the same token, the same session");
    assert_eq!(counted(&second, today), (1, 1), "the same visitor, the same visit");
    third.take_over(&second, at("2026-11-23T23:02:00Z"));
    let (tomorrow, rests_then, _) = seen(&third, 1, "2026-11-23T23:05:00Z");
    assert_eq!((counted(&third, today), counted(&third, tomorrow)), ((1, 1), (1, 0)));
    assert_eq!(rests.intersection(&rests_then).count(), 0);
    // Without a process before it the visit is another one.
    let (_, others, _) = seen(&Line::new(&documents, 1), 1, "2026-11-23T22:55:00Z");
    assert_eq!(rests.intersection(&others).count(), 0);
}
