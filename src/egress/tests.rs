//! The ledger of what left as a whole: what is counted where, how days are closed, and that whoever changes anything is found.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use rusqlite::{Connection, types::Value};

use super::{
    chain::{EgressFault, Head, KEPT_DAYS, Verified, Walk},
    closing::EgressLedger,
    departures::Departures,
    export::{self, Checked, ExportError, Exporter},
    record::{CrowdRecord, DayRecord, SCHEMAS_MAX},
    store::{self, OpenDay},
    *,
};
use crate::{
    documents::Documents,
    event::{DestinationNumber, Offset},
    privacy::{departure::Schema, disclose::Disclosure},
    signing::{PublicKey, SigningKey},
    state::{IN_MEMORY, StateDb},
};

const HOOK: DestinationNumber = DestinationNumber(1);
const FILE: DestinationNumber = DestinationNumber(2);
/// A Monday.
const FIRST: Day = Day(20_780);

/// Each destination's accepted events.
type Accepted = Vec<(String, u64)>;

struct Yard {
    directory: tempfile::TempDir,
    state: Arc<StateDb>,
    ledger: EgressLedger,
}

fn noon(day: Day) -> Timestamp {
    day.start().plus(Duration::from_secs(12 * 60 * 60))
}

fn after(day: Day, days: i64) -> Day {
    Day(day.0 + days)
}

fn no_crowds(_: &mut DayRecord, _: Day) {}

fn schema(fields: &serde_json::Value) -> Schema {
    Schema::of(&Disclosure::for_test(Offset(1), 1, Timestamp(0)).saying(fields), &Documents::default())
}

impl Yard {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap());
        state
            .with(|db| {
                db.execute_batch(
                    "INSERT INTO destination_numbers (name) VALUES ('hook'); INSERT INTO destination_numbers (name) VALUES ('file')",
                )
            })
            .unwrap();
        Self { ledger: EgressLedger::new(Arc::clone(&state), directory.path()), directory, state }
    }

    /// So many events in one parcel, all of which are accepted.
    fn leave(&self, destination: DestinationNumber, at: Timestamp, events: usize, fields: &serde_json::Value) {
        let schema = schema(fields);
        let mut departures = Departures::handed_over(vec![schema.clone(); events], 100 * events);
        departures.answered("204");
        for _ in 0..events {
            departures.ended(schema.clone(), &Disclosure::for_test(Offset(1), 1, Timestamp(0)));
        }
        self.write(destination, at, &departures, &[("accepted", "", events as u64)]);
    }

    fn write(&self, destination: DestinationNumber, at: Timestamp, departures: &Departures, ends: &[(&str, &str, u64)]) {
        let write = |db: &mut Connection| {
            let transaction = db.transaction()?;
            let open = OpenDay::of(&transaction, destination, at)?;
            ends.iter().try_for_each(|(state, rule, count)| open.ended(state, rule, *count))?;
            open.left(departures)?;
            transaction.commit()
        };
        self.state.with(write).unwrap();
    }

    fn close(&self, now: Timestamp) -> usize {
        self.ledger.close_due(now, no_crowds).unwrap()
    }

    fn verify(&self, now: Timestamp) -> Result<Verified, EgressFault> {
        self.ledger.verify(now, None, None).unwrap()
    }

    /// First and last day, and each destination's accepted events.
    fn days(&self) -> Vec<(i64, i64, Accepted)> {
        let mut days = Vec::new();
        let read = |db: &mut Connection| {
            store::each_day(db, |day| {
                let (day, records) = day.unwrap();
                let records = records.iter().map(|record| serde_json::from_slice::<DayRecord>(record).unwrap());
                let accepted = records.map(|record| (record.destination.clone(), record.ended("accepted"))).collect();
                days.push((day.first.0 - FIRST.0, day.last.0 - FIRST.0, accepted));
                std::ops::ControlFlow::Continue(())
            })
        };
        self.state.with(read).unwrap();
        days
    }

    fn export(&self, only: Option<u32>) -> Vec<u8> {
        let mut file = Vec::new();
        let mut exporter = Exporter::begin(&mut file, String::from("2026-11-27T00:00:00.000Z"), only).unwrap();
        let each = |db: &mut Connection| {
            store::each_day(db, |day| {
                let (day, records) = day.unwrap();
                exporter.day(&day, records).unwrap();
                std::ops::ControlFlow::Continue(())
            })
        };
        self.state.with(each).unwrap();
        for (day, records) in self.ledger.open_records().unwrap() {
            exporter.open(day, records).unwrap();
        }
        exporter.end(&self.ledger.key().unwrap()).unwrap();
        file
    }
}

