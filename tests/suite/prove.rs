//! `prove` by the binary: green on sound documents, red where one lets something through, and a pack that says both and cannot be changed.

use std::{fs, path::Path};

use serde_json::Value;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    installation::{Installation, SITE, destination, file_destination},
    left_out::left_out,
    receiver::{Behaviour, Receiver},
};

const DEVIATION: &str = r#"
[[policy.deviation]]
field = "user_id"
treatment = "keep"
state = "granted"
destinations = ["customers"]
reason = "a test"
"#;

/// An installation whose policy asks for no crowd and has this deviation.
fn installation(deviation: &str) -> Installation {
    let site = SITE.replacen("\n[[site]]", &format!("{deviation}\n[[site]]"), 1);
    let documents = [
        site,
        file_destination("measurement", "exempt_measurement", "measurement"),
        file_destination("customers", "consent", "consented-analytics"),
        destination(
            "hook",
            "webhook",
            "exempt_measurement",
            "strict",
            "settings = { url = \"https://receiver.invalid/hook\", secret = \"env:FIRSTHAND_SUITE_WEBHOOK_SECRET\" }",
        ),
    ];
    Installation::new(&documents.concat())
}

struct Proved {
    success: bool,
    said: String,
    evidence: Value,
}

fn prove(installation: &Installation, pack: &str, more: &[&str]) -> Proved {
    let arguments = [&["prove", "--canaries", "1", "--out", pack], more].concat();
    let output = installation.run(&arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let file = installation.path().join(pack).join("evidence.json");
    let evidence = fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Proved { success: output.status.success(), evidence: evidence.unwrap_or_else(|| panic!("no evidence was written:\n{said}")), said }
}

#[test]
fn sound_documents_are_green_and_weakened_ones_red_with_the_same_hash_each_time() {
    let installation = installation("");
    let before = fs::read(installation.data().join("state.db")).unwrap();
    let first = prove(&installation, "pack", &[]);
    assert!(first.success, "{}", first.said);
    assert!(first.said.contains("GREEN"), "{}", first.said);
    let proven = &first.evidence["proven"];
    assert_eq!(proven["red"], Value::Array(Vec::new()));
    assert!(
        proven["totals"]["canaries"].as_u64() > Some(500) && proven["totals"]["spellings"].as_u64() >= Some(12),
        "{}",
        proven["totals"]
    );
    let weakened = proven["weakened_runs"].as_array().unwrap();
    assert!(weakened.len() >= 4 && weakened.iter().all(|run| run["red"] == true), "{weakened:?}");
    let path = weakened.iter().find(|run| run["weakened"].as_str().unwrap().contains("path")).expect("a run that lists a path");
    assert!(path["example"]["field"].as_str().unwrap().contains("page"), "{path}");
    let user = weakened.iter().find(|run| run["weakened"].as_str().unwrap().contains("user_id")).expect("a run that keeps the user id");
    assert!(user["example"]["field"].as_str().unwrap().contains("user_id"), "{user}");
    let kept = proven["events_kept_by_protocol"].as_object().unwrap();
    assert_eq!(kept.len(), firsthand::protocol::PROTOCOLS.len());
    assert!(kept.values().all(|arrived| arrived["kept"] == true && arrived["kept_with_consent"] == true), "{kept:?}");
    let may_have = places_named(proven, "files of customers")["allowed_slots"].to_string();
    assert!(["amount", "tax", "shipping"].iter().all(|slot| may_have.contains(slot)), "what may leave has to be found: {may_have}");
    let places = proven["places"].as_array().unwrap();
    let night = &proven["before_the_days_end"];
    if cfg!(target_os = "linux") && places_named(proven, "memory after the day's end")["searched"] == true {
        assert_eq!((night["sites"].as_u64(), night["keys_before"].as_u64()), (Some(1), Some(1)), "{night}");
        assert!(night["address_before"] == true && night["agent_before"] == true, "{night}");
    } else {
        left_out("the memory after the day's end", "this system does not let it be read");
    }
    for name in ["sent to hook", "files of measurement", "event log", "keys.db", "parked events", "metrics page"] {
        let place = places.iter().find(|place| place["place"] == name).unwrap_or_else(|| panic!("{name} was not looked at"));
        assert!(place["controls_found"] == true && place["genuine_content_found"] == true, "{place}");
    }
    let ledger = &proven["ledger_of_what_left"];
    let compared = ledger["compared_with_what_receivers_got"].as_array().unwrap();
    assert!(ledger["agrees"] == true && compared.contains(&Value::from("hook")) && compared.len() >= 2, "{ledger}");
    assert!(first.said.contains("the ledger of what left says the same"), "{}", first.said);
    assert!(fs::read(installation.data().join("state.db")).unwrap() == before, "the installation's own data is not touched");

    let recorded = installation.run(&["records", "--kind", "dpia", "--language", "en", "--format", "html"]);
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    let page = fs::read_to_string(installation.path().join("records/dpia.en.html")).unwrap();
    assert!(page.contains(proven["documents_sha256"].as_str().unwrap()), "records and evidence of the same documents have the same hash");

    // One run more, with a scoreboard and without weakened runs: all else that is proven, and so the hash of it, is the same.
    let again =
        prove(&installation, "again", &["--no-weakened-runs", "--scoreboard", "--visitors", "100", "--search-seconds", "1", "--strict"]);
    let but_weakened = |proved: &Proved| {
        let mut proven = proved.evidence["proven"].clone();
        assert!(proven.as_object_mut().unwrap().remove("weakened_runs").is_some());
        proven
    };
    assert_eq!(but_weakened(&first), but_weakened(&again), "the same seed and documents prove the same, with a scoreboard or not");
    assert_ne!(first.evidence["proven_sha256"], again.evidence["proven_sha256"], "the hash is of the weakened runs, too");
    the_scoreboard_has_every_row_and_says_where_it_was_measured(&again);

    a_changed_pack_does_not_hold(&installation, &installation.path().join("pack"));
}

fn the_scoreboard_has_every_row_and_says_where_it_was_measured(proved: &Proved) {
    let rows = proved.evidence["scoreboard"]["rows"].as_array().unwrap();
    let of = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("no row {id}"));
    for number in 1..=25 {
        let name = format!("S{number}");
        assert!(rows.iter().any(|row| row["id"].as_str().unwrap().split(' ').next() == Some(&name)), "{name} is left out");
    }
    for row in rows {
        let said = if row["measured"] == "not" { &row["why"] } else { &row["figure"] };
        assert!(said.as_str().is_some_and(|said| !said.is_empty()) && row["target"].is_string(), "{row}");
    }
    let addresses = of("S6");
    assert!(addresses["pass"] == true && addresses["synthetic"] == false, "{addresses}");
    assert!(addresses["figure"].as_str().unwrap().contains("with the key 20 of 20"), "{addresses}");
    // Nothing listens where the configuration says.
    assert!(of("S5")["measured"] == "not" || of("S5")["pass"] == true, "{}", of("S5"));
    assert!(of("S21")["pass"] == true, "{}", of("S21"));
    assert!(of("S2")["pass"] == true && of("S10 live")["measured"] == "not", "{}", of("S2"));
    assert!(of("S4")["pass"] == true && of("S4")["synthetic"] == false, "{}", of("S4"));
    for id in ["S4 synthetic", "S7", "S8 ids"] {
        assert!(of(id)["pass"] == true && of(id)["synthetic"] == true, "{}", of(id));
    }
    // The policy asks for no crowd, and then everybody stands out: a miss, said as such.
    assert!(of("S12 all")["pass"] == false && of("S10")["pass"] == false, "{} {}", of("S12 all"), of("S10"));
    assert!(
        !proved.success && proved.said.contains("GREEN") && proved.said.contains("--strict: measured here, and missed: "),
        "{}",
        proved.said
    );
    assert!(proved.said.contains("a check of the method") && proved.said.contains("Scoreboard of shop"), "{}", proved.said);
}

