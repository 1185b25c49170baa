//! `records` by the binary: what it writes and says, of which documents, and that its hash is the one of every other command.

use std::fs;

use firsthand::documents::{fingerprint::fingerprint, parse::DocumentFile};
use serde_json::Value;

use crate::installation::{Installation, SITE, file_destination};

fn said(installation: &Installation, arguments: &[&str]) -> String {
    let output = installation.run(&[&["records"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn failure(installation: &Installation, arguments: &[&str]) -> String {
    let output = installation.run(&[&["records"], arguments].concat());
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn record(installation: &Installation, name: &str) -> Value {
    serde_json::from_slice(&fs::read(installation.path().join(name)).unwrap()).unwrap()
}

/// What the first section says under a key.
fn identity(record: &Value, key: &str) -> String {
    let facts = record["sections"][0]["parts"][0]["facts"].as_array().unwrap();
    facts.iter().find(|fact| fact["key"] == key).and_then(|fact| fact["code"].as_str()).unwrap().to_owned()
}

#[test]
fn all_records_are_written_with_the_hash_of_what_is_in_force() {
    let documents = [SITE.to_owned(), file_destination("count", "exempt_measurement", "strict")].concat();
    let installation = Installation::new(&documents);
    let printed = said(&installation, &[]);
    for kind in ["article30", "dpia", "measurement"] {
        for ending in ["en.json", "en.csv", "en.html", "fr.json", "fr.csv", "fr.html"] {
            let file = format!("records/{kind}.{ending}");
            assert!(printed.contains(&file) && installation.path().join(&file).exists(), "{file}");
        }
    }
    let exported = String::from_utf8(installation.run(&["export"]).stdout).unwrap();
    let hash = fingerprint(&DocumentFile::parse(&exported).unwrap().into_documents());
    let first = record(&installation, "records/article30.fr.json");
    assert_eq!(identity(&first, "documents_sha256"), hash);
    assert!(printed.contains(&hash) && printed.contains("site \"shop\": controller.name"), "{printed}");
    let page = fs::read_to_string(installation.path().join("records/article30.fr.html")).unwrap();
    assert!(page.contains(&hash) && page.contains("<html lang=\"fr\">") && page.contains("Registre des activités de traitement"));

    // What the operator declares changes the record and the hash, and nothing of what leaves.
    let site =
        documents.replace("policy = \"shop\"\n", "policy = \"shop\"\ncontroller = { name = \"Shop SARL\", contact = \"1 <rue>\" }\n");
    installation.apply(&site);
    let printed = said(&installation, &["--kind", "article30", "--language", "en", "--format", "json", "--out", "now"]);
    assert!(!printed.contains("controller.name") && !installation.path().join("now/article30.fr.json").exists());
    let second = record(&installation, "now/article30.en.json");
    assert_ne!(identity(&second, "documents_sha256"), hash);
    let text = second.to_string();
    assert!(text.contains("`controller.name` was not set, and is “Shop SARL”.") && text.contains("1 <rue>"), "{text}");
    assert!(!text.contains("\"more\""), "nothing more leaves: {text}");

    // And it can be made as it was.
    let revision = identity(&first, "revision");
    said(&installation, &["--at", &revision, "--kind", "article30", "--format", "json", "--out", "then"]);
    let then = record(&installation, "then/article30.fr.json");
    assert_eq!(identity(&then, "documents_sha256"), hash);
    let unknown = failure(&installation, &["--at", "900"]);
    assert!(unknown.contains("there is no revision 900") && unknown.contains(&format!("{revision} of ")), "{unknown}");
    let wrong = failure(&installation, &["--site", "shpo"]);
    assert!(wrong.contains("did you mean \"shop\"?"), "{wrong}");
}

#[test]
fn what_is_declared_wrongly_is_refused_with_its_key() {
    let installation = Installation::new(SITE);
    let wrong = SITE.replace("policy = \"shop\"\n", "policy = \"shop\"\nhosting = { country = \"France\" }\n");
    installation.write("wrong.toml", &wrong);
    let output = installation.run(&["apply", "wrong.toml", "--reason", "a test"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("site \"shop\": hosting.country: it is no country's code") && text.contains("fix: country = \"FR\""), "{text}");
    assert!(failure(&Installation::empty(), &[]).contains("there are no documents yet"));
}
