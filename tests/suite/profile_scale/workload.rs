//! Customers for the campaign: the same seed gives the same visits. They come one after the other, and come back, some of them very often; a third of
//! them have several devices; half have an account; some are told of by the shop's backend, by address and customer id; some buy.

use std::time::Duration;

use fastrand::Rng;
use firsthand::clock::Timestamp;

/// Events for each customer, on average.
pub(super) const EVENTS_EACH: u64 = 10;
/// Devices of one customer at most.
pub(super) const DEVICES_MAX: u64 = 4;
/// Events in one visit at most.
const VISIT_EVENTS_MAX: u64 = 20;
/// All of it happens in that time, so that nothing is past its time in a timeline (90 days).
const SPAN: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// Somebody's visit, on one device.
pub(super) struct Visit {
    pub(super) customer: u64,
    pub(super) device: u64,
    pub(super) at: Timestamp,
    /// How many events it has.
    pub(super) events: u64,
    /// Whether they have logged in, if that can be proven.
    pub(super) signed: bool,
    /// Whether the last event is a purchase.
    pub(super) buys: bool,
    /// Whether the shop's backend says what they are known by, if anything.
    pub(super) told: bool,
}

/// All visits.
pub(super) struct Workload {
    random: Rng,
    seed: u64,
    customers: u64,
    begun: u64,
    pub(super) events: u64,
    from: Timestamp,
}

/// What a customer is like. It depends on seed and number alone.
pub(super) struct Customer {
    pub(super) devices: u64,
    pub(super) has_account: bool,
    /// What the shop's backend says of them.
    pub(super) email: Option<String>,
    pub(super) crm: bool,
}

impl Customer {
    pub(super) fn of(seed: u64, number: u64) -> Self {
        let mut random = Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let devices = match random.u32(..100) {
            0..70 => 1,
            70..90 => 2,
            90..98 => 3,
            _ => DEVICES_MAX,
        };
        let has_account = random.u32(..100) < 50;
        let contact = random.u32(..100) < 40;
        let email = match random.u32(..1000) {
            _ if !contact => None,
            // The shop's own address, where somebody would give none: too many have it.
            0..5 => Some(String::from("counter@shop.example")),
            // A household's.
            5..40 => Some(format!("family-{}@mail.example", number / 2)),
            _ => Some(format!("customer-{number}@mail.example")),
        };
        Self { devices, has_account, crm: contact && random.bool(), email }
    }
}

impl Workload {
    pub(super) fn new(seed: u64, customers: u64, from: Timestamp) -> Self {
        Self { random: Rng::with_seed(seed), seed, customers, begun: 0, events: 0, from }
    }

    pub(super) const fn wanted(&self) -> u64 {
        self.customers * EVENTS_EACH
    }
}

impl Iterator for Workload {
    type Item = Visit;

    fn next(&mut self) -> Option<Visit> {
        let wanted = self.wanted();
        if self.events >= wanted {
            return None;
        }
        // New customers come evenly until nine tenths of all events have happened.
        let is_new = self.begun < self.customers && self.begun * EVENTS_EACH * 9 <= self.events * 10;
        let customer = if is_new {
            self.begun += 1;
            self.begun - 1
        } else {
            // Heavy-tailed: the first of n comes back as often as the root of n.
            let rank = self.random.f64();
            ((rank * rank * self.begun as f64) as u64).min(self.begun - 1)
        };
        let events = (1..VISIT_EVENTS_MAX).take_while(|_| self.random.u32(..3) > 0).count() as u64 + 1;
        let events = events.min(wanted - self.events);
        let device = if is_new { 0 } else { self.random.u64(..Customer::of(self.seed, customer).devices) };
        let passed = SPAN.as_millis() as u64 / wanted.max(1) * self.events;
        self.events += events;
        Some(Visit {
            customer,
            device,
            at: self.from.plus(Duration::from_millis(passed)),
            events,
            signed: self.random.bool(),
            buys: self.random.u32(..100) < 10,
            told: self.random.u32(..100) < 15,
        })
    }
}

#[test]
fn the_same_seed_gives_the_same_visits_as_many_as_are_asked_for_and_some_of_very_few() {
    let visits =
        |seed| Workload::new(seed, 2_000, Timestamp(0)).map(|visit| (visit.customer, visit.device, visit.events)).collect::<Vec<_>>();
    let once = visits(7);
    assert_eq!(once, visits(7));
    assert_ne!(once, visits(8));
    assert_eq!(once.iter().map(|visit| visit.2).sum::<u64>(), 20_000);
    let mut each = vec![0; 2_000];
    once.iter().for_each(|visit| each[visit.0 as usize] += visit.2);
    each.sort_unstable();
    assert!(each[0] > 0, "everybody comes");
    assert!(each[1_000] < 10 && each[1_999] > 100, "{} in the middle, {} at most", each[1_000], each[1_999]);
}
