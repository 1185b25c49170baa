//! `policy`: what each destination may see of whom, and changes to that. `show` answers a privacy officer's question from the documents
//! in force; `set` makes one deviation; `diff` says what documents in a file would change about what leaves, before they are applied.

use std::{io::Write, path::PathBuf, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};

use super::{CommandError, Place, recleanse::TIGHTENED};
use crate::{
    clock,
    documents::{
        Basis, Destination, Documents, Site,
        compile::suggestion,
        deviation::{Deviation, State},
        files::read_documents,
        parse::{Document, PolicyDocument},
        store::{Author, DocumentStore},
    },
    privacy::policy::{Field, Treatment, Treatments},
    state::{IN_MEMORY, StateDb},
};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Say what leaves to each destination: for visitors who objected, who have not chosen, and who agreed.
    Show(ShowArguments),
    /// Change what becomes of one field, with a reason. A running server acts on it within a second.
    Set(SetArguments),
    /// Say what would newly leave, and what no longer, if the documents of a file or directory were applied.
    Diff(DiffArguments),
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Only this site.
    #[arg(long)]
    site: Option<String>,
    /// Only this destination.
    #[arg(long)]
    destination: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct SetArguments {
    /// The field, as `policy show` names it.
    field: String,
    /// What becomes of it: drop, generalise, pseudonymise, keep; or `preset`, which takes a deviation back.
    treatment: String,
    /// Which policy. Default: the only one there is.
    #[arg(long)]
    policy: Option<String>,
    /// Only for this destination; may be said more than once. Default: for all.
    #[arg(long = "destination", value_name = "NAME")]
    destinations: Vec<String>,
    /// Only for visitors in this state. Default: for all; without consent a policy can only narrow.
    #[arg(long)]
    state: Option<StateName>,
    /// Why; it stays with the deviation, and with the document's version.
    #[arg(long)]
    reason: String,
    /// Who; kept with the document's version.
    #[arg(long, env = "USER", default_value = "command line")]
    author: String,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StateName {
    /// Has not chosen.
    Unknown,
    /// Agreed to what the destination needs.
    Granted,
}

#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// A TOML file of documents, or a directory of such files.
    path: PathBuf,
    /// As if documents that are not in the files were removed.
    #[arg(long)]
    prune: bool,
}

pub(super) fn policy(place: &Place, command: &PolicyCommand, out: &mut dyn Write) -> Result<(), CommandError> {
    match command {
        PolicyCommand::Show(arguments) => show(&place.documents_at_start()?, arguments, out),
        PolicyCommand::Set(arguments) => set(place, arguments, out),
        PolicyCommand::Diff(arguments) => diff(place, arguments, out),
    }
}

