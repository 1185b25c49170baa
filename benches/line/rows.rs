//! The rows of the bench: what is measured beside what, how much of it, and what is judged.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    Failure, bare,
    load::Orders,
    measure::{CONNECTIONS, Effort, Rounds, Side},
    process::{Process, resident_mib},
    product::{Destinations, PATH, Product},
    report::{Report, Row},
    request, tls,
};

/// The plain row fails above this multiple of the yardstick.
pub const GATE: f64 = 2.6;
/// What the plain row aims at.
pub const AIM: f64 = 1.6;
/// The gated row and its TLS twin.
const GATED: Effort = Effort { pairs: 5, requests: 60_000, warm_up: 20_000 };
/// The rows that are only shown.
const SHOWN: Effort = Effort { pairs: 3, requests: 40_000, warm_up: 10_000 };
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
    let mut rounds = Rounds::new();
    let mut report = Report::new();
    let directory = tempfile::tempdir()?;
    let files = tls::make(directory.path(), request::HOST)?;
    let plain = Yardstick::start(None)?;

    let mut product = Product::start(&directory.path().join("paused"), &files, &Destinations::ExemptPaused)?;
    let side = Side { process: product.id(), orders: orders(product.plain, None) };
    let effort = if quick { QUICK } else { GATED };
    let (row, verdict) = gated(&mut rounds, &plain.side(), &side, &mut product, effort)?;
    report.add(row);

    if !quick {
        let tls = Yardstick::start(Some(files.clone()))?;
        let side = Side { process: product.id(), orders: orders(product.tls, Some(files.certificate.clone())) };
        report.add(measured("unknown visitors, TLS", &mut rounds, &tls.side(), &side, &mut product, GATED)?);
        drop((tls, product));

        let mut product = Product::start(&directory.path().join("granted"), &files, &Destinations::ConsentPaused)?;
        let cookies = directory.path().join("cookies");
        let granted = Orders { granted: true, ..orders(product.plain, None) };
        let harvest = Side { process: product.id(), orders: Orders { harvest: Some(cookies.clone()), ..granted.clone() } };
        rounds.round(&harvest, PERSONS)?;
        let known = Side { process: product.id(), orders: Orders { cookies: Some(cookies), ..granted } };
        report.add(measured("granted, 10,000 known persons", &mut rounds, &plain.side(), &known, &mut product, SHOWN)?);
        let some_new = Side { process: product.id(), orders: Orders { first_seen_every: Some(100), ..known.orders } };
        report.add(measured("granted, 1 % first seen", &mut rounds, &plain.side(), &some_new, &mut product, SHOWN)?);
        drop(product);

        let sink = Yardstick::start(None)?;
        let mut product = Product::start(&directory.path().join("delivered"), &files, &Destinations::Demonstration { sink: sink.address })?;
        let side = Side { process: product.id(), orders: orders(product.plain, None) };
        report.add(measured("unknown, both demonstration destinations", &mut rounds, &plain.side(), &side, &mut product, SHOWN)?);
    }
    report.print();
    println!("{verdict}");
    if record {
        println!("recorded in {}", report.record(&verdict)?.display());
    }
    Ok(verdict.is_good())
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

fn gated(rounds: &mut Rounds, yardstick: &Side, side: &Side, product: &mut Product, effort: Effort) -> Result<(Row, Verdict), Failure> {
    let name = "unknown visitors, plain";
    let mut row = measured(name, rounds, yardstick, side, product, effort)?;
    if row.comparison.is_too_noisy() {
        println!("the yardstick varied by more than 25 %: measuring the gated row once more");
        row = measured(name, rounds, yardstick, side, product, effort)?;
    }
    let ratio = row.comparison.ratio().median;
    let verdict = match (row.comparison.is_too_noisy(), ratio < GATE) {
        (true, _) => Verdict::TooNoisy(ratio),
        (false, true) => Verdict::Good(ratio),
        (false, false) => Verdict::TooDear(ratio),
    };
    Ok((row, verdict))
}

/// Measures the product beside a yardstick and checks that its own count of durable events is the load generator's.
fn measured(
    name: &'static str,
    rounds: &mut Rounds,
    yardstick: &Side,
    side: &Side,
    product: &mut Product,
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

    fn side(&self) -> Side {
        Side { process: self.process.id(), orders: orders(self.address, self.certificate.clone()) }
    }
}

/// Worker threads of every server: tokio's own default, which the product keeps.
fn workers() -> Result<usize, Failure> {
    Ok(std::thread::available_parallelism()?.get())
}
