//! `records`: the records that the law asks for, made from the documents in force.

use std::{io::Write, path::PathBuf};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{CommandError, Place};
use crate::{
    clock,
    config::Config,
    documents::{compile::suggestion, fingerprint::fingerprint, store::DocumentStore},
    records::{self, Format, Kind, Language, Machine, Sheet, Sources},
};

/// Missing keys that are named on the terminal; all are in the records.
const NAMED_MAX: usize = 12;
/// Versions that are named where one that is asked for is not there.
const VERSIONS_NAMED_MAX: usize = 10;

#[derive(Debug, Args)]
pub(super) struct RecordsArguments {
    /// Only this record; may be said more than once. Default: all.
    #[arg(long = "kind", value_name = "KIND", value_parser = named(Kind::ALL, Kind::name))]
    kinds: Vec<Kind>,
    /// Only in this language; may be said more than once. Default: in all.
    #[arg(long = "language", value_name = "LANGUAGE", value_parser = named(Language::ALL, Language::code))]
    languages: Vec<Language>,
    /// Only in this form; may be said more than once. Default: in all.
    #[arg(long = "format", value_name = "FORMAT", value_parser = named(Format::ALL, Format::name))]
    formats: Vec<Format>,
    /// Write into this directory.
    #[arg(long, value_name = "DIR", default_value = "records")]
    out: PathBuf,
    /// Of the documents as they were at this revision, which records name. Default: those in force.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(1..))]
    at: Option<i64>,
    /// Only this site.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

fn named<N: Copy + Send + Sync + 'static, const NAMES: usize>(
    all: [N; NAMES],
    name: fn(N) -> &'static str,
) -> impl TypedValueParser<Value = N> {
    PossibleValuesParser::new(all.map(name)).map(move |written| {
        let found = all.into_iter().find(|one| name(*one) == written);
        found.expect("the parser takes these names alone")
    })
}

pub(super) fn records(place: &Place, arguments: &RecordsArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let config = place.config()?;
    let at_rest = place.data_dir()?.join("state.db").exists();
    // What is in force and when it came into force is at rest; before the first start, managed files are all there is.
    let store = if at_rest { place.documents(false)? } else { place.store_at_start()? };
    let machine = machine(&config.clone().unwrap_or_else(Config::demonstration));
    let revision = match arguments.at {
        Some(revision) => known(&store, revision)?,
        None => store.revision()?,
    };
    let sources = Sources::of(&store, revision, machine, clock::now())?;
    let Some(mut sources) = sources else {
        return Err("there are no documents yet\n  fix: `firsthand apply FILE` puts some in force".into());
    };
    if let Some(site) = &arguments.site {
        let known: Vec<_> = sources.documents.sites.iter().map(|site| site.name.as_str()).collect();
        if !known.contains(&site.as_str()) {
            return Err(format!("--site: there is no site \"{site}\"\n  fix: {}", suggestion(site, &known)).into());
        }
        sources.only = Some(site.clone());
    }
    std::fs::create_dir_all(&arguments.out).map_err(|error| format!("{}: cannot be made: {error}", arguments.out.display()))?;
    let mut sheets = Vec::new();
    for kind in Kind::ALL {
        for language in Language::ALL {
            if is_wanted(&arguments.kinds, kind) && is_wanted(&arguments.languages, language) {
                let sheet = records::record(kind, language, &sources);
                write_forms(arguments, &sheet, out)?;
                sheets.push(sheet);
            }
        }
    }
    writeln!(out, "\ndocuments  {}", sources.fingerprint())?;
    writeln!(out, "revision   {}, of {} by {}", sources.change.revision, sources.change.at.rfc3339(), sources.change.author)?;
    print_missing(&sheets, out)?;
    if at_rest && arguments.at.is_none() && config.is_some_and(|config| config.managed.is_some()) {
        let files = place.document_texts_at_start()?;
        if fingerprint(&files) != sources.fingerprint() {
            writeln!(
                out,
                "\nThe files of [managed] say something else by now: the records are of what is in force, until the next start."
            )?;
        }
    }
    Ok(())
}

fn is_wanted<N: PartialEq>(wanted: &[N], one: N) -> bool {
    wanted.is_empty() || wanted.contains(&one)
}

fn machine(config: &Config) -> Machine {
    Machine {
        without_consent_hours: config.retention.without_consent_hours,
        with_consent_days: config.retention.with_consent_days,
        ends_tls: config.listen.https.is_some(),
    }
}

/// A revision that there was, or which ones there were.
fn known(store: &DocumentStore, revision: i64) -> Result<i64, CommandError> {
    let changes = store.history()?.changes();
    let newest = changes.last().map_or(0, |change| change.revision);
    if revision <= newest && changes.first().is_some_and(|first| first.revision <= revision) {
        return Ok(revision);
    }
    let named = changes.iter().rev().take(VERSIONS_NAMED_MAX);
    let named: Vec<_> = named.map(|change| format!("    {} of {} by {}", change.revision, change.at.rfc3339(), change.author)).collect();
    Err(format!("--at: there is no revision {revision}\n  fix: one of, newest first:\n{}", named.join("\n")).into())
}

fn write_forms(arguments: &RecordsArguments, sheet: &Sheet, out: &mut dyn Write) -> Result<(), CommandError> {
    for format in Format::ALL.into_iter().filter(|format| is_wanted(&arguments.formats, *format)) {
        let file = arguments.out.join(format!("{}.{}.{}", sheet.kind.name(), sheet.language.code(), format.name()));
        std::fs::write(&file, records::render(sheet, format)).map_err(|error| format!("{}: cannot be written: {error}", file.display()))?;
        writeln!(out, "{}", file.display())?;
    }
    Ok(())
}

/// Which keys the operator has to write for the records to be whole.
fn print_missing(sheets: &[Sheet], out: &mut dyn Write) -> std::io::Result<()> {
    let mut missing: Vec<_> = sheets.iter().flat_map(Sheet::missing).map(|missing| missing.setting).collect();
    missing.sort();
    missing.dedup();
    if missing.is_empty() {
        return writeln!(out, "Every key that the records ask for is filled in. Questions that are marked in them are yours to answer.");
    }
    writeln!(out, "\nto be filled in, in the documents ({}):", missing.len())?;
    for setting in missing.iter().take(NAMED_MAX) {
        writeln!(out, "  {setting}")?;
    }
    if missing.len() > NAMED_MAX {
        writeln!(out, "  and {} more, in the records", missing.len() - NAMED_MAX)?;
    }
    Ok(())
}
