//! Apps: what a site's own app sends, under a key that anybody can read in it. It is one visitor's, as a browser's is: known again by the cookie
//! alone, which the app keeps as a browser does or says itself; and its word is worth no more than a browser's.

use std::sync::Arc;

use firsthand::{
    clock::Timestamp,
    event::{Offset, Purposes},
    event_log::LogFiles,
    pipeline::Pipeline,
    privacy::record::{Header, Subject},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    installation::{SITE, file_destination},
    line::{RawRequest, addresses, cookie_text, pipeline, route},
    memory_files::MemoryFiles,
};

const NOW: Timestamp = Timestamp(1_773_480_413_589);
const KEY: &str = "fha_of_the_shop";

struct Shop {
    pipeline: Pipeline,
    runtime: Runtime,
}

impl Shop {
    fn new() -> Self {
        let documents = SITE.to_owned()
            + &format!("keys = {{ app = [\"{KEY}\"] }}\n")
            + &file_destination("measurement", "exempt_measurement", "measurement")
            + &file_destination("customers", "consent", "consented-analytics");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let files = Arc::new(MemoryFiles::default()) as Arc<dyn LogFiles>;
        let pipeline = runtime.block_on(async { pipeline(&documents, files, NOW) });
        Self { pipeline, runtime }
    }

    /// What the app is answered: the status, and the cookies that its HTTP library is handed.
    fn send(&self, key: &str, body: &Value, cookie: Option<&str>) -> (u16, Vec<String>) {
        let mut request = RawRequest::beacon([203, 0, 113, 7].into(), body.to_string()).with("authorization", &format!("Bearer {key}"));
        request.path = String::from("/keso/v1/app");
        let mut request = request.with("user-agent", "okhttp/4.12.0");
        if let Some(cookie) = cookie {
            request = request.with("cookie", cookie);
        }
        let documents = self.pipeline.documents.load_full();
        let (site, protocol) = route(&documents, &request);
        let ingested = self.runtime.block_on(self.pipeline.ingest(site, protocol, request.inbound(&addresses(), NOW), |_| Ok(())));
        (ingested.reply.status.as_u16(), ingested.cookies.into_iter().map(cookie_text).collect())
    }

    /// What rests, by its headers.
    fn records(&self) -> Vec<Header> {
        let records = self.pipeline.log.reader(Offset(0)).read(usize::MAX, usize::MAX).unwrap();
        records.iter().map(|record| Header::decode(record.bytes.as_slice()).unwrap()).collect()
    }

    fn bots(&self) -> u64 {
        let documents = self.pipeline.documents.load_full();
        self.pipeline.counters.of(documents.sites[0].number).by_bot_class().skip(1).map(|(_, count)| count).sum()
    }
}

fn screen(id: &str) -> Value {
    json!({ "type": "screen", "name": "Basket", "messageId": id })
}

fn pair(cookie: &str) -> &str {
    cookie.split(';').next().expect("a cookie begins with its name and value")
}

