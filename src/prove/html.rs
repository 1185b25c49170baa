//! The evidence for people: one page without scripts or anything from elsewhere, made to be printed.

use std::fmt::Write as _;

use super::{
    Outcome, Tried,
    arrivals::Arrived,
    day_end::Control,
    grammar::Grammar,
    pack::{Circumstances, LIMITS},
    places::{self, Place},
    scoreboard,
};

const STYLE: &str = "
:root{color-scheme:light}body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;max-width:62rem;margin:2rem auto;padding:0 1.25rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid #d5dae0;padding-bottom:.25rem}
p{margin:.4rem 0 .8rem;max-width:48rem}table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.32rem .6rem .32rem 0;border-bottom:1px solid #e6e9ed}th{font-weight:600;color:#4a5560}
td.number,th.number{text-align:right}code{font:.88em ui-monospace,monospace;overflow-wrap:anywhere}
.verdict{padding:.8rem 1rem;border-left:.4rem solid;margin:1rem 0;font-size:1.05rem}.green{background:#eef8f0;border-color:#1f7a3a}.red{background:#fdeeee;border-color:#b3261e}
dt{font-weight:600;margin-top:.5rem}dd{margin:.1rem 0 .1rem 1.2rem}td.ok{color:#1f7a3a;font-weight:600}td.bad{color:#b3261e;font-weight:600}td.none{color:#6a737d}li{margin:.25rem 0}.quiet{color:#56606b}
.board td{font-size:.92em}.board td.row{white-space:nowrap;font-weight:600}.board td:nth-child(3){width:27%}.board td:nth-child(4){width:19%}
.board ul{margin:.3rem 0 0;padding-left:1.1rem;font-size:.94em}.mark{font-size:.78em;font-weight:400;color:#56606b;border:1px solid #d5dae0;border-radius:.2rem;padding:0 .25rem}
details summary{cursor:pointer}@media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}tr,li{break-inside:avoid}details::details-content{content-visibility:visible;display:block}}
";
/// So many slots are named one by one; the rest is counted, and in the JSON.
const NAMED_MAX: usize = 12;

/// The page.
#[must_use]
pub fn page(outcome: &Outcome, circumstances: &Circumstances, hash: &str) -> String {
    let mut page = String::with_capacity(32 * 1024);
    let written = write_page(&mut page, outcome, circumstances, hash);
    written.expect("memory takes every byte");
    page
}

fn write_page(page: &mut String, outcome: &Outcome, circumstances: &Circumstances, hash: &str) -> std::fmt::Result {
    let red = outcome.red();
    let tried = &outcome.tried;
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Evidence: what gets out</title><style>{STYLE}</style></head><body><h1>What gets out</h1>\
         <p class=\"quiet\">Firsthand {} · commit {} · {}</p>",
        env!("CARGO_PKG_VERSION"),
        option_env!("FIRSTHAND_COMMIT").unwrap_or("not built in"),
        escaped(&circumstances.begun)
    )?;
    if red.is_empty() {
        write!(
            page,
            "<p class=\"verdict green\"><strong>Green.</strong> {} marked values in {} spellings went in. None was found where it must not be, and \
             every control was found.</p>",
            tried.canaries,
            outcome.spellings.len()
        )?;
    } else {
        write!(page, "<div class=\"verdict red\"><strong>Red.</strong><ul>")?;
        for reason in &red {
            write!(page, "<li>{}</li>", escaped(reason))?;
        }
        write!(page, "</ul></div>")?;
    }
    write!(
        page,
        "<p>A <em>canary</em> is a value that exists nowhere else. The run puts one into every slot of every request that a tracker can send, sends \
         them through a copy of this installation with the documents that are in force, and then looks for them in everything that was sent, \
         stored, printed, shown or kept in memory.</p><table>"
    )?;
    for (what, value) in [
        ("Documents, SHA-256", outcome.policy_hash.clone()),
        ("Seed", outcome.seed.to_string()),
        ("Hash of what is proven", hash.to_owned()),
        ("Canaries", tried.canaries.to_string()),
        ("Spellings", outcome.spellings.iter().map(|spelling| spelling.name()).collect::<Vec<_>>().join(", ")),
        ("Marked beacons", format!("{} ({} not taken)", tried.beacons, tried.unanswered)),
        ("Ledger of what left", beside(tried)),
        ("Names that no form declares", undeclared(tried)),
        (
            "Properties that the policy lists: plain words in them may leave",
            outcome.listed_properties.iter().cloned().collect::<Vec<_>>().join(", "),
        ),
        ("Took", format!("{:.1} s", circumstances.took_ms as f64 / 1000.0)),
    ] {
        write!(page, "<tr><th>{what}</th><td><code>{}</code></td></tr>", escaped(&value))?;
    }
    write!(page, "</table>")?;
    places_of(page, outcome)?;
    destinations(page, outcome)?;
    weakened(page, outcome)?;
    if let Some(board) = &outcome.scoreboard {
        scoreboard::page::write(page, board)?;
    }
    slots(page, tried)?;
    write!(page, "<h2>What this does not show</h2><ul>")?;
    for limit in LIMITS {
        write!(page, "<li>{}</li>", escaped(limit))?;
    }
    write!(
        page,
        "</ul><h2>Check it yourself</h2><p><code>firsthand prove --verify DIRECTORY</code> checks the hashes and the signature of this pack. \
         <code>firsthand prove --seed {}</code> with the same program and documents gives the same hash.</p></body></html>",
        outcome.seed
    )
}

