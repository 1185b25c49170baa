//! The bench of the whole line: what a durable acknowledgement costs, as a multiple of a bare hyper server in the same run.
//!
//! Absolute figures do not carry over from one machine to another; the ratio does. So every figure of Firsthand's is measured beside a
//! yardstick: a hyper server that reads the body and answers 204, with the same allocator and TLS set-up. The rounds of
//! both alternate (A, B, A, B), each server is a process of its own, and so is the load generator: this program starts itself again
//! with `--role`. A ratio is that of all rounds together, with the interval that it lies in, and what is judged goes on until that interval
//! says something. Cost is the processor time of the server's process (`/proc/PID/task/*/schedstat`), all threads, over the requests of a round.
//!
//! `cargo bench` runs everything; `cargo bench --bench line -- --help` says what else there is.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the bench reports to the terminal")]
#![expect(unreachable_pub, reason = "a program of several files exports nothing")]
#![expect(clippy::disallowed_methods, reason = "the servers and the load generator are programs of their own, outside the supervisor")]

mod bare;
#[path = "../measure/interval.rs"]
mod interval;
mod load;
mod measure;
mod policy;
mod process;
mod product;
mod profiles;
mod report;
mod request;
mod rows;
mod tls;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// The allocator of the product's binary, so that the yardstick and the load generator have no other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any error of the bench ends it; its text goes to the terminal.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures Firsthand beside a bare hyper server.
#[derive(Parser)]
#[command(name = "cargo bench --bench line --")]
struct Arguments {
    /// The gated plain row only, with fewer and shorter rounds (under 90 seconds)
    #[arg(long)]
    quick: bool,
    /// Write the summary into benches/results/latest.md
    #[arg(long)]
    record: bool,
    /// Measure the yardstick against itself: the ratio must be 1
    #[arg(long)]
    self_check: bool,
    /// Cargo says this when it runs a bench
    #[arg(long, hide = true)]
    bench: bool,
    /// What this process is; the bench starts itself again with it
    #[arg(long, hide = true)]
    role: Option<Role>,
}

/// The other processes of a run. Each reads its orders from standard input and ends when that closes.
#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// The yardstick.
    Bare,
    /// The load generator.
    Load,
    /// The policy's stages, in loops.
    Policy,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.role {
        Some(Role::Bare) => bare::run().map(|()| true),
        Some(Role::Load) => load::run().map(|()| true),
        Some(Role::Policy) => policy::run().map(|()| true),
        None if arguments.self_check => rows::self_check(),
        None if arguments.bench || arguments.quick => rows::run(arguments.quick, arguments.record),
        None => {
            println!("left out: the bench of the line measures release builds; run it with `cargo bench`");
            Ok(true)
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
