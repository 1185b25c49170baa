//! Names that a browser sees, against the filter lists that people have: addresses as installations generate them go through the engine
//! of a blocker with the lists of uBlock Origin, and none may be blocked. Addresses that vendors' libraries choose are not ours to
//! name, and are not tried here.
//!
//! The lists are read where Debian's package `webext-ublock-origin-chromium` puts them (none of them is in this repository: they are
//! GPL-3); without it, these tests say that they are left out, and pass.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use adblock::{
    Engine,
    lists::{FilterSet, ParseOptions},
    request::Request,
};
use firsthand::documents::names::{PREFIXES, numbered_prefix};

/// Where the package puts its lists.
const LISTS: &str = "/usr/share/chromium/extensions/ublock-origin/assets";
/// Those that are on when it is installed, below that directory.
const ON_BY_DEFAULT: [&str; 8] = [
    "thirdparties/easylist/easylist.txt",
    "thirdparties/easylist/easyprivacy.txt",
    "thirdparties/urlhaus-filter/urlhaus-filter-online.txt",
    "ublock/badware.min.txt",
    "ublock/filters.min.txt",
    "ublock/privacy.min.txt",
    "ublock/quick-fixes.min.txt",
    "ublock/unbreak.min.txt",
];
/// Pages and the hosts that their beacons go to: the same host, and one of the same site.
const PLACES: [(&str, &str); 4] = [
    ("https://www.shop.example/", "www.shop.example"),
    ("https://www.shop.example/thanks", "t.shop.example"),
    ("https://news.co.uk/", "news.co.uk"),
    ("https://bücher.de/a/b", "www.bücher.de"),
];
/// What an installation serves below its prefix, and as what a browser asks for it.
const OURS: [(&str, &str, &str); 9] = [
    ("/core.js", "script", "GET"),
    ("/core.js", "xhr", "GET"),
    ("/e", "xhr", "POST"),
    ("/e", "ping", "POST"),
    ("/about", "main_frame", "GET"),
    ("/about/out", "main_frame", "POST"),
    ("/about/in", "main_frame", "POST"),
    ("/o", "main_frame", "GET"),
    ("/o", "sub_frame", "GET"),
];
/// One prefix in so many is tried, some three thousand: a prime, so that all letters come up at all places. All of them would take an hour.
const STRIDE: usize = 97;

#[test]
fn no_name_of_an_installation_is_on_a_list() {
    let Some(engine) = engine() else { return };
    assert_control(&engine);
    assert_eq!(blocked(&engine), BTreeMap::new());
}

/// Without names that are blocked, the engine's word for the others would count for nothing.
fn assert_control(engine: &Engine) {
    let known = [
        ("https://www.google-analytics.com/g/collect?v=2&tid=G-1", "ping", "POST"),
        ("https://www.googletagmanager.com/gtag/js?id=G-1", "script", "GET"),
        ("https://www.shop.example/keso/collect?v=2&tid=G-1", "ping", "POST"),
        ("https://www.shop.example/matomo.php?idsite=1", "xhr", "POST"),
        ("https://www.shop.example/js/plausible.js", "script", "GET"),
    ];
    for (url, kind, method) in known {
        assert!(is_blocked(engine, url, "https://www.shop.example/", kind, method), "{url}: the engine lets a known tracker through");
    }
}

/// The addresses that a list blocks, each once.
fn blocked(engine: &Engine) -> BTreeMap<String, &'static str> {
    let mut blocked = BTreeMap::new();
    let mut tried = 0;
    for prefix in (0..PREFIXES).step_by(STRIDE).filter_map(numbered_prefix) {
        for (page, host) in PLACES {
            for (path, kind, method) in OURS {
                let url = format!("https://{host}{prefix}{path}");
                tried += 1;
                if is_blocked(engine, &url, page, kind, method) {
                    blocked.insert(url, kind);
                }
            }
        }
    }
    assert!(tried > 10_000, "hardly anything was tried");
    blocked
}

fn is_blocked(engine: &Engine, url: &str, page: &str, kind: &str, method: &str) -> bool {
    let request = Request::new(url, page, kind, method).expect("an address");
    engine.check_network_request(&request).should_block()
}

/// The engine with the lists, where they are installed.
fn engine() -> Option<Engine> {
    let mut filters = FilterSet::new(false);
    for list in ON_BY_DEFAULT {
        let Ok(text) = fs::read_to_string(Path::new(LISTS).join(list)) else {
            // The harness swallows the output of tests that pass; a closed standard error is no reason to fail.
            let _ = writeln!(std::io::stderr(), "left out: names: the lists of webext-ublock-origin-chromium are not installed");
            return None;
        };
        filters.add_filter_list(text, ParseOptions::default());
    }
    Some(Engine::new_with_filter_set(filters))
}
