//! A record for spreadsheets, as RFC 4180 has it: a line for every fact. It begins with a byte order mark, without which Excel takes accents for
//! something else; and a cell that a spreadsheet would calculate is written as text.

use super::{
    sheet::{Part, Section, Sheet, State},
    words::Words,
};

const BYTE_ORDER_MARK: char = '\u{feff}';
/// What a line has. The names are the same in every language.
const COLUMNS: [&str; 11] = ["record", "site", "section", "heading", "item", "key", "label", "value", "code", "state", "setting_or_source"];

pub(super) fn render(sheet: &Sheet, words: &Words) -> String {
    let mut out = String::from(BYTE_ORDER_MARK);
    line(&mut out, &COLUMNS);
    for section in &sheet.sections {
        Writer { out: &mut out, sheet, section, words }.parts(&section.parts, "");
    }
    out
}

struct Writer<'w> {
    out: &'w mut String,
    sheet: &'w Sheet,
    section: &'w Section,
    words: &'w Words,
}

/// One line's own columns.
#[derive(Default)]
struct Said<'w> {
    item: &'w str,
    key: &'w str,
    label: &'w str,
    value: &'w str,
    code: Option<&'w str>,
    state: Option<State>,
    setting: Option<&'w str>,
}

impl Writer<'_> {
    fn parts(&mut self, parts: &[Part], item: &str) {
        for part in parts {
            match part {
                Part::Text(text) => self.say(&Said { item, key: "text", value: text, ..Said::default() }),
                Part::Facts(facts) => {
                    for fact in facts {
                        let (code, setting) = (fact.code.as_deref(), fact.source.as_deref().or(fact.setting.as_deref()));
                        let (key, label, value) = (fact.key.as_str(), fact.label.as_str(), fact.value.as_str());
                        self.say(&Said { item, key, label, value, code, state: Some(fact.state), setting });
                    }
                }
                Part::Table(table) => {
                    for row in &table.rows {
                        let subject = row.first().map_or("", |cell| cell.text.as_str());
                        let item = if item.is_empty() { subject.to_owned() } else { format!("{item}: {subject}") };
                        for ((column, label), cell) in table.columns.iter().zip(row).skip(1) {
                            let key = format!("{}.{column}", table.key);
                            let (code, setting) = (cell.code.as_deref(), cell.setting.as_deref());
                            self.say(&Said { item: &item, key: &key, label, value: &cell.text, code, state: Some(cell.state), setting });
                        }
                    }
                }
                Part::Flow(flow) => {
                    for node in [&flow.from, &flow.here].into_iter().chain(&flow.to) {
                        let value = node.lines.join(" · ");
                        self.say(&Said { item: &node.name, key: "flow", label: &flow.title, value: &value, ..Said::default() });
                    }
                }
                Part::Group { item, parts, .. } => self.parts(parts, item),
            }
        }
    }

    fn say(&mut self, said: &Said<'_>) {
        let state = said.state.map_or_else(String::new, |state| self.words.dynamic("state", state.name()));
        let site = self.section.site.as_deref().unwrap_or_default();
        let (record, section, heading) = (self.sheet.kind.name(), self.section.key, self.section.heading.as_str());
        let (code, setting) = (said.code.unwrap_or_default(), said.setting.unwrap_or_default());
        line(self.out, &[record, site, section, heading, said.item, said.key, said.label, said.value, code, &state, setting]);
    }
}

fn line(out: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
    out.push_str(&cells.join(","));
    out.push_str("\r\n");
}

fn quoted(cell: &str) -> String {
    let calculated = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if calculated { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains(['"', ',', '\n', '\r', ';']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_calculate_is_text_and_what_would_end_a_cell_is_quoted() {
        for (cell, written) in [
            ("plain", "plain"),
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("a, \"b\"", "\"a, \"\"b\"\"\""),
            ("-2, then", "\"'-2, then\""),
        ] {
            assert_eq!(quoted(cell), written);
        }
    }
}
