//! The documents at rest: every change is a version with author, reason and time. One function changes them, [`DocumentStore::apply`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{
    Documents,
    compile::{DocumentError, Numbered, compile},
    differences::{Difference, differences},
    history::History,
    parse::Document,
};
use crate::{
    clock::Timestamp,
    event::SiteNumber,
    privacy::rules::{Rule, holds},
    state::{StateDb, StoreError},
};

/// The documents in `state.db`.
#[derive(Clone)]
pub struct DocumentStore {
    state: Arc<StateDb>,
}

/// One difference between what is in force and what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `site`, `destination`, `policy` or `api_key`.
    pub kind: String,
    /// The document's name.
    pub name: String,
    /// The text in force; `None`: it is new.
    pub before: Option<String>,
    /// The text asked for; `None`: it is removed.
    pub after: Option<String>,
}

/// One version of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its place among all versions of all documents.
    pub revision: i64,
    /// `site`, `destination`, `policy` or `api_key`.
    pub kind: String,
    /// The document's name.
    pub name: String,
    /// Its place among the document's own versions, from 1.
    pub version: u32,
    /// Whether it removed the document.
    pub removed: bool,
    /// Who wrote it.
    pub author: String,
    /// Why; empty where nobody said.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A change of documents, with what leaves before and after it.
pub struct Proposal {
    /// Document by document.
    pub changes: Vec<Change>,
    /// In force before.
    pub before: Documents,
    /// In force then.
    pub after: Documents,
}

/// Documents could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentStoreError {
    /// They are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<DocumentError>),
    /// A document at rest cannot be read.
    #[error("{kind} \"{name}\" in state.db cannot be read: {reason}")]
    Corrupt {
        /// Which kind.
        kind: String,
        /// Which one.
        name: String,
        /// The parser's words.
        reason: String,
    },
    /// More would leave, and nobody says why.
    #[error("{} would see more of site \"{}\", and no reason is given", .0.destination.as_deref().unwrap_or("someone"), .0.site)]
    NoReason(Difference),
    /// `state.db` cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who changes documents, and why.
pub struct Author<'a> {
    /// A name.
    pub name: &'a str,
    /// A reason. Without one (`""`) nothing can be relaxed.
    pub reason: &'a str,
    /// When.
    pub at: Timestamp,
}

impl DocumentStore {
    /// The documents of this database.
    #[must_use]
    pub const fn new(state: Arc<StateDb>) -> Self {
        Self { state }
    }

    /// Changes documents: each of `wanted` becomes the version in force; with `prune`, those not among them are removed. All or nothing;
    /// applying the same twice changes nothing. With `dry_run`, only says what would change.
    ///
    /// # Errors
    /// When the documents that would be in force then are wrong together, or let more leave without a reason.
    pub fn apply(&self, wanted: Vec<Document>, prune: bool, dry_run: bool, author: &Author<'_>) -> Result<Vec<Change>, DocumentStoreError> {
        let Proposal { changes, .. } = self.change(&wanted, &|_, _| prune, dry_run, author)?;
        Ok(changes)
    }

    /// Removes one document. Returns whether it was there.
    ///
    /// # Errors
    /// When the others are wrong without it.
    pub fn remove(&self, kind: &str, name: &str, author: &Author<'_>) -> Result<bool, DocumentStoreError> {
        let meant = |of: &str, named: &str| of == kind && named == name;
        Ok(!self.change(&[], &meant, false, author)?.changes.is_empty())
    }

    /// What [`Self::apply`] would bring, in words that a reason is given for: nothing is changed.
    ///
    /// # Errors
    /// When the documents that would be in force then are wrong together.
    pub fn propose(&self, wanted: &[Document], prune: bool) -> Result<Proposal, DocumentStoreError> {
        let author = Author { name: "nobody", reason: "only asked", at: Timestamp(0) };
        self.change(wanted, &|_, _| prune, true, &author)
    }

