//! What kind of site a visitor came from, by a table of our own. The table is short on purpose: what is not on it is `other`, which is
//! less than its name.

use serde::{Deserialize, Serialize};

/// Kinds of referring sites. The site's own pages are no referrer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferrerClass {
    /// Nobody, or it is not known.
    #[default]
    None,
    /// A search engine.
    Search,
    /// A social network.
    Social,
    /// Another site.
    Other,
}

/// Names of search engines: the label before the public suffix, since most have a host per country.
const SEARCH: &[&str] =
    &["baidu", "bing", "brave", "duckduckgo", "ecosia", "google", "mojeek", "naver", "qwant", "seznam", "startpage", "yahoo", "yandex"];
/// Hosts of social networks.
const SOCIAL: &[&str] = &[
    "bsky.app",
    "facebook.com",
    "instagram.com",
    "linkedin.com",
    "mastodon.social",
    "pinterest.com",
    "reddit.com",
    "t.co",
    "threads.net",
    "tiktok.com",
    "twitter.com",
    "vk.com",
    "x.com",
    "youtube.com",
];

impl ReferrerClass {
    /// Whether it is not known or nobody's.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The kind of a referring site, by its host in small letters.
    #[must_use]
    pub fn of(host: Option<&str>) -> Self {
        let Some(host) = host else { return Self::None };
        let is = |social: &str| host.strip_suffix(social).is_some_and(|before| before.is_empty() || before.ends_with('.'));
        if SOCIAL.iter().any(|social| is(social)) {
            return Self::Social;
        }
        // `google.co.uk` and `www.google.de`, but not `google.shop.example`: a suffix has two labels at most, of three letters at most.
        let labels: Vec<&str> = host.rsplit('.').take(3).collect();
        let suffix = match labels.as_slice() {
            [_, second, _] if second.len() <= 3 && !SEARCH.contains(second) => 2,
            _ => 1,
        };
        if labels.get(suffix).is_some_and(|name| SEARCH.contains(name)) { Self::Search } else { Self::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_their_kind() {
        let cases = [
            (None, ReferrerClass::None),
            (Some("www.google.de"), ReferrerClass::Search),
            (Some("google.co.uk"), ReferrerClass::Search),
            (Some("duckduckgo.com"), ReferrerClass::Search),
            (Some("search.brave.com"), ReferrerClass::Search),
            (Some("google.shop.example"), ReferrerClass::Other),
            (Some("m.facebook.com"), ReferrerClass::Social),
            (Some("t.co"), ReferrerClass::Social),
            (Some("not-t.co"), ReferrerClass::Other),
            (Some("x.com"), ReferrerClass::Social),
            (Some("blog.example"), ReferrerClass::Other),
            (Some("localhost"), ReferrerClass::Other),
        ];
        for (host, class) in cases {
            assert_eq!(ReferrerClass::of(host), class, "{host:?}");
        }
    }
}
