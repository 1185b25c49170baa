//! Digests of contact data against vendors' own code from npm, on people as they write themselves: Meta's business SDK and its parameter
//! builder (`tests/oracles/meta/`), and what Segment's code sends TikTok (`tests/receivers/ga4-oracle/tiktok.mjs`). Meta's two disagree with
//! each other here and there: what both make the same of, ours has to; where they differ, the case says whose is followed, and why stands in
//! docs/envelope.md.

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

/// A site with both vendors, who may have contact data.
fn documents(secret: &Path) -> String {
    let token = format!("access_token = \"file:{}\"", secret.display());
    let deviation = format!(
        "[[policy.deviation]]\nfield = \"{}\"\ntreatment = \"keep\"\nstate = \"granted\"\ndestinations = [\"meta\", \"tiktok\"]\nreason = \"a test\"\n",
        Field::Contact.name()
    );
    let of = |name: &str, id: &str| {
        destination(name, name, "consent", "consented-ads", &format!("settings = {{ {id}, {token} }}")).replace("\"analytics\"", "\"ads\"")
    };
    SITE.replace("\n[[site]]", &format!("\n{deviation}\n[[site]]"))
        + &of("meta", "dataset_id = \"123\"")
        + &of("tiktok", "pixel_code = \"C123\"")
}

/// Makes ours of what an oracle's cases say.
struct Ours {
    line: Line,
    vendor: &'static str,
    made: usize,
}

impl Ours {
    fn of(vendor: &'static str) -> Self {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "a-token-of-the-vendor").unwrap();
        Self { line: Line::new(&documents(secret.path()), 1), vendor, made: 0 }
    }

    /// The digest that the vendor's destination is given; null where it is given none.
    fn digest(&mut self, case: &Value) -> Value {
        let (_, key, part) = PARTS.into_iter().find(|(theirs, ..)| *theirs == case["part"]).unwrap();
        self.made += 1;
        let id = format!("event-number-{}", self.made);
        let body = json!({ "g": ["ads"], "e": [{ "k": "lead", "i": id, "a": "u", "c": { key: case["said"] } }] });
        let line = &self.line;
        let offset = line.append(0, line.receive(&RawRequest::beacon([192, 0, 2, 7].into(), body.to_string()), NOW)).unwrap();
        let record = line.records(0, offset).remove(0);
        let destination = line.documents.destinations.iter().find(|of| of.name == self.vendor).unwrap();
        let disclosed = line.discloser.disclose(&record, &line.documents, destination, NOW).unwrap();
        let Disclosed::Disclosure(disclosure) = disclosed else { panic!("it is disclosed: {case}") };
        json!(disclosure.envelope().and_then(|envelope| envelope.get(part)))
    }
}

/// The cases that a script prints.
fn cases(script: &str) -> Vec<Value> {
    let oracle = Command::new("node").arg(script).output().unwrap();
    assert!(oracle.status.success(), "{}", String::from_utf8_lossy(&oracle.stderr));
    String::from_utf8(oracle.stdout).unwrap().lines().map(|case| serde_json::from_str(case).unwrap()).collect()
}

fn install(directory: &str) {
    let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", directory];
    assert!(Command::new("npm").args(arguments).status().unwrap().success());
}

#[test]
#[ignore = "needs node and npm: run by tests/run"]
fn metas_own_code_makes_the_same_digests() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/meta");
    install(directory);
    let mut ours_of = Ours::of("meta");
    let (mut same, mut sdks, mut builders) = (0, 0, 0);
    for case in cases(&format!("{directory}/digests.mjs")) {
        let ours = ours_of.digest(&case);
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

#[test]
#[ignore = "needs node and npm: run by tests/run"]
fn segments_own_code_makes_the_same_digests_for_tiktok() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receivers/ga4-oracle");
    // It is large, and the comparison of another mapping has installed it before.
    if !Path::new(directory).join("node_modules/@segment/action-destinations").is_dir() {
        install(directory);
    }
    let mut ours = Ours::of("tiktok");
    let cases = cases(&format!("{directory}/tiktok.mjs"));
    assert!(cases.len() > 20);
    for case in cases {
        assert_eq!(ours.digest(&case), case["theirs"], "{case}");
    }
}
