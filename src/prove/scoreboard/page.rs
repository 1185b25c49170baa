//! The scoreboard's section of the evidence for people.

use std::fmt::{Result, Write as _};

use super::{Found, Scoreboard, synthetic};
use crate::prove::html::escaped;

/// Writes the section.
///
/// # Errors
/// Never: memory takes every byte.
pub fn write(page: &mut String, board: &Scoreboard) -> Result {
    let [pass, miss, live, not] = board.counts();
    write!(
        page,
        "<h2>Scoreboard</h2><p><strong>{} of 25 measured.</strong> {pass} rows pass, {miss} miss, {live} are live without a verdict, {not} were \
         not measured, and say why. A row is measured in this run, or by the running installation of its own visitors, or not at all.</p>\
         <p>Rows marked <span class=\"mark\">synthetic</span> are of made-up visitors of {}, {} a day for {} days, {} requests, through the same \
         documents: a check of the method, which says nothing of how anonymous the visitors of a real site are. Intervals are of 95&nbsp;%.</p>\
         <table class=\"board\"><tr><th>Row</th><th></th><th>What</th><th>Target</th><th>Figure, or why there is none</th></tr>",
        board.measured(),
        escaped(&board.site),
        board.visitors,
        synthetic::days(),
        board.requests
    )?;
    for row in &board.rows {
        let class = match row.verdict() {
            "pass" => "ok",
            "MISS" => "bad",
            _ => "none",
        };
        let mark = match row.found {
            Found::Here { synthetic: true, .. } => "<br><span class=\"mark\">synthetic</span>",
            Found::Live { .. } => "<br><span class=\"mark\">live</span>",
            _ => "",
        };
        let quiet = if matches!(row.found, Found::Not { .. }) { " class=\"none\"" } else { "" };
        write!(
            page,
            "<tr><td class=\"row\">{}{mark}</td><td class=\"{class}\">{}</td><td>{}</td><td>{}</td><td{quiet}>{}",
            escaped(row.id),
            row.verdict(),
            escaped(row.what),
            escaped(row.target),
            escaped(row.figure())
        )?;
        if !row.details.is_empty() {
            write!(page, "<details><summary class=\"quiet\">in detail</summary><ul class=\"quiet\">")?;
            for detail in &row.details {
                write!(page, "<li>{}</li>", escaped(detail))?;
            }
            write!(page, "</ul></details>")?;
        }
        write!(page, "</td></tr>")?;
    }
    write!(page, "</table>")
}