fn show(documents: &Documents, arguments: &ShowArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let sites: Vec<_> = documents.sites.iter().filter(|site| arguments.site.as_ref().is_none_or(|name| *name == site.name)).collect();
    if let Some(name) = arguments.site.as_ref().filter(|_| sites.is_empty()) {
        let known: Vec<_> = documents.sites.iter().map(|site| site.name.as_str()).collect();
        return Err(format!("--site: there is no site \"{name}\"\n  fix: {}", suggestion(name, &known)).into());
    }
    if let Some(name) = &arguments.destination {
        let known: Vec<_> = documents.destinations.iter().map(|destination| destination.name.as_str()).collect();
        if !known.contains(&name.as_str()) {
            return Err(format!("--destination: there is no destination \"{name}\"\n  fix: {}", suggestion(name, &known)).into());
        }
    }
    for site in sites {
        let policy = &site.policy;
        let bound = policy.preset.map_or_else(String::new, |preset| format!(", nothing beyond {}", preset.name()));
        writeln!(out, "site \"{}\", policy \"{}\" version {}{bound}", site.name, policy.name, policy.version.0)?;
        let wanted = |destination: &&Arc<Destination>| {
            destination.sites.contains(&site.number) && arguments.destination.as_ref().is_none_or(|name| *name == destination.name)
        };
        for destination in documents.destinations.iter().filter(wanted) {
            show_destination(site, destination, out)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn show_destination(site: &Site, destination: &Destination, out: &mut dyn Write) -> std::io::Result<()> {
    let allowed = site.allowed(destination.number);
    let paused = if destination.paused { ", paused" } else { "" };
    writeln!(out, "\n  to \"{}\" ({}, {}{paused})", destination.name, destination.kind, allowed.breadth.name())?;
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
            Field::Properties => site.policy.properties.iter().map(|(name, kind)| format!("{name} ({})", kind.name())).collect(),
            _ => Vec::new(),
        };
        if !listed.is_empty() && treatment != Treatment::Drop {
            writeln!(out, "      {:<11} {:<13}   listed: {}", "", "", listed.join(", "))?;
        }
        let deviations = &site.policy.deviations;
        let of_field = |deviation: &&Deviation| deviation.field == field && deviation.is_for(&destination.name) && deviation.is_in(state);
        for deviation in deviations.iter().filter(of_field) {
            writeln!(out, "      {:<11} {:<13}   deviation: {}", "", "", deviation.reason)?;
        }
    }
    Ok(())
}

fn set(place: &Place, arguments: &SetArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let field = Field::named(&arguments.field).ok_or_else(|| {
        let known = Field::ALL.map(Field::name);
        format!("there is no field \"{}\"\n  fix: {}", arguments.field, suggestion(&arguments.field, &known))
    })?;
    let treatment = match arguments.treatment.as_str() {
        "preset" => None,
        name => Some(field.offered().iter().copied().find(|treatment| treatment.name() == name).ok_or_else(|| {
            let offered: Vec<_> = field.offered().iter().copied().map(Treatment::name).collect();
            format!("\"{}\" cannot be made \"{name}\"\n  fix: one of: {}, preset", field.name(), offered.join(", "))
        })?),
    };
    let store = place.documents(false)?;
    let mut documents = store.export()?;
    let policy = chosen_policy(&mut documents, arguments.policy.as_deref())?;
    refuse_managed(place, &policy.name)?;
    let state = arguments.state.map(|name| match name {
        StateName::Unknown => State::Unknown,
        StateName::Granted => State::Granted,
    });
    let same =
        |deviation: &Deviation| deviation.field == field && deviation.state == state && deviation.destinations == arguments.destinations;
    let before = policy.deviation.len();
    policy.deviation.retain(|deviation| !same(deviation));
    match treatment {
        Some(treatment) => policy.deviation.push(Deviation {
            field,
            treatment,
            state,
            destinations: arguments.destinations.clone(),
            reason: arguments.reason.clone(),
        }),
        None if policy.deviation.len() == before => {
            return Err(format!("policy \"{}\" has no such deviation of \"{}\"", policy.name, field.name()).into());
        }
        None => {}
    }
    let document = Document::Policy(policy.clone());
    let before = store.compiled()?;
    let author = Author { name: &arguments.author, reason: &arguments.reason, at: clock::now() };
    let after = proposed(documents, vec![document.clone()], false)?;
    print_differences(&before, &after, out)?;
    store.apply(vec![document], false, arguments.dry_run, &author)?;
    if arguments.dry_run {
        writeln!(out, "Nothing was changed (--dry-run).")?;
    } else {
        writeln!(out, "In force. A running server acts on it within a second.")?;
        if store.compiled().is_ok_and(|now| now.tighten(&before)) {
            writeln!(out, "{TIGHTENED}")?;
        }
    }
    Ok(())
}

fn chosen_policy<'d>(documents: &'d mut [Document], name: Option<&str>) -> Result<&'d mut PolicyDocument, CommandError> {
    let mut policies: Vec<&mut PolicyDocument> = documents
        .iter_mut()
        .filter_map(|document| match document {
            Document::Policy(policy) => Some(policy),
            Document::Site(_) | Document::Destination(_) => None,
        })
        .collect();
    let known: Vec<String> = policies.iter().map(|policy| policy.name.clone()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let place = match name {
        Some(name) => known
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| format!("--policy: there is no policy \"{name}\"\n  fix: {}", suggestion(name, &known)))?,
        None if known.len() == 1 => 0,
        None if known.is_empty() => return Err("there is no policy yet\n  fix: `firsthand apply FILE` puts one in force".into()),
        None => return Err(format!("there is more than one policy\n  fix: --policy with one of: {}", known.join(", ")).into()),
    };
    Ok(policies.swap_remove(place))
}