    /// `pruned`: whether a document of that kind and name is removed, if it is not among those that are wanted.
    fn change(
        &self,
        wanted: &[Document],
        pruned: &dyn Fn(&str, &str) -> bool,
        dry_run: bool,
        author: &Author<'_>,
    ) -> Result<Proposal, DocumentStoreError> {
        self.state.with(|connection| {
            let mut transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let mut texts = texts_in_force(&transaction)?;
            let before = numbered(&transaction, &texts)?;
            let changes = differences_in_text(&texts, wanted, pruned);
            for Change { kind, name, after, .. } in &changes {
                let key = (kind.clone(), name.clone());
                match after {
                    Some(text) => texts.insert(key, text.clone()),
                    None => texts.remove(&key),
                };
                write_version(&mut transaction, kind, name, after.as_deref(), author)?;
            }
            let after = numbered(&transaction, &texts)?;
            let proposal = checked(before, after, changes, author);
            if proposal.is_ok() && !dry_run {
                transaction.commit()?;
            }
            Ok(proposal)
        })?
    }

    /// Every document in force.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub fn export(&self) -> Result<Vec<Document>, DocumentStoreError> {
        Ok(self.read()?.1.into_iter().map(|numbered| numbered.document).collect())
    }

    /// The compiled form of every document in force.
    ///
    /// # Errors
    /// When `state.db` cannot be read, or a newer program wrote something that this one cannot work with.
    pub fn compiled(&self) -> Result<Documents, DocumentStoreError> {
        let (revision, documents) = self.read()?;
        let changed = self.state.with(|connection| site_changes(connection))?;
        Ok(Documents { revision, changed, ..compile(&documents).map_err(DocumentStoreError::Invalid)? })
    }

    /// The same, with one policy as it was in an earlier version. `None`: it has no such version.
    ///
    /// # Errors
    /// As for [`Self::compiled`]; also when that version no longer fits the sites and destinations of today.
    pub fn compiled_at(&self, policy: &str, version: u32) -> Result<Option<Documents>, DocumentStoreError> {
        let (revision, mut documents) = self.read()?;
        let text: Option<String> = self.state.with(|connection| {
            let select = "SELECT body FROM document_versions WHERE kind = 'policy' AND name = ?1 AND version = ?2 AND body IS NOT NULL";
            connection.query_row(select, (policy, version), |row| row.get(0)).optional()
        })?;
        let Some(text) = text else { return Ok(None) };
        let document = Document::from_text("policy", &text).map_err(|error| DocumentStoreError::Corrupt {
            kind: String::from("policy"),
            name: policy.to_owned(),
            reason: error.to_string(),
        })?;
        documents.retain(|numbered| numbered.document.kind() != "policy" || numbered.document.name() != policy);
        documents.insert(0, Numbered { document, number: version });
        Ok(Some(Documents { revision, ..compile(&documents).map_err(DocumentStoreError::Invalid)? }))
    }

    /// The compiled form of the documents that were in force at an earlier revision.
    ///
    /// # Errors
    /// As for [`Self::compiled`].
    pub fn compiled_as_of(&self, revision: i64) -> Result<Documents, DocumentStoreError> {
        let documents = self.state.with(|connection| {
            let transaction = connection.transaction()?;
            let texts = texts_as_of(&transaction, revision)?;
            numbered(&transaction, &texts)
        })??;
        Ok(Documents { revision, ..compile(&documents).map_err(DocumentStoreError::Invalid)? })
    }

    /// Every document that was in force at an earlier revision.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub fn export_as_of(&self, revision: i64) -> Result<Vec<Document>, DocumentStoreError> {
        let documents = self.state.with(|connection| {
            let transaction = connection.transaction()?;
            let texts = texts_as_of(&transaction, revision)?;
            numbered(&transaction, &texts)
        })??;
        Ok(documents.into_iter().map(|numbered| numbered.document).collect())
    }

    /// Every version that was written.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub fn history(&self) -> Result<History, StoreError> {
        self.state.with(|connection| {
            let mut select = connection
                .prepare("SELECT id, kind, name, version, body IS NULL, author, reason, at FROM document_versions ORDER BY id")?;
            let rows = select.query_map([], |row| {
                Ok(Version {
                    revision: row.get(0)?,
                    kind: row.get(1)?,
                    name: row.get(2)?,
                    version: row.get(3)?,
                    removed: row.get(4)?,
                    author: row.get(5)?,
                    reason: row.get(6)?,
                    at: Timestamp(row.get(7)?),
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map(History::new)
        })
    }

    /// A number that grows with every change, for noticing one.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub fn revision(&self) -> Result<i64, StoreError> {
        self.state.with(|connection| newest(connection))
    }

    /// The revision and the documents of one moment.
    fn read(&self) -> Result<(i64, Vec<Numbered>), DocumentStoreError> {
        self.state.with(|connection| {
            let transaction = connection.transaction()?;
            let texts = texts_in_force(&transaction)?;
            let revision = newest(&transaction)?;
            Ok(numbered(&transaction, &texts)?.map(|documents| (revision, documents)))
        })?
    }
}

/// Whether the documents fit together, and whether what they relax has a reason.
fn checked(
    before: Result<Vec<Numbered>, DocumentStoreError>,
    after: Result<Vec<Numbered>, DocumentStoreError>,
    changes: Vec<Change>,
    author: &Author<'_>,
) -> Result<Proposal, DocumentStoreError> {
    let after = compile(&after?).map_err(DocumentStoreError::Invalid)?;
    // What was in force and cannot be read any more let nothing leave.
    let before = before.ok().and_then(|documents| compile(&documents).ok()).unwrap_or_default();
    if author.reason.trim().is_empty()
        && holds(Rule::RelaxingHasReason)
        && let Some(relaxed) = differences(&before, &after).into_iter().find(Difference::relaxes)
    {
        return Err(DocumentStoreError::NoReason(relaxed));
    }
    Ok(Proposal { changes, before, after })
}

fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(id), 0) FROM document_versions", [], |row| row.get(0))
}

