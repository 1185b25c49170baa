//! `doctor`: what of this installation is wrong, doubtful or worth knowing, each with what to do about it; and how each vendor's library is
//! pointed here. It reads configuration, documents and this machine, and sends nothing; with the address of a page, it also looks at that deployment from outside.

mod deployment;
mod libraries;
mod machine;
mod sites;

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::{CommandError, Place};
use crate::documents::Documents;

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    look: deployment::LookArguments,
    /// Only this site. Default: all of them.
    #[arg(long)]
    site: Option<String>,
    /// Every library that could be pointed here, not only those whose key a site's document lists.
    #[arg(long)]
    all: bool,
    /// Print JSON for machines.
    #[arg(long)]
    json: bool,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Weight {
    /// It does not work so.
    Wrong,
    /// It works, and probably not as it was meant.
    Doubtful,
    /// It may be as it was meant.
    Note,
    /// It was looked at, and is as it should be.
    Right,
}

/// Something that was found, and what to do about it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    weight: Weight,
    what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fix: String,
}

impl Finding {
    fn new(weight: Weight, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { weight, what: what.into(), fix: fix.into() }
    }

    /// What was looked at, and is as it should be.
    fn right(what: impl Into<String>) -> Self {
        Self::new(Weight::Right, what, "")
    }

    /// What ended a check. Errors of this program end with a line that says what to do, where there is something.
    fn of_error(error: &CommandError) -> Self {
        let text = error.to_string();
        let (what, fix) = text.split_once("\n  fix: ").unwrap_or((&text, "see what it says"));
        Self::new(Weight::Wrong, what, fix)
    }
}

/// What is printed for machines.
#[derive(Serialize)]
struct Told<'a> {
    findings: &'a [Finding],
    sites: Vec<libraries::OfSite<'a>>,
}

pub(super) fn doctor(place: &Place, arguments: &DoctorArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut findings = machine::findings(place);
    let documents = match place.documents_at_start() {
        Ok(documents) => documents,
        Err(error) => {
            findings.push(Finding::of_error(&error));
            Documents::default()
        }
    };
    if let Some(name) = &arguments.site
        && !documents.sites.iter().any(|site| site.name == *name)
    {
        let known: Vec<_> = documents.sites.iter().map(|site| site.name.as_str()).collect();
        let fix = crate::documents::compile::suggestion(name, &known);
        return Err(format!("--site: there is no site \"{name}\"\n  fix: {fix}").into());
    }
    let is_meant = |name: &str| arguments.site.as_deref().is_none_or(|wanted| wanted == name);
    findings.extend(sites::findings(&documents, is_meant));
    let look = &arguments.look;
    if let Some(url) = &look.url {
        findings.extend(deployment::findings(url, look, place, &documents, arguments.site.as_deref())?);
    }
    findings.sort_by_key(|finding| finding.weight);
    // Who looks at a deployment has pointed the libraries already.
    let of_sites = documents.sites.iter().filter(|site| is_meant(&site.name) && look.url.is_none());
    let of_sites: Vec<_> = of_sites.map(|site| libraries::OfSite::new(site, arguments.all)).collect();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&Told { findings: &findings, sites: of_sites })?)?;
    } else {
        print(&findings, out)?;
        of_sites.iter().try_for_each(|site| site.print(out))?;
    }
    match findings.iter().filter(|finding| finding.weight == Weight::Wrong).count() {
        0 => Ok(()),
        1 => Err("one thing is wrong: see above".into()),
        wrong => Err(format!("{wrong} things are wrong: see above").into()),
    }
}

fn print(findings: &[Finding], out: &mut dyn Write) -> std::io::Result<()> {
    if findings.is_empty() {
        return writeln!(out, "Nothing was found.");
    }
    for Finding { weight, what, fix } in findings {
        let weight = match weight {
            Weight::Wrong => "wrong",
            Weight::Doubtful => "doubtful",
            Weight::Note => "note",
            Weight::Right => "right",
        };
        writeln!(out, "{:10}{}", format!("{weight}:"), what.replace('\n', "\n          "))?;
        if !fix.is_empty() {
            writeln!(out, "{:10}fix: {}", "", fix.replace('\n', "\n          "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_finding_with_its_fix() {
        let finding = Finding::of_error(&"x: is missing\n  fix: write it".into());
        assert_eq!(finding, Finding::new(Weight::Wrong, "x: is missing", "write it"));
    }
}
