//! The rows: what is wanted, what was found, pass or miss. A row that cannot be measured yet says why; to fill it in, give it a figure here.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use firsthand::{
    clock::Timestamp,
    prove::{scoreboard::statistics::rank_correlation, traffic::Traffic},
};

use super::{
    CUSTOMERS, FIRST_MIDNIGHT, HELD_BACK, HeldBack, LEARNING_DAYS, MEASURED_DAYS, MEASUREMENT, Measured, STRICT, detectors, memory,
    retention::Overdue,
};
use crate::{
    installation::{SITE, file_destination},
    line::{Line, RawRequest},
};

/// A crowd.
pub(super) const K: u32 = 20;
/// Visitors of a cell of places, within a week.
const K_PLACE: u32 = 100;
/// From so many visitors a day on, ids collide; below, there is none across page views.
pub(super) const COLLIDING_VISITORS_MIN: u32 = 6_800;
/// How many of the most viewed pages, and of the countries, are ranked.
const RANKED: usize = 50;
/// Of ids of 12 bits, the shortest that there are, one in 4,096 is the same again by chance; a few more among few.
const RECURRING_MAX: f64 = 0.005;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One row of the scoreboard.
pub(super) struct Row {
    pub(super) id: &'static str,
    what: &'static str,
    target: &'static str,
    pub(super) figure: String,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Miss,
    NotMeasured,
}

impl Row {
    pub(super) fn new(id: &'static str, what: &'static str, target: &'static str, figure: String, pass: bool) -> Self {
        Self { id, what, target, figure, verdict: if pass { Verdict::Pass } else { Verdict::Miss } }
    }

    fn not_measured(id: &'static str, what: &'static str, target: &'static str, why: &str) -> Self {
        Self { id, what, target, figure: why.to_owned(), verdict: Verdict::NotMeasured }
    }

    /// `None`: it was not measured.
    pub(super) fn passed(&self) -> Option<bool> {
        (self.verdict != Verdict::NotMeasured).then_some(self.verdict == Verdict::Pass)
    }
}

pub(super) fn of(measured: &Measured, traffic: &Traffic, overdue: &Overdue) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(linkage(measured));
    rows.extend(collision(measured));
    rows.extend(crowds(measured));
    rows.extend(detectors::rows());
    rows.push(parameters());
    rows.push(Row::new(
        "S20",
        "records past their time, with a turned clock",
        "0",
        format!("{} of {} looked at; {} had been dropped", overdue.overdue, overdue.looked_at, overdue.dropped),
        overdue.overdue == 0 && overdue.dropped > 0,
    ));
    rows.extend(cost(measured, traffic));
    const MEMORY: &str = "most memory of line and harness together; of it, the harness's own tables";
    let harness = measured.harness_bytes >> 20;
    rows.push(match memory::peak_mib() {
        Some(mib) => Row::new("memory", MEMORY, "< 256 MiB", format!("{mib} MiB; {harness} MiB"), mib < 256),
        None => Row::not_measured("memory", MEMORY, "< 256 MiB", "this system does not say"),
    });
    rows
}

/// S7 and S8: what an id links, within one destination and across two.
fn linkage(measured: &Measured) -> Vec<Row> {
    let [strict, exempt, customers] = &measured.destinations;
    let hours = |duration: Duration| duration.as_secs_f64() / 3600.0;
    let (longest, longest_exempt) = (strict.longest_link(), exempt.longest_link());
    let (same, returning) = strict.same_again();
    let matches = strict.ids_shared_with(exempt) + strict.ids_shared_with(customers) + exempt.ids_shared_with(customers);
    let followed: usize = measured.destinations.iter().map(|one| one.spans.len()).sum();
    let [precision, baseline] = strict.match_precision();
    vec![
        Row::new(
            "S7",
            "longest time between two events that share an id",
            "≤ 24 h",
            format!(
                "strict {:.1} h ({same} of {returning} have the same id the next day), measurement {:.1} h (customers, with consent: {:.1} h)",
                hours(longest),
                hours(longest_exempt),
                hours(customers.longest_link())
            ),
            longest <= DAY && longest_exempt <= DAY && same as f64 <= returning as f64 * RECURRING_MAX,
        ),
        Row::new("S8 ids", "ids that two destinations have in common", "0", format!("{matches} of {followed} followed"), matches == 0),
        Row::new(
            "S8 records",
            "records of two logs matched by everything but ids: precision",
            "≤ baseline + 5 points",
            format!("{:.1} %; by time and page alone {:.1} %", precision * 100.0, baseline * 100.0),
            precision <= baseline + 0.05,
        ),
    ]
}