/// When each site's document in force was written.
fn site_changes(connection: &Connection) -> rusqlite::Result<HashMap<SiteNumber, Timestamp>> {
    let mut select = connection.prepare(
        "SELECT number, at FROM document_versions AS one JOIN site_numbers USING (name)
         WHERE kind = 'site' AND version = (SELECT max(version) FROM document_versions WHERE kind = 'site' AND name = one.name)",
    )?;
    let rows = select.query_map([], |row| Ok((SiteNumber(row.get(0)?), Timestamp(row.get(1)?))))?;
    rows.collect()
}

type Texts = BTreeMap<(String, String), String>;

fn texts_in_force(transaction: &Transaction<'_>) -> rusqlite::Result<Texts> {
    texts_as_of(transaction, i64::MAX)
}

/// The texts that were in force once everything up to a revision was written.
fn texts_as_of(transaction: &Transaction<'_>, revision: i64) -> rusqlite::Result<Texts> {
    let mut select = transaction.prepare(
        "SELECT kind, name, body FROM document_versions AS one WHERE body IS NOT NULL AND version =
         (SELECT max(version) FROM document_versions WHERE kind = one.kind AND name = one.name AND id <= ?1)",
    )?;
    let rows = select.query_map([revision], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    rows.collect()
}

fn differences_in_text(in_force: &Texts, wanted: &[Document], pruned: &dyn Fn(&str, &str) -> bool) -> Vec<Change> {
    let mut changes = Vec::new();
    for document in wanted {
        let key = (document.kind().to_owned(), document.name().to_owned());
        let (before, after) = (in_force.get(&key), document.text());
        if before != Some(&after) {
            changes.push(Change { kind: key.0, name: key.1, before: before.cloned(), after: Some(after) });
        }
    }
    let unwanted = in_force.iter().filter(|((kind, name), _)| {
        pruned(kind, name) && !wanted.iter().any(|document| document.kind() == kind && document.name() == name)
    });
    changes.extend(unwanted.map(|((kind, name), text)| Change {
        kind: kind.clone(),
        name: name.clone(),
        before: Some(text.clone()),
        after: None,
    }));
    changes
}

fn write_version(
    transaction: &mut Transaction<'_>,
    kind: &str,
    name: &str,
    body: Option<&str>,
    author: &Author<'_>,
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO document_versions (kind, name, version, body, author, reason, at)
         SELECT ?1, ?2, coalesce(max(version), 0) + 1, ?3, ?4, ?5, ?6 FROM document_versions WHERE kind = ?1 AND name = ?2",
        (kind, name, body, author.name, author.reason, author.at.0),
    )?;
    let numbers = match kind {
        "site" => "site_numbers",
        "destination" => "destination_numbers",
        _ => return Ok(()),
    };
    transaction.execute(&format!("INSERT INTO {numbers} (name) VALUES (?1) ON CONFLICT DO NOTHING"), [name])?;
    Ok(())
}

