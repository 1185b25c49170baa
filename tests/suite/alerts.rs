//! What calls for a person is told to a webhook, once when it begins and once when it is over, and shown meanwhile.

use std::time::Duration;

use serde_json::Value;

use crate::{
    http_client::Request,
    installation::{Installation, SITE, destination, eventually, file_destination},
    receiver::{Behaviour, Receiver},
};

/// The figures are judged every ten seconds, and told again after twenty.
const PATIENCE: Duration = Duration::from_secs(100);

/// The bodies of the messages that were taken.
fn messages(hook: &Receiver) -> Vec<Value> {
    let body = |bytes: &[u8]| {
        let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        serde_json::from_slice::<Value>(&bytes[at..]).unwrap()
    };
    hook.calls(|calls| calls.iter().filter(|call| call.accepted).map(|call| body(&call.bytes)).collect())
}

fn about(messages: &[Value], kind: &str, about: &str) -> usize {
    messages.iter().filter(|message| message["type"] == kind && message["data"]["about"] == about).count()
}

#[test]
fn a_courier_that_stopped_is_told_of_until_it_works_again() {
    let hook = Receiver::start(Behaviour::Refuse(503, None));
    let crm = Receiver::start(Behaviour::Refuse(410, None));
    let installation =
        Installation::new(&[SITE, &destination("crm", "webhook", "consent", "consented-analytics", &crm.settings())].concat());
    let machine = std::fs::read_to_string(installation.path().join("firsthand.toml")).unwrap();
    let alerts = hook.settings().replace("settings = {", "").replace('}', "").replace(", secret", "\nsecret").replace("url", "webhook");
    installation.write("firsthand.toml", &format!("{machine}\n[alerts]\n{alerts}\n"));
    let server = installation.start();
    let beacon = Request::beacon(r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#).with("X-Forwarded-For", "192.0.2.1");
    assert_eq!(server.send(&beacon).status, 204);
    eventually("an attempt to tell", PATIENCE, || hook.calls(<[_]>::len) > 0);
    let shown = server.overview();
    assert!(
        shown["alerts"].as_array().unwrap().iter().any(|alert| alert["alert"] == "courier_stopped" && alert["about"] == "crm"),
        "{shown}"
    );
    assert!(server.admin_page("/metrics").text().contains(r#"firsthand_alert{alert="courier_stopped",about="crm"} 1"#));
    hook.behave(Behaviour::Accept);
    eventually("the message, told again", PATIENCE, || about(&messages(&hook), "alert.raised", "crm") == 1);
    installation.write("documents.toml", &[SITE, &file_destination("crm", "consent", "consented-analytics")].concat());
    let output = installation.run(&["apply", "documents.toml", "--reason", "a file will do"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eventually("that it is over", PATIENCE, || about(&messages(&hook), "alert.over", "crm") == 1);
    assert_eq!(about(&messages(&hook), "alert.raised", "crm"), 1, "told once");
    assert!(server.overview()["alerts"].as_array().unwrap().iter().all(|alert| alert["about"] != "crm"));
    drop(server);
}

#[test]
fn a_webhook_without_a_usable_secret_is_a_refusal_to_start() {
    let installation = Installation::new(SITE);
    let machine = std::fs::read_to_string(installation.path().join("firsthand.toml")).unwrap();
    let alerts = "[alerts]\nwebhook = \"http://127.0.0.1:9/\"\nsecret = \"env:FIRSTHAND_SUITE_NOT_SET\"\n";
    installation.write("firsthand.toml", &format!("{machine}\n{alerts}"));
    let output = installation.run(&["run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("alerts: settings.secret: the environment variable"), "{said}");
}
