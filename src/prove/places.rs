//! The places where a canary could turn up, what was found in each, and the control that finding works there.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    allowance::Allowance,
    canaries::{Canary, Stand},
    day_end::KEYS,
    rehearsal::ADDED,
    scanner::{Mark, NEEDLE_BYTES_MIN, Scanner},
};
use crate::destination::form::{self, Part};
use serde::Serialize;

/// A place of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "destination", rename_all = "snake_case")]
pub enum Place {
    /// What was sent to a destination.
    Sent(String),
    /// The files of a file destination.
    Outbox(String),
    /// The event log.
    Log,
    /// `state.db` with its journal: documents, ledger, parked events, records of consent.
    State,
    /// Events that a receiver refused alone: their records, the reasons, and what was sent of them.
    Parked,
    /// `keys.db` with its journal.
    Keys,
    /// Any other file below the directory.
    Files,
    /// What the program printed, at its most talkative.
    Traces,
    /// The metrics page.
    Metrics,
    /// The console's pages and its live view.
    Console,
    /// Answers to beacons and to broken requests.
    Answers,
    /// The memory of the process, after the traffic.
    Memory,
    /// The memory of a process whose day has ended, with every connection closed.
    Night,
}

impl Place {
    /// The name on pages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Sent(destination) => format!("sent to {destination}"),
            Self::Outbox(destination) => format!("files of {destination}"),
            Self::Log => String::from("event log"),
            Self::State => String::from("state.db (documents, ledger, proof)"),
            Self::Parked => String::from("parked events"),
            Self::Keys => String::from("keys.db"),
            Self::Files => String::from("other files"),
            Self::Traces => String::from("traces, at level TRACE"),
            Self::Metrics => String::from("metrics page"),
            Self::Console => String::from("console pages and live view"),
            Self::Answers => String::from("answers to beacons"),
            Self::Memory => String::from("memory of the process"),
            Self::Night => String::from("memory after the day's end"),
        }
    }

    fn destination(&self) -> Option<&str> {
        match self {
            Self::Sent(destination) | Self::Outbox(destination) => Some(destination),
            _ => None,
        }
    }

    /// Whether what may be at a destination may be here.
    fn shows_what_leaves(&self) -> bool {
        matches!(self, Self::Sent(_) | Self::Outbox(_) | Self::Console | Self::Parked | Self::Memory | Self::Night)
    }
}

/// A canary that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Leak {
    /// Which canary.
    pub canary: Canary,
    /// Where.
    pub place: Place,
    /// In which field, as far as the place has fields.
    pub field: String,
    /// In which disguise.
    pub found_as: &'static str,
}

impl Leak {
    /// In one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{}, is in {}", self.what(), self.whither())
    }

    /// Whether it is at a destination that the run added.
    #[must_use]
    pub fn is_at_an_added_one(&self) -> bool {
        self.place.destination().is_some_and(|name| name.starts_with(ADDED))
    }

    fn what(&self) -> String {
        if self.canary.protocol == KEYS {
            return self.canary.slot.clone();
        }
        let stands = match self.canary.stand {
            Stand::Objected => "objected",
            Stand::Unknown => "has not chosen",
            Stand::Granted => "agreed",
        };
        format!("the canary from {}, \"{}\", of a visitor who {stands}", self.canary.protocol, self.canary.slot)
    }

    fn whither(&self) -> String {
        let place = match &self.place {
            Place::Sent(destination) => format!("what was sent to {destination}"),
            place => place.name(),
        };
        format!("{place}, field {}, as {}", self.field, self.found_as)
    }
}

/// What got out of one slot, of visitors in one state.
pub struct Escaped {
    /// `the canary from native, "body: user id", of a visitor who agreed`.
    pub what: String,
    /// `files of customers, field user_id, as plain, and 11 times more`; the documents' own destinations first.
    pub whither: Vec<String>,
}

/// Everything that got out, slot by slot.
#[must_use]
pub fn escaped<'l>(leaks: impl Iterator<Item = &'l Leak>) -> Vec<Escaped> {
    let mut slots: BTreeMap<_, (String, BTreeMap<_, (&Leak, usize)>)> = BTreeMap::new();
    for leak in leaks {
        let slot = (leak.canary.protocol, &leak.canary.slot, leak.canary.stand);
        let (_, groups) = slots.entry(slot).or_insert_with(|| (leak.what(), BTreeMap::new()));
        let group =
            groups.entry((leak.is_at_an_added_one(), &leak.place, &leak.field)).and_modify(|group| group.1 += 1).or_insert((leak, 0));
        if leak.found_as == "plain" && group.0.found_as != "plain" {
            group.0 = leak;
        }
    }
    let whither = |(leak, more): (&Leak, usize)| match more {
        0 => leak.whither(),
        more => format!("{}, and {more} times more", leak.whither()),
    };
    slots.into_values().map(|(what, groups)| Escaped { what, whither: groups.into_values().map(whither).collect() }).collect()
}

