//! `profile import`: takes contacts of the site's customer system over, each under the consent that its row says; or counts what would become of them.

use std::{collections::BTreeMap, io::Write, path::PathBuf, sync::Arc};

use clap::Args;

use super::{CommandError, Place, profile::ByWhom};
use crate::{
    clock,
    documents::store::DocumentStore,
    privacy::{
        consent::proof::ConsentProof,
        contacts::{Became, ContactFile, Form, Importer, Left, unknown_columns},
        keys::{database::KeysDb, persistent::PersistentKeys, person::PersonKeys},
        personal::Personal,
        profiled::ProfileSeals,
        rights::erasures::{ERASURES, Erasures},
    },
    profile::{
        audit::{Act, ProfileAudit},
        contact::Again,
    },
    state::StateDb,
};

/// What is imported.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// On which site; needed where several have profiles.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    #[command(flatten)]
    who: ByWhom,
    /// Only count what would become of each row, and keep nothing.
    #[arg(long)]
    dry_run: bool,
    /// A file of contacts: .csv with a first line of names, or .jsonl.
    file: PathBuf,
}

pub(super) fn import(place: &Place, Import { site, who, dry_run, file }: &Import, out: &mut dyn Write) -> Result<(), CommandError> {
    let form = match file.extension().and_then(|extension| extension.to_str()) {
        Some("csv" | "tsv" | "txt") => Form::Csv,
        Some("jsonl" | "ndjson") => Form::JsonLines,
        _ => return Err(format!("{}: is neither .csv nor .jsonl\n  fix: name it by what it is", file.display()).into()),
    };
    let data_dir = place.data_dir()?;
    if !data_dir.join("state.db").exists() {
        return Err(
            format!("{}: there is none yet\n  fix: name the data directory with --data-dir", data_dir.join("state.db").display()).into()
        );
    }
    let state = Arc::new(StateDb::open(&data_dir.join("state.db"))?);
    let list = Arc::new(Erasures::open(&data_dir.join(ERASURES.file), place.log_options()?.short_retention)?);
    let persons = PersonKeys::new(Arc::new(KeysDb::open(&data_dir.join("keys.db"))?)).listed_in(Arc::clone(&list));
    persons.look_who_is_held()?;
    let persons = Arc::new(persons);
    let (profiles, _runtime) = place.profiles(ProfileSeals::new(Arc::clone(&persons)))?;
    let documents = DocumentStore::new(Arc::clone(&state)).compiled()?;
    let (site, rules) = super::profile::site_with_profiles(&documents, site.as_deref())?;
    let bytes = Personal::new(std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?);
    let contacts = ContactFile::read(form, &bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    let (proof, persistent) = (ConsentProof::new(Arc::clone(&state)), PersistentKeys::new(Arc::clone(&state)));
    let importer = Importer { persons: &persons, proof: &proof, persistent: &persistent, list: &list, site, rules };
    let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build()?;

    if !dry_run {
        ProfileAudit::new(Arc::clone(&state)).note(site.number, (&who.who(), Act::Imported), &[], contacts.len(), clock::now())?;
    }
    let (mut new, mut known, mut left) = (0_usize, 0_usize, BTreeMap::<Left, Vec<usize>>::new());
    for row in 0..contacts.len() {
        let now = clock::now();
        // Under whichever of their identifiers: nothing is added to what is held.
        if profiles.holds_of_any(rules, &importer.known_by(&contacts, row, now)?)? {
            left.entry(Left::Restricted).or_default().push(row + 1);
            continue;
        }
        let told = match waiting.block_on(importer.take(&contacts, row, now, *dry_run))? {
            Became::New(told) => {
                new += 1;
                told
            }
            Became::Known(told) => {
                known += 1;
                told
            }
            Became::Left(why) => {
                left.entry(why).or_default().push(row + 1);
                None
            }
        };
        if let Some(told) = told {
            profiles.take_contact(site, &told, Again::IsKnown, now)?;
        }
    }
    let (would_be, were) = if *dry_run { ("would be", "would not be") } else { ("are", "are not") };
    writeln!(out, "{} rows: {new} {would_be} taken over as new, {known} {would_be} known already and brought up to date.", contacts.len())?;
    for (why, rows) in &left {
        let first: Vec<String> = rows.iter().take(5).map(usize::to_string).collect();
        let more = if rows.len() > first.len() { ", …" } else { "" };
        writeln!(out, "{} {were} taken over, since they {} (rows {}{more})", rows.len(), why.says(), first.join(", "))?;
    }
    let unknown = unknown_columns(&contacts, site, rules);
    if !unknown.is_empty() {
        writeln!(
            out,
            "{} columns are not kept, since they are no identifiers and no properties of the policy \"{}\".",
            unknown.len(),
            site.policy.name
        )?;
    }
    if *dry_run {
        writeln!(out, "Nothing was kept: this was a dry run.")?;
    }
    Ok(())
}