fn places_named<'v>(proven: &'v Value, name: &str) -> &'v Value {
    let places = proven["places"].as_array().unwrap();
    places.iter().find(|place| place["place"] == name).unwrap_or_else(|| panic!("{name} was not looked at"))
}

fn a_changed_pack_does_not_hold(installation: &Installation, pack: &Path) {
    let holds = || installation.run(&["prove", "--verify", "pack"]).status.success();
    assert!(holds());
    for name in ["evidence.json", "evidence.html", "manifest.json", "manifest.sig"] {
        let file = pack.join(name);
        let whole = fs::read(&file).unwrap();
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&file, changed).unwrap();
        assert!(!holds(), "one bit of {name} is another, and the pack is taken for whole");
        fs::write(&file, whole).unwrap();
    }
    assert!(holds());
}

#[test]
fn a_deviation_that_lets_a_field_through_is_red_and_names_canary_and_field() {
    let installation = installation(DEVIATION);
    let red = prove(&installation, "pack", &["--no-weakened-runs"]);
    assert!(!red.success && red.said.contains("RED"), "{}", red.said);
    assert!(red.said.contains("\"body: user id\"") && red.said.contains("files of customers, field user_id"), "{}", red.said);
    let found = red.evidence["proven"]["places"].as_array().unwrap().iter().find(|place| place["place"] == "files of customers").unwrap();
    let found = found["found"].as_array().unwrap();
    assert!(found.iter().all(|leak| leak["field"] == "user_id" && leak["canary"].as_str().unwrap().contains("/granted/")), "{found:?}");

    let allowed = prove(&installation, "allowed", &["--no-weakened-runs", "--with-deviations"]);
    assert!(allowed.success, "{}", allowed.said);
    let exceptions = allowed.evidence["proven"]["allowed_by_policy"].as_array().unwrap();
    assert!(
        exceptions.iter().any(|one| one["destination"] == "customers" && one["field"] == "user_id"),
        "declared, not silently passed over"
    );
}

