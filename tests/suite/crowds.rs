//! Crowds, through the line over several days: what too few have in common does not leave, also not on the day on which they become many.

use std::{path::Path, sync::Arc, time::Duration};

use firsthand::{
    clock::Timestamp,
    documents::{
        Release,
        parse::DocumentFile,
        store::{Author, DocumentStore},
    },
    event::{Epoch, Offset},
    privacy::crowd::{Hold, Period},
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
    let fields = ["device", "country", "language", "screen", "page", "referrer_kind", "referrer_host"];
    fields.into_iter().map(|field| (field.to_owned(), shown[field].take())).collect()
}

fn nothing() -> Value {
    json!({
        "device": { "browser": "other", "major": 0, "system": "other", "form": "other" },
        "country": "ZZ", "language": null, "screen": null, "referrer_kind": null, "referrer_host": null,
        "page": { "host": "www.shop.example", "path": "/(other)" },
    })
}

fn is(browser: &str, major: u16, system: &str) -> Value {
    json!({
        "device": { "browser": browser, "major": major, "system": system, "form": "desktop" },
        "country": "FR", "language": "fr", "screen": "<1600", "referrer_kind": null, "referrer_host": null,
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
    (whole["referrer_kind"], whole["referrer_host"]) = (json!("other"), json!("rare.example"));
    assert_eq!(of(""), (whole, nothing()), "the exemption's destination has no more than of others");
    assert_eq!(of("crowd_consented = true\n"), (nothing(), nothing()));
}

#[test]
fn too_small_a_crowd_and_an_order_with_holes_are_refused() {
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

/// A destination that waits for the day's end.
fn waiting() -> Line {
    let site = SITE.replace("crowd = 1\ncrowd_reason = \"one visitor at a time is tested\"\n", "");
    let exempt = file_destination("exempt", "exempt_measurement", "measurement");
    Line::new(&(site + &exempt.replace("transform = ", "release = \"daily\"\ntransform = ")), 1)
}

/// Decides on the day of the first record, as the courier does when it is over.
fn decide(line: &Line, now: Timestamp) {
    let (site, destination) = (&line.documents.sites[0], &line.documents.destinations[0]);
    let records = line.records(0, Offset(0));
    let header = firsthand::privacy::record::header_of(&records[0].bytes).unwrap();
    let period = Period::of(destination.release, header.epoch, header.received).unwrap();
    assert!(period.is_over(site, now) && !period.is_over(site, day(0)));
    let crowds = line.discloser.crowds();
    let hold = Hold { destination: destination.number, period };
    assert!(!crowds.is_decided(site.number, hold).unwrap());
    let mut counted = crowds.count_period(site, hold).unwrap();
    for record in &records {
        line.discloser.count_held(record, &line.documents, destination, now, &mut counted).unwrap();
    }
    crowds.decide(site.number, counted).unwrap();
    assert!(crowds.is_decided(site.number, hold).unwrap());
}

fn objects(line: &Line, host: u8, now: Timestamp) {
    let request = RawRequest::beacon(format!("192.0.2.{host}").parse().unwrap(), String::from(r#"{"e":[]}"#));
    line.receive(&request.with("user-agent", CHROME).with("sec-gpc", "1"), now);
}

#[test]
fn a_day_that_is_held_back_is_decided_on_as_a_whole() {
    let line = waiting();
    let first = view(&line, 1, CHROME, "", day(0));
    visits(&line, 2..=21, CHROME, day(0));
    let rare = visits(&line, 22..=40, OPERA, day(0));
    assert_eq!(shown(&line, "exempt", first, day(1)), nothing(), "before it is decided, nothing may be said");
    objects(&line, 21, day(0));
    decide(&line, day(1));
    let (whole, least) = (is("chrome", 142, "windows"), nothing());
    let said = shown(&line, "exempt", first, day(1));
    assert_eq!((&said["device"], &said["page"]), (&whole["device"], &whole["page"]), "twenty are a crowd on their first day");
    assert_eq!(said["country"], least["country"], "a place needs its week");
    let said = shown(&line, "exempt", rare, day(1));
    assert_eq!((&said["device"], &said["page"]), (&least["device"], &whole["page"]), "nineteen are none, and read what many read");
    // What is decided stays: some of the day has left by it.
    objects(&line, 20, day(0));
    assert_eq!(shown(&line, "exempt", first, day(1))["device"], whole["device"]);
    let late = view(&line, 60, OPERA, "", day(0));
    assert_eq!(shown(&line, "exempt", late, day(1))["device"], least["device"], "the twentieth came after the decision");
}

#[test]
fn who_objects_before_the_day_is_decided_is_in_no_crowd() {
    let line = waiting();
    let first = view(&line, 1, CHROME, "", day(0));
    visits(&line, 2..=21, CHROME, day(0));
    objects(&line, 20, day(0));
    objects(&line, 21, day(0));
    decide(&line, day(1));
    assert_eq!(shown(&line, "exempt", first, day(1)), nothing());
}

#[test]
fn an_hour_is_over_a_minute_after_its_end_and_live_waits_for_none() {
    let line = waiting();
    let site = &line.documents.sites[0];
    let received = Timestamp(3_600_000 * 500_000 + 1);
    let hour = Period::of(Release::Hourly, Epoch(1), received).unwrap();
    let end = Timestamp(3_600_000 * 500_001);
    assert!(!hour.is_over(site, end) && !hour.is_over(site, end.plus(Duration::from_secs(59))));
    assert!(hour.is_over(site, end.plus(Duration::from_secs(60))));
    assert_eq!(Period::of(Release::Live, Epoch(1), received), None);
}
