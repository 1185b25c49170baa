//! What became of an event, what a destination would make of events, and sending them again: with the real binary, beside the server.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{
    http_client::{Answer, Request},
    installation::{Installation, Running, SITE, destination, eventually, file_destination},
    receiver::{Behaviour, Receiver, SECRET},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// An event of somebody who agreed, at one address.
fn agreed(server: &Running, number: usize, name: &str, cookie: Option<&str>) -> Answer {
    let beacon = json!({ "g": ["analytics"], "e": [{ "k": name, "d": { "number": number } }] });
    let request = Request::beacon(beacon.to_string()).with("X-Forwarded-For", &format!("192.0.2.{}", number % 250 + 1));
    let request = cookie.into_iter().fold(request, |request, cookie| request.with("Cookie", cookie));
    let answer = server.send(&request);
    assert_eq!(answer.status, 204, "{}", answer.text());
    answer
}

/// The visitor's cookie, as the browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("a visitor who agrees gets a cookie");
    set.split(';').next().unwrap().to_owned()
}

fn run(installation: &Installation, arguments: &[&str]) -> Result<String, String> {
    let output = installation.run(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn trace(installation: &Installation, event: &str) -> Value {
    serde_json::from_str(&run(installation, &["trace", "--json", event]).unwrap()).unwrap()
}

/// How events ended at a destination by the ledger's counts, and that its rows say the same.
fn ends(installation: &Installation, name: &str) -> BTreeMap<String, i64> {
    let mut ends = BTreeMap::new();
    for (state, _, count) in installation.ledger(name) {
        *ends.entry(state).or_default() += count;
    }
    assert_eq!(installation.ledger_offsets(name), ends.values().sum::<i64>(), "rows and counts agree: {ends:?}");
    ends
}

fn ended(installation: &Installation, name: &str, state: &str) -> i64 {
    let all = installation.ledger(name);
    all.iter().filter(|(ended, ..)| ended == state).map(|(_, _, count)| count).sum()
}

fn hook(receiver: &Receiver) -> String {
    destination("hook", "webhook", "consent", "consented-analytics", &receiver.settings())
}

#[test]
fn a_refused_event_is_traced_and_sent_again() {
    let receiver = Receiver::start(Behaviour::Refuse(400, None));
    let documents = [SITE, "[site.profile]\n", &hook(&receiver), &file_destination("files", "consent", "consented-analytics")].concat();
    let installation = Installation::new(&documents);
    let server = installation.start();
    for number in 0..3 {
        agreed(&server, number, if number == 1 { "newsletter_opened" } else { "page_view" }, None);
    }
    eventually("three refused events", PATIENCE, || ended(&installation, "hook", "rejected") == 3);
    eventually("three written ones", PATIENCE, || installation.outbox("files").len() == 3);

    // By its number, and by the id that another destination has of it.
    let first = trace(&installation, "1");
    let stand = |trace: &Value, name: &str| {
        trace["destinations"].as_array().unwrap().iter().find(|stand| stand["destination"] == name).unwrap().clone()
    };
    let (at_hook, in_file) = (stand(&first, "hook"), stand(&first, "files"));
    let id = in_file["event_id"].as_str().unwrap();
    // Three visitors' lines are in no order.
    let theirs = installation.outbox("files").into_iter().find(|line| line["event_id"] == id).unwrap();
    assert_eq!(trace(&installation, id)["offset"], 1);
    assert_eq!(trace(&installation, first["event_id"].as_str().unwrap())["offset"], 1);
    assert_eq!((&at_hook["ended"]["state"], &at_hook["ended"]["status"]), (&json!("rejected"), &json!("400")));
    assert_eq!(in_file["ended"]["state"], json!("accepted"));
    // What is rebuilt is what was sent, to the byte for a file, and event by event for a call.
    assert_eq!(serde_json::from_str::<Value>(in_file["request"]["body"].as_str().unwrap()).unwrap(), theirs);
    let rebuilt: Value = serde_json::from_str(at_hook["request"]["body"].as_str().unwrap()).unwrap();
    let sent = receiver.calls(|calls| calls.iter().flat_map(|call| call.events.clone()).collect::<Vec<_>>());
    assert!(sent.contains(&rebuilt["data"]["events"][0]), "{rebuilt}");
    let text = run(&installation, &["trace", "1"]).unwrap();
    assert!(text.contains("rejected") && text.contains("answered 400") && text.contains("webhook-signature: ‹secret›"), "{text}");
    assert!(!text.contains(SECRET));
    assert!(text.contains("profile:shop (the site's own customer profiles)\n  withheld: no_consent"), "agreed to analytics alone: {text}");
    assert!(run(&installation, &["trace", "77"]).unwrap_err().contains("there is no such event"));
    assert!(run(&installation, &["trace", "jane"]).unwrap_err().contains("that is no event"));

    // Only what is meant: first nothing, then one event by its name, then the rest.
    receiver.behave(Behaviour::Accept);
    assert!(
        run(&installation, &["replay", "hook", "--dry-run", "--until", "2020-01-01T00:00:00Z"]).unwrap().contains("nothing to send again")
    );
    assert!(run(&installation, &["replay", "hook", "--dry-run"]).unwrap().contains("3 events would be sent"));
    assert!(run(&installation, &["replay", "hook"]).unwrap_err().contains("--reason"));
    assert!(run(&installation, &["replay", "hook", "--state", "purged", "--reason", "x"]).unwrap_err().contains("one of: accepted"));
    assert_eq!(ends(&installation, "hook"), BTreeMap::from([(String::from("rejected"), 3)]), "a dry run changes nothing");
    run(&installation, &["replay", "hook", "--event", "newsletter_opened", "--reason", "the receiver is repaired"]).unwrap();
    eventually("the one that is meant", PATIENCE, || ended(&installation, "hook", "accepted") == 1);
    assert_eq!(receiver.accepted().iter().map(|event| event["name"].clone()).collect::<Vec<_>>(), ["newsletter_opened"]);
    assert_eq!(ends(&installation, "hook")["rejected"], 2);
    run(&installation, &["replay", "hook", "--reason", "the others, too"]).unwrap();
    eventually("the others", PATIENCE, || ended(&installation, "hook", "accepted") == 3);
    assert_eq!(ends(&installation, "hook"), BTreeMap::from([(String::from("accepted"), 3)]));
    assert_eq!(ends(&installation, "files"), BTreeMap::from([(String::from("accepted"), 3)]), "nobody else got anything again");
    assert_eq!(installation.outbox("files").len(), 3);
    let listed = run(&installation, &["replay", "--list"]).unwrap();
    assert!(listed.contains("hook: 2 events; 2 opened again") && listed.contains("the receiver is repaired"), "{listed}");
}

#[test]
fn what_was_kept_goes_again_only_on_demand_and_never_wider_than_consent_now() {
    let receiver = Receiver::start(Behaviour::Accept);
    let installation = Installation::new(&[SITE, &hook(&receiver)].concat());
    let server = installation.start();
    let stays = cookie(&agreed(&server, 1, "page_view", None));
    let leaves = cookie(&agreed(&server, 2, "page_view", None));
    agreed(&server, 1, "page_view", Some(&stays));
    eventually("three accepted events", PATIENCE, || ended(&installation, "hook", "accepted") == 3);
    let before = receiver.accepted();
    let answer = server.send(&Request::beacon(r#"{"o":1}"#).with("X-Forwarded-For", "192.0.2.3").with("Cookie", &leaves));
    assert_eq!(answer.status, 204);

    let refused = run(&installation, &["replay", "hook", "--state", "accepted", "--reason", "the receiver lost its disk"]).unwrap_err();
    assert!(refused.contains("may have kept 3 of these") && refused.contains("--allow-duplicates"), "{refused}");
    let again = ["replay", "hook", "--state", "accepted", "--allow-duplicates", "--reason", "the receiver lost its disk"];
    run(&installation, &again).unwrap();
    eventually("one purged event", PATIENCE, || ended(&installation, "hook", "purged") == 1);
    eventually("the two others again", PATIENCE, || receiver.accepted().len() == 5 && ended(&installation, "hook", "accepted") == 2);
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    receiver.accepted().iter().for_each(|event| *ids.entry(event["event_id"].to_string()).or_default() += 1);
    assert_eq!(ids.values().copied().collect::<Vec<_>>().iter().filter(|times| **times == 2).count(), 2, "the same ids as before: {ids:?}");
    assert_eq!(ids.len(), before.len());

    // One that is asked for while no server runs is carried out by the next; a stop in between loses nothing.
    server.kill();
    run(&installation, &again).unwrap();
    let server = installation.start();
    eventually("both once more", PATIENCE, || receiver.accepted().len() == 7 && ended(&installation, "hook", "accepted") == 2);
    assert_eq!(ends(&installation, "hook"), BTreeMap::from([(String::from("accepted"), 2), (String::from("purged"), 1)]));
    let gone = trace(&installation, "1");
    assert_eq!(gone["destinations"][0]["ended"]["state"], "purged");
    drop(server);
}

#[test]
fn a_destination_is_tried_out_before_it_is_there() {
    let receiver = Receiver::start(Behaviour::Accept);
    let installation = Installation::new(&[SITE, &file_destination("files", "consent", "consented-analytics")].concat());
    let server = installation.start();
    for number in 0..4 {
        agreed(&server, number, "page_view", None);
    }
    eventually("four written events", PATIENCE, || installation.outbox("files").len() == 4);
    let documents = [SITE, &file_destination("files", "consent", "consented-analytics"), &hook(&receiver)].concat();
    installation.write("with-hook.toml", &documents);
    assert!(run(&installation, &["lint", "hook"]).unwrap_err().contains("there is no destination"));
    let said = run(&installation, &["lint", "hook", "--with", "with-hook.toml", "--json"]).unwrap();
    let lint: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&lint["events"], &lint["leave"], &lint["too_large"]), (&json!(4), &json!(4), &json!(0)), "{said}");
    assert_eq!(lint["names"]["page_view"]["events"], 4);
    let text = run(&installation, &["lint", "hook", "--with", "with-hook.toml"]).unwrap();
    assert!(text.contains("Nothing was sent") && text.contains("page_view"), "{text}");
    assert!(receiver.calls(<[_]>::is_empty), "nothing was sent");
    // Where the destination needs a consent that nobody gave, it would get nothing, and the reason is said.
    let ads = hook(&receiver).replace("purposes = [\"analytics\"]", "purposes = [\"ads\"]").replace("consented-analytics", "consented-ads");
    installation.write("with-ads.toml", &[SITE, &file_destination("files", "consent", "consented-analytics"), &ads].concat());
    let lint: Value = serde_json::from_str(&run(&installation, &["lint", "hook", "--with", "with-ads.toml", "--json"]).unwrap()).unwrap();
    assert_eq!((&lint["leave"], &lint["kept_back"]["no_consent"]), (&json!(0), &json!(4)), "{lint}");
}
