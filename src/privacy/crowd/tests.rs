//! Census, vocabulary and store together: what is counted on one day, and what may be said on the next.

use std::path::Path;

use super::{census::DayCrowds, rules::CROWD_MIN, *};
use crate::{
    privacy::enrich::device::{Browser, DeviceClass, Form, System},
    state::IN_MEMORY,
};

const SITE: SiteNumber = SiteNumber(1);

fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn tuple(browser: Browser, major: u16, country: &str) -> Tuple {
    Tuple {
        device: DeviceClass { browser, major, system: System::Windows, form: Form::Desktop },
        country: serde_json::from_value(country.into()).unwrap(),
        ..Tuple::NOTHING
    }
}

/// Counts so many visitors with one event each.
fn visit(census: &mut Census, visitors: std::ops::Range<u64>, tuple: Tuple, page: &str, rules: &CrowdRules) {
    for visitor in visitors {
        census.count(&Said { visitor: spread(visitor), tuple, page: Some(page), referrer: None }, rules);
    }
}

/// A day of a common browser and a rare one.
fn day(rules: &CrowdRules) -> DayCrowds {
    let mut census = Census::new(Epoch(1));
    visit(&mut census, 0..400, tuple(Browser::Chrome, 142, "FR"), "/shoes", rules);
    visit(&mut census, 400..403, tuple(Browser::Opera, 99, "FR"), "/hats", rules);
    census.crowds(rules, &Vocabulary::default())
}

#[test]
fn without_days_before_nothing_is_said() {
    let (rules, vocabulary) = (CrowdRules::default(), Vocabulary::of(&[], &CrowdRules::default()));
    assert_eq!(vocabulary.say(tuple(Browser::Chrome, 142, "FR"), &rules), Tuple::NOTHING);
    assert!(!vocabulary.has(WordKind::Page, "/shoes") && !vocabulary.has(WordKind::Place, "FR"));
    assert!(vocabulary.has(WordKind::Page, "/"), "every site has a front page");
}

#[test]
fn only_crowds_rest_and_are_said_the_next_day() {
    let rules = CrowdRules::default();
    let day = day(&rules);
    assert_eq!(day.visitors, 403);
    assert_eq!(day.cells.len(), 1);
    assert!(day.words.iter().flat_map(HashMap::values).all(|visitors| *visitors >= u64::from(CROWD_MIN)));
    let common = tuple(Browser::Chrome, 142, "FR");
    let vocabulary = Vocabulary::of(&[day], &rules);
    assert_eq!(vocabulary.say(common, &rules), common, "400 in a week are 57 on an average day: two crowds and more");
    assert_eq!(vocabulary.say(tuple(Browser::Opera, 99, "FR"), &rules), Tuple::NOTHING, "beside a crowd is not within it");
    assert!(vocabulary.has(WordKind::Page, "/shoes") && !vocabulary.has(WordKind::Page, "/hats"));
}

#[test]
fn a_cell_needs_two_crowds_on_an_average_day() {
    let rules = CrowdRules::default();
    let of = |visitors: u64| {
        Vocabulary::of(&[DayCrowds { cells: [(Tuple::NOTHING.without(Step::Place), visitors)].into(), ..DayCrowds::default() }], &rules)
    };
    assert!(!of(279).has_cell(&Tuple::NOTHING) && of(280).has_cell(&Tuple::NOTHING));
}

#[test]
fn a_place_needs_a_hundred_visitors_whatever_a_crowd_is() {
    let rules = CrowdRules::default();
    let of = |visitors: u64| {
        let mut census = Census::new(Epoch(1));
        visit(&mut census, 0..visitors, tuple(Browser::Chrome, 142, "LU"), "/", &rules);
        let day = census.crowds(&rules, &Vocabulary::default());
        // The same on seven days, so that the cell itself is no question.
        let days: Vec<_> =
            (0..7).map(|_| DayCrowds { visitors: day.visitors, cells: day.cells.clone(), words: day.words.clone() }).collect();
        Vocabulary::of(&days, &rules).say(tuple(Browser::Chrome, 142, "LU"), &rules)
    };
    assert_eq!(of(99), tuple(Browser::Chrome, 142, "ZZ"), "the device is a crowd's, the place is not");
    assert_eq!(of(100), tuple(Browser::Chrome, 142, "LU"));
}

