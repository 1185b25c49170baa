//! The command line: one file per command. `main.rs` parses, calls, prints the error chain, and sets the exit code.

mod api;
mod api_key;
mod apply;
mod backup;
mod check;
mod doctor;
mod egress;
mod explain;
mod export;
mod import;
mod init;
mod lint;
mod person;
mod place;
mod policy;
mod profile;
mod proof;
mod prove;
mod proxy;
mod recleanse;
mod records;
mod recovery;
mod replay;
mod restore;
mod run;
mod trace;

use std::{error::Error, io::Write, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{app::StartError, state::StoreError, upgrade::UpgradeError};

/// Server-side first-party tracking proxy: beacons come in on your own domain, clean events go out.
///
/// Without a command and without a configuration file it starts a demonstration on this machine's loopback address.
#[derive(Debug, Parser)]
#[command(name = "firsthand", version, max_term_width = 110)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    listen: ListenArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Which machine configuration, and which data.
#[derive(Clone, Debug, Args)]
struct Place {
    /// This machine's configuration. Default: ./firsthand.toml where there is one.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the event log and the databases are. Default: what the configuration says, else ./data.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Addresses that stand in for the configured ones.
#[derive(Clone, Debug, Default, Args)]
struct ListenArguments {
    /// Listen for plain HTTP here, e.g. 127.0.0.1:8080.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Listen for HTTPS here, e.g. 127.0.0.1:8443.
    #[arg(long, value_name = "ADDRESS")]
    tls_listen: Option<SocketAddr>,
    /// Serve health, metrics and the live view here; a loopback address.
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server. This is what happens without a command, too.
    Run {
        #[command(flatten)]
        listen: ListenArguments,
        /// Take over from the process that runs on the same data directory: its listening sockets, and the day's keys in its memory.
        #[arg(long)]
        take_over: bool,
        /// For rehearsals, on loopback alone: begin at this time (milliseconds since 1970), and go to each that standard input says.
        #[arg(long, hide = true, value_name = "TIME")]
        clock: Option<i64>,
    },
    /// Write a configuration and the documents of a first site, with neutral names of its own.
    Init(init::InitArguments),
    /// Check the configuration and the documents it names, and say what is in effect.
    Check,
    /// Look for what is wrong or doubtful here, each with what to do about it; and say how vendors' libraries are pointed to this site.
    Doctor(doctor::DoctorArguments),
    /// Put documents (sites, destinations, policies) in force from a TOML file or a directory of them.
    Apply(apply::ApplyArguments),
    /// Say what can be asked of the profile API, in words or as an OpenAPI document.
    Api(api::ApiArguments),
    /// Make the key of a site's own backend, which sends purchases and refunds with it (shown once, kept nowhere), or for its app; or make, list
    /// and revoke keys of the profile API.
    ApiKey(api_key::ApiKeyArguments),
    /// Say what left to whom, day by day; check that the ledger of it is whole; write it into a signed file.
    Egress(egress::EgressArguments),
    /// Print the documents in force as one TOML file.
    Export,
    /// See and change what each destination may see of whom.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Say what each destination would receive of a beacon, and why, field by field. Stores nothing, sends nothing.
    Explain(explain::ExplainArguments),
    /// Check the chain of what visitors said to the site, or show one consent's records.
    Proof(proof::ProofArguments),
    /// Send marked beacons through a copy of what is in force, look for the marks in all that comes out, and write signed evidence.
    Prove(prove::ProveArguments),
    /// Hand out, or erase, what rests about one person.
    #[command(subcommand)]
    Person(person::PersonCommand),
    /// Show customer profiles and what joined them; part them, join them again, or have them made again.
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Copy event log and state into a new directory, or the keys into a file, while the server runs or not.
    Backup(backup::BackupArguments),
    /// Put a backup back. Who was erased, withdrew or objected since it was made stays gone.
    Restore(restore::RestoreArguments),
    /// Say how far what is stored has been brought to documents that let less rest; or ask for that by hand.
    Recleanse(recleanse::RecleanseArguments),
    /// Say what became of one event at every destination, and show the request that it left in.
    Trace(trace::TraceArguments),
    /// Say what a destination would make of the newest events, before it is switched on. Sends nothing.
    Lint(lint::LintArguments),
    /// Send events to a destination again that have ended there.
    Replay(replay::ReplayArguments),
    /// Say in how many visits a vendor's own tag did not run, where a site measures that (`measure_recovery`).
    Recovery(recovery::RecoveryArguments),
    /// Write the records that the law asks for, made from the documents in force: Article 30, impact assessment, audience measurement.
    Records(records::RecordsArguments),
}

/// What a command ends with when it cannot do its work: a chain of reasons for a person.
pub type CommandError = Box<dyn Error + Send + Sync>;

/// The exit code where a newer program wrote the data: starting again changes nothing, so a service manager can be told not to.
const NEWER_DATA: u8 = 3;

/// What the process ends with after an error.
#[must_use]
pub fn exit_code(error: &CommandError) -> u8 {
    let at_start = match error.downcast_ref::<StartError>() {
        Some(StartError::Upgrade(error)) => Some(error),
        _ => error.downcast_ref::<UpgradeError>(),
    };
    let newer = matches!(at_start, Some(UpgradeError::Newer { .. } | UpgradeError::TooOld { .. }))
        || matches!(error.downcast_ref::<StoreError>(), Some(StoreError::Newer { .. }));
    if newer { NEWER_DATA } else { 1 }
}

/// Carries out what was asked for.
///
/// # Errors
/// In words for the person at the terminal.
pub fn execute(arguments: Arguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let place = arguments.place;
    match arguments.command {
        None => run::run(&place, &arguments.listen, run::How::default(), out),
        Some(Command::Run { listen, take_over, clock }) => {
            run::run(&place, &arguments.listen.or(listen), run::How { take_over, clock }, out)
        }
        Some(Command::Init(init)) => init::init(&init, out),
        Some(Command::Check) => check::check(&place, out),
        Some(Command::Doctor(doctor)) => doctor::doctor(&place, &doctor, out),
        Some(Command::Apply(apply)) => apply::apply(&place, &apply, out),
        Some(Command::Api(api)) => api::api(&api, out),
        Some(Command::ApiKey(key)) => api_key::api_key(&place, &key, out),
        Some(Command::Egress(egress)) => egress::egress(&place, &egress, out),
        Some(Command::Export) => export::export(&place, out),
        Some(Command::Policy(command)) => policy::policy(&place, &command, out),
        Some(Command::Explain(explain)) => explain::explain(&place, &explain, out),
        Some(Command::Proof(proof)) => proof::proof(&place, &proof, out),
        Some(Command::Prove(prove)) => prove::prove(&place, &prove, out),
        Some(Command::Person(command)) => person::person(&place, &command, &mut std::io::stdin().lock(), out),
        Some(Command::Profile(command)) => profile::profile(&place, &command, &mut std::io::stdin().lock(), out),
        Some(Command::Backup(backup)) => backup::backup(&place, &backup, out),
        Some(Command::Restore(restore)) => restore::restore(&place, &restore, out),
        Some(Command::Recleanse(recleanse)) => recleanse::recleanse(&place, &recleanse, out),
        Some(Command::Recovery(recovery)) => recovery::recovery(&place, &recovery, out),
        Some(Command::Records(records)) => records::records(&place, &records, out),
        Some(Command::Trace(trace)) => trace::trace(&place, &trace, out),
        Some(Command::Lint(lint)) => lint::lint(&place, &lint, out),
        Some(Command::Replay(replay)) => replay::replay(&place, &replay, out),
    }
}

impl ListenArguments {
    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            tls_listen: self.tls_listen.or(other.tls_listen),
            admin_listen: self.admin_listen.or(other.admin_listen),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
        let text = Arguments::command().render_long_help().to_string();
        for command in [
            "run",
            "init",
            "check",
            "doctor",
            "apply",
            "api",
            "api-key",
            "egress",
            "export",
            "policy",
            "explain",
            "proof",
            "prove",
            "recleanse",
            "person",
            "profile",
            "backup",
            "restore",
            "records",
            "recovery",
            "trace",
            "lint",
            "replay",
        ] {
            assert!(text.contains(command), "{command}");
        }
    }
}
