//! What one bad receiver costs the beacon's answer, and the receiver beside it: two products take the same load in turn, one whose two receivers
//! are well, and one of whose two receivers hangs, talks nonsense, asks for a long pause, refuses connections, or says yes and keeps nothing.
//!
//! The two sides take turns every second, first the one and then the other at the beginning, so that what drifts is in both alike. Beacons are sent
//! at their moments whatever becomes of those before, and timed from these moments. Blocks in which a thread that only sleeps woke up far too late
//! are the machine's, and left out with their neighbours. It goes on until the interval of the ratio says yes or no, or for so long that it has to
//! be said that it says neither.
//!
//! `cargo bench --bench isolation`; `-- --quick` for fewer blocks, `-- --record` keeps the table in `benches/results/isolation.md`. Absolute
//! figures are this machine's; what holds are the ratios of blocks that lie beside each other.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the bench reports to the terminal")]
#![expect(unreachable_pub, reason = "a program of several files exports nothing")]
#![expect(clippy::disallowed_methods, reason = "the receivers and the senders are programs of their own, outside the supervisor")]

mod control;
#[path = "../measure/interval.rs"]
mod interval;
mod load;
mod product;
mod receiver;
mod report;

use std::process::ExitCode;

use self::{
    interval::Verdict,
    load::{flood, paced},
    product::Product,
    receiver::{Manners, Receiver},
    report::Row,
};

/// Any error of the bench ends it; its text goes to the terminal.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Pairs of blocks for each kind of bad receiver before it is first asked whether the interval says something: the slowest hundredth of a side's
/// beacons is some two hundred of them.
const PAIRS_MIN: usize = 24;
/// Pairs between one such question and the next.
const PAIRS_MORE: usize = 8;
/// Pairs at most: some three and a half minutes.
const PAIRS_MAX: usize = 72;
const PAIRS_QUICK: usize = 8;
/// Pairs of floods, in the same way.
const FLOODS_MIN: usize = 10;
const FLOODS_MORE: usize = 5;
const FLOODS_MAX: usize = 60;
const FLOODS_QUICK: usize = 4;

/// The kinds, and what they are called.
const KINDS: [(&str, Manners); 5] = [
    ("hangs: takes requests and never answers", Manners::Hang),
    ("talks nonsense instead of HTTP", Manners::Garbage),
    ("answers 429, come again in an hour", Manners::Pause),
    ("refuses connections", Manners::Refuse),
    ("says yes and keeps nothing", Manners::Drop),
];

/// The same of a side and of the other, in turn: which of them is first, too.
fn in_turn<T>(turn: usize, well: &Product, beside: &Product, measure: fn(&Product) -> Result<T, Failure>) -> Result<(T, T), Failure> {
    if turn.is_multiple_of(2) {
        let first = measure(well)?;
        Ok((first, measure(beside)?))
    } else {
        let first = measure(beside)?;
        Ok((measure(well)?, first))
    }
}

/// Whether the interval is asked after so many pairs.
const fn is_asked(pairs: usize, first: usize, more: usize) -> bool {
    pairs >= first && (pairs - first).is_multiple_of(more)
}

fn measure_row(name: &'static str, well: &Product, beside: &Product, quick: bool) -> Result<Row, Failure> {
    let mut row = Row { name, pairs: Vec::new(), floods: Vec::new() };
    for turn in 0..if quick { FLOODS_QUICK } else { FLOODS_MAX } {
        row.floods.push(in_turn(turn, well, beside, flood)?);
        if is_asked(turn + 1, FLOODS_MIN, FLOODS_MORE) && row.throughput_verdict() != Verdict::TooNoisy {
            break;
        }
    }
    for turn in 0..if quick { PAIRS_QUICK } else { PAIRS_MAX } {
        row.pairs.push(in_turn(turn, well, beside, paced)?);
        if is_asked(turn + 1, PAIRS_MIN, PAIRS_MORE) && row.p99_verdict() != Verdict::TooNoisy {
            break;
        }
    }
    Ok(row)
}

fn run(quick: bool, record: bool) -> Result<Verdict, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let well = Product::start(&runtime, Manners::Well)?;
    paced(&well)?;
    flood(&well)?;
    let mut rows = Vec::new();
    println!("{}", report::HEAD.trim_end());
    for (name, manners) in KINDS {
        let beside = Product::start(&runtime, manners)?;
        // Warms it up, and brings the bad receiver's courier to where it stays: at rest, or busy.
        paced(&beside)?;
        flood(&beside)?;
        let row = measure_row(name, &well, &beside, quick)?;
        println!("{}", row.line().trim_end());
        rows.push(row);
    }
    if record {
        println!("\nrecorded in {}", report::record(&rows)?.display());
    }
    Ok(rows.iter().map(Row::verdict).max().unwrap_or(Verdict::Within))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let says = |word: &str| arguments.iter().any(|argument| argument == word);
    // `cargo test` runs benches' programs, too, as debug builds.
    if !says("--bench") {
        println!("left out: isolation is measured on release builds; run it with `cargo bench --bench isolation`");
        return ExitCode::SUCCESS;
    }
    match run(says("--quick"), says("--record")) {
        Ok(Verdict::Within) => ExitCode::SUCCESS,
        Ok(Verdict::TooNoisy) => {
            eprintln!("this machine is too noisy, or was: neither reached nor missed");
            ExitCode::from(2)
        }
        Ok(Verdict::Missed) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
