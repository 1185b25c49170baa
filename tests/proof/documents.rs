//! What documents may not say: each is refused when it is applied.

use std::{path::Path, sync::Arc};

use clap::Parser as _;
use firsthand::{
    cli::{Arguments, execute},
    clock::Timestamp,
    documents::{
        parse::DocumentFile,
        store::{Author, DocumentStore},
    },
    state::{IN_MEMORY, StateDb},
};

use crate::{
    Found,
    installation::{SITE, destination, file_destination},
    unless,
    visit::with_policy,
};

fn are_taken(documents: &str) -> bool {
    let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
    let author = Author { name: "test", reason: "test", at: Timestamp(0) };
    store.apply(DocumentFile::parse(documents).unwrap().into_documents(), false, false, &author).is_ok()
}

/// The bad documents are refused, though the good ones, which differ in that alone, are taken.
fn refused(good: &str, bad: &str, otherwise: &'static str) -> Found {
    assert!(are_taken(good), "the control: without the fault they are taken");
    unless(are_taken(bad), otherwise)
}

pub(crate) fn an_exemption_for_a_vendor() -> Found {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a-secret-of-the-vendor").unwrap();
    let settings = format!("settings = {{ measurement_id = \"G-ABC123DEF4\", api_secret = \"file:{}\" }}", secret.path().display());
    let of = |basis| SITE.to_owned() + &destination("vendor", "ga4", basis, "strict", &settings);
    refused(&of("consent"), &of("exempt_measurement"), "everyone's events, to a vendor who uses them for itself")
}

pub(crate) fn an_exemption_for_a_consented_transform() -> Found {
    let of = |transform| SITE.to_owned() + &file_destination("measurement", "exempt_measurement", transform);
    refused(&of("measurement"), &of("consented-analytics"), "a destination without consent, set up to be shown what only consent can allow")
}

pub(crate) fn a_transform_without_its_purpose() -> Found {
    let of = |transform| SITE.to_owned() + &file_destination("customers", "consent", transform);
    refused(&of("consented-analytics"), &of("consented-ads"), "what consent to advertising shows, by a consent to analytics")
}

pub(crate) fn kept_for_longer_than_the_exemption_allows() -> Found {
    let of = |months| {
        let measurement = file_destination("measurement", "exempt_measurement", "measurement");
        SITE.to_owned() + &measurement.replace("transform =", &format!("kept_months = {months}\ntransform ="))
    };
    refused(&of(25), &of(26), "what was collected without consent, and is kept for longer than the exemption allows")
}

pub(crate) fn relaxed_without_a_reason() -> Found {
    let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
    let applied = |transform, reason| {
        let documents = SITE.to_owned() + &file_destination("measurement", "exempt_measurement", transform);
        let author = Author { name: "test", reason, at: Timestamp(0) };
        store.apply(DocumentFile::parse(&documents).unwrap().into_documents(), false, false, &author).is_ok()
    };
    assert!(
        applied("measurement", "") && applied("strict", "") && applied("measurement", "a test") && applied("strict", ""),
        "the control"
    );
    unless(applied("measurement", ""), "more than before, and nobody knows why")
}

pub(crate) fn a_change_beside_the_file() -> Found {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let machine = write("firsthand.toml", "[managed]\nfrom = \"managed.toml\"\n");
    let [same, other] = ["managed.toml", "other.toml"].map(|name| write(name, SITE));
    let apply = |file: &str| {
        let arguments = Arguments::try_parse_from(["firsthand", "--config", &machine, "apply", file, "--reason", "a test"]).unwrap();
        execute(arguments, &mut Vec::new()).is_ok()
    };
    assert!(apply(&same), "the control: what the file says is taken");
    write("other.toml", &SITE.replace("newsletter_opened", "newsletter_closed"));
    unless(apply(&other), "a change of documents that their master, a file, does not know of")
}

fn with_deviation(treatment: &str, reason: &str) -> String {
    let deviation =
        format!("[[policy.deviation]]\nfield = \"time\"\ntreatment = \"{treatment}\"\nstate = \"unknown\"\nreason = \"{reason}\"\n");
    with_policy(SITE, &deviation)
}

pub(crate) fn a_deviation_without_a_reason() -> Found {
    refused(&with_deviation("generalise", "a test"), &with_deviation("generalise", " "), "a policy that deviates, and nobody knows why")
}

pub(crate) fn a_wider_deviation_without_consent() -> Found {
    refused(
        &with_deviation("generalise", "a test"),
        &with_deviation("keep", "a test"),
        "a policy that shows more of visitors who have not chosen",
    )
}
