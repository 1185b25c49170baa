//! How data flow, for the description that an impact assessment begins with: from the browser through this server to each destination. In
//! JSON and CSV it is a list of arrows, on paper a drawing.

use std::fmt::Write as _;

use super::{
    recipients::ground_in_words,
    sources::{Activity, Sources},
    words::Words,
};

/// What is drawn.
pub struct Flow {
    /// What the drawing shows, for those who cannot see it.
    pub title: String,
    /// The browser's box: its name and what is sent.
    pub from: Node,
    /// This server's box: its name, and what happens there.
    pub here: Node,
    /// The destinations.
    pub to: Vec<Node>,
}

/// A box.
pub struct Node {
    /// Its key: `browser`, `firsthand`, a destination's name.
    pub key: String,
    /// Its heading.
    pub name: String,
    /// What it says.
    pub lines: Vec<String>,
}

/// So many destinations stand in one drawing: more would not fit on a page.
const DRAWN_TOGETHER: usize = 7;
const WIDTH: usize = 960;
const BOX_WIDTH: usize = 264;
const COLUMNS: [usize; 3] = [4, 346, 692];
const PADDING: usize = 12;
const LINE: usize = 17;
const GAP: usize = 14;
/// So many characters of the drawing's letters are as wide as a box; of the bold ones of a name, fewer.
const LINE_CHARS: usize = 40;
const NAME_CHARS: usize = 32;
/// A text in a box has no more lines.
const LINES_MAX: usize = 4;

/// How data flow at a site.
pub(super) fn flow(words: &Words, sources: &Sources, activity: &Activity<'_>) -> Flow {
    let machine = &sources.machine;
    let from = Node {
        key: String::from("browser"),
        name: words.say("flow.browser"),
        lines: vec![words.fill("flow.browser_sends", &[("hosts", &activity.site.hosts.join(", "))]), words.say("flow.browser_choice")],
    };
    let mut lines = vec![words.say("flow.memory"), words.say("flow.clean")];
    if activity.site.ceilings.unknown.is_some() {
        lines.push(words.fill("flow.rests_short", &[("hours", &machine.without_consent_hours.to_string())]));
    }
    if activity.consented().next().is_some() {
        lines.push(words.fill("flow.rests_long", &[("days", &machine.with_consent_days.to_string())]));
    }
    lines.push(words.say("flow.objected"));
    let hosting = activity.document.hosting.clone().unwrap_or_default();
    lines.push(
        hosting.country.map_or_else(|| words.say("flow.country_unknown"), |country| words.fill("flow.country", &[("country", &country)])),
    );
    let here = Node { key: String::from("firsthand"), name: words.say("flow.here"), lines };
    let to = activity.receiving.iter().map(|receiving| {
        let party = receiving.party();
        let who = party.name.unwrap_or_else(|| words.said(receiving.destination.receiver()));
        let place =
            party.country.map_or_else(|| words.say("flow.country_unknown"), |country| words.fill("flow.country", &[("country", &country)]));
        let ground = Words::capitalised(&ground_in_words(words, receiving));
        Node { key: receiving.destination.name.clone(), name: receiving.destination.name.clone(), lines: vec![who, ground, place] }
    });
    Flow { title: words.fill("flow.title", &[("site", &activity.site.name)]), from, here, to: to.collect() }
}

/// The drawings, as SVG without anything that runs.
pub(super) fn drawings(flow: &Flow) -> Vec<String> {
    let groups: Vec<&[Node]> = if flow.to.is_empty() { vec![&[]] } else { flow.to.chunks(DRAWN_TOGETHER).collect() };
    groups.into_iter().map(|to| drawing(flow, to)).collect()
}