#[test]
fn an_app_is_known_again_by_the_cookie_that_it_keeps_or_says_and_by_nothing_else() {
    let shop = Shop::new();
    let agreed = |id: &str, more: Value| {
        let mut body = json!({ "consent": ["analytics"], "batch": [screen(id)] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let (status, cookies) = shop.send(KEY, &agreed("s-1", json!({})), None);
    let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
    assert!(status == 200 && cookie.contains("HttpOnly") && cookie.contains("Max-Age"), "{cookie}");
    let value = pair(cookie).split_once('=').unwrap().1;

    // Its HTTP library keeps it; or the app itself does, and says it.
    let (_, kept) = shop.send(KEY, &agreed("s-2", json!({})), Some(pair(cookie)));
    let (_, said) =
        shop.send(KEY, &json!({ "consent": ["analytics"], "batch": [{ "event": "tap", "messageId": "s-3", "anonymousId": value }] }), None);
    // What the app made up itself is no name of anybody.
    let (_, made_up) = shop.send(
        KEY,
        &json!({ "consent": ["analytics"], "batch": [{ "event": "tap", "messageId": "s-4", "anonymousId": "install-1" }] }),
        None,
    );
    let (_, guessed) = shop.send(
        KEY,
        &json!({ "consent": ["analytics"], "batch": [{ "event": "tap", "messageId": "s-5", "anonymousId": "AAECAwQFBgcICQoLDA0ODw" }] }),
        None,
    );
    assert_eq!([kept.len(), said.len(), made_up.len(), guessed.len()], [0, 0, 1, 1]);
    let subjects: Vec<_> = shop.records().iter().map(|header| header.subject).collect();
    let [first, second, third, other, another] = subjects.as_slice() else { panic!("{}", subjects.len()) };
    assert!(first == second && second == third && matches!(first, Subject::Person(_)));
    assert!(other != first && another != first && another != other);
}

#[test]
fn before_the_choice_an_app_keeps_nothing_and_a_no_takes_away_what_it_kept() {
    let shop = Shop::new();
    let (status, cookies) = shop.send(KEY, &json!({ "batch": [screen("s-1")] }), None);
    assert_eq!((status, cookies.len()), (200, 0));
    let records = shop.records();
    assert!(records.len() == 1 && matches!(records[0].subject, Subject::Token(_)) && records[0].purposes == Purposes::NONE);

    let (_, cookies) = shop.send(KEY, &json!({ "consent": ["analytics"], "batch": [screen("s-2")] }), None);
    let cookie = pair(&cookies[0]).to_owned();
    let (_, taken) = shop.send(KEY, &json!({ "consent": [], "batch": [screen("s-3")] }), Some(&cookie));
    assert!(taken.len() == 1 && taken[0].contains("Max-Age=0"), "{taken:?}");
    // Nothing of the no rests, and the old cookie is nobody's: a yes now is a new person's.
    shop.send(KEY, &json!({ "consent": ["analytics"], "batch": [screen("s-4")] }), Some(&cookie));
    let records = shop.records();
    assert_eq!(records.len(), 3);
    assert!(records[1].subject != records[2].subject);

    // An opt-out is kept by whoever keeps cookies, and outlasts a later yes.
    let (_, cookies) = shop.send(KEY, &json!({ "optOut": true, "batch": [] }), None);
    let opted_out = cookies.iter().map(|cookie| pair(cookie)).find(|pair| pair.ends_with("=1")).expect("the opt-out cookie").to_owned();
    shop.send(KEY, &json!({ "consent": ["analytics"], "batch": [screen("s-5")] }), Some(&opted_out));
    assert_eq!(shop.records().len(), 3);
}

#[test]
fn an_apps_library_is_no_bot_and_its_key_proves_nothing() {
    let shop = Shop::new();
    assert_eq!(shop.send("fha_of_another", &json!({ "batch": [screen("s-1")] }), None).0, 401);
    assert_eq!(shop.send("", &json!({ "batch": [screen("s-1")] }), None).0, 401);
    // Nor is an opt-out that nobody carries out taken for one that was.
    assert_eq!(shop.send("fha_of_another", &json!({ "optOut": true, "batch": [] }), None), (401, Vec::new()));
    assert!(shop.records().is_empty());
    shop.send(KEY, &json!({ "batch": [screen("s-1")] }), None);
    assert_eq!((shop.records().len(), shop.bots()), (1, 0));
    // The same library as a page's sender is one that says so itself.
    let page = RawRequest::beacon([203, 0, 113, 8].into(), json!({ "e": [{ "k": "page_view", "i": "1" }] }).to_string());
    let documents = shop.pipeline.documents.load_full();
    let page = page.with("user-agent", "okhttp/4.12.0");
    let (site, protocol) = route(&documents, &page);
    shop.runtime.block_on(shop.pipeline.ingest(site, protocol, page.inbound(&addresses(), NOW), |_| Ok(())));
    assert_eq!(shop.bots(), 1);
}

#[test]
fn a_word_about_the_choice_that_nobody_can_read_lets_nothing_lasting_begin() {
    let shop = Shop::new();
    let said = |more: Value| {
        let mut body = json!({ "batch": [screen("s-1")] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (_, cookies) = shop.send(KEY, &body, None);
        assert!(cookies.iter().all(|cookie| pair(cookie).ends_with("=1")), "{more}: {cookies:?}");
        cookies.len()
    };
    for unreadable in [
        json!({ "consent": "analytics" }),
        json!({ "consent": ["analytics"], "consentSeconds": -1 }),
        json!({ "consent": ["analytics"], "consentSeconds": [] }),
    ] {
        assert_eq!(said(unreadable), 0);
    }
    assert_eq!([said(json!({ "consent": ["analytics"], "optOut": {} })), said(json!({ "optOut": "yes" }))], [1, 1]);
    assert!(shop.records().iter().all(|header| header.purposes == Purposes::NONE));
}
