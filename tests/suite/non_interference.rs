//! Non-interference: two requests that differ only in something that a destination may not see give it byte-identical disclosures. Both
//! are taken in by the same line with the same keys and appended to two logs, so that even the ids are the same; only where the address
//! itself differs, the day's token does by design, and with it the ids: there the rest is compared, and the ids looked into.
//!
//! `FIRSTHAND_SEED` (64 hexadecimal digits, printed on failure) repeats a run; `FIRSTHAND_PAIRS` is how many pairs a run compares.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use firsthand::{clock::Timestamp, event::Offset, protocol::PROTOCOLS};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use serde_json::{Value, json};

use crate::{
    installation::{SITE, file_destination},
    line::{Line, RawRequest, addresses},
};

/// Pairs in one run, half of them for each state of the visitor; a campaign compares a million.
const PAIRS: u32 = 10_000;
/// Fewer would not try every difference in both states.
const PAIRS_MIN: u32 = 1_000;
/// Every request comes in then: 2026-03-14T09:26:53.589Z.
const RECEIVED: Timestamp = Timestamp(1_773_480_413_589);
const FIVE_MINUTES: i64 = 5 * 60 * 1000;
/// The ids of a disclosure, which are functions of the day's token where there is no consent.
const IDS: [&str; 3] = ["event_id", "visitor_id", "session_id"];

/// Two TC strings that consent to what `analytics` needs, and to vendor 755: with vendors 1 and 2 besides, and with a third.
const STRINGS: [&str; 2] = [
    "CQg2bYAQg2bYAEsABBFRB4FgAIGAAEPgAAqIF5wAoAAgAEAvMAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA",
    "CQg2bYAQg2bYAEsABBFRB4FgAIGAAEPgAAqIF5wAoAAgAGAvMAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA",
];

/// What a disclosure may have, whoever gets it.
const ALWAYS: [&str; 14] = [
    "bot",
    "consent",
    "country",
    "device",
    "event_id",
    "language",
    "name",
    "page",
    "policy_version",
    "properties",
    "screen",
    "site",
    "time",
    "visitor_id",
];
const MEASUREMENT: [&str; 1] = ["session_id"];
const CONSENTED: [&str; 12] = [
    "campaign",
    "coupon",
    "currency",
    "items",
    "referrer_host",
    "referrer_kind",
    "referrer_page",
    "session_id",
    "shipping",
    "tax",
    "transaction_id",
    "value",
];

/// One thing that a sender says and a destination may not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    AddressInTheSameCountry,
    AddressInTheSameNetwork,
    UserAgentOfTheSameClass,
    OtherCookies,
    OtherHeaders,
    QueryParameters,
    Fragment,
    Title,
    UserId,
    EmailInThePath,
    NumberInThePath,
    UnlistedProperty,
    UnlistedName,
    UnknownField,
    LanguageRegion,
    WidthInTheSameClass,
    ConsentToOtherVendors,
    // The following are seen by a destination with consent.
    Referrer,
    Campaign,
    Money,
    OrderId,
    Coupon,
    Products,
    TimeInTheSameStep,
}

impl Difference {
    const ALL: [Self; 24] = [
        Self::AddressInTheSameCountry,
        Self::AddressInTheSameNetwork,
        Self::UserAgentOfTheSameClass,
        Self::OtherCookies,
        Self::OtherHeaders,
        Self::QueryParameters,
        Self::Fragment,
        Self::Title,
        Self::UserId,
        Self::EmailInThePath,
        Self::NumberInThePath,
        Self::UnlistedProperty,
        Self::UnlistedName,
        Self::UnknownField,
        Self::LanguageRegion,
        Self::WidthInTheSameClass,
        Self::ConsentToOtherVendors,
        Self::Referrer,
        Self::Campaign,
        Self::Money,
        Self::OrderId,
        Self::Coupon,
        Self::Products,
        Self::TimeInTheSameStep,
    ];

    /// Whether a destination that has the visitor's consent may see it.
    fn seen_with_consent(self) -> bool {
        self >= Self::Referrer
    }
}

