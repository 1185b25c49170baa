//! The airlock on any words: whatever a page is called and whatever a sender puts into an event, nothing that looks like a person's is in
//! what rests. The marks are looked for here by plainer means than the detectors', so that a hole in those shows.
#![no_main]

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, LazyLock},
};

use arbitrary::Arbitrary;
use firsthand::{
    clock::Timestamp,
    documents::{
        Basis, Bots, Site,
        site::{Ceiling, Ceilings, Policy, PropertyKind, Recipient, SignalRules},
    },
    event::{DestinationNumber, PolicyVersion, Purposes, SiteNumber},
    privacy::{
        anonymise::anonymise,
        consent::{self, ConsentSignal, evidence::Evidence, proof::ConsentProof},
        crowd::rules::CrowdRules,
        enrich::{self, bot::Bot, device::DeviceClass, place::PlaceDatabase},
        keys::{database::KeysDb, persistent::PersistentKeys, person::PersonKeys},
        personal::Personal,
        policy::Allowed,
        purge_set::PurgeSet,
        raw::{Arrival, ClientAddress, OwnCookies, PropertyValue, RawEvent, Text},
        transform::Transform,
        visitor::{Sender, Visitors},
    },
    protocol::cookies::CookieNames,
    state::StateDb,
    supervise::Supervisor,
};
use http::HeaderMap;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::Runtime;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// From so many digits in a row on it is somebody's number.
const DIGITS_MAX: usize = 6;

/// What a sender says.
#[derive(Arbitrary, Debug, Default)]
struct Said<'a> {
    granted: bool,
    held: bool,
    name: &'a str,
    page_url: &'a str,
    referrer: &'a str,
    title: &'a str,
    client_id: &'a str,
    language: &'a str,
    user_agent: &'a str,
    word: &'a str,
    number: f64,
    currency: &'a str,
}

fuzz_target!(|said: Said<'_>| {
    let airlock = &*AIRLOCK;
    let signal =
        if said.granted { ConsentSignal::Given { purposes: Purposes::ANALYTICS, seconds_left: None } } else { ConsentSignal::Absent };
    let arrival = airlock.arrival(&said, signal);
    let decision = consent::decide(&arrival, &airlock.site.signals);
    let device = DeviceClass::of_arrival(&arrival);
    let (visitor, cookie) = airlock
        .runtime
        .block_on(airlock.visitors.identify(&arrival, decision, &device, &airlock.site, Sender::of("fuzz", &[]), NOW))
        .expect("the databases and the system give keys");
    assert!(cookie.is_none(), "the known person got a second cookie");
    let Ok(permitted) = consent::permit(event(&said), decision, &airlock.site) else { return };
    let enriched = enrich::enrich(permitted, &arrival, (device, Bot::NO_SIGN), &airlock.places);
    let key = airlock.persistent.site(airlock.site.number).expect("state.db gives a key");
    let clean = anonymise(enriched, &visitor, &airlock.site, &key, "native", NOW).expect("the system has randomness");
    check(&serde_json::to_value(&clean).expect("a clean event is JSON"));
});

fn text(said: &str) -> Option<Text<'_>> {
    Some(Personal::new(Cow::Borrowed(said)))
}

fn event<'a>(said: &Said<'a>) -> RawEvent<'a> {
    let property = |value| (Personal::new(Cow::Borrowed("kept")), Personal::new(value));
    RawEvent {
        name: text(said.name),
        client_id: text(said.client_id),
        page_url: text(said.page_url),
        page_title: text(said.title),
        referrer: text(said.referrer),
        currency: text(said.currency),
        language: text(said.language),
        value: Some(Personal::new(said.number)),
        properties: vec![property(PropertyValue::Text(Cow::Borrowed(said.word))), property(PropertyValue::Number(said.number))],
        vendor_fields: Vec::new(),
        held: said.held,
        ..RawEvent::default()
    }
}