fn check(file: &[u8], now: Timestamp) -> Result<Checked, ExportError> {
    export::verify(file, Walk::new(Day::of(now), None, None), None)
}

/// Three closed days, of which the second is a quiet stretch, and an open one.
fn small() -> (Yard, Timestamp) {
    let yard = Yard::new();
    yard.leave(HOOK, noon(FIRST), 2, &serde_json::json!({}));
    yard.leave(FILE, noon(FIRST), 1, &serde_json::json!({ "value": 1.0 }));
    yard.leave(HOOK, noon(after(FIRST, 3)), 1, &serde_json::json!({}));
    let now = noon(after(FIRST, 4));
    assert_eq!(yard.close(now), 3);
    yard.leave(HOOK, now, 1, &serde_json::json!({}));
    (yard, now)
}

#[test]
fn a_day_is_a_date() {
    for (day, text) in [(0, "1970-01-01"), (20_784, "2026-11-27"), (-1, "1969-12-31")] {
        assert_eq!((Day(day).to_string(), text.parse()), (text.to_owned(), Ok(Day(day))));
    }
    for wrong in ["", "2026-11-31", "2026-1-1", "20261127", "2026-11-27T00:00", "day 4"] {
        assert_eq!(wrong.parse::<Day>(), Err(NoDay), "{wrong}");
    }
    assert_eq!((Day::of(Timestamp(-1)), Day::of(Timestamp(86_400_000))), (Day(-1), Day(1)));
    assert_eq!(Day::of(Day(20_784).start()), Day(20_784));
}

#[test]
fn every_day_has_its_place_and_days_on_which_nothing_left_are_closed_together() {
    let (yard, now) = small();
    let record = |name: &str, events| (name.to_owned(), events);
    assert_eq!(yard.days(), [(0, 0, vec![record("hook", 2), record("file", 1)]), (1, 2, vec![]), (3, 3, vec![record("hook", 1)])]);
    let verified = yard.verify(now).unwrap();
    assert_eq!((verified.head.number, verified.days, verified.erased), (3, Some((FIRST, after(FIRST, 3))), 0));
    assert_eq!(verified.keys, [(1, yard.ledger.public_key().unwrap())]);
    let open = yard.ledger.open_records().unwrap();
    assert_eq!((open.len(), open[0].0, open[0].1[0].sent("events")), (1, after(FIRST, 4), 1), "the open day is what is left");
    assert_eq!(yard.close(now), 0, "once");
    // Nobody comes for a month, and the program is down.
    assert_eq!(yard.close(noon(after(FIRST, 40))), 2);
    assert_eq!(yard.days()[3..], [(4, 4, vec![record("hook", 1)]), (5, 39, vec![])]);
    assert_eq!(yard.verify(now).unwrap().head.number, 5);
}