/// S9: how many visitors share every id that leaves.
fn collision(measured: &Measured) -> Vec<Row> {
    let strict = &measured.destinations[STRICT];
    let linked = format!("{} of {} events have an id of an earlier event", strict.linked_events, strict.events);
    let (sharing, followed) = strict.last_day.sharing;
    let share = sharing as f64 / followed.max(1) as f64;
    let ids = if measured.expected < COLLIDING_VISITORS_MIN {
        Row::new("S9", "strict: ids across page views, below 6,800 visitors a day", "none", linked, strict.linked_events == 0)
    } else {
        let figure = format!("{:.1} % on the last day; {linked}", share * 100.0);
        Row::new("S9", "strict: visitors who share all their ids", "≥ 80 %", figure, share >= 0.8)
    };
    vec![
        ids,
        own_count(
            "S9 count",
            "our own estimates of visitors and of visits, before the collapse, against a second count of the same ids that is right to 0.1 %",
            "within 2.5 %",
            0.025,
            [(measured.counted.visitors, measured.given.visitors), (measured.counted.visits, measured.given.visits)],
        ),
        own_count(
            "S9 persons",
            "our own estimate of visitors against the persons of whom something was recorded: without a cookie, a visitor is an address and a kind of browser",
            "within 2.5 %",
            0.025,
            [(measured.counted.visitors, measured.captured[0] as u64)],
        ),
    ]
}

/// S10 and S11: how many look alike, and how many are in one place.
fn crowds(measured: &Measured) -> Vec<Row> {
    let figure = |index: usize| {
        let (share, below) = measured.destinations[index].crowds(K);
        (share, format!("{:.1} % ({below} of {} cells below)", share * 100.0, measured.destinations[index].last_day.cells.len()))
    };
    let ((strict, strict_text), (exempt, exempt_text)) = (figure(STRICT), figure(MEASUREMENT));
    let places = &measured.destinations[STRICT].countries;
    let of_the_week = |code: &str| measured.week_places.get(code).copied().unwrap_or(0);
    let small = places.keys().filter(|code| *code != "ZZ" && of_the_week(code) < K_PLACE).count();
    vec![
        Row::new(
            "S10",
            "events in cells of at least 20 visitors who look alike, last day, with crowds as they come (`live`)",
            "≥ 99 %",
            format!("strict {strict_text}, measurement {exempt_text}"),
            strict >= 0.99 && exempt >= 0.99,
        ),
        held_back(&measured.held),
        Row::new(
            "S11",
            "places that left with less than 100 visitors in the eight days (a country is the finest)",
            "0",
            format!("{small} of {}; no city leaves", places.len()),
            small == 0,
        ),
    ]
}

/// S10 at destinations that wait until an hour or a day is over.
fn held_back(held: &[HeldBack]) -> Row {
    let one = |name: &str, held: &HeldBack| {
        let telling = 100.0 * held.telling as f64 / held.events.max(1) as f64;
        format!(
            "{name} {} of {} cells in {} periods ({telling:.1} % of {} events say something)",
            held.below, held.cells, held.periods, held.events
        )
    };
    let texts: Vec<_> = HELD_BACK.iter().zip(held).map(|(name, held)| one(name, held)).collect();
    Row::new(
        "S10 held back",
        "cells of less than 20 visitors in an hour or a day, at a destination that waits until it is over; last day, what says nothing apart",
        "0 cells",
        texts.join("; "),
        held.iter().all(|held| held.below == 0 && held.periods > 0),
    )
}