#[test]
fn a_real_receiver_gets_what_the_stand_in_got_under_the_destinations_own_secret() {
    let receiver = Receiver::start(Behaviour::Accept);
    let hook = destination("hook", "webhook", "consent", "consented-analytics", &receiver.settings());
    let installation = Installation::new(&(SITE.to_owned() + &hook));
    let proved = prove(&installation, "pack", &["--no-weakened-runs", "--only-mine", "--tee", "hook"]);
    assert!(proved.success, "{}", proved.said);
    let passed_on = &proved.evidence["circumstances"]["passed_on"]["hook"];
    let calls = receiver.calls(|calls| calls.iter().map(|call| call.bytes.clone()).collect::<Vec<_>>());
    assert!(!calls.is_empty());
    assert_eq!((passed_on["accepted"].as_u64(), passed_on["refused"].as_u64()), (Some(calls.len() as u64), Some(0)), "{passed_on}");
    assert!(
        proved.said.contains(&format!("passed on to the real receiver of hook: {} accepted, 0 refused", calls.len())),
        "{}",
        proved.said
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]);
    for call in &calls {
        let head_end = call.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let (head, body) = (String::from_utf8_lossy(&call[..head_end]).into_owned(), &call[head_end + 4..]);
        let header = |wanted: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned()).unwrap_or_else(|| panic!("{head}"))
        };
        let signed = [header("webhook-id").as_bytes(), b".", header("webhook-timestamp").as_bytes(), b".", body].concat();
        assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(hmac::sign(&key, &signed))));
        assert!(
            head.contains(&receiver.settings().split('"').nth(1).unwrap()["http://".len()..].split('/').next().unwrap().to_owned()),
            "{head}"
        );
    }
    assert!(receiver.accepted().iter().any(|event| event["name"] == "purchase"));

    // One that takes nothing is told of, and makes nothing red.
    receiver.behave(Behaviour::Refuse(503, None));
    let refused = prove(&installation, "refused", &["--no-weakened-runs", "--only-mine", "--tee", "hook"]);
    assert!(refused.success && refused.said.contains("0 accepted"), "{}", refused.said);
    assert_eq!(refused.evidence["proven_sha256"], proved.evidence["proven_sha256"], "it is a circumstance");
    let nowhere = installation.run(&["prove", "--tee", "nobody"]);
    assert!(!nowhere.status.success() && String::from_utf8_lossy(&nowhere.stderr).contains("there is no destination of that name"));
}
