//! The records of one set of documents as golden files (`UPDATE_GOLDEN=1` writes them anew), and what must hold of any.

use std::{fs, path::PathBuf, sync::Arc};

use serde_json::Value;

use super::{sheet::State, *};
use crate::{
    clock::Timestamp,
    documents::{
        parse::DocumentFile,
        store::{Author, DocumentStore},
    },
    privacy::policy::Field,
    state::{IN_MEMORY, StateDb},
};

const BEFORE: &str = include_str!("../../tests/golden/records/before.toml");
const AFTER: &str = include_str!("../../tests/golden/records/after.toml");
/// 21 September 2026, and a week later.
const THEN: Timestamp = Timestamp(1_790_000_000_000);
const LATER: Timestamp = Timestamp(1_790_604_800_000);
const MACHINE: Machine = Machine { without_consent_hours: 72, with_consent_days: 30, ends_tls: false };

fn store(versions: &[&str]) -> DocumentStore {
    let store = DocumentStore::new(Arc::new(StateDb::open(std::path::Path::new(IN_MEMORY)).unwrap()));
    for (text, (at, reason)) in versions.iter().zip([(THEN, ""), (LATER, "the shop sells online")]) {
        let author = Author { name: "camille", reason, at };
        store.apply(DocumentFile::parse(text).unwrap().into_documents(), true, false, &author).unwrap();
    }
    store
}

fn sources(versions: &[&str]) -> Sources {
    let store = store(versions);
    Sources::of(&store, store.revision().unwrap(), MACHINE, LATER).unwrap().unwrap()
}

fn json(kind: Kind, language: Language, sources: &Sources) -> Value {
    serde_json::from_str(&render(&record(kind, language, sources), Format::Json)).unwrap()
}

/// All texts of a value.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn section<'v>(record: &'v Value, key: &str) -> &'v Value {
    record["sections"].as_array().unwrap().iter().find(|section| section["key"] == key).unwrap_or_else(|| panic!("no section {key}"))
}

