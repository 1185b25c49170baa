//! What a Snowplow collector is sent against the schemas of Iglu Central, by a JSON-schema validator from npm (`tests/oracles/snowplow/`):
//! generated events that came in by four libraries' words, and the destination's golden parcels. A collector says yes to anything; a pipeline
//! behind it drops what breaks a schema.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::relay::bodies_for_snowplow;

/// Generated events, each said in the words of four libraries.
const CASES: u32 = 60;
/// What has to be among what is sent, or the comparison says little.
const SEEN: [&str; 7] = [
    "payload_data/jsonschema/1-0-4",
    "unstruct_event/jsonschema/1-0-0",
    "contexts/jsonschema/1-0-0",
    "ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2",
    "ecommerce/product/jsonschema/1-0-0",
    "ecommerce/transaction/jsonschema/1-0-0",
    "ecommerce/refund/jsonschema/1-0-0",
];

/// The bodies that the golden cases become.
fn golden() -> Vec<String> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/destination/snowplow");
    let cases = fs::read_dir(home).unwrap().map(|case| serde_json::from_slice::<Value>(&fs::read(case.unwrap().path()).unwrap()).unwrap());
    let parcels = cases.flat_map(|case| case["parcels"].as_array().cloned().unwrap_or_default());
    parcels.map(|parcel| parcel["body"][0].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs node and npm: run by tests/run"]
fn iglus_schemas_take_what_snowplow_is_sent() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/snowplow");
    let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", directory];
    assert!(Command::new("npm").args(arguments).status().unwrap().success());
    let bodies = [golden(), bodies_for_snowplow(CASES)].concat();
    let mut validator =
        Command::new("node").arg(format!("{directory}/validate.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    validator.stdin.take().unwrap().write_all(bodies.join("\n").as_bytes()).unwrap();
    let output = validator.wait_with_output().unwrap();
    assert!(output.status.success());
    let mut said: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let broken = said.pop().unwrap();
    assert_eq!(said.len(), bodies.len());
    let mut seen = BTreeSet::new();
    for (judged, body) in said.iter().zip(&bodies) {
        assert_eq!(judged["found"], Value::Array(Vec::new()), "{body}");
        seen.extend(judged["held"].as_array().unwrap().iter().filter_map(Value::as_str));
    }
    for schema in SEEN {
        assert!(seen.iter().any(|address| address.ends_with(schema)), "nothing is held against {schema}: {seen:?}");
    }
    // The validator sees what is wrong, in every field that is sent.
    assert_eq!(broken["unseen"], Value::Array(Vec::new()));
    assert!(broken["breaks"].as_u64().unwrap() > 60 && broken["schemas"].as_array().unwrap().len() == SEEN.len(), "{broken}");
}
