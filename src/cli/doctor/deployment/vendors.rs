//! What a page still sends to vendors: a closed table of the hosts of their scripts, and of the calls that pages make to them. Only the page's own HTML is looked
//! at; what its scripts load after that is not.

use std::collections::BTreeMap;

use http::Uri;

use super::{
    super::{
        Finding,
        Weight::{Doubtful, Note},
    },
    page::Piece,
};
use crate::documents::{Site, snippet::Shim};

/// Hosts by whose they are, each with all names below it, and the shim that takes the page's calls in their place.
const HOSTS: [(&str, &[&str], Option<Shim>); 33] = [
    ("Google's tag", &["googletagmanager.com", "google-analytics.com", "analytics.google.com"], Some(Shim::Gtag)),
    ("Google's advertising", &["doubleclick.net", "googleadservices.com", "googlesyndication.com"], None),
    ("Meta's pixel", &["connect.facebook.net", "facebook.com"], Some(Shim::Meta)),
    ("Matomo's cloud", &["matomo.cloud"], Some(Shim::Matomo)),
    ("Mixpanel", &["mxpnl.com", "mixpanel.com"], Some(Shim::Mixpanel)),
    ("Plausible's cloud", &["plausible.io"], Some(Shim::Plausible)),
    ("PostHog's cloud", &["posthog.com"], Some(Shim::Posthog)),
    ("Segment", &["segment.com", "segment.io"], Some(Shim::Segment)),
    ("Umami's cloud", &["umami.is"], Some(Shim::Umami)),
    ("AB Tasty", &["abtasty.com"], None),
    ("Adobe", &["adobedtm.com", "omtrdc.net", "demdex.net"], None),
    ("Amplitude", &["amplitude.com"], None),
    ("Cloudflare's web analytics", &["cloudflareinsights.com"], None),
    ("Contentsquare", &["contentsquare.net"], None),
    ("Criteo", &["criteo.com", "criteo.net"], None),
    ("FullStory", &["fullstory.com"], None),
    ("GoatCounter", &["goatcounter.com", "gc.zgo.at"], None),
    ("Heap", &["heapanalytics.com", "heap.io"], None),
    ("Hotjar", &["hotjar.com", "hotjar.io"], None),
    ("HubSpot", &["hs-analytics.net", "hs-scripts.com"], None),
    ("Kameleoon", &["kameleoon.eu", "kameleoon.io", "kameleoon.com"], None),
    ("LinkedIn", &["snap.licdn.com", "ads.linkedin.com"], None),
    ("Microsoft's advertising", &["bat.bing.com"], None),
    ("Microsoft's Clarity", &["clarity.ms"], None),
    ("Mouseflow", &["mouseflow.com"], None),
    ("New Relic", &["nr-data.net"], None),
    ("Pinterest", &["pinimg.com", "ct.pinterest.com"], None),
    ("Piano (AT Internet)", &["aticdn.net", "xiti.com"], None),
    ("Reddit's pixel", &["redditstatic.com"], None),
    ("Snap's pixel", &["sc-static.net"], None),
    ("TikTok's pixel", &["analytics.tiktok.com"], None),
    ("X's pixel", &["ads-twitter.com"], None),
    ("Yandex", &["mc.yandex.ru", "mc.yandex.com"], None),
];

/// Calls of pages, as they begin, by the shim that takes them.
const CALLS: [(&str, Shim); 11] = [
    ("gtag(", Shim::Gtag),
    ("dataLayer.push(", Shim::Gtag),
    ("_paq.push(", Shim::Matomo),
    ("fbq(", Shim::Meta),
    ("mixpanel.track(", Shim::Mixpanel),
    ("plausible(", Shim::Plausible),
    ("posthog.capture(", Shim::Posthog),
    ("analytics.track(", Shim::Segment),
    ("analytics.page(", Shim::Segment),
    ("umami.track(", Shim::Umami),
    ("umami(", Shim::Umami),
];

