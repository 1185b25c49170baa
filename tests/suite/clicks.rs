//! Click ids leave to the vendor that issued them, under advertising that was agreed to, and rest for nobody else; and where a visitor came
//! from is said at the level that the policy names.

use firsthand::{clock::Timestamp, event::Offset};
use serde_json::{Value, json};

use crate::{
    installation::{SITE, destination, file_destination},
    line::{Line, RawRequest},
};

const NOW: Timestamp = Timestamp(1_790_000_123_456);
const ADS: &str = r#""g":["analytics","ads"],"#;
const CLICKS: &str = "gclid=Cj0KCQ-A_b&fbclid=IwAR2x&_gl=1*1abc*_ga*NzEy&utm_source=letter";

/// Google's own tool and the site's own file, each for advertising, and Google's for analytics alone; the policy says this more.
fn documents(secret: &std::path::Path, more: &str) -> String {
    let settings = format!("settings = {{ measurement_id = \"G-ABC123\", api_secret = \"file:{}\" }}", secret.display());
    let for_ads = |text: String| text.replace("[\"analytics\"]", "[\"ads\"]");
    [
        SITE.replace("\n[[site]]", &format!("\n{more}\n[[site]]")),
        for_ads(destination("google-ads", "ga4", "consent", "consented-ads", &settings)),
        destination("google-analytics", "ga4", "consent", "consented-analytics", &settings),
        for_ads(file_destination("own", "consent", "consented-ads")),
    ]
    .concat()
}

fn deviation(field: &str, treatment: &str) -> String {
    format!("[[policy.deviation]]\nfield = \"{field}\"\ntreatment = \"{treatment}\"\nstate = \"granted\"\nreason = \"a test\"\n")
}

fn view(line: &Line, choice: &str, referrer: &str) -> Offset {
    let event = format!(r#"{{"k":"page_view","p":"https://www.shop.example/landing?{CLICKS}","r":"{referrer}"}}"#);
    let request = RawRequest::beacon([192, 0, 2, 7].into(), format!("{{{choice}\"e\":[{event}]}}"));
    line.append(0, line.receive(&request, NOW)).expect("it is new, and somebody may have it")
}

fn seen(line: &Line, offset: Offset, by: &str) -> Value {
    let record = line.records(0, offset).into_iter().find(|record| record.offset == offset).unwrap();
    let (_, text) = line.disclosures(&record, NOW).into_iter().find(|(name, _)| name == by).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("not disclosed: {text}"))
}

fn secret() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a-secret-of-the-vendor").unwrap();
    file
}

#[test]
fn a_click_id_goes_to_its_issuer_for_advertising_alone() {
    let secret = secret();
    // A deviation cannot give an analyst or another vendor what is an advertiser's.
    let mut line = Line::new(&documents(secret.path(), &deviation("click_ids", "keep")), 1);
    let offset = view(&line, ADS, "");
    assert_eq!(seen(&line, offset, "google-ads")["click_ids"], json!({ "gclid": "Cj0KCQ-A_b" }));
    for other in ["google-analytics", "own"] {
        let text = seen(&line, offset, other).to_string();
        assert!(text.contains("letter") && !text.contains("Cj0KCQ") && !text.contains("IwAR2x"), "{other}: {text}");
    }
    // What no issuer may have did not rest, and what is dropped now does not leave any more.
    line.put_in_force(&documents(secret.path(), &deviation("click_ids", "drop")));
    assert!(seen(&line, offset, "google-ads").get("click_ids").is_none());
    let narrow = view(&line, ADS, "");
    line.put_in_force(&documents(secret.path(), ""));
    assert!(seen(&line, offset, "google-ads").get("click_ids").is_some());
    assert!(seen(&line, narrow, "google-ads").get("click_ids").is_none(), "it did not rest");
}

#[test]
fn a_click_id_is_gone_where_advertising_was_not_agreed_to() {
    let secret = secret();
    let line = Line::new(&documents(secret.path(), ""), 1);
    let offset = view(&line, r#""g":["analytics"],"#, "");
    let text = seen(&line, offset, "google-analytics").to_string();
    assert!(text.contains("letter") && !text.contains("Cj0KCQ"), "{text}");
}

#[test]
fn a_referrer_is_said_at_the_level_of_the_policy() {
    let secret = secret();
    let said = |more: &str, referrer: &str| {
        let line = Line::new(&documents(secret.path(), more), 1);
        let seen = seen(&line, view(&line, ADS, referrer), "own");
        ["referrer_kind", "referrer_host", "referrer_page"].map(|name| seen[name].clone())
    };
    let page = json!({ "host": "www.shop.example", "path": "/user/{email}" });
    let cases = [
        ("https://www.google.co.uk/search?q=jane", "search", json!("google.co.uk")),
        ("https://news.letters.example/a?b", "other", json!("letters.example")),
        ("https://t.co/x", "social", json!("t.co")),
    ];
    for (referrer, kind, site) in cases {
        assert_eq!(said("", referrer), [json!(kind), site, Value::Null], "{referrer}");
        assert_eq!(said(&deviation("referrer", "generalise"), referrer), [json!(kind), Value::Null, Value::Null], "{referrer}");
        assert_eq!(said(&deviation("referrer", "drop"), referrer), [const { Value::Null }; 3], "{referrer}");
    }
    let own = "https://www.shop.example/user/jane@mail.example?token=1#x";
    assert_eq!(said("", own), [Value::Null, Value::Null, page]);
    assert_eq!(said(&deviation("referrer", "generalise"), own), [const { Value::Null }; 3], "the site's own pages are no kind of site");
}

#[test]
fn what_rests_of_a_referrer_is_brought_to_a_tightened_policy() {
    let secret = secret();
    let mut line = Line::new(&documents(secret.path(), ""), 1);
    view(&line, ADS, "https://www.google.co.uk/");
    line.put_in_force(&documents(secret.path(), &(deviation("referrer", "generalise") + &deviation("click_ids", "drop"))));
    assert_eq!((line.recleanse(0, NOW), line.recleanse(0, NOW)), (1, 0));
    line.put_in_force(&documents(secret.path(), ""));
    let record = line.records(0, Offset(0)).remove(0);
    let (_, text) = line.disclosures(&record, NOW).into_iter().find(|(name, _)| name == "google-ads").unwrap();
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&seen["referrer_kind"], seen.get("referrer_host"), seen.get("click_ids")), (&json!("search"), None, None));
}
