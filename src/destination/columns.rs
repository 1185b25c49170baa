//! The columns of the destination `file`'s second format, Parquet: what most questions are asked about has a column of its own, and the whole
//! event is beside it as JSON. Whole files of lines in, whole files of columns out, row group by row group.

use std::{
    io::{BufRead, Write},
    sync::Arc,
};

use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use serde_json::Value;

/// Rows of a row group: what is in memory at a time is some 20 MB of lines and columns, and readers skip by them.
const GROUP_ROWS: usize = 10_000;

/// What a column is made of.
enum Column {
    /// A text at this place, which every event has.
    Text(&'static str),
    /// A text at this place, where there is one.
    Maybe(&'static str),
    /// A moment in RFC 3339, as milliseconds.
    Moment(&'static str),
    /// A number at this place, where there is one.
    Number(&'static str),
    /// The line itself.
    Whole,
}

/// Every column, in order.
const COLUMNS: [(&str, Column); 18] = [
    ("event_id", Column::Text("/event_id")),
    ("time", Column::Moment("/time")),
    ("site", Column::Text("/site")),
    ("name", Column::Text("/name")),
    ("visitor_id", Column::Maybe("/visitor_id")),
    ("session_id", Column::Maybe("/session_id")),
    ("page_host", Column::Maybe("/page/host")),
    ("page_path", Column::Maybe("/page/path")),
    ("referrer_host", Column::Maybe("/referrer_host")),
    ("campaign_source", Column::Maybe("/campaign/source")),
    ("campaign_medium", Column::Maybe("/campaign/medium")),
    ("campaign_name", Column::Maybe("/campaign/name")),
    ("country", Column::Maybe("/country")),
    ("device", Column::Maybe("/device/form")),
    ("transaction_id", Column::Maybe("/transaction_id")),
    ("value", Column::Number("/value")),
    ("currency", Column::Maybe("/currency")),
    ("event", Column::Whole),
];

/// Why there is no file of columns.
#[derive(Debug, thiserror::Error)]
pub enum ColumnsError {
    /// The file could not be read or written.
    #[error("the file could not be read or written")]
    Disk(#[from] std::io::Error),
    /// A line is none of ours.
    #[error("a line is no event")]
    Line,
    /// The library says no.
    #[error("the columns could not be written")]
    Columns,
}

impl From<ParquetError> for ColumnsError {
    fn from(error: ParquetError) -> Self {
        // Its texts may quote what is written.
        if matches!(error, ParquetError::External(_)) { Self::Disk(std::io::ErrorKind::Other.into()) } else { Self::Columns }
    }
}

/// Writes lines as columns; returns how many.
///
/// # Errors
/// When either file cannot be used, or a line is no event.
pub fn write(mut lines: impl BufRead, into: impl Write + Send) -> Result<u64, ColumnsError> {
    let schema = Arc::new(parse_message_type(&schema())?);
    let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
    let mut writer = SerializedFileWriter::new(into, schema, properties)?;
    let (mut written, mut line) = (0, String::new());
    loop {
        let mut rows = Vec::new();
        while rows.len() < GROUP_ROWS {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                break;
            }
            let text = line.trim_end();
            rows.push((serde_json::from_str::<Value>(text).map_err(|_| ColumnsError::Line)?, text.to_owned()));
        }
        if rows.is_empty() {
            writer.close()?;
            return Ok(written);
        }
        written += rows.len() as u64;
        let mut group = writer.next_row_group()?;
        for (_, column) in &COLUMNS {
            let Some(mut writer) = group.next_column()? else { return Err(ColumnsError::Columns) };
            match column {
                Column::Moment(place) => {
                    let moments =
                        rows.iter().map(|(event, _)| moment(event, place)).collect::<Option<Vec<_>>>().ok_or(ColumnsError::Line)?;
                    writer.typed::<Int64Type>().write_batch(&moments, None, None)?;
                }
                Column::Number(place) => {
                    let (numbers, there) = those_there(&rows, |event| event.pointer(place).and_then(Value::as_f64));
                    writer.typed::<DoubleType>().write_batch(&numbers, Some(&there), None)?;
                }
                Column::Maybe(place) => {
                    let (texts, there) = those_there(&rows, |event| event.pointer(place).and_then(Value::as_str).map(ByteArray::from));
                    writer.typed::<ByteArrayType>().write_batch(&texts, Some(&there), None)?;
                }
                Column::Text(place) => {
                    let text = |event: &Value| event.pointer(place).and_then(Value::as_str).map(ByteArray::from);
                    let texts = rows.iter().map(|(event, _)| text(event)).collect::<Option<Vec<_>>>().ok_or(ColumnsError::Line)?;
                    writer.typed::<ByteArrayType>().write_batch(&texts, None, None)?;
                }
                Column::Whole => {
                    let texts: Vec<ByteArray> = rows.iter().map(|(_, line)| ByteArray::from(line.as_str())).collect();
                    writer.typed::<ByteArrayType>().write_batch(&texts, None, None)?;
                }
            }
            writer.close()?;
        }
        group.close()?;
    }
}

/// The values that there are, and in which rows.
fn those_there<T>(rows: &[(Value, String)], value: impl Fn(&Value) -> Option<T>) -> (Vec<T>, Vec<i16>) {
    let all: Vec<Option<T>> = rows.iter().map(|(event, _)| value(event)).collect();
    let there = all.iter().map(|value| i16::from(value.is_some())).collect();
    (all.into_iter().flatten().collect(), there)
}

fn moment(event: &Value, place: &str) -> Option<i64> {
    let moment: jiff::Timestamp = event.pointer(place)?.as_str()?.parse().ok()?;
    Some(moment.as_millisecond())
}

fn schema() -> String {
    let columns = COLUMNS.iter().map(|(name, column)| match column {
        Column::Text(_) => format!("REQUIRED BYTE_ARRAY {name} (UTF8);"),
        Column::Maybe(_) => format!("OPTIONAL BYTE_ARRAY {name} (UTF8);"),
        Column::Moment(_) => format!("REQUIRED INT64 {name} (TIMESTAMP(MILLIS,true));"),
        Column::Number(_) => format!("OPTIONAL DOUBLE {name};"),
        Column::Whole => format!("REQUIRED BYTE_ARRAY {name} (JSON);"),
    });
    format!("message event {{ {} }}", columns.collect::<String>())
}