#[test]
fn the_fewest_of_a_place_are_of_its_best_day_and_of_places_that_may_be_named() {
    let day = |places: &[(&str, u64)]| DayCrowds {
        words: [HashMap::new(), places.iter().map(|(place, visitors)| (Box::from(*place), *visitors)).collect(), HashMap::new()],
        ..DayCrowds::default()
    };
    let fewest = |days: &[DayCrowds]| Vocabulary::of(days, &CrowdRules::default()).size().fewest_in_place;
    assert_eq!(fewest(&[day(&[("FR", 900), ("LU", 120)]), day(&[("LU", 150), ("MC", 99), ("ZZ", 110)])]), Some(150));
    assert_eq!(fewest(&[day(&[("MC", 99), ("ZZ", 500)])]), None);
}

#[test]
fn a_visitor_of_many_events_is_one() {
    let rules = CrowdRules::default();
    let mut census = Census::new(Epoch(1));
    for _ in 0..1_000 {
        visit(&mut census, 0..19, tuple(Browser::Chrome, 142, "FR"), "/secret", &rules);
    }
    let day = census.crowds(&rules, &Vocabulary::default());
    assert_eq!((day.visitors, day.cells.len(), day.words[0].len()), (19, 0, 0));
}

#[test]
fn who_travels_stands_in_the_country_of_their_first_event_alone() {
    let rules = CrowdRules::default();
    let mut census = Census::new(Epoch(1));
    for country in ["FR", "BE"] {
        visit(&mut census, 0..150, tuple(Browser::Chrome, 142, country), "/", &rules);
    }
    let [_, places, _] = census.crowds(&rules, &Vocabulary::default()).words;
    assert_eq!(places, HashMap::from([(Box::from("FR"), 150)]));
}

#[test]
fn visitors_whose_cell_was_said_as_it_is_stand_for_nothing_coarser() {
    let rules = CrowdRules::default();
    let (known, vocabulary) = (tuple(Browser::Chrome, 142, "FR"), Vocabulary::of(&[day(&CrowdRules::default())], &rules));
    let mut quiet = Census::new(Epoch(2));
    visit(&mut quiet, 0..19, known, "/", &rules);
    visit(&mut quiet, 19..20, tuple(Browser::Chrome, 7, "FR"), "/", &rules);
    assert_eq!(quiet.crowds(&rules, &vocabulary).cells.len(), 0, "one of a rare version is not in company with nineteen of another");
    assert_eq!(quiet.crowds(&rules, &Vocabulary::default()).cells.values().sum::<u64>(), 20);
}

#[test]
fn a_flood_of_names_is_bounded_and_the_same_each_time() {
    let rules = CrowdRules::default();
    let flood = || {
        let mut census = Census::new(Epoch(1));
        visit(&mut census, 0..500, tuple(Browser::Chrome, 142, "FR"), "/shoes", &rules);
        for number in 0..40_000_u64 {
            let country = format!("{}{}", char::from(b'A' + (number % 26) as u8), char::from(b'A' + (number / 26 % 26) as u8));
            let rare = tuple(Browser::Firefox, (number % 399) as u16, &country);
            census.count(&Said { visitor: spread(1_000 + number), tuple: rare, page: Some(&format!("/{number}")), referrer: None }, &rules);
        }
        census
    };
    let (one, other) = (flood(), flood());
    assert!(one.size().0 <= 16_384 && one.size().1 <= 8_192, "{:?}", one.size());
    let (one, other) = (one.crowds(&rules, &Vocabulary::default()), other.crowds(&rules, &Vocabulary::default()));
    assert_eq!(one, other);
    assert_eq!(one.cells.get(&tuple(Browser::Chrome, 142, "FR")), Some(&500), "a flood displaces no crowd");
    assert_eq!(one.words[0].get("/shoes"), Some(&500));
}

