//! `prove`: marked beacons through the documents in force, and a search for the marks in everything that came of them.

use std::{
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
    time::Duration,
};

use clap::Args;

use super::{CommandError, Place};
use crate::{
    clock,
    config::Config,
    documents::parse::{Document, DocumentFile},
    prove::{
        self, Outcome, Wish,
        day_end::Control,
        grammar::Grammar,
        pack::{self, Circumstances},
        places,
        scoreboard::{self, Ask, live::Live, table},
    },
};

/// Fewer have no crowd at all; more take more than a few minutes and a few hundred megabytes.
const VISITORS: std::ops::RangeInclusive<i64> = 100..=20_000;
/// Where the terminal does not say how wide it is.
const COLUMNS: usize = 100;
/// Slots that are named on the terminal; all are in the pack.
const NAMED_MAX: usize = 10;

#[derive(Debug, Args)]
pub(super) struct ProveArguments {
    /// Write the evidence pack into this directory.
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    out: PathBuf,
    /// What canaries are made from; the same gives the same hash.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// At least so many canaries; each is sent in every spelling.
    #[arg(long, default_value_t = 10_000)]
    canaries: usize,
    /// Pass the same on to the real receiver of this destination. May be given more than once.
    #[arg(long, value_name = "DESTINATION")]
    tee: Vec<String>,
    /// Take what deviations keep beyond a preset as allowed, instead of as a find.
    #[arg(long)]
    with_deviations: bool,
    /// Do not add destinations of the types that the documents have none of.
    #[arg(long)]
    only_mine: bool,
    /// Do not make the weakened runs.
    #[arg(long)]
    no_weakened_runs: bool,
    /// Sign with this key: Ed25519, PKCS#8 DER. Default: `prove.key` beside the pack, made at the first run.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Also print the scoreboard: S1 to S25, each measured here, read from the running installation, or not measured and why.
    #[arg(long)]
    scoreboard: bool,
    #[command(flatten)]
    board: BoardArguments,
    /// Check a pack's hashes and signature, and do nothing else.
    #[arg(long, value_name = "DIR")]
    verify: Option<PathBuf>,
}

/// How the scoreboard is made.
#[derive(Debug, Args)]
struct BoardArguments {
    /// The site whose visitors are made up. Default: the first.
    #[arg(long, value_name = "SITE", requires = "scoreboard", help_heading = "Scoreboard")]
    site: Option<String>,
    /// So many synthetic visitors a day.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(VISITORS), help_heading = "Scoreboard")]
    visitors: u32,
    /// How long to search for addresses, with the key and without, in seconds each: as many are tried as fit.
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Scoreboard")]
    search_seconds: u64,
    /// Search all of IPv4 instead. Takes hours to days; the key never rests, so what was begun cannot be gone on with.
    #[arg(long, requires = "scoreboard", conflicts_with = "search_seconds", help_heading = "Scoreboard")]
    full: bool,
    /// So many kinds of device are tried with each address.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200), help_heading = "Scoreboard")]
    kinds: u16,
    /// Print each row's figures destination by destination; the pack has them anyway.
    #[arg(long, requires = "scoreboard", help_heading = "Scoreboard")]
    detailed: bool,
    /// End with 1 where a row that was measured here misses its target.
    #[arg(long, requires = "scoreboard", help_heading = "Scoreboard")]
    strict: bool,
}

