//! The vendor calls that the script's shims know and do not cover: a page that makes one is counted by its name in this list, and by nothing that the page
//! chose. `js-snippet/src/shims/calls.ts` has the same list, docs/shims.md shows it to people; a test compares the three.

/// By shim: what is counted. The last one of each is every call that has no name here.
#[rustfmt::skip]
pub const UNCOVERED: [(&str, &[&str]); 8] = [
    ("gtag",      &["get", "set user_properties", "set user_data", "universal ecommerce", "twin", "other"]),
    ("matomo",    &["setCustomDimension", "setCustomVariable", "setVisitorCookieTimeout", "rememberConsentGiven", "trackContentImpressionsWithinNode", "trackAllContentImpressions", "trackVisibleContentImpressions", "enableCrossDomainLinking", "addTracker", "setCampaignNameKey", "getVisitorId", "twin", "other"]),
    ("meta",      &["init with user data", "setUserProperties", "trackShopify", "twin", "other"]),
    ("plausible", &["init transformRequest", "twin", "other"]),
    ("umami",     &["identify data", "twin", "other"]),
    ("segment",   &["traits", "group", "addSourceMiddleware", "addDestinationMiddleware", "setAnonymousId", "user", "on", "twin", "other"]),
    ("posthog",   &["person properties", "group", "feature flags", "surveys", "session recording", "captureException", "get_distinct_id", "twin", "other"]),
    ("mixpanel",  &["people", "group", "time_event", "get_distinct_id", "session recording", "twin", "other"]),
];

/// How many calls the list has.
pub const UNCOVERED_CALLS: usize = {
    let (mut sum, mut at) = (0, 0);
    while at < UNCOVERED.len() {
        sum += UNCOVERED[at].1.len();
        at += 1;
    }
    sum
};

/// A call of the list, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UncoveredCall(usize);

impl UncoveredCall {
    /// The call that is told as `gtag.get`; nothing if it is none of the list's.
    #[must_use]
    pub fn told(text: &str) -> Option<Self> {
        let (shim, call) = text.split_once('.')?;
        let mut before = 0;
        for (name, calls) in UNCOVERED {
            if name == shim {
                return calls.iter().position(|known| *known == call).map(|at| Self(before + at));
            }
            before += calls.len();
        }
        None
    }

    /// Every call.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..UNCOVERED_CALLS).map(Self)
    }

    /// Its number in the list.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }

    /// Its shim's name and its own.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str) {
        let mut left = self.0;
        for (shim, calls) in UNCOVERED {
            match calls.get(left) {
                Some(call) => return (shim, call),
                None => left -= calls.len(),
            }
        }
        // Numbers come from the list alone.
        ("", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_what_it_is_told_as() {
        for call in UncoveredCall::all() {
            let (shim, name) = call.names();
            assert_eq!(UncoveredCall::told(&format!("{shim}.{name}")), Some(call));
        }
        assert_eq!(UncoveredCall::all().count(), UNCOVERED_CALLS);
        for unknown in ["", ".", "gtag", "gtag.", "gtag.jane@example.org", "other.get", "gtag.get.get"] {
            assert_eq!(UncoveredCall::told(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_script_and_its_readers_have_the_same_list() {
        let script = include_str!("../../js-snippet/src/shims/calls.ts");
        let page = include_str!("../../docs/shims.md");
        for (shim, calls) in UNCOVERED {
            let row = format!("  {shim}: [{}],\n", calls.iter().map(|call| format!("\"{call}\"")).collect::<Vec<_>>().join(", "));
            assert!(script.contains(&row), "calls.ts has not: {row}");
            assert_eq!(calls[calls.len() - 1], "other", "{shim}");
            for call in calls.iter().filter(|call| !["twin", "other"].contains(call)) {
                assert!(page.contains(&format!("| `{shim}` | `{call}` |")), "docs/shims.md has no row for {shim}.{call}");
            }
        }
        assert_eq!(script.matches(": [\"").count(), UNCOVERED.len());
    }
}
