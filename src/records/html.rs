//! A record for people: one page without scripts or anything from elsewhere, made to be printed and signed.

use std::fmt::Write as _;

use super::{
    flow,
    sheet::{Cell, Fact, Part, Section, Sheet, State, Table},
    words::Words,
};

const STYLE: &str = include_str!("style.css");

/// The page.
pub(super) fn render(sheet: &Sheet, words: &Words) -> String {
    let mut page = String::with_capacity(64 * 1024);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n",
        sheet.language.code(),
        escaped(&sheet.title),
        escaped(&sheet.title)
    );
    for text in &sheet.lead {
        let _ = writeln!(page, "<p class=\"lead\">{}</p>", coded(text));
    }
    let missing = sheet.missing();
    if !missing.is_empty() {
        let count = missing.len().to_string();
        let _ = write!(
            page,
            "<details class=\"missing\" open><summary>{}</summary><ul>",
            escaped(&words.fill("page.missing", &[("count", &count)]))
        );
        for missing in &missing {
            let _ = write!(page, "<li><code>{}</code></li>", escaped(&missing.setting));
        }
        page.push_str("</ul></details>\n");
    }
    let mut site = None;
    for section in &sheet.sections {
        if section.site != site {
            site.clone_from(&section.site);
            if let Some(name) = &site {
                let _ = writeln!(page, "<h2 class=\"site\">{}</h2>", escaped(&words.fill("page.site", &[("site", name)])));
            }
        }
        write_section(&mut page, section, words);
    }
    let _ = write!(page, "<p class=\"end\">{}</p>\n</main>\n</body>\n</html>\n", escaped(&words.say("page.end")));
    page
}

fn write_section(page: &mut String, section: &Section, words: &Words) {
    let _ = writeln!(page, "<section><h2>{}</h2>", escaped(&section.heading));
    write_parts(page, &section.parts, words);
    page.push_str("</section>\n");
}

fn write_parts(page: &mut String, parts: &[Part], words: &Words) {
    for part in parts {
        match part {
            Part::Text(text) => {
                let _ = writeln!(page, "<p>{}</p>", coded(text));
            }
            Part::Facts(facts) => {
                page.push_str("<table class=\"facts\"><tbody>\n");
                facts.iter().for_each(|fact| write_fact(page, fact, words));
                page.push_str("</tbody></table>\n");
            }
            Part::Table(table) => write_table(page, table, words),
            Part::Flow(flow) => {
                for drawing in flow::drawings(flow) {
                    let _ = writeln!(page, "<figure>{drawing}<figcaption>{}</figcaption></figure>", escaped(&flow.title));
                }
            }
            Part::Group { heading, parts, .. } => {
                let _ = writeln!(page, "<div class=\"group\"><h3>{}</h3>", escaped(heading));
                write_parts(page, parts, words);
                page.push_str("</div>\n");
            }
        }
    }
}

fn write_fact(page: &mut String, fact: &Fact, words: &Words) {
    let _ = write!(page, "<tr><th scope=\"row\">{}</th><td>", coded(&fact.label));
    write_value(page, &fact.value, fact.state, fact.setting.as_deref(), words);
    if let Some(source) = &fact.source {
        let _ = write!(page, "<span class=\"source\">{}</span>", linked(source));
    }
    if fact.state == State::ToAnswer {
        page.push_str("<span class=\"answer\"></span>");
    }
    page.push_str("</td></tr>\n");
}

fn write_table(page: &mut String, table: &Table, words: &Words) {
    let _ = write!(page, "<table class=\"many {}\"><thead><tr>", table.key);
    for (key, label) in &table.columns {
        let _ = write!(page, "<th scope=\"col\" class=\"of-{key}\">{}</th>", escaped(label));
    }
    page.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            write_cell(page, cell, index == 0, words);
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table>\n");
}

fn write_cell(page: &mut String, cell: &Cell, first: bool, words: &Words) {
    page.push_str(if first { "<th scope=\"row\">" } else { "<td>" });
    // No setting: there is no room for one, and what is missing is listed at the top.
    write_value(page, &cell.text, cell.state, None, words);
    page.push_str(if first { "</th>" } else { "</td>" });
}

/// A value, and how it came to stand there.
fn write_value(page: &mut String, value: &str, state: State, setting: Option<&str>, words: &Words) {
    let label = || escaped(&words.dynamic("state", state.name()));
    let key = || setting.map(|setting| format!(" <code class=\"setting\">{}</code>", escaped(setting))).unwrap_or_default();
    let _ = match state {
        State::ToFillIn => write!(page, "<span class=\"gap\">{}</span>{}", label(), key()),
        State::Met => write!(page, "<span class=\"badge met\">{}</span> {}{}", label(), coded(value), key()),
        State::ToAnswer if value.is_empty() => write!(page, "<span class=\"blank\">{}</span>", label()),
        State::ToAnswer => write!(page, "<span class=\"badge ask\">{}</span> {}", label(), coded(value)),
        State::NotRead => write!(page, "<span class=\"badge unread\">{}</span> {}", label(), coded(value)),
        State::Known => write!(page, "{}{}", coded(value), key()),
        // Its key was needed while it was missing.
        State::Declared => write!(page, "{}", coded(value)),
    };
}

/// Words in backticks become code.
fn coded(words: &str) -> String {
    let escaped = escaped(words);
    let parts = escaped.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

/// The address at the end of a source becomes a link.
fn linked(source: &str) -> String {
    let Some((before, address)) = source.rsplit_once("https://") else { return escaped(source) };
    format!("{}<a href=\"https://{}\">{}</a>", escaped(before), escaped(address), escaped(address))
}

/// Text that cannot be taken for markup.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
