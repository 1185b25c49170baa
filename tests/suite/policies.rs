//! Policies: a deviation changes its field alone; what may leave is the least of what rested and what is allowed now; and what people see
//! of it on the command line.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use firsthand::{
    clock::Timestamp,
    event::Offset,
    privacy::policy::{Field, Treatment},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::{
    http_client::Request,
    installation::{Installation, SITE, eventually, file_destination},
    line::{Line, RawRequest},
};

const PATIENCE: Duration = Duration::from_secs(20);
const NOW: Timestamp = Timestamp(1_790_000_123_456);
/// Everything that an event can say.
const PURCHASE: &str = r#"POST /keso/e HTTP/1.1
Host: www.shop.example
Origin: https://www.shop.example
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0
X-Forwarded-For: 192.0.2.7

{"g":["analytics","profile"],"e":[{"k":"purchase","i":"abcdefghijklmnop","t":1790000122111,
"p":"https://www.shop.example/thanks?utm_source=letter","r":"https://search.example/","v":62.55,"m":"EUR","x":"A-1007","tx":9.98,
"sh":4.25,"cp":"AUTUMN","a":"customer-7","l":"fr-FR","w":1440,"y":[{"id":"12","name":"Jug","price":38}],"d":{"plan":"pro"}}]}"#;

/// The site, a destination that gets the most there is, and a deviation where there is one.
fn documents(deviation: Option<(Field, Treatment)>) -> String {
    let deviation = deviation.map_or_else(String::new, |(field, treatment)| {
        format!("[[policy.deviation]]\nfield = \"{}\"\ntreatment = \"{}\"\nreason = \"a test\"\n", field.name(), treatment.name())
    });
    let profiles = file_destination("profiles", "consent", "consented-profile").replace("[\"analytics\"]", "[\"profile\"]");
    SITE.replace("\n[[site]]", &format!("\n{deviation}\n[[site]]")) + &profiles
}

fn captured(line: &Line) -> Offset {
    line.append(0, line.receive(&RawRequest::parse(PURCHASE), NOW)).expect("it is new, and somebody may have it")
}

fn disclosed(line: &Line, offset: Offset) -> Value {
    let record = line.records(0, offset).remove(0);
    let (_, text) = line.disclosures(&record, NOW).remove(0);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("not disclosed: {text}"))
}

/// What of a disclosure a field becomes.
fn becomes(field: Field) -> &'static [&'static str] {
    match field {
        Field::Referrer => &["referrer_host", "referrer_kind"],
        // Page views that cannot be joined are not joined by their visit either.
        Field::Visitor => &["visitor_id", "session_id"],
        Field::Session => &["session_id"],
        Field::Place => &["country"],
        Field::UserId => &["user_id", "user_assurance"],
        Field::OrderId => &["transaction_id"],
        other => std::slice::from_ref(NAMES.iter().find(|name| **name == other.name()).expect("it is called the same")),
    }
}

const NAMES: [&str; 15] = [
    "name",
    "time",
    "page",
    "campaign",
    "device",
    "language",
    "screen",
    "value",
    "currency",
    "tax",
    "shipping",
    "coupon",
    "items",
    "properties",
    "bot",
];

/// The names of what differs, but for the policy's version, which always does.
fn differences(one: &Value, other: &Value) -> BTreeSet<String> {
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let all: BTreeSet<String> = names(one).union(&names(other)).cloned().collect();
    all.into_iter().filter(|name| name != "policy_version" && one[name] != other[name]).collect()
}

#[test]
fn a_deviation_changes_its_field_alone_for_what_rests_and_for_what_leaves() {
    let mut line = Line::new(&documents(None), 1);
    let whole = captured(&line);
    let base = disclosed(&line, whole);
    let mut changed = BTreeSet::new();
    // Click ids leave to their issuer alone, which none of these is: `clicks` has them. What is in envelopes: `envelope`.
    let elsewhere = |field: &Field| *field == Field::ClickIds || Field::OF_THE_ENVELOPE.contains(field);
    let fields = Field::ALL.into_iter().filter(|field| !elsewhere(field));
    for field in fields.clone() {
        for treatment in field.offered() {
            line.put_in_force(&documents(Some((field, *treatment))));
            let tightened = differences(&base, &disclosed(&line, whole));
            let expected = BTreeSet::from_iter(becomes(field).iter().map(ToString::to_string));
            assert!(tightened.is_subset(&expected), "{field:?} {treatment:?}: {tightened:?}");
            if !tightened.is_empty() {
                changed.insert(field);
            }
            if *treatment == Treatment::Drop {
                assert_eq!(tightened, expected, "{field:?} does not leave any more");
                // What did not rest does not leave when the policy is relaxed again. The ids are made of what rests anyway.
                if field != Field::Visitor {
                    let without = RawRequest::parse(&PURCHASE.replace("abcdefghijklmnop", &format!("{:<16}", field.name())));
                    let narrow = line.append(0, line.receive(&without, NOW)).expect("it is new");
                    line.put_in_force(&documents(None));
                    let relaxed = disclosed(&line, narrow);
                    for name in becomes(field) {
                        let nothing = ["device", "country"].contains(name);
                        assert!(relaxed.get(*name).is_none_or(|left| nothing && *left != base[*name]), "{field:?}: {relaxed}");
                    }
                }
            }
        }
    }
    assert_eq!(changed, fields.collect(), "every field can be narrowed");
}

