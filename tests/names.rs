//! Names that a browser sees, against the filter lists that people have: addresses as installations generate them go through the engine
//! of a blocker with the lists of uBlock Origin, and none may be blocked. Addresses that vendors' libraries choose are not ours to
//! name: of them, the table of libraries has to say which lists know them, before they are pointed here and after.
//!
//! The lists are read where Debian's package `webext-ublock-origin-chromium` puts them (none of them is in this repository: they are
//! GPL-3); without it, these tests say that they are left out, and pass.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use adblock::{
    Engine,
    lists::{FilterSet, ParseOptions},
    request::Request,
};
use firsthand::{
    documents::names::{LABELS_ON_LISTS, PREFIXES, numbered_prefix},
    protocol::{
        PROTOCOLS,
        library::{Asked, Code, Library, List},
    },
};

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
/// The same by the names that the table of libraries has for them.
const LISTS_OF: [(List, &[&str]); 3] =
    [(List::EasyList, &[ON_BY_DEFAULT[0]]), (List::EasyPrivacy, &[ON_BY_DEFAULT[1]]), (List::Ublock, ON_BY_DEFAULT.split_at(3).1)];
/// Pages and the hosts that their beacons go to: the same host, and one of the same site.
const PLACES: [(&str, &str); 4] = [
    ("https://www.shop.example/", "www.shop.example"),
    ("https://www.shop.example/thanks", "t.shop.example"),
    ("https://news.co.uk/", "news.co.uk"),
    ("https://bücher.de/a/b", "www.bücher.de"),
];
/// What an installation serves below its prefix, and as what a browser asks for it.
const OURS: [(&str, &str, &str); 10] = [
    ("/n", "image", "GET"),
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

/// What a site that respects blockers asks for, to know whether one is at work.
const BAIT: &str = "/matomo.js";

#[test]
fn the_bait_is_blocked_everywhere() {
    let Some(engine) = engine() else { return };
    for (page, host) in PLACES {
        for prefix in ["/kesolu", "/mela"] {
            assert!(is_blocked(&engine, &format!("https://{host}{prefix}{BAIT}"), page, "xhr", "GET"), "{host}{prefix}");
        }
    }
}

/// One prefix in so many is tried for every library: some three hundred.
const LIBRARIES_STRIDE: usize = 977;

#[test]
fn the_table_of_libraries_says_which_lists_know_them() {
    let mut engines = Vec::new();
    for (list, files) in LISTS_OF {
        let Some(engine) = engine_of(files) else { return };
        engines.push((list, engine));
    }
    let known = |urls: &[(String, &str)]| -> Vec<List> {
        let blocks =
            |engine: &Engine| urls.iter().any(|(url, kind)| is_blocked(engine, url, "https://www.shop.example/", kind, method(kind)));
        engines.iter().filter(|(_, engine)| blocks(engine)).map(|(list, _)| *list).collect()
    };
    let mut wrong = Vec::new();
    for library in PROTOCOLS.iter().flat_map(|protocol| protocol.libraries()) {
        let before: Vec<_> = library.before.iter().map(|Asked { kind, address }| ((*address).to_owned(), *kind)).collect();
        let before = known(&before);
        if before != library.known_before {
            wrong.push(format!("{}: unchanged, it is known to {before:?}, not to {:?}", library.name, library.known_before));
        }
        for prefix in (0..PREFIXES).step_by(LIBRARIES_STRIDE).filter_map(numbered_prefix) {
            let known = known(&here(library, &prefix));
            if known != library.known {
                wrong.push(format!("{} below {prefix}: it is known to {known:?}, not to {:?}", library.name, library.known));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a library asks for below a prefix.
fn here(library: &Library, prefix: &str) -> Vec<(String, &'static str)> {
    let url = |Asked { kind, address }: &Asked| (format!("https://www.shop.example{prefix}{}", address.replace('*', "key-1")), *kind);
    // What a server sends meets no blocker.
    library.asks.iter().filter(|_| library.code != Code::Server).map(url).collect()
}

/// The method that goes with what a browser asks as.
fn method(kind: &str) -> &'static str {
    if matches!(kind, "xhr" | "ping") { "POST" } else { "GET" }
}

/// Labels that are said to be known are, and of others that vendors' guides suggest none is missing.
#[test]
fn first_labels_of_hosts_are_known_as_we_say() {
    const SUGGESTED: [&str; 36] = [
        "analytics",
        "beacon",
        "c",
        "collect",
        "collector",
        "count",
        "data",
        "e",
        "events",
        "fathom",
        "ga",
        "gtm",
        "i",
        "insights",
        "l",
        "load",
        "log",
        "matomo",
        "metrics",
        "mixpanel",
        "open",
        "piwik",
        "pixel",
        "plausible",
        "posthog",
        "rum",
        "segment",
        "sgtm",
        "snowplow",
        "ss",
        "stats",
        "t",
        "tagging",
        "track",
        "tracking",
        "umami",
    ];
    let Some(engine) = engine() else { return };
    let known = SUGGESTED.into_iter().filter(|label| {
        OURS.iter().any(|(path, kind, method)| {
            let url = format!("https://{label}.shop.example/keso{path}");
            is_blocked(&engine, &url, "https://www.shop.example/", kind, method)
        })
    });
    assert_eq!(known.collect::<Vec<_>>(), LABELS_ON_LISTS);
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
    engine_of(&ON_BY_DEFAULT)
}

fn engine_of(lists: &[&str]) -> Option<Engine> {
    let mut filters = FilterSet::new(false);
    for list in lists {
        let Ok(text) = fs::read_to_string(Path::new(LISTS).join(list)) else {
            // The harness swallows the output of tests that pass; a closed standard error is no reason to fail.
            let _ = writeln!(std::io::stderr(), "left out: names: the lists of webext-ublock-origin-chromium are not installed");
            return None;
        };
        filters.add_filter_list(text, ParseOptions::default());
    }
    Some(Engine::new_with_filter_set(filters))
}
