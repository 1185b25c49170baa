//! The demonstration: a small shop on the site's own host, the page around it that shows what became of each visit, and a place database of
//! documentation addresses. Served only where the program runs without a configuration.

mod site;

use std::borrow::Cow;

use http::{HeaderName, StatusCode, header};
use serde_json::json;

use crate::{clock, protocol::Reply, server::SignFor};

pub use self::site::{documents, pages};

/// Countries of the documentation ranges (RFC 5737, RFC 3849), as a MaxMind database; made by `make_place_database.py`.
pub const PLACE_DATABASE: &[u8] = include_bytes!("place.mmdb");

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const STAGE: &str = include_str!("pages/stage.html");
const SHOP: &str = include_str!("pages/shop.html");
const BASKET: &str = include_str!("pages/basket.html");
const CHECKOUT: &str = include_str!("pages/checkout.html");
const THANK_YOU: &str = include_str!("pages/thank-you.html");
const ACCOUNT: &str = include_str!("pages/account.html");

/// The shop's customers: as its pages call them, and the accounts that its backend signs.
const CUSTOMERS: [(&str, &str); 2] = [("ada", "customer-1001"), ("ben", "customer-1002")];
/// For how long a signature holds. Pages ask for another one in time.
const SIGNED_SECONDS: i64 = 60 * 60;

/// What the pages need to know of the running program.
pub struct PageValues {
    /// The path of the served snippet: `/keso/core.js`.
    pub script: String,
    /// The path of the transparency page: `/keso/about`.
    pub about: String,
    /// The global name under which the snippet's functions are on the page.
    pub global: String,
    /// The live view's address on the admin listener, with a slash at its end: `http://127.0.0.1:8081/`.
    pub live: String,
}

/// The demonstration's page at that path, if it has one. For `GET` and `HEAD`. `sign_for`: what the shop's backend signs.
#[must_use]
pub fn page(path: &str, values: &PageValues, sign_for: &SignFor<'_>) -> Option<Reply> {
    if let Some(customer) = path.strip_prefix("/account/").and_then(|file| file.strip_suffix(".json")) {
        return sign_in(customer, sign_for);
    }
    let reply = match path {
        "/" => html(STAGE, values),
        "/shop" | "/shop/bowl" | "/shop/cup" | "/shop/jug" => html(SHOP, values),
        "/basket" => html(BASKET, values),
        "/checkout" => html(CHECKOUT, values),
        "/thank-you" => html(THANK_YOU, values),
        "/account" => html(ACCOUNT, values),
        "/start-over" => start_over(),
        "/stage.css" => file(CSS, include_str!("pages/stage.css")),
        "/stage.js" => file(JAVASCRIPT, include_str!("pages/stage.js")),
        "/shop.css" => file(CSS, include_str!("pages/shop.css")),
        "/shop.js" => file(JAVASCRIPT, include_str!("pages/shop.js")),
        _ => return None,
    };
    Some(reply)
}

fn html(template: &str, values: &PageValues) -> Reply {
    let text = template
        .replace("{{script}}", &escaped(&values.script))
        .replace("{{about}}", &escaped(&values.about))
        .replace("{{global}}", &escaped(&values.global))
        .replace("{{live}}", &escaped(&values.live));
    let mut reply = file(HTML, text);
    reply.headers.push((header::CONTENT_SECURITY_POLICY, Cow::Owned(policy(&values.live))));
    reply
}

/// The pages run their own script and style, talk to their own host and frame each other and the live view; nothing else.
fn policy(live: &str) -> String {
    let live = if live.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';' && byte != b',') { live } else { "" };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self' {live}; \
         frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    )
}

fn file(content_type: &'static str, text: impl Into<Cow<'static, str>>) -> Reply {
    let mut reply = Reply::text(StatusCode::OK, text);
    reply.headers = vec![
        (header::CONTENT_TYPE, Cow::Borrowed(content_type)),
        (header::CACHE_CONTROL, Cow::Borrowed("no-cache")),
        (header::X_CONTENT_TYPE_OPTIONS, Cow::Borrowed("nosniff")),
    ];
    reply
}