/// A document that a file is the master of is changed there.
fn refuse_managed(place: &Place, policy: &str) -> Result<(), CommandError> {
    let Some(managed) = place.config()?.and_then(|config| config.managed) else { return Ok(()) };
    let theirs = read_documents(&managed.from)?;
    if theirs.iter().any(|document| document.kind() == "policy" && document.name() == policy) {
        let file = managed.from.display();
        return Err(format!("policy \"{policy}\" is managed by file: it is read from {file} at every start\n  fix: change it there").into());
    }
    Ok(())
}

fn diff(place: &Place, arguments: &DiffArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let store = place.documents(false)?;
    let after = proposed(store.export()?, read_documents(&arguments.path)?, arguments.prune)?;
    print_differences(&store.compiled()?, &after, out)
}

/// The documents as they would be in force. Nothing is written.
fn proposed(in_force: Vec<Document>, wanted: Vec<Document>, prune: bool) -> Result<Documents, CommandError> {
    let in_memory = DocumentStore::new(Arc::new(StateDb::open(std::path::Path::new(IN_MEMORY))?));
    let author = Author { name: "diff", reason: "diff", at: clock::now() };
    in_memory.apply(in_force, false, false, &author)?;
    in_memory.apply(wanted, prune, false, &author)?;
    Ok(in_memory.compiled()?)
}

/// What would newly leave, and what no longer, per site, destination and state.
fn print_differences(before: &Documents, after: &Documents, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut changes = 0;
    for site in &after.sites {
        for destination in after.destinations.iter().filter(|destination| destination.sites.contains(&site.number)) {
            let was = before.sites.iter().find(|was| was.name == site.name);
            let was_destination = before.destinations.iter().find(|was| was.name == destination.name);
            for state in State::ALL {
                let old = was.zip(was_destination).map_or(Treatments::NOTHING, |(was, to)| leaves(was, to, state));
                let new = leaves(site, destination, state);
                changes += print_table_differences((&site.name, &destination.name, state), &old, &new, out)?;
            }
        }
    }
    for site in &before.sites {
        for destination in before.destinations.iter().filter(|destination| destination.sites.contains(&site.number)) {
            let stays =
                after.sites.iter().find(|stays| stays.name == site.name).is_some_and(|stays| {
                    after.destinations.iter().any(|to| to.name == destination.name && to.sites.contains(&stays.number))
                });
            if !stays {
                writeln!(out, "site \"{}\" to \"{}\": nothing would leave any more", site.name, destination.name)?;
                changes += 1;
            }
        }
    }
    if changes == 0 {
        writeln!(out, "What leaves would stay the same.")?;
    }
    Ok(())
}

/// What leaves to a destination for visitors in a state; nothing, where it has no basis for them.
fn leaves(site: &Site, destination: &Destination, state: State) -> Treatments {
    let allowed = site.allowed(destination.number);
    match (destination.basis, state) {
        (Basis::Consent(_), State::Unknown) => Treatments::NOTHING,
        (Basis::Consent(_), State::Granted) => allowed.treatments(allowed.breadth, allowed.breadth.needs_consent()),
        (Basis::ExemptMeasurement, _) => allowed.treatments(allowed.breadth, false),
    }
}

fn print_table_differences(
    (site, destination, state): (&str, &str, State),
    old: &Treatments,
    new: &Treatments,
    out: &mut dyn Write,
) -> std::io::Result<usize> {
    let who = match state {
        State::Unknown => "of visitors who have not chosen",
        State::Granted => "of visitors who agreed",
    };
    let differing: Vec<Field> = Field::ALL.into_iter().filter(|field| old.get(*field) != new.get(*field)).collect();
    if differing.is_empty() {
        return Ok(0);
    }
    writeln!(out, "site \"{site}\" to \"{destination}\", {who}:")?;
    for field in &differing {
        let (was, is) = (old.get(*field), new.get(*field));
        let what = match is {
            Treatment::Drop => "would no longer leave",
            _ if is > was => "would newly leave",
            _ => "would leave less",
        };
        let effect = field.effect(is, state == State::Granted);
        writeln!(out, "  {what}: {} ({} → {}): {effect}", field.name(), was.name(), is.name())?;
    }
    Ok(differing.len())
}