/// Gives each document its number: a site's or destination's own, a policy's version.
fn numbered(transaction: &Transaction<'_>, texts: &Texts) -> rusqlite::Result<Result<Vec<Numbered>, DocumentStoreError>> {
    let mut documents = Vec::with_capacity(texts.len());
    for ((kind, name), text) in texts {
        let number: Option<u32> = match kind.as_str() {
            "site" => transaction.query_row("SELECT number FROM site_numbers WHERE name = ?1", [name], |row| row.get(0)).optional()?,
            "destination" => {
                transaction.query_row("SELECT number FROM destination_numbers WHERE name = ?1", [name], |row| row.get(0)).optional()?
            }
            _ => transaction
                .query_row("SELECT max(version) FROM document_versions WHERE kind = ?1 AND name = ?2", (kind, name), |row| row.get(0))
                .optional()?,
        };
        let document = Document::from_text(kind, text);
        match (document, number) {
            (Ok(document), Some(number)) => documents.push(Numbered { document, number }),
            (document, _) => {
                let reason = document.err().map_or_else(|| String::from("it has no number"), |error| error.to_string());
                return Ok(Err(DocumentStoreError::Corrupt { kind: kind.clone(), name: name.clone(), reason }));
            }
        }
    }
    // Policies before sites before destinations and keys: each after what it names.
    documents.sort_by_key(|numbered| match numbered.document {
        Document::Policy(_) => 0,
        Document::Site(_) => 1,
        Document::Destination(_) => 2,
        Document::ApiKey(_) => 3,
    });
    Ok(Ok(documents))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::parse::DocumentFile;

    const FILE: &str = r#"
        [[policy]]
        name = "shop"
        events = ["newsletter_opened"]
        properties = { plan = "word" }
        [[site]]
        name = "shop"
        hosts = ["www.shop.example"]
        origins = ["https://www.shop.example"]
        prefix = "/kesolu"
        time_zone = "Europe/Paris"
        policy = "shop"
    "#;

    fn store() -> (tempfile::TempDir, DocumentStore) {
        let directory = tempfile::tempdir().unwrap();
        let state = Arc::new(StateDb::open(&directory.path().join("state.db")).unwrap());
        (directory, DocumentStore::new(state))
    }

    fn apply(store: &DocumentStore, text: &str, prune: bool, dry_run: bool) -> Result<Vec<Change>, DocumentStoreError> {
        let author = Author { name: "test", reason: "a test", at: Timestamp(0) };
        store.apply(DocumentFile::parse(text).unwrap().into_documents(), prune, dry_run, &author)
    }

    #[test]
    fn applying_is_idempotent_and_export_gives_back_what_was_applied() {
        let (_directory, store) = store();
        assert_eq!(apply(&store, FILE, false, true).unwrap().len(), 2, "a dry run says what would change");
        assert_eq!(store.revision().unwrap(), 0, "and changes nothing");
        assert_eq!(apply(&store, FILE, false, false).unwrap().len(), 2);
        assert_eq!(apply(&store, FILE, true, false).unwrap(), []);
        let exported = toml::to_string(&DocumentFile::of(store.export().unwrap())).unwrap();
        assert_eq!(apply(&store, &exported, true, false).unwrap(), []);
        let documents = store.compiled().unwrap();
        assert_eq!(documents.sites[0].policy.version.0, 1);
        assert!(documents.site_of("www.shop.example", "/kesolu/e").is_some());
        assert!(documents.site_of("www.shop.example", "/kesolux/e").is_none());
        assert!(documents.site_of("shop.example", "/kesolu/e").is_none());
    }

    #[test]
    fn earlier_documents_are_compiled_as_they_were() {
        let (_directory, store) = store();
        apply(&store, FILE, false, false).unwrap();
        let first = store.revision().unwrap();
        apply(&store, &FILE.replace("newsletter_opened", "newsletter_closed"), false, false).unwrap();
        let events = |documents: &Documents| documents.sites.first().map(|site| site.policy.events.iter().cloned().collect::<Vec<_>>());
        assert_eq!(events(&store.compiled_as_of(first).unwrap()), Some(vec![String::from("newsletter_opened")]));
        assert_eq!(events(&store.compiled().unwrap()), Some(vec![String::from("newsletter_closed")]));
        apply(&store, "", true, false).unwrap();
        assert_eq!(events(&store.compiled_as_of(store.revision().unwrap()).unwrap()), None);
        assert_eq!(events(&store.compiled_as_of(0).unwrap()), None);
        assert!(events(&store.compiled_as_of(first).unwrap()).is_some());
    }

    #[test]
    fn numbers_are_never_reused() {
        let (_directory, store) = store();
        apply(&store, FILE, false, false).unwrap();
        let first = store.compiled().unwrap().sites[0].number;
        apply(&store, "", true, false).unwrap();
        assert!(store.compiled().unwrap().sites.is_empty());
        apply(&store, &FILE.replace("name = \"shop\"\n        hosts", "name = \"other\"\n        hosts"), true, false).unwrap();
        assert_ne!(store.compiled().unwrap().sites[0].number, first);
        apply(&store, FILE, true, false).unwrap();
        assert_eq!(store.compiled().unwrap().sites[0].number, first, "the same site is the same number");
    }

    #[test]
    fn relaxing_asks_for_a_reason_and_tightening_does_not() {
        let (_directory, store) = store();
        let apply = |text: &str, reason| {
            let author = Author { name: "test", reason, at: Timestamp(0) };
            store.apply(DocumentFile::parse(text).unwrap().into_documents(), true, false, &author)
        };
        assert_eq!(apply(FILE, "").unwrap().len(), 2, "a new site relaxes nothing");
        let open = format!(
            "{FILE}\n[[destination]]\nname = \"visits\"\ntype = \"file\"\nsites = [\"shop\"]\nbasis = \"exempt_measurement\"\n\
             transform = \"strict\"\nsettings = {{ directory = \"visits\" }}"
        );
        let before = store.revision().unwrap();
        for reason in ["", " \n"] {
            let Err(error @ DocumentStoreError::NoReason(_)) = apply(&open, reason) else { panic!("refused") };
            assert_eq!(error.to_string(), "visits would see more of site \"shop\", and no reason is given");
        }
        assert_eq!(store.revision().unwrap(), before);
        assert_eq!(apply(&open, "visits are counted").unwrap().len(), 1);
        assert_eq!(apply(FILE, "").unwrap().len(), 1);
        assert!(apply(&open, "").is_err(), "what was taken away is relaxed again");
    }

    #[test]
    fn what_is_proposed_has_the_numbers_that_it_will_have_and_changes_nothing() {
        let (_directory, store) = store();
        apply(&store, FILE, false, false).unwrap();
        let revision = store.revision().unwrap();
        let wanted = DocumentFile::parse(&FILE.replace("plan = \"word\"", "plan = \"flag\"")).unwrap().into_documents();
        let Proposal { changes, before, after } = store.propose(&wanted, false).unwrap();
        assert_eq!((changes.len(), before.sites[0].policy.version.0, after.sites[0].policy.version.0), (1, 1, 2));
        assert_eq!(before.sites[0].number, after.sites[0].number);
        assert_eq!(store.revision().unwrap(), revision);
    }

    #[test]
    fn wrong_documents_are_refused_as_a_whole_and_say_what_to_do() {
        let (_directory, store) = store();
        let wrong = FILE.replace("/kesolu", "/track").replace("policy = \"shop\"\n    ", "policy = \"shpo\"\n    ");
        let Err(DocumentStoreError::Invalid(errors)) = apply(&store, &wrong, false, false) else { panic!("refused") };
        let text = errors.iter().map(ToString::to_string).collect::<String>();
        assert!(text.contains("filter lists match \"track\"") && text.contains("did you mean \"shop\"?"), "{text}");
        assert_eq!(store.revision().unwrap(), 0);
    }
}
