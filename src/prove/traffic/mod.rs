//! Synthetic traffic: days of visits to a made-up shop, as heavy-tailed as the web is, together with the truth about who sent what. It is
//! for measuring attacks and metrics, and a *method check* only: what it says of a figure holds for real visitors only as far as they are
//! like these. The same seed gives the same bytes.
//!
//! In the program for `prove --scoreboard`; tests use it from the library.
//!
//! | module | makes |
//! |---|---|
//! | `agents` | user agents and screens, counted on the web |
//! | `places` | countries, cities down to those with one visitor, and a place database of them |
//! | `persons` | who: network (home, phone behind a shared address, office, data centre), device, language, choice |
//! | `pages` | pages by template, of which few get most views, with what should not be in an address |

pub mod agents;
pub mod pages;
pub mod persons;
pub mod places;

use std::{cmp::Reverse, collections::BinaryHeap, net::IpAddr};

use fastrand::Rng;
use serde_json::json;

use self::{
    agents::Agents,
    pages::Pages,
    persons::{Choice, Network, Person},
    places::Places,
};

const SECONDS_OF_AN_HOUR: u32 = 60 * 60;
const HOURS_OF_A_DAY: u32 = 24;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Nobody looks at more pages in one visit.
const PAGES_MAX: u32 = 80;
/// The exponent of page views per visit: one view is the most frequent visit, and the mean is near three.
const PAGES_ALPHA: f64 = 1.5;
/// Another visit on the same day follows with this chance.
const ANOTHER_VISIT: f64 = 0.15;
const VISITS_MAX: u32 = 12;
/// Regular visitors come with this chance on any day; there are half as many of them as visitors a day, so that they make a quarter.
const REGULARS_CHANCE: f64 = 0.5;

/// A made-up site's visitors.
pub struct Traffic {
    seed: u64,
    visitors: u32,
    /// The site's pages, as a browser has them in front of a path.
    origin: String,
    /// What is asked for, and granted by those who say yes.
    purposes: Vec<String>,
    agents: Agents,
    pages: Pages,
    places: Places,
}

/// One request in the words of our own snippet, before any proxy has touched it.
pub struct Beacon {
    /// Milliseconds after the first day's midnight.
    pub at: i64,
    /// Where it came from, as the nearest proxy says it.
    pub address: IpAddr,
    /// The header.
    pub user_agent: String,
    /// The header.
    pub accept_language: String,
    /// Whether `Sec-GPC: 1` is sent.
    pub global_privacy_control: bool,
    /// What is posted.
    pub body: String,
    /// Who sent it.
    pub truth: Truth,
}

/// What no destination may find out.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    /// Who, as a number.
    pub person: u32,
    /// Which of the person's visits of the day.
    pub visit: u32,
    /// Which page, as an index of [`Pages`].
    pub page: usize,
    /// Index of the city.
    pub city: u32,
    /// Where the packets came from.
    pub network: Network,
    /// What was said.
    pub choice: Choice,
}

impl Traffic {
    /// About so many visitors a day.
    #[must_use]
    pub fn new(seed: u64, visitors: u32) -> Self {
        Self {
            seed,
            visitors,
            origin: String::from("https://www.shop.example"),
            purposes: vec![String::from("analytics")],
            agents: Agents::counted(),
            pages: Pages::new(seed),
            places: Places::new(),
        }
    }

    /// The same on another site's pages, where a yes is one to these purposes.
    #[must_use]
    pub fn on(self, origin: &str, purposes: &[&str]) -> Self {
        Self { origin: origin.to_owned(), purposes: purposes.iter().map(|purpose| (*purpose).to_owned()).collect(), ..self }
    }

    /// A day.
    #[must_use]
    pub const fn visitors(&self) -> u32 {
        self.visitors
    }

    /// What is viewed.
    #[must_use]
    pub const fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Where they are.
    #[must_use]
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// Persons have numbers below this, over so many days.
    #[must_use]
    pub const fn persons(&self, days: u32) -> u32 {
        self.regulars() + self.once() * days
    }

    const fn regulars(&self) -> u32 {
        self.visitors / 2
    }

    /// Visitors of one day alone.
    const fn once(&self) -> u32 {
        self.visitors - self.visitors / 4
    }

    /// One of them.
    #[must_use]
    pub fn person(&self, number: u32) -> Person {
        Person::new(self.seed, number, self.visitors, &self.agents, &self.places)
    }

    /// All beacons of a day, in the order of time. Holds the starts of one hour, and the visits under way.
    #[must_use]
    pub const fn day(&self, day: u32) -> Day<'_> {
        Day { traffic: self, day, hour: 0, starts: Vec::new(), under_way: BinaryHeap::new() }
    }

    /// Whose first visit of a day begins in an hour: (second of the day, person), the last first. Everybody is asked again for each hour,
    /// so that nobody has to be remembered.
    fn starts(&self, day: u32, hour: u32) -> Vec<(u32, u32)> {
        let regulars = (0..self.regulars()).filter(|person| self.random(&[1, day.into(), (*person).into()]).f64() < REGULARS_CHANCE);
        let first = self.regulars() + day * self.once();
        let mut starts: Vec<(u32, u32)> = regulars
            .chain(first..first + self.once())
            .map(|person| (start_of_visit(&mut self.random(&[2, day.into(), person.into()])), person))
            .filter(|(second, _)| second / SECONDS_OF_AN_HOUR == hour)
            .collect();
        starts.sort_unstable_by(|one, other| other.cmp(one));
        starts
    }

    fn random(&self, of: &[u64]) -> Rng {
        Rng::with_seed(mix(self.seed, of))
    }
}