/// The sentences of the section on changes.
fn changes(versions: &[&str], language: Language) -> Vec<String> {
    let record = json(Kind::Article30, language, &sources(versions));
    let parts = section(&record, "changes")["parts"].as_array().unwrap().clone();
    let rows = parts.iter().filter_map(|part| part["rows"].as_array()).flatten();
    rows.map(|row| row["change"]["value"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_records_of_the_fixture_are_as_they_were() {
    let home = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/records"));
    let sources = sources(&[BEFORE, AFTER]);
    for kind in Kind::ALL {
        for language in Language::ALL {
            for format in Format::ALL {
                let file = home.join(format!("{}.{}.{}", kind.name(), language.code(), format.name()));
                let made = render(&record(kind, language, &sources), format);
                assert!(
                    !made.contains(" src=") && !made.contains("url(") && !made.contains("<script"),
                    "nothing from elsewhere, nothing that runs"
                );
                if std::env::var_os("UPDATE_GOLDEN").is_some() {
                    fs::write(&file, &made).unwrap();
                }
                let golden = fs::read_to_string(&file).unwrap_or_default();
                assert!(golden == made, "{} is not what comes out now: UPDATE_GOLDEN=1, and read the difference", file.display());
            }
        }
    }
}

#[test]
fn every_field_that_leaves_is_on_record_with_what_becomes_of_it_and_no_other_is() {
    let sources = sources(&[AFTER]);
    for language in Language::ALL {
        let record = json(Kind::Article30, language, &sources);
        let words = words::Words::of(language);
        let received = section(&record, "30.1.d")["parts"].as_array().unwrap().clone();
        let profiles = sources.documents.profiles.iter().map(|rules| &rules.destination);
        for destination in sources.documents.destinations.iter().chain(profiles) {
            let site = &sources.documents.sites[0];
            let leaving = site.leaving(destination);
            let group = received.iter().find(|part| part["item"] == destination.name.as_str()).unwrap();
            let table = group["parts"].as_array().unwrap().iter().find(|part| part["table"] == "fields").unwrap();
            for field in Field::ALL {
                let row = table["rows"].as_array().unwrap().iter().find(|row| row["field"]["code"] == field.name());
                assert_eq!(row.is_some(), leaving.has(field, site), "{} {field:?}", destination.name);
                if let Some(row) = row {
                    assert_eq!(row["treatment"]["code"], leaving.table.get(field).name());
                    let effect = words.said(leaving.effect(field));
                    assert!(row["effect"]["value"].as_str().unwrap().starts_with(&effect), "{row}");
                }
            }
        }
    }
}

#[test]
fn what_the_operator_wrote_is_text_on_the_page_whatever_stands_in_it() {
    let hostile = AFTER
        .replace("L’Échoppe <Exemple> SARL", "<script>alert(1)</script> `x` & 'y'")
        .replace("Google Ireland Limited", "\\\"><img src=x onerror=alert(1)>")
        .replace("reason = \"partners", "reason = \"<svg onload=alert(1)> partners")
        .replace("Hébergeur Exemple SAS", "</style></table><b>");
    let sources = sources(&[BEFORE, &hostile]);
    for kind in Kind::ALL {
        for language in Language::ALL {
            let page = render(&record(kind, language, &sources), Format::Html);
            for markup in ["<script", "<img", "<svg onload", "onerror=alert(1)>", "<b>", "</style></table>"] {
                assert!(!page.contains(markup), "{} {language:?}: {markup}", kind.name());
            }
            assert_eq!(page.matches("<style>").count(), 1);
        }
    }
    let page = render(&record(Kind::Article30, Language::French, &sources), Format::Html);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("&lt;svg onload=alert(1)&gt; partners"));
}

#[test]
fn what_nobody_declared_is_to_be_filled_in_with_its_key_and_nothing_is_once_all_is() {
    let bare = sources(&[BEFORE]);
    let missing =
        |sources: &Sources, kind| record(kind, Language::English, sources).missing().into_iter().map(|one| one.setting).collect::<Vec<_>>();
    let found = missing(&bare, Kind::Article30);
    for key in [
        "site \"shop\": controller.name",
        "site \"shop\": controller.legal_basis",
        "site \"shop\": controller.measures",
        "site \"shop\": hosting.country",
        "destination \"ga4\": recipient.name",
        "destination \"ga4\": recipient.contract",
        "destination \"ga4\": kept_months",
    ] {
        assert!(found.iter().any(|setting| setting == key), "{key} is not among {found:?}");
    }
    assert!(!found.iter().any(|setting| setting.contains("measurement\": kept_months")), "the exemption has its bound");
    let controller =
        "contact = \"c\"\nname = \"n\"\njoint = \"none\"\nrepresentative = \"none\"\ndpo = \"d\"\nlegal_basis = \"b\"\nmeasures = \"m\"";
    let party = "name = \"n\", country = \"FR\", contract = \"c\"";
    let full = BEFORE
        .replace("policy = \"shop\"\n\n", &format!("policy = \"shop\"\nhosting = {{ {party} }}\n[site.controller]\n{controller}\n\n"))
        .replace("settings =", &format!("kept_months = 13\nrecipient = {{ {party} }}\nsettings ="));
    for kind in Kind::ALL {
        assert_eq!(missing(&sources(&[&full]), kind), [""; 0], "{}", kind.name());
    }
    let abroad = full.replace("country = \"FR\"", "country = \"US\"");
    let found = missing(&sources(&[&abroad]), Kind::Article30);
    assert!(
        found.contains(&String::from("destination \"ga4\": recipient.safeguard"))
            && found.contains(&String::from("site \"shop\": hosting.safeguard"))
    );
}

#[test]
fn changes_are_said_in_plain_words() {
    let referrer = AFTER.replace(
        "\n[[site]]",
        "\n[[policy.deviation]]\nfield = \"referrer\"\ntreatment = \"drop\"\ndestinations = [\"ga4\"]\nreason = \"a test\"\n\n[[site]]",
    );
    let said = changes(&[&referrer, AFTER], Language::English);
    let sentence = "“ga4” now also receives, of visitors who agreed: referring site (another site's registrable domain";
    assert!(said.iter().any(|line| line.starts_with(sentence)), "{said:?}");
    let said = changes(&[AFTER, &referrer], Language::French);
    assert!(
        said.iter().any(|line| line == "«\u{a0}ga4\u{a0}» ne reçoit plus, pour les visiteurs qui ont consenti\u{a0}: site de provenance."),
        "{said:?}"
    );
    let said = changes(&[BEFORE, AFTER], Language::English);
    for start in [
        "“crm” is new, on the ground “consent to audience analysis with a lasting identifier and a customer profile",
        "“measurement” now receives in more detail, of every visitor who has not objected: visitor identifier (an id that lives one day",
        "The property `rating (number)` now leaves to “ga4”",
        "Where a yes comes with a TC string, “ga4” now needs one to vendor 755.",
        "`recipient.country` was not set, and is “US”.",
        "`kept_months` was not set, and is “13”.",
        "`controller.name` was not set, and is “L’Échoppe <Exemple> SARL”.",
    ] {
        assert!(said.iter().any(|line| line.starts_with(start)), "{start}: {said:#?}");
    }
    assert_eq!(changes(&[BEFORE, BEFORE], Language::English), [""; 0]);
    let first = json(Kind::Dpia, Language::English, &sources(&[BEFORE]));
    assert!(texts(section(&first, "changes")).contains(&String::from("These are the first documents: there was nothing before them.")));
}

#[test]
fn no_changed_key_goes_unmentioned_and_no_secret_is_quoted() {
    let changed = AFTER
        .replace("prefix = \"/kesolu\"", "prefix = \"/batiro\"")
        .replace("time_zone = \"Europe/Paris\"", "time_zone = \"Europe/Rome\"")
        .replace("G-ABC123", "G-DEF456")
        .replace("[[destination]]\nname = \"crm\"", "[[destination]]\npaused = true\nname = \"crm\"");
    let said = changes(&[AFTER, &changed], Language::English);
    for line in [
        "`prefix` was “/kesolu”, and is “/batiro”.",
        "`time_zone` was “Europe/Paris”, and is “Europe/Rome”.",
        "`paused` was not set, and is “true”.",
        "`settings.measurement_id` was a value that is not shown here, and is a value that is not shown here.",
    ] {
        assert!(said.iter().any(|one| one == line), "{line}: {said:#?}");
    }
    assert_eq!(said.len(), 4, "{said:#?}");
}

#[test]
fn an_earlier_revision_is_on_record_as_it_was() {
    let store = store(&[BEFORE, AFTER]);
    let newest = store.revision().unwrap();
    let first = store.history().unwrap().changes()[0].clone();
    let earlier = Sources::of(&store, first.revision, MACHINE, LATER).unwrap().unwrap();
    assert_eq!(earlier.fingerprint(), sources(&[BEFORE]).fingerprint());
    assert!(!earlier.newest && earlier.previous.is_none());
    let record = json(Kind::Article30, Language::English, &earlier);
    let versions = texts(section(&record, "identity")).into_iter().find(|text| text.contains("policy “shop”")).unwrap();
    assert_eq!(versions, "destination “ga4” 1 · destination “measurement” 1 · policy “shop” 1 · site “shop” 1");
    assert!(Sources::of(&store, newest, MACHINE, LATER).unwrap().unwrap().newest);
    assert!(Sources::of(&store, 0, MACHINE, LATER).unwrap().is_none());
}

#[test]
fn a_criterion_is_met_by_configuration_only_where_a_setting_says_so() {
    let states = |text: &str| {
        let record = json(Kind::Measurement, Language::French, &sources(&[text]));
        let facts = section(&record, "conditions")["parts"].as_array().unwrap().iter().find_map(|part| part["facts"].as_array().cloned());
        facts
            .unwrap()
            .into_iter()
            .map(|fact| (fact["key"].as_str().unwrap().to_owned(), fact))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let after = states(AFTER);
    for (key, fact) in &after {
        assert!(fact["source"].as_str().unwrap().starts_with("CNIL"), "{key}");
        assert_eq!(fact["state"] == "met_by_configuration", fact["setting"].is_string(), "{key}");
    }
    assert_eq!(after["kept_there"]["state"], "met_by_configuration");
    assert_eq!(states(BEFORE)["kept_there"]["state"], "to_be_answered");
    assert_eq!(after["purpose"]["state"], "to_be_answered");
    assert!(
        after["anonymous_statistics"]["value"]
            .as_str()
            .unwrap()
            .starts_with("Destinations recevant des identifiants d’un jour\u{a0}: measurement.")
    );
    let sheet = record(Kind::Measurement, Language::French, &sources(&[AFTER]));
    assert_eq!(sheet.count(State::NotRead), 14);
    let (nobody, _) = BEFORE.split_once("[[destination]]").unwrap();
    let none = record(Kind::Measurement, Language::French, &sources(&[nobody]));
    assert_eq!((none.count(State::Met), none.count(State::NotRead)), (0, 0), "there is nothing to assess");
}

#[test]
fn whoever_runs_it_for_another_has_the_processors_record() {
    let without = json(Kind::Article30, Language::English, &sources(&[AFTER]));
    assert!(texts(section(&without, "30.2"))[..].iter().any(|text| text.starts_with("No processor is declared")));
    let with = AFTER.replace("[site.hosting]", "[site.processor]\nname = \"Agency\"\n[site.hosting]");
    let with = json(Kind::Article30, Language::English, &sources(&[&with]));
    let texts = texts(section(&with, "30.2"));
    for text in ["Agency", "L’Échoppe <Exemple> SARL", "site \"shop\": processor.contract"] {
        assert!(texts.iter().any(|one| one == text), "{text}: {texts:?}");
    }
}

#[test]
fn no_record_claims_what_only_an_authority_could_say() {
    let sources = sources(&[BEFORE, AFTER]);
    for kind in Kind::ALL {
        for language in Language::ALL {
            for format in Format::ALL {
                let text = render(&record(kind, language, &sources), format).to_lowercase();
                for claim in ["compliant", "certified", "conforme", "certifié", "no consent needed"] {
                    assert!(!text.contains(claim), "{} {language:?}: {claim}", kind.name());
                }
            }
        }
    }
}
