//! What a person may ask: through the commands' own functions, on a data directory.

use std::{fs, path::PathBuf, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use firsthand::{
    documents::Documents,
    event_log::{DiskFiles, LogOptions, look},
    pipeline::Pipeline,
    privacy::{
        keys::{
            database::{KEYS, KeysDb},
            epoch::EpochKeys,
            persistent::PersistentKeys,
        },
        personal::Personal,
        record::{Header, Subject},
        rights::{Asked, Rights, erase::reapply, erasures::Erasures, export::Facts, recipients::Ids},
    },
    rights::sweep::sweep_at_rest,
    state::StateDb,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    Found,
    line::{RawRequest, addresses, cookie_text, pipeline_with, route},
    unless,
    visit::{NOW, beacon, documents},
};

const YES: &str = "\"g\":[\"analytics\",\"profile\"],";
const SECRET: &str = "thirty-two bytes are a good secret";

/// A data directory and the line that writes into it.
struct House {
    directory: TempDir,
    runtime: Runtime,
    pipeline: Option<Pipeline>,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        fs::write(data.join("secret"), SECRET).unwrap();
        let secret = format!("policy = \"shop\"\nidentify_secret = \"file:{}\"\n", data.join("secret").display());
        let documents = documents().replacen("policy = \"shop\"\n", &secret, 1);
        let databases = (StateDb::open(&data.join("state.db")).unwrap(), KeysDb::open(&data.join("keys.db")).unwrap());
        let files = Arc::new(DiskFiles::open(&data.join("log")).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pipeline = {
            let _entered = runtime.enter();
            pipeline_with(&documents, databases, files, NOW)
        };
        Self { directory, runtime, pipeline: Some(pipeline) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn documents(&self) -> Arc<Documents> {
        self.pipeline.as_ref().unwrap().documents.load_full()
    }

    /// Sends a beacon and returns the value of the cookie that was set.
    fn send(&self, request: &RawRequest) -> Option<String> {
        let (pipeline, documents) = (self.pipeline.as_ref().unwrap(), self.documents());
        let (site, protocol) = route(&documents, request);
        let ingested = self.runtime.block_on(pipeline.ingest(site, protocol, request.inbound(&addresses(), NOW), |_| Ok(())));
        assert_eq!(ingested.reply.status.as_u16(), 204);
        ingested.cookies.into_iter().map(cookie_text).next().map(|cookie| cookie.split([';', '=']).nth(1).unwrap().to_owned())
    }

    fn rights(&self, keys: &str) -> (Rights, Arc<KeysDb>) {
        let state = Arc::new(StateDb::open(&self.path("state.db")).unwrap());
        let keys = Arc::new(KeysDb::open(&self.path(keys)).unwrap());
        (Rights::new(state, Arc::clone(&keys), &self.path("log")), keys)
    }

    fn list(&self) -> Erasures {
        Erasures::open(&self.path("erasures.db"), LogOptions::default().short_retention).unwrap()
    }

    fn asked(&self, rights: &Rights, asked: &Asked) -> firsthand::privacy::rights::Found {
        rights.find(self.documents().sites[0].number, asked, NOW).unwrap()
    }
}

fn by_cookie(cookie: &str) -> Asked {
    Asked::Cookie(Personal::new(cookie.to_owned()))
}

fn by_account(account: &str) -> Asked {
    Asked::Account(Personal::new(account.to_owned()))
}

pub(crate) fn an_erased_person_in_the_log() -> Found {
    let mut house = House::new();
    let cookie = house.send(&beacon(YES, "")).unwrap();
    let (rights, _) = house.rights("keys.db");
    let found = house.asked(&rights, &by_cookie(&cookie));
    assert!(!found.is_nobody(), "the control: there is somebody to erase");
    let list = house.list();
    rights.erase(&found, &[], &list, NOW).unwrap();
    house.pipeline = None;
    sweep_at_rest(&house.path("log"), LogOptions::default(), &list).unwrap();
    let (mut records, mut left) = (0, false);
    look(&house.path("log"), &mut |record| {
        let header = Header::decode(record.bytes.as_slice()).unwrap();
        records += 1;
        left |= !header.ceiling.is_nothing() || matches!(header.subject, Subject::Person(handle) if handle != [0; 16]);
        true
    })
    .unwrap();
    assert_eq!(records, 1, "its offset stays");
    unless(left, "the record of an erased person, with what names them")
}

pub(crate) fn a_copy_from_before_an_erasure() -> Found {
    let house = House::new();
    let cookie = house.send(&beacon(YES, "")).unwrap();
    KEYS.copy(&house.path("keys.db"), &house.path("older.db")).unwrap();
    let (rights, _) = house.rights("keys.db");
    let list = house.list();
    rights.erase(&house.asked(&rights, &by_cookie(&cookie)), &[], &list, NOW).unwrap();
    assert!(house.asked(&house.rights("keys.db").0, &by_cookie(&cookie)).is_nobody(), "the control: they are erased");
    let (older, keys) = house.rights("older.db");
    reapply(&list, &keys, &older, &house.path("log"), NOW).unwrap();
    let back = house.asked(&house.rights("older.db").0, &by_cookie(&cookie));
    unless(!back.is_nobody(), "an erased person, with an older copy of the keys")
}

pub(crate) fn another_ones_account() -> Found {
    let house = House::new();
    // It says `customer-7`, without a signature.
    let cookie = house.send(&beacon(YES, "")).unwrap();
    let (rights, _) = house.rights("keys.db");
    assert!(!house.asked(&rights, &by_cookie(&cookie)).is_nobody(), "the control: by the cookie they are found");
    unless(!house.asked(&rights, &by_account("customer-7")).is_nobody(), "whoever types in another's account is found by it")
}

pub(crate) fn a_shared_browser() -> Found {
    let house = House::new();
    let cookie = house.send(&beacon(YES, "")).unwrap();
    let ends = NOW.0 / 1000 + 600;
    for account in ["jane", "john"] {
        let mut state = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        state.update(format!("{account}\n{cookie}\n{ends}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(state.finalize().into_bytes());
        let event = format!(r#"{{"k":"purchase","x":"A-1","a":"{account}","as":"{signature}","ae":{ends}}}"#);
        let request = RawRequest::beacon([192, 0, 2, 7].into(), format!("{{{YES}\"e\":[{event}]}}"));
        house.send(&request.with("cookie", &format!("__Host-w={cookie}")));
    }
    let (rights, keys) = house.rights("keys.db");
    let found = house.asked(&rights, &by_account("jane"));
    assert_eq!((found.browsers(), found.shared()), (1, 1), "the control: one browser, two accounts");
    let state = Arc::new(StateDb::open(&house.path("state.db")).unwrap());
    let (persistent, epochs, documents) = (PersistentKeys::new(Arc::clone(&state)), EpochKeys::new(keys), house.documents());
    let facts = Facts {
        documents: &documents,
        site: &documents.sites[0],
        state: &state,
        ids: Ids { persistent: &persistent, epochs: &epochs },
        kept: [LogOptions::default().short_retention, LogOptions::default().long_retention],
        now: NOW,
    };
    let events = rights.export(&found, &facts, &mut |_| Ok(Vec::new())).unwrap().events();
    assert!(events > 0, "the control: there is an event of hers");
    unless(events > 1, "events of another account, to somebody who used the same browser")
}
