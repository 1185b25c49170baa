//! One destination's day in the ledger of what left, as it is hashed, exported and shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Day;
use crate::{privacy::departure::schema_hash, signing::hex};

/// Schemas of one destination and day that are told apart. Which fields are there is for visitors' programs to say, within the lists, so
/// there could be any number; real sites have a dozen.
pub const SCHEMAS_MAX: u64 = 256;

/// What a count of the open day is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Parcels, events and bytes handed to the carrier; trials.
    Sent,
    /// Parcels by what came back.
    Answer,
    /// Events by how they ended, and by which rule.
    End,
    /// Ended events by the fields that rest of them and that the policy drops.
    Dropped,
    /// Ended events by what was not said for want of a crowd.
    WithoutCrowd,
    /// Copies handed over, by schema: its fields, one a line.
    SchemaSent,
    /// Ended events by schema.
    SchemaEnded,
    /// The same of schemas beyond [`SCHEMAS_MAX`], all together.
    Beyond,
    /// Copies handed over whose schema is beyond, by field.
    BeyondField,
    /// Starts after an end that nobody had asked for.
    Interrupted,
}

impl Figure {
    const ALL: [Self; 10] = [
        Self::Sent,
        Self::Answer,
        Self::End,
        Self::Dropped,
        Self::WithoutCrowd,
        Self::SchemaSent,
        Self::SchemaEnded,
        Self::Beyond,
        Self::BeyondField,
        Self::Interrupted,
    ];

    /// The name at rest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Answer => "answer",
            Self::End => "end",
            Self::Dropped => "dropped",
            Self::WithoutCrowd => "without_crowd",
            Self::SchemaSent => "schema_sent",
            Self::SchemaEnded => "schema_ended",
            Self::Beyond => "beyond",
            Self::BeyondField => "beyond_field",
            Self::Interrupted => "interrupted",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|figure| figure.name() == name)
    }
}

/// One destination's day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayRecord {
    /// The destination's name in documents.
    pub destination: String,
    /// Its number, never reused.
    pub number: u32,
    /// `parcels`, `events` and `bytes` handed to the carrier, every attempt counted; `trial_parcels`, `trial_events` and `trial_bytes`
    /// sent to the receiver's validator.
    pub sent: BTreeMap<String, u64>,
    /// Parcels by what came back: `204`, `timeout`, `written`. Those of which nothing is known are missing from the sum.
    pub answers: BTreeMap<String, u64>,
    /// Events by how they ended, each once: `accepted`, `withheld/no_consent`.
    pub ended: BTreeMap<String, u64>,
    /// Which fields left together.
    pub schemas: Vec<SchemaRecord>,
    /// What left in schemas that are not told apart any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Beyond>,
    /// Ended events of which a field rests that the policy drops.
    pub dropped: BTreeMap<String, u64>,
    /// Ended events of which something was not said for want of a crowd.
    pub without_crowd: BTreeMap<String, u64>,
    /// How often the program began again after an end that nobody had asked for: of the last moment before each, what was handed over may
    /// not be counted under `sent`.
    pub interrupted: u64,
    /// How what left stood in crowds, for each site; none: not measured.
    pub crowds: Option<Vec<CrowdRecord>>,
}

/// One schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaRecord {
    /// By what it is known.
    pub sha256: String,
    /// `name:kind`, in order.
    pub fields: Vec<String>,
    /// Copies handed to the carrier.
    pub sent: u64,
    /// Events that an answer ended.
    pub ended: u64,
}

/// Schemas that are not told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beyond {
    /// Copies handed to the carrier.
    pub sent: u64,
    /// Events that an answer ended.
    pub ended: u64,
    /// The fields in those copies.
    pub fields: BTreeMap<String, u64>,
}

/// How what left of one site's own day, the last that was over when the day was closed, stood in crowds. Visitors who consented are not
/// among it where they need no crowd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrowdRecord {
    /// The site.
    pub site: String,
    /// Its own day.
    pub site_day: Day,
    /// How many distinct visitors the policy asks for; 1: no crowd.
    pub asked: u32,
    /// Disclosures measured.
    pub events: u64,
    /// Those of them in cells of at least that many, or of 20, where fewer are asked for.
    pub in_crowds: u64,
    /// Distinct visitors of the smallest cell; none: not known.
    pub achieved: Option<u64>,
    /// Whether the program ran all that day; else it is a part of it that was measured.
    pub whole_day: bool,
}

