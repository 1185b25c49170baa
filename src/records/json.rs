//! A record for machines: keys are the same in every language, and what documents write stands beside what people read.

use serde_json::{Map, Value, json};

use super::sheet::{Cell, Fact, Part, Section, Sheet, State, Table};

pub(super) fn render(sheet: &Sheet) -> String {
    let missing: Vec<_> = sheet.missing().into_iter().map(|missing| missing.setting).collect();
    let states = [State::Known, State::Declared, State::ToFillIn, State::Met, State::ToAnswer, State::NotRead];
    let counts: Map<String, Value> = states.into_iter().map(|state| (state.name().to_owned(), json!(sheet.count(state)))).collect();
    let record = json!({
        "record": sheet.kind.name(),
        "language": sheet.language.code(),
        "title": sheet.title,
        "lead": sheet.lead,
        "counts": counts,
        "to_be_filled_in": missing,
        "sections": sheet.sections.iter().map(section).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&record).expect("a value of texts and numbers is JSON");
    format!("{text}\n")
}

fn section(section: &Section) -> Value {
    let mut value = json!({ "key": section.key, "heading": section.heading, "parts": listed(&section.parts) });
    if let Some(site) = &section.site {
        value["site"] = json!(site);
    }
    value
}

fn listed(parts: &[Part]) -> Vec<Value> {
    let of = |part: &Part| match part {
        Part::Text(text) => json!({ "text": text }),
        Part::Facts(facts) => json!({ "facts": facts.iter().map(fact).collect::<Vec<_>>() }),
        Part::Table(of) => table(of),
        Part::Flow(flow) => {
            let node = |node: &super::flow::Node| json!({ "key": node.key, "name": node.name, "says": node.lines });
            let arrow = |to: &super::flow::Node| json!({ "from": flow.here.key, "to": to.key });
            let arrows = std::iter::once(json!({ "from": flow.from.key, "to": flow.here.key })).chain(flow.to.iter().map(arrow));
            let nodes = [&flow.from, &flow.here].into_iter().chain(&flow.to).map(node);
            json!({ "flow": { "title": flow.title, "nodes": nodes.collect::<Vec<_>>(), "arrows": arrows.collect::<Vec<_>>() } })
        }
        Part::Group { item, heading, parts: of } => json!({ "item": item, "heading": heading, "parts": listed(of) }),
    };
    parts.iter().map(of).collect()
}

fn fact(fact: &Fact) -> Value {
    let mut value = json!({ "key": fact.key, "label": fact.label });
    add(&mut value, &fact.value, fact.code.as_ref(), fact.state, fact.setting.as_ref());
    if let Some(source) = &fact.source {
        value["source"] = json!(source);
    }
    value
}

fn table(table: &Table) -> Value {
    let columns: Vec<_> = table.columns.iter().map(|(key, label)| json!({ "key": key, "label": label })).collect();
    let cell = |cell: &Cell| {
        let mut value = json!({});
        add(&mut value, &cell.text, cell.code.as_ref(), cell.state, cell.setting.as_ref());
        value
    };
    let row = |row: &Vec<Cell>| {
        let cells = table.columns.iter().zip(row).map(|((key, _), of)| ((*key).to_owned(), cell(of)));
        Value::Object(cells.collect())
    };
    json!({ "table": table.key, "columns": columns, "rows": table.rows.iter().map(row).collect::<Vec<_>>() })
}

/// What is said: nothing, where something is missing.
fn add(value: &mut Value, text: &str, code: Option<&String>, state: State, setting: Option<&String>) {
    value["value"] = if text.is_empty() { Value::Null } else { json!(text) };
    value["state"] = json!(state.name());
    if let Some(code) = code {
        value["code"] = json!(code);
    }
    if let Some(setting) = setting {
        value["setting"] = json!(setting);
    }
}
