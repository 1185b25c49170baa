//! The ledger as one file for a privacy officer: a line of JSON for each closed day, one for each day that is still open, and at the end the
//! signature of all of it. It can be checked without the data directory, by whoever knows the key's fingerprint. Of another destination
//! than the one asked for it has the hashes and not the records, so that a receiver can be given its own.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{
    Day,
    chain::{ClosedDay, EgressFault, Leaf, Verified, Walk},
    record::DayRecord,
};
use crate::signing::{PublicKey, SigningKey, from_hex, hex};

/// What the first line says that it is.
const FORM: &str = "firsthand egress ledger 1";
/// No line is longer: a day of some hundred destinations with as many schemas as there may be.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    what: String,
    made: String,
    program: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DayLine {
    entry: i64,
    first: Day,
    last: Day,
    kept_until: Day,
    root: String,
    link: String,
    key: String,
    signature: String,
    records: Vec<RecordLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    destination: u32,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<Box<RawValue>>,
}

/// Counts so far: covered by the file's signature, and by no entry of the chain.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenLine {
    open: Day,
    records: Vec<DayRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    key: String,
    signature: String,
}

/// A line of the file, as its first word tells.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Head(Head),
    Day(DayLine),
    Open(OpenLine),
    Tail(Tail),
}

impl Line {
    /// The line that these bytes are, if they are one in the one spelling that it has: whatever else reads as the same is not what was
    /// written.
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = bytes.strip_suffix(b"\n")?;
        let line = if text.starts_with(b"{\"entry\"") {
            Self::Day(serde_json::from_slice(text).ok()?)
        } else if text.starts_with(b"{\"open\"") {
            Self::Open(serde_json::from_slice(text).ok()?)
        } else if text.starts_with(b"{\"key\"") {
            Self::Tail(serde_json::from_slice(text).ok()?)
        } else {
            Self::Head(serde_json::from_slice(text).ok()?)
        };
        (serde_json::to_vec(&line).ok()? == text).then_some(line)
    }
}

/// Bytes in hexadecimal, in small letters alone.
fn exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    from_hex(text).filter(|bytes| hex(bytes) == text)
}

/// An export that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A line is not what the form has there.
    #[error("line {0} is not what an export has there")]
    Form(usize),
    /// The file was changed after it was signed.
    #[error("the signature at the end is not one of this file: it was changed after it was signed")]
    Signature,
    /// It is signed by a key that is not expected.
    #[error("the file is signed by another key than the ones named")]
    OtherKey,
    /// The chain in it is broken.
    #[error(transparent)]
    Chain(#[from] EgressFault),
}

/// What an export that holds says of itself.
pub struct Checked {
    /// The chain in it.
    pub verified: Verified,
    /// When it was made, RFC 3339.
    pub made: String,
    /// Days in it that were still open.
    pub open: Vec<Day>,
    /// Who signed the file.
    pub key: PublicKey,
}

/// Writes an export, line by line.
pub struct Exporter<'o> {
    out: &'o mut dyn Write,
    hash: Sha256,
    /// Whose records are in it; none: everybody's.
    only: Option<u32>,
}

