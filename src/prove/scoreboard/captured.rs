//! What left, as those who have it can read it: the fields of each disclosure as pairs of column and value, in numbers, with the truth about
//! the event beside them. A value that says nothing (`other`, `ZZ`, no version) is no value.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use crate::{
    documents::Release,
    privacy::{crowd::OTHER_PAGE, policy::Allowed},
};

/// No text that leaves has more fields than this; what comes on top is not looked at.
const COLUMNS_MAX: usize = 512;
/// Columns that hold an id, or begin with one of these.
const IDS: [&str; 6] = ["event_id", "visitor_id", "session_id", "user_id", "transaction_id", "click_ids."];
/// What the visitor looks like, or where they came from.
const DESCRIPTION: [&str; 7] = ["device.", "country", "language", "screen", "referrer_kind", "referrer_host", "bot."];
/// The same for every event of a site, or said by the basis.
const SAID_ANYWAY: [&str; 4] = ["site", "policy_version", "consent.", "time"];
/// Where one of several words is the word for no word.
const NOTHING_SAID: [&str; 4] = ["", "other", "ZZ", OTHER_PAGE];

/// What a column tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// The same for two events of one visitor, visit or order, or of none.
    Id,
    /// What the visitor looks like.
    Description,
    /// What happened.
    Content,
}

/// The columns that were seen, by number.
#[derive(Default)]
pub struct Columns(Vec<(String, Tells)>);

impl Columns {
    /// A column's number. `None`: it says nothing that an attack could use.
    fn numbered(&mut self, name: &str) -> Option<u16> {
        let is_one_of =
            |names: &[&str]| names.iter().any(|known| if known.ends_with('.') { name.starts_with(known) } else { name == *known });
        if is_one_of(&SAID_ANYWAY) {
            return None;
        }
        if let Some(number) = self.0.iter().position(|(known, _)| known == name) {
            return u16::try_from(number).ok();
        }
        if self.0.len() >= COLUMNS_MAX {
            return None;
        }
        let tells = match () {
            () if is_one_of(&IDS) => Tells::Id,
            () if is_one_of(&DESCRIPTION) => Tells::Description,
            () => Tells::Content,
        };
        self.0.push((name.to_owned(), tells));
        u16::try_from(self.0.len() - 1).ok()
    }

    /// What a column tells.
    #[must_use]
    pub fn tells(&self, column: u16) -> Tells {
        self.0.get(usize::from(column)).map_or(Tells::Content, |(_, tells)| *tells)
    }

    /// The name of a column.
    #[must_use]
    pub fn name(&self, column: u16) -> &str {
        self.0.get(usize::from(column)).map_or("", |(name, _)| name)
    }

    /// The number of a column that was seen.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<u16> {
        self.0.iter().position(|(known, _)| known == name).and_then(|number| u16::try_from(number).ok())
    }
}

/// One value of one column.
pub type Pair = (u16, u64);

/// One event at one destination.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Who it was, as only the generator knows.
    pub person: u32,
    /// In which city.
    pub city: u32,
    /// With which user agent, letter by letter.
    pub agent: u64,
    /// When it came in.
    pub at: i64,
    /// When it happened, as it left: milliseconds since 1970.
    pub time: i64,
    /// What left, by column.
    pub pairs: Vec<Pair>,
}

impl Row {
    /// A disclosure's text. `None`: it is none.
    #[must_use]
    pub fn read(text: &str, columns: &mut Columns) -> Option<Self> {
        let Value::Object(fields) = serde_json::from_str(text).ok()? else { return None };
        let time = fields.get("time")?.as_str()?.parse::<jiff::Timestamp>().ok()?.as_millisecond();
        let mut row = Self { time, ..Self::default() };
        for (name, value) in &fields {
            row.take(name, value, columns);
        }
        row.pairs.sort_unstable();
        Some(row)
    }

    fn take(&mut self, name: &str, value: &Value, columns: &mut Columns) {
        if let Value::Object(fields) = value {
            for (field, value) in fields {
                self.take(&format!("{name}.{field}"), value, columns);
            }
            return;
        }
        let says_nothing = match value {
            Value::Null => true,
            Value::String(word) => NOTHING_SAID.contains(&word.as_str()),
            Value::Number(number) => number.as_u64() == Some(0),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        if !says_nothing && let Some(column) = columns.numbered(name) {
            let value = value.as_str().map_or_else(|| hashed(&value.to_string()), hashed);
            self.pairs.push((column, value));
        }
    }

    /// What a column says.
    #[must_use]
    pub fn get(&self, column: u16) -> Option<u64> {
        self.pairs.iter().find(|pair| pair.0 == column).map(|pair| pair.1)
    }
}

/// Always the same number for the same text.
#[must_use]
pub fn hashed(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// What one destination got.
pub struct Recipient {
    /// Its name.
    pub name: String,
    /// Its transform's name.
    pub transform: &'static str,
    /// Whether it gets events of visitors who have not chosen.
    pub exempt: bool,
    /// When it gets them.
    pub release: Release,
    /// What the policy lets it have.
    pub allowed: Allowed,
    /// What left on the day before the last, and on the last.
    pub days: [Vec<Row>; 2],
    /// The last day again, with everything that the policy lets leave of each visitor and no crowd asked for: what an attacker who knows
    /// somebody could know.
    pub original: Vec<Row>,
    /// The same of as many visitors who were not there.
    pub control: Vec<Row>,
}

/// The time of an event to five minutes, which is the coarsest that leaves.
#[must_use]
pub const fn slot(time: i64) -> i64 {
    time.div_euclid(5 * 60 * 1000)
}

/// When, for the reader of a row.
#[must_use]
pub const fn hour(time: i64) -> i64 {
    time.div_euclid(60 * 60 * 1000).rem_euclid(24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_pairs_and_words_that_say_nothing_do_not() {
        let mut columns = Columns::default();
        let text = r#"{"event_id":"e1","name":"page_view","time":"2026-03-14T10:05:00Z","site":"shop","page":{"host":"a.example","path":"/x"},
            "visitor_id":"00ff","device":{"browser":"firefox","major":0,"system":"other","form":"desktop"},"country":"ZZ","language":"fr",
            "items":[],"properties":{"plan":"gold"},"consent":{"state":"unknown","purposes":[]},"policy_version":3}"#;
        let row = Row::read(text, &mut columns).unwrap();
        let said = |name: &str| columns.named(name).and_then(|column| row.get(column));
        assert_eq!(said("page.path"), Some(hashed("/x")));
        assert_eq!(said("device.browser"), Some(hashed("firefox")));
        for nothing in ["device.major", "device.system", "country", "items", "site", "policy_version", "consent.state", "time"] {
            assert_eq!(said(nothing), None, "{nothing}");
        }
        let tells = |name: &str| columns.tells(columns.named(name).unwrap());
        assert_eq!((tells("visitor_id"), tells("language"), tells("properties.plan")), (Tells::Id, Tells::Description, Tells::Content));
        assert_eq!((row.time, hour(row.time), slot(row.time) % 288), (1_773_482_700_000, 10, 121));
        assert!(Row::read("withheld: bot", &mut columns).is_none());
    }
}
