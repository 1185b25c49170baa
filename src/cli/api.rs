//! `api`: says what can be asked of the profile API. The document is the one that the server answers with.

use std::io::Write;

use clap::Args;

use super::CommandError;
use crate::api::openapi;

#[derive(Debug, Args)]
pub(super) struct ApiArguments {
    /// As an OpenAPI 3.1 document, JSON.
    #[arg(long)]
    openapi: bool,
}

pub(super) fn api(arguments: &ApiArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    if arguments.openapi {
        writeln!(out, "{}", serde_json::to_string_pretty(&openapi::document())?)?;
    } else {
        writeln!(out, "On the admin listener, with a key that `firsthand api-key make` makes:\n")?;
        write!(out, "{}", openapi::in_words())?;
    }
    Ok(())
}
