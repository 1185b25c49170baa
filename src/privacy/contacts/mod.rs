//! Contacts of a site's customer system: read from a file of the owner's, and taken over where the row says what its person agreed to, and when. They are
//! persons like any other: with a key of their own, a consent on record, and an end.
//!
//! | concept | file |
//! |---|---|
//! | rows of a file | `file` |
//! | what a row says, and why it is not taken | `row` |
//! | making a person of it | here |

mod file;
mod row;

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;
use zeroize::Zeroizing;

use self::{
    file::Rows,
    row::{Contact, Reading},
};
pub use self::{
    file::{Form, UnreadableFile},
    row::Left,
};
use super::{
    clean::Property,
    consent::{
        chain::{ConsentRecord, Said},
        proof::{ConsentProof, Unproven},
    },
    contact_values::{self, ContactField, SealedValue},
    identifiers::{Identified, Identifier, IdentifierKind},
    identity::Assurance,
    keys::{
        persistent::{DestinationKey, PersistentKeys, SiteKey},
        person::{NoPersonKey, Person, PersonKeys},
    },
    personal::Personal,
    profiled::{EventKey, IdentifierKey, PersonHandle},
    rights::erasures::Erasures,
    rules::{Rule, holds},
};
use crate::{
    clock::Timestamp,
    documents::{ProfileRules, Site},
    event::{Epoch, Purposes},
    state::StoreError,
};

/// How an import is named where it is said who brought something.
pub const SOURCE: &str = "import";

/// What is needed to take contacts over.
pub struct Importer<'a> {
    /// Persons' keys.
    pub persons: &'a PersonKeys,
    /// Where consents are put on record.
    pub proof: &'a ConsentProof,
    /// K_site and K_dest.
    pub persistent: &'a PersistentKeys,
    /// Who must not come back.
    pub list: &'a Erasures,
    /// Of which site.
    pub site: &'a Site,
    /// Its profiles.
    pub rules: &'a ProfileRules,
}

/// What a contact tells the profile store: under keys, and of what the policy lists.
pub struct ContactTold {
    /// Whose it is.
    pub person: PersonHandle,
    /// As what the store finds it: where a browser has its cookie's id.
    pub browser: u64,
    /// What they are known by.
    pub known_by: BTreeSet<Identifier>,
    /// Which row of which day: the same, however often it is imported.
    pub event: EventKey,
    /// When they agreed.
    pub agreed: Timestamp,
    /// To what.
    pub purposes: Purposes,
    /// When that ends.
    pub until: Timestamp,
    /// Properties that the policy lists.
    pub properties: BTreeMap<String, Property>,
    /// How they are written to, where the site's document keeps that.
    pub values: Vec<(ContactField, SealedValue)>,
}

/// What a program says of one contact: the same as a row of a file does.
pub struct ContactSaid {
    /// What they are known by.
    pub known_by: Vec<(IdentifierKind, Personal<String>)>,
    /// What they agreed to, by name.
    pub purposes: Vec<String>,
    /// When.
    pub agreed: String,
    /// Until when at most.
    pub until: Option<String>,
    /// Their name.
    pub name: Option<Personal<String>>,
    /// Properties by name.
    pub properties: Vec<(String, Personal<String>)>,
}

/// What becomes of a row.
pub enum Became {
    /// It is somebody's who was not known by an import before.
    New(Option<Box<ContactTold>>),
    /// It is somebody's who was.
    Known(Option<Box<ContactTold>>),
    /// Nothing of it is kept.
    Left(Left),
}

/// A file with contacts, opened. What is in it can be counted and taken over, and not looked at.
pub struct ContactFile {
    rows: Rows,
}

impl ContactFile {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// When it is none of that form.
    pub fn read(form: Form, bytes: &Personal<Vec<u8>>) -> Result<Self, UnreadableFile> {
        Ok(Self { rows: Rows::read(form, bytes.expose())? })
    }

