//! Vendors' own cookies, where a site has them kept alive.

use crate::{
    Found,
    http_client::Request,
    installation::{SITE, file_destination},
    served::Program,
    unless,
};

const DAY: i64 = 24 * 60 * 60;
const YES: &str = r#""g":["analytics","ads"],"#;

/// What is set for `_ga` and `_fbp`, of which each was first set so many days ago: name and seconds to live.
fn set(choice: &str, days_old: i64) -> Vec<(String, i64)> {
    let listed = "cookie_domain = \"shop.example\"\nvendor_cookies = [\"_ga\", \"_fbp\"]\n";
    let site = SITE.replace("hosts = [\"www.shop.example\", \"127.0.0.1\"]", "hosts = [\"t.shop.example\"]");
    let program = Program::start(|_| site + listed + &file_destination("customers", "consent", "consented-analytics"));
    let first = firsthand::clock::now().0 / 1000 - days_old * DAY;
    let body = format!("{{{choice}\"e\":[{{\"k\":\"page_view\"}}]}}");
    let request = Request::beacon(body)
        .instead("Host", "t.shop.example")
        .with("X-Forwarded-For", "192.0.2.7")
        .with("X-Forwarded-Proto", "https")
        .with("Cookie", &format!("_ga=GA1.1.1234567890.{first}; _fbp=fb.1.{first}000.1234567890"));
    let answer = program.send(&request);
    assert_eq!(answer.status, 204, "the control: it is answered");
    let of_vendors = answer.all("set-cookie").into_iter().filter(|cookie| cookie.starts_with("_ga") || cookie.starts_with("_fbp"));
    let parts = of_vendors.map(|cookie| {
        let age = cookie.split("Max-Age=").nth(1).and_then(|rest| rest.split(';').next()).expect("it has an age");
        (cookie.split('=').next().unwrap_or_default().to_owned(), age.parse().expect("a number"))
    });
    parts.collect()
}

fn lives(set: &[(String, i64)], name: &str, more_than: i64) -> bool {
    set.iter().any(|(cookie, age)| cookie == name && *age > more_than)
}

pub(crate) fn another_purpose() -> Found {
    assert!(lives(&set(YES, 1), "_fbp", 80 * DAY), "the control: under its purpose it is kept alive");
    unless(lives(&set(r#""g":["analytics"],"#, 1), "_fbp", 0), "an advertiser's cookie, kept alive by a yes to analytics")
}

pub(crate) fn a_minutes_consent() -> Found {
    unless(lives(&set(r#""g":["analytics","ads"],"gx":60,"#, 1), "_ga", 60), "a vendor's cookie that outlives the consent")
}

pub(crate) fn an_old_cookie() -> Found {
    unless(lives(&set(YES, 80), "_fbp", 11 * DAY), "a vendor's cookie that lives longer than from its first setting it may")
}

pub(crate) fn a_refusal() -> Found {
    let cleared = set(r#""g":[],"#, 1).iter().any(|(name, age)| name == "_ga" && *age == 0);
    unless(!cleared, "a vendor's cookie stays in the browser of a visitor who said no")
}
