//! What customers are known by beside cookie and account, on each store: proven by the backend it joins, in the order of the site's document; claimed by a
//! browser it joins nothing; shared by too many it is nobody's; and whatever order it is learnt in, the same profiles come out.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use firsthand::{
    clock::Timestamp,
    privacy::{
        identifiers::{Identifier, IdentifierKind},
        profiled::ProfileSeals,
    },
    profile::{Profiles, store::ProfileStore, view::ProfileView},
};
use memchr::memmem;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::{
    http_client::Request,
    installation::{Installation, SITE, file_destination},
    line::{Became, RawRequest},
    profiles::{Browser, Shop, all, catch_up, customer, projector, proving, purchase, request, view_of},
};

pub(crate) const KNOWN: &str = "
[site.profile]
traits = { plan = \"last\" }
[site.profile.identifiers]
account = { joins = true, most = 3 }
crm = { joins = true }
email = { joins = true, most = 3 }
phone = { joins = false }
";
const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// The cases that every store passes.
pub(crate) fn conform(store: &dyn Fn() -> Box<dyn ProfileStore>) {
    let shop = || Shop::with(store(), KNOWN, 2);
    one_address_in_two_browsers_is_one_profile(&shop());
    what_a_browser_claims_is_a_trait_of_its_own(&shop());
    what_too_many_have_joins_none(&shop());
    accounts_that_share_an_address_stay_two(&shop());
    a_join_by_any_identifier_can_be_undone(&shop());
    who_agrees_no_more_leaves_no_identifier(&shop());
    what_an_address_opens_is_certainly_its_holders(&shop());
    any_order_leaves_the_same(store);
}

/// What the shop's backend says of whoever has this browser.
pub(crate) fn told(browser: &Browser, id: &str, account: Option<&str>, traits: &Value) -> RawRequest {
    let mut call = json!({ "type": "identify", "messageId": id, "anonymousId": browser.value(), "traits": traits });
    if let Some(account) = account {
        call["userId"] = json!(account);
    }
    let mut request = RawRequest::beacon([203, 0, 113, 80].into(), call.to_string()).with("authorization", "Bearer fhk_of_the_shop");
    request.path = String::from("/keso/v1/events");
    request
}

fn tell(shop: &Shop, browser: &Browser, id: &str, account: Option<&str>, traits: &Value) {
    shop.now.set(shop.now.get().plus(MINUTE));
    shop.line.append(0, shop.line.receive(&told(browser, id, account, traits), shop.now.get()));
}

/// A browser that has visited, of whom the backend then says this.
fn known(shop: &Shop, number: u8, account: Option<&str>, traits: &Value) -> Browser {
    let mut browser = Browser::new(number);
    shop.visit(&mut browser, view_of(&format!("first-{number}")));
    tell(shop, &browser, &format!("told-{number}"), account, traits);
    browser
}

fn parts(view: &Value) -> usize {
    view["parts"].as_array().unwrap().len()
}

fn one_address_in_two_browsers_is_one_profile(shop: &Shop) {
    known(shop, 1, None, &json!({ "email": " Jane.Doe@Mail.Example", "phone": "+33 1 23 45 67 89" }));
    known(shop, 2, None, &json!({ "email": "jane.doe@mail.example" }));
    // The same number, which joins nothing here; and another spelling that a provider might take for the same, and we do not.
    known(shop, 3, None, &json!({ "email": "janedoe@mail.example", "phone": "0033123456789" }));
    shop.catch_up();
    let all = shop.all();
    assert_eq!(all.iter().map(|(_, view)| parts(view)).collect::<BTreeSet<_>>(), [1, 2].into(), "{all:#?}");
    let (id, both) = all.iter().find(|(_, view)| parts(view) == 2).unwrap();
    assert_eq!(both["joined_by"], "proven_email");
    for part in both["parts"].as_array().unwrap() {
        let proof = part["known_by"].as_array().unwrap().iter().find(|known| known["identifier"] == json!(format!("email {id}"))).unwrap();
        let meant =
            both["timeline"].as_array().unwrap().iter().find(|event| event["event"] == proof["event"]).expect("the event that proved it");
        assert_eq!((&meant["name"], &proof["rule"], &proof["source"]), (&json!("custom"), &json!("proven_email"), &json!("server")));
        assert_eq!(shop.view(part["id"].as_str().unwrap()).unwrap().id, *id);
    }
    assert_eq!(shop.view(id).unwrap().id, *id);
    let store = shop.profiles.store().unwrap();
    let joined = shop.profiles.joined(&shop.profiles.named(shop.rules().site(), id).unwrap().unwrap(), shop.rules()).unwrap();
    let mut known_by: BTreeSet<Identifier> = joined.strands.iter().flat_map(|strand| store.identifiers(strand).unwrap()).collect();
    assert_eq!(known_by.len(), 2);
    joined.retain_their_own(&mut known_by);
    assert_eq!(known_by.iter().map(|known| known.kind).collect::<Vec<_>>(), [IdentifierKind::Email], "the number is another one's, too");
    let text = serde_json::to_string(&all).unwrap();
    for clear in ["mail.example", "23456789", "jane"] {
        assert!(!text.contains(clear), "{clear}");
    }
}

fn what_a_browser_claims_is_a_trait_of_its_own(shop: &Shop) {
    let hers = known(shop, 1, Some("u7"), &json!({ "email": "jane@mail.example", "phone": "+33123456789", "crmId": "C-7" }));
    shop.catch_up();
    let before = shop.all();
    let mut stranger = Browser::new(66);
    let claims = json!({ "em": "jane@mail.example", "ph": "+33123456789", "crm": "C-7", "crmId": "C-7" });
    let claim = |event: Value| {
        let mut event = event;
        event["a"] = json!("u7");
        event["c"] = claims.clone();
        event
    };
    shop.visit(&mut stranger, claim(view_of("claims-1")));
    // A signature of another account's, with hers beside it, and hers for her own browser.
    let mut signed = proving(&stranger, "stranger", claim(purchase("claims-2", "A-1", 9_999.0)));
    signed["c"] = claims.clone();
    shop.visit(&mut stranger, signed);
    let replayed = proving(&hers, "u7", purchase("claims-3", "A-1", 9_999.0));
    shop.visit(&mut stranger, replayed);
    shop.catch_up();
    let after = shop.all();
    let theirs: Vec<_> = after.iter().filter(|(id, _)| *id == before[0].0).cloned().collect();
    assert_eq!(theirs, before, "nothing of hers is altered");
    let claimed: BTreeSet<&str> = after
        .iter()
        .filter(|(id, _)| *id != before[0].0)
        .flat_map(|(_, view)| view["traits"]["claimed_identifiers"].as_array().into_iter().flatten())
        .map(|met| met["name"].as_str().unwrap().split(' ').next().unwrap())
        .collect();
    assert_eq!(claimed, ["email", "phone"].into(), "of the stranger's own browser");
    assert!(
        after
            .iter()
            .filter(|(id, _)| *id != before[0].0)
            .all(|(_, view)| { view["parts"].as_array().unwrap().iter().all(|part| part.get("known_by").is_none()) })
    );
}

fn what_too_many_have_joins_none(shop: &Shop) {
    for number in 1..=3 {
        known(shop, number, None, &json!({ "email": "shop@mail.example" }));
    }
    shop.catch_up();
    assert_eq!(shop.all().len(), 1);
    let refused = || {
        let refused = shop.profiles.refused(shop.rules()).unwrap();
        refused.into_iter().find(|(rule, _)| rule.kind == IdentifierKind::Email).unwrap().1
    };
    assert_eq!(refused(), 0);
    known(shop, 4, None, &json!({ "email": "shop@mail.example" }));
    shop.catch_up();
    let all = shop.all();
    assert_eq!(all.len(), 4, "an address in more than three browsers is nobody's");
    assert!(all.iter().all(|(_, view)| view["shared_by_too_many"].as_array().unwrap().len() == 1 && view["joined_by"] == "one_browser"));
    assert_eq!(refused(), 1);
}

fn accounts_that_share_an_address_stay_two(shop: &Shop) {
    let household = json!({ "email": "family@mail.example" });
    known(shop, 1, Some("anna"), &household);
    known(shop, 2, Some("bert"), &household);
    shop.catch_up();
    let all = shop.all();
    assert_eq!(all.len(), 2, "an account counts more than an address");
    assert!(all.iter().all(|(_, view)| view["joined_by"] == "proven_account" && view["told_apart"].as_array().unwrap().len() == 1));
    // Whose a third browser is that has the address alone nobody knows.
    known(shop, 3, None, &household);
    shop.catch_up();
    assert_eq!(shop.all().len(), 3);
    // What counts less than the account still joins what has none, and one id of the customer system does where the accounts agree.
    known(shop, 4, None, &json!({ "email": "anna@mail.example" }));
    known(shop, 5, Some("anna"), &json!({ "email": "anna@mail.example", "crmId": "C-1" }));
    shop.catch_up();
    let all = shop.all();
    assert_eq!(all.len(), 3);
    assert!(all.iter().any(|(_, view)| parts(view) >= 3));
}

fn a_join_by_any_identifier_can_be_undone(shop: &Shop) {
    let first = known(shop, 1, None, &json!({ "email": "jane@mail.example" }));
    let second = known(shop, 2, None, &json!({ "email": "jane@mail.example" }));
    shop.catch_up();
    let merged = shop.all();
    assert_eq!(merged.len(), 1);
    let part = merged[0].1["parts"][1]["id"].as_str().unwrap().to_owned();
    let strand = shop.profiles.holder(shop.rules().site(), &part).unwrap().expect("a browser without an account can be parted, too");
    shop.decide(strand, true);
    let parted = shop.all();
    assert_eq!(parted.len(), 2);
    for (number, browser) in [first, second].iter().enumerate() {
        tell(shop, browser, &format!("again-{number}"), None, &json!({ "email": "JANE@mail.example" }));
        shop.visit(&mut browser.clone(), purchase(&format!("later-{number}"), &format!("L-{number}"), 1.0));
    }
    shop.catch_up();
    let later = shop.all();
    assert_eq!(later.len(), 2, "a decision outlasts another proof");
    assert!(later.iter().all(|(_, view)| view["traits"]["orders"] == 1));
    shop.decide(strand, false);
    let joined = shop.all();
    assert_eq!((joined.len(), joined[0].0.as_str()), (1, merged[0].0.as_str()));
    assert_eq!(joined[0].1["traits"]["orders"], 2);
}

fn who_agrees_no_more_leaves_no_identifier(shop: &Shop) {
    let mut first = known(shop, 1, None, &json!({ "email": "jane@mail.example" }));
    known(shop, 2, None, &json!({ "email": "jane@mail.example" }));
    shop.catch_up();
    let id = shop.all()[0].0.clone();
    shop.send(&mut first, &["analytics"], view_of("narrower"));
    shop.catch_up();
    let all = shop.all();
    assert_eq!((all.len(), parts(&all[0].1)), (1, 1));
    assert_eq!(all[0].0, id, "the other one's still");
    shop.now.set(shop.now.get().plus(std::time::Duration::from_secs(396 * 24 * 60 * 60)));
    shop.line.persons.destroy_expired(shop.now.get()).unwrap();
    shop.catch_up();
    assert!(shop.view(&id).is_none());
}

/// The identifier of a kind that the profile's parts are known by.
fn identifier_of(view: &Value, kind: &str) -> Identifier {
    let known = view["parts"].as_array().unwrap().iter().flat_map(|part| part["known_by"].as_array().into_iter().flatten());
    let of_kind = known.filter_map(|known| known["identifier"].as_str()).find(|said| said.starts_with(kind));
    serde_json::from_value(json!(of_kind.expect("one of that kind"))).unwrap()
}

fn what_an_address_opens_is_certainly_its_holders(shop: &Shop) {
    let opened = |identifier: &Identifier| shop.profiles.of_address(shop.rules(), identifier, shop.now.get()).unwrap();
    let holders = |identifier: &Identifier| shop.profiles.parts_of_identifier(shop.rules().site(), identifier).unwrap().len();
    // Alone, with a number that joins nothing here and so opens nothing.
    let jane = known(shop, 1, Some("jane"), &json!({ "email": "jane@mail.example", "phone": "+33123456789" }));
    shop.catch_up();
    let view = shop.all().remove(0).1;
    let (address, phone) = (identifier_of(&view, "email"), identifier_of(&view, "phone"));
    let own = opened(&address).expect("hers");
    assert_eq!((own.people.len(), own.shared, own.restricted), (1, false, false));
    assert!(own.known_by.contains(&address) && own.known_by.contains(&phone));
    assert!(opened(&phone).is_none());

    // Another account in her browser: she sees what is hers, and what others would lose with it is no part of what goes.
    let seen = proving(&jane, "bert", view_of("bert-1"));
    shop.visit(&mut jane.clone(), seen);
    shop.catch_up();
    let own = opened(&address).expect("hers still");
    assert_eq!((own.people.len(), own.shared), (0, true));
    assert_eq!(own.known_by, [address].into(), "the number rests with a part that stays");

    // Parted: somebody has said that it is not the address's.
    let part = shop.profiles.parts_of_identifier(shop.rules().site(), &address).unwrap().remove(0).0;
    shop.decide(part, true);
    assert!(opened(&address).is_none());
    shop.decide(part, false);
    assert!(opened(&address).is_some());

    // Two people have it, whom it does not join: it opens neither's, and both are found by it.
    known(shop, 3, Some("carl"), &json!({ "email": "jane@mail.example" }));
    shop.catch_up();
    assert!(opened(&address).is_none());
    assert_eq!(holders(&address), 2);
}

/// What the backend says of browsers, and what was decided, in any order and repeated: the same profiles.
fn any_order_leaves_the_same(store: &dyn Fn() -> Box<dyn ProfileStore>) {
    const ORDERS: usize = 5;
    let shop = Shop::with(store(), KNOWN, ORDERS + 1);
    let mut browsers: Vec<Browser> = (1..=7).map(Browser::new).collect();
    browsers.iter_mut().for_each(|browser| shop.visit(browser, view_of(&format!("first-{}", browser.address[3]))));
    let said: [(usize, Option<&str>, Value); 14] = [
        (0, Some("u1"), json!({ "email": "one@mail.example" })),
        (1, Some("u1"), json!({})),
        (1, None, json!({ "email": "two@mail.example", "phone": "+331234567" })),
        (2, None, json!({ "email": "two@mail.example", "crmId": "C-2" })),
        (3, Some("u2"), json!({ "email": "one@mail.example" })),
        (3, Some("u3"), json!({})),
        (4, None, json!({ "crmId": "C-2" })),
        (5, Some("u4"), json!({ "email": "five@mail.example", "crmId": "C-4" })),
        (6, Some("u5"), json!({ "crmId": "C-4" })),
        (6, None, json!({ "email": "five@mail.example" })),
        (0, None, json!({ "email": "ONE@mail.example" })),
        (2, Some("u1"), json!({ "email": "three@mail.example" })),
        (5, None, json!({ "phone": "+331234567" })),
        (1, Some("u1"), json!({ "email": "one@mail.example" })),
    ];
    let at = shop.now.get().plus(MINUTE);
    let requests: Vec<(RawRequest, Timestamp)> = said
        .iter()
        .enumerate()
        .map(|(place, (browser, account, traits))| {
            let time = at.plus(std::time::Duration::from_secs(place as u64));
            (told(&browsers[*browser], &format!("said-{place}"), *account, traits), time)
        })
        .chain(browsers.iter().enumerate().map(|(place, browser)| {
            let event = purchase(&format!("buys-{place}"), &format!("A-{place}"), 7.5);
            (request(browser, &["analytics", "profile"], event), at.plus(MINUTE))
        }))
        .collect();
    shop.now.set(at.plus(MINUTE * 2));
    let now = shop.now.get();
    let mut results: Vec<Vec<(String, Value)>> = Vec::new();
    let mut apart = None;
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    for log in 1..=ORDERS {
        let mut order: Vec<usize> = (0..requests.len()).collect();
        if log > 1 {
            // Each of them, some twice, in a random order.
            order.extend((0..requests.len()).step_by(log));
            order = Just(order).prop_shuffle().new_tree(&mut runner).unwrap().current();
        }
        for place in order {
            let (request, time) = &requests[place];
            shop.line.append(log, shop.line.receive(request, *time));
        }
        let profiles = Arc::new(Profiles::in_store(store(), ProfileSeals::new(Arc::clone(&shop.line.persons))));
        catch_up(&projector(&shop.line, log, &profiles, &shop.steady), now);
        if log % 2 == 0 {
            profiles.store().unwrap().ask_again().unwrap();
            catch_up(&projector(&shop.line, log, &profiles, &shop.steady), now);
        }
        let straight = all(&profiles, shop.rules(), now);
        // Parted, and joined again: first in the first run, so that it is the same strand in each.
        let strand = *apart.get_or_insert_with(|| {
            let by_address = straight.iter().find(|(_, view)| view["joined_by"] == "proven_crm" && parts(view) > 1).expect("one of them");
            profiles.holder(shop.rules().site(), by_address.1["parts"][0]["id"].as_str().unwrap()).unwrap().expect("a strand")
        });
        let decide = |apart| {
            let decision = firsthand::profile::store::Decision { key: strand, apart, at: now, author: "anna".into(), reason: "why".into() };
            profiles.decide(&decision).unwrap();
        };
        decide(true);
        let parted = all(&profiles, shop.rules(), now);
        assert_ne!(parted.len(), straight.len());
        decide(false);
        let again = all(&profiles, shop.rules(), now);
        let bare = |all: &[(String, Value)]| {
            let mut all = all.to_vec();
            for part in all.iter_mut().flat_map(|(_, view)| view["parts"].as_array_mut().unwrap()) {
                part.as_object_mut().unwrap().remove("decisions");
            }
            all
        };
        assert_eq!(bare(&again), straight, "joined again it is as before");
        results.push(straight);
        results.push(bare(&parted));
    }
    for pair in results.chunks(2).skip(1) {
        assert_eq!(pair, &results[..2]);
    }
    let accounts = |(_, view): &(String, Value)| {
        let accounts = view["parts"].as_array().unwrap().iter().filter_map(|part| part["account"].as_str());
        accounts.map(str::to_owned).collect::<BTreeSet<_>>().len()
    };
    assert!(results[0].iter().all(|profile| accounts(profile) <= 1), "nobody has two accounts");
}

/// One address of a customer system, as it is looked for in files.
const ADDRESS: &str = "quartz.violet@mail.example";

#[test]
fn contacts_are_imported_with_their_consent_and_an_erasure_outlasts_the_next_import() {
    let documents = format!("{SITE}{KNOWN}") + &file_destination("customers", "consent", "consented-analytics");
    let installation = Installation::new(&documents);
    let server = installation.start();
    let run = |arguments: &[&str], input: &str| {
        use std::io::Write as _;
        let mut command = installation.command(arguments);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{arguments:?}: {printed}");
        printed
    };
    // Somebody who is there before, so that there are profiles.
    assert_eq!(server.send(&Request::beacon(json!({ "g": ["profile"], "e": [view_of("a")] }).to_string())).status, 204);
    let today = firsthand::clock::now();
    let day = |days: u64| today.minus(std::time::Duration::from_secs(days * 24 * 60 * 60)).rfc3339()[..10].to_owned();
    let (recent, old) = (day(30), day(500));
    let rows = format!(
        "crm;email;phone;plan;shoe size;consent;consent at\n\
         C-1;{ADDRESS};+33 1 23 45 67 89;gold;44;profile;{recent}\n\
         C-2;second@mail.example;;silver;;analytics, profile;{recent}\n\
         C-3;third@mail.example;;;;;{recent}\n\
         C-4;fourth@mail.example;;;;profile;\n\
         C-5;fifth@mail.example;;;;profile;{old}\n\
         ;no address;;;;profile;{recent}\n\
         C-6;short\n"
    );
    installation.write("contacts.csv", &rows);
    let import = |more: &[&str]| run(&[&["profile", "import"], more, &["contacts.csv"]].concat(), "");
    let dry = import(&["--dry-run"]);
    assert!(dry.starts_with("7 rows: 2 would be taken over as new, 0 would be known"), "{dry}");
    assert!(dry.contains("Nothing was kept"), "{dry}");
    let rests = |name: &str, what: &[u8]| fs::read(installation.data().join(name)).is_ok_and(|file| memmem::find(&file, what).is_some());
    let printed = import(&[]);
    for line in [
        "7 rows: 2 are taken over as new, 0 are known already",
        "2 are not taken over, since they say no consent to \"profile\", or not when it was given (rows 3, 4)",
        "1 are not taken over, since they say a consent that has ended (rows 5)",
        "1 are not taken over, since they name nobody",
        "1 are not taken over, since they cannot be read (rows 7)",
        "1 columns are not kept",
    ] {
        assert!(printed.contains(line), "{line} is not in {printed}");
    }
    let shown: Value = serde_json::from_str(&run(&["profile", "show", "--by", "email", "--json"], ADDRESS)).unwrap();
    assert_eq!(shown["joined_by"], "proven_crm");
    assert_eq!(shown["traits"]["own"]["plan"]["value"], "gold");
    assert_eq!(
        (&shown["traits"]["first_seen"], &shown["traits"]["visits"]),
        (&Value::Null, &json!(0)),
        "who is written down has not been here"
    );
    for (by, id) in [("phone", "0033123456789"), ("crm", "C-1")] {
        assert_eq!(serde_json::from_str::<Value>(&run(&["profile", "show", "--by", by, "--json"], id)).unwrap()["id"], shown["id"]);
    }
    let again = import(&[]);
    assert!(again.starts_with("7 rows: 0 are taken over as new, 2 are known"), "{again}");
    assert_eq!(serde_json::from_str::<Value>(&run(&["profile", "show", "--by", "email", "--json"], ADDRESS)).unwrap(), shown);
    assert!(run(&["proof", "verify"], "").contains("the chain is whole"));

    // What is handed out says all of it, and what a copy holds says none in the clear.
    run(&["person", "export", "--by", "email", "handed-out"], ADDRESS);
    let handed: Value = serde_json::from_slice(&fs::read(installation.path().join("handed-out/person.json")).unwrap()).unwrap();
    assert_eq!((&handed["profiles"][0]["traits"], &handed["profiles"][0]["parts"]), (&shown["traits"], &shown["parts"]));
    let copy = fs::read(installation.data().join("profiles.db")).unwrap();
    let keyed: Vec<Vec<u8>> = shown["parts"][0]["known_by"]
        .as_array()
        .unwrap()
        .iter()
        .map(|known| known["identifier"].as_str().unwrap().split_once(' ').unwrap().1)
        .map(|digits| (0..32).step_by(2).map(|place| u8::from_str_radix(&digits[place..place + 2], 16).unwrap()).collect())
        .collect();
    assert_eq!(keyed.len(), 3);
    let residue = |marks: &[Vec<u8>]| -> Vec<String> {
        let mut found = Vec::new();
        for file in files(&installation.data()) {
            let bytes = fs::read(&file).unwrap_or_default();
            found.extend(marks.iter().filter(|mark| memmem::find(&bytes, mark).is_some()).map(|_| file.display().to_string()));
        }
        found
    };
    assert!(!residue(&keyed).is_empty(), "the control: the keyed ids rest while they agree");
    assert!(memmem::find(&copy, ADDRESS.as_bytes()).is_none() && memmem::find(&copy, b"gold").is_none());

    let printed = run(&["person", "erase", "--by", "email", "--notice", "notice.json"], &ADDRESS.to_uppercase());
    assert!(printed.contains("Erased: the key of 1 browser"), "{printed}");
    let mut marks = keyed;
    marks.extend([ADDRESS.as_bytes().to_vec(), b"+33123456789".to_vec(), b"gold".to_vec()]);
    // Documents name no customer; what is left of them is nothing.
    assert_eq!(residue(&marks), Vec::<String>::new());
    assert!(run(&["profile", "show", "--by", "crm"], "C-1").contains("Nobody who agrees"));
    let after = import(&[]);
    assert!(after.starts_with("7 rows: 0 are taken over as new, 1 are known"), "{after}");
    assert!(
        after.contains("1 are not taken over, since they are of people who were erased or objected since they agreed (rows 1)"),
        "{after}"
    );
    // Whatever part of it the row names.
    installation.write("contacts.csv", &format!("phone,consent,consent_at\n+33 123456789,profile,{recent}\n"));
    assert!(import(&[]).starts_with("1 rows: 0 are taken over as new, 0 are known"));
    assert!(run(&["profile", "show", "--by", "phone"], "+33123456789").contains("Nobody who agrees"));
    assert!(!rests("profiles.db", b"gold"));
    assert!(server.stop().success());
    // Who agrees anew is somebody new: a consent that is later than the erasure.
    let later = today.plus(std::time::Duration::from_secs(3600)).rfc3339();
    installation.write("contacts.csv", &format!("email,consent,consent_at\n{ADDRESS},profile,{later}\n"));
    assert!(import(&[]).contains("say no consent"), "a consent of tomorrow is none");
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

#[test]
fn a_shop_without_the_list_keeps_no_identifier() {
    let store = || -> Box<dyn ProfileStore> {
        Box::new(firsthand::profile::sqlite::SqliteProfiles::open(Path::new(firsthand::state::IN_MEMORY)).unwrap())
    };
    let shop = Shop::new(store());
    let browser = customer(&shop, 1, "u7");
    let received = shop.line.receive(&told(&browser, "told", Some("u7"), &json!({ "email": "jane@mail.example" })), shop.now.get());
    let bodies: Vec<String> = received
        .events
        .iter()
        .filter_map(|became| match became {
            Became::Clean(clean) => Some(clean.body.to_string()),
            Became::Refused(_) => None,
        })
        .collect();
    assert!(bodies.len() == 1 && !bodies[0].contains("identifiers"), "{bodies:?}");
    shop.line.append(0, received);
    shop.catch_up();
    let view: ProfileView = shop.view(&shop.all()[0].0).unwrap();
    assert!(view.parts.iter().all(|part| part.known_by.is_empty()));
}
