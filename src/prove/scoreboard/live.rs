//! What the installation that runs says of itself on its metrics page: of its own visitors, today. It is asked for numbers and for nothing else.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::Row;
use crate::prove::wire::{Connection, Request};

/// Who does not answer in that time does not run here.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// Lines of metrics that are read.
const LINES_MAX: usize = 50_000;
const CROWDED_MIN: f64 = 0.99;
const LINKED_HOURS_MAX: f64 = 24.0;
const PLACE_VISITORS_MIN: f64 = 100.0;

/// What was read of it.
pub struct Live {
    address: SocketAddr,
    /// `Err`: why nothing was read.
    samples: Result<Vec<Sample>, String>,
}

/// One sample.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Sample {
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl Live {
    /// Asks the admin listener at this address.
    #[must_use]
    pub fn ask(address: SocketAddr) -> Self {
        let samples = match text(address) {
            Ok(text) => read(&text).ok_or_else(|| format!("what answers at {address} is not firsthand's metrics page")),
            Err(_) => Err(format!("nothing runs here: no answer from the admin listener, {address}")),
        };
        Self { address, samples }
    }
}

fn text(address: SocketAddr) -> io::Result<String> {
    TcpStream::connect_timeout(&address, CONNECT_PATIENCE)?;
    let request = Request::new("GET", String::from("/metrics"), &address.to_string(), Vec::new());
    let answer = Connection::open(address)?.exchange(&request)?;
    if answer.status != 200 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    String::from_utf8(answer.body).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// `None`: there is nothing of ours in it.
fn read(text: &str) -> Option<Vec<Sample>> {
    let lines = text.lines().take(LINES_MAX).filter(|line| line.starts_with("firsthand_"));
    let samples: Vec<Sample> = lines.filter_map(sample).collect();
    (!samples.is_empty()).then_some(samples)
}

/// `name{label="value",…} number`; names of documents have no quotes in them.
fn sample(line: &str) -> Option<Sample> {
    let (head, value) = line.rsplit_once(' ')?;
    let (name, labels) = head.split_once('{').map_or((head, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
    let labels = labels
        .split("\",")
        .filter_map(|label| label.split_once("=\""))
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
    Some(Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
}

/// The rows. `None`: there is no installation on this machine.
#[must_use]
pub fn rows(live: Option<&Live>) -> Vec<Row> {
    const S7: Texts = (
        "S7 live",
        "longest life of a key that ids without consent are made under, at the running installation: events further apart share none",
        "≤ 24 h",
    );
    const S9: Texts = (
        "S9 live",
        "the day's own count of visitors, and how often its key was lost",
        "none of its own: without the truth an error cannot be known",
    );
    const S10: Texts = ("S10 live", "today's events that stand in cells of at least a crowd, at the running installation", "≥ 99 %");
    const S11: Texts = ("S11 live", "visitors in seven days of the least place that is named today, at the running installation", "≥ 100");
    let not = |(id, what, target): Texts, why: &str| Row::not(id, what, target, why);
    let samples = match live.map(|live| &live.samples) {
        None => return [S7, S9, S10, S11].map(|row| not(row, "there is no data directory and no configuration here")).into(),
        Some(Err(why)) => return [S7, S9, S10, S11].map(|row| not(row, why)).into(),
        Some(Ok(samples)) => samples,
    };
    let asked = live.map(|live| live.address.to_string()).unwrap_or_default();
    vec![linkage(S7, samples, &asked), own_count(S9, samples, &asked), crowds(S10, samples, &asked), places(S11, samples, &asked)]
}

type Texts = (&'static str, &'static str, &'static str);

/// The samples of one name, each with its site.
fn of<'s>(samples: &'s [Sample], name: &str) -> Vec<(&'s str, f64)> {
    samples.iter().filter(|sample| sample.name == name).map(|sample| (sample.label("site"), sample.value)).collect()
}

fn linkage((id, what, target): Texts, samples: &[Sample], asked: &str) -> Row {
    let Some((_, seconds)) = of(samples, "firsthand_visit_key_longest_seconds").into_iter().next() else {
        return Row::not(id, what, target, format!("{asked} does not say"));
    };
    let hours = seconds / 3600.0;
    let found = super::Found::Live { figure: format!("{hours:.1} h, since it was started"), pass: Some(hours <= LINKED_HOURS_MAX) };
    Row { id, what, target, found, details: Vec::new() }
}

fn places((id, what, target): Texts, samples: &[Sample], asked: &str) -> Row {
    let least = of(samples, "firsthand_crowd_place_visitors_min");
    let Some((_, fewest)) = least.iter().min_by(|one, other| one.1.total_cmp(&other.1)).copied() else {
        return Row::not(id, what, target, format!("{asked} names no place today: too few visitors in the seven days before"));
    };
    let details = least.iter().map(|(site, visitors)| format!("{site}: at least {visitors:.0}")).collect();
    let found = super::Found::Live { figure: format!("at least {fewest:.0}"), pass: Some(fewest >= PLACE_VISITORS_MIN) };
    Row { id, what, target, found, details }
}

fn own_count((id, what, target): Texts, samples: &[Sample], asked: &str) -> Row {
    let (visitors, breaks) = (of(samples, "firsthand_visitors"), of(samples, "firsthand_epoch_breaks"));
    if visitors.is_empty() {
        return Row::not(id, what, target, format!("{asked} does not say"));
    }
    let lost: f64 = breaks.iter().map(|(_, breaks)| breaks).sum();
    let all: f64 = visitors.iter().map(|(_, visitors)| visitors).sum();
    let details = visitors.iter().map(|(site, visitors)| format!("{site}: {visitors:.0} visitors today")).collect();
    let found = super::Found::Live { figure: format!("{all:.0} visitors today, the key was lost {lost:.0} times"), pass: None };
    Row { id, what, target, found, details }
}

fn crowds((id, what, target): Texts, samples: &[Sample], asked: &str) -> Row {
    let mut by_destination: BTreeMap<(&str, &str), [f64; 2]> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.name == "firsthand_crowd_events") {
        let counts = by_destination.entry((sample.label("site"), sample.label("destination"))).or_default();
        counts[usize::from(sample.label("cell") != "crowd")] += sample.value;
    }
    let share = |[crowd, smaller]: &[f64; 2]| crowd / (crowd + smaller);
    by_destination.retain(|_, [crowd, smaller]| *crowd + *smaller > 0.0);
    let Some((_, least)) = by_destination.iter().min_by(|(_, one), (_, other)| share(one).total_cmp(&share(other))) else {
        return Row::not(id, what, target, format!("{asked} has sent nothing today of visitors who need a crowd"));
    };
    let details = by_destination
        .iter()
        .map(|((site, destination), counts)| {
            format!("{destination} of {site}: {:.1} % of {:.0} events", share(counts) * 100.0, counts[0] + counts[1])
        })
        .collect();
    let found = super::Found::Live {
        figure: format!("{:.1} % at the least, today so far", share(least) * 100.0),
        pass: Some(share(least) >= CROWDED_MIN),
    };
    Row { id, what, target, found, details }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(text: &str) -> Live {
        Live { address: ([127, 0, 0, 1], 8081).into(), samples: read(text).ok_or_else(|| String::from("not ours")) }
    }

    fn row(live: Option<&Live>, id: &str) -> Row {
        rows(live).into_iter().find(|row| row.id == id).unwrap()
    }

    #[test]
    fn a_metrics_page_is_read_and_another_page_is_none() {
        let text = "# HELP firsthand_crowd_events x\nfirsthand_crowd_events{site=\"shop\",destination=\"a\",cell=\"crowd\"} 990\n\
                    firsthand_crowd_events{site=\"shop\",destination=\"a\",cell=\"smaller\"} 10\n\
                    firsthand_crowd_events{site=\"shop\",destination=\"b\",cell=\"crowd\"} 50\n\
                    firsthand_crowd_events{site=\"shop\",destination=\"b\",cell=\"smaller\"} 50\n\
                    firsthand_visit_key_longest_seconds 79200\nfirsthand_crowd_place_visitors_min{site=\"shop\"} 120\n\
                    firsthand_crowd_place_visitors_min{site=\"blog\"} 99\n\
                    firsthand_visitors{site=\"shop\"} 321\nfirsthand_epoch_breaks{site=\"shop\"} 0\nother 3\n";
        let live_now = live(text);
        let found = row(Some(&live_now), "S10 live");
        assert_eq!((found.verdict(), found.details.len()), ("MISS", 2), "{found:?}");
        assert!(found.figure().starts_with("50.0 %") && found.details[0].contains("99.0 % of 1000"), "{found:?}");
        let found = row(Some(&live_now), "S9 live");
        assert!(found.verdict() == "live" && found.figure().contains("321"), "{found:?}");
        let found = row(Some(&live_now), "S7 live");
        assert!(found.verdict() == "pass" && found.figure().starts_with("22.0 h"), "{found:?}");
        assert_eq!(row(Some(&live("firsthand_visit_key_longest_seconds 86500\n")), "S7 live").verdict(), "MISS");
        let found = row(Some(&live_now), "S11 live");
        assert!(found.verdict() == "MISS" && found.figure().contains("99") && found.details.len() == 2, "{found:?}");
        assert_eq!(row(Some(&live("firsthand_visitors{site=\"shop\"} 0\n")), "S11 live").verdict(), "–");
        for nothing in ["", "<html>", "node_cpu 3\n"] {
            assert_eq!(row(Some(&live(nothing)), "S10 live").verdict(), "–");
        }
        assert!(row(Some(&live("firsthand_visitors{site=\"shop\"} 0\n")), "S10 live").figure().contains("nothing today"));
        assert_eq!(row(None, "S9 live").verdict(), "–");
    }

    #[test]
    fn where_nothing_listens_nothing_runs() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(Live::ask(address).samples.is_err_and(|why| why.contains("nothing runs")));
    }
}
