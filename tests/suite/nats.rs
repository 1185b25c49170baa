//! Destination `nats` against a real NATS server: each event is one message of the stream, however often it is sent, and what the ledger counts
//! is what the stream has.

use std::{collections::BTreeSet, fs, time::Duration};

use serde_json::{Value, json};

use crate::{
    certificate,
    http_client::Request,
    installation::{Installation, Running, SITE, destination, eventually},
    left_out::left_out,
    nkeys::Nkey,
    real_nats::{PASSWORD, RealNats, USER},
};

const PATIENCE: Duration = Duration::from_secs(90);

fn installed(nats: Option<RealNats>) -> Option<RealNats> {
    if nats.is_none() {
        left_out("destination nats", "nats-server is not installed here");
    }
    nats
}

/// The program with that destination and these settings more; its secret is a file beside its configuration.
fn installation_with(url: &str, secret: &str, more: &str) -> Installation {
    let installation = Installation::without_documents();
    let file = installation.write("secret", secret);
    let settings = format!("settings = {{ url = \"{url}\", {more} }}").replace("SECRET", &format!("\"file:{}\"", file.display()));
    installation.apply(&[SITE, &destination("own", "nats", "exempt_measurement", "measurement", &settings)].concat());
    installation
}

fn installation(nats: &RealNats) -> Installation {
    let url = format!("nats://127.0.0.1:{}", nats.port);
    installation_with(&url, PASSWORD, &format!("user = \"{USER}\", password = SECRET"))
}

fn view(server: &Running, number: u32) {
    let body = format!(r#"{{"e":[{{"k":"page_view","i":"view-{number}","p":"https://www.shop.example/shoes?utm_source=letter"}}]}}"#);
    assert_eq!(server.send(&Request::beacon(body).with("X-Forwarded-For", "192.0.2.1")).status, 204);
}

fn ended(installation: &Installation, state: &str) -> i64 {
    installation.ledger("own").iter().filter(|(ended, ..)| ended == state).map(|(.., events)| events).sum()
}

/// Whether someone is told that they must act. Figures are judged every ten seconds.
fn stands_still(server: &Running) -> bool {
    server.admin_page("/metrics").text().contains(r#"firsthand_alert{alert="courier_stopped",about="own"} 1"#)
}

/// What its receiver said last.
fn last(server: &Running) -> Value {
    server.overview()["destinations"][0]["last_answer"].clone()
}

/// Different ids among the stream's messages, from the first one to the last.
fn ids(nats: &RealNats) -> usize {
    (1..=nats.kept()).map(|sequence| nats.message(sequence).1).collect::<BTreeSet<_>>().len()
}

#[test]
fn every_event_is_one_message_and_the_ledger_counts_the_messages() {
    let Some(mut nats) = installed(RealNats::start()) else { return };
    nats.make_stream(&json!({}));
    let installation = installation(&nats);
    let server = installation.start();
    (0..40).for_each(|number| view(&server, number));
    eventually("forty messages", PATIENCE, || ended(&installation, "accepted") == 40);
    assert_eq!((nats.kept(), ids(&nats)), (40, 40));
    let (subject, headers, event) = nats.message(1);
    assert_eq!(subject, "firsthand.shop.page_view");
    assert_eq!((&event["page"]["path"], &event["site"]), (&json!("/shoes"), &json!("shop")));
    assert_eq!(headers, format!("NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", event["event_id"].as_str().unwrap()));
    assert!(!event.to_string().contains("192.0.2.1"));

    // The server is away for a while, and the program sees it go: nothing is lost, and nothing is there twice.
    nats.pause();
    (40..60).for_each(|number| view(&server, number));
    eventually("a failed attempt", PATIENCE, || last(&server) == "connect");
    nats.resume();
    eventually("sixty messages", PATIENCE, || ended(&installation, "accepted") == 60);
    assert_eq!((nats.kept(), ids(&nats)), (60, 60));

    // What is sent once more is known by its id.
    let before = server.overview()["destinations"][0]["left"]["events"].as_u64().unwrap();
    let replay = ["replay", "own", "--state", "accepted", "--reason", "a second time", "--allow-duplicates"];
    let replayed = installation.run(&replay);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    let left = || server.overview()["destinations"][0]["left"]["events"].as_u64().unwrap();
    eventually("sixty that left again", PATIENCE, || left() >= before + 60);
    eventually("an end of all of it", PATIENCE, || {
        ended(&installation, "accepted") == 60 && server.overview()["destinations"][0]["lag"] == 0
    });
    assert_eq!(nats.kept(), 60);
    assert!(server.stop().success(), "an open connection does not keep the program");
}

#[test]
fn a_server_that_is_killed_in_the_middle_loses_and_doubles_nothing() {
    let Some(mut nats) = installed(RealNats::start()) else { return };
    nats.make_stream(&json!({}));
    let installation = installation(&nats);
    let server = installation.start();
    for round in 0..3 {
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| (0..200).for_each(|number| view(&server, round * 200 + number)));
            let before = i64::from(round) * 200;
            eventually("some of them", PATIENCE, || nats.kept() > before + 20);
            nats.kill();
            sending.join().unwrap();
        });
        nats.resume();
    }
    eventually("all of them", PATIENCE, || ended(&installation, "accepted") == 600);
    assert_eq!((nats.kept(), ids(&nats)), (600, 600));
    drop(server);
}

