//! The rows of the bench: what is measured beside what, how much of it, and what is judged.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    Failure, bare,
    load::Orders,
    measure::{CONNECTIONS, Effort, Rounds, Side, cost},
    policy::PolicyCost,
    process::{Process, resident_mib},
    product::{Destinations, PATH, Product},
    profiles::ProfilesCost,
    report::{Report, Row},
    request, tls,
};

/// The plain row fails above this multiple of the yardstick.
pub const GATE: f64 = 2.8;
/// What the plain row aims at.
pub const AIM: f64 = 1.6;
/// The gated row and its TLS twin.
const GATED: Effort = Effort { pairs: 9, requests: 60_000, warm_up: 20_000 };
/// The rows that are only shown.
const SHOWN: Effort = Effort { pairs: 3, requests: 40_000, warm_up: 10_000 };
/// The row that waits for its deliveries.
const DELIVERED: Effort = Effort { pairs: 3, requests: 20_000, warm_up: 5_000 };
/// The pair of rows that tells what profiles cost the line: as many pairs as a difference of a tenth needs.
const PROFILED: Effort = Effort { pairs: 15, requests: 30_000, warm_up: 10_000 };
/// `--quick`.
const QUICK: Effort = Effort { pairs: 5, requests: 25_000, warm_up: 10_000 };
/// Persons of the granted rows.
const PERSONS: u64 = 10_000;
/// How far from 1 the yardstick may read against itself.
const SELF_CHECK_TOLERANCE: f64 = 0.15;

/// Measures the yardstick against another of its kind. Returns whether the ratio is 1.
pub fn self_check() -> Result<bool, Failure> {
    let mut rounds = Rounds::new();
    let mut report = Report::new();
    let directory = tempfile::tempdir()?;
    let files = tls::make(directory.path(), request::HOST)?;
    let mut good = true;
    for certificate in [None, Some(files)] {
        let name = if certificate.is_none() { "yardstick against itself, plain" } else { "yardstick against itself, TLS" };
        let (one, other) = (Yardstick::start(certificate.clone())?, Yardstick::start(certificate)?);
        let comparison = rounds.compare(&one.side(), &other.side(), GATED)?;
        let off = (comparison.ratio().median - 1.0).abs();
        good &= off <= SELF_CHECK_TOLERANCE || comparison.is_too_noisy();
        report.add(Row { name, comparison, resident_mib: resident_mib(other.process.id())?, events_per_sync: None });
    }
    report.print();
    Ok(good)
}

/// Measures the product. Returns whether the gated row holds.
pub fn run(quick: bool, record: bool) -> Result<bool, Failure> {
    let directory = tempfile::tempdir()?;
    let files = tls::make(directory.path(), request::HOST)?;
    let run = Run { directory: directory.path(), plain: Yardstick::start(None)?, files, rounds: Rounds::new() };
    let mut report = Report::new();
    let verdict = run.all_rows(&mut report, quick)?;
    report.print();
    println!("{verdict}");
    if record {
        println!("recorded in {}", report.record(&verdict)?.display());
    }
    Ok(verdict.is_good() && report.profiles_are_within_the_limit())
}

/// What the rows of a run share.
struct Run<'a> {
    directory: &'a Path,
    plain: Yardstick,
    files: bare::Certificate,
    rounds: Rounds,
}

impl Run<'_> {
    fn all_rows(mut self, report: &mut Report, quick: bool) -> Result<Verdict, Failure> {
        let paused = self.product("paused", &Destinations::ExemptPaused)?;
        let (row, verdict) = self.gated(&paused, if quick { QUICK } else { GATED })?;
        let bare_us = cost(&row.comparison.yardstick).median;
        report.add(row);
        report.add_policy(PolicyCost::measure(bare_us)?);
        if !quick {
            report.add(self.over_tls(&paused)?);
            drop(paused);
            self.granted(report)?;
            report.add(self.delivered()?);
            report.add_profiles(self.profiled(bare_us)?);
        }
        Ok(verdict)
    }

    /// Unknown visitors, plain, beside the bare server: the row that is judged.
    fn gated(&mut self, product: &Product, effort: Effort) -> Result<(Row, Verdict), Failure> {
        let name = "unknown visitors, plain";
        let side = Side { process: product.id(), orders: orders(product.plain, None), settle: None, apart: None };
        let mut row = measured(name, &mut self.rounds, &self.plain.side(), &side, product, effort)?;
        if row.comparison.is_too_noisy() {
            println!("the yardstick varied by more than 25 %: measuring the gated row once more");
            row = measured(name, &mut self.rounds, &self.plain.side(), &side, product, effort)?;
        }
        let ratio = row.comparison.ratio().median;
        let verdict = match (row.comparison.is_too_noisy(), ratio < GATE) {
            (true, _) => Verdict::TooNoisy(ratio),
            (false, true) => Verdict::Good(ratio),
            (false, false) => Verdict::TooDear(ratio),
        };
        Ok((row, verdict))
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

/// What the gate says.
pub enum Verdict {
    /// Below the gate.
    Good(f64),
    /// Above it.
    TooDear(f64),
    /// The yardstick itself was too unsteady, twice.
    TooNoisy(f64),
}

impl Verdict {
    fn is_good(&self) -> bool {
        !matches!(self, Self::TooDear(_))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good(ratio) => write!(f, "gate: {ratio:.2} × bare hyper, under {GATE} (aim: {AIM})"),
            Self::TooDear(ratio) => write!(f, "gate: RED, {ratio:.2} × bare hyper is not under {GATE}"),
            Self::TooNoisy(ratio) => {
                write!(f, "gate: too noisy to judge (read {ratio:.2} × bare hyper; the yardstick itself varied by more than 25 %, twice)")
            }
        }
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
    let sent = effort.warm_up + effort.pairs as u64 * effort.requests;
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
    fn start(tls: Option<bare::Certificate>) -> Result<Self, Failure> {
        let certificate = tls.as_ref().map(|files| files.certificate.clone());
        let mut process = Process::role("bare")?;
        process.say(&serde_json::to_string(&bare::Orders { workers: workers()?, tls })?)?;
        let port = process.hear()?.parse()?;
        Ok(Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)), certificate })
    }

    fn side(&self) -> Side<'_> {
        Side { process: self.process.id(), orders: orders(self.address, self.certificate.clone()), settle: None, apart: None }
    }
}

/// Worker threads of every server: tokio's own default, which the product keeps.
fn workers() -> Result<usize, Failure> {
    Ok(std::thread::available_parallelism()?.get())
}
