//! The six cells — basis of the destination × state of the visitor — for three destinations each, as one golden file that a privacy officer
//! can read: `tests/golden/cells.json`. `UPDATE_GOLDEN=1` writes it anew.

use std::{fs, path::Path};

use firsthand::clock::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    installation::{SITE, destination, file_destination},
    line::{Became, Line, RawRequest},
    receiver::SECRET,
};

const NOW: Timestamp = Timestamp(1_790_000_123_456);
/// What differs from run to run: ids under keys that are random here.
const IDS: [&str; 5] = ["event_id", "visitor_id", "session_id", "user_id", "transaction_id"];

/// A purchase by a visitor who said this of the choice.
fn purchase(said: &str) -> RawRequest {
    RawRequest::parse(&format!(
        r#"POST /keso/e HTTP/1.1
Host: www.shop.example
Origin: https://www.shop.example
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0
X-Forwarded-For: 192.0.2.7

{{{said}"e":[{{"k":"purchase","i":"abcdefghijklmnop","t":1790000122111,
"p":"https://www.shop.example/thanks?utm_source=letter&email=jane@example.org","r":"https://search.example/?q=jug","v":62.55,"m":"EUR","x":"A-1007",
"tx":9.98,"sh":4.25,"cp":"AUTUMN","a":"customer-7","l":"fr-FR","w":1440,"y":[{{"id":"12","name":"Jug","price":38}}],"d":{{"plan":"pro"}}}}]}}"#
    ))
}

/// Three destinations on each basis.
fn documents(secret: &Path) -> String {
    let secret = secret.display();
    let webhook = |name: &str| format!("settings = {{ url = \"https://{name}.example/hook\", secret = \"file:{secret}\" }}");
    let ga4 = format!("settings = {{ measurement_id = \"G-ABC123\", api_secret = \"file:{secret}\" }}");
    let for_profiles = |text: String| text.replace("[\"analytics\"]", "[\"profile\"]");
    [
        SITE.to_owned(),
        file_destination("exempt-file-strict", "exempt_measurement", "strict"),
        file_destination("exempt-file-measurement", "exempt_measurement", "measurement"),
        destination("exempt-webhook-measurement", "webhook", "exempt_measurement", "measurement", &webhook("exempt")),
        destination("consent-ga4", "ga4", "consent", "consented-analytics", &ga4),
        destination("consent-webhook-strict", "webhook", "consent", "strict", &webhook("consent")),
        for_profiles(file_destination("consent-file-profile", "consent", "consented-profile")),
    ]
    .concat()
}

/// What each destination receives: names and values, ids by their presence.
fn received(line: &Line, said: &str) -> Value {
    let request = purchase(said);
    let taken = line.receive(&request, NOW);
    if let [Became::Refused(refusal)] = taken.events.as_slice() {
        return json!({ "all": format!("nothing, and it is counted: {}", refusal.name()) });
    }
    let offset = line.append(0, taken).expect("it is new, and somebody may have it");
    let record = line.records(0, offset).remove(0);
    let mut received = Map::new();
    for (destination, text) in line.disclosures(&record, NOW) {
        let mut sees = serde_json::from_str(&text).unwrap_or(Value::String(text));
        for id in IDS {
            if let Some(value) = sees.get_mut(id).filter(|value| *value != "A-1007" && *value != "customer-7") {
                *value = json!("(under this destination's key)");
            }
        }
        received.insert(destination, sees);
    }
    Value::Object(received)
}

#[test]
fn the_six_cells_are_what_their_golden_file_says() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let states = [("objected", r#""g":[],"#), ("unknown", ""), ("granted analytics and profile", r#""g":["analytics","profile"],"#)];
    let cells: Map<String, Value> =
        states.into_iter().map(|(state, said)| (state.to_owned(), received(&Line::new(&documents(&secret), 1), said))).collect();
    let outcome = serde_json::to_string_pretty(&cells).unwrap() + "\n";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cells.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, outcome).unwrap();
    } else {
        assert_eq!(fs::read_to_string(&golden).unwrap_or_default(), outcome, "{}: it is now otherwise", golden.display());
    }
}
