//! Bots as data, through the line: the verdict rests with the event, leaves as far as the policy lets it, and a destination that is for
//! people's events has the others withheld, by name. Nothing is dropped, and nothing of the signs themselves goes on.

use std::{net::IpAddr, sync::Arc, time::Duration};

use firsthand::{clock::Timestamp, counters::STORED};
use serde_json::{Value, json};

use crate::{
    http_client::Request,
    installation::{Installation, SITE, eventually, file_destination},
    line::{Line, RawRequest, addresses, pipeline, route},
    memory_files::MemoryFiles,
};

const NOW: Timestamp = Timestamp(1_790_000_123_456);
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CRAWLER: &str = "Mozilla/5.0 (compatible; Examplebot/2.1; +https://crawler.example/about)";
const HEADLESS: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36";
const OTHER_BRANDS: &str = "\"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\"";
/// Addresses that the test's network database knows: of a broadband network, and of a data centre.
const HOME: &str = "192.0.2.41";
const DATA_CENTRE: &str = "192.0.2.200";

fn documents() -> String {
    let people = |text: String| text.replace("transform", "bots = \"people\"\ntransform");
    [
        SITE.to_owned(),
        file_destination("own-all", "exempt_measurement", "measurement"),
        people(file_destination("own-people", "exempt_measurement", "measurement")),
        file_destination("customers-all", "consent", "consented-analytics"),
        people(file_destination("customers-people", "consent", "consented-analytics")),
    ]
    .concat()
}

