//! The rows of the bench: what is measured beside what, how much of it, and what is judged.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use firsthand::supervise::line_threads;

use crate::{
    Failure, bare,
    interval::{Ratio, Verdict},
    load::Orders,
    measure::{CONNECTIONS, Effort, Rounds, Side, cost},
    policy::PolicyCost,
    process::{Process, resident_mib},
    product::{Destinations, PATH, Product},
    profiles::ProfilesCost,
    report::{Report, Row},
    request, tls,
};

/// The plain row may cost this multiple of the yardstick at most.
const LIMIT: f64 = 2.0;
/// The program fails where the plain row surely costs more than this: as an event does where nobody looked, and not where other work is on the
/// machine.
const GATE: f64 = 2.8;
/// What the plain row aims at.
const AIM: f64 = 1.6;
/// The gated row and its TLS twin.
const GATED: Effort = Effort { pairs: 9, pairs_max: 40, bounds: &[LIMIT], requests: 150_000, warm_up: 50_000 };
/// `--quick`.
const QUICK: Effort = Effort { pairs: 7, pairs_max: 30, bounds: &[LIMIT], requests: 100_000, warm_up: 30_000 };
/// The rows that are only shown.
const SHOWN: Effort = Effort { pairs: 7, pairs_max: 7, bounds: &[], requests: 100_000, warm_up: 30_000 };
/// The row that waits for its deliveries.
const DELIVERED: Effort = Effort { pairs: 5, pairs_max: 5, bounds: &[], requests: 50_000, warm_up: 10_000 };
/// The pair of rows that tells what profiles cost the line: as many pairs as a difference of a tenth needs.
const PROFILED: Effort = Effort { pairs: 15, pairs_max: 15, bounds: &[], requests: 30_000, warm_up: 10_000 };
/// The yardstick against itself.
const SELF: Effort = Effort { bounds: &[1.0 - SELF_CHECK_TOLERANCE, 1.0 + SELF_CHECK_TOLERANCE], ..GATED };
/// Persons of the granted rows.
const PERSONS: u64 = 10_000;
/// How far from 1 the yardstick may read against itself.
const SELF_CHECK_TOLERANCE: f64 = 0.15;

/// Measures the yardstick against another of its kind. Returns whether the ratio can be 1.
pub fn self_check() -> Result<bool, Failure> {
    let mut rounds = Rounds::new();
    let mut report = Report::new();
    let directory = tempfile::tempdir()?;
    let files = tls::make(directory.path(), request::HOST)?;
    let mut good = true;
    for certificate in [None, Some(files)] {
        let name = if certificate.is_none() { "yardstick against itself, plain" } else { "yardstick against itself, TLS" };
        let (one, other) = (Yardstick::start(certificate.clone())?, Yardstick::start(certificate)?);
        let comparison = rounds.compare(&one.side(), &other.side(), SELF)?;
        let Ratio { from, to, .. } = comparison.ratio();
        good &= from <= 1.0 + SELF_CHECK_TOLERANCE && to >= 1.0 - SELF_CHECK_TOLERANCE;
        report.add(Row { name, comparison, resident_mib: resident_mib(other.process.id())?, events_per_sync: None });
    }
    report.print();
    Ok(good)
}

/// Measures the product. Returns whether the gated row passes, and profiles cost the line no more than they may.
pub fn run(quick: bool, record: bool) -> Result<bool, Failure> {
    let directory = tempfile::tempdir()?;
    let files = tls::make(directory.path(), request::HOST)?;
    let run = Run { directory: directory.path(), plain: Yardstick::start(None)?, files, rounds: Rounds::new() };
    let mut report = Report::new();
    let judgement = run.all_rows(&mut report, quick)?;
    report.print();
    println!("{judgement}");
    if record {
        println!("recorded in {}", report.record(&judgement)?.display());
    }
    Ok(judgement.passes_the_gate() && report.profiles_are_within_the_limit())
}

/// What the rows of a run share.
struct Run<'a> {
    directory: &'a Path,
    plain: Yardstick,
    files: bare::Certificate,
    rounds: Rounds,
}

