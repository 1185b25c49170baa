//! `replay`: sends events to a destination again that have ended there: because the receiver lost them, or refused them for a fault that is
//! repaired.

use std::{collections::BTreeMap, io::Write, sync::Arc};

use clap::{ArgAction, Args};

use super::{CommandError, Place, lint::named};
use crate::{
    clock::{self, Timestamp},
    delivery::{
        ledger::LedgerState,
        offsets::OffsetSet,
        replay::{self, Asked, REPLAYED, RUNS_MAX, Selection},
    },
    destination::DestinationType,
    documents::{Destination, Documents},
    event_log::{LogRecord, look},
    privacy::{keys::database::KeysDb, replay::Replayer},
};

/// How an event may have ended that its receiver may have kept.
const KEPT: [LedgerState; 3] = [LedgerState::Accepted, LedgerState::AcceptedUnproven, LedgerState::DroppedByReceiver];
/// Records looked at together when events are told by what they say.
const RECORDS_AT_ONCE: usize = 1_000;

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// The destination's name.
    #[arg(required_unless_present = "list")]
    destination: Option<String>,
    /// Only events that ended so; may be said more than once. Default: rejected and expired.
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<String>,
    /// Only events that ended at this moment or later, e.g. 2026-03-14T09:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only events that ended before this moment. Default: now.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only events of this site.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Only events of this name, as the destination is told it; may be said more than once.
    #[arg(long = "event", value_name = "NAME")]
    events: Vec<String>,
    /// Why; it stays on record.
    #[arg(long, required_unless_present_any = ["list", "dry_run"])]
    reason: Option<String>,
    /// Who; kept with it.
    #[arg(long, env = "USER", default_value = "command line")]
    author: String,
    /// Only say how many events it would be.
    #[arg(long)]
    dry_run: bool,
    /// Send again what the receiver may have kept, though it would count it twice.
    #[arg(long, action = ArgAction::SetTrue)]
    allow_duplicates: bool,
    /// List those that were asked for.
    #[arg(long, conflicts_with = "destination")]
    list: bool,
}

pub(super) fn replay(place: &Place, arguments: &ReplayArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let store = place.documents(false)?;
    let documents = store.compiled()?;
    if arguments.list {
        return list(place, &documents, out);
    }
    let destination = named(&documents, arguments.destination.as_deref().unwrap_or_default())?;
    let state = state(place)?;
    let selected = replay::select(&state, destination.number, &selection(arguments)?)?;
    let selected = narrowed(place, arguments, selected, destination, &documents)?;
    let whole = whole(&selected);
    if whole.is_empty() {
        writeln!(out, "No event of \"{}\" is meant: nothing to send again.", destination.name)?;
        return Ok(());
    }
    for (ended, offsets) in selected.iter().filter(|(_, offsets)| !offsets.is_empty()) {
        writeln!(out, "  {:>8}  {}", offsets.count(), ended.name())?;
    }
    check(arguments, destination, &selected)?;
    if whole.ranges().count() > RUNS_MAX {
        let fix = "--from and --until for a part of them at a time";
        return Err(format!("these are more than {RUNS_MAX} runs of events that are not neighbours\n  fix: {fix}").into());
    }
    let count = whole.count();
    if arguments.dry_run {
        writeln!(out, "{count} events would be sent to \"{}\" again, as far as they may still leave.", destination.name)?;
        return Ok(());
    }
    let reason = arguments.reason.as_deref().unwrap_or_default();
    replay::ask(&state, destination.number, &whole, (&arguments.author, reason), clock::now())?;
    writeln!(
        out,
        "Asked for: {count} events go to \"{}\" again, as far as they may still leave. A running server begins within a few seconds, one that does not run when it starts.",
        destination.name
    )?;
    if destination.paused {
        writeln!(out, "The destination is paused: they wait until it is not.")?;
    }
    Ok(())
}

fn state(place: &Place) -> Result<Arc<crate::state::StateDb>, CommandError> {
    Ok(Arc::new(crate::state::StateDb::open(&place.data_dir()?.join("state.db"))?))
}

