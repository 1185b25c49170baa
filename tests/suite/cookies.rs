//! The site's own cookies for a domain instead of one host, and what becomes of those of the other form when a site changes between the two;
//! and vendors' cookies that a site lists.

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

#[test]
fn a_listed_vendors_cookie_is_kept_alive_by_a_yes_to_its_purpose_and_goes_with_it() {
    let listed = format!("{DOMAIN}vendor_cookies = [\"_ga\", \"_fbp\"]\n");
    let installation = Installation::new(&documents(&listed));
    let shown = String::from_utf8(installation.run(&["policy", "show"]).stdout).unwrap();
    assert!(
        shown.contains("are for all of shop.example") && shown.contains("kept alive after a yes to their purpose: _ga, _fbp"),
        "{shown}"
    );
    let server = installation.start();
    let now = firsthand::clock::now().0 / 1000;
    let day = 24 * 60 * 60;
    let ga = format!("_ga=GA1.1.1234567890.{}", now - 100 * day);
    let fbp = format!("_fbp=fb.1.{}000.1234567890", now - 10 * day);
    let all = format!("{ga}; {fbp}; _fbc=fb.1.{now}000.IwAR2");
    let send = |said: serde_json::Value, cookies: &str| server.send(&beacon(&said).with("Cookie", cookies));
    // Of vendors' cookies alone, their ends as days, rounded.
    let of_vendors = |answer: &Answer| {
        let text = |cookie: &&str| cookie.starts_with("_ga") || cookie.starts_with("_fb");
        let plain = |cookie: &str| {
            assert!(
                !cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Secure") && cookie.contains("Path=/")
            );
            let attribute = |name: &str| cookie.split("; ").find_map(|one| one.strip_prefix(name)).unwrap_or("host").to_owned();
            let days = (attribute("Max-Age=").parse::<i64>().unwrap() + day / 2) / day;
            format!("{} {} {days}", cookie.split(';').next().unwrap(), attribute("Domain="))
        };
        answer.all("set-cookie").into_iter().filter(text).map(plain).collect::<BTreeSet<_>>()
    };
    let view = |g: &[&str]| json!({ "g": g, "e": [{ "k": "page_view" }] });
    let gone = |name: &str| ["host", "shop.example", "t.shop.example"].map(|domain| format!("{name}= {domain} 0"));
    let both_gone: BTreeSet<_> = [gone("_ga"), gone("_fbp")].concat().into_iter().collect();

    assert_eq!(of_vendors(&send(json!({ "e": [{ "k": "page_view" }] }), &all)), set(&[]), "before the choice they are left alone");
    let kept = of_vendors(&send(view(&["analytics", "ads"]), &all));
    assert_eq!(kept, set(&[&format!("{ga} shop.example 295"), &format!("{fbp} shop.example 80")]));
    assert_eq!(of_vendors(&send(view(&["analytics", "ads"]), "a=b")), set(&[]), "none is ever made");
    let other = json!({ "g": ["analytics", "ads"], "e": [{ "k": "click" }] });
    assert_eq!(of_vendors(&send(other, &all)), set(&[]), "once for each page");
    let short = json!({ "g": ["analytics", "ads"], "gx": 3 * day, "e": [{ "k": "page_view" }] });
    let kept = of_vendors(&send(short, &all));
    assert_eq!(kept, set(&[&format!("{ga} shop.example 3"), &format!("{fbp} shop.example 3")]), "never beyond the consent");

    for left_alone in
        ["_ga=GA1.3.1.1790000000".to_owned(), "_ga=x".to_owned(), format!("{ga}; {ga}"), format!("_ga=GA1.1.1.{}", now - 396 * day)]
    {
        assert_eq!(of_vendors(&send(view(&["analytics", "ads"]), &left_alone)), set(&[]), "{left_alone}");
    }
    // A yes to the one purpose is a no to the other.
    let mut partly: BTreeSet<_> = gone("_fbp").into_iter().collect();
    partly.insert(format!("{ga} shop.example 295"));
    assert_eq!(of_vendors(&send(view(&["analytics"]), &all)), partly);
    for no in [json!({ "g": [] }), json!({ "o": 1 }), json!({ "g": "what" })] {
        assert_eq!(of_vendors(&send(no.clone(), &all)), both_gone, "{no}");
    }
    let gpc = server.send(&beacon(&view(&["analytics", "ads"])).with("Cookie", &all).with("Sec-GPC", "1"));
    assert_eq!(of_vendors(&gpc), both_gone);
    assert_eq!(of_vendors(&send(json!({ "g": [] }), "a=b")), set(&[]), "what did not come is not taken away");

    let mut foreign = beacon(&view(&["analytics", "ads"])).with("Cookie", &all);
    foreign = foreign.instead("Origin", "https://elsewhere.example");
    let answer = server.send(&foreign);
    assert_eq!((answer.status, of_vendors(&answer)), (403, set(&[])));
    assert!(
        server
            .send(&beacon(&view(&["analytics", "ads"])).with("Cookie", &all))
            .header("cache-control")
            .is_some_and(|said| said == "no-store")
    );

    // Off by default.
    installation.apply(&documents(DOMAIN));
    eventually("no list", PATIENCE, || of_vendors(&send(view(&["analytics", "ads"]), &all)).is_empty());
    assert_eq!(of_vendors(&send(json!({ "g": [] }), &all)), set(&[]));
    eventually("the events", PATIENCE, || !installation.outbox("customers").is_empty());
    assert!(server.stop().success());
    let state = std::fs::read(installation.data().join("state.db")).unwrap();
    assert!(!state.windows(10).any(|window| window == b"1234567890"));
    let received = installation.outbox("customers");
    assert!(!received.is_empty() && received.iter().all(|event| !event.to_string().contains("1234567890")), "a vendor's id was recorded");
}