/// Where canaries were put, and whether the beacons were understood.
fn slots(page: &mut String, tried: &Tried) -> std::fmt::Result {
    write!(
        page,
        "<h2>Slots</h2><p>Where canaries were put, by protocol. That a protocol's events were <em>kept</em> is a control: a beacon that is not \
         understood would leak nothing.</p>"
    )?;
    for (protocol, slots) in &tried.slots {
        let kept = match tried.arrivals.get(protocol) {
            Some(Arrived { kept_with_consent: true, .. }) => "events kept, of visitors who agreed too",
            Some(Arrived { kept: true, .. }) => "events kept",
            _ => "no event kept",
        };
        write!(
            page,
            "<details><summary><strong>{protocol}</strong> <span class=\"quiet\">({} slots; {kept})</span></summary><p>{}</p></details>",
            slots.len(),
            escaped(&slots.join(" · "))
        )?;
    }
    Ok(())
}

/// What receivers got, beside what the program says that it sent.
fn beside(tried: &Tried) -> String {
    let differing: Vec<&str> = tried.beside.iter().filter(|(_, one)| !one.agrees()).map(|(name, _)| name.as_str()).collect();
    let parcels: u64 = tried.beside.values().map(|one| one.captured.parcels).sum();
    match differing.as_slice() {
        [] => format!("says the same requests and bytes as {} receivers got ({parcels} requests)", tried.beside.len()),
        names => format!("says something else than these receivers got: {}", names.join(", ")),
    }
}

/// The names that nobody declared, in what was sent.
fn undeclared(tried: &Tried) -> String {
    let Grammar { read, names, undeclared, .. } = &tried.grammar;
    let list = undeclared.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let list = if list.is_empty() { String::from("none") } else { list };
    format!("{list} (of {names} names in {read} requests and files)")
}

fn places_of(page: &mut String, outcome: &Outcome) -> std::fmt::Result {
    write!(
        page,
        "<h2>Places</h2><p>In a copy of each place the run plants a canary of its own in every disguise: the search has to find all of them.</p>\
         <table><tr><th>Place</th><th class=\"number\">Bytes</th><th class=\"number\">Controls found</th><th>Canaries</th></tr>"
    )?;
    for (place, searched) in &outcome.tried.places {
        write!(page, "<tr><td>{}</td>", escaped(&place.name()))?;
        if let Some(why) = &searched.not_searched {
            write!(
                page,
                "<td class=\"number\">–</td><td class=\"number\">–</td><td class=\"none\">not searched: {}</td></tr>",
                escaped(why)
            )?;
            continue;
        }
        let sharp = searched.planted > 0 && searched.recovered == searched.planted && searched.genuine;
        write!(
            page,
            "<td class=\"number\">{}</td><td class=\"number {}\">{} of {}</td>",
            grouped(searched.bytes),
            if sharp { "ok" } else { "bad" },
            searched.recovered,
            searched.planted
        )?;
        if searched.leaks.is_empty() {
            write!(page, "<td class=\"ok\">clean")?;
        } else {
            write!(page, "<td class=\"bad\">{} found", searched.leaks.len())?;
        }
        if !searched.allowed.is_empty() {
            write!(page, ", and {} that the policy allows", searched.allowed.len())?;
        }
        if *place == Place::Memory && outcome.tried.in_memory > 0 {
            write!(
                page,
                "; {} of {} canaries were not wiped yet (judged after the day's end)",
                outcome.tried.in_memory, outcome.tried.canaries
            )?;
        }
        write!(page, "</td></tr>")?;
    }
    write!(page, "</table>")?;
    day_end(page, outcome)?;
    let slots = places::escaped(outcome.tried.leaks());
    if slots.is_empty() {
        return Ok(());
    }
    write!(page, "<h2>What got out, and by which field</h2><dl>")?;
    for slot in slots.iter().take(NAMED_MAX) {
        write!(page, "<dt>{}</dt>", escaped(&slot.what))?;
        for whither in &slot.whither {
            write!(page, "<dd>is in {}</dd>", escaped(whither))?;
        }
    }
    write!(page, "</dl>")?;
    if slots.len() > NAMED_MAX {
        write!(page, "<p>And {} more slots, in <code>evidence.json</code>.</p>", slots.len() - NAMED_MAX)?;
    }
    Ok(())
}