#[test]
fn of_a_day_with_a_restart_the_part_with_more_visitors_rests() {
    let state = StateDb::open(Path::new(IN_MEMORY)).unwrap();
    let rules = CrowdRules::default();
    let write = |visitors: std::ops::Range<u64>| {
        let mut census = Census::new(Epoch(5));
        visit(&mut census, visitors, tuple(Browser::Chrome, 142, "FR"), "/shoes", &rules);
        let day = census.crowds(&rules, &Vocabulary::default());
        state.with(|connection| store::write(connection, SITE, Epoch(5), &day)).unwrap();
    };
    let rests = || state.with(|connection| store::window(connection, SITE, Epoch(6))).unwrap();
    write(0..19);
    assert_eq!(rests(), [], "of too few, nothing rests at all");
    write(0..200);
    write(0..150);
    let days = rests();
    assert_eq!((days.len(), days[0].visitors), (1, 200), "200 and 150 may be the same people");
    assert_eq!(days[0].words[0].get("/shoes"), Some(&200));
    state.with(|connection| store::forget_before(connection, SITE, Epoch(13))).unwrap();
    assert_eq!(rests(), []);
}

/// Draws of a made-up population with a long tail: the n-th commonest of anything is as likely as 1/n^s. Labelled synthetic wherever told.
struct Draw(u64);

impl Draw {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn rank(&mut self, of: usize, steepness: f64) -> usize {
        let total: f64 = (1..=of).map(|rank| (rank as f64).powf(-steepness)).sum();
        let mut left = self.uniform() * total;
        (1..of)
            .find(|rank| {
                left -= (*rank as f64).powf(-steepness);
                left < 0.0
            })
            .unwrap_or(of)
            - 1
    }

    fn tuple(&mut self) -> Tuple {
        use crate::privacy::enrich::{ScreenClass, language::Language};
        const BROWSERS: [Browser; 6] =
            [Browser::Chrome, Browser::Safari, Browser::Edge, Browser::Firefox, Browser::SamsungInternet, Browser::Opera];
        const SYSTEMS: [(System, Form); 7] = [
            (System::Windows, Form::Desktop),
            (System::Android, Form::Mobile),
            (System::Ios, Form::Mobile),
            (System::Macos, Form::Desktop),
            (System::Linux, Form::Desktop),
            (System::Ios, Form::Tablet),
            (System::ChromeOs, Form::Desktop),
        ];
        const PLACES: [(&str, &str); 12] = [
            ("FR", "fr"),
            ("DE", "de"),
            ("ES", "es"),
            ("IT", "it"),
            ("NL", "nl"),
            ("BE", "fr"),
            ("CH", "de"),
            ("PL", "pl"),
            ("SE", "sv"),
            ("LU", "lb"),
            ("MT", "mt"),
            ("IS", "is"),
        ];
        const SCREENS: [ScreenClass; 3] = [ScreenClass::Below576, ScreenClass::From1600, ScreenClass::Below1600];
        let (system, form) = SYSTEMS[self.rank(SYSTEMS.len(), 1.0)];
        let (country, language) = PLACES[self.rank(PLACES.len(), 1.5)];
        Tuple {
            device: DeviceClass { browser: BROWSERS[self.rank(BROWSERS.len(), 1.5)], major: 142 - self.rank(60, 2.0) as u16, system, form },
            country: serde_json::from_value(country.into()).unwrap(),
            language: Language::of(if self.uniform() < 0.9 { language } else { "en" }),
            screen: Some(SCREENS[self.rank(3, 0.5)]),
            referrer: ReferrerClass::None,
        }
    }
}