#[test]
fn a_tightened_preset_acts_on_what_rests_and_a_relaxed_one_does_not() {
    let exempt = |transform: &str| SITE.to_owned() + &file_destination("measurement", "exempt_measurement", transform);
    let unknown = PURCHASE.replace("\"g\":[\"analytics\",\"profile\"],", "");
    let mut line = Line::new(&exempt("measurement"), 1);
    let daily = line.append(0, line.receive(&RawRequest::parse(&unknown), NOW)).unwrap();
    assert!(disclosed(&line, daily).get("session_id").is_some());
    line.put_in_force(&exempt("strict"));
    assert!(disclosed(&line, daily).get("session_id").is_none());
    let narrow = line.append(0, line.receive(&RawRequest::parse(&unknown.replace("abcdefghijklmnop", "another-16-bytes")), NOW)).unwrap();
    line.put_in_force(&exempt("measurement"));
    assert!(disclosed(&line, narrow).get("session_id").is_none(), "never retroactively wider");
    line.put_in_force(&exempt("measurement").replace("name = \"shop\"\nevents", "name = \"shop\"\npreset = \"deny-all\"\nevents"));
    let record = line.records(0, daily).remove(0);
    assert_eq!(line.disclosures(&record, NOW), [(String::from("measurement"), String::from("withheld: policy"))]);
    let refused = line.append(0, line.receive(&RawRequest::parse(&unknown.replace("abcdefghijklmnop", "a-third-16-bytes")), NOW));
    assert_eq!(refused, None, "nothing rests that nobody may see");
}

