//! A process that dies at any call to its profile store, before it or after: whoever goes on where it was makes the same profiles as one that never died.
//! With all kinds of identifiers, by the projector and by an import.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use firsthand::{
    clock::Timestamp,
    config::secret::Secret,
    destination::Database,
    event::{Offset, SiteNumber},
    event_log::LogOptions,
    privacy::{
        consent::proof::{ConsentProof, verify},
        contacts::{Became, ContactFile, Form, Importer},
        identifiers::{Identifier, IdentifierKind},
        personal::Personal,
        profiled::{PersonHandle, ProfileSeals},
        rights::erasures::Erasures,
    },
    profile::{
        Profiles,
        contact::Again,
        entry::Class,
        postgres::PostgresProfiles,
        projector::Round,
        sqlite::SqliteProfiles,
        store::{Change, Decision, EntryRow, ProfileError, ProfileStore, SiteCounts, Slice, StrandKey, StrandRow},
    },
    state::IN_MEMORY,
};
use serde_json::json;

use crate::{
    identifiers::{KNOWN, told},
    left_out::left_out,
    profiles::{Browser, Shop, all, projector, proving, purchase, view_of},
    real_postgres::{PASSWORD, ROLE, RealPostgres},
};

/// A store whose process dies at a call: from then on it answers nothing, until it is used by another one.
struct Dying {
    store: Arc<dyn ProfileStore>,
    /// How many calls are still answered.
    left: Arc<AtomicI64>,
    /// Whether the last one is carried out, and its answer alone is lost.
    carries_out: bool,
}

impl Dying {
    fn call<T>(&self, call: impl FnOnce(&dyn ProfileStore) -> Result<T, ProfileError>) -> Result<T, ProfileError> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        let died = || Err(ProfileError::Database(String::from("the process is dead")));
        match left {
            1.. => call(&*self.store),
            0 if self.carries_out => call(&*self.store).and_then(|_| died()),
            _ => died(),
        }
    }
}

impl ProfileStore for Dying {
    fn position(&self) -> Result<Option<Offset>, ProfileError> {
        self.call(|store| store.position())
    }
    fn write(&self, change: &Change) -> Result<(), ProfileError> {
        self.call(|store| store.write(change))
    }
    fn strand(&self, key: &StrandKey) -> Result<Option<StrandRow>, ProfileError> {
        self.call(|store| store.strand(key))
    }
    fn strands(&self, keys: &[StrandKey]) -> Result<Vec<StrandRow>, ProfileError> {
        self.call(|store| store.strands(keys))
    }
    fn people_after(&self, after: Option<&PersonHandle>, most: usize) -> Result<Vec<PersonHandle>, ProfileError> {
        self.call(|store| store.people_after(after, most))
    }
    fn of_person(&self, site: SiteNumber, person: &PersonHandle) -> Result<Vec<StrandRow>, ProfileError> {
        self.call(|store| store.of_person(site, person))
    }
    fn of_identifier(&self, site: SiteNumber, identifier: &Identifier, browsers: usize) -> Result<Vec<StrandRow>, ProfileError> {
        self.call(|store| store.of_identifier(site, identifier, browsers))
    }
    fn identifiers(&self, key: &StrandKey) -> Result<BTreeSet<Identifier>, ProfileError> {
        self.call(|store| store.identifiers(key))
    }
    fn shared(&self, site: SiteNumber, kind: IdentifierKind, browsers: usize) -> Result<u64, ProfileError> {
        self.call(|store| store.shared(site, kind, browsers))
    }
    fn of_browser(&self, site: SiteNumber, browser: u64) -> Result<Vec<StrandRow>, ProfileError> {
        self.call(|store| store.of_browser(site, browser))
    }
    fn strands_after(&self, after: Option<&StrandKey>, most: usize) -> Result<Vec<StrandRow>, ProfileError> {
        self.call(|store| store.strands_after(after, most))
    }
    fn entries(&self, key: &StrandKey, slice: &Slice, most: usize) -> Result<Vec<EntryRow>, ProfileError> {
        self.call(|store| store.entries(key, slice, most))
    }
    fn older(&self, site: SiteNumber, class: Class, than: Timestamp, most: usize) -> Result<Vec<EntryRow>, ProfileError> {
        self.call(|store| store.older(site, class, than, most))
    }
    fn decide(&self, decision: &Decision) -> Result<(), ProfileError> {
        self.call(|store| store.decide(decision))
    }
    fn decisions(&self, key: &StrandKey) -> Result<Vec<Decision>, ProfileError> {
        self.call(|store| store.decisions(key))
    }
    fn remove(&self, persons: &BTreeSet<PersonHandle>) -> Result<u64, ProfileError> {
        self.call(|store| store.remove(persons))
    }
    fn wipe(&self) -> Result<(), ProfileError> {
        self.call(|store| store.wipe())
    }
    fn wipe_what_is_due(&self) -> Result<bool, ProfileError> {
        self.call(|store| store.wipe_what_is_due())
    }
    fn counts(&self) -> Result<Vec<SiteCounts>, ProfileError> {
        self.call(|store| store.counts())
    }
    fn ask_again(&self) -> Result<(), ProfileError> {
        self.call(|store| store.ask_again())
    }
    fn is_asked_again(&self) -> Result<bool, ProfileError> {
        self.call(|store| store.is_asked_again())
    }
    fn done_again(&self) -> Result<(), ProfileError> {
        self.call(|store| store.done_again())
    }
}