fn drawing(flow: &Flow, to: &[Node]) -> String {
    let heights: Vec<usize> = to.iter().map(height).collect();
    let tall = heights.iter().sum::<usize>() + GAP * heights.len().saturating_sub(1);
    let total = tall.max(height(&flow.from)).max(height(&flow.here)) + 8;
    let mut svg = format!(
        "<svg class=\"flow\" viewBox=\"0 0 {WIDTH} {total}\" role=\"img\" aria-label=\"{}\" xmlns=\"http://www.w3.org/2000/svg\">",
        escaped(&flow.title)
    );
    let middle = |of: &Node| (total - height(of)) / 2;
    let (from_y, here_y) = (middle(&flow.from), middle(&flow.here));
    let centre = total / 2;
    arrow(&mut svg, (COLUMNS[0] + BOX_WIDTH, centre), (COLUMNS[1], centre));
    let mut y = (total - tall) / 2;
    let mut boxes = String::new();
    for (node, tall) in to.iter().zip(&heights) {
        arrow(&mut svg, (COLUMNS[1] + BOX_WIDTH, centre), (COLUMNS[2], y + tall / 2));
        draw(&mut boxes, node, COLUMNS[2], y, "box");
        y += tall + GAP;
    }
    draw(&mut boxes, &flow.from, COLUMNS[0], from_y, "box");
    draw(&mut boxes, &flow.here, COLUMNS[1], here_y, "box here");
    svg.push_str(&boxes);
    svg.push_str("</svg>");
    svg
}

/// A text in lines; a word that is wider than the box goes on in the next one, and what needs more lines is cut: the tables have it whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let characters: Vec<char> = word.chars().collect();
        for (index, piece) in characters.chunks(width).enumerate() {
            let piece: String = piece.iter().collect();
            match lines.last_mut() {
                Some(line) if index == 0 && line.chars().count() + 1 + piece.chars().count() <= width => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(width - 1).chain(['…']).collect();
        }
    }
    lines
}

fn height(node: &Node) -> usize {
    let lines: usize = node.lines.iter().map(|line| wrapped(line, LINE_CHARS).len()).sum();
    2 * PADDING + LINE * (wrapped(&node.name, NAME_CHARS).len() + lines)
}

fn draw(out: &mut String, node: &Node, x: usize, y: usize, class: &str) {
    let mut baseline = y + PADDING + LINE - 5;
    let _ = write!(out, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{}\" rx=\"7\"/>", height(node));
    let names = wrapped(&node.name, NAME_CHARS).into_iter().map(|line| (line, "name"));
    let lines = node.lines.iter().flat_map(|line| wrapped(line, LINE_CHARS)).map(|line| (line, "line"));
    for (line, class) in names.chain(lines) {
        let _ = write!(out, "<text class=\"{class}\" x=\"{}\" y=\"{baseline}\">{}</text>", x + PADDING, escaped(&line));
        baseline += LINE;
    }
}

fn arrow(out: &mut String, (from_x, from_y): (usize, usize), (to_x, to_y): (usize, usize)) {
    let between = usize::midpoint(from_x, to_x);
    let tip = to_x - 9;
    let _ = write!(
        out,
        "<path class=\"arrow\" d=\"M{from_x} {from_y}C{between} {from_y} {between} {to_y} {tip} {to_y}\"/>\
         <path class=\"tip\" d=\"M{to_x} {to_y}l-10 -5v10z\"/>"
    );
}

fn escaped(text: &str) -> String {
    super::html::escaped(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_holds_what_it_says() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a-name-without-spaces", 8), ["a-name-w", "ithout-s", "paces"]);
        assert_eq!(wrapped("a b c d e f", 1), ["a", "b", "c", "…"]);
        let node = |name: &str| Node { key: name.to_owned(), name: name.to_owned(), lines: vec![String::from("<&>")] };
        let to: Vec<Node> = (0..DRAWN_TOGETHER + 1).map(|number| node(&number.to_string())).collect();
        let flow = Flow { title: String::from("t"), from: node("from"), here: node("here"), to };
        let drawings = drawings(&flow);
        assert_eq!(drawings.len(), 2);
        assert!(drawings[0].contains("&lt;&amp;&gt;") && drawings[0].matches("<rect").count() == DRAWN_TOGETHER + 2);
        assert_eq!(drawings[1].matches("class=\"tip\"").count(), 2);
    }
}
