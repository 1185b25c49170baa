//! Golden cases of every destination, `tests/golden/destination/<name>/`: `<case>.json` holds settings and disclosures, and under
//! `parcels` what they must become; `answers.json` what answers must mean. `BLESS=1 cargo test golden` writes what they do become.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

use super::{Answer, DESTINATIONS, Destination, DestinationType, Failure, Parcel, Signing, Verdict, Via};
use crate::{clock::Timestamp, event::Offset, privacy::disclose::Disclosure};

/// A secret of the right form, for settings that say `{secret}`.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn golden_disclosures_become_parcels_and_answers_verdicts() {
    each_case(|row, name, case| if name == "answers.json" { judge(row, case) } else { encode(row, case) });
}

fn encode(row: &DestinationType, case: &mut Value) {
    let destination = open(row, &case["settings"]);
    let disclosures: Vec<Disclosure> = case["disclosures"].as_array().unwrap().iter().map(disclosure).collect();
    let parcels = destination.encode(&disclosures.iter().collect::<Vec<_>>());
    let carried: Vec<Offset> = parcels.iter().flat_map(|parcel| parcel.events.clone()).collect();
    assert_eq!(carried, disclosures.iter().map(Disclosure::offset).collect::<Vec<_>>(), "each in exactly one parcel, in order");
    case["parcels"] = parcels.iter().map(shown).collect();
}

fn judge(row: &DestinationType, case: &mut Value) {
    let destination = open(row, &case["settings"]);
    let disclosure = Disclosure::for_test(Offset(1), 1, Timestamp(0));
    let parcel = destination.encode(&[&disclosure]).remove(0);
    for line in case["answers"].as_array_mut().unwrap() {
        let verdicts = destination.judge(&parcel, &answer(&line["answer"]));
        assert_eq!(verdicts.len(), parcel.events.len(), "one verdict per event");
        line["verdict"] = said(&verdicts[0]);
    }
}

/// Runs a case as it is read, and compares what came of it with what was read.
fn each_case(run: impl Fn(&DestinationType, &str, &mut Value)) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/destination");
    for row in DESTINATIONS {
        let mut cases = 0;
        for entry in fs::read_dir(home.join(row.name)).unwrap() {
            let path = entry.unwrap().path();
            let read: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let mut ran = read.clone();
            run(row, path.file_name().unwrap().to_str().unwrap(), &mut ran);
            if std::env::var_os("BLESS").is_some() {
                fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&ran).unwrap())).unwrap();
            } else {
                assert_eq!(ran, read, "{}", path.display());
            }
            cases += 1;
        }
        assert!(cases > 1, "{} has golden cases", row.name);
    }
}

fn open(row: &DestinationType, settings: &Value) -> Box<dyn Destination> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, SECRET).unwrap();
    let text = serde_json::to_string(settings).unwrap().replace("{secret}", &format!("file:{}", file.display()));
    let settings: toml::Table = serde_json::from_str(&text).unwrap();
    (row.open)(&settings).unwrap()
}

fn disclosure(said: &Value) -> Disclosure {
    let number = |key: &str| said[key].as_u64().unwrap();
    Disclosure::for_test(Offset(number("offset")), number("lane"), Timestamp(number("received") as i64))
}

fn shown(parcel: &Parcel) -> Value {
    let via = match &parcel.via {
        Via::Http(call) => json!({
            "url": call.url,
            "headers": call.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>(),
            "signing": call.signing.as_ref().map(|Signing::StandardWebhooks { message_id, keys }| json!({
                "message_id": message_id, "keys": keys.len() })),
        }),
        Via::File(append) => json!({ "directory": append.directory, "rotate_bytes": append.rotate_bytes, "keep": append.keep }),
    };
    let body: Vec<&str> = std::str::from_utf8(&parcel.body).unwrap().lines().collect();
    json!({ "via": via, "body": body, "events": parcel.events, "unsaid": parcel.unsaid })
}

fn answer(said: &Value) -> Answer {
    if let Some(status) = said["status"].as_u64() {
        let retry_after = said["retry_after"].as_u64().map(Duration::from_secs);
        return Answer::Http { status: u16::try_from(status).unwrap(), retry_after, body: bytes::Bytes::new() };
    }
    match said.as_str().unwrap() {
        "written" => Answer::Written,
        "connect" => Answer::Failed(Failure::Connect),
        "timeout" => Answer::Failed(Failure::Timeout),
        "tls" => Answer::Failed(Failure::Tls),
        "garbage" => Answer::Failed(Failure::Garbage),
        "disk" => Answer::Failed(Failure::Disk),
        other => panic!("no answer is called {other}"),
    }
}

fn said(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Accepted { proven } => json!({ "accepted": { "proven": proven } }),
        Verdict::DroppedByReceiver => json!("dropped_by_receiver"),
        Verdict::Rejected { reason } => json!({ "rejected": reason }),
        Verdict::EndpointRefuses { reason } => json!({ "endpoint_refuses": reason }),
        Verdict::Retry { after } => json!({ "retry_after_seconds": after.map(|after| after.as_secs()) }),
    }
}