#[test]
fn a_day_is_closed_only_when_it_is_over_and_never_reopened() {
    let yard = Yard::new();
    assert_eq!(yard.close(noon(FIRST)), 0, "before anything left there is no first day");
    assert_eq!(yard.verify(noon(FIRST)).unwrap().days, None);
    yard.leave(HOOK, noon(FIRST), 1, &serde_json::json!({}));
    let midnight = after(FIRST, 1).start();
    assert_eq!((yard.close(noon(FIRST)), yard.close(midnight), yard.close(midnight.plus(GRACE_AND_MORE))), (0, 0, 1));
    // A count that comes late, and a clock that was set back.
    yard.leave(HOOK, noon(FIRST), 4, &serde_json::json!({}));
    yard.leave(HOOK, noon(Day(3)), 5, &serde_json::json!({}));
    yard.leave(HOOK, noon(after(FIRST, 1)), 6, &serde_json::json!({}));
    assert_eq!(yard.close(noon(after(FIRST, 2))), 1);
    assert_eq!(yard.days().into_iter().map(|(first, _, records)| (first, records[0].1)).collect::<Vec<_>>(), [(0, 1), (1, 15)]);
    yard.verify(noon(FIRST)).unwrap();
}

const GRACE_AND_MORE: Duration = Duration::from_secs(11 * 60);

#[test]
fn copies_and_events_are_told_apart() {
    let yard = Yard::new();
    let (plain, priced) = (schema(&serde_json::json!({})), schema(&serde_json::json!({ "value": 1.0 })));
    let said = Disclosure::for_test(Offset(1), 1, Timestamp(0));
    let mut departures = Departures::handed_over([plain.clone(), priced.clone()], 50);
    departures.answered("500");
    departures.add(Departures::handed_over([plain.clone(), priced], 50));
    departures.answered("204");
    departures.ended(plain, &said);
    departures.add(Departures::tried_out(2, 60));
    yard.write(HOOK, noon(FIRST), &departures, &[("accepted", "", 1), ("rejected", "no", 1), ("withheld", "no_consent", 3)]);
    let (_, records) = yard.ledger.open_records().unwrap().remove(0);
    let [record] = records.as_slice() else { panic!("one destination") };
    let sent = ["parcels", "events", "bytes", "trial_parcels", "trial_events", "trial_bytes"].map(|what| record.sent(what));
    assert_eq!((record.destination.as_str(), sent), ("hook", [2, 4, 100, 1, 2, 60]));
    assert_eq!(record.answers, [("204".to_owned(), 1), ("500".to_owned(), 1)].into());
    let times: BTreeSet<_> = record.schemas.iter().map(|schema| (schema.fields.len(), schema.sent, schema.ended)).collect();
    let fields = record.schemas.iter().map(|schema| schema.fields.len()).min().unwrap();
    assert_eq!(times, [(fields, 2, 1), (fields + 1, 2, 0)].into());
    assert_eq!(record.ended, [("accepted".to_owned(), 1), ("rejected/no".to_owned(), 1), ("withheld/no_consent".to_owned(), 3)].into());
    assert_eq!((record.crowds.clone(), record.interrupted), (None, 0));
}

#[test]
fn schemas_beyond_the_bound_are_counted_together_and_their_fields_stay_known() {
    let yard = Yard::new();
    // Nine fields that may be there or not: 512 schemas.
    let of = |bits: u32| {
        let there = |bit: u32| bits & 1 << bit != 0;
        let mut campaign = serde_json::Map::new();
        for (bit, name) in ["source", "medium", "name", "term", "content", "id"].iter().enumerate() {
            if there(bit as u32) {
                campaign.insert((*name).to_owned(), "x".into());
            }
        }
        let mut fields = serde_json::json!({ "campaign": campaign });
        for (bit, name) in [(6, "value"), (7, "tax"), (8, "shipping")] {
            if there(bit) {
                fields[name] = 1.0.into();
            }
        }
        fields
    };
    for bits in 0..512 {
        yard.leave(HOOK, noon(FIRST), 1, &of(bits));
    }
    yard.leave(HOOK, noon(FIRST), 1, &of(3));
    let (_, records) = yard.ledger.open_records().unwrap().remove(0);
    let record = &records[0];
    let beyond = record.beyond.as_ref().unwrap();
    assert_eq!(record.schemas.len() as u64, SCHEMAS_MAX);
    assert_eq!((beyond.sent, beyond.ended), (512 - SCHEMAS_MAX, 512 - SCHEMAS_MAX));
    assert_eq!(record.schemas.iter().map(|schema| schema.sent).sum::<u64>() + beyond.sent, record.sent("events"));
    assert!(beyond.fields.contains_key("shipping:number") && record.fields().contains(&"shipping:number"), "the last bit's field");
}