/// What was found in a place, and how sharp the search was there.
#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// Bytes that were looked at.
    pub bytes: u64,
    /// Control spellings that were planted in a copy of what is there.
    pub planted: usize,
    /// How many of them were found.
    pub recovered: usize,
    /// Something that must be there was there: the right bytes were looked at.
    pub genuine: bool,
    /// What must not be there.
    pub leaks: BTreeSet<Leak>,
    /// What the declared exceptions cover: which slots of which fields.
    pub allowed: BTreeSet<Leak>,
    /// Why it was not searched.
    pub not_searched: Option<String>,
}

/// Looks at everything and keeps what was found.
pub struct Search<'a> {
    scanner: Scanner,
    by_name: BTreeMap<String, &'a Canary>,
    allowance: &'a Allowance,
    control: String,
    /// By place.
    pub found: BTreeMap<Place, Searched>,
}

/// The slot of the control: planted in copies only.
const CONTROL_SLOT: &str = "control";

impl<'a> Search<'a> {
    /// For these canaries. `control` is a word that is planted in a copy of every place and found nowhere else.
    #[must_use]
    pub fn new(marks: Vec<Mark>, canaries: impl Iterator<Item = &'a Canary>, allowance: &'a Allowance, control: &str) -> Self {
        let mut marks = marks;
        marks.push(Mark::text(CONTROL_SLOT, control));
        Self {
            scanner: Scanner::new(marks),
            by_name: canaries.map(|canary| (canary.name(), canary)).collect(),
            allowance,
            control: control.to_owned(),
            found: BTreeMap::new(),
        }
    }

    /// Looks through bytes of a place. `genuine`: what is certain to be in the place, if anything is.
    pub fn look(&mut self, place: &Place, bytes: &[u8], genuine: &[u8]) {
        self.look_as(place, bytes, genuine, None);
    }

    /// The same where the bytes are of a named field.
    pub fn look_as(&mut self, place: &Place, bytes: &[u8], genuine: &[u8], named: Option<&str>) {
        let mut names: BTreeSet<(String, &'static str)> = BTreeSet::new();
        for hit in self.scanner.scan(bytes) {
            names.insert((hit.mark.slot, hit.disguise));
        }
        let mut leaks = BTreeSet::new();
        if !names.is_empty() {
            let fields = match place {
                Place::Sent(_) | Place::Parked if bytes.starts_with(b"POST ") => self.fields(&request_line(bytes).1, b""),
                Place::Sent(_) | Place::Parked => self.fields("", bytes),
                _ if bytes.starts_with(b"{") || bytes.starts_with(b"[") => self.fields("", bytes),
                _ => BTreeMap::new(),
            };
            for (name, found_as) in names {
                let Some(canary) = self.by_name.get(&name) else { continue };
                let found = fields.get(&(name.clone(), found_as)).cloned();
                let field = found.unwrap_or_else(|| named.map_or_else(|| String::from("(bytes)"), str::to_owned));
                leaks.insert(Leak { canary: (*canary).clone(), place: place.clone(), field, found_as });
            }
        }
        let searched = self.found.entry(place.clone()).or_default();
        searched.bytes += bytes.len() as u64;
        searched.genuine |= memchr::memmem::find(bytes, genuine).is_some();
        for leak in leaks {
            let allowed = place.shows_what_leaves() && self.allowance.covers(&leak.canary, place.destination());
            (if allowed { &mut searched.allowed } else { &mut searched.leaks }).insert(leak);
        }
    }

    /// Plants the control in a copy of some of the place's bytes, in every disguise, and counts how many are found.
    pub fn control(&mut self, place: &Place, sample: &[u8]) {
        let mark = Mark::text(CONTROL_SLOT, self.control.clone());
        let needles = mark.disguises().into_iter().filter(|(_, needle)| needle.len() >= NEEDLE_BYTES_MIN);
        let (mut planted, mut recovered) = (0, 0);
        for (_, needle) in needles {
            let middle = sample.len() / 2;
            let mut copy = sample[..middle].to_vec();
            copy.extend_from_slice(&needle);
            copy.extend_from_slice(&sample[middle..]);
            planted += 1;
            recovered += usize::from(self.scanner.scan(&copy).iter().any(|hit| hit.mark.slot == CONTROL_SLOT && hit.at == middle));
        }
        let searched = self.found.entry(place.clone()).or_default();
        searched.planted += planted;
        searched.recovered += recovered;
    }

    /// Says that a place was not searched.
    pub fn skip(&mut self, place: Place, why: String) {
        self.found.entry(place).or_default().not_searched = Some(why);
    }

    /// In which field each mark stands, as far as there are fields.
    fn fields(&self, query: &str, body: &[u8]) -> BTreeMap<(String, &'static str), String> {
        let mut fields = BTreeMap::new();
        form::read(query, body, &mut |path, part| {
            let (text, path) = match part {
                Part::Name(name) => (name, format!("{path} (its name)")),
                Part::Value(value) => (value, path.to_owned()),
            };
            for hit in self.scanner.scan(text.as_bytes()) {
                fields.entry((hit.mark.slot, hit.disguise)).or_insert_with(|| path.clone());
            }
        });
        fields
    }
}

/// Path and query of a request's head.
pub(super) fn request_line(head: &[u8]) -> (String, String) {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let target = text.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (path.to_owned(), query.to_owned())
}
