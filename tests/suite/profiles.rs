//! The profile store: what the projector makes of real events of the line, on each store. One customer is one profile by proof alone, nobody's
//! profile is changed by what another browser claims, merges are explained and can be undone, and what nobody agrees to any more is gone.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use firsthand::{
    clock::Timestamp,
    destination::Database,
    documents::ProfileRules,
    event::Offset,
    privacy::profiled::ProfileSeals,
    profile::{
        Profiles,
        postgres::PostgresProfiles,
        projector::{Parts, Projector, Round},
        sqlite::SqliteProfiles,
        store::{Change, Decision, ProfileStore, StrandKey},
        view::ProfileView,
    },
    state::IN_MEMORY,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    http_client::Request,
    identifiers,
    installation::{Installation, SITE, eventually, file_destination},
    left_out::left_out,
    line::{Line, RawRequest},
    real_postgres::{PASSWORD, ROLE, RealPostgres},
};

const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);
pub(crate) const SECRET: &str = "thirty-two bytes are a good secret";
const PROFILE: &str = "\n[site.profile]\nbrowsers_per_account = 3\ntraits = { plan = \"last\", number = \"highest\" }\n";

/// One line, and the profiles that are made of its first log.
pub(crate) struct Shop {
    pub(crate) line: Line,
    pub(crate) profiles: Arc<Profiles>,
    projector: Projector,
    /// Whether the clock is to be believed.
    pub(crate) steady: Arc<AtomicBool>,
    pub(crate) now: std::cell::Cell<Timestamp>,
    _outside: Installation,
}

/// A browser, by its cookie; made by its first visit.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) address: [u8; 4],
    pub(crate) cookie: Option<String>,
}

impl Browser {
    pub(crate) fn new(number: u8) -> Self {
        Self { address: [192, 0, 2, number], cookie: None }
    }

    pub(crate) fn value(&self) -> &str {
        self.cookie.as_deref().unwrap().split_once('=').unwrap().1
    }
}

fn documents(secret: &Path, profile: &str) -> String {
    let site = format!("{SITE}identify_secret = \"file:{}\"\n{profile}", secret.display());
    site + &file_destination("customers", "consent", "consented-analytics")
}

impl Shop {
    pub(crate) fn new(store: Box<dyn ProfileStore>) -> Self {
        Self::with(store, PROFILE, 2)
    }

    pub(crate) fn with(store: Box<dyn ProfileStore>, profile: &str, logs: usize) -> Self {
        let outside = Installation::empty();
        let line = Line::new(&documents(&outside.write("secret", SECRET), profile), logs);
        let profiles = Arc::new(Profiles::in_store(store, ProfileSeals::new(Arc::clone(&line.persons))));
        let steady = Arc::new(AtomicBool::new(true));
        let projector = projector(&line, 0, &profiles, &steady);
        Self { line, profiles, projector, steady, now: std::cell::Cell::new(NOW), _outside: outside }
    }

    pub(crate) fn rules(&self) -> &ProfileRules {
        &self.line.documents.profiles[0]
    }

    /// Sends one event, a minute after the last.
    pub(crate) fn send(&self, browser: &mut Browser, purposes: &[&str], event: Value) {
        self.now.set(self.now.get().plus(Duration::from_secs(60)));
        let received = self.line.receive(&request(browser, purposes, event), self.now.get());
        if let Some(cookie) = received.cookies.iter().find(|cookie| cookie.contains("__Host-w=") && !cookie.contains("Max-Age=0")) {
            browser.cookie = cookie.split(';').next().map(str::to_owned);
        }
        self.line.append(0, received);
    }

    pub(crate) fn visit(&self, browser: &mut Browser, event: Value) {
        self.send(browser, &["analytics", "profile"], event);
    }

    /// The projector takes in all there is.
    pub(crate) fn catch_up(&self) {
        catch_up(&self.projector, self.now.get());
    }

    pub(crate) fn view(&self, id: &str) -> Option<ProfileView> {
        let site = self.rules().site();
        let strand = self.profiles.named(site, id).unwrap()?;
        let joined = self.profiles.joined(&strand, self.rules()).unwrap();
        self.profiles.view(&joined, self.rules(), 100, self.now.get()).unwrap()
    }

    /// All profiles, by id, as they are handed out.
    pub(crate) fn all(&self) -> Vec<(String, Value)> {
        all(&self.profiles, self.rules(), self.now.get())
    }

