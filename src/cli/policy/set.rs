//! `policy set`: one deviation, with its reason.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::{CommandError, Place, print_differences};
use crate::{
    cli::recleanse::TIGHTENED,
    clock,
    documents::{
        compile::suggestion,
        deviation::{Deviation, State},
        parse::{Document, PolicyDocument},
        store::{Author, Proposal},
    },
    privacy::policy::{Field, Treatment},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct SetArguments {
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

pub(super) fn set(place: &Place, arguments: &SetArguments, out: &mut dyn Write) -> Result<(), CommandError> {
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
    let wanted = std::slice::from_ref(&document);
    place.refuse_managed(wanted, &[])?;
    let Proposal { before, after, .. } = store.propose(wanted, false)?;
    print_differences(&before, &after, out)?;
    let author = Author { name: &arguments.author, reason: &arguments.reason, at: clock::now() };
    store.apply(vec![document], false, arguments.dry_run, &author)?;
    if arguments.dry_run {
        writeln!(out, "Nothing was changed (--dry-run).")?;
    } else {
        writeln!(out, "In force. A running server acts on it within a second.")?;
        if after.tighten(&before) {
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
            Document::Site(_) | Document::Destination(_) | Document::ApiKey(_) => None,
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
