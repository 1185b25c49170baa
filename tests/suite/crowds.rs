//! Crowds, through the line over several days: what too few have in common does not leave, also not on the day on which they become many.

use std::{path::Path, sync::Arc, time::Duration};

use firsthand::{
    clock::Timestamp,
    documents::{
        parse::DocumentFile,
        store::{Author, DocumentStore},
    },
    event::Offset,
    state::{IN_MEMORY, StateDb},
};
use serde_json::{Value, json};

use crate::{
    installation::{SITE, WITHOUT_CROWDS, file_destination},
    line::{Line, RawRequest},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A noon in Paris.
const FIRST_DAY: Timestamp = Timestamp(1_790_000_000_000 - 1_790_000_000_000 % 86_400_000 + 11 * 3_600_000);

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const OPERA: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0";

fn line(more: &str) -> Line {
    let site = SITE.replace(WITHOUT_CROWDS, more);
    assert_ne!(site, SITE);
    let exempt = file_destination("exempt", "exempt_measurement", "measurement");
    Line::new(&[site, exempt, file_destination("consented", "consent", "consented-analytics")].concat(), 1)
}

fn day(number: u32) -> Timestamp {
    FIRST_DAY.plus(DAY * number)
}

/// One page view, appended: where it is.
fn view(line: &Line, host: u8, agent: &str, said: &str, now: Timestamp) -> Offset {
    let request = RawRequest::beacon(
        format!("192.0.2.{host}").parse().unwrap(),
        format!(
            r#"{{{said}"e":[{{"k":"page_view","p":"https://www.shop.example/shoes","r":"https://rare.example/","l":"fr","w":1440}}]}}"#
        ),
    );
    line.append(0, line.receive(&request.with("user-agent", agent), now)).expect("it is new")
}

fn visits(line: &Line, hosts: std::ops::RangeInclusive<u8>, agent: &str, now: Timestamp) -> Offset {
    hosts.map(|host| view(line, host, agent, "", now)).last().unwrap()
}

/// What a destination is shown of a record.
fn shown(line: &Line, to: &str, offset: Offset, now: Timestamp) -> Value {
    let record = line.records(0, offset).remove(0);
    let (_, text) = line.disclosures(&record, now).into_iter().find(|(name, _)| name == to).unwrap();
    let mut shown: Value = serde_json::from_str(&text).unwrap();
    let fields = ["device", "country", "language", "screen", "page", "referrer_host"];
    fields.into_iter().map(|field| (field.to_owned(), shown[field].take())).collect()
}

fn nothing() -> Value {
    json!({
        "device": { "browser": "other", "major": 0, "system": "other", "form": "other" },
        "country": "ZZ", "language": null, "screen": null, "referrer_host": null,
        "page": { "host": "www.shop.example", "path": "/(other)" },
    })
}

fn is(browser: &str, major: u16, system: &str) -> Value {
    json!({
        "device": { "browser": browser, "major": major, "system": system, "form": "desktop" },
        "country": "FR", "language": "fr", "screen": "<1600", "referrer_host": null,
        "page": { "host": "www.shop.example", "path": "/shoes" },
    })
}

#[test]
fn a_rare_browser_never_leaves_as_itself_also_on_the_day_on_which_it_becomes_common() {
    let line = line("");
    let first = visits(&line, 1..=100, CHROME, day(0));
    assert_eq!(shown(&line, "exempt", first, day(0)), nothing(), "a site without a past has no crowds");
    visits(&line, 1..=100, CHROME, day(1));
    visits(&line, 1..=100, CHROME, day(2));
    let common = view(&line, 7, CHROME, "", day(3));
    assert_eq!(shown(&line, "exempt", common, day(3)), is("chrome", 142, "windows"));

    let rare = view(&line, 200, OPERA, "", day(3));
    let alone = json!({ "page": is("", 0, "")["page"] });
    let coarse = |offset, now| {
        let shown = shown(&line, "exempt", offset, now);
        assert_eq!((&shown["device"], &shown["country"]), (&nothing()["device"], &json!("ZZ")));
        assert_eq!(shown["page"], alone["page"], "its page is a crowd's all the same");
    };
    coarse(rare, day(3));
    let last = visits(&line, 1..=250, OPERA, day(3));
    coarse(last, day(3));
    coarse(rare, day(3));
    // Another fifty on another day: 300 in the week before, which is two crowds on an average day.
    visits(&line, 1..=50, OPERA, day(4));
    let next = view(&line, 200, OPERA, "", day(5));
    assert_eq!(shown(&line, "exempt", next, day(5)), is("opera", 124, "linux"));
    coarse(rare, day(5));
    coarse(last, day(5));
}

#[test]
fn a_page_of_the_sites_own_route_needs_no_crowd_and_names_nobody() {
    let line = line("routes = [\"/pricing\", \"/:section\"]\n");
    let first = view(&line, 1, CHROME, "", day(0));
    let said = shown(&line, "exempt", first, day(0));
    assert_eq!(said["page"]["path"], "/{section}", "the path was /shoes");
    assert_eq!(said["device"], nothing()["device"], "all else waits for its crowd");
    let agreed = view(&line, 1, CHROME, r#""g":["analytics"],"#, day(0));
    assert_eq!(shown(&line, "consented", agreed, day(0))["page"]["path"], "/{section}", "it is the owner's word, whoever agreed");
}

#[test]
fn who_agreed_needs_a_crowd_only_where_the_policy_says_so() {
    let agreed = r#""g":["analytics"],"#;
    let of = |more| {
        let line = line(more);
        let offset = view(&line, 7, OPERA, agreed, day(0));
        (shown(&line, "consented", offset, day(0)), shown(&line, "exempt", offset, day(0)))
    };
    let mut whole = is("opera", 124, "linux");
    whole["referrer_host"] = json!("rare.example");
    assert_eq!(of(""), (whole, nothing()), "the exemption's destination has no more than of others");
    assert_eq!(of("crowd_consented = true\n"), (nothing(), nothing()));
}

#[test]
fn too_small_a_crowd_an_order_with_holes_and_a_release_that_is_not_built_are_refused() {
    let refused = |from: &str, to: &str| {
        let documents = SITE.to_owned() + &file_destination("exempt", "exempt_measurement", "strict");
        let text = documents.replace(from, to);
        assert_ne!(text, documents);
        let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let author = Author { name: "test", reason: "test", at: Timestamp(0) };
        let applied = store.apply(DocumentFile::parse(&text).unwrap().into_documents(), false, false, &author);
        applied.expect_err("it is refused").to_string()
    };
    assert!(refused("crowd = 1\n", "crowd = 19\n").contains("a crowd is 20 to"));
    assert!(refused("crowd_reason = \"one visitor at a time is tested\"\n", "").contains("has no reason"));
    assert!(refused("crowd = 1\n", "crowd = 20\ngeneralise = [\"version\", \"version\"]\n").contains("each step stands in it once"));
    assert!(refused("transform = ", "release = \"daily\"\ntransform = ").contains("not yet"));
}

#[test]
fn an_officer_chooses_what_is_given_up_first() {
    let line = line("generalise = [\"device\", \"language\", \"screen\", \"place\", \"referrer\", \"system\", \"version\", \"browser\"]\n");
    // Two of a kind but for the system: what both have in common is found by giving up what comes before it.
    let other = CHROME.replace("Windows NT 10.0; Win64; x64", "X11; Linux x86_64");
    for number in 0..4 {
        visits(&line, 1..=50, CHROME, day(number));
        visits(&line, 51..=100, &other, day(number));
    }
    let offset = view(&line, 7, CHROME, "", day(4));
    let shown = shown(&line, "exempt", offset, day(4));
    assert_eq!(shown["device"], json!({ "browser": "chrome", "major": 142, "system": "other", "form": "other" }));
    assert_eq!((&shown["country"], &shown["language"]), (&json!("ZZ"), &Value::Null));
}