impl Run<'_> {
    fn all_rows(mut self, report: &mut Report, quick: bool) -> Result<Judgement, Failure> {
        let paused = self.product("paused", &Destinations::ExemptPaused)?;
        let (row, judgement) = self.gated(&paused, if quick { QUICK } else { GATED })?;
        let bare_us = cost(&row.comparison.yardstick).median;
        report.add(row);
        report.add_policy(PolicyCost::measure(bare_us)?);
        report.add(self.beside_as_many_threads(&paused)?);
        if !quick {
            report.add(self.over_tls(&paused)?);
            drop(paused);
            self.granted(report)?;
            report.add(self.delivered()?);
            report.add_profiles(self.profiled(bare_us)?);
        }
        Ok(judgement)
    }

    /// Unknown visitors, plain, beside the bare server: the row that is judged.
    fn gated(&mut self, product: &Product, effort: Effort) -> Result<(Row, Judgement), Failure> {
        let name = "unknown visitors, plain";
        let side = Side { process: product.id(), orders: orders(product.plain, None), settle: None, apart: None };
        let row = measured(name, &mut self.rounds, &self.plain.side(), &side, product, effort)?;
        let judgement = Judgement(row.comparison.ratio());
        Ok((row, judgement))
    }

    /// The same beside a bare server on as many threads as answer beacons in the product. On one thread it runs in one way alone, its best: the ratio is
    /// higher, and so steady that a change of two hundredths shows.
    fn beside_as_many_threads(&mut self, product: &Product) -> Result<Row, Failure> {
        let yardstick = Yardstick::on(line_threads(), None)?;
        let side = Side { process: product.id(), orders: orders(product.plain, None), settle: None, apart: None };
        measured("the same, beside hyper on the line's threads", &mut self.rounds, &yardstick.side(), &side, product, SHOWN)
    }

    /// The same over TLS, beside the bare server over TLS.
    fn over_tls(&mut self, product: &Product) -> Result<Row, Failure> {
        let yardstick = Yardstick::start(Some(self.files.clone()))?;
        let certificate = Some(self.files.certificate.clone());
        let side = Side { process: product.id(), orders: orders(product.tls, certificate), settle: None, apart: None };
        measured("unknown visitors, TLS", &mut self.rounds, &yardstick.side(), &side, product, GATED)
    }

    /// Visitors who consented: known ones, and some that are seen for the first time.
    fn granted(&mut self, report: &mut Report) -> Result<(), Failure> {
        let product = self.product("granted", &Destinations::ConsentPaused)?;
        let known = self.known_persons(&product)?;
        let some_new = Orders { first_seen_every: Some(100), ..known.clone() };
        for (name, orders) in [("granted, 10,000 known persons", known), ("granted, 1 % first seen", some_new)] {
            let side = Side { process: product.id(), orders, settle: None, apart: None };
            report.add(measured(name, &mut self.rounds, &self.plain.side(), &side, &product, SHOWN)?);
        }
        Ok(())
    }

    /// Known persons with a file and a webhook at work; a round's cost is counted until both have everything.
    fn delivered(&mut self) -> Result<Row, Failure> {
        let sink = Yardstick::start(None)?;
        let product = self.product("delivered", &Destinations::Demonstration { sink: sink.address })?;
        let orders = self.known_persons(&product)?;
        let settle = || product.wait_until_delivered();
        let side = Side { process: product.id(), orders, settle: Some(&settle), apart: None };
        measured("granted, both demonstration destinations at work", &mut self.rounds, &self.plain.side(), &side, &product, DELIVERED)
    }

    /// Known persons who agree to a profile, where the site has none and where the projector is at work: what that costs the line itself.
    fn profiled(&mut self, bare_us: f64) -> Result<ProfilesCost, Failure> {
        println!("measuring: the line with profiles off, and with the projector at work");
        let (without, with) =
            (self.product("unprofiled", &Destinations::ConsentPaused)?, self.product("profiled", &Destinations::Profiles)?);
        let orders = [self.known_persons(&without)?, self.known_persons(&with)?];
        let settle = || with.wait_until_projected();
        settle()?;
        let [off, on] = orders;
        let off = Side { process: without.id(), orders: off, settle: None, apart: None };
        let on = Side { process: with.id(), orders: on, settle: Some(&settle), apart: Some("profiles") };
        let before = with.counters()?.appended;
        let comparison = self.rounds.compare(&off, &on, PROFILED)?;
        let (sent, kept) = (PROFILED.warm_up + PROFILED.pairs as u64 * PROFILED.requests, with.counters()?.appended - before);
        if kept != sent || with.projected()? < sent {
            return Err(format!("profiles: of {sent} events {kept} are in the log, and the projector took in {}", with.projected()?).into());
        }
        Ok(ProfilesCost::of(&comparison, bare_us))
    }

    /// Has 10,000 visitors consent, and returns what to send as one of them.
    fn known_persons(&mut self, product: &Product) -> Result<Orders, Failure> {
        let cookies = self.directory.join(format!("cookies-{}", product.id()));
        let granted = Orders { granted: true, ..orders(product.plain, None) };
        let harvest = Orders { harvest: Some(cookies.clone()), ..granted.clone() };
        self.rounds.round(&Side { process: product.id(), orders: harvest, settle: None, apart: None }, PERSONS)?;
        let got = std::fs::read_to_string(&cookies)?.lines().count() as u64;
        if got != PERSONS {
            return Err(format!("of {PERSONS} persons who consented {got} got a cookie").into());
        }
        Ok(Orders { cookies: Some(cookies), ..granted })
    }

    fn product(&self, name: &str, destinations: &Destinations) -> Result<Product, Failure> {
        Product::start(&self.directory.join(name), &self.files, destinations)
    }
}