pub(super) fn prove(place: &Place, arguments: &ProveArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    if let Some(directory) = &arguments.verify {
        let said = pack::verify(directory)?;
        writeln!(out, "The pack is whole and signed.\nproven   {}\nkey      {}", said.hash, said.key_fingerprint)?;
        return Ok(());
    }
    let config = place.config()?.unwrap_or_else(Config::demonstration);
    let binary = std::env::current_exe()?;
    let begun = clock::now();
    let wish = Wish {
        documents: documents(place)?,
        config: &config,
        binary: &binary,
        seed: arguments.seed,
        canaries: arguments.canaries,
        with_deviations: arguments.with_deviations,
        only_mine: arguments.only_mine,
        tee: arguments.tee.clone(),
        weaken: !arguments.no_weakened_runs,
    };
    let mut progress = progress();
    let mut outcome = prove::prove(&wish, &mut progress)?;
    if arguments.scoreboard {
        let board = &arguments.board;
        let ask = Ask {
            site: board.site.clone(),
            visitors: board.visitors,
            search: (!board.full).then_some(Duration::from_secs(board.search_seconds)),
            classes: usize::from(board.kinds),
        };
        let live = installation(place)?.then(|| Live::ask(config.listen.admin));
        outcome.scoreboard = Some(scoreboard::measure(&wish, &outcome, &ask, live.as_ref(), &mut progress)?);
    }
    let took = clock::now().since(begun);
    let circumstances = Circumstances { begun: begun.rfc3339(), took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) };
    let said = pack::write(&outcome, &circumstances, &arguments.out, arguments.key.as_deref())?;
    print(&outcome, out)?;
    if let Some(board) = &outcome.scoreboard {
        write!(out, "{}", table::text(board, columns(), arguments.board.detailed))?;
    }
    writeln!(out, "\npack     {}\nproven   {}\nkey      {}", arguments.out.display(), said.hash, said.key_fingerprint)?;
    let red = outcome.red();
    if red.is_empty() {
        writeln!(out, "\nGREEN: no canary is where it must not be, and every control was found ({:.0} s).", took.as_secs_f64())?;
        let missed: Vec<&str> = outcome.scoreboard.iter().flat_map(|board| board.missed_here().map(|row| row.id)).collect();
        if arguments.board.strict && !missed.is_empty() {
            out.flush()?;
            return Err(format!("--strict: measured here, and missed: {}", missed.join(", ")).into());
        }
        return Ok(());
    }
    out.flush()?;
    Err(format!("RED: {}", red.join("\n  ")).into())
}

/// Whether there is an installation that could be running: a configuration, or data.
fn installation(place: &Place) -> Result<bool, CommandError> {
    Ok(place.config_file().is_some() || place.data_dir()?.join("state.db").exists())
}

/// How wide the terminal is.
fn columns() -> usize {
    let asked = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    let said = || std::env::var("COLUMNS").ok()?.parse().ok();
    asked.or_else(said).unwrap_or(COLUMNS)
}

/// The documents in force; those of the demonstration where nothing is configured and nothing stored. What is stored is read from a copy:
/// opening a database writes to it.
fn documents(place: &Place) -> Result<Vec<Document>, CommandError> {
    let data = place.data_dir()?;
    if place.config_file().is_some() || data.join("state.db").exists() {
        let copy = tempfile::Builder::new().prefix("firsthand-prove-").tempdir()?;
        for name in ["state.db", "state.db-wal"] {
            let file = data.join(name);
            if file.exists() {
                std::fs::copy(&file, copy.path().join(name)).map_err(|error| format!("{}: cannot be copied: {error}", file.display()))?;
            }
        }
        let of_copy = Place { config: place.config.clone(), data_dir: Some(copy.path().to_owned()) };
        return of_copy.document_texts_at_start();
    }
    let file = DocumentFile::parse(include_str!("../demonstration/documents.toml"))?;
    let mut documents = file.into_documents();
    for document in &mut documents {
        if let Document::Site(site) = document {
            site.origins = vec![String::from("http://127.0.0.1:8080")];
        }
    }
    Ok(documents)
}

/// One line on standard error: rewritten at a terminal, else a line for each new thing.
fn progress() -> impl FnMut(&str, usize, usize) {
    let terminal = io::stderr().is_terminal();
    let mut last = (String::new(), 0);
    move |what, done, of| {
        let percent = (done * 100).checked_div(of).unwrap_or(0);
        if last == (what.to_owned(), percent) || (!terminal && last.0 == what) {
            return;
        }
        last = (what.to_owned(), percent);
        let mut stderr = io::stderr().lock();
        // Nothing is lost where it cannot be shown.
        let _ = match (terminal, of) {
            (true, 0) => write!(stderr, "\r\x1b[K{what} …"),
            (true, _) => write!(stderr, "\r\x1b[K{what} [{:<25}] {done} of {of}", "█".repeat(percent / 4)),
            (false, 0) => writeln!(stderr, "{what} …"),
            (false, _) => writeln!(stderr, "{what}: {of} …"),
        };
        let _ = stderr.flush();
    }
}

