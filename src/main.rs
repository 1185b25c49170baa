//! The thin binary: arguments, log output, exit code; nothing else.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use firsthand::{
    cli::{Arguments, execute, exit_code},
    privacy::keys::freed,
};

#[global_allocator]
static ALLOCATOR: freed::Allocator = freed::ALLOCATOR;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "firsthand=info,warn".into());
    // It would write down what it logs in with, and calls for a person where nobody has to come; what became of a message is in the ledger.
    let filter = filter.add_directive("async_nats=off".parse().expect("a directive of ours is one"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    std::panic::set_hook(Box::new(|panic| {
        // Where, and never what: a panic's message could hold a value.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic; please report it with this place");
    }));
    let result = execute(arguments, &mut std::io::stdout().lock());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough: `firsthand policy show | head`.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nothing is left to do where even standard error is gone.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            exit_code(&error).into()
        }
    }
}