/// Ids of clicks and persons that networks append to addresses. The names are facts; the values are told apart by their number.
const FOLLOWING: [&str; 78] = [
    "gclid",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "gad_source",
    "srsltid",
    "_gl",
    "_ga",
    "fbclid",
    "fb_action_ids",
    "fb_comment_id",
    "igsh",
    "igshid",
    "msclkid",
    "ttclid",
    "twclid",
    "li_fat_id",
    "yclid",
    "ysclid",
    "ymclid",
    "_openstat",
    "epik",
    "rdt_cid",
    "ScCid",
    "mc_eid",
    "mc_cid",
    "mc_tc",
    "mkt_tok",
    "_hsenc",
    "__hsfp",
    "__hssc",
    "__hstc",
    "hsCtaTracking",
    "vero_id",
    "vero_conv",
    "oly_anon_id",
    "oly_enc_id",
    "_kx",
    "ml_subscriber",
    "ml_subscriber_hash",
    "bsft_uid",
    "bsft_clkid",
    "bsft_eid",
    "bsft_mid",
    "bsft_aaid",
    "bsft_ek",
    "sfmc_id",
    "sfmc_activityid",
    "ss_email_id",
    "et_rid",
    "at_recipient_id",
    "at_recipient_list",
    "irclickid",
    "ir_adid",
    "ir_partnerid",
    "awc",
    "tduid",
    "sscid",
    "rb_clickid",
    "wickedid",
    "s_cid",
    "cuid",
    "_branch_match_id",
    "_branch_referrer",
    "gps_adid",
    "external_click_id",
    "unicorn_click_id",
    "pk_vid",
    "mtm_cid",
    "pk_cid",
    "admitad_uid",
    "famad_xuid",
    "sc_uid",
    "vgo_ee",
    "_bhlid",
    "bbeml",
    "mindbox-click-id",
];