#[test]
fn what_a_stream_refuses_waits_or_is_parked_by_what_its_answer_means() {
    let Some(nats) = installed(RealNats::start()) else { return };
    let installation = installation(&nats);
    let server = installation.start();
    // Nobody takes the subject yet: it waits.
    view(&server, 0);
    eventually("an answer of nobody", PATIENCE, || last(&server) == "no stream");
    nats.make_stream(&json!({ "max_msgs": 3, "discard": "new" }));
    eventually("the first", PATIENCE, || ended(&installation, "accepted") == 1);
    // The stream is full: what does not fit waits until there is room.
    (1..6).for_each(|number| view(&server, number));
    eventually("a full stream", PATIENCE, || last(&server) == "jetstream 10077");
    assert_eq!(nats.kept(), 3);
    assert_eq!(installation.ledger("own").len(), 1, "nothing has ended otherwise");
    nats.purge_stream();
    eventually("the others", PATIENCE, || ended(&installation, "accepted") == 6);
    // Larger than any message of the stream may be: that one is parked.
    nats.change_stream(&json!({ "max_msg_size": 64 }));
    view(&server, 6);
    eventually("one that is parked", PATIENCE, || ended(&installation, "rejected") == 1);
    assert_eq!(last(&server), "jetstream 10054");
    drop(server);
}

#[test]
fn who_is_not_let_in_or_not_permitted_stops_and_says_so() {
    for (user, secret, said) in [
        (format!("{{ user: {USER}, password: \"{PASSWORD}\" }}"), "another", "not let in"),
        (format!("{{ user: {USER}, password: \"{PASSWORD}\", permissions: {{ publish: \"other.>\" }} }}"), PASSWORD, "not permitted"),
        (format!("{{ user: {USER}, password: \"{PASSWORD}\", permissions: {{ subscribe: \"other.>\" }} }}"), PASSWORD, "not permitted"),
    ] {
        let Some(nats) = installed(RealNats::with_user(&user)) else { return };
        nats.make_stream(&json!({}));
        let installation = installation(&nats);
        fs::write(installation.path().join("secret"), secret).unwrap();
        let server = installation.start();
        view(&server, 1);
        eventually("a stopped courier", PATIENCE, || stands_still(&server));
        assert_eq!(last(&server), said);
        assert!(installation.ledger("own").is_empty(), "no event is to blame");
        let log = fs::read_to_string(installation.path().join("stderr")).unwrap();
        assert!(!log.contains(PASSWORD) && !log.contains("another"), "{log}");
        drop(server);
    }
}

#[test]
fn without_a_stream_a_message_is_heard_by_who_listens_and_proven_by_nobody() {
    let Some(nats) = installed(RealNats::start()) else { return };
    let url = format!("nats://127.0.0.1:{}", nats.port);
    let more = format!("core = true, subject = \"live.{{site}}\", user = \"{USER}\", password = SECRET");
    let installation = installation_with(&url, PASSWORD, &more);
    let server = installation.start();
    let heard = nats.listen("live.*", 10);
    (0..10).for_each(|number| view(&server, number));
    eventually("ten that were sent", PATIENCE, || ended(&installation, "accepted_unproven") == 10);
    let ids: BTreeSet<String> = heard.join().unwrap().iter().map(|event| event["event_id"].to_string()).collect();
    assert_eq!(ids.len(), 10);
    assert_eq!(last(&server), "sent");
    drop(server);
}

#[test]
fn a_key_lets_in_and_its_seed_is_said_to_nobody() {
    let key = Nkey::user(7);
    let Some(nats) = installed(RealNats::with_user(&format!("{{ nkey: {} }}", key.public()))) else { return };
    nats.make_stream(&json!({}));
    let installation = installation_with(&format!("nats://127.0.0.1:{}", nats.port), &key.seed(), "nkey = SECRET");
    let server = installation.start();
    view(&server, 1);
    eventually("one message", PATIENCE, || ended(&installation, "accepted") == 1);
    assert_eq!(nats.kept(), 1);
    drop(server);
}

#[test]
fn credentials_that_an_account_has_signed_let_in_and_others_do_not() {
    let (operator, account, user) = (Nkey::operator(1), Nkey::account(2), Nkey::user(3));
    let Some(nats) = installed(RealNats::with_operator(&operator.says_operator(), &account.public(), &operator.says_account(&account)))
    else {
        return;
    };
    let url = format!("nats://127.0.0.1:{}", nats.port);
    for (signed_by, expected) in [(&account, "sent"), (&Nkey::account(4), "not let in")] {
        let installation = installation_with(&url, &signed_by.credentials_of(&user), "core = true, credentials = SECRET");
        let server = installation.start();
        view(&server, 1);
        eventually(expected, PATIENCE, || last(&server) == expected);
        drop(server);
    }
}

#[test]
fn a_certificate_that_this_machine_does_not_trust_is_not_spoken_to() {
    let directory = tempfile::tempdir().unwrap();
    let Some([certificate, key]) = certificate::made(directory.path()) else {
        return left_out("destination nats over TLS", "openssl is not installed here");
    };
    let Some(nats) = installed(RealNats::with_tls(&certificate, &key)) else { return };
    let url = format!("tls://127.0.0.1:{}", nats.port);
    let installation = installation_with(&url, PASSWORD, &format!("core = true, user = \"{USER}\", password = SECRET"));
    let server = installation.start();
    view(&server, 1);
    eventually("a refusal of ours", PATIENCE, || last(&server) == "tls");
    assert!(installation.ledger("own").is_empty(), "nothing is said to it");
    drop(server);
    // The same certificate among those that the machine trusts.
    let mut command = installation.command(&["run"]);
    command.env("SSL_CERT_FILE", &certificate);
    let server = installation.start_as(command);
    eventually("one that was sent", PATIENCE, || ended(&installation, "accepted_unproven") == 1);
    drop(server);
}
