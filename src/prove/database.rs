//! The stand-in for a PostgreSQL: speaks as much of its protocol as the program's own carrier does, lets everybody in, has every table, and
//! keeps the rows that come. Version 3, <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

use std::io::{self, Read, Write};

use crate::{delivery::carrier::postgres::comment, destination::postgres::STEPS};

/// No parcel of any destination is longer.
const MESSAGE_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Version 3.0 in the first message.
const VERSION: [u8; 4] = [0, 3, 0, 0];
const BOOL: i32 = 16;
const TEXT: i32 = 25;

/// Answers one connection until it ends. `take` hears the database's name, the statement and its parameter, and says whether the rows are taken.
///
/// # Errors
/// When the connection breaks, or something else is spoken on it.
pub fn serve(from: &mut impl Read, to: &mut impl Write, mut take: impl FnMut(&str, &str, &[u8]) -> bool) -> io::Result<()> {
    let database = begin(from)?;
    let mut answer = Vec::new();
    say(&mut answer, b'R', &0i32.to_be_bytes());
    ready(&mut answer);
    to.write_all(&answer)?;
    let (mut statement, mut parameter) = (String::new(), Vec::new());
    loop {
        let mut kind = [0];
        from.read_exact(&mut kind)?;
        let message = body(from)?;
        let mut answer = Vec::new();
        match kind[0] {
            b'P' => {
                statement = message.split(|byte| *byte == 0).nth(1).map(String::from_utf8_lossy).unwrap_or_default().into_owned();
                say(&mut answer, b'1', &[]);
            }
            b'B' => {
                parameter = first_parameter(&message).unwrap_or_default();
                say(&mut answer, b'2', &[]);
            }
            b'D' => {
                say(&mut answer, b't', &[&1i16.to_be_bytes()[..], &TEXT.to_be_bytes()].concat());
                if is_question(&statement) { say(&mut answer, b'T', &columns()) } else { say(&mut answer, b'n', &[]) }
            }
            b'E' if is_question(&statement) => {
                say(&mut answer, b'D', &row());
                say(&mut answer, b'C', b"SELECT 1\0");
            }
            b'E' if take(&database, &statement, &parameter) => say(&mut answer, b'C', b"INSERT 0 1\0"),
            // "Data exception": no row of the parcel is taken.
            b'E' => say(&mut answer, b'E', b"SERROR\0VERROR\0C22000\0Mrefused\0\0"),
            b'S' => ready(&mut answer),
            b'X' => return Ok(()),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        to.write_all(&answer)?;
    }
}

/// Reads the first message. Returns which database is asked for.
fn begin(from: &mut impl Read) -> io::Result<String> {
    let message = body(from)?;
    let said = message.strip_prefix(&VERSION).ok_or(io::ErrorKind::InvalidData)?;
    let mut words = said.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if name == "database" {
            return Ok(value.into_owned());
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// A message behind its kind.
fn body(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length as usize - 4];
    from.read_exact(&mut message)?;
    Ok(message)
}

/// The first parameter of a `Bind`: two names, the parameters' forms, then the parameters.
fn first_parameter(message: &[u8]) -> Option<Vec<u8>> {
    let mut rest = message;
    for _ in 0..2 {
        rest = rest.get(rest.iter().position(|byte| *byte == 0)? + 1..)?;
    }
    let number = |bytes: &[u8]| Some(i16::from_be_bytes(*bytes.first_chunk()?));
    let forms = usize::try_from(number(rest)?).ok()?;
    rest = rest.get(2 + 2 * forms..)?;
    if number(rest)? < 1 {
        return None;
    }
    let length = usize::try_from(i32::from_be_bytes(*rest.get(2..)?.first_chunk()?)).ok()?;
    Some(rest.get(6..6 + length)?.to_vec())
}

/// Whether the carrier wants to know how old the table is.
fn is_question(statement: &str) -> bool {
    statement.starts_with("SELECT")
}

/// Two columns without a table.
fn columns() -> Vec<u8> {
    let mut columns = 2i16.to_be_bytes().to_vec();
    for (kind, bytes) in [(BOOL, 1i16), (TEXT, -1)] {
        columns.extend_from_slice(&[0; 7]);
        columns.extend_from_slice(&kind.to_be_bytes());
        columns.extend_from_slice(&bytes.to_be_bytes());
        // No modifier of the type; in binary.
        columns.extend_from_slice(&[255, 255, 255, 255, 0, 1]);
    }
    columns
}

/// The table is there, and up to date.
fn row() -> Vec<u8> {
    let comment = comment(STEPS.len());
    let mut row = [&2i16.to_be_bytes()[..], &1i32.to_be_bytes(), &[1]].concat();
    row.extend_from_slice(&(comment.len() as i32).to_be_bytes());
    row.extend_from_slice(comment.as_bytes());
    row
}

fn ready(answer: &mut Vec<u8>) {
    say(answer, b'Z', b"I");
}

fn say(answer: &mut Vec<u8>, kind: u8, body: &[u8]) {
    answer.push(kind);
    answer.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    answer.extend_from_slice(body);
}