    pub(crate) fn decide(&self, key: StrandKey, apart: bool) {
        let decision = Decision { key, apart, at: self.now.get(), author: "anna".into(), reason: "another person's".into() };
        self.profiles.decide(&decision).unwrap();
    }
}

pub(crate) fn projector(line: &Line, log: usize, profiles: &Arc<Profiles>, steady: &Arc<AtomicBool>) -> Projector {
    let (documents, steady) = (Arc::clone(&line.documents), Arc::clone(steady));
    Projector::new(Parts {
        log: Arc::clone(&line.logs[log]),
        discloser: Arc::clone(&line.discloser),
        documents: Box::new(move || Arc::clone(&documents)),
        calendar: Box::new(move || steady.load(Ordering::Relaxed)),
        profiles: Arc::clone(profiles),
    })
}

pub(crate) fn catch_up(projector: &Projector, now: Timestamp) {
    while projector.round(now).unwrap() == Round::More {}
}

pub(crate) fn all(profiles: &Profiles, rules: &ProfileRules, now: Timestamp) -> Vec<(String, Value)> {
    let (page, more) = profiles.page(rules, None, 1_000).unwrap();
    assert!(more.is_none());
    let views = page.iter().filter_map(|joined| profiles.view(joined, rules, 1_000, now).unwrap());
    let mut all: Vec<_> = views.map(|view| (view.id.clone(), serde_json::to_value(&view).unwrap())).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

pub(crate) fn request(browser: &Browser, purposes: &[&str], event: Value) -> RawRequest {
    let body = json!({ "g": purposes, "e": [event] });
    let request = RawRequest::beacon(browser.address.into(), body.to_string());
    match &browser.cookie {
        Some(cookie) => request.with("cookie", cookie),
        None => request,
    }
}

pub(crate) fn view_of(id: &str) -> Value {
    json!({ "k": "page_view", "i": id, "p": "https://www.shop.example/shoes?utm_source=letter" })
}

pub(crate) fn purchase(id: &str, order: &str, value: f64) -> Value {
    json!({ "k": "purchase", "i": id, "x": order, "v": value, "m": "EUR", "p": "https://www.shop.example/thanks",
            "y": [{ "id": format!("SKU-{order}"), "name": "boots", "category": "shoes", "price": value, "quantity": 1 }] })
}

/// The event with an account that the shop's backend has signed for this browser.
pub(crate) fn proving(browser: &Browser, account: &str, event: Value) -> Value {
    proving_at(NOW, browser, account, event)
}

/// The same at another moment: a signature ends after a day.
pub(crate) fn proving_at(now: Timestamp, browser: &Browser, account: &str, mut event: Value) -> Value {
    let ends = now.0 / 1000 + 100_000;
    let mut state = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    state.update(format!("{account}\n{}\n{ends}", browser.value()).as_bytes());
    let signed = json!({ "a": account, "as": URL_SAFE_NO_PAD.encode(state.finalize().into_bytes()), "ae": ends });
    event.as_object_mut().unwrap().extend(signed.as_object().unwrap().clone());
    event
}

fn claiming(account: &str, mut event: Value) -> Value {
    event["a"] = json!(account);
    event
}

/// A browser that has visited, and bought under a proven account.
pub(crate) fn customer(shop: &Shop, number: u8, account: &str) -> Browser {
    let mut browser = Browser::new(number);
    shop.visit(&mut browser, view_of(&format!("first-{number}")));
    let event = proving(&browser, account, purchase(&format!("buys-{number}"), &format!("A-{number}"), 10.0 * f64::from(number)));
    shop.visit(&mut browser, event);
    browser
}

fn in_memory() -> Box<dyn ProfileStore> {
    Box::new(SqliteProfiles::open(Path::new(IN_MEMORY)).unwrap())
}

/// The cases that every store passes. `store` makes an empty one.
pub(crate) fn conform(store: &dyn Fn() -> Box<dyn ProfileStore>) {
    one_customer_on_two_devices_is_one_profile(&Shop::new(store()));
    what_a_browser_claims_changes_nothing_of_anyones(&Shop::new(store()));
    an_account_that_too_many_have_joins_none(&Shop::new(store()));
    a_browser_of_several_accounts_joins_none_of_them(&Shop::new(store()));
    what_was_merged_can_be_parted_and_joined_again(&Shop::new(store()));
    who_does_not_agree_has_none(&Shop::new(store()));
    who_agrees_no_more_has_none_at_once(&Shop::new(store()));
    what_is_past_its_time_leaves_the_timeline_alone(&Shop::new(store()));
    orders_repetitions_and_restarts_leave_the_same(store);
    identifiers::conform(store);
}

#[test]
fn profiles_in_sqlite_pass_every_case() {
    conform(&in_memory);
}

#[test]
fn profiles_in_postgresql_pass_every_case() {
    let Some(postgres) = RealPostgres::start() else { return left_out("profiles in PostgreSQL", "PostgreSQL is not installed here") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let number = std::cell::Cell::new(0);
    let store = || -> Box<dyn ProfileStore> {
        number.set(number.get() + 1);
        let name = format!("profiles_{}", number.get());
        assert_eq!(postgres.ask(&format!("CREATE DATABASE {name}")), "CREATE DATABASE");
        let password = Some(firsthand::config::secret::Secret::new(PASSWORD.into()));
        let database = Database { host: "127.0.0.1".into(), port: postgres.port, name, user: ROLE.into(), password, encrypted: false };
        Box::new(PostgresProfiles::new(database, runtime.handle().clone()))
    };
    conform(&store);
}

#[test]
fn profiles_in_postgresql_go_on_after_it_was_away() {
    let Some(mut postgres) = RealPostgres::start() else { return left_out("profiles in PostgreSQL", "PostgreSQL is not installed here") };
    let outside = Installation::empty();
    let (secret, password) = (outside.write("secret", SECRET), outside.write("password", PASSWORD));
    let installation = Installation::new(&documents(&secret, PROFILE));
    let machine = fs::read_to_string(installation.path().join("firsthand.toml")).unwrap();
    let url = format!("postgres://127.0.0.1:{}/analytics", postgres.port);
    let profiles = format!("[profiles]\npostgres = {{ url = \"{url}\", user = \"{ROLE}\", password = \"file:{}\" }}\n", password.display());
    installation.write("firsthand.toml", &format!("{machine}\n{profiles}"));
    let server = installation.start();
    let visit = |number: u8| {
        let body = json!({ "g": ["profile"], "e": [view_of(&format!("view-{number}"))] });
        let request = Request::beacon(body.to_string()).with("X-Forwarded-For", &format!("192.0.2.{number}"));
        assert_eq!(server.send(&request).status, 204);
    };
    let listed = || String::from_utf8(installation.run(&["profile", "list"]).stdout).unwrap().lines().count();
    (1..=3).for_each(visit);
    eventually("three profiles and their head", PATIENCE, || listed() == 4);
    postgres.pause();
    (4..=6).for_each(visit);
    eventually("that it says so", PATIENCE, || server.admin_page("/metrics").text().contains("firsthand_profile_stuck 1"));
    postgres.resume();
    eventually("six profiles and their head", PATIENCE, || listed() == 7);
    assert!(!installation.data().join("profiles.db").exists());
    assert!(server.stop().success());
}

fn one_customer_on_two_devices_is_one_profile(shop: &Shop) {
    let phone = customer(shop, 1, "u7");
    shop.catch_up();
    let before = shop.all();
    assert_eq!(before.len(), 1, "what was done before the login is theirs");
    let laptop = customer(shop, 2, "u7");
    customer(shop, 3, "u8");
    shop.catch_up();
    let all = shop.all();
    assert_eq!(all.len(), 2);
    let (id, both) = all.iter().find(|(_, view)| view["traits"]["orders"] == 2).expect("one of them has both orders");
    assert_eq!(*id, before[0].0, "the id is the account's, and stays");
    assert_eq!(both["joined_by"], "proven_account");
    assert_eq!(both["traits"]["revenue"], json!([{ "currency": "EUR", "orders": 2, "revenue": 30.0, "average": 15.0, "refunded": 0.0 }]));
    assert_eq!(both["timeline"].as_array().unwrap().len(), 4);
    assert_eq!(both["traits"]["last_products"][0]["name"], "SKU-A-2");
    assert_eq!(both["traits"]["last_categories"][0]["name"], "shoes");
    assert_eq!(both["traits"]["first_campaign"]["value"]["source"], "letter");
    assert_eq!(both["traits"]["visits"], 2);
    let proofs: Vec<&Value> = both["parts"].as_array().unwrap().iter().filter(|part| part["proof"].is_object()).collect();
    assert_eq!(proofs.len(), 2, "each browser's merge is explained");
    for proof in &proofs {
        let event = proof["proof"]["event"].as_str().unwrap();
        let meant = both["timeline"].as_array().unwrap().iter().find(|entry| entry["event"] == event).expect("the event that proved it");
        assert_eq!((&meant["name"], &proof["proof"]["rule"]), (&json!("purchase"), &json!("proven_account")));
    }
    // By each of its parts it is found, too.
    for part in both["parts"].as_array().unwrap() {
        assert_eq!(shop.view(part["id"].as_str().unwrap()).unwrap().id, *id);
    }
    let text = both.to_string();
    for secret in ["u7", phone.value(), laptop.value(), "192.0.2"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

fn what_a_browser_claims_changes_nothing_of_anyones(shop: &Shop) {
    customer(shop, 1, "u7");
    shop.catch_up();
    let before = shop.all();
    let mut stranger = Browser::new(66);
    shop.visit(&mut stranger, claiming("u7", view_of("claims-1")));
    let mut forged = proving(&stranger, "u7", purchase("claims-2", "A-1", 9_999.0));
    forged["as"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    shop.visit(&mut stranger, forged);
    let mut over = proving(&stranger, "u7", purchase("claims-3", "A-1", 9_999.0));
    over["ae"] = json!(NOW.0 / 1000 - 10);
    shop.visit(&mut stranger, over);
    shop.catch_up();
    let after = shop.all();
    assert_eq!(after.len(), 2);
    let theirs: Vec<_> = after.iter().filter(|(id, _)| *id == before[0].0).cloned().collect();
    assert_eq!(theirs, before, "nothing of the first one's is altered");
    let (_, strangers) = after.iter().find(|(id, _)| *id != before[0].0).unwrap();
    assert_eq!(strangers["traits"]["claimed_accounts"][0]["name"], json!(before[0].0), "it is a trait of the stranger's own");
    assert_eq!(strangers["joined_by"], "one_browser");
    assert_eq!(strangers["timeline"].as_array().unwrap().len(), 3);
}

fn an_account_that_too_many_have_joins_none(shop: &Shop) {
    for number in 1..=3 {
        customer(shop, number, "guest");
    }
    shop.catch_up();
    assert_eq!(shop.all().len(), 1);
    customer(shop, 4, "guest");
    shop.catch_up();
    let all = shop.all();
    assert_eq!(all.len(), 4, "an account in more than three browsers is nobody's");
    assert!(all.iter().all(|(_, view)| view["account_shared_by_too_many"] == true && view["traits"]["orders"] == 1));
}

fn a_browser_of_several_accounts_joins_none_of_them(shop: &Shop) {
    let mut tablet = customer(shop, 1, "anna");
    let event = proving(&tablet, "bert", purchase("bert-1", "B-1", 5.0));
    shop.visit(&mut tablet, event);
    customer(shop, 2, "bert");
    shop.catch_up();
    let all = shop.all();
    let summary: Vec<_> =
        all.iter().map(|(_, view)| (view["joined_by"].as_str().unwrap(), view["traits"]["orders"].as_u64().unwrap())).collect();
    assert_eq!(all.len(), 3, "{summary:?}");
    assert!(summary.contains(&("proven_account", 1)), "anna's own: {summary:?}");
    assert!(summary.contains(&("proven_account", 2)), "bert's, on both: {summary:?}");
    assert!(summary.contains(&("one_browser", 0)), "what nobody's account says whose it is: {summary:?}");
}

fn what_was_merged_can_be_parted_and_joined_again(shop: &Shop) {
    let phone = customer(shop, 1, "u7");
    let mut laptop = customer(shop, 2, "u7");
    shop.catch_up();
    let merged = shop.all();
    let id = merged[0].0.clone();
    let browser = merged[0].1["parts"].as_array().unwrap().iter().find_map(|part| {
        let part = part["id"].as_str().unwrap();
        let of_laptop = shop.view(part).unwrap();
        let strand = shop.profiles.holder(shop.rules().site(), part.split('.').next().unwrap()).unwrap()?;
        (of_laptop.id == id && shop.profiles.store().unwrap().strand(&strand).unwrap().is_some()).then_some((part.to_owned(), strand))
    });
    let (_, strand) = browser.expect("a browser with its account");
    shop.decide(strand, true);
    let parted = shop.all();
    assert_eq!(parted.len(), 2);
    assert!(parted.iter().all(|(_, view)| view["traits"]["orders"] == 1 && view["timeline"].as_array().unwrap().len() == 2));
    // What comes after stays where it came from, also when it proves the account again.
    for browser in [&mut laptop, &mut phone.clone()] {
        let event = proving(browser, "u7", purchase(&format!("later-{}", browser.address[3]), &format!("L-{}", browser.address[3]), 1.0));
        shop.visit(browser, event);
    }
    shop.catch_up();
    let later = shop.all();
    assert_eq!(later.len(), 2, "a decision outlasts another proof");
    assert!(later.iter().all(|(_, view)| view["traits"]["orders"] == 2));
    shop.decide(strand, false);
    let joined = shop.all();
    assert_eq!(joined.len(), 1);
    assert_eq!((joined[0].0.as_str(), &joined[0].1["traits"]["orders"]), (id.as_str(), &json!(4)));
    let decided: Vec<&Value> =
        joined[0].1["parts"].as_array().unwrap().iter().flat_map(|part| part["decisions"].as_array()).flatten().collect();
    assert_eq!(decided.iter().map(|decision| decision["what"].as_str().unwrap()).collect::<Vec<_>>(), ["parted", "joined"]);
}

fn who_does_not_agree_has_none(shop: &Shop) {
    for purposes in [&[][..], &["analytics"], &["ads"], &["analytics", "ads"]] {
        let mut browser = Browser::new(9);
        shop.send(&mut browser, purposes, view_of(&format!("no-{purposes:?}")));
    }
    shop.catch_up();
    assert!(shop.all().is_empty());
    assert!(shop.profiles.store().unwrap().counts().unwrap().is_empty(), "not even a row");
    // Theirs alone is enough, without any other purpose.
    let mut browser = Browser::new(10);
    shop.send(&mut browser, &["profile"], view_of("yes"));
    shop.catch_up();
    assert_eq!(shop.all().len(), 1);
}

fn who_agrees_no_more_has_none_at_once(shop: &Shop) {
    let mut phone = customer(shop, 1, "u7");
    let mut laptop = customer(shop, 2, "u7");
    let mut other = customer(shop, 3, "u8");
    shop.catch_up();
    assert_eq!(shop.all().len(), 2);
    // They go on agreeing to analytics, and not to a profile.
    shop.send(&mut phone, &["analytics"], view_of("narrower"));
    let seen = shop.all();
    assert_eq!(seen.iter().map(|(_, view)| view["traits"]["orders"].as_u64().unwrap()).sum::<u64>(), 2, "before anything is removed");
    shop.catch_up();
    let store = shop.profiles.store().unwrap();
    assert_eq!(store.counts().unwrap().iter().map(|counts| counts.browsers).sum::<u64>(), 2, "no row is left of it");
    // And one withdraws altogether: their key dies.
    shop.send(&mut laptop, &[], view_of("withdraws"));
    assert_eq!(shop.all().len(), 1);
    shop.catch_up();
    assert_eq!(
        store.counts().unwrap().iter().map(|counts| (counts.browsers, counts.accounts, counts.events)).collect::<Vec<_>>(),
        [(1, 1, 2)]
    );
    // Whoever agrees again begins anew.
    shop.visit(&mut other, view_of("still-here"));
    shop.visit(&mut laptop, view_of("again"));
    shop.catch_up();
    let again = shop.all();
    assert_eq!(again.len(), 2);
    assert!(again.iter().any(|(_, view)| view["traits"]["orders"] == 0 && view["timeline"].as_array().unwrap().len() == 1));
}

fn what_is_past_its_time_leaves_the_timeline_alone(shop: &Shop) {
    customer(shop, 1, "u7");
    shop.catch_up();
    let before = shop.all().remove(0).1;
    // Views stay for 90 days, orders for longer.
    let then = shop.now.get();
    // A clock that was set far ahead, and is not believed yet, takes nothing away.
    shop.steady.store(false, Ordering::Relaxed);
    shop.now.set(then.plus(Duration::from_secs(500 * 24 * 60 * 60)));
    shop.catch_up();
    shop.now.set(then);
    assert_eq!(shop.all().remove(0).1, before);
    shop.steady.store(true, Ordering::Relaxed);
    shop.now.set(then.plus(Duration::from_secs(91 * 24 * 60 * 60)));
    shop.catch_up();
    let after = shop.all().remove(0).1;
    assert_eq!(after["traits"], before["traits"], "what is known stays");
    let names: Vec<&str> = after["timeline"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!((names, before["timeline"].as_array().unwrap().len()), (vec!["purchase"], 2));
    // Made again from what is left, where the log has none of it any more, and where it has it all still: the same.
    for log in [1, 0] {
        shop.profiles.store().unwrap().ask_again().unwrap();
        catch_up(&projector(&shop.line, log, &shop.profiles, &shop.steady), shop.now.get());
        assert_eq!(shop.all().remove(0).1["traits"], before["traits"]);
    }
    // When the consent's own time is over, nothing is left.
    shop.now.set(NOW.plus(Duration::from_secs(396 * 24 * 60 * 60)));
    shop.line.persons.destroy_expired(shop.now.get()).unwrap();
    shop.catch_up();
    assert!(shop.profiles.store().unwrap().counts().unwrap().is_empty());
}

fn orders_repetitions_and_restarts_leave_the_same(store: &dyn Fn() -> Box<dyn ProfileStore>) {
    let orders: [fn(&mut Vec<usize>); 3] = [|_| {}, |order| order.reverse(), |order| order.sort_by_key(|place| place * 7 % 11)];
    let shop = Shop::with(store(), PROFILE, orders.len() + 1);
    let mut browsers: Vec<Browser> = (1..=4).map(Browser::new).collect();
    browsers.iter_mut().for_each(|browser| shop.visit(browser, view_of(&format!("first-{}", browser.address[3]))));
    let mut sent = Vec::new();
    for (place, browser) in browsers.iter().enumerate() {
        let account = ["u7", "u8", "u7", "u9"][place];
        sent.push((browser.clone(), view_of(&format!("b-{place}"))));
        sent.push((browser.clone(), proving(browser, account, purchase(&format!("c-{place}"), &format!("A-{place}"), 12.34))));
        sent.push((browser.clone(), claiming("u8", view_of(&format!("d-{place}")))));
    }
    let at = shop.now.get().plus(Duration::from_secs(60));
    shop.now.set(at.plus(Duration::from_secs(60)));
    let mut results = Vec::new();
    for (number, muddle) in orders.iter().enumerate() {
        let log = number + 1;
        let mut order: Vec<usize> = (0..sent.len()).collect();
        muddle(&mut order);
        for place in order {
            let (browser, event) = &sent[place];
            let time = at.plus(Duration::from_secs(place as u64));
            shop.line.append(log, shop.line.receive(&request(browser, &["analytics", "profile"], event.clone()), time));
        }
        let profiles = Arc::new(Profiles::in_store(store(), ProfileSeals::new(Arc::clone(&shop.line.persons))));
        if number == 1 {
            // A place in the log that the log does not reach: it is an older one, put back. And one that was lost, so that all is read twice.
            for place in [1 << 40, 0] {
                let lost = Change { position: Some(Offset(place)), ..Change::default() };
                profiles.store().unwrap().write(&lost).unwrap();
                catch_up(&projector(&shop.line, log, &profiles, &shop.steady), shop.now.get());
                assert_eq!(all(&profiles, shop.rules(), shop.now.get()), results[0], "from {place} on");
            }
        }
        catch_up(&projector(&shop.line, log, &profiles, &shop.steady), shop.now.get());
        if number == 2 {
            profiles.store().unwrap().ask_again().unwrap();
        }
        catch_up(&projector(&shop.line, log, &profiles, &shop.steady), shop.now.get());
        results.push(all(&profiles, shop.rules(), shop.now.get()));
    }
    assert_eq!(results[0].len(), 3);
    assert_eq!(results[1], results[0], "backwards, read twice");
    assert_eq!(results[2], results[0], "muddled, and made again");
}

#[test]
fn a_site_without_the_document_has_no_profiles() {
    let shop = Shop::with(in_memory(), "", 1);
    customer(&shop, 1, "u7");
    assert_eq!(shop.projector.round(shop.now.get()).unwrap(), Round::Off);
    assert!(shop.profiles.store().unwrap().counts().unwrap().is_empty());
    assert_eq!(shop.profiles.store().unwrap().position().unwrap(), None);
}
