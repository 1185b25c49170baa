//! `policy show`: a privacy officer's question, answered from the documents in force.

use std::{io::Write, sync::Arc};

use clap::Args;

use super::CommandError;
use crate::{
    documents::{
        Basis, Bots, Destination, Documents, Site,
        compile::suggestion,
        deviation::{Deviation, State},
    },
    privacy::{
        crowd::{WINDOW_DAYS, rules::CrowdRules, tuple::Step},
        fidelity::Figure,
        policy::{Field, Treatment, Treatments},
    },
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArguments {
    /// Only this site.
    #[arg(long)]
    site: Option<String>,
    /// Only this destination.
    #[arg(long)]
    destination: Option<String>,
}

pub(super) fn show(documents: &Documents, arguments: &ShowArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let sites: Vec<_> = documents.sites.iter().filter(|site| arguments.site.as_ref().is_none_or(|name| *name == site.name)).collect();
    if let Some(name) = arguments.site.as_ref().filter(|_| sites.is_empty()) {
        let known: Vec<_> = documents.sites.iter().map(|site| site.name.as_str()).collect();
        return Err(format!("--site: there is no site \"{name}\"\n  fix: {}", suggestion(name, &known)).into());
    }
    if let Some(name) = &arguments.destination {
        let known: Vec<_> =
            sites.iter().flat_map(|site| documents.receiving(site.number)).map(|destination| destination.name.as_str()).collect();
        if !known.contains(&name.as_str()) {
            return Err(format!("--destination: there is no destination \"{name}\"\n  fix: {}", suggestion(name, &known)).into());
        }
    }
    for site in sites {
        let policy = &site.policy;
        let bound = policy.preset.map_or_else(String::new, |preset| format!(", nothing beyond {}", preset.name()));
        writeln!(out, "site \"{}\", policy \"{}\" version {}{bound}", site.name, policy.name, policy.version.0)?;
        if let Some(reason) = &site.signals.gpc_site_override {
            writeln!(out, "  a yes that was given on this very site counts although the browser sends GPC: {reason}")?;
        }
        if site.signals.follow_matomo {
            writeln!(out, "  a yes in Matomo's cookies is one for the site; a refusal in them counts in any case")?;
        }
        if let Some(domain) = site.cookies.domain() {
            writeln!(out, "  the site's cookies are for all of {domain}, not for one host")?;
        }
        let kept_alive: Vec<_> = site.cookies.of_vendors().iter().map(|cookie| cookie.name()).collect();
        if !kept_alive.is_empty() {
            writeln!(out, "  vendors' cookies that are kept alive after a yes to their purpose: {}", kept_alive.join(", "))?;
        }
        show_crowds(&policy.crowd, out)?;
        let wanted = |destination: &&Arc<Destination>| arguments.destination.as_ref().is_none_or(|name| *name == destination.name);
        for destination in documents.receiving(site.number).filter(wanted) {
            show_destination(site, destination, out)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn show_crowds(rules: &CrowdRules, out: &mut dyn Write) -> std::io::Result<()> {
    let CrowdRules { visitors, reason, order, consented } = rules;
    if *visitors == 1 {
        return writeln!(out, "  no crowds are asked for: {}", reason.as_deref().unwrap_or_default());
    }
    let whose = if *consented { "of everyone" } else { "of visitors who have not agreed" };
    let order = order.map(Step::name).join(", ");
    writeln!(out, "  crowds: {whose}, no device, place, language, screen or page leaves that fewer than {visitors} distinct visitors")?;
    writeln!(out, "  a day had in the {WINDOW_DAYS} days before; given up until it is so: {order}")?;
    writeln!(out, "  pages of the policy's routes need no crowd")?;
    writeln!(out, "  no crowd yet: devices, places and other pages are withheld until there is; the live view says how it stands")
}

fn show_destination(site: &Site, destination: &Destination, out: &mut dyn Write) -> std::io::Result<()> {
    let allowed = site.allowed(destination.number);
    let paused = if destination.paused { ", paused" } else { "" };
    writeln!(out, "\n  to \"{}\" ({}, {}{paused})", destination.name, destination.kind, allowed.breadth.name())?;
    match (destination.basis, destination.kept_months) {
        (Basis::ExemptMeasurement, Some(months)) => {
            writeln!(
                out,
                "    kept there {months} months at most (the exemption's bound: 25); an id lives one day at most (its bound: 13 months)"
            )?;
        }
        (_, Some(months)) => writeln!(out, "    kept there {months} months at most")?,
        (_, None) => writeln!(out, "    kept there as long as its own rules say (kept_months says otherwise)")?,
    }
    if !destination.release.is_live() {
        writeln!(out, "    crowds are decided on {}: nothing leaves before", destination.release.in_words())?;
    }
    if destination.bots == Bots::People {
        writeln!(out, "    what looks like a program's (suspected or declared): nothing; it is counted as withheld (bot)")?;
    }
    writeln!(out, "    who objected (refusal, opt-out, GPC, DNT): nothing; it is counted")?;
    if allowed.breadth.is_nothing() {
        return writeln!(out, "    everyone else: nothing, by this policy");
    }
    match destination.basis {
        Basis::ExemptMeasurement => {
            writeln!(out, "    everyone else, also before the choice (audience measurement for the site itself):")?;
            show_table(site, destination, State::Unknown, &allowed.treatments(allowed.breadth, false), out)
        }
        Basis::Consent(needed) => {
            let purposes = needed.names().collect::<Vec<_>>().join(" and ");
            writeln!(out, "    who has not chosen yet: nothing; it needs consent to {purposes}")?;
            if let Some(vendor) = destination.tcf_vendor {
                writeln!(
                    out,
                    "    the consent must be, where it comes with a TC string, also to vendor {vendor} of the global vendor list"
                )?;
            }
            writeln!(out, "    who agreed to {purposes}:")?;
            let consented = allowed.breadth.needs_consent();
            let state = if consented { State::Granted } else { State::Unknown };
            show_table(site, destination, state, &allowed.treatments(allowed.breadth, consented), out)
        }
    }
}

fn show_table(site: &Site, destination: &Destination, state: State, treatments: &Treatments, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        "      {:<11} {:<13} the event's id under this destination's key, the site's name, the choice, the policy's version",
        "", "always"
    )?;
    for field in Field::ALL {
        let treatment = treatments.get(field);
        writeln!(out, "      {:<11} {:<13} {}", field.name(), treatment.name(), field.effect(treatment, state == State::Granted))?;
        let listed = match field {
            Field::Name => site.policy.events.iter().cloned().collect(),
            Field::Page => site.policy.routes.written().map(str::to_owned).collect::<Vec<_>>(),
            Field::Properties => site.policy.properties.iter().map(|(name, kind)| format!("{name} ({})", kind.name())).collect(),
            _ => Vec::new(),
        };
        if !listed.is_empty() && treatment != Treatment::Drop {
            writeln!(
                out,
                "      {:<11} {:<13}   {}: {}",
                "",
                "",
                if field == Field::Page { "routes" } else { "listed" },
                listed.join(", ")
            )?;
        }
        let deviations = &site.policy.deviations;
        let of_field = |deviation: &&Deviation| deviation.field == field && deviation.is_for(&destination.name) && deviation.is_in(state);
        for deviation in deviations.iter().filter(of_field) {
            writeln!(out, "      {:<11} {:<13}   deviation: {}", "", "", deviation.reason)?;
        }
    }
    writeln!(out, "      what its figures are worth then:")?;
    for figure in Figure::ALL {
        writeln!(out, "        {:<22} {}", figure.name(), figure.worth(treatments, state == State::Granted).in_words())?;
    }
    Ok(())
}
