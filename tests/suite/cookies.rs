//! The site's own cookies for a domain instead of one host, and what becomes of those of the other form when a site changes between the two.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use crate::{
    http_client::{Answer, Request},
    installation::{Installation, SITE, eventually, file_destination},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// The site, its cookies for the host or, with a line of its own, for a domain.
fn documents(cookie_domain: &str) -> String {
    let site = SITE.replace("hosts = [\"www.shop.example\", \"127.0.0.1\"]", "hosts = [\"t.shop.example\"]");
    site + cookie_domain + &file_destination("customers", "consent", "consented-analytics")
}

fn beacon(said: &serde_json::Value) -> Request {
    Request::beacon(said.to_string()).instead("Host", "t.shop.example").with("X-Forwarded-For", "192.0.2.7")
}

fn yes(cookies: &str) -> Request {
    let request = beacon(&json!({ "g": ["analytics"], "e": [{ "k": "page_view" }] }));
    if cookies.is_empty() { request } else { request.with("Cookie", cookies) }
}

/// Names, values and attributes, sorted, of all cookies of an answer.
fn cookies(answer: &Answer) -> BTreeSet<String> {
    let sorted = |cookie: &str| {
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        let attributes: BTreeSet<_> = attributes.split("; ").filter(|one| !["HttpOnly", "Path=/", "SameSite=Lax"].contains(one)).collect();
        assert_eq!(attributes.len() + 3, cookie.split("; ").count() - 1, "{cookie}");
        std::iter::once(pair).chain(attributes).collect::<Vec<_>>().join(" ")
    };
    answer.all("set-cookie").into_iter().map(sorted).collect()
}

fn pair(answer: &Answer) -> String {
    let set = answer.all("set-cookie");
    assert_eq!(set.len(), 1, "{set:?}");
    set[0].split(';').next().expect("a pair").to_owned()
}

fn set(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(ToString::to_string).collect()
}

const DOMAIN: &str = "cookie_domain = \"shop.example\"\n";

#[test]
fn a_site_that_changes_the_form_of_its_cookies_keeps_every_no_and_ends_both() {
    let installation = Installation::new(&documents(""));
    let persons = || installation.number("keys.db", "SELECT count(*) FROM persons");
    let server = installation.start();
    let host_only = pair(&server.send(&yes("")));
    assert!(host_only.starts_with("__Host-w="));
    installation.apply(&documents(DOMAIN));
    eventually("the domain", PATIENCE, || {
        server.send(&beacon(&json!({ "o": 1 }))).header("set-cookie").is_some_and(|set| set.contains("Domain="))
    });

    // The cookie of the other form is no identity, and the new one is as bounded as that was.
    let first = server.send(&yes(&host_only));
    let shared = pair(&first);
    assert!(shared.starts_with("w=") && !shared.ends_with(host_only.trim_start_matches("__Host-w=")));
    let age = format!("Max-Age={}", 395 * 24 * 60 * 60);
    assert_eq!(cookies(&first), set(&[&format!("{shared} Domain=shop.example {age} Secure")]));
    let both = format!("{host_only}; {shared}");
    assert_eq!(cookies(&server.send(&yes(&both))), set(&[]), "nobody is made anew");
    assert_eq!(cookies(&server.send(&yes(&format!("w=AAECAwQFBgcICQoLDA0ODw; {shared}")))), set(&[]), "of two, the one that is known");
    assert_eq!(persons(), 2);

    // A withdrawal ends both, and takes both away, from wherever they may be.
    let withdrawn = server.send(&beacon(&json!({ "g": [] })).with("Cookie", &both));
    let gone = ["w= Domain=shop.example", "w= Domain=t.shop.example"].map(|cookie| format!("{cookie} Max-Age=0 Secure"));
    assert_eq!(cookies(&withdrawn), set(&[&gone[0], &gone[1], "w= Max-Age=0 Secure", "__Host-w= Max-Age=0 Secure"]));
    assert_eq!(persons(), 0);

    // With its own form alone, one is enough.
    let shared = pair(&server.send(&yes("")));
    let withdrawn = server.send(&beacon(&json!({ "g": [] })).with("Cookie", &shared));
    assert_eq!(cookies(&withdrawn), set(&["w= Domain=shop.example Max-Age=0 Secure"]));

    // An opt-out of before counts, and is taken back in both forms.
    assert_eq!(cookies(&server.send(&yes("__Host-wo=1"))), set(&[]));
    let back = server.send(&beacon(&json!({ "o": 0 })).with("Cookie", "__Host-wo=1"));
    let gone = ["wo= Domain=shop.example", "wo= Domain=t.shop.example"].map(|cookie| format!("{cookie} Max-Age=0 Secure"));
    assert_eq!(cookies(&back), set(&[&gone[0], &gone[1], "wo= Max-Age=0 Secure", "__Host-wo= Max-Age=0 Secure"]));
    let back = server.send(&beacon(&json!({ "o": 0 })).with("Cookie", "wo=1"));
    assert_eq!(cookies(&back), set(&["wo= Domain=shop.example Max-Age=0 Secure"]));

    // And the way back.
    let shared = pair(&server.send(&yes("")));
    installation.apply(&documents(""));
    eventually("the host", PATIENCE, || {
        server.send(&beacon(&json!({ "o": 1 }))).header("set-cookie").is_some_and(|set| set.starts_with("__Host-"))
    });
    assert_eq!(cookies(&server.send(&yes("wo=1"))), set(&[]), "the opt-out for the domain counts");
    let host_only = pair(&server.send(&yes(&shared)));
    assert_eq!(persons(), 2);
    let withdrawn = server.send(&beacon(&json!({ "o": 1 })).with("Cookie", &format!("{shared}; {host_only}")));
    let gone = ["w= Domain=shop.example", "w= Domain=t.shop.example"].map(|cookie| format!("{cookie} Max-Age=0 Secure"));
    let opted_out = format!("__Host-wo=1 Max-Age={} Secure", 400 * 24 * 60 * 60);
    assert_eq!(cookies(&withdrawn), set(&[&gone[0], &gone[1], "w= Max-Age=0 Secure", "__Host-w= Max-Age=0 Secure", &opted_out]));
    assert_eq!(persons(), 0);
    assert!(server.stop().success());
}

#[test]
fn a_domain_that_browsers_would_refuse_is_refused_here() {
    let installation = Installation::new(&documents(""));
    for (domain, said) in [("example", "more owners than one"), ("elsewhere.example", "the site is reached at t.shop.example")] {
        installation.write("wrong.toml", &documents(&format!("cookie_domain = \"{domain}\"\n")));
        let output = installation.run(&["apply", "wrong.toml"]);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success() && text.contains(said), "{text}");
    }
}