impl DayRecord {
    /// The record that these counts make.
    pub fn of(number: u32, destination: String, counts: impl IntoIterator<Item = (Figure, String, u64)>) -> Self {
        let mut record = Self { destination, number, ..Self::default() };
        let mut schemas: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut beyond = Beyond::default();
        for (figure, name, count) in counts {
            match figure {
                Figure::Sent => *record.sent.entry(name).or_default() += count,
                Figure::Answer => *record.answers.entry(name).or_default() += count,
                Figure::End => *record.ended.entry(name).or_default() += count,
                Figure::Dropped => *record.dropped.entry(name).or_default() += count,
                Figure::WithoutCrowd => *record.without_crowd.entry(name).or_default() += count,
                Figure::SchemaSent => schemas.entry(name).or_default().0 += count,
                Figure::SchemaEnded => schemas.entry(name).or_default().1 += count,
                Figure::Beyond if name == "ended" => beyond.ended += count,
                Figure::Beyond => beyond.sent += count,
                Figure::BeyondField => *beyond.fields.entry(name).or_default() += count,
                Figure::Interrupted => record.interrupted += count,
            }
        }
        record.beyond = Some(beyond).filter(|beyond| *beyond != Beyond::default());
        let of_schema = |(fields, (sent, ended)): (String, (u64, u64))| {
            let fields: Vec<String> = fields.lines().map(str::to_owned).collect();
            SchemaRecord { sha256: hex(&schema_hash(&fields)), fields, sent, ended }
        };
        record.schemas = schemas.into_iter().map(of_schema).collect();
        record
    }

    /// Every field that left at all, in order.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        let beyond = self.beyond.iter().flat_map(|beyond| beyond.fields.keys());
        let mut fields: Vec<&str> = self
            .schemas
            .iter()
            .filter(|schema| schema.sent > 0)
            .flat_map(|schema| &schema.fields)
            .chain(beyond)
            .map(String::as_str)
            .collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// One of the sums of what was sent.
    #[must_use]
    pub fn sent(&self, what: &str) -> u64 {
        self.sent.get(what).copied().unwrap_or(0)
    }

    /// How many events ended in a state, whatever the rule.
    #[must_use]
    pub fn ended(&self, state: &str) -> u64 {
        let in_state = |name: &str| name.split_once('/').map_or(name, |(state, _)| state) == state;
        self.ended.iter().filter(|(name, _)| in_state(name)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_make_a_record_that_reads_as_it_was_written() {
        let counts = [
            (Figure::Sent, "parcels", 3),
            (Figure::Sent, "events", 7),
            (Figure::Answer, "204", 2),
            (Figure::End, "accepted", 4),
            (Figure::End, "withheld/no_consent", 5),
            (Figure::End, "withheld/bot", 1),
            (Figure::SchemaSent, "name:text\nvalue:number", 5),
            (Figure::SchemaEnded, "name:text\nvalue:number", 4),
            (Figure::SchemaSent, "name:text", 2),
            (Figure::SchemaEnded, "time:text", 1),
            (Figure::Beyond, "sent", 9),
            (Figure::BeyondField, "coupon:text", 9),
            (Figure::Interrupted, "", 1),
        ];
        let record = DayRecord::of(3, String::from("hook"), counts.map(|(figure, name, count)| (figure, name.to_owned(), count)));
        assert_eq!((record.sent("events"), record.ended("withheld"), record.ended("accepted"), record.interrupted), (7, 6, 4, 1));
        assert_eq!(record.fields(), ["coupon:text", "name:text", "value:number"], "of what was sent, no more");
        let times: Vec<_> = record.schemas.iter().map(|schema| (schema.sent, schema.ended)).collect();
        assert_eq!(times, [(2, 0), (5, 4), (0, 1)]);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<DayRecord>(&text).unwrap(), record);
        for figure in Figure::ALL {
            assert_eq!(Figure::named(figure.name()), Some(figure));
        }
    }
}
