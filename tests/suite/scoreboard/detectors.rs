//! S15: the paths of the detectors' corpus, through the line. The half that counts was written by someone who had not seen the detectors.

use std::{collections::BTreeMap, fs, path::Path};

use firsthand::{clock::Timestamp, event::Offset};
use serde_json::{Value, json};

use super::{FIRST_MIDNIGHT, rows::Row};
use crate::{
    installation::{SITE, file_destination},
    line::{Line, RawRequest},
};

/// What has a form of its own.
const STRUCTURED: [&str; 7] = ["email", "iban", "card", "jwt", "uuid", "ipv4", "ipv6"];

/// Placeholders that call nothing somebody's: a number, a pair where none belongs, what cannot be decoded.
const OF_TEMPLATES: [&str; 3] = ["{n}", "{parameter}", "{encoded}"];

/// How many rows of a label there are, of how many the path left otherwise than it came, and in how many of those a detector took something for
/// somebody's data.
#[derive(Default)]
struct Score {
    rows: u32,
    replaced: u32,
    taken: u32,
}

impl Score {
    fn share(&self, of: u32) -> f64 {
        f64::from(of) / f64::from(self.rows.max(1))
    }
}

/// The half whose author had not seen the detectors, and the smaller one that nobody looked at before they were changed for what they had missed
/// of that half.
pub(super) fn rows() -> [Row; 2] {
    let line = Line::new(&[SITE.to_owned(), file_destination("measurement", "exempt_measurement", "measurement")].concat(), 1);
    [
        row(
            &line,
            "second",
            "S15",
            "personal data in paths, corpus written blind, whose misses are known since: replaced of each structured class at worst, of phone numbers; clean paths taken for somebody's data (in brackets: with anything replaced, `{n}` above all)",
        ),
        row(&line, "third", "S15 held out", "the same of a smaller corpus that was frozen before anybody looked at those misses"),
    ]
}

fn row(line: &Line, file: &str, id: &'static str, what: &'static str) -> Row {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/corpus/detectors/{file}.tsv"));
    let corpus = fs::read_to_string(corpus).unwrap();
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for row in corpus.lines().filter(|row| !row.is_empty() && !row.starts_with("# ")) {
        let fields: Vec<&str> = row.split('\t').collect();
        let [label, _locale, "path", path] = fields.as_slice() else { continue };
        // Behind such a sign it is no path any more, and nothing of it leaves.
        if path.contains(['?', '#']) {
            continue;
        }
        let score = scores.entry(label).or_default();
        let left = left_as(line, path);
        score.rows += 1;
        score.replaced += u32::from(left.as_deref().is_none_or(|left| left != decoded(path)));
        score.taken += u32::from(left.is_none_or(|left| left.split('/').any(is_of_somebody)));
    }
    let worst = STRUCTURED.iter().map(|label| (scores[label].share(scores[label].replaced), *label));
    let worst = worst.min_by(|one, other| one.0.total_cmp(&other.0)).unwrap();
    let (phone, clean) = (&scores["phone"], &scores["none"]);
    let (phone, taken, replaced) = (phone.share(phone.replaced), clean.share(clean.taken), clean.share(clean.replaced));
    let percent = |share: f64| share * 100.0;
    Row::new(
        id,
        what,
        "≥ 99.5 %, ≥ 95 %, ≤ 1 %",
        format!(
            "{:.1} % at worst ({}), {:.1} %, {:.1} % ({:.1} %)",
            percent(worst.0),
            worst.1,
            percent(phone),
            percent(taken),
            percent(replaced)
        ),
        worst.0 >= 0.995 && phone >= 0.95 && taken <= 0.01,
    )
}

/// Whether a segment of what left is a detector's placeholder.
fn is_of_somebody(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}') && !OF_TEMPLATES.contains(&segment)
}

/// The path that a destination gets.
fn left_as(line: &Line, path: &str) -> Option<String> {
    let event = json!({ "k": "page_view", "p": format!("https://www.shop.example{path}") });
    let request = RawRequest::beacon("192.0.2.41".parse().unwrap(), json!({ "e": [event] }).to_string());
    let now = Timestamp(FIRST_MIDNIGHT);
    let offset: Offset = line.append(0, line.receive(&request, now)).expect("an event rests");
    let seen = line.disclosures(&line.records(0, offset)[0], now);
    let text: Value = serde_json::from_str(&seen.first()?.1).ok()?;
    text["page"]["path"].as_str().map(str::to_owned)
}

/// The path as it would leave if nothing in it were recognised: letters outside ASCII are not encoded then.
fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path.split(['?', '#']).next().unwrap_or_default()).decode_utf8_lossy().into_owned()
}