/// What a sender says. What a [`Difference`] is about is said in two ways.
#[derive(Clone, Debug)]
struct Said {
    difference: Difference,
    path: Vec<&'static str>,
    name: &'static str,
    properties: BTreeMap<&'static str, Value>,
    minutes_ago: i64,
    language: &'static str,
    screen: i64,
    country: &'static str,
    /// Two words in the two ways; both are said as they are.
    one: String,
    other: String,
}

fn said() -> impl Strategy<Value = Said> {
    let properties =
        (proptest::option::of(select(vec!["pro", "basic"])), proptest::option::of(0..1_000i32), proptest::option::of(any::<bool>()))
            .prop_map(|(plan, number, gift)| {
                let mut listed = BTreeMap::new();
                listed.extend(plan.map(|plan| ("plan", json!(plan))));
                listed.extend(number.map(|number| ("number", json!(number))));
                listed.extend(gift.map(|gift| ("gift", json!(gift))));
                listed
            });
    let words = ("[a-zA-Z0-9äß ._-]{1,24}", "[a-zA-Z0-9äß ._-]{1,24}").prop_filter("two ways", |(one, other)| one != other);
    (
        select(Difference::ALL.to_vec()),
        prop::collection::vec(select(vec!["products", "red-shoes", "blog", "über-uns", "en"]), 0..4),
        select(vec!["page_view", "purchase", "newsletter_opened", "click"]),
        properties,
        1..3_000i64,
        select(vec!["fr", "de", "en"]),
        select(vec![320i64, 600, 800, 1000, 1300, 1700]),
        select(vec!["FR", "DE", "BR", "JP"]),
        words,
    )
        .prop_map(|(difference, path, name, properties, minutes_ago, language, screen, country, (one, other))| Said {
            difference,
            path,
            name,
            properties,
            minutes_ago,
            language,
            screen,
            country,
            one,
            other,
        })
}

