//! Recovery, measured live: of visits with consent, in how many a vendor's own tag did not run; each counted once, small groups not shown, and nothing of it with events.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, eventually, file_destination},
};

const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CRAWLER: &str = "Mozilla/5.0 (compatible; Examplebot/2.1; +https://crawler.example/about)";
const YES: &str = r#""g":["analytics"],"#;

/// One page's message, of somebody new or of whoever has a cookie; the cookie that is set.
fn tell(server: &Running, agent: &str, choice: &str, said: &str, cookie: Option<&str>) -> Option<String> {
    let body = format!(r#"{{{choice}"u":{{{said}}},"e":[{{"k":"page_view","p":"https://www.shop.example/"}}]}}"#);
    let mut request = Request::beacon(body);
    request.headers.retain(|(name, _)| name != "User-Agent");
    request.headers.push((String::from("User-Agent"), agent.to_owned()));
    request.headers.push((String::from("Accept-Language"), String::from("fr-FR,fr;q=0.9")));
    request.headers.extend(cookie.map(|cookie| (String::from("Cookie"), cookie.to_owned())));
    let answer = server.send(&request);
    assert_eq!(answer.status, 204);
    answer.header("set-cookie").and_then(|set| set.split(';').next()).map(str::to_owned)
}

fn documents(measured: &str) -> String {
    let site = SITE.replace("prefix = ", &format!("{measured}prefix = "));
    site + &file_destination("own", "exempt_measurement", "measurement") + &file_destination("customers", "consent", "consented-analytics")
}

fn groups(machine: &Installation) -> Value {
    let output = machine.run(&["recovery", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()[0]["groups"].clone()
}

fn counted(groups: &Value) -> Vec<(String, u64, u64)> {
    let groups = groups.as_array().unwrap().iter();
    groups
        .map(|group| (group["browser"].as_str().unwrap().to_owned(), group["missed"].as_u64().unwrap(), group["visits"].as_u64().unwrap()))
        .collect()
}

#[test]
fn visits_that_agreed_are_counted_once_by_family_and_small_groups_are_not_shown() {
    let machine = Installation::new(&documents("measure_recovery = [\"gtag\"]\n"));
    let server = machine.start();
    for number in 0..40 {
        let said = if number % 4 == 0 { r#""ran.gtag":0,"ran.meta":0"# } else { r#""ran.gtag":1,"ran.meta":1"# };
        let cookie = tell(&server, CHROME, YES, said, None).expect("a cookie for who agreed");
        // The next page of the same visit says something else: the first one counted.
        tell(&server, CHROME, YES, r#""ran.gtag":0"#, Some(&cookie));
    }
    for _ in 0..19 {
        tell(&server, FIREFOX, YES, r#""ran.gtag":0"#, None);
    }
    for _ in 0..25 {
        // Who has not chosen, who refused, and who is a program.
        tell(&server, FIREFOX, "", r#""ran.gtag":0"#, None);
        tell(&server, FIREFOX, r#""g":[],"#, r#""ran.gtag":0"#, None);
        tell(&server, CRAWLER, YES, r#""ran.gtag":0"#, None);
    }
    let expected = [(String::from("chrome"), 10, 40)];
    eventually("the counts are at rest", Duration::from_secs(20), || counted(&groups(&machine)) == expected);
    tell(&server, FIREFOX, YES, r#""ran.gtag":1"#, None);
    let expected =
        [("chrome", 10, 40), ("firefox", 19, 20), ("all", 29, 60)].map(|(browser, missed, visits)| (browser.to_owned(), missed, visits));
    eventually("the twentieth is shown", Duration::from_secs(20), || counted(&groups(&machine)) == expected);
    let shown = groups(&machine);
    let (low, high) = (shown[0]["low"].as_f64().unwrap(), shown[0]["high"].as_f64().unwrap());
    assert!(low > 0.14 && low < 0.15 && high > 0.40 && high < 0.41, "Wilson's interval of 10 in 40: {low} to {high}");
    assert_eq!(server.overview()["sites"][0]["missed"], shown, "the live page has the same");
    let printed = String::from_utf8(machine.run(&["recovery"]).stdout).unwrap();
    assert!(printed.contains("gtag") && printed.contains("25.0 %") && printed.contains("14.2 % to 40.2 %"), "{printed}");
    for outbox in ["own", "customers"] {
        let events = machine.outbox(outbox);
        assert!(!json!(events).to_string().contains("ran."), "it does not travel with an event");
    }
    assert!(server.stop().success());
}

#[test]
fn a_site_that_does_not_measure_counts_nothing_and_is_not_served_the_part() {
    let machine = Installation::new(&documents(""));
    let server = machine.start();
    for _ in 0..25 {
        tell(&server, CHROME, YES, r#""ran.gtag":0"#, None);
    }
    let script = server.send(&Request { path: String::from("/keso/core.js"), method: "GET", body: Vec::new(), ..Request::beacon("") });
    assert!(!String::from_utf8_lossy(&script.body).contains("google_tag_manager"));
    assert!(server.stop().success());
    assert_eq!(groups(&machine), json!([]));
    assert_eq!(machine.number("state.db", "SELECT count(*) FROM counters WHERE reason LIKE 'tag %'"), 0);
    let printed = String::from_utf8(machine.run(&["recovery"]).stdout).unwrap();
    assert!(printed.contains("it measures none now") && printed.contains("no group of 20 visits"), "{printed}");
}

#[test]
fn a_vendor_whose_calls_are_taken_has_no_tag_to_measure() {
    let machine = Installation::without_documents();
    machine.write("documents.toml", &documents("shims = [\"gtag\"]\nmeasure_recovery = [\"gtag\"]\n"));
    let output = machine.run(&["apply", "documents.toml", "--reason", "a test"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("measure_recovery") && said.contains("fix: "), "{said}");
}