/// No string of what rests has a mark of a person in it. (A shop's own order id is not scrubbed, and is not said here.)
fn check(value: &Value) {
    match value {
        Value::String(text) => text.split('/').for_each(check_piece),
        Value::Array(values) => values.iter().for_each(check),
        Value::Object(fields) => fields.values().for_each(check),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn check_piece(text: &str) {
    for mark in ['@', '＠', '=', '?', '#', '&', '\n', '\0'] {
        assert!(!text.contains(mark), "{mark:?} rests in {text:?}");
    }
    assert!(text.parse::<IpAddr>().is_err(), "an address rests: {text:?}");
    let longest = text.split(|character: char| !character.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    assert!(longest <= DIGITS_MAX, "a number rests: {text:?}");
    let encoded = |at: usize| text.as_bytes().get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    assert!(!text.match_indices('%').any(|(at, _)| encoded(at)), "something encoded rests: {text:?}");
}

static AIRLOCK: LazyLock<Airlock> = LazyLock::new(Airlock::open);

/// The airlock with one site, whose policy keeps one property, and one person who consented.
struct Airlock {
    runtime: Runtime,
    visitors: Visitors,
    persistent: Arc<PersistentKeys>,
    places: PlaceDatabase,
    site: Site,
    address: Personal<ClientAddress>,
    cookie: String,
    /// The databases' directory, removed at the end.
    _directory: tempfile::TempDir,
}

impl Airlock {
    fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory for the databases");
        let state = Arc::new(StateDb::open(&directory.path().join("state.db")).expect("state.db opens"));
        let keys = Arc::new(KeysDb::open(&directory.path().join("keys.db")).expect("keys.db opens"));
        let persistent = Arc::new(PersistentKeys::new(Arc::clone(&state)));
        let purge_set = Arc::new(PurgeSet::open(Arc::clone(&keys)).expect("the purge set opens"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let proof = Arc::new(ConsentProof::new(state));
        let visitors = Visitors::new(Supervisor::new(), Arc::clone(&persistent), Arc::new(PersonKeys::new(keys)), purge_set, proof);
        let address = Personal::new(ClientAddress::new(Ipv4Addr::new(192, 0, 2, 1).into()));
        let mut airlock = Self {
            runtime,
            visitors,
            persistent,
            places: PlaceDatabase::none(),
            site: site(),
            address,
            cookie: String::new(),
            _directory: directory,
        };
        airlock.cookie = airlock.make_person();
        airlock
    }

    /// Has a first visitor consent, and returns the value of the cookie that they got.
    fn make_person(&self) -> String {
        let arrival = self.arrival(&Said::default(), ConsentSignal::Given { purposes: Purposes::ANALYTICS, seconds_left: None });
        let device = DeviceClass::of_arrival(&arrival);
        let identify = self.visitors.identify(
            &arrival,
            consent::decide(&arrival, &self.site.signals),
            &device,
            &self.site,
            Sender::of("fuzz", &[]),
            NOW,
        );
        let (_, cookie) = self.runtime.block_on(identify).expect("the databases and the system give keys");
        let mut headers = HeaderMap::new();
        cookie.expect("a first visitor who consents gets a cookie").append_to(&mut headers);
        let header = headers.values().next().and_then(|value| value.to_str().ok()).expect("the cookie is a header");
        let value = header.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie has a value").1;
        value.to_owned()
    }

    fn arrival<'a>(&'a self, said: &Said<'a>, signal: ConsentSignal) -> Arrival<'a> {
        let mut own = OwnCookies::default();
        own.visitor.extend(text(&self.cookie));
        Arrival {
            address: &self.address,
            user_agent: text(said.user_agent),
            app: None,
            accept_language: text(said.language),
            brands: None,
            prefetched: false,
            own,
            matomo: consent::matomo::MatomoCookies::default(),
            global_privacy_control: false,
            do_not_track: false,
            signal,
            evidence: Evidence::default(),
            secure: true,
            received: NOW,
        }
    }
}

fn site() -> Site {
    let consented = Some(Ceiling::of(Transform::ConsentedAnalytics.breadth(), true));
    Site {
        number: SiteNumber(1),
        name: String::from("shop"),
        hosts: vec![String::from("www.shop.example")],
        prefix: String::from("/keso"),
        script: String::from("core.js"),
        global: String::from("fpw"),
        snippet: Default::default(),
        origins: BTreeSet::from([String::from("https://www.shop.example")]),
        page_hosts: vec![String::from("www.shop.example")],
        time_zone: TimeZone::UTC,
        cookies: CookieNames::new("w", None, &[]),
        signals: SignalRules::default(),
        policy: Arc::new(Policy {
            name: String::from("shop"),
            version: PolicyVersion(1),
            events: BTreeSet::new(),
            properties: [(String::from("kept"), PropertyKind::Word)].into(),
            vendor_fields: BTreeMap::new(),
            preset: None,
            deviations: Vec::new(),
            routes: Default::default(),
            crowd: CrowdRules::default(),
        }),
        keys: BTreeMap::new(),
        identify_secret: None,
        identified_by: Vec::new(),
        twin_wait: None,
        ceilings: Ceilings {
            unknown: Some(Ceiling::of(Transform::Strict.breadth(), false)),
            granted: [consented; 8],
            held: [consented; 8],
        },
        recipients: vec![Recipient {
            number: DestinationNumber(1),
            basis: Basis::Consent(Purposes::ANALYTICS),
            tcf_vendor: None,
            bots: Bots::All,
            allowed: Allowed::of(Transform::ConsentedAnalytics.breadth()),
        }],
    }
}