fn selection(arguments: &ReplayArguments) -> Result<Selection, CommandError> {
    let mut states = Vec::new();
    for said in &arguments.states {
        let found = LedgerState::named(said).filter(|state| REPLAYED.contains(state)).ok_or_else(|| {
            let known: Vec<_> = REPLAYED.iter().map(|state| state.name()).collect();
            format!("--state: nothing that ended \"{said}\" can be sent again\n  fix: one of: {}", known.join(", "))
        })?;
        states.push(found);
    }
    if states.is_empty() {
        states = vec![LedgerState::Rejected, LedgerState::Expired];
    }
    let time = |flag: &str, said: &Option<String>, default: Timestamp| match said {
        None => Ok(default),
        Some(text) => text
            .parse::<jiff::Timestamp>()
            .map(|at| Timestamp(at.as_millisecond()))
            .map_err(|_| CommandError::from(format!("--{flag}: that is no time\n  fix: as in 2026-03-14T09:00:00Z"))),
    };
    Ok(Selection {
        states,
        from: time("from", &arguments.from, Timestamp(i64::MIN))?,
        until: time("until", &arguments.until, Timestamp(i64::MAX))?,
    })
}

/// Of what was selected, what is of the named site and says the named events.
fn narrowed(
    place: &Place,
    arguments: &ReplayArguments,
    selected: BTreeMap<LedgerState, OffsetSet>,
    destination: &Destination,
    documents: &Documents,
) -> Result<BTreeMap<LedgerState, OffsetSet>, CommandError> {
    if arguments.site.is_none() && arguments.events.is_empty() {
        return Ok(selected);
    }
    if let Some(name) = &arguments.site
        && documents.sites.iter().all(|site| site.name != *name)
    {
        return Err(format!("--site: there is no site \"{name}\"").into());
    }
    let directory = place.data_dir()?;
    let replayer = Replayer::new(state(place)?, Arc::new(KeysDb::open(&directory.join("keys.db"))?))?;
    let meant = whole(&selected);
    let mut fit = OffsetSet::default();
    let mut failed = Ok(());
    let mut sort = |records: &mut Vec<LogRecord>| {
        let mut see = |disclosure: &crate::privacy::disclose::Disclosure| {
            let of_site = arguments.site.as_deref().is_none_or(|site| disclosure.site() == site);
            let named = arguments.events.is_empty() || arguments.events.iter().any(|name| disclosure.name() == name);
            if of_site && named {
                fit.insert(disclosure.offset());
            }
        };
        let tried = replayer.try_out(records, documents, destination, clock::now(), &mut see);
        records.clear();
        tried.map(|_| ())
    };
    let mut records = Vec::new();
    look(&directory.join("log"), &mut |record| {
        if meant.contains(record.offset) {
            records.push(record);
            if records.len() >= RECORDS_AT_ONCE {
                failed = sort(&mut records);
            }
        }
        failed.is_ok()
    })?;
    failed?;
    sort(&mut records)?;
    let mut narrowed = selected;
    for offsets in narrowed.values_mut() {
        let mut left = OffsetSet::default();
        for (first, last) in offsets.ranges() {
            fit.within(first, last).ranges().for_each(|(first, last)| left.insert_range(first, last));
        }
        *offsets = left;
    }
    Ok(narrowed)
}

fn whole(selected: &BTreeMap<LedgerState, OffsetSet>) -> OffsetSet {
    let mut whole = OffsetSet::default();
    selected.values().for_each(|offsets| offsets.ranges().for_each(|(first, last)| whole.insert_range(first, last)));
    whole
}

/// What a receiver may have kept goes to one again that knows events again, or where somebody takes the doubles.
fn check(arguments: &ReplayArguments, destination: &Destination, selected: &BTreeMap<LedgerState, OffsetSet>) -> Result<(), CommandError> {
    let kept: u64 = selected.iter().filter(|(state, _)| KEPT.contains(state)).map(|(_, offsets)| offsets.count()).sum();
    if kept == 0 || arguments.allow_duplicates {
        return Ok(());
    }
    let row = DestinationType::named(destination.kind).ok_or("there is no such destination type")?;
    let service = (row.open)(&destination.settings).map_err(|error| error.to_string())?;
    if service.knows_again() {
        return Ok(());
    }
    Err(format!(
        "{} may have kept {kept} of these, and counts what is sent twice twice\n  fix: --state rejected --state expired for the others alone, or --allow-duplicates",
        destination.kind
    )
    .into())
}

fn list(place: &Place, documents: &Documents, out: &mut dyn Write) -> Result<(), CommandError> {
    let asked = replay::newest(&*state(place)?)?;
    if asked.is_empty() {
        writeln!(out, "None was asked for yet.")?;
    }
    for Asked { destination, events, author, reason, at, begun } in asked {
        let name = documents.destinations.iter().find(|known| known.number == destination).map_or("(gone)", |known| known.name.as_str());
        let stands = match begun {
            None => String::from("waits for a server"),
            Some((reopened, since)) => format!("{reopened} opened again, {}", since.rfc3339()),
        };
        writeln!(out, "{}  {name}: {events} events; {stands}; by {author}: {reason}", at.rfc3339())?;
    }
    Ok(())
}