/// Eight days of so many visitors: of the eighth's events, the share in crowds, those outside the vocabulary, and the share in which
/// each thing was withheld.
fn week(visitors: u64) -> (f64, u64, Vec<(&'static str, f64)>) {
    let (rules, mut draw) = (CrowdRules::default(), Draw(visitors));
    let mut days: Vec<DayCrowds> = Vec::new();
    for epoch in 0..7 {
        let vocabulary = Vocabulary::of(&days, &rules);
        let mut census = Census::new(Epoch(epoch));
        (0..visitors).for_each(|visitor| visit(&mut census, visitor..visitor + 1, draw.tuple(), "/", &rules));
        days.push(census.crowds(&rules, &vocabulary));
    }
    let vocabulary = Vocabulary::of(&days, &rules);
    let (released, of) = (Released::default(), (SITE, DestinationNumber(1)));
    let mut outside = 0;
    for visitor in 0..visitors {
        let tuple = draw.tuple();
        let said = vocabulary.say(tuple, &rules);
        outside += u64::from(!vocabulary.has_cell(&said) && said != Tuple::NOTHING);
        let mut suppressed = Suppressed::default();
        Step::ALL.into_iter().for_each(|step| suppressed.steps[step as usize] = tuple.loses(step, &said));
        released.note(of, Epoch(7), spread(visitor), said, suppressed);
    }
    let day = released.day(of, Epoch(7), rules.crowd());
    let share = |events: u64| events as f64 / visitors as f64;
    (share(day.in_crowds), outside, day.suppressed.into_iter().map(|(name, events)| (name, share(events))).collect())
}

#[test]
fn of_a_long_tailed_population_nearly_everybody_leaves_in_a_crowd() {
    for visitors in [1_000, 10_000] {
        let (in_crowds, outside, suppressed) = week(visitors);
        println!("synthetic, {visitors} visitors a day: {:.2} % in crowds of 20, withheld {suppressed:.2?}", in_crowds * 100.0);
        assert_eq!(outside, 0, "nothing outside the vocabulary leaves");
        assert!(in_crowds >= 0.99, "{visitors}: {in_crowds}");
    }
    assert_eq!(week(1_000), week(1_000), "the same seed, the same figures");
}

#[test]
fn a_day_under_way_goes_on_in_the_process_that_takes_over() {
    let rules = CrowdRules::default();
    let mut census = Census::new(Epoch(1));
    visit(&mut census, 0..300, tuple(Browser::Chrome, 142, "FR"), "/shoes", &rules);
    visit(&mut census, 300..330, tuple(Browser::Opera, 99, "FR"), "/hats", &rules);
    let (before, after) = (Crowds::supposed(), Crowds::supposed());
    let open = SiteCensus { open: [census].into(), closed_before: Some(Epoch(1)) };
    lock(&before.censuses).insert(SITE, open);
    let mut written = Written::default();
    before.give(&mut written, usize::MAX);
    let mut unread = Unread::of(written.as_bytes(), Duration::ZERO);
    after.take(&mut unread).unwrap();
    unread.end().unwrap();
    let crowds = |of: &Crowds| {
        let mut censuses = lock(&of.censuses);
        let day = censuses.get_mut(&SITE).unwrap().open.front_mut().unwrap();
        // The same visitors once more, on the same pages: nobody is new.
        visit(day, 0..300, tuple(Browser::Chrome, 142, "FR"), "/shoes", &rules);
        day.crowds(&rules, &Vocabulary::default())
    };
    assert_eq!(crowds(&after), crowds(&before));
    assert_eq!(crowds(&after).visitors, 330);
    assert_eq!(lock(&after.censuses)[&SITE].closed_before, Some(Epoch(1)));

    let mut none = Written::default();
    before.give(&mut none, 100);
    assert_eq!(none.as_bytes(), [0], "what does not fit is left behind");
}
