//! `proof`: whether the chain of what visitors said is whole, and what a visitor who quotes their consent's reference said.

use std::{io::Write, path::PathBuf};

use clap::{Args, Subcommand};

use super::{CommandError, Place};
use crate::{
    clock,
    documents::store::DocumentStore,
    privacy::consent::{
        chain::Head,
        proof::{parse_reference, records_of, verify},
    },
    signing::{from_hex, hex},
    state::StateDb,
};

#[derive(Debug, Args)]
pub(super) struct ProofArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Walk the whole chain: was a record changed, removed, moved, or erased before its time? Prints the head, to be noted elsewhere.
    Verify {
        /// A head that was printed earlier: is everything up to it still there, as it was?
        #[arg(long, value_name = "NUMBER:LINK")]
        head: Option<String>,
    },
    /// Print what was said under a consent's reference, which its visitor finds on the site's transparency page.
    Show {
        /// The reference.
        reference: String,
    },
}

pub(super) fn proof(place: &Place, arguments: &ProofArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    match &arguments.action {
        Action::Verify { head } => {
            let noted = head.as_deref().map(parse_head).transpose()?;
            let verified = verify(&state(place)?, clock::now(), noted)??;
            let (number, erased) = (verified.head.number, verified.erased);
            writeln!(out, "the chain is whole: {number} records, {erased} of them erased after their time")?;
            writeln!(out, "head {number}:{}", hex(&verified.head.link))?;
        }
        Action::Show { reference } => {
            let consent = parse_reference(reference).ok_or("a reference is 32 hexadecimal digits, with or without hyphens")?;
            let state = std::sync::Arc::new(state(place)?);
            let records = records_of(&state, &consent)?;
            if records.is_empty() {
                return Err("no record has this reference: it was never given, or its records were erased after their time".into());
            }
            let documents = DocumentStore::new(state).compiled()?;
            for (number, record) in records {
                let site = documents.site(record.site).map_or_else(|| format!("no. {}", record.site.0), |site| site.name.clone());
                let purposes: Vec<_> = record.purposes.names().collect();
                writeln!(out, "record {number}: {} at {}", record.said.name(), record.at.rfc3339())?;
                writeln!(out, "  site      {site}")?;
                writeln!(out, "  purposes  {}", if purposes.is_empty() { String::from("none") } else { purposes.join(", ") })?;
                writeln!(out, "  said by   {}", record.source)?;
                writeln!(out, "  policy    {}, version {}", record.policy, record.policy_version.0)?;
                writeln!(out, "  until     {}", record.expires.rfc3339())?;
            }
        }
    }
    Ok(())
}

pub(super) fn state(place: &Place) -> Result<StateDb, CommandError> {
    let file: PathBuf = place.data_dir()?.join("state.db");
    if !file.exists() {
        return Err(format!("{}: there is none yet\n  fix: name the data directory with --data-dir", file.display()).into());
    }
    Ok(StateDb::open(&file)?)
}

pub(super) fn parse_head(text: &str) -> Result<Head, CommandError> {
    let wrong = || CommandError::from("--head: a head is NUMBER:LINK, as `verify` prints it");
    let (number, link) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Head { number: number.parse().map_err(|_| wrong())?, link: from_hex(link).ok_or_else(wrong)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let head = Head { number: 17, link: std::array::from_fn(|index| index as u8 * 7) };
        assert_eq!(parse_head(&format!("17:{}", hex(&head.link))).unwrap(), head);
        for wrong in ["", "17", "17:", "x:00", &format!("17:{}", "0".repeat(63)), &format!("17:{}", "g".repeat(64))] {
            assert!(parse_head(wrong).is_err(), "{wrong}");
        }
    }
}
