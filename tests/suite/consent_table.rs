//! Who gets what for which choice: basis of the destination × state of the visitor, copies held before the choice included;
//! what an objection does to what was said before; and the cookie.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    http_client::{Answer, Connection, Request},
    installation::{Installation, SITE, destination, eventually, file_destination},
    receiver::{Behaviour, Receiver},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// One state of a visitor and what follows.
struct Case {
    state: &'static str,
    /// What the body says of the choice.
    said: Value,
    header: Option<(&'static str, &'static str)>,
    held: bool,
    /// Which destinations get the event.
    gets: &'static [&'static str],
    /// Why nothing is recorded, where that is so.
    refused: Option<&'static str>,
}

const EXEMPT: &[&str] = &["measurement", "strict"];
const ALL: &[&str] = &["customers", "measurement", "profiles", "strict"];

fn cases() -> Vec<Case> {
    let case = |state, said, gets, refused| Case { state, said, header: None, held: false, gets, refused };
    let with = |header, value, case: Case| Case { header: Some((header, value)), ..case };
    let held = |case: Case| Case { held: true, ..case };
    vec![
        case("unknown", json!({}), EXEMPT, None),
        case("granted analytics", json!({ "g": ["analytics"] }), &["customers", "measurement", "strict"], None),
        case("granted analytics and profile", json!({ "g": ["analytics", "profile"] }), ALL, None),
        case("granted ads", json!({ "g": ["ads"] }), EXEMPT, None),
        case("granted what we do not know", json!({ "g": ["marketing"] }), &[], Some("objected_refused")),
        case("refused", json!({ "g": [] }), &[], Some("objected_refused")),
        case("malformed", json!({ "g": "analytics" }), &[], Some("objected_malformed")),
        case("opted out", json!({ "o": 1 }), &[], Some("objected_opt_out")),
        with("Cookie", "__Host-wo=1", case("opted out before", json!({ "g": ["analytics"] }), &[], Some("objected_opt_out"))),
        with("Sec-GPC", "1", case("GPC", json!({}), &[], Some("objected_gpc"))),
        with("Sec-GPC", "1", case("GPC against a grant", json!({ "g": ["analytics"] }), &[], Some("objected_gpc"))),
        with("DNT", "1", case("DNT", json!({}), &[], Some("objected_dnt"))),
        held(case("held copy after a grant of analytics", json!({ "g": ["analytics"] }), &["customers"], None)),
        held(case("held copy after a grant of both", json!({ "g": ["analytics", "profile"] }), &["customers", "profiles"], None)),
        held(case("held copy after a grant of ads", json!({ "g": ["ads"] }), &[], Some("no_basis"))),
        held(case("held copy before any choice", json!({}), &[], Some("no_basis"))),
        held(case("held copy after a refusal", json!({ "g": [] }), &[], Some("objected_refused"))),
    ]
}

/// An event with a number, from an address of its own for each number.
fn event(number: usize, mut said: Value, held: bool) -> Request {
    said["e"] = json!([{
        "k": "page_view",
        "p": "https://www.shop.example/?utm_source=newsletter",
        "r": "https://search.example/",
        "d": { "number": number },
        "h": u8::from(held),
    }]);
    Request::beacon(said.to_string()).with("X-Forwarded-For", &format!("192.0.2.{number}"))
}

fn granted(number: usize) -> Request {
    event(number, json!({ "g": ["analytics"] }), false)
}

fn number_of(event: &Value) -> usize {
    event["properties"]["number"].as_f64().expect("the event has its number") as usize
}

fn numbers(installation: &Installation, destination: &str) -> BTreeSet<usize> {
    installation.outbox(destination).iter().map(number_of).collect()
}

/// The name and value of the one cookie that came back.
fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned()
}