impl<'o> Exporter<'o> {
    /// Begins one. `only`: the number of the one destination whose records are wanted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(out: &'o mut dyn Write, made: String, only: Option<u32>) -> Result<Self, ExportError> {
        let mut exporter = Self { out, hash: Sha256::new_with_prefix(SIGNED), only };
        exporter.line(&Line::Head(Head { what: FORM.to_owned(), made, program: env!("CARGO_PKG_VERSION").to_owned() }))?;
        Ok(exporter)
    }

    /// Adds a closed day; its records are in the order of its leaves.
    ///
    /// # Errors
    /// When it cannot be written, or a record is none.
    pub fn day(&mut self, day: &ClosedDay, records: Vec<Vec<u8>>) -> Result<(), ExportError> {
        let line = |leaf: &Leaf, record: Vec<u8>| -> Result<RecordLine, ExportError> {
            let wanted = self.only.is_none_or(|only| only == leaf.destination);
            let raw = |record| String::from_utf8(record).ok().and_then(|text| RawValue::from_string(text).ok());
            let record = wanted.then(|| raw(record).ok_or(EgressFault::Changed(day.number))).transpose()?;
            Ok(RecordLine { destination: leaf.destination, sha256: hex(&leaf.hash), record })
        };
        let records = day.leaves.iter().zip(records).map(|(leaf, record)| line(leaf, record)).collect::<Result<_, _>>()?;
        self.line(&Line::Day(DayLine {
            entry: day.number,
            first: day.first,
            last: day.last,
            kept_until: day.kept_until,
            root: hex(&day.root),
            link: hex(&day.link),
            key: hex(&day.key.0),
            signature: hex(&day.signature),
            records,
        }))
    }

    /// Adds a day that is not closed yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(&mut self, day: Day, mut records: Vec<DayRecord>) -> Result<(), ExportError> {
        records.retain(|record| self.only.is_none_or(|only| only == record.number));
        self.line(&Line::Open(OpenLine { open: day, records }))
    }

    /// Signs all of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(self, key: &SigningKey) -> Result<(), ExportError> {
        let signature = hex(&key.sign(&self.hash.finalize()));
        write_line(self.out, &Line::Tail(Tail { key: hex(&key.public().0), signature }))?;
        Ok(self.out.flush()?)
    }

    fn line(&mut self, line: &Line) -> Result<(), ExportError> {
        let bytes = write_line(self.out, line)?;
        self.hash.update(bytes);
        Ok(())
    }
}

/// What the hash that is signed begins with.
const SIGNED: &[u8] = b"firsthand egress export 1";

fn write_line(out: &mut dyn Write, line: &Line) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    out.write_all(&bytes)?;
    Ok(bytes)
}

/// Checks an export: that every byte is as it was signed, and that the chain in it is whole.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(mut from: impl BufRead, mut walk: Walk<'_>, known: Option<&dyn Fn(&PublicKey) -> bool>) -> Result<Checked, ExportError> {
    let mut hash = Sha256::new_with_prefix(SIGNED);
    let (mut made, mut open, mut number) = (None, Vec::new(), 0);
    loop {
        number += 1;
        let mut bytes = Vec::new();
        io::Read::take(&mut from, LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        match Line::read(&bytes).ok_or(ExportError::Form(number))? {
            Line::Head(head) if number == 1 && head.what == FORM => made = Some(head.made),
            Line::Day(day) if number > 1 && open.is_empty() => walk.step(&day.read(number)?)?,
            Line::Open(day) if number > 1 => open.push(day.open),
            Line::Tail(tail) if number > 1 => {
                let key = PublicKey(exact(&tail.key).ok_or(ExportError::Form(number))?);
                let signature: [u8; 64] = exact(&tail.signature).ok_or(ExportError::Form(number))?;
                if !key.has_signed(&hash.finalize(), &signature) {
                    return Err(ExportError::Signature);
                }
                if known.is_some_and(|known| !known(&key)) {
                    return Err(ExportError::OtherKey);
                }
                if !from.fill_buf()?.is_empty() {
                    return Err(ExportError::Form(number + 1));
                }
                return Ok(Checked { verified: walk.end()?, made: made.unwrap_or_default(), open, key });
            }
            _ => return Err(ExportError::Form(number)),
        }
        hash.update(bytes);
    }
}

impl DayLine {
    fn read(self, line: usize) -> Result<ClosedDay, ExportError> {
        let form = || ExportError::Form(line);
        let mut leaves = Vec::with_capacity(self.records.len());
        for record in &self.records {
            let leaf = Leaf { destination: record.destination, hash: exact(&record.sha256).ok_or_else(form)? };
            if let Some(raw) = &record.record
                && Leaf::of(record.destination, raw.get().as_bytes()) != leaf
            {
                return Err(EgressFault::Changed(self.entry).into());
            }
            leaves.push(leaf);
        }
        Ok(ClosedDay {
            number: self.entry,
            first: self.first,
            last: self.last,
            kept_until: self.kept_until,
            root: exact(&self.root).ok_or_else(form)?,
            link: exact(&self.link).ok_or_else(form)?,
            key: PublicKey(exact(&self.key).ok_or_else(form)?),
            signature: exact(&self.signature).ok_or_else(form)?,
            leaves,
        })
    }
}
