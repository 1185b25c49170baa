//! Customer profiles: of whom there is one, what joins it, what of it a page is told, and who does not come back.

use std::{collections::BTreeSet, sync::Arc};

use firsthand::{
    documents::ProfileRules,
    event_log::LogOptions,
    privacy::{
        consent::proof::ConsentProof,
        contacts::{Became, ContactFile, Form, Importer, Left},
        identifiers::{IdentifierKind, identifier_of_site},
        keys::{database::KeysDb, person::PersonKeys},
        personal::Personal,
        profiled::ProfileSeals,
        rights::{Asked, Rights, erasures::Erasures},
    },
    profile::{
        Profiles,
        projector::{Parts, Projector, Round},
        sqlite::{PROFILES, SqliteProfiles},
    },
    state::StateDb,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Found,
    line::{Line, RawRequest},
    unless,
    visit::{NOW, beacon, cookie_of, documents, message},
};

const YES: &str = "\"g\":[\"analytics\",\"profile\"],";
const PROFILE: &str = "
[site.profile]
traits = { plan = \"last\" }
lookup = [\"orders\"]
[site.profile.identifiers]
email = { joins = true }
";

/// A line with its databases in a directory, and the profiles that are made of its log.
struct Shop {
    directory: TempDir,
    line: Line,
    profiles: Arc<Profiles>,
    projector: Projector,
}

impl Shop {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let documents = documents().replacen("\n[[destination]]", &format!("{PROFILE}\n[[destination]]"), 1);
        let line = Line::at_length(&documents, directory.path(), LogOptions::default(), NOW);
        let store = SqliteProfiles::open(&directory.path().join(PROFILES.file)).unwrap();
        let profiles = Arc::new(Profiles::in_store(Box::new(store), ProfileSeals::new(Arc::clone(&line.persons))));
        let documents = Arc::clone(&line.documents);
        let projector = Projector::new(Parts {
            log: Arc::clone(&line.logs[0]),
            discloser: Arc::clone(&line.discloser),
            documents: Box::new(move || Arc::clone(&documents)),
            calendar: Box::new(|| true),
            profiles: Arc::clone(&profiles),
        });
        Self { directory, line, profiles, projector }
    }

    fn rules(&self) -> &ProfileRules {
        &self.line.documents.profiles[0]
    }

    /// Takes a request in; what comes of it is in a profile then.
    fn visits(&self, request: &RawRequest) -> Option<String> {
        let received = self.line.receive(request, NOW);
        let cookie = (!received.cookies.is_empty()).then(|| cookie_of(&received));
        self.line.append(0, received);
        self.catch_up();
        cookie
    }

    fn catch_up(&self) {
        while self.projector.round(NOW).unwrap() == Round::More {}
    }

    /// All profiles, as they are shown.
    fn shown(&self, profiles: &Profiles) -> Vec<Value> {
        let (page, _) = profiles.page(self.rules(), None, 100).unwrap();
        let views = page.iter().filter_map(|joined| profiles.view(joined, self.rules(), 10, NOW).unwrap());
        views.map(|view| serde_json::to_value(view).unwrap()).collect()
    }

    /// What a page is told that sends this.
    fn told(&self, request: &RawRequest) -> BTreeSet<String> {
        let Some(person) = self.line.customer(request, NOW) else { return BTreeSet::new() };
        self.profiles.lookup(self.rules(), &person, NOW).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    fn list(&self) -> Arc<Erasures> {
        Arc::new(Erasures::open(&self.directory.path().join("erasures.db"), LogOptions::default().short_retention).unwrap())
    }

    fn keys(&self) -> Arc<KeysDb> {
        Arc::new(KeysDb::open(&self.directory.path().join("keys.db")).unwrap())
    }
}

pub(crate) fn what_is_kept_of_who_agrees_to_less() -> Found {
    let shop = Shop::new();
    let cookie = shop.visits(&beacon(YES, "")).unwrap();
    assert_eq!(shop.shown(&shop.profiles).len(), 1, "the control: while they agree there is a profile");
    shop.line.receive(&beacon("\"g\":[\"analytics\"],", "").with("cookie", &cookie), NOW);
    unless(!shop.shown(&shop.profiles).is_empty(), "a profile of somebody who has just withdrawn their yes to one")
}

pub(crate) fn what_is_kept_of_who_withdrew() -> Found {
    let shop = Shop::new();
    let cookie = shop.visits(&beacon(YES, "")).unwrap();
    let rests = || !shop.profiles.store().unwrap().counts().unwrap().is_empty();
    assert!(rests(), "the control: while they agree something rests");
    shop.line.receive(&message("\"g\":[]").with("cookie", &cookie), NOW);
    shop.catch_up();
    unless(rests(), "rows of somebody who withdrew, in the profile store")
}

pub(crate) fn another_ones_account() -> Found {
    let shop = Shop::new();
    // Both say that they are `customer-7`, and neither has it signed.
    for number in [7, 8] {
        let mut request = beacon(YES, "");
        request.headers.insert("x-forwarded-for", format!("192.0.2.{number}").parse().unwrap());
        shop.visits(&request).unwrap();
    }
    unless(shop.shown(&shop.profiles).len() < 2, "one profile of two browsers, one of which merely said whose it is")
}

pub(crate) fn a_trait_that_is_not_listed() -> Found {
    let shop = Shop::new();
    let cookie = shop.visits(&beacon(YES, "")).unwrap();
    let told = shop.told(&message("\"e\":[]").with("cookie", &cookie));
    assert!(told.contains("orders"), "the control: what is listed is told");
    unless(told.len() > 1, "traits of a visitor's profile that nobody listed, to a page")
}

pub(crate) fn a_browser_that_objects() -> Found {
    let shop = Shop::new();
    let cookie = shop.visits(&beacon(YES, "")).unwrap();
    let asks = || message("\"e\":[]").with("cookie", &cookie);
    assert!(!shop.told(&asks()).is_empty(), "the control: without an objection a page is told something");
    unless(!shop.told(&asks().with("sec-gpc", "1")).is_empty(), "traits of a visitor who objects, to a page")
}

pub(crate) fn a_profile_that_is_not_to_be_used() -> Found {
    let shop = Shop::new();
    let cookie = shop.visits(&beacon(YES, "")).unwrap();
    let list = shop.list();
    let persons = Arc::new(PersonKeys::new(shop.keys()).listed_in(Arc::clone(&list)));
    let store = SqliteProfiles::open(&shop.directory.path().join(PROFILES.file)).unwrap();
    let profiles = Profiles::in_store(Box::new(store), ProfileSeals::new(Arc::clone(&persons)));
    assert_eq!(shop.shown(&profiles).len(), 1, "the control: it is shown before");
    let rights = Rights::new(Arc::clone(&shop.line.state), shop.keys(), &shop.directory.path().join("log"));
    let value = cookie.split_once('=').unwrap().1.to_owned();
    let found = rights.find(shop.rules().site(), &Asked::Cookie(Personal::new(value)), NOW).unwrap();
    rights.restrict(&found, &list, NOW).unwrap();
    persons.look_who_is_held().unwrap();
    unless(!shop.shown(&profiles).is_empty(), "a profile of whom what rests is not to be used")
}

pub(crate) fn a_row_of_who_was_erased() -> Found {
    let shop = Shop::new();
    let list = shop.list();
    let persons = PersonKeys::new(shop.keys()).listed_in(Arc::clone(&list));
    let state = Arc::new(StateDb::open(&shop.directory.path().join("state.db")).unwrap());
    let proof = ConsentProof::new(state);
    let site = shop.line.documents.site(shop.rules().site()).unwrap();
    let importer = Importer { persons: &persons, proof: &proof, persistent: &shop.line.persistent, list: &list, site, rules: shop.rules() };
    let agreed = NOW.minus(std::time::Duration::from_secs(60 * 60)).rfc3339();
    let rows = format!("email,consent,consent_at\njane@mail.example,profile,{agreed}\njohn@mail.example,profile,{agreed}\n");
    let file = ContactFile::read(Form::Csv, &Personal::new(rows.into_bytes())).unwrap();
    let jane = Personal::new(String::from("jane@mail.example"));
    let jane = identifier_of_site(&shop.line.persistent, &shop.rules().destination, IdentifierKind::Email, &jane).unwrap().unwrap();
    // She is erased, and what she was known by is noted.
    let cookie = shop.visits(&beacon(YES, "")).unwrap().split_once('=').unwrap().1.to_owned();
    let rights = Rights::new(Arc::clone(&shop.line.state), shop.keys(), &shop.directory.path().join("log"));
    let found = rights.find(shop.rules().site(), &Asked::Cookie(Personal::new(cookie)), NOW).unwrap();
    rights.erase(&found, &[jane], &list, NOW).unwrap();
    let take = |row| shop.line.runtime.block_on(importer.take(&file, row, NOW, false)).unwrap();
    assert!(matches!(take(1), Became::New(_)), "the control: who was not erased is taken over");
    unless(!matches!(take(0), Became::Left(Left::ErasedBefore)), "somebody who was erased, by an import of what they had agreed to before")
}