#[test]
fn an_end_that_nobody_asked_for_is_counted() {
    let yard = Yard::new();
    let begin = || yard.state.with(|db| store::begin(db, HOOK, noon(FIRST))).unwrap();
    begin();
    yard.state.with(|db| store::end(db, HOOK)).unwrap();
    begin();
    assert_eq!(yard.ledger.open_records().unwrap(), []);
    begin();
    begin();
    assert_eq!(yard.ledger.open_records().unwrap()[0].1[0].interrupted, 2);
}

#[test]
fn what_was_measured_of_crowds_is_in_the_record() {
    let yard = Yard::new();
    yard.leave(HOOK, noon(FIRST), 1, &serde_json::json!({}));
    let measured =
        CrowdRecord { site: "shop".to_owned(), site_day: FIRST, asked: 20, events: 9, in_crowds: 9, achieved: Some(23), whole_day: true };
    let with_crowds = |record: &mut DayRecord, day: Day| record.crowds = (day == FIRST).then(|| vec![measured.clone()]);
    assert_eq!(yard.ledger.close_due(noon(after(FIRST, 1)), with_crowds).unwrap(), 1);
    let export = String::from_utf8(yard.export(None)).unwrap();
    assert!(export.contains(r#""crowds":[{"site":"shop","site_day":"2026-11-23","asked":20,"#), "{export}");
    check(export.as_bytes(), noon(FIRST)).unwrap();
}

#[test]
fn records_are_erased_after_36_months_and_the_chain_stays_whole() {
    let (yard, now) = small();
    let head = yard.verify(now).unwrap().head;
    let later = noon(after(FIRST, KEPT_DAYS + 1));
    yard.close(later);
    assert_eq!(yard.days()[0], (0, 0, vec![]));
    assert_eq!(yard.days()[2].2.len(), 1, "those of later days are there");
    let verified = yard.ledger.verify(later, Some(head), None).unwrap().unwrap();
    assert_eq!((verified.erased, verified.days.unwrap().0), (1, FIRST));
    check(&yard.export(None), later).unwrap();
    assert_eq!(yard.verify(now), Err(EgressFault::ErasedEarly(1)), "on an earlier day it would have been too early");
}

#[test]
fn whoever_changes_the_ledger_breaks_it() {
    use EgressFault::{Changed, ErasedEarly, Gap, Missing, NotedHead, OtherKey, Stray, Unlinked, Unsigned};
    let replaced = "DELETE FROM egress_days WHERE number = 2; UPDATE egress_days SET number = 2 WHERE number = 3;
                    UPDATE egress_records SET number = 2 WHERE number = 3";
    let attacks = [
        ("UPDATE egress_records SET record = CAST(replace(CAST(record AS TEXT), '\"events\":2', '\"events\":1') AS BLOB)", Changed(1)),
        ("UPDATE egress_records SET record = 'text' WHERE number = 1", Changed(1)),
        ("DELETE FROM egress_records WHERE number = 1 AND destination = 2", Changed(1)),
        ("DELETE FROM egress_records WHERE number = 1", ErasedEarly(1)),
        ("INSERT INTO egress_records (number, destination, record) VALUES (2, 1, '{}')", Changed(2)),
        ("INSERT INTO egress_records (number, destination, record) VALUES (2, 1, x'7b7d')", Changed(2)),
        ("INSERT INTO egress_records (number, destination, record) VALUES (9, 1, x'7b7d')", Stray(9)),
        ("UPDATE egress_days SET last = last + 1 WHERE number = 2", Unlinked(2)),
        ("UPDATE egress_days SET kept_until = 0 WHERE number = 1", Unlinked(1)),
        ("UPDATE egress_days SET root = zeroblob(32) WHERE number = 2", Unlinked(2)),
        ("UPDATE egress_days SET link = zeroblob(32) WHERE number = 2", Unlinked(2)),
        ("UPDATE egress_days SET key = zeroblob(32) WHERE number = 2", Unlinked(2)),
        ("UPDATE egress_days SET signature = zeroblob(64) WHERE number = 2", Unsigned(2)),
        ("UPDATE egress_days SET signature = (SELECT signature FROM egress_days WHERE number = 1) WHERE number = 2", Unsigned(2)),
        ("UPDATE egress_days SET signature = 'jane' WHERE number = 2", Changed(2)),
        ("DELETE FROM egress_days WHERE number = 1", Missing(1)),
        ("DELETE FROM egress_days WHERE number = 2", Missing(2)),
        (replaced, Unlinked(2)),
        ("DELETE FROM egress_days WHERE number = 3", Stray(3)),
    ];
    for (attack, fault) in attacks {
        let (yard, now) = small();
        yard.state.with(|db| db.execute_batch(attack)).unwrap();
        assert_eq!(yard.verify(now), Err(fault), "{attack}");
    }

    // The end cut off with its records: the chain alone cannot tell, a noted head can.
    let (yard, now) = small();
    let head = yard.verify(now).unwrap().head;
    yard.state
        .with(|db| db.execute_batch("DELETE FROM egress_days WHERE number = 3; DELETE FROM egress_records WHERE number = 3"))
        .unwrap();
    assert!(yard.verify(now).is_ok());
    assert_eq!(yard.ledger.verify(now, Some(head), None).unwrap(), Err(NotedHead(3)));
    for wrong in [Head { number: 2, link: head.link }, Head { number: 0, link: head.link }, Head { number: -1, link: head.link }] {
        assert_eq!(yard.ledger.verify(now, Some(wrong), None).unwrap(), Err(NotedHead(wrong.number)));
    }

    // Everything written anew, with a key of one's own and a day left out: whole in itself, but by the wrong hand, and with a gap.
    let (yard, now) = small();
    let genuine = yard.ledger.public_key().unwrap();
    std::fs::remove_file(yard.directory.path().join(closing::KEY_FILE)).unwrap();
    yard.state.with(|db| db.execute_batch("DELETE FROM egress_days; DELETE FROM egress_records")).unwrap();
    yard.leave(HOOK, noon(FIRST), 1, &serde_json::json!({}));
    yard.close(now);
    assert!(yard.verify(now).is_ok());
    let known = |key: &PublicKey| *key == genuine;
    assert_eq!(yard.ledger.verify(now, None, Some(&known)).unwrap(), Err(OtherKey(1)));
    let key = yard.ledger.key().unwrap();
    let before = yard.verify(now).unwrap().head;
    let day = chain::ClosedDay::close(before, (after(FIRST, 9), after(FIRST, 9)), Vec::new(), &key);
    let mut walk = Walk::new(Day::of(now), None, None);
    yard.state
        .with(|db| {
            store::each_day(db, |day| {
                walk.step(&day.unwrap().0).unwrap();
                std::ops::ControlFlow::Continue(())
            })
        })
        .unwrap();
    assert_eq!(walk.step(&day), Err(Gap(before.number + 1)));
}

/// The number of a table's rows, and its columns.
const TABLES: [(&str, &str, &[&str]); 2] = [
    ("egress_days", "number", &["number", "first", "last", "kept_until", "root", "link", "key", "signature"]),
    ("egress_records", "number * 1000 + destination", &["number", "destination", "record"]),
];

#[test]
fn one_flipped_bit_of_any_row_is_found() {
    let (yard, now) = small();
    let mut flipped = 0_u64;
    let flip_all = |db: &mut Connection| {
        for (table, id, columns) in TABLES {
            let ids: Vec<i64> =
                db.prepare(&format!("SELECT {id} FROM {table}"))?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            for row in ids {
                for column in columns {
                    let value: Value = db.query_row(&format!("SELECT {column} FROM {table} WHERE {id} = ?1"), [row], |row| row.get(0))?;
                    let mut changed: Vec<Value> = Vec::new();
                    match value {
                        Value::Integer(number) => changed.extend((0..64).map(|bit| Value::Integer(number ^ 1 << bit))),
                        Value::Blob(bytes) => changed.extend((0..8 * bytes.len()).map(|bit| {
                            let mut bytes = bytes.clone();
                            bytes[bit / 8] ^= 1 << (bit % 8);
                            Value::Blob(bytes)
                        })),
                        other => panic!("{table}.{column} holds {other:?}"),
                    }
                    for value in changed {
                        let transaction = db.transaction()?;
                        let update = transaction.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE {id} = ?2"), (&value, row));
                        // Two rows with one key cannot be.
                        if update.is_err() {
                            continue;
                        }
                        let found = store::verify(&transaction, Walk::new(Day::of(now), None, None))?;
                        assert!(found.is_err(), "{table}.{column} of {row}: {value:?} is not found");
                        flipped += 1;
                    }
                }
            }
        }
        Ok(())
    };
    yard.state.with(flip_all).unwrap();
    assert!(flipped > 10_000, "{flipped}");
    assert!(yard.verify(now).is_ok(), "as it was");
}

#[test]
fn one_flipped_bit_of_an_export_is_found() {
    let (yard, now) = small();
    let file = yard.export(None);
    let checked = check(&file, now).unwrap();
    assert_eq!((checked.verified.head.number, checked.open, checked.key), (3, vec![after(FIRST, 4)], yard.ledger.public_key().unwrap()));
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    let (head, tail) = (lines[0].len(), file.len() - lines[lines.len() - 1].len());
    for at in 0..file.len() {
        // Every byte; of the first and the last line, and of a closed day's, every bit.
        let all = at < head + lines[1].len() || at >= tail;
        for bit in (0..8).filter(|bit| all || at % 8 == *bit) {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            let around = String::from_utf8_lossy(&changed[at.saturating_sub(20)..][..20]).into_owned();
            assert!(check(&changed, now).is_err(), "bit {bit} of byte {at} is not found, after {around}");
        }
    }
    for end in (0..file.len()).step_by(7) {
        assert!(check(&file[..end], now).is_err(), "cut off at {end}");
    }
    for left_out in 0..lines.len() {
        let others: Vec<u8> = lines.iter().enumerate().filter(|(at, _)| *at != left_out).flat_map(|(_, line)| line.to_vec()).collect();
        assert!(check(&others, now).is_err(), "line {left_out}");
    }
    assert!(check(&[&file[..], b"\n"].concat(), now).is_err(), "nor may anything come after it");
}

#[test]
fn an_export_for_one_destination_has_its_records_alone_and_holds() {
    let (yard, now) = small();
    let file = yard.export(Some(FILE.0));
    let text = String::from_utf8(file.clone()).unwrap();
    assert!(text.contains("\"destination\":\"file\"") && !text.contains("\"destination\":\"hook\""), "{text}");
    assert_eq!(check(&file, now).unwrap().verified, yard.verify(now).unwrap());
    let other = SigningKey::read_or_make(&yard.directory.path().join("other.key")).unwrap().public();
    let known = |key: &PublicKey| *key == other;
    assert!(matches!(export::verify(&file[..], Walk::new(Day::of(now), None, None), Some(&known)), Err(ExportError::OtherKey)));
}
