//! The transparency page's requests, and what says that Global Privacy Control is honoured.

use super::fixture::{request, settings, start};

const OURS: &str = "origin: https://www.shop.example";

#[tokio::test]
async fn the_page_is_nobodys_to_keep_to_frame_or_to_run_scripts_in() {
    let server = start(settings()).await;
    let page = request(server.address, "GET", "/keso/about", &[], b"").await;
    assert_eq!(page.status, 200);
    let header = |name: &str| page.header(name).unwrap_or_default();
    assert_eq!((header("cache-control").as_str(), header("content-type").as_str()), ("no-store", "text/html; charset=utf-8"));
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'") && !policy.contains("script-src"));
    assert_eq!(header("referrer-policy"), "same-origin", "with no-referrer the form's origin would be null");
    assert!(page.header("set-cookie").is_none());
    assert!(page.body.contains("<form method=\"post\" action=\"about/out\">"));
    assert_eq!(request(server.address, "HEAD", "/keso/about", &[], b"").await.body, "");
    // A link from anywhere leads here; an opted-out browser is told so.
    let linked = ["origin: https://elsewhere.example", "cookie: __Host-vo=1"];
    let page = request(server.address, "GET", "/keso/about", &linked, b"").await;
    assert!(page.status == 200 && page.body.contains("You have opted out") && page.header("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn the_form_opts_out_and_back_in_for_pages_of_this_site_alone() {
    let server = start(settings()).await;
    let out = request(server.address, "POST", "/keso/about/out", &[OURS], b"").await;
    assert_eq!((out.status, out.header("location").as_deref()), (303, Some("../about")));
    assert_eq!(out.header("cache-control").as_deref(), Some("no-store"));
    assert!(out.header("set-cookie").is_some_and(|cookie| cookie.starts_with("__Host-vo=1;") && cookie.contains("SameSite=Lax")));
    assert_eq!(server.line.count("objected_opt_out"), 1);
    let back = request(server.address, "POST", "/keso/about/in", &[OURS, "cookie: __Host-vo=1"], b"").await;
    assert!(back.status == 303 && back.header("set-cookie").is_some_and(|cookie| cookie.starts_with("__Host-vo=;")));
    for foreign in ["origin: https://elsewhere.example", "origin: null"] {
        for path in ["/keso/about/out", "/keso/about/in"] {
            let answer = request(server.address, "POST", path, &[foreign], b"").await;
            assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{foreign} {path}");
        }
    }
    assert_eq!((server.line.count("objected_opt_out"), server.line.count("foreign_origin")), (1, 4));
    for (method, path) in [("GET", "/keso/about/out"), ("GET", "/keso/about/in"), ("POST", "/keso/about")] {
        assert_eq!(request(server.address, method, path, &[OURS], b"").await.status, 405, "{method} {path}");
    }
}

#[tokio::test]
async fn global_privacy_control_is_answered_for_at_the_root_alone() {
    let server = start(settings()).await;
    let answer = request(server.address, "GET", "/.well-known/gpc.json", &[], b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"gpc\": true}\n"), "a site whose document has no date");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(request(server.address, "POST", "/.well-known/gpc.json", &[], b"").await.status, 405);
    assert_eq!(request(server.address, "GET", "/keso/.well-known/gpc.json", &[], b"").await.status, 404);
}
