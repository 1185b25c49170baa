//! What the site's script does on its pages, in words for a visitor: what its names do about blockers, whose calls it takes, what it watches.

use std::fmt::Write as _;

use super::listed;
use crate::documents::{
    Site,
    snippet::{Shim, Watch},
};

/// Whose script a page was made for, in words for a visitor.
const fn vendor(shim: Shim) -> &'static str {
    match shim {
        Shim::Gtag => "Google",
        Shim::Matomo => "Matomo",
        Shim::Meta => "Meta",
        Shim::Mixpanel => "Mixpanel",
        Shim::Plausible => "Plausible",
        Shim::Posthog => "PostHog",
        Shim::Segment => "Segment",
        Shim::Umami => "Umami",
    }
}

const fn watched(watch: Watch) -> &'static str {
    match watch {
        Watch::Forms => "that a form is begun and sent (not what is in it)",
        Watch::NotFound => "pages that are not there",
        Watch::Scroll => "that a page was read nearly to its end",
        Watch::Search => "the word that was searched for on this website",
        Watch::Video => "how far a video was watched",
        Watch::Vitals => "how fast a page was there",
    }
}

/// One row for each.
pub(super) fn facts(site: &Site) -> String {
    let mut rows = String::new();
    let mut row = |what: &str, is: &str| {
        let _ = write!(rows, "<div><dt>{what}</dt><dd>{is}</dd></div>");
    };
    let mut seen = vec!["that a page is opened", "how long it is in sight", "links to other websites and to files"];
    seen.extend(site.snippet.watch.iter().map(|each| watched(*each)));
    row("What a script on the pages tells this server", &format!("{}; and what the website itself tells it.", listed(&seen)));
    if !site.snippet.shims.is_empty() {
        let vendors: Vec<_> = site.snippet.shims.iter().map(|each| vendor(*each)).collect();
        row(
            "Calls that were made for other companies’ scripts",
            &format!(
                "Pages that were built for the scripts of {} tell the same to this website’s own script. Whether a company receives something is said above.",
                listed(&vendors)
            ),
        );
    }
    row(
        "Names",
        "The script and what it sends have addresses of this website’s own. Lists of blockers do not have them, so that a blocker does not stop what is sent. A no, an \
         opt-out, Global Privacy Control and Do Not Track do, on this server.",
    );
    if site.snippet.respect_blockers {
        row(
            "A blocker in this browser",
            "Counts as a wish: the script first asks for an address that blockers stop. Where there is no answer, it sends nothing, an opt-out of yours excepted.",
        );
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::{super::super::tests::fixture::site, *};

    #[test]
    fn what_the_document_asks_for_is_said_and_nothing_else() {
        let mut asking = site("https://www.shop.example");
        let plain = facts(&asking);
        assert!(plain.contains("that a page is opened, how long") && plain.contains("Lists of blockers do not have them"));
        for absent in ["scripts of", "Counts as a wish", "form is begun", "{"] {
            assert!(!plain.contains(absent), "{absent}");
        }
        asking.snippet.shims = Shim::ALL.into();
        asking.snippet.watch = [Watch::Forms, Watch::Vitals].into();
        asking.snippet.respect_blockers = true;
        let all = facts(&asking);
        for said in ["scripts of Google, Matomo,", "Segment and Umami tell", "Counts as a wish", "form is begun", "how fast a page"] {
            assert!(all.contains(said), "{said}");
        }
        assert!(!all.contains("video"));
    }
}
