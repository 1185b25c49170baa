//! What a page says aside, with the events of its visitor: which vendors' calls no shim covers, and whether vendors' own tags ran. By names of closed lists alone;
//! what is none of them is nobody's, since a page may choose names.

use std::{borrow::Cow, collections::BTreeMap};

use super::shims::{UNCOVERED, UncoveredCall};

/// One page's count of one call: the script counts no further.
const UNCOVERED_COUNT_MAX: u32 = 1000;
/// Vendors whose own tags are known: those whose calls shims take.
pub const TAGS: usize = UNCOVERED.len();

/// A vendor's own tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(usize);

impl Tag {
    /// Every vendor's.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..TAGS).map(Self)
    }

    /// The tag of the vendor that has this name among shims.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        UNCOVERED.iter().position(|(known, _)| *known == name).map(Self)
    }

    /// Its number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }

    /// The vendor's name among shims.
    #[must_use]
    pub fn name(self) -> &'static str {
        UNCOVERED[self.0].0
    }
}

/// What was said aside.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// How often which call was made that no shim covers.
    pub uncovered: Vec<(UncoveredCall, u32)>,
    /// Whose own tag ran, and whose did not.
    pub tags: Vec<(Tag, bool)>,
}

impl Aside {
    /// What a JSON object of counts says: `{"gtag.get": 2, "ran.meta": 0}`.
    #[must_use]
    pub fn told(json: &str) -> Self {
        let counts: BTreeMap<Cow<'_, str>, u32> = serde_json::from_str(json).unwrap_or_default();
        let mut aside = Self::default();
        for (name, count) in &counts {
            if let Some(tag) = name.strip_prefix("ran.").and_then(Tag::named) {
                aside.tags.push((tag, *count > 0));
            } else if let Some(call) = UncoveredCall::told(name) {
                aside.uncovered.push((call, (*count).min(UNCOVERED_COUNT_MAX)));
            }
        }
        aside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_are_heard() {
        let aside = Aside::told(r#"{"gtag.get": 2, "ran.gtag": 1, "ran.meta": 0, "ran.jane@example.org": 1, "ran.": 1, "ran": 1}"#);
        let tags: Vec<_> = aside.tags.iter().map(|(tag, ran)| (tag.name(), *ran)).collect();
        assert_eq!((tags, aside.uncovered.len()), (vec![("gtag", true), ("meta", false)], 1));
        assert_eq!(Aside::told(r#"{"ran.gtag": "yes"}"#), Aside::default());
        assert!(Tag::all().all(|tag| Tag::named(tag.name()) == Some(tag)));
    }
}
