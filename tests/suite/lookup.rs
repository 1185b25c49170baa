//! What a page may ask to be personalised by: of its own visitor alone, by the cookie, with consent now, from its own origin, and of what is listed.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use firsthand::clock;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    http_client::{Answer, Request},
    installation::{Installation, Running, SITE, eventually, file_destination},
};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "thirty-two bytes are a good secret";
const BOTH: &[&str] = &["analytics", "profile"];

struct Shop {
    installation: Installation,
    server: Running,
    _outside: Installation,
}

impl Shop {
    fn open(lookup: &str) -> Self {
        let outside = Installation::empty();
        let secret = outside.write("secret", SECRET);
        let site = format!(
            "{SITE}identify_secret = \"file:{}\"\n\n[site.profile]\ntraits = {{ plan = \"last\", number = \"last\" }}\n{lookup}\n",
            secret.display()
        );
        let installation = Installation::new(&(site + &file_destination("customers", "consent", "consented-analytics")));
        let server = installation.start();
        Self { installation, server, _outside: outside }
    }

    fn visit(&self, number: u8, cookie: Option<&str>, purposes: &[&str], event: &Value) -> Option<String> {
        let body = json!({ "g": purposes, "e": [event] });
        let mut request = Request::beacon(body.to_string()).with("X-Forwarded-For", &format!("192.0.2.{number}"));
        if let Some(cookie) = cookie {
            request = request.with("Cookie", &format!("__Host-w={cookie}"));
        }
        let answer = self.server.send(&request);
        assert_eq!(answer.status, 204, "{}", answer.text());
        let set = answer.header("set-cookie").and_then(|set| set.split(['=', ';']).nth(1)).map(str::to_owned);
        set.or_else(|| cookie.map(str::to_owned))
    }

    /// What the page of that browser is answered.
    fn ask(&self, cookie: Option<&str>) -> Value {
        said(&self.server.send(&page(cookie)))
    }
}

/// As a page of the site asks.
fn page(cookie: Option<&str>) -> Request {
    let request = Request { path: String::from("/keso/state"), ..Request::beacon("") };
    match cookie {
        Some(cookie) => request.with("Cookie", &format!("a=b; __Host-w={cookie}")),
        None => request,
    }
}

fn said(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert!(answer.all("set-cookie").is_empty(), "asking sets nothing");
    serde_json::from_slice(&answer.body).unwrap()
}

fn view(id: &str, plan: &str) -> Value {
    json!({ "k": "page_view", "i": id, "p": "https://www.shop.example/shoes", "d": { "plan": plan, "number": 7 } })
}

/// The event, with an account that the shop's backend has signed for this browser.
fn proving(cookie: &str, account: &str, mut event: Value) -> Value {
    let ends = clock::now().0 / 1000 + 1_000;
    let mut state = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    state.update(format!("{account}\n{cookie}\n{ends}").as_bytes());
    let signed = json!({ "a": account, "as": URL_SAFE_NO_PAD.encode(state.finalize().into_bytes()), "ae": ends });
    event.as_object_mut().unwrap().extend(signed.as_object().unwrap().clone());
    event
}

