//! Which versions of documents there were, and which of them were written together: a change.

use super::store::Version;
use crate::clock::Timestamp;

/// Every version of every document, oldest first.
pub struct History(Vec<Version>);

/// What one `apply` or `set` wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The revision before it; 0: there was nothing.
    pub before: i64,
    /// The revision that it led to.
    pub revision: i64,
    /// Who.
    pub author: String,
    /// Why; empty where nobody said.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl History {
    /// Of these versions, in the order of their revisions.
    #[must_use]
    pub const fn new(versions: Vec<Version>) -> Self {
        Self(versions)
    }

    /// What was written, change by change, oldest first. Documents that were written at one moment by one author for one reason were one change.
    #[must_use]
    pub fn changes(&self) -> Vec<Written> {
        let mut changes: Vec<Written> = Vec::new();
        for Version { revision, author, reason, at, .. } in &self.0 {
            match changes.last_mut() {
                Some(last) if (&last.author, &last.reason, last.at) == (author, reason, *at) => last.revision = *revision,
                last => {
                    let before = last.map_or(0, |last| last.revision);
                    changes.push(Written { before, revision: *revision, author: author.clone(), reason: reason.clone(), at: *at });
                }
            }
        }
        changes
    }

    /// The change that led to what was in force at a revision; `None`: nothing was.
    #[must_use]
    pub fn change_at(&self, revision: i64) -> Option<Written> {
        self.changes().into_iter().rev().find(|change| change.revision <= revision)
    }

    /// The version of each document that was in force at a revision, by kind and name.
    #[must_use]
    pub fn in_force(&self, revision: i64) -> Vec<&Version> {
        let until: Vec<_> = self.0.iter().filter(|version| version.revision <= revision).collect();
        let is_newest = |version: &&&Version| {
            !until.iter().any(|later| {
                later.revision > version.revision
                    && (later.kind.as_str(), later.name.as_str()) == (version.kind.as_str(), version.name.as_str())
            })
        };
        let mut newest: Vec<_> = until.iter().filter(is_newest).filter(|version| !version.removed).copied().collect();
        newest.sort_by(|one, other| (&one.kind, &one.name).cmp(&(&other.kind, &other.name)));
        newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(revision: i64, name: &str, version: u32, at: i64, removed: bool) -> Version {
        let (kind, author, reason) = (String::from("policy"), String::from("test"), String::new());
        Version { revision, kind, name: name.to_owned(), version, removed, author, reason, at: Timestamp(at) }
    }

    #[test]
    fn what_was_written_at_one_moment_is_one_change_and_the_newest_versions_are_in_force() {
        let history = History::new(vec![
            version(1, "a", 1, 10, false),
            version(2, "b", 1, 10, false),
            version(4, "a", 2, 20, false),
            version(5, "b", 2, 30, true),
        ]);
        let changes: Vec<_> = history.changes().into_iter().map(|change| (change.before, change.revision)).collect();
        assert_eq!(changes, [(0, 2), (2, 4), (4, 5)]);
        assert_eq!(history.change_at(3).map(|change| change.revision), Some(2));
        assert_eq!(history.change_at(0), None);
        let in_force = |revision| history.in_force(revision).iter().map(|one| (one.name.as_str(), one.version)).collect::<Vec<_>>();
        assert_eq!((in_force(2), in_force(4), in_force(5)), (vec![("a", 1), ("b", 1)], vec![("a", 2), ("b", 1)], vec![("a", 2)]));
    }
}