/// A shop whose log has customers of every kind of identifier, and a file of contacts.
struct Scene {
    shop: Shop,
    contacts: ContactFile,
    list: Erasures,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let in_memory = SqliteProfiles::open(Path::new(IN_MEMORY)).unwrap();
        let shop = Shop::with(Box::new(in_memory), KNOWN, 1);
        let mut browsers: Vec<Browser> = (1..=4).map(Browser::new).collect();
        browsers.iter_mut().for_each(|browser| shop.visit(browser, view_of(&format!("first-{}", browser.address[3]))));
        let said = [
            json!({ "email": "jane@mail.example", "phone": "+33123456789", "crmId": "C-1" }),
            json!({ "email": "jane@mail.example" }),
            json!({ "phone": "+33987654321", "crmId": "C-3" }),
            json!({ "crmId": "C-1" }),
        ];
        for (number, (browser, said)) in browsers.iter_mut().zip(&said).enumerate() {
            shop.now.set(shop.now.get().plus(std::time::Duration::from_secs(60)));
            let account = ["u7", "u8"].get(number).copied();
            shop.line.append(0, shop.line.receive(&told(browser, &format!("told-{number}"), account, said), shop.now.get()));
            let bought = purchase(&format!("buys-{number}"), &format!("A-{number}"), 10.0);
            let event = if number == 2 { proving(browser, "u9", bought) } else { bought };
            shop.visit(browser, event);
        }
        let agreed = shop.now.get().minus(std::time::Duration::from_secs(24 * 60 * 60)).rfc3339();
        let rows = format!(
            "account,crm,email,phone,plan,consent,consent_at\n\
             u7,,,,gold,profile,{agreed}\n\
             ,C-3,carl@mail.example,,silver,profile,{agreed}\n\
             ,,nobody@mail.example,+33555555555,,profile,{agreed}\n\
             ,C-3,carl@mail.example,,bronze,profile,{agreed}\n"
        );
        let contacts = ContactFile::read(Form::Csv, &Personal::new(rows.into_bytes())).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let list = Erasures::open(&directory.path().join("erasures.db"), LogOptions::default().short_retention).unwrap();
        Self { shop, contacts, list, directory }
    }

    fn profiles(&self, store: Box<dyn ProfileStore>) -> Arc<Profiles> {
        Arc::new(Profiles::in_store(store, ProfileSeals::new(Arc::clone(&self.shop.line.persons))))
    }

    /// What a process does until it is done, or dies.
    fn works(&self, profiles: &Arc<Profiles>) -> Result<(), ProfileError> {
        let (line, now) = (&self.shop.line, self.shop.now.get());
        let site = line.documents.site(self.shop.rules().site()).unwrap();
        let proof = ConsentProof::new(Arc::clone(&line.state));
        let (persons, persistent) = (&line.persons, &line.persistent);
        let importer = Importer { persons, proof: &proof, persistent, list: &self.list, site, rules: self.shop.rules() };
        for row in 0..self.contacts.len() {
            let (Became::New(told) | Became::Known(told)) = line.runtime.block_on(importer.take(&self.contacts, row, now, false)).unwrap()
            else {
                panic!("row {row} is somebody's who agreed");
            };
            profiles.take_contact(site, &told.expect("it is no dry run"), Again::IsKnown, now)?;
        }
        let projector = projector(line, 0, profiles, &Arc::new(AtomicBool::new(true)));
        while projector.round(now)? == Round::More {}
        Ok(())
    }

    /// All of it, by a process that dies at that call, and by the one after it. Nothing: it did not come to that call.
    fn with_a_death(&self, store: Box<dyn ProfileStore>, calls: i64, carries_out: bool) -> Option<Vec<(String, serde_json::Value)>> {
        let (store, left): (Arc<dyn ProfileStore>, _) = (Arc::from(store), Arc::new(AtomicI64::new(calls)));
        let of = |left: i64, carries_out| Dying { store: Arc::clone(&store), left: Arc::new(AtomicI64::new(left)), carries_out };
        let dying = Dying { store: Arc::clone(&store), left: Arc::clone(&left), carries_out };
        let died = self.works(&self.profiles(Box::new(dying))).is_err();
        let after = self.profiles(Box::new(of(i64::MAX, false)));
        self.works(&after).unwrap();
        died.then(|| all(&after, self.shop.rules(), self.shop.now.get()))
    }

    fn survives(&self, store: &dyn Fn() -> Box<dyn ProfileStore>, every: usize, least: usize) {
        let straight = self.profiles(store());
        self.works(&straight).unwrap();
        let straight = all(&straight, self.shop.rules(), self.shop.now.get());
        assert!(straight.len() >= 3 && straight.iter().any(|(_, view)| view["parts"].as_array().unwrap().len() >= 3), "{straight:#?}");
        let mut deaths = 0;
        for carries_out in [false, true] {
            for calls in (0..).step_by(every) {
                let Some(profiles) = self.with_a_death(store(), calls, carries_out) else { break };
                assert_eq!(profiles, straight, "after a death at call {calls}, carried out: {carries_out}");
                deaths += 1;
            }
        }
        assert!(deaths >= least, "{deaths} deaths");
        // However often: each consent is on record, once.
        let verified = verify(&self.shop.line.state, self.shop.now.get(), None).unwrap().unwrap();
        assert_eq!(verified.head.number, 4 + 3, "four browsers and three contacts");
        assert!(self.directory.path().join("erasures.db").exists());
    }
}

#[test]
fn a_death_at_any_call_leaves_the_same_profiles_in_sqlite() {
    Scene::new().survives(&|| Box::new(SqliteProfiles::open(Path::new(IN_MEMORY)).unwrap()), 1, 30);
}

#[test]
fn a_death_at_some_calls_leaves_the_same_profiles_in_postgresql() {
    let Some(postgres) = RealPostgres::start() else { return left_out("deaths with PostgreSQL", "PostgreSQL is not installed here") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let number = std::cell::Cell::new(0);
    let store = || -> Box<dyn ProfileStore> {
        number.set(number.get() + 1);
        let name = format!("deaths_{}", number.get());
        assert_eq!(postgres.ask(&format!("CREATE DATABASE {name}")), "CREATE DATABASE");
        let password = Some(Secret::new(PASSWORD.into()));
        let database = Database { host: "127.0.0.1".into(), port: postgres.port, name, user: ROLE.into(), password, encrypted: false };
        Box::new(PostgresProfiles::new(database, runtime.handle().clone()))
    };
    Scene::new().survives(&store, 5, 6);
}
