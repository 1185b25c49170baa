//! Digests of contact data against Meta's own code from npm (`tests/oracles/meta/`): its business SDK and its parameter builder, on people as
//! they write themselves. They disagree with each other here and there: what both make the same of, ours has to; where they differ, the
//! case says whose is followed, and why stands in docs/envelope.md.

use std::{path::Path, process::Command};

use firsthand::{
    clock::Timestamp,
    privacy::{disclose::Disclosed, envelope::Part, policy::Field},
};
use serde_json::{Value, json};

use crate::{
    installation::{SITE, destination},
    line::{Line, RawRequest},
};

const NOW: Timestamp = Timestamp(1_790_000_123_456);
/// Meta's names, as the code there and our own script's form have them, and what a disclosure calls them.
const PARTS: [(&str, &str, Part); 8] = [
    ("em", "em", Part::Email),
    ("ph", "ph", Part::Phone),
    ("fn", "fn", Part::FirstName),
    ("ln", "ln", Part::LastName),
    ("ct", "ct", Part::City),
    ("st", "st", Part::Region),
    ("zp", "zp", Part::Postcode),
    ("country", "co", Part::Country),
];

fn documents(secret: &Path) -> String {
    let settings = format!("settings = {{ dataset_id = \"123\", access_token = \"file:{}\" }}", secret.display());
    let deviation = format!(
        "[[policy.deviation]]\nfield = \"{}\"\ntreatment = \"keep\"\nstate = \"granted\"\ndestinations = [\"meta\"]\nreason = \"a test\"\n",
        Field::Contact.name()
    );
    let meta = destination("meta", "meta", "consent", "consented-ads", &settings).replace("\"analytics\"", "\"ads\"");
    SITE.replace("\n[[site]]", &format!("\n{deviation}\n[[site]]")) + &meta
}

#[test]
#[ignore = "needs node and npm: run by tests/run"]
fn metas_own_code_makes_the_same_digests() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/meta");
    let installed =
        Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", directory]).status().unwrap();
    assert!(installed.success());
    let oracle = Command::new("node").arg(format!("{directory}/digests.mjs")).output().unwrap();
    assert!(oracle.status.success(), "{}", String::from_utf8_lossy(&oracle.stderr));
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a-token-of-the-vendor").unwrap();
    let line = Line::new(&documents(secret.path()), 1);
    let (mut same, mut sdks, mut builders) = (0, 0, 0);
    for (number, case) in String::from_utf8(oracle.stdout).unwrap().lines().enumerate() {
        let case: Value = serde_json::from_str(case).unwrap();
        let (_, key, part) = PARTS.into_iter().find(|(theirs, ..)| *theirs == case["part"]).unwrap();
        let body =
            json!({ "g": ["ads"], "e": [{ "k": "lead", "i": format!("event-number-{number}"), "a": "u", "c": { key: case["said"] } }] });
        let offset = line.append(0, line.receive(&RawRequest::beacon([192, 0, 2, 7].into(), body.to_string()), NOW)).unwrap();
        let record = line.records(0, offset).remove(0);
        let Disclosed::Disclosure(disclosure) =
            line.discloser.disclose(&record, &line.documents, &line.documents.destinations[0], NOW).unwrap()
        else {
            panic!("it is disclosed: {case}")
        };
        let ours = json!(disclosure.envelope().and_then(|envelope| envelope.get(part)));
        match (&case["sdk"], &case["builder"]) {
            (sdk, builder) if sdk == builder => {
                assert_eq!(ours, *sdk, "both make it so: {case}");
                same += 1;
            }
            (sdk, _) if case["follow"] == "sdk" => {
                assert_eq!(ours, *sdk, "the SDK makes it so: {case}");
                sdks += 1;
            }
            (_, builder) => {
                assert_eq!(case["follow"], "builder", "they differ, and the case does not say whose is followed: {case}");
                assert_eq!(ours, *builder, "the parameter builder makes it so: {case}");
                builders += 1;
            }
        }
    }
    assert!(same > 60 && sdks > 5 && builders > 5, "{same} alike, {sdks} as the SDK, {builders} as the parameter builder");
}