impl Said {
    /// The request that says it with `mark` in every place where nobody may look, but that the place of the difference is filled in the
    /// way that `first` says.
    fn request(&self, first: bool, number: u64, state: &State) -> (RawRequest, IpAddr) {
        let word = |of: Difference| if first || of != self.difference { &self.one } else { &self.other };
        let way = |of: Difference| usize::from(!(first || of != self.difference));
        let letters = |of: Difference| {
            let hexadecimal: String = word(of).bytes().map(|byte| format!("{byte:02x}")).collect();
            hexadecimal
        };
        let digits = |of: Difference| word(of).bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()) % 100_000_000);
        let address: IpAddr = match (self.difference, self.country) {
            (Difference::AddressInTheSameNetwork, _) => {
                format!("2001:db8:9a1:7::{:x}", digits(Difference::AddressInTheSameNetwork) % 65_535 + 1)
            }
            (_, "FR") => format!("192.0.2.{}", 41 + 7 * way(Difference::AddressInTheSameCountry)),
            (_, "DE") => format!("198.51.100.{}", 17 + 100 * way(Difference::AddressInTheSameCountry)),
            (_, "BR") => format!("203.0.113.{}", 98 + way(Difference::AddressInTheSameCountry)),
            _ => format!("2001:db8:9a1:{:x}::5", 1 + way(Difference::AddressInTheSameCountry)),
        }
        .parse()
        .unwrap();
        let agent = format!(
            "Mozilla/5.0 (X11; Linux x86_64; {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.{}.0.0 Safari/537.36",
            letters(Difference::UserAgentOfTheSameClass),
            digits(Difference::UserAgentOfTheSameClass) % 10
        );
        let mut path: Vec<String> = self.path.iter().map(|word| (*word).to_owned()).collect();
        path.push(format!("{}@mail.example", letters(Difference::EmailInThePath)));
        path.push(format!("{}", digits(Difference::NumberInThePath)));
        let url = format!(
            "https://www.shop.example/{}?q={}&utm_source={}#{}",
            path.join("/"),
            letters(Difference::QueryParameters),
            ["newsletter", "partner"][way(Difference::Campaign)],
            letters(Difference::Fragment)
        );
        let mut properties = serde_json::Map::new();
        properties.insert(format!("own-{}", letters(Difference::UnlistedProperty)), json!(word(Difference::UnlistedProperty)));
        properties.extend(self.properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let unlisted = self.difference == Difference::UnlistedName;
        let within = [10, FIVE_MINUTES - 10][way(Difference::TimeInTheSameStep)];
        let happened = (RECEIVED.0 - self.minutes_ago * 60_000).div_euclid(FIVE_MINUTES) * FIVE_MINUTES - FIVE_MINUTES + within;
        let event = json!({
            "k": if unlisted { format!("x{}", letters(Difference::UnlistedName)) } else { self.name.to_owned() },
            "i": format!("event-{number}"),
            "t": happened,
            "p": url,
            "r": format!("https://{}.example/{}", ["one", "two"][way(Difference::Referrer)], letters(Difference::Referrer)),
            "n": word(Difference::Title),
            "a": word(Difference::UserId),
            "v": digits(Difference::Money) % 1000,
            "m": (["EUR", "USD"][way(Difference::Money)]),
            "tx": digits(Difference::Money) % 100,
            "sh": digits(Difference::Money) % 10,
            "x": letters(Difference::OrderId),
            "cp": (["SPRING", "AUTUMN"][way(Difference::Coupon)]),
            "y": [{ "id": "bowl", "name": (["Bowl", "Jug"][way(Difference::Products)]), "price": 3 + way(Difference::Products), "of": word(Difference::Products) }],
            "l": format!("{}-{}", self.language, ["CH", "LU"][way(Difference::LanguageRegion)]),
            "w": self.screen + i64::try_from(way(Difference::WidthInTheSameClass)).unwrap(),
            "d": properties,
            (format!("unknown{}", letters(Difference::UnknownField))): { "deep": [word(Difference::UnknownField)] },
        });
        let mut body = json!({ "s": RECEIVED.0, "e": [event] });
        if state.cookie.is_some() {
            body["g"] = json!(["analytics"]);
            body["gt"] = json!(STRINGS[way(Difference::ConsentToOtherVendors)]);
        }
        let cookies = format!(
            "{}; session-{}={}",
            state.cookie.as_deref().unwrap_or("a=b"),
            letters(Difference::OtherCookies),
            letters(Difference::OtherCookies)
        );
        let request = RawRequest::beacon(address, body.to_string())
            .with("user-agent", &agent)
            .with("cookie", &cookies)
            .with("sec-ch-ua", &format!("\"Chromium\";v=\"142\", \"{}\";v=\"8\"", letters(Difference::OtherHeaders)))
            .with("referer", &format!("https://www.shop.example/{}", letters(Difference::OtherHeaders)))
            .with("authorization", &letters(Difference::OtherHeaders));
        (request, address)
    }
}

/// A line with two logs, and a visitor who has chosen or not.
struct State {
    line: Line,
    cookie: Option<String>,
}