/// One number out of several, for a generator of their own: what is made of one does not depend on the order in which others are made.
#[must_use]
pub fn mix(seed: u64, of: &[u64]) -> u64 {
    of.iter().fold(seed, |sum, number| {
        let mut mixed = (sum ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// A place in a list of `length`, the first ones far more often: the rank's frequency falls with its power of `exponent`, which is above 1.
pub fn zipf(random: &mut Rng, length: u32, exponent: f64) -> u32 {
    // The inverse of the continuous distribution, which is near enough.
    let last = f64::from(length).powf(1.0 - exponent);
    let rank = (1.0 - random.f64() * (1.0 - last)).powf(1.0 / (1.0 - exponent));
    (rank.floor() as u32).clamp(1, length) - 1
}

/// The second of the day: most come in the afternoon and evening, few at night.
fn start_of_visit(random: &mut Rng) -> u32 {
    let hours = (random.f64() + random.f64() + random.f64()) * 8.0 + 2.0;
    ((hours * 3600.0) as u32) % 82_800
}

/// One day's beacons.
pub struct Day<'t> {
    traffic: &'t Traffic,
    day: u32,
    /// The hour whose starts are not known yet.
    hour: u32,
    /// Whose visits have not begun, of the hour before that one.
    starts: Vec<(u32, u32)>,
    under_way: BinaryHeap<Reverse<Visit>>,
}

/// A visitor's next page view.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    at: i64,
    person: u32,
    visit: u32,
    view: u32,
    views: u32,
}

impl Iterator for Day<'_> {
    type Item = Beacon;

    fn next(&mut self) -> Option<Beacon> {
        while self.starts.is_empty() && self.hour < HOURS_OF_A_DAY {
            self.starts = self.traffic.starts(self.day, self.hour);
            self.hour += 1;
        }
        let soonest = self.under_way.peek().map(|Reverse(visit)| visit.at);
        if let Some((second, person)) = self.starts.last().copied()
            && soonest.is_none_or(|soonest| i64::from(second) * 1000 <= soonest)
        {
            self.starts.pop();
            let begun = self.begin(person, 0, i64::from(second) * 1000);
            self.under_way.push(Reverse(begun));
        }
        let Reverse(now) = self.under_way.pop()?;
        let person = self.traffic.person(now.person);
        let mut random = self.traffic.random(&[3, self.day.into(), now.person.into(), now.visit.into(), now.view.into()]);
        let beacon = self.beacon(&person, &now, &mut random);
        if let Some(next) = self.after(&person, now, &mut random).filter(|next| next.at < DAY_MS) {
            self.under_way.push(Reverse(next));
        }
        Some(beacon)
    }
}

impl Day<'_> {
    fn begin(&self, person: u32, visit: u32, at: i64) -> Visit {
        let mut random = self.traffic.random(&[4, self.day.into(), person.into(), visit.into()]);
        let views = (random.f64().max(1e-9).powf(-1.0 / PAGES_ALPHA) as u32).clamp(1, PAGES_MAX);
        // What crawls, crawls on.
        let views = if self.traffic.person(person).network == Network::DataCentre { views.max(20) } else { views };
        Visit { at, person, visit, view: 0, views }
    }

    fn after(&self, person: &Person, now: Visit, random: &mut Rng) -> Option<Visit> {
        if now.view + 1 < now.views {
            let gap = match person.network {
                Network::DataCentre => 2_000,
                _ => (5_000.0 * random.f64().max(1e-4).powf(-0.8)) as i64,
            };
            // A visit is over after half an hour without a word.
            return Some(Visit { at: now.at + gap.min(29 * 60_000), view: now.view + 1, ..now });
        }
        let again = now.visit + 1 < VISITS_MAX && random.f64() < ANOTHER_VISIT;
        again.then(|| self.begin(now.person, now.visit + 1, now.at + random.i64(35 * 60_000..6 * 3_600_000)))
    }

    fn beacon(&self, person: &Person, now: &Visit, random: &mut Rng) -> Beacon {
        let (page, url) = self.traffic.pages.view(&self.traffic.origin, person.number, random);
        let name = match random.u32(0..1000) {
            0..5 => "purchase",
            5..100 => "click",
            _ => "page_view",
        };
        let at = i64::from(self.day) * DAY_MS + now.at;
        let mut event = json!({
            "k": name, "i": format!("{:x}", mix(self.traffic.seed, &[5, self.day.into(), now.person.into(), now.visit.into(), now.view.into()])),
            "p": url, "n": format!("Page for visitor {}", person.number), "l": person.language, "w": person.screen,
        });
        if now.view == 0
            && let Some(referrer) = pages::referrer(random)
        {
            event["r"] = referrer.into();
        }
        let mut body = json!({ "e": [event] });
        match person.choice {
            Choice::Granted => body["g"] = json!(self.traffic.purposes),
            Choice::Refused => body["g"] = json!([]),
            Choice::None | Choice::GlobalPrivacyControl => {}
        }
        Beacon {
            at,
            address: person.address(random),
            user_agent: person.user_agent.clone(),
            accept_language: format!("{},en;q=0.5", person.language),
            global_privacy_control: person.choice == Choice::GlobalPrivacyControl,
            body: body.to_string(),
            truth: Truth {
                person: person.number,
                visit: now.visit,
                page,
                city: person.city,
                network: person.network,
                choice: person.choice,
            },
        }
    }
}
