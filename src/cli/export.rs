//! `export`: the documents in force, as one file that `apply` takes back.

use std::io::Write;

use super::{CommandError, Place};
use crate::documents::parse::DocumentFile;

pub(super) fn export(place: &Place, out: &mut dyn Write) -> Result<(), CommandError> {
    let documents = place.documents(false)?.export()?;
    if documents.is_empty() {
        writeln!(out, "# No documents are in force.")?;
        return Ok(());
    }
    write!(out, "{}", toml::to_string(&DocumentFile::of(documents))?)?;
    Ok(())
}
