//! `policy`: what each destination may see of whom, and changes to that. One file per subcommand.

mod diff;
mod set;
mod show;

use std::io::Write;

use clap::Subcommand;

pub(super) use self::diff::print_differences;
use super::{CommandError, Place};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Say what leaves to each destination: for visitors who objected, who have not chosen, and who agreed.
    Show(show::ShowArguments),
    /// Change what becomes of one field, with a reason. A running server acts on it within a second.
    Set(set::SetArguments),
    /// Say what would newly leave, and what no longer, if the documents of a file or directory were applied; also of the newest events.
    Diff(diff::DiffArguments),
}

pub(super) fn policy(place: &Place, command: &PolicyCommand, out: &mut dyn Write) -> Result<(), CommandError> {
    match command {
        PolicyCommand::Show(arguments) => show::show(&place.documents_at_start()?, arguments, out),
        PolicyCommand::Set(arguments) => set::set(place, arguments, out),
        PolicyCommand::Diff(arguments) => diff::diff(place, arguments, out),
    }
}