/// S16: each name in the page's address, in the referrer's, in upper case and encoded; at every destination, also with consent.
fn parameters() -> Row {
    let documents = [
        SITE.to_owned(),
        file_destination("strict", "exempt_measurement", "strict"),
        file_destination("measurement", "exempt_measurement", "measurement"),
        file_destination("customers", "consent", "consented-analytics"),
    ];
    let line = Line::new(&documents.concat(), 1);
    let (mut stripped, mut texts) = (0, 0);
    for (number, name) in FOLLOWING.iter().enumerate() {
        let value = format!("followed{number:03}");
        let upper = name.to_uppercase();
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let query = format!("{name}={value}&{upper}={value}&{encoded}={value}&a=b;{name}={value}");
        let event = format!(
            r#"{{"k":"page_view","p":"https://www.shop.example/products?{query}#{query}","r":"https://search.example/x?{query}"}}"#
        );
        let request = RawRequest::beacon("192.0.2.41".parse().unwrap(), format!(r#"{{"g":["analytics"],"e":[{event}]}}"#));
        let now = Timestamp(FIRST_MIDNIGHT);
        let offset = line.append(0, line.receive(&request, now)).expect("an event rests");
        let seen = line.disclosures(&line.records(0, offset)[0], now);
        texts += seen.iter().filter(|(_, text)| text.contains("/products")).count();
        stripped += usize::from(seen.iter().all(|(_, text)| !text.contains(&value)));
    }
    let all = FOLLOWING.len();
    let figure = format!("{stripped} of {all} names of the program's specification, at three destinations");
    Row::new("S16", "click and person ids in addresses that leave nowhere", "100 %", figure, stripped == all && texts == 3 * all)
}

/// S23: what it costs in time, and what the receiver can still count.
fn cost(measured: &Measured, traffic: &Traffic) -> Vec<Row> {
    let exempt = &measured.destinations[MEASUREMENT];
    let (median, slow) = (measured.durations.quantile(0.5), measured.durations.quantile(0.99));
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (true_visitors, counted) = (f64::from(exempt.last_day.visitors), exempt.last_day.distinct_ids as f64);
    let error = (counted - true_visitors).abs() / true_visitors.max(1.0);

    let mut true_pages: HashMap<String, u64> = HashMap::new();
    for (page, views) in measured.true_pages.iter().enumerate() {
        *true_pages.entry(traffic.pages().template(page)).or_default() += views;
    }
    let pages = most(true_pages.into_iter().map(|(path, views)| (views, exempt.pages.get(&path).copied().unwrap_or(0))));
    let countries = measured
        .true_countries
        .iter()
        .map(|(code, events)| (*events, exempt.countries.get(*code).map_or(0, |cell| u64::from(cell.events))));
    let (pages, countries) = (rank_correlation(&pages), rank_correlation(&most(countries)));
    let purged = measured.purged_events as f64 / measured.exempt_events.max(1) as f64;
    vec![
        Row::new(
            "S23 time",
            "from request to clean event, 99 of 100 (all stages: more than privacy alone adds)",
            "≤ 1 ms",
            format!("{:.0} µs, half of them {:.0} µs ({build} build)", micros(slow), micros(median)),
            slow <= Duration::from_millis(1),
        ),
        Row::new(
            "S23 visitors",
            "measurement: ids on the last day against true visitors who did not object",
            "≤ 2 %",
            format!("{:.1} % ({counted:.0} for {true_visitors:.0})", error * 100.0),
            error <= 0.02,
        ),
        Row::new("S23 pages", "rank of the 50 most viewed pages", "τ ≥ 0.95", format!("τ = {pages:.3}"), pages >= 0.95),
        Row::new("S23 countries", "rank of the countries", "τ ≥ 0.95", format!("τ = {countries:.3}"), countries >= 0.95),
        Row::new(
            "S23 purged",
            "events lost because somebody at the same address with the same kind of device objected",
            "≤ 2 %",
            format!("{:.1} %", purged * 100.0),
            purged <= 0.02,
        ),
        own_count(
            "S23 strict",
            "strict: our own count of visitors and of visits",
            "≤ 2 %",
            0.02,
            [(measured.counted.visitors, measured.captured[0] as u64), (measured.counted.visits, measured.captured[1] as u64)],
        ),
    ]
}

/// Our own counts against the truth.
fn own_count<const N: usize>(id: &'static str, what: &'static str, target: &'static str, most: f64, counts: [(u64, u64); N]) -> Row {
    let errors = counts.map(|(counted, truth)| (counted as f64 - truth as f64).abs() / (truth as f64).max(1.0));
    let texts: Vec<_> =
        counts.iter().zip(errors).map(|((counted, truth), error)| format!("{:.1} % ({counted} for {truth})", error * 100.0)).collect();
    Row::new(id, what, target, texts.join("; "), errors.iter().all(|error| *error <= most))
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn most(pairs: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable_by(|one, other| other.cmp(one));
    pairs.truncate(RANKED);
    pairs
}

/// The whole as a table in Markdown.
pub(super) fn table(rows: &[Row], measured: &Measured, took: Duration) -> String {
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let mut text = format!(
        "\n### {} visitors a day, synthetic\n\n{} events of {} days in {:.0} s; of them left: strict {}, measurement {}, customers {}.\n\
         {} pass, {} miss, {} not measured.\n\n| row | what | target | figure | |\n|---|---|---|---|---|\n",
        measured.visitors,
        measured.events,
        LEARNING_DAYS + MEASURED_DAYS,
        took.as_secs_f64(),
        measured.destinations[STRICT].events,
        measured.destinations[MEASUREMENT].events,
        measured.destinations[CUSTOMERS].events,
        count(Verdict::Pass),
        count(Verdict::Miss),
        count(Verdict::NotMeasured),
    );
    for row in rows {
        let verdict = match row.verdict {
            Verdict::Pass => "pass",
            Verdict::Miss => "**MISS**",
            Verdict::NotMeasured => "not measured",
        };
        writeln!(text, "| {} | {} | {} | {} | {verdict} |", row.id, row.what, row.target, row.figure).expect("a string takes it");
    }
    text
}
