//! What was captured, read back name by name: each request has to be in the form that its destination's row declares, and a name that stands
//! where properties may has to be one that a policy lists. A field that somebody added and nobody declared is found by its name, whatever is in it.

use std::collections::{BTreeMap, BTreeSet};

use super::{places::request_line, rehearsal, stand_in::Captured};
use crate::{
    destination::{
        CALL_HEADERS, DestinationType,
        form::{self, Part},
    },
    documents::parse::Document,
    privacy::departure,
};

/// What a call that is compressed says beside its row's headers.
const OF_THE_CARRIER: [&str; 1] = ["content-encoding"];

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Grammar {
    /// Requests and files.
    pub read: usize,
    /// Different names, of all destinations.
    pub names: usize,
    /// Those that nobody declared: `name at destination`.
    pub undeclared: BTreeSet<String>,
    known: BTreeSet<String>,
}

/// Reads what destinations of these documents were sent.
pub struct Reader<'d> {
    kinds: BTreeMap<&'d str, &'static DestinationType>,
    listed: Vec<&'d str>,
    /// What came of it.
    pub grammar: Grammar,
}

impl<'d> Reader<'d> {
    /// With what these documents list.
    #[must_use]
    pub fn new(documents: &'d [Document]) -> Self {
        let kinds = rehearsal::destinations(documents)
            .filter_map(|destination| Some((destination.name.as_str(), DestinationType::named(&destination.kind)?)))
            .collect();
        let listed = rehearsal::policies(documents).flat_map(|policy| policy.properties.keys().map(String::as_str)).collect();
        Self { kinds, listed, grammar: Grammar::default() }
    }

    /// Reads all that a destination's receiver got.
    pub fn requests(&mut self, destination: &str, captured: &Captured) {
        for (head, body) in &captured.requests {
            let (_, query) = request_line(head);
            self.file(destination, &query, body);
            let head = String::from_utf8_lossy(head);
            let headers = head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_ascii_lowercase());
            let Some(row) = self.kinds.get(destination) else { continue };
            let declared = |name: &str| [&CALL_HEADERS, row.headers, &OF_THE_CARRIER].iter().any(|names| names.contains(&name));
            let beyond = headers.filter(|name| !declared(name)).map(|name| format!("header {name} at {destination}"));
            self.grammar.undeclared.extend(beyond);
        }
    }

    /// Reads a body, as a file destination's file is one.
    pub fn file(&mut self, destination: &str, query: &str, body: &[u8]) {
        let Self { kinds, listed, grammar } = self;
        let Some(row) = kinds.get(destination) else { return };
        grammar.read += 1;
        let is_listed = |name: &str| form::is_listed(name, listed) || departure::is_click_parameter(name);
        form::read(query, body, &mut |path, part| {
            if matches!(part, Part::Value(_)) {
                if !form::declares(row.form, path, &is_listed) {
                    grammar.undeclared.insert(format!("{path} at {destination}"));
                }
                if grammar.known.insert(format!("{} {path}", row.name)) {
                    grammar.names += 1;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: &str = r#"
        [[policy]]
        name = "shop"
        properties = { plan = "word", "posthog.$group" = "word" }

        [[destination]]
        name = "tool"
        type = "posthog"
        sites = ["shop"]
        basis = "consent"
        purposes = ["analytics"]
        transform = "consented-analytics"
    "#;

    fn read(head: &str, body: &str) -> Grammar {
        let documents = crate::documents::parse::DocumentFile::parse(DOCUMENTS).unwrap().into_documents();
        let mut reader = Reader::new(&documents);
        reader.requests("tool", &Captured { requests: vec![(head.into(), body.into())] });
        reader.grammar
    }

    #[test]
    fn a_name_that_nobody_declared_is_found_in_address_body_and_head() {
        let plain = "POST /tool/batch/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n";
        let good = r#"{"api_key":"k","batch":[{"event":"e","properties":{"$host":"h","plan":"pro","$group":"g"}}]}"#;
        let found = read(plain, good);
        assert_eq!((found.read, found.names, found.undeclared.len()), (1, 5, 0), "{found:?}");
        let cases = [
            (plain, good.replace("plan", "mail"), "batch[].properties.mail at tool"),
            (plain, good.replace("\"event\"", "\"ip\""), "batch[].ip at tool"),
            (&plain.replace("batch/", "batch/?ip=1"), good.to_owned(), "?ip at tool"),
            (&plain.replace("Content-Type", "X-Forwarded-For"), good.to_owned(), "header x-forwarded-for at tool"),
        ];
        for (head, body, expected) in cases {
            assert_eq!(read(head, &body).undeclared.into_iter().collect::<Vec<_>>(), [expected]);
        }
    }
}
