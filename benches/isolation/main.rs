//! What one bad receiver costs the beacon's answer, and the receiver beside it: two products take the same load in turn, one whose two receivers
//! are well, and one of whose two receivers hangs, talks nonsense, asks for a long pause, refuses connections, or says yes and keeps nothing.
//!
//! `cargo bench --bench isolation`; `-- --quick` for fewer rounds, `-- --record` keeps the table in `benches/results/isolation.md`. Absolute
//! figures are this machine's; what holds are the ratios of rounds that lie beside each other.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the bench reports to the terminal")]
#![expect(unreachable_pub, reason = "a program of several files exports nothing")]
#![expect(clippy::disallowed_methods, reason = "the receivers and the senders are programs of their own, outside the supervisor")]

mod load;
mod product;
mod receiver;
mod report;

use std::process::ExitCode;

use self::{
    load::{Figures, measure},
    product::Product,
    receiver::{Manners, Receiver},
    report::Row,
};

/// Any error of the bench ends it; its text goes to the terminal.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Pairs of rounds for each kind of bad receiver: enough that the slowest hundredth of a side's beacons is some hundred of them.
const PAIRS: usize = 5;
const PAIRS_QUICK: usize = 2;

/// The kinds, and what they are called.
const KINDS: [(&str, Manners); 5] = [
    ("hangs: takes requests and never answers", Manners::Hang),
    ("talks nonsense instead of HTTP", Manners::Garbage),
    ("answers 429, come again in an hour", Manners::Pause),
    ("refuses connections", Manners::Refuse),
    ("says yes and keeps nothing", Manners::Drop),
];

fn run(pairs: usize, record: bool) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let well = Product::start(&runtime, Manners::Well)?;
    measure(&well)?;
    let mut rows = Vec::new();
    for (name, manners) in KINDS {
        println!("measuring beside one that {name}");
        let beside = Product::start(&runtime, manners)?;
        // Warms it up, and brings the bad receiver's courier to where it stays: at rest, or busy.
        measure(&beside)?;
        let mut row = Row { name, well: Vec::new(), beside: Vec::new() };
        for _ in 0..pairs {
            row.well.push(measure(&well)?);
            row.beside.push(measure(&beside)?);
        }
        rows.push(row);
    }
    println!("\n{}", report::table(&rows));
    if record {
        println!("recorded in {}", report::record(&rows)?.display());
    }
    Ok(rows.iter().all(Row::within_the_aims))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let says = |word: &str| arguments.iter().any(|argument| argument == word);
    // `cargo test` runs benches' programs, too, as debug builds.
    if !says("--bench") {
        println!("left out: isolation is measured on release builds; run it with `cargo bench --bench isolation`");
        return ExitCode::SUCCESS;
    }
    match run(if says("--quick") { PAIRS_QUICK } else { PAIRS }, says("--record")) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
