//! `egress`: what left to whom, day by day; whether the ledger of it is whole; and the same as a file for a privacy officer.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{CommandError, Place, proof};
use crate::{
    clock,
    egress::{
        Day,
        chain::{EgressFault, Head, Verified, Walk},
        closing::EgressLedger,
        export::{self, Exporter},
        record::{CrowdRecord, DayRecord},
    },
    signing::{PublicKey, hex},
};

/// Days that are shown where none is named.
const DAYS_SHOWN: usize = 14;
/// Digits of a hash that are enough to tell a page's hashes apart.
const HASH_DIGITS: usize = 12;

#[derive(Debug, Args)]
pub(super) struct EgressArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print what left: the last days in a line each, or one day in full.
    Show {
        /// This day in full, in UTC: 2026-11-27.
        #[arg(long, value_name = "DAY")]
        day: Option<Day>,
        /// To this destination alone.
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
        /// As JSON, all of it.
        #[arg(long)]
        json: bool,
    },
    /// Walk the whole chain: was a day changed, left out, moved, signed by somebody else, or its records erased before their time?
    Verify {
        /// Whose signatures are expected: a fingerprint, a public key, or a file with one of them. May be given more than once.
        #[arg(long, value_name = "KEY|FILE")]
        key: Vec<String>,
        /// A head that was printed earlier: is everything up to it still there, as it was?
        #[arg(long, value_name = "NUMBER:LINK")]
        head: Option<String>,
        /// Check this export instead of the data directory.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Write all of it into one signed file, which `verify --file` checks on any machine.
    Export {
        /// The file to write.
        file: PathBuf,
        /// With the records of this destination alone; of the others, the hashes that the chain needs.
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
    /// Print the public key and its fingerprint, to be noted elsewhere.
    Key,
}

pub(super) fn egress(place: &Place, arguments: &EgressArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    match &arguments.action {
        Action::Show { day, destination, json } => show(&ledger(place)?, (*day, destination.as_deref(), *json), out),
        Action::Verify { key, head, file } => {
            let noted = head.as_deref().map(proof::parse_head).transpose()?;
            let keys = key.iter().map(|key| expected(key)).collect::<Result<Vec<_>, _>>()?.concat();
            verify(place, file.as_deref(), noted, &keys, out)
        }
        Action::Export { file, destination } => export(&ledger(place)?, file, destination.as_deref(), out),
        Action::Key => {
            let key = ledger(place)?.public_key()?;
            writeln!(out, "public key   {}\nfingerprint  {}", hex(&key.0), key.fingerprint())?;
            Ok(())
        }
    }
}

fn ledger(place: &Place) -> Result<EgressLedger, CommandError> {
    Ok(EgressLedger::new(Arc::new(proof::state(place)?), &place.data_dir()?))
}

fn verify(place: &Place, file: Option<&Path>, noted: Option<Head>, keys: &[String], out: &mut dyn Write) -> Result<(), CommandError> {
    let known = |key: &PublicKey| keys.contains(&key.fingerprint()) || keys.contains(&hex(&key.0));
    let known: Option<&dyn Fn(&PublicKey) -> bool> = if keys.is_empty() { None } else { Some(&known) };
    let now = clock::now();
    let verified = match file {
        Some(file) => {
            let opened = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let checked = export::verify(BufReader::new(opened), Walk::new(Day::of(now), noted, known), known)?;
            writeln!(out, "the file is as it was signed, at {}, by {}", checked.made, checked.key.fingerprint())?;
            checked.open.iter().try_for_each(|day| writeln!(out, "of {day}, what was counted until then: no entry of the chain yet"))?;
            checked.verified
        }
        None => ledger(place)?.verify(now, noted, known)??,
    };
    print_verified(&verified, keys.is_empty(), out)?;
    Ok(())
}

fn print_verified(verified: &Verified, any_key: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let Verified { head, days, erased, keys } = verified;
    let Some((first, last)) = days else {
        return writeln!(out, "no day is closed yet");
    };
    writeln!(out, "the ledger is whole: {} entries, every day from {first} to {last}; {erased} erased after their time", head.number)?;
    for (from, key) in keys {
        writeln!(out, "key  {} from entry {from} on", key.fingerprint())?;
    }
    if any_key {
        writeln!(out, "     compare it with the fingerprint that you noted, or name that with --key")?;
    }
    writeln!(out, "head {}:{}", head.number, hex(&head.link))
}

/// The keys that an argument names: itself, or what a file says.
fn expected(named: &str) -> Result<Vec<String>, CommandError> {
    let is_key = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let keys_in = |text: &str| text.split_whitespace().filter(|word| is_key(word)).map(str::to_ascii_lowercase).collect::<Vec<_>>();
    let text =
        if is_key(named) { named.to_owned() } else { std::fs::read_to_string(named).map_err(|error| format!("{named}: {error}"))? };
    match keys_in(&text) {
        keys if keys.is_empty() => {
            Err(format!("{named}: names no key\n  fix: 64 hexadecimal digits, as `egress key` prints them, or a file with them").into())
        }
        keys => Ok(keys),
    }
}

fn export(ledger: &EgressLedger, file: &Path, destination: Option<&str>, out: &mut dyn Write) -> Result<(), CommandError> {
    let days = days(ledger)?;
    let mut numbers = days.iter().flat_map(|day| &day.records).filter(|record| Some(record.destination.as_str()) == destination);
    let only = match destination {
        Some(name) => Some(numbers.next().ok_or_else(|| nothing_left_to(name))?.number),
        None => None,
    };
    let key = ledger.key()?;
    let opened = File::create_new(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut written = BufWriter::new(opened);
    let mut exporter = Exporter::begin(&mut written, clock::now().rfc3339(), only)?;
    let mut failed = None;
    ledger.each_day(|day| {
        match day.map_err(|number| EgressFault::Changed(number).into()).and_then(|(day, records)| exporter.day(&day, records)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    for (day, records) in ledger.open_records()? {
        exporter.open(day, records)?;
    }
    exporter.end(&key)?;
    drop(written);
    writeln!(
        out,
        "written {}\nsigned by {}\ncheck it with `firsthand egress verify --file {}`",
        file.display(),
        key.public().fingerprint(),
        file.display()
    )?;
    Ok(())
}

fn nothing_left_to(name: &str) -> CommandError {
    format!("nothing is on record of a destination \"{name}\"").into()
}

/// A day as it is shown.
#[derive(Serialize)]
struct Shown {
    first: Day,
    last: Day,
    /// The entry of the chain; none: the day is open.
    entry: Option<i64>,
    signed_by: Option<String>,
    /// Its records are erased.
    erased: bool,
    records: Vec<DayRecord>,
}

/// Every day on record, oldest first. What a record says is read, not checked: that is for `verify`.
fn days(ledger: &EgressLedger) -> Result<Vec<Shown>, CommandError> {
    let (mut days, mut wrong) = (Vec::new(), None);
    ledger.each_day(|day| {
        let read = day.ok().and_then(|(day, records)| {
            let records: Vec<DayRecord> = records.iter().map(|record| serde_json::from_slice(record)).collect::<Result<_, _>>().ok()?;
            let erased = records.is_empty() && day.root != crate::egress::chain::root(&[]);
            let (entry, signed_by) = (Some(day.number), Some(day.key.fingerprint()));
            Some(Shown { first: day.first, last: day.last, entry, signed_by, erased, records })
        });
        match read {
            Some(day) => {
                days.push(day);
                ControlFlow::Continue(())
            }
            None => {
                wrong = Some(days.len() + 1);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(place) = wrong {
        return Err(format!("entry {place} cannot be read\n  fix: `firsthand egress verify` says what is wrong").into());
    }
    let open = ledger.open_records()?.into_iter();
    days.extend(open.map(|(day, records)| Shown { first: day, last: day, entry: None, signed_by: None, erased: false, records }));
    Ok(days)
}

fn show(
    ledger: &EgressLedger,
    (day, destination, json): (Option<Day>, Option<&str>, bool),
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut days = days(ledger)?;
    if let Some(name) = destination {
        days.iter_mut().for_each(|day| day.records.retain(|record| record.destination == name));
        if days.iter().all(|day| day.records.is_empty()) {
            return Err(nothing_left_to(name));
        }
    }
    if let Some(wanted) = day {
        days.retain(|day| (day.first..=day.last).contains(&wanted));
        if days.is_empty() {
            return Err(format!("nothing is on record of {wanted}").into());
        }
    }
    if json {
        serde_json::to_writer_pretty(&mut *out, &days)?;
        writeln!(out)?;
        return Ok(());
    }
    match day {
        Some(_) => days.iter().try_for_each(|day| in_full(day, out))?,
        None => in_lines(&days, out)?,
    }
    Ok(())
}

fn in_lines(days: &[Shown], out: &mut dyn Write) -> std::io::Result<()> {
    if days.is_empty() {
        return writeln!(out, "nothing has left yet");
    }
    let shown = &days[days.len().saturating_sub(DAYS_SHOWN)..];
    let names = shown.iter().flat_map(|day| &day.records).map(|record| record.destination.chars().count());
    let width = names.max().unwrap_or(0).max("destination".len());
    let head = ["parcels", "events", "accepted", "withheld", "fields", "schemas", "crowd"];
    write!(out, "{:10}  {:width$}", "day (UTC)", "destination")?;
    head.iter().try_for_each(|name| write!(out, "  {name:>8}"))?;
    writeln!(out, "  state")?;
    for day in shown {
        let state = day.entry.map_or_else(|| String::from("open: not signed yet"), |entry| format!("entry {entry}"));
        if day.records.is_empty() {
            let what = if day.erased { "records erased after their time" } else { "nothing left" };
            let until = if day.first == day.last { String::new() } else { format!(", until {}", day.last) };
            writeln!(out, "{:10}  {what}{until} ({state})", day.first.to_string())?;
        }
        for record in &day.records {
            write!(out, "{:10}  {:width$}", day.first.to_string(), record.destination)?;
            let accepted = record.ended("accepted") + record.ended("accepted_unproven");
            let sums = [record.sent("parcels"), record.sent("events"), accepted, record.ended("withheld")];
            let kinds = [record.fields().len() as u64, record.schemas.len() as u64];
            sums.iter().chain(&kinds).try_for_each(|figure| write!(out, "  {figure:>8}"))?;
            writeln!(out, "  {:>8}  {state}", smallest_crowd(record.crowds.as_deref()))?;
        }
    }
    writeln!(out, "\nparcels and events as handed over, every attempt counted; accepted and withheld, each event once")?;
    writeln!(out, "crowd: distinct visitors of the smallest group that left together; –: not measured")
}

fn smallest_crowd(crowds: Option<&[CrowdRecord]>) -> String {
    let smallest = crowds.and_then(|crowds| crowds.iter().map(|crowd| crowd.achieved).min().flatten());
    smallest.map_or_else(|| String::from("–"), |visitors| visitors.to_string())
}

fn in_full(day: &Shown, out: &mut dyn Write) -> std::io::Result<()> {
    let until = if day.first == day.last { String::new() } else { format!(" to {}", day.last) };
    match (day.entry, &day.signed_by) {
        (Some(entry), Some(key)) => writeln!(out, "{}{until} (UTC): closed, entry {entry}, signed by {key}", day.first)?,
        _ => writeln!(out, "{} (UTC): open, not signed yet", day.first)?,
    }
    if day.records.is_empty() {
        writeln!(out, "{}", if day.erased { "its records were erased after their time" } else { "nothing left" })?;
    }
    for record in &day.records {
        writeln!(out, "\n{}", record.destination)?;
        let sent = |what| record.sent(what);
        let plural = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let trials = match sent("trial_parcels") {
            0 => String::new(),
            trials => format!("; {} with {} to the receiver's validator", plural(trials, "parcel"), plural(sent("trial_events"), "event")),
        };
        line(
            out,
            "handed over",
            &format!(
                "{}, {} in them, {}{trials}; every attempt counted",
                plural(sent("parcels"), "parcel"),
                plural(sent("events"), "event"),
                plural(sent("bytes"), "byte")
            ),
        )?;
        let answered: u64 = record.answers.values().sum();
        let unanswered = sent("parcels").saturating_sub(answered);
        let silent = if unanswered == 0 { String::new() } else { format!("; {unanswered} under way or broken off") };
        line(out, "answers", &format!("{}{silent}", list(&record.answers)))?;
        line(out, "events ended", &list(&record.ended))?;
        line(out, "policy dropped", &list(&record.dropped))?;
        line(out, "for want of a crowd", &list(&record.without_crowd))?;
        if record.interrupted > 0 {
            let what = "start after an end that nobody had asked for: the last moment before may not be counted as handed over";
            line(out, "interrupted", &format!("{} {what}", record.interrupted))?;
        }
        match &record.crowds {
            None => line(out, "crowds", "not measured")?,
            Some(crowds) => crowds.iter().try_for_each(|crowd| line(out, "crowds", &in_words(crowd)))?,
        }
        for schema in &record.schemas {
            let hash = schema.sha256.get(..HASH_DIGITS).unwrap_or(&schema.sha256);
            line(out, "schema", &format!("{hash}…  handed over {}, ended {}", schema.sent, schema.ended))?;
            for fields in schema.fields.chunks(6) {
                writeln!(out, "{:24}{}", "", fields.join(" "))?;
            }
        }
        if let Some(beyond) = &record.beyond {
            line(out, "more schemas", &format!("not told apart: handed over {}, ended {}", beyond.sent, beyond.ended))?;
            writeln!(out, "{:24}{}", "", list(&beyond.fields))?;
        }
    }
    Ok(())
}

fn in_words(crowd: &CrowdRecord) -> String {
    let CrowdRecord { site, site_day, asked, events, in_crowds, achieved, whole_day } = crowd;
    let smallest = achieved.map_or_else(|| String::from("not known"), |visitors| format!("{visitors} visitors"));
    let part = if *whole_day { "" } else { ", a part of that day" };
    let of = if *asked == 1 { String::from("no crowd asked for") } else { format!("{asked} asked for") };
    format!("{site}, {site_day}{part}: the smallest group {smallest} ({of}); {in_crowds} of {events} disclosures in crowds")
}

fn line(out: &mut dyn Write, name: &str, text: &str) -> std::io::Result<()> {
    writeln!(out, "  {name:20}  {text}")
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return String::from("–");
    }
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