#[test]
fn what_leaves_is_shown_set_and_compared_on_the_command_line() {
    let installation = Installation::new(&(documents(None) + &file_destination("measurement", "exempt_measurement", "strict")));
    let run = |arguments: &[&str]| {
        let output = installation.run(arguments);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let holds = |text: &str, parts: &[&str]| parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in:\n{text}"));
    holds(
        &run(&["policy", "show", "--destination", "profiles"]),
        &["who has not chosen yet: nothing; it needs consent to profile", "order_id    keep", "user_id     pseudonymise", "plan (word)"],
    );
    holds(
        &run(&["policy", "show"]),
        &["to \"measurement\"", "kept there 25 months at most", "everyone else, also before the choice", "referrer    drop"],
    );
    let set = |rest: &[&str]| run(&[&["policy", "set"], rest].concat());
    holds(&set(&["order_id", "drop", "--reason", "no orders there", "--dry-run"]), &["would no longer leave: order_id", "--dry-run"]);
    assert!(run(&["policy", "show"]).contains("version 1"), "a dry run changes nothing");
    holds(&set(&["order_id", "drop", "--reason", "no orders there"]), &["would no longer leave: order_id (keep → drop)", "In force"]);
    holds(&run(&["policy", "show"]), &["version 2", "deviation: no orders there"]);
    holds(&set(&["order_id", "preset", "--reason", "orders again"]), &["would newly leave: order_id (drop → keep)"]);
    for (rest, said) in [
        (&["ordr_id", "drop", "--reason", "x"][..], "did you mean \"order_id\"?"),
        (&["order_id", "generalise", "--reason", "x"], "one of: drop, pseudonymise, keep, preset"),
        (&["order_id", "keep", "--state", "unknown", "--reason", "x"], "can be narrowed only"),
        (&["order_id", "drop", "--destination", "profile", "--reason", "x"], "did you mean \"profiles\"?"),
        (&["order_id", "drop", "--reason", " "], "has no reason"),
        (&["order_id", "drop", "--policy", "shpo", "--reason", "x"], "did you mean \"shop\"?"),
        (&["order_id", "drop"], "--reason"),
    ] {
        holds(&set(rest), &[said]);
    }
    installation.write("wider.toml", &documents(Some((Field::UserId, Treatment::Keep))));
    let diff = run(&["policy", "diff", "wider.toml"]);
    holds(&diff, &["of visitors who agreed", "would newly leave: user_id (pseudonymise → keep)"]);
    assert!(!diff.contains("order_id"), "{diff}");
    let relaxed =
        |reason: &str| documents(None).replace("policy = \"shop\"\n", &format!("policy = \"shop\"\ngpc_site_override = {{ {reason} }}\n"));
    for (reason, said) in [("", "missing field `reason`"), ("reason = \" \"", "gpc_site_override.reason: it has no reason")] {
        installation.write("relaxed.toml", &relaxed(reason));
        holds(&run(&["apply", "relaxed.toml"]), &[said]);
    }
    installation.write("relaxed.toml", &relaxed("reason = \"our dialogue asks\""));
    holds(
        &run(&["policy", "diff", "relaxed.toml"]),
        &["a yes on the site would newly count although the browser sends GPC: our dialogue asks"],
    );
    holds(&run(&["apply", "relaxed.toml"]), &["no reason is given"]);
    run(&["apply", "relaxed.toml", "--reason", "our dialogue asks"]);
    holds(&run(&["policy", "show"]), &["counts although the browser sends GPC: our dialogue asks"]);
    let kept = "SELECT count(*) FROM document_versions WHERE kind = 'site' AND body LIKE '%our dialogue asks%' AND version = 2";
    assert_eq!(installation.number("state.db", kept), 1, "the reason is in the history");
    installation.write("beacon.json", r#"{"g":["analytics","profile"],"e":[{"k":"purchase","x":"A-1007"}]}"#);
    let explain = |version| run(&["explain", "beacon.json", "--at", version]);
    assert!(explain("1").contains("transaction_id = \"A-1007\"") && !explain("2").contains("A-1007"));
    holds(&explain("9"), &["has no version 9"]);
}

#[test]
fn an_id_that_the_sites_backend_signed_for_this_browser_is_proven_and_any_other_is_a_claim() {
    const SECRET: &str = "thirty-two bytes are a good secret";
    let site = SITE.to_owned() + "identify_secret = \"file:secret\"\n";
    let documents = site + &file_destination("profiles", "consent", "consented-profile").replace("[\"analytics\"]", "[\"profile\"]");
    let installation = Installation::empty();
    let secret = installation.write("secret", SECRET);
    let installation = Installation::new(&documents.replace("file:secret", &format!("file:{}", secret.display())));
    let server = installation.start();
    let beacon = |more: &str| Request::beacon(format!(r#"{{"g":["profile"],"e":[{{"k":"login","a":"u7"{more}}}]}}"#));
    let first = server.send(&beacon(""));
    let cookie = first.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned();
    let value = cookie.split_once('=').unwrap().1;
    let ends = firsthand::clock::now().0 / 1000 + 600;
    let mut state = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    state.update(format!("u7\n{value}\n{ends}").as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(state.finalize().into_bytes());
    let signed = |signature: &str| server.send(&beacon(&format!(r#","as":"{signature}","ae":{ends}"#)).with("Cookie", &cookie));
    assert_eq!((signed(&signature).status, signed(&signature.replace(&signature[..2], "__")).status), (204, 204));
    eventually("three events", Duration::from_secs(30), || installation.outbox("profiles").len() == 3);
    let said: Vec<_> = installation.outbox("profiles").iter().map(|event| event["user_assurance"].as_str().unwrap().to_owned()).collect();
    assert_eq!(said.iter().filter(|assurance| *assurance == "proven").count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|assurance| *assurance == "claimed").count(), 2, "{said:?}");
    let ids: BTreeSet<_> = installation.outbox("profiles").iter().map(|event| event["user_id"].as_str().unwrap().to_owned()).collect();
    assert!(ids.len() == 1 && !ids.contains("u7"), "one id, under the destination's key");
}

/// What `run` printed, on either stream.
fn printed(installation: &Installation, arguments: &[&str]) -> String {
    let output = installation.run(arguments);
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn documents_are_tried_on_the_newest_events_of_a_running_server_before_they_are_applied() {
    let installation = Installation::new(&documents(None));
    installation.write("wider.toml", &documents(Some((Field::UserId, Treatment::Keep))));
    assert!(printed(&installation, &["policy", "diff", "wider.toml"]).contains("No event has come in yet"));
    let server = installation.start();
    let purchase = |order: u32, purposes: &str| {
        let body = format!(r#"{{"g":{purposes},"e":[{{"k":"purchase","x":"A-{order}","a":"customer-{order}","v":5,"m":"EUR"}}]}}"#);
        server.send(&Request::beacon(body).with("X-Forwarded-For", &format!("192.0.2.{order}")))
    };
    let mut cookies = Vec::new();
    for order in 1..=5 {
        let answer = purchase(order, r#"["profile"]"#);
        cookies.push(answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned());
    }
    eventually("all have left", Duration::from_secs(20), || installation.outbox("profiles").len() == 5);
    let diff = |file: &str| printed(&installation, &["policy", "diff", file]);
    let wider = diff("wider.toml");
    for part in ["The newest 5 events", "site \"shop\" to \"profiles\"", "user_id: would leave as another value in 5"] {
        assert!(wider.contains(part), "{part:?} is not in:\n{wider}");
    }
    // What would leave to a destination that is not there yet, by its true values.
    installation.write(
        "more.toml",
        &(documents(None) + &file_destination("second", "consent", "consented-profile").replace("[\"analytics\"]", "[\"profile\"]")),
    );
    let more = diff("more.toml");
    for part in ["5 events would newly leave", "transaction_id: would newly leave in 5, e.g. \"A-1\", \"A-2\", \"A-3\""] {
        assert!(more.contains(part), "{part:?} is not in:\n{more}");
    }
    installation.write("narrower.toml", &documents(Some((Field::OrderId, Treatment::Drop))));
    assert!(diff("narrower.toml").contains("transaction_id: would no longer leave in 5"));
    installation.write("nothing.toml", &documents(None).replace("\nevents", "\npreset = \"deny-all\"\nevents"));
    assert!(diff("nothing.toml").contains("5 events would no longer leave"));
    installation.write("same.toml", &documents(None));
    assert!(diff("same.toml").contains("would stay the same"));
    // Who withdraws is not replayed any more.
    assert_eq!(server.send(&Request::beacon(r#"{"o":1}"#).with("Cookie", &cookies[0])).status, 204);
    eventually("the withdrawn one is left out", Duration::from_secs(5), || {
        let wider = diff("wider.toml");
        wider.contains("The newest 4 events") && wider.contains("1 more were left out")
    });
    // Of what a recleanse has emptied nothing would leave again, whatever is allowed later.
    assert!(printed(&installation, &["apply", "nothing.toml"]).contains("document changed"));
    eventually("the recleanse", PATIENCE, || printed(&installation, &["recleanse", "--wait"]).contains("is over"));
    let again = diff("wider.toml");
    for part in ["would newly leave: user_id", "The newest 4 events", "would stay the same", "1 more were left out"] {
        assert!(again.contains(part), "{part:?} is not in:\n{again}");
    }
    assert!(server.stop().success());
}

#[test]
fn more_leaves_only_with_a_reason_and_what_a_file_manages_is_changed_there_alone() {
    let installation = Installation::new(&documents(Some((Field::OrderId, Treatment::Drop))));
    installation.write("wider.toml", &documents(None));
    let before = printed(&installation, &["export"]);
    let refused = printed(&installation, &["apply", "wider.toml"]);
    for part in ["would newly leave: order_id (drop → keep)", "no reason is given", "fix: --reason"] {
        assert!(refused.contains(part), "{part:?} is not in:\n{refused}");
    }
    assert!(printed(&installation, &["apply", "wider.toml", "--dry-run"]).contains("--reason will be asked for"));
    assert_eq!(printed(&installation, &["export"]), before, "nothing has changed");
    assert!(printed(&installation, &["apply", "wider.toml", "--reason", "orders are matched again"]).contains("1 document changed"));
    // Tightening asks nobody.
    installation.write("narrower.toml", &before);
    assert!(printed(&installation, &["apply", "narrower.toml"]).contains("1 document changed"));

    let machine = std::fs::read_to_string(installation.path().join("firsthand.toml")).unwrap();
    installation.write("firsthand.toml", &(machine + "\n[managed]\nfrom = \"narrower.toml\"\n"));
    for arguments in [
        &["apply", "wider.toml", "--reason", "x"][..],
        &["policy", "set", "user_id", "drop", "--reason", "x"],
        &["apply", "other.toml", "--prune", "--reason", "x"],
    ] {
        installation
            .write("other.toml", &SITE.replace("name = \"shop\"", "name = \"other\"").replace("policy = \"shop\"", "policy = \"other\""));
        let said = printed(&installation, arguments);
        assert!(said.contains("is managed by file: it is read from") && said.contains("fix: change it there"), "{arguments:?}: {said}");
    }
    assert!(printed(&installation, &["apply", "narrower.toml"]).contains("in force already"), "what the file says may be said");
}