#[test]
fn a_page_is_told_what_is_listed_of_its_own_visitor_who_agrees_and_of_nobody_else() {
    let shop = Shop::open("lookup = [\"plan\", \"visits\", \"orders\"]");
    let phone = shop.visit(1, None, BOTH, &view("phone-1", "gold")).unwrap();
    let order = json!({ "k": "purchase", "i": "phone-2", "x": "A-1", "v": 10.0, "m": "EUR", "p": "https://www.shop.example/thanks" });
    shop.visit(1, Some(&phone), BOTH, &proving(&phone, "u7", order));
    let told = json!({ "traits": { "plan": "gold", "visits": 1, "orders": 1 } });
    eventually("what is known of the phone's visitor", PATIENCE, || shop.ask(Some(&phone)) == told);

    // Nobody, and everybody who has not agreed: one answer, byte for byte.
    let measured = shop.visit(2, None, &["analytics"], &view("measured", "gold")).unwrap();
    let nobody = shop.server.send(&page(None));
    assert_eq!(nobody.text(), "{}");
    let same = |request: &Request, why: &str| {
        let answer = shop.server.send(request);
        let plain =
            |answer: &Answer| (answer.status, answer.text(), answer.header("cache-control").map(str::to_owned), answer.headers.len());
        assert_eq!(plain(&answer), plain(&nobody), "{why}");
    };
    same(&page(Some("AAECAwQFBgcICQoLDA0ODw")), "a cookie that nobody was given");
    same(&page(Some("u7")), "no cookie at all");
    same(&page(Some(&measured)), "agreed to analytics alone");
    same(&page(Some(&phone)).with("Sec-GPC", "1"), "Global Privacy Control");
    same(&page(Some(&phone)).with("DNT", "1"), "Do Not Track");
    same(&page(Some(&phone)).with("Cookie", "__Host-wo=1"), "opted out");
    assert_eq!(shop.ask(Some(&phone)), told, "and still the same for whoever agrees");

    // A browser that claims the account is told its own, and one that has proven it the whole profile's.
    let stranger =
        shop.visit(3, None, BOTH, &json!({ "k": "page_view", "i": "claims", "p": "https://www.shop.example/", "a": "u7" })).unwrap();
    eventually("the stranger's own", PATIENCE, || shop.ask(Some(&stranger)) == json!({ "traits": { "visits": 1, "orders": 0 } }));
    let laptop = shop.visit(4, None, BOTH, &json!({ "k": "page_view", "i": "laptop-1", "p": "https://www.shop.example/" })).unwrap();
    let login = json!({ "k": "login", "i": "laptop-2", "p": "https://www.shop.example/" });
    shop.visit(4, Some(&laptop), BOTH, &proving(&laptop, "u7", login));
    eventually("both devices'", PATIENCE, || shop.ask(Some(&laptop)) == json!({ "traits": { "plan": "gold", "visits": 2, "orders": 1 } }));
    // Where another logs in, too, nobody knows who sits there.
    shop.visit(4, Some(&laptop), BOTH, &proving(&laptop, "u8", view("laptop-3", "silver")));
    eventually("neither account's", PATIENCE, || shop.ask(Some(&laptop)) == json!({ "traits": { "visits": 1, "orders": 0 } }));

    // From its own origin, by POST, and nothing else.
    for origin in ["https://evil.example", "https://shop.example", "http://www.shop.example", "null", "https://www.shop.example:8443"] {
        assert_eq!(shop.server.send(&page(Some(&phone)).instead("Origin", origin)).status, 403, "{origin}");
    }
    let mut without = page(Some(&phone));
    without.headers.retain(|(name, _)| name != "Origin");
    assert_eq!(shop.server.send(&without).status, 403, "no page asks without an origin");
    let twice = page(Some(&phone)).with("Origin", "https://www.shop.example");
    assert_eq!(shop.server.send(&twice).status, 403);
    assert_eq!(shop.server.send(&Request { method: "GET", ..page(Some(&phone)) }).status, 405);

    // Whoever ceases to agree is nobody at once.
    shop.visit(1, Some(&phone), &["analytics"], &view("phone-3", "gold"));
    same(&page(Some(&phone)), "agrees to a profile no more");
    assert!(shop.server.stop().success());
}

#[test]
fn without_a_list_nothing_is_told_and_the_list_names_traits_alone() {
    let shop = Shop::open("");
    let phone = shop.visit(1, None, BOTH, &view("phone-1", "gold")).unwrap();
    eventually("a profile", PATIENCE, || {
        shop.installation.data().join("profiles.db").exists()
            && shop.installation.number("profiles.db", "SELECT count(*) FROM strands") == 1
    });
    assert_eq!(shop.ask(Some(&phone)), json!({}));
    for name in ["plann", "claimed_accounts", "first_seen", "number", "account"] {
        shop.installation.write("wrong.toml", &format!("{SITE}\n[site.profile]\ntraits = {{ plan = \"last\" }}\nlookup = [\"{name}\"]\n"));
        let output = shop.installation.run(&["apply", "wrong.toml"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains("profile.lookup") && told.contains("fix:"), "{name}: {told}");
    }
    assert!(shop.server.stop().success());
}
