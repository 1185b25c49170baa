//! Rows of a file of contacts: CSV with a first line of names (RFC 4180; commas, semicolons or tabs), or one JSON object a line.

use smol_str::SmolStr;
use zeroize::Zeroizing;

/// A million contacts of half a kilobyte; what has more is imported in parts.
const FILE_BYTES_MAX: usize = 512 * 1024 * 1024;
/// A customer system has some hundred fields.
const COLUMNS_MAX: usize = 500;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Values between commas, semicolons or tabs.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// Why a file cannot be read. Nothing of it is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableFile {
    /// It is no text.
    #[error("it is no UTF-8 text")]
    NoText,
    /// It has no names.
    #[error("its first line names none of the columns account, crm, email, phone")]
    NoNames,
    /// It is too large.
    #[error("it is larger than 512 MiB: import it in parts")]
    TooLarge,
    /// A quoted value does not end.
    #[error("a quoted value in it does not end")]
    Unended,
}

/// A row: values by name; nothing: it cannot be read.
type Row = Option<Vec<(SmolStr, Zeroizing<String>)>>;

/// All rows of a file. Wiped when dropped.
pub(super) struct Rows {
    columns: Vec<SmolStr>,
    rows: Vec<Row>,
}

impl Rows {
    pub(super) fn read(form: Form, bytes: &[u8]) -> Result<Self, UnreadableFile> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(UnreadableFile::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| UnreadableFile::NoText)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match form {
            Form::Csv => csv(text),
            Form::JsonLines => Ok(json_lines(text)),
        }
    }

    /// One row, as these values say it.
    pub(super) fn one(values: Vec<(&str, Zeroizing<String>)>) -> Self {
        let row = values.into_iter().map(|(said, value)| (name(said), value)).collect();
        Self { columns: Vec::new(), rows: vec![Some(row)] }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = SmolStr> {
        self.columns.iter().cloned()
    }

    /// The values of a row that has any. Nothing: it cannot be read.
    pub(super) fn row(&self, row: usize) -> Option<Values<'_>> {
        Some(Values(self.rows.get(row)?.as_ref()?))
    }
}

/// The values of a row.
pub(super) struct Values<'r>(&'r [(SmolStr, Zeroizing<String>)]);

impl<'r> Values<'r> {
    /// The one of that name, where it is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&'r str> {
        let said = self.0.iter().find(|(known, _)| known == name).map(|(_, said)| said.trim());
        said.filter(|said| !said.is_empty())
    }
}

/// A column's name as it counts.
pub(super) fn name(said: &str) -> SmolStr {
    SmolStr::new(said.trim().to_lowercase().replace([' ', '-'], "_"))
}

fn csv(text: &str) -> Result<Rows, UnreadableFile> {
    let first = text.lines().next().unwrap_or_default();
    let often = |sign: &char| first.chars().filter(|other| other == sign).count();
    let separator = [',', ';', '\t'].into_iter().rev().max_by_key(often).unwrap_or(',');
    let mut records = Records { text, separator };
    let columns: Vec<SmolStr> = records.next().transpose()?.unwrap_or_default().iter().map(|said| name(said)).collect();
    if !columns.iter().any(|name| super::row::names_somebody(name)) || columns.len() > COLUMNS_MAX {
        return Err(UnreadableFile::NoNames);
    }
    let mut rows = Vec::new();
    for record in records {
        let record = record?;
        // An empty line is no row.
        if record.len() == 1 && record[0].is_empty() {
            continue;
        }
        rows.push((record.len() == columns.len()).then(|| columns.iter().cloned().zip(record).collect()));
    }
    Ok(Rows { columns, rows })
}

/// Records of a CSV text.
struct Records<'t> {
    text: &'t str,
    separator: char,
}

impl Iterator for Records<'_> {
    type Item = Result<Vec<Zeroizing<String>>, UnreadableFile>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.text.is_empty() {
            return None;
        }
        let mut record = vec![Zeroizing::new(String::new())];
        let mut quoted = false;
        let mut signs = self.text.char_indices().peekable();
        while let Some((place, sign)) = signs.next() {
            let last = record.len() - 1;
            match sign {
                '"' if quoted && signs.next_if(|(_, next)| *next == '"').is_some() => record[last].push('"'),
                '"' if quoted => quoted = false,
                '"' if record[last].is_empty() => quoted = true,
                '\n' if !quoted => {
                    self.text = &self.text[place + 1..];
                    return Some(Ok(record));
                }
                '\r' if !quoted => {}
                sign if sign == self.separator && !quoted => record.push(Zeroizing::new(String::new())),
                sign => record[last].push(sign),
            }
        }
        self.text = "";
        Some(if quoted { Err(UnreadableFile::Unended) } else { Ok(record) })
    }
}

fn json_lines(text: &str) -> Rows {
    let mut columns: Vec<SmolStr> = Vec::new();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let rows = lines.map(|line| {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
        let mut row = Vec::new();
        for (said, value) in object {
            let value = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Array(words) => words.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(" "),
                serde_json::Value::Null | serde_json::Value::Object(_) => continue,
                other => other.to_string(),
            };
            let name = name(&said);
            if !columns.contains(&name) && columns.len() < COLUMNS_MAX {
                columns.push(name.clone());
            }
            row.push((name, Zeroizing::new(value)));
        }
        Some(row)
    });
    let rows = rows.collect();
    Rows { columns, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, form: Form, names: &[&str]) -> Vec<Option<Vec<Option<String>>>> {
        let rows = Rows::read(form, text.as_bytes()).unwrap();
        let of = |row| rows.row(row).map(|said| names.iter().map(|name| said.get(name).map(str::to_owned)).collect());
        (0..rows.len()).map(of).collect()
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let some = |values: &[&str]| Some(values.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned())).collect::<Vec<_>>());
        let csv = "\u{feff}E-Mail,Email,Consent At\r\nx,\"Jane \"\"J\"\", Doe\",2026-01-01\r\n\r\ny,\"two\nlines\",\nshort\n";
        assert_eq!(
            values(csv, Form::Csv, &["email", "consent_at"]),
            [some(&["Jane \"J\", Doe", "2026-01-01"]), some(&["two\nlines", ""]), None]
        );
        assert_eq!(values("crm;email\n1,5;a@b.c\n", Form::Csv, &["crm", "email"]), [some(&["1,5", "a@b.c"])]);
        let lines = "{\"Email\":\"a@b.c\",\"crm\":7,\"consent\":[\"profile\",\"ads\"],\"deep\":{}}\n\n[1]\nnot json\n";
        assert_eq!(values(lines, Form::JsonLines, &["email", "crm", "consent"]), [some(&["a@b.c", "7", "profile ads"]), None, None]);
        let wrong = |bytes: &[u8]| Rows::read(Form::Csv, bytes).err();
        assert_eq!(wrong(b"jane@mail.example,Jane\n"), Some(UnreadableFile::NoNames));
        assert_eq!(wrong(b"email\n\"open\n"), Some(UnreadableFile::Unended));
        assert_eq!(wrong(b"email\n\xff\n"), Some(UnreadableFile::NoText));
        assert_eq!(wrong(b""), Some(UnreadableFile::NoNames));
    }
}