impl State {
    fn new(granted: bool) -> Self {
        let documents = [
            SITE.to_owned(),
            file_destination("strict", "exempt_measurement", "strict"),
            file_destination("measurement", "exempt_measurement", "measurement"),
            file_destination("customers", "consent", "consented-analytics").replace("transform =", "tcf_vendor = 755\ntransform ="),
        ];
        let line = Line::new(&documents.concat(), 2);
        let cookie = granted.then(|| {
            let first = RawRequest::beacon("192.0.2.1".parse().unwrap(), r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#.into());
            let received = line.receive(&first, RECEIVED);
            received.cookies[0].split(';').next().unwrap().to_owned()
        });
        Self { line, cookie }
    }

    /// What each destination gets of a request that is appended to one of the logs.
    fn disclosures(&self, log: usize, request: &RawRequest) -> Vec<(String, String)> {
        let received = self.line.receive(request, RECEIVED);
        let offset = self.line.append(log, received).expect("the request became a record");
        let records = self.line.records(log, offset);
        assert_eq!(records.len(), 1);
        self.line.disclosures(&records[0], RECEIVED)
    }
}

#[test]
fn without_consent_forbidden_fields_do_not_interfere() {
    run(&State::new(false));
}

#[test]
fn with_consent_forbidden_fields_do_not_interfere() {
    run(&State::new(true));
}

fn run(state: &State) {
    let number = Cell::new(0);
    let tried = RefCell::new(BTreeSet::new());
    let pairs = std::env::var("FIRSTHAND_PAIRS").map_or(PAIRS, |pairs| pairs.parse().expect("FIRSTHAND_PAIRS is a number"));
    assert!(pairs >= PAIRS_MIN, "fewer than {PAIRS_MIN} pairs prove too little");
    check(pairs / 2, said(), |said| {
        number.set(number.get() + 1);
        tried.borrow_mut().insert(said.difference);
        compare(state, &said, number.get())
    });
    assert_eq!(tried.into_inner().len(), Difference::ALL.len(), "a difference was never tried");
}

fn compare(state: &State, said: &Said, number: u64) -> Result<(), TestCaseError> {
    let ((one, address), (other, other_address)) = (said.request(true, number, state), said.request(false, number, state));
    let same = one.body == other.body && one.headers == other.headers;
    prop_assume!(!same);
    let pairs = state.disclosures(0, &one).into_iter().zip(state.disclosures(1, &other));
    for ((destination, one), (_, other)) in pairs {
        let consented = destination == "customers";
        if consented && state.cookie.is_none() {
            prop_assert_eq!(&one, "withheld: no_consent");
        }
        if consented && said.difference.seen_with_consent() {
            continue;
        }
        prop_assert!(one.starts_with('{') || consented && state.cookie.is_none(), "nothing left for {}", destination);
        for text in [&one, &other] {
            only_allowed_fields(text, &destination)?;
        }
        if address == other_address || state.cookie.is_some() {
            prop_assert_eq!(one, other, "{} sees {:?}", destination, said.difference);
        } else {
            prop_assert_eq!(without_ids(&one), without_ids(&other), "{} sees {:?}", destination, said.difference);
            ids_hold_no_address(&one, address)?;
            ids_hold_no_address(&other, other_address)?;
        }
    }
    Ok(())
}

fn only_allowed_fields(disclosure: &str, destination: &str) -> Result<(), TestCaseError> {
    let Ok(Value::Object(fields)) = serde_json::from_str(disclosure) else {
        prop_assert!(disclosure.starts_with("withheld: "));
        return Ok(());
    };
    let more: &[&str] = match destination {
        "measurement" => &MEASUREMENT,
        "customers" => &CONSENTED,
        _ => &[],
    };
    for field in fields.keys() {
        prop_assert!(ALWAYS.contains(&field.as_str()) || more.contains(&field.as_str()), "{} sees {}", destination, field);
    }
    Ok(())
}

fn without_ids(disclosure: &str) -> Value {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(disclosure) else { return disclosure.into() };
    IDS.iter().for_each(|id| drop(fields.remove(*id)));
    fields.into()
}

/// The ids that are made from the address hold neither its bytes nor its text.
fn ids_hold_no_address(disclosure: &str, address: IpAddr) -> Result<(), TestCaseError> {
    let value: Value = serde_json::from_str(disclosure).unwrap_or_default();
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    };
    let hexadecimal: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    for id in IDS.iter().filter_map(|id| value[*id].as_str()) {
        let bare = id.replace('-', "");
        prop_assert!(!bare.contains(&hexadecimal) && !id.contains(&address.to_string()), "an id holds the address");
    }
    Ok(())
}