fn print(outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let tried = &outcome.tried;
    let slots: usize = tried.slots.values().map(Vec::len).sum();
    writeln!(
        out,
        "\n{} canaries in {slots} slots × {} spellings, {} marked beacons, {} destinations\n",
        tried.canaries,
        outcome.spellings.len(),
        tried.beacons,
        outcome.destinations.len()
    )?;
    let width = tried.places.keys().map(|place| place.name().chars().count()).max().unwrap_or(0);
    writeln!(out, "{:width$}  {:>12}  {:>8}  canaries", "place", "bytes", "controls")?;
    for (place, searched) in &tried.places {
        let name = place.name();
        if let Some(why) = &searched.not_searched {
            writeln!(out, "{name:width$}  {:>12}  {:>8}  not searched: {why}", "–", "–")?;
            continue;
        }
        let found = if searched.leaks.is_empty() { String::from("clean") } else { format!("{} FOUND", searched.leaks.len()) };
        let allowed =
            if searched.allowed.is_empty() { String::new() } else { format!(", {} allowed by the policy", searched.allowed.len()) };
        let controls = format!("{}/{}", searched.recovered, searched.planted);
        let left = if *place == places::Place::Memory && tried.in_memory > 0 {
            format!("; {} of {} not wiped yet (judged after the day's end)", tried.in_memory, tried.canaries)
        } else {
            String::new()
        };
        writeln!(out, "{name:width$}  {:>12}  {controls:>8}  {found}{allowed}{left}", searched.bytes)?;
    }
    if tried.places.get(&places::Place::Night).is_some_and(|searched| searched.not_searched.is_none()) {
        let Control { sites, keys_before, address_before, agent_before } = &outcome.day_end;
        let found = |there: bool| if there { "found" } else { "NOT FOUND" };
        writeln!(
            out,
            "\nin memory before the day's end, as it has to be: the day's key of {keys_before} of {sites} sites; of a request under way, the address {}, \
             the user agent {}",
            found(*address_before),
            found(*agent_before)
        )?;
    }
    let slots = places::escaped(tried.leaks());
    if !slots.is_empty() {
        writeln!(out, "\nwhat got out, and by which field:")?;
    }
    for slot in slots.iter().take(NAMED_MAX) {
        writeln!(out, "  {}, is in", slot.what)?;
        for whither in &slot.whither {
            writeln!(out, "      {whither}")?;
        }
    }
    if slots.len() > NAMED_MAX {
        writeln!(out, "  and {} more slots, in the pack", slots.len() - NAMED_MAX)?;
    }
    let (parcels, bytes) =
        tried.beside.values().fold((0, 0), |(parcels, bytes), one| (parcels + one.captured.parcels, bytes + one.captured.bytes));
    let differing = tried.beside.values().filter(|one| !one.agrees()).count();
    let told = if differing == 0 {
        String::from("the ledger of what left says the same")
    } else {
        format!("of {differing} the ledger of what left says something else")
    };
    writeln!(out, "\n{} receivers got {parcels} requests of {bytes} bytes; {told}", tried.beside.len())?;
    if !outcome.listed_properties.is_empty() {
        let listed = outcome.listed_properties.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        writeln!(out, "\nlisted by the policy, so that plain words in them may leave and are no find: {listed}")?;
    }
    let Grammar { read, names, undeclared, .. } = &tried.grammar;
    writeln!(out, "read back, {read} requests and files have {names} names; declared by no form: {}", undeclared.len())?;
    for name in undeclared.iter().take(NAMED_MAX) {
        writeln!(out, "  {name}")?;
    }
    for (name, teed) in &tried.teed {
        writeln!(out, "passed on to the real receiver of {name}: {} accepted, {} refused", teed.accepted, teed.refused)?;
    }
    if !outcome.weakened.is_empty() {
        writeln!(out, "\nweakened runs, each of which has to go red:")?;
    }
    for run in &outcome.weakened {
        let how = if run.by_rule { "rule" } else { "policy" };
        let result = match (&run.example, run.must_show) {
            (Some(_), _) => "red  ",
            (None, true) => "GREEN",
            (None, false) => "–    ",
        };
        writeln!(out, "  {how:6}  {result}  {}", run.says)?;
        if let Some(leak) = &run.example {
            writeln!(out, "                 {}", leak.sentence())?;
        }
    }
    Ok(())
}