/// What is said of the gated row's ratio.
pub struct Judgement(Ratio);

impl Judgement {
    fn passes_the_gate(&self) -> bool {
        Verdict::of_most(self.0, GATE) != Verdict::Missed
    }
}

impl std::fmt::Display for Judgement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(Ratio { measured, from, to }) = *self;
        let verdict = Verdict::of_most(self.0, LIMIT).name();
        write!(f, "limit: {verdict}, {measured:.2} × bare hyper, 99 % between {from:.2} and {to:.2}, at most {LIMIT:.1} (aim: {AIM})")?;
        if self.passes_the_gate() { Ok(()) } else { write!(f, "; gate: RED, it is not under {GATE}") }
    }
}

/// Measures the product beside a yardstick and checks that its own count of durable events is the load generator's.
fn measured(
    name: &'static str,
    rounds: &mut Rounds,
    yardstick: &Side<'_>,
    side: &Side<'_>,
    product: &Product,
    effort: Effort,
) -> Result<Row, Failure> {
    println!("measuring: {name}");
    let before = product.counters()?;
    let comparison = rounds.compare(yardstick, side, effort)?;
    let after = product.counters()?;
    let sent = effort.warm_up + comparison.measured.len() as u64 * effort.requests;
    let kept = after.appended - before.appended;
    if kept != sent {
        return Err(format!("{name}: {sent} events were answered with 2xx and {kept} are in the log").into());
    }
    let events_per_sync = kept as f64 / (after.syncs - before.syncs) as f64;
    Ok(Row { name, comparison, resident_mib: resident_mib(side.process)?, events_per_sync: Some(events_per_sync) })
}

fn orders(address: SocketAddr, certificate: Option<PathBuf>) -> Orders {
    Orders {
        address,
        certificate,
        path: PATH.to_owned(),
        connections: CONNECTIONS,
        requests: 0,
        round: 0,
        granted: false,
        cookies: None,
        first_seen_every: None,
        harvest: None,
    }
}

/// A bare server in a process of its own.
struct Yardstick {
    process: Process,
    address: SocketAddr,
    certificate: Option<PathBuf>,
}

impl Yardstick {
    /// On tokio's own default: a thread for each processor.
    fn start(tls: Option<bare::Certificate>) -> Result<Self, Failure> {
        Self::on(std::thread::available_parallelism()?.get(), tls)
    }

    fn on(workers: usize, tls: Option<bare::Certificate>) -> Result<Self, Failure> {
        let certificate = tls.as_ref().map(|files| files.certificate.clone());
        let mut process = Process::role("bare")?;
        process.say(&serde_json::to_string(&bare::Orders { workers, tls })?)?;
        let port = process.hear()?.parse()?;
        Ok(Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)), certificate })
    }

    fn side(&self) -> Side<'_> {
        Side { process: self.process.id(), orders: orders(self.address, self.certificate.clone()), settle: None, apart: None }
    }
}
