//! The scoreboard at a terminal: as a table where it is wide enough, else row under row.

use std::fmt::Write as _;

use super::{Found, Row, Scoreboard, synthetic};

/// From so many columns on there is a table.
const TABLE_FROM: usize = 100;
/// Less, and words would be cut.
const WIDTH_MIN: usize = 60;
/// More, and lines are hard to follow.
const WIDTH_MAX: usize = 140;
const ID: usize = 14;
const VERDICT: usize = 5;
const GAP: &str = "  ";

/// The text, for a terminal of so many columns. `detailed`: destination by destination, too.
#[must_use]
pub fn text(board: &Scoreboard, width: usize, detailed: bool) -> String {
    let width = width.clamp(WIDTH_MIN, WIDTH_MAX);
    let mut text = heading(board, width);
    if width >= TABLE_FROM {
        table(&mut text, board, width, detailed);
    } else {
        stacked(&mut text, board, width, detailed);
    }
    text.push('\n');
    for line in wrapped(&legend(), width) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn heading(board: &Scoreboard, width: usize) -> String {
    let [pass, miss, live, not] = board.counts();
    let counts = format!(
        "Scoreboard of {}: {} of 25 measured ({pass} rows pass, {miss} MISS, {live} live without a verdict, {not} not measured). {} synthetic \
         visitors a day for {} days, {} requests.",
        board.site,
        board.measured(),
        board.visitors,
        synthetic::days(),
        board.requests
    );
    let mut text = String::from("\n");
    for line in wrapped(&counts, width) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push('\n');
    text
}

fn legend() -> String {
    String::from(
        "* on synthetic visitors: a check of the method, which says nothing of how anonymous the visitors of a real site are. Intervals are of 95 %. \
         –: not measured, and why. live: by the running installation, of its own visitors.",
    )
}

/// `S12 all*`
fn marked(row: &Row) -> String {
    let star = if matches!(row.found, Found::Here { synthetic: true, .. }) { "*" } else { "" };
    format!("{}{star}", row.id)
}

fn said(row: &Row, detailed: bool) -> Vec<&str> {
    let details = row.details.iter().map(String::as_str).filter(|_| detailed);
    std::iter::once(row.figure()).chain(details).collect()
}

fn table(text: &mut String, board: &Scoreboard, width: usize, detailed: bool) {
    let rest = width - ID - VERDICT - 4 * GAP.len();
    let (what, target) = (rest * 33 / 100, rest * 23 / 100);
    let figure = rest - what - target;
    let mut line = |cells: [&str; 5]| {
        let widths = [ID, VERDICT, what, target, figure];
        let cells: Vec<Vec<String>> =
            cells.iter().zip(widths).map(|(cell, width)| cell.lines().flat_map(|line| wrapped(line, width)).collect()).collect();
        for number in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut written = String::new();
            for (cell, width) in cells.iter().zip(widths) {
                let part = cell.get(number).map_or("", String::as_str);
                write!(written, "{part:width$}{GAP}").expect("a string takes it");
            }
            text.push_str(written.trim_end());
            text.push('\n');
        }
    };
    line(["row", "", "what", "target", "figure, or why there is none"]);
    let rules = [ID, VERDICT, what, target, figure].map(|width| "─".repeat(width));
    line([&rules[0], &rules[1], &rules[2], &rules[3], &rules[4]]);
    for row in &board.rows {
        line([&marked(row), row.verdict(), row.what, row.target, &said(row, detailed).join("\n")]);
    }
}

fn stacked(text: &mut String, board: &Scoreboard, width: usize, detailed: bool) {
    let inner = width - ID - VERDICT - 2 * GAP.len();
    for row in &board.rows {
        let mut lines = wrapped(row.what, inner);
        if !matches!(row.found, Found::Not { .. }) {
            lines.extend(wrapped(&format!("target: {}", row.target), inner));
        }
        for (number, said) in said(row, detailed).into_iter().enumerate() {
            let before = match row.found {
                _ if number > 0 => "- ",
                Found::Not { .. } => "not measured: ",
                _ => "figure: ",
            };
            lines.extend(wrapped(&format!("{before}{said}"), inner));
        }
        for (number, line) in lines.iter().enumerate() {
            let (id, verdict) = if number == 0 { (marked(row), row.verdict()) } else { (String::new(), "") };
            let written = format!("{id:ID$}{GAP}{verdict:VERDICT$}{GAP}{line}");
            text.push_str(written.trim_end());
            text.push('\n');
        }
    }
}

/// Words in lines of at most so many characters; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Scoreboard {
        let rows = vec![
            Row::not("S1", "a test of each measure", "7 of 7", "needs the source"),
            Row::here("S6", "all of IPv4", "chance", String::from("20 of 20; 0 of 20"), true),
            Row::synthetic("S12 all", "visitors singled out by what they look like", "≤ 1 point", String::from("3.2 % above"), false)
                .with(vec![String::from("measurement: 3.2 %"), String::from("customers: 40 %")]),
        ];
        Scoreboard { rows, site: String::from("shop"), visitors: 300, requests: 9_000, took_ms: 1 }
    }

    #[test]
    fn every_line_fits_and_every_row_says_what_was_measured() {
        for width in [40, 80, 120, 300] {
            for detailed in [false, true] {
                let text = text(&board(), width, detailed);
                let most = width.clamp(WIDTH_MIN, WIDTH_MAX);
                assert!(text.lines().all(|line| line.chars().count() <= most), "{width}:\n{text}");
                for said in ["2 of 25 measured", "1 MISS", "S12 all*", "needs the source", "S6 "] {
                    assert!(text.contains(said), "{said} at {width}:\n{text}");
                }
                assert_eq!(text.contains("customers: 40 %"), detailed, "{text}");
            }
        }
        assert_eq!(board().missed_here().count(), 1);
    }

    #[test]
    fn words_are_kept_whole() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("immeasurable is", 5), ["immeasurable", "is"]);
        assert!(wrapped("", 5).is_empty());
    }
}