fn request(address: &str, headers: &[(&'static str, &str)], choice: &str) -> RawRequest {
    let address: IpAddr = address.parse().unwrap();
    let body = format!(r#"{{{choice}"e":[{{"k":"page_view","i":"abcdefghijklmnop","p":"https://www.shop.example/"}}]}}"#);
    headers.iter().fold(RawRequest::beacon(address, body), |request, (name, value)| request.with(name, value))
}

/// What each destination gets of the verdict: `null` for an event without one, and the rule where it gets nothing.
fn verdicts(documents: &str, request: &RawRequest) -> Value {
    let line = Line::new(documents, 1);
    let offset = line.append(0, line.receive(request, NOW)).expect("an event of a bot is recorded like any other");
    let record = line.records(0, offset).remove(0);
    let verdict = |text: String| serde_json::from_str::<Value>(&text).map_or(Value::String(text), |sees| sees["bot"].clone());
    line.disclosures(&record, NOW).into_iter().map(|(name, text)| (name, verdict(text))).collect()
}

#[test]
fn each_sign_gives_each_destination_what_its_documents_say() {
    let agent = |agent: &'static str| ("user-agent", agent);
    let language = ("accept-language", "fr-FR,fr;q=0.9");
    let withheld = json!("withheld: bot");
    let cases = [
        ("a browser", HOME, vec![agent(BROWSER), language], Value::Null, Value::Null),
        (
            "a crawler",
            HOME,
            vec![agent(CRAWLER)],
            json!({ "class": "declared" }),
            json!({ "class": "declared", "score": 100, "reasons": ["declared_crawler"] }),
        ),
        (
            "a headless browser",
            HOME,
            vec![agent(HEADLESS), language],
            json!({ "class": "suspected" }),
            json!({ "class": "suspected", "score": 90, "reasons": ["headless"] }),
        ),
        (
            "a browser in a data centre",
            DATA_CENTRE,
            vec![agent(BROWSER), language],
            Value::Null,
            json!({ "score": 40, "reasons": ["data_centre"] }),
        ),
        (
            "a script in a data centre",
            DATA_CENTRE,
            vec![agent(BROWSER)],
            json!({ "class": "suspected" }),
            json!({ "class": "suspected", "score": 75, "reasons": ["no_language", "data_centre"] }),
        ),
        (
            "another browser's hints",
            HOME,
            vec![agent(BROWSER), language, ("sec-ch-ua", OTHER_BRANDS), ("sec-purpose", "prefetch;prerender")],
            json!({ "class": "suspected" }),
            json!({ "class": "suspected", "score": 70, "reasons": ["contradicting_hints", "prefetch"] }),
        ),
    ];
    for (what, address, headers, class, whole) in cases {
        let people = |seen: &Value| if class.is_null() { seen.clone() } else { withheld.clone() };
        let none = json!("withheld: no_consent");
        assert_eq!(
            verdicts(&documents(), &request(address, &headers, "")),
            json!({ "own-all": class, "own-people": people(&class), "customers-all": none, "customers-people": none }),
            "{what}, without a choice"
        );
        assert_eq!(
            verdicts(&documents(), &request(address, &headers, r#""g":["analytics"],"#)),
            json!({ "own-all": class, "own-people": people(&class), "customers-all": whole, "customers-people": people(&whole) }),
            "{what}, with consent"
        );
    }
}

#[test]
fn the_ledger_says_what_was_withheld_and_the_metrics_what_came() {
    let installation = Installation::new(&documents());
    let server = installation.start();
    for agent in [BROWSER, CRAWLER, HEADLESS] {
        let body = r#"{"e":[{"k":"page_view","p":"https://www.shop.example/"}]}"#;
        let request = Request::beacon(body).instead("user-agent", agent).instead("accept-language", "fr");
        assert_eq!(server.send(&request).status, 204, "{agent}");
    }
    eventually("every event has an end", Duration::from_secs(20), || {
        ["own-all", "own-people", "customers-people"].iter().all(|name| installation.ledger_offsets(name) == 3)
    });
    let ends = |name| installation.ledger(name);
    assert_eq!(ends("own-all"), [("accepted".into(), String::new(), 3)]);
    assert_eq!(ends("own-people"), [("accepted".into(), String::new(), 1), ("withheld".into(), "bot".into(), 2)]);
    assert_eq!(ends("customers-people"), [("withheld".into(), "no_consent".into(), 3)]);
    let metrics = server.admin_page("/metrics").text();
    for class in ["none", "suspected", "declared"] {
        let line = format!("firsthand_events_by_bot_class_total{{site=\"shop\",class=\"{class}\"}} 1");
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
    assert!(!metrics.contains("Examplebot") && !metrics.contains("data_centre"), "no sign is a label");
    assert!(server.stop().success());
}

#[test]
fn a_policy_that_lets_no_verdict_leave_still_keeps_bots_from_people() {
    let silent = "\n[[policy.deviation]]\nfield = \"bot\"\ntreatment = \"drop\"\nreason = \"nobody asked for it\"\n\n[[site]]";
    let documents = documents().replace("\n[[site]]", silent);
    let seen = verdicts(&documents, &request(HOME, &[("user-agent", CRAWLER)], ""));
    assert_eq!((&seen["own-all"], &seen["own-people"]), (&Value::Null, &json!("withheld: bot")));
    let only_all = SITE.to_owned().replace("\n[[site]]", silent) + &file_destination("own-all", "exempt_measurement", "measurement");
    let line = Line::new(&only_all, 1);
    let received = line.receive(&request(HOME, &[("user-agent", CRAWLER)], ""), NOW);
    let crate::line::Became::Clean(clean) = &received.events[0] else { panic!("it is no refusal") };
    assert!(clean.body.get("bot").is_none(), "what nobody needs does not rest");
}

#[test]
fn a_pace_that_no_person_has_is_seen_and_nothing_is_refused() {
    let documents = [SITE.to_owned(), file_destination("own", "exempt_measurement", "measurement")].concat();
    let pipeline = pipeline(&documents, Arc::new(MemoryFiles::default()), NOW);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let addresses = addresses();
    let in_force = pipeline.documents.load_full();
    let send = |address: &str, requests: usize| {
        let event = r#"{"k":"page_view"}"#;
        for _ in 0..requests {
            let body = format!(r#"{{"e":[{}]}}"#, [event; 10].join(","));
            let request = RawRequest::beacon(address.parse().unwrap(), body).with("user-agent", BROWSER).with("accept-language", "fr");
            let (site, protocol) = route(&in_force, &request);
            runtime.block_on(pipeline.ingest(site, protocol, request.inbound(&addresses, NOW), |_| Ok(())));
        }
        pipeline.counters.of(in_force.sites[0].number).by_bot_class().map(|(_, count)| count).collect::<Vec<_>>()
    };
    assert_eq!(send(HOME, 29), [290, 0, 0], "an office");
    assert_eq!(send(HOME, 90), [1_190, 0, 0], "a hasty one");
    assert_eq!(send(HOME, 2), [1_190, 20, 0], "a program: from 1,200 a minute on");
    assert_eq!(send(DATA_CENTRE, 29), [1_480, 20, 0]);
    assert_eq!(send(DATA_CENTRE, 2), [1_480, 40, 0], "in a data centre from 300 on");
    let counters = pipeline.counters.of(in_force.sites[0].number);
    assert!(counters.values().all(|(name, count)| count == 0 || name == STORED), "no verdict is a refusal");
}