/// What the search after the day's end is worth: what it found before.
fn day_end(page: &mut String, outcome: &Outcome) -> std::fmt::Result {
    if outcome.tried.places.get(&Place::Night).is_none_or(|searched| searched.not_searched.is_some()) {
        return Ok(());
    }
    let found = |there: bool| if there { "found" } else { "not found" };
    let Control { sites, keys_before, address_before, agent_before } = &outcome.day_end;
    write!(
        page,
        "<p><strong>The day's end.</strong> A program of its own was given a clock half an hour before a midnight, and the same beacons. Before midnight its \
         memory was searched for what has to be there: the day's key of {keys_before} of {sites} sites, known by the token that it makes of a visitor who \
         objected; the address ({}) and the user agent ({}) of a request under way. Then the clock went past midnight, every connection was closed, and five \
         seconds later the memory was searched for the keys, for what HMAC makes of them, and for every canary.</p>",
        found(*address_before),
        found(*agent_before)
    )
}

fn destinations(page: &mut String, outcome: &Outcome) -> std::fmt::Result {
    write!(
        page,
        "<h2>Destinations, and what each may have as it was said</h2><p>Declared before anything was sent, from the policy: of visitors who agreed, \
         and where the value names nobody. A canary of anyone else may be nowhere.</p>\
         <table><tr><th>Destination</th><th>Type</th><th>Ground</th><th>Transform</th><th>May have as said</th></tr>"
    )?;
    for destination in &outcome.destinations {
        let fields: Vec<&str> = outcome
            .allowance
            .all()
            .filter(|exception| exception.destination == destination.name)
            .map(|exception| exception.field.name())
            .collect();
        write!(
            page,
            "<tr><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&destination.name),
            if destination.added { " <span class=\"quiet\">(added by the run, to try its type)</span>" } else { "" },
            escaped(&destination.kind),
            destination.basis,
            destination.transform,
            if fields.is_empty() { String::from("nothing") } else { fields.join(", ") }
        )?;
    }
    write!(page, "</table>")
}

fn weakened(page: &mut String, outcome: &Outcome) -> std::fmt::Result {
    write!(page, "<h2>Weakened runs</h2>")?;
    if outcome.weakened.is_empty() {
        return write!(
            page,
            "<p>None were made (<code>--no-weakened-runs</code>): nothing here shows that the search could have seen a leak.</p>"
        );
    }
    let by_rule = outcome.weakened.iter().any(|run| run.by_rule);
    write!(
        page,
        "<p>The same run with something weakened has to go red. {}</p><table><tr><th>Weakened</th><th>Result</th><th>The first that got out</th></tr>",
        if by_rule {
            "First by a weaker version of the policy, then by leaving single rules of privacy out of the program."
        } else {
            "Here by weaker versions of the policy; a build with the feature <code>proof</code> also leaves single rules of privacy out."
        }
    )?;
    for run in &outcome.weakened {
        let (class, result) = match (&run.example, run.must_show) {
            (Some(_), _) => ("ok", "red, as it has to be"),
            (None, true) => ("bad", "stayed green"),
            (None, false) => ("none", "no beacon shows it; its case is in the proof suite"),
        };
        let example = run.example.as_ref().map_or_else(String::new, |leak| escaped(&leak.sentence()));
        write!(page, "<tr><td>{}</td><td class=\"{class}\">{result}</td><td>{example}</td></tr>", escaped(&run.says))?;
    }
    write!(page, "</table>")
}

/// Digits in groups of three, with narrow spaces that do not break.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join("\u{202f}")
}

/// Text as it may stand in a page.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
