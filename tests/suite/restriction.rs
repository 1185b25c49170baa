//! What a person may ask beside a copy and an erasure, on the real program: that what rests of them is kept and not used, and that there is no profile of
//! them until they agree anew.

use std::{io::Write as _, process::Stdio, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    http_client::Request,
    installation::{Installation, Running, SITE, eventually, file_destination},
};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "thirty-two bytes are a good secret";

struct House {
    installation: Installation,
    _outside: Installation,
}

impl House {
    fn new() -> Self {
        let outside = Installation::empty();
        let secret = outside.write("secret", SECRET);
        let site = format!("{SITE}identify_secret = \"file:{}\"\n[site.profile]\n", secret.display());
        let installation = Installation::new(&(site + &file_destination("customers", "consent", "consented-analytics")));
        Self { installation, _outside: outside }
    }

    fn say(&self, arguments: &[&str], input: &str) -> String {
        let mut command = self.installation.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{arguments:?}: {printed}");
        printed
    }

    fn orders(&self) -> Option<u64> {
        let printed = self.say(&["profile", "show", "--json"], "u7");
        serde_json::from_str::<Value>(&printed).ok()?["traits"]["orders"].as_u64()
    }

    fn sent(&self) -> usize {
        self.installation.outbox("customers").len()
    }
}

/// A purchase of the account `u7`; returns the cookie that came, or the one that was sent.
fn buy(server: &Running, number: u32, cookie: Option<&str>) -> String {
    let mut event = json!({ "k": "purchase", "i": format!("buys-{number}"), "x": format!("A-{number}"), "v": 10.0, "m": "EUR" });
    if let Some(cookie) = cookie {
        let ends = firsthand::clock::now().0 / 1000 + 600;
        let mut state = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        state.update(format!("u7\n{}\n{ends}", cookie.split_once('=').unwrap().1).as_bytes());
        let signed = json!({ "a": "u7", "as": URL_SAFE_NO_PAD.encode(state.finalize().into_bytes()), "ae": ends });
        event.as_object_mut().unwrap().extend(signed.as_object().unwrap().clone());
    }
    let request = Request::beacon(json!({ "g": ["analytics", "profile"], "e": [event] }).to_string());
    let answer = server.send(&cookie.into_iter().fold(request, |request, cookie| request.with("Cookie", cookie)));
    assert_eq!(answer.status, 204);
    let came = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
    came.or_else(|| cookie.map(str::to_owned)).expect("a cookie")
}

#[test]
fn what_is_restricted_is_kept_and_used_for_nothing_until_that_is_lifted() {
    let house = House::new();
    let server = house.installation.start();
    let cookie = buy(&server, 1, None);
    buy(&server, 2, Some(&cookie));
    eventually("both orders", PATIENCE, || house.orders() == Some(2) && house.sent() == 2);
    let printed = house.say(&["person", "restrict", "--by", "account"], "u7");
    assert!(printed.starts_with("Restricted: what rests of 1 browser is kept"), "{printed}");
    assert!(house.say(&["profile", "show"], "u7").contains("restricted"));
    assert!(house.say(&["profile", "list"], "").starts_with("There is no profile"));
    // A running server sees it within a second, and one that is started has it.
    std::thread::sleep(Duration::from_millis(1_200));
    buy(&server, 3, Some(&cookie));
    let withheld = || {
        house
            .installation
            .ledger("customers")
            .iter()
            .any(|(state, rule, count)| (state.as_str(), rule.as_str(), *count) == ("withheld", "restricted", 1))
    };
    eventually("it is withheld", PATIENCE, withheld);
    assert!(server.stop().success());
    let server = house.installation.start();
    buy(&server, 4, Some(&cookie));
    let both = || {
        house
            .installation
            .ledger("customers")
            .iter()
            .any(|(state, rule, count)| (state.as_str(), rule.as_str(), *count) == ("withheld", "restricted", 2))
    };
    eventually("after a restart, too", PATIENCE, both);
    assert_eq!((house.sent(), house.orders()), (2, None));
    // It is theirs all the same: they are handed all of it.
    house.say(&["person", "export", "--by", "account", "handed-out"], "u7");
    let handed = std::fs::read(house.installation.path().join("handed-out/person.json")).unwrap();
    let handed: Value = serde_json::from_slice(&handed).unwrap();
    assert_eq!((handed["events"].as_array().unwrap().len(), &handed["profiles"][0]["traits"]["orders"]), (4, &json!(2)));
    let printed = house.say(&["person", "restrict", "--by", "account", "--lift"], "u7");
    assert!(printed.starts_with("Lifted"), "{printed}");
    eventually("what came in meanwhile is in the profile", PATIENCE, || house.orders() == Some(4));
    buy(&server, 5, Some(&cookie));
    eventually("and what comes now leaves", PATIENCE, || house.sent() == 3);
    assert!(house.say(&["person", "restrict", "--by", "account", "--lift"], "u7").contains("It was not restricted"));
    assert!(server.stop().success());
}

#[test]
fn who_objects_has_no_profile_until_they_agree_anew() {
    let house = House::new();
    let server = house.installation.start();
    let cookie = buy(&server, 1, None);
    buy(&server, 2, Some(&cookie));
    eventually("both orders", PATIENCE, || house.orders() == Some(2) && house.sent() == 2);
    let printed = house.say(&["person", "object", "--by", "account"], "u7");
    assert!(printed.starts_with("Removed: the customer profile of 1 browser."), "{printed}");
    assert_eq!(house.orders(), None);
    std::thread::sleep(Duration::from_millis(1_200));
    // The page repeats the yes of before, and the rest of it still holds.
    buy(&server, 3, Some(&cookie));
    eventually("it leaves for analytics", PATIENCE, || house.sent() == 3);
    assert!(server.stop().success());
    let server = house.installation.start();
    buy(&server, 4, Some(&cookie));
    eventually("after a restart, too", PATIENCE, || house.sent() == 4);
    let lag = || server.admin_page("/metrics").text().lines().any(|line| line == "firsthand_profile_lag_records 0");
    eventually("the profile store has read it", PATIENCE, lag);
    assert_eq!(house.orders(), None);
    assert_eq!(house.installation.number("profiles.db", "SELECT count(*) FROM strands"), 0);
    assert_eq!(house.installation.number("profiles.db", "SELECT count(*) FROM entries"), 0);
    house.say(&["person", "export", "--by", "cookie", "handed-out"], &cookie);
    let handed = std::fs::read(house.installation.path().join("handed-out/person.json")).unwrap();
    let handed: Value = serde_json::from_slice(&handed).unwrap();
    assert_eq!(handed["browsers"][0]["agreed_to_now"], json!(["analytics"]));
    let said: Vec<&str> =
        handed["browsers"][0]["consents_on_record"].as_array().unwrap().iter().map(|record| record["said_by"].as_str().unwrap()).collect();
    assert_eq!(said, ["native", "request"]);
    // Who takes the yes back and gives it again has agreed anew.
    let no = Request::beacon(json!({ "g": [], "e": [] }).to_string()).with("Cookie", &cookie);
    assert!(server.send(&no).status < 300);
    let fresh = buy(&server, 5, None);
    assert_ne!(fresh, cookie);
    buy(&server, 6, Some(&fresh));
    eventually("a profile of what came since", PATIENCE, || house.orders() == Some(2));
    assert!(server.stop().success());
}