/// A customer has signed in, with a password that this shop does not ask for: their account, and its signature for this browser, if that has a
/// visitor cookie.
fn sign_in(customer: &str, sign_for: &SignFor<'_>) -> Option<Reply> {
    let (_, account) = CUSTOMERS.iter().find(|(name, _)| *name == customer)?;
    let expires = clock::now().0 / 1000 + SIGNED_SECONDS;
    let signed = match sign_for(account, expires) {
        Some(signature) => json!({ "account": account, "signature": signature, "expires": expires }),
        None => json!({ "account": account }),
    };
    let mut reply = Reply::text(StatusCode::OK, signed.to_string());
    reply.headers = vec![
        (header::CONTENT_TYPE, Cow::Borrowed("application/json")),
        (header::CACHE_CONTROL, Cow::Borrowed("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, Cow::Borrowed("nosniff")),
    ];
    Some(reply)
}

/// Makes the browser forget this host's cookies, which no script can see, and opens the shop as someone new.
fn start_over() -> Reply {
    let mut reply = Reply::status(StatusCode::SEE_OTHER);
    reply.headers = vec![
        (header::LOCATION, Cow::Borrowed("/shop")),
        (header::CACHE_CONTROL, Cow::Borrowed("no-store")),
        (HeaderName::from_static("clear-site-data"), Cow::Borrowed("\"cookies\", \"storage\"")),
    ];
    reply
}

fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> PageValues {
        PageValues {
            script: String::from("/keso/core.js"),
            about: String::from("/keso/about"),
            global: String::from("fpw"),
            live: String::from("http://127.0.0.1:8081/"),
        }
    }

    fn nobody(_: &str, _: i64) -> Option<String> {
        None
    }

    fn text(path: &str) -> String {
        let reply = page(path, &values(), &nobody).unwrap();
        assert_eq!(reply.status, StatusCode::OK);
        String::from_utf8(reply.body.into_owned()).unwrap()
    }

    #[test]
    fn pages_are_filled_in_and_have_nothing_inline() {
        for path in ["/", "/shop", "/shop/jug", "/basket", "/checkout", "/thank-you", "/account"] {
            let text = text(path);
            assert!(!text.contains("{{") && !text.contains("style=") && !text.contains("<style") && !text.contains(" onclick"), "{path}");
            for script in text.split("<script").skip(1) {
                assert!(script.trim_start().starts_with("src=\"/"), "{path}: an inline or foreign script");
            }
        }
        assert!(text("/shop").contains(r#"<script src="/keso/core.js" async></script>"#));
        assert!(text("/").contains(r#"<iframe id="live" title="Live view" src="http://127.0.0.1:8081/">"#));
        assert!(page("/nothing", &values(), &nobody).is_none());
    }

    #[test]
    fn every_file_that_a_page_asks_for_is_there() {
        for path in ["/", "/shop", "/basket", "/checkout", "/thank-you", "/account"] {
            for part in text(path).split(['"', ' ']).filter(|part| part.starts_with('/') && part.contains('.') && *part != "/keso/core.js")
            {
                assert!(page(part, &values(), &nobody).is_some(), "{path} asks for {part}");
            }
        }
    }

    #[test]
    fn a_page_may_frame_the_live_view_and_nothing_foreign() {
        let reply = page("/", &values(), &nobody).unwrap();
        let policy = reply.headers.iter().find(|(name, _)| *name == header::CONTENT_SECURITY_POLICY).unwrap().1.clone();
        assert!(policy.contains("frame-src 'self' http://127.0.0.1:8081/;") && !policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn a_customer_who_signs_in_is_signed_for_where_there_is_a_cookie_to_sign_for() {
        let answer = |path: &str, sign_for: &SignFor<'_>| {
            page(path, &values(), sign_for).map(|reply| serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap())
        };
        let signed = answer("/account/ada.json", &|account, ends| Some(format!("{account} until {ends}"))).unwrap();
        assert_eq!(signed["account"], "customer-1001");
        assert_eq!(signed["signature"], format!("customer-1001 until {}", signed["expires"]));
        assert_eq!(answer("/account/ben.json", &nobody), Some(json!({ "account": "customer-1002" })));
        assert_eq!(answer("/account/eve.json", &nobody), None);
    }

    #[test]
    fn values_are_escaped() {
        let odd = PageValues { script: String::from("/a\"><b"), ..values() };
        let text = String::from_utf8(page("/shop", &odd, &nobody).unwrap().body.into_owned()).unwrap();
        assert!(text.contains("/a&quot;&gt;&lt;b") && !text.contains("/a\"><b"));
    }

    #[test]
    fn the_place_database_maps_the_documentation_ranges() {
        assert!(PLACE_DATABASE.len() <= 8 * 1024);
        let places = maxminddb::Reader::from_source(PLACE_DATABASE).unwrap();
        assert_eq!(places.metadata().database_type, "Firsthand-Demonstration-Country");
        for (address, country) in [
            ("192.0.2.41", Some("FR")),
            ("198.51.100.17", Some("DE")),
            ("203.0.113.98", Some("BR")),
            ("2001:db8:9a1::5", Some("JP")),
            ("9.9.9.9", None),
        ] {
            let found = places.lookup(address.parse().unwrap()).unwrap();
            let found: Option<maxminddb::geoip2::Country<'_>> = found.decode().unwrap();
            assert_eq!(found.and_then(|place| place.country.iso_code), country, "{address}");
        }
    }
}