pub(super) fn findings(pieces: &[Piece<'_>], page: &Uri, site: Option<&Site>, findings: &mut Vec<Finding>) {
    let has = |shim: Shim| site.is_some_and(|site| site.snippet.shims.contains(&shim));
    let met = met(pieces);
    for (vendor, (host, shim)) in &met {
        let what = format!(
            "{page}: a browser that loads this page meets {host} ({vendor}): its address goes there, past all that is decided here"
        );
        let fix = match shim {
            Some(shim) if has(*shim) => {
                format!("take that tag out: the shim \"{}\" of the site's document takes the page's calls already", shim.name())
            }
            Some(shim) => format!(
                "take that tag out; shims = [\"{}\"] in the site's document takes the page's calls in its place (docs/shims.md)",
                shim.name()
            ),
            None => String::from("take that tag out, or let the page load it for those alone who agreed to it"),
        };
        findings.push(Finding::new(Doubtful, what, fix));
    }
    for (shim, call) in called(pieces) {
        if !has(shim) && !met.values().any(|(_, by)| *by == Some(shim)) {
            let what = format!("{page}: calls {call}…), and no script of that vendor's is in its HTML");
            let fix =
                format!("shims = [\"{}\"] in the site's document takes these calls; or nothing, where another script does", shim.name());
            findings.push(Finding::new(Note, what, fix));
        }
    }
    if met.is_empty() {
        findings.push(Finding::right(format!("{page}: its HTML leads to none of the {} vendors that are known here", HOSTS.len())));
    }
}

/// Whom a browser meets: by vendor, at which host, and which shim there is.
fn met(pieces: &[Piece<'_>]) -> BTreeMap<&'static str, (&'static str, Option<Shim>)> {
    let mut met = BTreeMap::new();
    for piece in pieces {
        let (text, is_address) = match piece {
            Piece::Address(address) => (host_of(address), true),
            Piece::Script(script) => (script.to_ascii_lowercase(), false),
        };
        for (vendor, hosts, shim) in HOSTS {
            if let Some(host) = hosts.iter().find(|host| if is_address { is_below(&text, host) } else { names(&text, host) }) {
                met.entry(vendor).or_insert((*host, shim));
            }
        }
    }
    met
}

/// The calls that a page's own scripts make, each with the first way it is written.
fn called(pieces: &[Piece<'_>]) -> BTreeMap<Shim, &'static str> {
    let mut called = BTreeMap::new();
    for piece in pieces {
        let Piece::Script(script) = piece else { continue };
        for (call, shim) in CALLS {
            let is_word =
                |(at, _): (usize, &str)| !script[..at].ends_with(|before: char| before.is_alphanumeric() || "_$.".contains(before));
            let of_window = |(at, _): (usize, &str)| script[..at].ends_with("window.");
            if script.match_indices(call).any(|found| is_word(found) || of_window(found)) {
                called.entry(shim).or_insert(call);
            }
        }
    }
    called
}

/// The host of an address that names one, in small letters.
fn host_of(address: &str) -> String {
    let rest = address.trim().split_once("//").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

fn is_below(host: &str, known: &str) -> bool {
    host.strip_suffix(known).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Whether a script's text has this host, or one below it, as a whole.
fn names(script: &str, host: &str) -> bool {
    let of_a_name = |character: char| character.is_ascii_alphanumeric() || character == '-';
    script.match_indices(host).any(|(at, _)| {
        let after = &script[at + host.len()..];
        !script[..at].ends_with(of_a_name) && !after.starts_with(|next: char| of_a_name(next) || next == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::{super::page::pieces, *};

    fn found(html: &str) -> Vec<String> {
        let mut found = Vec::new();
        findings(&pieces(html), &"https://www.shop.example/".parse().unwrap(), None, &mut found);
        found.into_iter().map(|finding| format!("{:?} {} | {}", finding.weight, finding.what, finding.fix)).collect()
    }

    #[test]
    fn vendors_are_found_in_tags_and_in_scripts_that_make_tags() {
        for (html, host) in [
            (r#"<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>"#, "googletagmanager.com"),
            (r#"<script>j.src='https://www.googletagmanager.com/gtm.js?id='+i</script>"#, "googletagmanager.com"),
            (r#"<noscript><img src="https://www.facebook.com/tr?id=1&ev=PageView&noscript=1"/></noscript>"#, "facebook.com"),
            (r#"<link rel="preconnect" href="//static.hotjar.com">"#, "hotjar.com"),
            (r#"<script>var u="//shop.matomo.cloud/";</script>"#, "matomo.cloud"),
        ] {
            let found = found(html).join("\n");
            assert!(found.starts_with("Doubtful") && found.contains(&format!("meets {host}")), "{html}: {found}");
        }
    }

    #[test]
    fn a_name_that_only_looks_like_a_vendors_is_none() {
        for html in [
            r#"<a href="https://www.facebook.com/shop">follow us</a>"#,
            r#"<img src="https://notfacebook.com/a"><img src="/facebook.com/a"><img src="https://facebook.com.shop.example/a">"#,
            r#"<script>x("https://myposthog.com", "segment.community", "clarity.ms.shop.example")</script>"#,
            r#"<script src="/kesolu/gtag/js?id=G-1"></script>"#,
        ] {
            assert!(found(html)[0].starts_with("Right"), "{html}: {:?}", found(html));
        }
    }

    #[test]
    fn calls_that_nobody_takes_are_found() {
        let call =
            "<script>window.dataLayer = window.dataLayer || []; function gtag(){dataLayer.push(arguments)} gtag('js', new Date())</script>";
        let found_alone = found(call).join("\n");
        assert!(found_alone.contains("calls gtag(…)") && found_alone.contains("shims = [\"gtag\"]"), "{found_alone}");
        let both = found(&format!("{call}<script src=\"https://www.googletagmanager.com/gtag/js\"></script>")).join("\n");
        assert!(!both.contains("calls gtag(") && both.contains("shims = [\"gtag\"]"), "{both}");
        assert!(found("<script>myfbq(1); my.plausible(2); window.fbq(3)</script>")[0].contains("calls fbq("));
    }

    #[test]
    fn every_shim_has_hosts_and_calls() {
        for shim in Shim::ALL {
            assert!(HOSTS.iter().any(|(.., of)| *of == Some(shim)) && CALLS.iter().any(|(_, of)| *of == shim), "{}", shim.name());
        }
    }
}