    /// The same of one contact. Nothing: a property has the name of something else.
    #[must_use]
    pub fn of_one(said: &ContactSaid) -> Option<Self> {
        if said.properties.iter().any(|(name, _)| row::is_a_column(&file::name(name))) {
            return None;
        }
        let plain = |text: &str| Zeroizing::new(text.to_owned());
        let mut values: Vec<(&str, Zeroizing<String>)> =
            said.known_by.iter().map(|(kind, said)| (kind.name(), plain(said.expose()))).collect();
        values.push((row::CONSENT, plain(&said.purposes.join(" "))));
        values.push((row::CONSENT_AT, plain(&said.agreed)));
        values.extend(said.until.iter().map(|until| (row::CONSENT_UNTIL, plain(until))));
        values.extend(said.name.iter().map(|name| (ContactField::Name.name(), plain(name.expose()))));
        values.extend(said.properties.iter().map(|(name, value)| (name.as_str(), plain(value.expose()))));
        Some(Self { rows: Rows::one(values) })
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Nothing can be taken over now.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key row for a new person.
    #[error(transparent)]
    Person(#[from] NoPersonKey),
    /// What was said cannot be put on record.
    #[error(transparent)]
    Proof(#[from] Unproven),
}

impl Importer<'_> {
    /// What a row says that somebody is known by, as the store of profiles has it. Nothing, where nothing of it would be kept.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn known_by(&self, file: &ContactFile, row: usize, now: Timestamp) -> Result<Vec<Identifier>, ImportError> {
        let read = (Reading { policy: &self.site.policy, rules: self.rules }).contact(&file.rows, row, now);
        read.map_or_else(|_| Ok(Vec::new()), |contact| self.in_store(&contact))
    }

    fn in_store(&self, contact: &Contact) -> Result<Vec<Identifier>, ImportError> {
        let (site, key) = (self.persistent.site(self.site.number)?, self.persistent.destination(self.rules.destination.number)?);
        Ok(contact.known_by.iter().map(|(kind, said)| in_store(*kind, said, &site, &key)).collect())
    }

    /// What becomes of a row; where it is `dry`, of what would.
    ///
    /// # Errors
    /// See [`ImportError`]. Rows that were taken before stay; they are known when it is tried again.
    pub async fn take(&self, file: &ContactFile, row: usize, now: Timestamp, dry: bool) -> Result<Became, ImportError> {
        let contact = match (Reading { policy: &self.site.policy, rules: self.rules }).contact(&file.rows, row, now) {
            Ok(contact) => contact,
            Err(left) => return Ok(Became::Left(left)),
        };
        let site_key = self.persistent.site(self.site.number)?;
        let key = self.persistent.destination(self.rules.destination.number)?;
        let known_by = self.in_store(&contact)?;
        // What was agreed to before an erasure, or before an objection, went with it.
        let erased = self.list.erased_at(self.site.number, &known_by, contact.purposes)?;
        let went_with =
            |erased: Option<Timestamp>| erased.is_some_and(|erased| contact.agreed < erased) && holds(Rule::ErasedStayOutOfImports);
        if went_with(erased) {
            return Ok(Became::Left(Left::ErasedBefore));
        }
        let Some((kind, said)) = contact.known_by.first() else { return Ok(Became::Left(Left::NoIdentifier)) };
        let index = site_key.contact_index(kind.name(), said);
        let mut known = self.persons.find(self.site.number, &index, now)?;
        if known.as_ref().is_some_and(|person| self.persons.is_restricted(&person.handle())) {
            return Ok(Became::Left(Left::Restricted));
        }
        let is_known = known.is_some();
        let objects = |person: &Person| !self.persons.objected(&person.handle()).both(contact.purposes).is_empty();
        let objected = known.as_deref().is_some_and(objects);
        if objected && erased.is_none() {
            // Nobody can say what was agreed to since.
            return Ok(Became::Left(Left::ErasedBefore));
        }
        let became = |told| if is_known { Became::Known(told) } else { Became::New(told) };
        if dry {
            return Ok(became(None));
        }
        let on = (self.site.number, &*self.site.policy);
        if objected {
            // What they agree to now, they agree to since; what they objected to goes with its key, and this begins anew.
            self.persons.destroy(self.site.number, &index, now)?;
            known = None;
        }
        let (person, purposes, until) = match known {
            Some(person) => {
                // What was agreed to before what is on record widens it no more than it lengthens it; what was agreed to since may also end it earlier.
                let (purposes, until) = match contact.agreed < person.agreed() {
                    true => (person.purposes(), person.expires()),
                    false => (contact.purposes, contact.until),
                };
                // A crash may have come between their key and the record of what they agreed to.
                let said = if self.proof.knows(person.consent())? { Said::Changed } else { Said::Granted };
                if said == Said::Granted || person.purposes() != purposes || until < person.expires() {
                    let record = ConsentRecord::new(person.consent(), on, said, purposes, SOURCE, now, until);
                    self.proof.append(record).await?;
                    self.persons.note_purposes(&person, purposes)?;
                }
                if contact.agreed > person.agreed() || until != person.expires() {
                    self.persons.note_agreed(&person, contact.agreed, until)?;
                }
                (person, purposes, until)
            }
            None => {
                // No visitor's day: nobody counts contacts as visitors.
                let made = self.persons.make((self.site.number, Epoch(0)), index, contact.purposes, contact.until).await?;
                // Who was erased meanwhile was not found with this key.
                if went_with(self.list.erased_at(self.site.number, &known_by, contact.purposes)?) {
                    self.persons.destroy(self.site.number, &index, now)?;
                    return Ok(Became::Left(Left::ErasedBefore));
                }
                if contact.agreed != made.agreed() {
                    self.persons.note_agreed(&made, contact.agreed, contact.until)?;
                }
                let record = ConsentRecord::new(made.consent(), on, Said::Granted, contact.purposes, SOURCE, now, made.expires());
                self.proof.append(record).await?;
                (made, contact.purposes, contact.until)
            }
        };
        let seal = |(field, value): &(ContactField, Zeroizing<String>)| {
            Some((*field, contact_values::seal(&person, self.site.number, *field, value)?))
        };
        let values = contact.values.iter().filter_map(seal).collect();
        let event = site_key.event_id(SOURCE, &contact.told(), &person.handle());
        Ok(became(Some(Box::new(ContactTold {
            person: PersonHandle::from_rest(person.handle()),
            browser: key.visitor_id(&index),
            known_by: known_by.into_iter().collect(),
            event: EventKey::of_bytes(key.event_id_bytes(event)),
            agreed: contact.agreed,
            purposes,
            until,
            properties: contact.properties.into_iter().collect(),
            values,
        }))))
    }
}

fn in_store(kind: IdentifierKind, said: &str, site: &SiteKey, key: &DestinationKey) -> Identifier {
    if kind == IdentifierKind::Account {
        return Identifier { kind, key: IdentifierKey::of_bytes(key.account_id(said)) };
    }
    let resting = IdentifierKey::of_bytes(site.identifier(kind.name(), said));
    Identified { kind, key: resting, assurance: Assurance::Proven }.in_store(key)
}

/// Names of columns that nothing is done with, as far as they are names.
#[must_use]
pub fn unknown_columns(file: &ContactFile, site: &Site, rules: &ProfileRules) -> Vec<SmolStr> {
    let is_kept = |name: &SmolStr| rules.keeps.iter().any(|field| field.name() == name.as_str());
    let is_known = |name: &SmolStr| row::is_a_column(name) || is_kept(name) || site.policy.properties.contains_key(name.as_str());
    file.rows.columns().filter(|name| !is_known(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::{path::Path, pin::pin, sync::Arc};

    use super::*;
    use crate::{
        documents::{
            parse::DocumentFile,
            store::{Author, DocumentStore},
        },
        privacy::keys::database::KeysDb,
        state::{IN_MEMORY, StateDb},
    };

    const NOW: Timestamp = Timestamp(1_790_000_000_000);
    const DOCUMENTS: &str = r#"
        [[policy]]
        name = "shop"
        preset = "measurement"

        [[site]]
        name = "shop"
        hosts = ["www.shop.example"]
        origins = ["https://www.shop.example"]
        prefix = "/keso"
        policy = "shop"
        [site.profile.identifiers]
        email = { joins = true }
    "#;

    #[tokio::test]
    async fn who_is_erased_while_their_contact_is_made_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.db");
        let state = Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap());
        let store = DocumentStore::new(Arc::clone(&state));
        let author = Author { name: "test", reason: "a test", at: NOW };
        store.apply(DocumentFile::parse(DOCUMENTS).unwrap().into_documents(), false, false, &author).unwrap();
        let documents = store.compiled().unwrap();
        let (site, rules) = (&documents.sites[0], &documents.profiles[0]);
        let list = Arc::new(Erasures::open(Path::new(IN_MEMORY), std::time::Duration::from_secs(86_400)).unwrap());
        let persons = PersonKeys::new(Arc::new(KeysDb::open(&file).unwrap())).listed_in(Arc::clone(&list));
        let (proof, persistent) = (ConsentProof::new(Arc::clone(&state)), PersistentKeys::new(state));
        let importer = Importer { persons: &persons, proof: &proof, persistent: &persistent, list: &list, site, rules };
        let rows = "email,consent,consent_at\njane@mail.example,profile,2026-01-01\njohn@mail.example,profile,2026-01-01\n";
        let contacts = ContactFile::read(Form::Csv, &Personal::new(rows.as_bytes().to_vec())).unwrap();
        let jane = in_store(
            IdentifierKind::Email,
            "jane@mail.example",
            &persistent.site(site.number).unwrap(),
            &persistent.destination(rules.destination.number).unwrap(),
        );

        // Somebody else writes keys: hers waits, and nobody finds her.
        let other = rusqlite::Connection::open(&file).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut taking = pin!(importer.take(&contacts, 0, NOW, false));
        tokio::select! {
            biased;
            _ = &mut taking => panic!("there is a key of hers already"),
            () = std::future::ready(()) => {}
        }
        list.note_identifiers(site.number, &[jane], NOW).unwrap();
        other.execute_batch("ROLLBACK").unwrap();
        assert!(matches!(taking.await.unwrap(), Became::Left(Left::ErasedBefore)));
        let keys = || other.query_row("SELECT count(*) FROM persons", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(keys(), 0);
        assert!(matches!(importer.take(&contacts, 1, NOW, false).await.unwrap(), Became::New(Some(_))));
        assert_eq!(keys(), 1);
    }
}