/// The comparison above must be able to fail: what a destination may see does interfere.
#[test]
fn allowed_fields_do_interfere() {
    let state = State::new(false);
    let base = Said {
        difference: Difference::Title,
        path: vec!["products"],
        name: "page_view",
        properties: BTreeMap::new(),
        minutes_ago: 30,
        language: "fr",
        screen: 1300,
        country: "FR",
        one: "a".into(),
        other: "b".into(),
    };
    let changed = [
        Said { path: vec!["blog"], ..base.clone() },
        Said { name: "click", ..base.clone() },
        Said { properties: BTreeMap::from([("plan", json!("pro"))]), ..base.clone() },
        Said { minutes_ago: 60, ..base.clone() },
        Said { language: "de", ..base.clone() },
        Said { screen: 320, ..base.clone() },
        Said { country: "BR", ..base.clone() },
    ];
    for (number, changed) in (0..).zip(changed) {
        let one = state.disclosures(0, &base.request(true, number, &state).0);
        let other = state.disclosures(1, &changed.request(true, number, &state).0);
        assert_ne!(without_ids(of(&one, "strict")), without_ids(of(&other, "strict")), "{changed:?}");
    }
    let granted = State::new(true);
    for (number, difference) in (0..).zip(Difference::ALL.into_iter().filter(|difference| difference.seen_with_consent())) {
        let said = Said { difference, ..base.clone() };
        let one = granted.disclosures(0, &said.request(true, number, &granted).0);
        let other = granted.disclosures(1, &said.request(false, number, &granted).0);
        assert_ne!(of(&one, "customers"), of(&other, "customers"), "{difference:?}");
    }
}

fn of<'d>(disclosures: &'d [(String, String)], destination: &str) -> &'d str {
    disclosures.iter().find(|(name, _)| name == destination).map(|(_, text)| text.as_str()).unwrap()
}

#[test]
fn decoding_never_panics() {
    let json = prop::string::string_regex(r#"[\[\]{}:,"0-9a-z\\. -]{0,200}"#).unwrap();
    let bodies = prop_oneof![prop::collection::vec(any::<u8>(), 0..400), json.prop_map(String::into_bytes), almost_a_beacon()];
    let headers = prop::collection::vec(prop::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..40), 3);
    let line = State::new(false).line;
    let addresses = addresses();
    check(2_000, (bodies, headers), |(body, headers)| {
        let mut request = RawRequest::beacon("192.0.2.1".parse().unwrap(), String::new());
        request.body = body;
        for (name, value) in ["cookie", "user-agent", "accept-language"].into_iter().zip(headers) {
            request.headers.append(name, http::HeaderValue::from_bytes(&value).unwrap());
        }
        let inbound = request.inbound(&addresses, RECEIVED);
        for protocol in PROTOCOLS {
            let decoded = protocol.decode(&inbound, RECEIVED);
            prop_assert!(
                decoded.events.len() <= 50 && decoded.bad.iter().all(|(_, error)| error.byte.is_none_or(|byte| byte <= request.body.len()))
            );
        }
        // And the stages after it.
        line.receive(&request, RECEIVED);
        Ok(())
    });
    assert_eq!(line.records(0, Offset(0)).len(), 0);
}

/// Beacons with values of any kind and length in every place; some of them are addresses.
fn almost_a_beacon() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<String>().prop_map(|text| json!(text)),
        any::<String>().prop_map(|text| json!(format!("https://www.shop.example/{text}"))),
        Just(Value::Null),
    ];
    let keys = select(vec!["k", "i", "t", "p", "r", "n", "v", "m", "x", "tx", "sh", "cp", "y", "a", "l", "w", "d", "h", "zz"]);
    let event = prop::collection::btree_map(keys, leaf.clone(), 0..8).prop_map(|event| json!(event));
    let outer = prop::collection::btree_map(select(vec!["s", "g", "gx", "o"]), leaf, 0..3);
    (outer, prop::collection::vec(event, 0..4)).prop_map(|(outer, events)| {
        let mut body = json!(outer);
        body["e"] = json!(events);
        body.to_string().into_bytes()
    })
}

/// Runs a property on so many cases, from a seed that is printed when one fails.
fn check<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seed = seed();
    // A number made of one word may be that of the other; such a pair is drawn again.
    let config = Config { cases, failure_persistence: None, max_global_rejects: cases, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    if let Err(failure) = runner.run(&strategy, property) {
        let seed: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{failure}\nFIRSTHAND_SEED={seed} repeats it");
    }
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    match std::env::var("FIRSTHAND_SEED") {
        Ok(text) => {
            assert_eq!(text.len(), 64, "FIRSTHAND_SEED has 64 hexadecimal digits");
            for (byte, digits) in seed.iter_mut().zip(text.as_bytes().chunks(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
            }
        }
        Err(_) => getrandom::fill(&mut seed).unwrap(),
    }
    seed
}