#[test]
fn every_state_of_a_visitor_gives_each_destination_what_its_basis_allows() {
    let settings = "settings = { directory = \"outbox/profiles\" }";
    let profiles =
        destination("profiles", "file", "consent", "strict", settings).replace("[\"analytics\"]", "[\"analytics\", \"profile\"]");
    let documents = [
        SITE.to_owned(),
        file_destination("measurement", "exempt_measurement", "measurement"),
        file_destination("strict", "exempt_measurement", "strict"),
        file_destination("customers", "consent", "consented-analytics"),
        profiles,
    ];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    let cases = cases();
    let mut refusals: BTreeMap<&str, i64> = BTreeMap::new();
    for (number, case) in (1..).zip(&cases) {
        let mut request = event(number, case.said.clone(), case.held);
        if let Some((name, value)) = case.header {
            request = request.with(name, value);
        }
        assert_eq!(server.send(&request).status, 204, "{}", case.state);
        case.refused.into_iter().for_each(|reason| *refusals.entry(reason).or_default() += 1);
    }
    let recorded = cases.iter().filter(|case| case.refused.is_none()).count() as i64;
    eventually("an end for every event at every destination", PATIENCE, || {
        ALL.iter().all(|destination| installation.ledger_offsets(destination) == recorded)
    });
    for destination in ALL {
        let expected: Vec<_> = cases.iter().filter(|case| case.gets.contains(destination)).map(|case| case.state).collect();
        let got: Vec<_> = numbers(&installation, destination).into_iter().map(|number| cases[number - 1].state).collect();
        assert_eq!(got, expected, "{destination}");
    }
    let ends = |destination| installation.ledger(destination);
    assert_eq!(ends("measurement"), [("accepted".into(), String::new(), 4), ("withheld".into(), "held_copy".into(), 2)]);
    assert_eq!(ends("customers"), [("accepted".into(), String::new(), 4), ("withheld".into(), "no_consent".into(), 2)]);
    eventually("the counters", PATIENCE, || refusals.iter().all(|(reason, count)| installation.refused(reason) == *count));
    assert!(server.stop().success());
    a_consent_lets_campaign_and_referrer_through_to_nobody_else(&installation);
}

/// Also where the visitor granted, a destination that needs no consent, or has a lower transform, sees no more than without.
fn a_consent_lets_campaign_and_referrer_through_to_nobody_else(installation: &Installation) {
    for event in installation.outbox("customers") {
        assert_eq!((&event["campaign"]["source"], &event["referrer_host"]), (&json!("newsletter"), &json!("search.example")));
    }
    for destination in ["measurement", "strict", "profiles"] {
        for event in installation.outbox(destination) {
            assert!(event.get("campaign").is_none() && event.get("referrer_host").is_none(), "{destination}: {event}");
            let time = event["time"].as_str().expect("a time");
            assert!(time.ends_with(":00.000Z") && matches!(time.as_bytes()[15], b'0' | b'5'), "not rounded: {time}");
            assert_eq!(event.get("session_id").is_some(), destination == "measurement", "{destination}");
        }
    }
}

/// Two destinations that rest, or do not.
fn documents(paused: bool) -> String {
    let paused = if paused { "paused = true\n" } else { "" };
    let settings = |name: &str| format!("{paused}settings = {{ directory = \"outbox/{name}\" }}");
    let measurement = destination("measurement", "file", "exempt_measurement", "measurement", &settings("measurement"));
    let customers = destination("customers", "file", "consent", "consented-analytics", &settings("customers"));
    [SITE, &measurement, &customers].concat()
}

#[test]
fn an_objection_makes_what_was_said_before_unreadable() {
    let installation = Installation::new(&documents(true));
    let server = installation.start();
    let persons = || installation.number("keys.db", "SELECT count(*) FROM persons");
    // One person who will object by GPC, one who will refuse, one who stays. Without consent: one who will opt out, one who stays.
    let [objecting, refusing, staying] = [1, 2, 3].map(|number| cookie_of(&server.send(&granted(number))));
    for number in [4, 5] {
        assert_eq!(server.send(&event(number, json!({}), false)).status, 204);
    }
    assert_eq!(persons(), 3);

    let answer = server.send(&granted(91).with("Cookie", &objecting).with("Sec-GPC", "1"));
    assert!(answer.all("set-cookie").iter().any(|cookie| cookie.starts_with("__Host-w=;") && cookie.contains("Max-Age=0")));
    let answer = server.send(&Request::beacon(r#"{"g":[]}"#).with("Cookie", &refusing));
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.starts_with("__Host-w=;")));
    let answer = server.send(&Request::beacon(r#"{"o":1}"#).with("X-Forwarded-For", "192.0.2.4"));
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.starts_with("__Host-wo=1;")));
    assert_eq!(persons(), 1, "the keys are destroyed before the answer");

    // The cookie of someone who objected is nobody's: a later grant makes a new person.
    assert_ne!(cookie_of(&server.send(&granted(6).with("Cookie", &objecting))), objecting);
    assert!(server.send(&granted(7).with("Cookie", &staying)).header("set-cookie").is_none());

    installation.apply(&documents(false));
    eventually("an end for every event", PATIENCE, || {
        ["measurement", "customers"].iter().all(|name| installation.ledger_offsets(name) == 7)
    });
    assert!(server.stop().success());
    assert_eq!(numbers(&installation, "measurement"), [3, 5, 6, 7].into());
    assert_eq!(numbers(&installation, "customers"), [3, 6, 7].into());
    let ends = |destination| installation.ledger(destination).into_iter().map(|(state, _, count)| (state, count)).collect::<Vec<_>>();
    assert_eq!(ends("measurement"), [("accepted".into(), 4), ("purged".into(), 3)]);
    assert_eq!(ends("customers"), [("accepted".into(), 3), ("purged".into(), 3), ("withheld".into(), 1)]);
}

