//! The synthetic traffic is what it says it is: the same bytes for the same seed, and tails as heavy as the web's.

use std::collections::{HashMap, HashSet};

use firsthand::prove::traffic::{
    Traffic,
    persons::{Choice, Network},
};
use sha2::{Digest as _, Sha256};

const VISITORS: u32 = 10_000;

fn digest(seed: u64, visitors: u32) -> Vec<u8> {
    let traffic = Traffic::new(seed, visitors);
    let mut digest = Sha256::new();
    for beacon in traffic.day(0).chain(traffic.day(1)) {
        digest.update(format!("{} {} {} {} {}\n", beacon.at, beacon.address, beacon.user_agent, beacon.accept_language, beacon.body));
    }
    digest.finalize().to_vec()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert_eq!(digest(7, 300), digest(7, 300));
    assert_ne!(digest(7, 300), digest(8, 300));
}

#[test]
fn a_day_is_in_the_order_of_time_and_has_its_visitors() {
    let traffic = Traffic::new(7, 2_000);
    for day in 0..2 {
        let beacons: Vec<_> = traffic.day(day).collect();
        assert!(beacons.is_sorted_by_key(|beacon| beacon.at));
        let persons: HashSet<u32> = beacons.iter().map(|beacon| beacon.truth.person).collect();
        assert!((1_900..2_100).contains(&persons.len()), "{} visitors", persons.len());
        assert!(persons.iter().all(|person| *person < traffic.persons(2)));
    }
    let of = |day: u32| traffic.day(day).map(|beacon| beacon.truth.person).collect::<HashSet<_>>();
    let returning = of(0).intersection(&of(1)).count();
    assert!((150..350).contains(&returning), "{returning} of 2,000 come again on the next day");
}

#[test]
fn the_tails_are_heavy() {
    let traffic = Traffic::new(7, VISITORS);
    let mut persons = HashMap::new();
    let mut views: HashMap<(u32, u32), u32> = HashMap::new();
    let mut pages: HashMap<usize, u32> = HashMap::new();
    let mut events = 0_u32;
    for beacon in traffic.day(0) {
        events += 1;
        *views.entry((beacon.truth.person, beacon.truth.visit)).or_default() += 1;
        *pages.entry(beacon.truth.page).or_default() += 1;
        // An IPv6 network is one visitor's.
        let address = if beacon.address.is_ipv6() { format!("network {}", beacon.truth.person) } else { beacon.address.to_string() };
        persons.entry(beacon.truth.person).or_insert((beacon.user_agent, beacon.truth, address));
    }
    let all = persons.len() as f64;
    let count = |keys: Vec<String>| -> Vec<u32> {
        let mut counts: HashMap<String, u32> = HashMap::new();
        keys.into_iter().for_each(|key| *counts.entry(key).or_default() += 1);
        let mut counts: Vec<u32> = counts.into_values().collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        counts
    };
    let agents = count(persons.values().map(|(agent, ..)| agent.clone()).collect());
    let cities = count(persons.values().map(|(_, truth, _)| truth.city.to_string()).collect());
    let addresses = count(persons.values().map(|(.., address)| address.clone()).collect());
    let once = |counts: &[u32]| counts.iter().filter(|count| **count == 1).count() as f64;
    let share = |network: Network| persons.values().filter(|(_, truth, _)| truth.network == network).count() as f64 / all;
    let shared = addresses.iter().filter(|count| **count > 1).sum::<u32>();
    let mut lengths: Vec<u32> = views.into_values().collect();
    lengths.sort_unstable_by(|one, other| other.cmp(one));
    let top_visits: u32 = lengths.iter().take(lengths.len() / 100).sum();
    let top_page = pages.values().max().copied().unwrap_or(0);
    println!(
        "{all} visitors, {events} events, {:.2} views a visit; user agents: {} kinds, the first has {:.1} %, {:.1} % of the kinds are seen \
         once; cities: {} of which {:.1} % have one visitor; addresses: {:.1} % of the visitors share theirs, at most {} do; the longest \
         1 % of the visits have {:.1} % of the views; the first page has {:.1} %",
        f64::from(events) / lengths.len() as f64,
        agents.len(),
        f64::from(agents[0]) / all * 100.0,
        once(&agents) / agents.len() as f64 * 100.0,
        cities.len(),
        once(&cities) / cities.len() as f64 * 100.0,
        f64::from(shared) / all * 100.0,
        addresses[0],
        f64::from(top_visits) / f64::from(events) * 100.0,
        f64::from(top_page) / f64::from(events) * 100.0,
    );
    for network in [Network::Home, Network::Carrier, Network::Office, Network::DataCentre] {
        println!("{network:?}: {:.1} %", share(network) * 100.0);
        assert!(share(network) > 0.01);
    }
    assert!(f64::from(agents[0]) > 0.15 * all, "no user agent is frequent");
    assert!(once(&agents) > 0.4 * agents.len() as f64, "few user agents are seen once");
    assert!(once(&cities) > 0.1 * cities.len() as f64, "few cities have one visitor");
    assert!(f64::from(shared) > 0.2 * all && addresses[0] >= 100, "few share an address");
    assert!(f64::from(top_visits) > 0.08 * f64::from(events) && lengths[0] > 50, "no visit is long");
    assert!(lengths.iter().filter(|views| **views == 1).count() * 2 > lengths.len(), "most visits are one view");
    assert!(f64::from(top_page) > 0.1 * f64::from(events));
    for choice in [Choice::Granted, Choice::Refused, Choice::GlobalPrivacyControl, Choice::None] {
        assert!(persons.values().any(|(_, truth, _)| truth.choice == choice));
    }
}