#[test]
fn a_consent_that_has_ended_lets_nothing_through_any_more() {
    let installation = Installation::new(&documents(true));
    let server = installation.start();
    let [short, long] = [(1, 1), (2, 3600)].map(|(number, seconds)| {
        let answer = server.send(&event(number, json!({ "g": ["analytics"], "gx": seconds }), false));
        answer.header("set-cookie").expect("a cookie").to_owned()
    });
    assert!(short.ends_with("Max-Age=1") && long.ends_with("Max-Age=3600"), "the cookie lives as long as the consent");
    std::thread::sleep(Duration::from_millis(1_100));
    installation.apply(&documents(false));
    eventually("an end for both events", PATIENCE, || installation.ledger_offsets("customers") == 2);
    assert!(server.stop().success());
    assert_eq!(numbers(&installation, "customers"), [2].into());
}

#[test]
fn the_cookie_is_the_hosts_own_and_keeps_its_first_expiry() {
    let made = rcgen::generate_simple_self_signed(vec![String::from("www.shop.example")]).expect("a certificate");
    let documents = [SITE.to_owned(), file_destination("customers", "consent", "consented-analytics")];
    let installation = Installation::with_tls(&documents.concat(), &made.cert.pem(), &made.signing_key.serialize_pem());
    let server = installation.start();
    let mut browser = Connection::open_tls(server.https(), made.cert.der().clone(), "www.shop.example").expect("a TLS connection");
    let mut send = |request: &Request| browser.exchange(request).expect("an answer");

    assert!(send(&event(9, json!({}), false)).header("set-cookie").is_none(), "no cookie before the choice");
    let first = send(&granted(1));
    let cookies = first.all("set-cookie");
    assert_eq!(cookies.len(), 1);
    let (pair, attributes) = cookies[0].split_once("; ").expect("attributes");
    let (name, value) = pair.split_once('=').expect("a value");
    assert_eq!((name, value.len()), ("__Host-w", 22), "128 random bits");
    let mut attributes: Vec<_> = attributes.split("; ").collect();
    attributes.sort_unstable();
    let thirteen_months = format!("Max-Age={}", 395 * 24 * 60 * 60);
    assert_eq!(attributes, ["HttpOnly", &thirteen_months, "Path=/", "SameSite=Lax", "Secure"], "no Domain: this host's alone");

    for number in 2..5 {
        let later = send(&granted(number).with("Cookie", &format!("other=1; {pair}")));
        assert!(later.header("set-cookie").is_none(), "its expiry is never extended");
    }
    // An id is never taken from a browser: not an unknown one, not a malformed one, not one of two, and not one whose name has no prefix
    // (a subdomain could have set that).
    let unknown = "__Host-w=AAECAwQFBgcICQoLDA0ODw";
    for strange in [unknown, "__Host-w=jane@example.org", &format!("{pair}; {unknown}"), &format!("w={value}")] {
        let given = cookie_of(&send(&granted(5).with("Cookie", strange)));
        assert!(given.starts_with("__Host-w=") && given != pair && !strange.contains(&given), "{strange} was adopted");
    }

    // On loopback without TLS, browsers take neither `Secure` nor the prefix.
    let plain = server.send(&granted(6).instead("Host", "127.0.0.1").instead("Origin", "http://127.0.0.1"));
    let plain = plain.header("set-cookie").expect("a cookie");
    assert!(
        plain.starts_with("w=") && !plain.contains("Secure") && plain.contains("HttpOnly") && plain.contains("SameSite=Lax"),
        "{plain}"
    );

    eventually("the events", PATIENCE, || installation.outbox("customers").len() == 9);
    assert!(server.stop().success());
    let events = installation.outbox("customers");
    let ids: BTreeSet<_> = events.iter().filter(|event| number_of(event) < 5).map(|event| event["visitor_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "one visitor is one id");
    assert!(events.iter().all(|event| !event.to_string().contains(value)), "the cookie's value is not that id");
}

#[test]
fn a_yes_on_the_site_outranks_gpc_where_its_document_says_so_with_a_reason_and_nothing_else_does() {
    let customers = file_destination("customers", "consent", "consented-analytics");
    let relaxed = SITE.to_owned() + "gpc_site_override = { reason = \"our dialogue asks about it\" }\n";
    let gpc = |request: Request| request.with("Sec-GPC", "1");
    for (documents, kept) in [(SITE.to_owned() + &customers, &[][..]), (relaxed + &customers, &[3][..])] {
        let installation = Installation::new(&documents);
        let server = installation.start();
        for request in [
            gpc(event(1, json!({}), false)),
            gpc(event(2, json!({ "g": [] }), false)),
            gpc(granted(3)),
            gpc(granted(4)).with("DNT", "1"),
            gpc(granted(5)).with("Cookie", "__Host-wo=1"),
            gpc(event(6, json!({ "g": ["analytics"], "gp": "DBABLA~CAAAAAAAAABA.YA" }), false)),
            gpc(event(7, json!({ "g": ["analytics"], "gt": "nonsense" }), false)),
            gpc(event(8, json!({ "g": ["analytics"], "o": 1 }), false)),
        ] {
            assert_eq!(server.send(&request).status, 204);
        }
        // The United States' opt-out takes away what it is about, also from such a yes.
        let opted_out_of_sale = gpc(event(9, json!({ "g": ["ads"], "gu": "1YYN" }), false));
        assert_eq!(server.send(&opted_out_of_sale).status, 204);
        let refused = ["objected_gpc", "objected_refused", "objected_dnt", "objected_opt_out", "objected_malformed"];
        eventually("the counters", PATIENCE, || {
            refused.iter().map(|reason| installation.refused(reason)).sum::<i64>() == 9 - kept.len() as i64
        });
        eventually("the events", PATIENCE, || installation.outbox("customers").len() == kept.len());
        assert!(server.stop().success());
        assert_eq!(numbers(&installation, "customers"), kept.iter().copied().collect());
    }
}

#[test]
fn an_opt_out_is_taken_back_by_the_visitor_alone() {
    let documents = [SITE.to_owned(), file_destination("measurement", "exempt_measurement", "strict")];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    let opted_out = "__Host-wo=1";
    assert_eq!(server.send(&event(1, json!({}), false).with("Cookie", opted_out)).status, 204);
    // A grant does not undo it; taking it back does, and is no grant.
    assert_eq!(server.send(&granted(2).with("Cookie", opted_out)).status, 204);
    let back = server.send(&event(3, json!({ "o": 0 }), false).with("Cookie", opted_out));
    assert!(back.header("set-cookie").is_some_and(|cookie| cookie.starts_with("__Host-wo=;") && cookie.contains("Max-Age=0")));
    eventually("the event", PATIENCE, || !installation.outbox("measurement").is_empty());
    assert!(server.stop().success());
    assert_eq!(numbers(&installation, "measurement"), [3].into());
    assert_eq!(installation.refused("objected_opt_out"), 2);
}

#[test]
fn what_waits_for_a_broken_receiver_is_not_sent_to_it_after_a_withdrawal_or_an_objection() {
    let receiver = Receiver::start(Behaviour::Refuse(503, Some(1)));
    let documents = [
        SITE.to_owned(),
        destination("customers", "webhook", "consent", "consented-analytics", &receiver.settings()),
        destination("measurement", "webhook", "exempt_measurement", "measurement", &receiver.settings()),
    ];
    let installation = Installation::new(&documents.concat());
    let server = installation.start();
    // 1 and 2 consent, 3 and 4 do not choose; the even ones have second thoughts.
    let cookies = [1, 2].map(|number| cookie_of(&server.send(&granted(number))));
    for number in [3, 4] {
        assert_eq!(server.send(&event(number, json!({}), false)).status, 204);
    }
    // They have been disclosed and wait for another attempt.
    let attempts = || receiver.calls(<[_]>::len);
    eventually("attempts at the receiver", PATIENCE, || attempts() >= 2);
    assert_eq!(server.send(&event(2, json!({ "g": [] }), false).with("Cookie", &cookies[1])).status, 204);
    assert_eq!(server.send(&event(4, json!({ "o": 1 }), false)).status, 204);
    receiver.behave(Behaviour::Accept);
    eventually("an end for every event", PATIENCE, || {
        ["customers", "measurement"].iter().all(|name| installation.ledger_offsets(name) == 4)
    });
    let arrived: BTreeSet<_> = receiver.accepted().iter().map(number_of).collect();
    assert_eq!(arrived, BTreeSet::from([1, 3]));
    let purged = |name| installation.ledger(name).iter().filter(|(state, ..)| state == "purged").map(|(.., count)| count).sum::<i64>();
    assert_eq!((purged("customers"), purged("measurement")), (1, 2), "the person's key is gone for both, the token's event for one");
}

#[test]
fn several_requests_of_one_library_at_the_first_yes_are_one_person() {
    let site = SITE.to_owned() + "keys = { segment = [\"wk\"] }\n";
    let installation = Installation::new(&(site + &file_destination("customers", "consent", "consented-analytics")));
    let server = installation.start();
    let call = |browser: &str, id: &str| {
        let consent = json!({ "categoryPreferences": { "Analytics": true } });
        let body = json!({ "event": "Newsletter Opened", "messageId": id, "anonymousId": browser, "writeKey": "wk", "context": { "consent": consent } });
        let mut request = Request::beacon(body.to_string()).with("X-Forwarded-For", "192.0.2.9");
        request.path = String::from("/keso/v1/t");
        request
    };
    let cookies: BTreeSet<String> = std::thread::scope(|scope| {
        let (server, call) = (&server, &call);
        let sent: Vec<_> = (0..8).map(|number| scope.spawn(move || server.send(&call("one", &format!("m{number}"))))).collect();
        sent.into_iter().map(|sent| cookie_of(&sent.join().unwrap())).collect()
    });
    assert_eq!(cookies.len(), 1, "each answer sets the same cookie");
    // An answer that was lost: said again without a cookie, it is known by its id. Its cookie ends when the first one does.
    std::thread::sleep(Duration::from_millis(1100));
    let again = server.send(&call("one", "m0"));
    assert_eq!(cookie_of(&again), *cookies.first().unwrap());
    let lives = again.header("set-cookie").unwrap().split("Max-Age=").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    assert!(lives.parse::<u64>().unwrap() < 395 * 24 * 60 * 60, "{lives}");
    assert_ne!(cookie_of(&server.send(&call("another", "m0"))), *cookies.first().unwrap());
    eventually("nine events", PATIENCE, || installation.outbox("customers").len() >= 9);
    let visitors: Vec<_> = installation.outbox("customers").iter().map(|event| event["visitor_id"].to_string()).collect();
    assert_eq!((visitors.len(), visitors.iter().collect::<BTreeSet<_>>().len()), (9, 2), "one event was said twice and counts once");
    // After a no, the same browser's next yes is a new person's.
    let no = Request::beacon(json!({ "g": [] }).to_string()).with("X-Forwarded-For", "192.0.2.9").with("Cookie", cookies.first().unwrap());
    assert_eq!(server.send(&no).status, 204);
    assert_ne!(cookie_of(&server.send(&call("one", "m9"))), *cookies.first().unwrap());
}

#[test]
fn a_narrower_yes_is_heeded_by_what_was_said_before() {
    let receiver = Receiver::start(Behaviour::Refuse(503, Some(1)));
    let analytics = destination("customers", "webhook", "consent", "consented-analytics", &receiver.settings());
    let ads = destination("ads", "webhook", "consent", "consented-ads", &receiver.settings()).replace("[\"analytics\"]", "[\"ads\"]");
    let installation = Installation::new(&(SITE.to_owned() + &analytics + &ads));
    let server = installation.start();
    let cookie = cookie_of(&server.send(&event(1, json!({ "g": ["analytics", "ads"] }), false)));
    eventually("an attempt for each destination", PATIENCE, || receiver.calls(<[_]>::len) >= 2);
    assert_eq!(server.send(&event(2, json!({ "g": ["analytics"] }), false).with("Cookie", &cookie)).status, 204);
    receiver.behave(Behaviour::Accept);
    eventually("an end for both events", Duration::from_secs(90), || {
        ["customers", "ads"].iter().all(|name| installation.ledger_offsets(name) == 2)
    });
    let ended =
        |name| installation.ledger(name).into_iter().map(|(state, rule, count)| format!("{state} {rule} {count}")).collect::<Vec<_>>();
    assert_eq!(ended("customers"), ["accepted  2"]);
    assert_eq!(ended("ads"), ["withheld no_consent 2"]);
    assert_eq!(receiver.accepted().iter().filter(|event| event["consent"]["purposes"] != json!(["analytics"])).count(), 0);
}
